//! How many calls may go: spread over each second, and never more than the
//! limits in any second and any minute.
//!
//! Spreading alone is not enough, because what it allows at once after a quiet
//! time would take a second over the limit; and windows alone would send all
//! calls of a second at its beginning. After a refusal all of them are kept to
//! a share of the limits.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Limits, Priority,
    doubt::Doubt,
    share::Sharing,
    window::{Sent, Window},
};

const MINUTE: Duration = Duration::from_secs(60);
/// A call is not on its way for longer, whatever became of it.
const LONGEST_WAY: Duration = Duration::from_secs(1);
/// By how much at most one answer shows that answers have become slower: a few
/// that never come say nothing of the others.
const SLOWER: Duration = Duration::from_millis(1);
/// Timers are late; so much of it is made up for.
const LATE_TIMER: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Rate {
    per_second: u32,
    sharing: Sharing,
    doubt: Doubt,
    /// How much a call may be ahead of its time.
    ahead: Duration,
    /// When the next call is due.
    due: Instant,
    windows: Vec<Window>,
    calls: u64,
    /// What an answer takes at best.
    best: Duration,
}

impl Rate {
    /// Zero in any limit counts as one.
    pub(super) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            per_second: limits.per_second.max(1),
            sharing: Sharing::new(now),
            doubt: Doubt::default(),
            ahead: ahead(limits),
            due: now,
            windows: windows(limits)
                .map(|(span, most)| Window::new(span, most))
                .collect(),
            calls: 0,
            best: Duration::ZERO,
        }
    }

    /// The stricter of these and those that are kept already.
    pub(super) fn tighten(&mut self, limits: &Limits) {
        self.per_second = self.per_second.min(limits.per_second.max(1));
        self.ahead = self.ahead.min(ahead(limits));
        for (span, most) in windows(limits) {
            match self.windows.iter_mut().find(|window| window.is_of(span)) {
                Some(window) => window.tighten(most),
                None => self.windows.push(Window::new(span, most)),
            }
        }
    }

    /// What is kept of the limit of each second.
    pub(super) fn per_second(&self, now: Instant) -> u32 {
        self.sharing.at(now).of(self.per_second)
    }

    /// The limit of each minute, where there is one.
    pub(super) fn per_minute(&self) -> Option<u32> {
        let minute = self.windows.iter().find(|window| window.is_of(MINUTE));
        minute.map(Window::most)
    }

    /// Calls that another process has sent count as if they were sent here.
    pub(super) fn remember(&mut self, calls: &[(Duration, u32)], now: Instant) {
        for window in &mut self.windows {
            window.remember(calls, LONGEST_WAY, now);
        }
    }

    /// A call was refused as one too many, and nothing is sent for a while.
    pub(super) fn refused(&mut self, in_a_row: bool, pause: Duration, now: Instant) {
        if self.doubt.refused(in_a_row, pause, now) {
            self.sharing.slow(now, now + pause);
        }
    }

    /// A call was taken up.
    pub(super) fn welcome(&mut self, call: Sent, now: Instant) {
        let is_full = self.windows.iter_mut().all(|window| window.is_full(now));
        self.doubt.taken(call.at, is_full, now);
    }

    /// How long until a call may go, as far as is known; `None` when one may
    /// go now.
    pub(super) fn wait(&mut self, priority: Priority, now: Instant) -> Option<Duration> {
        let revokes = matches!(priority, Priority::Revocation | Priority::Unanswered);
        let share = self.sharing.at(now);
        let full = self.windows.iter_mut();
        let full = full
            .filter_map(|window| window.full_for(share, revokes, now))
            .max();
        let early = self.due.saturating_duration_since(now + self.ahead);
        let early = Some(early).filter(|early| !early.is_zero());
        full.max(early)
    }

    /// A call goes now.
    pub(super) fn take(&mut self, now: Instant) -> Sent {
        let behind = now.checked_sub(LATE_TIMER).unwrap_or(now);
        self.due = self.due.max(behind) + Duration::from_secs(1) / self.per_second(now);
        self.calls += 1;
        let call = Sent {
            at: now,
            late: LONGEST_WAY,
            number: self.calls,
        };
        for window in &mut self.windows {
            window.take(call);
        }
        call
    }

    /// It did not go after all.
    pub(super) fn unsent(&mut self, call: Sent, now: Instant) {
        for window in &mut self.windows {
            window.give_back(call);
        }
        let each = Duration::from_secs(1) / self.per_second(now);
        self.due = self.due.checked_sub(each).unwrap_or(self.due);
    }

    /// It was answered, or given up. By as much as its answer took longer than
    /// answers take at best, it may have been late on its way.
    pub(super) fn answered(&mut self, call: Sent, now: Instant) {
        let took = now.saturating_duration_since(call.at).min(LONGEST_WAY);
        self.best = took.min(self.best + SLOWER);
        let known = Sent {
            late: took.saturating_sub(self.best),
            ..call
        };
        for window in &mut self.windows {
            window.correct(call, known);
        }
    }
}

/// How much earlier a call may go than an even rate would have it.
fn ahead(limits: &Limits) -> Duration {
    Duration::from_secs(1) * limits.burst.saturating_sub(1) / limits.per_second.max(1)
}

fn windows(limits: &Limits) -> impl Iterator<Item = (Duration, u32)> {
    let second = (Duration::from_secs(1), limits.per_second);
    let minute = limits.per_minute.map(|most| (MINUTE, most));
    [second].into_iter().chain(minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDINARY: Priority = Priority::Ordinary;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn rate(per_second: u32, per_minute: Option<u32>) -> Rate {
        Rate::new(&Limits {
            per_second,
            burst: per_second,
            concurrency: 1,
            per_minute,
            penalty: None,
        })
    }

    /// When calls went, in milliseconds, if somebody tries every millisecond
    /// and each is answered at once.
    fn sent(rate: &mut Rate, priority: Priority, start: Instant, span: u64) -> Vec<u64> {
        let mut sent = Vec::new();
        for milli in 0..span {
            let now = start + millis(milli);
            if rate.wait(priority, now).is_none() {
                let call = rate.take(now);
                rate.answered(call, now);
                sent.push(milli);
            }
        }
        sent
    }

    /// The most calls in any span that long.
    fn most(sent: &[u64], span: u64) -> usize {
        let within = |from: &u64| {
            let span = *from..from + span;
            sent.iter().filter(|at| span.contains(at)).count()
        };
        sent.iter().map(within).max().unwrap_or(0)
    }

    #[test]
    fn a_call_that_did_not_go_takes_nothing_of_the_limit() {
        let start = Instant::now();
        let mut rate = rate(10, Some(60));
        for n in 0..1_000 {
            assert_eq!(rate.wait(ORDINARY, start), None, "{n}");
            let call = rate.take(start);
            rate.unsent(call, start);
        }
        assert_eq!(rate.best, Duration::ZERO);
        assert_eq!(sent(&mut rate, ORDINARY, start, 900).len(), 10);
    }

    #[test]
    fn no_second_has_more_calls_than_the_limit() {
        let start = Instant::now();
        let sent = sent(&mut rate(10, None), ORDINARY, start, 3_000);
        assert_eq!(most(&sent, 1_000), 10);
        assert_eq!(sent.len(), 30, "and none is given away");
    }

    #[test]
    fn several_windows_hold_at_once() {
        let start = Instant::now();
        let mut rate = rate(27, Some(100));
        let sent = sent(&mut rate, Priority::Revocation, start, 130_000);
        assert_eq!(most(&sent, 1_000), 27);
        assert_eq!(most(&sent, 60_000), 100);
        assert_eq!(sent.len(), 300);
    }

    #[test]
    fn a_part_of_every_minute_is_kept_for_revocations() {
        let start = Instant::now();
        let mut rate = rate(100, Some(200));
        assert_eq!(sent(&mut rate, ORDINARY, start, 10_000).len(), 196);
        let later = start + millis(10_000);
        assert!(rate.wait(ORDINARY, later) > Some(millis(40_000)));
        let urgent = sent(&mut rate, Priority::Revocation, later, 1_000);
        assert_eq!(urgent.len(), 4);
    }

    #[test]
    fn a_call_that_may_have_arrived_late_keeps_its_place_longer() {
        let start = Instant::now();
        let mut rate = rate(1, None);
        let call = rate.take(start);
        rate.answered(call, start + millis(320));
        assert!(rate.wait(ORDINARY, start + millis(1_300)).is_some());
        assert!(rate.wait(ORDINARY, start + millis(1_351)).is_none());
    }

    #[test]
    fn an_application_that_is_always_slow_is_no_late_arrival() {
        let mut start = Instant::now();
        let mut rate = rate(1, None);
        for _ in 0..400 {
            let call = rate.take(start);
            rate.answered(call, start + millis(320));
            start += millis(5_000);
            assert!(rate.wait(ORDINARY, start).is_none());
        }
        let call = rate.take(start);
        rate.answered(call, start + millis(320));
        assert!(rate.wait(ORDINARY, start + millis(1_050)).is_none());
    }

    #[test]
    fn a_call_without_an_answer_does_not_keep_its_place_for_ever() {
        let start = Instant::now();
        let mut rate = rate(1, None);
        let _unanswered = rate.take(start);
        assert!(rate.wait(ORDINARY, start + millis(2_000)).is_some());
        assert!(rate.wait(ORDINARY, start + millis(2_031)).is_none());
    }

    /// What a first sync uses of 1,620 calls a minute, with answers that take 20 ms to
    /// 28 ms, after a list that was read page after page.
    fn share(per_second: u32) -> f64 {
        let start = Instant::now();
        let mut rate = rate(per_second, Some(1_620));
        let (mut flying, mut arrived) = (Vec::<(u64, Sent)>::new(), Vec::new());
        for milli in 0..200_000 {
            let now = start + millis(milli);
            let (back, still) = flying.into_iter().partition(|(end, _)| *end <= milli);
            flying = still;
            for (_, call) in back {
                rate.answered(call, now);
            }
            let reads = milli < 4_000 && milli % 80 != 0;
            if !reads && flying.len() < 9 && rate.wait(ORDINARY, now).is_none() {
                let late = arrived.len() as u64 * 7 % 9;
                flying.push((milli + 20 + late, rate.take(now)));
                arrived.push(milli + 10 + late);
            }
        }
        arrived.sort_unstable();
        let most = |span: u64| {
            let until = |from: &u64| arrived.partition_point(|at| *at < from + span);
            let counts = arrived.iter().enumerate().map(|(n, at)| until(at) - n);
            counts.max().unwrap_or(0)
        };
        assert!(most(1_000) <= per_second as usize, "{}", most(1_000));
        assert!(most(60_000) <= 1_620, "{}", most(60_000));
        f64::from(u32::try_from(arrived.len()).unwrap_or(0)) / (200.0 * 27.0)
    }

    #[test]
    fn a_second_that_allows_more_than_its_part_of_the_minute_makes_up_for_what_was_lost() {
        let (even, more) = (share(27), share(28));
        assert!(even < 0.96, "{even}");
        assert!(more > 0.97, "{more}");
    }
}
