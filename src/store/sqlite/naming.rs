//! Groups that the application knows by an id that it gives: until that is
//! learned a row has a name of its own that nothing else can have, and what the
//! group is called is a difference to be worked off like any other.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::{
    plan::state::{Existence, Given, GroupKey, Naming},
    scim::resource::{Attributes, ResourceId},
    store::{Actor, GroupLearned, GroupRow, Lane, Millis, Repaired, Watch, WriteError},
};

use super::{
    audit,
    fault::{Fault, Result},
    groups::{self, Group},
    import::in_savepoint,
    lanes, reconcile,
};

/// What stands for a name that is not known.
pub(super) fn nameless(id: ResourceId) -> String {
    format!("?{id}")
}

/// Whether a group is to be called otherwise in the application too.
pub(super) fn renames(group: &Group, next: &GroupRow, stored: &GroupRow) -> bool {
    group.id_known.is_some() && is_retitled(next, stored)
}

/// Whether it is to be called otherwise here.
pub(super) fn is_retitled(next: &GroupRow, stored: &GroupRow) -> bool {
    let title = |row: &GroupRow| row.attributes.text("displayName").map(str::to_owned);
    title(next) != title(stored)
}

/// Notes that it is; whether that is news.
pub(super) fn rename(group: &mut Group, next: &GroupRow, stored: &GroupRow) -> bool {
    let renamed = renames(group, next, stored);
    group.renamed |= renamed;
    renamed
}

/// What a turn needs to know.
pub(super) fn of(group: &Group) -> Result<Naming> {
    let Some(known) = group.id_known else {
        return Ok(Naming::Rule);
    };
    let title = title(group)?;
    let made_as = if begins(group) {
        Some(title.clone())
    } else {
        group.made_as.clone()
    };
    Ok(Naming::Given(Given {
        title,
        made_as,
        known,
        renamed: group.renamed && group.tombstone.is_none(),
        since: group.created,
    }))
}

/// The next turn sends a creation, and nothing of an earlier one is open.
fn begins(group: &Group) -> bool {
    let nowhere = group.existence == Existence::Absent && group.id_known == Some(false);
    nowhere && group.tombstone.is_none()
}

/// Before a creation is sent: what to look for if no answer comes.
pub(super) fn note_creation(group: &mut Group) -> Result<()> {
    if begins(group) {
        group.made_as = Some(title(group)?);
    }
    Ok(())
}

fn title(group: &Group) -> Result<String> {
    let attributes: Attributes = serde_json::from_str(&group.attributes)?;
    let title = attributes.text("displayName").unwrap_or_default();
    Ok(title.to_owned())
}

/// See [`crate::store::Store::call_again`].
pub(super) fn call_again(
    db: &Connection,
    key: GroupKey,
    called: &str,
    since: i64,
    actor: &Actor,
) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let settled = |group: &Group| {
        let is_there = group.tombstone.is_none() && group.existence == Existence::Present;
        is_there && group.id_known.is_some() && !group.renamed && group.refused.is_none()
    };
    let group = groups::by_key(db, key.0)?.filter(settled);
    let Some(mut group) = group.filter(|it| title(it).is_ok_and(|is| is == called)) else {
        return Ok(repaired);
    };
    if reconcile::was_turned(db, &group, since)? {
        return Ok(repaired);
    }
    group.renamed = true;
    save(db, &group)?;
    let (connection, id) = (group.connection, Some(group.id));
    audit::record(
        db,
        connection,
        actor,
        "drift",
        id,
        &json!({ "renamed": true }),
    )?;
    repaired.lanes.push(Lane::Group(key));
    Ok(repaired)
}

/// Takes over what a turn learned of a group's id and of what it is called. False
/// where that cannot be, because the id is another group's.
pub(super) fn learn(
    db: &Connection,
    group: &mut Group,
    learned: &GroupLearned,
    at: Millis,
) -> Result<bool> {
    if group.id_known.is_none() {
        return Ok(true);
    }
    let id = learned.name.as_ref();
    if let Some(name) = id.filter(|_| group.id_known == Some(false))
        && is_anothers(db, group.key, name)?
    {
        tracing::warn!(
            group = %group.id,
            "the application's id for this group is another one's here; it is not believed"
        );
        group.existence = Existence::Unknown;
        group.made_as = learned.titled.clone().or(group.made_as.take());
        save(db, group)?;
        return Ok(false);
    }
    if let Some(name) = id {
        forget_found(db, group, name, at)?;
        group.upstream_name.clone_from(name);
        group.id_known = Some(true);
    }
    if learned.existence == Some(Existence::Absent) && group.tombstone.is_none() {
        // One that is made again has another id.
        group.upstream_name = nameless(group.id);
        group.id_known = Some(false);
    }
    let current = title(group)?;
    match &learned.titled {
        Some(titled) => {
            group.made_as = Some(titled.clone());
            group.renamed = *titled != current;
        }
        None => group.renamed |= learned.title_open,
    }
    save(db, group)?;
    Ok(true)
}

/// What import has shown since the group was asked for may be this one.
pub(super) fn is_anothers(db: &Connection, key: i64, name: &str) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM groups g JOIN groups o
                 ON o.connection = g.connection AND o.upstream_name = ?2 AND o.key <> g.key
             WHERE g.key = ?1 AND (o.tombstone IS NULL OR o.existence <> 0)
               AND (o.ours = 1 OR o.key < g.key)",
        )?
        .exists(params![key, name])?
        || is_made_elsewhere(db, key, name)?)
}

/// What another connection has only found may be ours all the same.
fn is_made_elsewhere(db: &Connection, key: i64, name: &str) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM groups g JOIN connections c ON c.key = g.connection
             JOIN connections e ON e.site = c.site AND e.key <> c.key
             JOIN groups o ON o.connection = e.key AND o.upstream_name = ?2
             WHERE g.key = ?1 AND o.ours = 1 AND (o.tombstone IS NULL OR o.existence <> 0)",
        )?
        .exists(params![key, name])?)
}

/// Those of the application's names that another connection has for what it has made.
pub(super) fn made_elsewhere(db: &Connection, key: i64, names: Vec<String>) -> Result<Vec<String>> {
    let mut made = Vec::new();
    for name in names {
        if is_made_elsewhere(db, key, &name)? {
            made.push(name);
        }
    }
    Ok(made)
}

/// What import has shown in the meantime is this one.
fn forget_found(db: &Connection, group: &Group, name: &str, at: Millis) -> Result<()> {
    let key: Option<i64> = db
        .prepare_cached(
            "SELECT key FROM groups WHERE connection = ?1 AND upstream_name = ?2 AND key <> ?3
             AND ours = 0 AND tombstone IS NULL",
        )?
        .query_row(params![group.connection, name, group.key], |row| row.get(0))
        .optional()?;
    let found = key.map(|key| groups::by_key(db, key)).transpose()?;
    let Some(mut found) = found.flatten() else {
        return Ok(());
    };
    let actor = Actor {
        name: "engine".into(),
        at,
        watch: Watch::Off,
        put: false,
    };
    let detail = json!({ "made_here": group.id.to_string() });
    bury_found(db, &mut found, detail, &actor)
}

/// The row of what was only found ends, and nothing is sent for that.
pub(super) fn bury_found(
    db: &Connection,
    found: &mut Group,
    mut detail: Value,
    actor: &Actor,
) -> Result<()> {
    found.existence = Existence::Absent;
    groups::bury(db, found, actor.at)?;
    let leavers = lanes::purge_pairs(db, found.key)?;
    lanes::finish_all(db, leavers)?;
    detail["version"] = found.version.into();
    let connection = found.connection;
    audit::record(
        db,
        connection,
        actor,
        "import_group",
        Some(found.id),
        &detail,
    )
}

/// The application refused to call a group otherwise: it is called as before.
/// False when there is no going back, because somebody else has the name.
pub(super) fn take_back(db: &Connection, group: &mut Group, at: Millis) -> Result<bool> {
    let there = group.existence == Existence::Present && group.tombstone.is_none();
    let Some(before) = group.made_as.clone().filter(|_| there && group.renamed) else {
        return Ok(false);
    };
    let mut attributes: Attributes = serde_json::from_str(&group.attributes)?;
    attributes.0.insert("displayName".into(), before.into());
    let mut next = group.clone();
    next.attributes = serde_json::to_string(&attributes)?;
    next.renamed = false;
    next.version += 1;
    next.modified = at;
    let saved = in_savepoint(db, || {
        groups::save_attributes(db, &next, &attributes)?;
        save(db, &next)
    });
    match saved {
        Ok(()) => {
            *group = next;
            Ok(true)
        }
        Err(Fault::Refused(WriteError::Taken { .. })) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Writes the columns that are about names; [`groups::save`] the rest.
pub(super) fn save(db: &Connection, group: &Group) -> Result<()> {
    db.prepare_cached(
        "UPDATE groups SET upstream_name = ?2, id_known = ?3, made_as = ?4, renamed = ?5
         WHERE key = ?1",
    )?
    .execute(params![
        group.key,
        group.upstream_name,
        group.id_known,
        group.made_as,
        group.renamed,
    ])?;
    Ok(())
}

/// Whether a group that is called so may be one that is being made from here.
pub(super) fn is_being_made(db: &Connection, connection: i64, title: &str) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM groups WHERE connection = ?1 AND id_known = 0 AND existence <> 0
             AND made_as = ?2",
        )?
        .exists(params![connection, title])?)
}

/// Those of the application's names that no row has or had.
pub(super) fn without_row(db: &Connection, key: i64, names: Vec<String>) -> Result<Vec<String>> {
    let mut select = db.prepare_cached(
        "SELECT 1 FROM groups WHERE upstream_name = ?2
         AND connection = (SELECT connection FROM groups WHERE key = ?1)",
    )?;
    let mut left = Vec::new();
    for name in names {
        if !select.exists(params![key, name])? {
            left.push(name);
        }
    }
    Ok(left)
}
