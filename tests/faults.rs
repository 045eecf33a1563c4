//! The application misbehaves: what the identity provider is told, and what
//! is there in the end (reliability: fault matrix F-01 to F-12, H-04 to H-08).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Application, World, address, group, user, values};

fn rule(failure: Value, operation: &str, next: u64) -> Value {
    json!({ "rules": [{ "failure": failure, "operation": operation, "next": next }] })
}

fn add(ids: &[String]) -> Value {
    json!([{ "op": "add", "path": "members", "value": values(ids) }])
}

fn addresses(prefix: &str, numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    numbers
        .into_iter()
        .map(|n| address(&format!("{prefix}{n}")))
        .collect()
}

/// Three users and a group with the first of them.
async fn small() -> (World, Vec<String>, String) {
    let world = World::start().await;
    let users = world.users("u", 3).await;
    let id = world.group("Developers", &users[..1]).await;
    (world, users, format!("/Groups/{id}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_end_is_sent_again_until_it_is_known() {
    let failures = [
        "error_before",
        "error_after",
        "reset_before",
        "reset_after",
        "truncated",
        "web_page",
    ];
    for failure in failures {
        let (world, users, group) = small().await;
        world.faults(rule(json!(failure), "add_members", 1)).await;
        world.patch(&group, add(&users[1..])).await.expect(204);
        world
            .until_upstream_has("developers", &addresses("u", 0..3))
            .await;
        assert_eq!(
            world
                .members(group.trim_start_matches("/Groups/"))
                .await
                .len(),
            3,
            "{failure}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_other_types_is_read_again_and_not_believed() {
    let (world, users, group) = small().await;
    world
        .faults(rule(json!("wrong_types"), "remove_members", 1))
        .await;
    let remove = json!([{ "op": "remove", "path": "members", "value": values(&users[..1]) }]);
    world.patch(&group, remove).await.expect(204);
    world
        .until_upstream_has("developers", &BTreeSet::new())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_application_gets_its_change_later_and_the_client_its_answer_in_time() {
    let world = World::with("sync_wait = \"1s\"", &["--empty"]).await;
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &[]).await;
    world.faults(json!({ "latency_ms": 3000 })).await;
    let started = std::time::Instant::now();
    let reply = world
        .patch(&format!("/Groups/{id}"), add(&users))
        .await
        .expect(204);
    assert!(
        reply.headers.contains_key("drawbridge-pending"),
        "{reply:?}"
    );
    assert!(started.elapsed().as_secs() < 3);
    assert_eq!(
        world.members(&id).await.len(),
        2,
        "accepted and pending members are shown"
    );
    world.faults(json!({ "latency_ms": 0 })).await;
    world
        .until_upstream_has("developers", &addresses("u", 0..2))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ack_confirmed_an_open_outcome_is_503_and_the_change_is_kept() {
    let world = World::with("sync_wait = \"300ms\"\nack = \"confirmed\"", &["--empty"]).await;
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &[]).await;
    world.faults(json!({ "latency_ms": 1500 })).await;
    let reply = world
        .patch(&format!("/Groups/{id}"), add(&users))
        .await
        .expect(503);
    let after = reply
        .headers
        .get("retry-after")
        .expect("Retry-After")
        .to_str()
        .unwrap();
    assert!(after.parse::<u64>().is_ok(), "{after}");
    assert_eq!(reply.body["status"], "503");
    world.faults(json!({ "latency_ms": 0 })).await;
    world
        .until_upstream_has("developers", &addresses("u", 0..2))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_whom_the_application_cannot_be_told_yet_is_not_done() {
    let not_now = json!({ "rules": [{ "failure": { "status": { "status": 503, "retry_after": "1" } }, "writes": true }] });
    for (ack, status) in [("confirmed", 503), ("durable", 201)] {
        let rules = format!("sync_wait = \"700ms\"\nack = \"{ack}\"");
        let world = World::with(&rules, &["--empty"]).await;
        world.faults(not_now.clone()).await;
        let reply = world.send("POST", "/Users", Some(user("u0"))).await;
        let reply = reply.expect(status);
        let pending = reply.headers.get("drawbridge-pending");
        assert_eq!(pending.is_some(), status == 201, "{ack}");
        world.faults(json!({})).await;
        let list = world.get("/Users").await.expect(200);
        let id = list.body["Resources"][0]["id"].as_str().unwrap().to_owned();
        let _ = world
            .send("POST", "/Groups", Some(group("dev", &[id])))
            .await;
        world.until_upstream_has("dev", &addresses("u", 0..1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_member_is_named_and_the_others_are_in() {
    let world = World::start().await;
    let users = world.users("u", 100).await;
    let id = world.group("Developers", &[]).await;
    world
        .faults(json!({ "refuse_members": [address("u37")] }))
        .await;
    let reply = world
        .patch(&format!("/Groups/{id}"), add(&users))
        .await
        .expect(400);
    let detail = reply.body["detail"].as_str().unwrap();
    assert!(detail.contains(&users[37]), "{detail}");
    assert!(!detail.contains(&users[36]), "{detail}");
    assert_eq!(reply.body["scimType"], "invalidValue");
    let expected = addresses("u", (0..100).filter(|n| *n != 37));
    assert_eq!(
        world.upstream_members("developers").await.unwrap(),
        expected
    );
    assert!(
        !world.members(&id).await.contains(&users[37]),
        "a refused member is never shown"
    );
    assert_eq!(world.members(&id).await.len(), 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn unlisted_duplicates_are_settled_by_one_read() {
    let (world, users, group) = small().await;
    // The application has the member already, without the bridge knowing it.
    world
        .faults(rule(json!("error_after"), "add_members", 1))
        .await;
    let (reply, calls) = world.calls_of(world.patch(&group, add(&users[1..]))).await;
    reply.expect(204);
    world
        .until_upstream_has("developers", &addresses("u", 0..3))
        .await;
    assert!(calls.len() <= 3, "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_application_is_left_alone_as_long_as_it_asked() {
    let (world, users, group) = small().await;
    let throttle = json!({ "status": { "status": 429, "retry_after": "2" } });
    world.faults(rule(throttle, "add_members", 1)).await;
    world.forget_calls().await;
    world.patch(&group, add(&users[1..])).await.expect(204);
    world
        .until_upstream_has("developers", &addresses("u", 0..3))
        .await;
    let calls = world.calls().await;
    let writes: Vec<_> = calls
        .iter()
        .filter(|c| c["operation"] == "add_members")
        .collect();
    assert_eq!(writes.len(), 2, "{calls:#?}");
    let at = |call: &Value| call["started_ms"].as_u64().unwrap();
    assert!(
        at(writes[1]) - at(writes[0]) >= 2_000,
        "sent early: {writes:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_deactivation_is_an_error_and_the_user_stays_active() {
    let world = World::start().await;
    let id = world.user("owner").await;
    let path = format!("/Users/{id}");
    let refusal = json!({ "status": { "status": 400 } });
    world.faults(rule(refusal, "deactivate_user", 2)).await;
    let off = json!([{ "op": "replace", "value": { "active": false } }]);
    world.patch(&path, off).await.expect(400);
    assert_eq!(world.get(&path).await.body["active"], true);
    world.send("DELETE", &path, None).await.expect(400);
    assert_eq!(world.get(&path).await.expect(200).body["active"], true);
}

/// Nothing about a displayName can be done about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_deletion_of_a_group_says_what_was_refused_and_what_to_do() {
    for status in [409, 400] {
        let (world, _, path) = small().await;
        let refusal = json!({ "status": { "status": status } });
        world.faults(rule(refusal, "delete_group", 1)).await;
        let refused = world.send("DELETE", &path, None).await.expect(400);
        assert_eq!(refused.body["scimType"], "invalidValue");
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains("refused to delete the group"), "{detail}");
        assert!(detail.contains("still there"), "{detail}");
        assert!(!detail.contains("displayName"), "{detail}");
        world.get(&path).await.expect(404);
        let (said, wrong, _) = world.run(&["reconcile", "--apply"]);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while world.upstream_members("developers").await.is_some() {
            assert!(std::time::Instant::now() < end, "{said}{wrong}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_or_group_that_is_there_already_is_never_taken_over() {
    let world = World::start().await;
    let exists = json!({ "status": { "status": 409 } });
    world.faults(rule(exists.clone(), "create_user", 1)).await;
    let reply = world.post("/Users", user("squatter")).await.expect(409);
    assert_eq!(reply.body["scimType"], "uniqueness");
    let filter = format!(
        "/Users?filter=userName%20eq%20%22{}%22",
        address("squatter")
    );
    assert_eq!(
        world.get(&filter).await.body["totalResults"],
        0,
        "nothing is left of it"
    );
    world.faults(rule(exists, "create_group", 1)).await;
    world.post("/Groups", group("Squat", &[])).await.expect(409);
    assert_eq!(world.get("/Groups").await.body["totalResults"], 0);
    world.post("/Groups", group("Squat", &[])).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_creation_is_finished_and_not_doubled() {
    for failure in ["error_before", "error_after", "reset_after"] {
        let world = World::start().await;
        let users = world.users("u", 2).await;
        world.faults(rule(json!(failure), "create_group", 1)).await;
        let id = world
            .post("/Groups", group("Developers", &users))
            .await
            .expect(201)
            .id();
        world
            .until_upstream_has("developers", &addresses("u", 0..2))
            .await;
        assert_eq!(world.members(&id).await.len(), 2);
        world.faults(rule(json!(failure), "create_user", 1)).await;
        let person = world.post("/Users", user("late")).await.expect(201).id();
        world
            .patch(&format!("/Groups/{id}"), add(std::slice::from_ref(&person)))
            .await
            .expect(204);
        let mut expected = addresses("u", 0..2);
        expected.insert(address("late"));
        world.until_upstream_has("developers", &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_a_restart_works_off_what_is_open() {
    let mut world = World::with("sync_wait = \"200ms\"", &["--empty"]).await;
    let users = world.users("u", 20).await;
    let id = world.group("Developers", &users[..5]).await;
    world
        .faults(json!({ "rules": [{ "failure": "silent", "writes": true }] }))
        .await;
    world
        .patch(&format!("/Groups/{id}"), add(&users[5..]))
        .await
        .expect(204);
    let remove = json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", users[0]) }]);
    world
        .patch(&format!("/Groups/{id}"), remove)
        .await
        .expect(204);
    let other = world
        .post("/Groups", group("Others", &users[..3]))
        .await
        .expect(201)
        .id();
    world.faults(json!({})).await;
    world.kill_and_restart();
    world
        .until_upstream_has("developers", &addresses("u", 1..20))
        .await;
    world
        .until_upstream_has("others", &addresses("u", 0..3))
        .await;
    assert_eq!(world.members(&id).await.len(), 19);
    assert_eq!(world.members(&other).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_application_costs_no_acknowledged_change() {
    let world = World::with("sync_wait = \"200ms\"", &["--empty"]).await;
    let users = world.users("u", 3).await;
    let id = world.group("Developers", &users[..1]).await;
    let silence = json!({ "status": { "status": 503 } });
    world
        .faults(json!({ "rules": [{ "failure": silence, "writes": true, "next": 3 }] }))
        .await;
    world
        .patch(&format!("/Groups/{id}"), add(&users[1..]))
        .await
        .expect(204);
    let off = json!([{ "op": "replace", "value": { "active": false } }]);
    world
        .patch(&format!("/Users/{}", users[0]), off)
        .await
        .expect(200);
    world
        .until_upstream_has("developers", &addresses("u", 0..3))
        .await;
}

fn inactive() -> Value {
    json!([{ "op": "replace", "path": "active", "value": false }])
}

/// Whether an account is active in the application.
async fn is_active(world: &World, name: &str) -> bool {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap();
    let user = users.iter().find(|user| user["email"] == address(name));
    user.is_some_and(|user| user["active"] == true)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !holds().await {
        assert!(std::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_that_is_forbidden_keeps_nobody_else_s_access() {
    let world = World::with("sync_wait = \"300ms\"", &["--empty"]).await;
    let users = world.users("u", 4).await;
    let forbidden = json!({ "status": { "status": 403 } });
    world.faults(rule(forbidden, "deactivate_user", 1)).await;
    for user in &users {
        let path = format!("/Users/{user}");
        world.patch(&path, inactive()).await.expect(200);
    }
    for name in ["u1", "u2", "u3", "u0"] {
        until(name, async || !is_active(&world, name).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_told_once() {
    let world = World::with("sync_wait = \"100ms\"", &["--empty"]).await;
    let users = world.users("u", 2).await;
    let mut groups = Vec::new();
    for number in 0..12 {
        groups.push(world.group(&format!("Team {number}"), &users[..1]).await);
    }
    let forbidden = json!({ "failure": { "status": { "status": 403 } }, "writes": true });
    world.faults(json!({ "rules": [forbidden] })).await;
    world.forget_calls().await;
    for group in &groups {
        let path = format!("/Groups/{group}");
        world.patch(&path, add(&users[1..])).await.expect(204);
    }
    // Each of them may be granted what the others are not.
    until("each is tried", async || {
        let calls = world.calls().await;
        let tried = calls.iter().filter(|call| call["status"] == 403);
        tried.count() >= groups.len()
    })
    .await;
    let log = world.log();
    let told = |what: &str| log.matches(what).count();
    assert_eq!(told("such calls are only tried"), 1, "{log}");
    assert_eq!(told("others of its kind go on"), 2, "{log}");
    world.faults(json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_of_faults_everything_arrives_at_once() {
    let world = World::with("sync_wait = \"100ms\"", &["--empty"]).await;
    let users = world.users("u", 12).await;
    let mut groups = Vec::new();
    for number in 0..12 {
        groups.push(world.group(&format!("Team {number}"), &users[..1]).await);
    }
    let fault = json!({ "rules": [{ "failure": "error_before" }] });
    world.faults(fault).await;
    for group in &groups {
        let path = format!("/Groups/{group}");
        world.patch(&path, add(&users[1..2])).await.expect(204);
    }
    let state = async || world.status().await["connections"][0]["application"]["state"].clone();
    until("the circuit opens", async || state().await == "unreachable").await;
    let ((), calls) = world
        .calls_of(tokio::time::sleep(std::time::Duration::from_secs(3)))
        .await;
    assert!(calls.len() <= 2, "one tries now and then: {calls:#?}");
    world.faults(json!({})).await;
    for number in 0..12 {
        let name = format!("team-{number}");
        world.until_upstream_has(&name, &addresses("u", 0..2)).await;
    }
    until("the circuit closes", async || state().await == "well").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_is_broken_while_it_is_in_use_is_told_until_it_is_mended() {
    let world = World::start().await;
    let application = async || world.status().await["connections"][0]["application"].clone();
    world.upstream_token("");
    until("it is told", async || {
        application().await["state"] == "credential unreadable"
    })
    .await;
    let told = application().await["credential"].to_string();
    assert!(
        told.contains("opsera.token") && told.contains("empty"),
        "{told}"
    );
    // What was read before is in use still.
    world.user("u").await;
    let (said, _, well) = tokio::task::block_in_place(|| world.run(&["status"]));
    assert!(!well && said.contains("opsera.token"), "{said}");
    world.restore_upstream_token();
    until("it is well again", async || {
        application().await["state"] == "well"
    })
    .await;
    // The log is written by a thread of its own.
    let lines = ["cannot be read any more", "can be read again"];
    let told = |line: &&str| world.log().contains(*line);
    until("it is logged", async || lines.iter().all(told)).await;
    let log = world.log();
    for line in lines {
        assert_eq!(log.matches(line).count(), 1, "{line}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_application_is_answered_when_the_bridge_is_told_to_end() {
    let mut world = World::with("sync_wait = \"20s\"", &["--empty"]).await;
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users[..1]).await;
    world.faults(json!({ "latency_ms": 60_000 })).await;
    let url = format!("{}/Groups/{id}", world.base);
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": add(&users[1..]),
    });
    let request = world.client.patch(url).bearer_auth(&world.token);
    let request = request
        .header("content-type", "application/scim+json")
        .body(body.to_string());
    world.forget_calls().await;
    let waiting = tokio::spawn(request.send());
    // It is under way when the application has been asked.
    until("it is sent", async || !world.calls().await.is_empty()).await;
    tokio::task::block_in_place(|| world.stops_in_time());
    let answer = waiting.await.unwrap().expect("an answer");
    assert_eq!(answer.status().as_u16(), 204);
    world.faults(json!({})).await;
    world.start_bridge();
    world
        .until_upstream_has("developers", &addresses("u", 0..2))
        .await;
}

#[tokio::test]
async fn a_change_of_members_that_is_only_promised_is_looked_for_before_it_is_said_again() {
    for application in [Application::Declared, Application::DeclaredById] {
        let world = World::of(application, "read_lag = \"400ms\"").await;
        let users = world.users("p", 2).await;
        let crew = world.group("crew", &users[..1]).await;
        let path = format!("/Groups/{crew}");
        for (op, operation, there) in [
            ("add", "add_members", &["p0", "p1"][..]),
            ("remove", "remove_members", &["p0"]),
        ] {
            let promise = json!({ "status": { "status": 202 } });
            let rule = json!({ "failure": promise, "operation": operation, "next": 1 });
            world.faults(json!({ "rules": [rule] })).await;
            let change = json!([{ "op": op, "path": "members", "value": values(&users[1..]) }]);
            let (answer, calls) = world.calls_of(world.patch(&path, change)).await;
            answer.expect(204);
            let expected = there.iter().map(|name| address(name)).collect();
            world.until_upstream_has("crew", &expected).await;
            let told: Vec<&str> = calls
                .iter()
                .filter_map(|call| call["operation"].as_str())
                .collect();
            let said: Vec<usize> = (0..told.len()).filter(|n| told[*n] == operation).collect();
            let [first, second] = said[..] else {
                panic!("it is said twice: {told:?}");
            };
            assert!(told[first..second].contains(&"get_members"), "{told:?}");
        }
        assert!(world.run(&["status"]).2);
    }
}
