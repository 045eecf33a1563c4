//! One attribute's value: from what was sent to the form that is kept.
//!
//! Types are enforced by the schema (RFC 7643 section 2.3) with the
//! departures that identity providers need: `"True"` for a boolean, a lone
//! value for a list, a string for `manager`, a JSON text where an object is
//! due. Text is kept byte for byte. What is unset (`null`, `""`, `[]`, `{}`;
//! section 2.5) becomes `None`.

use serde_json::{Map, Number, Value};

use super::{
    error::{Problem, ScimType},
    json::{self, Limits},
    schema::{Attribute, Mutability, Type},
};

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

/// The kept form of a value of `attribute`, which is a sub-attribute of
/// `parent` if there is one. A fault is 400 `invalidValue`.
pub(super) fn coerce(
    attribute: &Attribute,
    parent: Option<&Attribute>,
    value: Value,
) -> Result<Option<Value>, Problem> {
    if is_unset(&value) {
        return Ok(None);
    }
    if !attribute.multi {
        return coerce_one(attribute, parent, lone(attribute, parent, value)?);
    }
    let list = match unpacked(attribute, value) {
        Value::Array(list) => list,
        single => vec![single],
    };
    if list.len() > MOST_VALUES {
        return Err(too_many_values(attribute));
    }
    let mut kept = Vec::with_capacity(list.len());
    for value in list {
        let value = unpacked(attribute, value);
        if let Some(value) = coerce_one(attribute, parent, value)? {
            kept.push(value);
        }
    }
    Ok((!kept.is_empty()).then(|| kept.into()))
}

/// The kept form of one value of a multi-valued attribute.
pub(super) fn coerce_element(
    attribute: &Attribute,
    value: Value,
) -> Result<Option<Value>, Problem> {
    let value = match unpacked(attribute, value) {
        Value::String(text) if attribute.kind == Type::Complex && attribute.has_value() => {
            Value::Object(Map::from_iter([("value".to_owned(), text.into())]))
        }
        Value::Array(mut list) if list.len() == 1 => list.pop().unwrap_or_default(),
        other => other,
    };
    coerce_one(attribute, None, value)
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
) -> Result<Option<Value>, Problem> {
    if is_unset(&value) {
        return Ok(None);
    }
    let kept = match (attribute.kind, value) {
        (Type::String | Type::Reference | Type::Binary, Value::String(text)) => text.into(),
        (Type::DateTime, Value::String(text)) if text.parse::<jiff::Timestamp>().is_ok() => {
            text.into()
        }
        (Type::Boolean, Value::Bool(flag)) => flag.into(),
        (Type::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("true") => true.into(),
        (Type::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("false") => false.into(),
        (Type::Decimal, Value::Number(number)) => number.into(),
        (Type::Integer, Value::Number(number)) if is_whole(&number) => number.into(),
        (Type::Complex, Value::Object(map)) => return coerce_object(attribute, map),
        (_, other) => return Err(wrong_type(attribute, parent, &other)),
    };
    Ok(Some(kept))
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64()
}

/// An object's known sub-attributes in canonical spelling. Read-only ones are
/// left out, unless the whole attribute is read-only (it is then compared,
/// not written).
fn coerce_object(attribute: &Attribute, map: Map<String, Value>) -> Result<Option<Value>, Problem> {
    let mut kept = Map::new();
    for (name, value) in unpack_value(map) {
        let Some(sub) = attribute.sub(&name).or_else(|| label(attribute, &name)) else {
            continue;
        };
        if sub.mutability == Mutability::ReadOnly && attribute.mutability != Mutability::ReadOnly {
            continue;
        }
        if let Some(value) = coerce(sub, Some(attribute), value)? {
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

/// The label of a value under the name that Entra gives it.
fn label<'a>(attribute: &'a Attribute, name: &str) -> Option<&'a Attribute> {
    let matches = name.eq_ignore_ascii_case("displayName");
    matches.then(|| attribute.sub("display")).flatten()
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
) -> Result<Value, Problem> {
    if attribute.kind != Type::Complex {
        return Ok(value);
    }
    match unpacked(attribute, value) {
        Value::Array(mut list) if list.len() == 1 => {
            let only = list.pop().unwrap_or_default();
            match only {
                Value::Array(_) => Err(wrong_type(attribute, parent, &only)),
                only => lone(attribute, parent, only),
            }
        }
        Value::String(text) if attribute.has_value() && !text.is_empty() => {
            Ok(Map::from_iter([("value".to_owned(), text.into())]).into())
        }
        other => Ok(other),
    }
}

/// JSON text in place of an object or array of a complex attribute.
fn unpacked(attribute: &Attribute, value: Value) -> Value {
    if attribute.kind != Type::Complex {
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

fn wrong_type(attribute: &Attribute, parent: Option<&Attribute>, value: &Value) -> Problem {
    let name = match parent {
        Some(parent) => format!("{}.{}", parent.name, attribute.name),
        None => attribute.name.clone(),
    };
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Problem::bad(
        ScimType::InvalidValue,
        format!("{name} must be {}; it was given {got}", attribute.expects()),
    )
}
