//! Calls by name, of accounts whose ids are known: a name can be somebody
//! else's by now, and the id is not.

use super::*;

const BY_NAME: [(&str, &str); 3] = [
    (
        "deactivate_user = { path = \"/users/{user.id}\" }",
        "deactivate_user = { path = \"/users/{user.account}\" }",
    ),
    (
        "body = [{ id = \"{member.id}\" }], batch = 10, applied = \"/added\"",
        "body = [\"{member.account}\"]",
    ),
    ("/members/{member.id}", "/members/{member.account}"),
];
const SEARCH: &str = "GET /v1/users?q=mail%20eq%20%22u1%40example.com%22";
const USERS: &str = "GET /v1/users";
const NONE: &str = r#"{"rows":[]}"#;
const SAME: &str = r#"{"rows":[{"id":5,"mail":"u1@example.com","on":true}]}"#;
const STRANGER: &str = r#"{"rows":[{"id":9,"mail":"u1@example.com","on":true}]}"#;
const RENAMED: &str = r#"{"rows":[{"id":5,"mail":"New@example.com","on":true}]}"#;
const BOTH: &str = r#"{"rows":[{"id":5,"mail":"New@example.com","on":true},{"id":9,"mail":"u1@example.com","on":true}]}"#;
const CREW: (&str, u16, &str) = (
    "GET /v1/groups",
    200,
    r#"{"rows":[{"id":7,"name":"Crew"}]}"#,
);

fn end() -> Operation {
    Operation::DeactivateUser {
        principal: principal(1, Some("5")),
    }
}

fn remove(members: &[Principal]) -> Operation {
    Operation::RemoveMembers {
        group: "Crew".into(),
        members: members.to_vec(),
    }
}

#[tokio::test]
async fn what_is_taken_away_by_name_is_taken_from_the_account_of_the_id() {
    let one = [principal(1, Some("5"))];
    for (operation, before, path) in [
        (end(), None, "DELETE /v1/users/"),
        (remove(&one), Some(CREW), "DELETE /v1/groups/7/members/"),
    ] {
        for (found, listed, name) in [
            (SAME, None, "u1%40example.com"),
            (NONE, Some(RENAMED), "New%40example.com"),
            (STRANGER, Some(BOTH), "New%40example.com"),
            // Nobody is shown who has the name: it may be that a reading lags.
            (NONE, Some(NONE), "u1%40example.com"),
        ] {
            let call = format!("{path}{name}");
            let mut asked: Vec<_> = before.into_iter().collect();
            asked.push((SEARCH, 200, found));
            asked.extend(listed.map(|list| (USERS, 200, list)));
            asked.push((call.as_str(), 204, ""));
            let (application, script) = scripted(&BY_NAME, &asked).await;
            let came = application.apply(&operation).await;
            assert_eq!(ended(came), "done", "{call} {found}");
            script.all_was_asked();
        }
    }
}

#[tokio::test]
async fn whoever_has_the_name_of_an_account_that_is_gone_loses_nothing() {
    let one = [principal(1, Some("5"))];
    let readings = [(SEARCH, 200, STRANGER), (USERS, 200, STRANGER)];
    for (lag, of_end, of_removal) in [
        (memory::LAG * 10, "later", "later"),
        (Duration::ZERO, "done", "unknown"),
    ] {
        let (application, script) = lagging(lag, &BY_NAME, &readings).await;
        assert_eq!(ended(application.apply(&end()).await), of_end);
        script.all_was_asked();
        let asked = [CREW, readings[0], readings[1]];
        let (application, script) = lagging(lag, &BY_NAME, &asked).await;
        assert_eq!(ended(application.apply(&remove(&one)).await), of_removal);
        script.all_was_asked();
    }
}

#[tokio::test]
async fn a_membership_by_name_is_given_to_no_other_id() {
    let asked = [
        CREW,
        (
            "GET /v1/groups/7/members",
            200,
            r#"[{"id":5,"mail":"new@example.com"}]"#,
        ),
        (SEARCH, 200, STRANGER),
    ];
    let (application, script) = scripted(&BY_NAME, &asked).await;
    application.members("Crew").await.unwrap();
    let add = Operation::AddMembers {
        group: "Crew".into(),
        members: vec![principal(1, Some("5"))],
    };
    assert_eq!(ended(application.apply(&add).await), "barred");
    script.all_was_asked();
}

/// A removal that was answered 404 makes nobody's id that of the stranger.
#[tokio::test]
async fn a_404_of_a_call_by_name_links_nobody_else() {
    let asked = [
        CREW,
        (SEARCH, 200, SAME),
        ("DELETE /v1/groups/7/members/u1%40example.com", 404, ""),
        CREW,
    ];
    let (application, script) = scripted(&BY_NAME, &asked).await;
    let remove = remove(&[principal(1, Some("5"))]);
    assert_eq!(ended(application.apply(&remove).await), "unknown");
    script.all_was_asked();
}
