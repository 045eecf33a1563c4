//! Failures by what the caller does next, and the application's own words,
//! cut and cleaned for the log and the administrator.

use std::error::Error;

use reqwest::StatusCode;
use serde_json::Value;

use crate::upstream::UpstreamError;

/// The longest text kept of a reply that refuses.
const TEXT_LIMIT: usize = 300;

/// Statuses that ask for a pause.
pub(super) fn is_throttle(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_EARLY
    )
}

/// Whether a pause was asked for before anything was done: a gateway says 503
/// and 408 too when the application behind it had the request already.
pub(super) fn is_untouched(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY
    )
}

/// What an answer means, as its caller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Meaning {
    /// What its status says, whatever else is in it.
    Success,
    /// It was so already.
    Done,
    Later,
    Unknown,
    Rejected,
    Denied,
    Missing,
    Exists,
}

/// The failure that a caller knows it to be.
pub(super) fn as_meant(meaning: Meaning, status: StatusCode, text: &str) -> UpstreamError {
    let reason = answered(status, text);
    match meaning {
        Meaning::Later => UpstreamError::Later {
            after: None,
            reason,
        },
        Meaning::Rejected => UpstreamError::Rejected { reason },
        Meaning::Denied => UpstreamError::Denied { reason },
        Meaning::Missing => UpstreamError::Missing { reason },
        Meaning::Exists => UpstreamError::Exists { reason },
        Meaning::Success | Meaning::Done | Meaning::Unknown => UpstreamError::Unknown { reason },
    }
}

fn answered(status: StatusCode, text: &str) -> String {
    match text {
        "" => format!("answered {}", status.as_u16()),
        text => format!("answered {}: {text}", status.as_u16()),
    }
}

/// A status that speaks of what is there, from who does not know it: a page for
/// people comes from whatever stands before the application.
pub(super) fn is_hearsay(status: StatusCode, body: &[u8]) -> bool {
    matches!(status.as_u16(), 404 | 409 | 410) && is_page(body)
}

fn is_page(body: &[u8]) -> bool {
    let marked = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    marked.trim_ascii_start().starts_with(b"<")
}

/// What a status other than 2xx and the throttling ones means.
pub(super) fn of_status(status: StatusCode, text: &str) -> UpstreamError {
    let reason = answered(status, text);
    match status.as_u16() {
        401 | 403 => UpstreamError::Denied { reason },
        404 | 410 => UpstreamError::Missing { reason },
        409 => UpstreamError::Exists { reason },
        400..=499 => UpstreamError::Rejected { reason },
        300..=399 => UpstreamError::Unknown {
            reason: format!(
                "answered {} (a redirect, never followed): check base_url",
                status.as_u16()
            ),
        },
        _ => UpstreamError::Unknown { reason },
    }
}

/// The message of an error body: its `message`, `error` or `detail` where it
/// is JSON, else the body itself. No address of anybody is repeated (I-35).
pub(in crate::upstream) fn text(body: &[u8]) -> String {
    let raw = String::from_utf8_lossy(body);
    if let Ok(value) = serde_json::from_str::<Value>(&raw)
        && let Some(found) = message(&value)
    {
        return clean(found);
    }
    if is_page(body) {
        return "a web page".into();
    }
    clean(&raw)
}

/// An error and its causes, without the URL (which may hold an e-mail).
pub(super) fn chain(error: &reqwest::Error) -> String {
    let first = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "connection failed"
    } else if error.is_body() || error.is_decode() {
        "body broken"
    } else {
        "request failed"
    };
    let mut text = first.to_owned();
    let mut cause = error.source();
    // Chains of causes are short; the bound is against a loop.
    for _ in 0..8 {
        let Some(inner) = cause else { break };
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    clean(&text)
}

fn message(value: &Value) -> Option<&str> {
    if let Some(text) = value.as_str() {
        return Some(text);
    }
    // JSON:API: the first of several says enough.
    if let Some(first) = value.get("errors").and_then(|errors| errors.get(0)) {
        let said = ["detail", "title"]
            .iter()
            .find_map(|key| first.get(key)?.as_str());
        if said.is_some() {
            return said;
        }
    }
    ["message", "error", "detail", "msg"]
        .iter()
        .filter_map(|key| value.get(key))
        .find_map(|found| found.as_str().or_else(|| found.get("message")?.as_str()))
}

fn clean(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        if word.contains('@') {
            out.push_str("(an address)");
        } else {
            out.extend(word.chars().take(TEXT_LIMIT));
        }
        if out.chars().count() >= TEXT_LIMIT {
            out = out.chars().take(TEXT_LIMIT).collect();
            out.push('\u{2026}');
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_meaning() {
        for (status, meaning) in [
            (301, "unknown"),
            (400, "rejected"),
            (401, "denied"),
            (403, "denied"),
            (404, "missing"),
            (405, "rejected"),
            (409, "exists"),
            (413, "rejected"),
            (422, "rejected"),
            (500, "unknown"),
            (501, "unknown"),
            (502, "unknown"),
            (504, "unknown"),
        ] {
            let code = StatusCode::from_u16(status).unwrap_or_default();
            assert!(!is_throttle(code), "{status}");
            assert_eq!(of_status(code, "").word(), meaning, "{status}");
        }
        for (status, untouched) in [(408, false), (425, true), (429, true), (503, false)] {
            let code = StatusCode::from_u16(status).unwrap_or_default();
            assert!(is_throttle(code), "{status}");
            assert_eq!(is_untouched(code), untouched, "{status}");
        }
    }

    #[test]
    fn a_page_for_people_says_nothing_of_what_is_there() {
        let page = b"\n <html>no route</html>";
        for status in [404, 409, 410] {
            let code = StatusCode::from_u16(status).unwrap_or_default();
            assert!(is_hearsay(code, page), "{status}");
            assert!(
                !is_hearsay(code, b"{}") && !is_hearsay(code, b""),
                "{status}"
            );
        }
        assert!(!is_hearsay(StatusCode::BAD_REQUEST, page));
    }

    #[test]
    fn the_applications_words_are_found_cut_and_cleaned() {
        for (body, found) in [
            (
                r#"{"status":"failed","message":"no such group"}"#,
                "no such group",
            ),
            (r#"{"error":{"message":"nested"}}"#, "nested"),
            (
                r#"{"jsonapi":{"version":"1.0"},"errors":[{"status":"404","detail":"no such group"}]}"#,
                "no such group",
            ),
            (r#""bare words""#, "bare words"),
            ("line one\nline\ttwo\x1b[31m", "line one line two [31m"),
            (
                r#"{"message":"user ann@example.com is locked"}"#,
                "user (an address) is locked",
            ),
            ("<html><body>oops</body></html>", "a web page"),
            ("", ""),
        ] {
            assert_eq!(text(body.as_bytes()), found);
        }
        assert_eq!(text("x".repeat(5_000).as_bytes()).chars().count(), 301);
        assert!(text("word ".repeat(5_000).as_bytes()).chars().count() <= 301);
    }
}
