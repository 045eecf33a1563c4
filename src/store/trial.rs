//! A rehearsal: writes and the turns that would follow from them, inside one
//! transaction that is taken back, so that what is foreseen is found by the
//! statements that would do it (reliability: G-10).
//!
//! The script runs on the writer's thread, between two commits: it must ask
//! nobody else, and be bounded. What each method means is said at the one of
//! the same name of [`super::Store`].

use super::{
    Actor, Counting, GroupLearned, GroupTurn, Lane, Millis, StoreError, UserLearned, UserTurn,
    Watched,
    bulk::{Outcome, Unit},
};
use crate::{
    plan::state::{GroupKey, UserKey},
    scim::resource::ResourceId,
};

/// What a rehearsal does, with what it may do.
pub type Script = Box<dyn FnOnce(&dyn Trial) -> Result<(), StoreError> + Send>;

/// The store as a script sees it: as if what it wrote were so.
pub trait Trial {
    fn write_all(&self, units: Vec<Unit>, most_errors: usize) -> Result<Vec<Outcome>, StoreError>;
    fn follow(
        &self,
        user: ResourceId,
        account: String,
        address: String,
    ) -> Result<bool, StoreError>;
    fn watched(
        &self,
        lane: Lane,
        going: Vec<UserKey>,
        before: Millis,
        actor: Actor,
    ) -> Result<Vec<Watched>, StoreError>;
    fn begin_user_turn(&self, key: UserKey) -> Result<Option<UserTurn>, StoreError>;
    fn end_user_turn(
        &self,
        key: UserKey,
        learned: UserLearned,
        at: Millis,
    ) -> Result<Vec<Lane>, StoreError>;
    fn begin_group_turn(
        &self,
        key: GroupKey,
        limit: usize,
    ) -> Result<Option<GroupTurn>, StoreError>;
    fn end_group_turn(
        &self,
        key: GroupKey,
        seq: u64,
        learned: &GroupLearned,
        at: Millis,
    ) -> Result<Vec<Lane>, StoreError>;
    fn counting(
        &self,
        key: GroupKey,
        user: UserKey,
        wanted: bool,
    ) -> Result<Option<Counting>, StoreError>;
}
