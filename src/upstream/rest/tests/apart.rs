//! Accounts and groups that cannot be told apart, beside others that can.

use super::{doubts::SEARCH, *};

const USERS: &str = "GET /v1/users";
const GROUPS: &str = "GET /v1/groups";
/// Two accounts with one address, one of another, and one of none.
const LIST: &str = r#"{"rows":[{"id":1,"mail":"u1@example.com","on":true},{"id":5,"mail":"u1@example.com","on":true},{"id":2,"mail":"u2@example.com","on":true},{"id":9,"on":true}]}"#;

fn left(result: Result<Outcome, UpstreamError>) -> String {
    match result.unwrap_err() {
        UpstreamError::Barred { reason } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_end_of_a_user_is_that_of_all_accounts_with_the_address() {
    let (application, script) = scripted(
        &[],
        &[
            ("DELETE /v1/users/1", 204, ""),
            (USERS, 200, LIST),
            ("DELETE /v1/users/5", 204, ""),
            // By now it has another address.
            ("DELETE /v1/users/1", 204, ""),
            (USERS, 200, r#"{"rows":[{"id":1,"mail":"u1@example.com","on":false},{"id":5,"mail":"v@example.com","on":true}]}"#),
            ("DELETE /v1/users/1", 204, ""),
            (USERS, 200, LIST),
            ("DELETE /v1/users/5", 400, ""),
        ],
    )
    .await;
    let mut who = principal(1, Some("1"));
    who.twins = vec!["5".into()];
    let end = Operation::DeactivateUser { principal: who };
    application.apply(&end).await.unwrap();
    application.apply(&end).await.unwrap();
    let refused = application.apply(&end).await.unwrap_err();
    assert!(matches!(refused, UpstreamError::Partly { .. }), "{refused}");
    script.all_was_asked();
}

#[tokio::test]
async fn nobody_is_linked_or_told_by_an_address_that_two_have() {
    let by_address = [
        ("user = { id", "user = { link = true, id"),
        (
            "create_user = { path = \"/users\", body = { mail = \"{user.account}\", title = \"{user.title}\" }, id = \"/id\" }\n",
            "",
        ),
        (
            "{ path = \"/users/{user.id}\" }",
            "{ path = \"/users/{user.account}\" }",
        ),
        ("members/{member.id}", "members/{member.account}"),
        (
            "[{ id = \"{member.id}\" }]",
            "[{ mail = \"{member.account}\" }]",
        ),
        (
            "group = { id = \"/id\", name = \"/name\" }",
            "group = { id = \"/id\", name = \"/name\", fixed = { Crew = \"7\" } }",
        ),
        (
            "list_groups = { path = \"/groups\", items = \"/rows\" }\n",
            "",
        ),
        (
            "create_group = { path = \"/groups\", body = { name = \"{group.name}\" }, id = \"/id\" }\n",
            "",
        ),
        ("delete_group = { path = \"/groups/{group.id}\" }\n", ""),
    ];
    let one = r#"{"rows":[{"id":1,"mail":"u1@example.com","on":true}]}"#;
    let (application, script) = scripted(
        &by_address,
        &[
            (USERS, 200, LIST),
            // A search may show one of them alone.
            (SEARCH, 200, one),
            (USERS, 200, LIST),
            (SEARCH, 200, one),
            (USERS, 200, LIST),
            (SEARCH, 200, one),
            (USERS, 200, LIST),
            (SEARCH, 200, one),
            (USERS, 200, LIST),
            (SEARCH, 200, one),
            (USERS, 200, LIST),
            // Each has its own by now.
            (SEARCH, 200, one),
            (USERS, 200, one),
            (
                "POST /v1/groups/7/members [{\"mail\":\"u1@example.com\"}]",
                200,
                r#"{"added":[{"mail":"u1@example.com"}]}"#,
            ),
        ],
    )
    .await;
    let listed = application.users().await.unwrap();
    assert_eq!(listed.iter().filter(|it| it.unreadable).count(), 1);
    let link = Operation::CreateUser {
        account: "u1@example.com".into(),
        role: None,
        fields: BTreeMap::new(),
        upstream_id: None,
    };
    let several = "several accounts have this address";
    assert!(left(application.apply(&link).await).contains(several));
    let end = |id| Operation::DeactivateUser {
        principal: principal(1, id),
    };
    assert!(left(application.apply(&end(None)).await).contains(several));
    // It is there all the same.
    let shown = application.user("u1@example.com").await.unwrap().unwrap();
    assert_eq!((shown.active, shown.upstream_id), (true, None));
    let members = vec![principal(1, None)];
    let add = Operation::AddMembers {
        group: "Crew".into(),
        members: members.clone(),
    };
    let remove = Operation::RemoveMembers {
        group: "Crew".into(),
        members,
    };
    assert!(left(application.apply(&add).await).contains(several));
    assert!(left(application.apply(&remove).await).contains(several));
    application.apply(&add).await.unwrap();
    script.all_was_asked();
}

#[tokio::test]
async fn of_two_accounts_with_one_address_the_linked_one_is_meant() {
    let (application, script) = scripted(
        &[("{ path = \"/users/{user.id}\" }", "{ path = \"/users/{user.id}\", method = \"POST\" }")],
        &[
            (USERS, 200, LIST),
            // It shows the account as it was: it is looked at.
            ("POST /v1/users/5", 200, r#"{"id":5,"mail":"u1@example.com","on":true}"#),
            (SEARCH, 200, r#"{"rows":[{"id":1,"mail":"u1@example.com","on":true},{"id":5,"mail":"u1@example.com","on":false}]}"#),
            ("GET /v1/groups", 200, r#"{"rows":[{"id":7,"name":"Crew"}]}"#),
            ("GET /v1/groups/7/members", 200, r#"[{"id":5,"mail":"u1@example.com"},{"id":2,"mail":"u2@example.com"}]"#),
        ],
    )
    .await;
    application.users().await.unwrap();
    let end = Operation::DeactivateUser {
        principal: principal(1, Some("5")),
    };
    application.apply(&end).await.unwrap();
    // Nobody is a member by what two have.
    let members = application.members("Crew").await.unwrap();
    let by: Vec<_> = members.iter().map(|it| it.account.as_deref()).collect();
    assert_eq!(by, [None, Some("u2@example.com")]);
    script.all_was_asked();
}

#[tokio::test]
async fn an_account_that_lost_its_address_is_not_taken_for_gone() {
    let nobody = r#"{"rows":[{"id":1,"on":true},{"id":2,"mail":"u2@example.com","on":true}]}"#;
    let (application, script) = lagging(
        Duration::ZERO,
        &[],
        &[
            ("DELETE /v1/users/1", 404, ""),
            (SEARCH, 200, r#"{"rows":[]}"#),
            (USERS, 200, nobody),
        ],
    )
    .await;
    let end = Operation::DeactivateUser {
        principal: principal(1, Some("1")),
    };
    assert!(left(application.apply(&end).await).contains("shows nothing that it is known by"));
    script.all_was_asked();
}

#[tokio::test]
async fn a_search_that_shows_others_too_shows_the_one_that_is_meant() {
    let (application, script) = scripted(
        &[],
        &[
            (
                SEARCH,
                200,
                r#"{"rows":[{"id":1,"mail":"u1@example.com","on":true},{"id":78}]}"#,
            ),
            // Nothing of it is understood: the list tells more.
            (SEARCH, 200, r#"{"rows":[{"id":78}]}"#),
            (USERS, 200, LIST),
            (USERS, 200, r#"{"rows":[{"id":78},{"id":79}]}"#),
        ],
    )
    .await;
    let found = application.user("u1@example.com").await.unwrap().unwrap();
    assert_eq!(found.upstream_id.as_deref(), Some("1"));
    assert!(application.user("u1@example.com").await.unwrap().is_some());
    let whole = application.users().await.unwrap_err();
    assert!(matches!(whole, UpstreamError::Unknown { .. }), "{whole}");
    script.all_was_asked();
}

#[tokio::test]
async fn groups_with_one_name_are_neither_read_nor_written_and_keep_nobody_else() {
    let two = r#"{"rows":[{"id":7,"name":"Crew"},{"id":8,"name":"Crew"},{"id":9,"name":"Team"},{"id":10}]}"#;
    let one = r#"{"rows":[{"id":7,"name":"Crew"},{"id":8,"name":"Old"},{"id":9,"name":"Team"}]}"#;
    let (application, script) = scripted(
        &[],
        &[
            (GROUPS, 200, two),
            ("GET /v1/groups/9/members", 200, "[]"),
            (GROUPS, 200, two),
            (GROUPS, 200, two),
            (GROUPS, 200, two),
            (GROUPS, 200, one),
            ("GET /v1/groups/7/members", 200, "[]"),
        ],
    )
    .await;
    let listed = application.groups().await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|it| (it.name.as_str(), it.unreadable))
        .collect();
    assert_eq!(listed, [("Crew", false), ("Team", false), ("", true)]);
    assert_eq!(application.members("Team").await.unwrap(), []);
    let several = "several groups have this name";
    let read = application.members("Crew").await.unwrap_err();
    assert!(read.to_string().contains(several), "{read}");
    let create = Operation::CreateGroup {
        name: "Crew".into(),
        members: Vec::new(),
    };
    assert!(left(application.apply(&create).await).contains(several));
    let delete = Operation::DeleteGroup {
        name: "Crew".into(),
    };
    assert!(left(application.apply(&delete).await).contains(several));
    assert_eq!(application.members("Crew").await.unwrap(), []);
    script.all_was_asked();
}

#[tokio::test]
async fn an_account_whose_state_is_not_understood_is_neither_written_nor_taken_for_gone() {
    let odd = r#"{"rows":[{"id":1,"mail":"u1@example.com","on":"perhaps"},{"id":2,"mail":"u2@example.com","on":true},{"id":3,"mail":"u3@example.com","on":null}]}"#;
    let none = r#"{"rows":[]}"#;
    let (application, script) = lagging(
        Duration::ZERO,
        &[],
        &[
            (USERS, 200, odd),
            (SEARCH, 200, none),
            (USERS, 200, odd),
            ("DELETE /v1/users/1", 404, ""),
            (SEARCH, 200, none),
            (USERS, 200, odd),
            (SEARCH, 200, none),
            (USERS, 200, odd),
            // Nobody says it: the pointer is wrong.
            (
                USERS,
                200,
                r#"{"rows":[{"id":1,"mail":"u1@example.com","on":null}]}"#,
            ),
        ],
    )
    .await;
    let listed = application.users().await.unwrap();
    let read: Vec<_> = listed.iter().map(|it| (it.active, it.unreadable)).collect();
    assert_eq!(read, [(true, true), (true, false), (true, false)]);
    let unread = "is not understood";
    let found = application.user("u1@example.com").await.unwrap_err();
    assert!(found.to_string().contains(unread), "{found}");
    let end = |id| Operation::DeactivateUser {
        principal: principal(1, id),
    };
    assert!(left(application.apply(&end(Some("1"))).await).contains(unread));
    assert!(left(application.apply(&end(None)).await).contains(unread));
    let whole = application.users().await.unwrap_err();
    assert!(matches!(whole, UpstreamError::Unknown { .. }), "{whole}");
    script.all_was_asked();
}
