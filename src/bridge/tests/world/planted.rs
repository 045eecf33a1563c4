//! The judge is judged first: what it must find is planted, in an application
//! that lies or in the evidence of a good world, one kind at a time. A judge
//! that misses one of these proves nothing by its silence.

use super::{
    application::{Change, Kind, Lie},
    checker::Evidence,
    history::{Act, End, Entry},
    operators::Flaw,
    run, run_operated, run_with,
};

/// How many seeds a lie is given to come out untold.
const SEEDS: std::ops::Range<u64> = 0..60;

fn is_caught(lie: Lie, word: &str) -> bool {
    SEEDS
        .map(|seed| run(seed, lie).verdict())
        .any(|verdict| verdict.iter().any(|found| found.contains(word)))
}

/// A world without a fault, to be tampered with.
fn good() -> Evidence {
    let evidence = run(1, Lie::Harmless);
    assert_eq!(evidence.verdict(), Vec::<String>::new());
    evidence
}

fn finds(evidence: &Evidence, word: &str) {
    let verdict = evidence.verdict();
    assert!(
        verdict.iter().any(|found| found.contains(word)),
        "{word}: {verdict:?}"
    );
}

/// A member that both sides agree on.
fn member(evidence: &Evidence) -> (String, String) {
    let groups = evidence.shown.groups.iter();
    let mut pairs = groups.flat_map(|(group, members)| members.iter().map(move |it| (group, it)));
    let active = |(_, it): &(&String, &String)| evidence.shown.users[*it];
    let (group, account) = pairs.find(active).expect("somebody in some group");
    (group.clone(), account.clone())
}

#[test]
fn an_add_that_was_never_done_is_lost() {
    assert!(is_caught(Lie::AddsNothing, "lost"));
}

#[test]
fn a_removal_that_was_never_done_is_a_phantom() {
    assert!(is_caught(Lie::RemovesNothing, "phantom"));
}

#[test]
fn an_account_that_was_never_made_is_missed() {
    assert!(is_caught(Lie::CreatesNothing, "the application not"));
}

#[test]
fn an_account_that_never_ended_is_found() {
    assert!(is_caught(Lie::DeactivatesNothing, "the application not"));
}

#[test]
fn a_group_that_was_never_deleted_is_found() {
    assert!(is_caught(Lie::DeletesNothing, "in the application true"));
}

#[test]
fn a_replacement_that_clears_first_is_a_gap() {
    assert!(is_caught(Lie::ClearsFirst, "gap"));
}

#[test]
fn a_call_that_lands_later_than_promised_leaves_something_behind() {
    let left = [
        "phantom",
        "lost",
        "the application not",
        "in the application",
    ];
    assert!(left.into_iter().any(|word| is_caught(Lie::TooLate, word)));
}

#[test]
fn a_member_who_comes_back_unasked_was_resurrected() {
    assert!(is_caught(Lie::Haunts, "resurrected"));
}

#[test]
fn a_membership_lost_on_both_sides_is_lost() {
    let mut evidence = good();
    let (group, account) = member(&evidence);
    for groups in [&mut evidence.shown.groups, &mut evidence.stock.groups] {
        groups.get_mut(&group).unwrap().remove(&account);
    }
    finds(&evidence, "lost in SCIM");
}

#[test]
fn a_membership_invented_on_both_sides_is_invented() {
    let mut evidence = good();
    let group = evidence.shown.groups.keys().next().unwrap().clone();
    for groups in [&mut evidence.shown.groups, &mut evidence.stock.groups] {
        groups.get_mut(&group).unwrap().insert("nobody".into());
    }
    evidence.stock.accounts.insert("nobody".into(), (true, 0));
    evidence.shown.users.insert("nobody".into(), true);
    finds(&evidence, "invented in SCIM: nobody");
}

#[test]
fn a_role_or_title_that_is_not_the_one_asked_for_is_found() {
    let good = run_with(1, Lie::Harmless, Kind::Roles);
    assert_eq!(good.verdict(), Vec::<String>::new());
    let active = good.shown.users.iter().find(|(_, active)| **active);
    let account = active.expect("somebody").0.clone();
    let mut evidence = good.clone();
    let held = evidence.stock.fields.get_mut(&account).unwrap();
    held.0 = "king".into();
    finds(&evidence, "king");
    let mut evidence = good.clone();
    let held = evidence.stock.fields.get_mut(&account).unwrap();
    held.1 = Some("sir".into());
    finds(&evidence, "sir");
    for nobodys in [(Some("king"), None), (None, Some("sir"))] {
        let mut evidence = good.clone();
        let (role, title) = nobodys;
        let shown = (role.map(str::to_owned), title.map(str::to_owned));
        evidence.shown.fields.insert(account.clone(), shown);
        finds(&evidence, "nobody asked for that");
    }
}

#[test]
fn half_a_request_is_half_a_request() {
    let mut evidence = good();
    let group = evidence.shown.groups.keys().next().unwrap().clone();
    for account in ["half", "other"] {
        evidence.stock.accounts.insert(account.into(), (true, 0));
        evidence.shown.users.insert(account.into(), true);
    }
    for groups in [&mut evidence.shown.groups, &mut evidence.stock.groups] {
        groups.get_mut(&group).unwrap().insert("half".into());
    }
    let end = evidence
        .history
        .iter()
        .map(|entry| entry.end)
        .max()
        .unwrap();
    let members = ["half", "other"].map(str::to_owned).into();
    for act in [
        Act::CreateUser("half".into()),
        Act::CreateUser("other".into()),
        Act::Add(group, members),
    ] {
        evidence.history.push(Entry {
            act,
            start: end + 1,
            end: end + 2,
            ended: End::Unheard,
            approved: false,
        });
    }
    finds(&evidence, "half a request");
}

#[test]
fn a_version_that_is_used_twice_is_found() {
    let mut evidence = good();
    let numbered = |entry: &&Entry| {
        matches!(
            &entry.ended,
            End::Done {
                version: Some((_, 2..)),
                ..
            }
        )
    };
    let twice = evidence.history.iter().find(numbered).unwrap().clone();
    evidence.history.push(twice);
    finds(&evidence, "out of order");
}

#[test]
fn versions_that_contradict_time_are_found() {
    let mut evidence = good();
    for entry in &mut evidence.history {
        if let End::Done {
            version: Some((_, version)),
            ..
        } = &mut entry.ended
        {
            *version = 1_000 - *version;
        }
    }
    finds(&evidence, "out of order");
}

#[test]
fn a_write_that_nothing_called_for_is_restless() {
    let mut evidence = good();
    evidence.calls.push(evidence.calm + 1);
    finds(&evidence, "restless");
}

#[test]
fn a_change_that_nobody_asked_for_is_found_on_the_way() {
    let mut evidence = good();
    let (group, account) = member(&evidence);
    evidence.log.push(Change {
        at: evidence.calm,
        group: Some(group),
        account,
        present: false,
        aside: false,
    });
    finds(&evidence, "gap");
}

#[test]
fn a_group_that_is_taken_for_gone_is_found() {
    let mut evidence = good();
    evidence.gone = 1;
    finds(&evidence, "taken for gone");
}

#[test]
fn what_landed_late_and_stood_for_long_is_a_zombie() {
    let good = good();
    let (group, account) = member(&good);
    for (stood, is_one) in [(20_000, false), (40_000, true)] {
        let mut evidence = good.clone();
        for (at, present) in [(0, false), (stood, true)] {
            evidence.log.push(Change {
                at: good.calm + at,
                group: Some(group.clone()),
                account: account.clone(),
                present,
                aside: !present,
            });
        }
        let verdict = evidence.verdict();
        assert_eq!(
            verdict.iter().any(|it| it.contains("zombie")),
            is_one,
            "{verdict:?}"
        );
    }
}

/// Which of these no world with that flaw comes to.
fn not_found<'w>(flaw: Flaw, words: &[&'w str]) -> Vec<&'w str> {
    let mut left = words.to_vec();
    for seed in SEEDS.chain(20..60) {
        if left.is_empty() {
            break;
        }
        let verdict = run_operated(seed, flaw).verdict();
        left.retain(|word| !verdict.iter().any(|found| found.contains(word)));
    }
    left
}

#[test]
fn a_bridge_that_heeds_no_switch_sends_while_all_is_stopped() {
    let words = [
        "sent while all is stopped",
        "waits while all is stopped",
        "the other connection",
    ];
    assert_eq!(not_found(Flaw::Deaf, &words), [""; 0]);
}

#[test]
fn a_bridge_without_guard_rails_takes_what_is_to_be_held_and_what_is_protected() {
    let words = [
        "not held",
        "protected, and ended",
        "protected, and taken out",
        "the last of",
    ];
    assert_eq!(not_found(Flaw::Unguarded, &words), [""; 0]);
}

#[test]
fn what_is_tampered_with_in_a_world_with_operators_is_found() {
    type Tamper = fn(&mut super::operators::Seen, &mut Vec<Entry>);
    let mut plants: Vec<(Tamper, &str)> = vec![
        (|seen, _| seen.tell_otherwise(), "the status tells"),
        (|seen, _| seen.forget_who_stopped_it(), "records of pause"),
        (
            |_, history| hold_a_leaver(history),
            "no record of what is held",
        ),
        (|seen, _| seen.lose_a_record(), "the audit is broken"),
        (|seen, _| seen.lose_a_call(), "recorded, and never sent"),
        (|seen, _| seen.invent_a_call(), "sent without a record"),
        (|seen, _| seen.forget_a_change(), "records of"),
        (
            |seen, _| seen.show_what_was_before(),
            "before its own write",
        ),
        (
            |seen, _| seen.show_a_stranger(),
            "is not what was asked for",
        ),
        (
            |seen, _| seen.hide_a_user(),
            "nobody asked for what is read",
        ),
        (
            |_, history| hold_a_leaver(history),
            "a single leaver is held",
        ),
    ];
    for seed in SEEDS {
        if plants.is_empty() {
            break;
        }
        let good = run_operated(seed, Flaw::None);
        plants.retain(|(plant, word)| {
            let mut evidence = good.clone();
            let seen = evidence.operated.as_mut().unwrap();
            plant(seen, &mut evidence.history);
            !evidence.verdict().iter().any(|found| found.contains(word))
        });
    }
    let left: Vec<&str> = plants.into_iter().map(|(_, word)| word).collect();
    assert_eq!(left, [""; 0]);
}

/// The first who left, as if a guard rail had held it.
fn hold_a_leaver(history: &mut [Entry]) {
    if let Some(leaver) = history.iter_mut().find(|it| it.act.ends().is_some()) {
        leaver.ended = End::Stopped {
            held: Some("it".into()),
        };
    }
}
