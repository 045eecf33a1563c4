//! The report as a document to keep: Markdown, whole in itself, the same for the
//! same outcome but for date and durations. By section of the standards, then by
//! provider, then every case with its source, its request and what came of it.
//! It holds no credentials; what a report holds has none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::report::{CaseReport, Counts, Outcome, ProfileReport, Report};
use crate::section::Section;

/// The whole document.
pub fn document(report: &Report) -> String {
    let mut text = String::from("# SCIM 2.0 conformance report\n\n");
    head(&mut text, report);
    sections(&mut text, report);
    providers(&mut text, report);
    failures(&mut text, report);
    skipped(&mut text, report);
    for profile in &report.profiles {
        cases(&mut text, profile);
    }
    text
}

fn head(text: &mut String, report: &Report) {
    let counts = report.counts();
    let version = env!("CARGO_PKG_VERSION");
    line(text, "| | |");
    line(text, "| --- | --- |");
    for (name, value) in [
        ("server", report.url.clone()),
        ("server software", report.server.clone()),
        ("began", date(report.began)),
        ("mode", report.mode.word().to_owned()),
        (
            "played by",
            format!("conformance {version}, run {}", report.run),
        ),
        ("outcome", told(counts)),
        ("shown by the server", report.features.join(", ")),
    ] {
        if !value.is_empty() {
            line(text, &format!("| {name} | {} |", cell(&value)));
        }
    }
}

fn sections(text: &mut String, report: &Report) {
    let mut by_section: BTreeMap<Section, Counts> = BTreeMap::new();
    for case in report.profiles.iter().flat_map(|profile| &profile.cases) {
        if let Some(section) = Section::of(&case.source) {
            let counts = by_section.entry(section).or_default();
            *counts = counts.plus(case.outcome.counts());
        }
    }
    if by_section.is_empty() {
        return;
    }
    line(text, "\n## By section\n");
    line(text, "| section | passed | failed | skipped |");
    line(text, "| --- | --- | --- | --- |");
    for (section, counts) in by_section {
        let Counts {
            passed,
            failed,
            skipped,
        } = counts;
        line(
            text,
            &format!("| {section} | {passed} | {failed} | {skipped} |"),
        );
    }
}

fn providers(text: &mut String, report: &Report) {
    line(text, "\n## By profile\n");
    line(
        text,
        "| profile | cases | checks | passed | failed | skipped |",
    );
    line(text, "| --- | --- | --- | --- | --- | --- |");
    for profile in &report.profiles {
        let Counts {
            passed,
            failed,
            skipped,
        } = profile.counts();
        let cases = profile.cases.len();
        let checks = profile.checks();
        let name = &profile.name;
        line(
            text,
            &format!("| {name} | {cases} | {checks} | {passed} | {failed} | {skipped} |"),
        );
    }
}

fn failures(text: &mut String, report: &Report) {
    if report.counts().failed == 0 {
        return;
    }
    line(text, "\n## Failed\n");
    for (profile, case, failure) in report.failures() {
        line(
            text,
            &format!("- **{profile}: {}** ({})", case.name, case.source),
        );
        if !case.says.is_empty() {
            line(text, &format!("  - {}", case.says));
        }
        for difference in &failure.differences {
            line(text, &format!("  - `{}`", difference.replace('`', "'")));
        }
    }
}

fn skipped(text: &mut String, report: &Report) {
    if report.counts().skipped == 0 {
        return;
    }
    line(text, "\n## Skipped\n");
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for profile in &report.profiles {
        for case in &profile.cases {
            if let Outcome::Skipped { reason } = &case.outcome {
                let name = format!("{}: {}", profile.name, case.name);
                by_reason.entry(reason).or_default().push(name);
            }
        }
    }
    for (reason, cases) in by_reason {
        line(text, &format!("- {reason} ({})", cases.len()));
        for case in cases {
            line(text, &format!("  - {case}"));
        }
    }
}

/// By section where there are sections, else in the order of play.
fn cases(text: &mut String, profile: &ProfileReport) {
    line(text, &format!("\n## Cases of {}\n", profile.name));
    for note in &profile.notes {
        line(text, &format!("{note}\n"));
    }
    line(text, "| case | shows | source | request | outcome |");
    line(text, "| --- | --- | --- | --- | --- |");
    let mut cases: Vec<&CaseReport> = profile.cases.iter().collect();
    cases.sort_by_key(|case| Section::of(&case.source));
    for case in cases {
        let outcome = match &case.outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed(_) => "**failed**".to_owned(),
            Outcome::Skipped { reason } => format!("skipped: {reason}"),
        };
        let cells = [
            &case.name,
            &case.says,
            &case.source,
            &case.request,
            &outcome,
        ];
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        line(text, &format!("| {} |", cells.join(" | ")));
    }
}

fn told(counts: Counts) -> String {
    format!(
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    )
}

/// What ends a cell or a line is written otherwise.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace(['\n', '\r'], " ")
}

/// A day and time in UTC (the days are counted in years that begin in March).
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::case::{Confidence, Kind, Mode};
    use crate::report::Failure;

    fn case(name: &str, source: &str, outcome: Outcome) -> CaseReport {
        CaseReport {
            name: name.into(),
            file: "x/1.json".into(),
            source: source.into(),
            says: "a | b".into(),
            request: "GET /Users".into(),
            confidence: Confidence::Derived,
            kind: Kind::Positive,
            checks: 1,
            took: Duration::ZERO,
            outcome,
        }
    }

    #[test]
    fn sections_failures_and_reasons_to_skip_are_all_told() {
        let failed = Outcome::Failed(Box::new(Failure::new(vec!["status: no".into()], "")));
        let skipped = Outcome::Skipped {
            reason: "no sort".into(),
        };
        let report = Report {
            url: "http://x/scim".into(),
            run: "r".into(),
            began: 1_795_000_000,
            mode: Mode::Lenient,
            features: vec!["patch".into()],
            server: String::new(),
            profiles: vec![ProfileReport {
                name: "p".into(),
                notes: vec![],
                cases: vec![
                    case("later", "RFC 7644 section 3.10", failed),
                    case("first", "RFC 7644 section 3.2", Outcome::Passed),
                    case("c", "https://x", skipped),
                ],
                took: Duration::ZERO,
            }],
        };
        let text = document(&report);
        assert!(text.contains("| began | 2026-11-18T11:06:40Z |"), "{text}");
        assert!(
            text.contains("| RFC 7644 section 3.10 | 0 | 1 | 0 |"),
            "{text}"
        );
        assert!(
            text.contains("- no sort (1)") && text.contains("  - p: c"),
            "{text}"
        );
        assert!(text.contains("| first | a \\| b | RFC 7644 section 3.2 | GET /Users | passed |"));
        assert!(
            text.find("| first | ") < text.find("| later | "),
            "in the order of the sections"
        );
    }

    #[test]
    fn days_are_counted_through_leap_years() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date(1_709_251_199), "2024-02-29T23:59:59Z");
    }
}
