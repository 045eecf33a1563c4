#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn made() -> Value {
    let schemas = Schemas::new(&[], &[]);
    let catalog = Catalog::default();
    whole(&Connection {
        base: "http://127.0.0.1:8080/acme/scim/v2",
        schemas: &schemas,
        catalog: &catalog,
        limits: &Limits::default(),
        body: 1024,
    })
}

#[test]
fn every_route_and_method_of_the_table_is_told_and_nothing_else() {
    let document = made();
    let mut told = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            told.insert((path.clone(), method.to_ascii_uppercase()));
        }
    }
    let mut there = BTreeSet::new();
    for (path, doors) in routes::told() {
        for (method, _) in doors {
            let path = if path.is_empty() { "/" } else { path };
            there.insert((path.to_owned(), method.to_string()));
            there.insert((path.to_owned(), "OPTIONS".to_owned()));
        }
    }
    assert!(there.len() > 15);
    assert_eq!(told, there);
}

#[test]
fn every_reference_leads_to_a_component_and_every_component_is_meant() {
    let document = made();
    let mut meant = BTreeSet::new();
    references(&document, &mut meant);
    for reference in &meant {
        let place = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(place).is_some(),
            "{reference} leads nowhere"
        );
    }
    for kind in ["schemas", "parameters", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(meant.contains(&reference), "nothing means {reference}");
        }
    }
}

fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                into.insert(reference.clone());
            }
            map.values().for_each(|inner| references(inner, into));
        }
        Value::Array(list) => list.iter().for_each(|inner| references(inner, into)),
        _ => {}
    }
}

#[test]
fn operations_have_names_of_their_own_and_links_lead_to_them() {
    let document = made();
    let mut names = BTreeSet::new();
    let mut links = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(names.insert(id.to_owned()), "{id} is there twice");
            for response in operation["responses"].as_object().unwrap().values() {
                for link in response["links"].as_object().into_iter().flatten() {
                    links.insert(link.1["operationId"].as_str().unwrap().to_owned());
                }
            }
        }
    }
    assert!(!links.is_empty() && links.is_subset(&names), "{links:?}");
}

#[test]
fn every_operation_tells_a_success_and_what_no_token_is_answered() {
    for (path, item) in made()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let statuses = operation["responses"].as_object().unwrap();
            assert!(statuses.contains_key("401"), "{method} {path}");
            let done = statuses.keys().any(|status| status.starts_with('2'));
            assert!(done, "{method} {path}");
        }
    }
}

#[test]
fn the_limits_are_those_that_are_enforced() {
    let document = made();
    let schemas = &document["components"]["schemas"];
    let limits = Limits::default();
    let operations = &schemas["PatchOp"]["properties"]["Operations"];
    assert_eq!(operations["maxItems"], limits.operations);
    let filter = &document["components"]["parameters"]["filter"]["schema"];
    assert_eq!(filter["maxLength"], limits.filter);
    let members = &schemas["GroupBody"]["properties"]["members"]["anyOf"][0];
    assert_eq!(members["maxItems"], limits.members);
}
