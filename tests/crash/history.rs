//! What was asked, what was answered, and whether the end state can be true.
//!
//! Each client is the only one that writes its keys and sends one request
//! after the other, so the order of its requests is known. A request that was
//! answered with 2xx must have happened; one without an answer may have
//! happened or not, but whole (reliability: I-01, I-02, I-04, I-05, I-12).
//! What is there is looked at after every kill, before it is written over.

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

/// Something that no true story explains.
#[derive(Debug)]
pub enum Lie {
    /// It was acknowledged and is not so.
    Lost(String),
    /// It is so, and no whole request says it.
    Half(String),
    /// A version that was told is not reached any more.
    Back(String),
    /// Whatever else must not be.
    Odd(String),
}

impl Lie {
    pub fn text(&self) -> &str {
        match self {
            Self::Lost(what) | Self::Half(what) | Self::Back(what) | Self::Odd(what) => what,
        }
    }
}

/// What one client did since its keys were last looked at, and what was found
/// wrong at the looks so far.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every key that the client may write, as it was last seen.
    pub seen: State,
    pub steps: Vec<Step>,
    newest: BTreeMap<String, u64>,
    pub acknowledged: usize,
    pub open: usize,
    pub looks: usize,
    pub lies: Vec<Lie>,
}

impl Ledger {
    pub fn note(&mut self, step: Step) {
        match &step.end {
            End::Open => self.open += 1,
            End::Acknowledged(version) => {
                self.acknowledged += 1;
                if let Some((resource, version)) = version {
                    self.version(resource, *version);
                }
            }
        }
        self.steps.push(step);
    }

    /// A resource's version as it was told or read.
    pub fn version(&mut self, resource: &str, version: u64) {
        let known = self.newest.entry(resource.to_owned()).or_default();
        if version < *known {
            let went = format!("{resource} went from version {known} back to {version}");
            self.lies.push(Lie::Back(went));
        }
        *known = version;
    }

    pub fn odd(&mut self, what: String) {
        self.lies.push(Lie::Odd(what));
    }

    /// Compares what is there now; the next story begins with it.
    pub fn look(&mut self, now: State) {
        self.lies.extend(lies(&self.seen, &self.steps, &now));
        self.steps.clear();
        self.seen = now;
        self.looks += 1;
    }
}

/// Everything in `last` that no true story explains, given what was at first
/// and what one client did. Every key that the client may write is in `first`.
fn lies(first: &State, steps: &[Step], last: &State) -> Vec<Lie> {
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
                    .map(|(key, value)| Lie::Lost(format!("request {place} set {key:?} to {value}, was acknowledged, and it is not so"))),
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
        let before = first.get(key).copied().unwrap_or(false);
        if is(key) == before {
            continue;
        }
        let what = format!("{key:?} is {}, which no whole request explains", is(key));
        found.push(Lie::Half(what));
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

    fn ledger<const USERS: usize>(absent: [&str; USERS]) -> Ledger {
        Ledger {
            seen: absent.map(|user| (member(user), false)).into(),
            ..Ledger::default()
        }
    }

    /// The lies about the members `a`, `b`, `c`, all absent at first.
    fn told(steps: &[Step], last: &[&str]) -> Vec<Lie> {
        let mut ledger = ledger(["a", "b", "c"]);
        for step in steps {
            ledger.note(step.clone());
        }
        ledger.look(last.iter().map(|user| (member(user), true)).collect());
        ledger.lies
    }

    #[test]
    fn a_lost_acknowledged_member_is_a_lie() {
        let found = told(&[done(&[("a", true)])], &[]);
        assert!(matches!(found[..], [Lie::Lost(_)]), "{found:?}");
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
        let found = told(&steps, &["a"]);
        assert!(matches!(found[..], [Lie::Half(_)]), "{found:?}");
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
    fn a_version_that_a_look_does_not_find_any_more_is_a_lie() {
        let mut ledger = ledger([]);
        ledger.note(step(End::Acknowledged(Some(("g".into(), 5))), &[]));
        ledger.look(State::new());
        ledger.version("g", 5);
        assert!(ledger.lies.is_empty());
        ledger.version("g", 4);
        assert!(matches!(ledger.lies[..], [Lie::Back(_)]));
    }

    #[test]
    fn each_look_starts_a_story_of_its_own() {
        let mut ledger = ledger(["a"]);
        ledger.note(done(&[("a", true)]));
        ledger.look([(member("a"), true)].into());
        assert!(ledger.lies.is_empty());
        ledger.look(State::new());
        assert!(matches!(ledger.lies[..], [Lie::Half(_)]));
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
