//! What the application shows although it was taken away here: given back by somebody
//! there, or never gone, whatever was said.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{ImportMark, Millis, StoreError};
use crate::{plan::state::ConnectionKey, scim::resource::ResourceId};

/// How many of each a reading has shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Returned {
    pub memberships: u64,
    pub users: u64,
    pub groups: u64,
}

impl Returned {
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// Where one reading has more than the other.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        Self {
            memberships: self.memberships.max(other.memberships),
            users: self.users.max(other.users),
            groups: self.groups.max(other.groups),
        }
    }
}

/// A group, or an account, whose Group or User was deleted here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// Of the one that was deleted, or of the one as which an import has found it
    /// since; without, where nothing of the deleted one is known any more.
    pub id: Option<String>,
    /// The application's name for a group, its id for an account.
    pub name: String,
    pub removed: Millis,
    /// An import shows it here by now.
    pub shown: bool,
}

/// What is there and may be what a creation has made of which no answer came: nothing is
/// done about it from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAlone {
    /// The Group that was asked for; it is deleted here, or never was.
    pub group: ResourceId,
    /// What that was to be called.
    pub title: String,
    pub why: String,
    pub at: Millis,
}

/// What of a reading was deleted here before the reading began.
#[async_trait]
pub trait Returning: Send + Sync {
    /// Of the application's names for groups; with `mirror` what is here follows what
    /// is there.
    async fn groups_again(
        &self,
        c: ConnectionKey,
        names: Vec<String>,
        since: ImportMark,
        mirror: bool,
    ) -> Result<Vec<Again>, StoreError>;
    /// Users and Groups as which an import has found what was deleted here, and of which
    /// nobody has asked for anything since, as long as they are known to be there.
    async fn shown_again(&self, c: ConnectionKey) -> Result<Returned, StoreError>;

    /// What is left alone, newest first, at most so many: until it is gone there, or
    /// somebody asks for it here.
    async fn left_alone(&self, c: ConnectionKey, most: usize)
    -> Result<Vec<LeftAlone>, StoreError>;
    /// The application's names for such as was seen before.
    async fn left_alone_before(
        &self,
        c: ConnectionKey,
        since: ImportMark,
    ) -> Result<Vec<String>, StoreError>;
    /// It is gone, if it was not seen since.
    async fn forget_left_alone(
        &self,
        c: ConnectionKey,
        name: String,
        since: ImportMark,
    ) -> Result<(), StoreError>;

    /// Of accounts that are in use, by their keys and ids.
    async fn users_again(
        &self,
        c: ConnectionKey,
        accounts: Vec<(String, Option<String>)>,
        since: ImportMark,
    ) -> Result<Vec<Again>, StoreError>;
}
