//! What groups are called that were found and that the application knows by an id:
//! otherwise whenever somebody there likes, several of them alike, and one that is
//! made anew like the one that is gone. The names of a whole list are followed at
//! once, so that two that change theirs with each other never stand for each other.
//! Whatever is on no list any more gives way, with its id behind its name.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{
    scim::{filter::fold_case, resource::Attributes},
    store::Actor,
};

use super::{
    audit,
    fault::Result,
    groups::{self, Group},
    shown::{apart, is_apart},
};

/// What is shown of a group, or holds a name.
struct Row {
    key: i64,
    /// The application's name for it.
    id: String,
    shown: String,
    /// It was found and is shown, so it is called as it is there.
    follows: bool,
    deleted: bool,
}

/// A group that is to be shown under another name.
#[derive(Debug)]
pub(super) struct Renamed {
    key: i64,
    title: String,
}

/// What is shown otherwise than the list says, by its names and titles.
pub(super) fn renamed(
    db: &Connection,
    connection: i64,
    listed: &[(String, String)],
) -> Result<Vec<Renamed>> {
    let rows = rows(db, connection)?;
    let titles: HashMap<&str, &str> = listed
        .iter()
        .map(|(id, title)| (id.as_str(), title.as_str()))
        .collect();
    let title_of = |row: &Row| titles.get(row.id.as_str()).copied();
    let (follow, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.follows);
    let shown = others.iter().filter(|row| !row.deleted);
    let mut taken: HashSet<String> = shown.map(|row| fold_case(&row.shown)).collect();
    let mut next: Vec<(&Row, String)> = Vec::new();

    // Whoever is called so already keeps the name.
    let (listed_ones, unlisted): (Vec<&Row>, Vec<&Row>) =
        follow.into_iter().partition(|row| title_of(row).is_some());
    let (same, changed): (Vec<&Row>, Vec<&Row>) = listed_ones
        .into_iter()
        .partition(|row| title_of(row).map(fold_case) == Some(fold_case(&row.shown)));
    let mut beside = Vec::new();
    for row in same.into_iter().chain(changed) {
        let title = title_of(row).unwrap_or_default();
        if taken.insert(fold_case(title)) {
            next.push((row, title.to_owned()));
        } else {
            beside.push((row, title));
        }
    }
    let known: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    for (id, title) in listed.iter().filter(|(id, _)| !known.contains(id.as_str())) {
        if !taken.insert(fold_case(title)) {
            tracing::warn!(%id, %title, "a group is shown with its id behind its name, as another one is called so");
        }
    }
    for (row, title) in beside {
        next.push((row, free(&mut taken, apart(title, &row.id), &row.id)));
    }
    for row in unlisted {
        next.push((row, free(&mut taken, row.shown.clone(), &row.id)));
    }
    next.retain(|(row, title)| row.shown != *title);
    let renamed = next.into_iter().map(|(row, title)| Renamed {
        key: row.key,
        title,
    });
    Ok(renamed.collect())
}

/// The first of the names that it may have that nobody has.
fn free(taken: &mut HashSet<String>, mut title: String, id: &str) -> String {
    while !taken.insert(fold_case(&title)) {
        title = apart(&title, id);
    }
    title
}

fn rows(db: &Connection, connection: i64) -> Result<Vec<Row>> {
    let mut select = db.prepare_cached(
        "SELECT key, upstream_name, coalesce(attributes ->> '$.displayName', ''), ours,
             tombstone IS NOT NULL
         FROM groups WHERE connection = ?1 AND (tombstone IS NULL OR existence <> 0)
         ORDER BY key",
    )?;
    let rows = select.query_map([connection], |row| {
        let (ours, deleted): (bool, bool) = (row.get(3)?, row.get(4)?);
        Ok(Row {
            key: row.get(0)?,
            id: row.get(1)?,
            shown: row.get(2)?,
            follows: !ours && !deleted,
            deleted,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Writes them all.
pub(super) fn follow(
    db: &Connection,
    connection: i64,
    listed: &[(String, String)],
    actor: &Actor,
) -> Result<()> {
    let renamed = renamed(db, connection, listed)?;
    let mut let_go = db.prepare_cached("UPDATE groups SET display_key = NULL WHERE key = ?1")?;
    for group in &renamed {
        let_go.execute(params![group.key])?;
    }
    for Renamed { key, title } in renamed {
        let Some(mut group) = groups::by_key(db, key)? else {
            continue;
        };
        if is_apart(&title, &group.upstream_name) {
            tracing::warn!(group = %group.id, %title, "a group is shown with its id behind its name, as another one is called so");
        }
        call(db, &mut group, title, ("renamed", actor))?;
    }
    Ok(())
}

/// A found group is called so from now on; `why` is the audit's word for it.
pub(super) fn call(
    db: &Connection,
    group: &mut Group,
    title: String,
    (why, actor): (&str, &Actor),
) -> Result<()> {
    let mut attributes: Attributes = serde_json::from_str(&group.attributes)?;
    attributes.0.insert("displayName".into(), title.into());
    group.attributes = serde_json::to_string(&attributes)?;
    group.version += 1;
    group.modified = actor.at;
    groups::save_attributes(db, group, &attributes)?;
    groups::save(db, group)?;
    let detail = json!({ why: true, "version": group.version });
    let (connection, id) = (group.connection, Some(group.id));
    audit::record(db, connection, actor, "import_group", id, &detail)
}
