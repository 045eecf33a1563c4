//! The application itself: what it has, what it was sent, and how it fails.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::Value;

use super::{UPSTREAM_TOKEN, World};

/// The longest convergence may take where a test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    /// Fills the application with what a company has.
    pub async fn seed(&self, company: Value) {
        self.control(Method::POST, "seed", Some(company)).await;
    }

    async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self
            .hand
            .request(method, format!("{}/_simulator/{path}", self.upstream));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the simulator answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or(Value::Null)
    }

    /// Does something in the application itself, behind the bridge's back.
    pub async fn as_administrator(&self, method: &str, path: &str, body: Value) -> Value {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .hand
            .request(method, format!("{}{path}", self.upstream));
        if path.starts_with("/rest/") {
            // Snyk takes nothing else.
            request = request.header("content-type", "application/vnd.api+json");
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.bearer_auth(UPSTREAM_TOKEN).send().await;
        let answer = answer.expect("the simulator answers");
        let status = answer.status();
        let said = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {status} {said}");
        serde_json::from_str(&said).unwrap_or(Value::Null)
    }

    /// Every call since the log was emptied, oldest first.
    pub async fn calls(&self) -> Vec<Value> {
        let mut calls: Vec<Value> = Vec::new();
        loop {
            let last = calls
                .last()
                .map_or(0, |call| call["sequence"].as_u64().unwrap());
            let page = format!("calls?since={last}");
            let page = self.control(Method::GET, &page, None).await;
            match page.as_array() {
                Some(page) if page.is_empty() => return calls,
                Some(page) => calls.extend(page.iter().cloned()),
                None => panic!("no call log in {page}"),
            }
        }
    }

    /// Empties the log, which must be as the application documents.
    pub async fn forget_calls(&self) {
        let wrong = self.complaints();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        self.overlook().await;
    }

    /// What of the log is not as documented.
    pub fn complaints(&self) -> Vec<String> {
        self.simulator.complaints()
    }

    /// Empties the log of calls that were wrong on purpose.
    pub async fn overlook(&self) {
        self.control(Method::DELETE, "calls", None).await;
    }

    /// The application's address.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The calls that `act` caused.
    pub async fn calls_of<T>(&self, act: impl Future<Output = T>) -> (T, Vec<Value>) {
        self.forget_calls().await;
        let done = act.await;
        (done, self.calls().await)
    }

    pub async fn faults(&self, faults: Value) {
        self.control(Method::PUT, "faults", Some(faults)).await;
    }

    pub async fn state(&self) -> Value {
        self.control(Method::GET, "state", None).await
    }

    /// The e-mails in an upstream group, `None` when there is no such group.
    pub async fn upstream_members(&self, name: &str) -> Option<BTreeSet<String>> {
        let state = self.state().await;
        let groups = state["groups"].as_array().expect("groups").clone();
        let group = groups.into_iter().find(|g| g["name"] == name)?;
        let members = group["members"].as_array().expect("members").clone();
        Some(
            members
                .iter()
                .map(|m| m.as_str().expect("an e-mail").to_owned())
                .collect(),
        )
    }

    /// Waits until an upstream group has exactly these members.
    pub async fn until_upstream_has(&self, name: &str, expected: &BTreeSet<String>) {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.upstream_members(name).await.unwrap_or_default();
            if now == *expected {
                return;
            }
            let missing: Vec<_> = expected.difference(&now).take(5).collect();
            let extra: Vec<_> = now.difference(expected).take(5).collect();
            assert!(
                Instant::now() < end,
                "{name}: missing {missing:?}, too many {extra:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
