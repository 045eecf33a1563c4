//! Some attributes of a resource: what a filter or an order looks at, so that
//! going through all resources builds no more of each. The rest of the stored
//! text is skipped where it stands.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{date_time, document, meta};
use crate::scim::resource::{ResourceId, ResourceType};

/// What [`document`] has under these names, without a base URL.
pub fn excerpt(
    of: ResourceType,
    id: ResourceId,
    created: i64,
    modified: i64,
    version: u64,
    attributes: &str,
    names: &[&str],
) -> Map<String, Value> {
    let is_named = |name: &str| names.contains(&name);
    // They are told by the names of all the others.
    if is_named("schemas") {
        return document(of, id, created, modified, version, attributes, None);
    }
    let mut part = Map::new();
    if is_named("id") {
        part.insert("id".into(), id.to_string().into());
    }
    part.extend(kept(attributes, names).unwrap_or_default());
    if is_named("meta") {
        let (created, modified) = (date_time(created), date_time(modified));
        part.insert("meta".into(), meta(of, created, modified, version, None));
    }
    part
}

fn kept(attributes: &str, names: &[&str]) -> serde_json::Result<Map<String, Value>> {
    let mut text = serde_json::Deserializer::from_str(attributes);
    let kept = Kept(names).deserialize(&mut text)?;
    text.end().map(|()| kept)
}

struct Kept<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Self::Value, D::Error> {
        text.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept = Map::new();
        while let Some(named) = map.next_key_seed(Named(self.0))? {
            match named {
                Some(name) => {
                    kept.insert(name.to_owned(), map.next_value()?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(kept)
    }
}

/// A key, if it is one of the names.
struct Named<'a>(&'a [&'a str]);

impl<'de, 'a> DeserializeSeed<'de> for Named<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Named<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|name| *name == key))
    }
}
