//! Each rule at its threshold, one below and one above.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn members(going: u64, size: u64) -> Taking {
    Taking::Members {
        going,
        size,
        left: size - going,
    }
}

/// The group as it is, nothing taken yet, in a large connection.
fn fresh(size: u64) -> History {
    History {
        group_size: size,
        users: 100_000,
        ..History::default()
    }
}

fn rule(taking: Taking, history: &History) -> Option<Rule> {
    Guard::default()
        .judge(taking, history)
        .err()
        .map(|over| over.rule)
}

#[test]
fn a_small_group_loses_ten_members_in_an_hour_and_not_eleven() {
    for (taken, going, over) in [
        (0, 9, false),
        (0, 10, false),
        (0, 11, true),
        (9, 1, false),
        (10, 1, true),
    ] {
        let history = History {
            from_group: taken,
            ..fresh(40)
        };
        let expected = over.then_some(Rule::GroupRemovals);
        assert_eq!(
            rule(members(going, 40), &history),
            expected,
            "{taken} + {going}"
        );
    }
}

#[test]
fn a_large_group_loses_a_fifth() {
    for (going, over) in [(199, false), (200, false), (201, true)] {
        let expected = over.then_some(Rule::GroupRemovals);
        assert_eq!(rule(members(going, 1_000), &fresh(1_000)), expected);
    }
}

#[test]
fn a_connection_loses_fifty_or_a_twentieth_of_its_users() {
    for (users, taken, going, over) in [
        (100, 40, 10, false),
        (100, 41, 10, true),
        (2_000, 90, 10, false),
        (2_000, 91, 10, true),
    ] {
        let history = History {
            from_all: taken,
            users,
            ..fresh(200)
        };
        let expected = over.then_some(Rule::Removals);
        assert_eq!(
            rule(members(going, 200), &history),
            expected,
            "{users} {taken}"
        );
    }
}

#[test]
fn a_group_of_ten_is_neither_emptied_nor_deleted() {
    let gone = |size| Taking::Group { size };
    assert_eq!(rule(members(9, 9), &fresh(9)), None);
    assert_eq!(rule(members(10, 10), &fresh(10)), Some(Rule::EmptyFrom));
    assert_eq!(rule(members(9, 10), &fresh(10)), None);
    assert_eq!(rule(gone(9), &fresh(9)), None);
    assert_eq!(rule(gone(10), &fresh(10)), Some(Rule::EmptyFrom));
    // In two steps it is still a group of ten.
    let half = History {
        from_group: 5,
        ..fresh(10)
    };
    assert_eq!(rule(gone(5), &half), Some(Rule::EmptyFrom));
}

#[test]
fn a_group_that_was_emptied_before_may_go() {
    let gone = Taking::Group { size: 0 };
    let waiting = History {
        waiting: true,
        ..fresh(50)
    };
    assert_eq!(rule(gone, &fresh(50)), None);
    assert_eq!(rule(gone, &waiting), None, "nobody is taken out of it");
}

#[test]
fn what_follows_a_removal_that_was_too_large_waits_with_it() {
    let history = History {
        waiting: true,
        ..fresh(100)
    };
    assert_eq!(rule(members(1, 100), &history), Some(Rule::Waiting));
    assert_eq!(rule(Taking::Access, &history), None);
}

#[test]
fn in_recovery_a_single_removal_waits_and_a_leaver_does_not() {
    let history = History {
        recovery: true,
        from_group: 1_000,
        from_all: 1_000,
        ..fresh(100)
    };
    assert_eq!(rule(members(1, 100), &history), Some(Rule::Recovery));
    assert_eq!(
        rule(Taking::Group { size: 0 }, &history),
        Some(Rule::Recovery)
    );
    assert_eq!(rule(Taking::Access, &history), None);
    let foreign = History {
        foreign: true,
        ..history
    };
    assert_eq!(rule(Taking::Access, &foreign), Some(Rule::Foreign));
    assert_eq!(Guard::off().judge(Taking::Access, &foreign), Ok(()));
}

#[test]
fn many_who_leave_or_are_removed_hold_back_who_leaves_but_not_the_first() {
    for (leavers, from_all, over) in [
        (48, 48, false),
        (49, 49, false),
        (50, 50, true),
        (4, 49, false),
        (5, 50, true),
        (1, 50, true),
        (0, 1_000, false),
    ] {
        let history = History {
            leavers,
            from_all,
            users: 100,
            ..History::default()
        };
        assert_eq!(
            rule(Taking::Access, &history),
            over.then_some(Rule::Removals)
        );
    }
}

#[test]
fn without_limits_nothing_is_held() {
    let history = History {
        recovery: true,
        ..fresh(100)
    };
    assert_eq!(Guard::off().judge(members(100, 100), &history), Ok(()));
}

#[test]
fn names_are_protected_in_any_letter_case() {
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let least = [("Owners", 3), ("admins", 2), ("owners", 1)];
    let protected = Protected::named(&list(&["ROOT@example.com"]), &list(&["admins"]), least);
    assert!(protected.is_user(["id", "Root@Example.com"]));
    assert!(!protected.is_user(["id", "somebody@example.com"]));
    assert_eq!(protected.least(["Admins"]), Some(2));
    assert_eq!(protected.least(["x", "OWNERS"]), Some(3));
    assert_eq!(protected.least(["x"]), None);
    assert!(!Protected::default().is_user([""]));
}

#[test]
fn the_words_name_the_numbers_and_the_key() {
    let over = Guard::default()
        .judge(members(11, 40), &fresh(40))
        .unwrap_err();
    assert_eq!(
        over.to_string(),
        "it takes 11 members from the group, where 0 went in the last hour; at most 10 of 40 may go \
         in that time (group_removals)"
    );
    // More may go than there were, as others came since.
    let few = Guard::default().judge(members(12, 16), &fresh(4));
    assert_eq!(
        few.unwrap_err().to_string(),
        "it takes 12 members from the group, where 0 went in the last hour; at most 10 may go in \
         that time (group_removals)"
    );
    let effect = Effect {
        of: ResourceType::Group,
        id: ResourceId::from_bytes([1; 16]),
        act: Deed::Change,
        added: 0,
        removed: 22,
        adds: Vec::new(),
        removes: vec![ResourceId::from_bytes([2; 16]); 22],
        left: 3,
        sets: vec!["displayName".to_owned()],
    };
    assert!(effect.to_string().ends_with(" and 2 more"), "{effect}");
    let text = serde_json::to_string(&effect).unwrap();
    assert_eq!(serde_json::from_str::<Effect>(&text).unwrap(), effect);
}

#[test]
fn a_span_is_told_in_its_largest_unit() {
    let over = Guard::default()
        .judge(members(11, 40), &fresh(40))
        .unwrap_err();
    for (seconds, told) in [
        (1, "last second;"),
        (90, "last 90 seconds;"),
        (60, "last minute;"),
        (1_800, "last 30 minutes;"),
        (3_600, "last hour;"),
        (86_400, "last 24 hours;"),
    ] {
        let over = Over {
            within_seconds: seconds,
            ..over
        };
        assert!(over.to_string().contains(told), "{over}");
    }
}

#[test]
fn what_is_done_and_what_is_protected_is_told_by_id() {
    let id = ResourceId::from_bytes([1; 16]);
    let other = ResourceId::from_bytes([2; 16]);
    let effect = |act, removes: &[ResourceId]| Effect {
        of: ResourceType::Group,
        id,
        act,
        added: 0,
        removed: removes.len() as u64,
        adds: Vec::new(),
        removes: removes.to_vec(),
        left: 0,
        sets: Vec::new(),
    };
    let told = [
        (
            Deed::Change,
            vec![other],
            format!("1 members of the Group {id}: {other}"),
        ),
        (
            Deed::Delete,
            vec![],
            format!("the Group {id} and its 0 members"),
        ),
    ];
    for (act, removes, words) in told {
        assert_eq!(effect(act, &removes).to_string(), words);
    }
    let user = |act, groups| Effect {
        of: ResourceType::User,
        ..effect(act, groups)
    };
    let told = [
        // A user who is only changed has the same access as before.
        (
            user(Deed::Change, &[]),
            format!("nothing of the access of the User {id}"),
        ),
        (
            user(Deed::Deactivate, &[]),
            format!("the access of the User {id}"),
        ),
        (
            user(Deed::Deactivate, &[other]),
            format!("the access of the User {id}, who is in 1 Groups: {other}"),
        ),
        (user(Deed::Delete, &[]), format!("the User {id}")),
    ];
    for (effect, words) in told {
        assert_eq!(effect.to_string(), words);
    }
    let all = effect(Deed::Change, &[other; 20]).to_string();
    assert!(all.ends_with(&other.to_string()), "{all}");
    for protection in [
        Protection::User(id),
        Protection::Renamed(ResourceType::Group, id),
        Protection::Group(id),
        Protection::Least(id, 7),
    ] {
        assert!(protection.to_string().contains(&id.to_string()));
    }
    assert!(Protection::Least(id, 7).to_string().contains("7 active"));
}

#[test]
fn there_is_something_to_judge_where_a_limit_or_a_name_is() {
    assert!(!Guard::default().is_idle());
    assert!(Guard::off().is_idle());
    let name = || BTreeSet::from(["a".to_owned()]);
    let users = Protected {
        users: name(),
        ..Protected::default()
    };
    let groups = Protected {
        groups: name(),
        ..Protected::default()
    };
    let least = Protected {
        least_members: BTreeMap::from([("a".to_owned(), 2)]),
        ..Protected::default()
    };
    assert!(Protected::default().is_empty() && !Protected::default().has_groups());
    for (protected, groups) in [(users, false), (groups, true), (least, true)] {
        assert_eq!(protected.has_groups(), groups, "{protected:?}");
        assert!(!protected.is_empty(), "{protected:?}");
        let guard = Guard {
            protected,
            ..Guard::off()
        };
        assert!(!guard.is_idle() && !guard.enabled);
    }
}

#[test]
fn each_rule_has_a_name_and_says_whether_the_group_waits() {
    let told = [
        (Rule::GroupRemovals, "group_removals", true),
        (Rule::Waiting, "waiting", false),
        (Rule::Removals, "removals", false),
        (Rule::EmptyFrom, "empty_from", true),
        (Rule::Recovery, "recovery", false),
        (Rule::Foreign, "foreign", false),
    ];
    for (rule, name, waits) in told {
        assert_eq!((rule.as_str(), rule.holds_the_group()), (name, waits));
        assert_eq!(serde_json::to_value(rule).unwrap(), name);
    }
}

fn histories() -> impl Strategy<Value = History> {
    let number = || prop_oneof![0..300_u64, any::<u64>()];
    (
        any::<[bool; 2]>(),
        number(),
        number(),
        number(),
        number(),
        number(),
    )
        .prop_map(
            |([recovery, waiting], from_group, group_size, from_all, leavers, users)| History {
                recovery,
                foreign: false,
                waiting,
                from_group,
                group_size,
                from_all,
                leavers,
                users,
            },
        )
}

fn limits() -> impl Strategy<Value = Limit> {
    (0..200_u64, 0..=100_u8, 1..100_000_u64).prop_map(|(more_than, percent, seconds)| Limit {
        more_than,
        percent,
        within: Duration::from_secs(seconds),
    })
}

fn guards() -> impl Strategy<Value = Guard> {
    (limits(), limits(), 0..50_u64).prop_map(|(group_removals, removals, empty_from)| Guard {
        group_removals,
        removals,
        empty_from,
        ..Guard::default()
    })
}

proptest! {
    /// The threshold itself passes, one more does not, whatever the numbers.
    #[test]
    fn the_limit_may_be_reached_and_not_passed(
        guard in guards(),
        history in histories(),
        (size, left) in (1..1_000_000_u64, 1..1_000_000_u64),
    ) {
        let free = History { recovery: false, waiting: false, ..history };
        let group = guard.group_removals.most(free.group_size).saturating_sub(free.from_group);
        let all = guard.removals.most(free.users).saturating_sub(free.from_all);
        let most = group.min(all);
        let going = |going| Taking::Members { going, size, left };
        if most > 0 {
            prop_assert_eq!(guard.judge(going(most - 1), &free), Ok(()));
            prop_assert_eq!(guard.judge(going(most), &free), Ok(()));
        }
        if let Some(more) = most.checked_add(1) {
            let over = guard.judge(going(more), &free);
            let sum = over.map_or_else(|o| u128::from(o.taken) + u128::from(o.taking), |()| 0);
            prop_assert!(over.is_err());
            prop_assert!(sum > u128::from(over.unwrap_err().most));
        }
    }

    /// Nobody going is never held; what is allowed stays so with less taken.
    #[test]
    fn less_is_never_worse(guard in guards(), history in histories(), going in 1..500_u64, left in 0..3_u64) {
        let taking = |going| Taking::Members { going, size: going + left, left };
        prop_assert_eq!(guard.judge(taking(0), &history), Ok(()));
        if guard.judge(taking(going), &history).is_ok() {
            let calmer = History {
                from_group: history.from_group / 2,
                from_all: history.from_all / 2,
                ..history
            };
            prop_assert_eq!(guard.judge(taking(going), &calmer), Ok(()));
        }
    }

    /// Groups and recovery are nothing to somebody who leaves, and neither is
    /// what others lost to the first of them.
    #[test]
    fn a_leaver_is_held_by_what_goes_in_all_and_the_first_by_nothing(guard in guards(), history in histories()) {
        let History { leavers, from_all, users, .. } = history;
        let alone = History { from_all, leavers, users, ..History::default() };
        let held = |history| guard.judge(Taking::Access, history).is_err();
        prop_assert_eq!(held(&history), held(&alone));
        let most = guard.removals.most(users);
        prop_assert_eq!(held(&history), leavers >= most || leavers > 0 && from_all >= most);
    }
}

#[test]
fn accounts_that_are_back_end_within_the_limit_of_the_connection() {
    let may = |accounts, gone| {
        let history = History {
            from_all: gone,
            users: 100,
            ..History::default()
        };
        Guard::default().may_end(accounts, &history)
    };
    assert!(may(50, 0) && may(49, 1));
    assert!(!may(51, 0) && !may(50, 1));
    let off = Guard {
        enabled: false,
        ..Guard::default()
    };
    assert!(off.may_end(1_000, &History::default()));
}
