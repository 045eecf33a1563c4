//! What one connection may ask of the bridge, so that a noisy one slows no
//! other (reliability: F-31). As much as is allowed in a second may come at
//! once, and is not let in at once: beyond a few, each waits for its turn, and
//! between two of them there is room for the other connections.
//!
//! Requests that may take access away have as much again for themselves: a
//! revocation is never refused below twice the budget, nor does it wait for
//! what is none. Which those are is for the front to say.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
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
/// How often the log is told of refusals, at most.
const TELL: Duration = Duration::from_secs(10);

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

#[derive(Debug)]
pub(super) struct Budget<C: Clock = DefaultClock> {
    per_second: NonZeroU32,
    shared: Limiter<C>,
    reserve: Limiter<C>,
    /// Since the log was told, and when it may be told again.
    refused: AtomicU64,
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
            reserve: limiter(Quota::per_second(per_second)),
            refused: AtomicU64::new(0),
            telling: limiter(telling),
            clock,
        }
    }

    /// Takes one request and says how long it waits for its turn, or in how
    /// many seconds there is room for it.
    pub(super) fn admit(&self, may_revoke: bool) -> Result<Duration, u64> {
        if may_revoke && let Ok(taken) = self.reserve.check() {
            return Ok(self.turn(&taken));
        }
        match self.shared.check() {
            Ok(taken) => Ok(self.turn(&taken)),
            Err(not_yet) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let wait = not_yet.wait_time_from(self.clock.now());
                Err(wait.as_secs() + 1)
            }
        }
    }

    /// Never more than a second: what would have to wait longer is not taken.
    fn turn(&self, taken: &StateSnapshot) -> Duration {
        let most = self.per_second.get();
        let (part, few) = AT_ONCE;
        let at_once = (most / part).max(few);
        let taken = most.saturating_sub(taken.remaining_burst_capacity());
        Duration::from_secs(1) * taken.saturating_sub(at_once) / most
    }

    /// How many were refused since this was last asked, when it is time to
    /// tell: a flood of requests must not be one of lines in the log.
    pub(super) fn refusals_to_tell(&self) -> Option<u64> {
        self.telling.check().ok()?;
        Some(self.refused.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn budget(per_second: u32) -> (Budget<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Budget::by(per_second, clock.clone()), clock)
    }

    /// When those of `count` requests are let in that come now, and are taken.
    fn turns(budget: &Budget<FakeRelativeClock>, count: usize, may_revoke: bool) -> Vec<Duration> {
        (0..count)
            .filter_map(|_| budget.admit(may_revoke).ok())
            .collect()
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
    fn what_may_revoke_has_as_much_again() {
        let (budget, clock) = budget(100);
        assert_eq!(turns(&budget, 1_000, false).len(), 100);
        assert_eq!(turns(&budget, 1_000, true).len(), 100);
        assert_eq!(budget.admit(false), Err(1));
        assert_eq!(budget.admit(true), Err(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(turns(&budget, 1_000, true).len(), 200);
    }

    #[test]
    fn a_revocation_does_not_wait_for_what_is_none() {
        let (budget, _) = budget(500);
        assert!(densest(&turns(&budget, 1_000, false)) > 50);
        assert_eq!(budget.admit(true), Ok(Duration::ZERO));
    }

    #[test]
    fn all_that_comes_at_once_is_taken_and_only_few_are_let_in_at_once() {
        let (budget, clock) = budget(500);
        let mut all = turns(&budget, 500, false);
        assert_eq!(all.len(), 500);
        assert_eq!(all.iter().filter(|turn| turn.is_zero()).count(), 50);
        assert_eq!(all[499], Duration::from_millis(900));
        // Whoever goes on like that is let in at the pace of the budget.
        for tenth in 1..100 {
            let passed = Duration::from_millis(100);
            clock.advance(passed);
            let more = turns(&budget, 500, false);
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
                assert_eq!(budget.admit(false), Ok(Duration::ZERO), "{per_second}");
                clock.advance(Duration::from_secs(1) / per_second.max(1));
                clock.advance(Duration::from_nanos(1));
            }
        }
    }

    #[test]
    fn a_flood_is_told_once_in_a_while_with_how_many_were_refused() {
        let (budget, clock) = budget(25);
        assert_eq!(turns(&budget, 26, false).len(), 25);
        assert_eq!(budget.refusals_to_tell(), Some(1));
        for _ in 0..100 {
            assert!(budget.admit(false).is_err());
            assert_eq!(budget.refusals_to_tell(), None);
        }
        clock.advance(TELL);
        assert_eq!(budget.refusals_to_tell(), Some(100));
    }
}
