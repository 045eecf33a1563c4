#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::case::{Case, Kind, Step};
use crate::library;

/// Cases whose whole claim is a status.
const A_STATUS: [&str; 2] = ["2-without-credentials", "3.6-deleted"];

/// A server that gets every status right and says nothing.
fn mute(status: u16) -> Answer {
    let body = if status == 204 { "" } else { "{}" };
    Answer {
        status,
        headers: BTreeMap::new(),
        body: body.into(),
        took: Duration::ZERO,
    }
}

/// Every placeholder filled.
fn filled(case: &Case) -> Variables {
    let mut variables = Variables::default();
    for name in crate::play::GIVEN {
        variables.set(name, "x");
    }
    let steps = case.given.iter().chain(&case.then);
    let saves = steps.map(|step| &step.save).chain([&case.save]);
    let saved = saves.flat_map(|save| save.keys().cloned());
    for name in saved.chain(crate::play::placeholders(case)) {
        variables.set(name, "x");
    }
    variables
}

fn statuses(expect: &Expect) -> Vec<u16> {
    match expect.status.as_slice() {
        [] => vec![200],
        statuses => statuses.to_vec(),
    }
}

/// The statuses with which a mute server passes the case.
fn unquestioned(case: &Case) -> BTreeSet<u16> {
    let variables = filled(case);
    let passes = |expect: &Expect, status: u16| differing(expect, &mute(status), &variables);
    let unseen = |step: &Step| {
        let mut statuses = statuses(&step.expect).into_iter();
        statuses.any(|status| passes(&step.expect, status).is_empty())
    };
    let others = case.or.iter().map(|other| (&other.expect, &other.then));
    let outcomes = [(&case.expect, &case.then)].into_iter().chain(others);
    let hollow = outcomes.filter(|(_, then)| then.iter().all(unseen));
    hollow
        .flat_map(|(expect, _)| statuses(expect).into_iter().map(move |it| (expect, it)))
        .filter(|(expect, status)| passes(expect, *status).is_empty())
        .map(|(_, status)| status)
        .collect()
}

fn each(mut of: impl FnMut(&str, &Case)) {
    for profile in library::load(None, &[]).unwrap() {
        for (_, case) in &profile.cases {
            of(&profile.name, case);
        }
    }
}

/// What a provider sends may be judged by status alone, as the provider does;
/// what shows a rule may not.
#[test]
fn a_server_that_says_nothing_passes_no_case_that_shows_a_rule() {
    let mut hollow = Vec::new();
    each(|profile, case| {
        let known = A_STATUS.contains(&case.name.as_str());
        if case.kind == Kind::Client || known != unquestioned(case).is_empty() {
            return;
        }
        hollow.push(format!("{profile} {} {:?}", case.name, unquestioned(case)));
    });
    assert!(hollow.is_empty(), "{}", hollow.join("\n"));
}

#[test]
fn no_case_takes_done_and_refused_alike() {
    let mut undecided = Vec::new();
    each(|profile, case| {
        let statuses = unquestioned(case);
        let done = statuses.iter().any(|status| *status < 400);
        let refused = statuses.iter().any(|status| *status >= 400);
        if done && refused {
            undecided.push(format!("{profile} {} {statuses:?}", case.name));
        }
    });
    assert!(undecided.is_empty(), "{}", undecided.join("\n"));
}

#[test]
fn a_hollow_case_is_noticed() {
    let mut case = crate::list::expand(json!({
        "defaults": {"source": "s", "confidence": "derived", "kind": "positive"},
        "cases": [{"name": "n", "send": "GET /Me", "expect": 501,
            "or": [{"expect": [200, 308]}, {"expect": {"status": 403, "error": "any"}}],
            "then": [{"send": "GET /Users/1", "expect": {"body": {"title": "$absent"}}}]}]
    }))
    .unwrap();
    let case = case.cases.remove(0);
    assert_eq!(unquestioned(&case), BTreeSet::from([200, 308, 501]));
}

#[test]
fn header_fields_of_an_answer_without_content_are_compared() {
    let expect: Expect = serde_json::from_value(json!({
        "status": 204,
        "headers": {"Allow": "$contains:GET", "Content-Type": "$nonempty"},
        "checks": [["header:Allow", {"$not": "$contains:PUT"}], ["id", "$nonempty"]]
    }))
    .unwrap();
    let mut answer = mute(204);
    assert_eq!(
        differing(&expect, &answer, &Variables::default()).len(),
        1,
        "a lost Allow"
    );
    answer.headers.insert("allow".into(), "GET, PUT".into());
    assert_eq!(differing(&expect, &answer, &Variables::default()).len(), 1);
    answer.headers.insert("allow".into(), "GET".into());
    assert!(differing(&expect, &answer, &Variables::default()).is_empty());
}
