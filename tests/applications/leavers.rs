//! Who leaves: access ends by the end of the account or, where there is none, of every
//! membership, and comes back with just what was asked for.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Trial, refused_with};
use crate::support::{Application, address, group};

pub(super) async fn whoever_leaves_has_no_access_and_gets_it_back_or_the_refusal_says_why(
    application: Application,
) {
    let trial = Trial::with(application, "reactivate = \"refuse\"").await;
    let path = format!("/Users/{}", trial.user("ann").await);
    let active = |value: bool| json!([{ "op": "replace", "value": { "active": value } }]);
    if trial.withdraws() {
        return;
    }
    let (reply, calls) = trial
        .world
        .calls_of(trial.world.patch(&path, active(false)))
        .await;
    if !trial.table.can("deactivate a user") {
        refused_with(trial.table.row("deactivate a user"), &reply, &calls);
        assert!(trial.has_access("ann").await);
        return;
    }
    reply.expect(200);
    assert!(!trial.has_access("ann").await);
    assert!(trial.has_access("ben").await);
    let (reply, calls) = trial
        .world
        .calls_of(trial.world.patch(&path, active(true)))
        .await;
    if trial.table.can("activate a user again") {
        reply.expect(200);
        trial.until_the_crew_is(&["ann", "ben"]).await;
        assert!(trial.has_access("ann").await);
    } else {
        refused_with(trial.table.row("activate a user again"), &reply, &calls);
        assert!(!trial.has_access("ann").await);
    }
}

/// Where accounts cannot be ended, access is what was asked for in groups.
pub(super) async fn whoever_leaves_is_taken_out_of_every_group_and_gets_just_these_back(
    application: Application,
) {
    let mut trial = Trial::with(application, "read_lag = \"100ms\"").await;
    if !trial.withdraws() {
        return;
    }
    let ids = trial.users(&["ann", "ben"]).await;
    let squad = trial.world.post("/Groups", group("squad", &ids)).await;
    let squad = squad.expect(201).id();
    // By being asked for she is no longer only found there.
    trial.patch_crew("add", &["ann"]).await.expect(204);
    let path = format!("/Users/{}", ids[0]);
    let active = |value: bool| json!([{ "op": "replace", "value": { "active": value } }]);
    let shown = trial.world.patch(&path, active(false)).await.expect(200);
    assert_eq!(shown.body["active"], false, "{shown:?}");
    let is = |names: &[&str]| {
        names
            .iter()
            .map(|name| address(name))
            .collect::<BTreeSet<_>>()
    };
    for name in [trial.example.upstream, "squad"] {
        let there = trial.world.upstream_members(name).await;
        assert_eq!(there, Some(is(&["ben"])), "{name}: before the answer");
    }
    let state = trial.world.state().await;
    let users = state["users"].as_array().unwrap();
    let account = users.iter().find(|user| user["email"] == address("ann"));
    assert_eq!(account.unwrap()["active"], true, "the account stays");
    assert_eq!(trial.world.members(&squad).await.len(), 2, "still desired");

    // What is asked for meanwhile is kept and not sent, nor believed by an import
    // or a restart to be missing or wanted.
    let troop = trial.world.post("/Groups", group("troop", &ids)).await;
    let troop = troop.expect(201).id();
    trial.world.until_upstream_has("troop", &is(&["ben"])).await;
    trial.world.kill_and_restart();
    trial.world.import();
    // Who puts her back by hand is told of it, and it does not last.
    let by_hand = json!({ "members": [address("ann")] });
    let squads = "/api/v2/groupmanagement/group/squad/members";
    trial.world.as_administrator("POST", squads, by_hand).await;
    let (said, _, _) = trial.world.run(&["reconcile"]);
    assert!(said.contains(&ids[0]), "{said}");
    let (said, wrong, _) = trial.world.run(&["reconcile", "--apply"]);
    assert!(said.contains(&ids[0]), "{said} {wrong}");
    trial.world.until_upstream_has("squad", &is(&["ben"])).await;
    for name in [trial.example.upstream, "squad", "troop"] {
        assert_eq!(
            trial.world.upstream_members(name).await,
            Some(is(&["ben"])),
            "{name}"
        );
    }
    trial.patch_crew("remove", &["ann"]).await.expect(204);

    trial.world.patch(&path, active(true)).await.expect(200);
    for name in ["squad", "troop"] {
        trial
            .world
            .until_upstream_has(name, &is(&["ann", "ben"]))
            .await;
    }
    trial.until_the_crew_is(&["ben"]).await;

    trial.world.send("DELETE", &path, None).await.expect(204);
    trial.world.get(&path).await.expect(404);
    for (name, id) in [("squad", squad), ("troop", troop)] {
        trial.world.until_upstream_has(name, &is(&["ben"])).await;
        assert_eq!(trial.world.members(&id).await, [ids[1].clone()].into());
    }
}

pub(super) async fn a_removal_that_is_refused_is_told_as_an_end_of_access_that_was_refused(
    application: Application,
) {
    let trial = Trial::of(application).await;
    if !trial.withdraws() {
        return;
    }
    trial.patch_crew("add", &["ann"]).await.expect(204);
    let ann = trial.user("ann").await;
    let path = format!("/Users/{ann}");
    let leaves = json!([{ "op": "replace", "value": { "active": false } }]);
    let refuses = json!({ "failure": { "status": { "status": 400 } }, "writes": true });
    let rules = json!({ "rules": [refuses] });
    trial.world.faults(rules).await;
    let refused = trial.world.patch(&path, leaves.clone()).await.expect(400);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("refused to remove the member"), "{detail}");
    assert!(trial.has_access("ann").await);
    let status = trial.world.status().await.to_string();
    assert!(status.contains(&ann), "{status}");
    trial.world.faults(json!({})).await;
    let (said, wrong, _) = trial.world.run(&["reconcile", "--apply"]);
    trial
        .world
        .until_upstream_has(trial.example.upstream, &[address("ben")].into())
        .await;
    let shown = trial.world.get(&path).await.expect(200);
    assert_eq!(shown.body["active"], false, "{said} {wrong}");
}

pub(super) async fn a_kill_while_access_is_withdrawn_leaves_none(application: Application) {
    let mut trial = Trial::with(application, "sync_wait = \"200ms\"").await;
    if !trial.withdraws() {
        return;
    }
    trial.patch_crew("add", &["ann", "ben"]).await.expect(204);
    trial.world.faults(json!({ "latency_ms": 1_000 })).await;
    trial.world.forget_calls().await;
    let path = format!("/Users/{}", trial.user("ann").await);
    let leaves = json!([{ "op": "replace", "value": { "active": false } }]);
    trial.world.patch(&path, leaves).await.expect(200);
    trial.killed_in_mid_call().await;
    trial
        .world
        .until_upstream_has(trial.example.upstream, &[address("ben")].into())
        .await;
    let shown = trial.world.get(&path).await.expect(200);
    assert_eq!(shown.body["active"], false);
}

pub(super) async fn a_deletion_that_is_refused_is_told_as_one(application: Application) {
    let trial = Trial::of(application).await;
    let row = trial.table.row("deactivate a user");
    if trial.withdraws() {
        trial.patch_crew("add", &["ann"]).await.expect(204);
    }
    let path = format!("/Users/{}", trial.user("ann").await);
    let refuses = json!({ "failure": { "status": { "status": 400 } }, "writes": true });
    trial.world.faults(json!({ "rules": [refuses] })).await;
    let deletion = json!([{ "method": "DELETE", "path": path }]);
    let schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"];
    let bulk = json!({ "schemas": schemas, "Operations": deletion });
    let bulk = trial.world.post("/Bulk", bulk).await.expect(200).body;
    let alone = trial.world.send("DELETE", &path, None).await;
    let ends = row.able || trial.withdraws();
    let alone = alone.expect(if ends { 400 } else { 403 }).body;
    for refused in [&alone, &bulk["Operations"][0]["response"]] {
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.starts_with("the User was not deleted: "), "{detail}");
        assert!(ends || detail.contains(&row.note), "{detail} {row:?}");
    }
    trial.world.get(&path).await.expect(200);
    assert!(trial.has_access("ann").await);
    trial.world.faults(json!({})).await;
    if ends {
        trial.world.send("DELETE", &path, None).await.expect(204);
        assert!(!trial.has_access("ann").await);
    }
}
