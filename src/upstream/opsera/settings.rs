//! What an administrator can say about an Opsera connection: the table
//! `[connection.upstream]` of the configuration.
//!
//! Everything but the address and the token has a default. [`Settings::problems`]
//! reports all that is wrong at once, each with its key and a remedy.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;

use super::{
    operations::{Key, Name},
    slug,
};
use crate::upstream::{
    client::{
        self,
        bounds::{MOST_MEMBERS, too_much},
    },
    odd_tenant,
};

pub use crate::upstream::client::{Span, TokenSource};

/// The five site roles, in Opsera's spelling.
pub const SITE_ROLES: [&str; 5] = [
    "Administrators",
    "PowerUsers",
    "Users",
    "Auditors",
    "SecurityManagers",
];

/// By a site role, those that can do no more than it, for the guard alone. Opsera
/// documents no order: who manages groups is above who does not, and what only
/// looks is below everything.
pub const BENEATH: [(&str, &[&str]); 4] = [
    (
        "Administrators",
        &["PowerUsers", "Users", "Auditors", "SecurityManagers"],
    ),
    ("PowerUsers", &["Users", "Auditors"]),
    ("Users", &["Auditors"]),
    ("SecurityManagers", &["Auditors"]),
];

/// What happens to a role that is no site role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownRoles {
    /// 400, naming the five.
    #[default]
    Refuse,
    /// Kept in the bridge, never sent.
    Local,
}

/// How members are named in group calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MembersBy {
    /// By user id where all of a batch are known, else by e-mail.
    #[default]
    Id,
    Email,
}

/// Another verb or path for one operation; what is absent keeps its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub method: Option<String>,
    pub path: Option<String>,
}

/// The whole table.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub base_url: String,
    pub token: TokenSource,
    /// What the administrator calls the tenant, where connections with different
    /// credentials lead to it.
    pub tenant: Option<String>,
    pub allow_plain_http: bool,
    pub connect_timeout: Span,
    pub timeout: Span,
    pub requests_per_second: u32,
    /// Where a tenant has such a limit too.
    pub requests_per_minute: Option<u32>,
    /// Calls that may go at once after a quiet time.
    pub burst: u32,
    /// Calls in flight.
    pub concurrency: u32,
    /// Lists have no pages: one answer of 8 MiB is some 18,000 users.
    pub reply_limit_mib: u32,
    pub ca_file: Option<PathBuf>,
    pub client_certificate: Option<PathBuf>,

    /// The site role of a new user without one.
    pub default_role: String,
    pub unknown_roles: UnknownRoles,
    /// Whether profiles are written to People.
    pub people: bool,
    pub members_by: MembersBy,
    /// Most members named in one call.
    pub members_per_call: usize,
    /// Display names whose group is called otherwise than the rule says.
    pub group_names: HashMap<String, String>,
    /// Groups the bridge never writes.
    pub protected_groups: Vec<String>,
    /// Verbs and paths that differ from the defaults.
    pub operations: HashMap<Name, Route>,
    /// JSON and query keys that differ from the defaults.
    pub keys: BTreeMap<Key, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            token: TokenSource::default(),
            tenant: None,
            allow_plain_http: false,
            connect_timeout: Span(Duration::from_secs(5)),
            timeout: Span(Duration::from_secs(30)),
            requests_per_second: 10,
            requests_per_minute: None,
            burst: 5,
            concurrency: 8,
            reply_limit_mib: 8,
            ca_file: None,
            client_certificate: None,
            default_role: "Users".into(),
            unknown_roles: UnknownRoles::Refuse,
            people: true,
            members_by: MembersBy::Id,
            members_per_call: 1_000,
            group_names: HashMap::new(),
            protected_groups: Vec::new(),
            operations: HashMap::new(),
            keys: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Everything wrong, each line starting with the key it is about. Reads
    /// the token's source; sends nothing.
    pub fn problems(&self) -> Vec<String> {
        let mut found = self.client().problems();
        found.extend(odd_tenant(self.tenant.as_ref()));
        if self.members_per_call == 0 {
            found.push("members_per_call = 0 would send nothing: write at least 1".into());
        }
        let members = self.members_per_call;
        found.extend(too_much("members_per_call", members, MOST_MEMBERS));
        if site_role(&self.default_role).is_none() {
            found.push(format!(
                "default_role {:?} is no site role: write one of {}",
                self.default_role,
                SITE_ROLES.join(", ")
            ));
        }
        let mut names: Vec<_> = self.group_names.iter().collect();
        names.sort();
        for (display, name) in names {
            if !slug::is_legal(name) {
                found.push(format!(
                    "group_names.{display:?}: {name:?} is no legal Opsera group name: {}",
                    slug::RULE
                ));
            }
        }
        let mut operations: Vec<_> = self.operations.iter().collect();
        operations.sort_by_key(|(name, _)| **name);
        for (name, route) in operations {
            found.extend(name.problems(route));
        }
        for (key, value) in &self.keys {
            if value.is_empty() || value.split('.').any(str::is_empty) {
                found.push(format!(
                    "keys.{}: {value:?} is no key: write a name, or a path like \"result.added\"",
                    key.name()
                ));
            }
        }
        found
    }

    /// What the HTTP client needs of it.
    pub(super) fn client(&self) -> client::Settings {
        client::Settings {
            kind: "opsera".into(),
            base_url: self.base_url.clone(),
            token: self.token.clone(),
            dialect: client::Dialect::default(),
            allow_plain_http: self.allow_plain_http,
            connect_timeout: self.connect_timeout.0,
            timeout: self.timeout.0,
            requests_per_second: self.requests_per_second,
            burst: self.burst,
            concurrency: self.concurrency,
            requests_per_minute: self.requests_per_minute,
            penalty: None,
            reply_limit_mib: self.reply_limit_mib,
            ca_file: self.ca_file.clone(),
            client_certificate: self.client_certificate.clone(),
        }
    }
}

/// A site role in its proper spelling, whatever the letter case.
pub(super) fn site_role(text: &str) -> Option<&'static str> {
    SITE_ROLES
        .into_iter()
        .find(|role| role.eq_ignore_ascii_case(text.trim()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Settings, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_small_table_is_enough() {
        let settings =
            read("base_url = \"https://app.opsera.io\"\ntoken = \"secret-value\"").unwrap();
        assert_eq!(settings.problems(), Vec::<String>::new());
        assert_eq!(settings.requests_per_second, 10);
        assert!(!format!("{settings:?}").contains("secret-value"));
    }

    #[test]
    fn a_call_names_no_more_members_than_can_be_meant() {
        for (members, faults) in [(100_000, 0), (100_001, 1)] {
            let settings = read(&format!(
                "base_url = \"https://app.opsera.io\"\ntoken = \"x\"\nmembers_per_call = {members}"
            ));
            let problems = settings.unwrap().problems();
            assert_eq!(problems.len(), faults, "{problems:?}");
            let about = |it: &String| it.starts_with("members_per_call: 100001 is more");
            assert!(problems.iter().all(about), "{problems:?}");
        }
    }

    #[test]
    fn every_operation_and_key_can_be_said_otherwise() {
        let settings = read(
            "base_url = \"https://app.opsera.io\"\ntoken = \"x\"\ntimeout = \"10s\"\n\
             [operations.add_members]\nmethod = \"PATCH\"\npath = \"/v3/groups/{name}/users\"\n\
             [keys]\nmembers = \"users\"\nadded = \"data.done\"",
        )
        .unwrap();
        assert_eq!(settings.problems(), Vec::<String>::new());
        assert_eq!(settings.keys[&Key::Members], "users");
        assert_eq!(settings.timeout.0, Duration::from_secs(10));
    }

    #[test]
    fn unknown_words_are_errors() {
        for wrong in [
            "requests_per_secnd = 5",
            "timeout = \"never\"",
            "timeout = \"-5s\"",
            "unknown_roles = \"drop\"",
            "[operations.add_member]\npath = \"/x\"",
            "[operations.add_members]\nverb = \"PUT\"",
            "[keys]\nmember = \"x\"",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let settings = read(
            "base_url = \"http://app.opsera.io\"\nburst = 0\nrequests_per_minute = 0\ndefault_role = \"Boss\"\n\
             [group_names]\n\"Engineering Team\" = \"Eng Team\"\n\
             [operations.add_members]\nmethod = \"FETCH\"\npath = \"/v3/groups/{id}\"\n\
             [keys]\nmembers = \"\"",
        )
        .unwrap();
        let problems = settings.problems();
        for about in [
            "base_url",
            "token",
            "burst",
            "requests_per_minute",
            "default_role",
            "group_names",
            "operations.add_members.method",
            "operations.add_members.path",
            "keys.members",
        ] {
            assert!(
                problems.iter().any(|problem| problem.starts_with(about)),
                "{about} in {problems:#?}"
            );
        }
    }
}
