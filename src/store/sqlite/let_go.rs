//! What a connection has let go of and may still reach: by a call of which no answer
//! came (see [`super::late`]), or because its end is still to be said. Such a call hits
//! whatever has the name by then, and only the connection that made it looks for what
//! it did, so nobody else is given the group or account before that is over
//! (reliability: H-05, H-18). Then it is free without anybody's doing.

use rusqlite::{Connection, params};

use crate::{plan::state::ConnectionKey, store::WriteError};

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

pub(super) fn later(kind: Kind, owner: i64) -> WriteError {
    let detail = format!(
        "this {} was deleted through another connection of this bridge, and what was sent to \
         the application for that one may still take effect there; nothing was changed, send the \
         request again after the seconds in Retry-After",
        kind.noun()
    );
    WriteError::Later(detail, ConnectionKey(owner))
}
