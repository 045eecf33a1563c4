//! What a lying or lagging application, and an import in the middle of it all,
//! must not be able to do (reliability, H-05, H-12, I-03).

use serde_json::{Value, json};

use crate::support::{World, address, user};

fn rule(failure: Value, operation: &str, next: u64) -> Value {
    json!({ "rules": [{ "failure": failure, "operation": operation, "next": next }] })
}

fn operations(calls: &[Value]) -> Vec<&str> {
    calls
        .iter()
        .filter_map(|call| call["operation"].as_str())
        .collect()
}

async fn remote(world: &World, email: &str) -> Value {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap();
    let found = users.iter().find(|user| user["email"] == email);
    found.cloned().unwrap_or(Value::Null)
}

/// An account that was there before the bridge asked for it is not ours only
/// because the answer to our request for it was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_does_not_make_a_group_of_others_ours() {
    let world = World::with("import = \"never\"", &[]).await;
    let state = world.state().await;
    let groups = state["groups"].as_array().unwrap();
    let theirs = groups
        .iter()
        .find(|group| {
            let name = group["name"].as_str().unwrap();
            let plain = name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let members = group["members"].as_array().unwrap().len();
            plain && name.len() < 25 && members > 0 && group["isSync"] != true
        })
        .unwrap();
    let name = theirs["name"].as_str().unwrap();
    let own = world.user("newcomer").await;
    world
        .faults(rule(json!("error_before"), "create_group", 1))
        .await;
    let reply = world
        .post("/Groups", crate::support::group(name, &[own]))
        .await
        .expect(409);
    assert_eq!(reply.body["scimType"], "uniqueness", "{reply:?}");
    let before = theirs["members"].as_array().unwrap().len();
    assert_eq!(world.upstream_members(name).await.unwrap().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_taken_away_goes_back_to_the_plain_one() {
    let world = World::start().await;
    let mut body = user("boss");
    body["roles"] = json!([{ "value": "Administrators", "primary": true }]);
    let id = world.post("/Users", body).await.expect(201).id();
    let path = format!("/Users/{id}");
    assert_eq!(
        remote(&world, &address("boss")).await["site_role"],
        "Administrators"
    );
    // A PUT that does not speak of roles changes nothing about them.
    let (reply, calls) = world.calls_of(world.put(&path, user("boss"))).await;
    reply.expect(200);
    assert!(calls.is_empty(), "{calls:#?}");
    let none = json!([{ "op": "remove", "path": "roles" }]);
    world.patch(&path, none).await.expect(200);
    assert_eq!(remote(&world, &address("boss")).await["site_role"], "Users");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_profile_takes_the_new_account_back() {
    let world = World::start().await;
    let refusal = json!({ "status": { "status": 400 } });
    world.faults(rule(refusal, "create_person", 1)).await;
    let mut body = user("half");
    body["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] =
        json!({ "department": "Platform" });
    world.post("/Users", body).await.expect(400);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while remote(&world, &address("half")).await["active"] == true {
        assert!(
            std::time::Instant::now() < end,
            "an account that nobody has"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_account_updates_the_record_that_it_has() {
    let world = World::start().await;
    let mut body = user("ann");
    body["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] =
        json!({ "department": "Platform" });
    let (reply, calls) = world.calls_of(world.post("/Users", body)).await;
    let path = format!("/Users/{}", reply.expect(201).id());
    assert_eq!(operations(&calls), ["create_user", "create_person"]);
    let active = |on: bool| json!([{ "op": "replace", "value": { "active": on } }]);
    world.patch(&path, active(false)).await.expect(200);
    let (reply, calls) = world.calls_of(world.patch(&path, active(true))).await;
    reply.expect(200);
    assert_eq!(operations(&calls), ["create_user", "update_person"]);
}

/// The read shows what was so before the account came into being.
#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_read_does_not_hide_an_account_that_is_to_go() {
    let world = World::start().await;
    world.faults(json!({ "read_lag_ms": 20_000 })).await;
    let path = format!("/Users/{}", world.user("quick").await);
    world
        .faults(json!({
            "read_lag_ms": 20_000,
            "rules": [{ "failure": "error_before", "operation": "deactivate_user", "next": 1 }],
        }))
        .await;
    let off = json!([{ "op": "replace", "value": { "active": false } }]);
    world.patch(&path, off).await.expect(200);
    assert_eq!(remote(&world, &address("quick")).await["active"], false);
}
