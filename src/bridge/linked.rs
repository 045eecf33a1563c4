//! Who is linked to an account that was there already may be in groups in which an
//! import has only counted them. While that is not known a removal would leave them
//! there and be told as done. So the groups are read before anything is taken away: all
//! of them, once for everybody, when somebody leaves and the account cannot be ended;
//! the one group, where a request takes out of it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    Bridge, Failure, Session, clock,
    reads::Reads,
    session::{COME_AGAIN, store_failed},
};
use crate::{
    plan::state::GroupKey,
    scim::{patch::MemberChange, resource::ResourceId},
    store::{FoundGroup, ImportMark, Millis, Reading, TakenOut},
    upstream::{RemoteGroup, UpstreamError, ahead},
};

/// First and longest time until groups that could not be read are read again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// What of a reading is believed at once: who leaves does not wait until all is read.
const PORTION: usize = 10;

/// When each group was last read for a request; whoever holds it reads that one.
pub(super) type ReadAt = std::sync::Mutex<HashMap<GroupKey, LastRead>>;
type LastRead = Arc<tokio::sync::Mutex<Option<ImportMark>>>;

/// Whom a request takes out of a group, whoever is in it.
fn taken_by(changes: &[MemberChange]) -> TakenOut {
    let mut taken = TakenOut::default();
    for change in changes {
        take(&mut taken, change);
    }
    taken
}

fn take(taken: &mut TakenOut, change: &MemberChange) {
    let parsed = |ids: &[String]| {
        let parsed: Vec<_> = ids.iter().filter_map(|id| ResourceId::parse(id)).collect();
        parsed.into_iter()
    };
    match change {
        MemberChange::Add(ids) => taken.add(parsed(ids)),
        MemberChange::Remove(ids) => taken.remove(parsed(ids)),
        MemberChange::RemoveAll => taken.remove_all(),
        MemberChange::RemoveWhere(filter) => taken.remove_where(filter),
        MemberChange::Replace(ids) => {
            taken.remove_all();
            taken.add(parsed(ids));
        }
        MemberChange::Hitting(change) => take(taken, change),
    }
}

impl Bridge {
    /// Reads what leavers have of whom that is not known; the tasks live on the
    /// engine's runtime and end with it.
    pub(super) fn read_for_leavers(self: &Arc<Self>) {
        for connection in &self.connections {
            if !connection.upstream.capabilities().withdraws() {
                continue;
            }
            if let Some(session) = self.own_session(&connection.name, "read of leavers") {
                self.engine.spawn(session.read_for_leavers());
            }
        }
    }
}

impl Session {
    async fn read_for_leavers(self) {
        let mut pause = AGAIN.0;
        loop {
            match ahead(self.read_for_those_who_wait()).await {
                Ok(false) => {
                    pause = AGAIN.0;
                    self.connection.lanes.when_somebody_leaves_unread().await;
                    continue;
                }
                Ok(true) => tracing::warn!(
                    connection = %self.connection.name,
                    "users leave, and some groups in which they may be cannot be read"
                ),
                Err(error) => tracing::warn!(
                    connection = %self.connection.name, %error,
                    "users leave, and the groups in which they may be cannot be read"
                ),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN.1);
        }
    }

    /// Whether somebody still waits after it.
    async fn read_for_those_who_wait(&self) -> Result<bool, Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        if !store.leavers_unread(c).await.map_err(store_failed)? {
            return Ok(false);
        }
        self.keys_are_known().await?;
        let mut reading = self.begin_reading().await?;
        let upstream = self.connection.upstream.as_ref();
        let groups = upstream.groups().await.map_err(|e| self.unreadable(&e))?;
        let nobody = || Arc::new(TakenOut::default());
        let mut reads = Reads::after(false);
        let mut found = Vec::with_capacity(PORTION);
        let mut whole = true;
        for group in groups.iter().filter(|group| group.read_only.is_none()) {
            match upstream.members(&group.name).await {
                Ok(members) => {
                    reads.read();
                    found.push(self.found_group(group, members));
                    if found.len() == PORTION {
                        self.learn(reading, (std::mem::take(&mut found), nobody()))
                            .await?;
                    }
                }
                Err(UpstreamError::Missing { .. }) => {}
                Err(error) => {
                    if let Err(error) = reads.of_one_group(upstream, error).await {
                        self.learn(reading, (found, nobody())).await?;
                        return Err(self.unreadable(&error));
                    }
                    reads.failed();
                    whole = false;
                }
            }
        }
        reading.whole = whole;
        self.learn(reading, (found, nobody())).await?;
        store.leavers_unread(c).await.map_err(store_failed)
    }

    async fn learn(
        &self,
        reading: Reading,
        (found, taken): (Vec<FoundGroup>, Arc<TakenOut>),
    ) -> Result<(), Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        let lanes = store.learn_linked(c, reading, (found, taken), self.actor());
        self.connection
            .lanes
            .kick_all(lanes.await.map_err(store_failed)?);
        Ok(())
    }

    /// A reading that begins now, of no group yet.
    pub(super) async fn begin_reading(&self) -> Result<Reading, Failure> {
        let store = &self.bridge.store;
        let began = store.import_mark(Millis::MAX).await.map_err(store_failed)?;
        let since = store.import_mark(clock::now() - self.lag()).await;
        Ok(Reading {
            began,
            since: since.map_err(store_failed)?,
            whole: false,
        })
    }

    /// Reads a group out of which a request takes somebody, where users may be in it of
    /// whom that is not known. An error when it cannot be read now: what was only
    /// taken away here would be told as done.
    pub(super) async fn know_members(
        &self,
        id: &str,
        changes: &[MemberChange],
    ) -> Result<(), Failure> {
        let taken = Arc::new(taken_by(changes));
        let Some(id) = ResourceId::exact(id).filter(|_| !taken.is_nobody()) else {
            return Ok(());
        };
        let (store, c) = (&self.bridge.store, self.connection.key);
        let unsure = store.unsure_in(c, id, Arc::clone(&taken)).await;
        if unsure.map_err(store_failed)?.is_none() {
            return Ok(());
        }
        // It goes on when the answer does not wait any longer, and serves the next one.
        let session = self.clone();
        let read = async move { ahead(session.read_one(id, taken)).await };
        let read = self.bridge.engine.spawn(read);
        match tokio::time::timeout_at(self.deadline(), read).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                tracing::error!(%error, "a reading of a group ended abnormally");
                Err(Failure::Internal)
            }
            Err(_) => Err(Failure::Later {
                seconds: COME_AGAIN,
                detail: format!(
                    "who is in the Group in {} is being read, as Users may be in it of whom that \
                     is not known yet; nothing was changed",
                    self.application()
                ),
            }),
        }
    }

    async fn read_one(&self, id: ResourceId, taken: Arc<TakenOut>) -> Result<(), Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        let unsure = store.unsure_in(c, id, Arc::clone(&taken)).await;
        let Some(unsure) = unsure.map_err(store_failed)? else {
            return Ok(());
        };
        let last = {
            let all = self.connection.read_at.lock();
            let mut all = all.unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(unsure.group).or_default())
        };
        let mut last = last.lock().await;
        // Whoever had it before may have read it.
        let unsure = store.unsure_in(c, id, Arc::clone(&taken)).await;
        let Some(unsure) = unsure.map_err(store_failed)? else {
            return Ok(());
        };
        if last.is_some_and(|last| last >= unsure.number) {
            return Ok(());
        }
        self.keys_are_known().await?;
        let reading = self.begin_reading().await?;
        let group = RemoteGroup {
            name: unsure.name,
            ..RemoteGroup::default()
        };
        let members = match self.connection.upstream.members(&group.name).await {
            Ok(members) => members,
            Err(UpstreamError::Missing { .. }) => return Ok(()),
            Err(error) => return Err(self.unreadable(&error)),
        };
        let found = vec![self.found_group(&group, members)];
        self.learn(reading, (found, taken)).await?;
        *last = Some(reading.began);
        Ok(())
    }
}
