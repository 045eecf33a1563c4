//! A declared application as a whole: what its declaration comes to, all that
//! can be wrong with one, and what is sent and believed, against answers that
//! are written down here.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use super::*;
use crate::{
    plan::{
        capability::Act,
        state::{Principal, UserKey},
    },
    scim::resource::ResourceId,
    upstream::MemberOutcome,
};
use script::Script;

mod apart;
mod by_address;
mod declarations;
mod doubts;
mod empty;
mod errors;
mod pitfalls;
pub(in crate::upstream) mod script;

/// Everything is declared, in the smallest words.
const WHOLE: &str = r#"
name = "Acme"
base_url = "http://127.0.0.1:9/v1"
token = "a-token"
user = { id = "/id", account = "/mail", active = "/on" }
group = { id = "/id", name = "/name" }
member = { id = "/id", account = "/mail" }
errors = [{ on = ["add_members"], status = 200, at = "/oops", text = "already", means = "done" }]
[operations]
list_users = { path = "/users", items = "/rows", paging = { style = "cursor", next = "/next", query = "after" } }
find_user = { path = "/users", query = { q = "mail eq {user.account:quoted}" }, items = "/rows" }
create_user = { path = "/users", body = { mail = "{user.account}", title = "{user.title}" }, id = "/id" }
deactivate_user = { path = "/users/{user.id}" }
reactivate_user = { path = "/users/{user.id}/activate" }
list_groups = { path = "/groups", items = "/rows" }
create_group = { path = "/groups", body = { name = "{group.name}" }, id = "/id" }
delete_group = { path = "/groups/{group.id}" }
list_members = { path = "/groups/{group.id}/members" }
add_members = { path = "/groups/{group.id}/members", body = [{ id = "{member.id}" }], batch = 10, applied = "/added" }
remove_members = { path = "/groups/{group.id}/members/{member.id}" }
"#;

fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The whole of it with some words said otherwise.
fn with(changes: &[(&str, &str)]) -> Settings {
    let mut text = WHOLE.to_owned();
    for (before, after) in changes {
        assert!(text.contains(before), "{before}");
        text = text.replace(before, after);
    }
    settings(&text)
}

fn principal(n: u8, id: Option<&str>) -> Principal {
    Principal {
        user: UserKey(n.into()),
        id: ResourceId::from_bytes([n; 16]),
        account: format!("u{n}@example.com"),
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

/// The application with these answers, and what it was asked.
async fn scripted(
    changes: &[(&str, &str)],
    script: &[(&str, u16, &str)],
) -> (Arc<dyn Upstream>, Script) {
    // Long enough for the slowest of machines.
    lagging(memory::LAG * 10, changes, script).await
}

/// The same where readings lag behind for no longer than this.
async fn lagging(
    lag: Duration,
    changes: &[(&str, &str)],
    script: &[(&str, u16, &str)],
) -> (Arc<dyn Upstream>, Script) {
    let script = Script::start(script).await;
    let mut settings = with(changes);
    settings.base_url = settings.base_url.replace("127.0.0.1:9", &script.address);
    settings.requests_per_second = 1_000;
    (open_with(settings, lag).unwrap(), script)
}

#[tokio::test]
async fn lists_are_read_page_by_page_and_ids_of_groups_are_looked_up_once() {
    let (application, script) = scripted(
        &[],
        &[
            (
                "GET /v1/users",
                200,
                r#"{"rows":[{"id":1,"mail":"A@b.c","on":true}],"next":"p 2"}"#,
            ),
            (
                "GET /v1/users?after=p%202",
                200,
                r#"{"rows":[{"id":2,"mail":"d@e.f","on":false}]}"#,
            ),
            (
                "GET /v1/groups",
                200,
                r#"{"rows":[{"id":"g/1","name":"Crew"}]}"#,
            ),
            (
                "GET /v1/groups/g%2F1/members",
                200,
                r#"[{"id":1,"mail":"A@b.c"}]"#,
            ),
            ("GET /v1/groups/g%2F1/members", 200, "[]"),
        ],
    )
    .await;
    let users = application.users().await.unwrap();
    let told: Vec<_> = users
        .iter()
        .map(|it| (it.account.as_str(), it.active))
        .collect();
    assert_eq!(told, [("a@b.c", true), ("d@e.f", false)]);
    let members = application.members("Crew").await.unwrap();
    assert_eq!(members[0].upstream_id.as_deref(), Some("1"));
    assert_eq!(application.members("Crew").await.unwrap().len(), 0);
    script.all_was_asked();
}

#[tokio::test]
async fn a_page_is_the_same_again_whatever_else_its_rows_say() {
    let page = |at: u8, id: u8| {
        let next = if id == 1 { "b" } else { "a" };
        format!(
            r#"{{"rows":[{{"id":{id},"mail":"u{id}@b.c","on":true,"seen":{at}}}],"next":"{next}{at}"}}"#
        )
    };
    let pages = [page(1, 1), page(2, 2), page(3, 1)];
    let (application, script) = scripted(
        &[],
        &[
            ("GET /v1/users", 200, &pages[0]),
            ("GET /v1/users?after=b1", 200, &pages[1]),
            ("GET /v1/users?after=a2", 200, &pages[2]),
        ],
    )
    .await;
    let read = application.users().await.unwrap_err();
    assert!(read.to_string().contains("the same page"), "{read}");
    script.all_was_asked();
}

#[tokio::test]
async fn members_are_told_as_declared_and_only_those_listed_are_done() {
    let (application, script) = scripted(
        &[],
        &[
            (
                "GET /v1/groups",
                200,
                r#"{"rows":[{"id":7,"name":"Crew"}]}"#,
            ),
            (
                "GET /v1/users?q=mail%20eq%20%22u2%40example.com%22",
                200,
                r#"{"rows":[{"id":22,"mail":"u2@example.com","on":true},{"id":3,"mail":"xu2@example.com","on":true}]}"#,
            ),
            (
                "POST /v1/groups/7/members [{\"id\":\"11\"},{\"id\":\"22\"}]",
                200,
                r#"{"added":["11"]}"#,
            ),
            ("DELETE /v1/groups/7/members/11", 204, ""),
            (
                "POST /v1/groups/7/members [{\"id\":\"11\"}]",
                200,
                r#"{"oops":"Already in"}"#,
            ),
            (
                "POST /v1/groups/7/members [{\"id\":\"11\"}]",
                200,
                "<html>sign in</html>",
            ),
        ],
    )
    .await;
    let both = vec![principal(1, Some("11")), principal(2, None)];
    let one = vec![principal(1, Some("11"))];
    let add = |members: &[Principal]| Operation::AddMembers {
        group: "Crew".into(),
        members: members.to_vec(),
    };
    let done = application.apply(&add(&both)).await.unwrap().members;
    assert_eq!(
        done,
        [
            (UserKey(1), MemberOutcome::Applied),
            (UserKey(2), MemberOutcome::LeftOut)
        ]
    );
    let remove = Operation::RemoveMembers {
        group: "Crew".into(),
        members: one.clone(),
    };
    let done = application.apply(&remove).await.unwrap().members;
    assert_eq!(done, [(UserKey(1), MemberOutcome::Applied)]);
    let done = application.apply(&add(&one)).await.unwrap().members;
    assert_eq!(
        done,
        [(UserKey(1), MemberOutcome::Applied)],
        "it was so already"
    );
    let page = application.apply(&add(&one)).await;
    assert!(
        matches!(page, Err(UpstreamError::Unknown { .. })),
        "{page:?}"
    );
    script.all_was_asked();
}

/// How a change ended, in a word.
fn ended(came: Result<Outcome, UpstreamError>) -> &'static str {
    match came {
        Ok(outcome) => {
            let mut all = outcome.members.iter();
            match all.find(|it| matches!(it.1, MemberOutcome::Unknown | MemberOutcome::Open)) {
                Some((_, MemberOutcome::Open)) => "open",
                Some(_) => "unknown",
                None => "done",
            }
        }
        Err(UpstreamError::Missing { .. }) => "missing",
        Err(UpstreamError::Missed { .. }) => "missed",
        Err(UpstreamError::Later { .. }) => "later",
        Err(UpstreamError::Rejected { .. }) => "rejected",
        Err(UpstreamError::Barred { .. }) => "barred",
        Err(UpstreamError::Unknown { .. }) => "unclear",
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn accounts_are_made_and_ended_and_never_believed_gone_while_they_are_there() {
    let ann = r#"{"rows":[{"id":5,"mail":"u1@example.com","on":true}]}"#;
    let search = "GET /v1/users?q=mail%20eq%20%22u1%40example.com%22";
    let (application, script) = scripted(
        &[],
        &[
            (
                "POST /v1/users {\"mail\":\"u1@example.com\",\"title\":\"Boss\"}",
                201,
                r#"{"id":5}"#,
            ),
            ("POST /v1/users {\"mail\":\"u1@example.com\"}", 409, ""),
            (
                search,
                200,
                r#"{"rows":[{"id":5,"mail":"u1@example.com","on":false}]}"#,
            ),
            ("POST /v1/users/5/activate", 200, ""),
            (search, 200, ann),
            ("DELETE /v1/users/5", 404, ""),
            (search, 200, ann),
            ("DELETE /v1/users/5", 404, ""),
            (search, 404, ""),
            (
                "GET /v1/users",
                200,
                r#"{"rows":[{"id":5,"mail":"u1@example.com","on":false}]}"#,
            ),
            ("POST /v1/users/5/activate", 200, ""),
        ],
    )
    .await;
    let create = |fields: &[(&str, &str)]| Operation::CreateUser {
        account: "u1@example.com".into(),
        role: None,
        fields: fields
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        upstream_id: None,
    };
    let made = application
        .apply(&create(&[("title", "Boss")]))
        .await
        .unwrap();
    assert_eq!(made.upstream_id.as_deref(), Some("5"));
    let inactive = application.apply(&create(&[])).await.unwrap();
    assert_eq!(
        inactive.upstream_id.as_deref(),
        Some("5"),
        "who was deleted and comes back"
    );
    let end = |id| Operation::DeactivateUser {
        principal: principal(1, id),
    };
    let there = application.apply(&end(None)).await;
    assert!(
        matches!(there, Err(UpstreamError::Rejected { .. })),
        "{there:?}"
    );
    assert_eq!(
        application.apply(&end(Some("5"))).await,
        Ok(Outcome::default())
    );
    let back = Operation::CreateUser {
        account: "u1@example.com".into(),
        role: None,
        fields: BTreeMap::new(),
        upstream_id: Some("5".into()),
    };
    let back = application.apply(&back).await.unwrap();
    assert_eq!(back.upstream_id.as_deref(), Some("5"));
    script.all_was_asked();
}

#[tokio::test]
async fn linked_accounts_are_found_and_none_is_made() {
    let search = "GET /v1/users?q=mail%20eq%20%22u1%40example.com%22";
    let (application, script) = scripted(
        &[
            ("create_user = { path = \"/users\", body = { mail = \"{user.account}\", title = \"{user.title}\" }, id = \"/id\" }", ""),
            ("active = \"/on\" }", "active = \"/on\", link = true }"),
        ],
        &[
            (search, 200, r#"{"rows":[{"id":5,"mail":"U1@example.com","on":true}]}"#),
            (
                "GET /v1/users?q=mail%20eq%20%22U1%40example.com%22",
                200,
                r#"{"rows":[]}"#,
            ),
            ("GET /v1/users", 200, r#"{"rows":[]}"#),
        ],
    )
    .await;
    let create = Operation::CreateUser {
        account: "u1@example.com".into(),
        role: None,
        fields: BTreeMap::new(),
        upstream_id: None,
    };
    assert!(application.capabilities().can(Act::CreateUser));
    let found = application.apply(&create).await.unwrap();
    assert_eq!(found.upstream_id.as_deref(), Some("5"));
    let nobody = application.apply(&create).await;
    assert!(
        matches!(nobody, Err(UpstreamError::Barred { .. })),
        "{nobody:?}"
    );
    script.all_was_asked();
}

#[test]
fn whatever_things_are_known_by_is_told_and_nothing_else() {
    let of = |changes: &[(&str, &str)]| open(with(changes)).unwrap().known_by();
    let (user, group) = ("user = { id = \"/id\"", "group = { id = \"/id\"");
    let others = [
        of(&[]),
        of(&[(user, "user = { id = \"/key\"")]),
        of(&[(user, "user = { known_by = \"name\", id = \"/id\"")]),
        of(&[(
            "account = \"/mail\", active",
            "account = \"/login\", active",
        )]),
        of(&[(group, "group = { id = \"/key\"")]),
        of(&[("name = \"/name\" }", "name = \"/title\" }")]),
        of(&[("member = { id = \"/id\"", "member = { id = \"/user/id\"")]),
        of(&[("account = \"/mail\" }", "account = \"/user/mail\" }")]),
        of(&[("account = \"/mail\" }", "text = \"id\" }")]),
    ];
    let different: std::collections::HashSet<_> = others.iter().collect();
    assert_eq!(different.len(), others.len(), "{others:#?}");
    let same = [
        ("token = \"a-token\"", "token = \"b\"\nburst = 7"),
        ("active = \"/on\"", "active = \"/up\""),
    ];
    assert_eq!(of(&same), others[0]);
}

#[test]
fn what_was_known_by_something_else_is_told_by_the_same_places() {
    let by = |changes: &[(&str, &str)]| open(with(changes)).unwrap();
    let ids = (
        "group = { id = \"/id\"",
        "group = { known_by = \"id\", id = \"/id\"",
    );
    let create = (
        "create_group = { path = \"/groups\", body = { name = \"{group.name}\" }, id = \"/id\" }\n",
        "",
    );
    let moved = ("group = { id = \"/id\"", "group = { id = \"/key\"");
    let title = ("name = \"/name\" }", "name = \"/title\" }");
    let (by_name, by_id) = (by(&[]), by(&[ids, create]));
    let former = |it: &Arc<dyn Upstream>| format!("Acme x, {}", it.known_by().unwrap());
    let row = serde_json::json!({ "id": "1", "key": "k", "name": "2", "title": "t" });
    let group = |changes: &[(&str, &str)]| {
        let groups = answers::groups(std::slice::from_ref(&row), &with(changes).group).unwrap();
        groups.all.into_iter().next().unwrap()
    };
    for (now, of, shown, told) in [
        (&by_id, &by_name, group(&[ids, create]), Some("2")),
        (&by_name, &by_id, group(&[]), Some("1")),
        (&by_name, &by_name, group(&[]), Some("2")),
        (&by(&[moved]), &by_name, group(&[moved]), Some("2")),
        (&by(&[moved]), &by_id, group(&[moved]), None),
        (&by(&[title]), &by_name, group(&[title]), None),
    ] {
        let found = now.former_group(&former(of), &shown);
        assert_eq!(found.as_deref(), told, "{}", former(of));
    }
    let user = "user = { id = \"/id\"";
    let name = (user, "user = { known_by = \"name\", id = \"/id\"");
    let key = (user, "user = { id = \"/key\"");
    let login = (
        "account = \"/mail\", active",
        "account = \"/login\", active",
    );
    let row = serde_json::json!({
        "id": 7, "key": 8, "mail": "A@b.c", "login": "ann", "on": true
    });
    let shown = |changes: &[(&str, &str)]| answers::user(&row, &with(changes).user).unwrap();
    for (changes, told, keeps) in [
        (&[][..], Some("A@b.c"), true),
        (&[name], Some("A@b.c"), true),
        (&[name, login], None, true),
        (&[key], Some("A@b.c"), false),
        (&[key, login], None, false),
    ] {
        let now = by(changes);
        let found = now.former_account(&former(&by_name), &shown(changes));
        assert_eq!(found.as_deref(), told, "{changes:?}");
        assert_eq!(now.keeps_ids(&former(&by_name)), keeps, "{changes:?}");
    }
}

#[tokio::test]
async fn a_replacement_that_is_promised_is_open_for_everybody() {
    let replace = (
        "[operations]\n",
        "[operations]\nreplace_members = { path = \"/groups/{group.id}/members\", body = [{ id = \"{member.id}\" }] }\n",
    );
    let group = (
        "GET /v1/groups",
        200,
        r#"{"rows":[{"id":"7","name":"Crew"}]}"#,
    );
    for (members, body) in [
        (vec![principal(1, Some("1"))], "[{\"id\":\"1\"}]"),
        (Vec::new(), "[]"),
    ] {
        let call = format!("PUT /v1/groups/7/members {body}");
        for (status, answer, end) in [
            (202, "{\"job\":5}", Some(true)),
            (200, "{}", Some(false)),
            (202, "{\"status\":\"failed\"}", None),
        ] {
            let (application, script) =
                scripted(&[replace], &[group, (&call, status, answer)]).await;
            let operation = Operation::ReplaceMembers {
                group: "Crew".into(),
                members: members.clone(),
            };
            let outcome = application.apply(&operation).await.ok();
            assert_eq!(outcome.map(|it| it.open), end, "{status} {answer}");
            script.all_was_asked();
        }
    }
}

#[tokio::test]
async fn a_check_tells_of_members_that_may_be_no_users() {
    let none = (
        "find_user = { path = \"/users\", query = { q = \"mail eq {user.account:quoted}\" }, items = \"/rows\" }\n",
        "",
    );
    let users = ("GET /v1/users", 200, r#"{"rows":[]}"#);
    let group = (
        "GET /v1/groups",
        200,
        r#"{"rows":[{"id":"7","name":"Crew"}]}"#,
    );
    let only = (
        "member = { id = \"/id\"",
        "member = { only = { at = \"/kind\", is = \"user\" }, id = \"/id\"",
    );
    let some = r#"[{"id":1,"mail":"a@b.c","kind":"user"},{"id":2,"kind":"group"}]"#;
    let plain = r#"[{"id":1,"mail":"a@b.c","kind":"user"}]"#;
    let without = r#"[{"id":1,"mail":"a@b.c","note":"user"}]"#;
    for (changes, members, told) in [
        (&[none] as &[_], some, Some(false)),
        (&[none], plain, Some(true)),
        (&[none], without, None),
        (&[none, only], some, None),
    ] {
        let list = ("GET /v1/groups/7/members", 200, members);
        let lists = if changes.len() == 1 { 2 } else { 1 };
        let mut lines = vec![group];
        lines.extend(vec![list; lists]);
        lines.push(users);
        let (application, script) = scripted(changes, &lines).await;
        let found = application.check().await;
        script.all_was_asked();
        let kinds = found.iter().find(|it| it.what.contains("of what kind"));
        assert_eq!(kinds.map(|it| it.ok), told, "{members}: {found:#?}");
        let remedy = kinds
            .and_then(|it| it.remedy.as_deref())
            .unwrap_or_default();
        let key = "member.only = { at = \"/kind\", is = \"user\" }";
        assert_eq!(remedy.contains(key), told == Some(false), "{remedy}");
    }
}

#[tokio::test]
async fn pages_are_read_by_the_link_headers_of_answers() {
    let cursor = r#"paging = { style = "cursor", next = "/next", query = "after" }"#;
    let header = r#"paging = { style = "link_header", size = "n", entries = 1 }"#;
    let first = concat!(
        "link: </v1/users?n=1>; rel=\"first\", </v1/users?at=b%20c&n=1>; rel=\"next\"\r\n",
        "Link: <https://docs.example.com/>; rel=\"help\"\r\n\r\n",
        r#"{"rows":[{"id":1,"mail":"a@b.c","on":true}]}"#
    );
    let last = concat!(
        "link: </v1/users?n=1>; rel=\"first\"\r\n\r\n",
        r#"{"rows":[{"id":2,"mail":"d@e.f","on":true}]}"#
    );
    let away = concat!(
        "link: <http://example.com/v1/users?at=x>; rel=\"next\"\r\n\r\n",
        r#"{"rows":[{"id":1,"mail":"a@b.c","on":true}]}"#
    );
    let (application, script) = scripted(
        &[(cursor, header)],
        &[
            ("GET /v1/users?n=1", 200, first),
            ("GET /v1/users?at=b%20c&n=1", 200, last),
            ("GET /v1/users?n=1", 200, away),
        ],
    )
    .await;
    assert_eq!(application.users().await.unwrap().len(), 2);
    let refused = application.users().await;
    assert!(
        matches!(&refused, Err(UpstreamError::Unknown { reason }) if reason.contains("another host")),
        "{refused:?}"
    );
    script.all_was_asked();
}

#[tokio::test]
async fn groups_that_are_fixed_are_known_without_a_call() {
    let fixed = [
        (
            "list_groups = { path = \"/groups\", items = \"/rows\" }\n",
            "",
        ),
        (
            "create_group = { path = \"/groups\", body = { name = \"{group.name}\" }, id = \"/id\" }\n",
            "",
        ),
        ("delete_group = { path = \"/groups/{group.id}\" }\n", ""),
        ("name = \"/name\" }", "fixed = { Crew = \"42\" } }"),
    ];
    let (application, script) = scripted(&fixed, &[("GET /v1/groups/42/members", 200, "[]")]).await;
    let groups = application.groups().await.unwrap();
    assert_eq!(groups[0].name, "Crew");
    assert!(application.group("Other").await.unwrap().is_none());
    assert!(application.members("Crew").await.unwrap().is_empty());
    script.all_was_asked();
}

#[tokio::test]
async fn a_credential_goes_where_it_is_wanted() {
    for (said, header) in [
        ("token = \"a:b\"", "authorization: Bearer a:b"),
        (
            "token = \"a:b\"\nauthentication = \"token\"",
            "authorization: token a:b",
        ),
        (
            "token = \"a:b\"\nauthentication = \"basic\"",
            "authorization: Basic YTpi",
        ),
        (
            "token = \"a:b\"\nauthentication = \"header\"\nheader = \"x-key\"",
            "x-key: a:b",
        ),
    ] {
        let media = "\nmedia_type = \"application/vnd.acme+json\"";
        let said = format!("{said}{media}");
        let (application, script) = scripted(
            &[("token = \"a-token\"", &said)],
            &[("GET /v1/groups", 200, r#"{"rows":[]}"#)],
        )
        .await;
        application.groups().await.unwrap();
        let heads = script.heads();
        assert!(heads.contains(header), "{header} in {heads}");
        assert!(
            heads.contains("accept: application/vnd.acme+json"),
            "{heads}"
        );
    }
}
