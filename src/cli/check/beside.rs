//! Who else sends calls with the same credentials: a running server, which is asked
//! for each call, or nobody, and then the ledger of calls is kept.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::super::{ConfigFile, operator::Server, token::now};
use crate::{
    console,
    upstream::{Host, Ledger, PutOff, Tenant},
};

/// So long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// A turn that came longer ago is none any more.
const STALE: i64 = 500;

pub(super) enum Beside {
    Server(Arc<dyn Host>),
    Nobody(Arc<Ledger>),
    /// Another command, or a server that is starting.
    Busy,
    /// Nothing tells.
    Unknown,
}

impl Beside {
    pub(super) async fn find(config: &ConfigFile, store: &Path) -> Self {
        if let Ok(server) = Server::find(config)
            && server.get("/livez").await.is_ok()
        {
            return Self::Server(Arc::new(Running(server)));
        }
        match Ledger::join(&console::beside(store, "calls")) {
            Ok(ledger) => Self::Nobody(ledger),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Busy,
            Err(_) => Self::Unknown,
        }
    }
}

struct Running(Server);

impl Running {
    async fn ask(&self, question: Value) -> Option<Value> {
        let asked = self.0.post("/calls", Some(question.to_string())).await;
        // One that has ended, or does not know the question, counts nothing.
        asked.ok()
    }
}

#[async_trait]
impl Host for Running {
    async fn turn(&self, budget: &Tenant) -> Result<(), PutOff> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let question = json!({ "budget": budget.hex() });
            let Ok(answer) = timeout(left, self.ask(question)).await else {
                return Err(PutOff {
                    after: PATIENCE,
                    reason: "the running server needs all calls that the application allows".into(),
                });
            };
            let Some(answer) = answer else { return Ok(()) };
            let Some(after) = answer["afterMillis"].as_u64() else {
                match answer["at"].as_i64() {
                    Some(at) if now() - at > STALE => continue,
                    _ => return Ok(()),
                }
            };
            let after = Duration::from_millis(after);
            if Instant::now() + after > end {
                return Err(PutOff {
                    after,
                    reason: answer["reason"].as_str().unwrap_or_default().to_owned(),
                });
            }
            sleep(after).await;
        }
    }

    async fn silence(&self, budget: &Tenant, pause: Duration) {
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.ask(json!({ "budget": budget.hex(), "silence": millis }))
            .await;
    }
}
