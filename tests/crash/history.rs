//! What was asked, what was answered, and whether the end state can be true.
//!
//! Each client is the only one that writes its keys and sends one request
//! after the other, so the order of its requests is known. A request that was
//! answered with 2xx must have happened; one without an answer may have
//! happened or not, but whole (reliability: I-01, I-02, I-04, I-05, I-12).

use std::collections::{BTreeMap, BTreeSet};

/// One bit of the state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Member { group: String, user: String },
    Active(String),
    Exists(String),
}

/// One request: the bits it sets, and how it ended.
#[derive(Debug, Clone)]
pub struct Step {
    pub writes: Vec<(Key, bool)>,
    pub end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// 2xx; the resource's address and version, where the answer told it.
    Acknowledged(Option<(String, u64)>),
    /// No answer, or one that leaves open what happened.
    Open,
}

pub type State = BTreeMap<Key, bool>;

/// Everything in `last` that no true story explains, given what was at first
/// and what one client did. Every key that the client may write is in `first`.
pub fn lies(first: &State, steps: &[Step], last: &State) -> Vec<String> {
    let is = |key: &Key| last.get(key).copied().unwrap_or(false);
    let mut found = Vec::new();
    // From the end: which bits still need somebody who set them.
    let mut unexplained: BTreeSet<&Key> = first.keys().collect();
    for (place, step) in steps.iter().enumerate().rev() {
        let mut seen = step
            .writes
            .iter()
            .filter(|(key, _)| unexplained.contains(key));
        let true_story = seen.clone().all(|(key, value)| is(key) == *value);
        if matches!(step.end, End::Acknowledged(_)) {
            found.extend(
                seen.clone()
                    .filter(|(key, value)| is(key) != *value)
                    .map(|(key, value)| format!("request {place} set {key:?} to {value}, was acknowledged, and it is not so")),
            );
        } else if !true_story {
            continue;
        }
        let explained: Vec<&Key> = seen.by_ref().map(|(key, _)| key).collect();
        for key in explained {
            unexplained.remove(key);
        }
    }
    for key in unexplained {
        if is(key) != first.get(key).copied().unwrap_or(false) {
            found.push(format!(
                "{key:?} is {}, which no whole request explains",
                is(key)
            ));
        }
    }
    found.extend(versions_that_went_back(steps));
    found
}

fn versions_that_went_back(steps: &[Step]) -> Vec<String> {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for step in steps {
        let End::Acknowledged(Some((resource, version))) = &step.end else {
            continue;
        };
        let known = newest.entry(resource).or_default();
        if version < known {
            found.push(format!(
                "{resource} went from version {known} back to {version}"
            ));
        }
        *known = *version;
    }
    found
}

/// Where the application is not as SCIM says. An inactive user has no access
/// there whatever it still lists, so it may or may not be listed; but only
/// where SCIM has it too.
pub fn differences(
    scim: &BTreeMap<String, BTreeSet<String>>,
    inactive: &BTreeSet<String>,
    upstream: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let mut found = Vec::new();
    let nobody = BTreeSet::new();
    for (group, members) in scim {
        let there = upstream.get(group).unwrap_or(&nobody);
        for member in members.difference(inactive) {
            if !there.contains(member) {
                found.push(format!("{member} is missing in {group}"));
            }
        }
        for member in there.difference(members) {
            found.push(format!("{member} should not be in {group}"));
        }
    }
    found
}

mod tests {
    use super::*;

    fn member(user: &str) -> Key {
        Key::Member {
            group: "g".into(),
            user: user.into(),
        }
    }

    fn step(end: End, writes: &[(&str, bool)]) -> Step {
        let writes = writes.iter().map(|(user, value)| (member(user), *value));
        Step {
            writes: writes.collect(),
            end,
        }
    }

    fn done(writes: &[(&str, bool)]) -> Step {
        step(End::Acknowledged(None), writes)
    }

    fn open(writes: &[(&str, bool)]) -> Step {
        step(End::Open, writes)
    }

    /// The lies about the members `a`, `b`, `c`, all absent at first.
    fn told(steps: &[Step], last: &[&str]) -> Vec<String> {
        let first = ["a", "b", "c"].map(|user| (member(user), false));
        let last = last.iter().map(|user| (member(user), true)).collect();
        lies(&first.into(), steps, &last)
    }

    #[test]
    fn a_lost_acknowledged_member_is_a_lie() {
        assert_eq!(told(&[done(&[("a", true)])], &[]).len(), 1);
        assert!(told(&[done(&[("a", true)])], &["a"]).is_empty());
    }

    #[test]
    fn a_member_that_comes_back_is_a_lie() {
        let steps = [done(&[("a", true)]), done(&[("a", false)])];
        assert_eq!(told(&steps, &["a"]).len(), 1);
        assert!(told(&steps, &[]).is_empty());
    }

    #[test]
    fn a_member_nobody_named_is_a_lie() {
        assert_eq!(told(&[done(&[("a", true)])], &["a", "b"]).len(), 1);
    }

    #[test]
    fn an_open_request_may_count_or_not() {
        let steps = [done(&[("a", true)]), open(&[("a", false)])];
        assert!(told(&steps, &["a"]).is_empty());
        assert!(told(&steps, &[]).is_empty());
    }

    #[test]
    fn an_open_request_never_counts_after_a_later_acknowledged_one() {
        let steps = [open(&[("a", true)]), done(&[("a", false)])];
        assert_eq!(told(&steps, &["a"]).len(), 1);
    }

    #[test]
    fn half_an_open_request_is_a_lie() {
        let steps = [open(&[("a", true), ("b", true)])];
        assert_eq!(told(&steps, &["a"]).len(), 1);
        assert!(told(&steps, &["a", "b"]).is_empty());
        assert!(told(&steps, &[]).is_empty());
    }

    #[test]
    fn half_an_open_request_is_no_lie_where_a_later_one_explains_the_rest() {
        let steps = [open(&[("a", true), ("b", true)]), open(&[("b", false)])];
        assert!(told(&steps, &["a"]).is_empty());
        assert_eq!(told(&steps, &["b", "c"]).len(), 2);
    }

    #[test]
    fn a_version_that_goes_back_is_a_lie() {
        let at = |version| step(End::Acknowledged(Some(("g".into(), version))), &[]);
        assert_eq!(told(&[at(2), at(3), at(2)], &[]).len(), 1);
        assert!(told(&[at(2), at(2), at(3)], &[]).is_empty());
    }

    #[test]
    fn the_application_must_have_exactly_the_active_members() {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let found = |there: &[&str]| {
            let scim = [("g".to_owned(), set(&["a", "b", "c"]))].into();
            let upstream = [("g".to_owned(), set(there))].into();
            differences(&scim, &set(&["c", "d"]), &upstream).len()
        };
        assert_eq!(found(&["a", "b"]), 0);
        assert_eq!(found(&["a", "b", "c"]), 0);
        assert_eq!(found(&["a"]), 1);
        assert_eq!(found(&["a", "b", "d"]), 1);
        assert_eq!(found(&["a", "b", "e"]), 1);
        assert_eq!(found(&[]), 2);
    }
}
