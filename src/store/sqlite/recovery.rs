//! Recovery: the time in which nobody has confirmed yet that this database and
//! the application belong together (reliability: G-7, I-25). What was about to
//! be removed when it began is withheld and stays open, to be seen; only an
//! operator ends it. Before the first look of a process nothing is withheld yet,
//! and nobody is taken out of a group either.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::store::{Actor, Lane, Recovery, Why, is_same_application};

use super::{
    audit,
    fault::{Fault, Result},
    lanes,
    protected::keys,
    users,
};

/// At start: the application must be the one it was, and the database too.
pub(super) fn settle_in(
    db: &Connection,
    connection: i64,
    fingerprint: &str,
    doubt: Option<Why>,
    looks: bool,
    actor: &Actor,
) -> Result<Option<Recovery>> {
    let before: Option<String> = db
        .prepare_cached("SELECT fingerprint FROM connections WHERE key = ?1")?
        .query_row([connection], |row| row.get(0))?;
    let is_other = |before: &str| !is_same_application(before, fingerprint);
    let other = before.as_deref().is_some_and(is_other);
    let doubt = match doubt {
        Some(Why::LongStopped) if !waits_much(db, connection, actor)? => None,
        doubt => doubt,
    };
    let doubt = doubt.or(other.then_some(Why::AnotherApplication));
    // What the keys are of is known by it until they are learnt anew.
    if doubt != Some(Why::OtherKeys) {
        db.prepare_cached("UPDATE connections SET fingerprint = ?2 WHERE key = ?1")?
            .execute(params![connection, fingerprint])?;
    }
    if let Some(why) = doubt {
        begin(db, connection, why, actor)?;
    }
    db.prepare_cached("UPDATE connections SET unseen = ?2 AND recovery IS NULL WHERE key = ?1")?
        .execute(params![connection, looks])?;
    state(db, connection)
}

/// Whether more members are to be taken away from those whose access goes on than
/// the guard lets pass of a group.
fn waits_much(db: &Connection, connection: i64, actor: &Actor) -> Result<bool> {
    let guard = actor.watch.guard();
    let most = guard.map_or(0, |guard| guard.group_removals.more_than);
    let waiting: i64 = db
        .prepare_cached(
            "SELECT (SELECT count(*) FROM groups g
                JOIN memberships m ON m.group_key = g.key AND m.desired <> m.observed AND m.desired = 0
                JOIN users u ON u.key = m.user_key AND u.wants = 1 AND u.tombstone IS NULL
                WHERE g.connection = ?1)
              + (SELECT count(*) FROM groups g
                JOIN memberships m ON m.group_key = g.key AND m.desired = m.observed AND m.observed <> 0
                JOIN users u ON u.key = m.user_key AND u.wants = 1 AND u.tombstone IS NULL
                WHERE g.connection = ?1 AND g.tombstone IS NOT NULL AND g.existence <> 0)",
        )?
        .query_row([connection], |row| row.get(0))?;
    Ok(u64::try_from(waiting).is_ok_and(|waiting| waiting > most))
}

/// Whether nobody may be taken out of a group before the first look.
pub(super) fn is_unseen(db: &Connection, connection: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT unseen FROM connections WHERE key = ?1")?
        .query_row([connection], |row| row.get(0))?)
}

/// The lanes that have work because of it.
pub(super) fn note_seen(db: &Connection, connection: i64) -> Result<Vec<Lane>> {
    let seen = db
        .prepare_cached("UPDATE connections SET unseen = 0 WHERE key = ?1 AND unseen = 1")?
        .execute([connection])?;
    if seen == 0 {
        return Ok(Vec::new());
    }
    lanes::open(db, connection)
}

/// Before the first import writes anything: whether recovery began because of it.
pub(super) fn begin_first_import(
    db: &Connection,
    connection: i64,
    members: u64,
    actor: &Actor,
) -> Result<bool> {
    if was_imported(db, connection)? || members == 0 {
        return Ok(false);
    }
    begin(db, connection, Why::NewDatabase, actor)
}

pub(super) fn was_imported(db: &Connection, connection: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT imported FROM connections WHERE key = ?1")?
        .query_row([connection], |row| row.get(0))?)
}

pub(super) fn note_imported(db: &Connection, connection: i64) -> Result<()> {
    db.prepare_cached("UPDATE connections SET imported = 1 WHERE key = ?1 AND imported = 0")?
        .execute([connection])?;
    Ok(())
}

/// False when there is a recovery already that is for as much.
pub(super) fn begin(db: &Connection, connection: i64, why: Why, actor: &Actor) -> Result<bool> {
    let began = db
        .prepare_cached(
            "UPDATE connections SET recovery = ?2, recovery_since = ?3, unseen = 0
             WHERE key = ?1 AND (recovery IS NULL OR ?2 = ?4 AND recovery <> ?4)",
        )?
        .execute(params![
            connection,
            why.as_str(),
            actor.at,
            Why::OtherKeys.as_str()
        ])?;
    if began == 0 {
        return Ok(false);
    }
    let pairs = db
        .prepare_cached(
            "UPDATE memberships SET withheld = 1
             WHERE desired <> observed AND desired = 0 AND withheld = 0 AND group_key IN (SELECT key FROM groups WHERE connection = ?1)",
        )?
        .execute([connection])?;
    let groups = db
        .prepare_cached(
            "UPDATE groups SET withheld = 1
             WHERE connection = ?1 AND tombstone IS NOT NULL AND existence <> 0",
        )?
        .execute([connection])?;
    if why.is_foreign() {
        withhold_leavers(db, connection)?;
    }
    let detail = json!({ "why": why.as_str(), "memberships": pairs, "groups": groups });
    audit::record(db, connection, actor, "begin_recovery", None, &detail)?;
    Ok(true)
}

/// Why an account is not ended for now.
pub(super) const WAITS: &str =
    "the application is rather another one, or another tenant; it waits for the end of recovery";

/// Who was about to lose an account that is rather somebody else's.
fn withhold_leavers(db: &Connection, connection: i64) -> Result<()> {
    let leaving = "SELECT key FROM users
         WHERE connection = ?1 AND dirty = 1 AND wants = 0 AND refused IS NULL";
    for key in keys(db, leaving, connection)? {
        if let Some(mut user) = users::by_key(db, key)? {
            user.refused = Some(WAITS.to_owned());
            users::save(db, &user)?;
        }
    }
    Ok(())
}

fn let_leave(db: &Connection, connection: i64) -> Result<()> {
    let waiting = format!("SELECT key FROM users WHERE connection = ?1 AND refused = '{WAITS}'");
    for key in keys(db, &waiting, connection)? {
        if let Some(mut user) = users::by_key(db, key)? {
            user.refused = None;
            users::save(db, &user)?;
        }
    }
    Ok(())
}

pub(super) fn state(db: &Connection, connection: i64) -> Result<Option<Recovery>> {
    let state: Option<(Option<String>, Option<i64>)> = db
        .prepare_cached("SELECT recovery, recovery_since FROM connections WHERE key = ?1")?
        .query_row([connection], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((Some(why), since)) = state else {
        return Ok(None);
    };
    let why = Why::named(&why)
        .ok_or_else(|| Fault::broken("a recovery has a reason that does not exist"))?;
    Ok(Some(Recovery {
        why,
        since: since.unwrap_or(0),
    }))
}

/// Whether a connection is in recovery, by one of its groups.
pub(super) fn holds(db: &Connection, connection: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT recovery IS NOT NULL FROM connections WHERE key = ?1")?
        .query_row([connection], |row| row.get(0))?)
}

pub(super) fn is_any(db: &Connection, connection: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT recovery IS NOT NULL FROM connections WHERE key = ?1")?
        .query_row([connection], |row| row.get(0))?)
}

/// Whether what was noted then waits for the end of recovery.
pub(super) fn withholds(db: &Connection, connection: i64, noted: i64) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT recovery IS NOT NULL AND recovery_since >= ?2 FROM connections WHERE key = ?1",
        )?
        .query_row([connection, noted], |row| row.get(0))?)
}

/// The lanes that have work because of it; `None` when there was nothing to end.
pub(super) fn end(db: &Connection, connection: i64, actor: &Actor) -> Result<Option<Vec<Lane>>> {
    let ended = db
        .prepare_cached(
            "UPDATE connections SET recovery = NULL, recovery_since = NULL
             WHERE key = ?1 AND recovery IS NOT NULL",
        )?
        .execute([connection])?;
    if ended == 0 {
        return Ok(None);
    }
    db.prepare_cached(
        "UPDATE memberships SET withheld = 0 WHERE desired <> observed AND withheld = 1
         AND group_key IN (SELECT key FROM groups WHERE connection = ?1)",
    )?
    .execute([connection])?;
    db.prepare_cached("UPDATE groups SET withheld = 0 WHERE connection = ?1 AND withheld = 1")?
        .execute([connection])?;
    let_leave(db, connection)?;
    audit::record(db, connection, actor, "end_recovery", None, &json!({}))?;
    Ok(Some(lanes::open(db, connection)?))
}
