//! What strict reading refuses, each beside its lenient reading: the rules of
//! the interoperability profile and the letter of RFC 7644 section 3.5.2.

use super::*;

fn user() -> Held {
    let user = json!({
        "schemas": [USER, ENTERPRISE], "userName": "u", "title": "T", "active": true,
        "emails": [{"value": "w@example.com", "type": "work"}], "roles": [{"value": "r"}],
        ENTERPRISE: {"manager": {"value": "m"}},
    });
    Held::read_as(ResourceType::User, &user, &strict()).unwrap()
}

fn run(of: ResourceType, body: &Value, limits: &Limits) -> Result<bool, Problem> {
    let mut held = match of {
        ResourceType::User => user(),
        ResourceType::Group => {
            let group = json!({"schemas": [crate::scim::schema::GROUP], "displayName": "g"});
            Held::read_as(of, &group, limits).unwrap()
        }
    };
    held.patch_as(of, &body.to_string(), limits)
}

fn message(operation: &Value) -> Value {
    json!({"schemas": [PATCH_OP], "Operations": [operation]})
}

/// Lenient reading takes the operation; strict reading refuses it as said.
fn departs(of: ResourceType, operation: &Value, kind: ScimType) {
    let body = message(operation);
    let lenient = run(of, &body, &Limits::default());
    assert!(lenient.is_ok(), "{operation}: {lenient:?}");
    let problem = run(of, &body, &strict()).unwrap_err();
    assert_eq!(problem.status, 400, "{operation}");
    assert_eq!(problem.scim_type, Some(kind), "{operation}: {problem}");
}

#[test]
fn an_operation_needs_a_path_and_a_lower_case_op() {
    let user = ResourceType::User;
    for (operation, kind) in [
        (
            json!({"op": "replace", "value": {"title": "x"}}),
            ScimType::InvalidPath,
        ),
        (
            json!({"op": "add", "path": "", "value": {"title": "x"}}),
            ScimType::InvalidPath,
        ),
        (
            json!({"op": "add", "path": null, "value": {"title": "x"}}),
            ScimType::InvalidPath,
        ),
        (
            json!({"op": "add", "path": USER, "value": {"title": "x"}}),
            ScimType::InvalidPath,
        ),
        (
            json!({"op": "Replace", "path": "title", "value": "x"}),
            ScimType::InvalidSyntax,
        ),
        (
            json!({"op": "replace", "path": "title", "value": "x", "note": 1}),
            ScimType::InvalidSyntax,
        ),
    ] {
        departs(user, &operation, kind);
    }
}

#[test]
fn a_request_names_its_message_and_has_no_other_members() {
    let operations = json!([{"op": "replace", "path": "title", "value": "x"}]);
    for body in [
        json!({"Operations": operations}),
        json!({"schemas": [], "Operations": operations}),
        json!({"schemas": PATCH_OP, "Operations": operations}),
        json!({"schemas": [USER], "Operations": operations}),
        json!({"schemas": [PATCH_OP, USER], "Operations": operations}),
        json!({"schemas": [PATCH_OP], "Operations": operations, "failOnErrors": 1}),
    ] {
        assert_eq!(
            run(ResourceType::User, &body, &Limits::default()),
            Ok(true),
            "{body}"
        );
        let problem = run(ResourceType::User, &body, &strict()).unwrap_err();
        assert_eq!(
            problem.scim_type,
            Some(ScimType::InvalidSyntax),
            "{body}: {problem}"
        );
    }
    let good = json!({"schemas": [PATCH_OP], "Operations": operations});
    assert_eq!(run(ResourceType::User, &good, &strict()), Ok(true));
}

#[test]
fn values_have_the_type_that_the_schema_says() {
    let manager = format!("{ENTERPRISE}:manager");
    for (path, value) in [
        ("active", json!("False")),
        ("emails[type eq \"work\"].primary", json!("true")),
        ("emails", json!("[{\"value\":\"x@example.com\"}]")),
        ("roles[value eq \"r\"]", json!("admin")),
        (manager.as_str(), json!("m2")),
        (manager.as_str(), json!([{"value": "m2"}])),
        (manager.as_str(), json!("{\"value\":\"m2\"}")),
        (manager.as_str(), json!("")),
        ("title", json!([])),
        ("title", json!({})),
        ("emails", json!("")),
        ("emails", json!({})),
        ("emails", json!([{}])),
        ("emails", json!([{"value": "x@example.com"}, null])),
        ("active", json!("")),
        ("emails[type eq \"work\"].type", json!("office")),
        (
            "emails",
            json!([{"value": "x@example.com", "type": "office"}]),
        ),
        ("profileUrl", json!("example.com/me")),
    ] {
        let operation = json!({"op": "replace", "path": path, "value": value});
        departs(ResourceType::User, &operation, ScimType::InvalidValue);
    }
    for path in ["department", "manager.value"] {
        let operation = json!({"op": "replace", "path": path, "value": "x"});
        let problem = run(ResourceType::User, &message(&operation), &strict()).unwrap_err();
        assert_eq!(problem.scim_type, Some(ScimType::InvalidPath), "{path}");
    }
}

#[test]
fn what_no_schema_defines_is_refused_by_name() {
    let manager = format!("{ENTERPRISE}:manager");
    for (path, value, name) in [
        (
            "name",
            json!({"nickname": "x", "givenName": "G"}),
            "name.nickname",
        ),
        (
            "emails",
            json!([{"value": "x@example.com", "label": "x"}]),
            "emails.label",
        ),
        (
            "roles",
            json!([{"value": "x", "displayName": "X"}]),
            "roles.displayName",
        ),
        (
            manager.as_str(),
            json!({"value": "x", "id": "y"}),
            "manager.id",
        ),
        (
            ENTERPRISE,
            json!({"department": "D", "noSuch": 1}),
            "User:noSuch",
        ),
        (
            ENTERPRISE,
            json!({"manager.value": "x"}),
            "User:manager.value",
        ),
    ] {
        let operation = json!({"op": "add", "path": path, "value": value});
        departs(ResourceType::User, &operation, ScimType::InvalidSyntax);
        let problem = run(ResourceType::User, &message(&operation), &strict()).unwrap_err();
        assert!(problem.detail.contains(name), "{problem}");
    }
    let nothing = json!({"op": "replace", "path": "noSuch", "value": null});
    departs(ResourceType::User, &nothing, ScimType::InvalidPath);
}

#[test]
fn a_filter_must_select_and_a_remove_takes_no_value() {
    let user = ResourceType::User;
    for path in [
        "emails[type eq \"home\"].value",
        "emails[type eq \"home\"]",
        "phoneNumbers.value",
    ] {
        for op in ["add", "replace"] {
            let value = if path.ends_with(']') {
                json!({"value": "x@example.com"})
            } else {
                json!("x@example.com")
            };
            departs(
                user,
                &json!({"op": op, "path": path, "value": value}),
                ScimType::NoTarget,
            );
        }
    }
    let unmatched = json!({"op": "remove", "path": "emails[type eq \"home\"]"});
    departs(user, &unmatched, ScimType::NoTarget);
    let valued = json!({"op": "remove", "path": "roles", "value": [{"value": "r"}]});
    departs(user, &valued, ScimType::InvalidValue);
    let valued = json!({"op": "remove", "path": "members", "value": [{"value": "m"}]});
    departs(ResourceType::Group, &valued, ScimType::InvalidValue);
}

#[test]
fn members_are_objects_with_a_value() {
    for value in [
        json!("m"),
        json!(["m"]),
        json!("[{\"value\":\"m\"}]"),
        json!([{"value": "m"}, null]),
        json!([{"value": "m", "type": "Robot"}]),
        json!([{"value": "m", "$ref": 5}]),
    ] {
        let operation = json!({"op": "add", "path": "members", "value": value});
        departs(ResourceType::Group, &operation, ScimType::InvalidValue);
    }
    let label = json!({"op": "add", "path": "members", "value": [{"value": "m", "label": "x"}]});
    departs(ResourceType::Group, &label, ScimType::InvalidSyntax);
    let whole = json!([{"value": "m", "type": "User", "$ref": "../Users/m", "display": "M"}]);
    for value in [whole.clone(), whole[0].clone()] {
        let operation = json!({"op": "add", "path": "members", "value": value});
        assert_eq!(
            run(ResourceType::Group, &message(&operation), &strict()),
            Ok(true)
        );
    }
}

#[test]
fn read_only_attributes_cannot_even_be_repeated() {
    for (path, value) in [("id", json!(id().to_string())), ("schemas", json!([USER]))] {
        let operation = json!({"op": "replace", "path": path, "value": value});
        departs(ResourceType::User, &operation, ScimType::Mutability);
    }
}

#[test]
fn left_out_attributes_are_counted() {
    let dropped = |body: Value| {
        let body = body.to_string();
        let read = parse(
            body.as_bytes(),
            ResourceType::User,
            schemas(),
            &Limits::default(),
        );
        read.unwrap().dropped.count()
    };
    let value = json!({
        "noSuch": 1, "urn:example:none:1.0:User": {"a": 1, "b": 2}, "no such": "x", "absent": null,
        "emails": [{"value": "x", "label": "y"}], ENTERPRISE: {"noSuch": 1, "absent": null},
        "name": {"nick": "x"}, "title": "T", "password": "p", "id": id().to_string(),
    });
    assert_eq!(
        dropped(json!({"Operations": [{"op": "add", "value": value}]})),
        7
    );
    for (operation, count) in [
        (
            json!({"op": "replace", "path": "password", "value": "p"}),
            1,
        ),
        (
            json!({"op": "replace", "path": "password", "value": null}),
            0,
        ),
        (json!({"op": "remove", "path": "password"}), 0),
        (json!({"op": "replace", "value": {"password": ""}}), 0),
    ] {
        let body = json!({"Operations": [operation]});
        assert_eq!(dropped(body.clone()), count, "{body}");
    }
    let known = json!([{"op": "replace", "path": "title", "value": "x"}]);
    assert_eq!(dropped(json!({"Operations": known})), 0);
}
