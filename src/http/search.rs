//! `POST .search`, below a resource type and at the root, where users come
//! before groups in one list (RFC 7644 section 3.4.3).

use actix_web::{HttpResponse, http::StatusCode};

use super::{body::Body, caller::Caller, failure::Refusal, members, reply};
use crate::scim::{
    error::Problem,
    query::{ListQuery, SearchRequest},
    resource::ResourceType::{self, Group, User},
};

type Answer = Result<HttpResponse, Refusal>;

pub(super) async fn users(caller: Caller, body: Body) -> Answer {
    let query = among(&caller, &asked(&caller, &body)?, User)?;
    let users = caller.session.list(User, &query).await?;
    Ok(reply::list(&caller, User, &users, &query))
}

pub(super) async fn groups(caller: Caller, body: Body) -> Answer {
    let query = among(&caller, &asked(&caller, &body)?, Group)?;
    let groups = caller.session.list(Group, &query).await?;
    if query.projection.wants_members() && !groups.resources.is_empty() {
        return Ok(members::list(caller, groups, query));
    }
    Ok(reply::list(&caller, Group, &groups, &query))
}

/// Both types under one count: groups fill what users leave of the page.
pub(super) async fn everything(caller: Caller, body: Body) -> Answer {
    let asked = asked(&caller, &body)?;
    let query = among(&caller, &asked, User)?;
    let mut of_groups = among(&caller, &asked, Group)?;
    let users = caller.session.list(User, &query).await?;
    let shown = users.resources.len() as u64;
    of_groups.start_index = asked.start_index.saturating_sub(users.total).max(1);
    of_groups.count = asked.count.saturating_sub(shown);
    let groups = caller.session.list(Group, &of_groups).await?;

    let total = users.total.saturating_add(groups.total);
    let mut text = reply::list_head(total, asked.start_index);
    reply::push_all(&mut text, &caller, User, &users.resources, &query);
    if of_groups.projection.wants_members() && !groups.resources.is_empty() {
        let written = users.resources.len();
        return Ok(members::list_after(
            caller, text, written, groups, of_groups,
        ));
    }
    if !users.resources.is_empty() && !groups.resources.is_empty() {
        text.push(',');
    }
    reply::push_all(&mut text, &caller, Group, &groups.resources, &of_groups);
    text.push_str(&reply::list_tail(
        users.resources.len() + groups.resources.len(),
    ));
    Ok(reply::json(StatusCode::OK, text))
}

fn asked(caller: &Caller, body: &Body) -> Result<SearchRequest, Problem> {
    SearchRequest::parse(&body.0, caller.limits())
}

fn among(caller: &Caller, asked: &SearchRequest, of: ResourceType) -> Result<ListQuery, Problem> {
    asked.among(of, &caller.schemas, caller.limits())
}
