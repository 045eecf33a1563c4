//! What would happen now: the operations that the lanes would send next, made
//! by the same planning as when they are sent, and what a request would take
//! away (reliability: G-10). Nothing is changed, here or there.

use std::sync::Arc;

use super::{
    Failure, Operator, Session, Stopped, approval::Declined, calls, session::store_failed,
};
use crate::{
    plan::{
        decide::{plan_group, plan_user},
        guard::Rehearsal,
        operation::{Loss, Operation, Plan},
    },
    scim::{
        bulk::{Act, Verb},
        error::Problem,
        resource::{ResourceId, ResourceType},
    },
    store::{Pending, Watch},
};

/// The most lanes that are looked at.
const MOST: usize = 1_000;

/// What one lane would do next.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    pub of: ResourceType,
    pub id: ResourceId,
    pub plan: Plan,
    /// The calls in words, where an operation does not name them.
    pub calls: Vec<String>,
    /// An earlier call's end is not known: the application is asked first, and
    /// some of this may turn out to be done.
    pub unsure: bool,
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
                calls: Vec::new(),
                unsure: turn.unsure,
            },
            Pending::Group(turn) => Preview {
                of: ResourceType::Group,
                id: turn.work.id,
                plan: plan_group(&turn.work, can),
                calls: Vec::new(),
                unsure: turn.work.observed == crate::plan::state::Existence::Unknown,
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
                calls: Vec::new(),
                unsure: false,
            },
        };
        let pending = pending.map_err(store_failed)?;
        let mut previews = Vec::with_capacity(pending.len());
        for pending in pending {
            let of_family = match &pending {
                Pending::Group(turn) => calls::of(&**store, &*connection.upstream, turn).await,
                _ => Ok(Vec::new()),
            };
            let mut preview = preview(pending);
            preview.calls = of_family.map_err(store_failed)?;
            let ends = preview.plan.operations.iter();
            let ends = ends.filter(|it| matches!(it, Operation::DeactivateUser { .. }));
            let ends = ends.filter_map(|it| connection.upstream.call(it, None));
            preview.calls.extend(ends);
            previews.push(preview);
        }
        Ok(previews)
    }

    /// What a request that can take something away would do, by the same way
    /// as when it is done. `None`: nothing.
    pub async fn rehearse_request(
        &self,
        connection: &str,
        act: Act,
    ) -> Result<Option<Rehearsal>, Declined> {
        if act.verb == Verb::Create {
            return Err(Failure::Problem(Problem::new(
                400,
                "only what can take something away can be rehearsed: PUT, PATCH and DELETE",
            ))
            .into());
        }
        let connection = Arc::clone(self.connection(connection)?);
        let session = Session {
            bridge: Arc::clone(&self.bridge),
            actor: self.name().to_owned(),
            watch: Watch::Rehearsed(Arc::clone(&connection.policy.guard)),
            connection,
        };
        match session.again(act, None).await {
            Err(Failure::Stopped(stopped)) => match *stopped {
                Stopped::Rehearsed(plan) => Ok(Some(plan)),
                other => Err(Failure::Stopped(Box::new(other)).into()),
            },
            Err(failure) => Err(failure.into()),
            Ok(_) => Ok(None),
        }
    }
}

fn no_such_group(id: &str) -> Declined {
    let id: String = id.chars().filter(|c| !c.is_control()).take(64).collect();
    Failure::Problem(Problem::new(
        404,
        format!("there is no Group with id {id:?}"),
    ))
    .into()
}
