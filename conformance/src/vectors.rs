//! Shared vectors as cases: filters over one corpus (by GET or by `.search`),
//! PATCH with the resource before and after, PATCH paths good and bad. A vector
//! file becomes a file of cases in the short form of `list`; what it leaves open
//! (`also`) becomes other outcomes, what no RFC backs (`quirk`) is optional and
//! for lenient servers.

use serde_json::{Map, Value, json};

use crate::list::{self, CaseFile};

#[path = "vectors_wording.rs"]
mod wording;

/// A value that a filtered path does not find is made for lenient clients, as
/// Entra needs it, where RFC 7644 section 3.5.2.3 has `noTarget`.
const DEPARTED: [&str; 2] = ["p089", "p169"];
/// Where no password is kept a strict server has no such attribute.
const PASSWORD: &str = "p048";
/// Spoken of or not, these are never compared.
const UNSEEN: [&str; 2] = ["password", "schemas"];
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// The cases of a vector file, or nothing when `text` is none.
pub(crate) fn read(profile: &str, text: &str) -> Option<Result<CaseFile, String>> {
    if !profile.starts_with("vectors-") {
        return None;
    }
    let file: Value = match serde_json::from_str(text) {
        Ok(file) => file,
        Err(error) => return Some(Err(error.to_string())),
    };
    let vectors = file["vectors"].as_array()?;
    let (setup, case): (Vec<Value>, Make<'_>) = if file["corpus"].is_object() {
        let search = profile == "vectors-search";
        let all = ids(&file["corpus"]);
        let undecided = without_status(&file["corpus"]);
        let make = move |vector: &Value| filter(vector, &all, &undecided, search);
        (corpus(&file["corpus"]), Box::new(make))
    } else if file["helpers"].is_object() {
        (helpers(&file["helpers"]), Box::new(patch))
    } else {
        let base = file["base"].clone();
        (
            Vec::new(),
            Box::new(move |vector: &Value| path(vector, &base)),
        )
    };
    let cases: Vec<Value> = vectors
        .iter()
        .map(|vector| named(vector, case(vector)))
        .collect();
    Some(list::expand(json!({
        "defaults": {
            "alone": true,
            "confidence": "documented",
            "headers": {"Authorization": "{{auth}}", "Accept": "application/scim+json"}
        },
        "setup": setup,
        "cases": cases
    })))
}

type Make<'a> = Box<dyn Fn(&Value) -> Value + 'a>;

/// What every vector says about itself.
fn named(vector: &Value, mut case: Value) -> Value {
    let word = |key: &str| vector[key].as_str().unwrap_or_default();
    let what = ["name", "filter", "path"].map(word).concat();
    let refused = vector["invalid"] == true
        || vector["valid"] == false
        || !vector["expect"]["error"].is_null();
    case["name"] = json!(format!("{} {what}", word("id")));
    let section = if vector["filter"].is_string() {
        "RFC 7644 section 3.4.2.2"
    } else {
        "RFC 7644 section 3.5.2"
    };
    case["source"] = json!(source(word("rfc"), section));
    case["says"] = json!(wording::said(vector));
    case["kind"] = json!(if refused { "negative" } else { "positive" });
    if DEPARTED.contains(&word("id")) {
        case["mode"] = json!("strict");
    }
    if pathless(vector) || word("id") == PASSWORD {
        case["mode"] = json!("lenient");
    }
    if what.starts_with("entitlements") {
        let mut requires = case["requires"].as_array().cloned().unwrap_or_default();
        requires.push(json!("User.entitlements:write"));
        case["requires"] = Value::Array(requires);
    }
    if vector["resource"] == "Group" {
        case["requires"] = json!(["groups"]);
    }
    if let Some(quirk) = vector["quirk"].as_str() {
        case["optional"] = json!(true);
        case["mode"] = json!("lenient");
        case["says"] = json!(format!("{}. {quirk}", wording::said(vector)));
    }
    case
}

/// An add or replace without a path that is to be done: a strict server refuses
/// it, as the interoperability profile has it, which is narrower than the RFC.
fn pathless(vector: &Value) -> bool {
    let operations = vector["request"]["Operations"].as_array();
    vector["expect"]["error"].is_null()
        && operations
            .into_iter()
            .flatten()
            .any(|operation| operation.get("path").is_none())
}

/// `7644 3.4.2.2 and more words` is RFC 7644 section 3.4.2.2.
fn source(rfc: &str, otherwise: &str) -> String {
    let first = rfc.split([';', ',']).next().unwrap_or_default();
    let (number, rest) = first.trim().split_once(' ').unwrap_or_default();
    let section = rest.split([' ', ':']).next().unwrap_or_default();
    let known = matches!(number, "7643" | "7644");
    if known && section.starts_with(|c: char| c.is_ascii_digit()) {
        format!("RFC {number} section {section} ({rfc})")
    } else {
        format!("{otherwise} ({rfc})")
    }
}

fn endpoint(vector: &Value) -> &'static str {
    if vector["resource"] == "Group" {
        "/Groups"
    } else {
        "/Users"
    }
}

// ---- filters

/// The variable that holds the id of a resource of the corpus.
fn variable(key: &str) -> String {
    format!("id_{}", key.replace(':', "_"))
}

/// `{{id:KEY}}` and `{{created:KEY}}` of a vector are our variables.
fn filled(filter: &str) -> String {
    filter
        .replace("{{id:g:", "{{id_g_")
        .replace("{{id:", "{{id_")
        .replace("{{created:", "{{created_")
}

fn members<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    of[key].as_object().into_iter().flatten()
}

fn corpus(corpus: &Value) -> Vec<Value> {
    let users = members(corpus, "users").map(|(key, user)| {
        let mut save = Map::new();
        save.insert(variable(key), json!("id"));
        save.insert(format!("created_{key}"), json!("meta.created"));
        json!({"send": "POST /Users", "body": user, "save": save})
    });
    let groups = members(corpus, "groups").map(|(key, group)| {
        let mut group = group.clone();
        if let Some(list) = group.get_mut("members").and_then(Value::as_array_mut) {
            for member in list {
                let id = format!("{{{{{}}}}}", variable(member.as_str().unwrap_or_default()));
                *member = json!({ "value": id });
            }
        }
        let mut save = Map::new();
        save.insert(variable(&format!("g:{key}")), json!("id"));
        json!({"send": "POST /Groups", "body": group, "save": save})
    });
    users.chain(groups).collect()
}

/// Every id of the corpus: users, then groups.
fn ids(corpus: &Value) -> [Vec<String>; 2] {
    let users = members(corpus, "users")
        .map(|(key, _)| variable(key))
        .collect();
    let groups = members(corpus, "groups").map(|(key, _)| variable(&format!("g:{key}")));
    [users, groups.collect()]
}

fn filter(vector: &Value, all: &[Vec<String>; 2], undecided: &[Value], search: bool) -> Value {
    let group = vector["resource"] == "Group";
    let text = filled(vector["filter"].as_str().unwrap_or_default());
    let endpoint = endpoint(vector);
    let mut case = if search {
        json!({"send": format!("POST {endpoint}/.search"), "requires": ["search"],
            "search": {"filter": text, "count": 100}})
    } else {
        json!({"send": format!("GET {endpoint}"), "query": {"filter": text, "count": "100"}})
    };
    case["pages"] = json!(true);
    let refusal = json!({"status": 400, "error": "invalidFilter"});
    let chosen = |keys: &Value| chosen(keys, &all[usize::from(group)], group);
    case["expect"] = if vector["invalid"] == true {
        refusal
    } else {
        chosen(&vector["match"])
    };
    let others = vector["also"].as_array().into_iter().flatten();
    let others = others.map(|other| match other {
        Value::Array(_) => json!({ "expect": chosen(other) }),
        _ => json!({"expect": {"status": 400, "error": "any"}}),
    });
    let mut others: Vec<Value> = others.collect();
    if let (Some(keys), true) = (vector["match"].as_array(), speaks_of_status(vector)) {
        let keys = keys.iter().chain(undecided).cloned().collect();
        others.push(json!({ "expect": chosen(&Value::Array(keys)) }));
    }
    case["or"] = Value::Array(others);
    case
}

/// Users created without `active`: a server may take them for active (RFC 7643
/// section 4.1.1 leaves the meaning of it to the server).
fn without_status(corpus: &Value) -> Vec<Value> {
    members(corpus, "users")
        .filter(|(_, user)| user.get("active").is_none())
        .map(|(key, _)| json!(key))
        .collect()
}

fn speaks_of_status(vector: &Value) -> bool {
    let filter = vector["filter"].as_str().unwrap_or_default();
    filter.to_lowercase().contains("active") && vector["resource"] == "User"
}

fn chosen(keys: &Value, all: &[String], group: bool) -> Value {
    let braced = |name: &String| format!("{{{{{name}}}}}");
    let keys = keys
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let want: Vec<String> = keys
        .map(|key| {
            braced(&variable(&if group {
                format!("g:{key}")
            } else {
                key.to_owned()
            }))
        })
        .collect();
    let all: Vec<String> = all.iter().map(braced).collect();
    let resources = json!({"$among": {"all": all, "want": want}});
    json!({"status": 200, "body": {"schemas": [LIST], "Resources": resources}})
}

// ---- patch

fn helpers(helpers: &Value) -> Vec<Value> {
    let helpers = helpers.as_object().into_iter().flatten();
    helpers
        .map(|(key, user)| {
            let mut save = Map::new();
            save.insert(key.clone(), json!("id"));
            json!({"send": "POST /Users", "body": user, "save": save})
        })
        .collect()
}

fn patch(vector: &Value) -> Value {
    let endpoint = endpoint(vector);
    let one = format!("{endpoint}/{{{{self}}}}");
    let paused = vector["expect"]["unmodified"] == true;
    let outcome = |expect: &Value| {
        let (answer, state) = outcome(vector, expect);
        json!({"expect": answer, "then": [{"send": format!("GET {one}"), "expect": {"status": 200, "body": state}}]})
    };
    let mut case = outcome(&vector["expect"]);
    let others = vector["also"].as_array().into_iter().flatten();
    case["or"] = others.map(outcome).collect();
    case["given"] = json!([
        {"send": format!("POST {endpoint}"), "body": unique(&vector["before"]), "save": {"self": "id", "created": ""}},
        {"send": format!("GET {one}"), "expect": {"body": {"$resource": stored(&vector["before"])}},
            "save": {"was": "", "modified": "meta.lastModified"}}
    ]);
    if paused && let Some(given) = case["given"].as_array_mut() {
        given.push(json!({"send": format!("GET {one}"), "pause_ms": 1100}));
    }
    case["send"] = json!(format!("PATCH {one}"));
    case["body"] = unique(&vector["request"]);
    case
}

fn outcome(vector: &Value, expect: &Value) -> (Value, Value) {
    let error = &expect["error"];
    if error.is_object() {
        let mut types = error["scimType"].clone();
        if types.as_array().is_none_or(Vec::is_empty) {
            types = json!("any");
        }
        let state = json!({"$resource": {"is": "{{was}}"}});
        return (json!({"status": error["status"], "error": types}), state);
    }
    let after = if expect["after"].is_object() {
        &expect["after"]
    } else {
        &vector["before"]
    };
    let state = json!({"$resource": resource(after, vector)});
    if expect["unmodified"] == true {
        let modified = json!({"meta": {"lastModified": "{{modified}}"}});
        return (
            json!({"status": [200, 204]}),
            json!({"$both": [state, modified]}),
        );
    }
    (json!({"status": [200, 204], "body": state.clone()}), state)
}

/// As sent, with what the server adds of its own.
fn stored(is: &Value) -> Value {
    let is = seen(is);
    let named: Vec<&String> = is
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
        .collect();
    json!({"is": is, "created": "{{created}}", "named": named})
}

fn resource(is: &Value, vector: &Value) -> Value {
    let request = vector["request"].to_string();
    let schema_names = seen(&vector["before"]);
    let mut named: Vec<String> = schema_names
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect();
    // The server's own additions may stay unless the request speaks of them.
    let spoken = [
        "active",
        "displayName",
        "name",
        "nickName",
        "title",
        "locale",
        "timezone",
    ];
    named.extend(
        spoken
            .iter()
            .filter(|name| request.contains(**name))
            .map(|name| (*name).to_owned()),
    );
    json!({"is": seen(is), "created": "{{created}}", "named": named})
}

/// What a GET can show of it.
fn seen(resource: &Value) -> Value {
    let Value::Object(mut seen) = unique(resource) else {
        return json!({});
    };
    seen.retain(|key, _| !UNSEEN.contains(&key.as_str()));
    Value::Object(seen)
}

/// Names of the vectors are the same for every vector; here each has its own.
fn unique(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("vec.") => json!(format!("{{{{unique}}}}.{text}")),
        Value::Array(items) => items.iter().map(unique).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), unique(value)))
            .collect(),
        other => other.clone(),
    }
}

// ---- paths

fn path(vector: &Value, base: &Value) -> Value {
    let endpoint = endpoint(vector);
    let of = vector["resource"].as_str().unwrap_or("User");
    let mut body = base[of].clone();
    let name = if of == "User" {
        "userName"
    } else {
        "displayName"
    };
    body[name] = json!("{{unique}}");
    let mut operation = json!({"op": vector["op"], "path": vector["path"]});
    if let Some(value) = vector.get("value") {
        operation["value"] = value.clone();
        if vector["path"]
            .as_str()
            .is_some_and(|path| path.to_lowercase().ends_with("username"))
        {
            operation["value"] = json!("{{unique}}.new");
        }
    }
    let others = vector["also"].as_array().into_iter().flatten();
    let others = others.map(|status| match status.as_u64() {
        Some(400..) => json!({"expect": {"status": status, "error": "any"}}),
        _ => json!({"expect": {"status": status}}),
    });
    let expect = if vector["valid"] == true {
        json!({"status": [200, 204]})
    } else {
        json!({"status": 400, "error": vector["scimType"]})
    };
    json!({
        "given": [{"send": format!("POST {endpoint}"), "body": body, "save": {"self": "id"}}],
        "send": format!("PATCH {endpoint}/{{{{self}}}}"),
        "patch": [operation],
        "expect": expect,
        "then": [{"send": format!("GET {endpoint}/{{{{self}}}}"), "expect": {"status": 200, "body": {"id": "{{self}}"}}}],
        "or": others.collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_section_is_taken_out_of_what_a_vector_says() {
        assert_eq!(
            source("7644 3.5.2.1: no changes", "x"),
            "RFC 7644 section 3.5.2.1 (7644 3.5.2.1: no changes)"
        );
        assert_eq!(
            source("7643 4.1.1 userName; 7644 3", "x"),
            "RFC 7643 section 4.1.1 (7643 4.1.1 userName; 7644 3)"
        );
        assert_eq!(source("as above", "x"), "x (as above)");
    }

    #[test]
    fn a_vector_with_other_outcomes_allows_them() {
        let text = json!({"corpus": {"users": {"a": {"userName": "a"}}, "groups": {}},
            "vectors": [{"id": "f1", "resource": "User", "filter": "title pr", "match": [], "also": ["400", ["a"]], "rfc": "7644 3.4.2.2"}]});
        let file = read("vectors-filter", &text.to_string()).unwrap().unwrap();
        assert_eq!((file.setup.len(), file.cases.len()), (1, 1));
        assert_eq!(file.cases[0].or.len(), 2);
        assert!(file.cases[0].request.pages);
    }
}
