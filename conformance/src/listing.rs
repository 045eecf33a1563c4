//! Every case with what it proves and where that is from, without a server: as
//! lines for a terminal, and as the Markdown kept in `cases/README.md`.

use std::fmt::Write as _;

use crate::case::{Case, Kind};
use crate::library::Profile;

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
        for (_, case) in &profile.cases {
            let cells = [case.name.as_str(), &sentence(case), &case.source].map(cell);
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

/// What the case proves; a recorded exchange proves that the provider gets the answer it needs.
fn sentence(case: &Case) -> String {
    let said = [&case.says, &case.expect.notes];
    if let Some(said) = said.into_iter().find(|said| !said.is_empty()) {
        return said.clone();
    }
    let status: Vec<String> = case.expect.status.iter().map(u16::to_string).collect();
    let (method, path, status) = (
        &case.request.method,
        &case.request.path,
        status.join(" or "),
    );
    match case.kind {
        Kind::Verify => format!("the state before is read back by {method} {path}"),
        Kind::Negative => format!("{method} {path} in this form is refused with {status}"),
        Kind::Client | Kind::Positive => {
            format!("{method} {path} in the provider's form is answered with {status}")
        }
    }
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

    #[test]
    fn every_case_says_what_it_proves_and_where_that_is_from() {
        for profile in library::load(None, &[]).unwrap() {
            for (file, case) in &profile.cases {
                assert!(
                    !sentence(case).is_empty() && !case.source.is_empty(),
                    "{file}"
                );
            }
        }
    }
}
