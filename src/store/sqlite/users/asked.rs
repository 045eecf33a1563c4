//! The identity provider's create and change of a user.

use rusqlite::Connection;
use serde_json::json;

use crate::{
    plan::state::UserKey,
    scim::{error::Problem, resource::ResourceId},
    store::{Actor, DecideUser, Millis, Precondition, UserRow, UserWritten, Watch, WriteError},
};

use super::{
    super::{
        addresses, approved, audit, begun, ended_elsewhere,
        fault::Result,
        given_back, guard, lanes, late, leaving, owners, protected, recovery, returned,
        row::check,
        unasked, upheld,
        withdrawal::{self, Withdrawal},
    },
    SOUGHT, UNJUDGED, User, by_key, insert, live, save, save_attributes,
};

pub(in super::super) fn create(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    row: &UserRow,
    actor: &Actor,
) -> Result<UserWritten> {
    let mut user = User::fresh(connection, id, row, actor.at)?;
    owners::claim_account(db, connection, user.account_key.as_deref())?;
    leaving::inherit(db, &mut user)?;
    user.seek(UNJUDGED);
    user.key = insert(db, &user, &row.attributes)?;
    for before in leaving::predecessors(db, &user)? {
        leaving::finish(db, before)?;
        user = by_key(db, user.key)?.unwrap_or(user);
    }
    point!("user.inserted");
    audit::record(
        db,
        connection,
        actor,
        "create_user",
        Some(id),
        &json!({ "version": 1 }),
    )?;
    Ok(user.written(None, true))
}

pub(in super::super) fn change(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    when: &Precondition,
    decide: DecideUser,
    actor: &Actor,
) -> Result<UserWritten> {
    let mut user = live(db, connection, id)?.ok_or(WriteError::Missing)?;
    check(when, user.version)?;
    let (before, changed) = (user.row()?, user.modified);
    let mut stored = user.stored()?;
    stored.asked_for |= late::is_doubted_account(db, user.key)?;
    let mut otherwise = false;
    let next = decide(&stored)?.map(|mut row| {
        let kept = before.account_key.clone();
        otherwise = row.account_key.is_some()
            && if row.account_key == kept {
                !stored.linked && stored.asked_for && is_named_otherwise(&before, &row)
            } else {
                stored.linked
            };
        row.account_key = if stored.linked {
            kept.or(row.account_key)
        } else {
            row.account_key.or(kept)
        };
        row
    });
    let ended = ended_elsewhere::is_noted(db, user.key)?;
    let next = next.filter(|next| *next != before);
    // Whom another connection has ended is asked for as it is shown.
    let next = next.or_else(|| ended.then(|| ended_elsewhere::as_shown(&before)));
    let Some(next) = next else {
        // A refused or staged user is tried again when it is asked for again,
        // and not when it is only asked what would be.
        if matches!(actor.watch, Watch::Rehearsed(_)) {
            return Ok(user.written(Some(before), false));
        }
        match user.refused.as_deref().filter(|_| is_upheld(&user)) {
            Some(protected::REASON) => upheld::judge_user(db, &user, actor)?,
            Some(why) => return Err(WriteError::Problem(Problem::new(403, why)).into()),
            None => {}
        }
        let refused = user.refused.take().is_some();
        // Another attempt, so that who asks now is not answered with the last one.
        user.version += i64::from(refused);
        let again = withdrawal::ask_again(db, &mut user)? | user.seek(UNJUDGED);
        let missed = user.asks_for_missed();
        if refused | again | missed | std::mem::take(&mut user.staged) {
            save(db, &user)?;
        }
        let groups = if user.account.active {
            Vec::new()
        } else {
            upheld::removals_of(db, &user, actor)?
        };
        approved::user_is_asked_for(db, &user, actor)?;
        let mut written = user.written(Some(before), false);
        written.groups = groups;
        return Ok(written);
    };
    let was_addable = user.addable();
    let was_withdrawn = user.withdrawn != Withdrawal::No;
    let mut upheld = user.refused.clone().filter(|_| is_upheld(&user));
    let same_role = next.account.role == before.account.role;
    let mut judged = before.clone();
    if upheld.is_some() && !same_role {
        // It has the one before, whatever was asked for since.
        judged.account.role = user.observed.last_role().map(str::to_owned);
    }
    if upheld.as_deref() == Some(protected::REASON) && upheld::may_go(db, &user, actor)? {
        upheld = None;
    }
    if ended {
        ended_elsewhere::take_over(db, &mut user)?;
    }
    put(db, &mut user, &next, actor.at)?;
    let moved = user.account_key != before.account_key;
    if moved {
        addresses::note_moved(db, user.key, actor.at)?;
        if leaving::inherit(db, &mut user)? {
            save(db, &user)?;
        }
        given_back::note_formers(db, user.key, &user)?;
        for before in leaving::predecessors(db, &user)? {
            leaving::finish(db, before)?;
            user = by_key(db, user.key)?.unwrap_or(user);
        }
    }
    if otherwise {
        addresses::note_otherwise(db, user.key)?;
    }
    if user.account.active {
        begun::end(db, UserKey(user.key))?;
    }
    returned::is_asked_for_user(db, user.key)?;
    let as_before = next.account.active == before.account.active && same_role;
    if upheld.is_some() && (as_before || !user.account.active) {
        user.refused = upheld;
        save(db, &user)?;
    }
    point!("user.changed");
    // What the application does not hold is everybody's own.
    if next.account != before.account || moved || ended {
        owners::claim_account(db, connection, user.account_key.as_deref())?;
    }
    guard::user_changed(db, &user, &judged, Some(&next), actor)?;
    approved::user_is_asked_for(db, &user, actor)?;
    let returns = was_withdrawn && user.account.active;
    if returns {
        withdrawal::reopen_refused(db, user.key, changed)?;
    }
    let mut groups = Vec::new();
    if before.account.active && !user.account.active || returns {
        groups = lanes::keep_open_adds(db, user.key)?;
    }
    let mut detail = json!({
        "version": user.version,
        "active": next.account.active,
        "was_active": before.account.active,
    });
    if actor.put {
        detail["put"] = true.into();
    }
    audit::record(db, connection, actor, "change_user", Some(id), &detail)?;
    if !was_addable && user.addable() || returns {
        groups = lanes::open_groups_of(db, user.key)?;
    }
    let mut written = user.written(Some(before), true);
    written.groups = groups;
    Ok(written)
}

/// By what an account is known, where it is by an address.
fn is_named_otherwise(before: &UserRow, next: &UserRow) -> bool {
    ["userName", "emails"]
        .iter()
        .any(|name| before.attributes.0.get(*name) != next.attributes.0.get(*name))
}

/// Not ended, or not lowered, because it is protected or may be somebody else's; see
/// [`protected`] and [`recovery`].
fn is_upheld(user: &User) -> bool {
    matches!(
        user.refused.as_deref(),
        Some(protected::REASON | recovery::WAITS)
    )
}

/// Lays a row over a stored user as a new version.
pub(in super::super) fn put(
    db: &Connection,
    user: &mut User,
    row: &UserRow,
    at: Millis,
) -> Result<()> {
    user.version += 1;
    user.modified = at;
    user.refused = None;
    user.staged = false;
    if row.account.active {
        user.withdrawn = Withdrawal::No;
    }
    user.attributes = serde_json::to_string(&row.attributes)?;
    let (ended, returns, moved) = (
        user.account.active && !row.account.active,
        !user.account.active && row.account.active,
        user.account_key != row.account_key,
    );
    user.account_key.clone_from(&row.account_key);
    user.account.clone_from(&row.account);
    if ended {
        unasked::mark(db, user.key)?;
    } else if returns {
        unasked::give_back(db, user)?;
    }
    if row.account.active && user.unsure >= SOUGHT {
        // What is found now is not to be taken for what was made.
        user.unsure = 0;
    } else if ended {
        user.seek(SOUGHT);
    } else if moved {
        user.seek(UNJUDGED);
    }
    user.asks_for_missed();
    save_attributes(db, user, &row.attributes)?;
    save(db, user)
}
