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
        state::Principal,
    },
    scim::schema::Schemas,
    upstream::{MemberOutcome, Millis, Outcome, UpstreamError},
};

mod answers;

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

struct World {
    stock: Stock,
    past: Vec<(Millis, Stock)>,
    coming: Vec<(Millis, Operation)>,
    /// On their way when the bridge died, with their numbers.
    cut: Vec<(usize, Operation)>,
    log: Vec<Change>,
    /// When a call that writes came in.
    calls: Vec<Millis>,
    /// All that were to write, those too that did not come in.
    attempts: Vec<Attempt>,
    /// When one last had an answer that left something open.
    unclear: Millis,
    faults: u64,
    /// What comes late comes of its own accord.
    haunts: bool,
    /// Removals that were refused.
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

impl World {
    /// Changes the stock, and tells the log in what, and what of it was not
    /// what it was asked for now.
    fn change(
        &mut self,
        at: Millis,
        aside: impl Fn(&str, bool) -> bool,
        change: impl FnOnce(&mut Stock),
    ) {
        let before = self.stock.clone();
        change(&mut self.stock);
        let left = |account: &str| before.is_active(account) && !self.stock.is_active(account);
        let mut told = Vec::new();
        let mut tell = |group: Option<&String>, account: &String, present| {
            told.push(Change {
                at,
                group: group.cloned(),
                account: account.clone(),
                present,
                aside: aside(account, present) || (group.is_some() && left(account)),
            });
        };
        let none = BTreeSet::new();
        let names: BTreeSet<_> = before
            .groups
            .keys()
            .chain(self.stock.groups.keys())
            .collect();
        for name in names {
            let was = before.groups.get(name).unwrap_or(&none);
            let is = self.stock.groups.get(name).unwrap_or(&none);
            was.difference(is).for_each(|a| tell(Some(name), a, false));
            is.difference(was).for_each(|a| tell(Some(name), a, true));
        }
        for (account, (active, _)) in &self.stock.accounts {
            if before.is_active(account) != *active {
                tell(None, account, *active);
            }
        }
        self.log.extend(told);
        if before != self.stock {
            self.past.push((at, before));
        }
    }

    /// What was to come by now has come.
    fn settle(&mut self) {
        let now = now();
        let (due, coming) = std::mem::take(&mut self.coming)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.coming = coming;
        let mut due: Vec<_> = due;
        due.sort_by_key(|(at, _)| *at);
        for (at, operation) in due {
            let members = members_of(&operation);
            let haunts = self.haunts;
            self.change(
                at,
                |_, _| !haunts,
                |stock| {
                    let _ = perform(stock, &operation, &members, false);
                },
            );
        }
    }

    /// What a read shows that lags behind.
    fn seen(&mut self, lag: Millis) -> Stock {
        self.settle();
        let then = now() - lag;
        let shown = self.past.iter().find(|(until, _)| *until > then);
        shown.map_or_else(|| self.stock.clone(), |(_, stock)| stock.clone())
    }
}

fn members_of(operation: &Operation) -> Vec<Principal> {
    match operation {
        Operation::CreateGroup { members, .. }
        | Operation::AddMembers { members, .. }
        | Operation::RemoveMembers { members, .. }
        | Operation::ReplaceMembers { members, .. } => members.clone(),
        _ => Vec::new(),
    }
}

fn is_account(operation: &Operation) -> bool {
    matches!(operation, Operation::CreateUser { .. })
}

/// Does what is asked with those of its members that are to be done.
fn perform(
    stock: &mut Stock,
    operation: &Operation,
    members: &[Principal],
    forgets: bool,
) -> Result<(), UpstreamError> {
    let names = || members.iter().map(|member| member.account.clone());
    match operation {
        Operation::CreateUser {
            account,
            role,
            fields,
            ..
        } => {
            if stock.is_active(account) {
                return Err(exists());
            }
            let made = now();
            let held = stock
                .accounts
                .entry(account.clone())
                .or_insert((true, made));
            held.0 = true;
            let role = role.as_deref().unwrap_or(PLAIN).to_owned();
            let fields = (role, fields.get("title").cloned());
            stock.fields.insert(account.clone(), fields);
        }
        Operation::SetRole { principal, role } => {
            if !stock.is_active(&principal.account) {
                return Err(missing());
            }
            let held = stock.fields.get_mut(&principal.account);
            held.ok_or_else(missing)?.0.clone_from(role);
        }
        Operation::UpsertProfile {
            account, fields, ..
        } => {
            if !stock.is_active(account) {
                return Err(missing());
            }
            let held = stock.fields.get_mut(account).ok_or_else(missing)?;
            if let Some(title) = fields.get("title") {
                held.1 = Some(title.clone()).filter(|it| !it.is_empty());
            }
        }
        Operation::DeactivateUser { principal } => {
            if !stock.is_active(&principal.account) {
                return Err(missing());
            }
            if let Some(held) = stock.accounts.get_mut(&principal.account) {
                held.0 = false;
            }
            if forgets {
                for members in stock.groups.values_mut() {
                    members.remove(&principal.account);
                }
            }
        }
        Operation::CreateGroup { name, .. } => {
            if stock.groups.contains_key(name) {
                return Err(exists());
            }
            stock.groups.insert(name.clone(), names().collect());
        }
        Operation::DeleteGroup { name } => {
            stock.groups.remove(name).ok_or_else(missing)?;
        }
        Operation::AddMembers { group, .. } => {
            let held = stock.groups.get_mut(group).ok_or_else(missing)?;
            held.extend(names());
        }
        Operation::RemoveMembers { group, .. } => {
            let held = stock.groups.get_mut(group).ok_or_else(missing)?;
            names().for_each(|name| {
                held.remove(&name);
            });
        }
        Operation::ReplaceMembers { group, .. } => {
            let held = stock.groups.get_mut(group).ok_or_else(missing)?;
            *held = names().collect();
        }
        Operation::RenameGroup { .. } => {}
    }
    Ok(())
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

    /// Only calls about members are refused for no reason, and removals once:
    /// what is refused again is given up.
    fn refuses(&self, operation: &Operation) -> bool {
        let members = members_of(operation);
        let mut world = self.lock();
        let Operation::RemoveMembers { group, .. } = operation else {
            return !members.is_empty();
        };
        let pairs = members.into_iter().map(|it| (group.clone(), it.account));
        let fresh = pairs.filter(|pair| world.refused.insert(pair.clone()));
        fresh.count() > 0
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

    fn lands_later(&self, operation: Operation) {
        let most = self.nature.late_by.unsigned_abs();
        let by = match self.lie {
            Lie::TooLate => most * 4,
            _ => below(most * 9 / 10),
        };
        let at = now() + Millis::try_from(by).unwrap();
        self.lock().coming.push((at, operation));
    }

    /// Whom an application that does the rest leaves out.
    fn cannot(&self, world: &World, operation: &Operation, member: &Principal) -> bool {
        let bad = |group: &String| {
            let pair = (group.clone(), member.account.clone());
            world.faults > 0 && self.nature.refused.contains(&pair)
        };
        match operation {
            Operation::AddMembers { group, .. } | Operation::ReplaceMembers { group, .. } => {
                bad(group) || !world.stock.is_active(&member.account)
            }
            Operation::CreateGroup { .. } => !world.stock.is_active(&member.account),
            _ => false,
        }
    }

    /// Does it, or says why not; `partly` leaves some of it undone or untold.
    fn act(&self, operation: &Operation, partly: bool) -> Result<Outcome, UpstreamError> {
        let mut world = self.lock();
        world.settle();
        let members = members_of(operation);
        let (out, mut done): (Vec<_>, Vec<_>) = members
            .iter()
            .cloned()
            .partition(|member| self.cannot(&world, operation, member));
        let whole = matches!(operation, Operation::CreateGroup { .. }) || self.nature.strict;
        if !out.is_empty() && whole {
            return Err(refused());
        }
        let mut told = done.clone();
        if partly && !matches!(operation, Operation::CreateGroup { .. }) {
            done.retain(|_| chance(60));
            told.retain(|member| done.contains(member) && chance(60));
        }
        let mut scratch = world.stock.clone();
        match perform(&mut scratch, operation, &done, self.nature.forgets) {
            Err(UpstreamError::Exists { .. }) if self.nature.keeps && is_account(operation) => {}
            other => other?,
        }
        self.lie_about(&mut world, operation, &done);
        let outcome = |member: &Principal| {
            let applied = told.contains(member);
            let outcome = if applied {
                MemberOutcome::Applied
            } else {
                MemberOutcome::LeftOut
            };
            (member.user, outcome)
        };
        Ok(Outcome {
            members: members.iter().map(outcome).collect(),
            ..Outcome::default()
        })
    }

    /// Does it, unless this is one that lies.
    fn lie_about(&self, world: &mut World, operation: &Operation, done: &[Principal]) {
        let forgets = self.nature.forgets;
        let untrue = match (self.lie, operation) {
            (Lie::AddsNothing, Operation::AddMembers { .. })
            | (Lie::RemovesNothing, Operation::RemoveMembers { .. })
            | (Lie::DeactivatesNothing, Operation::DeactivateUser { .. })
            | (Lie::CreatesNothing, Operation::CreateUser { .. })
            | (Lie::DeletesNothing, Operation::DeleteGroup { .. }) => true,
            (Lie::ClearsFirst, Operation::AddMembers { group, .. }) => {
                let before = world.stock.groups.get(group).cloned().unwrap_or_default();
                world.change(
                    now(),
                    |_, _| false,
                    |stock| {
                        stock.groups.insert(group.clone(), BTreeSet::new());
                    },
                );
                world.change(
                    now(),
                    |_, _| false,
                    |stock| {
                        stock.groups.insert(group.clone(), before);
                    },
                );
                false
            }
            _ => false,
        };
        if untrue && chance(30) {
            return;
        }
        // Who is named and goes all the same is left out of a replacement that
        // was done in part.
        let named = members_of(operation);
        let replaces = matches!(operation, Operation::ReplaceMembers { .. });
        let aside = |account: &str, present: bool| {
            replaces && !present && named.iter().any(|it| it.account == account)
        };
        world.change(now(), aside, |stock| {
            let _ = perform(stock, operation, done, forgets);
        });
        if let (Lie::Haunts, Operation::RemoveMembers { group, members }) = (self.lie, operation) {
            let back = Operation::AddMembers {
                group: group.clone(),
                members: members.clone(),
            };
            world.coming.push((now() + 4_000, back));
        }
    }

    async fn look(&self) -> Result<Stock, UpstreamError> {
        tokio::time::sleep(Duration::from_millis(1 + below(30))).await;
        let faults = self.lock().faults;
        if chance(faults / 2) {
            return Err(if chance(50) { not_now() } else { lost() });
        }
        let lag = Millis::try_from(below(self.nature.lag + 1)).unwrap();
        Ok(self.lock().seen(lag))
    }

    async fn takes_its_time(&self) {
        let slow = self.lock().faults > 0 && chance(5);
        let most = if slow { 8_000 } else { 60 };
        tokio::time::sleep(Duration::from_millis(1 + below(most))).await;
    }
}
