//! Users whose accounts may be in groups of which nothing is known yet: an import reads
//! who is in a group, and knows of nobody who is linked to an account only later. What
//! they have is read when something is to be taken away, once for all of them.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;

use crate::{
    plan::state::{ConnectionKey, GroupKey, UserKey},
    scim::{filter::Filter, resource::ResourceId},
};

use super::{Actor, FoundGroup, ImportMark, Lane, StoreError};

/// A group in which users may be of whom that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsure {
    pub group: GroupKey,
    /// The application's name for it.
    pub name: String,
    /// A reading that begins after this tells.
    pub number: ImportMark,
}

/// A reading of who is in which groups.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// When it began.
    pub began: ImportMark,
    /// What was done after this it may not show.
    pub since: ImportMark,
    /// It is of every group that can be written.
    pub whole: bool,
}

/// Whom the request that a group is read for takes out of it.
#[derive(Debug, Clone, Default)]
pub struct TakenOut {
    named: HashSet<ResourceId>,
    all: bool,
    by: Vec<Filter>,
    /// But not those.
    kept: HashSet<ResourceId>,
}

impl TakenOut {
    pub fn add(&mut self, ids: impl Iterator<Item = ResourceId>) {
        for id in ids {
            self.named.remove(&id);
            self.kept.insert(id);
        }
    }

    pub fn remove(&mut self, ids: impl Iterator<Item = ResourceId>) {
        for id in ids {
            self.kept.remove(&id);
            self.named.insert(id);
        }
    }

    pub fn remove_where(&mut self, filter: &Filter) {
        self.kept
            .retain(|id| !filter.matches_member(&id.to_string()));
        self.by.push(filter.clone());
    }

    pub fn remove_all(&mut self) {
        *self = Self {
            all: true,
            ..Self::default()
        };
    }

    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.named.is_empty() && !self.all && self.by.is_empty()
    }

    /// Whether one is taken out who is in it.
    #[must_use]
    pub fn has(&self, id: ResourceId) -> bool {
        let fits = |filter: &Filter| filter.matches_member(&id.to_string());
        let other = !self.kept.contains(&id) && (self.all || self.by.iter().any(fits));
        self.named.contains(&id) || other
    }
}

#[async_trait]
pub trait Linked: Send + Sync {
    /// Whether there is anybody of whom it is not known what they have.
    async fn anyone_linked(&self, c: ConnectionKey) -> Result<bool, StoreError>;
    /// Whether the end of somebody's access waits for a reading.
    async fn leavers_unread(&self, c: ConnectionKey) -> Result<bool, StoreError>;
    /// Whether that of this user does.
    async fn is_leaver_unread(&self, user: UserKey) -> Result<bool, StoreError>;
    /// Of a group out of which somebody is to be taken.
    async fn unsure_in(
        &self,
        c: ConnectionKey,
        group: ResourceId,
        taken: Arc<TakenOut>,
    ) -> Result<Option<Unsure>, StoreError>;
    /// Makes members of those users who are shown in a group; who must have nothing is
    /// taken out again. A group that was written since what the reading shows tells only
    /// of them and of who is taken out by the request that it is for, but not of whom
    /// it may show from before a removal here: of whoever else it shows it stays
    /// unknown. Returns the lanes that have work because of it.
    async fn learn_linked(
        &self,
        c: ConnectionKey,
        reading: Reading,
        (groups, taken): (Vec<FoundGroup>, Arc<TakenOut>),
        actor: Actor,
    ) -> Result<Vec<Lane>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::{
        json::Limits,
        patch::{self, MemberChange},
        resource::ResourceType,
        schema::Schemas,
    };

    #[test]
    fn the_last_word_of_a_request_says_who_is_taken_out() {
        let [ann, bob, cid] = [1, 2, 3].map(|n| ResourceId::from_bytes([n; 16]));
        let who = |taken: &TakenOut| [ann, bob, cid].map(|id| taken.has(id));
        let mut taken = TakenOut::default();
        taken.add([ann].into_iter());
        assert!(taken.is_nobody());
        taken.remove([ann, bob].into_iter());
        taken.add([bob].into_iter());
        assert_eq!(who(&taken), [true, false, false]);
        taken.remove_all();
        taken.add([ann, cid].into_iter());
        assert_eq!(who(&taken), [false, true, false]);
        taken.remove([cid].into_iter());
        assert_eq!(who(&taken), [false, true, true]);

        let path = format!("members[type eq \"User\" and value eq \"{bob}\"]");
        let body = serde_json::json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "remove", "path": path }],
        });
        let (schemas, limits) = (Schemas::new(&[], &[]), Limits::default());
        let parsed = patch::parse(
            body.to_string().as_bytes(),
            ResourceType::Group,
            &schemas,
            &limits,
        );
        let change = &parsed.unwrap().taken.members[0];
        let change = match change {
            MemberChange::Hitting(change) => change,
            change => change,
        };
        let MemberChange::RemoveWhere(filter) = change else {
            panic!("{change:?}")
        };
        let mut taken = TakenOut::default();
        taken.add([bob, cid].into_iter());
        taken.remove_where(filter);
        assert_eq!(who(&taken), [false, true, false]);
        taken.add([bob].into_iter());
        assert_eq!(who(&taken), [false; 3]);
    }
}
