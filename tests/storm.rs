//! Many single-member changes of one group at once, mixed with replacements of
//! the whole group and a rename: the acknowledgements in the order of their
//! versions give exactly what SCIM shows, what the audit says and what the
//! application has (reliability: R-14, H-01, H-03, I-07).
//!
//! Three hundred in the ordinary test run. The long form is
//! `DRAWBRIDGE_STORM=2000 cargo test --release --test main storm -- --nocapture`.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    crash::dice::Dice,
    support::{self, Reply, World, address},
};
use order::{Act, Delta, Group, Told, replay};

pub mod order;

const PARALLEL: usize = 8;
const USERS: usize = 60;
const REPLACEMENTS: usize = 20;
const NAMES: [&str; 2] = ["Storm", "Gale"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_in_the_order_of_versions_are_the_state() {
    let changes = std::env::var("DRAWBRIDGE_STORM").ok();
    let changes = changes.map_or(300, |text| text.parse().expect("a number of changes"));
    let seed = Dice::seed();
    println!("seed {seed}");
    let world = World::start().await;
    let users = world.users("u", USERS).await;
    let first = Group {
        name: NAMES[0].into(),
        members: (0..USERS / 3).collect(),
    };
    let body = support::group(&first.name, &users[..USERS / 3]);
    let id = world.post("/Groups", body).await.expect(201).id();
    world.faults(json!({ "latency_ms": 5 })).await;

    let acts = storm(&mut Dice::new(seed), changes);
    let began = Instant::now();
    let story = weather(&world, &acts, &users, &id).await;
    let seconds = began.elapsed().as_secs_f64();
    let end = replay(first, 1, &story);
    println!(
        "{} acknowledged in {seconds:.1} s, {} versions, {} wrong",
        story.len(),
        end.version,
        end.lies.len()
    );
    assert!(end.lies.is_empty(), "seed {seed}: {:#?}", end.lies);
    assert_eq!(story.len(), acts.len());
    assert!(
        end.deltas.len() > changes / 4,
        "hardly anything was changed"
    );

    let shown = world.get(&format!("/Groups/{id}")).await.expect(200);
    assert_eq!(shown.version(), Some(end.version), "seed {seed}");
    assert_eq!(shown.body["displayName"], end.group.name, "seed {seed}");
    let members: BTreeSet<String> = end
        .group
        .members
        .iter()
        .map(|n| users[*n].clone())
        .collect();
    assert_eq!(world.members(&id).await, members, "seed {seed}");
    assert_eq!(audited(&world, &id, &users), end.deltas, "seed {seed}");
    let there = end.group.members.iter().map(|n| address(&format!("u{n}")));
    world.until_upstream_has("storm", &there.collect()).await;
}

/// What is asked, in the order in which it is begun.
fn storm(dice: &mut Dice, changes: usize) -> Vec<Act> {
    let mut acts: Vec<Act> = (0..changes)
        .map(|_| match dice.below(2) {
            0 => Act::Add(dice.below(USERS)),
            _ => Act::Remove(dice.below(USERS)),
        })
        .collect();
    let half = changes / 2;
    acts.insert(half, Act::Rename(NAMES[1].into()));
    for number in 1..=REPLACEMENTS {
        let place = number * acts.len() / (REPLACEMENTS + 1);
        let whole = Group {
            name: NAMES[usize::from(place > half)].into(),
            members: (0..USERS).filter(|_| dice.below(3) == 0).collect(),
        };
        acts.insert(place, Act::Put(whole));
    }
    acts
}

/// Asks all of it, so many at once.
async fn weather(world: &World, acts: &[Act], users: &[String], id: &str) -> Vec<Told> {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let worker = async || {
        let mut story = Vec::new();
        while let Some(act) = acts.get(next.fetch_add(1, Ordering::SeqCst)) {
            story.push(tell(world, act, users, id, began).await);
        }
        story
    };
    let workers = (0..PARALLEL).map(|_| worker());
    futures_util::future::join_all(workers).await.concat()
}

async fn tell(world: &World, act: &Act, users: &[String], id: &str, began: Instant) -> Told {
    let now = || u64::try_from(began.elapsed().as_micros()).unwrap();
    let asked = now();
    let reply = ask(world, act, users, id).await;
    let answered = now();
    assert!(reply.status.is_success(), "{act:?}: {reply:?}");
    Told {
        act: act.clone(),
        version: reply.version().expect("a version"),
        asked,
        answered,
    }
}

/// Sends one change of a group.
pub async fn ask(world: &World, act: &Act, users: &[String], id: &str) -> Reply {
    let path = format!("/Groups/{id}");
    let one = |user: &usize| json!([{ "value": users[*user] }]);
    match act {
        Act::Add(user) => {
            let add = json!([{ "op": "add", "path": "members", "value": one(user) }]);
            world.patch(&path, add).await
        }
        Act::Remove(user) => {
            let path_of_one = format!("members[value eq \"{}\"]", users[*user]);
            let remove = json!([{ "op": "remove", "path": path_of_one }]);
            world.patch(&path, remove).await
        }
        Act::Put(whole) => {
            let members: Vec<String> = whole.members.iter().map(|n| users[*n].clone()).collect();
            world
                .put(&path, support::group(&whole.name, &members))
                .await
        }
        Act::Rename(name) => {
            let rename = json!([{ "op": "replace", "path": "displayName", "value": name }]);
            world.patch(&path, rename).await
        }
    }
}

/// What the audit says of a group's changes after its creation.
fn audited(world: &World, id: &str, users: &[String]) -> Vec<Delta> {
    let (said, wrong, well) = world.run(&["audit", "export"]);
    assert!(well, "{wrong}");
    let events = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"));
    let ours = |event: &Value| {
        event["group"]["uid"] == id && event["metadata"]["event_code"] == "change_group"
    };
    let number = |user: &Value| {
        users
            .iter()
            .position(|id| user["uid"] == *id)
            .expect("a user")
    };
    let mut deltas: Vec<(Value, Delta)> = Vec::new();
    for event in events.filter(ours) {
        let record = &event["metadata"]["uid"];
        if deltas.last().is_none_or(|(last, _)| last != record) {
            deltas.push((record.clone(), Delta::default()));
        }
        let (_, delta) = deltas.last_mut().expect("one");
        let members = event["users"].as_array().into_iter().flatten().map(number);
        match event["activity_name"].as_str() {
            Some("Add User") => delta.came.extend(members),
            Some("Remove User") => delta.went.extend(members),
            _ => {}
        }
    }
    deltas.into_iter().map(|(_, delta)| delta).collect()
}
