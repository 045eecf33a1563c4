//! A group is asked for by the name of one whose deletion has not come to its end
//! in the application (reliability: H-14).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, Reply, World, address, eventually, group, values};

const SOON: &str = "read_lag = \"100ms\"\nsync_wait = \"300ms\"\nlate_writes = \"3s\"";

fn rule(failure: Value) -> Value {
    json!({ "rules": [{ "operation": "delete_group", "failure": failure }] })
}

fn addresses(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

/// A group of the first two of three users, deleted under a rule, which the
/// application has still; and the ids of all.
async fn deleted(application: Application, failure: Value) -> (World, Vec<String>, Reply) {
    let world = World::of(application, SOON).await;
    let ids = world.users("m", 3).await;
    let dev = world.group("dev", &ids[..2]).await;
    world.faults(rule(failure)).await;
    let path = format!("/Groups/{dev}");
    let reply = world.send("DELETE", &path, None).await;
    world.get(&path).await.expect(404);
    (world, ids, reply)
}

async fn until_nothing_is_open(world: &World) {
    let end = Instant::now() + Duration::from_secs(20);
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    loop {
        let told = world.status().await["connections"][0]["pending"].clone();
        if told == nothing {
            return;
        }
        assert!(Instant::now() < end, "{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn is_made_when_the_other_is_gone(application: Application, failure: Value, killed: bool) {
    let (mut world, ids, reply) = deleted(application, failure).await;
    reply.expect(204);
    let body = group("dev", &ids[1..]);
    let again = world.post("/Groups", body.clone()).await.expect(201).id();
    world.post("/Groups", body).await.expect(409);
    let asked: BTreeSet<String> = ids[1..].iter().cloned().collect();
    assert_eq!(world.members(&again).await, asked);
    let before = addresses(&["m0", "m1"]);
    assert_eq!(world.upstream_members("dev").await, Some(before));
    if killed {
        world.kill_and_restart();
    }
    world.faults(json!({})).await;
    world
        .until_upstream_has("dev", &addresses(&["m1", "m2"]))
        .await;
    until_nothing_is_open(&world).await;
    assert_eq!(world.members(&again).await, asked);
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_name_of_one_whose_deletion_is_open_is_made_when_that_is_gone() {
    for killed in [false, true] {
        let busy = json!({ "status": { "status": 429 } });
        is_made_when_the_other_is_gone(Application::Opsera, busy, killed).await;
        let broken = json!("error_before");
        is_made_when_the_other_is_gone(Application::Declared, broken, killed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_lands_late_does_not_take_away_the_group_that_has_the_name_by_then() {
    let world = World::of(Application::Opsera, SOON).await;
    let ids = world.users("m", 3).await;
    let dev = world.group("dev", &ids[..2]).await;
    let late = json!({ "late": { "after_ms": 2_000 } });
    let rules = json!({ "rules": [{ "operation": "delete_group", "failure": late, "next": 1 }] });
    world.faults(rules).await;
    world.forget_calls().await;
    let path = format!("/Groups/{dev}");
    world.send("DELETE", &path, None).await.expect(204);
    world
        .post("/Groups", group("dev", &ids[1..]))
        .await
        .expect(201);
    let both = addresses(&["m1", "m2"]);
    world.until_upstream_has("dev", &both).await;
    let end = Instant::now() + Duration::from_secs(20);
    while world.upstream_members("dev").await.is_some() {
        assert!(Instant::now() < end, "the late one lands");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.until_upstream_has("dev", &both).await;
    until_nothing_is_open(&world).await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_going_to_be_free_by_itself_is_refused_with_what_to_do() {
    let no = json!({ "status": { "status": 400 } });
    let (world, ids, reply) = deleted(Application::Opsera, no).await;
    reply.expect(400);
    let refused = world.post("/Groups", group("dev", &ids[1..])).await;
    let said = refused.expect(409).body["detail"].to_string();
    for words in ["deletion was refused", "reconcile --apply"] {
        assert!(said.contains(words), "{said}");
    }
    world.faults(json!({})).await;
    let (said, wrong, _) = world.run(&["reconcile", "--apply"]);
    until_nothing_is_open(&world).await;
    assert_eq!(world.upstream_members("dev").await, None, "{said}{wrong}");
    world.group("dev", &ids[1..]).await;
    let both = addresses(&["m1", "m2"]);
    assert_eq!(world.upstream_members("dev").await, Some(both));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_deletion_that_is_refused_then_is_made_when_it_is_done() {
    let (world, ids, _) = deleted(Application::Opsera, json!("error_before")).await;
    world
        .post("/Groups", group("dev", &ids[1..]))
        .await
        .expect(201);
    world
        .faults(rule(json!({ "status": { "status": 400 } })))
        .await;
    let end = Instant::now() + Duration::from_secs(20);
    while world.status().await["connections"][0]["refused"]["groups"] != 1 {
        assert!(Instant::now() < end, "the deletion is refused");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.faults(json!({})).await;
    world.run(&["reconcile", "--apply"]);
    world
        .until_upstream_has("dev", &addresses(&["m1", "m2"]))
        .await;
    until_nothing_is_open(&world).await;
    world.overlook().await;
}

/// The first creation fails, and what a look shows then is still the group that was
/// deleted a moment ago.
async fn is_made_although_its_predecessor_is_shown(application: Application, same: bool) {
    let lag = "read_lag = \"3s\"\nsync_wait = \"50ms\"";
    let world = World::of(application, lag).await;
    let ids = world.users("m", 4).await;
    let dev = world.group("dev", &ids[..2]).await;
    world
        .until_upstream_has("dev", &addresses(&["m0", "m1"]))
        .await;
    let rule = json!({ "operation": "create_group", "failure": "error_before", "next": 1 });
    world
        .faults(json!({ "read_lag_ms": 2_000, "rules": [rule] }))
        .await;
    // So that what is shown late is the group.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let path = format!("/Groups/{dev}");
    world.send("DELETE", &path, None).await.expect(204);
    let (first, last) = if same { (0..1, 1..2) } else { (2..3, 3..4) };
    let again = world
        .post("/Groups", group("dev", &ids[first.clone()]))
        .await;
    let again = again.expect(201).id();
    let path = format!("/Groups/{again}");
    let add = json!([{ "op": "add", "path": "members", "value": values(&ids[last.clone()]) }]);
    let added = world.patch(&path, add).await.status;
    assert!(added.is_success(), "{added}");
    let names: Vec<String> = (first.start..last.end).map(|n| format!("m{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.until_upstream_has("dev", &addresses(&names)).await;
    until_nothing_is_open(&world).await;
    let asked: BTreeSet<String> = ids[first.start..last.end].iter().cloned().collect();
    assert_eq!(world.members(&again).await, asked);
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_just_deleted_and_is_shown_yet_does_not_refuse_the_one_of_its_name() {
    is_made_although_its_predecessor_is_shown(Application::Opsera, false).await;
    is_made_although_its_predecessor_is_shown(Application::Opsera, true).await;
    is_made_although_its_predecessor_is_shown(Application::Declared, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_refused_after_its_answer_stays_and_is_told_until_it_is_asked_for_again() {
    let world = World::of(Application::Opsera, "sync_wait = \"50ms\"").await;
    let ids = world.users("m", 2).await;
    let no = json!({ "operation": "create_group", "failure": { "status": { "status": 400 } } });
    let slow = json!({ "latency_ms": 400, "rules": [no] });
    world.faults(slow).await;
    let dev = world.post("/Groups", group("dev", &ids[..1])).await;
    let dev = dev.expect(201).id();
    let path = format!("/Groups/{dev}");
    let refused = async || world.status().await["connections"][0]["refusedResources"].clone();
    eventually("it is told", async || refused().await != json!([])).await;
    let told = refused().await;
    assert_eq!(
        (&told[0]["id"], &told[0]["asked"]),
        (&json!(dev), &json!("create")),
        "{told}"
    );
    let (said, wrong, well) = world.run(&["status"]);
    assert!(said.contains("refused"), "{said}{wrong}{well}");
    let asked: BTreeSet<String> = ids[..1].iter().cloned().collect();
    assert_eq!(world.members(&dev).await, asked);
    world.post("/Groups", group("dev", &[])).await.expect(409);
    // Asked for again.
    world.faults(json!({})).await;
    world.put(&path, group("dev", &ids)).await.expect(200);
    world
        .until_upstream_has("dev", &addresses(&["m0", "m1"]))
        .await;
    eventually("nothing is told", async || refused().await == json!([])).await;
    // One that is refused again can be deleted; nothing is sent for that.
    world.faults(json!({ "latency_ms": 400, "rules": [{ "operation": "create_group", "failure": { "status": { "status": 400 } } }] })).await;
    let ops = world
        .post("/Groups", group("ops", &ids[..1]))
        .await
        .expect(201)
        .id();
    eventually("it is told", async || refused().await != json!([])).await;
    let path = format!("/Groups/{ops}");
    world.send("DELETE", &path, None).await.expect(204);
    world.get(&path).await.expect(404);
    assert_eq!(refused().await, json!([]));
    // Where it can be told at once, the answer is the refusal, and nothing stays.
    world.faults(json!({ "rules": [{ "operation": "create_group", "failure": { "status": { "status": 400 } } }] })).await;
    let mut answers = Vec::new();
    for n in 0..5 {
        let name = format!("quick-{n}");
        answers.push((world.post("/Groups", group(&name, &[])).await, name));
    }
    for (answer, name) in answers {
        let found = world
            .get(&format!("/Groups?filter=displayName%20eq%20%22{name}%22"))
            .await;
        let stays = found.body["totalResults"] == 1;
        assert_eq!(stays, answer.status == 201, "{name}: {answer:?}");
    }
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_made_anew_does_not_wait_for_the_deletion_of_a_group_of_before() {
    let world = World::of(Application::Opsera, SOON).await;
    let ids = world.users("m", 1).await;
    let [old, kept] = [
        world.group("old", &ids).await,
        world.group("kept", &[]).await,
    ];
    world.until_upstream_has("old", &addresses(&["m0"])).await;
    world
        .faults(rule(json!({ "status": { "status": 500 } })))
        .await;
    let delete = async |path: String| world.send("DELETE", &path, None).await.expect(204);
    delete(format!("/Groups/{old}")).await;
    delete(format!("/Users/{}", ids[0])).await;
    let again = world.user("m0").await;
    let add = json!([{ "op": "add", "path": "members", "value": values(&[again]) }]);
    let added = world.patch(&format!("/Groups/{kept}"), add).await.status;
    assert!(added.is_success(), "{added}");
    world.until_upstream_has("kept", &addresses(&["m0"])).await;
    world.overlook().await;
}
