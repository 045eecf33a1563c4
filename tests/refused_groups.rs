//! Groups whose creation the application refuses after it was answered: what tries
//! them again, by which name, and what becomes of a group of that name that somebody
//! makes there by hand (reliability: R-04).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually, group, values};

const SOON: &str = "read_lag = \"100ms\"\nsync_wait = \"50ms\"";
const GROUPS: &str = "/api/v2/groupmanagement/group";

fn addresses(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

fn slow(rules: Value) -> Value {
    json!({ "latency_ms": 300, "rules": rules })
}

async fn told(world: &World) -> Value {
    world.status().await["connections"][0]["refusedResources"].clone()
}

/// A Group that was answered 201 and refused later; the path of it.
async fn refused(world: &World, name: &str, ids: &[String]) -> String {
    let before = told(world).await.as_array().map_or(0, Vec::len);
    let no = json!({ "operation": "create_group", "failure": { "status": { "status": 400 } } });
    world.faults(slow(json!([no]))).await;
    let made = world.post("/Groups", group(name, ids)).await.expect(201);
    eventually("it is refused", async || {
        told(world).await.as_array().map_or(0, Vec::len) > before
    })
    .await;
    world.faults(json!({})).await;
    format!("/Groups/{}", made.id())
}

async fn by_hand(world: &World, name: &str, members: &[&str]) {
    let members: Vec<String> = members.iter().map(|name| address(name)).collect();
    let body = json!({ "name": name, "groupMemberEmailAddresses": members });
    world.as_administrator("POST", GROUPS, body).await;
}

/// The members of every Group by its displayName.
async fn shown(world: &World) -> Vec<(String, usize)> {
    let listed = world.get("/Groups").await.expect(200).body;
    let groups = listed["Resources"].as_array().cloned().unwrap_or_default();
    let mut shown: Vec<(String, usize)> = groups
        .iter()
        .map(|it| {
            let members = it["members"].as_array().map_or(0, Vec::len);
            (it["displayName"].as_str().unwrap().to_owned(), members)
        })
        .collect();
    shown.sort();
    shown
}

fn named(name: &str, members: usize) -> (String, usize) {
    (name.to_owned(), members)
}

/// Until it shows that: what was sent within `read_lag` may not be shown yet, and
/// nothing is concluded of that.
async fn import(world: &mut World, expected: &[(String, usize)]) {
    for last in [false, false, false, false, true] {
        world.kill_bridge();
        let (said, wrong, well) = world.run(&["import"]);
        assert!(well, "{said}{wrong}");
        world.start_bridge();
        let is = shown(world).await;
        if is == expected {
            return;
        }
        assert!(!last, "{is:?}");
    }
}

async fn off(world: &World, id: &str) {
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let off = world.patch(&format!("/Users/{id}"), off).await.status;
    assert!(off.is_success(), "{off}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_made_by_hand_by_the_name_of_a_refused_one_is_seen_and_loses_who_leaves() {
    let mut world = World::of(Application::DeclaredForEver, SOON).await;
    let ids = world.users("m", 4).await;
    let team = refused(&world, "team", &ids[..2]).await;
    by_hand(&world, "team", &["m0", "m2", "m3"]).await;
    let both = [named("team", 2), named("team (team)", 3)];
    import(&mut world, &both).await;
    let reason = told(&world).await[0]["reason"].to_string();
    assert!(reason.contains("nothing is bound by its name"), "{reason}");
    // Who leaves after that, and who had left before the next import.
    off(&world, &ids[0]).await;
    world
        .until_upstream_has("team", &addresses(&["m2", "m3"]))
        .await;
    // It is not taken over, whoever is asked for, and the answer names what has it.
    for body in [group("team", &ids[1..2]), group("team", &ids[2..3])] {
        let no = world.put(&team, body).await.expect(409);
        let detail = no.body["detail"].to_string();
        assert!(detail.contains("team (team)"), "{detail}");
    }
    let out = json!([{ "op": "remove", "path": "members", "value": values(&ids[..1]) }]);
    world.patch(&team, out).await.expect(204);
    // Of who left it is kept what is given back.
    let both = [named("team", 1), named("team (team)", 3)];
    import(&mut world, &both).await;
    // By another name it is made, and the one that was found has its own alone then.
    let name = json!([{ "op": "replace", "path": "displayName", "value": "crew" }]);
    let renamed = world.patch(&team, name).await.status;
    assert!(renamed.is_success(), "{renamed}");
    world.until_upstream_has("crew", &addresses(&["m1"])).await;
    import(&mut world, &[named("crew", 1), named("team", 3)]).await;
    assert_eq!(told(&world).await, json!([]));
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_is_free_again_when_either_of_the_two_is_gone() {
    let mut world = World::of(Application::Opsera, SOON).await;
    let ids = world.users("m", 3).await;
    let team = refused(&world, "team", &ids[..1]).await;
    let crew = refused(&world, "crew", &ids[..1]).await;
    by_hand(&world, "team", &["m1"]).await;
    by_hand(&world, "crew", &["m1"]).await;
    let crews = [named("crew", 1), named("crew (crew)", 1)];
    let teams = [named("team", 1), named("team (team)", 1)];
    import(&mut world, &[crews, teams].concat()).await;
    // The Group goes: the one that was found stays there and is called as it is.
    world.send("DELETE", &team, None).await.expect(204);
    let left = [named("crew", 1), named("crew (crew)", 1), named("team", 1)];
    assert_eq!(shown(&world).await, left);
    assert_eq!(
        world.upstream_members("team").await,
        Some(addresses(&["m1"]))
    );
    // What was found goes: the Group is made when it is asked for.
    world
        .as_administrator("DELETE", &format!("{GROUPS}/crew"), Value::Null)
        .await;
    world.put(&crew, group("crew", &ids[..1])).await.expect(409);
    import(&mut world, &[named("crew", 1), named("team", 1)]).await;
    let made = world.put(&crew, group("crew", &ids[..1])).await.status;
    assert!(made.is_success(), "{made}");
    world.until_upstream_has("crew", &addresses(&["m0"])).await;
    eventually("nothing is refused", async || {
        told(&world).await == json!([])
    })
    .await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_group_is_tried_again_by_what_it_is_to_be_called_then() {
    let world = World::of(Application::Opsera, SOON).await;
    let ids = world.users("m", 2).await;
    by_hand(&world, "taken", &[]).await;
    world.faults(slow(json!([]))).await;
    let made = world.post("/Groups", group("taken", &ids)).await;
    let path = format!("/Groups/{}", made.expect(201).id());
    eventually("it is refused", async || told(&world).await != json!([])).await;
    world.faults(json!({})).await;
    let name = json!([{ "op": "replace", "path": "displayName", "value": "free" }]);
    let renamed = world.patch(&path, name).await.status;
    assert!(renamed.is_success(), "{renamed}");
    world
        .until_upstream_has("free", &addresses(&["m0", "m1"]))
        .await;
    assert_eq!(world.upstream_members("taken").await, Some(BTreeSet::new()));
    eventually("nothing is refused", async || {
        told(&world).await == json!([])
    })
    .await;
    // The same by a PUT, and the name of before is anybody's.
    let path = refused(&world, "before", &ids[..1]).await;
    let now = world.put(&path, group("after", &ids[..1])).await.status;
    assert!(now.is_success(), "{now}");
    world.until_upstream_has("after", &addresses(&["m0"])).await;
    assert_eq!(world.upstream_members("before").await, None);
    world.group("before", &ids[1..]).await;
    world
        .until_upstream_has("before", &addresses(&["m1"]))
        .await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_a_refused_group_tries_it_and_taking_somebody_out_does_not() {
    let world = World::of(Application::Opsera, SOON).await;
    let ids = world.users("m", 2).await;
    let out = json!([{ "op": "remove", "path": "members", "value": values(&ids[..1]) }]);
    let external = json!([{ "op": "replace", "path": "externalId", "value": "x" }]);
    let add = json!([{ "op": "add", "path": "members", "value": values(&ids[..1]) }]);
    let none = json!([{ "op": "remove", "path": "members" }]);
    let patch = "PATCH";
    let empty = json!({ "displayName": "g4", "members": [], "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"] });
    for (n, (method, body, left)) in [
        (patch, out, None),
        (patch, none, None),
        (patch, external, Some(vec!["m0", "m1"])),
        (patch, add, Some(vec!["m0", "m1"])),
        ("PUT", empty, Some(vec![])),
        ("PUT", group("g5", &ids), Some(vec!["m0", "m1"])),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("g{n}");
        let path = refused(&world, &name, &ids).await;
        let before = told(&world).await;
        let sent = if method == patch {
            world.patch(&path, body).await.status
        } else {
            world.put(&path, body).await.status
        };
        assert!(sent.is_success(), "{name}: {sent}");
        if let Some(left) = left {
            world.until_upstream_has(&name, &addresses(&left)).await;
        } else {
            assert_eq!(told(&world).await[0]["id"], before[0]["id"], "{name}");
            assert_eq!(world.upstream_members(&name).await, None);
            world.send("DELETE", &path, None).await.expect(204);
        }
        eventually("nothing is refused", async || {
            told(&world).await == json!([])
        })
        .await;
    }
    world.overlook().await;
}
