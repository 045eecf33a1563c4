//! Plays profiles against a server, one case after the other as an identity
//! provider would, and reports what differed. What to play is chosen here; how
//! one profile is played is in `player`, what is made and removed around it in
//! `ground`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use crate::case::{Case, Expect, Mode, Request};
use crate::exchange::{ExchangeError, Wire};
use crate::features::Features;
use crate::library::{self, LibraryError, Profile};
use crate::player::Player;
use crate::report::{CaseReport, ProfileReport, Report};
use crate::template::names_in;

/// Features that a server is taken to have unless told otherwise.
pub const USUAL_FEATURES: [&str; 3] = ["profile-attributes", "roles", "enterprise-manager"];
/// Every feature that a case may require.
pub const FEATURES: [&str; 6] = [
    "profile-attributes",
    "roles",
    "enterprise-manager",
    "entitlements",
    "oauth",
    "oauth-wif",
];

/// Variables that are there without a case that saves them.
pub const GIVEN: [&str; 6] = ["run", "item", "index", "token", "auth", "unique"];
/// Variables that are there when `ServiceProviderConfig` states the limit.
pub const LIMITS: [&str; 4] = [
    "bulk_operations",
    "over_bulk_operations",
    "bulk_bytes",
    "over_bulk_bytes",
];

/// What to play, and against what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SCIM base URL, for example `http://127.0.0.1:8080/scim/v2`.
    pub url: String,
    pub token: String,
    /// Names of profiles; empty is all of them.
    pub profiles: Vec<String>,
    /// Cases whose name matches; cases that these build on are played before them.
    pub only: Option<regex_lite::Regex>,
    pub features: BTreeSet<String>,
    pub mode: Mode,
    pub optional: Optional,
    /// Variables that replace those of `variables.json`.
    pub variables: BTreeMap<String, String>,
    /// A folder of cases in place of the built-in ones.
    pub cases: Option<PathBuf>,
    /// A shell command run after each passed case that writes, which fails when
    /// it does; for looking behind the server. `CASE` in its environment is the name.
    pub check: Option<String>,
    /// What a server says, in the `detail` of a refusal, that the application
    /// behind it cannot do. A case that fails after it was told so is skipped.
    pub refusals: Option<regex_lite::Regex>,
    /// Names of Groups that are there already, for servers whose application
    /// makes none: one for each refused creation that later cases need.
    pub groups: Vec<String>,
    /// Leave on the server what the cases made there.
    pub keep: bool,
    /// For one request, connecting included.
    pub timeout: Duration,
    /// Bytes of one answer, unpacked.
    pub largest_answer: usize,
}

/// What becomes of cases marked `optional`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Optional {
    /// They count like any other.
    #[default]
    Count,
    /// They are played, and a failure is reported as skipped.
    Allow,
    /// They are not played.
    Skip,
}

/// Why nothing could be played at all.
#[derive(Debug, Error)]
pub enum PlayError {
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error("no case is called like {0}")]
    NothingSelected(String),
    #[error("the server cannot be reached: {0}")]
    Server(#[from] ExchangeError),
    #[error("the server refuses the token: GET /Users answered {0}")]
    Refused(u16),
    #[error("no randomness from the system: {0}")]
    Randomness(String),
}

/// Told while a run goes on.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    ProfileStarted {
        name: &'a str,
        cases: usize,
    },
    CaseDone {
        profile: &'a str,
        case: &'a CaseReport,
    },
    ProfileDone(&'a ProfileReport),
}

impl Options {
    /// Everything at its default: all profiles, the usual features.
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            profiles: Vec::new(),
            only: None,
            features: USUAL_FEATURES.map(str::to_owned).into(),
            mode: Mode::default(),
            optional: Optional::default(),
            variables: BTreeMap::new(),
            cases: None,
            check: None,
            refusals: None,
            groups: Vec::new(),
            keep: false,
            timeout: Duration::from_secs(60),
            largest_answer: 16 * 1024 * 1024,
        }
    }
}

/// Plays everything in silence.
pub async fn play(options: &Options) -> Result<Report, PlayError> {
    play_telling(options, &mut |_| {}).await
}

/// Plays everything and tells how far it is.
pub async fn play_telling(
    options: &Options,
    tell: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Report, PlayError> {
    let profiles = library::load(options.cases.as_deref(), &options.profiles)?;
    let wire = Wire::new(&options.url, options.timeout, options.largest_answer)?;
    let selected: Vec<(Profile, BTreeSet<String>)> = profiles
        .into_iter()
        .map(|profile| {
            let names = selection(&profile, options.only.as_ref());
            (profile, names)
        })
        .filter(|(_, names)| !names.is_empty())
        .collect();
    if selected.is_empty() {
        return Err(PlayError::NothingSelected(
            options
                .only
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
        ));
    }
    let run = random_token()?;
    let features = if selected.iter().any(|(profile, names)| asks(profile, names)) {
        Features::of(&wire, &options.token).await?
    } else {
        Features::default()
    };
    let mut report = Report {
        url: crate::redact::url(&options.url),
        run: run.clone(),
        began: since_1970(),
        mode: options.mode,
        features: features.there().map(str::to_owned).collect(),
        server: features.server.clone(),
        profiles: Vec::new(),
    };
    for (profile, names) in selected {
        let played = Player::new(options, &wire, &features, &profile, &run)
            .play(&names, tell)
            .await?;
        tell(Progress::ProfileDone(&played));
        report.profiles.push(played);
    }
    Ok(report)
}

/// Every placeholder that a case needs from outside.
pub fn placeholders(case: &Case) -> Vec<String> {
    let mut own: BTreeSet<&str> = BTreeSet::new();
    let mut names = Vec::new();
    let mut need = |names_here: Vec<String>, own: &BTreeSet<&str>| {
        let foreign = names_here
            .into_iter()
            .filter(|name| !own.contains(name.as_str()));
        names.extend(foreign);
    };
    for step in &case.given {
        need(mentioned(&step.request, &step.expect), &own);
        own.extend(step.save.keys().map(|name| name.trim_end_matches("[]")));
    }
    need(mentioned(&case.request, &case.expect), &own);
    for other in &case.or {
        need(mentioned(&case.request, &other.expect), &own);
    }
    own.extend(case.save.keys().map(|name| name.trim_end_matches("[]")));
    for step in case
        .then
        .iter()
        .chain(case.or.iter().flat_map(|or| &or.then))
    {
        need(mentioned(&step.request, &step.expect), &own);
        own.extend(step.save.keys().map(|name| name.trim_end_matches("[]")));
    }
    names
}

fn mentioned(request: &Request, expect: &Expect) -> Vec<String> {
    let text = |text: &String| Value::from(text.as_str());
    let mut templates: Vec<Value> = vec![text(&request.path)];
    templates.extend(request.raw_query.iter().map(text));
    templates.push(Value::Object(request.query.clone()));
    templates.extend(request.headers.values().map(text));
    templates.extend(request.body.clone());
    templates.extend(request.raw_body.iter().map(text));
    templates.extend(request.form.iter().flat_map(BTreeMap::values).map(text));
    templates.extend(expect.headers.values().map(text));
    templates.extend(expect.body.clone());
    templates.extend(expect.checks.iter().map(|check| check.1.clone()));
    templates.iter().flat_map(names_in).collect()
}

/// The cases to play: those asked for, and those whose answers they need.
fn selection(profile: &Profile, only: Option<&regex_lite::Regex>) -> BTreeSet<String> {
    let mut chosen = BTreeSet::new();
    let mut needed: BTreeSet<String> = BTreeSet::new();
    for (_, case) in profile.cases.iter().rev() {
        let saves_needed = case
            .save
            .keys()
            .any(|name| needed.contains(name.trim_end_matches("[]")));
        if only.is_none_or(|only| only.is_match(&case.name)) || saves_needed {
            chosen.insert(case.name.clone());
            needed.extend(placeholders(case));
        }
    }
    chosen
}

/// Whether some case depends on what the server says that it has.
fn asks(profile: &Profile, names: &BTreeSet<String>) -> bool {
    let mut cases = profile.cases.iter().map(|(_, case)| case);
    cases.any(|case| {
        names.contains(&case.name)
            && (case
                .requires
                .iter()
                .any(|name| !FEATURES.contains(&name.as_str()))
                || placeholders(case)
                    .iter()
                    .any(|name| LIMITS.contains(&name.as_str())))
    })
}

fn since_1970() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn random_token() -> Result<String, PlayError> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(|error| PlayError::Randomness(error.to_string()))?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect())
}

#[cfg(test)]
#[path = "play_tests.rs"]
mod tests;
