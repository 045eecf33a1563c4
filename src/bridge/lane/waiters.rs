//! What requests wait for in a lane, and what they are told.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{KEEP_IDLE, KEPT_REFUSALS, LOOKS, open::Place, retries::Failing, well::Kind};
use crate::{plan::state::UserKey, scim::resource::ResourceId, store::GroupLearned};

/// How a request's change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bridge) enum Settled {
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
/// what that group shows; or of what is left of an end that cannot be done now; or
/// who is not put into one for a reason that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bridge) struct Waits {
    pub(in crate::bridge) users: Vec<UserKey>,
    pub(in crate::bridge) group: Option<ResourceId>,
    /// Whether they are to be in it.
    pub(in crate::bridge) wanted: bool,
    pub(in crate::bridge) reason: String,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) running: bool,
    pub(super) kicked: bool,
    /// How often it was.
    pub(super) kicks: u64,
    /// The last turn was to take access away.
    pub(super) takes: bool,
    /// What it did not send, and why.
    pub(super) waits: Option<Waits>,
    /// Which of its calls were not done.
    pub(super) failed: HashSet<Kind>,
    /// Others of its calls were done.
    pub(super) progress: bool,
    /// Its turns do nothing but fail.
    pub(super) failing: Option<Failing>,
    /// What the last turn had to do, and how many had the same before it.
    pub(super) round: Option<u64>,
    pub(super) rounds: u32,
    /// Something was asked for since the last turn began.
    pub(super) asked: bool,
    /// When a turn of another lane last made it so.
    pub(super) nudged: Option<Instant>,
    /// Its last back-off ended early, as others of its kind were done.
    pub(super) woken: bool,
    /// Requests that came since the last turn began.
    pub(super) arrivals: usize,
    /// Requests that the last turn answered.
    pub(super) crowd: usize,
    pub(super) notify: Arc<Notify>,
    /// The same for the calls of a turn that wait, which takes nothing from the other.
    pub(super) stirred: Arc<Notify>,
    /// How often in a row its additions have given way to removals before any was sent.
    pub(super) gave_way: u32,
    /// Of a turn that ended before it had sent anything.
    pub(super) place: Option<Place>,
    pub(super) waiters: Vec<Waiter>,
    /// The newest change whose effect on the user or group itself is settled.
    pub(super) seen: u64,
    pub(super) refusals: Vec<Refusal>,
    /// Whom the last turn left unsent, where it did nothing else.
    pub(super) unsent: Vec<UserKey>,
    pub(super) idle_since: Instant,
    /// When a turn last did something in the application, or may have.
    pub(super) done: Option<Instant>,
    /// The change by which everything was ended but what waits for a look.
    pub(super) parted: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Waiter {
    /// The change waited for.
    pub(super) seq: u64,
    /// Pairs not yet known to have arrived; empty for a user's lane and for a
    /// group that only is created or deleted.
    pub(super) pairs: HashSet<UserKey>,
    /// The user or group itself is waited for.
    pub(super) whole: bool,
    pub(super) answer: oneshot::Sender<Settled>,
}

#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) seq: u64,
    pub(super) user: Option<UserKey>,
    pub(super) reason: String,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            running: false,
            kicked: false,
            kicks: 0,
            takes: false,
            waits: None,
            failed: HashSet::new(),
            progress: false,
            failing: None,
            round: None,
            rounds: 0,
            asked: false,
            nudged: None,
            woken: false,
            arrivals: 0,
            crowd: 0,
            notify: Arc::new(Notify::new()),
            stirred: Arc::new(Notify::new()),
            gave_way: 0,
            place: None,
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
    pub(super) fn repeats(&mut self, learned: &GroupLearned) -> bool {
        let mut unsent = Vec::new();
        if learned.is_idle() {
            unsent.clone_from(&learned.unsent);
            unsent.sort_unstable();
        }
        let same = !unsent.is_empty() && unsent == self.unsent;
        self.unsent = unsent;
        same
    }

    /// A turn begins; how many had the same to do before it, and left it so.
    pub(super) fn begins(&mut self, round: u64) -> u32 {
        self.rounds = if self.round == Some(round) {
            self.rounds.saturating_add(1)
        } else {
            0
        };
        self.round = Some(round);
        self.rounds
    }

    /// A turn of another lane has left something for this one. Which may be the other
    /// side of what goes round here, so it counts as asked for now and then only.
    pub(super) fn is_nudged(&mut self) {
        if self.nudged.is_none_or(|at| at.elapsed() >= LOOKS.1) {
            (self.asked, self.nudged) = (true, Some(Instant::now()));
        }
    }

    /// After so long what is the same to do has come anew.
    pub(super) fn starts(&mut self) {
        if self.idle_since.elapsed() >= KEEP_IDLE {
            (self.round, self.rounds) = (None, 0);
        }
    }

    /// Sends the answers that `decide` gives to the waiters that `which` picks.
    pub(super) fn answer(
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
    pub(super) fn remember(&mut self, refusal: Refusal) {
        if self.refusals.len() >= KEPT_REFUSALS {
            self.refusals.remove(0);
        }
        self.refusals.push(refusal);
    }

    pub(super) fn earlier_refusal(&self, waiter: &Waiter) -> Option<Settled> {
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
pub(super) struct Summary {
    /// The group itself is as wanted.
    pub(super) whole: bool,
    pub(super) group_refused: Option<String>,
    pub(super) refused: HashMap<UserKey, String>,
    pub(super) settled: HashSet<UserKey>,
}

impl Summary {
    pub(super) fn of(learned: &GroupLearned, whole: bool) -> Self {
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

    pub(super) fn tell(self, state: &mut State, seq: u64) {
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

    pub(super) fn answer(&self, waiter: &mut Waiter) -> Option<Settled> {
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
