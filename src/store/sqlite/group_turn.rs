//! One turn of a group's lane. What is handed out is marked as unknown in the
//! same transaction, so that a crash leaves nothing believed that may not be
//! so (reliability: H-04, H-08); what is learned ends the marks pair by pair.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    plan::state::{Existence, GroupKey, GroupWork, Naming, Principal, prefers_replace},
    store::GroupTurn,
};

use super::{
    aside, audit,
    fault::Result,
    groups::{self, Group},
    keys, late, left_alone, named_again, naming, perhaps, protected, recovery, seats,
    users::principal_at,
};

mod end;
mod open;

pub(super) use end::end;
pub(super) use open::{has_new_removal, next_takes};

use open::{KEPT_REMOVALS, LEAVERS, OPEN_PAIRS, WAITING, open_pairs};

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
    if keys::are_open(db, group.connection)? {
        return Ok(None);
    }
    let wanted = group.tombstone.is_none();
    let refused = group.refused.is_some() || aside::is_nameless(&group);
    if wanted && refused || named_again::must_wait(db, &group)? {
        return Ok(None);
    }
    let unseen = recovery::is_unseen(db, group.connection)?;
    // One that is deleted may stay there all the same, and who leaves does not, nor who
    // was taken out of it before.
    let kept = !wanted && (group.refused.is_some() || unseen || is_withheld(db, group.key)?);
    let dirty = group.dirty() && !kept;
    let pairs = match (wanted, kept) {
        (true, _) => OPEN_PAIRS,
        (false, true) => KEPT_REMOVALS,
        (false, false) => LEAVERS,
    };
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
    let waits = named_again::must_wait(db, &group)? || keys::are_open(db, group.connection)?;
    if open.adds.is_empty() || waits {
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

/// A 2 in `stood` says that it was there and its removal was sent since, or the end of
/// its account: should it be asked for again and refused before that is settled, it may
/// be there still.
const MARK: &str = "UPDATE memberships SET before = observed, sent = ?3, observed = 2,
         reread = reread AND observed = 2,
         stood = CASE WHEN ?3 THEN stood * (observed = 2)
             ELSE 2 * (observed = 1 OR observed = 2 AND stood <> 0) END
     WHERE group_key = ?1 AND user_key = ?2";
/// For showing what a turn costs.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 8] = [
    OPEN_PAIRS,
    open::NEW_WORK,
    open::NEW_REMOVAL,
    open::ANY_REMOVAL,
    open::ANY_WORK,
    open::ANY_OPEN,
    MARK,
    end::PRESENT,
];

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
