//! What one connection may ask of the bridge, so that a noisy one slows no
//! other (reliability: F-31). As much as is allowed in a second may come at
//! once, and is not let in at once: beyond a few, each waits for its turn, and
//! between two of them there is room for the other connections.
//!
//! Requests that take access away have twice as much for themselves, which
//! nothing else uses up: a revocation is never refused below twice the budget,
//! nor does it wait for what is none. Which those are is for the front to say.
//!
//! A request that takes away and adds as well is let in as a revocation, and
//! counts as an ordinary request too: what that has no room for now is owed, and
//! the next ordinary ones wait until it is paid. So whatever is written beside
//! its additions, a connection has no more than twice its budget of them.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::{StateInformationMiddleware, StateSnapshot},
    state::{InMemoryState, NotKeyed},
};

/// The part of a second's requests that is let in without waiting, and how
/// many are however small that is: as a client sends that keeps to itself.
const AT_ONCE: (u32, u32) = (10, 25);
/// How many times as many revocations as other requests are taken.
const REVOCATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);
/// How often the log is told of refusals, at most.
const TELL: Duration = Duration::from_secs(10);

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

#[derive(Debug)]
pub(super) struct Budget<C: Clock = DefaultClock> {
    per_second: NonZeroU32,
    shared: Limiter<C>,
    reserve: Limiter<C>,
    /// What mixed requests still take from what is shared; a second's at most.
    owed: AtomicU32,
    /// Since the start; since the log was told, and when it may be told again.
    refused: AtomicU64,
    untold: AtomicU64,
    telling: Limiter<C>,
    clock: C,
}

impl Budget {
    /// So many requests a second; zero counts as one.
    pub(super) fn new(per_second: u32) -> Self {
        Self::by(per_second, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Budget<C> {
    fn by(per_second: u32, clock: C) -> Self {
        let per_second = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let limiter =
            |quota| RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware();
        let telling = Quota::with_period(TELL).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
        Self {
            per_second,
            shared: limiter(Quota::per_second(per_second)),
            reserve: limiter(Quota::per_second(per_second.saturating_mul(REVOCATIONS))),
            owed: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            telling: limiter(telling),
            clock,
        }
    }

    /// Takes one request that revokes nothing, or is not known to, and says how
    /// long it waits for its turn, or in how many seconds there is room for it.
    pub(super) fn ordinary(&self) -> Result<Duration, u64> {
        loop {
            let owed = self.owed.load(Ordering::Relaxed);
            let taken = self.take(&self.shared, self.per_second);
            if owed == 0 {
                return taken;
            }
            taken.map_err(|seconds| seconds + u64::from(owed / self.per_second))?;
            self.owe(|owed| owed.checked_sub(1));
        }
    }

    /// The same of a request that takes access away.
    pub(super) fn revocation(&self) -> Result<Duration, u64> {
        self.take(&self.reserve, self.per_second.saturating_mul(REVOCATIONS))
    }

    /// The same of one that does both, for which there is no room as an
    /// ordinary one.
    pub(super) fn mixed(&self) -> Result<Duration, u64> {
        let turn = self.revocation()?;
        let most = self.per_second.get();
        self.owe(|owed| (owed < most).then_some(owed + 1));
        Ok(turn)
    }

    fn owe(&self, next: impl Fn(u32) -> Option<u32>) {
        let order = Ordering::Relaxed;
        // Where there is no next, it stays.
        let _ = self.owed.fetch_update(order, order, next);
    }

    fn take(&self, of: &Limiter<C>, per_second: NonZeroU32) -> Result<Duration, u64> {
        match of.check() {
            Ok(taken) => Ok(turn(&taken, per_second.get())),
            Err(not_yet) => Err(not_yet.wait_time_from(self.clock.now()).as_secs() + 1),
        }
    }

    /// So many requests a second that are no revocations.
    pub(super) fn per_second(&self) -> u32 {
        self.per_second.get()
    }

    /// Counts a request that is told to come again.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.untold.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were told to come again since the start.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many were refused since this was last asked, when it is time to
    /// tell: a flood of requests must not be one of lines in the log.
    pub(super) fn refusals_to_tell(&self) -> Option<u64> {
        self.telling.check().ok()?;
        Some(self.untold.swap(0, Ordering::Relaxed))
    }
}

/// Never more than a second: what would have to wait longer is not taken.
fn turn(taken: &StateSnapshot, most: u32) -> Duration {
    let (part, few) = AT_ONCE;
    let at_once = (most / part).max(few);
    let taken = most.saturating_sub(taken.remaining_burst_capacity());
    Duration::from_secs(1) * taken.saturating_sub(at_once) / most
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn budget(per_second: u32) -> (Budget<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Budget::by(per_second, clock.clone()), clock)
    }

    /// When those of `count` requests are let in that come now, and are taken.
    fn turns(count: usize, take: impl Fn() -> Result<Duration, u64>) -> Vec<Duration> {
        (0..count).filter_map(|_| take().ok()).collect()
    }

    /// The most of these that are let in within a tenth of a second.
    fn densest(turns: &[Duration]) -> usize {
        let within = |from: Duration| from..from + Duration::from_millis(100);
        let count = |from| {
            turns
                .iter()
                .filter(|&turn| within(from).contains(turn))
                .count()
        };
        turns.iter().map(|&from| count(from)).max().unwrap_or(0)
    }

    #[test]
    fn revocations_have_twice_the_budget_and_neither_uses_up_the_other() {
        let (budget, clock) = budget(100);
        for _ in 0..3 {
            assert_eq!(turns(1_000, || budget.ordinary()).len(), 100);
            assert_eq!(turns(1_000, || budget.revocation()).len(), 200);
            assert_eq!(budget.ordinary(), Err(1));
            assert_eq!(budget.revocation(), Err(1));
            clock.advance(Duration::from_secs(1));
        }
    }

    #[test]
    fn what_adds_beside_a_removal_is_never_refused_for_it_and_the_others_pay() {
        let (budget, clock) = budget(100);
        let mixed = || budget.ordinary().or_else(|_| budget.mixed());
        assert_eq!(turns(1_000, mixed).len(), 300, "all that was saved up");
        for _ in 0..3 {
            clock.advance(Duration::from_secs(1));
            // Neither do these take more together, whoever comes first.
            assert_eq!(turns(1_000, || budget.ordinary()).len(), 0);
            assert_eq!(turns(1_000, mixed).len(), 200);
            let wait = budget.ordinary().expect_err("owed");
            assert!((1..=2).contains(&wait), "{wait}");
        }
        // What is owed is paid in a second, and then all is as before.
        clock.advance(Duration::from_secs(1));
        assert_eq!(turns(1_000, || budget.ordinary()).len(), 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(turns(1_000, || budget.ordinary()).len(), 100);
        assert_eq!(turns(1_000, || budget.revocation()).len(), 200);
    }

    #[test]
    fn a_revocation_does_not_wait_for_what_is_none() {
        let (budget, _) = budget(500);
        assert!(densest(&turns(1_000, || budget.ordinary())) > 50);
        assert_eq!(budget.revocation(), Ok(Duration::ZERO));
    }

    #[test]
    fn all_that_comes_at_once_is_taken_and_only_few_are_let_in_at_once() {
        let (budget, clock) = budget(500);
        let mut all = turns(500, || budget.ordinary());
        assert_eq!(all.len(), 500);
        assert_eq!(all.iter().filter(|turn| turn.is_zero()).count(), 50);
        assert_eq!(all[499], Duration::from_millis(900));
        // Whoever goes on like that is let in at the pace of the budget.
        for tenth in 1..100 {
            let passed = Duration::from_millis(100);
            clock.advance(passed);
            let more = turns(500, || budget.ordinary());
            assert_eq!(more.len(), 50);
            all.extend(more.into_iter().map(|turn| passed * tenth + turn));
        }
        assert!(densest(&all) <= 100, "{}", densest(&all));
        let late = all.split_off(500);
        assert!(densest(&late) <= 51, "{}", densest(&late));
    }

    #[test]
    fn who_keeps_to_the_budget_never_waits() {
        for per_second in [0, 1, 25, 26, 499, 1_000_000] {
            let (budget, clock) = budget(per_second);
            for _ in 0..1_000 {
                assert_eq!(budget.ordinary(), Ok(Duration::ZERO), "{per_second}");
                clock.advance(Duration::from_secs(1) / per_second.max(1));
                clock.advance(Duration::from_nanos(1));
            }
        }
    }

    #[test]
    fn a_flood_is_told_once_in_a_while_with_how_many_were_refused() {
        let (budget, clock) = budget(25);
        budget.refuse();
        assert_eq!(budget.refusals_to_tell(), Some(1));
        for _ in 0..100 {
            budget.refuse();
            assert_eq!(budget.refusals_to_tell(), None);
        }
        clock.advance(TELL);
        assert_eq!(budget.refusals_to_tell(), Some(100));
        assert_eq!(budget.refused(), 101);
    }
}
