//! Families: groups that are exclusive alternatives in the application, as of
//! the roles in one Snyk Group, and users whose account is yet to appear there.
//!
//! A call about one pair may give the user another group of the family: the
//! one that counts. So no pair of a family whose user may have an account is
//! forgotten because nothing was sent about it (see [`may_forget`]), and what a
//! late call may have undone is everything that the user has of the family.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    plan::state::{Family, UserKey},
    store::{Actor, Alternative, Counting, GroupRow, GroupTurn, Lane, Seat},
};

use super::{
    audit,
    fault::Result,
    groups::Group,
    holdings, raised, seats,
    users::{self, User},
};

struct Own {
    connection: i64,
    family: String,
    rank: u32,
    desired: bool,
    /// Is not taken away now: see `recovery`.
    withheld: bool,
    active: bool,
    there: bool,
    /// Here only to be taken away once more: see `late`.
    doubted: bool,
    kept: bool,
}

/// See [`crate::store::Store::counting`].
pub(super) fn counting(
    db: &Connection,
    group: i64,
    user: i64,
    wanted: bool,
) -> Result<Option<Counting>> {
    let own = db
        .prepare_cached(
            "SELECT g.connection, g.family, g.rank, m.desired,
                 m.withheld OR (c.unseen AND u.wants = 1 AND u.tombstone IS NULL),
                 u.tombstone IS NULL AND u.wants = 1, u.existence = 1 AND u.unsure < 2,
                 m.doubted <> 0, m.seq <= g.left_out
             FROM memberships m JOIN groups g ON g.key = m.group_key
             JOIN users u ON u.key = m.user_key JOIN connections c ON c.key = g.connection
             WHERE m.group_key = ?1 AND m.user_key = ?2 AND g.family IS NOT NULL
               AND g.tombstone IS NULL",
        )?
        .query_row([group, user], |row| {
            Ok(Own {
                connection: row.get(0)?,
                family: row.get(1)?,
                rank: row.get(2)?,
                desired: row.get(3)?,
                withheld: row.get(4)?,
                active: row.get(5)?,
                there: row.get(6)?,
                doubted: row.get(7)?,
                kept: row.get::<_, Option<bool>>(8)?.unwrap_or(false),
            })
        })
        .optional()?;
    let sendable = |own: &Own| {
        own.desired == wanted
            && if wanted {
                own.active && own.there
            } else {
                !own.withheld
            }
    };
    let Some(own) = own.filter(sendable) else {
        return Ok(None);
    };
    let seat = if wanted || own.doubted {
        seats::of(db, user, &own.family)?
    } else {
        Seat::Free
    };
    let seat = if wanted && seat == Seat::Free && seats::is_being_ended(db, user)? {
        Seat::Leaving
    } else {
        seat
    };
    let counting = if own.active {
        alternatives(db, &own, user)?
    } else {
        Counting::default()
    };
    let (holding, told) = holdings::of(db, group, user)?.unzip();
    let fallback = if own.active && !wanted {
        raised::fallback(db, group, user)?
    } else {
        None
    };
    Ok(Some(Counting {
        fallback,
        seat,
        kept: own.kept,
        has: holdings::is_any(db, group, user)?,
        holding,
        told: told.flatten(),
        ..counting
    }))
}

fn family_of(db: &Connection, group: i64) -> Result<Option<String>> {
    Ok(db
        .prepare_cached("SELECT family FROM groups WHERE key = ?1")?
        .query_row([group], |row| row.get(0))?)
}

/// Whether a user's place in the family of a group is that of its connection, or
/// nobody else could have it.
pub(super) fn has_place(db: &Connection, group: i64, user: i64) -> Result<bool> {
    match family_of(db, group)? {
        Some(family) => seats::has(db, user, &family),
        None => Ok(true),
    }
}

pub(super) fn take_place(db: &Connection, group: i64, user: i64) -> Result<()> {
    if let Some(family) = family_of(db, group)? {
        seats::claim(db, user, &family)?;
    }
    Ok(())
}

/// A turn as it would be sent now.
pub(super) fn counted(db: &Connection, mut turn: GroupTurn) -> Result<GroupTurn> {
    if turn.family.is_none() {
        return Ok(turn);
    }
    let (group, work) = (turn.work.group.0, &mut turn.work);
    let adds = work.adds.iter_mut().map(|member| (member, true));
    let removes = work.removes.iter_mut().map(|member| (member, false));
    for (member, wanted) in adds.chain(removes) {
        let counting = counting(db, group, member.user.0, wanted)?;
        member.counts = counting.and_then(|it| it.counts).map(|it| it.name);
    }
    Ok(turn)
}

fn alternatives(db: &Connection, own: &Own, user: i64) -> Result<Counting> {
    let mut select = db.prepare_cached(
        "SELECT g.upstream_name, g.rank, m.desired = 1 AND m.managed = 1
         FROM memberships m JOIN groups g ON g.key = m.group_key
         JOIN connections c ON c.key = g.connection
         WHERE m.user_key = ?1 AND g.connection = ?2 AND g.family = ?3 AND g.tombstone IS NULL
           AND (m.desired = 1 OR m.withheld <> 0 OR (c.unseen AND m.observed <> 0))
           -- What another connection manages and was only found is what it gave,
           -- and may have taken away since.
           AND (m.managed = 1 OR NOT EXISTS (
               SELECT 1 FROM owners w WHERE w.site = c.site AND w.kind = 0
                 AND w.name = g.upstream_name AND w.connection <> c.key))
         ORDER BY g.rank, g.key",
    )?;
    let rows = select.query_map(params![user, own.connection, own.family], |row| {
        Ok(Alternative {
            name: row.get(0)?,
            rank: row.get(1)?,
            asked: row.get(2)?,
        })
    })?;
    Ok(Counting::of(
        own.rank,
        rows.collect::<rusqlite::Result<_>>()?,
    ))
}

/// See [`crate::store::Store::known_alternative`].
pub(super) fn known(db: &Connection, group: i64, user: i64) -> Result<Option<String>> {
    Ok(db
        .prepare_cached(
            "SELECT g.upstream_name FROM groups o
             JOIN groups g ON g.connection = o.connection AND g.family = o.family
             JOIN memberships m ON m.group_key = g.key
             WHERE o.key = ?1 AND m.user_key = ?2 AND m.observed = 1
             ORDER BY g.rank, g.key",
        )?
        .query_row([group, user], |row| row.get(0))
        .optional()?)
}

/// A pair of which nothing was sent may be forgotten when it is not wanted any
/// more; in a family only if the user has no account that a call about another
/// pair may have given this group to.
pub(super) fn may_forget(db: &Connection, family: bool, user: i64) -> Result<bool> {
    Ok(!family || users::by_key(db, user)?.is_none_or(|user| user.never_there()))
}

/// The other groups of a group's family.
pub(super) fn siblings(db: &Connection, group: &Group) -> Result<Vec<i64>> {
    let Some(family) = &group.family else {
        return Ok(Vec::new());
    };
    let mut select = db.prepare_cached(
        "SELECT key FROM groups WHERE connection = ?1 AND family = ?2 AND tombstone IS NULL
         AND key <> ?3",
    )?;
    let rows = select.query_map(params![group.connection, family.name, group.key], |row| {
        row.get(0)
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether somebody asked for a user in a group that stands before this one, or
/// for its end there: the one that is found is what the user has at the moment,
/// as an account has but one, and no wish that would be fallen back to. One that
/// stands before what is asked for was given by somebody, and is shown.
pub(super) fn is_asked_for_higher(db: &Connection, group: &Group, user: i64) -> Result<bool> {
    let Some(family) = &group.family else {
        return Ok(false);
    };
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = ?1 AND m.managed = 1 AND g.connection = ?2 AND g.family = ?3
               AND g.rank < ?4 AND g.tombstone IS NULL",
        )?
        .exists(params![user, group.connection, family.name, family.rank])?)
}

/// Whether somebody asked for a user in a group that stands behind this one, and the
/// call that makes that so is yet to come, or came after a reading: what was read is
/// what the application has given by itself or somebody before that was asked for, and
/// no wish, unless that had been there before. Who is to have no access loses whatever
/// is found.
pub(super) fn is_asked_for_since(
    db: &Connection,
    group: &Group,
    user: i64,
    since: i64,
) -> Result<bool> {
    let Some(family) = &group.family else {
        return Ok(false);
    };
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM memberships m JOIN groups g ON g.key = m.group_key
             JOIN users u ON u.key = m.user_key AND u.wants = 1
             WHERE m.user_key = ?1 AND m.managed = 1 AND g.connection = ?2 AND g.family = ?3
               AND g.rank > ?4 AND g.tombstone IS NULL
               AND (m.desired = 1 AND m.observed <> 1 AND m.stood = 0 OR g.turned > ?5)",
        )?
        .exists(params![
            user,
            group.connection,
            family.name,
            family.rank,
            since
        ])?)
}

/// What a group is found to be an alternative to. Whom it has, and who is
/// covered, is another question when that changes, so all are looked at again: those
/// of a group that keeps its place too, as others may have passed it.
pub(super) fn learn(db: &Connection, group: &mut Group, found: Option<Family>) -> Result<()> {
    if group.family == found {
        return Ok(());
    }
    let rank = found.as_ref().map(|family| family.rank);
    let name = found.as_ref().map(|family| &family.name);
    db.prepare_cached("UPDATE groups SET family = ?2, rank = ?3 WHERE key = ?1")?
        .execute(params![group.key, name, rank])?;
    let moves = group.family.is_some();
    group.family = found;
    if moves {
        for sibling in siblings(db, group)? {
            look_again_at(db, sibling)?;
        }
    }
    look_again_at(db, group.key)
}

/// Whom a group has of those that are asked for in it is not known any more; that they
/// had been there is.
pub(super) fn look_again_at(db: &Connection, group: i64) -> Result<()> {
    db.prepare_cached(
        "UPDATE memberships SET observed = 2, stood = 1
         WHERE group_key = ?1 AND desired = 1 AND observed = 1 AND managed = 1",
    )?
    .execute([group])?;
    Ok(())
}

/// See [`crate::store::Store::alternatives`].
pub(super) fn all(db: &Connection, connection: i64) -> Result<Vec<GroupRow>> {
    let mut select = db.prepare_cached(
        "SELECT upstream_name, attributes FROM groups
         WHERE connection = ?1 AND family IS NOT NULL AND tombstone IS NULL",
    )?;
    let mut rows = select.query([connection])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let attributes: String = row.get(1)?;
        found.push(GroupRow {
            upstream_name: row.get(0)?,
            attributes: serde_json::from_str(&attributes)?,
        });
    }
    Ok(found)
}

pub(super) fn staged(db: &Connection, connection: i64) -> Result<u64> {
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM users WHERE connection = ?1 AND dirty = 2")?
        .query_row([connection], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

pub(super) fn staged_among(db: &Connection, users: Vec<UserKey>) -> Result<Vec<UserKey>> {
    let mut select = db.prepare_cached("SELECT 1 FROM users WHERE key = ?1 AND dirty = 2")?;
    let mut staged = Vec::new();
    for user in users {
        if select.exists([user.0])? {
            staged.push(user);
        }
    }
    Ok(staged)
}

/// They are only looked for again, by their lanes: a list shows what was so
/// some time ago, and must not bind an account that has gone since.
pub(super) fn unstage(
    db: &Connection,
    connection: i64,
    accounts: &[String],
    actor: &Actor,
) -> Result<Vec<Lane>> {
    let mut select = db.prepare_cached(
        "SELECT key FROM users
         WHERE connection = ?1 AND account_key = ?2 AND tombstone IS NULL
           AND account_key IS NOT NULL AND dirty = 2",
    )?;
    let mut lanes = Vec::new();
    for account in accounts {
        let key = select
            .query_row(params![connection, account], |row| row.get(0))
            .optional()?;
        let user = key.map(|key| users::by_key(db, key)).transpose()?;
        if let Some(user) = user.flatten() {
            lanes.push(look_again(db, user, actor)?);
        }
    }
    Ok(lanes)
}

fn look_again(db: &Connection, mut user: User, actor: &Actor) -> Result<Lane> {
    user.staged = false;
    users::save(db, &user)?;
    let detail = json!({ "appeared": true });
    audit::record(
        db,
        user.connection,
        actor,
        "unstage",
        Some(user.id),
        &detail,
    )?;
    Ok(Lane::User(UserKey(user.key)))
}
