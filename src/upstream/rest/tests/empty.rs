//! Lists that are empty without being written as one, and what is believed of them.

use super::*;

const COUNTED: (&str, &str) = (
    "group = { id = \"/id\", name = \"/name\" }",
    "group = { id = \"/id\", name = \"/name\", member_count = \"/size\" }",
);
const ITEMS: (&str, &str) = (
    "list_members = { path = \"/groups/{group.id}/members\" }",
    "list_members = { path = \"/groups/{group.id}/members\", items = \"/members\" }",
);
const ABSENT: (&str, &str) = (
    "list_members = { path = \"/groups/{group.id}/members\" }",
    "list_members = { path = \"/groups/{group.id}/members\", items = \"/members\", empty = \"absent\" }",
);
const MEMBERS: &str = "GET /v1/groups/7/members";

fn groups(size: &str) -> String {
    format!(r#"{{"rows":[{{"id":"7","name":"Crew","size":{size}}}]}}"#)
}

/// How many are in the group, by one answer to that; the group says that it has so many.
async fn read(changes: &[(&str, &str)], size: &str, answer: &str) -> Result<usize, UpstreamError> {
    let groups = groups(size);
    let mut lines = vec![
        ("GET /v1/groups", 200, groups.as_str()),
        (MEMBERS, 200, answer),
    ];
    let cut = size.trim_matches('"').parse().unwrap_or(0) > 0 && changes[1] == ABSENT;
    if cut {
        lines.push(("GET /v1/groups", 200, &groups));
    }
    let (application, script) = scripted(changes, &lines).await;
    application.groups().await.unwrap();
    let found = application.members("Crew").await.map(|it| it.len());
    script.all_was_asked();
    found
}

#[tokio::test]
async fn null_and_a_missing_key_are_an_empty_list_where_that_is_said() {
    let plain = [COUNTED, ITEMS];
    let declared = [COUNTED, ABSENT];
    for (changes, size, answer, count) in [
        (plain, "0", r#"{"members":null}"#, Some(0)),
        (plain, "0", "{}", Some(0)),
        (plain, "\"0\"", r#"{"kind":"members"}"#, Some(0)),
        (plain, "null", "{}", None),
        (plain, "null", r#"{"members":null}"#, None),
        (plain, "0", r#"{"members":null,"message":"timeout"}"#, None),
        (declared, "null", r#"{"members":null}"#, Some(0)),
        (
            declared,
            "null",
            r#"{"members":null,"detail":"timeout"}"#,
            None,
        ),
        (plain, "\"none\"", "{}", None),
        (plain, "0", r#"{"message":"try again"}"#, None),
        (plain, "0", r#"{"people":[{"id":1}]}"#, None),
        (plain, "0", r#"{"members":{}}"#, None),
        (plain, "0", "[]", None),
        (plain, "0", "", None),
        (declared, "null", "{}", Some(0)),
        (declared, "null", "", None),
        (declared, "null", r#"{"error":{"code":500}}"#, None),
        (declared, "\"5\"", "{}", None),
    ] {
        let found = read(&changes, size, answer).await;
        assert_eq!(found.clone().ok(), count, "{size} {answer}: {found:?}");
        if count.is_none() {
            assert!(
                matches!(found, Err(UpstreamError::Unknown { .. })),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_written_null_is_a_list_and_nothing_at_all_is_none() {
    for (answer, count) in [
        ("null", Some(0)),
        (" null\n", Some(0)),
        ("", None),
        (" ", None),
    ] {
        let groups = groups("null");
        let lines = [
            ("GET /v1/groups", 200, groups.as_str()),
            (MEMBERS, 200, answer),
        ];
        let (application, _script) = scripted(&[], &lines).await;
        application.groups().await.unwrap();
        let found = application.members("Crew").await.map(|it| it.len());
        assert_eq!(found.ok(), count, "{answer:?}");
    }
}

#[tokio::test]
async fn a_count_that_is_doubted_is_asked_for_again() {
    for (size, count) in [("0", Some(0)), ("2", None), ("null", None)] {
        let (before, now) = (groups("0"), groups(size));
        let lines = [
            ("GET /v1/groups", 200, before.as_str()),
            (MEMBERS, 400, ""),
            // Its id is looked up, and what it says of its members with it.
            ("GET /v1/groups", 200, now.as_str()),
            (MEMBERS, 200, "{}"),
        ];
        let (application, script) = scripted(&[COUNTED, ITEMS], &lines).await;
        application.groups().await.unwrap();
        assert!(application.members("Crew").await.is_err());
        let found = application.members("Crew").await.map(|it| it.len());
        assert_eq!(found.ok(), count, "{size}");
        script.all_was_asked();
    }
}

#[tokio::test]
async fn a_check_names_the_setting_and_what_is_declared_without_effect() {
    let created = ("active = \"/on\"", "created = \"/at\", active = \"/on\"");
    let changes = [COUNTED, ITEMS, created];
    let groups = r#"{"rows":[{"id":"7","name":"Crew","size":"4 of 5"}]}"#;
    let users = r#"{"rows":[{"id":1,"mail":"a@b.c","on":true,"at":"long ago"}]}"#;
    let nobody = "GET /v1/users?q=mail%20eq%20%22drawbridge-check%40example.invalid%22";
    let lines = [
        ("GET /v1/groups", 200, groups),
        (MEMBERS, 200, "{}"),
        // Its id is looked up again.
        ("GET /v1/groups", 200, groups),
        (MEMBERS, 200, "{}"),
        ("GET /v1/users", 200, users),
        (nobody, 200, r#"{"rows":[]}"#),
    ];
    let (application, script) = scripted(&changes, &lines).await;
    let found = application.check().await;
    script.all_was_asked();
    let told: Vec<String> = found
        .into_iter()
        .filter(|it| !it.ok)
        .map(|it| format!("{}: {}", it.what, it.remedy.unwrap_or_default()))
        .collect();
    for words in ["empty = \"absent\"", "group.member_count", "user.created"] {
        assert!(
            told.iter().any(|it| it.contains(words)),
            "{words}: {told:?}"
        );
    }
}

#[test]
fn how_an_empty_list_is_written_is_said_of_lists_within_an_answer_alone() {
    for (before, after, key) in [
        (
            "list_members = { path = \"/groups/{group.id}/members\" }",
            "list_members = { path = \"/groups/{group.id}/members\", empty = \"absent\" }",
            "operations.list_members.empty: ",
        ),
        (
            "delete_group = { path = \"/groups/{group.id}\" }",
            "delete_group = { path = \"/groups/{group.id}\", empty = \"absent\" }",
            "operations.delete_group.empty: has no meaning",
        ),
    ] {
        let problems = with(&[(before, after)]).problems();
        assert!(
            problems.iter().any(|it| it.starts_with(key)),
            "{problems:?}"
        );
    }
}

#[tokio::test]
async fn a_search_shows_whom_a_list_misses_and_a_refusal_of_it_shows_nobody() {
    let asked = "GET /v1/users?q=mail%20eq%20%22u1%40example.com%22";
    for (status, answer, found) in [
        (
            200,
            r#"{"rows":[{"id":1,"mail":"u1@example.com","on":true}]}"#,
            Some(true),
        ),
        (
            200,
            r#"{"rows":[{"id":1,"mail":"u1@example.com","on":false}]}"#,
            Some(false),
        ),
        (200, r#"{"rows":[]}"#, Some(false)),
        (400, "", Some(false)),
        (200, r#"{"rows":"?"}"#, None),
    ] {
        let (application, script) = scripted(&[], &[(asked, status, answer)]).await;
        let shown = application.is_found("u1@example.com").await;
        assert_eq!(shown.ok().flatten(), found, "{status} {answer}");
        script.all_was_asked();
    }
}
