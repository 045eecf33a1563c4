//! Users whose account is not in the application yet and cannot be made there:
//! it appears by itself, as by a first sign-in, and is found then. Every reading
//! of all accounts has those looked for again whom it shows, and between the
//! readings of others there is one of its own now and then, if anyone waits.
//! A reading binds nothing; the user's lane looks for the account and does.

use std::{sync::Arc, time::Duration};

use super::{Bridge, Failure, Session, session::store_failed};
use crate::upstream::{RemoteUser, in_background};

/// So many accounts in one transaction.
const PORTION: usize = 500;

impl Bridge {
    /// Looks for them as often as every connection wants; the tasks live on the
    /// engine's runtime and end with it.
    pub fn look_for_staged_regularly(self: &Arc<Self>) {
        for connection in &self.connections {
            let every = connection.policy.look_for_staged;
            let session = self.own_session(&connection.name, "look for staged users");
            if let (Some(every), Some(session)) = (every, session) {
                self.engine.spawn(session.look_for_staged(every));
            }
        }
    }
}

impl Session {
    async fn look_for_staged(self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = in_background(self.look_once()).await {
                tracing::warn!(%error, connection = %self.connection.name, "staged users cannot be looked for");
            }
        }
    }

    async fn look_once(&self) -> Result<(), Failure> {
        if self.anyone_is_staged().await? {
            let listed = self.connection.upstream.users().await;
            let listed = listed.map_err(|error| self.unreadable(&error))?;
            self.find_staged(&listed).await?;
        }
        Ok(())
    }

    async fn anyone_is_staged(&self) -> Result<bool, Failure> {
        let staged = self.bridge.store.staged(self.connection.key).await;
        Ok(staged.map_err(store_failed)? > 0)
    }

    /// Has those looked for again whom a list shows.
    pub(super) async fn find_staged(&self, listed: &[RemoteUser]) -> Result<(), Failure> {
        if !self.connection.upstream.has_families() || !self.anyone_is_staged().await? {
            return Ok(());
        }
        for portion in listed.chunks(PORTION) {
            let accounts = portion.iter().map(|user| user.account.to_lowercase());
            let (store, c) = (&self.bridge.store, self.connection.key);
            let lanes = store.unstage(c, accounts.collect(), self.actor()).await;
            self.connection.lanes.kick_all(lanes.map_err(store_failed)?);
        }
        Ok(())
    }
}
