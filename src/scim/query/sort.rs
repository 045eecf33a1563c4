//! `sortBy` and `sortOrder` (RFC 7644 section 3.4.2.3): what a resource is
//! ordered by, as a key whose bytes compare as the values do.
//!
//! Of a multi-valued attribute the primary value counts, else the first. Text
//! is folded unless letter case counts; dates are instants. Who has no value
//! comes last, descending first. Membership is not sorted by: it is no part of
//! a resource's own attributes.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::scim::{
    error::{Problem, ScimType},
    filter::fold_case,
    json::{Limits, quoted},
    resource::ResourceType,
    schema::{Attribute, Named, Schemas, Type},
    value::{is_primary, is_unset},
};

/// Bytes of a text that count; what is equal so far is in order of creation.
/// It bounds the memory of a sort and the length of a cursor.
pub const SORT_KEY: usize = 200;

/// What to order by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    extension: Option<String>,
    attribute: String,
    sub: Option<String>,
    kind: Type,
    case_exact: bool,
}

/// A place in an order. Keys of different kinds compare too, so that resources
/// of several types can stand in one list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey(Box<[u8]>);

/// A key's first byte, which sets the kinds apart; nothing follows the last.
mod kind {
    pub(super) const TEXT: u8 = 1;
    pub(super) const FLAG: u8 = 2;
    pub(super) const NUMBER: u8 = 3;
    pub(super) const INSTANT: u8 = 4;
    pub(super) const MISSING: u8 = 255;
}

impl Sort {
    /// Reads `sortBy`. Where a type has no such value to sort by, all its
    /// resources are equal: `None`, and 400 `invalidPath` in strict mode. What
    /// is no attribute path at all is always refused.
    pub(super) fn parse(
        path: &str,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
    ) -> Result<Option<Self>, Problem> {
        let sort = Self::resolved(path.trim(), of, schemas, limits.strict)?;
        if sort.is_none() && limits.strict {
            let why = format!("is nothing that a {} can be sorted by", of.name());
            return Err(invalid(path, &why));
        }
        Ok(sort)
    }

    fn resolved(
        path: &str,
        of: ResourceType,
        schemas: &Schemas,
        strict: bool,
    ) -> Result<Option<Self>, Problem> {
        let (extension, attribute, sub) = match schemas.kind(of).resolve_as(path, strict) {
            Named::Attribute {
                extension,
                attribute,
                sub,
            } => (extension, attribute, sub),
            Named::Malformed => {
                return Err(invalid(
                    path,
                    "is no attribute; write attribute or attribute.subAttribute",
                ));
            }
            Named::Core | Named::Extension(_) | Named::Unknown => return Ok(None),
        };
        if extension.is_none() && is_membership(of, attribute) {
            return Ok(None);
        }
        let sub = match sub {
            None if attribute.kind == Type::Complex => attribute.sub("value"),
            sub => sub,
        };
        let compared = sub.unwrap_or(attribute);
        Ok((compared.kind != Type::Complex).then(|| Self {
            extension: extension.map(Into::into),
            attribute: attribute.name.clone(),
            sub: sub.map(|sub| sub.name.clone()),
            kind: compared.kind,
            case_exact: compared.case_exact,
        }))
    }

    /// The place of a resource, given as [`crate::scim::render::document`].
    pub fn key(&self, resource: &Map<String, Value>) -> SortKey {
        let key = self.value(resource).and_then(|value| self.encoded(value));
        key.unwrap_or_default()
    }

    /// The attribute of a resource's document that is looked at.
    pub fn looks_at(&self) -> &str {
        self.extension.as_deref().unwrap_or(&self.attribute)
    }

    fn value<'r>(&self, resource: &'r Map<String, Value>) -> Option<&'r Value> {
        let value = match &self.extension {
            None => resource.get(&self.attribute)?,
            Some(urn) => resource.get(urn)?.get(&self.attribute)?,
        };
        let value = match value {
            Value::Array(list) => list.iter().find(|v| is_primary(v)).or(list.first())?,
            single => single,
        };
        let value = match (&self.sub, value) {
            (Some(sub), Value::Object(map)) => map.get(sub)?,
            (_, simple) => simple,
        };
        (!is_unset(value)).then_some(value)
    }

    /// `None` for a value that is not of the attribute's type.
    fn encoded(&self, value: &Value) -> Option<SortKey> {
        match self.kind {
            Type::Boolean => Some(SortKey::new(kind::FLAG, &[u8::from(value.as_bool()?)])),
            Type::Decimal | Type::Integer => number(value.as_number()?),
            Type::DateTime => {
                let instant: jiff::Timestamp = value.as_str()?.parse().ok()?;
                let bytes = ordered(instant.as_nanosecond());
                Some(SortKey::new(kind::INSTANT, &bytes))
            }
            _ if self.case_exact => Some(text(value.as_str()?)),
            _ => Some(text(&fold_case(value.as_str()?))),
        }
    }
}

impl SortKey {
    fn new(kind: u8, value: &[u8]) -> Self {
        Self([&[kind], value].concat().into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub fn compare(&self, other: &Self, descending: bool) -> Ordering {
        let order = self.cmp(other);
        if descending { order.reverse() } else { order }
    }
}

/// The place of who has no value.
impl Default for SortKey {
    fn default() -> Self {
        Self::new(kind::MISSING, &[])
    }
}

/// `sortOrder`; ascending unless said otherwise.
/// Reads `sortOrder`, strictly as the RFC spells it.
pub(super) fn is_descending(order: Option<&str>, strict: bool) -> Result<bool, Problem> {
    let is = |order: &str, word: &str| {
        order == word || (!strict && order.trim().eq_ignore_ascii_case(word))
    };
    match order {
        None => Ok(false),
        Some(order) if is(order, "ascending") => Ok(false),
        Some(order) if is(order, "descending") => Ok(true),
        Some(other) => Err(Problem::bad(
            ScimType::InvalidValue,
            format!(
                "sortOrder must be ascending or descending, not {}",
                quoted(other)
            ),
        )),
    }
}

/// The refusal of a `sortBy`.
fn invalid(path: &str, why: &str) -> Problem {
    Problem::bad(
        ScimType::InvalidPath,
        format!("sortBy {} {why}", quoted(path)),
    )
}

fn is_membership(of: ResourceType, attribute: &Attribute) -> bool {
    attribute.name
        == match of {
            ResourceType::User => "groups",
            ResourceType::Group => "members",
        }
}

fn text(text: &str) -> SortKey {
    let bytes = text.as_bytes();
    SortKey::new(kind::TEXT, bytes.get(..SORT_KEY).unwrap_or(bytes))
}

/// As floating point, and whole numbers that share one exactly.
fn number(number: &Number) -> Option<SortKey> {
    // Minus zero is zero.
    let float = number.as_f64()? + 0.0;
    let bits = float.to_bits();
    let negative = bits >> 63 == 1;
    let bits = if negative { !bits } else { bits | 1 << 63 };
    let whole = match number.as_i128() {
        Some(whole) => whole,
        None => format!("{:.0}", float.floor()).parse().unwrap_or_default(),
    };
    let value = [&bits.to_be_bytes()[..], &ordered(whole)].concat();
    Some(SortKey::new(kind::NUMBER, &value))
}

/// Bytes that compare as the numbers do.
fn ordered(number: i128) -> [u8; 16] {
    (number ^ i128::MIN).to_be_bytes()
}

#[cfg(test)]
mod tests;
