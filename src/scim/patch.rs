//! PATCH (RFC 7644 section 3.5.2) in every dialect, as values.
//!
//! A body becomes a [`Patch`] without looking at the resource; members are
//! kept apart as [`MemberChange`]s, because membership is changed by deltas
//! and the present list is never needed (save for exotic filters).
//!
//! What identity providers send beyond the RFC is understood: operations in
//! any letter case, no path with dotted and URN-qualified keys, JSON in text,
//! a `remove` narrowed by its value, a filtered path that matches nothing yet.
//! Strict reading (see [`Limits`]) refuses all of that. What is not understood
//! is refused, never answered with success.

use serde_json::Value;

use super::{
    dropped::Taken,
    error::{Problem, ScimType},
    filter::Filter,
    json::{self, Limits},
    path::Path,
    resource::{Attributes, ResourceId, ResourceType},
    schema::Schemas,
};

mod apply;
mod read;

/// A whole PATCH request; applied all or nothing, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    pub attributes: Vec<AttributeChange>,
    pub members: Vec<MemberChange>,
    /// Whether a filter must find what it selects.
    strict: bool,
}

/// `op`, leniently in any letter case on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Add,
    Remove,
    Replace,
}

/// One change of one attribute; path-less operations are split into one of
/// these per key, and an object for a single complex attribute into one per
/// sub-attribute. The value is in its kept form; `None` clears.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeChange {
    pub verb: Verb,
    pub path: Path,
    pub value: Option<Value>,
}

/// One change of a group's members; ids as the client wrote them.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberChange {
    Add(Vec<String>),
    Remove(Vec<String>),
    RemoveAll,
    Replace(Vec<String>),
    /// `remove` with a filter other than `value eq ".." [or value eq ".."]`;
    /// ask [`Filter::matches_member`] for each member.
    RemoveWhere(Filter),
    /// A removal that selects nobody is `noTarget` (RFC 7644 table 9); lenient
    /// reading lets a removal that was sent twice be.
    Hitting(Box<MemberChange>),
}

/// Reads a `PatchOp` body.
pub fn parse(
    body: &[u8],
    of: ResourceType,
    schemas: &Schemas,
    limits: &Limits,
) -> Result<Taken<Patch>, Problem> {
    let Value::Object(body) = json::parse(body, limits)? else {
        return Err(read::syntax(
            "the body must be a JSON object with Operations",
        ));
    };
    let [schemas_named, operations] = read::named(body, ["schemas", "Operations"], limits.strict)?;
    if limits.strict {
        read::patch_op(schemas_named.as_ref())?;
    }
    let Some(Value::Array(operations)) = operations else {
        return Err(read::syntax(
            "Operations must be an array of objects with op, path and value",
        ));
    };
    if operations.is_empty() {
        return Err(read::syntax("Operations must hold at least one operation"));
    }
    if operations.len() > limits.operations {
        return Err(Problem::bad(
            ScimType::TooMany,
            format!(
                "more than {} operations in one request; send them in several",
                limits.operations
            ),
        ));
    }
    let mut reader = read::Reader::new(of, schemas, limits);
    for operation in operations {
        reader.operation(operation)?;
    }
    Ok(reader.patch())
}

impl Patch {
    /// Applies the attribute changes to `attributes`; true when anything
    /// changed. On an error `attributes` may be half changed: the caller
    /// works on a copy and drops it. An equal `id` is a no-op, a different
    /// one 400 `mutability`.
    pub fn apply(
        &self,
        attributes: &mut Attributes,
        id: &ResourceId,
        of: ResourceType,
        schemas: &Schemas,
    ) -> Result<bool, Problem> {
        apply::all(self, &mut attributes.0, *id, schemas.kind(of))
    }
}

#[cfg(test)]
mod tests;
