//! Several writes in one job and so in one transaction. Every unit has a
//! savepoint of its own, so that what is refused takes nothing else with it;
//! a failure of the database itself takes all of it back.

use rusqlite::Connection;

use crate::store::{
    Actor, HoldId, HoldState, WriteError,
    bulk::{Outcome, Unit, Write, Wrote},
};

use super::{
    begun,
    fault::{Fault, Result},
    groups, held, users,
};

/// Works the units off in order, until there were `most_errors` of them: every
/// write of a unit that is not done is one.
pub(super) fn run(
    db: &Connection,
    connection: i64,
    units: Vec<Unit>,
    most_errors: usize,
    actor: &Actor,
) -> Result<Vec<Outcome>> {
    let mut errors = 0;
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(units.len());
    for unit in units {
        let size = unit.writes.len();
        let undone = |need: &&usize| !matches!(outcomes.get(**need), Some(Outcome::Done(_)));
        let outcome = if errors >= most_errors {
            Outcome::Left
        } else if let Some(need) = unit.needs.iter().find(undone) {
            Outcome::Unmet(*need)
        } else {
            whole(db, connection, unit.writes, unit.closes, actor)?
        };
        if matches!(outcome, Outcome::Refused(..) | Outcome::Unmet(_)) {
            errors += size;
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// One unit, or nothing of it.
fn whole(
    db: &Connection,
    connection: i64,
    writes: Vec<Write>,
    closes: Option<HoldId>,
    actor: &Actor,
) -> Result<Outcome> {
    if let Some(hold) = closes
        && let Some(state) = held::state(db, connection, hold)?
        && state != HoldState::Open
    {
        return Ok(Outcome::Refused(0, WriteError::Decided(state)));
    }
    let tell = |sql: &str| db.prepare_cached(sql)?.execute([]);
    tell("SAVEPOINT unit")?;
    let mut done = Vec::with_capacity(writes.len());
    for (place, write) in writes.into_iter().enumerate() {
        match one(db, connection, write, actor) {
            Ok(wrote) => done.push(wrote),
            Err(Fault::Refused(error)) if !matches!(error, WriteError::Store(_)) => {
                tell("ROLLBACK TO unit")?;
                tell("RELEASE unit")?;
                return Ok(Outcome::Refused(place, error));
            }
            Err(fault) => return Err(fault),
        }
    }
    if let Some(hold) = closes {
        held::decide(db, connection, hold, HoldState::Approved, actor)?;
    }
    tell("RELEASE unit")?;
    Ok(Outcome::Done(done))
}

fn one(db: &Connection, c: i64, write: Write, actor: &Actor) -> Result<Wrote> {
    Ok(match write {
        Write::CreateUser { id, row } => Wrote::User(users::create(db, c, id, &row, actor)?),
        Write::ChangeUser { id, when, decide } => {
            Wrote::User(users::change(db, c, id, &when, decide, actor)?)
        }
        Write::BeginDeletion {
            id,
            when,
            decide,
            closes,
        } => Wrote::User(begun::begin(db, c, id, &when, decide, closes, actor)?),
        Write::EndDeletion { id, named } => Wrote::User(begun::complete(db, c, id, named, actor)?),
        Write::CreateGroup {
            id,
            row,
            members,
            skip_unknown,
        } => {
            let created = groups::create(db, c, id, &row, members, skip_unknown, actor)?;
            Wrote::Group(created)
        }
        Write::ChangeGroup { id, when, change } => {
            Wrote::Group(groups::change(db, c, id, &when, change, actor)?)
        }
        Write::DeleteGroup {
            id,
            when,
            decide,
            others,
        } => Wrote::Group(groups::delete(db, c, id, &when, (decide, others), actor)?),
        Write::Put(write) => {
            let put = true;
            let actor = Actor {
                put,
                ..actor.clone()
            };
            return one(db, c, *write, &actor);
        }
        Write::Refused(error) => return Err(error.into()),
    })
}
