//! Attribute changes carried out on a resource's attributes.
//!
//! A filtered path that matches nothing creates the value its filter
//! describes, against the letter of RFC 7644 section 3.5.2.3 (`noTarget`),
//! because Entra depends on it; a filtered `remove` without a match has
//! nothing to do. Strictly both are `noTarget`, save for members, which are not
//! looked up to find out. One `primary: true` takes it from the others (section
//! 3.5.2).

use serde_json::{Map, Value};

use super::{AttributeChange, Patch, Verb};
use crate::scim::{
    error::{Problem, ScimType},
    resource::{ResourceId, immutable, require},
    schema::{Attribute, Kind, Mutability},
    value::is_unset,
};

mod values;

use values::{Edited, Values, no_match};

pub(super) fn all(
    patch: &Patch,
    attributes: &mut Map<String, Value>,
    id: ResourceId,
    kind: &Kind,
) -> Result<bool, Problem> {
    let before = attributes.clone();
    let mut steps = STEPS;
    for change in &patch.attributes {
        let left = steps.checked_sub(cost(change, attributes));
        steps = left.ok_or_else(|| too_much(change))?;
        one(change, attributes, id, kind, patch.strict)?;
    }
    require(attributes, kind)?;
    Ok(before != *attributes)
}

/// Comparisons of values that one request may ask for. Whoever applies it holds
/// the resource, and others wait.
const STEPS: u64 = 4_000_000;
/// A comparison of a filter, which may look for a text inside another.
const OF_FILTER: u64 = 32;

/// How many comparisons a change of a multi-valued attribute takes at most.
fn cost(change: &AttributeChange, attributes: &Map<String, Value>) -> u64 {
    let path = &change.path;
    let place = match &path.extension {
        None => Some(attributes),
        Some(urn) => attributes.get(urn).and_then(Value::as_object),
    };
    let length = |list: Option<&Value>| list.and_then(Value::as_array).map_or(0, Vec::len) as u64;
    let there = length(place.and_then(|place| place.get(&path.attribute)));
    if let Some(filter) = &path.filter {
        there * filter.comparisons() * OF_FILTER
    } else {
        let given = length(change.value.as_ref());
        given * (there + given)
    }
}

fn too_much(change: &AttributeChange) -> Problem {
    Problem::bad(
        ScimType::TooMany,
        format!(
            "this request compares more values of {} than one request may; send its operations in several",
            change.path.attribute
        ),
    )
}

fn one(
    change: &AttributeChange,
    attributes: &mut Map<String, Value>,
    id: ResourceId,
    kind: &Kind,
    strict: bool,
) -> Result<(), Problem> {
    let path = &change.path;
    let name = path.attribute.as_str();
    match &path.extension {
        None if name == "id" => {
            let same = change.value.as_ref().and_then(Value::as_str) == Some(&id.to_string());
            if same && change.verb != Verb::Remove && !strict {
                return Ok(());
            }
            let detail = "id is given by this service and cannot be changed";
            Err(Problem::bad(ScimType::Mutability, detail))
        }
        None => guarded(change, attributes, kind.attribute(None, name), strict),
        Some(urn) if name.is_empty() => remove_extension(attributes, urn, kind),
        Some(urn) => {
            let mut place = match attributes.get_mut(urn) {
                Some(Value::Object(place)) => std::mem::take(place),
                _ => Map::new(),
            };
            guarded(change, &mut place, kind.attribute(Some(urn), name), strict)?;
            if place.is_empty() {
                attributes.shift_remove(urn);
            } else {
                attributes.insert(urn.clone(), place.into());
            }
            Ok(())
        }
    }
}

fn remove_extension(
    attributes: &mut Map<String, Value>,
    urn: &str,
    kind: &Kind,
) -> Result<(), Problem> {
    let Some(Value::Object(old)) = attributes.shift_remove(urn) else {
        return Ok(());
    };
    for name in old.keys() {
        if let Some(attribute) = kind.attribute(Some(urn), name)
            && attribute.mutability != Mutability::ReadWrite
        {
            return Err(immutable(attribute));
        }
    }
    Ok(())
}

/// Edits, and refuses an outcome that the attribute's mutability forbids:
/// saying again what already is so is no change.
fn guarded(
    change: &AttributeChange,
    place: &mut Map<String, Value>,
    attribute: Option<&Attribute>,
    strict: bool,
) -> Result<(), Problem> {
    let Some(attribute) = attribute else {
        return Ok(());
    };
    let before = place.get(&attribute.name).cloned();
    edit(change, place, attribute, strict)?;
    let after = place.get(&attribute.name);
    if change.verb == Verb::Remove {
        still_there(change, attribute, after)?;
    }
    check(attribute, before.as_ref(), after)?;
    if !attribute.multi {
        for sub in &attribute.sub {
            let before = before.as_ref().and_then(|value| value.get(&sub.name));
            let after = after.and_then(|value| value.get(&sub.name));
            check(sub, before, after)?;
        }
    }
    Ok(())
}

/// A required attribute cannot be removed (RFC 7644 section 3.5.2.2).
fn still_there(
    change: &AttributeChange,
    attribute: &Attribute,
    after: Option<&Value>,
) -> Result<(), Problem> {
    let sub = change.path.sub_attribute.as_deref();
    let part = sub.and_then(|sub| attribute.sub(sub));
    let name = match part {
        Some(part) if part.required => format!("{}.{}", attribute.name, part.name),
        _ if attribute.required && after.is_none() => attribute.name.clone(),
        _ => return Ok(()),
    };
    Err(Problem::bad(
        ScimType::Mutability,
        format!("{name} is required and cannot be removed; replace it with another value"),
    ))
}

fn check(
    attribute: &Attribute,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<(), Problem> {
    let fixed = match attribute.mutability {
        Mutability::ReadOnly | Mutability::Kept => true,
        Mutability::Immutable => before.is_some(),
        Mutability::ReadWrite | Mutability::WriteOnly => false,
    };
    if fixed && before != after {
        return Err(immutable(attribute));
    }
    Ok(())
}

fn edit(
    change: &AttributeChange,
    place: &mut Map<String, Value>,
    attribute: &Attribute,
    strict: bool,
) -> Result<(), Problem> {
    let name = &attribute.name;
    let value = match change.verb {
        Verb::Remove => None,
        Verb::Add | Verb::Replace => change.value.as_ref(),
    };
    if attribute.multi {
        let mut values = Values {
            attribute,
            list: match place.get_mut(name) {
                Some(Value::Array(list)) => list.drain(..).map(Edited::untouched).collect(),
                _ => Vec::new(),
            },
        };
        let sub = change.path.sub_attribute.as_deref();
        match (&change.path.filter, sub, change.verb) {
            (Some(filter), _, _) if strict && !values.any(filter) => {
                return Err(no_match(attribute));
            }
            (Some(filter), sub, verb) => values.selected(filter, sub, verb, value)?,
            (None, Some(_), _) if strict && values.list.is_empty() => {
                return Err(no_match(attribute));
            }
            // What a value is for says nothing without a value.
            (None, Some("type" | "primary"), Verb::Add | Verb::Replace)
                if values.list.is_empty() =>
            {
                return Err(no_match(attribute));
            }
            (None, Some(sub), _) => values.every(sub, value),
            (None, None, Verb::Add) => values.add(value),
            (None, None, Verb::Replace) => values.replace(value),
            (None, None, Verb::Remove) => values.remove(change.value.as_ref()),
        }
        let list = values.settled()?;
        if list.is_empty() {
            place.shift_remove(name);
        } else {
            place.insert(name.clone(), list.into());
        }
        return Ok(());
    }
    match (&change.path.sub_attribute, value) {
        (None, Some(value)) => {
            place.insert(name.clone(), value.clone());
        }
        (None, None) => {
            place.shift_remove(name);
        }
        (Some(sub), value) => {
            let whole = place.entry(name.as_str());
            let whole = whole.or_insert_with(|| Map::new().into());
            if let Value::Object(parts) = whole {
                // The address of another target would be a lie.
                if sub == "value" && parts.get("value") != value {
                    parts.shift_remove("$ref");
                }
                set(parts, sub, value);
            }
            if is_unset(whole) {
                place.shift_remove(name);
            }
        }
    }
    Ok(())
}

fn set(parts: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    match value {
        Some(value) => {
            parts.insert(name.to_owned(), value.clone());
        }
        None => {
            parts.shift_remove(name);
        }
    }
}
