//! The body of a POST or PUT, read into a resource: names canonicalised,
//! values coerced, and what is not the client's to write left out.
//!
//! What no schema defines is left out and counted, or refused: see
//! [`Reading`]. Read strictly, `schemas` must name what the body uses
//! (RFC 7643 section 3), and an attribute has one spelling: its name, or its
//! name behind the URN (RFC 7644 section 3.10).

use serde_json::{Map, Value};

use super::{Attributes, GroupBody, ResourceType, require};
use crate::scim::{
    dropped::{Reading, Taken},
    error::{Problem, ScimType},
    json::{self, Bounded, Limits},
    schema::{Attribute, Extension, Kind, Mutability, Named, Schemas},
    value::{coerce, is_unset, one_primary, parsed_text},
};

mod group;
mod named;

pub(in crate::scim) use group::is_members;

/// Reads the body of a POST or PUT of a User: duplicate keys refused, names
/// canonicalised, values coerced (`"True"`), read-only attributes dropped,
/// `password` dropped and counted, required ones demanded.
pub fn user_from_json(
    body: &[u8],
    schemas: &Schemas,
    limits: &Limits,
) -> Result<Taken<Attributes>, Problem> {
    let Value::Object(map) = json::parse(body, limits)? else {
        return Err(no_object());
    };
    let mut reading = Reading::new(limits);
    let user = attributes(map, schemas.kind(ResourceType::User), &mut reading)?;
    Ok(reading.taken(user))
}

/// Reads the body of a POST or PUT of a Group; members are taken in one pass
/// without building generic JSON, because there may be ten thousand.
pub fn group_from_json(
    body: &[u8],
    schemas: &Schemas,
    limits: &Limits,
) -> Result<Taken<GroupBody>, Problem> {
    let mut reading = Reading::new(limits);
    let mut fault = None;
    let seed = group::Group {
        bounded: Bounded::new(limits),
        most: limits.members,
        reading: &mut reading,
        fault: &mut fault,
    };
    let read = json::parse_with(seed, body);
    if let Some(problem) = fault {
        return Err(problem);
    }
    let (map, members) = read?;
    let group = GroupBody {
        attributes: attributes(map, schemas.kind(ResourceType::Group), &mut reading)?,
        members,
    };
    Ok(reading.taken(group))
}

fn no_object() -> Problem {
    Problem::bad(
        ScimType::InvalidSyntax,
        "the body must be a JSON object that holds the resource",
    )
}

fn attributes(
    map: Map<String, Value>,
    kind: &Kind,
    reading: &mut Reading,
) -> Result<Attributes, Problem> {
    let named = if reading.strict {
        named::extensions(&map, kind)?
    } else {
        Vec::new()
    };
    let mut body = Body {
        kept: Map::new(),
        kind,
        reading,
    };
    body.take(map, true)?;
    let kept = body.kept;
    if reading.strict {
        named::demand(&kept, &named)?;
    }
    require(&kept, kind)?;
    Ok(Attributes(kept))
}

/// A resource while it is read.
struct Body<'a, 'r> {
    kept: Map<String, Value>,
    kind: &'a Kind,
    reading: &'r mut Reading,
}

impl Body<'_, '_> {
    /// Takes what the schema knows. `nested` allows for one level of
    /// attributes under the core schema's own URN, which only lenient reading
    /// knows.
    fn take(&mut self, map: Map<String, Value>, nested: bool) -> Result<(), Problem> {
        let strict = self.reading.strict;
        for (name, value) in map {
            if !strict && is_unset(&value) {
                continue;
            }
            match self.kind.resolve_as(&name, strict) {
                Named::Core if nested && !strict && value.is_object() => {
                    if let Value::Object(inner) = value {
                        self.take(inner, false)?;
                    }
                }
                Named::Extension(extension) => self.extension(extension, value)?,
                Named::Attribute {
                    extension,
                    attribute,
                    sub,
                } if sub.is_none() || !strict => self.put(extension, attribute, sub, value)?,
                _ => self.reading.unknown(&name)?,
            }
        }
        Ok(())
    }

    fn extension(&mut self, extension: &Extension, value: Value) -> Result<(), Problem> {
        let strict = self.reading.strict;
        if value.is_null() {
            return Ok(());
        }
        for (name, value) in extension_object(extension, value, strict)? {
            match extension.resolve(&name) {
                Named::Attribute { attribute, sub, .. } if sub.is_none() || !strict => {
                    self.put(Some(&extension.urn), attribute, sub, value)?;
                }
                _ if !strict && is_unset(&value) => {}
                _ => self.reading.unknown(&format!("{}:{name}", extension.urn))?,
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        extension: Option<&str>,
        attribute: &Attribute,
        sub: Option<&Attribute>,
        value: Value,
    ) -> Result<(), Problem> {
        if attribute.mutability == Mutability::WriteOnly {
            return self.reading.unknown(&attribute.name);
        }
        let closed = |a: &Attribute| a.mutability == Mutability::ReadOnly;
        if closed(attribute) || sub.is_some_and(closed) {
            return Ok(());
        }
        let parent = sub.map(|_| attribute);
        let Some(value) = coerce(sub.unwrap_or(attribute), parent, value, self.reading)? else {
            return Ok(());
        };
        let place = match extension {
            None => &mut self.kept,
            Some(urn) => match self.kept.entry(urn).or_insert_with(|| Map::new().into()) {
                Value::Object(map) => map,
                _ => return Ok(()),
            },
        };
        let Some(sub) = sub else {
            one_primary(attribute, &value)?;
            if self.reading.strict && place.contains_key(&attribute.name) {
                let name = &attribute.name;
                let detail =
                    format!("{name} is given twice, with its URN and without; send it once");
                return Err(Problem::bad(ScimType::InvalidSyntax, detail));
            }
            return put_once(place, &attribute.name, value, &attribute.name);
        };
        match part_of(place, attribute) {
            Some(map) => put_once(map, &sub.name, value, &attribute.name),
            None => Ok(()),
        }
    }
}

/// The complex value that a sub-attribute on its own belongs to, made if it is
/// not there: the first one of several.
fn part_of<'a>(
    place: &'a mut Map<String, Value>,
    attribute: &Attribute,
) -> Option<&'a mut Map<String, Value>> {
    let complex = place.entry(attribute.name.as_str());
    let empty = Value::Object(Map::new());
    match complex.or_insert_with(|| {
        if attribute.multi {
            vec![empty].into()
        } else {
            empty
        }
    }) {
        Value::Array(list) => list.first_mut().and_then(Value::as_object_mut),
        single => single.as_object_mut(),
    }
}

/// The object under an extension's URN, leniently also when it was sent as
/// JSON text.
pub(in crate::scim) fn extension_object(
    extension: &Extension,
    value: Value,
    strict: bool,
) -> Result<Map<String, Value>, Problem> {
    let text = value.as_str().filter(|_| !strict);
    let value = match text.and_then(parsed_text) {
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
