//! The shape of the configuration file: every key that exists, as it is
//! written. Nothing here is required; what must be there is checked where the
//! values are put together, so that every gap is found in one reading.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::Error};
use toml::Spanned;

/// The whole file, save `connection.upstream`, which is read by its kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<Listen>,
    pub(super) public_url: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) store: Store,
    #[serde(default)]
    pub(super) http: Http,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) operator: Operator,
    #[serde(default)]
    pub(super) connection: Vec<Spanned<Connection>>,
}

/// One address or several.
#[derive(Debug)]
pub(super) struct Listen(pub(super) Vec<SocketAddr>);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub(super) url: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) body_limit: Option<Bytes>,
    pub(super) max_connections: Option<NonZeroUsize>,
    pub(super) header_timeout: Option<Span>,
    pub(super) body_timeout: Option<Span>,
    pub(super) request_timeout: Option<Span>,
    pub(super) keep_alive: Option<Span>,
    pub(super) shutdown_timeout: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) level: Option<Spanned<String>>,
    pub(super) format: Option<LogFormat>,
}

/// The operator's side.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operator {
    pub(super) listen: Option<Spanned<SocketAddr>>,
    pub(super) token: Option<TokenFile>,
    pub(super) tokens: Option<BTreeMap<String, TokenFile>>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    pub(super) name: Option<Spanned<String>>,
    pub(super) tokens: Option<TokenFile>,
    pub(super) strict: Option<bool>,
    pub(super) sync_wait: Option<Spanned<Span>>,
    pub(super) ack: Option<Ack>,
    pub(super) unknown_members: Option<UnknownMembers>,
    pub(super) reactivate: Option<Reactivate>,
    pub(super) users_without_email: Option<UsersWithoutEmail>,
    pub(super) late_writes: Option<Span>,
    pub(super) import: Option<Import>,
    pub(super) request_budget: Option<Spanned<u32>>,
    pub(super) read_lag: Option<Span>,
    pub(super) reconcile: Option<Reconcile>,
    pub(super) drift: Option<Drift>,
    #[serde(default)]
    pub(super) sensitive_filters: Vec<String>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) guard: Guard,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenFile {
    pub(super) file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ack {
    Durable,
    Confirmed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UnknownMembers {
    Refuse,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reactivate {
    Refuse,
    Recreate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UsersWithoutEmail {
    Refuse,
    Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Drift {
    Repair,
    Accept,
}

/// How often the application is compared with what was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reconcile(pub(super) Option<Duration>);

/// When the application's users and groups are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Import {
    Never,
    Start,
    Every(Duration),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) depth: Option<NonZeroUsize>,
    pub(super) operations: Option<NonZeroUsize>,
    pub(super) bulk_operations: Option<NonZeroUsize>,
    pub(super) members: Option<NonZeroUsize>,
    pub(super) filter: Option<NonZeroUsize>,
    pub(super) filter_depth: Option<NonZeroUsize>,
}

/// How much may be taken away at once.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    pub(super) enabled: Option<bool>,
    #[serde(default)]
    pub(super) group_removals: Limit,
    #[serde(default)]
    pub(super) removals: Limit,
    pub(super) empty_from: Option<NonZeroU64>,
    #[serde(default)]
    pub(super) protected_users: Vec<String>,
    #[serde(default)]
    pub(super) protected_groups: Vec<String>,
    #[serde(default)]
    pub(super) least_members: BTreeMap<String, NonZeroU64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    pub(super) more_than: Option<u64>,
    pub(super) percent: Option<Percent>,
    pub(super) within: Option<Span>,
}

/// A share: 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Percent(pub(super) u8);

/// A span of time: `"5s"`, `"1m 30s"`, `"250ms"`, `"6h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// An amount of bytes: a number, or `"512KiB"`, `"1MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) usize);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMore {
            One(String),
            More(Vec<String>),
        }
        let texts = match OneOrMore::deserialize(from) {
            Ok(OneOrMore::One(text)) => vec![text],
            Ok(OneOrMore::More(texts)) if !texts.is_empty() => texts,
            _ => {
                return Err(D::Error::custom(
                    "no address to listen on; write for example \"127.0.0.1:8080\"",
                ));
            }
        };
        let addresses = texts.iter().map(|text| {
            text.parse().map_err(|_| {
                D::Error::custom(format!(
                    "{text:?} is no IP address and port; write for example \"127.0.0.1:8080\" or \"[::]:8080\""
                ))
            })
        });
        addresses.collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        span(&String::deserialize(from)?)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u8::deserialize(from) {
            Ok(percent @ 0..=100) => Ok(Self(percent)),
            _ => Err(D::Error::custom(
                "no share; write a whole number from 0 to 100",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Import {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            "never" => Ok(Self::Never),
            "start" => Ok(Self::Start),
            text => match span(text) {
                Ok(every) if every >= Duration::from_secs(60) => Ok(Self::Every(every)),
                Ok(_) => Err(D::Error::custom(
                    "an import more often than every minute would be in the application's way; write for example \"6h\"",
                )),
                Err(_) => Err(D::Error::custom(format!(
                    "{text:?} says no time; write \"never\", \"start\" or a span such as \"6h\""
                ))),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Reconcile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            "never" => Ok(Self(None)),
            text => match span(text) {
                Ok(every) if every >= Duration::from_secs(60) => Ok(Self(Some(every))),
                Ok(_) => Err(D::Error::custom(
                    "a reconciliation more often than every minute would be in the application's way; write for example \"24h\"",
                )),
                Err(_) => Err(D::Error::custom(format!(
                    "{text:?} says no time; write \"never\" or a span such as \"24h\""
                ))),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum NumberOrText {
            Number(usize),
            Text(String),
        }
        let refuse = || D::Error::custom("no amount of bytes; write for example \"1MiB\"");
        let bytes = match NumberOrText::deserialize(from) {
            Ok(NumberOrText::Number(number)) => Some(number),
            Ok(NumberOrText::Text(text)) => bytes(&text),
            Err(_) => None,
        };
        bytes
            .filter(|bytes| *bytes > 0)
            .map(Self)
            .ok_or_else(refuse)
    }
}

/// The error says what to write instead.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let refuse = |why: &str| format!("{text:?} {why}; write for example \"5s\" or \"6h\"");
    let span: jiff::SignedDuration = text.parse().map_err(|_| refuse("is no span of time"))?;
    match Duration::try_from(span) {
        Ok(span) if !span.is_zero() => Ok(span),
        _ => Err(refuse("is not more than nothing")),
    }
}

fn bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: usize = digits.parse().ok()?;
    let unit = match text.strip_prefix(digits)?.trim() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    number.checked_mul(unit)
}
