//! Signs of a failure which nobody declared, in what counts as a success by all that
//! is declared.

use serde_json::{Map, Value};

use super::{
    operation::{Name, Operation},
    settings::Settings,
};
use crate::upstream::signs::{is_flagged, is_text_of_failure, of_change, of_itself, of_members};

/// Whether an answer has one.
pub(super) fn doubt(name: Name, operation: &Operation, settings: &Settings, body: &[u8]) -> bool {
    let lists = operation.applied.is_some() && !name.creates();
    if lists {
        // It says whom to believe: see `outcomes`.
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
                is_flagged(&whole)
            } else if name.changes_members() {
                of_change(&whole, name == Name::RemoveMembers)
            } else {
                of_itself(&whole)
            }
        }
        list @ Value::Array(_) if name.changes_members() => of_members(&list, false),
        Value::String(text) => name.writes() && is_text_of_failure(&text),
        Value::Bool(done) => name.writes() && !done,
        _ => false,
    }
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
