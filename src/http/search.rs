//! Lists, however they are asked for: a GET of a resource type or of the base
//! URL itself, and `POST .search` in the same places (RFC 7644 sections 3.4.2
//! and 3.4.3). At the root users come before groups in one list, unless it is
//! sorted; an attribute that a type does not have has no value there.

use actix_web::HttpResponse;

use super::{
    body::Body,
    caller::Caller,
    failure::Refusal,
    page::{self, GROUPS_AT_ONCE, Shown},
};
use crate::scim::{
    error::Problem,
    json::Limits,
    query::{ListQuery, Projection, SearchRequest},
    resource::ResourceType::{self, Group, User},
};

type Answer = Result<HttpResponse, Refusal>;

/// What is asked of each resource type.
pub(super) type Asked = Vec<(ResourceType, ListQuery)>;

pub(super) async fn users(caller: Caller, body: Body) -> Answer {
    let asked = in_body(&caller, &body, &[User])?;
    list(caller, asked).await
}

pub(super) async fn groups(caller: Caller, body: Body) -> Answer {
    let asked = in_body(&caller, &body, &[Group])?;
    list(caller, asked).await
}

pub(super) async fn everything(caller: Caller, body: Body) -> Answer {
    let asked = in_body(&caller, &body, &[User, Group])?;
    list(caller, asked).await
}

/// GET of the base URL (RFC 7644 section 3.4.2.1).
pub(super) async fn root(caller: Caller) -> Answer {
    let asked = in_query(&caller, &[User, Group])?;
    list(caller, asked).await
}

/// The answer to a list.
pub(super) async fn list(caller: Caller, asked: Asked) -> Answer {
    let found = caller.session.list(&asked, GROUPS_AT_ONCE).await?;
    let mut shown = Shown {
        users: Projection::default(),
        groups: Projection::default(),
    };
    for (of, query) in asked {
        match of {
            User => shown.users = query.projection,
            Group => shown.groups = query.projection,
        }
    }
    page::answer(caller, found, shown).await
}

/// A list from the query string.
pub(super) fn in_query(caller: &Caller, types: &[ResourceType]) -> Result<Asked, Problem> {
    let guarded = &caller.session.policy().sensitive_filters;
    let request = SearchRequest::from_query(caller.query(), guarded, caller.limits())?;
    among(caller, &request, types)
}

fn in_body(caller: &Caller, body: &Body, types: &[ResourceType]) -> Result<Asked, Problem> {
    let request = SearchRequest::parse(&body.0, caller.limits())?;
    among(caller, &request, types)
}

/// What one type knows nothing of may well be about the other: it is refused
/// when no type knows it.
fn among(
    caller: &Caller,
    request: &SearchRequest,
    types: &[ResourceType],
) -> Result<Asked, Problem> {
    if caller.limits().strict {
        let known: Vec<_> = types.iter().map(|of| (*of, &*caller.schemas)).collect();
        request.shows_known(&known)?;
    }
    let of_type = |of: &ResourceType, limits| {
        let query = request.among(*of, &caller.schemas, limits)?;
        Ok((*of, query))
    };
    let strictly = types.iter().map(|of| of_type(of, caller.limits()));
    let strictly: Vec<Result<_, Problem>> = strictly.collect();
    if strictly.iter().all(Result::is_ok) || strictly.iter().all(Result::is_err) {
        return strictly.into_iter().collect();
    }
    let leniently = Limits {
        strict: false,
        ..*caller.limits()
    };
    types.iter().map(|of| of_type(of, &leniently)).collect()
}
