//! Requests that wait for an operator: kept once however often they come, and
//! decided once.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    plan::guard::{Excess, Protection},
    scim::resource::ResourceId,
    store::{Actor, HoldId, Kept, Request, Room},
};

use super::{audit, fault::Result, row::id_at};

pub(super) fn keep(
    db: &Connection,
    connection: i64,
    id: HoldId,
    request: &Request,
    excess: &Excess,
    room: Room,
    actor: &Actor,
) -> Result<Kept> {
    let before = db
        .prepare_cached(
            "SELECT id, over, plan FROM held
             WHERE connection = ?1 AND digest = ?2 AND state = 'open'",
        )?
        .query_row(params![connection, request.digest], |row| {
            let text = |column| row.get::<_, String>(column);
            Ok((id_at(row, 0)?, text(1)?, text(2)?))
        })
        .optional()?;
    if let Some((id, over, plan)) = before {
        let excess = Excess {
            over: serde_json::from_str(&over)?,
            effect: serde_json::from_str(&plan)?,
        };
        return Ok(Kept::Before(HoldId(id), Box::new(excess)));
    }
    let size = i64::try_from(request.body.len()).unwrap_or(i64::MAX);
    if !has_room(db, connection, size, room)? {
        return Ok(Kept::NoRoom);
    }
    let blocks = if excess.over.rule.holds_the_group() {
        group_key(db, connection, excess.effect.id)?
    } else {
        None
    };
    db.prepare_cached(
        "INSERT INTO held (connection, id, at, state, blocks, bytes, digest, actor, method, resource,
             over, plan, body)
         VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        connection,
        id.0.as_bytes(),
        actor.at,
        blocks,
        size,
        request.digest,
        actor.name,
        request.method,
        request.of.name(),
        serde_json::to_string(&excess.over)?,
        serde_json::to_string(&excess.effect)?,
        request.body,
    ])?;
    let detail = json!({
        "hold": id.to_string(),
        "method": request.method,
        "rule": excess.over.rule.as_str(),
        "taking": excess.over.taking,
        "taken": excess.over.taken,
        "most": excess.over.most,
    });
    audit::record(db, connection, actor, "hold", Some(request.id), &detail)?;
    Ok(Kept::New(id))
}

fn has_room(db: &Connection, connection: i64, size: i64, room: Room) -> Result<bool> {
    let (holds, bytes): (i64, i64) = db
        .prepare_cached(
            "SELECT count(*), coalesce(sum(bytes), 0) FROM held
             WHERE connection = ?1 AND state = 'open'",
        )?
        .query_row([connection], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let within = |number: i64, most| u64::try_from(number).is_ok_and(|number| number <= most);
    Ok(within(holds.saturating_add(1), room.holds)
        && within(bytes.saturating_add(size), room.bytes))
}

fn group_key(db: &Connection, connection: i64, id: ResourceId) -> Result<Option<i64>> {
    Ok(db
        .prepare_cached("SELECT key FROM groups WHERE id = ?1 AND connection = ?2")?
        .query_row(params![id.as_bytes(), connection], |row| row.get(0))
        .optional()?)
}

pub(super) fn note_protected(
    db: &Connection,
    connection: i64,
    tried: Protection,
    actor: &Actor,
) -> Result<()> {
    let (id, why) = match tried {
        Protection::User(id) => (id, "user"),
        Protection::Renamed(_, id) => (id, "renamed"),
        Protection::Group(id) => (id, "group"),
        Protection::Least(id, _) => (id, "least_members"),
    };
    audit::record(
        db,
        connection,
        actor,
        "refuse_protected",
        Some(id),
        &json!({ "protected": why }),
    )
}
