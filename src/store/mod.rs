//! What we remember. One contract; every method is one whole transaction and
//! no transaction escapes.
//!
//! Membership is a row per (group, user) with `desired` and `observed`; a
//! change touches exactly the rows it names. Nothing reads a list, edits it
//! and writes it back.

use std::path::Path;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    plan::state::{ConnectionKey, GroupKey, UserKey},
    scim::{
        groups::DirectGroup,
        resource::{ResourceId, ResourceType},
    },
};

mod addresses;
pub mod audit;
pub mod bulk;
mod counts;
mod drift;
mod found;
mod guard;
mod keys;
mod linked;
mod lists;
mod observing;
mod remade;
mod resources;
mod returned;
mod sharing;
mod sqlite;
mod taken;
pub mod trial;
mod turns;
mod working;

pub use addresses::{Addresses, Holdings, LeftOver, ShownAccount, Twins};
use audit::AuditRow;
pub use counts::{Counts, Delay, Refused, RefusedAct, RefusedResource, Unsettled};
pub use drift::{
    DeletedBack, Drifted, DriftedGroup, GivenBack, Left, Reconcilable, Repaired, Settle,
};
pub use found::{FoundGroup, FoundUser, Gone, ImportMark, Imported, Unseen, WithUnknown};
pub use guard::{
    Age, Doomed, Guarding, Hold, HoldId, HoldState, KEPT, Kept, Late, Others, Rail, Recovery,
    Request, Room, ShownMember, Watch, Watched, Why,
};
pub use keys::{Keyed, Keys, NewKey, is_same_application};
pub use linked::{Linked, Reading, TakenOut, Unsure};
pub use lists::{Among, Item, ListError, Listing, Mark, Members, Select, Start};
pub use observing::Observing;
pub use remade::{Adorn, Remaking, Successor, WentOn};
pub use resources::{
    Actor, Awaited, DecideGroup, DecideUser, GroupChange, GroupRow, GroupWritten, Meta,
    Precondition, Resource, StoredGroup, StoredUser, UserRow, UserWritten, WriteError,
};
pub use returned::{Again, LeftAlone, Returned, Returning};
pub use sharing::{Elsewhere, Place, Seat, Sharing, Site};
#[cfg(test)]
pub(crate) use sqlite::simulated;
pub use sqlite::{noted_head, open};
pub use taken::{Taken, Whose};
pub use turns::{
    Alternative, Another, Counting, DONE, GroupLearned, GroupTurn, Guess, Higher, Lane, NotOffered,
    Pending, Remains, Standing, TakenOver, Took, UNANSWERED, Unread, UserLearned, UserTurn,
    Withdrawn,
};
pub use working::Working;

/// Milliseconds since 1970, UTC; for display and audit, never for ordering.
pub type Millis = i64;

/// A token of an identity provider, as the audit knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenToken {
    /// The public one.
    pub id: String,
    pub created: Millis,
    pub expires: Millis,
    pub state: TokenState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    Live,
    Revoked,
    Expired,
}

impl TokenState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// The store itself failed; nothing was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Disk full or busy: 503, later may work.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// A fault of ours or of the file: 500, logged.
    #[error("store broken: {0}")]
    Broken(String),
}

impl StoreError {
    /// The same, with where it was.
    #[must_use]
    pub fn at(self, path: &Path) -> Self {
        let at = |what: String| format!("{}: {what}", path.display());
        match self {
            Self::Unavailable(what) => Self::Unavailable(at(what)),
            Self::Broken(what) => Self::Broken(at(what)),
        }
    }
}

/// Whether the store takes writes, as the last that reached the disk or did
/// not showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Well,
    /// It takes none now; it may again.
    Refusing(StoreError),
    /// It takes none any more in this process.
    Ruined(StoreError),
}

#[async_trait]
pub trait Store:
    Addresses
    + Guarding
    + Keys
    + Linked
    + Observing
    + Remaking
    + Returning
    + Sharing
    + Taken
    + Working
    + Send
    + Sync
    + std::fmt::Debug
{
    /// The handle of a connection, made at first use.
    async fn connection(&self, name: &str) -> Result<ConnectionKey, StoreError>;

    /// Follows whether writes are taken.
    fn health(&self) -> watch::Receiver<Health>;
    /// Writes to the disk, without changing anything, to see whether it can.
    async fn pulse(&self) -> Result<(), StoreError>;

    // ---- reads; they see every acknowledged write

    async fn resource(
        &self,
        c: ConnectionKey,
        of: ResourceType,
        id: ResourceId,
    ) -> Result<Option<Resource>, StoreError>;
    /// A live user as a decision sees it.
    async fn stored_user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
    ) -> Result<Option<StoredUser>, StoreError>;
    /// A user and the groups it is in, by age, both of one moment.
    async fn user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
    ) -> Result<Option<(Resource, Vec<DirectGroup>)>, StoreError>;
    /// The filter's equality is answered by index where [`Filter::narrow`] has
    /// one; the rest is evaluated on a few threads of its own, within a cost
    /// limit, and no longer than somebody waits for the answer.
    async fn list(&self, c: ConnectionKey, select: Select) -> Result<Listing, ListError>;
    /// `None` when there is no such group. Cached by version, bounded.
    async fn members(
        &self,
        c: ConnectionKey,
        group: ResourceId,
    ) -> Result<Option<Members>, StoreError>;
    /// The groups that users are members of, by age: for as many of the users,
    /// in order, as have `most` groups together, and for one at least.
    async fn groups_of(
        &self,
        c: ConnectionKey,
        users: Vec<ResourceId>,
        most: usize,
    ) -> Result<Vec<Vec<DirectGroup>>, StoreError>;
    async fn counts(&self, c: ConnectionKey) -> Result<Counts, StoreError>;
    /// Rows of the audit after a number, oldest first, at most so many.
    async fn audit(&self, after: i64, most: usize) -> Result<Vec<AuditRow>, StoreError>;
    /// What the next turns of at most so many lanes would be handed out, or of
    /// one group alone; changes nothing.
    async fn pending(
        &self,
        c: ConnectionKey,
        group: Option<ResourceId>,
        most: usize,
    ) -> Result<Vec<Pending>, StoreError>;
    /// Memberships that the application refused, newest first, at most so many; those
    /// that sleep last.
    async fn refusals(&self, c: ConnectionKey, most: usize) -> Result<Vec<Refused>, StoreError>;
    /// When the oldest thing was asked for that takes access away and is not
    /// done yet, as far as is known; what waits for an operator aside.
    async fn oldest_revocation(&self, c: ConnectionKey) -> Result<Option<Millis>, StoreError>;
    /// Users for whom nothing is sent, and why, at most so many.
    async fn delayed(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<(ResourceId, Delay)>, StoreError>;
    /// Users and groups that it refused, the deleted ones first, at most so many.
    async fn refused_resources(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<RefusedResource>, StoreError>;
    /// Records an operator's act that changes nothing here, in the audit.
    async fn note(
        &self,
        c: ConnectionKey,
        action: &'static str,
        actor: Actor,
    ) -> Result<(), StoreError>;

    /// Records in the audit what has changed of a connection's tokens since it was
    /// recorded last.
    async fn note_tokens(
        &self,
        c: ConnectionKey,
        tokens: Vec<SeenToken>,
        actor: Actor,
    ) -> Result<(), StoreError>;

    // ---- writes of the identity provider

    async fn create_user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        row: UserRow,
        actor: Actor,
    ) -> Result<UserWritten, WriteError>;
    async fn change_user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        decide: DecideUser,
        actor: Actor,
    ) -> Result<UserWritten, WriteError>;
    /// The first step of a deletion: as [`Store::change_user`], and that it is one is
    /// written with it.
    async fn begin_deletion(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        decide: DecideUser,
        actor: Actor,
    ) -> Result<UserWritten, WriteError>;
    /// The second step, once the first was answered. `named`: whoever deletes named a
    /// version, so nobody is deleted who was given access again since: stale then.
    async fn end_deletion(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        named: bool,
        actor: Actor,
    ) -> Result<UserWritten, WriteError>;
    /// The clients were answered otherwise: a start is not to take the second step.
    async fn forget_deletions(
        &self,
        c: ConnectionKey,
        ids: Vec<ResourceId>,
    ) -> Result<(), StoreError>;
    /// At start, before any lane: the second step of deletions that the end of the
    /// process cut short, unless the user is to have access again. Returns how many.
    async fn finish_deletions(&self, c: ConnectionKey, actor: Actor) -> Result<u64, StoreError>;
    /// Tombstones the user, wants its account inactive and every membership gone.
    async fn delete_user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        actor: Actor,
    ) -> Result<UserWritten, WriteError>;
    /// Takes back a write the application refused, if the version is still the
    /// one written: to `before`, or out of existence for a create. Not the end of
    /// an account that was done in part.
    async fn restore_user(
        &self,
        key: UserKey,
        version: u64,
        before: Option<UserRow>,
        actor: Actor,
    ) -> Result<(), WriteError>;

    async fn create_group(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        row: GroupRow,
        members: Vec<String>,
        skip_unknown: bool,
        actor: Actor,
    ) -> Result<GroupWritten, WriteError>;
    async fn change_group(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        change: GroupChange,
        actor: Actor,
    ) -> Result<GroupWritten, WriteError>;
    /// `decide` may refuse; its row is ignored. Tombstones the group. `others`: who
    /// is in it besides its members, where that was looked at. One that is deleted
    /// and was kept by the guard rails goes on when an operator approves.
    async fn delete_group(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        decide: DecideGroup,
        others: Option<Others>,
        actor: Actor,
    ) -> Result<GroupWritten, WriteError>;

    /// Takes back the creation of a group that the application refused, when that is
    /// what is answered: as if it had never been asked for. Not where something else
    /// was asked for of it after `seq`: it stays, and is told as refused, as one is
    /// whose creation was answered before. Returns the lanes that have work.
    async fn withdraw_group(
        &self,
        key: GroupKey,
        seq: u64,
        actor: Actor,
    ) -> Result<Vec<Lane>, WriteError>;

    /// Several writes of one bulk request as one transaction: each unit is
    /// done whole or not at all, whatever becomes of the others, until there
    /// were `most_errors`. An error of the store itself takes all of it back.
    async fn write_all(
        &self,
        c: ConnectionKey,
        units: Vec<bulk::Unit>,
        most_errors: usize,
        actor: Actor,
    ) -> Result<Vec<bulk::Outcome>, StoreError>;
    /// Does what a script does, as one transaction, and takes all of it back.
    async fn rehearse(
        &self,
        c: ConnectionKey,
        script: trial::Script,
        actor: Actor,
    ) -> Result<(), StoreError>;
}
