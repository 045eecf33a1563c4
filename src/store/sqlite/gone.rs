//! Groups that the application had and has no more, as a turn has found out. SCIM
//! goes on showing them with their members, of whom nobody is there; nothing is
//! sent for them, and they stand in the status as refused, until somebody is asked
//! for in them (reliability: H-15, F-09).

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{
    plan::state::{Existence, GroupKey},
    store::{Actor, Lane, Reconcilable, Repaired},
};

use super::{
    audit,
    fault::Result,
    groups::{self, Group},
    lanes,
    reconcile::reconcilable_at,
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
    let rows = select.query_map(params![connection, after, most], reconcilable_at)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// It may be there again.
pub(super) fn find(db: &Connection, key: GroupKey, actor: &Actor) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let Some(mut group) = groups::by_key(db, key.0)?.filter(Group::is_gone) else {
        return Ok(repaired);
    };
    group.existence = Existence::Unknown;
    group.refused = None;
    groups::save(db, &group)?;
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
