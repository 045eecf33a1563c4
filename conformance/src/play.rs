//! Plays profiles against a server, one case after the other as an identity
//! provider would, and reports what differed. What to play is chosen here; how
//! one profile is played is in `player`, what is made and removed around it in
//! `ground`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use crate::case::Case;
use crate::exchange::{ExchangeError, Wire};
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
    pub optional: Optional,
    /// Variables that replace those of `variables.json`.
    pub variables: BTreeMap<String, String>,
    /// A folder of cases in place of the built-in ones.
    pub cases: Option<PathBuf>,
    /// A shell command run after each passed case that writes, which fails when
    /// it does; for looking behind the server. `CASE` in its environment is the name.
    pub check: Option<String>,
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
            optional: Optional::default(),
            variables: BTreeMap::new(),
            cases: None,
            check: None,
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
    let mut report = Report {
        url: options.url.clone(),
        run: run.clone(),
        profiles: Vec::new(),
    };
    for (profile, names) in selected {
        let played = Player::new(options, &wire, &profile, &run)
            .play(&names, tell)
            .await?;
        tell(Progress::ProfileDone(&played));
        report.profiles.push(played);
    }
    Ok(report)
}

/// Every placeholder that the requests and expectations of a case name.
pub fn placeholders(case: &Case) -> Vec<String> {
    let request = &case.request;
    let mut templates: Vec<Value> = vec![Value::from(request.path.as_str())];
    templates.extend(request.raw_query.as_deref().map(Value::from));
    templates.push(Value::Object(request.query.clone()));
    templates.extend(
        request
            .headers
            .values()
            .map(|value| Value::from(value.as_str())),
    );
    templates.extend(request.body.clone());
    templates.extend(request.raw_body.as_deref().map(Value::from));
    templates.extend(
        request
            .form
            .iter()
            .flatten()
            .map(|(_, value)| Value::from(value.as_str())),
    );
    templates.extend(
        case.expect
            .headers
            .values()
            .map(|value| Value::from(value.as_str())),
    );
    templates.extend(case.expect.body.clone());
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
