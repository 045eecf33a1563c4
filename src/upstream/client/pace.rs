//! The pace of one connection: so many calls per second, so many at once,
//! revocations before everything else, and silence while the application asks
//! for it or cannot be reached.
//!
//! Ordinary calls go through a gate one at a time, so that at most one of them
//! competes with a revocation, and one slot is kept free of them. Waits that
//! are short are slept through here; longer ones are given back, because only
//! the caller can put the work aside.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::Instant,
};

use rate::Rate;
use silence::Silence;
use window::Sent;

mod rate;
mod silence;
#[cfg(test)]
mod tests;
mod window;

/// Pauses up to this long are slept through.
const PATIENCE: Duration = Duration::from_secs(1);
/// A second's calls never take longer than this to make room; a minute's do.
const LONG: Duration = Duration::from_secs(3);
/// An answer may make room sooner than was thought.
const LOOK: Duration = Duration::from_millis(10);

/// What an application allows one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) per_second: u32,
    /// Calls that may go at once after a quiet time.
    pub(super) burst: u32,
    /// Calls in flight.
    pub(super) concurrency: u32,
    pub(super) per_minute: Option<u32>,
    /// The silence after a 429 whose `Retry-After` says nothing usable.
    pub(super) penalty: Option<Duration>,
}

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

/// A call's places in the windows while it is on its way.
#[derive(Debug)]
struct Kept<'a> {
    rate: &'a Mutex<Rate>,
    call: Sent,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        lock(self.rate).answered(self.call, Instant::now());
    }
}

/// Whether it is somebody's turn.
enum Go<'a> {
    Now(Kept<'a>),
    Wait(Duration),
}

#[derive(Debug)]
pub(super) struct Pace {
    rate: Mutex<Rate>,
    slots: Semaphore,
    ordinary_slots: Semaphore,
    /// First come, first served, within each priority.
    gates: [tokio::sync::Mutex<()>; 2],
    /// Revocations that wait for their turn.
    urgent: watch::Sender<usize>,
    silence: Mutex<Silence>,
}

impl Pace {
    /// Zero in any limit counts as one.
    pub(super) fn new(limits: &Limits) -> Self {
        let slots = limits.concurrency.clamp(1, 1_000) as usize;
        Self {
            rate: Mutex::new(Rate::new(limits)),
            slots: Semaphore::new(slots),
            ordinary_slots: Semaphore::new(slots.saturating_sub(1).max(1)),
            gates: Default::default(),
            urgent: watch::Sender::new(0),
            silence: Mutex::new(Silence::new(limits.penalty)),
        }
    }

    pub(super) fn per_second(&self) -> u32 {
        lock(&self.rate).per_second()
    }

    /// Whether nobody answers there, and how long silence was asked for.
    pub(super) fn silences(&self) -> (bool, Option<Duration>) {
        let silence = lock(&self.silence);
        (silence.is_unreachable(), silence.asked(Instant::now()))
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
        let mut rate = lock(&self.rate);
        let now = Instant::now();
        match rate.wait(priority, now) {
            None => {
                lock(&self.silence).probing(now);
                Ok(Go::Now(Kept {
                    rate: &self.rate,
                    call: rate.take(now),
                }))
            }
            Some(wait) if wait <= LONG => Ok(Go::Wait(wait.min(LOOK))),
            Some(after) => Err(Refusal {
                after,
                reason: "as many calls as the application allows in a minute were made",
            }),
        }
    }

    async fn no_revocation_waits(&self) {
        let mut urgent = self.urgent.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = urgent.wait_for(|waiting| *waiting == 0).await;
    }

    /// The rest of the current pause: a short one to sleep through, or a refusal.
    fn quiet(&self, priority: Priority) -> Result<Duration, Refusal> {
        let (after, reason) = lock(&self.silence).left(priority, Instant::now());
        if after <= PATIENCE {
            return Ok(after);
        }
        Err(Refusal { after, reason })
    }

    /// The application answered 429; how long nothing is sent.
    pub(super) fn too_many(&self, asked: Option<Duration>) -> Duration {
        lock(&self.silence).too_many(asked, Instant::now())
    }

    /// It is busy; how long nothing is sent.
    pub(super) fn busy(&self, asked: Option<Duration>) -> Duration {
        lock(&self.silence).throttled(asked, Instant::now())
    }

    /// The connection could not be made; when to try again.
    pub(super) fn unreachable(&self) -> Duration {
        lock(&self.silence).unreachable(Instant::now())
    }

    /// Somebody answers there.
    pub(super) fn reached(&self) {
        lock(&self.silence).reached();
    }

    /// A call was taken.
    pub(super) fn welcome(&self) {
        lock(&self.silence).welcome();
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

/// A panic elsewhere must not end the calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
