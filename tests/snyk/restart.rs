//! A process that has read nothing yet: what an answer told the one before it is
//! as good as what was told this one, and nothing is sent that is known to be
//! refused.

use super::*;

async fn restarted(own: &str) -> (World, String) {
    let world = snyk_with("", &format!("{LINK}\n{own}")).await;
    let ann = id_of_user(&world, "ann").await;
    (world, ann)
}

/// What is sent of a change, by a process that was just started.
async fn sent_anew(world: &mut World, change: impl AsyncFnOnce(&World) -> Reply) -> Vec<String> {
    world.kill_and_restart();
    let (reply, calls) = world.calls_of(change(world)).await;
    reply.expect(204);
    operations(&calls).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn who_was_put_there_by_the_process_before_is_changed_and_removed_after_a_look_at_who_administers()
 {
    let (mut world, ann) = restarted("").await;
    let (member, viewer) = (role(&world, MEMBER).await, role(&world, VIEWER).await);
    let joined = sent_anew(&mut world, async |it| add(it, &member, &ann).await).await;
    assert_eq!(joined, ["create_membership"]);
    let raised = sent_anew(&mut world, async |it| add(it, &viewer, &ann).await).await;
    assert_eq!(raised, ["list_memberships", "update_membership"]);
    assert_eq!(roles(&world, "ann").await, just(VIEWER));
    let lowered = sent_anew(&mut world, async |it| remove(it, &viewer, &ann).await).await;
    assert_eq!(lowered, ["list_memberships", "update_membership"]);
    assert_eq!(roles(&world, "ann").await, just(MEMBER));
    let left = sent_anew(&mut world, async |it| remove(it, &member, &ann).await).await;
    assert_eq!(left, ["list_memberships", "delete_membership"]);
    let back = sent_anew(&mut world, async |it| add(it, &viewer, &ann).await).await;
    assert_eq!(back, ["create_membership"]);
}

#[tokio::test]
async fn where_no_answer_is_relied_on_a_look_comes_first_and_no_creation() {
    let (mut world, ann) = restarted("roles_known_for = \"never\"").await;
    let (member, viewer) = (role(&world, MEMBER).await, role(&world, VIEWER).await);
    sent_anew(&mut world, async |it| add(it, &member, &ann).await).await;
    let raised = sent_anew(&mut world, async |it| add(it, &viewer, &ann).await).await;
    assert_eq!(raised, ["list_memberships", "update_membership"]);
    let lowered = sent_anew(&mut world, async |it| remove(it, &viewer, &ann).await).await;
    assert_eq!(lowered, ["list_memberships", "update_membership"]);
    let left = sent_anew(&mut world, async |it| remove(it, &member, &ann).await).await;
    assert_eq!(left, ["list_memberships", "delete_membership"]);
}

#[tokio::test]
async fn of_whom_an_import_found_there_it_is_known_that_a_creation_is_refused() {
    let (mut world, _) = restarted("").await;
    let (mel, viewer) = (id_of_user(&world, "mel").await, role(&world, VIEWER).await);
    let raised = sent_anew(&mut world, async |it| add(it, &viewer, &mel).await).await;
    assert_eq!(raised, ["list_memberships", "update_membership"]);
}

#[tokio::test]
async fn who_was_taken_out_by_hand_meanwhile_is_looked_for_and_put_there_again() {
    let (mut world, ann) = restarted("").await;
    let (member, viewer) = (role(&world, MEMBER).await, role(&world, VIEWER).await);
    sent_anew(&mut world, async |it| add(it, &member, &ann).await).await;
    world.seed(company()).await;
    assert!(roles(&world, "ann").await.is_empty());
    let raised = sent_anew(&mut world, async |it| add(it, &viewer, &ann).await).await;
    assert_eq!(
        raised,
        [
            "list_memberships",
            "update_membership",
            "list_memberships",
            "create_membership"
        ]
    );
    assert_eq!(roles(&world, "ann").await, just(VIEWER));
}

/// A user who was deactivated and deleted is posted again to a process that has read
/// nothing, in a company as it is then.
async fn posted_again(company: Value, own: &str) -> (World, String) {
    let mut world = snyk_with("read_lag = \"100ms\"\nsync_wait = \"1s\"", own).await;
    let vic = id_of_user(&world, "vic").await;
    activate(&world, &vic, false).await.expect(200);
    nothing_is_open(&world).await;
    let path = format!("/Users/{vic}");
    world.send("DELETE", &path, None).await.expect(204);
    nothing_is_open(&world).await;
    world.kill_and_restart();
    world.seed(company).await;
    let again = world.post("/Users", user("vic")).await.expect(201);
    let again = again.body["id"].as_str().unwrap().to_owned();
    let member = role(&world, MEMBER).await;
    add(&world, &member, &again).await.expect(204);
    (world, again)
}

async fn nothing_is_open(world: &World) {
    eventually("nothing is open", async || {
        let pending = world.status().await["connections"][0]["pending"].clone();
        pending == json!({ "users": 0, "groups": 0, "memberships": 0 })
    })
    .await;
}

fn without_vic() -> Value {
    let mut company = company();
    let groups = company["groups"].as_array_mut().unwrap();
    for group in groups {
        let members = group["members"].as_array_mut().unwrap();
        members.retain(|it| *it != address("vic"));
    }
    company
}

async fn staged(world: &World) -> Value {
    world.status().await["connections"][0]["staged"]["users"].clone()
}

#[tokio::test]
async fn the_account_of_who_was_deleted_is_that_of_who_is_posted_again_with_its_address() {
    for own in ["", LINK] {
        let (world, _) = posted_again(without_vic(), own).await;
        eventually("the role is given", async || {
            roles(&world, "vic").await == just(MEMBER)
        })
        .await;
        assert_eq!(staged(&world).await, 0);
    }
}

#[tokio::test]
async fn an_account_that_has_another_address_by_now_is_nobody_elses() {
    let mut company = without_vic();
    company["users"][1]["email"] = address("eva").into();
    let labs = json!({ "name": "Labs", "type": VIEWER, "members": [address("eva")] });
    company["groups"].as_array_mut().unwrap().push(labs);
    let (world, _) = posted_again(company, "").await;
    eventually("it waits", async || staged(&world).await == 1).await;
    let labs = [format!("Labs/{VIEWER}")].into();
    assert_eq!(roles(&world, "eva").await, labs);
}

#[tokio::test]
async fn what_somebody_waits_for_whose_right_to_sign_in_was_ended_is_counted() {
    let mut world = snyk_with("sync_wait = \"1s\"", "sso = \"remove\"").await;
    let vic = id_of_user(&world, "vic").await;
    let had = roles(&world, "vic").await;
    activate(&world, &vic, false).await.expect(200);
    nothing_is_open(&world).await;
    world.kill_and_restart();
    activate(&world, &vic, true).await.expect(200);
    eventually("it waits", async || staged(&world).await == 1).await;
    let pending = world.status().await["connections"][0]["pending"].clone();
    assert_eq!(roles(&world, "vic").await, BTreeSet::new());
    assert_eq!(pending["memberships"], had.len(), "{had:?}");
}
