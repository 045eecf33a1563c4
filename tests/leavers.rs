//! Who leaves goes first, also where an application answers other questions
//! with faults alone, so that one call at a time is tried (reliability: I-14).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, World, address, user, values};

mod anew;
mod stayed;

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

/// A group that keeps its last, and nobody who asks waits long.
const WATCHED: &str = "read_lag = \"100ms\"\nsync_wait = \"300ms\"\nreactivate = \"recreate\"\nguard = { enabled = false, protected_groups = [\"adm\"] }";

fn active(value: bool) -> Value {
    json!([{ "op": "replace", "path": "active", "value": value }])
}

fn addresses(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

async fn here(world: &World) -> Value {
    world.status().await["connections"][0].clone()
}

/// Until the status of the connection is so; returns it.
async fn until_told(world: &World, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let told = here(world).await;
        if is(&told) {
            return told;
        }
        assert!(Instant::now() < end, "{what}: {told:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn nothing_is_pending(told: &Value) -> bool {
    told["pending"] == json!({ "users": 0, "groups": 0, "memberships": 0 })
}

/// Whether the status says of the user's access, and of the membership of that
/// group, that it waits, and why.
fn waits(told: &Value, user: &str, group: &str, why: &str) -> bool {
    let all = told["waiting"].as_array().unwrap();
    let of = |place: Value| {
        all.iter().any(|it| {
            let reason = it["reason"].as_str().unwrap();
            it["user"] == user && it["group"] == place && reason.contains(why)
        })
    };
    of(Value::Null) && of(json!(group))
}

/// A rule by which the application answers an operation so.
fn answers(operation: &str, status: u16) -> Value {
    json!({ "failure": { "status": { "status": status } }, "operation": operation })
}

async fn has_account(world: &World, name: &str) -> bool {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap();
    let is = |user: &&Value| user["email"] == address(name);
    users.iter().find(is).expect("an account")["active"] == true
}

/// Three members of `adm`, which is near its least, the first two in `dev`, and
/// the first in `ops`; the ids of the users and of `adm`.
async fn three(world: &World) -> (Vec<String>, String) {
    let ids = world.users("m", 3).await;
    let adm = world.group("adm", &ids).await;
    world.group("dev", &ids[..2]).await;
    world.group("ops", &ids[..1]).await;
    (ids, adm)
}

async fn is_only_in_adm(world: &World) {
    world.until_upstream_has("dev", &addresses(&["m1"])).await;
    world.until_upstream_has("ops", &addresses(&[])).await;
}

async fn by_hand(world: &World, method: &str, names: &[&str]) {
    let members: Vec<String> = names.iter().map(|name| address(name)).collect();
    let path = "/api/v2/groupmanagement/group/adm/members";
    let body = json!({ "members": members });
    world.as_administrator(method, path, body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_loses_everything_else_while_a_protected_group_cannot_be_read() {
    let mut world = World::with(WATCHED, &["--empty"]).await;
    let (ids, adm) = three(&world).await;
    let broken = json!({ "rules": [{ "failure": "error_before", "operation": "get_members" }] });
    world.faults(broken).await;
    let path = format!("/Users/{}", ids[0]);
    world.patch(&path, active(false)).await.expect(200);
    is_only_in_adm(&world).await;
    let cannot = "its members cannot be read now";
    let told = |told: &Value| waits(told, &ids[0], &adm, cannot);
    until_told(&world, "for whom it waits", told).await;
    let (said, _, well) = world.run(&["status"]);
    let line = format!("User {}, waits", ids[0]);
    assert!(
        !well && said.replace("\n    ", " ").contains(&line),
        "{said}"
    );
    // What is asked for meanwhile is kept, and what was taken away stays so.
    world.kill_and_restart();
    until_told(&world, "for whom it waits still", told).await;
    world.patch(&path, active(false)).await.expect(200);
    is_only_in_adm(&world).await;
    assert!(has_account(&world, "m0").await);
    let there = world.upstream_members("adm").await;
    assert_eq!(there, Some(addresses(&["m0", "m1", "m2"])));

    world.faults(json!({})).await;
    until_told(&world, "the end", nothing_is_pending).await;
    assert!(!has_account(&world, "m0").await);
    assert_eq!(here(&world).await["waiting"], json!([]));
    world.patch(&path, active(true)).await.expect(200);
    world
        .until_upstream_has("dev", &addresses(&["m0", "m1"]))
        .await;
    world.until_upstream_has("ops", &addresses(&["m0"])).await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_and_is_the_last_of_a_protected_group_keeps_that_alone_and_it_is_told() {
    let world = World::with(WATCHED, &["--empty"]).await;
    let (ids, adm) = three(&world).await;
    // Nobody is shown, whoever is there.
    by_hand(&world, "DELETE", &["m0", "m1", "m2"]).await;
    let path = format!("/Users/{}", ids[0]);
    world.patch(&path, active(false)).await.expect(200);
    is_only_in_adm(&world).await;
    let told = |told: &Value| waits(told, &ids[0], &adm, "nobody is shown");
    until_told(&world, "for whom it waits", told).await;
    by_hand(&world, "POST", &["m0"]).await;
    let refused = |told: &Value| told["refused"]["users"] == 1 && nothing_is_pending(told);
    let told = until_told(&world, "the refusal", refused).await;
    let one = &told["refusedResources"][0];
    assert_eq!(
        (&one["id"], &one["asked"]),
        (&json!(ids[0]), &json!("deactivate"))
    );
    let reason = one["reason"].as_str().unwrap();
    for words in [
        "fewer than 1 active members",
        "everything else was taken away",
    ] {
        assert!(reason.contains(words), "{reason}");
    }
    assert_eq!(told["waiting"], json!([]));
    assert!(has_account(&world, "m0").await);
    is_only_in_adm(&world).await;
    let shown = world.get(&path).await.expect(200).body;
    assert_eq!(shown["active"], false, "{shown}");

    by_hand(&world, "POST", &["m1"]).await;
    world.patch(&path, active(false)).await.expect(200);
    let told = until_told(&world, "the end", nothing_is_pending).await;
    assert_eq!(told["refused"]["users"], 0, "{told:#}");
    assert_eq!(told["refusedMemberships"], json!([]));
    assert!(!has_account(&world, "m0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_deleted_loses_everything_else_while_a_protected_group_cannot_be_read() {
    let world = World::with(WATCHED, &["--empty"]).await;
    let (ids, adm) = three(&world).await;
    let broken = json!({ "rules": [{ "failure": "error_before", "operation": "get_members" }] });
    world.faults(broken).await;
    let path = format!("/Users/{}", ids[0]);
    world.send("DELETE", &path, None).await.expect(204);
    is_only_in_adm(&world).await;
    let cannot = "its members cannot be read now";
    let told = |told: &Value| waits(told, &ids[0], &adm, cannot);
    until_told(&world, "for whom it waits", told).await;
    world.faults(json!({})).await;
    until_told(&world, "the end", nothing_is_pending).await;
    assert!(!has_account(&world, "m0").await);
    world
        .until_upstream_has("adm", &addresses(&["m1", "m2"]))
        .await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_account_can_be_ended_only_the_group_that_cannot_be_read_waits() {
    let world = World::of(Application::DeclaredForEver, WATCHED).await;
    let (ids, adm) = three(&world).await;
    let broken = json!({ "rules": [{ "failure": "error_before", "operation": "get_members" }] });
    world.faults(broken).await;
    let path = format!("/Users/{}", ids[0]);
    world.patch(&path, active(false)).await.expect(200);
    is_only_in_adm(&world).await;
    let waits = |told: &Value| {
        let one = &told["waiting"][0];
        (&one["user"], &one["group"]) == (&json!(ids[0]), &json!(adm))
    };
    until_told(&world, "for whom it waits", waits).await;
    world.faults(json!({})).await;
    until_told(&world, "the end", nothing_is_pending).await;
    world
        .until_upstream_has("adm", &addresses(&["m1", "m2"]))
        .await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_account_could_not_be_ended_is_told_when_it_can_be_and_ended_when_asked_for() {
    let rules = "sync_wait = \"300ms\"";
    let mut world = World::of(Application::DeclaredForEver, rules).await;
    let ids = world.users("m", 4).await;
    world.group("dev", &ids).await;
    for id in &ids[..3] {
        let path = format!("/Users/{id}");
        world.patch(&path, active(false)).await.expect(200);
    }
    world.until_upstream_has("dev", &addresses(&["m3"])).await;
    world.kill_bridge();
    let before = "[connection.upstream.operations.list_groups]";
    let end = "[connection.upstream.operations.deactivate_user]\npath = \"/api/v2/usermanagement/user/{user.account}\"\n\n";
    world.reconfigure(|text| text.replace(before, &format!("{end}{before}")));
    world.start_bridge();
    let told = here(&world).await;
    let waiting = told["waiting"].as_array().unwrap();
    let named: BTreeSet<&str> = waiting
        .iter()
        .map(|it| it["user"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        ids[..3].iter().map(String::as_str).collect(),
        "{told:#}"
    );
    let (said, _, well) = world.run(&["status"]);
    assert!(!well && said.contains("could not be ended"), "{said}");
    // Of many at once nobody has said that they shall go.
    assert!(nothing_is_pending(&told));
    world.kill_and_restart();
    for name in ["m0", "m1", "m2"] {
        assert!(has_account(&world, name).await);
    }
    let paths = [&ids[0], &ids[1]].map(|id| format!("/Users/{id}"));
    world.patch(&paths[0], active(false)).await.expect(200);
    world.send("DELETE", &paths[1], None).await.expect(204);
    for (name, there) in [("m0", false), ("m1", false), ("m2", true)] {
        assert_eq!(has_account(&world, name).await, there, "{name}");
    }
    let (said, wrong, _) = world.run(&["reconcile"]);
    assert!(said.contains(&ids[2]), "{said} {wrong}");
    world.run(&["reconcile", "--apply"]);
    let nobody = |told: &Value| told["waiting"] == json!([]) && nothing_is_pending(told);
    until_told(&world, "the end", nobody).await;
    assert!(!has_account(&world, "m2").await);
    assert!(has_account(&world, "m3").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_may_not_be_read_keeps_who_leaves_in_no_other_for_a_minute() {
    let world = World::with(WATCHED, &["--empty"]).await;
    let (ids, _) = three(&world).await;
    world
        .faults(json!({ "rules": [answers("get_members", 403)] }))
        .await;
    let (path, asked) = (format!("/Users/{}", ids[0]), Instant::now());
    world.patch(&path, active(false)).await.expect(200);
    let left = [("dev", addresses(&["m1"])), ("ops", addresses(&[]))];
    for (group, left) in left {
        while world.upstream_members(group).await.as_ref() != Some(&left) {
            assert!(asked.elapsed() < Duration::from_secs(60), "{group}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    assert!(has_account(&world, "m0").await);
    world.overlook().await;
}

/// The first and the second time that a lane comes to it: with the second it is
/// what is done while the account waits.
const POINTS: [&str; 9] = [
    "user.changed:1",
    "user-turn.marked:1",
    "user-turn.saved:1",
    "user-turn.saved:2",
    "user-turn.ended:2",
    "turn.pairs-marked:1",
    "turn.one-sent:1",
    "turn.pairs-settled:1",
    "turn.ended:2",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_leaves_who_waits_for_a_group_in_nothing_else() {
    for point in POINTS {
        let mut world = World::with(WATCHED, &["--empty"]).await;
        let (ids, _) = three(&world).await;
        let broken = json!({ "failure": "error_before", "operation": "get_members" });
        world.faults(json!({ "rules": [broken] })).await;
        assert!(tokio::task::block_in_place(
            || world.kill_and_restart_until(point)
        ));
        let path = format!("/Users/{}", ids[0]);
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": active(false),
        });
        // Perhaps nobody is left to answer.
        let _ = world.try_send("PATCH", &path, Some(body)).await;
        let end = Instant::now() + Duration::from_secs(20);
        while world.bridge_ended().is_none() {
            assert!(Instant::now() < end, "it does not come to {point}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.start_bridge();
        if world.get(&path).await.expect(200).body["active"] == true {
            world.patch(&path, active(false)).await.expect(200);
        }
        is_only_in_adm(&world).await;
        assert!(has_account(&world, "m0").await, "{point}");
        world.faults(json!({})).await;
        until_told(&world, point, nothing_is_pending).await;
        assert!(!has_account(&world, "m0").await, "{point}");
        world.overlook().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_waits_for_no_additions_of_others_where_each_is_a_call() {
    let rules = "sync_wait = \"100ms\"";
    let world = World::of(Application::DeclaredById, rules).await;
    let leavers = world.users("x", 2).await;
    let newcomers = world.users("m", 80).await;
    let dev = world.group("dev", &leavers).await;
    let all = ["x0", "x1"];
    world.until_upstream_has("dev", &addresses(&all)).await;
    world.faults(json!({ "latency_ms": 50 })).await;
    world.forget_calls().await;
    let path = format!("/Groups/{dev}");
    let of_dev = async || {
        let calls = world.calls().await;
        let is_one = |call: &Value| {
            let path = call["path"].as_str().unwrap_or_default();
            call["method"] != "GET" && path.contains("/dev/members")
        };
        let calls = calls.into_iter().filter(is_one);
        calls
            .map(|call| call["method"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let addition = json!([{ "op": "add", "path": "members", "value": values(&newcomers) }]);
    world.patch(&path, addition).await;
    let end = Instant::now() + Duration::from_secs(20);
    while of_dev().await.len() < 3 {
        assert!(Instant::now() < end, "nobody is added");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let gone = format!("members[value eq \"{}\"]", leavers[0]);
    let removal = json!([{ "op": "remove", "path": gone }]);
    world.patch(&path, removal).await;
    until_told(&world, "the end", nothing_is_pending).await;
    let calls = of_dev().await;
    let removals = calls.iter().filter(|call| *call == "DELETE").count();
    let last = calls.iter().rposition(|call| call == "DELETE");
    assert_eq!((removals, calls.len()), (1, 81), "{calls:?}");
    assert!(last < Some(40), "{calls:?}");
    let mut there: BTreeSet<String> = (0..80).map(|n| address(&format!("m{n}"))).collect();
    there.insert(address("x1"));
    assert_eq!(world.upstream_members("dev").await, Some(there));
}
