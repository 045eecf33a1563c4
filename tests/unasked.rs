//! Memberships that nobody asked for here, of somebody who leaves an application
//! that cannot end an account: access that should be gone is gone.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually, values};

const SOON: &str = "read_lag = \"100ms\"";

fn company(groups: &[(&str, &[&str])]) -> Value {
    let users = ["ann", "ben", "cat"];
    let user = |name| json!({ "email": address(name), "first_name": name, "last_name": "Example" });
    let group = |(name, members): &(&str, &[&str])| {
        let members: Vec<String> = members.iter().map(|it| address(it)).collect();
        json!({ "name": name, "members": members })
    };
    json!({
        "users": users.map(user),
        "groups": groups.iter().map(group).collect::<Vec<_>>(),
    })
}

async fn found(groups: &[(&str, &[&str])]) -> (World, String) {
    found_in(Application::DeclaredForEver, groups).await
}

async fn found_in(application: Application, groups: &[(&str, &[&str])]) -> (World, String) {
    let mut world = World::of(application, SOON).await;
    world.seed(company(groups)).await;
    world.import();
    let filter = format!("Users?filter=userName%20eq%20%22{}%22", address("ann"));
    let ann = id_of(&world, &filter).await;
    (world, ann)
}

async fn id_of(world: &World, list: &str) -> String {
    let found = world.get(&format!("/{list}")).await.expect(200).body;
    found["Resources"][0]["id"].as_str().unwrap().to_owned()
}

fn active(value: bool) -> Value {
    json!([{ "op": "replace", "path": "active", "value": value }])
}

fn addresses(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

async fn until_the_groups_are(world: &World, groups: &[(&str, &[&str])]) {
    for (name, members) in groups {
        world.until_upstream_has(name, &addresses(members)).await;
    }
}

/// The groups out of which somebody is taken, as a plan or the calls have it.
fn taken<'v>(operations: impl Iterator<Item = &'v Value>) -> BTreeSet<String> {
    let removals = operations.filter(|it| it["operation"] == "remove_members");
    removals
        .map(|it| match it["group"].as_str() {
            Some(group) => group.to_owned(),
            None => it["path"]
                .as_str()
                .unwrap()
                .split('/')
                .nth(5)
                .unwrap()
                .to_owned(),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_deactivated_loses_what_was_only_found_and_gets_just_that_back() {
    let (mut world, ann) = found(&[("dev", &["ann", "ben"]), ("ops", &["ann"])]).await;
    let path = format!("/Users/{ann}");
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": active(false),
    });
    let request = json!({ "method": "PATCH", "path": path, "body": body });
    let file = world.file("leaves.json", &request.to_string());
    let (said, wrong, ok) = world.run(&["plan", "--connection", "acme", "--request", &file]);
    assert!(ok, "{wrong}");
    let told: Value = serde_json::from_str(&said).unwrap();
    let lanes = told["calls"].as_array().unwrap().iter();
    let told = taken(lanes.flat_map(|lane| lane["operations"].as_array().unwrap()));

    world.forget_calls().await;
    let shown = world.patch(&path, active(false)).await.expect(200);
    assert_eq!(shown.body["active"], false, "{shown:?}");
    for (name, left) in [("dev", &["ben"][..]), ("ops", &[])] {
        let there = world.upstream_members(name).await;
        assert_eq!(there, Some(addresses(left)), "{name}: before the answer");
    }
    let made = taken(world.calls().await.iter());
    assert_eq!((&made, made.len()), (&told, 2), "as it was planned");
    assert!(world.run(&["status"]).2);
    assert!(world.run(&["reconcile", "--apply"]).2);

    // What is found of her now is taken away with the import that finds it.
    let later: &[(&str, &[&str])] = &[("dev", &["ben"]), ("ops", &[]), ("lab", &["ann", "cat"])];
    world.seed(company(later)).await;
    world.import();
    let without: &[(&str, &[&str])] = &[("dev", &["ben"]), ("ops", &[]), ("lab", &["cat"])];
    until_the_groups_are(&world, without).await;

    world.patch(&path, active(true)).await.expect(200);
    let all: &[(&str, &[&str])] = &[
        ("dev", &["ann", "ben"]),
        ("ops", &["ann"]),
        ("lab", &["ann", "cat"]),
    ];
    until_the_groups_are(&world, all).await;
}

#[tokio::test]
async fn what_the_application_does_not_take_away_is_told_until_it_does() {
    let (world, ann) = found(&[("dev", &["ann", "ben"])]).await;
    let refuses = json!({ "failure": { "status": { "status": 400 } }, "writes": true });
    world.faults(json!({ "rules": [refuses] })).await;
    let path = format!("/Users/{ann}");
    let refused = world.patch(&path, active(false)).await.expect(400);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("refused to remove the member"), "{detail}");
    let (said, _, well) = world.run(&["status"]);
    assert!(!well && said.contains(&ann), "{said}");
    world.faults(json!({})).await;
    let end = Instant::now() + Duration::from_secs(20);
    while world.patch(&path, active(false)).await.status != 200 {
        assert!(Instant::now() < end, "it is refused for ever");
    }
    until_the_groups_are(&world, &[("dev", &["ben"])]).await;
    while !world.run(&["status"]).2 {
        assert!(Instant::now() < end, "{:#}", world.status().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_taken_out_by_hand_before_leaving_is_not_put_back_there() {
    for application in [Application::Opsera, Application::DeclaredForEver] {
        let all: &[(&str, &[&str])] = &[("dev", &["ann", "ben"]), ("ops", &["ann", "cat"])];
        let (world, ann) = found_in(application, all).await;
        let by_hand: &[(&str, &[&str])] = &[("dev", &["ben"]), ("ops", &["ann", "cat"])];
        world.seed(company(by_hand)).await;
        let path = format!("/Users/{ann}");
        world.patch(&path, active(false)).await.expect(200);
        if application == Application::DeclaredForEver {
            until_the_groups_are(&world, &[("ops", &["cat"])]).await;
        }
        world.patch(&path, active(true)).await.expect(200);
        until_the_groups_are(&world, by_hand).await;
        eventually("all is well", async || world.run(&["status"]).2).await;
        until_the_groups_are(&world, by_hand).await;
        assert_eq!(members_here(&world, "dev").await, 1);
        assert_eq!(members_here(&world, "ops").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_looked_at_is_taken_away_in_time_and_given_back() {
    // With 503 the application asks for a pause, too.
    let both = [Application::Opsera, Application::DeclaredForEver];
    for (application, status) in both.into_iter().flat_map(|it| [(it, 400), (it, 503)]) {
        let all: &[(&str, &[&str])] = &[("dev", &["ann", "ben"])];
        let (world, ann) = found_in(application, all).await;
        let rule = |operation: &str| json!({ "operation": operation, "failure": { "status": { "status": status } } });
        let rules = ["get_group", "list_groups", "get_members"].map(rule);
        world.faults(json!({ "rules": rules })).await;
        let path = format!("/Users/{ann}");
        let asked = Instant::now();
        world.patch(&path, active(false)).await.expect(200);
        if application == Application::Opsera {
            let ended = async || {
                let state = world.state().await;
                let mut users = state["users"].as_array().unwrap().iter();
                let ann = users.find(|it| it["email"] == address("ann"));
                ann.is_none_or(|it| it["active"] == false)
            };
            while !ended().await {}
        } else {
            until_the_groups_are(&world, &[("dev", &["ben"])]).await;
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "{asked:?}");
        world.faults(json!({})).await;
        world.patch(&path, active(true)).await.expect(200);
        eventually("all is well", async || world.run(&["status"]).2).await;
        until_the_groups_are(&world, all).await;
        assert_eq!(members_here(&world, "dev").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_look_that_leaves_somebody_out_loses_nothing() {
    for application in [Application::Opsera, Application::DeclaredForEver] {
        let all: &[(&str, &[&str])] = &[("dev", &["ann", "ben"])];
        let (world, ann) = found_in(application, all).await;
        let left_out = json!({ "left_out": { "ids": [address("ann")] } });
        let rule = json!({ "operation": "get_members", "failure": left_out, "next": 1 });
        world.faults(json!({ "rules": [rule] })).await;
        let path = format!("/Users/{ann}");
        world.patch(&path, active(false)).await.expect(200);
        world.patch(&path, active(true)).await.expect(200);
        eventually("all is well", async || world.run(&["status"]).2).await;
        until_the_groups_are(&world, all).await;
        assert_eq!(members_here(&world, "dev").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_inactive_user_is_asked_for_in_is_given_though_it_was_gone() {
    for whole in [false, true] {
        let all: &[(&str, &[&str])] = &[("dev", &["ann", "ben"])];
        let (world, ann) = found_in(Application::DeclaredForEver, all).await;
        world.seed(company(&[("dev", &["ben"])])).await;
        let path = format!("/Users/{ann}");
        world.patch(&path, active(false)).await.expect(200);
        let dev = id_of(&world, "Groups?filter=displayName%20eq%20%22dev%22").await;
        let ben = format!("Users?filter=userName%20eq%20%22{}%22", address("ben"));
        let ben = id_of(&world, &ben).await;
        let (op, who) = if whole {
            ("replace", vec![ann.clone(), ben])
        } else {
            ("add", vec![ann.clone()])
        };
        let asks = json!([{ "op": op, "path": "members", "value": values(&who) }]);
        world
            .patch(&format!("/Groups/{dev}"), asks)
            .await
            .expect(204);
        world.patch(&path, active(true)).await.expect(200);
        eventually("all is well", async || world.run(&["status"]).2).await;
        until_the_groups_are(&world, all).await;
        assert_eq!(members_here(&world, "dev").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_seen_is_given_back_also_where_the_first_return_fails() {
    let all: &[(&str, &[&str])] = &[("dev", &["ann", "ben"])];
    let (world, ann) = found_in(Application::Opsera, all).await;
    let path = format!("/Users/{ann}");
    world.patch(&path, active(false)).await.expect(200);
    let rule = json!({ "operation": "create_user", "failure": { "status": { "status": 400 } } });
    world.faults(json!({ "rules": [rule] })).await;
    world.patch(&path, active(true)).await.expect(400);
    world.faults(json!({})).await;
    world.forget_calls().await;
    world.patch(&path, active(true)).await.expect(200);
    until_the_groups_are(&world, all).await;
    let calls = world.calls().await;
    assert!(calls.iter().any(|it| it["operation"] == "add_members"));
}

async fn members_here(world: &World, name: &str) -> usize {
    let path = format!("/Groups?filter=displayName%20eq%20%22{name}%22");
    let found = world.get(&path).await.expect(200).body;
    found["Resources"][0]["members"]
        .as_array()
        .map_or(0, Vec::len)
}
