//! `drawbridge demo`: the whole bridge with a simulated application behind it,
//! in one process, on a store that is gone afterwards.
//!
//! It is set up through a configuration text like any other, and spoken to
//! over HTTP like any other. Only the token is fixed and kept nowhere.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Failed,
    screen::{Screen, Tone, progress},
};
use crate::{
    app::{self, Running},
    bridge::{
        Progress, Setup,
        switch::Switch,
        token::{Tokens, secret},
    },
    config::{self, Config, Log, LogFormat},
    simulator::{Application, Company, Simulator},
    telemetry,
};

mod brief;
mod entra;
mod hydden;
mod okta;
mod play;
mod snyk;

use play::{Play, Score};

/// The token between the bridge and the simulated application.
const UPSTREAM_TOKEN: &str = "the-simulated-application-accepts-this";
/// The file it lies in.
const SECRET: &str = "application.token";
const CONNECTION: &str = "demo";

/// See it work: the bridge, a simulated application and two identity providers.
///
/// Starts a simulated application with a company of some 300 people and the bridge
/// in front of it, then plays what Okta and Microsoft Entra ID really send and
/// shows, for each SCIM request, the calls that the application received. After
/// that it stays up, for you to try requests of your own. Nothing leaves this
/// machine and nothing is left behind.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End after the flows; the exit status is 0 only if all went as expected.
    #[arg(long)]
    once: bool,
    /// Where the bridge listens.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The token for the identity provider; by default a new random one.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "DRAWBRIDGE_DEMO_TOKEN",
        hide_env_values = true
    )]
    token: Option<SecretString>,
    /// No company and no flows: just the bridge and the application, lenient
    /// where it can be, ready for a test suite.
    #[arg(long, conflicts_with = "once")]
    empty: bool,
    /// Demand the interoperability profile (draft-zollner-scim-interop-profile),
    /// which refuses more than RFC 7643 and 7644 do: what no schema defines, a
    /// PATCH without a path. The flows of the identity providers depart from it,
    /// so without --empty some of it will be refused.
    #[arg(long)]
    strict: bool,
    /// With --empty: hold back mass removals, as `serve` does. A test suite
    /// that deletes freely cannot have that.
    #[arg(long, requires = "empty")]
    guard: bool,
    /// Which application is behind the bridge.
    #[arg(long, value_name = "APPLICATION", value_enum, default_value_t = Behind::Opsera)]
    upstream: Behind,
    /// Where the simulated application listens; by default any free port.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    upstream_listen: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Behind {
    /// Users, site roles, People and groups.
    Opsera,
    /// An inventory that can only be read.
    Hydden,
    /// Groups whose users have one role each, and come by signing in.
    Snyk,
}

impl Behind {
    fn application(self) -> Application {
        match self {
            Self::Opsera => Application::Opsera,
            Self::Hydden => Application::Hydden,
            Self::Snyk => Application::Snyk,
        }
    }

    fn company(self) -> Company {
        match self {
            Self::Opsera => Company::example(),
            Self::Hydden => Company::nested(),
            Self::Snyk => Company::roles(),
        }
    }

    /// Nobody, and nothing that could be made through the bridge.
    fn bare(self) -> Company {
        match self {
            Self::Opsera | Self::Hydden => Company::empty(),
            Self::Snyk => Company::administered(),
        }
    }

    /// Where it is, and the pace that nobody has to wait for.
    fn address(self, simulator: &str) -> String {
        match self {
            Self::Opsera | Self::Hydden => format!("base_url = \"{simulator}\"\n"),
            Self::Snyk => {
                format!("base_url = \"{simulator}/rest\"\nrequests_per_minute = 1000000\n")
            }
        }
    }

    /// Its `kind` in a configuration.
    fn kind(self) -> &'static str {
        match self {
            Self::Opsera => "opsera",
            Self::Hydden => "hydden",
            Self::Snyk => "snyk",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Opsera => "Opsera",
            Self::Hydden => "Hydden.Control",
            Self::Snyk => "Snyk",
        }
    }
}

impl Demo {
    pub(super) fn run(&self) -> Result<(), Failed> {
        telemetry::start(&Log {
            level: "warn".to_owned(),
            format: LogFormat::Text,
        });
        app::command_runtime()?.block_on(self.play())
    }

    async fn play(&self) -> Result<(), Failed> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = match &self.token {
            Some(token) => token.clone(),
            None => SecretString::from(secret::generate()?),
        };
        let folder = Folder::new()?;
        let mut stage = self.set_up(&folder, &token).await?;
        let shown = tokio::select! {
            shown = self.show(&stage, &token) => shown,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        let shown = if self.once || shown.is_err() {
            shown
        } else {
            tokio::select! {
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
                ended = stage.running.ended() => Err(Failed::from(ended)),
            }
        };
        stage.running.stop().await;
        stage.simulator.stop().await;
        shown
    }

    async fn set_up(&self, folder: &Folder, token: &SecretString) -> Result<Stage, Failed> {
        let company = if self.empty {
            self.upstream.bare()
        } else {
            self.upstream.company()
        };
        let (application, listen) = (self.upstream.application(), self.upstream_listen);
        let simulator =
            Simulator::start(application, listen, UPSTREAM_TOKEN, &company).map_err(|error| {
                Failed {
                    text: format!(
                        "cannot listen on {listen}: {error}; try --upstream-listen 127.0.0.1:0"
                    ),
                    status: 1,
                }
            })?;
        folder.keep(SECRET, UPSTREAM_TOKEN)?;
        let text = self.configuration(&simulator.url());
        let config = config::parse(&folder.0.join("demo.toml"), &text)
            .map_err(|problems| Failed::usage(problems.to_string()))?;
        let store = app::open_store(&config.store)?;
        let mut setups = Vec::new();
        for connection in &config.connections {
            setups.push(Setup {
                name: connection.name.clone(),
                upstream: app::open_upstream(connection)?,
                policy: connection.policy.clone(),
                tokens: Tokens::fixed(token.expose_secret())?,
            });
        }
        let running = Running::start(store, setups, config.front.clone(), Switch::none())
            .await
            .map_err(|error| match error {
                app::StartError::Listen(error) => Failed {
                    text: format!("{error}; try --listen 127.0.0.1:0 for any free port"),
                    status: 1,
                },
                other => Failed::from(other),
            })?;
        Ok(Stage {
            simulator,
            running,
            config,
        })
    }

    /// What an administrator would write.
    fn configuration(&self, application: &str) -> String {
        let guarded = self.guard || !self.empty;
        let (leniency, roles, pace) = if self.empty {
            (
                "users_without_email = \"stage\"\nreactivate = \"recreate\"\nimport = \"never\"\nrequest_budget = 1000000\n",
                "unknown_roles = \"local\"\n",
                10_000,
            )
        } else {
            ("", "", 200)
        };
        // What only this kind knows.
        let roles = if self.upstream == Behind::Opsera {
            roles
        } else {
            ""
        };
        format!(
            "listen = \"{}\"\n\
             [[connection]]\n\
             name = \"{CONNECTION}\"\n\
             tokens = {{ file = \"unused\" }}\n\
             strict = {}\n\
             guard = {{ enabled = {guarded} }}\n\
             {leniency}\
             [connection.upstream]\n\
             kind = \"{}\"\n\
             {}\
             token = {{ file = \"{SECRET}\" }}\n\
             allow_plain_http = true\n\
             {roles}\
             requests_per_second = {pace}\n\
             burst = {pace}\n",
            self.listen,
            self.strict,
            self.upstream.kind(),
            self.upstream.address(application)
        )
    }

    async fn show(&self, stage: &Stage, token: &SecretString) -> Result<(), Failed> {
        let screen = Screen::new();
        if self.empty {
            stage.closing(&screen, token);
            return Ok(());
        }
        stage.introduce(&screen, self.upstream.name()).await?;
        let mut play = Play::new(screen, stage.base_url(), token.clone(), &stage.simulator)?;
        match self.upstream {
            Behind::Opsera => {
                okta::flow(&mut play).await;
                entra::flow(&mut play).await;
            }
            Behind::Hydden => hydden::flow(&mut play).await,
            Behind::Snyk => snyk::flow(&mut play).await,
        }
        let score = play.end();
        verdict(&screen, &score);
        if score.failures > 0 {
            return Err(Failed {
                text: format!(
                    "{} expectations were not met; see FAILED above",
                    score.failures
                ),
                status: 1,
            });
        }
        if !self.once {
            stage.closing(&screen, token);
            examples(&screen, &stage.base_url(), token);
        }
        Ok(())
    }
}

/// All that runs.
struct Stage {
    simulator: Simulator,
    running: Running,
    config: Config,
}

impl Stage {
    fn base_url(&self) -> String {
        let address = self.running.addresses.first().copied();
        let address = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
        format!("http://{address}/scim/v2")
    }

    /// Says what there is and reads the company.
    async fn introduce(&self, screen: &Screen, application: &str) -> Result<(), Failed> {
        let state = self.simulator.state();
        screen.line(Tone::Heading, "drawbridge demo");
        screen.paragraph(
            Tone::Plain,
            "",
            &format!(
                "A simulated {application} with {} people and {} groups runs on {}. \
                 The bridge in front of it speaks SCIM 2.0 and reads it first:",
                state.users.len(),
                state.groups.len(),
                self.simulator.url()
            ),
        );
        let Some(connection) = self.config.connections.first() else {
            return Ok(());
        };
        let Some(session) = self.running.bridge.own_session(&connection.name, "import") else {
            return Ok(());
        };
        let show = |at: Progress| {
            progress(&format!(
                "  {} users, {} of {} groups",
                at.users, at.groups_read, at.groups
            ));
        };
        let seen = session.import(false, &show).await;
        progress("");
        let seen = seen?;
        screen.paragraph(
            Tone::Plain,
            "  ",
            &format!(
                "{} active users and {} groups with {} memberships are now SCIM resources ({} calls).",
                seen.users_new,
                seen.groups_new,
                seen.members_new,
                self.simulator.calls().len()
            ),
        );
        self.confirm(screen, &connection.name).await?;
        screen.paragraph(
            Tone::Plain,
            "",
            "Below, each SCIM request is followed by the calls that the application received for it.",
        );
        Ok(())
    }

    /// A new database and an application with members: the guard rails want an
    /// operator's word before anybody is removed.
    async fn confirm(&self, screen: &Screen, connection: &str) -> Result<(), Failed> {
        let operator = self.running.bridge.own_operator("demo");
        if operator.end_recovery(connection).await? {
            screen.paragraph(
                Tone::Plain,
                "",
                "Its database is new, so nobody would be removed from a group before an operator \
                 has confirmed that the two belong together. The demo is the operator and does so.",
            );
        }
        Ok(())
    }

    /// What is up, for people and for scripts.
    fn closing(&self, screen: &Screen, token: &SecretString) {
        Screen::blank();
        screen.line(
            Tone::Heading,
            &format!("SCIM base URL: {}", self.base_url()),
        );
        screen.line(Tone::Heading, &format!("Token: {}", token.expose_secret()));
        screen.line(
            Tone::Heading,
            &format!("Application (simulated): {}", self.simulator.url()),
        );
        screen.line(
            Tone::Plain,
            &format!("Its call log: {}/_simulator/calls", self.simulator.url()),
        );
    }
}

fn verdict(screen: &Screen, score: &Score) {
    Screen::blank();
    let sentence = format!(
        "{} SCIM requests became {} upstream calls; {}.",
        score.requests,
        score.calls,
        match score.failures {
            0 => "all went as expected".to_owned(),
            1 => "1 expectation was NOT met".to_owned(),
            more => format!("{more} expectations were NOT met"),
        }
    );
    let tone = if score.failures == 0 {
        Tone::Good
    } else {
        Tone::Bad
    };
    screen.line(tone, &sentence);
}

fn examples(screen: &Screen, base: &str, token: &SecretString) {
    let header = format!("Authorization: Bearer {}", token.expose_secret());
    Screen::blank();
    screen.line(Tone::Plain, "Try, in another terminal:");
    Screen::blank();
    for line in [
        format!("curl -s -H '{header}' '{base}/Groups?count=3&excludedAttributes=members'"),
        format!("curl -s -H '{header}' '{base}/Users?filter=userName%20sw%20%22a%22&count=2'"),
        format!(
            "curl -s -H '{header}' -H 'Content-Type: application/scim+json' \
             -d '{{\"userName\":\"new.person@example.com\",\"active\":true}}' '{base}/Users'"
        ),
    ] {
        screen.line(Tone::Plain, &line);
        Screen::blank();
    }
    screen.line(Tone::Quiet, "It stays up until Ctrl-C.");
}

/// A private folder that is gone when this is.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failed> {
        let name: String = secret::generate()?.chars().skip(4).take(12).collect();
        let path = std::env::temp_dir().join(format!("drawbridge-demo-{name}"));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn keep(&self, name: &str, secret: &str) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.0.join(name))?;
        file.write_all(secret.as_bytes())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

// A demonstration that cannot tidy up has still been one.
fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}
