//! Where a bridge writes neither users nor members, what is here follows what
//! is there: names, who is active, who is in a group, and what is gone.
//!
//! Only what import found is touched, and of it only what is not the identity
//! provider's own (`externalId`). Nothing here can cause an upstream call: both
//! sides of every difference are written at once. An empty listing is no reason
//! to forget anything. Like an import it is written in portions.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::{
    plan::state::Existence,
    scim::resource::{Attributes, ResourceId},
    store::{FoundUser, GroupRow, Millis, StoreError, WriteError},
};

use super::{
    audit,
    fault::{Fault, Result},
    groups::{self, Group},
    import::{Import, in_savepoint},
    lanes,
    users::{self, User},
    writer::Writer,
};

/// Rows looked at in one transaction.
const PAGE: i64 = 500;

/// Takes over what the application shows of a user; whether that is news.
pub(super) fn follow_user(
    db: &Connection,
    mut user: User,
    found: FoundUser,
    at: Millis,
) -> Result<bool> {
    let stored: Attributes = serde_json::from_str(&user.attributes)?;
    let shown = with_own(found.row.attributes, &stored);
    let same = shown == stored
        && user.account == found.row.account
        && user.observed == found.observed
        && user.upstream_id == found.upstream_id;
    if same {
        return Ok(false);
    }
    user.attributes = serde_json::to_string(&shown)?;
    user.account = found.row.account;
    user.observed = found.observed;
    user.upstream_id = found.upstream_id;
    user.version += 1;
    user.modified = at;
    kept(in_savepoint(db, || {
        users::save_attributes(db, &user, &shown)?;
        users::save(db, &user)
    }))
}

/// Takes over what the application shows of a group, its members apart.
pub(super) fn follow_group(
    db: &Connection,
    group: &mut Group,
    row: &GroupRow,
    at: Millis,
) -> Result<bool> {
    let stored: Attributes = serde_json::from_str(&group.attributes)?;
    let shown = with_own(row.attributes.clone(), &stored);
    if shown == stored {
        return Ok(false);
    }
    let before = group.attributes.clone();
    group.attributes = serde_json::to_string(&shown)?;
    group.version += 1;
    group.modified = at;
    let saved = kept(in_savepoint(db, || {
        groups::save_attributes(db, group, &shown)?;
        groups::save(db, group)
    }))?;
    if !saved {
        group.attributes = before;
        group.version -= 1;
    }
    Ok(saved)
}

/// What is the identity provider's own stays.
fn with_own(mut shown: Attributes, stored: &Attributes) -> Attributes {
    if let Some(own) = stored.0.get("externalId") {
        shown.0.insert("externalId".into(), own.clone());
    }
    shown
}

/// Whether it was written; a name that somebody else has here is left to the
/// next import, when that one may have moved too.
fn kept(saved: Result<()>) -> Result<bool> {
    match saved {
        Ok(()) => Ok(true),
        Err(Fault::Refused(WriteError::Taken { .. })) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Takes out of a group whoever the application does not show in it any more.
pub(super) fn lose_members(
    db: &Connection,
    key: i64,
    shown: &HashSet<i64>,
    import: &Import,
) -> Result<()> {
    let Some(mut group) = groups::by_key(db, key)?.filter(|group| !group.ours) else {
        return Ok(());
    };
    let gone: Vec<i64> = db
        .prepare_cached("SELECT user_key FROM memberships WHERE group_key = ?1")?
        .query_map([key], |row| row.get(0))?
        .filter(|user| !user.as_ref().is_ok_and(|user| shown.contains(user)))
        .collect::<rusqlite::Result<_>>()?;
    if gone.is_empty() {
        return Ok(());
    }
    for user in &gone {
        let was: (bool, bool) = db
            .prepare_cached(
                "DELETE FROM memberships WHERE group_key = ?1 AND user_key = ?2
                 RETURNING desired, managed",
            )?
            .query_row([key, *user], |row| Ok((row.get(0)?, row.get(1)?)))?;
        group.members -= i64::from(was.0);
        group.unmanaged -= i64::from(was.0 && !was.1);
    }
    group.version += 1;
    group.seq += 1;
    group.modified = import.actor.at;
    groups::save(db, &group)?;
    let detail = json!({ "members_gone": gone.len(), "version": group.version });
    record(db, import, "import_group", group.id, &detail)
}

/// Users that are not listed any more are shown as inactive, and groups that
/// are not are forgotten.
pub(super) async fn lose(
    writer: &Writer,
    import: &Import,
    accounts: HashSet<String>,
    names: HashSet<String>,
) -> std::result::Result<(), StoreError> {
    if !accounts.is_empty() {
        page(writer, import, move |db, after, import| {
            lose_users(db, &accounts, after, import)
        })
        .await?;
    }
    if !names.is_empty() {
        page(writer, import, move |db, after, import| {
            lose_groups(db, &names, after, import)
        })
        .await?;
    }
    Ok(())
}

/// Page after page of rows, until one says that it was the last.
async fn page(
    writer: &Writer,
    import: &Import,
    lose: impl Fn(&Connection, i64, &Import) -> Result<Option<i64>> + Clone + Send + 'static,
) -> std::result::Result<(), StoreError> {
    let mut after = Some(0);
    while let Some(key) = after {
        let (lose, import) = (lose.clone(), import.clone());
        after = writer.write(move |db| lose(db, key, &import)).await?;
    }
    Ok(())
}

fn lose_users(
    db: &Connection,
    listed: &HashSet<String>,
    after: i64,
    import: &Import,
) -> Result<Option<i64>> {
    let rows = rows_after(
        db,
        "SELECT key, account_key FROM users
         WHERE connection = ?1 AND key > ?2 AND tombstone IS NULL AND imported = 1 AND wants = 1
           AND account_key IS NOT NULL ORDER BY key LIMIT ?3",
        import.connection,
        after,
    )?;
    let last = rows.last().map(|(key, _)| *key);
    for (key, _) in rows.iter().filter(|(_, account)| !listed.contains(account)) {
        let Some(mut user) = users::by_key(db, *key)? else {
            continue;
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
        record(db, import, "import_user", user.id, &detail)?;
    }
    Ok(last)
}

fn lose_groups(
    db: &Connection,
    listed: &HashSet<String>,
    after: i64,
    import: &Import,
) -> Result<Option<i64>> {
    let rows = rows_after(
        db,
        "SELECT key, upstream_name FROM groups
         WHERE connection = ?1 AND key > ?2 AND tombstone IS NULL AND ours = 0
         ORDER BY key LIMIT ?3",
        import.connection,
        after,
    )?;
    let last = rows.last().map(|(key, _)| *key);
    for (key, _) in rows.iter().filter(|(_, name)| !listed.contains(name)) {
        let Some(mut group) = groups::by_key(db, *key)? else {
            continue;
        };
        group.existence = Existence::Absent;
        groups::bury(db, &mut group, import.actor.at)?;
        let leavers = lanes::purge_pairs(db, *key)?;
        lanes::finish_all(db, leavers)?;
        let detail = json!({ "gone": true, "version": group.version });
        record(db, import, "import_group", group.id, &detail)?;
    }
    Ok(last)
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

fn rows_after(
    db: &Connection,
    sql: &str,
    connection: i64,
    after: i64,
) -> Result<Vec<(i64, String)>> {
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map(params![connection, after, PAGE], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
