//! From the file's shape to values: defaults filled in, ranges and paths
//! checked, every gap told. Nothing is refused at the first fault.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Config, Connection, Log, Operator, Problems, Upstream, document::Document, file};
use crate::{
    bridge::{
        Guard, Limit, Policy, Protected, is_operator_name, is_reserved_name, reconcile::DriftPolicy,
    },
    http, telemetry,
};

/// How often the application is read unless told otherwise.
const IMPORT_EVERY: Duration = Duration::from_secs(6 * 3600);

/// And how often it is compared with what was observed.
const RECONCILE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Entra ID demands as many requests a second.
const LEAST_BUDGET: u32 = 25;

/// One reading of one file.
pub(super) struct Reading<'a, 'p> {
    pub(super) document: Document<'a>,
    /// Relative paths start here.
    pub(super) folder: PathBuf,
    pub(super) problems: &'p mut Problems,
}

impl<'a> Reading<'a, '_> {
    pub(super) fn config(&mut self, mut table: Spanned<DeTable<'a>>) -> Option<Config> {
        let upstreams = take_upstreams(table.get_mut());
        let file: file::File = self.document.read(table, "", self.problems)?;
        let front = self.front(&file);
        let store = self.store(&file.store);
        let log = self.log(&file.log);
        let operator = self.operator(&file.operator);
        if file.connection.is_empty() {
            self.complain::<()>(
                None,
                "connection",
                "there is no connection",
                "add a [[connection]] with name, tokens and [connection.upstream]",
            );
        }
        let mut seen = BTreeMap::new();
        let mut files = BTreeMap::new();
        let mut connections = Vec::new();
        let mut upstreams = upstreams.into_iter();
        for (at, connection) in file.connection.iter().enumerate() {
            let upstream = upstreams.next().flatten();
            let read = self.connection(at, connection, upstream, front.request_timeout);
            if let Some(name) = &connection.get_ref().name
                && let Some(first) = seen.insert(name.get_ref().clone(), at)
            {
                self.complain(
                    Some(name),
                    &format!("connection[{at}].name"),
                    format!("connection[{first}] has the same name"),
                    "give each connection a name of its own",
                );
            } else if let Some(tokens) = self.tokens(connection.get_ref())
                && let Some(first) = files.insert(real(&tokens), at)
            {
                self.complain(
                    Some(connection),
                    &format!("connection[{at}].tokens"),
                    format!("connection[{first}] has the same file, so each one's tokens would open both"),
                    "give each connection a file of its own",
                );
            }
            connections.extend(read);
        }
        Some(Config {
            front,
            store: store?,
            log: log?,
            operator: operator?,
            connections,
        })
    }

    fn front(&mut self, file: &file::File) -> http::Settings {
        let mut front = http::Settings::default();
        if let Some(listen) = &file.listen {
            front.listen.clone_from(&listen.0);
        }
        if let Some(url) = &file.public_url {
            let text = url.get_ref().trim_end_matches('/');
            let scheme = text.starts_with("https://") || text.starts_with("http://");
            if scheme && !text.contains(['?', '#', ' ', '@']) && text.len() > "https://".len() {
                front.public_url = Some(text.to_owned());
            } else {
                self.complain(
                    Some(url),
                    "public_url",
                    "not an address of a server",
                    "write for example \"https://scim.example.com\"",
                );
            }
        }
        let http = &file.http;
        set(
            &mut front.max_connections,
            http.max_connections.map(usize::from),
        );
        set(&mut front.body_limit, http.body_limit.map(|bytes| bytes.0));
        front.workers = http.workers.or(front.workers);
        set(
            &mut front.header_timeout,
            http.header_timeout.map(|span| span.0),
        );
        set(
            &mut front.body_timeout,
            http.body_timeout.map(|span| span.0),
        );
        set(
            &mut front.request_timeout,
            http.request_timeout.map(|span| span.0),
        );
        set(&mut front.keep_alive, http.keep_alive.map(|span| span.0));
        set(
            &mut front.shutdown_timeout,
            http.shutdown_timeout.map(|span| span.0),
        );
        for (key, text) in front.problems() {
            let (what, remedy) = text.split_once([';', ':']).unwrap_or((&text, ""));
            let key = if key == "listen" {
                "listen".to_owned()
            } else {
                format!("http.{key}")
            };
            self.complain::<()>(None, &key, what, remedy.trim());
        }
        front
    }

    pub(super) fn store(&mut self, store: &file::Store) -> Option<PathBuf> {
        let Some(url) = &store.url else {
            return Some(self.folder.join("drawbridge.db"));
        };
        match url.get_ref().strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() => Some(self.folder.join(path)),
            _ => {
                let what = if url.get_ref().starts_with("postgres") {
                    "PostgreSQL is not supported yet"
                } else {
                    "not the address of a store"
                };
                self.complain(
                    Some(url),
                    "store.url",
                    what,
                    "write for example \"sqlite://drawbridge.db\" or \"sqlite:///var/lib/drawbridge/drawbridge.db\"",
                );
                None
            }
        }
    }

    fn operator(&mut self, operator: &file::Operator) -> Option<Operator> {
        let listen = match &operator.listen {
            None => SocketAddr::from(([127, 0, 0, 1], 0)),
            Some(address) if address.get_ref().ip().is_loopback() => *address.get_ref(),
            Some(address) => {
                self.complain(
                    Some(address),
                    "operator.listen",
                    "not an address of this machine alone, and what is said there is not encrypted",
                    "write for example \"127.0.0.1:9464\"",
                );
                return None;
            }
        };
        let mut token = None;
        if let Some(anybody) = &operator.token {
            token = self.operator_token("operator.token", anybody);
        }
        let tokens = match &operator.tokens {
            None => BTreeMap::new(),
            Some(named) => self.operators(named),
        };
        self.each_of_their_own(token.as_ref(), &tokens);
        Some(Operator {
            listen,
            token,
            tokens,
        })
    }

    fn operators(
        &mut self,
        named: &BTreeMap<String, file::TokenFile>,
    ) -> BTreeMap<String, PathBuf> {
        if named.is_empty() {
            self.complain::<()>(
                None,
                "operator.tokens",
                "it names nobody",
                "write for example { anna = { file = \"secrets/operator-anna\" } }, or leave it out",
            );
        }
        let mut tokens = BTreeMap::new();
        for (name, token) in named {
            let key = format!("operator.tokens.{name}");
            if !is_operator_name(name) {
                self.complain::<()>(
                    None,
                    &key,
                    "no name that the audit can tell",
                    "use up to 64 letters, digits and any of - . _ @",
                );
            } else if is_reserved_name(name) {
                self.complain::<()>(
                    None,
                    &key,
                    "in the audit that is the program, or nobody in particular",
                    "use the name of a person",
                );
            }
            let file = self.operator_token(&key, token);
            tokens.extend(file.map(|file| (name.clone(), file)));
        }
        tokens
    }

    fn operator_token(&mut self, key: &str, token: &file::TokenFile) -> Option<PathBuf> {
        if token.file.is_none() {
            self.complain::<()>(
                None,
                key,
                "there is no file",
                "write for example { file = \"secrets/operator-anna\" }",
            );
        }
        token.file.as_ref().map(|file| self.folder.join(file))
    }

    /// What the tokens are is looked at when they are needed.
    fn each_of_their_own(&mut self, token: Option<&PathBuf>, tokens: &BTreeMap<String, PathBuf>) {
        let anybody = token.map(|file| ("operator.token".to_owned(), file));
        let named = tokens.iter();
        let named = named.map(|(name, file)| (format!("operator.tokens.{name}"), file));
        let mut seen = BTreeMap::new();
        for (key, file) in anybody.into_iter().chain(named) {
            if let Some(first) = seen.insert(real(file), key.clone()) {
                self.complain::<()>(
                    None,
                    &key,
                    format!("{first} has the same file, so the audit could not tell them apart"),
                    "give each a file and a token of their own",
                );
            }
        }
    }

    fn log(&mut self, log: &file::Log) -> Option<Log> {
        let level = match &log.level {
            None => "info".to_owned(),
            Some(level) if telemetry::understands(level.get_ref()) => level.get_ref().clone(),
            Some(level) => {
                self.complain(
                    Some(level),
                    "log.level",
                    "not a log level",
                    "write one of: error, warn, info, debug, trace",
                );
                return None;
            }
        };
        Some(Log {
            level,
            format: log.format.unwrap_or_default(),
        })
    }

    fn connection(
        &mut self,
        at: usize,
        spanned: &Spanned<file::Connection>,
        upstream: Option<Spanned<DeValue<'a>>>,
        request_timeout: Duration,
    ) -> Option<Connection> {
        let place = format!("connection[{at}]");
        let connection = spanned.get_ref();
        let name = match &connection.name {
            Some(name) if legal_name(name.get_ref()) => Some(name.get_ref().clone()),
            Some(name) => {
                self.complain(
                    Some(name),
                    &format!("{place}.name"),
                    "a name stands in the address: 1 to 63 lower-case letters, digits and \"-\", a letter first, and not \"scim\"",
                    "write for example \"acme\"",
                );
                None
            }
            None => {
                self.complain(
                    Some(spanned),
                    &place,
                    "the key `name` is missing",
                    "add name = \"acme\"",
                );
                None
            }
        };
        let tokens = self.tokens(connection);
        if tokens.is_none() {
            self.complain(
                Some(spanned),
                &place,
                match connection.tokens {
                    None => "the key `tokens` is missing",
                    Some(_) => "`tokens` names no file",
                },
                "add tokens = { file = \"secrets/acme.tokens\" } and run `drawbridge token create`",
            );
        }
        let mut policy = self.policy(&place, connection, request_timeout);
        let upstream = self.upstream(&format!("{place}.upstream"), spanned, upstream);
        policy.look_for_staged = upstream.as_ref().and_then(Upstream::look_for_staged);
        Some(Connection {
            name: name?,
            tokens: tokens?,
            policy,
            upstream: upstream?,
        })
    }

    fn tokens(&self, connection: &file::Connection) -> Option<PathBuf> {
        let tokens = connection.tokens.as_ref()?;
        tokens.file.as_ref().map(|file| self.folder.join(file))
    }

    fn policy(&mut self, place: &str, from: &file::Connection, longest: Duration) -> Policy {
        let mut policy = Policy {
            import_every: Some(IMPORT_EVERY),
            reconcile_every: Some(RECONCILE_EVERY),
            ..Policy::default()
        };
        if let Some(wait) = &from.sync_wait {
            policy.sync_wait = wait.get_ref().0;
            if policy.sync_wait >= longest {
                self.complain(
                    Some(wait),
                    &format!("{place}.sync_wait"),
                    "not less than http.request_timeout: answers would be cut off",
                    "write a shorter time, for example \"5s\"",
                );
            }
        }
        set(
            &mut policy.late_writes,
            from.late_writes.as_ref().map(|span| span.0),
        );
        if let Some(budget) = &from.request_budget {
            policy.request_budget = *budget.get_ref();
            if policy.request_budget < LEAST_BUDGET {
                self.complain(
                    Some(budget),
                    &format!("{place}.request_budget"),
                    "less than 25 requests a second, which Entra ID demands of a server",
                    "write 25 or more; the default is 500",
                );
            }
        }
        set(&mut policy.read_lag, from.read_lag.map(|span| span.0));
        set(
            &mut policy.reconcile_every,
            from.reconcile.map(|every| every.0),
        );
        if from.drift == Some(file::Drift::Accept) {
            policy.drift = DriftPolicy::Accept;
        }
        policy.confirmed = from.ack == Some(file::Ack::Confirmed);
        policy.skip_unknown_members = from.unknown_members == Some(file::UnknownMembers::Skip);
        policy.recreate = from.reactivate == Some(file::Reactivate::Recreate);
        policy.stage_users = from.users_without_email == Some(file::UsersWithoutEmail::Stage);
        policy.sensitive_filters = from.sensitive_filters.clone().into();
        match from.import {
            None => {}
            Some(file::Import::Start) => policy.import_every = None,
            Some(file::Import::Never) => {
                policy.import_every = None;
                policy.import_at_start = false;
            }
            Some(file::Import::Every(every)) => policy.import_every = Some(every),
        }
        policy.guard = guard(&from.guard).into();
        set(&mut policy.limits.strict, from.strict);
        let limits = &from.limits;
        set(&mut policy.limits.depth, limits.depth.map(usize::from));
        set(
            &mut policy.limits.operations,
            limits.operations.map(usize::from),
        );
        set(
            &mut policy.limits.bulk_operations,
            limits.bulk_operations.map(usize::from),
        );
        set(&mut policy.limits.members, limits.members.map(usize::from));
        set(&mut policy.limits.filter, limits.filter.map(usize::from));
        set(
            &mut policy.limits.filter_depth,
            limits.filter_depth.map(usize::from),
        );
        policy
    }

    fn upstream(
        &mut self,
        place: &str,
        connection: &Spanned<file::Connection>,
        upstream: Option<Spanned<DeValue<'a>>>,
    ) -> Option<Upstream> {
        let Some(upstream) = upstream else {
            self.complain(
                Some(connection),
                place,
                "there is no application behind this connection",
                "add [connection.upstream] with kind = \"opsera\", base_url and token",
            );
            return None;
        };
        let span = upstream.span();
        let DeValue::Table(mut table) = upstream.into_inner() else {
            self.problems.push(self.document.problem(
                Some(span),
                place,
                "not a table",
                "write [connection.upstream] and its keys below it",
            ));
            return None;
        };
        let kind = table.remove("kind");
        let named = kind.as_ref().and_then(|kind| kind.get_ref().as_str());
        let whole = Spanned::new(span.clone(), table);
        match named {
            Some("opsera") => return self.application(place, whole).map(Upstream::Opsera),
            Some("hydden") => return self.application(place, whole).map(Upstream::Hydden),
            Some("rest") => return self.application(place, whole).map(Upstream::Rest),
            Some("snyk") => return self.application(place, whole).map(Upstream::Snyk),
            _ => {}
        }
        self.problems.push(self.document.problem(
            kind.map(|kind| kind.span()).or(Some(span)),
            &format!("{place}.kind"),
            "not a kind of application that drawbridge knows",
            "write kind = \"opsera\", \"hydden\", \"rest\" or \"snyk\"",
        ));
        None
    }

    fn complain<T>(
        &mut self,
        at: Option<&Spanned<T>>,
        key: &str,
        what: impl Into<String>,
        remedy: &str,
    ) {
        let span = at.map(Spanned::span);
        self.problems
            .push(self.document.problem(span, key, what, remedy));
    }
}

/// A file by the name that it has when all links are followed, if it is there.
fn real(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// Takes each connection's upstream out, in order, to be read by its kind.
pub(super) fn take_upstreams<'a>(table: &mut DeTable<'a>) -> Vec<Option<Spanned<DeValue<'a>>>> {
    let Some(DeValue::Array(connections)) = table.get_mut("connection").map(Spanned::get_mut)
    else {
        return Vec::new();
    };
    connections
        .iter_mut()
        .map(|connection| match connection.get_mut() {
            DeValue::Table(connection) => connection.remove("upstream"),
            _ => None,
        })
        .collect()
}

fn guard(from: &file::Guard) -> Guard {
    let mut guard = Guard {
        protected: Protected::named(
            &from.protected_users,
            &from.protected_groups,
            from.least_members
                .iter()
                .map(|(name, least)| (name.as_str(), least.get())),
        ),
        ..Guard::default()
    };
    set(&mut guard.enabled, from.enabled);
    limit(&mut guard.group_removals, &from.group_removals);
    limit(&mut guard.removals, &from.removals);
    set(&mut guard.empty_from, from.empty_from.map(u64::from));
    guard
}

fn limit(limit: &mut Limit, from: &file::Limit) {
    set(&mut limit.more_than, from.more_than);
    set(&mut limit.percent, from.percent.map(|percent| percent.0));
    set(&mut limit.within, from.within.map(|span| span.0));
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// It stands in a URL and in commands.
fn legal_name(name: &str) -> bool {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name != "scim"
        && name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(letters)
}
