//! Sending one request as an identity provider would, and showing what the
//! application received for it.

use std::time::{Duration, Instant};

use reqwest::{Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    Failed, Screen, Tone,
    brief::{self, Room},
};
use crate::simulator::{Call, Simulator};

/// Letters shown of one request or call, a little more or less.
const LETTERS: usize = 240;

/// How an identity provider presents its token.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scheme {
    Bearer,
    /// Okta's header mode sends the bare token.
    Bare,
}

/// One request and what is expected of it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) says: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) status: u16,
    /// Upstream calls it may cost.
    pub(super) calls: usize,
}

/// What came of the whole play.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Score {
    pub(super) requests: usize,
    pub(super) calls: usize,
    pub(super) failures: usize,
}

/// A play under way.
pub(super) struct Play<'s> {
    screen: Screen,
    http: reqwest::Client,
    base: String,
    token: SecretString,
    scheme: Scheme,
    pub(super) simulator: &'s Simulator,
    score: Score,
}

impl<'s> Play<'s> {
    pub(super) fn new(
        screen: Screen,
        base: String,
        token: SecretString,
        simulator: &'s Simulator,
    ) -> Result<Self, Failed> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            screen,
            http,
            base,
            token,
            scheme: Scheme::Bearer,
            simulator,
            score: Score::default(),
        })
    }

    /// From here on the requests are those of another identity provider.
    pub(super) fn enter(&mut self, who: &str, scheme: Scheme) {
        self.scheme = scheme;
        Screen::blank();
        self.screen.line(Tone::Heading, who);
    }

    /// Sends it, shows it, checks it; the answer's body, or null.
    pub(super) async fn step(&mut self, step: Step) -> Value {
        self.simulator.forget_calls();
        self.score.requests += 1;
        Screen::blank();
        let number = format!("{:>2}. ", self.score.requests);
        self.screen.paragraph(Tone::Plain, &number, &step.says);
        let line = line_of(
            step.method.as_str(),
            &step.path,
            step.body.as_ref(),
            Room::REQUEST,
        );
        self.screen
            .in_brief(LETTERS, Tone::Quiet, "    SCIM      ", &line);
        let started = Instant::now();
        let (status, body) = match self.send(&step).await {
            Ok(answer) => answer,
            Err(error) => {
                self.fail(&format!("no answer: {error}"));
                return Value::Null;
            }
        };
        let took = started.elapsed();
        let calls = self.simulator.calls();
        self.score.calls += calls.len();
        self.show(&calls, status, took);
        self.check(&step, status, &calls, &body);
        body
    }

    /// An expectation about what is there now.
    pub(super) fn require(&mut self, met: bool, otherwise: &str) {
        if !met {
            self.fail(otherwise);
        }
    }

    /// The members of a group in the application, as it has them.
    pub(super) fn members_upstream(&self, group: &str) -> Option<Vec<String>> {
        let state = self.simulator.state();
        let group = state.groups.into_iter().find(|there| there.name == group)?;
        Some(group.members)
    }

    pub(super) fn end(self) -> Score {
        self.score
    }

    async fn send(&self, step: &Step) -> Result<(u16, Value), reqwest::Error> {
        let token = self.token.expose_secret();
        let authorization = match self.scheme {
            Scheme::Bearer => format!("Bearer {token}"),
            Scheme::Bare => token.to_owned(),
        };
        let mut request = self
            .http
            .request(step.method.clone(), format!("{}{}", self.base, step.path))
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/scim+json");
        if let Some(body) = &step.body {
            request = request
                .header(header::CONTENT_TYPE, "application/scim+json; charset=utf-8")
                .body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    fn show(&self, calls: &[Call], status: u16, took: Duration) {
        for call in calls {
            let line = line_of(&call.method, &call.path, Some(&call.json()), Room::CALL);
            self.screen
                .in_brief(LETTERS, Tone::Good, "    upstream  ", &line);
        }
        if calls.is_empty() {
            self.screen.line(Tone::Good, "    upstream  no call");
        }
        let line = format!("    answer    {status}, {} ms", took.as_millis());
        self.screen.line(Tone::Quiet, &line);
    }

    fn check(&mut self, step: &Step, status: u16, calls: &[Call], body: &Value) {
        if status != step.status {
            let detail = body
                .get("detail")
                .and_then(Value::as_str)
                .unwrap_or_default();
            self.fail(&format!(
                "expected status {}, not {status}. {detail}",
                step.status
            ));
        }
        if calls.len() != step.calls {
            self.fail(&format!(
                "expected {} upstream calls, not {}",
                step.calls,
                calls.len()
            ));
        }
        for call in calls
            .iter()
            .filter(|call| !matches!(call.status, Some(200..=299)))
        {
            self.fail(&format!(
                "{} {} was answered {}",
                call.method,
                call.path,
                call.status
                    .map_or("nothing".to_owned(), |status| status.to_string())
            ));
        }
    }

    fn fail(&mut self, text: &str) {
        self.score.failures += 1;
        self.screen.paragraph(Tone::Bad, "    FAILED    ", text);
    }
}

fn line_of(method: &str, path: &str, body: Option<&Value>, room: Room) -> String {
    let line = format!("{method} {}", brief::short_ids(&readable(path)));
    match body {
        None | Some(Value::Null) => line,
        Some(body) => format!("{line} {}", brief::of(body, room)),
    }
}

/// The few encodings that hide what a filter says.
fn readable(path: &str) -> String {
    path.replace("%20", " ")
        .replace("%22", "\"")
        .replace("%40", "@")
}
