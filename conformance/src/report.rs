//! What a run found, as values: the terminal, JSON and `JUnit` forms are made
//! from these alone. Requests and answers in it are already redacted.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::case::{Confidence, Kind, Mode};
use crate::exchange::Shown;

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub url: String,
    /// The random token in every name this run made.
    pub run: String,
    /// Seconds since 1970 when it began.
    pub began: u64,
    pub mode: Mode,
    /// What the server says that it has.
    pub features: Vec<String>,
    /// Its `Server` header.
    pub server: String,
    pub profiles: Vec<ProfileReport>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ProfileReport {
    pub name: String,
    /// What was done around the cases: seeding, tidying, and what failed in it.
    pub notes: Vec<String>,
    pub cases: Vec<CaseReport>,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    pub name: String,
    pub file: String,
    pub source: String,
    /// What passing shows.
    pub says: String,
    /// Method and path, as the case writes them.
    pub request: String,
    pub confidence: Confidence,
    pub kind: Kind,
    /// How many assertions of its source it stands for.
    pub checks: usize,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    Passed,
    Failed(Box<Failure>),
    Skipped { reason: String },
}

/// Everything a reader needs to see why a case failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// One sentence per difference.
    pub differences: Vec<String>,
    /// What the case expects, as its author explains it.
    pub notes: String,
    pub request: Option<Shown>,
    pub answer: Option<Shown>,
}

/// How many cases ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Failure {
    pub fn new(differences: Vec<String>, notes: &str) -> Self {
        Self {
            differences,
            notes: notes.to_owned(),
            request: None,
            answer: None,
        }
    }

    #[must_use]
    pub fn noting(mut self, notes: &str) -> Self {
        notes.clone_into(&mut self.notes);
        self
    }

    /// Says in which step it happened.
    #[must_use]
    pub fn within(mut self, step: &str) -> Self {
        for difference in &mut self.differences {
            difference.insert_str(0, step);
        }
        self
    }
}

impl Report {
    pub fn counts(&self) -> Counts {
        self.profiles
            .iter()
            .map(ProfileReport::counts)
            .fold(Counts::default(), Counts::plus)
    }

    /// Nothing failed, and something was played: a run of nothing proves nothing.
    pub fn success(&self) -> bool {
        let counts = self.counts();
        counts.failed == 0 && counts.passed > 0
    }

    /// The failed cases with the names of their profiles.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &CaseReport, &Failure)> {
        self.profiles.iter().flat_map(|profile| {
            profile.cases.iter().filter_map(|case| match &case.outcome {
                Outcome::Failed(failure) => Some((profile.name.as_str(), case, failure.as_ref())),
                _ => None,
            })
        })
    }

    /// The JSON report.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Whole<'a> {
            counts: Counts,
            #[serde(flatten)]
            report: &'a Report,
        }
        serde_json::to_string_pretty(&Whole {
            counts: self.counts(),
            report: self,
        })
    }
}

impl ProfileReport {
    /// How many assertions of their sources the cases stand for.
    pub fn checks(&self) -> usize {
        self.cases.iter().map(|case| case.checks).sum()
    }

    pub fn counts(&self) -> Counts {
        self.cases.iter().fold(Counts::default(), |counts, case| {
            counts.plus(case.outcome.counts())
        })
    }
}

impl Outcome {
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        match self {
            Self::Passed => counts.passed = 1,
            Self::Failed(_) => counts.failed = 1,
            Self::Skipped { .. } => counts.skipped = 1,
        }
        counts
    }
}

impl Counts {
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

fn seconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}
