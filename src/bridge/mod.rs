//! The use cases: the only code that both thinks and acts.
//!
//! [`Bridge`] holds the connections; [`Session`] is the right to act on one of
//! them, and every SCIM request needs one. Behind a session a request becomes
//! one store transaction, then a turn of a lane, then an answer.

use std::{sync::Arc, time::Duration};

use crate::{
    plan::state::ConnectionKey,
    scim::{
        error::Problem,
        json::Limits,
        patch::Patch,
        query::ListQuery,
        resource::{Attributes, GroupBody, ResourceId, ResourceType},
        schema::Schemas,
    },
    store::{Imported, Listing, Members, Precondition, Resource, Store},
    upstream::Upstream,
};

pub mod token;

/// How one connection behaves.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long an answer waits for the application (default 5 s).
    pub sync_wait: Duration,
    /// `ack = "confirmed"`: an open outcome is 503 instead of 2xx.
    pub confirmed: bool,
    /// `unknown_members = "skip"`: apply the rest and report the skipped.
    pub skip_unknown_members: bool,
    /// `reactivate = "recreate"` instead of refusing.
    pub recreate: bool,
    /// Users the application cannot know (no e-mail) are kept here only,
    /// instead of being refused.
    pub stage_users: bool,
    /// Import at start and then this often; `None`: only at start.
    pub import_every: Option<Duration>,
    pub limits: Limits,
}

/// A connection at work.
#[derive(Debug)]
pub struct Connection {
    pub name: String,
    pub key: ConnectionKey,
    pub upstream: Arc<dyn Upstream>,
    pub policy: Policy,
    pub tokens: token::Tokens,
}

/// The whole bridge.
#[derive(Debug)]
pub struct Bridge {
    store: Arc<dyn Store>,
    connections: Vec<Arc<Connection>>,
}

/// The right to act on one connection with one token.
#[derive(Debug, Clone)]
pub struct Session {
    bridge: Arc<Bridge>,
    connection: Arc<Connection>,
    /// The token's public id, for the audit.
    actor: String,
}

/// A request that was not done, named by what its sender does next.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Correct the request.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The precondition failed: read again. The current version.
    #[error("stale; now {0}")]
    Stale(u64),
    /// Try again after so many seconds; nothing was changed, or (with
    /// `ack = "confirmed"`) the change is kept and not yet confirmed.
    #[error("not now: {detail}")]
    Later { seconds: u64, detail: String },
    /// A fault of ours; what happened was logged.
    #[error("internal fault")]
    Internal,
}

/// Why nobody is let in. The three look the same to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    NoSuchConnection,
    NoToken,
    BadToken,
}

/// A finished write.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub resource: Resource,
    /// False for a request that changed nothing.
    pub changed: bool,
    /// Accepted and durable, but the application has not confirmed it yet.
    pub pending: bool,
    /// Unknown member ids that were skipped, by policy.
    pub skipped: Vec<String>,
}

impl Bridge {
    /// The names of the connections, in order.
    pub fn connection_names(&self) -> Vec<&str> {
        self.connections.iter().map(|c| c.name.as_str()).collect()
    }

    /// Checks a raw `Authorization` value (`Bearer x`, any case, or the bare
    /// token) for a connection. `None` as the name means the only connection.
    pub fn enter(
        self: &Arc<Self>,
        connection: Option<&str>,
        authorization: Option<&[u8]>,
    ) -> Result<Session, Denied> {
        let _ = (connection, authorization);
        Err(Denied::NoToken)
    }
}

impl Session {
    pub fn schemas(&self) -> Arc<Schemas> {
        self.connection.upstream.schemas()
    }

    pub fn policy(&self) -> &Policy {
        &self.connection.policy
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// 404 as a [`Problem`] when there is none.
    pub async fn read(&self, of: ResourceType, id: &str) -> Result<Resource, Failure> {
        let _ = (of, id);
        Err(Failure::Internal)
    }

    pub async fn list(&self, of: ResourceType, query: &ListQuery) -> Result<Listing, Failure> {
        let _ = (of, query);
        Err(Failure::Internal)
    }

    /// A group's member ids.
    pub async fn members(&self, group: ResourceId) -> Result<Members, Failure> {
        let _ = group;
        Err(Failure::Internal)
    }

    pub async fn create_user(&self, user: Attributes) -> Result<Written, Failure> {
        let _ = user;
        Err(Failure::Internal)
    }

    pub async fn replace_user(
        &self,
        id: &str,
        user: Attributes,
        when: Precondition,
    ) -> Result<Written, Failure> {
        let _ = (id, user, when);
        Err(Failure::Internal)
    }

    pub async fn patch_user(
        &self,
        id: &str,
        patch: Patch,
        when: Precondition,
    ) -> Result<Written, Failure> {
        let _ = (id, patch, when);
        Err(Failure::Internal)
    }

    pub async fn delete_user(&self, id: &str, when: Precondition) -> Result<(), Failure> {
        let _ = (id, when);
        Err(Failure::Internal)
    }

    pub async fn create_group(&self, group: GroupBody) -> Result<Written, Failure> {
        let _ = group;
        Err(Failure::Internal)
    }

    pub async fn replace_group(
        &self,
        id: &str,
        group: GroupBody,
        when: Precondition,
    ) -> Result<Written, Failure> {
        let _ = (id, group, when);
        Err(Failure::Internal)
    }

    pub async fn patch_group(
        &self,
        id: &str,
        patch: Patch,
        when: Precondition,
    ) -> Result<Written, Failure> {
        let _ = (id, patch, when);
        Err(Failure::Internal)
    }

    pub async fn delete_group(&self, id: &str, when: Precondition) -> Result<(), Failure> {
        let _ = (id, when);
        Err(Failure::Internal)
    }

    /// Reads the application and shows what is there as SCIM resources.
    pub async fn import(&self) -> Result<Imported, Failure> {
        let _ = &self.bridge;
        let _ = &self.actor;
        Err(Failure::Internal)
    }
}
