//! How long a lane waits between its turns, and what ends the wait.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    AWAY, AWAY_TAKING, BACK_OFF, CREDENTIAL_LOOK, DENIED_PAUSE, HAND_OVER, LEAST_GAP,
    LONGEST_LINGER, LOOKS, Lanes, State, TAKING_GAP,
};
use crate::{
    bridge::{clock, converge::Pause},
    store::Lane,
};

impl Lanes {
    /// After answers were given to a crowd, the crowd's next requests are on
    /// their way: wait a moment for them, never longer than a quarter of what
    /// the turn took.
    pub(super) async fn linger(&self, lane: Lane, turn: Duration) {
        let counts = self.with(lane, |state| (state.crowd, state.arrivals + state.crowd));
        let Some((2.., expected)) = counts else {
            return;
        };
        let end = Instant::now() + (turn / 4).min(LONGEST_LINGER);
        loop {
            let Some((notify, enough)) =
                self.with(lane, |s| (Arc::clone(&s.notify), s.arrivals >= expected))
            else {
                return;
            };
            if enough
                || tokio::time::timeout_at(end, notify.notified())
                    .await
                    .is_err()
            {
                return;
            }
        }
    }

    /// After turns that had the same to do as the one before each, which ended well:
    /// whatever is wrong with that, it does not go on at full pace. Who asks ends the
    /// rest; another lane ends a long one, as that may be the other side of this.
    pub(super) async fn rest_from_rounds(&self, lane: Lane, rounds: u32) {
        let rests = |state: &mut State| {
            state.place = None;
            Arc::clone(&state.notify)
        };
        let Some(notify) = self.with(lane, rests) else {
            return;
        };
        let wait = backed_off(BACK_OFF, rounds);
        let first = wait.min(LOOKS.1);
        tokio::time::sleep(LEAST_GAP).await;
        let asked = async {
            let none = |state: &mut State| state.arrivals == 0 && !state.asked;
            while self.with(lane, none) == Some(true) {
                notify.notified().await;
            }
        };
        let first_part = first.saturating_sub(LEAST_GAP);
        if tokio::time::timeout(first_part, asked).await.is_ok() {
            return;
        }
        if self.with(lane, |state| state.kicked) == Some(false) {
            let _ = tokio::time::timeout(wait.saturating_sub(first), notify.notified()).await;
        }
    }

    pub(super) async fn pause(&self, lane: Lane, pause: Pause, attempts: u32) {
        let seen = self.with(lane, |state| {
            // Once for each long wait, or what fails by itself would come again and
            // again and leave the others little of the limit.
            let woken = std::mem::take(&mut state.woken) && attempts > 1;
            let failed = (!woken).then(|| state.failed.clone());
            (Arc::clone(&state.notify), state.takes, failed)
        });
        let Some((notify, takes, failed)) = seen else {
            return;
        };
        match pause {
            Pause::None => {}
            Pause::For(wait) => {
                let away = self.0.upstream.condition().unreachable;
                let most = match (away, takes && attempts <= AWAY_TAKING.1) {
                    (false, _) => Duration::ZERO,
                    (true, true) => AWAY_TAKING.0,
                    (true, false) => (AWAY.0 * attempts).min(AWAY.1),
                };
                let rest = tokio::time::sleep(wait.min(BACK_OFF.1) + clock::jitter(most));
                self.rest_unless_it_takes((lane, takes), &notify, rest)
                    .await;
            }
            Pause::UntilAccepted => {
                let rest = self.until_accepted();
                self.rest_unless_it_takes((lane, takes), &notify, rest)
                    .await;
            }
            Pause::Within(wait) => rest_unless(&notify, wait).await,
            Pause::BackOff => {
                let wait = clock::jitter(backed_off(BACK_OFF, attempts)).max(LEAST_GAP);
                let Some(failed) = failed else {
                    return rest_unless(&notify, wait).await;
                };
                // In this order, as both draw lots and a simulated world is to be
                // the same whenever it is run.
                tokio::select! {
                    biased;
                    () = rest_unless(&notify, wait) => {}
                    () = self.0.well.again(&failed) => {
                        self.with(lane, |state| state.woken = true);
                    }
                }
            }
            Pause::Look => {
                rest_unless(&notify, backed_off(LOOKS, attempts.saturating_sub(1))).await;
            }
            Pause::HandedOver => {
                let wait = backed_off(HAND_OVER, attempts.saturating_sub(1));
                rest_unless(&notify, wait).await;
            }
        }
    }

    async fn until_accepted(&self) {
        let end = Instant::now() + DENIED_PAUSE;
        while Instant::now() < end {
            tokio::time::sleep(CREDENTIAL_LOOK).await;
            if !self.0.upstream.is_refused() {
                return;
            }
        }
    }

    /// What was asked for, or refused, was so for what was sent. It ends early when it is
    /// woken to take access away, which may not wait for that; less often where that was
    /// a part of what was sent.
    async fn rest_unless_it_takes(
        &self,
        (lane, took): (Lane, bool),
        notify: &Notify,
        rest: impl Future<Output = ()>,
    ) {
        let gap = if took { LOOKS.1 } else { TAKING_GAP };
        let woken = async {
            tokio::time::sleep(gap).await;
            loop {
                notify.notified().await;
                // Where nobody answers it is the same for all.
                let away = self.0.upstream.condition().unreachable;
                if !away && self.next_takes(lane).await == Some(true) {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = rest => {}
            () = woken => {}
        }
    }
}

/// New work ends it early, but for the least gap.
async fn rest_unless(notify: &Notify, wait: Duration) {
    tokio::time::sleep(LEAST_GAP).await;
    let _ = tokio::time::timeout(wait.saturating_sub(LEAST_GAP), notify.notified()).await;
}

/// The wait after so many attempts, between the first and the longest.
fn backed_off((first, longest): (Duration, Duration), attempts: u32) -> Duration {
    let grown = first.saturating_mul(2_u32.saturating_pow(attempts.min(16)));
    grown.min(longest)
}

/// When the application has come back.
pub(super) async fn recovery(recoveries: Option<&mut watch::Receiver<u64>>) {
    let Some(recoveries) = recoveries else {
        return std::future::pending().await;
    };
    if recoveries.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
