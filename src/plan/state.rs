//! The two sides of every difference: what the identity provider asked for
//! (desired) and what the application last showed or confirmed (observed).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::scim::resource::ResourceId;

/// The store's handle of a connection. Never leaves the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionKey(pub i64);

/// The store's handle of a user row. Never leaves the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserKey(pub i64);

/// The store's handle of a group row. Never leaves the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKey(pub i64);

/// What the application can hold of a user: the desired projection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Account {
    pub active: bool,
    /// The application's site-wide role.
    pub role: Option<String>,
    /// Fields the application lets us change later, by the application's
    /// names. An absent key is "never set"; clearing is a diff like any other.
    pub profile: BTreeMap<String, String>,
    /// Fields only taken at creation; never compared afterwards.
    pub creation: BTreeMap<String, String>,
}

impl Account {
    /// The part of the profile that creating the account already tells.
    pub fn carried_by_creation(&self) -> BTreeMap<String, String> {
        let carried = self
            .profile
            .iter()
            .filter(|(key, value)| self.creation.get(*key) == Some(*value));
        carried
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

/// Whether a thing is there, as far as we know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Existence {
    #[default]
    Absent,
    Present,
    /// A write may or may not have happened: never assume.
    Unknown,
}

/// What the application last showed or confirmed of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObservedAccount {
    /// `Present` means there and active; a deactivated account is `Absent`.
    pub existence: Existence,
    /// The account was deactivated after having been there, so activating it
    /// again is a reactivation.
    #[serde(default)]
    pub deactivated: bool,
    /// `None`: not known (most applications do not show it).
    pub role: Option<String>,
    /// `None`: not known. Otherwise the values last confirmed.
    pub profile: Option<BTreeMap<String, String>>,
    /// A profile record is known to be there.
    #[serde(default)]
    pub record: bool,
    /// A reconciliation has told that it is not there, and left it so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
    /// The last role that was known, where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_before: Option<String>,
    /// A call may have given it one, and may yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_have_role: bool,
    /// Fields of the profile that may have a value there, where it is not known: they
    /// had one, or a call has named them of which no answer came.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub may_have: BTreeSet<String>,
    /// A profile that was refused of an account that a rule keeps, so that it is not
    /// sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<BTreeMap<String, String>>,
}

impl ObservedAccount {
    /// Role and profile are as somebody has left them.
    pub fn forget_fields(&mut self) {
        self.role_before = self.role.take().or(self.role_before.take());
        let known = self.profile.take().into_iter().flatten();
        let valued = known.filter(|(_, value)| !value.is_empty());
        self.may_have.extend(valued.map(|(field, _)| field));
    }

    /// It was made anew, so no role of before counts.
    pub fn forget_role(&mut self) {
        (self.role, self.role_before) = (None, None);
    }

    /// Something may have been given to it by calls about an account that was there
    /// before.
    pub fn inherit(&mut self, before: &Self) {
        self.may_have_role |= before.may_have_role;
        self.may_have.extend(before.may_have.iter().cloned());
    }

    /// Of whom no role is said: whether the plain one is, as another may be there.
    pub fn lacks_plain_role(&self) -> bool {
        self.existence == Existence::Present && self.role.is_none() && self.may_have_role
    }

    /// The role, or the last one that was known.
    pub fn last_role(&self) -> Option<&str> {
        self.role.as_deref().or(self.role_before.as_deref())
    }

    /// Fields that are to be cleared, as they have a value or may have one.
    pub fn to_clear(&self, wanted: &BTreeMap<String, String>) -> BTreeSet<&String> {
        let valued: BTreeSet<&String> = match &self.profile {
            Some(known) => {
                let valued = known.iter().filter(|(_, value)| !value.is_empty());
                valued.map(|(field, _)| field).collect()
            }
            None => self.may_have.iter().collect(),
        };
        let is_left = |field: &&String| !wanted.contains_key(*field);
        valued.into_iter().filter(is_left).collect()
    }
}

/// Groups that are exclusive alternatives: in the application a user has one of
/// them at most, as of the roles in one Snyk Group. Here a user may be asked
/// for in several. A pair of a family means "at least this one": it is
/// satisfied by any group of the family that stands before it, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    pub name: String,
    /// 0 stands before all others.
    pub rank: u32,
}

/// A user as the application must be told of it in a membership call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    pub user: UserKey,
    pub id: ResourceId,
    /// The application's natural key of the account (Opsera: the e-mail).
    pub account: String,
    /// The application's own id, where it was learned.
    pub upstream_id: Option<String>,
    /// In a call about a group of a [`Family`], the application's name of the
    /// group that the user is to have when the call is done; `None`: none, or
    /// there is no family. [`Operation::AddMembers`] makes it this one unless
    /// the user has the call's own group or one before it that is not given up;
    /// [`Operation::RemoveMembers`] makes it this one, or none, if the user has just
    /// the call's own group, and else does nothing.
    ///
    /// [`Operation::AddMembers`]: super::operation::Operation::AddMembers
    /// [`Operation::RemoveMembers`]: super::operation::Operation::RemoveMembers
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<String>,
    /// In such a call, groups of the family that give way to what counts: that the
    /// user is asked for in and that the configuration offers no more, as what is
    /// there of them was given from here; and one that nobody asked for, where the
    /// guard lets it be taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<String>,
    /// In the end of a user, families in which another connection asks for it,
    /// and groups of families that another one manages, but for what this one
    /// asked for: what is there of them is not its to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<String>,
    /// In the end of a user, groups of families that it keeps for now, each with
    /// whatever there is of it in that family; it may sign in still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeps: Vec<String>,
    /// In the end of a user, families of which the user has something or is shown to:
    /// what is there of them goes, also where nothing lists them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<String>,
    /// In the end of a user, other accounts with the user's address, by the
    /// application's ids: nothing is left to them either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub twins: Vec<String>,
    /// In a call about a group of a family: the user is known to be in some group
    /// of it.
    #[serde(skip)]
    pub has: bool,
    /// In such a call, which one that is, as an answer of the application told.
    #[serde(skip)]
    pub holding: Option<Holding>,
    /// In [`Operation::RemoveMembers`] of such a group, what the user is to have where
    /// nothing counts.
    ///
    /// [`Operation::RemoveMembers`]: super::operation::Operation::RemoveMembers
    #[serde(skip)]
    pub fallback: Option<Fallback>,
}

/// What a user had of a [`Family`] before a call of this connection, by what another
/// one has found. It is fallen back to only from the very same membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The application's name of the group.
    pub group: String,
    /// See [`Holding::id`].
    pub id: String,
}

/// What a user has of a [`Family`], as an answer of the application told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The application's id of the account.
    pub account: String,
    /// The application's id of what binds the account to the group.
    pub id: String,
    /// The application's name of the group.
    pub group: String,
    /// How long ago that was told; `None`: it may be another group by now.
    pub age: Option<Duration>,
    /// The application's names of groups that it was before calls of this process.
    pub formerly: Vec<String>,
}

/// Everything the plan needs to know of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserWork {
    pub principal: Principal,
    /// Desired. `active` is false for a deleted user.
    pub wanted: Account,
    pub observed: ObservedAccount,
    /// The SCIM resource was deleted.
    pub deleted: bool,
    /// Of a user who is not to have access: the application's names of the
    /// groups that it is or may be in because it was asked for.
    pub memberships: Vec<String>,
}

/// How the application knows a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Naming {
    /// By a name that follows from what it was called when it was made.
    #[default]
    Rule,
    /// By an id that the application gives.
    Given(Given),
}

/// A group that the application knows by an id that it gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Given {
    /// What it is to be called.
    pub title: String,
    /// What it was called in the creation that was begun last.
    pub made_as: Option<String>,
    /// The id has been learned; otherwise [`GroupWork::name`] means nothing.
    pub known: bool,
    /// The application may call it otherwise.
    pub renamed: bool,
    /// When it was asked for first, in milliseconds; what is older was not made
    /// for it.
    pub since: i64,
}

/// Everything the plan needs to know of one group: only what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupWork {
    pub group: GroupKey,
    pub id: ResourceId,
    /// The application's name for it, fixed at creation.
    pub name: String,
    pub naming: Naming,
    /// False when the SCIM resource was deleted.
    pub wanted: bool,
    /// It is not to be deleted for all that, as that was refused or is withheld:
    /// only who leaves is taken out.
    pub kept: bool,
    pub observed: Existence,
    /// The application once confirmed or showed it as this group.
    pub made: bool,
    /// Members to be present upstream that are not known to be, whose account
    /// is known to be present.
    pub adds: Vec<Principal>,
    /// Members to be absent upstream that are not known to be.
    pub removes: Vec<Principal>,
    /// So many of them, the first, were asked for by requests that add nobody:
    /// they wait for no addition.
    pub alone: usize,
    /// So many of the additions, the first, are of requests that remove somebody,
    /// too: no removal waits for the others.
    pub first: usize,
    /// The whole desired set, filled in when [`prefers_replace`] said so.
    pub full: Option<Vec<Principal>>,
}

/// Whether one native replacement may be better than adding and removing: only
/// when the client replaced the whole set, both directions are needed, nobody
/// unmanaged would be thrown out, and its body stays in proportion to the
/// change (cost follows the size of the change, never of the group). That it
/// saves calls is for the plan to see, which knows the batches.
pub fn prefers_replace(
    whole: bool,
    unmanaged: bool,
    size: usize,
    adds: usize,
    removes: usize,
) -> bool {
    whole && !unmanaged && adds > 0 && removes > 0 && size <= 2 * (adds + removes) + 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creation_carries_what_is_the_same_in_it() {
        let fields = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            owned.collect()
        };
        let account = Account {
            profile: fields(&[("a", "1"), ("b", "2"), ("c", "3")]),
            creation: fields(&[("a", "1"), ("b", "other"), ("d", "4")]),
            ..Account::default()
        };
        assert_eq!(account.carried_by_creation(), fields(&[("a", "1")]));
    }

    #[test]
    fn a_replacement_is_preferred_where_it_saves_a_call_and_costs_little_more() {
        let prefers = |size| prefers_replace(true, false, size, 3, 4);
        assert!(prefers(0) && prefers(114) && !prefers(115));
        assert!(!prefers_replace(false, false, 10, 3, 4));
        assert!(!prefers_replace(true, true, 10, 3, 4), "somebody unmanaged");
        assert!(!prefers_replace(true, false, 10, 0, 4), "only removals");
        assert!(!prefers_replace(true, false, 10, 3, 0), "only adds");
    }
}
