//! Calls of which no answer came may still take effect: a member that was
//! added late comes after its removal, an account that was created late after
//! its end (reliability: H-05, I-03). So the removal is sent at once, and when
//! the time has passed in which such a call can land, whatever is wanted
//! otherwise by then is doubted and said once more. Saying it costs what
//! looking would cost, and needs no read that may lag behind; where a look is
//! needed all the same, there is another one a lag later. A late call reaches
//! whoever has the name then, so a group's doubts outlive it.
//!
//! Most of what lands late lands soon. So the same is done once in between, while
//! more can land yet, and whatever lands is undone within the longer part of that
//! time, whenever it lands (I-03).

use rusqlite::{Connection, params};

use crate::{
    plan::state::ConnectionKey,
    store::{Millis, Unsettled},
};

use super::{audit, fault::Result, giving, groups::Group, perhaps};

mod recheck;

pub(super) use recheck::recheck;

/// Stands for "the account itself" and "the group itself".
pub(super) const ITSELF: i64 = 0;
/// Stands for "everybody who became a member later".
const NEWER: i64 = -1;

/// What is looked at is looked at twice, as a first look may lag behind
/// (reliability: H-05, H-12). `seq` tells that there was one.
const LOOKED: i64 = 1;

/// Which doubts are due.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    /// A call that was sent then, or earlier, lands no more.
    pub before: Millis,
    /// One that was sent then may have landed a while ago.
    pub early: Millis,
    pub now: Millis,
    /// By so much a look may lag behind.
    pub lag: Millis,
}

/// Which way a call went of which no answer came. In a family it is the group that
/// it gives, or takes away, whichever pair it was about: see `giving`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Absent = 0,
    Present = 1,
    /// Both, or it is not known any more.
    Either = 2,
    /// No call: a read that may have lagged behind told that it is as wanted.
    Read = 3,
    /// Neither: the call was about what an account has beside its access, as a role.
    Fields = 4,
}

impl Sent {
    pub(super) fn towards(present: bool) -> Self {
        if present { Self::Present } else { Self::Absent }
    }
}

const NOTE: &str = "ON CONFLICT DO UPDATE SET since = max(since, excluded.since), seq = 0,
     early = 0, sent = CASE WHEN excluded.sent IN (sent, 4) THEN sent
         WHEN sent = 4 THEN excluded.sent ELSE 2 END";

fn note(db: &Connection, user: i64, group: i64, sent: Sent, at: Millis) -> Result<()> {
    let sql = format!(
        "INSERT INTO doubts (user_key, group_key, sent, since) VALUES (?1, ?2, ?3, ?4) {NOTE}"
    );
    db.prepare_cached(&sql)?
        .execute(params![user, group, sent as i64, at])?;
    Ok(())
}

pub(super) fn note_account(db: &Connection, user: i64, sent: Sent, at: Millis) -> Result<()> {
    note(db, user, ITSELF, sent, at)
}

pub(super) fn note_group(db: &Connection, group: i64, sent: Sent, at: Millis) -> Result<()> {
    note(db, ITSELF, group, sent, at)
}

pub(super) fn note_pair(
    db: &Connection,
    (group, user): (i64, i64),
    sent: Sent,
    at: Millis,
) -> Result<()> {
    note(db, user, group, sent, at)
}

/// A pair of which only a read told. Noted once: what is said again because of
/// this may be read again, as of an application that does not tell of what is so
/// already, and that read is of a time at which nothing else was on its way.
pub(super) fn note_read(db: &Connection, (group, user): (i64, i64), at: Millis) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO doubts (user_key, group_key, sent, since)
         SELECT ?1, ?2, 3, ?3 WHERE NOT EXISTS (
             SELECT 1 FROM memberships
             WHERE user_key = ?1 AND group_key = ?2
               AND (reread = 1 OR desired = 0 AND doubted <> 0))
         ON CONFLICT DO UPDATE SET sent = CASE sent WHEN 3 THEN 3 ELSE 2 END,
             since = max(since, excluded.since) WHERE seq = 0",
    )?
    .execute([user, group, at])?;
    Ok(())
}

/// A replacement may land and take out who became a member after `seq`.
pub(super) fn note_newer(db: &Connection, group: i64, seq: i64, at: Millis) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO doubts (user_key, group_key, sent, since, seq) VALUES (?1, ?2, 0, ?3, ?4)
         ON CONFLICT DO UPDATE SET since = max(since, excluded.since), early = 0,
             seq = min(seq, excluded.seq)",
    )?
    .execute([NEWER, group, at, seq])?;
    Ok(())
}

/// Who is wanted in a group and could not be named in its replacement, because
/// the account was not there yet: it takes them out if it lands after them.
pub(super) fn note_unnamed(db: &Connection, group: i64, at: Millis) -> Result<()> {
    let sql = format!(
        "INSERT INTO doubts (user_key, group_key, sent, since)
         SELECT user_key, group_key, 0, ?2 FROM memberships INDEXED BY memberships_open
         WHERE group_key = ?1 AND desired <> observed AND desired = 1 AND observed = 0
         {NOTE}"
    );
    db.prepare_cached(&sql)?.execute([group, at])?;
    Ok(())
}

/// What may land on an account is its next bearer's.
pub(super) fn hand_over(db: &Connection, from: i64, to: i64) -> Result<()> {
    let sql = format!(
        "INSERT INTO doubts (user_key, group_key, sent, since)
         SELECT ?2, group_key, sent, since FROM doubts WHERE user_key = ?1 {NOTE}"
    );
    db.prepare_cached(&sql)?.execute([from, to])?;
    db.prepare_cached("DELETE FROM doubts WHERE user_key = ?1")?
        .execute([from])?;
    Ok(())
}

/// Whether a creation or deletion of which no answer came may land on what has
/// a group's name now, or has done so.
pub(super) fn is_doubted(db: &Connection, group: &Group) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM doubts d JOIN groups g ON g.key = d.group_key
             WHERE d.user_key = 0 AND g.connection = ?1 AND g.upstream_name = ?2",
        )?
        .exists(params![group.connection, group.upstream_name])?)
}

/// Whether any call about a group or somebody in it may land, or has done so; not where
/// only a read told of it.
pub(super) fn may_land_in(db: &Connection, group: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM doubts WHERE group_key = ?1 AND sent <> 3")?
        .exists([group])?)
}

/// The same of what was sent for another group that has had the name.
pub(super) fn is_doubted_by_another(db: &Connection, group: &Group) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM doubts d JOIN groups g ON g.key = d.group_key
             WHERE d.user_key = 0 AND g.connection = ?1 AND g.upstream_name = ?2 AND g.key <> ?3",
        )?
        .exists(params![group.connection, group.upstream_name, group.key])?)
}

/// Whether a call about a pair may still land, or has done so.
pub(super) fn is_doubted_pair(db: &Connection, (group, user): (i64, i64)) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM doubts WHERE user_key = ?1 AND group_key = ?2")?
        .exists([user, group])?)
}

/// The same of a call about the account itself.
pub(super) fn is_doubted_account(db: &Connection, user: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM doubts WHERE user_key = ?1 AND group_key = 0")?
        .exists([user])?)
}

/// Whether a call of a connection may still land, or has done so, of those that
/// were noted at that time or later.
pub(super) fn is_any(db: &Connection, connection: i64, since: Millis) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM doubts d
             LEFT JOIN users u ON u.key = d.user_key LEFT JOIN groups g ON g.key = d.group_key
             WHERE coalesce(g.connection, u.connection) = ?1 AND d.since >= ?2",
        )?
        .exists([connection, since])?)
}

/// How much may still change by a call that got no answer, or is not yet as sure as it
/// gets, because only a read told of it.
pub(super) fn unsettled(db: &Connection, connection: i64) -> Result<Unsettled> {
    let count = |sql: &str| -> Result<u64> {
        let count: i64 = db
            .prepare_cached(sql)?
            .query_row([connection], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    };
    Ok(Unsettled {
        users: count(
            "SELECT count(*) FROM doubts d JOIN users u ON u.key = d.user_key
             WHERE d.group_key = 0 AND u.connection = ?1",
        )?,
        groups: count(
            "SELECT count(DISTINCT d.group_key) FROM doubts d JOIN groups g ON g.key = d.group_key
             WHERE d.user_key <= 0 AND g.connection = ?1",
        )?,
        memberships: count(
            "SELECT count(*) FROM doubts d JOIN groups g ON g.key = d.group_key
             WHERE d.user_key > 0 AND g.connection = ?1",
        )?,
    })
}

/// Also those that are not configured any more.
pub(super) fn connections(db: &Connection) -> Result<Vec<ConnectionKey>> {
    let mut select = db.prepare_cached("SELECT key FROM connections ORDER BY key")?;
    let keys = select.query_map([], |row| row.get(0).map(ConnectionKey))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Every pair of a group whose call got no answer.
pub(super) fn note_pairs(db: &Connection, group: i64, at: Millis) -> Result<()> {
    let sql = format!(
        "INSERT INTO doubts (user_key, group_key, sent, since)
         SELECT user_key, group_key, sent, ?2 FROM memberships
         WHERE group_key = ?1 AND desired <> observed AND observed = 2 AND sent IS NOT NULL
         {NOTE}"
    );
    db.prepare_cached(&sql)?.execute(params![group, at])?;
    Ok(())
}

/// Every pair that a call may have named which was on its way when the process
/// ended. Which way it went is not known of one whose account was made anew since; one
/// that gives another group of a family can only have taken this one away.
fn note_handed_out(db: &Connection, group: i64, at: Millis) -> Result<()> {
    let sql = format!(
        "INSERT INTO doubts (user_key, group_key, sent, since)
         SELECT m.user_key, m.group_key, iif(v.open = 1, 0, coalesce(m.sent, 2)), ?2
         FROM memberships m
         LEFT JOIN giving v ON v.group_key = m.group_key AND v.user_key = m.user_key
         WHERE m.group_key = ?1 AND m.desired <> m.observed AND m.observed = 2
           AND NOT (v.open IS 1 AND m.sent IS 1)
         {NOTE}"
    );
    db.prepare_cached(&sql)?.execute(params![group, at])?;
    giving::note_interrupted(db, group, at)
}

/// What was in flight when the process ended.
pub(super) fn note_interrupted(db: &Connection, connection: i64, at: Millis) -> Result<()> {
    let groups: Vec<(i64, i64, i64, bool)> = db
        .prepare_cached(
            "SELECT g.key, max(g.existence, 2 * g.renamed), i.at_seq,
                 coalesce(i.detail ->> 'replaces', 0)
             FROM intents i JOIN groups g ON g.key = i.key
             WHERE i.lane = 'group' AND g.connection = ?1",
        )?
        .query_map([connection], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (group, existence, seq, replaces) in groups {
        perhaps::note_interrupted(db, group, replaces)?;
        note_handed_out(db, group, at)?;
        if replaces {
            note_members(db, group, at)?;
            note_unnamed(db, group, at)?;
            note_newer(db, group, seq, at)?;
        }
        if existence == 2 {
            note_group(db, group, Sent::Either, at)?;
        }
    }
    // Also of one that was there: a turn that looks first may have made it anew.
    let accounts: Vec<i64> = db
        .prepare_cached(
            "SELECT u.key FROM intents i JOIN users u ON u.key = i.key
             WHERE i.lane = 'user' AND u.unsure IN (1, 2) AND u.connection = ?1",
        )?
        .query_map([connection], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for user in accounts {
        note_account(db, user, Sent::Either, at)?;
    }
    audit::close_interrupted(db, connection, at)
}

/// Everybody that a replacement of which only this is left may have named.
fn note_members(db: &Connection, group: i64, at: Millis) -> Result<()> {
    let sql = format!(
        "INSERT INTO doubts (user_key, group_key, sent, since)
         SELECT user_key, group_key, 1, ?2 FROM memberships WHERE group_key = ?1 {NOTE}"
    );
    db.prepare_cached(&sql)?.execute([group, at])?;
    Ok(())
}

/// Whether anything was noted that long ago, or, because the clock was put
/// back, in the future.
pub(super) fn is_due(db: &Connection, when: &When) -> Result<bool> {
    let sql = format!("SELECT 1 FROM doubts d WHERE {DUE} OR {EARLY}");
    Ok(db
        .prepare_cached(&sql)?
        .exists([when.before, when.now, when.lag, when.early])?)
}

const DUE: &str = "(d.since <= ?1 AND (d.since <= ?1 - ?3 OR d.seq <> 1 OR d.user_key < 0)
     OR d.since > ?2)";
/// Not of what only a read told: nothing is on its way of that.
const EARLY: &str = "(d.since <= ?4 AND d.early = 0 AND d.sent <> 3)";

/// Moves what was noted by a clock that said `was` when it was set to `is`: all
/// of it if it was put on; if it was put back, what is in the future now, and
/// the rest waits a little longer than it needs to.
pub(super) fn move_along(db: &Connection, connection: i64, was: Millis, is: Millis) -> Result<()> {
    let (above, upto) = if is > was {
        (Millis::MIN, was)
    } else {
        (is, Millis::MAX)
    };
    db.prepare_cached(
        "UPDATE doubts SET since = since + ?1 WHERE since > ?2 AND since <= ?3 AND (
             group_key IN (SELECT key FROM groups WHERE connection = ?4)
             OR user_key IN (SELECT key FROM users WHERE connection = ?4))",
    )?
    .execute(params![is.saturating_sub(was), above, upto, connection])?;
    Ok(())
}
