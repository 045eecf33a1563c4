//! Which connections lead to one tenant of one application. What that means for
//! who may change what is the store's to hold.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{Connection, Policy, Setup, clock};
use crate::{
    plan::state::ConnectionKey,
    store::{Lane, Millis, Site, Store, StoreError},
    upstream::Tenant,
};

/// How often it is looked whether calls of connections that are gone can land no more.
const LOOK: Duration = Duration::from_secs(5);

/// Tells the store, before anything is written, and whoever reads the log.
pub(super) async fn settle(store: &dyn Store, setups: &[Setup]) -> Result<(), StoreError> {
    let mut keys = Vec::with_capacity(setups.len());
    for setup in setups {
        keys.push(store.connection(&setup.name).await?);
    }
    let tenants: Vec<Vec<Tenant>> = setups.iter().map(|it| it.upstream.tenants()).collect();
    let mut sites = Vec::with_capacity(setups.len());
    for (place, (setup, key)) in setups.iter().zip(&keys).enumerate() {
        let site = site(place, &tenants, (setups, &keys));
        if site.is_some() {
            tracing::warn!(
                connection = %setup.name,
                "another connection leads to the same application; each group and account there is \
                 managed by the one that changed it first"
            );
        }
        sites.push((*key, site));
    }
    store.settle_sites(sites).await
}

/// How long, and how far after that, what a connection has sent is waited for that is not
/// configured any more: nobody knows what was said of it.
fn patience<'a>(policies: impl Iterator<Item = &'a Policy>) -> (Duration, Duration) {
    let spans = policies.map(|it| (it.late_writes, it.read_lag));
    spans.fold(Default::default(), |(late, lag), it| {
        (late.max(it.0), lag.max(it.1))
    })
}

fn millis(span: Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX)
}

/// What is left of that for a call of such a connection, at the most.
pub(super) fn left_of_departed<'a>(
    policies: impl Iterator<Item = &'a Policy>,
    since: Millis,
) -> Duration {
    let (late, lag) = patience(policies);
    let end = since.saturating_add(millis(late + lag + 3 * LOOK));
    let left = end.saturating_sub(clock::now()).try_into().unwrap_or(0);
    Duration::from_millis(left).max(LOOK)
}

/// Sees to it that what such connections have left is over in time: their lanes do not
/// run, so what is to be said again is left open for their return.
pub(super) async fn see_out(
    store: Arc<dyn Store>,
    engine: &tokio::runtime::Handle,
    connections: &[Arc<Connection>],
) -> Result<(), StoreError> {
    let known = connections.iter().map(|it| it.key).collect();
    let mut left = store.connections_but(known).await?;
    let (late, lag) = patience(connections.iter().map(|it| &it.policy));
    engine.spawn(async move {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !left.is_empty() {
            tick.tick().await;
            let now = clock::now();
            let due = [late, late / 2].map(|ago| now.saturating_sub(millis(ago)));
            let mut open = Vec::new();
            for key in left {
                let seen = store.recheck_late(key, due.into(), now, millis(lag)).await;
                let any = match seen {
                    Ok(_) => store.has_unanswered(key, Millis::MIN).await,
                    Err(error) => Err(error),
                };
                match any {
                    Ok(false) => {}
                    Ok(true) => open.push(key),
                    Err(error) => {
                        tracing::error!(%error, "late calls cannot be rechecked");
                        open.push(key);
                    }
                }
            }
            left = open;
        }
    });
    Ok(())
}

/// Wakes what a lane of one connection has found to do for others; ends with the
/// engine's runtime.
pub(super) fn wake(
    engine: &tokio::runtime::Handle,
    mut woken: mpsc::UnboundedReceiver<(ConnectionKey, Lane)>,
    connections: &[Arc<Connection>],
) {
    let lanes = connections.iter().map(|it| (it.key, it.lanes.clone()));
    let lanes: HashMap<ConnectionKey, _> = lanes.collect();
    engine.spawn(async move {
        while let Some((of, lane)) = woken.recv().await {
            lanes.get(&of).into_iter().for_each(|it| it.kick(lane));
        }
    });
}

/// What a connection shares with others, if it does. Named by the oldest of them,
/// as a tenant is not kept, and that one stays.
fn site(
    place: usize,
    tenants: &[Vec<Tenant>],
    (setups, keys): (&[Setup], &[ConnectionKey]),
) -> Option<Site> {
    let setup = setups.get(place)?;
    let same = together(place, tenants);
    let known = same
        .iter()
        .filter_map(|at| Some((keys.get(*at)?, setups.get(*at)?)));
    let (key, first) = known.min_by_key(|(key, _)| **key)?;
    (same.len() > 1).then(|| Site {
        name: format!("{} {}", first.upstream.fingerprint(), key.0),
        accounts: !setup.upstream.finds_accounts() && !setup.upstream.capabilities().withdraws(),
    })
}

/// The places of all that are at the same tenant as one, itself among them: those
/// that have something in common with it, or with one that has.
pub fn together(place: usize, tenants: &[Vec<Tenant>]) -> Vec<usize> {
    let mut same = vec![place];
    let mut next = 0;
    while let Some(of) = same.get(next).and_then(|at| tenants.get(*at)) {
        for (other, known) in tenants.iter().enumerate() {
            if !same.contains(&other) && known.iter().any(|it| of.contains(it)) {
                same.push(other);
            }
        }
        next += 1;
    }
    same
}

/// Whether two connections that have a credential in common name its tenant
/// differently; what is known by itself stands before the name.
pub fn are_named_apart(one: &[Tenant], other: &[Tenant]) -> bool {
    match (one, other) {
        ([own, named], [same, differently]) => own == same && named != differently,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tenant_for_test as tenant;

    #[test]
    fn whoever_has_anything_in_common_is_at_one_tenant() {
        let of = |all: &[u8]| all.iter().map(|it| tenant(*it)).collect::<Vec<_>>();
        let tenants = [of(&[1]), of(&[2, 3]), of(&[1, 2]), of(&[4]), of(&[])];
        let mut same = together(0, &tenants);
        same.sort_unstable();
        assert_eq!(same, [0, 1, 2]);
        for alone in [3, 4] {
            assert_eq!(together(alone, &tenants), [alone]);
        }
        assert!(are_named_apart(&of(&[1, 2]), &of(&[1, 3])));
        for (one, other) in [([1, 2], [1, 2]), ([1, 3], [2, 3]), ([1, 2], [3, 4])] {
            assert!(!are_named_apart(&of(&one), &of(&other)));
        }
        assert!(
            !are_named_apart(&of(&[1]), &of(&[1, 2])),
            "one says no name"
        );
    }
}
