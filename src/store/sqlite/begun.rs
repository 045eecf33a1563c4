//! A User is deleted in two steps, with the application's answer between them. The
//! first one says so, so that a process that ends between them leaves nothing half
//! done: the next start takes the second (reliability: I-05).

use rusqlite::{Connection, params};

use crate::{
    plan::state::UserKey,
    scim::resource::ResourceId,
    store::{Actor, DecideUser, HoldId, HoldState, Precondition, UserWritten, WriteError},
};

use super::{
    fault::{Fault, Result},
    held, leaving,
    row::id_at,
    users,
};

/// The first step. Who had no access before is as before it, and nothing is noted.
pub(super) fn begin(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    when: &Precondition,
    decide: DecideUser,
    hold: Option<HoldId>,
    actor: &Actor,
) -> Result<UserWritten> {
    let written = users::change(db, connection, id, when, decide, actor)?;
    if written.changed {
        let hold = hold.map(|it| it.0);
        let hold = hold.as_ref().map(|it| it.as_bytes());
        db.prepare_cached("INSERT OR REPLACE INTO deletions VALUES (?1, ?2, ?3)")?
            .execute(params![written.key.0, actor.name, hold])?;
    }
    Ok(written)
}

/// The second step. Whoever named a version deletes nobody who was given access again
/// since the first.
pub(super) fn complete(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    named: bool,
    actor: &Actor,
) -> Result<UserWritten> {
    let user = users::live(db, connection, id)?.ok_or(WriteError::Missing)?;
    if named && user.account.active {
        return Err(WriteError::Stale(user.version.cast_unsigned()).into());
    }
    leaving::delete(db, connection, id, &Precondition::default(), actor)
}

/// The client was answered otherwise, and asks again or not.
pub(super) fn forget(db: &Connection, connection: i64, ids: &[ResourceId]) -> Result<()> {
    for id in ids {
        if let Some(user) = users::live(db, connection, *id)? {
            end(db, UserKey(user.key))?;
        }
    }
    Ok(())
}

/// It was answered, one way or the other, or the User is to have access again.
pub(super) fn end(db: &Connection, user: UserKey) -> Result<()> {
    db.prepare_cached("DELETE FROM deletions WHERE user_key = ?1")?
        .execute([user.0])?;
    Ok(())
}

/// The second step of those that were cut short; how many there were.
pub(super) fn finish(db: &Connection, connection: i64, actor: &Actor) -> Result<usize> {
    let begun = db
        .prepare_cached(
            "SELECT u.key, u.id, d.actor, d.hold IS NOT NULL, coalesce(d.hold, u.id)
             FROM deletions d JOIN users u ON u.key = d.user_key
             WHERE u.connection = ?1",
        )?
        .query_map([connection], |row| {
            let hold = row.get::<_, bool>(3)?.then(|| id_at(row, 4)).transpose()?;
            Ok((UserKey(row.get(0)?), id_at(row, 1)?, row.get(2)?, hold))
        })?
        .collect::<rusqlite::Result<Vec<(UserKey, ResourceId, String, Option<ResourceId>)>>>()?;
    let mut done = 0;
    for (user, id, name, hold) in begun {
        let actor = Actor {
            name,
            ..actor.clone()
        };
        let tell = |sql: &str| db.prepare_cached(sql)?.execute([]);
        tell("SAVEPOINT deletion")?;
        match leaving::delete(db, connection, id, &Precondition::default(), &actor) {
            Ok(_) => {
                done += 1;
                if let Some(hold) = hold {
                    held::decide(db, connection, HoldId(hold), HoldState::Approved, &actor)?;
                }
            }
            // A guard rail stands before it: as if it had been refused.
            Err(Fault::Refused(why)) if !matches!(why, WriteError::Store(_)) => {
                tell("ROLLBACK TO deletion")?;
                tracing::warn!(%id, %why, "a deletion that was cut short stays undone");
            }
            Err(fault) => return Err(fault),
        }
        tell("RELEASE deletion")?;
        end(db, user)?;
    }
    Ok(done)
}
