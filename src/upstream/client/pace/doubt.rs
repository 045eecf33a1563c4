//! Whether a refusal says that the limits are lower than is known.
//!
//! Nothing is ever sent beyond the limits that are known, so one refusal now
//! and then among many calls that are taken is the application's mood, and
//! slowing down for it would only lose pace. Refusals in a row, many among
//! few calls, or one that was not expected of a limit that has never been
//! used are something else.

use std::time::Duration;

use tokio::time::Instant;

/// So many calls that are taken weigh as much as one that is refused.
const WEIGHT: u32 = 50;
/// More than so many refusals close together are too many.
const MANY: u32 = 3;
/// After a pause as long as this there is room again whatever the limit is, so
/// that the next call being taken shows nothing.
const LONG: Duration = Duration::from_millis(200);
/// For so long it counts that the limits were used to the full.
const SHOWN: Duration = Duration::from_secs(30);
/// Calls sent later than this after a refusal owe nothing to it.
const APART: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Refusals, less what was taken since.
    weight: u32,
    refused: Option<Instant>,
    /// When the limits were last used to the full without a refusal.
    shown: Option<Instant>,
}

impl Doubt {
    /// A call was refused, and nothing is sent for a while; whether that means
    /// a lower limit.
    pub(super) fn refused(&mut self, in_a_row: bool, pause: Duration, now: Instant) -> bool {
        self.refused = Some(now);
        self.weight += WEIGHT;
        let is_known = self.shown.is_some_and(|shown| now <= shown + SHOWN);
        let is_lower = in_a_row || self.weight > MANY * WEIGHT || (pause >= LONG && !is_known);
        if is_lower {
            self.weight = 0;
            self.shown = None;
        }
        is_lower
    }

    /// A call sent then was taken, with the limits used to the full or not.
    pub(super) fn taken(&mut self, sent: Instant, is_full: bool, now: Instant) {
        self.weight = self.weight.saturating_sub(1);
        if is_full && self.refused.is_none_or(|refused| sent >= refused + APART) {
            self.shown = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(90);
    const SECOND: Duration = Duration::from_secs(1);

    fn taken(doubt: &mut Doubt, count: usize, is_full: bool, now: Instant) {
        (0..count).for_each(|_| doubt.taken(now, is_full, now));
    }

    #[test]
    fn one_in_a_hundred_means_nothing_and_one_in_ten_a_lower_limit() {
        let now = Instant::now();
        let mut doubt = Doubt::default();
        for _ in 0..100 {
            assert!(!doubt.refused(false, SHORT, now));
            taken(&mut doubt, 99, false, now);
        }
        let mut means = Vec::new();
        for _ in 0..4 {
            means.push(doubt.refused(false, SHORT, now));
            taken(&mut doubt, 9, false, now);
        }
        assert_eq!(means, [false, false, false, true]);
    }

    #[test]
    fn two_in_a_row_mean_a_lower_limit() {
        let mut doubt = Doubt::default();
        assert!(!doubt.refused(false, SHORT, Instant::now()));
        assert!(doubt.refused(true, SHORT, Instant::now()));
    }

    #[test]
    fn after_a_long_pause_a_limit_is_believed_only_if_it_was_used_to_the_full() {
        let start = Instant::now();
        let mut doubt = Doubt::default();
        assert!(doubt.refused(false, SECOND, start), "never used");
        let later = start + SECOND;
        taken(&mut doubt, 100, false, later);
        assert!(doubt.refused(false, SECOND, later), "not to the full");
        let later = later + SECOND;
        taken(&mut doubt, 100, true, later);
        assert!(!doubt.refused(false, SECOND, later));
        taken(&mut doubt, 100, true, later);
        let long_after = later + SHOWN + SECOND;
        assert!(doubt.refused(false, SECOND, long_after), "long ago");
    }
}
