//! What we remember. One contract; every method is one whole transaction and
//! no transaction escapes.
//!
//! Membership is a row per (group, user) with `desired` and `observed`; a
//! change touches exactly the rows it names. Nothing reads a list, edits it
//! and writes it back.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    plan::{
        drift::{GroupDrift, Pair},
        guard::{Excess, Protection, Rehearsal},
        listing::{Doubts, List},
        operation::Operation,
        state::{
            Account, ConnectionKey, Existence, Family, GroupKey, GroupWork, ObservedAccount,
            UserKey, UserWork,
        },
    },
    scim::{
        catalog::{Assignable, Entry, Found, Listable},
        error::Problem,
        filter::Filter,
        groups::DirectGroup,
        patch::MemberChange,
        query::{Sort, SortKey},
        resource::{Attributes, ResourceId, ResourceType},
        tags::Tags,
    },
};

mod addresses;
pub mod audit;
pub mod bulk;
mod drift;
mod guard;
mod sharing;
mod sqlite;
pub mod trial;

pub use addresses::{Addresses, Holdings, LeftOver, ShownAccount, Twins};
use audit::AuditRow;
pub use drift::{
    DeletedBack, Drifted, DriftedGroup, GivenBack, Left, Reconcilable, Repaired, Settle, TakenAway,
};
pub use guard::{
    Age, Guarding, Hold, HoldId, HoldState, Kept, Rail, Recovery, Request, Room, Watch, Watched,
    Why,
};
pub use sharing::{Elsewhere, Place, Seat, Sharing, Site};
#[cfg(test)]
pub(crate) use sqlite::simulated;
pub use sqlite::{noted_head, open};

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

/// Which resources to list, and which part of the list.
#[derive(Debug, Clone)]
pub struct Select {
    /// One resource type or several; the order is that of this list where
    /// nothing else decides.
    pub among: Vec<Among>,
    /// Rows of tables in memory that stand in the list too: by their keys, and
    /// after all resources where nothing else decides.
    pub beside: Vec<Found>,
    pub descending: bool,
    pub start: Start,
    pub limit: u64,
    /// As many groups of the page's users are read with them; 0 for none.
    pub groups: usize,
}

/// One resource type in a list.
#[derive(Debug, Clone)]
pub struct Among {
    pub of: ResourceType,
    pub filter: Option<Filter>,
    /// Without it resources stand in order of creation, after those of other
    /// types that have a key.
    pub sort: Option<Sort>,
}

/// Where a page begins, or for `Before` ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Zero-based.
    Offset(u64),
    /// After a place; `None` is the beginning.
    After(Option<Mark>),
    /// Before a place; `None` is the end.
    Before(Option<Mark>),
}

/// A place between two resources: right behind the one that had this key and
/// row, whether or not that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub key: SortKey,
    pub of: Listable,
    pub row: i64,
}

impl From<&Found> for Mark {
    fn from(found: &Found) -> Self {
        Self {
            key: found.key.clone(),
            of: found.of.into(),
            row: found.row,
        }
    }
}

/// What stands in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Resource(ResourceType, Resource),
    Row(Assignable, Entry),
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// All matches, not only this page.
    pub total: u64,
    pub items: Vec<Item>,
    /// The places of the first and the last of them.
    pub ends: Option<(Mark, Mark)>,
    /// Whether there are matches before and after this page.
    pub earlier: bool,
    pub later: bool,
    /// Of the page's users, in order, for as many as [`Select::groups`] allows:
    /// as [`Store::groups_of`] tells them, and of the same moment as the page.
    pub groups: Vec<Vec<DirectGroup>>,
}

/// A refused or failed list.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ListError {
    /// It costs more than a list may.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// Too many lists that cost much wait already.
    #[error("too many lists wait")]
    Crowded,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A group's members at one version of the group, in a stable order.
#[derive(Debug, Clone)]
pub struct Members {
    pub version: u64,
    pub ids: Arc<[ResourceId]>,
}

/// `If-Match` / `If-None-Match` on a write, compared inside the transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// The state before, for [`Store::restore_user`]; `None` for a create.
    pub before: Option<UserRow>,
    /// Groups whose lanes have work because of this write (a deleted user's
    /// memberships).
    pub groups: Vec<GroupKey>,
}

/// What a group write did.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupWritten {
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
    /// The held request was decided before.
    #[error("decided already: {}", .0.as_str())]
    Decided(HoldState),
    /// What it would have done.
    #[error("rehearsed")]
    Rehearsed(Box<Rehearsal>),
    #[error(transparent)]
    Store(#[from] StoreError),
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

/// One turn of a user's lane. The row is marked in flight (observed unsure)
/// in the same transaction that handed this out.
#[derive(Debug, Clone, PartialEq)]
pub struct UserTurn {
    pub work: UserWork,
    pub version: u64,
    /// An earlier call's end is not known: read the account before planning.
    pub unsure: bool,
    /// The account of who must have nothing is looked for, and the guard is to be
    /// asked before it is ended; see [`Store::may_end`].
    pub unjudged: bool,
    /// When the row was made; an account that is older was not made for it.
    pub since: Millis,
    /// How the withdrawal of the memberships ended, if it has.
    pub withdrawn: Option<Withdrawn>,
    /// When what is wanted of it was asked for.
    pub asked: Millis,
    /// Memberships were taken away before its account is ended, so that a refusal
    /// of that leaves it not as it was.
    pub begun: bool,
}

/// How it ended that the memberships of a user were taken away, because the
/// application cannot end the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawn {
    Whole,
    /// Why some are still there.
    Refused(String),
}

/// One turn of a group's lane. Every pair in `work` is marked
/// observed-unknown in the same transaction that handed this out, and a new,
/// absent or unwanted group likewise.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupTurn {
    pub work: GroupWork,
    pub seq: u64,
    /// There are more dirty pairs than fitted.
    pub more: bool,
    /// A creation or deletion that was given up may still land on this name.
    pub doubted: bool,
    pub family: Option<Family>,
}

/// What a pair of a family comes to at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counting {
    /// What the user is to have; see [`Principal::counts`].
    ///
    /// [`Principal::counts`]: crate::plan::state::Principal::counts
    pub counts: Option<Alternative>,
    /// The same if nothing before the pair's own group were asked for.
    pub at_most: Option<Alternative>,
    /// What it was chosen among, in the order of the family, and where the
    /// pair's own group stands in that.
    pub among: Vec<Alternative>,
    pub rank: u32,
    /// See [`Principal::given_up`].
    ///
    /// [`Principal::given_up`]: crate::plan::state::Principal::given_up
    pub given_up: Vec<String>,
    /// Of another connection; unless it is free nothing is sent.
    pub seat: Seat,
}

impl Counting {
    /// What is only found, or about to go when somebody says so, is kept where it
    /// is; a user is raised to it never, because it may be out of date.
    pub fn of(rank: u32, among: Vec<Alternative>) -> Self {
        let first = |counts: &dyn Fn(&Alternative) -> bool| {
            let mut counting = among.iter().filter(|it| counts(it));
            counting.next().cloned()
        };
        Self {
            counts: first(&|it| it.asked || it.rank >= rank),
            at_most: first(&|it| it.rank >= rank),
            among,
            rank,
            given_up: Vec::new(),
            seat: Seat::Free,
        }
    }

    /// The same among the groups that the application offers still.
    #[must_use]
    pub fn offered(self, offers: impl Fn(&str) -> bool) -> Self {
        let (among, gone): (Vec<_>, Vec<_>) =
            self.among.into_iter().partition(|it| offers(&it.name));
        let given_up = gone.into_iter().filter(|it| it.asked);
        Self {
            given_up: given_up.map(|it| it.name).collect(),
            seat: self.seat,
            ..Self::of(self.rank, among)
        }
    }
}

/// One group of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The application's name for it.
    pub name: String,
    pub rank: u32,
    /// Somebody asked for the user in it, so it was not only found.
    pub asked: bool,
}

/// A group of a family as the configuration has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The application's name for it.
    pub name: String,
    pub offered: bool,
    /// Where it stands, as far as that is known.
    pub family: Option<Family>,
}

/// The outcome, in a word, of a call that may or may not have been done.
pub const UNANSWERED: &str = "unknown";

/// What a lane has to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Pending {
    User(UserTurn),
    Group(GroupTurn),
    /// A user whose account is not there yet.
    Staged(ResourceId),
}

/// What a group turn learned, written in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupLearned {
    /// The group's existence, if it was learned.
    pub existence: Option<Existence>,
    /// Pairs now known to be present or absent upstream.
    pub present: Vec<UserKey>,
    pub absent: Vec<UserKey>,
    /// Those of them that only a read showed, which may lag behind: they are
    /// said once more when it can lag no longer.
    pub read: Vec<UserKey>,
    /// Members of whom a replacement that named them did not say that it kept
    /// them: they are put there again.
    pub left_out: Vec<UserKey>,
    /// Ids that users' accounts have now, as they were made anew.
    pub ids: Vec<(UserKey, String)>,
    /// Pairs as they were before the turn began: certainly not sent.
    pub unsent: Vec<UserKey>,
    /// Pairs the application refused for good: desired is put back to what is
    /// observed (an add becomes not-a-member, a remove a member again), if
    /// nobody changed the pair since the turn began.
    pub refused: Vec<(UserKey, String)>,
    /// Those of them of which the application said nothing, and a read showed
    /// the contrary: they may come to be all the same.
    pub contradicted: Vec<UserKey>,
    /// The group itself was refused (its creation): a fresh group is withdrawn,
    /// and one that was to be renamed is called as before.
    pub group_refused: Option<String>,
    /// The application does not have it any more, and why nothing is done about
    /// that: it is not made again before somebody is asked for in it.
    pub gone: Option<String>,
    /// The id that the application gave it.
    pub name: Option<String>,
    /// What the application calls it now; and whether it is yet to be told.
    pub titled: Option<String>,
    pub title_open: bool,
    /// What was tried, for the audit: (operation, outcome in a word, what left for it).
    pub calls: Vec<(Operation, String, Took)>,
    /// It did nothing that the turn before it did not do, so the audit has it.
    pub repeats: bool,
}

impl GroupLearned {
    /// Nothing was sent and nothing learned.
    pub fn is_idle(&self) -> bool {
        self.refused.is_empty() && self.is_untold()
    }

    /// The same, but for what a rule of this side refused.
    pub fn is_untold(&self) -> bool {
        let untold = Self {
            unsent: self.unsent.clone(),
            refused: self.refused.clone(),
            repeats: self.repeats,
            ..Self::default()
        };
        *self == untold
    }
}

/// What left for one operation, for the audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Took {
    pub millis: u64,
    /// Each request that could change something, with its outcome and its
    /// milliseconds; `None` where there was one, which ended as the operation did.
    pub requests: Option<Vec<(String, u64)>>,
}

impl From<u64> for Took {
    fn from(millis: u64) -> Self {
        Self {
            millis,
            requests: None,
        }
    }
}

/// What a user turn learned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserLearned {
    /// The account that it is about; what was learned of another one than the
    /// user has by now is not kept.
    pub about: Option<String>,
    /// The new observed state; `None` leaves it as it was.
    pub observed: Option<ObservedAccount>,
    /// Nothing is in flight any more; false keeps the row unsure.
    pub settled: bool,
    /// It is done, as far as can be seen now, and will be done once more.
    pub again: bool,
    pub upstream_id: Option<String>,
    /// Who must have nothing has an account of which nothing was known.
    pub found: bool,
    /// Refused for good: the row is not tried again until the next write.
    pub refused: Option<String>,
    /// The account is not there and cannot be made: the row is not tried again
    /// until the next write, or until the application shows it.
    pub staged: bool,
    /// The account was made anew: every membership of it is unknown and must
    /// be put there again.
    pub recreated: bool,
    /// The account cannot be ended: every membership is to be taken away instead.
    pub withdraws: bool,
    /// It cannot be ended for now: they are taken away until it can.
    pub meanwhile: bool,
    /// That has come to its end.
    pub withdrawn: bool,
    pub calls: Vec<(Operation, String, Took)>,
}

/// A lane with work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    User(UserKey),
    Group(GroupKey),
}

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
    pub members_unknown: u64,
    /// Users and groups that are not shown as they are, because others have
    /// names that compare equal, or the same address.
    pub unshown: u64,
    /// What is not there any more and not believed to be gone.
    pub doubted: u64,
    /// Groups that were known to be gone and are shown again.
    pub back: u64,
}

/// What is not on a list of the application any more, by the keys of its rows:
/// of users, or of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    pub list: List,
    pub keys: Vec<i64>,
}

/// Numbers for status and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub users: u64,
    pub groups: u64,
    pub memberships: u64,
    pub pending_users: u64,
    pub pending_groups: u64,
    pub pending_memberships: u64,
    /// Such as are not as asked because the whole group was refused, with which
    /// they are told, or their user.
    pub stopped_memberships: u64,
    /// Of those that are pending or refused, such as are live no more, or asked for
    /// no more.
    pub leaving_users: u64,
    pub leaving_memberships: u64,
    /// Accounts and groups that the application refused for good.
    pub refused_users: u64,
    pub refused_groups: u64,
    pub refused_memberships: u64,
    /// Users whose account is not there yet.
    pub staged_users: u64,
    /// Requests that wait for an operator.
    pub held: u64,
}

/// A membership that the application refused, until it is asked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub group: ResourceId,
    pub user: ResourceId,
    /// Whether it was to be a membership, or to be none any more.
    pub wanted: bool,
    pub at: Millis,
    pub reason: String,
}

/// What was asked for of a user or group that the application refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedAct {
    Create,
    Change,
    Deactivate,
    /// It is deleted here, and there is nobody to ask again.
    Delete,
}

impl RefusedAct {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Deactivate => "deactivate",
            Self::Delete => "delete",
        }
    }
}

/// A user or group that the application refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedResource {
    pub of: ResourceType,
    pub id: ResourceId,
    pub asked: RefusedAct,
    /// When it was asked for.
    pub at: Millis,
    pub reason: String,
}

/// Why nothing is sent for a user that is not as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delay {
    /// Somebody with the same account was deleted here, and is not gone yet.
    Predecessor,
    /// The same, and the application refused that, for a reason.
    PredecessorRefused(String),
    /// The account could not be ended when that was asked for, and could be now.
    Unended,
}

#[async_trait]
pub trait Store: Addresses + Guarding + Sharing + Send + Sync + std::fmt::Debug {
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
    /// Memberships that the application refused, newest first, at most so many.
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
    /// `decide` may refuse; its row is ignored. Tombstones the group.
    async fn delete_group(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        decide: DecideGroup,
        actor: Actor,
    ) -> Result<GroupWritten, WriteError>;

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

    // ---- the lanes

    /// Every lane with work, at start.
    async fn open_lanes(&self, c: ConnectionKey) -> Result<Vec<Lane>, StoreError>;
    /// `None` when the user has nothing to do, or must wait for a deleted
    /// predecessor with the same account key to be worked off.
    async fn begin_user_turn(&self, key: UserKey) -> Result<Option<UserTurn>, StoreError>;
    /// Writes what was learned. Returns the lanes that have work because of it
    /// (the user's groups; a waiting successor).
    async fn end_user_turn(
        &self,
        key: UserKey,
        learned: UserLearned,
        at: Millis,
    ) -> Result<Vec<Lane>, StoreError>;
    async fn begin_group_turn(
        &self,
        key: GroupKey,
        limit: usize,
    ) -> Result<Option<GroupTurn>, StoreError>;
    async fn end_group_turn(
        &self,
        key: GroupKey,
        seq: u64,
        learned: GroupLearned,
        at: Millis,
    ) -> Result<Vec<Lane>, StoreError>;
    /// At start, whether the application can end accounts. Returns how many are
    /// there still whose end was asked for when it could not; none of them is ended
    /// for that alone, as they may be many.
    async fn note_ends(&self, c: ConnectionKey, ends: bool) -> Result<u64, StoreError>;
    /// At start: whatever was in flight when the process ended may still land.
    async fn note_interrupted(&self, c: ConnectionKey, at: Millis) -> Result<(), StoreError>;
    /// Whether a call may still take effect of which no answer came, noted at that
    /// time or later.
    async fn has_unanswered(&self, c: ConnectionKey, since: Millis) -> Result<bool, StoreError>;
    /// Every other connection that there ever was.
    async fn connections_but(
        &self,
        these: Vec<ConnectionKey>,
    ) -> Result<Vec<ConnectionKey>, StoreError>;
    /// Doubts again what a call that was never answered, `before` or earlier,
    /// may have changed since; what is looked at, again when `lag` has passed, by
    /// which a look may lag behind. Returns the lanes that have work because of it.
    async fn recheck_late(
        &self,
        c: ConnectionKey,
        before: Millis,
        now: Millis,
        lag: Millis,
    ) -> Result<Vec<Lane>, StoreError>;
    /// The clock that should say `was` was set to `is`: what waits for a time
    /// by the old one waits as long by the new one (reliability: I-30).
    async fn clock_set(&self, c: ConnectionKey, was: Millis, is: Millis) -> Result<(), StoreError>;
    /// Whether something of the user itself is still to be told or found out.
    async fn is_open(&self, key: UserKey) -> Result<bool, StoreError>;
    /// Those of the named pairs that were written after `seq`, or have gone
    /// since: what was handed out with it is not what is wanted of them now.
    async fn written_since(
        &self,
        key: GroupKey,
        seq: u64,
        users: Vec<UserKey>,
    ) -> Result<Vec<UserKey>, StoreError>;
    /// What a pair of a family that was handed out towards `wanted` comes to now;
    /// `None` when that is not wanted any more, or cannot be sent. Takes the user's
    /// place for what is wanted, if it is free.
    async fn counting(
        &self,
        key: GroupKey,
        user: UserKey,
        wanted: bool,
    ) -> Result<Option<Counting>, StoreError>;
    /// The group that a user is known to have of a group's family.
    async fn known_alternative(
        &self,
        key: GroupKey,
        user: UserKey,
    ) -> Result<Option<String>, StoreError>;
    /// The account that a user stands for, deleted or not.
    async fn account(&self, key: UserKey) -> Result<Option<String>, StoreError>;
    /// The live groups that are one of a family, as they are shown.
    async fn alternatives(&self, c: ConnectionKey) -> Result<Vec<GroupRow>, StoreError>;
    /// At start, which of them are offered now. Whoever is asked for in one that
    /// was not and is again is open there. Returns how many such groups there are.
    async fn note_offered(
        &self,
        c: ConnectionKey,
        standings: Vec<Standing>,
    ) -> Result<u64, StoreError>;
    /// Whether the guard of the actor lets the account of a user be ended that nobody
    /// was known to have, and counts it if so; why not.
    async fn may_end(&self, user: UserKey, actor: Actor) -> Result<Option<String>, StoreError>;
    /// Whether another user has the account with this id of the application's.
    async fn is_bound_elsewhere(&self, user: UserKey, id: String) -> Result<bool, StoreError>;
    /// How many users wait for an account to appear.
    async fn staged(&self, c: ConnectionKey) -> Result<u64, StoreError>;
    /// Those of the users that do.
    async fn staged_among(&self, users: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError>;
    /// Has the staged users among these accounts, which the application shows,
    /// looked for again. Returns their lanes.
    async fn unstage(
        &self,
        c: ConnectionKey,
        accounts: Vec<String>,
        actor: Actor,
    ) -> Result<Vec<Lane>, StoreError>;
    /// Those of the named pairs that still differ; everything else has arrived.
    async fn open_pairs(
        &self,
        key: GroupKey,
        users: Vec<UserKey>,
    ) -> Result<Vec<UserKey>, StoreError>;

    /// Those of the application's names for groups that no row of the group's
    /// connection has or had.
    async fn without_row(
        &self,
        key: GroupKey,
        names: Vec<String>,
    ) -> Result<Vec<String>, StoreError>;

    /// The ids of some users, deleted ones too; for telling which members were
    /// refused.
    async fn user_ids(&self, keys: Vec<UserKey>) -> Result<Vec<ResourceId>, StoreError>;

    // ---- reconciliation; see `bridge::reconcile`

    /// Live groups that the application has and that may be written, after a
    /// key, in order.
    async fn reconcilable(
        &self,
        c: ConnectionKey,
        after: GroupKey,
        most: usize,
    ) -> Result<Vec<Reconcilable>, StoreError>;
    /// Live groups that the application had and is known not to have any more,
    /// after a key, in order: they are made again when they are asked for.
    async fn gone_groups(
        &self,
        c: ConnectionKey,
        after: GroupKey,
        most: usize,
    ) -> Result<Vec<Reconcilable>, StoreError>;
    /// Has a group that is one of these, and is shown again, looked after.
    async fn find_group(&self, group: GroupKey, actor: Actor) -> Result<Repaired, StoreError>;
    /// Every pair of a group whose user the application can know.
    async fn pairs(&self, group: GroupKey) -> Result<Vec<Pair>, StoreError>;
    /// Live, active users whose account is known to be there, after a key, in
    /// order: their ids and account keys.
    async fn accounts(
        &self,
        c: ConnectionKey,
        after: UserKey,
        most: usize,
    ) -> Result<Vec<(UserKey, ResourceId, String)>, StoreError>;
    /// Those of the accounts, by key and with what they have, that were ended here,
    /// or were to be, and have something that their end would take away.
    async fn ended(
        &self,
        c: ConnectionKey,
        accounts: Vec<(String, Holdings)>,
    ) -> Result<Vec<(UserKey, ResourceId)>, StoreError>;
    /// Which users members are that the application shows, by its ids and the
    /// keys of their accounts.
    async fn users_shown(
        &self,
        c: ConnectionKey,
        members: Vec<(Option<String>, Option<String>)>,
    ) -> Result<Vec<ResourceId>, StoreError>;
    /// Those of the users, group by group, whose membership was taken away here
    /// last, as far as the audit tells; reads all of it.
    async fn taken_away(
        &self,
        c: ConnectionKey,
        asked: Vec<(ResourceId, Vec<ResourceId>)>,
    ) -> Result<Vec<TakenAway>, StoreError>;
    /// Those of some members, as the application shows them, whose Users were
    /// deleted here and are not known by another import since, and when.
    async fn deleted_among(
        &self,
        c: ConnectionKey,
        members: Vec<(Option<String>, Option<String>)>,
    ) -> Result<Vec<DeletedBack>, StoreError>;
    /// Takes over ids, beside the keys of their accounts, that the application
    /// shows now: an account that was made anew there has another one.
    async fn learn_ids(
        &self,
        c: ConnectionKey,
        shown: Vec<(String, String)>,
        actor: Actor,
    ) -> Result<(), StoreError>;
    /// Wants again (or accepts) what is missing of a group, unless it was
    /// touched after `since`, when it was read. Memberships of who or what the
    /// guard of the actor protects do not end by it, unless it is believed.
    async fn settle_drift(
        &self,
        group: GroupKey,
        since: ImportMark,
        drift: GroupDrift,
        how: Settle,
        actor: Actor,
    ) -> Result<Repaired, StoreError>;
    /// Ends accounts again that were ended and are back, within what the guard
    /// of the actor lets pass; `believed`: an operator has seen how many it is.
    async fn end_again(
        &self,
        users: Vec<UserKey>,
        believed: bool,
        actor: Actor,
    ) -> Result<Repaired, StoreError>;
    /// Who is not to have access, has been taken out of every group because no
    /// account can be ended, and was found in one since.
    async fn found_of_leavers(&self, c: ConnectionKey) -> Result<Vec<UserKey>, StoreError>;
    /// Has every end of an account or group that the application refused tried
    /// once more. Returns their lanes.
    async fn retry_ends(&self, c: ConnectionKey, actor: Actor) -> Result<Vec<Lane>, StoreError>;
    async fn keep_drifted(&self, c: ConnectionKey, drifted: Drifted) -> Result<(), StoreError>;
    async fn drifted(&self, c: ConnectionKey) -> Result<Option<Drifted>, StoreError>;

    /// Whether anything was sent to the application at that time or later, as far
    /// as its end is recorded.
    async fn is_sent_since(&self, c: ConnectionKey, at: Millis) -> Result<bool, StoreError>;

    // ---- import

    /// Where the history stood at `before`, to be asked for before the
    /// application is read.
    async fn import_mark(&self, before: Millis) -> Result<ImportMark, StoreError>;
    /// Adds users and groups found upstream that no row has by its application
    /// id, account key or upstream name, learns application ids of those that do, and adds
    /// observed memberships nobody asked for as unmanaged members: not those of
    /// who is asked for in a group of the family that stands before it. A user follows its
    /// account to another address. Never changes what an identity provider
    /// wrote. What was changed upstream
    /// after `since` was not yet so when it was read, and is left alone: no
    /// removal that was confirmed meanwhile comes back as a member.
    ///
    /// With `mirror`, of an application whose users and members are never
    /// written from here, what import once found follows what is found now:
    /// attributes (but `externalId`), who is active, and who is in a group;
    /// what it names is gone. A group that comes back under the application's
    /// name for it is the one that it was.
    async fn import(
        &self,
        c: ConnectionKey,
        since: ImportMark,
        users: Vec<FoundUser>,
        groups: Vec<FoundGroup>,
        mirror: Option<Vec<Gone>>,
        actor: Actor,
    ) -> Result<Imported, StoreError>;
    /// Has a user follow its account, which has this id and this address by now;
    /// false when the account is not the user's.
    async fn follow(
        &self,
        c: ConnectionKey,
        user: ResourceId,
        account: String,
        address: String,
        actor: Actor,
    ) -> Result<bool, StoreError>;
    /// Live groups that the application has, after a key, in order, and whether
    /// import has found them.
    async fn shown_groups(
        &self,
        c: ConnectionKey,
        after: GroupKey,
        most: usize,
    ) -> Result<Vec<(Reconcilable, bool)>, StoreError>;
    /// The lists that the imports so far did not believe.
    async fn doubts(&self, c: ConnectionKey) -> Result<Doubts, StoreError>;
    async fn keep_doubts(&self, c: ConnectionKey, doubts: Doubts) -> Result<(), StoreError>;
}
