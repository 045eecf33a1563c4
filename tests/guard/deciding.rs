//! What an operator does about a held request, and that it happens once.

use serde_json::{Value, json};

use crate::support::{World, address, values};

/// The id in a refusal.
pub(super) fn hold_of(refused: &Value) -> String {
    let detail = refused["detail"].as_str().unwrap();
    let (_, rest) = detail.split_once("It is held as ").expect(detail);
    rest.split(' ').next().unwrap().to_owned()
}

async fn acts(world: &World, action: &str) -> Vec<Value> {
    let (_, rows) = world.operate("GET", "/audit?after=0").await;
    let rows = rows.as_array().unwrap().clone();
    rows.into_iter()
        .filter(|row| row["action"] == action)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approved_request_is_done_once_and_the_retry_finds_nothing_to_do() {
    let world = World::with("guard = {}", &["--empty"]).await;
    let ids = world.users("m", 30).await;
    let group = world.group("dev", &ids).await;
    let path = format!("/Groups/{group}");
    let operations = json!([{ "op": "remove", "path": "members", "value": values(&ids[..12]) }]);
    let refused = world.patch(&path, operations.clone()).await.expect(403);
    let hold = hold_of(&refused.body);
    let (code, shown) = world.operate("GET", &format!("/held/{hold}")).await;
    assert_eq!(
        (code, &shown["state"], &shown["rule"]),
        (200, &json!("open"), &json!("group_removals"))
    );
    assert_eq!(shown["body"]["Operations"], operations);
    // What follows in the same group waits too.
    let one = json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) }]);
    world.patch(&path, one).await.expect(403);
    let (code, plan) = world.operate("GET", &format!("/held/{hold}/plan")).await;
    assert_eq!(code, 200, "{plan}");
    let mut named: Vec<String> = serde_json::from_value(plan["plan"]["removes"].clone()).unwrap();
    named.sort_unstable();
    let mut going = ids[..12].to_vec();
    going.sort_unstable();
    assert_eq!(named, going, "{plan}");
    assert_eq!(world.members(&group).await.len(), 30, "a plan does nothing");

    let approve = format!("/held/{hold}/approve");
    let both = tokio::join!(
        world.operate("POST", &approve),
        world.operate("POST", &approve)
    );
    let mut codes = [both.0.0, both.1.0];
    codes.sort_unstable();
    assert_eq!(codes, [200, 409], "{both:?}");
    let left = (12..30).map(|n| address(&format!("m{n}"))).collect();
    world.until_upstream_has("dev", &left).await;
    let (told, calls) = world.calls_of(world.patch(&path, operations)).await;
    told.expect(204);
    assert_eq!(calls, Vec::<Value>::new());
    assert_eq!(world.operate("POST", &approve).await.0, 409);
    let approved = acts(&world, "approve_hold").await;
    assert_eq!(approved.len(), 1, "{approved:?}");
    assert_eq!(approved[0]["actor"], "operator (says tester)");
    let changed = acts(&world, "change_group").await;
    assert_eq!(changed.last().unwrap()["actor"], "operator (says tester)");
    assert_eq!(acts(&world, "hold").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletions_and_operations_of_bulk_requests_can_be_approved_too() {
    let rules = "guard = { removals = { more_than = 20, percent = 0 } }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 22).await;
    let groups = [
        world.group("one", &ids[..12]).await,
        world.group("two", &ids[..12]).await,
    ];
    let gone = world
        .send("DELETE", &format!("/Groups/{}", groups[0]), None)
        .await;
    let first = hold_of(&gone.expect(403).body);
    let operation = json!({ "method": "PUT", "path": format!("/Groups/{}", groups[1]),
        "data": { "displayName": "two", "members": values(&ids[11..15]) } });
    let told = world
        .post("/Bulk", json!({ "Operations": [operation] }))
        .await
        .expect(200);
    let second = hold_of(&told.body["Operations"][0]["response"]);
    for hold in [first, second] {
        let (code, told) = world
            .operate("POST", &format!("/held/{hold}/approve"))
            .await;
        assert_eq!(code, 200, "{told}");
    }
    assert_eq!(world.upstream_members("one").await, None);
    let left = (11..15).map(|n| address(&format!("m{n}"))).collect();
    world.until_upstream_has("two", &left).await;
    // More than twenty who leave wait as well.
    for id in &ids[..20] {
        world
            .send("DELETE", &format!("/Users/{id}"), None)
            .await
            .expect(204);
    }
    let path = format!("/Users/{}", ids[20]);
    let last = hold_of(&world.send("DELETE", &path, None).await.expect(403).body);
    world.get(&path).await.expect(200);
    let approve = format!("/held/{last}/approve");
    let both = tokio::join!(
        world.operate("POST", &approve),
        world.operate("POST", &approve)
    );
    assert_ne!((both.0.0, both.1.0), (200, 200), "{both:?}");
    world.get(&path).await.expect(404);
    super::shapes::until_inactive(&world, "m20").await;
    assert_eq!(acts(&world, "approve_hold").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_is_approved_while_writes_are_stopped_is_not_told_as_done() {
    let rules = "guard = { removals = { more_than = 1, percent = 0 } }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 3).await;
    let path = |id: &String| format!("/Users/{id}");
    world.send("DELETE", &path(&ids[0]), None).await.expect(204);
    let mut held = Vec::new();
    for id in &ids[1..] {
        let refused = world.send("DELETE", &path(id), None).await.expect(403);
        held.push(hold_of(&refused.body));
    }
    let (_, wrong, ok) = world.run(&["pause"]);
    assert!(ok, "{wrong}");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while world.status().await["connections"][0]["paused"] != true {
        assert!(std::time::Instant::now() < end, "it is not paused");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    world.forget_calls().await;
    let (said, wrong, ok) = world.run(&["held", "approve", &held[0]]);
    assert!(ok && said.contains("drawbridge resume"), "{said}{wrong}");
    let calls = world.calls().await;
    assert!(calls.iter().all(|call| call["method"] == "GET"));
    let (_, wrong, ok) = world.run(&["resume"]);
    assert!(ok, "{wrong}");
    super::shapes::until_inactive(&world, "m1").await;
    let (said, wrong, _) = world.run(&["held", "approve", &held[1]]);
    assert!(said.contains("approved and done"), "{said}{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_show_plan_reject_and_approve() {
    let world = World::with("guard = {}", &["--empty"]).await;
    let ids = world.users("m", 12).await;
    let group = world.group("dev", &ids).await;
    let path = format!("/Groups/{group}");
    let gone = world.send("DELETE", &path, None).await.expect(403);
    let hold = hold_of(&gone.body);
    let run = |arguments: &[&str]| {
        let done = tokio::task::block_in_place(|| world.command(arguments));
        assert!(done.0, "{arguments:?}: {}", done.1);
        done.1
    };
    let listed = run(&["held", "list"]);
    assert!(
        listed.contains(&hold) && listed.contains("DELETE"),
        "{listed}"
    );
    let shown: Value = serde_json::from_str(&run(&["held", "show", &hold])).unwrap();
    assert_eq!(shown["plan"]["removed"], 12, "{shown}");
    let planned: Value = serde_json::from_str(&run(&["plan", &hold])).unwrap();
    assert_eq!(planned["plan"]["act"], "delete", "{planned}");
    let status = tokio::task::block_in_place(|| world.command(&["status"]));
    assert!(!status.0 && status.1.contains("1 held"), "{}", status.1);
    assert!(run(&["held", "reject", &hold]).contains("rejected"));
    let again = tokio::task::block_in_place(|| world.command(&["held", "approve", &hold]));
    assert!(
        !again.0 && again.1.contains("rejected already"),
        "{}",
        again.1
    );
    world.get(&path).await.expect(200);
    // The same request is a new one now.
    let next = hold_of(&world.send("DELETE", &path, None).await.expect(403).body);
    assert_ne!(next, hold);
    assert!(run(&["held", "approve", &next]).contains("approved"));
    world.get(&path).await.expect(404);
    let all = run(&["held", "list", "--all"]);
    assert!(
        all.contains("rejected") && all.contains("approved"),
        "{all}"
    );
    let unknown = tokio::task::block_in_place(|| world.command(&["held", "show", "../status"]));
    assert!(!unknown.0 && unknown.1.contains("no id"), "{}", unknown.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_outlives_a_kill_and_the_window_too() {
    let mut world = World::with("guard = {}", &["--empty"]).await;
    let ids = world.users("m", 30).await;
    let group = world.group("dev", &ids).await;
    let path = format!("/Groups/{group}");
    let removes =
        |ids: &[String]| json!([{ "op": "remove", "path": "members", "value": values(ids) }]);
    world.patch(&path, removes(&ids[..10])).await.expect(204);
    tokio::task::block_in_place(|| world.kill_and_restart());
    let refused = world.patch(&path, removes(&ids[10..11])).await.expect(403);
    let hold = hold_of(&refused.body);
    tokio::task::block_in_place(|| world.kill_and_restart());
    let again = world.patch(&path, removes(&ids[10..11])).await.expect(403);
    assert_eq!(hold_of(&again.body), hold);
    let (code, told) = world
        .operate("POST", &format!("/held/{hold}/approve"))
        .await;
    assert_eq!(code, 200, "{told}");
    let left = (11..30).map(|n| address(&format!("m{n}"))).collect();
    world.until_upstream_has("dev", &left).await;
}
