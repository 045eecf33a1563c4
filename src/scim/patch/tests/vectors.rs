//! The vectors for PATCH and for paths, read leniently and strictly. Every
//! departure is named with its reason, and is one: a vector on the list that
//! is met after all fails the test.

use super::*;

const PATCH: &str = include_str!("../../../../tests/data/vectors/patch-vectors.json");
const PATHS: &str = include_str!("../../../../tests/data/vectors/path-vectors.json");

/// Both want `noTarget` for a replace whose filter matches nothing; Entra
/// sends just that and expects the value to be made (recorded exchange
/// entra/18).
const LENIENT: [(&str, ScimType); 2] = [("p089", ScimType::NoTarget), ("p169", ScimType::NoTarget)];

/// The interoperability profile refuses what has no path, though RFC 7644
/// allows it, and what no schema defines, as `password` here (p048); and a value with a remove is nothing that the RFC knows, so it
/// is refused rather than not heeded (p161).
const STRICT: [(&str, ScimType); 14] = [
    ("p003", ScimType::InvalidPath),
    ("p005", ScimType::InvalidPath),
    ("p008", ScimType::InvalidPath),
    ("p014", ScimType::InvalidPath),
    ("p021", ScimType::InvalidPath),
    ("p043", ScimType::InvalidPath),
    ("p044", ScimType::InvalidPath),
    ("p048", ScimType::InvalidPath),
    ("p051", ScimType::InvalidPath),
    ("p065", ScimType::InvalidPath),
    ("p068", ScimType::InvalidPath),
    ("p108", ScimType::InvalidPath),
    ("p109", ScimType::InvalidPath),
    ("p161", ScimType::InvalidValue),
];

/// Equal but for the order of values and a `primary` that is false.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let counts = |(name, value): (&String, &Value)| {
                (name != "primary" || *value != json!(false)).then(|| name.clone())
            };
            let mut names: Vec<_> = a.iter().chain(b).filter_map(counts).collect();
            names.dedup();
            names.iter().all(|name| match (a.get(name), b.get(name)) {
                (Some(a), Some(b)) => same(a, b),
                _ => false,
            })
        }
        (Value::Array(a), Value::Array(b)) => {
            let mut left: Vec<&Value> = b.iter().collect();
            a.len() == b.len()
                && a.iter().all(|a| {
                    let found = left.iter().position(|b| same(a, b));
                    found.map(|at| left.swap_remove(at)).is_some()
                })
        }
        (a, b) => a == b,
    }
}

fn meets(
    outcome: &Value,
    of: ResourceType,
    before: &Held,
    after: &Held,
    done: &Result<bool, Problem>,
) -> bool {
    match (outcome.get("error"), done) {
        (Some(error), Err(problem)) => {
            let kinds = error["scimType"].as_array().unwrap();
            let kind = problem.scim_type.map(ScimType::as_str);
            error["status"] == problem.status
                && kinds.iter().any(|k| k.as_str() == kind)
                && before == after
        }
        (None, Ok(changed)) => {
            let expected = match outcome.get("after") {
                Some(resource) => Held::read(of, resource).unwrap(),
                None => before.clone(),
            };
            let attributes = |held: &Held| Value::Object(held.attributes.0.clone());
            let members = |held: &Held| Value::from(held.members.clone());
            same(&attributes(&expected), &attributes(after))
                && same(&members(&expected), &members(after))
                && !(outcome["unmodified"] == true && *changed)
        }
        _ => false,
    }
}

/// What one vector came to.
struct Played<'a> {
    name: &'a str,
    /// Whether the outcome is one that the vector allows.
    met: bool,
    /// Whether the resource is as before.
    untouched: bool,
    done: Result<bool, Problem>,
}

fn play<'a>(vector: &'a Value, limits: &Limits) -> Played<'a> {
    let of = of(vector);
    let before = Held::read_as(of, &vector["before"], limits).unwrap();
    let mut after = before.clone();
    let request = vector["request"]
        .to_string()
        .replace("{{self}}", &id().to_string());
    let done = after.patch_as(of, &request, limits);
    let also = vector["also"].as_array().cloned().unwrap_or_default();
    let mut outcomes = also.iter().chain([&vector["expect"]]);
    Played {
        name: vector["id"].as_str().unwrap(),
        met: outcomes.any(|outcome| meets(outcome, of, &before, &after, &done)),
        untouched: before == after,
        done,
    }
}

fn of(vector: &Value) -> ResourceType {
    match vector["resource"].as_str() {
        Some("Group") => ResourceType::Group,
        _ => ResourceType::User,
    }
}

#[test]
fn leniently_every_patch_vector_is_met_but_for_what_entra_needs() {
    let vectors: Value = serde_json::from_str(PATCH).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert!(vectors.len() > 100);
    for played in vectors.iter().map(|v| play(v, &Limits::default())) {
        let departs = LENIENT.iter().any(|(name, _)| *name == played.name);
        assert_eq!(played.met, !departs, "{}: {:?}", played.name, played.done);
        assert!(!departs || played.done == Ok(true), "{}", played.name);
    }
}

#[test]
fn strictly_every_patch_vector_is_met_but_for_what_the_profile_refuses() {
    let vectors: Value = serde_json::from_str(PATCH).unwrap();
    let mut departed = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let played = play(vector, &strict());
        let departure = STRICT.iter().find(|(name, _)| *name == played.name);
        assert_eq!(
            played.met,
            departure.is_none(),
            "{}: {:?}",
            played.name,
            played.done
        );
        if let Some((name, kind)) = departure {
            let problem = played.done.unwrap_err();
            assert_eq!(
                (problem.status, problem.scim_type),
                (400, Some(*kind)),
                "{name}"
            );
            assert!(played.untouched, "{name}");
            departed += 1;
        }
    }
    assert_eq!(departed, STRICT.len());
}

#[test]
fn every_path_vector_is_carried_out_or_refused() {
    let vectors: Value = serde_json::from_str(PATHS).unwrap();
    for limits in [Limits::default(), strict()] {
        for vector in vectors["vectors"].as_array().unwrap() {
            let of = of(vector);
            let mut held = Held::read_as(of, &vectors["base"][of.name()], &limits).unwrap();
            let mut operation = json!({"op": vector["op"], "path": vector["path"]});
            if let Some(value) = vector.get("value") {
                operation["value"] = value.clone();
            }
            let body = json!({"schemas": [PATCH_OP], "Operations": [operation]});
            let done = held.patch_as(of, &body.to_string(), &limits);
            if vector["valid"] == true {
                assert_eq!(done, Ok(true), "strict {}: {vector}", limits.strict);
                continue;
            }
            let problem = done.unwrap_err();
            let kind = problem.scim_type.unwrap().as_str();
            let allowed = vector["scimType"].as_array().unwrap();
            assert!(
                problem.status == 400 && allowed.iter().any(|k| k == kind),
                "strict {}: {problem}: {vector}",
                limits.strict
            );
        }
    }
}
