//! The accounts: which are gone, which are back, which are there of who was deleted,
//! and whose id is another one by now.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Failure, PAGE, Pass, Purpose, store_failed};
use crate::{
    plan::state::UserKey,
    scim::resource::ResourceId,
    store::{Again, Drifted, Holdings},
    upstream::{RemoteUser, UpstreamError},
};

/// So many whom the list misses are asked for one by one; where it misses more of them,
/// the others are gone by what it says alone.
const MOST_ASKED: usize = 50;

/// Whose account is gone, by its key, whose is back, and which are there of who was deleted.
type Accounts = (
    BTreeMap<UserKey, String>,
    HashMap<UserKey, ResourceId>,
    Vec<Again>,
);

impl Pass<'_> {
    /// Accounts that are gone are told; those that are back are ended again, if
    /// they are neither protected nor too many.
    pub(super) async fn accounts(&mut self) -> Result<(), Failure> {
        let (mut missing, mut back, mut again) = self.compare_accounts().await?;
        if !missing.is_empty() || !back.is_empty() || !again.is_empty() {
            self.until_a_read_cannot_lag().await;
            let (missing_still, back_still, again_still) = self.compare_accounts().await?;
            missing.retain(|user, _| missing_still.contains_key(user));
            back.retain(|user, _| back_still.contains_key(user));
            again.retain(|one| again_still.contains(one));
            self.look_for(&mut missing).await?;
        }
        self.found.users_returned = again.len() as u64;
        again.truncate(Drifted::SHOWN);
        self.found.users_again = again;
        self.found.accounts_missing = missing.len() as u64;
        let missing: HashSet<UserKey> = missing.into_keys().collect();
        self.note_missed(&missing).await?;
        self.without_account = missing;
        self.found.accounts_back = 0;
        (self.found.accounts_held, self.found.accounts_protected) = (0, 0);
        self.found.back.clear();
        self.end_again(back).await
    }

    /// Whom a search shows is not gone because the list misses them; of whom it gives no
    /// answer that is understood, nothing is said.
    async fn look_for(&self, missing: &mut BTreeMap<UserKey, String>) -> Result<(), Failure> {
        let upstream = self.session.connection.upstream.as_ref();
        let asked = missing.iter().take(MOST_ASKED);
        let asked: Vec<_> = asked.map(|(user, key)| (*user, key.clone())).collect();
        for (user, account) in asked {
            match upstream.is_found(&account).await {
                Ok(None) => break,
                Ok(Some(false)) => {}
                Ok(Some(true)) | Err(UpstreamError::Unknown { .. }) => {
                    missing.remove(&user);
                }
                Err(error) => return Err(self.unreadable(&error)),
            }
        }
        Ok(())
    }

    /// Whoever is asked for again has the account made again.
    async fn note_missed(&mut self, missing: &HashSet<UserKey>) -> Result<(), Failure> {
        if self.purpose == Purpose::Look || self.only_shown() {
            return Ok(());
        }
        let (store, c) = (&self.session.bridge.store, self.session.connection.key);
        let noted = store.note_missed(c, missing.clone()).await;
        self.found.accounts_noted = missing.len() as u64;
        noted.map_err(store_failed)
    }

    /// Access that was ended here and is there again, as an account or, where none
    /// can be ended, as memberships.
    pub(super) async fn end_again(
        &mut self,
        back: HashMap<UserKey, ResourceId>,
    ) -> Result<(), Failure> {
        self.found.accounts_back += back.len() as u64;
        let ids = back.values().map(ToString::to_string);
        self.found.back.extend(ids);
        self.found.back.truncate(Drifted::SHOWN);
        if !self.repairs() {
            self.found.accounts_held += back.len() as u64;
        } else if !back.is_empty() {
            let users = back.into_keys().collect();
            let believed = self.purpose == Purpose::Repair(true);
            let store = &self.session.bridge.store;
            let repaired = store.end_again(users, believed, self.actor()).await;
            let repaired = repaired.map_err(store_failed)?;
            self.found.accounts_held += repaired.held as u64;
            self.found.accounts_protected += repaired.protected as u64;
            if repaired.held > 0 {
                tracing::warn!(
                    connection = %self.session.connection.name, held = repaired.held,
                    "accounts that were ended are back, too many to be ended again without an operator"
                );
            }
            self.wake(repaired);
        }
        Ok(())
    }

    async fn compare_accounts(&mut self) -> Result<Accounts, Failure> {
        let (store, c) = (&self.session.bridge.store, self.session.connection.key);
        if !self.session.connection.upstream.lists_users() {
            return Ok(Accounts::default());
        }
        let listed = self.session.connection.upstream.users().await;
        let listed = listed.map_err(|error| self.unreadable(&error))?;
        self.session.find_staged(&listed).await?;
        if self.repairs() {
            self.learn_ids(&listed).await?;
        }
        let again = self.session.users_again(&listed, self.since).await?;
        // Who is there without any membership was not given anything back.
        let active = listed.into_iter().filter(|user| user.active && !user.idle);
        let mut there: HashMap<String, Holdings> = HashMap::new();
        for user in active {
            let has = there.entry(user.account.to_lowercase()).or_default();
            has.extend(user.has);
        }
        let by_members = self.session.connection.upstream.has_families();
        let mut missing = BTreeMap::new();
        let mut after = UserKey(0);
        self.found.accounts = 0;
        loop {
            let page = store.accounts(c, after, PAGE).await.map_err(store_failed)?;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            self.found.accounts += page.len() as u64;
            if by_members {
                // What is there of it are its memberships.
                continue;
            }
            let gone = page
                .into_iter()
                .filter(|(_, _, key)| !there.contains_key(key));
            missing.extend(gone.map(|(user, _, key)| (user, key)));
        }
        if self.only_shown() {
            // Whoever is back there is back here with the next import.
            return Ok((missing, HashMap::new(), again));
        }
        let accounts = there.into_iter().collect();
        let back = store.ended(c, accounts).await.map_err(store_failed)?;
        Ok((missing, back.into_iter().collect(), again))
    }

    /// What is to be ended must not be asked for by an id of before.
    async fn learn_ids(&self, listed: &[RemoteUser]) -> Result<(), Failure> {
        let active = listed.iter().filter(|user| user.active);
        let shown = active
            .filter_map(|user| Some((user.account.to_lowercase(), user.upstream_id.clone()?)));
        // Of an address that several have none is the one.
        let mut ids: HashMap<String, HashSet<String>> = HashMap::new();
        for (account, id) in shown {
            ids.entry(account).or_default().insert(id);
        }
        ids.retain(|_, ids| ids.len() == 1);
        let shown = ids.into_iter();
        let shown =
            shown.flat_map(|(account, ids)| ids.into_iter().map(move |id| (account.clone(), id)));
        let (store, c) = (&self.session.bridge.store, self.session.connection.key);
        let learned = store.learn_ids(c, shown.collect(), self.actor()).await;
        learned.map_err(store_failed)
    }
}
