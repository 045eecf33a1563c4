//! `POST /Bulk` (RFC 7644 section 3.7): 200 for the whole, and each
//! operation's answer in the order of the request, as the single request would
//! have been answered, without the resource. The version of a User is told
//! without its groups, as a later operation's `version` is compared.

use actix_web::{HttpResponse, http::StatusCode};
use serde_json::{Map, Value, json};

use super::{body::Body, caller::Caller, failure::Refusal, reply, version};
use crate::{
    bridge::{BulkAnswer, Precondition, Written},
    scim::{
        bulk::{self, Act, Verb},
        message::BULK_RESPONSE,
        resource::ResourceType::{Group, User},
    },
};

type Answer = Result<HttpResponse, Refusal>;

pub(super) async fn bulk(caller: Caller, body: Body) -> Answer {
    let request = bulk::parse(&body.0, caller.limits())?;
    let versions = request.operations.iter().map(|o| o.version.as_deref());
    let when = versions.map(Precondition::of_operation).collect();
    let answers = caller.session.bulk(request, when).await?;
    let dropped: usize = answers.iter().map(|answer| answer.dropped).sum();
    if dropped > 0 {
        caller.tell_left_out(dropped);
    }
    let told = answers.iter().map(|answer| told(answer, &caller.base));
    let body = json!({"schemas": [BULK_RESPONSE], "Operations": told.collect::<Vec<_>>()});
    let done = answers
        .iter()
        .filter_map(|answer| answer.outcome.as_ref().ok()?.as_ref());
    Ok(reply::noting_all(
        done,
        reply::json(StatusCode::OK, body.to_string()),
    ))
}

/// One operation's answer.
fn told(answer: &BulkAnswer, base: &str) -> Value {
    let operation = &answer.operation;
    let mut told = Map::new();
    if let Ok(act) = &operation.act
        && (answer.outcome.is_ok() || act.verb != Verb::Create)
    {
        let location = format!("{base}/{}/{}", act.of.endpoint(), act.id);
        told.insert("location".into(), location.into());
    }
    told.insert(
        "method".into(),
        operation.method.to_ascii_uppercase().into(),
    );
    if let Some(id) = &operation.bulk_id {
        told.insert("bulkId".into(), id.as_str().into());
    }
    match (&answer.outcome, &operation.act) {
        (Ok(written), Ok(act)) => {
            if let Some(tag) = written.as_ref().and_then(|w| tag(w, act)) {
                told.insert("version".into(), tag.into());
            }
            told.insert("status".into(), status(act).to_string().into());
        }
        (Err(failure), _) => refused(&mut told, &failure.clone().into()),
        (_, Err(problem)) => refused(&mut told, &problem.clone().into()),
    }
    told.into()
}

/// What a deleted resource has no more.
fn tag(written: &Written, act: &Act) -> Option<String> {
    let tag = version::etag(written.resource.meta.version);
    let tag = tag.to_str().ok().map(str::to_owned);
    tag.filter(|_| act.verb != Verb::Delete)
}

/// That of the single request.
fn status(act: &Act) -> u16 {
    match (act.verb, act.of) {
        (Verb::Create, _) => 201,
        (Verb::Replace, _) | (Verb::Patch, User) => 200,
        (Verb::Patch, Group) | (Verb::Delete, _) => 204,
    }
}

fn refused(told: &mut Map<String, Value>, refusal: &Refusal) {
    let status = refusal.status().as_u16().to_string();
    told.insert("status".into(), status.into());
    told.insert("response".into(), refusal.to_json());
}
