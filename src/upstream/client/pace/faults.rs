//! Whether the application answers with faults alone, or some calls fail by
//! themselves.
//!
//! Ten faults in a row, with no call taken in between, show that it is down.
//! Where all ten are of one kind (method and path), only that kind is: others
//! go on, and show soon whether they fare better. A call that failed before and
//! fails again, though others were taken since, is known to fail by itself and
//! is not counted; but as nothing tells those from the calls of an application
//! that is down and asked for nothing else, thirty in a row do with them.

use std::collections::{HashMap, HashSet};

/// Faults in a row after which one call at a time tries.
pub(super) const FAULTS: u32 = 10;
/// The same with those that are known to fail.
pub(super) const ANY_FAULTS: u32 = 30;
/// Calls that are remembered as failed.
const REMEMBERED: usize = 2_048;

/// Which call it is, and of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream::client) struct What {
    pub(in crate::upstream::client) kind: u64,
    pub(in crate::upstream::client) one: u64,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    all: Row,
    /// Those that are not known.
    news: Row,
    /// Calls that were taken.
    taken: u64,
    /// Which calls failed, and how many were taken before they did first.
    failed: HashMap<u64, u64>,
    /// Those of them that nobody answered.
    unanswered: HashSet<u64>,
}

/// Faults with no call taken in between.
#[derive(Debug, Default)]
struct Row {
    count: u32,
    kinds: HashSet<u64>,
}

impl Row {
    fn note(&mut self, kind: u64) {
        self.count = self.count.saturating_add(1);
        self.kinds.insert(kind);
    }

    fn is_of_several(&self) -> bool {
        self.kinds.len() > 1
    }

    fn is_about(&self, kind: u64) -> bool {
        self.is_of_several() || self.kinds.contains(&kind)
    }
}

impl Faults {
    /// Those that show that something is down.
    fn row(&self) -> Option<&Row> {
        let enough = |row: &&Row, most| row.count >= most;
        Some(&self.news)
            .filter(|row| enough(row, FAULTS))
            .or(Some(&self.all).filter(|row| enough(row, ANY_FAULTS)))
    }

    pub(super) fn are_enough(&self) -> bool {
        self.row().is_some()
    }

    pub(super) fn are_of_all(&self) -> bool {
        self.row().is_some_and(Row::is_of_several)
    }

    /// Whether calls of that kind are only tried.
    pub(super) fn stop(&self, what: What) -> bool {
        self.row().is_some_and(|row| row.is_about(what.kind))
    }

    /// Whether a call of its kind failed since any was taken.
    pub(super) fn are_of_kind(&self, what: What) -> bool {
        self.all.kinds.contains(&what.kind)
    }

    /// Whether this very call failed last time.
    pub(super) fn are_of(&self, what: What) -> bool {
        self.failed.contains_key(&what.one)
    }

    /// Whether nobody answered this very call last time.
    pub(super) fn are_silence(&self, what: What) -> bool {
        self.unanswered.contains(&what.one)
    }

    pub(super) fn forget_unanswered(&mut self) {
        self.unanswered.clear();
    }

    pub(super) fn note(&mut self, what: What, answered: bool) {
        self.all.note(what.kind);
        if self.failed.len() >= REMEMBERED && !self.are_of(what) {
            // Whoever fails again is known again the time after that.
            self.failed.clear();
            self.unanswered.clear();
        }
        if answered {
            self.unanswered.remove(&what.one);
        } else {
            self.unanswered.insert(what.one);
        }
        let first = *self.failed.entry(what.one).or_insert(self.taken);
        if first == self.taken {
            self.news.note(what.kind);
        }
    }

    /// It was taken.
    pub(super) fn welcome(&mut self, what: What) {
        self.failed.remove(&what.one);
        self.unanswered.remove(&what.one);
        self.taken += 1;
        self.begin_again();
    }

    pub(super) fn begin_again(&mut self) {
        (self.all, self.news) = (Row::default(), Row::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(kind: u64, one: u64) -> What {
        What { kind, one }
    }

    /// After how many of these calls, made over and over, those of this kind are
    /// only tried.
    fn until_stopped(faults: &mut Faults, calls: &[What], kind: u64) -> u32 {
        let calls = calls.iter().cycle().take(1_000);
        for (count, what) in (1..).zip(calls) {
            faults.note(*what, true);
            if faults.stop(call(kind, 0)) {
                return count;
            }
        }
        0
    }

    #[test]
    fn who_is_down_is_found_out_by_ten_calls_and_a_kind_that_fails_stops_no_other() {
        let stopped = |calls: &[What], kind| until_stopped(&mut Faults::default(), calls, kind);
        assert_eq!(stopped(&[call(1, 1), call(2, 2)], 3), FAULTS);
        let many: Vec<_> = (0..60).map(|one| call(1, one)).collect();
        for calls in [&many[..], &many[..1]] {
            assert_eq!((stopped(calls, 1), stopped(calls, 2)), (FAULTS, 0));
        }
        let mut faults = Faults::default();
        assert_eq!(until_stopped(&mut faults, &many, 1), FAULTS);
        assert_eq!(until_stopped(&mut faults, &[call(2, 99)], 3), 1, "neither");
        // What was taken and fails now is no less news than what is new.
        let calls = [call(1, 1), call(2, 2)];
        for _ in 0..3 {
            calls.iter().for_each(|what| faults.welcome(*what));
            assert!(!faults.are_enough());
            assert_eq!(until_stopped(&mut faults, &calls, 3), FAULTS);
        }
    }

    #[test]
    fn what_fails_again_while_others_are_taken_tells_nothing_of_the_application() {
        let broken: Vec<_> = (0..60).map(|one| call(one % 3, one)).collect();
        let well = call(1, 100);
        let mut faults = Faults::default();
        for (count, what) in (1..).zip(&broken) {
            faults.note(*what, true);
            // They are new, and something else is taken now and then.
            if count % 9 == 0 {
                faults.welcome(well);
            }
            assert!(!faults.are_enough());
        }
        faults.welcome(well);
        for _ in 0..10 {
            for what in broken.iter().take(ANY_FAULTS as usize - 1) {
                faults.note(*what, true);
                assert!(!faults.are_enough(), "{faults:?}");
            }
            faults.welcome(well);
        }
        // When it goes down, that is found out also by those alone, and sooner
        // by what was well.
        assert_eq!(until_stopped(&mut faults, &broken, 9), ANY_FAULTS);
        faults.welcome(broken[0]);
        let mut calls: Vec<_> = (200..210).map(|one| call(one % 2, one)).collect();
        assert_eq!(until_stopped(&mut faults, &calls, 9), FAULTS);
        faults.welcome(well);
        calls = broken[1..10].to_vec();
        calls.extend([well, call(2, 300)]);
        let found = until_stopped(&mut faults, &calls, 9);
        assert!((FAULTS..=ANY_FAULTS).contains(&found), "{found}");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut faults = Faults::default();
        (0..10_000).for_each(|one| faults.note(call(1, one), true));
        assert!(faults.failed.len() <= REMEMBERED);
    }
}
