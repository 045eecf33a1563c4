//! What every use case shares: reading, waiting for an answer, and how a
//! refused write is told.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{Connection, Failure, Policy, Session, Stopped, clock, lane::Settled, sharing};
use crate::{
    plan::capability::Act,
    scim::{
        catalog::Catalog,
        dropped::Dropped,
        error::{Problem, ScimType},
        groups::DirectGroup,
        resource::{ResourceId, ResourceType},
        schema::Schemas,
    },
    store::{Actor, Awaited, Members, Resource, StoreError, WriteError},
};

/// The end of a wait for the application.
pub(super) type Deadline = Instant;
/// A lane's answer to come.
pub(super) type Waiting = oneshot::Receiver<Settled>;

/// Seconds a client is asked to wait when it must come again.
pub(super) const COME_AGAIN: u64 = 10;

impl Session {
    pub fn schemas(&self) -> Arc<Schemas> {
        self.connection.upstream.schemas()
    }

    /// The roles and entitlements that can be assigned to users.
    pub fn catalog(&self) -> Catalog {
        let upstream = &self.connection.upstream;
        if upstream.capabilities().can(Act::SetRole) {
            upstream.catalog()
        } else {
            Catalog::default()
        }
    }

    pub fn policy(&self) -> &Policy {
        &self.connection.policy
    }

    /// Takes a request within the connection's budget and says how long it
    /// waits for its turn, or in how many seconds to come again.
    pub fn admit(&self) -> Result<Duration, u64> {
        self.connection.budget.ordinary()
    }

    /// The same of a request that takes access away.
    pub fn admit_revocation(&self) -> Result<Duration, u64> {
        self.connection.budget.revocation()
    }

    /// The same of one that takes access away and does something else beside.
    pub fn admit_mixed(&self) -> Result<Duration, u64> {
        self.connection.budget.mixed()
    }

    /// Counts a request that is told to come again.
    pub fn note_refused(&self) {
        let Connection { name, budget, .. } = &*self.connection;
        budget.refuse();
        if let Some(refused) = budget.refusals_to_tell() {
            tracing::warn!(
                connection = name,
                refused,
                "more requests than request_budget"
            );
        }
    }

    /// Counts what was left out of a request because no schema defines it.
    pub fn note_dropped(&self, dropped: &Dropped) {
        let names = dropped.names().join(", ");
        tracing::debug!(count = dropped.count(), names, "attributes were left out");
        let count = u64::try_from(dropped.count()).unwrap_or(u64::MAX);
        let total = &self.connection.dropped_attributes;
        total.fetch_add(count, Ordering::Relaxed);
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// One resource; 404 when this connection has none of that id.
    pub async fn read(&self, of: ResourceType, id: &str) -> Result<Resource, Failure> {
        let known = known(of, id)?;
        let found = self
            .bridge
            .store
            .resource(self.connection.key, of, known)
            .await;
        found.map_err(store_failed)?.ok_or_else(|| missing(of, id))
    }

    /// A user, with the groups it is in if they are wanted.
    pub async fn user(
        &self,
        id: &str,
        with_groups: bool,
    ) -> Result<(Resource, Vec<DirectGroup>), Failure> {
        if !with_groups {
            return Ok((self.read(ResourceType::User, id).await?, Vec::new()));
        }
        let known = known(ResourceType::User, id)?;
        let found = self.bridge.store.user(self.connection.key, known).await;
        let gone = || missing(ResourceType::User, id);
        found.map_err(store_failed)?.ok_or_else(gone)
    }

    /// A group's member ids.
    pub async fn members(&self, group: ResourceId) -> Result<Members, Failure> {
        let found = self.bridge.store.members(self.connection.key, group).await;
        let gone = || missing(ResourceType::Group, &group.to_string());
        found.map_err(store_failed)?.ok_or_else(gone)
    }

    /// The groups of users, for as many of them, in order, as have `most`
    /// groups together, and for one at least.
    pub async fn groups_of(
        &self,
        users: Vec<ResourceId>,
        most: usize,
    ) -> Result<Vec<Vec<DirectGroup>>, Failure> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let found = self
            .bridge
            .store
            .groups_of(self.connection.key, users, most);
        found.await.map_err(store_failed)
    }

    /// Runs a write to its end on the engine, also when the client that asked
    /// has gone: a commit whose lane nobody wakes would be a silent delay.
    pub(super) async fn whole<T, W>(&self, write: W) -> Result<T, Failure>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.bridge
            .engine
            .spawn(async {
                point!("write.begun");
                let written = write.await;
                point!("write.finished");
                written
            })
            .await
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a write ended abnormally");
                Err(Failure::Internal)
            })
    }

    pub(super) fn actor(&self) -> Actor {
        Actor {
            name: self.actor.clone(),
            at: clock::now(),
            watch: self.watch.clone(),
            put: false,
        }
    }

    /// When an answer that is begun now goes out at the latest: after the
    /// connection's `sync_wait`.
    pub(super) fn deadline(&self) -> Deadline {
        Instant::now() + self.policy().sync_wait
    }

    /// Waits for a lane's answer; `None` when it is still open at the end.
    pub(super) async fn answer(&self, waiting: Waiting, until: Deadline) -> Option<Settled> {
        let (name, switch) = (&self.connection.name, &self.bridge.switch);
        tokio::select! {
            biased;
            settled = waiting => settled.ok(),
            // Nothing will come while the operator has stopped all writes.
            () = switch.until(name, false) => None,
            () = self.bridge.closed() => None,
            () = tokio::time::sleep_until(until) => None,
        }
    }

    /// The answer to a write that is durable but not confirmed.
    pub(super) fn open_is_fine(&self) -> Result<(), Failure> {
        if self.policy().confirmed {
            return Err(Failure::Later {
                seconds: COME_AGAIN,
                detail: "the change is kept and will be delivered, but the application has not \
                         confirmed it yet"
                    .into(),
            });
        }
        Ok(())
    }

    /// Wakes every lane with work, where it is not known which have some now.
    pub(super) async fn wake_open(&self) {
        let open = self.bridge.store.open_lanes(self.connection.key).await;
        match open {
            Ok(open) => self.connection.lanes.kick_all(open),
            Err(error) => tracing::error!(%error, "lanes with work cannot be woken"),
        }
    }

    /// Refuses what the application cannot do, in its table's words.
    pub(super) fn demand(&self, act: Act) -> Result<(), Problem> {
        let can = self.connection.upstream.capabilities();
        if can.can(act) {
            return Ok(());
        }
        let reason = can.note(act);
        Err(Problem::new(
            403,
            format!("{} cannot {}: {reason}", can.application, act.words()),
        ))
    }

    pub(super) fn application(&self) -> &str {
        &self.connection.upstream.capabilities().application
    }
}

pub(super) fn missing(of: ResourceType, id: &str) -> Failure {
    let shown: String = id.chars().filter(|c| !c.is_control()).take(64).collect();
    Failure::Problem(Problem::new(
        404,
        format!("there is no {} with id {shown:?}", of.name()),
    ))
}

/// An id that cannot be one of ours is an id of nothing.
pub(super) fn known(of: ResourceType, id: &str) -> Result<ResourceId, Failure> {
    ResourceId::exact(id).ok_or_else(|| missing(of, id))
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
pub(super) fn store_failed(error: StoreError) -> Failure {
    tracing::error!(%error, "the store failed");
    match error {
        StoreError::Unavailable(_) => Failure::Later {
            seconds: COME_AGAIN,
            detail: "the bridge cannot store the change right now; nothing was changed".into(),
        },
        StoreError::Broken(_) => Failure::Internal,
    }
}

impl Session {
    /// A refused write in the client's words.
    pub(super) fn write_failed(&self, error: WriteError, of: ResourceType, id: &str) -> Failure {
        match error {
            WriteError::Problem(problem) => Failure::Problem(problem),
            WriteError::Missing => missing(of, id),
            WriteError::Stale(version) => Failure::Stale(version),
            WriteError::Taken {
                attribute,
                value,
                holder,
            } => Failure::Problem(taken(of, attribute, &value, holder.as_deref())),
            WriteError::UnknownMembers(ids) => Failure::Problem(unknown_members(&ids)),
            WriteError::Held(excess) => Failure::Stopped(Box::new(Stopped::Over(*excess))),
            WriteError::Rehearsed(plan) => Failure::Stopped(Box::new(Stopped::Rehearsed(*plan))),
            WriteError::Decided(state) => Failure::Problem(Problem::new(
                409,
                format!("the held request is {} already", state.as_str()),
            )),
            WriteError::Later(mut detail, awaited) => {
                detail.push_str(&self.why_it_waits(awaited));
                Failure::Later {
                    seconds: COME_AGAIN,
                    detail,
                }
            }
            WriteError::Protected(what) => Failure::Stopped(Box::new(Stopped::Protected(what))),
            WriteError::Store(error) => store_failed(error),
        }
    }

    /// What keeps that from being over, or when it is.
    fn why_it_waits(&self, awaited: Awaited) -> String {
        let all = &self.bridge.connections;
        match awaited {
            Awaited::Connection(owner) => {
                let owner = all.iter().find(|it| it.key == owner);
                let paused = owner.is_some_and(|it| self.bridge.switch.stops(&it.name));
                if paused { PAUSED } else { "" }.to_owned()
            }
            Awaited::Departed(since) => {
                let policies = all.iter().map(|it| &it.policy);
                let left = sharing::left_of_departed(policies, since);
                format!("; that is over in {} seconds at the latest", left.as_secs())
            }
        }
    }
}

/// Whose connection that is nobody is told here; the status tells the administrator.
const PAUSED: &str = "; an operator has paused that connection, so what it has left to say there \
    is not sent: the administrator sees in `drawbridge status` what is paused, and lets it go on \
    with `drawbridge resume`";

fn taken(of: ResourceType, attribute: &str, value: &str, holder: Option<&str>) -> Problem {
    let kind = of.name();
    Problem::taken(match attribute {
        "account" => format!(
            "another User of this connection already stands for the account {value:?}; find it \
             with a filter on userName or emails.value"
        ),
        "upstreamName" => format!(
            "the displayName becomes the application's group name {value:?}, which the Group {:?} \
             has already; choose another displayName or map this one to a name of its own in the \
             configuration (group_names)",
            holder.unwrap_or_default()
        ),
        _ => format!("{attribute} {value:?} is in use by another {kind} of this connection"),
    })
}

fn unknown_members(ids: &[String]) -> Problem {
    let shown: Vec<String> = ids
        .iter()
        .take(20)
        .map(|id| format!("{:?}", id.chars().take(64).collect::<String>()))
        .collect();
    let more = if ids.len() > shown.len() {
        format!(" and {} more", ids.len() - shown.len())
    } else {
        String::new()
    };
    Problem::bad(
        ScimType::InvalidValue,
        format!(
            "members names ids that are no User of this connection: {}{more}; nothing was changed. \
             Create the Users first and use the ids from the answers",
            shown.join(", ")
        ),
    )
}
