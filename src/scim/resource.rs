//! Resources as the identity provider means them: identifiers, the attribute
//! map, and how a request body becomes one (RFC 7643 sections 3 and 4).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    error::{Problem, ScimType},
    schema::{Attribute, Kind, Mutability, Schemas},
};

mod body;

pub(super) use body::{extension_object, is_members};
pub use body::{group_from_json, user_from_json};

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

    /// Reads the spelling that is shown and no other, because `id` is caseExact
    /// (RFC 7643 section 3.1). `None` for anything else: an unreadable id is an
    /// unknown id.
    pub fn exact(text: &str) -> Option<Self> {
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        Self::parse(text).filter(|_| !upper)
    }

    /// Reads an id in any letter case: whose membership is changed is certain,
    /// and a removal that is answered with success must have happened.
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
    /// not name members at all (a PUT then keeps them, RFC 7644 section 3.5.1)
    /// or says `null`, which is the same (RFC 7643 section 2.5): a client that
    /// never loaded the list writes it so. Only `[]` removes every member.
    pub members: Option<Vec<String>>,
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
        let none = Map::new();
        let old = match before.0.get(&extension.urn) {
            Some(Value::Object(old)) => old,
            _ if extension.attributes.iter().any(is_kept) => &none,
            _ => continue,
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

fn is_kept(attribute: &Attribute) -> bool {
    attribute.mutability == Mutability::Kept
}

fn keep(
    attributes: &[Attribute],
    before: &Map<String, Value>,
    after: &mut Map<String, Value>,
) -> Result<(), Problem> {
    for attribute in attributes {
        let Some(old) = before.get(&attribute.name) else {
            if is_kept(attribute) && after.contains_key(&attribute.name) {
                return Err(immutable(attribute));
            }
            continue;
        };
        match (attribute.mutability, old) {
            (Mutability::ReadOnly, _) => {
                after.insert(attribute.name.clone(), old.clone());
            }
            (Mutability::Kept, _) => match after.get(&attribute.name) {
                None => {
                    after.insert(attribute.name.clone(), old.clone());
                }
                Some(new) if new == old => {}
                Some(_) => return Err(immutable(attribute)),
            },
            (Mutability::Immutable, _) if after.get(&attribute.name) != Some(old) => {
                return Err(immutable(attribute));
            }
            (Mutability::ReadWrite, Value::Object(old)) if attribute.has_fixed_parts() => {
                keep_parts(attribute, old, after)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The same inside one complex value. The values of a list have no identity
/// that would outlast a PUT, so there is nothing to compare them with.
fn keep_parts(
    attribute: &Attribute,
    before: &Map<String, Value>,
    after: &mut Map<String, Value>,
) -> Result<(), Problem> {
    let mut new = match after.get_mut(&attribute.name) {
        Some(Value::Object(new)) => std::mem::take(new),
        _ => Map::new(),
    };
    keep(&attribute.sub, before, &mut new)?;
    if new.is_empty() {
        after.shift_remove(&attribute.name);
    } else {
        after.insert(attribute.name.clone(), new.into());
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
        demand(defined, present, "")?;
        let demanding = |a: &&Attribute| a.sub.iter().any(|sub| sub.required);
        for attribute in defined.iter().filter(demanding) {
            let values = match present.get(&attribute.name) {
                Some(Value::Array(list)) => list.as_slice(),
                Some(single) => std::slice::from_ref(single),
                None => &[],
            };
            for part in values.iter().filter_map(Value::as_object) {
                demand(&attribute.sub, part, &format!("{}.", attribute.name))?;
            }
        }
    }
    Ok(())
}

fn demand(
    defined: &[Attribute],
    present: &Map<String, Value>,
    parent: &str,
) -> Result<(), Problem> {
    for attribute in defined.iter().filter(|a| a.required) {
        let missing = match present.get(&attribute.name) {
            None => true,
            Some(Value::String(text)) => text.trim().is_empty(),
            Some(_) => false,
        };
        let closed = [Mutability::ReadOnly, Mutability::Kept].contains(&attribute.mutability);
        if missing && !closed {
            let name = format!("{parent}{}", attribute.name);
            return Err(Problem::bad(
                ScimType::InvalidValue,
                format!("{name} is required and must not be empty; send {name}"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
