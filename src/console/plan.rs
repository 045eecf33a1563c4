//! What would happen now, for `drawbridge plan`: of a connection, of a group,
//! or of a request that is handed in, as it stands in a record of what an
//! identity provider has sent. Of people there are ids and accounts, as in
//! every call.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Entered, Shared,
    held::{rehearsed, told},
};
use crate::{
    bridge::{
        BulkAnswer, Failure, Foreseen, Look, Precondition, Preview, Rehearsed, SentRequest,
        Stopped, Then,
    },
    scim::{
        error::{Problem, ScimType},
        json::{self, Limits},
        tags::Tags,
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
    /// Below the base URL (`/Groups/ID`), or with it.
    #[serde(alias = "url")]
    path: String,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    headers: Map<String, Value>,
}

impl From<Request> for SentRequest {
    fn from(request: Request) -> Self {
        let tags = |name: &str| {
            let named = |(key, _): &(&String, &Value)| key.eq_ignore_ascii_case(name);
            let values = request.headers.iter().filter(named);
            // A header that was sent several times is a list of its values.
            let values = values.flat_map(|(_, value)| match value {
                Value::Array(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            });
            Tags::read(name, values.map(Value::as_str))
        };
        let both = tags("if-match").and_then(|it| Ok((it, tags("if-none-match")?)));
        let when = both.map(|(if_match, if_none_match)| Precondition::of(if_match, if_none_match));
        Self {
            when,
            method: request.method,
            path: request.path,
            body: request.body,
        }
    }
}

/// What a file has to say at least.
const SMALLEST: &str = r#"a request is {"method": "DELETE", "path": "/Users/ID"}, or with a body {"method": "PATCH", "path": "/Users/ID", "body": {"Operations": [..]}}; `url` may stand for `path`, and `headers` beside them"#;

/// Whose request it is, where that does not stand in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    connection: Option<String>,
}

/// A request as a file says it, read as strictly as one that comes, or what it
/// lacks.
fn read(body: &[u8], of: Of) -> Result<Request, Problem> {
    let lacks = |what: &str| {
        let detail = format!("the request is not complete: {what}: {SMALLEST}");
        Problem::new(400, detail)
    };
    let limits = Limits {
        // What stands in `body` is counted when it is read.
        depth: 100,
        ..Limits::default()
    };
    let read = json::parse(body, &limits);
    let read = read.map_err(|it| lacks(&format!("it is no JSON object, as {}", it.detail)))?;
    let Value::Object(mut request) = read else {
        return Err(lacks("it is no JSON object"));
    };
    if let Some(named) = of.connection {
        let said = request.insert("connection".into(), named.as_str().into());
        if let Some(said) = said.filter(|said| *said != named) {
            let detail = format!(
                "the request is of the connection {said}, and not of {named:?}: take `connection` \
                 out of it, or name the same one"
            );
            return Err(Problem::new(400, detail));
        }
    }
    serde_json::from_value(request.into()).map_err(|error| lacks(&error.to_string()))
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
        "waitsFor": of.waits,
        "looksFirst": of.looks.iter().map(look).collect::<Vec<_>>(),
        "operations": of.plan.operations,
        "calls": of.calls,
        "losses": of.plan.losses,
    })
}

pub(super) async fn request(
    operator: Entered,
    shared: web::Data<Shared>,
    of: web::Query<Of>,
    body: web::Bytes,
) -> HttpResponse {
    let request = match read(&body, of.into_inner()) {
        Ok(request) => request,
        Err(problem) => return told(Err(Failure::Problem(problem).into())),
    };
    let unknown = match of_host(&request.path, shared.public_url.as_deref()) {
        Ok(unknown) => unknown,
        Err(problem) => return told(Err(Failure::Problem(problem).into())),
    };
    let connection = request.connection.clone();
    let plan = operator.0.rehearse_request(&connection, request.into());
    told(plan.await.map(|plan| {
        let mut plan = match plan {
            Some(plan) => foretold(&plan),
            None => json!({ "answers": [], "calls": [], "more": false, "reads": true }),
        };
        if let Some(host) = unknown {
            plan["notKnown"] = format!(
                "whether {host:?} is this server, as no public_url is configured; it is told as if \
                 it were"
            )
            .into();
        }
        plan
    }))
}

/// The host of a whole address of which it is not known whether it is this server's.
/// Not to be taken is one of another server than the one that identity providers
/// know, and than this machine.
fn of_host(path: &str, public_url: Option<&str>) -> Result<Option<String>, Problem> {
    let host = |url: &str| {
        let (_, rest) = url.split_once("://")?;
        rest.split(['/', '?', '#']).next().map(str::to_lowercase)
    };
    let Some(sent) = host(path) else {
        return Ok(None);
    };
    let named = sent
        .rsplit_once(':')
        .filter(|(_, port)| !port.contains(']'));
    let name = named.map_or(&*sent, |(name, _)| name);
    if ["localhost", "127.0.0.1", "[::1]"].contains(&name) {
        return Ok(None);
    }
    match public_url.and_then(host) {
        None => Ok(Some(sent)),
        Some(ours) if ours == sent => Ok(None),
        Some(ours) => {
            let detail = format!(
                "the address is of {sent:?}, and this server is {ours:?} (public_url); write what \
                 stands below the base URL alone, as \"/Users/ID\""
            );
            Err(Problem::new(400, detail))
        }
    }
}

/// What a request would be answered, and what would be sent for it.
fn foretold(plan: &Rehearsed) -> Value {
    let mut told = match &plan.effect {
        Some(effect) => rehearsed(effect),
        // Of several each has an answer of its own.
        None if plan.operations.len() > 1 => json!({}),
        None => json!({ "takesAway": "nothing", "plan": null, "rule": null, "why": null }),
    };
    lay_answers(&mut told, plan);
    lay_calls(&mut told, plan);
    told
}

pub(super) fn lay_answers(told: &mut Value, plan: &Rehearsed) {
    let answers: Vec<Value> = plan.operations.iter().map(answer).collect();
    told["answers"] = answers.into();
}

pub(super) fn lay_calls(told: &mut Value, plan: &Rehearsed) {
    let calls: Vec<Value> = plan.calls.iter().map(call).collect();
    told["calls"] = calls.into();
    told["more"] = plan.cut.into();
    told["paused"] = plan.paused.into();
    let moved: Vec<String> = plan.moved.iter().map(ToString::to_string).collect();
    told["followsAddress"] = moved.into();
}

fn call(of: &Foreseen) -> Value {
    let refused: Vec<Value> = of
        .refused
        .iter()
        .map(|(id, reason)| json!({ "id": id.map(|id| id.to_string()), "reason": reason }))
        .collect();
    json!({
        "resourceType": of.of.name(),
        "id": of.id.to_string(),
        "asksFirst": of.unsure,
        "looksFirst": of.looks.iter().map(look).collect::<Vec<_>>(),
        "operations": of.operations,
        "refused": refused,
    })
}

/// What the application shows now of a group that a guard rail watches.
fn look(of: &Look) -> Value {
    json!({
        "group": of.group,
        "rule": of.rail,
        "least": of.least,
        "staying": of.staying,
        "then": match of.then {
            Then::Sent => "sent",
            Then::Refused => "refused",
            Then::Waits => "waits",
        },
    })
}

fn answer(of: &BulkAnswer) -> Value {
    let mut told = json!({
        "method": of.operation.method.to_ascii_uppercase(),
        "bulkId": of.operation.bulk_id,
    });
    if let Ok(act) = &of.operation.act {
        told["resourceType"] = act.of.name().into();
        told["id"] = act.id.as_str().into();
    }
    if of.dropped > 0 {
        told["leftOut"] = of.dropped.into();
    }
    match (&of.outcome, &of.operation.act) {
        (_, Err(problem)) => lay_problem(&mut told, problem, "not understood"),
        (Ok(None), _) => told["answer"] = "done".into(),
        (Ok(Some(written)), _) => {
            let changed = if written.changed {
                "done"
            } else {
                "nothing to do"
            };
            told["answer"] = changed.into();
            if !written.skipped.is_empty() {
                told["skipped"] = json!(written.skipped);
            }
        }
        (Err(failure), _) => lay_failure(&mut told, failure),
    }
    told
}

fn lay_failure(told: &mut Value, failure: &Failure) {
    match failure {
        Failure::Problem(problem) => {
            let unread = [
                ScimType::InvalidSyntax,
                ScimType::InvalidPath,
                ScimType::InvalidFilter,
            ];
            let word = if problem.scim_type.is_some_and(|it| unread.contains(&it)) {
                "not understood"
            } else {
                "refused"
            };
            lay_problem(told, problem, word);
        }
        Failure::Stopped(why) => {
            let word = match &**why {
                Stopped::Over(excess) => {
                    told["rule"] = excess.over.rule.as_str().into();
                    told["takesAway"] = excess.effect.to_string().into();
                    "held"
                }
                _ => "refused",
            };
            lay_problem(told, &Problem::new(403, why.to_string()), word);
        }
        Failure::Stale(_) => lay_problem(told, &Problem::new(412, failure.to_string()), "refused"),
        Failure::Later { detail, .. } => lay_problem(told, &Problem::new(503, detail), "refused"),
        Failure::Internal => lay_problem(told, &Problem::new(500, failure.to_string()), "refused"),
    }
}

fn lay_problem(told: &mut Value, problem: &Problem, word: &str) {
    told["answer"] = word.into();
    told["status"] = problem.status.into();
    told["detail"] = problem.detail.as_str().into();
}
