//! Whether a success is one. A status of success is a word, and the answer may say
//! otherwise: that it was refused, that it is not done yet, that it was done in part.

use reqwest::StatusCode;
use serde_json::{Map, Value};

use super::failure::Meaning;

/// By what an answer says that a call was done.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) enum Proof<'a> {
    /// By one of the statuses that are documented for it, and no error beside it.
    Documented(&'a [u16]),
    /// By any success that is neither "not yet" nor "in part", and no error beside it.
    Any,
    /// The same, but what its body says is for the caller to judge.
    Body,
    /// Its body says of what it is true, so that it may be done in part.
    Listed,
    /// Its body says of what it is not, at this JSON pointer if that is under a key
    /// that would be an error's, and no error beside that.
    Excepted(Option<&'a str>),
}

const NOT_YET: u16 = 202;
const IN_PART: u16 = 207;
/// Where an error says what it is.
const CODES: [&str; 2] = ["status", "code"];
/// What a request is called, in an error as in any answer.
const CALLED: [&str; 5] = ["id", "logid", "requestid", "traceid", "correlationid"];
/// Words for no error.
const GOOD: [&str; 4] = ["ok", "success", "none", "noerror"];

impl Proof<'_> {
    /// What a success of something that was to be changed means where it is none.
    pub(in crate::upstream) fn lacks(self, status: StatusCode, body: &[u8]) -> Option<Meaning> {
        if !status.is_success() {
            return None;
        }
        let refusal = self.refusal(body);
        let code = status.as_u16();
        let told = match self {
            Self::Documented(statuses) => statuses.contains(&code),
            Self::Any | Self::Body => code != NOT_YET && code != IN_PART,
            Self::Listed | Self::Excepted(_) => code != NOT_YET,
        };
        refusal.or_else(|| (!told).then_some(Meaning::Unknown))
    }

    fn refusal(self, body: &[u8]) -> Option<Meaning> {
        let explained = match self {
            Self::Body | Self::Listed => return None,
            Self::Excepted(at) => at,
            Self::Documented(_) | Self::Any => None,
        };
        let answer: Value = serde_json::from_slice(body).ok()?;
        if !says_no_beside(&answer, explained) {
            return None;
        }
        let is_bare =
            explained.is_some() && !says_no_beside(&without_nothing(answer.clone()), None);
        Some(if is_bare {
            Meaning::Unknown
        } else {
            refusal(&answer)
        })
    }

    /// Of what is read; a change was judged when it was answered.
    pub(super) fn reads_errors(self) -> bool {
        matches!(self, Self::Documented(_) | Self::Any)
    }
}

/// Whether something was done all the same, a fault or a rush says as little in a
/// success as by its own status, and no more does an error beside what was made.
pub(in crate::upstream) fn refusal(answer: &Value) -> Meaning {
    let made = answer.get("data").is_some_and(is_set);
    let error = answer.get("errors").and_then(|errors| errors.get(0));
    let status = error.or_else(|| answer.get("error")).and_then(own_status);
    match status {
        Some(408 | 425 | 429 | 500..) => Meaning::Unknown,
        _ if made => Meaning::Unknown,
        _ => Meaning::Rejected,
    }
}

fn own_status(error: &Value) -> Option<u64> {
    let status = CODES.iter().find_map(|key| error.get(key))?;
    let text = || status.as_str().and_then(|text| text.trim().parse().ok());
    status.as_u64().or_else(text)
}

/// A mark that no success has.
pub(in crate::upstream) fn says_no(answer: &Value) -> bool {
    says_no_beside(answer, None)
}

/// The same, but for the key under which the list stands that explains itself. Where
/// there is none, or nobody is in it, whatever else is under that key does not.
fn says_no_beside(answer: &Value, explained: Option<&str>) -> bool {
    let list = explained.filter(|at| answer.pointer(at).is_some_and(is_set));
    let explained = list.and_then(|at| at.split('/').nth(1));
    let errors = ["error", "errors"].iter();
    let errors = errors.filter(|key| explained != Some(**key));
    let errors = errors.filter_map(|key| answer.get(key));
    let flags = ["success", "ok"].iter().filter_map(|key| answer.get(key));
    errors.into_iter().any(is_error) || flags.into_iter().any(|flag| *flag == Value::Bool(false))
}

/// Something where an error would be, unless that says of itself that it is none.
pub(in crate::upstream) fn is_error(value: &Value) -> bool {
    is_set(value) && !value.as_object().is_some_and(is_of_success)
}

/// What is always there, with a code that says that all is well. Nothing else in it may
/// say anything, but for what the request is called.
fn is_of_success(error: &Map<String, Value>) -> bool {
    let codes = CODES.iter().filter_map(|key| error.get(*key));
    let codes: Vec<_> = codes.collect();
    let mut others = error
        .iter()
        .filter(|(key, _)| !CODES.contains(&key.as_str()) && !CALLED.contains(&&*plain(key)));
    !codes.is_empty() && codes.into_iter().all(is_good) && others.all(|(_, it)| says_nothing(it))
}

fn is_good(code: &Value) -> bool {
    code.as_f64() == Some(0.0) || code.as_str().is_some_and(is_word_of_success)
}

fn says_nothing(value: &Value) -> bool {
    !is_set(value) || value.as_str().is_some_and(is_word_of_success)
}

/// A word for no error.
pub(in crate::upstream) fn is_word_of_success(word: &str) -> bool {
    let word = plain(word);
    let zeros = !word.is_empty() && word.chars().all(|c| c == '0');
    zeros || GOOD.contains(&word.as_str())
}

/// Letters and digits alone, small.
pub(in crate::upstream) fn plain(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

/// Whether an error stands where a list of who failed is to be, and nobody is in that.
pub(in crate::upstream) fn is_unexplained(answer: &Value, at: &str) -> bool {
    let key = at.split('/').nth(1).unwrap_or_default();
    let told = ["error", "errors"].contains(&key) && answer.get(key).is_some_and(is_error);
    told && !answer.pointer(at).is_some_and(is_set)
}

/// What of an answer is left without lists and objects that hold nothing, however
/// deep: an error of which nothing is left says neither yes nor no.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Array(list) => list
            .into_iter()
            .map(without_nothing)
            .filter(is_set)
            .collect(),
        Value::Object(object) => {
            let left = object
                .into_iter()
                .map(|(key, it)| (key, without_nothing(it)));
            // A flag that says no is not set, and says it.
            left.filter(|(_, it)| is_set(it) || *it == Value::Bool(false))
                .collect()
        }
        other => other,
    }
}

pub(in crate::upstream) fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(proof: Proof<'_>, status: u16, body: &str) -> Option<Meaning> {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        proof.lacks(status, body.as_bytes())
    }

    #[test]
    fn an_error_in_a_success_is_a_refusal_unless_it_may_have_been_done() {
        let refused = Some(Meaning::Rejected);
        for (body, means) in [
            ("", None),
            ("no JSON", None),
            (r#"{"error":null,"errors":[],"ok":true}"#, None),
            (r#"{"error":"","success":true}"#, None),
            (r#"{"error":0}"#, None),
            (r#"{"error":{"code":"ok"}}"#, None),
            (r#"{"error":{"code":"OK","message":""}}"#, None),
            (r#"{"error":{"code":0,"message":"success"}}"#, None),
            (r#"{"error":{"code":"0000","status":0,"details":[]}}"#, None),
            (r#"{"error":{"code":"ok","log_id":"20260102AB"}}"#, None),
            (r#"{"errors":{"code":"NO_ERROR"}}"#, None),
            (r#"{"error":{"code":"ok"},"ok":false}"#, refused),
            (r#"{"error":{"code":"ok"},"errors":["no"]}"#, refused),
            (r#"{"error":{"code":0,"message":"you may not"}}"#, refused),
            (r#"{"error":{"code":"ok","status":403}}"#, refused),
            (
                r#"{"error":{"code":0,"details":[{"reason":"no"}]}}"#,
                refused,
            ),
            (r#"{"error":{"code":"oknot"}}"#, refused),
            (r#"{"error":{"code":"","message":""}}"#, refused),
            (r#"{"error":{"message":"ok"}}"#, refused),
            (r#"{"error":{"log_id":"0"}}"#, refused),
            (r#"{"error":{"code":0,"invalid":"11"}}"#, refused),
            (r#"{"errors":[{"code":0}]}"#, refused),
            (r#"{"error":"no"}"#, Some(Meaning::Rejected)),
            (r#"{"error":{"code":"FORBIDDEN"}}"#, Some(Meaning::Rejected)),
            (r#"{"errors":[{"status":"403"}]}"#, Some(Meaning::Rejected)),
            (r#"{"success":false}"#, Some(Meaning::Rejected)),
            (r#"{"errors":[{"status":"500"}]}"#, Some(Meaning::Unknown)),
            (r#"{"error":{"code":429}}"#, Some(Meaning::Unknown)),
            (
                r#"{"data":{"id":"1"},"errors":[{}]}"#,
                Some(Meaning::Unknown),
            ),
        ] {
            assert_eq!(meaning(Proof::Any, 200, body), means, "{body}");
            assert_eq!(meaning(Proof::Documented(&[200]), 200, body), means);
            assert_eq!(meaning(Proof::Excepted(None), 200, body), means, "{body}");
            assert_eq!(meaning(Proof::Body, 200, body), None, "{body}");
            assert_eq!(meaning(Proof::Listed, 200, body), None, "{body}");
        }
        assert_eq!(meaning(Proof::Any, 403, r#"{"error":"no"}"#), None);
    }

    #[test]
    fn a_list_of_who_failed_explains_no_other_error() {
        let (refused, unknown) = (Some(Meaning::Rejected), Some(Meaning::Unknown));
        for (at, body, means) in [
            ("/errors", r#"{"errors":[{"id":"1"}]}"#, None),
            ("/errors", r#"{"errors":"who knows"}"#, None),
            ("/errors", r#"{"errors":[],"error":null,"ok":true}"#, None),
            ("/errors", r#"{"error":"you may not"}"#, refused),
            ("/errors", r#"{"errors":null,"error":"none"}"#, refused),
            ("/errors", r#"{"errors":[],"success":false}"#, refused),
            ("/errors", r#"{"errors":[],"ok":false}"#, refused),
            (
                "/errors",
                r#"{"errors":null,"error":{"code":500}}"#,
                unknown,
            ),
            ("/error", r#"{"error":[{"id":"1"}]}"#, None),
            ("/error", r#"{"errors":["no"]}"#, refused),
            ("/errors/of", r#"{"errors":{"of":[]}}"#, unknown),
            ("/errors/of", r#"{"errors":{"of":[{"id":"1"}]}}"#, None),
            ("/errors/of", r#"{"errors":{"of":[],"code":7}}"#, refused),
            ("/errors/of", r#"{"errors":{"of":[]},"ok":false}"#, refused),
            (
                "/errors/of",
                r#"{"errors":{"of":[]},"error":"no"}"#,
                refused,
            ),
            (
                "/error/failed",
                r#"{"error":{"failed":[],"message":"quota"}}"#,
                refused,
            ),
            (
                "/error/failed",
                r#"{"error":{"failed":[],"code":503}}"#,
                unknown,
            ),
            (
                "/error/failed",
                r#"{"error":{"failed":[{"id":"1"}],"message":"some"}}"#,
                None,
            ),
            (
                "/errors/of",
                r#"{"errors":{"of":null,"detail":"no"}}"#,
                refused,
            ),
            ("/errors/of", r#"{"errors":[{"detail":"no"}]}"#, refused),
            ("/failed", r#"{"failed":[],"errors":["no"]}"#, refused),
            (
                "/error/failed",
                r#"{"error":{"failed":[],"code":"ok"}}"#,
                None,
            ),
            (
                "/error/failed",
                r#"{"error":{"failed":[{"id":"1"}],"code":"ok"}}"#,
                None,
            ),
        ] {
            let proof = Proof::Excepted(Some(at));
            assert_eq!(meaning(proof, 200, body), means, "{at} {body}");
        }
    }

    #[test]
    fn a_status_that_promises_or_is_not_documented_proves_nothing() {
        let unknown = Some(Meaning::Unknown);
        for (proof, status, means) in [
            (Proof::Documented(&[204]), 204, None),
            (Proof::Documented(&[204]), 200, unknown),
            (Proof::Any, 200, None),
            (Proof::Any, 202, unknown),
            (Proof::Any, 207, unknown),
            (Proof::Body, 202, unknown),
            (Proof::Listed, 202, unknown),
            (Proof::Listed, 207, None),
            (Proof::Excepted(None), 207, None),
        ] {
            assert_eq!(meaning(proof, status, "{}"), means, "{proof:?} {status}");
        }
        let refused = meaning(Proof::Any, 202, r#"{"error":"no"}"#);
        assert_eq!(refused, Some(Meaning::Rejected));
    }
}
