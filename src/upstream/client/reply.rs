//! What came back: a body, read as far as it may be long, and how long the
//! application wants to be left alone.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{
    Response,
    header::{DATE, HeaderMap, LINK, RETRY_AFTER},
};
use serde_json::Value;

use super::{failure, proof, retry_after, unclear};
use crate::upstream::{Millis, UpstreamError};

/// A reply with a 2xx status.
#[derive(Debug)]
pub(in crate::upstream) struct Reply {
    body: Vec<u8>,
    was_so: bool,
    /// Its `Link` headers.
    links: Vec<String>,
    /// An error in it is none of the caller's to judge.
    reads_errors: bool,
}

impl Reply {
    pub(super) fn new(body: Vec<u8>, links: Vec<String>, reads_errors: bool) -> Self {
        Self {
            body,
            was_so: false,
            links,
            reads_errors,
        }
    }

    /// The answer that nothing was left to do.
    pub(super) fn nothing_to_do() -> Self {
        Self {
            body: Vec::new(),
            was_so: true,
            links: Vec::new(),
            reads_errors: false,
        }
    }

    pub(in crate::upstream) fn was_so(&self) -> bool {
        self.was_so
    }

    pub(in crate::upstream) fn links(&self) -> &[String] {
        &self.links
    }

    /// Whether the body is empty, and not a `null` that was written.
    pub(in crate::upstream) fn is_blank(&self) -> bool {
        self.body.trim_ascii().is_empty()
    }

    /// The body as JSON; an empty one is `null`, plain text is a JSON string.
    /// Anything that only looks like JSON is unclear: the call was answered
    /// with success, so it probably happened. What is read beside an error is not
    /// believed to be all there is.
    pub(in crate::upstream) fn json(&self) -> Result<Value, UpstreamError> {
        let value = self.value()?;
        if self.reads_errors && proof::says_no(&value) {
            let words = failure::text(&self.body);
            return Err(unclear(format!("answered with an error: {words}")));
        }
        Ok(value)
    }

    fn value(&self) -> Result<Value, UpstreamError> {
        let text =
            std::str::from_utf8(&self.body).map_err(|_| unclear("the reply is not UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        match text.as_bytes().first() {
            None => Ok(Value::Null),
            Some(b'<') => Err(unclear("the reply is a web page, not JSON")),
            Some(b'{' | b'[' | b'"') => serde_json::from_str(text)
                .map_err(|error| unclear(format!("the reply is not readable JSON: {error}"))),
            Some(_) => Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into())),
        }
    }
}

/// Every `Link` header, with whatever is no text in it.
pub(super) fn links(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(LINK).iter();
    all.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
}

/// `Retry-After`, seconds or a date; a date is read against the sender's own
/// clock where it tells it, because only the distance matters.
pub(super) fn asked_to_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after::parse(text, sent_at(headers).unwrap_or_else(Timestamp::now))
}

fn sent_at(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    retry_after::http_date(date)
}

/// A clock that is further behind is none.
const SLOWEST: Millis = 60 * 60 * 1_000;

/// How far the sender's clock is behind, where it tells it.
pub(super) fn clock_behind(headers: &HeaderMap, now: Timestamp) -> Option<Millis> {
    let behind = now.as_millisecond() - sent_at(headers)?.as_millisecond();
    Some(if behind > SLOWEST { 0 } else { behind.max(0) })
}

/// The application's own name for a request, as a remark to be quoted to its
/// support; nothing where it has none, or an odd one.
pub(super) fn request_id(headers: &HeaderMap, name: Option<&str>) -> String {
    let found = name.and_then(|name| {
        let value = headers.get(name)?.to_str().ok()?;
        let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        let fits = value.len() <= 64 && !value.contains(odd);
        fits.then(|| format!(" ({name} {value})"))
    });
    found.unwrap_or_default()
}

pub(super) async fn read_body(
    mut reply: Response,
    limit_mib: u32,
) -> Result<Vec<u8>, UpstreamError> {
    let limit = (limit_mib as usize).saturating_mul(1024 * 1024);
    let mut body = Vec::new();
    while let Some(chunk) = reply
        .chunk()
        .await
        .map_err(|error| unclear(format!("the reply broke off: {}", failure::chain(&error))))?
    {
        if body.len() + chunk.len() > limit {
            return Err(unclear(format!(
                "the reply is longer than {limit_mib} MiB (reply_limit_mib)"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_date_is_read_by_the_clock_of_who_sent_it() {
        let mut headers = HeaderMap::new();
        assert_eq!(asked_to_wait(&headers), None);
        let until = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:44 GMT");
        headers.insert(RETRY_AFTER, until);
        assert_eq!(asked_to_wait(&headers), Some(Duration::ZERO), "long ago");
        let now = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        headers.insert(DATE, now);
        assert_eq!(asked_to_wait(&headers), Some(Duration::from_secs(7)));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("12"));
        assert_eq!(asked_to_wait(&headers), Some(Duration::from_secs(12)));
    }

    #[test]
    fn how_far_a_clock_is_behind_is_told_by_its_date_within_reason() {
        let now = retry_after::http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let behind = |date: &'static str| {
            let headers = [(DATE, HeaderValue::from_static(date))];
            clock_behind(&headers.into_iter().collect(), now)
        };
        assert_eq!(behind("Sun, 06 Nov 1994 08:39:37 GMT"), Some(600_000));
        assert_eq!(behind("Sun, 06 Nov 1994 08:59:37 GMT"), Some(0), "ahead");
        assert_eq!(behind("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0), "unset");
        assert_eq!(clock_behind(&HeaderMap::new(), now), None);
    }
}
