//! The guard rails where no request is judged: what a reconciliation may end,
//! and what was accepted before it was protected. What is protected is so now,
//! whatever was asked for before (reliability: I-24, G-5).

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::{
    plan::{
        guard::{Guard, Protected, Rule, Taking},
        state::UserKey,
    },
    store::{Actor, Lane},
};

use super::{
    addresses, audit,
    fault::Result,
    groups::{self, Group},
    guard::{Named, is_protected, keep_protected_members, names_of},
    reconcile, recovery, refusals,
    removals::{self, Place},
    users::{self, SOUGHT, UNJUDGED, User},
};

/// Why something that was accepted is not sent.
pub(super) const REASON: &str = "it is protected here and was asked for before that; nothing is sent (protected_users, protected_groups, least_members)";
/// What whoever reads that can do about it.
const ADVICE: &str = "ask again when the rule lets it go, as when enough others have arrived in \
     the group (for who was deleted, `drawbridge reconcile --apply` does), or change the \
     configuration and start the bridge again";
/// Why an account stays that was found for somebody who must have nothing.
const TOO_MANY: &str = "the account is there, and the guard rails let no more be ended now";
const UNTIL: &str = "ask again when they do, as more time has passed or an operator has raised `removals` in the configuration, or has it ended with `drawbridge reconcile --apply --shrunk`";
/// `withheld` of such a membership; 1 is until the end of recovery.
pub(super) const UPHELD: i64 = 2;

/// A reason as it is told.
pub(super) fn told(reason: String) -> String {
    if reason == REASON {
        format!("{REASON}; {ADVICE}")
    } else {
        reason
    }
}

/// Whether a user is protected now, whatever was asked for before.
pub(super) fn protects(user: &User, actor: &Actor) -> Result<bool> {
    let Some(guard) = actor
        .watch
        .guard()
        .filter(|g| !g.protected.users.is_empty())
    else {
        return Ok(false);
    };
    let id = user.id.to_string();
    Ok(guard.protected.is_user(names_of(&id, &user.row()?)))
}

/// Those of the members of a group who are protected now; all of them where the
/// group is.
pub(super) fn protected_among<'u>(
    db: &Connection,
    group: &Group,
    users: impl Iterator<Item = &'u UserKey>,
    actor: &Actor,
) -> Result<HashSet<UserKey>> {
    let Some(guard) = actor.watch.guard().filter(|g| !g.protected.is_empty()) else {
        return Ok(HashSet::new());
    };
    let whole = guard.protected.least(Named::of(group)?.all()).is_some();
    let mut select =
        db.prepare_cached("SELECT id, user_name_key, account_key FROM users WHERE key = ?1")?;
    let mut kept = HashSet::new();
    for user in users {
        let is_protected = |row: &Row<'_>| is_protected(row, guard);
        if whole || select.query_row([user.0], is_protected)? {
            kept.insert(*user);
        }
    }
    Ok(kept)
}

/// Whether these accounts of one connection may be ended again at once, and
/// counts them if so. What an operator believes counts, and is not too much.
pub(super) fn accounts_end(
    db: &Connection,
    users: &[User],
    believed: bool,
    actor: &Actor,
) -> Result<bool> {
    let guard = actor.watch.guard().filter(|guard| guard.enabled);
    let (Some(guard), Some(first)) = (guard, users.first()) else {
        return Ok(true);
    };
    let place = Place {
        connection: first.connection,
        group: None,
    };
    let history = removals::history(db, guard, place, actor.at)?;
    if history.recovery || !believed && !guard.may_end(users.len() as u64, &history) {
        return Ok(false);
    }
    let keys: Vec<i64> = users.iter().map(|user| user.key).collect();
    removals::count_anew(db, place, &keys)?;
    for key in keys {
        removals::record(db, guard, place, (Taking::Access, &[key]), actor.at)?;
    }
    Ok(true)
}

/// See [`crate::store::Store::may_end`].
pub(super) fn may_end(db: &Connection, user: UserKey, actor: &Actor) -> Result<Option<String>> {
    let Some(user) = users::by_key(db, user.0)? else {
        return Ok(None);
    };
    if protects(&user, actor)? {
        return Ok(Some(REASON.to_owned()));
    }
    let Some(guard) = actor.watch.guard().filter(|guard| guard.enabled) else {
        return Ok(None);
    };
    let place = Place {
        connection: user.connection,
        group: None,
    };
    removals::count_anew(db, place, &[user.key])?;
    let history = removals::history(db, guard, place, actor.at)?;
    match guard.judge(Taking::Access, &history) {
        Ok(()) => {
            let taken = (Taking::Access, &[user.key][..]);
            removals::record(db, guard, place, taken, actor.at)?;
            Ok(None)
        }
        Err(over) if over.rule == Rule::Foreign => Ok(Some(recovery::WAITS.to_owned())),
        Err(over) => Ok(Some(format!("{TOO_MANY}; {UNTIL} ({over})"))),
    }
}

/// See [`crate::store::Store::end_kept`].
pub(super) fn end_kept(db: &Connection, connection: i64, actor: &Actor) -> Result<Vec<Lane>> {
    let kept: Vec<i64> = db
        .prepare_cached(
            "SELECT key FROM users WHERE connection = ?1 AND wants = 0 AND unsure = ?2
                 AND substr(refused, 1, length(?3)) = ?3",
        )?
        .query_map(params![connection, UNJUDGED, TOO_MANY], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut lanes = Vec::new();
    for key in kept {
        let Some(mut user) = users::by_key(db, key)? else {
            continue;
        };
        if protects(&user, actor)? || !accounts_end(db, &[user.clone()], true, actor)? {
            continue;
        }
        user.unsure = SOUGHT;
        user.refused = None;
        users::save(db, &user)?;
        let detail = json!({ "ended_again": true });
        audit::record(db, connection, actor, "drift", Some(user.id), &detail)?;
        lanes.push(Lane::User(UserKey(key)));
    }
    let left = addresses::left_to_leavers(db, connection)?;
    lanes.extend(reconcile::end_again(db, &left, true, actor)?.lanes);
    Ok(lanes)
}

/// At start: what was accepted before it was protected, and is yet to be sent,
/// is told as refused instead. What an earlier start kept so and is protected
/// no more goes on. Returns how much is kept.
pub(super) fn uphold(db: &Connection, connection: i64, actor: &Actor) -> Result<usize> {
    let before = Before {
        protected: protected_until_now(db, connection, actor)?,
        kept: kept_until_now(db, connection)?,
    };
    let_go(db, connection)?;
    let Some(guard) = actor.watch.guard().filter(|g| !g.protected.is_empty()) else {
        return Ok(0);
    };
    let users = keep_users(db, connection, guard, actor)?;
    let memberships = keep_memberships(db, connection, guard, actor)?;
    let groups = keep_groups(db, connection, guard)?;
    let scarce = if guard.protected.has_groups() {
        keep_least(db, connection, (guard, &before), actor)?
    } else {
        0
    };
    let kept = users + memberships + groups + scarce;
    if kept > 0 {
        let detail = json!({
            "pending": true, "users": users, "memberships": memberships, "groups": groups,
            "least_members": scarce,
        });
        audit::record(db, connection, actor, "refuse_protected", None, &detail)?;
    }
    Ok(kept)
}

pub(super) fn keys(db: &Connection, sql: &str, of: i64) -> Result<Vec<i64>> {
    let mut select = db.prepare_cached(sql)?;
    let keys = select.query_map([of], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// How it was until this start.
struct Before {
    /// What was accepted meanwhile was judged by that.
    protected: Protected,
    kept: HashSet<Kept>,
}

/// What an earlier start kept.
#[derive(PartialEq, Eq, Hash)]
enum Kept {
    User(i64),
    Pair(i64, i64),
}

/// The groups that were protected at the last start; notes those that are now.
fn protected_until_now(db: &Connection, connection: i64, actor: &Actor) -> Result<Protected> {
    let was: Option<String> = db
        .prepare_cached("SELECT protected FROM connections WHERE key = ?1")?
        .query_row([connection], |row| row.get(0))?;
    let now = actor.watch.guard().map(|guard| Protected {
        users: BTreeSet::new(),
        ..guard.protected.clone()
    });
    let is = serde_json::to_string(&now.unwrap_or_default())?;
    db.prepare_cached("UPDATE connections SET protected = ?2 WHERE key = ?1")?
        .execute(params![connection, is])?;
    Ok(match was {
        Some(was) => serde_json::from_str(&was)?,
        None => Protected::default(),
    })
}

fn kept_until_now(db: &Connection, connection: i64) -> Result<HashSet<Kept>> {
    let mut select = db.prepare_cached(
        "SELECT m.group_key, m.user_key FROM memberships m JOIN groups g ON g.key = m.group_key
         WHERE g.connection = ?1 AND m.desired <> m.observed AND m.withheld = ?3
         UNION ALL SELECT NULL, key FROM users WHERE connection = ?1 AND refused = ?2",
    )?;
    let kept = select.query_map(params![connection, REASON, UPHELD], |row| {
        let (group, user): (Option<i64>, i64) = (row.get(0)?, row.get(1)?);
        Ok(group.map_or(Kept::User(user), |group| Kept::Pair(group, user)))
    })?;
    Ok(kept.collect::<rusqlite::Result<_>>()?)
}

fn let_go(db: &Connection, connection: i64) -> Result<()> {
    let mut users =
        db.prepare_cached("SELECT key FROM users WHERE connection = ?1 AND refused = ?2")?;
    let users: Vec<i64> = users
        .query_map(params![connection, REASON], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for key in users {
        if let Some(mut user) = users::by_key(db, key)? {
            user.refused = None;
            users::save(db, &user)?;
        }
    }
    for sql in [
        "UPDATE groups SET refused = NULL WHERE connection = ?1 AND refused = ?2",
        "DELETE FROM refusals WHERE reason = ?2
         AND group_key IN (SELECT key FROM groups WHERE connection = ?1)",
    ] {
        db.prepare_cached(sql)?
            .execute(params![connection, REASON])?;
    }
    db.prepare_cached(
        "UPDATE memberships SET withheld = 0 WHERE desired <> observed AND withheld = ?2
         AND group_key IN (SELECT key FROM groups WHERE connection = ?1)",
    )?
    .execute([connection, UPHELD])?;
    Ok(())
}

/// Of a deleted user only its id and its account are known. Who was to have a lower
/// site role keeps the one that was known last.
fn keep_users(db: &Connection, connection: i64, guard: &Guard, actor: &Actor) -> Result<usize> {
    if guard.protected.users.is_empty() {
        return Ok(0);
    }
    let mut kept = 0;
    let open = "SELECT key FROM users
         WHERE connection = ?1 AND dirty = 1 AND (wants = 0 OR existence = 1)";
    for key in keys(db, open, connection)? {
        if let Some(user) = users::by_key(db, key)?
            && (!user.account.active || is_lowered(&user, guard))
            && protects(&user, actor)?
        {
            keep_user(db, user)?;
            kept += 1;
        }
    }
    Ok(kept)
}

fn is_lowered(user: &User, guard: &Guard) -> bool {
    let wanted = user.account.role.as_deref();
    wanted.is_some() && guard.roles.lowers(user.observed.last_role(), wanted)
}

fn keep_user(db: &Connection, mut user: User) -> Result<()> {
    user.refused = Some(REASON.to_owned());
    users::save(db, &user)
}

fn keep_memberships(
    db: &Connection,
    connection: i64,
    guard: &Guard,
    actor: &Actor,
) -> Result<usize> {
    let mut select = db.prepare_cached(
        "SELECT u.id, u.user_name_key, u.account_key, m.group_key, m.user_key
         FROM memberships m JOIN users u ON u.key = m.user_key
         WHERE m.desired <> m.observed AND m.desired = 0 AND u.connection = ?1",
    )?;
    let mut rows = select.query([connection])?;
    let mut kept = Vec::new();
    while let Some(row) = rows.next()? {
        if is_protected(row, guard)? {
            kept.push((row.get(3)?, row.get(4)?));
        }
    }
    for pair in &kept {
        keep_pair(db, *pair, actor)?;
    }
    Ok(kept.len())
}

fn keep_pair(db: &Connection, (group, user): (i64, i64), actor: &Actor) -> Result<()> {
    db.prepare_cached(
        "UPDATE memberships SET withheld = ?3 WHERE group_key = ?1 AND user_key = ?2",
    )?
    .execute([group, user, UPHELD])?;
    refusals::note(db, (group, user), false, REASON, actor.at)
}

fn keep_groups(db: &Connection, connection: i64, guard: &Guard) -> Result<usize> {
    let mut kept = 0;
    let going =
        "SELECT key FROM groups WHERE connection = ?1 AND dirty = 1 AND tombstone IS NOT NULL";
    for key in keys(db, going, connection)? {
        let Some(mut group) = groups::by_key(db, key)? else {
            continue;
        };
        // What cannot be looked at is kept too.
        let named = guard.protected.least(Named::of(&group)?.all()).is_some();
        if named || keep_protected_members(db, guard, key).is_err() {
            group.refused = Some(REASON.to_owned());
            groups::save(db, &group)?;
            kept += 1;
        }
    }
    Ok(kept)
}

/// A group that would be left with too few keeps whom it still has, however
/// they were to go: unless that was judged by the same rule when it was accepted.
fn keep_least(
    db: &Connection,
    connection: i64,
    (guard, before): (&Guard, &Before),
    actor: &Actor,
) -> Result<usize> {
    let mut kept = 0;
    let live = "SELECT key FROM groups WHERE connection = ?1 AND tombstone IS NULL";
    for key in keys(db, live, connection)? {
        let Some(group) = groups::by_key(db, key)? else {
            continue;
        };
        let named = Named::of(&group)?;
        let Some(least) = guard.protected.least(named.all()) else {
            continue;
        };
        if may_stay(db, key)? >= least {
            continue;
        }
        let judged = before.protected.least(named.all()) >= Some(least);
        let keeps = |what| !judged || before.kept.contains(&what);
        for user in keys(
            db,
            "SELECT user_key FROM memberships
             WHERE group_key = ?1 AND desired <> observed AND desired = 0 AND withheld <> 2",
            key,
        )? {
            if keeps(Kept::Pair(key, user)) {
                keep_pair(db, (key, user), actor)?;
                kept += 1;
            }
        }
        for user in keys(
            db,
            "SELECT u.key FROM memberships m JOIN users u ON u.key = m.user_key
             WHERE m.group_key = ?1 AND m.desired = 1 AND u.dirty = 1 AND u.wants = 0
               AND u.refused IS NULL",
            key,
        )? {
            if keeps(Kept::User(user))
                && let Some(user) = users::by_key(db, user)?
            {
                keep_user(db, user)?;
                kept += 1;
            }
        }
    }
    Ok(kept)
}

/// Active members of a group who are there, or may be: before anything is sent, it
/// is looked who is, and nothing of what was under way at the end is known yet.
fn may_stay(db: &Connection, group: i64) -> Result<u64> {
    let count: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM memberships m JOIN users u ON u.key = m.user_key
             WHERE m.group_key = ?1 AND m.desired = 1 AND m.observed <> 0 AND u.wants = 1
               AND u.tombstone IS NULL AND u.existence <> 0",
        )?
        .query_row([group], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Whether somebody of a group must not be taken out by a replacement either.
pub(super) fn withholds_members(db: &Connection, group: i64) -> Result<bool> {
    let withheld = "SELECT 1 FROM memberships INDEXED BY memberships_open
         WHERE group_key = ?1 AND desired <> observed AND withheld <> 0 LIMIT 1";
    let row: Option<i64> = db
        .prepare_cached(withheld)?
        .query_row([group], |row| row.get(0))
        .optional()?;
    Ok(row.is_some())
}
