//! What would happen now: the operations that the lanes would send next, made
//! by the same planning as when they are sent, and what a request would do that
//! is handed in as it was recorded (reliability: G-10). Nothing is changed, here or there.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Connection, Failure, Look, Operator, Rehearsed, Session, approval::Declined, bulk::When, calls,
    operator::why, session::store_failed,
};
use crate::{
    plan::{
        decide::{plan_group, plan_user},
        operation::{Loss, Operation, Plan},
    },
    scim::{
        bulk::{self, BulkRequest, Operation as Sent, Verb},
        error::Problem,
        json::{self, Limits},
        resource::{ResourceId, ResourceType},
    },
    store::{Pending, Precondition, Watch},
};

/// The most lanes that are looked at.
const MOST: usize = 1_000;

/// What one lane would do next.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    pub of: ResourceType,
    pub id: ResourceId,
    pub plan: Plan,
    /// Groups that are looked at first because of a guard rail, as they are now.
    pub looks: Vec<Look>,
    /// The calls in words, where an operation does not name them.
    pub calls: Vec<String>,
    /// An earlier call's end is not known: the application is asked first, and
    /// some of this may turn out to be done.
    pub unsure: bool,
    /// What has to be first: accounts are made, or appear; or why nothing is sent.
    pub waits: Option<String>,
}

impl Operator {
    /// What would be sent now for a connection, or for one of its groups.
    pub async fn preview(
        &self,
        connection: &str,
        group: Option<&str>,
    ) -> Result<Vec<Preview>, Declined> {
        let connection = self.connection(connection)?;
        let group = match group {
            None => None,
            Some(id) => Some(ResourceId::parse(id).ok_or_else(|| no_such_group(id))?),
        };
        let store = &self.bridge.store;
        let pending = store.pending(connection.key, group, MOST).await;
        let can = connection.upstream.capabilities();
        let preview = |pending| match pending {
            Pending::User(turn) => Preview {
                of: ResourceType::User,
                id: turn.work.principal.id,
                plan: plan_user(&turn.work, can),
                looks: Vec::new(),
                calls: Vec::new(),
                unsure: turn.unsure,
                waits: None,
            },
            Pending::Group(turn) => Preview {
                of: ResourceType::Group,
                id: turn.work.id,
                plan: plan_group(&turn.work, can),
                looks: Vec::new(),
                calls: Vec::new(),
                unsure: turn.work.observed == crate::plan::state::Existence::Unknown,
                waits: None,
            },
            Pending::Waiting(turn) => Preview {
                of: ResourceType::Group,
                id: turn.work.id,
                plan: plan_group(&turn.work, can),
                looks: Vec::new(),
                calls: Vec::new(),
                unsure: false,
                waits: Some("accounts".into()),
            },
            Pending::Staged(id) => Preview {
                of: ResourceType::User,
                id,
                plan: Plan {
                    operations: Vec::new(),
                    losses: vec![Loss {
                        what: "CreateUser".into(),
                        reason: format!(
                            "{} does not have the account yet; it is found when it appears there",
                            can.application
                        ),
                    }],
                },
                looks: Vec::new(),
                calls: Vec::new(),
                unsure: false,
                waits: None,
            },
            Pending::Delayed(of, id, delay) => Preview {
                of,
                id,
                plan: Plan {
                    operations: Vec::new(),
                    losses: Vec::new(),
                },
                looks: Vec::new(),
                calls: Vec::new(),
                unsure: false,
                waits: Some(why(&delay)),
            },
        };
        let pending = pending.map_err(store_failed)?;
        if let (true, Some(id)) = (pending.is_empty(), group) {
            let found = store.resource(connection.key, ResourceType::Group, id);
            if found.await.map_err(store_failed)?.is_none() {
                return Err(no_such_group(&id.to_string()));
            }
        }
        let session = self.session_of(connection);
        let looks = session.looks_before(pending.clone()).await?;
        let mut previews = Vec::with_capacity(pending.len());
        for (pending, looks) in pending.into_iter().zip(looks) {
            let of_family = match &pending {
                Pending::Group(turn) => calls::of(&**store, &*connection.upstream, turn).await,
                _ => Ok(Vec::new()),
            };
            let mut preview = preview(pending);
            preview.looks = looks;
            preview.calls = of_family.map_err(store_failed)?;
            let ends = preview.plan.operations.iter();
            let ends = ends.filter(|it| matches!(it, Operation::DeactivateUser { .. }));
            let ends = ends.filter_map(|it| connection.upstream.call(it, None));
            preview.calls.extend(ends);
            previews.push(preview);
        }
        Ok(previews)
    }

    fn session_of(&self, connection: &Arc<Connection>) -> Session {
        Session {
            bridge: Arc::clone(&self.bridge),
            actor: self.name().to_owned(),
            watch: Watch::On(Arc::clone(&connection.policy.guard)),
            skips_unknown: connection.policy.skip_unknown_members,
            connection: Arc::clone(connection),
        }
    }

    /// What a request would do that an identity provider may send, by the same
    /// way as when it is done; `None`: it only reads.
    pub async fn rehearse_request(
        &self,
        connection: &str,
        sent: SentRequest,
    ) -> Result<Option<Rehearsed>, Declined> {
        let connection = Arc::clone(self.connection(connection)?);
        let limits = &connection.policy.limits;
        let names = self.bridge.connection_names();
        let request = sent.read(&connection.name, &names, limits);
        let Some(request) = request.map_err(Failure::Problem)? else {
            return Ok(None);
        };
        let session = self.session_of(&connection);
        let (request, when) = request;
        let effect = match &request.operations[..] {
            // What is refused before that is looked at takes nothing away.
            [Sent { act: Ok(act), .. }] if act.verb != Verb::Create => {
                let judged = session.takes_away(request.clone(), when.clone()).await;
                judged.ok().flatten()
            }
            _ => None,
        };
        let rehearsed = session.rehearse(request, when).await?;
        Ok(Some(Rehearsed {
            effect,
            ..rehearsed
        }))
    }
}

/// A request as it stands in a record of what was sent.
#[derive(Debug, Clone)]
pub struct SentRequest {
    pub method: String,
    /// Below the base URL, or with it, or a whole URL.
    pub path: String,
    /// JSON, or the text of it.
    pub body: Value,
    /// Those of a write that stand in its headers, or why they are none.
    pub when: Result<Precondition, Problem>,
}

/// Below what `.search` stands.
const SEARCHED: [&str; 5] = ["", "/Users", "/Groups", "/Roles", "/Entitlements"];
/// What stands at the end of every base URL.
const ROOT: &str = "/scim/v2";

impl SentRequest {
    /// As operations; `None` where it only reads.
    fn read(
        self,
        connection: &str,
        all: &[&str],
        limits: &Limits,
    ) -> Result<Option<(BulkRequest, Vec<When>)>, Problem> {
        let path = below_base(&self.path, connection, all)?;
        let method = self.method.to_ascii_uppercase();
        if let Some(below) = path.strip_suffix("/.search") {
            return match (SEARCHED.contains(&below), &*method) {
                (false, _) => Err(Problem::new(404, "there is nothing to search here")),
                (true, "POST") => Ok(None),
                (true, _) => Err(Problem::new(405, "only POST goes to .search")),
            };
        }
        if ["GET", "HEAD"].contains(&&*method) {
            return Ok(None);
        }
        let text = match &self.body {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if path == "/Bulk" {
            if method != "POST" {
                return Err(Problem::new(405, "only POST goes to /Bulk"));
            }
            let request = bulk::parse(text.as_bytes(), limits)?;
            let versions = request.operations.iter().map(|it| it.version.as_deref());
            let when = versions.map(Precondition::of_operation).collect();
            return Ok(Some((request, when)));
        }
        let body = match &*method {
            "POST" | "PUT" | "PATCH" if text.trim().is_empty() => {
                return Err(Problem::new(
                    400,
                    format!("a {method} has a body: write it as `body` into the file"),
                ));
            }
            "POST" | "PUT" | "PATCH" => Some(json::parse(text.as_bytes(), limits)?),
            // What is none of these is told as that, whatever came with it.
            _ => None,
        };
        // What is made has no version yet.
        let when = match &*method {
            "POST" => Ok(Precondition::default()),
            _ => self.when,
        };
        let act = bulk::act(&method, Some(path.to_owned()), body);
        Ok(Some((BulkRequest::single(method, act), vec![when])))
    }
}

/// The path below the base URL of a connection.
fn below_base<'p>(path: &'p str, connection: &str, all: &[&str]) -> Result<&'p str, Problem> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((_, rest)) => rest
            .find('/')
            .and_then(|at| rest.get(at..))
            .unwrap_or_default(),
        None => path,
    };
    let roots = path.match_indices(ROOT).filter_map(|(at, _)| {
        let (base, rest) = (path.get(..at)?, path.get(at + ROOT.len()..)?);
        (rest.is_empty() || rest.starts_with('/')).then_some((base, rest))
    });
    let Some((base, rest)) = roots.last() else {
        return Ok(path.trim_end_matches('/'));
    };
    let named = base.rsplit('/').next().unwrap_or_default();
    // Without a name it is of the only one that there is.
    if named != connection && !(named.is_empty() && all.len() == 1) {
        return Err(Problem::new(
            400,
            format!(
                "the path is of {named:?}, not of the connection {connection:?}; write what stands \
                 below the base URL alone, as \"/Users/ID\""
            ),
        ));
    }
    Ok(rest.trim_end_matches('/'))
}

fn no_such_group(id: &str) -> Declined {
    let id: String = id.chars().filter(|c| !c.is_control()).take(64).collect();
    Failure::Problem(Problem::new(
        404,
        format!("there is no Group with id {id:?}"),
    ))
    .into()
}
