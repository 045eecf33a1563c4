//! An application with roles, of a simulated world: in each of two families a
//! user has one role at most, and accounts appear by themselves. It answers as
//! a client of such an application would: it looks before it writes, its looks
//! lag, and what it writes may fail, or come to be long after it was given up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;

use super::super::{OWN_NAME, below, chance, now, pick};
use crate::{
    plan::{
        capability::{Act, Capabilities, Capability, Certainty, Identifier},
        operation::Operation,
        state::{Account, Family, Principal},
    },
    scim::{error::Problem, resource::Attributes, schema::Schemas},
    upstream::{
        Condition, Finding, MemberOutcome, Millis, Outcome, Projection, RemoteGroup, RemoteMember,
        RemoteProfile, RemoteUser, Upstream, UpstreamError,
    },
};

/// The roles of each family, the first before all others.
pub(super) const ROLES: [&str; 3] = ["admin", "viewer", "member"];
pub(super) const FAMILIES: [&str; 2] = ["north", "south"];

/// `north/admin` and the like.
pub(super) fn name_of(family: &str, rank: usize) -> String {
    format!("{family}/{}", ROLES[rank])
}

fn parts(group: &str) -> (String, usize) {
    let (family, role) = group.split_once('/').expect("a name of ours");
    let rank = ROLES.iter().position(|it| *it == role).expect("a role");
    (family.to_owned(), rank)
}

/// In which way it lies, without a word of it in its answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Lie {
    #[default]
    None,
    /// Does not fail either.
    Harmless,
    GivesNothing,
    TakesNothing,
    LowersNothing,
    GivesTheHighest,
    EndsNothing,
}

/// A role in a family: by the membership's id, so that what was made anew is
/// not what it was.
type Held = BTreeMap<(String, String), (u64, usize)>;

#[derive(Debug, Clone)]
enum Write {
    Give(usize),
    Change(u64, usize),
    Take(u64),
}

/// One change: of whom, in which family, to which rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) at: Millis,
    pub(super) account: String,
    pub(super) family: String,
    pub(super) rank: Option<usize>,
}

#[derive(Default)]
struct State {
    known: BTreeSet<String>,
    held: Held,
    past: Vec<(Millis, Held)>,
    coming: Vec<(Millis, String, String, Write)>,
    log: Vec<Change>,
    ids: u64,
    writes: Vec<Millis>,
    /// Of whom something was left open, and when last.
    unclear: BTreeMap<String, Millis>,
    /// Who is told of right now.
    busy: BTreeSet<String>,
    faults: u64,
}

pub(super) struct Roles {
    can: Capabilities,
    schemas: Arc<Schemas>,
    lag: u64,
    late_by: u64,
    lie: Lie,
    state: Mutex<State>,
}

impl std::fmt::Debug for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Roles")
    }
}

fn unclear(reason: &str) -> UpstreamError {
    UpstreamError::Unknown {
        reason: reason.into(),
    }
}

fn later() -> UpstreamError {
    UpstreamError::Later {
        after: chance(50).then(|| Duration::from_secs(below(4))),
        reason: "not now".into(),
    }
}

impl State {
    /// Does it if it can be done; whether it could.
    fn perform(&mut self, at: Millis, account: &str, family: &str, write: &Write) -> bool {
        let key = (account.to_owned(), family.to_owned());
        let now = self.held.get(&key).copied();
        let next = match (write, now) {
            (Write::Give(rank), None) => {
                self.ids += 1;
                Some((self.ids, *rank))
            }
            (Write::Change(id, rank), Some((held, _))) if *id == held => Some((held, *rank)),
            (Write::Take(id), Some((held, _))) if *id == held => None,
            _ => return false,
        };
        self.past.push((at, self.held.clone()));
        match next {
            Some(next) => self.held.insert(key, next),
            None => self.held.remove(&key),
        };
        self.log.push(Change {
            at,
            account: account.to_owned(),
            family: family.to_owned(),
            rank: next.map(|(_, rank)| rank),
        });
        true
    }

    fn settle(&mut self) {
        let now = now();
        let (mut due, coming): (Vec<_>, Vec<_>) = std::mem::take(&mut self.coming)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.coming = coming;
        due.sort_by_key(|(at, ..)| *at);
        for (at, account, family, write) in due {
            self.perform(at, &account, &family, &write);
            self.unclear.insert(account, at);
        }
    }

    fn seen(&mut self, lag: Millis) -> Held {
        self.settle();
        let then = now() - lag;
        let shown = self.past.iter().find(|(until, _)| *until > then);
        shown.map_or_else(|| self.held.clone(), |(_, held)| held.clone())
    }
}

/// A call on its way: when the bridge dies meanwhile, it may still land.
struct OnItsWay<'a> {
    app: &'a Roles,
    what: Option<(String, String, Write)>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some((account, family, write)) = self.what.take() {
            let mut state = self.app.lock();
            state.unclear.insert(account.clone(), now());
            if chance(50) {
                let at = self.app.late();
                state.coming.push((at, account, family, write));
            }
        }
    }
}

/// Nobody is told of twice at once.
struct Alone<'a>(&'a Roles, String);

impl<'a> Alone<'a> {
    fn new(app: &'a Roles, account: &str) -> Self {
        let fresh = app.lock().busy.insert(account.to_owned());
        assert!(fresh, "{account} is told of twice at once");
        Self(app, account.to_owned())
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.lock().busy.remove(&self.1);
    }
}

impl Roles {
    pub(super) fn new(lie: Lie, late_by: Duration) -> Self {
        use Act::{AddMembers, CreateUser, DeactivateUser, ReactivateUser, RemoveMembers};
        let able = [
            CreateUser,
            DeactivateUser,
            ReactivateUser,
            AddMembers,
            RemoveMembers,
        ];
        let row = |act| Capability {
            act,
            able: true,
            batch: 1,
            by: Identifier::Id,
            certainty: Certainty::Documented,
            note: "".into(),
        };
        Self {
            can: Capabilities {
                application: "Test".into(),
                rows: able.into_iter().map(row).collect(),
            },
            schemas: Arc::new(Schemas::new(&[], &[])),
            lag: *pick(&[0, 0, 1_000, 5_000]),
            late_by: u64::try_from(late_by.as_millis()).unwrap(),
            lie,
            state: Mutex::new(State {
                faults: if lie == Lie::None { 25 } else { 0 },
                ..State::default()
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn late(&self) -> Millis {
        now() + Millis::try_from(below(self.late_by * 9 / 10)).unwrap()
    }

    pub(super) fn appear(&self, account: &str) {
        self.lock().known.insert(account.to_owned());
    }

    /// Somebody sets a role in the application itself.
    pub(super) fn by_hand(&self, account: &str, family: &str, rank: usize) {
        let mut state = self.lock();
        let key = (account.to_owned(), family.to_owned());
        let write = match state.held.get(&key) {
            Some((id, _)) => Write::Change(*id, rank),
            None => Write::Give(rank),
        };
        assert!(state.perform(now(), account, family, &write));
    }

    pub(super) fn be_well(&self) {
        self.lock().faults = 0;
    }

    pub(super) fn has(&self, account: &str, family: &str) -> Option<usize> {
        let mut state = self.lock();
        state.settle();
        let key = (account.to_owned(), family.to_owned());
        state.held.get(&key).map(|(_, rank)| *rank)
    }

    /// When something about a user was last left open, or landed late.
    pub(super) fn unclear(&self, account: &str) -> Option<Millis> {
        let mut state = self.lock();
        state.settle();
        state.unclear.get(account).copied()
    }

    pub(super) fn last_unclear(&self) -> Millis {
        self.lock().unclear.values().copied().max().unwrap_or(0)
    }

    pub(super) fn awaits_late_calls(&self) -> bool {
        !self.lock().coming.is_empty()
    }

    pub(super) fn log(&self) -> Vec<Change> {
        self.lock().log.clone()
    }

    pub(super) fn writes(&self) -> Vec<Millis> {
        self.lock().writes.clone()
    }

    async fn takes_its_time(&self) {
        let slow = self.lock().faults > 0 && chance(4);
        let most = if slow { 8_000 } else { 60 };
        tokio::time::sleep(Duration::from_millis(1 + below(most))).await;
    }

    async fn look(&self) -> Result<Held, UpstreamError> {
        tokio::time::sleep(Duration::from_millis(1 + below(30))).await;
        let faults = self.lock().faults;
        if chance(faults / 3) {
            // Nothing was sent yet that writes.
            return Err(later());
        }
        let lag = Millis::try_from(below(self.lag + 1)).unwrap();
        Ok(self.lock().seen(lag))
    }

    /// Sends one call that writes. False: it was refused as it is not so.
    async fn write(
        &self,
        account: &str,
        family: &str,
        write: Write,
    ) -> Result<bool, UpstreamError> {
        let faults = self.lock().faults;
        let fate = if chance(faults) { below(10) } else { 10 };
        if fate < 2 {
            return Err(later());
        }
        let what = (account.to_owned(), family.to_owned(), write.clone());
        self.lock().writes.push(now());
        if std::env::var_os("WORLD").is_some() {
            println!("{} {what:?}", now());
        }
        let mut on_its_way = OnItsWay {
            app: self,
            what: Some(what),
        };
        self.takes_its_time().await;
        let what = on_its_way.what.take();
        drop(on_its_way);
        let done = match fate {
            2..4 => Err(unclear("lost before")),
            4..7 => {
                let (account, family, write) = what.expect("it was there");
                let at = self.late();
                self.lock().coming.push((at, account, family, write));
                Err(unclear("late"))
            }
            _ => {
                let mut state = self.lock();
                state.settle();
                let done = self.lie_about(&mut state, account, family, write);
                if fate < 10 {
                    Err(unclear("lost after"))
                } else {
                    Ok(done)
                }
            }
        };
        if done.is_err() {
            self.lock().unclear.insert(account.to_owned(), now());
        }
        if std::env::var_os("WORLD").is_some() {
            println!("{} = {done:?}", now());
        }
        self.takes_its_time().await;
        done
    }

    fn lie_about(&self, state: &mut State, account: &str, family: &str, write: Write) -> bool {
        let key = (account.to_owned(), family.to_owned());
        let lowers = |rank: usize| state.held.get(&key).is_some_and(|held| held.1 < rank);
        let write = match (self.lie, write) {
            (Lie::GivesNothing, Write::Give(_)) | (Lie::TakesNothing, Write::Take(_)) => {
                return true;
            }
            (Lie::LowersNothing, Write::Change(_, rank)) if lowers(rank) => return true,
            (Lie::GivesTheHighest, Write::Give(_)) => Write::Give(0),
            (_, write) => write,
        };
        state.perform(now(), account, family, &write)
    }

    async fn change(
        &self,
        group: &str,
        member: &Principal,
        add: bool,
    ) -> Result<MemberOutcome, UpstreamError> {
        let (family, own) = parts(group);
        let account = &member.account;
        let key = (account.clone(), family.clone());
        let held = self.look().await?.get(&key).copied();
        let counts = member.counts.as_deref().map(|name| parts(name).1);
        let write = match (held, add) {
            (Some((_, rank)), true) if rank <= own => return Ok(MemberOutcome::Seen),
            (Some((id, _)), true) => Write::Change(id, counts.unwrap_or(own)),
            (None, true) => Write::Give(counts.unwrap_or(own)),
            (Some((id, rank)), false) if rank == own => match counts {
                Some(counts) => Write::Change(id, counts),
                None => Write::Take(id),
            },
            (_, false) => return Ok(MemberOutcome::Seen),
        };
        if self.write(account, &family, write).await? {
            return Ok(MemberOutcome::Applied);
        }
        // There is one that the look did not show, or there is none any more.
        Err(unclear("not as it was shown"))
    }

    /// The end of an account: one call for each family.
    async fn end(&self, account: &str) -> Result<(), UpstreamError> {
        for family in FAMILIES {
            let key = (account.to_owned(), family.to_owned());
            let held = self.look().await?.get(&key).copied();
            if let Some((id, _)) = held
                && self.lie != Lie::EndsNothing
            {
                self.write(account, family, Write::Take(id)).await?;
            }
        }
        Ok(())
    }

    fn appears(&self, account: &str) -> bool {
        let state = self.lock();
        state.known.contains(account)
    }
}

fn remote(account: &str) -> RemoteUser {
    RemoteUser {
        account: account.to_owned(),
        upstream_id: Some(format!("id of {account}")),
        active: true,
        ..RemoteUser::default()
    }
}

#[async_trait]
impl Upstream for Roles {
    fn capabilities(&self) -> &Capabilities {
        &self.can
    }
    fn has_families(&self) -> bool {
        true
    }
    fn schemas(&self) -> Arc<Schemas> {
        Arc::clone(&self.schemas)
    }
    fn project(&self, user: &Attributes) -> Result<Projection, Problem> {
        Ok(Projection {
            key: user.text("userName").map(str::to_lowercase),
            account: Account {
                active: user.active(),
                ..Account::default()
            },
        })
    }
    fn group_name(&self, name: &str) -> Result<String, Problem> {
        Ok(name.to_lowercase())
    }
    fn brake(&self, _: bool) {}
    fn condition(&self) -> Condition {
        Condition::default()
    }
    fn is_refused(&self) -> bool {
        false
    }
    fn plain_role(&self) -> Option<&str> {
        None
    }
    fn user_attributes(&self, _: &RemoteUser, _: Option<&RemoteProfile>) -> Attributes {
        Attributes::default()
    }
    fn group_attributes(&self, group: &RemoteGroup) -> Attributes {
        let mut attributes = Attributes::default();
        attributes
            .0
            .insert("displayName".into(), group.name.clone().into());
        attributes
    }
    fn adorn_group(&self, attributes: &mut Attributes, name: &str) {
        attributes.0.insert(OWN_NAME.into(), name.into());
    }
    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError> {
        Ok(Vec::new())
    }
    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        let state = self.lock();
        let has_any = |account: &str| state.held.keys().any(|(of, _)| of == account);
        let shown = |account: &String| RemoteUser {
            active: has_any(account),
            ..remote(account)
        };
        Ok(state.known.iter().map(shown).collect())
    }
    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError> {
        let of = |family: &str, rank: usize| RemoteGroup {
            name: name_of(family, rank),
            family: Some(Family {
                name: family.into(),
                rank: u32::try_from(rank).unwrap(),
            }),
            ..RemoteGroup::default()
        };
        let all = FAMILIES
            .iter()
            .flat_map(|family| (0..ROLES.len()).map(|rank| of(family, rank)));
        Ok(all.collect())
    }
    async fn members(&self, group: &str) -> Result<Vec<RemoteMember>, UpstreamError> {
        let (family, own) = parts(group);
        let held = self.look().await?;
        let in_it = held
            .iter()
            .filter(|((_, of), (_, rank))| *of == family && *rank <= own);
        let member = |((account, _), (_, rank)): (&(String, String), &(u64, usize))| RemoteMember {
            account: Some(account.clone()),
            covers: *rank < own,
            ..RemoteMember::default()
        };
        Ok(in_it.map(member).collect())
    }
    async fn user(&self, account: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        let held = self.look().await?;
        let there = held.keys().any(|(of, _)| of == account);
        Ok(there.then(|| remote(account)))
    }
    async fn group(&self, _: &str) -> Result<Option<RemoteGroup>, UpstreamError> {
        Ok(None)
    }
    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError> {
        let one = |member: &Principal, outcome| Outcome {
            members: vec![(member.user, outcome)],
            upstream_id: None,
        };
        match operation {
            Operation::CreateUser {
                account,
                upstream_id,
                ..
            } => {
                let _alone = Alone::new(self, account);
                self.look().await?;
                if upstream_id.is_none() && !self.appears(account) {
                    return Err(UpstreamError::Staged {
                        reason: "it has not signed in yet".into(),
                    });
                }
                Ok(Outcome {
                    upstream_id: remote(account).upstream_id,
                    ..Outcome::default()
                })
            }
            Operation::DeactivateUser { principal } => {
                let _alone = Alone::new(self, &principal.account);
                self.end(&principal.account).await?;
                Ok(Outcome::default())
            }
            Operation::AddMembers { group, members } => {
                assert_eq!(members.len(), 1, "one user in one call");
                let member = &members[0];
                let _alone = Alone::new(self, &member.account);
                Ok(one(member, self.change(group, member, true).await?))
            }
            Operation::RemoveMembers { group, members } => {
                assert_eq!(members.len(), 1, "one user in one call");
                let member = &members[0];
                let _alone = Alone::new(self, &member.account);
                Ok(one(member, self.change(group, member, false).await?))
            }
            other => panic!("{other:?} is not for an application of roles"),
        }
    }
    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
}
