//! What a turn of a group has learned: it ends the marks pair by pair, says what
//! became of the group itself, and notes what may still land.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{
    plan::{
        operation::Operation,
        state::{Existence, GroupKey, UserKey},
    },
    store::{GroupLearned, Lane, Millis, Took, UNANSWERED},
};

use super::{
    super::{
        audit, brought_in,
        fault::Result,
        giving, gone,
        groups::{self, Group},
        holdings, lanes,
        late::{self, Sent},
        left_alone, named_again, naming, perhaps, reconcile, recovery, seats, sharing, undone,
        withdrawal,
    },
    LANE, is_withheld,
    open::{has_new_work, has_open_pairs},
};

/// Not of a pair that is not handed out any more: its account was made anew since.
pub(super) const PRESENT: &str =
    "UPDATE memberships SET observed = 1, before = NULL, sent = NULL, reread = 0,
         stood = 0, missing = 0
     WHERE group_key = ?1 AND user_key = ?2 AND sent IS NOT NULL";

pub(in super::super) fn end(
    db: &Connection,
    key: GroupKey,
    seq: u64,
    learned: &GroupLearned,
    at: Millis,
) -> Result<Vec<Lane>> {
    let Some(mut group) = groups::by_key(db, key.0)? else {
        return Ok(Vec::new());
    };
    let before = group.clone();
    let seq = seq.cast_signed();
    let untouched = group.seq == seq;
    for user in &learned.read {
        late::note_read(db, (group.key, user.0), at)?;
    }
    let mut left = settle_pairs(db, &group, learned)?;
    point!("turn.pairs-settled");
    learn_ids(db, &learned.ids)?;
    if let Some(family) = &group.family {
        holdings::learn(db, &family.name, &learned.holdings, at)?;
    }
    let keys = |users: &[UserKey]| users.iter().map(|user| user.0).collect::<Vec<i64>>();
    seats::settled(db, &group, (&keys(&learned.present), &removed(learned)), at)?;
    let undone = undone::undo(db, &mut group, seq, learned, at)?;
    group.made |= learned.made;
    left.extend(learned.refused.iter().map(|(user, _)| user.0));
    note_unanswered(db, &group, seq, learned, at)?;
    let gone = gone_now(db, &group, learned, untouched)?;
    match (gone, learned.existence) {
        (Some(reason), _) => {
            gone::note_moot(db, group.key, &keys(&learned.absent), at)?;
            left.extend(gone::note(db, &mut group, reason, at)?);
        }
        // What was to keep it there does not, so its deletion is done.
        (None, Some(existence)) if learned.gone.is_some() && ends(db, &group, untouched)? => {
            group.refused = None;
            left.extend(learn_existence(db, &mut group, existence, at)?);
        }
        // That is told when its deletion is sent, and who is out by it is out till then.
        (None, Some(_)) if learned.gone.is_some() && untouched && group.tombstone.is_some() => {
            gone::note_moot(db, group.key, &keys(&learned.absent), at)?;
        }
        // It is found out once more, for what came meanwhile.
        (None, Some(_)) if learned.gone.is_some() => {
            gone::note_moot(db, group.key, &keys(&learned.absent), at)?;
            gone::say_moot(db, &group)?;
        }
        // Of one that was deleted meanwhile a look is no proof: see `gone::doubt`.
        (None, Some(Existence::Absent)) if !untouched && is_only_looked(&group, learned) => {}
        (None, Some(existence)) => {
            left.extend(learn_existence(db, &mut group, existence, at)?);
            gone::follow(db, &group, learned, at)?;
        }
        (None, None) => {}
    }
    if learned.existence.is_some_and(|it| it != Existence::Unknown) {
        reconcile::settle_gone(db, group.connection, group.id)?;
    }
    let named = naming::learn(db, &mut group, learned, at)?;
    // It was the members who were named, perhaps, and not the group: those whose
    // turn had not come are still wanted in it.
    let without_them = undone > 0 && group.members > 0 && is_lost(&group);
    let refused = learned.group_refused.as_ref();
    let refused = refused.filter(|_| untouched && !without_them);
    if let Some(reason) = refused
        && !naming::take_back(db, &mut group, at)?
    {
        refuse(&mut group, reason);
        if group.tombstone.is_some() && gone::is_moot(db, group.key)? {
            gone::say_moot(db, &group)?;
        }
    }
    group.whole = group.whole && has_open_pairs(db, key.0)?;
    if group != before {
        groups::save(db, &group)?;
    }
    perhaps::learn(db, &group, learned)?;
    left_alone::learn(db, &group, learned, at)?;
    if group.tombstone.is_some() {
        // They do not wait for its end.
        left.extend(lanes::deleted_members(db, group.key)?);
    }
    audit::close_intent(db, LANE, group.key)?;
    if !learned.repeats {
        record(db, &group, undone, learned, at)?;
    }
    sharing::taken_away(db, &group, learned, at)?;
    point!("turn.recorded");
    let mut open = lanes::finish_all(db, left)?;
    open.extend(named_again::next(db, &group)?);
    open.extend(withdrawal::arrived(db, group.connection)?);
    open.extend(brought_in::try_again(db, &group, learned)?);
    // What was refused is not what is asked for by now.
    let again = learned.group_refused.is_some()
        && (without_them || !untouched && group.tombstone.is_none());
    if again || !named || has_new_work(db, &group, untouched)? {
        open.push(Lane::Group(key));
    }
    Ok(open)
}

fn record(
    db: &Connection,
    group: &Group,
    undone: u64,
    learned: &GroupLearned,
    at: Millis,
) -> Result<()> {
    let detail = json!({
        "present": learned.present.len(),
        "absent": learned.absent.len(),
        "unsent": learned.unsent.len(),
        "refused": learned.refused.len(),
        "undone": undone,
        "group_refused": learned.group_refused.is_some(),
        "gone": learned.gone.is_some() && group.is_gone(),
        "foreign": learned.foreign,
        "version": group.version,
    });
    let number = audit::record_turn(
        db,
        group.connection,
        at,
        "group_turn",
        group.id,
        &learned.calls,
        detail,
    )?;
    // A reading that began before is as good as it was where nothing was sent.
    if !learned.is_untold() {
        db.prepare_cached("UPDATE groups SET turned = ?2 WHERE key = ?1")?
            .execute([group.key, number])?;
    }
    Ok(())
}

/// Why nothing is done about a group that is gone, unless something else was asked
/// for in it during the turn.
fn gone_now<'a>(
    db: &Connection,
    group: &Group,
    learned: &'a GroupLearned,
    untouched: bool,
) -> Result<Option<&'a str>> {
    let reason = learned.gone.as_deref();
    let Some(reason) = reason.filter(|_| group.tombstone.is_none()) else {
        return Ok(None);
    };
    Ok((!has_new_work(db, group, untouched)?).then_some(reason))
}

/// Whether one that is deleted here and stayed there is gone for good. Not one whose
/// deletion is to be sent yet: the application may be another one.
fn ends(db: &Connection, group: &Group, untouched: bool) -> Result<bool> {
    let refused = group.tombstone.is_some() && group.refused.is_some();
    Ok(refused
        && untouched
        && !recovery::is_unseen(db, group.connection)?
        && !is_withheld(db, group.key)?)
}

/// Of whom the application was told that they are out.
fn removed(learned: &GroupLearned) -> Vec<i64> {
    let told = learned
        .calls
        .iter()
        .flat_map(|(operation, ..)| match operation {
            Operation::RemoveMembers { members, .. } => members.as_slice(),
            _ => &[],
        });
    let told: HashSet<i64> = told.map(|member| member.user.0).collect();
    let gone = learned.absent.iter().map(|user| user.0);
    gone.filter(|user| told.contains(user)).collect()
}

/// It was there, and is to be made again.
fn is_lost(group: &Group) -> bool {
    group.made && group.tombstone.is_none() && group.existence == Existence::Absent
}

fn is_only_looked(group: &Group, learned: &GroupLearned) -> bool {
    let deletes =
        |call: &(Operation, String, Took)| matches!(call.0, Operation::DeleteGroup { .. });
    group.made && group.tombstone.is_some() && !learned.calls.iter().any(deletes)
}

/// But not an id that is another user's.
fn learn_ids(db: &Connection, ids: &[(UserKey, String)]) -> Result<()> {
    let mut learn = db.prepare_cached(
        "UPDATE users AS u SET upstream_id = ?2 WHERE key = ?1 AND NOT EXISTS (
             SELECT 1 FROM users o WHERE o.connection = u.connection AND o.upstream_id = ?2
                 AND o.upstream_id IS NOT NULL AND o.key <> u.key AND o.tombstone IS NULL)",
    )?;
    for (user, id) in ids {
        learn.execute(params![user.0, id])?;
    }
    Ok(())
}

/// Returns the users that may have left for good.
fn settle_pairs(db: &Connection, group: &Group, learned: &GroupLearned) -> Result<Vec<i64>> {
    let mut there = db.prepare_cached(PRESENT)?;
    let mut given = db.prepare_cached(
        "DELETE FROM refusals WHERE group_key = ?1 AND user_key = ?2 AND wanted = 1",
    )?;
    for user in &learned.present {
        if there.execute([group.key, user.0])? > 0 {
            given.execute([group.key, user.0])?;
        }
    }
    // Of a family not one that was doubted again since it was sent.
    let mut gone = db.prepare_cached(
        "DELETE FROM memberships WHERE group_key = ?1 AND user_key = ?2 AND desired = 0
         AND (sent IS NOT NULL OR NOT ?3)",
    )?;
    let mut not_there = db.prepare_cached(
        "UPDATE memberships SET observed = 0, before = NULL, sent = NULL, reread = 0,
             stood = 0
         WHERE group_key = ?1 AND user_key = ?2 AND (sent IS NOT NULL OR NOT ?3)",
    )?;
    let mut done = db.prepare_cached(
        "DELETE FROM refusals WHERE group_key = ?1 AND user_key = ?2 AND wanted = 0",
    )?;
    let family = i64::from(group.family.is_some());
    let mut left = Vec::new();
    for user in &learned.absent {
        if gone.execute([group.key, user.0, family])? == 0 {
            not_there.execute([group.key, user.0, family])?;
        } else {
            done.execute([group.key, user.0])?;
            left.push(user.0);
        }
    }
    let mut doubted = db.prepare_cached(
        "UPDATE memberships SET observed = 2
         WHERE group_key = ?1 AND user_key = ?2 AND observed = 1",
    )?;
    for user in &learned.left_out {
        doubted.execute([group.key, user.0])?;
    }
    // `sent` stays: such a pair waits for its back-off, it is no new work.
    let mut as_before = db.prepare_cached(if group.family.is_none() {
        "UPDATE memberships SET observed = coalesce(before, observed)
         WHERE group_key = ?1 AND user_key = ?2"
    } else {
        // A call about another pair of the family may have made it one.
        "UPDATE memberships
         SET observed = CASE WHEN desired = 0 AND before = 0 THEN 2
             ELSE coalesce(before, observed) END
         WHERE group_key = ?1 AND user_key = ?2"
    })?;
    let mut needless = db.prepare_cached(
        "DELETE FROM memberships
         WHERE group_key = ?1 AND user_key = ?2 AND desired = 0 AND observed = 0",
    )?;
    for user in &learned.unsent {
        as_before.execute([group.key, user.0])?;
        left.extend((needless.execute([group.key, user.0])? > 0).then_some(user.0));
    }
    if withdrawal::is_any(db, group.connection)? {
        // It was on its way when the user's access ended, or on its way out and
        // asked for again since.
        for user in learned.present.iter().chain(&learned.unsent) {
            withdrawal::doubt(db, group.key, user.0)?;
        }
    }
    Ok(left)
}

/// What may still land, although nothing was heard of it.
fn note_unanswered(
    db: &Connection,
    group: &Group,
    seq: i64,
    learned: &GroupLearned,
    at: Millis,
) -> Result<()> {
    if group.family.is_some() {
        return giving::settle(db, group, learned, at);
    }
    let unanswered = learned.calls.iter().filter(|call| call.1 == UNANSWERED);
    let mut pairs = false;
    for (operation, ..) in unanswered {
        pairs = true;
        perhaps::note(db, group.key, operation)?;
        match operation {
            Operation::CreateGroup { .. } => {
                // A read that lags may show one that was there before.
                late::note_group(db, group.key, Sent::Either, at)?;
            }
            Operation::ReplaceMembers { members, .. } => {
                for member in members {
                    late::note_pair(db, (group.key, member.user.0), Sent::Present, at)?;
                }
                late::note_unnamed(db, group.key, at)?;
                late::note_newer(db, group.key, seq, at)?;
            }
            Operation::DeleteGroup { .. } => late::note_group(db, group.key, Sent::Absent, at)?,
            // It may land after a later one, so it is looked what it is called.
            Operation::RenameGroup { .. } => late::note_group(db, group.key, Sent::Either, at)?,
            // Also those that a read has settled since: it says nothing of
            // what lands after it.
            Operation::AddMembers { members, .. } => {
                for member in members {
                    late::note_pair(db, (group.key, member.user.0), Sent::Present, at)?;
                }
            }
            Operation::RemoveMembers { members, .. } => {
                for member in members {
                    late::note_pair(db, (group.key, member.user.0), Sent::Absent, at)?;
                }
            }
            _ => {}
        }
    }
    if pairs {
        late::note_pairs(db, group.key, at)?;
    }
    Ok(())
}

/// Returns the users that may have left for good.
fn learn_existence(
    db: &Connection,
    group: &mut Group,
    existence: Existence,
    at: Millis,
) -> Result<Vec<i64>> {
    let lost = group.made && group.tombstone.is_none() && existence == Existence::Absent;
    group.existence = existence;
    group.made |= existence == Existence::Present;
    if lost {
        // Without the group there are no members; they are put there again with
        // it. Until then a read that lagged may have said so.
        gone::forget_found(db, group, at)?;
        db.prepare_cached(
            "UPDATE memberships SET observed = 2, stood = 0
             WHERE group_key = ?1 AND (observed = 1 OR stood <> 0)",
        )?
        .execute([group.key])?;
    }
    if group.tombstone.is_some() && existence == Existence::Absent {
        gone::forget_moot(db, group.key)?;
        return lanes::purge_pairs(db, group.key);
    }
    Ok(Vec::new())
}

/// It waits for its next write, also one that never was: whoever asked for it may
/// have been told that it is made. See [`groups::withdraw`].
fn refuse(group: &mut Group, reason: &str) {
    group.refused = Some(reason.to_owned());
    if !group.made {
        group.existence = Existence::Absent;
    }
}
