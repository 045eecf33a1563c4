//! The limit of a minute outlives the process: what one has sent, the next one
//! counts. The application counts too, and refuses what is too much.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{World, group};

#[tokio::test]
async fn a_bridge_that_is_killed_under_backlog_keeps_to_the_minute_it_began() {
    let pace = "requests_per_second = 50\nburst = 10\nrequests_per_minute = 60";
    let mut world = World::behind("sync_wait = \"1ms\"", pace).await;
    world.forget_calls().await;
    world.faults(json!({ "minute": { "calls": 60 } })).await;
    world.users("many", 70).await;
    let mut sent = 0;
    for _ in 0..3 {
        world.kill_and_restart();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let calls = world.calls().await;
        let refused = calls.iter().filter(|call| call["status"] == 429);
        assert_eq!(refused.count(), 0, "{calls:#?}");
        sent = calls.len();
    }
    assert!((40..=60).contains(&sent), "{sent}: there is a backlog");
}

#[tokio::test]
async fn one_credential_has_one_pace_however_its_address_is_spelled() {
    let (mut world, mut other) = World::pair_with("sync_wait = \"1ms\"").await;
    world.reconfigure(|text| {
        let slow = text.replace(
            "requests_per_second = 100000\nburst = 1000",
            "requests_per_second = 5",
        );
        let (first, second) = slow.split_at(slow.find("globex").expect("a second one"));
        first.to_owned() + &second.replace("127.0.0.1", "localhost")
    });
    world.kill_and_restart();
    world.meet(&mut other);
    world.forget_calls().await;
    world
        .faults(json!({ "rate_limit": { "per_second": 5 } }))
        .await;
    for turn in 0..2 {
        for at in 0..12 {
            let made = world
                .post("/Groups", group(&format!("of-{turn}-{at}"), &[]))
                .await;
            made.expect(201);
        }
        world.turn_to(&mut other);
    }
    let end = Instant::now() + Duration::from_secs(20);
    let mut calls = world.calls().await;
    while calls.len() < 24 {
        assert!(Instant::now() < end, "{calls:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        calls = world.calls().await;
    }
    let refused = calls.iter().filter(|call| call["status"] == 429).count();
    assert_eq!(refused, 0, "of {} calls", calls.len());
    let (_, said) = world.command(&["check"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let told =
        "connection globex has the same credential at another address: both keep to one pace";
    assert!(said.contains(told), "{said}");
}
