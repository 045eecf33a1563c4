//! Groups whose creation was refused after it was answered, beside what the
//! application has by their names. Nothing is there that a call of ours has made, so
//! the name binds nothing: a Group that is asked for again goes by what it is to be
//! called then, and a group of the old name that import finds is somebody else's. It
//! gets a row of its own, as any that is found, so that who leaves is looked for in
//! it; it is not taken over (reliability: R-04).

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    scim::resource::Attributes,
    store::{Actor, GroupRow},
};

use super::{
    audit, called,
    fault::Result,
    groups::{self, Group},
    import::{self, Import},
    late, named_again, naming, owners, shown,
};

/// Why it goes on being refused.
const FOUND: &str = "the application has a group of this name by now that was not made from here, \
     and nothing is bound by its name: that one is a Group of its own here; ask for its members \
     there and delete this one, or choose another displayName";

/// Whether nothing is there that a group's name stands for, nor can come to be there
/// by a call of ours.
pub(super) fn is_unmade(db: &Connection, group: &Group) -> Result<bool> {
    let never_was = group.never_was() && group.id_known.is_none();
    Ok(never_was && !late::may_land_in(db, group.key)?)
}

/// It has no name in the application until it is asked for again.
pub(super) fn is_nameless(group: &Group) -> bool {
    group.id_known.is_none() && group.upstream_name == naming::nameless(group.id)
}

/// It is asked for again by the name that it has now, if nobody has that.
pub(super) fn take_name(db: &Connection, group: &Group, attributes: &Attributes) -> Result<()> {
    owners::claim_new(db, group)?;
    named_again::claim(db, group)?;
    naming::save(db, group).map_err(|fault| groups::taken(db, fault, group, attributes))
}

/// Whether import has found somebody else's group by the name of one that was
/// refused, which is no name of that one any more then. `found` is written in between:
/// nothing changes where that cannot be.
pub(super) fn beside<T>(
    db: &Connection,
    mut group: Group,
    import: &Import,
    write: impl FnOnce() -> Result<Option<T>>,
) -> Result<Option<T>> {
    if !gives_way(db, &group, import)? {
        return Ok(None);
    }
    let before = group.clone();
    group.upstream_name = naming::nameless(group.id);
    group.made_as = Some(before.upstream_name.clone());
    naming::save(db, &group)?;
    let Some(written) = write()? else {
        naming::save(db, &before)?;
        return Ok(None);
    };
    owners::let_go(db, &before)?;
    group.refused = Some(FOUND.to_owned());
    groups::save(db, &group)?;
    let detail = json!({ "found_beside": true, "version": group.version });
    let (connection, actor) = (import.connection, &import.actor);
    audit::record(
        db,
        connection,
        actor,
        "import_group",
        Some(group.id),
        &detail,
    )?;
    Ok(Some(written))
}

/// Not where what is shown may be what a call of ours has left.
fn gives_way(db: &Connection, group: &Group, import: &Import) -> Result<bool> {
    if import.mirror
        || !is_unmade(db, group)?
        || late::is_doubted(db, group)?
        || named_again::must_wait(db, group)?
    {
        return Ok(false);
    }
    let before = named_again::before_it(db, group)?;
    for key in before.iter().map(|key| key.0).chain([group.key]) {
        if import::was_turned(db, key, import)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a group that was found is shown with its id behind its name.
pub(super) fn is_named_apart(group: &Group, row: &GroupRow) -> Result<bool> {
    let stored: Attributes = serde_json::from_str(&group.attributes)?;
    let apart = row
        .attributes
        .text("displayName")
        .map(|title| shown::apart(title, &group.upstream_name));
    Ok(!group.ours && apart.is_some() && stored.text("displayName") == apart.as_deref())
}

/// A Group that was refused is gone: what was found beside it has its name alone.
pub(super) fn leave_name(db: &Connection, title: &str, gone: &Group, actor: &Actor) -> Result<()> {
    let key: Option<i64> = db
        .prepare_cached(
            "SELECT key FROM groups WHERE connection = ?1 AND tombstone IS NULL AND ours = 0
               AND attributes ->> '$.displayName' = ?2 || ' (' || upstream_name || ')'",
        )?
        .query_row(params![gone.connection, title], |row| row.get(0))
        .optional()?;
    let found = key.map(|key| groups::by_key(db, key)).transpose()?;
    let Some(mut found) = found.flatten() else {
        return Ok(());
    };
    called::call(db, &mut found, title.to_owned(), ("named_alone", actor))
}

/// What was found beside a Group, and is not on a whole list any more, keeps nothing
/// of the name: whoever took it away there made room for that Group. Not where
/// somebody was asked for in it.
pub(super) fn find_gone(db: &Connection, import: &Import, listed: &[String]) -> Result<()> {
    let mut select = db.prepare_cached(
        "SELECT f.key FROM groups g JOIN groups f
             ON f.connection = g.connection AND f.upstream_name = g.made_as AND f.key <> g.key
         WHERE g.connection = ?1 AND g.tombstone IS NULL AND g.id_known IS NULL
           AND g.made_as IS NOT NULL AND g.refused IS NOT NULL AND g.made = 0
           AND f.tombstone IS NULL AND f.ours = 0 AND f.existence = 1
           AND NOT EXISTS (SELECT 1 FROM memberships m
               WHERE m.group_key = f.key AND (m.managed = 1 OR m.desired = 0))",
    )?;
    let keys: Vec<i64> = select
        .query_map([import.connection], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for key in keys {
        let Some(mut found) = groups::by_key(db, key)? else {
            continue;
        };
        if listed.contains(&found.upstream_name) || import::was_turned(db, key, import)? {
            continue;
        }
        naming::bury_found(db, &mut found, json!({ "gone": true }), &import.actor)?;
    }
    Ok(())
}
