//! Memberships that the application refused for good after, perhaps, the
//! answer was given: told in the status until the pair is asked for again, so
//! that no difference from what the identity provider believes is silent
//! (reliability: I-01).

use rusqlite::{Connection, params};

use crate::{
    scim::resource::ResourceId,
    store::{Millis, Refused, RefusedUser},
};

use super::fault::Result;

pub(super) fn note(
    db: &Connection,
    (group, user): (i64, i64),
    wanted: bool,
    reason: &str,
    at: Millis,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO refusals (group_key, user_key, wanted, at, reason) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET wanted = excluded.wanted, at = excluded.at,
             reason = excluded.reason",
    )?
    .execute(params![group, user, wanted, at, reason])?;
    Ok(())
}

/// The pair is asked for again, one way or the other.
pub(super) fn forget(db: &Connection, group: i64, user: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM refusals WHERE group_key = ?1 AND user_key = ?2")?
        .execute([group, user])?;
    Ok(())
}

/// The user or the group is gone.
pub(super) fn forget_user(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM refusals WHERE user_key = ?1")?
        .execute([user])?;
    Ok(())
}

pub(super) fn forget_group(db: &Connection, group: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM refusals WHERE group_key = ?1")?
        .execute([group])?;
    Ok(())
}

pub(super) fn list(db: &Connection, connection: i64, most: usize) -> Result<Vec<Refused>> {
    let mut select = db.prepare_cached(
        "SELECT g.id, u.id, r.wanted, r.at, r.reason
         FROM refusals r JOIN groups g ON g.key = r.group_key JOIN users u ON u.key = r.user_key
         WHERE g.connection = ?1 ORDER BY r.at DESC LIMIT ?2",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map([connection, most], |row| {
        Ok(Refused {
            group: ResourceId::from_bytes(row.get(0)?),
            user: ResourceId::from_bytes(row.get(1)?),
            wanted: row.get(2)?,
            at: row.get(3)?,
            reason: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Accounts, whose refusal stands in their own rows.
pub(super) fn users(db: &Connection, connection: i64, most: usize) -> Result<Vec<RefusedUser>> {
    let mut select = db.prepare_cached(
        "SELECT id, refused FROM users
         WHERE connection = ?1 AND tombstone IS NULL AND refused IS NOT NULL
         ORDER BY modified DESC, key DESC LIMIT ?2",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map(params![connection, most], |row| {
        Ok(RefusedUser {
            user: ResourceId::from_bytes(row.get(0)?),
            reason: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
