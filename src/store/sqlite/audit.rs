//! Who did what, written with every change in its transaction, and what is in
//! flight. Ids and counts only: the audit outlives the persons in it. Each row
//! is bound to the one before (`store::audit`).

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::{
    plan::operation::Operation,
    scim::resource::ResourceId,
    store::{
        Actor, Millis, Took, Watch,
        audit::{AuditRow, GENESIS, hex, link},
    },
};

use super::{fault::Result, row::id_at};

/// The actor of everything the lanes write.
pub(super) const ENGINE: &str = "bridge";
/// The outcome of what the end of the process cut off.
const INTERRUPTED: &str = "interrupted";

pub(super) fn record(
    db: &Connection,
    connection: i64,
    actor: &Actor,
    action: &str,
    id: Option<ResourceId>,
    detail: &Value,
) -> Result<()> {
    point!("audit.before");
    let detail = detail.to_string();
    let (last, before) = head(db)?;
    let number = last + 1;
    let chain = link(
        before.as_ref().map_or(&GENESIS[..], |chain| chain),
        (number, actor.at, connection),
        (&actor.name, action),
        id.as_ref(),
        &detail,
    );
    db.prepare_cached(
        "INSERT INTO audit (number, at, connection, actor, action, resource, detail, chain)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        number,
        actor.at,
        connection,
        actor.name,
        action,
        id.as_ref().map(ResourceId::as_bytes),
        detail,
        chain,
    ])?;
    point!("audit.recorded");
    Ok(())
}

/// The number and the digest of the last row.
pub(super) fn head(db: &Connection) -> Result<(i64, Option<[u8; 32]>)> {
    let row = db
        .prepare_cached("SELECT number, chain FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(row.unwrap_or((0, None)))
}

/// The digest of a row, hexadecimal; `None` also where there is no such row.
pub(super) fn chain_at(db: &Connection, number: i64) -> Result<Option<String>> {
    let chain: Option<Option<[u8; 32]>> = db
        .prepare_cached("SELECT chain FROM audit WHERE number = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?;
    Ok(chain.flatten().map(|chain| hex(&chain)))
}

pub(super) fn rows(db: &Connection, after: i64, most: usize) -> Result<Vec<AuditRow>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut select = db.prepare_cached(
        "SELECT a.number, a.at, a.connection, c.name, a.actor, a.action, a.resource, a.detail,
             a.chain
         FROM audit a JOIN connections c ON c.key = a.connection
         WHERE a.number > ?1 ORDER BY a.number LIMIT ?2",
    )?;
    let rows = select.query_map([after, most], |row| {
        let resource: Option<[u8; 16]> = row.get(6)?;
        let chain: Option<Vec<u8>> = row.get(8)?;
        Ok(AuditRow {
            number: row.get(0)?,
            at: row.get(1)?,
            key: row.get(2)?,
            connection: row.get(3)?,
            actor: row.get(4)?,
            action: row.get(5)?,
            resource: resource.map(ResourceId::from_bytes),
            detail: row.get(7)?,
            chain: chain.map(|chain| hex(&chain)),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Records the end of a turn with the calls it made; returns the row's number.
pub(super) fn record_turn(
    db: &Connection,
    connection: i64,
    at: Millis,
    action: &str,
    id: ResourceId,
    calls: &[(Operation, String, Took)],
    mut detail: Value,
) -> Result<i64> {
    let calls: Vec<Value> = calls.iter().map(call).collect();
    detail["calls"] = calls.into();
    let engine = Actor {
        name: ENGINE.into(),
        at,
        watch: Watch::Off,
        put: false,
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

/// Whether anything was sent to the application at that time or later.
pub(super) fn is_sent_since(db: &Connection, connection: i64, at: Millis) -> Result<bool> {
    let sql = "SELECT 1 FROM audit WHERE number > ?1 AND connection = ?2
               AND action IN ('user_turn', 'group_turn')";
    let since = mark(db, at)?;
    Ok(db.prepare_cached(sql)?.exists([since, connection])?)
}

/// The last row of all.
pub(super) fn latest(db: &Connection) -> Result<i64> {
    Ok(db
        .prepare_cached("SELECT coalesce(max(number), 0) FROM audit")?
        .query_row([], |row| row.get(0))?)
}

fn call((operation, outcome, took): &(Operation, String, Took)) -> Value {
    let (name, members) = match operation {
        Operation::CreateUser { .. } => ("create_user", None),
        Operation::DeactivateUser { .. } => ("deactivate_user", None),
        Operation::SetRole { .. } => ("set_role", None),
        Operation::UpsertProfile { .. } => ("upsert_profile", None),
        Operation::CreateGroup { members, .. } => ("create_group", Some(members)),
        Operation::DeleteGroup { .. } => ("delete_group", None),
        Operation::RenameGroup { .. } => ("rename_group", None),
        Operation::AddMembers { members, .. } => ("add_members", Some(members)),
        Operation::RemoveMembers { members, .. } => ("remove_members", Some(members)),
        Operation::ReplaceMembers { members, .. } => ("replace_members", Some(members)),
    };
    let mut call = json!({ "operation": name, "outcome": outcome, "millis": took.millis });
    if let Some(requests) = &took.requests {
        let told = |(outcome, millis): &_| json!({ "outcome": outcome, "millis": millis });
        call["requests"] = requests.iter().map(told).collect::<Vec<_>>().into();
    }
    if let Some(members) = members {
        let ids = members.iter().map(|member| member.id.to_string());
        call["members"] = ids.collect::<Vec<_>>().into();
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
    point!("intent.opened");
    Ok(())
}

/// What was under way when the process ended was an attempt too, of which only
/// this is known.
pub(super) fn close_interrupted(db: &Connection, connection: i64, at: Millis) -> Result<()> {
    let open: Vec<(String, i64, String, ResourceId)> = db
        .prepare_cached(
            "SELECT i.lane, i.key, i.detail, coalesce(g.id, u.id) FROM intents i
             LEFT JOIN groups g ON i.lane = 'group' AND g.key = i.key
             LEFT JOIN users u ON i.lane = 'user' AND u.key = i.key
             WHERE coalesce(g.connection, u.connection) = ?1
             ORDER BY i.lane, i.key",
        )?
        .query_map([connection], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, id_at(row, 3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let engine = Actor {
        name: ENGINE.into(),
        at,
        watch: Watch::Off,
        put: false,
    };
    for (lane, key, intended, id) in open {
        let turn = format!("{lane}_turn");
        let mut intended: Value = serde_json::from_str(&intended)?;
        let operations = intended
            .as_object_mut()
            .and_then(|it| it.remove("operations"));
        let mut calls = match operations {
            Some(Value::Array(named)) if !named.is_empty() => named,
            _ => vec![json!({ "operation": turn })],
        };
        for call in &mut calls {
            call["outcome"] = INTERRUPTED.into();
        }
        let detail = json!({ "intended": intended, "calls": calls });
        record(db, connection, &engine, &turn, Some(id), &detail)?;
        close_intent(db, &lane, key)?;
    }
    Ok(())
}

pub(super) fn close_intent(db: &Connection, lane: &str, key: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM intents WHERE lane = ?1 AND key = ?2")?
        .execute(params![lane, key])?;
    point!("intent.closed");
    Ok(())
}
