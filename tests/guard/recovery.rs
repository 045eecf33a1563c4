//! A database that does not belong to the application, or not any more: nobody
//! is removed from a group before an operator has said so, and a single leaver
//! still leaves (reliability: I-25).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::shapes::until_inactive;
use crate::support::{World, address, values};

const COUNT: usize = 10_000;

async fn why(world: &World) -> Option<String> {
    let status = world.status().await;
    let why = &status["connections"][0]["recovery"]["why"];
    why.as_str().map(str::to_owned)
}

async fn until_imported(world: &World) {
    let end = Instant::now() + Duration::from_secs(120);
    // A reading that failed is tried again.
    while !world.status().await["connections"][0]["lastImport"]["users"].is_u64() {
        assert!(Instant::now() < end, "not imported: {}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Calls that take somebody away, but for accounts.
fn removals(calls: &[Value]) -> Vec<&Value> {
    let takes = |call: &&Value| {
        let operation = call["operation"].as_str().unwrap_or_default();
        ["remove_members", "replace_members", "delete_group"].contains(&operation)
    };
    calls.iter().filter(takes).collect()
}

async fn found(world: &World, name: &str) -> String {
    let filter =
        format!("/Groups?filter=displayName%20eq%20%22{name}%22&excludedAttributes=members");
    let list = world.get(&filter).await.expect(200);
    list.body["Resources"][0]["id"].as_str().unwrap().to_owned()
}

async fn leaves(world: &World, name: &str) {
    let filter = format!("/Users?filter=userName%20eq%20%22{}%22", address(name));
    let list = world.get(&filter).await.expect(200);
    let id = list.body["Resources"][0]["id"].as_str().unwrap().to_owned();
    let leave = json!([{ "op": "replace", "path": "active", "value": false }]);
    world
        .patch(&format!("/Users/{id}"), leave)
        .await
        .expect(200);
    until_inactive(world, name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_database_takes_nobody_out_of_a_full_application() {
    let mut world = World::with("guard = {}\nimport = \"start\"", &["--empty"]).await;
    world.stop_bridge();
    world.put_store(None);
    let names: Vec<String> = (0..COUNT).map(|n| address(&format!("m{n}"))).collect();
    let users: Vec<Value> = names.iter().map(|name| json!({ "email": name })).collect();
    world
        .seed(json!({ "users": users, "groups": [
            { "name": "everybody", "members": names },
            { "name": "few", "members": names[..5] },
        ] }))
        .await;
    world.forget_calls().await;
    tokio::task::block_in_place(|| world.start_bridge());
    until_imported(&world).await;
    assert!(
        why(&world).await.unwrap().contains("another database")
            || why(&world).await.unwrap().contains("new")
    );
    let (everybody, few) = (found(&world, "everybody").await, found(&world, "few").await);
    let members: Vec<String> = world.members(&everybody).await.into_iter().collect();
    assert_eq!(members.len(), COUNT);
    let path = format!("/Groups/{everybody}");
    let remove =
        |ids: &[String]| json!([{ "op": "remove", "path": "members", "value": values(ids) }]);
    world.patch(&path, remove(&members[..1])).await.expect(403);
    world
        .patch(&path, json!([{ "op": "remove", "path": "members" }]))
        .await
        .expect(403);
    let body = json!({ "displayName": "everybody", "members": values(&members[..100]) });
    world.put(&path, body).await.expect(403);
    world
        .put(
            &format!("/Groups/{few}"),
            json!({ "displayName": "few", "members": [] }),
        )
        .await
        .expect(403);
    world
        .send("DELETE", &format!("/Groups/{few}"), None)
        .await
        .expect(403);
    // What is added is added, and who leaves leaves.
    let new = world.user("new").await;
    let add = json!([{ "op": "add", "path": "members", "value": values(&[new]) }]);
    world.patch(&path, add).await.expect(204);
    leaves(&world, "m7").await;
    let there = world.upstream_members("few").await.unwrap();
    assert_eq!(there.len(), 5);
    let there = world.upstream_members("everybody").await.unwrap();
    assert!(there.contains(&address("new")) && there.contains(&address("m1")));
    assert_eq!(removals(&world.calls().await), Vec::<&Value>::new());
    // The operator's word ends it.
    let (done, said) =
        tokio::task::block_in_place(|| world.command(&["recovery", "end", "--connection", "acme"]));
    assert!(done, "{said}");
    assert_eq!(why(&world).await, None);
    world.patch(&path, remove(&members[..1])).await.expect(204);
}

/// A bridge with a group, and yesterday's copy of its database, in which the
/// removal of two was still to be delivered. Today they are members again, and
/// somebody else is not.
async fn yesterday() -> (World, Vec<String>, Vec<u8>) {
    yesterday_kept_by("true").await
}

/// The same, with a line of shell that keeps its files in its own way.
async fn yesterday_kept_by(keep: &str) -> (World, Vec<String>, Vec<u8>) {
    let rules = "guard = {}\nsync_wait = \"300ms\"\nlate_writes = \"2s\"\nread_lag = \"100ms\"";
    let mut world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 20).await;
    let group = world.group("dev", &ids).await;
    let path = format!("/Groups/{group}");
    world
        .faults(json!({ "rules": [{ "failure": "error_before", "writes": true, "percent": 100 }] }))
        .await;
    let two = json!([{ "op": "remove", "path": "members", "value": values(&ids[..2]) }]);
    world.patch(&path, two).await.expect(204);
    tokio::task::block_in_place(|| world.stop_bridge());
    let copy = world.copy_store();
    world.shell(keep);
    world.faults(json!({})).await;
    tokio::task::block_in_place(|| world.start_bridge());
    let gone: BTreeSet<_> = (2..20).map(|n| address(&format!("m{n}"))).collect();
    world.until_upstream_has("dev", &gone).await;
    let back = json!([{ "op": "add", "path": "members", "value": values(&ids[..2]) }]);
    world.patch(&path, back).await.expect(204);
    let third = json!([{ "op": "remove", "path": "members", "value": values(&ids[2..3]) }]);
    world.patch(&path, third).await.expect(204);
    world.until_upstream_has("dev", &today()).await;
    tokio::task::block_in_place(|| world.stop_bridge());
    (world, ids, copy)
}

fn today() -> BTreeSet<String> {
    let all = (0..20).filter(|n| *n != 2);
    all.map(|n| address(&format!("m{n}"))).collect()
}

/// Nothing is removed, an add to the same group arrives, and somebody leaves.
async fn nobody_is_removed(world: &World, ids: &[String], members: &BTreeSet<String>) {
    let list = world
        .get("/Groups?excludedAttributes=members")
        .await
        .expect(200);
    let group = list.body["Resources"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/Groups/{group}");
    let one = json!([{ "op": "remove", "path": "members", "value": values(&ids[10..11]) }]);
    world.patch(&path, one).await.expect(403);
    let new = world.user("new").await;
    let add = json!([{ "op": "add", "path": "members", "value": values(&[new]) }]);
    world.patch(&path, add).await.expect(204);
    let mut expected = members.clone();
    expected.insert(address("new"));
    world.until_upstream_has("dev", &expected).await;
    leaves(world, "m19").await;
    // Longer than a late call is waited for.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calls = world.calls().await;
    assert_eq!(removals(&calls), Vec::<&Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yesterdays_database_takes_nobody_away_and_delivers_after_the_operators_word() {
    let (mut world, ids, copy) = yesterday().await;
    world.put_store(Some(&copy));
    world.forget_calls().await;
    tokio::task::block_in_place(|| world.start_bridge());
    assert!(why(&world).await.unwrap().contains("older"));
    nobody_is_removed(&world, &ids, &today()).await;
    let pending = &world.status().await["connections"][0]["pending"]["memberships"];
    assert_eq!(pending, 2, "what is withheld is told");
    // A restart changes nothing about it.
    tokio::task::block_in_place(|| world.kill_and_restart());
    assert!(why(&world).await.is_some());
    let (done, said) =
        tokio::task::block_in_place(|| world.command(&["recovery", "end", "--connection", "acme"]));
    assert!(done, "{said}");
    let mut left = today();
    left.insert(address("new"));
    for name in ["m0", "m1"] {
        left.remove(&address(name));
    }
    let gone = world.upstream_members("dev").await.unwrap();
    // The application itself takes out who is deactivated, or does not.
    left.retain(|it| *it != address("m19") || gone.contains(it));
    world.until_upstream_has("dev", &left).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yesterdays_database_gives_nobody_back_what_was_taken_away_since() {
    let (mut world, ids, copy) = yesterday().await;
    world.put_store(Some(&copy));
    tokio::task::block_in_place(|| world.start_bridge());
    let (done, said) = tokio::task::block_in_place(|| world.command(&["reconcile", "--apply"]));
    assert!(!done && said.contains("in recovery"), "{said}");
    assert!(said.contains(&ids[2]), "it is told: {said}");
    let status = world.status().await;
    let found = &status["connections"][0]["lastReconciliation"];
    assert_eq!(
        (&found["missing"], &found["applied"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(world.upstream_members("dev").await.unwrap(), today());
    // The operator's word makes it what is wanted.
    let end = ["recovery", "end", "--connection", "acme"];
    let (done, said) = tokio::task::block_in_place(|| world.command(&end));
    assert!(done, "{said}");
    // A group that is being written is left to the next one.
    let all: BTreeSet<_> = (2..20).map(|n| address(&format!("m{n}"))).collect();
    for _ in 0..50 {
        tokio::task::block_in_place(|| world.command(&["reconcile", "--apply"]));
        if world.upstream_members("dev").await == Some(all.clone()) {
            return;
        }
    }
    panic!("{:?}", world.upstream_members("dev").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_without_the_note_beside_it_is_doubted_too() {
    let (mut world, ids, copy) = yesterday().await;
    world.put_store(Some(&copy));
    world.lose_note();
    world.forget_calls().await;
    tokio::task::block_in_place(|| world.start_bridge());
    assert!(why(&world).await.unwrap().contains("missing"));
    nobody_is_removed(&world, &ids, &today()).await;
}

/// Whoever restores the whole folder restores the note with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_restored_with_its_note_takes_nobody_away() {
    let ways = [
        (
            "mkdir kept; cp bridge.db* kept",
            "rm bridge.db*; cp kept/* .",
        ),
        (
            "mkdir kept; cp -a bridge.db* kept",
            "rm bridge.db*; cp -a kept/* .",
        ),
        // Over what is there.
        (
            "mkdir kept; cp -a bridge.db* kept",
            "rm -f bridge.db-*; cp kept/* .",
        ),
        (
            "tar cf kept.tar bridge.db*",
            "rm bridge.db*; tar xpf kept.tar",
        ),
    ];
    for (keep, restore) in ways {
        let (mut world, ids, _) = yesterday_kept_by(keep).await;
        world.shell(restore);
        world.forget_calls().await;
        tokio::task::block_in_place(|| world.start_bridge());
        let told = why(&world).await.unwrap_or_else(|| panic!("{restore}"));
        assert!(told.contains("restored"), "{told}");
        nobody_is_removed(&world, &ids, &today()).await;
        // A restart ends nothing, and the operator's word does for good.
        tokio::task::block_in_place(|| world.kill_and_restart());
        assert!(why(&world).await.is_some());
        end_recovery(&world);
        until_the_first_is_out(&world).await;
        tokio::task::block_in_place(|| world.kill_and_restart());
        assert_eq!(why(&world).await, None);
    }
}

fn end_recovery(world: &World) {
    let end = ["recovery", "end", "--connection", "acme"];
    let (done, said) = tokio::task::block_in_place(|| world.command(&end));
    assert!(done, "{said}");
}

async fn until_the_first_is_out(world: &World) {
    let end = Instant::now() + Duration::from_secs(30);
    while (world.upstream_members("dev").await.unwrap()).contains(&address("m0")) {
        assert!(Instant::now() < end, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_renamed_or_given_away_are_those_that_were_here() {
    let mut world = World::with("guard = {}", &["--empty"]).await;
    for change in [
        "mkdir away; mv bridge.db* away; mv away/* .",
        "chmod 640 bridge.db*; chown $(id -u):$(id -g) bridge.db*",
        "touch bridge.db*",
    ] {
        world.user(&format!("u{}", change.len())).await;
        tokio::task::block_in_place(|| world.stop_bridge());
        world.shell(change);
        tokio::task::block_in_place(|| world.start_bridge());
        assert_eq!(why(&world).await, None, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_ends_without_warning_are_no_reason_to_doubt() {
    let mut world = World::with("guard = {}", &["--empty"]).await;
    for round in 0..20 {
        world.user(&format!("u{round}")).await;
        tokio::task::block_in_place(|| world.kill_and_restart());
        assert_eq!(why(&world).await, None, "{round}");
    }
}

/// As when the whole disk is put back to an earlier day, of which the files
/// themselves tell nothing. A few are no reason to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_removals_that_wait_since_long_ago_wait_for_the_operators_word() {
    let rules = "guard = {}\nsync_wait = \"300ms\"\nlate_writes = \"2s\"\nread_lag = \"100ms\"";
    for many in [2, 12] {
        let mut world = World::with(rules, &["--empty"]).await;
        let ids = world.users("m", 60).await;
        let group = world.group("dev", &ids).await;
        let refuses = json!({ "rules": [{ "failure": "error_before", "writes": true }] });
        world.faults(refuses).await;
        let gone = json!([{ "op": "remove", "path": "members", "value": values(&ids[..many]) }]);
        world
            .patch(&format!("/Groups/{group}"), gone)
            .await
            .expect(204);
        tokio::task::block_in_place(|| world.stop_bridge());
        world.age_note(Duration::from_secs(2 * 3_600));
        world.faults(json!({})).await;
        world.forget_calls().await;
        tokio::task::block_in_place(|| world.start_bridge());
        if many > 10 {
            let told = why(&world).await.expect("recovery");
            assert!(told.contains("more than an hour"), "{told}");
            leaves(&world, "m59").await;
            assert_eq!(removals(&world.calls().await), Vec::<&Value>::new());
            end_recovery(&world);
        }
        until_the_first_is_out(&world).await;
        assert_eq!(why(&world).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_application_behind_the_same_connection_loses_nobody() {
    let (mut world, ids, _) = yesterday().await;
    let state = world.state().await;
    let users: Vec<Value> = state["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| json!({ "email": user["email"] }))
        .collect();
    tokio::task::block_in_place(|| world.another_application(&["--empty"]));
    let names: Vec<String> = (0..20).map(|n| address(&format!("m{n}"))).collect();
    world
        .seed(json!({ "users": users, "groups": [{ "name": "dev", "members": names }] }))
        .await;
    world.forget_calls().await;
    tokio::task::block_in_place(|| world.start_bridge());
    assert!(why(&world).await.unwrap().contains("another application"));
    nobody_is_removed(&world, &ids, &names.into_iter().collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_on_the_same_files_is_no_reason_to_doubt() {
    let mut world = World::with("guard = {}", &["--empty"]).await;
    world.user("m0").await;
    for round in 0..2 {
        tokio::task::block_in_place(|| world.kill_and_restart());
        assert_eq!(why(&world).await, None);
        world.user(&format!("after{round}")).await;
        tokio::task::block_in_place(|| world.stop_bridge());
        tokio::task::block_in_place(|| world.start_bridge());
        assert_eq!(why(&world).await, None);
        let list = world.get("/Users").await.expect(200);
        for user in list.body["Resources"].as_array().unwrap() {
            let id = user["id"].as_str().unwrap();
            world
                .send("DELETE", &format!("/Users/{id}"), None)
                .await
                .expect(204);
        }
    }
}

/// Another tenant at the same address: nothing of the start tells, but what the
/// import reads does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_tenant_at_the_same_address_loses_nobody() {
    let rules = "guard = {}\nimport = \"start\"\nread_lag = \"100ms\"";
    let mut world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 30).await;
    let group = world.group("dev", &ids[..12]).await;
    world.stop_bridge();
    let kept: Vec<String> = (0..6).map(|n| address(&format!("m{n}"))).collect();
    let users = kept.iter().map(|name| json!({ "email": name }));
    let users: Vec<Value> = users.collect();
    let foreign = json!({ "users": users, "groups": [{ "name": "dev", "members": kept }] });
    world.seed(foreign).await;
    world.forget_calls().await;
    tokio::task::block_in_place(|| world.start_bridge());
    until_imported(&world).await;
    let told = why(&world).await.expect("recovery");
    assert!(told.contains("another tenant"), "{told}");
    // Who has the same address there is somebody else.
    let leave = json!([{ "op": "replace", "path": "active", "value": false }]);
    let path = format!("/Users/{}", ids[0]);
    world.patch(&path, leave).await.expect(403);
    let gone = json!([{ "op": "remove", "path": "members", "value": values(&ids[..1]) }]);
    world
        .patch(&format!("/Groups/{group}"), gone)
        .await
        .expect(403);
    let there = world.upstream_members("dev").await.unwrap();
    assert_eq!(there, kept.into_iter().collect());
    assert_eq!(removals(&world.calls().await), Vec::<&Value>::new());
}

/// What is asked for while the first reading is still under way, and what was
/// still to be delivered, waits for it: see the test above for what it finds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_tenant_loses_nobody_before_it_is_known_to_be_one() {
    let rules = "guard = {}\nimport = \"start\"\nread_lag = \"100ms\"\nsync_wait = \"200ms\"";
    let mut world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 30).await;
    let group = world.group("dev", &ids[..12]).await;
    let path = format!("/Groups/{group}");
    let refuses = json!({ "rules": [{ "failure": "error_before", "writes": true }] });
    world.faults(refuses).await;
    let gone =
        |n: usize| json!([{ "op": "remove", "path": "members", "value": values(&ids[n..=n]) }]);
    world.patch(&path, gone(0)).await.expect(204);
    world.stop_bridge();
    let kept: Vec<String> = (0..6).map(|n| address(&format!("m{n}"))).collect();
    let users: Vec<Value> = kept.iter().map(|name| json!({ "email": name })).collect();
    world
        .seed(json!({ "users": users, "groups": [{ "name": "dev", "members": kept }] }))
        .await;
    world.faults(json!({ "latency_ms": 250 })).await;
    world.forget_calls().await;
    tokio::task::block_in_place(|| world.start_bridge());
    // Accepted, as nothing is known yet, and not delivered.
    assert_eq!(why(&world).await, None);
    world.patch(&path, gone(1)).await.expect(204);
    let end = Instant::now() + Duration::from_secs(60);
    while why(&world).await.is_none() {
        assert!(Instant::now() < end, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_imported(&world).await;
    let there = world.upstream_members("dev").await.unwrap();
    assert_eq!(there, kept.into_iter().collect());
    assert_eq!(removals(&world.calls().await), Vec::<&Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_waits_for_a_look_that_works_and_who_leaves_does_not() {
    let rules = "guard = {}\nimport = \"start\"\nread_lag = \"100ms\"\nsync_wait = \"200ms\"";
    let mut world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 12).await;
    let group = world.group("dev", &ids).await;
    world.stop_bridge();
    let unreadable =
        json!({ "rules": [{ "failure": "error_before", "operation": "get_members" }] });
    world.faults(unreadable).await;
    tokio::task::block_in_place(|| world.start_bridge());
    let gone = json!([{ "op": "remove", "path": "members", "value": values(&ids[..1]) }]);
    world
        .patch(&format!("/Groups/{group}"), gone)
        .await
        .expect(204);
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    world
        .patch(&format!("/Users/{}", ids[1]), off)
        .await
        .expect(200);
    until_inactive(&world, "m1").await;
    let end = Instant::now() + Duration::from_secs(20);
    while world.status().await["connections"][0]["lastImport"]["error"].is_null() {
        assert!(Instant::now() < end, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.status().await["connections"][0]["unseen"], true);
    let (said, _, well) = tokio::task::block_in_place(|| world.run(&["status"]));
    assert!(!well && said.contains("looked at for the first"), "{said}");
    // There may be something to confirm yet.
    let end = ["recovery", "end", "--connection", "acme"];
    let (done, said) = tokio::task::block_in_place(|| world.command(&end));
    assert!(
        !done && said.contains("not looked at since the start"),
        "{said}"
    );
    assert_eq!(world.status().await["connections"][0]["unseen"], true);
    assert_eq!(removals(&world.calls().await), Vec::<&Value>::new());

    world.faults(json!({})).await;
    let end = Instant::now() + Duration::from_secs(20);
    while world
        .upstream_members("dev")
        .await
        .unwrap()
        .contains(&address("m0"))
    {
        assert!(Instant::now() < end, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.status().await["connections"][0]["unseen"], false);
    assert_eq!(why(&world).await, None);
}

/// What is confirmed since is something to compare.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_import_that_fails_keeps_a_removal_waiting_for_no_minute() {
    let rules = "guard = {}\nimport = \"start\"\nread_lag = \"100ms\"\nsync_wait = \"200ms\"";
    let mut world = World::with(rules, &["--empty"]).await;
    world.stop_bridge();
    let unreadable = json!({ "rules": [{ "failure": "error_before", "operation": "list_users" }] });
    world.faults(unreadable).await;
    tokio::task::block_in_place(|| world.start_bridge());
    let end = Instant::now() + Duration::from_secs(20);
    while world.status().await["connections"][0]["lastImport"]["error"].is_null() {
        assert!(Instant::now() < end, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ids = world.users("m", 6).await;
    let group = world.group("dev", &ids).await;
    let gone = json!([{ "op": "remove", "path": "members", "value": values(&ids[..1]) }]);
    let path = format!("/Groups/{group}");
    world.patch(&path, gone).await.expect(204);
    let members = async || world.upstream_members("dev").await.unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while members().await.contains(&address("m0")) {
        assert!(Instant::now() < end, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(members().await.len(), 5);
    assert_eq!(world.status().await["connections"][0]["unseen"], false);
}

/// What the import finds is what there is to compare, so it comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_reconciliation_of_a_new_database_compares_what_was_imported() {
    let rules = "import = \"start\"\nreconcile = \"24h\"";
    let mut world = World::with(rules, &["--empty"]).await;
    world.stop_bridge();
    world.put_store(None);
    let names: Vec<String> = (0..5).map(|n| address(&format!("m{n}"))).collect();
    let users: Vec<Value> = names.iter().map(|name| json!({ "email": name })).collect();
    let company = json!({ "users": users, "groups": [{ "name": "dev", "members": names }] });
    world.seed(company).await;
    tokio::task::block_in_place(|| world.start_bridge());
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = world.status().await;
        let last = &status["connections"][0]["lastReconciliation"];
        if last["ended"].is_string() {
            assert_eq!(last["compared"], 5, "{last:#}");
            assert_eq!(last["accounts"], 5, "{last:#}");
            return;
        }
        assert!(Instant::now() < end, "not reconciled: {}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
