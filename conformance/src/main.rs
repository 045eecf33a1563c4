//! The command: reads options, shows progress, writes reports. Exit status 0
//! only when at least one case ran and none failed, 1 when some failed, 2 when
//! nothing could be played.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use conformance::case::Mode;
use conformance::play::{FEATURES, USUAL_FEATURES};
use conformance::{
    Optional, Options, Progress, Report, audit, junit, library, listing, play_telling, terminal,
};

/// Plays what identity providers send against a SCIM 2.0 server, and shows where the server differs.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 all played cases passed, 1 some failed, 2 nothing could be played."
)]
#[expect(
    clippy::doc_markdown,
    reason = "these texts are help texts, not documentation"
)]
struct Arguments {
    /// SCIM base URL, for example http://127.0.0.1:8080/scim/v2
    #[arg(long, required_unless_present = "list")]
    url: Option<String>,
    /// Bearer token of the server
    #[arg(
        long,
        env = "SCIM_TOKEN",
        hide_env_values = true,
        required_unless_present = "list"
    )]
    token: Option<String>,
    /// Print every case with what it proves and its source, and play nothing
    #[arg(long)]
    list: bool,
    /// With --list: as Markdown
    #[arg(long, requires = "list")]
    markdown: bool,
    /// Whether the server bends what the RFC forbids as identity providers need it, or refuses it
    #[arg(long, value_enum, default_value_t = ServerMode::Lenient)]
    mode: ServerMode,
    /// Profiles to play (okta, entra, ... or all); give several with commas
    #[arg(long, value_delimiter = ',', default_value = "all")]
    profile: Vec<String>,
    /// Only cases whose name matches, with the cases that they build on
    #[arg(long, value_name = "REGEX")]
    only: Option<regex_lite::Regex>,
    /// What the server has; cases that require anything else are skipped
    #[arg(long, value_delimiter = ',', default_values_t = USUAL_FEATURES.map(str::to_owned), value_parser = feature)]
    features: Vec<String>,
    /// What becomes of cases marked optional
    #[arg(long, value_enum, default_value_t = OptionalCases::Count)]
    optional: OptionalCases,
    /// Replace a variable of the cases, for example auth_bad="Bearer x"
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Folder of cases to play in place of the built-in ones
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Shell command to run after each passed case that writes; the case fails when it does ($CASE is its name)
    #[arg(long, value_name = "COMMAND")]
    check: Option<String>,
    /// What the server says that the application behind it cannot do; a case that
    /// fails after a refusal whose detail matches is reported as skipped
    #[arg(long, value_name = "REGEX")]
    refusals: Option<regex_lite::Regex>,
    /// Group that is there already, by its displayName, for a server that says that it
    /// cannot make one (--refusals): the first stands for the first that is refused, and
    /// so on; of a change that is refused for a new name or address the rest is asked for again
    #[arg(long, value_name = "NAME", requires = "refusals")]
    group: Vec<String>,
    /// Leave on the server what the cases made
    #[arg(long)]
    keep: bool,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as Markdown, to keep and to show
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Seconds to wait for one answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum ServerMode {
    Lenient,
    Strict,
}

#[derive(Clone, Copy, ValueEnum)]
enum OptionalCases {
    /// They count like any other
    Count,
    /// They are played, a failure is reported as skipped
    Allow,
    /// They are not played
    Skip,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        return match list(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                say(&format!("conformance: {problem}"));
                ExitCode::from(2)
            }
        };
    }
    match run(&arguments).await {
        Ok(report) if report.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(problem) => {
            say(&format!("conformance: {problem}"));
            ExitCode::from(2)
        }
    }
}

fn list(arguments: &Arguments) -> Result<(), String> {
    let profiles = library::load(arguments.cases.as_deref(), &arguments.profile)
        .map_err(|error| error.to_string())?;
    let text = if arguments.markdown {
        listing::markdown(&profiles)
    } else {
        listing::text(&profiles)
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .map_err(|error| format!("standard output: {error}"))
}

async fn run(arguments: &Arguments) -> Result<Report, String> {
    let options = options(arguments);
    let report = play_telling(&options, &mut Teller::new().tell())
        .await
        .map_err(|error| error.to_string())?;
    if let Some(file) = &arguments.json {
        write(file, &report.to_json().map_err(|error| error.to_string())?)?;
    }
    if let Some(file) = &arguments.report {
        write(file, &audit::document(&report))?;
    }
    if let Some(file) = &arguments.junit {
        write(file, &junit::document(&report))?;
    }
    let mut out = std::io::stdout().lock();
    out.write_all(terminal::text(&report, true).as_bytes())
        .map_err(|error| format!("standard output: {error}"))?;
    Ok(report)
}

fn options(arguments: &Arguments) -> Options {
    Options {
        profiles: arguments.profile.clone(),
        only: arguments.only.clone(),
        features: arguments.features.iter().cloned().collect::<BTreeSet<_>>(),
        mode: match arguments.mode {
            ServerMode::Lenient => Mode::Lenient,
            ServerMode::Strict => Mode::Strict,
        },
        optional: match arguments.optional {
            OptionalCases::Count => Optional::Count,
            OptionalCases::Allow => Optional::Allow,
            OptionalCases::Skip => Optional::Skip,
        },
        variables: arguments.set.iter().cloned().collect::<BTreeMap<_, _>>(),
        cases: arguments.cases.clone(),
        check: arguments.check.clone(),
        refusals: arguments.refusals.clone(),
        groups: arguments.group.clone(),
        keep: arguments.keep,
        timeout: Duration::from_secs(arguments.timeout),
        ..Options::new(
            arguments.url.clone().unwrap_or_default(),
            arguments.token.clone().unwrap_or_default(),
        )
    }
}

/// Progress on standard error: one line that moves on a terminal, else plain lines.
struct Teller {
    moving: bool,
    cases: usize,
    done: usize,
    failed: usize,
}

impl Teller {
    fn new() -> Self {
        Self {
            moving: std::io::stderr().is_terminal(),
            cases: 0,
            done: 0,
            failed: 0,
        }
    }

    fn tell(mut self) -> impl FnMut(Progress<'_>) + Send {
        move |progress| match progress {
            Progress::ProfileStarted { cases, .. } => {
                (self.cases, self.done, self.failed) = (cases, 0, 0);
            }
            Progress::CaseDone { profile, case } => {
                self.done += 1;
                self.failed += usize::from(matches!(
                    case.outcome,
                    conformance::report::Outcome::Failed(_)
                ));
                if self.moving {
                    let line = format!(
                        "{profile} {}/{} ({} failed) {}",
                        self.done, self.cases, self.failed, case.name
                    );
                    show(&format!("\r\u{1b}[K{line:.100}"));
                }
            }
            Progress::ProfileDone(profile) => {
                if self.moving {
                    show("\r\u{1b}[K");
                }
                say(&terminal::profile_line(profile));
            }
        }
    }
}

fn feature(text: &str) -> Result<String, String> {
    if FEATURES.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("there are: {}", FEATURES.join(", ")))
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "give NAME=VALUE".to_owned())
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn say(line: &str) {
    show(&format!("{line}\n"));
}

/// A closed standard error is no reason to stop.
fn show(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
