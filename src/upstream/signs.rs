//! Signs that a success is none: a word or a status of a failure, somebody of whom it
//! was not done, a page for people. They prove nothing, so they make an answer unclear
//! and no more: what it was about is read, or asked for again. What is only there, and
//! says nothing, is no sign.

use serde_json::{Map, Value};

use super::client::{is_error, is_set, is_word_of_success, plain};

/// What holds what an answer says of itself, and not what it is about.
const ENVELOPES: [&str; 6] = ["status", "meta", "result", "response", "header", "head"];
/// True where it was done.
const YES: [&str; 5] = ["success", "ok", "issuccess", "succeeded", "successful"];
/// Something where it was not.
const NO: [&str; 11] = [
    "error",
    "errors",
    "iserror",
    "haserror",
    "haserrors",
    "isfailure",
    "failure",
    "errormessage",
    "errordescription",
    "exception",
    "fault",
];
const NUMBERED: [&str; 3] = ["errcode", "errno", "errorcode"];
const STATUS: [&str; 5] = ["status", "statuscode", "httpstatus", "httpcode", "result"];
const SAYS: [&str; 4] = ["message", "msg", "detail", "reason"];
/// What a word of failure begins with, without spaces and signs.
const FAILED: [&str; 9] = [
    "error",
    "fail",
    "forbidden",
    "unauthori",
    "accessdenied",
    "permissiondenied",
    "notfound",
    "notallowed",
    "notauthori",
];
/// A sentence of failure.
const SENTENCES: [&str; 5] = [
    "cannot",
    "couldnot",
    "unableto",
    "internalservererror",
    "noaccess",
];
/// What a message of failure begins with: that something failed may be what it tells
/// beside a success.
const REFUSALS: [&str; 6] = [
    "error",
    "forbidden",
    "unauthori",
    "accessdenied",
    "permissiondenied",
    "notauthori",
];
/// Of whom it was not done.
const LEFT: [&str; 11] = [
    "failed",
    "failures",
    "rejected",
    "notfound",
    "unprocessed",
    "invalid",
    "failedmembers",
    "failedusers",
    "invalidmembers",
    "notadded",
    "notremoved",
];
/// How deep an answer to a change of members is looked into.
const DEEP: usize = 5;

/// Whether the answer to a change of members has one, beside whatever list of whom it
/// was done for.
pub(super) fn of_members(answer: &Value, removes: bool) -> bool {
    match answer {
        Value::Object(whole) => of_change(whole, removes),
        Value::Array(list) => list.iter().any(|it| deep(it, DEEP)),
        _ => false,
    }
}

pub(super) fn of_change(whole: &Map<String, Value>, removes: bool) -> bool {
    let holds = |key: &String| key == "data" || ENVELOPES.contains(&plain(key).as_str());
    let mut within = whole.iter().filter(|(key, _)| holds(key));
    says_no(whole, true)
        || is_in_part(whole, removes)
        || within.any(|(_, it)| it.as_object().is_some_and(|it| is_in_part(it, removes)))
        || inner(whole, DEEP)
}

/// What an answer says of itself, and not of what it shows.
pub(super) fn of_itself(whole: &Map<String, Value>) -> bool {
    says_no(whole, false) || enveloped(whole)
}

/// What no thing of its own has among its fields.
pub(super) fn is_flagged(whole: &Map<String, Value>) -> bool {
    flagged(&plain_keys(whole))
}

fn enveloped(whole: &Map<String, Value>) -> bool {
    let envelopes = whole
        .iter()
        .filter(|(key, _)| ENVELOPES.contains(&plain(key).as_str()));
    let mut inside = envelopes.filter_map(|(_, value)| value.as_object());
    inside.any(|it| says_no(it, false))
}

fn deep(value: &Value, left: usize) -> bool {
    match value {
        Value::Object(object) => says_no(object, true) || inner(object, left),
        Value::Array(list) if left > 0 => list.iter().any(|it| deep(it, left - 1)),
        _ => false,
    }
}

fn inner(object: &Map<String, Value>, left: usize) -> bool {
    left > 0 && object.values().any(|it| deep(it, left - 1))
}

type Plain<'a> = Vec<(String, &'a Value)>;

fn plain_keys(object: &Map<String, Value>) -> Plain<'_> {
    object
        .iter()
        .map(|(key, value)| (plain(key), value))
        .collect()
}

fn values<'a>(of: &'a Plain<'a>, keys: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    let found = of.iter().filter(|(key, _)| keys.contains(&key.as_str()));
    found.map(|(_, value)| *value)
}

fn flagged(of: &Plain<'_>) -> bool {
    values(of, &YES).any(is_no)
        || values(of, &NO).any(|it| is_told(it) && is_error(it))
        || values(of, &["failed"]).any(|it| *it == Value::Bool(true))
}

/// `members`: it is about members, whose own words are not a state of the account.
fn says_no(object: &Map<String, Value>, members: bool) -> bool {
    let of = plain_keys(object);
    let begins = |value: &Value, words: &[&str]| {
        let word = value.as_str().map(plain).unwrap_or_default();
        words.iter().any(|it| word.starts_with(it))
    };
    let is_failed = |value: &Value| is_status(value) || begins(value, &FAILED);
    let waits =
        |value: &Value| members && begins(value, &["pending", "denied", "refused", "partial"]);
    let says = || values(&of, &SAYS).any(|it| it.as_str().is_some_and(|it| !it.is_empty()));
    let is_coded = |value: &Value| {
        let number = number_of(value).is_some_and(|code| (40_000..60_000).contains(&code));
        number || is_failed(value)
    };
    flagged(&of)
        || values(&of, &NUMBERED).any(is_told)
        || values(&of, &STATUS).any(|it| is_failed(it) || waits(it))
        || values(&of, &["type", "level"])
            .any(|it| it.as_str().map(plain).as_deref() == Some("error"))
        || says() && values(&of, &["code"]).any(is_coded)
        || values(&of, &SAYS).any(|it| begins(it, &REFUSALS) || begins(it, &SENTENCES))
}

/// Whether somebody is left. How many were changed is no sign: whoever was so already
/// is not counted.
fn is_in_part(object: &Map<String, Value>, removes: bool) -> bool {
    // Who is not found is not there to be taken out.
    let left = LEFT.iter().filter(|key| !removes || **key != "notfound");
    let left: Vec<&str> = left.copied().collect();
    values(&plain_keys(object), &left).any(is_told)
}

pub(super) fn is_text_of_failure(text: &str) -> bool {
    let lower = text.trim_start_matches('\u{feff}').trim().to_lowercase();
    let word = plain(&lower.chars().take(80).collect::<String>());
    let words = FAILED.iter().chain(&SENTENCES);
    ["<html", "<!doctype"].iter().any(|it| lower.contains(it))
        || word == "false"
        || words.into_iter().any(|it| word.starts_with(it))
}

/// A status of HTTP that is one of a failure.
fn is_status(value: &Value) -> bool {
    number_of(value).is_some_and(|status| (400..600).contains(&status))
}

fn number_of(value: &Value) -> Option<u64> {
    let text = || value.as_str().and_then(|text| text.trim().parse().ok());
    value.as_u64().or_else(text)
}

fn is_no(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(word) => ["false", "no", "0"].contains(&plain(word).as_str()),
        _ => false,
    }
}

/// Something is there, and is not a word for nothing.
fn is_told(value: &Value) -> bool {
    let nothing = ["", "no", "null", "false", "na"];
    let is_nothing = |word: &str| is_word_of_success(word) || nothing.contains(&&*plain(word));
    is_set(value) && !value.as_str().is_some_and(is_nothing)
}
