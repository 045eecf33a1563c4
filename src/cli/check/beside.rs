//! Who else sends calls with the same credentials: a running server, which is asked
//! for each call, or nobody, and then the ledger of calls is kept.

use std::{io, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::super::{
    ConfigFile,
    operator::{ALIVE, Server},
    status,
    token::now,
};
use crate::{
    console,
    upstream::{Finding, Host, Ledger, PutOff, Tenant},
};

/// So long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// A turn that came longer ago is none any more.
const STALE: i64 = 500;

pub(super) enum Beside {
    /// With what it tells of itself.
    Server(Arc<dyn Host>, Value),
    Nobody(Arc<Ledger>),
    /// Another command, or a server that is starting.
    Busy,
    /// Nothing tells.
    Unknown,
}

impl Beside {
    pub(super) async fn find(config: &ConfigFile, store: &Path) -> Self {
        if let Ok(server) = Server::find(config) {
            match timeout(ALIVE, server.get("/livez")).await {
                Ok(Ok(_)) => {
                    let status = timeout(ALIVE, server.get("/status")).await;
                    let status = status.ok().and_then(Result::ok).unwrap_or_default();
                    return Self::Server(Arc::new(Running(server)), status);
                }
                Ok(Err(_)) => {}
                // It counts for itself what it has sent.
                Err(_) => return Self::Busy,
            }
        }
        match Ledger::join(&console::beside(store, "calls")) {
            Ok(ledger) => Self::Nobody(ledger),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Busy,
            Err(_) => Self::Unknown,
        }
    }
}

impl Beside {
    /// What only a server can know, as it takes what was so before.
    pub(super) fn findings(&self, connection: &str) -> Vec<Finding> {
        let Self::Server(_, status) = self else {
            return Vec::new();
        };
        let connections = status["connections"].as_array().into_iter().flatten();
        let of = connections.filter(|it| it["name"] == connection);
        let replaced = of.flat_map(status::replaced);
        let found = replaced.map(|group| Finding {
            ok: false,
            what: status::replaced_text(group),
            remedy: Some("ask for them there, then take them out of this one".into()),
        });
        found.collect()
    }
}

struct Running(Server);

impl Running {
    async fn once(&self, budget: &Tenant) -> Result<(), PutOff> {
        let Some(answer) = self.ask(json!({ "budget": budget.hex() })).await else {
            return Ok(());
        };
        let put_off = |millis| PutOff {
            after: Duration::from_millis(millis),
            reason: answer["reason"].as_str().unwrap_or_default().to_owned(),
        };
        if let Some(millis) = answer["afterMillis"].as_u64() {
            return Err(put_off(millis));
        }
        match answer["at"].as_i64() {
            Some(at) if now() - at > STALE => Err(put_off(0)),
            _ => Ok(()),
        }
    }

    async fn ask(&self, question: Value) -> Option<Value> {
        let asked = self.0.post("/calls", Some(question.to_string())).await;
        // One that has ended, or does not know the question, counts nothing.
        asked.ok()
    }
}

#[async_trait]
impl Host for Running {
    async fn turn(&self, budget: &Tenant) -> Result<(), PutOff> {
        let asking = async {
            loop {
                match self.once(budget).await {
                    Err(put_off) if put_off.after < PATIENCE => sleep(put_off.after).await,
                    answered => return answered,
                }
            }
        };
        let asked = timeout(PATIENCE, asking).await;
        asked.unwrap_or_else(|_| {
            Err(PutOff {
                after: PATIENCE,
                reason: "the running server needs all calls that the application allows".into(),
            })
        })
    }

    async fn silence(&self, budget: &Tenant, pause: Duration) {
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.ask(json!({ "budget": budget.hex(), "silence": millis }))
            .await;
    }
}
