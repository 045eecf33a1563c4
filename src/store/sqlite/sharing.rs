//! An account that several connections put into groups, and that one of them alone
//! ends and makes anew: what the others ask for on it is open again then.
//!
//! And what one connection has taken away, or given another group of the family for,
//! as the application has confirmed, by whatever call: the others, which only found
//! it, show it no more, and what they ask for themselves their lanes say again. Where
//! only one of them can have it that is refused by name, so no two say it against each
//! other. A group that was deleted is shown by those who ask for nobody in it no more.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, Row, params};
use serde_json::json;

use crate::{
    plan::{
        operation::Operation,
        state::{ConnectionKey, GroupKey, Principal, UserKey},
    },
    store::{Actor, GroupLearned, Lane, Millis, UNANSWERED, Watch},
};

use super::{
    audit, ended_elsewhere,
    fault::Result,
    gone_elsewhere,
    groups::{self, Group},
    raised, seats,
    users::User,
};

/// Users of other connections, `o`, with the account of a user of the connection
/// `c` that may end it.
macro_rules! others {
    ($account:literal, $id:literal) => {
        concat!(
            "connections c
             JOIN connections e ON e.site = c.site AND e.key <> c.key
             JOIN users o ON o.connection = e.key AND o.tombstone IS NULL
                 AND (o.account_key = ",
            $account,
            " AND o.account_key IS NOT NULL
                     OR o.upstream_id = ",
            $id,
            " AND o.upstream_id IS NOT NULL)"
        )
    };
}
pub(super) use others;

/// Groups that another connection manages, in which a user was only found, and for
/// which nobody there asks any more: it was taken out since that was read.
pub(super) fn let_go(db: &Connection, user: &User, known_as: Option<&str>) -> Result<Vec<i64>> {
    let found: Vec<(i64, String)> = db
        .prepare_cached(
            "SELECT g.key, g.upstream_name FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = ?1 AND m.desired = 1 AND m.managed = 0
               AND g.family IS NULL AND g.tombstone IS NULL",
        )?
        .query_map([user.key], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut asked = db.prepare_cached(concat!(
        "SELECT 1 FROM ",
        others!("?2", "?3"),
        " JOIN memberships m ON m.user_key = o.key AND m.desired = 1
          JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL AND g.upstream_name = ?4
          WHERE c.key = ?1"
    ))?;
    let mut let_go = Vec::new();
    for (group, name) in found {
        let of = params![user.connection, user.account_key, known_as, name];
        if seats::is_anothers(db, user.key, group)? && !asked.exists(of)? {
            let_go.push(group);
        }
    }
    Ok(let_go)
}

/// The account of a user was made; `known_as` is the id that it had before. What
/// was only found is for whoever ended it to put back, but for what is let go.
pub(super) fn want_again(
    db: &Connection,
    user: &User,
    (known_as, may_stand): (Option<&str>, bool),
    at: Millis,
) -> Result<()> {
    let others: Vec<(i64, Option<String>)> = db
        .prepare_cached(concat!(
            "SELECT o.key, o.upstream_id FROM ",
            others!("?2", "?3"),
            " WHERE c.key = ?1 AND c.site_accounts = 1"
        ))?
        .query_map(
            params![user.connection, user.account_key, known_as],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    for (other, id) in others {
        if id.is_some() && id.as_deref() == known_as && user.upstream_id.is_some() {
            db.prepare_cached("UPDATE users SET upstream_id = ?2 WHERE key = ?1")?
                .execute(params![other, user.upstream_id])?;
        }
        db.prepare_cached(
            "UPDATE memberships SET observed = 2, before = NULL, sent = NULL,
                 stood = iif(?2 AND (observed = 1 OR stood <> 0), 2, 0)
             WHERE user_key = ?1 AND (desired = 1 AND managed = 1 AND group_key IN (
                     SELECT key FROM groups WHERE tombstone IS NULL AND read_only IS NULL
                         AND NOT (existence = 0 AND made = 1 AND refused IS NOT NULL))
                 OR desired = 0 AND (sent IS NOT NULL OR observed = 1))",
        )?
        .execute(params![other, may_stand])?;
        ended_elsewhere::is_back(db, other, at)?;
    }
    Ok(())
}

/// See [`crate::store::Sharing::asked_elsewhere`].
pub(super) fn asked(db: &Connection, user: UserKey) -> Result<Vec<(ConnectionKey, Lane)>> {
    let mut select = db.prepare_cached(concat!(
        "SELECT e.key, g.key FROM users u JOIN ",
        others!("u.account_key", "u.upstream_id"),
        " JOIN memberships m ON m.user_key = o.key AND m.desired <> m.observed
          JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL
              AND g.refused IS NULL AND g.read_only IS NULL
          WHERE u.key = ?1 AND c.key = u.connection"
    ))?;
    let lanes = select.query_map([user.0], lane_at)?;
    Ok(lanes.collect::<rusqlite::Result<_>>()?)
}

fn lane_at(row: &Row<'_>) -> rusqlite::Result<(ConnectionKey, Lane)> {
    let lane = Lane::Group(GroupKey(row.get(1)?));
    Ok((ConnectionKey(row.get(0)?), lane))
}

/// See [`crate::store::Sharing::open_elsewhere`].
pub(super) fn open(db: &Connection, group: GroupKey) -> Result<Vec<(ConnectionKey, Lane)>> {
    macro_rules! same {
        ($which:literal) => {
            concat!(
                "SELECT g.connection, g.key FROM groups o JOIN connections c ON c.key = o.connection
                     JOIN connections e ON e.site = c.site AND e.key <> c.key
                     JOIN groups g ON g.connection = e.key AND g.tombstone IS NULL
                         AND g.refused IS NULL AND g.read_only IS NULL AND ",
                $which,
                " WHERE o.key = ?1 AND (g.dirty = 1 OR EXISTS (
                     SELECT 1 FROM memberships m INDEXED BY memberships_open
                     WHERE m.group_key = g.key AND m.desired <> m.observed AND m.desired = 1))"
            )
        };
    }
    let mut select = db.prepare_cached(concat!(
        same!("g.upstream_name = o.upstream_name"),
        " UNION ",
        same!("g.family = o.family")
    ))?;
    let lanes = select.query_map([group.0], lane_at)?;
    Ok(lanes.collect::<rusqlite::Result<_>>()?)
}

/// A membership of another connection.
pub(super) struct There {
    group: i64,
    user: i64,
    /// Asked for there, and not only found.
    asked: bool,
}

pub(super) fn there_at(row: &Row<'_>) -> rusqlite::Result<There> {
    Ok(There {
        group: row.get(0)?,
        user: row.get(1)?,
        asked: row.get(2)?,
    })
}

/// Memberships of other connections at the tenant of the user `u`, of the same
/// account: by its id, and where that is not known, or accounts are known by their
/// address, by its key. What was only found, whoever is to have access there, as it
/// would be given back otherwise, unless it is being said right now. What is asked
/// for there only of who is to have access, and not on an account that is being
/// ended: that is open again when it is made anew.
macro_rules! known_elsewhere {
    () => {
        "SELECT m.group_key, m.user_key, m.managed FROM users u
             JOIN connections c ON c.key = u.connection
             JOIN connections e ON e.site = c.site AND e.key <> c.key
             JOIN users o ON o.connection = e.key AND o.tombstone IS NULL
                 AND (o.upstream_id = u.upstream_id AND o.upstream_id IS NOT NULL
                     OR o.account_key = u.account_key AND o.account_key IS NOT NULL
                         AND (c.site_accounts = 1 OR o.upstream_id IS NULL
                             OR u.upstream_id IS NULL))
             JOIN memberships m ON m.user_key = o.key AND m.desired = 1
                 AND (m.managed = 0 AND (m.observed = 1 OR m.sent IS NULL)
                     OR m.observed = 1 AND o.wants = 1 AND (c.site_accounts = 0
                         OR u.wants = 1 AND u.tombstone IS NULL))
             JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL
         WHERE u.key = ?1 AND "
    };
}

/// A turn of a group has ended: whom it took out, and who has another group of the
/// family by it, as the application said itself.
pub(super) fn taken_away(
    db: &Connection,
    group: &Group,
    learned: &GroupLearned,
    at: Millis,
) -> Result<()> {
    if !shares(db, group.connection)? {
        return Ok(());
    }
    let took = learned.calls.iter().filter(|call| call.1 != UNANSWERED);
    let named = took.filter_map(|(operation, ..)| match operation {
        Operation::RemoveMembers { members, .. } => Some(members),
        _ => None,
    });
    let named: HashSet<UserKey> = named.flatten().map(|member| member.user).collect();
    let out = learned.absent.iter();
    let out = out.filter(|user| named.contains(user) && !learned.read.contains(user));
    let mut gone = Vec::new();
    let mut select = db.prepare_cached(concat!(known_elsewhere!(), "g.upstream_name = ?2"))?;
    for user in out {
        let pairs = select.query_map(params![user.0, group.upstream_name], there_at)?;
        gone.extend(pairs.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    if let Some(family) = &group.family {
        raised::settle(db, group, &family.name, learned, at)?;
        raised::note(db, group, &family.name, learned)?;
        gone.extend(exchanged(db, (group.key, &family.name), learned)?);
    }
    gone.extend(gone_elsewhere::replaced(db, group, learned)?);
    are_gone(db, gone, at)?;
    gone_elsewhere::deleted(db, group, learned, at)
}

/// Who has a group of a family has none that stands behind it, which only a look may
/// have told, and no other one than an answer has told.
fn exchanged(
    db: &Connection,
    (group, family): (i64, &str),
    learned: &GroupLearned,
) -> Result<Vec<There>> {
    let mut gone = Vec::new();
    let mut select = db.prepare_cached(concat!(
        known_elsewhere!(),
        "EXISTS (
             -- Whoever is asked for in one that is not offered counts as there.
             SELECT 1 FROM groups w JOIN groups own ON own.connection = w.connection
                 AND own.family = w.family AND own.rank > w.rank AND own.tombstone IS NULL
             WHERE w.key = ?2 AND w.offered = 1 AND g.family = w.family
                 AND own.upstream_name = g.upstream_name)"
    ))?;
    for user in &learned.present {
        let pairs = select.query_map(params![user.0, group], there_at)?;
        gone.extend(pairs.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    let mut select = db.prepare_cached(concat!(
        known_elsewhere!(),
        "g.family = ?2 AND g.upstream_name <> ?3"
    ))?;
    for (user, holding) in &learned.holdings {
        let Some(holding) = holding else { continue };
        let pairs = select.query_map(params![user.0, family, holding.group], there_at)?;
        gone.extend(pairs.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(gone)
}

/// An account was ended, and with it all that it had but what was spared. Of groups
/// of families only those in which this connection ends anything. What others ask for
/// waits until the account is made anew. Who is to have no access there either may
/// have lost it by that connection, which gives it back: what went is named then.
pub(super) fn ended(db: &Connection, user: &User, who: &Principal, at: Millis) -> Result<()> {
    if !shares(db, user.connection)? {
        return Ok(());
    }
    raised::ended(db, user.key)?;
    ended_elsewhere::note(db, user, at)?;
    let spared: Vec<&String> = who.elsewhere.iter().chain(&who.keeps).collect();
    let spared = serde_json::to_string(&spared)?;
    let mut select = db.prepare_cached(concat!(
        known_elsewhere!(),
        "m.managed = 0 AND o.wants = 1 AND m.observed = 1 AND g.upstream_name NOT IN (SELECT value FROM json_each(?2))
         AND (g.family IS NULL OR g.family NOT IN (SELECT value FROM json_each(?2))
             AND EXISTS (SELECT 1 FROM groups own
                 WHERE own.connection = u.connection AND own.family = g.family
                   AND own.tombstone IS NULL))"
    ))?;
    let pairs = select.query_map(params![user.key, spared], there_at)?;
    are_gone(db, pairs.collect::<rusqlite::Result<_>>()?, at)
}

/// What was ended by an end, named one by one: by the account, of which another
/// connection may know the address alone. What is asked for there is open again only
/// where the end is not done as a whole.
pub(super) fn ended_in_part(
    db: &Connection,
    user: &User,
    (ended, whole): (&[(String, String)], bool),
    at: Millis,
) -> Result<()> {
    if ended.is_empty() || !shares(db, user.connection)? {
        return Ok(());
    }
    let mut select = db.prepare_cached(
        "SELECT m.group_key, m.user_key, m.managed FROM connections c
             JOIN connections e ON e.site = c.site AND e.key <> c.key
             JOIN users o ON o.connection = e.key AND o.tombstone IS NULL
                 AND (o.upstream_id = ?2 AND o.upstream_id IS NOT NULL
                     OR o.account_key = ?3 AND o.account_key IS NOT NULL
                         AND o.upstream_id IS NULL)
             JOIN memberships m ON m.user_key = o.key AND m.desired = 1
                 AND (m.managed = 0 AND (m.observed = 1 OR m.sent IS NULL)
                     OR m.observed = 1 AND o.wants = 1 AND NOT ?5)
             JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL
                 AND g.upstream_name = ?4
         WHERE c.key = ?1",
    )?;
    let mut gone = Vec::new();
    for (account, group) in ended {
        let known = params![user.connection, account, user.account_key, group, whole];
        let pairs = select.query_map(known, there_at)?;
        gone.extend(pairs.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    are_gone(db, gone, at)
}

fn shares(db: &Connection, connection: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM connections WHERE key = ?1 AND site IS NOT NULL")?
        .exists([connection])?)
}

/// A reading of the other connection that began before does not bring them back.
fn are_gone(db: &Connection, pairs: Vec<There>, at: Millis) -> Result<()> {
    let mut of_groups: BTreeMap<i64, Vec<There>> = BTreeMap::new();
    for pair in pairs {
        of_groups.entry(pair.group).or_default().push(pair);
    }
    for (key, pairs) in of_groups {
        let Some(mut group) = groups::by_key(db, key)? else {
            continue;
        };
        let (mut forgotten, mut again) = (0, 0);
        for pair in &pairs {
            if pair.asked {
                again += db.prepare_cached(AGAIN)?.execute([key, pair.user])?;
            } else {
                forgotten += db.prepare_cached(FORGET)?.execute([key, pair.user])?;
                db.prepare_cached(FORGET_REFUSAL)?
                    .execute([key, pair.user])?;
            }
        }
        if forgotten > 0 {
            let count = i64::try_from(forgotten).unwrap_or(i64::MAX);
            group.members -= count;
            group.unmanaged -= count;
            group.version += 1;
            group.seq += 1;
            group.modified = group.modified.max(at);
            groups::save(db, &group)?;
        }
        if forgotten + again > 0 {
            note(db, &group, (forgotten, again), at)?;
        }
    }
    Ok(())
}

const FORGET: &str = "DELETE FROM memberships WHERE group_key = ?1 AND user_key = ?2";
const FORGET_REFUSAL: &str = "DELETE FROM refusals WHERE group_key = ?1 AND user_key = ?2";
/// It may be there again by now, so that it is not believed to be out.
const AGAIN: &str = "UPDATE memberships SET observed = 2
     WHERE group_key = ?1 AND user_key = ?2 AND desired = 1 AND observed = 1";

pub(super) fn note(
    db: &Connection,
    group: &Group,
    (forgotten, again): (usize, usize),
    at: Millis,
) -> Result<()> {
    let detail = json!({
        "forgotten": forgotten,
        "wanted_again": again,
        "version": group.version,
    });
    let id = Some(group.id);
    audit::record(db, group.connection, &engine(at), "drift", id, &detail)?;
    turned(db, group.key)
}

/// Somebody is found in it again who was not shown meanwhile.
pub(super) fn note_found(db: &Connection, group: &Group, at: Millis) -> Result<()> {
    let detail = json!({ "found_again": 1, "version": group.version });
    let id = Some(group.id);
    audit::record(db, group.connection, &engine(at), "drift", id, &detail)?;
    turned(db, group.key)
}

pub(super) fn engine(at: Millis) -> Actor {
    Actor {
        name: audit::ENGINE.into(),
        at,
        watch: Watch::Off,
        put: false,
    }
}

pub(super) fn turned(db: &Connection, group: i64) -> Result<()> {
    db.prepare_cached("UPDATE groups SET turned = ?2 WHERE key = ?1")?
        .execute([group, audit::latest(db)?])?;
    Ok(())
}
