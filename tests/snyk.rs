//! Snyk behind the bridge: a Group is a role in a Snyk Group, a user has one of
//! its roles, comes by signing in and leaves by losing every membership. Each
//! sentence is shown by what Snyk was sent and has in the end.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, Reply, World, address, eventually, group, user, values};

mod addresses;
mod as_read;
mod by_hand;
mod configured;
mod faults;
mod higher;
mod leaving;
mod left_out;
mod misread;
mod planned;
mod protected;
mod renamed;
mod restart;
mod several;
mod swapped;
mod unknown;
mod unlisted;

const ADMIN: &str = "group_admin";
const VIEWER: &str = "group_viewer";
const MEMBER: &str = "group_member";

/// Root administers two Snyk Groups, Lou one of them; Vic views, Mel and Dan are
/// members, Dan in an organization; Ann, Ben and Cat have only ever signed in.
pub fn company() -> Value {
    let names = ["root", "vic", "mel", "lou", "ann", "ben", "cat"];
    let person = |name: &&str| json!({ "email": address(name) });
    let mut users: Vec<Value> = names.iter().map(person).collect();
    users.push(json!({ "email": address("dan"), "owner": true }));
    let team = |name: &str, role: &str, members: &[&str]| {
        let members: Vec<String> = members.iter().map(|name| address(name)).collect();
        json!({ "name": name, "type": role, "members": members })
    };
    json!({ "users": users, "groups": [
        team("Example", ADMIN, &["root"]),
        team("Example", VIEWER, &["vic"]),
        team("Example", MEMBER, &["mel", "dan"]),
        team("Labs", ADMIN, &["root", "lou"]),
        team("Labs", MEMBER, &["mel"]),
    ] })
}

/// Accounts are looked for among who has signed in, too.
pub const LINK: &str = "sso = \"link\"";

pub async fn snyk() -> World {
    snyk_with("", LINK).await
}

/// The bridge in front of it, which has read it.
pub async fn snyk_with(connection: &str, own: &str) -> World {
    let mut world = World::of_own(Application::Snyk, connection, own).await;
    world.seed(company()).await;
    world.import();
    world.forget_calls().await;
    world
}

pub async fn find(world: &World, kind: &str, filter: &str) -> Value {
    let filter = filter.replace(' ', "%20").replace('"', "%22");
    let found = world.get(&format!("/{kind}?filter={filter}")).await;
    let found = found.expect(200).body["Resources"][0].clone();
    assert!(found.is_object(), "{kind} {filter}");
    found
}

pub async fn id_of_user(world: &World, name: &str) -> String {
    let found = find(
        world,
        "Users",
        &format!("userName eq \"{}\"", address(name)),
    )
    .await;
    found["id"].as_str().unwrap().to_owned()
}

/// The path of a role of the first Snyk Group.
pub async fn role(world: &World, name: &str) -> String {
    role_of(world, "Example", name).await
}

pub async fn role_of(world: &World, snyk_group: &str, name: &str) -> String {
    let filter = format!("displayName eq \"{snyk_group}: {name}\"");
    let found = find(world, "Groups", &filter).await;
    format!("/Groups/{}", found["id"].as_str().unwrap())
}

fn change(op: &str, ids: &[String]) -> Value {
    json!([{ "op": op, "path": "members", "value": values(ids) }])
}

pub async fn add(world: &World, role: &str, id: &str) -> Reply {
    world.patch(role, change("add", &[id.to_owned()])).await
}

pub async fn remove(world: &World, role: &str, id: &str) -> Reply {
    let path = format!("members[value eq \"{id}\"]");
    let leave = json!([{ "op": "remove", "path": path }]);
    world.patch(role, leave).await
}

pub async fn activate(world: &World, id: &str, on: bool) -> Reply {
    let active = json!([{ "op": "replace", "value": { "active": on } }]);
    world.patch(&format!("/Users/{id}"), active).await
}

/// The roles that somebody has, as `Snyk Group/role`.
pub async fn roles(world: &World, name: &str) -> BTreeSet<String> {
    let state = world.state().await;
    let groups = state["groups"].as_array().unwrap().clone();
    let email = json!(address(name));
    let has = |group: &Value| group["members"].as_array().unwrap().contains(&email);
    let found = groups.iter().filter(|group| has(group));
    found
        .map(|group| group["name"].as_str().unwrap().to_owned())
        .collect()
}

fn just(role: &str) -> BTreeSet<String> {
    [format!("Example/{role}")].into()
}

pub fn operations(calls: &[Value]) -> Vec<&str> {
    let names = calls.iter().map(|call| call["operation"].as_str().unwrap());
    names.collect()
}

fn writes(calls: &[Value]) -> Vec<&str> {
    let all = operations(calls).into_iter();
    all.filter(|it| !it.starts_with("list_") && !it.starts_with("get_"))
        .collect()
}

#[track_caller]
pub fn reason(reply: Reply, status: u16, words: &str) {
    let body = reply.expect(status).body;
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(words), "{words:?} in {body}");
}

#[tokio::test]
async fn a_role_that_nobody_has_any_more_is_a_group_after_a_restart_too() {
    let mut world = snyk().await;
    let viewers = role(&world, VIEWER).await;
    let vic = id_of_user(&world, "vic").await;
    remove(&world, &viewers, &vic).await.expect(204);
    eventually("vic is out", async || roles(&world, "vic").await.is_empty()).await;
    world.import();
    let (said, wrong, _) = world.run(&["reconcile"]);
    assert!(!said.contains("not there any more"), "{said}{wrong}");
    let ann = id_of_user(&world, "ann").await;
    assert_eq!(role(&world, VIEWER).await, viewers);
    add(&world, &viewers, &ann).await.expect(204);
    assert_eq!(roles(&world, "ann").await, just(VIEWER));
}

#[tokio::test]
async fn a_snyk_group_that_is_called_otherwise_is_so_here_after_an_import() {
    let mut world = snyk().await;
    let viewers = role(&world, VIEWER).await;
    let own = json!([{ "op": "add", "path": "externalId", "value": "from-outside" }]);
    world.patch(&viewers, own).await.expect(204);
    let mut company = company();
    for team in company["groups"].as_array_mut().unwrap() {
        if team["name"] == "Example" {
            team["name"] = "Example & Sons".into();
        }
    }
    world.seed(company).await;
    world.import();
    let renamed = world.get(&viewers).await.expect(200).body;
    assert_eq!(renamed["displayName"], "Example & Sons: group_viewer");
    assert_eq!(renamed["externalId"], "from-outside");
    let extension = "urn:ietf:params:scim:schemas:extension:snyk:2.0:Group";
    assert_eq!(renamed[extension]["groupName"], "Example & Sons");
    assert_eq!(renamed["members"].as_array().map(Vec::len), Some(1));
    let version = renamed["meta"]["version"].clone();
    world.import();
    let again = world.get(&viewers).await.expect(200).body;
    assert_eq!(again["meta"]["version"], version, "and stays so");
}

#[tokio::test]
async fn roles_are_groups_with_those_who_have_them() {
    let world = snyk().await;
    let all = world.get("/Groups?count=100").await.expect(200).body;
    let mut names: Vec<&str> = all["Resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["displayName"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "Example: group_admin",
            "Example: group_member",
            "Example: group_viewer",
            "Labs: group_admin",
            "Labs: group_member",
        ]
    );
    let viewer = find(&world, "Groups", "displayName eq \"Example: group_viewer\"").await;
    let own = "urn:ietf:params:scim:schemas:extension:snyk:2.0:Group";
    assert_eq!(viewer[own]["groupName"], "Example");
    assert_eq!(viewer[own]["roleName"], VIEWER);
    let vic = find(&world, "Users", "userName eq \"vic@example.com\"").await;
    assert_eq!(viewer["members"][0]["value"], vic["id"]);
    let own = "urn:ietf:params:scim:schemas:extension:snyk:2.0:User";
    assert!(vic[own]["user"].is_string(), "{vic}");
    let people = world.get("/Users?count=0").await.expect(200).body;
    assert_eq!(people["totalResults"], 8, "also who only signed in");
}

#[tokio::test]
async fn joining_is_one_call_and_leaving_is_one_after_a_look_at_who_administers() {
    let world = snyk().await;
    let (viewer, ann) = (role(&world, VIEWER).await, id_of_user(&world, "ann").await);
    let (reply, calls) = world.calls_of(add(&world, &viewer, &ann)).await;
    reply.expect(204);
    assert_eq!(operations(&calls), ["create_membership"]);
    assert_eq!(roles(&world, "ann").await, just(VIEWER));
    let (reply, calls) = world.calls_of(remove(&world, &viewer, &ann)).await;
    reply.expect(204);
    assert_eq!(
        operations(&calls),
        ["list_memberships", "delete_membership"]
    );
    assert_eq!(roles(&world, "ann").await, BTreeSet::new());

    // A whole replacement is the difference.
    let everybody: Vec<String> = [id_of_user(&world, "vic").await, ann].into();
    let (reply, calls) = world
        .calls_of(world.patch(&viewer, change("replace", &everybody)))
        .await;
    reply.expect(204);
    assert_eq!(writes(&calls), ["create_membership"]);
    let (reply, calls) = world
        .calls_of(world.patch(&viewer, change("replace", &everybody[..1])))
        .await;
    reply.expect(204);
    assert_eq!(writes(&calls), ["delete_membership"]);
}

#[tokio::test]
async fn of_two_groups_one_role_counts_and_the_other_is_fallen_back_to() {
    let world = snyk().await;
    let (admin, viewer) = (role(&world, ADMIN).await, role(&world, VIEWER).await);
    let ann = id_of_user(&world, "ann").await;
    add(&world, &viewer, &ann).await.expect(204);
    let (reply, calls) = world.calls_of(add(&world, &admin, &ann)).await;
    reply.expect(204);
    assert_eq!(writes(&calls), ["update_membership"]);
    assert_eq!(roles(&world, "ann").await, just(ADMIN));
    for path in [&admin, &viewer] {
        let shown = world.members(path.trim_start_matches("/Groups/")).await;
        assert!(shown.contains(&ann), "in both, as was asked for");
    }
    let shown = world.get(&format!("/Users/{ann}")).await.expect(200).body;
    assert_eq!(shown["groups"].as_array().unwrap().len(), 2);

    let (reply, calls) = world.calls_of(remove(&world, &admin, &ann)).await;
    reply.expect(204);
    assert_eq!(writes(&calls), ["update_membership"]);
    assert_eq!(roles(&world, "ann").await, just(VIEWER));
    let (reply, calls) = world.calls_of(remove(&world, &viewer, &ann)).await;
    reply.expect(204);
    assert_eq!(writes(&calls), ["delete_membership"]);
    assert_eq!(roles(&world, "ann").await, BTreeSet::new());
}

#[tokio::test]
async fn a_role_that_does_not_count_is_asked_for_without_a_write() {
    let world = snyk().await;
    let (admin, viewer) = (role(&world, ADMIN).await, role(&world, VIEWER).await);
    let ann = id_of_user(&world, "ann").await;
    add(&world, &admin, &ann).await.expect(204);
    let (reply, calls) = world.calls_of(add(&world, &viewer, &ann)).await;
    reply.expect(204);
    assert_eq!(writes(&calls), Vec::<&str>::new());
    let (reply, calls) = world.calls_of(remove(&world, &viewer, &ann)).await;
    reply.expect(204);
    assert_eq!(writes(&calls), Vec::<&str>::new());
    assert_eq!(roles(&world, "ann").await, just(ADMIN));
}

#[tokio::test]
async fn who_is_in_already_has_the_role_changed() {
    let world = snyk().await;
    let viewer = role(&world, VIEWER).await;
    let ben = id_of_user(&world, "ben").await;
    // Snyk itself lets him in with another role, and nobody tells the bridge.
    let own = "urn:ietf:params:scim:schemas:extension:snyk:2.0";
    let shown = world.get(&viewer).await.expect(200).body[format!("{own}:Group")].clone();
    let user = world.get(&format!("/Users/{ben}")).await.expect(200).body;
    let one = |kind: &str, id: &Value| json!({ "data": { "type": kind, "id": id } });
    let body = json!({ "data": { "type": "group_membership", "relationships": {
        "group": one("group", &shown["group"]),
        "user": one("user", &user[format!("{own}:User")]["user"]),
        "role": one("group_role", &json!("30000000-0000-4000-8000-000000000003")),
    } } });
    let path = format!(
        "/rest/groups/{}/memberships?version=2025-11-05",
        shown["group"].as_str().unwrap()
    );
    world.as_administrator("POST", &path, body).await;
    assert_eq!(roles(&world, "ben").await, just(MEMBER));
    let (reply, calls) = world.calls_of(add(&world, &viewer, &ben)).await;
    reply.expect(204);
    assert_eq!(
        writes(&calls),
        ["create_membership", "update_membership"],
        "the first is answered 409"
    );
    assert_eq!(roles(&world, "ben").await, just(VIEWER));
}

#[tokio::test]
async fn the_last_administrator_stays_and_the_answer_says_why() {
    let world = snyk().await;
    let admin = role(&world, ADMIN).await;
    let (root, ann) = (
        id_of_user(&world, "root").await,
        id_of_user(&world, "ann").await,
    );
    let words = "nobody else has the role";
    reason(remove(&world, &admin, &root).await, 400, words);
    let both: BTreeSet<String> = [format!("Example/{ADMIN}"), format!("Labs/{ADMIN}")].into();
    assert_eq!(roles(&world, "root").await, both);
    let shown = world.members(admin.trim_start_matches("/Groups/")).await;
    assert!(shown.contains(&root), "the membership is as it was");

    // Where somebody else is left the administrator goes.
    // Asking again tries again, and is answered as it was.
    for _ in 0..3 {
        reason(activate(&world, &root, false).await, 400, words);
        assert_eq!(roles(&world, "root").await, just(ADMIN));
    }
    let path = format!("/Users/{root}");
    assert_eq!(world.get(&path).await.expect(200).body["active"], false);
    let refused = &world.status().await["connections"][0]["refused"]["users"];
    assert_eq!(*refused, 1);
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    let pending = &world.status().await["connections"][0]["pending"];
    assert_eq!(*pending, nothing, "there is nothing that would send it");
    let deleted = world.send("DELETE", &path, None).await;
    let said = deleted.body["detail"].to_string();
    assert!(said.contains("the User was not deleted: "), "{said}");
    reason(deleted, 400, words);
    assert_eq!(roles(&world, "root").await, just(ADMIN));
    assert_eq!(world.status().await["connections"][0]["pending"], nothing);

    add(&world, &admin, &ann).await.expect(204);
    // The answer may still be the one of before.
    world.send("DELETE", &path, None).await;
    eventually("root is out", async || {
        roles(&world, "root").await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn who_has_not_signed_in_yet_is_staged_and_gets_its_memberships_then() {
    let mut world = snyk_with("", "look_for_staged = \"1s\"").await;
    let viewer = role(&world, VIEWER).await;
    let began = Instant::now();
    let new = world.post("/Users", user("new")).await.expect(201).id();
    let (reply, calls) = world.calls_of(add(&world, &viewer, &new)).await;
    reply.expect(204);
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "nobody waits for it"
    );
    assert_eq!(calls, Vec::<Value>::new());
    let status = world.status().await;
    assert_eq!(status["connections"][0]["staged"]["users"], 1, "{status}");
    world.kill_and_restart();

    let mut with_new = company();
    let labs = &mut with_new["groups"][4]["members"];
    labs.as_array_mut().unwrap().push(address("new").into());
    let users = with_new["users"].as_array_mut().unwrap();
    users.push(json!({ "email": address("new") }));
    world.seed(with_new).await;
    eventually("it is let in", async || {
        roles(&world, "new").await.contains("Example/group_viewer")
    })
    .await;
    eventually("nobody waits any more", async || {
        world.status().await["connections"][0]["staged"]["users"] == 0
    })
    .await;
}

#[tokio::test]
async fn an_unknown_user_is_refused_where_that_is_wanted() {
    let world = snyk_with("", "unknown_users = \"refuse\"").await;
    let refused = world.post("/Users", user("new")).await;
    reason(refused, 400, "Snyk shows no user with this e-mail address");
    let all = world.get("/Users?filter=userName%20eq%20%22new@example.com%22");
    assert_eq!(all.await.expect(200).body["totalResults"], 0);
}

#[tokio::test]
async fn groups_are_not_made_renamed_or_deleted_and_the_answer_says_why() {
    let world = snyk().await;
    let viewer = role(&world, VIEWER).await;
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Other" }]);
    let vic = id_of_user(&world, "vic").await;
    let whole = group("Other", std::slice::from_ref(&vic));
    let ((), calls) = world
        .calls_of(async {
            for (reply, status) in [
                (world.post("/Groups", group("New", &[])).await, 403),
                (world.patch(&viewer, rename).await, 400),
                (world.put(&viewer, whole).await, 400),
                (world.send("DELETE", &viewer, None).await, 403),
            ] {
                reason(reply, status, "a Group here is one role in one Snyk Group");
            }
        })
        .await;
    assert_eq!(calls, Vec::<Value>::new());
    // What is so already may be said again, and own names stay writable.
    let same = group("Example: group_viewer", &[vic]);
    world.put(&viewer, same).await.expect(200);
    let own = json!([{ "op": "add", "path": "externalId", "value": "42" }]);
    world.patch(&viewer, own).await.expect(204);
}

#[tokio::test]
async fn two_groups_patched_at_once_for_the_same_users_end_at_the_role_that_counts() {
    let world = snyk().await;
    let names = ["ann", "ben", "cat", "vic"];
    let mut ids = Vec::new();
    for name in names {
        ids.push(id_of_user(&world, name).await);
    }
    let (admin, viewer, member) = (
        role(&world, ADMIN).await,
        role(&world, VIEWER).await,
        role(&world, MEMBER).await,
    );
    for round in 0..4 {
        let op = if round % 2 == 0 { "add" } else { "remove" };
        let all = [
            world.patch(&member, change("add", &ids)),
            world.patch(&admin, change(op, &ids)),
            world.patch(&viewer, change("add", &ids)),
        ];
        for reply in futures_util::future::join_all(all).await {
            reply.expect(204);
        }
        let counts = just(if op == "add" { ADMIN } else { VIEWER });
        for name in names {
            eventually("it is the role that counts", async || {
                roles(&world, name).await == counts
            })
            .await;
        }
    }
}

#[tokio::test]
async fn the_pauses_that_are_asked_for_are_kept() {
    let world = snyk().await;
    let (viewer, ann) = (role(&world, VIEWER).await, id_of_user(&world, "ann").await);
    let too_many = |wait: Value| json!({ "rules": [{ "failure": { "status": { "status": 429, "retry_after": wait } }, "next": 1 }] });
    world.faults(too_many("1".into())).await;
    let (reply, calls) = world.calls_of(add(&world, &viewer, &ann)).await;
    reply.expect(204);
    assert_eq!(operations(&calls), ["create_membership"; 2]);
    let at = |call: &Value| call["started_ms"].as_u64().unwrap();
    let pause = at(&calls[1]) - at(&calls[0]);
    assert!(pause >= 1_000, "{pause} ms");

    // Without a word of how long, Snyk wants a minute of silence.
    world.faults(too_many(Value::Null)).await;
    world.forget_calls().await;
    remove(&world, &viewer, &ann).await.expect(204);
    add(&world, &role(&world, MEMBER).await, &ann)
        .await
        .expect(204);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.calls().await.len(), 1, "nothing is sent into it");
    let status = world.status().await;
    let silent = &status["connections"][0]["application"]["silentForSeconds"];
    assert!(silent.as_u64().is_some_and(|left| left > 40), "{status}");
}

#[tokio::test]
async fn a_check_tells_what_is_seen_and_what_cannot_be_done() {
    let world = snyk().await;
    let (said, _, ok) = world.run(&["check"]);
    assert!(ok, "{said}");
    for part in [
        "list groups; it sees 2",
        "\"Example: group_viewer\"",
        "read the 1 SSO connections",
        "  no       create a group (documented): a Group here is one role",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    world.upstream_token("another-token-0123456789abcdef");
    let (said, _, ok) = world.run(&["check"]);
    assert!(!ok && said.contains("does not accept the token"), "{said}");
}

#[tokio::test]
async fn configured_groups_are_the_only_ones_in_their_own_order_and_by_their_own_names() {
    let id = |kind: u32, n: u32| format!("{kind}0000000-0000-4000-8000-{n:012x}");
    let own = format!(
        "{LINK}\nadministrator_role = \"Group Admin\"\ngroups = [\n\
         {{ group = \"{0}\", role = \"group_viewer\", display_name = \"Readers\" }},\n\
         {{ group = \"{0}\", role_id = \"{1}\" }} ]",
        id(1, 1),
        id(3, 3)
    );
    let world = snyk_with("", &own).await;
    let all = world.get("/Groups").await.expect(200).body;
    assert_eq!(all["totalResults"], 2, "{all}");
    let readers = find(&world, "Groups", "displayName eq \"Readers\"").await;
    let readers = format!("/Groups/{}", readers["id"].as_str().unwrap());
    let ann = id_of_user(&world, "ann").await;
    add(&world, &readers, &ann).await.expect(204);
    add(&world, &role(&world, MEMBER).await, &ann)
        .await
        .expect(204);
    assert_eq!(roles(&world, "ann").await, just(VIEWER));
    remove(&world, &readers, &ann).await.expect(204);
    assert_eq!(roles(&world, "ann").await, just(MEMBER));
}

#[tokio::test]
async fn it_runs_beside_another_application_in_one_process() {
    let (mut world, mut other) = World::beside(Application::Snyk).await;
    let new = world.user("new").await;
    world.turn_to(&mut other);
    eventually("its roles are read", async || {
        let all = world.get("/Groups?count=0").await.expect(200).body;
        all["totalResults"] == 5
    })
    .await;
    world.get(&format!("/Users/{new}")).await.expect(404);
    let viewer = role_of(&world, "Example Inc.", VIEWER).await;
    world.turn_to(&mut other);
    world.get(&viewer).await.expect(404);
}
