//! What could be meant in two ways: nothing is emptied and nothing decided by
//! the order of keys.

use super::*;

#[test]
fn null_among_other_attributes_leaves_the_members_alone() {
    for value in [json!(null), json!(""), json!({})] {
        for verb in ["add", "replace"] {
            let body = json!([{"op": verb, "value": {"displayName": "D", "members": value}}]);
            assert_eq!(members(body).unwrap(), []);
        }
    }
    let emptied = json!([{"op": "replace", "value": {"members": []}}]);
    assert_eq!(
        members(emptied).unwrap(),
        [MemberChange::Replace(Vec::new())]
    );
}

#[test]
fn a_list_that_names_nobody_is_refused() {
    for value in [json!([null]), json!([{}]), json!([{"value": null}, null])] {
        for verb in ["add", "replace", "remove"] {
            let body = json!([{"op": verb, "path": "members", "value": value}]);
            let problem = members(body).unwrap_err();
            assert_eq!(problem.scim_type, Some(ScimType::InvalidValue), "{value}");
        }
    }
    let some = json!([{"op": "replace", "path": "members", "value": [null, {"value": "a"}]}]);
    assert_eq!(
        members(some).unwrap(),
        [MemberChange::Replace(texts(&["a"]))]
    );
}

#[test]
fn one_attribute_under_two_spellings_must_say_the_same() {
    let core = "urn:ietf:params:scim:schemas:core:2.0:User:title";
    for value in [
        json!({"active": false, "Active": true}),
        json!({"title": "a", core: "b"}),
        json!({"name.givenName": "a", "name": {"givenName": "b"}}),
        json!({"department": "a", ENTERPRISE: {"department": "b"}}),
    ] {
        assert_eq!(
            refused(json!([{"op": "replace", "value": value}])),
            Some(ScimType::InvalidValue),
            "{value}"
        );
    }
    let name = json!({"givenName": "a", "GIVENNAME": "b"});
    assert_eq!(
        refused(json!([{"op": "add", "path": "name", "value": name}])),
        Some(ScimType::InvalidValue)
    );
    let lists = json!([{"op": "replace", "value": {"members": [{"value": "a"}], "MEMBERS": []}}]);
    assert!(members(lists).is_err());
    let same = json!([{"op": "replace", "value": {"title": "a", core: "a"}}]);
    let after = json!({"userName": "u", "title": "a"});
    assert_eq!(patched(json!({"userName": "u"}), same).unwrap(), after);
}

#[test]
fn two_operations_may_say_different_things() {
    let two = json!([
        {"op": "replace", "value": {"title": "a"}}, {"op": "replace", "value": {"title": "b"}},
    ]);
    let after = json!({"userName": "u", "title": "b"});
    assert_eq!(patched(json!({"userName": "u"}), two).unwrap(), after);
}

#[test]
fn a_remove_of_members_whose_value_is_null_removes_nobody() {
    let null = json!([{"op": "remove", "path": "members", "value": null}]);
    let problem = members(null).unwrap_err();
    assert_eq!(problem.scim_type, Some(ScimType::InvalidValue));
    assert!(problem.detail.contains("leave value out"), "{problem}");
    let selected = json!([{"op": "remove", "path": "members[value eq \"a\"]", "value": null}]);
    assert_eq!(
        members(selected).unwrap(),
        [MemberChange::Remove(texts(&["a"]))]
    );
}
