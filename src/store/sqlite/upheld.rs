//! What was accepted before it was protected, and is kept (see [`protected`]), is
//! asked for again. The rule may let it go by now, as when others have arrived in the
//! group: it is judged as if it were asked for only now, and goes, or is refused with
//! the rule (reliability: I-24). Of somebody who was deleted nobody can ask again, so
//! that is judged with every reconciliation that repairs.

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{
    plan::{
        guard::{Guard, Protection},
        state::GroupKey,
    },
    scim::error::Problem,
    store::{Actor, Lane, WriteError},
};

use super::{
    audit,
    fault::{Fault, Result},
    groups::{self, Group},
    guard::{self, NOBODY, Named, is_protected},
    protected::{self, REASON, UPHELD},
    refusals,
    users::User,
};

/// Whether a removal of which somebody may ask again is one that is kept.
pub(super) fn is_kept(db: &Connection, group: i64, user: i64) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM memberships
             WHERE group_key = ?1 AND user_key = ?2 AND desired = 0 AND observed <> 0
               AND withheld = ?3",
        )?
        .exists([group, user, UPHELD])?)
}

/// Judges the end of a user who was kept, or a lower role.
pub(super) fn judge_user(db: &Connection, user: &User, actor: &Actor) -> Result<()> {
    let Some(guard) = actor.watch.guard() else {
        return Ok(());
    };
    if protected::protects(user, actor)? {
        return Err(WriteError::Problem(Problem::new(403, protected::told(REASON.into()))).into());
    }
    if user.account.active {
        // It was to have a lower role, and leaves nothing.
        return Ok(());
    }
    guard::keep_least_in_groups_of(db, guard, user)
}

/// The same, where it is not all that is asked for.
pub(super) fn may_go(db: &Connection, user: &User, actor: &Actor) -> Result<bool> {
    allowed(judge_user(db, user, actor))
}

/// Removals that were kept and are asked for again. Where they are not more than what
/// a list leaves out, the rest of that list is taken without them. Whether any goes.
pub(super) fn members_go(
    db: &Connection,
    group: &Group,
    (kept, by_name): (&[i64], bool),
    actor: &Actor,
) -> Result<bool> {
    let judged = judge_members(db, group, kept, actor.watch.guard());
    if by_name {
        judged?;
    } else if !allowed(judged)? {
        return Ok(false);
    }
    for user in kept {
        let_go(db, group.key, *user)?;
    }
    Ok(!kept.is_empty())
}

fn judge_members(
    db: &Connection,
    group: &Group,
    kept: &[i64],
    guard: Option<&Guard>,
) -> Result<()> {
    let Some(guard) = guard.filter(|_| !kept.is_empty()) else {
        return Ok(());
    };
    let mut select =
        db.prepare_cached("SELECT id, user_name_key, account_key FROM users WHERE key = ?1")?;
    for user in kept {
        let (is, id) = select.query_row([user], |row| {
            Ok((is_protected(row, guard)?, super::row::id_at(row, 0)?))
        })?;
        if is {
            return Err(WriteError::Protected(Protection::User(id)).into());
        }
    }
    guard::keep_least(db, guard, &Named::of(group)?, NOBODY)
}

fn let_go(db: &Connection, group: i64, user: i64) -> Result<()> {
    db.prepare_cached(
        "UPDATE memberships SET withheld = 0, sent = NULL WHERE group_key = ?1 AND user_key = ?2",
    )?
    .execute([group, user])?;
    refusals::forget(db, group, user)
}

/// The end of a user is asked for again: what was kept of its removals is, too.
/// Returns the groups whose lanes have work because of it.
pub(super) fn removals_of(db: &Connection, user: &User, actor: &Actor) -> Result<Vec<GroupKey>> {
    let kept: Vec<i64> = db
        .prepare_cached(
            "SELECT group_key FROM memberships
             WHERE user_key = ?1 AND desired = 0 AND observed <> 0 AND withheld = ?2",
        )?
        .query_map([user.key, UPHELD], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut open = Vec::new();
    for key in kept {
        if let Some(group) = groups::by_key(db, key)?
            && members_go(db, &group, (&[user.key], false), actor)?
        {
            open.push(GroupKey(key));
        }
    }
    Ok(open)
}

/// With a reconciliation that repairs: those of whom nobody can ask again.
pub(super) fn of_deleted(db: &Connection, connection: i64, actor: &Actor) -> Result<Vec<Lane>> {
    if actor.watch.guard().is_none() {
        return Ok(Vec::new());
    }
    let kept: Vec<(i64, i64)> = db
        .prepare_cached(
            "SELECT m.group_key, m.user_key FROM memberships m JOIN users u ON u.key = m.user_key
             WHERE u.connection = ?1 AND u.tombstone IS NOT NULL AND m.desired <> m.observed
               AND m.desired = 0 AND m.withheld = ?2",
        )?
        .query_map(params![connection, UPHELD], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut lanes = Vec::new();
    for (key, user) in kept {
        if let Some(group) = groups::by_key(db, key)?
            && members_go(db, &group, (&[user], false), actor)?
        {
            lanes.push(Lane::Group(GroupKey(key)));
        }
    }
    if !lanes.is_empty() {
        let detail = json!({ "kept": lanes.len() });
        audit::record(db, connection, actor, "try_again", None, &detail)?;
    }
    Ok(lanes)
}

fn allowed(judged: Result<()>) -> Result<bool> {
    match judged {
        Ok(()) => Ok(true),
        Err(Fault::Refused(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}
