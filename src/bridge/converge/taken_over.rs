//! An account that is taken for what a creation has made of which no answer came. Its
//! address is the user's, so it is the same person's; but an administrator may have made
//! it, and it is written and ended as one of ours all the same: to refuse an account of
//! ours because the application writes names in its own way would lose more, and leave it
//! to somebody who left. What speaks for an administrator is told in the audit
//! (reliability: R-02).

use super::users::is_older;
use crate::{
    plan::state::UserWork,
    scim::filter::fold_case,
    store::TakenOver,
    upstream::{Millis, RemoteUser, Upstream},
};

/// `None` where accounts are never made, or have several groups' ends.
pub(super) fn tell(
    upstream: &dyn Upstream,
    found: &RemoteUser,
    (work, since): (&UserWork, Option<Millis>),
) -> Option<TakenOver> {
    if upstream.finds_accounts() || upstream.has_families() {
        return None;
    }
    let taken = TakenOver {
        differs: differs(found, work),
        // By its date, whatever is known of that.
        older: is_older(found, since, None),
    };
    if taken.differs || taken.older {
        let (user, deleted) = (&work.principal.id, work.deleted);
        tracing::warn!(%user, deleted, ?taken, "an account that somebody else may have made is taken for what a creation without an answer has made");
    }
    Some(taken)
}

/// Whether none of the names that are shown is one that was asked for, however the
/// application writes it.
fn differs(found: &RemoteUser, work: &UserWork) -> bool {
    let wanted = work.wanted.creation.iter().chain(&work.wanted.profile);
    let names = wanted.filter(|(field, _)| field.to_lowercase().ends_with("name"));
    let pairs = names.filter_map(|(field, wanted)| Some((plain(found.fields.get(field)?), wanted)));
    let pairs = pairs.filter(|(shown, _)| !shown.is_empty());
    let alike: Vec<bool> = pairs
        .map(|(shown, it)| is_alike(&shown, &plain(it)))
        .collect();
    !alike.is_empty() && !alike.contains(&true)
}

/// It may be cut off.
fn is_alike(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn plain(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    fold_case(&words.join(" "))
}
