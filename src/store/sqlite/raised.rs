//! A user has one group of a family, so what one connection had found there is shown
//! no more once another one has given another group in its place (see
//! [`super::sharing`]). It is kept apart, and fallen back to when that one takes its
//! own away: only where the application said that the membership was the found one
//! before, as long as it is the same one, and nobody took it away from here since.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::{
        operation::Operation,
        state::{Fallback, UserKey},
    },
    store::{GroupLearned, Millis, UNANSWERED},
};

use super::{
    fault::Result,
    groups::{self, Group},
    import,
    late::{self, Sent},
    sharing,
};

/// What another connection, `o` of it, had found of the account of the user `u`
/// before a call about a group `b` of this one.
macro_rules! of_account {
    () => {
        "users u JOIN users o ON o.upstream_id = u.upstream_id AND o.key <> u.key
             JOIN raised r ON r.user_key = o.key
             JOIN groups b ON b.key = r.by_group AND b.connection = u.connection
             JOIN groups g ON g.key = r.group_key AND g.family = b.family"
    };
}

/// Whether a call about the account of the user `o` in the family of `b` is on its way,
/// or may land yet.
const MAY_BE_GIVEN: &str = "SELECT 1 FROM raised r JOIN users o ON o.key = r.user_key
         JOIN groups b ON b.key = r.by_group
         JOIN users u ON u.connection = b.connection AND u.upstream_id = o.upstream_id
     WHERE r.group_key = ?1 AND r.user_key = ?2 AND (
         EXISTS (SELECT 1 FROM doubts d WHERE d.user_key = u.key)
         OR EXISTS (SELECT 1 FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = u.key AND m.observed = 2 AND g.family = b.family))";

/// Whose membership was that of another group before, as an answer told.
pub(super) fn note(
    db: &Connection,
    group: &Group,
    family: &str,
    learned: &GroupLearned,
) -> Result<()> {
    let added = added(learned);
    let mut forget = db.prepare_cached(concat!(
        "DELETE FROM raised WHERE (group_key, user_key) IN (
             SELECT r.group_key, r.user_key FROM ",
        of_account!(),
        " WHERE u.key = ?1 AND r.by_group = ?2)"
    ))?;
    let mut keep = db.prepare_cached(
        "INSERT OR REPLACE INTO raised (group_key, user_key, by_group, id)
         SELECT m.group_key, m.user_key, ?2, ?4 FROM users u
             JOIN connections c ON c.key = u.connection
             JOIN connections e ON e.site = c.site AND e.key <> c.key
             JOIN users o ON o.connection = e.key AND o.upstream_id = u.upstream_id
                 AND o.tombstone IS NULL AND o.wants = 1
             JOIN memberships m ON m.user_key = o.key
                 AND m.desired = 1 AND m.managed = 0 AND m.observed = 1
             JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL
                 AND g.offered = 1 AND g.family = ?3
         WHERE u.key = ?1 AND g.upstream_name IN (SELECT value FROM json_each(?5))",
    )?;
    for (user, holding) in &learned.holdings {
        let Some(holding) = holding.as_ref().filter(|_| added.contains(user)) else {
            continue;
        };
        // It was changed by somebody since, if it had to be said again.
        forget.execute([user.0, group.key])?;
        let formerly = serde_json::to_string(&holding.formerly)?;
        keep.execute(params![user.0, group.key, family, holding.id, formerly])?;
    }
    Ok(())
}

/// What a removal from a group falls back to; not of one that stands behind the one
/// by which it was given up.
pub(super) fn fallback(db: &Connection, group: i64, user: i64) -> Result<Option<Fallback>> {
    Ok(db
        .prepare_cached(concat!(
            "SELECT g.upstream_name, r.id FROM ",
            of_account!(),
            " JOIN groups own ON own.key = ?2 AND own.family = b.family AND own.rank <= b.rank
             WHERE u.key = ?1 AND o.tombstone IS NULL AND o.wants = 1 AND o.withdrawn = 0
               AND g.tombstone IS NULL AND g.offered = 1 AND g.upstream_name <> own.upstream_name
             ORDER BY g.rank, g.key LIMIT 1"
        ))?
        .query_row([user, group], |row| {
            Ok(Fallback {
                group: row.get(0)?,
                id: row.get(1)?,
            })
        })
        .optional()?)
}

/// Who has left a group, and is asked for in none of its family here any more, has
/// what was fallen back to: it is found there again. After a call that nobody answered
/// it may be so, and the next reading tells.
pub(super) fn settle(
    db: &Connection,
    group: &Group,
    family: &str,
    learned: &GroupLearned,
    at: Millis,
) -> Result<()> {
    let mut select = db.prepare_cached(concat!(
        "SELECT r.group_key, r.user_key, g.upstream_name,
             o.tombstone IS NULL AND o.wants = 1 AND o.withdrawn = 0,
             EXISTS (SELECT 1 FROM doubts d WHERE d.user_key = u.key AND d.group_key = ?2)
         FROM ",
        of_account!(),
        " WHERE u.key = ?1 AND b.family = ?3 AND NOT EXISTS (
             SELECT 1 FROM memberships m JOIN groups s ON s.key = m.group_key
             WHERE m.user_key = u.key AND m.desired = 1 AND m.managed = 1
               AND s.family = b.family)"
    ))?;
    for user in &learned.absent {
        let told = learned.holdings.iter().find(|(of, _)| of == user);
        let has = told.and_then(|(_, holding)| holding.as_ref());
        let rows = select.query_map(params![user.0, group.key, family], |row| {
            Ok((
                (row.get(0)?, row.get(1)?),
                row.get::<_, String>(2)?,
                row.get::<_, bool>(3)?,
                row.get::<_, bool>(4)?,
            ))
        })?;
        for (pair, name, shows, unclear) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
            let is_there = has.map_or(unclear && told.is_none(), |it| it.group == name);
            match (is_there, shows) {
                (true, true) => find_again(db, pair, at)?,
                (true, false) => late::note_pair(db, pair, Sent::Present, at)?,
                (false, _) => {}
            }
            drop_pair(db, pair)?;
        }
    }
    Ok(())
}

fn find_again(db: &Connection, (group, user): (i64, i64), at: Millis) -> Result<()> {
    let Some(mut group) = groups::by_key(db, group)? else {
        return Ok(());
    };
    let known = db
        .prepare_cached("SELECT 1 FROM memberships WHERE group_key = ?1 AND user_key = ?2")?
        .exists([group.key, user])?;
    let id = db
        .prepare_cached("SELECT id FROM users WHERE key = ?1")?
        .query_row([user], |row| row.get(0))?;
    if known || !import::find_member(db, &mut group, (user, id), None)? {
        return Ok(());
    }
    group.version += 1;
    group.seq += 1;
    group.modified = group.modified.max(at);
    groups::save(db, &group)?;
    sharing::note_found(db, &group, at)
}

/// It was asked to be none there. A call that gives it may be on its way: what comes of
/// that is looked at, and taken away.
pub(super) fn give_up(db: &Connection, pair: (i64, i64), at: Millis) -> Result<()> {
    if db.prepare_cached(MAY_BE_GIVEN)?.exists([pair.0, pair.1])? {
        late::note_pair(db, pair, Sent::Present, at)?;
    }
    drop_pair(db, pair)
}

fn drop_pair(db: &Connection, (group, user): (i64, i64)) -> Result<()> {
    db.prepare_cached("DELETE FROM raised WHERE group_key = ?1 AND user_key = ?2")?
        .execute([group, user])?;
    Ok(())
}

/// The same of a user who is deleted.
pub(super) fn give_up_all(db: &Connection, user: i64, at: Millis) -> Result<()> {
    let groups: Vec<i64> = db
        .prepare_cached("SELECT group_key FROM raised WHERE user_key = ?1")?
        .query_map([user], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for group in groups {
        give_up(db, (group, user), at)?;
    }
    Ok(())
}

/// Users of a group, with their ids.
pub(super) fn users_of(db: &Connection, group: i64) -> Result<Vec<(i64, [u8; 16])>> {
    let mut select = db.prepare_cached(
        "SELECT r.user_key, u.id FROM raised r JOIN users u ON u.key = r.user_key
         WHERE r.group_key = ?1",
    )?;
    let users = select.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(users.collect::<rusqlite::Result<_>>()?)
}

/// The account was ended by the connection that has given another group.
pub(super) fn ended(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached(concat!(
        "DELETE FROM raised WHERE (group_key, user_key) IN (
             SELECT r.group_key, r.user_key FROM ",
        of_account!(),
        " WHERE u.key = ?1)"
    ))?
    .execute([user])?;
    Ok(())
}

/// Whom answered calls have added.
fn added(learned: &GroupLearned) -> HashSet<UserKey> {
    let answered = learned.calls.iter().filter(|call| call.1 != UNANSWERED);
    let added = answered.filter_map(|(operation, ..)| match operation {
        Operation::AddMembers { members, .. } => Some(members),
        _ => None,
    });
    added.flatten().map(|member| member.user).collect()
}
