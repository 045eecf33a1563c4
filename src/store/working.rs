//! What the lanes ask the store for, and what they have learned.

use async_trait::async_trait;

use crate::{
    plan::state::{Account, ConnectionKey, GroupKey, UserKey},
    scim::resource::ResourceId,
};

use super::{
    Actor, Counting, GroupLearned, GroupRow, GroupTurn, Higher, Lane, Millis, NotOffered, Standing,
    StoreError, Unseen, UserLearned, UserTurn,
};

#[async_trait]
pub trait Working: Send + Sync {
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
    /// Whether a group is to be there with all of these members still, who were to be
    /// put into it at `seq`.
    async fn gives_still(
        &self,
        key: GroupKey,
        seq: u64,
        users: Vec<UserKey>,
    ) -> Result<bool, StoreError>;
    /// Whether a user is to have the account still that was wanted in that version, by
    /// the same address and with the same role.
    async fn has_still(
        &self,
        key: UserKey,
        version: u64,
        wanted: Account,
        account: String,
    ) -> Result<bool, StoreError>;
    /// Whether somebody is to be taken out of the group whom no turn was handed out
    /// for that yet.
    async fn has_new_removal(&self, key: GroupKey) -> Result<bool, StoreError>;
    /// Whether the next turn of a lane is to take access away; `None` where it has
    /// nothing to do.
    async fn next_takes(&self, lane: Lane) -> Result<Option<bool>, StoreError>;
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
    /// Those of these names that somebody is asked for in; at most so many.
    async fn asked_for_in(
        &self,
        c: ConnectionKey,
        names: Vec<String>,
        most: usize,
    ) -> Result<Vec<NotOffered>, StoreError>;
    /// Whether the guard of the actor lets the account of a user be ended that nobody
    /// was known to have, and counts it if so; why not.
    async fn may_end(&self, user: UserKey, actor: Actor) -> Result<Option<String>, StoreError>;
    /// What becomes of the group with that name of the application's, which a user was
    /// shown to be in when an addition to a group behind it in the family was sent: to
    /// give what is asked for instead is judged and counted as a removal from it.
    async fn higher(
        &self,
        key: GroupKey,
        user: UserKey,
        has: String,
        actor: Actor,
    ) -> Result<Higher, StoreError>;
    /// It was to give way, and has not: nothing was taken away.
    async fn higher_stays(
        &self,
        key: GroupKey,
        user: UserKey,
        has: String,
        actor: Actor,
    ) -> Result<(), StoreError>;
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

    /// Those of the application's names for groups that another connection at the same
    /// tenant has for groups that were made by it.
    async fn made_elsewhere(
        &self,
        key: GroupKey,
        names: Vec<String>,
    ) -> Result<Vec<String>, StoreError>;
    /// Whether the application's id for a group that was just made is one that
    /// another group of the connection has: one that was there before, or that was
    /// made from here.
    async fn is_anothers(&self, key: GroupKey, name: String) -> Result<bool, StoreError>;

    /// The ids of some users, deleted ones too; for telling which members were
    /// refused.
    async fn user_ids(&self, keys: Vec<UserKey>) -> Result<Vec<ResourceId>, StoreError>;

    /// The id of what a lane is about, a deleted one too.
    async fn id_of(&self, lane: Lane) -> Result<Option<ResourceId>, StoreError>;
}
