//! `drawbridge simulate`: an application alone, with its switches, for
//! trying a configuration without touching the real one.

use std::{fs, net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Failed,
    screen::{Screen, Tone},
};
use crate::{
    app,
    bridge::token::secret,
    config::{Log, LogFormat},
    simulator::{self, Company, Failure, Faults, Minute, RateLimit, Rule, Simulator, Treatment},
    telemetry,
};

/// Run a simulated application, to try the bridge without the real one.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    #[command(subcommand)]
    application: Application,
}

#[derive(Debug, Subcommand)]
enum Application {
    Opsera(Box<Opsera>),
    Hydden(Box<Hydden>),
    Snyk(Box<Snyk>),
}

/// Run a simulated Opsera: stateful, true to its documentation, and as faulty
/// as you like.
///
/// Every call is logged under /_simulator/calls; the state and all switches,
/// also more than there are here, are under /_simulator/state and
/// /_simulator/faults, without a credential: keep it on loopback.
#[derive(Debug, Args)]
struct Opsera {
    #[command(flatten)]
    common: Common,
    /// How members that nobody knows are treated.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Members::Strict)]
    unknown_members: Members,
    /// How adding who is in, or removing who is not, is treated.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Members::Lenient)]
    duplicate_members: Members,
}

/// Run a simulated Hydden.Control: an inventory of accounts and groups in pages,
/// with members that are in a group directly or through another one.
///
/// Every call is logged under /_simulator/calls; the state and all switches,
/// also more than there are here, are under /_simulator/state and
/// /_simulator/faults, without a credential: keep it on loopback.
#[derive(Debug, Args)]
struct Hydden {
    #[command(flatten)]
    common: Common,
}

/// Run a simulated Snyk: groups whose users have one role each, in pages of tens,
/// with a limit of calls a minute and the minute of silence after it.
///
/// Every call is logged under /_simulator/calls; the state and all switches,
/// also more than there are here, are under /_simulator/state and
/// /_simulator/faults, without a credential: keep it on loopback. A team of a
/// company file is one role (its type) in the Snyk Group of its name.
#[derive(Debug, Args)]
struct Snyk {
    #[command(flatten)]
    common: Common,
    /// More calls than this in a minute are answered 429, until there was none
    /// for a minute.
    #[arg(long, value_name = "CALLS", default_value_t = 1_620)]
    minute_limit: usize,
}

/// What every simulated application can be told.
#[derive(Debug, Args)]
struct Common {
    /// Where it listens.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The bearer token it accepts, or several with spaces between them; by default
    /// a new random one.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "DRAWBRIDGE_SIMULATOR_TOKEN",
        hide_env_values = true
    )]
    token: Option<SecretString>,
    /// Start with this company, a JSON file with `users` and `groups`, instead
    /// of the example of some 300 people.
    #[arg(long, value_name = "FILE", conflicts_with = "empty")]
    company: Option<PathBuf>,
    /// Start with nobody and nothing.
    #[arg(long)]
    empty: bool,
    /// Every call takes at least this long.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u64,
    /// Reads show what was so this long ago.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    read_lag_ms: u64,
    /// More calls than this in a second are answered 429.
    #[arg(long, value_name = "CALLS")]
    rate_limit: Option<usize>,
    /// The Retry-After header of those answers; none by default.
    #[arg(long, value_name = "VALUE", requires = "rate_limit")]
    retry_after: Option<String>,
    /// This fault strikes --fail-percent of the calls that change something.
    #[arg(long, value_name = "FAULT", value_enum)]
    fail: Option<Fault>,
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    fail_percent: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Members {
    /// Refuse the whole batch.
    Strict,
    /// Ignore them and do not list them.
    Lenient,
    /// Ignore them and list them apart.
    Partial,
    /// Ignore them and list them as done.
    Listed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fault {
    /// 500, nothing done.
    ErrorBefore,
    /// 500, and done.
    ErrorAfter,
    /// No answer, nothing done.
    ResetBefore,
    /// No answer, and done.
    ResetAfter,
    /// Done; the answer breaks off.
    Truncated,
    /// Never answered, and done.
    Silent,
}

impl Simulate {
    pub(super) fn run(&self) -> Result<(), Failed> {
        telemetry::start(&Log {
            level: "warn".to_owned(),
            format: LogFormat::Text,
        });
        let (common, application, company, faults) = match &self.application {
            Application::Opsera(opsera) => (
                &opsera.common,
                simulator::Application::Opsera,
                Company::example(),
                opsera.faults(),
            ),
            Application::Hydden(hydden) => (
                &hydden.common,
                simulator::Application::Hydden,
                Company::nested(),
                hydden.common.faults(),
            ),
            Application::Snyk(snyk) => (
                &snyk.common,
                simulator::Application::Snyk,
                Company::roles(),
                snyk.faults(),
            ),
        };
        let company = common.company(company)?;
        let serve = common.serve(application, &company, faults);
        app::command_runtime()?.block_on(serve)
    }
}

impl Opsera {
    fn faults(&self) -> Faults {
        Faults {
            unknown_members: self.unknown_members.treatment(),
            duplicate_members: self.duplicate_members.treatment(),
            ..self.common.faults()
        }
    }
}

impl Snyk {
    fn faults(&self) -> Faults {
        Faults {
            minute: Some(Minute {
                calls: self.minute_limit,
                length_ms: 60_000,
                silence: true,
            }),
            ..self.common.faults()
        }
    }
}

impl Common {
    async fn serve(
        &self,
        application: simulator::Application,
        company: &Company,
        faults: Faults,
    ) -> Result<(), Failed> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = match &self.token {
            Some(token) => token.clone(),
            None => SecretString::from(secret::generate()?),
        };
        let simulator = Simulator::start(application, self.listen, token.expose_secret(), company)
            .map_err(|error| Failed {
                text: format!(
                    "cannot listen on {} ({error}); try --listen 127.0.0.1:0",
                    self.listen
                ),
                status: 1,
            })?;
        simulator.faults(faults);
        let screen = Screen::new();
        let url = simulator.url();
        screen.line(Tone::Heading, &format!("Application (simulated): {url}"));
        screen.line(Tone::Heading, &format!("Token: {}", token.expose_secret()));
        screen.line(Tone::Plain, &format!("Call log: {url}/_simulator/calls"));
        screen.line(Tone::Quiet, "It stays up until Ctrl-C.");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        simulator.stop().await;
        Ok(())
    }

    fn company(&self, example: Company) -> Result<Company, Failed> {
        match &self.company {
            _ if self.empty => Ok(Company::empty()),
            None => Ok(example),
            Some(file) => {
                let wrong = |error: &dyn std::fmt::Display| {
                    Failed::usage(format!("{}: {error}", file.display()))
                };
                let text = fs::read(file).map_err(|error| wrong(&error))?;
                serde_json::from_slice(&text).map_err(|error| wrong(&error))
            }
        }
    }

    fn faults(&self) -> Faults {
        let rules = self.fail.map(|fault| Rule {
            writes: true,
            percent: Some(self.fail_percent),
            ..Rule::always(fault.failure())
        });
        Faults {
            latency_ms: self.latency_ms,
            read_lag_ms: self.read_lag_ms,
            rate_limit: self.rate_limit.map(|per_second| RateLimit {
                per_second,
                retry_after: self.retry_after.clone(),
            }),
            rules: rules.into_iter().collect(),
            ..Faults::default()
        }
    }
}

impl Members {
    fn treatment(self) -> Treatment {
        match self {
            Self::Strict => Treatment::Strict,
            Self::Lenient => Treatment::Lenient,
            Self::Partial => Treatment::Partial,
            Self::Listed => Treatment::Listed,
        }
    }
}

impl Fault {
    fn failure(self) -> Failure {
        match self {
            Self::ErrorBefore => Failure::ErrorBefore,
            Self::ErrorAfter => Failure::ErrorAfter,
            Self::ResetBefore => Failure::ResetBefore,
            Self::ResetAfter => Failure::ResetAfter,
            Self::Truncated => Failure::Truncated,
            Self::Silent => Failure::SilentAfter,
        }
    }
}
