//! Calls that name accounts by their addresses, though ids are known: an address may be
//! another one's by now.

use super::{
    doubts::{ANN, CREW, NONE, SEARCH, add, end, remove},
    *,
};

/// Calls name accounts by their addresses, though ids are known.
const BY_ADDRESS: [(&str, &str); 3] = [
    ("\"/users/{user.id}\"", "\"/users/{user.account}\""),
    (
        "[{ id = \"{member.id}\" }]",
        "[{ mail = \"{member.account}\" }]",
    ),
    ("/members/{member.id}", "/members/{member.account}"),
];

const ANOTHERS: &str = r#"{"rows":[{"id":9,"mail":"u1@example.com","on":true}]}"#;

const MOVED: &str = r#"{"rows":[{"id":9,"mail":"u1@example.com","on":true},
    {"id":5,"mail":"Old@example.com","on":true}]}"#;

#[tokio::test]
async fn who_leaves_is_ended_by_the_address_of_their_id_and_not_who_has_theirs_by_now() {
    for (shown, listed, ended_there) in [
        (ANN, None, "DELETE /v1/users/u1%40example.com"),
        (ANOTHERS, Some(MOVED), "DELETE /v1/users/Old%40example.com"),
        (NONE, Some(MOVED), "DELETE /v1/users/Old%40example.com"),
        // Nobody else has the id: the account was made anew.
        (
            ANOTHERS,
            Some(ANOTHERS),
            "DELETE /v1/users/u1%40example.com",
        ),
    ] {
        let mut script = vec![(SEARCH, 200, shown)];
        // A search that finds nothing is followed by a look into the list.
        script.extend((shown == NONE).then_some(("GET /v1/users", 200, MOVED)));
        script.extend(listed.map(|list| ("GET /v1/users", 200, list)));
        script.push((ended_there, 200, ""));
        let (application, script) = scripted(&BY_ADDRESS, &script).await;
        assert_eq!(ended(application.apply(&end(Some("5"))).await), "done");
        script.all_was_asked();
    }
}

#[tokio::test]
async fn whom_a_reading_shows_elsewhere_is_taken_out_there_and_given_nothing_by_address() {
    let ann = [principal(1, Some("5"))];
    let crew = ("GET /v1/groups", 200, CREW);
    let (application, script) = scripted(
        &BY_ADDRESS,
        &[
            ("GET /v1/users", 200, MOVED),
            crew,
            (SEARCH, 200, ANOTHERS),
            ("DELETE /v1/groups/7/members/Old%40example.com", 200, ""),
        ],
    )
    .await;
    application.users().await.unwrap();
    let given = application.apply(&add(&ann)).await;
    assert_eq!(ended(given), "barred", "somebody else has the address");
    assert_eq!(ended(application.apply(&remove(&ann)).await), "done");
    script.all_was_asked();
}

#[tokio::test]
async fn a_removal_by_address_looks_first_for_whose_that_is() {
    let ann = [principal(1, Some("5"))];
    let crew = ("GET /v1/groups", 200, CREW);
    for (shown, listed, out) in [
        (ANN, None, "DELETE /v1/groups/7/members/u1%40example.com"),
        (
            ANOTHERS,
            Some(MOVED),
            "DELETE /v1/groups/7/members/Old%40example.com",
        ),
    ] {
        let mut script = vec![crew, (SEARCH, 200, shown)];
        script.extend(listed.map(|list| ("GET /v1/users", 200, list)));
        script.push((out, 200, ""));
        let (application, script) = scripted(&BY_ADDRESS, &script).await;
        assert_eq!(ended(application.apply(&remove(&ann)).await), "done");
        script.all_was_asked();
    }
}

#[tokio::test]
async fn a_search_that_fails_keeps_nobody_in_a_group_that_shows_their_address() {
    let ann = [principal(1, Some("5"))];
    let (application, script) = scripted(
        &BY_ADDRESS,
        &[
            ("GET /v1/groups", 200, CREW),
            (SEARCH, 500, ""),
            (
                "GET /v1/groups/7/members",
                200,
                r#"[{"id":5,"mail":"new@example.com"}]"#,
            ),
            ("DELETE /v1/groups/7/members/new%40example.com", 200, ""),
        ],
    )
    .await;
    assert_eq!(ended(application.apply(&remove(&ann)).await), "done");
    script.all_was_asked();
}

#[tokio::test]
async fn without_a_search_a_removal_by_address_looks_into_the_list_once_a_while() {
    let search = "find_user = { path = \"/users\", query = { q = \"mail eq {user.account:quoted}\" }, items = \"/rows\" }\n";
    let [end_by, add_by, out_by] = BY_ADDRESS;
    let changes = [end_by, add_by, out_by, (search, "")];
    let people = [principal(1, Some("5")), principal(2, Some("9"))];
    let (application, script) = scripted(
        &changes,
        &[
            ("GET /v1/groups", 200, CREW),
            ("GET /v1/users", 200, r#"{"rows":[{"id":9,"mail":"u2@example.com","on":true},{"id":5,"mail":"new@example.com","on":true}]}"#),
            ("DELETE /v1/groups/7/members/new%40example.com", 200, ""),
            ("DELETE /v1/groups/7/members/u2%40example.com", 200, ""),
        ],
    )
    .await;
    for one in &people {
        let out = application.apply(&remove(std::slice::from_ref(one))).await;
        assert_eq!(ended(out), "done");
    }
    script.all_was_asked();
}

#[tokio::test]
async fn several_are_taken_out_by_the_addresses_that_the_group_shows() {
    let [end_by, add_by, _] = BY_ADDRESS;
    let out_by = (
        "remove_members = { path = \"/groups/{group.id}/members/{member.id}\" }",
        "remove_members = { path = \"/groups/{group.id}/members\", body = [\"{member.account}\"] }",
    );
    let people: Vec<_> = (1..5).map(|n| principal(n, Some(&n.to_string()))).collect();
    let rows: Vec<String> = [1, 2, 3, 4]
        .map(|n| format!(r#"{{"id":{n},"mail":"u{n}@example.com"}}"#))
        .into();
    let rows = format!("[{}]", rows.join(","));
    let (application, script) = scripted(
        &[end_by, add_by, out_by],
        &[
            ("GET /v1/groups", 200, CREW),
            ("GET /v1/groups/7/members", 200, &rows),
            (
                "DELETE /v1/groups/7/members [\"u1@example.com\",\"u2@example.com\",\"u3@example.com\",\"u4@example.com\"]",
                200,
                "",
            ),
        ],
    )
    .await;
    assert_eq!(ended(application.apply(&remove(&people)).await), "done");
    script.all_was_asked();
}

#[tokio::test]
async fn who_returns_is_activated_by_the_address_of_their_id_and_nobody_else() {
    let back = (
        "/users/{user.id}/activate",
        "/users/{user.account}/activate",
    );
    let moved = r#"{"rows":[{"id":9,"mail":"u1@example.com","on":false},
        {"id":5,"mail":"new@example.com","on":false}]}"#;
    let create = Operation::CreateUser {
        account: "u1@example.com".into(),
        role: None,
        fields: BTreeMap::new(),
        upstream_id: Some("5".into()),
    };
    let off = ANN.replace("true", "false");
    let anothers = ANOTHERS.replace("true", "false");
    let made = "POST /v1/users {\"mail\":\"u1@example.com\"}";
    for (shown, listed, call, end) in [
        (
            &off,
            None,
            "POST /v1/users/u1%40example.com/activate",
            "done",
        ),
        (
            &anothers,
            Some(moved),
            "POST /v1/users/new%40example.com/activate",
            "done",
        ),
        (&anothers, Some(anothers.as_str()), made, "done"),
    ] {
        let mut script = vec![(SEARCH, 200, shown.as_str())];
        script.extend(listed.map(|list| ("GET /v1/users", 200, list)));
        script.push((call, 200, r#"{"id":5}"#));
        let (application, script) = scripted(&[back], &script).await;
        assert_eq!(ended(application.apply(&create).await), end, "{shown}");
        script.all_was_asked();
    }
}
