//! What an application documents of its interface, as data (`tests/data/contracts`:
//! for every operation its method, path, parameters, body and answers, in the
//! words of JSON Schema; `derive.py` there makes it of the documents), and a judge
//! of calls by it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use uuid::Uuid;

use super::Call;

#[derive(Debug, Deserialize)]
pub(super) struct Contract {
    /// What stands before every path.
    #[serde(default)]
    base: String,
    /// What bodies and answers are written in.
    media: String,
    /// How a credential is presented, in lower case.
    schemes: Vec<String>,
    /// The body of every refusal.
    refusal: Value,
    pub(super) operations: Vec<Documented>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Documented {
    pub(super) operation: String,
    method: String,
    path: String,
    /// Where another one than the contract's.
    base: Option<String>,
    media: Option<String>,
    #[serde(default)]
    in_path: BTreeMap<String, Value>,
    #[serde(default)]
    query: BTreeMap<String, Value>,
    body: Option<Value>,
    /// By status, `2XX` for any that is good; `null` where it has no body.
    answers: BTreeMap<String, Value>,
    refusals: Vec<u16>,
}

impl Contract {
    /// Of an application by the name of its kind.
    pub(super) fn of(kind: &str) -> Self {
        Self::read(match kind {
            "opsera" => include_str!("../../../tests/data/contracts/opsera.json"),
            "hydden" => include_str!("../../../tests/data/contracts/hydden.json"),
            "snyk" => include_str!("../../../tests/data/contracts/snyk.json"),
            other => panic!("{other} has no contract"),
        })
    }

    fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap()
    }

    /// Everything wrong with some calls.
    pub(super) fn judge_all(&self, calls: &[Call]) -> Vec<String> {
        let wrong = calls.iter().flat_map(|call| self.judge(call).1);
        wrong.collect()
    }

    /// The operation that a call is, and everything wrong with the call and
    /// with what it was answered, unless that was a fault by arrangement.
    pub(super) fn judge(&self, call: &Call) -> (Option<&str>, Vec<String>) {
        let mut operations = self.operations.iter();
        let found = operations.find(|it| it.method == call.method && self.is_at(it, &call.path));
        let Some(found) = found else {
            let wrong = format!("{} {} is no operation", call.method, call.path);
            return (None, vec![wrong]);
        };
        let mut wrong = Vec::new();
        let base = found.base.as_ref().unwrap_or(&self.base);
        found.judge_path(&call.path[base.len()..], &mut wrong);
        found.judge_query(&call.query, &mut wrong);
        self.judge_headers(found, call, &mut wrong);
        if !call.cut {
            found.judge_body(call, &mut wrong);
        }
        let outcomes = ["applied", "read", "refused", "over_limit"];
        if outcomes.contains(&&*call.outcome) && !call.cut {
            self.judge_answer(found, call, &mut wrong);
        }
        let about = |text: String| format!("{}: {text}; {call:?}", found.operation);
        let wrong = wrong.into_iter().map(about).collect();
        (Some(&found.operation), wrong)
    }

    fn is_at(&self, documented: &Documented, path: &str) -> bool {
        let base = documented.base.as_ref().unwrap_or(&self.base);
        let path = path.strip_prefix(base.as_str());
        path.is_some_and(|path| fits(&documented.path, path))
    }

    fn judge_headers(&self, found: &Documented, call: &Call, wrong: &mut Vec<String>) {
        let scheme = call.scheme.to_lowercase();
        if call.status != Some(401) && !self.schemes.contains(&scheme) {
            wrong.push(format!("a credential as {scheme:?}"));
        }
        let media = found.media.as_ref().unwrap_or(&self.media);
        let is_media = |said: &str| said.split(';').next() == Some(media);
        if !call.body.is_empty() && !is_media(&call.content_type) {
            wrong.push(format!("a body in {:?}", call.content_type));
        }
    }

    fn judge_answer(&self, found: &Documented, call: &Call, wrong: &mut Vec<String>) {
        let status = call.status.unwrap_or_default();
        let good = [status.to_string(), "2XX".to_owned()];
        let schema = match good.iter().find_map(|key| found.answers.get(key)) {
            Some(schema) if (200..300).contains(&status) => schema,
            _ if found.refusals.contains(&status) => &self.refusal,
            _ => return wrong.push(format!("{status} is not documented")),
        };
        let media = found.media.as_ref().unwrap_or(&self.media);
        if !call.answer.is_empty() && call.answer_type != *media {
            wrong.push(format!("an answer in {:?}", call.answer_type));
        }
        match (schema, call.answer.as_str()) {
            (Value::Null, "") => {}
            (Value::Null, answer) => wrong.push(format!("a body where there is none: {answer}")),
            (schema, answer) => match serde_json::from_str(answer) {
                Ok(value) => validate(schema, &value, "answer", wrong),
                Err(error) => wrong.push(format!("the answer is no JSON: {error}")),
            },
        }
    }
}

impl Documented {
    fn judge_path(&self, path: &str, wrong: &mut Vec<String>) {
        for (part, said) in self.path.split('/').zip(path.split('/')) {
            let name = part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'));
            if let Some((name, schema)) = name.and_then(|name| self.in_path.get_key_value(name)) {
                validate(schema, &typed(schema, &decoded(said)), name, wrong);
            }
        }
    }

    fn judge_query(&self, query: &str, wrong: &mut Vec<String>) {
        let mut said = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            said.push(name);
            match self.query.get(name) {
                Some(schema) => validate(schema, &typed(schema, &decoded(value)), name, wrong),
                None => wrong.push(format!("parameter {name} is not documented")),
            }
        }
        let demanded = self.query.iter().filter(|(_, it)| it["required"] == true);
        let missing = demanded.filter(|(name, _)| !said.contains(&name.as_str()));
        wrong.extend(missing.map(|(name, _)| format!("parameter {name} is missing")));
    }

    fn judge_body(&self, call: &Call, wrong: &mut Vec<String>) {
        match (&self.body, call.body.as_str()) {
            (None, "") => {}
            (None, body) => wrong.push(format!("a body where none is documented: {body}")),
            (Some(schema), body) => match serde_json::from_str(body) {
                Ok(value) => validate(schema, &value, "body", wrong),
                Err(error) => wrong.push(format!("the body is no JSON: {error}")),
            },
        }
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    let (template, path): (Vec<_>, Vec<_>) = (template.collect(), path.collect());
    let same = |(part, said): (&&str, &&str)| part == said || part.starts_with('{');
    template.len() == path.len() && template.iter().zip(&path).all(same)
}

/// A part of an address, in plain letters.
fn decoded(text: &str) -> String {
    let mut url = reqwest::Url::parse("https://nowhere.invalid/").unwrap();
    url.set_query(Some(&format!("it={text}")));
    let mut pairs = url.query_pairs();
    pairs
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// A value of an address, as the type that it stands for.
fn typed(schema: &Value, text: &str) -> Value {
    match schema["type"].as_str() {
        Some("integer" | "number" | "boolean") => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        _ => text.into(),
    }
}

/// As much of JSON Schema as the contracts use; a keyword that is not known is
/// an error of its own.
fn validate(schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let Value::Object(schema) = schema else {
        return;
    };
    for (keyword, of) in schema {
        let fits = match keyword.as_str() {
            "type" => types(of).iter().any(|name| is_of(name, value)),
            "enum" => of.as_array().unwrap().contains(value),
            "const" => of == value,
            "anyOf" | "oneOf" => of.as_array().unwrap().iter().any(|it| is_valid(it, value)),
            "allOf" => of.as_array().unwrap().iter().all(|it| is_valid(it, value)),
            "not" => !is_valid(of, value),
            "pattern" => {
                let pattern = regex_lite::Regex::new(of.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "format" => value.as_str().is_none_or(|text| has_format(of, text)),
            "multipleOf" => value
                .as_i64()
                .is_none_or(|it| it % of.as_i64().unwrap() == 0),
            "maxLength" => length(value).is_none_or(|it| it <= of.as_u64().unwrap()),
            "minLength" => length(value).is_none_or(|it| it >= of.as_u64().unwrap()),
            "minimum" => value.as_f64().is_none_or(|it| it >= of.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|it| it <= of.as_f64().unwrap()),
            "minItems" => items(value).is_none_or(|it| it.len() as u64 >= of.as_u64().unwrap()),
            "maxItems" => items(value).is_none_or(|it| it.len() as u64 <= of.as_u64().unwrap()),
            "minProperties" => {
                let fields = value.as_object();
                fields.is_none_or(|it| it.len() as u64 >= of.as_u64().unwrap())
            }
            "required" if of.is_boolean() => true,
            "required" => has_all(of, value),
            "properties" => {
                properties(of, value, at, wrong);
                true
            }
            "additionalProperties" => !of.is_boolean() || of == true || no_more(schema, value),
            "items" => {
                for (place, item) in items(value).into_iter().flatten().enumerate() {
                    validate(of, item, &format!("{at}[{place}]"), wrong);
                }
                true
            }
            "uniqueItems" => items(value).is_none_or(|it| {
                let mut seen: Vec<&Value> = Vec::new();
                it.iter().all(|one| {
                    let first = !seen.contains(&one);
                    seen.push(one);
                    first
                })
            }),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{at} is not {keyword} {of}: {value}"));
        }
    }
}

/// One that is not known is an error of its own.
fn has_format(format: &Value, text: &str) -> bool {
    match format.as_str() {
        Some("uuid") => text.len() == 36 && Uuid::try_parse(text).is_ok(),
        Some("email") => {
            let parts = text.rsplit_once('@');
            let blank = text.contains(char::is_whitespace);
            parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty()) && !blank
        }
        Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
        Some("date") => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        _ => false,
    }
}

fn is_valid(schema: &Value, value: &Value) -> bool {
    let mut wrong = Vec::new();
    validate(schema, value, "", &mut wrong);
    wrong.is_empty()
}

fn types(of: &Value) -> Vec<&str> {
    match of {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn length(value: &Value) -> Option<u64> {
    Some(value.as_str()?.chars().count() as u64)
}

fn items(value: &Value) -> Option<&Vec<Value>> {
    value.as_array()
}

fn has_all(names: &Value, value: &Value) -> bool {
    let fields = value.as_object();
    let mut names = names.as_array().unwrap().iter().filter_map(Value::as_str);
    fields.is_none_or(|fields| names.all(|name| fields.contains_key(name)))
}

fn properties(of: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let (Some(of), Some(fields)) = (of.as_object(), value.as_object()) else {
        return;
    };
    for (name, field) in fields {
        if let Some(schema) = of.get(name) {
            validate(schema, field, &format!("{at}.{name}"), wrong);
        }
    }
}

fn no_more(schema: &Map<String, Value>, value: &Value) -> bool {
    let known = schema.get("properties").and_then(Value::as_object);
    let fields = value.as_object().into_iter().flatten();
    let mut names = fields.map(|(name, _)| name);
    names.all(|name| known.is_some_and(|known| known.contains_key(name)))
}

#[test]
fn the_judge_finds_what_is_not_as_documented() {
    let schema = serde_json::json!({
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": { "id": { "type": "string", "maxLength": 3 }, "n": { "type": ["integer", "null"] } },
    });
    for (value, good) in [
        (serde_json::json!({ "id": "abc", "n": null }), true),
        (serde_json::json!({ "id": "abcd" }), false),
        (serde_json::json!({ "n": 1 }), false),
        (serde_json::json!({ "id": "a", "n": 1.5 }), false),
        (serde_json::json!({ "id": "a", "more": 1 }), false),
        (serde_json::json!([]), false),
    ] {
        assert_eq!(is_valid(&schema, &value), good, "{value}");
    }
    assert!(!is_valid(
        &serde_json::json!({ "format2": 1 }),
        &Value::Null
    ));
    let either = serde_json::json!({ "not": { "required": ["a", "b"] } });
    for (schema, value, good) in [
        (serde_json::json!({ "pattern": "^[a-z]{2}$" }), "ab", true),
        (serde_json::json!({ "pattern": "^[a-z]{2}$" }), "abc", false),
        (
            serde_json::json!({ "format": "uuid" }),
            "10000000-0000-4000-8000-000000000001",
            true,
        ),
        (
            serde_json::json!({ "format": "uuid" }),
            "10000000000040008000000000000001",
            false,
        ),
        (
            serde_json::json!({ "format": "email" }),
            "ann@example.com",
            true,
        ),
        (serde_json::json!({ "format": "email" }), "ann", false),
        (
            serde_json::json!({ "format": "date-time" }),
            "2026-01-02T03:04:05Z",
            true,
        ),
        (
            serde_json::json!({ "format": "date-time" }),
            "2026-01-02",
            false,
        ),
        (serde_json::json!({ "format": "date" }), "2026-01-02", true),
        (serde_json::json!({ "format": "date" }), "2026-13-02", false),
        (serde_json::json!({ "format": "unheard-of" }), "a", false),
    ] {
        assert_eq!(is_valid(&schema, &value.into()), good, "{schema} {value}");
    }
    assert!(is_valid(&either, &serde_json::json!({ "a": 1 })));
    assert!(!is_valid(&either, &serde_json::json!({ "a": 1, "b": 2 })));
    let tens = serde_json::json!({ "multipleOf": 10 });
    assert!(is_valid(&tens, &20.into()) && !is_valid(&tens, &25.into()));
    assert!(fits("/a/{b}/c", "/a/x/c") && !fits("/a/{b}", "/a/x/c") && !fits("/a/b", "/a/x"));
}
