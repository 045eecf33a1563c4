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
    plan::{
        drift::{GroupDrift, Pair},
        listing::Doubts,
        state::{ConnectionKey, GroupKey, UserKey},
    },
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
mod lists;
mod resources;
mod returned;
mod sharing;
mod sqlite;
mod taken;
pub mod trial;
mod turns;

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
pub use lists::{Among, Item, ListError, Listing, Mark, Members, Select, Start};
pub use resources::{
    Actor, DecideGroup, DecideUser, GroupChange, GroupRow, GroupWritten, Meta, Precondition,
    Resource, StoredGroup, StoredUser, UserRow, UserWritten, WriteError,
};
pub use returned::{Again, LeftAlone, Returned, Returning};
pub use sharing::{Elsewhere, Place, Seat, Sharing, Site};
#[cfg(test)]
pub(crate) use sqlite::simulated;
pub use sqlite::{noted_head, open};
pub use taken::{Taken, Whose};
pub use turns::{
    Alternative, Another, Counting, DONE, GroupLearned, GroupTurn, Guess, Lane, NotOffered,
    Pending, Remains, Standing, TakenOver, Took, UNANSWERED, UserLearned, UserTurn, Withdrawn,
};

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
    Addresses + Guarding + Returning + Sharing + Taken + Send + Sync + std::fmt::Debug
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
    /// At start, before any lane: the second step of deletions that the end of the
    /// process cut short, unless the user was written since. Returns how many.
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
    /// What was only found of those whose access a lane is about to end, and what
    /// nobody has looked at since that was asked for.
    async fn unseen(&self, lane: Lane) -> Result<Vec<Unseen>, StoreError>;
    /// A look has shown whether these memberships are there. What is not is not given
    /// back.
    async fn note_looks(&self, pairs: Vec<(GroupKey, UserKey, bool)>) -> Result<(), StoreError>;
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
    /// which a look may lag behind. What has changed by `early`, while such a call
    /// can land yet, is not left until then. Returns the lanes that have work
    /// because of it.
    async fn recheck_late(
        &self,
        c: ConnectionKey,
        (before, early): (Millis, Millis),
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
    /// Whether somebody is to be taken out of the group whom no turn was handed out
    /// for that yet.
    async fn has_new_removal(&self, key: GroupKey) -> Result<bool, StoreError>;
    /// What a pair of a family that was handed out towards `wanted` comes to now;
    /// `None` when that is not wanted any more, or cannot be sent. Takes the user's
    /// place for what is wanted, if it is free.
    async fn counting(
        &self,
        key: GroupKey,
        user: UserKey,
        wanted: bool,
    ) -> Result<Option<Counting>, StoreError>;
    /// What a call about such a pair is about to give, where that is another group
    /// of the family, by the application's name. False, and nothing is written, when
    /// nobody is asked for in that any more: what counts is another one by now. Of the
    /// group itself: that other one was refused, and the call gives what it is about.
    async fn note_giving(
        &self,
        key: GroupKey,
        user: UserKey,
        gives: String,
    ) -> Result<bool, StoreError>;
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
    /// Those that are not, and that somebody is asked for in; at most so many.
    async fn not_offered(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<NotOffered>, StoreError>;
    /// Whether the guard of the actor lets the account of a user be ended that nobody
    /// was known to have, and counts it if so; why not.
    async fn may_end(&self, user: UserKey, actor: Actor) -> Result<Option<String>, StoreError>;
    /// Those of whom [`Self::may_end`] said that they are too many are ended, as an
    /// operator says so, and counted; likewise whoever is told to have something by
    /// another account of their address. Not who is protected, and nobody in recovery.
    async fn end_kept(&self, c: ConnectionKey, actor: Actor) -> Result<Vec<Lane>, StoreError>;
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

    /// Groups in which members are that are no User, as their accounts are on no list;
    /// those with the most of them first, at most so many.
    async fn with_unknown(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<WithUnknown>, StoreError>;

    /// Those of the application's names for groups that another connection at the same
    /// tenant has for groups that were made by it.
    async fn made_elsewhere(
        &self,
        key: GroupKey,
        names: Vec<String>,
    ) -> Result<Vec<String>, StoreError>;

    /// Whether the application's id for a group that was just made is one that
    /// another group has: of the connection, one that was there before or was made
    /// from here; of another one at the same tenant, one that was made by it.
    async fn is_anothers(&self, key: GroupKey, name: String) -> Result<bool, StoreError>;

    /// The ids of some users, deleted ones too; for telling which members were
    /// refused.
    async fn user_ids(&self, keys: Vec<UserKey>) -> Result<Vec<ResourceId>, StoreError>;

    /// The id of what a lane is about, a deleted one too.
    async fn id_of(&self, lane: Lane) -> Result<Option<ResourceId>, StoreError>;

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
    /// Has a group called in the application as it is here, where it is called so
    /// still and no turn of it ended that a reading did not see.
    async fn call_again(
        &self,
        group: GroupKey,
        title: String,
        since: ImportMark,
        actor: Actor,
    ) -> Result<Repaired, StoreError>;
    /// Families of which a live group is here that is not known to be gone.
    async fn families(&self, c: ConnectionKey) -> Result<Vec<String>, StoreError>;
    /// One of these is gone, as an operator says: nobody has anything of it any more,
    /// until the application shows it again. Returns the lanes of who waited for it.
    async fn lose_family(
        &self,
        c: ConnectionKey,
        family: String,
        actor: Actor,
    ) -> Result<Vec<Lane>, StoreError>;
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
    /// Notes who of a group is told as missing and left so, and of nobody else any more.
    /// Whoever asks for them once more has them put there again.
    async fn note_missing(&self, group: GroupKey, missing: Vec<UserKey>) -> Result<(), StoreError>;
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
    /// Of what was found by the name of a Group that was refused, that is forgotten
    /// which a whole list of the application's groups does not show any more, so that
    /// the name is free for that Group.
    async fn forget_beside(
        &self,
        c: ConnectionKey,
        since: ImportMark,
        listed: Vec<String>,
        actor: Actor,
    ) -> Result<(), StoreError>;
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
