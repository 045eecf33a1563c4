//! Which tokens there are, as the audit has it: what differs from what was
//! recorded before is recorded now. Ids and times only (reliability: I-34, I-35).

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::store::{Actor, SeenToken, TokenState};

use super::{audit, fault::Result};

pub(super) fn note(
    db: &Connection,
    connection: i64,
    tokens: &[SeenToken],
    actor: &Actor,
) -> Result<()> {
    for token in tokens {
        note_one(db, connection, token, actor)?;
    }
    let there: HashSet<&str> = tokens.iter().map(|token| &*token.id).collect();
    let known: Vec<String> = db
        .prepare_cached("SELECT id FROM tokens WHERE connection = ?1")?
        .query_map([connection], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in known.iter().filter(|id| !there.contains(&***id)) {
        let detail = json!({ "token": id });
        audit::record(db, connection, actor, "forget_token", None, &detail)?;
        db.prepare_cached("DELETE FROM tokens WHERE connection = ?1 AND id = ?2")?
            .execute(params![connection, id])?;
    }
    Ok(())
}

fn note_one(db: &Connection, connection: i64, token: &SeenToken, actor: &Actor) -> Result<()> {
    let before: Option<String> = db
        .prepare_cached("SELECT state FROM tokens WHERE connection = ?1 AND id = ?2")?
        .query_row(params![connection, token.id], |row| row.get(0))
        .optional()?;
    let state = token.state.as_str();
    if before.as_deref() == Some(state) {
        return Ok(());
    }
    if before.is_none() {
        let detail = json!({
            "token": token.id, "created": token.created, "expires": token.expires,
        });
        audit::record(db, connection, actor, "create_token", None, &detail)?;
    }
    let ended = match token.state {
        TokenState::Live => None,
        TokenState::Revoked => Some("revoke_token"),
        TokenState::Expired => Some("expire_token"),
    };
    if let Some(action) = ended {
        let detail = json!({ "token": token.id });
        audit::record(db, connection, actor, action, None, &detail)?;
    }
    db.prepare_cached(
        "INSERT INTO tokens (connection, id, state) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET state = excluded.state",
    )?
    .execute(params![connection, token.id, state])?;
    Ok(())
}
