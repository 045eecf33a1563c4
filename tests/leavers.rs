//! Who leaves goes first, also where an application answers other questions
//! with faults alone, so that one call at a time is tried (reliability: I-14).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Application, World, address};

#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_has_the_first_try_of_an_application_that_answers_look_ups_with_faults() {
    let rules = "import = \"start\"\nsync_wait = \"300ms\"\nguard = { enabled = true }";
    let mut world = World::of(Application::DeclaredForEver, rules).await;
    let users = world.users("u", 14).await;
    world.group("crew", &users).await;
    world.kill_bridge();
    world
        .faults(json!({ "rules": [{ "failure": "error_before", "operation": "get_user" }] }))
        .await;
    world.start_bridge();
    let end = Instant::now() + Duration::from_secs(20);
    while world.status().await["connections"][0]["application"]["state"] != "unreachable" {
        assert!(Instant::now() < end, "nothing is looked up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let path = format!("/Users/{}", users[0]);
    let asked = Instant::now();
    world.patch(&path, off).await.expect(200);
    let left = (1..14).map(|n| address(&format!("u{n}"))).collect();
    world.until_upstream_has("crew", &left).await;
    let waited = asked.elapsed();
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    world.overlook().await;
}
