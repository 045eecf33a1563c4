//! Reconciliations: of one connection alone, again and again, and from where one
//! had come when its process died.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Application, Tenant, World, address};

const SOON: &str = "read_lag = \"100ms\"";

fn members(group: &str) -> String {
    format!("/api/v2/groupmanagement/group/{group}/members")
}

/// As an administrator of the application would.
async fn takes_out(world: &World, group: &str, member: &str) {
    let body = json!({ "members": [address(member)] });
    world
        .as_administrator("DELETE", &members(group), body)
        .await;
}

/// The groups that were read, in this order.
async fn read(world: &World) -> Vec<String> {
    let calls = world.calls().await;
    let reads = calls.iter().filter(|it| it["operation"] == "get_members");
    reads
        .map(|it| {
            it["path"]
                .as_str()
                .unwrap()
                .split('/')
                .nth(5)
                .unwrap()
                .to_owned()
        })
        .collect()
}

async fn has(world: &World, group: &str, member: &str) -> bool {
    let there = world.upstream_members(group).await;
    there.is_some_and(|there| there.contains(&address(member)))
}

/// How many groups were read, of how many.
async fn progress(world: &World, connection: &str) -> [u64; 2] {
    let path = format!("/reconcile?connection={connection}");
    let (_, now) = world.operate("GET", &path).await;
    ["groupsRead", "groups"].map(|key| now[key].as_u64().unwrap())
}

async fn begin(world: &World, connection: &str) {
    let (url, token) = world.operator();
    let order = json!({ "connection": connection, "apply": true, "shrunk": false });
    let begin = world.client.post(format!("{url}/reconcile")).json(&order);
    let begin = begin.bearer_auth(token).send().await.unwrap();
    assert!(begin.status().is_success(), "{begin:?}");
}

const WITHIN: Duration = Duration::from_secs(30);

async fn until_it_has(world: &World, group: &str, member: &str) {
    until(world, group, member, WITHIN).await;
}

async fn until(world: &World, group: &str, member: &str, within: Duration) {
    let end = Instant::now() + within;
    while !has(world, group, member).await {
        assert!(Instant::now() < end, "{group} is not put right");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Two connections; out of the group of each its member was taken by hand.
async fn both_taken_out() -> (World, Tenant) {
    let nobody = json!({ "users": [], "groups": [] });
    let (mut world, mut other) = World::pair_of(Application::Opsera, SOON, ["", ""], nobody).await;
    for (name, group) in [("a", "mine"), ("b", "theirs")] {
        let user = world.user(name).await;
        world.group(group, &[user]).await;
        world.turn_to(&mut other);
    }
    takes_out(&world, "mine", "a").await;
    takes_out(&world, "theirs", "b").await;
    (world, other)
}

#[tokio::test]
async fn only_the_connection_that_is_named_is_reconciled() {
    let (world, _other) = both_taken_out().await;
    world.forget_calls().await;
    // A reading so soon after a write may lag, and then it is another one's turn.
    let end = Instant::now() + Duration::from_secs(20);
    while !has(&world, "mine", "a").await {
        assert!(Instant::now() < end, "it is not put right");
        let (said, wrong, _) = world.run(&["reconcile", "--connection", "acme", "--apply"]);
        assert!(said.contains("acme: 1 groups compared"), "{said} {wrong}");
        assert!(!said.contains("globex"), "{said}");
    }
    assert!(read(&world).await.iter().all(|group| group == "mine"));
    assert!(!has(&world, "theirs", "b").await, "nobody asked for that");
    assert_eq!(progress(&world, "acme").await, [1, 1], "of its own groups");
    assert_eq!(progress(&world, "globex").await, [0, 0]);
    world.faults(json!({ "latency_ms": 500 })).await;
    begin(&world, "acme").await;
    let began = progress(&world, "acme").await;
    assert_eq!(began, [0, 0], "not what was read the last time");
    world.faults(json!({})).await;
    let end = Instant::now() + WITHIN;
    while progress(&world, "acme").await != [1, 1] {
        assert!(Instant::now() < end, "it does not come to an end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (said, _, well) = world.run(&["reconcile"]);
    let told = "globex: 1 groups compared; 1 memberships are missing";
    assert!(!well && said.contains(told), "{said}");
    let (_, wrong, well) = world.run(&["reconcile", "--connection", "nobody"]);
    assert!(!well && wrong.contains("there is no connection"), "{wrong}");
}

#[tokio::test]
async fn what_is_left_of_one_connection_keeps_nobody_from_the_others() {
    let (world, _other) = both_taken_out().await;
    assert!(world.run(&["pause", "--connection", "acme"]).2);
    // A running server looks at that file now and then.
    let end = Instant::now() + WITHIN;
    while world.status().await["connections"][0]["paused"] != true {
        assert!(Instant::now() < end, "it is not paused");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A reading so soon after a write may lag, and finds nothing then.
    let end = Instant::now() + WITHIN;
    loop {
        assert!(Instant::now() < end, "it is not put right, or not told");
        let (said, wrong, well) = world.run(&["reconcile", "--apply"]);
        assert!(said.contains("globex: 1 groups"), "{said} {wrong}");
        let told = wrong.contains("acme: writes are stopped");
        assert!(!told || !well);
        if told && has(&world, "theirs", "b").await {
            break;
        }
    }
    assert!(!has(&world, "mine", "a").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconciliation_goes_on_from_where_it_had_come_when_the_process_died() {
    let mut world = World::with(SOON, &["--empty"]).await;
    let users = world.users("u", 2).await;
    let groups: Vec<String> = (0..60).map(|n| format!("g{n}")).collect();
    for group in &groups {
        world.group(group, &users).await;
    }
    let end = Instant::now() + Duration::from_secs(30);
    while !world.run(&["reconcile", "--apply"]).2 {
        assert!(Instant::now() < end, "it is not at rest");
    }
    takes_out(&world, "g1", "u0").await;
    takes_out(&world, "g57", "u0").await;
    world.faults(json!({ "latency_ms": 50 })).await;
    world.forget_calls().await;
    begin(&world, "acme").await;
    let end = Instant::now() + Duration::from_secs(60);
    while read(&world).await.len() < 45 {
        assert!(Instant::now() < end, "the groups are not read");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.kill_and_restart();
    assert_eq!(progress(&world, "acme").await, [0, 0]);
    world.faults(json!({})).await;
    world.forget_calls().await;
    let (said, wrong, _) = world.run(&["reconcile", "--apply"]);
    let again = read(&world).await;
    let first = groups.iter().position(|it| *it == again[0]).unwrap();
    assert!((20..45).contains(&first), "{again:?} {said} {wrong}");
    let rest: Vec<&String> = groups[first..].iter().collect();
    let mut seen: Vec<&String> = again.iter().collect();
    seen.dedup();
    assert_eq!(seen, rest, "all that was left");
    assert!(said.contains("60 groups compared"), "{said}");
    assert_eq!(progress(&world, "acme").await, [60, 60]);
    for group in ["g1", "g57"] {
        until_it_has(&world, group, "u0").await;
    }
}

/// One is due by what is kept of the last, and the next a minute after it: no
/// connection may have them more often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconciliations_come_again_and_put_right_what_each_finds() {
    let settings = format!("{SOON}\nreconcile = \"1m\"");
    let mut world = World::with(&settings, &["--empty"]).await;
    let users = world.users("p", 2).await;
    world.group("again", &users).await;
    let end = Instant::now() + WITHIN;
    while !world.run(&["reconcile", "--apply"]).2 {
        assert!(Instant::now() < end, "it is not at rest");
    }
    tokio::task::block_in_place(|| {
        world.stop_bridge();
        let earlier = "json_set(state, '$.ended', json_extract(state, '$.ended') - 55000)";
        world.tamper(&format!("UPDATE reconciliations SET state = {earlier}"));
    });
    takes_out(&world, "again", "p0").await;
    world.start_bridge();
    until_it_has(&world, "again", "p0").await;
    takes_out(&world, "again", "p1").await;
    let began = Instant::now();
    until(&world, "again", "p1", Duration::from_secs(120)).await;
    assert!(
        began.elapsed() > Duration::from_secs(30),
        "not before it is due"
    );
}
