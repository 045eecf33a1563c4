//! The report as a person reads it: failures with request, answer and
//! expectation, then a summary by profile, then one closing line of counts.

use std::fmt::Write as _;

use crate::exchange::Shown;
use crate::report::{CaseReport, Failure, Outcome, ProfileReport, Report};

/// The whole text, failures first, the counts last.
pub fn text(report: &Report, with_skipped: bool) -> String {
    let mut text = String::new();
    for (profile, case, found) in report.failures() {
        line(
            &mut text,
            &format!("FAILED  {profile}: {} ({})", case.name, case.file),
        );
        line(&mut text, &failure(case, found));
    }
    if with_skipped {
        skipped(&mut text, report);
    }
    summary(&mut text, report);
    let counts = report.counts();
    line(
        &mut text,
        &format!(
            "{} passed, {} failed, {} skipped",
            counts.passed, counts.failed, counts.skipped
        ),
    );
    text
}

/// Why one case failed, indented.
pub fn failure(case: &CaseReport, failure: &Failure) -> String {
    let mut text = String::new();
    for difference in &failure.differences {
        line(&mut text, &format!("    {difference}"));
    }
    if !failure.notes.is_empty() {
        line(&mut text, &format!("    why:     {}", failure.notes));
    }
    line(
        &mut text,
        &format!("    source:  {} ({})", case.source, case.confidence.word()),
    );
    if let Some(request) = &failure.request {
        shown(&mut text, "request", request);
    }
    if let Some(answer) = &failure.answer {
        shown(&mut text, "answer ", answer);
    }
    text
}

/// One line for a profile that is done.
pub fn profile_line(profile: &ProfileReport) -> String {
    let counts = profile.counts();
    format!(
        "{:<20} {:>4} passed {:>4} failed {:>4} skipped {:>8.2} s",
        profile.name,
        counts.passed,
        counts.failed,
        counts.skipped,
        profile.took.as_secs_f64()
    )
}

fn skipped(text: &mut String, report: &Report) {
    for profile in &report.profiles {
        for case in &profile.cases {
            if let Outcome::Skipped { reason } = &case.outcome {
                line(
                    text,
                    &format!("skipped {}: {}: {reason}", profile.name, case.name),
                );
            }
        }
    }
}

fn summary(text: &mut String, report: &Report) {
    line(text, "");
    for profile in &report.profiles {
        line(text, &profile_line(profile));
        for note in &profile.notes {
            line(text, &format!("    {note}"));
        }
    }
    line(text, "");
}

fn shown(text: &mut String, name: &str, shown: &Shown) {
    line(text, &format!("    {name}: {}", shown.line));
    for header in &shown.headers {
        line(text, &format!("        {header}"));
    }
    if !shown.body.is_empty() {
        line(text, &format!("        {}", shown.body));
    }
}

fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}
