//! No more than so many calls in any second, or any minute, as the application
//! counts them.
//!
//! What counts is when a call arrives there, which is some time between its
//! being sent and its answer. So a call keeps its place for the span after it
//! was sent, and for as much longer as it may have been late on its way.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::share::Share;

/// For what is too small to be seen.
const LITTLE: Duration = Duration::from_millis(30);
/// One place in so many of a long window is kept for revocations, which would
/// else have to wait for most of a minute.
const KEPT: u32 = 50;
/// More calls of another process are not remembered, whatever the limit is.
const REMEMBERED: u32 = 100_000;

#[derive(Debug)]
pub(super) struct Window {
    span: Duration,
    most: u32,
    /// Until when, and the number of the call.
    taken: BTreeSet<(Instant, u64)>,
}

/// A call that takes its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// How late it may arrive.
    pub(super) late: Duration,
    pub(super) number: u64,
}

impl Window {
    /// Zero counts as one.
    pub(super) fn new(span: Duration, most: u32) -> Self {
        Self {
            span,
            most: most.max(1),
            taken: BTreeSet::new(),
        }
    }

    pub(super) fn is_of(&self, span: Duration) -> bool {
        self.span == span
    }

    pub(super) fn most(&self) -> u32 {
        self.most
    }

    pub(super) fn tighten(&mut self, most: u32) {
        self.most = self.most.min(most.max(1));
    }

    /// For how long at most there is no room, if this share of the limit is to
    /// be used; `None` when a call may go.
    pub(super) fn full_for(
        &mut self,
        share: Share,
        revokes: bool,
        now: Instant,
    ) -> Option<Duration> {
        self.forget(now);
        let most = if revokes { self.most } else { self.ordinary() };
        let room = usize::try_from(share.of(most)).unwrap_or(usize::MAX);
        let over = self.taken.len().checked_sub(room)?;
        let (until, _) = self.taken.iter().nth(over)?;
        Some(until.saturating_duration_since(now))
    }

    /// The places of calls that take no access away.
    fn ordinary(&self) -> u32 {
        if self.span <= Duration::from_secs(1) {
            return self.most;
        }
        (self.most - self.most.div_ceil(KEPT)).max(1)
    }

    /// Whether nearly all of the places are taken.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.forget(now);
        let taken = u64::try_from(self.taken.len()).unwrap_or(u64::MAX);
        taken.saturating_mul(100) >= u64::from(self.ordinary()) * 95
    }

    fn forget(&mut self, now: Instant) {
        while self.taken.first().is_some_and(|(until, _)| *until <= now) {
            self.taken.pop_first();
        }
    }

    /// Calls of another process take their places: how long ago they were sent
    /// at least, and how many, the latest first. When they arrived is unknown.
    pub(super) fn remember(&mut self, calls: &[(Duration, u32)], late: Duration, now: Instant) {
        let most = usize::try_from(self.most.min(REMEMBERED)).unwrap_or(usize::MAX);
        let each = calls
            .iter()
            .flat_map(|(age, count)| (0..*count).map(move |_| *age));
        for (number, age) in (0..).zip(each.take(most)) {
            let left = (self.span + LITTLE + late).saturating_sub(age);
            // Numbers from the end, which no call of this process comes to.
            self.taken.insert((now + left, u64::MAX - number));
        }
    }

    pub(super) fn take(&mut self, call: Sent) {
        self.taken.insert(self.place(call));
    }

    /// It was not sent.
    pub(super) fn give_back(&mut self, call: Sent) {
        self.taken.remove(&self.place(call));
    }

    /// It is known better now how late the call was.
    pub(super) fn correct(&mut self, before: Sent, now: Sent) {
        if self.taken.remove(&self.place(before)) {
            self.taken.insert(self.place(now));
        }
    }

    fn place(&self, call: Sent) -> (Instant, u64) {
        (call.at + self.span + LITTLE + call.late, call.number)
    }
}
