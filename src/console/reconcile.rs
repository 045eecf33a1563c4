//! Reconciliation on demand: begun by POST, followed by GET.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Entered;
use crate::{
    bridge::reconcile::{self, Reconciling},
    store::Drifted,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    connection: String,
    #[serde(default)]
    apply: bool,
    #[serde(default)]
    shrunk: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    connection: String,
}

pub(super) async fn begin(operator: Entered, order: web::Json<Order>) -> HttpResponse {
    let what = reconcile::Order {
        apply: order.apply,
        shrunk: order.shrunk,
    };
    match operator.0.begin_reconcile(&order.connection, what) {
        None => unknown(&order.connection),
        Some(true) => HttpResponse::Accepted().json(json!({ "running": true })),
        Some(false) => HttpResponse::Conflict()
            .json(json!({ "error": "a reconciliation of this connection is under way already" })),
    }
}

pub(super) async fn show(operator: Entered, asked: web::Query<Asked>) -> HttpResponse {
    match operator.0.reconciling(&asked.connection) {
        None => unknown(&asked.connection),
        Some(now) => HttpResponse::Ok().json(document(&now)),
    }
}

fn unknown(name: &str) -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "error": format!("there is no connection {name:?}") }))
}

fn document(now: &Reconciling) -> Value {
    let result = now.result.as_ref();
    json!({
        "running": now.running,
        "paused": now.paused,
        "groupsRead": now.groups_read,
        "groups": now.groups,
        "found": result.and_then(|result| result.as_ref().ok()).map(found),
        "error": result.and_then(|result| result.as_ref().err()),
    })
}

/// What a reconciliation found, for the status too.
pub(super) fn found(found: &Drifted) -> Value {
    let mut value = serde_json::to_value(found).unwrap_or(Value::Null);
    value["started"] = super::time(found.started).into();
    value["ended"] = found.ended.map(super::time).into();
    for group in value["details"].as_array_mut().into_iter().flatten() {
        for list in ["given_back", "deleted"] {
            for back in group[list].as_array_mut().into_iter().flatten() {
                back["removed"] = back["removed"].as_i64().map(super::time).into();
            }
        }
    }
    for list in ["users_again", "groups_again"] {
        for again in value[list].as_array_mut().into_iter().flatten() {
            again["removed"] = again["removed"].as_i64().map(super::time).into();
        }
    }
    let left = found.left();
    value["left"] = json!({
        "accounts": left.accounts,
        "groups": left.groups,
        "memberships": left.memberships,
    });
    value
}
