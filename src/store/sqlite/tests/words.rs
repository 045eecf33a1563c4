//! What the guard rails keep has a name that is stored and found again, and
//! words for who reads them.

use std::collections::BTreeSet;

use super::id;
use crate::{
    plan::guard::{Over, Protection, Rule},
    store::{HoldId, HoldState, Rail, Why},
};

#[test]
fn each_reason_for_recovery_is_found_by_its_name_and_says_another_thing() {
    let words: BTreeSet<String> = Why::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), Why::ALL.len());
    for why in Why::ALL {
        assert_eq!(Why::named(why.as_str()), Some(why));
        assert!(why.to_string().len() > why.as_str().len(), "{why}");
        assert_eq!(why.is_foreign(), why == Why::AnotherTenant, "{why}");
    }
    assert_eq!(Why::named("another"), None);
}

#[test]
fn a_hold_is_named_by_its_id_and_its_state_by_a_word() {
    assert_eq!(HoldId(id(7)).to_string(), id(7).to_string());
    let states = [
        (HoldState::Open, "open"),
        (HoldState::Approved, "approved"),
        (HoldState::Rejected, "rejected"),
        (HoldState::Expired, "expired"),
    ];
    for (state, word) in states {
        assert_eq!(state.as_str(), word);
    }
}

#[test]
fn what_keeps_the_last_of_a_group_says_how_many_and_why() {
    let protection = Protection::Least(id(3), 7);
    let least = Rail::Least(protection, 7);
    assert_eq!(least.to_string(), protection.to_string());
    assert_eq!(least.least(), 7);
    let over = Over {
        rule: Rule::EmptyFrom,
        taking: 11,
        taken: 2,
        size: 13,
        most: 0,
        within_seconds: 3_600,
    };
    let emptied = Rail::Emptied(over);
    assert!(emptied.to_string().ends_with(&over.to_string()));
    assert!(emptied.to_string().contains("the last of a Group"));
    assert_eq!(emptied.least(), 1);
}
