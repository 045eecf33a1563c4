//! Clock and randomness, for the whole engine in one place.

use std::time::Duration;

use tokio::time::Instant;

use crate::{scim::resource::ResourceId, store::Millis};

/// Wall-clock milliseconds: for display, audit and token expiry, never for
/// ordering.
pub(super) fn now() -> Millis {
    #[cfg(test)]
    if let Some(now) = simulated::now() {
        return now;
    }
    jiff::Timestamp::now().as_millisecond()
}

/// Sees when the wall clock was set, by the time that went by meanwhile.
pub(super) struct Steps {
    wall: Millis,
    at: Instant,
}

impl Steps {
    /// Anything below is a clock that is kept right little by little.
    const LEAST: Millis = 1_000;

    pub(super) fn begin() -> Self {
        Self {
            wall: now(),
            at: Instant::now(),
        }
    }

    /// What the clock should say and what it says, if it was set since the last look.
    pub(super) fn look(&mut self) -> Option<(Millis, Millis)> {
        let gone = Millis::try_from(self.at.elapsed().as_millis()).unwrap_or(Millis::MAX);
        let was = self.wall.saturating_add(gone);
        *self = Self::begin();
        (was.abs_diff(self.wall) >= Self::LEAST.unsigned_abs()).then_some((was, self.wall))
    }
}

/// A new resource id: time-ordered, 74 random bits.
pub(super) fn new_id() -> ResourceId {
    ResourceId::new(uuid::Uuid::now_v7())
}

/// Full jitter: anything between nothing and `cap`, evenly.
pub(super) fn jitter(cap: Duration) -> Duration {
    #[cfg(test)]
    if let Some(drawn) = simulated::draw(u64::from(u32::MAX) + 1) {
        let drawn = u32::try_from(drawn).unwrap_or(u32::MAX);
        return cap.mul_f64(f64::from(drawn) / f64::from(u32::MAX));
    }
    let random = getrandom::u32().unwrap_or(u32::MAX);
    cap.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// One thread's own time and chance, for worlds that are run again from a seed.
#[cfg(test)]
pub(super) mod simulated {
    use std::{cell::Cell, time::Duration};

    use tokio::time::Instant;

    use crate::store::Millis;

    thread_local! {
        /// Without an instant, time stands still.
        static BEGAN: Cell<Option<(Millis, Option<Instant>)>> = const { Cell::new(None) };
        static CHANCE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From now on it is `at`, and time goes as the runtime's clock does.
    pub(in crate::bridge) fn begin(at: Millis) {
        BEGAN.set(Some((at, Some(Instant::now()))));
    }

    /// It is `at`, and stays so.
    pub(in crate::bridge) fn at(at: Millis) {
        BEGAN.set(Some((at, None)));
    }

    /// For what still happens after the runtime, and with it its clock, ended.
    pub(in crate::bridge) fn stand_still() {
        BEGAN.set(now().map(|at| (at, None)));
    }

    pub(in crate::bridge) fn stands_still() -> bool {
        BEGAN.get().is_some_and(|(_, began)| began.is_none())
    }

    pub(in crate::bridge) fn seed(seed: u64) {
        CHANCE.set(Some(seed));
    }

    pub(in crate::bridge) fn end() {
        BEGAN.set(None);
        CHANCE.set(None);
    }

    pub(in crate::bridge) fn now() -> Option<Millis> {
        let (at, began) = BEGAN.get()?;
        let gone = began.map_or(0, |began| began.elapsed().as_millis());
        Some(at.saturating_add(Millis::try_from(gone).unwrap_or(Millis::MAX)))
    }

    /// A number below `sides` (splitmix64).
    pub(in crate::bridge) fn draw(sides: u64) -> Option<u64> {
        let state = CHANCE.get()?.wrapping_add(0x9E37_79B9_7F4A_7C15);
        CHANCE.set(Some(state));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Some((mixed ^ (mixed >> 31)) % sides.max(1))
    }

    /// How long the disk takes; see `store::simulated`.
    pub(in crate::bridge) fn disk() -> Duration {
        Duration::from_micros(draw(3_000).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_is_seen_and_time_that_goes_by_is_not() {
        simulated::begin(1_000_000);
        let mut steps = Steps::begin();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(steps.look(), None);
        for (set, seen) in [(4_600_000, 1_005_000), (400_000, 4_600_000)] {
            simulated::begin(set);
            assert_eq!(steps.look(), Some((seen, set)));
            assert_eq!(steps.look(), None);
        }
        simulated::begin(400_500);
        assert_eq!(steps.look(), None, "less than a second");
        simulated::end();
    }
}
