//! The look before the deletion of a Group is judged: whoever was put into it by
//! hand goes with it, and nobody here knows of them (reliability: I-24, I-26, G-3).
//! Where it cannot be looked in time the deletion is judged by what is known, and
//! the lane looks before it is sent.

use std::{collections::HashMap, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{Session, session::Deadline};
use crate::{
    scim::{
        bulk::{Act, Operation, Verb},
        resource::{ResourceId, ResourceType::Group},
    },
    store::{Others, ShownMember, StoreError},
    upstream::{RemoteMember, UpstreamError, ahead},
};

/// For how long an operator's question looks.
const LONGEST: Duration = Duration::from_secs(10);

impl Session {
    /// Who is in a Group besides its members, where that has to be known before it is
    /// deleted and can be.
    pub(super) async fn others_in(&self, id: &str, until: Deadline) -> Option<Others> {
        let id = ResourceId::exact(id)?;
        match self.look_into(id, until).await {
            Ok(others) => others,
            Err(error) => {
                tracing::error!(%error, "the store failed");
                None
            }
        }
    }

    async fn look_into(
        &self,
        id: ResourceId,
        until: Deadline,
    ) -> Result<Option<Others>, StoreError> {
        let (store, key) = (&self.bridge.store, self.connection.key);
        let Some(doomed) = store.doomed(key, id, self.actor()).await? else {
            return Ok(None);
        };
        let listing = ahead(self.connection.upstream.members(&doomed.name));
        let shown = match timeout_at(until, listing).await {
            Ok(Ok(listed)) => shown(listed),
            Ok(Err(UpstreamError::Missing { .. })) => Vec::new(),
            Ok(Err(_)) | Err(_) => return Ok(None),
        };
        self.connection.lanes.note_look(doomed.group);
        let others = store.others(doomed.group, shown, self.actor()).await?;
        Ok(Some(others))
    }

    /// Until when a request looks: it leaves the other half to what is done then.
    pub(super) fn half(&self, until: Deadline) -> Deadline {
        let now = Instant::now();
        now + until.saturating_duration_since(now) / 2
    }

    /// The same of the operations of a request that is only rehearsed, by their
    /// places.
    pub(super) async fn others_ahead(&self, operations: &[Operation]) -> HashMap<usize, Others> {
        let until = Instant::now() + LONGEST;
        let mut others = HashMap::new();
        for (place, operation) in operations.iter().enumerate() {
            if let Some(act) = deletes_group(operation)
                && let Some(them) = self.others_in(&act.id, until).await
            {
                others.insert(place, them);
            }
        }
        others
    }
}

pub(super) fn deletes_group(operation: &Operation) -> Option<&Act> {
    let act = operation.act.as_ref().ok()?;
    (act.of == Group && act.verb == Verb::Delete).then_some(act)
}

/// Who is there for certain, and not only because of another group of its family.
pub(super) fn shown(listed: Vec<RemoteMember>) -> Vec<ShownMember> {
    let there = listed.into_iter().filter(|it| !it.covers && !it.unclear);
    there.map(|it| (it.upstream_id, it.account)).collect()
}
