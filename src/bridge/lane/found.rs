//! A look before a membership is taken away that was only found: it may have been
//! ended by hand since, and then it is not this side's to give back when the user
//! is active again (reliability: I-15, I-26). No end of access waits for long, nor
//! for what cannot be read now: what is not seen in time is taken away all the
//! same, and given back as if it had been there. Looks that fail are not repeated with every turn, as a
//! 503 to a look lets the calls after it wait too.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Lane, Lanes, brink};
use crate::{
    plan::state::{GroupKey, UserKey},
    store::{StoreError, Unseen},
    upstream::Upstream,
};

/// The most groups that are looked at, and for how long.
const MOST: usize = 16;
const LONGEST: Duration = Duration::from_secs(2);
/// So long after a look has failed its lane takes away without one.
const NOT_AGAIN: Duration = Duration::from_secs(60);

/// The lanes whose look has failed a short while ago.
#[derive(Debug, Default)]
pub(super) struct Failed(Mutex<HashMap<Lane, Instant>>);

impl Failed {
    fn has(&self, lane: Lane) -> bool {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, since| since.elapsed() < NOT_AGAIN);
        lanes.contains_key(&lane)
    }

    fn note(&self, lane: Lane) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.insert(lane, Instant::now());
    }
}

impl Lanes {
    /// Notes what is there of what a lane's turn is about to take away.
    pub(super) async fn see_found(&self, lane: Lane) -> Result<(), StoreError> {
        let mut unseen = self.0.store.unseen(lane).await?;
        if unseen.is_empty() || self.0.failed.has(lane) {
            return Ok(());
        }
        unseen.sort_unstable_by_key(|it| it.group.0);
        let mut looked = Vec::new();
        let upstream = &*self.0.upstream;
        let looks = async {
            let mut all = true;
            for group in unseen
                .chunk_by(|one, next| one.group == next.group)
                .take(MOST)
            {
                all &= look(upstream, group, &mut looked).await;
            }
            all
        };
        let in_time = tokio::time::timeout(LONGEST, looks).await == Ok(true);
        if !in_time {
            self.0.failed.note(lane);
        }
        if looked.is_empty() {
            return Ok(());
        }
        self.0.store.note_looks(looked).await
    }
}

/// Notes who of one group is in it; whether that could be read. That somebody is
/// not is believed of two looks, and not of one (reliability: I-22).
async fn look(
    upstream: &dyn Upstream,
    of: &[Unseen],
    looked: &mut Vec<(GroupKey, UserKey, bool)>,
) -> bool {
    let mut left: Vec<&Unseen> = of.iter().collect();
    for last in [false, true] {
        let Some(there) = read(upstream, &left).await else {
            return false;
        };
        for (one, there) in std::mem::take(&mut left).into_iter().zip(there) {
            match there {
                Some(false) if !last => left.push(one),
                Some(there) => looked.push((one.group, one.who.user, there)),
                None => {}
            }
        }
        if left.is_empty() {
            break;
        }
    }
    true
}

/// Who is there, of some who were found in one group, in their order.
async fn read(upstream: &dyn Upstream, of: &[&Unseen]) -> Option<Vec<Option<bool>>> {
    if upstream.has_families() {
        // One user's look is less work than everybody's.
        let mut there = Vec::with_capacity(of.len());
        for one in of {
            there.push(upstream.has(&one.name, &one.who).await.ok()?);
        }
        return Some(there);
    }
    match brink::look_at(upstream, &of.first()?.name).await {
        brink::Seen::Listed(listed) => {
            Some(of.iter().map(|it| Some(listed.has(&it.who))).collect())
        }
        brink::Seen::Gone => Some(vec![None; of.len()]),
        brink::Seen::Unclear(_) => None,
    }
}

#[cfg(test)]
mod tests;
