//! `/Roles` and `/Entitlements`, what the application has to assign: read-only
//! lists that are filtered, paged and cut like others (RFC 7644 section
//! 3.4.2), from a table in memory. Their GET tells a version, which `.search`
//! (in `search`) does not.

use actix_web::HttpResponse;
use serde_json::Value;

use super::{caller::Caller, discovery, failure::Refusal, reply, search};
use crate::{
    bridge::Item,
    scim::{
        catalog::Assignable::{self, Entitlement, Role},
        query::Projection,
        resource::ResourceType::User,
    },
};

type Answer = Result<HttpResponse, Refusal>;

pub(super) async fn roles(caller: Caller) -> Answer {
    list(&caller, Role).await
}

pub(super) async fn role(caller: Caller) -> Answer {
    one(&caller, Role)
}

pub(super) async fn entitlements(caller: Caller) -> Answer {
    list(&caller, Entitlement).await
}

pub(super) async fn entitlement(caller: Caller) -> Answer {
    one(&caller, Entitlement)
}

async fn list(caller: &Caller, of: Assignable) -> Answer {
    let asked = search::in_query(caller, &[of.into()])?;
    let page = caller.session.list(&asked, 0).await?;
    let shown = asked.into_iter().next().map(|(_, query)| query.projection);
    let shown = shown.unwrap_or_default();
    let rows = page.items.iter().filter_map(|item| match item {
        Item::Row(of, entry) => Some(reply::row(*of, entry, &caller.base, &shown)),
        Item::Resource(..) => None,
    });
    let rows: Vec<String> = rows.collect();
    let mut text = reply::list_head(&page);
    text.push_str(&rows.join(","));
    text.push_str(&reply::list_tail(rows.len()));
    discovery::told_as(caller, text)
}

fn one(caller: &Caller, of: Assignable) -> Answer {
    let projection = Projection::parse(caller.query(), User, of.schemas(), caller.limits())?;
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
