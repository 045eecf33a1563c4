//! A group that is asked for by the name of one whose deletion is open. It waits
//! until the application has let go of that one, so no deletion is sent after it
//! was made; one of which no answer came and that lands all the same is looked for
//! as any late call is (see [`super::late`]).

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::{Existence, GroupKey},
    scim::error::Problem,
    store::Lane,
};

use super::{
    fault::Result,
    groups::{self, Group},
};

const BEFORE: &str = "SELECT key, withheld FROM groups
     WHERE connection = ?1 AND upstream_name = ?2 AND (tombstone IS NULL OR existence <> 0)
       AND tombstone IS NOT NULL AND existence <> 0";

/// The one that is being deleted, and whether that waits for an operator.
fn before(db: &Connection, group: &Group) -> Result<Option<(Group, bool)>> {
    let row: Option<(i64, bool)> = db
        .prepare_cached(BEFORE)?
        .query_row(params![group.connection, group.upstream_name], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((key, withheld)) = row else {
        return Ok(None);
    };
    Ok(groups::by_key(db, key)?.map(|it| (it, withheld)))
}

/// The one that is being deleted, if nothing keeps it there.
pub(super) fn leaving(db: &Connection, group: &Group) -> Result<Option<Group>> {
    let before = before(db, group)?.filter(|(it, withheld)| !withheld && it.dirty());
    Ok(before.map(|(it, _)| it))
}

/// Refuses a name that is not going to be free by itself.
pub(super) fn claim(db: &Connection, group: &Group) -> Result<()> {
    let Some((before, withheld)) = before(db, group)? else {
        return Ok(());
    };
    let why = match &before.refused {
        _ if withheld => {
            "its deletion waits for the end of recovery, which an operator confirms with \
             `drawbridge recovery end`"
                .to_owned()
        }
        Some(reason) => format!(
            "its deletion was refused: {reason}; take away what keeps it there, or ask the \
             application's administrator, then have it tried again with `drawbridge reconcile \
             --apply`"
        ),
        None => return Ok(()),
    };
    let detail = format!("a Group of this displayName was deleted and is still there: {why}");
    Err(Problem::taken(detail).into())
}

/// Whether a group waits for another one's deletion.
pub(super) fn must_wait(db: &Connection, group: &Group) -> Result<bool> {
    let waits = group.tombstone.is_none() && group.existence != Existence::Present;
    Ok(waits
        && db
            .prepare_cached(BEFORE)?
            .exists(params![group.connection, group.upstream_name])?)
}

/// The others of the name that were deleted last, newest first, where it is not known
/// whether this one was made: what is shown may be one of them yet.
pub(super) fn before_it(db: &Connection, group: &Group) -> Result<Vec<GroupKey>> {
    if group.made && group.tombstone.is_none() || group.id_known.is_some() {
        return Ok(Vec::new());
    }
    let mut select = db.prepare_cached(
        "SELECT key FROM groups
         WHERE connection = ?1 AND upstream_name = ?2 AND tombstone IS NOT NULL AND key <> ?3
         ORDER BY tombstone DESC LIMIT 1000",
    )?;
    let parameters = params![group.connection, group.upstream_name, group.key];
    let keys = select.query_map(parameters, |row| row.get(0).map(GroupKey))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// The lane of the group that waited for this one's deletion, which is done.
pub(super) fn next(db: &Connection, gone: &Group) -> Result<Option<Lane>> {
    if gone.tombstone.is_none() || gone.existence != Existence::Absent {
        return Ok(None);
    }
    let key = db
        .prepare_cached(
            "SELECT key FROM groups
             WHERE connection = ?1 AND upstream_name = ?2 AND tombstone IS NULL AND dirty = 1",
        )?
        .query_row(params![gone.connection, gone.upstream_name], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(key.map(|key| Lane::Group(GroupKey(key))))
}
