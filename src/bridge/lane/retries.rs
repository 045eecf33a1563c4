//! Whoever fails again and again does so behind everybody else.
//!
//! After two tries like any other's the turns of such a lane come when nothing
//! else is to be sent, or as a tenth of it, together with those of all others
//! that fail; how long it rests in between grows as before. What takes access
//! away keeps its place for longer, and longer still while no other call of its
//! kind is done: then it may not be the fault of what it is about. New work is a new
//! try, and a turn that did something was none that failed.

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::{Lanes, Pause};
use crate::{
    store::{Lane, StoreError},
    upstream::Heard,
};

/// Turns that failed in a row, before others go first: of what takes access away,
/// where others of its kind are done and where none is, and of anything else.
const TAKING: u32 = 5;
const TAKING_ALL: u32 = 8;
const GIVING: u32 = 2;
/// So many lanes are in such a turn at once, of those that take access away and of
/// the others, and of each of them of those whose calls are answered and of those
/// whose are not: who hangs keeps only its like waiting. Who is in one waits for its
/// calls, and so does what is asked for meanwhile.
const AT_ONCE: usize = 2;
/// After so many it is told.
const TOLD: u32 = 3;

#[derive(Debug)]
pub(super) struct Retries {
    taking: Places,
    giving: Places,
}

#[derive(Debug)]
struct Places {
    answered: Semaphore,
    unanswered: Semaphore,
}

impl Default for Retries {
    fn default() -> Self {
        let places = || Places {
            answered: Semaphore::new(AT_ONCE),
            unanswered: Semaphore::new(AT_ONCE),
        };
        Self {
            taking: places(),
            giving: places(),
        }
    }
}

/// Turns in a row that did nothing but fail.
#[derive(Debug, Default)]
pub(super) struct Streak {
    pub(super) tries: u32,
    began: Option<Instant>,
    /// In the last of them some call was never answered.
    unanswered: bool,
}

impl Streak {
    fn fails(&mut self) {
        self.tries = self.tries.saturating_add(1);
        self.began.get_or_insert_with(Instant::now);
    }

    /// The application has come back, so it may have failed for that.
    pub(super) fn is_forgiven(&mut self) {
        *self = Self {
            tries: self.tries.min(1),
            ..Self::default()
        };
    }
}

/// A user or group whose turns fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bridge) struct Failing {
    pub(in crate::bridge) lane: Lane,
    /// Since the start, and in a row.
    pub(in crate::bridge) tries: u32,
    /// The application's last word.
    pub(in crate::bridge) reason: Option<String>,
}

impl Lanes {
    /// Waits until a lane that fails may go behind all others; `None` where it goes
    /// like any other.
    pub(super) async fn behind(&self, lane: Lane, streak: &Streak) -> Option<SemaphorePermit<'_>> {
        let (notify, takes, failed) = self.with(lane, |state| {
            let failed = state.failed.clone();
            (state.notify.clone(), state.takes, failed)
        })?;
        let is_new = || self.with(lane, |state| state.kicked) != Some(false);
        let alone = || {
            streak
                .began
                .is_some_and(|began| self.0.well.was_done(&failed, began))
        };
        let stays = if takes {
            streak.tries < TAKING || streak.tries < TAKING_ALL && !alone()
        } else {
            streak.tries < GIVING
        };
        let Retries { taking, giving } = &self.0.retries;
        let Places {
            answered,
            unanswered,
        } = if takes { taking } else { giving };
        let places = if streak.unanswered {
            unanswered
        } else {
            answered
        };
        while !stays && !is_new() {
            tokio::select! {
                biased;
                place = places.acquire() => return place.ok().filter(|_| !is_new()),
                () = notify.notified() => {}
            }
        }
        None
    }

    /// Counts a turn that ended so.
    pub(super) fn count(
        &self,
        lane: Lane,
        streak: &mut Streak,
        turn: &Result<Option<Pause>, StoreError>,
        heard: Heard,
    ) {
        self.with(lane, |state| {
            match turn {
                Ok(None | Some(Pause::None | Pause::Within(_))) => *streak = Streak::default(),
                Ok(Some(Pause::BackOff)) => {
                    if state.progress {
                        *streak = Streak::default();
                    }
                    streak.fails();
                    streak.unanswered = heard.unanswered;
                }
                _ => return,
            }
            let before = state.failing.take();
            let waits = state.waits.as_ref().map(|waits| waits.reason.clone());
            state.failing = (streak.tries > 0).then(|| Failing {
                lane,
                tries: streak.tries,
                reason: heard.fault.or(waits).or_else(|| before?.reason),
            });
        });
    }

    /// Who fails again and again, most often first.
    pub(in crate::bridge) fn failing(&self) -> Vec<Failing> {
        let lanes = self.lock();
        let failing = lanes.values().filter_map(|state| state.failing.as_ref());
        let mut failing: Vec<_> = failing.filter(|it| it.tries >= TOLD).cloned().collect();
        failing.sort_by_key(|it| std::cmp::Reverse(it.tries));
        failing
    }
}
