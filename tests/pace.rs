//! The limit of a minute outlives the process: what one has sent, the next one
//! counts. The application counts too, and refuses what is too much.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{World, address, eventually, group, user, values};

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

#[tokio::test]
async fn a_pause_that_one_call_was_asked_for_holds_up_no_removal() {
    let world = World::with("sync_wait = \"100ms\"", &["--empty"]).await;
    let ids = world.users("u", 4).await;
    let team = format!("/Groups/{}", world.group("team", &ids[..2]).await);
    let has = |names: &[&str]| names.iter().map(|name| address(name)).collect();
    world.until_upstream_has("team", &has(&["u0", "u1"])).await;
    world.forget_calls().await;
    let busy = json!({ "status": { "status": 503, "retry_after": "600" } });
    let rule = json!({ "failure": busy, "operation": "add_members", "next": 1 });
    world.faults(json!({ "rules": [rule] })).await;
    let add = |of: &[String]| json!([{ "op": "add", "path": "members", "value": values(of) }]);
    world.patch(&team, add(&ids[2..3])).await.expect(204);
    eventually("the application asks for a pause", async || {
        let status = world.status().await;
        status["connections"][0]["application"]["silentForSeconds"].as_u64() > Some(500)
    })
    .await;
    // Of the very group, and of who leaves altogether.
    let out = format!("members[value eq \"{}\"]", ids[0]);
    let out = json!([{ "op": "remove", "path": out }]);
    world.patch(&team, out).await.expect(204);
    world.until_upstream_has("team", &has(&["u1"])).await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let path = format!("/Users/{}", ids[1]);
    world.patch(&path, off).await.expect(200);
    let is_ended = |call: &Value| call["operation"] == "deactivate_user" && call["status"] == 200;
    eventually("the account is ended", async || {
        world.calls().await.iter().any(is_ended)
    })
    .await;
    // Nothing else is sent.
    world.patch(&team, add(&ids[3..])).await.expect(204);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let calls = world.calls().await;
    let operation = |call: &Value| call["operation"].as_str().unwrap_or_default().to_owned();
    let sent: BTreeSet<String> = calls.iter().map(operation).collect();
    let allowed = ["add_members", "remove_members", "deactivate_user"].map(str::to_owned);
    assert!(sent.is_subset(&allowed.into()), "{calls:#?}");
    let added = calls
        .iter()
        .filter(|call| call["operation"] == "add_members");
    assert_eq!(added.count(), 1, "{calls:#?}");
}

#[tokio::test]
async fn of_a_backlog_that_a_kill_ends_few_are_looked_up_one_by_one() {
    let pace = "requests_per_second = 20\nburst = 1";
    let mut world = World::behind("sync_wait = \"1ms\"", pace).await;
    let ids = world.users("many", 150).await;
    for n in 0..60 {
        let team = group(&format!("team-{n}"), &ids[n..=n]);
        world.post("/Groups", team).await.expect(201);
    }
    world.forget_calls().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.kill_and_restart();
    eventually("all of them are there", async || {
        let status = world.status().await;
        let pending = &status["connections"][0]["pending"];
        pending["users"] == 0 && pending["groups"] == 0
    })
    .await;
    let calls = world.calls().await;
    let looks = |kind: &str| {
        let is_look =
            |call: &&Value| call["method"] == "GET" && call["path"].to_string().contains(kind);
        calls.iter().filter(is_look).count()
    };
    println!("{} and {} looked up", looks("user"), looks("group"));
    assert!((1..=32).contains(&looks("user")), "{}", looks("user"));
    assert!(looks("group") <= 32, "{}", looks("group"));
}

/// The first call of this kind is answered 429, and silence asked for.
fn silent(operation: &str) -> Value {
    let status = json!({ "status": 429, "retry_after": "60" });
    json!({ "rules": [{ "operation": operation, "next": 1, "failure": { "status": status } }] })
}

async fn silent_for(world: &World) -> u64 {
    let status = world.status().await;
    let left = &status["connections"][0]["application"]["silentForSeconds"];
    left.as_u64().unwrap_or(0)
}

fn refused_check(world: &World) -> String {
    let (well, said) = world.command(&["check"]);
    assert!(!well, "{said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_silence_that_a_server_was_asked_for_is_kept_by_check_beside_it_and_after_it() {
    let mut world = World::behind("sync_wait = \"1ms\"", "requests_per_second = 20").await;
    world.faults(silent("create_user")).await;
    world.post("/Users", user("ann")).await;
    eventually("silence is asked for", async || {
        silent_for(&world).await > 0
    })
    .await;
    world.forget_calls().await;
    for stopped in [false, true] {
        if stopped {
            world.stop_bridge();
        }
        let said = refused_check(&world);
        let told = "Opsera is asked nothing for";
        assert!(said.contains(told) && said.contains("s more"), "{said}");
        assert_eq!(world.calls().await, Vec::<Value>::new(), "{stopped}");
    }
    world.start_bridge();
    world.overlook().await;
}

#[tokio::test]
async fn a_silence_that_check_was_asked_for_is_kept_by_the_server_and_by_the_next_one() {
    let mut world = World::behind("sync_wait = \"1ms\"", "requests_per_second = 20").await;
    world.faults(silent("search_user")).await;
    let said = refused_check(&world);
    assert!(said.contains("Opsera is asked nothing for"), "{said}");
    assert!(silent_for(&world).await > 50);
    world.forget_calls().await;
    world.post("/Users", user("ann")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.calls().await, Vec::<Value>::new());

    // And one that no server was there to hear of.
    world.stop_bridge();
    world.file("bridge.db.calls", "");
    world.faults(silent("search_user")).await;
    refused_check(&world);
    world.forget_calls().await;
    world.start_bridge();
    assert!(silent_for(&world).await > 50);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.calls().await, Vec::<Value>::new());
    world.overlook().await;
}

#[tokio::test]
async fn a_server_at_its_limit_and_check_beside_it_keep_to_it_together() {
    let world = World::behind("sync_wait = \"1ms\"", "requests_per_second = 5").await;
    world.forget_calls().await;
    world
        .faults(json!({ "rate_limit": { "per_second": 5 } }))
        .await;
    world.users("many", 60).await;
    for _ in 0..3 {
        let (well, said) = world.command(&["check"]);
        assert!(well, "{said}");
    }
    let calls = world.calls().await;
    let refused = calls.iter().filter(|call| call["status"] == 429).count();
    assert_eq!(refused, 0, "of {} calls", calls.len());
    let of = |operation: &str| {
        calls
            .iter()
            .filter(|it| it["operation"] == operation)
            .count()
    };
    assert!(of("create_user") > 10, "the server was busy: {calls:#?}");
    assert!(of("search_user") >= 3, "and so was check: {calls:#?}");
}
