//! Groups that had been there and are not: made again where a deletion of ours
//! came late, whoever of their members is refused there by then.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{World, address};

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A group of four that a deletion of before its creation has taken away, where
/// the second of them is refused by now; its id and theirs.
async fn bereft() -> (World, String, Vec<String>) {
    let rules = "sync_wait = \"1s\"\nlate_writes = \"3s\"\nread_lag = \"200ms\"";
    let world = World::with(rules, &["--empty"]).await;
    let users = world.users("u", 4).await;
    let path = format!("/Groups/{}", world.group("Phoenix", &users).await);
    let late = json!({ "late": { "after_ms": 1500 } });
    let rule = json!({ "failure": late, "operation": "delete_group", "next": 1 });
    world.faults(json!({ "rules": [rule] })).await;
    world.send("DELETE", &path, None).await.expect(204);
    let id = world.group("Phoenix", &users).await;
    world
        .faults(json!({ "refuse_members": [address("u1")] }))
        .await;
    eventually("the deletion lands", async || {
        world.upstream_members("phoenix").await.is_none()
    })
    .await;
    (world, id, users)
}

fn others() -> BTreeSet<String> {
    [address("u0"), address("u2"), address("u3")].into()
}

/// Everybody but the refused one is in, on both sides, and that one is told.
async fn only_one_is_refused(world: &World, id: &str, users: &[String]) {
    world.until_upstream_has("phoenix", &others()).await;
    eventually("only one is refused", async || {
        let status = world.status().await;
        let connection = &status["connections"][0];
        let refused = connection["refusedMemberships"].as_array().unwrap();
        refused.len() == 1
            && refused[0]["user"] == json!(users[1])
            && refused[0]["asked"] == "add"
            && connection["refused"]["groups"] == 0
            && connection["pending"]["memberships"] == 0
    })
    .await;
    let mut left: BTreeSet<String> = users.iter().cloned().collect();
    left.remove(&users[1]);
    assert_eq!(world.members(id).await, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_refused_keeps_nobody_out_of_a_group_that_is_made_again() {
    let (world, id, users) = bereft().await;
    world.forget_calls().await;
    only_one_is_refused(&world, &id, &users).await;
    let calls = world.calls().await;
    let writes = |what: &str| calls.iter().filter(|it| it["operation"] == what).count();
    assert_eq!(writes("create_group"), 2, "{calls:#?}");
    assert_eq!(writes("add_members"), 4, "{calls:#?}");
}

/// Between the creation of the group and the addition of its members.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_on_the_way_leaves_nobody_out() {
    let (mut world, id, users) = bereft().await;
    assert!(world.kill_and_restart_until("turn.one-sent:2"));
    let end = Instant::now() + Duration::from_secs(20);
    while world.bridge_ended().is_none() {
        assert!(Instant::now() < end, "it never came to it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        world.upstream_members("phoenix").await,
        Some(BTreeSet::new())
    );
    world.start_bridge();
    only_one_is_refused(&world, &id, &users).await;
}
