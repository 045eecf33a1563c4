//! Users whom an import finds in a group that was here before and of which they were no
//! members. Somebody may have put them there; but where their membership was taken
//! away here, it was given back, or never went, and that is told and not believed:
//! they stay no members here, as in the groups that are made here (reliability: H-15,
//! I-26). What the audit tells of the group is read beside the writes.

use std::sync::Arc;

use rusqlite::Connection;

use crate::store::StoreError;

use super::{
    askers,
    fault::Result,
    given_back, groups,
    import::{self, Import},
    late, leaving,
    readers::Readers,
    said, users,
    writer::Writer,
};

/// The key of a user, and the id.
pub(super) type Newcomer = (i64, [u8; 16]);

/// Of one group.
#[derive(Debug)]
pub(super) struct Newcomers {
    pub(super) group: i64,
    pub(super) users: Vec<Newcomer>,
}

/// In one transaction.
const PORTION: usize = 500;

/// Writes who was found and not taken out before; returns how many, and how many
/// were taken out.
pub(super) async fn believe(
    (writer, readers): (&Writer, &Arc<Readers>),
    import: &Import,
    found: Vec<Newcomers>,
) -> std::result::Result<(u64, u64), StoreError> {
    if found.is_empty() {
        return Ok((0, 0));
    }
    for Newcomers { group, .. } in &found {
        let group = *group;
        while writer.write(move |db| said::keep(db, group)).await? {}
    }
    let by = import.clone();
    let sort = readers.read_apart(move |db| sort(db, &by, found));
    let (believed, taken) = sort.await?;
    let mut added = 0;
    for Newcomers { group, users } in believed {
        for portion in users.chunks(PORTION) {
            let (portion, by) = (portion.to_vec(), import.clone());
            let write = writer.write(move |db| write(db, group, &portion, &by));
            added += write.await?;
        }
    }
    let mut returned = 0;
    for (group, count) in taken {
        returned += count;
        writer.write(move |db| note(db, group, count)).await?;
    }
    Ok((added, returned))
}

/// Those who are believed, and of each group how many are not.
type Sorted = (Vec<Newcomers>, Vec<(i64, u64)>);

fn sort(db: &Connection, import: &Import, found: Vec<Newcomers>) -> Result<Sorted> {
    let (mut believed, mut counts) = (Vec::new(), Vec::new());
    for Newcomers { group, users } in found {
        let (mut left, mut back) = (Vec::new(), 0);
        let taken = given_back::taken_out(db, (import.connection, group), &users)?;
        for (user, id) in users {
            if !taken.contains(&user) || askers::is_any(db, user, group)? {
                left.push((user, id));
            } else if !late::is_doubted_pair(db, (group, user))?
                && !late::is_doubted_account(db, user)?
                && !is_not_gone(db, user)?
            {
                // Otherwise a call that was given up may have put them there, and what
                // comes of that is looked at in time; or it is what whoever had the
                // account before has still.
                back += 1;
            }
        }
        // What was read before a turn is of before.
        if back > 0 && !import::was_turned(db, group, import)? {
            counts.push((group, back));
        }
        believed.push(Newcomers { group, users: left });
    }
    Ok((believed, counts))
}

/// Whether somebody who was deleted here with the account has something left to do.
fn is_not_gone(db: &Connection, user: i64) -> Result<bool> {
    match users::by_key(db, user)? {
        Some(user) => leaving::must_wait(db, &user),
        None => Ok(false),
    }
}

fn write(db: &Connection, key: i64, users: &[Newcomer], import: &Import) -> Result<u64> {
    let found = |group: &groups::Group| group.tombstone.is_none() && !group.ours;
    let Some(mut group) = groups::by_key(db, key)?.filter(found) else {
        return Ok(0);
    };
    if import::was_turned(db, key, import)? {
        return Ok(0);
    }
    let mut added = 0;
    for (user, id) in users {
        // Asked for, or deleted, since it was read.
        let news = db
            .prepare_cached(
                "SELECT 1 FROM users WHERE key = ?2 AND tombstone IS NULL AND NOT EXISTS (
                     SELECT 1 FROM memberships WHERE group_key = ?1 AND user_key = ?2)",
            )?
            .exists([key, *user])?;
        if news && import::find_member(db, &mut group, (*user, *id), Some(import.since))? {
            added += 1;
        }
    }
    if added > 0 {
        import::save_found(db, &mut group, import)?;
        import::record_found(db, key, false, (added, 0), import)?;
    }
    Ok(added)
}

/// Those who are in a group, and no members of it here. One of ours has counted them
/// as such already.
fn note(db: &Connection, key: i64, count: u64) -> Result<()> {
    let found = |group: &groups::Group| group.tombstone.is_none() && !group.ours;
    if let Some(mut group) = groups::by_key(db, key)?.filter(found) {
        group.strangers += i64::try_from(count).unwrap_or(i64::MAX);
        groups::save(db, &group)?;
    }
    Ok(())
}
