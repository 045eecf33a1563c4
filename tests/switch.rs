//! The kill switch under load: two seconds after it is turned nothing is written
//! to an application any more, however it is turned, and everything that is asked
//! for meanwhile is taken and kept (reliability: G-9).

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{World, address, values};

const STOPS_WITHIN: u64 = 2_000;
/// Traffic goes on for so long after the switch was turned.
const GOES_ON: Duration = Duration::from_secs(4);

/// Nobody else looks at this.
const MARK: &str = "/api/v2/groupmanagement/group/mark/members";

/// Asks for somebody in the group and out of it again until it is enough, and
/// counts what is taken.
async fn asks(world: &World, group: &str, user: &String, (on, taken): (&Cell<bool>, &Cell<u64>)) {
    let path = format!("/Groups/{group}");
    while on.get() {
        for op in ["add", "remove"] {
            let one = values(std::slice::from_ref(user));
            let change = json!([{ "op": op, "path": "members", "value": one }]);
            let answer = world.patch(&path, change).await;
            assert!(answer.status.is_success(), "{answer:?}");
            taken.set(taken.get() + 1);
        }
    }
}

/// When each call that changes something came, and one that leaves a mark.
async fn writes(world: &World) -> (Vec<u64>, u64) {
    let calls = world.calls().await;
    let at = |call: &Value| call["started_ms"].as_u64().unwrap();
    let mark = calls.iter().find(|call| call["path"] == MARK).map(at);
    let writes = calls.iter().filter(|call| call["method"] != "GET");
    (writes.map(at).collect(), mark.unwrap())
}

async fn stops(turn: impl Fn(&World, bool)) {
    let world = World::with("sync_wait = \"50ms\"", &["--empty"]).await;
    world.faults(json!({ "latency_ms": 20 })).await;
    let users = world.users("s", 6).await;
    let group = world.group("switched", &[]).await;
    world.group("mark", &[]).await;
    world.forget_calls().await;
    let (on, taken) = (Cell::new(true), Cell::new(0));
    let traffic = users
        .iter()
        .map(|user| asks(&world, &group, user, (&on, &taken)));
    let operator = async {
        let end = Instant::now() + Duration::from_secs(20);
        while world.calls().await.len() < 20 {
            assert!(Instant::now() < end, "nothing is written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        turn(&world, true);
        world.as_administrator("GET", MARK, Value::Null).await;
        let (began, before) = (Instant::now(), taken.get());
        while began.elapsed() < GOES_ON {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        on.set(false);
        taken.get() - before
    };
    let (_, since) = tokio::join!(join_all(traffic), operator);
    assert!(since > 20, "only {since} requests came after it");
    let (writes, mark) = writes(&world).await;
    let late: Vec<u64> = writes
        .iter()
        .filter_map(|at| at.checked_sub(mark))
        .collect();
    assert!(late.len() < writes.len(), "there was something to stop");
    assert!(
        late.iter().all(|after| *after <= STOPS_WITHIN),
        "{late:?} ms after it"
    );

    let all = json!([{ "op": "replace", "path": "members", "value": values(&users) }]);
    let path = format!("/Groups/{group}");
    assert!(world.patch(&path, all).await.status.is_success());
    turn(&world, false);
    let everybody = (0..6).map(|n| address(&format!("s{n}"))).collect();
    world.until_upstream_has("switched", &everybody).await;
}

#[tokio::test]
async fn the_command_stops_every_write_within_two_seconds() {
    stops(|world, on| {
        let (_, said, ok) = world.run(&[if on { "pause" } else { "resume" }]);
        assert!(ok, "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_file_alone_stops_every_write_within_two_seconds() {
    stops(|world, on| {
        let file = world.store().with_extension("db.paused");
        if on {
            std::fs::write(file, "").unwrap();
        } else {
            std::fs::remove_file(file).unwrap();
        }
    })
    .await;
}
