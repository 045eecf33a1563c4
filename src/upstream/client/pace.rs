//! The pace of one credential: so many calls per second and minute, so many at
//! once, revocations before everything else, background work and what failed
//! again and again after it, and silence while the application asks for it or cannot be reached.
//!
//! Only the first of each connection and priority competes. Waits that are short are slept
//! through here; longer ones are given back, because only the caller can put
//! the work aside. Background work has nothing else to do, so it waits longer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

pub(super) use faults::What;
use ledger::{Book, Ledger};
use queue::{Number, Queue};
use rate::Rate;
use silence::Silence;
use window::Sent;

mod doubt;
mod early;
mod faults;
pub(super) mod ledger;
mod past;
mod queue;
mod rate;
mod share;
pub(super) mod shared;
mod silence;
mod window;

/// A second's calls never take longer than this to make room; a minute's do.
const LONG: Duration = Duration::from_secs(3);

/// What an application allows one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) per_second: u32,
    /// Calls that may go at once after a quiet time.
    pub(super) burst: u32,
    /// Calls in flight.
    pub(super) concurrency: u32,
    pub(super) per_minute: Option<u32>,
    /// The silence after a 429 whose `Retry-After` says nothing usable.
    pub(super) penalty: Option<Duration>,
}

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Priority {
    /// Takes access away.
    Revocation,
    Ordinary,
    /// Nobody waits for it.
    Background,
    /// It failed again and again.
    Retry,
    /// So did this, and it takes access away.
    Overdue,
    /// It takes access away, and nobody answered when it was sent last.
    Unanswered,
}

/// How many there are.
const PRIORITIES: usize = 6;

impl Priority {
    /// A pause up to this long is waited for.
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::Background => Duration::from_secs(120),
            _ => Duration::from_secs(1),
        }
    }

    fn takes(self) -> bool {
        matches!(self, Self::Revocation | Self::Overdue | Self::Unanswered)
    }

    /// Of a call that nobody answered last time: it may hold its slot for long again.
    fn unanswered(self) -> Self {
        if self.takes() {
            Self::Unanswered
        } else {
            Self::Retry
        }
    }
}

/// Not now, and not soon.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) after: Duration,
    pub(super) reason: &'static str,
}

/// The right to send one call now; ends when dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pace: &'a Pace,
    priority: Priority,
    call: Sent,
    /// Who has it tells nothing of its end.
    lent: bool,
    unused: bool,
}

impl Turn<'_> {
    /// Nothing was sent, so another call may go instead.
    pub(super) fn give_back(mut self) {
        self.unused = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pace.change(|state| {
            state.queue.end(self.priority);
            if self.unused {
                state.rate.unsent(self.call, Instant::now());
            } else if !self.lent {
                state.rate.answered(self.call, Instant::now());
            }
        });
    }
}

/// Whether it is somebody's turn.
enum Go<'a> {
    Now(Turn<'a>),
    /// Until something changes, or for so long.
    Wait(Option<Duration>),
}

#[derive(Debug)]
pub(super) struct Pace {
    state: Mutex<State>,
    changed: Notify,
    /// How often the application has come back.
    recoveries: watch::Sender<u64>,
}

/// A connection that keeps to a pace.
#[derive(Debug)]
pub(super) struct Party {
    number: Number,
    /// First come, first served, within each priority.
    gates: [tokio::sync::Mutex<()>; PRIORITIES],
}

#[derive(Debug)]
struct State {
    queue: Queue,
    rate: Rate,
    silence: Silence,
    /// Where what is sent is noted for the next process.
    book: Option<Book>,
}

impl Pace {
    /// Zero in any limit counts as one.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            state: Mutex::new(State {
                queue: Queue::new(limits.concurrency),
                rate: Rate::new(limits),
                silence: Silence::new(limits.penalty),
                book: None,
            }),
            changed: Notify::new(),
            recoveries: watch::Sender::new(0),
        }
    }

    /// One more connection; those of one pace take turns.
    pub(super) fn join(&self) -> Party {
        Party {
            number: self.state().queue.join(),
            gates: Default::default(),
        }
    }

    /// Somebody else knows of these limits: the stricter ones count.
    fn tighten(&self, limits: &Limits) {
        let mut state = self.state();
        state.queue.tighten(limits.concurrency);
        state.rate.tighten(limits);
        state.silence.tighten(limits.penalty);
    }

    /// What the process before this one has sent counts here, and what is sent
    /// is noted for the next. Connections of one credential have one book.
    pub(super) fn remember(&self, ledger: &Arc<Ledger>, origin: &str, credential: &[u8]) {
        let mut state = self.state();
        if state.book.is_some() {
            return;
        }
        let Some(book) = ledger.book(origin, credential) else {
            return;
        };
        let (calls, silences) = book.past();
        let now = Instant::now();
        state.rate.remember(&calls, now);
        state.silence.remember(silences, now);
        state.book = Some(book);
    }

    /// What is kept now, in calls a second.
    pub(super) fn per_second(&self) -> u32 {
        self.state().rate.per_second(Instant::now())
    }

    /// The limit of each minute beside that, where there is one.
    pub(super) fn per_minute(&self) -> Option<u32> {
        self.state().rate.per_minute()
    }

    /// Calls in flight, at most.
    pub(super) fn at_once(&self) -> u32 {
        u32::try_from(self.state().queue.slots()).unwrap_or(u32::MAX)
    }

    /// Whether nobody answers there, and how long silence was asked for.
    pub(super) fn silences(&self) -> (bool, Option<Duration>) {
        let silence = &self.state().silence;
        (silence.is_unreachable(), silence.asked(Instant::now()))
    }

    /// Whether that goes for calls of every kind.
    pub(super) fn is_all_down(&self) -> bool {
        self.state().silence.is_all_down()
    }

    /// Waits for the right to send; refuses when the wait would be long.
    pub(super) async fn turn(
        &self,
        party: &Party,
        priority: Priority,
        what: What,
    ) -> Result<Turn<'_>, Refusal> {
        let end = Instant::now() + priority.patience();
        loop {
            match self.soon(party, priority, what).await {
                Err(refusal) if Instant::now() + refusal.after < end => sleep(refusal.after).await,
                turn => return turn,
            }
        }
    }

    async fn soon(
        &self,
        party: &Party,
        priority: Priority,
        what: What,
    ) -> Result<Turn<'_>, Refusal> {
        self.state().quiet((priority, what), Instant::now())?;
        let priority = self.state().place(priority, what);
        let _waiting = Waiting::new(self, party.number, priority);
        let _gate = party.gates[priority as usize].lock().await;
        loop {
            // Made before looking, so that no change goes unnoticed.
            let changed = self.changed.notified();
            match self.go(party.number, (priority, what))? {
                Go::Now(turn) => return Ok(turn),
                Go::Wait(None) => changed.await,
                // Whichever comes first, it is looked at again.
                Go::Wait(Some(wait)) => drop(timeout(wait, changed).await),
            }
        }
    }

    /// Takes the turn if it has come, else says how long to wait.
    fn go(&self, party: Number, (priority, what): (Priority, What)) -> Result<Go<'_>, Refusal> {
        let mut state = self.state();
        let now = Instant::now();
        let pause = state.quiet((priority, what), now)?;
        if !pause.is_zero() {
            return Ok(Go::Wait(Some(pause)));
        }
        if !state.queue.may_go(party, priority) {
            return Ok(Go::Wait(None));
        }
        match state.rate.wait(priority, now) {
            None => {
                state.silence.probing(what, now);
                state.queue.go(party, priority);
                if let Some(book) = &state.book {
                    book.send();
                }
                Ok(Go::Now(Turn {
                    pace: self,
                    priority,
                    call: state.rate.take(now),
                    lent: false,
                    unused: false,
                }))
            }
            Some(wait) if wait <= LONG => Ok(Go::Wait(Some(wait))),
            Some(after) => Err(Refusal {
                after,
                reason: "as many calls as the application allows in a minute were made",
            }),
        }
    }

    /// Another process that has this credential sends a call now. It yields as what
    /// nobody waits for, and may arrive as late as any.
    pub(super) async fn lend(&self, party: &Party) -> Result<(), Refusal> {
        let call = What { kind: 0, one: 0 };
        let mut turn = self.soon(party, Priority::Background, call).await?;
        turn.lent = true;
        Ok(())
    }

    /// It was asked for silence.
    pub(super) fn be_silent(&self, pause: Duration) {
        self.change(|state| {
            state.silence.remember([Some(pause), None], Instant::now());
            state.note_silence(pause, true);
        });
    }

    /// The application answered 429; how long nothing is sent.
    pub(super) fn too_many(&self, turn: &Turn<'_>, asked: Option<Duration>) -> Duration {
        let mut state = self.state();
        let now = Instant::now();
        let is_new = state.silence.is_news(turn.call.at);
        let pause = state.silence.too_many(turn.call.at, asked, now);
        if is_new {
            let in_a_row = state.silence.is_in_a_row();
            state.rate.refused(in_a_row, pause, now);
        }
        state.note_silence(pause, true);
        pause
    }

    /// It is busy; how long nothing is sent but what takes access away, of which
    /// it is found out whether that is taken.
    pub(super) fn busy(&self, turn: &Turn<'_>, what: What, asked: Option<Duration>) -> Duration {
        let mut state = self.state();
        let now = Instant::now();
        let call = (turn.priority, what, turn.call.at);
        let pause = state.silence.busy(call, asked, now);
        state.note_silence(pause, false);
        pause
    }

    /// The connection could not be made; when to try again.
    pub(super) fn unreachable(&self) -> Duration {
        self.state().silence.unreachable(Instant::now())
    }

    /// A call ended in a fault of the application.
    pub(super) fn trouble(&self, what: What) {
        self.change(|state| state.silence.trouble(what, true, Instant::now()));
    }

    /// Nobody answered it.
    pub(super) fn unanswered(&self, what: What) {
        self.change(|state| state.silence.trouble(what, false, Instant::now()));
    }

    /// A call was taken up.
    pub(super) fn welcome(&self, turn: &Turn<'_>, what: What) {
        let mut came_back = false;
        self.change(|state| {
            // Who failed of one kind alone has no reason to try again at once.
            came_back = state.silence.is_all_down();
            state.silence.welcome(what, turn.call.at);
            state.rate.welcome(turn.call, Instant::now());
        });
        if came_back {
            self.recoveries.send_modify(|count| *count += 1);
        }
    }

    /// Changes when an application that could not be reached has come back.
    pub(super) fn recoveries(&self) -> watch::Receiver<u64> {
        self.recoveries.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }

    /// A panic elsewhere must not end the calls.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The rest of the current pause: a short one to wait for, or a refusal.
    fn quiet(&mut self, who: (Priority, What), now: Instant) -> Result<Duration, Refusal> {
        let (after, reason) = self.silence.left(who, now);
        if after <= Priority::Ordinary.patience() {
            return Ok(after);
        }
        Err(Refusal { after, reason })
    }

    fn place(&self, priority: Priority, what: What) -> Priority {
        if self.silence.is_unanswered(what) {
            priority.unanswered()
        } else {
            priority
        }
    }

    fn note_silence(&self, pause: Duration, whole: bool) {
        if let Some(book) = &self.book {
            book.be_silent(pause, whole);
        }
    }
}

/// Counts somebody who waits, also when the future is dropped.
struct Waiting<'a> {
    pace: &'a Pace,
    party: Number,
    priority: Priority,
}

impl<'a> Waiting<'a> {
    fn new(pace: &'a Pace, party: Number, priority: Priority) -> Self {
        pace.state().queue.wait(party, priority);
        Self {
            pace,
            party,
            priority,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pace
            .change(|state| state.queue.wait_no_more(self.party, self.priority));
    }
}

#[cfg(test)]
mod tests;
