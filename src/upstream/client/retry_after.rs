//! `Retry-After` (RFC 9110 section 10.2.3): whole seconds or an HTTP date.
//!
//! What makes no sense (a sign, a fraction, words) is as good as absent: the
//! pacer then waits by its own rule. Nobody may stop us for longer than
//! fifteen minutes.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

/// The longest pause an application can ask for.
pub(super) const LONGEST: Duration = Duration::from_secs(15 * 60);

static DATES: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// How long to wait from `now`, at most [`LONGEST`].
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number are still "very long".
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let until = http_date(text)?;
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    Some(wait.min(LONGEST))
}

/// An HTTP date in the one form that may be sent (`Sun, 06 Nov 1994 08:49:37 GMT`).
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    DATES.parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood_and_the_rest_is_ignored() {
        let now = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap_or_default();
        for (text, wait) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 30 ", Some(30)),
            ("1000000000", Some(900)),
            ("99999999999999999999999999", Some(900)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:50:37 GMT", Some(900)),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("soon", None),
            ("5s", None),
            ("", None),
            ("Sun, 99 Nov 1994 08:50:37 GMT", None),
        ] {
            assert_eq!(parse(text, now), wait.map(Duration::from_secs), "{text:?}");
        }
    }
}
