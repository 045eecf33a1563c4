//! The fewest upstream calls, counted in the application's own log.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

use crate::support::{World, address, group, user, values};

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_three_known_members_is_one_call() {
    let world = World::start().await;
    let users = world.users("u", 3).await;
    let (reply, calls) = world
        .calls_of(world.post("/Groups", group("Developers", &users)))
        .await;
    reply.expect(201);
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(world.upstream_members("developers").await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_a_hundred_members_is_one_call() {
    let world = World::start().await;
    let users = world.users("u", 100).await;
    let id = world.group("Developers", &[]).await;
    let add = json!([{ "op": "add", "path": "members", "value": values(&users) }]);
    let (reply, calls) = world
        .calls_of(world.patch(&format!("/Groups/{id}"), add))
        .await;
    reply.expect(204);
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(
        world.upstream_members("developers").await.unwrap().len(),
        100
    );
    assert_eq!(world.members(&id).await, users.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_and_adding_in_one_request_is_at_most_two_calls() {
    let world = World::start().await;
    let users = world.users("u", 4).await;
    let id = world.group("Developers", &users[..3]).await;
    let operations = json!([
        { "op": "remove", "path": format!("members[value eq \"{}\"]", users[0]) },
        { "op": "add", "path": "members", "value": values(&users[3..]) },
    ]);
    let (reply, calls) = world
        .calls_of(world.patch(&format!("/Groups/{id}"), operations))
        .await;
    reply.expect(204);
    assert!(calls.len() <= 2, "{calls:#?}");
    let expected: BTreeSet<_> = ["u1", "u2", "u3"].map(address).into();
    assert_eq!(
        world.upstream_members("developers").await.unwrap(),
        expected
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_costs_no_call() {
    let world = World::start().await;
    let users = world.users("u", 3).await;
    let id = world.group("Developers", &users).await;
    let path = format!("/Groups/{id}");
    let rename = json!([{ "op": "replace", "value": { "id": id, "displayName": "Developers" } }]);
    let again = json!([{ "op": "add", "path": "members", "value": values(&users) }]);
    let nobody = json!([{ "op": "remove", "path": "members[value eq \"nobody\"]" }]);
    let title = json!([{ "op": "replace", "path": "title", "value": "Engineer" }]);
    let person = format!("/Users/{}", users[0]);
    let before = world.get(&path).await.body["meta"]["version"].clone();
    let ((), calls) = world
        .calls_of(async {
            world.patch(&path, rename).await.expect(204);
            world.patch(&path, again).await.expect(204);
            world.patch(&path, nobody).await.expect(204);
            world
                .put(&path, group("Developers", &users))
                .await
                .expect(200);
            world.patch(&person, title).await.expect(200);
        })
        .await;
    assert!(calls.is_empty(), "{calls:#?}");
    assert_eq!(
        world.get(&path).await.body["meta"]["version"],
        before,
        "a no-op has no new version"
    );
    assert_eq!(world.get(&person).await.body["title"], "Engineer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_changes_the_scim_name_and_nothing_upstream() {
    let world = World::start().await;
    let users = world.users("u", 1).await;
    let id = world.group("Developers", &users).await;
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Builders" }]);
    let (reply, calls) = world
        .calls_of(world.patch(&format!("/Groups/{id}"), rename))
        .await;
    reply.expect(204);
    assert!(calls.is_empty(), "{calls:#?}");
    assert_eq!(
        world.get(&format!("/Groups/{id}")).await.body["displayName"],
        "Builders"
    );
    assert!(world.upstream_members("developers").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_everything_is_one_call_for_each_direction() {
    let world = World::start().await;
    let users = world.users("u", 10).await;
    let id = world.group("Developers", &users[..5]).await;
    let (reply, calls) = world
        .calls_of(world.put(&format!("/Groups/{id}"), group("Developers", &users[5..])))
        .await;
    reply.expect(200);
    assert_eq!(calls.len(), 2, "{calls:#?}");
    assert_eq!(
        world.members(&id).await,
        users[5..].iter().cloned().collect()
    );
    let expected: BTreeSet<_> = (5..10).map(|i| address(&format!("u{i}"))).collect();
    assert_eq!(
        world.upstream_members("developers").await.unwrap(),
        expected
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_swaps_nobody_but_drops_one_names_only_that_one() {
    let world = World::start().await;
    let users = world.users("u", 50).await;
    let id = world.group("Developers", &users).await;
    let (reply, calls) = world
        .calls_of(world.put(&format!("/Groups/{id}"), group("Developers", &users[1..])))
        .await;
    reply.expect(200);
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert!(calls[0]["body"].to_string().len() < 100, "{:#?}", calls[0]);
    assert_eq!(
        world.upstream_members("developers").await.unwrap().len(),
        49
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_is_one_call_and_its_deactivation_one_whatever_its_memberships() {
    let world = World::start().await;
    let (reply, calls) = world.calls_of(world.post("/Users", user("leaver"))).await;
    let id = reply.expect(201).id();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    for name in ["one", "two", "three", "four"] {
        world.group(name, std::slice::from_ref(&id)).await;
    }
    let off = json!([{ "op": "Replace", "path": "active", "value": "False" }]);
    let (reply, calls) = world
        .calls_of(world.patch(&format!("/Users/{id}"), off))
        .await;
    assert_eq!(reply.expect(200).body["active"], false);
    assert_eq!(calls.len(), 1, "{calls:#?}");
}

/// Every client keeps some requests open, as connectors do that work through
/// several connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_single_member_patches_from_sixteen_clients_become_one_call_in_sixteen() {
    let calls = a_thousand_patches(16, 4).await;
    println!("1,000 PATCHes, 16 clients with 4 requests open each: {calls} upstream calls");
    assert!(calls * 16 <= 1_000, "{calls} calls");
}

/// With one request open each, sixteen clients can never have more than
/// sixteen changes under way, so 63 calls is the least possible; how near it
/// comes is a figure of the benchmark. Here: it does not fall apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_clients_with_one_request_open_each_share_their_calls_too() {
    let calls = a_thousand_patches(16, 1).await;
    println!("1,000 PATCHes, 16 clients with 1 request open each: {calls} upstream calls");
    assert!(calls * 8 <= 1_000, "{calls} calls");
}

/// Adds 1,000 members one by one; every answer must mean "it is upstream".
async fn a_thousand_patches(clients: usize, open: usize) -> usize {
    let world = Arc::new(World::start().await);
    let users = Arc::new(world.users("u", 1_000).await);
    let id = Arc::new(world.group("Developers", &[]).await);
    world.faults(json!({ "latency_ms": 50 })).await;
    world.forget_calls().await;
    let senders = (0..clients * open).map(|sender| {
        let (world, users, id) = (Arc::clone(&world), Arc::clone(&users), Arc::clone(&id));
        tokio::spawn(async move {
            for user in users.iter().skip(sender).step_by(clients * open) {
                let add = json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": user }] }]);
                let reply = world.patch(&format!("/Groups/{id}"), add).await.expect(204);
                assert!(!reply.headers.contains_key("drawbridge-pending"), "answered before it was upstream");
            }
        })
    });
    for sender in futures_util::future::join_all(senders).await {
        sender.unwrap();
    }
    let calls = world.calls().await.len();
    world.faults(json!({})).await;
    assert_eq!(
        world.upstream_members("developers").await.unwrap().len(),
        1_000
    );
    assert_eq!(world.members(&id).await.len(), 1_000);
    calls
}
