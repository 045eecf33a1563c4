//! Where a bridge writes neither users nor members, what is here follows what
//! is there: names, who is active, who is in a group, and what is gone.
//!
//! Only what import found is touched, and of it only what is not the identity
//! provider's own (`externalId`). Nothing here can cause an upstream call: both
//! sides of every difference are written at once. What is gone was decided
//! before ([`crate::plan::listing`]), and a group that comes back is the one
//! that it was. Like an import it is written in portions.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::{
    plan::{
        listing::{Doubts, List},
        state::Existence,
    },
    scim::resource::{Attributes, ResourceId},
    store::{FoundGroup, FoundUser, Gone, GroupRow, Millis, Reconcilable, StoreError},
};

use super::{
    audit,
    fault::Result,
    found::Listed,
    groups::{self, Group},
    import::{Found, Import, in_savepoint},
    lanes,
    reconcile::reconcilable_at,
    shown::Shown,
    users::{self, User},
    writer::Writer,
};

/// Rows changed in one transaction.
const PORTION: usize = 500;

/// Takes over what the application shows of a user.
pub(super) fn follow_user(
    db: &Connection,
    user: User,
    found: FoundUser,
    at: Millis,
) -> Result<Found> {
    let stored: Attributes = serde_json::from_str(&user.attributes)?;
    let same = user.account == found.row.account
        && user.observed == found.observed
        && user.upstream_id == found.upstream_id;
    let name = Shown::of_user(&user, true);
    let mut next = User {
        account: found.row.account,
        observed: found.observed,
        upstream_id: found.upstream_id,
        version: user.version + 1,
        modified: at,
        ..user
    };
    let news = name.write(with_own(found.row.attributes, &stored), |shown| {
        if same && *shown == stored {
            return Ok(false);
        }
        next.attributes = serde_json::to_string(shown)?;
        in_savepoint(db, || {
            users::save_attributes(db, &next, shown)?;
            users::save(db, &next)
        })
        .map(|()| true)
    })?;
    Ok(said(news))
}

fn said(news: Option<bool>) -> Found {
    match news {
        Some(true) => Found::Learned,
        Some(false) => Found::AsBefore,
        None => Found::Unshown,
    }
}

/// Takes over what the application shows of a group, its members apart.
pub(super) fn follow_group(
    db: &Connection,
    group: &mut Group,
    row: &GroupRow,
    at: Millis,
) -> Result<Found> {
    let stored: Attributes = serde_json::from_str(&group.attributes)?;
    let mut shown = with_own(row.attributes.clone(), &stored);
    if let Some(title) = stored.0.get("displayName").filter(|_| group.ours) {
        // What a group that was made from here is called, is said here.
        shown.0.insert("displayName".into(), title.clone());
    }
    let news = Shown::of_group(group).write(shown, |shown| {
        if *shown == stored {
            return Ok(false);
        }
        let mut next = group.clone();
        next.attributes = serde_json::to_string(shown)?;
        next.version += 1;
        next.modified = at;
        in_savepoint(db, || {
            groups::save_attributes(db, &next, shown)?;
            groups::save(db, &next)
        })?;
        *group = next;
        Ok(true)
    })?;
    Ok(said(news))
}

/// A group that was found, gone, and is there again under the application's
/// name for it: the same resource, with what was the identity provider's own.
pub(super) fn bring_back(
    db: &Connection,
    found: &FoundGroup,
    import: &Import,
) -> Result<Option<(Option<i64>, Found)>> {
    let key: Option<i64> = db
        .prepare_cached(
            "SELECT key FROM groups WHERE connection = ?1 AND upstream_name = ?2
             AND tombstone IS NOT NULL AND existence = 0 AND ours = 0
             ORDER BY key DESC LIMIT 1",
        )?
        .query_row(params![import.connection, found.row.upstream_name], |row| {
            row.get(0)
        })
        .optional()?;
    let group = key.map(|key| groups::by_key(db, key)).transpose()?;
    let Some(mut group) = group.flatten() else {
        return Ok(None);
    };
    let own: Attributes = serde_json::from_str(&group.attributes)?;
    group.tombstone = None;
    group.existence = Existence::Present;
    group.read_only.clone_from(&found.read_only);
    group.version += 1;
    group.seq += 1;
    group.modified = import.actor.at;
    let name = Shown::of_group(&group);
    let back = name.write(with_own(found.row.attributes.clone(), &own), |shown| {
        group.attributes = serde_json::to_string(shown)?;
        in_savepoint(db, || {
            groups::save(db, &group)?;
            groups::save_attributes(db, &group, shown)
        })?;
        let detail = json!({ "back": true, "version": group.version });
        record(db, import, "import_group", group.id, &detail)
    })?;
    Ok(Some(match back {
        Some(()) => (Some(group.key), Found::Learned),
        None => (None, Found::Unshown),
    }))
}

/// What is the identity provider's own stays.
fn with_own(mut shown: Attributes, stored: &Attributes) -> Attributes {
    if let Some(own) = stored.0.get("externalId") {
        shown.0.insert("externalId".into(), own.clone());
    }
    shown
}

/// Forgets what is gone of one list. Whose account is on the list under another
/// address is not gone.
pub(super) async fn lose(
    writer: &Writer,
    import: &Import,
    listed: &Listed,
    gone: Gone,
) -> std::result::Result<(), StoreError> {
    let Gone { list, keys } = gone;
    for keys in keys.chunks(PORTION) {
        let (keys, by, listed) = (keys.to_vec(), import.clone(), Arc::clone(listed));
        let lose = move |db: &Connection| match list {
            List::Accounts => keys
                .iter()
                .try_for_each(|key| lose_user(db, *key, &listed, &by)),
            List::Groups => keys.iter().try_for_each(|key| lose_group(db, *key, &by)),
            List::Members(group) => lose_members(db, group.0, &keys, &by),
        };
        writer.write(lose).await?;
    }
    Ok(())
}

/// An account that is gone is shown as inactive.
fn lose_user(db: &Connection, key: i64, listed: &Listed, import: &Import) -> Result<()> {
    let is_listed = |user: &User| user.upstream_id.iter().any(|id| listed.contains(id));
    let there = |user: &User| {
        let live = user.tombstone.is_none() && user.imported && user.account.active;
        live && !is_listed(user)
    };
    let Some(mut user) = users::by_key(db, key)?.filter(there) else {
        return Ok(());
    };
    let mut attributes: Attributes = serde_json::from_str(&user.attributes)?;
    attributes.0.insert("active".into(), false.into());
    user.attributes = serde_json::to_string(&attributes)?;
    user.account.active = false;
    user.observed.existence = Existence::Absent;
    user.observed.deactivated = true;
    user.version += 1;
    user.modified = import.actor.at;
    users::save_attributes(db, &user, &attributes)?;
    users::save(db, &user)?;
    let detail = json!({ "gone": true, "version": user.version });
    record(db, import, "import_user", user.id, &detail)
}

/// A group that is gone is none any more; what is the identity provider's own
/// is kept for its return, out of every index.
fn lose_group(db: &Connection, key: i64, import: &Import) -> Result<()> {
    let there = |group: &Group| group.tombstone.is_none() && !group.ours;
    let Some(mut group) = groups::by_key(db, key)?.filter(there) else {
        return Ok(());
    };
    let stored: Attributes = serde_json::from_str(&group.attributes)?;
    group.existence = Existence::Absent;
    groups::bury(db, &mut group, import.actor.at)?;
    group.attributes = serde_json::to_string(&with_own(Attributes::default(), &stored))?;
    groups::save_attributes(db, &group, &Attributes::default())?;
    let leavers = lanes::purge_pairs(db, key)?;
    lanes::finish_all(db, leavers)?;
    let detail = json!({ "gone": true, "version": group.version });
    record(db, import, "import_group", group.id, &detail)
}

/// Takes out of a group whoever is not in it any more.
fn lose_members(db: &Connection, key: i64, gone: &[i64], import: &Import) -> Result<()> {
    let there = |group: &Group| group.tombstone.is_none();
    let Some(mut group) = groups::by_key(db, key)?.filter(there) else {
        return Ok(());
    };
    let mut delete = db.prepare_cached(
        "DELETE FROM memberships WHERE group_key = ?1 AND user_key = ?2
         RETURNING desired, managed",
    )?;
    let mut lost = 0;
    for user in gone {
        let row = delete.query_row([key, *user], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((desired, managed)): Option<(bool, bool)> = row.optional()? else {
            continue;
        };
        lost += 1;
        group.members -= i64::from(desired);
        group.unmanaged -= i64::from(desired && !managed);
    }
    if lost == 0 {
        return Ok(());
    }
    group.version += 1;
    group.seq += 1;
    group.modified = import.actor.at;
    groups::save(db, &group)?;
    let detail = json!({ "members_gone": lost, "version": group.version });
    record(db, import, "import_group", group.id, &detail)
}

/// Live groups that the application has, after a key, in order, and whether
/// import has found them.
pub(super) fn groups_after(
    db: &Connection,
    connection: i64,
    after: i64,
    most: usize,
) -> Result<Vec<(Reconcilable, bool)>> {
    let mut select = db.prepare_cached(
        "SELECT key, id, upstream_name, NULL, coalesce(attributes ->> '$.displayName', ''), ours = 0
         FROM groups
         WHERE connection = ?1 AND key > ?2 AND tombstone IS NULL AND existence = 1
         ORDER BY key LIMIT ?3",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map(params![connection, after, most], |row| {
        Ok((reconcilable_at(row)?, row.get(5)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The lists that imports did not believe.
pub(super) fn doubts(db: &Connection, connection: i64) -> Result<Doubts> {
    let kept: Option<String> = db
        .prepare_cached("SELECT doubts FROM connections WHERE key = ?1")?
        .query_row([connection], |row| row.get(0))?;
    // What an older program wrote otherwise is no doubt.
    let doubts = kept.and_then(|text| serde_json::from_str(&text).ok());
    Ok(doubts.unwrap_or_default())
}

pub(super) fn keep_doubts(db: &Connection, connection: i64, doubts: &Doubts) -> Result<()> {
    let text = if doubts.is_empty() {
        None
    } else {
        Some(serde_json::to_string(doubts)?)
    };
    db.prepare_cached("UPDATE connections SET doubts = ?2 WHERE key = ?1")?
        .execute(params![connection, text])?;
    Ok(())
}

fn record(
    db: &Connection,
    import: &Import,
    action: &str,
    id: ResourceId,
    detail: &Value,
) -> Result<()> {
    let (connection, actor) = (import.connection, &import.actor);
    audit::record(db, connection, actor, action, Some(id), detail)
}
