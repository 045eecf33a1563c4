//! What an administrator can say about a Hydden.Control connection: the table
//! `[connection.upstream]` of the configuration. Everything but the address and
//! the token has a default.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::upstream::client::{
    self, Span, TokenSource,
    bounds::{MOST_ENTRIES, too_much},
};

/// The whole table.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub base_url: String,
    pub token: TokenSource,
    pub allow_plain_http: bool,
    pub connect_timeout: Span,
    pub timeout: Span,
    /// No limit is published.
    pub requests_per_second: u32,
    /// Where a tenant has such a limit too.
    pub requests_per_minute: Option<u32>,
    /// Calls that may go at once after a quiet time.
    pub burst: u32,
    /// Calls in flight.
    pub concurrency: u32,
    /// The members of a group have no pages.
    pub reply_limit_mib: u32,
    pub ca_file: Option<PathBuf>,
    pub client_certificate: Option<PathBuf>,
    /// Groups and accounts asked for at a time.
    pub page_size: u32,
    /// Groups are made, renamed and deleted as records, without members.
    pub write_groups: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            token: TokenSource::default(),
            allow_plain_http: false,
            connect_timeout: Span(Duration::from_secs(5)),
            timeout: Span(Duration::from_secs(30)),
            requests_per_second: 10,
            requests_per_minute: None,
            burst: 5,
            concurrency: 4,
            reply_limit_mib: 8,
            ca_file: None,
            client_certificate: None,
            page_size: 50,
            write_groups: false,
        }
    }
}

impl Settings {
    /// Everything wrong, each line starting with the key it is about. Reads
    /// the token's source; sends nothing.
    pub fn problems(&self) -> Vec<String> {
        let mut found = self.client().problems();
        if self.page_size == 0 {
            found.push("page_size = 0 would ask for nothing: write at least 1".into());
        }
        let entries = self.page_size as usize;
        found.extend(too_much("page_size", entries, MOST_ENTRIES));
        found
    }

    /// What the HTTP client needs of it. The reference gives the base with
    /// `/api/v1` at its end, and the paths carry it too: both are understood.
    pub(super) fn client(&self) -> client::Settings {
        let base = self.base_url.trim_end_matches('/');
        client::Settings {
            kind: "hydden".into(),
            base_url: base.strip_suffix("/api/v1").unwrap_or(base).to_owned(),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_base_url_is_taken_with_its_path_or_without() {
        for base in [
            "https://acme.hydden.io",
            "https://acme.hydden.io/",
            "https://acme.hydden.io/api/v1",
            "https://acme.hydden.io/api/v1/",
        ] {
            let text = format!("base_url = \"{base}\"\ntoken = \"x\"");
            let settings: Settings = toml::from_str(&text).unwrap();
            assert_eq!(settings.client().base_url, "https://acme.hydden.io");
            assert_eq!(settings.problems(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_page_has_no_more_entries_than_can_be_meant() {
        for (entries, faults) in [(10_000, 0), (10_001, 1)] {
            let settings: Settings = toml::from_str(&format!(
                "base_url = \"https://acme.hydden.io\"\ntoken = \"x\"\npage_size = {entries}"
            ))
            .unwrap();
            let problems = settings.problems();
            assert_eq!(problems.len(), faults, "{problems:?}");
            let about = |it: &String| it.starts_with("page_size: 10001 is more");
            assert!(problems.iter().all(about), "{problems:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_all_at_once() {
        let settings: Settings =
            toml::from_str("base_url = \"http://acme.hydden.io\"\nburst = 0\npage_size = 0")
                .unwrap();
        let problems = settings.problems();
        for about in ["base_url", "token", "burst", "page_size"] {
            let mut starts = problems.iter().map(|problem| problem.starts_with(about));
            assert!(starts.any(|it| it), "{about} in {problems:?}");
        }
        assert!(toml::from_str::<Settings>("members_by = \"id\"").is_err());
    }
}
