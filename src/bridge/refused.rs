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
    /// the reason of its own. `all`: of so many changes of the request.
    pub(super) async fn members_refused(
        &self,
        members: Vec<(UserKey, String)>,
        all: usize,
    ) -> Problem {
        let kept = are_kept(&members);
        let rest = what_became(members.len(), all);
        let mut told = Vec::new();
        for (reason, keys) in by_reason(members) {
            let ids = self.bridge.store.user_ids(keys).await;
            let ids = ids.unwrap_or_else(|error| {
                tracing::error!(%error, "the store failed");
                Vec::new()
            });
            told.push(named(&reason, &ids));
        }
        problem(&told, rest, kept)
    }
}

/// The same, of those whose ids are known already.
pub(super) fn foreseen(
    members: Vec<(UserKey, String)>,
    all: usize,
    id: impl Fn(UserKey) -> Option<ResourceId>,
) -> Problem {
    let kept = are_kept(&members);
    let rest = what_became(members.len(), all);
    let told: Vec<String> = by_reason(members)
        .into_iter()
        .map(|(reason, keys)| {
            let ids: Vec<ResourceId> = keys.into_iter().filter_map(&id).collect();
            named(&reason, &ids)
        })
        .collect();
    problem(&told, rest, kept)
}

fn named(reason: &str, ids: &[ResourceId]) -> String {
    let who = if ids.len() == 1 {
        "this member"
    } else {
        "these members"
    };
    format!("{reason}, for {who}: {}", some_of(ids))
}

/// What became of those who were refused, and of what else was asked for, if anything
/// was; that may be open still, and is kept.
fn what_became(refused: usize, all: usize) -> &'static str {
    match (refused, all > refused) {
        (1, false) => "the membership is as it was",
        (1, true) => "that membership is as it was, every other change of this request stands",
        (_, false) => "their memberships are as they were",
        (_, true) => {
            "their memberships are as they were, every other change of this request stands"
        }
    }
}

/// Whether every reason is the guard's.
fn are_kept(members: &[(UserKey, String)]) -> bool {
    members.iter().all(|(_, reason)| reason.ends_with(KEPT))
}

fn problem(told: &[String], rest: &str, kept: bool) -> Problem {
    let detail = format!("{}; {rest}", told.join("; "));
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
    fn nothing_is_said_of_other_changes_where_there_are_none() {
        let id = ResourceId::from_bytes([1; 16]);
        let told = |refused: u8, all| {
            let members = (0..refused).map(|user| (UserKey(user.into()), "no".to_owned()));
            foreseen(members.collect(), all, |_| Some(id)).detail
        };
        let said = format!("no, for this member: {id}; the membership is as it was");
        assert_eq!(told(1, 1), said);
        let others = ", every other change of this request stands";
        assert!(told(1, 2).ends_with(others));
        assert!(told(2, 3).ends_with(others));
        assert!(told(2, 2).ends_with("; their memberships are as they were"));
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
