//! A user's `groups` (RFC 7643 section 4.1.2): computed from membership when
//! they are read, never stored with the user and never a way to write it.
//!
//! Membership is direct: a group as a member is refused, so there is no other.
//! A change of it does not change the user's version, because that would cost
//! as much as the group has members. So that a client's copy is not taken for
//! the present one all the same, the entity tag of a user who is in groups
//! carries a [`fingerprint`] of them behind the version.

use std::{borrow::Cow, fmt::Write as _};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::resource::ResourceId;

/// A group that a user is a direct member of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectGroup {
    pub id: ResourceId,
    /// The group's displayName.
    pub display: String,
}

impl DirectGroup {
    /// The element of `groups`; `$ref` only when there is a base URL.
    pub fn to_json(&self, base: Option<&str>) -> Value {
        let mut element = Map::new();
        element.insert("value".into(), self.id.to_string().into());
        if let Some(base) = base {
            let address = format!("{base}/Groups/{}", self.id);
            element.insert("$ref".into(), address.into());
        }
        element.insert("display".into(), self.display.as_str().into());
        element.insert("type".into(), "direct".into());
        element.into()
    }
}

/// Puts `groups` before the closing brace of a resource's JSON text; nothing
/// for a user who is in none (RFC 7643 section 2.5).
pub fn splice(resource: &mut String, groups: &[DirectGroup], base: &str) {
    if groups.is_empty() || resource.pop().is_none() {
        return;
    }
    let base = escaped(base);
    resource.reserve(groups.len() * (base.len() + 192));
    for (place, group) in groups.iter().enumerate() {
        let before = if place == 0 { ",\"groups\":[" } else { "," };
        let (id, display) = (group.id, escaped(&group.display));
        let _ = write!(
            resource,
            "{before}{{\"value\":\"{id}\",\"$ref\":\"{base}/Groups/{id}\",\"display\":\"{display}\",\"type\":\"direct\"}}"
        );
    }
    resource.push_str("]}");
}

/// What stands between the quotes of a JSON string.
fn escaped(text: &str) -> Cow<'_, str> {
    let stands_for_itself = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(stands_for_itself) {
        return text.into();
    }
    let mut quoted = Value::from(text).to_string();
    quoted.pop();
    quoted.split_off(1).into()
}

/// Tells the groups of a user from any other groups, names and order included;
/// `None` for a user who is in none.
pub fn fingerprint(groups: &[DirectGroup]) -> Option<u64> {
    if groups.is_empty() {
        return None;
    }
    let mut digest = Sha256::new();
    for group in groups {
        digest.update(group.id.as_bytes());
        digest.update((group.display.len() as u64).to_be_bytes());
        digest.update(&group.display);
    }
    digest
        .finalize()
        .first_chunk()
        .copied()
        .map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn group(last: u8, display: &str) -> DirectGroup {
        DirectGroup {
            id: ResourceId::from_bytes([last; 16]),
            display: display.to_owned(),
        }
    }

    #[test]
    fn groups_stand_behind_everything_else_or_not_at_all() {
        let mut text = "{\"id\":\"u\"}".to_owned();
        splice(&mut text, &[], "http://h");
        assert_eq!(text, "{\"id\":\"u\"}");
        let both = [group(1, "A \"quoted\" name"), group(2, "B")];
        splice(&mut text, &both, "http://h");
        let id = both[0].id.to_string();
        let user: Value = serde_json::from_str(&text).unwrap();
        let first = json!({
            "value": id,
            "$ref": format!("http://h/Groups/{id}"),
            "display": "A \"quoted\" name",
            "type": "direct",
        });
        assert_eq!(user["groups"][0], first);
        assert_eq!(user["groups"].as_array().unwrap().len(), 2);
        assert_eq!(user["id"], "u");
    }

    #[test]
    fn what_is_written_is_the_element_whatever_it_is_called() {
        for name in [
            "",
            "\"",
            "\\\\",
            "a\u{0}\n\u{1f}\u{7f}\u{2028}é😀",
            "\",\"x\":\"",
            "]}",
        ] {
            for base in ["http://h", "http://\"h\\"] {
                let mut text = "{\"id\":\"u\"}".to_owned();
                let groups = [group(1, name), group(2, name)];
                splice(&mut text, &groups, base);
                let user: Value = serde_json::from_str(&text).unwrap();
                let elements = groups.map(|group| group.to_json(Some(base)));
                assert_eq!(user["groups"], json!(elements), "{name:?} {base}");
            }
        }
    }

    #[test]
    fn a_fingerprint_tells_groups_names_and_order_apart() {
        let (a, b) = (group(1, "A"), group(2, "B"));
        let all = [
            fingerprint(&[]),
            fingerprint(std::slice::from_ref(&a)),
            fingerprint(&[group(1, "A2")]),
            fingerprint(&[a.clone(), b.clone()]),
            fingerprint(&[b, a.clone()]),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one), "{place}");
        }
        assert_eq!(fingerprint(&[a]), all[1]);
    }
}
