//! A page of resources as an answer: users with their groups, groups with
//! their members, what can be assigned as it is (RFC 7644 section 3.4.2).
//!
//! What a resource is shown with is read when its turn comes, and a page that
//! grows large is streamed, so that memory does not grow with memberships. A
//! page that fits into one chunk is an answer of known length.

use std::{collections::VecDeque, io};

use actix_web::{
    HttpResponse,
    body::{BodyStream, BoxBody},
    http::{StatusCode, header},
    web::{BufMut, Bytes, BytesMut},
};
use futures_util::stream;

use super::{
    caller::Caller,
    failure::Refusal,
    members::{CHUNK, GroupBody, Line, consistent},
    reply,
};
use crate::{
    bridge::{Failure, Item, Listed, Session},
    scim::{
        catalog::{
            Assignable::{Entitlement, Role},
            Listable,
        },
        groups::DirectGroup,
        query::Projection,
        resource::ResourceType::{Group, User},
    },
};

/// Groups that are read at once, for as many users as have them.
pub(super) const GROUPS_AT_ONCE: usize = 4_000;

/// What is shown of the resources of each type.
#[derive(Default)]
pub(super) struct Shown {
    users: Projection,
    groups: Projection,
    roles: Projection,
    entitlements: Projection,
}

impl Shown {
    pub(super) fn of(&mut self, of: Listable) -> &mut Projection {
        match of {
            Listable::Stored(User) => &mut self.users,
            Listable::Stored(Group) => &mut self.groups,
            Listable::Assignable(Role) => &mut self.roles,
            Listable::Assignable(Entitlement) => &mut self.entitlements,
        }
    }
}

/// A page of any types, in the order given.
pub(super) async fn answer(
    caller: Caller,
    page: Listed,
    shown: Shown,
) -> Result<HttpResponse, Refusal> {
    let mut page = Page {
        line: Line::wanted(&shown.groups, &caller.base),
        session: caller.session,
        base: caller.base,
        head: Some(reply::list_head(&page)),
        shown,
        rest: page.items.into(),
        groups: page.groups.into(),
        current: None,
        written: 0,
        ended: false,
    };
    let first = page.chunk().await?;
    if page.ended {
        return Ok(reply::json(StatusCode::OK, first));
    }
    let chunks = stream::unfold((page, Some(first)), |(mut page, ready)| async move {
        let chunk = match ready {
            Some(first) => Ok(first),
            None if page.ended => return None,
            None => page.chunk().await.map_err(|failure| {
                tracing::error!(%failure, "a list broke off");
                page.ended = true;
                io::Error::other(failure)
            }),
        };
        Some((chunk, (page, None)))
    });
    let mut answer =
        HttpResponse::new(StatusCode::OK).set_body(BoxBody::new(BodyStream::new(chunks)));
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, reply::CONTENT_TYPE);
    Ok(answer)
}

/// A page under way.
struct Page {
    session: Session,
    base: String,
    head: Option<String>,
    shown: Shown,
    /// `None` when nothing of a member is wanted.
    line: Option<Line>,
    rest: VecDeque<Item>,
    /// Of the first users that are to come, if they were read already.
    groups: VecDeque<Vec<DirectGroup>>,
    current: Option<GroupBody>,
    written: usize,
    ended: bool,
}

impl Page {
    /// The next chunk; a failure after the first breaks the answer off, which
    /// a client can tell from a whole one.
    async fn chunk(&mut self) -> Result<Bytes, Failure> {
        let mut out = BytesMut::with_capacity(CHUNK);
        if let Some(head) = self.head.take() {
            out.put_slice(head.as_bytes());
        }
        while out.len() < CHUNK && !self.is_written() {
            if let Some(current) = &mut self.current {
                current.fill(&mut out);
                if current.ended {
                    self.current = None;
                }
                continue;
            }
            match self.rest.front() {
                Some(Item::Resource(User, _)) => self.users(&mut out).await?,
                Some(Item::Resource(Group, _)) => self.group(&mut out).await?,
                Some(Item::Row(..)) | None => self.row(&mut out),
            }
        }
        if self.is_written() {
            out.put_slice(reply::list_tail(self.written).as_bytes());
            self.ended = true;
        }
        Ok(out.freeze())
    }

    fn is_written(&self) -> bool {
        self.rest.is_empty() && self.current.is_none()
    }

    /// Writes the users at the front, as many as their groups allow.
    async fn users(&mut self, out: &mut BytesMut) -> Result<(), Failure> {
        let ids = self.rest.iter().map_while(|item| match item {
            Item::Resource(User, user) => Some(user.id),
            _ => None,
        });
        let users = ids.clone().count();
        if !self.shown.users.wants_groups() {
            self.groups = vec![Vec::new(); users].into();
        } else if self.groups.is_empty() {
            self.groups = self
                .session
                .groups_of(ids.collect(), GROUPS_AT_ONCE)
                .await?
                .into();
        }
        let told = self.groups.len().min(users);
        for (item, groups) in self.rest.drain(..told).zip(self.groups.drain(..told)) {
            let Item::Resource(User, user) = item else {
                continue;
            };
            if self.written > 0 {
                out.put_u8(b',');
            }
            self.written += 1;
            let text = reply::text(User, &user, &groups, &self.base, &self.shown.users);
            out.put_slice(text.as_bytes());
        }
        Ok(())
    }

    /// Starts the next group; one that was deleted meanwhile is left out.
    async fn group(&mut self, out: &mut BytesMut) -> Result<(), Failure> {
        let Some(Item::Resource(_, group)) = self.rest.pop_front() else {
            return Ok(());
        };
        let (group, members) = match &self.line {
            None => (group, None),
            Some(line) => match consistent(&self.session, group).await {
                Ok((group, members)) => (group, Some((members, line.clone()))),
                Err(Failure::Problem(problem)) if problem.status == 404 => return Ok(()),
                Err(failure) => return Err(failure),
            },
        };
        if self.written > 0 {
            out.put_u8(b',');
        }
        self.written += 1;
        let text = reply::text(Group, &group, &[], &self.base, &self.shown.groups);
        match members {
            Some((members, line)) => self.current = Some(GroupBody::new(text, members.ids, line)),
            None => out.put_slice(text.as_bytes()),
        }
        Ok(())
    }

    /// Writes the row of a table at the front.
    fn row(&mut self, out: &mut BytesMut) {
        let Some(Item::Row(of, entry)) = self.rest.pop_front() else {
            return;
        };
        if self.written > 0 {
            out.put_u8(b',');
        }
        self.written += 1;
        let shown = &*self.shown.of(of.into());
        let text = reply::row(of, &entry, &self.base, shown);
        out.put_slice(text.as_bytes());
    }
}
