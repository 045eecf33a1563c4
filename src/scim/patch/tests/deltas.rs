//! Members in a PATCH: changed by deltas, whatever the dialect.

use super::*;

#[test]
fn members_are_changed_by_deltas_in_every_dialect() {
    let add = |ids: &[&str]| vec![MemberChange::Add(texts(ids))];
    let remove = |ids: &[&str]| vec![MemberChange::Remove(texts(ids))];
    for value in [
        json!([{"$ref": null, "value": "a"}]),
        json!({"value": "a"}),
        json!("a"),
        json!(["a"]),
        json!("[{\"value\":\"a\"}]"),
    ] {
        assert_eq!(
            members(json!([{"op": "Add", "path": "members", "value": value}])).unwrap(),
            add(&["a"])
        );
        assert_eq!(
            members(json!([{"OP": "REMOVE", "Path": "Members", "VALUE": value}])).unwrap(),
            remove(&["a"])
        );
        assert_eq!(
            members(json!([{"op": "add", "value": {"members": value}}])).unwrap(),
            add(&["a"])
        );
    }
    assert_eq!(
        members(json!([{"op": "remove", "path": "members[value eq \"a\"]"}])).unwrap(),
        remove(&["a"])
    );
    assert_eq!(
        members(json!([{"op": "remove", "path": "members[VALUE EQ \"a\" or value eq \"b\"]"}]))
            .unwrap(),
        remove(&["a", "b"])
    );
    assert_eq!(
        members(json!([{"op": "remove", "path": "members"}])).unwrap(),
        [MemberChange::RemoveAll]
    );
    assert_eq!(
        members(json!([{"op": "remove", "path": "members", "value": []}])).unwrap(),
        []
    );
    for value in [json!(null), json!([]), json!("")] {
        assert_eq!(
            members(json!([{"op": "add", "path": "members", "value": value}])).unwrap(),
            []
        );
    }
    assert_eq!(
        members(json!([{"op": "replace", "path": "members", "value": []}])).unwrap(),
        [MemberChange::Replace(Vec::new())]
    );
    for value in [
        json!(null),
        json!(""),
        json!({}),
        json!("{}"),
        json!({"value": null}),
    ] {
        let replaced = members(json!([{"op": "replace", "path": "members", "value": value}]));
        let scim_type = replaced.unwrap_err().scim_type;
        assert_eq!(scim_type, Some(ScimType::InvalidValue), "{value}");
    }
    let several = json!([
        {"op": "remove", "path": "members[value eq \"a\"]"}, {"op": "remove", "path": "members", "value": [{"value": "b"}]},
        {"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:members", "value": [{"value": "c"}]},
    ]);
    assert_eq!(
        members(several).unwrap(),
        [
            MemberChange::Remove(texts(&["a", "b"])),
            MemberChange::Add(texts(&["c"]))
        ]
    );
    let filtered =
        members(json!([{"op": "remove", "path": "members[type eq \"User\" and value sw \"a\"]"}]))
            .unwrap();
    let [MemberChange::RemoveWhere(filter)] = filtered.as_slice() else {
        panic!("{filtered:?}")
    };
    assert!(filter.matches_member("abc") && !filter.matches_member("bc"));
}

#[test]
fn member_changes_that_cannot_be_meant_are_refused() {
    let refused = |operations: Value| members(operations).unwrap_err().scim_type.unwrap();
    let six: Vec<Value> = (0..6).map(|i| json!({"value": i.to_string()})).collect();
    assert_eq!(
        refused(json!([{"op": "add", "path": "members", "value": six}])),
        ScimType::TooMany
    );
    let three = json!({"op": "add", "path": "members", "value": six[..3]});
    assert_eq!(refused(json!([three, three])), ScimType::TooMany);
    assert_eq!(
        refused(json!([{"op": "add"}, {}, {}, {}, {}])),
        ScimType::TooMany
    );
    assert_eq!(
        refused(json!([{"op": "add", "path": "members"}])),
        ScimType::InvalidValue
    );
    assert_eq!(
        refused(
            json!([{"op": "add", "path": "members", "value": [{"value": "g", "type": "Group"}]}])
        ),
        ScimType::InvalidValue
    );
    assert_eq!(
        refused(
            json!([{"op": "replace", "path": "members[value eq \"a\"].display", "value": "x"}])
        ),
        ScimType::Mutability
    );
    assert_eq!(
        refused(
            json!([{"op": "replace", "path": "members[value eq \"a\"]", "value": {"value": "b"}}])
        ),
        ScimType::Mutability
    );
    assert_eq!(
        refused(json!([{"op": "remove", "path": "members[display eq \"x\"]"}])),
        ScimType::InvalidFilter
    );
    assert_eq!(
        refused(json!([{"op": "remove", "path": "members[nothing eq \"x\"]"}])),
        ScimType::InvalidPath
    );
}
