//! Bulk requests and what is behind them: few calls of the application, one commit, what
//! the application refuses, deletions, and clients that do not wait.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{add, bulk, delete, id, patch, post_group, post_user, request, statuses};
use crate::support::{Application, World, address, group, user};

fn named<'c>(calls: &'c [Value], operation: &str) -> Vec<&'c Value> {
    calls
        .iter()
        .filter(|call| call["operation"] == operation)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_adds_to_one_group_become_few_calls() {
    let world = World::start().await;
    let ids = world.users("u", 100).await;
    let team = format!("/Groups/{}", world.group("Team", &[]).await);
    let operations: Vec<Value> = ids.iter().map(|id| patch(&team, add(&[id]))).collect();
    let (done, calls) = world.calls_of(bulk(&world, &operations)).await;
    assert_eq!(statuses(&done), ["204"; 100]);
    assert!(calls.len() <= 2, "{} calls: {calls:#?}", calls.len());
    assert_eq!(world.upstream_members("team").await.unwrap().len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_operations_are_one_request() {
    let rules = "sync_wait = \"25s\"\n[connection.limits]\nbulk_operations = 500";
    let world = World::with(rules, &["--empty"]).await;
    let names: Vec<String> = (0..490).map(|n| format!("u{n}")).collect();
    let mut operations: Vec<Value> = (0..10)
        .map(|n| {
            let members: Vec<&str> = names
                .iter()
                .skip(n * 49)
                .take(49)
                .map(String::as_str)
                .collect();
            post_group(&format!("Group {n}"), &members)
        })
        .collect();
    operations.extend(names.iter().map(|name| post_user(name)));
    let done = bulk(&world, &operations).await;
    assert_eq!(statuses(&done), ["201"; 500]);
    assert_eq!(world.get("/Users?count=0").await.body["totalResults"], 490);
    for n in 0..10 {
        let expected = names
            .iter()
            .skip(n * 49)
            .take(49)
            .map(|name| address(name))
            .collect();
        world
            .until_upstream_has(&format!("group-{n}"), &expected)
            .await;
    }
}

/// Frames of the write-ahead log that end a transaction: their header tells the
/// size of the file after it, where others tell 0.
fn commits(log: &[u8]) -> usize {
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap()) as usize;
    let salt = &log[16..24];
    let (page, mut at, mut count) = (number(8), 32, 0);
    while at + 24 + page <= log.len() && &log[at + 8..at + 16] == salt {
        count += usize::from(number(at + 4) > 0);
        at += 24 + page;
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_request_is_one_commit() {
    let world = World::start().await;
    // Users without an address are kept here only: nothing but the request writes.
    let staged = |n: usize| {
        let data = json!({"userName": format!("staged{n}"), "active": true});
        json!({"method": "POST", "path": "/Users", "bulkId": format!("{n}"), "data": data})
    };
    let kept = bulk(&world, &[staged(0)]).await;
    assert_eq!(statuses(&kept), ["201"]);
    let before = commits(&world.write_ahead_log());
    let mut operations: Vec<Value> = (1..60).map(staged).collect();
    operations.extend((1..40).map(|n| {
        let title = json!([{"op": "add", "path": "title", "value": "T"}]);
        patch(&format!("/Users/bulkId:{n}"), title)
    }));
    // One that is refused takes nothing else with it, nor a commit of its own.
    operations.push(staged(0));
    let done = bulk(&world, &operations).await;
    let failed = statuses(&done)
        .iter()
        .filter(|status| **status == "409")
        .count();
    assert_eq!((done.len(), failed), (99, 1));
    assert_eq!(commits(&world.write_ahead_log()) - before, 1);
    let single = world.post("/Users", json!({"userName": "alone"})).await;
    single.expect(201);
    assert_eq!(
        commits(&world.write_ahead_log()) - before,
        2,
        "a single request is one as well"
    );
    assert_eq!(world.get("/Users?count=0").await.body["totalResults"], 61);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_refuses_is_told_where_it_was_asked_for() {
    let world = World::start().await;
    let refusal = json!({"status": {"status": 400}});
    let rules = json!([{"failure": refusal, "operation": "create_user", "next": 1}]);
    world.faults(json!({"rules": rules})).await;
    let only = bulk(
        &world,
        &[
            post_user("a"),
            patch(
                "/Users/bulkId:a",
                json!([{"op": "add", "path": "title", "value": "T"}]),
            ),
        ],
    )
    .await;
    assert_eq!(statuses(&only), ["400", "400"], "{only:#?}");
    assert_eq!(
        world.get("/Users").await.body["totalResults"],
        0,
        "nothing is left of it"
    );

    world.faults(json!({"rules": rules})).await;
    let done = bulk(
        &world,
        &[post_group("Team", &["b", "kept"]), post_user("b")],
    )
    .await;
    assert_eq!(statuses(&done), ["409", "400"], "{done:#?}");
    let kept = world.user("kept").await;
    world.faults(json!({"rules": rules})).await;
    let mut team = post_group("Crew", &["c"]);
    team["data"]["members"]
        .as_array_mut()
        .unwrap()
        .push(json!({"value": kept}));
    let done = bulk(&world, &[team, post_user("c")]).await;
    assert_eq!(statuses(&done), ["409", "400"], "{done:#?}");
    let detail = done[0]["response"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("\"c\"") && detail.contains("everything else"),
        "{detail}"
    );
    world
        .until_upstream_has("crew", &[address("kept")].into())
        .await;
    let groups = world
        .get("/Groups?filter=displayName%20eq%20%22Crew%22")
        .await
        .body;
    let members = groups["Resources"][0]["members"].as_array().unwrap();
    assert_eq!(members.len(), 1, "{groups}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_member_is_an_error_of_the_operations_that_named_it() {
    let world = World::start().await;
    let ids = world.users("u", 2).await;
    let team = format!("/Groups/{}", world.group("Team", &[]).await);
    world
        .faults(json!({"refuse_members": [address("u0")]}))
        .await;
    let done = bulk(
        &world,
        &[patch(&team, add(&[&ids[0]])), patch(&team, add(&[&ids[1]]))],
    )
    .await;
    assert_eq!(statuses(&done), ["400", "204"], "{done:#?}");
    assert!(
        done[0]["response"]["detail"]
            .as_str()
            .unwrap()
            .contains(&ids[0])
    );
    world
        .until_upstream_has("team", &[address("u1")].into())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_makes_room_for_the_next_of_that_name() {
    let world = World::start().await;
    let old = world.user("u").await;
    let team = world.group("Team", std::slice::from_ref(&old)).await;
    let done = bulk(
        &world,
        &[
            delete(&format!("/Users/{old}")),
            post_user("u"),
            patch(&format!("/Groups/{team}"), add(&["bulkId:u"])),
            delete(&format!("/Users/{old}")),
        ],
    )
    .await;
    assert_eq!(statuses(&done), ["204", "201", "204", "404"], "{done:#?}");
    assert_eq!(world.members(&team).await, [id(&world, &done[1])].into());
    world
        .until_upstream_has("team", &[address("u")].into())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_makes_room_for_the_next_of_that_name() {
    for application in [Application::Opsera, Application::Declared] {
        let world = World::of(application, "sync_wait = \"2s\"").await;
        let ids = world.users("u", 2).await;
        let team = format!("/Groups/{}", world.group("team", &ids[..1]).await);
        let data = group("team", &ids[1..]);
        let again = json!({"method": "POST", "path": "/Groups", "bulkId": "n", "data": data});
        let more = patch("/Groups/bulkId:n", add(&[&ids[0]]));
        let done = bulk(&world, &[delete(&team), again.clone(), more]).await;
        assert_eq!(statuses(&done), ["204", "201", "204"], "{done:#?}");
        let both = [address("u0"), address("u1")].into();
        world.until_upstream_has("team", &both).await;

        // As long as the application has it, the next one waits.
        let team = format!("/Groups/{}", id(&world, &done[1]));
        let refusal = json!({"status": {"status": 503}});
        let rules = json!([{"failure": refusal, "operation": "delete_group"}]);
        world.faults(json!({"rules": rules})).await;
        let done = bulk(&world, &[delete(&team), again]).await;
        assert_eq!(statuses(&done), ["204", "201"], "{done:#?}");
        assert_eq!(world.upstream_members("team").await, Some(both));
        world.faults(json!({})).await;
        let next = [address("u1")].into();
        world.until_upstream_has("team", &next).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_and_deleted_at_once_is_waited_for_by_nobody() {
    let world = World::with("sync_wait = \"25s\"", &["--empty"]).await;
    let title = json!([{"op": "add", "path": "title", "value": "T"}]);
    let operations = [
        post_user("u"),
        patch("/Users/bulkId:u", title),
        delete("/Users/bulkId:u"),
        post_user("next"),
    ];
    let began = Instant::now();
    let reply = world.post("/Bulk", request(&operations)).await;
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
    assert!(!reply.headers.contains_key("drawbridge-pending"));
    assert_eq!(
        statuses(&super::answers(reply)),
        ["201", "200", "204", "201"]
    );
    assert_eq!(world.get("/Users?count=0").await.body["totalResults"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_comes_after_the_deletion_that_makes_room() {
    let world = World::start().await;
    let old = world.user("u").await;
    let operations = [
        post_group("Team", &["u"]),
        delete(&format!("/Users/{old}")),
        post_user("u"),
    ];
    let done = bulk(&world, &operations).await;
    assert_eq!(statuses(&done), ["201", "204", "201"], "{done:#?}");
    world
        .until_upstream_has("team", &[address("u")].into())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_the_application_refuses_leaves_the_user() {
    let world = World::start().await;
    let ids = world.users("u", 2).await;
    let refusal = json!({"status": {"status": 400}});
    let rules = json!([{"failure": refusal, "operation": "deactivate_user", "next": 1}]);
    world.faults(json!({"rules": rules})).await;
    let paths = [0, 1].map(|n| format!("/Users/{}", ids[n]));
    let done = bulk(&world, &[delete(&paths[0]), delete(&paths[1])]).await;
    let mut told = statuses(&done);
    told.sort_unstable();
    assert_eq!(told, ["204", "400"], "{done:#?}");
    for (answer, path) in done.iter().zip(&paths) {
        let expected = if answer["status"] == "204" { 404 } else { 200 };
        world.get(path).await.expect(expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_a_slow_application_is_one_for_all() {
    let world = World::with("sync_wait = \"1s\"", &["--empty"]).await;
    world.faults(json!({"latency_ms": 4000})).await;
    let began = Instant::now();
    let operations: Vec<Value> = (0..20).map(|n| post_user(&format!("u{n}"))).collect();
    let reply = world.post("/Bulk", request(&operations)).await.expect(200);
    assert_eq!(reply.headers["drawbridge-pending"], "true");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.get("/Users?count=0").await.body["totalResults"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_does_not_halve_the_work() {
    let mut world = World::start().await;
    world.faults(json!({"latency_ms": 1500})).await;
    let mut operations: Vec<Value> = (0..20).map(|n| post_user(&format!("u{n}"))).collect();
    operations.push(post_group("Team", &["u3", "u7"]));
    let impatient = world
        .client
        .post(format!("{}/Bulk", world.base))
        .bearer_auth(&world.token)
        .timeout(Duration::from_millis(700))
        .json(&request(&operations))
        .send();
    assert!(
        impatient.await.is_err(),
        "it answered too soon for this test"
    );
    assert_eq!(world.get("/Users?count=0").await.body["totalResults"], 20);
    world.faults(json!({"latency_ms": 0})).await;
    world.kill_and_restart();
    world
        .until_upstream_has("team", &["u3", "u7"].map(address).into())
        .await;
    assert_eq!(world.get("/Users?count=0").await.body["totalResults"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bulk_requests_at_once_lose_nothing_of_each_other() {
    let world = World::start().await;
    let ids = world.users("u", 60).await;
    let team = format!("/Groups/{}", world.group("Team", &[]).await);
    let half = |from: usize| -> Vec<Value> {
        ids.iter()
            .skip(from)
            .take(30)
            .map(|id| patch(&team, add(&[id])))
            .collect()
    };
    let (first, second) = (half(0), half(30));
    let (one, two) = tokio::join!(bulk(&world, &first), bulk(&world, &second));
    assert_eq!(statuses(&one), ["204"; 30]);
    assert_eq!(statuses(&two), ["204"; 30]);
    assert_eq!(world.upstream_members("team").await.unwrap().len(), 60);
    let (again, calls) = world.calls_of(bulk(&world, &first)).await;
    assert_eq!(statuses(&again), ["204"; 30]);
    assert!(named(&calls, "add_members").is_empty(), "{calls:#?}");
    let same = bulk(
        &world,
        &[json!({"method": "PUT", "path": format!("/Users/{}", ids[0]), "data": user("u0")})],
    )
    .await;
    assert_eq!(same[0]["version"], "W/\"1\"", "an equal PUT is no change");
}
