//! What the application has, as an import found it.

use crate::{
    plan::{
        listing::List,
        state::{Family, GroupKey, ObservedAccount, Principal},
    },
    scim::resource::ResourceId,
};

use super::{GroupRow, Returned, UserRow};

/// A place in the history of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImportMark(pub i64);

/// A user or group found upstream, to be made visible as a SCIM resource.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundUser {
    pub id: ResourceId,
    pub row: UserRow,
    pub observed: ObservedAccount,
    pub upstream_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FoundGroup {
    pub id: ResourceId,
    pub row: GroupRow,
    pub read_only: Option<String>,
    pub family: Option<Family>,
    /// Present members: (application id, account key); those that are no
    /// known user are counted, not kept.
    pub members: Vec<(Option<String>, Option<String>)>,
}

/// What an import changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    pub users_seen: u64,
    pub users_new: u64,
    pub groups_seen: u64,
    pub groups_new: u64,
    pub members_new: u64,
    /// Members whose accounts are not on the list of accounts, so that no User is them.
    pub members_unknown: u64,
    /// Users and groups that are not shown as they are, because others have
    /// names that compare equal, or the same address; an import counts such members,
    /// too.
    pub unshown: u64,
    /// What is not there any more and not believed to be gone.
    pub doubted: u64,
    /// Groups that were known to be gone and are shown again.
    pub back: u64,
    /// Groups whose members could not be read, and are here as they were.
    pub unread: u64,
    /// Users whom the application shows with several groups of a family, which
    /// excludes them; their memberships there are here as they were.
    pub several: u64,
    /// What is there though it was taken away here before the reading began.
    pub returned: Returned,
}

/// A group with members whose accounts are not on the list of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithUnknown {
    pub group: ResourceId,
    pub name: String,
    pub members: u64,
}

/// A membership that was only found and is about to be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    pub group: GroupKey,
    /// The application's name for it.
    pub name: String,
    pub who: Principal,
}

/// What is not on a list of the application any more, by the keys of its rows:
/// of users, or of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    pub list: List,
    pub keys: Vec<i64>,
}
