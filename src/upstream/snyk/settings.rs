//! What an administrator can say about a Snyk connection: the table
//! `[connection.upstream]` of the configuration. How Snyk is reached and at what
//! pace, which roles of which Snyk Groups are SCIM Groups, and what becomes of
//! users whom Snyk does not know. Everything but the token has a default.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de::value::StringDeserializer};

use super::{
    families::FIELDS,
    memory::RECENT,
    roles::{is_listed, is_same_name},
};
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

/// What becomes of a user whom Snyk does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownUsers {
    /// Kept, with its memberships, until the account appears.
    #[default]
    Stage,
    Refuse,
}

/// What is done about the users of SSO connections, whose calls are beta.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sso {
    /// They are not looked at.
    #[default]
    Ignore,
    /// Accounts are looked for among them, too.
    Link,
    /// And whoever is deactivated is taken out of them.
    Remove,
}

/// One role in one Snyk Group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneGroup {
    /// The id of the Snyk Group.
    pub group: String,
    /// The name of the role, from which its id is found where somebody has it.
    #[serde(default)]
    pub role: Option<String>,
    #[serde(default)]
    pub role_id: Option<String>,
    #[serde(default)]
    pub display_name: Option<String>,
}

/// The whole table.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The name of the connection, for the log.
    #[serde(skip)]
    pub connection: String,
    pub region: Option<Region>,
    /// Another address than the region's, with `/rest` at its end.
    pub base_url: Option<String>,
    pub token: TokenSource,
    pub token_kind: TokenKind,
    /// The date of the contract that is spoken.
    pub version: String,
    pub allow_plain_http: bool,
    pub connect_timeout: Span,
    pub timeout: Span,
    /// One more than a sixtieth of the minute's limit, which is the only one that Snyk
    /// has: what a second loses, as by reading page after page, the next ones make up for.
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
    /// What is a SCIM Group, the first before all others of its Snyk Group.
    /// None: every role that somebody is seen to have.
    pub groups: Vec<OneGroup>,
    /// The order of roles that are found, by their names.
    pub precedence: Vec<String>,
    /// What a SCIM Group is called, with names and ids in braces.
    pub display_name: String,
    /// The role, by its name or id, that somebody must always have.
    pub administrator_role: String,
    pub unknown_users: UnknownUsers,
    pub sso: Sso,
    /// How often accounts that are not there yet are looked for.
    pub look_for_staged: Span,
    /// So long after an answer that told it a role is changed or taken away without
    /// a look; zero: never.
    #[serde(deserialize_with = "span_or_never")]
    pub roles_known_for: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connection: String::new(),
            region: None,
            base_url: None,
            token: TokenSource::default(),
            token_kind: TokenKind::default(),
            version: "2025-11-05".into(),
            allow_plain_http: false,
            connect_timeout: Span(Duration::from_secs(5)),
            timeout: Span(Duration::from_secs(30)),
            requests_per_second: 28,
            requests_per_minute: 1_620,
            burst: 10,
            concurrency: 10,
            reply_limit_mib: 8,
            ca_file: None,
            client_certificate: None,
            page_size: 100,
            cascade: false,
            groups: Vec::new(),
            precedence: ["group_admin", "group_viewer", "group_member"]
                .map(str::to_owned)
                .into(),
            display_name: "{group}: {role}".into(),
            administrator_role: "group_admin".into(),
            unknown_users: UnknownUsers::default(),
            sso: Sso::default(),
            look_for_staged: Span(Duration::from_secs(15 * 60)),
            roles_known_for: Span(Duration::from_secs(120)),
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
        let of_region = self.region.map(Region::base_url);
        if let (Some(region), Some(base)) = (of_region, &self.base_url)
            && base.trim_end_matches('/') != region
        {
            found.push(
                "region: base_url says another address, and counts: take out one of them".into(),
            );
        }
        for (n, name) in self.precedence.iter().enumerate() {
            if is_listed(name, &self.precedence[..n]) {
                found.push(format!(
                    "precedence: {name:?} is there twice: take one of them out"
                ));
            }
        }
        if self.roles_known_for.0 > RECENT {
            found.push("roles_known_for: write 15m at most, or \"never\"".into());
        }
        found.extend(self.problems_of_groups());
        self.problems_of_names(&mut found);
        found
    }

    /// Two groups that could not be told apart, or one that is called nothing.
    fn problems_of_names(&self, found: &mut Vec<String>) {
        let called = |one: &OneGroup| {
            one.display_name
                .as_ref()
                .map(|name| name.trim().to_lowercase())
        };
        for (n, one) in (1..).zip(&self.groups) {
            let Some(name) = called(one) else { continue };
            if name.is_empty() {
                found.push(format!(
                    "groups: entry {n} has an empty display_name: write a name, or take it out"
                ));
            } else if let Some(other) = self
                .groups
                .iter()
                .take(n - 1)
                .position(|it| called(it).as_ref() == Some(&name))
            {
                found.push(format!(
                    "groups: entry {n} has the display_name of entry {}: give each its own",
                    other + 1
                ));
            }
        }
    }

    fn problems_of_groups(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut tell = |key: &str, what: String| found.push(format!("{key}: {what}"));
        for (n, one) in (1..).zip(&self.groups) {
            for id in [Some(&one.group), one.role_id.as_ref()]
                .into_iter()
                .flatten()
            {
                if !is_id(id) {
                    tell(
                        "groups",
                        format!(
                            "entry {n}: {id:?} is no id of Snyk: copy the UUID from its settings page"
                        ),
                    );
                }
            }
            if one.role.is_none() && one.role_id.is_none() {
                tell(
                    "groups",
                    format!("entry {n} names no role: add role_id, or role with its name"),
                );
            }
            if one.role.as_ref().is_some_and(|role| role.trim().is_empty()) {
                tell(
                    "groups",
                    format!("entry {n} has an empty role: write its name, or role_id alone"),
                );
            }
            let mut before = self.groups.iter().take(n - 1);
            if let Some(first) = before.position(|other| is_same_role(one, other)) {
                let first = first + 1;
                tell(
                    "groups",
                    format!(
                        "entry {n} is there twice, as entry {first} is the same role: take it out"
                    ),
                );
            }
        }
        if let Some(odd) = odd_field(&self.display_name) {
            let fields = FIELDS.map(|field| format!("{{{field}}}")).join(", ");
            tell(
                "display_name",
                format!("{{{odd}}} stands for nothing: write {fields}"),
            );
        } else if !self.display_name.contains("{role}") && !self.display_name.contains("{role_id}")
        {
            tell(
                "display_name",
                "the roles of a Snyk Group would all be called the same: put {role} into it".into(),
            );
        }
        if self.administrator_role.trim().is_empty() {
            tell(
                "administrator_role",
                "it names no role: write for example \"group_admin\"".into(),
            );
        }
        found
    }

    /// Where it is.
    pub(super) fn base(&self) -> &str {
        let of_region = || self.region.unwrap_or_default().base_url();
        self.base_url.as_deref().unwrap_or_else(of_region)
    }

    /// What the HTTP client needs of it.
    pub(super) fn client(&self) -> client::Settings {
        client::Settings {
            kind: "snyk".into(),
            base_url: self.base().to_owned(),
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

/// Whether two entries are one role, as far as that can be told of what is
/// written: by the id, or by the name in either spelling.
fn is_same_role(one: &OneGroup, other: &OneGroup) -> bool {
    let same = |one: &Option<String>, other: &Option<String>, is: fn(&str, &str) -> bool| {
        one.as_deref()
            .zip(other.as_deref())
            .map(|(one, other)| is(one, other))
    };
    let by_id = same(&one.role_id, &other.role_id, str::eq_ignore_ascii_case);
    let by_name = || same(&one.role, &other.role, is_same_name).unwrap_or_default();
    one.group.eq_ignore_ascii_case(&other.group) && by_id.unwrap_or_else(by_name)
}

/// A UUID, as Snyk's ids are.
fn is_id(text: &str) -> bool {
    let places = text.bytes().enumerate();
    let mut fits = places.map(|(place, byte)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    text.len() == 36 && fits.all(|fits| fits)
}

fn span_or_never<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
    let text = String::deserialize(from)?;
    if text == "never" {
        return Ok(Span(Duration::ZERO));
    }
    Span::deserialize(StringDeserializer::<D::Error>::new(text))
}

/// What stands in braces and is not known.
fn odd_field(template: &str) -> Option<&str> {
    let fields = template.split('{').skip(1);
    let named = fields.map(|rest| rest.split('}').next().unwrap_or(rest));
    named.into_iter().find(|name| !FIELDS.contains(name))
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
    fn a_second_allows_more_than_its_part_of_the_minute() {
        let settings = Settings::default();
        assert!(settings.requests_per_second * 60 > settings.requests_per_minute);
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
    fn readings_are_relied_on_for_a_while_or_never() {
        let known_for = |text: &str| read(text).roles_known_for.0;
        assert_eq!(known_for(""), Duration::from_secs(120));
        assert_eq!(
            known_for("roles_known_for = \"5m\""),
            Duration::from_secs(300)
        );
        assert_eq!(known_for("roles_known_for = \"never\""), Duration::ZERO);
        assert!(toml::from_str::<Settings>("roles_known_for = \"0s\"").is_err());
        let problems = read("token = \"key\"\nroles_known_for = \"16m\"").problems();
        assert_eq!(
            problems,
            ["roles_known_for: write 15m at most, or \"never\""]
        );
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

    #[test]
    fn groups_and_names_are_checked() {
        let id = "8aab168e-fb3b-47c0-9d87-442715788b31";
        let good = format!(
            "token = \"key\"\nunknown_users = \"refuse\"\nsso = \"remove\"\nlook_for_staged = \"5m\"\n\
             [[groups]]\ngroup = \"{id}\"\nrole = \"group_admin\"\n\
             [[groups]]\ngroup = \"{id}\"\nrole_id = \"{id}\"\ndisplay_name = \"Readers\""
        );
        assert_eq!(read(&good).problems(), Vec::<String>::new());
        let third = |lines: &str| format!("{good}\n[[groups]]\ngroup = \"{id}\"\n{lines}");
        let small = id.to_uppercase();
        for (text, about) in [
            (
                third("role = \"group_admin\"").as_str(),
                "groups: entry 3 is there twice",
            ),
            (
                &third("role = \"Group Admin\"\ndisplay_name = \"Chiefs\""),
                "groups: entry 3 is there twice, as entry 1",
            ),
            (
                &third(&format!("role_id = \"{small}\"")),
                "groups: entry 3 is there twice, as entry 2",
            ),
            (
                &third("role = \"auditor\"\ndisplay_name = \"readers\""),
                "groups: entry 3 has the display_name of entry 2",
            ),
            (
                &third("role = \"auditor\"\ndisplay_name = \" \""),
                "groups: entry 3 has an empty display_name",
            ),
            (&third("role = \"\""), "groups: entry 3 has an empty role"),
            (
                "precedence = [\"group_viewer\", \"auditor\", \"Group Viewer\"]",
                "precedence: \"Group Viewer\" is there twice",
            ),
            (
                "region = \"eu-01\"\nbase_url = \"https://snyk.example.com/rest\"",
                "region: base_url says",
            ),
            (
                "[[groups]]\ngroup = \"Example\"\nrole = \"x\"",
                "groups: entry 1: \"Example\" is no id",
            ),
            (
                "[[groups]]\ngroup = \"8aab168e-fb3b-47c0-9d87-442715788b31\"",
                "groups: entry 1 names no role",
            ),
            (
                "display_name = \"{team}\"",
                "display_name: {team} stands for nothing",
            ),
            ("display_name = \"{group}\"", "display_name: the roles"),
            (
                "administrator_role = \" \"",
                "administrator_role: it names no role",
            ),
        ] {
            let problems = read(text).problems();
            let mut starts = problems.iter().map(|problem| problem.starts_with(about));
            assert!(starts.any(|it| it), "{about} in {problems:?}");
        }
        for odd in [
            "[[groups]]\nrole = \"x\"",
            "[[groups]]\ngroup = \"x\"\nname = \"y\"",
            "sso = \"maybe\"",
        ] {
            assert!(toml::from_str::<Settings>(odd).is_err(), "{odd}");
        }
    }
}
