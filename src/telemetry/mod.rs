//! The log: one line for each thing an operator may want to know, on standard
//! error, as text or as JSON. Secrets are kept out of it by their types; here
//! is only how it is written.

use std::io::{self, IsTerminal};

mod sink;

use tracing_subscriber::{
    Layer, filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat};

/// The environment variable that overrides the configured level.
pub const LEVEL: &str = "DRAWBRIDGE_LOG";

/// Whether a text is a level or a list of directives.
pub fn understands(level: &str) -> bool {
    !level.trim().is_empty() && level.parse::<Targets>().is_ok()
}

/// Writes what has not been written yet, before the process ends.
pub fn flush() {
    sink::flush();
}

/// Starts the log. A second start in one process does nothing.
pub fn start(log: &Log) {
    let wanted = std::env::var(LEVEL).ok().filter(|level| understands(level));
    let level = wanted.as_ref().unwrap_or(&log.level);
    // A plain level is about drawbridge; its libraries speak when they are named.
    let directives = if level.contains(['=', ',']) {
        level.clone()
    } else {
        format!("warn,drawbridge={level}")
    };
    let filter = directives
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    sink::start();
    let lines = fmt::layer().with_writer(|| sink::Line);
    // Whoever started the log first keeps it.
    let _ = match log.format {
        LogFormat::Text => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let lines = lines.with_ansi(colours).with_target(false);
            registry().with(lines.with_filter(filter)).try_init()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            registry().with(lines.with_filter(filter)).try_init()
        }
    };
}
