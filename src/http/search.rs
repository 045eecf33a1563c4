//! `POST .search`, below a resource type and at the root, where users come
//! before groups in one list (RFC 7644 section 3.4.3).

use actix_web::HttpResponse;

use super::{
    body::Body,
    caller::Caller,
    failure::Refusal,
    page::{self, Shown},
    reply,
};
use crate::scim::{
    error::Problem,
    query::{ListQuery, SearchRequest},
    resource::ResourceType::{self, Group, User},
};

type Answer = Result<HttpResponse, Refusal>;

pub(super) async fn users(caller: Caller, body: Body) -> Answer {
    let query = among(&caller, &asked(&caller, &body)?, User)?;
    let users = caller.session.list(User, &query).await?;
    page::list(caller, User, users, query).await
}

pub(super) async fn groups(caller: Caller, body: Body) -> Answer {
    let query = among(&caller, &asked(&caller, &body)?, Group)?;
    let groups = caller.session.list(Group, &query).await?;
    page::list(caller, Group, groups, query).await
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
    let head = reply::list_head(total, asked.start_index);
    let users = users.resources.into_iter().map(|user| (User, user));
    let groups = groups.resources.into_iter().map(|group| (Group, group));
    let shown = Shown {
        users: query.projection,
        groups: of_groups.projection,
    };
    page::answer(caller, head, users.chain(groups).collect(), shown).await
}

fn asked(caller: &Caller, body: &Body) -> Result<SearchRequest, Problem> {
    SearchRequest::parse(&body.0, caller.limits())
}

fn among(caller: &Caller, asked: &SearchRequest, of: ResourceType) -> Result<ListQuery, Problem> {
    asked.among(of, &caller.schemas, caller.limits())
}
