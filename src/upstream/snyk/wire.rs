//! The shapes of Snyk's answers and requests (JSON:API). More keys than these
//! may come and are left alone; what is missing or of another type makes the
//! whole answer unclear.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::upstream::UpstreamError;

#[derive(Debug, Deserialize)]
pub(super) struct Document<T> {
    pub(super) data: T,
    #[serde(default)]
    pub(super) links: Links,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Links {
    #[serde(default)]
    pub(super) next: Option<Link>,
}

/// Text, or an object around it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Link {
    Text(String),
    Object { href: String },
}

impl Link {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Object { href: text } => text,
        }
    }
}

/// Something with an id and attributes.
#[derive(Debug, Deserialize)]
pub(super) struct Item<A> {
    pub(super) id: String,
    pub(super) attributes: A,
}

/// A membership that was made.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    pub(super) id: String,
    #[serde(default)]
    relationships: Ends,
}

/// Whose it is, and with which role, where that is told.
#[derive(Debug, Default, Deserialize)]
struct Ends {
    #[serde(default)]
    role: Option<One<Reference>>,
    #[serde(default)]
    user: Option<One<Reference>>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    id: String,
}

impl Made {
    /// Whether it is not of another user or role.
    pub(super) fn is_of(&self, user: &str, role: &str) -> bool {
        let is = |end: &Option<One<Reference>>, id: &str| {
            end.as_ref().is_none_or(|end| end.data.id == id)
        };
        is(&self.relationships.user, user) && is(&self.relationships.role, role)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Person {
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) username: Option<String>,
    #[serde(default)]
    pub(super) email: Option<String>,
    /// Of users of an SSO connection.
    #[serde(default)]
    pub(super) active: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Membership {
    pub(super) id: String,
    #[serde(default)]
    meta: Value,
    pub(super) relationships: Relationships,
}

impl Membership {
    /// Where it is asked for and told.
    pub(super) fn count(&self) -> Option<i64> {
        self.meta.get("group_membership_count")?.as_i64()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Relationships {
    pub(super) role: One<Item<Named>>,
    pub(super) user: One<Item<Person>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct One<T> {
    pub(super) data: T,
}

/// Reads an answer whole, or not at all.
pub(super) fn read<T: DeserializeOwned>(answer: Value, what: &str) -> Result<T, UpstreamError> {
    serde_json::from_value(answer)
        .map_err(|error| unclear(format!("the answer is no {what}: {error}")))
}

pub(super) fn unclear(reason: impl Into<String>) -> UpstreamError {
    UpstreamError::Unknown {
        reason: reason.into(),
    }
}

pub(super) fn creation(group: &str, user: &str, role: &str) -> Value {
    let one = |kind: &str, id: &str| json!({ "data": { "type": kind, "id": id } });
    json!({ "data": {
        "type": "group_membership",
        "relationships": {
            "group": one("group", group),
            "user": one("user", user),
            "role": one("group_role", role),
        },
    } })
}

pub(super) fn role_update(membership: &str, role: &str) -> Value {
    json!({ "data": {
        "type": "group_membership",
        "id": membership,
        "relationships": { "role": { "data": { "type": "group_role", "id": role } } },
    } })
}
