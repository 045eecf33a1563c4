//! What a reconciliation asks of the store, what it found, and what was done
//! about it. Found things are kept, as the checkpoint of one that has not ended
//! and to tell the operator; so they hold ids and counts, and names of groups.

use serde::{Deserialize, Serialize};

use super::{Again, Lane, Millis, Returned, Why};
use crate::{
    plan::{
        drift::{self, Shrunk},
        state::GroupKey,
    },
    scim::resource::ResourceId,
};

/// A group that can be compared with the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconcilable {
    pub group: GroupKey,
    pub id: ResourceId,
    /// The application's name for it.
    pub name: String,
    /// Its displayName here.
    pub shown_as: String,
    /// What one that was made from here is called, where the application gives ids
    /// and it has been told.
    pub title: Option<String>,
}

/// What a reconciliation found, or has found so far; lists are cut at
/// [`Drifted::SHOWN`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drifted {
    pub started: Millis,
    /// `None` while it has not ended; then `after` is how far it came.
    pub ended: Option<Millis>,
    pub after: i64,
    pub groups: u64,
    /// Whether it was to repair, or only to tell.
    pub applied: bool,
    /// Memberships that were there when last observed.
    pub compared: u64,
    /// Such that were asked for and are gone, and such that were only ever
    /// found.
    pub missing: u64,
    pub gone: u64,
    /// Of those, such about which nothing was done.
    pub left: u64,
    /// Such as are, or would be, no memberships any more because the
    /// application shows none.
    pub ended_here: u64,
    /// Groups of which not all was settled, as they were written meanwhile.
    pub overtaken: u64,
    /// Groups that are not there any more, and memberships of theirs.
    pub groups_missing: u64,
    pub without_group: u64,
    /// Groups that the configuration leaves out, which are not compared, and
    /// memberships that are asked for in them.
    pub groups_left_out: u64,
    pub asked_in_left_out: u64,
    /// Groups that are there and could not be read, which are not compared.
    pub groups_unread: u64,
    /// Members nobody asked for; those of them whose membership was taken away here
    /// before.
    pub unasked: u64,
    pub given_back: u64,
    /// Accounts that should be there, such that are gone, and such that were
    /// ended and are back.
    pub accounts: u64,
    pub accounts_missing: u64,
    pub accounts_back: u64,
    /// Groups that are gone, by their ids, with how many memberships; not all of them
    /// where they are many.
    pub groups_gone: Vec<(String, u64)>,
    /// Such that are gone, as it is noted of their users.
    pub accounts_noted: u64,
    /// Of those, such as are too many to be ended again at once or are only
    /// told, and such as are protected.
    pub accounts_held: u64,
    pub accounts_protected: u64,
    /// Their users' ids.
    pub back: Vec<String>,
    /// Users who left, whose end the guard rails kept, and who are ended as an operator
    /// says so.
    pub accounts_let_go: u64,
    /// Families that the application does not show any more and that are gone as an
    /// operator says, by its ids.
    pub families_lost: Vec<String>,
    /// Users and Groups that were deleted here, of whom an account, or one of its name,
    /// is there.
    pub users_returned: u64,
    pub groups_returned: u64,
    pub users_again: Vec<Again>,
    pub groups_again: Vec<Again>,
    /// Group by group, where there is something to tell.
    pub details: Vec<DriftedGroup>,
    /// And how many such groups more there are.
    pub more_details: u64,
    /// Groups that lost too much to be believed at once.
    pub shrunk: Vec<Shrunk>,
}

impl Drifted {
    pub const SHOWN: usize = 200;

    /// Tells of a group, of what is to be looked at before what is only told.
    pub fn tell(&mut self, group: DriftedGroup) {
        if self.details.len() >= Self::SHOWN {
            self.more_details += 1;
            let last = self.details.iter().rposition(DriftedGroup::is_only_told);
            let Some(last) = last.filter(|_| !group.is_only_told()) else {
                return;
            };
            self.details.remove(last);
        }
        self.details.push(group);
    }

    /// A group that is gone there is done with: it was deleted here as well, or is there
    /// again. Whether it was told.
    pub fn settle_group(&mut self, id: &str) -> bool {
        let told = self.groups_gone.iter().position(|(group, _)| group == id);
        let Some((_, memberships)) = told.map(|at| self.groups_gone.remove(at)) else {
            return false;
        };
        self.without_group = self.without_group.saturating_sub(memberships);
        self.groups_missing = self.groups_missing.saturating_sub(1);
        true
    }

    /// Whether it is a checkpoint, to be gone on from.
    pub fn goes_on(&self) -> bool {
        self.ended.is_none() && self.after > 0
    }

    /// Whether there is anything to put right.
    pub fn is_drift(&self) -> bool {
        self.missing + self.gone + self.accounts_back > 0
    }

    /// Whether there was nothing to compare, which says nothing.
    pub fn is_of_nothing(&self) -> bool {
        self.compared + self.accounts + self.groups == 0
    }

    /// What is as little there afterwards as before.
    pub fn left(&self) -> Left {
        Left {
            accounts: self.accounts_missing,
            back: self.accounts_held + self.accounts_protected,
            groups: self.groups_missing,
            memberships: self.left + self.without_group,
            unread: self.groups_unread,
        }
    }

    /// What is there though it was taken away here.
    pub fn returned(&self) -> Returned {
        Returned {
            memberships: self.given_back,
            users: self.users_returned,
            groups: self.groups_returned,
        }
    }

    /// In which doubt; see [`Self::is_doubtful`].
    pub fn doubt(&self) -> Why {
        if is_foreign(self.accounts_missing, self.accounts) {
            Why::AnotherTenant
        } else {
            Why::TooMuchDrift
        }
    }

    /// Too much to be a change behind the bridge's back: database and
    /// application may not belong together.
    pub fn is_doubtful(&self) -> bool {
        let off = self.missing + self.gone + self.without_group;
        drift::is_doubtful(off, self.compared)
            || drift::is_doubtful(
                self.accounts_missing + self.accounts_back,
                self.accounts + self.accounts_back,
            )
    }
}

/// More of the accounts than of any drift are not there: it is rather another
/// tenant.
fn is_foreign(missing: u64, of: u64) -> bool {
    missing * 2 > of && drift::is_doubtful(missing, of)
}

/// What is not in the application as the identity providers were told, and
/// nobody is about to put right: what is not there, and accounts that are back; and
/// of what groups nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    pub accounts: u64,
    pub back: u64,
    pub groups: u64,
    pub memberships: u64,
    pub unread: u64,
}

impl Left {
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// One group of [`Drifted`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftedGroup {
    pub group: String,
    pub name: String,
    /// Its displayName here.
    #[serde(default)]
    pub shown_as: String,
    /// Ids of users.
    pub missing: Vec<String>,
    pub gone: Vec<String>,
    pub unasked: u64,
    /// Those of them who are users here and were never asked for, some of them where
    /// they are many.
    pub unasked_users: Vec<String>,
    /// And those whose membership was taken away here.
    #[serde(default)]
    pub given_back: Vec<GivenBack>,
    /// Accounts of Users who were deleted here, that are there.
    #[serde(default)]
    pub deleted: Vec<DeletedBack>,
    /// The configuration leaves it out: how many are asked for in it.
    #[serde(default)]
    pub left_out: Option<u64>,
    /// How many there are of each besides those who are named: of who was only never
    /// asked for, and of who was taken out here.
    #[serde(default)]
    pub more_unasked: u64,
    #[serde(default)]
    pub more_taken_away: u64,
    /// Why nothing is done about it, if so.
    pub held: Option<String>,
}

impl DriftedGroup {
    /// Nothing of it is missing, kept, given back or unknown.
    fn is_only_told(&self) -> bool {
        let none = self.missing.is_empty() && self.gone.is_empty() && self.given_back.is_empty();
        none && self.deleted.is_empty() && self.held.is_none()
    }
}

/// A membership that was taken away here and is there: somebody has given it back,
/// or the application kept it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenBack {
    pub user: String,
    pub removed: Millis,
}

/// An account, by the application's id, whose User was deleted here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedBack {
    pub account: String,
    pub removed: Millis,
}

/// What to do about what differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settle {
    /// What was asked for and is gone is not asked for any more.
    pub accept: bool,
    /// An operator believes it, also of who is protected.
    pub believed: bool,
    /// Two readings further apart than one can lag miss these, and nothing was asked of
    /// them in between, whatever was written of others in the group. Ends nothing.
    pub untouched: bool,
}

/// What was done about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    pub wanted_again: usize,
    pub accepted: usize,
    pub forgotten: usize,
    pub ended_again: usize,
    /// Such as are protected, and such as are too many at once: not done.
    pub protected: usize,
    pub held: usize,
    /// Nothing was done: the group was written after the reading began.
    pub overtaken: bool,
    /// Lanes that have work because of it.
    pub lanes: Vec<Lane>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_counted_and_is_what_matters_least() {
        let strangers = |n: usize| DriftedGroup {
            name: format!("g{n}"),
            unasked: 1,
            ..DriftedGroup::default()
        };
        let mut found = Drifted::default();
        (0..Drifted::SHOWN + 3).for_each(|n| found.tell(strangers(n)));
        assert_eq!((found.details.len(), found.more_details), (200, 3));
        let back = GivenBack {
            user: "ann".to_owned(),
            removed: 1,
        };
        found.tell(DriftedGroup {
            given_back: vec![back],
            ..strangers(999)
        });
        assert_eq!((found.details.len(), found.more_details), (200, 4));
        let names: Vec<&str> = found.details.iter().map(|it| &*it.name).collect();
        assert_eq!((names[198], names[199]), ("g198", "g999"));
        let held = |n| DriftedGroup {
            held: Some("it could not be read".to_owned()),
            ..strangers(n)
        };
        (0..Drifted::SHOWN).for_each(|n| found.tell(held(n)));
        assert_eq!((found.details.len(), found.more_details), (200, 204));
        assert_eq!(found.details[0].name, "g999", "and those stay");
    }
}
