//! How much of large bodies is read at once, so that memory does not grow by whole
//! bodies with the number of TCP connections that send some, slowly or beyond the
//! budget (reliability: S-19, S-26, F-30). What the server below has read ahead of
//! each is not counted here. Every connection has its own room, and no
//! other waits for it. In that, what looks like a removal from its beginning has
//! a part of its own, which nothing else uses up.
//!
//! A small body needs none: the server below keeps that much of any body that
//! nobody reads, and what deactivates somebody always fits into it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So much of a body needs no room.
pub(super) const SMALL: usize = 16 * 1024;
/// How many of the largest bodies are read at once, of each sort.
const LARGEST: usize = 4;
/// What room is counted in.
const UNIT: usize = 1024;

/// The room of one connection.
#[derive(Debug)]
pub(super) struct Room {
    ordinary: Arc<Semaphore>,
    revocations: Arc<Semaphore>,
    whole: usize,
}

impl Room {
    /// For bodies up to this many bytes.
    pub(super) fn new(body_limit: usize) -> Self {
        let whole = body_limit.div_ceil(UNIT).saturating_mul(LARGEST);
        let whole = whole.min(Semaphore::MAX_PERMITS);
        let places = || Arc::new(Semaphore::new(whole));
        Self {
            ordinary: places(),
            revocations: places(),
            whole,
        }
    }

    /// Waits for room for so many bytes, first come first served; it is given
    /// back when what is returned is dropped.
    pub(super) async fn take(&self, bytes: usize, revokes: bool) -> Option<OwnedSemaphorePermit> {
        let part = if revokes {
            &self.revocations
        } else {
            &self.ordinary
        };
        let units = bytes.div_ceil(UNIT).min(self.whole);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        // Nobody closes it.
        Arc::clone(part).acquire_many_owned(units).await.ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn so_many_of_the_largest_fit_and_removals_beside_them() {
        let room = Room::new(1 << 20);
        let taken: Vec<_> = (0..LARGEST)
            .map(|_| room.take(1 << 20, false).now_or_never().unwrap())
            .collect();
        assert!(room.take(20_000, false).now_or_never().is_none());
        let removal = room.take(1 << 20, true).now_or_never().unwrap();
        assert!(removal.is_some());
        drop(taken);
        for _ in 0..100 {
            assert!(room.take(40_000, false).now_or_never().is_some());
        }
    }

    #[tokio::test]
    async fn what_is_larger_than_all_of_it_waits_for_all_of_it() {
        let room = Room::new(1_000);
        let one = room.take(1, false).now_or_never().unwrap();
        assert!(room.take(1 << 20, false).now_or_never().is_none());
        drop(one);
        assert!(room.take(1 << 20, false).now_or_never().is_some());
    }
}
