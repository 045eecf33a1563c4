//! Who leaves goes first, also where an application answers other questions
//! with faults alone, so that one call at a time is tried (reliability: I-14).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, World, address, user, values};

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

/// A rule by which the application answers an operation so.
fn answers(operation: &str, status: u16) -> Value {
    json!({ "failure": { "status": { "status": status } }, "operation": operation })
}

/// Two members of `dev`, which is deleted here and stays there.
async fn stays(world: &World, rules: &[Value]) -> (Vec<String>, String) {
    let ids = world.users("m", 2).await;
    let dev = world.group("dev", &ids).await;
    world.faults(json!({ "rules": rules })).await;
    let path = format!("/Groups/{dev}");
    let deleted = world.send("DELETE", &path, None).await;
    assert!(
        [204, 400, 409].contains(&deleted.status.as_u16()),
        "{deleted:?}"
    );
    world.get(&path).await.expect(404);
    (ids, dev)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_taken_out_of_a_group_whose_deletion_was_refused_or_got_no_answer() {
    let silent = json!({ "failure": "error_before", "operation": "delete_group" });
    for (rule, refused) in [(answers("delete_group", 409), 1), (silent, 0)] {
        let rules = "sync_wait = \"300ms\"";
        let world = World::of(Application::DeclaredForEver, rules).await;
        let (ids, _) = stays(&world, &[rule]).await;
        let path = format!("/Users/{}", ids[0]);
        world.patch(&path, active(false)).await.expect(200);
        world.until_upstream_has("dev", &addresses(&["m1"])).await;
        let nobody_waits = |told: &Value| told["pending"]["users"] == 0;
        let told = until_told(&world, "the end", nobody_waits).await;
        let counts = &told["refused"];
        assert_eq!(
            (&counts["users"], &counts["groups"]),
            (&json!(0), &json!(refused))
        );
        let path = format!("/Users/{}", ids[1]);
        world.send("DELETE", &path, None).await.expect(204);
        world.until_upstream_has("dev", &addresses(&[])).await;
        world.faults(json!({})).await;
        world.overlook().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_nobody_who_leaves_in_a_group_whose_deletion_was_refused() {
    let rules = "sync_wait = \"300ms\"";
    let mut world = World::of(Application::DeclaredForEver, rules).await;
    let no = answers("delete_group", 409);
    let (ids, _) = stays(&world, std::slice::from_ref(&no)).await;
    let both = [no.clone(), answers("remove_members", 429)];
    world.faults(json!({ "rules": both })).await;
    let path = format!("/Users/{}", ids[0]);
    world.patch(&path, active(false)).await.expect(200);
    world.kill_bridge();
    world.faults(json!({ "rules": [no] })).await;
    world.start_bridge();
    world.until_upstream_has("dev", &addresses(&["m1"])).await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_and_cannot_be_taken_out_of_a_group_that_stays_is_told_by_name() {
    let world = World::of(Application::DeclaredForEver, "").await;
    let no = answers("delete_group", 409);
    let both = [no.clone(), answers("remove_members", 400)];
    let (ids, dev) = stays(&world, &both).await;
    let path = format!("/Users/{}", ids[0]);
    let refused = world.patch(&path, active(false)).await.expect(400);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("refused to remove the member"), "{detail}");
    let told = here(&world).await;
    assert_eq!(told["refusedResources"][0]["resourceType"], "Group");
    let user = &told["refusedResources"][1];
    assert_eq!(
        (&user["id"], &user["asked"]),
        (&json!(ids[0]), &json!("deactivate"))
    );
    let one = &told["refusedMemberships"][0];
    let of = (&one["user"], &one["group"], &one["asked"]);
    assert_eq!(of, (&json!(ids[0]), &json!(dev), &json!("remove")));
    world.faults(json!({ "rules": [no] })).await;
    world.patch(&path, active(false)).await.expect(200);
    world.until_upstream_has("dev", &addresses(&["m1"])).await;
    let told = here(&world).await;
    assert_eq!(
        (&told["refused"]["users"], &told["refusedMemberships"]),
        (&json!(0), &json!([]))
    );
}

fn addition(id: &str) -> Value {
    json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_made_anew_has_the_account_that_stayed_and_nothing_of_before() {
    let mut world = World::of(Application::DeclaredForEver, "").await;
    let mut ids = world.users("m", 2).await;
    let dev = world.group("dev", &ids).await;
    world.group("ops", &ids[..1]).await;
    for _ in 0..2 {
        let path = format!("/Users/{}", ids[0]);
        world.send("DELETE", &path, None).await.expect(204);
        is_only_in_adm(&world).await;
        let again = world.post("/Users", user("m0")).await.expect(201).id();
        assert_ne!(again, ids[0]);
        assert!(nothing_is_pending(&here(&world).await));
        assert_eq!(world.members(&dev).await, [ids[1].clone()].into());
        let path = format!("/Groups/{dev}");
        world.patch(&path, addition(&again)).await.expect(204);
        let both = addresses(&["m0", "m1"]);
        world.until_upstream_has("dev", &both).await;
        ids[0] = again;
    }
    world.kill_and_restart();
    world.import();
    let (said, wrong, _) = world.run(&["reconcile", "--apply"]);
    let both = addresses(&["m0", "m1"]);
    assert_eq!(
        world.upstream_members("dev").await,
        Some(both),
        "{said} {wrong}"
    );
    assert_eq!(world.upstream_members("ops").await, Some(addresses(&[])));
    let filter = format!("/Users?filter=userName%20eq%20%22{}%22", address("m0"));
    let found = world.get(&filter).await.expect(200).body;
    assert_eq!(found["totalResults"], 1, "{found}");
    assert_eq!(found["Resources"][0]["id"], ids[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_made_anew_gets_what_is_asked_for_after_the_removals_of_the_one_before() {
    let rules = "sync_wait = \"300ms\"";
    let mut world = World::of(Application::DeclaredForEver, rules).await;
    let ids = world.users("m", 2).await;
    let dev = world.group("dev", &ids).await;
    world.group("ops", &ids[..1]).await;
    let rules = json!({ "rules": [answers("remove_members", 429)] });
    world.faults(rules).await;
    let path = format!("/Users/{}", ids[0]);
    world.send("DELETE", &path, None).await.expect(204);
    let again = world.post("/Users", user("m0")).await.expect(201).id();
    let path = format!("/Groups/{dev}");
    world.patch(&path, addition(&again)).await.expect(204);
    world.kill_bridge();
    world.faults(json!({})).await;
    world.forget_calls().await;
    world.start_bridge();
    until_told(&world, "the end", nothing_is_pending).await;
    let both = addresses(&["m0", "m1"]);
    assert_eq!(world.upstream_members("dev").await, Some(both));
    assert_eq!(world.upstream_members("ops").await, Some(addresses(&[])));
    let calls = world.calls().await;
    let of_dev = calls.iter().filter(|call| {
        let path = call["path"].as_str().unwrap_or_default();
        call["method"] != "GET" && path.ends_with("/dev/members")
    });
    let methods: Vec<&Value> = of_dev.map(|call| &call["method"]).collect();
    assert_eq!(methods, [&json!("DELETE"), &json!("POST")]);
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

/// The application refused to delete the group, and somebody did it there since.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_a_group_that_stayed_and_is_gone_all_the_same_has_left() {
    let rules = "read_lag = \"100ms\"\nlate_writes = \"1s\"\nsync_wait = \"300ms\"\nguard = { enabled = false }";
    let world = World::of(Application::DeclaredForEver, rules).await;
    let ids = world.users("m", 3).await;
    let crew = world.group("crew", &ids).await;
    let refused = json!({ "status": { "status": 400 } });
    world
        .faults(json!({ "rules": [{ "failure": refused, "operation": "delete_group" }] }))
        .await;
    let path = format!("/Groups/{crew}");
    world.send("DELETE", &path, None).await.expect(400);
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    let told = until_told(&world, "it stays there", |it| {
        it["refused"]["groups"] == 1 && it["unsettled"] == nothing
    })
    .await;
    assert_eq!(told["refusedResources"][0]["id"], crew, "{told:#}");
    world.faults(json!({})).await;
    let there = "/api/v2/groupmanagement/group/crew";
    world.as_administrator("DELETE", there, Value::Null).await;
    world.forget_calls().await;
    let user = format!("/Users/{}", ids[0]);
    world.patch(&user, active(false)).await.expect(200);
    until_told(&world, "all is done", |it| {
        nothing_is_pending(it) && it["refused"]["groups"] == 0
    })
    .await;
    // That one reading misses the group is not believed for a while.
    let calls = world.calls().await;
    assert!(calls.len() < 60, "{}: {calls:#?}", calls.len());
    world.forget_calls().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.calls().await, Vec::<Value>::new());
    // Nothing keeps who has its name next.
    world.group("crew", &ids[1..]).await;
    world
        .until_upstream_has("crew", &addresses(&["m1", "m2"]))
        .await;
    world.overlook().await;
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
