//! One call at a time about a user, where groups are of families: a call about
//! one group may take another away, so calls of two lanes about one user must
//! not cross, nor cross the withdrawal of the whole account. Whoever is let in
//! asks the store what is wanted then, so the last one in sends what is wanted.
//! Users are known by their accounts, because one that is deleted and made anew
//! is the same to the application.
//!
//! And what was last told of a user: a look lags, so it is believed only if it
//! agrees with what was confirmed lately, or nothing was sent for so long as a
//! look can lag. What a process before this one sent lately is not known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turnstile, OwnedMutexGuard},
    time::Instant,
};

use crate::plan::state::Family;

/// Nobody is forgotten before there are so many.
const FEW: usize = 1_024;
/// For so long at least an end that found nothing is remembered, to be done once more.
const AWAITED: Duration = Duration::from_secs(60);

/// Everybody of a connection who was told of lately.
#[derive(Debug)]
pub(in crate::bridge) struct People {
    /// When this process began, if another may have sent something before.
    began: Option<Instant>,
    /// How far what the application shows may lag behind.
    read_lag: Duration,
    told: Mutex<HashMap<String, Arc<Turnstile<Told>>>>,
}

/// What was last told of one user.
#[derive(Debug)]
pub(in crate::bridge) struct Told {
    read_lag: Duration,
    /// When the last call ended that may have changed something, if lately.
    at: Option<Instant>,
    /// And the last one that may have given something.
    gave: Option<Instant>,
    /// By family, what it confirmed: a rank, or none.
    has: Vec<(String, Option<u32>)>,
    /// It confirmed that there is nothing else.
    nothing_else: bool,
    /// When an end first found nothing to take away.
    empty: Option<Instant>,
}

impl People {
    /// `sent_lately`: perhaps by the process before this one.
    pub(in crate::bridge) fn new(sent_lately: bool, read_lag: Duration) -> Self {
        Self {
            began: sent_lately.then(Instant::now),
            read_lag,
            told: Mutex::default(),
        }
    }

    /// Waits until nothing is sent about a user; nothing else is, then.
    pub(in crate::bridge) async fn alone(&self, account: &str) -> OwnedMutexGuard<Told> {
        let turnstile = {
            let people = self.told.lock();
            let mut people = people.unwrap_or_else(PoisonError::into_inner);
            if people.len() >= FEW && people.len().is_multiple_of(FEW / 4) {
                people.retain(|_, person| is_remembered(person));
            }
            let fresh = || Arc::new(Turnstile::new(Told::nothing(self.began, self.read_lag)));
            Arc::clone(people.entry(account.to_owned()).or_insert_with(fresh))
        };
        turnstile.lock_owned().await
    }
}

#[cfg(test)]
impl People {
    pub(super) fn remembered(&self) -> usize {
        self.told.lock().map_or(0, |people| people.len())
    }
}

/// Is in use, or was told of lately.
fn is_remembered(person: &Arc<Turnstile<Told>>) -> bool {
    let needed = |told: &Told| told.lag().is_some() || told.is_awaited();
    Arc::strong_count(person) > 1 || person.try_lock().is_ok_and(|told| needed(&told))
}

impl Told {
    pub(in crate::bridge) fn nothing(since: Option<Instant>, read_lag: Duration) -> Self {
        Self {
            read_lag,
            at: since,
            gave: since,
            has: Vec::new(),
            nothing_else: false,
            empty: None,
        }
    }

    /// How long a look may still miss what was sent last, if it may.
    pub(in crate::bridge) fn lag(&self) -> Option<Duration> {
        self.left(self.at)
    }

    /// How long it may miss what was given last.
    pub(in crate::bridge) fn gave_lately(&self) -> Option<Duration> {
        self.left(self.gave)
    }

    /// How long an end that found nothing may have missed what somebody else gave
    /// right before it. The next one that finds nothing after that is believed.
    pub(in crate::bridge) fn may_have_missed(&mut self, nothing: bool) -> Option<Duration> {
        let since = nothing.then(|| *self.empty.get_or_insert_with(Instant::now));
        let left = self.left(since);
        self.empty = self.empty.filter(|_| left.is_some());
        left
    }

    /// The account that was looked for is there.
    pub(in crate::bridge) fn is_found(&mut self) {
        self.empty = None;
    }

    /// An end is to be done once more, though that may be due for some time.
    fn is_awaited(&self) -> bool {
        self.empty
            .is_some_and(|since| since.elapsed() < AWAITED.max(self.read_lag))
    }

    /// A call ended of which is not known what it did.
    pub(in crate::bridge) fn unclear(&mut self) {
        *self = Self::nothing(Some(Instant::now()), self.read_lag);
    }

    /// The account was ended, with all that it had, or with some of it.
    pub(in crate::bridge) fn ended(&mut self, all: bool) {
        self.at = Some(Instant::now());
        self.has.clear();
        self.nothing_else = all;
    }

    /// Of a family the user has this one now, or none.
    pub(in crate::bridge) fn has(&mut self, family: &Family, rank: Option<u32>) {
        let now = Some(Instant::now());
        (self.at, self.gave) = (now, now);
        self.has.retain(|(name, _)| *name != family.name);
        self.has.push((family.name.clone(), rank));
    }

    /// How long a look that shows a pair to be as wanted may not be believed.
    pub(in crate::bridge) fn doubts(&self, family: &Family, wanted: bool) -> Option<Duration> {
        self.lag().filter(|_| !self.agrees(family, wanted))
    }

    fn left(&self, of: Option<Instant>) -> Option<Duration> {
        let left = self.read_lag.checked_sub(of?.elapsed())?;
        (!left.is_zero()).then_some(left)
    }

    fn agrees(&self, family: &Family, wanted: bool) -> bool {
        let known = self.has.iter().find(|(name, _)| *name == family.name);
        let known = known.map(|(_, rank)| *rank);
        match known.or(self.nothing_else.then_some(None)) {
            None => false,
            Some(None) => !wanted,
            Some(Some(rank)) if wanted => rank <= family.rank,
            Some(Some(rank)) => rank != family.rank,
        }
    }
}
