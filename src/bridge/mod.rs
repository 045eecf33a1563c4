//! The use cases: the only code that both thinks and acts.
//!
//! [`Bridge`] holds the connections; [`Session`] is the right to act on one of
//! them, and every SCIM request needs one. Behind a session a request becomes
//! one store transaction, then a turn of a lane, then an answer.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use crate::{
    plan::{capability::Act, state::ConnectionKey},
    scim::{error::Problem, json::Limits},
    store::{Millis, Store, StoreError, Watch},
    upstream::Upstream,
};

mod address;
mod approval;
mod beginning;
mod budget;
mod bulk;
mod calls;
mod clock;
mod converge;
mod credentials;
mod cursor;
mod doomed;
pub mod events;
mod groups;
mod held;
mod import;
mod keys;
mod lane;
mod lending;
mod linked;
mod lists;
mod offered;
mod operator;
mod pretend;
mod preview;
mod reads;
pub mod reconcile;
mod recovery;
mod refused;
mod remade;
mod session;
mod sharing;
mod staged;
pub mod switch;
pub mod token;
mod users;

pub use crate::{
    plan::guard::{Guard, Limit, Protected, Rehearsal},
    store::{Elsewhere, Hold, HoldState, Item, Members, Precondition, Recovery, Resource, Why},
};
pub use approval::{Approved, Declined, HeldRequest};
pub use bulk::{BulkAnswer, Foreseen, Look, Rehearsed, Then};
pub use held::Stopped;
pub use import::{LeftAside, Progress, UnreadGroup, left_aside, words};
use lane::{Lanes, Places};
pub use lists::{Listed, Paging};
pub use operator::{
    AsAsked, Called, ConnectionStatus, LastRead, Operator, Status, is_operator_name,
    is_reserved_name,
};
pub use preview::{Preview, SentRequest};
pub use sharing::{are_named_apart, together};
use switch::Switch;

/// How long answers wait for an application still when the process is to end.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// How one connection behaves.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long an answer waits for the application (default 5 s).
    pub sync_wait: Duration,
    /// `ack = "confirmed"`: an open outcome is 503 instead of 2xx.
    pub confirmed: bool,
    /// `unknown_members = "skip"`: apply the rest and report the skipped.
    pub skip_unknown_members: bool,
    /// `reactivate = "recreate"` instead of refusing.
    pub recreate: bool,
    /// Users the application cannot know (no e-mail) are kept here only,
    /// instead of being refused.
    pub stage_users: bool,
    /// Whether the application is read at start.
    pub import_at_start: bool,
    /// And how often after that; `None`: never.
    pub import_every: Option<Duration>,
    /// How long a call of which no answer came may still take effect.
    pub late_writes: Duration,
    /// How far a read may lag behind the writes before it.
    pub read_lag: Duration,
    /// How often the application is compared with what was observed; `None`:
    /// never.
    pub reconcile_every: Option<Duration>,
    pub drift: reconcile::DriftPolicy,
    /// How often accounts that have to appear by themselves are looked for,
    /// apart from every other reading; `None`: never.
    pub look_for_staged: Option<Duration>,
    /// Requests a second that are taken (see `budget`).
    pub request_budget: u32,
    /// Attributes that a filter in an address must not name.
    pub sensitive_filters: Arc<[String]>,
    pub limits: Limits,
    /// How much may be taken away without an operator's word.
    pub guard: Arc<Guard>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            sync_wait: Duration::from_secs(5),
            confirmed: false,
            skip_unknown_members: false,
            recreate: false,
            stage_users: false,
            import_at_start: true,
            import_every: None,
            late_writes: Duration::from_secs(120),
            read_lag: Duration::from_secs(10),
            reconcile_every: None,
            drift: reconcile::DriftPolicy::Repair,
            look_for_staged: None,
            request_budget: 500,
            sensitive_filters: Arc::default(),
            limits: Limits::default(),
            guard: Arc::default(),
        }
    }
}

/// What a connection is made of.
#[derive(Debug)]
pub struct Setup {
    pub name: String,
    pub upstream: Arc<dyn Upstream>,
    pub policy: Policy,
    pub tokens: token::Tokens,
}

/// A connection at work.
#[derive(Debug)]
pub struct Connection {
    pub name: String,
    pub key: ConnectionKey,
    pub upstream: Arc<dyn Upstream>,
    pub policy: Policy,
    pub tokens: token::Tokens,
    lanes: Lanes,
    budget: budget::Budget,
    /// Since the start: see [`Self::dropped_attributes`].
    dropped_attributes: AtomicU64,
    imported: watch::Sender<Option<LastRead>>,
    /// By the last import that came to its end.
    unread: watch::Sender<Vec<UnreadGroup>>,
    left_aside: watch::Sender<Vec<LeftAside>>,
    reconciling: Mutex<reconcile::Reconciling>,
    read_at: linked::ReadAt,
}

impl Connection {
    /// How many attributes were left out of requests since the start, because
    /// no schema defines them.
    pub fn dropped_attributes(&self) -> u64 {
        self.dropped_attributes.load(Ordering::Relaxed)
    }
}

/// The whole bridge.
#[derive(Debug)]
pub struct Bridge {
    store: Arc<dyn Store>,
    connections: Vec<Arc<Connection>>,
    engine: tokio::runtime::Handle,
    switch: Switch,
    started: Millis,
    /// Of the audit, as this start has found out.
    lost_record: Option<i64>,
    closing: watch::Sender<bool>,
}

/// The right to act on one connection with one token.
#[derive(Debug, Clone)]
pub struct Session {
    bridge: Arc<Bridge>,
    connection: Arc<Connection>,
    /// The token's public id, for the audit.
    actor: String,
    /// How its writes are watched.
    watch: Watch,
    /// Who is named as a member and is no User is left out and told, and not refused.
    skips_unknown: bool,
}

/// A request that was not done, named by what its sender does next.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Correct the request.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The precondition failed: read again. The current version.
    #[error(
        "The resource is at version W/\"{0}\" now, which If-Match, If-None-Match or `version` of \
         the request rules out, so nothing was changed. Read it again and repeat the change."
    )]
    Stale(u64),
    /// Try again after so many seconds; nothing was changed, or (with
    /// `ack = "confirmed"`) the change is kept and not yet confirmed.
    #[error("not now: {detail}")]
    Later { seconds: u64, detail: String },
    /// The guard rails do not let it pass; nothing was changed.
    #[error("stopped: {0}")]
    Stopped(Box<Stopped>),
    /// A fault of ours; what happened was logged.
    #[error("internal fault")]
    Internal,
}

/// Why nobody is let in. The three look the same to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    NoSuchConnection,
    NoToken,
    BadToken,
}

/// A finished write.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub resource: Resource,
    /// False for a request that changed nothing.
    pub changed: bool,
    /// Accepted and durable, but the application has not confirmed it yet.
    pub pending: bool,
    /// Unknown member ids that were skipped, by policy.
    pub skipped: Vec<String>,
}

impl Bridge {
    /// Puts the connections to work: whatever the store still holds open is
    /// worked off at once. `engine` is the runtime that carries the lanes and
    /// every upstream call, apart from the one that serves requests.
    pub async fn start(
        store: Arc<dyn Store>,
        setups: Vec<Setup>,
        engine: tokio::runtime::Handle,
        switch: Switch,
    ) -> Result<Arc<Self>, StoreError> {
        let switch = switch.among(setups.iter().map(|setup| setup.name.clone()).collect());
        sharing::settle(&*store, &setups).await?;
        let age = store.age(clock::new_id(), clock::now()).await?;
        let doubt = recovery::doubt(age);
        let lost_record = recovery::tell_cut(&*store, &setups, age).await?;
        let lately = beginning::look_back(&*store, &setups).await?;
        let mut connections = Vec::with_capacity(setups.len());
        let places = Places::default();
        let (others, woken) = mpsc::unbounded_channel();
        for (mut setup, sent_lately) in setups.into_iter().zip(lately) {
            Arc::make_mut(&mut setup.policy.guard).roles = setup.upstream.roles();
            let key = store.connection(&setup.name).await?;
            setup.upstream.brake(switch.stops(&setup.name));
            let budget = budget::Budget::new(setup.policy.request_budget);
            offered::recall(&*store, key, &setup).await?;
            let can = setup.upstream.capabilities();
            let returns = setup.policy.recreate || can.can(Act::ReactivateUser);
            let lanes = Lanes::new(
                (setup.name.clone(), key),
                switch.clone(),
                Arc::clone(&store),
                Arc::clone(&setup.upstream),
                engine.clone(),
                sent_lately,
                (
                    setup.policy.read_lag,
                    Arc::clone(&setup.policy.guard),
                    places.clone(),
                    returns,
                ),
            );
            recovery::settle_in(&*store, key, &setup, doubt).await?;
            recovery::finish_deletions(&*store, key, &setup).await?;
            recovery::uphold(&*store, key, &setup).await?;
            recovery::note_ends(&*store, key, &setup).await?;
            lanes.know_others(others.clone());
            lanes.recheck_late(key, setup.policy.late_writes);
            for lane in store.open_lanes(key).await? {
                lanes.kick(lane);
            }
            connections.push(Arc::new(Connection {
                name: setup.name,
                key,
                upstream: setup.upstream,
                policy: setup.policy,
                tokens: setup.tokens,
                lanes,
                budget,
                dropped_attributes: AtomicU64::new(0),
                imported: watch::Sender::new(None),
                unread: watch::Sender::default(),
                left_aside: watch::Sender::default(),
                reconciling: Mutex::default(),
                read_at: linked::ReadAt::default(),
            }));
        }
        sharing::wake(&engine, woken, &connections);
        sharing::see_out(Arc::clone(&store), &engine, &connections).await?;
        // Only now that a doubt is written down may what caused it be forgotten. Where
        // there is no room for that now, it is noted later, or doubted once more.
        match store.note_age(clock::now()).await {
            Err(StoreError::Unavailable(error)) => {
                tracing::warn!(
                    error,
                    "how far the store has come could not be noted beside it"
                );
            }
            noted => noted?,
        }
        let bridge = Arc::new(Self {
            store,
            connections,
            engine,
            switch,
            started: clock::now(),
            lost_record,
            closing: watch::Sender::new(false),
        });
        bridge.heed_switch();
        bridge.keep_watch();
        bridge.read_for_leavers();
        Ok(bridge)
    }

    /// Answers that still wait for an application go out soon, as open ones do.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// When answers do not wait any more.
    async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        if closing.wait_for(|closing| *closing).await.is_ok() {
            tokio::time::sleep(LAST_WAIT).await;
        }
    }

    /// The names of the connections, in order.
    pub fn connection_names(&self) -> Vec<&str> {
        self.connections.iter().map(|c| c.name.as_str()).collect()
    }

    /// Checks a raw `Authorization` value for a connection: `Bearer x` in any
    /// letter case, or the bare token as Okta sends it. `None` as the name
    /// means the only connection.
    pub fn enter(
        self: &Arc<Self>,
        connection: Option<&str>,
        authorization: Option<&[u8]>,
    ) -> Result<Session, Denied> {
        let presented = bearer(authorization.unwrap_or_default()).ok_or(Denied::NoToken)?;
        let connection = self.find(connection).ok_or(Denied::NoSuchConnection)?;
        let token = connection
            .tokens
            .check(presented, clock::now())
            .ok_or(Denied::BadToken)?;
        Ok(Session {
            bridge: Arc::clone(self),
            watch: Watch::On(Arc::clone(&connection.policy.guard)),
            skips_unknown: connection.policy.skip_unknown_members,
            connection: Arc::clone(connection),
            actor: token.as_str().to_owned(),
        })
    }

    fn find(&self, name: Option<&str>) -> Option<&Arc<Connection>> {
        match (name, &self.connections[..]) {
            (Some(name), all) => all.iter().find(|c| c.name == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// A session of the bridge's own (import, the operator's commands).
    pub fn own_session(self: &Arc<Self>, connection: &str, actor: &str) -> Option<Session> {
        let connection = Arc::clone(self.find(Some(connection))?);
        Some(Session {
            bridge: Arc::clone(self),
            watch: Watch::On(Arc::clone(&connection.policy.guard)),
            skips_unknown: connection.policy.skip_unknown_members,
            connection,
            actor: actor.to_owned(),
        })
    }
}

/// The token in an `Authorization` value; `None` when there is none, or when
/// it is of another scheme.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let scheme_end = value.iter().position(u8::is_ascii_whitespace);
    let token = match scheme_end {
        None => value,
        Some(end) => {
            let (scheme, rest) = value.split_at(end);
            scheme
                .eq_ignore_ascii_case(b"bearer")
                .then(|| rest.trim_ascii_start())?
        }
    };
    let only_scheme = token.eq_ignore_ascii_case(b"bearer");
    (!token.is_empty() && !only_scheme).then_some(token)
}

#[cfg(test)]
mod tests;
