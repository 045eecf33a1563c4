//! What is sent to a bridge, and what it answers.

use reqwest::StatusCode;
use serde_json::{Value, json};

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Reply {
    /// The version in the entity tag.
    pub fn version(&self) -> Option<u64> {
        let tag = self.headers.get("etag")?.to_str().ok()?;
        tag.trim_start_matches("W/").trim_matches('"').parse().ok()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:#?}");
        self
    }

    pub fn id(&self) -> String {
        self.body["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id in {self:?}"))
            .to_owned()
    }
}

/// The body of a user whose userName is its address.
pub fn user(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": address(name),
        "name": { "givenName": "Given", "familyName": "Family" },
        "emails": [{ "value": address(name), "type": "work", "primary": true }],
        "active": true,
    })
}

pub fn address(name: &str) -> String {
    format!("{name}@example.com")
}

pub fn group(name: &str, members: &[String]) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": name,
        "members": values(members),
    })
}

/// `[{"value": id}, ..]`
pub fn values(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}
