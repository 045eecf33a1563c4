//! Lanes: one worker per user or group with work, one turn at a time.
//!
//! A lane that is idle starts at once; what arrives while a turn is under way
//! is taken whole by the next one, so many small requests become few calls. A
//! request waits here for the turn that carries its change. Nothing is queued
//! in memory: the store holds what is open, so losing a lane loses nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::{
    clock,
    converge::{Doubts, Pause, People},
    switch::Switch,
};
use crate::{
    plan::{
        guard::Guard,
        state::{ConnectionKey, UserKey},
    },
    store::{Lane, Millis, Store, StoreError},
    upstream::{Heard, Upstream, behind, noting_faults},
};

pub(super) mod brink;
mod doomed;
mod found;
mod open;
mod pauses;
mod places;
mod retries;
mod turns;
mod waiters;
mod wanted;
mod well;

use open::{Open, Place};
use pauses::recovery;
pub(super) use places::Places;
use retries::{Retries, Streak};
pub(super) use turns::{send, turn_limit};
pub(super) use waiters::{Settled, Waits};
use waiters::{State, Waiter};

/// Most pairs in one turn: bounds memory and the size of one transaction.
const TURN_LIMIT: usize = 5_000;
/// The same in a family, where each pair is a call of its own.
const SINGLE_LIMIT: usize = 200;
/// After so many calls a turn leaves the rest of its additions to the next one, so
/// that what was done is recorded.
const LONG: usize = 50;
/// An idle lane is forgotten after this long; its last refusals with it.
const KEEP_IDLE: Duration = Duration::from_secs(10);
/// Refusals a lane remembers for requests that ask late.
const KEPT_REFUSALS: usize = 1_000;
/// First and longest back-off.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(900));
/// The same where it is only looked what became of what was sent before.
const LOOKS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The same where only another connection of this bridge has to let go.
const HAND_OVER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Least time between two attempts when new work interrupts a back-off.
const LEAST_GAP: Duration = Duration::from_millis(100);
/// The same where that takes access away and others are to wait.
const TAKING_GAP: Duration = Duration::from_secs(1);
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

/// All lanes of one connection.
#[derive(Debug, Clone)]
pub(super) struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: String,
    key: ConnectionKey,
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
    looked: doomed::Looked,
    well: well::Well,
    retries: Retries,
    open: Open,
    /// What was done before is not known.
    began: Instant,
    others: OnceLock<Others>,
    /// Somebody may leave of whom it has to be read what they have.
    unread: Notify,
    /// When the last import that showed everything here began, and when it was over.
    listed: Mutex<Option<(Millis, Millis)>>,
}

/// Where lanes of other connections are woken.
pub(super) type Others = mpsc::UnboundedSender<(ConnectionKey, Lane)>;

impl Lanes {
    /// `engine` is the runtime that carries the workers and the upstream calls;
    /// `sent_lately`: the process before this one may have sent something.
    pub(super) fn new(
        (connection, key): (String, ConnectionKey),
        switch: Switch,
        store: Arc<dyn Store>,
        upstream: Arc<dyn Upstream>,
        engine: tokio::runtime::Handle,
        sent_lately: bool,
        (read_lag, guard, places, returns): (Duration, Arc<Guard>, Places, bool),
    ) -> Self {
        let families = upstream.has_families();
        Self(Arc::new(Inner {
            open: Open::of(upstream.condition().at_once),
            people: families.then(|| People::new(sent_lately, read_lag)),
            connection,
            key,
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
            looked: doomed::Looked::default(),
            well: well::Well::default(),
            retries: Retries::default(),
            began: Instant::now(),
            others: OnceLock::new(),
            unread: Notify::new(),
            listed: Mutex::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lane, State>> {
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An import has shown here whatever was there when it began.
    pub(super) fn note_listed(&self, began: Millis, ended: Millis) {
        let listed = self.0.listed.lock();
        *listed.unwrap_or_else(PoisonError::into_inner) = Some((began, ended));
    }

    /// When it began, if it was over by then: what was there had been given a row.
    fn listed(&self, by: Millis) -> Option<Millis> {
        let listed = self.0.listed.lock();
        let listed = *listed.unwrap_or_else(PoisonError::into_inner);
        listed.and_then(|(began, ended)| (ended <= by).then_some(began))
    }

    pub(super) fn know_others(&self, others: Others) {
        let _ = self.0.others.set(others);
    }

    pub(super) async fn when_somebody_leaves_unread(&self) {
        self.0.unread.notified().await;
    }

    /// Starts or wakes a lane.
    pub(super) fn kick(&self, lane: Lane) {
        self.kick_so(lane, |_| {});
    }

    /// The same for what was asked for just now: that waits for no rest of a lane that
    /// went round for something else.
    pub(super) fn ask(&self, lane: Lane) {
        self.kick_so(lane, |state| state.asked = true);
    }

    fn kick_so(&self, lane: Lane, note: impl FnOnce(&mut State)) {
        let mut lanes = self.lock();
        let state = lanes.entry(lane).or_insert_with(State::new);
        note(state);
        self.wake(lane, state);
        forget_idle(&mut lanes, self.0.read_lag);
    }

    /// What waits for a look at a group; the lane of a user where it is the end of
    /// access.
    pub(super) fn waits(&self) -> Vec<(Lane, Waits)> {
        let lanes = self.lock();
        let waits = lanes
            .iter()
            .filter_map(|(lane, state)| Some((*lane, state.waits.clone()?)));
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
        state.kicks = state.kicks.wrapping_add(1);
        if state.running {
            state.notify.notify_one();
            state.stirred.notify_waiters();
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
        let mut looks: u32 = 0;
        let mut streak = Streak::default();
        let mut doubts = Doubts::new();
        let mut recoveries = self.0.upstream.recoveries();
        let mut places = self.0.places.watch();
        self.with(lane, State::starts);
        loop {
            places.begin();
            // What comes back from here on is not missed.
            if let Some(recoveries) = &mut recoveries {
                recoveries.mark_unchanged();
            }
            self.0.switch.until(&self.0.connection, true).await;
            let behind = self.behind(lane, &streak).await;
            let kept = self.with(lane, |state| state.place.take()).flatten();
            let place = match (&behind, kept) {
                (Some(_), _) => None,
                (None, Some(place)) => Some(place),
                (None, None) => self.place(lane).await,
            };
            self.with(lane, |state| {
                (state.kicked, state.asked) = (false, false);
                state.arrivals = 0;
                state.crowd = 0;
            });
            let started = Instant::now();
            let place = (place, behind.is_some());
            let (turn, heard) = self.turn(lane, &mut doubts, place).await;
            drop(behind);
            self.count(lane, &mut streak, &turn, heard);
            let pause = match turn {
                Ok(Some(pause)) => pause,
                Ok(None) => {
                    self.answer_settled(lane).await;
                    if self.rest(lane) {
                        return;
                    }
                    (attempts, looks) = (0, 0);
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "a lane cannot use the store");
                    Pause::For(STORE_PAUSE)
                }
            };
            if pause == Pause::None {
                (attempts, looks) = (0, 0);
                match self.with(lane, |state| state.rounds) {
                    None | Some(0) => self.linger(lane, started.elapsed()).await,
                    Some(rounds) => self.rest_from_rounds(lane, rounds).await,
                }
            } else if let Pause::Within(_) = pause {
                attempts = 0;
                self.pause(lane, pause, attempts).await;
            } else if pause == Pause::Look {
                // That nothing is known yet is no failure.
                looks = looks.saturating_add(1);
                self.pause(lane, pause, looks).await;
            } else {
                attempts = attempts.saturating_add(1);
                tokio::select! {
                    biased;
                    () = self.pause(lane, pause, attempts) => {}
                    () = recovery(recoveries.as_mut()) => {
                        attempts = 0;
                        streak.is_forgiven();
                    }
                    () = places.free(pause) => {}
                }
            }
        }
    }

    /// One turn, behind all others or not, and what faults were heard in it.
    async fn turn(
        &self,
        lane: Lane,
        doubts: &mut Doubts,
        (place, is_behind): (Option<Place>, bool),
    ) -> (Result<Option<Pause>, StoreError>, Heard) {
        // It is large, and every layer around it would move it.
        let turn = noting_faults(Box::pin(async {
            match lane {
                Lane::User(key) => {
                    let _place = place;
                    self.user_turn(key).await
                }
                Lane::Group(key) => self.group_turn(key, doubts, place).await,
            }
        }));
        if is_behind {
            behind(turn).await
        } else {
            turn.await
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
