//! The recorded exchanges of identity providers, played below HTTP: bodies of
//! POST, PUT and PATCH in order, and what a GET by id must show afterwards.
//! What needs a store (unknown members, uniqueness) is not judged here.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Held, id};
use crate::scim::{
    render,
    resource::{ResourceId, ResourceType},
    value::is_unset,
};

/// What an exchange expects of a document; see the case files' own format.
fn matches(expected: &Value, actual: Option<&Value>) -> bool {
    let unset = actual.is_none_or(is_unset);
    match (expected, actual) {
        (Value::String(word), _) if word == "$absent" => unset,
        (Value::String(word), _) if word == "$nonempty" => !unset,
        (Value::String(word), Some(actual)) if word.starts_with('$') => match word.as_str() {
            "$string" => actual.is_string(),
            "$number" => actual.is_number(),
            "$integer" => actual.is_i64() || actual.is_u64(),
            "$bool" => actual.is_boolean(),
            word => word
                .strip_prefix("$prefix:")
                .is_none_or(|prefix| actual.as_str().is_some_and(|text| text.starts_with(prefix))),
        },
        (Value::Object(expected), actual) => expected.iter().all(|(name, expected)| {
            let list = actual.and_then(Value::as_array);
            match (name.as_str(), list) {
                ("$set", list) => {
                    let wanted = expected.as_array().unwrap();
                    let there = list.map_or(0, Vec::len);
                    wanted.len() == there && matches(expected, actual)
                }
                ("$len", Some(list)) => *expected == list.len(),
                ("$first", Some(list)) => matches(expected, list.first()),
                (name, _) => matches(expected, actual.and_then(|actual| actual.get(name))),
            }
        }),
        (Value::Array(expected), actual) => expected.iter().all(|expected| {
            let mut list = actual.and_then(Value::as_array).into_iter().flatten();
            list.any(|actual| matches(expected, Some(actual)))
        }),
        (expected, actual) => actual == Some(expected),
    }
}

fn served(of: ResourceType, id: ResourceId, held: &Held) -> Value {
    let attributes = Value::Object(held.attributes.0.clone()).to_string();
    let mut resource = render::document(of, id, 0, 0, 1, &attributes, Some("http://h"));
    if of == ResourceType::Group {
        let members = held.members.iter().map(|id| json!({"value": id}));
        resource.insert("members".into(), members.collect());
    }
    resource.into()
}

/// One folder's state: the ids that were saved, by variable, and what is held.
#[derive(Default)]
struct World {
    ids: BTreeMap<String, String>,
    held: BTreeMap<String, Held>,
}

impl World {
    fn filled(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (name, id)| {
            text.replace(&format!("{{{{{name}}}}}"), id)
        })
    }

    fn play(&mut self, exchange: &Value) -> Result<(), String> {
        let request = &exchange["request"];
        let path = self.filled(request["path"].as_str().unwrap());
        let (of, id) = match path.trim_matches('/').split_once('/') {
            Some(("Users", id)) => (ResourceType::User, id.to_owned()),
            Some(("Groups", id)) => (ResourceType::Group, id.to_owned()),
            None if path == "/Users" => (ResourceType::User, String::new()),
            None if path == "/Groups" => (ResourceType::Group, String::new()),
            _ => return Ok(()),
        };
        let statuses: Vec<u64> = match &exchange["expect"]["status"] {
            Value::Array(list) => list.iter().filter_map(Value::as_u64).collect(),
            single => single.as_u64().into_iter().collect(),
        };
        if !statuses.iter().any(|status| *status < 300) {
            return Ok(());
        }
        let body: Value = serde_json::from_str(&self.filled(&request["body"].to_string())).unwrap();
        match request["method"].as_str().unwrap() {
            "POST" => {
                let held = Held::read(of, &body).map_err(|p| p.to_string())?;
                let name = exchange["save"]
                    .as_object()
                    .and_then(|save| save.keys().next());
                let number = u128::try_from(self.held.len()).unwrap() + 1_000;
                let id = Uuid::from_u128(number).to_string();
                self.ids
                    .insert(name.cloned().unwrap_or_default(), id.clone());
                self.held.insert(id, held);
            }
            "PUT" => {
                let held = Held::read(of, &body).map_err(|p| p.to_string())?;
                self.held.insert(id, held);
            }
            "PATCH" => {
                let body = expanded(&body).to_string();
                let body = body.replace(&id, &super::id().to_string());
                let held = self.held.get_mut(&id).ok_or("no such resource")?;
                held.patch(of, &body).map_err(|p| p.to_string())?;
            }
            "DELETE" => {
                self.held.remove(&id);
            }
            "GET" if !id.is_empty() && request["query"].as_object().is_none_or(Map::is_empty) => {
                let Some(held) = self.held.get(&id) else {
                    return Ok(());
                };
                let resource = served(of, ResourceId::parse(&id).unwrap(), held);
                let expected = self.filled(&exchange["expect"]["body"].to_string());
                let expected: Value = serde_json::from_str(&expected).unwrap();
                if !expected.is_null() && !matches(&expected, Some(&resource)) {
                    return Err(format!("{resource} is not {expected}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// `$each` stands for one element per saved value, here a hundred.
fn expanded(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("$each") => {
            let item = map["item"].to_string();
            let each = |i: i32| item.replace("{{item}}", &format!("batch-{i}"));
            (0..100)
                .map(|i| serde_json::from_str::<Value>(&each(i)).unwrap())
                .collect()
        }
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), expanded(v))).collect(),
        Value::Array(list) => list.iter().map(expanded).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_recorded_exchange_ends_as_expected() {
    assert_ne!(id().to_string(), Uuid::from_u128(1_000).to_string());
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/cases");
    let mut failures = Vec::new();
    let mut played = 0;
    for folder in ["okta", "entra", "jumpcloud"] {
        let mut world = World::default();
        let entries = fs::read_dir(cases.join(folder)).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let exchange: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            if let Err(why) = world.play(&exchange) {
                failures.push(format!("{}: {why}", file.display()));
            }
            played += 1;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(played > 150, "only {played} exchanges found");
}
