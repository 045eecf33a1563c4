//! Signs that a success is none which nobody declared: a word or a status of a
//! failure, somebody of whom it was not done, a page for people. They prove nothing,
//! so they make an answer unclear and no more: what it was about is read, or asked
//! for again. What is only there, and says nothing, is no sign.

use serde_json::{Map, Value};

use super::{
    operation::{Name, Operation},
    settings::Settings,
};
use crate::upstream::client::{is_error, is_set, is_word_of_success, plain};

/// What holds what an answer says of itself, and not what it is about.
const ENVELOPES: [&str; 6] = ["status", "meta", "result", "response", "header", "head"];
/// True where it was done.
const YES: [&str; 5] = ["success", "ok", "issuccess", "succeeded", "successful"];
/// Something where it was not.
const NO: [&str; 7] = [
    "error",
    "errors",
    "iserror",
    "haserror",
    "haserrors",
    "isfailure",
    "failure",
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
const LEFT: [&str; 6] = [
    "failed",
    "failures",
    "rejected",
    "notfound",
    "unprocessed",
    "invalid",
];
/// How deep an answer to a change of members is looked into.
const DEEP: usize = 5;

/// Whether an answer has one.
pub(super) fn doubt(name: Name, operation: &Operation, settings: &Settings, body: &[u8]) -> bool {
    let lists = operation.applied.is_some() && !name.creates();
    if lists {
        // Whoever is not listed is not believed anyway.
        return false;
    }
    let text = String::from_utf8_lossy(body);
    let Ok(answer) = serde_json::from_str::<Value>(text.trim()) else {
        return name.writes() && is_text_of_failure(&text);
    };
    match answer {
        Value::Object(mut whole) => {
            let itself = shows(name, operation, settings, &whole);
            let failed = operation.failed.as_ref();
            if let Some(explained) = failed.and_then(|at| at.as_str().split('/').nth(1)) {
                whole.remove(explained);
            }
            if itself {
                flagged(&plain_keys(&whole))
            } else if name.changes_members() {
                says_no(&whole, true) || is_in_part(name, &whole) || inner(&whole, DEEP)
            } else {
                says_no(&whole, false) || enveloped(&whole)
            }
        }
        Value::Array(list) if name.changes_members() => list.iter().any(|it| deep(it, DEEP)),
        Value::String(text) => name.writes() && is_text_of_failure(&text),
        Value::Bool(done) => name.writes() && !done,
        _ => false,
    }
}

fn enveloped(whole: &Map<String, Value>) -> bool {
    let envelopes = whole
        .iter()
        .filter(|(key, _)| ENVELOPES.contains(&plain(key).as_str()));
    let mut inside = envelopes.filter_map(|(_, value)| value.as_object());
    inside.any(|it| says_no(it, false))
}

/// Whether the answer to a search is the thing itself, whose words are its own.
fn shows(
    name: Name,
    operation: &Operation,
    settings: &Settings,
    whole: &Map<String, Value>,
) -> bool {
    let (user, group) = (&settings.user, &settings.group);
    let marks = match name {
        Name::FindUser => [&user.id, &user.account],
        Name::FindGroup => [&group.id, &group.name],
        _ => return false,
    };
    let is_whole = operation
        .items
        .as_ref()
        .is_none_or(|at| at.as_str().is_empty());
    let answer = Value::Object(whole.clone());
    let mut marks = marks.into_iter().flatten();
    is_whole && marks.any(|at| at.text(&answer).is_some())
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
    let waits = |value: &Value| members && begins(value, &["pending", "denied", "refused"]);
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
fn is_in_part(name: Name, object: &Map<String, Value>) -> bool {
    // Who is not found is not there to be taken out.
    let left = LEFT
        .iter()
        .filter(|key| name != Name::RemoveMembers || **key != "notfound");
    let left: Vec<&str> = left.copied().collect();
    values(&plain_keys(object), &left).any(is_told)
}

fn is_text_of_failure(text: &str) -> bool {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn says(name: Name, declared: &str, body: &str) -> bool {
        let text = "user = { id = \"/id\", account = \"/mail\" }\n\
             group = { id = \"/id\", name = \"/name\" }";
        let settings: Settings = toml::from_str(text).unwrap();
        let operation: Operation = toml::from_str(declared).unwrap();
        doubt(name, &operation, &settings, body.as_bytes())
    }

    const CHANGES: [Name; 3] = [Name::AddMembers, Name::RemoveMembers, Name::ReplaceMembers];
    const WHOLES: [Name; 5] = [
        Name::CreateUser,
        Name::DeactivateUser,
        Name::ReactivateUser,
        Name::CreateGroup,
        Name::DeleteGroup,
    ];
    const READS: [Name; 5] = [
        Name::ListUsers,
        Name::FindUser,
        Name::ListGroups,
        Name::FindGroup,
        Name::ListMembers,
    ];

    #[test]
    fn an_answer_that_says_of_itself_that_it_failed_is_doubted_whatever_was_asked() {
        for body in [
            r#"{"Success":false}"#,
            r#"{"success":"false"}"#,
            r#"{"ok":0}"#,
            r#"{"isSuccess":false,"data":null}"#,
            r#"{"Error":"no right"}"#,
            r#"{"Errors":[{"x":1}]}"#,
            r#"{"hasErrors":true}"#,
            r#"{"error":{"code":"ok","message":"no right"}}"#,
            r#"{"error":{"code":0,"details":["no right"]}}"#,
            r#"{"error":{"message":"success"}}"#,
            r#"{"failure":{"code":7}}"#,
            r#"{"is_error":true}"#,
            r#"{"errcode":40013,"errmsg":"invalid"}"#,
            r#"{"status":"error"}"#,
            r#"{"status":"fail","data":{"id":"not known"}}"#,
            r#"{"status":"Failed","items":[]}"#,
            r#"{"result":"failure"}"#,
            r#"{"status":403}"#,
            r#"{"statusCode":"404","message":"no such group"}"#,
            r#"{"type":"about:blank","title":"Forbidden","status":403}"#,
            r#"{"type":"error","reason":"x"}"#,
            r#"{"code":403,"message":"no right"}"#,
            r#"{"code":"FORBIDDEN","message":"no right"}"#,
            r#"{"code":"access_denied","msg":"no right"}"#,
            r#"{"code":40301,"message":"no right","data":[]}"#,
            r#"{"message":"Access denied"}"#,
            r#"{"message":"Unauthorized"}"#,
            r#"{"meta":{"code":403,"message":"no right"},"data":[]}"#,
            r#"{"status":{"success":false}}"#,
            r#"{"result":{"ok":false}}"#,
            r#"{"response":{"status":500}}"#,
        ] {
            for name in CHANGES.into_iter().chain(WHOLES).chain(READS) {
                assert!(says(name, "", body), "{name:?} {body}");
            }
        }
    }

    #[test]
    fn what_is_only_there_is_no_sign() {
        for body in [
            "",
            "null",
            "{}",
            "[]",
            "true",
            "0",
            "OK",
            "done",
            r#""member added""#,
            r#"{"error":null,"errors":[],"success":true,"ok":1}"#,
            r#"{"error":"","hasErrors":false,"failed":[],"failures":0}"#,
            r#"{"error":"none","errors":{}}"#,
            r#"{"error":{"code":"ok"}}"#,
            r#"{"error":{"code":"ok","message":"","log_id":"20260102AB"}}"#,
            r#"{"error":{"code":0,"message":"success"}}"#,
            r#"{"meta":{"error":{"code":"0"}},"data":[]}"#,
            r#"{"failure":{"code":0},"errors":{"code":"none"}}"#,
            r#"{"errcode":0,"errmsg":"ok"}"#,
            r#"{"errorCode":"0000"}"#,
            r#"{"head":{"errorCode":"000000"}}"#,
            r#"{"error":"No error"}"#,
            r#"{"status":"queued","jobId":5}"#,
            r#"{"added":0,"skipped":["11"]}"#,
            r#"{"members":["11"],"deleted":[]}"#,
            r#"{"message":"Failed logins were reset and the user was added"}"#,
            "<response>ok</response>",
            r#"{"message":"Member added","code":200}"#,
            r#"{"message":"2 errors were mended long ago"}"#,
            r#"{"message":"","code":403}"#,
            r#"{"code":501,"name":"department"}"#,
            r#"{"code":0,"message":"success"}"#,
            r#"{"status":"success","result":"ok"}"#,
            r#"{"status":200,"statusCode":"204"}"#,
            r#"{"status":"active","id":5,"mail":"a@b"}"#,
            r#"{"id":"403","status":"no errors"}"#,
            r#"{"added":1,"skipped":0,"removed":0,"deleted":false}"#,
            r#"{"failed":0,"failures":[],"affected":1}"#,
            r#"{"type":"user","level":3,"reason":null}"#,
            r#"{"data":{"id":1,"attributes":{"name":"errors","status":"ok"}}}"#,
        ] {
            for name in CHANGES.into_iter().chain(WHOLES).chain(READS) {
                assert!(!says(name, "", body), "{name:?} {body}");
            }
        }
    }

    #[test]
    fn of_members_less_than_was_asked_for_and_each_ones_own_failure_are_signs() {
        for body in [
            r#"{"rejected":1}"#,
            r#"{"failed":[{"id":"11"}]}"#,
            r#"{"status":"pending"}"#,
            r#"{"results":[{"id":"11","success":false}]}"#,
            r#"{"results":[{"id":"11","status":404}]}"#,
            r#"[{"id":"11","status":"error"}]"#,
            r#"{"data":{"addMember":{"ok":false}}}"#,
            r#"{"data":{"addMember":{"errors":["no"]}}}"#,
        ] {
            for name in CHANGES {
                assert!(says(name, "", body), "{name:?} {body}");
            }
            assert!(
                !says(Name::ListMembers, "items = \"/data\"", body),
                "{body}"
            );
        }
        let gone = r#"{"notFound":["11"]}"#;
        assert!(says(Name::AddMembers, "", gone));
        assert!(!says(Name::RemoveMembers, "", gone), "they are out");
    }

    #[test]
    fn what_is_declared_explains_itself() {
        let body = r#"{"added":[],"success":false}"#;
        assert!(!says(Name::AddMembers, "applied = \"/added\"", body));
        let body = r#"{"failed":[{"id":"11","status":404}]}"#;
        assert!(!says(Name::AddMembers, "failed = \"/failed\"", body));
        let body = r#"{"failed":[],"status":"error"}"#;
        assert!(says(Name::AddMembers, "failed = \"/failed\"", body));
        let named = r#"{"id":5,"mail":"a@b","status":"failed"}"#;
        assert!(!says(Name::FindUser, "", named), "it is the user's own");
        assert!(says(Name::FindUser, "items = \"/data\"", named));
        assert!(says(Name::FindUser, "", r#"{"id":5,"error":"gone"}"#));
    }

    #[test]
    fn words_and_pages_are_read_where_something_was_to_be_changed() {
        for body in [
            "false",
            "Forbidden",
            "Error: no such member",
            r#""failed""#,
            "Could not add",
            "<html>sign in</html>",
            "\u{feff}<html>sign in</html>",
            "Warning: x\n<!DOCTYPE html><html>",
        ] {
            for name in CHANGES.into_iter().chain(WHOLES) {
                assert!(says(name, "", body), "{name:?} {body}");
            }
        }
    }
}
