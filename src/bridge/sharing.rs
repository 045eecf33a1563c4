//! Which connections lead to one tenant of one application. What that means for
//! who may change what is the store's to hold.

use super::Setup;
use crate::{
    plan::state::ConnectionKey,
    store::{Site, Store, StoreError},
    upstream::Tenant,
};

/// Tells the store, before anything is written, and whoever reads the log.
pub(super) async fn settle(store: &dyn Store, setups: &[Setup]) -> Result<(), StoreError> {
    let mut tenants = Vec::with_capacity(setups.len());
    for setup in setups {
        let key = store.connection(&setup.name).await?;
        tenants.push((key, setup.upstream.tenant()));
    }
    let mut sites = Vec::with_capacity(setups.len());
    for (setup, (key, tenant)) in setups.iter().zip(&tenants) {
        let first = first_of(tenant.as_ref(), *key, &tenants);
        let site = first.map(|first| Site {
            // A tenant is not kept, and the first connection stays.
            name: format!("{} {}", setup.upstream.fingerprint(), first.0),
            accounts: !setup.upstream.finds_accounts()
                && !setup.upstream.capabilities().withdraws(),
        });
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

/// The first connection at a tenant where there are several.
fn first_of(
    tenant: Option<&Tenant>,
    key: ConnectionKey,
    all: &[(ConnectionKey, Option<Tenant>)],
) -> Option<ConnectionKey> {
    let tenant = tenant?;
    let same = all.iter().filter(|(_, it)| it.as_ref() == Some(tenant));
    let keys: Vec<ConnectionKey> = same.map(|(key, _)| *key).collect();
    let others = keys.iter().any(|it| *it != key);
    keys.into_iter().min().filter(|_| others)
}
