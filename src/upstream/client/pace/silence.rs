//! When nothing is sent at all: the application asked for a pause, or nobody
//! answers there.
//!
//! What it asks for is kept and never cut short. Where it asks for nothing, or
//! for nothing usable, there is the silence it is known to demand
//! ([`super::Limits::penalty`]), else an own back-off.

use std::time::Duration;

use tokio::time::Instant;

use super::{super::retry_after::LONGEST, Priority};

/// How much later ordinary calls start after a pause, so that removals,
/// woken at the same moment, are first.
const REMOVALS_FIRST: Duration = Duration::from_millis(500);
/// Failed connections in a row after which one call at a time tries.
pub(super) const CIRCUIT: u32 = 3;
/// The pause between two such tries.
const PROBE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Demanded after a 429 that says nothing usable.
    penalty: Option<Duration>,
    /// Asked for by the application.
    throttled: Option<Instant>,
    throttles: u32,
    /// Because nobody answers there.
    pub(super) unreachable: Option<Instant>,
    failures: u32,
}

impl Silence {
    pub(super) fn new(penalty: Option<Duration>) -> Self {
        Self {
            penalty,
            ..Self::default()
        }
    }

    pub(super) fn is_unreachable(&self) -> bool {
        self.failures >= CIRCUIT
    }

    /// How long silence was asked for still.
    pub(super) fn asked(&self, now: Instant) -> Option<Duration> {
        let left = self.throttled?.saturating_duration_since(now);
        Some(left).filter(|left| !left.is_zero())
    }

    /// How long there is nothing to be sent, and why.
    pub(super) fn left(&self, priority: Priority, now: Instant) -> (Duration, &'static str) {
        let left = |until: Option<Instant>| {
            until
                .map(|until| match priority {
                    Priority::Revocation => until,
                    Priority::Ordinary => until + REMOVALS_FIRST,
                })
                .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
        };
        let throttled = left(self.throttled);
        let unreachable = left(self.unreachable);
        if throttled >= unreachable {
            (throttled, "the application asked for a pause")
        } else {
            (unreachable, "the application cannot be reached")
        }
    }

    /// With the circuit open, whoever goes is the probe: the others wait on.
    pub(super) fn probing(&mut self, now: Instant) {
        if self.is_unreachable() {
            self.unreachable = Some(now + PROBE);
        }
    }

    /// The application answered 429; how long nothing is sent.
    pub(super) fn too_many(&mut self, asked: Option<Duration>, now: Instant) -> Duration {
        let usable = asked.filter(|asked| !asked.is_zero());
        self.throttled(usable.or(self.penalty).or(asked), now)
    }

    /// It is busy or asks for silence; how long it will be.
    pub(super) fn throttled(&mut self, asked: Option<Duration>, now: Instant) -> Duration {
        self.throttles = self.throttles.saturating_add(1);
        let own = backoff(self.throttles, Duration::from_secs(60));
        let pause = match asked {
            Some(asked) => asked.max(jitter(Duration::from_millis(100))).min(LONGEST),
            None => own,
        };
        let until = now + pause;
        // A shorter request does not shorten a longer one.
        if self.throttled.is_none_or(|current| current < until) {
            self.throttled = Some(until);
        }
        pause
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
    pub(super) fn reached(&mut self) {
        self.failures = 0;
        self.unreachable = None;
    }

    /// A call was taken: the own back-off starts over.
    pub(super) fn welcome(&mut self) {
        self.throttles = 0;
    }
}

/// Doubling from a quarter of a second, half of it by chance.
fn backoff(times: u32, most: Duration) -> Duration {
    let whole = Duration::from_millis(250 << times.min(10)).min(most);
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

    #[test]
    fn the_own_back_off_grows_and_stays_bounded() {
        let mut silence = Silence::default();
        let mut longest = Duration::ZERO;
        for _ in 0..40 {
            longest = longest.max(silence.throttled(None, Instant::now()));
        }
        assert!(longest > Duration::from_secs(20) && longest <= Duration::from_secs(60));
    }

    #[test]
    fn a_silence_that_is_known_holds_unless_another_is_asked_for() {
        let minute = Duration::from_secs(60);
        for (asked, pause) in [
            (None, minute),
            (Some(Duration::ZERO), minute),
            (Some(Duration::from_secs(5)), Duration::from_secs(5)),
            (Some(Duration::from_secs(90)), Duration::from_secs(90)),
        ] {
            let mut silence = Silence::new(Some(minute));
            let now = Instant::now();
            assert_eq!(silence.too_many(asked, now), pause, "{asked:?}");
            assert_eq!(silence.left(Priority::Revocation, now).0, pause);
        }
        // Being busy is another matter.
        let mut silence = Silence::new(Some(minute));
        assert!(silence.throttled(None, Instant::now()) < Duration::from_secs(1));
    }
}
