//! A user's place in a family, as of the roles in one Snyk Group, where several
//! connections lead to it: whoever has one of its groups lacks the others, so
//! only one connection at a time asks for a user there (reliability: H-18). The
//! first that asks has the place, until nothing of it is left: no pair that was
//! asked for or is on its way out, no end of the user that is not done, and no
//! call that may still land.
//!
//! Another one that asks is refused when its pair is sent, by name, and waits
//! where the first only has to end. What it asks to end is told as always: that
//! ends nothing but its own group.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::{Millis, Place, Seat};

use super::{
    fault::Result,
    groups::Group,
    late::{self, Sent},
    owners::{self, Kind},
    row::id_at,
    users::User,
};

/// A user of a connection that shares what it leads to.
struct Person {
    connection: i64,
    site: String,
    account: Option<String>,
    id: Option<String>,
}

/// An account's memberships in a family, over `x`, of those of another
/// connection: by its id, and where one of the two has none by its key.
macro_rules! same_person {
    () => {
        "(SELECT key FROM users WHERE connection = ?1 AND tombstone IS NULL
              AND upstream_id IS NOT NULL AND upstream_id = ?3
          UNION ALL
          SELECT key FROM users WHERE connection = ?1 AND tombstone IS NULL
              AND account_key IS NOT NULL AND account_key = ?2
              AND (upstream_id IS NULL OR ?3 IS NULL)
          UNION ALL
          SELECT key FROM users WHERE connection = ?1 AND tombstone IS NOT NULL
              AND account_key IS NOT NULL AND account_key = ?2) x"
    };
}
pub(super) use same_person;
const ASKED: &str = concat!(
    "SELECT max(m.desired) FROM ",
    same_person!(),
    " JOIN memberships m ON m.user_key = x.key JOIN groups g ON g.key = m.group_key
     WHERE g.family = ?4 AND m.managed = 1 AND (m.desired = 1 OR m.observed <> 0)"
);
const LANDS: &str = concat!(
    "SELECT 1 FROM ",
    same_person!(),
    " JOIN doubts d ON d.user_key = x.key"
);
/// The end of an account takes away whatever there is of it.
const ENDS: &str = concat!(
    "SELECT 1 FROM ",
    same_person!(),
    " JOIN users e ON e.key = x.key
     WHERE e.dirty = 1 AND e.refused IS NULL AND (e.tombstone IS NOT NULL OR e.wants = 0)"
);
const PAIRS: &str = concat!(
    "SELECT m.group_key, m.user_key FROM ",
    same_person!(),
    " JOIN memberships m ON m.user_key = x.key JOIN groups g ON g.key = m.group_key
     WHERE g.family = ?4 AND m.managed = 1 AND m.desired = 1"
);

const KNOWN: &str = concat!(
    "SELECT 1 FROM ",
    same_person!(),
    " JOIN memberships m ON m.user_key = x.key JOIN groups g ON g.key = m.group_key
     WHERE g.family = ?4 AND g.upstream_name = ?5 AND g.tombstone IS NULL"
);

/// Whether the user has anything of one group there, or is shown to.
const SHOWN: &str = concat!(
    "SELECT 1 FROM ",
    same_person!(),
    " JOIN memberships m ON m.user_key = x.key
     WHERE m.group_key = ?4 AND (m.desired = 1 OR m.observed <> 0)"
);

fn person(db: &Connection, user: i64) -> Result<Option<Person>> {
    let load = |row: &Row<'_>| {
        Ok(Person {
            connection: row.get(0)?,
            site: row.get(1)?,
            account: row.get(2)?,
            id: row.get(3)?,
        })
    };
    Ok(db
        .prepare_cached(
            "SELECT u.connection, c.site, u.account_key, u.upstream_id
             FROM users u JOIN connections c ON c.key = u.connection
             WHERE u.key = ?1 AND c.site IS NOT NULL",
        )?
        .query_row([user], load)
        .optional()?)
}

impl Person {
    fn names(&self, family: &str) -> Vec<String> {
        let keys = [&self.id, &self.account].into_iter().flatten();
        keys.map(|key| format!("{family}\n{key}")).collect()
    }

    /// The connections that have, or had, the place.
    fn holders(&self, db: &Connection, family: &str) -> Result<Vec<i64>> {
        let mut holders = Vec::new();
        for name in self.names(family) {
            let holder = owners::owner(db, &self.site, Kind::Seat, &name)?;
            holders.extend(holder.filter(|it| *it != self.connection && !holders.contains(it)));
        }
        Ok(holders)
    }

    fn seat(&self, db: &Connection, family: &str) -> Result<Seat> {
        let mut seat = Seat::Free;
        for holder in self.holders(db, family)? {
            seat = seat.max(self.left_of(db, holder, family)?);
        }
        Ok(seat)
    }

    /// What another connection has of the place.
    fn left_of(&self, db: &Connection, holder: i64, family: &str) -> Result<Seat> {
        let person = params![holder, self.account, self.id, family];
        let asked: Option<i64> = db
            .prepare_cached(ASKED)?
            .query_row(person, |row| row.get(0))?;
        let person = params![holder, self.account, self.id];
        Ok(match asked {
            Some(1) => Seat::Taken,
            Some(_) => Seat::Leaving,
            None if db.prepare_cached(LANDS)?.exists(person)? => Seat::Leaving,
            None if db.prepare_cached(ENDS)?.exists(person)? => Seat::Leaving,
            None => Seat::Free,
        })
    }
}

/// What another connection has of a user's place in a family.
pub(super) fn of(db: &Connection, user: i64, family: &str) -> Result<Seat> {
    match person(db, user)? {
        Some(person) => person.seat(db, family),
        None => Ok(Seat::Free),
    }
}

/// Whether another connection ends the account right now, or has made a call for it
/// that may take effect yet. What that spares was asked for when it began, so that it
/// would take away what is given meanwhile.
pub(super) fn is_being_ended(db: &Connection, user: i64) -> Result<bool> {
    let Some(person) = person(db, user)? else {
        return Ok(false);
    };
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM (
                 SELECT key FROM intents WHERE lane = 'user'
                 UNION ALL SELECT user_key FROM doubts WHERE group_key = ?5
             ) i JOIN users e ON e.key = i.key
             JOIN connections c ON c.key = e.connection
             WHERE c.site = ?1 AND c.key <> ?2
               AND (e.tombstone IS NOT NULL OR e.wants = 0)
               AND (e.account_key = ?3 OR e.upstream_id = ?4)",
        )?
        .exists(params![
            person.site,
            person.connection,
            person.account,
            person.id,
            late::ITSELF
        ])?)
}

/// Whether a connection has the place of one of its users, or is alone.
pub(super) fn has(db: &Connection, user: i64, family: &str) -> Result<bool> {
    let Some(person) = person(db, user)? else {
        return Ok(true);
    };
    for name in person.names(family) {
        let owner = owners::owner(db, &person.site, Kind::Seat, &name)?;
        if owner != Some(person.connection) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The user is asked for: takes the place if it is free.
pub(super) fn claim(db: &Connection, user: i64, family: &str) -> Result<Seat> {
    let Some(person) = person(db, user)? else {
        return Ok(Seat::Free);
    };
    let seat = person.seat(db, family)?;
    if seat == Seat::Free {
        for name in person.names(family) {
            owners::take(db, &person.site, Kind::Seat, &name, person.connection)?;
        }
    }
    Ok(seat)
}

/// What ended here, or came to be: a look may still show what the connection
/// before this one had, so who is new is said once more; and where another one
/// asks for who is out, that is.
pub(super) fn settled(
    db: &Connection,
    group: &Group,
    (present, absent): (&[i64], &[i64]),
    at: Millis,
) -> Result<()> {
    let Some(family) = &group.family else {
        return Ok(());
    };
    for user in present {
        let Some(person) = person(db, *user)? else {
            return Ok(());
        };
        for name in person.names(&family.name) {
            if owners::was_taken(db, &person.site, Kind::Seat, &name, person.connection)? {
                late::note_pair(db, (group.key, *user), Sent::Absent, at)?;
            }
        }
    }
    for user in absent {
        let Some(person) = person(db, *user)? else {
            return Ok(());
        };
        for holder in person.holders(db, &family.name)? {
            say_again(db, &person, holder, &family.name, at)?;
        }
    }
    Ok(())
}

fn say_again(
    db: &Connection,
    person: &Person,
    holder: i64,
    family: &str,
    at: Millis,
) -> Result<()> {
    let mut select = db.prepare_cached(PAIRS)?;
    let pairs = select.query_map(params![holder, person.account, person.id, family], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    for pair in pairs.collect::<rusqlite::Result<Vec<(i64, i64)>>>()? {
        late::note_pair(db, pair, Sent::Absent, at)?;
    }
    Ok(())
}

/// What the end of a user spares: families in which another connection asks for
/// it, and single groups that another one manages; both but for what this one
/// asked for itself.
pub(super) fn spared(db: &Connection, user: &User) -> Result<Vec<String>> {
    match person(db, user.key)? {
        Some(person) => spared_of(db, &person, user.key),
        None => Ok(Vec::new()),
    }
}

fn spared_of(db: &Connection, person: &Person, user: i64) -> Result<Vec<String>> {
    let families: Vec<(String, bool)> = db
        .prepare_cached(
            "SELECT DISTINCT f.family, EXISTS (
                 SELECT 1 FROM memberships m JOIN groups own ON own.key = m.group_key
                 WHERE m.user_key = ?2 AND m.managed = 1 AND own.family = f.family)
             FROM groups f
             WHERE f.connection = ?1 AND f.family IS NOT NULL AND f.tombstone IS NULL",
        )?
        .query_map([person.connection, user], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut spared = Vec::new();
    for (family, asked) in families {
        let theirs = person.seat(db, &family)? != Seat::Free;
        match (theirs, asked) {
            (true, false) => spared.push(family),
            (true, true) => spared.extend(unasked(db, person, user, &family)?),
            (false, false) => spared.extend(others_in(db, person, &family)?),
            (false, true) => {}
        }
    }
    Ok(spared)
}

fn others_in(db: &Connection, person: &Person, family: &str) -> Result<Vec<String>> {
    let others = owners::others_in(db, &person.site, person.connection, family)?;
    let mut spared = Vec::new();
    for name in others {
        if !is_let_go(db, person, &name)? {
            spared.push(name);
        }
    }
    Ok(spared)
}

/// Whether a group is none of its owner's to end a user in: the owner's configuration
/// leaves it out, so that it would not know.
fn is_let_go(db: &Connection, person: &Person, name: &str) -> Result<bool> {
    let owner: Option<(i64, i64)> = db
        .prepare_cached(
            "SELECT g.connection, g.key FROM owners w
             JOIN groups g ON g.connection = w.connection AND g.upstream_name = w.name
             WHERE w.site = ?1 AND w.kind = 0 AND w.name = ?2
               AND g.offered = 0 AND g.tombstone IS NULL",
        )?
        .query_row([&person.site, name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((owner, group)) = owner else {
        return Ok(false);
    };
    let person = params![owner, person.account, person.id, group];
    Ok(!db.prepare_cached(SHOWN)?.exists(person)?)
}

/// Whether another connection manages a group, where it would end a user.
fn is_managed(db: &Connection, person: &Person, name: &str) -> Result<bool> {
    Ok(
        owners::is_others(db, &person.site, person.connection, name)?
            && !is_let_go(db, person, name)?,
    )
}

/// Whether the end of a user, also of one that was deleted, spares all of some
/// groups of families.
pub(super) fn are_spared(db: &Connection, user: &User, has: &[(String, String)]) -> Result<bool> {
    let Some(mut person) = person(db, user.key)? else {
        return Ok(has.is_empty());
    };
    person.account.clone_from(&user.account_key);
    person.id.clone_from(&user.upstream_id);
    let spared = spared_of(db, &person, user.key)?;
    let is_spared =
        |(family, group): &(String, String)| spared.contains(family) || spared.contains(group);
    Ok(has.iter().all(is_spared))
}

/// The groups of a family, of any connection, that this one did not ask for the
/// user in.
fn unasked(db: &Connection, person: &Person, user: i64, family: &str) -> Result<Vec<String>> {
    let mut select = db.prepare_cached(
        "SELECT DISTINCT g.upstream_name FROM connections c JOIN groups g ON g.connection = c.key
         WHERE c.site = ?1 AND g.family = ?2 AND g.tombstone IS NULL
           AND g.upstream_name NOT IN (
             SELECT own.upstream_name FROM memberships m JOIN groups own ON own.key = m.group_key
             WHERE m.user_key = ?3 AND m.managed = 1 AND own.family = ?2)",
    )?;
    let names = select.query_map(params![person.site, family, user], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// Whether a membership that was only found is another connection's to end.
pub(super) fn is_anothers(db: &Connection, user: i64, group: i64) -> Result<bool> {
    let Some(person) = person(db, user)? else {
        return Ok(false);
    };
    let (name, family): (String, Option<String>) = db
        .prepare_cached("SELECT upstream_name, family FROM groups WHERE key = ?1")?
        .query_row([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let seat = match &family {
        Some(family) => person.seat(db, family)?,
        None => Seat::Free,
    };
    Ok(seat != Seat::Free || is_managed(db, &person, &name)?)
}

/// Whether what is there of who was ended here is what another connection asks
/// for, and nothing else that is known.
pub(super) fn explains(db: &Connection, user: i64) -> Result<bool> {
    let Some(person) = person(db, user)? else {
        return Ok(false);
    };
    let groups: Vec<(String, Option<String>)> = db
        .prepare_cached(
            "SELECT g.upstream_name, g.family FROM memberships m
             JOIN groups g ON g.key = m.group_key WHERE m.user_key = ?1 AND m.observed <> 0",
        )?
        .query_map([user], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, family) in &groups {
        let theirs = match family {
            Some(family) => person.seat(db, family)? != Seat::Free,
            None => false,
        };
        if !theirs && !is_managed(db, &person, name)? {
            return Ok(false);
        }
    }
    let mut select = db.prepare_cached(
        "SELECT DISTINCT family FROM groups
         WHERE connection = ?1 AND family IS NOT NULL AND tombstone IS NULL",
    )?;
    let families = select.query_map([person.connection], |row| row.get::<_, String>(0))?;
    for family in families {
        if person.seat(db, &family?)? != Seat::Free {
            return Ok(true);
        }
    }
    Ok(!groups.is_empty())
}

/// The most pairs that are looked at for a status.
const LOOKED_AT: i64 = 1_000;
const OPEN: &str = "SELECT g.id, u.id, u.key, g.family FROM groups g
         JOIN memberships m INDEXED BY memberships_open ON m.group_key = g.key
         JOIN users u ON u.key = m.user_key
     WHERE g.connection = ?1 AND g.family IS NOT NULL AND g.tombstone IS NULL
         AND m.desired <> m.observed AND m.desired = 1
     UNION ALL
     SELECT g.id, u.id, u.key, g.family FROM groups g
         JOIN refusals r ON r.group_key = g.key JOIN users u ON u.key = r.user_key
     WHERE g.connection = ?1 AND g.family IS NOT NULL AND g.tombstone IS NULL AND r.wanted = 1
         AND u.wants = 1
     LIMIT ?2";

/// Whether another connection asks for a user in a group of a family, has found it
/// there, or had it there before it was given another one of the family.
pub(super) fn is_known_elsewhere(
    db: &Connection,
    user: i64,
    (family, name): (&str, &str),
) -> Result<bool> {
    let Some(person) = person(db, user)? else {
        return Ok(false);
    };
    let others: Vec<i64> = db
        .prepare_cached("SELECT key FROM connections WHERE site = ?1 AND key <> ?2")?
        .query_map(params![person.site, person.connection], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut known = db.prepare_cached(KNOWN)?;
    for other in others {
        if known.exists(params![other, person.account, person.id, family, name])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// See [`crate::store::Sharing::places_elsewhere`].
pub(super) fn elsewhere(db: &Connection, connection: i64, most: usize) -> Result<Vec<Place>> {
    let mut name = db.prepare_cached("SELECT name FROM connections WHERE key = ?1")?;
    let mut select = db.prepare_cached(OPEN)?;
    let mut rows = select.query([connection, LOOKED_AT])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let family: String = row.get(3)?;
        let Some(person) = person(db, row.get(2)?)? else {
            return Ok(found);
        };
        for holder in person.holders(db, &family)? {
            let seat = person.left_of(db, holder, &family)?;
            if seat != Seat::Free && found.len() < most {
                found.push(Place {
                    group: id_at(row, 0)?,
                    user: id_at(row, 1)?,
                    by: name.query_row([holder], |row| row.get(0))?,
                    seat,
                });
            }
        }
    }
    Ok(found)
}

macro_rules! first_seats {
    ($key:literal) => {
        concat!(
            "INSERT OR IGNORE INTO owners (site, kind, name, connection)
             SELECT c.site, 2, g.family || char(10) || ",
            $key,
            ", c.key FROM memberships m JOIN groups g ON g.key = m.group_key
             JOIN users u ON u.key = m.user_key JOIN connections c ON c.key = g.connection
             WHERE c.site IS NOT NULL AND g.family IS NOT NULL AND m.managed = 1
               AND (m.desired = 1 OR m.observed <> 0) AND ",
            $key,
            " IS NOT NULL
               -- Whoever has it by one of the keys has it.
               AND NOT EXISTS (SELECT 1 FROM owners w
                   WHERE w.site = c.site AND w.kind = 2 AND w.connection <> c.key
                     AND w.name IN (g.family || char(10) || u.account_key,
                         g.family || char(10) || u.upstream_id))
             ORDER BY m.observed = 1 DESC, m.desired DESC, g.key"
        )
    };
}
/// Places of those who are none any more.
pub(super) const LAST: &str = "DELETE FROM owners AS w WHERE w.kind = 2
     AND NOT EXISTS (SELECT 1 FROM users u WHERE u.connection = w.connection
         AND u.account_key = substr(w.name, instr(w.name, char(10)) + 1)
         AND u.account_key IS NOT NULL AND u.tombstone IS NULL)
     AND NOT EXISTS (SELECT 1 FROM users u WHERE u.connection = w.connection
         AND u.account_key = substr(w.name, instr(w.name, char(10)) + 1)
         AND u.account_key IS NOT NULL AND u.tombstone IS NOT NULL)
     AND NOT EXISTS (SELECT 1 FROM users u WHERE u.connection = w.connection
         AND u.upstream_id = substr(w.name, instr(w.name, char(10)) + 1)
         AND u.upstream_id IS NOT NULL AND u.tombstone IS NULL)";

/// At start: who asked before any of this was noted has the place, of several
/// the one whose group is what is there.
pub(super) const FIRST: [&str; 2] = [first_seats!("u.account_key"), first_seats!("u.upstream_id")];
