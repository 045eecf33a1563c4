//! The pace of one connection: so many calls per second, so many at once,
//! revocations before everything else, and silence while the application asks
//! for it or cannot be reached.
//!
//! Ordinary calls go through a gate one at a time, so that at most one of them
//! competes with a revocation, and one slot is kept free of them. Waits that
//! are short are slept through here; longer ones are given back, because only
//! the caller can put the work aside.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::retry_after::LONGEST;
use window::{Place, Window};

mod window;

/// Pauses up to this long are slept through.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much later ordinary calls start after a pause, so that removals,
/// woken at the same moment, are first.
const REMOVALS_FIRST: Duration = Duration::from_millis(500);
/// Failed connections in a row after which one call at a time tries.
const CIRCUIT: u32 = 3;
/// The pause between two such tries.
const PROBE: Duration = Duration::from_secs(5);

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Priority {
    /// Takes access away.
    Revocation,
    Ordinary,
}

/// Not now, and not soon.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) after: Duration,
    pub(super) reason: &'static str,
}

/// The right to send one call now; ends when dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _slot: SemaphorePermit<'a>,
    _ordinary: Option<SemaphorePermit<'a>>,
    _kept: Kept<'a>,
}

/// A place in the window while the call is on its way.
#[derive(Debug)]
struct Kept<'a> {
    window: &'a Mutex<Window>,
    place: Place,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.answered(&self.place, Instant::now());
    }
}

/// Whether it is somebody's turn.
enum Go<'a> {
    Now(Kept<'a>),
    /// Never zero.
    Wait(Duration),
}

#[derive(Debug)]
pub(super) struct Pace {
    per_second: u32,
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    window: Mutex<Window>,
    slots: Semaphore,
    ordinary_slots: Semaphore,
    /// First come, first served, within each priority.
    gates: [tokio::sync::Mutex<()>; 2],
    /// Revocations that wait for their turn.
    urgent: watch::Sender<usize>,
    silence: Mutex<Silence>,
}

#[derive(Debug, Default)]
struct Silence {
    /// Asked for by the application.
    throttled: Option<Instant>,
    throttles: u32,
    /// Because nobody answers there.
    unreachable: Option<Instant>,
    failures: u32,
}

impl Pace {
    /// Zero in any argument counts as one.
    pub(super) fn new(per_second: u32, burst: u32, concurrency: u32) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
        let slots = concurrency.clamp(1, 1_000) as usize;
        let clock = DefaultClock::default();
        Self {
            per_second: per_second.max(1),
            limiter: DefaultDirectRateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            window: Mutex::new(Window::new(per_second)),
            slots: Semaphore::new(slots),
            ordinary_slots: Semaphore::new(slots.saturating_sub(1).max(1)),
            gates: Default::default(),
            urgent: watch::Sender::new(0),
            silence: Mutex::default(),
        }
    }

    pub(super) fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Whether nobody answers there, and how long silence was asked for.
    pub(super) fn silences(&self) -> (bool, Option<Duration>) {
        let silence = self.silence();
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let asked = silence.throttled.map(left).filter(|left| !left.is_zero());
        (silence.failures >= CIRCUIT, asked)
    }

    /// Waits for the right to send; refuses when the wait would be long.
    pub(super) async fn turn(&self, priority: Priority) -> Result<Turn<'_>, Refusal> {
        self.quiet(priority)?;
        match priority {
            Priority::Revocation => {
                let _waiting = Waiting::new(&self.urgent);
                let slot = acquire(&self.slots).await?;
                let _gate = self.gates[0].lock().await;
                loop {
                    match self.go(priority)? {
                        Go::Now(kept) => {
                            return Ok(Turn {
                                _slot: slot,
                                _ordinary: None,
                                _kept: kept,
                            });
                        }
                        Go::Wait(wait) => tokio::time::sleep(wait).await,
                    }
                }
            }
            Priority::Ordinary => {
                let ordinary = acquire(&self.ordinary_slots).await?;
                let _gate = self.gates[1].lock().await;
                loop {
                    // The slot is given back before any wait: a revocation
                    // must never wait for a call that only waits itself.
                    self.no_revocation_waits().await;
                    let slot = acquire(&self.slots).await?;
                    if *self.urgent.borrow() > 0 {
                        continue;
                    }
                    match self.go(priority)? {
                        Go::Now(kept) => {
                            return Ok(Turn {
                                _slot: slot,
                                _ordinary: Some(ordinary),
                                _kept: kept,
                            });
                        }
                        Go::Wait(wait) => {
                            drop(slot);
                            tokio::time::sleep(wait).await;
                        }
                    }
                }
            }
        }
    }

    /// Takes the turn if it has come, else says how long to wait.
    fn go(&self, priority: Priority) -> Result<Go<'_>, Refusal> {
        let pause = self.quiet(priority)?;
        if !pause.is_zero() {
            return Ok(Go::Wait(pause));
        }
        // The limiter spreads the calls; what it allows at once after a quiet
        // time would take a second over the limit without the window.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(wait) = window.full_for(now) {
            return Ok(Go::Wait(wait));
        }
        match self.limiter.check() {
            Ok(()) => {
                self.probing();
                Ok(Go::Now(Kept {
                    window: &self.window,
                    place: window.take(now),
                }))
            }
            Err(not_yet) => {
                let wait = not_yet.wait_time_from(self.clock.now());
                Ok(Go::Wait(wait.max(Duration::from_micros(100))))
            }
        }
    }

    async fn no_revocation_waits(&self) {
        let mut urgent = self.urgent.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = urgent.wait_for(|waiting| *waiting == 0).await;
    }

    /// The rest of the current pause: a short one to sleep through, or a refusal.
    fn quiet(&self, priority: Priority) -> Result<Duration, Refusal> {
        let now = Instant::now();
        let silence = self.silence();
        let left = |until: Option<Instant>| {
            until
                .map(|until| match priority {
                    Priority::Revocation => until,
                    Priority::Ordinary => until + REMOVALS_FIRST,
                })
                .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
        };
        let throttled = left(silence.throttled);
        let unreachable = left(silence.unreachable);
        let after = throttled.max(unreachable);
        if after <= PATIENCE {
            return Ok(after);
        }
        Err(Refusal {
            after,
            reason: if throttled >= unreachable {
                "the application asked for a pause"
            } else {
                "the application cannot be reached"
            },
        })
    }

    /// With the circuit open, whoever goes is the probe: the others wait on.
    fn probing(&self) {
        let mut silence = self.silence();
        if silence.failures >= CIRCUIT {
            silence.unreachable = Some(Instant::now() + PROBE);
        }
    }

    /// The application asked for silence; how long it will be.
    pub(super) fn throttled(&self, asked: Option<Duration>) -> Duration {
        let mut silence = self.silence();
        silence.throttles = silence.throttles.saturating_add(1);
        let own = backoff(silence.throttles, Duration::from_secs(60));
        let pause = match asked {
            Some(asked) => asked.max(jitter(Duration::from_millis(100))).min(LONGEST),
            None => own,
        };
        let until = Instant::now() + pause;
        // A shorter request does not shorten a longer one.
        if silence.throttled.is_none_or(|current| current < until) {
            silence.throttled = Some(until);
        }
        pause
    }

    /// The connection could not be made; when to try again.
    pub(super) fn unreachable(&self) -> Duration {
        let mut silence = self.silence();
        silence.failures = silence.failures.saturating_add(1);
        if silence.failures < CIRCUIT {
            return jitter(Duration::from_millis(100 << silence.failures));
        }
        silence.unreachable = Some(Instant::now() + PROBE);
        PROBE
    }

    /// Somebody answers there.
    pub(super) fn reached(&self) {
        let mut silence = self.silence();
        silence.failures = 0;
        silence.unreachable = None;
    }

    /// A call was taken: the own back-off starts over.
    pub(super) fn welcome(&self) {
        self.silence().throttles = 0;
    }

    fn silence(&self) -> std::sync::MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a waiting revocation, also when its future is dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(urgent: &'a watch::Sender<usize>) -> Self {
        urgent.send_modify(|waiting| *waiting += 1);
        Self(urgent)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

async fn acquire(slots: &Semaphore) -> Result<SemaphorePermit<'_>, Refusal> {
    // Never closed, so the error is unreachable; it must not end the process.
    slots.acquire().await.map_err(|_| Refusal {
        after: PATIENCE,
        reason: "the client is closing",
    })
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
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex as StdMutex};

    use super::*;

    #[tokio::test]
    async fn calls_keep_to_the_rate() {
        let pace = Pace::new(50, 1, 8);
        let start = Instant::now();
        for _ in 0..6 {
            drop(pace.turn(Priority::Ordinary).await.unwrap());
        }
        assert!(
            start.elapsed() >= Duration::from_millis(95),
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test]
    async fn a_revocation_overtakes_everything_that_waits() {
        let pace = Arc::new(Pace::new(20, 1, 4));
        drop(pace.turn(Priority::Ordinary).await.unwrap());
        let order = Arc::new(StdMutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..5 {
            let (pace, order) = (pace.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                drop(pace.turn(Priority::Ordinary).await.unwrap());
                order.lock().unwrap().push(format!("ordinary {n}"));
            }));
            tokio::task::yield_now().await;
        }
        for n in 0..2 {
            let (pace, order) = (pace.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                drop(pace.turn(Priority::Revocation).await.unwrap());
                order.lock().unwrap().push(format!("revocation {n}"));
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.lock().unwrap();
        assert!(order[0].starts_with("revocation"), "{order:?}");
        assert!(order[1].starts_with("revocation"), "{order:?}");
    }

    #[tokio::test]
    async fn one_slot_is_kept_for_revocations() {
        let pace = Pace::new(1_000, 100, 3);
        let first = pace.turn(Priority::Ordinary).await.unwrap();
        let second = pace.turn(Priority::Ordinary).await.unwrap();
        let third = tokio::time::timeout(Duration::from_millis(50), pace.turn(Priority::Ordinary));
        assert!(
            third.await.is_err(),
            "two of three slots are for ordinary calls"
        );
        let urgent = tokio::time::timeout(Duration::from_secs(2), pace.turn(Priority::Revocation));
        assert!(urgent.await.unwrap().is_ok());
        drop((first, second));
    }

    #[tokio::test]
    async fn a_long_pause_is_given_back_and_a_short_one_slept_through() {
        let pace = Pace::new(1_000, 100, 8);
        let pause = pace.throttled(Some(Duration::from_secs(30)));
        assert_eq!(pause, Duration::from_secs(30));
        pace.throttled(Some(Duration::from_secs(2)));
        let urgent = pace.turn(Priority::Revocation).await.unwrap_err();
        let ordinary = pace.turn(Priority::Ordinary).await.unwrap_err();
        assert!(urgent.after > Duration::from_secs(29), "never early");
        assert!(ordinary.after > urgent.after, "removals first afterwards");

        let pace = Pace::new(1_000, 100, 8);
        let start = Instant::now();
        let pause = pace.throttled(Some(Duration::from_millis(300)));
        assert!(pace.turn(Priority::Revocation).await.is_ok());
        assert!(start.elapsed() >= pause);
    }

    #[tokio::test]
    async fn an_open_circuit_lets_one_probe_through() {
        let pace = Pace::new(1_000, 100, 8);
        for _ in 0..CIRCUIT {
            pace.unreachable();
        }
        assert!(pace.turn(Priority::Revocation).await.is_err());
        // The time of the probe has come.
        pace.silence().unreachable = Some(Instant::now());
        assert!(pace.turn(Priority::Revocation).await.is_ok());
        assert!(pace.turn(Priority::Revocation).await.is_err());
        pace.reached();
        assert!(pace.turn(Priority::Ordinary).await.is_ok());
    }

    #[test]
    fn the_own_back_off_grows_and_stays_bounded() {
        let pace = Pace::new(1, 1, 1);
        let mut longest = Duration::ZERO;
        for _ in 0..40 {
            longest = longest.max(pace.throttled(None));
        }
        assert!(longest > Duration::from_secs(20) && longest <= Duration::from_secs(60));
    }
}
