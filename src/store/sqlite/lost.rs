//! Families that are gone from the application as an operator says, who believes that
//! it does not show them any more. No call can prove that: a credential that has lost a
//! family is answered the same. So its groups are gone as any other (see `gone`), and
//! where the application shows one again, whoever was to leave it is taken out.

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{
    plan::state::UserKey,
    store::{Actor, Lane},
};

use super::{audit, fault::Result, gone, groups, lanes, refusals};

/// Of a group `g` of a family: it is known to be gone, as `Group::is_gone` says.
macro_rules! known_gone {
    () => {
        "(g.existence = 0 AND g.made = 1 AND g.refused IS NOT NULL)"
    };
}
pub(super) use known_gone;

/// Why nothing is sent for such a group.
const LOST: &str = "an operator has said that it is gone, as the application does not show it \
    any more (`drawbridge reconcile --apply --shrunk`); an import that shows it finds it again";

/// See [`crate::store::Store::families`].
pub(super) fn families(db: &Connection, connection: i64) -> Result<Vec<String>> {
    let mut select = db.prepare_cached(concat!(
        "SELECT DISTINCT g.family FROM groups g
         WHERE g.connection = ?1 AND g.family IS NOT NULL AND g.tombstone IS NULL AND NOT ",
        known_gone!()
    ))?;
    let families = select.query_map([connection], |row| row.get(0))?;
    Ok(families.collect::<rusqlite::Result<_>>()?)
}

/// See [`crate::store::Store::lose_family`].
pub(super) fn lose(
    db: &Connection,
    connection: i64,
    family: &str,
    actor: &Actor,
) -> Result<Vec<Lane>> {
    let waiting = leavers(db, connection, family)?;
    let groups: Vec<i64> = db
        .prepare_cached(concat!(
            "SELECT g.key FROM groups g
             WHERE g.connection = ?1 AND g.family = ?2 AND g.tombstone IS NULL AND NOT ",
            known_gone!()
        ))?
        .query_map(params![connection, family], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut left = Vec::new();
    for key in groups {
        let Some(mut group) = groups::by_key(db, key)? else {
            continue;
        };
        left.extend(gone::note(db, &mut group, LOST, actor.at)?);
        gone::forget_found(db, &mut group, actor.at)?;
        refusals::forget_group(db, key)?;
        // What a turn of before learns says nothing of it.
        group.seq += 1;
        groups::save(db, &group)?;
        let detail = json!({ "lost": family });
        audit::record(db, connection, actor, "drift", Some(group.id), &detail)?;
    }
    db.prepare_cached(
        "DELETE FROM holdings WHERE family = ?2
         AND user_key IN (SELECT key FROM users WHERE connection = ?1)",
    )?
    .execute(params![connection, family])?;
    let mut lanes = lanes::finish_all(db, left)?;
    lanes.extend(waiting);
    Ok(lanes)
}

/// Whose end waits, and who has something there, or is shown to.
fn leavers(db: &Connection, connection: i64, family: &str) -> Result<Vec<Lane>> {
    let mut select = db.prepare_cached(
        "SELECT DISTINCT u.key FROM groups g JOIN memberships m ON m.group_key = g.key
         JOIN users u ON u.key = m.user_key
         WHERE g.connection = ?1 AND g.family = ?2 AND g.tombstone IS NULL AND u.dirty = 1
           AND (u.tombstone IS NOT NULL OR u.wants = 0)",
    )?;
    let users = select.query_map(params![connection, family], |row| {
        Ok(Lane::User(UserKey(row.get(0)?)))
    })?;
    Ok(users.collect::<rusqlite::Result<_>>()?)
}
