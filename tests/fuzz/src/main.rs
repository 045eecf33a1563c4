//! The fuzzer: libFuzzer in front of one of the targets, named by the
//! environment variable `FUZZ_TARGET`. Built and run by `tests/fuzz/run`.
//!
//! The protocol (`src/scim`) is pure, so it is compiled in here alone, with
//! coverage counters; nothing of server or store is built.
#![no_main]

use std::sync::LazyLock;

#[path = "../../../src/scim/mod.rs"]
#[allow(dead_code, unused_imports)]
mod scim;
#[path = "../targets/mod.rs"]
mod targets;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    targets::named(&name).unwrap_or_else(|| panic!("FUZZ_TARGET must name a target, not {name:?}"))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| TARGET(input));
