//! Everything at once: parallel writes of groups and of the users in them, an
//! application that fails in every way, imports, and a bridge that is killed.
//! What is acknowledged in the end is what is there in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{World, values};

/// The same sequence in every run (xorshift).
struct Dice(AtomicU64);

impl Dice {
    fn roll(&self, sides: usize) -> usize {
        let mut state = self.0.load(Ordering::Relaxed);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.store(state, Ordering::Relaxed);
        usize::try_from(state % sides as u64).unwrap()
    }
}

/// Members by group, and who is active.
type Seen = (BTreeMap<String, BTreeSet<String>>, BTreeSet<String>);

const USERS: usize = 24;
const GROUPS: usize = 3;

fn faults(dice: &Dice) -> Value {
    let treatment = ["strict", "lenient", "partial"][dice.roll(3)];
    let lag = [0, 0, 400, 1_500][dice.roll(4)];
    println!("{treatment}, reads {lag} ms late");
    let rule = |failure: Value, percent: u64| json!({ "failure": failure, "writes": true, "percent": percent });
    json!({
        "latency_ms": 3,
        "read_lag_ms": lag,
        "duplicate_members": treatment,
        "unknown_members": treatment,
        "rules": [
            rule(json!("error_before"), 4),
            rule(json!("error_after"), 4),
            rule(json!("reset_before"), 4),
            rule(json!("reset_after"), 4),
            rule(json!("truncated"), 3),
            rule(json!("wrong_types"), 3),
            rule(json!("web_page"), 3),
            rule(json!({ "huge": { "bytes": 9_000_000 } }), 1),
            rule(json!({ "late": { "after_ms": 700 } }), 4),
            rule(json!({ "status": { "status": 503 } }), 3),
            rule(json!({ "status": { "status": 429, "retry_after": "0" } }), 3),
        ],
    })
}

/// One random write; its answer does not matter, the end does.
async fn act(world: &World, dice: &Dice, users: &[String], groups: &[String]) {
    let person = &users[dice.roll(users.len())];
    let path = format!("/Groups/{}", groups[dice.roll(groups.len())]);
    let some: Vec<String> = (0..=dice.roll(5))
        .map(|_| users[dice.roll(users.len())].clone())
        .collect();
    let change =
        |op: &str, ids: &[String]| json!([{ "op": op, "path": "members", "value": values(ids) }]);
    let body = |operations: Value| {
        Some(
            json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations }),
        )
    };
    let active = |on: bool| json!([{ "op": "replace", "path": "active", "value": on }]);
    let _ = match dice.roll(12) {
        0..4 => {
            world
                .try_send("PATCH", &path, body(change("add", &some)))
                .await
        }
        4..7 => {
            world
                .try_send("PATCH", &path, body(change("remove", &some)))
                .await
        }
        7..9 => {
            world
                .try_send("PATCH", &path, body(change("replace", &some)))
                .await
        }
        9..10 => {
            world
                .try_send("PATCH", &format!("/Users/{person}"), body(active(false)))
                .await
        }
        _ => {
            world
                .try_send("PATCH", &format!("/Users/{person}"), body(active(true)))
                .await
        }
    };
}

/// What SCIM shows: members that are active, by group name; and who is active.
async fn shown(world: &World, groups: &[String]) -> Seen {
    let list = world.get("/Users?count=1000").await.expect(200);
    let users: BTreeMap<String, (String, bool)> = list.body["Resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| {
            let text = |key: &str| user[key].as_str().unwrap().to_owned();
            (text("id"), (text("userName"), user["active"] == true))
        })
        .collect();
    let mut by_name = BTreeMap::new();
    for (n, id) in groups.iter().enumerate() {
        let members = world.members(id).await;
        let names = members
            .iter()
            .map(|id| &users[id])
            .filter(|(_, active)| *active);
        by_name.insert(
            format!("group{n}"),
            names.map(|(name, _)| name.clone()).collect(),
        );
    }
    let active = users.into_values().filter(|(_, active)| *active);
    (by_name, active.map(|(name, _)| name).collect())
}

/// The same of the application.
async fn there(world: &World) -> Seen {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap();
    let active: BTreeSet<String> = users
        .iter()
        .filter(|user| user["active"] == true)
        .map(|user| user["email"].as_str().unwrap().to_owned())
        .collect();
    let mut by_name = BTreeMap::new();
    for group in state["groups"].as_array().unwrap() {
        let members = group["members"].as_array().unwrap().iter();
        let names: BTreeSet<String> = members.map(|m| m.as_str().unwrap().to_owned()).collect();
        let active_members = names.intersection(&active).cloned().collect();
        by_name.insert(group["name"].as_str().unwrap().to_owned(), active_members);
    }
    (by_name, active)
}

fn differences(shown: &Seen, there: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    let mut tell = |what: &str, shown: &BTreeSet<String>, there: &BTreeSet<String>| {
        for name in shown.difference(there) {
            found.push(format!("{what}: {name} is shown and not there"));
        }
        for name in there.difference(shown) {
            found.push(format!("{what}: {name} is there and not shown"));
        }
    };
    tell("users", &shown.1, &there.1);
    for (name, members) in &shown.0 {
        tell(name, members, there.0.get(name).unwrap_or(&BTreeSet::new()));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_the_end_is_what_was_acknowledged() {
    let seed = std::env::var("CHAOS_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let dice = Dice(AtomicU64::new(seed.unwrap_or(0x5EED_0001)));
    let mut world = World::with("sync_wait = \"300ms\"\nlate_writes = \"2s\"", &["--empty"]).await;
    let users = world.users("u", USERS).await;
    let mut groups = Vec::new();
    for n in 0..GROUPS {
        groups.push(world.group(&format!("Group{n}"), &users[..8]).await);
    }
    for round in 0..3 {
        world.faults(faults(&dice)).await;
        for _ in 0..12 {
            let crowd = (0..8).map(|_| act(&world, &dice, &users, &groups));
            futures_util::future::join_all(crowd).await;
        }
        if round < 2 {
            world.kill_and_restart();
        }
    }
    world.faults(json!({})).await;
    let end = std::time::Instant::now() + Duration::from_secs(60);
    let mut calm = 0;
    loop {
        let (shown, there) = (shown(&world, &groups).await, there(&world).await);
        calm = if shown == there { calm + 1 } else { 0 };
        if calm > 10 {
            break;
        }
        assert!(
            std::time::Instant::now() < end,
            "seed {}: {:#?}",
            seed.unwrap_or_default(),
            differences(&shown, &there)
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
