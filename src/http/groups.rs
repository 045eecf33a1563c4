//! `/Groups`: as users, but members are never part of what is stored as text:
//! they are read apart, only when they are wanted, and written in a stream.

use actix_web::{HttpResponse, http::StatusCode};

use super::{body::Body, caller::Caller, failure::Refusal, members, reply, search};
use crate::scim::{
    patch,
    resource::{ResourceType::Group, group_from_json},
};

type Answer = Result<HttpResponse, Refusal>;

pub(super) async fn read(caller: Caller) -> Answer {
    let projection = caller.projection(Group)?;
    let group = caller.session.read(Group, caller.id()).await?;
    if caller.has(group.meta.version)? {
        return Ok(reply::not_modified(group.meta.version));
    }
    members::group(StatusCode::OK, &caller, group, &projection).await
}

pub(super) async fn list(caller: Caller) -> Answer {
    let asked = search::in_query(&caller, &[Group.into()])?;
    search::list(caller, asked).await
}

pub(super) async fn create(caller: Caller, body: Body) -> Answer {
    let projection = caller.projection(Group)?;
    let group = group_from_json(&body.0, &caller.schemas, caller.limits())?;
    let group = caller.taken(group);
    let written = caller.session.create_group(group).await?;
    members::written(StatusCode::CREATED, &caller, written, &projection).await
}

/// A body without `members` keeps them; the session sees to that.
pub(super) async fn replace(caller: Caller, body: Body) -> Answer {
    let (projection, when) = (caller.projection(Group)?, caller.precondition()?);
    let group = group_from_json(&body.0, &caller.schemas, caller.limits())?;
    let group = caller.taken(group);
    let written = caller
        .session
        .replace_group(caller.id(), group, when, &body.0)
        .await?;
    members::written(StatusCode::OK, &caller, written, &projection).await
}

/// 204, as identity providers expect and as cheap as the change was; a client
/// that names attributes gets them (RFC 7644 section 3.5.2).
pub(super) async fn patch(caller: Caller, body: Body) -> Answer {
    let (projection, when) = (caller.projection(Group)?, caller.precondition()?);
    let patch = patch::parse(&body.0, Group, &caller.schemas, caller.limits())?;
    let patch = caller.taken(patch);
    let written = caller
        .session
        .patch_group(caller.id(), patch, when, &body.0)
        .await?;
    if projection.is_default() {
        return Ok(reply::noting(&written, reply::done(&written)));
    }
    members::written(StatusCode::OK, &caller, written, &projection).await
}

pub(super) async fn delete(caller: Caller) -> Answer {
    let when = caller.precondition()?;
    caller.session.delete_group(caller.id(), when).await?;
    Ok(reply::gone())
}
