//! Which lanes have work, from the partial indexes on what differs. A lane
//! that is named here may still find that it must wait; its turn says so.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::{GroupKey, UserKey},
    scim::resource::{ResourceId, ResourceType},
    store::{Delay, Lane, Millis, Pending},
};

use super::{
    families, fault::Result, group_turn, groups, keys, leaving, named_again, recovery, row::id_at,
    user_turn, users, withdrawal,
};

/// The id of what a lane is about, a deleted one too.
pub(super) fn id_of(db: &Connection, lane: Lane) -> Result<Option<ResourceId>> {
    let (sql, key) = match lane {
        Lane::User(user) => ("SELECT id FROM users WHERE key = ?1", user.0),
        Lane::Group(group) => ("SELECT id FROM groups WHERE key = ?1", group.0),
    };
    let mut select = db.prepare_cached(sql)?;
    Ok(select.query_row([key], |row| id_at(row, 0)).optional()?)
}

/// Every lane with work, at start; users first, because adds wait for them.
pub(super) fn open(db: &Connection, connection: i64) -> Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    let mut select =
        db.prepare_cached("SELECT key FROM users WHERE connection = ?1 AND dirty = 1")?;
    let mut rows = select.query([connection])?;
    while let Some(row) = rows.next()? {
        lanes.push(Lane::User(UserKey(row.get(0)?)));
    }
    let mut select = db.prepare_cached(
        "SELECT key FROM groups WHERE connection = ?1 AND dirty = 1
         UNION
         SELECT g.key FROM (SELECT DISTINCT group_key FROM memberships WHERE desired <> observed) m
         JOIN groups g ON g.key = m.group_key
         WHERE g.connection = ?1 AND g.read_only IS NULL
           AND (g.refused IS NULL AND g.tombstone IS NULL
               -- Whose deletion was refused, and who leaves does not stay in it.
               OR g.refused IS NOT NULL AND g.tombstone IS NOT NULL)
         UNION
         SELECT key FROM groups
         WHERE connection = ?1 AND renamed = 1 AND tombstone IS NULL AND refused IS NULL",
    )?;
    let mut rows = select.query([connection])?;
    while let Some(row) = rows.next()? {
        lanes.push(Lane::Group(GroupKey(row.get(0)?)));
    }
    Ok(lanes)
}

/// The most pairs of one group in a preview.
const PREVIEWED: usize = 1_000;
/// Of so many users who wait it is told why.
const MOST_DELAYED: usize = 1_000;

/// What the next turns would be handed out, without handing it out.
pub(super) fn pending(
    db: &Connection,
    connection: i64,
    group: Option<ResourceId>,
    most: usize,
) -> Result<Vec<Pending>> {
    let mut pending = Vec::new();
    if group.is_none() {
        pending.extend(staged(db, connection, most)?);
    }
    let most = most - pending.len();
    let lanes = match group {
        None => open(db, connection)?,
        Some(id) => groups::key_of(db, connection, id)?
            .map(|key| Lane::Group(GroupKey(key)))
            .into_iter()
            .collect(),
    };
    let delayed = withdrawal::delayed(db, connection, MOST_DELAYED)?;
    let delayed: HashMap<ResourceId, Delay> = delayed.into_iter().collect();
    for lane in lanes.into_iter().take(most) {
        match lane {
            Lane::User(key) => match user_turn::prepare(db, key)? {
                Some((_, turn)) => pending.push(Pending::User(Box::new(turn))),
                None => {
                    let user = users::by_key(db, key.0)?.map(|user| user.id);
                    let open = keys::are_open(db, connection)?.then_some(&Delay::Keys);
                    let why = user.and_then(|id| Some((id, open.or(delayed.get(&id))?)));
                    let told = |(id, why): (_, &Delay)| {
                        Pending::Delayed(ResourceType::User, id, why.clone())
                    };
                    pending.extend(why.map(told));
                }
            },
            Lane::Group(key) => {
                let before = pending.len();
                if let Some((_, turn)) = group_turn::prepare(db, key, PREVIEWED)? {
                    pending.push(Pending::Group(Box::new(families::counted(db, turn)?)));
                }
                if let Some(turn) = group_turn::waiting(db, key, PREVIEWED)? {
                    pending.push(Pending::Waiting(Box::new(families::counted(db, turn)?)));
                }
                let why = if pending.len() == before {
                    why_group_waits(db, key)?
                } else {
                    why_removals_wait(db, key)?
                };
                pending.extend(why);
            }
        }
    }
    Ok(pending)
}

/// Of a group of which nothing is handed out.
fn why_group_waits(db: &Connection, key: GroupKey) -> Result<Option<Pending>> {
    let Some(group) = groups::by_key(db, key.0)? else {
        return Ok(None);
    };
    let differs = "SELECT 1 FROM memberships WHERE group_key = ?1 AND desired <> observed";
    let why = if keys::are_open(db, group.connection)?
        && (group.dirty() || db.prepare_cached(differs)?.exists([key.0])?)
    {
        Delay::Keys
    } else if named_again::must_wait(db, &group)? {
        Delay::SameName
    } else {
        return why_removals_wait(db, key);
    };
    Ok(Some(Pending::Delayed(ResourceType::Group, group.id, why)))
}

/// Of whoever is to go and stays for now, whatever else is sent.
fn why_removals_wait(db: &Connection, key: GroupKey) -> Result<Option<Pending>> {
    let Some(group) = groups::by_key(db, key.0)? else {
        return Ok(None);
    };
    // Whose access ends goes before a look, too.
    let removes = |withheld: bool| {
        let sql = "SELECT 1 FROM memberships m INDEXED BY memberships_open
                 JOIN users u ON u.key = m.user_key
             WHERE m.group_key = ?1 AND m.desired <> m.observed AND m.desired = 0
               AND m.withheld = ?2 AND (m.withheld OR u.wants AND u.tombstone IS NULL)";
        db.prepare_cached(sql)?.exists(params![key.0, withheld])
    };
    let why = if removes(true)? {
        Delay::Recovery
    } else if recovery::is_unseen(db, group.connection)? && removes(false)? {
        Delay::FirstLook
    } else {
        return Ok(None);
    };
    Ok(Some(Pending::Delayed(ResourceType::Group, group.id, why)))
}

fn staged(db: &Connection, connection: i64, most: usize) -> Result<Vec<Pending>> {
    let mut select =
        db.prepare_cached("SELECT id FROM users WHERE connection = ?1 AND dirty = 2 LIMIT ?2")?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map([connection, most], |row| {
        Ok(Pending::Staged(id_at(row, 0)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Of a membership the time is kept as long as its removal counts for the guard;
/// after that, and without the guard, it is the group's last change.
pub(super) fn oldest_revocation(db: &Connection, connection: i64) -> Result<Option<Millis>> {
    let mut oldest: Option<Millis> = None;
    for sql in [
        "SELECT min(coalesce(left_at, modified)) FROM users
         WHERE connection = ?1 AND dirty = 1 AND wants = 0 AND refused IS NULL",
        "SELECT min(tombstone) FROM groups
         WHERE connection = ?1 AND dirty = 1 AND tombstone IS NOT NULL AND withheld = 0",
        "SELECT min(coalesce(r.at, g.modified))
         FROM memberships m JOIN groups g ON g.key = m.group_key
         LEFT JOIN taken t ON t.user_key = m.user_key AND t.group_key = m.group_key
         LEFT JOIN removals r ON r.number = t.removal
         WHERE m.desired <> m.observed AND m.desired = 0 AND m.withheld = 0
           AND g.connection = ?1 AND g.tombstone IS NULL AND g.refused IS NULL
           AND g.read_only IS NULL",
    ] {
        let at: Option<Millis> = db
            .prepare_cached(sql)?
            .query_row([connection], |row| row.get(0))?;
        oldest = oldest.into_iter().chain(at).min();
    }
    Ok(oldest)
}

/// Live, writable groups in which a user's pair differs.
pub(super) fn open_groups_of(db: &Connection, user: i64) -> Result<Vec<GroupKey>> {
    let mut select = db.prepare_cached(
        "SELECT m.group_key FROM memberships m JOIN groups g ON g.key = m.group_key
         WHERE m.user_key = ?1 AND m.desired <> m.observed
           AND g.tombstone IS NULL AND g.refused IS NULL AND g.read_only IS NULL",
    )?;
    let groups = select.query_map([user], |row| row.get(0).map(GroupKey))?;
    Ok(groups.collect::<rusqlite::Result<_>>()?)
}

/// Marks the open adds of a user that is deactivated as changed now: the
/// application may refuse one that is in flight, and that must not take away
/// what an activation restores (reliability: H-17, I-15). Likewise what is being
/// taken away of one that is activated, of which nothing more is sent then. Returns
/// their groups, where such a call may wait to be sent.
pub(super) fn keep_open_adds(db: &Connection, user: i64) -> Result<Vec<GroupKey>> {
    let groups = db
        .prepare_cached(
            "UPDATE groups SET seq = seq + 1 WHERE key IN (
                 SELECT group_key FROM memberships
                 WHERE user_key = ?1 AND desired = 1 AND observed <> 1)
             RETURNING key",
        )?
        .query_map([user], |row| row.get(0).map(GroupKey))?
        .collect::<rusqlite::Result<_>>()?;
    db.prepare_cached(
        "UPDATE memberships SET seq = (SELECT seq FROM groups WHERE key = group_key)
         WHERE user_key = ?1 AND desired = 1 AND observed <> 1",
    )?
    .execute([user])?;
    Ok(groups)
}

/// Drops every pair of a group that is gone. Returns its deleted members, who
/// may have left for good by it: see [`finish_all`].
pub(super) fn purge_pairs(db: &Connection, group: i64) -> Result<Vec<i64>> {
    let leavers = deleted_members(db, group)?;
    db.prepare_cached("DELETE FROM memberships WHERE group_key = ?1")?
        .execute([group])?;
    Ok(leavers)
}

/// The same of those only who are to be no members.
pub(super) fn purge_leaving(db: &Connection, group: i64) -> Result<Vec<i64>> {
    let leavers = deleted_members(db, group)?;
    db.prepare_cached("DELETE FROM memberships WHERE group_key = ?1 AND desired = 0")?
        .execute([group])?;
    Ok(leavers)
}

/// Users that are deleted here, too, and have a pair in a group.
pub(super) fn deleted_members(db: &Connection, group: i64) -> Result<Vec<i64>> {
    let mut select = db.prepare_cached(
        "SELECT m.user_key FROM memberships m JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND u.tombstone IS NOT NULL",
    )?;
    let keys = select.query_map([group], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// See [`leaving::finish`].
pub(super) fn finish_all(
    db: &Connection,
    users: impl IntoIterator<Item = i64>,
) -> Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    for user in users {
        lanes.extend(withdrawal::relieve(db, user)?);
        lanes.extend(leaving::finish(db, user)?);
    }
    Ok(lanes)
}

/// Those of the named pairs that are not as they were at `seq`. A group that
/// was not written since is one row to read.
pub(super) fn written_since(
    db: &Connection,
    group: i64,
    seq: i64,
    users: Vec<UserKey>,
) -> Result<Vec<UserKey>> {
    let (now, gone): (i64, bool) = db
        .prepare_cached("SELECT seq, tombstone IS NOT NULL FROM groups WHERE key = ?1")?
        .query_row([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if now == seq {
        return Ok(Vec::new());
    }
    if gone {
        return Ok(users);
    }
    let mut select = db.prepare_cached(
        "SELECT 1 FROM memberships WHERE group_key = ?1 AND user_key = ?2 AND seq <= ?3",
    )?;
    let mut written = Vec::new();
    for user in users {
        if !select.exists([group, user.0, seq])? {
            written.push(user);
        }
    }
    Ok(written)
}

/// See [`crate::store::Working::gives_still`]. Whoever's access ends has a pair that is
/// written with it: see [`keep_open_adds`].
pub(super) fn gives_still(
    db: &Connection,
    group: i64,
    seq: i64,
    users: &[UserKey],
) -> Result<bool> {
    let now: Option<i64> = db
        .prepare_cached("SELECT seq FROM groups WHERE key = ?1 AND tombstone IS NULL")?
        .query_row([group], |row| row.get(0))
        .optional()?;
    if now.is_none_or(|now| now == seq) {
        return Ok(now.is_some());
    }
    let mut select = db.prepare_cached(
        "SELECT 1 FROM memberships m JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND m.user_key = ?2 AND m.desired = 1 AND u.tombstone IS NULL
           AND u.wants = 1 AND u.withdrawn = 0 AND u.existence = 1 AND u.unsure < 2",
    )?;
    for user in users {
        if !select.exists([group, user.0])? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Those of the named pairs that still differ.
pub(super) fn open_pairs(db: &Connection, group: i64, users: Vec<UserKey>) -> Result<Vec<UserKey>> {
    let mut select = db.prepare_cached(
        "SELECT 1 FROM memberships WHERE group_key = ?1 AND user_key = ?2 AND desired <> observed",
    )?;
    let mut open = Vec::new();
    for user in users {
        if select.exists([group, user.0])? {
            open.push(user);
        }
    }
    Ok(open)
}
