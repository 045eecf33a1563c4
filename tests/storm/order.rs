//! Acknowledgements of changes of one group, replayed in the order of the
//! versions they told (reliability: 8.3 rule 1, I-07). Each version is one
//! whole change of the one before; whoever was told a version that is not his
//! own change changed nothing. What was answered before something else was
//! asked is no newer than that.

use std::collections::{BTreeMap, BTreeSet};

/// A change, with users by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Add(usize),
    Remove(usize),
    Put(Group),
    Rename(String),
}

/// What a change makes of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub members: BTreeSet<usize>,
}

/// One acknowledged request; the times are of one clock.
#[derive(Debug, Clone)]
pub struct Told {
    pub act: Act,
    pub version: u64,
    pub asked: u64,
    pub answered: u64,
}

/// Who came and who went with one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    pub came: BTreeSet<usize>,
    pub went: BTreeSet<usize>,
}

/// Where a replay ends.
#[derive(Debug)]
pub struct Replayed {
    pub group: Group,
    pub version: u64,
    /// One for each version after the first.
    pub deltas: Vec<Delta>,
    /// Whatever no true story explains.
    pub lies: Vec<String>,
}

impl Act {
    fn on(&self, group: &Group) -> Group {
        let mut group = group.clone();
        match self {
            Self::Add(user) => {
                group.members.insert(*user);
            }
            Self::Remove(user) => {
                group.members.remove(user);
            }
            Self::Put(whole) => group = whole.clone(),
            Self::Rename(name) => group.name.clone_from(name),
        }
        group
    }
}

fn delta(before: &Group, after: &Group) -> Delta {
    Delta {
        came: after.members.difference(&before.members).copied().collect(),
        went: before.members.difference(&after.members).copied().collect(),
    }
}

/// Replays what was told on a group that was at `version`.
pub fn replay(group: Group, version: u64, story: &[Told]) -> Replayed {
    let mut by_version: BTreeMap<u64, Vec<&Told>> = BTreeMap::new();
    for told in story {
        by_version.entry(told.version).or_default().push(told);
    }
    let mut now = Replayed {
        group,
        version,
        deltas: Vec::new(),
        lies: against_time(story),
    };
    for (version, told) in by_version {
        now.go_to(version, &told);
    }
    now
}

impl Replayed {
    fn go_to(&mut self, version: u64, told: &[&Told]) {
        let next = self.version + 1;
        if version < next {
            let idle = told.iter().all(|one| one.act.on(&self.group) == self.group);
            if version < self.version || !idle {
                self.lies.push(format!(
                    "version {version} was there before it was told of {told:?}"
                ));
            }
            return;
        }
        if version > next {
            self.lies.push(format!(
                "nobody was told versions {next} to {}",
                version - 1
            ));
        }
        self.version = version;
        match told.iter().find_map(|one| self.made_by(one, told)) {
            Some(after) => {
                self.deltas.push(delta(&self.group, &after));
                self.group = after;
            }
            None => self.lies.push(format!(
                "version {version} is no single change of {:?}: {told:?}",
                self.group
            )),
        }
    }

    /// The group after `one`, if it can be what made the version that all of
    /// `told` were told.
    fn made_by(&self, one: &Told, told: &[&Told]) -> Option<Group> {
        let after = one.act.on(&self.group);
        let in_time = told.iter().all(|other| other.answered >= one.asked);
        let idle = told.iter().all(|other| other.act.on(&after) == after);
        (after != self.group && in_time && idle).then_some(after)
    }
}

/// Versions that went back in time.
fn against_time(story: &[Told]) -> Vec<String> {
    let mut asked: Vec<&Told> = story.iter().collect();
    asked.sort_by_key(|told| told.asked);
    let mut answered: Vec<&Told> = story.iter().collect();
    answered.sort_by_key(|told| told.answered);
    let mut answered = answered.into_iter().peekable();
    let mut newest = 0;
    let mut found = Vec::new();
    for told in asked {
        while let Some(earlier) = answered.next_if(|it| it.answered < told.asked) {
            newest = newest.max(earlier.version);
        }
        if told.version < newest {
            found.push(format!(
                "version {newest} was told before this was asked: {told:?}"
            ));
        }
    }
    found
}

mod tests {
    use super::*;

    fn group(name: &str, members: &[usize]) -> Group {
        Group {
            name: name.into(),
            members: members.iter().copied().collect(),
        }
    }

    /// One after the other, without overlap.
    fn told(acts: &[(Act, u64)]) -> Vec<Told> {
        let one = |(place, (act, version)): (u64, &(Act, u64))| Told {
            act: act.clone(),
            version: *version,
            asked: place * 10,
            answered: place * 10 + 5,
        };
        (0..).zip(acts).map(one).collect()
    }

    /// All at the same time.
    fn at_once(acts: &[(Act, u64)]) -> Vec<Told> {
        let mut story = told(acts);
        for told in &mut story {
            (told.asked, told.answered) = (0, 1_000);
        }
        story
    }

    fn lies(story: &[Told]) -> Vec<String> {
        replay(group("g", &[]), 1, story).lies
    }

    /// Everything that can be told, in an order that is not that of asking.
    fn true_story() -> Vec<(Act, u64)> {
        vec![
            (Act::Put(group("h", &[1, 2])), 4),
            (Act::Add(1), 2),
            (Act::Add(2), 3),
            (Act::Add(2), 3),
            (Act::Remove(3), 1),
            (Act::Remove(1), 5),
            (Act::Rename("h".into()), 4),
            (Act::Add(2), 5),
        ]
    }

    #[test]
    fn a_true_story_is_replayed_to_its_end() {
        let end = replay(group("g", &[]), 1, &at_once(&true_story()));
        assert!(end.lies.is_empty(), "{:#?}", end.lies);
        assert_eq!((end.group, end.version), (group("h", &[2]), 5));
        let went: Vec<_> = end.deltas.iter().map(|delta| delta.went.len()).collect();
        assert_eq!(went, [0, 0, 0, 1]);
    }

    #[test]
    fn a_change_that_was_lost_is_a_lie() {
        // Somebody wrote the list back without the first member.
        let lost = [(Act::Add(1), 2), (Act::Add(2), 3), (Act::Add(1), 4)];
        assert_eq!(lies(&at_once(&lost)).len(), 1);
    }

    #[test]
    fn two_changes_of_one_version_are_a_lie() {
        assert_eq!(
            lies(&at_once(&[(Act::Add(1), 2), (Act::Add(2), 2)])).len(),
            1
        );
        assert!(lies(&at_once(&[(Act::Add(1), 2), (Act::Add(1), 2)])).is_empty());
    }

    #[test]
    fn a_change_that_was_told_the_version_before_it_is_a_lie() {
        assert_eq!(lies(&at_once(&[(Act::Add(1), 1)])).len(), 1);
        assert_eq!(lies(&at_once(&[(Act::Remove(1), 0)])).len(), 1);
        assert!(lies(&at_once(&[(Act::Remove(1), 1)])).is_empty());
    }

    #[test]
    fn a_version_that_nobody_made_is_a_lie() {
        assert_eq!(lies(&at_once(&[(Act::Add(1), 3)])).len(), 1);
        assert_eq!(lies(&at_once(&[(Act::Remove(1), 2)])).len(), 1);
    }

    #[test]
    fn half_a_replacement_is_a_lie() {
        let story = [(Act::Put(group("g", &[1, 2])), 2), (Act::Add(2), 3)];
        assert_eq!(lies(&at_once(&story)).len(), 1);
    }

    #[test]
    fn a_version_that_went_back_in_time_is_a_lie() {
        assert_eq!(lies(&told(&[(Act::Add(1), 3), (Act::Add(2), 2)])).len(), 1);
        assert!(lies(&told(&[(Act::Add(1), 2), (Act::Add(2), 3)])).is_empty());
        assert!(lies(&at_once(&[(Act::Add(1), 3), (Act::Add(2), 2)])).is_empty());
    }

    #[test]
    fn a_version_that_was_told_before_it_was_asked_for_is_a_lie() {
        // The idle one knows the version of a change that begins later.
        let story = [(Act::Remove(9), 2), (Act::Add(1), 2)];
        assert_eq!(lies(&told(&story)).len(), 1);
        assert!(lies(&at_once(&story)).is_empty());
    }
}
