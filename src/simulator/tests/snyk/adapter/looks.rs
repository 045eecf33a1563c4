//! What is known from before a call, what is looked up again, and what a look may hide.

use super::*;

#[actix_web::test]
async fn the_roles_are_looked_at_when_nothing_was_read_before() {
    // Right after a start: ann is an administrator, and stays one.
    let stand = Stand::new(|_| {}).await;
    assert_eq!(
        stand.add(MEMBER, "ann", MEMBER).await,
        Ok(MemberOutcome::Above(stand.role(ADMIN)))
    );
    assert_eq!(stand.has("ann").as_deref(), Some(ADMIN));
    let ben = stand.add(VIEWER, "ben", VIEWER).await;
    assert_eq!(
        ben,
        Ok(MemberOutcome::Applied),
        "member stands behind viewer"
    );
}

#[actix_web::test]
async fn an_id_that_is_out_of_date_is_looked_up_again() {
    let stand = Stand::new(|_| {}).await;
    stand.read().await;
    let other = Scene {
        snyk: Api::open(&quick(&stand.simulator)).unwrap(),
        group: stand.group.clone(),
        simulator: Judged::start(Application::Snyk, &company()),
    };
    // Somebody takes ben out and puts him there again: another membership.
    let ben = other.of("ben").await.unwrap();
    other.snyk.delete(&stand.group, &ben.id).await.unwrap();
    let made = other
        .snyk
        .create(&stand.group, &ben.user_id, &ben.role_id)
        .await;
    assert_ne!(made.unwrap(), ben.id);
    stand.called();
    assert_eq!(
        stand.add(VIEWER, "ben", VIEWER).await,
        Ok(MemberOutcome::Applied)
    );
    assert_eq!(stand.has("ben").as_deref(), Some(VIEWER));

    let dan = other.of("dan").await.unwrap();
    assert_eq!(dan.role_name, MEMBER);
    stand.withdraw("ben").await.unwrap();
    assert_eq!(stand.has("ben"), None);
    stand.withdraw("ben").await.unwrap();
    assert_eq!(
        stand.called().last().map(String::as_str),
        Some("list_memberships")
    );
}

#[actix_web::test]
async fn a_removal_goes_out_although_a_lagging_look_would_not_show_the_member() {
    let stand = Stand::new(|_| {}).await;
    stand.simulator.faults(Faults {
        read_lag_ms: 60_000,
        ..Faults::default()
    });
    stand.add(VIEWER, "cat", VIEWER).await.unwrap();
    assert_eq!(
        stand.remove(VIEWER, "cat", None).await,
        Ok(MemberOutcome::Applied)
    );
    assert_eq!(stand.has("cat"), None);
}

#[actix_web::test]
async fn of_who_was_read_to_be_there_a_look_that_shows_nothing_is_no_proof() {
    for (lag, again) in [
        (Duration::ZERO, Ok(MemberOutcome::Applied)),
        (LAG, Ok(MemberOutcome::Waits(LAG))),
    ] {
        let stand = Stand::new(|_| {}).await;
        stand.upstream.begin(&crate::upstream::Lags {
            read_lag: lag,
            ..crate::upstream::Lags::default()
        });
        stand.read().await;
        let ids = vec![email("ben")];
        stand.fails(Failure::LeftOut { ids }, "list_memberships");
        let unshown = stand.remove(MEMBER, "ben", None).await;
        assert_eq!(unshown, Ok(MemberOutcome::Waits(lag)));
        assert_eq!(stand.called(), ["list_memberships"]);
        let end = stand.remove(MEMBER, "ben", None).await;
        match (&end, &again) {
            (Ok(MemberOutcome::Waits(rest)), Ok(MemberOutcome::Waits(_))) => {
                assert!(*rest <= lag);
                assert_eq!(stand.called(), [""; 0], "it is too early");
            }
            _ => {
                assert_eq!(end, again);
                assert_eq!(stand.called(), ["list_memberships", "delete_membership"]);
            }
        }
    }
    // Where nothing is known one look is enough.
    let stand = Stand::new(|_| {}).await;
    let nobody = stand.remove(MEMBER, "cat", None).await;
    assert_eq!(nobody, Ok(MemberOutcome::Seen));
}

const LAG: Duration = Duration::from_secs(3_600);

#[actix_web::test]
async fn what_a_look_soon_after_the_start_shows_of_another_connection_is_no_refusal() {
    let company = with_an_auditor();
    for (sent_lately, lag, refused) in [(true, 3_600, false), (true, 0, true), (false, 3_600, true)]
    {
        let stand = Stand::of(&company, |settings| settings.groups = order(&[VIEWER])).await;
        stand.upstream.begin(&crate::upstream::Lags {
            read_lag: Duration::from_secs(lag),
            late_writes: Duration::ZERO,
            sent_lately,
            unanswered: false,
        });
        stand.read().await;
        let end = stand.add(VIEWER, "cat", VIEWER).await;
        if refused {
            assert!(barred(end).contains("neither lowered"));
        } else {
            assert!(matches!(end, Ok(MemberOutcome::Waits(_))), "{end:?}");
        }
        assert_eq!(stand.has("cat").as_deref(), Some("auditor"));
    }
}

#[actix_web::test]
async fn what_somebody_did_in_snyk_since_our_call_is_seen_before_anything_is_taken_away() {
    let stand = Stand::new(|_| {}).await;
    let other = as_another(&stand);
    stand.add(VIEWER, "cat", VIEWER).await.unwrap();
    let cat = stand.who("cat", Some(ADMIN));
    let by_hand = Operation::AddMembers {
        group: stand.role(ADMIN),
        members: vec![cat],
    };
    other.apply(&by_hand).await.unwrap();
    let left = stand.remove(VIEWER, "cat", None).await;
    assert_eq!(left, Ok(MemberOutcome::Seen));
    assert_eq!(stand.has("cat").as_deref(), Some(ADMIN));
    // And before anything is raised.
    let stand = Stand::new(|_| {}).await;
    let other = as_another(&stand);
    stand.read().await;
    let ben = stand.who("ben", Some(ADMIN));
    let by_hand = Operation::AddMembers {
        group: stand.role(ADMIN),
        members: vec![ben],
    };
    other.apply(&by_hand).await.unwrap();
    let covered = stand.add(VIEWER, "ben", VIEWER).await;
    assert_eq!(covered, Ok(MemberOutcome::Above(stand.role(ADMIN))));
    assert_eq!(stand.has("ben").as_deref(), Some(ADMIN));
}

#[actix_web::test]
async fn what_a_reading_told_is_out_of_date_once_another_connection_has_changed_it() {
    for lowered in [true, false] {
        let stand = Stand::new(|_| {}).await;
        let other = as_another(&stand);
        stand.read().await;
        other.users().await.unwrap();
        let raise = Operation::AddMembers {
            group: stand.role(VIEWER),
            members: vec![stand.who("ben", Some(VIEWER))],
        };
        other.apply(&raise).await.unwrap();
        if lowered {
            let left = stand.remove(MEMBER, "ben", None).await;
            assert_eq!(left, Ok(MemberOutcome::Seen));
        } else {
            stand.withdraw_but("ben", VIEWER).await;
        }
        assert_eq!(stand.has("ben").as_deref(), Some(VIEWER));
    }
}

#[actix_web::test]
async fn a_look_that_may_be_of_before_our_call_is_waited_for() {
    let stand = Stand::new(|_| {}).await;
    stand.read().await;
    lag(&stand);
    stand.add(VIEWER, "ben", VIEWER).await.unwrap();
    let unclear = stand.remove(VIEWER, "ben", None).await;
    assert!(
        matches!(unclear, Ok(MemberOutcome::Waits(_))),
        "{unclear:?}"
    );
    stand.simulator.faults(Faults::default());
    let left = stand.remove(VIEWER, "ben", None).await;
    assert_eq!(left, Ok(MemberOutcome::Applied));
}

#[actix_web::test]
async fn roles_are_groups_of_one_family_and_members_are_told_from_who_is_above() {
    let stand = Stand::of(&two_groups(), |_| {}).await;
    let groups = stand.upstream.groups().await.unwrap();
    let told: Vec<(&str, u32)> = groups
        .iter()
        .map(|group| {
            let family = group.family.as_ref().unwrap();
            (group.fields["displayName"].as_str(), family.rank)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("Example: group_admin", 0),
            ("Example: group_member", 1),
            ("Labs: group_viewer", 0)
        ]
    );
    let members = stand.upstream.members(&stand.role(MEMBER)).await.unwrap();
    let covered: Vec<(&str, bool)> = members
        .iter()
        .map(|member| (member.account.as_deref().unwrap(), member.covers))
        .collect();
    assert_eq!(
        covered,
        [
            ("ann@example.com", true),
            ("ben@example.com", false),
            ("dan@example.com", false)
        ]
    );
    let one = stand
        .upstream
        .group(&groups[1].name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(one.family, groups[1].family);
    let none = stand
        .upstream
        .group("10000000-0000-4000-8000-000000000009/x")
        .await;
    assert_eq!(none, Ok(None));
}

#[actix_web::test]
async fn one_reading_of_a_snyk_group_serves_a_whole_import() {
    let stand = Stand::of(&two_groups(), |_| {}).await;
    let read = async {
        stand.upstream.users().await.unwrap();
        for group in stand.upstream.groups().await.unwrap() {
            stand.upstream.members(&group.name).await.unwrap();
        }
    };
    crate::upstream::in_background(read).await;
    assert_eq!(
        stand.called(),
        ["list_groups", "list_memberships", "list_memberships"]
    );
}

#[actix_web::test]
async fn a_look_at_one_user_is_another_witness_than_the_list() {
    let stand = Stand::new(|_| {}).await;
    stand.read().await;
    for (role, name, has) in [
        (MEMBER, "ben", true),
        (MEMBER, "ann", true),
        (ADMIN, "ben", false),
        (MEMBER, "eve", false),
    ] {
        let (group, who) = (stand.role(role), stand.who(name, None));
        let seen = stand.upstream.has(&group, &who).await;
        assert_eq!(seen, Ok(Some(has)), "{name} in {role}");
    }
    assert_eq!(stand.called(), ["list_memberships"; 4]);
}
