//! The limit of a minute outlives the process: what one has sent, the next one
//! counts. The application counts too, and refuses what is too much.

use std::time::Duration;

use serde_json::json;

use crate::support::World;

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
