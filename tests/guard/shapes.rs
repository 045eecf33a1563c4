//! Every shape in which identity providers take members out of a group, each at
//! the threshold and one below and above it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{World, address, user, values};

/// In which a leaver is gone (reliability: G-4).
const PATIENCE: Duration = Duration::from_secs(60);

/// A group under test: who is to go, and who stays.
struct Case<'w> {
    world: &'w World,
    group: String,
    name: String,
    going: &'w [String],
    staying: &'w [String],
}

/// How many a request of a shape takes out, and what it was answered.
type Sent = Vec<(usize, u16)>;

const SHAPES: [&str; 22] = [
    "PATCH remove by filter",
    "PATCH remove by a filter for all",
    "PATCH remove by a list of values",
    "PATCH Remove as Entra sends it",
    "PATCH remove with bare ids",
    "PATCH REMOVE in capitals",
    "PATCH remove of all but some",
    "PATCH remove in two operations",
    "PATCH remove and add others",
    "PATCH replace",
    "PATCH Replace as Entra sends it",
    "PATCH replace without a path, as Okta sends it",
    "PATCH remove all and add the rest",
    "PUT",
    "PUT with a new name",
    "bulk PATCH",
    "bulk PUT",
    "bulk PATCH one by one",
    "PATCH one by one",
    "PATCH one by one at once",
    "PATCH in two halves",
    "PUT in two halves",
];

impl Case<'_> {
    fn path(&self) -> String {
        format!("/Groups/{}", self.group)
    }

    async fn patch(&self, operations: Value) -> u16 {
        let reply = self.world.patch(&self.path(), operations).await;
        reply.status.as_u16()
    }

    async fn put(&self, name: &str, members: &[String]) -> u16 {
        let body = json!({ "displayName": name, "members": values(members) });
        self.world.put(&self.path(), body).await.status.as_u16()
    }

    async fn bulk(&self, operations: Vec<Value>) -> Vec<u16> {
        let body = json!({ "Operations": operations });
        let reply = self.world.post("/Bulk", body).await.expect(200);
        let told = reply.body["Operations"].as_array().unwrap().clone();
        let status = |told: &Value| told["status"].as_str().unwrap().parse().unwrap();
        told.iter().map(status).collect()
    }

    async fn send(&self, shape: &str) -> Sent {
        let (going, staying) = (self.going, self.staying);
        let all = going.len();
        let removes =
            |ids: &[String]| json!([{ "op": "remove", "path": "members", "value": values(ids) }]);
        let by_filter =
            |id: &String| json!({ "op": "remove", "path": format!("members[value eq \"{id}\"]") });
        let equals = |ids: &[String]| {
            let terms: Vec<String> = ids.iter().map(|id| format!("value eq \"{id}\"")).collect();
            terms.join(" or ")
        };
        let in_bulk = |method: &str, data: Value| json!({ "method": method, "path": self.path(), "data": data });
        let half = all / 2;
        let (first, second) = going.split_at(half);
        match shape {
            "PATCH remove by filter" => {
                vec![(all, self.patch(going.iter().map(by_filter).collect()).await)]
            }
            "PATCH remove by a filter for all" => {
                let path = format!("members[{}]", equals(going));
                vec![(
                    all,
                    self.patch(json!([{ "op": "remove", "path": path }])).await,
                )]
            }
            "PATCH remove by a list of values" => vec![(all, self.patch(removes(going)).await)],
            "PATCH Remove as Entra sends it" => {
                let list: Vec<_> = going
                    .iter()
                    .map(|id| json!({ "$ref": null, "value": id }))
                    .collect();
                let operation = json!([{ "op": "Remove", "path": "members", "value": list }]);
                vec![(all, self.patch(operation).await)]
            }
            "PATCH remove with bare ids" => {
                let operation = json!([{ "op": "remove", "path": "members", "value": going }]);
                vec![(all, self.patch(operation).await)]
            }
            "PATCH REMOVE in capitals" => {
                let operation =
                    json!([{ "op": "REMOVE", "path": "Members", "value": values(going) }]);
                vec![(all, self.patch(operation).await)]
            }
            "PATCH remove of all but some" => {
                let path = format!("members[not ({})]", equals(staying));
                vec![(
                    all,
                    self.patch(json!([{ "op": "remove", "path": path }])).await,
                )]
            }
            "PATCH remove in two operations" => {
                let operations = json!([
                    { "op": "remove", "path": "members", "value": values(first) },
                    { "op": "remove", "path": "members", "value": values(second) },
                ]);
                vec![(all, self.patch(operations).await)]
            }
            "PATCH remove and add others" => {
                let operations = json!([
                    { "op": "add", "path": "members", "value": values(staying) },
                    { "op": "remove", "path": "members", "value": values(going) },
                ]);
                vec![(all, self.patch(operations).await)]
            }
            "PATCH replace" => {
                let operation =
                    json!([{ "op": "replace", "path": "members", "value": values(staying) }]);
                vec![(all, self.patch(operation).await)]
            }
            "PATCH Replace as Entra sends it" => {
                let list: Vec<_> = staying
                    .iter()
                    .map(|id| json!({ "$ref": null, "value": id }))
                    .collect();
                let operation = json!([{ "op": "Replace", "path": "members", "value": list }]);
                vec![(all, self.patch(operation).await)]
            }
            "PATCH replace without a path, as Okta sends it" => {
                let value = json!({ "id": self.group, "members": values(staying) });
                vec![(
                    all,
                    self.patch(json!([{ "op": "replace", "value": value }]))
                        .await,
                )]
            }
            "PATCH remove all and add the rest" => {
                let operations = json!([
                    { "op": "remove", "path": "members" },
                    { "op": "add", "path": "members", "value": values(staying) },
                ]);
                vec![(all, self.patch(operations).await)]
            }
            "PUT" => vec![(all, self.put(&self.name, staying).await)],
            "PUT with a new name" => {
                let name = format!("{} renamed", self.name);
                vec![(all, self.put(&name, staying).await)]
            }
            "bulk PATCH" => {
                let data = json!({ "Operations": removes(going) });
                vec![(all, self.bulk(vec![in_bulk("PATCH", data)]).await[0])]
            }
            "bulk PUT" => {
                let data = json!({ "displayName": self.name, "members": values(staying) });
                vec![(all, self.bulk(vec![in_bulk("PUT", data)]).await[0])]
            }
            "bulk PATCH one by one" => {
                let one = |id: &String| in_bulk("PATCH", json!({ "Operations": [by_filter(id)] }));
                let told = self.bulk(going.iter().map(one).collect()).await;
                told.into_iter().map(|status| (1, status)).collect()
            }
            "PATCH one by one" => {
                let mut sent = Vec::new();
                for id in going {
                    sent.push((1, self.patch(json!([by_filter(id)])).await));
                }
                sent
            }
            "PATCH one by one at once" => {
                let all = going.iter().map(|id| self.patch(json!([by_filter(id)])));
                let told = join_all(all).await;
                told.into_iter().map(|status| (1, status)).collect()
            }
            "PATCH in two halves" => vec![
                (half, self.patch(removes(first)).await),
                (all - half, self.patch(removes(second)).await),
            ],
            "PUT in two halves" => {
                let rest = [second, staying].concat();
                vec![
                    (half, self.put(&self.name, &rest).await),
                    (all - half, self.put(&self.name, staying).await),
                ]
            }
            other => panic!("no shape {other}"),
        }
    }
}

/// What may be taken: in order, as long as it fits; nothing after what did not.
fn expected(sent: &Sent, most: usize) -> (usize, Vec<bool>) {
    let (mut gone, mut stopped) = (0, false);
    let passes = sent.iter().map(|(size, _)| {
        stopped |= gone + size > most;
        gone += if stopped { 0 } else { *size };
        !stopped
    });
    let passes = passes.collect();
    (gone, passes)
}

/// A shape at a size; then somebody leaves. Returns what was held.
async fn judge(case: Case<'_>, shape: &str, most: usize, leaver: (&str, &str)) -> usize {
    let at = format!(
        "{shape}: {} of {}",
        case.going.len(),
        case.going.len() + case.staying.len()
    );
    let slug = case.name.clone();
    let (sent, mut calls) = case.world.calls_of(case.send(shape)).await;
    // Who is looked at again the whole time is that, too.
    calls.retain(|call| !call["path"].as_str().unwrap().contains("/adm"));
    let (gone, passes) = expected(&sent, most);
    for ((_, status), passes) in sent.iter().zip(&passes) {
        let at_once = shape.ends_with("at once");
        let right = [200, 204].contains(status) == *passes && (*passes || *status == 403);
        assert!(right || at_once, "{at}: {sent:?}");
    }
    let done = sent.iter().filter(|(_, status)| *status != 403).count();
    assert_eq!(
        done,
        passes.iter().filter(|passes| **passes).count(),
        "{at}"
    );
    if gone == 0 {
        assert_eq!(
            calls,
            Vec::<Value>::new(),
            "{at}: nothing reaches the application"
        );
    }
    let before = case.going.len() + case.staying.len();
    // Exactly what was allowed.
    until_there_are(case.world, &slug, before - gone).await;
    let leave = json!([{ "op": "replace", "path": "active", "value": false }]);
    let path = format!("/Users/{}", leaver.0);
    case.world.patch(&path, leave).await.expect(200);
    until_inactive(case.world, leaver.1).await;
    sent.len() - done
}

async fn until_there_are(world: &World, group: &str, count: usize) {
    let end = Instant::now() + PATIENCE;
    loop {
        let members = world.upstream_members(group).await.unwrap_or_default();
        if members.len() == count {
            return;
        }
        assert!(
            Instant::now() < end,
            "{group}: {} and not {count}",
            members.len()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn until_inactive(world: &World, name: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let state = world.state().await;
        let users = state["users"].as_array().unwrap();
        let there = users.iter().find(|user| user["email"] == address(name));
        if there.is_none_or(|user| user["active"] == false) {
            return;
        }
        assert!(Instant::now() < end, "{name} still has access");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Somebody who leaves at the end of a case.
async fn leaver(world: &World, number: usize) -> (String, String) {
    let name = format!("leaver{number}");
    (
        world.post("/Users", user(&name)).await.expect(201).id(),
        name,
    )
}

/// Limits for one group, with none for the connection.
fn rules(more_than: usize, percent: usize) -> String {
    format!(
        "guard = {{ group_removals = {{ more_than = {more_than}, percent = {percent} }}, \
         removals = {{ more_than = 100000 }} }}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_group_goes_what_may_and_not_one_more_in_any_shape() {
    let mut cases = 0;
    let mut held = 0;
    // The size of the group without the one who leaves, and what it may lose.
    for (more_than, percent, size, most) in [
        (10, 20, 30, 10),
        (10, 20, 64, 13),
        (3, 0, 12, 3),
        (4, 0, 14, 4),
        (1, 50, 9, 5),
    ] {
        let world = World::with(&rules(more_than, percent), &["--empty"]).await;
        let ids = world.users("m", size).await;
        for shape in SHAPES {
            for going in [most - 1, most, most + 1] {
                cases += 1;
                let (id, leaves) = leaver(&world, cases).await;
                let name = format!("g{cases}");
                let members = [&ids[..], std::slice::from_ref(&id)].concat();
                let group = world.group(&name, &members).await;
                let (going, staying) = ids.split_at(going);
                let case = Case {
                    world: &world,
                    group,
                    name,
                    going,
                    staying: &[staying, std::slice::from_ref(&id)].concat(),
                };
                held += judge(case, shape, most, (&id, &leaves)).await;
            }
        }
        let status = world.status().await;
        assert!(status["connections"][0]["held"].as_u64().unwrap() > 0);
    }
    assert_eq!(cases, 5 * 22 * 3);
    assert!(
        held >= 5 * 22,
        "every shape was held at the size above: {held}"
    );
}

const EMPTYING: [&str; 6] = [
    "PATCH remove members",
    "PATCH replace with nobody",
    "PATCH replace without a path",
    "PUT with nobody",
    "DELETE",
    "bulk DELETE",
];

async fn empty(case: &Case<'_>, shape: &str) -> u16 {
    match shape {
        "PATCH remove members" => {
            case.patch(json!([{ "op": "Remove", "path": "members" }]))
                .await
        }
        "PATCH replace with nobody" => {
            case.patch(json!([{ "op": "replace", "path": "members", "value": [] }]))
                .await
        }
        "PATCH replace without a path" => {
            case.patch(json!([{ "op": "replace", "value": { "members": [] } }]))
                .await
        }
        "PUT with nobody" => case.put(&case.name, &[]).await,
        "DELETE" => case
            .world
            .send("DELETE", &case.path(), None)
            .await
            .status
            .as_u16(),
        _ => {
            let operation = json!({ "method": "DELETE", "path": case.path() });
            case.bulk(vec![operation]).await[0]
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_ten_is_not_emptied_in_any_shape_and_one_of_nine_is() {
    let world = World::with(&rules(100, 100), &["--empty"]).await;
    let ids = world.users("m", 11).await;
    let mut cases = 0;
    for shape in EMPTYING {
        for size in [9, 10, 11] {
            cases += 1;
            let name = format!("e{cases}");
            let case = Case {
                world: &world,
                group: world.group(&name, &ids[..size]).await,
                name: name.clone(),
                going: &[],
                staying: &[],
            };
            let (status, mut calls) = world.calls_of(empty(&case, shape)).await;
            // Who is in it is looked at before it is deleted.
            calls.retain(|call| call["method"] != "GET");
            let members = world.upstream_members(&name).await.unwrap_or_default();
            if size < 10 {
                assert!([200, 204].contains(&status), "{shape} of {size}: {status}");
                assert_eq!(members, BTreeSet::new(), "{shape} of {size}");
            } else {
                assert_eq!(status, 403, "{shape} of {size}");
                assert_eq!(calls, Vec::<Value>::new(), "{shape} of {size}");
                assert_eq!(members.len(), size, "{shape} of {size}");
            }
        }
    }
    // Without a path it is not understood, and nothing is guessed.
    let group = world.group("pathless", &ids).await;
    let value = json!({ "members": values(&ids) });
    let pathless = json!([{ "op": "remove", "value": value }]);
    world
        .patch(&format!("/Groups/{group}"), pathless)
        .await
        .expect(400);
    assert_eq!(world.members(&group).await.len(), 11);
    let (id, leaves) = leaver(&world, 0).await;
    let gone = world.send("DELETE", &format!("/Users/{id}"), None).await;
    gone.expect(204);
    until_inactive(&world, &leaves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_connection_goes_what_may_whatever_the_groups() {
    let rules = "guard = { removals = { more_than = 12, percent = 0 }, empty_from = 100 }";
    for (shape, last) in [
        ("PATCH remove by a list of values", [3, 4, 5]),
        ("PUT", [3, 4, 5]),
        ("PATCH one by one", [3, 4, 5]),
    ] {
        for going in last {
            let world = World::with(rules, &["--empty"]).await;
            let ids = world.users("m", 8).await;
            let mut groups = Vec::new();
            for number in 0..3 {
                groups.push(world.group(&format!("g{number}"), &ids).await);
            }
            let mut gone = 0;
            for (number, group) in groups.into_iter().enumerate() {
                let (going, staying) = ids.split_at(if number == 2 { going } else { 4 });
                let case = Case {
                    world: &world,
                    group,
                    name: format!("g{number}"),
                    going,
                    staying,
                };
                for (size, status) in case.send(shape).await {
                    let passes = gone + size <= 12;
                    assert_eq!(
                        status == 403,
                        !passes,
                        "{shape}: {size} after {gone}: {status}"
                    );
                    gone += if passes { size } else { 0 };
                }
            }
            let mut there = 0;
            for number in 0..3 {
                there += world
                    .upstream_members(&format!("g{number}"))
                    .await
                    .unwrap()
                    .len();
            }
            assert_eq!(there, 24 - gone, "{shape}");
            let (id, leaves) = leaver(&world, 0).await;
            world
                .send("DELETE", &format!("/Users/{id}"), None)
                .await
                .expect(204);
            until_inactive(&world, &leaves).await;
        }
    }
}

/// In each shape the one who leaves is in a protected group, too, alone with somebody
/// who is being looked at again the whole time. Returns how much was held.
async fn leave_others_in_doubt(shapes: &[&str]) -> usize {
    let protected: Vec<String> = (0..shapes.len()).map(|n| format!("adm{n}")).collect();
    let rules = format!(
        "late_writes = \"2s\"\nread_lag = \"100ms\"\nsync_wait = \"300ms\"\n\
         guard = {{ group_removals = {{ more_than = 1, percent = 50 }}, \
         removals = {{ more_than = 100000 }}, protected_groups = {protected:?} }}"
    );
    let world = World::with(&rules, &["--empty"]).await;
    let ids = world.users("m", 9).await;
    let keeper = world.user("keeper").await;
    let mut held = 0;
    for (number, (shape, watched)) in shapes.iter().zip(&protected).enumerate() {
        let (id, leaves) = leaver(&world, number).await;
        let own = std::slice::from_ref(&id);
        let name = format!("g{number}");
        let group = world.group(&name, &[&ids[..], own].concat()).await;
        let adm = world.group(watched, own).await;
        let failing = json!({ "failure": "error_before", "operation": "add_members" });
        super::brink::bring_in_doubt(&world, &adm, &keeper, failing).await;
        let (going, staying) = ids.split_at(4 + number % 3);
        let case = Case {
            world: &world,
            group,
            name,
            going,
            staying: &[staying, own].concat(),
        };
        held += judge(case, shape, 5, (&id, &leaves)).await;
        world.faults(json!({})).await;
        let left = world.upstream_members(watched).await.unwrap();
        assert!(left.contains(&address("keeper")), "{shape}: {left:?}");
    }
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_a_protected_group_of_others_in_doubt_is_not_held_in_any_shape() {
    let held = join_all(SHAPES.chunks(6).map(leave_others_in_doubt)).await;
    let held: usize = held.into_iter().sum();
    assert!(held >= SHAPES.len() / 4, "{held}");
}
