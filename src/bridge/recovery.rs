//! Whether database and application belong together, and what goes on beside
//! requests: noting how far the database has come, telling again of what waits
//! for an operator, and dropping what has waited too long (reliability: G-6,
//! G-7). Doubt only ever begins recovery; a human ends it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    Bridge, Failure, Operator, Session, Setup, approval::Declined, clock, credentials::Noted, keys,
    session::store_failed,
};
use crate::{
    plan::{capability::Act, state::ConnectionKey},
    store::{Actor, Age, FoundGroup, Millis, Store, StoreError, Watch, Why},
};

/// How often is noted how far the database has come, and looked at credentials.
const NOTE: Duration = Duration::from_secs(10);
/// How often is told again what waits.
const TELL: Duration = Duration::from_secs(3600);
/// A held request that nobody decides is dropped after this, and one that was
/// decided is forgotten.
const WAITS: Millis = 7 * DAY;
const REMEMBERED: Millis = 30 * DAY;
/// Access that is taken away must be gone by then (reliability: I-14).
const LATE: Duration = Duration::from_secs(300);
const DAY: Millis = 24 * 3600 * 1_000;

/// Recovery's reason in how the database stands to what was noted of it.
pub(super) fn doubt(age: Age) -> Option<Why> {
    match age {
        Age::AsItWas => None,
        Age::Older => Some(Why::OlderDatabase),
        Age::Another => Some(Why::AnotherDatabase),
        Age::Unknown => Some(Why::UnknownDatabase),
        Age::Copied => Some(Why::CopiedDatabase),
        Age::LongStopped => Some(Why::LongStopped),
    }
}

fn own() -> Actor {
    Actor {
        name: "bridge".into(),
        at: clock::now(),
        watch: Watch::Off,
        put: false,
    }
}

fn guarded(setup: &Setup) -> Actor {
    Actor {
        watch: Watch::On(Arc::clone(&setup.policy.guard)),
        ..own()
    }
}

/// Before anything is written: whether records are lost that were noted beside the
/// store; the number of the last of them. Told whatever the guard says.
pub(super) async fn tell_cut(
    store: &dyn Store,
    setups: &[Setup],
    age: Age,
) -> Result<Option<i64>, StoreError> {
    if age != Age::Older {
        return Ok(None);
    }
    let mut keys = Vec::with_capacity(setups.len());
    for setup in setups {
        keys.push(store.connection(&setup.name).await?);
    }
    let cut = store.tell_cut(keys, own()).await?;
    if let Some(record) = cut {
        tracing::error!(
            record,
            "this record of the audit was noted beside the store and is not in it any more: its \
             end was cut off, or the store is an older copy; `drawbridge audit verify` goes on \
             telling it"
        );
    }
    Ok(cut)
}

/// Before the lanes of a connection start. Without the guard there is no
/// recovery either, but for keys that may be of others.
pub(super) async fn settle_in(
    store: &dyn Store,
    key: ConnectionKey,
    setup: &Setup,
    doubt: Option<Why>,
) -> Result<(), StoreError> {
    let name = &setup.name;
    let fingerprint = keys::identity(&*setup.upstream);
    let former = keys::are_former(store, key, &*setup.upstream).await?;
    let doubt = if former { Some(Why::OtherKeys) } else { doubt };
    if !setup.policy.guard.enabled && !former {
        store.note_seen(key).await?;
        keys::note(store, key, fingerprint, own()).await?;
        if store.end_recovery(key, own()).await?.is_some() {
            tracing::warn!(connection = %name, "recovery has ended: the guard is switched off");
        }
        return Ok(());
    }
    let looks = setup.policy.import_at_start && !setup.upstream.capabilities().only_shows();
    let settled = store.settle_in(key, fingerprint, doubt, looks, guarded(setup));
    if let Some(recovery) = settled.await? {
        tell(name, recovery.why);
    }
    Ok(())
}

/// Before the lanes of a connection start: what was being deleted as the process
/// ended is deleted.
pub(super) async fn finish_deletions(
    store: &dyn Store,
    key: ConnectionKey,
    setup: &Setup,
) -> Result<(), StoreError> {
    let done = store.finish_deletions(key, guarded(setup)).await?;
    if done > 0 {
        tracing::info!(
            connection = %setup.name, done,
            "Users whose deletion was cut short by the end of the process are deleted"
        );
    }
    Ok(())
}

/// Before the lanes of a connection start: nothing is sent against what is
/// protected now, whatever was accepted before (reliability: I-24).
pub(super) async fn uphold(
    store: &dyn Store,
    key: ConnectionKey,
    setup: &Setup,
) -> Result<(), StoreError> {
    let kept = store.uphold(key, guarded(setup)).await?;
    if kept > 0 {
        tracing::warn!(
            connection = %setup.name, kept,
            "what is to be removed is protected now, and is not sent; `drawbridge status` names it"
        );
    }
    Ok(())
}

/// Before the lanes of a connection start: which accounts are there still, as they
/// could not be ended before.
pub(super) async fn note_ends(
    store: &dyn Store,
    key: ConnectionKey,
    setup: &Setup,
) -> Result<(), StoreError> {
    let can = setup.upstream.capabilities();
    let left = store.note_ends(key, can.can(Act::DeactivateUser)).await?;
    if left > 0 {
        tracing::warn!(
            connection = %setup.name, left,
            "accounts of deactivated Users are there still, as the application had no call to end \
             one: `drawbridge reconcile --apply` ends them, and `drawbridge status` names them"
        );
    }
    Ok(())
}

pub(super) fn tell(connection: &str, why: Why) {
    if why == Why::OtherKeys {
        tracing::warn!(
            connection,
            "in recovery: {why}; when it has, say `drawbridge recovery end --connection {connection}` \
             (without the guard it ends by itself)"
        );
        return;
    }
    let more = if why.is_foreign() {
        " and nobody's access is ended"
    } else {
        ""
    };
    tracing::warn!(
        connection,
        "in recovery, nothing is removed from groups{more}: {why}; if database and application belong \
         together, say so with `drawbridge recovery end --connection {connection}`"
    );
}

impl Bridge {
    /// Lives on the engine's runtime and ends with it.
    pub(super) fn keep_watch(self: &Arc<Self>) {
        let bridge = Arc::clone(self);
        self.engine.spawn(async move {
            let mut tick = tokio::time::interval(NOTE);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut last: Option<tokio::time::Instant> = None;
            let mut noted = Noted::default();
            let mut late = HashSet::new();
            loop {
                tick.tick().await;
                if let Err(error) = bridge.look_at_credentials(&mut noted).await {
                    tracing::warn!(%error, "what has changed of the tokens could not be recorded");
                }
                bridge.note_age().await;
                bridge.look_after_revocations(&mut late).await;
                if last.is_some_and(|last| last.elapsed() < TELL) {
                    continue;
                }
                last = Some(tokio::time::Instant::now());
                if let Err(error) = bridge.look_after_holds().await {
                    tracing::warn!(%error, "held requests could not be looked after");
                }
            }
        });
    }

    /// Where the store is now, for the next start.
    pub async fn note_age(&self) {
        if let Err(error) = self.store.note_age(clock::now()).await {
            tracing::warn!(%error, "how far the store has come could not be noted beside it");
        }
    }

    /// Tells once of every connection that takes access away too late, and again
    /// when it has been in time meanwhile.
    async fn look_after_revocations(&self, late: &mut HashSet<ConnectionKey>) {
        for connection in &self.connections {
            let key = connection.key;
            match self.revocation_open(key).await {
                Ok(Some(open)) if open > LATE => {
                    if late.insert(key) {
                        tracing::error!(
                            connection = %connection.name, seconds = open.as_secs(),
                            "access that was taken away is not gone in the application yet"
                        );
                    }
                }
                Ok(_) => {
                    late.remove(&key);
                }
                Err(error) => tracing::warn!(%error, "open revocations cannot be looked after"),
            }
        }
    }

    async fn look_after_holds(&self) -> Result<(), StoreError> {
        for connection in &self.connections {
            let (key, name, now) = (connection.key, &connection.name, clock::now());
            let (before, forgotten) = (now - WAITS, now - REMEMBERED);
            let dropped = self
                .store
                .expire_holds(key, before, forgotten, own())
                .await?;
            if dropped > 0 {
                tracing::warn!(connection = %name, dropped, "held requests were dropped: nobody decided them in 7 days");
            }
            let held = self.store.counts(key).await?.held;
            if held > 0 {
                tracing::warn!(connection = %name, held, "held requests wait; see `drawbridge held list`");
            }
        }
        Ok(())
    }
}

impl Session {
    /// What a first import shows could be removed by somebody who does not know
    /// of it: an identity provider that is new here, or the bridge with a lost
    /// database.
    pub(super) async fn doubt_a_first_import(&self, found: &[FoundGroup]) -> Result<(), Failure> {
        let shown = self.connection.upstream.capabilities().only_shows();
        if shown || !self.policy().guard.enabled {
            return Ok(());
        }
        let members = found.iter().map(|group| group.members.len() as u64).sum();
        let store = &self.bridge.store;
        let began = store
            .begin_first_import(self.connection.key, members, self.actor())
            .await;
        if began.map_err(store_failed)? {
            tell(&self.connection.name, Why::NewDatabase);
        }
        Ok(())
    }
}

impl Operator {
    /// Says that database and application belong together: what was withheld
    /// goes on. False when there was no recovery.
    pub async fn end_recovery(&self, connection: &str) -> Result<bool, Declined> {
        let connection = self.connection(connection)?;
        self.may_end(connection.key, &*connection.upstream).await?;
        let ended = self
            .bridge
            .store
            .end_recovery(connection.key, self.actor())
            .await;
        let Some(lanes) = ended.map_err(store_failed)? else {
            // What that look will show has nobody's word yet.
            let unseen = self.bridge.store.is_unseen(connection.key).await;
            if unseen.map_err(store_failed)? {
                return Err(Declined::Unseen);
            }
            return Ok(false);
        };
        tracing::warn!(connection = %connection.name, operator = self.name(), "recovery has ended");
        // What differs now is not doubted again.
        connection.agree();
        connection.lanes.kick_all(lanes);
        Ok(true)
    }
}
