//! Groups of a family that were found by a process before this one, and which
//! of them the configuration offers now. One that was left out for a while and
//! is offered again is given back to whoever is asked for in it: what its users
//! have meanwhile is not what counts. That happens in the lanes like any other
//! change, so it is one call each, and none where the application has it so.

use super::Setup;
use crate::{
    plan::state::ConnectionKey,
    store::{Standing, Store, StoreError},
};

/// Before the lanes of a connection start.
pub(super) async fn recall(
    store: &dyn Store,
    key: ConnectionKey,
    setup: &Setup,
) -> Result<(), StoreError> {
    let upstream = &setup.upstream;
    if !upstream.has_families() {
        return Ok(());
    }
    let found = store.alternatives(key).await?;
    for group in &found {
        upstream.recall(&group.upstream_name, &group.attributes);
    }
    // Where each stands is known when all are.
    let standings = found.into_iter().map(|group| Standing {
        offered: upstream.offers(&group.upstream_name),
        family: upstream.family(&group.upstream_name),
        name: group.upstream_name,
    });
    let back = store.note_offered(key, standings.collect()).await?;
    if back > 0 {
        tracing::info!(
            connection = %setup.name, groups = back,
            "groups are offered again; whoever is asked for in them is given them back"
        );
    }
    Ok(())
}
