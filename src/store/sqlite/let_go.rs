//! What a connection has let go of and may still reach: by a call of which no answer
//! came (see [`super::late`]), or because its end is still to be said. Such a call hits
//! whatever has the name by then, and only the connection that made it looks for what
//! it did, so nobody else is given the group or account before that is over
//! (reliability: H-05, H-18). Then it is free without anybody's doing.

use rusqlite::{Connection, params};

use crate::store::{Awaited, Millis, WriteError};

use super::{fault::Result, owners::Kind};

/// Of what was only read nothing is on its way, so `sent` 3 does not count. A deletion
/// that is withheld waits for an operator.
const GROUP: &str = "SELECT 1 FROM groups g
     WHERE g.connection = ?1 AND g.upstream_name = ?2 AND g.tombstone IS NOT NULL
       AND g.dirty = 1 AND g.withheld = 0
     UNION ALL
     SELECT 1 FROM doubts d CROSS JOIN groups g ON g.key = d.group_key
     WHERE g.connection = ?1 AND g.upstream_name = ?2 AND d.sent <> 3";
const ACCOUNT: &str = "SELECT 1 FROM users u
     WHERE u.connection = ?1 AND u.account_key = ?2 AND u.account_key IS NOT NULL
       AND u.tombstone IS NOT NULL
       AND (u.dirty = 1 OR EXISTS (
         SELECT 1 FROM doubts d WHERE d.user_key = u.key AND d.sent <> 3))";

pub(super) fn is_awaited(db: &Connection, owner: i64, kind: Kind, name: &str) -> Result<bool> {
    let sql = match kind {
        Kind::Group | Kind::NewGroup => GROUP,
        Kind::Account => ACCOUNT,
        // That is asked of one user: see `seats`.
        Kind::Seat => return Ok(false),
    };
    Ok(db.prepare_cached(sql)?.exists(params![owner, name])?)
}

/// The last call that may still reach it, of a connection that is not configured any more:
/// nothing else keeps what that had.
pub(super) fn lands(db: &Connection, owner: i64, kind: Kind, name: &str) -> Result<Option<Millis>> {
    let sql = match kind {
        Kind::Group | Kind::NewGroup => {
            "SELECT max(d.since) FROM groups g JOIN doubts d ON d.group_key = g.key
             WHERE g.connection = ?1 AND g.upstream_name = ?2 AND d.sent <> 3"
        }
        Kind::Account => {
            "SELECT max(d.since) FROM users u JOIN doubts d ON d.user_key = u.key
             WHERE u.connection = ?1 AND u.account_key = ?2 AND u.account_key IS NOT NULL
               AND d.sent <> 3"
        }
        Kind::Seat => return Ok(None),
    };
    Ok(db
        .prepare_cached(sql)?
        .query_row(params![owner, name], |row| row.get(0))?)
}

/// What `connections.site_accounts` tells of one that is not configured any more, until
/// the sites are settled again.
const DEPARTED: i64 = -1;

pub(super) fn note_departed(db: &Connection, owner: i64) -> Result<()> {
    db.prepare_cached("UPDATE connections SET site_accounts = ?2 WHERE key = ?1")?
        .execute([owner, DEPARTED])?;
    Ok(())
}

pub(super) fn is_departed(db: &Connection, owner: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM connections WHERE key = ?1 AND site_accounts = ?2")?
        .exists([owner, DEPARTED])?)
}

/// Those that are not configured any more, with the site that they had, of which calls
/// may take effect yet, or were on their way when the process ended.
pub(super) fn departed(db: &Connection, known: &[String]) -> Result<Vec<(i64, String)>> {
    // Numbers of our own.
    let sql = format!(
        "SELECT DISTINCT w.connection, w.site FROM owners w WHERE w.connection NOT IN ({})
           AND (EXISTS (
             SELECT 1 FROM doubts d
                 LEFT JOIN users u ON u.key = d.user_key LEFT JOIN groups g ON g.key = d.group_key
             WHERE coalesce(g.connection, u.connection) = w.connection AND d.sent <> 3)
           OR EXISTS (
             SELECT 1 FROM intents i
                 LEFT JOIN users u ON i.lane = 'user' AND u.key = i.key
                 LEFT JOIN groups g ON i.lane = 'group' AND g.key = i.key
             WHERE coalesce(g.connection, u.connection) = w.connection))",
        known.join(", ")
    );
    let mut select = db.prepare(&sql)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn later(kind: Kind, awaited: Awaited) -> WriteError {
    let why = match awaited {
        Awaited::Connection(_) => "deleted through another connection of this bridge",
        Awaited::Departed(_) => "managed through a connection that is not configured any more",
    };
    let detail = format!(
        "this {} was {why}, and what was sent to the application for that one may still take \
         effect there; nothing was changed, send the request again after the seconds in \
         Retry-After",
        kind.noun()
    );
    WriteError::Later(detail, awaited)
}
