//! What a case proves, as a sentence. Written by whoever wrote the case where
//! that was done; else made of what is sent and what is expected of the answer,
//! so that the list of cases tells what is compared, and no more than that.

use serde_json::Value;

use crate::case::{Case, Check, Expect, Kind, Request};

/// Longer parts are cut: the case itself has the rest.
const LONGEST: usize = 180;

/// What the case proves.
pub(crate) fn sentence(case: &Case) -> String {
    if !case.says.is_empty() {
        return case.says.clone();
    }
    let lead = match case.kind {
        Kind::Verify => "the state afterwards: ",
        _ => "",
    };
    let made = format!(
        "{lead}{} is answered {}",
        sent(&case.request),
        answer(&case.expect)
    );
    match case.expect.notes.trim() {
        "" => made,
        notes => format!("{made}. {notes}"),
    }
}

/// Where the case is from; a look at the state is from the case that made it.
pub(crate) fn source(case: &Case, before: Option<&Case>) -> String {
    match (case.source.as_str(), before) {
        ("(state check)", Some(before)) => format!("the state after {}", before.name),
        (source, _) => source.to_owned(),
    }
}

/// Method, path, filter, and the operations of a PATCH.
fn sent(request: &Request) -> String {
    let query = request.query.iter();
    let query: Vec<String> = query
        .map(|(name, value)| format!("{name}={}", plain(value)))
        .collect();
    let query = match &request.raw_query {
        Some(raw) => format!("?{raw}"),
        None if query.is_empty() => String::new(),
        None => format!("?{}", query.join("&")),
    };
    let patch = request.body.as_ref().filter(|_| request.method == "PATCH");
    let operations = patch.map(operations).unwrap_or_default().join(", ");
    let operations = match operations.as_str() {
        "" => String::new(),
        operations => format!(" ({operations})"),
    };
    cut(&[
        request.method.as_str(),
        " ",
        &request.path,
        &query,
        &operations,
    ]
    .concat())
}

/// `add members`, or `replace active, title` when the path is left out.
fn operations(body: &Value) -> Vec<String> {
    let operations = body["Operations"].as_array().into_iter().flatten();
    operations
        .map(|operation| {
            let op = operation["op"].as_str().unwrap_or_default();
            let at = match (operation["path"].as_str(), operation["value"].as_object()) {
                (Some(path), _) => path.to_owned(),
                (None, Some(values)) => values.keys().cloned().collect::<Vec<_>>().join(" and "),
                (None, None) => "nothing named".to_owned(),
            };
            format!("{op} {at}")
        })
        .collect()
}

fn answer(expect: &Expect) -> String {
    let status: Vec<String> = expect.status.iter().map(u16::to_string).collect();
    let error = match expect.error.as_slice() {
        [] => String::new(),
        types => format!(" {}", types.join(" or ")),
    };
    let headers = expect.headers.iter();
    let headers = headers.map(|(name, pattern)| format!(", {name} {pattern}"));
    let checks = expect.checks.iter();
    let checks = checks.map(|Check(at, pattern)| format!(", {at} {}", plain(pattern)));
    let body = expect.body.iter().map(|body| format!(" with {body}"));
    let parts = [status.join(" or "), error].into_iter();
    let parts: Vec<String> = parts.chain(headers).chain(checks).chain(body).collect();
    cut(&parts.concat())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn case(says: &str) -> Case {
        Case::take(json!({
            "name": "n", "source": "(state check)", "confidence": "low", "kind": "verify", "says": says,
            "request": {"method": "PATCH", "path": "/Users/1", "query": {"filter": "a eq 1"},
                "body": {"Operations": [{"op": "add", "path": "title"}, {"op": "replace", "value": {"b": 1, "c": 2}}]}},
            "expect": {"status": [200, 204], "headers": {"ETag": "$any"}, "body": {"title": "x"}, "notes": "Why."}
        }))
        .unwrap()
    }

    #[test]
    fn a_sentence_is_made_of_what_is_sent_and_expected() {
        assert_eq!(sentence(&case("It is so")), "It is so");
        assert_eq!(
            sentence(&case("")),
            "the state afterwards: PATCH /Users/1?filter=a eq 1 (add title, replace b and c) \
             is answered 200 or 204, ETag $any with {\"title\":\"x\"}. Why."
        );
    }

    #[test]
    fn a_state_is_from_the_case_that_made_it() {
        let case = case("");
        assert_eq!(source(&case, Some(&case)), "the state after n");
    }
}
