//! Which calls succeed at the moment. Whose own call fails rests for longer and
//! longer; but where others of its kind are done, the application has come to itself,
//! and it is tried again soon.

use std::{
    collections::{HashMap, HashSet},
    mem::{Discriminant, discriminant},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{bridge::clock, plan::operation::Operation, store::Took, upstream::DONE};

/// A lane finds out after this long, and up to twice as long, that its calls are done
/// again where other lanes send them.
const SOON: Duration = Duration::from_secs(10);

pub(super) type Kind = Discriminant<Operation>;

/// When a call of each kind was done last.
#[derive(Debug, Default)]
pub(super) struct Well(Mutex<HashMap<Kind, Instant>>);

impl Well {
    /// Takes over how the calls of a turn ended, and tells which kinds failed.
    pub(super) fn note(&self, calls: &[(Operation, String, Took)]) -> HashSet<Kind> {
        let (done, failed): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.1 == DONE);
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.extend(done.into_iter().map(|call| (discriminant(&call.0), now)));
        failed
            .into_iter()
            .map(|call| discriminant(&call.0))
            .collect()
    }

    /// When others were done since it began to be waited for: of these kinds, or of
    /// any where it is a look that failed.
    pub(super) async fn again(&self, failed: &HashSet<Kind>) {
        let began = Instant::now();
        loop {
            tokio::time::sleep(SOON + clock::jitter(SOON)).await;
            if self.was_done(failed, began) {
                return;
            }
        }
    }

    /// Whether that was so since then.
    pub(super) fn was_done(&self, failed: &HashSet<Kind>, since: Instant) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = last.iter();
        last.any(|(kind, at)| *at > since && (failed.is_empty() || failed.contains(kind)))
    }
}
