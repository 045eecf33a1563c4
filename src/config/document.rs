//! Reading a TOML document with all its problems, not only the first.
//!
//! serde stops at the first fault. Here a faulty entry is noted with its line
//! and key, taken out, and the rest is read again, until what is left can be
//! read. So one run of `drawbridge check` shows everything there is to mend.

use std::{fmt::Write, ops::Range, path::Path};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::{Problem, Problems},
    value::Value,
};

/// A parsed file with what is needed to point into it.
pub(super) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
}

/// An entry's place: keys and array indices from the top.
type Trail = Vec<Step>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl<'a> Document<'a> {
    /// Syntax errors leave no table to go on with.
    pub(super) fn parse(
        file: &'a Path,
        text: &'a str,
        problems: &mut Problems,
    ) -> Option<(Self, Spanned<DeTable<'a>>)> {
        let document = Self { file, text };
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Some((document, table));
        }
        for error in errors {
            problems.push(document.problem(
                error.span(),
                "",
                format!("not TOML: {}", error.message()),
                "correct the line; text values need double quotes",
            ));
        }
        None
    }

    /// Reads a table as a `T` and notes everything that does not fit. `under`
    /// is the table's own place, for the reader. `None` when the fault is not
    /// in any one entry.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        mut table: Spanned<DeTable<'a>>,
        under: &str,
        problems: &mut Problems,
    ) -> Option<T> {
        let mut taken_out = Vec::new();
        loop {
            let fault = match T::deserialize(Value::from(&table)) {
                Ok(value) => return Some(value),
                Err(fault) => fault,
            };
            let span = fault.span;
            let trail = span.as_ref().and_then(|span| find(table.get_ref(), span));
            let place = join(under, trail.as_deref().unwrap_or_default());
            // What was taken out because of its value is not missing.
            let is_told = missing(&fault.message)
                .is_some_and(|key| taken_out.contains(&format!("{place}.{key}")));
            if !is_told {
                let (what, remedy) = explain(&place, &fault.message);
                problems.push(self.problem(span, &place, what, &remedy));
            }
            taken_out.push(place);
            if !trail.is_some_and(|trail| take_out(table.get_mut(), &trail)) {
                return None;
            }
        }
    }

    /// A problem at a place found by the reader of the values.
    pub(super) fn problem(
        &self,
        span: Option<Range<usize>>,
        key: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        let line = span.map(|span| {
            let before = self.text.as_bytes().iter().take(span.start);
            1 + before.filter(|byte| **byte == b'\n').count()
        });
        Problem {
            file: self.file.to_owned(),
            line,
            key: key.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// The innermost entry that covers a span.
fn find(table: &DeTable<'_>, span: &Range<usize>) -> Option<Trail> {
    let mut best: Option<(usize, Trail)> = None;
    let mut open: Vec<(Trail, &Spanned<DeValue<'_>>)> = Vec::new();
    let enter = |open: &mut Vec<_>, best: &mut Option<(usize, Trail)>, trail: &Trail, table| {
        for (key, value) in entries(table) {
            let mut trail = trail.clone();
            trail.push(Step::Key(key.get_ref().to_string()));
            consider(best, &trail, &key.span(), span);
            open.push((trail, value));
        }
    };
    enter(&mut open, &mut best, &Vec::new(), table);
    while let Some((trail, value)) = open.pop() {
        consider(&mut best, &trail, &value.span(), span);
        match value.get_ref() {
            DeValue::Table(table) => enter(&mut open, &mut best, &trail, table),
            DeValue::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    let mut trail = trail.clone();
                    trail.push(Step::Index(at));
                    open.push((trail, item));
                }
            }
            _ => {}
        }
    }
    best.map(|(_, trail)| trail)
}

fn entries<'t, 'i>(
    table: &'t DeTable<'i>,
) -> impl Iterator<
    Item = (
        &'t Spanned<std::borrow::Cow<'i, str>>,
        &'t Spanned<DeValue<'i>>,
    ),
> {
    table.iter()
}

fn consider(
    best: &mut Option<(usize, Trail)>,
    trail: &Trail,
    at: &Range<usize>,
    span: &Range<usize>,
) {
    let covers = at.start <= span.start && span.end <= at.end;
    let better = best
        .as_ref()
        .is_none_or(|(size, old)| (at.len(), old.len()) < (*size, trail.len()));
    if covers && better {
        *best = Some((at.len(), trail.clone()));
    }
}

/// Removes the innermost key of the trail: an array goes whole. False when
/// there was nothing to remove.
fn take_out(table: &mut DeTable<'_>, trail: &[Step]) -> bool {
    let keys = trail
        .iter()
        .rposition(|step| matches!(step, Step::Key(_)))
        .unwrap_or_default();
    let (Some(Step::Key(last)), Some(way)) = (trail.get(keys), trail.get(..keys)) else {
        return false;
    };
    inner(table, way).is_some_and(|inner| inner.remove(last.as_str()).is_some())
}

fn inner<'t, 'i>(table: &'t mut DeTable<'i>, way: &[Step]) -> Option<&'t mut DeTable<'i>> {
    let Some((Step::Key(first), rest)) = way.split_first() else {
        return Some(table);
    };
    let mut value = table.get_mut(first.as_str())?;
    for step in rest {
        value = match (value.get_mut(), step) {
            (DeValue::Table(table), Step::Key(key)) => table.get_mut(key.as_str())?,
            (DeValue::Array(items), Step::Index(at)) => items.get_mut(*at)?,
            _ => return None,
        };
    }
    match value.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn join(under: &str, trail: &[Step]) -> String {
    let mut place = under.to_owned();
    for step in trail {
        match step {
            Step::Key(key) if place.is_empty() => place.push_str(key),
            Step::Key(key) => {
                place.push('.');
                place.push_str(key);
            }
            Step::Index(at) => {
                // Writing to a string cannot fail.
                let _ = write!(place, "[{at}]");
            }
        }
    }
    place
}

/// The key that is missing, where that is the fault.
fn missing(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("missing field `")?;
    rest.split_once('`').map(|(key, _)| key)
}

/// serde's message as a statement and a remedy.
fn explain(place: &str, message: &str) -> (String, String) {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let wrong = quoted.next().unwrap_or_default();
        let known: Vec<&str> = quoted.collect();
        let remedy = match nearest(wrong, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "take it out".to_owned(),
            None => format!("known here: {}", known.join(", ")),
        };
        return ("unknown key".to_owned(), remedy);
    }
    if message.starts_with("unknown variant") {
        let wrong = quoted.next().unwrap_or_default();
        let known: Vec<&str> = quoted.collect();
        return (
            format!("`{wrong}` is no value of this key"),
            format!("write one of: {}", known.join(", ")),
        );
    }
    if let Some(key) = missing(message) {
        return (
            format!("the key `{key}` is missing"),
            format!("add `{key} = ..`"),
        );
    }
    let unfit = ["invalid type: ", "invalid value: "];
    if let Some((found, expected)) = unfit
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split_once(", expected "))
    {
        let remedy = match (found, wanted(expected)) {
            ("map", "a list in square brackets") => {
                format!("write [[{place}]], with double brackets, once for each")
            }
            (_, wanted) => format!("write {wanted}"),
        };
        return (format!("{} does not fit here", shown(found)), remedy);
    }
    match message.split_once("; ") {
        Some((what, remedy)) => (what.to_owned(), remedy.to_owned()),
        None => (message.to_owned(), "correct the value".to_owned()),
    }
}

/// What serde calls it, in an administrator's words.
fn shown(found: &str) -> &str {
    match found {
        "map" => "a table",
        "sequence" => "a list",
        other => other,
    }
}

fn wanted(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list in square brackets",
        "a boolean" => "true or false",
        "a string" | "path string" => "text in double quotes",
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number, not below 0",
        other if other.contains("nonzero") => "a whole number above 0",
        other if other == "a map" || other.starts_with("struct ") => "a table with keys",
        other => other,
    }
}

/// The most similar of the known words, if it is similar enough.
pub(super) fn nearest<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|word| (distance(wrong, word), *word))
        .min()
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .map(|(_, word)| word)
}

/// Letters to add, drop or change to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().take(64).enumerate() {
        let mut corner = row.first().copied().unwrap_or_default();
        let mut left = at + 1;
        let mut next = vec![left];
        for (cell, expected) in row.iter().skip(1).zip(&other) {
            let changed = corner + usize::from(letter != *expected);
            left = changed.min(left + 1).min(cell + 1);
            next.push(left);
            corner = *cell;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
