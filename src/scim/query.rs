//! List queries: `filter`, `startIndex`, `count`, `attributes`,
//! `excludedAttributes` (RFC 7644 sections 3.4.2 and 3.9).
//!
//! The query string is decoded here, once, as a form: `+` is a space. Sorting
//! is not offered, so its parameters are ignored like any unknown one.

use std::borrow::Cow;

use super::{
    error::{Problem, ScimType},
    filter::Filter,
    json::{Limits, quoted},
    resource::ResourceType,
    schema::Schemas,
};

mod projection;
mod search;

pub use projection::Projection;
pub use search::SearchRequest;

/// A list request after parsing and clamping.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    pub filter: Option<Filter>,
    /// One-based; values below 1 were taken as 1.
    pub start_index: u64,
    /// Clamped to the advertised maximum; 0 asks for totals only.
    pub count: u64,
    pub projection: Projection,
}

/// Page sizes: the default when `count` is absent, and the most served.
pub const DEFAULT_COUNT: u64 = 100;
pub const MAX_COUNT: u64 = 1_000;

impl ListQuery {
    /// Reads an undecoded query string; decodes once, as a form. Unknown
    /// parameters, also without a value, are ignored.
    pub fn parse(
        query: &str,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
    ) -> Result<Self, Problem> {
        Self::parse_guarding(query, of, schemas, limits, &[])
    }

    /// The same where a filter must not name a `sensitive` attribute, see
    /// [`Filter::parse_in_address`].
    pub fn parse_guarding(
        query: &str,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
        sensitive: &[String],
    ) -> Result<Self, Problem> {
        let mut filter = None;
        let mut start_index = 1;
        let mut count = DEFAULT_COUNT;
        for (name, value) in parameters(query)? {
            match name.as_ref() {
                "filter" if filter.is_some() => {
                    let detail = "filter is given twice; join the parts with `and`";
                    return Err(Problem::bad(ScimType::InvalidFilter, detail));
                }
                "filter" => {
                    let parsed = Filter::parse_in_address(&value, of, schemas, limits, sensitive);
                    filter = Some(parsed?);
                }
                "startIndex" => start_index = whole_number(&name, &value)?.max(1),
                "count" => count = whole_number(&name, &value)?.min(MAX_COUNT),
                _ => {}
            }
        }
        Ok(Self {
            filter,
            start_index,
            count,
            projection: Projection::parse(query, of, schemas)?,
        })
    }
}

/// An integer of any size, clamped; negative ones count as 0 (RFC 7644
/// section 3.4.2.4).
fn whole_number(name: &str, value: &str) -> Result<u64, Problem> {
    let value = value.trim();
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Problem::bad(
            ScimType::InvalidValue,
            format!("{name} must be a whole number, not {}", quoted(value)),
        ));
    }
    if value.starts_with('-') {
        return Ok(0);
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The decoded pairs of a query string that have a name.
fn parameters(query: &str) -> Result<Vec<Parameter<'_>>, Problem> {
    let query = query.strip_prefix('?').unwrap_or(query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// Form decoding. A percent sign that is no escape stands for itself.
fn decoded(text: &str) -> Result<Cow<'_, str>, Problem> {
    if !text.contains(['%', '+']) {
        return Ok(text.into());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = match byte {
            b'%' => bytes.get(at + 1..at + 3).and_then(hex),
            _ => None,
        };
        out.push(match (escape, byte) {
            (Some(byte), _) => byte,
            (None, b'+') => b' ',
            (None, byte) => *byte,
        });
        at += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| {
        Problem::bad(
            ScimType::InvalidValue,
            "the query is not UTF-8 after percent-decoding; encode it as UTF-8",
        )
    })
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let [high, low] = digits else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[cfg(test)]
mod tests;
