//! Plays profiles against a server, one case after the other as an identity
//! provider would, and reports what differed. It knows nothing of any server:
//! what it needs beyond the cases (a first user, clean ground afterwards) it
//! makes through SCIM itself and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;

use crate::case::Case;
use crate::exchange::{Answer, ExchangeError, Outgoing, Wire};
use crate::json_path;
use crate::library::{self, LibraryError, Profile};
use crate::matching::differences;
use crate::redact::Secrets;
use crate::report::{CaseReport, Failure, Outcome, ProfileReport, Report};
use crate::template::{Variables, names_in};

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

/// The state of one profile in play.
struct Player<'a> {
    options: &'a Options,
    wire: &'a Wire,
    profile: &'a Profile,
    secrets: Secrets,
    variables: Variables,
    /// Variable to the case that should have given it and did not.
    missing: BTreeMap<String, Blocker>,
    /// Paths of what the cases made, in order.
    made: Vec<String>,
    notes: Vec<String>,
}

#[derive(Clone)]
struct Blocker {
    case: String,
    skipped: bool,
}

impl<'a> Player<'a> {
    fn new(options: &'a Options, wire: &'a Wire, profile: &'a Profile, run: &str) -> Self {
        let mut variables = Variables::default();
        for (name, value) in &profile.variables {
            variables.set(name, value.clone());
        }
        variables.set("run", run);
        variables.set("token", options.token.as_str());
        variables.set("auth", format!("Bearer {}", options.token));
        for (name, value) in &options.variables {
            variables.set(name, value.as_str());
        }
        let secrets = options
            .variables
            .iter()
            .filter(|(name, _)| name.contains("secret") || name.contains("token"));
        Self {
            options,
            wire,
            profile,
            secrets: Secrets::new(
                secrets
                    .map(|(_, value)| value.clone())
                    .chain([options.token.clone()]),
            ),
            variables,
            missing: BTreeMap::new(),
            made: Vec::new(),
            notes: Vec::new(),
        }
    }

    async fn play(
        mut self,
        names: &BTreeSet<String>,
        tell: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<ProfileReport, PlayError> {
        let started = Instant::now();
        tell(Progress::ProfileStarted {
            name: &self.profile.name,
            cases: names.len(),
        });
        let seed = self.seed().await?;
        let mut cases = Vec::with_capacity(names.len());
        for (file, case) in self
            .profile
            .cases
            .iter()
            .filter(|(_, case)| names.contains(&case.name))
        {
            let begun = Instant::now();
            let outcome = self.outcome(case).await;
            self.remember_missing(case, &outcome);
            let done = CaseReport {
                name: case.name.clone(),
                file: file.clone(),
                source: case.source.clone(),
                confidence: case.confidence,
                kind: case.kind,
                took: begun.elapsed(),
                outcome,
            };
            tell(Progress::CaseDone {
                profile: &self.profile.name,
                case: &done,
            });
            cases.push(done);
        }
        self.tidy(seed).await;
        Ok(ProfileReport {
            name: self.profile.name.clone(),
            notes: self.notes,
            cases,
            took: started.elapsed(),
        })
    }

    async fn outcome(&mut self, case: &Case) -> Outcome {
        if let Some(reason) = self.reason_to_skip(case) {
            return Outcome::Skipped { reason };
        }
        let times = case.repeat.as_ref().map_or(1, |repeat| repeat.n);
        for turn in 1..=times {
            if let Some(repeat) = &case.repeat {
                self.variables.set(&repeat.r#as, turn);
            }
            if let Err(mut failure) = self.once(case).await {
                if times > 1 {
                    failure
                        .differences
                        .insert(0, format!("in repetition {turn} of {times}:"));
                }
                return self.judged(case, failure);
            }
        }
        match self.checked(case).await {
            Ok(()) => Outcome::Passed,
            Err(found) => Outcome::Failed(Box::new(self.failure(case, vec![found], None, None))),
        }
    }

    /// Runs the command that looks behind the server.
    async fn checked(&self, case: &Case) -> Result<(), String> {
        let reads = matches!(case.request.method.as_str(), "GET" | "HEAD");
        let Some(check) = self.options.check.clone().filter(|_| !reads) else {
            return Ok(());
        };
        let name = case.name.clone();
        let run = move || {
            Command::new("sh")
                .arg("-c")
                .arg(check)
                .env("CASE", name)
                .stdin(Stdio::null())
                .output()
        };
        let output = match tokio::task::spawn_blocking(run).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(format!("check: {error}")),
            Err(error) => return Err(format!("check: {error}")),
        };
        if output.status.success() {
            return Ok(());
        }
        let said = self.secrets.body(&[output.stdout, output.stderr].concat());
        Err(format!("check: {}: {}", output.status, said.trim()))
    }

    fn judged(&self, case: &Case, failure: Failure) -> Outcome {
        if case.optional && self.options.optional == Optional::Allow {
            let why = failure.differences.join("; ");
            return Outcome::Skipped {
                reason: format!("optional, and the server does otherwise: {why}"),
            };
        }
        Outcome::Failed(Box::new(failure))
    }

    fn reason_to_skip(&self, case: &Case) -> Option<String> {
        if let Some(feature) = case
            .requires
            .as_ref()
            .filter(|feature| !self.options.features.contains(*feature))
        {
            return Some(format!("requires {feature}, which is not among --features"));
        }
        if case.optional && self.options.optional == Optional::Skip {
            return Some("optional, and --optional skip was given".into());
        }
        let (name, blocker) = self.blocker(case)?;
        blocker
            .skipped
            .then(|| format!("needs {name} from {}, which was skipped", blocker.case))
    }

    fn blocker(&self, case: &Case) -> Option<(String, &Blocker)> {
        placeholders(case).into_iter().find_map(|name| {
            let blocker = self.missing.get(&name)?;
            Some((name, blocker))
        })
    }

    async fn once(&mut self, case: &Case) -> Result<(), Failure> {
        let request = self
            .wire
            .prepare(case, &self.variables)
            .map_err(|error| self.unsent(case, &error))?;
        let answer = match self.wire.send(&request).await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(self.failure(case, vec![error.to_string()], Some(&request), None));
            }
        };
        self.note_made(&request, &answer);
        let mut differing = self.compare(case, &answer);
        if differing.is_empty() {
            differing = self.keep(case, &answer);
        }
        if differing.is_empty() {
            return Ok(());
        }
        Err(self.failure(case, differing, Some(&request), Some(&answer)))
    }

    fn unsent(&self, case: &Case, error: &ExchangeError) -> Failure {
        let why = match self.blocker(case) {
            Some((name, blocker)) => format!(
                "not played: {name} should have come from {}, which failed",
                blocker.case
            ),
            None => error.to_string(),
        };
        self.failure(case, vec![why], None, None)
    }

    fn compare(&self, case: &Case, answer: &Answer) -> Vec<String> {
        let expect = &case.expect;
        let mut differing = Vec::new();
        if !expect.status.contains(&answer.status) {
            differing.push(format!(
                "status: expected {}, found {}",
                one_of(&expect.status),
                answer.status
            ));
        }
        if answer.status == 204 {
            return differing;
        }
        for (name, pattern) in &expect.headers {
            let found = answer
                .headers
                .get(&name.to_ascii_lowercase())
                .map(|value| Value::from(value.as_str()));
            differing.extend(self.differing(
                &format!("header {name}"),
                &Value::from(pattern.as_str()),
                found.as_ref(),
            ));
        }
        if let Some(pattern) = &expect.body {
            match answer.json() {
                Some(body) => differing.extend(self.differing("body", pattern, Some(&body))),
                None if answer.body.is_empty() => {
                    differing.push("body: expected JSON, found nothing".into());
                }
                None => differing.push("body: expected JSON, found something else".into()),
            }
        }
        differing
    }

    fn differing(&self, at: &str, pattern: &Value, actual: Option<&Value>) -> Vec<String> {
        match self.variables.value(pattern) {
            Ok(pattern) => differences(at, &pattern, actual)
                .iter()
                .map(|difference| self.secrets.text(&difference.to_string()))
                .collect(),
            Err(error) => vec![format!("{at}: {error}")],
        }
    }

    /// Takes the values that later cases need; what is not there is a failure.
    fn keep(&mut self, case: &Case, answer: &Answer) -> Vec<String> {
        let body = answer.json().unwrap_or_default();
        let mut differing = Vec::new();
        for (name, path) in &case.save {
            match json_path::find(&body, path) {
                Some(value) => self.variables.save(name, value.clone()),
                None => differing.push(format!(
                    "body.{path}: expected a value to keep as {name}, found nothing"
                )),
            }
        }
        differing
    }

    fn remember_missing(&mut self, case: &Case, outcome: &Outcome) {
        for name in case.save.keys() {
            let name = name.trim_end_matches("[]").to_owned();
            match outcome {
                Outcome::Passed => {
                    self.missing.remove(&name);
                }
                Outcome::Failed(_) => {
                    self.missing.insert(
                        name,
                        Blocker {
                            case: case.name.clone(),
                            skipped: false,
                        },
                    );
                }
                Outcome::Skipped { .. } => {
                    self.missing.insert(
                        name,
                        Blocker {
                            case: case.name.clone(),
                            skipped: true,
                        },
                    );
                }
            }
        }
    }

    fn failure(
        &self,
        case: &Case,
        differences: Vec<String>,
        request: Option<&Outgoing>,
        answer: Option<&Answer>,
    ) -> Failure {
        Failure {
            differences,
            notes: case.expect.notes.clone(),
            request: request.map(|request| request.shown(&self.secrets)),
            answer: answer.map(|answer| answer.shown(&self.secrets)),
        }
    }

    fn note_made(&mut self, request: &Outgoing, answer: &Answer) {
        let Some(collection) = ["/Users", "/Groups"]
            .into_iter()
            .find(|end| request.url.ends_with(end))
        else {
            return;
        };
        if request.method == "POST" && answer.status == 201 {
            let body = answer.json().unwrap_or_default();
            if let Some(id) = body.get("id").and_then(Value::as_str) {
                self.made.push(format!(
                    "{collection}/{}",
                    crate::template::percent_encode(id)
                ));
            }
        }
    }

    /// Okta's own suite reads the first user of the tenant and expects it to be
    /// complete, so a tenant without one is given one.
    async fn seed(&mut self) -> Result<Option<String>, PlayError> {
        let token = self.options.token.as_str();
        let first = self
            .wire
            .plain("GET", "/Users?startIndex=1&count=1", token, None)
            .await?;
        if matches!(first.status, 401 | 403) {
            return Err(PlayError::Refused(first.status));
        }
        let body = first.json().unwrap_or_default();
        if body.pointer("/Resources/0").is_some_and(complete) {
            return Ok(None);
        }
        let name = self
            .variables
            .text("seed.{{run}}@example.com")
            .map_err(ExchangeError::from)?;
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": name,
            "externalId": format!("seed-{name}"),
            "name": {"givenName": "Seed", "familyName": "User"},
            "displayName": "Seed User",
            "emails": [{"value": name, "type": "work", "primary": true}],
            "active": true
        });
        let answer = self
            .wire
            .plain("POST", "/Users", token, Some(&user))
            .await?;
        let id = answer
            .json()
            .and_then(|body| Some(body.get("id")?.as_str()?.to_owned()));
        let Some(id) = id.filter(|_| answer.status == 201) else {
            let body = self.secrets.body(&answer.body);
            self.notes.push(format!(
                "no seed user: POST /Users answered {}: {body}",
                answer.status
            ));
            return Ok(None);
        };
        self.notes.push(format!(
            "seed user {name} made, because no complete first user was there"
        ));
        Ok(Some(format!(
            "/Users/{}",
            crate::template::percent_encode(&id)
        )))
    }

    /// Deletes what the cases left behind, newest first, and then the seed user.
    async fn tidy(&mut self, seed: Option<String>) {
        if self.options.keep {
            return;
        }
        let paths: Vec<String> = self.made.drain(..).rev().chain(seed).collect();
        let mut removed = 0;
        for path in paths {
            match self
                .wire
                .plain("DELETE", &path, &self.options.token, None)
                .await
            {
                Ok(answer) if matches!(answer.status, 200 | 204) => removed += 1,
                Ok(answer) if answer.status == 404 => {}
                Ok(answer) => self.notes.push(format!(
                    "left behind: DELETE {path} answered {}",
                    answer.status
                )),
                Err(error) => self
                    .notes
                    .push(format!("left behind: DELETE {path}: {error}")),
            }
        }
        if removed > 0 {
            self.notes
                .push(format!("{removed} resources removed afterwards"));
        }
    }
}

fn complete(user: &Value) -> bool {
    let filled = |pointer: &str| {
        user.pointer(pointer)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    [
        "/id",
        "/userName",
        "/name/givenName",
        "/name/familyName",
        "/emails/0/value",
    ]
    .into_iter()
    .all(filled)
        && user.get("active").is_some_and(Value::is_boolean)
}

fn one_of(statuses: &[u16]) -> String {
    statuses
        .iter()
        .map(u16::to_string)
        .collect::<Vec<_>>()
        .join(" or ")
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
