//! Two connections with a role each in one Snyk Group, where a user has one role
//! only: each gives its own and takes it away, to whom the other one does not
//! ask for, and nobody loses or gets anything by what the two do beside each
//! other.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    snyk::{LINK, activate, add, company, id_of_user, operations, reason, remove, role, roles},
    support::{Application, Tenant, World, eventually, values},
};

pub(super) const ADMIN: &str = "group_admin";
pub(super) const VIEWER: &str = "group_viewer";
pub(super) const SOON: &str = "read_lag = \"1s\"\nlate_writes = \"1s\"";
pub(crate) const ELSEWHERE: &str = "asked for elsewhere in this bridge";

pub(super) fn just(role: &str) -> String {
    let group = format!("10000000-0000-4000-8000-{:012x}", 1);
    format!("{LINK}\ngroups = [{{ group = \"{group}\", role = \"{role}\" }}]")
}

/// `acme` gives viewers, the other one administrators.
async fn two() -> (World, Tenant) {
    let own = [just(VIEWER), just(ADMIN)];
    World::pair_of(Application::Snyk, SOON, [&own[0], &own[1]], company()).await
}

/// Both give every role.
pub(crate) async fn two_of_all(connection: &str) -> (World, Tenant) {
    World::pair_of(Application::Snyk, connection, [LINK; 2], company()).await
}

pub(super) async fn example(world: &World, name: &str) -> BTreeSet<String> {
    let mut all = roles(world, name).await;
    all.retain(|role| role.starts_with("Example/"));
    all
}

pub(super) fn is(role: &str) -> BTreeSet<String> {
    [format!("Example/{role}")].into()
}

pub(super) async fn is_clean(world: &World) {
    eventually("nothing is open", async || {
        let status = world.status().await;
        let all = status["connections"].as_array().unwrap();
        let open =
            |it: &Value| it["pending"] != json!({ "users": 0, "groups": 0, "memberships": 0 });
        !all.iter().any(open)
    })
    .await;
}

/// Both compare and repair in turn, and nothing is written.
async fn reconciles(world: &World) {
    is_clean(world).await;
    world.forget_calls().await;
    for name in ["acme", "globex", "acme", "globex"] {
        let (said, wrong, ok) = world.run(&["reconcile", "--apply", "--connection", name]);
        assert!(ok, "{name}: {said} {wrong}");
    }
    is_clean(world).await;
    let calls = world.calls().await;
    let names = operations(&calls);
    let writes = names.iter().filter(|it| it.ends_with("membership"));
    assert_eq!(writes.count(), 0, "{names:?}");
}

#[tokio::test]
async fn each_gives_its_own_role_and_who_is_asked_for_by_the_other_is_refused_by_name() {
    let (mut world, mut other) = two().await;
    let ann = id_of_user(&world, "ann").await;
    let viewers = role(&world, VIEWER).await;
    add(&world, &viewers, &ann).await.expect(204);

    world.turn_to(&mut other);
    let admins = role(&world, ADMIN).await;
    let ben = id_of_user(&world, "ben").await;
    add(&world, &admins, &ben).await.expect(204);
    let (cat, theirs) = (
        id_of_user(&world, "cat").await,
        id_of_user(&world, "ann").await,
    );
    let both = json!([{ "op": "add", "path": "members", "value": values(&[cat.clone(), theirs.clone()]) }]);
    let refused = world.patch(&admins, both).await;
    assert!(refused.body.to_string().contains(&theirs), "{refused:?}");
    assert!(!refused.body.to_string().contains(&cat), "{refused:?}");
    reason(refused, 400, ELSEWHERE);
    assert_eq!(example(&world, "ann").await, is(VIEWER));
    assert_eq!(example(&world, "ben").await, is(ADMIN));
    assert_eq!(example(&world, "cat").await, is(ADMIN));

    // Its end there takes away nothing that the other one gave.
    activate(&world, &theirs, false).await.expect(200);
    assert_eq!(example(&world, "ann").await, is(VIEWER));
    let path = format!("/Users/{theirs}");
    world.send("DELETE", &path, None).await.expect(204);
    remove(&world, &admins, &cat).await.expect(204);
    activate(&world, &ben, false).await.expect(200);
    assert!(example(&world, "ben").await.is_empty() && example(&world, "cat").await.is_empty());
    world.turn_to(&mut other);
    reconciles(&world).await;
    assert_eq!(example(&world, "ann").await, is(VIEWER));
    assert_eq!(example(&world, "vic").await, is(VIEWER), "was there before");
    remove(&world, &viewers, &ann).await.expect(204);
    assert!(example(&world, "ann").await.is_empty());
}

#[tokio::test]
async fn who_is_given_up_by_one_is_the_others_at_once() {
    let (mut world, mut other) = two().await;
    let (viewers, lou) = (role(&world, VIEWER).await, id_of_user(&world, "lou").await);
    add(&world, &viewers, &lou).await.expect(204);
    world.turn_to(&mut other);
    let (admins, same) = (role(&world, ADMIN).await, id_of_user(&world, "lou").await);
    reason(add(&world, &admins, &same).await, 400, ELSEWHERE);
    world.turn_to(&mut other);
    remove(&world, &viewers, &lou).await.expect(204);
    world.turn_to(&mut other);
    add(&world, &admins, &same).await.expect(204);
    eventually("the place is handed over", async || {
        example(&world, "lou").await == is(ADMIN)
    })
    .await;
    world.turn_to(&mut other);
    reason(add(&world, &viewers, &lou).await, 400, ELSEWHERE);
    remove(&world, &viewers, &lou).await.expect(204);
    activate(&world, &lou, false).await.expect(200);
    assert_eq!(example(&world, "lou").await, is(ADMIN));
    reconciles(&world).await;
    assert_eq!(example(&world, "lou").await, is(ADMIN));
}

#[tokio::test]
async fn who_waits_for_a_place_asks_seldom_and_the_operator_is_told_for_whom() {
    let (mut world, mut other) = two().await;
    let (viewers, lou) = (role(&world, VIEWER).await, id_of_user(&world, "lou").await);
    add(&world, &viewers, &lou).await.expect(204);
    world.run(&["pause", "--connection", "acme"]);
    eventually("it is paused", async || {
        world.status().await["connections"][0]["paused"] == true
    })
    .await;
    remove(&world, &viewers, &lou).await.expect(204);
    world.turn_to(&mut other);
    let (admins, same) = (role(&world, ADMIN).await, id_of_user(&world, "lou").await);
    add(&world, &admins, &same).await.expect(204);
    let here = async || world.status().await["connections"][1]["askedForElsewhere"].clone();
    let group = admins.trim_start_matches("/Groups/");
    let place = json!([{ "group": group, "user": same, "by": "acme", "letsGo": true }]);
    assert_eq!(here().await, place);
    let (said, _, well) = world.run(&["status"]);
    assert!(
        !well && said.contains("connection acme does not any"),
        "{said}"
    );
    // Once in the audit, and not with every look.
    let turns = async || {
        let (_, rows) = world.operate("GET", "/audit?after=0").await;
        let rows = rows.as_array().unwrap().clone();
        let mut of = rows.iter().map(|it| (&it["connection"], &it["action"]));
        let turn = (&json!("globex"), &json!("group_turn"));
        of.by_ref().filter(|it| *it == turn).count()
    };
    let before = turns().await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let news = turns().await - before;
    assert!(news <= 1, "{news} turns are told of that did nothing");
    world.run(&["resume", "--connection", "acme"]);
    let resumed = Instant::now();
    eventually("the place is handed over", async || {
        example(&world, "lou").await == is(ADMIN)
    })
    .await;
    // By itself it would look 1, 2, 4, 8 and 16 s later than the time before.
    let took = resumed.elapsed();
    assert!(
        took < Duration::from_secs(6),
        "it is told at once: {took:?}"
    );
    eventually("nothing is told any more", async || {
        here().await == json!([])
    })
    .await;

    world.turn_to(&mut other);
    reason(add(&world, &viewers, &lou).await, 400, ELSEWHERE);
    let told = &world.status().await["connections"][0]["askedForElsewhere"];
    assert_eq!(
        (&told[0]["by"], &told[0]["letsGo"]),
        (&json!("globex"), &json!(false))
    );
}

const PEOPLE: [&str; 4] = ["ann", "ben", "cat", "lou"];

async fn ids(world: &World) -> Vec<String> {
    join_all(PEOPLE.map(|name| id_of_user(world, name))).await
}

fn one(op: &str, id: &str) -> Option<Value> {
    let operation = match op {
        "add" => json!({ "op": op, "path": "members", "value": [{ "value": id }] }),
        _ => json!({ "op": op, "path": format!("members[value eq \"{id}\"]") }),
    };
    Some(json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [operation],
    }))
}

#[tokio::test]
async fn both_at_once_and_kills_give_everybody_one_role_of_the_one_that_shows_it() {
    let (mut world, mut other) = two().await;
    let (viewers, here) = (role(&world, VIEWER).await, ids(&world).await);
    world.turn_to(&mut other);
    let (admins, there) = (role(&world, ADMIN).await, ids(&world).await);
    world.turn_to(&mut other);
    for round in 0..4_usize {
        // Of each user the two say now this and now that.
        let op = |place: usize| {
            if (round + place).is_multiple_of(3) {
                "remove"
            } else {
                "add"
            }
        };
        let first = here.iter().enumerate();
        let first = first.map(|(at, id)| world.try_send("PATCH", &viewers, one(op(at), id)));
        let second = there.iter().enumerate();
        let second =
            second.map(|(at, id)| world.try_send_as(&other, "PATCH", &admins, one(op(at + 1), id)));
        let answers = tokio::join!(join_all(first), join_all(second));
        for answer in answers.0.into_iter().chain(answers.1) {
            let status = answer.unwrap().status.as_u16();
            assert!([204, 400].contains(&status), "{status}");
        }
        if round % 2 == 1 {
            world.kill_and_restart();
            world.meet(&mut other);
        }
    }
    is_clean(&world).await;
    let shown = world.members(viewers.trim_start_matches("/Groups/")).await;
    world.turn_to(&mut other);
    let theirs = world.members(admins.trim_start_matches("/Groups/")).await;
    world.turn_to(&mut other);
    for (at, name) in PEOPLE.iter().enumerate() {
        let (viewer, admin) = (shown.contains(&here[at]), theirs.contains(&there[at]));
        assert!(!(viewer && admin), "{name} is asked for by both");
        let expected = match (viewer, admin) {
            (true, _) => is(VIEWER),
            (_, true) => is(ADMIN),
            _ => BTreeSet::new(),
        };
        eventually("each has what is shown", async || {
            example(&world, name).await == expected
        })
        .await;
    }
    // Who was refused while nobody waited any more is told until that is settled.
    for (at, viewer) in here.iter().enumerate() {
        if !shown.contains(viewer) {
            remove(&world, &viewers, viewer).await.expect(204);
        }
        if !theirs.contains(&there[at]) {
            let gone = world.try_send_as(&other, "PATCH", &admins, one("remove", &there[at]));
            gone.await.unwrap().expect(204);
        }
    }
    reconciles(&world).await;
}
