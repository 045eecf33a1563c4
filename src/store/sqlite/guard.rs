//! The guard rails inside the transaction of a write: what it takes away is
//! known there, and two writes at once cannot slip past together. A refusal
//! rolls the write back whole (reliability: I-05, I-23, I-24).
//!
//! What is looked at follows the change: the users it takes out, the groups of
//! a user who leaves where groups are protected at all, and no list.

use rusqlite::{Connection, Row, params};

use crate::{
    plan::guard::{Deed, Effect, Excess, Guard, LISTED, Moved, Protection, Rehearsal, Taking},
    scim::resource::{
        Attributes, ResourceId,
        ResourceType::{Group as GroupType, User as UserType},
    },
    store::{Actor, GroupRow, Others, UserRow, Watch, WriteError},
};

use super::{
    approved,
    fault::Result,
    groups::Group,
    members::Flushed,
    removals::{self, Place},
    row::id_at,
    users::User,
};

/// Judges the members that went from a group; `size` is how many it had, `sets` its
/// attributes before and after, where they change.
pub(super) fn members_go(
    db: &Connection,
    group: &Group,
    size: i64,
    flushed: &Flushed,
    sets: Option<(&Attributes, &Attributes)>,
    actor: &Actor,
) -> Result<()> {
    let rehearsed = matches!(actor.watch, Watch::Rehearsed(_));
    let approved = matches!(actor.watch, Watch::Approved(..));
    let changed = flushed.moved() || sets.is_some();
    let looks = !flushed.removed.is_empty() || rehearsed || approved && changed;
    let Some(guard) = actor.watch.guard().filter(|_| looks) else {
        return Ok(());
    };
    let going = active_among(db, guard, flushed)?;
    if !going.is_empty() {
        keep_least(db, guard, &Named::of(group)?, NOBODY)?;
    }
    let left = if going.is_empty() || has_active(db, group.key)? {
        count(group.members)
    } else {
        0
    };
    let taking = Taking::Members {
        going: going.len() as u64,
        size: count(size),
        left,
    };
    let whole = || {
        let sets = sets.map(|(before, after)| approved::sets(before, after));
        let sets = sets.unwrap_or_default();
        let effect = Effect {
            of: GroupType,
            id: group.id,
            act: Deed::Change,
            added: flushed.added.len() as u64,
            removed: flushed.removed.len() as u64,
            adds: flushed.added.iter().take(LISTED).copied().collect(),
            removes: flushed.removed.iter().take(LISTED).copied().collect(),
            left: count(group.members),
            sets: sets.keys().cloned().collect(),
        };
        let moved = Moved {
            takes: flushed.removed.clone(),
            gives: flushed.added.clone(),
            sets,
        };
        Ok((effect, moved))
    };
    judge(db, actor, place(group, size), (taking, &going), whole)
}

/// Judges the end of a group, as it is before, with whoever else is in it: as a look
/// showed, or where there was none as the last reading did.
pub(super) fn group_goes(
    db: &Connection,
    group: &Group,
    others: Option<Others>,
    actor: &Actor,
) -> Result<()> {
    let Some(guard) = actor.watch.guard() else {
        return Ok(());
    };
    if guard.protected.least(Named::of(group)?.all()).is_some() {
        return Err(WriteError::Protected(Protection::Group(group.id)).into());
    }
    keep_protected_members(db, guard, group.key)?;
    if let Some(protection) = others.and_then(|it| it.protected) {
        return Err(WriteError::Protected(protection).into());
    }
    let strangers = others.map_or(count(group.strangers), |it| it.count);
    let size = count(group.members).saturating_add(strangers);
    let whole = || deletion(db, group, size);
    let place = Place {
        connection: group.connection,
        group: Some((group.key, size)),
    };
    let taking = Taking::Group { size };
    judge(db, actor, place, (taking, &[]), whole)
}

/// A protected group must not be renamed into one that is not.
pub(super) fn group_renamed(group: &Group, next: &GroupRow, actor: &Actor) -> Result<()> {
    let Some(guard) = actor.watch.guard().filter(|g| g.protected.has_groups()) else {
        return Ok(());
    };
    let was = Named::of(group)?;
    let is = Named {
        display: next
            .attributes
            .text("displayName")
            .unwrap_or_default()
            .into(),
        ..was.clone()
    };
    if guard.protected.least(was.all()) > guard.protected.least(is.all()) {
        return Err(WriteError::Protected(Protection::Renamed(GroupType, group.id)).into());
    }
    Ok(())
}

/// Judges what became of a user who was `before`: `None` when it is deleted.
/// What must hold afterwards is looked at in the rows, which are written.
pub(super) fn user_changed(
    db: &Connection,
    user: &User,
    before: &UserRow,
    after: Option<&UserRow>,
    actor: &Actor,
) -> Result<()> {
    let Some(guard) = actor.watch.guard() else {
        return Ok(());
    };
    let ends = before.account.active && after.is_none_or(|row| !row.account.active);
    let lowered = !ends && after.is_some_and(|after| lowers(guard, before, after));
    let id = user.id.to_string();
    if guard.protected.is_user(names_of(&id, before)) {
        if lowered {
            return Err(WriteError::Protected(Protection::Role(user.id)).into());
        }
        if ends || after.is_none() {
            return Err(WriteError::Protected(Protection::User(user.id)).into());
        }
        if !after.is_some_and(|row| guard.protected.is_user(names_of(&id, row))) {
            return Err(WriteError::Protected(Protection::Renamed(UserType, user.id)).into());
        }
    }
    if ends {
        keep_least_in_groups_of(db, guard, user)?;
    } else if !lowered {
        let looks = match actor.watch {
            Watch::Rehearsed(_) => true,
            // What it is called was shown too.
            Watch::Approved(..) => after.is_some(),
            Watch::On(_) | Watch::Off => false,
        };
        if !looks {
            return Ok(());
        }
    }
    let whole = || {
        let sets = after.map(|after| approved::sets(&before.attributes, &after.attributes));
        let sets = sets.unwrap_or_default();
        let groups = if ends {
            groups_of(db, user.key)?
        } else {
            Vec::new()
        };
        let effect = Effect {
            of: UserType,
            id: user.id,
            act: match after {
                None => Deed::Delete,
                Some(_) if ends => Deed::Deactivate,
                Some(_) if lowered => Deed::Lower,
                Some(_) => Deed::Change,
            },
            added: 0,
            removed: groups.len() as u64,
            adds: Vec::new(),
            removes: groups.iter().take(LISTED).copied().collect(),
            left: 0,
            sets: sets.keys().cloned().collect(),
        };
        let loses = ends || lowered;
        let moved = Moved {
            takes: loses.then_some(user.id).into_iter().chain(groups).collect(),
            gives: Vec::new(),
            sets,
        };
        Ok((effect, moved))
    };
    let place = Place {
        connection: user.connection,
        group: lowered.then_some((removals::ROLE, 0)),
    };
    let taking = if ends {
        Taking::Access
    } else if lowered {
        Taking::Role
    } else {
        Taking::Nothing
    };
    judge(db, actor, place, (taking, &[user.key]), whole)
}

/// Whether a user who has access, and keeps it, can do less by its site role.
pub(super) fn lowers(guard: &Guard, before: &UserRow, after: &UserRow) -> bool {
    let role = |row: &UserRow| row.account.role.clone();
    let stays = before.account.active && after.account.active;
    stays
        && guard
            .roles
            .lowers(role(before).as_deref(), role(after).as_deref())
}

/// Judges what is taken, and from whom.
fn judge(
    db: &Connection,
    actor: &Actor,
    place: Place,
    (taking, from): (Taking, &[i64]),
    whole: impl FnOnce() -> Result<(Effect, Moved)>,
) -> Result<()> {
    match &actor.watch {
        Watch::Off => Ok(()),
        Watch::Approved(guard, hold) => {
            let (effect, moved) = whole()?;
            let shown = approved::shown(db, place.connection, *hold)?;
            let Some(anew) = shown.misses(&effect, &moved) else {
                return Ok(());
            };
            let history = removals::history(db, guard, place, actor.at)?;
            let excess = Excess {
                // It may be little by now, and is still not what was approved.
                over: guard.judge(taking, &history).err().unwrap_or(shown.over),
                effect,
                moved,
                anew: Some(anew),
            };
            Err(WriteError::Held(Box::new(excess)).into())
        }
        Watch::On(guard) => {
            if !guard.enabled || taking.is_nothing() {
                return Ok(());
            }
            removals::count_anew(db, place, from)?;
            let history = removals::history(db, guard, place, actor.at)?;
            if let Err(over) = guard.judge(taking, &history) {
                let (effect, moved) = whole()?;
                let excess = Excess {
                    over,
                    effect,
                    moved,
                    anew: None,
                };
                return Err(WriteError::Held(Box::new(excess)).into());
            }
            removals::record(db, guard, place, (taking, from), actor.at)
        }
        Watch::Rehearsed(guard) => {
            removals::count_anew(db, place, from)?;
            let history = removals::history(db, guard, place, actor.at)?;
            let rehearsal = Rehearsal {
                effect: whole()?.0,
                over: guard.judge(taking, &history).err(),
            };
            Err(WriteError::Rehearsed(Box::new(rehearsal)).into())
        }
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn place(group: &Group, size: i64) -> Place {
    Place {
        connection: group.connection,
        group: Some((group.key, count(size))),
    }
}

/// Who of those who went had access; nobody else loses anything. An error when
/// one of them is protected.
fn active_among(db: &Connection, guard: &Guard, flushed: &Flushed) -> Result<Vec<i64>> {
    let mut select = db.prepare_cached(
        "SELECT wants AND tombstone IS NULL, user_name_key, account_key FROM users WHERE key = ?1",
    )?;
    let mut active = Vec::new();
    for (key, id) in flushed.gone.iter().zip(&flushed.removed) {
        let (wants, protected) = select.query_row([key], |row| {
            let name = |column| {
                row.get_ref(column)
                    .map(|it| it.as_str().unwrap_or_default())
            };
            let protected = !guard.protected.users.is_empty()
                && guard
                    .protected
                    .is_user([id.to_string().as_str(), name(1)?, name(2)?]);
            Ok((row.get::<_, bool>(0)?, protected))
        })?;
        if protected {
            return Err(WriteError::Protected(Protection::User(*id)).into());
        }
        active.extend(wants.then_some(*key));
    }
    Ok(active)
}

/// Whether anybody of a group has access. Who came last is looked at first:
/// those who left long ago stay members, and there can be many of them.
pub(super) fn has_active(db: &Connection, group: i64) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM memberships m CROSS JOIN users u ON u.key = m.user_key
             WHERE m.group_key = ?1 AND m.desired = 1 AND u.wants = 1 AND u.tombstone IS NULL
             ORDER BY m.user_key DESC LIMIT 1",
        )?
        .exists([group])?)
}

/// A user from `id, user_name_key, account_key`.
pub(super) fn is_protected(row: &Row<'_>, guard: &Guard) -> rusqlite::Result<bool> {
    let id = id_at(row, 0)?.to_string();
    let name = |column| {
        let text = row.get_ref(column);
        text.map(|it| it.as_str().unwrap_or_default())
    };
    Ok(guard.protected.is_user([id.as_str(), name(1)?, name(2)?]))
}

/// With a group its members would go, and whoever is yet to be taken out; a protected
/// one does not.
pub(super) fn keep_protected_members(db: &Connection, guard: &Guard, group: i64) -> Result<()> {
    if guard.protected.users.is_empty() {
        return Ok(());
    }
    let mut select = db.prepare_cached(
        "SELECT u.id, u.user_name_key, u.account_key
         FROM memberships m CROSS JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND (m.desired = 1 OR m.observed <> 0)",
    )?;
    let mut rows = select.query([group])?;
    while let Some(row) = rows.next()? {
        if is_protected(row, guard)? {
            return Err(WriteError::Protected(Protection::User(id_at(row, 0)?)).into());
        }
    }
    Ok(())
}

/// What a group can be called by.
#[derive(Clone)]
pub(super) struct Named {
    key: i64,
    id: ResourceId,
    id_text: String,
    display: String,
    upstream: String,
}

impl Named {
    pub(super) fn of(group: &Group) -> Result<Self> {
        let attributes: Attributes = serde_json::from_str(&group.attributes)?;
        Ok(Self {
            key: group.key,
            id: group.id,
            id_text: group.id.to_string(),
            display: attributes.text("displayName").unwrap_or_default().into(),
            upstream: group.upstream_name.clone(),
        })
    }

    pub(super) fn id(&self) -> ResourceId {
        self.id
    }

    pub(super) fn shown(&self) -> &str {
        &self.display
    }

    pub(super) fn all(&self) -> [&str; 3] {
        [&self.id_text, &self.display, &self.upstream]
    }
}

pub(super) fn names_of<'n>(id: &'n str, row: &'n UserRow) -> [&'n str; 3] {
    let name = row.attributes.text("userName").unwrap_or_default();
    let account = row.account_key.as_deref().unwrap_or_default();
    [id, name, account]
}

pub(super) const NOBODY: i64 = 0;

/// A protected group keeps its least number of members who are active, as the
/// rows are now and without that one.
pub(super) fn keep_least(
    db: &Connection,
    guard: &Guard,
    group: &Named,
    without: i64,
) -> Result<()> {
    let Some(least) = guard.protected.least(group.all()) else {
        return Ok(());
    };
    if active_members(db, group.key, least, without)? < least {
        return Err(WriteError::Protected(Protection::Least(group.id, least)).into());
    }
    Ok(())
}

/// What is known to be there, or was and is only looked at again: of the pair of
/// somebody who is active and is to stay, and of the account.
macro_rules! stands {
    () => {
        "(m.observed = 1 OR m.observed = 2 AND m.stood = 1) AND u.existence = 1
         AND (u.unsure < 2 OR u.unsure = 2 AND u.stood = 1)"
    };
}
pub(super) use stands;

/// Members of a group who are active, as the rows are now and without that one;
/// no more than `most` are looked at. Who was never known to be there in the
/// application does not count: the application may refuse it, and then nobody
/// is left. Who was and is only looked at again does: before anything is sent,
/// the application is asked who is there.
fn active_members(db: &Connection, group: i64, most: u64, without: i64) -> Result<u64> {
    let active: i64 = db
        .prepare_cached(concat!(
            "SELECT count(*) FROM (
                 SELECT 1 FROM memberships m JOIN users u ON u.key = m.user_key
                 WHERE m.group_key = ?1 AND m.desired = 1 AND u.wants = 1
                   AND u.tombstone IS NULL AND m.user_key <> ?3 AND ",
            stands!(),
            " LIMIT ?2)"
        ))?
        .query_row(
            params![group, i64::try_from(most).unwrap_or(i64::MAX), without],
            |row| row.get(0),
        )?;
    Ok(count(active))
}

pub(super) fn keep_least_in_groups_of(db: &Connection, guard: &Guard, user: &User) -> Result<()> {
    if !guard.protected.has_groups() {
        return Ok(());
    }
    let groups: Vec<Named> = db
        .prepare_cached(
            "SELECT g.key, g.id, g.attributes ->> '$.displayName', g.upstream_name
             FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = ?1 AND m.desired = 1 AND g.tombstone IS NULL",
        )?
        .query_map([user.key], |row| {
            let id = id_at(row, 1)?;
            Ok(Named {
                key: row.get(0)?,
                id,
                id_text: id.to_string(),
                display: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
                upstream: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    groups
        .iter()
        .try_for_each(|group| keep_least(db, guard, group, user.key))
}

/// What the end of a group does to so many members, of whom those are listed that are
/// known here.
pub(super) fn deletion(db: &Connection, group: &Group, removed: u64) -> Result<(Effect, Moved)> {
    let takes = members(db, group.key)?;
    let effect = Effect {
        of: GroupType,
        id: group.id,
        act: Deed::Delete,
        added: 0,
        removed,
        adds: Vec::new(),
        removes: takes.iter().take(LISTED).copied().collect(),
        left: 0,
        sets: Vec::new(),
    };
    let moved = Moved {
        takes,
        ..Moved::default()
    };
    Ok((effect, moved))
}

fn groups_of(db: &Connection, user: i64) -> Result<Vec<ResourceId>> {
    let mut select = db.prepare_cached(
        "SELECT g.id FROM memberships m JOIN groups g ON g.key = m.group_key
         WHERE m.user_key = ?1 AND m.desired = 1 AND g.tombstone IS NULL ORDER BY g.key",
    )?;
    let ids = select.query_map([user], |row| id_at(row, 0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

fn members(db: &Connection, group: i64) -> Result<Vec<ResourceId>> {
    let mut select =
        db.prepare_cached("SELECT user_id FROM memberships WHERE group_key = ?1 AND desired = 1")?;
    let ids = select.query_map([group], |row| id_at(row, 0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}
