//! The identity provider's create, change and delete of a group. Members are changed by
//! [`super::super::members`].

use rusqlite::Connection;
use serde_json::json;

use crate::{
    plan::state::{Existence, GroupKey},
    scim::{
        error::{Problem, ScimType},
        patch::MemberChange,
        resource::ResourceId,
    },
    store::{
        Actor, DecideGroup, GroupChange, GroupRow, GroupWritten, Lane, Millis, Others,
        Precondition, WriteError,
    },
};

use super::{
    super::{
        approved, aside, audit, doomed,
        fault::Result,
        gone, guard, lanes, left_alone,
        members::{Flushed, Named},
        named_again, naming, owners, perhaps, refusals, returned,
        row::check,
        upheld,
    },
    Group, by_key, insert, live, save, save_attributes, strip,
};

pub(in super::super) fn create(
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

pub(in super::super) fn change(
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
    // One that is gone is asked for by another name too, though it is only ours, and by
    // a PUT that says anything else.
    let asked_anew = next.as_ref().filter(|_| was_gone);
    let asked_anew =
        asked_anew.is_some_and(|next| actor.put || naming::is_retitled(next, &stored.row));
    let moved = flushed.moved();
    // A PUT says all of it; of a group that never was so does whatever is not only
    // that somebody is not to be in it.
    let whole_group = never_was && (next.is_some() || !moved || actor.put);
    let asks = flushed.asserts || renames || asked_anew || whole_group;
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
    } else if flushed.claims() || renames || asked_anew {
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

pub(in super::super) fn delete(
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
    // What is gone and was only found is not deleted there.
    if group.ours || !group.is_gone() {
        gone::doubt(db, &mut group)?;
    }
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
pub(in super::super) fn withdraw(
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
pub(in super::super) fn bury(db: &Connection, group: &mut Group, at: Millis) -> Result<()> {
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
