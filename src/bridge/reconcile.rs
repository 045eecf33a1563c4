//! Reconciliation: the application is read and compared with what was last
//! observed there; what changed behind the bridge's back is told and, where the
//! connection wants it, repaired. Here is when, by whom, and whether at all; how
//! it is read is in `pass`.
//!
//! The first one since the start looks before it repairs: where too much
//! differs, recovery begins (reliability: G-7). In recovery everything is only
//! told: nobody is given back what an old database remembers (I-03, I-25).

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    Bridge, Connection, Failure, Operator, Session, clock, recovery, session::store_failed,
};
use crate::{
    plan::{drift, state::GroupKey},
    store::{Drifted, Lane, Millis, Why},
    upstream::in_background,
};
use pass::Purpose;

pub(super) mod first;
mod given;
mod lost;
mod pass;
mod returned;
mod shown;

/// What becomes of a membership that is gone from the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftPolicy {
    /// It is put there again.
    Repair,
    /// It is no membership any more.
    Accept,
}

/// What one is to do that nobody ordered.
const REGULAR: Order = Order {
    apply: true,
    shrunk: false,
};
/// A reconciliation that failed is tried again after this long.
const AFTER_FAILURE: Duration = Duration::from_secs(300);
/// And one that compared nothing is none.
const AFTER_NOTHING: Duration = Duration::from_secs(300);

/// What a reconciliation is to do beside telling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Order {
    /// Repair or accept, as the connection's policy says.
    pub apply: bool,
    /// Also what is too much to be believed at once: an operator believes it.
    pub shrunk: bool,
}

/// Where a reconciliation stands, for a progress bar.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reconciling {
    pub running: bool,
    /// The kill switch stops the connection: nothing is sent.
    pub paused: bool,
    pub groups_read: u64,
    pub groups: u64,
    /// Of the last one that ended, or why it did not.
    pub result: Option<Result<Drifted, String>>,
    /// When that was, and when the last one since the start ended that did not fail.
    at: Millis,
    pub(super) good: Option<Millis>,
    /// Since the start it was seen, or an operator said, that database and
    /// application belong together.
    agreed: bool,
    /// Since the start an import was compared with what is here.
    looked: bool,
}

impl Reconciling {
    /// When the last one failed, and why, if it did.
    pub(super) fn failure(&self) -> Option<(Millis, String)> {
        let error = self.result.as_ref()?.as_ref().err()?;
        Some((self.at, error.clone()))
    }
}

impl Bridge {
    /// Reconciles every connection as often as it wants; the tasks live on
    /// the engine's runtime and end with it.
    pub fn reconcile_regularly(self: &Arc<Self>) {
        for connection in &self.connections {
            let Some(every) = connection.policy.reconcile_every else {
                continue;
            };
            let Some(session) = self.own_session(&connection.name, "reconcile") else {
                continue;
            };
            self.engine.spawn(async move {
                // What it finds is what there is to compare.
                session.connection.when_imported().await;
                loop {
                    let pause = match session.due(every).await {
                        Some(wait) => wait,
                        None => match session.reconcile(REGULAR).await {
                            Ok(found) => until_next(&found, every),
                            Err(_) => AFTER_FAILURE,
                        },
                    };
                    tokio::time::sleep(pause).await;
                }
            });
        }
    }
}

impl Operator {
    /// Begins a reconciliation; false when one is under way already.
    pub fn begin_reconcile(&self, connection: &str, order: Order) -> Option<bool> {
        let session = self.bridge.own_session(connection, &self.name)?;
        // Claimed here, so that whoever asks at once sees it running.
        if !session.connection.claim() {
            return Some(false);
        }
        self.bridge.engine.spawn(async move {
            // The result is kept where it is asked for.
            let _ = session.reconcile_claimed(order).await;
        });
        Some(true)
    }

    pub fn reconciling(&self, connection: &str) -> Option<Reconciling> {
        let connection = self.bridge.find(Some(connection))?;
        let paused = self.bridge.switch.stops(&connection.name);
        Some(Reconciling {
            paused,
            ..connection.reconciling()
        })
    }
}

impl Connection {
    pub(super) fn reconciling(&self) -> Reconciling {
        let now = self.reconciling.lock();
        now.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The right to reconcile; one at a time, of which nothing is told that was told
    /// of the one before.
    fn claim(&self) -> bool {
        let mut free = false;
        self.note(|now| {
            free = !std::mem::replace(&mut now.running, true);
            if free {
                (now.groups, now.groups_read) = (0, 0);
            }
        });
        free
    }

    fn is_agreed(&self) -> bool {
        let now = self.reconciling.lock();
        now.unwrap_or_else(PoisonError::into_inner).agreed
    }

    pub(super) fn agree(&self) {
        self.note(|now| now.agreed = true);
    }

    /// Whether nothing was compared yet since the start; from now on it was.
    fn looks_first(&self) -> bool {
        let mut first = false;
        self.note(|now| first = !std::mem::replace(&mut now.looked, true));
        first
    }

    fn note(&self, change: impl FnOnce(&mut Reconciling)) {
        let now = self.reconciling.lock();
        change(&mut now.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Session {
    /// How long the last reconciliation leaves, if it was not long ago.
    async fn due(&self, every: Duration) -> Option<Duration> {
        let last = self.bridge.store.drifted(self.connection.key).await;
        // One that only told is none of those, nor one that had nothing to tell of.
        let counts = |last: &Drifted| last.applied && !last.is_of_nothing();
        let last = last.ok().flatten().filter(counts)?;
        let (ended, every) = (last.ended?, until_next(&last, every));
        let every = Millis::try_from(every.as_millis()).ok()?;
        let wait = ended + every - clock::now();
        // A clock that was put back must not put it off for ever.
        let wait = u64::try_from(wait.min(every)).ok()?;
        (wait > 0).then(|| Duration::from_millis(wait))
    }

    /// Reads and compares everything, and does as ordered with what two
    /// readings agree on. One at a time.
    pub async fn reconcile(&self, order: Order) -> Result<Drifted, Failure> {
        if !self.connection.claim() {
            return Err(Failure::Later {
                seconds: super::session::COME_AGAIN,
                detail: "a reconciliation is under way already".into(),
            });
        }
        self.reconcile_claimed(order).await
    }

    async fn reconcile_claimed(&self, order: Order) -> Result<Drifted, Failure> {
        let result = in_background(self.reconcile_whole(order)).await;
        let told = result.clone().map_err(|error| error.to_string());
        match &told {
            Ok(found) => tracing::info!(
                connection = %self.connection.name, missing = found.missing, gone = found.gone,
                unasked = found.unasked, accounts_missing = found.accounts_missing,
                accounts_back = found.accounts_back, applied = found.applied, "reconciled"
            ),
            Err(error) => tracing::warn!(
                connection = %self.connection.name, %error, "the reconciliation failed"
            ),
        }
        self.connection.note(|now| {
            now.running = false;
            now.at = clock::now();
            now.good = told.is_ok().then_some(now.at).or(now.good);
            now.result = Some(told);
        });
        result
    }

    async fn reconcile_whole(&self, order: Order) -> Result<Drifted, Failure> {
        let (store, key) = (&self.bridge.store, self.connection.key);
        self.keys_are_known().await?;
        if !order.apply || store.recovery(key).await.map_err(store_failed)?.is_some() {
            return self.read_all(Purpose::Tell).await;
        }
        if !self.is_agreed() {
            let found = self.read_all(Purpose::Look).await?;
            if found.is_doubtful() {
                self.doubt(found.doubt()).await?;
                return self.read_all(Purpose::Tell).await;
            }
            // Nothing to compare proves nothing.
            if found.compared > 0 {
                self.connection.agree();
            }
            let differs = found.is_drift() || found.groups_missing > 0;
            if !differs && !self.has_gone_groups().await? {
                let lost = self.lose(order).await?;
                let found = Drifted {
                    applied: true,
                    accounts_let_go: self.retry_ends(order).await?,
                    families_lost: lost,
                    ..found
                };
                let kept = store.keep_drifted(key, found.clone()).await;
                return kept.map_err(store_failed).map(|()| found);
            }
        }
        let lost = self.lose(order).await?;
        let let_go = self.retry_ends(order).await?;
        let mut found = self.read_all(Purpose::Repair(order.shrunk)).await?;
        if (found.accounts_let_go, &found.families_lost) != (let_go, &lost) {
            (found.accounts_let_go, found.families_lost) = (let_go, lost);
            let kept = store.keep_drifted(key, found.clone()).await;
            kept.map_err(store_failed)?;
        }
        Ok(found)
    }

    /// Whether one may be there again.
    async fn has_gone_groups(&self) -> Result<bool, Failure> {
        let (store, key) = (&self.bridge.store, self.connection.key);
        let gone = store.gone_groups(key, GroupKey(0), 1).await;
        Ok(!gone.map_err(store_failed)?.is_empty())
    }

    /// What the application would not end, although nobody is to have it any
    /// more, is tried once more; what the guard rails kept is ended where an operator
    /// says so. Of that, how many.
    async fn retry_ends(&self, order: Order) -> Result<u64, Failure> {
        let (store, key) = (&self.bridge.store, self.connection.key);
        let mut let_go = 0;
        if order.shrunk {
            let lanes = store.end_kept(key, self.actor()).await;
            let lanes = lanes.map_err(store_failed)?;
            let users = lanes.iter().filter(|lane| matches!(lane, Lane::User(_)));
            let_go = users.count() as u64;
            self.connection.lanes.kick_all(lanes);
        }
        let lanes = store.retry_ends(key, self.actor()).await;
        self.connection.lanes.kick_all(lanes.map_err(store_failed)?);
        Ok(let_go)
    }

    /// Begins recovery: too much differs.
    async fn doubt(&self, why: Why) -> Result<(), Failure> {
        let store = &self.bridge.store;
        let began = store.begin_recovery(self.connection.key, why, self.actor());
        if began.await.map_err(store_failed)? {
            recovery::tell(&self.connection.name, why);
        }
        Ok(())
    }

    /// Whether it is known since the start that database and application
    /// belong together (G-7), or there is nothing to doubt it for.
    fn is_agreed(&self) -> bool {
        let shown = self.connection.upstream.capabilities().only_shows();
        shown || !self.policy().guard.enabled || self.connection.is_agreed()
    }

    /// How far a read may lag behind the writes before it.
    pub(super) fn lag(&self) -> Millis {
        let lag = self.connection.policy.read_lag.as_millis();
        Millis::try_from(lag).unwrap_or(Millis::MAX)
    }
}

/// Sooner than usual where readings must agree before they are believed, where a group
/// was written meanwhile, and where there was nothing to compare yet.
fn until_next(found: &Drifted, every: Duration) -> Duration {
    if found.is_of_nothing() {
        return every.min(AFTER_NOTHING);
    }
    let doubted = found.shrunk.iter().any(|shrunk| !shrunk.is_believed());
    let waits = doubted || found.overtaken > 0;
    let apart = Duration::from_millis(drift::APART.unsigned_abs());
    if waits { every.min(apart) } else { every }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{drift::Shrunk, state::GroupKey};

    #[test]
    fn one_that_compared_nothing_or_is_not_believed_yet_comes_again_sooner() {
        let (day, minute) = (Duration::from_secs(24 * 3600), Duration::from_secs(60));
        let compared = Drifted {
            compared: 1,
            ..Drifted::default()
        };
        let nothing = Drifted::default();
        assert_eq!(until_next(&nothing, day), AFTER_NOTHING);
        assert_eq!(until_next(&nothing, minute), minute);
        assert_eq!(until_next(&compared, day), day);
        let mut shrunk = Shrunk::first(GroupKey(1), 7, 0);
        let apart = Duration::from_millis(drift::APART.unsigned_abs());
        for (now, wait) in [(0, apart), (drift::APART, apart), (2 * drift::APART, day)] {
            shrunk.again(7, now);
            let doubted = Drifted {
                shrunk: vec![shrunk.clone()],
                ..compared.clone()
            };
            assert_eq!(until_next(&doubted, day), wait, "{now}");
            assert_eq!(until_next(&doubted, minute), minute);
        }
        let overtaken = Drifted {
            overtaken: 1,
            ..compared
        };
        assert_eq!(until_next(&overtaken, day), apart);
    }
}
