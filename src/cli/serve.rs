//! `drawbridge serve`: answers until it is told to stop.

use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    ConfigFile, Failed,
    screen::{Screen, Tone},
};
use crate::{
    app::{self, Running},
    config::{self, Config},
    telemetry,
};

/// A stop takes no longer than this, whatever hangs.
const LONGEST_STOP: Duration = Duration::from_secs(30);

/// Serve SCIM for every connection of the configuration.
///
/// Stops on SIGTERM or SIGINT: takes no new requests, finishes those under
/// way, and exits within 30 seconds. Changes that the application has not
/// taken yet are in the store and go on at the next start.
///
/// Check the configuration first with: drawbridge check
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let config = config::read(&self.config.config)
            .map_err(|problems| Failed::usage(problems.to_string()))?;
        telemetry::start(&config.log);
        app::command_runtime()?.block_on(serve(&config))
    }
}

async fn serve(config: &Config) -> Result<(), Failed> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut running = Running::of(config).await?;
    for url in base_urls(config, &running) {
        Screen::new().line(Tone::Plain, &format!("SCIM base URL: {url}"));
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = running.ended() => Some(ended),
    };
    if let Some(ended) = &ended {
        tracing::error!(%ended, "stopping");
    } else {
        tracing::info!("stopping: finishing the requests under way");
    }
    tokio::select! {
        () = running.stop() => tracing::info!("stopped"),
        () = tokio::time::sleep(LONGEST_STOP) => {
            tracing::warn!("stopped before everything was finished; it goes on at the next start");
        }
        _ = terminate.recv() => tracing::warn!("told twice: stopping at once"),
        _ = interrupt.recv() => tracing::warn!("told twice: stopping at once"),
    }
    match ended {
        None => Ok(()),
        Some(ended) => Err(Failed::from(ended)),
    }
}

/// The base URL of every connection, as identity providers should be given it.
pub(super) fn base_urls(config: &Config, running: &Running) -> Vec<String> {
    let root = match (&config.front.public_url, running.addresses.first()) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(address)) => format!("http://{address}"),
        (None, None) => return Vec::new(),
    };
    let names = config.connections.iter();
    names
        .map(|connection| format!("{root}/{}/scim/v2", connection.name))
        .collect()
}
