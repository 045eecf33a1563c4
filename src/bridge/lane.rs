//! Lanes: one worker per user or group with work, one turn at a time.
//!
//! A lane that is idle starts at once; what arrives while a turn is under way
//! is taken whole by the next one, so many small requests become few calls. A
//! request waits here for the turn that carries its change. Nothing is queued
//! in memory: the store holds what is open, so losing a lane loses nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    clock,
    converge::{self, Counts, Doubts, Pause, People, Since},
    switch::Switch,
};
use crate::{
    plan::{
        guard::Guard,
        state::{ConnectionKey, Existence, GroupKey, UserKey},
    },
    scim::resource::ResourceId,
    store::{Counting, GroupLearned, GroupTurn, Lane, Millis, Store, StoreError, UserLearned},
    upstream::{Upstream, ahead},
};

pub(super) mod brink;
mod found;
mod places;

use brink::Kept;
pub(super) use places::Places;

/// Most pairs in one turn: bounds memory and the size of one transaction.
const TURN_LIMIT: usize = 5_000;
/// Where each pair is a call of its own: what takes access away must not wait
/// for the end of a first synchronization.
const SINGLE_LIMIT: usize = 200;
/// An idle lane is forgotten after this long; its last refusals with it.
const KEEP_IDLE: Duration = Duration::from_secs(10);
/// Refusals a lane remembers for requests that ask late.
const KEPT_REFUSALS: usize = 1_000;
/// First and longest back-off.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(900));
/// The same where only another connection of this bridge has to let go.
const HAND_OVER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Least time between two attempts when new work interrupts a back-off.
const LEAST_GAP: Duration = Duration::from_millis(100);
/// By how much later a lane tries again for every time it found the application
/// away, and at most: thousands of them need not look every time.
const AWAY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// The same where access is taken away, less than by how much other calls leave
/// the tries to removals then; and for how many attempts.
const AWAY_TAKING: (Duration, u32) = (Duration::from_millis(400), 12);
/// Most time a busy lane waits for the requests that usually follow at once on
/// the answers it just gave. An idle lane never waits.
const LONGEST_LINGER: Duration = Duration::from_millis(25);

/// How long a lane rests when the application refuses our credential, and how
/// soon it sees that there is another one.
const DENIED_PAUSE: Duration = Duration::from_secs(30);
const CREDENTIAL_LOOK: Duration = Duration::from_secs(1);
/// Two users of one account would each take away what the other one is given.
const BOUND: &str = "the account is there already, and belongs to another User here";
/// How long a lane rests when the store takes no writes.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How often background work looks for a quiet moment before it goes on.
const QUIET_LOOKS: u32 = 20;
/// How often is looked for calls that may have landed late.
const RECHECK: Duration = Duration::from_secs(5);

/// How a request's change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settled {
    Done,
    /// It waits for an account that is not there yet.
    Open,
    /// The user or group itself was refused, or some members were.
    Refused {
        whole: Option<String>,
        members: Vec<(UserKey, String)>,
    },
}

/// Who is not taken out of a group yet, or whose account is not ended, because of
/// what that group shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) users: Vec<UserKey>,
    pub(super) group: ResourceId,
    pub(super) reason: String,
}

/// All lanes of one connection.
#[derive(Debug, Clone)]
pub(super) struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: String,
    switch: Switch,
    store: Arc<dyn Store>,
    upstream: Arc<dyn Upstream>,
    engine: tokio::runtime::Handle,
    lanes: Mutex<HashMap<Lane, State>>,
    /// Where groups are of families: nobody is told of twice at once.
    people: Option<People>,
    /// How far what the application shows may lag behind.
    read_lag: Duration,
    guard: Arc<Guard>,
    places: Places,
    /// Whether an account that was ended can come back.
    returns: bool,
    failed: found::Failed,
    /// What was done before is not known.
    began: Instant,
    others: OnceLock<Others>,
}

/// Where lanes of other connections are woken.
pub(super) type Others = mpsc::UnboundedSender<(ConnectionKey, Lane)>;

#[derive(Debug)]
struct State {
    running: bool,
    kicked: bool,
    /// The last turn was to take access away.
    takes: bool,
    /// What it did not send, and why.
    waits: Option<Waits>,
    /// Requests that came since the last turn began.
    arrivals: usize,
    /// Requests that the last turn answered.
    crowd: usize,
    notify: Arc<Notify>,
    waiters: Vec<Waiter>,
    /// The newest change whose effect on the user or group itself is settled.
    seen: u64,
    refusals: Vec<Refusal>,
    /// Whom the last turn left unsent, where it did nothing else.
    unsent: Vec<UserKey>,
    idle_since: Instant,
    /// When a turn last did something in the application, or may have.
    done: Option<Instant>,
    /// The change by which everything was ended but what waits for a look.
    parted: Option<u64>,
}

#[derive(Debug)]
struct Waiter {
    /// The change waited for.
    seq: u64,
    /// Pairs not yet known to have arrived; empty for a user's lane and for a
    /// group that only is created or deleted.
    pairs: HashSet<UserKey>,
    /// The user or group itself is waited for.
    whole: bool,
    answer: oneshot::Sender<Settled>,
}

#[derive(Debug, Clone)]
struct Refusal {
    seq: u64,
    user: Option<UserKey>,
    reason: String,
}

impl State {
    fn new() -> Self {
        Self {
            running: false,
            kicked: false,
            takes: false,
            waits: None,
            arrivals: 0,
            crowd: 0,
            notify: Arc::new(Notify::new()),
            waiters: Vec::new(),
            seen: 0,
            refusals: Vec::new(),
            unsent: Vec::new(),
            idle_since: Instant::now(),
            done: None,
            parted: None,
        }
    }

    /// Whether a turn did nothing that the one before it did not do.
    fn repeats(&mut self, learned: &GroupLearned) -> bool {
        let mut unsent = Vec::new();
        if learned.is_idle() {
            unsent.clone_from(&learned.unsent);
            unsent.sort_unstable();
        }
        let same = !unsent.is_empty() && unsent == self.unsent;
        self.unsent = unsent;
        same
    }

    /// Sends the answers that `decide` gives to the waiters that `which` picks.
    fn answer(
        &mut self,
        which: impl Fn(&Waiter) -> bool,
        mut decide: impl FnMut(&mut Waiter) -> Option<Settled>,
    ) {
        for mut waiter in std::mem::take(&mut self.waiters) {
            let answer = if which(&waiter) {
                decide(&mut waiter)
            } else {
                None
            };
            match answer {
                Some(answer) => {
                    self.crowd += 1;
                    let _ = waiter.answer.send(answer);
                }
                None => self.waiters.push(waiter),
            }
        }
    }

    /// Keeps a refusal for a request that will ask only after its turn ended.
    fn remember(&mut self, refusal: Refusal) {
        if self.refusals.len() >= KEPT_REFUSALS {
            self.refusals.remove(0);
        }
        self.refusals.push(refusal);
    }

    fn earlier_refusal(&self, waiter: &Waiter) -> Option<Settled> {
        let later = self.refusals.iter().filter(|r| r.seq >= waiter.seq);
        let (whole, members): (Vec<_>, Vec<_>) = later.partition(|r| r.user.is_none());
        let whole = whole
            .first()
            .filter(|_| waiter.whole)
            .map(|r| r.reason.clone());
        let named = |r: &&Refusal| {
            Some((
                r.user.filter(|u| waiter.pairs.contains(u))?,
                r.reason.clone(),
            ))
        };
        let members: Vec<_> = members.iter().filter_map(named).collect();
        (whole.is_some() || !members.is_empty()).then_some(Settled::Refused { whole, members })
    }
}

/// What a group turn tells the requests that wait.
struct Summary {
    /// The group itself is as wanted.
    whole: bool,
    group_refused: Option<String>,
    refused: HashMap<UserKey, String>,
    settled: HashSet<UserKey>,
}

impl Summary {
    fn of(learned: &GroupLearned, whole: bool) -> Self {
        Self {
            whole,
            group_refused: learned.group_refused.clone(),
            refused: learned.refused.iter().cloned().collect(),
            settled: learned
                .present
                .iter()
                .chain(&learned.absent)
                .copied()
                .collect(),
        }
    }

    fn tell(self, state: &mut State, seq: u64) {
        if self.whole || self.group_refused.is_some() {
            state.seen = state.seen.max(seq);
        }
        if let Some(reason) = &self.group_refused {
            state.remember(Refusal {
                seq,
                user: None,
                reason: reason.clone(),
            });
        }
        for (user, reason) in &self.refused {
            state.remember(Refusal {
                seq,
                user: Some(*user),
                reason: reason.clone(),
            });
        }
        state.answer(|w| w.seq <= seq, |waiter| self.answer(waiter));
    }

    fn answer(&self, waiter: &mut Waiter) -> Option<Settled> {
        if let Some(reason) = &self.group_refused {
            return Some(Settled::Refused {
                whole: Some(reason.clone()),
                members: Vec::new(),
            });
        }
        let hit = |user: &UserKey| Some((*user, self.refused.get(user)?.clone()));
        let members: Vec<_> = waiter.pairs.iter().filter_map(hit).collect();
        if !members.is_empty() {
            return Some(Settled::Refused {
                whole: None,
                members,
            });
        }
        waiter.pairs.retain(|user| !self.settled.contains(user));
        (waiter.pairs.is_empty() && (self.whole || !waiter.whole)).then_some(Settled::Done)
    }
}

/// What became of the pairs of a group since they were handed out.
struct SinceSeq<'a> {
    lanes: &'a Lanes,
    store: &'a dyn Store,
    key: GroupKey,
    seq: u64,
}

#[async_trait]
impl Since for SinceSeq<'_> {
    async fn written(&self, users: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        self.store.written_since(self.key, self.seq, users).await
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        self.store.without_row(self.key, names).await
    }

    fn read_lag(&self) -> Duration {
        self.lanes.0.read_lag
    }

    fn done_lately(&self) -> bool {
        let lanes = &self.lanes.0;
        let done = self.lanes.with(Lane::Group(self.key), |state| state.done);
        done.flatten().unwrap_or(lanes.began).elapsed() < lanes.read_lag
    }

    fn is_overtaken(&self) -> bool {
        let kicked = self.lanes.with(Lane::Group(self.key), |state| state.kicked);
        kicked == Some(true)
    }
}

#[async_trait]
impl Counts for SinceSeq<'_> {
    async fn counting(&self, user: UserKey, wanted: bool) -> Result<Option<Counting>, StoreError> {
        let mut counting = self.store.counting(self.key, user, wanted).await?;
        if let Some(counting) = &mut counting
            && let Some(holding) = &mut counting.holding
        {
            // What was told after now was told by another clock.
            let age = counting.told.map(|told| clock::now().saturating_sub(told));
            holding.age = age
                .and_then(|age| u64::try_from(age).ok())
                .map(Duration::from_millis);
        }
        Ok(counting)
    }
}

impl Lanes {
    /// `engine` is the runtime that carries the workers and the upstream calls;
    /// `sent_lately`: the process before this one may have sent something.
    pub(super) fn new(
        connection: String,
        switch: Switch,
        store: Arc<dyn Store>,
        upstream: Arc<dyn Upstream>,
        engine: tokio::runtime::Handle,
        sent_lately: bool,
        (read_lag, guard, places, returns): (Duration, Arc<Guard>, Places, bool),
    ) -> Self {
        let families = upstream.has_families();
        Self(Arc::new(Inner {
            people: families.then(|| People::new(sent_lately)),
            connection,
            switch,
            store,
            upstream,
            engine,
            lanes: Mutex::default(),
            read_lag,
            guard,
            places,
            returns,
            failed: found::Failed::default(),
            began: Instant::now(),
            others: OnceLock::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lane, State>> {
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn know_others(&self, others: Others) {
        let _ = self.0.others.set(others);
    }

    /// Starts or wakes a lane.
    pub(super) fn kick(&self, lane: Lane) {
        let mut lanes = self.lock();
        let state = lanes.entry(lane).or_insert_with(State::new);
        self.wake(lane, state);
        forget_idle(&mut lanes, self.0.read_lag);
    }

    /// What waits for a look at a group; true where it is the end of access.
    pub(super) fn waits(&self) -> Vec<(bool, Waits)> {
        let lanes = self.lock();
        let waits = lanes.iter().filter_map(|(lane, state)| {
            Some((matches!(lane, Lane::User(_)), state.waits.clone()?))
        });
        waits.collect()
    }

    /// Now and then says again what a late call may have undone; see
    /// [`Store::recheck_late`]. Lives on the engine's runtime and ends with it.
    pub(super) fn recheck_late(&self, connection: ConnectionKey, after: Duration) {
        let lanes = self.clone();
        let millis = |span: Duration| Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX);
        let (patience, lag) = (millis(after), millis(self.0.read_lag));
        self.0.engine.spawn(async move {
            let mut tick = tokio::time::interval(RECHECK.min(after / 8).max(LEAST_GAP));
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut steps = clock::Steps::begin();
            loop {
                tick.tick().await;
                if let Some((was, is)) = steps.look() {
                    tracing::warn!(was, is, "the clock was set");
                    if let Err(error) = lanes.0.store.clock_set(connection, was, is).await {
                        tracing::error!(%error, "what was noted by the old clock stays so");
                    }
                }
                let now = clock::now();
                let due = [patience, patience / 2].map(|ago| now.saturating_sub(ago));
                let open = lanes.0.store.recheck_late(connection, due.into(), now, lag);
                match open.await {
                    Ok(open) => lanes.kick_all(open),
                    Err(error) => tracing::error!(%error, "late calls cannot be rechecked"),
                }
            }
        });
    }

    /// Background work waits until no request waits for the application, but
    /// not for ever.
    pub(super) async fn when_quiet(&self) {
        for _ in 0..QUIET_LOOKS {
            let busy = self.lock().values().any(|state| !state.waiters.is_empty());
            if !busy {
                return;
            }
            tokio::time::sleep(LEAST_GAP).await;
        }
    }

    fn wake(&self, lane: Lane, state: &mut State) {
        state.kicked = true;
        if state.running {
            state.notify.notify_one();
        } else {
            state.running = true;
            let lanes = self.clone();
            self.0.engine.spawn(async move { lanes.work(lane).await });
        }
    }

    /// Waits for a committed change: `seq` as the store told it, the pairs it
    /// named, and whether the user or group itself is part of it. Wakes the
    /// lane. The receiver may be dropped at any time.
    pub(super) fn wait(
        &self,
        lane: Lane,
        seq: u64,
        pairs: Vec<UserKey>,
        whole: bool,
    ) -> oneshot::Receiver<Settled> {
        let (answer, receiver) = oneshot::channel();
        let mut lanes = self.lock();
        let state = lanes.entry(lane).or_insert_with(State::new);
        let waiter = Waiter {
            seq,
            pairs: pairs.into_iter().collect(),
            whole,
            answer,
        };
        // A turn may have ended between the commit and this call.
        if let Some(refused) = state.earlier_refusal(&waiter) {
            let _ = waiter.answer.send(refused);
        } else {
            state.waiters.retain(|w| !w.answer.is_closed());
            state.waiters.push(waiter);
            state.arrivals += 1;
            self.wake(lane, state);
        }
        forget_idle(&mut lanes, self.0.read_lag);
        receiver
    }

    async fn work(self, lane: Lane) {
        let mut attempts: u32 = 0;
        let mut doubts = Doubts::new();
        let mut recoveries = self.0.upstream.recoveries();
        let mut places = self.0.places.watch();
        loop {
            places.begin();
            // What comes back from here on is not missed.
            if let Some(recoveries) = &mut recoveries {
                recoveries.mark_unchanged();
            }
            self.0.switch.until(&self.0.connection, true).await;
            self.with(lane, |state| {
                state.kicked = false;
                state.arrivals = 0;
                state.crowd = 0;
            });
            let started = Instant::now();
            let turn = match lane {
                Lane::User(key) => self.user_turn(key).await,
                Lane::Group(key) => self.group_turn(key, &mut doubts).await,
            };
            let pause = match turn {
                Ok(Some(pause)) => pause,
                Ok(None) => {
                    self.answer_settled(lane).await;
                    if self.rest(lane) {
                        return;
                    }
                    attempts = 0;
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "a lane cannot use the store");
                    Pause::For(STORE_PAUSE)
                }
            };
            if pause == Pause::None {
                attempts = 0;
                self.linger(lane, started.elapsed()).await;
            } else if let Pause::Within(_) = pause {
                attempts = 0;
                self.pause(lane, pause, attempts).await;
            } else {
                attempts = attempts.saturating_add(1);
                tokio::select! {
                    () = self.pause(lane, pause, attempts) => {}
                    () = recovery(recoveries.as_mut()) => attempts = 0,
                    () = places.free(pause) => {}
                }
            }
        }
    }

    /// Idle unless something came in meanwhile; true when the worker ends.
    fn rest(&self, lane: Lane) -> bool {
        self.with(lane, |state| {
            state.running = state.kicked;
            state.waits = None;
            state.idle_since = Instant::now();
            !state.running
        })
        .unwrap_or(true)
    }

    fn with<T>(&self, lane: Lane, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        self.lock().get_mut(&lane).map(act)
    }

    // ------------------------------------------------------------ turns

    async fn user_turn(&self, key: UserKey) -> Result<Option<Pause>, StoreError> {
        let mut told = match &self.0.people {
            Some(people) => match self.0.store.account(key).await? {
                Some(account) => Some(people.alone(&account).await),
                None => return Ok(None),
            },
            None => None,
        };
        let Some(turn) = self.0.store.begin_user_turn(key).await? else {
            return Ok(None);
        };
        point!("user-turn.taken");
        // Whoever comes late is told of this attempt, and not of the one before.
        let takes = !turn.work.wanted.active;
        self.with(Lane::User(key), |state| {
            state.refusals.clear();
            state.takes = takes;
        });
        let (version, begun, unjudged) = (turn.version, turn.begun, turn.unjudged);
        let upstream = self.0.upstream.as_ref();
        let before = turn.work.observed.clone();
        let was_there = before.existence == Existence::Present;
        let ends = takes && before.existence != Existence::Absent;
        let looks = ends && self.0.returns && !upstream.capabilities().withdraws();
        let work = async {
            let kept = self.keep_user(&turn).await?;
            if looks && kept.as_ref().is_none_or(|it| !it.keeps.is_empty()) {
                self.see_found(Lane::User(key)).await?;
            }
            if let Some(mut kept) = kept {
                self.part(&turn, &mut kept, told.as_deref_mut()).await;
                return Ok::<_, StoreError>(kept);
            }
            let (learned, pause) = converge::user_turn(upstream, turn, told.as_deref_mut()).await;
            Ok(Kept {
                learned,
                pause,
                waits: None,
                keeps: Vec::new(),
            })
        };
        let Kept {
            mut learned,
            pause,
            waits,
            ..
        } = first_if(takes, work).await?;
        point!("user-turn.worked");
        if let Some(id) = &learned.upstream_id
            && self.0.store.is_bound_elsewhere(key, id.clone()).await?
        {
            // Of who must have nothing nothing is there then.
            learned = UserLearned {
                about: learned.about,
                observed: Some(before),
                settled: true,
                refused: (!learned.found).then(|| BOUND.to_owned()),
                calls: learned.calls,
                ..UserLearned::default()
            };
        }
        if learned.found && unjudged {
            let actor = brink::actor(&self.0.guard);
            if let Some(reason) = self.0.store.may_end(key, actor).await? {
                learned = UserLearned {
                    about: learned.about,
                    again: true,
                    refused: Some(reason),
                    ..UserLearned::default()
                };
            }
        }
        if begun {
            converge::note_begun(&mut learned);
        }
        // What was not sent is settled, too, and yet to be done.
        let goes_on = learned.withdraws || learned.found;
        let ended = learned.again || learned.settled && !goes_on && pause == Pause::None;
        let refused = learned.refused.clone();
        let record = || {
            let store = &self.0.store;
            store.end_user_turn(key, learned.clone(), clock::now())
        };
        let woken = recorded(record).await?;
        point!("user-turn.ended");
        if takes && ended {
            self.0.places.freed();
        }
        self.with(Lane::User(key), |state| {
            state.waits = waits;
            if !ended {
                return;
            }
            state.seen = state.seen.max(version);
            if let Some(reason) = &refused {
                state.remember(Refusal {
                    seq: version,
                    user: None,
                    reason: reason.clone(),
                });
            }
            state.answer(
                |w| w.seq <= version,
                |_| match &refused {
                    None => Some(Settled::Done),
                    Some(reason) => Some(Settled::Refused {
                        whole: Some(reason.clone()),
                        members: Vec::new(),
                    }),
                },
            );
        });
        self.kick_all(woken);
        let observed = learned.observed.as_ref();
        let is_there = observed.is_some_and(|it| it.existence == Existence::Present);
        if learned.recreated || is_there && !was_there {
            self.wake_others(key).await?;
        }
        Ok(Some(pause))
    }

    async fn group_turn(
        &self,
        key: GroupKey,
        doubts: &mut Doubts,
    ) -> Result<Option<Pause>, StoreError> {
        let limit = turn_limit(self.0.people.is_some());
        let Some(mut turn) = self.0.store.begin_group_turn(key, limit).await? else {
            return Ok(None);
        };
        point!("turn.taken");
        let takes = !turn.work.wanted || !turn.work.removes.is_empty();
        self.with(Lane::Group(key), |state| state.takes = takes);
        // Who is put there at the same time would be first with it.
        let first = takes && turn.work.adds.is_empty();
        let mut spared = first_if(takes, self.spare(&mut turn)).await?;
        let waits = spared.waits();
        if takes {
            first_if(takes, self.see_found(Lane::Group(key))).await?;
        }
        let seq = turn.seq;
        let target = if turn.work.wanted {
            Existence::Present
        } else {
            Existence::Absent
        };
        let was_there = turn.work.observed;
        let since = SinceSeq {
            lanes: self,
            store: self.0.store.as_ref(),
            key,
            seq,
        };
        let (upstream, people) = (self.0.upstream.as_ref(), self.0.people.as_ref());
        let work = send(upstream, people, turn, &since, doubts);
        let (mut learned, pause) = first_if(first, work).await;
        let pause = spared.add_to(&mut learned, pause);
        let now = Instant::now();
        let repeats = self.with(Lane::Group(key), |state| {
            if learned.calls.iter().any(converge::was_done) {
                state.done = Some(now);
            }
            state.repeats(&learned)
        });
        learned.repeats = repeats.unwrap_or_default();
        point!("turn.worked");
        let placed = learned.existence.unwrap_or(was_there) == target;
        let summary = Summary::of(&learned, placed && !learned.title_open);
        let record = || {
            let store = &self.0.store;
            store.end_group_turn(key, seq, learned.clone(), clock::now())
        };
        let woken = recorded(record).await?;
        point!("turn.ended");
        if !learned.absent.is_empty() {
            self.0.places.freed();
        }
        self.with(Lane::Group(key), |state| {
            state.waits = waits;
            summary.tell(state, seq);
        });
        point!("turn.told");
        self.kick_all(woken);
        Ok(Some(pause))
    }

    /// Of other connections at the tenant, that put the same account into groups.
    async fn wake_others(&self, key: UserKey) -> Result<(), StoreError> {
        let Some(others) = self.0.others.get() else {
            return Ok(());
        };
        for lane in self.0.store.asked_elsewhere(key).await? {
            // At the end nobody is left to be woken.
            let _ = others.send(lane);
        }
        Ok(())
    }

    pub(super) fn kick_all(&self, lanes: Vec<Lane>) {
        for lane in lanes {
            self.kick(lane);
        }
    }

    /// Nothing is left that can be sent: whoever waits for pairs that are not
    /// open any more is done, and so is who waits for a change of a user that a
    /// later one took back unsent. Pairs that wait for an account stay open.
    async fn answer_settled(&self, lane: Lane) {
        let waiting = self.with(lane, |state| {
            state.waiters.retain(|w| !w.answer.is_closed());
            let pairs: HashSet<UserKey> = state
                .waiters
                .iter()
                .flat_map(|w| w.pairs.iter().copied())
                .collect();
            (!state.waiters.is_empty()).then_some(pairs)
        });
        let Some(Some(pairs)) = waiting else { return };
        let overtaken = match lane {
            Lane::User(key) => match self.0.store.is_open(key).await {
                Ok(open) => !open,
                Err(error) => return tracing::error!(%error, "a lane cannot use the store"),
            },
            Lane::Group(_) => false,
        };
        let open: HashSet<UserKey> = match lane {
            Lane::Group(key) if !pairs.is_empty() => {
                match self
                    .0
                    .store
                    .open_pairs(key, pairs.into_iter().collect())
                    .await
                {
                    Ok(open) => open.into_iter().collect(),
                    Err(error) => return tracing::error!(%error, "a lane cannot use the store"),
                }
            }
            _ => HashSet::new(),
        };
        let staged = match self.staged_among(&open).await {
            Ok(staged) => staged,
            Err(error) => return tracing::error!(%error, "a lane cannot use the store"),
        };
        self.with(lane, |state| {
            if state.kicked {
                return; // A newer change may be among the waiters: look again first.
            }
            let seen = state.seen;
            let ended = |w: &Waiter| !w.whole || overtaken || w.seq <= seen;
            state.answer(
                |w| w.pairs.is_disjoint(&open) && ended(w),
                |_| Some(Settled::Done),
            );
            let waits = |user: &UserKey| staged.contains(user) || !open.contains(user);
            state.answer(
                |w| w.pairs.iter().all(waits) && ended(w),
                |_| Some(Settled::Open),
            );
        });
    }

    /// Whose account is not there yet, and only appears by itself.
    async fn staged_among(&self, open: &HashSet<UserKey>) -> Result<HashSet<UserKey>, StoreError> {
        if self.0.people.is_none() || open.is_empty() {
            return Ok(HashSet::new());
        }
        let open = open.iter().copied().collect();
        Ok(self.0.store.staged_among(open).await?.into_iter().collect())
    }

    // ------------------------------------------------------------ waiting

    /// After answers were given to a crowd, the crowd's next requests are on
    /// their way: wait a moment for them, never longer than a quarter of what
    /// the turn took.
    async fn linger(&self, lane: Lane, turn: Duration) {
        let counts = self.with(lane, |state| (state.crowd, state.arrivals + state.crowd));
        let Some((2.., expected)) = counts else {
            return;
        };
        let end = Instant::now() + (turn / 4).min(LONGEST_LINGER);
        loop {
            let Some((notify, enough)) =
                self.with(lane, |s| (Arc::clone(&s.notify), s.arrivals >= expected))
            else {
                return;
            };
            if enough
                || tokio::time::timeout_at(end, notify.notified())
                    .await
                    .is_err()
            {
                return;
            }
        }
    }

    async fn pause(&self, lane: Lane, pause: Pause, attempts: u32) {
        let seen = self.with(lane, |state| (Arc::clone(&state.notify), state.takes));
        let Some((notify, takes)) = seen else {
            return;
        };
        match pause {
            Pause::None => {}
            Pause::For(wait) => {
                let away = self.0.upstream.condition().unreachable;
                let most = match (away, takes && attempts <= AWAY_TAKING.1) {
                    (false, _) => Duration::ZERO,
                    (true, true) => AWAY_TAKING.0,
                    (true, false) => (AWAY.0 * attempts).min(AWAY.1),
                };
                tokio::time::sleep(wait.min(BACK_OFF.1) + clock::jitter(most)).await;
            }
            Pause::UntilAccepted => {
                let end = Instant::now() + DENIED_PAUSE;
                while Instant::now() < end {
                    tokio::time::sleep(CREDENTIAL_LOOK).await;
                    if !self.0.upstream.is_refused() {
                        return;
                    }
                }
            }
            Pause::Within(wait) => {
                tokio::time::sleep(LEAST_GAP).await;
                let _ =
                    tokio::time::timeout(wait.saturating_sub(LEAST_GAP), notify.notified()).await;
            }
            Pause::BackOff => {
                let wait = clock::jitter(backed_off(BACK_OFF, attempts)).max(LEAST_GAP);
                tokio::time::sleep(LEAST_GAP).await;
                let _ =
                    tokio::time::timeout(wait.saturating_sub(LEAST_GAP), notify.notified()).await;
            }
            Pause::HandedOver => {
                let wait = backed_off(HAND_OVER, attempts.saturating_sub(1));
                tokio::time::sleep(LEAST_GAP).await;
                let _ =
                    tokio::time::timeout(wait.saturating_sub(LEAST_GAP), notify.notified()).await;
            }
        }
    }
}

/// The wait after so many attempts, between the first and the longest.
fn backed_off((first, longest): (Duration, Duration), attempts: u32) -> Duration {
    let grown = first.saturating_mul(2_u32.saturating_pow(attempts.min(16)));
    grown.min(longest)
}

/// Most pairs in one turn; `single`: each is a call.
pub(super) fn turn_limit(single: bool) -> usize {
    if single { SINGLE_LIMIT } else { TURN_LIMIT }
}

/// Whatever is asked of the application within goes where removals go, if it is
/// to take access away.
async fn first_if<F: Future>(takes: bool, work: F) -> F::Output {
    if takes { ahead(work).await } else { work.await }
}

/// Works a group turn off, in the way of its group.
pub(super) async fn send(
    upstream: &dyn Upstream,
    people: Option<&People>,
    mut turn: GroupTurn,
    since: &(impl Since + Counts),
    doubts: &mut Doubts,
) -> (GroupLearned, Pause) {
    let is_there = turn.work.wanted && turn.work.observed == Existence::Present;
    match (turn.family.take().filter(|_| is_there), people) {
        (Some(family), Some(people)) => {
            converge::family_turn(upstream, turn, &family, since, people).await
        }
        _ => converge::group_turn(upstream, turn, since, doubts).await,
    }
}

/// When the application has come back.
async fn recovery(recoveries: Option<&mut watch::Receiver<u64>>) {
    let Some(recoveries) = recoveries else {
        return std::future::pending().await;
    };
    if recoveries.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What the application said, an unclear end above all, must not be forgotten
/// because the disk is full for a while: the lane waits until it is kept.
async fn recorded<T, F>(record: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match record().await {
            Err(StoreError::Unavailable(why)) => {
                tracing::error!(why, "what the application answered cannot be recorded yet");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            end => return end,
        }
    }
}

/// But none that may have done something that a look does not show yet.
fn forget_idle(lanes: &mut HashMap<Lane, State>, read_lag: Duration) {
    let keep = KEEP_IDLE.max(read_lag);
    if lanes.len() > 256 && lanes.len().is_multiple_of(64) {
        lanes.retain(|_, s| s.running || !s.waiters.is_empty() || s.idle_since.elapsed() < keep);
    }
}

#[cfg(test)]
mod tests;
