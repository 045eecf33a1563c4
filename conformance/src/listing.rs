//! Every case with what it proves and where that is from, without a server: as
//! lines for a terminal, and as the Markdown kept in `cases/README.md`.

use std::fmt::Write as _;

use crate::case::{Case, Kind};
use crate::library::Profile;
use crate::wording::{sentence, source};

/// One line for a profile, then one for each case.
pub fn text(profiles: &[Profile]) -> String {
    let mut text = String::new();
    for profile in profiles {
        let _ = writeln!(text, "# {}", profile.name);
        for (_, case) in &profile.cases {
            let _ = writeln!(text, "{}\t{}\t{}", case.name, sentence(case), case.source);
        }
    }
    text
}

/// A table for each profile.
pub fn markdown(profiles: &[Profile]) -> String {
    let mut text = String::from(
        "# Every case\n\nWritten by `conformance --list --markdown`; `cargo test -p conformance` compares.\n",
    );
    for profile in profiles {
        let checks: usize = profile.cases.iter().map(|(_, case)| case.weight()).sum();
        let cases = profile.cases.len();
        let _ = write!(text, "\n## {}: {cases} cases", profile.name);
        if checks != cases {
            let _ = write!(text, ", {checks} checks");
        }
        text.push_str("\n\n| case | proves | source |\n| --- | --- | --- |\n");
        let mut before: Option<&Case> = None;
        for (_, case) in &profile.cases {
            let cells = [case.name.as_str(), &sentence(case), &source(case, before)];
            let _ = writeln!(text, "| {} |", cells.map(cell).join(" | "));
            before = before.filter(|_| case.kind == Kind::Verify).or(Some(case));
        }
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace(['\n', '\r'], " ")
        .replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::library;

    #[test]
    fn the_kept_list_is_the_list() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/README.md");
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        let made = markdown(&library::load(None, &[]).unwrap());
        assert!(
            kept == made,
            "run: cargo run -p conformance -- --list --markdown > conformance/cases/README.md"
        );
    }

    /// Two rules of a profile that say the same are one, or say too little; a
    /// client may well send the same twice.
    #[test]
    fn every_case_says_what_it_proves_and_where_that_is_from() {
        let mut twice = Vec::new();
        for profile in library::load(None, &[]).unwrap() {
            let mut said = std::collections::BTreeMap::new();
            for (file, case) in &profile.cases {
                let sentence = sentence(case);
                assert!(
                    sentence.contains(' ') && sentence != case.name && !case.source.is_empty(),
                    "{file}: {sentence}"
                );
                if matches!(case.kind, Kind::Client | Kind::Verify) {
                    continue;
                }
                if let Some(other) = said.insert(sentence, &case.name) {
                    twice.push(format!("{file}: {} says what {other} says", case.name));
                }
            }
        }
        assert!(twice.is_empty(), "{}", twice.join("\n"));
    }
}
