//! `/Roles` and `/Entitlements`, what the application has to assign: read-only
//! lists that are filtered, paged and cut like others (RFC 7644 section
//! 3.4.2), from a table in memory.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::{caller::Caller, discovery, failure::Refusal};
use crate::scim::{
    catalog::Assignable::{self, Entitlement, Role},
    error::{Problem, ScimType},
    message::LIST_RESPONSE,
    query::{ListQuery, Page, Projection},
    resource::ResourceType::User,
};

type Answer = Result<HttpResponse, Refusal>;

pub(super) async fn roles(caller: Caller) -> Answer {
    list(&caller, Role)
}

pub(super) async fn role(caller: Caller) -> Answer {
    one(&caller, Role)
}

pub(super) async fn entitlements(caller: Caller) -> Answer {
    list(&caller, Entitlement)
}

pub(super) async fn entitlement(caller: Caller) -> Answer {
    one(&caller, Entitlement)
}

fn list(caller: &Caller, of: Assignable) -> Answer {
    let query = ListQuery::parse(caller.query(), User, &of.schemas(), caller.limits())?;
    let Page::Index(start) = query.page else {
        return Err(Problem::bad(
            ScimType::InvalidCursor,
            "This list is short and has no cursors. Leave cursor out; startIndex and count page it.",
        )
        .into());
    };
    let catalog = caller.session.catalog();
    let (total, page) = catalog.list(of, &query, start, &caller.base);
    let list = json!({
        "schemas": [LIST_RESPONSE],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": page.len(),
        "Resources": page,
    });
    discovery::told(caller, &list)
}

fn one(caller: &Caller, of: Assignable) -> Answer {
    let projection = Projection::parse(caller.query(), User, &of.schemas(), caller.limits())?;
    let rows = caller.session.catalog().resources(of, &caller.base);
    let found = rows
        .into_iter()
        .find(|row| row.get("id").and_then(Value::as_str) == Some(caller.id()));
    let mut found = found.ok_or_else(|| {
        let (name, endpoint) = (of.name(), of.endpoint());
        Refusal::new(
            404,
            format!("There is no such {name}. GET /{endpoint} lists those that are."),
        )
    })?;
    projection.apply(&mut found);
    discovery::told(caller, &found.into())
}
