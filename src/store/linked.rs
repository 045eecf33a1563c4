//! Users whose accounts may be in groups of which nothing is known yet: an import reads
//! who is in a group, and knows of nobody who is linked to an account only later. What
//! they have is read when something is to be taken away, once for all of them.

use async_trait::async_trait;

use crate::{
    plan::state::{ConnectionKey, GroupKey, UserKey},
    scim::resource::ResourceId,
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

#[async_trait]
pub trait Linked: Send + Sync {
    /// Whether there is anybody of whom it is not known what they have.
    async fn anyone_linked(&self, c: ConnectionKey) -> Result<bool, StoreError>;
    /// Whether the end of somebody's access waits for a reading.
    async fn leavers_unread(&self, c: ConnectionKey) -> Result<bool, StoreError>;
    /// Whether that of this user does.
    async fn is_leaver_unread(&self, user: UserKey) -> Result<bool, StoreError>;
    /// Of a group out of which somebody is to be taken: these, and with `whole` whoever
    /// else is in it.
    async fn unsure_in(
        &self,
        c: ConnectionKey,
        group: ResourceId,
        named: Vec<ResourceId>,
        whole: bool,
    ) -> Result<Option<Unsure>, StoreError>;
    /// Makes members of those users who are shown in a group; who must have nothing is
    /// taken out again. Returns the lanes that have work because of it.
    async fn learn_linked(
        &self,
        c: ConnectionKey,
        reading: Reading,
        groups: Vec<FoundGroup>,
        actor: Actor,
    ) -> Result<Vec<Lane>, StoreError>;
}
