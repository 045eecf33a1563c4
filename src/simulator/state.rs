//! What is really there, in one shape for all applications: for tests and the
//! control interface. What an application has beyond it, it adds in its own
//! words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Everything there is, for tests and the control interface.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub users: Vec<UserState>,
    pub groups: Vec<GroupState>,
    pub people: Vec<Map<String, Value>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserState {
    pub id: String,
    pub email: String,
    pub active: bool,
    pub site_role: String,
    pub fields: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupState {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub synced: bool,
    /// E-mails in order.
    pub members: Vec<String>,
}

impl State {
    pub fn user(&self, email: &str) -> Option<&UserState> {
        self.users
            .iter()
            .find(|user| user.email.eq_ignore_ascii_case(email))
    }

    pub fn group(&self, name: &str) -> Option<&GroupState> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The People record of an e-mail.
    pub fn person(&self, email: &str) -> Option<&Map<String, Value>> {
        self.people
            .iter()
            .find(|person| person.get("email").and_then(Value::as_str) == Some(email))
    }
}
