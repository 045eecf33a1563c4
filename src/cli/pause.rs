//! `drawbridge pause` and `drawbridge resume`: the kill switch. They turn a
//! file beside the store and need no running server; a running one heeds it
//! within a second.

use clap::Args;

use super::{ConfigFile, Failed, operator, screen::remark};
use crate::{
    bridge::switch::{self, Paused},
    console::beside,
};

/// Stop all writes to the applications, at once and until `resume`.
///
/// Requests of identity providers are still taken, kept and answered; what they
/// ask for is delivered after `resume`. Works without a running server and
/// outlives a restart. A running server stops within two seconds; a call that
/// is already under way ends.
#[derive(Debug, Args)]
pub(super) struct Pause {
    /// Only this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Why, for whoever finds it stopped.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    config: ConfigFile,
}

/// Let the applications be written to again, after `pause`.
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// Only this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Pause {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let file = file(&self.config, self.connection.as_deref())?;
        let why = format!("{} {}", operator::who(), self.reason);
        let now = switch::pause(&file, self.connection.as_deref(), why.trim())?;
        tell(now, &self.config);
        Ok(())
    }
}

impl Resume {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let file = file(&self.config, self.connection.as_deref())?;
        let now = switch::resume(&file, self.connection.as_deref(), &operator::who())?;
        tell(now, &self.config);
        Ok(())
    }
}

fn file(config: &ConfigFile, connection: Option<&str>) -> Result<std::path::PathBuf, Failed> {
    if let Some(name) = connection {
        config.knows(name)?;
    }
    Ok(beside(&operator::store(config)?, switch::FLAG))
}

fn tell(now: Paused, config: &ConfigFile) {
    // Who cannot read the configuration has said so before.
    let now = match config.connections() {
        Ok(known) => now.among(known),
        Err(_) => now,
    };
    for name in &now.unknown {
        remark(&format!(
            "There is no connection {name:?}, so everything is stopped."
        ));
    }
    let names: Vec<&str> = now.connections.iter().map(String::as_str).collect();
    remark(&match (now.everything, names.is_empty()) {
        (true, _) => "All writes to all applications are stopped.".to_owned(),
        (false, false) => format!("Writes are stopped for: {}.", names.join(", ")),
        (false, true) => "Nothing is stopped.".to_owned(),
    });
}
