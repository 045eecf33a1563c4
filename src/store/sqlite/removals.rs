//! What was taken away lately, as rows with running sums: a window costs a
//! few look-ups whatever went in it, and outlives a restart.
//!
//! Times are the wall clock's, handed in with each write. They never go back
//! here: what seems to come from before the last row is put beside it. After the
//! clock was set the rows follow it, so that no window ends by that.
//!
//! What the application refuses was not taken and is taken back; the same
//! member, or the same user, counts once however often it is tried.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::guard::{Guard, History, Taking},
    store::{Millis, Why},
};

use super::fault::Result;

/// Writes overtake each other by so much without the clock having changed.
const DISORDER: Millis = 60_000;

// Each finds its row by an index.
const LAST: &str = "SELECT at, sum, sum_access FROM removals
     WHERE connection = ?1 ORDER BY at DESC, number DESC LIMIT 1";
const FIRST: &str = "SELECT sum - count, sum_access - (group_key IS NULL) * count FROM removals
     WHERE connection = ?1 AND at > ?2 ORDER BY at, number LIMIT 1";
const LAST_OF_GROUP: &str = "SELECT sum_group FROM removals
     WHERE group_key = ?1 ORDER BY at DESC, number DESC LIMIT 1";
const FIRST_OF_GROUP: &str = "SELECT sum_group - in_group, members FROM removals
     WHERE group_key = ?1 AND at > ?2 ORDER BY at, number LIMIT 1";
const CONNECTION: &str = "SELECT users, recovery FROM connections WHERE key = ?1";
const WAITING: &str = "SELECT 1 FROM held
     WHERE state = 'open' AND blocks IS NOT NULL AND blocks = ?1 AND at > ?2";
/// For showing what a removal costs.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 6] = [
    LAST,
    FIRST,
    LAST_OF_GROUP,
    FIRST_OF_GROUP,
    CONNECTION,
    WAITING,
];

/// Where something is taken away: a connection, and a group with its size
/// before, if it is from one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) connection: i64,
    pub(super) group: Option<(i64, u64)>,
}

#[derive(Default)]
struct Last {
    at: Millis,
    sum: i64,
    access: i64,
    group: i64,
}

fn millis(window: std::time::Duration) -> Millis {
    Millis::try_from(window.as_millis()).unwrap_or(Millis::MAX)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// What went before, in the windows that end at `now`.
pub(super) fn history(
    db: &Connection,
    guard: &Guard,
    place: Place,
    now: Millis,
) -> Result<History> {
    let (users, recovery): (i64, Option<String>) = db
        .prepare_cached(CONNECTION)?
        .query_row([place.connection], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let foreign = |why: &String| Why::named(why).is_some_and(Why::is_foreign);
    let mut history = History {
        users: count(users),
        recovery: recovery.is_some(),
        foreign: recovery.as_ref().is_some_and(foreign),
        ..History::default()
    };
    let last = last(db, place)?;
    let since = now.saturating_sub(millis(guard.removals.within));
    let first = db
        .prepare_cached(FIRST)?
        .query_row([place.connection, since], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    if let Some((sum, access)) = first {
        history.from_all = count(last.sum - sum);
        history.leavers = count(last.access - access);
    }
    let Some((group, size)) = place.group else {
        return Ok(history);
    };
    history.group_size = size;
    let since = now.saturating_sub(millis(guard.group_removals.within));
    let first = db
        .prepare_cached(FIRST_OF_GROUP)?
        .query_row([group, since], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        })
        .optional()?;
    if let Some((sum, members)) = first {
        history.from_group = count(last.group - sum);
        history.group_size = count(members);
    }
    history.waiting = db.prepare_cached(WAITING)?.exists([group, since])?;
    Ok(history)
}

fn last(db: &Connection, place: Place) -> Result<Last> {
    let mut last = db
        .prepare_cached(LAST)?
        .query_row([place.connection], |row| {
            Ok(Last {
                at: row.get(0)?,
                sum: row.get(1)?,
                access: row.get(2)?,
                group: 0,
            })
        })
        .optional()?
        .unwrap_or_default();
    if let Some((group, _)) = place.group {
        let sum = db
            .prepare_cached(LAST_OF_GROUP)?
            .query_row([group], |row| row.get(0))
            .optional()?;
        last.group = sum.unwrap_or(0);
    }
    Ok(last)
}

/// Writes down what is taken now and from whom, and forgets what no window
/// reaches.
pub(super) fn record(
    db: &Connection,
    guard: &Guard,
    place: Place,
    (taking, from): (Taking, &[i64]),
    now: Millis,
) -> Result<()> {
    let signed = |number| i64::try_from(number).unwrap_or(i64::MAX);
    let last = last(db, place)?;
    let at = if last.at > now.saturating_add(DISORDER) {
        follow_the_clock(db, place.connection, now)?;
        now
    } else {
        last.at.max(now)
    };
    let (weight, in_group) = (signed(taking.weight()), signed(taking.weight_in_group()));
    let access = if place.group.is_none() { weight } else { 0 };
    db.prepare_cached(
        "INSERT INTO removals
             (connection, at, group_key, count, in_group, members, sum, sum_group, sum_access)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        place.connection,
        at,
        place.group.map(|(group, _)| group),
        weight,
        in_group,
        place.group.map_or(0, |(_, size)| signed(size)),
        last.sum.saturating_add(weight),
        last.group.saturating_add(in_group),
        last.access.saturating_add(access),
    ])?;
    let (removal, group) = (db.last_insert_rowid(), of(place));
    let mut whom = db.prepare_cached(
        "INSERT OR REPLACE INTO taken (user_key, group_key, removal) VALUES (?1, ?2, ?3)",
    )?;
    for user in from {
        whom.execute([*user, group, removal])?;
    }
    let longest = guard.removals.within.max(guard.group_removals.within);
    db.prepare_cached("DELETE FROM removals WHERE connection = ?1 AND at <= ?2")?
        .execute([place.connection, at.saturating_sub(millis(longest))])?;
    Ok(())
}

/// What was counted as taken from a group since then, as far as it is remembered.
pub(super) fn from_group_since(db: &Connection, group: i64, since: Millis) -> Result<u64> {
    let sum: i64 = db
        .prepare_cached(
            "SELECT coalesce(sum(in_group), 0) FROM removals WHERE group_key = ?1 AND at >= ?2",
        )?
        .query_row([group, since], |row| row.get(0))?;
    Ok(count(sum))
}

/// Stand for a user's access, and for its site role, where a group could stand.
pub(super) const ACCESS: i64 = 0;
pub(super) const ROLE: i64 = -1;

fn of(place: Place) -> i64 {
    place.group.map_or(ACCESS, |(group, _)| group)
}

/// What these lose now counts from now on, and not also from before.
pub(super) fn count_anew(db: &Connection, place: Place, from: &[i64]) -> Result<()> {
    from.iter()
        .try_for_each(|user| take_back(db, of(place), *user))
}

/// The user has it still, or again: nothing was taken. The sums behind it are
/// as many as a window lets through.
pub(super) fn take_back(db: &Connection, group: i64, user: i64) -> Result<()> {
    let removal: Option<i64> = db
        .prepare_cached(
            "DELETE FROM taken WHERE user_key = ?1 AND group_key = ?2 RETURNING removal",
        )?
        .query_row([user, group], |row| row.get(0))
        .optional()?;
    let Some(removal) = removal else {
        return Ok(());
    };
    let (in_group, access) = (i64::from(group > ACCESS), i64::from(group == ACCESS));
    db.prepare_cached(
        "UPDATE removals SET sum = sum - 1, sum_access = sum_access - ?3,
             sum_group = sum_group - (?4 AND group_key IS ?2)
         WHERE connection = (SELECT connection FROM removals WHERE number = ?1)
           AND (at, number) >= (SELECT at, number FROM removals WHERE number = ?1)",
    )?
    .execute([removal, group, access, in_group])?;
    db.prepare_cached(
        "UPDATE removals SET count = count - 1, in_group = in_group - ?2 WHERE number = ?1",
    )?
    .execute([removal, in_group])?;
    db.prepare_cached("DELETE FROM removals WHERE number = ?1 AND count = 0")?
        .execute([removal])?;
    Ok(())
}

fn follow_the_clock(db: &Connection, connection: i64, now: Millis) -> Result<()> {
    db.prepare_cached("UPDATE removals SET at = ?2 WHERE connection = ?1 AND at > ?2")?
        .execute([connection, now])?;
    Ok(())
}

/// What a clock that said `was` counted when it was set to `is` counts as long by
/// the new one, and so does what waits in a group.
pub(super) fn move_along(db: &Connection, connection: i64, was: Millis, is: Millis) -> Result<()> {
    if is < was {
        return follow_the_clock(db, connection, is);
    }
    for put_on in [
        "UPDATE removals SET at = at + ?3 WHERE connection = ?1 AND at <= ?2",
        "UPDATE held SET at = at + ?3 WHERE connection = ?1 AND at <= ?2 AND state = 'open'",
    ] {
        db.prepare_cached(put_on)?
            .execute(params![connection, was, is.saturating_sub(was)])?;
    }
    Ok(())
}

/// A user came into being, or is one no more.
pub(super) fn count_users(db: &Connection, connection: i64, by: i64) -> Result<()> {
    db.prepare_cached("UPDATE connections SET users = users + ?2 WHERE key = ?1")?
        .execute([connection, by])?;
    Ok(())
}
