//! What is asked of a list, and its pages.

use std::sync::Arc;

use crate::scim::{
    catalog::{Assignable, Entry, Found, Listable},
    error::Problem,
    filter::Filter,
    groups::DirectGroup,
    query::{Sort, SortKey},
    resource::{ResourceId, ResourceType},
};

use super::{Resource, StoreError};

/// Which resources to list, and which part of the list.
#[derive(Debug, Clone)]
pub struct Select {
    /// One resource type or several; the order is that of this list where
    /// nothing else decides.
    pub among: Vec<Among>,
    /// Rows of tables in memory that stand in the list too: by their keys, and
    /// after all resources where nothing else decides.
    pub beside: Vec<Found>,
    pub descending: bool,
    pub start: Start,
    pub limit: u64,
    /// As many groups of the page's users are read with them; 0 for none.
    pub groups: usize,
}

/// One resource type in a list.
#[derive(Debug, Clone)]
pub struct Among {
    pub of: ResourceType,
    pub filter: Option<Filter>,
    /// Without it resources stand in order of creation, after those of other
    /// types that have a key.
    pub sort: Option<Sort>,
}

/// Where a page begins, or for `Before` ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Zero-based.
    Offset(u64),
    /// After a place; `None` is the beginning.
    After(Option<Mark>),
    /// Before a place; `None` is the end.
    Before(Option<Mark>),
}

/// A place between two resources: right behind the one that had this key and
/// row, whether or not that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub key: SortKey,
    pub of: Listable,
    pub row: i64,
}

impl From<&Found> for Mark {
    fn from(found: &Found) -> Self {
        Self {
            key: found.key.clone(),
            of: found.of.into(),
            row: found.row,
        }
    }
}

/// What stands in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Resource(ResourceType, Resource),
    Row(Assignable, Entry),
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// All matches, not only this page.
    pub total: u64,
    pub items: Vec<Item>,
    /// The places of the first and the last of them.
    pub ends: Option<(Mark, Mark)>,
    /// Whether there are matches before and after this page.
    pub earlier: bool,
    pub later: bool,
    /// Of the page's users, in order, for as many as [`Select::groups`] allows:
    /// as [`Store::groups_of`](super::Store::groups_of) tells them, and of the same moment as the page.
    pub groups: Vec<Vec<DirectGroup>>,
}

/// A refused or failed list.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ListError {
    /// It costs more than a list may.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// Too many lists that cost much wait already.
    #[error("too many lists wait")]
    Crowded,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A group's members at one version of the group, in a stable order.
#[derive(Debug, Clone)]
pub struct Members {
    pub version: u64,
    pub ids: Arc<[ResourceId]>,
}
