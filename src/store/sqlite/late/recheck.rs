//! What is in doubt and due is wanted once more: of a pair, of an account, of a group,
//! and of everybody whom a replacement may take out. Who bears the name or the account
//! by now is who it is about.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::{Existence, GroupKey, UserKey},
    store::{Lane, Millis},
};

use super::{
    super::{
        families,
        fault::Result,
        gone,
        groups::{self, Group},
        lanes, owners, perhaps, protected, recovery,
        users::{self, User},
        withdrawal,
    },
    DUE, EARLY, ITSELF, LOOKED, NEWER, Sent, When, is_doubted,
};

struct Doubt {
    user: i64,
    group: i64,
    sent: i64,
    seq: i64,
    since: Millis,
    /// What was in doubt may have landed, and may land yet.
    early: bool,
}

/// The most doubts in one transaction.
const PORTION: i64 = 500;

/// A call about it is on its way, and may have been done before what may land late:
/// its answer would say nothing of that. A replacement is about everybody. Of a
/// family such an answer is not taken.
const ON_ITS_WAY: &str = "g.family IS NULL AND EXISTS (
     SELECT 1 FROM intents i WHERE i.lane = 'group' AND i.key = d.group_key
       AND (d.user_key <> 0 AND coalesce(i.detail ->> 'replaces', 0) OR EXISTS (
         SELECT 1 FROM memberships m WHERE m.group_key = d.group_key AND m.user_key = d.user_key
           AND m.observed = 2 AND m.sent IS NOT NULL)
       OR d.user_key = -1 AND EXISTS (
         SELECT 1 FROM memberships m INDEXED BY memberships_open
         WHERE m.group_key = d.group_key AND m.desired <> m.observed AND m.observed = 2
           AND m.sent IS NOT NULL AND m.seq > d.seq)))";

/// The same of an account, whose turn says at its end what is known of it.
const ACCOUNT_ON_ITS_WAY: &str = "d.group_key = 0 AND EXISTS (
     SELECT 1 FROM intents i WHERE i.lane = 'user' AND i.key = d.user_key)";

/// Ends what was noted that long ago: what is wanted otherwise is open again. So is
/// what was noted half as long ago, once, and stays in doubt.
/// Returns the lanes that have work because of it.
pub(in super::super) fn recheck(
    db: &Connection,
    connection: i64,
    when: &When,
) -> Result<Vec<Lane>> {
    let sql = format!(
        "SELECT d.user_key, d.group_key, d.sent, d.seq, d.since, NOT {DUE} FROM doubts d
         LEFT JOIN users u ON u.key = d.user_key LEFT JOIN groups g ON g.key = d.group_key
         WHERE ({DUE} OR {EARLY}) AND coalesce(g.connection, u.connection) = ?5
           AND NOT ({ON_ITS_WAY}) AND NOT ({ACCOUNT_ON_ITS_WAY})
         LIMIT ?6"
    );
    let due: Vec<Doubt> = db
        .prepare_cached(&sql)?
        .query_map(
            params![
                when.before,
                when.now,
                when.lag,
                when.early,
                connection,
                PORTION
            ],
            |row| {
                Ok(Doubt {
                    user: row.get(0)?,
                    group: row.get(1)?,
                    sent: row.get(2)?,
                    seq: row.get(3)?,
                    since: row.get(4)?,
                    early: row.get(5)?,
                })
            },
        )?
        .collect::<rusqlite::Result<_>>()?;
    let mut open = Vec::new();
    let mut left = Vec::new();
    for doubt in due {
        let ended = end(db, &doubt, when)?;
        let lane = match (doubt.user, doubt.group) {
            (ITSELF, group) => reopen_group(db, group, &doubt, ended)?,
            (NEWER, group) => reopen_newer(db, group, doubt.seq)?,
            (user, ITSELF) => reopen_account(db, user, doubt.sent)?,
            (user, group) => match groups::by_key(db, group)? {
                Some(row) if row.family.is_some() => {
                    for lane in reopen_family(db, &row, user, &doubt)? {
                        open.extend(Some(lane).filter(|lane| !open.contains(lane)));
                    }
                    None
                }
                // Said again at once; nothing is looked at.
                _ if doubt.seq == LOOKED => None,
                Some(row) => reopen_pair(db, row, user, &doubt)?,
                None => None,
            },
        };
        open.extend(lane.filter(|lane| !open.contains(lane)));
        left.extend((doubt.user > ITSELF).then_some(doubt.user));
        if ended {
            perhaps::forget(db, doubt.group)?;
        }
    }
    open.extend(lanes::finish_all(db, left)?);
    Ok(open)
}

/// The first look does not end the doubt; whether this one does.
fn end(db: &Connection, doubt: &Doubt, when: &When) -> Result<bool> {
    let lately = doubt.since <= when.before && doubt.since > when.before - when.lag;
    let first = doubt.user != NEWER && lately && doubt.seq != LOOKED;
    let sql = if doubt.early {
        "UPDATE doubts SET early = 1 WHERE user_key = ?1 AND group_key = ?2"
    } else if first {
        "UPDATE doubts SET seq = 1, early = 1 WHERE user_key = ?1 AND group_key = ?2"
    } else {
        "DELETE FROM doubts WHERE user_key = ?1 AND group_key = ?2"
    };
    db.prepare_cached(sql)?.execute([doubt.user, doubt.group])?;
    Ok(!doubt.early && !first)
}

/// Who has the name of a group now, if not the group itself: one that is deleted
/// as long as it is there, and then whoever waits for that.
fn bearer(db: &Connection, group: Group) -> Result<Group> {
    let key: Option<i64> = db
        .prepare_cached(
            "SELECT key FROM groups WHERE connection = ?1 AND upstream_name = ?2
             AND (tombstone IS NULL OR existence <> 0)
             ORDER BY tombstone IS NULL",
        )?
        .query_row(params![group.connection, group.upstream_name], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(match key {
        Some(key) if key != group.key => groups::by_key(db, key)?.unwrap_or(group),
        _ => group,
    })
}

/// A call about a pair of a family may take the user's other groups of it away: what
/// is asked for of them is said again. What it may have given is taken away again if
/// it is not asked for, and nothing else: what no call of ours can have given is
/// somebody else's doing. Each is looked at first, so it is done after both looks.
/// Of who left, every membership is ended once more with the account.
fn reopen_family(db: &Connection, row: &Group, user: i64, doubt: &Doubt) -> Result<Vec<Lane>> {
    let Some(member) = users::by_key(db, user)? else {
        return Ok(Vec::new());
    };
    if member.tombstone.is_some() || !member.account.active {
        let lane = reopen_account(db, user, Sent::Either as i64)?;
        return Ok(lane.into_iter().collect());
    }
    let mut lanes = Vec::new();
    for key in families::siblings(db, row)?.into_iter().chain([row.key]) {
        let Some(one) = groups::by_key(db, key)? else {
            continue;
        };
        lanes.extend(reopen_pair(db, one, user, doubt)?);
    }
    Ok(lanes)
}

fn reopen_pair(db: &Connection, row: Group, user: i64, doubt: &Doubt) -> Result<Option<Lane>> {
    let may_be_ours =
        row.family.is_none() || row.key == doubt.group && doubt.sent != Sent::Absent as i64;
    let (asked, was_made) = (row.key, row.made);
    let row = bearer(db, row)?;
    // Nobody can be in somebody else's by the creation of one that never was.
    let may_be_ours = may_be_ours && (was_made || row.ours || row.key == asked);
    let group = row.key;
    let lane = Some(Lane::Group(GroupKey(group)));
    // In one that is deleted only of who leaves, and as long as it is there.
    let deleted = row.tombstone.is_some()
        && (row.existence == Existence::Absent || !withdrawal::is_withdrawn(db, user)?);
    // In one that is gone, if a late call may have made it again.
    let gone = row.is_gone() && !is_doubted(db, &row)?;
    if deleted || gone || row.read_only.is_some() {
        return Ok(None);
    }
    let pair: Option<(i64, bool)> = db
        .prepare_cached(
            "SELECT desired, managed FROM memberships WHERE group_key = ?1 AND user_key = ?2",
        )?
        .query_row([group, user], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let desired = pair.map(|(desired, _)| desired);
    // Who was only found in it is not put there again: nobody here has asked for that,
    // and whoever takes them out there means it. In a family a call about another of
    // its groups may have taken it away.
    let found = pair.is_some_and(|(desired, managed)| desired == 1 && !managed);
    let wanted = desired == Some(1) && !withdrawal::is_withdrawn(db, user)?;
    let needless = found || row.family.is_none() && i64::from(wanted) == doubt.sent;
    // No call named an account that never was, and none could take it out.
    let nameable = |user: &User| user.account_key.is_some() && !user.never_there();
    if needless {
        if row.family.is_none() && users::by_key(db, user)?.is_some_and(|it| nameable(&it)) {
            // What is still to be said may be refused, and is then as unclear. Of who is
            // withdrawn and out nothing is, though it stays desired.
            db.prepare_cached(
                "UPDATE memberships SET observed = 2
                 WHERE group_key = ?1 AND user_key = ?2 AND desired <> observed
                   AND observed <> ?3",
            )?
            .execute([group, user, i64::from(wanted)])?;
        }
        return Ok(None);
    }
    if desired.is_some() {
        db.prepare_cached(if row.family.is_some() {
            // Also if it is handed out: that may have been done before.
            "UPDATE memberships SET observed = 2, reread = ?3, before = NULL, sent = NULL,
                 stood = iif(observed = 1 AND desired = 1, 1, stood),
                 missing = iif(observed = 1 AND desired = 1, 2, missing)
             WHERE group_key = ?1 AND user_key = ?2"
        } else {
            "UPDATE memberships SET observed = 2, reread = ?3,
                 stood = iif(observed = 1 AND desired = 1, 1, stood),
                 missing = iif(observed = 1 AND desired = 1, 2, missing)
             WHERE group_key = ?1 AND user_key = ?2"
        })?
        // A read of it would be in doubt as long as this is anyway.
        .execute(params![
            group,
            user,
            doubt.early || doubt.sent == Sent::Read as i64
        ])?;
        if desired == Some(0) {
            withdrawal::resume(db, (group, user))?;
        }
        try_again(db, row)?;
        return Ok(lane);
    }
    let member = users::by_key(db, user)?.filter(nameable);
    let Some(member) = member.filter(|_| may_be_ours) else {
        return Ok(None);
    };
    db.prepare_cached(
        "INSERT INTO memberships (group_key, user_key, user_id, desired, observed, managed, seq,
             doubted, withheld)
         VALUES (?1, ?2, ?3, 0, 2, 1, ?4, 1, ?5)",
    )?
    .execute(params![
        group,
        user,
        member.id.as_bytes(),
        row.seq,
        recovery::withholds(db, row.connection, doubt.since)?
    ])?;
    try_again(db, row)?;
    Ok(lane)
}

/// What the application refused to do with a group says nothing of what a late
/// call has made of it: the look would not be taken. A guard rail's word stays.
fn try_again(db: &Connection, mut group: Group) -> Result<()> {
    if group.is_gone() {
        group.existence = Existence::Unknown;
        let at = group.modified;
        gone::forget_found(db, &mut group, at)?;
    }
    let refused = group.refused.take_if(|reason| reason != protected::REASON);
    if refused.is_some() {
        groups::save(db, &group)?;
    }
    Ok(())
}

fn reopen_newer(db: &Connection, group: i64, seq: i64) -> Result<Option<Lane>> {
    let Some(row) = groups::by_key(db, group)? else {
        return Ok(None);
    };
    let row = bearer(db, row)?;
    let now = row.key;
    // All members of a successor are newer. A removal that is still to be said may be
    // refused, and is then as unclear. Who was only found is not put there again.
    let (group, seq) = (now, if now == group { seq } else { -1 });
    let reopened = db
        .prepare_cached(
            "UPDATE memberships SET observed = 2, stood = desired,
                 missing = iif(desired = 1, 2, missing)
             WHERE group_key = ?1 AND seq > ?2 AND observed = 1 AND managed = 1
               AND group_key IN (
                   SELECT key FROM groups WHERE tombstone IS NULL AND read_only IS NULL)",
        )?
        .execute([group, seq])?;
    if reopened > 0 {
        try_again(db, row)?;
    }
    Ok((reopened > 0).then_some(Lane::Group(GroupKey(group))))
}

fn reopen_account(db: &Connection, key: i64, sent: i64) -> Result<Option<Lane>> {
    let Some(mut user) = users::by_key(db, key)? else {
        return Ok(None);
    };
    if owners::is_anothers_account(db, &user)? {
        return Ok(None);
    }
    let wanted = user.tombstone.is_none() && user.account.active;
    if sent == Sent::Fields as i64 {
        // Where it is not there, its creation says them.
        if !wanted || user.observed.existence != Existence::Present {
            return Ok(None);
        }
        user.observed.forget_fields();
        users::save(db, &user)?;
        return Ok(user.dirty().then_some(Lane::User(UserKey(key))));
    }
    if i64::from(wanted) == sent || user.account_key.is_none() {
        return Ok(None);
    }
    if wanted && user.addable() {
        db.prepare_cached("UPDATE users SET stood = 1 WHERE key = ?1")?
            .execute([key])?;
    }
    user.unsure = 2;
    users::save(db, &user)?;
    Ok(Some(Lane::User(UserKey(key))))
}

/// A successor's members are said again too, early and once nothing can land any
/// more: a late deletion, and a late creation after it, leave a group of that name.
fn reopen_group(db: &Connection, key: i64, doubt: &Doubt, ended: bool) -> Result<Option<Lane>> {
    let Some(group) = groups::by_key(db, key)? else {
        return Ok(None);
    };
    let mut doubted = bearer(db, group)?;
    let wanted = doubted.tombstone.is_none();
    if i64::from(wanted) == doubt.sent || doubted.read_only.is_some() {
        return Ok(None);
    }
    if owners::is_anothers(db, &doubted)? {
        return Ok(None);
    }
    if doubted.key == key && doubted.renamed && doubted.existence == Existence::Present {
        // It is open still, and said again in its own time.
        return Ok(None);
    }
    if doubted.key != key && !doubted.ours && !perhaps::is_asked_for(db, doubted.key)? {
        // It was only found, and nobody here asks for it or for anybody in it.
        return Ok(None);
    }
    if !wanted && doubted.existence == Existence::Absent {
        perhaps::note_deleted(db, doubted.key)?;
    }
    doubted.existence = Existence::Unknown;
    groups::save(db, &doubted)?;
    let bearer = doubted.key;
    if (ended || doubt.early) && bearer != key {
        reopen_newer(db, bearer, -1)?;
    }
    if !wanted && recovery::withholds(db, doubted.connection, doubt.since)? {
        db.prepare_cached("UPDATE groups SET withheld = 1 WHERE key = ?1")?
            .execute([bearer])?;
    }
    try_again(db, doubted)?;
    Ok(Some(Lane::Group(GroupKey(bearer))))
}
