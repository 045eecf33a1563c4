//! Group rows: what one says, and how it is read; how it is written is in [`stored`],
//! and the identity provider's create, change and delete are in [`asked`].

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    plan::state::{Existence, Family, GroupKey},
    scim::resource::ResourceId,
    store::{GroupRow, GroupWritten, Meta, Millis, Resource, StoredGroup},
};

use super::{
    fault::Result,
    members::Flushed,
    naming,
    row::{existence_of, id_at},
};

mod asked;
mod stored;

pub(super) use asked::{bury, change, create, delete, withdraw};
pub(super) use stored::{insert, save, save_attributes, strip, taken};

/// A whole row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) key: i64,
    pub(super) connection: i64,
    pub(super) id: ResourceId,
    pub(super) version: i64,
    /// Counts changes of membership and existence.
    pub(super) seq: i64,
    /// As of the last request that was about the group.
    pub(super) asked: i64,
    pub(super) created: Millis,
    pub(super) modified: Millis,
    pub(super) tombstone: Option<Millis>,
    pub(super) ours: bool,
    /// The application once showed or confirmed it.
    pub(super) made: bool,
    pub(super) existence: Existence,
    /// Replaced as a whole and not converged since.
    pub(super) whole: bool,
    /// Pairs with `desired = 1`, and those among them nobody asked for.
    pub(super) members: i64,
    pub(super) unmanaged: i64,
    /// Members the application shows that are no row here.
    pub(super) strangers: i64,
    pub(super) upstream_name: String,
    pub(super) read_only: Option<String>,
    pub(super) refused: Option<String>,
    pub(super) attributes: String,
    pub(super) family: Option<Family>,
    /// See [`naming`]: `None` where the application's name follows from a rule.
    pub(super) id_known: Option<bool>,
    pub(super) made_as: Option<String>,
    pub(super) renamed: bool,
}

const COLUMNS: &str = "key, connection, id, version, seq, created, modified, tombstone, ours, made,
    existence, whole, members, unmanaged, strangers, upstream_name, read_only, refused, attributes,
    family, rank, id_known, made_as, renamed, asked";

impl Group {
    pub(super) fn fresh(
        connection: i64,
        id: ResourceId,
        row: &GroupRow,
        at: Millis,
    ) -> Result<Self> {
        let given = row.upstream_name.is_empty();
        Ok(Self {
            key: 0,
            connection,
            id,
            version: 1,
            seq: 1,
            asked: 1,
            created: at,
            modified: at,
            tombstone: None,
            ours: true,
            made: false,
            existence: Existence::Absent,
            whole: false,
            members: 0,
            unmanaged: 0,
            strangers: 0,
            upstream_name: if given {
                naming::nameless(id)
            } else {
                row.upstream_name.clone()
            },
            read_only: None,
            refused: None,
            attributes: serde_json::to_string(&row.attributes)?,
            family: None,
            id_known: given.then_some(false),
            made_as: None,
            renamed: false,
        })
    }

    /// The group itself must be created, deleted or renamed.
    pub(super) fn dirty(&self) -> bool {
        let renamed = self.renamed && self.tombstone.is_none() && self.refused.is_none();
        self.misplaced() || renamed
    }

    /// It must be created or deleted; as the column `dirty`.
    pub(super) fn misplaced(&self) -> bool {
        let wanted = if self.tombstone.is_none() {
            Existence::Present
        } else {
            Existence::Absent
        };
        self.refused.is_none() && self.read_only.is_none() && self.existence != wanted
    }

    /// Its creation was refused, and it was not withdrawn with that.
    pub(super) fn never_was(&self) -> bool {
        let refused = self.refused.is_some() && self.tombstone.is_none();
        refused && !self.made && self.existence == Existence::Absent
    }

    /// See [`super::gone`].
    pub(super) fn is_gone(&self) -> bool {
        let was_there = self.made && self.existence == Existence::Absent;
        was_there && self.tombstone.is_none() && self.refused.is_some()
    }

    pub(super) fn meta(&self) -> Meta {
        Meta {
            created: self.created,
            modified: self.modified,
            version: self.version.cast_unsigned(),
        }
    }

    /// `unmade`: see [`StoredGroup::unmade`].
    fn stored(&self, unmade: bool) -> Result<StoredGroup> {
        Ok(StoredGroup {
            unmade,
            key: GroupKey(self.key),
            id: self.id,
            meta: self.meta(),
            row: GroupRow {
                attributes: serde_json::from_str(&self.attributes)?,
                upstream_name: self.upstream_name.clone(),
            },
            ours: self.ours,
            gone: self.is_gone(),
            read_only: self.read_only.clone(),
        })
    }

    pub(super) fn written(self, changed: bool, flushed: Flushed) -> GroupWritten {
        GroupWritten {
            key: GroupKey(self.key),
            changed,
            seq: self.seq.cast_unsigned(),
            dirty: self.dirty(),
            deleted: self.tombstone.is_some(),
            touched: flushed.touched,
            staged: flushed.staged,
            skipped: flushed.unknown,
            resource: Resource {
                id: self.id,
                meta: self.meta(),
                attributes: self.attributes,
            },
        }
    }
}

pub(super) fn live(db: &Connection, connection: i64, id: ResourceId) -> Result<Option<Group>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM groups WHERE id = ?1 AND connection = ?2 AND tombstone IS NULL"
    );
    load(
        db.prepare_cached(&sql)?
            .query(params![id.as_bytes(), connection])?,
    )
}

/// Also of a tombstone.
pub(super) fn key_of(db: &Connection, connection: i64, id: ResourceId) -> Result<Option<i64>> {
    let key = db
        .prepare_cached("SELECT key FROM groups WHERE id = ?1 AND connection = ?2")?
        .query_row(params![id.as_bytes(), connection], |row| row.get(0))
        .optional()?;
    Ok(key)
}

/// Also a tombstone.
pub(super) fn by_key(db: &Connection, key: i64) -> Result<Option<Group>> {
    let sql = format!("SELECT {COLUMNS} FROM groups WHERE key = ?1");
    load(db.prepare_cached(&sql)?.query([key])?)
}

fn load(mut rows: rusqlite::Rows<'_>) -> Result<Option<Group>> {
    rows.next()?.map(group_at).transpose()
}

fn group_at(row: &Row<'_>) -> Result<Group> {
    Ok(Group {
        key: row.get(0)?,
        connection: row.get(1)?,
        id: id_at(row, 2)?,
        version: row.get(3)?,
        seq: row.get(4)?,
        created: row.get(5)?,
        modified: row.get(6)?,
        tombstone: row.get(7)?,
        ours: row.get(8)?,
        made: row.get(9)?,
        existence: existence_of(row.get(10)?),
        whole: row.get(11)?,
        members: row.get(12)?,
        unmanaged: row.get(13)?,
        strangers: row.get(14)?,
        upstream_name: row.get(15)?,
        read_only: row.get(16)?,
        refused: row.get(17)?,
        attributes: row.get(18)?,
        family: family_at(row, 19)?,
        id_known: row.get(21)?,
        made_as: row.get(22)?,
        renamed: row.get(23)?,
        asked: row.get(24)?,
    })
}

fn family_at(row: &Row<'_>, first: usize) -> Result<Option<Family>> {
    let name: Option<String> = row.get(first)?;
    let rank: Option<u32> = row.get(first + 1)?;
    Ok(name.map(|name| Family {
        name,
        rank: rank.unwrap_or_default(),
    }))
}
