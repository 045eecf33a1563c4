//! What a call about a pair of a family may do that nobody answered: it gives the
//! group of the family that counts when it is sent, which may be another one than
//! the pair's, or takes the pair's away. Just that is in doubt, so that nothing is
//! taken away later that somebody else gave. What is another group than the pair's
//! is written before the call is sent: a process that dies meanwhile leaves it known,
//! and a group that is refused to a user meanwhile is not forgotten to be there.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::{
        operation::Operation,
        state::{Principal, UserKey},
    },
    store::{GroupLearned, Millis, Took, UNANSWERED},
};

use super::{
    fault::Result,
    groups::Group,
    late::{self, Sent},
};

/// See [`crate::store::Store::note_giving`].
pub(super) fn note(db: &Connection, group: i64, user: i64, gives: &str) -> Result<bool> {
    let gives_own = db
        .prepare_cached("SELECT 1 FROM groups WHERE key = ?1 AND upstream_name = ?2")?
        .exists(params![group, gives])?;
    if gives_own {
        db.prepare_cached("DELETE FROM giving WHERE group_key = ?1 AND user_key = ?2")?
            .execute([group, user])?;
        return Ok(true);
    }
    let written = db
        .prepare_cached(
            "INSERT OR REPLACE INTO giving (group_key, user_key, gives, open)
             SELECT o.key, m.user_key, g.key, 1 FROM groups o
             JOIN groups g ON g.connection = o.connection AND g.upstream_name = ?3
                 AND g.tombstone IS NULL
             JOIN memberships m ON m.group_key = g.key AND m.user_key = ?2
             WHERE o.key = ?1",
        )?
        .execute(params![group, user, gives])?;
    Ok(written > 0)
}

/// Whether a call about another pair gave a user this group, or may have, since the
/// lane of this one last came to its own pair.
pub(super) fn may_have_given(db: &Connection, group: i64, user: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM giving WHERE user_key = ?1 AND gives = ?2")?
        .exists([user, group])?)
}

/// What a turn of such a group leaves unclear, each call by itself.
pub(super) fn settle(
    db: &Connection,
    group: &Group,
    learned: &GroupLearned,
    at: Millis,
) -> Result<()> {
    let mut last: HashMap<UserKey, i64> = HashMap::new();
    for (operation, outcome, took) in &learned.calls {
        let (members, adds) = match operation {
            Operation::AddMembers { members, .. } => (members, true),
            Operation::RemoveMembers { members, .. } => (members, false),
            _ => continue,
        };
        for member in members {
            let gives = match given(db, group, member)? {
                None if adds => Some(group.key),
                gives => gives,
            };
            last.insert(member.user, gives.unwrap_or(group.key));
            if is_unclear(outcome, took) {
                note_unclear(db, (group.key, member.user.0), gives, adds, at)?;
            }
        }
    }
    forget(db, group.key, &last, learned)
}

fn is_unclear(outcome: &str, took: &Took) -> bool {
    let requests = took.requests.iter().flatten();
    outcome == UNANSWERED || requests.into_iter().any(|(word, _)| word == UNANSWERED)
}

fn note_unclear(
    db: &Connection,
    (group, user): (i64, i64),
    gives: Option<i64>,
    adds: bool,
    at: Millis,
) -> Result<()> {
    if !adds {
        late::note_pair(db, (group, user), Sent::Absent, at)?;
    }
    match gives {
        Some(gives) => late::note_pair(db, (gives, user), Sent::Present, at),
        None => Ok(()),
    }
}

fn given(db: &Connection, group: &Group, member: &Principal) -> Result<Option<i64>> {
    let Some(name) = &member.counts else {
        return Ok(None);
    };
    Ok(db
        .prepare_cached(
            "SELECT key FROM groups
             WHERE connection = ?1 AND upstream_name = ?2 AND tombstone IS NULL",
        )?
        .query_row(params![group.connection, name], |row| row.get(0))
        .optional()?)
}

/// What was given stays known as long as the pair of that group is handed out, or
/// yet to be: it may be refused there.
fn forget(
    db: &Connection,
    group: i64,
    last: &HashMap<UserKey, i64>,
    learned: &GroupLearned,
) -> Result<()> {
    let done: HashSet<&UserKey> = learned.present.iter().chain(&learned.absent).collect();
    let mut forget = db.prepare_cached(
        "DELETE FROM giving WHERE group_key = ?1 AND user_key = ?2
         AND NOT (?3 AND gives = ?4 AND EXISTS (
             SELECT 1 FROM memberships m WHERE m.group_key = gives AND m.user_key = giving.user_key
                 AND m.desired = 1 AND m.observed <> 1))",
    )?;
    let mut close =
        db.prepare_cached("UPDATE giving SET open = 0 WHERE group_key = ?1 AND user_key = ?2")?;
    for (user, gives) in last {
        forget.execute(params![group, user.0, done.contains(user), gives])?;
        close.execute([group, user.0])?;
    }
    // Not of a turn that is not over: its calls may be on their way.
    let mut settled = db.prepare_cached(
        "DELETE FROM giving WHERE user_key = ?1 AND gives = ?2 AND NOT EXISTS (
             SELECT 1 FROM intents i WHERE i.lane = 'group' AND i.key = giving.group_key)",
    )?;
    let refused = learned.refused.iter().map(|(user, _)| user);
    for user in done.into_iter().chain(refused) {
        settled.execute([user.0, group])?;
    }
    Ok(())
}

/// The process ended while calls of a group were on their way.
pub(super) fn note_interrupted(db: &Connection, group: i64, at: Millis) -> Result<()> {
    let given: Vec<(i64, i64)> = db
        .prepare_cached("DELETE FROM giving WHERE group_key = ?1 RETURNING gives, user_key")?
        .query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for pair in given {
        late::note_pair(db, pair, Sent::Present, at)?;
    }
    Ok(())
}

/// Nothing is left of a user.
pub(super) fn forget_user(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM giving WHERE user_key = ?1")?
        .execute([user])?;
    Ok(())
}
