//! What only waits for the limit is not sent when it is taken back, and what takes
//! access away does not wait for it (reliability: H-02, I-14).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually, values};

const QUICKLY: &str = "sync_wait = \"50ms\"\nread_lag = \"1s\"\nlate_writes = \"6s\"";

/// From now on the application takes so many calls a second, evenly.
fn slow(world: &mut World, per_second: u32) {
    world.reconfigure(|text| {
        let pace = format!("requests_per_second = {per_second}\nburst = 1");
        text.replace("requests_per_second = 100000\nburst = 1000", &pace)
    });
    world.stop_bridge();
    world.start_bridge();
}

async fn settled(world: &World) {
    eventually("nothing is pending", async || {
        let status = world.status().await;
        let pending = &status["connections"][0]["pending"];
        *pending == json!({ "users": 0, "groups": 0, "memberships": 0 })
    })
    .await;
}

/// Groups of the first two of four users, and the ids of all of them.
async fn company(world: &World, groups: usize) -> (Vec<String>, Vec<String>) {
    let users = world.users("u", 4).await;
    let mut paths = Vec::new();
    for n in 0..groups {
        let group = world.group(&format!("team-{n}"), &users[..2]).await;
        paths.push(format!("/Groups/{group}"));
    }
    settled(world).await;
    (users, paths)
}

fn adds(user: &String) -> Value {
    json!([{ "op": "add", "path": "members", "value": values(std::slice::from_ref(user)) }])
}

fn removes(user: &str) -> Value {
    json!([{ "op": "remove", "path": format!("members[value eq \"{user}\"]") }])
}

fn active(value: bool) -> Value {
    json!([{ "op": "replace", "path": "active", "value": value }])
}

fn count(calls: &[Value], operation: &str) -> usize {
    let of = |call: &&Value| call["operation"] == operation;
    calls.iter().filter(of).count()
}

fn team(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_inactive_is_given_no_membership_that_waited_for_the_limit() {
    let mut world = World::of(Application::DeclaredForEver, QUICKLY).await;
    let (users, groups) = company(&world, 12).await;
    slow(&mut world, 4);
    world.forget_calls().await;
    for path in &groups {
        world.patch(path, adds(&users[2])).await.expect(204);
    }
    let user = format!("/Users/{}", users[2]);
    world.patch(&user, active(false)).await.expect(200);
    let sent = count(&world.calls().await, "add_members");
    settled(&world).await;
    let calls = world.calls().await;
    assert!(sent < 12, "some wait");
    assert_eq!(count(&calls, "add_members"), sent, "{calls:#?}");
    for n in 0..12 {
        let there = world.upstream_members(&format!("team-{n}")).await;
        assert_eq!(there, Some(team(&["u0", "u1"])));
    }
    // They are asked for still.
    world.patch(&user, active(true)).await.expect(200);
    for n in 0..12 {
        let all = team(&["u0", "u1", "u2"]);
        world.until_upstream_has(&format!("team-{n}"), &all).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_account_is_made_for_who_is_deleted_while_it_waits_for_the_limit() {
    let pace = "requests_per_second = 1\nburst = 1";
    let world = World::behind(QUICKLY, pace).await;
    // Whoever comes first is not waited for.
    world.users("first", 1).await;
    let users = world.users("u", 8).await;
    let began = Instant::now();
    let path = |n: usize| format!("/Users/{}", users[n]);
    world.send("DELETE", &path(7), None).await.expect(204);
    world.patch(&path(6), active(false)).await.expect(200);
    assert!(began.elapsed() < Duration::from_secs(2));
    settled(&world).await;
    let calls = world.calls().await;
    let told = |name: &str| {
        calls
            .iter()
            .any(|it| it["body"].to_string().contains(&address(name)))
    };
    assert!(told("u5") && !told("u6") && !told("u7"), "{calls:#?}");
    assert_eq!(count(&calls, "create_user"), 7);
    assert_eq!(count(&calls, "deactivate_user"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_waits_for_no_addition_to_its_group_that_waits_for_the_limit() {
    let mut world = World::with(QUICKLY, &["--empty"]).await;
    let (users, groups) = company(&world, 1).await;
    slow(&mut world, 4);
    world.users("many", 24).await;
    world.patch(&groups[0], adds(&users[2])).await.expect(204);
    // It has its place among those that wait.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = Instant::now();
    world
        .patch(&groups[0], removes(&users[0]))
        .await
        .expect(204);
    let gone = async || {
        let there = world.upstream_members("team-0").await;
        !there.is_some_and(|there| there.contains(&address("u0")))
    };
    eventually("it is taken away", gone).await;
    let waited = asked.elapsed();
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    world
        .until_upstream_has("team-0", &team(&["u1", "u2"]))
        .await;
    settled(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_that_is_taken_back_while_it_waits_for_the_limit_is_not_sent() {
    let mut world = World::with(QUICKLY, &["--empty"]).await;
    let (users, groups) = company(&world, 8).await;
    slow(&mut world, 2);
    world.forget_calls().await;
    for path in &groups {
        world.patch(path, adds(&users[2])).await.expect(204);
    }
    for path in &groups {
        world.patch(path, removes(&users[2])).await.expect(204);
    }
    let sent = count(&world.calls().await, "add_members");
    settled(&world).await;
    let calls = world.calls().await;
    assert!(sent < 8, "some wait");
    assert_eq!(count(&calls, "add_members"), sent, "{calls:#?}");
    assert_eq!(count(&calls, "remove_members"), sent, "{calls:#?}");
}
