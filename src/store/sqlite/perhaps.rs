//! What may be there because of a creation of which no answer came, and nothing else
//! says that it is ours: whom such a call may have put into it, and what speaks
//! against it. It may be an administrator's as well, made by the same name, so it is
//! deleted only after a look, and only where nobody else is in it (reliability: R-04).

use rusqlite::{Connection, params};

use crate::{
    plan::{
        operation::Operation,
        state::{Existence, Principal},
    },
    store::{Another, DONE, GroupLearned, Guess},
};

use super::{fault::Result, groups::Group, owners, users::principal_at};

/// What `groups.others` tells, where it is not 0: a look has shown others in what has
/// the group's name, and nothing since that it is ours;
const OTHERS: i64 = 1;
/// it was taken over because nobody was in it, and nothing else tells that it is ours;
const UNPROVEN: i64 = 2;
/// a look has shown nothing by its name.
const SHOWN_ABSENT: i64 = 3;

/// Whom an unanswered call may have put there.
pub(super) fn note(db: &Connection, group: i64, operation: &Operation) -> Result<()> {
    let (Operation::CreateGroup { members, .. }
    | Operation::AddMembers { members, .. }
    | Operation::ReplaceMembers { members, .. }) = operation
    else {
        return Ok(());
    };
    let mut note = db.prepare_cached(
        "INSERT OR REPLACE INTO perhaps_in (group_key, account, upstream_id) VALUES (?1, ?2, ?3)",
    )?;
    for member in members {
        note.execute(params![group, member.account, member.upstream_id])?;
    }
    Ok(())
}

/// The same of a call that was on its way when the process ended; `replaces`: it may
/// have named everybody.
pub(super) fn note_interrupted(db: &Connection, group: i64, replaces: bool) -> Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO perhaps_in (group_key, account, upstream_id)
         SELECT m.group_key, u.account_key, u.upstream_id
         FROM memberships m JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND u.account_key IS NOT NULL
           AND (?2 OR m.desired <> m.observed AND m.observed = 2)",
    )?
    .execute(params![group, replaces])?;
    Ok(())
}

/// Nobody looks for what it may have done any more.
pub(super) fn forget(db: &Connection, group: i64) -> Result<()> {
    db.prepare_cached(
        "DELETE FROM perhaps_in WHERE group_key = ?1
           AND NOT EXISTS (SELECT 1 FROM doubts d WHERE d.group_key = ?1)
           AND NOT EXISTS (SELECT 1 FROM groups g WHERE g.key = ?1 AND g.existence = 2)",
    )?
    .execute([group])?;
    Ok(())
}

/// What a turn says of that.
pub(super) fn learn(db: &Connection, group: &Group, learned: &GroupLearned) -> Result<()> {
    let before: i64 = db
        .prepare_cached("SELECT others FROM groups WHERE key = ?1")?
        .query_row([group.key], |row| row.get(0))?;
    let others = match learned.existence {
        _ if learned.foreign.is_some() => OTHERS,
        _ if before == UNPROVEN => i64::from(!fills(learned)) * UNPROVEN,
        Some(Existence::Present) if learned.unproven && !fills(learned) => UNPROVEN,
        Some(Existence::Present) => 0,
        _ if learned.shown_absent && before == 0 => SHOWN_ABSENT,
        _ => before,
    };
    if others != before {
        db.prepare_cached("UPDATE groups SET others = ?2 WHERE key = ?1")?
            .execute(params![group.key, others])?;
    }
    forget(db, group.key)
}

/// Whether it is ours by what was done: it was made, or somebody was put into it.
fn fills(learned: &GroupLearned) -> bool {
    learned.calls.iter().any(|(operation, outcome, _)| {
        let gives = match operation {
            Operation::CreateGroup { .. } => true,
            Operation::AddMembers { members, .. } | Operation::ReplaceMembers { members, .. } => {
                !members.is_empty()
            }
            _ => false,
        };
        gives && outcome == DONE
    })
}

/// Whom a creation may have named, where it is not known whether it made the group.
/// Not only those who are open: who is inactive by now may be in it, and whoever was
/// asked for in another one of the name may have come there by a late call.
pub(super) fn named(db: &Connection, group: &Group) -> Result<Vec<Principal>> {
    let unsure = !group.made || group.tombstone.is_some();
    if !unsure || group.existence != Existence::Unknown {
        return Ok(Vec::new());
    }
    let mut select = db.prepare_cached(
        "SELECT u.key, u.id, u.account_key, u.upstream_id
         FROM memberships m JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND m.observed <> 0 AND u.account_key IS NOT NULL
         UNION ALL
         SELECT 0, g.id, p.account, p.upstream_id
         FROM groups g JOIN perhaps_in p ON p.group_key = g.key
         WHERE g.connection = ?2 AND g.upstream_name = ?3 AND NOT EXISTS (
             SELECT 1 FROM memberships m JOIN users u ON u.key = m.user_key
             WHERE m.group_key = ?1 AND m.observed <> 0 AND u.account_key = p.account)",
    )?;
    let mut rows = select.query(params![group.key, group.connection, group.upstream_name])?;
    let mut named = Vec::new();
    while let Some(row) = rows.next()? {
        named.push(principal_at(row)?);
    }
    Ok(named)
}

/// The deletion of a group is done.
pub(super) fn note_deleted(db: &Connection, group: i64) -> Result<()> {
    db.prepare_cached("UPDATE groups SET was_deleted = 1 WHERE key = ?1")?
        .execute([group])?;
    Ok(())
}

/// Whoever asked for a group was answered that it was refused.
pub(super) fn note_withdrawn(db: &Connection, group: i64) -> Result<()> {
    db.prepare_cached("UPDATE groups SET withdrawn = 1 WHERE key = ?1")?
        .execute([group])?;
    Ok(())
}

/// See [`crate::store::GroupTurn::guess`].
pub(super) fn guess(db: &Connection, group: &Group) -> Result<Option<Guess>> {
    if group.tombstone.is_none() || group.existence == Existence::Absent {
        return Ok(None);
    }
    let (others, was_deleted, withdrawn): (i64, bool, bool) = db
        .prepare_cached("SELECT others, was_deleted, withdrawn FROM groups WHERE key = ?1")?
        .query_row([group.key], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let doubtful = matches!(others, OTHERS | UNPROVEN);
    let unknown = group.existence == Existence::Unknown;
    if others != UNPROVEN && !unknown || group.made && !was_deleted && !doubtful {
        return Ok(None);
    }
    let anothers = if is_found(db, group)? {
        Some(Another::Found)
    } else if owners::is_anothers(db, group)? {
        Some(Another::Managed)
    } else {
        None
    };
    Ok(Some(Guess {
        anothers,
        others: others == OTHERS,
        withdrawn,
        unproven: others == UNPROVEN || others == 0 && !was_deleted,
    }))
}

/// See [`crate::store::GroupTurn::shown_absent`].
pub(super) fn is_shown_absent(db: &Connection, group: &Group) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT others = ?2 OR was_deleted FROM groups WHERE key = ?1")?
        .query_row([group.key, SHOWN_ABSENT], |row| row.get(0))?)
}

/// Whether a row that was found has the name.
fn is_found(db: &Connection, group: &Group) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM groups WHERE connection = ?1 AND upstream_name = ?2
               AND tombstone IS NULL AND ours = 0",
        )?
        .exists(params![group.connection, group.upstream_name])?)
}

/// Whether anybody is asked for in a group.
pub(super) fn is_asked_for(db: &Connection, group: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM memberships WHERE group_key = ?1 AND managed = 1")?
        .exists([group])?)
}
