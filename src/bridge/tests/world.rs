//! Simulated worlds: the real bridge with its real store, on a clock that
//! stands still while anybody works, between clients and an application that
//! both follow from a seed (reliability: T-01). The bridge dies and comes back;
//! the application fails, lags, and does late what it was asked long ago. What
//! is left out is the network and HTTP: an answer is lost by the application's
//! word, and what a client of HTTP discards is a read that failed. `WORLD=7` runs
//! that world and tells about it, `WORLDS=500..1000` those, and so many
//! `WORLDS=10000 cargo test --release --workspace --lib no_world_ -- --nocapture`.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Map, Value, json};

mod application;
mod checker;
mod clients;
mod ends;
mod families;
mod history;
mod operators;
mod planted;

use application::{Application, Kind, Lie, OWN_NAME};
use checker::Evidence;
use history::{End, Entry, Step};
use operators::{Flaw, Operators};

use crate::{
    bridge::{Bridge, Guard, Policy, Setup, Switch, clock::simulated, token::Tokens},
    scim::{
        json::Limits,
        patch,
        resource::{Attributes, ResourceId, ResourceType},
        schema::Schemas,
    },
    store::{self, Among, Item, Select, Start, Store},
    upstream::{Millis, Upstream},
};

const CONNECTION: &str = "world";
/// Requests of one world, and how many clients share them.
const STEPS: usize = 60;
const CLIENTS: usize = 4;
/// When a world begins; any time will do.
const DAWN: Millis = 1_800_000_000_000;
/// A call lands late by no more than this.
const LATE: Duration = Duration::from_secs(30);
/// The longest that a read is believed to lag.
const READ_LAG: Duration = Duration::from_secs(10);
/// A request waits for the application for so long.
const SYNC_WAIT: Duration = Duration::from_secs(5);
/// Nothing is written in this time at the end.
const CALM: Duration = Duration::from_secs(90);
/// A world that is not as wanted by then, after the last fault, never is.
const NEVER: u64 = 1_000_000_000_000;
const PATIENCE: Millis = 1_200_000;

fn below(sides: u64) -> u64 {
    simulated::draw(sides).expect("a seed")
}

fn chance(percent: u64) -> bool {
    below(100) < percent
}

fn pick<T>(of: &[T]) -> &T {
    let at = below(of.len() as u64);
    &of[usize::try_from(at).unwrap()]
}

fn now() -> Millis {
    simulated::now().expect("a clock")
}

/// What outlives a bridge.
struct World {
    app: Arc<Application>,
    steps: Mutex<std::vec::IntoIter<Step>>,
    history: Mutex<Vec<Entry>>,
    /// What clients know: ids by name.
    users: Mutex<BTreeMap<String, String>>,
    groups: Mutex<BTreeMap<String, String>>,
    /// Who acts beside them, in worlds that have operators.
    operators: Option<Operators>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// The names that a world uses.
fn names(of: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{of}{n}")).collect()
}

/// Runs a world to its end.
fn run(seed: u64, lie: Lie) -> Evidence {
    run_with(seed, lie, Kind::Ends)
}

fn run_with(seed: u64, lie: Lie, kind: Kind) -> Evidence {
    simulated::seed(seed);
    pass(lie, kind, None)
}

/// The same with operators, and guard rails in most of them.
fn run_operated(seed: u64, flaw: Flaw) -> Evidence {
    simulated::seed(seed);
    let kind = *pick(&[Kind::Ends, Kind::Ends, Kind::Keeps]);
    pass(Lie::None, kind, Some(flaw))
}

fn pass(lie: Lie, kind: Kind, operated: Option<Flaw>) -> Evidence {
    simulated::at(DAWN);
    store::simulated::pace(Some(simulated::disk));
    let folder = folder();
    let (accounts, groups) = (names("u", 6), names("g", 3));
    let file = folder.path().join("world.db");
    let operators = operated.map(|flaw| Operators::new(&file, flaw, (&accounts, &groups)));
    let late_by = Millis::try_from(LATE.as_millis()).unwrap();
    let world = Arc::new(World {
        app: Arc::new(Application::new((lie, kind), &accounts, &groups, late_by)),
        steps: Mutex::new(history::script(STEPS, (&accounts, &groups), kind).into_iter()),
        history: Mutex::default(),
        users: Mutex::default(),
        groups: Mutex::default(),
        operators,
    });
    if world.operators.is_some() {
        // So that what operators do comes while there is something to be done.
        let slower = *pick(&[1, 4, 10]);
        let mut steps = lock(&world.steps);
        let slow = |step: &Step| Step {
            wait: step.wait * slower,
            ..step.clone()
        };
        let all: Vec<Step> = steps.as_slice().iter().map(slow).collect();
        *steps = all.into_iter();
    }
    let mut crashes: Vec<u64> = (0..below(4)).map(|_| below(15_000)).collect();
    if lie != Lie::None {
        crashes.clear();
    }
    let evidence = loop {
        if let Some(evidence) = live(&world, &file, crashes.pop()) {
            break evidence;
        }
    };
    store::simulated::pace(None);
    simulated::end();
    evidence
}

/// In memory, where there is a file system for that: nothing here loses power.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// One life of the bridge: to its death after so many milliseconds, or to the
/// end of the world.
fn live(world: &Arc<World>, file: &Path, dies_after: Option<u64>) -> Option<Evidence> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let engine = runtime.handle().clone();
    let evidence = runtime.block_on(async {
        simulated::begin(now());
        let store = store::open(file).unwrap();
        world.look_up(&*store).await;
        if let Some(operators) = &world.operators {
            operators.begin_life(&*store, &world.app).await;
        }
        let bridge = start(world, Arc::clone(&store), engine).await;
        let clients = (0..CLIENTS).map(|_| client(Arc::clone(world), Arc::clone(&bridge)));
        let clients = futures_util::future::join(
            futures_util::future::join_all(clients),
            operators::work(Arc::clone(world), Arc::clone(&bridge)),
        );
        let death = tokio::time::sleep(Duration::from_millis(dies_after.unwrap_or(NEVER)));
        let evidence = tokio::select! {
            biased;
            () = death => None,
            _ = clients => Some(world.end(&bridge, &*store).await),
        };
        simulated::stand_still();
        evidence
    });
    drop(runtime);
    world.app.fall();
    if let Some(operators) = &world.operators {
        operators.other.fall();
    }
    let ended = now();
    for entry in lock(&world.history).iter_mut() {
        // What was on its way died with the bridge.
        entry.end = entry.end.min(ended);
    }
    evidence
}

async fn start(
    world: &World,
    store: Arc<dyn Store>,
    engine: tokio::runtime::Handle,
) -> Arc<Bridge> {
    let setup = |name: &str, app: &Arc<Application>, guard| Setup {
        name: name.into(),
        upstream: Arc::clone(app) as Arc<dyn Upstream>,
        policy: Policy {
            sync_wait: SYNC_WAIT,
            import_at_start: false,
            late_writes: LATE,
            guard: Arc::new(guard),
            ..Policy::default()
        },
        tokens: Tokens::fixed("of-no-use-here-0123456789-abcdefghij").unwrap(),
    };
    let (setups, switch) = match &world.operators {
        None => {
            let only = setup(CONNECTION, &world.app, Guard::off());
            (vec![only], Switch::none())
        }
        Some(operators) => {
            let it = setup(CONNECTION, &world.app, operators.guard_at_work());
            let other = setup(operators::OTHER, &operators.other, Guard::off());
            (vec![it, other], operators.switch())
        }
    };
    Bridge::start(store, setups, engine, switch).await.unwrap()
}

/// Works off the world's requests, one after another.
async fn client(world: Arc<World>, bridge: Arc<Bridge>) {
    let session = bridge.own_session(CONNECTION, "client").unwrap();
    loop {
        let next = lock(&world.steps).next();
        let Some(step) = next else { return };
        tokio::time::sleep(Duration::from_millis(step.wait)).await;
        let act = world.within_reach(step.act);
        let place = {
            let mut history = lock(&world.history);
            history.push(Entry {
                act: act.clone(),
                start: now(),
                end: Millis::MAX,
                ended: End::Unheard,
                approved: false,
            });
            history.len() - 1
        };
        let asked = world.ask(&session, &act);
        let ended = match step.patience {
            None => asked.await,
            Some(most) => {
                let most = Duration::from_millis(most);
                match tokio::time::timeout(most, asked).await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                }
            }
        };
        {
            let entry = &mut lock(&world.history)[place];
            (entry.end, entry.ended) = (now(), ended.clone());
        }
        if world.operators.is_some() {
            world.read_back(&session, &act, &ended).await;
        }
    }
}

fn everything(of: ResourceType) -> Select {
    Select {
        among: vec![Among {
            of,
            filter: None,
            sort: None,
        }],
        beside: Vec::new(),
        descending: false,
        start: Start::Offset(0),
        limit: 1_000,
        groups: 0,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// What the store has of a type: attributes by id.
async fn listed(
    store: &dyn Store,
    connection: &str,
    of: ResourceType,
) -> Vec<(ResourceId, Attributes)> {
    let c = store.connection(connection).await.unwrap();
    let listing = store.list(c, everything(of)).await.unwrap();
    let parsed = listing.items.into_iter().map(|item| match item {
        Item::Resource(_, it) => (it.id, serde_json::from_str(&it.attributes).unwrap()),
        Item::Row(..) => panic!("a row of a catalog"),
    });
    parsed.collect()
}

async fn named(
    store: &dyn Store,
    connection: &str,
    of: ResourceType,
    by: &str,
) -> BTreeMap<String, String> {
    let all = listed(store, connection, of).await.into_iter();
    all.map(|(id, it)| (it.text(by).unwrap().to_owned(), id.to_string()))
        .collect()
}

impl World {
    /// What a client finds again by a filter, once the bridge is back.
    async fn look_up(&self, store: &dyn Store) {
        let users = named(store, CONNECTION, ResourceType::User, "userName").await;
        let groups = named(store, CONNECTION, ResourceType::Group, OWN_NAME).await;
        if let Some(operators) = &self.operators {
            let all = users.iter().chain(&groups);
            all.for_each(|(name, id)| operators.know(id, name));
        }
        (*lock(&self.users), *lock(&self.groups)) = (users, groups);
    }
}

fn account(name: &str) -> Attributes {
    Attributes(object(json!({ "userName": name })))
}

/// As it is taken, and as it was sent.
fn parsed(schemas: &Schemas, of: ResourceType, operations: &Value) -> (patch::Patch, String) {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    });
    let (limits, raw) = (Limits::default(), body.to_string());
    let parsed = patch::parse(raw.as_bytes(), of, schemas, &limits);
    (parsed.unwrap().taken, raw)
}

/// Worlds that ended wrong once: each kind of mistake that was found, while
/// nothing changes what follows from a seed.
const FOUND: [u64; 14] = [
    242, 313, 675, 834, 1220, 2644, 3876, 4144, 5007, 5515, 12097, 13267, 15319, 16996,
];
const FOUND_KEEPING: [u64; 19] = [
    260, 477, 486, 504, 583, 653, 661, 2064, 2708, 4546, 5281, 5912, 5936, 6825, 43717, 60462,
    61093, 90048, 102467,
];

const FOUND_WITH_ROLES: [u64; 8] = [125, 297, 319, 357, 781, 909, 1999, 80734];
const FOUND_WITH_OPERATORS: [u64; 9] = [
    246, 60012, 60351, 60455, 80610, 101390, 101395, 101487, 101508,
];

/// Which worlds are run, as the environment has it.
fn seeds(found: &[u64]) -> Vec<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a number of worlds");
    match (std::env::var("WORLD"), std::env::var("WORLDS")) {
        (Ok(only), _) => vec![number(&only)],
        (_, Ok(many)) => match many.split_once("..") {
            Some((from, to)) => (number(from)..number(to)).collect(),
            None => (0..number(&many)).collect(),
        },
        _ => (0..60).chain(found.iter().copied()).collect(),
    }
}

#[test]
fn no_world_loses_invents_or_resurrects_a_membership() {
    judge_worlds(Kind::Ends, &FOUND);
}

#[test]
fn no_world_whose_accounts_cannot_be_ended_leaves_access_or_loses_it_for_good() {
    judge_worlds(Kind::Keeps, &FOUND_KEEPING);
}

#[test]
fn no_world_with_operators_sends_what_is_stopped_takes_what_is_held_or_hides_what_it_did() {
    judge_all(&FOUND_WITH_OPERATORS, |seed| run_operated(seed, Flaw::None));
}

#[test]
fn no_world_whose_accounts_have_roles_and_titles_leaves_one_that_is_not_asked_for() {
    judge_worlds(Kind::Roles, &FOUND_WITH_ROLES);
}

/// Milliseconds after the last fault; most worlds take up to two minutes, as what
/// was late is said once more then.
const SLOW: Millis = 300_000;

fn judge_worlds(kind: Kind, found: &[u64]) {
    judge_all(found, |seed| run_with(seed, Lie::None, kind));
}

fn judge_all(found: &[u64], run: impl Fn(u64) -> Evidence) {
    let (only, seeds) = (std::env::var_os("WORLD"), seeds(found));
    let (began, count) = (std::time::Instant::now(), seeds.len());
    let mut bad = Vec::new();
    let (mut longest, mut told, mut undone) = (0, 0, 0);
    let mut came_to = [0; 4];
    for seed in seeds {
        let evidence = run(seed);
        longest = longest.max(evidence.settled_in);
        undone = undone.max(evidence.longest_undone());
        if evidence.settled_in > SLOW {
            println!(
                "WORLD={seed}: as wanted only after {} ms",
                evidence.settled_in
            );
        }
        if let Some(seen) = &evidence.operated {
            let this = seen.came_to(&evidence).into_iter();
            came_to
                .iter_mut()
                .zip(this)
                .for_each(|(sum, it)| *sum += it);
        }
        told += evidence.told.len() as u64 + evidence.told_whole;
        let verdict = evidence.verdict();
        if only.is_some() {
            for entry in &evidence.history {
                println!("{entry:?}");
            }
            for change in &evidence.log {
                println!("{change:?}");
            }
            println!(
                "{:?} {:?} {:?}",
                evidence.shown, evidence.stock, evidence.told
            );
        }
        if !verdict.is_empty() {
            println!("WORLD={seed}: {verdict:#?}");
            bad.push(seed);
        }
    }
    println!(
        "{count} worlds in {:.1?}; as wanted {longest} ms after the last fault at the latest; \
         {told} refusals told; what landed late after it stood for {undone} ms at most",
        began.elapsed()
    );
    let [stops, held, stopped, approved] = came_to;
    if stops > 0 {
        println!(
            "{stops} times of two seconds without a write; {held} requests held, {stopped} refused \
             by a rail, {approved} approved"
        );
    }
    assert!(bad.is_empty(), "run again with WORLD=n: {bad:?}");
}

#[test]
fn a_world_is_the_same_whenever_it_is_run() {
    for seed in [3, 14] {
        let (one, other) = (run(seed, Lie::None), run(seed, Lie::None));
        assert_eq!(one.log, other.log);
        assert_eq!((one.calls, one.shown), (other.calls, other.shown));
    }
}
