//! The bodies that are sent, as identity providers write them, and whole
//! requests around them.

use serde_json::{Value, json};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

pub(super) fn user_name(number: usize) -> String {
    format!("user{number:06}@example.com")
}

/// A user that is served as about 1 KB.
pub(super) fn user(number: usize) -> Value {
    let name = user_name(number);
    json!({
        "schemas": [USER],
        "externalId": format!("00u{number:017}"),
        "userName": name,
        "name": { "givenName": "Given", "familyName": format!("Family{number}"), "formatted": format!("Given Family{number}") },
        "displayName": format!("Given Family{number}"),
        "emails": [
            { "value": name, "type": "work", "primary": true },
            { "value": format!("given.family{number}@example.org"), "type": "home" },
        ],
        "phoneNumbers": [
            { "value": format!("+1-555-{number:07}"), "type": "work" },
            { "value": format!("+1-556-{number:07}"), "type": "mobile" },
        ],
        "preferredLanguage": "en-US",
        "locale": "en-US",
        "timezone": "America/Los_Angeles",
        "profileUrl": format!("https://people.example.com/profiles/{number}"),
        "active": true,
    })
}

/// What the floor answers: such a user with what a server adds to it.
pub(super) fn user_as_served() -> String {
    let mut served = user(1);
    let id = "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071";
    served["id"] = id.into();
    served["meta"] = json!({
        "resourceType": "User",
        "created": "2026-01-01T00:00:00.000Z",
        "lastModified": "2026-01-01T00:00:00.000Z",
        "location": format!("http://127.0.0.1:8080/acme/scim/v2/Users/{id}"),
        "version": "W/\"1\"",
    });
    served.to_string()
}

pub(super) fn group(name: &str, members: &[String]) -> String {
    json!({ "schemas": [GROUP], "displayName": name, "members": values(members) }).to_string()
}

pub(super) fn add(members: &[String]) -> String {
    operations(&json!([{ "op": "add", "path": "members", "value": values(members) }]))
}

pub(super) fn remove(members: &[String]) -> String {
    operations(&json!([{ "op": "remove", "path": "members", "value": values(members) }]))
}

fn operations(operations: &Value) -> String {
    json!({ "schemas": [PATCH], "Operations": operations }).to_string()
}

fn values(members: &[String]) -> Value {
    members.iter().map(|id| json!({ "value": id })).collect()
}

/// How requests reach one server.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) host: String,
    /// Before every path.
    pub(super) base: String,
    pub(super) token: String,
}

impl Caller {
    /// Appends a whole request.
    pub(super) fn write(&self, out: &mut Vec<u8>, method: &str, path: &str, body: &str) {
        let Self { host, base, token } = self;
        let head = format!(
            "{method} {base}{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\naccept: application/scim+json\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        if body.is_empty() {
            out.extend_from_slice(b"\r\n");
        } else {
            let rest = format!(
                "content-type: application/scim+json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            out.extend_from_slice(rest.as_bytes());
            out.extend_from_slice(body.as_bytes());
        }
    }
}
