//! What the store does for the guard rails (reliability: section 6): a write
//! is watched inside its own transaction, where its deltas are known, and one
//! that would take too much away is kept here as a request to be decided.
//!
//! The rules are [`crate::plan::guard`]'s; nothing here decides how much is
//! too much.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{Actor, Millis, StoreError};
use crate::{
    plan::{
        guard::{Effect, Excess, Guard, Over, Protection},
        state::ConnectionKey,
    },
    scim::resource::{ResourceId, ResourceType},
};

/// How a write is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Watch {
    /// Not at all.
    #[default]
    Off,
    On(Arc<Guard>),
    /// An operator has seen what it takes away: only what is protected is in
    /// its way.
    Approved(Arc<Guard>),
}

impl Watch {
    /// The rules to look at; `None` when there are none.
    pub fn guard(&self) -> Option<&Guard> {
        match self {
            Self::Off => None,
            Self::On(guard) | Self::Approved(guard) => {
                Some(guard.as_ref()).filter(|guard| !guard.is_idle())
            }
        }
    }
}

/// A held request's own id. No resource has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldId(pub ResourceId);

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A request as it can be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// PUT, PATCH or DELETE.
    pub method: String,
    pub of: ResourceType,
    pub id: ResourceId,
    /// JSON; empty for a DELETE.
    pub body: String,
    /// The same for the same request.
    pub digest: [u8; 32],
}

/// What became of a held request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    Open,
    Approved,
    Rejected,
    Expired,
}

impl HoldState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// A held request, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub id: HoldId,
    pub at: Millis,
    pub state: HoldState,
    /// When and by whom.
    pub decided: Option<(Millis, String)>,
    /// Who sent the request.
    pub actor: String,
    pub method: String,
    pub over: Over,
    /// What it would have done when it came.
    pub plan: Effect,
}

/// How many requests wait at most, and how large they are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub holds: u64,
    pub bytes: u64,
}

/// Whether a request was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// As this.
    New(HoldId),
    /// It waits already, as this and because of that.
    Before(HoldId, Box<Excess>),
    /// So many wait that this one does not.
    NoRoom,
}

#[async_trait]
pub trait Guarding {
    /// Keeps a request that was refused, as `id`, unless it waits already.
    async fn hold(
        &self,
        c: ConnectionKey,
        id: HoldId,
        request: Request,
        excess: Excess,
        room: Room,
        actor: Actor,
    ) -> Result<Kept, StoreError>;
    /// Writes down that somebody tried what nobody may.
    async fn note_protected(
        &self,
        c: ConnectionKey,
        tried: Protection,
        actor: Actor,
    ) -> Result<(), StoreError>;
}
