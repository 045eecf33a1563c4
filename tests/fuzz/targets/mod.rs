//! What is fuzzed: functions that take any bytes and panic when the protocol
//! breaks a promise. A refusal is no failure, as long as it is a proper one.
//!
//! They are run by the fuzzer (`tests/fuzz/run`), and by the test `fuzz`,
//! which replays the corpus.

use super::scim;

mod bulk;
mod filter;
mod json;
mod patch;
mod path;
mod query;
mod world;

pub type Target = fn(&[u8]);

/// Each with the name of its corpus, `corpus/NAME.txt`.
pub const TARGETS: [(&str, Target); 6] = [
    ("bulk", bulk::run),
    ("filter", filter::run),
    ("json", json::run),
    ("patch", patch::run),
    ("path", path::run),
    ("query", query::run),
];

#[cfg_attr(test, allow(dead_code))]
pub fn named(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| *target)
}

/// What a refusal always is: a client's fault with the words that help.
fn refused(problem: &scim::error::Problem) {
    assert_eq!(problem.status, 400, "{problem}");
    assert!(problem.scim_type.is_some(), "{problem}");
    let length = problem.detail.len();
    assert!((10..2_000).contains(&length), "{length}: {problem}");
}
