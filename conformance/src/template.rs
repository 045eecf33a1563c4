//! Placeholders: `{{name}}` in any string of a request or expectation is filled
//! from the profile's variables, from `{{run}}` and from what earlier answers
//! gave. Values are templates themselves, so filling goes on until nothing is
//! left, with a bound against variables that name each other in a ring.
//! `{"$each": "array", "item": {…}}` becomes one `item` per element; when the
//! variable is a number, that many items; `{"$fill": "number"}` is a string of
//! that many letters.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

/// How often a value may name another value.
const LONGEST_CHAIN: usize = 16;
const DEEPEST: usize = 64;
const MOST_ITEMS: u64 = 100_000;
/// A string made to be too long for a server is no longer than this.
const MOST_LETTERS: u64 = 32 * 1024 * 1024;

/// Names to values; arrays are filled by `save` into `name[]`.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, Value>,
    /// Text that stands in filled strings for other text, in the order of learning.
    instead: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    #[error("placeholder {{{{{0}}}}} has no value")]
    Unknown(String),
    #[error("placeholder {{{{{0}}}}} names itself, directly or through others")]
    Ring(String),
    #[error("$each names {{{{{0}}}}}, which is not an array")]
    NotAnArray(String),
    #[error("$fill names {{{{{0}}}}}, which is no number up to {MOST_LETTERS}")]
    NotALength(String),
    #[error("the body is nested deeper than {DEEPEST}")]
    TooDeep,
}

impl Variables {
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.values.insert(name.into(), value.into());
    }

    /// Keeps a value from an answer; `name[]` appends to the array `name`.
    pub fn save(&mut self, name: &str, value: Value) {
        let Some(array) = name.strip_suffix("[]") else {
            self.values.insert(name.to_owned(), value);
            return;
        };
        match self
            .values
            .entry(array.to_owned())
            .or_insert_with(|| Value::Array(Vec::new()))
        {
            Value::Array(items) => items.push(value),
            other => *other = Value::Array(vec![value]),
        }
    }

    /// From here on every filled string has the one text for the other; where that
    /// is in other letter case than here, in capitals.
    pub fn put_instead(&mut self, of: &str, text: &str) {
        if !of.is_empty() && of != text {
            self.instead.push((of.to_owned(), text.to_owned()));
        }
    }

    /// Fills a string; the result is text whatever the values were.
    pub fn text(&self, template: &str) -> Result<String, TemplateError> {
        let filled = self.text_with(template, str::to_owned)?;
        Ok(self.replaced(filled))
    }

    fn replaced(&self, text: String) -> String {
        let pairs = self.instead.iter();
        pairs.fold(text, |text, (of, other)| in_its_place(&text, of, other))
    }

    /// Fills a URL path; values are percent-encoded so that no id ends it early.
    pub fn path(&self, template: &str) -> Result<String, TemplateError> {
        self.text_with(template, percent_encode)
    }

    /// Fills a JSON value: keys, strings and `$each`. A string that is nothing
    /// but one placeholder takes the value's own type.
    pub fn value(&self, template: &Value) -> Result<Value, TemplateError> {
        self.value_at(template, 0)
    }

    fn text_with(
        &self,
        template: &str,
        encode: impl Fn(&str) -> String,
    ) -> Result<String, TemplateError> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, name, after)) = next_placeholder(rest) {
            filled.push_str(before);
            filled.push_str(&encode(&plain(&self.resolved(name)?)));
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// The value of a variable, with the placeholders in it filled.
    fn resolved(&self, name: &str) -> Result<Value, TemplateError> {
        let unknown = || TemplateError::Unknown(name.to_owned());
        let Value::String(text) = self.values.get(name).ok_or_else(unknown)? else {
            return self.values.get(name).cloned().ok_or_else(unknown);
        };
        let mut text = text.clone();
        for _ in 0..LONGEST_CHAIN {
            let mut once = String::with_capacity(text.len());
            let mut rest = text.as_str();
            let mut more = false;
            while let Some((before, inner, after)) = next_placeholder(rest) {
                let value = self
                    .values
                    .get(inner)
                    .ok_or_else(|| TemplateError::Unknown(inner.to_owned()))?;
                once.push_str(before);
                once.push_str(&plain(value));
                rest = after;
                more = true;
            }
            once.push_str(rest);
            if !more {
                return Ok(Value::String(text));
            }
            // A ring that adds text at every turn would grow without end.
            if once.len() > 64 * 1024 {
                break;
            }
            text = once;
        }
        Err(TemplateError::Ring(name.to_owned()))
    }

    fn value_at(&self, template: &Value, depth: usize) -> Result<Value, TemplateError> {
        if depth > DEEPEST {
            return Err(TemplateError::TooDeep);
        }
        Ok(match template {
            Value::String(text) => match next_placeholder(text) {
                Some(("", name, "")) => match self.resolved(name)? {
                    Value::String(text) => Value::String(self.replaced(text)),
                    other => other,
                },
                _ => Value::String(self.text(text)?),
            },
            Value::Array(items) => items
                .iter()
                .map(|item| self.value_at(item, depth + 1))
                .collect::<Result<_, _>>()?,
            Value::Object(members) => match (each(members), fill(members)) {
                (Some((array, item)), _) => self.expand(array, item, depth)?,
                (None, Some(length)) => self.letters(length)?,
                (None, None) => members
                    .iter()
                    .map(|(key, value)| Ok((self.text(key)?, self.value_at(value, depth + 1)?)))
                    .collect::<Result<Map<_, _>, TemplateError>>()?
                    .into(),
            },
            other => other.clone(),
        })
    }

    fn letters(&self, name: &str) -> Result<Value, TemplateError> {
        let unknown = || TemplateError::Unknown(name.to_owned());
        let length = self.values.get(name).ok_or_else(unknown)?.as_u64();
        let length = length.filter(|length| *length <= MOST_LETTERS);
        let length = length.and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or_else(|| TemplateError::NotALength(name.to_owned()))?;
        Ok(Value::String("x".repeat(length)))
    }

    fn expand(&self, array: &str, item: &Value, depth: usize) -> Result<Value, TemplateError> {
        let named = self.values.get(array);
        let elements = match named.ok_or_else(|| TemplateError::Unknown(array.to_owned()))? {
            Value::Array(elements) => elements.clone(),
            Value::Number(times) => (1..=times.as_u64().unwrap_or(0).min(MOST_ITEMS))
                .map(Value::from)
                .collect(),
            _ => return Err(TemplateError::NotAnArray(array.to_owned())),
        };
        let mut inner = self.clone();
        elements
            .iter()
            .enumerate()
            .map(|(index, element)| {
                inner.set("item", element.clone());
                inner.set("index", index);
                inner.value_at(item, depth + 1)
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array)
    }
}

/// Every name that a template mentions, those of `$each` and `$fill` included.
pub fn names_in(template: &Value) -> Vec<String> {
    let text = template.to_string();
    let mut names = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, name, after)) = next_placeholder(rest) {
        names.push(name.to_owned());
        rest = after;
    }
    for key in [r#""$each":""#, r#""$fill":""#] {
        let named = text.split(key).skip(1);
        names.extend(named.filter_map(|after| after.split('"').next().map(str::to_owned)));
    }
    names
}

fn each(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let array = members.get("$each")?.as_str()?;
    Some((array, members.get("item")?)).filter(|_| members.len() == 2)
}

fn fill(members: &Map<String, Value>) -> Option<&str> {
    let length = members.get("$fill").filter(|_| members.len() == 1);
    length.and_then(Value::as_str)
}

/// Lengths in bytes stay the same in ASCII lower case.
fn in_its_place(text: &str, of: &str, other: &str) -> String {
    let (lower, wanted) = (text.to_ascii_lowercase(), of.to_ascii_lowercase());
    let mut filled = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in lower.match_indices(&wanted) {
        let end = at + of.len();
        filled.push_str(&text[from..at]);
        if text[at..end] == *of {
            filled.push_str(other);
        } else {
            filled.push_str(&other.to_uppercase());
        }
        from = end;
    }
    filled.push_str(&text[from..]);
    filled
}

/// Text before, name, text after the first `{{name}}`.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find("{{") {
        let start = from + open + 2;
        let length = text[start..].find("}}")?;
        let name = &text[start..start + length];
        if !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return Some((&text[..start - 2], name, &text[start + length + 2..]));
        }
        from = start;
    }
    None
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// RFC 3986: everything but unreserved characters.
pub fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut encoded, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            encoded
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use serde_json::json;

    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.set("run", "abc");
        variables.set("alice", "alice.{{run}}@x.example");
        variables.set("greeting", "hello {{alice}}, {{run}}");
        variables.set("count", 7);
        variables
    }

    #[test]
    fn a_chain_of_placeholders_is_followed_to_its_end() {
        assert_eq!(
            variables().text("<{{greeting}}>").unwrap(),
            "<hello alice.abc@x.example, abc>"
        );
    }

    #[test]
    fn an_unknown_name_is_named() {
        assert_eq!(
            variables().text("{{nobody}}").unwrap_err().to_string(),
            "placeholder {{nobody}} has no value"
        );
    }

    #[test]
    fn a_ring_is_noticed() {
        let mut variables = variables();
        variables.set("a", "{{b}}");
        variables.set("b", "{{a}}{{a}}");
        assert_eq!(
            variables.text("{{a}}").unwrap_err(),
            TemplateError::Ring("a".into())
        );
    }

    #[test]
    fn a_lone_placeholder_keeps_its_type_and_text_does_not() {
        let filled = variables()
            .value(&json!({"n": "{{count}}", "t": "n={{count}}", "{{run}}": 1}))
            .unwrap();
        assert_eq!(filled, json!({"n": 7, "t": "n=7", "abc": 1}));
    }

    #[test]
    fn each_makes_one_item_per_element() {
        let mut variables = variables();
        variables.save("ids[]", json!("u1"));
        variables.save("ids[]", json!("u2"));
        let template = json!({"members": {"$each": "ids", "item": {"value": "{{item}}", "display": "m-{{index}}"}}});
        assert_eq!(
            variables.value(&template).unwrap(),
            json!({"members": [{"value": "u1", "display": "m-0"}, {"value": "u2", "display": "m-1"}]})
        );
        assert_eq!(
            variables
                .value(&json!({"$each": "run", "item": 1}))
                .unwrap_err(),
            TemplateError::NotAnArray("run".into())
        );
    }

    #[test]
    fn a_string_is_as_long_as_a_limit_wants_it() {
        let fill = |name: &str| variables().value(&json!({"a": {"$fill": name}}));
        assert_eq!(fill("count").unwrap(), json!({"a": "xxxxxxx"}));
        assert_eq!(
            fill("run").unwrap_err(),
            TemplateError::NotALength("run".into())
        );
        assert!(fill("nobody").is_err());
        assert_eq!(names_in(&json!({"a": {"$fill": "count"}})), ["count"]);
    }

    #[test]
    fn a_path_keeps_its_shape_whatever_the_id_holds() {
        let mut variables = variables();
        variables.set("id", "a/b?c#d e");
        assert_eq!(
            variables.path("/Users/{{id}}").unwrap(),
            "/Users/a%2Fb%3Fc%23d%20e"
        );
    }

    #[test]
    fn names_are_found_in_strings_keys_and_each() {
        let mut names =
            names_in(&json!({"a": "{{x}} {{y}}", "b": {"$each": "ids", "item": "{{item}}"}}));
        names.sort();
        assert_eq!(names, ["ids", "item", "x", "y"]);
    }

    #[test]
    fn a_text_that_stands_for_another_does_so_everywhere_but_in_paths() {
        let mut variables = variables();
        variables.set("team", "Team {{run}}");
        variables.put_instead("Team abc", "Labs");
        variables.put_instead("Labs renamed", "Labs");
        let template = json!({ "a": "{{team}}", "b": "say \"{{team}} renamed\"", "c": "TEAM abc" });
        assert_eq!(
            variables.value(&template).unwrap(),
            json!({ "a": "Labs", "b": "say \"Labs\"", "c": "LABS" })
        );
        assert_eq!(variables.path("/{{team}}").unwrap(), "/Team%20abc");
    }

    #[test]
    fn braces_that_are_no_placeholder_stay() {
        assert_eq!(
            variables().text("{{ x }} {{run}} {{").unwrap(),
            "{{ x }} abc {{"
        );
    }
}
