//! `/Users`: each handler is one call of the session and a reply.

use actix_web::{HttpResponse, http::StatusCode};

use super::{body::Body, caller::Caller, failure::Refusal, reply};
use crate::scim::{
    patch,
    query::ListQuery,
    resource::{ResourceType::User, user_from_json},
};

type Answer = Result<HttpResponse, Refusal>;

pub(super) async fn read(caller: Caller) -> Answer {
    let projection = caller.projection(User)?;
    let user = caller.session.read(User, caller.id()).await?;
    if caller.has(user.meta.version)? {
        return Ok(reply::not_modified(user.meta.version));
    }
    Ok(reply::resource(
        StatusCode::OK,
        &caller,
        User,
        &user,
        &projection,
    ))
}

pub(super) async fn list(caller: Caller) -> Answer {
    let query = ListQuery::parse(caller.query(), User, &caller.schemas, caller.limits())?;
    let users = caller.session.list(User, &query).await?;
    Ok(reply::list(&caller, User, &users, &query))
}

pub(super) async fn create(caller: Caller, body: Body) -> Answer {
    let projection = caller.projection(User)?;
    let user = user_from_json(&body.0, &caller.schemas, caller.limits())?;
    let written = caller.session.create_user(user).await?;
    let answer = reply::resource(
        StatusCode::CREATED,
        &caller,
        User,
        &written.resource,
        &projection,
    );
    Ok(reply::noting(&written, answer))
}

pub(super) async fn replace(caller: Caller, body: Body) -> Answer {
    let (projection, when) = (caller.projection(User)?, caller.precondition()?);
    let user = user_from_json(&body.0, &caller.schemas, caller.limits())?;
    let written = caller.session.replace_user(caller.id(), user, when).await?;
    let answer = reply::resource(
        StatusCode::OK,
        &caller,
        User,
        &written.resource,
        &projection,
    );
    Ok(reply::noting(&written, answer))
}

pub(super) async fn patch(caller: Caller, body: Body) -> Answer {
    let (projection, when) = (caller.projection(User)?, caller.precondition()?);
    let patch = patch::parse(&body.0, User, &caller.schemas, caller.limits())?;
    let written = caller.session.patch_user(caller.id(), patch, when).await?;
    let answer = reply::resource(
        StatusCode::OK,
        &caller,
        User,
        &written.resource,
        &projection,
    );
    Ok(reply::noting(&written, answer))
}

pub(super) async fn delete(caller: Caller) -> Answer {
    let when = caller.precondition()?;
    caller.session.delete_user(caller.id(), when).await?;
    Ok(reply::gone())
}
