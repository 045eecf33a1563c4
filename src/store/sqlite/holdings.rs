//! What users have of families, with the application's own ids of it, as its
//! answers told: so that a process that has read nothing yet need not look for
//! them. Written with what a turn learned, and never the reason to do nothing.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::{Holding, UserKey},
    store::Millis,
};

use super::fault::Result;

/// What a turn was told of a user and a family; `None`: it has nothing there.
pub(super) fn learn(
    db: &Connection,
    family: &str,
    told: &[(UserKey, Option<Holding>)],
    at: Millis,
) -> Result<()> {
    let mut keep = db.prepare_cached(
        "INSERT OR REPLACE INTO holdings (user_key, family, account, id, name, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut forget =
        db.prepare_cached("DELETE FROM holdings WHERE user_key = ?1 AND family = ?2")?;
    for (user, holding) in told {
        let Some(holding) = holding else {
            forget.execute(params![user.0, family])?;
            continue;
        };
        let age = holding.age.unwrap_or_default().as_millis();
        let told = at.saturating_sub(Millis::try_from(age).unwrap_or(Millis::MAX));
        let Holding {
            account, id, group, ..
        } = holding;
        keep.execute(params![user.0, family, account, id, group, told])?;
    }
    Ok(())
}

/// Everything of a user whose account has ended.
pub(super) fn forget(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM holdings WHERE user_key = ?1")?
        .execute([user])?;
    Ok(())
}

/// As a pair of a group that is handed out finds it, and when that was told. It is
/// that group for certain only while no other answer is awaited and nothing else
/// was found out: else `None` stands for the time.
pub(super) fn of(
    db: &Connection,
    group: i64,
    user: i64,
) -> Result<Option<(Holding, Option<Millis>)>> {
    let mut select = db.prepare_cached(
        "SELECT h.account, h.id, h.name, h.at,
             EXISTS (
                 SELECT 1 FROM memberships m JOIN groups g ON g.key = m.group_key
                 WHERE m.user_key = h.user_key AND g.connection = o.connection
                   AND g.upstream_name = h.name AND g.tombstone IS NULL
                   AND iif(m.group_key = o.key, m.before, m.observed) = 1)
             AND NOT EXISTS (
                 SELECT 1 FROM memberships m JOIN groups g ON g.key = m.group_key
                 WHERE m.user_key = h.user_key AND g.connection = o.connection
                   AND g.family = h.family
                   AND iif(m.group_key = o.key, m.before, m.observed) IS NOT 0
                   AND iif(m.group_key = o.key, m.before, m.observed) IS NOT 1)
             AND NOT EXISTS (
                 SELECT 1 FROM doubts d JOIN groups g ON g.key = d.group_key
                 WHERE d.user_key = h.user_key AND g.connection = o.connection
                   AND g.family = h.family)
             -- Another connection to the same application was told of it, too.
             AND NOT EXISTS (
                 SELECT 1 FROM holdings x WHERE x.id = h.id AND x.user_key <> h.user_key)
         FROM groups o JOIN holdings h ON h.family = o.family
         WHERE o.key = ?1 AND h.user_key = ?2",
    )?;
    let found = select.query_row([group, user], |row| {
        let holding = Holding {
            account: row.get(0)?,
            id: row.get(1)?,
            group: row.get(2)?,
            age: None,
            formerly: Vec::new(),
        };
        let certain: bool = row.get(4)?;
        let at: Millis = row.get(3)?;
        Ok((holding, certain.then_some(at)))
    });
    Ok(found.optional()?)
}

/// Whether a user is known to be in some group of the family of one whose pair is
/// handed out.
pub(super) fn is_any(db: &Connection, group: i64, user: i64) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM groups o
             JOIN groups g ON g.connection = o.connection AND g.family = o.family
             JOIN memberships m ON m.group_key = g.key
             WHERE o.key = ?1 AND m.user_key = ?2
               AND iif(m.group_key = o.key, m.before, m.observed) = 1",
        )?
        .exists([group, user])?)
}

/// What was told by a clock that was set is as old by the new one.
pub(super) fn move_along(
    db: &Connection,
    connection: i64,
    (was, is): (Millis, Millis),
) -> Result<()> {
    db.prepare_cached(
        "UPDATE holdings SET at = at + ?2
         WHERE user_key IN (SELECT key FROM users WHERE connection = ?1)",
    )?
    .execute(params![connection, is.saturating_sub(was)])?;
    Ok(())
}
