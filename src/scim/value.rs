//! One attribute's value: from what was sent to the form that is kept.
//!
//! Types are enforced by the schema (RFC 7643 section 2.3); read leniently
//! with the departures that identity providers need: `"True"` for a boolean,
//! a lone value for a list, a string for `manager`, a JSON text where an
//! object is due. Text is kept byte for byte. What is unset (`null`, `[]`;
//! section 2.5) becomes `None`, and so does `""` and `{}` where they fit.

use serde_json::{Map, Number, Value};

use super::{
    dropped::Reading,
    error::{Problem, ScimType},
    json::{self, Limits, quoted},
    schema::{Attribute, Mutability, Type},
};

mod text;

/// Values of one multi-valued attribute: far more than anyone has, few enough
/// to compare each with each.
pub(super) const MOST_VALUES: usize = 1_000;

/// Whether a value stands for no value.
pub(super) fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Whether a value stands for no value of this attribute: strictly only if it
/// is of the attribute's own type.
pub(super) fn unsets(attribute: &Attribute, value: &Value, strict: bool) -> bool {
    let fits = || match value {
        Value::Array(_) => attribute.multi,
        Value::Object(_) => !attribute.multi && attribute.kind == Type::Complex,
        Value::String(_) => !attribute.multi && attribute.kind.is_text(),
        _ => true,
    };
    is_unset(value) && (!strict || fits())
}

/// The kept form of a value of `attribute`, which is a sub-attribute of
/// `parent` if there is one. A fault is 400 `invalidValue`.
pub(super) fn coerce(
    attribute: &Attribute,
    parent: Option<&Attribute>,
    value: Value,
    reading: &mut Reading,
) -> Result<Option<Value>, Problem> {
    if unsets(attribute, &value, reading.strict) {
        return Ok(None);
    }
    if !attribute.multi {
        let value = lone(attribute, parent, value, reading)?;
        return coerce_one(attribute, parent, value, reading);
    }
    let list = match unpacked(attribute, value, reading) {
        Value::Array(list) => list,
        single if reading.strict => return Err(wrong_type(attribute, parent, &single)),
        single => vec![single],
    };
    if list.len() > MOST_VALUES {
        return Err(too_many_values(attribute));
    }
    let mut kept = Vec::with_capacity(list.len());
    for value in list {
        let value = unpacked(attribute, value, reading);
        match coerce_one(attribute, parent, value, reading)? {
            Some(value) => push_distinct(&mut kept, value),
            // A list of nothing would clear what is there.
            None if reading.strict => {
                return Err(refused(attribute, parent, "one of its values is empty"));
            }
            None => {}
        }
    }
    Ok((!kept.is_empty()).then(|| kept.into()))
}

/// Leaves out a value that has the type and the value of one before it (RFC
/// 7643 section 2.4); which of them is primary is kept.
fn push_distinct(kept: &mut Vec<Value>, value: Value) {
    let same = |a: &&mut Value| {
        let equal = |part| a.get(part) == value.get(part);
        value.get("value").is_some() && equal("value") && equal("type")
    };
    match kept.iter_mut().find(same) {
        None => kept.push(value),
        Some(Value::Object(before)) if is_primary(&value) => {
            before.insert("primary".to_owned(), true.into());
        }
        Some(_) => {}
    }
}

/// The kept form of one value of a multi-valued attribute.
pub(super) fn coerce_element(
    attribute: &Attribute,
    value: Value,
    reading: &mut Reading,
) -> Result<Option<Value>, Problem> {
    if reading.strict {
        return match value {
            Value::Null => Ok(None),
            value => coerce_one(attribute, None, value, reading),
        };
    }
    let value = match unpacked(attribute, value, reading) {
        Value::String(text) if attribute.kind == Type::Complex && attribute.has_value() => {
            Value::Object(Map::from_iter([("value".to_owned(), text.into())]))
        }
        Value::Array(mut list) if list.len() == 1 => list.pop().unwrap_or_default(),
        other => other,
    };
    coerce_one(attribute, None, value, reading)
}

/// Refuses more than one `primary: true` (RFC 7643 section 2.4).
pub(super) fn one_primary(attribute: &Attribute, value: &Value) -> Result<(), Problem> {
    let list = value.as_array().into_iter().flatten();
    if list.filter(|element| is_primary(element)).count() > 1 {
        return Err(Problem::bad(
            ScimType::InvalidValue,
            format!(
                "{} has more than one value with primary true; mark at most one",
                attribute.name
            ),
        ));
    }
    Ok(())
}

pub(super) fn is_primary(element: &Value) -> bool {
    element.get("primary") == Some(&Value::Bool(true))
}

fn coerce_one(
    attribute: &Attribute,
    parent: Option<&Attribute>,
    value: Value,
    reading: &mut Reading,
) -> Result<Option<Value>, Problem> {
    if is_unset(&value) && !reading.strict {
        return Ok(None);
    }
    let kept = match (attribute.kind, value) {
        (kind, Value::String(text)) if kind.is_text() => {
            text::check(attribute, parent, &text, reading.strict)?;
            text.into()
        }
        (Type::Boolean, Value::Bool(flag)) => flag.into(),
        (Type::Boolean, Value::String(text)) if !reading.strict && is_word(&text, "true") => {
            true.into()
        }
        (Type::Boolean, Value::String(text)) if !reading.strict && is_word(&text, "false") => {
            false.into()
        }
        (Type::Decimal, Value::Number(number)) => number.into(),
        (Type::Integer, Value::Number(number)) if is_whole(&number) => number.into(),
        (Type::Complex, Value::Object(map)) => return coerce_object(attribute, map, reading),
        (_, other) => return Err(wrong_type(attribute, parent, &other)),
    };
    Ok(Some(kept))
}

fn is_word(text: &str, word: &str) -> bool {
    text.eq_ignore_ascii_case(word)
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64()
}

/// An object's known sub-attributes in canonical spelling. Read-only ones are
/// left out, unless the whole attribute is read-only (it is then compared,
/// not written).
fn coerce_object(
    attribute: &Attribute,
    map: Map<String, Value>,
    reading: &mut Reading,
) -> Result<Option<Value>, Problem> {
    let mut kept = Map::new();
    let parts = if reading.strict {
        map
    } else {
        unpack_value(map)
    };
    for (name, value) in parts {
        let Some(sub) = part(attribute, &name, reading.strict) else {
            if reading.strict || !is_unset(&value) {
                reading.unknown_part(&attribute.name, &name)?;
            }
            continue;
        };
        if sub.mutability == Mutability::ReadOnly && attribute.mutability != Mutability::ReadOnly {
            continue;
        }
        if let Some(value) = coerce(sub, Some(attribute), value, reading)? {
            if kept.contains_key(&sub.name) {
                return Err(Problem::bad(
                    ScimType::InvalidValue,
                    format!("{}.{} is given twice", attribute.name, sub.name),
                ));
            }
            kept.insert(sub.name.clone(), value);
        }
    }
    Ok((!kept.is_empty()).then(|| kept.into()))
}

/// A sub-attribute by name; leniently also a label under the name that Entra
/// gives it.
fn part<'a>(attribute: &'a Attribute, name: &str, strict: bool) -> Option<&'a Attribute> {
    let label = || {
        let matches = !strict && is_word(name, "displayName");
        matches.then(|| attribute.sub("display")).flatten()
    };
    attribute.sub(name).or_else(label)
}

/// A `value` that is the JSON text of an object with a `value` of its own, as
/// Entra sends application roles: its parts take the place of the text.
fn unpack_value(map: Map<String, Value>) -> Map<String, Value> {
    let text = map.get("value").and_then(Value::as_str);
    let Some(Value::Object(inner)) = text.and_then(parsed_text) else {
        return map;
    };
    if inner.get("value").is_none_or(|v| !v.is_string()) {
        return map;
    }
    let mut merged = map;
    for (name, value) in inner {
        match name.as_str() {
            "value" => merged.insert(name, value),
            _ if !merged.contains_key(&name) => merged.insert(name, value),
            _ => None,
        };
    }
    merged
}

/// A lone value of a single-valued attribute: of an array with one element
/// the element, and for a complex one text stands for its `value`.
pub(super) fn lone(
    attribute: &Attribute,
    parent: Option<&Attribute>,
    value: Value,
    reading: &Reading,
) -> Result<Value, Problem> {
    if attribute.kind != Type::Complex || reading.strict {
        return Ok(value);
    }
    match unpacked(attribute, value, reading) {
        Value::Array(mut list) if list.len() == 1 => {
            let only = list.pop().unwrap_or_default();
            match only {
                Value::Array(_) => Err(wrong_type(attribute, parent, &only)),
                only => lone(attribute, parent, only, reading),
            }
        }
        Value::String(text) if attribute.has_value() && !text.is_empty() => {
            Ok(Map::from_iter([("value".to_owned(), text.into())]).into())
        }
        other => Ok(other),
    }
}

/// JSON text in place of an object or array of a complex attribute.
fn unpacked(attribute: &Attribute, value: Value, reading: &Reading) -> Value {
    if attribute.kind != Type::Complex || reading.strict {
        return value;
    }
    match value.as_str().and_then(parsed_text) {
        Some(parsed) => parsed,
        None => value,
    }
}

/// An object or array that was sent as text.
pub(super) fn parsed_text(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    json::parse(text.as_bytes(), &Limits::default()).ok()
}

/// The refusal of a list that is too long.
pub(super) fn too_many_values(attribute: &Attribute) -> Problem {
    Problem::bad(
        ScimType::TooMany,
        format!("more than {MOST_VALUES} values of {}", attribute.name),
    )
}

/// The name in a message.
fn full_name(attribute: &Attribute, parent: Option<&Attribute>) -> String {
    match parent {
        Some(parent) => format!("{}.{}", parent.name, attribute.name),
        None => attribute.name.clone(),
    }
}

fn wrong_type(attribute: &Attribute, parent: Option<&Attribute>, value: &Value) -> Problem {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    refused(attribute, parent, &format!("it was given {got}"))
}

fn refused(attribute: &Attribute, parent: Option<&Attribute>, why: &str) -> Problem {
    Problem::bad(
        ScimType::InvalidValue,
        format!(
            "{} must be {}; {why}",
            full_name(attribute, parent),
            attribute.expects()
        ),
    )
}
