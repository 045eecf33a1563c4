//! Group rows: how they are read and written, and the identity provider's
//! create, change and delete. Members are changed by [`super::members`].

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::{
    plan::state::{Existence, Family, GroupKey},
    scim::{
        error::{Problem, ScimType},
        filter::fold_case,
        patch::MemberChange,
        resource::{Attributes, ResourceId},
    },
    store::{
        Actor, DecideGroup, GroupChange, GroupRow, GroupWritten, Lane, Meta, Millis, Others,
        Precondition, Resource, StoredGroup, WriteError,
    },
};

use super::{
    approved, aside, audit, doomed,
    fault::{Fault, Result},
    gone, guard, lanes, left_alone,
    members::{Flushed, Named},
    named_again, naming, owners, perhaps, refusals, returned,
    row::{check, existence_code, existence_of, id_at},
    upheld,
};

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

/// Stores a new row and returns its key.
pub(super) fn insert(db: &Connection, group: &Group, attributes: &Attributes) -> Result<i64> {
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

pub(super) fn save_attributes(
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
pub(super) fn save(db: &Connection, group: &Group) -> Result<()> {
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
pub(super) fn strip(db: &Connection, group: &mut Group) -> Result<()> {
    "{}".clone_into(&mut group.attributes);
    save_attributes(db, group, &Attributes::default())
}

/// Which value an index refused; the one a client can do most about first.
pub(super) fn taken(
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

pub(super) fn create(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    row: &GroupRow,
    members: Vec<String>,
    skip_unknown: bool,
    actor: &Actor,
) -> Result<GroupWritten> {
    let mut group = Group::fresh(connection, id, row, actor.at)?;
    owners::claim_new(db, &group)?;
    named_again::claim(db, &group)?;
    group.key = insert(db, &group, &row.attributes)?;
    let mut named = Named::new(db, &group);
    named.apply(MemberChange::Add(members))?;
    // A fresh row is version 1 with its members, which are no newer than it: a
    // turn that has seen the one has seen the others.
    group.seq = 0;
    let flushed = settle(named, &mut group, skip_unknown, actor.at)?;
    (group.version, group.seq) = (1, 1);
    save(db, &group)?;
    audit::record(
        db,
        connection,
        actor,
        "create_group",
        Some(id),
        &json!({ "version": 1, "added": texts(&flushed.added) }),
    )?;
    Ok(group.written(true, flushed))
}

fn texts(ids: &[ResourceId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

pub(super) fn change(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    when: &Precondition,
    change: GroupChange,
    actor: &Actor,
) -> Result<GroupWritten> {
    let mut group = live(db, connection, id)?.ok_or(WriteError::Missing)?;
    check(when, group.version)?;
    let stored = group.stored(aside::is_unmade(db, &group)?)?;
    let next = (change.decide)(&stored)?;
    let name = next.as_ref().map(|next| next.upstream_name.clone());
    let next = next.filter(|next| next.attributes != stored.row.attributes);
    let never_was = group.never_was();
    let refused = group.refused.clone();
    let refused = refused.filter(|_| never_was || group.is_gone());
    let was_gone = refused.is_some();
    let mut tried_again = group.refused.take().is_some();

    let replaced = |change: &MemberChange| matches!(change, MemberChange::Replace(_));
    let whole = change.members.iter().any(replaced);
    let mut named = Named::new(db, &group);
    let mut wishes = approved::wishes(db, &group, &change.members, actor)?;
    for change in change.members {
        named.apply(change)?;
    }
    let size = group.members;
    let closed = group.read_only.clone().or(change.closed);
    let skip_unknown = change.skip_unknown || closed.is_some();
    let flushed = settle(named, &mut group, skip_unknown, actor.at)?;
    if let Some(reason) = closed.filter(|_| flushed.moved() || !flushed.unknown.is_empty()) {
        return Err(closed_members(&reason).into());
    }
    point!("group.members-changed");
    let renames = next.as_ref();
    let renames = renames.is_some_and(|next| naming::renames(&group, next, &stored.row));
    let moved = flushed.moved();
    // A PUT says all of it; of a group that never was so does whatever is not only
    // that somebody is not to be in it.
    let whole_group = never_was && (next.is_some() || !moved || actor.put);
    let asks = flushed.asserts || renames || whole_group;
    let asks = asks && (name.is_some() || !aside::is_nameless(&group));
    let refused = refused.filter(|_| !asks);
    if refused.is_some() {
        // Who asks for nobody in it does not ask for it.
        (group.refused, tried_again) = (refused, false);
    }
    let named = name.filter(|_| stored.unmade && tried_again);
    if let Some(name) = named.as_ref().filter(|name| **name != group.upstream_name) {
        group.upstream_name.clone_from(name);
        group.made_as = None;
        let row = next.as_ref().unwrap_or(&stored.row);
        aside::take_name(db, &group, &row.attributes)?;
    } else if flushed.claims() || renames {
        owners::claim_group(db, &group)?;
    }
    let sets = next.as_ref();
    let sets = sets.map(|next| (&stored.row.attributes, &next.attributes));
    guard::members_go(db, &group, size, &flushed, sets, actor)?;
    if let Some(wishes) = &mut wishes {
        wishes.forget_shown(db, &flushed.removed)?;
    }
    let kept = (&*flushed.kept, flushed.kept_named);
    let let_go = upheld::members_go(db, &group, kept, actor)?;
    if group.made && group.existence != Existence::Present {
        gone::note_moot(db, group.key, &flushed.untold, actor.at)?;
    }
    if was_gone && tried_again {
        gone::forget_found(db, &mut group, actor.at)?;
    }
    if let Some(next) = &next {
        guard::group_renamed(&group, next, actor)?;
        group.attributes = serde_json::to_string(&next.attributes)?;
        save_attributes(db, &group, &next.attributes)?;
        if !moved {
            group.version += 1;
            group.modified = actor.at;
        }
        if naming::rename(&mut group, next, &stored.row) {
            // So that whoever waits for it is not answered with what was before.
            group.seq += i64::from(!moved);
            naming::save(db, &group)?;
        }
    }
    // Another attempt, so that who asks now is not answered with the last one.
    group.seq += i64::from(tried_again || let_go);
    let changed = moved || next.is_some();
    if changed || flushed.adopted > 0 {
        returned::is_asked_for_group(db, group.key)?;
        left_alone::forget(db, &group)?;
    }
    if changed || tried_again || let_go || flushed.adopted > 0 || flushed.again {
        group.asked = group.seq;
        group.whole |= whole && moved;
        save(db, &group)?;
        point!("group.saved");
    }
    if changed || let_go || flushed.adopted > 0 {
        let mut detail = json!({
            "version": group.version,
            "attributes": next.is_some(),
            "added": texts(&flushed.added),
            "removed": texts(&flushed.removed),
            "adopted": flushed.adopted,
            "skipped": flushed.unknown.len(),
        });
        if actor.put {
            detail["put"] = true.into();
        }
        if let_go {
            detail["let_go"] = flushed.kept.len().into();
        }
        audit::record(db, connection, actor, "change_group", Some(id), &detail)?;
    }
    Ok(group.written(changed, flushed))
}

/// Saying again who is in a group that is not written from here is no change;
/// anything else is one.
fn closed_members(reason: &str) -> Problem {
    Problem::bad(
        ScimType::Mutability,
        format!("the members of this Group cannot be changed here: {reason}"),
    )
}

/// Writes the pairs and what the group counts of them; a new version when a
/// member came or went.
fn settle(named: Named<'_>, group: &mut Group, skip_unknown: bool, at: Millis) -> Result<Flushed> {
    let flushed = named.flush(group.seq + 1, at)?;
    if !skip_unknown && !flushed.unknown.is_empty() {
        return Err(WriteError::UnknownMembers(flushed.unknown).into());
    }
    group.members += flushed.members_by;
    group.unmanaged += flushed.unmanaged_by;
    if flushed.moved() {
        group.version += 1;
        group.modified = at;
    }
    group.seq += i64::from(flushed.moved() || flushed.again);
    Ok(flushed)
}

pub(super) fn delete(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    when: &Precondition,
    (decide, others): (DecideGroup, Option<Others>),
    actor: &Actor,
) -> Result<GroupWritten> {
    let Some(mut group) = live(db, connection, id)? else {
        return doomed::go_on(db, (connection, id), others, actor);
    };
    check(when, group.version)?;
    let stored = group.stored(false)?;
    decide(&stored)?;
    owners::claim_group(db, &group)?;
    guard::group_goes(db, &group, others, actor)?;
    gone::doubt(db, &mut group)?;
    let title = stored.row.attributes.text("displayName");
    let title = title.filter(|_| group.never_was());
    bury(db, &mut group, actor.at)?;
    if let Some(title) = title {
        aside::leave_name(db, title, &group, actor)?;
    }
    audit::record(
        db,
        connection,
        actor,
        "delete_group",
        Some(id),
        &json!({ "version": group.version }),
    )?;
    if group.existence == Existence::Absent {
        let leavers = lanes::purge_pairs(db, group.key)?;
        lanes::finish_all(db, leavers)?;
    }
    let before = named_again::leaving(db, &group)?;
    let mut written = group.written(true, Flushed::default());
    if let Some(before) = before.filter(|_| !written.dirty) {
        // Done is when nothing of that name is left there.
        (written.key, written.seq) = (GroupKey(before.key), before.seq.cast_unsigned());
        written.dirty = true;
    }
    Ok(written)
}

/// Takes back a creation whose refusal is its answer, if nothing else was asked for
/// of the group since; that somebody who was named in it left is nothing of that.
/// Returns the lanes that have work because of it.
pub(super) fn withdraw(
    db: &Connection,
    key: GroupKey,
    seq: u64,
    actor: &Actor,
) -> Result<Vec<Lane>> {
    let group = by_key(db, key.0)?.filter(Group::never_was);
    let Some(mut group) = group.filter(|it| it.asked.cast_unsigned() <= seq) else {
        return Ok(Vec::new());
    };
    let stored = group.stored(false)?;
    bury(db, &mut group, actor.at)?;
    perhaps::note_withdrawn(db, group.key)?;
    if let Some(title) = stored.row.attributes.text("displayName") {
        aside::leave_name(db, title, &group, actor)?;
    }
    audit::record(
        db,
        group.connection,
        actor,
        "withdraw_group",
        Some(group.id),
        &json!({ "version": group.version }),
    )?;
    let leavers = lanes::purge_pairs(db, group.key)?;
    lanes::finish_all(db, leavers)
}

/// Tombstones a group; its names here are free at once.
pub(super) fn bury(db: &Connection, group: &mut Group, at: Millis) -> Result<()> {
    group.tombstone = Some(at);
    group.version += 1;
    group.seq += 1;
    group.modified = at;
    group.refused = None;
    group.whole = false;
    (group.members, group.unmanaged, group.strangers) = (0, 0, 0);
    save(db, group)?;
    refusals::forget_group(db, group.key)?;
    gone::forget_moot(db, group.key)?;
    strip(db, group)
}
