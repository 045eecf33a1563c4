//! PATCH (RFC 7644 section 3.5.2) in every dialect, as values.
//!
//! A body becomes a [`Patch`] without looking at the resource; members are
//! kept apart as [`MemberChange`]s, because membership is changed by deltas
//! and the present list is never needed (save for exotic filters).

use serde_json::Value;

use super::{
    error::Problem,
    filter::Filter,
    json::Limits,
    path::Path,
    resource::{Attributes, ResourceId, ResourceType},
    schema::Schemas,
};

/// A whole PATCH request; applied all or nothing, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    pub attributes: Vec<AttributeChange>,
    pub members: Vec<MemberChange>,
}

/// `op`, in any letter case on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Add,
    Remove,
    Replace,
}

/// One change of one attribute; path-less operations are split into one of
/// these per key.
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
    /// `remove` with a filter other than `value eq ".." [or value eq ".."]`.
    RemoveWhere(Filter),
}

/// Reads a PatchOp body.
pub fn parse(
    body: &[u8],
    of: ResourceType,
    schemas: &Schemas,
    limits: &Limits,
) -> Result<Patch, Problem> {
    let _ = (body, of, schemas, limits);
    Err(Problem::new(501, "not written yet"))
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
        let _ = (attributes, id, of, schemas);
        Err(Problem::new(501, "not written yet"))
    }
}
