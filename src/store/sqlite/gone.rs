//! Groups that the application had and has no more, as a turn has found out. SCIM
//! goes on showing them with their members, of whom nobody is there; nothing is
//! sent for them, and they stand in the status as refused, until somebody is asked
//! for in them (reliability: H-15, F-09).
//!
//! Whoever was to be no member of such a group is out without having been taken
//! out. That is as good as the application's word, and where the group is there
//! after all they are still in it; so it is kept who they are. Whoever was only found
//! in it is gone with it: nobody has asked for them, so it is not made again with
//! them, and where it is there after all the next import makes them members once more.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    plan::{
        operation::Operation,
        state::{Existence, GroupKey, ObservedAccount},
    },
    store::{Actor, GroupLearned, Lane, Millis, Reconcilable, Repaired, Took},
};

use super::{
    audit,
    fault::Result,
    found,
    groups::{self, Group},
    lanes, late,
    reconcile::{self, reconcilable_at},
    recovery,
    users::{self, User},
    withdrawal::{Withdrawal, withdrawn},
};

/// Writes it into the pairs, and says it of the row without saving that. Returns
/// the users that may have left for good.
pub(super) fn note(
    db: &Connection,
    group: &mut Group,
    reason: &str,
    at: Millis,
) -> Result<Vec<i64>> {
    group.existence = Existence::Absent;
    group.made = true;
    group.whole = false;
    group.refused = Some(reason.to_owned());
    db.prepare_cached(
        "INSERT OR REPLACE INTO moot (group_key, user_key, at)
         SELECT group_key, user_key, ?2 FROM memberships WHERE group_key = ?1 AND desired = 0",
    )?
    .execute(params![group.key, at])?;
    let leavers = lanes::purge_leaving(db, group.key)?;
    db.prepare_cached(
        "UPDATE memberships SET observed = 0, before = NULL, sent = NULL, stood = 0
         WHERE group_key = ?1",
    )?
    .execute([group.key])?;
    Ok(leavers)
}

/// These are out because their group is taken to be gone.
pub(super) fn note_moot(db: &Connection, group: i64, users: &[i64], at: Millis) -> Result<()> {
    let mut note = db.prepare_cached(
        "INSERT OR REPLACE INTO moot (group_key, user_key, at) VALUES (?1, ?2, ?3)",
    )?;
    for user in users {
        note.execute(params![group, user, at])?;
    }
    Ok(())
}

/// Whether anybody is out because it was taken to be gone.
pub(super) fn is_moot(db: &Connection, group: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM moot WHERE group_key = ?1")?
        .exists([group])?)
}

/// The group is to be made again, or may be there after all and another one by now:
/// who was only found is none of its members any more. Not saved of the row.
pub(super) fn forget_found(db: &Connection, group: &mut Group, at: Millis) -> Result<()> {
    let forgotten = db
        .prepare_cached(
            "DELETE FROM memberships
             WHERE group_key = ?1 AND desired = 1 AND managed = 0",
        )?
        .execute([group.key])?;
    if forgotten > 0 {
        let count = i64::try_from(forgotten).unwrap_or(i64::MAX);
        group.members -= count;
        group.unmanaged -= count;
        group.strangers += count;
        group.version += 1;
        group.modified = at;
    }
    Ok(())
}

pub(super) fn forget_moot(db: &Connection, group: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM moot WHERE group_key = ?1")?
        .execute([group])?;
    Ok(())
}

/// Who was out has an account that is somebody else's now.
pub(super) fn hand_over(db: &Connection, from: i64, to: i64) -> Result<()> {
    db.prepare_cached("UPDATE OR REPLACE moot SET user_key = ?2 WHERE user_key = ?1")?
        .execute([from, to])?;
    Ok(())
}

/// What a turn learned of the group itself, for those who are out because of it:
/// nobody is in one that was just made, and in one that is or may be there they are.
pub(super) fn follow(
    db: &Connection,
    group: &Group,
    learned: &GroupLearned,
    at: Millis,
) -> Result<()> {
    let makes = |(operation, ..): &(Operation, String, Took)| {
        matches!(operation, Operation::CreateGroup { .. })
    };
    match group.existence {
        _ if group.tombstone.is_some() => Ok(()),
        Existence::Absent if group.made => {
            let absent: Vec<i64> = learned.absent.iter().map(|user| user.0).collect();
            note_moot(db, group.key, &absent, at)
        }
        Existence::Absent => Ok(()),
        Existence::Present if learned.calls.iter().any(makes) => forget_moot(db, group.key),
        Existence::Present | Existence::Unknown => say_moot(db, group),
    }
}

/// One that was there is deleted there, too, whatever calls and looks have said of
/// it meanwhile: what answers then is the proof, and otherwise it might stay with
/// all of its members.
pub(super) fn doubt(db: &Connection, group: &mut Group) -> Result<()> {
    let believed = group.made && group.existence == Existence::Absent;
    if believed && group.read_only.is_none() {
        group.existence = Existence::Unknown;
        say_moot(db, group)?;
    }
    Ok(())
}

/// They are taken out, as the group is there or may be; so is who is not to have
/// access meanwhile. Not whoever is asked for in it again. Of whose account was
/// deleted here and stays there it is who has that account by now.
pub(super) fn say_moot(db: &Connection, group: &Group) -> Result<()> {
    let users: Vec<(i64, Millis)> = db
        .prepare_cached("SELECT user_key, at FROM moot WHERE group_key = ?1")?
        .query_map([group.key], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut open = db.prepare_cached(
        "INSERT OR IGNORE INTO memberships
             (group_key, user_key, user_id, desired, observed, managed, seq, withheld)
         VALUES (?1, ?2, ?3, 0, 2, 1, ?4, ?5)",
    )?;
    for (user, at) in users {
        let member = match users::by_key(db, user)? {
            Some(user) if user.account_key.is_some() => Some(user),
            Some(user) => left_behind(db, user)?,
            None => None,
        };
        if let Some(member) = member.filter(|it| !it.never_there()) {
            let withheld = recovery::withholds(db, group.connection, at)?;
            let id = member.id.as_bytes();
            open.execute(params![group.key, member.key, id, group.seq, withheld])?;
        }
    }
    forget_moot(db, group.key)?;
    db.prepare_cached(concat!(
        "UPDATE memberships SET observed = 2
         WHERE group_key = ?1 AND desired = 1 AND observed = 0 AND managed = 1
           AND EXISTS (SELECT 1 FROM users u WHERE u.key = user_key AND ",
        withdrawn!(),
        ")"
    ))?
    .execute([group.key])?;
    Ok(())
}

/// Who has the account of a deleted user that the application could not end: whoever
/// was made anew with it, else the deleted user, whose end is open again.
fn left_behind(db: &Connection, user: User) -> Result<Option<User>> {
    let left: Option<(String, Option<String>)> = db
        .prepare_cached(
            "SELECT account_key, upstream_id FROM departed
             WHERE user_key = ?1 AND user_key IS NOT NULL AND stays = 1",
        )?
        .query_row([user.key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((account, upstream_id)) = left else {
        return Ok(None);
    };
    let bearer = found::by_account(db, user.connection, &account)?;
    if bearer.is_some() {
        return Ok(bearer);
    }
    let user = User {
        account_key: Some(account),
        upstream_id,
        withdrawn: Withdrawal::Begun,
        refused: None,
        observed: ObservedAccount {
            existence: Existence::Present,
            ..ObservedAccount::default()
        },
        ..user
    };
    users::save(db, &user)?;
    Ok(Some(user))
}

pub(super) fn groups_after(
    db: &Connection,
    connection: i64,
    after: i64,
    most: usize,
) -> Result<Vec<Reconcilable>> {
    let mut select = db.prepare_cached(
        "SELECT key, id, upstream_name, NULL, coalesce(attributes ->> '$.displayName', '')
         FROM groups
         WHERE connection = ?1 AND key > ?2 AND tombstone IS NULL AND existence = 0 AND made = 1
           AND refused IS NOT NULL
         ORDER BY key LIMIT ?3",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map(params![connection, after, most], reconcilable_at)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// See [`crate::store::Store::lose_group`]. What is open tells of itself what has become
/// of the group, and one that has an id there is not made anew for being asked for. What
/// was only found would be forgotten by it, and stay there if the group is shown again.
pub(super) fn lose(
    db: &Connection,
    key: GroupKey,
    since: i64,
    reason: &str,
    actor: &Actor,
) -> Result<Vec<Lane>> {
    let Some(mut group) = groups::by_key(db, key.0)? else {
        return Ok(Vec::new());
    };
    let at_rest = group.existence == Existence::Present
        && group.ours
        && group.unmanaged == 0
        && group.tombstone.is_none()
        && group.read_only.is_none()
        && group.refused.is_none()
        && group.family.is_none()
        && group.id_known.is_none()
        && !group.dirty();
    let open = "SELECT 1 FROM memberships INDEXED BY memberships_open
         WHERE group_key = ?1 AND desired <> observed AND (desired = 0 OR observed = 2)";
    if !at_rest
        || reconcile::was_turned(db, &group, since)?
        || late::may_land_in(db, group.key)?
        || db.prepare_cached(open)?.exists([group.key])?
    {
        return Ok(Vec::new());
    }
    let left = note(db, &mut group, reason, actor.at)?;
    group.seq += 1;
    groups::save(db, &group)?;
    let (detail, id) = (json!({ "gone": true }), Some(group.id));
    audit::record(db, group.connection, actor, "drift", id, &detail)?;
    lanes::finish_all(db, left)
}

/// It may be there again.
pub(super) fn find(db: &Connection, key: GroupKey, actor: &Actor) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let Some(mut group) = groups::by_key(db, key.0)?.filter(Group::is_gone) else {
        return Ok(repaired);
    };
    group.existence = Existence::Unknown;
    group.refused = None;
    forget_found(db, &mut group, actor.at)?;
    groups::save(db, &group)?;
    say_moot(db, &group)?;
    let detail = json!({ "back": true });
    audit::record(
        db,
        group.connection,
        actor,
        "drift",
        Some(group.id),
        &detail,
    )?;
    repaired.lanes.push(Lane::Group(key));
    Ok(repaired)
}
