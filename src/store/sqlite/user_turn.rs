//! One turn of a user's lane: handed out with a mark that survives a crash,
//! ended with what was learned.

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::{
    plan::{
        operation::Operation,
        state::{Existence, UserKey, UserWork},
    },
    store::{Lane, Millis, Took, UNANSWERED, UserLearned, UserTurn},
};

use super::{
    addresses, audit,
    fault::Result,
    given_back, holdings, keys, lanes,
    late::{self, Sent},
    leaving, linked, offered, owners, refusals, seats, sharing, unasked,
    users::{self, SOUGHT, UNJUDGED, User},
    withdrawal::{self, Withdrawal},
};

const LANE: &str = "user";

pub(super) fn begin(db: &Connection, key: UserKey) -> Result<Option<UserTurn>> {
    let Some((mut user, turn)) = prepare(db, key)? else {
        return Ok(None);
    };
    // Of one that is kept it stays unknown, or known, whether it was ended before.
    let is_kept = user.is_kept();
    if !is_kept {
        let stays = user.account.active == (user.observed.existence == Existence::Present);
        user.unsure = user.unsure.max(if stays { 1 } else { 2 });
    }
    user.observed.inherit(&turn.work.observed);
    user.turn = Some(user.version);
    users::save(db, &user)?;
    if !user.account.active && !is_kept {
        db.prepare_cached("UPDATE users SET stood = 0 WHERE key = ?1")?
            .execute([user.key])?;
    }
    point!("user-turn.marked");
    audit::open_intent(
        db,
        LANE,
        user.key,
        user.version,
        &json!({ "unsure": user.unsure, "operations": intended(&turn.work) }),
    )?;
    Ok(Some(turn))
}

/// What such a turn is about to be sent, as far as that is known before it is
/// planned.
fn intended(work: &UserWork) -> Value {
    let (wanted, observed) = (&work.wanted, &work.observed);
    let there = observed.existence == Existence::Present;
    let changes = wanted.active && there;
    let all = [
        ("deactivate_user", !wanted.active),
        ("create_user", wanted.active && !there),
        ("set_role", changes && wanted.role != observed.role),
        (
            "upsert_profile",
            changes && observed.profile.as_ref() != Some(&wanted.profile),
        ),
    ];
    let named = all.into_iter().filter(|(_, is_intended)| *is_intended);
    named
        .map(|(name, _)| json!({ "operation": name }))
        .collect()
}

pub(super) fn next_takes(db: &Connection, key: i64) -> Result<Option<bool>> {
    let Some(user) = users::by_key(db, key)?.filter(User::dirty) else {
        return Ok(None);
    };
    Ok((!keys::are_open(db, user.connection)?).then_some(!user.wanted().active))
}

/// What a turn would be handed out; writes nothing.
pub(super) fn prepare(db: &Connection, key: UserKey) -> Result<Option<(User, UserTurn)>> {
    let Some(user) = users::by_key(db, key.0)?.filter(User::dirty) else {
        return Ok(None);
    };
    let Some(mut principal) = user.principal() else {
        return Ok(None);
    };
    if keys::are_open(db, user.connection)? {
        return Ok(None);
    }
    if !user.account.active || user.tombstone.is_some() {
        // What is there by now is that one's to end.
        if owners::is_anothers_account(db, &user)? {
            return Ok(None);
        }
        principal.elsewhere = seats::spared(db, &user)?;
        principal.families = offered::families_of(db, user.key)?;
        principal.twins = addresses::others(db, &user)?;
    }
    if user.tombstone.is_none() && leaving::must_wait(db, &user)? {
        return Ok(None);
    }
    if withdrawal::is_open(db, &user)? {
        return Ok(None);
    }
    let mut observed = user.observed.clone();
    let wanted = user.wanted();
    if wanted.active {
        // It is about to be named.
        let fields = user.account.profile.keys().cloned();
        observed.may_have.extend(fields);
        observed.may_have_role |= wanted.role.is_some();
    }
    if user.is_kept() {
        // Nor is it given a plain role, where none is known.
        observed.may_have_role = false;
    }
    let work = UserWork {
        principal,
        wanted,
        observed,
        deleted: user.tombstone.is_some(),
        memberships: withdrawal::groups_of(db, &user)?,
    };
    let asked_since = addresses::asked_since(db, &user)?;
    let is_had_again = user.unsure > 0 && given_back::was_ended(db, user.key)?;
    let turn = UserTurn {
        work,
        version: user.version.cast_unsigned(),
        since: (!is_had_again).then_some(asked_since),
        // Of that the lanes know.
        listed: None,
        withdrawn: withdrawal::outcome(db, &user)?,
        asked: user.modified,
        begun: withdrawal::is_begun(&user),
        formerly: leaving::formerly(db, &user)?,
        unsure: !user.is_kept()
            && (user.unsure > 0 || user.observed.existence == Existence::Unknown),
        unjudged: user.unsure == UNJUDGED,
    };
    Ok(Some((user, turn)))
}

pub(super) fn end(
    db: &Connection,
    key: UserKey,
    mut learned: UserLearned,
    at: Millis,
) -> Result<Vec<Lane>> {
    let Some(mut user) = users::by_key(db, key.0)? else {
        return Ok(Vec::new());
    };
    let moved =
        learned.about.is_some() && learned.about != user.account_key && user.account_key.is_some();
    if moved {
        // It is to be found by another address by now, of which nothing was
        // learned.
        learned = UserLearned {
            settled: true,
            calls: learned.calls,
            ..UserLearned::default()
        };
    }
    // A write that came during the turn deserves a turn of its own.
    let overtaken = user.turn.take().is_some_and(|begun| begun != user.version);
    let known_as = user.upstream_id.clone();
    let was_there = user.observed.existence == Existence::Present;
    let is_kept = user.is_kept();
    if learned.found && user.account.active {
        // It was looked for to be ended, and is not taken for what was made.
        (learned.observed, learned.upstream_id) = (None, None);
    }
    if let Some(observed) = learned.observed {
        let before = std::mem::replace(&mut user.observed, observed);
        user.observed.inherit(&before);
    }
    if learned.settled && !is_kept {
        let looked = user.unsure >= SOUGHT;
        user.unsure = 0;
        if overtaken && !moved && !looked {
            // Who is to have no account by now, and was not sent one.
            user.seek(SOUGHT);
        }
    }
    if learned.linked && user.observed.existence == Existence::Present {
        linked::note(db, user.key)?;
    }
    note_unanswered(db, user.key, &learned.calls, at)?;
    if learned.settled && !late::is_doubted_account(db, user.key)? {
        user.observed.may_have_role = false;
        if user.observed.profile.is_some() {
            user.observed.may_have.clear();
        }
    }
    if learned.upstream_id.is_some() {
        user.upstream_id = learned.upstream_id;
    }
    let refused = learned.refused.is_some();
    if !overtaken && refused && is_kept {
        user.observed.refused = Some(user.account.profile.clone());
    } else if !overtaken && refused {
        user.refused = learned.refused;
    }
    user.staged = learned.staged && !overtaken;
    let mut open: Vec<Lane> = Vec::new();
    if learned.withdraws {
        open.extend(withdrawal::begin(db, &mut user, false)?);
    } else if learned.meanwhile && user.withdrawn != Withdrawal::Meanwhile {
        open.extend(withdrawal::begin_meanwhile(db, &mut user, false)?);
    } else if learned.withdrawn {
        withdrawal::note_end(&mut user);
    }
    users::save(db, &user)?;
    point!("user-turn.saved");
    let ended = learned.settled && !refused;
    for (operation, outcome, took) in &learned.calls {
        sharing::ended_in_part(db, &user, (&took.ended, ended), at)?;
        if let Operation::DeactivateUser { principal } = operation
            && ended
            && outcome != UNANSWERED
        {
            addresses::forget(db, user.connection, principal)?;
            holdings::forget(db, user.key)?;
            leaving::note_ended(db, user.key, at)?;
            sharing::ended(db, &user, principal, at)?;
            open.extend(withdrawal::note_account_ended(db, &mut user)?);
        }
    }
    if learned.recreated {
        want_again(db, &user, known_as.as_deref(), learned.may_stand)?;
    } else if user.never_there() {
        settle_pairs(db, user.key)?;
    }
    let arrives = !was_there && user.observed.existence == Existence::Present;
    if arrives && user.tombstone.is_none() {
        leaving::comes_to_have(db, &user)?;
        let left = refusals::take_away_left(db, user.key, at)?;
        open.extend(left.into_iter().map(Lane::Group));
    }
    if learned.recreated || arrives {
        let before = (known_as.as_deref(), learned.may_stand);
        sharing::want_again(db, &user, before, at)?;
    }
    audit::close_intent(db, LANE, user.key)?;
    let mut detail =
        json!({ "settled": learned.settled, "refused": refused, "recreated": learned.recreated });
    if learned.staged {
        detail["staged"] = true.into();
    }
    if let Some(taken) = learned.taken_over {
        let taken_over = json!({ "differs": taken.differs, "older": taken.older });
        if taken.differs || taken.older {
            let (by, detail) = (sharing::engine(at), json!({ "taken_over": taken_over }));
            audit::record(db, user.connection, &by, "drift", Some(user.id), &detail)?;
        }
        detail["taken_over"] = taken_over;
    }
    if learned.withdraws {
        detail["withdraws"] = true.into();
    }
    audit::record_turn(
        db,
        user.connection,
        at,
        "user_turn",
        user.id,
        &learned.calls,
        detail,
    )?;
    if overtaken && user.dirty() {
        open.push(Lane::User(key));
    }
    // Who waits for a pair of a staged user is told that it waits.
    if user.addable() || learned.staged {
        let groups = lanes::open_groups_of(db, user.key)?;
        open.extend(groups.into_iter().map(Lane::Group));
    }
    open.extend(leaving::finish(db, user.key)?);
    Ok(open)
}

/// What may still land, although nothing was heard of it.
fn note_unanswered(
    db: &Connection,
    user: i64,
    calls: &[(Operation, String, Took)],
    at: Millis,
) -> Result<()> {
    let unanswered = calls.iter().filter(|call| call.1 == UNANSWERED);
    for (operation, ..) in unanswered {
        let sent = match operation {
            // A read that lags may show the account that was there before.
            Operation::CreateUser { .. } => Sent::Either,
            Operation::DeactivateUser { .. } => Sent::Absent,
            Operation::SetRole { .. } | Operation::UpsertProfile { .. } => Sent::Fields,
            _ => continue,
        };
        late::note_account(db, user, sent, at)?;
    }
    Ok(())
}

/// The account is new: what the application knows of its memberships is gone
/// or not known, so all of them are put there again (reliability: I-15), also
/// those that are on their way: they may have been done for the account before. With
/// `may_stand` they may be there by that one still, should they be refused now.
fn want_again(db: &Connection, user: &User, known_as: Option<&str>, may_stand: bool) -> Result<()> {
    unasked::forget_unseen(db, user)?;
    let let_go = serde_json::to_string(&sharing::let_go(db, user, known_as)?)?;
    db.prepare_cached(
        "UPDATE memberships SET observed = 2, before = NULL, sent = NULL,
             stood = iif(?3 AND (observed = 1 OR stood <> 0), 2, 0)
         WHERE user_key = ?1 AND desired = 1
         AND group_key NOT IN (SELECT value FROM json_each(?2))
         AND group_key IN (
             SELECT key FROM groups WHERE tombstone IS NULL AND read_only IS NULL
                 AND NOT (existence = 0 AND made = 1 AND refused IS NOT NULL))",
    )?
    .execute(params![user.key, let_go, may_stand])?;
    // Who was to go may be asked for again before that is said, or before the answer
    // comes, which is about the account before.
    db.prepare_cached(
        "UPDATE memberships SET observed = 2, before = NULL, sent = NULL,
             stood = iif(?2 AND (observed = 1 OR stood <> 0), 2, 0)
         WHERE user_key = ?1 AND desired = 0 AND (sent IS NOT NULL OR observed = 1)",
    )?
    .execute(params![user.key, may_stand])?;
    Ok(())
}

/// There is no such account, so it is a member of nothing.
fn settle_pairs(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM memberships WHERE user_key = ?1 AND desired = 0")?
        .execute([user])?;
    db.prepare_cached(
        "UPDATE memberships SET observed = 0, stood = 0
         WHERE user_key = ?1 AND desired = 1 AND observed <> 0
         AND group_key IN (SELECT key FROM groups WHERE tombstone IS NULL AND read_only IS NULL)",
    )?
    .execute([user])?;
    Ok(())
}
