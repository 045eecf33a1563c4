//! Lists and filters (RFC 7644 section 3.4.2). An index gives the candidates
//! where the filter has an equality for one; every candidate is then judged
//! by the filter itself. Rows are streamed: only the page is kept.

use rusqlite::{Connection, params, params_from_iter, types::Value as SqlValue};

use crate::{
    scim::{filter::Filter, resource::ResourceType},
    store::{Listing, Resource, Select},
};

use super::{
    candidate::{Candidates, Stored, table_of},
    fault::Result,
    read::resource_at,
};

/// Whether at most one row can match, so that the answer costs a point read.
pub(super) fn is_point(select: &Select) -> bool {
    let narrow = select.filter.as_ref().and_then(Filter::narrow);
    narrow.is_some_and(|narrow| narrow.is_point())
}

pub(super) fn list(
    db: &Connection,
    connection: i64,
    of: ResourceType,
    select: &Select,
) -> Result<Listing> {
    match &select.filter {
        // Total and page are of one moment.
        None => {
            let snapshot = db.unchecked_transaction()?;
            everything(&snapshot, connection, of, select)
        }
        Some(filter) => filtered(db, connection, of, select, filter),
    }
}

fn everything(
    db: &Connection,
    connection: i64,
    of: ResourceType,
    select: &Select,
) -> Result<Listing> {
    let table = table_of(of);
    let sql = format!("SELECT count(*) FROM {table} WHERE connection = ?1 AND tombstone IS NULL");
    let total: i64 = db
        .prepare_cached(&sql)?
        .query_row([connection], |row| row.get(0))?;
    let sql = format!(
        "SELECT id, version, created, modified, attributes FROM {table}
         WHERE connection = ?1 AND tombstone IS NULL ORDER BY key LIMIT ?2 OFFSET ?3"
    );
    let limit = i64::try_from(select.limit).unwrap_or(i64::MAX);
    let offset = i64::try_from(select.offset).unwrap_or(i64::MAX);
    let resources = db
        .prepare_cached(&sql)?
        .query_map(params![connection, limit, offset], resource_at)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Listing {
        total: total.cast_unsigned(),
        resources,
    })
}

fn filtered(
    db: &Connection,
    connection: i64,
    of: ResourceType,
    select: &Select,
    filter: &Filter,
) -> Result<Listing> {
    let Some(Candidates { condition, values }) = Candidates::of(filter, of) else {
        return Ok(Listing {
            total: 0,
            resources: Vec::new(),
        });
    };
    let sql = format!(
        "SELECT id, version, created, modified, attributes, key FROM {}
         WHERE connection = ?1 AND tombstone IS NULL AND {condition} ORDER BY key",
        table_of(of)
    );
    let mut statement = db.prepare_cached(&sql)?;
    let values = std::iter::once(connection.into()).chain(values);
    let mut rows = statement.query(params_from_iter::<Vec<SqlValue>>(values.collect()))?;
    let mut listing = Listing {
        total: 0,
        resources: Vec::new(),
    };
    let decided = filter.is_decided_by_index();
    while let Some(row) = rows.next()? {
        let resource = resource_at(row)?;
        if !decided && !judge(db, of, row.get(5)?, &resource, filter)? {
            continue;
        }
        let place = listing.total;
        listing.total += 1;
        let on_page = place >= select.offset && place - select.offset < select.limit;
        if on_page {
            listing.resources.push(resource);
        }
    }
    Ok(listing)
}

/// Whether a candidate matches.
fn judge(
    db: &Connection,
    of: ResourceType,
    key: i64,
    resource: &Resource,
    filter: &Filter,
) -> Result<bool> {
    let subject = Stored::new(db, of, key, resource);
    let matches = filter.matches(&subject);
    match subject.fault.into_inner() {
        Some(fault) => Err(fault),
        None => Ok(matches),
    }
}
