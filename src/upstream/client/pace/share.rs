//! How much of the limits is used: all of it, until the application says that
//! this is too much. Then less at once, and more again: quickly, but for the
//! part around what was too much, which may be so still.

use std::time::Duration;

use tokio::time::Instant;

/// The whole, in parts of it.
const WHOLE: u32 = 1_000;
/// However often it refuses, so much is tried.
const LEAST: u32 = 100;
/// One part more after so long: a tenth of the whole in a second.
const QUICKLY: Duration = Duration::from_millis(10);
/// Near what was refused it grows by a hundredth of that in a second: one part
/// more after this, divided by as many parts.
const SLOWLY: Duration = Duration::from_secs(100);
/// What is near it, in hundredths.
const NEAR: u32 = 90;
const PAST: u32 = 105;

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
    /// What was too much.
    refused: u32,
    /// Since when it grows.
    since: Instant,
}

impl Sharing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            was: WHOLE,
            refused: WHOLE,
            since: now,
        }
    }

    pub(super) fn at(&self, now: Instant) -> Share {
        let mut left = now.saturating_duration_since(self.since);
        let mut share = self.was;
        for (end, after) in [
            (self.refused * NEAR / 100, QUICKLY),
            (self.refused * PAST / 100, SLOWLY / self.refused),
            (WHOLE, QUICKLY),
        ] {
            let missing = end.min(WHOLE).saturating_sub(share);
            if left < after * missing {
                let grown = left.as_millis() / after.as_millis();
                return Share(share + u32::try_from(grown).unwrap_or(missing));
            }
            left -= after * missing;
            share += missing;
        }
        Share(share)
    }

    /// The application refused a call; nothing is sent until then.
    pub(super) fn slow(&mut self, now: Instant, until: Instant) {
        let Share(share) = self.at(now);
        self.was = (share * 4 / 5).max(LEAST);
        self.refused = share;
        self.since = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_by_a_fifth_and_recovers_quickly_but_near_what_was_too_much() {
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
        assert_eq!(sharing.at(seconds(61)).of(100), 90);
        assert_eq!(sharing.at(seconds(64)).of(100), 93);
        assert_eq!(sharing.at(seconds(71)).of(100), 100);
        assert_eq!(sharing.at(seconds(10_000)).of(100), 100);
    }

    #[test]
    fn from_the_least_it_is_back_within_a_quarter_of_a_minute() {
        let start = Instant::now();
        let mut sharing = Sharing::new(start);
        (0..100).for_each(|_| sharing.slow(start, start));
        let near = start + Duration::from_secs(3);
        assert!((10..=20).contains(&sharing.at(near).of(100)), "{sharing:?}");
        assert_eq!(sharing.at(start + Duration::from_secs(15)).of(100), 100);
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
