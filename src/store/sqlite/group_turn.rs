//! One turn of a group's lane. What is handed out is marked as unknown in the
//! same transaction, so that a crash leaves nothing believed that may not be
//! so (reliability: H-04, H-08); what is learned ends the marks pair by pair.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::{
    plan::{
        operation::Operation,
        state::{Existence, GroupKey, GroupWork, Naming, Principal, UserKey, prefers_replace},
    },
    store::{GroupLearned, GroupTurn, Lane, Millis, Took, UNANSWERED},
};

use super::{
    aside, audit, brought_in,
    fault::Result,
    giving, gone,
    groups::{self, Group},
    holdings, lanes,
    late::{self, Sent},
    left_alone, named_again, naming, perhaps, protected, recovery, seats, sharing, undone,
    users::principal_at,
    withdrawal,
};

const LANE: &str = "group";

pub(super) fn begin(db: &Connection, key: GroupKey, limit: usize) -> Result<Option<GroupTurn>> {
    let Some((mut group, turn)) = prepare(db, key, limit)? else {
        return Ok(None);
    };
    mark(db, &turn.work)?;
    if let Some(family) = &turn.family {
        for member in &turn.work.adds {
            seats::claim(db, member.user.0, &family.name)?;
        }
    }
    point!("turn.pairs-marked");
    if group.misplaced() && !turn.work.kept {
        if group.id_known.is_some() {
            naming::note_creation(&mut group)?;
            naming::save(db, &group)?;
        }
        group.existence = Existence::Unknown;
        groups::save(db, &group)?;
    }
    let detail = json!({
        "adds": turn.work.adds.len(),
        "removes": turn.work.removes.len(),
        "replaces": turn.work.full.is_some(),
        "operations": intended(&turn.work),
    });
    audit::open_intent(db, LANE, group.key, group.seq, &detail)?;
    Ok(Some(turn))
}

/// What such a turn is about to be sent, as far as that is known before it is
/// planned, with how many members.
fn intended(work: &GroupWork) -> Value {
    let renamed = matches!(&work.naming, Naming::Given(given) if given.renamed);
    let made = work.observed == Existence::Present;
    let (replaces, adds, removes) = (
        work.full.as_ref().map_or(0, Vec::len),
        work.adds.len(),
        work.removes.len(),
    );
    let all = [
        ("delete_group", !work.wanted && !work.kept, 0),
        ("create_group", work.wanted && !made, 0),
        ("rename_group", work.wanted && made && renamed, 0),
        ("replace_members", replaces > 0, replaces),
        ("remove_members", replaces == 0 && removes > 0, removes),
        ("add_members", replaces == 0 && adds > 0, adds),
    ];
    let named = all.into_iter().filter(|(_, is_intended, _)| *is_intended);
    let told = named.map(|(name, _, count)| match count {
        0 => json!({ "operation": name }),
        count => json!({ "operation": name, "count": count }),
    });
    told.collect()
}

/// What a turn would be handed out; writes nothing.
pub(super) fn prepare(
    db: &Connection,
    key: GroupKey,
    limit: usize,
) -> Result<Option<(Group, GroupTurn)>> {
    let Some(group) = groups::by_key(db, key.0)?.filter(|it| it.read_only.is_none()) else {
        return Ok(None);
    };
    let wanted = group.tombstone.is_none();
    let refused = group.refused.is_some() || aside::is_nameless(&group);
    if wanted && refused || named_again::must_wait(db, &group)? {
        return Ok(None);
    }
    let unseen = recovery::is_unseen(db, group.connection)?;
    // One that is deleted may stay there all the same, and who leaves does not.
    let kept = !wanted && (group.refused.is_some() || unseen || is_withheld(db, group.key)?);
    let dirty = group.dirty() && !kept;
    let pairs = if wanted { OPEN_PAIRS } else { LEAVERS };
    let open = open_pairs(db, pairs, group.key, unseen, limit)?;
    if !dirty && open.adds.is_empty() && open.removes.is_empty() {
        return Ok(None);
    }
    let full = if open.more || unseen || group.family.is_some() {
        None
    } else {
        whole_set(db, &group, open.adds.len(), open.removes.len())?
    };
    let turn = GroupTurn {
        seq: group.seq.cast_unsigned(),
        more: open.more,
        doubted: late::is_doubted(db, &group)?,
        family: group.family.clone(),
        named: perhaps::named(db, &group)?,
        before: named_again::before_it(db, &group)?,
        mistakable: late::is_doubted_by_another(db, &group)?,
        guess: perhaps::guess(db, &group)?,
        shown_absent: perhaps::is_shown_absent(db, &group)?,
        remains: left_alone::is_noted(db, &group)?,
        work: GroupWork {
            group: key,
            id: group.id,
            name: group.upstream_name.clone(),
            naming: naming::of(&group)?,
            wanted,
            kept,
            observed: group.existence,
            made: group.made,
            adds: open.adds,
            removes: open.removes,
            alone: open.alone,
            first: open.first,
            full,
        },
    };
    Ok(Some((group, turn)))
}

/// What is added to a group as soon as accounts are there that are yet to be made, as
/// a turn of its own.
pub(super) fn waiting(db: &Connection, key: GroupKey, limit: usize) -> Result<Option<GroupTurn>> {
    let waits = |group: &Group| {
        let live = group.tombstone.is_none() && group.read_only.is_none();
        live && group.refused.is_none() && !aside::is_nameless(group)
    };
    let Some(group) = groups::by_key(db, key.0)?.filter(waits) else {
        return Ok(None);
    };
    let open = open_pairs(db, WAITING, group.key, false, limit)?;
    if open.adds.is_empty() || named_again::must_wait(db, &group)? {
        return Ok(None);
    }
    Ok(Some(GroupTurn {
        seq: group.seq.cast_unsigned(),
        more: open.more,
        doubted: false,
        family: group.family.clone(),
        named: Vec::new(),
        before: Vec::new(),
        mistakable: false,
        guess: None,
        remains: false,
        shown_absent: false,
        work: GroupWork {
            group: key,
            id: group.id,
            name: group.upstream_name,
            // What is to be done before that is told before that.
            naming: Naming::Rule,
            wanted: true,
            kept: false,
            observed: Existence::Present,
            made: true,
            adds: open.adds,
            removes: Vec::new(),
            alone: 0,
            first: 0,
            full: None,
        },
    }))
}

#[derive(Default)]
struct Open {
    adds: Vec<Principal>,
    removes: Vec<Principal>,
    alone: usize,
    first: usize,
    more: bool,
}

/// Open pairs that can be worked off: an add needs an account that is there and
/// wanted; a removal needs one that ever was, so that a deactivated user is
/// removed too; before the application was seen (`?2`) only one whose access
/// ends. Of who is withdrawn, what is desired is a removal too, where it is or
/// may be there. Removals come first, however much else is open. The index is named
/// because the planner takes the primary key for as good, and that reads the
/// whole group.
macro_rules! workable {
    () => {
        "FROM memberships m INDEXED BY memberships_open JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND m.desired <> m.observed AND u.account_key IS NOT NULL
           AND CASE m.desired AND NOT u.withdrawn
             WHEN 1 THEN u.tombstone IS NULL AND u.wants = 1 AND u.existence = 1 AND u.unsure < 2
               AND u.ended_elsewhere IS NULL
             ELSE m.withheld = 0 AND (NOT ?2 OR u.wants = 0 OR u.tombstone IS NOT NULL)
               AND (u.withdrawn = 0 OR CASE m.desired
                 WHEN 1 THEN m.observed = 2 AND m.managed = 1
                   AND (u.refused IS NULL OR u.withdrawn = 3)
                   AND NOT (u.withdrawn = 4 AND u.existence = 0)
                 ELSE NOT EXISTS (
                   SELECT 1 FROM refusals r WHERE r.group_key = m.group_key
                     AND r.user_key = m.user_key AND r.wanted = 0) END)
               AND NOT (u.existence = 0 AND u.deactivated = 0 AND u.unsure = 0) END"
    };
}
const OPEN_PAIRS: &str = concat!(
    "SELECT u.key, u.id, u.account_key, u.upstream_id, m.desired AND NOT u.withdrawn, m.seq,
     m.desired ",
    workable!(),
    " ORDER BY m.desired AND NOT u.withdrawn LIMIT ?3"
);
const LEAVERS: &str = concat!(
    "SELECT u.key, u.id, u.account_key, u.upstream_id, 0, m.seq, m.desired ",
    workable!(),
    " AND u.withdrawn <> 0 LIMIT ?3"
);
const NEW_LEAVERS: &str = concat!(
    "SELECT 1 ",
    workable!(),
    " AND u.withdrawn <> 0 AND m.sent IS NULL"
);
const NEW_REMOVAL: &str = concat!(
    "SELECT 1 ",
    workable!(),
    " AND NOT (m.desired AND NOT u.withdrawn) AND m.sent IS NOT 0"
);
const ANY_REMOVAL: &str = concat!(
    "SELECT 1 ",
    workable!(),
    " AND NOT (m.desired AND NOT u.withdrawn)"
);
const ANY_WORK: &str = concat!("SELECT 1 ", workable!());
const NEW_WORK: &str = concat!("SELECT 1 ", workable!(), " AND m.sent IS NULL");
/// Whose account is not refused, and not there yet.
const WAITING: &str = "SELECT u.key, u.id, u.account_key, u.upstream_id, 1, m.seq, m.desired
     FROM memberships m INDEXED BY memberships_open JOIN users u ON u.key = m.user_key
     WHERE m.group_key = ?1 AND m.desired <> m.observed AND m.desired = 1
       AND u.account_key IS NOT NULL AND u.tombstone IS NULL AND u.wants = 1
       AND u.withdrawn = 0 AND u.refused IS NULL AND NOT (u.existence = 1 AND u.unsure < 2
           AND u.ended_elsewhere IS NULL)
     LIMIT ?3";
const ANY_OPEN: &str = "SELECT 1 FROM memberships INDEXED BY memberships_open
     WHERE group_key = ?1 AND desired <> observed";
const MARK: &str = "UPDATE memberships SET before = observed, sent = ?3, observed = 2,
         reread = reread AND observed = 2, stood = stood AND observed = 2 AND ?3
     WHERE group_key = ?1 AND user_key = ?2";
/// Not of a pair that is not handed out any more: its account was made anew since.
const PRESENT: &str = "UPDATE memberships SET observed = 1, before = NULL, sent = NULL, reread = 0,
         stood = 0, missing = 0
     WHERE group_key = ?1 AND user_key = ?2 AND sent IS NOT NULL";
/// For showing what a turn costs.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 8] = [
    OPEN_PAIRS,
    NEW_WORK,
    NEW_REMOVAL,
    ANY_REMOVAL,
    ANY_WORK,
    ANY_OPEN,
    MARK,
    PRESENT,
];

fn open_pairs(db: &Connection, sql: &str, group: i64, unseen: bool, limit: usize) -> Result<Open> {
    let mut select = db.prepare_cached(sql)?;
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = select.query(params![group, unseen, one_more])?;
    let mut open = Open::default();
    let mut adding = Vec::new();
    let mut removing = Vec::new();
    while let Some(row) = rows.next()? {
        if adding.len() + removing.len() == limit {
            open.more = true;
            break;
        }
        let (wanted, seq): (bool, i64) = (row.get(4)?, row.get(5)?);
        if wanted {
            adding.push((seq, principal_at(row)?));
        } else {
            // Who loses access makes room for nobody.
            let replaced = !row.get::<_, bool>(6)?;
            removing.push((replaced.then_some(seq), principal_at(row)?));
        }
    }
    // One request's changes have one number.
    let adds: HashSet<i64> = adding.iter().map(|(seq, _)| *seq).collect();
    let (replaced, alone): (Vec<_>, Vec<_>) = removing
        .into_iter()
        .partition(|(seq, _)| seq.is_some_and(|seq| adds.contains(&seq)));
    let replace: HashSet<i64> = replaced.iter().filter_map(|(seq, _)| *seq).collect();
    let (first, others): (Vec<_>, Vec<_>) = adding
        .into_iter()
        .partition(|(seq, _)| replace.contains(seq));
    (open.alone, open.first) = (alone.len(), first.len());
    open.adds = first.into_iter().chain(others).map(|(_, it)| it).collect();
    open.removes = alone
        .into_iter()
        .chain(replaced)
        .map(|(_, it)| it)
        .collect();
    Ok(open)
}

/// Was to be deleted when recovery began.
fn is_withheld(db: &Connection, group: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT withheld FROM groups WHERE key = ?1")?
        .query_row([group], |row| row.get(0))?)
}

fn whole_set(
    db: &Connection,
    group: &Group,
    adds: usize,
    removes: usize,
) -> Result<Option<Vec<Principal>>> {
    let size = usize::try_from(group.members).unwrap_or(0);
    let others = group.unmanaged + group.strangers > 0;
    let known = group.existence == Existence::Present && group.tombstone.is_none();
    if !known || !prefers_replace(group.whole, others, size, adds, removes) {
        return Ok(None);
    }
    if recovery::holds(db, group.connection)? || protected::withholds_members(db, group.key)? {
        // It would take out whoever is withheld.
        return Ok(None);
    }
    let mut select = db.prepare_cached(
        "SELECT u.key, u.id, u.account_key, u.upstream_id,
             m.observed <> 0 OR EXISTS (
                 SELECT 1 FROM doubts d WHERE d.user_key = m.user_key AND d.group_key = m.group_key),
             u.tombstone IS NULL AND u.wants = 1 AND u.existence = 1 AND u.unsure < 2
         FROM memberships m JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND m.desired = 1 AND u.account_key IS NOT NULL",
    )?;
    let mut rows = select.query([group.key])?;
    let mut set = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get(5)? {
            set.push(principal_at(row)?);
        } else if row.get(4)? {
            // Is or may be a member and cannot be named now: a replacement
            // would take it out without anybody having asked for that.
            return Ok(None);
        }
    }
    Ok(Some(set))
}

fn mark(db: &Connection, work: &GroupWork) -> Result<()> {
    let mut mark = db.prepare_cached(MARK)?;
    let adds = work.adds.iter().map(|member| (member, 1));
    let removes = work.removes.iter().map(|member| (member, 0));
    for (member, wanted) in adds.chain(removes) {
        mark.execute([work.group.0, member.user.0, wanted])?;
    }
    Ok(())
}

pub(super) fn end(
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
    for user in &learned.present {
        there.execute([group.key, user.0])?;
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
             WHERE group_key = ?1 AND (observed = 1 OR stood = 1)",
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

fn has_open_pairs(db: &Connection, group: i64) -> Result<bool> {
    Ok(db.prepare_cached(ANY_OPEN)?.exists([group])?)
}

pub(super) fn has_new_removal(db: &Connection, key: i64) -> Result<bool> {
    let group = handed_out(db, key)?;
    group.map_or(Ok(false), |group| any_of(db, NEW_REMOVAL, &group))
}

/// By its own deletion, too.
pub(super) fn next_takes(db: &Connection, key: i64) -> Result<Option<bool>> {
    let Some(group) = handed_out(db, key)? else {
        return Ok(None);
    };
    let dirty = group.dirty();
    if dirty && group.tombstone.is_some() || any_of(db, ANY_REMOVAL, &group)? {
        return Ok(Some(true));
    }
    Ok((dirty || any_of(db, ANY_WORK, &group)?).then_some(false))
}

/// Nothing is handed out of one that is refused, or that others look after.
fn handed_out(db: &Connection, key: i64) -> Result<Option<Group>> {
    let group = groups::by_key(db, key)?.filter(|it| it.read_only.is_none());
    Ok(group.filter(|it| it.tombstone.is_some() || it.refused.is_none()))
}

fn any_of(db: &Connection, sql: &str, group: &Group) -> Result<bool> {
    let unseen = recovery::is_unseen(db, group.connection)?;
    Ok(db.prepare_cached(sql)?.exists(params![group.key, unseen])?)
}

/// Work that the ended turn did not have: it had no room for it, or it came
/// meanwhile. What it had and did not finish waits for its own back-off.
fn has_new_work(db: &Connection, group: &Group, untouched: bool) -> Result<bool> {
    let unseen = recovery::is_unseen(db, group.connection)?;
    if group.tombstone.is_some() {
        let leavers = db
            .prepare_cached(NEW_LEAVERS)?
            .exists(params![group.key, unseen])?;
        return Ok(leavers || !untouched && group.dirty());
    }
    if group.refused.is_some() || group.read_only.is_some() {
        return Ok(false);
    }
    if group.renamed && !untouched {
        return Ok(true);
    }
    Ok(db
        .prepare_cached(NEW_WORK)?
        .exists(params![group.key, unseen])?)
}
