//! What an operator does about held requests: sees them, rehearses them, and
//! approves or rejects each once (reliability: G-6, G-10, I-27). An approved
//! request runs like any other against what is there now; only the limits do
//! not look at it, and what is protected stays so.

use std::sync::Arc;

use super::{
    Connection, Failure, Operator, Rehearsed, Session, Written, clock, held::method,
    session::store_failed,
};
use crate::{
    plan::guard::{Deed, Effect, Guard, Rehearsal},
    scim::{
        bulk::{Act, BulkRequest, Verb},
        error::Problem,
        resource::ResourceId,
    },
    store::{Actor, Hold, HoldId, HoldState, Precondition, Request, Watch},
};

/// The most holds in a list.
const MOST: u64 = 1_000;

/// A held request, with the connection it came in by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRequest {
    pub connection: String,
    pub hold: Hold,
    pub request: Request,
}

impl HeldRequest {
    /// What was shown of it is what is approved.
    fn approved(&self) -> impl FnOnce(Arc<Guard>) -> Watch + use<> {
        let hold = self.hold.id;
        move |guard| Watch::Approved(guard, hold)
    }

    fn when(&self) -> Precondition {
        self.request.when.clone()
    }
}

/// What became of an approved request.
#[derive(Debug)]
pub struct Approved {
    pub written: Option<Written>,
    /// The kill switch stops all writes of its connection.
    pub paused: bool,
}

/// Why an operator's word did nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Declined {
    #[error("there is no connection {0:?}")]
    NoSuchConnection(String),
    #[error("there is no held request {0}")]
    NoSuchHold(String),
    #[error(
        "there is no recovery yet, and it is not known whether there will be: the application was \
         not looked at since the start; say it again when `drawbridge status` tells so no more"
    )]
    Unseen,
    #[error("the held request is {} already", .0.as_str())]
    Decided(HoldState),
    /// The request itself, as it would be told to who sent it.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Operator {
    pub(super) fn actor(&self) -> Actor {
        Actor {
            name: self.name().to_owned(),
            at: clock::now(),
            watch: Watch::Off,
            put: false,
        }
    }

    pub(super) fn connection(&self, name: &str) -> Result<&Arc<Connection>, Declined> {
        let found = self.bridge.find(Some(name));
        found.ok_or_else(|| Declined::NoSuchConnection(name.to_owned()))
    }

    /// The newest first, with the connection of each: those that wait, or all
    /// that are remembered.
    pub async fn holds(&self, only_open: bool) -> Result<Vec<(String, Hold)>, Declined> {
        let mut all = Vec::new();
        for connection in &self.bridge.connections {
            let holds = self.bridge.store.holds(connection.key, only_open, MOST);
            let holds = holds.await.map_err(store_failed)?;
            all.extend(
                holds
                    .into_iter()
                    .map(|hold| (connection.name.clone(), hold)),
            );
        }
        all.sort_by_key(|(_, hold)| std::cmp::Reverse(hold.at));
        Ok(all)
    }

    pub async fn hold(&self, id: &str) -> Result<HeldRequest, Declined> {
        let unknown = || Declined::NoSuchHold(id.chars().take(64).collect());
        let hold = HoldId(ResourceId::parse(id).ok_or_else(unknown)?);
        for connection in &self.bridge.connections {
            let found = self.bridge.store.held(connection.key, hold).await;
            if let Some((hold, request)) = found.map_err(store_failed)? {
                return Ok(HeldRequest {
                    connection: connection.name.clone(),
                    hold,
                    request,
                });
            }
        }
        Err(unknown())
    }

    /// Does it, once, and waits for the application as any request does.
    pub async fn approve(&self, id: &str) -> Result<Approved, Declined> {
        let held = self.waiting(id).await?;
        let session = self.session(&held, held.approved())?;
        let done = session.again(act_of(&held)?, held.when(), held.hold.id);
        match done.await {
            Ok(written) => {
                let left_out = written.as_ref().map_or(0, |it| it.skipped.len());
                tracing::info!(hold = %held.hold.id, operator = self.name(), left_out, "a held request was approved");
                Ok(Approved {
                    paused: self.bridge.switch.stops(&held.connection),
                    written,
                })
            }
            // Somebody else was faster.
            Err(failure) => match self.hold(id).await?.hold.state {
                HoldState::Open => Err(waits_on(failure, &held).into()),
                HoldState::Approved if !is_decided(&failure) => Err(told(failure, &held).into()),
                state => Err(Declined::Decided(state)),
            },
        }
    }

    /// Drops it.
    pub async fn reject(&self, id: &str) -> Result<(), Declined> {
        let held = self.waiting(id).await?;
        let connection = self.connection(&held.connection)?;
        let store = &self.bridge.store;
        let state = store
            .reject(connection.key, held.hold.id, self.actor())
            .await;
        match state.map_err(store_failed)? {
            None => Err(Declined::NoSuchHold(id.to_owned())),
            Some(HoldState::Open) => {
                tracing::info!(hold = %held.hold.id, operator = self.name(), "a held request was rejected");
                Ok(())
            }
            Some(state) => Err(Declined::Decided(state)),
        }
    }

    /// What it would do now, by the same way as when it is done: what it takes
    /// away, and what would be sent.
    pub async fn rehearse(&self, id: &str) -> Result<(Rehearsal, Rehearsed), Declined> {
        let held = self.waiting(id).await?;
        let effect = self.effect(&held).await?;
        let session = self.session(&held, held.approved())?;
        let request = BulkRequest::of(act_of(&held)?);
        let rehearsed = session.rehearse(request, vec![Ok(held.when())]).await?;
        Ok((effect, rehearsed))
    }

    async fn effect(&self, held: &HeldRequest) -> Result<Rehearsal, Declined> {
        let session = self.session(held, Watch::Rehearsed)?;
        let request = BulkRequest::of(act_of(held)?);
        let effect = session.takes_away(request, vec![Ok(held.when())]).await;
        let effect = effect.map_err(|failure| waits_on(failure, held))?;
        // It would change nothing.
        Ok(effect.unwrap_or_else(|| Rehearsal {
            effect: Effect {
                added: 0,
                removed: 0,
                adds: Vec::new(),
                removes: Vec::new(),
                sets: Vec::new(),
                act: Deed::Change,
                ..held.hold.plan.clone()
            },
            over: None,
        }))
    }

    async fn waiting(&self, id: &str) -> Result<HeldRequest, Declined> {
        let held = self.hold(id).await?;
        match held.hold.state {
            HoldState::Open => Ok(held),
            state => Err(Declined::Decided(state)),
        }
    }

    fn session(
        &self,
        held: &HeldRequest,
        watch: impl FnOnce(Arc<Guard>) -> Watch,
    ) -> Result<Session, Declined> {
        let connection = Arc::clone(self.connection(&held.connection)?);
        Ok(Session {
            bridge: Arc::clone(&self.bridge),
            actor: self.name().to_owned(),
            watch: watch(Arc::clone(&connection.policy.guard)),
            // It was known when the request came, or it would not have been held.
            skips_unknown: true,
            connection,
        })
    }
}

/// What a sender would repeat is the sender's to repeat, and an operator's to drop.
fn told(failure: Failure, held: &HeldRequest) -> Failure {
    let Failure::Stale(now) = failure else {
        return failure;
    };
    let named = held.request.when.if_match.iter().flatten();
    let named: Vec<String> = named.map(|it| format!("W/\"{it}\"")).collect();
    let asked = if named.is_empty() {
        "that the sender ruled out (If-None-Match)".to_owned()
    } else {
        format!(
            "and the sender asked for this only at {} (If-Match)",
            named.join(", ")
        )
    };
    let of = held.request.of.name();
    Failure::Problem(Problem::new(
        412,
        format!(
            "the {of} is at version W/\"{now}\" now, {asked}, so nothing was changed. Reject the \
             request (drawbridge held reject {}); what is still to be done the sender asks for anew",
            held.hold.id
        ),
    ))
}

/// What cannot be done now, and perhaps never any more, is an operator's to drop.
fn waits_on(failure: Failure, held: &HeldRequest) -> Failure {
    match told(failure, held) {
        Failure::Problem(mut problem) if matches!(problem.status, 400 | 404 | 409) => {
            problem.detail = format!(
                "{}. The request waits on: where it cannot be done any more, reject it (drawbridge \
                 held reject {}); what is still to be done the sender asks for anew",
                problem.detail, held.hold.id
            );
            Failure::Problem(problem)
        }
        other => other,
    }
}

/// The store found it decided, inside its transaction.
fn is_decided(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Problem(Problem {
            status: 409 | 404,
            ..
        })
    )
}

fn act_of(held: &HeldRequest) -> Result<Act, Declined> {
    let request = &held.request;
    let verbs = [Verb::Replace, Verb::Patch, Verb::Delete];
    let verb = verbs
        .into_iter()
        .find(|verb| method(*verb) == request.method);
    let verb = verb.ok_or(Failure::Internal)?;
    let data = match verb {
        Verb::Delete => serde_json::Value::Null,
        _ => serde_json::from_str(&request.body).map_err(|_| Failure::Internal)?,
    };
    Ok(Act {
        verb,
        of: request.of,
        id: request.id.to_string(),
        data,
    })
}
