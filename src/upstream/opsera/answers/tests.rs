//! Every shape an answer may have.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{plan::state::UserKey, scim::resource::ResourceId};

const ID: &str = "507f1f77bcf86cd799439011";

fn wire() -> Wire {
    Wire::new(&HashMap::default(), &BTreeMap::default()).unwrap()
}

fn wire_with(key: Key, value: &str) -> Wire {
    Wire::new(&HashMap::default(), &[(key, value.to_owned())].into()).unwrap()
}

fn principal(n: i64, account: &str, id: Option<&str>) -> Principal {
    Principal {
        user: UserKey(n),
        id: ResourceId::new(Uuid::nil()),
        account: account.into(),
        upstream_id: id.map(str::to_owned),
        counts: None,
        given_up: Vec::new(),
        elsewhere: Vec::new(),
        keeps: Vec::new(),
        families: Vec::new(),
        twins: Vec::new(),
        has: false,
        holding: None,
        fallback: None,
    }
}

#[test]
fn lists_come_bare_or_wrapped() {
    let rows = json!([{ "name": "a" }, { "name": "b", "memberCount": 2 }]);
    for answer in [
        rows.clone(),
        json!({ "groups": rows }),
        json!({ "data": rows, "count": 2 }),
        json!({ "message": "ok", "anything": rows }),
        json!({ "data": { "groups": rows, "other": [] } }),
        json!({ "result": { "items": rows } }),
    ] {
        let found = groups(&answer, &wire()).unwrap();
        assert_eq!(found.len(), 2, "{answer}");
        assert_eq!(found[1].member_count, Some(2));
    }
}

#[test]
fn a_list_that_cannot_be_trusted_is_unclear() {
    for answer in [
        json!(null),
        json!("text"),
        json!({}),
        json!({ "a": [], "b": [] }),
        json!([{ "name": 5 }]),
        json!([{}]),
        json!(["crew"]),
        json!([{ "name": "a" }, { "name": "a" }]),
        json!({ "count": 3, "data": [{ "name": "a" }] }),
        json!([{ "name": "a", "isSync": [] }]),
    ] {
        assert!(groups(&answer, &wire()).is_err(), "{answer}");
    }
    for answer in [
        json!([{ "email": "a@b" }, { "email": "A@B" }]),
        json!([{ "email": "a@b", "_id": ID }, { "email": "c@d", "_id": ID }]),
        json!([{ "email": "a@b", "active": "yes" }]),
        json!([{ "email": "a@b", "tools": "x" }]),
        json!([{ "email": "a@b", "tools": [5] }]),
        json!([{ "_id": ID }]),
    ] {
        assert!(users(&answer, &wire()).is_err(), "{answer}");
    }
}

#[test]
fn only_groups_of_type_user_that_nobody_else_keeps_are_written() {
    let read_only = |row: Value| groups(&json!([row]), &wire()).unwrap().remove(0).read_only;
    assert_eq!(read_only(json!({ "name": "a" })), None);
    assert_eq!(
        read_only(json!({ "name": "a", "groupType": "User", "isSync": false })),
        None
    );
    assert!(
        read_only(json!({ "name": "a", "groupType": "role" }))
            .unwrap()
            .contains("role")
    );
    assert!(
        read_only(json!({ "name": "a", "isSync": "true" }))
            .unwrap()
            .contains("sync")
    );
}

#[test]
fn members_are_users_ids_and_emails_side_by_side() {
    let answer = json!({ "members": [
        { "_id": ID, "email": "Ann@Example.com", "firstName": "Ann" },
        "Ben@example.com",
        "507f1f77bcf86cd799439012",
        { "email": "cat@example.com" },
    ]});
    let found = members(&answer, &wire()).unwrap();
    assert_eq!(found[0].upstream_id.as_deref(), Some(ID));
    assert_eq!(found[0].account.as_deref(), Some("ann@example.com"));
    assert_eq!(found[1].account.as_deref(), Some("ben@example.com"));
    assert_eq!(
        found[2].upstream_id.as_deref(),
        Some("507f1f77bcf86cd799439012")
    );
    assert_eq!(found[3].upstream_id, None);
    assert_eq!(members(&json!([]), &wire()).unwrap(), []);
    for wrong in [
        json!(["neither"]),
        json!([5]),
        json!([{}]),
        json!([null]),
        json!(["a@b", "A@B"]),
        json!({ "memberCount": 2, "members": ["a@b"] }),
        json!({ "members": "a@b" }),
    ] {
        assert!(members(&wrong, &wire()).is_err(), "{wrong}");
    }
}

#[test]
fn one_user_may_be_wrapped_or_alone_in_a_list() {
    let row = json!({ "_id": ID, "email": "a@b", "active": false });
    for answer in [
        row.clone(),
        json!([row]),
        json!({ "data": row }),
        json!({ "user": row }),
    ] {
        let found = user(&answer, &wire()).unwrap();
        assert_eq!(found.upstream_id.as_deref(), Some(ID), "{answer}");
        assert!(!found.active);
    }
    assert!(user(&json!({ "message": "ok" }), &wire()).is_err());
}

#[test]
fn a_list_of_all_beside_words_of_a_failure_is_unclear() {
    let sent = [
        principal(1, "ann@example.com", None),
        principal(2, "bob@example.com", None),
    ];
    let of = |answer: Value, key| {
        let found = outcomes(&answer, key, &sent, &wire());
        found.into_iter().map(|it| it.1).collect::<Vec<_>>()
    };
    let both = json!(["ann@example.com", "bob@example.com"]);
    let done = [MemberOutcome::Applied, MemberOutcome::Applied];
    for fine in [
        json!({ "message": "Users added", "result": { "added": both } }),
        json!({ "status": "ok", "errors": [], "result": { "added": both, "failed": [] } }),
    ] {
        assert_eq!(of(fine.clone(), Key::Added), done, "{fine}");
    }
    for beside in [
        json!({ "success": false, "result": { "added": both } }),
        json!({ "status": "failed", "result": { "added": both } }),
        json!({ "message": "Failed to add 1 of 2 members", "result": { "added": both } }),
        json!({ "errors": [{ "id": "b" }], "result": { "added": both } }),
        json!({ "failed": ["b"], "result": { "added": both } }),
        json!({ "status": "PARTIAL_SUCCESS", "result": { "added": both } }),
        json!({ "error_message": "one was not added", "result": { "added": both } }),
        json!({ "result": { "added": both, "notAdded": ["b"] } }),
        json!({ "result": { "added": both, "failed": ["b"] } }),
        json!({ "result": { "added": [
            "ann@example.com", { "email": "bob@example.com", "status": "failed" }
        ] } }),
        json!({ "result": { "added": [
            "ann@example.com", { "email": "bob@example.com", "error": "not found" }
        ] } }),
    ] {
        let unclear = [MemberOutcome::Unknown, MemberOutcome::Unknown];
        assert_eq!(of(beside.clone(), Key::Added), unclear, "{beside}");
    }
}

#[test]
fn outcomes_are_what_is_listed_by_id_or_email_in_any_case() {
    use MemberOutcome::{Applied, LeftOut, Unknown};
    let sent = [
        principal(1, "ann@example.com", Some(ID)),
        principal(2, "ben@example.com", None),
        principal(3, "cat@example.com", None),
    ];
    let read = |answer: Value| -> Vec<MemberOutcome> {
        let found = outcomes(&answer, Key::Added, &sent, &wire());
        assert_eq!(
            found.iter().map(|(key, _)| key.0).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        found.into_iter().map(|(_, outcome)| outcome).collect()
    };
    for (answer, expected) in [
        (
            json!({ "result": { "added": [ID.to_uppercase(), "BEN@example.com"] } }),
            [Applied, Applied, LeftOut],
        ),
        (
            json!({ "result": { "added": ["ann@example.com"] } }),
            [Applied, LeftOut, LeftOut],
        ),
        (
            json!({ "result": { "added": [{ "_id": ID }, { "email": "cat@example.com" }] } }),
            [Applied, LeftOut, Applied],
        ),
        (
            json!({ "added": ["cat@example.com"] }),
            [LeftOut, LeftOut, Applied],
        ),
        (
            json!({ "result": { "added": [] } }),
            [LeftOut, LeftOut, LeftOut],
        ),
        (
            json!({ "result": { "added": "all" } }),
            [Unknown, Unknown, Unknown],
        ),
        (
            json!({ "result": { "removed": ["ann@example.com"] } }),
            [Unknown, Unknown, Unknown],
        ),
        (
            json!("Group membership update completed"),
            [Unknown, Unknown, Unknown],
        ),
        (json!(null), [Unknown, Unknown, Unknown]),
    ] {
        assert_eq!(read(answer.clone()), expected, "{answer}");
    }
    let elsewhere = wire_with(Key::Added, "data.done");
    let answer = json!({ "data": { "done": ["ben@example.com"] } });
    let found = outcomes(&answer, Key::Added, &sent, &elsewhere);
    assert_eq!(found[1].1, Applied);
}

#[test]
fn the_id_of_a_new_account_is_taken_only_when_it_looks_like_one() {
    for (answer, id) in [
        (json!({ "message": "User creation complete" }), None),
        (json!("User creation complete"), None),
        (json!({ "_id": ID }), Some(ID)),
        (json!({ "message": "ok", "user": { "_id": ID } }), Some(ID)),
        (json!({ "_id": "me" }), None),
    ] {
        let told = created_id(&answer, "ann@example.com", &wire()).unwrap();
        assert_eq!(told.as_deref(), id, "{answer}");
    }
    for (email, is_hers) in [("Ann@example.com", true), ("bob@example.com", false)] {
        let answer = json!({ "user": { "_id": ID, "email": email } });
        let told = created_id(&answer, "ann@example.com", &wire());
        assert_eq!(told.is_ok(), is_hers, "{email}");
    }
    let crew = json!({ "name": "crew" });
    assert!(is_called(&crew, "name", "Crew").is_ok());
    assert!(is_called(&crew, "name", "other").is_err());
    assert!(is_called(&json!("Group created"), "name", "other").is_ok());
}
