//! The open pairs of a group that can be worked off: which those are, in which
//! order they are handed out, and whether any of them are there.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::super::{
    fault::Result,
    groups::{self, Group},
    keys, recovery,
    users::principal_at,
};
use crate::plan::state::Principal;

#[derive(Default)]
pub(super) struct Open {
    pub(super) adds: Vec<Principal>,
    pub(super) removes: Vec<Principal>,
    pub(super) alone: usize,
    pub(super) first: usize,
    pub(super) more: bool,
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
pub(super) const OPEN_PAIRS: &str = concat!(
    "SELECT u.key, u.id, u.account_key, u.upstream_id, m.desired AND NOT u.withdrawn, m.seq,
     m.desired ",
    workable!(),
    " ORDER BY m.desired AND NOT u.withdrawn LIMIT ?3"
);
pub(super) const LEAVERS: &str = concat!(
    "SELECT u.key, u.id, u.account_key, u.upstream_id, 0, m.seq, m.desired ",
    workable!(),
    " AND u.withdrawn <> 0 LIMIT ?3"
);
pub(super) const KEPT_REMOVALS: &str = concat!(
    "SELECT u.key, u.id, u.account_key, u.upstream_id, 0, m.seq, m.desired ",
    workable!(),
    " AND (u.withdrawn <> 0 OR m.desired = 0) LIMIT ?3"
);
const NEW_LEAVERS: &str = concat!(
    "SELECT 1 ",
    workable!(),
    " AND u.withdrawn <> 0 AND m.sent IS NULL"
);
const NEW_KEPT_REMOVALS: &str = concat!(
    "SELECT 1 ",
    workable!(),
    " AND (u.withdrawn <> 0 OR m.desired = 0) AND m.sent IS NULL"
);
pub(super) const NEW_REMOVAL: &str = concat!(
    "SELECT 1 ",
    workable!(),
    " AND NOT (m.desired AND NOT u.withdrawn) AND m.sent IS NOT 0"
);
pub(super) const ANY_REMOVAL: &str = concat!(
    "SELECT 1 ",
    workable!(),
    " AND NOT (m.desired AND NOT u.withdrawn)"
);
pub(super) const ANY_WORK: &str = concat!("SELECT 1 ", workable!());
pub(super) const NEW_WORK: &str = concat!("SELECT 1 ", workable!(), " AND m.sent IS NULL");
/// Whose account is not refused, and not there yet.
pub(super) const WAITING: &str =
    "SELECT u.key, u.id, u.account_key, u.upstream_id, 1, m.seq, m.desired
     FROM memberships m INDEXED BY memberships_open JOIN users u ON u.key = m.user_key
     WHERE m.group_key = ?1 AND m.desired <> m.observed AND m.desired = 1
       AND u.account_key IS NOT NULL AND u.tombstone IS NULL AND u.wants = 1
       AND u.withdrawn = 0 AND u.refused IS NULL AND NOT (u.existence = 1 AND u.unsure < 2
           AND u.ended_elsewhere IS NULL)
     LIMIT ?3";
pub(super) const ANY_OPEN: &str = "SELECT 1 FROM memberships INDEXED BY memberships_open
     WHERE group_key = ?1 AND desired <> observed";

pub(super) fn open_pairs(
    db: &Connection,
    sql: &str,
    group: i64,
    unseen: bool,
    limit: usize,
) -> Result<Open> {
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

pub(super) fn has_open_pairs(db: &Connection, group: i64) -> Result<bool> {
    Ok(db.prepare_cached(ANY_OPEN)?.exists([group])?)
}

pub(in super::super) fn has_new_removal(db: &Connection, key: i64) -> Result<bool> {
    let group = handed_out(db, key)?;
    group.map_or(Ok(false), |group| any_of(db, NEW_REMOVAL, &group))
}

/// By its own deletion, too.
pub(in super::super) fn next_takes(db: &Connection, key: i64) -> Result<Option<bool>> {
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
    let Some(group) = group.filter(|it| it.tombstone.is_some() || it.refused.is_none()) else {
        return Ok(None);
    };
    Ok((!keys::are_open(db, group.connection)?).then_some(group))
}

fn any_of(db: &Connection, sql: &str, group: &Group) -> Result<bool> {
    let unseen = recovery::is_unseen(db, group.connection)?;
    Ok(db.prepare_cached(sql)?.exists(params![group.key, unseen])?)
}

/// Work that the ended turn did not have: it had no room for it, or it came
/// meanwhile. What it had and did not finish waits for its own back-off.
pub(super) fn has_new_work(db: &Connection, group: &Group, untouched: bool) -> Result<bool> {
    if keys::are_open(db, group.connection)? {
        return Ok(false);
    }
    let unseen = recovery::is_unseen(db, group.connection)?;
    if group.tombstone.is_some() {
        let news = match group.refused {
            Some(_) => NEW_KEPT_REMOVALS,
            None => NEW_LEAVERS,
        };
        let leavers = db
            .prepare_cached(news)?
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
