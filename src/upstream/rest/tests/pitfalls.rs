//! Declarations that are well-formed and mean something else than was meant.

use super::{declarations::all_are_told, *};

/// As in the list of what does not go together.
const PITFALLS: &[(&str, &str, &str)] = &[
    (
        "token = \"a-token\"",
        "token = \"a\"\nauthentication = \"header\"\nheader = \"Host\"",
        "header: says something",
    ),
    (
        "token = \"a-token\"",
        "token = \"a\"\nauthentication = \"basic\"",
        "token: authentication",
    ),
    (
        "token = \"a-token\"",
        "token = \"a\"\nrequest_id = \"not a header\"",
        "request_id: ",
    ),
    (
        "token = \"a-token\"",
        "token = \"a\"\nmedia_type = \"application/x-www-form-urlencoded\"",
        "media_type: ",
    ),
    (
        "id = \"/id\", name = \"/name\" }",
        "fixed = { a = \"1\", b = \"1\" } }",
        "group.fixed: \"a\" and \"b\" have the same id",
    ),
    (
        "id = \"/id\", name = \"/name\" }",
        "fixed = { A = \"1\", a = \"2\" } }",
        "group.fixed: \"A\" and \"a\" differ",
    ),
    (
        "id = \"/id\", name = \"/name\" }",
        "fixed = { A = \" \" } }",
        "group.fixed: \"A\" = \" \": ",
    ),
    (
        "active = \"/on\"",
        "active = \"/on\", active_values = [\"\"]",
        "user.active_values: \"\" an empty",
    ),
    (
        "active = \"/on\"",
        "active = \"/on\", active_values = [\"true\", \"false\"]",
        "user.active_values: both true and false",
    ),
    (
        "user = { id = \"/id\"",
        "user = { only = { at = \"/kind\" }, id = \"/id\"",
        "user.only: says nothing",
    ),
    (
        "group = { id = \"/id\"",
        "group = { only = { at = \"/kind\", is = \"a\", is_not = \"b\" }, id = \"/id\"",
        "group.only: says nothing, or two things",
    ),
    (
        "user = { id = \"/id\", ",
        "user = { ",
        "operations.remove_members: the id of a user",
    ),
    (
        "active = \"/on\"",
        "active = \"/mail\"",
        "user.active: is read where",
    ),
    (
        "remove_members = { path = \"/groups/{group.id}/members/{member.id}\" }",
        "remove_members = { method = \"POST\", path = \"/groups/{group.id}/members\", body = [{ id = \"{member.id}\" }] }",
        "operations.remove_members: is the same call as operations.add_members",
    ),
    (
        "reactivate_user = { path = \"/users/{user.id}/activate\" }",
        "reactivate_user = { method = \"DELETE\", path = \"/users/{user.id}\" }",
        "operations.reactivate_user: is the same call as operations.deactivate_user",
    ),
    (
        "delete_group = { path = \"/groups/{group.id}\" }",
        "delete_group = { method = \"POST\", path = \"/groups\", body = { name = \"{group.name}\" } }",
        "operations.delete_group: is the same call as operations.create_group",
    ),
    (
        "body = { mail = \"{user.account}\", ",
        "body = { mail = \"all@example.com\", ",
        "operations.create_user: does not tell the account",
    ),
    (
        "query = \"after\"",
        "query = \"\"",
        "operations.list_users.paging.query: names no",
    ),
    (
        "query = \"after\"",
        "query = \"after\", size = \" \"",
        "operations.list_users.paging.size: names no",
    ),
    (
        "list_users = { ",
        "list_users = { method = \"DELETE\", ",
        "operations.list_users.method: DELETE changes",
    ),
    (
        "find_user = { ",
        "find_user = { method = \"POST\", ",
        "operations.find_user.method: POST changes",
    ),
    (
        "list_users = { ",
        "list_users = { query = { after = \"x\" }, ",
        "operations.list_users.query: \"after\" is said",
    ),
    (
        "query = \"after\"",
        "query = \"after\", size = \"after\"",
        "operations.list_users.paging: query and size",
    ),
    (
        "on = [\"add_members\"]",
        "on = [\"replace_members\"]",
        "errors[0].on: operations.replace_members",
    ),
    (
        "means = \"done\" }]",
        "means = \"done\" }, { on = [\"add_members\"], status = 200, at = \"/oops\", text = \"ALREADY\", means = \"exists\" }]",
        "errors[1]: is never reached",
    ),
    (
        "status = 200, at",
        "status = [200, 302], at",
        "errors[0].means: 302",
    ),
    (
        "status = 200, at = \"/oops\", text = \"already\"",
        "status = 500",
        "errors[0].means: 500",
    ),
    (
        "status = 200, at = \"/oops\", text = \"already\"",
        "status = 403",
        "errors[0].means: 403",
    ),
    (
        "status = 200, at = \"/oops\", text = \"already\"",
        "status = [400, 404]",
        "errors[0].means: 400",
    ),
    (
        "on = [\"add_members\"], status = 200, at = \"/oops\", text = \"already\"",
        "status = 404",
        "errors[0].means: 404 does not say of operations.list_users",
    ),
];

/// Which calls may take a status alone for their end.
#[test]
fn a_status_alone_says_done_of_those_calls_only_that_want_just_that() {
    let ends = ["deactivate_user", "delete_group", "remove_members"];
    let gifts = ["reactivate_user", "add_members"];
    let row = "{ on = [\"add_members\"], status = 200, at = \"/oops\", text = \"already\"";
    for name in Name::ALL.map(Name::key) {
        // It is none of the others.
        if name == "find_group" || name == "replace_members" {
            continue;
        }
        for (status, says) in [
            (404, ends.contains(&name)),
            (410, ends.contains(&name)),
            (409, gifts.contains(&name)),
        ] {
            for (more, fine) in [
                ("", says),
                (", text = \"x\"", true),
                (", at = \"/x\"", true),
            ] {
                let changed = format!("{{ on = [\"{name}\"], status = {status}{more}");
                let told = with(&[(row, &changed)]).problems();
                let named = format!("errors[0].means: {status} does not say of operations.{name}");
                let is_told = told.iter().any(|it| it.starts_with(&named));
                assert_eq!(
                    (is_told, told.is_empty()),
                    (!fine, fine),
                    "{changed}: {told:?}"
                );
            }
        }
    }
    let all = with(&[(row, "{ status = 409, text = \"is in it\"")]);
    assert_eq!(all.problems(), Vec::<String>::new());
    // One of several is enough.
    let both = "{ on = [\"add_members\", \"remove_members\"], status = [404, 409]";
    let told = with(&[(row, both)]).problems();
    assert!(
        told[0].contains("404 does not say of operations.add_members"),
        "{told:?}"
    );
}

#[test]
fn what_would_silently_be_wrong_is_said_with_its_key_and_a_remedy() {
    all_are_told(PITFALLS);
}

#[test]
fn members_who_could_be_matched_to_nobody_are_no_declaration() {
    let by_account = |member: &str| {
        let changes = [
            ("user = { id = \"/id\", ", "user = { "),
            ("member = { id = \"/id\", account = \"/mail\" }", member),
        ];
        let problems = with(&changes).problems();
        problems
            .iter()
            .any(|it| it.starts_with("member: members are known"))
    };
    assert!(by_account("member = { id = \"/id\" }"));
    assert!(by_account("member = { text = \"id\" }"));
    assert!(!by_account(
        "member = { id = \"/id\", account = \"/mail\" }"
    ));
}
