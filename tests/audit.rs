//! The audit: complete, bound row by row, and handed on without names.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{World, address, group, values};

pub fn events(world: &World, more: &[&str]) -> Vec<Value> {
    let (said, wrong, ok) = world.run(&[&["audit", "export"], more].concat());
    assert!(ok, "{wrong}");
    let parse = |line: &str| serde_json::from_str(line).expect("a JSON line");
    said.lines().map(parse).collect()
}

pub fn of_class<'a>(events: &'a [Value], class: &'a str, activity: &'a str) -> Vec<&'a Value> {
    let fits = |e: &&Value| e["class_name"] == class && e["activity_name"] == activity;
    events.iter().filter(fits).collect()
}

/// Waits until the status tells so many refused memberships.
async fn until_refused(world: &World, count: usize) -> Vec<Value> {
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        let status = world.status().await;
        let connection = &status["connections"][0];
        let told = connection["refusedMemberships"].as_array().expect("a list");
        if told.len() == count && connection["refused"]["memberships"] == count {
            return told.clone();
        }
        assert!(Instant::now() < end, "{status:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_change_and_every_call_is_recorded_and_nobody_is_named() {
    let world = World::start().await;
    let users = world.users("audited", 3).await;
    let id = world.group("audited-group", &users[..2]).await;
    let path = format!("/Groups/{id}");
    let add = json!([{ "op": "add", "path": "members", "value": values(&users[2..]) }]);
    world.patch(&path, add).await;
    let remove = json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", users[0]) }]);
    world.patch(&path, remove.clone()).await;
    world.patch(&path, remove).await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    world.patch(&format!("/Users/{}", users[1]), off).await;
    let mut whole = group("audited-group", &users[1..]);
    whole["externalId"] = json!("outside");
    world.send("PUT", &path, Some(whole)).await.expect(200);
    world.send("DELETE", &path, None).await.expect(204);

    let events = events(&world, &[]);
    let uids = |e: &Value| -> Vec<String> {
        let list = e["users"].as_array().expect("users");
        let ids = list.iter().map(|u| u["uid"].as_str().expect("an id"));
        let mut ids: Vec<String> = ids.map(str::to_owned).collect();
        ids.sort();
        ids
    };
    assert_eq!(of_class(&events, "Account Change", "Create").len(), 3);
    let added = of_class(&events, "Group Management", "Add User");
    let added: Vec<_> = added.iter().map(|e| uids(e)).collect();
    let mut both = users[..2].to_vec();
    both.sort();
    assert_eq!(added, [both, users[2..].to_vec()]);
    let removed = of_class(&events, "Group Management", "Remove User");
    assert_eq!(removed.len(), 1, "what changes nothing is no change");
    assert_eq!(uids(removed[0]), users[..1]);
    assert_eq!(removed[0]["group"]["uid"], id);
    assert_eq!(
        removed[0]["scim_event"],
        "urn:ietf:params:scim:event:prov:patch:notice"
    );
    let other = of_class(&events, "Group Management", "Other");
    let put = "urn:ietf:params:scim:event:prov:put:notice";
    assert_eq!(
        other.iter().map(|e| &e["scim_event"]).collect::<Vec<_>>(),
        [put]
    );
    let disabled = of_class(&events, "Account Change", "Disable");
    assert_eq!(disabled[0]["user"]["uid"], users[1]);
    assert_eq!(of_class(&events, "Group Management", "Delete").len(), 1);

    // As many attempts as the application saw calls that write.
    let attempts: Vec<_> = events.iter().filter(|e| e["class_uid"] == 6003).collect();
    let writes = |call: &Value| call["method"] != "GET";
    let calls = world.calls().await.into_iter().filter(writes).count();
    assert!(
        attempts.iter().all(|e| e["status"] == "Success"),
        "{attempts:#?}"
    );
    assert_eq!(attempts.len(), calls, "{attempts:#?}");
    assert!(calls > 3 + 4, "{attempts:#?}");

    let text = Value::from(events).to_string();
    for private in ["audited", "example.com", "Given", &world.token] {
        assert!(!text.contains(private), "{private}");
    }
    let after = self::events(&world, &["--after", "4"]);
    assert!(after.iter().all(|e| e["metadata"]["uid"] != "4"));
    let of_one = self::events(&world, &["--connection", "acme"]);
    assert_eq!(of_one, self::events(&world, &[]));
}

/// By operation: how often the application was asked to change something, and
/// how often the audit says so.
async fn asked_and_told(world: &World) -> [BTreeMap<String, usize>; 2] {
    let count = |names: Vec<&Value>| {
        let mut count = BTreeMap::new();
        for name in names {
            *count
                .entry(name.as_str().expect("a name").to_owned())
                .or_insert(0) += 1;
        }
        count
    };
    let calls = world.calls().await;
    let writes = calls.iter().filter(|call| call["method"] != "GET");
    let events = events(world, &[]);
    let attempts = events.iter().filter(|e| e["class_uid"] == 6003);
    let told = attempts.map(|e| &e["api"]["operation"]);
    [
        count(writes.map(|call| &call["operation"]).collect()),
        count(told.filter(|name| name.is_string()).collect()),
    ]
}

#[tokio::test]
async fn a_call_that_is_made_again_at_once_is_two_attempts() {
    let world = World::with("sync_wait = \"10s\"", &[]).await;
    let users = world.users("again", 1).await;
    let group = world.group("again", &[]).await;
    let busy = json!({ "status": { "status": 429, "retry_after": "0" } });
    let rule = json!({ "failure": busy, "operation": "add_members", "next": 1 });
    world.faults(json!({ "rules": [rule] })).await;
    let add = json!([{ "op": "add", "path": "members", "value": values(&users) }]);
    world
        .patch(&format!("/Groups/{group}"), add)
        .await
        .expect(204);
    let events = events(&world, &[]);
    let of = events
        .iter()
        .filter(|e| e["api"]["operation"] == "add_members");
    let told: Vec<_> = of
        .map(|e| (&e["status"], &e["unmapped"]["outcome"]))
        .collect();
    let (failed, done) = (json!("Failure"), json!("Success"));
    assert_eq!(told, [(&failed, &json!("later")), (&done, &json!("done"))]);
}

#[tokio::test]
async fn each_write_that_left_is_one_attempt_whatever_became_of_it() {
    let setup = "sync_wait = \"100ms\"\nlate_writes = \"2s\"\nread_lag = \"100ms\"";
    let world = World::behind(setup, "requests_per_second = 100000\nburst = 1000").await;
    let users = world.users("counted", 20).await;
    let mut groups = Vec::new();
    for at in 0..4 {
        groups.push(world.group(&format!("counted-{at}"), &users[..3]).await);
    }
    let rule = |failure: Value, percent: u32| json!({ "failure": failure, "writes": true, "percent": percent });
    let status = |status: u32| json!({ "status": { "status": status } });
    let rules = json!([
        rule(json!("error_before"), 8),
        rule(json!("error_after"), 8),
        rule(json!("reset_after"), 4),
        rule(json!("truncated"), 4),
        rule(
            json!({ "status": { "status": 429, "retry_after": "0" } }),
            10
        ),
        rule(status(403), 2),
        rule(status(400), 4),
    ]);
    world
        .faults(json!({ "rules": rules, "refuse_members": [address("counted-7")] }))
        .await;
    for at in 0..120_usize {
        // Whoever is put in is taken out again.
        let pair = at / 2;
        let path = format!("/Groups/{}", groups[pair % 4]);
        let some: Vec<_> = (0..=pair % 3)
            .map(|n| users[3 + (pair * 7 + n * 5) % 17].clone())
            .collect();
        let op = if at % 2 == 0 { "add" } else { "remove" };
        let change = json!([{ "op": op, "path": "members", "value": values(&some) }]);
        world.patch(&path, change).await;
    }
    world.faults(json!({})).await;
    let end = Instant::now() + Duration::from_secs(60);
    // A turn is recorded when it has ended.
    loop {
        let [asked, told] = asked_and_told(&world).await;
        if asked == told && asked["add_members"] > 20 && asked["remove_members"] > 10 {
            break;
        }
        assert!(Instant::now() < end, "{asked:?} {told:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let status = world.status().await;
    assert_ne!(
        status["connections"][0]["application"]["throttled"], 0,
        "{status:#}"
    );
}

#[tokio::test]
async fn the_chain_is_whole_over_a_kill_and_a_changed_record_is_found() {
    let mut world = World::start().await;
    world.users("chained", 5).await;
    let (said, _, ok) = world.run(&["audit", "verify"]);
    assert!(ok && said.contains("the chain is whole"), "{said}");
    let head = said.lines().find_map(|line| line.strip_prefix("head "));
    let head = head.expect("a head").to_owned();

    world.kill_and_restart();
    world.users("later", 2).await;
    let (_, wrong, ok) = world.run(&["audit", "verify", "--head", &head]);
    assert!(ok, "{wrong}");
    let (_, wrong, ok) = world.run(&["audit", "verify", "--head", "3:00"]);
    assert!(!ok && wrong.contains("not in it any more"), "{wrong}");

    // Without a server, and with one record changed.
    world.kill_bridge();
    let (said, wrong, ok) = world.run(&["audit", "verify", "--head", &head]);
    assert!(ok, "what a killed server left is not asked: {said} {wrong}");
    world.kill_and_restart();
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["audit", "verify", "--head", &head]);
    assert!(ok, "{said} {wrong}");
    world.tamper("UPDATE audit SET actor = 'nobody' WHERE number = 3");
    let (_, wrong, ok) = world.run(&["audit", "verify"]);
    assert!(!ok && wrong.contains("record 3"), "{wrong}");
}

#[tokio::test]
async fn an_end_that_was_cut_off_is_found_by_what_is_noted_beside_the_store() {
    let mut world = World::start().await;
    world.users("cut", 5).await;
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["audit", "verify"]);
    assert!(ok && !said.contains("no head is noted"), "{said} {wrong}");
    let cut = "DELETE FROM audit WHERE number > (SELECT max(number) - 2 FROM audit)";
    world.tamper(cut);
    let (_, wrong, ok) = world.run(&["audit", "verify"]);
    assert!(!ok && wrong.contains("its end was cut off"), "{wrong}");
    // A start notes the end that it finds, and records that it was another one.
    world.start_bridge();
    let (said, _, ok) = world.run(&["status"]);
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!ok && words.contains("its end was cut off"), "{said}");
    assert_eq!(world.status().await["lostRecord"].as_i64(), cut_at(&wrong));
    world.stop_bridge();
    world.start_bridge();
    let (said, _, ok) = world.run(&["status"]);
    assert!(ok, "told by the start that found it: {said}");
    let (_, wrong, ok) = world.run(&["audit", "verify"]);
    assert!(!ok && wrong.contains("has lost its end once"), "{wrong}");
    let head = wrong.split_once("--head ").map(|(_, rest)| rest);
    let head = head.and_then(|rest| rest.split('`').next());
    let (said, wrong, ok) = world.run(&["audit", "verify", "--head", head.expect("a head")]);
    assert!(ok && said.contains("the chain is whole"), "{wrong}");
    world.stop_bridge();
    world.lose_note();
    let (_, wrong, _) = world.run(&["audit", "verify"]);
    assert!(wrong.contains("has lost its end once"), "{wrong}");
}

/// The record of which a broken audit tells.
fn cut_at(told: &str) -> Option<i64> {
    told.split_once("record ")?
        .1
        .split(' ')
        .next()?
        .parse()
        .ok()
}

#[tokio::test]
async fn a_store_without_a_note_tells_that_a_cut_is_not_seen() {
    let mut world = World::start().await;
    world.users("cut", 1).await;
    world.stop_bridge();
    world.lose_note();
    let (said, wrong, ok) = world.run(&["audit", "verify"]);
    assert!(ok && said.contains("no head is noted"), "{said} {wrong}");
}

#[tokio::test]
async fn a_token_that_is_made_or_revoked_beside_a_server_is_recorded_by_its_id() {
    let world = World::start().await;
    let (made, wrong, ok) = world.run(&["token", "create", "acme", "--label", "second"]);
    assert!(ok, "{wrong}");
    let id = wrong.split_whitespace().nth(1).expect("an id").to_owned();
    let (_, wrong, ok) = world.run(&["token", "revoke", "acme", &id]);
    assert!(ok, "{wrong}");
    let end = Instant::now() + Duration::from_secs(30);
    let told = loop {
        let events = events(&world, &[]);
        let of = |action: &str| {
            let fits = |e: &&Value| {
                e["metadata"]["event_code"] == action && e["user"]["credential_uid"] == id
            };
            events.iter().filter(fits).count()
        };
        if of("revoke_token") > 0 {
            assert_eq!((of("create_token"), of("revoke_token")), (1, 1));
            break Value::from(events).to_string();
        }
        assert!(Instant::now() < end, "{events:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(!told.contains(made.trim()) && !told.contains("second"));
}

#[tokio::test]
async fn a_membership_that_is_refused_after_the_answer_is_told_until_it_is_asked_for_again() {
    let world = World::with("sync_wait = \"50ms\"", &["--empty"]).await;
    let users = world.users("late", 1).await;
    let group = world.group("late-group", &[]).await;
    let refuse = json!({ "latency_ms": 300, "refuse_members": ["late0@example.com"] });
    world.faults(refuse).await;
    let add = json!([{ "op": "add", "path": "members", "value": values(&users) }]);
    let answer = world.patch(&format!("/Groups/{group}"), add.clone()).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let told = until_refused(&world, 1).await;
    assert_eq!(told[0]["user"], users[0]);
    assert_eq!(told[0]["group"], group);
    assert_eq!(told[0]["asked"], "add");
    assert!(
        world.members(&group).await.is_empty(),
        "never shown as done"
    );
    let (said, _, well) = world.run(&["status"]);
    assert!(!well && said.contains("refused: 1 memberships"), "{said}");

    world.faults(json!({})).await;
    world.patch(&format!("/Groups/{group}"), add).await;
    until_refused(&world, 0).await;
    world
        .until_upstream_has("late-group", &[address("late0")].into())
        .await;
}
