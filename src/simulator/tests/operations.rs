//! Every operation on a healthy application.

use serde_json::json;

use super::*;
use crate::{
    scim::resource::Attributes,
    upstream::opsera::{
        USER_EXTENSION,
        operations::{Key, Name},
        settings::{MembersBy, Route},
    },
};
use MemberOutcome::{Applied, LeftOut};

#[actix_web::test]
async fn a_group_and_its_members_are_made_in_one_call() {
    let bench = Bench::new();
    let members = bench.principals(&["ann", "cat"]);
    let name = "new-team".to_owned();
    let made = bench.apply(Operation::CreateGroup { name, members }).await;
    assert_eq!(outcomes(&made.unwrap()), [Applied, Applied]);
    assert_eq!(bench.called(), ["create_group"]);
    let body = bench.calls()[0].json();
    assert_eq!(body["groupMemberUserIds"].as_array().unwrap().len(), 2);
    assert!(body.get("groupMemberEmailAddresses").is_none());
    let state = bench.state();
    assert_eq!(
        state.group("new-team").unwrap().members,
        [email("ann"), email("cat")]
    );

    let again = bench
        .apply(Operation::CreateGroup {
            name: "new-team".into(),
            members: Vec::new(),
        })
        .await;
    assert!(
        matches!(again, Err(UpstreamError::Exists { .. })),
        "{again:?}"
    );
    assert_eq!(bench.calls()[1].json(), json!({ "name": "new-team" }));
}

#[actix_web::test]
async fn members_are_added_removed_and_replaced() {
    let bench = Bench::new();
    assert_eq!(
        outcomes(&bench.add(&["cat", "dan"]).await.unwrap()),
        [Applied, Applied]
    );
    assert_eq!(bench.crew(), ["ann", "ben", "cat", "dan"]);
    assert_eq!(outcomes(&bench.remove(&["ann"]).await.unwrap()), [Applied]);
    assert_eq!(bench.crew(), ["ben", "cat", "dan"]);
    let kept = bench.replace(&["ann", "ben"]).await.unwrap();
    assert_eq!(outcomes(&kept), [Applied, Applied]);
    assert_eq!(bench.crew(), ["ann", "ben"]);
    assert_eq!(bench.replace(&[]).await.unwrap(), Outcome::default());
    assert!(bench.crew().is_empty());
    assert_eq!(
        bench.called(),
        [
            "add_members",
            "remove_members",
            "replace_members",
            "replace_members"
        ]
    );
}

#[actix_web::test]
async fn nothing_to_say_is_no_call() {
    let bench = Bench::new();
    bench.add(&[]).await.unwrap();
    bench.remove(&[]).await.unwrap();
    assert!(bench.called().is_empty());
}

#[actix_web::test]
async fn ids_and_emails_are_never_mixed() {
    let bench = Bench::new();
    let mut members = bench.principals(&["cat", "dan"]);
    members[1].upstream_id = None;
    members[0].account = members[0].account.to_uppercase();
    let group = "crew".to_owned();
    let added = bench.apply(Operation::AddMembers { group, members }).await;
    assert_eq!(
        outcomes(&added.unwrap()),
        [Applied, Applied],
        "letter case does not matter"
    );
    let body = bench.calls()[0].json();
    assert_eq!(
        body,
        json!({ "members": ["CAT@EXAMPLE.COM", "dan@example.com"] })
    );

    let bench = Bench::with(|settings| settings.members_by = MembersBy::Email);
    bench.add(&["cat"]).await.unwrap();
    assert_eq!(
        bench.calls()[0].json(),
        json!({ "members": ["cat@example.com"] })
    );
}

#[actix_web::test]
async fn what_the_answer_does_not_list_is_left_out() {
    let bench = Bench::new();
    let outcome = bench.add(&["ann", "cat"]).await.unwrap();
    assert_eq!(outcomes(&outcome), [LeftOut, Applied], "Ann was in already");
    bench.faults(|faults| faults.unknown_members = super::super::Treatment::Lenient);
    let outcome = bench.remove(&["nobody", "ben"]).await.unwrap();
    assert_eq!(outcomes(&outcome), [LeftOut, Applied]);
}

#[actix_web::test]
async fn a_user_is_made_changed_and_deactivated() {
    let bench = Bench::new();
    let create = Operation::CreateUser {
        account: email("fay"),
        role: None,
        upstream_id: None,
        fields: fields(&[
            ("firstName", "Fay"),
            ("lastName", "Field"),
            ("title", "Pilot"),
            ("team", "is no creation field"),
        ]),
    };
    bench.apply(create.clone()).await.unwrap();
    assert_eq!(
        bench.calls()[0].json(),
        json!({ "firstName": "Fay", "lastName": "Field", "title": "Pilot",
                "email": "fay@example.com", "siteRole": "Users" })
    );
    let again = bench.apply(create).await;
    assert!(
        matches!(again, Err(UpstreamError::Exists { .. })),
        "{again:?}"
    );

    let principal = bench.principals(&["fay"]).remove(0);
    let role = Operation::SetRole {
        principal: principal.clone(),
        role: "Auditors".into(),
    };
    bench.apply(role).await.unwrap();
    assert_eq!(
        bench.state().user(&email("fay")).unwrap().site_role,
        "Auditors"
    );

    let gone = Operation::DeactivateUser { principal };
    bench.apply(gone.clone()).await.unwrap();
    assert!(!bench.state().user(&email("fay")).unwrap().active);
    bench.apply(gone).await.unwrap();
    let nobody = Operation::DeactivateUser {
        principal: by_email(&["nobody"]).remove(0),
    };
    let missing = bench.apply(nobody).await;
    assert!(
        matches!(missing, Err(UpstreamError::Missing { .. })),
        "{missing:?}"
    );
}

#[actix_web::test]
async fn an_owner_cannot_be_deactivated() {
    let bench = Bench::new();
    let principal = bench.principals(&["dan"]).remove(0);
    let refused = bench.apply(Operation::DeactivateUser { principal }).await;
    let Err(UpstreamError::Rejected { reason }) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("assets"), "{reason}");
}

#[actix_web::test]
async fn a_profile_is_updated_or_made_whichever_is_needed() {
    let bench = Bench::new();
    let upsert = |name: &str, exists| Operation::UpsertProfile {
        account: email(name),
        fields: fields(&[("firstName", "New"), ("team", "")]),
        exists,
    };
    for (name, exists, calls) in [
        ("ann", None, vec!["update_person"]),
        ("ann", Some(true), vec!["update_person"]),
        ("ben", None, vec!["update_person", "create_person"]),
        ("ben", Some(false), vec!["create_person", "update_person"]),
        ("cat", Some(false), vec!["create_person"]),
    ] {
        bench.simulator.forget_calls();
        bench.apply(upsert(name, exists)).await.unwrap();
        assert_eq!(bench.called(), calls, "{name} {exists:?}");
        let state = bench.state();
        let person = state.person(&email(name)).unwrap();
        assert_eq!(person["firstName"], "New");
        assert_eq!(person["team"], "");
    }
}

#[actix_web::test]
async fn everything_there_is_can_be_read() {
    let bench = Bench::new();
    let users = bench.upstream.users().await.unwrap();
    assert_eq!(users.len(), 4, "active ones only");
    let ann = &users[0];
    assert_eq!(ann.account, email("ann"));
    assert_eq!(ann.upstream_id, Some(bench.state().users[0].id.clone()));
    assert_eq!(ann.lists["tools"].len(), 1);
    let attributes = bench.upstream.user_attributes(ann, None);
    assert_eq!(attributes.text("userName"), Some("ann@example.com"));
    assert_eq!(attributes.nested("name", "familyName"), Some("Tester"));
    assert_eq!(attributes.nested(USER_EXTENSION, "ssoSystem"), Some("okta"));
    assert_eq!(attributes.0["entitlements"][1]["type"], "tool");

    let groups = bench.upstream.groups().await.unwrap();
    let read_only: Vec<_> = groups
        .iter()
        .map(|group| (group.name.as_str(), group.read_only.is_some()))
        .collect();
    assert_eq!(
        read_only,
        [
            ("Old Name", false),
            ("approvers", true),
            ("crew", false),
            ("mirror", true)
        ]
    );
    let members = bench.upstream.members("Old Name").await.unwrap();
    assert_eq!(members.len(), 2);
    assert!(members[0].upstream_id.is_some(), "Cat, as a whole user");
    assert_eq!(members[1].upstream_id, None, "Eve, as an e-mail alone");
    assert_eq!(members[1].account, Some(email("eve")));

    let missing = bench.upstream.members("crews").await;
    assert!(matches!(missing, Err(UpstreamError::Missing { .. })));
    assert!(bench.upstream.group("crew").await.unwrap().is_some());
    assert!(
        bench.upstream.group("Crew").await.unwrap().is_none(),
        "names are case-sensitive"
    );
    assert!(bench.upstream.user(&email("ann")).await.unwrap().is_some());
    assert!(
        bench.upstream.user(&email("eve")).await.unwrap().is_none(),
        "inactive"
    );
    assert!(
        bench
            .upstream
            .user(&email("nobody"))
            .await
            .unwrap()
            .is_none()
    );
}

#[actix_web::test]
async fn protected_groups_are_never_written() {
    let bench = Bench::with(|settings| settings.protected_groups = vec!["Crew".into()]);
    assert_eq!(bench.upstream.group_name("crew").unwrap_err().status, 403);
    let groups = bench.upstream.groups().await.unwrap();
    let crew = groups.iter().find(|group| group.name == "crew").unwrap();
    assert!(
        crew.read_only
            .as_ref()
            .unwrap()
            .contains("protected_groups")
    );
    bench.simulator.forget_calls();
    let name = "crew".to_owned();
    for refused in [
        bench.add(&["cat"]).await,
        bench.remove(&["ann"]).await,
        bench.replace(&[]).await,
        bench.apply(Operation::DeleteGroup { name }).await,
    ] {
        assert!(
            matches!(refused, Err(UpstreamError::Rejected { .. })),
            "{refused:?}"
        );
    }
    assert!(bench.called().is_empty());
}

#[actix_web::test]
async fn a_group_is_deleted_once_and_again() {
    let bench = Bench::new();
    for name in ["crew", "crew", "Old Name"] {
        let name = name.to_owned();
        bench.apply(Operation::DeleteGroup { name }).await.unwrap();
    }
    let state = bench.state();
    assert!(state.group("crew").is_none() && state.group("Old Name").is_none());
    assert_eq!(
        bench.calls()[2].path,
        "/api/v2/groupmanagement/group/Old%20Name"
    );
}

#[actix_web::test]
async fn verbs_paths_and_keys_follow_the_configuration() {
    let bench = Bench::with(|settings| {
        let route = |method: &str, path: &str| Route {
            method: Some(method.into()),
            path: Some(path.into()),
        };
        let members = "/api/v2/groupmanagement/group/{name}/members";
        settings
            .operations
            .insert(Name::AddMembers, route("PATCH", members));
        settings.operations.insert(
            Name::RemoveMembers,
            route("POST", &format!("{members}/remove")),
        );
        settings.keys.insert(Key::Added, "message".into());
    });
    bench.add(&["cat"]).await.unwrap();
    bench.remove(&["cat"]).await.unwrap();
    let calls = bench.calls();
    assert_eq!(
        (calls[0].method.as_str(), calls[0].operation.as_str()),
        ("PATCH", "add_members")
    );
    assert_eq!(
        calls[1].path,
        "/api/v2/groupmanagement/group/crew/members/remove"
    );
    let listed_elsewhere = bench.add(&["dan"]).await.unwrap();
    assert_eq!(
        outcomes(&listed_elsewhere),
        [MemberOutcome::Unknown],
        "no list where the key points"
    );
    bench.simulator.overlook_strange_calls();
}

#[actix_web::test]
async fn a_large_group_costs_no_more_than_a_small_one() {
    let bench = Bench::new();
    let company = Company::of_size(3_000);
    let team = Team {
        name: "crew".into(),
        members: company
            .users
            .iter()
            .skip(1)
            .map(|user| user.email.clone())
            .collect(),
        ..Team::default()
    };
    bench.simulator.seed(&Company {
        groups: vec![team],
        ..company
    });
    let first = bench.state().users[0].email.clone();
    let mut members = by_email(&["x"]);
    members[0].account = first;
    let group = "crew".to_owned();
    let added = bench.apply(Operation::AddMembers { group, members }).await;
    assert_eq!(outcomes(&added.unwrap()), [Applied]);
    assert_eq!(bench.upstream.members("crew").await.unwrap().len(), 3_000);
}

#[actix_web::test]
async fn the_check_says_what_is_wrong_and_what_to_do() {
    let bench = Bench::new();
    let findings = bench.upstream.check().await;
    assert_eq!(findings.len(), 6);
    assert!(findings.iter().all(|finding| finding.ok), "{findings:?}");
    assert!(bench.called().iter().all(|name| name.starts_with("search")
        || name.starts_with("list")
        || name.starts_with("get")));

    let wrong = Bench::with(|settings| {
        settings.token = TokenSource::Literal("wrong-token".to_owned().into());
    });
    let findings = wrong.upstream.check().await;
    assert_eq!(
        findings.iter().map(|it| it.ok).collect::<Vec<_>>(),
        [true, false]
    );
    assert!(findings[1].remedy.is_some());

    let lost = Bench::with(|settings| {
        let path = Some("/api/v9/groups".to_owned());
        settings
            .operations
            .insert(Name::ListGroups, Route { method: None, path });
    });
    let findings = lost.upstream.check().await;
    let bad = findings.iter().find(|finding| !finding.ok).unwrap();
    assert!(
        bad.remedy
            .as_ref()
            .unwrap()
            .contains("operations.list_groups"),
        "{bad:?}"
    );
    lost.simulator.overlook_strange_calls();

    let nobody = opsera::open(settings("http://127.0.0.1:9".into())).unwrap();
    let findings = nobody.check().await;
    assert_eq!(findings.len(), 1);
    assert!(!findings[0].ok && findings[0].remedy.is_some());
}

#[actix_web::test]
async fn no_text_shows_the_token() {
    let bench = Bench::new();
    bench.add(&["cat"]).await.unwrap();
    assert!(!format!("{:?}", bench.upstream).contains(TOKEN));
    let user = Attributes::default();
    assert!(bench.upstream.project(&user).unwrap().key.is_none());
}
