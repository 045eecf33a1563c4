//! What is left to somebody who must have nothing: accounts with the address of a
//! user who was deactivated or deleted, beside the one that was linked and ended.
//! The application has them as the same person, so they are ended with the next
//! import, as a reconciliation ends what is back, and within the same guard rails;
//! what is not is told in the status until it is gone.
//!
//! Not so where the linked account has another address by now: then the address
//! was handed on, and who has it is somebody else. An address that was said of the
//! user since is the user's own, unless somebody else here has it.

use std::collections::{BTreeSet, HashMap};

use super::{super::session::store_failed, Failure, Reading, Session};
use crate::{
    plan::state::UserKey,
    scim::resource::ResourceId,
    store::{LeftOver, ShownAccount},
    upstream::RemoteUser,
};

impl Session {
    /// Such accounts, as two readings show them.
    pub(super) async fn left_over(&self, reading: &Reading) -> Result<Vec<LeftOver>, Failure> {
        let mut left = self.left_among(&reading.users).await?;
        if !left.iter().any(|it| it.ours) {
            return Ok(left);
        }
        // Two readings this far apart cannot both be out of date in one way.
        tokio::time::sleep(self.policy().read_lag).await;
        let listed = self.connection.upstream.users().await;
        let listed = listed.map_err(|error| self.unreadable(&error))?;
        let again = self.left_among(&listed).await?;
        for one in &mut left {
            let same = |it: &&LeftOver| it.user == one.user && it.upstream_id == one.upstream_id;
            let still = again.iter().find(same);
            one.ours &= still.is_some_and(|it| it.ours);
            one.settled &= still.is_some_and(|it| it.settled);
        }
        Ok(left)
    }

    async fn left_among(&self, listed: &[RemoteUser]) -> Result<Vec<LeftOver>, Failure> {
        let addresses = listed
            .iter()
            .filter_map(|it| Some((it.upstream_id.as_deref()?, it.account.as_str())));
        let addresses: HashMap<&str, &str> = addresses.collect();
        let shown = listed.iter().filter(|it| it.active && !it.idle);
        let (store, c) = (&self.bridge.store, self.connection.key);
        let said = self.said_otherwise().await?;
        let shown = shown
            .filter_map(|user| shown_account(user, &said))
            .collect();
        let mut left = store.left_over(c, shown).await.map_err(store_failed)?;
        left.retain(|it| {
            let linked = it.linked.as_deref().and_then(|id| addresses.get(id));
            linked.is_none_or(|address| address.to_lowercase() == it.account)
        });
        Ok(left)
    }

    /// Whose an address is that is another one than that of the account the user is
    /// linked to; of several, who is active.
    async fn said_otherwise(&self) -> Result<HashMap<String, ResourceId>, Failure> {
        let (store, upstream) = (&self.bridge.store, &self.connection.upstream);
        let users = store.said_otherwise(self.connection.key, usize::MAX).await;
        let mut users = users.map_err(store_failed)?;
        users.sort_by_key(|user| user.row.account.active);
        let said = users.into_iter().filter_map(|user| {
            let key = upstream.project(&user.row.attributes).ok()?.key?;
            (Some(&key) != user.row.account_key.as_ref()).then_some((key, user.id))
        });
        Ok(said.collect())
    }

    /// Has the users ended once more whose end did not reach all accounts.
    pub(super) async fn end_left_over(&self, left: &[LeftOver]) -> Result<(), Failure> {
        let open = left.iter().filter(|it| it.ours && it.settled);
        let users: BTreeSet<UserKey> = open.map(|it| it.user).collect();
        let words =
            "users who must have nothing had something by other accounts with their addresses";
        self.end_again(users.into_iter().collect(), words).await
    }

    /// The same of those who were found in groups only after they had left.
    pub(super) async fn end_found(&self) -> Result<(), Failure> {
        let found = self.bridge.store.found_of_leavers(self.connection.key);
        let found = found.await.map_err(store_failed)?;
        let words = "users who must have nothing are found in groups";
        self.end_again(found, words).await
    }

    async fn end_again(&self, users: Vec<UserKey>, words: &str) -> Result<(), Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        if users.is_empty() || store.recovery(c).await.map_err(store_failed)?.is_some() {
            return Ok(());
        }
        let ended = store.end_again(users, false, self.actor()).await;
        let ended = ended.map_err(store_failed)?;
        tracing::warn!(
            connection = %self.connection.name, ended = ended.ended_again, held = ended.held,
            protected = ended.protected, "{words}"
        );
        self.connection.lanes.kick_all(ended.lanes);
        Ok(())
    }
}

fn shown_account(user: &RemoteUser, said: &HashMap<String, ResourceId>) -> Option<ShownAccount> {
    let account = user.account.to_lowercase();
    Some(ShownAccount {
        said_of: said.get(&account).copied(),
        account,
        upstream_id: user.upstream_id.clone()?,
        has: user.has.clone(),
    })
}
