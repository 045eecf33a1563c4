//! Who goes with a group that is deleted: not only its members here. Others may have
//! been put into it by hand, and they are nobody's to take away unseen (reliability:
//! I-24, I-26, G-3). So a look comes before the deletion is judged, and another one
//! before it is sent, if that is later: whoever came since is judged then.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    plan::{
        guard::{Excess, Guard, Protection, Taking},
        state::{Existence, GroupKey},
    },
    scim::resource::ResourceId,
    store::{
        Actor, Doomed, GroupWritten, HoldId, HoldState, KEPT, Kept, Late, Others, ShownMember,
        Watch, WriteError,
    },
};

use super::{
    audit,
    fault::{Fault, Result},
    found,
    groups::{self, Group},
    guard::{self, is_protected, keep_protected_members},
    held, leaving,
    members::Flushed,
    removals::{self, Place},
    row::id_at,
    users,
};

/// The rules that look at who is in a group; `None` where there are none.
fn watches(actor: &Actor) -> Option<&Guard> {
    let watching = |guard: &&Guard| guard.enabled || !guard.protected.users.is_empty();
    actor.watch.guard().filter(watching)
}

/// See [`crate::store::Guarding::doomed`].
pub(super) fn find(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    actor: &Actor,
) -> Result<Option<Doomed>> {
    if watches(actor).is_none() {
        return Ok(None);
    }
    let Some(key) = groups::key_of(db, connection, id)? else {
        return Ok(None);
    };
    let by_operator = matches!(actor.watch, Watch::Approved(..) | Watch::Rehearsed(_));
    let found = groups::by_key(db, key)?.filter(|group| {
        let may_be_there = group.existence != Existence::Absent || group.made;
        let named = group.id_known != Some(false);
        let ours = group.ours && group.read_only.is_none();
        may_be_there && named && ours && (by_operator || group.tombstone.is_none())
    });
    Ok(found.map(|group| Doomed {
        group: GroupKey(group.key),
        name: group.upstream_name,
    }))
}

/// See [`crate::store::Guarding::others`].
pub(super) fn others(
    db: &Connection,
    group: i64,
    shown: &[ShownMember],
    actor: &Actor,
) -> Result<Others> {
    match (watches(actor), groups::by_key(db, group)?) {
        (Some(guard), Some(group)) => others_in(db, &group, shown, guard),
        _ => Ok(Others::default()),
    }
}

/// Who left here, or is to be taken out, has been judged and loses nothing by it.
fn others_in(
    db: &Connection,
    group: &Group,
    shown: &[ShownMember],
    guard: &Guard,
) -> Result<Others> {
    let mut others = Others::default();
    for (upstream_id, account) in shown {
        let (id, account) = (upstream_id.as_deref(), account.as_deref());
        let user = found::member(db, group.connection, id, account)?;
        let (loses, protected) = match user {
            Some((user, _)) => one(db, group, user, guard)?,
            None => {
                let names = [id, account].into_iter().flatten();
                let protected = guard.protected.is_user(names);
                let within = protected.then_some(Protection::Within(group.id));
                (!has_left(db, group.connection, account)?, within)
            }
        };
        others.count += u64::from(loses);
        others.protected = others.protected.or(protected);
    }
    Ok(others)
}

/// Whether a user who is shown loses a membership that is none here, and whether
/// that is somebody protected.
fn one(
    db: &Connection,
    group: &Group,
    user: i64,
    guard: &Guard,
) -> Result<(bool, Option<Protection>)> {
    let mut select = db.prepare_cached(
        "SELECT u.id, u.user_name_key, u.account_key, u.wants AND NOT EXISTS (
             SELECT 1 FROM memberships WHERE group_key = ?2 AND user_key = u.key)
         FROM users u WHERE u.key = ?1",
    )?;
    let found = select.query_row([user, group.key], |row| {
        let protected = is_protected(row, guard)?;
        let protection = protected.then_some(Protection::User(id_at(row, 0)?));
        Ok((row.get(3)?, protection))
    });
    let (loses, protection) = found.optional()?.unwrap_or_default();
    Ok((loses && !is_yet_to_come(db, user)?, protection))
}

/// Whose account is shown there as somebody's who was deleted here with it.
fn is_yet_to_come(db: &Connection, user: i64) -> Result<bool> {
    let user = users::by_key(db, user)?;
    let Some(user) = user.filter(|user| user.observed.existence == Existence::Absent) else {
        return Ok(false);
    };
    let account = user.account_key.as_deref();
    Ok(leaving::must_wait(db, &user)? || leaving::had_it_before(db, user.connection, account)?)
}

fn has_left(db: &Connection, connection: i64, account: Option<&str>) -> Result<bool> {
    let Some(account) = account.map(str::to_lowercase) else {
        return Ok(false);
    };
    Ok(found::by_account(db, connection, &account)?.is_some()
        || leaving::departed(db, connection, &account)?.is_some())
}

/// A deletion that was kept by the guard rails when it was to be sent, and that an
/// operator approves, or asks about.
pub(super) fn go_on(
    db: &Connection,
    (connection, id): (i64, ResourceId),
    others: Option<Others>,
    actor: &Actor,
) -> Result<GroupWritten> {
    let by_operator = matches!(actor.watch, Watch::Approved(..) | Watch::Rehearsed(_));
    let key = groups::key_of(db, connection, id)?.filter(|_| by_operator);
    let group = key
        .map(|key| groups::by_key(db, key))
        .transpose()?
        .flatten();
    let kept = |group: &Group| {
        let reason = group.refused.as_deref();
        group.tombstone.is_some() && reason.is_some_and(|it| it.ends_with(KEPT))
    };
    let mut group = group.filter(kept).ok_or(WriteError::Missing)?;
    let judged = Group {
        members: members(db, group.key)?,
        ..group.clone()
    };
    guard::group_goes(db, &judged, others, actor)?;
    group.refused = None;
    group.seq += 1;
    groups::save(db, &group)?;
    let detail = json!({ "version": group.version, "let_go": true });
    audit::record(db, connection, actor, "delete_group", Some(id), &detail)?;
    Ok(group.written(true, Flushed::default()))
}

/// Of a deleted group, too.
fn members(db: &Connection, group: i64) -> Result<i64> {
    Ok(db
        .prepare_cached("SELECT count(*) FROM memberships WHERE group_key = ?1 AND desired = 1")?
        .query_row([group], |row| row.get(0))?)
}

/// See [`crate::store::Guarding::keeps`].
pub(super) fn keeps(
    db: &Connection,
    group: i64,
    shown: &[ShownMember],
    late: &Late,
    actor: &Actor,
) -> Result<Option<String>> {
    let group = groups::by_key(db, group)?;
    let (Some(guard), Some(group)) = (watches(actor), group) else {
        return Ok(None);
    };
    let Some(since) = group.tombstone else {
        return Ok(None);
    };
    let others = others_in(db, &group, shown, guard)?;
    let protected = match keep_protected_members(db, guard, group.key) {
        Err(Fault::Refused(WriteError::Protected(protection))) => Some(protection),
        Err(fault) => return Err(fault),
        Ok(()) => others.protected,
    };
    if let Some(protection) = protected {
        held::note_protected(db, group.connection, protection, actor)?;
        return Ok(Some(format!("{protection}{KEPT}")));
    }
    if !guard.enabled {
        return Ok(None);
    }
    let (approved, rejected) = held::decided(db, group.connection, &late.request.digest)?;
    let counted = removals::from_group_since(db, group.key, since)?;
    let members = u64::try_from(members(db, group.key)?).unwrap_or(0);
    let size = members.saturating_add(others.count);
    if size <= members.max(counted).max(approved.unwrap_or(0)) {
        return Ok(None);
    }
    let place = Place {
        connection: group.connection,
        group: Some((group.key, size)),
    };
    // Without what was counted of this deletion itself.
    let mut history = removals::history(db, guard, place, actor.at)?;
    history.from_group = history.from_group.saturating_sub(counted);
    history.from_all = history.from_all.saturating_sub(counted);
    history.group_size = history.group_size.max(size);
    history.waiting = false;
    let over = match guard.judge(Taking::Group { size }, &history) {
        Ok(()) => {
            let more = Taking::Group {
                size: size.saturating_sub(counted),
            };
            removals::record(db, guard, place, (more, &[]), actor.at)?;
            return Ok(None);
        }
        Err(over) => over,
    };
    let why = format!("more are in the Group than when its deletion was asked for: {over}");
    if rejected {
        return Ok(Some(format!("{why}; {REJECTED}{KEPT}")));
    }
    let (effect, moved) = guard::deletion(db, &group, size)?;
    let excess = Excess {
        over,
        effect,
        moved,
        anew: None,
    };
    let (request, room) = (&late.request, late.room);
    let kept = held::keep(db, group.connection, late.id, request, &excess, room, actor)?;
    Ok(Some(match kept {
        Kept::New(id) | Kept::Before(id, _) => {
            format!("{why}; {}{KEPT}", held_as(&id.to_string()))
        }
        Kept::NoRoom => format!("{why}; too many requests are held to keep it as one{KEPT}"),
    }))
}

/// What is said of a deletion that was rejected when it was judged, or is.
const REJECTED: &str = "an operator has rejected that";
const EXPIRED: &str =
    "nobody has decided about it in time (a reconciliation that repairs asks again)";

fn held_as(hold: &str) -> String {
    format!("it is held as {hold} for an operator (drawbridge held show {hold})")
}

/// Why a deletion stays that was held when it was to be sent, and is no more.
pub(super) fn note_decided(
    db: &Connection,
    connection: i64,
    hold: HoldId,
    state: HoldState,
) -> Result<()> {
    let now = match state {
        HoldState::Rejected => REJECTED,
        _ => EXPIRED,
    };
    db.prepare_cached(
        "UPDATE groups SET refused = replace(refused, ?2, ?3)
         WHERE connection = ?1 AND tombstone IS NOT NULL AND instr(refused, ?2) > 0",
    )?
    .execute(params![connection, held_as(&hold.to_string()), now])?;
    Ok(())
}
