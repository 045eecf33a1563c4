//! Who asks: the extractor that every handler needs.
//!
//! A [`Caller`] holds the [`Session`], and only the guard puts one into a
//! request, so a handler that nobody was let in for cannot be written, and a
//! route that the guard did not see answers 401.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};

use super::{failure::Refusal, version};
use crate::{
    bridge::{Failure, Precondition, Session},
    scim::{
        dropped::Taken, error::Problem, json::Limits, query::Projection, render::Tag,
        resource::ResourceType, schema::Schemas,
    },
};

/// A request that was let in.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) session: Session,
    /// The connection's base URL as this client knows it, without a slash at
    /// the end.
    pub(super) base: String,
    pub(super) schemas: Arc<Schemas>,
    id: String,
    request: HttpRequest,
}

/// How many attributes of the request's body no schema defines; left for the
/// answer's last word.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeftOut(pub(super) usize);

/// What the guard leaves for [`Caller`] to take, once.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) session: Session,
    pub(super) base: String,
    /// Of the resource that the path names, decoded; else empty.
    pub(super) id: String,
}

impl FromRequest for Caller {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let entered = request.extensions_mut().remove::<Entered>();
        let caller = entered.map(|entered| Self {
            schemas: entered.session.schemas(),
            session: entered.session,
            base: entered.base,
            id: entered.id,
            request: request.clone(),
        });
        ready(caller.ok_or_else(Refusal::unauthenticated))
    }
}

impl Caller {
    /// The `{id}` of the route, decoded.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The query string, not decoded.
    pub(super) fn query(&self) -> &str {
        self.request.query_string()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.session.policy().limits
    }

    /// What was taken of a body. What was left out of it is counted for the
    /// connection, and told with the answer.
    pub(super) fn taken<T>(&self, body: Taken<T>) -> T {
        let count = body.dropped.count();
        if count > 0 {
            self.session.note_dropped(&body.dropped);
            self.tell_left_out(count);
        }
        body.taken
    }

    /// Has the answer say how many attributes were left out.
    pub(super) fn tell_left_out(&self, count: usize) {
        self.request.extensions_mut().insert(LeftOut(count));
    }

    pub(super) fn projection(&self, of: ResourceType) -> Result<Projection, Problem> {
        Projection::parse(self.query(), of, &self.schemas, self.limits())
    }

    /// The precondition of a write.
    pub(super) fn precondition(&self) -> Result<Precondition, Problem> {
        version::precondition(self.request.headers())
    }

    /// Whether the client has this already and needs no body; refused when it
    /// insists on another version.
    pub(super) fn has(&self, tag: impl Into<Tag>) -> Result<bool, Refusal> {
        let (headers, tag) = (self.request.headers(), tag.into());
        if !version::is_expected(headers, tag.version)? {
            return Err(Failure::Stale(tag.version).into());
        }
        Ok(version::unmodified(headers, tag)?)
    }
}
