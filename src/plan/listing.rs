//! Lists of an application that is only shown here: what is not on them any
//! more, and whether that is believed.
//!
//! A list can be cut off without saying so. What only one of two readings does
//! not show is on the list; and a list that lost more than half, or everything,
//! is not believed before several readings, some minutes apart, agree
//! (reliability: I-22, G-8). What is new on a list needs no belief.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    drift::{self, GroupDrift, Shrunk},
    state::GroupKey,
};

/// One list of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    Accounts,
    Groups,
    Members(GroupKey),
}

/// What a list does not show any more, by the store's keys, and how much of it
/// was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    pub gone: Vec<i64>,
    pub there: usize,
}

impl From<GroupDrift> for Lost {
    fn from(drift: GroupDrift) -> Self {
        let gone = drift.missing.iter().chain(&drift.gone);
        Self {
            gone: gone.map(|user| user.0).collect(),
            there: drift.there,
        }
    }
}

impl Lost {
    /// What two readings agree on.
    #[must_use]
    pub fn confirmed_by(self, other: &Self) -> Self {
        let other: HashSet<i64> = other.gone.iter().copied().collect();
        let both = self.gone.into_iter().filter(|key| other.contains(key));
        Self {
            gone: both.collect(),
            there: self.there,
        }
    }

    /// Too much to be believed at once. A small group may lose everybody; but
    /// no accounts, or no groups, at all are rather no answer than an answer.
    fn is_short(&self, list: List) -> bool {
        let still = self.there.saturating_sub(self.gone.len());
        let nothing = still == 0 && !matches!(list, List::Members(_));
        nothing || drift::has_shrunk(self.there, still)
    }
}

/// Lists that were too short to be believed, as long as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Doubts(Vec<Shrunk<List>>);

impl Doubts {
    /// Whether what a list lost is believed; counts this reading.
    pub fn believe(&mut self, list: List, lost: &Lost, now: i64) -> bool {
        if !lost.is_short(list) {
            return true;
        }
        let digest = drift::digest(&lost.gone);
        if let Some(doubt) = self.0.iter_mut().find(|doubt| doubt.of() == list) {
            doubt.again(digest, now);
            doubt.is_believed()
        } else {
            self.0.push(Shrunk::first(list, digest, now));
            false
        }
    }

    /// Forgets lists that are not short any more, or are believed.
    pub fn keep_since(&mut self, then: i64) {
        self.0
            .retain(|doubt| doubt.was_seen_since(then) && !doubt.is_believed());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::state::UserKey;

    fn lost(gone: impl IntoIterator<Item = i64>, there: usize) -> Lost {
        Lost {
            gone: gone.into_iter().collect(),
            there,
        }
    }

    #[test]
    fn a_list_that_alternates_loses_nothing() {
        let (one, two) = (lost([1, 2, 3], 20), lost([4, 5, 3], 20));
        assert_eq!(one.clone().confirmed_by(&two), lost([3], 20));
        assert_eq!(one.confirmed_by(&lost([], 20)), lost([], 20));
    }

    #[test]
    fn half_is_believed_at_once_and_more_than_half_is_not() {
        let mut doubts = Doubts::default();
        for list in [List::Accounts, List::Groups, List::Members(GroupKey(1))] {
            assert!(doubts.believe(list, &lost(0..5, 10), 0));
            assert!(!doubts.believe(list, &lost(0..6, 10), 0), "{list:?}");
            assert!(doubts.believe(list, &lost(0..8, 9), 0), "it is small");
        }
    }

    #[test]
    fn an_empty_list_is_not_believed_at_once_unless_it_is_of_a_small_group() {
        let mut doubts = Doubts::default();
        assert!(!doubts.believe(List::Accounts, &lost([1], 1), 0));
        assert!(!doubts.believe(List::Groups, &lost([1], 1), 0));
        assert!(doubts.believe(List::Members(GroupKey(1)), &lost([1], 1), 0));
    }

    #[test]
    fn three_agreeing_readings_ten_minutes_apart_are_believed_list_by_list() {
        let (mut doubts, short) = (Doubts::default(), lost(0..20, 20));
        let other = List::Members(GroupKey(3));
        let apart = drift::APART;
        assert!(!doubts.believe(List::Accounts, &short, 0));
        assert!(!doubts.believe(List::Accounts, &short, apart - 1));
        assert!(!doubts.believe(List::Accounts, &short, apart));
        assert!(!doubts.believe(other, &short, apart));
        assert!(doubts.believe(List::Accounts, &short, 2 * apart));
        assert!(!doubts.believe(other, &short, 2 * apart));
        let another = lost(1..21, 20);
        assert!(
            !doubts.believe(other, &another, 3 * apart),
            "a new beginning"
        );
        assert!(!doubts.believe(other, &another, 4 * apart));
    }

    #[test]
    fn a_list_that_was_whole_in_between_is_doubted_from_the_beginning() {
        let (mut doubts, short) = (Doubts::default(), lost(0..20, 20));
        let apart = drift::APART;
        for reading in 0..2 {
            assert!(!doubts.believe(List::Groups, &short, reading * apart));
        }
        doubts.keep_since(apart);
        assert!(!doubts.is_empty(), "still short");
        doubts.keep_since(apart + 1);
        assert!(doubts.is_empty(), "whole since");
        assert!(!doubts.believe(List::Groups, &short, 2 * apart));
        assert!(!doubts.believe(List::Groups, &short, 3 * apart));
        assert!(doubts.believe(List::Groups, &short, 4 * apart));
        doubts.keep_since(4 * apart);
        assert!(doubts.is_empty(), "what is believed is no doubt any more");
    }

    #[test]
    fn a_group_has_lost_who_is_missing_and_who_is_gone() {
        let drift = GroupDrift {
            missing: vec![UserKey(1)],
            gone: vec![UserKey(2)],
            there: 9,
            ..GroupDrift::default()
        };
        assert_eq!(Lost::from(drift), lost([1, 2], 9));
    }
}
