//! Many cases in one file, in a shorter form: defaults once, steps flat, a
//! request as `"send": "GET /Users"`. The setup of a file is played before its
//! first case; fixtures are steps with a name. Everything is made into the long
//! form as JSON, and read as any other case is, so that nothing is understood
//! here that could be misspelt.

use serde_json::{Map, Value, json};

use crate::case::{Case, Step};

/// What a case of the file takes over when it does not say otherwise.
const INHERITED: [&str; 6] = ["source", "confidence", "kind", "mode", "optional", "alone"];
const REQUEST: [&str; 9] = [
    "method",
    "path",
    "base",
    "query",
    "raw_query",
    "headers",
    "body",
    "raw_body",
    "form",
];
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// What one file holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct CaseFile {
    /// Played before the first case of the file.
    pub(crate) setup: Vec<Step>,
    pub(crate) cases: Vec<Case>,
}

/// Reads a file of one case or of many.
pub(crate) fn read(text: &str) -> Result<CaseFile, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if value.get("cases").is_none() {
        let cases = vec![Case::parse(text)?];
        return Ok(CaseFile {
            cases,
            ..CaseFile::default()
        });
    }
    expand(value)
}

/// Makes the long form of a file with a list of cases.
pub(crate) fn expand(file: Value) -> Result<CaseFile, String> {
    let Value::Object(mut file) = file else {
        return Err("a file of cases is an object".into());
    };
    file.shift_remove("about");
    let defaults = object(&mut file, "defaults")?;
    let fixtures = object(&mut file, "fixtures")?;
    let setup = array(&mut file, "setup")?;
    let cases = array(&mut file, "cases")?;
    if let Some(unknown) = file.keys().next() {
        return Err(format!("unknown key {unknown}"));
    }
    let short = Short { defaults, fixtures };
    Ok(CaseFile {
        setup: setup
            .into_iter()
            .map(|step| Step::take(short.step(step)?))
            .collect::<Result<_, _>>()
            .map_err(|wrong| format!("setup: {wrong}"))?,
        cases: cases
            .into_iter()
            .map(|case| short.read(case))
            .collect::<Result<_, _>>()?,
    })
}

struct Short {
    defaults: Map<String, Value>,
    fixtures: Map<String, Value>,
}

impl Short {
    fn read(&self, case: Value) -> Result<Case, String> {
        let name = case.get("name").and_then(Value::as_str).unwrap_or("?");
        let name = name.to_owned();
        self.case(case)
            .and_then(Case::take)
            .map_err(|wrong| format!("{name}: {wrong}"))
    }

    fn case(&self, case: Value) -> Result<Value, String> {
        let Value::Object(mut case) = case else {
            return Err("a case is an object".into());
        };
        for key in INHERITED {
            if let Some(value) = self.defaults.get(key) {
                case.entry(key).or_insert_with(|| value.clone());
            }
        }
        self.require(&mut case);
        for key in ["given", "then"] {
            let steps = array(&mut case, key)?;
            case.insert(key.into(), self.steps(steps)?);
        }
        let mut others = array(&mut case, "or")?;
        for other in &mut others {
            let Value::Object(other) = other else {
                return Err("or: an outcome is an object".into());
            };
            let steps = array(other, "then")?;
            other.insert("then".into(), self.steps(steps)?);
            expectation(other);
        }
        case.insert("or".into(), Value::Array(others));
        self.request(&mut case)?;
        expectation(&mut case);
        Ok(Value::Object(case))
    }

    /// What the file requires and what the case requires.
    fn require(&self, case: &mut Map<String, Value>) {
        let lists = [self.defaults.get("requires"), case.get("requires")];
        let all: Vec<Value> = lists.into_iter().flatten().flat_map(many).collect();
        case.insert("requires".into(), Value::Array(all));
    }

    fn steps(&self, steps: Vec<Value>) -> Result<Value, String> {
        let steps = steps.into_iter().map(|step| self.step(step));
        Ok(Value::Array(steps.collect::<Result<_, _>>()?))
    }

    fn step(&self, step: Value) -> Result<Value, String> {
        let step = match step {
            Value::String(name) => self.fixtures.get(&name).cloned(),
            step => Some(step),
        };
        let Some(Value::Object(mut step)) = step else {
            return Err("a step is an object, or the name of a fixture".into());
        };
        self.request(&mut step)?;
        expectation(&mut step);
        Ok(Value::Object(step))
    }

    /// Gathers what belongs to the request.
    fn request(&self, step: &mut Map<String, Value>) -> Result<(), String> {
        let mut request = object(step, "request")?;
        if let Some(send) = step.shift_remove("send") {
            let line = send.as_str().and_then(|line| line.split_once(' '));
            let (method, path) = line.ok_or(r#"send: write "METHOD /path""#)?;
            request.insert("method".into(), method.into());
            request.insert("path".into(), path.into());
        }
        for key in REQUEST {
            if let Some(value) = step.shift_remove(key) {
                request.insert(key.into(), value);
            }
        }
        for (key, schema, member) in [
            ("patch", PATCH_OP, "Operations"),
            ("bulk", BULK, "Operations"),
        ] {
            if let Some(operations) = step.shift_remove(key) {
                request.insert(
                    "body".into(),
                    json!({"schemas": [schema], member: operations}),
                );
            }
        }
        if let Some(Value::Object(search)) = step.shift_remove("search") {
            let mut body = Map::from_iter([("schemas".to_owned(), json!([SEARCH]))]);
            body.extend(search);
            request.insert("body".into(), Value::Object(body));
        }
        if let Some(pages) = step.shift_remove("pages") {
            request.insert("pages".into(), pages);
        }
        self.headers(&mut request);
        step.insert("request".into(), Value::Object(request));
        Ok(())
    }

    /// Adds the headers of the file; null takes one away.
    fn headers(&self, request: &mut Map<String, Value>) {
        let mut headers = match request.shift_remove("headers") {
            Some(Value::Object(headers)) => headers,
            _ => Map::new(),
        };
        if let Some(Value::Object(defaults)) = self.defaults.get("headers") {
            for (name, value) in defaults {
                headers.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        headers.retain(|_, value| !value.is_null());
        request.insert("headers".into(), Value::Object(headers));
    }
}

/// A number, or a list of numbers, is a status.
fn expectation(step: &mut Map<String, Value>) {
    if let Some(status @ (Value::Number(_) | Value::Array(_))) = step.get("expect").cloned() {
        step.insert("expect".into(), json!({ "status": status }));
    }
}

fn many(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        value => vec![value.clone()],
    }
}

fn object(of: &mut Map<String, Value>, key: &str) -> Result<Map<String, Value>, String> {
    match of.shift_remove(key) {
        None => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => Err(format!("{key}: an object is wanted")),
    }
}

fn array(of: &mut Map<String, Value>, key: &str) -> Result<Vec<Value>, String> {
    match of.shift_remove(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(format!("{key}: an array is wanted")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn file(case: &Value) -> Value {
        json!({
            "defaults": {"source": "RFC 7644 section 3.3", "confidence": "derived", "kind": "positive",
                "requires": "patch", "headers": {"Authorization": "{{auth}}", "Accept": "x"}},
            "fixtures": {"user": {"send": "POST /Users", "body": {"userName": "a"}, "save": {"u": "id"}}},
            "cases": [case]
        })
    }

    #[test]
    fn the_short_form_is_the_long_one() {
        let case = json!({"name": "n", "requires": ["etag"], "given": ["user"], "send": "PATCH /Users/{{u}}",
            "patch": [{"op": "remove", "path": "title"}], "headers": {"Accept": null}, "expect": 204,
            "then": [{"send": "GET /Users/{{u}}", "expect": {"body": {"title": "$absent"}}}]});
        let read = expand(file(&case)).unwrap().cases.remove(0);
        assert_eq!(read.requires, ["patch", "etag"]);
        assert_eq!(read.given[0].save["u"], "id");
        assert_eq!(read.request.method, "PATCH");
        assert_eq!(read.request.path, "/Users/{{u}}");
        assert_eq!(read.request.body.as_ref().unwrap()["schemas"][0], PATCH_OP);
        assert_eq!(read.request.headers.len(), 1);
        assert_eq!(read.expect.status, [204]);
        assert!(read.then[0].expect.status.is_empty());
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_case() {
        let case = json!({"name": "n", "send": "GET /Users", "expekt": 200});
        let wrong = expand(file(&case)).unwrap_err();
        assert!(wrong.contains("n:") && wrong.contains("expekt"), "{wrong}");
    }

    #[test]
    fn a_fixture_that_is_not_there_is_an_error() {
        let case = json!({"name": "n", "given": ["group"], "send": "GET /Users", "expect": 200});
        assert!(expand(file(&case)).is_err());
    }
}
