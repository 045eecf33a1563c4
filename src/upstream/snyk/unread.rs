//! Which Snyk Groups a look for an account could not read. Who is found in another
//! one is found all the same; that somebody is nowhere is not known then, and it is
//! told for want of which Snyk Groups.

use std::collections::BTreeMap;

use super::{
    Snyk,
    membership::{NOT_SHOWN, later},
    withdrawal::{remedy, why},
};
use crate::upstream::{UpstreamError, client::note_left};

/// Why, by the ids of the Snyk Groups.
#[derive(Debug, Default)]
pub(super) struct Unread(BTreeMap<String, UpstreamError>);

impl Unread {
    pub(super) fn add(&mut self, group: String, error: UpstreamError) {
        // Nothing was written by a look.
        let error = match error {
            UpstreamError::Unknown { reason } => later(&reason),
            UpstreamError::Missing { .. } => later(NOT_SHOWN),
            other => other,
        };
        self.0.entry(group).or_insert(error);
    }

    pub(super) fn extend(&mut self, other: Self) {
        for (group, error) in other.0 {
            self.add(group, error);
        }
    }

    /// For whoever needs all of it.
    pub(super) fn first(&self) -> Result<(), UpstreamError> {
        self.0.values().next().cloned().map_or(Ok(()), Err)
    }
}

impl Snyk {
    /// An error, and what is told of it, unless all Snyk Groups could be read.
    pub(super) fn all_read(&self, unread: &Unread) -> Result<(), UpstreamError> {
        let Unread(failed) = unread;
        let Some(first) = failed.values().next() else {
            return Ok(());
        };
        let whys = failed
            .iter()
            .map(|(group, error)| format!("of the Snyk Group {group} {}", why(error)));
        let reason = whys.collect::<Vec<_>>().join("; ");
        if !self.api.condition().unreachable {
            let gone = remedy(failed.values());
            note_left(format!("{reason}; {REMEDY}{gone}"));
        }
        let is_denied = |error: &UpstreamError| matches!(error, UpstreamError::Denied { .. });
        if failed.values().all(is_denied) {
            return Err(first.clone());
        }
        let after = failed.values().map(|error| match error {
            UpstreamError::Later { after, .. } => *after,
            _ => None,
        });
        Err(UpstreamError::Later {
            after: after.min().flatten(),
            reason,
        })
    }
}

impl Snyk {
    /// Tells why a membership stays for now, where its Snyk Group cannot be read.
    pub(super) fn stays_for(&self, group: &str, error: UpstreamError) -> UpstreamError {
        let waits = matches!(
            error,
            UpstreamError::Later { .. } | UpstreamError::Denied { .. }
        );
        if waits && !self.api.condition().unreachable {
            let (why, gone) = (why(&error), remedy(std::iter::once(&error)));
            note_left(format!("of the Snyk Group {group} {why}; {STAYS}{gone}"));
        }
        error
    }
}

const STAYS: &str = "it is tried again; let the credential read the Snyk Group, or take the user \
    out there by hand";

/// What to do about a Snyk Group that cannot be read.
const REMEDY: &str = "whose account it is cannot be told without it, and it is tried again; let \
    the credential read the Snyk Group";
