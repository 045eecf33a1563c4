//! The fuzzer's targets on its corpus: what was found once stays found. The
//! fuzzer itself is a command, `tests/fuzz/run`.

use std::{fs, path::PathBuf};

use drawbridge::scim;

#[path = "fuzz/targets/mod.rs"]
mod targets;

/// The corpus, and each input cut short and with a byte changed.
#[test]
fn the_fuzzers_targets_hold_on_their_corpus() {
    for (name, target) in targets::TARGETS {
        let inputs = corpus(name);
        assert!(inputs.len() > 10, "{name} has a corpus");
        for input in inputs {
            let bytes = input.into_bytes();
            target(&bytes);
            for at in (0..bytes.len()).step_by(7) {
                target(bytes.get(..at).unwrap_or_default());
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                target(&changed);
            }
        }
    }
}

fn corpus(name: &str) -> Vec<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join(format!("tests/fuzz/corpus/{name}.txt"))).unwrap();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}
