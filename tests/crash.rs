//! Kill -9 at random moments under load (and in [`points`] at named places), restart each time: nothing that was
//! acknowledged is lost, and the application ends up as SCIM says.
//!
//! Eight kills in the ordinary test run. The long form is
//! `DRAWBRIDGE_KILLS=100 cargo test --release --test main crash -- --nocapture`.

#![allow(clippy::print_stdout)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    sync::watch,
    task::{JoinHandle, block_in_place},
};

use crate::support::{World, address};
use client::{Client, Named, Story};
use dice::Dice;
use history::{End, Key, State, differences, lies};

mod client;
pub mod dice;
mod history;
#[cfg(debug_assertions)]
mod points;

const CLIENTS: usize = 8;
const USERS_EACH: usize = 8;
/// Between a restart's first answer and the next kill, in milliseconds.
const LONGEST_LIFE: usize = 500;
/// From the start of the process to the first answer.
const READY: Duration = Duration::from_secs(2);
/// For everything that is open to arrive once the application is well again.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kills_under_load() {
    let kills = std::env::var("DRAWBRIDGE_KILLS").ok();
    let kills: usize = kills.map_or(8, |text| text.parse().expect("a number of kills"));
    let mut siege = Siege::begin().await;
    for _ in 0..kills {
        let life = u64::try_from(siege.dice.below(LONGEST_LIFE)).unwrap();
        tokio::time::sleep(Duration::from_millis(life)).await;
        siege.kill().await;
    }
    siege.end(kills).await;
}

/// A bridge under the load of clients that write down what they are told.
struct Siege {
    seed: u64,
    dice: Dice,
    world: World,
    tell: watch::Sender<String>,
    stop: Arc<AtomicBool>,
    working: Vec<JoinHandle<Story>>,
    groups: Vec<Named>,
    users: Vec<Named>,
    /// From a start to the first answer.
    slowest: Duration,
}

impl Siege {
    async fn begin() -> Self {
        let seed = Dice::seed();
        println!("seed {seed}");
        let mut dice = Dice::new(seed);
        let world = World::with("sync_wait = \"500ms\"\nlate_writes = \"10s\"", &[]).await;
        let (tell, base) = watch::channel(world.base.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let clients = clients(&world, &mut dice, &base, &stop).await;
        let users = clients.iter().flat_map(|client| client.users.clone());
        let users = users.collect();
        let groups: Vec<Named> = clients.iter().map(|client| client.own.clone()).collect();
        let groups = [groups, clients[0].shared.clone()].concat();
        world
            .faults(json!({ "latency_ms": 15, "rules": [
                { "failure": "error_after", "writes": true, "percent": 5 },
                { "failure": "error_before", "percent": 3 },
                { "failure": "reset_after", "writes": true, "percent": 2 },
            ] }))
            .await;
        let working = clients.into_iter().map(|it| tokio::spawn(it.work()));
        Self {
            seed,
            dice,
            world,
            tell,
            stop,
            working: working.collect(),
            groups,
            users,
            slowest: Duration::ZERO,
        }
    }

    /// Kills the bridge and starts it again.
    async fn kill(&mut self) {
        let began = Instant::now();
        block_in_place(|| self.world.kill_and_restart());
        self.world.get("/ServiceProviderConfig").await.expect(200);
        self.resume(began);
    }

    /// It answers again: the clients are told where.
    fn resume(&mut self, began: Instant) {
        self.slowest = self.slowest.max(began.elapsed());
        self.tell.send(self.world.base.clone()).unwrap();
    }

    async fn end(self, kills: usize) {
        let (world, groups, users) = (&self.world, &self.groups, &self.users);
        self.stop.store(true, Ordering::Relaxed);
        let mut stories = Vec::new();
        for client in self.working {
            stories.push(client.await.unwrap());
        }
        world.faults(json!({})).await;
        until_quiescent(world, groups, users).await;

        let found = judge(world, &stories, groups, users).await;
        let steps = || stories.iter().flat_map(|story| &story.steps);
        let acknowledged = steps().filter(|step| step.end != End::Open).count();
        let open = steps().count() - acknowledged;
        println!(
            "{kills} kills, {acknowledged} acknowledged writes, {open} left open, {} wrong, slowest \
             restart to first answer {} ms",
            found.len(),
            self.slowest.as_millis()
        );
        assert!(found.is_empty(), "seed {}: {found:#?}", self.seed);
        assert!(acknowledged > kills, "hardly anything was written");
        assert!(self.slowest <= READY, "a restart took {:?}", self.slowest);
    }
}

async fn clients(
    world: &World,
    dice: &mut Dice,
    base: &watch::Receiver<String>,
    stop: &Arc<AtomicBool>,
) -> Vec<Client> {
    let mut shared = Vec::new();
    for name in ["everybody", "anybody"] {
        shared.push(new_group(world, name).await);
    }
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let prefix = format!("c{number}u");
        let ids = world.users(&prefix, USERS_EACH).await;
        let users = ids.into_iter().enumerate().map(|(place, id)| Named {
            name: format!("{prefix}{place}"),
            id,
        });
        clients.push(Client {
            number,
            http: world.client.clone(),
            token: world.token.clone(),
            base: base.clone(),
            stop: stop.clone(),
            dice: Dice::new(u64::try_from(dice.below(usize::MAX)).unwrap()),
            users: users.collect(),
            own: new_group(world, &format!("own{number}")).await,
            shared: shared.clone(),
        });
    }
    clients
}

async fn new_group(world: &World, name: &str) -> Named {
    Named {
        name: name.to_owned(),
        id: world.group(name, &[]).await,
    }
}

/// Each group's members by their users' names, as SCIM shows them.
async fn members(
    world: &World,
    groups: &[Named],
    users: &[Named],
) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeMap<&str, &str> = users
        .iter()
        .map(|user| (user.id.as_str(), user.name.as_str()))
        .collect();
    let mut shown = BTreeMap::new();
    for group in groups {
        let ids = world.members(&group.id).await;
        let of = |id: &String| {
            names
                .get(id.as_str())
                .map_or(id.clone(), ToString::to_string)
        };
        shown.insert(group.name.clone(), ids.iter().map(of).collect());
    }
    shown
}

async fn inactive(world: &World, users: &[Named]) -> BTreeSet<String> {
    let mut inactive = BTreeSet::new();
    for user in users {
        let shown = world.get(&format!("/Users/{}", user.id)).await.expect(200);
        if shown.body["active"] != true {
            inactive.insert(user.name.clone());
        }
    }
    inactive
}

/// Where SCIM and the application differ now.
async fn gaps(world: &World, groups: &[Named], users: &[Named]) -> Vec<String> {
    let inactive = inactive(world, users).await;
    let state = world.state().await;
    let name = |email: &str| email.trim_end_matches("@example.com").to_owned();
    let mut upstream = BTreeMap::new();
    for group in state["groups"].as_array().into_iter().flatten() {
        let emails = group["members"].as_array().into_iter().flatten();
        let names: BTreeSet<String> = emails.filter_map(|it| it.as_str()).map(name).collect();
        upstream.insert(group["name"].as_str().unwrap_or_default().to_owned(), names);
    }
    let mut found = differences(&members(world, groups, users).await, &inactive, &upstream);
    let accounts = state["users"].as_array().cloned().unwrap_or_default();
    for user in users {
        let account = accounts
            .iter()
            .find(|it| it["email"] == address(&user.name));
        let active = account.is_some_and(|it| it["active"] == true);
        if active == inactive.contains(&user.name) {
            found.push(format!("{}: the account is active: {active}", user.name));
        }
    }
    found
}

async fn until_quiescent(world: &World, groups: &[Named], users: &[Named]) {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = gaps(world, groups, users).await;
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "still different: {found:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Everything that is not as it must be at the end.
async fn judge(world: &World, stories: &[Story], groups: &[Named], users: &[Named]) -> Vec<String> {
    let mut last: State = State::new();
    for (group, members) in members(world, groups, users).await {
        for user in members {
            let group = group.clone();
            last.insert(Key::Member { group, user }, true);
        }
    }
    let inactive = inactive(world, users).await;
    for user in users {
        last.insert(
            Key::Active(user.name.clone()),
            !inactive.contains(&user.name),
        );
    }
    let mut found = Vec::new();
    for story in stories {
        let mut first = story.first.clone();
        for name in &story.asked_for {
            first.insert(Key::Exists(name.clone()), false);
            let query = format!("/Users?filter=userName%20eq%20%22{}%22", address(name));
            let shown = world.get(&query).await.expect(200);
            last.insert(Key::Exists(name.clone()), shown.body["totalResults"] == 1);
        }
        found.extend(lies(&first, &story.steps, &last));
        found.extend(story.odd.iter().cloned());
    }
    // It must also stay so.
    found.extend(gaps(world, groups, users).await);
    found
}
