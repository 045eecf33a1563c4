//! One profile in play: what is known by name, what is missing, what was made.
//! Each case is filled, sent, compared and remembered here; which cases are
//! played at all is decided in `play`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::case::Case;
use crate::exchange::{Answer, ExchangeError, Outgoing, Wire};
use crate::json_path;
use crate::library::Profile;
use crate::matching::differences;
use crate::play::{Optional, Options, PlayError, Progress, placeholders};
use crate::redact::Secrets;
use crate::report::{CaseReport, Failure, Outcome, ProfileReport};
use crate::template::Variables;

/// The state of one profile in play.
pub(crate) struct Player<'a> {
    pub(crate) options: &'a Options,
    pub(crate) wire: &'a Wire,
    profile: &'a Profile,
    pub(crate) secrets: Secrets,
    pub(crate) variables: Variables,
    /// Variable to the case that should have given it and did not.
    missing: BTreeMap<String, Blocker>,
    /// Paths of what the cases made, in order.
    pub(crate) made: Vec<String>,
    pub(crate) notes: Vec<String>,
}

#[derive(Clone)]
struct Blocker {
    case: String,
    skipped: bool,
}

impl<'a> Player<'a> {
    pub(crate) fn new(
        options: &'a Options,
        wire: &'a Wire,
        profile: &'a Profile,
        run: &str,
    ) -> Self {
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

    pub(crate) async fn play(
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
}

fn one_of(statuses: &[u16]) -> String {
    statuses
        .iter()
        .map(u16::to_string)
        .collect::<Vec<_>>()
        .join(" or ")
}
