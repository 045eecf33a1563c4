//! The body of a `.search` as a message (RFC 7644 section 3.4.3): its members
//! by name in any letter case, each of the type it must be. Read strictly,
//! `schemas` names the message, there is no other member, and a list of names
//! is an array.

use serde_json::{Map, Number, Value};

use crate::scim::{
    error::{Problem, ScimType},
    json::{self, Limits, quoted},
    message::SEARCH_REQUEST,
};

const MEMBERS: [&str; 9] = [
    "schemas",
    "attributes",
    "excludedAttributes",
    "filter",
    "sortBy",
    "sortOrder",
    "startIndex",
    "count",
    "cursor",
];

pub(super) struct Message {
    members: Map<String, Value>,
    strict: bool,
}

impl Message {
    pub(super) fn parse(body: &[u8], limits: &Limits) -> Result<Self, Problem> {
        let Value::Object(members) = json::parse(body, limits)? else {
            return Err(syntax(
                "the body must be a JSON object such as {\"filter\": \"userName sw \\\"a\\\"\"}",
            ));
        };
        let strict = limits.strict;
        let message = Self { members, strict };
        if strict {
            message.is_named()?;
            message.has_no_other()?;
        }
        Ok(message)
    }

    fn is_named(&self) -> Result<(), Problem> {
        let schemas = self.member("schemas")?.and_then(Value::as_array);
        match schemas.map(Vec::as_slice) {
            Some([Value::String(urn)]) if urn.eq_ignore_ascii_case(SEARCH_REQUEST) => Ok(()),
            _ => Err(syntax(&format!("schemas must be [{SEARCH_REQUEST:?}]"))),
        }
    }

    fn has_no_other(&self) -> Result<(), Problem> {
        let known = |name: &str| MEMBERS.iter().any(|known| known.eq_ignore_ascii_case(name));
        let mut names = self.members.keys();
        match names.find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => {
                let (name, known) = (quoted(name), MEMBERS.join(", "));
                let detail = format!("a search has no member {name}; there are {known}");
                Err(syntax(&detail))
            }
        }
    }

    /// A member in any letter case; `null` is none.
    fn member(&self, name: &str) -> Result<Option<&Value>, Problem> {
        let members = self.members.iter();
        let mut found = members.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value);
        if found.next().is_some() {
            return Err(syntax(&format!("{name} is given twice")));
        }
        Ok(value.filter(|value| !value.is_null()))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.member(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "a string", ScimType::InvalidValue)),
        }
    }

    pub(super) fn number(&self, name: &str, kind: ScimType) -> Result<Option<i128>, Problem> {
        let Some(value) = self.member(name)? else {
            return Ok(None);
        };
        let number = value.as_number().and_then(whole);
        let refused = || wrong(name, "a whole number", kind);
        number.map(Some).ok_or_else(refused)
    }

    /// An array of names, leniently one string of them too; joined by commas.
    pub(super) fn names(&self, name: &str) -> Result<String, Problem> {
        let refused = || wrong(name, "an array of attribute names", ScimType::InvalidValue);
        match self.member(name)? {
            None => Ok(String::new()),
            Some(Value::String(text)) if !self.strict => Ok(text.clone()),
            Some(Value::Array(list)) => {
                let names: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                Ok(names.ok_or_else(refused)?.join(","))
            }
            Some(_) => Err(refused()),
        }
    }
}

/// A number without a fraction, clamped; 2.0 is one in JSON too.
fn whole(number: &Number) -> Option<i128> {
    if let Some(whole) = number.as_i128() {
        return Some(whole);
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
    let end = if float < 0.0 { i128::MIN } else { i128::MAX };
    Some(format!("{float:.0}").parse().unwrap_or(end))
}

fn wrong(name: &str, expected: &str, kind: ScimType) -> Problem {
    Problem::bad(kind, format!("{name} must be {expected}"))
}

fn syntax(detail: &str) -> Problem {
    Problem::bad(ScimType::InvalidSyntax, detail)
}
