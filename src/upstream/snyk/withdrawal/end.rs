//! What the end of a user came to, each Snyk Group for itself: what went, what was
//! refused, and what is not known, with the reasons.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::super::{
    Snyk,
    membership::{NOT_SHOWN, later},
};
use crate::upstream::{UpstreamError, client::note_left};

impl Snyk {
    /// Why the end goes on later, if it does: what could not be read or got no answer.
    /// Which Snyk Groups these are is told, unless Snyk is away altogether.
    pub(super) fn unended(&self, end: &mut End) -> Option<UpstreamError> {
        let failed = std::mem::take(&mut end.failed);
        let of_sso = std::mem::take(&mut end.failed_sso);
        if failed.is_empty() && of_sso.is_empty() {
            return None;
        }
        let whys = failed.iter().map(|(group, error)| {
            tracing::warn!(connection = %self.settings.connection, %group, %error, "the memberships of a user who leaves are not ended");
            format!("of the Snyk Group {group} {}", why(error))
        });
        let mut whys: Vec<String> = whys.collect();
        whys.extend(of_sso.iter().map(|(group, error)| {
            tracing::warn!(connection = %self.settings.connection, %group, %error, "a user who leaves may be among the SSO users still");
            let why = why(error);
            format!("of the SSO connections of the Snyk Group {group} {why}")
        }));
        whys.extend(end.sso_reason());
        let failed: Vec<UpstreamError> = failed.into_values().chain(of_sso.into_values()).collect();
        if let Some(UpstreamError::Barred { reason }) = &end.refused {
            whys.push(format!("of another one it is refused: {reason}"));
        }
        if !self.api.condition().unreachable {
            let remedy = remedy(failed.iter());
            note_left(format!("{}; {REMEDY}{remedy}", whys.join("; ")));
        }
        let is_unclear = |error: &&UpstreamError| matches!(error, UpstreamError::Unknown { .. });
        let is_denied = |error: &UpstreamError| matches!(error, UpstreamError::Denied { .. });
        let unclear = failed.iter().find(is_unclear);
        let denied = || failed.first().filter(|_| failed.iter().all(is_denied));
        if let Some(error) = unclear.or_else(denied) {
            return Some(error.clone());
        }
        let after = failed.iter().map(|error| match error {
            UpstreamError::Later { after, .. } => *after,
            _ => None,
        });
        // Whatever comes back first is asked then, and the others once more.
        let after = after.min().flatten();
        Some(UpstreamError::Later {
            after,
            reason: whys.join("; "),
        })
    }
}

/// How far the end of all memberships has come. What is refused of one does not
/// keep the others.
#[derive(Default)]
pub(super) struct End {
    /// A look has shown something.
    pub(super) found: bool,
    pub(super) begun: bool,
    /// The ids of those of whom something was shown.
    pub(super) users: BTreeSet<String>,
    pub(super) refused: Option<UpstreamError>,
    /// For so long it cannot be known whether somebody else administers.
    pub(super) waits: Option<Duration>,
    /// What could not be read or got no answer, by the ids of the Snyk Groups.
    pub(super) failed: BTreeMap<String, UpstreamError>,
    /// The same of its SSO connections.
    pub(super) failed_sso: BTreeMap<String, UpstreamError>,
    /// The ids of the Snyk Groups out of whose SSO connections somebody is not let.
    pub(super) refused_sso: BTreeSet<String>,
    /// The ids of those who stay as the last who administer a Snyk Group.
    pub(super) stay: BTreeSet<String>,
}

impl End {
    pub(super) fn add(&mut self, other: Self) {
        self.found |= other.found;
        self.begun |= other.begun;
        self.users.extend(other.users);
        self.refused = self.refused.take().or(other.refused);
        self.waits = self.waits.max(other.waits);
        for (group, error) in other.failed {
            self.fails(&group, error);
        }
        for (group, error) in other.failed_sso {
            self.fails_sso(&group, error);
        }
        self.refused_sso.extend(other.refused_sso);
        self.stay.extend(other.stay);
    }

    pub(super) fn fails(&mut self, group: &str, error: UpstreamError) {
        note_failed(&mut self.failed, group, error);
    }

    pub(super) fn fails_sso(&mut self, group: &str, error: UpstreamError) {
        note_failed(&mut self.failed_sso, group, error);
    }

    pub(super) fn broken_off(&self, error: UpstreamError) -> UpstreamError {
        if self.begun { half_done(error) } else { error }
    }

    /// Why something stays, where others have gone; an error if none has.
    pub(super) fn left(self) -> Result<Option<String>, UpstreamError> {
        let mut whys: Vec<String> = Vec::new();
        match &self.refused {
            Some(error) if !self.begun => return Err(error.clone()),
            Some(UpstreamError::Barred { reason }) => whys.push(reason.clone()),
            Some(error) => {
                tracing::warn!(%error, "a membership stays");
                let reason = "it refused to end one of the memberships; its own words are in the \
                              bridge's log";
                whys.push(reason.into());
            }
            None => {}
        }
        whys.extend(self.sso_reason());
        if whys.is_empty() {
            return Ok(None);
        }
        let reason = whys.join("; ");
        if self.begun {
            Ok(Some(reason))
        } else {
            Err(UpstreamError::Barred { reason })
        }
    }

    fn sso_reason(&self) -> Option<String> {
        let groups: Vec<&str> = self.refused_sso.iter().map(String::as_str).collect();
        (!groups.is_empty()).then(|| {
            format!(
                "it refused to take the user out of the SSO connections of the Snyk Group {}; its \
                 own words are in the bridge's log",
                groups.join(" and ")
            )
        })
    }
}

fn note_failed(failed: &mut BTreeMap<String, UpstreamError>, group: &str, error: UpstreamError) {
    // What may have been done counts most.
    let unclear = matches!(error, UpstreamError::Unknown { .. });
    if unclear || !failed.contains_key(group) {
        failed.insert(group.to_owned(), error);
    }
}

/// Nothing was written by a look.
pub(super) fn unread(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Unknown { reason } => later(&reason),
        UpstreamError::Missing { .. } => later(NOT_SHOWN),
        other => other,
    }
}

/// What to do about a Snyk Group that cannot be read.
const REMEDY: &str = "everything else was taken away, and it is tried again; let the credential \
    read the Snyk Group, or take the user out there by hand";

/// And about one that may have been deleted, where one of these errors says so.
pub(in super::super) fn remedy<'a>(
    mut errors: impl Iterator<Item = &'a UpstreamError>,
) -> &'static str {
    if errors.any(is_not_shown) { GONE } else { "" }
}

const GONE: &str = "; if it was deleted in Snyk, take it out of the configuration, where it is \
    there, and say so with `drawbridge reconcile --apply --shrunk`";

fn is_not_shown(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Later { reason, .. } if reason == NOT_SHOWN)
}

/// Why something is not ended or not known yet, in words of this side.
pub(in super::super) fn why(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Denied { .. } | UpstreamError::Rejected { .. } => {
            "nothing is known, as Snyk refuses to let the credential read or change it"
        }
        error if is_not_shown(error) => "nothing is known, as it is not visible to the credential",
        UpstreamError::Unknown { .. } => "it is not known whether the user has left it",
        _ => "nothing is known, as it cannot be read or changed now",
    }
}

/// Something was taken away already, so it is open what the whole came to.
fn half_done(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Later { reason, .. } | UpstreamError::Denied { reason } => {
            UpstreamError::Unknown { reason }
        }
        other => other,
    }
}
