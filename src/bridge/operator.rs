//! What an operator sees and may do, beside the identity providers and without
//! their tokens: how every connection stands, and the kill switch.
//!
//! The status is part of the promise (reliability: 4.1): a change that was
//! answered 2xx and is not yet in the application is counted here, so that
//! nothing is pending in silence.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    Bridge, Connection, LeftAside, UnreadGroup, bearer, clock,
    switch::{Paused, Recorded},
    token::Tokens,
};
use crate::{
    plan::state::ConnectionKey,
    scim::resource::{ResourceId, ResourceType},
    store::{
        Actor, Counts, Delay, Drifted, Elsewhere, Health, Imported, Lane, Left, LeftAlone, Millis,
        NotOffered, Place, Recovery, Refused, RefusedResource, Returned, Store, StoreError,
        StoredUser, Twins, Watch, WithUnknown, audit::AuditRow,
    },
    upstream::Condition,
};

/// The most refused memberships, and the most refused users and groups, that a
/// status names.
const SHOWN: usize = 100;

/// Characters of an operator's name.
const LONGEST_NAME: usize = 64;

/// What others are called in the audit, or whoever did not say a name.
const NOBODYS: [&str; 6] = [
    "bridge",
    "import",
    "operator",
    "reconcile",
    "recovery",
    "restore",
];

/// Whether the audit can tell an operator by this name.
pub fn is_operator_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(may_name)
}

/// Whether it is nobody's name of their own in the audit.
pub fn is_reserved_name(name: &str) -> bool {
    NOBODYS.contains(&&*name.to_ascii_lowercase())
}

/// What an operator is called, and how that is known.
#[derive(Debug, Clone, Copy)]
pub enum Called<'a> {
    /// The token is of that name.
    Proven(&'a str),
    /// They say so themselves; it may be empty.
    Said(&'a str),
}

impl Called<'_> {
    /// As the audit tells them. What is only said is told so: no name has a space
    /// or a bracket in it.
    fn told(self) -> String {
        match self {
            Self::Proven(name) => format!("operator {}", plain(name)),
            Self::Said(name) => match plain(name) {
                name if name.is_empty() => "operator".to_owned(),
                name => format!("operator (says {name})"),
            },
        }
    }
}

fn plain(name: &str) -> String {
    let plain = |c: &char| may_name(*c);
    name.chars().filter(plain).take(LONGEST_NAME).collect()
}

fn may_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._@".contains(c)
}

/// The right to act as an operator, under a name for the audit.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(super) bridge: Arc<Bridge>,
    pub(super) name: String,
}

/// How the whole bridge stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub at: Millis,
    pub started: Millis,
    /// The store takes writes.
    pub ready: bool,
    /// A record of the audit that was noted beside the store, and that this start did
    /// not find in it any more.
    pub lost_record: Option<i64>,
    pub everything_paused: bool,
    /// Names in the kill switch's file that are no connection's; then everything
    /// is stopped.
    pub paused_unknown: Vec<String>,
    pub connections: Vec<ConnectionStatus>,
}

/// How one connection stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionStatus {
    pub name: String,
    pub application: String,
    pub paused: bool,
    pub condition: Condition,
    pub counts: Counts,
    /// The newest memberships that the application refused, at most so many.
    pub refused: Vec<Refused>,
    /// Users and groups that it refused, at most so many.
    pub refused_resources: Vec<RefusedResource>,
    /// Who waits, and why; at most so many.
    pub waiting: Vec<Waiting>,
    /// Whose calls fail again and again, most often first; at most so many.
    pub failing: Vec<Failing>,
    /// Users and groups that another connection to the same application manages,
    /// at most so many.
    pub elsewhere: Vec<Elsewhere>,
    /// Whom it asks for in a group that excludes others, and another connection
    /// asks for in one of those, or did and has not let go; at most so many.
    pub places: Vec<Place>,
    /// Groups that the configuration offers no more, and that somebody is asked for
    /// in, for which nothing can be done; at most so many.
    pub not_offered: Vec<NotOffered>,
    /// Groups that are there no more, as another one is called so.
    pub replaced: Vec<NotOffered>,
    /// What may be what creations have made of which no answer came, and is left
    /// alone; at most so many.
    pub left_alone: Vec<LeftAlone>,
    /// Active Users whose account has another address in the application than is said
    /// here, as it cannot be changed there; at most so many.
    pub other_address: Vec<ResourceId>,
    /// Groups with members that are no User, as the application's list of accounts does
    /// not have theirs; at most so many.
    pub with_unknown: Vec<WithUnknown>,
    /// Each membership is a call of its own.
    pub single: bool,
    /// For how long something is open that takes access away.
    pub revocation_open: Option<Duration>,
    pub recovery: Option<Recovery>,
    /// Nobody is taken out of a group before a first look at the application.
    pub unseen: bool,
    /// The first import of a new store has not come to its end.
    pub never_read: bool,
    pub dropped_attributes: u64,
    /// Requests a second that it may send, and how many were told to come again
    /// since the start.
    pub request_budget: u32,
    pub requests_refused: u64,
    pub last_import: Option<LastRead>,
    /// Groups whose members it could not read, at most so many.
    pub unread_groups: Vec<UnreadGroup>,
    /// What it left aside, at most so many.
    pub left_aside: Vec<LeftAside>,
    /// What was deleted here and is here again, as an import has found it.
    pub shown_again: Returned,
    /// Why the last reconciliation since the start came to no end, and when that was.
    pub unreconciled: Option<(Millis, String)>,
    /// When the last one ended that came to its end.
    pub reconciled: Option<Millis>,
    /// Accounts with the address of one user: several that share it, or what is left
    /// to somebody who must have nothing; of at most so many.
    pub twins: Vec<Twins>,
    /// Whom the application shows with several groups that exclude each other, as far
    /// as they were read since the start; at most so many.
    pub several: Vec<WithSeveral>,
    /// What the last reconciliation found, or has found so far.
    pub drifted: Option<Drifted>,
}

/// Somebody whom the application shows with several groups of one family, by its
/// id there; what is known of it in them stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithSeveral {
    pub user: Option<ResourceId>,
    pub account: String,
    pub of: String,
}

/// How many of something are in the application as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsAsked {
    pub done: u64,
    pub all: u64,
}

impl AsAsked {
    fn of(all: u64, open: u64) -> Self {
        let done = all.saturating_sub(open);
        Self { done, all }
    }
}

impl ConnectionStatus {
    /// Users, and those that are to go.
    pub fn users_as_asked(&self) -> AsAsked {
        let counts = &self.counts;
        let open =
            counts.pending_users + counts.staged_users + counts.refused_users + counts.ended_users;
        let open = open + self.left().accounts;
        AsAsked::of(counts.users + counts.leaving_users, open)
    }

    /// Memberships, and those that are to go. Not those of a group that the
    /// configuration leaves out: who has one keeps it, and nobody is given it, so
    /// whether it is there is neither known nor to be done.
    pub fn memberships_as_asked(&self) -> AsAsked {
        let counts = &self.counts;
        let all = counts
            .memberships
            .saturating_sub(counts.left_out_memberships);
        let open = counts.pending_memberships
            + counts.stopped_memberships
            + counts.ended_memberships
            + counts.missed_memberships;
        AsAsked::of(
            all + counts.leaving_memberships,
            open.saturating_sub(counts.left_out_open),
        )
    }

    /// How many seconds the memberships that are pending take at least, at the
    /// pace of now: where each is a call of its own, or a look and a call.
    pub fn seconds_left(&self) -> Option<u64> {
        let (pending, pace) = (self.counts.pending_memberships, self.condition.per_second);
        let known = self.single && !self.paused && pending > 0 && pace > 0;
        known.then(|| pending.div_ceil(pace.into()))
    }

    /// Whether the last import or the last reconciliation failed: what is known of
    /// the application is of before.
    pub fn is_unread(&self) -> bool {
        let import = self.last_import.as_ref();
        import.is_some_and(|last| last.result.is_err()) || self.unreconciled.is_some()
    }

    /// Memberships that are there although they were taken away here, by the last
    /// reconciliation.
    pub fn given_back(&self) -> u64 {
        self.drifted.as_ref().map_or(0, |last| last.given_back)
    }

    /// What is there although it was taken away here: by the last reconciliation, what
    /// an import since has shown beside it, and what is here by an import of any time.
    pub fn returned(&self) -> Returned {
        let last = self.drifted.as_ref();
        let told = last.map(Drifted::returned).unwrap_or_default();
        let compared = last.and_then(|last| last.ended).unwrap_or_default();
        let import = self.last_import.as_ref();
        let since = import.filter(|import| import.at > compared);
        let told = told.or_more(self.shown_again);
        match since.map(|import| &import.result) {
            Some(Ok(seen)) => told.or_more(seen.returned),
            _ => told,
        }
    }

    /// What the last reconciliation left as it found it.
    pub fn left(&self) -> Left {
        self.drifted.as_ref().map(Drifted::left).unwrap_or_default()
    }
}

pub(super) fn why(delay: &Delay) -> String {
    match delay {
        Delay::Predecessor => {
            "a User with the same account was deleted, and is not gone from the application yet"
                .to_owned()
        }
        Delay::PredecessorUnsettled => {
            "a User with the same account was deleted, and a call about that one got no clear answer \
             from the application, so that it may still take effect, on whoever has the account \
             then; this one has it when late_writes is over"
                .to_owned()
        }
        Delay::PredecessorRefused(reason) => format!(
            "a User with the same account was deleted, and that was refused: {reason}; take away \
             what is in its way, or ask the application's administrator, then have it tried again \
             with `drawbridge reconcile --apply`"
        ),
        Delay::Unended => {
            "the account could not be ended when it was deactivated, and can be now; it is when that \
             is asked for again, or with `drawbridge reconcile --apply`"
                .to_owned()
        }
        Delay::EndedElsewhere => {
            "another connection of this bridge manages the account and has ended it; what is asked \
             for of the user in groups here is there again when that one makes it anew"
                .to_owned()
        }
        Delay::SameName => {
            "a Group of the same displayName was deleted, and is not gone from the application yet"
                .to_owned()
        }
        Delay::FirstLook => {
            "nobody is taken out of a group before the application was looked at for the first time \
             since the start"
                .to_owned()
        }
        Delay::Recovery => {
            "nothing is removed from groups before `drawbridge recovery end`".to_owned()
        }
        Delay::Keys => {
            "users or groups are known by something else than before, and nothing is sent before an \
             import has learnt which is which, and `drawbridge recovery end`"
                .to_owned()
        }
    }
}

/// Somebody who is to lose access and does not yet, or is to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Without, it is the end of the group that waits.
    pub user: Option<ResourceId>,
    /// It is the membership in this group that waits, and not the end of the user.
    pub group: Option<ResourceId>,
    /// Whether it is to come to be.
    pub wanted: bool,
    pub reason: String,
}

/// A user or group whose calls fail again and again; they are tried again behind
/// everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    pub of: ResourceType,
    pub id: ResourceId,
    /// In a row, since the start.
    pub tries: u32,
    /// How the last call ended; `None` where no call tells.
    pub reason: Option<String>,
}

/// The last time that the application was read.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRead {
    pub at: Millis,
    /// What it showed, or why it failed.
    pub result: Result<Imported, String>,
    /// The last time since the start that it could be read.
    pub good: Option<Millis>,
}

impl Bridge {
    /// Lets in who presents an operator's token.
    pub fn enter_operator(
        self: &Arc<Self>,
        tokens: &Tokens,
        authorization: &[u8],
        called: Called<'_>,
    ) -> Option<Operator> {
        tokens.check(bearer(authorization)?, clock::now())?;
        Some(Operator {
            bridge: Arc::clone(self),
            name: called.told(),
        })
    }

    /// An operator in this process.
    pub fn own_operator(self: &Arc<Self>, name: &str) -> Operator {
        Operator {
            bridge: Arc::clone(self),
            name: format!("operator {name}"),
        }
    }

    /// Whether requests that write can be taken.
    pub fn is_ready(&self) -> bool {
        *self.store.health().borrow() == Health::Well
    }

    /// For how long something is open that takes access away.
    pub(super) async fn revocation_open(
        &self,
        key: ConnectionKey,
    ) -> Result<Option<Duration>, StoreError> {
        let oldest = self.store.oldest_revocation(key).await?;
        let age = oldest.map(|since| u64::try_from(clock::now() - since).unwrap_or(0));
        Ok(age.map(Duration::from_millis))
    }

    /// Follows the switch and passes it on to every application.
    pub(super) fn heed_switch(self: &Arc<Self>) {
        let connections = self.connections.clone();
        tell_unknown(&self.switch.paused());
        let tell = move |paused: &Paused| {
            for connection in &connections {
                connection.upstream.brake(paused.stops(&connection.name));
            }
            tracing::warn!(
                everything = paused.everything,
                connections = ?paused.connections,
                "the kill switch has changed"
            );
            tell_unknown(paused);
        };
        let keys = self.connections.iter().map(|it| (it.name.clone(), it.key));
        let keys: HashMap<String, ConnectionKey> = keys.collect();
        let (store, engine) = (Arc::clone(&self.store), self.engine.clone());
        let keep = move |turns: Vec<Recorded>| {
            let turns = turns.into_iter().filter_map(|(name, stopped, who)| {
                let who = Called::Said(&who.unwrap_or_default()).told();
                Some((*keys.get(&name)?, stopped, who))
            });
            let (store, turns) = (Arc::clone(&store), turns.collect());
            engine.spawn(async move { record(&*store, turns).await });
        };
        self.switch.watch(&self.engine, tell, keep);
    }
}

fn tell_unknown(paused: &Paused) {
    if !paused.unknown.is_empty() {
        tracing::error!(
            names = ?paused.unknown,
            "everything is stopped: the file of the kill switch names what is no connection"
        );
    }
}

/// The switch is a file, so who turned it is who says so there, if anybody.
async fn record(store: &dyn Store, turned: Vec<(ConnectionKey, bool, String)>) {
    for (connection, stopped, name) in turned {
        let action = if stopped { "pause" } else { "resume" };
        let actor = Actor {
            name,
            at: clock::now(),
            watch: Watch::Off,
            put: false,
        };
        if let Err(error) = store.note(connection, action, actor).await {
            tracing::error!(%error, "the kill switch cannot be recorded");
        }
    }
}

impl Connection {
    pub(super) fn note_import(&self, result: Result<Imported, String>) {
        let at = clock::now();
        self.imported.send_modify(|last| {
            let before = last.as_ref().and_then(|last| last.good);
            let good = if result.is_ok() { Some(at) } else { before };
            *last = Some(LastRead { at, result, good });
        });
    }

    fn last_import(&self) -> Option<LastRead> {
        self.imported.borrow().clone()
    }

    /// Returns when the first import since the start has ended, one way or the
    /// other; at once where there is none.
    pub(super) async fn when_imported(&self) {
        if self.policy.import_at_start {
            // The sender is here, so there is nothing to fail.
            let _ = self.imported.subscribe().wait_for(Option::is_some).await;
        }
    }
}

impl Operator {
    /// Of the audit: `operator` and who it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn who_waits(&self, connection: &Connection) -> Result<Vec<Waiting>, StoreError> {
        let mut waiting = Vec::new();
        for (lane, waits) in connection.lanes.waits() {
            let (users, group) = match lane {
                Lane::Group(_) if waits.users.is_empty() && waiting.len() < SHOWN => {
                    waiting.push(Waiting {
                        user: None,
                        group: waits.group,
                        wanted: false,
                        reason: waits.reason,
                    });
                    continue;
                }
                Lane::User(_) => (waits.users, None),
                // Who is out by the end of their access waits for no turn of the group.
                Lane::Group(key) => {
                    let open = self.bridge.store.open_pairs(key, waits.users).await?;
                    (open, waits.group)
                }
            };
            let users = users.into_iter().take(SHOWN - waiting.len());
            let users = self.bridge.store.user_ids(users.collect()).await?;
            waiting.extend(users.into_iter().map(|user| Waiting {
                user: Some(user),
                group,
                wanted: waits.wanted,
                reason: waits.reason.clone(),
            }));
        }
        let left = SHOWN - waiting.len();
        let delayed = self.bridge.store.delayed(connection.key, left).await?;
        waiting.extend(delayed.into_iter().map(|(user, delay)| Waiting {
            user: Some(user),
            group: None,
            wanted: true,
            reason: why(&delay),
        }));
        Ok(waiting)
    }

    async fn who_fails(&self, connection: &Connection) -> Result<Vec<Failing>, StoreError> {
        let mut failing = Vec::new();
        for lane in connection.lanes.failing().into_iter().take(SHOWN) {
            let id = self.bridge.store.id_of(lane.lane).await?;
            failing.extend(id.map(|id| Failing {
                of: match lane.lane {
                    Lane::User(_) => ResourceType::User,
                    Lane::Group(_) => ResourceType::Group,
                },
                id,
                tries: lane.tries,
                reason: lane.reason,
            }));
        }
        Ok(failing)
    }

    async fn with_several(&self, connection: &Connection) -> Result<Vec<WithSeveral>, StoreError> {
        let shown = connection.upstream.condition().several;
        let mut several = Vec::new();
        for one in shown.into_iter().take(SHOWN) {
            let who = vec![(Some(one.upstream_id.clone()), Some(one.account))];
            let users = self.bridge.store.users_shown(connection.key, who).await?;
            several.push(WithSeveral {
                user: users.into_iter().next(),
                account: one.upstream_id,
                of: one.family,
            });
        }
        Ok(several)
    }

    async fn with_other_address(
        &self,
        connection: &Connection,
    ) -> Result<Vec<ResourceId>, StoreError> {
        let users = self
            .bridge
            .store
            .said_otherwise(connection.key, SHOWN)
            .await?;
        let project = |user: &_| connection.upstream.project(user).ok()?.key;
        let differs = |user: &StoredUser| {
            let said = project(&user.row.attributes);
            user.row.account.active && said.is_some() && said != user.row.account_key
        };
        let differing = users.into_iter().filter(differs);
        Ok(differing.map(|user| user.id).collect())
    }

    /// Rows of the audit after a number, oldest first.
    pub async fn audit(&self, after: i64, most: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.bridge.store.audit(after, most).await
    }

    /// How everything stands now.
    pub async fn status(&self) -> Result<Status, StoreError> {
        let (paused, store) = (self.bridge.switch.paused(), &self.bridge.store);
        let mut connections = Vec::new();
        for connection in &self.bridge.connections {
            let reconciling = connection.reconciling();
            let drifted = store.drifted(connection.key).await?;
            let mut refused = store.refusals(connection.key, SHOWN).await?;
            refused.retain(|it| !it.sleeps);
            // While one goes on, what is kept has no end yet.
            let ended = drifted.as_ref().and_then(|last| last.ended);
            let condition = connection.upstream.condition();
            let replaced = condition.replaced.clone();
            let replaced = store.asked_for_in(connection.key, replaced, SHOWN).await?;
            connections.push(ConnectionStatus {
                name: connection.name.clone(),
                application: connection.upstream.capabilities().application.to_string(),
                paused: paused.stops(&connection.name),
                condition,
                counts: self.bridge.store.counts(connection.key).await?,
                refused,
                refused_resources: store.refused_resources(connection.key, SHOWN).await?,
                waiting: self.who_waits(connection).await?,
                failing: self.who_fails(connection).await?,
                elsewhere: store.managed_elsewhere(connection.key, SHOWN).await?,
                places: store.places_elsewhere(connection.key, SHOWN).await?,
                shown_again: store.shown_again(connection.key).await?,
                not_offered: store.not_offered(connection.key, SHOWN).await?,
                replaced,
                left_alone: store.left_alone(connection.key, SHOWN).await?,
                other_address: self.with_other_address(connection).await?,
                with_unknown: store.with_unknown(connection.key, SHOWN).await?,
                single: connection.upstream.has_families(),
                revocation_open: self.bridge.revocation_open(connection.key).await?,
                recovery: self.bridge.store.recovery(connection.key).await?,
                unseen: store.is_unseen(connection.key).await?,
                never_read: connection.policy.import_at_start
                    && !store.was_imported(connection.key).await?,
                dropped_attributes: connection.dropped_attributes(),
                request_budget: connection.budget.per_second(),
                requests_refused: connection.budget.refused(),
                last_import: connection.last_import(),
                unread_groups: connection.unread_groups().into_iter().take(SHOWN).collect(),
                left_aside: connection.left_aside.borrow().clone(),
                twins: store.twins(connection.key, SHOWN).await?,
                several: self.with_several(connection).await?,
                unreconciled: reconciling.failure(),
                reconciled: ended.max(reconciling.good),
                drifted,
            });
        }
        Ok(Status {
            at: clock::now(),
            started: self.bridge.started,
            ready: self.bridge.is_ready(),
            lost_record: self.bridge.lost_record,
            everything_paused: paused.everything,
            paused_unknown: paused.unknown.into_iter().collect(),
            connections,
        })
    }
}
