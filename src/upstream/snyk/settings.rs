//! How to reach Snyk: region or address, credential, the date of the contract,
//! and the pace that Snyk publishes. What a connection does with its groups and
//! roles is not said here.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::upstream::client::{self, Dialect, Scheme, Span, TokenSource};

/// Where the customer's data lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Region {
    #[default]
    #[serde(rename = "us-01")]
    Us01,
    #[serde(rename = "us-02")]
    Us02,
    #[serde(rename = "eu-01")]
    Eu01,
    #[serde(rename = "au-01")]
    Au01,
}

impl Region {
    pub fn base_url(self) -> &'static str {
        match self {
            Self::Us01 => "https://api.snyk.io/rest",
            Self::Us02 => "https://api.us.snyk.io/rest",
            Self::Eu01 => "https://api.eu.snyk.io/rest",
            Self::Au01 => "https://api.au.snyk.io/rest",
        }
    }
}

/// The word before the credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// The key of a service account or a user.
    #[default]
    Token,
    /// An OAuth access token.
    Bearer,
}

/// The whole table.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub region: Region,
    /// Another address than the region's, with `/rest` at its end.
    pub base_url: Option<String>,
    pub token: TokenSource,
    pub token_kind: TokenKind,
    /// The date of the contract that is spoken.
    pub version: String,
    pub allow_plain_http: bool,
    pub connect_timeout: Span,
    pub timeout: Span,
    pub requests_per_second: u32,
    /// 1,620 a minute for each key; beyond it Snyk wants a minute of silence.
    pub requests_per_minute: u32,
    pub burst: u32,
    /// Snyk's advice is ten calls at once.
    pub concurrency: u32,
    pub reply_limit_mib: u32,
    pub ca_file: Option<PathBuf>,
    pub client_certificate: Option<PathBuf>,
    /// Entries of a page: 10 to 100, in tens.
    pub page_size: u32,
    /// Whether removing somebody from a group takes away the organizations
    /// below it too. Without it Snyk refuses to remove whoever has any.
    pub cascade: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: Region::default(),
            base_url: None,
            token: TokenSource::default(),
            token_kind: TokenKind::default(),
            version: "2025-11-05".into(),
            allow_plain_http: false,
            connect_timeout: Span(Duration::from_secs(5)),
            timeout: Span(Duration::from_secs(30)),
            requests_per_second: 27,
            requests_per_minute: 1_620,
            burst: 10,
            concurrency: 10,
            reply_limit_mib: 8,
            ca_file: None,
            client_certificate: None,
            page_size: 100,
            cascade: false,
        }
    }
}

impl Settings {
    /// Everything wrong, each line starting with the key it is about. Reads
    /// the token's source; sends nothing.
    pub fn problems(&self) -> Vec<String> {
        let mut found = self.client().problems();
        if !(10..=100).contains(&self.page_size) || !self.page_size.is_multiple_of(10) {
            found.push(format!(
                "page_size = {}: write 10 to 100, in tens",
                self.page_size
            ));
        }
        if !is_version(&self.version) {
            found.push(format!(
                "version {:?} is no version of Snyk's API: write a date, for example \"2025-11-05\"",
                self.version
            ));
        }
        found
    }

    /// What the HTTP client needs of it.
    pub(super) fn client(&self) -> client::Settings {
        let base = self.base_url.as_deref().unwrap_or(self.region.base_url());
        client::Settings {
            base_url: base.to_owned(),
            token: self.token.clone(),
            dialect: Dialect {
                scheme: match self.token_kind {
                    TokenKind::Token => Scheme::Token,
                    TokenKind::Bearer => Scheme::Bearer,
                },
                media: "application/vnd.api+json".into(),
                request_id: Some("snyk-request-id".into()),
            },
            allow_plain_http: self.allow_plain_http,
            connect_timeout: self.connect_timeout.0,
            timeout: self.timeout.0,
            requests_per_second: self.requests_per_second,
            burst: self.burst,
            concurrency: self.concurrency,
            requests_per_minute: Some(self.requests_per_minute),
            penalty: Some(Duration::from_secs(60)),
            reply_limit_mib: self.reply_limit_mib,
            ca_file: self.ca_file.clone(),
            client_certificate: self.client_certificate.clone(),
        }
    }
}

/// A date, perhaps with a stability behind it.
fn is_version(text: &str) -> bool {
    let (date, stability) = match text.split_once('~') {
        Some((date, stability)) => (date, Some(stability)),
        None => (text, None),
    };
    date.parse::<jiff::civil::Date>().is_ok()
        && date.len() == "2025-11-05".len()
        && stability.is_none_or(|it| ["wip", "experimental", "beta"].contains(&it))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_region_is_an_address() {
        for (text, base) in [
            ("", "https://api.snyk.io/rest"),
            ("region = \"us-02\"", "https://api.us.snyk.io/rest"),
            ("region = \"eu-01\"", "https://api.eu.snyk.io/rest"),
            ("region = \"au-01\"", "https://api.au.snyk.io/rest"),
            (
                "base_url = \"https://snyk.example.com/rest\"",
                "https://snyk.example.com/rest",
            ),
        ] {
            assert_eq!(read(text).client().base_url, base);
        }
        assert!(toml::from_str::<Settings>("region = \"moon\"").is_err());
    }

    #[test]
    fn what_is_wrong_is_said_all_at_once() {
        assert_eq!(read("token = \"key\"").problems(), Vec::<String>::new());
        for version in ["2024-10-15", "2025-11-05~beta"] {
            assert!(is_version(version), "{version}");
        }
        let problems = read("page_size = 25\nversion = \"latest\"\nburst = 0").problems();
        for about in ["token", "burst", "page_size", "version"] {
            let mut starts = problems.iter().map(|problem| problem.starts_with(about));
            assert!(starts.any(|it| it), "{about} in {problems:?}");
        }
    }
}
