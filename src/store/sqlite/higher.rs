//! A user who is asked for in a group of a family, and is shown to be in one before it
//! that no row tells of. Nobody asked for that, and no import found it before: it is what
//! the application gives by itself, or somebody gave in it, and gives way to what is
//! asked for. That is a removal from the higher group, so it is judged and counted as one
//! (reliability: section 6), once for each pair that is sent.
//!
//! Where nobody can tell yet whose wish it is, or the lower one was not asked for just
//! now, it stays and is found from here on: shown in the group, told by reconciliations.
//! So whatever stays is seen (reliability: I-01).

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    plan::guard::{Guard, Protection, Taking},
    store::{Actor, Higher, KEPT},
};

use super::{
    audit,
    fault::Result,
    groups::{self, Group},
    guard::{self, Named},
    held, import, late, protected, recovery,
    removals::{self, Place},
    seats,
    users::{self, User},
};

const AGAIN: &str = "ask again when more time has passed, or an operator has raised the limit in \
    the configuration, or take it away in the application";
const UNREAD: &str = "the user has another one of the groups that exclude each other in the \
    application, which stands before this one and is no Group here yet, so that it is not known \
    whose wish that is; ask again after an import, or take it away in the application";

/// See [`crate::store::Store::higher`].
pub(super) fn judge(
    db: &Connection,
    (group, user): (i64, i64),
    has: &str,
    actor: &Actor,
) -> Result<Higher> {
    let (own, who) = (groups::by_key(db, group)?, users::by_key(db, user)?);
    let (Some(own), Some(who)) = (own, who) else {
        return Ok(Higher::Stays);
    };
    let Some(asked) = asked(db, (group, user))? else {
        return Ok(Higher::Stays);
    };
    let Some(above) = above(db, &own, has)? else {
        return Ok(if is_in_another_before(db, &own, user)? {
            Higher::Stays
        } else {
            Higher::Refused(UNREAD.to_owned())
        });
    };
    if is_known(db, &above, user)? {
        return Ok(Higher::Stays);
    }
    if recovery::is_unseen(db, own.connection)? {
        return Ok(Higher::Waits);
    }
    let doubtful = recovery::is_any(db, own.connection)?
        || !recovery::was_imported(db, own.connection)?
        || seats::is_anothers(db, user, above.key)?;
    if doubtful || asked == Asked::Before {
        return find(db, above, (&own, &who), actor);
    }
    if let Err(reason) = may_go(db, &above, &who, actor)? {
        return match asked {
            Asked::Now => Ok(Higher::Refused(reason)),
            // Nobody waits for an answer, and what was asked for is not forgotten.
            _ => find(db, above, (&own, &who), actor),
        };
    }
    record(db, "give_way", (&above, &own), &who, actor)?;
    Ok(Higher::GivesWay)
}

/// See [`crate::store::Store::higher_stays`].
pub(super) fn stays(
    db: &Connection,
    (group, user): (i64, i64),
    has: &str,
    actor: &Actor,
) -> Result<()> {
    let (own, who) = (groups::by_key(db, group)?, users::by_key(db, user)?);
    let (Some(own), Some(who)) = (own, who) else {
        return Ok(());
    };
    let Some(above) = above(db, &own, has)? else {
        return Ok(());
    };
    removals::take_back(db, above.key, user)?;
    record(db, "keep_higher", (&above, &own), &who, actor)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nothing was sent of it, or known of it, before.
    Now,
    /// It is said once more.
    Again,
    /// It was known to be there: something else was given since.
    Before,
}

/// How the pair that is sent is asked for; `None` if it is not, any more.
fn asked(db: &Connection, (group, user): (i64, i64)) -> Result<Option<Asked>> {
    let pair: Option<(i64, i64)> = db
        .prepare_cached(
            "SELECT coalesce(before, observed), stood FROM memberships
             WHERE group_key = ?1 AND user_key = ?2 AND desired = 1 AND managed = 1",
        )?
        .query_row([group, user], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some(pair) = pair else { return Ok(None) };
    Ok(Some(match pair {
        (1, _) | (_, 1) => Asked::Before,
        _ if had_another(db, (group, user))? => Asked::Before,
        (0, _) => Asked::Now,
        _ => Asked::Again,
    }))
}

/// Whether the user was known to have another group of the family, asked for, or found and
/// before this one: what is shown was given since that.
fn had_another(db: &Connection, (group, user): (i64, i64)) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM groups o JOIN groups g ON g.connection = o.connection
                 AND g.family = o.family AND g.key <> o.key AND g.tombstone IS NULL
             JOIN memberships m ON m.group_key = g.key AND m.user_key = ?2
             WHERE o.key = ?1 AND m.desired = 1 AND (m.managed = 1 OR g.rank < o.rank)
               AND (coalesce(m.before, m.observed) = 1 OR m.stood = 1)",
        )?
        .exists([group, user])?)
}

fn above(db: &Connection, own: &Group, has: &str) -> Result<Option<Group>> {
    let Some(family) = &own.family else {
        return Ok(None);
    };
    let key: Option<i64> = db
        .prepare_cached(
            "SELECT key FROM groups WHERE connection = ?1 AND upstream_name = ?2 AND family = ?3
               AND rank < ?4 AND tombstone IS NULL",
        )?
        .query_row(
            params![own.connection, has, family.name, family.rank],
            |row| row.get(0),
        )
        .optional()?;
    Ok(key
        .map(|key| groups::by_key(db, key))
        .transpose()?
        .flatten())
}

fn is_in_another_before(db: &Connection, own: &Group, user: i64) -> Result<bool> {
    let Some(family) = &own.family else {
        return Ok(false);
    };
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = ?1 AND g.connection = ?2 AND g.family = ?3 AND g.rank < ?4
               AND g.tombstone IS NULL",
        )?
        .exists(params![user, own.connection, family.name, family.rank])?)
}

/// Whether a user is asked for in the group or in one before it, was found in it, by any
/// connection, or may have it of a call that is looked after.
fn is_known(db: &Connection, above: &Group, user: i64) -> Result<bool> {
    let Some(family) = &above.family else {
        return Ok(true);
    };
    let here = db
        .prepare_cached(
            "SELECT 1 FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = ?1 AND g.connection = ?2 AND g.family = ?3
               AND (g.key = ?4 OR g.rank <= ?5 AND m.desired = 1 AND m.managed = 1)
               AND g.tombstone IS NULL",
        )?
        .exists(params![
            user,
            above.connection,
            family.name,
            above.key,
            family.rank
        ])?;
    Ok(here
        || late::is_doubted_pair(db, (above.key, user))?
        || seats::is_known_elsewhere(db, user, (&family.name, &above.upstream_name))?)
}

/// It stays, and is shown and told from now on.
fn find(
    db: &Connection,
    mut above: Group,
    (own, who): (&Group, &User),
    actor: &Actor,
) -> Result<Higher> {
    let newcomer = (who.key, *who.id.as_bytes());
    if import::find_member(db, &mut above, newcomer, None)? {
        above.version += 1;
        above.seq += 1;
        above.modified = above.modified.max(actor.at);
        groups::save(db, &above)?;
        record(db, "found_higher", (&above, own), who, actor)?;
    }
    Ok(Higher::Stays)
}

/// Why the guard keeps a user in a group; counts what goes otherwise.
fn may_go(
    db: &Connection,
    above: &Group,
    who: &User,
    actor: &Actor,
) -> Result<std::result::Result<(), String>> {
    let Some(guard) = actor.watch.guard() else {
        return Ok(Ok(()));
    };
    let named = Named::of(above)?;
    let kept = |why: &str| {
        format!(
            "the user has {:?} (the Group {}) in the application, which stands before this \
             one and was not asked for here, and to give this one would take that away: \
             {why}{KEPT}",
            named.shown(),
            above.id
        )
    };
    if let Some(protection) = protection(guard, &named, who, actor)? {
        held::note_protected(db, above.connection, protection, actor)?;
        return Ok(Err(kept(&protection.to_string())));
    }
    if !guard.enabled {
        return Ok(Ok(()));
    }
    // Who is in it unknown to us is in it, too.
    let size = u64::try_from(above.members).unwrap_or(0);
    let others = size > 0 && guard::has_active(db, above.key)?;
    let taking = Taking::Members {
        going: 1,
        size: size.saturating_add(1),
        left: if others { size } else { 0 },
    };
    let place = Place {
        connection: above.connection,
        group: Some((above.key, size.saturating_add(1))),
    };
    removals::count_anew(db, place, &[who.key])?;
    let history = removals::history(db, guard, place, actor.at)?;
    if let Err(over) = guard.judge(taking, &history) {
        return Ok(Err(kept(&format!("{over}; {AGAIN}"))));
    }
    removals::record(db, guard, place, (taking, &[who.key]), actor.at)?;
    Ok(Ok(()))
}

/// Who is left in a protected group is known by what was read of it, and this is what
/// was not: so nobody is taken out of it.
fn protection(
    guard: &Guard,
    named: &Named,
    who: &User,
    actor: &Actor,
) -> Result<Option<Protection>> {
    if protected::protects(who, actor)? {
        return Ok(Some(Protection::User(who.id)));
    }
    let is_protected = guard.protected.least(named.all()).is_some();
    Ok(is_protected.then(|| Protection::Unread(named.id())))
}

fn record(
    db: &Connection,
    act: &str,
    (above, own): (&Group, &Group),
    who: &User,
    actor: &Actor,
) -> Result<()> {
    let detail = json!({
        "former": above.id.to_string(),
        "former_name": above.upstream_name,
        "asked": own.id.to_string(),
        "asked_name": own.upstream_name,
    });
    audit::record(db, above.connection, actor, act, Some(who.id), &detail)
}
