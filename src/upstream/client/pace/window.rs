//! No more than so many calls in any second, as the application counts them: a
//! sliding window over the moments at which calls were let go. It is a little
//! longer than a second, because calls that leave evenly arrive unevenly.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// A second, and what calls may lose or gain on each other on their way. It
/// costs 4 % of the limit.
const SPAN: Duration = Duration::from_millis(1_040);

#[derive(Debug)]
pub(super) struct Window {
    most: usize,
    /// Never longer than `most`.
    sent: VecDeque<Instant>,
}

impl Window {
    /// Zero counts as one.
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            most: usize::try_from(per_second.max(1)).unwrap_or(usize::MAX),
            sent: VecDeque::new(),
        }
    }

    /// How long no further call may go; `None` when one may.
    pub(super) fn full_for(&mut self, now: Instant) -> Option<Duration> {
        while let Some(oldest) = self.sent.front() {
            let left = (*oldest + SPAN).saturating_duration_since(now);
            if !left.is_zero() {
                return (self.sent.len() >= self.most).then_some(left);
            }
            self.sent.pop_front();
        }
        None
    }

    pub(super) fn note(&mut self, now: Instant) {
        self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_calls_than_the_limit() {
        let start = Instant::now();
        let mut window = Window::new(10);
        let mut sent = Vec::new();
        // Somebody tries every millisecond, for three seconds.
        for milli in 0..3_000 {
            let now = start + Duration::from_millis(milli);
            if window.full_for(now).is_none() {
                window.note(now);
                sent.push(milli);
            }
        }
        let most = |from: &u64| {
            sent.iter()
                .filter(|at| (*from..from + 1_000).contains(at))
                .count()
        };
        assert_eq!(sent.iter().map(most).max(), Some(10));
        assert_eq!(sent.len(), 30, "and none is given away");
    }

    #[test]
    fn who_has_to_wait_is_told_until_when() {
        let start = Instant::now();
        let mut window = Window::new(1);
        assert_eq!(window.full_for(start), None);
        window.note(start);
        let later = start + Duration::from_millis(40);
        let left = window.full_for(later);
        assert_eq!(left, Some(Duration::from_secs(1)));
        assert_eq!(window.full_for(later + Duration::from_secs(1)), None);
    }
}
