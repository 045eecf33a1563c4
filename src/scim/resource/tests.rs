#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;
use crate::scim::{json::Limits, schema::ENTERPRISE};

fn schemas() -> Schemas {
    Schemas::new(&[], &[])
}

fn user(body: Value) -> Result<Value, Problem> {
    let body = body.to_string();
    user_from_json(body.as_bytes(), &schemas(), &Limits::default()).map(|read| read.taken.0.into())
}

fn group(body: &str) -> Result<GroupBody, Problem> {
    group_from_json(body.as_bytes(), &schemas(), &Limits::default()).map(|read| read.taken)
}

fn invalid_value(result: Result<impl fmt::Debug, Problem>, part: &str) {
    let problem = result.unwrap_err();
    assert_eq!(problem.scim_type, Some(ScimType::InvalidValue), "{problem}");
    assert!(problem.detail.contains(part), "{problem}");
}

#[test]
fn names_are_taken_in_any_spelling_and_kept_in_one() {
    let read = user(json!({
        "USERNAME": "a", "name.givenName": "G", "Name": {"FAMILYNAME": "F"},
        "urn:ietf:params:scim:schemas:core:2.0:User:title": "T",
        "urn:ietf:params:scim:schemas:core:2.0:User": {"nickname": "N"},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "D",
        "URN:ietf:params:scim:schemas:extension:enterprise:2.0:user": {"costcenter": "C"},
    }));
    let kept = json!({
        "userName": "a", "name": {"givenName": "G", "familyName": "F"}, "title": "T",
        "nickName": "N", ENTERPRISE: {"department": "D", "costCenter": "C"},
    });
    assert_eq!(read.unwrap(), kept);
}

#[test]
fn what_is_unset_unknown_or_not_the_clients_is_dropped() {
    let read = user(json!({
        "userName": " A ", "id": "x", "meta": {"created": 5}, "schemas": ["x"], "groups": [{"value": "g"}],
        "password": "secret", "title": null, "nickName": "", "emails": [], "name": {}, "addresses": [{}, null],
        "department": null, "manager": null, "noSuch": {"a": [1]},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0User": {"department": "D"},
    }));
    assert_eq!(read.unwrap(), json!({"userName": " A "}));
}

#[test]
fn booleans_may_be_text() {
    let read = user(
        json!({"userName": "a", "active": "False", "emails": [{"value": "x", "primary": "TRUE"}]}),
    );
    let kept =
        json!({"userName": "a", "active": false, "emails": [{"value": "x", "primary": true}]});
    assert_eq!(read.unwrap(), kept);
    invalid_value(
        user(json!({"userName": "a", "active": "yes"})),
        "active must be true or false",
    );
    invalid_value(user(json!({"userName": "a", "active": 1})), "a number");
}

#[test]
fn a_manager_may_be_text_object_or_array() {
    for manager in [
        json!("m"),
        json!({"value": "m"}),
        json!([{"value": "m", "displayName": "M"}]),
        json!("{\"value\":\"m\"}"),
    ] {
        for name in [
            "manager",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
        ] {
            let read = user(json!({"userName": "a", name: manager}));
            assert_eq!(
                read.unwrap(),
                json!({"userName": "a", ENTERPRISE: {"manager": {"value": "m"}}})
            );
        }
    }
    invalid_value(
        user(json!({"userName": "a", "manager": [{"value": "m"}, {"value": "n"}]})),
        "manager",
    );
    invalid_value(
        user(json!({"userName": "a", "manager": 7})),
        "manager must be an object",
    );
}

#[test]
fn a_role_that_is_json_text_is_unpacked() {
    let text = r#"{"id":"1","value":"viewer","displayName":"Viewer"}"#;
    let kept = json!({"userName": "a", "roles": [{"value": "viewer", "display": "Viewer"}]});
    for roles in [
        json!([{"value": text}]),
        json!([text]),
        json!({"value": text}),
        json!(text),
    ] {
        assert_eq!(
            user(json!({"userName": "a", "roles": roles})).unwrap(),
            kept
        );
    }
}

#[test]
fn two_spellings_with_different_values_are_refused() {
    let read = user(json!({"userName": "a", "username": "b"}));
    invalid_value(read, "userName is given twice");
    let read = user(json!({"userName": "a", "name.givenName": "x", "name": {"givenName": "y"}}));
    invalid_value(read, "name is given twice");
}

#[test]
fn a_wrong_type_names_the_attribute_and_what_it_should_be() {
    invalid_value(
        user(json!({"userName": "a", "title": 5})),
        "title must be a string; it was given a number",
    );
    invalid_value(
        user(json!({"userName": "a", "name": {"givenName": ["x"]}})),
        "name.givenName must be a string",
    );
    invalid_value(
        user(json!({"userName": "a", "emails": ["x"]})),
        "emails must be an array of objects",
    );
    invalid_value(
        user(json!({"userName": "a", "name": "x"})),
        "name must be an object",
    );
}

#[test]
fn required_attributes_and_a_single_primary_are_demanded() {
    invalid_value(user(json!({"title": "x"})), "userName is required");
    invalid_value(user(json!({"userName": " "})), "userName is required");
    invalid_value(
        group(r#"{"members":[]}"#).map(|g| g.attributes),
        "displayName is required",
    );
    let two = json!([{"value": "a", "primary": true}, {"value": "b", "primary": "true"}]);
    invalid_value(
        user(json!({"userName": "a", "emails": two})),
        "more than one value with primary",
    );
}

#[test]
fn members_are_read_in_every_shape() {
    let read = |members: &str| {
        let body = format!(r#"{{"displayName":"g","Members":{members}}}"#);
        group(&body).map(|g| g.members.unwrap_or_default())
    };
    assert_eq!(
        read(r#"[{"value":"a","$ref":null,"display":null,"type":"User"},"b",null,{"VALUE":"a"}]"#)
            .unwrap(),
        ["a", "b", "a"]
    );
    for unsaid in ["null", "\"\"", "{}"] {
        let body = format!(r#"{{"displayName":"g","members":{unsaid}}}"#);
        assert_eq!(group(&body).unwrap().members, None, "{unsaid}");
    }
    let none = group(r#"{"displayName":"g","members":[]}"#).unwrap();
    assert_eq!(none.members, Some(Vec::new()));
    invalid_value(read("[{}]"), "names nobody");
    assert_eq!(read(r#"{"value":"a"}"#).unwrap(), ["a"]);
    assert_eq!(read(r#""a""#).unwrap(), ["a"]);
    invalid_value(
        read(r#"[{"value":"g","type":"Group"}]"#),
        "group cannot be a member",
    );
    invalid_value(read(r#"[{"display":"g"}]"#), "needs a value");
    invalid_value(read("[5]"), "a number");
    assert_eq!(
        read(r#"[{"value":"a","value":"b"}]"#)
            .unwrap_err()
            .scim_type,
        Some(ScimType::InvalidSyntax)
    );
    assert_eq!(group(r#"{"displayName":"g"}"#).unwrap().members, None);
}

#[test]
fn too_many_members_are_refused_with_the_limit() {
    let body = |n: usize| {
        let members: Vec<_> = (0..n).map(|i| json!({"value": i.to_string()})).collect();
        json!({"displayName": "g", "members": members}).to_string()
    };
    assert_eq!(group(&body(10_000)).unwrap().members.unwrap().len(), 10_000);
    let problem = group(&body(10_001)).unwrap_err();
    assert_eq!(problem.scim_type, Some(ScimType::TooMany));
    assert!(problem.detail.contains("10000"));
}

#[test]
fn deep_or_broken_groups_are_refused_as_syntax() {
    let deep = format!(
        r#"{{"displayName":"g","members":[{{"value":"a","x":{}"#,
        "[".repeat(100_000)
    );
    for body in [deep.as_str(), "[]", "\"x\"", "{\"displayName\":\"g\"} {}"] {
        assert_eq!(
            group(body).unwrap_err().scim_type,
            Some(ScimType::InvalidSyntax)
        );
    }
}

#[test]
fn a_put_keeps_what_was_never_the_clients_to_write() {
    let adjustment = |attribute: &str, mutability| crate::scim::schema::Adjustment {
        schema: crate::scim::schema::USER.into(),
        attribute: attribute.into(),
        mutability: Some(mutability),
        canonical_values: Vec::new(),
        note: "The application fixes it.".into(),
    };
    let schemas = Schemas::new(
        &[],
        &[
            adjustment("entitlements", "readOnly"),
            adjustment("userName", "immutable"),
        ],
    );
    let read = |body: Value| {
        let body = body.to_string();
        let read = user_from_json(body.as_bytes(), &schemas, &Limits::default());
        read.unwrap().taken
    };
    let mut before =
        read(json!({"userName": "a", "title": "T", "entitlements": [{"value": "no"}]}));
    assert_eq!(before.0.get("entitlements"), None);
    before
        .0
        .insert("entitlements".into(), json!([{"value": "e"}]));
    let after = replaced(
        &before,
        read(json!({"userName": "a"})),
        ResourceType::User,
        &schemas,
    )
    .unwrap();
    assert_eq!(
        Value::from(after.0),
        json!({"userName": "a", "entitlements": [{"value": "e"}]})
    );
    let refused = replaced(
        &before,
        read(json!({"userName": "b"})),
        ResourceType::User,
        &schemas,
    )
    .unwrap_err();
    assert_eq!(refused.scim_type, Some(ScimType::Mutability));
    assert!(refused.detail.contains("The application fixes it."));
}

#[test]
fn the_embedded_schema_documents_are_complete() {
    let schemas = schemas();
    assert_eq!(schemas.documents().len(), 6);
    assert_eq!(schemas.extensions(ResourceType::User), [ENTERPRISE]);
    let mut open: Vec<&Value> = schemas
        .documents()
        .iter()
        .flat_map(|d| d["attributes"].as_array().unwrap())
        .collect();
    while let Some(attribute) = open.pop() {
        for (name, is) in [
            ("type", Value::is_string as fn(&Value) -> bool),
            ("multiValued", Value::is_boolean),
            ("description", Value::is_string),
            ("required", Value::is_boolean),
            ("mutability", Value::is_string),
            ("returned", Value::is_string),
            ("uniqueness", Value::is_string),
        ] {
            assert!(attribute.get(name).is_some_and(is), "{name} of {attribute}");
        }
        open.extend(attribute["subAttributes"].as_array().into_iter().flatten());
    }
    let served = serde_json::to_string(schemas.documents()).unwrap();
    assert!(!served.contains("password\""));
}
