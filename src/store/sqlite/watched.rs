//! What has to stay in a group that the guard watches, for a look at the
//! application before anybody is taken out of it: what is remembered can be as
//! old as the last reading, and somebody may have taken the others out by hand
//! (reliability: I-24, G-3, G-5). What a look has to show is told here; who
//! looks is the lane.

use rusqlite::{Connection, params};

use crate::{
    plan::{
        guard::{Guard, Over, Protection, Rule},
        state::{ConnectionKey, GroupKey, Principal, UserKey},
    },
    store::{Actor, Lane, Millis, Rail, Watched},
};

use super::{
    audit,
    fault::Result,
    groups::{self, Group},
    guard::{NOBODY, Named, stands},
    removals::{self, Place},
    users::principal_at,
};

/// The groups that a lane's removals can leave with too few: the lane's own, or
/// those of a user who is about to lose access.
pub(super) fn of_lane(
    db: &Connection,
    lane: Lane,
    going: &[UserKey],
    before: Millis,
    actor: &Actor,
) -> Result<Vec<Watched>> {
    let Some(guard) = actor.watch.guard() else {
        return Ok(Vec::new());
    };
    let (keys, leaver) = match lane {
        Lane::Group(group) => (vec![group.0], NOBODY),
        Lane::User(user) if guard.protected.has_groups() => (groups_of(db, user.0)?, user.0),
        Lane::User(_) => return Ok(Vec::new()),
    };
    let mark = audit::mark(db, before)?;
    let mut watched = Vec::new();
    for key in keys {
        let Some(group) = groups::by_key(db, key)?.filter(|it| it.tombstone.is_none()) else {
            continue;
        };
        let rail = match lane {
            Lane::Group(_) => rail(db, guard, &group, (going, actor.at))?,
            Lane::User(_) => least(guard, &group)?,
        };
        let Some((rail, most)) = rail else { continue };
        let Losing {
            going,
            mut leaving,
            mut withdrawn,
        } = with_access(db, going)?;
        if matches!(rail, Rail::Emptied(_)) {
            // Who leaves altogether is no removal from a group, and goes in time.
            leaving.clear();
            withdrawn.clear();
        }
        if matches!(lane, Lane::Group(_)) && going.is_empty() && leaving.is_empty() {
            continue;
        }
        let found = staying(db, key, leaver, most)?;
        if found.stay.is_empty() && matches!(rail, Rail::Emptied(_)) {
            // Nobody was to stay, and whoever judged that has seen it.
            continue;
        }
        watched.push(Watched {
            connection: ConnectionKey(group.connection),
            group: GroupKey(key),
            id: group.id,
            name: group.upstream_name.clone(),
            rail,
            stay: found.stay,
            hoped: found.hoped,
            unsure: found.unsure,
            going,
            leaving,
            withdrawn,
            lately: was_turned(db, key, mark)?,
            doubted: leaver != NOBODY && is_doubted(db, key, leaver)?,
        });
    }
    Ok(watched)
}

/// No more than this of those who stay are looked for where one is enough.
const SOME: usize = 100;

/// The stricter of the rails that watch a group, and how many of those who stay
/// are worth to be looked for.
fn rail(
    db: &Connection,
    guard: &Guard,
    group: &Group,
    (going, at): (&[UserKey], Millis),
) -> Result<Option<(Rail, usize)>> {
    if let Some(found) = least(guard, group)? {
        return Ok(Some(found));
    }
    let left = u64::try_from(group.members).unwrap_or(0);
    if !guard.enabled || left.saturating_mul(2) >= guard.empty_from {
        return Ok(None);
    }
    let size = left.saturating_add(going.len() as u64);
    let place = Place {
        connection: group.connection,
        group: Some((group.key, size)),
    };
    let was = removals::history(db, guard, place, at)?;
    let over = Over {
        rule: Rule::EmptyFrom,
        taking: going.len() as u64,
        taken: was.from_group,
        size: was.group_size,
        most: 0,
        within_seconds: guard.group_removals.within.as_secs(),
    };
    let near = size.max(was.group_size) >= guard.empty_from;
    Ok(near.then_some((Rail::Emptied(over), SOME)))
}

fn least(guard: &Guard, group: &Group) -> Result<Option<(Rail, usize)>> {
    if !guard.protected.has_groups() {
        return Ok(None);
    }
    let least = guard.protected.least(Named::of(group)?.all());
    let rail = |least| Rail::Least(Protection::Least(group.id, least), least);
    Ok(least.map(|least| (rail(least), usize::MAX)))
}

/// Also those of which nothing is remembered but a call that got no answer and may have
/// put the user there.
fn groups_of(db: &Connection, user: i64) -> Result<Vec<i64>> {
    let mut select = db.prepare_cached(
        "SELECT g.key FROM groups g
         WHERE g.key IN (
             SELECT group_key FROM memberships WHERE user_key = ?1 AND observed <> 0
             UNION SELECT group_key FROM doubts WHERE user_key = ?1 AND sent <> 0)
           AND g.tombstone IS NULL AND g.existence <> 0 AND g.read_only IS NULL",
    )?;
    let keys = select.query_map([user], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// See [`Watched`].
#[derive(Default)]
struct Staying {
    stay: Vec<Principal>,
    hoped: Vec<Principal>,
    unsure: bool,
}

/// Who is to stay and is active, without that one: those who are known to be there
/// first, as the guard counts them, and `most` in all.
fn staying(db: &Connection, group: i64, without: i64, most: usize) -> Result<Staying> {
    // Nothing is hoped of whom the last call took out, nor of whose account is not
    // known; and what was refused does not become known.
    let mut select = db.prepare_cached(concat!(
        "SELECT u.key, u.id, u.account_key, u.upstream_id, ",
        stands!(),
        ", u.existence = 1 AND u.unsure < 2 AND m.sent IS NOT 0,
             (m.observed = 2 OR u.existence = 2 OR u.unsure = 2)
             AND u.existence <> 0 AND u.refused IS NULL
         FROM memberships m JOIN users u ON u.key = m.user_key
         WHERE m.group_key = ?1 AND m.desired = 1 AND u.wants = 1 AND u.tombstone IS NULL
           AND u.account_key IS NOT NULL AND m.user_key <> ?2
         ORDER BY 5 DESC LIMIT ?3"
    ))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = select.query([group, without, most])?;
    let mut found = Staying::default();
    while let Some(row) = rows.next()? {
        if row.get(4)? {
            found.stay.push(principal_at(row)?);
        } else if row.get(5)? {
            found.hoped.push(principal_at(row)?);
        }
        found.unsure |= row.get::<_, bool>(6)?;
    }
    Ok(found)
}

/// See [`Watched`].
#[derive(Default)]
struct Losing {
    going: Vec<UserKey>,
    leaving: Vec<UserKey>,
    withdrawn: Vec<UserKey>,
}

/// Those who lose anything by going, as their accounts may be there: who can be
/// told that they stay, and who was deleted or deactivated here.
fn with_access(db: &Connection, going: &[UserKey]) -> Result<Losing> {
    let mut select = db.prepare_cached(
        "SELECT wants AND tombstone IS NULL, withdrawn <> 0 FROM users
         WHERE key = ?1 AND (existence <> 0 OR unsure > 0)",
    )?;
    let mut losing = Losing::default();
    for user in going {
        let mut rows = select.query([user.0])?;
        let Some(row) = rows.next()? else { continue };
        if row.get(0)? {
            losing.going.push(*user);
        } else {
            losing.leaving.push(*user);
            losing
                .withdrawn
                .extend(row.get::<_, bool>(1)?.then_some(*user));
        }
    }
    Ok(losing)
}

/// Whether nothing but such a call speaks for a membership.
fn is_doubted(db: &Connection, group: i64, user: i64) -> Result<bool> {
    let known = db
        .prepare_cached(
            "SELECT 1 FROM memberships
             WHERE group_key = ?1 AND user_key = ?2 AND observed <> 0 AND doubted <> 1",
        )?
        .exists([group, user])?;
    Ok(!known)
}

/// Whether something was sent or learned of it after that row of the audit.
fn was_turned(db: &Connection, group: i64, mark: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM groups WHERE key = ?1 AND turned > ?2")?
        .exists(params![group, mark])?)
}
