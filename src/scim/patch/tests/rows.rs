//! RFC 7644 sections 3.5.2.1 to 3.5.2.3, row by row: each kind of target, each
//! operation, what becomes of the resource or which refusal it is.

use super::*;
use Outcome::{Refused, Same, Sets};

enum Outcome {
    /// A JSON pointer and what is there afterwards; null is nothing.
    Sets(&'static str, Value),
    /// Success, and nothing changed.
    Same,
    Refused(ScimType),
}

fn before() -> Value {
    json!({
        "userName": "u", "title": "T", "name": {"givenName": "G", "familyName": "F"},
        "emails": [
            {"value": "w@example.com", "type": "work", "primary": true},
            {"value": "h@example.com", "type": "home"},
        ],
        "photos": [{"value": "https://example.com/p", "type": "photo"}],
        ENTERPRISE: {"department": "D", "manager": {"value": "m"}},
    })
}

fn after(pointer: &str, value: Value) -> Value {
    let mut user = before();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = user.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.shift_remove(name);
    } else {
        parent.insert(name.to_owned(), value);
    }
    user
}

#[track_caller]
fn holds(operation: &Value, outcome: &Outcome, limits: &Limits) {
    let mut user = Held {
        attributes: Attributes(before().as_object().unwrap().clone()),
        members: Vec::new(),
    };
    let body = json!({"schemas": [PATCH_OP], "Operations": [operation]}).to_string();
    let done = user.patch_as(ResourceType::User, &body, limits);
    let strict = limits.strict;
    let is = Value::Object(user.attributes.0);
    match outcome {
        Sets(pointer, value) => {
            assert_eq!(done, Ok(true), "{operation}, strict {strict}");
            assert_eq!(
                is,
                after(pointer, value.clone()),
                "{operation}, strict {strict}"
            );
        }
        Same => assert_eq!(
            (done, is),
            (Ok(false), before()),
            "{operation}, strict {strict}"
        ),
        Refused(kind) => {
            let problem = done.unwrap_err();
            assert_eq!(problem.status, 400, "{operation}, strict {strict}");
            assert_eq!(problem.scim_type, Some(*kind), "{operation}: {problem}");
            assert_eq!(is, before(), "{operation}, strict {strict}");
        }
    }
}

/// The same in both readings.
fn all_hold(rows: &[(Value, Outcome)]) {
    for (operation, outcome) in rows {
        holds(operation, outcome, &Limits::default());
        holds(operation, outcome, &strict());
    }
}

fn op(op: &str, path: &str, value: Value) -> Value {
    json!({"op": op, "path": path, "value": value})
}

fn remove(path: &str) -> Value {
    json!({"op": "remove", "path": path})
}

fn work() -> Value {
    before()["emails"][0].clone()
}

fn home() -> Value {
    before()["emails"][1].clone()
}

fn former_primary() -> Value {
    json!({"value": "w@example.com", "type": "work", "primary": false})
}

#[test]
fn add_to_one_value() {
    let division = format!("{ENTERPRISE}:division");
    all_hold(&[
        (
            op("add", "nickName", json!("N")),
            Sets("/nickName", json!("N")),
        ),
        (op("add", "title", json!("X")), Sets("/title", json!("X"))),
        (op("add", "title", json!("T")), Same),
        (
            op("add", "active", json!(false)),
            Sets("/active", json!(false)),
        ),
        (
            op("add", "name", json!({"middleName": "M"})),
            Sets("/name/middleName", json!("M")),
        ),
        (
            op("add", "name.middleName", json!("M")),
            Sets("/name/middleName", json!("M")),
        ),
        (
            op("add", "name.givenName", json!("X")),
            Sets("/name/givenName", json!("X")),
        ),
        (op("add", "name", json!({"givenName": "G"})), Same),
        (
            op("add", &division, json!("V")),
            Sets(
                "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/division",
                json!("V"),
            ),
        ),
        (
            json!({"op": "add", "path": "title"}),
            Refused(ScimType::InvalidValue),
        ),
        (
            op("add", "title", json!(5)),
            Refused(ScimType::InvalidValue),
        ),
        (
            op("add", "title", json!(["X"])),
            Refused(ScimType::InvalidValue),
        ),
    ]);
}

#[test]
fn add_to_many_values() {
    let other = json!({"value": "o@example.com", "type": "other"});
    let first = json!({"value": "o@example.com", "type": "other", "primary": true});
    let labelled = json!({"value": "h@example.com", "type": "home", "display": "H"});
    let raised = json!({"value": "h@example.com", "type": "home", "primary": true});
    all_hold(&[
        (
            op("add", "emails", json!([other])),
            Sets("/emails", json!([work(), home(), other])),
        ),
        (
            op("add", "emails", other.clone()),
            Sets("/emails", json!([work(), home(), other])),
        ),
        (
            op("add", "emails", json!([other, other])),
            Sets("/emails", json!([work(), home(), other])),
        ),
        (op("add", "emails", json!([home()])), Same),
        (op("add", "emails", json!([])), Same),
        (
            op("add", "emails", json!([first])),
            Sets("/emails", json!([former_primary(), home(), first])),
        ),
        (
            op("add", "emails[type eq \"home\"]", json!({"display": "H"})),
            Sets("/emails", json!([work(), labelled])),
        ),
        (
            op("add", "emails[type eq \"home\"].display", json!("H")),
            Sets("/emails", json!([work(), labelled])),
        ),
        (
            op("add", "emails[type eq \"home\"].primary", json!(true)),
            Sets("/emails", json!([former_primary(), raised])),
        ),
        (
            op("add", "emails", json!([first, raised])),
            Refused(ScimType::InvalidValue),
        ),
        (
            op("add", "emails", json!(["x"])),
            Refused(ScimType::InvalidValue),
        ),
        (
            op("add", "emails[type xx \"home\"]", json!({})),
            Refused(ScimType::InvalidFilter),
        ),
        (
            op("add", "name[givenName eq \"G\"]", json!({})),
            Refused(ScimType::InvalidPath),
        ),
        (
            op("add", "noSuch", json!("x")),
            Refused(ScimType::InvalidPath),
        ),
    ]);
}

#[test]
fn remove_one_value() {
    let manager = format!("{ENTERPRISE}:manager");
    let displayed = format!("{manager}.displayName");
    let managed = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager";
    all_hold(&[
        (remove("title"), Sets("/title", Value::Null)),
        (remove("nickName"), Same),
        (remove("name"), Sets("/name", Value::Null)),
        (
            remove("name.givenName"),
            Sets("/name/givenName", Value::Null),
        ),
        (remove("name.middleName"), Same),
        (remove(&manager), Sets(managed, Value::Null)),
        (
            remove(&format!("{manager}.value")),
            Sets(managed, Value::Null),
        ),
        (
            remove(ENTERPRISE),
            Sets(
                "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
                Value::Null,
            ),
        ),
        (json!({"op": "remove"}), Refused(ScimType::NoTarget)),
        (remove("userName"), Refused(ScimType::Mutability)),
        (remove("id"), Refused(ScimType::Mutability)),
        (remove("meta"), Refused(ScimType::Mutability)),
        (remove("groups"), Refused(ScimType::Mutability)),
        (remove(&displayed), Refused(ScimType::Mutability)),
        (remove("noSuch"), Refused(ScimType::InvalidPath)),
    ]);
}

#[test]
fn remove_many_values() {
    let dropped = json!([home()]);
    all_hold(&[
        (remove("emails"), Sets("/emails", Value::Null)),
        (
            remove("emails[type eq \"work\"]"),
            Sets("/emails", json!([home()])),
        ),
        (
            remove("emails[type eq \"work\" or type eq \"home\"]"),
            Sets("/emails", Value::Null),
        ),
        (
            remove("emails[not (type eq \"work\")]"),
            Sets("/emails", json!([work()])),
        ),
        (
            remove("photos[type eq \"photo\"]"),
            Sets("/photos", Value::Null),
        ),
        (
            remove("emails[type eq \"work\"].value"),
            Sets("/emails", dropped),
        ),
        (remove("emails[type eq \"home\"].display"), Same),
        (
            remove("emails[type eq \"work\""),
            Refused(ScimType::InvalidFilter),
        ),
        (
            remove("emails[noSuch eq \"work\"]"),
            Refused(ScimType::InvalidPath),
        ),
        (remove("phoneNumbers"), Same),
    ]);
    let unmatched = remove("emails[type eq \"other\"]");
    holds(&unmatched, &Same, &Limits::default());
    holds(&unmatched, &Refused(ScimType::NoTarget), &strict());
    let valued = op("remove", "emails", json!([home()]));
    holds(
        &valued,
        &Sets("/emails", json!([work()])),
        &Limits::default(),
    );
    holds(&valued, &Refused(ScimType::InvalidValue), &strict());
}

#[test]
fn replace_one_value() {
    let manager = format!("{ENTERPRISE}:manager");
    let now = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager";
    all_hold(&[
        (
            op("replace", "title", json!("X")),
            Sets("/title", json!("X")),
        ),
        (op("replace", "title", json!("T")), Same),
        (
            op("replace", "title", json!(null)),
            Sets("/title", Value::Null),
        ),
        (
            op("replace", "nickName", json!("N")),
            Sets("/nickName", json!("N")),
        ),
        (
            op("replace", "name", json!({"givenName": "X"})),
            Sets("/name/givenName", json!("X")),
        ),
        (
            op("replace", "name.givenName", json!("X")),
            Sets("/name/givenName", json!("X")),
        ),
        (
            op("replace", "name.middleName", json!("M")),
            Sets("/name/middleName", json!("M")),
        ),
        (
            op("replace", &manager, json!({"value": "n"})),
            Sets(now, json!({"value": "n"})),
        ),
        (
            json!({"op": "replace", "path": "title"}),
            Refused(ScimType::InvalidValue),
        ),
        (
            op("replace", "userName", json!(null)),
            Refused(ScimType::InvalidValue),
        ),
        (
            op("replace", "userName", json!(" ")),
            Refused(ScimType::InvalidValue),
        ),
        (
            op("replace", "active", json!("maybe")),
            Refused(ScimType::InvalidValue),
        ),
        (
            op("replace", "id", json!("other")),
            Refused(ScimType::Mutability),
        ),
        (
            op("replace", "meta.created", json!("2026-01-01T00:00:00Z")),
            Refused(ScimType::Mutability),
        ),
        (
            op("replace", "name.noSuch", json!("x")),
            Refused(ScimType::InvalidPath),
        ),
    ]);
}

#[test]
fn replace_many_values() {
    let other = json!({"value": "o@example.com", "type": "other"});
    let renamed = json!({"value": "n@example.com", "type": "work", "primary": true});
    let both = json!([
        {"value": "w@example.com", "type": "work", "primary": true, "display": "D"},
        {"value": "h@example.com", "type": "home", "display": "D"},
    ]);
    let raised = json!({"value": "h@example.com", "type": "home", "primary": true});
    all_hold(&[
        (
            op("replace", "emails", json!([other])),
            Sets("/emails", json!([other])),
        ),
        (op("replace", "emails", json!([work(), home()])), Same),
        (
            op("replace", "emails", json!([])),
            Sets("/emails", Value::Null),
        ),
        (
            op("replace", "emails", json!(null)),
            Sets("/emails", Value::Null),
        ),
        (
            op(
                "replace",
                "emails[type eq \"work\"].value",
                json!("n@example.com"),
            ),
            Sets("/emails", json!([renamed, home()])),
        ),
        (
            op("replace", "emails[type eq \"home\"]", other.clone()),
            Sets("/emails", json!([work(), other])),
        ),
        (
            op("replace", "emails[value co \"@\"].display", json!("D")),
            Sets("/emails", both.clone()),
        ),
        (
            op("replace", "emails.display", json!("D")),
            Sets("/emails", both),
        ),
        (
            op("replace", "emails[type eq \"home\"].primary", json!(true)),
            Sets("/emails", json!([former_primary(), raised])),
        ),
        (
            op("replace", "emails[value pr].primary", json!(true)),
            Refused(ScimType::InvalidValue),
        ),
        (
            op(
                "replace",
                "emails[value co \"nothing\"].display",
                json!("D"),
            ),
            Refused(ScimType::NoTarget),
        ),
        (
            op("replace", "emails[type eq \"work\"].noSuch", json!("x")),
            Refused(ScimType::InvalidPath),
        ),
        (
            op("replace", "emails[type eq \"work\"].primary", json!("no")),
            Refused(ScimType::InvalidValue),
        ),
    ]);
    let unmatched = op(
        "replace",
        "photos[type eq \"thumbnail\"].value",
        json!("https://example.com/t"),
    );
    let made =
        json!([before()["photos"][0], {"type": "thumbnail", "value": "https://example.com/t"}]);
    holds(&unmatched, &Sets("/photos", made), &Limits::default());
    holds(&unmatched, &Refused(ScimType::NoTarget), &strict());
}

#[test]
fn all_operations_are_done_or_none() {
    for last in [
        json!({"op": "replace", "path": "id", "value": "x"}),
        json!({"op": "remove", "path": "userName"}),
        json!({"op": "add", "path": "noSuch", "value": "x"}),
        json!({"op": "add", "path": "title"}),
    ] {
        for limits in [Limits::default(), strict()] {
            let before = json!({"schemas": [USER], "userName": "u", "title": "T"});
            let mut user = Held::read(ResourceType::User, &before).unwrap();
            let first = json!({"op": "replace", "path": "title", "value": "X"});
            let body = json!({"schemas": [PATCH_OP], "Operations": [first, last]});
            user.patch_as(ResourceType::User, &body.to_string(), &limits)
                .unwrap_err();
            assert_eq!(user.attributes.text("title"), Some("T"), "{last}");
        }
    }
}
