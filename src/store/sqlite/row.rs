//! Small things that every table needs: ids, existence as a number, and the
//! comparison of versions.

use rusqlite::Row;

use crate::{
    plan::state::Existence,
    scim::resource::ResourceId,
    store::{Precondition, WriteError},
};

pub(super) fn id_at(row: &Row<'_>, column: usize) -> rusqlite::Result<ResourceId> {
    row.get(column).map(ResourceId::from_bytes)
}

pub(super) fn existence_code(existence: Existence) -> i64 {
    match existence {
        Existence::Absent => 0,
        Existence::Present => 1,
        Existence::Unknown => 2,
    }
}

pub(super) fn existence_of(code: i64) -> Existence {
    match code {
        0 => Existence::Absent,
        1 => Existence::Present,
        _ => Existence::Unknown,
    }
}

/// `If-Match` and `If-None-Match`, inside the transaction that writes.
pub(super) fn check(when: &Precondition, version: i64) -> Result<(), WriteError> {
    let version = version.cast_unsigned();
    let named = |list: &Vec<u64>| list.contains(&version);
    let matched = when.if_match.as_ref().is_none_or(named);
    let barred = when
        .if_none_match
        .as_ref()
        .is_some_and(|list| list.is_empty() || named(list));
    if matched && !barred {
        Ok(())
    } else {
        Err(WriteError::Stale(version))
    }
}
