//! How commands reach a running server: by what it left beside its store,
//! which only the user that runs it can read.

use std::{path::PathBuf, time::Duration};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use super::{ConfigFile, Failed};
use crate::{
    config,
    console::{Access, OPERATOR},
};

/// What the server knows itself is answered within that.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// A plan or an approval may look at the application, which takes its time.
const LOOKS_WITHIN: Duration = Duration::from_secs(600);
/// A server that says nothing for so long is stuck, whatever it was asked.
pub(super) const ALIVE: Duration = Duration::from_secs(5);

/// A running server, seen by its operator.
pub(super) struct Server {
    access: Access,
    http: Client,
    within: Duration,
}

/// The store that a configuration names. Nothing else in it needs to be in
/// order for this.
pub(super) fn store(config: &ConfigFile) -> Result<PathBuf, Failed> {
    config::store_file(&config.config).map_err(|problems| Failed::usage(problems.to_string()))
}

impl Server {
    pub(super) fn find(config: &ConfigFile) -> Result<Self, Failed> {
        let store = store(config)?;
        let access = Access::find(&store).map_err(|error| Failed {
            text: format!(
                "{} cannot be read ({error}); run this as the user that runs the server",
                Access::file_of(&store).display()
            ),
            status: 1,
        })?;
        let access = access.ok_or_else(|| not_running(&store))?;
        let http = Client::builder()
            .no_proxy()
            .connect_timeout(ALIVE)
            .build()?;
        let within = ANSWERS_WITHIN;
        Ok(Self {
            access,
            http,
            within,
        })
    }

    /// For what may need the application's answers, as long as the server lives.
    pub(super) fn patient(self) -> Self {
        Self {
            within: LOOKS_WITHIN,
            ..self
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failed> {
        self.ask(Method::GET, path, None).await
    }

    /// `body`: JSON, which the server reads.
    pub(super) async fn post(&self, path: &str, body: Option<String>) -> Result<Value, Failed> {
        self.ask(Method::POST, path, body).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<String>) -> Result<Value, Failed> {
        let open = if method == Method::POST {
            "; what was asked for may be done yet"
        } else {
            ""
        };
        let stuck = |why: &str| Failed {
            text: format!(
                "{}: the server does not answer: it {why}{open}",
                self.access.url
            ),
            status: 1,
        };
        tokio::select! {
            biased;
            answer = self.answer(method, path, body) => answer,
            () = self.falls_silent() => Err(stuck(
                "is stopped, or cannot get on; look at its process and its log, and start it again",
            )),
            () = sleep(self.within) => Err(stuck(
                "lives, and cannot do this, most likely because of its disk; its log tells more",
            )),
        }
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Value, Failed> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.access.url))
            .header(OPERATOR, who())
            .bearer_auth(&self.access.token);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let text = answer
            .text()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        let said = body.get("error").and_then(Value::as_str);
        let text = match (said, status) {
            (_, StatusCode::UNAUTHORIZED) => {
                "the server that is running there is another one; restart it".to_owned()
            }
            (Some(said), _) => said.to_owned(),
            (None, status) => format!("the server answered {status}"),
        };
        Err(Failed { text, status: 1 })
    }

    /// Ends when the server does not even say that it lives.
    async fn falls_silent(&self) {
        let url = format!("{}/livez", self.access.url);
        loop {
            sleep(ALIVE).await;
            let asked = self.http.get(&url).timeout(ALIVE).send().await;
            if asked.is_err() {
                return;
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failed {
        let why = if error.is_connect() {
            "nobody answers there; the server has most likely ended: start it with `drawbridge serve`"
        } else {
            "the answer did not come"
        };
        Failed {
            text: format!("{}: {why}", self.access.url),
            status: 1,
        }
    }
}

fn not_running(store: &std::path::Path) -> Failed {
    Failed {
        text: format!(
            "no server runs on the store {}; start one with `drawbridge serve`",
            store.display()
        ),
        status: 1,
    }
}

/// Who runs the command, for the audit: by the name of the account, or by its
/// number where nothing tells that.
pub(super) fn who() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].map(|name| {
        let said = std::env::var(name).unwrap_or_default();
        let plain = said.chars().filter(char::is_ascii_graphic);
        plain.take(64).collect::<String>()
    });
    let named = user.into_iter().find(|name| !name.is_empty());
    // What is noted begins with a name, whoever starts this.
    named.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()))
}
