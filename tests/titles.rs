//! Groups that an application knows by its ids: what they are called is its alone to
//! say, several may be called alike, and one may be made anew with the name of one that
//! is gone. None of them hides another: who leaves is taken out of all of them, and who
//! is asked for in one is put into that one.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, World, address, user, values};

const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const SOON: &str = "read_lag = \"100ms\"\nsync_wait = \"300ms\"\nreactivate = \"recreate\"";

/// Groups with their ids, names and members.
type Groups<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];

fn company(users: &[&str], groups: Groups<'_>) -> Value {
    let user = |name: &&str| json!({ "email": address(name) });
    let group = |(id, title, members): &(&str, &str, &[&str])| {
        let members: Vec<String> = members.iter().map(|name| address(name)).collect();
        json!({ "name": id, "type": title, "members": members })
    };
    json!({
        "users": users.iter().map(user).collect::<Vec<_>>(),
        "groups": groups.iter().map(group).collect::<Vec<_>>(),
    })
}

const STAFF: [&str; 3] = ["ann", "ben", "cat"];

async fn titled(groups: Groups<'_>) -> World {
    let mut world = World::of(Application::DeclaredTitled, SOON).await;
    world.seed(company(&STAFF, groups)).await;
    world.import();
    world
}

async fn find(world: &World, kind: &str, attribute: &str, value: &str) -> String {
    let value = value.replace(' ', "%20");
    let path = format!("/{kind}?filter={attribute}%20eq%20%22{value}%22");
    let found = world.get(&path).await.expect(200).body;
    assert_eq!(found["totalResults"], 1, "{kind} {value}: {found}");
    found["Resources"][0]["id"].as_str().unwrap().to_owned()
}

async fn group(world: &World, title: &str) -> String {
    find(world, "Groups", "displayName", title).await
}

async fn leaves(world: &World, name: &str) {
    let path = format!(
        "/Users/{}",
        find(world, "Users", "userName", &address(name)).await
    );
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    world.patch(&path, off).await.expect(200);
}

async fn changes(world: &World, group: &str, op: &str, name: &str) {
    let user = find(world, "Users", "userName", &address(name)).await;
    let change = json!([{ "op": op, "path": "members", "value": values(&[user]) }]);
    let answer = world.patch(&format!("/Groups/{group}"), change).await;
    assert!(answer.status.is_success(), "{answer:?}");
}

async fn until_in(world: &World, group: &str, names: &[&str]) {
    let names: BTreeSet<String> = names.iter().map(|name| address(name)).collect();
    world.until_upstream_has(group, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_taken_out_of_each_of_several_that_are_called_alike() {
    let world = titled(&[
        ("g1", "Same", &["ann", "ben"]),
        ("g2", "Same", &["ann", "cat"]),
    ])
    .await;
    let (one, two) = (
        group(&world, "Same").await,
        group(&world, "Same (g2)").await,
    );
    assert_eq!(world.members(&one).await.len(), 2);
    assert_eq!(world.members(&two).await.len(), 2);
    leaves(&world, "ann").await;
    until_in(&world, "g1", &["ben"]).await;
    until_in(&world, "g2", &["cat"]).await;
    changes(&world, &two, "add", "ben").await;
    until_in(&world, "g2", &["ben", "cat"]).await;
    until_in(&world, "g1", &["ben"]).await;
}

/// The group was made since the last import, by the name of another one.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_linked_and_leaves_is_taken_out_of_one_that_nobody_has_seen_here() {
    let world = titled(&[("g1", "Same", &["ben"])]).await;
    let groups: Groups<'_> = &[("g1", "Same", &["ben"]), ("g2", "Same", &["cat", "dan"])];
    world
        .seed(company(&["ann", "ben", "cat", "dan"], groups))
        .await;
    world.post("/Users", user("dan")).await.expect(201);
    leaves(&world, "dan").await;
    until_in(&world, "g2", &["cat"]).await;
    until_in(&world, "g1", &["ben"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_for_is_put_into_what_is_called_so_by_now() {
    let mut world = titled(&[("g1", "Alpha", &["ann"]), ("g2", "Beta", &["ben"])]).await;
    let (alpha, beta) = (group(&world, "Alpha").await, group(&world, "Beta").await);
    world
        .seed(company(
            &STAFF,
            &[("g1", "Beta", &["ann"]), ("g2", "Alpha", &["ben"])],
        ))
        .await;
    world.import();
    assert_eq!(group(&world, "Beta").await, alpha, "it is the same one");
    assert_eq!(group(&world, "Alpha").await, beta);
    changes(&world, &alpha, "add", "cat").await;
    until_in(&world, "g1", &["ann", "cat"]).await;
    until_in(&world, "g2", &["ben"]).await;
    // A PUT by the former name says who is in it all the same.
    let body = json!({ "schemas": [GROUP], "displayName": "Alpha", "members": [] });
    let path = format!("/Groups/{alpha}");
    let put = world.send("PUT", &path, Some(body)).await.expect(200);
    assert_eq!(put.body["displayName"], "Beta");
    until_in(&world, "g1", &[]).await;
}

/// As Okta and Entra do with what else they ask for.
#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_says_the_name_again_goes_on_and_one_with_another_changes_nothing() {
    let world = titled(&[("g1", "Alpha", &["ann"])]).await;
    let path = format!("/Groups/{}", group(&world, "Alpha").await);
    let adds = async |name: &str| {
        let user = find(&world, "Users", "userName", &address(name)).await;
        json!({ "op": "add", "path": "members", "value": values(&[user]) })
    };
    let named = |title: &str| json!({ "op": "replace", "path": "displayName", "value": title });
    let change = json!([named("Alpha"), adds("ben").await]);
    world.patch(&path, change).await.expect(204);
    until_in(&world, "g1", &["ann", "ben"]).await;
    let whole = json!({ "op": "replace", "value": { "displayName": "Alpha" } });
    let change = json!([whole, adds("cat").await]);
    world.patch(&path, change).await.expect(204);
    until_in(&world, "g1", &["ann", "ben", "cat"]).await;

    let everybody = json!({ "op": "remove", "path": "members" });
    let change = json!([everybody, named("Beta")]);
    let (refused, calls) = world.calls_of(world.patch(&path, change)).await;
    assert_eq!(refused.expect(400).body["scimType"], "mutability");
    assert_eq!(calls, Vec::<Value>::new());
    until_in(&world, "g1", &["ann", "ben", "cat"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_made_anew_has_its_name_and_what_is_gone_says_so() {
    let mut world = titled(&[("g3", "Gamma", &STAFF)]).await;
    let old = group(&world, "Gamma").await;
    world
        .seed(company(&STAFF, &[("g9", "Gamma", &STAFF)]))
        .await;
    world.import();
    let new = group(&world, "Gamma").await;
    assert_eq!(group(&world, "Gamma (g3)").await, old);
    assert_eq!(world.members(&new).await.len(), 3);
    leaves(&world, "ann").await;
    until_in(&world, "g9", &["ben", "cat"]).await;
    changes(&world, &new, "remove", "ben").await;
    until_in(&world, "g9", &["cat"]).await;

    // What is left of the old one is told, and can be deleted.
    changes(&world, &old, "remove", "cat").await;
    let end = Instant::now() + Duration::from_secs(40);
    let gone = loop {
        let told = world.status().await["connections"][0].clone();
        if let Some(refused) = told["refusedResources"].get(0) {
            break refused.clone();
        }
        assert!(Instant::now() < end, "{told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(gone["id"], json!(old), "{gone}");
    let reason = gone["reason"].as_str().unwrap();
    assert!(reason.contains("delete this Group"), "{reason}");
    until_in(&world, "g9", &["cat"]).await;
    let path = format!("/Groups/{old}");
    world.send("DELETE", &path, None).await.expect(204);
    let told = world.status().await["connections"][0].clone();
    assert_eq!(told["refused"]["groups"], 0, "{told}");
    assert_eq!(group(&world, "Gamma").await, new);
}
