//! The commands, one file each. The only room that writes to the terminal.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, Connection};

mod audit;
mod check;
mod demo;
mod held;
mod import;
mod operator;
mod pause;
mod reconcile;
mod screen;
mod serve;
mod simulate;
mod status;
mod token;

/// A SCIM 2.0 bridge: identity providers such as Okta and Microsoft Entra ID
/// speak SCIM to it, and it carries every change into an application that
/// does not speak SCIM, with as few calls as possible.
///
/// To see it work without any set-up: drawbridge demo
#[derive(Debug, Parser)]
#[command(name = "drawbridge", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Check(check::Check),
    Token(token::Token),
    Simulate(simulate::Simulate),
    Import(import::Import),
    Status(status::Status),
    Audit(audit::Audit),
    Reconcile(reconcile::Reconcile),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Held(held::Held),
    Plan(held::Plan),
    Recovery(held::Recovery),
}

/// Which configuration file.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "drawbridge.toml",
        env = "DRAWBRIDGE_CONFIG"
    )]
    config: PathBuf,
}

impl ConfigFile {
    /// The names of the connections, in order.
    fn connections(&self) -> Result<BTreeSet<String>, Failed> {
        let names = config::connection_names(&self.config);
        names.map_err(|problems| Failed::usage(problems.to_string()))
    }

    /// Refuses the name of a connection that there is not.
    fn knows(&self, connection: &str) -> Result<(), Failed> {
        let known = self.connections()?;
        if known.contains(connection) {
            return Ok(());
        }
        Err(self.no_connection(connection, &known))
    }

    /// The connection of a name, or with `None` all of them.
    fn chosen<'c>(
        &self,
        config: &'c Config,
        name: Option<&str>,
    ) -> Result<Vec<&'c Connection>, Failed> {
        name.map_or(Ok(()), |name| self.knows(name))?;
        let is_chosen = |it: &&Connection| name.is_none_or(|name| name == it.name);
        Ok(config.connections.iter().filter(is_chosen).collect())
    }

    fn no_connection(&self, name: &str, known: &BTreeSet<String>) -> Failed {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let known = match &known[..] {
            [] => "there is none in it".to_owned(),
            known => format!("there are: {}", known.join(", ")),
        };
        Failed::usage(format!(
            "there is no connection {name:?} in {}; {known}",
            self.config.display()
        ))
    }
}

/// A command that could not do what was asked.
#[derive(Debug)]
struct Failed {
    /// For the administrator, with the remedy; may be several lines.
    text: String,
    status: u8,
}

impl Failed {
    /// The configuration or the command line must be mended first.
    fn usage(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            status: 2,
        }
    }
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self {
            text: error.to_string(),
            status: 1,
        }
    }
}

/// Runs the command that the command line asks for.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Simulate(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Reconcile(command) => command.run(),
        Command::Pause(command) => command.run(),
        Command::Resume(command) => command.run(),
        Command::Held(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Recovery(command) => command.run(),
    };
    crate::telemetry::flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            screen::complain(&failed.text);
            ExitCode::from(failed.status)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
