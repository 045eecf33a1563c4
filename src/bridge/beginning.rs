//! What the process before this one may have left under way. It is known of all
//! connections before any of them sends anything, because those to one
//! application share what is known of it. A connection that is not configured
//! any more counts too: what it has sent may land all the same. It is not told
//! apart by its application, which a store does not always know.

use std::time::Duration;

use super::{Setup, clock};
use crate::{
    plan::state::ConnectionKey,
    store::{Millis, Store, StoreError},
    upstream::Lags,
};

/// What was sent longer ago is shown by every read.
const SENT_LATELY: Millis = 60_000;

/// Tells the applications. Returns of each connection whether it may have sent
/// something that a read does not show yet.
pub(super) async fn look_back(
    store: &dyn Store,
    setups: &[Setup],
) -> Result<Vec<bool>, StoreError> {
    let mut keys = Vec::with_capacity(setups.len());
    let mut lately = Vec::with_capacity(setups.len());
    for setup in setups {
        let key = store.connection(&setup.name).await?;
        keys.push(key);
        lately.push(
            setup.upstream.has_families()
                && (is_sent_lately(store, key, setup.policy.late_writes).await?
                    || !store.open_lanes(key).await?.is_empty()),
        );
    }
    for key in &keys {
        point!("start.before-doubts");
        store.note_interrupted(*key, clock::now()).await?;
        point!("start.doubted");
    }
    let departed = store.connections_but(keys.clone()).await?;
    for key in &departed {
        store.note_interrupted(*key, clock::now()).await?;
    }
    for ((setup, key), sent_lately) in setups.iter().zip(keys).zip(&lately) {
        let mut lags = Lags {
            read_lag: setup.policy.read_lag,
            late_writes: setup.policy.late_writes,
            sent_lately: *sent_lately,
            unanswered: store.has_unanswered(key, Millis::MIN).await?,
        };
        if setup.upstream.has_families() {
            count_departed(store, &departed, &mut lags).await?;
        }
        setup.upstream.begin(&lags);
    }
    Ok(lately)
}

/// Nobody works off what such a connection left, so only its age ends it.
async fn count_departed(
    store: &dyn Store,
    departed: &[ConnectionKey],
    lags: &mut Lags,
) -> Result<(), StoreError> {
    let lands = millis(lags.late_writes.saturating_add(lags.read_lag));
    let since = clock::now().saturating_sub(lands);
    for key in departed {
        lags.unanswered |= store.has_unanswered(*key, since).await?;
        lags.sent_lately |= is_sent_lately(store, *key, lags.late_writes).await?;
    }
    Ok(())
}

async fn is_sent_lately(
    store: &dyn Store,
    key: ConnectionKey,
    late_writes: Duration,
) -> Result<bool, StoreError> {
    let lately = millis(late_writes).max(SENT_LATELY);
    store
        .is_sent_since(key, clock::now().saturating_sub(lately))
        .await
}

fn millis(span: Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX)
}
