//! Requests that wait for an operator: kept once however often they come, and
//! decided once.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::{
    plan::guard::{Excess, Moved, Protection},
    scim::resource::ResourceId,
    store::{Actor, Hold, HoldId, HoldState, Kept, Millis, Request, Room, Watch},
};

use super::{
    approved, audit, doomed,
    fault::{Fault, Result},
    row::id_at,
};

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
        if matches!(actor.watch, Watch::Approved(..)) {
            show_anew(db, (connection, id), request, excess, actor)?;
            return Ok(Kept::Before(HoldId(id), Box::new(excess.clone())));
        }
        // Which version it is for is as it was said last.
        db.prepare_cached("UPDATE held SET conditions = ?3 WHERE connection = ?1 AND id = ?2")?
            .execute(params![
                connection,
                id.as_bytes(),
                serde_json::to_string(&request.when)?
            ])?;
        let shown = Excess {
            over: serde_json::from_str(&over)?,
            effect: serde_json::from_str(&plan)?,
            moved: Moved::default(),
            anew: None,
        };
        return Ok(Kept::Before(HoldId(id), Box::new(shown)));
    }
    let size = size_of(request, excess);
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
             over, plan, body, target, takes, gives, conditions, sets)
         VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
             ?17)",
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
        request.id.as_bytes(),
        approved::packed(&excess.moved.takes),
        approved::packed(&excess.moved.gives),
        serde_json::to_string(&request.when)?,
        approved::packed_sets(&excess.moved.sets),
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

/// With the ids of whom it moves, without which it cannot be approved.
fn size_of(request: &Request, excess: &Excess) -> i64 {
    let Moved { takes, gives, sets } = &excess.moved;
    let ids = takes.len().saturating_add(gives.len()).saturating_mul(16);
    let moved = ids.saturating_add(sets.len().saturating_mul(32));
    i64::try_from(request.body.len().saturating_add(moved)).unwrap_or(i64::MAX)
}

/// It is something else by now, and that is what is approved the next time.
fn show_anew(
    db: &Connection,
    (connection, id): (i64, ResourceId),
    request: &Request,
    excess: &Excess,
    actor: &Actor,
) -> Result<()> {
    db.prepare_cached(
        "UPDATE held SET over = ?3, plan = ?4, takes = ?5, gives = ?6, bytes = ?7, anew = ?8,
             target = ?9, sets = ?10
         WHERE connection = ?1 AND id = ?2",
    )?
    .execute(params![
        connection,
        id.as_bytes(),
        serde_json::to_string(&excess.over)?,
        serde_json::to_string(&excess.effect)?,
        approved::packed(&excess.moved.takes),
        approved::packed(&excess.moved.gives),
        size_of(request, excess),
        actor.at,
        request.id.as_bytes(),
        approved::packed_sets(&excess.moved.sets),
    ])?;
    Ok(())
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

/// What an operator said of such requests before: of how many one was approved, and
/// whether one was rejected.
pub(super) fn decided(
    db: &Connection,
    connection: i64,
    digest: &[u8; 32],
) -> Result<(Option<u64>, bool)> {
    let (approved, rejected): (Option<i64>, bool) = db
        .prepare_cached(
            "SELECT max(CASE state WHEN 'approved' THEN plan ->> '$.removed' END),
                 coalesce(max(state = 'rejected'), 0)
             FROM held WHERE connection = ?1 AND digest = ?2",
        )?
        .query_row(params![connection, digest], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok((approved.and_then(|it| u64::try_from(it).ok()), rejected))
}

pub(super) fn note_protected(
    db: &Connection,
    connection: i64,
    tried: Protection,
    actor: &Actor,
) -> Result<()> {
    let (id, why) = match tried {
        Protection::User(id) => (id, "user"),
        Protection::Role(id) => (id, "role"),
        Protection::Renamed(_, id) => (id, "renamed"),
        Protection::Group(id) => (id, "group"),
        Protection::Within(id) => (id, "member"),
        Protection::Least(id, _) | Protection::Unread(id) => (id, "least_members"),
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

const COLUMNS: &str =
    "id, at, state, decided, decided_by, actor, method, over, plan, anew, digest, body, conditions";

pub(super) fn list(
    db: &Connection,
    connection: i64,
    only_open: bool,
    most: u64,
) -> Result<Vec<Hold>> {
    let which = if only_open { "AND state = 'open'" } else { "" };
    let sql = format!(
        "SELECT {COLUMNS} FROM held WHERE connection = ?1 {which} ORDER BY key DESC LIMIT ?2"
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query([connection, most])?;
    let mut holds = Vec::new();
    while let Some(row) = rows.next()? {
        holds.push(hold_at(row)?);
    }
    Ok(holds)
}

pub(super) fn find(
    db: &Connection,
    connection: i64,
    id: HoldId,
) -> Result<Option<(Hold, Request)>> {
    let sql = format!("SELECT {COLUMNS} FROM held WHERE connection = ?1 AND id = ?2");
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params![connection, id.0.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let hold = hold_at(row)?;
    let request = Request {
        method: hold.method.clone(),
        of: hold.plan.of,
        id: hold.plan.id,
        digest: row.get(10)?,
        body: row.get(11)?,
        when: serde_json::from_str(&row.get::<_, String>(12)?)?,
    };
    Ok(Some((hold, request)))
}

fn hold_at(row: &Row<'_>) -> Result<Hold> {
    let text = |column| row.get::<_, String>(column);
    let decided: Option<Millis> = row.get(3)?;
    let by: Option<String> = row.get(4)?;
    Ok(Hold {
        id: HoldId(id_at(row, 0)?),
        at: row.get(1)?,
        state: state_of(&text(2)?)?,
        decided: decided.zip(by),
        actor: text(5)?,
        method: text(6)?,
        over: serde_json::from_str(&text(7)?)?,
        plan: serde_json::from_str(&text(8)?)?,
        anew: row.get(9)?,
    })
}

fn state_of(text: &str) -> Result<HoldState> {
    let all = [
        HoldState::Open,
        HoldState::Approved,
        HoldState::Rejected,
        HoldState::Expired,
    ];
    let state = all.into_iter().find(|state| state.as_str() == text);
    state.ok_or_else(|| Fault::broken("a held request is in a state that does not exist"))
}

pub(super) fn state(db: &Connection, connection: i64, id: HoldId) -> Result<Option<HoldState>> {
    let state: Option<String> = db
        .prepare_cached("SELECT state FROM held WHERE connection = ?1 AND id = ?2")?
        .query_row(params![connection, id.0.as_bytes()], |row| row.get(0))
        .optional()?;
    state.map(|state| state_of(&state)).transpose()
}

/// Ends the wait of a request, if it still waits. Its body is needed no more, nor whom
/// it moves.
pub(super) fn decide(
    db: &Connection,
    connection: i64,
    id: HoldId,
    state: HoldState,
    actor: &Actor,
) -> Result<()> {
    let resource = db
        .prepare_cached(
            "UPDATE held SET state = ?3, decided = ?4, decided_by = ?5, body = '', bytes = 0,
                 takes = NULL, gives = NULL, sets = NULL
             WHERE connection = ?1 AND id = ?2 AND state = 'open' RETURNING plan ->> '$.id'",
        )?
        .query_row(
            params![
                connection,
                id.0.as_bytes(),
                state.as_str(),
                actor.at,
                actor.name
            ],
            |row| row.get::<_, Option<String>>(0),
        )
        .optional()?;
    let Some(resource) = resource else {
        return Ok(());
    };
    let action = match state {
        HoldState::Approved => "approve_hold",
        HoldState::Rejected => "reject_hold",
        HoldState::Expired => "expire_hold",
        HoldState::Open => return Err(Fault::broken("a decision that decides nothing")),
    };
    let resource = resource.as_deref().and_then(ResourceId::parse);
    if state != HoldState::Approved {
        doomed::note_decided(db, connection, id, state)?;
    }
    let detail = json!({ "hold": id.to_string() });
    audit::record(db, connection, actor, action, resource, &detail)
}

/// The state it was in; `None` when there is no such hold.
pub(super) fn reject(
    db: &Connection,
    connection: i64,
    id: HoldId,
    actor: &Actor,
) -> Result<Option<HoldState>> {
    let state = state(db, connection, id)?;
    if state == Some(HoldState::Open) {
        decide(db, connection, id, HoldState::Rejected, actor)?;
    }
    Ok(state)
}

pub(super) fn expire(
    db: &Connection,
    connection: i64,
    before: Millis,
    forgotten: Millis,
    actor: &Actor,
) -> Result<u64> {
    let old: Vec<ResourceId> = db
        .prepare_cached(
            "SELECT id FROM held WHERE connection = ?1 AND state = 'open' AND at <= ?2",
        )?
        .query_map([connection, before], |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in &old {
        decide(db, connection, HoldId(*id), HoldState::Expired, actor)?;
    }
    db.prepare_cached(
        "DELETE FROM held WHERE connection = ?1 AND state <> 'open' AND decided <= ?2",
    )?
    .execute([connection, forgotten])?;
    Ok(old.len() as u64)
}
