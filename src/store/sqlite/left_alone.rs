//! What may be ours and is left alone, as it may be somebody else's as well (see
//! `perhaps`). It is told until it is gone there, or somebody asks for it here
//! (reliability: H-15).

use rusqlite::{Connection, params};

use crate::{
    plan::state::Existence,
    store::{GroupLearned, LeftAlone, Millis},
};

use super::{audit, fault::Result, groups::Group, row::id_at};

/// What a turn says of that.
pub(super) fn learn(
    db: &Connection,
    group: &Group,
    learned: &GroupLearned,
    at: Millis,
) -> Result<()> {
    let is_ours = match learned.existence {
        Some(Existence::Present) => true,
        Some(Existence::Absent) => learned.foreign.is_none() && learned.group_refused.is_none(),
        _ => false,
    };
    if is_ours {
        forget(db, group)?;
    }
    if learned.remains.is_empty() {
        return Ok(());
    }
    let number = audit::latest(db)?;
    let mut note = db.prepare_cached(
        "INSERT INTO left_alone (connection, name, title, id, why, at, number)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET title = ?3, id = ?4, why = ?5, number = ?7",
    )?;
    for it in &learned.remains {
        let id = group.id.as_bytes();
        note.execute(params![
            group.connection,
            it.name,
            it.title,
            id,
            it.why,
            at,
            number
        ])?;
    }
    Ok(())
}

/// It is ours now, or there is nothing by its name.
pub(super) fn forget(db: &Connection, group: &Group) -> Result<()> {
    db.prepare_cached("DELETE FROM left_alone WHERE connection = ?1 AND name = ?2")?
        .execute(params![group.connection, group.upstream_name])?;
    Ok(())
}

pub(super) fn is_noted(db: &Connection, group: &Group) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM left_alone WHERE connection = ?1 AND name = ?2")?
        .exists(params![group.connection, group.upstream_name])?)
}

/// See [`crate::store::Returning::left_alone`]. Not what is told as refused, nor what
/// another connection to the same tenant has.
pub(super) fn all(db: &Connection, connection: i64, most: usize) -> Result<Vec<LeftAlone>> {
    let mut select = db.prepare_cached(
        "SELECT l.id, l.title, l.why, l.at FROM left_alone l
         WHERE l.connection = ?1 AND NOT EXISTS (
             SELECT 1 FROM groups g WHERE g.id = l.id AND g.tombstone IS NULL
               AND g.refused IS NOT NULL)
           AND NOT EXISTS (
               SELECT 1 FROM connections c
                   JOIN connections o ON o.site = c.site AND o.key <> c.key
                   JOIN groups g ON g.connection = o.key
               WHERE c.key = l.connection AND g.upstream_name = l.name
                 AND g.tombstone IS NULL AND g.existence = 1)
         ORDER BY l.at DESC LIMIT ?2",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map(params![connection, most], |row| {
        Ok(LeftAlone {
            group: id_at(row, 0)?,
            title: row.get(1)?,
            why: row.get(2)?,
            at: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// See [`crate::store::Returning::left_alone_before`].
pub(super) fn before(db: &Connection, connection: i64, since: i64) -> Result<Vec<String>> {
    let mut select = db.prepare_cached(
        "SELECT name FROM left_alone WHERE connection = ?1 AND number <= ?2 ORDER BY name",
    )?;
    let names = select.query_map([connection, since], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// See [`crate::store::Returning::forget_left_alone`].
pub(super) fn forget_gone(db: &Connection, connection: i64, name: &str, since: i64) -> Result<()> {
    db.prepare_cached(
        "DELETE FROM left_alone WHERE connection = ?1 AND name = ?2 AND number <= ?3",
    )?
    .execute(params![connection, name, since])?;
    Ok(())
}
