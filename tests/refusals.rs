//! Who asks again after a refusal: answered with what becomes of an attempt
//! that was made for that, and not with the refusal of the one before. What an
//! application refuses to each kind of request is told in `applications` and
//! `faults`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Application, World, address, values};

fn refusing() -> Value {
    json!({ "rules": [{ "failure": { "status": { "status": 400 } }, "writes": true }] })
}

fn active(value: bool) -> Value {
    json!([{ "op": "replace", "path": "active", "value": value }])
}

fn writes(calls: &[Value]) -> usize {
    calls.iter().filter(|call| call["method"] != "GET").count()
}

/// Whose accounts in the application are not ended.
async fn accounts(world: &World) -> Vec<String> {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap().iter();
    let active = users.filter(|user| user["active"] == true);
    let emails = active.map(|user| user["email"].as_str().unwrap().to_owned());
    emails.collect()
}

/// Until the status counts so many refused users.
async fn until_refused(world: &World, users: u64) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = world.status().await;
        let counts = &status["connections"][0];
        if counts["refused"]["users"] == users && counts["pending"]["users"] == 0 {
            return;
        }
        assert!(Instant::now() < end, "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_access_that_was_refused_is_asked_for_again_with_one_call_and_its_own_answer() {
    let world = World::of(Application::DeclaredForEver, "").await;
    let users = world.users("u", 2).await;
    world.group("crew", &users).await;
    let path = |user: usize| format!("/Users/{}", users[user]);
    world.faults(refusing()).await;
    for _ in 0..2 {
        let (_, calls) = world
            .calls_of(async { world.patch(&path(0), active(false)).await.expect(400) })
            .await;
        assert_eq!(writes(&calls), 1, "{calls:?}");
    }
    world.send("DELETE", &path(1), None).await.expect(400);
    world.faults(json!({})).await;

    let (_, calls) = world
        .calls_of(async { world.patch(&path(0), active(false)).await.expect(200) })
        .await;
    assert_eq!(writes(&calls), 1, "{calls:?}");
    let left = world.upstream_members("crew").await;
    assert_eq!(left, Some([address("u1")].into()), "before the answer");
    let (_, calls) = world
        .calls_of(async { world.send("DELETE", &path(1), None).await.expect(204) })
        .await;
    assert_eq!(writes(&calls), 1, "{calls:?}");
    assert_eq!(world.upstream_members("crew").await, Some([].into()));
    let (_, calls) = world
        .calls_of(async { world.patch(&path(0), active(false)).await.expect(200) })
        .await;
    assert_eq!(writes(&calls), 0, "there is nothing left to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_after_the_answer_is_tried_once_more_for_whoever_asks_again() {
    let world = World::with(QUICK, &["--empty"]).await;
    let users = world.users("u", 2).await;
    let crew = world.group("crew", &users).await;
    let slow = |latency: u64| {
        let mut faults = refusing();
        faults["latency_ms"] = latency.into();
        faults
    };
    world.faults(slow(700)).await;
    for user in &users {
        let path = format!("/Users/{user}");
        world.patch(&path, active(false)).await.expect(200);
    }
    until_refused(&world, 2).await;

    // Refused as before, and only once.
    world.faults(refusing()).await;
    let path = format!("/Users/{}", users[0]);
    let (_, calls) = world
        .calls_of(async { world.patch(&path, active(false)).await.expect(400) })
        .await;
    assert_eq!(writes(&calls), 1, "{calls:?}");
    until_refused(&world, 2).await;
    let shown = world.get(&path).await.expect(200);
    assert_eq!(shown.body["active"], false, "the first answer stands");

    world.faults(json!({})).await;
    let (_, calls) = world
        .calls_of(async { world.patch(&path, active(false)).await.expect(200) })
        .await;
    assert_eq!(writes(&calls), 1, "{calls:?}");
    assert_eq!(accounts(&world).await, [address("u1")], "before the answer");

    // An attempt that takes its time is not waited for for ever.
    world.faults(json!({ "latency_ms": 1_500 })).await;
    let (asked, path) = (Instant::now(), format!("/Users/{}", users[1]));
    world.patch(&path, active(false)).await.expect(200);
    assert!(asked.elapsed() < Duration::from_millis(1_400));
    world.faults(json!({})).await;
    until_refused(&world, 0).await;
    assert_eq!(accounts(&world).await, Vec::<String>::new());
    assert_eq!(world.members(&crew).await.len(), 2, "they come back to it");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_whose_removal_was_refused_are_removed_when_it_is_asked_for_again() {
    let world = World::start().await;
    let users = world.users("u", 3).await;
    let path = format!("/Groups/{}", world.group("crew", &users).await);
    let leave = json!([{ "op": "remove", "path": "members", "value": values(&users[..2]) }]);
    for faults in [refusing(), json!({})] {
        let expected = if faults == json!({}) { 204 } else { 400 };
        world.faults(faults).await;
        let asked = async { world.patch(&path, leave.clone()).await.expect(expected) };
        let (_, calls) = world.calls_of(asked).await;
        assert!(writes(&calls) >= 1, "{calls:?}");
    }
    let left = world.upstream_members("crew").await;
    assert_eq!(left, Some([address("u2")].into()));
}

async fn until_told(world: &World, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let told = world.status().await["connections"][0].clone();
        if is(&told) {
            return told;
        }
        assert!(Instant::now() < end, "{what}: {told:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const QUICK: &str = "sync_wait = \"300ms\"\nread_lag = \"100ms\"\nlate_writes = \"1s\"";

fn first(operation: &str) -> Value {
    json!({ "rules": [{ "failure": "error_before", "operation": operation }] })
}

fn then(operation: &str) -> Value {
    json!({ "rules": [{ "failure": { "status": { "status": 400 } }, "operation": operation }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_after_the_answer_is_not_as_asked_and_nor_is_their_membership() {
    let world = World::with(QUICK, &["--empty"]).await;
    let there = world.user("a").await;
    world.faults(first("create_user")).await;
    let refused = world.user("b").await;
    let crew = world.group("crew", &[there, refused.clone()]).await;
    world.faults(then("create_user")).await;
    until_refused(&world, 1).await;
    let settled = |told: &Value| told["pending"]["memberships"] == 0;
    let told = until_told(&world, "nothing is pending", settled).await;
    let one_of_two = json!({ "done": 1, "all": 2 });
    assert_eq!(
        told["asAsked"],
        json!({ "users": one_of_two, "memberships": one_of_two })
    );
    assert_eq!(told["refused"]["memberships"], 1);
    let waits = &told["refusedMemberships"][0];
    let of = (&waits["user"], &waits["group"], &waits["asked"]);
    assert_eq!(of, (&json!(refused), &json!(crew), &json!("add")));
    let reason = waits["reason"].as_str().unwrap();
    assert!(
        reason.contains("waits for the User") && reason.contains("refused to create the account"),
        "{reason}"
    );

    world.faults(json!({})).await;
    let path = format!("/Users/{refused}");
    world.patch(&path, active(true)).await.expect(200);
    let both = [address("a"), address("b")].into();
    world.until_upstream_has("crew", &both).await;
    let two = json!({ "done": 2, "all": 2 });
    let all = json!({ "users": two, "memberships": two });
    let told = until_told(&world, "all is as asked", |told| told["asAsked"] == all).await;
    assert_eq!(told["refusedMemberships"], json!([]));
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_deletion_that_was_refused_is_told_that_and_what_to_do() {
    let world = World::with(QUICK, &["--empty"]).await;
    let before = world.user("a").await;
    world.faults(first("deactivate_user")).await;
    let path = format!("/Users/{before}");
    world.send("DELETE", &path, None).await.expect(204);
    let next = world.user("a").await;
    world.faults(then("deactivate_user")).await;
    let refused = |told: &Value| told["refused"]["users"] == 1;
    let told = until_told(&world, "the refusal", refused).await;
    assert_eq!(told["asAsked"]["users"], json!({ "done": 0, "all": 2 }));
    let waits = &told["waiting"][0];
    assert_eq!(waits["user"], json!(next));
    let reason = waits["reason"].as_str().unwrap();
    for words in [
        "that was refused",
        "refused to deactivate the account",
        "reconcile --apply",
    ] {
        assert!(reason.contains(words), "{reason}");
    }
    world.faults(json!({})).await;
    world.run(&["reconcile", "--apply"]);
    let told = until_told(&world, "the end", |told| told["pending"]["users"] == 0).await;
    assert_eq!(told["waiting"], json!([]));
    assert_eq!(accounts(&world).await, [address("a")]);
    world.overlook().await;
}

/// An answer that says nothing: a gateway gives it too for what goes on behind it.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_until_a_deletion_can_take_effect_no_more_is_told_that() {
    let lags = "sync_wait = \"300ms\"\nread_lag = \"100ms\"\nlate_writes = \"4s\"";
    let world = World::with(lags, &["--empty"]).await;
    let before = world.user("a").await;
    let once = json!({ "failure": "error_before", "operation": "deactivate_user", "next": 1 });
    world.faults(json!({ "rules": [once] })).await;
    let path = format!("/Users/{before}");
    world.send("DELETE", &path, None).await.expect(204);
    let next = world.user("a").await;
    let waits = |told: &Value| {
        let one = &told["waiting"][0];
        let reason = one["reason"].as_str().unwrap_or_default();
        one["user"] == json!(next) && reason.contains("may still take effect")
    };
    let told = until_told(&world, "who waits for what", waits).await;
    assert_eq!(told["unsettled"]["users"], 1);
    let told = until_told(&world, "the end", |told| told["pending"]["users"] == 0).await;
    assert_eq!(told["waiting"], json!([]));
    assert_eq!(accounts(&world).await, [address("a")]);
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_to_who_is_inactive_by_now_is_told_when_they_are_active_again() {
    let world = World::start().await;
    let users = world.users("u", 2).await;
    let group = world.group("crew", &users[1..]).await;
    let join = json!([{ "op": "add", "path": "members", "value": values(&users[..1]) }]);
    world.faults(refusing()).await;
    world
        .patch(&format!("/Groups/{group}"), join)
        .await
        .expect(400);
    world.faults(json!({})).await;
    let ann = format!("/Users/{}", users[0]);
    let told = |refused: u64| {
        until_told(&world, "refused memberships", move |status| {
            let listed = status["refusedMemberships"].as_array().map_or(0, Vec::len);
            status["refused"]["memberships"] == refused && listed as u64 == refused
        })
    };
    told(1).await;
    for (now, refused) in [(false, 0), (true, 1), (false, 0)] {
        world.patch(&ann, active(now)).await.expect(200);
        told(refused).await;
    }
    let (said, wrong, ok) = world.run(&["status"]);
    assert!(ok && !said.contains("REJECTED"), "{said}{wrong}");
}
