//! What one connection took away with a group as a whole: by a replacement of all of
//! its members, or by its deletion (see [`super::sharing`]). There what others have
//! is not named one by one.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{
    plan::{
        operation::Operation,
        state::{Existence, UserKey},
    },
    store::{DONE, GroupLearned, Millis, UNANSWERED},
};

use super::{
    fault::Result,
    gone,
    groups::{self, Group},
    naming,
    sharing::{There, engine, note, there_at, turned},
};

/// A replacement that was done leaves nobody but whom it named, and whom the
/// application has kept all the same.
pub(super) fn replaced(
    db: &Connection,
    group: &Group,
    learned: &GroupLearned,
) -> Result<Vec<There>> {
    let done = learned.calls.iter().filter(|call| call.1 == DONE);
    let last = done.rev().find_map(|(operation, ..)| match operation {
        Operation::ReplaceMembers { members, .. } => Some(members),
        _ => None,
    });
    let Some(members) = last else {
        return Ok(Vec::new());
    };
    let named = members.iter().map(|member| member.user);
    let refused = learned.refused.iter().map(|(user, _)| *user);
    let stay = named.chain(refused).chain(learned.present.iter().copied());
    let (mut ids, mut accounts) = (HashSet::new(), HashSet::new());
    let mut known =
        db.prepare_cached("SELECT upstream_id, account_key FROM users WHERE key = ?1")?;
    for user in stay.collect::<HashSet<UserKey>>() {
        let is: (Option<String>, Option<String>) =
            known.query_row([user.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        ids.extend(is.0);
        accounts.extend(is.1);
    }
    let mut select = db.prepare_cached(
        "SELECT m.group_key, m.user_key, m.managed, o.upstream_id, o.account_key
         FROM connections c JOIN connections e ON e.site = c.site AND e.key <> c.key
             JOIN groups g ON g.connection = e.key AND g.tombstone IS NULL
                 AND g.upstream_name = ?2
             JOIN memberships m ON m.group_key = g.key AND m.desired = 1
             JOIN users o ON o.key = m.user_key AND o.tombstone IS NULL
         WHERE c.key = ?1 AND (m.managed = 0 AND (m.observed = 1 OR m.sent IS NULL)
             OR m.observed = 1 AND o.wants = 1 AND (c.site_accounts = 0 OR NOT EXISTS (
                 SELECT 1 FROM users u WHERE u.connection = c.key
                     AND u.account_key = o.account_key AND u.account_key IS NOT NULL
                     AND (u.wants = 0 OR u.tombstone IS NOT NULL))))",
    )?;
    let mut rows = select.query(params![group.connection, group.upstream_name])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, account): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
        let stays = id.is_some_and(|id| ids.contains(&id))
            || account.is_some_and(|account| accounts.contains(&account));
        if !stays {
            gone.push(there_at(row)?);
        }
    }
    Ok(gone)
}

/// Whether a deletion was answered, also by a 404.
fn is_deleted(group: &Group, learned: &GroupLearned) -> bool {
    let deletes = learned.calls.iter().any(|(operation, word, _)| {
        matches!(operation, Operation::DeleteGroup { .. }) && word != UNANSWERED
    });
    let gone = learned.existence == Some(Existence::Absent);
    deletes && gone && group.tombstone.is_some()
}

/// Those who only found a group have none; who asks for it, or for somebody in it,
/// finds out by their next turn, and makes it again with whom they ask for.
pub(super) fn deleted(
    db: &Connection,
    group: &Group,
    learned: &GroupLearned,
    at: Millis,
) -> Result<()> {
    if !is_deleted(group, learned) {
        return Ok(());
    }
    let keys: Vec<i64> = db
        .prepare_cached(
            "SELECT g.key FROM connections c
                 JOIN connections e ON e.site = c.site AND e.key <> c.key
                 JOIN groups g ON g.connection = e.key AND g.upstream_name = ?2
                     AND g.tombstone IS NULL AND g.existence <> 0
             WHERE c.key = ?1",
        )?
        .query_map(params![group.connection, group.upstream_name], |row| {
            row.get(0)
        })?
        .collect::<rusqlite::Result<_>>()?;
    for key in keys {
        let Some(mut there) = groups::by_key(db, key)? else {
            continue;
        };
        let asks = "SELECT 1 FROM memberships
             WHERE group_key = ?1 AND desired = 1 AND managed = 1";
        if there.ours || there.renamed || db.prepare_cached(asks)?.exists([key])? {
            is_asked_for(db, &mut there, at)?;
        } else {
            let detail = json!({ "deleted_elsewhere": true });
            naming::bury_found(db, &mut there, detail, &engine(at))?;
            turned(db, key)?;
        }
    }
    Ok(())
}

fn is_asked_for(db: &Connection, group: &mut Group, at: Millis) -> Result<()> {
    let found = group.unmanaged;
    gone::forget_found(db, group, at)?;
    let again = db
        .prepare_cached(
            "UPDATE memberships SET observed = 2
             WHERE group_key = ?1 AND desired = 1 AND observed = 1",
        )?
        .execute([group.key])?;
    if group.existence == Existence::Present {
        group.existence = Existence::Unknown;
    }
    group.seq += 1;
    groups::save(db, group)?;
    let forgotten = usize::try_from(found - group.unmanaged).unwrap_or_default();
    note(db, group, (forgotten, again), at)
}
