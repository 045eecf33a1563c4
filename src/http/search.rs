//! Lists, however they are asked for: a GET of a resource type or of the base
//! URL itself, and `POST .search` in the same places (RFC 7644 sections 3.4.2
//! and 3.4.3). At the root everything is in one list: users, groups, and what
//! can be assigned, in this order unless it is sorted; an attribute that a type
//! does not have has no value there.

use actix_web::HttpResponse;

use super::{
    body::Body,
    caller::Caller,
    discovery,
    failure::Refusal,
    page::{self, GROUPS_AT_ONCE, Shown},
};
use crate::scim::{
    catalog::{
        Assignable::{Entitlement, Role},
        Listable,
    },
    error::Problem,
    json::Limits,
    query::{ListQuery, SearchRequest},
    resource::ResourceType::{self, Group, User},
    schema::Schemas,
};

type Answer = Result<HttpResponse, Refusal>;

/// What is asked of each type.
pub(super) type Asked = Vec<(Listable, ListQuery)>;

pub(super) async fn users(caller: Caller, body: Body) -> Answer {
    in_body(caller, body, &[User.into()]).await
}

pub(super) async fn groups(caller: Caller, body: Body) -> Answer {
    in_body(caller, body, &[Group.into()]).await
}

pub(super) async fn roles(caller: Caller, body: Body) -> Answer {
    in_body(caller, body, &[Role.into()]).await
}

pub(super) async fn entitlements(caller: Caller, body: Body) -> Answer {
    in_body(caller, body, &[Entitlement.into()]).await
}

pub(super) async fn everything(caller: Caller, body: Body) -> Answer {
    let types = all(&caller);
    in_body(caller, body, &types).await
}

/// GET of the base URL (RFC 7644 section 3.4.2.1).
pub(super) async fn root(caller: Caller) -> Answer {
    let asked = in_query(&caller, &all(&caller))?;
    list(caller, asked).await
}

/// Every type that `/ResourceTypes` tells of.
fn all(caller: &Caller) -> Vec<Listable> {
    let offered = discovery::offered(caller).into_iter();
    let stored = [User, Group].map(Listable::from);
    stored.into_iter().chain(offered.map(Into::into)).collect()
}

/// The answer to a list.
pub(super) async fn list(caller: Caller, asked: Asked) -> Answer {
    let found = caller.session.list(&asked, GROUPS_AT_ONCE).await?;
    let mut shown = Shown::default();
    for (of, query) in asked {
        *shown.of(of) = query.projection;
    }
    page::answer(caller, found, shown).await
}

/// A list from the query string.
pub(super) fn in_query(caller: &Caller, types: &[Listable]) -> Result<Asked, Problem> {
    let guarded = &caller.session.policy().sensitive_filters;
    let request = SearchRequest::from_query(caller.query(), guarded, caller.limits())?;
    among(caller, &request, types)
}

async fn in_body(caller: Caller, body: Body, types: &[Listable]) -> Answer {
    let request = SearchRequest::parse(&body.0, caller.limits())?;
    let asked = among(&caller, &request, types)?;
    list(caller, asked).await
}

/// What one type knows nothing of may well be about another: it is refused
/// when no type knows it.
fn among(caller: &Caller, request: &SearchRequest, types: &[Listable]) -> Result<Asked, Problem> {
    if caller.limits().strict {
        let known: Vec<_> = types.iter().map(|of| schemas(caller, *of)).collect();
        request.shows_known(&known)?;
    }
    let of_type = |of: &Listable, limits| {
        let (kind, schemas) = schemas(caller, *of);
        let query = request.among(kind, schemas, limits)?;
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

/// Where the attributes of a type are looked up, and as whose.
fn schemas(caller: &Caller, of: Listable) -> (ResourceType, &Schemas) {
    match of {
        Listable::Stored(of) => (of, &caller.schemas),
        Listable::Assignable(of) => (User, of.schemas()),
    }
}
