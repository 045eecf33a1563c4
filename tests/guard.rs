//! The guard rails by the front door: what takes away too much at once is
//! refused, changes nothing here or in the application, and waits; a single
//! leaver does not (reliability: section 6).

use serde_json::json;

use crate::support::{World, address, values};

mod brink;
mod deciding;
mod deletions;
mod recovery;
mod shapes;
mod shown;

/// With the guard as `serve` has it.
const ON: &str = "guard = {}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_is_too_large_is_refused_by_name_and_changes_nothing() {
    let world = World::with(ON, &["--empty"]).await;
    let ids = world.users("m", 30).await;
    let group = world.group("dev", &ids).await;
    let path = format!("/Groups/{group}");
    let operations = json!([{ "op": "remove", "path": "members", "value": values(&ids[..11]) }]);
    let (refused, calls) = world.calls_of(world.patch(&path, operations.clone())).await;
    let refused = refused.expect(403);
    let detail = refused.body["detail"].as_str().unwrap();
    for words in [
        "it takes 11 members from the group",
        "at most 10 of 30 may go",
        &ids[0],
        &ids[10],
        "Nothing was changed",
        "drawbridge held show",
    ] {
        assert!(detail.contains(words), "{words} in {detail}");
    }
    assert_eq!(calls, Vec::<serde_json::Value>::new());
    assert_eq!(world.members(&group).await.len(), 30);
    // The same request is the same hold; another one is another.
    let again = world.patch(&path, operations).await.expect(403);
    assert_eq!(again.body["detail"], refused.body["detail"]);
    // Somebody who leaves is not held, and adds are not either.
    let leaver = json!([{ "op": "replace", "path": "active", "value": false }]);
    world
        .patch(&format!("/Users/{}", ids[0]), leaver)
        .await
        .expect(200);
    let new = world.user("new").await;
    let add = json!([{ "op": "add", "path": "members", "value": values(&[new]) }]);
    world.patch(&path, add).await.expect(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_of_a_bulk_request_is_held_on_its_own() {
    let world = World::with(ON, &["--empty"]).await;
    let ids = world.users("m", 12).await;
    let group = world.group("dev", &ids).await;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            { "method": "PUT", "path": format!("/Groups/{group}"),
              "data": { "displayName": "dev", "members": [] } },
            { "method": "DELETE", "path": format!("/Groups/{group}") },
            { "method": "PATCH", "path": format!("/Users/{}", ids[0]),
              "data": { "Operations": [{ "op": "replace", "path": "active", "value": false }] } },
        ],
    });
    let reply = world.post("/Bulk", body).await.expect(200);
    let told = reply.body["Operations"].as_array().unwrap();
    let statuses: Vec<_> = told.iter().map(|o| o["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["403", "403", "200"], "{told:#?}");
    for held in &told[..2] {
        let detail = held["response"]["detail"].as_str().unwrap();
        assert!(detail.contains("It is held as"), "{detail}");
    }
    assert_eq!(world.members(&group).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_protected_says_so() {
    let rules = "guard = { enabled = false, protected_users = [\"M0@example.com\"], protected_groups = [\"dev\"] }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 2).await;
    let group = world.group("dev", &ids).await;
    for (method, path) in [
        ("DELETE", format!("/Groups/{group}")),
        ("DELETE", format!("/Users/{}", ids[0])),
    ] {
        let refused = world.send(method, &path, None).await.expect(403);
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains("protected"), "{detail}");
        world.get(&path).await.expect(200);
    }
    let renamed = json!([{ "op": "replace", "path": "displayName", "value": "other" }]);
    // The application's name for it stays, and by that it is protected still.
    world
        .patch(&format!("/Groups/{group}"), renamed)
        .await
        .expect(204);
    world
        .send("DELETE", &format!("/Groups/{group}"), None)
        .await
        .expect(403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_site_role_is_a_removal_and_is_not_given_to_who_is_protected() {
    let rules = "guard = { removals = { more_than = 2, percent = 0 }, protected_users = [\"m0@example.com\"] }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 6).await;
    let give = async |n: usize, role: &str| {
        let roles = json!([{ "op": "replace", "path": "roles", "value": [{ "value": role }] }]);
        world.patch(&format!("/Users/{}", ids[n]), roles).await
    };
    // Higher is no removal, for whomever and however many.
    for n in 0..6 {
        give(n, "Administrators").await.expect(200);
    }
    let refused = give(0, "Users").await.expect(403);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("its site role is not lowered"), "{detail}");
    for n in 1..3 {
        give(n, "Auditors").await.expect(200);
    }
    let (held, calls) = world.calls_of(give(3, "Users")).await;
    let held = held.expect(403);
    let detail = held.body["detail"].as_str().unwrap();
    for words in [
        "(removals)",
        "what the site role of the User",
        "It is held as",
    ] {
        assert!(detail.contains(words), "{words} in {detail}");
    }
    assert_eq!(calls, Vec::<serde_json::Value>::new());
    // The same user's counts once, and somebody who leaves alone still does.
    give(2, "Administrators").await.expect(200);
    give(2, "Auditors").await.expect(200);
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    world
        .patch(&format!("/Users/{}", ids[4]), off)
        .await
        .expect(200);
    // What the operator has seen is done.
    let (_, rest) = detail.split_once("It is held as ").unwrap();
    let hold = rest.split(' ').next().unwrap();
    let (code, said) = world
        .operate("POST", &format!("/held/{hold}/approve"))
        .await;
    assert_eq!(code, 200, "{said}");
    let user = world.get(&format!("/Users/{}", ids[3])).await.expect(200);
    assert_eq!(user.body["roles"][0]["value"], "Users");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_group_keeps_who_is_there_until_the_next_has_arrived() {
    let rules = "guard = { enabled = false, protected_groups = [\"dev\"] }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 2).await;
    let group = world.group("dev", &ids[..1]).await;
    let path = format!("/Groups/{group}");
    let refusal = json!({ "refuse_members": [address("m1")] });
    world.faults(refusal).await;
    // The application would refuse the second after the first was let go.
    let swap = json!({ "displayName": "dev", "members": values(&ids[1..]) });
    let refused = world.put(&path, swap.clone()).await.expect(403);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("add, then remove"), "{detail}");
    let first = [address("m0")].into();
    assert_eq!(world.upstream_members("dev").await, Some(first));
    world.faults(json!({})).await;
    let add = json!([{ "op": "add", "path": "members", "value": values(&ids[1..]) }]);
    world.patch(&path, add).await.expect(204);
    world.put(&path, swap).await.expect(200);
    let second = [address("m1")].into();
    world.until_upstream_has("dev", &second).await;
}
