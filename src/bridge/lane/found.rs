//! A look before a membership is taken away that was only found: it may have been
//! ended by hand since, and then it is not this side's to give back when the user
//! is active again (reliability: I-15, I-26). No end of access waits for long, nor
//! for what cannot be read now: what is not seen in time is taken away all the
//! same, and not given back.

use std::time::Duration;

use super::{Lane, Lanes, brink};
use crate::{
    plan::state::{GroupKey, UserKey},
    store::{StoreError, Unseen},
    upstream::Upstream,
};

/// The most groups that are looked at, and for how long.
const MOST: usize = 16;
const LONGEST: Duration = Duration::from_secs(2);

impl Lanes {
    /// Notes what is there of what a lane's turn is about to take away.
    pub(super) async fn see_found(&self, lane: Lane) -> Result<(), StoreError> {
        let mut unseen = self.0.store.unseen(lane).await?;
        if unseen.is_empty() {
            return Ok(());
        }
        unseen.sort_unstable_by_key(|it| it.group.0);
        let mut seen = Vec::new();
        let upstream = &*self.0.upstream;
        let looks = async {
            for group in unseen
                .chunk_by(|one, next| one.group == next.group)
                .take(MOST)
            {
                seen.extend(look(upstream, group).await);
            }
        };
        let in_time = tokio::time::timeout(LONGEST, looks).await.is_ok();
        if seen.len() < unseen.len() {
            tracing::info!(
                connection = %self.0.connection, ?lane, in_time,
                unseen = unseen.len() - seen.len(),
                "not all of what was only found is shown where it is taken away"
            );
        }
        if seen.is_empty() {
            return Ok(());
        }
        self.0.store.note_there(seen).await
    }
}

/// Those of one group who are in it.
async fn look(upstream: &dyn Upstream, of: &[Unseen]) -> Vec<(GroupKey, UserKey)> {
    let mut seen = Vec::new();
    if upstream.has_families() {
        // One user's look is less work than everybody's.
        for one in of {
            if let Ok(Some(true)) = upstream.has(&one.name, &one.who).await {
                seen.push((one.group, one.who.user));
            }
        }
        return seen;
    }
    let name = of.first().map(|it| it.name.as_str()).unwrap_or_default();
    if let brink::Seen::Listed(listed) = brink::look_at(upstream, name).await {
        let there = of.iter().filter(|it| listed.has(&it.who));
        seen.extend(there.map(|it| (it.group, it.who.user)));
    }
    seen
}
