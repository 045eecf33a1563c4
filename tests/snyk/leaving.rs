//! Who leaves has nothing in Snyk any more, nor a way to sign in where that is wanted.

use super::*;

#[tokio::test]
async fn who_is_deleted_a_while_after_the_end_has_nothing_that_was_given_by_hand_since() {
    let world = snyk_with("", "").await;
    let vic = id_of_user(&world, "vic").await;
    activate(&world, &vic, false).await.expect(200);
    assert_eq!(roles(&world, "vic").await, BTreeSet::new());
    // Longer than what is taken for one deletion.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut by_hand = company();
    by_hand["groups"][1]["members"] = json!([]);
    let labs = &mut by_hand["groups"][4]["members"];
    labs.as_array_mut().unwrap().push(address("vic").into());
    world.seed(by_hand).await;
    let given = [format!("Labs/{MEMBER}")].into();
    assert_eq!(roles(&world, "vic").await, given);
    let path = format!("/Users/{vic}");
    world.send("DELETE", &path, None).await.expect(204);
    eventually("vic is out", async || roles(&world, "vic").await.is_empty()).await;
    eventually("and nothing is open", async || world.run(&["status"]).2).await;
}

#[tokio::test]
async fn who_is_in_organizations_is_removed_only_where_that_is_wanted() {
    let world = snyk().await;
    let (member, dan) = (role(&world, MEMBER).await, id_of_user(&world, "dan").await);
    reason(remove(&world, &member, &dan).await, 400, "cascade = true");
    assert_eq!(roles(&world, "dan").await, just(MEMBER));

    let world = snyk_with("", "cascade = true").await;
    let (member, dan) = (role(&world, MEMBER).await, id_of_user(&world, "dan").await);
    let (reply, calls) = world.calls_of(remove(&world, &member, &dan)).await;
    reply.expect(204);
    let query = calls.last().unwrap()["query"].as_str().unwrap();
    assert!(query.contains("cascade=true"), "{query}");
    assert_eq!(roles(&world, "dan").await, BTreeSet::new());
}

#[tokio::test]
async fn a_deactivation_withdraws_everything_and_activating_again_restores_just_that() {
    let world = snyk().await;
    let (viewer, mel) = (role(&world, VIEWER).await, id_of_user(&world, "mel").await);
    add(&world, &viewer, &mel).await.expect(204);
    let before: BTreeSet<String> = [format!("Example/{VIEWER}"), format!("Labs/{MEMBER}")].into();
    assert_eq!(roles(&world, "mel").await, before);
    activate(&world, &mel, false).await.expect(200);
    eventually("mel is out", async || roles(&world, "mel").await.is_empty()).await;
    // Who is in it stays written, and is not sent.
    assert!(
        world
            .members(viewer.trim_start_matches("/Groups/"))
            .await
            .contains(&mel)
    );
    add(&world, &role(&world, ADMIN).await, &mel)
        .await
        .expect(204);
    assert_eq!(roles(&world, "mel").await, BTreeSet::new());
    remove(&world, &role(&world, ADMIN).await, &mel)
        .await
        .expect(204);

    activate(&world, &mel, true).await.expect(200);
    eventually("mel is back", async || roles(&world, "mel").await == before).await;

    let path = format!("/Users/{mel}");
    world.send("DELETE", &path, None).await.expect(204);
    eventually("mel is gone", async || {
        roles(&world, "mel").await.is_empty()
    })
    .await;
    world.get(&path).await.expect(404);
}

#[tokio::test]
async fn who_is_deactivated_leaves_the_sso_connection_where_that_is_wanted() {
    let world = snyk_with("", "sso = \"remove\"").await;
    let mel = id_of_user(&world, "mel").await;
    activate(&world, &mel, false).await.expect(200);
    eventually("mel is out of all of it", async || {
        let state = world.state().await;
        let users = state["users"].as_array().unwrap().clone();
        let mel = users.iter().find(|user| user["email"] == address("mel"));
        mel.unwrap()["active"] == false
    })
    .await;
}

async fn signs_in(world: &World, name: &str) -> bool {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap().clone();
    let is = |user: &&Value| user["email"] == address(name);
    users.iter().find(is).unwrap()["active"] == true
}

/// One Snyk Group whose SSO connections cannot be read keeps nobody in the others.
#[tokio::test]
async fn sso_connections_that_cannot_be_read_keep_nobody_in_the_others() {
    let world = snyk_with("", "sso = \"remove\"").await;
    let mel = id_of_user(&world, "mel").await;
    let example = format!("10000000-0000-4000-8000-{:012x}", 1);
    let rule = json!({
        "failure": { "status": { "status": 403 } },
        "operation": "list_sso_connections", "target": example,
    });
    world.faults(json!({ "rules": [rule] })).await;
    activate(&world, &mel, false).await;
    eventually("mel is out of all that can be read", async || {
        !signs_in(&world, "mel").await && roles(&world, "mel").await.is_empty()
    })
    .await;
    eventually("it is told of the other one", async || {
        let waiting = world.status().await["connections"][0]["waiting"].to_string();
        waiting.contains("SSO connections") && waiting.contains(&example)
    })
    .await;
}

#[tokio::test]
async fn who_stays_as_the_last_administrator_can_sign_in_with_sso() {
    let world = snyk_with("", "sso = \"remove\"").await;
    let root = id_of_user(&world, "root").await;
    let words = "the user stays in the SSO connections";
    reason(activate(&world, &root, false).await, 400, words);
    assert_eq!(roles(&world, "root").await, just(ADMIN));
    assert!(signs_in(&world, "root").await);
}

#[tokio::test]
async fn what_sso_refuses_undoes_nothing_of_the_end() {
    let world = snyk_with("", "sso = \"remove\"").await;
    let mel = id_of_user(&world, "mel").await;
    let rule = json!({
        "failure": { "status": { "status": 409 } }, "operation": "delete_sso_user",
    });
    world.faults(json!({ "rules": [rule] })).await;
    let words = "everything else was taken away";
    reason(activate(&world, &mel, false).await, 400, words);
    assert!(roles(&world, "mel").await.is_empty());
    let mel_here = world.get(&format!("/Users/{mel}")).await.expect(200).body;
    assert_eq!(mel_here["active"], false);
    world.faults(json!({ "rules": [] })).await;
    activate(&world, &mel, false).await.expect(200);
    eventually("mel is out of SSO", async || !signs_in(&world, "mel").await).await;
}
