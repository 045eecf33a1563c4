//! One case in play: the steps before it, the exchange that it is about, the
//! look at what became of it, and the other outcomes that its source leaves
//! open. The exchange is sent once, whatever it is compared with.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::case::{Case, Expect, Request, Step};
use crate::exchange::{Answer, ExchangeError, Outgoing};
use crate::judging::{self, found_at};
use crate::play::Optional;
use crate::player::Player;
use crate::report::{Failure, Outcome};

/// Following pages are asked for so often at most.
const MOST_PAGES: usize = 200;
/// Variable to place in the answer.
type Save = BTreeMap<String, String>;

impl Player<'_> {
    pub(crate) async fn outcome(&mut self, case: &Case) -> Outcome {
        if let Some(reason) = self.reason_to_skip(case) {
            return Outcome::Skipped { reason };
        }
        self.refused = None;
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
                return self.judged(case, failure).await;
            }
        }
        match self.checked(case).await {
            Ok(()) => Outcome::Passed,
            Err(found) => Outcome::Failed(Box::new(Failure::new(vec![found], &case.expect.notes))),
        }
    }

    async fn judged(&mut self, case: &Case, failure: Failure) -> Outcome {
        if let Some(detail) = self.refused.clone() {
            return match self.stand_in(case).await {
                Ok(rest) => Outcome::Skipped {
                    reason: format!("the application cannot do it: {detail}{rest}"),
                },
                Err(failure) => Outcome::Failed(Box::new(failure)),
            };
        }
        if let Some(reason) = self.is_there_still(case) {
            return Outcome::Skipped { reason };
        }
        if case.optional && self.options.optional == Optional::Allow {
            let why = failure.differences.join("; ");
            return Outcome::Skipped {
                reason: format!("optional, and the server does otherwise: {why}"),
            };
        }
        Outcome::Failed(Box::new(failure))
    }

    async fn once(&mut self, case: &Case) -> Result<(), Failure> {
        for (index, step) in case.given.iter().enumerate() {
            let what = format!("given, step {}: ", index + 1);
            self.step(step, &what)
                .await
                .map_err(|failure| failure.noting(&case.expect.notes))?;
        }
        let (request, answer) = match self.send(&case.request).await {
            Ok(exchange) => exchange,
            Err(failure) => return Err(self.unsent(case, failure)),
        };
        let main = (&case.expect, &case.save, case.then.as_slice());
        let Err(mut failure) = self.follow(main, &request, &answer).await else {
            return Ok(());
        };
        for other in &case.or {
            let other = (&other.expect, &case.save, other.then.as_slice());
            if self.follow(other, &request, &answer).await.is_ok() {
                return Ok(());
            }
        }
        if !case.or.is_empty() {
            failure
                .differences
                .push(format!("nor any of {} other outcomes", case.or.len()));
        }
        Err(failure.noting(&case.expect.notes))
    }

    /// Compares the answer, and then what is seen afterwards.
    pub(crate) async fn follow(
        &mut self,
        (expect, save, then): (&Expect, &Save, &[Step]),
        request: &Outgoing,
        answer: &Answer,
    ) -> Result<(), Failure> {
        let mut differing = self.compare(expect, answer);
        if differing.is_empty() {
            differing = self.keep(save, answer);
        }
        if !differing.is_empty() {
            return Err(self.failure(differing, request, answer));
        }
        for (index, step) in then.iter().enumerate() {
            self.step(step, &format!("then, step {}: ", index + 1))
                .await?;
        }
        Ok(())
    }

    /// A step that goes wrong is named in every difference.
    pub(crate) async fn step(&mut self, step: &Step, what: &str) -> Result<(), Failure> {
        if step.pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(step.pause_ms)).await;
        }
        let (request, answer) = self.send(&step.request).await.map_err(|f| f.within(what))?;
        let mut differing = self.compare(&step.expect, &answer);
        if differing.is_empty() {
            differing = self.keep(&step.save, &answer);
        }
        if differing.is_empty() {
            return Ok(());
        }
        Err(self.failure(differing, &request, &answer).within(what))
    }

    pub(crate) async fn send(&mut self, request: &Request) -> Result<(Outgoing, Answer), Failure> {
        let outgoing = self
            .wire
            .prepare(request, &self.variables)
            .map_err(|error| Failure::new(vec![error.to_string()], ""))?;
        let sent = match self.wire.send(&outgoing).await {
            Ok(answer) if request.pages => self.pages(request, answer).await,
            sent => sent,
        };
        match sent {
            Ok(answer) => {
                self.note_made(&outgoing, &answer);
                self.note_refused(&answer);
                Ok((outgoing, answer))
            }
            Err(error) => Err(Failure {
                request: Some(outgoing.shown(&self.secrets)),
                ..Failure::new(vec![error.to_string()], "")
            }),
        }
    }

    /// Joins the `Resources` of the following pages to the first.
    async fn pages(&mut self, request: &Request, first: Answer) -> Result<Answer, ExchangeError> {
        let mut joined = first.json().unwrap_or_default();
        let mut request = request.clone();
        for _ in 0..MOST_PAGES {
            let there = joined["Resources"].as_array().map_or(0, Vec::len) as u64;
            if first.status != 200 || there >= joined["totalResults"].as_u64().unwrap_or(0) {
                break;
            }
            let start = there + 1;
            if let Some(body) = &mut request.body {
                body["startIndex"] = json!(start);
            } else {
                let start = json!(start.to_string());
                request.query.insert("startIndex".into(), start);
            }
            let next = self.wire.prepare(&request, &self.variables)?;
            let mut page = self.wire.send(&next).await?.json().unwrap_or_default();
            let (Some(all), Some(more)) = (
                joined["Resources"].as_array_mut(),
                page["Resources"].as_array_mut(),
            ) else {
                break;
            };
            if more.is_empty() {
                break;
            }
            all.append(more);
        }
        Ok(Answer {
            body: match first.status {
                200 => joined.to_string().into_bytes(),
                _ => first.body.clone(),
            },
            ..first
        })
    }

    fn unsent(&self, case: &Case, failure: Failure) -> Failure {
        match self.blocker(case) {
            Some((name, blocker)) if failure.request.is_none() => Failure::new(
                vec![format!(
                    "not played: {name} should have come from {}, which failed",
                    blocker.case
                )],
                &case.expect.notes,
            ),
            _ => failure.noting(&case.expect.notes),
        }
    }

    pub(crate) fn compare(&self, expect: &Expect, answer: &Answer) -> Vec<String> {
        let differing = judging::differing(expect, answer, &self.variables);
        let struck = differing.iter().map(|text| self.secrets.text(text));
        struck.collect()
    }

    /// Takes the values that later steps need; what is not there is a failure.
    pub(crate) fn keep(&mut self, save: &Save, answer: &Answer) -> Vec<String> {
        let body = answer.json();
        let mut differing = Vec::new();
        for (name, path) in save {
            match found_at(path, answer, body.as_ref()) {
                Some(value) => self.variables.save(name, value),
                None => differing.push(format!(
                    "body.{path}: expected a value to keep as {name}, found nothing"
                )),
            }
        }
        differing
    }

    fn failure(&self, differences: Vec<String>, request: &Outgoing, answer: &Answer) -> Failure {
        Failure {
            request: Some(request.shown(&self.secrets)),
            answer: Some(answer.shown(&self.secrets)),
            ..Failure::new(differences, "")
        }
    }

    /// Runs the command that looks behind the server.
    async fn checked(&self, case: &Case) -> Result<(), String> {
        let Some(check) = self.options.check.clone().filter(|_| case.writes()) else {
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
}
