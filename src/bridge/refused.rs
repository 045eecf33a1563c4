//! What an identity provider is told of members that the application refused:
//! every one behind the reason of its own, as one may be refused by the
//! application and another by a rule of this side. Bounded; whoever is not named
//! stands in the status.

use super::Session;
use crate::{
    plan::state::UserKey,
    scim::{
        error::{Problem, ScimType},
        resource::ResourceId,
    },
    store::KEPT,
};

impl Session {
    /// Names refused members by the ids the identity provider knows, each behind
    /// the reason of its own.
    pub(super) async fn members_refused(&self, members: Vec<(UserKey, String)>) -> Problem {
        let kept = are_kept(&members);
        let mut told = Vec::new();
        for (reason, keys) in by_reason(members) {
            let ids = self.bridge.store.user_ids(keys).await;
            let ids = ids.unwrap_or_else(|error| {
                tracing::error!(%error, "the store failed");
                Vec::new()
            });
            told.push(named(&reason, &ids));
        }
        only_others_applied(&told, kept)
    }
}

/// The same, of those whose ids are known already.
pub(super) fn foreseen(
    members: Vec<(UserKey, String)>,
    id: impl Fn(UserKey) -> Option<ResourceId>,
) -> Problem {
    let kept = are_kept(&members);
    let told: Vec<String> = by_reason(members)
        .into_iter()
        .map(|(reason, keys)| {
            let ids: Vec<ResourceId> = keys.into_iter().filter_map(&id).collect();
            named(&reason, &ids)
        })
        .collect();
    only_others_applied(&told, kept)
}

fn named(reason: &str, ids: &[ResourceId]) -> String {
    format!("{reason}, for these members: {}", some_of(ids))
}

/// Whether every reason is the guard's.
fn are_kept(members: &[(UserKey, String)]) -> bool {
    members.iter().all(|(_, reason)| reason.ends_with(KEPT))
}

fn only_others_applied(told: &[String], kept: bool) -> Problem {
    let detail = format!(
        "{}; their membership is as it was, every other change of this request was applied",
        told.join("; ")
    );
    if kept {
        Problem::new(403, detail)
    } else {
        Problem::bad(ScimType::InvalidValue, detail)
    }
}

/// Most members that one reason names, and most reasons: they come from the
/// application.
const NAMED: usize = 20;
const REASONS: usize = 10;

/// In the order in which they were met; those of too many reasons stand behind
/// the last one that is told.
fn by_reason(members: Vec<(UserKey, String)>) -> Vec<(String, Vec<UserKey>)> {
    let mut reasons: Vec<(String, Vec<UserKey>)> = Vec::new();
    for (user, reason) in members {
        let known = reasons.iter().position(|(it, _)| *it == reason);
        let place = known.unwrap_or(reasons.len()).min(REASONS - 1);
        match reasons.get_mut(place) {
            None => reasons.push((reason, vec![user])),
            Some((told, users)) => {
                users.push(user);
                if known.is_none() {
                    "there are other reasons, which the status tells".clone_into(told);
                }
            }
        }
    }
    reasons
}

fn some_of(ids: &[ResourceId]) -> String {
    let shown: Vec<String> = ids.iter().take(NAMED).map(ToString::to_string).collect();
    let more = match ids.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_stands_behind_its_own_reason() {
        let said = |user, reason: &str| (UserKey(user), reason.to_owned());
        let told = by_reason(vec![said(1, "a"), said(2, "b"), said(3, "a")]);
        let expected = [
            ("a".to_owned(), vec![UserKey(1), UserKey(3)]),
            ("b".to_owned(), vec![UserKey(2)]),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_told_of_reasons_is_bounded_and_leaves_nobody_out() {
        let many = (0..100).map(|user| (UserKey(user), format!("reason {user}")));
        let told = by_reason(many.collect());
        assert_eq!(told.len(), REASONS);
        let members: usize = told.iter().map(|(_, users)| users.len()).sum();
        assert_eq!(members, 100);
        assert!(
            told.iter().all(|(reason, _)| reason != "reason 9"),
            "it is not theirs"
        );
    }
}
