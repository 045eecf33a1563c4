//! What the application knows users and groups by, where a configuration says that. By
//! anything else what is stored of one is another's; so after such a change nothing is
//! sent until an import has told whose each key is (reliability: I-25).

use async_trait::async_trait;

use crate::plan::state::{ConnectionKey, GroupKey, UserKey};

use super::{Actor, StoreError};

/// A stored user or group, by what was known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyed {
    User {
        user: UserKey,
        account: String,
        upstream_id: Option<String>,
        /// JSON, as the identity provider wrote it.
        attributes: String,
        deleted: bool,
        /// There is, or may be, an account of theirs.
        there: bool,
    },
    Group {
        group: GroupKey,
        name: String,
        title: String,
        there: bool,
    },
}

/// What is known of it from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewKey {
    User(UserKey, Option<String>, Option<String>),
    /// Without a name nothing is sent of it.
    Group(GroupKey, Option<String>),
}

/// Whether this is the application that is known here by `before`. A version before
/// this one knew the beginning of it.
pub fn is_same_application(before: &str, now: &str) -> bool {
    let more = now.strip_prefix(before);
    more.is_some_and(|more| more.is_empty() || more.starts_with(", "))
}

#[async_trait]
pub trait Keys: Send + Sync {
    /// Which application the keys are of, and what it knew things by.
    async fn fingerprint(&self, c: ConnectionKey) -> Result<Option<String>, StoreError>;
    /// Everybody and everything that has a key.
    async fn keyed(&self, c: ConnectionKey) -> Result<Vec<Keyed>, StoreError>;
    /// All of these at once, and what they are of; what is known of accounts that were
    /// left behind is forgotten with their keys.
    async fn learn_keys(
        &self,
        c: ConnectionKey,
        fingerprint: String,
        keys: Vec<NewKey>,
        actor: Actor,
    ) -> Result<(), StoreError>;
}
