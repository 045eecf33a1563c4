//! Who did what, written with every change in its transaction, and what is in
//! flight. Ids and counts only: the audit outlives the persons in it.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::{
    plan::operation::Operation,
    scim::resource::ResourceId,
    store::{Actor, Millis},
};

use super::fault::Result;

/// The actor of everything the lanes write.
const ENGINE: &str = "bridge";

pub(super) fn record(
    db: &Connection,
    connection: i64,
    actor: &Actor,
    action: &str,
    id: Option<ResourceId>,
    detail: &Value,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO audit (at, connection, actor, action, resource, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        actor.at,
        connection,
        actor.name,
        action,
        id.as_ref().map(ResourceId::as_bytes),
        detail.to_string(),
    ])?;
    Ok(())
}

/// Records the end of a turn with the calls it made; returns the row's number.
pub(super) fn record_turn(
    db: &Connection,
    connection: i64,
    at: Millis,
    action: &str,
    id: ResourceId,
    calls: &[(Operation, String, u64)],
    mut detail: Value,
) -> Result<i64> {
    let calls: Vec<Value> = calls.iter().map(call).collect();
    detail["calls"] = calls.into();
    let engine = Actor {
        name: ENGINE.into(),
        at,
    };
    record(db, connection, &engine, action, Some(id), &detail)?;
    Ok(db.last_insert_rowid())
}

/// The last row written before `before`, which nothing that is told later is
/// older than. Walks back over what is newer only.
pub(super) fn mark(db: &Connection, before: Millis) -> Result<i64> {
    let number = db
        .prepare_cached("SELECT number FROM audit WHERE at < ?1 ORDER BY number DESC LIMIT 1")?
        .query_row([before], |row| row.get(0))
        .optional()?;
    Ok(number.unwrap_or(0))
}

/// The last row of all.
pub(super) fn latest(db: &Connection) -> Result<i64> {
    Ok(db
        .prepare_cached("SELECT coalesce(max(number), 0) FROM audit")?
        .query_row([], |row| row.get(0))?)
}

fn call((operation, outcome, millis): &(Operation, String, u64)) -> Value {
    let (name, members) = match operation {
        Operation::CreateUser { .. } => ("create_user", None),
        Operation::DeactivateUser { .. } => ("deactivate_user", None),
        Operation::SetRole { .. } => ("set_role", None),
        Operation::UpsertProfile { .. } => ("upsert_profile", None),
        Operation::CreateGroup { members, .. } => ("create_group", Some(members)),
        Operation::DeleteGroup { .. } => ("delete_group", None),
        Operation::AddMembers { members, .. } => ("add_members", Some(members)),
        Operation::RemoveMembers { members, .. } => ("remove_members", Some(members)),
        Operation::ReplaceMembers { members, .. } => ("replace_members", Some(members)),
    };
    let mut call = json!({ "operation": name, "outcome": outcome, "millis": millis });
    if let Some(members) = members {
        call["members"] = members.len().into();
    }
    call
}

/// Written before anything is sent; at most one per lane.
pub(super) fn open_intent(
    db: &Connection,
    lane: &str,
    key: i64,
    seq: i64,
    detail: &Value,
) -> Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO intents (lane, key, at_seq, detail) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![lane, key, seq, detail.to_string()])?;
    Ok(())
}

pub(super) fn close_intent(db: &Connection, lane: &str, key: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM intents WHERE lane = ?1 AND key = ?2")?
        .execute(params![lane, key])?;
    Ok(())
}
