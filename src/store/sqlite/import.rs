//! What is already in the application becomes visible, and nothing is bound:
//! a found thing either has a row by its exact key, which only learns from
//! it (whose a user is, says `found`), or gets a row of its own (reliability:
//! I-26). Written in
//! portions, so that an import never keeps other writes waiting for long;
//! every portion stands for itself, because the next import says the same.

use std::{collections::HashSet, sync::Arc};

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    plan::state::{Existence, GroupKey},
    store::{Actor, FoundGroup, FoundUser, Gone, Imported, StoreError},
};

use super::{
    aside, audit, ended_elsewhere, families,
    fault::Result,
    found::{self, Listed, Whose},
    gone,
    groups::{self, Group},
    mirror, naming,
    newcomers::{self, Newcomer, Newcomers},
    readers::Readers,
    recovery,
    returned::{self, Before},
    shown::Shown,
    users::{self, User},
    writer::Writer,
};

mod members;

pub(super) use members::{find_member, record_found, save_found, users_of, with_unknown};

use members::{note_strangers, tell_members};

/// Users, or members of one group, in one transaction.
const PORTION: usize = 500;

/// What every portion of one import shares.
#[derive(Debug, Clone)]
pub(super) struct Import {
    pub(super) connection: i64,
    /// What was changed upstream after this audit row was not seen when the
    /// application was read.
    pub(super) since: i64,
    /// What is here follows what is there, see [`mirror`].
    pub(super) mirror: bool,
    pub(super) actor: Actor,
}

pub(super) async fn run(
    (writer, readers): (&Writer, &Arc<Readers>),
    import: Import,
    users: Vec<FoundUser>,
    groups: Vec<FoundGroup>,
    gone: Vec<Gone>,
) -> std::result::Result<Imported, StoreError> {
    let mut sum = Imported::default();
    let listed = follow_addresses(writer, &import, &users).await?;
    let mut users = users.into_iter();
    loop {
        let portion: Vec<_> = users.by_ref().take(PORTION).collect();
        if portion.is_empty() {
            break;
        }
        let (by, listed) = (import.clone(), Arc::clone(&listed));
        let part = writer.write(move |db| import_users(db, portion, &listed, &by));
        let part = part.await?;
        sum.users_seen += part.users_seen;
        sum.users_new += part.users_new;
        sum.unshown += part.unshown;
        sum.returned.users += part.returned.users;
    }
    let mut newcomers = Vec::new();
    for group in groups {
        let part = import_group(writer, group, &import, &mut newcomers).await?;
        sum.groups_seen += 1;
        sum.groups_new += part.groups_new;
        sum.members_new += part.members_new;
        sum.members_unknown += part.members_unknown;
        sum.unshown += part.unshown;
        sum.back += part.back;
        sum.returned.groups += part.returned.groups;
    }
    let (added, returned) = newcomers::believe((writer, readers), &import, newcomers).await?;
    sum.members_new += added;
    sum.returned.memberships = returned;
    for gone in gone {
        mirror::lose(writer, &import, &listed, gone).await?;
    }
    let forget = writer.write(move |db| {
        // Of families other accounts with the address may appear.
        db.prepare_cached(
            "DELETE FROM departed WHERE connection = ?1 AND number <= ?2
               AND (user_key IS NULL OR NOT EXISTS (
                 SELECT 1 FROM groups WHERE connection = ?1 AND family IS NOT NULL))
               -- Its account may be that of whoever has the address now.
               AND NOT (stays = 0 AND user_key IS NULL AND upstream_id IS NOT NULL AND EXISTS (
                 SELECT 1 FROM users u
                 WHERE u.connection = ?1 AND u.account_key = departed.account_key
                   AND u.tombstone IS NULL AND u.account_key IS NOT NULL
                   AND u.upstream_id IS NULL))
               -- Its account may be in a group that is believed to be gone.
               AND NOT (stays = 1 AND user_key IS NOT NULL AND EXISTS (
                 SELECT 1 FROM moot m WHERE m.user_key = departed.user_key))
               -- Nor is it forgotten what was left to it: the next one has that.
               AND NOT EXISTS (SELECT 1 FROM refusals r WHERE r.user_key = departed.user_key)",
        )?
        .execute([import.connection, import.since])?;
        recovery::note_imported(db, import.connection)
    });
    forget.await?;
    Ok(sum)
}

/// See [`found::follow`]; returns who is on the list.
async fn follow_addresses(writer: &Writer, import: &Import, users: &[FoundUser]) -> Result<Listed> {
    let mut listed = HashSet::new();
    for portion in users.chunks(PORTION) {
        let named = portion
            .iter()
            .filter_map(|user| Some((user.upstream_id.clone()?, user.row.account_key.clone()?)));
        let named: Vec<(String, String)> = named.collect();
        listed.extend(named.iter().map(|(id, _)| id.clone()));
        let by = import.clone();
        let follow = writer.write(move |db| found::follow(db, &named, &by));
        follow.await?;
    }
    Ok(Arc::new(listed))
}

/// What is told of a group is written with what it tells of: the row with its
/// first members, and every further portion by itself.
pub(super) async fn import_group(
    writer: &Writer,
    mut found: FoundGroup,
    import: &Import,
    newcomers: &mut Vec<Newcomers>,
) -> Result<Imported> {
    let mut members = std::mem::take(&mut found.members).into_iter();
    let first: Vec<_> = members.by_ref().take(PORTION).collect();
    let by = import.clone();
    let row = writer.write(move |db| begin_group(db, &found, &first, &by));
    let (key, mut seen, mut new) = row.await?;
    let Some(key) = key else {
        return Ok(seen);
    };
    let fresh = seen.groups_new > 0;
    loop {
        let portion: Vec<_> = members.by_ref().take(PORTION).collect();
        if portion.is_empty() {
            break;
        }
        let by = import.clone();
        let part = writer.write(move |db| tell_members(db, key, &portion, (fresh, false), &by));
        let part = part.await?;
        seen.members_new += part.added;
        seen.members_unknown += part.strangers;
        new.extend(part.newcomers);
    }
    if !new.is_empty() {
        newcomers.push(Newcomers {
            group: key,
            users: new,
        });
    }
    let strangers = i64::try_from(seen.members_unknown).unwrap_or(i64::MAX);
    let count = writer.write(move |db| note_strangers(db, key, strangers));
    count.await?;
    Ok(seen)
}

/// The row, and the first of its members; of them those who are in it lately.
fn begin_group(
    db: &Connection,
    found: &FoundGroup,
    first: &[(Option<String>, Option<String>)],
    import: &Import,
) -> Result<(Option<i64>, Imported, Vec<Newcomer>)> {
    let (key, row) = find_or_add(db, found, import)?;
    let mut seen = Imported {
        groups_new: u64::from(row == Found::New),
        unshown: u64::from(row == Found::Unshown),
        back: u64::from(row == Found::Back),
        ..Imported::default()
    };
    let mut newcomers = Vec::new();
    if let Some(key) = key {
        let new = row == Found::New;
        let part = tell_members(db, key, first, (new, new), import)?;
        seen.members_new = part.added;
        seen.members_unknown = part.strangers;
        seen.returned.groups = u64::from(returned::is_group(db, key)?);
        newcomers = part.newcomers;
    }
    Ok((key, seen, newcomers))
}

fn import_users(
    db: &Connection,
    portion: Vec<FoundUser>,
    listed: &Listed,
    import: &Import,
) -> Result<Imported> {
    let mut seen = Imported::default();
    let mut learned = 0_u64;
    for found in portion {
        seen.users_seen += 1;
        let (row, returned) = import_user(db, found, listed, import)?;
        seen.returned.users += u64::from(returned);
        match row {
            Found::New => seen.users_new += 1,
            Found::Learned => learned += 1,
            Found::Unshown => seen.unshown += 1,
            Found::AsBefore | Found::Back => {}
        }
    }
    if seen.users_new + learned > 0 {
        let detail = json!({ "new": seen.users_new, "learned": learned });
        let (connection, actor) = (import.connection, &import.actor);
        audit::record(db, connection, actor, "import_users", None, &detail)?;
    }
    Ok(seen)
}

/// What became of something that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    New,
    Learned,
    AsBefore,
    /// It was known to be gone.
    Back,
    /// Somebody else has its name or its address here.
    Unshown,
}

/// With whether it is the account of somebody who was deleted here.
fn import_user(
    db: &Connection,
    found: FoundUser,
    listed: &Listed,
    import: &Import,
) -> Result<(Found, bool)> {
    let connection = import.connection;
    let Some(account) = found.row.account_key.as_deref() else {
        return Ok((Found::AsBefore, false));
    };
    let active = found.observed.existence == Existence::Present;
    match found::whose(db, (connection, account), &found, listed)? {
        Whose::Users(user) if import.mirror && user.imported => {
            return Ok((
                mirror::follow_user(db, *user, found, import.actor.at)?,
                false,
            ));
        }
        Whose::Users(user) => {
            let returned = active && returned::is_user(db, user.key)?;
            if active {
                let shown = (import.since, import.actor.at);
                ended_elsewhere::is_shown(db, user.key, shown)?;
            }
            return Ok((learn_user(db, *user, found)?, returned));
        }
        Whose::Leavers => return Ok((Found::AsBefore, false)),
        Whose::Unclear => return Ok((Found::Unshown, false)),
        Whose::Nobodys => {}
    }
    let id = found.upstream_id.as_deref();
    let before = returned::account(db, connection, (account, id), import.since)?;
    if before == Before::Outdated {
        return Ok((Found::AsBefore, false));
    }
    let mut user = User::fresh(connection, found.id, &found.row, import.actor.at)?;
    user.imported = true;
    user.observed = found.observed;
    user.upstream_id = found.upstream_id;
    let name = Shown::of_user(&user, import.mirror);
    let made = name.write(found.row.attributes, |shown| {
        user.attributes = serde_json::to_string(shown)?;
        in_savepoint(db, || users::insert(db, &user, shown))
    })?;
    // Whose name it is, is not ours to decide.
    let Some(key) = made else {
        return Ok((Found::Unshown, false));
    };
    match before {
        Before::Deleted(at) if active && !returned::by_members(db, connection)? => {
            returned::note_user(db, key, at)?;
            Ok((Found::New, true))
        }
        _ => Ok((Found::New, false)),
    }
}

/// A row whose account was never there by our doing learns nothing: that the
/// application has one of that name is for the creation to find out, which is
/// then refused. Taking it on here would bind it silently.
fn learn_user(db: &Connection, mut user: User, found: FoundUser) -> Result<Found> {
    let id_is_news = found.upstream_id.is_some() && found.upstream_id != user.upstream_id;
    let record_is_news = found.observed.record && !user.observed.record;
    if user.is_unknown() || !(id_is_news || record_is_news) {
        return Ok(Found::AsBefore);
    }
    if id_is_news {
        user.upstream_id = found.upstream_id;
    }
    user.observed.record |= found.observed.record;
    users::save(db, &user)?;
    Ok(Found::Learned)
}

pub(super) fn in_savepoint<T>(db: &Connection, act: impl FnOnce() -> Result<T>) -> Result<T> {
    db.prepare_cached("SAVEPOINT found")?.execute([])?;
    let result = act();
    if result.is_err() && !db.is_autocommit() {
        db.prepare_cached("ROLLBACK TO found")?.execute([])?;
    }
    if !db.is_autocommit() {
        db.prepare_cached("RELEASE found")?.execute([])?;
    }
    result
}

/// The key of the group that members may be learned of, and what became of it.
fn find_or_add(
    db: &Connection,
    found: &FoundGroup,
    import: &Import,
) -> Result<(Option<i64>, Found)> {
    let connection = import.connection;
    let row: Option<i64> = db
        .prepare_cached(
            "SELECT key FROM groups WHERE connection = ?1 AND upstream_name = ?2
             AND (tombstone IS NULL OR existence <> 0)",
        )?
        .query_row(params![connection, found.row.upstream_name], |row| {
            row.get(0)
        })
        .optional()?;
    let stored = row.map(|key| groups::by_key(db, key)).transpose()?;
    if let Some(mut group) = stored.flatten() {
        if group.is_gone() && is_back(db, &group, import)? {
            gone::find(db, GroupKey(group.key), &import.actor)?;
            // It says who is in it as of now, and who is not to have access leaves at once.
            return Ok(((!group.ours).then_some(group.key), Found::Back));
        }
        if group.never_was() {
            let beside = aside::beside(db, group, import, || insert_found(db, found, import))?;
            return Ok(beside.map_or((None, Found::AsBefore), |key| (Some(key), Found::New)));
        }
        // A group being made or unmade here says nothing yet about who is in it.
        if group.tombstone.is_some() || group.existence != Existence::Present {
            return Ok((None, Found::AsBefore));
        }
        if !group.ours && group.read_only != found.read_only {
            group.read_only.clone_from(&found.read_only);
            groups::save(db, &group)?;
        }
        if group.family != found.family {
            families::learn(db, &mut group, found.family.clone())?;
        }
        // What an alternative is called is the application's to say.
        let apart = aside::is_named_apart(&group, &found.row)?;
        let news = if import.mirror || (group.family.is_some() && !group.ours) || apart {
            mirror::follow_group(db, &mut group, &found.row, import.actor.at)?
        } else {
            Found::AsBefore
        };
        return Ok((Some(group.key), news));
    }
    let before = returned::group(
        db,
        (connection, import.mirror),
        &found.row.upstream_name,
        import.since,
    )?;
    if before == Before::Outdated {
        return Ok((None, Found::AsBefore));
    }
    if import.mirror {
        let title = found.row.attributes.text("displayName");
        if naming::is_being_made(db, connection, title.unwrap_or_default())? {
            return Ok((None, Found::AsBefore));
        }
        if let Some(back) = mirror::bring_back(db, found, import)? {
            return Ok(back);
        }
    }
    let made = insert_found(db, found, import)?;
    if let (Some(key), Before::Deleted(at)) = (made, before) {
        returned::note_group(db, key, at)?;
    }
    let end = made.map_or(Found::Unshown, |_| Found::New);
    Ok((made, end))
}

/// A row of its own, where it can be named.
fn insert_found(db: &Connection, found: &FoundGroup, import: &Import) -> Result<Option<i64>> {
    let connection = import.connection;
    let mut group = Group::fresh(connection, found.id, &found.row, import.actor.at)?;
    group.ours = false;
    group.made = true;
    group.existence = Existence::Present;
    group.read_only.clone_from(&found.read_only);
    group.family.clone_from(&found.family);
    let name = Shown::of_group(&group);
    name.write(found.row.attributes.clone(), |shown| {
        group.attributes = serde_json::to_string(shown)?;
        in_savepoint(db, || groups::insert(db, &group, shown))
    })
}

/// Whether a turn of a group ended that the reading does not show.
pub(super) fn was_turned(db: &Connection, key: i64, import: &Import) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM groups WHERE key = ?1 AND turned > ?2")?
        .exists([key, import.since])?)
}

/// Whether one that is gone and shown is to be looked after. In recovery nobody is
/// given back what an old database remembers.
fn is_back(db: &Connection, group: &Group, import: &Import) -> Result<bool> {
    Ok(!import.mirror
        && !was_turned(db, group.key, import)?
        && !recovery::holds(db, group.connection)?)
}
