//! `SearchRequest`: a list query before it is known which resource type is
//! asked, from a query string or from the body of a `.search` (RFC 7644
//! sections 3.4.2 and 3.4.3), which keeps filters about people out of
//! addresses and logs. Read strictly, nothing in it is unknown and nothing is
//! said twice.

use std::borrow::Cow;

use serde_json::json;

use super::{
    DEFAULT_COUNT, ListQuery, MAX_COUNT, Page, Projection, Sort, parameters, projection, sort,
};
use crate::scim::{
    error::{Problem, ScimType},
    filter::Filter,
    json::{Limits, quoted},
    resource::ResourceType,
    schema::Schemas,
};

mod message;

use message::Message;

/// A search before it is known which resource type is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    filter: Option<String>,
    /// Of a search in an address: what its filter must not name.
    guarded: Option<Vec<String>>,
    sort_by: Option<String>,
    descending: bool,
    start_index: u64,
    count: u64,
    cursor: Option<String>,
    attributes: String,
    excluded: String,
}

/// The parameters as they were given, not yet judged together.
#[derive(Debug, Default)]
struct Given {
    filter: Option<String>,
    guarded: Option<Vec<String>>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    start_index: Option<i128>,
    count: Option<i128>,
    cursor: Option<String>,
    attributes: String,
    excluded: String,
}

impl SearchRequest {
    /// Reads an undecoded query string, in which a filter must not name a
    /// `sensitive` attribute, see [`Filter::parse_in_address`]. Parameters that
    /// the RFCs do not know are ignored.
    pub fn from_query(query: &str, sensitive: &[String], limits: &Limits) -> Result<Self, Problem> {
        let mut given = Given {
            guarded: Some(sensitive.to_vec()),
            ..Given::default()
        };
        let (mut start, mut count) = (None, None);
        for (name, value) in parameters(query, limits.strict)? {
            match name.as_ref() {
                "filter" if given.filter.is_some() => {
                    let detail = "filter is given twice; join the parts with `and`";
                    return Err(Problem::bad(ScimType::InvalidFilter, detail));
                }
                "filter" => given.filter = Some(value.into()),
                "sortBy" => once(&mut given.sort_by, &name, &value)?,
                "sortOrder" => once(&mut given.sort_order, &name, &value)?,
                "cursor" => once(&mut given.cursor, &name, &value)?,
                "startIndex" => start = Some(value),
                "count" => count = Some(value),
                "attributes" => also(&mut given.attributes, &value),
                "excludedAttributes" => also(&mut given.excluded, &value),
                _ => {}
            }
        }
        let kind = kind_of_count(given.cursor.as_ref());
        let number = |name, value: Option<Cow<'_, str>>, kind| {
            let number = value.map(|value| whole_number(name, &value, kind));
            number.transpose()
        };
        given.start_index = number("startIndex", start, ScimType::InvalidValue)?;
        given.count = number("count", count, kind)?;
        given.judged(limits.strict)
    }

    /// Reads a body. What the RFCs do not know is ignored, strictly refused.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, Problem> {
        let body = Message::parse(body, limits)?;
        let cursor = body.text("cursor")?;
        let kind = kind_of_count(cursor.as_ref());
        let given = Given {
            filter: body.text("filter")?,
            guarded: None,
            sort_by: body.text("sortBy")?,
            sort_order: body.text("sortOrder")?,
            start_index: body.number("startIndex", ScimType::InvalidValue)?,
            count: body.number("count", kind)?,
            cursor,
            attributes: body.names("attributes")?,
            excluded: body.names("excludedAttributes")?,
        };
        given.judged(limits.strict)
    }

    /// Refuses what is to be shown or left out and none of some types has: to
    /// be asked when reading strictly, of all types of the list at once.
    pub fn shows_known(&self, types: &[(ResourceType, &Schemas)]) -> Result<(), Problem> {
        projection::demand_known("attributes", &self.attributes, types)?;
        projection::demand_known("excludedAttributes", &self.excluded, types)
    }

    /// This search among resources of one type.
    pub fn among(
        &self,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
    ) -> Result<ListQuery, Problem> {
        let filter = self.filter.as_deref();
        let filter = filter.map(|text| match &self.guarded {
            None => Filter::parse(text, of, schemas, limits),
            Some(names) => Filter::parse_in_address(text, of, schemas, limits, names),
        });
        let sort = self.sort_by.as_deref();
        let sort = sort.map(|path| Sort::parse(path, of, schemas, limits));
        Ok(ListQuery {
            filter: filter.transpose()?,
            sort: sort.transpose()?.flatten(),
            descending: self.descending,
            page: self.page(),
            count: self.count,
            projection: Projection::named(&self.attributes, &self.excluded, of, schemas),
        })
    }

    fn page(&self) -> Page {
        match &self.cursor {
            None => Page::Index(self.start_index),
            Some(cursor) => Page::Cursor {
                cursor: cursor.clone(),
                of_query: json!([
                    self.filter,
                    self.sort_by,
                    self.descending,
                    self.attributes,
                    self.excluded
                ])
                .to_string(),
            },
        }
    }
}

impl Given {
    /// Clamps the numbers and refuses what contradicts itself. An empty text
    /// asks for nothing, except that an empty cursor asks for the first page
    /// and an empty filter is a mistake, as strictly an empty order is.
    fn judged(self, strict: bool) -> Result<SearchRequest, Problem> {
        let some = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        if self.cursor.is_some() && self.start_index.is_some() {
            return Err(Problem::bad(
                ScimType::InvalidValue,
                "startIndex and cursor are two ways to say which page; send only one of them",
            ));
        }
        let order = if strict {
            self.sort_order
        } else {
            some(self.sort_order)
        };
        Ok(SearchRequest {
            filter: self.filter,
            guarded: self.guarded,
            sort_by: some(self.sort_by),
            descending: sort::is_descending(order.as_deref(), strict)?,
            start_index: clamped(self.start_index.unwrap_or(1), 1).min(i64::MAX.cast_unsigned()),
            count: self
                .count
                .map_or(DEFAULT_COUNT, |count| clamped(count, 0).min(MAX_COUNT)),
            cursor: self.cursor,
            attributes: self.attributes,
            excluded: self.excluded,
        })
    }
}

/// RFC 9865 has a word of its own for a wrong `count`.
fn kind_of_count(cursor: Option<&String>) -> ScimType {
    match cursor {
        Some(_) => ScimType::InvalidCount,
        None => ScimType::InvalidValue,
    }
}

/// Negative numbers count as 0 (RFC 7644 section 3.4.2.4).
fn clamped(number: i128, least: u64) -> u64 {
    let number = number.max(i128::from(least));
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn once(place: &mut Option<String>, name: &str, value: &str) -> Result<(), Problem> {
    match place.replace(value.to_owned()) {
        None => Ok(()),
        Some(_) => Err(Problem::bad(
            ScimType::InvalidValue,
            format!("{name} is given twice"),
        )),
    }
}

fn also(names: &mut String, more: &str) {
    if !names.is_empty() {
        names.push(',');
    }
    names.push_str(more);
}

/// An integer of any size, clamped.
fn whole_number(name: &str, value: &str, kind: ScimType) -> Result<i128, Problem> {
    let value = value.trim();
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Problem::bad(
            kind,
            format!("{name} must be a whole number, not {}", quoted(value)),
        ));
    }
    let number: i128 = digits.parse().unwrap_or(i128::MAX);
    Ok(if value.starts_with('-') {
        -number
    } else {
        number
    })
}
