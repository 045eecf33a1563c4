//! Accounts that have an address in common, where an application knows users by
//! ids. Which of them an identity provider means by the address cannot be told,
//! so only the one that was linked is given anything. Of somebody who must have
//! nothing it need not be told: nothing may be left to any of them. They are
//! kept, so that an end reaches all of them after a restart too, and they are
//! told until they are gone.

use std::collections::HashSet;

use async_trait::async_trait;

use super::{Lane, StoreError, StoredUser};
use crate::{
    plan::state::{ConnectionKey, UserKey},
    scim::resource::ResourceId,
};

/// Accounts with the address of one user, by the application's ids: several that
/// share it, or what is left to somebody who must have nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twins {
    pub user: Option<ResourceId>,
    /// The user must have nothing.
    pub ended: bool,
    pub accounts: Vec<String>,
}

/// Groups of families, each with its family's name before it.
pub type Holdings = Vec<(String, String)>;

/// An account that has something in the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownAccount {
    /// Lower case.
    pub account: String,
    pub upstream_id: String,
    pub has: Holdings,
    /// The live user who is linked to an account with another address, and of whom
    /// this one was said since; of several one who is active.
    pub said_of: Option<ResourceId>,
}

/// An account that has something, and the address of a user who must have
/// nothing, but is not the one that was linked and ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOver {
    pub user: UserKey,
    /// The id of the account that was linked.
    pub linked: Option<String>,
    /// The address that the user is known by here.
    pub account: String,
    /// The address that it is shown with: this one, or another one that was said of
    /// the user.
    pub shown: String,
    pub upstream_id: String,
    /// It is known to be another one than the linked account.
    pub known: bool,
    /// It has something that this connection may take away, and is nobody else's.
    pub ours: bool,
    /// The end of the user is done, as far as it was known.
    pub settled: bool,
}

#[async_trait]
pub trait Addresses {
    /// Users of whom another address was said than their account was known by then,
    /// those who were written last first, at most so many. It may be theirs by now.
    async fn said_otherwise(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<StoredUser>, StoreError>;
    /// Those of some accounts that users have who must have nothing.
    async fn left_over(
        &self,
        c: ConnectionKey,
        shown: Vec<ShownAccount>,
    ) -> Result<Vec<LeftOver>, StoreError>;
    /// Those of some accounts, by their ids, that users are linked to.
    async fn linked_among(
        &self,
        c: ConnectionKey,
        ids: Vec<String>,
    ) -> Result<HashSet<String>, StoreError>;
    /// Those of some addresses, in lower case, whose last user here was deleted, and
    /// nothing is left to do for that.
    async fn departed_among(
        &self,
        c: ConnectionKey,
        addresses: Vec<String>,
    ) -> Result<HashSet<String>, StoreError>;
    /// Has the accounts of users who must have nothing looked for, of which nothing
    /// was known and which are shown with these addresses, in lower case. Returns
    /// their lanes.
    async fn seek_among(
        &self,
        c: ConnectionKey,
        accounts: Vec<String>,
    ) -> Result<Vec<Lane>, StoreError>;
    /// Keeps which accounts share an address, by the address and their ids, in
    /// place of those that were kept.
    async fn note_twins(
        &self,
        c: ConnectionKey,
        twins: Vec<(String, String)>,
    ) -> Result<(), StoreError>;
    /// What is kept of them, those of users first, of so many addresses at most.
    async fn twins(&self, c: ConnectionKey, most: usize) -> Result<Vec<Twins>, StoreError>;
}
