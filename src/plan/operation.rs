//! Operations: the documented upstream acts, as values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::state::Principal;

/// One upstream call, as asked of an application. Groups are named by the
/// application's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Operation {
    CreateUser {
        account: String,
        role: Option<String>,
        /// Creation fields and profile fields together, by the application's names.
        fields: BTreeMap<String, String>,
        /// The id that the account had when it was there before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upstream_id: Option<String>,
    },
    DeactivateUser {
        principal: Principal,
    },
    SetRole {
        principal: Principal,
        role: String,
    },
    /// Creates or updates the profile record; all fields are sent, an empty
    /// string clears one.
    UpsertProfile {
        account: String,
        fields: BTreeMap<String, String>,
        exists: Option<bool>,
    },
    CreateGroup {
        name: String,
        members: Vec<Principal>,
    },
    DeleteGroup {
        name: String,
    },
    /// Where the application knows a group by an id that it gives: what it is
    /// called from now on.
    RenameGroup {
        name: String,
        title: String,
    },
    AddMembers {
        group: String,
        members: Vec<Principal>,
    },
    RemoveMembers {
        group: String,
        members: Vec<Principal>,
    },
    ReplaceMembers {
        group: String,
        members: Vec<Principal>,
    },
}

/// What cannot be carried upstream, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    pub what: String,
    pub reason: String,
}

/// What will be done, in order, and what cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub operations: Vec<Operation>,
    pub losses: Vec<Loss>,
}
