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
    let world = World::with("sync_wait = \"300ms\"", &["--empty"]).await;
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
