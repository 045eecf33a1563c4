//! Simulated worlds of roles: the same bridge and clock, before an application
//! in which a user has one role at most of each family (see `roles`). What is
//! judged is short: every user has the first of the roles that SCIM shows, or
//! none; SCIM shows what was asked for; nobody ever had a role that was never
//! asked for; and who was told that it is done found it done. `FAMILY=7` runs
//! one world and tells about it, `FAMILIES=3000` so many.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;

use super::{
    CALM, CONNECTION, DAWN, LATE, NEVER, PATIENCE, READ_LAG, SYNC_WAIT, account, below, chance,
    folder, lock, named, names, now, parsed, pick,
};
use crate::{
    bridge::{
        Bridge, Failure, Guard, Policy, Session, Setup, Switch, clock::simulated, token::Tokens,
    },
    scim::resource::ResourceType,
    store::{self, Precondition, Store},
    upstream::{Millis, Upstream},
};
use application::{FAMILIES, Lie, ROLES, Roles};
use asked::{Act, Asked, May, script};

mod application;
mod asked;
mod judge;
mod scenes;

const CLIENTS: usize = 3;
/// A first account is there from the beginning, others appear by then.
const APPEARED_BY: u64 = 8_000;
const LOOK: Duration = Duration::from_secs(5);

struct World {
    app: Arc<Roles>,
    /// By client.
    left: Vec<Mutex<Vec<Act>>>,
    asked: Mutex<Asked>,
    found: Mutex<Vec<String>>,
    users: Mutex<BTreeMap<String, String>>,
    groups: Mutex<BTreeMap<String, String>>,
    appears: Mutex<Vec<(Millis, String)>>,
}

impl World {
    /// In which nothing was asked, and nobody has appeared.
    fn before(app: Roles) -> Self {
        Self {
            app: Arc::new(app),
            appears: Mutex::default(),
            left: Vec::new(),
            asked: Mutex::default(),
            found: Mutex::default(),
            users: Mutex::default(),
            groups: Mutex::default(),
        }
    }
}

fn accounts() -> Vec<String> {
    names("u", 2 * CLIENTS)
}

fn run(seed: u64, lie: Lie) -> Vec<String> {
    simulated::seed(seed);
    simulated::at(DAWN);
    store::simulated::pace(Some(simulated::disk));
    let folder = folder();
    let appears = accounts().into_iter().map(|account| {
        let after = if chance(60) { 0 } else { below(APPEARED_BY) };
        (DAWN + Millis::try_from(after).unwrap(), account)
    });
    let appears = Mutex::new(appears.collect());
    let world = Arc::new(World {
        appears,
        left: (0..CLIENTS)
            .map(|client| Mutex::new(script(client)))
            .collect(),
        ..World::before(Roles::new(lie, LATE))
    });
    let mut crashes: Vec<u64> = (0..below(4)).map(|_| below(10_000)).collect();
    if lie != Lie::None {
        crashes.clear();
    }
    let file = folder.path().join("world.db");
    while !live(&world, &file, crashes.pop()) {}
    store::simulated::pace(None);
    simulated::end();
    std::mem::take(&mut lock(&world.found))
}

/// One life of the bridge; whether the world ended with it.
fn live(world: &Arc<World>, file: &Path, dies_after: Option<u64>) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let engine = runtime.handle().clone();
    let ended = runtime.block_on(async {
        simulated::begin(now());
        let store = store::open(file).unwrap();
        let reconcile = chance(30).then_some(Duration::from_secs(45));
        let bridge = start(world, Arc::clone(&store), engine, reconcile).await;
        world.find_groups(&bridge, &*store).await;
        let appearing = Arc::clone(world);
        tokio::spawn(async move { appearing.appear().await });
        let clients = (0..CLIENTS).map(|n| client(Arc::clone(world), Arc::clone(&bridge), n));
        let all = async {
            futures_util::future::join_all(clients).await;
            world.end(&bridge, &*store).await;
        };
        let death = tokio::time::sleep(Duration::from_millis(dies_after.unwrap_or(NEVER)));
        let ended = tokio::select! {
            biased;
            () = death => false,
            () = all => true,
        };
        simulated::stand_still();
        ended
    });
    drop(runtime);
    ended
}

async fn start(
    world: &Arc<World>,
    store: Arc<dyn Store>,
    engine: tokio::runtime::Handle,
    reconcile: Option<Duration>,
) -> Arc<Bridge> {
    let setup = Setup {
        name: CONNECTION.into(),
        upstream: Arc::clone(&world.app) as Arc<dyn Upstream>,
        policy: Policy {
            sync_wait: SYNC_WAIT,
            import_at_start: false,
            late_writes: LATE,
            look_for_staged: Some(LOOK),
            reconcile_every: reconcile,
            guard: Arc::new(Guard::off()),
            ..Policy::default()
        },
        tokens: Tokens::fixed("of-no-use-here-0123456789-abcdefghij").unwrap(),
    };
    let bridge = Bridge::start(store, vec![setup], engine, Switch::none())
        .await
        .unwrap();
    bridge.look_for_staged_regularly();
    bridge.reconcile_regularly();
    bridge
}

/// Works off its requests, one after another; what it was about to ask when the
/// bridge died may have counted, or not.
async fn client(world: Arc<World>, bridge: Arc<Bridge>, number: usize) {
    let session = bridge.own_session(CONNECTION, "client").unwrap();
    loop {
        let Some(act) = lock(&world.left[number]).pop() else {
            return;
        };
        tokio::time::sleep(Duration::from_millis(*pick(&[0, 0, 3, 30, 300, 1_500]))).await;
        lock(&world.asked).note(&act, false);
        let Some(asked) = world.ask(&session, &act).await else {
            continue;
        };
        if std::env::var_os("FAMILY").is_some() {
            println!("{} {act:?}: {asked:?}", now());
        }
        world.learn(&act, &asked);
    }
}

impl World {
    async fn appear(&self) {
        loop {
            let (due, left): (Vec<_>, Vec<_>) = std::mem::take(&mut *lock(&self.appears))
                .into_iter()
                .partition(|(at, _)| *at <= now());
            *lock(&self.appears) = left;
            due.iter().for_each(|(_, account)| self.app.appear(account));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Before anybody appears the groups are found, and nobody in them.
    async fn find_groups(&self, bridge: &Arc<Bridge>, store: &dyn Store) {
        let session = bridge.own_session(CONNECTION, "import").unwrap();
        loop {
            let found = named(store, ResourceType::Group, super::OWN_NAME).await;
            let all = found.len() == FAMILIES.len() * ROLES.len();
            *lock(&self.groups) = found;
            if all {
                break;
            }
            let _ = session.import(false, &|_| {}).await;
        }
        *lock(&self.users) = named(store, ResourceType::User, "userName").await;
    }

    fn ids(&self, users: &BTreeSet<String>) -> Vec<String> {
        let known = lock(&self.users);
        users
            .iter()
            .filter_map(|user| known.get(user).cloned())
            .collect()
    }

    /// `None`: there was nothing to be asked.
    async fn ask(&self, session: &Session, act: &Act) -> Option<Result<bool, Failure>> {
        let any = Precondition::default();
        let id = |user: &String| lock(&self.users).get(user).cloned();
        Some(match act {
            Act::Create(user) => {
                let made = session.create_user(account(user)).await;
                if let Ok(written) = &made {
                    lock(&self.users).insert(user.clone(), written.resource.id.to_string());
                }
                made.map(|written| written.pending)
            }
            Act::Delete(user) => {
                let id = id(user)?;
                let gone = session.delete_user(&id, any).await;
                if gone.is_ok() {
                    lock(&self.users).remove(user);
                }
                gone.map(|()| true)
            }
            Act::Activate(user, on) => {
                let id = id(user)?;
                let operations = json!([{ "op": "replace", "path": "active", "value": on }]);
                let patch = parsed(&session.schemas(), ResourceType::User, &operations);
                let done = session.patch_user(&id, patch, any, b"").await;
                done.map(|written| written.pending)
            }
            Act::Add(group, users) | Act::Remove(group, users) => {
                let values: Vec<_> = self
                    .ids(users)
                    .into_iter()
                    .map(|id| json!({ "value": id }))
                    .collect();
                if values.is_empty() {
                    return None;
                }
                let op = if matches!(act, Act::Add(..)) {
                    "add"
                } else {
                    "remove"
                };
                let operations = json!([{ "op": op, "path": "members", "value": values }]);
                let patch = parsed(&session.schemas(), ResourceType::Group, &operations);
                let id = lock(&self.groups)[group].clone();
                let done = session.patch_group(&id, patch, any, b"").await;
                done.map(|written| written.pending)
            }
        })
    }

    /// Nothing is refused here for good, but a user that there is already.
    fn learn(&self, act: &Act, asked: &Result<bool, Failure>) {
        match asked {
            Ok(pending) => {
                lock(&self.asked).note(&self.within_reach(act), true);
                if !pending {
                    self.found_done(act);
                }
                match act {
                    Act::Add(_, users) | Act::Remove(_, users) if *pending => {
                        users.iter().for_each(|user| self.is_pending(user));
                    }
                    Act::Add(..) | Act::Remove(..) => {}
                    Act::Create(_) if !*pending => {}
                    // What follows from it for pairs is not waited for.
                    Act::Create(user) | Act::Delete(user) | Act::Activate(user, _) => {
                        self.is_pending(user);
                    }
                }
            }
            Err(Failure::Problem(problem))
                if matches!(act, Act::Create(_)) && problem.status == 409 => {}
            Err(failure) => lock(&self.found).push(format!("{act:?} failed: {failure}")),
        }
    }

    fn is_pending(&self, user: &str) {
        lock(&self.asked).pending.insert(user.to_owned(), now());
    }

    /// With those users only of whom the client had an id.
    fn within_reach(&self, act: &Act) -> Act {
        let known = lock(&self.users);
        let within = |users: &BTreeSet<String>| {
            users
                .iter()
                .filter(|user| known.contains_key(*user))
                .cloned()
                .collect()
        };
        match act {
            Act::Add(group, users) => Act::Add(group.clone(), within(users)),
            Act::Remove(group, users) => Act::Remove(group.clone(), within(users)),
            other => other.clone(),
        }
    }

    /// What was confirmed is so, unless a call that was given up came after it.
    fn found_done(&self, act: &Act) {
        let is_wrong = |user: &String, group: &String, wanted: bool| {
            let (family, role) = group.split_once('/').unwrap();
            let own = ROLES.iter().position(|it| *it == role).unwrap();
            let has = self.app.has(user, family);
            let late = Millis::try_from((LATE + READ_LAG).as_millis()).unwrap();
            let unclear = self.app.unclear(user).is_some_and(|at| at + late > now());
            let right = if wanted {
                has.is_some_and(|rank| rank <= own)
            } else {
                has != Some(own)
            };
            !right && !unclear
        };
        let (group, users, wanted) = match self.within_reach(act) {
            Act::Add(group, users) => (group, users, true),
            Act::Remove(group, users) => (group, users, false),
            _ => return,
        };
        let asked = lock(&self.asked);
        let is_active = |user: &&String| asked.active.get(*user) == Some(&May::from([true]));
        let is_calm = |user: &&String| {
            asked
                .pending
                .get(*user)
                .is_none_or(|at| at + 90_000 < now())
        };
        let wrong = users
            .iter()
            .filter(is_active)
            .filter(is_calm)
            .filter(|user| is_wrong(user, &group, wanted));
        let wrong: Vec<_> = wrong.collect();
        if !wrong.is_empty() {
            lock(&self.found).push(format!(
                "told as done at {} and is not: {act:?} {wrong:?}",
                now()
            ));
        }
    }

    async fn end(&self, bridge: &Bridge, store: &dyn Store) {
        self.app.be_well();
        let from = now();
        let again = LATE + 2 * READ_LAG + Duration::from_secs(15);
        tokio::time::sleep(again).await;
        let again = Millis::try_from(again.as_millis()).unwrap();
        let open = || self.app.awaits_late_calls() || now() < self.app.last_unclear() + again;
        let mut verdict = self.verdict(bridge, store).await;
        while now() < from + PATIENCE && (open() || !verdict.is_empty()) {
            tokio::time::sleep(Duration::from_secs(15)).await;
            verdict = self.verdict(bridge, store).await;
        }
        let calm = now();
        tokio::time::sleep(CALM).await;
        let verdict = self.verdict(bridge, store).await;
        let restless = self.app.writes().into_iter().find(|at| *at > calm);
        let mut found = lock(&self.found);
        found.extend(verdict);
        found.extend(restless.map(|at| format!("restless: a write at {at}")));
        if std::env::var_os("FAMILY").is_some() {
            println!("{:#?}", self.app.log());
        }
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    match (number("FAMILY"), number("FAMILIES")) {
        (Some(only), _) => only..only + 1,
        (_, Some(many)) => 0..many,
        _ => 0..100,
    }
}

#[test]
fn no_family_loses_invents_or_resurrects_a_role() {
    let began = std::time::Instant::now();
    let mut bad = Vec::new();
    for seed in seeds() {
        let verdict = run(seed, Lie::None);
        if !verdict.is_empty() {
            println!("FAMILY={seed}: {verdict:#?}");
            bad.push(seed);
        }
    }
    println!("{} worlds in {:.1?}", seeds().count(), began.elapsed());
    assert!(bad.is_empty(), "run again with FAMILY=n: {bad:?}");
}

#[test]
fn the_judge_catches_what_is_planted() {
    let is_caught = |lie, word: &str| {
        (0..20).any(|seed| run(seed, lie).iter().any(|found| found.contains(word)))
    };
    for (lie, word) in [
        (Lie::GivesNothing, "has None"),
        (Lie::TakesNothing, "should None"),
        (Lie::LowersNothing, "has Some(0)"),
        (Lie::GivesTheHighest, "invented"),
        (Lie::EndsNothing, "should None"),
        (Lie::GivesNothing, "told as done"),
    ] {
        assert!(is_caught(lie, word), "{lie:?} is not caught");
    }
}
