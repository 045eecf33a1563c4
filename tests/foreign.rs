//! What somebody has made in the application by hand, and a creation of which no answer
//! came was about as well: it is not taken over, not written and not ended, whatever
//! becomes of that creation (reliability: R-04).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually, group, user, values};

const GROUPS: &str = "/api/v2/groupmanagement/group";
const USERS: &str = "/api/v2/usermanagement/user";
const SOON: &str =
    "late_writes = \"2s\"\nread_lag = \"200ms\"\nsync_wait = \"1s\"\nguard = { enabled = true }";

fn addresses(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

fn silence(operation: &str) -> Value {
    json!({ "operation": operation, "failure": { "status": { "status": 503 } } })
}

async fn once(world: &World, operation: &str) {
    let mut rule = silence(operation);
    rule["next"] = 1.into();
    world.faults(json!({ "rules": [rule] })).await;
}

async fn account_by_hand(world: &World, name: &str, role: &str) {
    let body =
        json!({ "firstName": "By", "lastName": "Hand", "email": address(name), "siteRole": role });
    world.as_administrator("POST", USERS, body).await;
}

async fn group_by_hand(world: &World, name: &str, members: &[&str]) {
    let members: Vec<String> = members.iter().map(|name| address(name)).collect();
    let body = json!({ "name": name, "groupMemberEmailAddresses": members });
    world.as_administrator("POST", GROUPS, body).await;
}

/// Until no call can land any more, and what may have landed was looked for.
async fn until_settled(world: &World) {
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    eventually("it is settled", async || {
        let connection = &world.status().await["connections"][0];
        connection["unsettled"] == nothing && connection["pending"] == nothing
    })
    .await;
}

async fn sent(world: &World, operations: &[&str]) -> usize {
    let calls = world.calls().await;
    let name = |call: &Value| call["operation"].as_str().unwrap_or_default().to_owned();
    let sent = calls.iter().map(name);
    sent.filter(|it| operations.contains(&it.as_str())).count()
}

/// What a client does about a Group that is there already, or is made by hand since.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Story {
    /// It is answered that there is one.
    Refused,
    /// It was answered 201, is refused later, and deleted by the client.
    RefusedLater,
    /// It was answered 201 and deleted before anything was found out.
    Unclear,
    /// The same, and the bridge was killed meanwhile.
    Killed,
    /// One of those in it is asked for, too.
    Among,
    /// It was made and deleted from here, and made by hand then.
    MadeSince,
}

impl Story {
    async fn tell(self, world: &mut World, ids: &[String]) {
        let body = group("finance", ids);
        if self == Self::MadeSince {
            once(world, "create_group").await;
            let made = world.post("/Groups", body).await.expect(201).id();
            world
                .until_upstream_has("finance", &addresses(&["u0", "u1"]))
                .await;
            let path = format!("/Groups/{made}");
            world.send("DELETE", &path, None).await.expect(204);
            eventually("it is gone", async || {
                world.upstream_members("finance").await.is_none()
            })
            .await;
            group_by_hand(world, "finance", &["h0", "h1", "h2"]).await;
            return;
        }
        group_by_hand(world, "finance", &["h0", "h1", "h2"]).await;
        match self {
            Self::Refused => {
                once(world, "create_group").await;
                world.post("/Groups", body).await.expect(409);
            }
            Self::Among => {
                once(world, "create_group").await;
                account_by_hand(world, "h3", "Users").await;
                let among = json!({ "members": [world.state().await["users"].as_array().unwrap()
                    .iter().find(|it| it["email"] == address("u0")).unwrap()["id"]] });
                let path = format!("{GROUPS}/finance/members");
                world.as_administrator("POST", &path, among).await;
                world.post("/Groups", body).await.expect(409);
            }
            _ => {
                let looks = ["create_group", "get_group", "find_group"].map(silence);
                let slow = json!({ "rules": looks });
                world.faults(slow).await;
                let made = world.post("/Groups", body).await.expect(201).id();
                let path = format!("/Groups/{made}");
                if self == Self::RefusedLater {
                    world.faults(json!({})).await;
                    eventually("it is refused", async || {
                        let connection = &world.status().await["connections"][0];
                        connection["refused"]["groups"] == 1
                    })
                    .await;
                }
                if self == Self::Killed {
                    world.kill_bridge();
                    world.faults(json!({})).await;
                    world.start_bridge();
                }
                world.send("DELETE", &path, None).await.expect(204);
                world.faults(json!({})).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_made_by_hand_is_not_deleted_for_a_creation_without_an_answer() {
    use Story::{Among, Killed, MadeSince, Refused, RefusedLater, Unclear};
    let rows = [
        (Application::Opsera, Refused),
        (Application::Opsera, RefusedLater),
        (Application::Opsera, Unclear),
        (Application::Opsera, Killed),
        (Application::Opsera, Among),
        (Application::Opsera, MadeSince),
        (Application::Declared, Refused),
        (Application::DeclaredById, Unclear),
    ];
    let rows = rows.map(|(application, story)| async move {
        let mut world = World::of(application, SOON).await;
        let ids = world.users("u", 2).await;
        for name in ["h0", "h1", "h2"] {
            account_by_hand(&world, name, "Users").await;
        }
        story.tell(&mut world, &ids).await;
        let deleted = usize::from(story == MadeSince);
        until_settled(&world).await;
        let mut members = addresses(&["h0", "h1", "h2"]);
        members.extend((story == Among).then(|| address("u0")));
        let has = world.upstream_members("finance").await;
        assert_eq!(has, Some(members), "{story:?}");
        let writes = ["delete_group", "add_members", "remove_members"];
        let by_hand = usize::from(story == Among);
        assert_eq!(sent(&world, &writes).await, deleted + by_hand, "{story:?}");
        // What is left alone is told.
        let told = world.run(&["audit", "export"]).0;
        assert!(told.contains("holds others than those asked for"), "{told}");
        world.overlook().await;
    });
    futures_util::future::join_all(rows).await;
}

/// And what is ours by all that is seen is found and deleted, when it comes late.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_such_a_creation_has_made_is_deleted_when_it_lands() {
    for named in [1, 2] {
        let world = World::with(SOON, &["--empty"]).await;
        let ids = world.users("u", 2).await;
        let lost = ["get_group"].map(silence).to_vec();
        let late = json!({ "operation": "create_group", "failure": "error_after" });
        let rules = [lost, vec![late]].concat();
        world.faults(json!({ "rules": rules })).await;
        let made = world.post("/Groups", group("finance", &ids[..named]));
        let path = format!("/Groups/{}", made.await.expect(201).id());
        world.send("DELETE", &path, None).await.expect(204);
        assert!(world.upstream_members("finance").await.is_some());
        world.faults(json!({})).await;
        eventually("it is deleted", async || {
            world.upstream_members("finance").await.is_none()
        })
        .await;
        world.overlook().await;
    }
}

/// Nobody is in it, and nothing but its name tells whose it is: it is used, and not
/// deleted, whether it was taken over before or not.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_group_that_was_made_by_hand_is_not_deleted_for_such_a_creation() {
    let rows = [
        (Application::Opsera, true),
        (Application::Declared, true),
        (Application::DeclaredById, false),
    ];
    let rows = rows.map(|(application, taken_over)| async move {
        let world = World::of(application, SOON).await;
        group_by_hand(&world, "finance", &[]).await;
        let mut rules = vec![silence("create_group")];
        if !taken_over {
            rules.extend(["get_group", "find_group"].map(silence));
        } else {
            rules[0]["next"] = 1.into();
        }
        world.faults(json!({ "rules": rules })).await;
        let made = world.post("/Groups", group("finance", &[])).await;
        let path = format!("/Groups/{}", made.expect(201).id());
        if taken_over {
            until_settled(&world).await;
        }
        world.send("DELETE", &path, None).await.expect(204);
        world.faults(json!({})).await;
        until_settled(&world).await;
        assert!(world.upstream_members("finance").await.is_some());
        assert_eq!(sent(&world, &["delete_group"]).await, 0);
        let told = left_alone(&world).await;
        assert!(
            told[0]["reason"]
                .to_string()
                .contains("nothing but its name"),
            "{told:?}"
        );
        world.overlook().await;
    });
    futures_util::future::join_all(rows).await;
}

/// Who was put into it from here makes it ours.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_over_empty_and_filled_from_here_is_deleted() {
    let world = World::with(SOON, &["--empty"]).await;
    let ids = world.users("u", 2).await;
    group_by_hand(&world, "finance", &[]).await;
    once(&world, "create_group").await;
    let made = world.post("/Groups", group("finance", &[])).await;
    let path = format!("/Groups/{}", made.expect(201).id());
    until_settled(&world).await;
    let add = json!([{ "op": "add", "path": "members", "value": values(&ids) }]);
    world.patch(&path, add).await.expect(204);
    world.send("DELETE", &path, None).await.expect(204);
    until_settled(&world).await;
    assert_eq!(world.upstream_members("finance").await, None);
    assert_eq!(left_alone(&world).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_only_found_in_a_group_is_not_put_there_again_nor_taken_out() {
    let mut world = World::with(SOON, &["--empty"]).await;
    let ids = world.users("u", 2).await;
    for name in ["h0", "h1", "h2"] {
        account_by_hand(&world, name, "Users").await;
    }
    group_by_hand(&world, "finance", &["h0", "h1", "h2"]).await;
    once(&world, "create_group").await;
    let body = group("finance", &ids);
    world.post("/Groups", body).await.expect(409);
    world.import();
    let shown = world.get("/Groups").await.expect(200).body;
    assert_eq!(
        shown["Resources"][0]["members"].as_array().unwrap().len(),
        3
    );
    // Somebody goes by hand, and somebody who was asked for comes by hand.
    let state = world.state().await;
    let id = |name: &str| {
        let users = state["users"].as_array().unwrap();
        let user = users.iter().find(|it| it["email"] == address(name));
        json!({ "members": [user.unwrap()["id"]] })
    };
    let path = format!("{GROUPS}/finance/members");
    world.as_administrator("DELETE", &path, id("h1")).await;
    world.as_administrator("POST", &path, id("u0")).await;
    world.forget_calls().await;
    until_settled(&world).await;
    let has = world.upstream_members("finance").await;
    assert_eq!(has, Some(addresses(&["h0", "h2", "u0"])));
    let writes = ["delete_group", "add_members", "remove_members"];
    assert_eq!(sent(&world, &writes).await, 0);
    world.overlook().await;
}

/// `finance` was made by a creation of which no answer came, and somebody was put into
/// it by hand before it was looked at. Its Group is the one that was asked for.
async fn made_unheard_with_another(world: &World, ids: &[String]) -> String {
    account_by_hand(world, "x", "Users").await;
    let made = json!({ "operation": "create_group", "failure": "error_after", "next": 1 });
    let rules = [silence("get_group"), made];
    world.faults(json!({ "rules": rules })).await;
    let made = world.post("/Groups", group("finance", ids)).await;
    with_finance(world, "POST", "x").await;
    made.expect(201).id()
}

/// It is deleted, and stays for whom it holds.
async fn deleted_and_left(world: &World, ids: &[String]) -> String {
    let id = made_unheard_with_another(world, ids).await;
    let path = format!("/Groups/{id}");
    world.send("DELETE", &path, None).await.expect(204);
    world.faults(json!({})).await;
    until_settled(world).await;
    id
}

async fn with_finance(world: &World, method: &str, name: &str) {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap();
    let user = users.iter().find(|it| it["email"] == address(name));
    let path = format!("{GROUPS}/finance/members");
    let members = json!({ "members": [user.unwrap()["id"]] });
    world.as_administrator(method, &path, members).await;
}

async fn left_alone(world: &World) -> Vec<Value> {
    let status = world.status().await;
    let told = status["connections"][0]["leftAlone"].as_array();
    told.unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_ours_and_is_left_alone_is_told_until_it_is_gone() {
    let world = World::with(SOON, &["--empty"]).await;
    let ids = world.users("u", 2).await;
    let id = deleted_and_left(&world, &ids).await;
    let has = world.upstream_members("finance").await;
    assert_eq!(has, Some(addresses(&["u0", "u1", "x"])));
    let told = left_alone(&world).await;
    assert_eq!(
        (told.len(), &told[0]["group"], &told[0]["name"]),
        (1, &json!(id), &json!("finance"))
    );
    let (text, _, well) = world.run(&["status"]);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!well, "{text}");
    assert!(text.contains("a group finance that may be what"), "{text}");
    assert!(text.contains("delete it there"), "{text}");
    // A reading that shows it changes nothing, and one that does not ends that.
    world.run(&["reconcile"]);
    assert_eq!(left_alone(&world).await.len(), 1);
    let path = format!("{GROUPS}/finance");
    world.as_administrator("DELETE", &path, json!({})).await;
    eventually("it is told no more", async || {
        world.run(&["reconcile"]);
        left_alone(&world).await.is_empty()
    })
    .await;
    let (text, _, well) = world.run(&["status"]);
    assert!(well, "{text}");
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_alone_is_taken_over_when_it_is_asked_for_without_others_in_it() {
    let world = World::with(SOON, &["--empty"]).await;
    let ids = world.users("u", 2).await;
    deleted_and_left(&world, &ids).await;
    let again = group("finance", &ids);
    let refused = world.post("/Groups", again.clone()).await.expect(409);
    let told = refused.body["detail"].as_str().unwrap().to_owned();
    assert!(told.contains("have the others taken out there"), "{told}");
    assert_eq!(left_alone(&world).await.len(), 1);
    with_finance(&world, "DELETE", "x").await;
    world.post("/Groups", again).await.expect(201);
    world
        .until_upstream_has("finance", &addresses(&["u0", "u1"]))
        .await;
    until_settled(&world).await;
    assert_eq!(left_alone(&world).await, Vec::<Value>::new());
    let (text, _, well) = world.run(&["status"]);
    assert!(well, "{text}");
    world.overlook().await;
}

/// Whoever asked for it is answered that it was refused, and those whom it was to have
/// are in it: that is told to both.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_refused_after_it_was_made_unheard_is_told() {
    let own = SOON.replace("sync_wait = \"1s\"", "sync_wait = \"8s\"");
    let world = World::with(&own, &["--empty"]).await;
    let ids = world.users("u", 2).await;
    account_by_hand(&world, "x", "Users").await;
    let made = json!({ "operation": "create_group", "failure": "error_after", "next": 1 });
    let rules = [silence("get_group"), made];
    world.faults(json!({ "rules": rules })).await;
    let by_hand = async {
        world
            .until_upstream_has("finance", &addresses(&["u0", "u1"]))
            .await;
        with_finance(&world, "POST", "x").await;
        world.faults(json!({})).await;
    };
    let asked = world.post("/Groups", group("finance", &ids));
    let (answered, ()) = tokio::join!(asked, by_hand);
    let told = answered.expect(409).body["detail"].to_string();
    assert!(told.contains("of which no answer came"), "{told}");
    until_settled(&world).await;
    assert_eq!(left_alone(&world).await.len(), 1);
    assert!(!world.run(&["status"]).2);
    world.overlook().await;
}

/// The address is the user's, so it is the same person's account, and is given and ended
/// as that; who reads the audit sees that an administrator may have made it.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_be_made_by_hand_and_is_taken_for_ours_stands_in_the_audit() {
    let world = World::with(SOON, &["--empty"]).await;
    account_by_hand(&world, "u", "Users").await;
    once(&world, "create_user").await;
    world.post("/Users", user("u")).await.expect(201);
    let told = world.run(&["audit", "export"]).0;
    let taken = r#""taken_over":{"differs":true,"older":false}"#;
    assert!(told.contains(taken), "{told}");
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_alone_and_another_connection_has_is_told_no_more() {
    let (mut world, _other) = World::pair_with(SOON).await;
    let ids = world.users("u", 2).await;
    deleted_and_left(&world, &ids).await;
    assert_eq!(left_alone(&world).await.len(), 1);
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["import", "--connection", "globex"]);
    assert!(ok, "{said} {wrong}");
    world.start_bridge();
    assert_eq!(left_alone(&world).await, Vec::<Value>::new());
    let (text, _, well) = world.run(&["status"]);
    assert!(well, "{text}");
    world.overlook().await;
}
