//! Users and groups as they are kept, and how a write of one ends.

use serde::{Deserialize, Serialize};

use crate::{
    plan::{
        guard::{Excess, Protection, Rehearsal},
        state::{Account, ConnectionKey, GroupKey, ObservedAccount, UserKey},
    },
    scim::{
        error::Problem,
        patch::MemberChange,
        resource::{Attributes, ResourceId},
        tags::Tags,
    },
};

use super::{HoldState, Millis, StoreError, Watch};

/// Whom a write waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    Connection(ConnectionKey),
    /// One that is not configured any more; its last call that may take effect yet.
    Departed(Millis),
}

/// `meta` of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    pub created: Millis,
    pub modified: Millis,
    /// Bumped by every change of the resource; never reused.
    pub version: u64,
}

/// A resource as it is served; `attributes` is the JSON text of [`Attributes`]
/// exactly as stored, so that a plain read need not parse it. Groups carry no
/// members here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub id: ResourceId,
    pub meta: Meta,
    pub attributes: String,
}

/// `If-Match` / `If-None-Match` on a write, compared inside the transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Precondition {
    /// The write happens only when the version is one of these.
    pub if_match: Option<Vec<u64>>,
    /// The write does not happen when the version is one of these (an empty
    /// list stands for `*`: not when there is any).
    pub if_none_match: Option<Vec<u64>>,
}

impl Precondition {
    /// Of an operation in a bulk request.
    pub fn of_operation(version: Option<&str>) -> Result<Self, Problem> {
        Ok(Self::of(Tags::of_operation(version)?, None))
    }

    /// Of the two headers of a write.
    pub fn of(if_match: Option<Tags>, if_none_match: Option<Tags>) -> Self {
        Self {
            // `If-Match: *` asks that the resource exists, which every write does.
            if_match: match if_match {
                None | Some(Tags::Any) => None,
                Some(tags) => Some(tags.versions()),
            },
            if_none_match: match if_none_match {
                None => None,
                Some(Tags::Any) => Some(Vec::new()),
                // Foreign tags alone match nothing, and an empty list means `*`.
                Some(tags) => Some(tags.versions()).filter(|v| !v.is_empty()),
            },
        }
    }
}

/// Who asks, for the audit row written with every change and for the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The token's public id, or `import`, `operator`.
    pub name: String,
    pub at: Millis,
    /// How what is asked is watched.
    pub watch: Watch,
    /// A change says the whole resource.
    pub put: bool,
}

/// A user to be written: the attributes and what is indexed of them.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRow {
    pub attributes: Attributes,
    /// The application's key for it, fixed as soon as there is an account: a
    /// later write with another key keeps the old one.
    pub account_key: Option<String>,
    pub account: Account,
}

/// A stored user, for deciding a change.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredUser {
    pub key: UserKey,
    pub id: ResourceId,
    pub meta: Meta,
    pub row: UserRow,
    pub observed: ObservedAccount,
    /// There is, or was, an account that is known to be the user's.
    pub linked: bool,
    /// An account by that address may have been asked for, and be there or come yet.
    pub asked_for: bool,
}

/// A group to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRow {
    pub attributes: Attributes,
    /// The application's name for it; fixed at creation, later values are
    /// ignored. Empty at creation where the application will give an id.
    pub upstream_name: String,
}

/// A stored group, for deciding a change.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredGroup {
    pub key: GroupKey,
    pub id: ResourceId,
    pub meta: Meta,
    pub row: GroupRow,
    /// Made by the bridge, not found by import.
    pub ours: bool,
    /// Why it must not be written, if so.
    pub read_only: Option<String>,
    /// The application had it and has it no more.
    pub gone: bool,
    /// It is nowhere, and no call can still make it: its name there follows from what
    /// it is to be called when it is asked for again.
    pub unmade: bool,
}

/// A decision about a user or group, made inside the transaction on the then
/// current state; `Ok(None)` means nothing changes and nothing is written.
pub type DecideUser = Box<dyn FnOnce(&StoredUser) -> Result<Option<UserRow>, Problem> + Send>;

pub type DecideGroup = Box<dyn FnOnce(&StoredGroup) -> Result<Option<GroupRow>, Problem> + Send>;

/// A change of a group: attributes and members together, all or nothing.
pub struct GroupChange {
    pub decide: DecideGroup,
    /// In order. `Add`/`Replace` of an id that is no live user of the
    /// connection is [`WriteError::UnknownMembers`] unless `skip_unknown`;
    /// `Remove` of one is a no-op.
    pub members: Vec<MemberChange>,
    pub skip_unknown: bool,
    /// Why nobody joins or leaves, if so.
    pub closed: Option<String>,
}

/// What a user write did.
#[derive(Debug, Clone, PartialEq)]
pub struct UserWritten {
    pub key: UserKey,
    pub resource: Resource,
    /// Whether anything was written.
    pub changed: bool,
    /// Desired and observed differ: the lane has work.
    pub dirty: bool,
    /// The state before, for [`Store::restore_user`](super::Store::restore_user); `None` for a create.
    pub before: Option<UserRow>,
    /// Groups whose lanes have work because of this write (a deleted user's
    /// memberships).
    pub groups: Vec<GroupKey>,
}

/// What a group write did.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupWritten {
    /// Whose lane is waited for: of one that was deleted before it was made there, the
    /// one that is being deleted and has its name there, if there is one.
    pub key: GroupKey,
    pub resource: Resource,
    pub changed: bool,
    /// Counts every committed change of the group's membership or existence;
    /// a turn that began later has seen this one.
    pub seq: u64,
    /// The named pairs that now differ; empty when the application already
    /// is as asked.
    pub touched: Vec<UserKey>,
    /// The group itself must be created or deleted upstream.
    pub dirty: bool,
    /// It was deleted by this.
    pub deleted: bool,
    /// Some of the named pairs wait for an account that is staged; they are
    /// none of `touched`.
    pub staged: bool,
    /// Unknown ids that were skipped.
    pub skipped: Vec<String>,
}

/// A refused or failed write; nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// The decision refused.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// No such live resource in this connection.
    #[error("no such resource")]
    Missing,
    /// The precondition failed; the current version.
    #[error("version is {0}")]
    Stale(u64),
    /// A unique value is in use in this connection: the attribute's name, and
    /// for a group's upstream name the displayName of the group that has it.
    #[error("{attribute} is taken")]
    Taken {
        attribute: &'static str,
        value: String,
        holder: Option<String>,
    },
    #[error("unknown members")]
    UnknownMembers(Vec<String>),
    /// It takes away more than may go without an operator's word.
    #[error("{}", .0.over)]
    Held(Box<Excess>),
    #[error("{0}")]
    Protected(Protection),
    /// What it is about is another connection's for a while yet: why, and what is waited for.
    #[error("{0}")]
    Later(String, Awaited),
    /// The held request was decided before.
    #[error("decided already: {}", .0.as_str())]
    Decided(HoldState),
    /// What it would have done.
    #[error("rehearsed")]
    Rehearsed(Box<Rehearsal>),
    #[error(transparent)]
    Store(#[from] StoreError),
}
