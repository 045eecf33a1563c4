//! Whether an answer is what a case expects. Objects match as subsets, an
//! array matches when every expected element has some match, and JSON types
//! must be equal: `true` is not `"True"` and `1` is not `"1"`, because an
//! identity provider that parses strictly stumbles over exactly that.
//! Patterns are walked with a depth count, so that no answer can exhaust the
//! stack.

use std::fmt;

use serde_json::{Map, Value};

/// Deeper patterns than this are refused; no SCIM message comes near it.
const DEEPEST: usize = 64;
/// How much of a value a message shows.
const SHOWN: usize = 300;

/// One difference: where, what was wanted, what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    pub at: String,
    pub expected: String,
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, found {}",
            self.at, self.expected, self.found
        )
    }
}

/// Every difference between `pattern` and `actual`, the root being called `at`.
pub fn differences(at: &str, pattern: &Value, actual: Option<&Value>) -> Vec<Mismatch> {
    let mut found = Vec::new();
    compare(at, pattern, actual, 0, &mut found);
    found
}

/// Says what is wrong with a pattern before anything is sent.
pub fn check_pattern(pattern: &Value) -> Result<(), String> {
    check(pattern, 0)
}

fn check(pattern: &Value, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("the pattern is nested deeper than {DEEPEST}"));
    }
    match pattern {
        Value::String(text) if text.starts_with('$') && word(text).is_none() => {
            Err(format!("{text} is no matcher"))
        }
        Value::Array(items) => items.iter().try_for_each(|item| check(item, depth + 1)),
        Value::Object(members) => {
            let form = structure(members)?;
            if let Some(Structure::Set(_) | Structure::First(_)) | None = form {
                members
                    .values()
                    .try_for_each(|value| check(value, depth + 1))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A matcher written as a string.
enum Word<'a> {
    Any,
    Nonempty,
    Absent,
    String,
    Number,
    Integer,
    Bool,
    Prefix(&'a str),
}

fn word(text: &str) -> Option<Word<'_>> {
    Some(match text {
        "$any" => Word::Any,
        "$nonempty" => Word::Nonempty,
        "$absent" => Word::Absent,
        "$string" => Word::String,
        "$number" => Word::Number,
        "$integer" => Word::Integer,
        "$bool" => Word::Bool,
        _ => Word::Prefix(text.strip_prefix("$prefix:")?),
    })
}

impl Word<'_> {
    fn holds(&self, actual: Option<&Value>) -> bool {
        // RFC 7643 section 2.5: null and an empty array are "unassigned".
        let present = actual.filter(|value| !value.is_null());
        match self {
            Self::Any => present.is_some(),
            Self::Nonempty => present.is_some_and(|value| !empty(value)),
            Self::Absent => present.is_none_or(empty),
            Self::String => present.is_some_and(Value::is_string),
            Self::Number => present.is_some_and(Value::is_number),
            Self::Integer => present.is_some_and(|value| value.is_i64() || value.is_u64()),
            Self::Bool => present.is_some_and(Value::is_boolean),
            Self::Prefix(start) => present
                .and_then(Value::as_str)
                .is_some_and(|text| text.starts_with(start)),
        }
    }
}

/// A matcher written as an object with one key.
enum Structure<'a> {
    Set(&'a [Value]),
    First(&'a Value),
    Len(u64),
    Not(&'a Value),
}

fn structure(members: &Map<String, Value>) -> Result<Option<Structure<'_>>, String> {
    let Some((key, value)) = members.iter().next().filter(|_| members.len() == 1) else {
        return Ok(None);
    };
    Ok(Some(match (key.as_str(), value) {
        ("$set", Value::Array(items)) => Structure::Set(items),
        ("$set", _) => return Err("$set wants an array".into()),
        ("$first", pattern) => Structure::First(pattern),
        ("$len", length) => Structure::Len(length.as_u64().ok_or("$len wants a number")?),
        ("$not", pattern) => Structure::Not(pattern),
        _ => return Ok(None),
    }))
}

fn compare(
    at: &str,
    pattern: &Value,
    actual: Option<&Value>,
    depth: usize,
    found: &mut Vec<Mismatch>,
) {
    if depth > DEEPEST {
        found.push(mismatch(at, "a pattern of bounded depth", actual));
        return;
    }
    match pattern {
        Value::String(text) => match word(text) {
            Some(matcher) if !matcher.holds(actual) => found.push(mismatch(at, text, actual)),
            Some(_) => {}
            None => literal(at, pattern, actual, found),
        },
        Value::Object(members) => match structure(members) {
            Ok(Some(form)) => compare_structure(at, &form, actual, depth, found),
            _ => compare_members(at, members, actual, depth, found),
        },
        Value::Array(items) => compare_elements(at, items, actual, depth, found),
        _ => literal(at, pattern, actual, found),
    }
}

fn literal(at: &str, pattern: &Value, actual: Option<&Value>, found: &mut Vec<Mismatch>) {
    if actual != Some(pattern) {
        found.push(mismatch(at, &show(pattern), actual));
    }
}

fn compare_members(
    at: &str,
    members: &Map<String, Value>,
    actual: Option<&Value>,
    depth: usize,
    found: &mut Vec<Mismatch>,
) {
    let Some(Value::Object(there)) = actual else {
        found.push(mismatch(at, "an object", actual));
        return;
    };
    for (key, pattern) in members {
        compare(&join(at, key), pattern, there.get(key), depth + 1, found);
    }
}

fn compare_elements(
    at: &str,
    items: &[Value],
    actual: Option<&Value>,
    depth: usize,
    found: &mut Vec<Mismatch>,
) {
    let Some(Value::Array(there)) = actual else {
        found.push(mismatch(at, "an array", actual));
        return;
    };
    for item in items {
        if !there
            .iter()
            .any(|element| matches(item, element, depth + 1))
        {
            found.push(mismatch(
                at,
                &format!("an element like {}", show(item)),
                actual,
            ));
        }
    }
}

fn compare_structure(
    at: &str,
    form: &Structure<'_>,
    actual: Option<&Value>,
    depth: usize,
    found: &mut Vec<Mismatch>,
) {
    if let Structure::Not(pattern) = form {
        let mut inner = Vec::new();
        compare(at, pattern, actual, depth + 1, &mut inner);
        if inner.is_empty() {
            found.push(mismatch(
                at,
                &format!("anything but {}", show(pattern)),
                actual,
            ));
        }
        return;
    }
    let empty = Vec::new();
    let there = match actual {
        Some(Value::Array(there)) => there,
        // An attribute without values may be left out (RFC 7643 section 2.5).
        None | Some(Value::Null) => &empty,
        Some(_) => {
            found.push(mismatch(at, "an array", actual));
            return;
        }
    };
    match form {
        Structure::Len(length) => {
            if there.len() as u64 != *length {
                found.push(mismatch(at, &format!("{length} elements"), actual));
            }
        }
        Structure::First(pattern) => {
            compare(
                &format!("{at}[0]"),
                pattern,
                there.first(),
                depth + 1,
                found,
            );
        }
        Structure::Set(items) => {
            if !same_set(items, there, depth + 1) {
                let wanted = show(&Value::Array(items.to_vec()));
                found.push(mismatch(
                    at,
                    &format!("exactly the elements {wanted}"),
                    actual,
                ));
            }
        }
        Structure::Not(_) => {}
    }
}

fn matches(pattern: &Value, actual: &Value, depth: usize) -> bool {
    let mut found = Vec::new();
    compare("", pattern, Some(actual), depth, &mut found);
    found.is_empty()
}

/// Whether patterns and elements can be paired off one to one. Patterns are
/// subsets, so one element may fit several of them and a first fit could pair
/// wrongly; hence augmenting paths, found breadth first.
fn same_set(patterns: &[Value], elements: &[Value], depth: usize) -> bool {
    if patterns.len() != elements.len() {
        return false;
    }
    let fits: Vec<Vec<usize>> = patterns
        .iter()
        .map(|pattern| {
            (0..elements.len())
                .filter(|&index| matches(pattern, &elements[index], depth))
                .collect()
        })
        .collect();
    let mut owner: Vec<Option<usize>> = vec![None; elements.len()];
    (0..patterns.len()).all(|pattern| place(pattern, &fits, &mut owner))
}

fn place(start: usize, fits: &[Vec<usize>], owner: &mut [Option<usize>]) -> bool {
    // For each element reached: the pattern that would take it.
    let mut taker: Vec<Option<usize>> = vec![None; owner.len()];
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(pattern) = queue.pop_front() {
        for &element in &fits[pattern] {
            if taker[element].is_some() {
                continue;
            }
            taker[element] = Some(pattern);
            if let Some(displaced) = owner[element] {
                queue.push_back(displaced);
            } else {
                hand_over(element, start, &taker, owner);
                return true;
            }
        }
    }
    false
}

fn hand_over(free: usize, start: usize, taker: &[Option<usize>], owner: &mut [Option<usize>]) {
    let mut element = free;
    while let Some(pattern) = taker[element] {
        let before = owner.iter().position(|held| *held == Some(pattern));
        owner[element] = Some(pattern);
        match before {
            Some(previous) if pattern != start => element = previous,
            _ => return,
        }
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn mismatch(at: &str, expected: &str, actual: Option<&Value>) -> Mismatch {
    Mismatch {
        at: at.to_owned(),
        expected: expected.to_owned(),
        found: actual.map_or_else(|| "nothing".to_owned(), show),
    }
}

fn show(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

fn join(at: &str, key: &str) -> String {
    if key.contains('.') || key.contains(':') {
        format!("{at}['{key}']")
    } else {
        format!("{at}.{key}")
    }
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
