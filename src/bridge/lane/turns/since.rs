//! What a turn of a group asks while it is under way: what became of its pairs since
//! they were handed out, and whether others wait for what it does.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::super::{
    LONG, Lanes, brink,
    open::Place,
    waiters::Waits,
    wanted::{Gives, PairsWanted},
};
use crate::{
    bridge::{
        clock,
        converge::{Counts, Since},
    },
    plan::{
        operation::Operation,
        state::{GroupKey, Principal, UserKey},
    },
    scim::resource::ResourceId,
    store::{Counting, Higher, Lane, Millis, Store, StoreError},
    upstream::{RemoteMember, Wanted},
};

/// What became of the pairs of a group since they were handed out.
pub(in super::super) struct SinceSeq<'a> {
    lanes: &'a Lanes,
    store: &'a dyn Store,
    key: GroupKey,
    seq: u64,
    /// It could not be looked who is in the group before it is deleted.
    unread: AtomicBool,
    /// How often the lane was woken before it was last looked what for.
    kicks: AtomicU64,
    /// Somebody is to be taken out whom this turn does not have.
    takes: AtomicBool,
    /// Until its first call was answered.
    place: Mutex<Option<Place>>,
    /// How often the lane was woken before the turn was handed out.
    began: u64,
    /// An addition of this turn has given way.
    gave_way: Arc<AtomicBool>,
}

impl<'a> SinceSeq<'a> {
    /// Of a turn that was handed out with that number, after its lane was woken so often.
    pub(in super::super) fn of(
        lanes: &'a Lanes,
        (key, seq): (GroupKey, u64),
        kicks: u64,
        place: Option<Place>,
    ) -> Self {
        Self {
            lanes,
            store: lanes.0.store.as_ref(),
            key,
            seq,
            unread: AtomicBool::new(false),
            kicks: kicks.into(),
            takes: AtomicBool::new(false),
            place: Mutex::new(place),
            began: kicks,
            gave_way: Arc::default(),
        }
    }

    pub(super) fn leave_place(&self) -> Option<Place> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.take()
    }

    fn asked(&self, gives: Gives, gives_way: bool) -> Arc<dyn Wanted> {
        Arc::new(PairsWanted {
            lanes: self.lanes.clone(),
            key: self.key,
            seq: self.seq,
            gives,
            kicks: self.began,
            gave_way: gives_way.then(|| Arc::clone(&self.gave_way)),
        })
    }

    /// Whatever was waited for before, an addition has got on.
    fn note_sent(&self, gives: bool) {
        drop(self.leave_place());
        if gives {
            self.lanes
                .with(Lane::Group(self.key), |state| state.gave_way = 0);
        }
    }

    /// Only what woke the lane can have asked for that, so the store is read once
    /// for each time it was woken, at most.
    async fn has_new_removal(&self) -> bool {
        if self.takes.load(Ordering::Relaxed) {
            return true;
        }
        let kicks = self.lanes.kicks(Lane::Group(self.key));
        if self.kicks.swap(kicks, Ordering::Relaxed) == kicks {
            return false;
        }
        match self.store.has_new_removal(self.key).await {
            Ok(true) => self.takes.store(true, Ordering::Relaxed),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "a lane cannot use the store"),
        }
        self.takes.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Since for SinceSeq<'_> {
    async fn written(&self, users: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        self.store.written_since(self.key, self.seq, users).await
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        self.store.without_row(self.key, names).await
    }

    async fn is_anothers(&self, id: &str) -> Result<bool, StoreError> {
        self.store.is_anothers(self.key, id.to_owned()).await
    }

    fn cannot_look(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    fn listed(&self, by: Millis) -> Option<Millis> {
        self.lanes.listed(by)
    }

    async fn made_elsewhere(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        self.store.made_elsewhere(self.key, names).await
    }

    fn looks_into(&self) -> bool {
        self.lanes.looks_into(self.key)
    }

    async fn keeps(
        &self,
        id: ResourceId,
        listed: Vec<RemoteMember>,
    ) -> Result<Option<String>, StoreError> {
        self.lanes.keeps((self.key, id), listed).await
    }

    fn read_lag(&self) -> Duration {
        self.lanes.0.read_lag
    }

    fn done_lately(&self) -> bool {
        let lanes = &self.lanes.0;
        let done = self.lanes.with(Lane::Group(self.key), |state| state.done);
        done.flatten().unwrap_or(lanes.began).elapsed() < lanes.read_lag
    }

    fn shown_for(&self, before: &[GroupKey]) -> Option<Duration> {
        let lanes = &self.lanes.0;
        let left = before.iter().filter_map(|key| {
            let done = self.lanes.with(Lane::Group(*key), |state| state.done);
            let done = done.flatten().unwrap_or(lanes.began);
            lanes.read_lag.checked_sub(done.elapsed())
        });
        left.max()
    }

    fn is_overtaken(&self) -> bool {
        let kicked = self.lanes.with(Lane::Group(self.key), |state| state.kicked);
        kicked == Some(true)
    }

    async fn takes(&self) -> bool {
        self.has_new_removal().await
    }

    fn long(&self) -> usize {
        LONG
    }

    fn sent(&self, operation: &Operation) {
        self.note_sent(matches!(operation, Operation::AddMembers { .. }));
    }

    fn wanted(&self, operation: &Operation) -> Option<Arc<dyn Wanted>> {
        let (members, gives_way) = match operation {
            Operation::CreateGroup { members, .. } | Operation::ReplaceMembers { members, .. } => {
                (members, false)
            }
            Operation::AddMembers { members, .. } => (members, true),
            _ => return None,
        };
        let users = members.iter().map(|it| it.user).collect();
        Some(self.asked(Gives::Members(users), gives_way))
    }
}

impl SinceSeq<'_> {
    pub(super) fn unread(&self, group: ResourceId) -> Option<Waits> {
        self.unread.load(Ordering::Relaxed).then(|| Waits {
            users: Vec::new(),
            group: Some(group),
            wanted: false,
            reason: UNREAD.to_owned(),
        })
    }
}

/// Why a deletion waits.
const UNREAD: &str = "who is in it is looked at before it is deleted (guard), and the application \
    does not let its members be read now; it is tried again, and nothing is deleted before";

#[async_trait]
impl Counts for SinceSeq<'_> {
    async fn counting(&self, user: UserKey, wanted: bool) -> Result<Option<Counting>, StoreError> {
        let mut counting = self.store.counting(self.key, user, wanted).await?;
        if let Some(counting) = &mut counting
            && let Some(holding) = &mut counting.holding
        {
            // What was told after now was told by another clock.
            let age = counting.told.map(|told| clock::now().saturating_sub(told));
            holding.age = age
                .and_then(|age| u64::try_from(age).ok())
                .map(Duration::from_millis);
        }
        Ok(counting)
    }

    async fn gives(&self, user: UserKey, group: &str) -> Result<bool, StoreError> {
        self.store
            .note_giving(self.key, user, group.to_owned())
            .await
    }

    async fn higher(&self, user: UserKey, has: &str) -> Result<Higher, StoreError> {
        let by = brink::actor(&self.lanes.0.guard);
        let higher = self.store.higher(self.key, user, has.to_owned(), by);
        higher.await
    }

    async fn higher_stays(&self, user: UserKey, has: &str) -> Result<(), StoreError> {
        let by = brink::actor(&self.lanes.0.guard);
        self.store
            .higher_stays(self.key, user, has.to_owned(), by)
            .await
    }

    fn sent(&self, gives: bool) {
        self.note_sent(gives);
    }

    fn wanted(&self, member: &Principal) -> Option<Arc<dyn Wanted>> {
        Some(self.asked(Gives::One(member.user, member.counts.clone()), true))
    }

    async fn takes(&self) -> bool {
        self.has_new_removal().await
    }
}
