//! Every life that the pairs of a group can have (reliability: T-03), by the
//! model checker `stateright`: one or two memberships, requests to add, remove
//! and replace, batches and replacement calls, refusals, answers that never come
//! or leave somebody out, calls that land late, reads that lag by one change,
//! readings that lie, changes made by hand, and the end of the process at any
//! moment. The rules are those of the code (each is told with its file) in
//! small, without time: what waits for a time is done when nothing can land or
//! lag any more. All states are visited; each rule is shown to be needed by what
//! goes wrong without it. Accounts, families, guard rails and the making and
//! deleting of groups are left out.
//!
//! `MODEL=1` allows one more request, refusal, reading and loss of an answer in each
//! scene, which takes minutes; every number above, many.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use life::Life;
use rules::Rule::{
    self, AddsFirst, AskedIsReadAnew, CrashIsUnknown, EarlyReadIsNoProof, FoundIsUnclear,
    ItemByItem, MarkBeforeSending, NeverAssume, NobodyUnasked, NobodyUnnamed, NoteNewer,
    NoteUnnamed, OlderIsNotNewer, OneTurnAtATime, OpenIsUnclear, OvertakenReadingIsNone,
    ReadingsAgree, ReadsFarApart, RecheckAfterAnswer, RecheckLate, RefusalIsNotNewer,
    RefusalTellsNothing, RemoveAtOnce, SendWhatIsWanted, UnsentIsAsBefore, WholeSet,
};

mod fates;
mod life;
mod reading;
mod rules;
mod state;
mod turn;

/// What may happen, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Bounds {
    pairs: u8,
    /// Most members in a call.
    batch: u8,
    requests: u8,
    crashes: u8,
    /// Calls that land late.
    lates: u8,
    /// Answers that never come, or leave somebody out; members left out of a call.
    losses: u8,
    /// Calls that are refused, or put off.
    refusals: u8,
    /// Accounts that cannot be named for a while.
    unnamed: u8,
    /// Members that somebody takes out by hand.
    hands: u8,
    strangers: u8,
    readings: u8,
    /// Readings that come back empty.
    lies: u8,
}

/// One membership and all that can happen to it.
const ONE: Bounds = Bounds {
    pairs: 1,
    batch: 1,
    requests: 3,
    crashes: 1,
    lates: 1,
    losses: 3,
    refusals: 1,
    unnamed: 0,
    hands: 0,
    strangers: 0,
    readings: 0,
    lies: 0,
};

/// One, and readings of the group.
const READ: Bounds = Bounds {
    losses: 1,
    refusals: 0,
    hands: 1,
    readings: 1,
    lies: 1,
    ..ONE
};

/// Two of one group, a call for each.
const TWO: Bounds = Bounds {
    pairs: 2,
    requests: 2,
    crashes: 0,
    losses: 0,
    refusals: 1,
    ..ONE
};

/// The same in batches, of which answers tell or not.
const BATCH: Bounds = Bounds {
    batch: 2,
    lates: 0,
    losses: 1,
    ..TWO
};

/// The end of the process in between.
const CRASH: Bounds = Bounds {
    batch: 2,
    crashes: 1,
    refusals: 0,
    ..TWO
};

/// Accounts that cannot be named, and a stranger.
const OTHERS: Bounds = Bounds {
    batch: 2,
    refusals: 0,
    unnamed: 1,
    strangers: 1,
    ..TWO
};

const SCENES: [(&str, Bounds); 6] = [
    ("one", ONE),
    ("read", READ),
    ("two", TWO),
    ("batch", BATCH),
    ("crash", CRASH),
    ("others", OTHERS),
];

/// What goes wrong without each rule, and in which scene.
const NEEDED: [(Rule, Bounds, &str); 26] = [
    (MarkBeforeSending, ONE, "lost"),
    (OlderIsNotNewer, ONE, "lost"),
    (SendWhatIsWanted, TWO, "gap"),
    (OneTurnAtATime, ONE, "phantom"),
    (NeverAssume, ONE, "phantom"),
    (ItemByItem, ONE, "lost"),
    (UnsentIsAsBefore, ONE, "phantom"),
    (CrashIsUnknown, ONE, "phantom"),
    (RecheckLate, ONE, "phantom"),
    (RecheckAfterAnswer, ONE, "phantom"),
    (OpenIsUnclear, ONE, "lost"),
    (RemoveAtOnce, ONE, "a removal waits"),
    (EarlyReadIsNoProof, ONE, "lost"),
    (AskedIsReadAnew, ONE, "lost"),
    (RefusalIsNotNewer, ONE, "lost"),
    (RefusalTellsNothing, ONE, "phantom"),
    (AddsFirst, TWO, "emptied"),
    (WholeSet, TWO, "gap"),
    (NobodyUnnamed, OTHERS, "gap"),
    (NoteUnnamed, OTHERS, "lost"),
    (NoteNewer, TWO, "lost"),
    (NobodyUnasked, OTHERS, "touched"),
    (ReadingsAgree, READ, "misled"),
    (ReadsFarApart, READ, "misled"),
    (OvertakenReadingIsNone, READ, "misled"),
    (FoundIsUnclear, READ, "phantom"),
];

/// The scene with so much more as `MODEL` says.
fn more(bounds: Bounds) -> Bounds {
    let more = std::env::var("MODEL").map_or(0, |it| it.parse().expect("MODEL is a number"));
    let plus = |bound: u8| if bound == 0 { 0 } else { bound + more };
    Bounds {
        requests: plus(bounds.requests),
        losses: plus(bounds.losses),
        refusals: plus(bounds.refusals),
        readings: plus(bounds.readings),
        ..bounds
    }
}

#[test]
fn no_life_of_a_groups_pairs_ends_wrong() {
    for (name, bounds) in SCENES {
        let started = Instant::now();
        let bounds = more(bounds);
        let life = Life { bounds, off: None };
        let checked = life.checker().finish_when(HasDiscoveries::AnyFailures);
        let checked = checked.spawn_bfs().join();
        let (states, took) = (checked.unique_state_count(), started.elapsed());
        println!("{name}: {states} states, {:.1} s", took.as_secs_f32());
        if let Some((what, way)) = checked.discoveries().into_iter().next() {
            panic!("{name}: {what}: {way}");
        }
        assert!(checked.is_done() && states > 20_000);
    }
}

#[test]
fn every_rule_is_needed() {
    for (rule, bounds, what) in NEEDED {
        let off = Some(rule);
        let checked = Life { bounds, off }.checker();
        let checked = checked.finish_when(HasDiscoveries::AnyOf([what].into()));
        let checked = checked.spawn_bfs().join();
        let way = checked.discovery(what);
        let way = way.unwrap_or_else(|| panic!("nothing is {what} without {rule:?}"));
        let (steps, states) = (way.into_actions().len(), checked.unique_state_count());
        println!("without {rule:?}: {what} after {steps} steps, {states} states");
    }
}
