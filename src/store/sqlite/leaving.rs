//! The end of a user: its tombstone, its memberships' end, and the moment at
//! which nothing of it is left to do, when a successor with the same account
//! may begin (reliability: H-14, I-13).

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    plan::state::{Account, Existence, GroupKey, ObservedAccount, UserKey},
    scim::resource::ResourceId,
    store::{Actor, Lane, Millis, Precondition, UserRow, UserWritten, WriteError},
};

use super::{
    addresses, audit, begun,
    fault::Result,
    given_back, giving, gone, guard, holdings, late, linked, owners, protected, raised, refusals,
    removals,
    row::check,
    seats,
    users::{self, UNJUDGED, User},
    withdrawal::Withdrawal,
};

/// Who is deleted so soon after the application has confirmed the end of the account
/// is not looked for again: nobody gives it back by hand meanwhile, and a look may
/// show how it was before. In milliseconds, whichever way the clock was set.
const MOMENT: u64 = 5_000;

pub(super) fn delete(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    when: &Precondition,
    actor: &Actor,
) -> Result<UserWritten> {
    let mut user = users::live(db, connection, id)?.ok_or(WriteError::Missing)?;
    check(when, user.version)?;
    let before = user.row()?;
    owners::claim_account(db, connection, user.account_key.as_deref())?;
    guard::user_changed(db, &user, &before, None, actor)?;
    let groups = bury(db, &mut user, actor.at)?;
    begun::end(db, UserKey(user.key))?;
    audit::record(
        db,
        connection,
        actor,
        "delete_user",
        Some(id),
        &json!({ "version": user.version, "groups": groups.len() }),
    )?;
    finish(db, user.key)?;
    let mut written = user.written(Some(before), true);
    written.groups = groups;
    Ok(written)
}

/// Takes back the write of `version`; a later one stays as it is.
pub(super) fn restore(
    db: &Connection,
    key: UserKey,
    version: u64,
    before: Option<&UserRow>,
    actor: &Actor,
) -> Result<()> {
    let mut user = users::by_key(db, key.0)?
        .filter(|user| user.tombstone.is_none())
        .ok_or(WriteError::Missing)?;
    if user.version.cast_unsigned() != version {
        return Ok(());
    }
    begun::end(db, key)?;
    let gave = before.is_none_or(|row| row.account.active);
    let ended = user.observed.deactivated || user.withdrawn == Withdrawal::InPart;
    if gave && !user.account.active && ended && user.refused.is_some() {
        // An end that was done as far as it could be is not undone.
        return Ok(());
    }
    let action = if let Some(row) = before {
        if row.account.active && !user.account.active {
            removals::take_back(db, removals::ACCESS, user.key)?;
        }
        if row.account.role != user.account.role {
            removals::take_back(db, removals::ROLE, user.key)?;
        }
        // What its attributes were refused for lets nobody go who is kept.
        let kept = user.refused.take().filter(|why| why == protected::REASON);
        users::put(db, &mut user, row, actor.at)?;
        if kept.is_some() {
            user.refused = kept;
            users::save(db, &user)?;
        }
        "restore_user"
    } else {
        forget_account(&mut user);
        bury(db, &mut user, actor.at)?;
        finish(db, user.key)?;
        // Nobody left: whose account has the address is a matter of the next reading.
        db.prepare_cached("DELETE FROM departed WHERE user_key = ?1")?
            .execute([user.key])?;
        "withdraw_user"
    };
    audit::record(
        db,
        user.connection,
        actor,
        action,
        Some(user.id),
        &json!({ "version": user.version }),
    )
}

/// An account of somebody who was never wanted active is not touched, where its end
/// was refused.
fn forget_account(user: &mut User) {
    let was_wanted = user.account.active;
    if !was_wanted && user.withdrawn == Withdrawal::No {
        user.unsure = 0;
        user.observed = ObservedAccount::default();
        user.upstream_id = None;
    }
}

/// Tombstones a user, wants its account inactive and every membership gone.
/// Returns the groups whose lanes have work because of it.
fn bury(db: &Connection, user: &mut User, at: Millis) -> Result<Vec<GroupKey>> {
    let looked_for = was_ended_before(db, user, at)?;
    given_back::note_left(db, user, at)?;
    let groups = leave_groups(db, user, at)?;
    raised::give_up_all(db, user.key, at)?;
    if user.withdrawn == Withdrawal::No {
        refusals::forget_but_left(db, user.key)?;
    } else {
        refusals::forget_user(db, user.key)?;
    }
    db.prepare_cached("DELETE FROM user_emails WHERE user_key = ?1")?
        .execute([user.key])?;
    db.prepare_cached(
        "UPDATE users SET user_name_key = NULL, external_id = NULL, attributes = '{}' WHERE key = ?1",
    )?
    .execute([user.key])?;
    user.withdrawn = match user.withdrawn {
        // What was only found is taken away too.
        Withdrawal::Done if !groups.is_empty() => Withdrawal::Begun,
        // Everything is, as nothing is desired any more.
        Withdrawal::Meanwhile | Withdrawal::Unended => Withdrawal::No,
        other => other,
    };
    if user.withdrawn != Withdrawal::No && user.observed.existence == Existence::Present {
        linked::note_left(db, user.key)?;
    }
    user.tombstone = Some(at);
    user.version += 1;
    user.modified = at;
    user.refused = None;
    user.account = Account::default();
    if !user.never_there() && !addresses::others(db, user)?.is_empty() {
        // Ended or not, the user has something by them.
        user.unsure = 2;
    } else if looked_for {
        user.unsure = UNJUDGED;
    }
    users::save(db, user)?;
    removals::count_users(db, user.connection, -1)?;
    Ok(groups)
}

/// Whether the account was ended, and so long ago that somebody may have given it
/// back by hand since; nobody is left to be told of that later.
fn was_ended_before(db: &Connection, user: &User, at: Millis) -> Result<bool> {
    let observed = &user.observed;
    let ended = !user.account.active
        && observed.existence == Existence::Absent
        && observed.deactivated
        && user.unsure == 0
        && user.account_key.is_some();
    if !ended {
        return Ok(false);
    }
    let since: Option<Millis> = db
        .prepare_cached("SELECT ended FROM users WHERE key = ?1")?
        .query_row([user.key], |row| row.get(0))?;
    Ok(since.is_none_or(|since| at.abs_diff(since) >= MOMENT))
}

/// The application has confirmed the end of the account.
pub(super) fn note_ended(db: &Connection, user: i64, at: Millis) -> Result<()> {
    db.prepare_cached("UPDATE users SET ended = ?2 WHERE key = ?1")?
        .execute([user, at])?;
    Ok(())
}

struct Pair {
    group: i64,
    desired: bool,
    observed: i64,
    managed: bool,
    /// Not to be taken away from here.
    kept: bool,
    /// The group was there, and is believed to be gone.
    moot: bool,
}

fn leave_groups(db: &Connection, user: &User, at: Millis) -> Result<Vec<GroupKey>> {
    let mut pairs: Vec<Pair> = db
        .prepare_cached(
            "SELECT m.group_key, m.desired, m.observed, m.managed, g.read_only IS NOT NULL,
                 g.made = 1 AND g.existence <> 1
             FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = ?1 AND g.tombstone IS NULL",
        )?
        .query_map([user.key], |row| {
            Ok(Pair {
                group: row.get(0)?,
                desired: row.get(1)?,
                observed: row.get(2)?,
                managed: row.get(3)?,
                kept: row.get(4)?,
                moot: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for pair in pairs.iter_mut().filter(|pair| !pair.managed) {
        pair.kept |= seats::is_anothers(db, user.key, pair.group)?;
    }
    let mut count = db.prepare_cached(
        "UPDATE groups SET members = members - 1, unmanaged = unmanaged - ?3,
             version = version + 1, seq = seq + 1, modified = ?2
         WHERE key = ?1",
    )?;
    let mut forget =
        db.prepare_cached("DELETE FROM memberships WHERE group_key = ?1 AND user_key = ?2")?;
    let mut unwant = db.prepare_cached(
        "UPDATE memberships SET desired = 0, managed = 1, withheld = 0,
             seq = (SELECT seq FROM groups WHERE key = ?1)
         WHERE group_key = ?1 AND user_key = ?2",
    )?;
    let mut groups = Vec::new();
    for pair in &pairs {
        if pair.desired {
            count.execute(params![pair.group, at, !pair.managed])?;
        }
        if pair.kept || pair.observed == 0 || user.never_there() {
            forget.execute([pair.group, user.key])?;
            if pair.moot && !pair.kept && !user.never_there() {
                gone::note_moot(db, pair.group, &[user.key], at)?;
            }
        } else {
            unwant.execute([pair.group, user.key])?;
            groups.push(GroupKey(pair.group));
        }
    }
    if user.account_key.is_none() {
        groups.clear();
    }
    Ok(groups)
}

/// When nothing is left to do for a deleted user, forgets what was kept of it
/// and returns the lane of the successor that waited, if there is one.
pub(super) fn finish(db: &Connection, key: i64) -> Result<Option<Lane>> {
    let ended: Option<(i64, String, bool, Option<String>)> = db
        .prepare_cached(
            // What the application refused to end is there, and is not forgotten.
            // A group that is missing upstream has no members to wait for, and whose
            // account has ended does not wait until a group is deleted.
            "SELECT connection, account_key, withdrawn <> 0 AND existence = 1, upstream_id
             FROM users u
             WHERE key = ?1 AND tombstone IS NOT NULL AND account_key IS NOT NULL AND dirty = 0
               AND refused IS NULL
               AND NOT EXISTS (
                   SELECT 1 FROM memberships m JOIN groups g ON g.key = m.group_key
                   WHERE m.user_key = u.key AND (g.refused IS NULL
                           AND (g.tombstone IS NULL OR u.withdrawn <> 0 OR u.existence <> 0)
                       OR g.tombstone IS NOT NULL AND u.withdrawn <> 0 AND m.managed = 1
                           AND m.observed <> 0))
               -- Nor does it before a reading has told what the account has, where it stays;
               -- of whoever has it next that one asks.
               AND NOT EXISTS (SELECT 1 FROM linked l
                   WHERE l.user_key = u.key AND u.withdrawn <> 0 AND u.existence = 1
                     AND (l.waits = 1 OR NOT EXISTS (
                       SELECT 1 FROM users s
                       WHERE s.connection = u.connection AND s.account_key = u.account_key
                         AND s.tombstone IS NULL)))
               -- What may still land here must not become the successor's, nor
               -- take away what the successor has; where the account stays it is
               -- the successor's to put right, and so is a role that comes late.
               AND (NOT EXISTS (SELECT 1 FROM doubts d WHERE d.user_key = u.key)
                   OR (withdrawn <> 0 AND existence = 1 OR NOT EXISTS (
                           SELECT 1 FROM doubts d
                           WHERE d.user_key = u.key AND (d.group_key <> 0 OR d.sent <> 4)))
                       AND EXISTS (
                       SELECT 1 FROM users s
                       WHERE s.connection = u.connection AND s.account_key = u.account_key
                         AND s.tombstone IS NULL))",
        )?
        .query_row([key], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((connection, account, stays, id)) = ended else {
        return Ok(None);
    };
    let had = users::by_key(db, key)?.map(|user| user.observed);
    db.prepare_cached("DELETE FROM memberships WHERE user_key = ?1")?
        .execute([key])?;
    if stays {
        refusals::forget_user(db, key)?;
    }
    holdings::forget(db, key)?;
    giving::forget_user(db, key)?;
    db.prepare_cached(
        "INSERT OR REPLACE INTO departed
             (connection, account_key, number, stays, upstream_id, user_key)
         SELECT ?1, ?2, ?3, ?4, ?5, iif(EXISTS (
             SELECT 1 FROM users WHERE connection = ?1 AND account_key = ?2
               AND tombstone IS NULL AND account_key IS NOT NULL), NULL, ?6)",
    )?
    .execute(params![
        connection,
        account,
        audit::latest(db)?,
        stays,
        id,
        key
    ])?;
    db.prepare_cached(
        // An id that is its address is forgotten with that.
        "UPDATE users SET account_key = NULL, upstream_id = NULL, attributes = '{}', account = ?2,
             observed = ?3, had = iif(ended IS NOT NULL AND NOT ?4
                 AND lower(upstream_id) <> lower(account_key), upstream_id, NULL)
         WHERE key = ?1",
    )?
    .execute(params![
        key,
        serde_json::to_string(&Account::default())?,
        serde_json::to_string(&ObservedAccount::default())?,
        stays,
    ])?;
    let successor: Option<i64> = db
        .prepare_cached(
            "SELECT key FROM users
             WHERE connection = ?1 AND account_key = ?2 AND tombstone IS NULL",
        )?
        .query_row(params![connection, account], |row| row.get(0))
        .optional()?;
    linked::hand_over(db, key, successor.filter(|_| stays))?;
    let Some(mut next) = successor
        .map(|key| users::by_key(db, key))
        .transpose()?
        .flatten()
    else {
        return Ok(None);
    };
    late::hand_over(db, key, next.key)?;
    refusals::hand_over(db, key, next.key)?;
    if stays {
        gone::hand_over(db, key, next.key)?;
    }
    let mut takes = next.is_unknown() && inherit(db, &mut next)?;
    if let Some(had) = had
        && late::is_doubted_account(db, next.key)?
    {
        next.observed.inherit(&had);
        takes = true;
    }
    if takes {
        users::save(db, &next)?;
    }
    Ok(next.dirty().then_some(Lane::User(UserKey(next.key))))
}

/// Who is made anew with the account of somebody who was deleted here has it as
/// it stayed there, as soon as a look shows it; nobody else's account is taken for
/// that (reliability: R-02). Whether there is one.
pub(super) fn inherit(db: &Connection, user: &mut User) -> Result<bool> {
    let id: Option<Option<String>> = db
        .prepare_cached(
            "SELECT upstream_id FROM departed
             WHERE connection = ?1 AND account_key = ?2 AND stays = 1",
        )?
        .query_row(params![user.connection, user.account_key], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(false) };
    user.upstream_id = id;
    user.observed.existence = Existence::Unknown;
    user.unsure = 2;
    Ok(true)
}

/// Who was deleted last with the account of an address, of whom nothing is left to
/// do and whose address nobody has had since; as it was when it ended.
pub(super) fn departed(db: &Connection, connection: i64, account: &str) -> Result<Option<User>> {
    let key: Option<i64> = db
        .prepare_cached(
            "SELECT user_key FROM departed
             WHERE connection = ?1 AND account_key = ?2 AND user_key IS NOT NULL",
        )?
        .query_row(params![connection, account], |row| row.get(0))
        .optional()?;
    match key {
        Some(key) => as_it_ended(db, key),
        None => Ok(None),
    }
}

/// The same by its key.
pub(super) fn as_it_ended(db: &Connection, key: i64) -> Result<Option<User>> {
    let ended: Option<(String, Option<String>)> = db
        .prepare_cached(
            "SELECT account_key, upstream_id FROM departed d
             WHERE user_key = ?1 AND user_key IS NOT NULL AND NOT EXISTS (
                 SELECT 1 FROM users u WHERE u.connection = d.connection
                   AND u.account_key = d.account_key AND u.tombstone IS NULL
                   AND u.account_key IS NOT NULL)",
        )?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((account, id)) = ended else {
        return Ok(None);
    };
    let user = users::by_key(db, key)?.filter(|it| it.account_key.is_none());
    Ok(user.map(|user| User {
        account_key: Some(account),
        upstream_id: id,
        withdrawn: Withdrawal::No,
        observed: ObservedAccount {
            deactivated: true,
            ..ObservedAccount::default()
        },
        ..user
    }))
}

/// Somebody has the address again, by that key. Where accounts stay behind without
/// anything by which they are shown, that of before is remembered until this one has one.
pub(super) fn is_had_again(db: &Connection, key: i64, user: &User) -> Result<()> {
    let of = params![user.connection, user.account_key];
    match had_before(db, user)? {
        // An import shows what there is of it.
        Some(before) if user.observed.existence == Existence::Present => {
            refusals::forget_user(db, before)?;
        }
        Some(before) => refusals::hand_over(db, before, key)?,
        None => {}
    }
    db.prepare_cached(
        "UPDATE departed SET user_key = NULL
         WHERE connection = ?1 AND account_key = ?2 AND stays = 0",
    )?
    .execute(of)?;
    db.prepare_cached(
        "DELETE FROM departed WHERE connection = ?1 AND account_key = ?2 AND stays = 0
           AND (upstream_id IS NULL OR NOT EXISTS (
             SELECT 1 FROM groups WHERE connection = ?1 AND family IS NOT NULL))",
    )?
    .execute(of)?;
    Ok(())
}

/// Who was here before the account was, and was given its address meanwhile, has what
/// was left there.
pub(super) fn comes_to_have(db: &Connection, user: &User) -> Result<()> {
    let Some(before) = had_before(db, user)? else {
        return Ok(());
    };
    refusals::hand_over(db, before, user.key)?;
    db.prepare_cached("UPDATE departed SET user_key = NULL WHERE user_key = ?1")?
        .execute([before])?;
    Ok(())
}

/// Who was deleted last with the account of an address, where nobody has had it since.
fn had_before(db: &Connection, user: &User) -> Result<Option<i64>> {
    Ok(db
        .prepare_cached(
            "SELECT user_key FROM departed
             WHERE connection = ?1 AND account_key = ?2 AND stays = 0 AND user_key IS NOT NULL",
        )?
        .query_row(params![user.connection, user.account_key], |row| row.get(0))
        .optional()?)
}

/// The account of whoever was deleted last with the address of a user who has none
/// yet and is to have one.
pub(super) fn formerly(db: &Connection, user: &User) -> Result<Option<String>> {
    if user.upstream_id.is_some() || !user.account.active || user.tombstone.is_some() {
        return Ok(None);
    }
    let id: Option<Option<String>> = db
        .prepare_cached(
            "SELECT upstream_id FROM departed
             WHERE connection = ?1 AND account_key = ?2 AND stays = 0",
        )?
        .query_row(params![user.connection, user.account_key], |row| row.get(0))
        .optional()?;
    Ok(id.flatten())
}

/// Those who were deleted, with the same account, and have work left.
pub(super) fn predecessors(db: &Connection, user: &User) -> Result<Vec<i64>> {
    let mut select = db.prepare_cached(
        "SELECT key FROM users
         WHERE connection = ?1 AND account_key = ?2 AND tombstone IS NOT NULL
           AND account_key IS NOT NULL",
    )?;
    let keys = select.query_map(params![user.connection, user.account_key], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Whether somebody who was deleted here had an account of that address last.
pub(super) fn had_it_before(
    db: &Connection,
    connection: i64,
    account: Option<&str>,
) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM departed WHERE connection = ?1 AND account_key = ?2")?
        .exists(params![connection, account])?)
}

pub(super) fn must_wait(db: &Connection, user: &User) -> Result<bool> {
    Ok(!predecessors(db, user)?.is_empty())
}
