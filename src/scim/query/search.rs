//! `SearchRequest`, the list query as a body (RFC 7644 section 3.4.3), for
//! clients that keep filters about people out of addresses and logs.

use serde_json::{Map, Value};

use super::{DEFAULT_COUNT, ListQuery, MAX_COUNT, Projection};
use crate::scim::{
    error::{Problem, ScimType},
    filter::Filter,
    json::{self, Limits},
    resource::ResourceType,
    schema::Schemas,
};

/// A search before it is known which resource type is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    pub filter: Option<String>,
    /// One-based; values below 1 were taken as 1.
    pub start_index: u64,
    /// Clamped to the advertised maximum.
    pub count: u64,
    attributes: String,
    excluded: String,
}

impl SearchRequest {
    /// Reads a body. Sorting is not offered, so `sortBy` and `sortOrder` are
    /// ignored, as is what the RFC does not know.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, Problem> {
        let Value::Object(body) = json::parse(body, limits)? else {
            return Err(Problem::bad(
                ScimType::InvalidSyntax,
                "the body must be a JSON object such as {\"filter\": \"userName sw \\\"a\\\"\"}",
            ));
        };
        let start = number(&body, "startIndex")?;
        let count = number(&body, "count")?;
        let filter = match member(&body, "filter")? {
            None => None,
            Some(Value::String(filter)) => Some(filter.clone()),
            Some(_) => return Err(wrong("filter", "a string")),
        };
        Ok(Self {
            filter,
            start_index: start.unwrap_or(1).max(1),
            count: count.unwrap_or(DEFAULT_COUNT).min(MAX_COUNT),
            attributes: names(&body, "attributes")?,
            excluded: names(&body, "excludedAttributes")?,
        })
    }

    /// This search among resources of one type.
    pub fn among(
        &self,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
    ) -> Result<ListQuery, Problem> {
        let filter = self.filter.as_deref();
        let filter = filter.map(|text| Filter::parse(text, of, schemas, limits));
        Ok(ListQuery {
            filter: filter.transpose()?,
            start_index: self.start_index,
            count: self.count,
            projection: Projection::named(&self.attributes, &self.excluded, of, schemas),
        })
    }
}

/// A member in any letter case; `null` is none.
fn member<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a Value>, Problem> {
    let mut found = body.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    let value = found.next().map(|(_, value)| value);
    if found.next().is_some() {
        return Err(Problem::bad(
            ScimType::InvalidSyntax,
            format!("{name} is given twice"),
        ));
    }
    Ok(value.filter(|value| !value.is_null()))
}

/// Negative numbers count as 0 (RFC 7644 section 3.4.2.4).
fn number(body: &Map<String, Value>, name: &str) -> Result<Option<u64>, Problem> {
    let Some(value) = member(body, name)? else {
        return Ok(None);
    };
    let number = match value.as_i64() {
        Some(number) => Some(u64::try_from(number).unwrap_or(0)),
        None => value.as_u64(),
    };
    number
        .map(Some)
        .ok_or_else(|| wrong(name, "a whole number"))
}

/// An array of names, or one string of them; joined by commas.
fn names(body: &Map<String, Value>, name: &str) -> Result<String, Problem> {
    let refused = || wrong(name, "an array of attribute names");
    match member(body, name)? {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(list)) => {
            let names: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            Ok(names.ok_or_else(refused)?.join(","))
        }
        Some(_) => Err(refused()),
    }
}

fn wrong(name: &str, expected: &str) -> Problem {
    Problem::bad(ScimType::InvalidValue, format!("{name} must be {expected}"))
}
