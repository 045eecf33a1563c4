//! The last administrator of a Snyk Group, whoever asks for what.

use super::*;

#[actix_web::test]
async fn the_last_administrator_stays_whatever_is_asked_for() {
    let admin_id = "30000000-0000-4000-8000-000000000001";
    for role in [ADMIN, "Group Admin", admin_id] {
        let stand = Stand::new(|settings| settings.administrator_role = role.into()).await;
        let reason = barred(stand.remove(ADMIN, "ann", None).await);
        assert!(reason.contains("nobody else has the role"), "{reason}");
        barred(stand.remove(ADMIN, "ann", Some(VIEWER)).await);
        barred(stand.withdraw("ann").await);
        stand.read().await;
        barred(stand.withdraw("ann").await);
        assert_eq!(stand.has("ann").as_deref(), Some(ADMIN));
        let called = stand.called();
        assert!(
            called.iter().all(|it| it.starts_with("list_")),
            "{called:?}"
        );

        stand.add(ADMIN, "ben", ADMIN).await.unwrap();
        let left = stand.remove(ADMIN, "ann", Some(MEMBER)).await;
        assert_eq!(left, Ok(MemberOutcome::Applied), "there is another one");
        barred(stand.remove(ADMIN, "ben", None).await);
    }
}

#[actix_web::test]
async fn of_two_administrators_who_leave_at_once_one_stays() {
    let stand = Stand::new(|_| {}).await;
    stand.add(ADMIN, "ben", ADMIN).await.unwrap();
    stand.simulator.faults(Faults {
        latency_ms: 20,
        ..Faults::default()
    });
    let both = [stand.withdraw("ann"), stand.withdraw("ben")];
    let ends = futures_util::future::join_all(both).await;
    let refused = ends.iter().filter(|end| end.is_err()).count();
    assert_eq!(refused, 1, "{ends:?}");
    let left = ["ann", "ben"].map(|name| stand.has(name));
    assert_eq!(left.iter().flatten().count(), 1, "{left:?}");
}

#[actix_web::test]
async fn the_last_administrator_stays_also_where_another_role_stands_before() {
    let stand = Stand::new(|settings| settings.groups = order(&[VIEWER, ADMIN, MEMBER])).await;
    stand.read().await;
    stand.add(VIEWER, "ben", VIEWER).await.unwrap();
    stand.read().await;
    let reason = barred(stand.add(VIEWER, "ann", VIEWER).await);
    assert!(reason.contains("nobody else has the role"), "{reason}");
    assert_eq!(stand.has("ann").as_deref(), Some(ADMIN));
    stand.add(ADMIN, "dan", ADMIN).await.unwrap();
    let lowered = stand.add(VIEWER, "ann", VIEWER).await;
    assert_eq!(lowered, Ok(MemberOutcome::Applied), "it was asked for");
}

#[actix_web::test]
async fn an_administrator_who_just_left_is_none_who_stays_although_looks_show_it() {
    let stand = Stand::new(|_| {}).await;
    stand.add(ADMIN, "ben", ADMIN).await.unwrap();
    lag(&stand);
    let left = stand.remove(ADMIN, "ann", Some(MEMBER)).await;
    assert_eq!(left, Ok(MemberOutcome::Applied));
    barred(stand.remove(ADMIN, "ben", None).await);
    barred(stand.withdraw("ben").await);
    assert_eq!(stand.has("ben").as_deref(), Some(ADMIN));
    // Who was just given the role is one, although no look shows it yet.
    stand.add(ADMIN, "cat", ADMIN).await.unwrap();
    let left = stand.remove(ADMIN, "ben", None).await;
    assert_eq!(left, Ok(MemberOutcome::Applied));
    assert_eq!(stand.has("cat").as_deref(), Some(ADMIN));
}

#[actix_web::test]
async fn an_administrator_of_whom_nobody_answered_is_none_who_stays() {
    let stand = Stand::new(|_| {}).await;
    stand.add(ADMIN, "ben", ADMIN).await.unwrap();
    let late = Failure::Late { after_ms: 300 };
    stand.fails(late, "delete_membership");
    let unclear = stand.remove(ADMIN, "ann", None).await;
    assert!(
        matches!(unclear, Err(UpstreamError::Unknown { .. })),
        "{unclear:?}"
    );
    assert_eq!(stand.has("ann").as_deref(), Some(ADMIN), "not yet");
    barred(stand.remove(ADMIN, "ben", None).await);
    // A call that was certainly not taken leaves everything as it was.
    let stand = Stand::new(|_| {}).await;
    stand.add(ADMIN, "ben", ADMIN).await.unwrap();
    let refused = Failure::Status {
        status: 400,
        retry_after: None,
    };
    stand.fails(refused, "delete_membership");
    assert!(stand.remove(ADMIN, "ann", None).await.is_err());
    let left = stand.remove(ADMIN, "ben", None).await;
    assert_eq!(left, Ok(MemberOutcome::Applied));
}

#[actix_web::test]
async fn connections_to_one_snyk_protect_its_administrators_together() {
    let stand = Stand::new(|_| {}).await;
    stand.add(ADMIN, "ben", ADMIN).await.unwrap();
    let other = as_another(&stand);
    let ben = stand.who("ben", None);
    let remove = Operation::RemoveMembers {
        group: stand.role(ADMIN),
        members: vec![ben],
    };
    stand.simulator.faults(Faults {
        latency_ms: 20,
        ..Faults::default()
    });
    let both = tokio::join!(stand.remove(ADMIN, "ann", None), other.apply(&remove));
    assert!(both.0.is_err() != both.1.is_err(), "{both:?}");
    let left = ["ann", "ben"].map(|name| stand.has(name));
    assert_eq!(left.iter().flatten().count(), 1, "{left:?}");
}

#[actix_web::test]
async fn what_a_process_before_has_sent_is_waited_for_before_an_administrator_goes() {
    let (long, short) = (Duration::from_secs(3_600), Duration::from_millis(1));
    let after = async |late_writes: Duration, unanswered: bool| {
        let stand = Stand::new(|_| {}).await;
        stand.add(ADMIN, "ben", ADMIN).await.unwrap();
        stand.upstream.begin(&crate::upstream::Lags {
            read_lag: short,
            late_writes,
            sent_lately: true,
            unanswered,
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        stand
    };
    let stand = after(long, true).await;
    let waits = stand.remove(ADMIN, "ben", None).await;
    assert!(matches!(waits, Ok(MemberOutcome::Waits(_))), "{waits:?}");
    let waits = stand.withdraw("ben").await;
    let told = matches!(&waits, Err(UpstreamError::Later { after: Some(_), .. }));
    assert!(told, "{waits:?}");
    assert_eq!(stand.has("ben").as_deref(), Some(ADMIN));
    // What was answered is shown soon, and what was not cannot land for ever.
    for (late_writes, unanswered) in [(long, false), (short, true)] {
        let stand = after(late_writes, unanswered).await;
        stand.withdraw("ben").await.unwrap();
        assert_eq!(stand.has("ben"), None);
    }
}

#[actix_web::test]
async fn a_role_that_is_no_group_of_the_connection_is_neither_lowered_nor_replaced() {
    let company = with_an_auditor();
    let stand = Stand::of(&company, |settings| settings.groups = order(&[VIEWER])).await;
    stand.read().await;
    stand.add(VIEWER, "ben", VIEWER).await.unwrap();
    assert_eq!(
        stand.has("ben").as_deref(),
        Some(VIEWER),
        "listed behind it"
    );
    for (name, role) in [("ann", ADMIN), ("cat", "auditor")] {
        let reason = barred(stand.add(VIEWER, name, VIEWER).await);
        assert!(
            reason.contains(role) && reason.contains("neither lowered"),
            "{reason}"
        );
        let left = stand.remove(VIEWER, name, None).await;
        assert_eq!(left, Ok(MemberOutcome::Seen));
        assert_eq!(stand.has(name).as_deref(), Some(role));
    }
    // A Group for want of any that are configured has no place of its own.
    let stand = Stand::of(&company, |_| {}).await;
    stand.read().await;
    barred(stand.add(MEMBER, "cat", MEMBER).await);
    assert_eq!(stand.has("cat").as_deref(), Some("auditor"));
    let listed = ["group_admin", "group_member", "auditor"].map(str::to_owned);
    let stand = Stand::of(&company, |settings| settings.precedence = listed.into()).await;
    stand.read().await;
    let raised = stand.add(MEMBER, "cat", MEMBER).await;
    assert_eq!(raised, Ok(MemberOutcome::Applied));
}
