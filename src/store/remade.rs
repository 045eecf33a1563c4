//! Groups of a family that the application has made anew under another name of its own,
//! as a role in Snyk that was deleted and made again: the Group goes on as that one.

use async_trait::async_trait;

use super::{Actor, Lane, StoreError};
use crate::{
    plan::state::{ConnectionKey, Family},
    scim::resource::{Attributes, ResourceId},
};

/// What lays the application's name of a group into its attributes.
pub type Adorn = Box<dyn FnOnce(&mut Attributes) + Send>;

pub struct Successor {
    /// The application's names for the group that is there no more, and for the one
    /// that is there instead.
    pub from: String,
    pub to: String,
    pub family: Option<Family>,
    pub adorn: Adorn,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WentOn {
    /// No Group stands for it.
    Nothing,
    /// Why it goes on standing for what is there no more.
    Stays(String),
    Done(ResourceId, Lane),
}

#[async_trait]
pub trait Remaking: Send + Sync {
    /// What is kept here of a group is kept of the one that it was made anew as, and
    /// who is in it is open. A Group that only an import has found of that one ends for
    /// it; where more was asked of that, nothing changes.
    async fn go_on_as(
        &self,
        c: ConnectionKey,
        as_this: Successor,
        actor: Actor,
    ) -> Result<WentOn, StoreError>;
}
