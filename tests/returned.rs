//! What was taken away or deleted here, and done in the application as it said: an
//! import whose reading began before does not bring it back, and what is there all the
//! same later is told, by an exit status too, and asks for nothing (reliability: H-12,
//! H-15, I-13, I-26).

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually, group, user, values};

const SOON: &str = "read_lag = \"100ms\"\nsync_wait = \"2s\"\nimport = \"start\"";
const GROUPS: &str = "/api/v2/groupmanagement/group";

fn accounts(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

/// Without the ends of lines, which depend on the screen.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a command says, and whether its exit status was 0.
fn says(world: &World, arguments: &[&str]) -> (String, bool) {
    let (said, wrong, ok) = world.run(arguments);
    (flat(&(said + &wrong)), ok)
}

async fn until_imported(world: &World) {
    eventually("an import has come to its end", async || {
        is_imported(world).await
    })
    .await;
}

async fn until_nothing_is_open(world: &World) {
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    eventually("nothing is open", async || {
        world.status().await["connections"][0]["pending"] == nothing
    })
    .await;
}

/// The Groups of that name.
async fn called(world: &World, name: &str) -> Vec<Value> {
    let path = format!("/Groups?filter=displayName%20eq%20%22{name}%22");
    let listed = world.get(&path).await.expect(200).body;
    let found = listed["Resources"].as_array().cloned();
    found.unwrap_or_default()
}

/// By hand, in the application: a group with members.
async fn makes(world: &World, name: &str, members: &[&str]) {
    world
        .as_administrator("POST", GROUPS, json!({ "name": name }))
        .await;
    let path = format!("{GROUPS}/{name}/members");
    let body = json!({ "members": accounts(members) });
    world.as_administrator("POST", &path, body).await;
    assert_eq!(world.upstream_members(name).await, Some(accounts(members)));
}

async fn added(world: &World, group: &str, ids: &[String]) -> u16 {
    let add = json!([{ "op": "add", "path": "members", "value": values(ids) }]);
    world
        .patch(&format!("/Groups/{group}"), add)
        .await
        .status
        .as_u16()
}

/// Whether an import has read the members of a group, and not come to its end.
async fn has_read(world: &World, group: &str) -> bool {
    let calls = world.calls().await;
    let path = format!("{GROUPS}/{group}/members");
    let read = |call: &Value| call["method"] == "GET" && call["path"] == path.as_str();
    calls.iter().any(read) && !is_imported(world).await
}

async fn is_imported(world: &World) -> bool {
    world.status().await["connections"][0]["lastImport"]["lastGood"].is_string()
}

/// An account that was ended, by hand; its id there.
async fn gives_back(world: &World, name: &str) -> String {
    let body = json!({ "email": address(name), "firstName": "G", "lastName": "F" });
    let path = "/api/v2/usermanagement/user";
    world.as_administrator("POST", path, body).await;
    let state = world.state().await;
    let all = state["users"].as_array().unwrap();
    let account = all.iter().find(|user| user["email"] == address(name));
    account.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Who was deleted is in it still, and is who has the account anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_to_be_taken_away_was_given_back_by_nobody() {
    let mut world = World::with(SOON, &["--empty"]).await;
    let users = world.users("u", 2).await;
    world.group("crew", &users).await;
    let (_, said, ok) = world.run(&["pause"]);
    assert!(
        ok && said.contains("are stopped.") && !said.contains("within"),
        "{said}"
    );
    let path = format!("/Users/{}", users[0]);
    world.send("DELETE", &path, None).await.expect(204);
    world.post("/Users", user("u0")).await.expect(201);
    world.stop_bridge();
    world.start_bridge();
    until_imported(&world).await;
    assert_eq!(
        world.upstream_members("crew").await,
        Some(accounts(&["u0", "u1"]))
    );
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    assert_eq!(world.status().await["connections"][0]["returned"], nothing);
    world.run(&["resume"]);
    until_nothing_is_open(&world).await;
    assert_eq!(
        world.upstream_members("crew").await,
        Some(accounts(&["u1"]))
    );
    let (said, well) = says(&world, &["status"]);
    assert!(well, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_goes_while_an_import_reads_is_not_found_again() {
    let mut world = World::with(SOON, &["--empty"]).await;
    let users = world.users("u", 3).await;
    let crew = world.group("crew", &users).await;
    // The reading of the others takes long, as of a large company.
    for n in 0..12 {
        world.group(&format!("zz-{n}"), &users[..1]).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.stop_bridge();
    world.faults(json!({ "latency_ms": 300 })).await;
    world.forget_calls().await;
    world.start_bridge();
    eventually("it is read", async || has_read(&world, "crew").await).await;
    let path = format!("/Groups/{crew}");
    world.send("DELETE", &path, None).await.expect(204);
    assert_eq!(world.upstream_members("crew").await, None);
    assert!(!is_imported(&world).await, "the reading goes on");
    world.faults(json!({})).await;
    until_imported(&world).await;
    assert_eq!(called(&world, "crew").await, Vec::<Value>::new());
    let (said, well) = says(&world, &["reconcile"]);
    assert!(well && !said.contains('!'), "{said}");
    world
        .post("/Groups", group("crew", &users[2..]))
        .await
        .expect(201);
    until_nothing_is_open(&world).await;
    assert_eq!(
        world.upstream_members("crew").await,
        Some(accounts(&["u2"]))
    );
}

/// Four users, and a Group that an import has found with two of them.
async fn with_a_found_group() -> (World, Vec<String>, String) {
    let mut world = World::with(SOON, &["--empty"]).await;
    let users = world.users("u", 4).await;
    makes(&world, "crew", &["u0", "u1"]).await;
    world.import();
    until_imported(&world).await;
    let crew = called(&world, "crew").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    (world, users, crew)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_only_found_in_a_group_that_is_gone_is_not_put_into_it_again() {
    let (world, users, crew) = with_a_found_group().await;
    assert_eq!(world.members(&crew).await.len(), 2);
    // One of those who are asked for was found there before.
    assert_eq!(added(&world, &crew, &users[1..2]).await, 204);
    world
        .as_administrator("DELETE", &format!("{GROUPS}/crew"), Value::Null)
        .await;
    assert_eq!(added(&world, &crew, &users[2..3]).await, 400);
    assert_eq!(added(&world, &crew, &users[2..3]).await, 204);
    until_nothing_is_open(&world).await;
    let asked = accounts(&["u1", "u2"]);
    assert_eq!(world.upstream_members("crew").await, Some(asked));
    let shown: BTreeSet<String> = users[1..3].iter().cloned().collect();
    assert_eq!(world.members(&crew).await, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_was_taken_away_is_told_and_not_found_again() {
    let (mut world, users, crew) = with_a_found_group().await;
    let remove = json!([{ "op": "remove", "path": "members", "value": values(&users[..1]) }]);
    let path = format!("/Groups/{crew}");
    world.patch(&path, remove).await.expect(204);
    let back = json!({ "members": accounts(&["u0", "u2"]) });
    let there = format!("{GROUPS}/crew/members");
    world.as_administrator("POST", &there, back).await;
    tokio::time::sleep(Duration::from_millis(200)).await;

    world.stop_bridge();
    let (said, ok) = says(&world, &["import"]);
    assert!(!ok && said.contains("1 memberships are there"), "{said}");
    world.start_bridge();
    until_imported(&world).await;
    // Who was put there by hand, and was never taken out, is found.
    let shown: BTreeSet<String> = users[1..3].iter().cloned().collect();
    assert_eq!(world.members(&crew).await, shown);
    let told = format!("! {} is there, though removed here at 2", users[0]);
    let line = "1 memberships are there, though they were taken away here";
    let (said, well) = says(&world, &["status"]);
    assert!(!well && said.contains(line), "{said}");
    let (said, ok) = says(&world, &["reconcile"]);
    assert!(!ok && said.contains(&told), "{said}");
    let (said, well) = says(&world, &["status"]);
    assert!(!well && said.contains(line), "{said}");
    // Whoever asks for it has it.
    assert_eq!(added(&world, &crew, &users[..1]).await, 204);
    until_nothing_is_open(&world).await;
    let (said, ok) = says(&world, &["reconcile"]);
    assert!(ok, "{said}");
    let (said, well) = says(&world, &["status"]);
    assert!(well, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_deleted_and_is_there_is_told_before_and_after_an_import() {
    let mut world = World::with(SOON, &["--empty"]).await;
    until_imported(&world).await;
    let users = world.users("u", 3).await;
    let crew = world.group("crew", &users[..2]).await;
    world
        .send("DELETE", &format!("/Groups/{crew}"), None)
        .await
        .expect(204);
    until_nothing_is_open(&world).await;
    let (said, ok) = says(&world, &["reconcile"]);
    assert!(ok, "{said}");
    makes(&world, "crew", &["u0", "u1"]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;

    let told = "! the group crew, which was deleted here at 2";
    for more in [&["reconcile"][..], &["reconcile", "--apply"]] {
        let (said, ok) = says(&world, more);
        assert!(!ok && said.contains(told), "{said}");
        assert!(
            said.contains("1 Groups are there that were deleted"),
            "{said}"
        );
    }
    let (said, well) = says(&world, &["status"]);
    assert!(!well && said.contains("1 Groups are there"), "{said}");

    world.stop_bridge();
    let (said, ok) = says(&world, &["import"]);
    assert!(!ok && said.contains("1 Groups are there"), "{said}");
    world.start_bridge();
    until_imported(&world).await;
    let found = called(&world, "crew").await;
    let id = found[0]["id"].as_str().unwrap();
    assert_ne!(id, crew);
    let (said, well) = says(&world, &["status"]);
    assert!(!well && said.contains("1 Groups are there"), "{said}");
    let (said, ok) = says(&world, &["reconcile"]);
    let now = format!("it is Group {id} by now");
    assert!(!ok && said.contains(told) && said.contains(&now), "{said}");
    // Whoever asks for it has it, and nobody was taken out.
    assert_eq!(added(&world, id, &users[2..]).await, 204);
    until_nothing_is_open(&world).await;
    let all = accounts(&["u0", "u1", "u2"]);
    assert_eq!(world.upstream_members("crew").await, Some(all));
    let (said, ok) = says(&world, &["reconcile"]);
    assert!(ok, "{said}");
    let (said, well) = says(&world, &["status"]);
    assert!(well, "{said}");
}

/// Somebody has given it back, before an import or long after one that did not see it.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_user_was_deleted_and_that_is_in_use_is_told() {
    for forgotten in [false, true] {
        let mut world = World::of(Application::Opsera, SOON).await;
        until_imported(&world).await;
        let users = world.users("u", 2).await;
        if forgotten {
            // By that it is known which account it was.
            world.import();
            until_imported(&world).await;
        }
        let path = format!("/Users/{}", users[0]);
        world.send("DELETE", &path, None).await.expect(204);
        until_nothing_is_open(&world).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (said, ok) = says(&world, &["reconcile"]);
        assert!(ok, "{said}");
        if forgotten {
            world.import();
            until_imported(&world).await;
        }
        let account = gives_back(&world, "u0").await;
        tokio::time::sleep(Duration::from_millis(200)).await;

        let told = format!("! the account {account} of a User who was deleted here at 2");
        for more in [&["reconcile"][..], &["reconcile", "--apply"]] {
            let (said, ok) = says(&world, more);
            assert!(!ok && said.contains(&told), "{forgotten}: {said}");
        }
        let (said, well) = says(&world, &["status"]);
        assert!(!well && said.contains("1 accounts are in use"), "{said}");
        world.stop_bridge();
        let (said, ok) = says(&world, &["import"]);
        assert!(!ok && said.contains("1 Users are there"), "{said}");
        world.start_bridge();
        until_imported(&world).await;
        let filter = format!("/Users?filter=userName%20eq%20%22{}%22", address("u0"));
        let found = world.get(&filter).await.expect(200).body;
        let found = &found["Resources"][0];
        assert_eq!(found["active"], true, "{found}");
        let id = found["id"].as_str().unwrap();
        assert_ne!(id, users[0]);
        let (said, ok) = says(&world, &["reconcile"]);
        let now = format!("it is User {id} by now");
        assert!(!ok && said.contains(&told) && said.contains(&now), "{said}");
        // Deleted once more, it is ended.
        let path = format!("/Users/{id}");
        world.send("DELETE", &path, None).await.expect(204);
        until_nothing_is_open(&world).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (said, ok) = says(&world, &["reconcile"]);
        assert!(ok, "{said}");
        let (said, well) = says(&world, &["status"]);
        assert!(well, "{said}");
    }
}
