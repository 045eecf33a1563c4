//! A group is asked for by the name of one whose deletion has not come to its end
//! in the application (reliability: H-14).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, Reply, World, address, group};

const SOON: &str = "read_lag = \"100ms\"\nsync_wait = \"300ms\"\nlate_writes = \"3s\"";

fn rule(failure: Value) -> Value {
    json!({ "rules": [{ "operation": "delete_group", "failure": failure }] })
}

fn addresses(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

/// A group of the first two of three users, deleted under a rule, which the
/// application has still; and the ids of all.
async fn deleted(application: Application, failure: Value) -> (World, Vec<String>, Reply) {
    let world = World::of(application, SOON).await;
    let ids = world.users("m", 3).await;
    let dev = world.group("dev", &ids[..2]).await;
    world.faults(rule(failure)).await;
    let path = format!("/Groups/{dev}");
    let reply = world.send("DELETE", &path, None).await;
    world.get(&path).await.expect(404);
    (world, ids, reply)
}

async fn until_nothing_is_open(world: &World) {
    let end = Instant::now() + Duration::from_secs(20);
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    loop {
        let told = world.status().await["connections"][0]["pending"].clone();
        if told == nothing {
            return;
        }
        assert!(Instant::now() < end, "{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn is_made_when_the_other_is_gone(application: Application, failure: Value, killed: bool) {
    let (mut world, ids, reply) = deleted(application, failure).await;
    reply.expect(204);
    let body = group("dev", &ids[1..]);
    let again = world.post("/Groups", body.clone()).await.expect(201).id();
    world.post("/Groups", body).await.expect(409);
    let asked: BTreeSet<String> = ids[1..].iter().cloned().collect();
    assert_eq!(world.members(&again).await, asked);
    let before = addresses(&["m0", "m1"]);
    assert_eq!(world.upstream_members("dev").await, Some(before));
    if killed {
        world.kill_and_restart();
    }
    world.faults(json!({})).await;
    world
        .until_upstream_has("dev", &addresses(&["m1", "m2"]))
        .await;
    until_nothing_is_open(&world).await;
    assert_eq!(world.members(&again).await, asked);
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_name_of_one_whose_deletion_is_open_is_made_when_that_is_gone() {
    for killed in [false, true] {
        let busy = json!({ "status": { "status": 429 } });
        is_made_when_the_other_is_gone(Application::Opsera, busy, killed).await;
        let broken = json!("error_before");
        is_made_when_the_other_is_gone(Application::Declared, broken, killed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_lands_late_does_not_take_away_the_group_that_has_the_name_by_then() {
    let world = World::of(Application::Opsera, SOON).await;
    let ids = world.users("m", 3).await;
    let dev = world.group("dev", &ids[..2]).await;
    let late = json!({ "late": { "after_ms": 2_000 } });
    let rules = json!({ "rules": [{ "operation": "delete_group", "failure": late, "next": 1 }] });
    world.faults(rules).await;
    world.forget_calls().await;
    let path = format!("/Groups/{dev}");
    world.send("DELETE", &path, None).await.expect(204);
    world
        .post("/Groups", group("dev", &ids[1..]))
        .await
        .expect(201);
    let both = addresses(&["m1", "m2"]);
    world.until_upstream_has("dev", &both).await;
    let end = Instant::now() + Duration::from_secs(20);
    while world.upstream_members("dev").await.is_some() {
        assert!(Instant::now() < end, "the late one lands");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.until_upstream_has("dev", &both).await;
    until_nothing_is_open(&world).await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_going_to_be_free_by_itself_is_refused_with_what_to_do() {
    let no = json!({ "status": { "status": 400 } });
    let (world, ids, reply) = deleted(Application::Opsera, no).await;
    reply.expect(400);
    let refused = world.post("/Groups", group("dev", &ids[1..])).await;
    let said = refused.expect(409).body["detail"].to_string();
    for words in ["deletion was refused", "reconcile --apply"] {
        assert!(said.contains(words), "{said}");
    }
    world.faults(json!({})).await;
    let (said, wrong, _) = world.run(&["reconcile", "--apply"]);
    until_nothing_is_open(&world).await;
    assert_eq!(world.upstream_members("dev").await, None, "{said}{wrong}");
    world.group("dev", &ids[1..]).await;
    let both = addresses(&["m1", "m2"]);
    assert_eq!(world.upstream_members("dev").await, Some(both));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_deletion_that_is_refused_then_is_made_when_it_is_done() {
    let (world, ids, _) = deleted(Application::Opsera, json!("error_before")).await;
    world
        .post("/Groups", group("dev", &ids[1..]))
        .await
        .expect(201);
    world
        .faults(rule(json!({ "status": { "status": 400 } })))
        .await;
    let end = Instant::now() + Duration::from_secs(20);
    while world.status().await["connections"][0]["refused"]["groups"] != 1 {
        assert!(Instant::now() < end, "the deletion is refused");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.faults(json!({})).await;
    world.run(&["reconcile", "--apply"]);
    world
        .until_upstream_has("dev", &addresses(&["m1", "m2"]))
        .await;
    until_nothing_is_open(&world).await;
    world.overlook().await;
}
