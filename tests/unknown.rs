//! Users who must have nothing, and have an account in the application that nobody
//! here knew of: it is looked for once and ended, within the guard rails.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Application, Reply, World, address, eventually, user};

fn inactive(name: &str) -> Value {
    let mut user = user(name);
    user["active"] = false.into();
    user
}

async fn activate(world: &World, id: &str, on: bool) -> Reply {
    let operations = json!([{ "op": "replace", "path": "active", "value": on }]);
    world.patch(&format!("/Users/{id}"), operations).await
}

/// Accounts that the bridge has not read.
async fn somebody_made(world: &World, names: &[&str]) {
    let users: Vec<Value> = names
        .iter()
        .map(|name| json!({ "email": address(name) }))
        .collect();
    let members: Vec<String> = names.iter().map(|name| address(name)).collect();
    let crew = json!([{ "name": "crew", "members": members }]);
    world.seed(json!({ "users": users, "groups": crew })).await;
    world.forget_calls().await;
}

async fn is_active(world: &World, name: &str) -> bool {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap();
    let one = users.iter().find(|user| user["email"] == address(name));
    one.expect("an account")["active"] == true
}

async fn all_is_well(world: &World) {
    eventually("all is well", async || world.run(&["status"]).2).await;
}

fn operations(calls: &[Value]) -> Vec<&str> {
    let named = calls.iter().map(|call| call["operation"].as_str().unwrap());
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_made_inactive_has_no_account_left_and_costs_one_look() {
    let (one, both) = (&["get_user"][..], &["get_user", "list_users"][..]);
    for (application, looks) in [(Application::Opsera, one), (Application::Declared, both)] {
        let world = World::of(application, "").await;
        somebody_made(&world, &["bob"]).await;
        let (made, calls) = world.calls_of(world.post("/Users", inactive("bob"))).await;
        let shown = made.expect(201).body;
        assert_eq!(shown["active"], false);
        assert!(!is_active(&world, "bob").await, "{calls:#?}");
        let (made, calls) = world.calls_of(world.post("/Users", inactive("new"))).await;
        made.expect(201);
        assert_eq!(operations(&calls), looks);
        all_is_well(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_appears_for_who_is_inactive_is_ended_by_whatever_finds_it() {
    let mut world = World::of(Application::Opsera, "read_lag = \"200ms\"").await;
    let names = ["again", "deleted", "imported", "reconciled"];
    let mut ids = Vec::new();
    for name in names {
        ids.push(world.post("/Users", inactive(name)).await.expect(201).id());
    }
    somebody_made(&world, &names).await;
    activate(&world, &ids[0], false).await.expect(200);
    assert!(!is_active(&world, "again").await);
    let path = format!("/Users/{}", ids[1]);
    world.send("DELETE", &path, None).await.expect(204);
    assert!(!is_active(&world, "deleted").await);
    let (_, wrong, _) = world.run(&["reconcile", "--apply"]);
    for name in ["imported", "reconciled"] {
        let ended = async || !is_active(&world, name).await;
        eventually(&format!("{name} is ended: {wrong}"), ended).await;
    }
    all_is_well(&world).await;
    world.post("/Users", inactive("late")).await.expect(201);
    // With the ids of before.
    let [again, deleted, imported, reconciled] = names;
    somebody_made(&world, &[again, deleted, imported, reconciled, "late"]).await;
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["import"]);
    assert!(!ok && wrong.contains("1 Users are there"), "{said} {wrong}");
    world.start_bridge();
    eventually("the import ends it", async || {
        !is_active(&world, "late").await
    })
    .await;
    // What was deleted and is there is told until it goes.
    assert!(is_active(&world, "deleted").await);
    let told = |said: &str| said.contains("1 accounts are in use whose Users were deleted here");
    eventually("it is told", async || {
        let (said, _, well) = world.run(&["status"]);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        !well && told(&said)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_rail_keeps_an_account_that_is_found_and_it_is_told() {
    let protected = format!(
        "guard = {{ enabled = true, protected_users = [\"{}\"] }}",
        address("chief")
    );
    let mut world = World::of(Application::Opsera, &protected).await;
    let id = world
        .post("/Users", inactive("chief"))
        .await
        .expect(201)
        .id();
    somebody_made(&world, &["chief", "other"]).await;
    world.post("/Users", inactive("other")).await.expect(201);
    assert!(!is_active(&world, "other").await);
    let refused = activate(&world, &id, false).await;
    assert!(refused.body["detail"].to_string().contains("protected"));
    world.import();
    eventually("it is told", async || {
        let told = world.status().await;
        told["connections"][0]["refused"]["users"] == 1
    })
    .await;
    assert!(!world.run(&["status"]).2);
    assert!(is_active(&world, "chief").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_end_is_refused_is_not_made_and_keeps_the_account() {
    let world = World::of(Application::Opsera, "").await;
    somebody_made(&world, &["bob"]).await;
    let rule =
        json!({ "operation": "deactivate_user", "failure": { "status": { "status": 400 } } });
    world.faults(json!({ "rules": [rule] })).await;
    let refused = world.post("/Users", inactive("bob")).await.expect(400);
    assert!(refused.body["detail"].to_string().contains("deactivate"));
    assert!(is_active(&world, "bob").await);
    world.faults(json!({})).await;
    all_is_well(&world).await;
    world.post("/Users", user("bob")).await.expect(409);
    world.post("/Users", inactive("bob")).await.expect(201);
    assert!(!is_active(&world, "bob").await);
    all_is_well(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_activated_while_it_is_looked_for_is_not_given_what_is_found() {
    let world = World::of(Application::Opsera, "sync_wait = \"200ms\"").await;
    somebody_made(&world, &["bob"]).await;
    let rule = json!({ "operation": "get_user", "failure": { "status": { "status": 503 } } });
    world.faults(json!({ "rules": [rule] })).await;
    let id = world.post("/Users", inactive("bob")).await.expect(201).id();
    activate(&world, &id, true).await;
    world.faults(json!({})).await;
    eventually("it is refused", async || {
        let told = world.status().await;
        told["connections"][0]["refused"]["users"] == 1
    })
    .await;
    assert!(is_active(&world, "bob").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_on_its_way_for_who_left_is_pending_only_as_long_as_it_can_land() {
    let rules = "sync_wait = \"300ms\"\nread_lag = \"200ms\"\nlate_writes = \"2s\"";
    let world = World::of(Application::Opsera, rules).await;
    let id = world.user("ann").await;
    let crew = world.group("crew", &[]).await;
    let rule = json!({ "operation": "add_members", "failure": "reset_after", "next": 1 });
    world.faults(json!({ "rules": [rule] })).await;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
    world.patch(&format!("/Groups/{crew}"), add).await;
    activate(&world, &id, false).await.expect(200);
    all_is_well(&world).await;
    assert!(!is_active(&world, "ann").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_guard_rails_keep_is_ended_when_it_is_asked_for_again_as_the_answer_says() {
    let rails = "read_lag = \"200ms\"\nguard = { enabled = true, \
                 removals = { more_than = 1, percent = 1, within = \"5s\" } }";
    let world = World::of(Application::Opsera, rails).await;
    let names = ["one", "two"];
    let mut ids = Vec::new();
    for name in names {
        ids.push(world.post("/Users", inactive(name)).await.expect(201).id());
    }
    somebody_made(&world, &names).await;
    activate(&world, &ids[0], false).await.expect(200);
    let kept = activate(&world, &ids[1], false).await.expect(400);
    let said = kept.body["detail"].to_string();
    assert!(said.contains("ask again when they do"), "{said}");
    assert!(is_active(&world, "two").await);
    let ended = async || activate(&world, &ids[1], false).await.status == 200;
    eventually("it is ended when there is room", ended).await;
    assert!(!is_active(&world, "two").await);
    all_is_well(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_guard_rails_keep_is_ended_at_once_when_an_operator_says_so() {
    let rails = "read_lag = \"200ms\"\nguard = { enabled = true, \
                 removals = { more_than = 1, percent = 1, within = \"1h\" } }";
    let world = World::of(Application::Opsera, rails).await;
    let names = ["one", "two", "three"];
    let mut ids = Vec::new();
    for name in names {
        ids.push(world.post("/Users", inactive(name)).await.expect(201).id());
    }
    somebody_made(&world, &names).await;
    activate(&world, &ids[0], false).await.expect(200);
    for id in &ids[1..] {
        let kept = activate(&world, id, false).await.expect(400);
        let said = kept.body["detail"].to_string();
        assert!(said.contains("reconcile --apply --shrunk"), "{said}");
    }
    let words = "2 users who left, and had an account that the guard rails kept, are being ended";
    let (_, said) = world.command(&["reconcile", "--apply"]);
    assert!(!said.contains(words), "{said}");
    assert!(is_active(&world, "two").await && is_active(&world, "three").await);
    let (ended, said) = world.command(&["reconcile", "--apply", "--shrunk"]);
    assert!(ended && said.contains(words), "{said}");
    assert!(!is_active(&world, "two").await && !is_active(&world, "three").await);
    all_is_well(&world).await;
}

/// Deactivates somebody, who is activated by hand after a while, and deletes them.
async fn deleted_later(world: &World, name: &str, by_hand: bool, wait: u64) -> Vec<Value> {
    let id = world.user(name).await;
    activate(world, &id, false).await.expect(200);
    assert!(!is_active(world, name).await);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    if by_hand {
        somebody_made(world, &[name]).await;
        assert!(is_active(world, name).await);
    }
    world.forget_calls().await;
    let path = format!("/Users/{id}");
    world.send("DELETE", &path, None).await.expect(204);
    all_is_well(world).await;
    world.calls().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_deleted_a_while_after_the_end_has_no_account_that_was_activated_by_hand_since() {
    let world = World::of(Application::Opsera, "read_lag = \"200ms\"").await;
    let calls = deleted_later(&world, "moment", false, 0).await;
    assert_eq!(calls, Vec::<Value>::new(), "it was ended a moment ago");
    // Longer than what is taken for one deletion.
    let calls = deleted_later(&world, "gone", false, 6).await;
    assert_eq!(operations(&calls), ["get_user"], "and no write");
    let calls = deleted_later(&world, "back", true, 6).await;
    assert!(!is_active(&world, "back").await, "{calls:#?}");
    world.post("/Users", user("back")).await.expect(201);
    all_is_well(&world).await;
    assert!(is_active(&world, "back").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_back_when_its_user_is_deleted_is_ended_within_the_guard_rails() {
    let rails = "read_lag = \"200ms\"\nguard = { enabled = true, \
                 removals = { more_than = 1, percent = 1, within = \"12s\" } }";
    let world = World::of(Application::Opsera, rails).await;
    let one = world.user("one").await;
    activate(&world, &one, false).await.expect(200);
    // It counts no more for the guard rails then.
    tokio::time::sleep(Duration::from_secs(13)).await;
    let other = world.post("/Users", inactive("other")).await;
    let other = other.expect(201).id();
    somebody_made(&world, &["one", "other"]).await;
    activate(&world, &other, false).await.expect(200);
    let path = format!("/Users/{one}");
    world.send("DELETE", &path, None).await.expect(204);
    eventually("it is told", async || {
        world.status().await["connections"][0]["refused"]["users"] == 1
    })
    .await;
    assert!(is_active(&world, "one").await);
    let (ended, said) = world.command(&["reconcile", "--apply", "--shrunk"]);
    assert!(ended, "{said}");
    assert!(!is_active(&world, "one").await);
    all_is_well(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_end_is_refused_is_told_and_ended_later_and_nobody_else_has_the_name() {
    let world = World::of(Application::Opsera, "read_lag = \"200ms\"").await;
    let id = world.post("/Users", inactive("bob")).await.expect(201).id();
    somebody_made(&world, &["bob"]).await;
    let refuses =
        json!({ "operation": "deactivate_user", "failure": { "status": { "status": 400 } } });
    world.faults(json!({ "rules": [refuses] })).await;
    let path = format!("/Users/{id}");
    for end in [
        activate(&world, &id, false).await,
        world.send("DELETE", &path, None).await,
    ] {
        let said = end.expect(400).body["detail"].to_string();
        assert!(said.contains("refused to deactivate"), "{said}");
    }
    let told = world.status().await["connections"][0]["refusedResources"].clone();
    assert_eq!(
        (&told[0]["id"], &told[0]["asked"]),
        (&json!(id), &json!("deactivate"))
    );
    let next = world.post("/Users", user("bob")).await.expect(409);
    assert!(next.body["detail"].to_string().contains("in use"));
    assert!(is_active(&world, "bob").await);

    world.faults(json!({})).await;
    world.run(&["reconcile", "--apply"]);
    eventually("it is ended", async || !is_active(&world, "bob").await).await;
    all_is_well(&world).await;
    world.send("DELETE", &path, None).await.expect(204);
    world.post("/Users", user("bob")).await.expect(201);
    assert!(is_active(&world, "bob").await, "another account");
    all_is_well(&world).await;
}
