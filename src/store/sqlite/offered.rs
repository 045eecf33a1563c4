//! Groups of a family that are configured no more, and are again later. As long
//! as one is left out its users have another group of the family, or none, and
//! nothing of that is written down for the pair; so whoever is asked for in it is
//! open when it comes back, and is not refused meanwhile for what the configuration
//! lacks. Who was only found in one is not given it again.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::{NotOffered, Standing};

use super::{
    families::{learn, look_again_at},
    fault::Result,
    groups,
    lost::known_gone,
    row::id_at,
};

/// Some groups of families of a connection that somebody is asked for in.
macro_rules! asked_in {
    ($which:literal) => {
        concat!(
            "SELECT g.id, g.upstream_name, count(*)
             FROM groups g JOIN memberships m ON m.group_key = g.key
             JOIN users u ON u.key = m.user_key
             WHERE g.connection = ?1 AND g.family IS NOT NULL AND g.tombstone IS NULL
               AND ",
            $which,
            " AND m.desired = 1 AND m.managed = 1 AND u.wants = 1
             GROUP BY g.key LIMIT ?2"
        )
    };
}

/// See [`crate::store::Store::note_offered`].
pub(super) fn note(db: &Connection, connection: i64, standings: &[Standing]) -> Result<u64> {
    let mut back = Vec::new();
    for standing in standings {
        let Some((key, before)) = stored(db, connection, &standing.name)? else {
            continue;
        };
        if before == standing.offered {
            continue;
        }
        db.prepare_cached(
            "UPDATE groups SET offered = ?2, left_out = CASE WHEN ?2 THEN NULL ELSE seq END
             WHERE key = ?1",
        )?
        .execute(params![key, standing.offered])?;
        if standing.offered {
            back.push(key);
        }
    }
    if !back.is_empty() {
        // What counts is asked in the order of now.
        rank(db, connection, standings)?;
    }
    for key in &back {
        look_again_at(db, *key)?;
    }
    Ok(back.len() as u64)
}

/// See [`crate::store::Store::not_offered`].
pub(super) fn not(db: &Connection, connection: i64, most: usize) -> Result<Vec<NotOffered>> {
    let mut select = db.prepare_cached(asked_in!("g.offered = 0"))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map(params![connection, most], row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// See [`crate::store::Store::asked_for_in`].
pub(super) fn asked_for_in(
    db: &Connection,
    connection: i64,
    names: &[String],
    most: usize,
) -> Result<Vec<NotOffered>> {
    let mut select = db.prepare_cached(asked_in!("g.upstream_name = ?3"))?;
    let mut found = Vec::new();
    for name in names {
        let rows = select.query_map(params![connection, 1, name], row)?;
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
        if found.len() >= most {
            break;
        }
    }
    Ok(found)
}

fn row(row: &Row<'_>) -> rusqlite::Result<NotOffered> {
    Ok(NotOffered {
        group: id_at(row, 0)?,
        name: row.get(1)?,
        asked: row.get::<_, i64>(2)?.cast_unsigned(),
    })
}

fn stored(db: &Connection, connection: i64, name: &str) -> Result<Option<(i64, bool)>> {
    Ok(db
        .prepare_cached(
            "SELECT key, offered FROM groups WHERE connection = ?1 AND upstream_name = ?2
             AND family IS NOT NULL AND tombstone IS NULL",
        )?
        .query_row(params![connection, name], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?)
}

/// Families of which a user has some group, or is shown to have it, and which are not
/// known to be gone: whoever leaves has nothing there, whether or not the configuration
/// names them, or the application lists them just now.
pub(super) fn families_of(db: &Connection, user: i64) -> Result<Vec<String>> {
    let mut select = db.prepare_cached(concat!(
        "SELECT DISTINCT g.family FROM memberships m JOIN groups g ON g.key = m.group_key
         WHERE m.user_key = ?1 AND g.family IS NOT NULL AND g.tombstone IS NULL
           AND (g.offered = 0 OR g.existence <> 0) AND (m.desired = 1 OR m.observed <> 0)
           AND NOT ",
        known_gone!()
    ))?;
    let families = select.query_map([user], |row| row.get(0))?;
    Ok(families.collect::<rusqlite::Result<_>>()?)
}

/// A group that is left out keeps the place that it had, which may be another's
/// by now.
fn rank(db: &Connection, connection: i64, standings: &[Standing]) -> Result<()> {
    for standing in standings.iter().filter(|it| it.offered) {
        let (Some(family), Some((key, _))) =
            (&standing.family, stored(db, connection, &standing.name)?)
        else {
            continue;
        };
        if let Some(mut group) = groups::by_key(db, key)? {
            learn(db, &mut group, Some(family.clone()))?;
        }
    }
    Ok(())
}
