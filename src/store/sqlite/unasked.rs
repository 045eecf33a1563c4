//! Memberships of who is not to have access that nobody asked for here, and were
//! only found. They are taken away like all others, but for those that are
//! another connection's to end. What is taken away is this connection's to give
//! back, so from then on it is as if it had been asked for here (reliability:
//! I-14, I-15). But what was only found may have been ended by hand since, and that
//! is nobody's to give back: a look comes before it is taken away, and what that
//! shows to be gone is forgotten when the user comes back. What could not be looked
//! at in time is given back, as more is lost by forgetting it than by that.

use rusqlite::{Connection, params};

use crate::{
    plan::state::{Existence, GroupKey, UserKey},
    store::{Lane, Unseen},
};

use super::{
    fault::Result,
    groups, owners, seats,
    users::{User, principal_at},
    withdrawal::withdrawn,
};

/// The groups in which a user was found, and out of which it can be taken.
pub(super) fn of(db: &Connection, user: i64) -> Result<Vec<i64>> {
    let groups: Vec<i64> = db
        .prepare_cached(
            "SELECT m.group_key FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = ?1 AND m.desired = 1 AND m.managed = 0 AND m.observed <> 0
               AND (g.tombstone IS NULL OR g.existence <> 0) AND g.read_only IS NULL",
        )?
        .query_map([user], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut found = Vec::with_capacity(groups.len());
    for group in groups {
        if !seats::is_anothers(db, user, group)? {
            found.push(group);
        }
    }
    Ok(found)
}

/// They are asked for here from now on: to be taken away, and given back.
pub(super) fn take_on(db: &Connection, user: &User) -> Result<()> {
    for key in of(db, user.key)? {
        let Some(group) = groups::by_key(db, key)? else {
            continue;
        };
        owners::claim_group(db, &group)?;
        if let Some(family) = &group.family {
            seats::claim(db, user.key, &family.name)?;
        }
        db.prepare_cached(
            "UPDATE memberships SET managed = 1, found = max(found, 1)
             WHERE group_key = ?1 AND user_key = ?2",
        )?
        .execute(params![key, user.key])?;
        db.prepare_cached(
            "UPDATE groups SET unmanaged = unmanaged - 1 WHERE key = ?1 AND tombstone IS NULL",
        )?
        .execute([key])?;
    }
    Ok(())
}

/// See [`crate::store::Store::found_of_leavers`].
pub(super) fn of_leavers(db: &Connection, connection: i64) -> Result<Vec<UserKey>> {
    let leavers: Vec<i64> = db
        .prepare_cached(concat!(
            "SELECT u.key FROM users u
             WHERE u.connection = ?1 AND u.withdrawn <> 0 AND u.tombstone IS NULL AND u.wants = 0
               AND EXISTS (SELECT 1 FROM memberships m
                   WHERE m.user_key = u.key AND m.desired = 1 AND m.managed = 0) AND ",
            withdrawn!()
        ))?
        .query_map([connection], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut found = Vec::new();
    for user in leavers {
        if !of(db, user)?.is_empty() {
            found.push(UserKey(user));
        }
    }
    Ok(found)
}

/// Access is asked to end: whatever is only found of the user is to be seen. What
/// was stays so, as the user may have failed to come back only.
pub(super) fn mark(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached(
        "UPDATE memberships SET found = 1
         WHERE user_key = ?1 AND desired = 1 AND managed = 0 AND observed <> 0 AND found = 0
           AND group_key IN (SELECT key FROM groups WHERE tombstone IS NULL AND read_only IS NULL)",
    )?
    .execute([user])?;
    Ok(())
}

const OF_GROUP: &str = "SELECT u.key, u.id, u.account_key, u.upstream_id, g.key, g.upstream_name
     FROM memberships m INDEXED BY memberships_found
     JOIN users u ON u.key = m.user_key JOIN groups g ON g.key = m.group_key
     WHERE m.group_key = ?1 AND m.found = 1 AND m.desired = 1 AND m.sent = 0
       AND u.account_key IS NOT NULL AND u.tombstone IS NULL AND g.existence <> 0";
const OF_USER: &str = "SELECT u.key, u.id, u.account_key, u.upstream_id, g.key, g.upstream_name
     FROM memberships m JOIN users u ON u.key = m.user_key JOIN groups g ON g.key = m.group_key
     WHERE m.user_key = ?1 AND m.found = 1 AND m.desired = 1 AND m.observed <> 0
       AND u.account_key IS NOT NULL AND u.tombstone IS NULL AND g.existence <> 0";

/// See [`crate::store::Store::unseen`].
pub(super) fn unseen(db: &Connection, lane: Lane) -> Result<Vec<Unseen>> {
    let (sql, key) = match lane {
        Lane::Group(group) => (OF_GROUP, group.0),
        Lane::User(user) => (OF_USER, user.0),
    };
    let mut select = db.prepare_cached(sql)?;
    let found = select.query_map([key], |row| {
        Ok(Unseen {
            group: GroupKey(row.get(4)?),
            name: row.get(5)?,
            who: principal_at(row)?,
        })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// See [`crate::store::Store::note_looks`].
pub(super) fn note_looks(db: &Connection, pairs: &[(GroupKey, UserKey, bool)]) -> Result<()> {
    let mut seen = db.prepare_cached(
        "UPDATE memberships SET found = CASE WHEN ?3 THEN 2 ELSE 3 END
         WHERE group_key = ?1 AND user_key = ?2 AND found = 1",
    )?;
    for (group, user, there) in pairs {
        seen.execute(params![group.0, user.0, there])?;
    }
    Ok(())
}

/// The user is to have access again, and the account was not ended: what was taken
/// away is given back, but for what was gone already. Of what nobody was told yet
/// it is as before that it is only found.
pub(super) fn give_back(db: &Connection, user: &User) -> Result<()> {
    if user.observed.existence == Existence::Absent {
        return Ok(());
    }
    let stays: Vec<i64> = db
        .prepare_cached(
            "UPDATE memberships SET managed = 0, found = 0, observed = 1, before = NULL, stood = 0
             WHERE user_key = ?1 AND found = 1 AND managed = 1 AND desired = 1
               AND (observed = 1 OR observed = 2 AND sent IS NULL)
             RETURNING group_key",
        )?
        .query_map([user.key], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut count = db.prepare_cached(
        "UPDATE groups SET unmanaged = unmanaged + 1 WHERE key = ?1 AND tombstone IS NULL",
    )?;
    for group in stays {
        count.execute([group])?;
    }
    forget(db, user, true)
}

/// The account is new, or is to be put where it was: the same.
pub(super) fn forget_unseen(db: &Connection, user: &User) -> Result<()> {
    forget(db, user, false)
}

fn forget(db: &Connection, user: &User, managed: bool) -> Result<()> {
    let unseen: Vec<(i64, bool)> = db
        .prepare_cached(
            "DELETE FROM memberships
             WHERE user_key = ?1 AND found = 3 AND desired = 1 AND managed >= ?2
             RETURNING group_key, managed = 0",
        )?
        .query_map(params![user.key, managed], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut count = db.prepare_cached(
        "UPDATE groups SET members = members - 1, unmanaged = unmanaged - ?2,
             version = version + 1, seq = seq + 1, modified = max(modified, ?3)
         WHERE key = ?1 AND tombstone IS NULL",
    )?;
    let mut refused =
        db.prepare_cached("DELETE FROM refusals WHERE group_key = ?1 AND user_key = ?2")?;
    for (group, unmanaged) in &unseen {
        count.execute(params![group, unmanaged, user.modified])?;
        refused.execute([*group, user.key])?;
    }
    if !unseen.is_empty() {
        tracing::warn!(
            user = %user.id, memberships = unseen.len(),
            "what was only found, and was gone when it was to be taken away, is not given back"
        );
    }
    db.prepare_cached("UPDATE memberships SET found = 0 WHERE user_key = ?1 AND found <> 0")?
        .execute([user.key])?;
    Ok(())
}
