//! Whose the members of a group are that nobody asked for there, and whether it was
//! taken away from them here: given back by somebody, or never gone (reliability: H-15).

use async_trait::async_trait;

use super::{Millis, StoreError};
use crate::{
    plan::state::{ConnectionKey, GroupKey},
    scim::resource::ResourceId,
};

/// Whose the account of a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// No user's, and none was here whose it was.
    Nobodys,
    User {
        id: ResourceId,
        /// When the membership was taken away last, from this user or from one who
        /// had the account before and was deleted, if nobody asked for it since.
        removed: Option<Millis>,
    },
    /// Of a user who was deleted then; nobody has it now.
    Deleted(Millis),
}

#[async_trait]
pub trait Taken {
    /// Of each of some members, by the application's id and the key of the account;
    /// reads all that was changed of the group.
    async fn whose(
        &self,
        c: ConnectionKey,
        group: GroupKey,
        members: Vec<(Option<String>, Option<String>)>,
    ) -> Result<Vec<Whose>, StoreError>;
}
