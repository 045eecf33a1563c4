#![allow(clippy::unwrap_used)]

use super::*;
use crate::scim::{json::Limits, schema::ENTERPRISE};

fn schemas() -> Schemas {
    Schemas::new(&[], &[])
}

#[test]
fn an_answer_shows_what_is_served_and_nothing_else() {
    let user = answered(&schemas(), ResourceType::User);
    let properties = user["properties"].as_object().unwrap();
    for served in ["schemas", "id", "userName", "emails", "meta", ENTERPRISE] {
        assert!(properties.contains_key(served), "{served}");
    }
    assert!(!properties.contains_key("password"));
    assert_eq!(user["additionalProperties"], false);
    assert_eq!(user["required"], json!(["schemas", "id"]));
    assert_eq!(properties["active"]["type"], "boolean");
    assert_eq!(properties["emails"]["items"]["additionalProperties"], false);
}

#[test]
fn a_body_needs_what_its_schema_requires() {
    let limits = Limits::default();
    let user = accepted(&schemas(), ResourceType::User, &limits);
    assert_eq!(user["required"], json!(["userName"]));
    let group = accepted(&schemas(), ResourceType::Group, &limits);
    assert_eq!(group["required"], json!(["displayName"]));
    assert_eq!(
        group["properties"]["members"]["anyOf"][0]["maxItems"],
        limits.members
    );
}

#[test]
fn the_services_own_documents_are_made_of_their_schemas() {
    let urn = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
    let config = document(&schemas(), urn, "ServiceProviderConfig");
    let required: Vec<&str> = config["required"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for name in ["schemas", "patch", "bulk", "filter", "sort", "etag", "meta"] {
        assert!(required.contains(&name), "{name}");
    }
    let patch = &config["properties"]["patch"];
    assert_eq!(patch["properties"]["supported"]["type"], "boolean");
}
