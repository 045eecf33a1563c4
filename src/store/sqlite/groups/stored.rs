//! How a group's row is written.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    scim::{filter::fold_case, resource::Attributes},
    store::WriteError,
};

use super::{
    super::{
        fault::{Fault, Result},
        row::existence_code,
    },
    Group,
};

/// Stores a new row and returns its key.
pub(in super::super) fn insert(
    db: &Connection,
    group: &Group,
    attributes: &Attributes,
) -> Result<i64> {
    db.prepare_cached(
        "INSERT INTO groups (connection, id, version, seq, created, modified, ours, made, existence,
             whole, members, unmanaged, strangers, upstream_name, display_key, external_id,
             read_only, attributes, family, rank, id_known)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
             ?19, ?20, ?21)",
    )?
    .execute(params![
        group.connection,
        group.id.as_bytes(),
        group.version,
        group.seq,
        group.created,
        group.modified,
        group.ours,
        group.made,
        existence_code(group.existence),
        group.whole,
        group.members,
        group.unmanaged,
        group.strangers,
        group.upstream_name,
        attributes.text("displayName").map(fold_case),
        attributes.text("externalId"),
        group.read_only,
        group.attributes,
        group.family.as_ref().map(|family| &family.name),
        group.family.as_ref().map(|family| family.rank),
        group.id_known,
    ])
    .map_err(|error| taken(db, error.into(), group, attributes))?;
    Ok(db.last_insert_rowid())
}

pub(in super::super) fn save_attributes(
    db: &Connection,
    group: &Group,
    attributes: &Attributes,
) -> Result<()> {
    db.prepare_cached(
        "UPDATE groups SET display_key = ?2, external_id = ?3, attributes = ?4 WHERE key = ?1",
    )?
    .execute(params![
        group.key,
        attributes.text("displayName").map(fold_case),
        attributes.text("externalId"),
        group.attributes,
    ])
    .map_err(|error| taken(db, error.into(), group, attributes))?;
    Ok(())
}

/// Writes everything but attributes.
pub(in super::super) fn save(db: &Connection, group: &Group) -> Result<()> {
    db.prepare_cached(
        "UPDATE groups SET version = ?2, seq = ?3, modified = ?4, tombstone = ?5, made = ?6,
             existence = ?7, whole = ?8, members = ?9, unmanaged = ?10, strangers = ?11,
             read_only = ?12, refused = ?13, asked = ?14
         WHERE key = ?1",
    )?
    .execute(params![
        group.key,
        group.version,
        group.seq,
        group.modified,
        group.tombstone,
        group.made,
        existence_code(group.existence),
        group.whole,
        group.members,
        group.unmanaged,
        group.strangers,
        group.read_only,
        group.refused,
        group.asked,
    ])?;
    Ok(())
}

/// Forgets what names a tombstone; the application's name stays until it is gone there.
pub(in super::super) fn strip(db: &Connection, group: &mut Group) -> Result<()> {
    "{}".clone_into(&mut group.attributes);
    save_attributes(db, group, &Attributes::default())
}

/// Which value an index refused; the one a client can do most about first.
pub(in super::super) fn taken(
    db: &Connection,
    fault: Fault,
    group: &Group,
    attributes: &Attributes,
) -> Fault {
    if fault.violated().is_none() {
        return fault;
    }
    let name = attributes.text("displayName");
    let external_id = attributes.text("externalId");
    let slug = Some(group.upstream_name.as_str());
    let mine = [
        (
            "displayName",
            "display_key = ?2 AND tombstone IS NULL",
            name.map(fold_case),
            name,
        ),
        (
            "externalId",
            "external_id = ?2 AND tombstone IS NULL",
            external_id.map(str::to_owned),
            external_id,
        ),
        (
            "upstreamName",
            "upstream_name = ?2 AND tombstone IS NULL",
            slug.map(str::to_owned),
            slug,
        ),
    ];
    for (attribute, condition, key, value) in mine {
        let (Some(key), Some(value)) = (key, value) else {
            continue;
        };
        let sql = format!(
            "SELECT attributes FROM groups WHERE connection = ?1 AND {condition} AND key <> ?3"
        );
        let held = db.prepare_cached(&sql).and_then(|mut select| {
            let parameters = params![group.connection, key, group.key];
            select
                .query_row(parameters, |row| row.get::<_, String>(0))
                .optional()
        });
        match held {
            Ok(None) => {}
            Ok(Some(other)) => {
                let other: Attributes = serde_json::from_str(&other).unwrap_or_default();
                let holder = other.text("displayName").map(str::to_owned);
                return WriteError::Taken {
                    attribute,
                    value: value.to_owned(),
                    holder: holder.filter(|_| attribute == "upstreamName"),
                }
                .into();
            }
            Err(error) => return error.into(),
        }
    }
    fault
}
