//! Who is a member in the application without being one here, because the
//! membership was taken away here, and was given back or kept there. Nothing
//! is kept of a membership that is gone but the audit, which is kept for ever; so
//! it is read through, once for all who are asked about (reliability: H-15).

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;

use crate::{
    scim::resource::ResourceId,
    store::{DeletedBack, Millis, TakenAway},
};

use super::fault::Result;

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    added: Vec<String>,
    #[serde(default)]
    removed: Vec<String>,
}

/// Those of the users, group by group, whose membership an identity provider or
/// an operator ended last, and when.
pub(super) fn taken_away(
    db: &Connection,
    connection: i64,
    asked: &[(ResourceId, Vec<ResourceId>)],
) -> Result<Vec<TakenAway>> {
    let texts = |users: &Vec<ResourceId>| users.iter().map(ToString::to_string).collect();
    let asked: HashMap<[u8; 16], HashSet<String>> = asked
        .iter()
        .map(|(group, users)| (*group.as_bytes(), texts(users)))
        .collect();
    let mut last: HashMap<([u8; 16], String), Option<Millis>> = HashMap::new();
    let mut select = db.prepare_cached(
        "SELECT resource, at, detail FROM audit
         WHERE connection = ?1 AND action = 'change_group' AND resource IS NOT NULL
         ORDER BY number",
    )?;
    let mut rows = select.query(params![connection])?;
    while let Some(row) = rows.next()? {
        let group: [u8; 16] = row.get(0)?;
        let Some(users) = asked.get(&group) else {
            continue;
        };
        let detail = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        let change: Change = serde_json::from_str(detail)?;
        let at = row.get(1)?;
        for (ids, ended) in [(change.added, None), (change.removed, Some(at))] {
            let ours = ids.into_iter().filter(|id| users.contains(id));
            last.extend(ours.map(|id| ((group, id), ended)));
        }
    }
    let taken = last.into_iter().filter_map(|((group, user), at)| {
        Some(TakenAway {
            group: ResourceId::from_bytes(group),
            user: ResourceId::parse(&user)?,
            at: at?,
        })
    });
    Ok(taken.collect())
}

/// Those whose User was deleted here, and nobody has had the account since. What
/// is without an id in the application has no name that can be told.
pub(super) fn deleted_among(
    db: &Connection,
    connection: i64,
    members: &[(Option<String>, Option<String>)],
) -> Result<Vec<DeletedBack>> {
    let mut select = db.prepare_cached(
        "SELECT at FROM (
             SELECT u.tombstone AS at FROM users u
             WHERE u.connection = ?1 AND u.account_key = ?2 AND u.account_key IS NOT NULL
               AND u.tombstone IS NOT NULL
             UNION ALL
             SELECT a.at FROM departed d JOIN audit a ON a.number = d.number
             WHERE d.connection = ?1 AND d.account_key = ?2)
         WHERE NOT EXISTS (
             SELECT 1 FROM users u WHERE u.connection = ?1 AND u.account_key = ?2
               AND u.account_key IS NOT NULL AND u.tombstone IS NULL)",
    )?;
    let mut deleted = Vec::new();
    for (id, account) in members {
        let Some(account) = account else { continue };
        let at = select
            .query_row(params![connection, account], |row| row.get(0))
            .optional()?;
        deleted.extend(at.map(|removed| DeletedBack {
            account: id.clone().unwrap_or_else(|| "without an id".to_owned()),
            removed,
        }));
    }
    Ok(deleted)
}
