//! Users and groups through their lives: leaving, coming back, being found by
//! import, and what is never done on the way.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{World, address, group, user, values};

const OFF: fn() -> Value = || json!([{ "op": "replace", "value": { "active": false } }]);
const ON: fn() -> Value = || json!([{ "op": "replace", "value": { "active": true } }]);

#[tokio::test(flavor = "multi_thread")]
async fn memberships_survive_deactivation_and_come_back_with_the_account() {
    let world = World::start().await;
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users).await;
    let person = format!("/Users/{}", users[0]);
    world.patch(&person, OFF()).await.expect(200);
    assert_eq!(world.members(&id).await.len(), 2, "the membership is kept");
    let state = world.state().await;
    let gone = state["users"]
        .as_array()
        .unwrap()
        .iter()
        .find(|u| u["email"] == address("u0"))
        .unwrap()
        .clone();
    assert_eq!(gone["active"], false);
    world.patch(&person, ON()).await.expect(200);
    world
        .until_upstream_has("developers", &["u0", "u1"].map(address).into())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reactivation_is_refused_with_the_reason_unless_configured() {
    let world = World::with("reactivate = \"refuse\"", &["--empty"]).await;
    let id = world.user("back").await;
    let path = format!("/Users/{id}");
    world.patch(&path, OFF()).await.expect(200);
    let (reply, calls) = world.calls_of(world.patch(&path, ON())).await;
    let reply = reply.expect(400);
    assert_eq!(reply.body["scimType"], "mutability");
    assert!(
        reply.body["detail"]
            .as_str()
            .unwrap()
            .contains("reactivate"),
        "{reply:?}"
    );
    assert!(calls.is_empty(), "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_leaves_every_group_and_its_name_is_free() {
    let world = World::start().await;
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users).await;
    world
        .send("DELETE", &format!("/Users/{}", users[0]), None)
        .await
        .expect(204);
    world.get(&format!("/Users/{}", users[0])).await.expect(404);
    world
        .send("DELETE", &format!("/Users/{}", users[0]), None)
        .await
        .expect(404);
    assert_eq!(
        world.members(&id).await,
        users[1..].iter().cloned().collect()
    );
    world
        .until_upstream_has("developers", &[address("u1")].into())
        .await;
    let again = world.post("/Users", user("u0")).await.expect(201).id();
    assert_ne!(again, users[0], "an id is never used again");
    assert_eq!(
        world.members(&id).await.len(),
        1,
        "it inherits no membership"
    );
    assert_eq!(world.upstream_members("developers").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_members_change_nothing_and_are_named() {
    let world = World::start().await;
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users[..1]).await;
    let path = format!("/Groups/{id}");
    let mixed = [users[1].clone(), "no-such-user".to_owned()];
    let operations = json!([
        { "op": "replace", "path": "displayName", "value": "Half done" },
        { "op": "add", "path": "members", "value": values(&mixed) },
    ]);
    let (reply, calls) = world.calls_of(world.patch(&path, operations)).await;
    let reply = reply.expect(400);
    assert!(
        reply.body["detail"]
            .as_str()
            .unwrap()
            .contains("no-such-user"),
        "{reply:?}"
    );
    assert!(calls.is_empty(), "{calls:#?}");
    assert_eq!(world.get(&path).await.body["displayName"], "Developers");
    assert_eq!(world.members(&id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_members_are_skipped_and_reported_where_configured() {
    let world = World::with("unknown_members = \"skip\"", &["--empty"]).await;
    let users = world.users("u", 1).await;
    let mixed = [users[0].clone(), "no-such-user".to_owned()];
    let id = world.group("Developers", &mixed).await;
    assert_eq!(world.members(&id).await, users.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn import_shows_what_is_there_and_changes_nothing() {
    let world = World::with("import = \"start\"", &[]).await;
    let state = world.state().await;
    let users = state["users"].as_array().unwrap();
    let people = users.iter().filter(|user| user["active"] == true).count();
    let groups = state["groups"].as_array().unwrap().len();
    assert!(
        people > 100 && groups > 5,
        "{people} users, {groups} groups"
    );
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while world.get("/Groups?count=0").await.body["totalResults"] != groups {
        assert!(std::time::Instant::now() < end, "the import does not end");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(
        world.get("/Users?count=0").await.body["totalResults"],
        people
    );
    let calls = world.calls().await;
    assert!(
        calls.iter().all(|call| call["method"] == "GET"),
        "{calls:#?}"
    );
    let of_people = |call: &&Value| call["operation"] == "list_people";
    assert_eq!(
        calls.iter().filter(of_people).count(),
        1,
        "one call for all"
    );
    // The identity provider matches one by its name and takes it on.
    let first = state["users"][0]["email"].as_str().unwrap();
    let filter = format!("/Users?filter=userName%20eq%20%22{first}%22");
    let found = world.get(&filter).await.expect(200);
    assert_eq!(found.body["totalResults"], 1);
    let id = found.body["Resources"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (reply, calls) = world
        .calls_of(world.patch(
            &format!("/Users/{id}"),
            json!([{ "op": "add", "path": "externalId", "value": "ext" }]),
        ))
        .await;
    reply.expect(200);
    assert!(calls.is_empty(), "{calls:#?}");
    // A found group is not the identity provider's to delete.
    let name = state["groups"][0]["name"].as_str().unwrap();
    let found = world
        .get(&format!("/Groups?filter=displayName%20eq%20%22{name}%22"))
        .await;
    let id = found.body["Resources"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = world
        .send("DELETE", &format!("/Groups/{id}"), None)
        .await
        .expect(403);
    assert!(
        reply.body["detail"].as_str().unwrap().contains("import"),
        "{reply:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_names_with_one_slug_are_a_conflict_that_names_it() {
    let world = World::start().await;
    world.group("Engineering Team", &[]).await;
    let reply = world
        .post("/Groups", group("engineering/team", &[]))
        .await
        .expect(409);
    assert_eq!(reply.body["scimType"], "uniqueness");
    let detail = reply.body["detail"].as_str().unwrap();
    assert!(detail.contains("engineering-team"), "{detail}");
    assert!(
        detail.contains("Engineering Team"),
        "both are named: {detail}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_single_member_changes_lose_nobody() {
    let world = World::start().await;
    let users = world.users("u", 60).await;
    let id = world.group("Developers", &users[..30]).await;
    let path = format!("/Groups/{id}");
    let change = |n: usize| {
        let op = if n < 30 { "Remove" } else { "Add" };
        world.patch(
            &path,
            json!([{ "op": op, "path": "members", "value": [{ "value": users[n] }] }]),
        )
    };
    for reply in futures_util::future::join_all((0..60).map(change)).await {
        reply.expect(204);
    }
    assert_eq!(
        world.members(&id).await,
        users[30..].iter().cloned().collect()
    );
    let expected: BTreeSet<_> = (30..60).map(|n| address(&format!("u{n}"))).collect();
    world.until_upstream_has("developers", &expected).await;
}
