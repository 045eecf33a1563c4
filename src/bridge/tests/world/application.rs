//! The application of a simulated world: in this process, with faults that
//! follow from the seed, and a log of every change that it ever made. It knows
//! nothing of the bridge and can be made to lie, so that the checker has
//! something to catch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use super::{below, chance, now, pick};
use crate::{
    bridge::clock::simulated,
    plan::{
        capability::{Act, Capabilities, Capability, Certainty, Identifier},
        operation::Operation,
    },
    scim::schema::Schemas,
    upstream::{Millis, UpstreamError},
};

mod acts;
mod answers;
mod state;

use state::{World, members_of};

/// Whoever is not said to have a role has this one.
pub(super) const PLAIN: &str = "plain";

/// Where an application tells its own name of a group.
pub(super) const OWN_NAME: &str = "upstreamName";

/// What is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stock {
    /// Active or not, and since when it is there.
    pub(super) accounts: BTreeMap<String, (bool, Millis)>,
    pub(super) groups: BTreeMap<String, BTreeSet<String>>,
    /// The role of each account, and its title.
    pub(super) fields: BTreeMap<String, (String, Option<String>)>,
}

impl Stock {
    fn is_active(&self, account: &str) -> bool {
        self.accounts.get(account).is_some_and(|it| it.0)
    }
}

/// One change of a pair or of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) at: Millis,
    /// `None`: the account itself.
    pub(super) group: Option<String>,
    pub(super) account: String,
    pub(super) present: bool,
    /// By a call that was given up long ago, or with the account, or by an
    /// application that leaves somebody out of a replacement.
    pub(super) aside: bool,
}

/// A call that was to write, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) at: Millis,
    /// As the audit calls it.
    pub(super) what: &'static str,
    /// The group or the account.
    pub(super) of: String,
    pub(super) members: usize,
    /// It did not leave, as all writes were stopped.
    pub(super) braked: bool,
}

impl Attempt {
    fn of(operation: &Operation, braked: bool) -> Self {
        let (what, of) = match operation {
            Operation::CreateUser { account, .. } => ("create_user", account),
            Operation::DeactivateUser { principal } => ("deactivate_user", &principal.account),
            Operation::SetRole { principal, .. } => ("set_role", &principal.account),
            Operation::UpsertProfile { account, .. } => ("upsert_profile", account),
            Operation::CreateGroup { name, .. } => ("create_group", name),
            Operation::DeleteGroup { name } => ("delete_group", name),
            Operation::RenameGroup { name, .. } => ("rename_group", name),
            Operation::AddMembers { group, .. } => ("add_members", group),
            Operation::RemoveMembers { group, .. } => ("remove_members", group),
            Operation::ReplaceMembers { group, .. } => ("replace_members", group),
        };
        Self {
            at: now(),
            what,
            of: of.clone(),
            members: members_of(operation).len(),
            braked,
        }
    }
}

/// What an application can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// End accounts.
    Ends,
    /// Nothing to them: they are there for ever.
    Keeps,
    /// End them, and change their role and title.
    Roles,
}

/// In which way an application lies, without a word of it in its answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Lie {
    #[default]
    None,
    /// Does not fail either.
    Harmless,
    /// Says done and does nothing.
    AddsNothing,
    RemovesNothing,
    DeactivatesNothing,
    CreatesNothing,
    DeletesNothing,
    /// Takes everybody out before it puts the new members in.
    ClearsFirst,
    /// Lands late by more than it promises.
    TooLate,
    /// Puts members back that were removed.
    Haunts,
}

/// What a seed makes of the application.
#[derive(Debug, Clone)]
struct Nature {
    /// The longest that a read lags; the next one may lag by less or by more
    /// (reliability: F-13).
    lag: u64,
    late_by: Millis,
    /// A batch with a member that is unknown is refused, or done without it.
    strict: bool,
    /// Who leaves is no member of anything any more.
    forgets: bool,
    /// An account that was made is there for ever, and whoever makes it again
    /// is given that one.
    keeps: bool,
    roles: bool,
    /// Members that are refused while there are faults.
    refused: BTreeSet<(String, String)>,
}

pub(super) struct Application {
    can: Capabilities,
    schemas: Arc<Schemas>,
    nature: Nature,
    lie: Lie,
    braked: AtomicBool,
    world: Mutex<World>,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Application")
    }
}

fn table(kind: Kind) -> Capabilities {
    use Act::{
        AddMembers, CreateGroup, CreateUser, DeactivateUser, DeleteGroup, ReactivateUser,
        RemoveMembers, ReplaceMembers, SetRole, UpdateProfile,
    };
    let batch = usize::try_from(*pick(&[1, 3, 1_000])).unwrap();
    let row = |act, able| Capability {
        act,
        able,
        batch,
        by: Identifier::Name,
        certainty: Certainty::Documented,
        note: "".into(),
    };
    let ends = |act| row(act, kind != Kind::Keeps);
    let roles = |act| row(act, kind == Kind::Roles);
    let always = [
        CreateUser,
        CreateGroup,
        DeleteGroup,
        AddMembers,
        RemoveMembers,
    ];
    let mut rows: Vec<_> = always.into_iter().map(|act| row(act, true)).collect();
    rows.extend([DeactivateUser, ReactivateUser].map(ends));
    rows.extend([SetRole, UpdateProfile].map(roles));
    rows.push(row(ReplaceMembers, chance(50)));
    Capabilities {
        application: "Test".into(),
        rows,
    }
}

fn lost() -> UpstreamError {
    UpstreamError::Unknown {
        reason: "cut".into(),
    }
}

fn not_now() -> UpstreamError {
    if chance(10) {
        // Our credential, for a moment (reliability: F-07).
        return UpstreamError::Denied {
            reason: "401".into(),
        };
    }
    let seconds = below(4);
    UpstreamError::Later {
        after: (seconds > 0).then(|| Duration::from_secs(seconds)),
        reason: "not now".into(),
    }
}

fn refused() -> UpstreamError {
    UpstreamError::Rejected {
        reason: "no".into(),
    }
}

fn missing() -> UpstreamError {
    UpstreamError::Missing {
        reason: "404".into(),
    }
}

fn exists() -> UpstreamError {
    UpstreamError::Exists {
        reason: "409".into(),
    }
}

/// A call on its way: when the bridge dies meanwhile, it may still land.
struct OnItsWay<'a> {
    app: &'a Application,
    number: usize,
    operation: Option<Operation>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        let Some(operation) = self.operation.take() else {
            return;
        };
        self.app.lock().cut.push((self.number, operation));
        if !simulated::stands_still() {
            self.app.fall();
        }
    }
}

impl Application {
    /// As the seed of this thread has it.
    pub(super) fn new(
        (lie, kind): (Lie, Kind),
        accounts: &[String],
        groups: &[String],
        late_by: Millis,
    ) -> Self {
        let mut bad = BTreeSet::new();
        for _ in 0..below(3) {
            bad.insert((pick(groups).clone(), pick(accounts).clone()));
        }
        Self {
            can: table(kind),
            schemas: Arc::new(Schemas::new(&[], &[])),
            nature: Nature {
                lag: *pick(&[0, 0, 1_000, 5_000]),
                late_by,
                strict: chance(50),
                forgets: chance(50),
                keeps: kind == Kind::Keeps,
                roles: kind == Kind::Roles,
                refused: bad,
            },
            lie,
            braked: AtomicBool::new(false),
            world: Mutex::new(World {
                stock: Stock::default(),
                past: Vec::new(),
                coming: Vec::new(),
                cut: Vec::new(),
                log: Vec::new(),
                calls: Vec::new(),
                attempts: Vec::new(),
                unclear: now(),
                refused: BTreeSet::new(),
                haunts: lie == Lie::Haunts,
                faults: if lie == Lie::None { 30 } else { 0 },
            }),
        }
    }

    pub(super) fn keeps_accounts(&self) -> bool {
        self.nature.keeps
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// From now on it only does what it is asked.
    pub(super) fn be_well(&self) {
        self.lock().faults = 0;
    }

    pub(super) fn stock(&self) -> Stock {
        let mut world = self.lock();
        world.settle();
        world.stock.clone()
    }

    pub(super) fn log(&self) -> Vec<Change> {
        self.lock().log.clone()
    }

    pub(super) fn calls(&self) -> Vec<Millis> {
        self.lock().calls.clone()
    }

    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.lock().attempts.clone()
    }

    /// Whether it may leave.
    fn passes(&self, operation: &Operation) -> bool {
        let braked = self.braked.load(SeqCst);
        let attempt = Attempt::of(operation, braked);
        self.lock().attempts.push(attempt);
        !braked
    }

    /// When something was last left open: what may be said once more because
    /// of it comes later (reliability: I-20).
    pub(super) fn unclear(&self) -> Millis {
        self.lock().unclear
    }

    pub(super) fn awaits_late_calls(&self) -> bool {
        !self.lock().coming.is_empty()
    }

    /// What becomes of calls whose bridge died, in the order in which they were
    /// made: that in which a runtime ends its tasks is not the same every time.
    pub(super) fn fall(&self) {
        let mut cut = std::mem::take(&mut self.lock().cut);
        cut.sort_by_key(|(number, _)| *number);
        for (_, operation) in cut {
            if chance(50) {
                self.lands_later(operation);
            }
        }
    }
}
