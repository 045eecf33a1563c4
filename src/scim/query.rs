//! List queries: `filter`, sorting, paging by index or by cursor, `attributes`
//! and `excludedAttributes` (RFC 7644 sections 3.4.2 and 3.9, RFC 9865).
//!
//! A query string and a `.search` body are read into the same
//! [`SearchRequest`], so that they cannot differ in meaning. What a cursor
//! holds is not known here: it is text that is handed on with the query it
//! belongs to.

use std::{borrow::Cow, collections::HashSet};

use super::{
    error::{Problem, ScimType},
    filter::Filter,
    json::{Limits, quoted},
    resource::ResourceType,
    schema::Schemas,
};

mod projection;
mod search;
mod sort;

pub use projection::Projection;
pub use search::SearchRequest;
pub use sort::{SORT_KEY, Sort, SortKey};

/// A list request after parsing and clamping, for one resource type.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    pub filter: Option<Filter>,
    /// `None` leaves the order of creation.
    pub sort: Option<Sort>,
    pub descending: bool,
    pub page: Page,
    /// Clamped to the advertised maximum; 0 asks for totals only.
    pub count: u64,
    pub projection: Projection,
}

/// Which page, and by which of the two methods; by index unless a cursor is
/// given, because that is how clients asked before there were cursors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// One-based; values below 1 were taken as 1.
    Index(u64),
    Cursor {
        /// Empty for the first page.
        cursor: String,
        /// Everything else that was asked, in one text: a cursor belongs to
        /// exactly this query (RFC 9865 section 2).
        of_query: String,
    },
}

/// Page sizes: the default when `count` is absent, and the most served.
pub const DEFAULT_COUNT: u64 = 100;
pub const MAX_COUNT: u64 = 1_000;
/// Seconds for which a cursor is good.
pub const CURSOR_TIMEOUT: u64 = 3_600;

impl ListQuery {
    /// Reads an undecoded query string; decodes once, as a form. Unknown
    /// parameters, also without a value, are ignored.
    pub fn parse(
        query: &str,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
    ) -> Result<Self, Problem> {
        let request = SearchRequest::from_query(query, &[], limits)?;
        if limits.strict {
            request.shows_known(&[(of, schemas)])?;
        }
        request.among(of, schemas, limits)
    }
}

type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The decoded pairs of a query string that have a name; strictly no name is
/// given twice.
fn parameters(query: &str, strict: bool) -> Result<Vec<Parameter<'_>>, Problem> {
    let query = query.strip_prefix('?').unwrap_or(query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(name)?, decoded(value)?))
    });
    let pairs: Vec<Parameter<'_>> = pairs.collect::<Result<_, Problem>>()?;
    if strict {
        let mut seen = HashSet::new();
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !seen.insert(name)) {
            let detail = format!("the parameter {} is given twice", quoted(name));
            return Err(Problem::bad(ScimType::InvalidValue, detail));
        }
    }
    Ok(pairs)
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
