//! The guard rails where no request is judged: what a reconciliation may end,
//! and what was accepted before it was protected. What is protected is so now,
//! whatever was asked for before (reliability: I-24, G-5).

use std::collections::HashSet;

use rusqlite::{Connection, Row};

use crate::{
    plan::{guard::Taking, state::UserKey},
    store::Actor,
};

use super::{
    fault::Result,
    groups::Group,
    guard::{Named, is_protected, names_of},
    removals::{self, Place},
    users::User,
};

/// Whether a user is protected now, whatever was asked for before.
pub(super) fn protects(user: &User, actor: &Actor) -> Result<bool> {
    let Some(guard) = actor
        .watch
        .guard()
        .filter(|g| !g.protected.users.is_empty())
    else {
        return Ok(false);
    };
    let id = user.id.to_string();
    Ok(guard.protected.is_user(names_of(&id, &user.row()?)))
}

/// Those of the members of a group who are protected now; all of them where the
/// group is.
pub(super) fn protected_among<'u>(
    db: &Connection,
    group: &Group,
    users: impl Iterator<Item = &'u UserKey>,
    actor: &Actor,
) -> Result<HashSet<UserKey>> {
    let Some(guard) = actor.watch.guard().filter(|g| !g.protected.is_empty()) else {
        return Ok(HashSet::new());
    };
    let whole = guard.protected.least(Named::of(group)?.all()).is_some();
    let mut select =
        db.prepare_cached("SELECT id, user_name_key, account_key FROM users WHERE key = ?1")?;
    let mut kept = HashSet::new();
    for user in users {
        let is_protected = |row: &Row<'_>| is_protected(row, guard);
        if whole || select.query_row([user.0], is_protected)? {
            kept.insert(*user);
        }
    }
    Ok(kept)
}

/// Whether these accounts of one connection may be ended again at once, and
/// counts them if so. What an operator believes counts, and is not too much.
pub(super) fn accounts_end(
    db: &Connection,
    users: &[User],
    believed: bool,
    actor: &Actor,
) -> Result<bool> {
    let guard = actor.watch.guard().filter(|guard| guard.enabled);
    let (Some(guard), Some(first)) = (guard, users.first()) else {
        return Ok(true);
    };
    let place = Place {
        connection: first.connection,
        group: None,
    };
    let history = removals::history(db, guard, place, actor.at)?;
    if history.recovery || !believed && !guard.may_end(users.len() as u64, &history) {
        return Ok(false);
    }
    let keys: Vec<i64> = users.iter().map(|user| user.key).collect();
    removals::count_anew(db, place, &keys)?;
    for key in keys {
        removals::record(db, guard, place, (Taking::Access, &[key]), actor.at)?;
    }
    Ok(true)
}
