//! Pairs that the application refused in a turn of their group. They go back to
//! what is there and are told, unless somebody changed them since the turn
//! began; the end of a user's access is kept instead. What the refusal leaves
//! unclear is noted for a later look (reliability: H-04); in a family it is looked
//! at once, so that nothing is taken away that somebody gives because of it.

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::{GroupLearned, Millis};

use super::{
    fault::Result,
    giving,
    groups::Group,
    late::{self, Sent},
    recovery, refusals, removals,
    withdrawal::withdrawn,
};

struct Refused {
    desired: bool,
    /// `None`: the account was made anew since it was handed out, so what was refused
    /// tells nothing of what that one is a member of.
    sent: Option<bool>,
    seq: i64,
    managed: bool,
    leaver: bool,
    again: bool,
    /// It is what a late call may have left of somebody who is here, and was not
    /// refused before.
    left_behind: bool,
    /// A look told that it is not there any more, and nobody asked for it since.
    unasked: bool,
    /// It was not known before the turn what is there, and a refusal does not tell.
    unclear: bool,
    /// It was there before that.
    stood: bool,
    /// The user's account cannot be ended, so this is.
    withdrawn: bool,
    deleted: bool,
}

impl Refused {
    /// Nobody asks for its end again, so it is tried once more, at once.
    fn goes_once_more(&self, group: &Group) -> bool {
        self.left_behind && group.family.is_none()
    }
}

/// Returns how many pairs went back.
pub(super) fn undo(
    db: &Connection,
    group: &mut Group,
    seq: i64,
    learned: &GroupLearned,
    at: Millis,
) -> Result<u64> {
    let mut undone = 0;
    for (user, reason) in &learned.refused {
        let key = (group.key, user.0);
        let gone = group.tombstone.is_some();
        let Some(pair) = refused(db, key)?.filter(|it| !gone || it.withdrawn) else {
            continue;
        };
        let by_a_look = learned.contradicted.contains(user);
        if pair.sent == Some(true) && pair.desired && pair.unasked && by_a_look && !gone {
            leave_as_missing(db, key, reason, at)?;
            continue;
        }
        if let Some(sent) = pair.sent.filter(|_| by_a_look) {
            late::note_pair(db, key, Sent::towards(sent), at)?;
        }
        let sent = pair.sent.unwrap_or(pair.desired);
        if pair.withdrawn && !sent {
            keep(db, key, &pair, reason, at)?;
            continue;
        }
        if gone {
            continue;
        }
        note_unclear(db, group, user.0, (&pair, sent), at)?;
        // A deleted user is not made a member again; its removal is given up.
        let back = pair.desired == sent && pair.seq <= seq && !pair.leaver;
        if back {
            undone += 1;
            refusals::note(db, key, sent, reason, at)?;
        }
        settle(db, group, user.0, (&pair, sent), (back, at))?;
        // Of whoever is deleted for the next who has the account.
        if !sent && !pair.desired && pair.leaver && !pair.goes_once_more(group) {
            refusals::note(db, key, false, reason, at)?;
        }
    }
    if undone > 0 {
        group.seq += 1;
        group.version += 1;
        group.modified = at;
    }
    Ok(undone)
}

fn refused(db: &Connection, (group, user): (i64, i64)) -> Result<Option<Refused>> {
    let mut select = db.prepare_cached(concat!(
        "SELECT m.desired, m.sent, m.seq, m.managed,
             u.tombstone IS NOT NULL OR m.doubted, m.doubted, m.before = 2, ",
        withdrawn!(),
        " AND m.doubted <> 1, u.tombstone IS NOT NULL, m.stood,
             m.doubted = 1 AND u.tombstone IS NULL, m.missing = 2
         FROM memberships m JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND m.user_key = ?2"
    ))?;
    let pair = select.query_row([group, user], |row| {
        Ok(Refused {
            desired: row.get(0)?,
            sent: row.get::<_, Option<bool>>(1)?,
            seq: row.get(2)?,
            managed: row.get(3)?,
            leaver: row.get(4)?,
            again: row.get(5)?,
            unclear: row.get::<_, Option<bool>>(6)?.unwrap_or_default(),
            withdrawn: row.get(7)?,
            deleted: row.get(8)?,
            stood: row.get(9)?,
            left_behind: row.get(10)?,
            unasked: row.get(11)?,
        })
    });
    Ok(pair.optional()?)
}

/// What the application has confirmed, and only looks deny, stays asked for, since nobody
/// took that back: told, and said again with the next reconciliation that misses it. They
/// may be the ones that are wrong, so no doubt of it ends in a removal.
fn leave_as_missing(
    db: &Connection,
    (group, user): (i64, i64),
    reason: &str,
    at: Millis,
) -> Result<()> {
    refusals::note(db, (group, user), true, reason, at)?;
    db.prepare_cached(
        "UPDATE memberships SET observed = 1, missing = 1, before = NULL, sent = NULL,
             reread = 0, stood = 0
         WHERE group_key = ?1 AND user_key = ?2",
    )?
    .execute([group, user])?;
    Ok(())
}

/// It is the end of the user's access that was refused: told as that, and kept;
/// so is what was to go before, which no return gives back.
fn keep(
    db: &Connection,
    (group, user): (i64, i64),
    pair: &Refused,
    reason: &str,
    at: Millis,
) -> Result<()> {
    refusals::note_end(db, (group, user), reason, at)?;
    if pair.deleted && !pair.again {
        // Nobody is left who would ask for it again: once more, later. A 2 in
        // `doubted` says that this was done.
        late::note_pair(db, (group, user), Sent::Present, at)?;
    }
    db.prepare_cached(
        "UPDATE memberships SET observed = 1, before = NULL, sent = NULL, reread = 0, stood = 0,
             doubted = CASE WHEN ?3 THEN 2 ELSE doubted END
         WHERE group_key = ?1 AND user_key = ?2",
    )?
    .execute(params![group, user, pair.deleted])?;
    Ok(())
}

fn note_unclear(
    db: &Connection,
    group: &Group,
    user: i64,
    (pair, sent): (&Refused, bool),
    at: Millis,
) -> Result<()> {
    if !sent && pair.leaver && !pair.again {
        // Nobody is left to be told, so it is tried once more before a
        // successor of the user can come by it.
        late::note_pair(db, (group.key, user), Sent::Present, at)?;
    }
    // Who goes back into the group is put there once more anyway.
    let unclear = pair.unclear || pair.sent.is_none() && sent;
    if unclear && !pair.again {
        let sent = match &group.family {
            None => Sent::Either,
            Some(_) if sent => return Ok(()),
            Some(_) => Sent::Absent,
        };
        late::note_pair(db, (group.key, user), sent, at)?;
    }
    Ok(())
}

/// What was refused to be put there is not there, and the reverse, if it is still
/// that account's.
fn settle(
    db: &Connection,
    group: &mut Group,
    user: i64,
    (pair, sent): (&Refused, bool),
    (back, at): (bool, Millis),
) -> Result<()> {
    let there = !sent;
    let desired = if back { there } else { pair.desired };
    if back {
        if there {
            removals::take_back(db, group.key, user)?;
        }
        group.members += if there { 1 } else { -1 };
        group.unmanaged -= i64::from(!there && !pair.managed);
    }
    let next = if back { group.seq + 1 } else { pair.seq };
    if !desired && !there && !pair.leaver && group.family.is_some() {
        // It was one before, or a call about another pair of the family made it one; of
        // a call that nobody answered there is a doubt.
        if pair.stood || giving::may_have_given(db, group.key, user)? {
            return take_away(db, group, user, (back, next), at);
        }
    }
    if !desired && there && pair.goes_once_more(group) {
        // A 2 in `doubted` says that this was done.
        db.prepare_cached(
            "UPDATE memberships SET observed = 2, doubted = 2, before = NULL, sent = NULL,
                 reread = 0, stood = 0
             WHERE group_key = ?1 AND user_key = ?2",
        )?
        .execute([group.key, user])?;
        return Ok(());
    }
    if !desired && (!there || pair.leaver) {
        // Of who is here and stays there the refusal is told, see `refusals::left`.
        db.prepare_cached("DELETE FROM memberships WHERE group_key = ?1 AND user_key = ?2")?
            .execute([group.key, user])?;
        return Ok(());
    }
    let observed = pair.sent.map_or(2, |_| i64::from(there));
    db.prepare_cached(
        "UPDATE memberships SET desired = ?3, observed = ?4, seq = ?5, before = NULL, sent = NULL,
             reread = 0, stood = 0
         WHERE group_key = ?1 AND user_key = ?2",
    )?
    .execute(params![group.key, user, desired, observed, next])?;
    Ok(())
}

/// It is looked for at once, and taken away if it is there; as what nobody asked
/// for, where nobody asked for its end either.
fn take_away(
    db: &Connection,
    group: &Group,
    user: i64,
    (unasked, seq): (bool, i64),
    at: Millis,
) -> Result<()> {
    let withheld = recovery::withholds(db, group.connection, at)?;
    db.prepare_cached(
        "UPDATE memberships SET desired = 0, observed = 2, managed = 1, seq = ?3, before = NULL,
             sent = NULL, reread = 0, stood = 0, doubted = max(doubted, ?4), withheld = ?5
         WHERE group_key = ?1 AND user_key = ?2",
    )?
    .execute(params![group.key, user, seq, unasked, withheld])?;
    Ok(())
}
