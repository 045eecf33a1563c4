//! What one reading says is not believed: a search or a list that misses
//! something, an id that was read a while ago, a creation of members of whom
//! the answer says nothing.

use super::*;

const FIND_GROUP: (&str, &str) = (
    "list_members =",
    "find_group = { path = \"/groups\", query = { name = \"{group.name}\" }, items = \"/rows\" }\nlist_members =",
);
pub(super) const NONE: &str = r#"{"rows":[]}"#;
pub(super) const CREW: &str = r#"{"rows":[{"id":7,"name":"Crew"}]}"#;
pub(super) const SEARCH: &str = "GET /v1/users?q=mail%20eq%20%22u1%40example.com%22";
pub(super) const ANN: &str = r#"{"rows":[{"id":5,"mail":"u1@example.com","on":true}]}"#;

fn delete() -> Operation {
    Operation::DeleteGroup {
        name: "Crew".into(),
    }
}

pub(super) fn add(members: &[Principal]) -> Operation {
    Operation::AddMembers {
        group: "Crew".into(),
        members: members.to_vec(),
    }
}

pub(super) fn remove(members: &[Principal]) -> Operation {
    Operation::RemoveMembers {
        group: "Crew".into(),
        members: members.to_vec(),
    }
}

pub(super) fn end(id: Option<&str>) -> Operation {
    Operation::DeactivateUser {
        principal: principal(1, id),
    }
}

#[tokio::test]
async fn a_group_that_a_search_misses_is_looked_for_in_the_list() {
    let (find, list) = ("GET /v1/groups?name=Crew", "GET /v1/groups");
    let ann = [principal(1, Some("11"))];
    for (operation, call) in [
        (delete(), "DELETE /v1/groups/7"),
        (remove(&ann), "DELETE /v1/groups/7/members/11"),
    ] {
        let (application, script) = scripted(
            &[FIND_GROUP],
            &[
                (find, 200, NONE),
                (list, 200, NONE),
                (find, 200, NONE),
                (list, 200, CREW),
                (call, 204, ""),
            ],
        )
        .await;
        assert_eq!(ended(application.apply(&operation).await), "missed");
        assert_eq!(ended(application.apply(&operation).await), "done");
        script.all_was_asked();
    }
}

#[tokio::test]
async fn a_group_that_was_there_is_not_gone_because_one_reading_misses_it() {
    let (application, script) = scripted(
        &[],
        &[("GET /v1/groups", 200, CREW), ("GET /v1/groups", 200, NONE)],
    )
    .await;
    application.groups().await.unwrap();
    let seen = application.group("Crew").await;
    assert!(
        matches!(seen, Err(UpstreamError::Missed { .. })),
        "{seen:?}"
    );
    script.all_was_asked();
}

#[tokio::test]
async fn members_go_into_the_group_that_has_the_name_now() {
    let (application, script) = scripted(
        &[],
        &[
            ("GET /v1/groups", 200, CREW),
            (
                "GET /v1/groups",
                200,
                r#"{"rows":[{"id":7,"name":"Admins"},{"id":8,"name":"Crew"}]}"#,
            ),
            (
                "POST /v1/groups/8/members [{\"id\":\"11\"}]",
                200,
                r#"{"added":["11"]}"#,
            ),
        ],
    )
    .await;
    application.groups().await.unwrap();
    let add = add(&[principal(1, Some("11"))]);
    assert_eq!(ended(application.apply(&add).await), "done");
    script.all_was_asked();
}

#[tokio::test]
async fn an_account_that_no_reading_shows_yet_is_neither_gone_nor_refused() {
    let nowhere = [(SEARCH, 200, NONE), ("GET /v1/users", 200, NONE)];
    let made = ("POST /v1/users {\"mail\":\"u1@example.com\"}", 201, "{}");
    let script = [
        made,
        nowhere[0],
        nowhere[0],
        nowhere[1],
        (SEARCH, 200, ANN),
        ("DELETE /v1/users/5", 204, ""),
    ];
    let (application, script) = scripted(&[], &script).await;
    let create = Operation::CreateUser {
        account: "u1@example.com".into(),
        role: None,
        fields: BTreeMap::new(),
        upstream_id: None,
    };
    assert_eq!(ended(application.apply(&create).await), "done");
    assert_eq!(ended(application.apply(&end(None)).await), "later");
    assert_eq!(ended(application.apply(&end(None)).await), "done");
    script.all_was_asked();

    let group = ("GET /v1/groups", 200, CREW);
    let member = add(&[principal(1, None)]);
    for (lag, word) in [(memory::LAG, "later"), (Duration::ZERO, "barred")] {
        let script = [group, nowhere[0], nowhere[1]];
        let (application, script) = lagging(lag, &[], &script).await;
        assert_eq!(ended(application.apply(&member).await), word);
        script.all_was_asked();
    }
}

#[tokio::test]
async fn an_account_that_was_made_anew_is_told_by_its_new_id() {
    let members = [principal(1, Some("4"))];
    let group = ("GET /v1/groups", 200, CREW);
    let (application, script) = scripted(
        &[],
        &[
            ("DELETE /v1/users/4", 404, ""),
            (SEARCH, 200, ANN),
            ("DELETE /v1/users/5", 204, ""),
            group,
            ("DELETE /v1/groups/7/members/4", 404, ""),
            group,
            (SEARCH, 200, ANN),
            ("DELETE /v1/groups/7/members/5", 204, ""),
        ],
    )
    .await;
    let ended_anew = application.apply(&end(Some("4"))).await.unwrap();
    assert_eq!(ended_anew.upstream_id.as_deref(), Some("5"));
    assert_eq!(ended(application.apply(&remove(&members)).await), "later");
    assert_eq!(ended(application.apply(&remove(&members)).await), "done");
    script.all_was_asked();
}

/// The id of one that is there no more, or one that is as it was.
#[tokio::test]
async fn whom_a_list_leaves_out_is_told_by_their_new_id_if_they_have_one() {
    let members = [principal(1, Some("4"))];
    let group = ("GET /v1/groups", 200, CREW);
    let failed = ("applied = \"/added\"", "failed = \"/failed\"");
    let same = r#"{"rows":[{"id":4,"mail":"u1@example.com","on":true}]}"#;
    for (change, none, all) in [
        (None, r#"{"added":[]}"#, r#"{"added":["5"]}"#),
        (Some(failed), r#"{"failed":[{"id":4}]}"#, r#"{"failed":[]}"#),
    ] {
        let gives = |id: &str| format!("POST /v1/groups/7/members [{{\"id\":\"{id}\"}}]");
        let (before, after) = (gives("4"), gives("5"));
        let script = [
            group,
            (&before, 200, none),
            // It is still the account's: a reading tells why it is left out.
            (SEARCH, 200, same),
            (&before, 200, none),
            (SEARCH, 200, ANN),
            (&after, 200, all),
        ];
        let changes: Vec<_> = change.into_iter().collect();
        let (application, script) = scripted(&changes, &script).await;
        let kept = application.apply(&add(&members)).await.unwrap().members;
        assert_eq!(kept, [(UserKey(1), MemberOutcome::LeftOut)]);
        assert_eq!(ended(application.apply(&add(&members)).await), "later");
        assert_eq!(ended(application.apply(&add(&members)).await), "done");
        script.all_was_asked();
    }
}

const MEMBERS: &str = "GET /v1/groups/7/members";
const GIVES: &str = "POST /v1/groups/7/members [{\"id\":\"11\"}]";

#[tokio::test]
async fn an_id_that_a_reading_shows_with_another_address_is_given_nothing() {
    let group = ("GET /v1/groups", 200, CREW);
    let bob = r#"[{"id":11,"mail":"Bob@example.com"}]"#;
    let bobs = r#"{"rows":[{"id":11,"mail":"bob@example.com","on":true}]}"#;
    let back = r#"{"rows":[{"id":11,"mail":"U1@example.com","on":true}]}"#;
    let none = [(SEARCH, 200, NONE), ("GET /v1/users", 200, bobs)];
    let added = (GIVES, 200, r#"{"added":["11"]}"#);
    let members = [principal(1, Some("11"))];
    let (application, script) = scripted(
        &[],
        &[
            group,
            (MEMBERS, 200, bob),
            // Nobody has the address, or somebody else has.
            none[0],
            none[1],
            (SEARCH, 200, ANN),
            (SEARCH, 200, back),
            added,
            added,
        ],
    )
    .await;
    application.members("Crew").await.unwrap();
    let add = add(&members);
    for end in ["barred", "barred", "done", "done"] {
        assert_eq!(ended(application.apply(&add).await), end);
    }
    script.all_was_asked();
}

#[tokio::test]
async fn an_id_that_an_answer_shows_with_another_address_is_given_nothing_more() {
    let (application, script) = scripted(
        &[],
        &[
            ("GET /v1/groups", 200, CREW),
            (
                GIVES,
                200,
                r#"{"added":[{"id":11,"mail":"bob@example.com"}]}"#,
            ),
            (SEARCH, 200, ANN),
            ("DELETE /v1/groups/7/members/11", 204, ""),
        ],
    )
    .await;
    let members = [principal(1, Some("11"))];
    assert_eq!(ended(application.apply(&add(&members)).await), "done");
    assert_eq!(ended(application.apply(&add(&members)).await), "barred");
    // What it has is taken away from it all the same.
    assert_eq!(ended(application.apply(&remove(&members)).await), "done");
    script.all_was_asked();
}

#[tokio::test]
async fn an_account_without_an_id_is_activated_again_by_its_name() {
    let changes = [
        ("user = { id = \"/id\", ", "user = { "),
        (
            "deactivate_user = { path = \"/users/{user.id}\" }",
            "deactivate_user = { path = \"/users/{user.account}\" }",
        ),
        (
            "/users/{user.id}/activate",
            "/users/{user.account}/activate",
        ),
        (
            "body = [{ id = \"{member.id}\" }]",
            "body = [{ id = \"{member.account}\" }]",
        ),
        ("/members/{member.id}", "/members/{member.account}"),
    ];
    let away = r#"{"rows":[{"mail":"U1@example.com","on":false}]}"#;
    let (application, script) = scripted(
        &changes,
        &[
            ("POST /v1/users {\"mail\":\"u1@example.com\"}", 409, ""),
            (SEARCH, 200, away),
            ("POST /v1/users/U1%40example.com/activate", 204, ""),
        ],
    )
    .await;
    let back = Operation::CreateUser {
        account: "u1@example.com".into(),
        role: None,
        fields: BTreeMap::new(),
        upstream_id: None,
    };
    assert_eq!(ended(application.apply(&back).await), "done");
    script.all_was_asked();
}

#[tokio::test]
async fn accounts_are_told_as_they_are_spelled_there() {
    let changes = [
        (
            "active = \"/on\" }",
            "active = \"/on\", known_by = \"name\" }",
        ),
        ("/members/{member.id}", "/members/{member.account}"),
    ];
    let (application, script) = scripted(
        &changes,
        &[
            ("GET /v1/groups", 200, CREW),
            ("GET /v1/groups/7/members", 200, r#"[{"mail":"AnnSmith"}]"#),
            ("DELETE /v1/groups/7/members/AnnSmith", 204, ""),
        ],
    )
    .await;
    let members = application.members("Crew").await.unwrap();
    assert_eq!(members[0].account.as_deref(), Some("annsmith"));
    let ann = Principal {
        account: "annsmith".into(),
        ..principal(1, None)
    };
    assert_eq!(ended(application.apply(&remove(&[ann])).await), "done");
    script.all_was_asked();
}

#[tokio::test]
async fn a_name_that_is_given_keeps_its_letter_case() {
    let by_name = [(
        "active = \"/on\" }",
        "active = \"/on\", known_by = \"name\" }",
    )];
    let script = [("POST /v1/users {\"mail\":\"AnnSmith\"}", 201, r#"{"id":5}"#)];
    let (application, script) = scripted(&by_name, &script).await;
    let create = Operation::CreateUser {
        account: "annsmith".into(),
        role: None,
        fields: [("userName".to_owned(), "AnnSmith".to_owned())].into(),
        upstream_id: None,
    };
    assert_eq!(ended(application.apply(&create).await), "done");
    script.all_was_asked();
}

#[tokio::test]
async fn members_who_are_told_with_a_creation_are_read_unless_the_answer_names_them() {
    let body = (
        "body = { name = \"{group.name}\" }",
        "body = { name = \"{group.name}\", ids = [\"{member.id}\"] }",
    );
    let both = vec![principal(1, Some("11")), principal(2, Some("22"))];
    let create = Operation::CreateGroup {
        name: "Crew".into(),
        members: both,
    };
    let call = "POST /v1/groups {\"ids\":[\"11\",\"22\"],\"name\":\"Crew\"}";
    let (unknown, left_out) = (MemberOutcome::Unknown, MemberOutcome::LeftOut);
    let applied = MemberOutcome::Applied;
    let said = (
        body.0,
        "body = { name = \"{group.name}\", ids = [\"{member.id}\"] }, applied = \"/ids\"",
    );
    for (change, ends) in [(body, [&unknown, &unknown]), (said, [&applied, &left_out])] {
        let script = [(call, 201, r#"{"id":9,"ids":["11"]}"#)];
        let (application, script) = scripted(&[change], &script).await;
        let made = application.apply(&create).await.unwrap().members;
        let made: Vec<_> = made.iter().map(|(_, end)| end).collect();
        assert_eq!(made, ends);
        script.all_was_asked();
    }
}

#[tokio::test]
async fn a_list_of_members_that_is_shorter_than_the_group_says_is_not_believed() {
    let counted = [(
        "name = \"/name\" }",
        "name = \"/name\", member_count = \"/size\" }",
    )];
    let of = |size: u8| format!(r#"{{"rows":[{{"id":7,"name":"Crew","size":{size}}}]}}"#);
    let (two, one) = (of(2), of(1));
    let (two, one) = (two.as_str(), one.as_str());
    let list = "GET /v1/groups/7/members";
    let (application, script) = scripted(
        &counted,
        &[
            ("GET /v1/groups", 200, two),
            (list, 200, r#"[{"id":1}]"#),
            ("GET /v1/groups", 200, two),
            (list, 200, r#"[{"id":1}]"#),
            ("GET /v1/groups", 200, one),
        ],
    )
    .await;
    application.groups().await.unwrap();
    let cut = application.members("Crew").await;
    assert!(matches!(cut, Err(UpstreamError::Unknown { .. })), "{cut:?}");
    assert_eq!(application.members("Crew").await.unwrap().len(), 1);
    script.all_was_asked();
}

#[tokio::test]
async fn a_404_is_believed_of_a_group_that_is_not_there_and_of_nobody_else() {
    let group = |id: &str| format!(r#"{{"rows":[{{"id":{id},"name":"Crew"}}]}}"#);
    let (seven, eight) = (group("7"), group("8"));
    let (seven, eight) = (seven.as_str(), eight.as_str());
    let none = r#"{"rows":[]}"#;
    let remove = Operation::RemoveMembers {
        group: "Crew".into(),
        members: vec![principal(1, Some("11"))],
    };
    let add = Operation::AddMembers {
        group: "Crew".into(),
        members: vec![principal(1, Some("11"))],
    };
    let delete = Operation::DeleteGroup {
        name: "Crew".into(),
    };
    let call = [
        "DELETE /v1/groups/7/members/11",
        "POST /v1/groups/7/members [{\"id\":\"11\"}]",
        "DELETE /v1/groups/7",
    ];
    let found = r#"{"rows":[{"id":9,"mail":"u1@example.com","on":true}]}"#;
    let search = "GET /v1/users?q=mail%20eq%20%22u1%40example.com%22";
    let same = r#"{"rows":[{"id":11,"mail":"u1@example.com","on":true}]}"#;
    let lags = |lag, now, end| (lag, now, None, end);
    let (soon, long) = (memory::LAG, Duration::ZERO);
    for (operation, call, (lag, now, account, end)) in [
        (&remove, call[0], (soon, seven, Some(same), "unknown")),
        (&remove, call[0], (soon, seven, Some(found), "later")),
        (&remove, call[0], lags(soon, none, "missed")),
        (&remove, call[0], lags(long, none, "missing")),
        (&remove, call[0], lags(soon, eight, "missed")),
        (&add, call[1], (soon, seven, Some(same), "rejected")),
        (&add, call[1], (soon, seven, Some(found), "later")),
        (&add, call[1], lags(soon, none, "missed")),
        (&add, call[1], lags(long, none, "missing")),
        (&delete, call[2], lags(soon, seven, "rejected")),
        (&delete, call[2], lags(soon, none, "missed")),
        (&delete, call[2], lags(long, none, "done")),
        (&delete, call[2], lags(soon, eight, "later")),
    ] {
        let mut asked = vec![
            ("GET /v1/groups", 200, seven),
            (call, 404, ""),
            ("GET /v1/groups", 200, now),
        ];
        asked.extend(account.map(|found| (search, 200, found)));
        let (application, script) = lagging(lag, &[], &asked).await;
        let came = ended(application.apply(operation).await);
        assert_eq!(came, end, "{operation:?} {now}");
        script.all_was_asked();
    }
}

#[tokio::test]
async fn the_id_of_another_group_is_none_of_a_new_one() {
    let create = Operation::CreateGroup {
        name: "New".into(),
        members: Vec::new(),
    };
    let list = (
        "GET /v1/groups",
        200,
        r#"{"rows":[{"id":7,"name":"Crew"}]}"#,
    );
    let call = "POST /v1/groups {\"name\":\"New\"}";
    for (status, answer, end) in [
        (201, r#"{"id":7}"#, "unclear"),
        (201, r#"{"id":8,"name":"Crew"}"#, "unclear"),
        (202, r#"{"id":8,"name":"New"}"#, "unclear"),
        (200, r#"{"error":"no right"}"#, "rejected"),
        (200, r#"{"error":"no right","id":8}"#, "unclear"),
        (201, r#"{"id":8,"errors":[{"detail":"warn"}]}"#, "unclear"),
        (201, r#"{"id":8,"name":"new"}"#, "done"),
        (201, "{}", "done"),
    ] {
        let (application, script) = scripted(&[], &[list, (call, status, answer)]).await;
        application.groups().await.unwrap();
        let made = application.apply(&create).await;
        assert_eq!(ended(made), end, "{answer}");
        script.all_was_asked();
    }
}

#[tokio::test]
async fn a_success_that_tells_an_error_is_none_unless_a_row_or_a_list_explains_it() {
    let success = (
        "errors = [{ on",
        "errors = [{ status = 202, means = \"success\" }, { on",
    );
    let failed = ("applied = \"/added\"", "failed = \"/errors\"");
    let elsewhere = ("applied = \"/added\"", "failed = \"/failed\"");
    let end_of = "DELETE /v1/users/11";
    let both = [principal(1, Some("11")), principal(2, Some("22"))];
    let added = "POST /v1/groups/g1/members [{\"id\":\"11\"},{\"id\":\"22\"}]";
    let group = (
        "GET /v1/groups",
        200,
        r#"{"rows":[{"id":"g1","name":"Crew"}]}"#,
    );
    let gone = end(Some("11"));
    for (changes, operation, script, is) in [
        (
            &[][..],
            &gone,
            vec![(end_of, 200, r#"{"error":"no"}"#)],
            "rejected",
        ),
        (&[], &gone, vec![(end_of, 202, "{}")], "unclear"),
        (
            &[success],
            &gone,
            vec![(end_of, 202, r#"{"error":"in time"}"#)],
            "done",
        ),
        (
            &[elsewhere],
            &add(&both),
            vec![group, (added, 200, r#"{"error":"no"}"#)],
            "rejected",
        ),
    ] {
        let (application, script) = scripted(changes, &script).await;
        assert_eq!(ended(application.apply(operation).await), is);
        script.all_was_asked();
    }
    let script = [group, (added, 200, r#"{"errors":[{"id":"22"}]}"#)];
    let (application, script) = scripted(&[failed], &script).await;
    let ends = application.apply(&add(&both)).await.unwrap().members;
    let ends: Vec<_> = ends.into_iter().map(|(_, end)| end).collect();
    assert_eq!(ends, [MemberOutcome::Applied, MemberOutcome::LeftOut]);
    script.all_was_asked();
    let (application, script) =
        scripted(&[], &[("GET /v1/groups", 200, r#"{"ok":false,"rows":[]}"#)]).await;
    assert!(application.groups().await.is_err(), "and nobody is gone");
    script.all_was_asked();
}
