#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::scim::{
    message::PATCH_OP,
    resource::{group_from_json, user_from_json},
    schema::{Adjustment, ENTERPRISE, USER},
};

mod ambiguous;
mod deltas;
mod exchanges;
mod rows;
mod strict;
mod vectors;

fn schemas() -> &'static Schemas {
    static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas::new(&[], &[]));
    &SCHEMAS
}

fn strict() -> Limits {
    Limits {
        strict: true,
        ..Limits::default()
    }
}

fn id() -> ResourceId {
    ResourceId::new(Uuid::from_u128(7))
}

/// A resource as a test holds it: attributes, and members in order.
#[derive(Debug, Clone, Default, PartialEq)]
struct Held {
    attributes: Attributes,
    members: Vec<String>,
}

impl Held {
    fn read(of: ResourceType, body: &Value) -> Result<Self, Problem> {
        Self::read_as(of, body, &Limits::default())
    }

    fn read_as(of: ResourceType, body: &Value, limits: &Limits) -> Result<Self, Problem> {
        let body = body.to_string();
        Ok(match of {
            ResourceType::User => Self {
                attributes: user_from_json(body.as_bytes(), schemas(), limits)?.taken,
                members: Vec::new(),
            },
            ResourceType::Group => {
                let group = group_from_json(body.as_bytes(), schemas(), limits)?.taken;
                Self {
                    attributes: group.attributes,
                    members: group.members.unwrap_or_default(),
                }
            }
        })
    }

    /// Whether anything changed.
    fn patch(&mut self, of: ResourceType, body: &str) -> Result<bool, Problem> {
        self.patch_as(of, body, &Limits::default())
    }

    fn patch_as(&mut self, of: ResourceType, body: &str, limits: &Limits) -> Result<bool, Problem> {
        let patch = parse(body.as_bytes(), of, schemas(), limits)?.taken;
        let mut attributes = self.attributes.clone();
        let changed = patch.apply(&mut attributes, &id(), of, schemas())?;
        let before = self.members.clone();
        for change in patch.members {
            let (change, before) = match change {
                MemberChange::Hitting(inner) => (*inner, Some(self.members.len())),
                other => (other, None),
            };
            match change {
                MemberChange::Add(ids) => {
                    for id in ids {
                        if !self.members.contains(&id) {
                            self.members.push(id);
                        }
                    }
                }
                MemberChange::Remove(ids) => self.members.retain(|id| !ids.contains(id)),
                MemberChange::RemoveAll => self.members.clear(),
                MemberChange::Replace(ids) => self.members = ids,
                MemberChange::RemoveWhere(filter) => {
                    self.members.retain(|id| !filter.matches_member(id));
                }
                MemberChange::Hitting(_) => panic!("one in another"),
            }
            if before == Some(self.members.len()) {
                return Err(Problem::bad(ScimType::NoTarget, "nobody was removed"));
            }
        }
        self.attributes = attributes;
        Ok(changed || before != self.members)
    }
}

fn patched(before: Value, operations: Value) -> Result<Value, Problem> {
    let mut held = Held::read(ResourceType::User, &before).unwrap();
    held.patch(
        ResourceType::User,
        &json!({"Operations": operations}).to_string(),
    )?;
    Ok(held.attributes.0.into())
}

fn refused(operations: Value) -> Option<ScimType> {
    let before = json!({"userName": "a", "title": "T", "emails": [{"value": "x", "type": "work"}]});
    let problem = patched(before, operations).unwrap_err();
    assert_eq!(problem.status, 400);
    problem.scim_type
}

fn members(operations: Value) -> Result<Vec<MemberChange>, Problem> {
    let body = json!({"Operations": operations}).to_string();
    let limits = Limits {
        members: 5,
        operations: 4,
        ..Limits::default()
    };
    let patch = parse(body.as_bytes(), ResourceType::Group, schemas(), &limits)?;
    Ok(patch.taken.members)
}

fn texts(ids: &[&str]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[test]
fn a_path_less_object_is_a_set_of_paths() {
    let value = json!({
        "displayName": "D", "name.givenName": "G", "emails[type eq \"work\"].value": "y",
        "urn:ietf:params:scim:schemas:core:2.0:User:title": "T2", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter": "C",
        ENTERPRISE: {"DEPARTMENT": "E", "noSuch": 1}, "division": "V", "noSuch": {"x": 1}, "no such": 2, "password": "p",
        "schemas": ["x"], "meta": {"created": "x"}, "groups": [{"value": "g"}], "id": id().to_string(), "nickName": null,
    });
    let before =
        json!({"userName": "a", "nickName": "N", "emails": [{"value": "x", "type": "work"}]});
    let after = json!({
        "userName": "a", "emails": [{"value": "y", "type": "work"}], "displayName": "D", "name": {"givenName": "G"}, "title": "T2",
        ENTERPRISE: {"costCenter": "C", "department": "E", "division": "V"},
    });
    for verb in ["Add", "replace"] {
        for value in [value.clone(), value.to_string().into()] {
            assert_eq!(
                patched(before.clone(), json!([{"op": verb, "value": value}])).unwrap(),
                after
            );
        }
    }
}

#[test]
fn an_id_can_be_repeated_but_not_changed() {
    let same = id().to_string();
    let body = |operation: Value| json!({"Operations": [operation]}).to_string();
    let mut held = Held::read(ResourceType::Group, &json!({"displayName": "G"})).unwrap();
    for operation in [
        json!({"op": "replace", "value": {"id": same, "displayName": "G"}}),
        json!({"op": "replace", "path": "id", "value": same}),
    ] {
        assert_eq!(held.patch(ResourceType::Group, &body(operation)), Ok(false));
    }
    for operation in [
        json!({"op": "replace", "value": {"id": "other"}}),
        json!({"op": "remove", "path": "ID"}),
        json!({"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:id", "value": "x"}),
    ] {
        let problem = held
            .patch(ResourceType::Group, &body(operation))
            .unwrap_err();
        assert_eq!(problem.scim_type, Some(ScimType::Mutability));
    }
}

#[test]
fn what_is_not_the_clients_to_write_is_refused_by_path() {
    for path in [
        "groups",
        "meta",
        "meta.location",
        "GROUPS[value eq \"x\"]",
        "groups.value",
        "manager.displayName",
    ] {
        let operations = json!([{"op": "replace", "path": path, "value": "x"}]);
        assert_eq!(refused(operations), Some(ScimType::Mutability), "{path}");
    }
    assert_eq!(
        refused(json!([{"op": "remove", "path": "userName"}])),
        Some(ScimType::Mutability)
    );
    assert_eq!(refused(json!([{"op": "remove"}])), Some(ScimType::NoTarget));
    assert_eq!(
        refused(json!([{"op": "move", "path": "title"}])),
        Some(ScimType::InvalidSyntax)
    );
    assert_eq!(
        refused(json!([{"op": "replace", "path": "noSuch", "value": "x"}])),
        Some(ScimType::InvalidPath)
    );
    assert_eq!(
        refused(json!([{"op": "remove", "path": "noSuch"}])),
        Some(ScimType::InvalidPath)
    );
    assert_eq!(
        refused(json!([{"op": "replace", "path": "emails[value co \"q\"].type", "value": "x"}])),
        Some(ScimType::NoTarget)
    );
    assert_eq!(
        patched(
            json!({"userName": "a"}),
            json!([{"op": "replace", "path": "noSuch", "value": null}])
        )
        .unwrap(),
        json!({"userName": "a"})
    );
}

#[test]
fn a_filter_without_match_describes_the_value_to_make() {
    let made = |operation: Value| {
        patched(json!({"userName": "a"}), json!([operation])).map(|user| user["emails"].clone())
    };
    let expected = json!([{"type": "work", "value": "x"}]);
    assert_eq!(
        made(json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "x"}))
            .unwrap(),
        expected
    );
    assert_eq!(
        made(json!({"op": "add", "path": "emails[type eq \"work\"]", "value": {"value": "x"}}))
            .unwrap(),
        expected
    );
    assert_eq!(
        made(json!({"op": "add", "path": "emails[type eq \"work\"]", "value": "x"})).unwrap(),
        expected
    );
    let both = made(
        json!({"op": "add", "path": "emails[type eq \"work\" and primary eq \"True\"].value", "value": "x"}),
    );
    assert_eq!(
        both.unwrap(),
        json!([{"type": "work", "primary": true, "value": "x"}])
    );
    for nothing in [
        json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": ""}),
        json!({"op": "remove", "path": "emails[type eq \"work\"]"}),
        json!({"op": "replace", "path": "emails[primary eq true].type", "value": "work"}),
    ] {
        assert_eq!(made(nothing).unwrap(), Value::Null);
    }
}

#[test]
fn clearing_a_part_clears_only_it_and_drops_what_is_hollow() {
    let before = json!({"userName": "a", "addresses": [{"type": "work", "country": "DK", "locality": "L", "primary": true}],
        "phoneNumbers": [{"type": "mobile", "value": "1"}, {"type": "fax", "value": "2"}]});
    let first =
        json!({"op": "replace", "path": "addresses[type eq \"work\"].country", "value": ""});
    let after = patched(before.clone(), json!([first, {"op": "replace", "path": "phoneNumbers[type eq \"mobile\"].value", "value": null}])).unwrap();
    assert_eq!(
        after,
        json!({"userName": "a", "addresses": [{"type": "work", "locality": "L", "primary": true}], "phoneNumbers": [{"type": "fax", "value": "2"}]})
    );
    let second = json!({"op": "remove", "path": "addresses[type eq \"work\"].locality"});
    let after = patched(
        before,
        json!([first, second, {"op": "remove", "path": "phoneNumbers"}]),
    )
    .unwrap();
    assert_eq!(after, json!({"userName": "a"}));
}

#[test]
fn a_manager_is_set_and_cleared_in_every_shape() {
    let before = json!({"userName": "a", "manager": {"value": "old", "$ref": "../old"}});
    let run =
        |operation: Value| patched(before.clone(), json!([operation])).unwrap()[ENTERPRISE].clone();
    let set = json!({"manager": {"value": "m"}});
    let long = format!("{ENTERPRISE}:manager");
    for path in ["manager", long.as_str()] {
        for verb in ["Add", "replace"] {
            for value in [
                json!("m"),
                json!({"value": "m"}),
                json!([{"value": "m"}]),
                json!({"displayName": "M", "value": "m"}),
            ] {
                assert_eq!(run(json!({"op": verb, "path": path, "value": value})), set);
                assert_eq!(run(json!({"op": verb, "value": {path: value}})), set);
            }
            for value in [json!(""), json!(null), json!([]), json!({})] {
                assert_eq!(
                    run(json!({"op": verb, "path": path, "value": value})),
                    Value::Null
                );
            }
        }
        assert_eq!(run(json!({"op": "remove", "path": path})), Value::Null);
        assert_eq!(
            run(json!({"op": "remove", "path": path, "value": "old"})),
            Value::Null
        );
    }
    let with_reference =
        run(json!({"op": "replace", "path": "manager", "value": {"$ref": "../m", "value": "m"}}));
    assert_eq!(
        with_reference,
        json!({"manager": {"value": "m", "$ref": "../m"}})
    );
}

#[test]
fn roles_in_the_shapes_of_entra() {
    let text = r#"{"id":"1","value":"viewer","displayName":"Viewer"}"#;
    let before = json!({"userName": "a", "roles": [{"value": "editor", "primary": true}]});
    let after = patched(
        before.clone(),
        json!([
            {"op": "Replace", "path": "roles[primary eq \"True\"].value", "value": "admin"},
            {"op": "Add", "path": "roles", "value": [{"value": text}, text]},
        ]),
    );
    assert_eq!(
        after.unwrap()["roles"],
        json!([{"value": "admin", "primary": true}, {"value": "viewer", "display": "Viewer"}])
    );
    let after = patched(
        before,
        json!([{"op": "add", "path": "roles", "value": [{"value": "x", "primary": "True"}]}]),
    );
    assert_eq!(
        after.unwrap()["roles"],
        json!([{"value": "editor", "primary": false}, {"value": "x", "primary": true}])
    );
}

#[test]
fn a_remove_with_a_value_takes_only_what_is_like_it() {
    let before = json!({"userName": "a", "roles": [{"value": "x", "type": "app"}, {"value": "y"}], "title": "T"});
    let left = |value: Value| {
        patched(
            before.clone(),
            json!([{"op": "remove", "path": "roles", "value": value}]),
        )
        .unwrap()["roles"]
            .clone()
    };
    assert_eq!(left(json!([{"value": "X"}])), json!([{"value": "y"}]));
    assert_eq!(left(json!("y")), json!([{"value": "x", "type": "app"}]));
    assert_eq!(
        left(json!({"value": "x", "type": "other"})),
        before["roles"]
    );
    assert_eq!(left(json!([])), before["roles"]);
    assert_eq!(left(json!(null)), Value::Null);
}

#[test]
fn more_than_one_primary_is_refused() {
    let two = json!([{"value": "1", "primary": true}, {"value": "2", "primary": "true"}]);
    for verb in ["add", "replace"] {
        let operations = json!([{"op": verb, "path": "emails", "value": two}]);
        assert_eq!(refused(operations), Some(ScimType::InvalidValue));
    }
    let many: Vec<Value> = (0..1_001)
        .map(|i| json!({"value": i.to_string()}))
        .collect();
    assert_eq!(
        refused(json!([{"op": "add", "path": "emails", "value": many}])),
        Some(ScimType::TooMany)
    );
    assert_eq!(
        refused(json!([{"op": "add", "path": "emails", "value": many[..1_000]}])),
        Some(ScimType::TooMany)
    );
}

#[test]
fn what_the_application_fixes_is_refused_with_its_reason() {
    let adjustment = |attribute: &str, mutability| Adjustment {
        schema: USER.into(),
        attribute: attribute.into(),
        mutability: Some(mutability),
        canonical_values: Vec::new(),
        note: "The application fixes it.".into(),
    };
    let schemas = Schemas::new(
        &[],
        &[
            adjustment("entitlements", "readOnly"),
            adjustment("title", "immutable"),
        ],
    );
    let run = |operation: Value| {
        let mut user = Attributes(
            json!({"userName": "a", "entitlements": [{"value": "e"}]})
                .as_object()
                .unwrap()
                .clone(),
        );
        let body = json!({"Operations": [{"op": "add", "path": "title", "value": "T"}, operation]})
            .to_string();
        let patch = parse(
            body.as_bytes(),
            ResourceType::User,
            &schemas,
            &Limits::default(),
        )?
        .taken;
        patch.apply(&mut user, &id(), ResourceType::User, &schemas)
    };
    assert_eq!(
        run(json!({"op": "replace", "value": {"entitlements": [{"value": "e"}], "title": "T"}})),
        Ok(true)
    );
    for operation in [
        json!({"op": "add", "value": {"entitlements": [{"value": "f"}]}}),
        json!({"op": "remove", "path": "entitlements"}),
        json!({"op": "remove", "path": "entitlements[value eq \"e\"]"}),
        json!({"op": "replace", "path": "title", "value": "U"}),
    ] {
        let problem = run(operation).unwrap_err();
        assert_eq!(problem.scim_type, Some(ScimType::Mutability));
        assert!(problem.detail.contains("The application fixes it."));
    }
}

#[test]
fn a_patch_that_changes_nothing_says_so() {
    let mut held = Held::read(ResourceType::User, &json!({"userName": "a", "title": "T", "emails": [{"value": "x", "type": "work", "primary": true}]})).unwrap();
    for operation in [
        json!({"op": "replace", "path": "title", "value": "T"}),
        json!({"op": "add", "path": "emails", "value": [{"type": "work", "value": "x"}]}),
        json!({"op": "replace", "path": "emails[type eq \"work\"].primary", "value": "true"}),
        json!({"op": "remove", "path": "nickName"}),
        json!({"op": "replace", "value": {"password": "x"}}),
        json!({"op": "remove", "path": "emails[type eq \"home\"]"}),
    ] {
        let body = json!({"Operations": [operation]}).to_string();
        assert_eq!(held.patch(ResourceType::User, &body), Ok(false), "{body}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn arbitrary_operations_never_panic(
        op in "(add|remove|replace)",
        path in proptest::sample::select(vec!["title", "name", "name.givenName", "emails", "emails.value", "emails[type eq \"work\"]", "emails[type eq \"work\"].value",
            "emails[value co \"a\"].primary", "manager", "roles", "active", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "id", "members", "x"]),
        value in proptest::sample::select(vec![json!(null), json!(""), json!("a"), json!(1), json!(true), json!([]), json!({}), json!([[]]), json!([1]), json!(["a"]),
            json!({"value": "a"}), json!([{"value": "a", "primary": true}]), json!("{\"value\":\"a\"}"), json!("[{}]"), json!({"value": {"value": 1}})]),
        group in any::<bool>(),
    ) {
        let of = if group { ResourceType::Group } else { ResourceType::User };
        let before = json!({"userName": "a", "displayName": "a", "emails": [{"value": "a", "type": "work"}, {"value": "b", "primary": true}]});
        let mut held = Held::read(of, &before).unwrap();
        let _ = held.patch(of, &json!({"Operations": [{"op": op, "path": path, "value": value}]}).to_string());
        let _ = held.patch(of, &json!({"Operations": [{"op": op, "value": {path: value}}]}).to_string());
    }
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = parse(&body, ResourceType::User, schemas(), &Limits::default());
    }
}

#[test]
fn what_a_patch_may_compare_is_bounded() {
    let values: Vec<Value> = (0..1_000)
        .map(|i| json!({"value": format!("v{i}")}))
        .collect();
    let apply = |operations: Vec<Value>| {
        let body = json!({"Operations": operations}).to_string();
        let schemas = Schemas::new(&[], &[]);
        let patch = parse(
            body.as_bytes(),
            ResourceType::User,
            &schemas,
            &Limits::default(),
        );
        let mut user = Attributes::default();
        user.0.insert("userName".into(), "a".into());
        user.0.insert("ims".into(), values.clone().into());
        let id = ResourceId::from_bytes([1; 16]);
        let patch = patch.unwrap().taken;
        patch.apply(&mut user, &id, ResourceType::User, &schemas)
    };
    let add = json!({"op": "add", "path": "ims", "value": values});
    let filtered = json!({"op": "remove", "path": "ims[value co \"x\" or value co \"y\"]"});
    assert!(apply(vec![add.clone()]).is_ok());
    assert!(apply(vec![filtered.clone(); 60]).is_ok());
    for operations in [vec![add; 15], vec![filtered; 63]] {
        let problem = apply(operations).unwrap_err();
        assert_eq!(problem.scim_type, Some(ScimType::TooMany), "{problem}");
    }
}
