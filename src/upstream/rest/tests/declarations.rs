//! What a declaration comes to, and all that can be wrong with one.

use super::*;

#[tokio::test]
async fn every_act_has_one_row_and_every_no_a_reason_that_is_served() {
    let little = [
        (
            "create_user = { path = \"/users\", body = { mail = \"{user.account}\", title = \"{user.title}\" }, id = \"/id\" }\n",
            "",
        ),
        ("deactivate_user = { path = \"/users/{user.id}\" }\n", ""),
        (
            "reactivate_user = { path = \"/users/{user.id}/activate\" }\n",
            "",
        ),
        (
            "create_group = { path = \"/groups\", body = { name = \"{group.name}\" }, id = \"/id\" }\n",
            "",
        ),
        (
            "name = \"Acme\"\n",
            "name = \"Acme\"\nnotes = { delete_group = \"groups are kept for audits\" }\n",
        ),
        ("delete_group = { path = \"/groups/{group.id}\" }\n", ""),
    ];
    for settings in [with(&[]), with(&little)] {
        let application = open(settings).unwrap();
        let can = application.capabilities();
        let acts: Vec<Act> = can.rows.iter().map(|row| row.act).collect();
        assert_eq!(acts, Act::ALL);
        let schemas = application.schemas();
        let served: Vec<String> = schemas
            .documents()
            .iter()
            .map(ToString::to_string)
            .collect();
        let served = served.concat();
        for row in can.rows.iter().filter(|row| !row.able) {
            let reason = serde_json::Value::from(&*row.note).to_string();
            assert!(
                !row.note.is_empty() && served.contains(reason.trim_matches('"')),
                "{row:?}"
            );
        }
    }
    let application = open(with(&little)).unwrap();
    let can = application.capabilities();
    assert_eq!(can.note(Act::DeleteGroup), "groups are kept for audits");
    assert_eq!(can.batch(Act::AddMembers), 10);
    assert_eq!(can.batch(Act::RemoveMembers), 1);
    assert_eq!(can.first_members(), 0);
    assert!(!can.can(Act::CreateUser) && can.can(Act::AddMembers));
}

/// A change of the whole, and the beginning of what is said about it.
const WRONG: &[(&str, &str, &str)] = &[
    ("name = \"Acme\"", "name = \"\"", "name: missing"),
    (
        "token = \"a-token\"",
        "token = \"a\"\nheader = \"x-key\"",
        "header: names a header that is not used",
    ),
    (
        "token = \"a-token\"",
        "token = \"a\"\nauthentication = \"header\"",
        "authentication: ",
    ),
    (
        "token = \"a-token\"",
        "token = \"a\"\nauthentication = \"header\"\nheader = \"x key\"",
        "header: not the name",
    ),
    (
        "token = \"a-token\"",
        "token = \"a\"\nmedia_type = \"\"",
        "media_type: ",
    ),
    (
        "token = \"a-token\"",
        "token = \"a\"\nburst = 0",
        "burst = 0",
    ),
    (
        "token = \"a-token\"",
        "token = \"a\"\nnotes = { set_role = \" \" }",
        "notes: ",
    ),
    (
        ", account = \"/mail\", active",
        ", active",
        "user.account: missing",
    ),
    (
        "active = \"/on\" }",
        "active_values = [\"on\"] }",
        "user.active_values: ",
    ),
    ("active = \"/on\" }", "link = true }", "user.link: "),
    (
        "active = \"/on\" }",
        "known_by = \"id\" }",
        "user.known_by: ",
    ),
    (
        "group = { id = \"/id\", name = \"/name\" }",
        "group = { id = \"/id\" }",
        "group.name: missing",
    ),
    (
        "name = \"/name\" }",
        "name = \"/name\", known_by = \"email\" }",
        "group.known_by: ",
    ),
    (
        "name = \"/name\" }",
        "name = \"/name\", known_by = \"id\" }",
        "operations.create_group: an id",
    ),
    (
        "name = \"/name\" }",
        "name = \"/name\", fixed = { a = \"1\" } }",
        "group.fixed: ",
    ),
    (
        "name = \"/name\" }",
        "name = \"/name\", read_only = [{ at = \"/x\", note = \"y\" }] }",
        "group.read_only[0]: ",
    ),
    (
        "member = { ",
        "member = { only = { at = \"/type\" }, ",
        "member.only: says nothing",
    ),
    (
        "member = { ",
        "member = { text = \"id\", only = { at = \"/type\", is = \"user\" }, ",
        "member.only: a text",
    ),
    (
        "member = { id = \"/id\", account = \"/mail\" }",
        "",
        "member: says nothing",
    ),
    (
        "list_groups = { path = \"/groups\", items = \"/rows\" }",
        "",
        "operations.list_groups: missing",
    ),
    (
        "list_members = { path = \"/groups/{group.id}/members\" }",
        "",
        "operations.list_members: missing",
    ),
    (
        "remove_members = { path = \"/groups/{group.id}/members/{member.id}\" }",
        "",
        "operations.remove_members: missing",
    ),
    (
        "path = \"/users\", items",
        "items",
        "operations.list_users.path: missing",
    ),
    (
        "/users/{user.id}",
        "/users/{group.id}",
        "operations.deactivate_user: {group.id} is nothing",
    ),
    (
        "/users/{user.id}",
        "/users",
        "operations.deactivate_user: names no user",
    ),
    (
        "body = { name = \"{group.name}\" }, id = \"/id\"",
        "body = { name = \"{group.name}\" }",
        "operations.create_group.id: missing",
    ),
    (
        "name = \"{group.name}\"",
        "name = \"x\"",
        "operations.create_group: names no group",
    ),
    (
        "user = { id = \"/id\", ",
        "user = { ",
        "operations.add_members: the id of a user",
    ),
    (
        "group = { id = \"/id\", ",
        "group = { ",
        "operations.add_members: the id of a group",
    ),
    (
        "/members/{member.id}\" }",
        "/members/{member.id}\", batch = 2 }",
        "operations.remove_members.batch: ",
    ),
    (
        "batch = 10,",
        "query = { id = \"{member.id}\" },",
        "operations.add_members: a member is named outside",
    ),
    (
        "delete_group = { ",
        "delete_group = { method = \"GET\", ",
        "operations.delete_group.method: ",
    ),
    (
        "list_groups = { ",
        "list_groups = { body = {}, ",
        "operations.list_groups.body: ",
    ),
    (
        "delete_group = { ",
        "delete_group = { applied = \"/x\", ",
        "operations.delete_group.applied: ",
    ),
    (
        "delete_group = { ",
        "delete_group = { id = \"/x\", ",
        "operations.delete_group.id: ",
    ),
    (
        "delete_group = { ",
        "delete_group = { applied_count = \"/x\", ",
        "operations.delete_group.applied_count: ",
    ),
    (
        "applied = \"/added\"",
        "applied = \"/added\", applied_count = \"/x\"",
        "operations.add_members.applied_count: ",
    ),
    (
        "applied = \"/added\"",
        "applied = \"/added\", failed = \"/x\"",
        "operations.add_members.failed: ",
    ),
    (
        "next = \"/next\", ",
        "",
        "operations.list_users.paging: without next",
    ),
    (
        ", query = \"after\"",
        "",
        "operations.list_users.paging: without query",
    ),
    (
        "style = \"cursor\"",
        "style = \"link\"",
        "operations.list_users.paging: a link says",
    ),
    (
        "style = \"cursor\"",
        "style = \"link_header\"",
        "operations.list_users.paging: the Link header says",
    ),
    (
        "style = \"cursor\", next = \"/next\"",
        "style = \"link_header\"",
        "operations.list_users.paging: a link says",
    ),
    (
        "style = \"cursor\"",
        "style = \"page\"",
        "operations.list_users.paging: pages and offsets",
    ),
    (
        "query = \"after\"",
        "query = \"after\", entries = 5",
        "operations.list_users.paging: entries",
    ),
    (
        "status = 200, at = \"/oops\", text = \"already\"",
        "status = 200",
        "errors[0].status: ",
    ),
    (
        "status = 200, at",
        "status = [200, 429], at",
        "errors[0].means: ",
    ),
    (
        "status = 200, at = \"/oops\", text = \"already\", ",
        "",
        "errors[0]: fits every",
    ),
    (
        "status = 200, at = \"/oops\", text = \"already\", means = \"done\"",
        "status = 400, text = \"already\", means = \"success\"",
        "errors[0].means: only a status",
    ),
    (
        "status = 200, at = \"/oops\", text = \"already\", means = \"done\"",
        "text = \"already\", means = \"success\"",
        "errors[0].means: only a status",
    ),
];

#[test]
fn what_does_not_go_together_is_said_with_its_key_and_a_remedy() {
    assert_eq!(with(&[]).problems(), Vec::<String>::new());
    all_are_told(WRONG);
}

/// Numbers of the whole: the most (or least) that can be meant, and the next one.
const BOUNDS: &[(&str, &str, &str)] = &[
    ("requests_per_second", "100000", "100001"),
    ("requests_per_minute", "6000000", "6000001"),
    ("burst", "100000", "100001"),
    ("concurrency", "1000", "1001"),
    ("reply_limit_mib", "1024", "1025"),
    ("connect_timeout", "\"10ms\"", "\"9ms\""),
    ("connect_timeout", "\"1m\"", "\"60001ms\""),
    ("timeout", "\"10ms\"", "\"9ms\""),
    ("timeout", "\"10m\"", "\"600001ms\""),
    ("penalty", "\"10ms\"", "\"9ms\""),
    ("penalty", "\"1h\"", "\"3600001ms\""),
];

#[test]
fn a_number_may_be_the_most_that_can_be_meant_and_no_more() {
    for (key, good, bad) in BOUNDS {
        let said = |value: &str| {
            let line = format!("token = \"a-token\"\n{key} = {value}");
            with(&[("token = \"a-token\"", &line)]).problems()
        };
        assert_eq!(said(good), Vec::<String>::new(), "{key} = {good}");
        one_is_told(&said(bad), key, good);
    }
    for (key, before, say, good, bad) in [
        (
            "add_members.batch",
            "batch = 10",
            "batch = ",
            "100000",
            "100001",
        ),
        (
            "list_users.paging.entries",
            "query = \"after\"",
            "query = \"after\", size = \"n\", entries = ",
            "10000",
            "10001",
        ),
        (
            "list_users.paging.first",
            "style = \"cursor\", next = \"/next\"",
            "style = \"page\", first = ",
            "1",
            "2",
        ),
    ] {
        let said = |value: &str| with(&[(before, &format!("{say}{value}"))]).problems();
        assert_eq!(said(good), Vec::<String>::new(), "{key} = {good}");
        one_is_told(&said(bad), &format!("operations.{key}"), good);
    }
}

/// The key, what is wrong, and the number that is not.
#[track_caller]
fn one_is_told(problems: &[String], key: &str, good: &str) {
    let parts: Vec<&str> = problems[0].split(": ").collect();
    assert_eq!(
        (problems.len(), parts.len(), parts[0]),
        (1, 3, key),
        "{problems:?}"
    );
    assert!(parts[2].contains(good), "{problems:?}");
}

/// A change of the whole, and the beginning of what is said about it.
#[track_caller]
pub(super) fn all_are_told(wrong: &[(&str, &str, &str)]) {
    for (before, after, words) in wrong {
        let problems = with(&[(before, after)]).problems();
        let said = problems.iter().find(|problem| problem.starts_with(words));
        let said = said.unwrap_or_else(|| panic!("{words} in {problems:#?}"));
        assert!(said.contains(": "), "{said}");
    }
}

#[test]
fn what_is_malformed_is_refused_while_it_is_read() {
    for (before, after) in [
        ("path = \"/users\",", "path = \"users\","),
        ("/users/{user.id}", "/users/{user}"),
        ("/users/{user.id}", "/users/x{user.id}"),
        ("/users/{user.id}", "/users?id={user.id}"),
        ("{user.account:quoted}", "{user.account}"),
        ("mail = \"{user.account}\"", "mail = \"<{user.account}>\""),
        ("mail = \"{user.account}\"", "mail = 2026-01-01"),
        ("id = \"/id\", account", "id = \"id\", account"),
        ("items = \"/rows\"", "items = \"$.rows\""),
        ("batch = 10", "batch = 0"),
        ("status = 200", "status = 99"),
        ("status = 200", "status = []"),
        ("means = \"done\"", "means = \"fine\""),
        ("on = [\"add_members\"]", "on = [\"add_member\"]"),
        ("style = \"cursor\"", "style = \"scroll\""),
        (
            "[operations]",
            "[operations]\nrename_group = { path = \"/x\" }",
        ),
        ("delete_group = {", "delete_group = { method = \"FETCH\","),
        ("delete_group = {", "delete_group = { pth = \"/x\","),
    ] {
        assert!(WHOLE.contains(before), "{before}");
        let text = WHOLE.replacen(before, after, 1);
        assert!(toml::from_str::<Settings>(&text).is_err(), "{after}");
    }
}
