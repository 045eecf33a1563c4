//! The last of a group that is watched, where the others were taken out behind
//! the bridge's back: what was believed of them is not enough to let anybody go.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, World, address, values};

const RULES: &str =
    "read_lag = \"100ms\"\nguard = { enabled = false, protected_groups = [\"adm\"] }";

fn path_of(group: &str) -> String {
    format!("/api/v2/groupmanagement/group/{group}/members")
}

/// As an administrator of the application does it.
async fn by_hand(world: &World, method: &str, group: &str, names: &[&str]) {
    let members: Vec<String> = names.iter().map(|name| address(name)).collect();
    let body = json!({ "members": members });
    world.as_administrator(method, &path_of(group), body).await;
}

fn addresses(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

fn removal(ids: &[String]) -> Value {
    json!([{ "op": "remove", "path": "members", "value": values(ids) }])
}

async fn writes(world: &World) -> Vec<Value> {
    let mut calls = world.calls().await;
    calls.retain(|call| call["method"] != "GET");
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_a_protected_group_stays_though_others_are_believed_to_be_there() {
    let world = World::with(RULES, &["--empty"]).await;
    let ids = world.users("m", 3).await;
    let group = world.group("adm", &ids).await;
    by_hand(&world, "DELETE", "adm", &["m1", "m2"]).await;
    world.forget_calls().await;

    let path = format!("/Groups/{group}");
    let refused = world.patch(&path, removal(&ids[..1])).await.expect(403);
    let detail = refused.body["detail"].as_str().unwrap();
    for words in [
        "would keep fewer than 1 active members",
        "shown in the application now",
        &ids[0],
    ] {
        assert!(detail.contains(words), "{words} in {detail}");
    }
    let user = format!("/Users/{}", ids[0]);
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    world.patch(&user, off).await.expect(403);
    world.send("DELETE", &user, None).await.expect(403);
    assert_eq!(writes(&world).await, Vec::<Value>::new());
    assert_eq!(world.get(&user).await.expect(200).body["active"], true);
    assert_eq!(world.members(&group).await.len(), 3);
    assert_eq!(
        world.upstream_members("adm").await,
        Some(addresses(&["m0"]))
    );
    let (_, rows) = world.operate("GET", "/audit?after=0").await;
    let rows = rows.as_array().unwrap().iter();
    let told = rows.filter(|row| row["action"] == "refuse_protected");
    assert_eq!(told.count(), 3);

    // Once somebody else is there again, one may go.
    by_hand(&world, "POST", "adm", &["m1"]).await;
    world.patch(&path, removal(&ids[..1])).await.expect(204);
    world.until_upstream_has("adm", &addresses(&["m1"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_group_that_is_watched_is_read_before_a_removal() {
    let world = World::with(RULES, &["--empty"]).await;
    let ids = world.users("m", 4).await;
    for (name, reads) in [("adm", 1), ("dev", 0)] {
        let group = world.group(name, &ids).await;
        let path = format!("/Groups/{group}");
        let going = world.patch(&path, removal(&ids[..2]));
        let (done, calls) = world.calls_of(going).await;
        done.expect(204);
        let of = |method: &str| calls.iter().filter(|it| it["method"] == method).count();
        assert_eq!((of("GET"), of("DELETE")), (reads, 1), "{name}: {calls:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_waits_until_a_group_that_is_watched_can_be_read() {
    let rules = format!("{RULES}\nsync_wait = \"300ms\"");
    let world = World::with(&rules, &["--empty"]).await;
    let ids = world.users("m", 3).await;
    let group = world.group("adm", &ids).await;
    let broken = json!({ "rules": [{ "failure": "truncated", "operation": "get_members" }] });
    world.faults(broken).await;
    world.forget_calls().await;
    let path = format!("/Groups/{group}");
    world.patch(&path, removal(&ids[..1])).await.expect(204);
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let user = format!("/Users/{}", ids[1]);
    world.patch(&user, off).await.expect(200);
    assert_eq!(writes(&world).await, Vec::<Value>::new());
    world.faults(json!({})).await;
    let end = Instant::now() + Duration::from_secs(20);
    while writes(&world).await.len() < 2 {
        assert!(Instant::now() < end, "they wait although it can be read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Who was deactivated may be on the list still.
    let left = world.upstream_members("adm").await.unwrap();
    let there = |name| left.contains(&address(name));
    assert!(there("m2") && !there("m0"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_many_is_not_emptied_because_those_who_were_to_stay_are_gone() {
    let rules = "read_lag = \"100ms\"\nguard = { group_removals = { more_than = 100 }, removals = { more_than = 100 } }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 12).await;
    let group = world.group("dev", &ids).await;
    by_hand(&world, "DELETE", "dev", &["m0", "m1"]).await;
    world.forget_calls().await;
    let path = format!("/Groups/{group}");
    let refused = world.patch(&path, removal(&ids[2..])).await.expect(403);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("(empty_from)"), "{detail}");
    assert_eq!(writes(&world).await, Vec::<Value>::new());
    assert_eq!(world.members(&group).await.len(), 12);
    // With one of them there it is what it was judged to be.
    by_hand(&world, "POST", "dev", &["m1"]).await;
    world.patch(&path, removal(&ids[2..])).await.expect(204);
    world.until_upstream_has("dev", &addresses(&["m1"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_altogether_is_taken_out_though_nobody_is_left() {
    let rules = "read_lag = \"100ms\"\nguard = { group_removals = { more_than = 100 } }";
    let world = World::of(Application::DeclaredForEver, rules).await;
    let ids = world.users("m", 10).await;
    let group = world.group("dev", &ids).await;
    let path = format!("/Groups/{group}");
    world.patch(&path, removal(&ids[..6])).await.expect(204);
    by_hand(&world, "DELETE", "dev", &["m6", "m7", "m8"]).await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let user = format!("/Users/{}", ids[9]);
    world.patch(&user, off).await.expect(200);
    world.until_upstream_has("dev", &addresses(&[])).await;
}

/// Until so much is refused and nothing pending.
async fn until_refused(world: &World, users: u64) -> Value {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = world.status().await;
        let here = &status["connections"][0];
        let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
        if here["refused"]["users"] == users && here["pending"] == nothing {
            return here.clone();
        }
        assert!(Instant::now() < end, "{status:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// After it was killed, in front of an application that is well again.
async fn starts_with_the_first_protected(world: &mut World) {
    world.kill_bridge();
    let protected = format!("protected_users = [{:?}]", address("m0"));
    world.reconfigure(|text| {
        text.replace(
            "{ enabled = false }",
            &format!("{{ enabled = false, {protected} }}"),
        )
    });
    world.faults(json!({})).await;
    world.forget_calls().await;
    world.start_bridge();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaver_who_is_protected_by_now_is_told_as_refused_and_not_as_pending() {
    let rules = "sync_wait = \"200ms\"\nguard = { enabled = false }";
    let mut world = World::of(Application::DeclaredForEver, rules).await;
    let ids = world.users("m", 3).await;
    for name in ["one", "two"] {
        world.group(name, &ids).await;
    }
    let busy = json!({ "status": { "status": 503 } });
    world
        .faults(json!({ "rules": [{ "failure": busy, "writes": true }] }))
        .await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let user = format!("/Users/{}", ids[0]);
    world.patch(&user, off).await.expect(200);
    let pending = || async { world.status().await["connections"][0]["pending"].clone() };
    assert_eq!(pending().await["memberships"], 2);
    starts_with_the_first_protected(&mut world).await;
    let here = until_refused(&world, 1).await;
    assert_eq!(here["refusedResources"][0]["id"], ids[0], "{here:#}");
    assert_eq!(writes(&world).await, Vec::<Value>::new());
    let all = addresses(&["m0", "m1", "m2"]);
    assert_eq!(world.upstream_members("one").await, Some(all));
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let again = world.patch(&user, off).await.expect(403);
    let detail = again.body["detail"].as_str().unwrap();
    assert!(detail.contains("it is protected here"), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_site_role_of_before_the_protection_is_told_and_not_sent() {
    let rules = "sync_wait = \"200ms\"\nguard = { enabled = false }";
    let mut world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 2).await;
    let user = format!("/Users/{}", ids[0]);
    let give =
        |role: &str| json!([{ "op": "replace", "path": "roles", "value": [{ "value": role }] }]);
    world.patch(&user, give("Administrators")).await.expect(200);
    let busy = json!({ "status": { "status": 503 } });
    world
        .faults(json!({ "rules": [{ "failure": busy, "writes": true }] }))
        .await;
    world.patch(&user, give("Users")).await.expect(200);
    // Said twice at least, so that it is not known what came of it.
    let end = Instant::now() + Duration::from_secs(10);
    while writes(&world)
        .await
        .iter()
        .filter(|it| it["operation"] == "set_site_role")
        .count()
        < 4
    {
        assert!(Instant::now() < end, "it is not said again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    starts_with_the_first_protected(&mut world).await;
    let here = until_refused(&world, 1).await;
    let told = &here["refusedResources"][0];
    assert_eq!(told["id"], ids[0], "{here:#}");
    assert!(
        told["reason"]
            .as_str()
            .unwrap()
            .contains("it is protected here"),
        "{told:#}"
    );
    let again = world.patch(&user, give("Users")).await.expect(403);
    let detail = again.body["detail"].as_str().unwrap();
    assert!(detail.contains("it is protected here"), "{detail}");
    world.patch(&user, give("Auditors")).await.expect(403);
    // All else of it is sent.
    let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
    let moves = json!([{ "op": "replace", "path": department, "value": "Platform" }]);
    world.patch(&user, moves).await.expect(200);
    let end = Instant::now() + Duration::from_secs(10);
    while !world.state().await.to_string().contains("\"Platform\"") {
        assert!(Instant::now() < end, "the department does not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_refused(&world, 1).await;
    for call in writes(&world).await {
        let path = call["path"].as_str().unwrap();
        assert!(path.contains("/data/people"), "{call:#}");
    }
    world.patch(&user, give("Administrators")).await.expect(200);
    until_refused(&world, 0).await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaver_whose_group_lost_the_others_meanwhile_is_told_as_refused_with_the_reason() {
    let rules = RULES.replace("100ms", "3s") + "\nsync_wait = \"500ms\"";
    let world = World::of(Application::DeclaredForEver, &rules).await;
    let ids = world.users("m", 3).await;
    world.group("adm", &ids).await;
    let later = json!({ "status": { "status": 503, "retry_after": "3" } });
    let rule = json!({ "failure": later, "operation": "remove_members", "next": 1 });
    world.faults(json!({ "rules": [rule] })).await;
    world.forget_calls().await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let user = format!("/Users/{}", ids[0]);
    world.patch(&user, off.clone()).await.expect(200);
    let end = Instant::now() + Duration::from_secs(20);
    while writes(&world).await.is_empty() {
        assert!(Instant::now() < end, "nothing is sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    by_hand(&world, "DELETE", "adm", &["m1", "m2"]).await;
    let here = until_refused(&world, 1).await;
    let told = &here["refusedResources"][0];
    assert_eq!(told["id"], ids[0], "{here:#}");
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("fewer than 1 active members"), "{reason}");
    assert_eq!(
        world.upstream_members("adm").await,
        Some(addresses(&["m0"]))
    );
    // Whoever asks again is told so, as nothing was sent that a look may not show.
    for _ in 0..2 {
        let again = world.patch(&user, off.clone()).await.expect(403);
        let detail = again.body["detail"].as_str().unwrap();
        assert!(detail.contains("fewer than 1 active members"), "{detail}");
    }
    until_refused(&world, 1).await;
    by_hand(&world, "POST", "adm", &["m1"]).await;
    world.patch(&user, off).await.expect(200);
    world.until_upstream_has("adm", &addresses(&["m1"])).await;
    until_refused(&world, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_waits_for_no_group_that_cannot_be_read_and_keeps_many() {
    let world = World::with(RULES, &["--empty"]).await;
    let ids = world.users("m", 4).await;
    world.group("adm", &ids).await;
    world.group("dev", &ids[..1]).await;
    let broken = json!({ "rules": [{ "failure": "truncated", "operation": "get_members" }] });
    world.faults(broken).await;
    world.forget_calls().await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let user = format!("/Users/{}", ids[0]);
    world.patch(&user, off).await.expect(200);
    let end = Instant::now() + Duration::from_secs(20);
    while writes(&world).await.is_empty() {
        assert!(Instant::now() < end, "it waits although many stay");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a plan of a PATCH tells: the look at `adm`, the answer, and how many calls.
async fn planned(world: &World, path: &str, asked: &Value) -> (Value, Value, usize) {
    let schemas = json!(["urn:ietf:params:scim:api:messages:2.0:PatchOp"]);
    let body = json!({ "schemas": schemas, "Operations": asked });
    let request = json!({ "method": "PATCH", "path": path, "body": body });
    let file = world.file("look.json", &request.to_string());
    world.forget_calls().await;
    let (said, wrong, ok) = world.run(&["plan", "--connection", "acme", "--request", &file]);
    assert!(ok, "{wrong}");
    assert_eq!(writes(world).await, Vec::<Value>::new());
    let told: Value = serde_json::from_str(&said).unwrap();
    let call = told["calls"].as_array().unwrap().last().unwrap();
    let look = call["looksFirst"][0].clone();
    assert_eq!((&look["group"], &look["least"]), (&json!("adm"), &json!(1)));
    let calls = call["operations"].as_array().unwrap().len();
    (look, told["answers"][0].clone(), calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_looks_as_the_removal_would_and_tells_what_comes_of_it() {
    let world = World::with(RULES, &["--empty"]).await;
    let ids = world.users("m", 3).await;
    let group = world.group("adm", &ids).await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let shows = |look: &Value| (look["staying"].clone(), look["then"].clone());
    for (path, asked) in [
        (format!("/Groups/{group}"), removal(&ids[..1])),
        (format!("/Users/{}", ids[0]), off),
    ] {
        let (look, answer, calls) = planned(&world, &path, &asked).await;
        assert_eq!((shows(&look), calls), ((json!(2), json!("sent")), 1));
        assert_eq!(answer["answer"], "done", "{answer:#}");
        // It shows what the application shows, and not what was read before; as
        // long as that may lag it is not believed.
        by_hand(&world, "DELETE", "adm", &["m1", "m2"]).await;
        let end = Instant::now() + Duration::from_secs(20);
        let (look, answer, calls) = loop {
            let told = planned(&world, &path, &asked).await;
            if told.0["then"] != "waits" {
                break told;
            }
            assert!(Instant::now() < end, "{:#}", told.0);
        };
        assert_eq!((shows(&look), calls), ((json!(0), json!("refused")), 0));
        assert_eq!(answer["status"], 403, "{answer:#}");
        let real = world.patch(&path, asked.clone()).await;
        assert_eq!(real.expect(403).body["detail"], answer["detail"]);
        by_hand(&world, "POST", "adm", &["m1", "m2"]).await;
        let broken = json!({ "rules": [{ "failure": "truncated", "operation": "get_members" }] });
        world.faults(broken).await;
        let (look, ..) = planned(&world, &path, &asked).await;
        assert_eq!(shows(&look), (Value::Null, json!("waits")));
        world.faults(json!({})).await;
    }
}

/// With so little time in which a call can land late that what was only read is
/// soon said again.
const RECHECKED: &str = "late_writes = \"4s\"\nsync_wait = \"300ms\"\n";

/// Until it is so with the memberships that are on their way, and in doubt.
async fn until(world: &World, is_so: impl Fn(&Value, &Value) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let status = world.status().await;
        let here = &status["connections"][0];
        let memberships = |of: &str| &here[of]["memberships"];
        if is_so(memberships("pending"), memberships("unsettled")) {
            return;
        }
        assert!(Instant::now() < end, "{status:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Somebody is added to a group, and it is known; then the application fails where
/// that is said once more, until it is told otherwise.
pub(super) async fn bring_in_doubt(world: &World, group: &str, id: &str, failing: Value) {
    until(world, |pending, unsettled| pending == 0 && unsettled == 0).await;
    let lost = json!({ "failure": "error_after", "operation": "add_members", "next": 1 });
    world.faults(json!({ "rules": [lost] })).await;
    let value = values(&[id.to_owned()]);
    let addition = json!([{ "op": "add", "path": "members", "value": value }]);
    let path = format!("/Groups/{group}");
    world.patch(&path, addition).await.expect(204);
    until(world, |pending, _| pending == 0).await;
    world.faults(json!({ "rules": [failing] })).await;
    until(world, |pending, _| pending == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_held_because_who_stays_is_only_looked_at_again() {
    let world = World::with(&format!("{RECHECKED}{RULES}"), &["--empty"]).await;
    let ids = world.users("m", 3).await;
    let group = world.group("adm", &ids[..2]).await;
    let path = format!("/Groups/{group}");
    let failing = json!({ "failure": "error_before", "operation": "add_members" });
    bring_in_doubt(&world, &group, &ids[2], failing).await;
    world.patch(&path, removal(&ids[..1])).await.expect(204);
    world
        .until_upstream_has("adm", &addresses(&["m1", "m2"]))
        .await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let user = format!("/Users/{}", ids[1]);
    world.patch(&user, off).await.expect(200);
    super::shapes::until_inactive(&world, "m1").await;
    world.faults(json!({})).await;
    until(&world, |pending, _| pending == 0).await;
    let left = world.upstream_members("adm").await.unwrap();
    assert!(left.contains(&address("m2")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_is_not_given_up_at_a_start_because_who_stays_is_looked_at_again() {
    let mut world = World::with(&format!("{RECHECKED}{RULES}"), &["--empty"]).await;
    let ids = world.users("m", 2).await;
    let group = world.group("adm", &ids[..1]).await;
    let failing = json!({ "failure": "error_before", "writes": true });
    bring_in_doubt(&world, &group, &ids[1], failing).await;
    let path = format!("/Groups/{group}");
    world.patch(&path, removal(&ids[..1])).await.expect(204);
    world.kill_and_restart();
    let status = world.status().await;
    let refused = &status["connections"][0]["refused"]["memberships"];
    assert_eq!(refused, 0, "{status:#}");
    world.faults(json!({})).await;
    world.until_upstream_has("adm", &addresses(&["m1"])).await;
}
