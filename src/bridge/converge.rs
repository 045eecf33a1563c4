//! One turn of a lane: plan what differs, send it, say what was learned.
//!
//! The rows were marked unknown when the turn was handed out, so whatever
//! happens here (a crash, a cut connection) leaves a row that is tried again.
//! Only what the application confirmed, or a read showed, becomes known.
use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    plan::{
        capability::Capabilities,
        operation::{Operation, Plan},
    },
    store::{Took, UNANSWERED},
    upstream::{DONE, Millis, Noted, UpstreamError, Wanted, if_wanted},
};

pub(super) use doubts::Doubts;
pub(super) use groups::{Since, group_turn};
pub(super) use identities::Identities;
pub(super) use people::{People, Told};
pub(super) use roles::{Counts, family_turn};
pub(super) use users::{end_but, note_begun, user_turn};

mod anew;
mod doomed;
mod doubts;
mod given;
mod gone;
mod groups;
mod identities;
mod people;
mod remade;
mod roles;
mod taken_over;
mod users;

/// How far the application's clock may be from ours.
const CLOCKS_APART: Millis = 5 * 60 * 1_000;
/// How far behind that clock an application may date what it makes, and how long it may
/// take to show it in its lists.
const MISDATED: Millis = 3_600_000;
const UNLISTED: Millis = 60_000;

/// Whether something that was asked for at `since` came into being later than its date
/// says: the import that began at `listed` would have shown it otherwise.
fn is_misdated(created: Millis, since: Millis, listed: Option<Millis>) -> bool {
    let shown = |listed: Millis| created < listed.saturating_sub(UNLISTED);
    listed.is_some_and(shown) && created >= since.saturating_sub(MISDATED)
}

/// When the lane may try again what is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Nothing is open, or it may go on at once.
    None,
    /// The application asked for it.
    For(Duration),
    /// The application refuses our credential.
    UntilAccepted,
    /// Unclear or short trouble: back off, but new work may go ahead.
    BackOff,
    /// It is only looked, until a look can be believed: soon again, however often.
    Look,
    /// The same as a back-off, after so long.
    Within(Duration),
    /// Another connection of this bridge has to give something up first: back off,
    /// but not for long, as that ends without a word.
    HandedOver,
}

/// Whether a call did something, or may have.
pub(super) fn was_done((_, word, _): &(Operation, String, Took)) -> bool {
    word == DONE || word == UNANSWERED
}

/// Whether one of some calls is known to have been done.
pub(super) fn did_something(calls: &[(Operation, String, Took)]) -> bool {
    calls.iter().any(|(_, word, _)| word == DONE)
}

/// What an operation did, in a word, for the audit.
fn word(result: &Result<impl Sized, UpstreamError>) -> String {
    result
        .as_ref()
        .err()
        .map_or(DONE, UpstreamError::word)
        .into()
}

/// What left for an operation that ended so. The last of it ended as the whole
/// did, where that was not held back by something that was never sent.
fn took(began: Instant, noted: Noted, result: &Result<impl Sized, UpstreamError>) -> Took {
    let Noted {
        mut sent,
        ended,
        left,
    } = noted;
    let word = result.as_ref().err().map_or(DONE, UpstreamError::word);
    let held = matches!(
        result,
        Err(UpstreamError::Later { .. } | UpstreamError::Denied { .. })
    );
    if let Some(last) = sent.last_mut().filter(|_| !held) {
        last.outcome = word;
    }
    let told = matches!(sent.as_slice(), [only] if only.outcome == word);
    let requests = sent.iter().map(|it| (it.outcome.to_owned(), it.millis));
    Took {
        millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        requests: (!told).then(|| requests.collect()),
        ended,
        left,
    }
}

/// Does what is asked for, and tells whether it was kept back as it is so no more.
async fn if_asked<F: Future>(wanted: Option<Arc<dyn Wanted>>, work: F) -> (F::Output, bool) {
    match wanted {
        Some(wanted) => if_wanted(wanted, work).await,
        None => (work.await, false),
    }
}

/// Losses and bad outcomes are logged once, here, with ids only.
fn tell(plan: &Plan) {
    for loss in &plan.losses {
        tracing::warn!(what = %loss.what, reason = %loss.reason, "cannot be carried upstream");
    }
}

pub(super) fn pause_after(error: &UpstreamError) -> Pause {
    match error {
        UpstreamError::Later {
            after: Some(wait), ..
        } => Pause::For(*wait),
        UpstreamError::Denied { .. } => Pause::UntilAccepted,
        UpstreamError::Missed { .. } => Pause::Look,
        _ => Pause::BackOff,
    }
}

/// What a refusal says that took back nothing.
pub(super) const STANDS: &str =
    "everything else was taken away, and the user is inactive; ask again when the reason is gone";

/// Why a change was refused, in words an identity provider may see: never the
/// application's own text, which goes to the log.
fn refusal(can: &Capabilities, act: &str, error: &UpstreamError) -> String {
    tracing::warn!(act, %error, "the application refused");
    let app = &can.application;
    match error {
        UpstreamError::Missing { .. } => format!("{app} does not know it any more ({act})"),
        UpstreamError::Exists { .. } if !takes(act) => {
            format!("{app} has one already that is not managed here ({act})")
        }
        UpstreamError::Barred { reason } => format!("cannot {act} in {app}: {reason}"),
        UpstreamError::Partly { reason } => {
            format!("cannot {act} in {app} completely: {reason}; {STANDS}")
        }
        UpstreamError::Staged { .. } => format!("{app} does not have the account yet ({act})"),
        _ => format!("{app} refused to {act}; its own words are in the bridge's log"),
    }
}

/// Nothing can be in the way of what is not made; the conflict is another one.
fn takes(act: &str) -> bool {
    let words = ["delete ", "remove ", "deactivate "];
    words.iter().any(|word| act.starts_with(word))
}

#[cfg(test)]
pub(super) mod tests;
