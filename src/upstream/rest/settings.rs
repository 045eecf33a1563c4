//! What an administrator can say about an application that no code knows: the
//! table `[connection.upstream]` with `kind = "rest"`. Shapes only: what is
//! malformed by itself (a pointer, a placeholder) is refused while it is read,
//! what does not go together by `problems`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use reqwest::header::HeaderName;
use serde::Deserialize;

use super::{
    meaning::Row,
    operation::{Name, Operation},
    pointer::Pointer,
    template::Path,
};
use crate::{
    plan::capability::Act,
    upstream::client::{self, Dialect, Scheme, Span, TokenSource},
};

/// The whole table.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What refusals and status call the application.
    pub name: String,
    pub base_url: String,
    pub token: TokenSource,
    /// What the administrator calls the tenant, where connections with different
    /// credentials lead to it.
    pub tenant: Option<String>,
    pub authentication: Authentication,
    /// The header that carries the token, with `authentication = "header"`.
    pub header: Option<String>,
    pub media_type: String,
    /// The header with the application's own name for a request.
    pub request_id: Option<String>,
    pub allow_plain_http: bool,
    pub connect_timeout: Span,
    pub timeout: Span,
    pub requests_per_second: u32,
    pub requests_per_minute: Option<u32>,
    /// How long it wants silence after a 429 that does not say how long.
    pub penalty: Option<Span>,
    pub burst: u32,
    pub concurrency: u32,
    pub reply_limit_mib: u32,
    pub ca_file: Option<PathBuf>,
    pub client_certificate: Option<PathBuf>,

    pub user: User,
    pub group: Group,
    pub member: Member,
    pub operations: BTreeMap<Name, Operation>,
    /// What answers mean where their status does not say it.
    pub errors: Vec<Row>,
    /// The administrator's own words, for what can be done and what cannot.
    pub notes: BTreeMap<Act, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            base_url: String::new(),
            token: TokenSource::default(),
            tenant: None,
            authentication: Authentication::Bearer,
            header: None,
            media_type: "application/json".into(),
            request_id: None,
            allow_plain_http: false,
            connect_timeout: Span(Duration::from_secs(5)),
            timeout: Span(Duration::from_secs(30)),
            requests_per_second: 10,
            requests_per_minute: None,
            penalty: None,
            burst: 5,
            concurrency: 4,
            reply_limit_mib: 8,
            ca_file: None,
            client_certificate: None,
            user: User::default(),
            group: Group::default(),
            member: Member::default(),
            operations: BTreeMap::new(),
            errors: Vec::new(),
            notes: BTreeMap::new(),
        }
    }
}

/// How the token goes with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authentication {
    /// `Authorization: Bearer TOKEN`
    Bearer,
    /// `Authorization: token TOKEN`
    Token,
    /// HTTP Basic (RFC 7617); the secret is `user:password`.
    Basic,
    /// A header of its own.
    Header,
}

/// What the application knows a thing by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    Email,
    /// A user's userName; a group's name.
    Name,
    /// An id that only the application can give.
    Id,
}

/// A user, as the application shows one.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    pub known_by: KnownBy,
    /// A SCIM User stands for an account that is there; none is made.
    pub link: bool,
    pub id: Option<Pointer>,
    pub account: Option<Pointer>,
    pub active: Option<Pointer>,
    /// What stands at `active` of whoever is active: words, numbers, `true` or `false`.
    /// Where nothing is given, `true`.
    pub active_values: Vec<String>,
    pub created: Option<Pointer>,
    pub attributes: BTreeMap<Shown, Pointer>,
    /// Which rows are users at all.
    pub only: Option<Only>,
}

impl Default for User {
    fn default() -> Self {
        Self {
            known_by: KnownBy::Email,
            link: false,
            id: None,
            account: None,
            active: None,
            active_values: Vec::new(),
            created: None,
            attributes: BTreeMap::new(),
            only: None,
        }
    }
}

/// SCIM attributes that an account can show and a new one can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shown {
    UserName,
    Email,
    GivenName,
    FamilyName,
    DisplayName,
    Title,
    Department,
    Organization,
}

impl Shown {
    pub(super) const ALL: [Self; 8] = [
        Self::UserName,
        Self::Email,
        Self::GivenName,
        Self::FamilyName,
        Self::DisplayName,
        Self::Title,
        Self::Department,
        Self::Organization,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::UserName => "userName",
            Self::Email => "email",
            Self::GivenName => "givenName",
            Self::FamilyName => "familyName",
            Self::DisplayName => "displayName",
            Self::Title => "title",
            Self::Department => "department",
            Self::Organization => "organization",
        }
    }
}

/// A group, as the application shows one.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    /// `email` is nothing that a group has.
    pub known_by: KnownBy,
    pub id: Option<Pointer>,
    pub name: Option<Pointer>,
    pub member_count: Option<Pointer>,
    pub read_only: Vec<ReadOnly>,
    /// All the groups there are, by name, with their ids.
    pub fixed: BTreeMap<String, String>,
    /// Which rows are groups at all, as they are meant here.
    pub only: Option<Only>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            known_by: KnownBy::Name,
            id: None,
            name: None,
            member_count: None,
            read_only: Vec::new(),
            fixed: BTreeMap::new(),
            only: None,
        }
    }
}

/// Groups of which the application says something are never written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadOnly {
    pub at: Pointer,
    /// The text, number or flag that is there, in any letter case.
    #[serde(default)]
    pub is: Option<String>,
    #[serde(default)]
    pub is_not: Option<String>,
    pub note: String,
}

/// A member of a group, as the application shows one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Member {
    pub id: Option<Pointer>,
    pub account: Option<Pointer>,
    /// What it is where it is a text alone.
    pub text: Option<Plain>,
    /// Which entries of `list_members` are users at all.
    pub only: Option<Only>,
}

/// Entries of a list that are what it is read for: others may have ids of their own kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Only {
    pub at: Pointer,
    /// As of [`ReadOnly`].
    #[serde(default)]
    pub is: Option<String>,
    #[serde(default)]
    pub is_not: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plain {
    Id,
    Account,
}

impl Settings {
    /// What users, groups and members are known by: by anything else, what is stored of
    /// one would be another's.
    pub(super) fn identities(&self) -> String {
        let at = |it: &Option<Pointer>| it.as_ref().map_or("-", Pointer::as_str).to_owned();
        let (user, group, member) = (&self.user, &self.group, &self.member);
        format!(
            "users by {:?} {} {}, groups by {:?} {} {}, members by {} {} {:?}",
            user.known_by,
            at(&user.id),
            at(&user.account),
            group.known_by,
            at(&group.id),
            at(&group.name),
            at(&member.id),
            at(&member.account),
            member.text
        )
    }

    pub(super) fn operation(&self, name: Name) -> Option<&Operation> {
        self.operations.get(&name)
    }

    pub(super) fn has(&self, name: Name) -> bool {
        self.operations.contains_key(&name)
    }

    /// Whether the path of a call names one of these.
    pub(super) fn addresses(&self, holes: &[&str]) -> bool {
        let paths = self.operations.values().filter_map(|it| it.path.as_ref());
        let mut named = paths.flat_map(Path::holes);
        named.any(|hole| holes.contains(&hole))
    }

    /// The header that carries the token, if it is a legal one.
    pub(super) fn header(&self) -> Option<HeaderName> {
        let name = self.header.as_deref()?;
        HeaderName::from_bytes(name.as_bytes()).ok()
    }

    /// What the HTTP client needs of it.
    pub(super) fn client(&self) -> client::Settings {
        client::Settings {
            kind: format!("rest {}", self.name),
            base_url: self.base_url.clone(),
            token: self.token.clone(),
            dialect: Dialect {
                scheme: match (self.authentication, self.header()) {
                    (Authentication::Header, Some(name)) => Scheme::Header(name),
                    (Authentication::Bearer | Authentication::Header, _) => Scheme::Bearer,
                    (Authentication::Token, _) => Scheme::Token,
                    (Authentication::Basic, _) => Scheme::Basic,
                },
                media: self.media_type.clone().into(),
                request_id: self.request_id.clone().map(Into::into),
            },
            allow_plain_http: self.allow_plain_http,
            connect_timeout: self.connect_timeout.0,
            timeout: self.timeout.0,
            requests_per_second: self.requests_per_second,
            burst: self.burst,
            concurrency: self.concurrency,
            requests_per_minute: self.requests_per_minute,
            penalty: self.penalty.map(|span| span.0),
            reply_limit_mib: self.reply_limit_mib,
            ca_file: self.ca_file.clone(),
            client_certificate: self.client_certificate.clone(),
        }
    }
}
