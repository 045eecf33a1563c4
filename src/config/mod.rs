//! The configuration: one TOML file, checked as a whole.
//!
//! [`read`] answers with a [`Config`] in which every value is parsed and every
//! default filled in, or with all [`Problems`] at once. Secrets are never in
//! the file itself: it names the files or environment variables that hold
//! them. Relative paths are relative to the file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::Spanned;

use crate::{
    bridge::Policy,
    http,
    upstream::{hydden, opsera, rest, snyk},
};

mod application;
mod document;
mod file;
mod problem;
mod reading;
#[cfg(test)]
mod tests;
mod value;

use document::Document;
pub use file::LogFormat;
pub use problem::{Problem, Problems};
use reading::{Reading, take_upstreams};

/// Everything the server is told.
#[derive(Debug, Clone)]
pub struct Config {
    pub front: http::Settings,
    /// The database file.
    pub store: PathBuf,
    pub log: Log,
    pub operator: Operator,
    pub connections: Vec<Connection>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A level, or directives such as `info,drawbridge::upstream=debug`.
    pub level: String,
    pub format: LogFormat,
}

/// The operator's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    pub listen: SocketAddr,
    /// A file with a token that stays, for a monitoring system.
    pub token: Option<PathBuf>,
    /// The same for people, by the names that the audit has of them.
    pub tokens: BTreeMap<String, PathBuf>,
}

/// One identity provider's tenant bound to one application.
#[derive(Debug, Clone)]
pub struct Connection {
    pub name: String,
    /// The file with the digests of its tokens.
    pub tokens: PathBuf,
    pub policy: Policy,
    pub upstream: Upstream,
}

/// An application's settings, by its kind.
#[derive(Debug, Clone)]
pub enum Upstream {
    Opsera(Box<opsera::Settings>),
    Hydden(Box<hydden::Settings>),
    Rest(Box<rest::Settings>),
    Snyk(Box<snyk::Settings>),
}

impl Upstream {
    /// How often accounts are looked for that have to appear by themselves.
    fn look_for_staged(&self) -> Option<Duration> {
        match self {
            Self::Opsera(_) | Self::Hydden(_) | Self::Rest(_) => None,
            Self::Snyk(settings) => Some(settings.look_for_staged.0),
        }
    }
}

/// Reads and checks a configuration file.
pub fn read(path: &Path) -> Result<Config, Problems> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    parse(path, &text)
}

/// The names of the connections. Nothing else has to be in order for this.
pub fn connection_names(path: &Path) -> Result<BTreeSet<String>, Problems> {
    let names = |connection: file::Connection| Some(connection.name?.into_inner());
    Ok(of_connections(path, names)?.collect())
}

/// The token files by connection name. Nothing else has to be in order for
/// this, no secret has to be there: tokens are often made first.
pub fn token_files(path: &Path) -> Result<BTreeMap<String, PathBuf>, Problems> {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let files = of_connections(path, move |connection| {
        let name = connection.name?.into_inner();
        Some((name, folder.join(connection.tokens?.file?)))
    });
    Ok(files?.collect())
}

/// What is said of each connection, as far as it is said.
fn of_connections<T>(
    path: &Path,
    said: impl Fn(file::Connection) -> Option<T>,
) -> Result<impl Iterator<Item = T>, Problems> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let mut problems = Problems::default();
    let mut found = None;
    if let Some((document, mut table)) = Document::parse(path, &text, &mut problems) {
        take_upstreams(table.get_mut());
        let file: Option<file::File> = document.read(table, "", &mut problems);
        found = file.map(|file| {
            let connections = file.connection.into_iter().map(Spanned::into_inner);
            connections.filter_map(said)
        });
    }
    problems.or_else(found)
}

/// The store's file. Nothing else has to be in order for this.
pub fn store_file(path: &Path) -> Result<PathBuf, Problems> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let mut problems = Problems::default();
    let mut found = None;
    if let Some((document, mut table)) = Document::parse(path, &text, &mut problems) {
        take_upstreams(table.get_mut());
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let file: Option<file::File> = document.read(table, "", &mut problems);
        if let Some(file) = file {
            let mut reading = Reading {
                document,
                folder,
                problems: &mut problems,
            };
            found = reading.store(&file.store);
        }
    }
    problems.or_else(found)
}

/// Checks a configuration that is already in memory; `path` is its place, for
/// messages and for relative paths.
pub fn parse(path: &Path, text: &str) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let config = Document::parse(path, text, &mut problems).and_then(|(document, table)| {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut reading = Reading {
            document,
            folder,
            problems: &mut problems,
        };
        reading.config(table)
    });
    problems.or_else(config)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problems {
    Problems::from(Problem {
        file: path.to_owned(),
        line: None,
        key: String::new(),
        what: format!("cannot be read: {error}"),
        remedy: "name the configuration with --config FILE; deploy/drawbridge.toml is an example"
            .to_owned(),
    })
}
