//! No more than so many calls in any second, as the application counts them.
//!
//! What counts is when a call arrives there, which is some time between its
//! being sent and its answer. So a call keeps its place for a second after it
//! was sent, and for as much longer as its answer took more than answers take
//! at best: by that much it may have been late on its way.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// A second, and a little for what is too small to be seen.
const SPAN: Duration = Duration::from_millis(1_030);
/// A call is not on its way for longer, whatever became of it.
const LONGEST_WAY: Duration = Duration::from_secs(1);
/// An answer may free a place sooner than was thought.
const LOOK: Duration = Duration::from_millis(10);
/// By how much at most one answer shows that answers have become slower: a few
/// that never come say nothing of the others.
const SLOWER: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Window {
    most: usize,
    /// Until when, and a number that tells equal moments apart; never more
    /// than `most`.
    taken: BTreeSet<(Instant, u64)>,
    next: u64,
    /// What an answer takes at best.
    best: Duration,
}

/// One call's place in the window.
#[derive(Debug)]
pub(super) struct Place {
    sent: Instant,
    until: Instant,
    number: u64,
}

impl Window {
    /// Zero counts as one.
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            most: usize::try_from(per_second.max(1)).unwrap_or(usize::MAX),
            taken: BTreeSet::new(),
            next: 0,
            best: Duration::ZERO,
        }
    }

    /// When to ask again; `None` when a call may go.
    pub(super) fn full_for(&mut self, now: Instant) -> Option<Duration> {
        while let Some((until, _)) = self.taken.first() {
            let left = until.saturating_duration_since(now);
            if !left.is_zero() {
                return (self.taken.len() >= self.most).then_some(left.min(LOOK));
            }
            self.taken.pop_first();
        }
        None
    }

    /// A call goes now.
    pub(super) fn take(&mut self, now: Instant) -> Place {
        self.next += 1;
        let place = Place {
            sent: now,
            until: now + SPAN + LONGEST_WAY,
            number: self.next,
        };
        self.taken.insert((place.until, place.number));
        place
    }

    /// It was answered, or given up.
    pub(super) fn answered(&mut self, place: &Place, now: Instant) {
        let took = now.saturating_duration_since(place.sent).min(LONGEST_WAY);
        self.best = took.min(self.best + SLOWER);
        if self.taken.remove(&(place.until, place.number)) {
            let late = took.saturating_sub(self.best);
            self.taken.insert((place.sent + SPAN + late, place.number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn no_second_has_more_calls_than_the_limit() {
        let start = Instant::now();
        let mut window = Window::new(10);
        let mut sent = Vec::new();
        // Somebody tries every millisecond, for three seconds.
        for milli in 0..3_000 {
            let now = start + millis(milli);
            if window.full_for(now).is_none() {
                let place = window.take(now);
                window.answered(&place, now);
                sent.push(milli);
            }
        }
        let most = |from: &u64| {
            let second = *from..from + 1_000;
            sent.iter().filter(|at| second.contains(at)).count()
        };
        assert_eq!(sent.iter().map(most).max(), Some(10));
        assert_eq!(sent.len(), 30, "and none is given away");
    }

    #[test]
    fn a_call_that_may_have_arrived_late_keeps_its_place_longer() {
        let start = Instant::now();
        let mut window = Window::new(1);
        let place = window.take(start);
        window.answered(&place, start + millis(320));
        assert!(window.full_for(start + millis(1_300)).is_some());
        assert!(window.full_for(start + millis(1_351)).is_none());
    }

    #[test]
    fn an_application_that_is_always_slow_is_no_late_arrival() {
        let start = Instant::now();
        let mut window = Window::new(1);
        for _ in 0..400 {
            let place = window.take(start);
            window.answered(&place, start + millis(320));
            window.full_for(start + millis(5_000));
        }
        let place = window.take(start);
        window.answered(&place, start + millis(320));
        assert!(window.full_for(start + millis(1_050)).is_none());
    }

    #[test]
    fn a_call_without_an_answer_does_not_keep_its_place_for_ever() {
        let start = Instant::now();
        let mut window = Window::new(1);
        let _unanswered = window.take(start);
        assert!(window.full_for(start + millis(2_000)).is_some());
        assert!(window.full_for(start + millis(2_031)).is_none());
    }
}
