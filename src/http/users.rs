//! `/Users`: each handler is one call of the session and a reply.

use actix_web::{HttpResponse, http::StatusCode};

use super::{body::Body, caller::Caller, failure::Refusal, reply, search};
use crate::{
    bridge::{Failure, Resource, Written},
    scim::{
        groups::DirectGroup,
        patch,
        query::Projection,
        resource::{ResourceType::User, user_from_json},
    },
};

type Answer = Result<HttpResponse, Refusal>;

pub(super) async fn read(caller: Caller) -> Answer {
    let projection = caller.projection(User)?;
    let wanted = projection.wants_groups();
    let (user, groups) = caller.session.user(caller.id(), wanted).await?;
    let tag = reply::tag(&user, &groups);
    if caller.has(tag)? {
        return Ok(reply::not_modified(tag));
    }
    Ok(reply::user(
        StatusCode::OK,
        &caller,
        &user,
        &groups,
        &projection,
    ))
}

pub(super) async fn list(caller: Caller) -> Answer {
    let asked = search::in_query(&caller, &[User.into()])?;
    search::list(caller, asked).await
}

pub(super) async fn create(caller: Caller, body: Body) -> Answer {
    let projection = caller.projection(User)?;
    let user = user_from_json(&body.0, &caller.schemas, caller.limits())?;
    let user = caller.taken(user);
    let written = caller.session.create_user(user).await?;
    told(StatusCode::CREATED, &caller, &written, &projection).await
}

pub(super) async fn replace(caller: Caller, body: Body) -> Answer {
    let (projection, when) = (caller.projection(User)?, caller.precondition()?);
    let user = user_from_json(&body.0, &caller.schemas, caller.limits())?;
    let user = caller.taken(user);
    let written = caller
        .session
        .replace_user(caller.id(), user, when, &body.0)
        .await?;
    told(StatusCode::OK, &caller, &written, &projection).await
}

pub(super) async fn patch(caller: Caller, body: Body) -> Answer {
    let (projection, when) = (caller.projection(User)?, caller.precondition()?);
    let patch = patch::parse(&body.0, User, &caller.schemas, caller.limits())?;
    let patch = caller.taken(patch);
    let written = caller
        .session
        .patch_user(caller.id(), patch, when, &body.0)
        .await?;
    told(StatusCode::OK, &caller, &written, &projection).await
}

/// A user that was written, with the groups it is in now.
async fn told(
    status: StatusCode,
    caller: &Caller,
    written: &Written,
    projection: &Projection,
) -> Answer {
    let user = &written.resource;
    let groups = groups_of(caller, user, projection).await?;
    let answer = reply::user(status, caller, user, &groups, projection);
    Ok(reply::noting(written, answer))
}

/// The groups that a written user is to be shown with; not read when not wanted.
async fn groups_of(
    caller: &Caller,
    user: &Resource,
    projection: &Projection,
) -> Result<Vec<DirectGroup>, Failure> {
    if !projection.wants_groups() {
        return Ok(Vec::new());
    }
    let mut groups = caller.session.groups_of(vec![user.id], 1).await?;
    Ok(groups.pop().unwrap_or_default())
}

pub(super) async fn delete(caller: Caller) -> Answer {
    let when = caller.precondition()?;
    caller.session.delete_user(caller.id(), when).await?;
    Ok(reply::gone())
}
