//! What would happen now, for `drawbridge plan`: of a connection, of a group,
//! or of a request that is handed in.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Entered,
    held::{rehearsed, told},
};
use crate::{
    bridge::Preview,
    scim::{
        bulk::{Act, Verb},
        resource::ResourceType,
    },
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    connection: String,
    group: Option<String>,
}

/// A SCIM request as a file holds it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    connection: String,
    method: String,
    /// Below the base URL: `/Groups/ID`.
    path: String,
    #[serde(default)]
    body: Value,
}

pub(super) async fn pending(operator: Entered, asked: web::Query<Asked>) -> HttpResponse {
    let group = asked.group.as_deref();
    let previews = operator.0.preview(&asked.connection, group).await;
    told(previews.map(|all| {
        let lanes: Vec<Value> = all.iter().map(preview).collect();
        json!({ "pending": lanes })
    }))
}

fn preview(of: &Preview) -> Value {
    json!({
        "resourceType": of.of.name(),
        "id": of.id.to_string(),
        "asksFirst": of.unsure,
        "operations": of.plan.operations,
        "calls": of.calls,
        "losses": of.plan.losses,
    })
}

pub(super) async fn request(operator: Entered, request: web::Json<Request>) -> HttpResponse {
    let request = request.into_inner();
    let Some(act) = act_of(&request) else {
        return HttpResponse::BadRequest().json(json!({
            "error": "write {\"method\": \"PATCH\", \"path\": \"/Groups/ID\", \"body\": {..}}; the methods are PUT, PATCH and DELETE",
        }));
    };
    let plan = operator.0.rehearse_request(&request.connection, act).await;
    told(plan.map(|plan| match plan {
        Some(plan) => rehearsed(&plan),
        None => json!({ "takesAway": "nothing", "plan": null, "rule": null, "why": null }),
    }))
}

fn act_of(request: &Request) -> Option<Act> {
    let verb = match request.method.to_ascii_uppercase().as_str() {
        "PUT" => Verb::Replace,
        "PATCH" => Verb::Patch,
        "DELETE" => Verb::Delete,
        _ => return None,
    };
    let (kind, id) = request.path.trim_start_matches('/').split_once('/')?;
    let of = match kind {
        "Users" => ResourceType::User,
        "Groups" => ResourceType::Group,
        _ => return None,
    };
    Some(Act {
        verb,
        of,
        id: id.to_owned(),
        data: request.body.clone(),
    })
}
