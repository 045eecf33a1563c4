//! Held requests and recovery, for the operator's commands: what waits, what
//! it would do now, and the word that decides it.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Entered,
    plan::{lay_answers, lay_calls},
    time,
};
use crate::bridge::{Declined, Failure, HeldRequest, Hold, Rehearsal};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Decided ones too.
    #[serde(default)]
    all: bool,
}

pub(super) async fn list(operator: Entered, asked: web::Query<Asked>) -> HttpResponse {
    told(operator.0.holds(!asked.all).await.map(|holds| {
        let holds = holds.iter().map(|(name, hold)| document(name, hold));
        json!({ "held": holds.collect::<Vec<_>>() })
    }))
}

pub(super) async fn show(operator: Entered, id: web::Path<String>) -> HttpResponse {
    told(operator.0.hold(&id).await.map(|held| whole(&held)))
}

pub(super) async fn plan(operator: Entered, id: web::Path<String>) -> HttpResponse {
    told(operator.0.rehearse(&id).await.map(|(effect, plan)| {
        let mut told = rehearsed(&effect);
        lay_calls(&mut told, &plan);
        lay_answers(&mut told, &plan);
        told
    }))
}

pub(super) async fn approve(operator: Entered, id: web::Path<String>) -> HttpResponse {
    told(operator.0.approve(&id).await.map(|approved| {
        let written = approved.written.as_ref();
        json!({
            "changed": written.is_none_or(|it| it.changed),
            "pending": written.is_some_and(|it| it.pending),
            "paused": approved.paused,
            "leftOut": written.map_or(&[][..], |it| it.skipped.as_slice()),
        })
    }))
}

pub(super) async fn reject(operator: Entered, id: web::Path<String>) -> HttpResponse {
    told(operator.0.reject(&id).await.map(|()| json!({})))
}

pub(super) async fn end_recovery(operator: Entered, connection: web::Path<String>) -> HttpResponse {
    let ended = operator.0.end_recovery(&connection).await;
    let stands = operator.0.reconciling(&connection);
    let paused = stands.is_some_and(|it| it.paused);
    told(ended.map(|ended| json!({ "ended": ended, "paused": paused })))
}

fn document(connection: &str, hold: &Hold) -> Value {
    json!({
        "id": hold.id.to_string(),
        "connection": connection,
        "state": hold.state.as_str(),
        "at": time(hold.at),
        "decidedAt": hold.decided.as_ref().map(|(at, _)| time(*at)),
        "decidedBy": hold.decided.as_ref().map(|(_, by)| by),
        "sentBy": hold.actor,
        "method": hold.method,
        "rule": hold.over.rule.as_str(),
        "why": hold.over.to_string(),
        "takesAway": hold.plan.to_string(),
        "plan": hold.plan,
        "changedAt": hold.anew.map(time),
    })
}

fn whole(held: &HeldRequest) -> Value {
    let mut told = document(&held.connection, &held.hold);
    // Kept until it is decided, and there is none for a deletion.
    told["body"] = serde_json::from_str(&held.request.body).unwrap_or(Value::Null);
    told
}

pub(super) fn rehearsed(rehearsal: &Rehearsal) -> Value {
    json!({
        "takesAway": rehearsal.effect.to_string(),
        "plan": rehearsal.effect,
        "rule": rehearsal.over.map(|over| over.rule.as_str()),
        "why": rehearsal.over.map(|over| over.to_string()),
    })
}

pub(super) fn told(done: Result<Value, Declined>) -> HttpResponse {
    let declined = match done {
        Ok(value) => return HttpResponse::Ok().json(value),
        Err(declined) => declined,
    };
    let text = declined.to_string();
    let (status, text) = match declined {
        Declined::NoSuchConnection(_) | Declined::NoSuchHold(_) => (404, text),
        Declined::Decided(_) | Declined::Unseen => (409, text),
        Declined::Failed(Failure::Problem(problem)) => (problem.status, problem.detail),
        Declined::Failed(Failure::Later { detail, .. }) => (503, detail),
        Declined::Failed(Failure::Stopped(why)) => (403, why.to_string()),
        Declined::Failed(Failure::Stale(_)) => (412, text),
        Declined::Failed(Failure::Internal) => (500, "the server failed; see the log".to_owned()),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).json(json!({ "error": text }))
}
