//! What identity providers do in a simulated world, and what they were told.
//! Users and groups are known by the names that the application has for them,
//! because ids change when something is deleted and made again.

use std::collections::BTreeSet;

use super::{application::Kind, below, chance, pick};
use crate::{bridge::Failure, upstream::Millis};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    CreateUser(String),
    /// A PUT that says nothing of `active`.
    PutUser(String),
    Activate(String, bool),
    DeleteUser(String),
    Role(String, String),
    /// `None`: it is taken away.
    Title(String, Option<String>),
    CreateGroup(String, BTreeSet<String>),
    Add(String, BTreeSet<String>),
    Remove(String, BTreeSet<String>),
    Replace(String, BTreeSet<String>),
    /// A PUT with these members.
    Put(String, BTreeSet<String>),
    Rename(String),
    DeleteGroup(String),
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Nobody knows: the client left, or the bridge died.
    Unheard,
    /// There was nothing to be asked, or nobody to ask; or the application could not be
    /// read, without which nothing is changed.
    Needless,
    Done {
        /// The resource and its version, when it was changed.
        version: Option<(String, u64)>,
        pending: bool,
    },
    /// Everything but these.
    AllBut(BTreeSet<String>),
    Refused,
    /// By a guard rail, before anything was changed.
    Stopped {
        /// As this it waits for an operator.
        held: Option<String>,
    },
    /// It could not be taken, and is to be sent again.
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) act: Act,
    pub(super) start: Millis,
    pub(super) end: Millis,
    pub(super) ended: End,
    /// An operator let it pass.
    pub(super) approved: bool,
}

/// How sure an entry makes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Surety {
    /// It may have counted or not.
    Maybe,
    Acknowledged,
    /// The application has it.
    Confirmed,
}

impl Act {
    pub(super) fn group(&self) -> Option<&String> {
        match self {
            Self::CreateGroup(group, _)
            | Self::Add(group, _)
            | Self::Remove(group, _)
            | Self::Replace(group, _)
            | Self::Put(group, _)
            | Self::Rename(group)
            | Self::DeleteGroup(group) => Some(group),
            _ => None,
        }
    }

    pub(super) fn user(&self) -> Option<&String> {
        match self {
            Self::CreateUser(user)
            | Self::PutUser(user)
            | Self::Activate(user, _)
            | Self::DeleteUser(user)
            | Self::Role(user, _)
            | Self::Title(user, _) => Some(user),
            _ => None,
        }
    }

    /// Who leaves by it.
    pub(super) fn ends(&self) -> Option<&String> {
        match self {
            Self::Activate(user, false) | Self::DeleteUser(user) => Some(user),
            _ => None,
        }
    }

    /// What it makes of a pair, if anything.
    pub(super) fn pair(&self, group: &str, account: &str) -> Option<bool> {
        if let Self::DeleteUser(user) = self {
            return (user == account).then_some(false);
        }
        if self.group().is_none_or(|own| own != group) {
            return None;
        }
        match self {
            Self::CreateGroup(_, set) | Self::Replace(_, set) | Self::Put(_, set) => {
                Some(set.contains(account))
            }
            Self::Add(_, set) => set.contains(account).then_some(true),
            Self::Remove(_, set) => set.contains(account).then_some(false),
            Self::DeleteGroup(_) => Some(false),
            _ => None,
        }
    }

    /// What it makes of an account, if anything.
    pub(super) fn account(&self, account: &str) -> Option<bool> {
        match self {
            Self::CreateUser(user) if user == account => Some(true),
            Self::Activate(user, on) if user == account => Some(*on),
            Self::DeleteUser(user) if user == account => Some(false),
            _ => None,
        }
    }

    /// What SCIM shows of an account's role and title after it, if it decides that.
    pub(super) fn fields(&self, account: &str) -> (Option<Option<&str>>, Option<Option<&str>>) {
        match self {
            // A PUT says nothing of them either.
            Self::CreateUser(user) | Self::PutUser(user) if user == account => {
                (Some(None), Some(None))
            }
            Self::Role(user, role) if user == account => (Some(Some(role)), None),
            Self::Title(user, title) if user == account => (None, Some(title.as_deref())),
            _ => (None, None),
        }
    }

    /// Whether a group is there after it, if it decides that.
    pub(super) fn existence(&self, group: &str) -> Option<bool> {
        match self {
            Self::CreateGroup(own, _) if own == group => Some(true),
            Self::DeleteGroup(own) if own == group => Some(false),
            _ => None,
        }
    }
}

impl Entry {
    /// It changes nothing, as whoever sent it was told.
    pub(super) fn is_void(&self) -> bool {
        matches!(self.ended, End::Needless | End::Stopped { .. })
    }

    pub(super) fn surety(&self) -> Surety {
        match &self.ended {
            // What a deleted user was a member of is worked off later.
            End::Done { pending: false, .. } if !matches!(self.act, Act::DeleteUser(_)) => {
                Surety::Confirmed
            }
            End::Done { .. } | End::AllBut(_) => Surety::Acknowledged,
            _ => Surety::Maybe,
        }
    }

    pub(super) fn surety_of(&self, account: &str) -> Surety {
        match &self.ended {
            End::AllBut(members) if members.contains(account) => Surety::Maybe,
            _ => self.surety(),
        }
    }
}

/// Names refused members by name, from the ids in the answer.
pub(super) fn refused(failure: &Failure, known: &[(String, String)]) -> End {
    match failure {
        Failure::Problem(problem) => {
            let text = &problem.detail;
            let is_nothing = text.contains("othing was changed");
            if problem.status == 403 && is_nothing {
                let held = text.split_once("It is held as ");
                let held = held.and_then(|(_, id)| id.split(' ').next());
                return End::Stopped {
                    held: held.map(str::to_owned),
                };
            }
            if !text.contains("every other change") {
                return End::Refused;
            }
            let named = known.iter().filter(|(_, id)| text.contains(id.as_str()));
            End::AllBut(named.map(|(name, _)| name.clone()).collect())
        }
        Failure::Later { detail, .. } if detail.contains("could not be read") => End::Needless,
        other => End::Failed(other.to_string()),
    }
}

/// What a client does next, and how long it waits before.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) wait: u64,
    pub(super) act: Act,
    /// It does not wait for the answer for longer than this.
    pub(super) patience: Option<u64>,
}

/// `count` requests of one seed.
pub(super) fn script(
    count: usize,
    (accounts, groups): (&[String], &[String]),
    kind: Kind,
) -> Vec<Step> {
    let mut acts = Vec::with_capacity(count + 1);
    acts.extend(accounts.iter().take(4).cloned().map(Act::CreateUser));
    acts.extend(groups.iter().take(2).map(|group| {
        let members = accounts.iter().take(3).cloned().collect();
        Act::CreateGroup(group.clone(), members)
    }));
    while acts.len() < count {
        draw(accounts, groups, &mut acts);
    }
    acts.truncate(count);
    if kind == Kind::Roles {
        for act in acts.iter_mut().skip(6).filter(|_| chance(50)) {
            *act = fields(pick(accounts).clone());
        }
    }
    let step = |act| Step {
        wait: *pick(&[0, 0, 3, 30, 300, 1_500]),
        act,
        patience: chance(4).then(|| below(400)),
    };
    acts.into_iter().map(step).collect()
}

fn fields(account: String) -> Act {
    match below(5) {
        0..3 => Act::Role(account, (*pick(&["boss", "user", "guest"])).into()),
        3 => Act::Title(account, Some((*pick(&["one", "other"])).into())),
        _ => Act::Title(account, None),
    }
}

fn draw(accounts: &[String], groups: &[String], acts: &mut Vec<Act>) {
    let account = pick(accounts).clone();
    let group = pick(groups).clone();
    let some: BTreeSet<String> = (0..=below(4)).map(|_| pick(accounts).clone()).collect();
    match below(24) {
        0..7 => acts.push(Act::Add(group, some)),
        7..12 => acts.push(Act::Remove(group, some)),
        12..15 => acts.push(Act::Replace(group, some)),
        15 => acts.push(Act::Put(group, some)),
        16 => acts.push(Act::Rename(group)),
        17 => acts.push(Act::PutUser(account)),
        18 => acts.push(Act::Activate(account, false)),
        19 => acts.push(Act::Activate(account, true)),
        20 => acts.push(Act::CreateUser(account)),
        21 => acts.push(Act::CreateGroup(group, some)),
        22 => {
            acts.push(Act::DeleteUser(account.clone()));
            acts.push(Act::CreateUser(account));
        }
        _ => {
            acts.push(Act::DeleteGroup(group.clone()));
            acts.push(Act::CreateGroup(group, some));
        }
    }
}
