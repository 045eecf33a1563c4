//! Whether one answer is what was expected of it: status, headers, body, SCIM
//! error, and the assertions that are counted one by one. It knows the answer
//! alone; what was sent, and what is seen afterwards, is for `attempt`. The
//! cases themselves are tried here against a server that says nothing, because
//! a case that it passes proves nothing.

use serde_json::{Value, json};

use crate::case::{Check, Expect};
use crate::exchange::Answer;
use crate::json_path;
use crate::matching::differences;
use crate::template::Variables;

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Every difference, said with its place.
pub(crate) fn differing(expect: &Expect, answer: &Answer, variables: &Variables) -> Vec<String> {
    let mut differing = status(expect, answer).into_iter().collect::<Vec<_>>();
    let body = answer.json();
    let bare = answer.status == 204;
    for (name, pattern) in &expect.headers {
        let found = header(answer, name);
        if bare && of_content(name) {
            continue;
        }
        let at = format!("header {name}");
        let pattern = Value::from(pattern.as_str());
        differing.extend(unlike(&at, &pattern, found.as_ref(), variables));
    }
    for Check(at, pattern) in &expect.checks {
        if bare && of_body(at) {
            continue;
        }
        let found = found_at(at, answer, body.as_ref());
        differing.extend(unlike(at, pattern, found.as_ref(), variables));
    }
    if bare {
        return differing;
    }
    if let Some(pattern) = &expect.body {
        match &body {
            Some(body) => differing.extend(unlike("body", pattern, Some(body), variables)),
            None if answer.body.is_empty() => {
                differing.push("body: expected JSON, found nothing".into());
            }
            None => differing.push("body: expected JSON, found something else".into()),
        }
    }
    if !expect.error.is_empty() {
        differing.extend(error(&expect.error, answer.status, body.as_ref()));
    }
    differing
}

/// Header fields that say something about a body.
fn of_content(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("content-")
}

/// Places that `found_at` looks for in the body.
fn of_body(at: &str) -> bool {
    !at.starts_with("header:") && !matches!(at, "http status" | "milliseconds")
}

fn unlike(at: &str, pattern: &Value, actual: Option<&Value>, variables: &Variables) -> Vec<String> {
    match variables.value(pattern) {
        Ok(pattern) => differences(at, &pattern, actual)
            .iter()
            .map(ToString::to_string)
            .collect(),
        Err(error) => vec![format!("{at}: {error}")],
    }
}

fn status(expect: &Expect, answer: &Answer) -> Option<String> {
    let good = match expect.status.as_slice() {
        // With checks, the status is one of them.
        [] => !expect.checks.is_empty() || (200..300).contains(&answer.status),
        statuses => statuses.contains(&answer.status),
    };
    (!good).then(|| {
        format!(
            "status: expected {}, found {}",
            one_of(&expect.status),
            answer.status
        )
    })
}

/// RFC 7644 section 3.12: the schema, the status as a string, a scimType when there is one for it.
fn error(wanted: &[String], status: u16, body: Option<&Value>) -> Vec<String> {
    let pattern = json!({"schemas": [ERROR], "status": status.to_string()});
    let body = body.unwrap_or(&Value::Null);
    let mut found: Vec<String> = differences("body", &pattern, Some(body))
        .iter()
        .map(ToString::to_string)
        .collect();
    let given = body["scimType"].as_str().unwrap_or_default();
    if !wanted
        .iter()
        .any(|wanted| wanted == "any" || wanted == given)
    {
        let wanted = wanted.join(" or ");
        found.push(format!("body.scimType: expected {wanted}, found {given:?}"));
    }
    found
}

/// `http status`, `milliseconds`, `header:NAME`, or a path in the body.
pub(crate) fn found_at(at: &str, answer: &Answer, body: Option<&Value>) -> Option<Value> {
    if let Some(name) = at.strip_prefix("header:") {
        return header(answer, name);
    }
    match at {
        "http status" => Some(answer.status.into()),
        "milliseconds" => u64::try_from(answer.took.as_millis()).ok().map(Value::from),
        path => json_path::find(body?, path).cloned(),
    }
}

fn header(answer: &Answer, name: &str) -> Option<Value> {
    let value = answer.headers.get(&name.to_ascii_lowercase())?;
    Some(Value::from(value.as_str()))
}

fn one_of(statuses: &[u16]) -> String {
    if statuses.is_empty() {
        return "200 to 299".into();
    }
    let statuses = statuses.iter().map(u16::to_string);
    statuses.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
#[path = "judging_tests.rs"]
mod tests;
