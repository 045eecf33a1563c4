//! What the first import since the start shows is compared with what is here:
//! the first reconciliation can be a day away, and the application another one
//! at the same address (reliability: G-7).
//!
//! The reading is the import's own and only raises the question. Where too much
//! seems to be missing, it is looked at as closely as the first reconciliation
//! looks, and only that begins recovery.

use std::collections::{HashMap, HashSet};

use super::{super::session::store_failed, Failure, Session, pass::Purpose, pass::shown_of};
use crate::{
    plan::{
        drift,
        state::{GroupKey, UserKey},
    },
    upstream::{RemoteGroup, RemoteMember, RemoteUser},
};

/// Groups, or accounts, asked of the store at a time.
const PAGE: usize = 500;

impl Session {
    /// Begins recovery where the application lacks too much of what should be
    /// there, once since the start.
    pub(in super::super) async fn doubt_what_is_shown(
        &self,
        users: &[RemoteUser],
        groups: &[(RemoteGroup, Vec<RemoteMember>)],
    ) -> Result<(), Failure> {
        let known = self.bridge.store.recovery(self.connection.key).await;
        if known.map_err(store_failed)?.is_some() || self.is_agreed() {
            return Ok(());
        }
        if !self.connection.looks_first() {
            return Ok(());
        }
        let doubtful = self.lacks_accounts(users).await? || self.lacks_members(groups).await?;
        if !doubtful {
            return Ok(());
        }
        let found = self.read_all(Purpose::Look).await?;
        if found.is_doubtful() {
            self.doubt(found.doubt()).await?;
        }
        Ok(())
    }

    async fn lacks_accounts(&self, users: &[RemoteUser]) -> Result<bool, Failure> {
        if self.connection.upstream.has_families() {
            // What is there of it are its memberships.
            return Ok(false);
        }
        let active = users.iter().filter(|user| user.active);
        let there: HashSet<String> = active.map(|user| user.account.to_lowercase()).collect();
        let (store, c) = (&self.bridge.store, self.connection.key);
        let (mut off, mut of, mut after) = (0, 0, UserKey(0));
        loop {
            let page = store.accounts(c, after, PAGE).await.map_err(store_failed)?;
            let Some((last, ..)) = page.last() else {
                return Ok(drift::is_doubtful(off, of));
            };
            after = *last;
            of += page.len() as u64;
            let gone = page
                .iter()
                .filter(|(_, _, account)| !there.contains(account));
            off += gone.count() as u64;
        }
    }

    /// A group that is not listed lacks all of them.
    async fn lacks_members(
        &self,
        groups: &[(RemoteGroup, Vec<RemoteMember>)],
    ) -> Result<bool, Failure> {
        let by_name = groups.iter().map(|(group, of)| (&group.name, of));
        let listed: HashMap<&String, &Vec<RemoteMember>> = by_name.collect();
        let (store, c) = (&self.bridge.store, self.connection.key);
        let by_id = self.connection.upstream.has_families();
        let (mut off, mut of, mut after) = (0, 0, GroupKey(0));
        loop {
            let page = store.reconcilable(c, after, PAGE).await;
            let page = page.map_err(store_failed)?;
            let Some(last) = page.last() else {
                return Ok(drift::is_doubtful(off, of));
            };
            after = last.group;
            for group in page {
                let shown = listed.get(&group.name).copied().into_iter().flatten();
                let shown: Vec<_> = shown.cloned().map(|it| shown_of(it, by_id)).collect();
                let pairs = store.pairs(group.group).await.map_err(store_failed)?;
                let drift = drift::of_group(&pairs, &shown);
                off += (drift.missing.len() + drift.gone.len()) as u64;
                of += drift.there as u64;
            }
        }
    }
}
