//! From what is stored to what is served: a resource's JSON text with
//! `schemas`, `id` and `meta` around its attributes (RFC 7643 section 3.1).
//!
//! [`render`] splices text and parses nothing, because it runs for every
//! plain read. [`document`] builds the same resource as a map, for
//! projections, and [`excerpt`] a part of it, for filters. None adds a group's `members` or a user's `groups`:
//! they are rows of their own and are added by whoever serves them.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    resource::{ResourceId, ResourceType},
    schema::{GROUP, USER},
};

mod excerpt;

pub use excerpt::excerpt;

/// What an entity tag says (RFC 7644 section 3.14): the version, and which
/// groups a user was shown with, of which the version knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    pub version: u64,
    /// See [`super::groups::fingerprint`].
    pub groups: Option<u64>,
}

impl From<u64> for Tag {
    fn from(version: u64) -> Self {
        Self {
            version,
            groups: None,
        }
    }
}

/// What stands between the quotes.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.groups {
            None => write!(f, "{}", self.version),
            Some(groups) => write!(f, "{}-{groups:016x}", self.version),
        }
    }
}

/// A resource's full JSON text, without `members` and `groups`. `attributes` is stored
/// text: one compact JSON object written from [`super::resource::Attributes`].
/// `base` is the connection's base URL without a slash at the end. Times are
/// milliseconds since 1970, UTC. The last byte is the closing brace, so more
/// attributes can be put before it.
pub fn render(
    of: ResourceType,
    id: ResourceId,
    created: i64,
    modified: i64,
    tag: impl Into<Tag>,
    attributes: &str,
    base: &str,
) -> String {
    let tag = tag.into();
    let mut out = String::with_capacity(attributes.len() + base.len() + 512);
    out.push_str("{\"schemas\":[\"");
    out.push_str(core(of));
    out.push('"');
    for urn in extensions_in(attributes) {
        let _ = write!(out, ",\"{urn}\"");
    }
    let _ = write!(out, "],\"id\":\"{id}\"");
    let inner = attributes.trim();
    let inner = inner.strip_prefix('{').unwrap_or(inner);
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    if !inner.is_empty() {
        out.push(',');
        out.push_str(inner);
    }
    let _ = write!(
        out,
        ",\"meta\":{{\"resourceType\":\"{}\",\"created\":\"{}\",\"lastModified\":\"{}\",\"location\":\"",
        of.name(),
        date_time(created),
        date_time(modified),
    );
    for c in base.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    let _ = write!(
        out,
        "/{}/{id}\",\"version\":\"W/\\\"{tag}\\\"\"}}}}",
        of.endpoint()
    );
    out
}

/// The same resource as a map, without `members` and `groups`; `meta.location` only when
/// there is a base URL. Text that is no JSON object counts as no attributes.
pub fn document(
    of: ResourceType,
    id: ResourceId,
    created: i64,
    modified: i64,
    tag: impl Into<Tag>,
    attributes: &str,
    base: Option<&str>,
) -> Map<String, Value> {
    let attributes: Map<String, Value> = serde_json::from_str(attributes).unwrap_or_default();
    let mut schemas = vec![Value::from(core(of))];
    let urns = attributes.keys().filter(|key| key.contains(':'));
    schemas.extend(urns.map(|urn| Value::from(urn.as_str())));
    let location = base.map(|base| format!("{base}/{}/{id}", of.endpoint()));
    let (created, modified) = (date_time(created), date_time(modified));
    let mut resource = Map::new();
    resource.insert("schemas".into(), schemas.into());
    resource.insert("id".into(), id.to_string().into());
    resource.extend(attributes);
    let meta = meta(of, created, modified, tag, location);
    resource.insert("meta".into(), meta);
    resource
}

fn meta(
    of: ResourceType,
    created: String,
    modified: String,
    tag: impl Into<Tag>,
    location: Option<String>,
) -> Value {
    let mut meta = Map::new();
    meta.insert("resourceType".into(), of.name().into());
    meta.insert("created".into(), created.into());
    meta.insert("lastModified".into(), modified.into());
    if let Some(location) = location {
        meta.insert("location".into(), location.into());
    }
    meta.insert("version".into(), etag(tag).into());
    meta.into()
}

/// The weak entity tag (RFC 7644 section 3.14).
pub fn etag(tag: impl Into<Tag>) -> String {
    format!("W/\"{}\"", tag.into())
}

/// RFC 3339, UTC, with milliseconds. A time that no calendar has is shown as
/// the nearest end of it.
pub fn date_time(millis: i64) -> String {
    let end = if millis < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    format!("{:.3}", Timestamp::from_millisecond(millis).unwrap_or(end))
}

fn core(of: ResourceType) -> &'static str {
    match of {
        ResourceType::User => USER,
        ResourceType::Group => GROUP,
    }
}

/// The extension URNs among the keys of compact stored text. A quote inside a
/// string is always escaped, so `"urn:` after `{` or `,` begins a string; and
/// no sub-attribute's name begins so, so one followed by `:` is an extension.
fn extensions_in(attributes: &str) -> impl Iterator<Item = &str> {
    attributes.match_indices("\"urn:").filter_map(|(at, _)| {
        let before = attributes.as_bytes().get(at.checked_sub(1)?)?;
        let text = attributes.get(at + 1..)?;
        let end = text.find('"')?;
        let is_key = matches!(before, b'{' | b',') && text.get(end + 1..)?.starts_with(':');
        is_key.then(|| text.get(..end)).flatten()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::scim::schema::ENTERPRISE;
    use serde_json::json;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn both(attributes: &str) -> (Value, Value) {
        let id = ResourceId::parse(ID).unwrap();
        let base = "http://127.0.0.1:8080/acme/scim/v2";
        let user = ResourceType::User;
        let text = render(user, id, 1_000, 1_767_225_600_123, 7, attributes, base);
        let map = document(
            user,
            id,
            1_000,
            1_767_225_600_123,
            7,
            attributes,
            Some(base),
        );
        (serde_json::from_str(&text).unwrap(), Value::Object(map))
    }

    #[test]
    fn spliced_text_and_document_are_the_same_resource() {
        let plain = json!({"userName": "a", "title": "x,\"urn:y\":{", "nickName": "urn:z"});
        let extended = json!({"userName": "a", ENTERPRISE: {"department": "D"}});
        for attributes in [json!({}), plain, extended] {
            let (text, map) = both(&attributes.to_string());
            assert_eq!(text, map);
        }
    }

    #[test]
    fn an_excerpt_is_what_the_document_has_under_its_names() {
        let user = json!({"userName": "a", "emails": [{"value": "x\\"}], "name": {"givenName": "userName"},
            ENTERPRISE: {"department": "D"}});
        let group = json!({"displayName": "G"});
        let cases = [
            (ResourceType::User, user.to_string()),
            (ResourceType::Group, group.to_string()),
            (ResourceType::User, "{}".into()),
            (ResourceType::User, "{\"userName\":\"a\"} x".into()),
            (ResourceType::User, "[]".into()),
        ];
        let id = ResourceId::parse(ID).unwrap();
        for (of, text) in cases {
            let whole = document(of, id, 1, 2, 3, &text, None);
            for names in [
                &["schemas"][..],
                &["id", "userName", "userName"],
                &["meta", "emails"],
                &[ENTERPRISE, "name", "displayName"],
                &["noSuch", "value"],
                &[],
            ] {
                let part = excerpt(of, id, 1, 2, 3, &text, names);
                for name in names {
                    assert_eq!(part.get(*name), whole.get(*name), "{name} of {text}");
                }
                let more = |name: &String| !names.contains(&name.as_str());
                assert!(
                    names.contains(&"schemas") || !part.keys().any(more),
                    "{part:?}"
                );
            }
        }
    }

    #[test]
    fn schemas_name_the_extensions_that_are_there() {
        let attributes = json!({"userName": "a", ENTERPRISE: {"department": "D"}});
        let (text, _) = both(&attributes.to_string());
        assert_eq!(text["schemas"], json!([USER, ENTERPRISE]));
        assert_eq!(text["meta"]["created"], "1970-01-01T00:00:01.000Z");
        assert_eq!(text["meta"]["lastModified"], "2026-01-01T00:00:00.123Z");
        assert_eq!(text["meta"]["version"], "W/\"7\"");
        let location = format!("http://127.0.0.1:8080/acme/scim/v2/Users/{ID}");
        assert_eq!(text["meta"]["location"], location);
    }
}
