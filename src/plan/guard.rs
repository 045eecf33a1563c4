//! The guard rails against mass removal as a judgement (reliability: section
//! 6): from what a change takes away and what went before it in the window, to
//! whether it may, waits for a human, or never may.
//!
//! Total and pure. Adding is never judged. What goes with a user who leaves is
//! no removal from a group. Everything counts for G-2 in whatever order it
//! comes, but a single leaver goes through a full window, and through recovery,
//! so that the guard rails do not become the delay of a revocation (G-4).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::scim::{
    filter::fold_case,
    resource::{ResourceId, ResourceType},
};

mod roles;
#[cfg(test)]
mod tests;
mod words;

pub use roles::Roles;

/// How much may go in a while: whichever of the two is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub more_than: u64,
    /// Of what there was when the window began.
    pub percent: u8,
    pub within: Duration,
}

impl Limit {
    /// The most that may go of so many.
    pub fn most(&self, size: u64) -> u64 {
        let share = u128::from(size) * u128::from(self.percent) / 100;
        self.more_than.max(u64::try_from(share).unwrap_or(u64::MAX))
    }
}

/// The guard rails of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Without the limits there still is what is protected.
    pub enabled: bool,
    /// From one group (G-1).
    pub group_removals: Limit,
    /// In the whole connection (G-2).
    pub removals: Limit,
    /// A group of so many members is not emptied or deleted (G-3).
    pub empty_from: u64,
    pub protected: Protected,
    /// The application's, not configured.
    pub roles: Roles,
}

impl Default for Guard {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self {
            enabled: true,
            group_removals: Limit {
                more_than: 10,
                percent: 20,
                within: hour,
            },
            removals: Limit {
                more_than: 50,
                percent: 5,
                within: hour,
            },
            empty_from: 10,
            protected: Protected::default(),
            roles: Roles::default(),
        }
    }
}

impl Guard {
    /// Only what is protected.
    pub fn off() -> Self {
        Self {
            enabled: false,
            ..Self::default()
        }
    }

    /// Whether there is anything to judge at all.
    pub fn is_idle(&self) -> bool {
        !self.enabled && self.protected.is_empty()
    }
}

/// Whom and what nobody takes away, an operator's approval neither (G-5). All
/// names as [`fold_case`] makes them, so that no other spelling of a name slips
/// by: a user's id, userName or account, a group's id, displayName or name in
/// the application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protected {
    pub users: BTreeSet<String>,
    /// Never deleted and never without an active member.
    pub groups: BTreeSet<String>,
    /// Never with fewer active members than this.
    pub least_members: BTreeMap<String, u64>,
}

impl Protected {
    /// By names as somebody wrote them.
    pub fn named<'n>(
        users: &[String],
        groups: &[String],
        least_members: impl IntoIterator<Item = (&'n str, u64)>,
    ) -> Self {
        let folded = |names: &[String]| names.iter().map(|name| fold_case(name)).collect();
        let mut protected = Self {
            users: folded(users),
            groups: folded(groups),
            least_members: BTreeMap::new(),
        };
        for (name, least) in least_members {
            // Of two spellings of one name the stricter holds.
            let kept = protected.least_members.entry(fold_case(name)).or_default();
            *kept = least.max(*kept);
        }
        protected
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && !self.has_groups()
    }

    pub fn has_groups(&self) -> bool {
        !(self.groups.is_empty() && self.least_members.is_empty())
    }

    pub fn is_user<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> bool {
        !self.users.is_empty()
            && names
                .into_iter()
                .any(|name| self.users.contains(&fold_case(name)))
    }

    /// What its groups are called by.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups
            .iter()
            .chain(self.least_members.keys())
            .map(String::as_str)
    }

    /// How many active members a group keeps; `None` when it is not protected.
    pub fn least<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<u64> {
        if !self.has_groups() {
            return None;
        }
        let of = |name: &str| {
            let name = fold_case(name);
            let listed = self.groups.contains(&name).then_some(1);
            listed.max(self.least_members.get(&name).copied())
        };
        names.into_iter().filter_map(of).max()
    }
}

/// What a change takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// Members who are active go from a group of `size` that keeps `left`: none
    /// if no active one is among them.
    Members {
        going: u64,
        size: u64,
        left: u64,
    },
    /// A group goes with its members.
    Group {
        size: u64,
    },
    /// A user's access to the application.
    Access,
    /// What a user's site role allows.
    Role,
    Nothing,
}

impl Taking {
    /// What it counts in the connection's window: a group without members is
    /// still a group.
    pub fn weight(self) -> u64 {
        match self {
            Self::Members { going, .. } => going,
            Self::Group { size } => size.max(1),
            Self::Access | Self::Role => 1,
            Self::Nothing => 0,
        }
    }

    pub fn is_nothing(self) -> bool {
        self.weight() == 0
    }

    /// What it counts in the group's window.
    pub fn weight_in_group(self) -> u64 {
        match self {
            Self::Members { going, .. } => going,
            Self::Group { size } => size,
            Self::Access | Self::Role | Self::Nothing => 0,
        }
    }
}

/// What went before, in the windows that end now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Nobody has said yet that this database and this application belong
    /// together (G-7).
    pub recovery: bool,
    /// In recovery, because it is rather another application or tenant: not
    /// even a single leaver is this one's.
    pub foreign: bool,
    /// A larger removal from this group waits for an operator.
    pub waiting: bool,
    /// Gone from the group, and its size when the window began.
    pub from_group: u64,
    pub group_size: u64,
    /// Gone in the connection, all together and users alone, and how many
    /// users there are.
    pub from_all: u64,
    pub leavers: u64,
    pub users: u64,
}

/// The rules, by what they look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// G-1.
    GroupRemovals,
    /// G-1: what comes after a removal that was too large goes the same way.
    Waiting,
    /// G-2.
    Removals,
    /// G-3.
    EmptyFrom,
    /// G-7.
    Recovery,
    /// G-7, of somebody who leaves.
    Foreign,
}

impl Rule {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GroupRemovals => "group_removals",
            Self::Waiting => "waiting",
            Self::Removals => "removals",
            Self::EmptyFrom => "empty_from",
            Self::Recovery => "recovery",
            Self::Foreign => "foreign",
        }
    }

    /// Whether what follows in the same group waits too.
    pub fn holds_the_group(self) -> bool {
        matches!(self, Self::GroupRemovals | Self::EmptyFrom)
    }
}

/// A rule that a change would break, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    pub rule: Rule,
    /// What the change takes, and what went before it in the window.
    pub taking: u64,
    pub taken: u64,
    /// What there is or was of it, and the most that may go.
    pub size: u64,
    pub most: u64,
    pub within_seconds: u64,
}

impl Guard {
    /// Whether a change may take what it takes.
    pub fn judge(&self, taking: Taking, history: &History) -> Result<(), Over> {
        if !self.enabled || taking.is_nothing() {
            return Ok(());
        }
        if let Taking::Access = taking {
            return self.judge_leaver(history);
        }
        if history.recovery {
            return Err(self.over(Rule::Recovery, taking, history));
        }
        let was = history.group_size;
        let empties = match taking {
            Taking::Members { size, left, .. } => left == 0 && size.max(was) >= self.empty_from,
            Taking::Group { size } => size > 0 && size.max(was) >= self.empty_from,
            Taking::Access | Taking::Role | Taking::Nothing => false,
        };
        if empties {
            return Err(self.over(Rule::EmptyFrom, taking, history));
        }
        let in_group = self.over(Rule::GroupRemovals, taking, history);
        if in_group.taken.saturating_add(in_group.taking) > in_group.most {
            return Err(in_group);
        }
        if history.waiting && taking.weight_in_group() > 0 {
            return Err(self.over(Rule::Waiting, taking, history));
        }
        let in_all = self.over(Rule::Removals, taking, history);
        if in_all.taken.saturating_add(in_all.taking) > in_all.most {
            return Err(in_all);
        }
        Ok(())
    }

    /// Whether so many accounts may be ended at once beside what went before.
    pub fn may_end(&self, accounts: u64, history: &History) -> bool {
        let most = self.removals.most(history.users);
        !self.enabled || history.from_all.saturating_add(accounts) <= most
    }

    /// Who leaves alone is not held back by what others lost.
    fn judge_leaver(&self, history: &History) -> Result<(), Over> {
        if history.foreign {
            return Err(self.over(Rule::Foreign, Taking::Access, history));
        }
        let over = self.over(Rule::Removals, Taking::Access, history);
        let together = over.taken.saturating_add(1) > over.most && history.leavers > 0;
        if together || history.leavers.saturating_add(1) > over.most {
            return Err(over);
        }
        Ok(())
    }

    fn over(&self, rule: Rule, taking: Taking, history: &History) -> Over {
        let whole = rule == Rule::Removals;
        let (limit, size) = if whole {
            (&self.removals, history.users)
        } else {
            (&self.group_removals, history.group_size)
        };
        let (weight, taken) = if whole {
            (taking.weight(), history.from_all)
        } else {
            (taking.weight_in_group(), history.from_group)
        };
        Over {
            rule,
            taking: weight,
            taken,
            size,
            most: limit.most(size),
            within_seconds: limit.within.as_secs(),
        }
    }
}

/// What a write does to whom, in ids: the plan of a hold, and what is told of
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    #[serde(with = "words::kind")]
    pub of: ResourceType,
    pub id: ResourceId,
    pub act: Deed,
    /// Members of a group; of a user who loses access, the groups it is in.
    pub added: u64,
    pub removed: u64,
    /// Of those who are added and removed, the first so many.
    pub adds: Vec<ResourceId>,
    pub removes: Vec<ResourceId>,
    /// The members of the group afterwards.
    pub left: u64,
    /// Names of the attributes that it changes.
    #[serde(default)]
    pub sets: Vec<String>,
}

/// The most ids in a plan.
pub const LISTED: usize = 1_000;

/// What a write does to its resource as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    Change,
    Delete,
    /// Of a user.
    Deactivate,
    /// Of a user, who can do less by its site role.
    Lower,
}

/// What a write would do now, and the rule that would stop it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    pub effect: Effect,
    pub over: Option<Over>,
}

/// Too much: a rule and what would have broken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    pub over: Over,
    pub effect: Effect,
    pub moved: Moved,
    /// An operator has approved another one.
    pub anew: Option<Anew>,
}

/// Everybody who loses something by a write, and whom it adds to a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// With a user who loses access, the groups it is in.
    pub takes: Vec<ResourceId>,
    pub gives: Vec<ResourceId>,
    /// The attributes that it changes, each with a digest of the value it has before.
    pub sets: BTreeMap<String, [u8; 32]>,
}

/// By how much that is more than what was shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anew {
    pub takes: u64,
    pub gives: u64,
    /// Groups of a user who loses access.
    pub groups: u64,
    pub sets: Vec<String>,
}

impl Anew {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Something that is protected, and how (G-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Would be removed, deactivated or deleted.
    User(ResourceId),
    /// Would have a lower site role.
    Role(ResourceId),
    /// Would get another name, by which it is not protected any more.
    Renamed(ResourceType, ResourceId),
    /// Would be deleted.
    Group(ResourceId),
    /// Would be deleted with somebody in it who is a member only there.
    Within(ResourceId),
    /// Would keep fewer active members than this who are known to be there in
    /// the application.
    Least(ResourceId, u64),
    /// Would lose somebody of whom it was not known that they are in it, so that nobody
    /// can tell who else is.
    Unread(ResourceId),
}
