//! Additions that Snyk refuses as if the membership were there, or were not, while
//! looks show the opposite. A look may lag, so it is tried again, later each time;
//! but an application has other reasons for such an answer, as that no seat is left.
//! So its own reason is kept and told, and after a few tries it is a refusal.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Snyk, membership::Pair, memory::RECENT};
use crate::upstream::{
    MemberOutcome, UpstreamError,
    client::{Moment, note_left},
};

/// So many tries in a row are a refusal, if the first is older than looks can lag.
const TRIES: u32 = 3;

/// How often it was so, without a break.
#[derive(Debug, Clone)]
struct Conflict {
    tries: u32,
    first: Moment,
    last: Moment,
    reason: String,
}

impl Conflict {
    fn began(reason: &str) -> Self {
        Self {
            tries: 0,
            first: Moment::now(),
            last: Moment::now(),
            reason: reason.to_owned(),
        }
    }

    fn is_refusal(&self, lag: Duration) -> bool {
        self.tries >= TRIES && !self.first.is_within(lag)
    }

    /// How long until the next try, after so many.
    fn pause(&self, lag: Duration) -> Duration {
        lag * 2_u32.pow(self.tries.saturating_sub(1).min(TRIES))
    }

    /// What is tried again after a refusal is tried from the beginning.
    fn goes_on(&self, lag: Duration) -> bool {
        let span = if self.is_refusal(lag) {
            lag
        } else {
            RECENT.max(self.pause(lag) * 2)
        };
        self.last.is_within(span)
    }
}

/// By the ids of the Snyk Group and the user.
#[derive(Debug, Default)]
pub(super) struct Conflicts(Mutex<HashMap<(String, String), Conflict>>);

impl Conflicts {
    /// One more. How long until the next try; `None`: it is a refusal.
    fn add(&self, group: &str, user: &str, (reason, lag): (&str, Duration)) -> Option<Duration> {
        let mut all = self.lock();
        all.retain(|_, it| it.goes_on(lag));
        let of = (group.to_owned(), user.to_owned());
        let it = all.entry(of).or_insert_with(|| Conflict::began(reason));
        it.tries = it.tries.saturating_add(1);
        it.last = Moment::now();
        reason.clone_into(&mut it.reason);
        (!it.is_refusal(lag)).then(|| it.pause(lag))
    }

    /// Why the next try is not due yet, and for how long.
    fn rest(&self, group: &str, user: &str, lag: Duration) -> Option<(String, Duration)> {
        let all = self.lock();
        if all.is_empty() {
            return None;
        }
        let it = all.get(&(group.to_owned(), user.to_owned()))?;
        let rest = it
            .last
            .rest(it.pause(lag))
            .filter(|_| !it.is_refusal(lag))?;
        Some((it.reason.clone(), rest))
    }

    pub(super) fn settle(&self, group: &str, user: &str) {
        let mut all = self.lock();
        if !all.is_empty() {
            all.remove(&(group.to_owned(), user.to_owned()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Conflict>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snyk {
    /// Whether it is too early for another try.
    pub(super) fn awaits_try(&self, pair: Pair<'_>, user: &str) -> Option<MemberOutcome> {
        let lag = self.lags().read_lag;
        let (reason, rest) = self.conflicts.rest(pair.group, user, lag)?;
        note_left(format!("{}; {AGAIN}", told(pair.group, &reason)));
        Some(MemberOutcome::Waits(rest))
    }

    /// A try that Snyk has refused so.
    pub(super) fn conflict(
        &self,
        pair: Pair<'_>,
        user: &str,
        reason: &str,
    ) -> Result<MemberOutcome, UpstreamError> {
        let group = pair.group;
        let told = told(group, reason);
        tracing::warn!(connection = %self.settings.connection, %group, %user, %reason, "Snyk does not give a role, and what it shows does not tell why");
        match self
            .conflicts
            .add(group, user, (reason, self.lags().read_lag))
        {
            Some(wait) => {
                note_left(format!("{told}; {AGAIN}"));
                Ok(MemberOutcome::Waits(wait))
            }
            None => Err(UpstreamError::Barred { reason: told }),
        }
    }
}

const AGAIN: &str = "it is tried again";

/// In the application's own words, as nobody else can tell what is the matter.
fn told(group: &str, reason: &str) -> String {
    format!(
        "Snyk {reason}, for a membership of the Snyk Group {group}, and what it shows of the user \
         there does not tell why"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_tried_again_ever_later_and_is_a_refusal_in_the_end() {
        let conflicts = Conflicts::default();
        let add = |reason| conflicts.add("g", "ann", (reason, LAG));
        let rest = || conflicts.rest("g", "ann", LAG);
        assert_eq!((rest(), add("one")), (None, Some(LAG)));
        assert_eq!(rest(), Some(("one".into(), LAG)));
        tokio::time::advance(LAG + Duration::from_millis(1)).await;
        assert_eq!((rest(), add("two")), (None, Some(LAG * 2)));
        assert_eq!(rest(), Some(("two".into(), LAG * 2)));
        tokio::time::advance(LAG * 2 + Duration::from_millis(1)).await;
        assert_eq!((rest(), add("three")), (None, None));
        assert_eq!(
            (rest(), add("three")),
            (None, None),
            "as it was right before"
        );
        tokio::time::advance(LAG * 2).await;
        assert_eq!(add("four"), Some(LAG), "from the beginning");
        conflicts.settle("g", "ann");
        assert_eq!((rest(), add("five")), (None, Some(LAG)));
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_tries_within_the_lag_of_looks_are_no_refusal() {
        let conflicts = Conflicts::default();
        for _ in 0..5 {
            assert!(conflicts.add("g", "ann", ("no", LAG)).is_some());
        }
    }
}
