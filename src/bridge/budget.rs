//! What one connection may ask of the bridge, so that a noisy one slows no
//! other (reliability: F-31). Requests that may take access away have as much
//! again for themselves: a revocation is never refused below twice the budget.
//! Which those are is for the front to say.

use std::num::NonZeroU32;

use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};

#[derive(Debug)]
pub(super) struct Budget {
    shared: DefaultDirectRateLimiter,
    reserve: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Budget {
    /// So many requests a second, and as many at once after a pause; zero
    /// counts as one.
    pub(super) fn new(per_second: u32) -> Self {
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN));
        let clock = DefaultClock::default();
        let limiter = || DefaultDirectRateLimiter::direct_with_clock(quota, clock.clone());
        Self {
            shared: limiter(),
            reserve: limiter(),
            clock: clock.clone(),
        }
    }

    /// Takes one request, or says in how many seconds there is room for it.
    pub(super) fn admit(&self, may_revoke: bool) -> Result<(), u64> {
        let Err(not_yet) = self.shared.check() else {
            return Ok(());
        };
        if may_revoke && self.reserve.check().is_ok() {
            return Ok(());
        }
        let wait = not_yet.wait_time_from(self.clock.now());
        Err(wait.as_secs() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_revoke_has_as_much_again() {
        let budget = Budget::new(100);
        let taken = |may_revoke| {
            (0..1_000)
                .filter(|_| budget.admit(may_revoke).is_ok())
                .count()
        };
        let shared = taken(false);
        assert!((100..150).contains(&shared), "{shared}");
        let reserve = taken(true);
        assert!((100..150).contains(&reserve), "{reserve}");
        assert_eq!(budget.admit(false), Err(1));
        assert_eq!(budget.admit(true), Err(1));
    }
}
