//! What is refused and in which words, who is linked, and what a check says.

use super::*;

#[actix_web::test]
async fn whoever_is_in_an_organization_is_removed_only_with_cascade() {
    let stand = Stand::new(|_| {}).await;
    let reason = barred(stand.remove(MEMBER, "dan", None).await);
    assert!(
        reason.contains("organizations") && reason.contains("cascade = true"),
        "{reason}"
    );
    barred(stand.withdraw("dan").await);
    assert_eq!(stand.has("dan").as_deref(), Some(MEMBER));
    let stand = Stand::new(|settings| settings.cascade = true).await;
    let gone = stand.remove(MEMBER, "dan", None).await;
    assert_eq!(gone, Ok(MemberOutcome::Applied));
    assert_eq!(stand.has("dan"), None);
}

#[actix_web::test]
async fn an_account_is_linked_by_its_address_or_staged_or_refused() {
    let stand = Stand::new(|_| {}).await;
    let ben = stand.link("ben", None).await.unwrap();
    assert_eq!(ben.upstream_id, stand.who("ben", None).upstream_id);
    for name in ["cat", "nobody"] {
        let staged = stand.link(name, None).await;
        assert!(
            matches!(staged, Err(UpstreamError::Staged { .. })),
            "{name}: {staged:?}"
        );
    }
    let called = stand.called();
    assert!(
        called.iter().all(|it| it.starts_with("list_")),
        "{called:?}"
    );

    let stand = Stand::new(|settings| {
        settings.unknown_users = snyk::settings::UnknownUsers::Refuse;
        settings.sso = snyk::settings::Sso::Link;
    })
    .await;
    let cat = stand.link("cat", None).await.unwrap();
    assert_eq!(cat.upstream_id, stand.who("cat", None).upstream_id);
    let reason = barred(stand.link("nobody", None).await);
    assert!(reason.contains("signing in to Snyk"), "{reason}");
    let found = stand.upstream.user(&email("cat")).await.unwrap().unwrap();
    assert_eq!((found.upstream_id, found.active), (cat.upstream_id, true));
    assert_eq!(stand.upstream.user(&email("nobody")).await, Ok(None));
}

#[actix_web::test]
async fn what_is_not_configured_is_never_given_and_may_be_taken_away() {
    let group = "10000000-0000-4000-8000-000000000001";
    let text = format!(
        "[[groups]]\ngroup = \"{group}\"\nrole = \"group_viewer\"\n[[groups]]\ngroup = \"{group}\"\nrole = \"group_member\"\n"
    );
    let stand = Stand::new(|settings| {
        let configured: SnykSettings = toml::from_str(&text).unwrap();
        settings.groups = configured.groups;
    })
    .await;
    stand.read().await;
    let reason = barred(stand.add(ADMIN, "ben", ADMIN).await);
    assert!(reason.contains("configuration"), "{reason}");
    assert_eq!(
        stand.called(),
        ["list_memberships"],
        "it may be there still"
    );
    // Nobody is a viewer, so that role is known by nothing but its being new.
    let groups = stand.upstream.groups().await.unwrap();
    assert_eq!(groups.len(), 1);
    let first = stand.add(VIEWER, "ben", VIEWER).await;
    assert_eq!(first, Ok(MemberOutcome::Applied));
    assert_eq!(stand.upstream.groups().await.unwrap().len(), 2);
    // What was configured once can be given up.
    let other = as_another(&stand);
    let cat = Operation::AddMembers {
        group: stand.role(ADMIN),
        members: vec![stand.who("cat", Some(ADMIN))],
    };
    other.apply(&cat).await.unwrap();
    let left = stand.remove(ADMIN, "cat", None).await;
    assert_eq!(left, Ok(MemberOutcome::Applied));
}

#[actix_web::test]
async fn other_acts_are_refused_in_the_words_of_the_table_without_a_call() {
    let stand = Stand::new(|_| {}).await;
    let members = vec![stand.who("ben", None), stand.who("cat", None)];
    let group = stand.role(MEMBER);
    let can = stand.upstream.capabilities().clone();
    for (operation, act) in [
        (
            Operation::CreateGroup {
                name: "x".into(),
                members: Vec::new(),
            },
            Act::CreateGroup,
        ),
        (
            Operation::DeleteGroup {
                name: group.clone(),
            },
            Act::DeleteGroup,
        ),
        (
            Operation::ReplaceMembers {
                group: group.clone(),
                members: members.clone(),
            },
            Act::ReplaceMembers,
        ),
        (
            Operation::AddMembers { group, members },
            Act::ReplaceMembers,
        ),
    ] {
        let refused = stand.upstream.apply(&operation).await;
        let reason = can.note(act).to_owned();
        assert_eq!(refused, Err(UpstreamError::Rejected { reason }));
    }
    assert_eq!(stand.called(), Vec::<String>::new());
}

#[actix_web::test]
async fn a_check_reads_everything_and_says_what_is_missing() {
    let stand = Stand::new(|settings| settings.sso = snyk::settings::Sso::Link).await;
    let found = stand.upstream.check().await;
    assert!(found.iter().all(|finding| finding.ok), "{found:#?}");
    let told: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
    let told = told.concat();
    for part in [
        "3 memberships",
        "Example: group_admin",
        "1 SSO connections",
        "not tried",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let stand = Stand::new(|settings| settings.administrator_role = "owner".into()).await;
    let found = stand.upstream.check().await;
    let wrong: Vec<_> = found.iter().filter(|finding| !finding.ok).collect();
    assert_eq!(wrong.len(), 1, "{found:#?}");
    assert!(
        wrong[0]
            .remedy
            .as_ref()
            .unwrap()
            .contains("administrator_role")
    );
    stand.simulator.faults(Faults {
        latency_ms: 5,
        rules: vec![Rule::always(Failure::Status {
            status: 500,
            retry_after: None,
        })],
        ..Faults::default()
    });
    let took = std::time::Instant::now();
    let found = stand.upstream.check().await;
    assert!(!found[0].ok && found.len() == 1, "{found:#?}");
    assert!(took.elapsed() < Duration::from_secs(20));
}

#[actix_web::test]
async fn an_addition_that_snyk_does_not_find_is_refused_in_true_words() {
    let stand = Stand::new(|_| {}).await;
    stand.read().await;
    let not_found = |operation: &str| Rule {
        operation: Some(operation.into()),
        ..Rule::always(Failure::Status {
            status: 404,
            retry_after: None,
        })
    };
    stand.simulator.faults(Faults {
        rules: vec![not_found("create_membership")],
        ..Faults::default()
    });
    let refused = stand.add("group_viewer", "cat", "group_viewer").await;
    let Err(UpstreamError::Barred { reason }) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        reason.contains("does not find the user or the role"),
        "{reason}"
    );
    let called = stand.called();
    let sent = called.iter().filter(|it| *it == "create_membership");
    assert_eq!(sent.count(), 2, "{called:?}");
    // A Snyk Group that is not shown may come back, and the member waits.
    stand.simulator.faults(Faults {
        rules: vec![not_found("create_membership"), not_found("get_group")],
        ..Faults::default()
    });
    let waits = stand.add("group_viewer", "cat", "group_viewer").await;
    assert!(
        matches!(waits, Err(UpstreamError::Later { .. })),
        "{waits:?}"
    );
}

/// The list of all groups is beta; what is configured is asked for by its id.
#[actix_web::test]
async fn a_check_of_configured_groups_needs_no_list_of_them() {
    let group = |group: &str| snyk::settings::OneGroup {
        group: group.to_owned(),
        role: Some(MEMBER.into()),
        role_id: None,
        display_name: None,
    };
    let there = "10000000-0000-4000-8000-000000000001";
    for status in [403, 404] {
        let refuse = |operation: &str, status| Rule {
            operation: Some(operation.into()),
            ..Rule::always(Failure::Status {
                status,
                retry_after: None,
            })
        };
        let stand = Stand::new(|settings| settings.groups = vec![group(there)]).await;
        stand.simulator.faults(Faults {
            rules: vec![refuse("list_groups", status)],
            ..Faults::default()
        });
        let found = stand.upstream.check().await;
        assert!(found.iter().all(|it| it.ok), "{status}: {found:#?}");
        assert!(found.iter().any(|it| it.what.contains("3 memberships")));
        assert!(stand.called().contains(&"get_group".to_owned()));
        stand.simulator.faults(Faults {
            rules: vec![refuse("list_groups", status), refuse("get_group", 403)],
            ..Faults::default()
        });
        let found = stand.upstream.check().await;
        let wrong: Vec<_> = found.iter().filter(|it| !it.ok).collect();
        assert!(wrong.len() == 1 && wrong[0].what.contains("may not read the Snyk Group"));
    }
    let stand = Stand::new(|settings| settings.groups = vec![group(&there.replace('1', "9"))]);
    let found = stand.await.upstream.check().await;
    assert!(
        found.iter().any(|it| it.what.contains("is not visible")),
        "{found:#?}"
    );
}
