//! A list of one type without filter and order: what identity providers read
//! when they import, so the pages are found by the database itself.

use rusqlite::{CachedStatement, Connection, params};

use super::{super::candidate::table_of, groups, resource_after_key};
use crate::{
    scim::{query::SortKey, resource::ResourceType},
    store::{Item, Listing, Mark, Resource, Select, Start},
};

use super::super::fault::Result;

const LIVE: &str = "connection = ?1 AND tombstone IS NULL";

pub(super) fn list(
    db: &Connection,
    connection: i64,
    of: ResourceType,
    select: &Select,
) -> Result<Listing> {
    let total: i64 = count(db, of)?.query_row([connection], |row| row.get(0))?;
    let mut rows = page(db, connection, of, select)?;
    let mark = |row: &(i64, Resource)| Mark {
        key: SortKey::default(),
        of: of.into(),
        row: row.0,
    };
    let keys = rows.iter().map(|(key, _)| (of.into(), *key));
    let groups = groups(db, select, keys)?;
    let ends = rows.first().map(mark).zip(rows.last().map(mark));
    let (earlier, later) = match (&ends, &select.start) {
        (_, Start::Offset(offset)) => {
            let total = total.cast_unsigned();
            let end = offset.saturating_add(rows.len() as u64);
            (*offset > 0 && total > 0, end < total)
        }
        (Some((first, last)), _) => (
            is_live(db, of, "key < ?2", connection, first.row)?,
            is_live(db, of, "key > ?2", connection, last.row)?,
        ),
        // Nothing on the one side of the mark, so all is on the other.
        (None, Start::After(_)) => (total > 0, false),
        (None, Start::Before(_)) => (false, total > 0),
    };
    let items = rows.drain(..);
    let items = items.map(|(_, resource)| Item::Resource(of, resource));
    Ok(Listing {
        total: total.cast_unsigned(),
        items: items.collect(),
        ends,
        earlier,
        later,
        groups,
    })
}

/// The rows of the page, in order of creation.
fn page(
    db: &Connection,
    connection: i64,
    of: ResourceType,
    select: &Select,
) -> Result<Vec<(i64, Resource)>> {
    let limit = i64::try_from(select.limit).unwrap_or(i64::MAX);
    let row = |mark: &Option<Mark>, end: i64| mark.as_ref().map_or(end, |mark| mark.row);
    let (condition, order, from, offset) = match &select.start {
        Start::Offset(offset) => {
            let offset = i64::try_from(*offset).unwrap_or(i64::MAX);
            ("key > ?2", "ASC", i64::MIN, offset)
        }
        Start::After(mark) => ("key > ?2", "ASC", row(mark, i64::MIN), 0),
        Start::Before(mark) => ("key < ?2", "DESC", row(mark, i64::MAX), 0),
    };
    let sql = format!(
        "SELECT key, id, version, created, modified, attributes FROM {}
         WHERE {LIVE} AND {condition} ORDER BY key {order} LIMIT ?3 OFFSET ?4",
        table_of(of)
    );
    let mut rows: Vec<_> = db
        .prepare_cached(&sql)?
        .query_map(params![connection, from, limit, offset], |row| {
            Ok((row.get(0)?, resource_after_key(row)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    if matches!(select.start, Start::Before(_)) {
        rows.reverse();
    }
    Ok(rows)
}

fn count(db: &Connection, of: ResourceType) -> Result<CachedStatement<'_>> {
    let sql = format!("SELECT count(*) FROM {} WHERE {LIVE}", table_of(of));
    Ok(db.prepare_cached(&sql)?)
}

fn is_live(
    db: &Connection,
    of: ResourceType,
    condition: &str,
    connection: i64,
    row: i64,
) -> Result<bool> {
    let sql = format!(
        "SELECT 1 FROM {} WHERE {LIVE} AND {condition} LIMIT 1",
        table_of(of)
    );
    Ok(db.prepare_cached(&sql)?.exists([connection, row])?)
}
