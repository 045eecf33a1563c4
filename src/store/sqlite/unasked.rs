//! Memberships of who is not to have access that nobody asked for here, and were
//! only found. They are taken away like all others, but for those that are
//! another connection's to end. What is taken away is this connection's to give
//! back, so from then on it is as if it had been asked for here (reliability:
//! I-14, I-15).

use rusqlite::{Connection, params};

use crate::plan::state::UserKey;

use super::{fault::Result, groups, owners, seats, users::User, withdrawal::withdrawn};

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
            "UPDATE memberships SET managed = 1 WHERE group_key = ?1 AND user_key = ?2",
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
