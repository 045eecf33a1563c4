//! One profile in play: what is known by name, what is missing, what was made.
//! Which cases are played at all is decided in `play`; how one of them is sent
//! and compared is in `attempt`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::Value;

use crate::case::Case;
use crate::exchange::{Answer, Outgoing, Wire};
use crate::features::Features;
use crate::library::Profile;
use crate::play::{FEATURES, LIMITS, Optional, Options, PlayError, Progress, placeholders};
use crate::redact::Secrets;
use crate::report::{CaseReport, Outcome, ProfileReport};
use crate::standing::Standing;
use crate::template::{Variables, percent_encode};

/// The state of one profile in play.
pub(crate) struct Player<'a> {
    pub(crate) options: &'a Options,
    pub(crate) wire: &'a Wire,
    features: &'a Features,
    profile: &'a Profile,
    pub(crate) secrets: Secrets,
    pub(crate) variables: Variables,
    /// Variable to the case that should have given it and did not.
    missing: BTreeMap<String, Blocker>,
    /// Paths of what the cases made, in order.
    pub(crate) made: Vec<String>,
    pub(crate) notes: Vec<String>,
    /// What the case in play was told that cannot be done.
    pub(crate) refused: Option<String>,
    /// What stands in for what the application does not make or delete.
    pub(crate) standing: Standing,
}

#[derive(Clone)]
pub(crate) struct Blocker {
    pub(crate) case: String,
    skipped: bool,
}

impl<'a> Player<'a> {
    pub(crate) fn new(
        options: &'a Options,
        wire: &'a Wire,
        features: &'a Features,
        profile: &'a Profile,
        run: &str,
    ) -> Self {
        let mut variables = Variables::default();
        features.fill(&mut variables);
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
            features,
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
            refused: None,
            standing: Standing::of(&options.groups),
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
        let mut set_up: Option<&str> = None;
        let profile = self.profile;
        for (index, (file, case)) in profile.cases.iter().enumerate() {
            if !names.contains(&case.name) {
                continue;
            }
            if set_up.replace(file) != Some(file) {
                self.set_up(file).await;
            }
            self.variables.set("unique", format!("{{{{run}}}}-{index}"));
            let done = self.case(file, case).await;
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

    async fn case(&mut self, file: &str, case: &Case) -> CaseReport {
        let begun = Instant::now();
        let before = self.made.len();
        let outcome = self.outcome(case).await;
        if case.alone {
            self.forget(before).await;
        }
        self.remember_missing(case, &outcome);
        CaseReport {
            name: case.name.clone(),
            file: file.to_owned(),
            source: case.source.clone(),
            says: case.says.clone(),
            request: format!("{} {}", case.request.method, case.request.path),
            confidence: case.confidence,
            kind: case.kind,
            checks: case.weight(),
            took: begun.elapsed(),
            outcome,
        }
    }

    /// What goes wrong here shows in the cases that need what it should have given.
    async fn set_up(&mut self, file: &str) {
        let profile = self.profile;
        let steps = profile.setups.get(file).map_or(&[][..], Vec::as_slice);
        for (index, step) in steps.iter().enumerate() {
            self.variables
                .set("unique", format!("{{{{run}}}}-setup-{index}"));
            self.refused = None;
            let Err(failure) = self.step(step, "").await else {
                continue;
            };
            let what = format!("setup step {} of {file}", index + 1);
            self.notes
                .push(format!("{what}: {}", failure.differences.join("; ")));
            for name in step.save.keys() {
                let blocker = Blocker {
                    case: what.clone(),
                    skipped: self.refused.is_some(),
                };
                self.missing.insert(name.clone(), blocker);
            }
        }
    }

    pub(crate) fn reason_to_skip(&self, case: &Case) -> Option<String> {
        if let Some(mode) = case.mode.filter(|mode| *mode != self.options.mode) {
            return Some(format!(
                "for servers that are {}; --mode says otherwise",
                mode.word()
            ));
        }
        if let Some(reason) = case.requires.iter().find_map(|name| self.lacks(name)) {
            return Some(reason);
        }
        if case.optional && self.options.optional == Optional::Skip {
            return Some("optional, and --optional skip was given".into());
        }
        let names = placeholders(case);
        let unlimited =
            |name: &&String| LIMITS.contains(&name.as_str()) && !self.variables.has(name);
        if let Some(limit) = names.iter().find(unlimited) {
            return Some(format!("ServiceProviderConfig states no {limit} to try"));
        }
        let (name, blocker) = self.blocker(case)?;
        blocker
            .skipped
            .then(|| format!("needs {name} from {}, which was skipped", blocker.case))
    }

    /// Why a feature is taken to be missing.
    fn lacks(&self, feature: &str) -> Option<String> {
        if self.options.features.contains(feature) {
            None
        } else if FEATURES.contains(&feature) {
            Some(format!("requires {feature}, which is not among --features"))
        } else {
            let reason = self.features.lacks(feature)?;
            Some(format!("requires {feature}: {reason}"))
        }
    }

    pub(crate) fn blocker(&self, case: &Case) -> Option<(String, &Blocker)> {
        placeholders(case).into_iter().find_map(|name| {
            let blocker = self.missing.get(&name)?;
            Some((name, blocker))
        })
    }

    fn remember_missing(&mut self, case: &Case, outcome: &Outcome) {
        for name in case.save.keys() {
            let name = name.trim_end_matches("[]").to_owned();
            let skipped = match outcome {
                Outcome::Passed => {
                    self.missing.remove(&name);
                    continue;
                }
                Outcome::Skipped { .. } if self.standing.is_given(&name) => {
                    self.missing.remove(&name);
                    continue;
                }
                Outcome::Failed(_) => false,
                Outcome::Skipped { .. } => true,
            };
            let case = case.name.clone();
            self.missing.insert(name, Blocker { case, skipped });
        }
    }

    pub(crate) fn note_made(&mut self, request: &Outgoing, answer: &Answer) {
        if request.method != "POST" || !matches!(answer.status, 200 | 201) {
            return;
        }
        let body = answer.json().unwrap_or_default();
        let url = request.url.split('?').next().unwrap_or_default();
        let collection = ["/Users", "/Groups"]
            .into_iter()
            .find(|end| url.ends_with(end));
        if let (Some(collection), Some(id)) = (collection, body["id"].as_str()) {
            self.made
                .push(format!("{collection}/{}", percent_encode(id)));
        } else if url.ends_with("/Bulk") {
            let operations = body["Operations"].as_array().into_iter().flatten();
            let made = operations
                .filter(|operation| operation["status"] == "201")
                .filter_map(|operation| of_location(&operation["location"]));
            self.made.extend(made);
        }
    }
}

impl Player<'_> {
    /// A refusal is an answer of its own, or one of several in a bulk answer.
    pub(crate) fn note_refused(&mut self, answer: &Answer) {
        let Some(pattern) = &self.options.refusals else {
            return;
        };
        let body = answer.json().unwrap_or_default();
        let parts = body["Operations"].as_array().into_iter().flatten();
        let details = parts
            .map(|part| &part["response"]["detail"])
            .chain([&body["detail"]]);
        let mut details = details.filter_map(Value::as_str);
        if let Some(detail) = details.find(|detail| pattern.is_match(detail)) {
            self.refused = Some(detail.to_owned());
        }
    }
}

/// `/Users/{id}` of a URL.
fn of_location(location: &Value) -> Option<String> {
    let mut parts = location.as_str()?.rsplit('/');
    let id = parts.next()?;
    let collection = parts.next()?;
    matches!(collection, "Users" | "Groups").then(|| format!("/{collection}/{id}"))
}
