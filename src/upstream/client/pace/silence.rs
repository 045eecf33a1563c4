//! When nothing is sent at all: the application asked for a pause, or nobody
//! answers there.
//!
//! What it asks for is kept and never cut short. Where it asks for nothing, or
//! for nothing usable, there is the silence it is known to demand
//! ([`super::Limits::penalty`]), else an own back-off.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::retry_after::LONGEST,
    Priority,
    early::Early,
    faults::{Faults, What},
};
use crate::upstream::STOPPED;

/// How much later other calls start after a pause, so that removals,
/// woken at the same moment, are first.
const REMOVALS_FIRST: Duration = Duration::from_millis(500);
/// Failed connections, or refusals, in a row after which one call at a time
/// tries.
pub(super) const CIRCUIT: u32 = 3;
/// The pause between two such tries.
pub(super) const PROBE: Duration = Duration::from_secs(5);
/// Who failed last time tries so much later than who did not: what fails by
/// itself shows nothing.
const OTHERS_FIRST: Duration = Duration::from_secs(1);
/// So long those of kinds that failed wait for one of a kind that did not, and came
/// too early: who was refused comes again some while after the time it was told.
const HELD: Duration = Duration::from_secs(20);
/// But what takes access away no longer than another try would have been waited for.
const HELD_TAKING: Duration = PROBE;
/// The longest own back-off, where a time was asked for and where none was.
const ASKED: Duration = Duration::from_secs(10);
const UNASKED: Duration = Duration::from_secs(60);
/// The own back-off for one refusal alone, which may mean nothing.
const FIRST: Duration = Duration::from_millis(125);

#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Demanded after a 429 that says nothing usable.
    penalty: Option<Duration>,
    /// Asked for by the application.
    throttled: Option<Instant>,
    /// What takes access away goes before that.
    early: Early,
    /// How much later than this others go than who takes access away.
    lead: Duration,
    /// In a row.
    throttles: u32,
    /// Less was asked for than is known to be demanded, and that was kept.
    shorter: bool,
    /// When it asked last.
    heard: Option<Instant>,
    /// While one call finds out whether the application takes calls again.
    pub(super) probed: Option<Instant>,
    /// Because nobody answers there, or only with faults.
    pub(super) unreachable: Option<Instant>,
    /// Until then the next try is for a kind of call that has not failed.
    held: Option<Instant>,
    /// Connections that could not be made, in a row.
    failures: u32,
    /// Calls in a row that ended in a fault.
    faults: Faults,
}

impl Silence {
    pub(super) fn new(penalty: Option<Duration>) -> Self {
        Self {
            penalty,
            ..Self::default()
        }
    }

    pub(super) fn tighten(&mut self, penalty: Option<Duration>) {
        self.penalty = self.penalty.max(penalty);
    }

    pub(super) fn is_unreachable(&self) -> bool {
        self.failures >= CIRCUIT || self.faults.are_enough()
    }

    /// Whether every call is only tried, and not those of one kind alone.
    pub(super) fn is_all_down(&self) -> bool {
        self.failures >= CIRCUIT || self.faults.are_of_all()
    }

    /// How long silence was asked for still.
    pub(super) fn asked(&self, now: Instant) -> Option<Duration> {
        let left = self.throttled?.saturating_duration_since(now);
        Some(left).filter(|left| !left.is_zero())
    }

    /// How long there is nothing to be sent, and why.
    pub(super) fn left(
        &mut self,
        (priority, what): (Priority, What),
        now: Instant,
    ) -> (Duration, &'static str) {
        let is_first = matches!(priority, Priority::Revocation | Priority::Unanswered);
        let left = |until: Option<Instant>, lead: Duration| {
            until
                .map(|until| if is_first { until } else { until + lead })
                .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
        };
        let early = is_first.then(|| self.early.turn(what, now));
        let throttled = self
            .throttled
            .map(|until| early.map_or(until, |it| it.min(until)));
        let throttled = left(throttled, self.lead).max(left(self.probed, REMOVALS_FIRST));
        let unreachable = self.next_try((priority, what), now);
        let unreachable = left(unreachable, REMOVALS_FIRST);
        if !unreachable.is_zero() && self.may_be_well(what) && !self.is_held(now) {
            self.held = Some(now + HELD);
        }
        if throttled >= unreachable {
            (throttled, "the application asked for a pause")
        } else {
            (unreachable, STOPPED)
        }
    }

    /// Whether such a call is only tried now and then.
    fn stops(&self, what: What) -> bool {
        self.failures >= CIRCUIT || self.faults.stop(what)
    }

    /// Whether nobody answered this very call last time.
    pub(super) fn is_unanswered(&self, what: What) -> bool {
        self.faults.are_silence(what)
    }

    /// Whether it is only tried because calls of other kinds failed.
    fn may_be_well(&self, what: What) -> bool {
        self.failures < CIRCUIT && self.faults.are_of_all() && !self.faults.are_of_kind(what)
    }

    fn is_held(&self, now: Instant) -> bool {
        self.held.is_some_and(|until| now < until)
    }

    fn next_try(&self, (priority, what): (Priority, What), now: Instant) -> Option<Instant> {
        let next = self.unreachable.filter(|_| self.stops(what))?;
        if self.failures >= CIRCUIT {
            return Some(next);
        }
        let yields = self.faults.are_of_all() && self.faults.are_of_kind(what);
        let held = self.held.filter(|until| yields && now < *until);
        let longest = priority.takes().then_some(next + HELD_TAKING);
        let held = held.map(|until| longest.map_or(until, |longest| until.min(longest)));
        let next = held.map_or(next, |until| next.max(until));
        let failed = self.faults.are_of(what);
        Some(if failed { next + OTHERS_FIRST } else { next })
    }

    /// With the circuit open, whoever goes is the probe: the others wait on.
    pub(super) fn probing(&mut self, what: What, now: Instant) {
        if self.stops(what) {
            self.unreachable = Some(now + PROBE);
            if self.may_be_well(what) {
                self.held = None;
            }
        }
        if self.asked(now).is_some() {
            self.early.goes(what, now);
        } else if self.throttles >= CIRCUIT {
            self.probed = Some(now + PROBE);
        }
    }

    /// Whether a call sent then can tell something that is not known. What was
    /// sent before the application asked for silence was just as early, and so is
    /// what is sent before that is over.
    pub(super) fn is_news(&self, sent: Instant) -> bool {
        let is_after = |at: Option<Instant>| at.is_none_or(|at| at <= sent);
        is_after(self.heard) && is_after(self.throttled)
    }

    /// The application answered 429 to a call sent then; how long nothing is
    /// sent.
    pub(super) fn too_many(
        &mut self,
        sent: Instant,
        asked: Option<Duration>,
        now: Instant,
    ) -> Duration {
        let usable = asked.filter(|asked| !asked.is_zero());
        // Once it was not enough, what is known to be demanded counts.
        let least = self.penalty.filter(|_| self.shorter && self.is_news(sent));
        self.shorter |= usable.is_some_and(|usable| Some(usable) < self.penalty);
        let usable = usable.max(least);
        let pause = self.throttled(sent, usable.or(self.penalty).or(asked), now);
        self.early.none_before(self.throttled);
        pause
    }

    /// It is busy, as it answered to a call sent then; how long other calls wait.
    pub(super) fn busy(
        &mut self,
        (priority, what, sent): (Priority, What, Instant),
        asked: Option<Duration>,
        now: Instant,
    ) -> Duration {
        if self.asked(now).is_none() {
            self.early.begin();
        }
        let pause = self.throttled(sent, asked, now);
        self.early.busy(what, (priority.takes(), pause), now);
        pause
    }

    fn throttled(&mut self, sent: Instant, asked: Option<Duration>, now: Instant) -> Duration {
        if self.is_news(sent) {
            self.throttles = self.throttles.saturating_add(1);
        }
        let pause = match asked {
            // One that asks for little again and again gets more.
            Some(asked) => asked.max(backoff(self.throttles, ASKED)).min(LONGEST),
            None => backoff(self.throttles, UNASKED),
        };
        self.heard = Some(now);
        self.probed = None;
        self.faults.begin_again();
        self.reached();
        self.be_silent(pause, now);
        pause
    }

    /// A shorter request does not shorten a longer one.
    fn be_silent(&mut self, pause: Duration, now: Instant) {
        let until = now + pause;
        if self.throttled.is_none_or(|current| current < until) {
            self.throttled = Some(until);
            // Where all wait in one queue, that queue knows who is first.
            let is_slept_through = pause <= Priority::Ordinary.patience();
            self.lead = if is_slept_through {
                Duration::ZERO
            } else {
                REMOVALS_FIRST
            };
        }
    }

    /// Another process was asked for silence, and so much of it is left: of that of
    /// everything, and of that of all but what takes access away.
    pub(super) fn remember(&mut self, left: [Option<Duration>; 2], now: Instant) {
        let [whole, busy] = left.map(|left| left.map(|left| left.min(LONGEST)));
        if let Some(left) = whole {
            self.be_silent(left, now);
            self.early.none_before(Some(now + left));
        }
        if let Some(left) = busy {
            self.be_silent(left, now);
            self.early.none_before(Some(now + left.min(PROBE)));
        }
    }

    /// Whether the last refusal was not the first since a call was taken up.
    pub(super) fn is_in_a_row(&self) -> bool {
        self.throttles > 1
    }

    /// The connection could not be made; when to try again.
    pub(super) fn unreachable(&mut self, now: Instant) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.failures < CIRCUIT {
            return jitter(Duration::from_millis(100 << self.failures));
        }
        self.unreachable = Some(now + PROBE);
        PROBE
    }

    /// Somebody answers there.
    fn reached(&mut self) {
        self.failures = 0;
        if !self.faults.are_enough() {
            self.unreachable = None;
        }
    }

    /// A call ended in a fault of the application, or without an answer.
    pub(super) fn trouble(&mut self, what: What, answered: bool, now: Instant) {
        self.faults.note(what, answered);
        self.reached();
        if self.is_unreachable() {
            self.unreachable = Some(now + PROBE);
        }
    }

    /// A call sent then was taken up: the own back-off starts over.
    pub(super) fn welcome(&mut self, what: What, sent: Instant) {
        if self.is_all_down() {
            // Nobody was answered then.
            self.faults.forget_unanswered();
        }
        self.faults.welcome(what);
        self.held = None;
        self.reached();
        self.early.welcome(what);
        if self.is_news(sent) {
            self.throttles = 0;
            self.shorter = false;
            self.probed = None;
        }
    }
}

/// Little for the first, then doubling from a second, half of it by chance.
fn backoff(times: u32, most: Duration) -> Duration {
    let whole = match times {
        0 | 1 => FIRST,
        more => Duration::from_millis(250 << more.min(10)).min(most),
    };
    whole / 2 + jitter(whole / 2)
}

/// Any span up to `most`.
fn jitter(most: Duration) -> Duration {
    let share = getrandom::u32().unwrap_or(u32::MAX / 2);
    most.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: What = What { kind: 1, one: 1 };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// The pauses of so many calls, each sent when the last pause was over.
    fn pauses(silence: &mut Silence, asked: Option<Duration>, count: usize) -> Vec<Duration> {
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..count {
            let pause = silence.too_many(now, asked, now);
            now += pause;
            pauses.push(pause);
        }
        pauses
    }

    #[test]
    fn the_own_back_off_grows_and_stays_bounded() {
        let own = pauses(&mut Silence::default(), None, 40);
        assert!(own[0] <= seconds(1));
        let longest = own.iter().max();
        assert!(longest > Some(&seconds(29)) && longest <= Some(&seconds(60)));
    }

    #[test]
    fn what_is_asked_for_is_kept_and_too_little_again_and_again_becomes_more() {
        for asked in [0, 1, 7, 60, 900] {
            let asked = seconds(asked);
            let kept = pauses(&mut Silence::default(), Some(asked), 20);
            assert!(kept.iter().all(|pause| *pause >= asked), "never early");
            assert!(kept[0] <= asked.max(seconds(1)), "{asked:?}: {kept:?}");
            let last = kept[19];
            let bounds = asked.max(seconds(5))..=asked.max(seconds(10));
            assert!(bounds.contains(&last), "{asked:?}: {last:?}");
        }
    }

    #[test]
    fn calls_that_were_under_way_together_count_once() {
        let start = Instant::now();
        let mut silence = Silence::default();
        for milli in 1..=20 {
            let heard = start + Duration::from_millis(milli);
            assert!(silence.too_many(start, None, heard) <= seconds(1));
        }
        // And one that was taken up before says nothing of now.
        silence.welcome(CALL, start);
        let later = start + seconds(10);
        silence.too_many(later, None, later);
        assert_eq!(silence.throttles, 2);
        // Nor does one that went before the pause was over.
        silence.welcome(CALL, later);
        assert_eq!(silence.throttles, 2);
        silence.welcome(CALL, later + seconds(10));
        assert_eq!(silence.throttles, 0);
    }

    #[test]
    fn a_silence_that_is_known_holds_unless_another_is_asked_for() {
        let minute = seconds(60);
        for (asked, pause) in [
            (None, minute),
            (Some(Duration::ZERO), minute),
            (Some(seconds(5)), seconds(5)),
            (Some(seconds(90)), seconds(90)),
        ] {
            let mut silence = Silence::new(Some(minute));
            let now = Instant::now();
            assert_eq!(silence.too_many(now, asked, now), pause, "{asked:?}");
            assert_eq!(silence.left((Priority::Revocation, CALL), now).0, pause);
        }
        // What was too short once is not kept a second time, until a call is
        // taken up.
        let mut silence = Silence::new(Some(minute));
        let short = Some(seconds(1));
        let kept = pauses(&mut silence, short, 4);
        assert_eq!(kept, [seconds(1), minute, minute, minute]);
        let longer = pauses(&mut silence, Some(seconds(90)), 2);
        assert_eq!(longer, [seconds(90), seconds(90)]);
        let later = Instant::now() + seconds(900);
        silence.welcome(CALL, later);
        assert_eq!(silence.too_many(later, short, later), seconds(1));
        // Being busy is another matter.
        let mut silence = Silence::new(Some(minute));
        let now = Instant::now();
        let reads = (Priority::Ordinary, CALL, now);
        assert!(silence.busy(reads, None, now) < seconds(1));
    }
}
