//! What the guard rails do not let pass: it is refused with 403, nothing is
//! changed, and a request that takes away too much is kept to be decided by an
//! operator (reliability: G-5, G-6). A refusal that cannot be written down is
//! still a refusal.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{Failure, Session, clock, session::store_failed};
use crate::{
    plan::guard::{Excess, Protection, Rehearsal},
    scim::{
        bulk::Verb,
        error::Problem,
        resource::{ResourceId, ResourceType},
    },
    store::{HoldId, Kept, Precondition, Request, Room, Watch},
};

/// What may wait for an operator in one connection.
pub(super) const ROOM: Room = Room {
    holds: 1_000,
    bytes: 64 * 1024 * 1024,
};

/// Why the guard rails stopped a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    Over(Excess),
    Protected(Protection),
    /// It was only asked what it would do.
    Rehearsed(Rehearsal),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over(excess) if excess.anew.is_some() => write!(f, "{excess}"),
            Self::Over(excess) => write!(f, "{}", excess.over),
            Self::Protected(what) => write!(f, "{what}; nothing was changed"),
            Self::Rehearsed(plan) => write!(f, "it would do this: {}", plan.effect),
        }
    }
}

/// A request that can take something away, as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    verb: Verb,
    of: ResourceType,
    id: String,
    body: Vec<u8>,
    when: Precondition,
}

impl Asked {
    pub(super) fn new(
        verb: Verb,
        of: ResourceType,
        id: &str,
        (body, when): (&[u8], &Precondition),
    ) -> Self {
        Self {
            verb,
            of,
            id: id.to_owned(),
            body: body.to_owned(),
            when: when.clone(),
        }
    }

    /// As it is kept. The same JSON written otherwise is the same request.
    fn request(&self) -> Option<Request> {
        let id = ResourceId::parse(&self.id)?;
        let body = if self.verb == Verb::Delete {
            String::new()
        } else {
            let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
            body.to_string()
        };
        Some(Request {
            when: self.when.clone(),
            ..of_parts(self.verb, self.of, id, body)
        })
    }
}

pub(super) fn new_id() -> HoldId {
    HoldId(clock::new_id())
}

/// The deletion of a Group, as a request of its own.
pub(super) fn deletion(id: ResourceId) -> Request {
    of_parts(Verb::Delete, ResourceType::Group, id, String::new())
}

fn of_parts(verb: Verb, of: ResourceType, id: ResourceId, body: String) -> Request {
    let method = method(verb);
    let mut digest = Sha256::new();
    for part in [method, of.name(), &id.to_string(), &body] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    Request {
        method: method.to_owned(),
        of,
        id,
        body,
        digest: digest.finalize().into(),
        when: Precondition::default(),
    }
}

pub(super) fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "POST",
        Verb::Replace => "PUT",
        Verb::Patch => "PATCH",
        Verb::Delete => "DELETE",
    }
}

impl Session {
    /// Runs a write to its end, see [`Self::whole`]; what the guard rails stop
    /// is kept and told.
    pub(super) async fn judged<T, W, F>(&self, asked: Asked, write: W) -> Result<T, Failure>
    where
        T: Send + 'static,
        W: FnOnce(String) -> F + Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let session = self.clone();
        self.whole(async move {
            match write(asked.id.clone()).await {
                Err(Failure::Stopped(why)) => Err(session.stopped(&asked, *why).await),
                done => done,
            }
        })
        .await
    }

    /// Writes down what was stopped, and says so.
    pub(super) async fn stopped(&self, asked: &Asked, why: Stopped) -> Failure {
        match why {
            Stopped::Over(excess) => self.keep(asked, excess).await,
            Stopped::Protected(what) => self.note_protected(what).await,
            Stopped::Rehearsed(_) => Failure::Stopped(Box::new(why)),
        }
    }

    async fn note_protected(&self, what: Protection) -> Failure {
        let told = Problem::new(403, Stopped::Protected(what).to_string());
        if matches!(self.watch, Watch::Rehearsed(_)) {
            return Failure::Problem(told);
        }
        tracing::warn!(connection = %self.connection.name, actor = self.actor, "stopped: {what}");
        let store = &self.bridge.store;
        let noted = store
            .note_protected(self.connection.key, what, self.actor())
            .await;
        match noted {
            Ok(()) => Failure::Problem(told),
            Err(error) => store_failed(error),
        }
    }

    async fn keep(&self, asked: &Asked, excess: Excess) -> Failure {
        let Some(request) = asked.request() else {
            return Failure::Internal;
        };
        let rule = excess.over.rule.as_str();
        let id = new_id();
        let store = &self.bridge.store;
        let first = excess.clone();
        let kept = store
            .hold(self.connection.key, id, request, excess, ROOM, self.actor())
            .await;
        let told = match kept {
            Ok(Kept::New(id)) => {
                tracing::warn!(
                    connection = %self.connection.name,
                    hold = %id,
                    rule,
                    "a removal is held; look at it with `drawbridge held show {id}`"
                );
                self.held_as(&first, Some(id))
            }
            Ok(Kept::Before(id, excess)) => self.held_as(&excess, Some(id)),
            Ok(Kept::NoRoom) => self.held_as(&first, None),
            Err(error) => return store_failed(error),
        };
        Failure::Problem(Problem::new(403, told))
    }

    fn held_as(&self, excess: &Excess, id: Option<HoldId>) -> String {
        let end = match id {
            Some(id) if excess.anew.is_some() => format!(
                "It is shown anew: look at it with `drawbridge held show {id}`, then approve it \
                 again or reject it"
            ),
            Some(id) => format!(
                "It is held as {id} for an operator, who can approve or reject it (drawbridge held \
                 show {id})"
            ),
            None => "It is not kept: as many requests of this connection as may wait for an \
                     operator do so already (drawbridge held list)"
                .to_owned(),
        };
        format!(
            "{excess}. It would take away {}. Nothing was changed, here or in {}. {end}",
            excess.effect,
            self.application()
        )
    }
}
