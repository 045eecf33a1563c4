//! `drawbridge token`: the bearer tokens that identity providers present.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use secrecy::ExposeSecret;

use super::{
    ConfigFile, Failed,
    screen::{Screen, Tone, day, remark},
};
use crate::{
    bridge::token::{self, Listed, secret},
    config,
    store::Millis,
};

/// Create, list and revoke the tokens that identity providers present.
///
/// Works beside a running server, which notices the change within seconds.
/// Only keyed digests are kept: a token is shown once, when it is created.
#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Create a token and print it, once.
    ///
    /// Several tokens may be live at once: create a new one, give it to the
    /// identity provider, then revoke the old one.
    Create {
        /// The connection, by its name in the configuration.
        connection: String,
        /// Who will use it, for your own record.
        #[arg(long, default_value = "")]
        label: String,
        /// Days until it expires; 730 at most.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=730))]
        days: u16,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List a connection's tokens: id, state, expiry and label, never the token.
    List {
        /// The connection, by its name in the configuration.
        connection: String,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Revoke a token; a running server refuses it within seconds.
    Revoke {
        /// The connection, by its name in the configuration.
        connection: String,
        /// The token's id, as `token list` shows it.
        id: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Token {
    pub(super) fn run(&self) -> Result<(), Failed> {
        match &self.act {
            Act::Create {
                connection,
                label,
                days,
                config,
            } => create(&file(config, connection)?, connection, label, *days),
            Act::List { connection, config } => list(&file(config, connection)?),
            Act::Revoke {
                connection,
                id,
                config,
            } => revoke(&file(config, connection)?, id),
        }
    }
}

fn file(config: &ConfigFile, connection: &str) -> Result<PathBuf, Failed> {
    let mut files = config::token_files(&config.config)
        .map_err(|problems| Failed::usage(problems.to_string()))?;
    config.knows(connection)?;
    files.remove(connection).ok_or_else(|| {
        Failed::usage(format!(
            "connection {connection:?} has no token file in {}",
            config.config.display(),
        ))
    })
}

fn create(file: &std::path::Path, connection: &str, label: &str, days: u16) -> Result<(), Failed> {
    let life = Duration::from_secs(u64::from(days) * 86_400);
    let made = token::create(file, label, life, now())?;
    remark(&format!(
        "Token {} for {connection}, valid until {}. It is shown only now:",
        made.id,
        day(made.expires)
    ));
    Screen::new().line(Tone::Plain, made.secret.expose_secret());
    Ok(())
}

fn list(file: &std::path::Path) -> Result<(), Failed> {
    let screen = Screen::new();
    let now = now();
    let tokens = token::list(file)?;
    if tokens.is_empty() {
        remark("There are no tokens.");
    }
    for token in tokens {
        let tone = if token.live(now) {
            Tone::Plain
        } else {
            Tone::Quiet
        };
        screen.line(
            tone,
            &format!(
                "{}  {:<10}  made {}  until {}  {}",
                token.id,
                state(&token, now),
                day(token.created),
                day(token.expires),
                token.label
            ),
        );
    }
    Ok(())
}

fn revoke(file: &std::path::Path, id: &str) -> Result<(), Failed> {
    if secret::well_formed(id) {
        return Err(Failed::usage(
            "that is the token itself; revoke it by its id, which `drawbridge token list` shows",
        ));
    }
    let token = token::revoke(file, id, now())?;
    remark(&format!(
        "Token {} is revoked; a running server refuses it within seconds.",
        token.id
    ));
    Ok(())
}

/// A token's state in a word.
pub(super) fn state(token: &Listed, now: Millis) -> &'static str {
    match token.revoked {
        Some(_) => "revoked",
        None if now < token.expires => "live",
        None => "expired",
    }
}

/// The wall clock, for expiry dates.
pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    })
}
