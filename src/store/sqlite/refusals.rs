//! What the application refused for good after, perhaps, the answer was given:
//! told in the status until it is asked for again, so that no difference from
//! what the identity provider believes is silent (reliability: I-01). Nobody
//! can ask again for the end of what is deleted here, so that is tried again
//! with every reconciliation that repairs.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{
    plan::state::{GroupKey, UserKey},
    scim::resource::{ResourceId, ResourceType},
    store::{Actor, Lane, Millis, Refused, RefusedAct, RefusedResource},
};

use super::{
    audit,
    fault::Result,
    groups,
    protected::{REASON, told},
    recovery,
    row::id_at,
    upheld, users,
};

/// Of refusals `r` those that are told. A removal that was refused and is tried
/// once more, because the user's access ends, is pending then and nothing else;
/// should it be refused again, or the user return, it is told again. What was left of a
/// deleted user whose account has ended is told of whoever has that account next, but
/// for what a guard rail withholds.
macro_rules! told {
    () => {
        "NOT (r.wanted = 0 AND (EXISTS (
             SELECT 1 FROM memberships m JOIN users w ON w.key = m.user_key
             WHERE m.group_key = r.group_key AND m.user_key = r.user_key AND m.desired = 1
               AND m.observed = 2 AND w.withdrawn <> 0
               AND (w.refused IS NULL OR w.withdrawn = 3))
             OR EXISTS (SELECT 1 FROM users d WHERE d.key = r.user_key
               AND d.tombstone IS NOT NULL AND d.withdrawn = 0 AND NOT EXISTS (
                 SELECT 1 FROM memberships m WHERE m.group_key = r.group_key
                   AND m.user_key = r.user_key AND m.withheld <> 0))))"
    };
}

/// Of refusals `r` of users `u` those that sleep: an inactive user is to have nothing,
/// so an addition is told no more until the user is active again; unless the pair is
/// there after all, or may be.
macro_rules! sleeps {
    () => {
        "(r.wanted = 1 AND u.wants = 0
             AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.group_key = r.group_key
                 AND m.user_key = r.user_key AND m.observed <> 0)
             AND NOT EXISTS (SELECT 1 FROM doubts d WHERE d.group_key = r.group_key
                 AND d.user_key = r.user_key))"
    };
}

/// Whether a membership `m` waits for a user that was refused: nobody is put into a
/// group who has no account.
macro_rules! user_refused {
    () => {
        "(m.desired = 1 AND m.observed <> 1 AND EXISTS (
             SELECT 1 FROM users s WHERE s.key = m.user_key AND s.tombstone IS NULL
               AND s.refused IS NOT NULL AND s.wants = 1
               AND NOT (s.existence = 1 AND s.unsure < 2)))"
    };
}
pub(super) use user_refused;

/// Whether a group `g` is left out of the configuration and gone: nobody misses it.
macro_rules! let_go {
    () => {
        "(g.offered = 0 AND g.tombstone IS NULL AND g.existence = 0 AND g.made = 1)"
    };
}
pub(super) use let_go;

/// Such memberships, of live groups that were not refused themselves.
macro_rules! with_their_users {
    () => {
        concat!(
            "FROM users u JOIN memberships m ON m.user_key = u.key
                 JOIN groups g ON g.key = m.group_key
             WHERE u.connection = ?1 AND u.tombstone IS NULL AND u.refused IS NOT NULL
               AND g.tombstone IS NULL AND g.refused IS NULL
               AND NOT EXISTS (SELECT 1 FROM refusals r
                   WHERE r.group_key = m.group_key AND r.user_key = m.user_key) AND ",
            user_refused!()
        )
    };
}

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

/// The end of a membership is refused with its user's; a removal of its own that was
/// refused before is as old as it was.
pub(super) fn note_end(
    db: &Connection,
    (group, user): (i64, i64),
    reason: &str,
    at: Millis,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO refusals (group_key, user_key, wanted, at, reason) VALUES (?1, ?2, 0, ?3, ?4)
         ON CONFLICT DO UPDATE SET wanted = 0, reason = excluded.reason,
             at = iif(wanted = 0, at, excluded.at)",
    )?
    .execute(params![group, user, at, reason])?;
    Ok(())
}

/// The pair is asked for again, one way or the other.
pub(super) fn forget(db: &Connection, group: i64, user: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM refusals WHERE group_key = ?1 AND user_key = ?2")?
        .execute([group, user])?;
    Ok(())
}

/// Nobody else is asked for in a group than who is in it, whoever was refused
/// there.
pub(super) fn forget_unasked(db: &Connection, group: i64) -> Result<()> {
    db.prepare_cached(
        "DELETE FROM refusals WHERE group_key = ?1 AND wanted = 1 AND NOT EXISTS (
             SELECT 1 FROM memberships m
             WHERE m.group_key = ?1 AND m.user_key = refusals.user_key AND m.desired = 1)",
    )?
    .execute([group])?;
    Ok(())
}

/// Removals that were refused and that no row tells of any more: what a late call has
/// left of somebody, and what took it away again was refused as well. They are told
/// until one of them succeeds, or somebody is asked for there.
const LEFT: &str = "SELECT r.group_key, r.user_key
     FROM refusals r JOIN groups g ON g.key = r.group_key JOIN users u ON u.key = r.user_key
     WHERE g.connection = ?1 AND r.wanted = 0 AND r.reason <> ?2
       AND g.tombstone IS NULL AND g.read_only IS NULL AND g.refused IS NULL
       AND u.tombstone IS NULL AND NOT EXISTS (
           SELECT 1 FROM memberships m
           WHERE m.group_key = r.group_key AND m.user_key = r.user_key)";

/// The same of one user, with the connection.
const LEFT_OF: &str = "SELECT r.group_key, g.connection
     FROM refusals r JOIN groups g ON g.key = r.group_key
     WHERE r.user_key = ?1 AND r.wanted = 0 AND r.reason <> ?2
       AND g.tombstone IS NULL AND g.read_only IS NULL AND NOT EXISTS (
           SELECT 1 FROM memberships m
           WHERE m.group_key = r.group_key AND m.user_key = r.user_key)";

/// A row again for what was left, with what `doubted` says of it: 2 where nobody asks.
fn reopen(db: &Connection, (group, user): (i64, i64), doubted: i64, withheld: bool) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO memberships (group_key, user_key, user_id, desired, observed, managed, seq,
             doubted, withheld)
         SELECT g.key, u.key, u.id, 0, 2, 1, g.seq, ?3, ?4
         FROM groups g JOIN users u ON u.key = ?2 WHERE g.key = ?1",
    )?
    .execute(params![group, user, doubted, withheld])?;
    Ok(())
}

/// Has every removal of what was left tried once more.
fn retry_left(db: &Connection, connection: i64, actor: &Actor) -> Result<Vec<Lane>> {
    let left: Vec<(i64, i64)> = db
        .prepare_cached(LEFT)?
        .query_map(params![connection, REASON], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let withheld = recovery::withholds(db, connection, actor.at)?;
    for pair in &left {
        reopen(db, *pair, 2, withheld)?;
    }
    let groups: BTreeSet<i64> = left.into_iter().map(|(group, _)| group).collect();
    Ok(groups
        .into_iter()
        .map(|it| Lane::Group(GroupKey(it)))
        .collect())
}

/// Somebody is asked to be out of a group of whom no row tells. Whether something of
/// theirs was left there: then it is an ordinary removal, and its answer is theirs.
pub(super) fn ask_left(db: &Connection, (group, user): (i64, i64), seq: i64) -> Result<bool> {
    let is_left = db
        .prepare_cached(
            "SELECT 1 FROM refusals WHERE group_key = ?1 AND user_key = ?2 AND wanted = 0
             AND reason <> ?3",
        )?
        .exists(params![group, user, REASON])?;
    if is_left {
        reopen(db, (group, user), 0, false)?;
        db.prepare_cached(
            "UPDATE memberships SET seq = ?3 WHERE group_key = ?1 AND user_key = ?2",
        )?
        .execute(params![group, user, seq])?;
    }
    Ok(is_left)
}

/// Whoever is deleted has still what was left of them.
pub(super) fn forget_but_left(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached(
        "DELETE FROM refusals WHERE user_key = ?1 AND (wanted = 1 OR reason = ?2 OR EXISTS (
             SELECT 1 FROM memberships m
             WHERE m.group_key = refusals.group_key AND m.user_key = ?1))",
    )?
    .execute(params![user, REASON])?;
    Ok(())
}

/// The account of whoever was deleted is another user's by now, and with it what was
/// left; but not where that one is asked for.
pub(super) fn hand_over(db: &Connection, from: i64, to: i64) -> Result<()> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO refusals (group_key, user_key, wanted, at, reason)
         SELECT r.group_key, ?2, 0, r.at, r.reason
         FROM refusals r JOIN groups g ON g.key = r.group_key
         WHERE r.user_key = ?1 AND r.wanted = 0 AND r.reason <> ?3
           AND g.tombstone IS NULL AND g.read_only IS NULL AND NOT EXISTS (
               SELECT 1 FROM memberships m
               WHERE m.group_key = r.group_key AND m.user_key = ?2)",
    )?
    .execute(params![from, to, REASON])?;
    forget_user(db, from)
}

/// The user has an account now, with all that was left of whoever had it before: it is
/// taken away. Returns the groups.
pub(super) fn take_away_left(db: &Connection, user: i64, at: Millis) -> Result<Vec<GroupKey>> {
    let left: Vec<(i64, i64)> = db
        .prepare_cached(LEFT_OF)?
        .query_map(params![user, REASON], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (group, connection) in &left {
        let withheld = recovery::withholds(db, *connection, at)?;
        reopen(db, (*group, user), 1, withheld)?;
    }
    Ok(left.into_iter().map(|(group, _)| GroupKey(group)).collect())
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
    let mut found = Vec::new();
    for sql in [
        concat!(
            "SELECT g.id, u.id, r.wanted, r.at, r.reason, ",
            sleeps!(),
            " AS sleeps
             FROM refusals r JOIN groups g ON g.key = r.group_key
                 JOIN users u ON u.key = r.user_key
             WHERE g.connection = ?1 AND ",
            told!(),
            " ORDER BY sleeps, r.at DESC LIMIT ?2"
        ),
        concat!(
            "SELECT g.id, u.id, 1, u.modified, 'it waits for the User, who was refused: ' || u.refused, 0 ",
            with_their_users!(),
            " LIMIT ?2"
        ),
    ] {
        let left = i64::try_from(most.saturating_sub(found.len())).unwrap_or(i64::MAX);
        let mut select = db.prepare_cached(sql)?;
        let rows = select.query_map([connection, left], |row| {
            Ok(Refused {
                group: ResourceId::from_bytes(row.get(0)?),
                user: ResourceId::from_bytes(row.get(1)?),
                wanted: row.get(2)?,
                at: row.get(3)?,
                reason: told(row.get(4)?),
                sleeps: row.get(5)?,
            })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

/// How many there are to be told.
pub(super) fn count(db: &Connection, connection: i64) -> Result<u64> {
    let mut count = 0;
    for sql in [
        concat!(
            "SELECT count(*) FROM refusals r JOIN groups g ON g.key = r.group_key
                 JOIN users u ON u.key = r.user_key
             WHERE g.connection = ?1 AND ",
            told!(),
            " AND NOT ",
            sleeps!()
        ),
        concat!("SELECT count(*) ", with_their_users!()),
    ] {
        let mut select = db.prepare_cached(sql)?;
        count += select.query_row([connection], |row| row.get::<_, i64>(0))?;
    }
    Ok(count.cast_unsigned())
}

/// The columns that tell what was refused: deleted, wanted, there.
fn act_of(deleted: bool, wanted: bool, there: bool) -> RefusedAct {
    match (deleted, wanted, there) {
        (true, ..) => RefusedAct::Delete,
        (_, false, _) => RefusedAct::Deactivate,
        (.., false) => RefusedAct::Create,
        (.., true) => RefusedAct::Change,
    }
}

/// Users and groups, those that are deleted here first.
pub(super) fn resources(
    db: &Connection,
    connection: i64,
    most: usize,
) -> Result<Vec<RefusedResource>> {
    let mut found = Vec::new();
    for (of, sql) in [
        (
            ResourceType::User,
            "SELECT id, 1, wants, existence = 1, modified, refused FROM users
             WHERE connection = ?1 AND tombstone IS NOT NULL AND account_key IS NOT NULL
               AND refused IS NOT NULL LIMIT ?2",
        ),
        (
            ResourceType::Group,
            concat!(
                "SELECT id, tombstone IS NOT NULL, 1, existence = 1, modified, refused
                 FROM groups g WHERE connection = ?1 AND refused IS NOT NULL AND NOT ",
                let_go!(),
                " ORDER BY tombstone IS NULL LIMIT ?2"
            ),
        ),
        (
            ResourceType::User,
            "SELECT id, 0, wants, existence = 1, modified, refused FROM users
             WHERE connection = ?1 AND tombstone IS NULL AND refused IS NOT NULL
             ORDER BY wants LIMIT ?2",
        ),
    ] {
        let left = i64::try_from(most.saturating_sub(found.len())).unwrap_or(i64::MAX);
        let mut select = db.prepare_cached(sql)?;
        let rows = select.query_map([connection, left], |row| {
            Ok(RefusedResource {
                of,
                id: id_at(row, 0)?,
                asked: act_of(row.get(1)?, row.get(2)?, row.get(3)?),
                at: row.get(4)?,
                reason: told(row.get(5)?),
            })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

/// Has every end that was refused tried once more: of accounts that must not
/// be there, of groups that are deleted here, and of what late calls left.
pub(super) fn retry_ends(db: &Connection, connection: i64, actor: &Actor) -> Result<Vec<Lane>> {
    let keys = |sql: &str| -> Result<Vec<i64>> {
        let mut select = db.prepare_cached(sql)?;
        let keys = select.query_map(params![connection, REASON], |row| row.get(0))?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    };
    let mut lanes = Vec::new();
    for key in keys(
        "SELECT key FROM users
         WHERE connection = ?1 AND tombstone IS NOT NULL AND account_key IS NOT NULL
           AND refused <> ?2
         UNION ALL
         SELECT key FROM users
         WHERE connection = ?1 AND tombstone IS NULL AND wants = 0 AND refused <> ?2",
    )? {
        if let Some(mut user) = users::by_key(db, key)? {
            user.refused = None;
            users::save(db, &user)?;
            lanes.push(Lane::User(UserKey(key)));
        }
    }
    for key in keys(
        "SELECT key FROM groups
         WHERE connection = ?1 AND tombstone IS NOT NULL AND refused <> ?2",
    )? {
        if let Some(mut group) = groups::by_key(db, key)? {
            group.refused = None;
            groups::save(db, &group)?;
            lanes.push(Lane::Group(GroupKey(key)));
        }
    }
    if !lanes.is_empty() {
        let detail = json!({ "ends": lanes.len() });
        audit::record(db, connection, actor, "try_again", None, &detail)?;
    }
    lanes.extend(retry_left(db, connection, actor)?);
    lanes.extend(upheld::of_deleted(db, connection, actor)?);
    Ok(lanes)
}
