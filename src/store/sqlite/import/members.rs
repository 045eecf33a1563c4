//! Who is in a group that was found. What nobody asked for is an unmanaged member;
//! whoever is no user here is counted.

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{scim::resource::ResourceId, store::WithUnknown};

use super::{
    super::{
        audit, families,
        fault::Result,
        found,
        groups::{self, Group},
        late,
        newcomers::Newcomer,
        row::id_at,
    },
    Import, was_turned,
};

/// What became of some members of a group.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) added: u64,
    /// They are no user here.
    pub(super) strangers: u64,
    pub(super) newcomers: Vec<Newcomer>,
}

/// Adds what nobody asked for as unmanaged members, unless the group is gone or
/// was written since. A group of ours only counts them, unless who is in it is
/// only shown. Where the group was here before, they may have been taken out of it:
/// see [`newcomers`].
fn add_members(
    db: &Connection,
    key: i64,
    members: &[(Option<String>, Option<String>)],
    fresh: bool,
    import: &Import,
) -> Result<Portion> {
    let live = |group: &Group| group.tombstone.is_none();
    let Some(mut group) = groups::by_key(db, key)?.filter(live) else {
        return Ok(Portion::default());
    };
    // Asked for every portion, because a turn may end between two of them.
    if was_turned(db, key, import)? {
        return Ok(Portion::default());
    }
    let mut part = Portion::default();
    for (upstream_id, account) in members {
        let user = found::member(
            db,
            group.connection,
            upstream_id.as_deref(),
            account.as_deref(),
        )?;
        let Some((user, id)) = user else {
            part.strangers += 1;
            continue;
        };
        let known = db
            .prepare_cached("SELECT 1 FROM memberships WHERE group_key = ?1 AND user_key = ?2")?
            .exists([key, user])?;
        if known {
            continue;
        }
        if group.ours && !import.mirror {
            part.strangers += 1;
        }
        if fresh || import.mirror {
            part.added += u64::from(find_member(db, &mut group, (user, id), Some(import.since))?);
        } else {
            part.newcomers.push((user, id));
        }
    }
    if part.added > 0 {
        save_found(db, &mut group, import)?;
    }
    Ok(part)
}

/// Somebody whom nobody asked for, and who is in a group, as a reading showed that
/// began when the audit stood so; whether that is believed.
pub(in super::super) fn find_member(
    db: &Connection,
    group: &mut Group,
    (user, id): Newcomer,
    since: Option<i64>,
) -> Result<bool> {
    if families::is_asked_for_higher(db, group, user)? {
        return Ok(false);
    }
    if let Some(since) = since
        && families::is_asked_for_since(db, group, user, since)?
    {
        return Ok(false);
    }
    if group.family.is_some() && late::is_doubted_pair(db, (group.key, user))? {
        // Perhaps by a call that was given up and is about to be undone.
        return Ok(false);
    }
    db.prepare_cached(
        "INSERT INTO memberships (group_key, user_key, user_id, desired, observed, managed, seq)
         VALUES (?1, ?2, ?3, 1, 1, 0, ?4)",
    )?
    .execute(params![group.key, user, id, group.seq + 1])?;
    group.members += 1;
    group.unmanaged += 1;
    Ok(true)
}

/// After some were found in it.
pub(in super::super) fn save_found(
    db: &Connection,
    group: &mut Group,
    import: &Import,
) -> Result<()> {
    group.version += 1;
    group.seq += 1;
    group.modified = import.actor.at;
    groups::save(db, group)
}

/// The same, and what came of it with whether the group is new, for the audit.
pub(super) fn tell_members(
    db: &Connection,
    key: i64,
    members: &[(Option<String>, Option<String>)],
    (fresh, new): (bool, bool),
    import: &Import,
) -> Result<Portion> {
    let part = add_members(db, key, members, fresh, import)?;
    if new || part.added > 0 {
        record_found(db, key, new, (part.added, part.strangers), import)?;
    }
    Ok(part)
}

pub(in super::super) fn record_found(
    db: &Connection,
    key: i64,
    new: bool,
    (added, strangers): (u64, u64),
    import: &Import,
) -> Result<()> {
    if let Some(group) = groups::by_key(db, key)? {
        let detail = json!({
            "new": u64::from(new),
            "members": added,
            "unknown": strangers,
            "version": group.version,
        });
        let (connection, actor) = (import.connection, &import.actor);
        audit::record(
            db,
            connection,
            actor,
            "import_group",
            Some(group.id),
            &detail,
        )?;
    }
    Ok(())
}

/// See [`crate::store::Store::with_unknown`].
pub(in super::super) fn with_unknown(
    db: &Connection,
    connection: i64,
    most: usize,
) -> Result<Vec<WithUnknown>> {
    let mut select = db.prepare_cached(
        "SELECT id, coalesce(json_extract(attributes, '$.displayName'), upstream_name), strangers
         FROM groups WHERE connection = ?1 AND tombstone IS NULL AND strangers > 0
         ORDER BY strangers DESC, key LIMIT ?2",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map(params![connection, most], |row| {
        Ok(WithUnknown {
            group: id_at(row, 0)?,
            name: row.get(1)?,
            members: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many of a group's members are no users here; nothing that anybody has.
pub(super) fn note_strangers(db: &Connection, key: i64, strangers: i64) -> Result<()> {
    let Some(mut group) = groups::by_key(db, key)? else {
        return Ok(());
    };
    if group.tombstone.is_none() && group.strangers != strangers {
        group.strangers = strangers;
        groups::save(db, &group)?;
    }
    Ok(())
}

/// Those of some members who are users here.
pub(in super::super) fn users_of(
    db: &Connection,
    connection: i64,
    members: &[(Option<String>, Option<String>)],
) -> Result<Vec<ResourceId>> {
    let mut users = Vec::new();
    for (upstream_id, account) in members {
        let user = found::member(db, connection, upstream_id.as_deref(), account.as_deref())?;
        users.extend(user.map(|(_, id)| ResourceId::from_bytes(id)));
    }
    Ok(users)
}
