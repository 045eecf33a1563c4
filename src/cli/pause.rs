//! `drawbridge pause` and `drawbridge resume`: the kill switch. They turn a
//! file beside the store and need no running server; a running one heeds it
//! within a second.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::{
    ConfigFile, Failed,
    operator::{self, Server},
    screen::remark,
};
use crate::{
    app,
    bridge::switch::{self, Paused},
    console::beside,
};

/// A running server has stopped by then.
const STOPS_WITHIN: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(50);

/// Stop all writes to the applications, at once and until `resume`.
///
/// Requests of identity providers are still taken, kept and answered; what they
/// ask for is delivered after `resume`. Works without a running server and
/// outlives a restart. A running server stops within two seconds, for which this
/// waits; a call that is already under way ends.
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
        let now = among(now, &self.config);
        tell(&now, is_heeded(&now, &self.config));
        Ok(())
    }
}

impl Resume {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let file = file(&self.config, self.connection.as_deref())?;
        let now = switch::resume(&file, self.connection.as_deref(), &operator::who())?;
        tell(&among(now, &self.config), true);
        Ok(())
    }
}

fn file(config: &ConfigFile, connection: Option<&str>) -> Result<std::path::PathBuf, Failed> {
    if let Some(name) = connection {
        config.knows(name)?;
    }
    Ok(beside(&operator::store(config)?, switch::FLAG))
}

fn among(now: Paused, config: &ConfigFile) -> Paused {
    // Who cannot read the configuration has said so before.
    match config.connections() {
        Ok(known) => now.among(known),
        Err(_) => now,
    }
}

/// Whether a server that runs has stopped; waits for that as long as it may take.
fn is_heeded(now: &Paused, config: &ConfigFile) -> bool {
    let Ok(server) = Server::find(config) else {
        return true;
    };
    let heeded = async {
        loop {
            match server.get("/status").await {
                Ok(status) if says(&status, now) => return true,
                Ok(_) => tokio::time::sleep(AGAIN).await,
                Err(_) => return false,
            }
        }
    };
    app::command_runtime().is_ok_and(|runtime| {
        runtime.block_on(async {
            let heeded = tokio::time::timeout(STOPS_WITHIN, heeded).await;
            heeded.unwrap_or(false)
        })
    })
}

/// Whether all that is stopped is so by a server's status.
fn says(status: &Value, now: &Paused) -> bool {
    let connections = status["connections"].as_array();
    let mut stopped = connections.into_iter().flatten().filter(|it| {
        let name = it["name"].as_str().unwrap_or_default();
        now.stops(name)
    });
    stopped.all(|it| it["paused"] == true)
}

fn tell(now: &Paused, heeded: bool) {
    for name in &now.unknown {
        remark(&format!(
            "There is no connection {name:?}, so everything is stopped."
        ));
    }
    let when = if heeded { "" } else { " within two seconds" };
    let names: Vec<&str> = now.connections.iter().map(String::as_str).collect();
    remark(&match (now.everything, names.is_empty()) {
        (true, _) => format!("All writes to all applications are stopped{when}."),
        (false, false) => format!("Writes are stopped for: {}{when}.", names.join(", ")),
        (false, true) => "Nothing is stopped.".to_owned(),
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_heeded_where_everything_that_is_stopped_says_so() {
        let status = |acme: bool, beta: bool| {
            json!({ "connections": [
                { "name": "acme", "paused": acme }, { "name": "beta", "paused": beta },
            ] })
        };
        let everything = Paused {
            everything: true,
            ..Paused::default()
        };
        assert!(says(&status(true, true), &everything));
        assert!(!says(&status(true, false), &everything));
        let acme = Paused {
            connections: BTreeSet::from(["acme".to_owned()]),
            ..Paused::default()
        };
        assert!(says(&status(true, false), &acme));
        assert!(!says(&status(false, true), &acme));
    }
}
