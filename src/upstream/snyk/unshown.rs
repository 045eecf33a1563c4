//! Looks that show nothing of somebody who is to be there. One of them may have
//! missed it, and would end nothing: it takes a second one, once what is there is
//! shown for certain, before somebody counts as out of a Snyk Group without a call.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Snyk, membership::Pair, memory::RECENT};
use crate::upstream::{MemberOutcome, client::Moment};

/// Those that nobody came back to are forgotten when there are so many.
const MANY: usize = 1_024;

/// When a look first showed nothing; none yet of who may be there by an addition that
/// nobody answered, or that was refused as if they were. By the ids of the Snyk Group
/// and the user.
#[derive(Debug, Default)]
pub(super) struct Unshown(Mutex<HashMap<(String, String), Option<Moment>>>);

impl Unshown {
    pub(super) fn may_be_there(&self, group: &str, user: &str) {
        let mut all = self.lock();
        if all.len() >= MANY && all.len().is_multiple_of(MANY / 4) {
            all.retain(|_, since| since.as_ref().is_none_or(|it| it.is_within(RECENT)));
        }
        all.insert((group.to_owned(), user.to_owned()), None);
    }

    /// It is known what is there, or it is asked for anew.
    pub(super) fn settle(&self, group: &str, user: &str) {
        let mut all = self.lock();
        if !all.is_empty() {
            all.remove(&(group.to_owned(), user.to_owned()));
        }
    }

    fn is_awaited(&self, group: &str, user: &str) -> bool {
        let of = (group.to_owned(), user.to_owned());
        self.lock().contains_key(&of)
    }

    /// How long no other look is worth it.
    fn rest(&self, group: &str, user: &str, lag: Duration) -> Option<Duration> {
        let of = (group.to_owned(), user.to_owned());
        self.lock().get(&of)?.as_ref()?.rest(lag)
    }

    /// A look shows nothing. How long the next one is to wait that is believed;
    /// `None`: this is the one.
    fn missed(&self, group: &str, user: &str, lag: Duration) -> Option<Duration> {
        let mut all = self.lock();
        let of = (group.to_owned(), user.to_owned());
        let first = all.get(&of).cloned().flatten();
        match first.filter(|it| it.is_within(RECENT.max(lag * 2))) {
            Some(first) if !first.is_within(lag) => {
                all.remove(&of);
                None
            }
            Some(first) => first.rest(lag),
            None => {
                all.insert(of, Some(Moment::now()));
                Some(lag)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Option<Moment>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snyk {
    /// Whether it is too early for the second look.
    pub(super) fn awaits_look(&self, pair: Pair<'_>, user: &str) -> Option<MemberOutcome> {
        let rest = self.unshown.rest(pair.group, user, self.lags().read_lag)?;
        Some(MemberOutcome::Waits(rest))
    }

    /// A look shows nothing of a user. What is waited for before that is believed, if
    /// something says that a membership is there, and no call of ours ended it.
    pub(super) fn not_shown(&self, pair: Pair<'_>, user: &str) -> Option<MemberOutcome> {
        let wait = self.missed(pair.group, user, pair.who.has);
        wait.map(MemberOutcome::Waits)
    }

    /// The same of whoever leaves a Snyk Group altogether; `has`: they are known to be
    /// in it.
    pub(super) fn missed(&self, group: &str, user: &str, has: bool) -> Option<Duration> {
        let known = self.memory.membership(group, user);
        let known = known.is_some_and(|it| !self.memory.has_ended(&it.id, RECENT));
        if !known && !has && !self.unshown.is_awaited(group, user) {
            return None;
        }
        let wait = self.unshown.missed(group, user, self.lags().read_lag);
        if wait.is_none() {
            self.memory.forget(group, user);
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_second_look_that_shows_nothing_is_believed_once_it_cannot_lag() {
        let unshown = Unshown::default();
        let missed = || unshown.missed("g", "ann", LAG);
        assert_eq!((unshown.rest("g", "ann", LAG), missed()), (None, Some(LAG)));
        tokio::time::advance(LAG / 2).await;
        assert_eq!(
            (unshown.rest("g", "ann", LAG), missed()),
            (Some(LAG / 2), Some(LAG / 2))
        );
        assert_eq!(unshown.rest("g", "ben", LAG), None);
        tokio::time::advance(LAG).await;
        assert_eq!((unshown.rest("g", "ann", LAG), missed()), (None, None));
        assert_eq!(missed(), Some(LAG), "the next one is the first again");
        unshown.settle("g", "ann");
        assert!(!unshown.is_awaited("g", "ann"));
        tokio::time::advance(LAG * 2).await;
        assert_eq!(missed(), Some(LAG), "it was settled");
        tokio::time::advance(RECENT * 2).await;
        assert_eq!(missed(), Some(LAG), "the first one is of another time");
        unshown.may_be_there("g", "ann");
        assert!(unshown.is_awaited("g", "ann"));
        assert_eq!(missed(), Some(LAG));
    }
}
