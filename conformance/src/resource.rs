//! Resources compared as a whole, and lists by the ids in them. A resource
//! after a change must hold what is wanted and nothing else, but for what a
//! server may add of its own: `$ref`, `display`, a member's `type`, `primary`
//! false, and what it had added at creation already. Unassigned is null, an
//! empty list or left out (RFC 7643 section 2.5).

use serde_json::{Map, Value};

use crate::pattern::empty;

const OF_THE_SERVER: [&str; 4] = ["id", "meta", "schemas", "groups"];
/// Nothing is nested deeper in a SCIM resource.
const DEEPEST: usize = 8;

/// Which attributes differ, and what was wanted. `is` is the resource wanted,
/// `created` the answer to its creation, `named` the attributes that the case
/// speaks of: what else the server gave at creation may stay.
pub(crate) fn differences(
    wanted: &Map<String, Value>,
    actual: Option<&Value>,
) -> Vec<(String, String)> {
    let Some(actual) = actual.and_then(Value::as_object) else {
        return vec![(String::new(), "a resource".into())];
    };
    let none = Map::new();
    let is = wanted.get("is").and_then(Value::as_object).unwrap_or(&none);
    let named = wanted.get("named").and_then(Value::as_array);
    let of_creation = |key: &str, value: &Value| {
        let spoken_of = named.is_some_and(|named| named.iter().any(|name| name == key));
        !spoken_of && wanted.get("created").and_then(|made| made.get(key)) == Some(value)
    };
    let mut wrong = Vec::new();
    for (key, value) in is.iter().filter(|(key, _)| !of_the_server(key)) {
        let there = actual.get(key);
        if !(void(value) && there.is_none_or(void) || same(value, there, 0)) {
            wrong.push((key.clone(), value.to_string()));
        }
    }
    for (key, value) in actual.iter().filter(|(key, _)| !of_the_server(key)) {
        if !is.contains_key(key) && !void(value) && !of_creation(key, value) {
            wrong.push((key.clone(), "nothing".into()));
        }
    }
    wrong
}

/// Which members are there that `keys` does not name.
pub(crate) fn other_keys(keys: &[Value], actual: Option<&Value>) -> Option<String> {
    let Some(actual) = actual.and_then(Value::as_object) else {
        return Some("an object".into());
    };
    let others: Vec<&str> = actual
        .keys()
        .filter(|key| !keys.iter().any(|known| known == key.as_str()))
        .map(String::as_str)
        .collect();
    (!others.is_empty()).then(|| format!("no members but {keys:?}, so not {}", others.join(", ")))
}

/// What is wrong with a list of which only the ids in `all` count.
pub(crate) fn chosen(wanted: &Map<String, Value>, there: &[Value]) -> Vec<String> {
    let ids = |key: &str| wanted.get(key).and_then(Value::as_array);
    let has = |id: &Value| there.iter().any(|element| element.get("id") == Some(id));
    let want = ids("want");
    let mut wrong = Vec::new();
    for id in ids("all").into_iter().flatten() {
        match (want.is_some_and(|want| want.contains(id)), has(id)) {
            (true, false) => wrong.push(format!("a resource with the id {id}")),
            (false, true) => wrong.push(format!("no resource with the id {id}")),
            _ => {}
        }
    }
    wrong
}

fn of_the_server(key: &str) -> bool {
    OF_THE_SERVER.contains(&key)
}

/// Unassigned, or nothing but unassigned parts.
fn void(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().all(void),
        Value::Array(items) => items.iter().all(void),
        Value::String(_) => false,
        other => empty(other),
    }
}

fn same(wanted: &Value, actual: Option<&Value>, depth: usize) -> bool {
    let Some(actual) = actual.filter(|_| depth <= DEEPEST) else {
        return false;
    };
    match (wanted, actual) {
        (Value::Object(wanted), Value::Object(actual)) => same_members(wanted, actual, depth),
        (Value::Array(wanted), Value::Array(actual)) => same_elements(wanted, actual, depth),
        (wanted, actual) => wanted == actual,
    }
}

fn same_members(wanted: &Map<String, Value>, actual: &Map<String, Value>, depth: usize) -> bool {
    let held = wanted.iter().all(|(key, value)| {
        let there = actual.get(key);
        let unsaid = there.is_none() && (void(value) || key == "primary" && value == false);
        unsaid || void(value) && there.is_none_or(void) || same(value, there, depth + 1)
    });
    held && actual.iter().all(|(key, value)| {
        wanted.contains_key(key)
            || void(value)
            || matches!(key.as_str(), "$ref" | "display" | "displayName")
            || key == "primary" && value == false
            || key == "type" && (value == "User" || value == "Group")
    })
}

fn same_elements(wanted: &[Value], actual: &[Value], depth: usize) -> bool {
    let mut left: Vec<&Value> = actual.iter().filter(|value| !void(value)).collect();
    let wanted = wanted.iter().filter(|value| !void(value));
    for value in wanted {
        let Some(index) = left
            .iter()
            .position(|there| same(value, Some(there), depth + 1))
        else {
            return false;
        };
        left.swap_remove(index);
    }
    left.is_empty()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use serde_json::json;

    use super::*;

    fn wrong(wanted: &Value, actual: &Value) -> Vec<String> {
        let wanted = wanted.as_object().unwrap();
        let found = differences(wanted, Some(actual));
        found.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn what_is_neither_wanted_nor_the_servers_own_is_a_difference() {
        let wanted = json!({"is": {"userName": "a", "emails": [{"value": "x"}]},
            "created": {"active": true, "title": "T"}, "named": ["title"]});
        let good = json!({"id": "1", "userName": "a", "active": true, "roles": [],
            "emails": [{"value": "x", "primary": false}]});
        assert_eq!(wrong(&wanted, &good), [""; 0]);
        let title = json!({"userName": "a", "title": "T", "emails": [{"value": "x"}]});
        assert_eq!(wrong(&wanted, &title), ["title"]);
        let more = json!({"userName": "a", "emails": [{"value": "x"}, {"value": "y"}]});
        assert_eq!(wrong(&wanted, &more), ["emails"]);
        let typed = json!({"userName": "a", "emails": [{"value": "x", "type": "work"}]});
        assert_eq!(wrong(&wanted, &typed), ["emails"]);
        assert_eq!(
            wrong(&wanted, &json!({"emails": [{"value": "x"}]})),
            ["userName"]
        );
    }

    #[test]
    fn only_the_ids_that_count_are_looked_at() {
        let wanted = json!({"all": ["1", "2"], "want": ["1"]});
        let wanted = wanted.as_object().unwrap();
        assert_eq!(
            chosen(wanted, &[json!({"id": "1"}), json!({"id": "9"})]),
            [""; 0]
        );
        assert_eq!(chosen(wanted, &[json!({"id": "2"})]).len(), 2);
    }
}
