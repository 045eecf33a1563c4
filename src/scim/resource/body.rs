//! The body of a POST or PUT, read into a resource: names canonicalised,
//! values coerced, and what is not the client's to write left out.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{Attributes, GroupBody, ResourceType, require};
use crate::scim::{
    error::{Problem, ScimType},
    json::{self, Bounded, Limits, twice},
    members::Members,
    schema::{Attribute, Extension, GROUP, Kind, Mutability, Named, Schemas},
    value::{coerce, is_unset, one_primary, parsed_text},
};

/// Reads the body of a POST or PUT of a User: duplicate keys refused, names
/// canonicalised, values coerced (`"True"`), read-only attributes and
/// `password` dropped, unknown attributes dropped, required ones demanded.
pub fn user_from_json(
    body: &[u8],
    schemas: &Schemas,
    limits: &Limits,
) -> Result<Attributes, Problem> {
    match json::parse(body, limits)? {
        Value::Object(map) => attributes(map, schemas.kind(ResourceType::User)),
        _ => Err(no_object()),
    }
}

/// Reads the body of a POST or PUT of a Group; members are taken in one pass
/// without building generic JSON, because there may be ten thousand.
pub fn group_from_json(
    body: &[u8],
    schemas: &Schemas,
    limits: &Limits,
) -> Result<GroupBody, Problem> {
    let mut fault = None;
    let seed = Group {
        bounded: Bounded::new(limits),
        most: limits.members,
        fault: &mut fault,
    };
    let read = json::parse_with(seed, body);
    if let Some(problem) = fault {
        return Err(problem);
    }
    let (map, members) = read?;
    Ok(GroupBody {
        attributes: attributes(map, schemas.kind(ResourceType::Group))?,
        members,
    })
}

fn no_object() -> Problem {
    Problem::bad(
        ScimType::InvalidSyntax,
        "the body must be a JSON object that holds the resource",
    )
}

fn attributes(map: Map<String, Value>, kind: &Kind) -> Result<Attributes, Problem> {
    let mut kept = Map::new();
    take(map, kind, &mut kept, true)?;
    require(&kept, kind)?;
    Ok(Attributes(kept))
}

/// Takes what the schema knows. `nested` allows for one level of attributes
/// under the core schema's own URN.
fn take(
    map: Map<String, Value>,
    kind: &Kind,
    kept: &mut Map<String, Value>,
    nested: bool,
) -> Result<(), Problem> {
    for (name, value) in map {
        if is_unset(&value) {
            continue;
        }
        match kind.resolve(&name) {
            Named::Core => {
                if let (Value::Object(inner), true) = (value, nested) {
                    take(inner, kind, kept, false)?;
                }
            }
            Named::Extension(extension) => {
                for (name, value) in extension_object(extension, value)? {
                    if let Named::Attribute { attribute, sub, .. } = extension.resolve(&name) {
                        put(kept, Some(&extension.urn), attribute, sub, value)?;
                    }
                }
            }
            Named::Attribute {
                extension,
                attribute,
                sub,
            } => put(kept, extension, attribute, sub, value)?,
            Named::Unknown | Named::Malformed => {}
        }
    }
    Ok(())
}

/// The object under an extension's URN, also when it was sent as JSON text.
pub(in crate::scim) fn extension_object(
    extension: &Extension,
    value: Value,
) -> Result<Map<String, Value>, Problem> {
    let value = match value.as_str().and_then(parsed_text) {
        Some(parsed) => parsed,
        None => value,
    };
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Problem::bad(
            ScimType::InvalidValue,
            format!("{} must be an object", extension.urn),
        )),
    }
}

fn put(
    kept: &mut Map<String, Value>,
    extension: Option<&str>,
    attribute: &Attribute,
    sub: Option<&Attribute>,
    value: Value,
) -> Result<(), Problem> {
    let closed =
        |a: &Attribute| matches!(a.mutability, Mutability::ReadOnly | Mutability::WriteOnly);
    if closed(attribute) || sub.is_some_and(closed) {
        return Ok(());
    }
    let parent = sub.map(|_| attribute);
    let Some(value) = coerce(sub.unwrap_or(attribute), parent, value)? else {
        return Ok(());
    };
    let place = match extension {
        None => kept,
        Some(urn) => match kept.entry(urn).or_insert_with(|| Map::new().into()) {
            Value::Object(map) => map,
            _ => return Ok(()),
        },
    };
    let Some(sub) = sub else {
        one_primary(attribute, &value)?;
        return put_once(place, &attribute.name, value, &attribute.name);
    };
    let complex = place.entry(attribute.name.as_str());
    let empty = Value::Object(Map::new());
    let complex = match complex.or_insert_with(|| {
        if attribute.multi {
            vec![empty].into()
        } else {
            empty
        }
    }) {
        Value::Array(list) => list.first_mut().and_then(Value::as_object_mut),
        single => single.as_object_mut(),
    };
    match complex {
        Some(map) => put_once(map, &sub.name, value, &attribute.name),
        None => Ok(()),
    }
}

/// One attribute under two spellings must at least say the same thing.
fn put_once(
    place: &mut Map<String, Value>,
    name: &str,
    value: Value,
    attribute: &str,
) -> Result<(), Problem> {
    if let (Some(Value::Object(old)), Value::Object(new)) = (place.get_mut(name), &value) {
        let mut parts = new.iter();
        return parts.try_for_each(|(part, value)| put_once(old, part, value.clone(), attribute));
    }
    match place.get(name) {
        Some(old) if *old != value => Err(Problem::bad(
            ScimType::InvalidValue,
            format!("{attribute} is given twice with different values; send it once"),
        )),
        Some(_) => Ok(()),
        None => {
            place.insert(name.to_owned(), value);
            Ok(())
        }
    }
}

/// Reads a group: its members apart, everything else as generic JSON.
struct Group<'a> {
    bounded: Bounded,
    most: usize,
    fault: &'a mut Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for Group<'_> {
    type Value = (Map<String, Value>, Option<Vec<String>>);

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Group<'_> {
    type Value = (Map<String, Value>, Option<Vec<String>>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object that holds the group")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inner = self.bounded.deeper()?;
        let mut attributes = Map::new();
        let mut members = None;
        let mut named = false;
        while let Some(name) = map.next_key::<String>()? {
            if is_members(&name) {
                if std::mem::replace(&mut named, true) {
                    return Err(twice(&name));
                }
                members = map.next_value_seed(Members {
                    bounded: inner,
                    most: self.most,
                    fault: self.fault,
                })?;
            } else if attributes.contains_key(&name) {
                return Err(twice(&name));
            } else {
                attributes.insert(name, map.next_value_seed(inner)?);
            }
        }
        Ok((attributes, members))
    }
}

/// Whether a key of a group's body means its members.
pub(in crate::scim) fn is_members(name: &str) -> bool {
    let name = match name.get(..GROUP.len()) {
        Some(urn) if urn.eq_ignore_ascii_case(GROUP) => {
            name.get(GROUP.len() + 1..).unwrap_or_default()
        }
        _ => name,
    };
    name.eq_ignore_ascii_case("members")
}
