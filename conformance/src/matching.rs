//! Whether an answer is what a case expects. Objects match as subsets, an
//! array matches when every expected element has some match, and JSON types
//! must be equal: `true` is not `"True"` and `1` is not `"1"`, because an
//! identity provider that parses strictly stumbles over exactly that.
//! Patterns are walked with a depth count, so that no answer can exhaust the
//! stack.

use std::fmt;

use serde_json::{Map, Value};

use crate::pattern::{DEEPEST, Structure, structure, word};
use crate::resource;

pub use crate::pattern::check_pattern;

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
    match form {
        Structure::Not(pattern) => {
            if fits(pattern, actual, depth + 1) {
                let unwanted = format!("anything but {}", show(pattern));
                found.push(mismatch(at, &unwanted, actual));
            }
        }
        Structure::Both(patterns) => {
            for pattern in *patterns {
                compare(at, pattern, actual, depth + 1, found);
            }
        }
        Structure::OneOf(patterns) => {
            if !patterns
                .iter()
                .any(|pattern| fits(pattern, actual, depth + 1))
            {
                let wanted = format!("one of {}", show(&Value::Array(patterns.to_vec())));
                found.push(mismatch(at, &wanted, actual));
            }
        }
        Structure::Min(least) => {
            if size(actual).is_none_or(|size| size < *least) {
                found.push(mismatch(at, &format!("{least} or more"), actual));
            }
        }
        Structure::Max(most) => {
            if size(actual).is_none_or(|size| size > *most) {
                found.push(mismatch(at, &format!("{most} or fewer"), actual));
            }
        }
        Structure::Keys(keys) => {
            if let Some(wrong) = resource::other_keys(keys, actual) {
                found.push(mismatch(at, &wrong, actual));
            }
        }
        Structure::Resource(wanted) => {
            for (place, expected) in resource::differences(wanted, actual) {
                let value = actual.and_then(|actual| actual.get(&place));
                found.push(mismatch(&join(at, &place), &expected, value));
            }
        }
        other => compare_list(at, other, actual, depth, found),
    }
}

/// A number, or how many elements there are.
fn size(actual: Option<&Value>) -> Option<u64> {
    match actual {
        Some(Value::Array(there)) => u64::try_from(there.len()).ok(),
        None | Some(Value::Null) => Some(0),
        Some(value) => value.as_u64(),
    }
}

fn compare_list(
    at: &str,
    form: &Structure<'_>,
    actual: Option<&Value>,
    depth: usize,
    found: &mut Vec<Mismatch>,
) {
    let there = match actual {
        Some(Value::Array(there)) => there.as_slice(),
        // An attribute without values may be left out (RFC 7643 section 2.5).
        None | Some(Value::Null) => &[],
        Some(_) => {
            found.push(mismatch(at, "an array", actual));
            return;
        }
    };
    match form {
        Structure::Len(length) if there.len() as u64 != *length => {
            found.push(mismatch(at, &format!("{length} elements"), actual));
        }
        Structure::First(pattern) => {
            let first = format!("{at}[0]");
            compare(&first, pattern, there.first(), depth + 1, found);
        }
        Structure::All(pattern) => {
            if there.is_empty() {
                found.push(mismatch(at, "at least one element", actual));
            }
            for (index, element) in there.iter().enumerate() {
                let at = format!("{at}[{index}]");
                compare(&at, pattern, Some(element), depth + 1, found);
            }
        }
        Structure::Sequence(items) => {
            if there.len() != items.len() {
                found.push(mismatch(at, &format!("{} elements", items.len()), actual));
            }
            for (index, (item, element)) in items.iter().zip(there).enumerate() {
                let at = format!("{at}[{index}]");
                compare(&at, item, Some(element), depth + 1, found);
            }
        }
        Structure::Set(items) if !same_set(items, there, depth + 1) => {
            let wanted = show(&Value::Array(items.to_vec()));
            let wanted = format!("exactly the elements {wanted}");
            found.push(mismatch(at, &wanted, actual));
        }
        Structure::Among(wanted) => {
            for wrong in resource::chosen(wanted, there) {
                found.push(mismatch(at, &wrong, None));
            }
        }
        _ => {}
    }
}

fn fits(pattern: &Value, actual: Option<&Value>, depth: usize) -> bool {
    let mut found = Vec::new();
    compare("", pattern, actual, depth, &mut found);
    found.is_empty()
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
