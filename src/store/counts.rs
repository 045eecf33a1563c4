//! What status and metrics tell: numbers, what was refused, what waits.

use crate::scim::resource::{ResourceId, ResourceType};

use super::Millis;

/// Numbers for status and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub users: u64,
    pub groups: u64,
    pub memberships: u64,
    pub pending_users: u64,
    pub pending_groups: u64,
    pub pending_memberships: u64,
    /// Such as are not as asked because the whole group was refused, with which
    /// they are told, or their user.
    pub stopped_memberships: u64,
    /// Users with an account that another connection has ended, of whom something is
    /// asked for in groups, and those memberships that are not open by themselves.
    pub ended_users: u64,
    pub ended_memberships: u64,
    /// Memberships of users whose accounts the last reconciliation told as gone, that are
    /// not open by themselves.
    pub missed_memberships: u64,
    /// Memberships of groups that the configuration leaves out, and such of them as are
    /// among those that are pending or stopped.
    pub left_out_memberships: u64,
    pub left_out_open: u64,
    /// Of those that are pending or refused, such as are live no more, or asked for
    /// no more.
    pub leaving_users: u64,
    pub leaving_memberships: u64,
    /// Accounts and groups that the application refused for good.
    pub refused_users: u64,
    pub refused_groups: u64,
    pub refused_memberships: u64,
    /// Users whose account is not there yet.
    pub staged_users: u64,
    pub unsettled: Unsettled,
    /// Requests that wait for an operator.
    pub held: u64,
}

/// What may still change in the application by itself: a call about it got no answer
/// and may come late. When it can no more, what is wanted otherwise is said again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsettled {
    pub users: u64,
    pub groups: u64,
    pub memberships: u64,
}

/// A membership that the application refused, until it is asked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub group: ResourceId,
    pub user: ResourceId,
    /// Whether it was to be a membership, or to be none any more.
    pub wanted: bool,
    pub at: Millis,
    pub reason: String,
    /// It is of somebody who is inactive by now and is to have nothing: told when they
    /// are active again.
    pub sleeps: bool,
}

/// What was asked for of a user or group that the application refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedAct {
    Create,
    Change,
    Deactivate,
    /// It is deleted here, and there is nobody to ask again.
    Delete,
}

impl RefusedAct {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Deactivate => "deactivate",
            Self::Delete => "delete",
        }
    }
}

/// A user or group that the application refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedResource {
    pub of: ResourceType,
    pub id: ResourceId,
    pub asked: RefusedAct,
    /// When it was asked for.
    pub at: Millis,
    pub reason: String,
}

/// Why nothing is sent for a user that is not as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delay {
    /// Somebody with the same account was deleted here, and is not gone yet.
    Predecessor,
    /// The same, and the application refused that, for a reason.
    PredecessorRefused(String),
    /// It is gone, and a call about it that got no answer may still come late.
    PredecessorUnsettled,
    /// The account could not be ended when that was asked for, and could be now.
    Unended,
    /// Another connection of the tenant manages the account, and has ended it.
    EndedElsewhere,
    /// A group of the same name was deleted here, and is not gone yet.
    SameName,
    /// The application was not looked at since the start.
    FirstLook,
    /// Recovery has not ended.
    Recovery,
    /// It is open whom and what the stored keys are of.
    Keys,
}
