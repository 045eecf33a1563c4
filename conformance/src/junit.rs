//! The `JUnit` form of a report, as build servers read it: one suite per
//! profile, one test case per case.

use std::fmt::Write as _;

use crate::report::{CaseReport, Outcome, ProfileReport, Report};
use crate::terminal;

/// A whole XML document.
pub fn document(report: &Report) -> String {
    let counts = report.counts();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    line(
        &mut xml,
        &format!(
            "<testsuites tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
            counts.passed + counts.failed + counts.skipped,
            counts.failed,
            counts.skipped
        ),
    );
    for profile in &report.profiles {
        suite(&mut xml, profile);
    }
    line(&mut xml, "</testsuites>");
    xml
}

fn suite(xml: &mut String, profile: &ProfileReport) {
    let counts = profile.counts();
    line(
        xml,
        &format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
            escape(&profile.name),
            profile.cases.len(),
            counts.failed,
            counts.skipped,
            profile.took.as_secs_f64()
        ),
    );
    for case in &profile.cases {
        test_case(xml, &profile.name, case);
    }
    line(xml, "  </testsuite>");
}

fn test_case(xml: &mut String, profile: &str, case: &CaseReport) {
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" time=\"{:.3}\"",
        escape(profile),
        escape(&case.name),
        escape(&case.file),
        case.took.as_secs_f64()
    );
    match &case.outcome {
        Outcome::Passed => line(xml, &format!("{head}/>")),
        Outcome::Skipped { reason } => {
            line(
                xml,
                &format!(
                    "{head}><skipped message=\"{}\"/></testcase>",
                    escape(reason)
                ),
            );
        }
        Outcome::Failed(failure) => {
            let message = failure.differences.join("; ");
            let text = terminal::failure(case, failure);
            line(
                xml,
                &format!(
                    "{head}><failure message=\"{}\">{}</failure></testcase>",
                    escape(&message),
                    escape(&text)
                ),
            );
        }
    }
}

fn line(xml: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(xml, "{text}");
}

/// Escapes for XML 1.0, whose character set has no most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push(' '),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(
            escape("a<b>&\"\u{1}\n"),
            "a&lt;b&gt;&amp;&quot;\u{fffd}&#10;"
        );
    }
}
