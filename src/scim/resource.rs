//! Resources as the identity provider means them: identifiers, the attribute
//! map, and how a request body becomes one (RFC 7643 sections 3 and 4).

use std::fmt;

use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    error::{Problem, ScimType},
    json::{self, Limits, Strict, twice},
    members::Members,
    schema::{Attribute, Extension, GROUP, Kind, Mutability, Named, Schemas},
    value::{coerce, is_unset, one_primary, parsed_text},
};

/// The two resource types a bridge serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceType {
    User,
    Group,
}

impl ResourceType {
    /// `User` or `Group`, as in `meta.resourceType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// `Users` or `Groups`, as in the endpoint.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::User => "Users",
            Self::Group => "Groups",
        }
    }
}

/// The `id` of a resource: minted here (UUID version 7), never reused, never
/// an application's key and never an `externalId`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceId(Uuid);

impl ResourceId {
    /// Wraps a freshly made UUID; minting needs a clock and randomness, so it
    /// happens in `bridge`.
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Reads the canonical, hyphenated spelling. `None` for anything else: an
    /// unreadable id is an unknown id.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 36)
            .then(|| Uuid::try_parse(text).ok().map(Self))
            .flatten()
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A resource's attributes in canonical spelling and type: what the schema
/// knows, without `id`, `meta`, `schemas`, `password`, `groups` and without a
/// group's `members`. Extensions are nested objects under their URN. Unset
/// attributes (`null`, `""` where it clears, `[]`, `{}`) are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(pub Map<String, Value>);

impl Attributes {
    /// A top-level string attribute by canonical name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// `active`, which is true unless it was said to be false.
    pub fn active(&self) -> bool {
        self.0
            .get("active")
            .and_then(Value::as_bool)
            .unwrap_or(true)
    }

    /// A sub-attribute of a complex attribute or of an extension.
    pub fn nested(&self, parent: &str, name: &str) -> Option<&str> {
        self.0.get(parent)?.get(name)?.as_str()
    }

    /// All `emails[].value`, in order.
    pub fn emails(&self) -> Vec<&str> {
        let list = self.0.get("emails").and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|e| e.get("value")?.as_str())
            .collect()
    }
}

/// The body of a POST or PUT of a Group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupBody {
    pub attributes: Attributes,
    /// `members[].value` in order, duplicates kept; `None` when the body does
    /// not name members at all (a PUT then keeps them, RFC 7644 section 3.5.1).
    pub members: Option<Vec<String>>,
}

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
        strict: Strict::new(limits),
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

/// What a PUT makes of a stored resource: the body's attributes, with the
/// read-only ones kept from before (they were never the client's to write).
/// Another value for a set immutable attribute is 400 `mutability`.
pub fn replaced(
    before: &Attributes,
    body: Attributes,
    of: ResourceType,
    schemas: &Schemas,
) -> Result<Attributes, Problem> {
    let kind = schemas.kind(of);
    let mut after = body;
    keep(&kind.attributes, &before.0, &mut after.0)?;
    for extension in &kind.extensions {
        let Some(Value::Object(old)) = before.0.get(&extension.urn) else {
            continue;
        };
        let mut new = match after.0.shift_remove(&extension.urn) {
            Some(Value::Object(new)) => new,
            _ => Map::new(),
        };
        keep(&extension.attributes, old, &mut new)?;
        if !new.is_empty() {
            after.0.insert(extension.urn.clone(), new.into());
        }
    }
    Ok(after)
}

fn keep(
    attributes: &[Attribute],
    before: &Map<String, Value>,
    after: &mut Map<String, Value>,
) -> Result<(), Problem> {
    for attribute in attributes {
        let Some(old) = before.get(&attribute.name) else {
            continue;
        };
        match attribute.mutability {
            Mutability::ReadOnly => {
                after.insert(attribute.name.clone(), old.clone());
            }
            Mutability::Immutable if after.get(&attribute.name) != Some(old) => {
                return Err(immutable(attribute));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The refusal of a change that the schema forbids, with its words.
pub(super) fn immutable(attribute: &Attribute) -> Problem {
    Problem::bad(
        ScimType::Mutability,
        format!(
            "{} cannot be changed here: {}",
            attribute.name, attribute.description
        ),
    )
}

/// Refuses a resource that lacks what its schema requires.
pub(super) fn require(attributes: &Map<String, Value>, kind: &Kind) -> Result<(), Problem> {
    let extensions = kind.extensions.iter().filter_map(|e| {
        let present = attributes.get(&e.urn)?.as_object()?;
        Some((e.attributes.as_slice(), present))
    });
    for (defined, present) in
        std::iter::once((kind.attributes.as_slice(), attributes)).chain(extensions)
    {
        for attribute in defined.iter().filter(|a| a.required) {
            let missing = match present.get(&attribute.name) {
                None => true,
                Some(Value::String(text)) => text.trim().is_empty(),
                Some(_) => false,
            };
            if missing && attribute.mutability != Mutability::ReadOnly {
                let name = &attribute.name;
                return Err(Problem::bad(
                    ScimType::InvalidValue,
                    format!("{name} is required and must not be empty; send {name}"),
                ));
            }
        }
    }
    Ok(())
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
pub(super) fn extension_object(
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
    let complex = match complex.or_insert_with(|| match attribute.multi {
        true => vec![Value::Object(Map::new())].into(),
        false => Map::new().into(),
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
    strict: Strict,
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
        let inner = self.strict.deeper()?;
        let mut attributes = Map::new();
        let mut members = None;
        while let Some(name) = map.next_key::<String>()? {
            if is_members(&name) {
                if members.is_some() {
                    return Err(twice(&name));
                }
                members = Some(map.next_value_seed(Members {
                    strict: inner,
                    most: self.most,
                    fault: self.fault,
                })?);
            } else if attributes.contains_key(&name) {
                return Err(twice(&name));
            } else {
                attributes.insert(name, map.next_value_seed(inner)?);
            }
        }
        Ok((attributes, members))
    }
}

fn is_members(name: &str) -> bool {
    let name = match name.get(..GROUP.len()) {
        Some(urn) if urn.eq_ignore_ascii_case(GROUP) => {
            name.get(GROUP.len() + 1..).unwrap_or_default()
        }
        _ => name,
    };
    name.eq_ignore_ascii_case("members")
}

#[cfg(test)]
mod tests;
