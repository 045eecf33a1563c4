//! The look before the deletion of a group is sent: since it was judged others may
//! have been put into it, who are not to go unseen (reliability: I-24, I-26, G-3). A
//! look of just now, by which it was judged, is enough.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Lanes, brink};
use crate::{
    bridge::{doomed::shown, held},
    plan::state::GroupKey,
    scim::resource::ResourceId,
    store::{Late, StoreError},
    upstream::RemoteMember,
};

/// So long a look counts as one that comes right before.
const JUST_NOW: Duration = Duration::from_secs(1);

/// Groups that were looked at just now, for their deletion.
#[derive(Debug, Default)]
pub(super) struct Looked(Mutex<HashMap<GroupKey, Instant>>);

impl Looked {
    fn has(&self, group: GroupKey) -> bool {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|_, at| at.elapsed() < JUST_NOW);
        groups.contains_key(&group)
    }

    fn note(&self, group: GroupKey) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.insert(group, Instant::now());
    }
}

impl Lanes {
    /// Its deletion is judged by a look of now.
    pub(in crate::bridge) fn note_look(&self, group: GroupKey) {
        self.0.looked.note(group);
    }

    /// Whether a look comes before the deletion of that group.
    pub(super) fn looks_into(&self, group: GroupKey) -> bool {
        let guard = &self.0.guard;
        let watches = guard.enabled || !guard.protected.users.is_empty();
        watches && !self.0.looked.has(group)
    }

    /// Why it stays, by who is shown in it.
    pub(super) async fn keeps(
        &self,
        (group, id): (GroupKey, ResourceId),
        listed: Vec<RemoteMember>,
    ) -> Result<Option<String>, StoreError> {
        let late = Late {
            id: held::new_id(),
            request: held::deletion(id),
            room: held::ROOM,
        };
        let actor = brink::actor(&self.0.guard);
        let kept = self
            .0
            .store
            .keeps(group, shown(listed), late, actor)
            .await?;
        if let Some(reason) = &kept {
            tracing::warn!(connection = %self.0.connection, group = %id, "stopped: {reason}");
        }
        Ok(kept)
    }
}
