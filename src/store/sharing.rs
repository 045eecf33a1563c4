//! Several connections of one bridge at one tenant of an application: each
//! group and each account there is managed by one of them alone, the first that
//! asked for a change of it (reliability: H-18, I-26). Others see it, and are
//! refused when they would change what is there. What a connection itself has
//! put somebody in, it may always take them out of.
//!
//! Two bridges, with a store each, are not told apart. A mark in the application
//! would need a field of its own there: for a group Opsera documents a name, a
//! kind and members, Snyk a name and is never written. Hydden.Control documents
//! a description, but no members are written there, and only groups that the
//! bridge itself made are renamed and deleted, by their ids: nothing is left that
//! two could both manage.

use async_trait::async_trait;

use super::{Lane, StoreError};
use crate::{
    plan::state::{ConnectionKey, GroupKey, UserKey},
    scim::resource::{ResourceId, ResourceType},
};

/// What another connection has of a user's place in a family, of which only one
/// at a time asks for somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seat {
    #[default]
    Free,
    /// It asks for the user no more, and that has not come to its end.
    Leaving,
    Taken,
}

/// What connections at one tenant share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub name: String,
    /// Accounts are managed there, and ended: not only found, and not only
    /// taken out of what the connection itself put them in.
    pub accounts: bool,
}

/// A user or group here whose counterpart another connection manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    pub of: ResourceType,
    pub id: ResourceId,
    /// The name of that connection.
    pub by: String,
}

/// A user who is asked for here in a group of a family in which another connection
/// has the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub group: ResourceId,
    pub user: ResourceId,
    /// The name of that connection.
    pub by: String,
    /// Never free.
    pub seat: Seat,
}

#[async_trait]
pub trait Sharing {
    /// At start, before any write: the sites of all connections that there are.
    /// What was managed before keeps its owner, the oldest where there were two,
    /// and what a connection managed that is not there any more is free when no call of
    /// it can take effect any more.
    async fn settle_sites(
        &self,
        sites: Vec<(ConnectionKey, Option<Site>)>,
    ) -> Result<(), StoreError>;
    /// Live users and groups of a connection that another one manages, groups
    /// first, at most so many.
    async fn managed_elsewhere(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<Elsewhere>, StoreError>;
    /// Whom a connection asks for and does not have, or was refused, because of
    /// another one, at most so many.
    async fn places_elsewhere(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<Place>, StoreError>;
    /// Lanes of other connections that have something to do for an account that one
    /// of this connection's users was given, as it was made anew.
    async fn asked_elsewhere(
        &self,
        user: UserKey,
    ) -> Result<Vec<(ConnectionKey, Lane)>, StoreError>;
    /// Lanes of other connections that have somebody to put into the same group, or
    /// into one of its family.
    async fn open_elsewhere(
        &self,
        group: GroupKey,
    ) -> Result<Vec<(ConnectionKey, Lane)>, StoreError>;
    /// Places, among members that the application shows in a group of a connection,
    /// of those whom another connection at the tenant asks for there, or is about to
    /// take out: what is there of them is not this connection's matter.
    async fn asked_for_elsewhere(
        &self,
        group: GroupKey,
        members: Vec<(Option<String>, Option<String>)>,
    ) -> Result<Vec<usize>, StoreError>;
}
