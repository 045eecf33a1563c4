//! Users and Groups that were deleted here, and that a reading shows all the same:
//! somebody has made them anew in the application, or it said that they were gone and
//! kept them. It is told, and they are left alone (reliability: H-15).

use std::collections::HashSet;

use super::super::{Failure, Session, session::store_failed};
use crate::{
    store::{Again, ImportMark},
    upstream::RemoteUser,
};

/// So many of a list in one question to the store.
const PORTION: usize = 2_000;

impl Session {
    /// Not where all that there is of an account is its memberships, which are told.
    pub(super) async fn users_again(
        &self,
        listed: &[RemoteUser],
        since: ImportMark,
    ) -> Result<Vec<Again>, Failure> {
        let upstream = &self.connection.upstream;
        if upstream.has_families() || upstream.capabilities().only_shows() {
            return Ok(Vec::new());
        }
        let active = listed.iter().filter(|user| user.active && !user.unreadable);
        let accounts = active.map(|user| (user.account.to_lowercase(), user.upstream_id.clone()));
        let accounts: Vec<_> = accounts.collect();
        let (store, c) = (&self.bridge.store, self.connection.key);
        let mut again = Vec::new();
        for portion in accounts.chunks(PORTION) {
            let found = store.users_again(c, portion.to_vec(), since).await;
            again.extend(found.map_err(store_failed)?);
        }
        Ok(again)
    }

    /// What was left alone is told until it is gone, as a list and a look show.
    pub(in crate::bridge) async fn forget_left_alone(
        &self,
        listed: impl Fn(&str) -> bool + Send,
        since: ImportMark,
    ) -> Result<(), Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        let names = store.left_alone_before(c, since).await;
        for name in names.map_err(store_failed)? {
            // What cannot be looked at now is told until the next reading.
            if !listed(&name)
                && let Ok(None) = self.connection.upstream.group(&name).await
            {
                let forgotten = store.forget_left_alone(c, name, since).await;
                forgotten.map_err(store_failed)?;
            }
        }
        Ok(())
    }

    pub(super) async fn groups_again(
        &self,
        names: &HashSet<String>,
        since: ImportMark,
    ) -> Result<Vec<Again>, Failure> {
        let mirror = self.connection.upstream.capabilities().only_shows();
        let mut names: Vec<String> = names.iter().cloned().collect();
        names.sort_unstable();
        let (store, c) = (&self.bridge.store, self.connection.key);
        let mut again = Vec::new();
        for portion in names.chunks(PORTION) {
            let found = store.groups_again(c, portion.to_vec(), since, mirror).await;
            again.extend(found.map_err(store_failed)?);
        }
        Ok(again)
    }
}
