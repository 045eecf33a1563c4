//! Point reads and counts: one resource, one group's members, the numbers for
//! status.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    scim::resource::{ResourceId, ResourceType},
    store::{Counts, Members, Meta, Resource},
};

use super::{ended_elsewhere, families, fault::Result, late, refusals, row::id_at};

pub(super) fn resource(
    db: &Connection,
    connection: i64,
    of: ResourceType,
    id: ResourceId,
) -> Result<Option<Resource>> {
    let sql = match of {
        ResourceType::User => {
            "SELECT id, version, created, modified, attributes FROM users
             WHERE id = ?1 AND connection = ?2 AND tombstone IS NULL"
        }
        ResourceType::Group => {
            "SELECT id, version, created, modified, attributes FROM groups
             WHERE id = ?1 AND connection = ?2 AND tombstone IS NULL"
        }
    };
    let found = db
        .prepare_cached(sql)?
        .query_row(params![id.as_bytes(), connection], resource_at)
        .optional()?;
    Ok(found)
}

/// One state of everything, for several statements; it ends when this is
/// dropped. Cached, because it would cost more to compile than a point read.
pub(super) struct Moment<'db>(&'db Connection);

impl<'db> Moment<'db> {
    pub(super) fn begin(db: &'db Connection) -> Result<Self> {
        db.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        Ok(Self(db))
    }
}

impl Deref for Moment<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        let end = self.0.prepare_cached("COMMIT");
        // Where this fails, the readers do not use the connection again.
        let _ = end.and_then(|mut end| end.execute([]));
    }
}

/// A resource from `id, version, created, modified, attributes`.
pub(super) fn resource_at(row: &Row<'_>) -> rusqlite::Result<Resource> {
    Ok(Resource {
        id: id_at(row, 0)?,
        meta: Meta {
            version: row.get::<_, i64>(1)?.cast_unsigned(),
            created: row.get(2)?,
            modified: row.get(3)?,
        },
        attributes: row.get(4)?,
    })
}

/// The key and version of a live group.
pub(super) fn group_version(
    db: &Connection,
    connection: i64,
    id: ResourceId,
) -> Result<Option<(i64, u64)>> {
    let found = db
        .prepare_cached(
            "SELECT key, version FROM groups
             WHERE id = ?1 AND connection = ?2 AND tombstone IS NULL",
        )?
        .query_row(params![id.as_bytes(), connection], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
        })
        .optional()?;
    Ok(found)
}

/// The members of a live group at the version of the same snapshot.
pub(super) fn members(
    db: &Connection,
    connection: i64,
    id: ResourceId,
) -> Result<Option<(i64, Members)>> {
    let snapshot = Moment::begin(db)?;
    let Some((key, version)) = group_version(&snapshot, connection, id)? else {
        return Ok(None);
    };
    let ids: Vec<ResourceId> = snapshot
        .prepare_cached(
            "SELECT user_id FROM memberships WHERE group_key = ?1 AND desired = 1
             ORDER BY user_key",
        )?
        .query_map([key], |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    let members = Members {
        version,
        ids: ids.into(),
    };
    Ok(Some((key, members)))
}

/// Member lists by group and version; bounded by the ids in it, oldest use
/// goes first.
#[derive(Debug, Default)]
pub(super) struct MemberCache(Mutex<Lists>);

#[derive(Debug, Default)]
struct Lists {
    by_group: HashMap<i64, (Members, u64)>,
    uses: u64,
    ids: usize,
}

/// 16 bytes each.
const CACHED_IDS: usize = 250_000;
const CACHED_LISTS: usize = 1_024;

impl MemberCache {
    pub(super) fn find(&self, key: i64, version: u64) -> Option<Members> {
        let mut cache = self.lock();
        cache.uses += 1;
        let now = cache.uses;
        let (members, used) = cache.by_group.get_mut(&key)?;
        *used = now;
        (members.version == version).then(|| members.clone())
    }

    pub(super) fn keep(&self, key: i64, members: &Members) {
        let mut cache = self.lock();
        if members.ids.len() > CACHED_IDS {
            return;
        }
        cache.uses += 1;
        let entry = (members.clone(), cache.uses);
        cache.ids += members.ids.len();
        if let Some((old, _)) = cache.by_group.insert(key, entry) {
            cache.ids -= old.ids.len();
        }
        while cache.ids > CACHED_IDS || cache.by_group.len() > CACHED_LISTS {
            let oldest = cache.by_group.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                break;
            };
            if let Some((old, _)) = cache.by_group.remove(&oldest) {
                cache.ids -= old.ids.len();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pairs that are not as asked, in groups `g` that are live.
macro_rules! open_pairs {
    () => {
        "SELECT count(*) FROM memberships m JOIN groups g ON g.key = m.group_key
         WHERE m.desired <> m.observed AND g.connection = ?1 AND g.tombstone IS NULL
           -- What an inactive user is asked for in sleeps, when the account is ended also
           -- what was on its way, once it cannot land any more; of who is withdrawn what
           -- was taken away is not to come back; what a refused end has left in doubt is
           -- found out when its user comes back; and what is told as refused is not sent.
           AND NOT (m.desired = 1 AND EXISTS (
               SELECT 1 FROM users u WHERE u.key = m.user_key
                 AND (u.wants = 0 AND (m.observed = 0 OR u.existence = 0 AND u.unsure = 0
                         AND NOT EXISTS (SELECT 1 FROM doubts d WHERE d.user_key = u.key)
                         OR u.refused IS NOT NULL AND u.withdrawn = 0)
                     OR u.withdrawn <> 0
                     AND (m.observed = 0 OR u.refused IS NOT NULL AND u.withdrawn <> 3
                         OR u.withdrawn = 4 AND u.existence = 0))))
           AND NOT EXISTS (
               SELECT 1 FROM refusals r
               WHERE r.group_key = m.group_key AND r.user_key = m.user_key
                 AND r.wanted = m.desired)"
    };
}

/// What the account of a user had that was ended, where a new one is waited for: all of
/// it is put there when that appears.
const OF_ACCOUNTS_TO_COME: &str = "SELECT count(*) FROM users u
     JOIN memberships m ON m.user_key = u.key JOIN groups g ON g.key = m.group_key
     WHERE u.connection = ?1 AND u.dirty = 2 AND u.wants = 1 AND u.existence = 0
       AND m.desired = 1 AND m.observed = 1
       AND g.tombstone IS NULL AND g.read_only IS NULL AND g.refused IS NULL";

/// What users have of whose accounts the last reconciliation told that they are gone:
/// looked for where it told of any.
const OF_MISSED_ACCOUNTS: &str = "SELECT iif(EXISTS (
         SELECT 1 FROM reconciliations
         WHERE connection = ?1 AND state ->> '$.accounts_noted' > 0),
     (SELECT count(*) FROM users u
         JOIN memberships m ON m.user_key = u.key JOIN groups g ON g.key = m.group_key
         WHERE u.connection = ?1 AND u.tombstone IS NULL AND u.wants = 1 AND u.existence = 1
           AND u.observed ->> '$.missed' = 1 AND m.desired = 1 AND m.observed = 1
           AND g.tombstone IS NULL AND g.refused IS NULL AND g.offered = 1), 0)";

pub(super) fn counts(db: &Connection, connection: i64) -> Result<Counts> {
    let count = |sql: &str| -> Result<u64> {
        let count: i64 = db
            .prepare_cached(sql)?
            .query_row([connection], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    };
    Ok(Counts {
        users: count("SELECT count(*) FROM users WHERE connection = ?1 AND tombstone IS NULL")?,
        groups: count("SELECT count(*) FROM groups WHERE connection = ?1 AND tombstone IS NULL")?,
        memberships: count(
            "SELECT coalesce(sum(members), 0) FROM groups
             WHERE connection = ?1 AND tombstone IS NULL",
        )?,
        pending_users: count("SELECT count(*) FROM users WHERE connection = ?1 AND dirty = 1")?,
        pending_groups: count("SELECT count(*) FROM groups WHERE connection = ?1 AND dirty = 1")?
            + count(
                "SELECT count(*) FROM groups WHERE connection = ?1 AND renamed = 1 AND dirty = 0
                 AND tombstone IS NULL AND refused IS NULL",
            )?,
        refused_users: count(
            "SELECT count(*) FROM users
             WHERE connection = ?1 AND tombstone IS NULL AND refused IS NOT NULL",
        )? + count(
            "SELECT count(*) FROM users
             WHERE connection = ?1 AND tombstone IS NOT NULL AND account_key IS NOT NULL
               AND refused IS NOT NULL",
        )?,
        refused_groups: count(concat!(
            "SELECT count(*) FROM groups g WHERE connection = ?1 AND refused IS NOT NULL AND NOT ",
            refusals::let_go!()
        ))?,
        refused_memberships: refusals::count(db, connection)?,
        leaving_users: count(
            "SELECT count(*) FROM users
             WHERE connection = ?1 AND tombstone IS NOT NULL
               AND (dirty = 1 OR refused IS NOT NULL AND account_key IS NOT NULL)",
        )?,
        leaving_memberships: count(
            "SELECT count(*) FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.desired <> m.observed AND m.desired = 0 AND g.connection = ?1
               AND g.tombstone IS NULL",
        )?,
        staged_users: families::staged(db, connection)?,
        unsettled: late::unsettled(db, connection)?,
        held: count("SELECT count(*) FROM held WHERE connection = ?1 AND state = 'open'")?,
        pending_memberships: count(concat!(
            open_pairs!(),
            " AND g.refused IS NULL AND NOT ",
            refusals::user_refused!()
        ))? + count(OF_ACCOUNTS_TO_COME)?,
        left_out_memberships: count(
            "SELECT coalesce(sum(members), 0) FROM groups
             WHERE connection = ?1 AND tombstone IS NULL AND offered = 0",
        )?,
        left_out_open: count(concat!(
            open_pairs!(),
            " AND g.offered = 0 AND m.desired = 1"
        ))?,
        ended_users: count(ended_elsewhere::USERS)?,
        ended_memberships: count(ended_elsewhere::MEMBERSHIPS)?,
        missed_memberships: count(OF_MISSED_ACCOUNTS)?,
        stopped_memberships: count(concat!(
            open_pairs!(),
            " AND (g.refused IS NOT NULL OR ",
            refusals::user_refused!(),
            ")"
        ))?,
    })
}
