//! What one connection has deleted while a call about it may still take effect: the
//! other one has it when that is over (reliability: H-05, H-18).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Pair, TENANT};
use crate::support::{Application, Reply, Tenant, World, address, eventually, group, user, values};

const SLOW: &str = "sync_wait = \"300ms\"\nread_lag = \"100ms\"\nlate_writes = \"4s\"";

/// The next call of its kind gets no answer, and is done two seconds later.
async fn one_is_late(world: &World, operation: &str) {
    let late = json!({ "late": { "after_ms": 2_000 } });
    let rule = json!({ "operation": operation, "failure": late, "next": 1 });
    world.faults(json!({ "rules": [rule] })).await;
}

/// Refused with what is waited for, and done in the end.
async fn when_let_go(mut ask: impl AsyncFnMut() -> Reply) -> Reply {
    let end = Instant::now() + Duration::from_secs(40);
    let mut waited = false;
    loop {
        let reply = ask().await;
        if reply.status.as_u16() != 503 {
            assert!(waited, "{reply:#?}");
            return reply;
        }
        assert!(reply.headers.contains_key("retry-after"), "{reply:#?}");
        let said = reply.body["detail"].to_string();
        assert!(said.contains("may still take effect there"), "{said}");
        assert!(!said.contains("acme"), "{said}");
        assert!(Instant::now() < end, "{said}");
        waited = true;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_nothing_can_happen_any_more(world: &World) {
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    eventually("all is over", async || {
        let status = world.status().await;
        let all = status["connections"].as_array().unwrap();
        all.iter()
            .all(|it| it["pending"] == nothing && it["unsettled"] == nothing)
    })
    .await;
    assert!(world.run(&["status"]).2, "{:#}", world.status().await);
}

async fn is_on(world: &World, name: &str) -> bool {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap();
    users
        .iter()
        .any(|it| it["email"] == address(name) && it["active"] == true)
}

fn only(name: &str) -> BTreeSet<String> {
    [address(name)].into()
}

/// Killed in between where it is said.
fn turn(world: &mut World, other: &mut Tenant, killed: bool) {
    if killed {
        world.kill_and_restart();
        world.meet(other);
    }
    world.turn_to(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_creation_was_not_answered_and_was_deleted_the_other_one_makes_and_keeps() {
    for killed in [false, true] {
        let (mut world, mut other) = World::pair_apart(Application::Opsera, SLOW, TENANT).await;
        one_is_late(&world, "create_user").await;
        let n = world.user("n").await;
        let path = format!("/Users/{n}");
        world.send("DELETE", &path, None).await.expect(204);
        turn(&mut world, &mut other, killed);
        let made = when_let_go(async || world.post("/Users", user("n")).await).await;
        world.group("theirs", &[made.expect(201).id()]).await;
        until_nothing_can_happen_any_more(&world).await;
        assert!(is_on(&world, "n").await);
        assert_eq!(world.upstream_members("theirs").await, Some(only("n")));
        world.overlook().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_lands_late_does_not_hit_the_account_that_the_other_one_makes_anew() {
    for killed in [false, true] {
        let pair = Pair::of(Application::Opsera, SLOW).await;
        let (mut world, mut other) = (pair.world, pair.other);
        let same = pair.same.clone();
        world.group("theirs", std::slice::from_ref(&same)).await;
        world.turn_to(&mut other);
        one_is_late(&world, "deactivate_user").await;
        let path = format!("/Users/{}", pair.a);
        world.send("DELETE", &path, None).await.expect(204);
        turn(&mut world, &mut other, killed);
        let path = format!("/Users/{same}");
        eventually("it is shown", async || {
            world.get(&path).await.expect(200).body["active"] == false
        })
        .await;
        let on = json!([{ "op": "replace", "path": "active", "value": true }]);
        let on = when_let_go(async || world.patch(&path, on.clone()).await).await;
        on.expect(200);
        until_nothing_can_happen_any_more(&world).await;
        assert!(is_on(&world, "a").await);
        assert_eq!(world.upstream_members("theirs").await, Some(only("a")));
        world.overlook().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_lands_late_does_not_hit_the_group_that_the_other_one_makes_anew() {
    for killed in [false, true] {
        let pair = Pair::of(Application::Opsera, SLOW).await;
        let (mut world, mut other) = (pair.world, pair.other);
        let b = [world.user("b").await];
        world.turn_to(&mut other);
        one_is_late(&world, "delete_group").await;
        let path = format!("/Groups/{}", pair.team);
        world.send("DELETE", &path, None).await.expect(204);
        turn(&mut world, &mut other, killed);
        let made = when_let_go(async || world.post("/Groups", group("team", &b)).await).await;
        made.expect(201);
        until_nothing_can_happen_any_more(&world).await;
        assert_eq!(world.upstream_members("team").await, Some(only("b")));
        world.overlook().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_late_into_the_group_that_the_other_one_makes_anew_or_leaves_it() {
    for removal in [false, true] {
        let pair = Pair::of(Application::Opsera, SLOW).await;
        let (mut world, mut other) = (pair.world, pair.other);
        let b = world.user("b").await;
        world.turn_to(&mut other);
        let late = world.user("late").await;
        let path = format!("/Groups/{}", pair.team);
        let change = if removal {
            one_is_late(&world, "remove_members").await;
            let who = format!("members[value eq \"{}\"]", pair.a);
            json!([{ "op": "remove", "path": who }])
        } else {
            one_is_late(&world, "add_members").await;
            json!([{ "op": "add", "path": "members", "value": values(&[late]) }])
        };
        let changed = world.patch(&path, change).await.status;
        assert!(changed.is_success(), "{changed}");
        world.send("DELETE", &path, None).await.expect(204);
        world.turn_to(&mut other);
        let both = [pair.same.clone(), b];
        let made = when_let_go(async || world.post("/Groups", group("team", &both)).await).await;
        made.expect(201);
        until_nothing_can_happen_any_more(&world).await;
        let asked = [address("a"), address("b")].into();
        assert_eq!(world.upstream_members("team").await, Some(asked));
        world.overlook().await;
    }
}

/// Pausing is an operator's will, so what is deleted meanwhile is waited for, and whoever
/// waits is told what for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_connection_that_is_paused_is_told_so_until_it_goes_on() {
    let pair = Pair::of(Application::Opsera, SLOW).await;
    let (mut world, mut other) = (pair.world, pair.other);
    let b = [world.user("b").await];
    let paused = world.run(&["pause", "--connection", "acme"]);
    assert!(paused.2, "{paused:?}");
    world.turn_to(&mut other);
    let path = format!("/Groups/{}", pair.team);
    world.send("DELETE", &path, None).await.expect(204);
    world.turn_to(&mut other);
    let waits = world.post("/Groups", group("team", &b)).await.expect(503);
    let said = waits.body["detail"].to_string();
    assert!(
        said.contains("an operator has paused that connection"),
        "{said}"
    );
    assert!(
        said.contains("drawbridge resume") && !said.contains("acme"),
        "{said}"
    );
    let resumed = world.run(&["resume", "--connection", "acme"]);
    assert!(resumed.2, "{resumed:?}");
    eventually("it is the other one's", async || {
        let reply = world.post("/Groups", group("team", &b)).await;
        reply.status.as_u16() == 201
    })
    .await;
    until_nothing_can_happen_any_more(&world).await;
    assert_eq!(world.upstream_members("team").await, Some(only("b")));
    world.overlook().await;
}
