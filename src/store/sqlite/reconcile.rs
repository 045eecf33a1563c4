//! What a reconciliation needs to know, and what it may write: only pairs and
//! accounts that are settled and were not touched since the application was
//! read (reliability: H-12, H-15, I-22). Removals are never made here; a
//! membership is at most wanted again, and an account at most ended again.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::{
    plan::{
        drift::{GroupDrift, Pair},
        state::{Existence, GroupKey, UserKey},
    },
    scim::resource::ResourceId,
    store::{Actor, Drifted, Holdings, Lane, Reconcilable, Repaired, Settle},
};

use super::{
    askers, audit, families,
    fault::Result,
    groups::{self, Group},
    leaving, protected,
    row::existence_of,
    seats,
    users::{self, SOUGHT, User, principal_at},
    withdrawal::{self, Withdrawal},
};

/// Live groups that the application has, after a key, in order.
pub(super) fn groups_after(
    db: &Connection,
    connection: i64,
    after: i64,
    most: usize,
) -> Result<Vec<Reconcilable>> {
    let mut select = db.prepare_cached(
        "SELECT key, id, upstream_name,
             CASE WHEN ours = 1 AND id_known IS NOT NULL AND renamed = 0 AND refused IS NULL
                 THEN attributes ->> '$.displayName' END,
             coalesce(attributes ->> '$.displayName', '')
         FROM groups
         WHERE connection = ?1 AND key > ?2 AND tombstone IS NULL AND existence = 1
           AND read_only IS NULL
         ORDER BY key LIMIT ?3",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map(params![connection, after, most], reconcilable_at)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Of the columns key, id, upstream name, title and displayName.
pub(super) fn reconcilable_at(row: &Row<'_>) -> rusqlite::Result<Reconcilable> {
    Ok(Reconcilable {
        group: GroupKey(row.get(0)?),
        id: ResourceId::from_bytes(row.get(1)?),
        name: row.get(2)?,
        title: row.get(3)?,
        shown_as: row.get(4)?,
    })
}

/// Every pair of a group whose user the application can know.
pub(super) fn pairs(db: &Connection, group: i64) -> Result<Vec<Pair>> {
    let mut select = db.prepare_cached(concat!(
        "SELECT u.key, u.id, u.account_key, u.upstream_id, m.desired, m.observed, m.managed,
             u.wants AND u.ended_elsewhere IS NULL, ",
        withdrawal::withdrawn!(),
        ", m.missing = 1, m.seq, m.managed = 0 AND EXISTS (
             SELECT 1 FROM groups g JOIN groups o ON o.connection = g.connection
                 AND o.family = g.family AND o.rank > g.rank AND o.tombstone IS NULL
             JOIN memberships w ON w.group_key = o.key AND w.user_key = m.user_key
             WHERE g.key = m.group_key AND w.managed = 1 AND w.desired = 1)
         FROM memberships m JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND u.account_key IS NOT NULL"
    ))?;
    let mut rows = select.query([group])?;
    let mut pairs = Vec::new();
    while let Some(row) = rows.next()? {
        let managed = row.get(6)?;
        // What was only found may be another connection's to end, and what was taken
        // away here is there as another one asks for it.
        let withdrawn = row.get(8)?
            && !if managed {
                askers::is_any(db, row.get(0)?, group)?
            } else {
                seats::is_anothers(db, row.get(0)?, group)?
            };
        pairs.push(Pair {
            principal: principal_at(row)?,
            desired: row.get(4)?,
            observed: existence_of(row.get(5)?),
            managed,
            has_access: row.get(7)?,
            withdrawn,
            missed: row.get(9)?,
            asked: row.get(10)?,
            above: row.get(11)?,
        });
    }
    Ok(pairs)
}

/// Accounts that were ended here, or could not be and can be now, and that a list
/// shows to be there, where that is not what another connection asks for.
pub(super) fn ended(
    db: &Connection,
    connection: i64,
    accounts: &[(String, Holdings)],
) -> Result<Vec<(UserKey, ResourceId)>> {
    let mut select = db.prepare_cached(
        "SELECT key, id FROM users
         WHERE connection = ?1 AND account_key = ?2 AND tombstone IS NULL AND wants = 0
           AND (existence = 0 OR withdrawn = 5)
           AND unsure = 0 AND dirty = 0",
    )?;
    let mut found = Vec::new();
    for (account, has) in accounts {
        let row = select
            .query_row(params![connection, account], |row| {
                Ok((UserKey(row.get(0)?), ResourceId::from_bytes(row.get(1)?)))
            })
            .optional()?;
        if let Some((user, id)) = row
            && !seats::explains(db, user.0)?
            && !is_anothers(db, user, has)?
        {
            found.push((user, id));
        } else if row.is_none()
            && let Some(user) = left_by_deleted(db, connection, account, has)?
        {
            found.push((UserKey(user.key), user.id));
        }
    }
    Ok(found)
}

/// Who was deleted without an account, where one has appeared since that has
/// something. One that was ended and is back is a new user.
fn left_by_deleted(
    db: &Connection,
    connection: i64,
    account: &str,
    has: &[(String, String)],
) -> Result<Option<User>> {
    let user = leaving::departed(db, connection, account)?;
    let Some(user) = user.filter(|user| user.upstream_id.is_none() && !has.is_empty()) else {
        return Ok(None);
    };
    Ok((!seats::are_spared(db, &user, has)?).then_some(user))
}

/// Whether all that there is of it is what another connection manages, which its
/// end would spare.
fn is_anothers(db: &Connection, user: UserKey, has: &[(String, String)]) -> Result<bool> {
    match users::by_key(db, user.0)? {
        Some(user) if !has.is_empty() => seats::are_spared(db, &user, has),
        _ => Ok(false),
    }
}

const OTHER_ID: &str = "connection = ?1 AND account_key = ?2 AND account_key IS NOT NULL
     AND upstream_id IS NOT NULL AND upstream_id <> ?3 AND NOT EXISTS (
         SELECT 1 FROM twins t
         WHERE t.connection = ?1 AND t.account = ?2 AND t.upstream_id = ?3)";

/// Whether an account is shown under another id than it has here.
pub(super) fn shows_other_ids(
    db: &Connection,
    connection: i64,
    shown: &[(String, String)],
) -> Result<bool> {
    for tombstone in ["IS NULL", "IS NOT NULL"] {
        let sql = format!("SELECT 1 FROM users WHERE {OTHER_ID} AND tombstone {tombstone}");
        let mut select = db.prepare_cached(&sql)?;
        for (account, id) in shown {
            if select.exists(params![connection, account, id])? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Accounts that were made anew are addressed by the ids that they have now.
pub(super) fn learn_ids(
    db: &Connection,
    connection: i64,
    shown: &[(String, String)],
    actor: &Actor,
) -> Result<()> {
    let mut learned = 0;
    for tombstone in ["IS NULL", "IS NOT NULL"] {
        let sql =
            format!("UPDATE users SET upstream_id = ?3 WHERE {OTHER_ID} AND tombstone {tombstone}");
        let mut update = db.prepare_cached(&sql)?;
        for (account, id) in shown {
            learned += update.execute(params![connection, account, id])?;
        }
    }
    let detail = json!({ "ids": learned });
    audit::record(db, connection, actor, "learn_ids", None, &detail)
}

/// Live users whose account is known to be there, after a key, in order.
pub(super) fn accounts_after(
    db: &Connection,
    connection: i64,
    after: i64,
    most: usize,
) -> Result<Vec<(UserKey, ResourceId, String)>> {
    let mut select = db.prepare_cached(
        "SELECT key, id, account_key FROM users
         WHERE connection = ?1 AND key > ?2 AND tombstone IS NULL AND account_key IS NOT NULL
           AND existence = 1 AND unsure = 0 AND wants = 1 AND ended_elsewhere IS NULL
         ORDER BY key LIMIT ?3",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map(params![connection, after, most], |row| {
        Ok((
            UserKey(row.get(0)?),
            ResourceId::from_bytes(row.get(1)?),
            row.get(2)?,
        ))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

const MISSED: &str = "FROM users WHERE connection = ?1 AND tombstone IS NULL AND wants = 1
     AND existence = 1 AND observed ->> '$.missed' = 1";

/// Whose accounts are told as missing and left so.
pub(super) fn missed(db: &Connection, connection: i64) -> Result<HashSet<UserKey>> {
    let mut select = db.prepare_cached(&format!("SELECT key {MISSED}"))?;
    let keys = select.query_map([connection], |row| row.get(0).map(UserKey))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Notes that of these, and of nobody else any more.
pub(super) fn note_missed(
    db: &Connection,
    connection: i64,
    missing: &HashSet<UserKey>,
) -> Result<()> {
    let noted = missed(db, connection)?;
    for key in noted.symmetric_difference(missing) {
        let is_missing = missing.contains(key);
        let at_rest = |user: &User| {
            user.account.active
                && user.observed.existence == Existence::Present
                && user.unsure == 0
                && user.tombstone.is_none()
        };
        if let Some(mut user) = users::by_key(db, key.0)?
            && (at_rest(&user) || !is_missing)
        {
            user.observed.missed = is_missing;
            users::save(db, &user)?;
        }
    }
    Ok(())
}

/// Writes what was found of one group: what was asked for is wanted again, or
/// with `accept` is not asked for any more; what was only found is forgotten,
/// but not of whom or what is protected (reliability: I-24).
pub(super) fn settle_group(
    db: &Connection,
    key: GroupKey,
    since: i64,
    (drift, how): (&GroupDrift, Settle),
    actor: &Actor,
) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let Some(mut group) = groups::by_key(db, key.0)? else {
        return Ok(repaired);
    };
    let written = if how.untouched {
        group.family.is_some() || how.accept || !drift.gone.is_empty()
    } else {
        was_turned(db, &group, since)?
    };
    if written || group.tombstone.is_some() || group.dirty() || group.read_only.is_some() {
        repaired.overtaken = true;
        return Ok(repaired);
    }
    // Not of somebody who was deactivated since the reading began. It may be there
    // again by now, so that it is not believed to be out; a 2 in `missing` says that
    // nobody else asks (see `undone`).
    let mut again = db.prepare_cached(
        "UPDATE memberships SET observed = 2, missing = 2
         WHERE group_key = ?1 AND user_key = ?2 AND desired = 1 AND observed = 1 AND managed = 1
           AND (SELECT wants FROM users WHERE key = user_key)",
    )?;
    let mut forget = db.prepare_cached(
        "DELETE FROM memberships
         WHERE group_key = ?1 AND user_key = ?2 AND desired = 1 AND observed = 1 AND managed = ?3
           AND (SELECT wants FROM users WHERE key = user_key)",
    )?;
    let accepted: &[UserKey] = if how.accept { &drift.missing } else { &[] };
    let mut kept = HashSet::new();
    if !how.believed {
        kept = protected::protected_among(db, &group, accepted.iter().chain(&drift.gone), actor)?;
    }
    repaired.protected = kept.len();
    let ends = |user: &&UserKey| !kept.contains(user);
    for user in drift.missing.iter().filter(ends) {
        if how.accept {
            repaired.accepted += forget.execute(params![key.0, user.0, 1])?;
        } else {
            repaired.wanted_again += again.execute([key.0, user.0])?;
        }
    }
    for user in drift.gone.iter().filter(ends) {
        repaired.forgotten += forget.execute(params![key.0, user.0, 0])?;
    }
    let left = repaired.accepted + repaired.forgotten;
    if left > 0 {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        group.members -= count(left);
        group.unmanaged -= count(repaired.forgotten);
        group.version += 1;
        group.seq += 1;
        group.modified = actor.at;
        groups::save(db, &group)?;
    }
    if left + repaired.wanted_again > 0 {
        let detail = json!({
            "wanted_again": repaired.wanted_again,
            "accepted": repaired.accepted,
            "forgotten": repaired.forgotten,
            "version": group.version,
        });
        audit::record(
            db,
            group.connection,
            actor,
            "drift",
            Some(group.id),
            &detail,
        )?;
    }
    repaired
        .lanes
        .extend((repaired.wanted_again > 0).then_some(Lane::Group(key)));
    Ok(repaired)
}

/// Notes who of a group is told as missing and left so, and of nobody else any more.
/// Of who was put there after the reading it costs a call too many, once.
pub(super) fn note_missing(db: &Connection, key: GroupKey, missing: &[UserKey]) -> Result<()> {
    db.prepare_cached(
        "UPDATE memberships INDEXED BY memberships_missing SET missing = 0
         WHERE group_key = ?1 AND missing = 1",
    )?
    .execute([key.0])?;
    let mut note = db.prepare_cached(
        "UPDATE memberships SET missing = 1
         WHERE group_key = ?1 AND user_key = ?2 AND desired = 1 AND observed = 1",
    )?;
    for user in missing {
        note.execute([key.0, user.0])?;
    }
    // Who is there is refused no longer.
    db.prepare_cached(
        "DELETE FROM refusals WHERE group_key = ?1 AND wanted = 1 AND EXISTS (
             SELECT 1 FROM memberships m
             WHERE m.group_key = ?1 AND m.user_key = refusals.user_key
               AND m.desired = 1 AND m.observed = 1 AND m.missing = 0)",
    )?
    .execute([key.0])?;
    Ok(())
}

/// Whether a turn of the group, or of another of its family, ended later.
pub(super) fn was_turned(db: &Connection, group: &Group, since: i64) -> Result<bool> {
    let mut turned = db.prepare_cached("SELECT 1 FROM groups WHERE key = ?1 AND turned > ?2")?;
    for key in families::siblings(db, group)?
        .into_iter()
        .chain([group.key])
    {
        if turned.exists([key, since])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Accounts that were ended and are back: ended again, but for those that are
/// protected now; none where they are too many at once, unless an operator
/// believes it (reliability: G-2, G-5).
pub(super) fn end_again(
    db: &Connection,
    users: &[UserKey],
    believed: bool,
    actor: &Actor,
) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let mut back = Vec::new();
    for key in users {
        let Some(user) = who_ended(db, *key)? else {
            continue;
        };
        if user.account.active || user.unsure > 0 {
            continue;
        }
        if protected::protects(&user, actor)? {
            repaired.protected += 1;
        } else {
            back.push(user);
        }
    }
    if !protected::accounts_end(db, &back, believed, actor)? {
        repaired.held = back.len();
        return Ok(repaired);
    }
    for mut user in back {
        let open = match user.withdrawn {
            Withdrawal::Meanwhile if user.observed.existence != Existence::Absent => {
                withdrawal::begin_meanwhile(db, &mut user, true)?
            }
            Withdrawal::No | Withdrawal::Meanwhile => {
                if user.seek(SOUGHT) {
                    user.refused = None;
                } else {
                    user.unsure = 2;
                }
                users::save(db, &user)?;
                Vec::new()
            }
            Withdrawal::Unended => {
                user.withdrawn = Withdrawal::Meanwhile;
                users::save(db, &user)?;
                Vec::new()
            }
            _ => {
                user.refused = None;
                withdrawal::begin(db, &mut user, true)?
            }
        };
        repaired.lanes.extend(open);
        let detail = json!({ "ended_again": true });
        audit::record(db, user.connection, actor, "drift", Some(user.id), &detail)?;
        repaired.ended_again += 1;
        repaired.lanes.push(Lane::User(UserKey(user.key)));
    }
    Ok(repaired)
}

/// Whose account was ended here; also of who was deleted, where nothing of that is
/// left to do.
fn who_ended(db: &Connection, key: UserKey) -> Result<Option<User>> {
    match users::by_key(db, key.0)? {
        Some(user) if user.tombstone.is_some() => leaving::as_it_ended(db, key.0),
        user => Ok(user),
    }
}

/// Keeps what the last whole reconciliation found, and how far one came that
/// has not ended.
pub(super) fn keep(db: &Connection, connection: i64, drifted: &Drifted) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO reconciliations (connection, state, noted) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET state = excluded.state, noted = excluded.noted",
    )?
    .execute(params![
        connection,
        serde_json::to_string(drifted)?,
        noted_missing(db, connection)?
    ])?;
    Ok(())
}

/// What was left then, without what was put there again since, or needs it no more.
pub(super) fn kept(db: &Connection, connection: i64) -> Result<Option<Drifted>> {
    let kept: Option<(String, i64)> = db
        .prepare_cached("SELECT state, noted FROM reconciliations WHERE connection = ?1")?
        .query_row([connection], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((state, noted)) = kept else {
        return Ok(None);
    };
    let Ok(mut drifted) = serde_json::from_str::<Drifted>(&state) else {
        return Ok(None);
    };
    if drifted.accounts_noted > 0 {
        let sql = format!("SELECT count(*) {MISSED}");
        let missed: i64 = db
            .prepare_cached(&sql)?
            .query_row([connection], |row| row.get(0))?;
        let asked = drifted
            .accounts_noted
            .saturating_sub(missed.cast_unsigned());
        drifted.accounts_missing = drifted.accounts_missing.saturating_sub(asked);
    }
    if drifted.left > 0 {
        let put_back = noted.saturating_sub(noted_missing(db, connection)?);
        let put_back = u64::try_from(put_back).unwrap_or(0);
        drifted.left = drifted.left.saturating_sub(put_back);
    }
    Ok(Some(drifted))
}

/// A group that the last one may have told as gone is done with.
pub(super) fn settle_gone(db: &Connection, connection: i64, id: ResourceId) -> Result<()> {
    let id = id.to_string();
    let kept: Option<String> = db
        .prepare_cached(
            "SELECT state FROM reconciliations WHERE connection = ?1 AND instr(state, ?2) > 0",
        )?
        .query_row(params![connection, id], |row| row.get(0))
        .optional()?;
    let Some(mut drifted) = kept.and_then(|state| serde_json::from_str::<Drifted>(&state).ok())
    else {
        return Ok(());
    };
    if drifted.settle_group(&id) {
        db.prepare_cached("UPDATE reconciliations SET state = ?2 WHERE connection = ?1")?
            .execute(params![connection, serde_json::to_string(&drifted)?])?;
    }
    Ok(())
}

/// See [`note_missing`]; not of who has no access.
fn noted_missing(db: &Connection, connection: i64) -> Result<i64> {
    Ok(db
        .prepare_cached(
            "SELECT count(*) FROM memberships m INDEXED BY memberships_missing
                 CROSS JOIN groups g ON g.key = m.group_key
                 CROSS JOIN users u ON u.key = m.user_key
             WHERE m.missing = 1 AND m.desired = 1 AND g.connection = ?1
               AND g.tombstone IS NULL AND u.wants = 1",
        )?
        .query_row([connection], |row| row.get(0))?)
}
