//! Many memberships that the application does not take: they are kept in the
//! store and not in memory, the bridge is soon there again after a kill with all
//! of them open, and they are delivered when the application is well
//! (reliability: F-16, F-30, T-14).
//!
//! Four thousand in the ordinary test run. The long form, in which memory and
//! time are judged, is
//! `DRAWBRIDGE_BACKLOG=100000 DRAWBRIDGE_PROGRAM=target/release/drawbridge cargo test --workspace --test main backlog -- --nocapture`.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{World, address};

const MEMBERS: usize = 200;
const READY: Duration = Duration::from_secs(2);
const MOST_MIB: u64 = 256;
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_lives_in_the_store_outlives_a_kill_and_is_delivered() {
    let wanted = std::env::var("DRAWBRIDGE_BACKLOG").ok();
    let judged = wanted.is_some();
    let wanted: usize = wanted.map_or(4_000, |text| text.parse().expect("a number of memberships"));
    let mut world = World::with("sync_wait = \"10ms\"", &["--empty"]).await;
    let users = world.users("u", MEMBERS).await;
    let down = json!({ "rules": [{ "failure": { "status": { "status": 503 } } }] });
    world.faults(down).await;
    let groups = wanted.div_ceil(MEMBERS);
    for number in 0..groups {
        world.group(&format!("Backlog{number}"), &users).await;
    }
    let queued = world.bridge_memory();
    let began = Instant::now();
    tokio::task::block_in_place(|| world.kill_and_restart());
    world.get("/ServiceProviderConfig").await.expect(200);
    let ready = began.elapsed();
    world.faults(json!({})).await;

    let everybody: BTreeSet<String> = (0..MEMBERS).map(|n| address(&format!("u{n}"))).collect();
    let began = Instant::now();
    while pending(&world).await > 0 {
        assert!(
            began.elapsed() < PATIENCE,
            "{} are left",
            pending(&world).await
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let drained = began.elapsed();
    for number in [0, groups / 2, groups - 1] {
        let name = format!("backlog{number}");
        assert_eq!(world.upstream_members(&name).await.unwrap(), everybody);
    }
    let delivered = world.bridge_memory();
    println!(
        "{} memberships open, {queued} MiB at most; after a kill ready again in {ready:?}; delivered in {drained:?}, {delivered} MiB at most",
        groups * MEMBERS
    );
    assert!(!judged || ready <= READY, "a restart took {ready:?}");
    assert!(
        queued.max(delivered) <= MOST_MIB,
        "{queued} and {delivered} MiB"
    );
}

async fn pending(world: &World) -> u64 {
    let status = world.status().await;
    let pending = &status["connections"][0]["pending"];
    pending["memberships"].as_u64().unwrap() + pending["groups"].as_u64().unwrap()
}
