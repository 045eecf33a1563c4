//! Access withdrawn where the application cannot end an account: every membership
//! of the user is taken away there, also one that was only found (see `unasked`),
//! and stays desired here, so that just these are given back when the user is
//! active again (reliability: I-14, I-15). What is wanted of a pair is that it is desired and its user is not
//! withdrawn; the group's lane sends it, and the user's waits until all have
//! arrived. A refused removal ends it in part: told, kept, and tried again.
//!
//! Where the account can be ended and its end waits, the same is done meanwhile,
//! and waits for nothing: the end of the account is the end of the rest.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::{Existence, GroupKey, UserKey},
    scim::resource::ResourceId,
    store::{Delay, KEPT, Lane, Millis, Withdrawn},
};

use super::{
    ended_elsewhere,
    fault::Result,
    lanes,
    linked::{self, unread},
    row::id_at,
    seats, unasked,
    users::{self, User},
};

/// As the column `withdrawn`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Withdrawal {
    #[default]
    No = 0,
    Begun = 1,
    Done = 2,
    InPart = 3,
    /// Until the account is ended. Then it stays, so that what was taken away is
    /// given back with the account, and nothing is taken away any more.
    Meanwhile = 4,
    /// It was done, and the application has learned to end accounts since; nobody
    /// has asked for that since.
    Unended = 5,
}

impl Withdrawal {
    pub(super) fn of(code: i64) -> Self {
        match code {
            1 => Self::Begun,
            2 => Self::Done,
            3 => Self::InPart,
            4 => Self::Meanwhile,
            5 => Self::Unended,
            _ => Self::No,
        }
    }
}

/// Whether a user `u` is to be in no group for now, whatever is desired. Of an
/// account that was ended nothing is left to be taken away.
macro_rules! withdrawn {
    () => {
        "(u.withdrawn <> 0 AND NOT (u.withdrawn = 4 AND u.existence = 0))"
    };
}
pub(super) use withdrawn;

/// A pair `m` in a group `g` that keeps the withdrawal of a user `u` open: what
/// is being taken away with it, or was to be before, also with a whole group, and
/// from one that is deleted and stays. What the application refused does not, nor
/// does what cannot be sent.
macro_rules! open {
    () => {
        "m.user_key = u.key AND g.key = m.group_key AND m.withheld = 0 AND m.observed <> 0
         AND g.read_only IS NULL AND (g.refused IS NULL OR g.tombstone IS NOT NULL)
         AND CASE WHEN g.tombstone IS NOT NULL AND g.refused IS NULL THEN g.existence <> 0
             WHEN m.desired = 1 THEN m.observed = 2 AND m.managed = 1
             ELSE NOT EXISTS (
                 SELECT 1 FROM refusals r
                 WHERE r.group_key = m.group_key AND r.user_key = m.user_key AND r.wanted = 0) END"
    };
}
const OPEN: &str = concat!(
    "SELECT m.group_key FROM users u, memberships m, groups g WHERE u.key = ?1 AND ",
    open!()
);
const ARRIVED: &str = concat!(
    "SELECT u.key FROM users u
     WHERE u.connection = ?1 AND u.withdrawn <> 0 AND u.withdrawn = 1
       AND NOT EXISTS (SELECT 1 FROM memberships m, groups g WHERE ",
    open!(),
    ") AND NOT ",
    unread!()
);

/// The account cannot be ended, so its memberships are: those that are known to
/// be there, with `all` also those that are believed to be gone. Returns the
/// lanes that have work because of it.
pub(super) fn begin(db: &Connection, user: &mut User, all: bool) -> Result<Vec<Lane>> {
    take_away(db, user, all, Withdrawal::Begun)
}

/// The same while the account waits to be ended; who is deleted is being taken out
/// of every group already.
pub(super) fn begin_meanwhile(db: &Connection, user: &mut User, all: bool) -> Result<Vec<Lane>> {
    if user.tombstone.is_some() {
        return Ok(Vec::new());
    }
    take_away(db, user, all, Withdrawal::Meanwhile)
}

fn take_away(db: &Connection, user: &mut User, all: bool, how: Withdrawal) -> Result<Vec<Lane>> {
    if user.account.active {
        return Ok(Vec::new());
    }
    unasked::take_on(db, user)?;
    let writable = "group_key IN (SELECT key FROM groups
         WHERE (tombstone IS NULL OR existence <> 0) AND read_only IS NULL)";
    // A removal that was refused before, and is desired again for that, stays
    // told: this ends it for now, and activation gives it back.
    let first = user.withdrawn == Withdrawal::No && user.tombstone.is_none();
    db.prepare_cached(
        "DELETE FROM refusals WHERE user_key = ?1 AND wanted = 0 AND NOT (?2 AND EXISTS (
             SELECT 1 FROM memberships m WHERE m.group_key = refusals.group_key
                 AND m.user_key = ?1 AND m.desired = 1))",
    )?
    .execute(params![user.key, first])?;
    let doubt = format!(
        "UPDATE memberships SET observed = 2, before = NULL, sent = NULL
         WHERE user_key = ?1 AND desired = 1 AND managed = 1 AND (observed = 1 OR ?2 AND observed = 0)
           AND {writable}"
    );
    db.prepare_cached(&doubt)?.execute(params![user.key, all])?;
    // It is a write like any other, and a group that was refused one before is
    // tried again with it; but not one that is not there, of which nobody is taken.
    db.prepare_cached(
        "UPDATE groups SET refused = NULL WHERE refused IS NOT NULL AND tombstone IS NULL
             AND existence <> 0 AND key IN (
             SELECT group_key FROM memberships WHERE user_key = ?1 AND desired <> observed)",
    )?
    .execute([user.key])?;
    user.withdrawn = how;
    users::save(db, user)?;
    if user.tombstone.is_some() {
        linked::note_left(db, user.key)?;
    }
    let groups = open_groups(db, user.key)?;
    Ok(groups.into_iter().map(Lane::Group).collect())
}

/// The groups for whose lanes a withdrawal waits.
pub(super) fn open_groups(db: &Connection, user: i64) -> Result<Vec<GroupKey>> {
    let mut select = db.prepare_cached(OPEN)?;
    let groups = select.query_map([user], |row| row.get(0).map(GroupKey))?;
    Ok(groups.collect::<rusqlite::Result<_>>()?)
}

/// Whether it waits for the lanes of groups, or for a reading of them.
pub(super) fn is_open(db: &Connection, user: &User) -> Result<bool> {
    Ok(user.withdrawn == Withdrawal::Begun
        && (db.prepare_cached(OPEN)?.exists([user.key])? || linked::is_unread(db, user.key)?))
}

/// How it ended, when it has.
pub(super) fn outcome(db: &Connection, user: &User) -> Result<Option<Withdrawn>> {
    if user.account.active || user.withdrawn != Withdrawal::Begun {
        return Ok(None);
    }
    let refused: Option<String> = db
        .prepare_cached(
            "SELECT r.reason FROM refusals r
             JOIN memberships m ON m.group_key = r.group_key AND m.user_key = r.user_key
             WHERE r.user_key = ?1 AND r.wanted = 0 AND m.observed <> 0 LIMIT 1",
        )?
        .query_row([user.key], |row| row.get(0))
        .optional()?;
    Ok(Some(refused.map_or(Withdrawn::Whole, Withdrawn::Refused)))
}

/// Whether memberships were taken away, and something is left that was not.
pub(super) fn is_begun(user: &User) -> bool {
    !user.account.active && matches!(user.withdrawn, Withdrawal::Meanwhile | Withdrawal::InPart)
}

/// What a turn of the user wrote down of it.
pub(super) fn note_end(user: &mut User) {
    if user.account.active {
        return;
    }
    user.withdrawn = match (user.withdrawn, &user.refused) {
        (Withdrawal::Begun | Withdrawal::Meanwhile, Some(_)) => Withdrawal::InPart,
        (Withdrawal::Begun, None) => Withdrawal::Done,
        (other, _) => other,
    };
}

/// The account was ended after all, and whatever was refused meanwhile with it.
/// Returns the lanes that have work because of it.
pub(super) fn note_account_ended(db: &Connection, user: &mut User) -> Result<Vec<Lane>> {
    if user.account.active || user.withdrawn == Withdrawal::No {
        return Ok(Vec::new());
    }
    db.prepare_cached("DELETE FROM refusals WHERE user_key = ?1 AND wanted = 0 AND at >= ?2")?
        .execute(params![user.key, user.modified])?;
    // Of who is deleted they are taken away as from anybody who left.
    user.withdrawn = if user.tombstone.is_some() {
        Withdrawal::No
    } else {
        Withdrawal::Meanwhile
    };
    users::save(db, user)?;
    let groups = lanes::open_groups_of(db, user.key)?;
    Ok(groups.into_iter().map(Lane::Group).collect())
}

/// Access is asked to end once more, so what was refused is tried again. Whether
/// there is anything to do.
pub(super) fn ask_again(db: &Connection, user: &mut User) -> Result<bool> {
    if user.account.active || user.observed.existence == Existence::Absent {
        return Ok(false);
    }
    let again = match user.withdrawn {
        Withdrawal::Meanwhile | Withdrawal::Unended => true,
        // Also what was found since it was done.
        Withdrawal::Done => !unasked::of(db, user.key)?.is_empty(),
        _ => false,
    };
    if again {
        user.withdrawn = Withdrawal::InPart;
    }
    Ok(again)
}

/// A removal that was refused goes once more, of somebody whom nobody can delete
/// again.
pub(super) fn resume(db: &Connection, (group, user): (i64, i64)) -> Result<()> {
    let deleted = |it: &User| it.tombstone.is_some() && it.withdrawn != Withdrawal::No;
    let Some(mut user) = users::by_key(db, user)?.filter(deleted) else {
        return Ok(());
    };
    db.prepare_cached(
        "DELETE FROM refusals WHERE group_key = ?1 AND user_key = ?2 AND wanted = 0",
    )?
    .execute([group, user.key])?;
    user.withdrawn = Withdrawal::Begun;
    user.refused = None;
    users::save(db, &user)
}

/// What was refused of somebody who is deleted has gone since, with its group
/// perhaps: nothing is left that their end was refused for, and whoever comes
/// after them waits for it. Likewise where a guard rail has refused all of it.
pub(super) fn relieve(db: &Connection, user: i64) -> Result<Option<Lane>> {
    let relieved = |it: &User| match (it.withdrawn, &it.refused) {
        (Withdrawal::InPart, Some(_)) => it.tombstone.is_some(),
        (Withdrawal::No, Some(reason)) => it.tombstone.is_some() && reason.ends_with(KEPT),
        _ => false,
    };
    let Some(mut user) = users::by_key(db, user)?.filter(relieved) else {
        return Ok(None);
    };
    let left = db
        .prepare_cached("SELECT 1 FROM memberships WHERE user_key = ?1 AND observed <> 0")?
        .exists([user.key])?;
    if left {
        return Ok(None);
    }
    if user.withdrawn == Withdrawal::InPart {
        user.withdrawn = Withdrawal::Begun;
    }
    user.refused = None;
    users::save(db, &user)?;
    Ok(Some(Lane::User(UserKey(user.key))))
}

/// The lanes of users whose last pair has arrived.
pub(super) fn arrived(db: &Connection, connection: i64) -> Result<Vec<Lane>> {
    let mut select = db.prepare_cached(ARRIVED)?;
    let users = select.query_map([connection], |row| Ok(Lane::User(UserKey(row.get(0)?))))?;
    Ok(users.collect::<rusqlite::Result<_>>()?)
}

/// Whether anybody of a connection is withdrawn.
pub(super) fn is_any(db: &Connection, connection: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM users WHERE connection = ?1 AND withdrawn <> 0 LIMIT 1")?
        .exists([connection])?)
}

/// Of who is withdrawn no membership is at rest that is there, but for what is
/// found later.
pub(super) fn doubt(db: &Connection, group: i64, user: i64) -> Result<bool> {
    let doubted = db
        .prepare_cached(concat!(
            "UPDATE memberships SET observed = 2, before = NULL, sent = NULL
             WHERE group_key = ?1 AND user_key = ?2 AND desired = 1 AND managed = 1
               AND observed = 1 AND EXISTS (SELECT 1 FROM users u WHERE u.key = user_key AND ",
            withdrawn!(),
            ")"
        ))?
        .execute([group, user])?;
    Ok(doubted > 0)
}

/// Who returns may not be where the end of it was refused: that may have been needless.
/// Nobody asks for what was refused since their last change any more.
pub(super) fn reopen_refused(db: &Connection, user: i64, changed: Millis) -> Result<()> {
    db.prepare_cached(
        "UPDATE memberships SET observed = 2, before = NULL, sent = NULL, stood = 0
         WHERE user_key = ?1 AND desired = 1 AND observed = 1 AND managed = 1
           AND EXISTS (SELECT 1 FROM refusals r WHERE r.group_key = memberships.group_key
               AND r.user_key = ?1 AND r.wanted = 0)",
    )?
    .execute([user])?;
    db.prepare_cached("DELETE FROM refusals WHERE user_key = ?1 AND wanted = 0 AND at >= ?2")?
        .execute([user, changed])?;
    Ok(())
}

/// Whether a user's memberships are not wanted for now, whatever is desired.
pub(super) fn is_withdrawn(db: &Connection, user: i64) -> Result<bool> {
    let withdrawn: Option<bool> = db
        .prepare_cached(concat!(
            "SELECT ",
            withdrawn!(),
            " FROM users u WHERE u.key = ?1"
        ))?
        .query_row([user], |row| row.get(0))
        .optional()?;
    Ok(withdrawn.unwrap_or_default())
}

/// See [`crate::store::Store::note_ends`].
pub(super) fn note_ends(db: &Connection, connection: i64, ends: bool) -> Result<usize> {
    let (was, is) = if ends {
        (Withdrawal::Done, Withdrawal::Unended)
    } else {
        (Withdrawal::Unended, Withdrawal::Done)
    };
    db.prepare_cached(
        "UPDATE users SET withdrawn = ?3
         WHERE connection = ?1 AND withdrawn = ?2 AND withdrawn <> 0 AND tombstone IS NULL
           AND existence <> 0",
    )?
    .execute(params![connection, was as i64, is as i64])?;
    let left: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM users WHERE connection = ?1 AND withdrawn = 5 AND withdrawn <> 0",
        )?
        .query_row([connection], |row| row.get(0))?;
    Ok(usize::try_from(left).unwrap_or_default())
}

/// See [`crate::store::Store::delayed`].
pub(super) fn delayed(
    db: &Connection,
    connection: i64,
    most: usize,
) -> Result<Vec<(ResourceId, Delay)>> {
    let mut delayed = Vec::new();
    for (known, sql) in [
        (
            Some(Delay::Unended),
            "SELECT id, NULL, 0 FROM users
             WHERE connection = ?1 AND withdrawn = 5 AND withdrawn <> 0 LIMIT ?2",
        ),
        (Some(Delay::EndedElsewhere), ended_elsewhere::ASKED),
        (
            None,
            "SELECT u.id, max(o.refused),
                 max(o.dirty = 1 OR EXISTS (
                     SELECT 1 FROM memberships m
                     WHERE m.user_key = o.key AND m.desired <> m.observed)
                   OR NOT EXISTS (SELECT 1 FROM doubts d WHERE d.user_key = o.key)) = 0
             FROM users u
             JOIN users o ON o.connection = u.connection AND o.account_key = u.account_key
                 AND o.tombstone IS NOT NULL AND o.account_key IS NOT NULL
             WHERE u.connection = ?1 AND u.dirty = 1 AND u.tombstone IS NULL
             GROUP BY u.key LIMIT ?2",
        ),
    ] {
        let left = i64::try_from(most.saturating_sub(delayed.len())).unwrap_or(i64::MAX);
        let mut select = db.prepare_cached(sql)?;
        let rows = select.query_map(params![connection, left], |row| {
            let why = match (&known, row.get(1)?) {
                (Some(why), _) => why.clone(),
                (None, Some(reason)) => Delay::PredecessorRefused(reason),
                (None, None) if row.get(2)? => Delay::PredecessorUnsettled,
                (None, None) => Delay::Predecessor,
            };
            Ok((id_at(row, 0)?, why))
        })?;
        for row in rows {
            delayed.push(row?);
        }
    }
    Ok(delayed)
}

/// The application's names of the groups that a user would be taken out of.
pub(super) fn groups_of(db: &Connection, user: &User) -> Result<Vec<String>> {
    if user.account.active {
        return Ok(Vec::new());
    }
    let pairs: Vec<(String, i64, bool)> = db
        .prepare_cached(
            "SELECT g.upstream_name, g.key, m.managed
             FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = ?1 AND m.desired = 1 AND m.observed <> 0
               AND (g.tombstone IS NULL OR g.existence <> 0) AND g.read_only IS NULL",
        )?
        .query_map([user.key], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut names = Vec::with_capacity(pairs.len());
    for (name, group, managed) in pairs {
        if managed || !seats::is_anothers(db, user.key, group)? {
            names.push(name);
        }
    }
    Ok(names)
}
