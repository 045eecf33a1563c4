//! Groups that the application had and has no more, whoever found that out: a
//! turn, or a reconciliation. SCIM goes on showing them with their members, of
//! whom nobody is there; nothing is sent for them, and they stand in the status as
//! refused, until somebody is asked for in them (reliability: H-15, F-09).

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::{
    plan::state::{Existence, GroupKey},
    scim::resource::ResourceId,
    store::{Actor, Lane, Reconcilable, Repaired},
};

use super::{
    audit,
    fault::Result,
    group_turn,
    groups::{self, Group},
    lanes, reconcile,
};

/// Writes it into the pairs, and says it of the row without saving that. Returns
/// the users that may have left for good.
pub(super) fn note(db: &Connection, group: &mut Group, reason: &str) -> Result<Vec<i64>> {
    group.existence = Existence::Absent;
    group.made = true;
    group.whole = false;
    group.refused = Some(reason.to_owned());
    let leavers = lanes::purge_leaving(db, group.key)?;
    db.prepare_cached(
        "UPDATE memberships SET observed = 0, before = NULL, sent = NULL WHERE group_key = ?1",
    )?
    .execute([group.key])?;
    Ok(leavers)
}

pub(super) fn groups_after(
    db: &Connection,
    connection: i64,
    after: i64,
    most: usize,
) -> Result<Vec<Reconcilable>> {
    let mut select = db.prepare_cached(
        "SELECT key, id, upstream_name FROM groups
         WHERE connection = ?1 AND key > ?2 AND tombstone IS NULL AND existence = 0 AND made = 1
           AND refused IS NOT NULL
         ORDER BY key LIMIT ?3",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map(params![connection, after, most], |row| {
        Ok(Reconcilable {
            group: GroupKey(row.get(0)?),
            id: ResourceId::from_bytes(row.get(1)?),
            name: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What is open in it finds out by itself.
pub(super) fn lose(
    db: &Connection,
    key: GroupKey,
    since: i64,
    reason: &str,
    actor: &Actor,
) -> Result<()> {
    let Some(mut group) = groups::by_key(db, key.0)? else {
        return Ok(());
    };
    let rests = group.tombstone.is_none()
        && group.existence == Existence::Present
        && group.refused.is_none()
        && group.read_only.is_none()
        && group.family.is_none();
    if !rests || reconcile::was_turned(db, &group, since)? || group_turn::has_open_pairs(db, key.0)?
    {
        return Ok(());
    }
    let leavers = note(db, &mut group, reason)?;
    groups::save(db, &group)?;
    lanes::finish_all(db, leavers)?;
    tell(db, &group, &json!({ "gone": true }), actor)
}

pub(super) fn find(db: &Connection, key: GroupKey, actor: &Actor) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let Some(mut group) = groups::by_key(db, key.0)?.filter(Group::is_gone) else {
        return Ok(repaired);
    };
    group.existence = Existence::Unknown;
    group.refused = None;
    groups::save(db, &group)?;
    tell(db, &group, &json!({ "back": true }), actor)?;
    repaired.lanes.push(Lane::Group(key));
    Ok(repaired)
}

fn tell(db: &Connection, group: &Group, detail: &Value, actor: &Actor) -> Result<()> {
    audit::record(db, group.connection, actor, "drift", Some(group.id), detail)
}
