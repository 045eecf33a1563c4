//! Kill -9 at random moments under load (and in [`points`] at named places), restart each time: nothing that was
//! acknowledged is lost, and the application ends up as SCIM says.
//!
//! Eight kills in the ordinary test run. The long form, 1,000 at random moments of the program that is shipped and
//! 1,000 at the named points that only a debug build has, is
//! `DRAWBRIDGE_KILLS=1000 DRAWBRIDGE_PROGRAM=target/release/drawbridge cargo test --workspace --test main crash:: -- --nocapture --test-threads 1`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::{JoinHandle, block_in_place},
};

use crate::support::{World, address};
use client::{Client, Named};
use dice::Dice;
use figures::Figures;
use history::{Ledger, Lie, differences};

mod client;
pub mod dice;
mod figures;
mod history;
mod look;
#[cfg(debug_assertions)]
mod points;

const CLIENTS: usize = 24;
const USERS_EACH: usize = 8;
/// Of all clients together.
const REQUESTS_PER_SECOND: usize = 100;
/// Between a restart's first answer and the next kill, in milliseconds.
const LONGEST_LIFE: usize = 1_000;
/// From the start of the process to the first answer.
const READY: Duration = Duration::from_secs(2);
/// For everything that is open to arrive once the application is well again.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kills_under_load() {
    let mut siege = Siege::begin().await;
    for _ in 0..kills() {
        let life = u64::try_from(siege.dice.below(LONGEST_LIFE)).unwrap();
        tokio::time::sleep(Duration::from_millis(life)).await;
        siege.kill().await;
    }
    siege.end().await;
}

fn kills() -> usize {
    let kills = std::env::var("DRAWBRIDGE_KILLS").ok();
    kills.map_or(8, |text| text.parse().expect("a number of kills"))
}

/// Every way to fail that leaves a doubt, and some that leave none.
fn faults() -> Value {
    let rule = |failure: Value, percent: u64| json!({ "failure": failure, "writes": true, "percent": percent });
    json!({ "latency_ms": 15, "rules": [
        rule(json!("error_before"), 3),
        rule(json!("error_after"), 3),
        rule(json!("reset_before"), 2),
        rule(json!("reset_after"), 2),
        rule(json!("truncated"), 1),
        rule(json!("silent_after"), 1),
        rule(json!({ "late": { "after_ms": 700 } }), 1),
        rule(json!({ "status": { "status": 429, "retry_after": "0" } }), 2),
        { "failure": "error_before", "percent": 2 },
    ] })
}

/// A bridge under the load of clients that write down what they are told.
struct Siege {
    seed: u64,
    dice: Dice,
    world: World,
    tell: watch::Sender<String>,
    stop: Arc<AtomicBool>,
    under_way: Arc<AtomicUsize>,
    working: Vec<JoinHandle<Client>>,
    groups: Vec<Named>,
    users: Vec<Named>,
    figures: Figures,
}

impl Siege {
    async fn begin() -> Self {
        let seed = Dice::seed();
        println!("seed {seed}");
        let mut dice = Dice::new(seed);
        let application = "requests_per_second = 100000\nburst = 1000\ntimeout = \"1s\"";
        let world =
            World::behind("sync_wait = \"500ms\"\nlate_writes = \"10s\"", application).await;
        let (tell, base) = watch::channel(world.base.clone());
        let (stop, under_way) = (Arc::default(), Arc::default());
        let clients = clients(&world, &mut dice, &base, &stop, &under_way).await;
        let users = clients.iter().flat_map(|client| client.users.clone());
        let users = users.collect();
        let groups: Vec<Named> = clients.iter().map(|client| client.own.clone()).collect();
        let groups = [groups, clients[0].shared.clone()].concat();
        world.faults(faults()).await;
        world.forget_calls().await;
        let working = clients.into_iter().map(|it| tokio::spawn(it.work()));
        Self {
            seed,
            dice,
            world,
            tell,
            stop,
            under_way,
            working: working.collect(),
            groups,
            users,
            figures: Figures::begin(),
        }
    }

    /// Kills the bridge and starts it again.
    async fn kill(&mut self) {
        let began = Instant::now();
        self.figures.killed(self.under_way.load(Ordering::Relaxed));
        block_in_place(|| self.world.kill_and_restart());
        self.world.get("/ServiceProviderConfig").await.expect(200);
        self.resume(began);
    }

    /// It answers again: the clients are told where.
    fn resume(&mut self, began: Instant) {
        self.figures.restarts.push(began.elapsed());
        self.tell.send(self.world.base.clone()).unwrap();
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut clients = Vec::new();
        for client in std::mem::take(&mut self.working) {
            clients.push(client.await.unwrap());
        }
        self.figures.ended();
        let calls = self.world.calls().await;
        self.world.faults(json!({})).await;
        self.quiesce().await;

        // It must also stay so.
        let mut lies = Vec::new();
        for client in &mut clients {
            assert!(client.look().await, "it does not answer in the end");
            lies.append(&mut client.ledger.lies);
        }
        let gaps = gaps(&self.world, &self.groups, &self.users).await;
        lies.extend(gaps.into_iter().map(Lie::Odd));
        lies.extend(unsound(&mut self.world).into_iter().map(Lie::Odd));
        let ledgers: Vec<&Ledger> = clients.iter().map(|client| &client.ledger).collect();
        self.figures.speak(&ledgers, &lies, &calls);
        let lies: Vec<&str> = lies.iter().map(Lie::text).collect();
        assert!(lies.is_empty(), "seed {}: {lies:#?}", self.seed);
        self.figures.judge();
    }
}

impl Siege {
    /// Waits until the application is as SCIM says; what does not come to be
    /// so is shown with the calls that spoke of it.
    async fn quiesce(&self) {
        let began = Instant::now();
        loop {
            let found = gaps(&self.world, &self.groups, &self.users).await;
            if found.is_empty() {
                let took = began.elapsed().as_secs_f64();
                println!("quiet {took:.1} s after the application is well again");
                return;
            }
            if began.elapsed() > PATIENCE {
                let calls = self.world.calls().await;
                found.iter().for_each(|gap| figures::trail(&calls, gap));
                println!("{:#}", self.world.status().await);
                panic!("seed {}: still different: {found:#?}", self.seed);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What is wrong with the store itself: its pages, and the chain of its audit.
fn unsound(world: &mut World) -> Vec<String> {
    world.stop_bridge();
    let mut found = Vec::new();
    let (sound, said) = world.command(&["audit", "verify"]);
    if !sound {
        found.push(format!("audit verify: {said}"));
    }
    let integrity = world.integrity();
    if integrity != "ok" {
        found.push(format!("integrity_check: {integrity}"));
    }
    found
}

async fn clients(
    world: &World,
    dice: &mut Dice,
    base: &watch::Receiver<String>,
    stop: &Arc<AtomicBool>,
    under_way: &Arc<AtomicUsize>,
) -> Vec<Client> {
    let mut shared = Vec::new();
    for name in ["everybody", "anybody"] {
        shared.push(new_group(world, name).await);
    }
    let mut users = Vec::new();
    for number in 0..CLIENTS {
        let prefix = format!("c{number}u");
        let ids = world.users(&prefix, USERS_EACH).await;
        let named = ids.into_iter().enumerate().map(|(place, id)| Named {
            name: format!("{prefix}{place}"),
            id,
        });
        users.push(named.collect::<Vec<_>>());
    }
    let names = users.iter().flatten();
    let names = names.map(|user| (user.id.clone(), user.name.clone()));
    let names: Arc<BTreeMap<String, String>> = Arc::new(names.collect());
    let mut clients = Vec::new();
    for (number, users) in users.into_iter().enumerate() {
        clients.push(Client {
            number,
            http: world.client.clone(),
            token: world.token.clone(),
            base: base.clone(),
            stop: stop.clone(),
            under_way: under_way.clone(),
            dice: Dice::new(u64::try_from(dice.below(usize::MAX)).unwrap()),
            every: Duration::from_secs(1) * u32::try_from(CLIENTS).unwrap()
                / u32::try_from(REQUESTS_PER_SECOND).unwrap(),
            users,
            own: new_group(world, &format!("own{number}")).await,
            shared: shared.clone(),
            names: names.clone(),
            ledger: Ledger::default(),
            asked_for: Vec::new(),
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
