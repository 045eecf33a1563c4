//! The words that a pattern may use beside plain JSON: `$nonempty` and its like
//! as strings, `$set` and its like as objects with one key. Here they are told
//! apart and checked before anything is sent; whether they hold is `matching`.

use serde_json::{Map, Value};

/// Deeper patterns than this are refused; no SCIM message comes near it.
pub(crate) const DEEPEST: usize = 64;

/// Says what is wrong with a pattern before anything is sent.
pub fn check_pattern(pattern: &Value) -> Result<(), String> {
    check(pattern, 0)
}

fn check(pattern: &Value, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("the pattern is nested deeper than {DEEPEST}"));
    }
    match pattern {
        // A placeholder within a regular expression is filled only later.
        Value::String(text)
            if text.starts_with('$')
                && text != "$ref"
                && word(&text.replace("{{", "").replace("}}", "")).is_none() =>
        {
            Err(format!("{text} is no matcher"))
        }
        Value::Array(items) => items.iter().try_for_each(|item| check(item, depth + 1)),
        Value::Object(members) => {
            if let Some(Structure::Resource(_) | Structure::Among(_) | Structure::Keys(_)) =
                structure(members)?
            {
                return Ok(());
            }
            members
                .values()
                .try_for_each(|value| check(value, depth + 1))
        }
        _ => Ok(()),
    }
}

/// A matcher written as a string.
pub(crate) enum Word<'a> {
    Any,
    Nonempty,
    Absent,
    String,
    Number,
    Integer,
    Bool,
    /// With a time zone, as XML Schema has it (RFC 7643 section 2.3.5).
    DateTime,
    Prefix(&'a str),
    Contains(&'a str),
    /// Equal but for upper and lower case.
    Fold(&'a str),
    Matches(regex_lite::Regex),
}

pub(crate) fn word(text: &str) -> Option<Word<'_>> {
    Some(match text {
        "$any" => Word::Any,
        "$nonempty" => Word::Nonempty,
        "$absent" => Word::Absent,
        "$string" => Word::String,
        "$number" => Word::Number,
        "$integer" => Word::Integer,
        "$bool" => Word::Bool,
        "$datetime" => Word::DateTime,
        _ => {
            let (name, operand) = text.split_once(':')?;
            match name {
                "$prefix" => Word::Prefix(operand),
                "$contains" => Word::Contains(operand),
                "$fold" => Word::Fold(operand),
                "$matches" => Word::Matches(regex_lite::Regex::new(operand).ok()?),
                _ => return None,
            }
        }
    })
}

impl Word<'_> {
    pub(crate) fn holds(&self, actual: Option<&Value>) -> bool {
        // RFC 7643 section 2.5: null and an empty array are "unassigned".
        let present = actual.filter(|value| !value.is_null());
        let text = present.and_then(Value::as_str);
        match self {
            Self::Any => present.is_some(),
            Self::Nonempty => present.is_some_and(|value| !empty(value)),
            Self::Absent => present.is_none_or(empty),
            Self::String => present.is_some_and(Value::is_string),
            Self::Number => present.is_some_and(Value::is_number),
            Self::Integer => present.is_some_and(|value| value.is_i64() || value.is_u64()),
            Self::Bool => present.is_some_and(Value::is_boolean),
            Self::DateTime => text.is_some_and(date_time),
            Self::Prefix(start) => text.is_some_and(|text| text.starts_with(start)),
            Self::Contains(part) => text.is_some_and(|text| text.contains(part)),
            Self::Fold(other) => {
                text.is_some_and(|text| text.to_lowercase() == other.to_lowercase())
            }
            Self::Matches(pattern) => text.is_some_and(|text| pattern.is_match(text)),
        }
    }
}

/// A matcher written as an object with one key.
pub(crate) enum Structure<'a> {
    Set(&'a [Value]),
    /// These elements in this order and no more.
    Sequence(&'a [Value]),
    First(&'a Value),
    /// Every element, of which there is at least one.
    All(&'a Value),
    Len(u64),
    /// At least so much, or so many elements.
    Min(u64),
    Max(u64),
    Not(&'a Value),
    Both(&'a [Value]),
    OneOf(&'a [Value]),
    /// No other members than these.
    Keys(&'a [Value]),
    /// Of the ids in `all`, exactly those in `want`.
    Among(&'a Map<String, Value>),
    /// A resource and nothing that it does not hold; see `resource`.
    Resource(&'a Map<String, Value>),
}

pub(crate) fn structure(members: &Map<String, Value>) -> Result<Option<Structure<'_>>, String> {
    let Some((key, value)) = members.iter().next().filter(|_| members.len() == 1) else {
        return Ok(None);
    };
    let array = || value.as_array().map(Vec::as_slice);
    let list = || array().ok_or_else(|| format!("{key} wants an array"));
    let number = || {
        value
            .as_u64()
            .ok_or_else(|| format!("{key} wants a number"))
    };
    let map = || {
        value
            .as_object()
            .ok_or_else(|| format!("{key} wants an object"))
    };
    Ok(Some(match key.as_str() {
        "$set" => Structure::Set(list()?),
        "$sequence" => Structure::Sequence(list()?),
        "$first" => Structure::First(value),
        "$all" => Structure::All(value),
        "$len" => Structure::Len(number()?),
        "$min" => Structure::Min(number()?),
        "$max" => Structure::Max(number()?),
        "$not" => Structure::Not(value),
        "$both" => Structure::Both(list()?),
        "$oneof" => Structure::OneOf(list()?),
        "$keys" => Structure::Keys(list()?),
        "$among" => Structure::Among(map()?),
        "$resource" => Structure::Resource(map()?),
        // `$ref` is an attribute.
        "$ref" | "$each" => return Ok(None),
        other if other.starts_with('$') => return Err(format!("{other} is no matcher")),
        _ => return Ok(None),
    }))
}

pub(crate) fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn date_time(text: &str) -> bool {
    const FORM: &str = r"^-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$";
    regex_lite::Regex::new(FORM).is_ok_and(|form| form.is_match(text))
}
