//! How much of the limits is used: all of it, until the application says that
//! this is too much. Then less at once, and slowly more again.

use std::time::Duration;

use tokio::time::Instant;

/// The whole, in parts of it.
const WHOLE: u32 = 1_000;
/// However often it refuses, so much is tried.
const LEAST: u32 = 100;
/// One part more after so long: ten of a thousand in a second.
const RECOVERS: Duration = Duration::from_millis(100);

/// Some parts of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share(u32);

impl Share {
    /// Rounded down, and at least one.
    pub(super) fn of(self, limit: u32) -> u32 {
        let part = u64::from(limit) * u64::from(self.0) / u64::from(WHOLE);
        u32::try_from(part).unwrap_or(u32::MAX).max(1)
    }
}

/// The share over time.
#[derive(Debug)]
pub(super) struct Sharing {
    was: u32,
    /// Since when it grows.
    since: Instant,
}

impl Sharing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            was: WHOLE,
            since: now,
        }
    }

    pub(super) fn at(&self, now: Instant) -> Share {
        let grown = now.saturating_duration_since(self.since).as_millis() / RECOVERS.as_millis();
        let grown = u32::try_from(grown).unwrap_or(WHOLE);
        Share(self.was.saturating_add(grown).min(WHOLE))
    }

    /// The application refused a call; nothing is sent until then.
    pub(super) fn slow(&mut self, now: Instant, until: Instant) {
        let Share(share) = self.at(now);
        self.was = (share * 4 / 5).max(LEAST);
        self.since = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_by_a_fifth_and_recovers_a_hundredth_a_second() {
        let start = Instant::now();
        let seconds = |count| start + Duration::from_secs(count);
        let mut sharing = Sharing::new(start);
        assert_eq!(sharing.at(start).of(100), 100);
        sharing.slow(start, seconds(60));
        assert_eq!(
            sharing.at(seconds(60)).of(100),
            80,
            "not while it is silent"
        );
        assert_eq!(sharing.at(seconds(65)).of(100), 85);
        sharing.slow(seconds(65), seconds(65));
        assert_eq!(sharing.at(seconds(65)).of(100), 68);
        assert_eq!(sharing.at(seconds(97)).of(100), 100);
        assert_eq!(sharing.at(seconds(10_000)).of(100), 100);
    }

    #[test]
    fn something_is_always_tried() {
        let start = Instant::now();
        let mut sharing = Sharing::new(start);
        for _ in 0..100 {
            sharing.slow(start, start);
        }
        assert_eq!(sharing.at(start).of(1_000), 100);
        assert_eq!(sharing.at(start).of(3), 1);
        assert_eq!(sharing.at(start).of(u32::MAX), u32::MAX / 10);
    }
}
