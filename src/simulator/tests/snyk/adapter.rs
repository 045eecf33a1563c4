//! Snyk behind the contract, over a real wire: what a pair of a SCIM Group and
//! a user comes to, call by call.

use std::time::Duration;

use super::*;
use crate::{
    plan::capability::Act,
    simulator::{Failure, Rule},
    upstream::snyk,
};

/// The adapter and what is behind it.
struct Stand {
    simulator: Judged,
    upstream: Arc<dyn Upstream>,
    group: String,
}

impl Stand {
    async fn new(change: impl FnOnce(&mut SnykSettings)) -> Self {
        Self::of(&company(), change).await
    }

    async fn of(company: &Company, change: impl FnOnce(&mut SnykSettings)) -> Self {
        let scene = Scene::new(company, |_| {}).await;
        let mut settings = quick(&scene.simulator);
        change(&mut settings);
        scene.simulator.forget_calls();
        Self {
            upstream: snyk::open(settings).unwrap(),
            simulator: scene.simulator,
            group: scene.group,
        }
    }

    /// It has read everything once, as an import does.
    async fn read(&self) {
        self.upstream.users().await.unwrap();
        self.upstream.groups().await.unwrap();
        self.simulator.forget_calls();
    }

    /// The application's name of a role.
    fn role(&self, name: &str) -> String {
        let place = [ADMIN, "group_viewer", MEMBER]
            .iter()
            .position(|it| *it == name);
        let place = place.unwrap() + 1;
        format!("{}/30000000-0000-4000-8000-{place:012x}", self.group)
    }

    fn who(&self, name: &str, counts: Option<&str>) -> Principal {
        let mut who = by_email(&[name]).remove(0);
        let state = self.simulator.state();
        who.upstream_id = state.user(&who.account).map(|user| user.id.clone());
        who.counts = counts.map(|role| self.role(role));
        who
    }

    async fn add(
        &self,
        role: &str,
        name: &str,
        counts: &str,
    ) -> Result<MemberOutcome, UpstreamError> {
        let operation = Operation::AddMembers {
            group: self.role(role),
            members: vec![self.who(name, Some(counts))],
        };
        self.apply(operation).await
    }

    async fn remove(
        &self,
        role: &str,
        name: &str,
        counts: Option<&str>,
    ) -> Result<MemberOutcome, UpstreamError> {
        let operation = Operation::RemoveMembers {
            group: self.role(role),
            members: vec![self.who(name, counts)],
        };
        self.apply(operation).await
    }

    async fn apply(&self, operation: Operation) -> Result<MemberOutcome, UpstreamError> {
        let outcome = self.upstream.apply(&operation).await?;
        Ok(outcomes(&outcome).remove(0))
    }

    async fn withdraw(&self, name: &str) -> Result<Outcome, UpstreamError> {
        let principal = self.who(name, None);
        let operation = Operation::DeactivateUser { principal };
        self.upstream.apply(&operation).await
    }

    /// The same where another connection has a role.
    async fn withdraw_but(&self, name: &str, role: &str) {
        let principal = Principal {
            elsewhere: vec![self.role(role)],
            ..self.who(name, None)
        };
        let operation = Operation::DeactivateUser { principal };
        self.upstream.apply(&operation).await.unwrap();
    }

    async fn link(&self, name: &str, known: Option<&str>) -> Result<Outcome, UpstreamError> {
        let operation = Operation::CreateUser {
            account: email(name),
            role: None,
            fields: BTreeMap::new(),
            upstream_id: known.map(str::to_owned),
        };
        self.upstream.apply(&operation).await
    }

    /// The calls since the last time.
    fn called(&self) -> Vec<String> {
        let calls = self.simulator.calls().into_iter();
        let called = calls.map(|call| call.operation).collect();
        self.simulator.forget_calls();
        called
    }

    /// The role that somebody has now.
    fn has(&self, name: &str) -> Option<String> {
        let state = self.simulator.state();
        let group = state
            .groups
            .iter()
            .find(|group| group.members.contains(&email(name)))?;
        group.name.split('/').nth(1).map(str::to_owned)
    }

    fn fails(&self, failure: Failure, operation: &str) {
        self.simulator.faults(Faults {
            rules: vec![Rule::next(failure, 1).of(operation)],
            ..Faults::default()
        });
    }
}

const VIEWER: &str = "group_viewer";

#[actix_web::test]
async fn a_new_member_is_one_call_and_so_is_one_of_whom_a_lesser_role_was_read() {
    let stand = Stand::new(|_| {}).await;
    assert_eq!(
        stand.add(VIEWER, "cat", VIEWER).await,
        Ok(MemberOutcome::Applied)
    );
    assert_eq!(stand.called(), ["create_membership"]);
    assert_eq!(stand.has("cat").as_deref(), Some(VIEWER));

    // Not known to be there already.
    assert_eq!(
        stand.add(VIEWER, "ben", VIEWER).await,
        Ok(MemberOutcome::Applied)
    );
    assert_eq!(
        stand.called()[..2],
        ["create_membership", "list_memberships"]
    );
    assert_eq!(stand.has("ben").as_deref(), Some(VIEWER));

    let stand = Stand::new(|_| {}).await;
    stand.read().await;
    for name in ["ben", "dan"] {
        assert_eq!(
            stand.add(ADMIN, name, ADMIN).await,
            Ok(MemberOutcome::Applied)
        );
        assert_eq!(stand.has(name).as_deref(), Some(ADMIN));
    }
    assert_eq!(stand.called(), ["update_membership"; 2]);
}

#[actix_web::test]
async fn of_two_roles_the_first_counts_and_the_other_is_fallen_back_to_by_one_update() {
    let stand = Stand::new(|_| {}).await;
    stand.read().await;
    stand.add(ADMIN, "cat", ADMIN).await.unwrap();
    stand.called();
    // The other pair is satisfied by what is there, whatever counts for it.
    for counts in [ADMIN, VIEWER] {
        let covered = stand.add(VIEWER, "cat", counts).await;
        assert_eq!(covered, Ok(MemberOutcome::Seen));
        assert_eq!(stand.called(), ["list_memberships"]);
    }
    let left = stand.remove(ADMIN, "cat", Some(VIEWER)).await;
    assert_eq!(left, Ok(MemberOutcome::Applied));
    let called = stand.called();
    assert_eq!(called.last().map(String::as_str), Some("update_membership"));
    assert!(called.iter().all(|it| !it.contains("delete")), "{called:?}");
    assert_eq!(stand.has("cat").as_deref(), Some(VIEWER));

    let gone = stand.remove(VIEWER, "cat", None).await;
    assert_eq!(gone, Ok(MemberOutcome::Applied));
    assert_eq!(stand.called(), ["list_memberships", "delete_membership"]);
    assert_eq!(stand.has("cat"), None);
    let again = stand.remove(VIEWER, "cat", None).await;
    assert_eq!(again, Ok(MemberOutcome::Seen));
    let called = stand.called();
    assert!(
        called.iter().all(|it| it.starts_with("list_")),
        "{called:?}"
    );
}

#[actix_web::test]
async fn a_role_that_somebody_else_gave_is_left_alone() {
    let stand = Stand::new(|_| {}).await;
    stand.read().await;
    assert_eq!(
        stand.remove(VIEWER, "ben", None).await,
        Ok(MemberOutcome::Seen)
    );
    assert_eq!(
        stand.add(MEMBER, "ann", MEMBER).await,
        Ok(MemberOutcome::Seen)
    );
    assert_eq!(stand.has("ben").as_deref(), Some(MEMBER));
    assert_eq!(stand.has("ann").as_deref(), Some(ADMIN));
    let called = stand.called();
    assert!(
        called.iter().all(|it| it == "list_memberships"),
        "{called:?}"
    );
}

#[actix_web::test]
async fn the_roles_are_looked_at_when_nothing_was_read_before() {
    // Right after a start: ann is an administrator, and stays one.
    let stand = Stand::new(|_| {}).await;
    assert_eq!(
        stand.add(MEMBER, "ann", MEMBER).await,
        Ok(MemberOutcome::Seen)
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
async fn what_nobody_answered_is_unclear_and_may_be_said_again() {
    let stand = Stand::new(|_| {}).await;
    for (failure, done) in [
        (Failure::ResetAfter, true),
        (Failure::ResetBefore, false),
        (Failure::ErrorAfter, true),
    ] {
        stand.fails(failure.clone(), "create_membership");
        let unclear = stand.add(VIEWER, "cat", VIEWER).await;
        assert!(
            matches!(unclear, Err(UpstreamError::Unknown { .. })),
            "{unclear:?}"
        );
        assert_eq!(stand.has("cat").is_some(), done, "{failure:?}");
        let again = stand.add(VIEWER, "cat", VIEWER).await;
        assert!(again.is_ok(), "{again:?}");
        assert_eq!(stand.has("cat").as_deref(), Some(VIEWER));

        stand.fails(failure, "delete_membership");
        let unclear = stand.remove(VIEWER, "cat", None).await;
        assert!(
            matches!(unclear, Err(UpstreamError::Unknown { .. })),
            "{unclear:?}"
        );
        let again = stand.remove(VIEWER, "cat", None).await;
        assert!(again.is_ok(), "{again:?}");
        assert_eq!(stand.has("cat"), None);
    }
    // A look that fails is no doubt about anything.
    stand.fails(Failure::ErrorBefore, "list_memberships");
    let later = stand.add(VIEWER, "ben", VIEWER).await;
    assert!(
        matches!(later, Err(UpstreamError::Later { .. })),
        "{later:?}"
    );
}

fn barred(result: Result<impl std::fmt::Debug, UpstreamError>) -> String {
    match result {
        Err(UpstreamError::Barred { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

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
async fn somebody_s_accounts_go_together_and_do_not_stand_in_for_each_other() {
    let stand = Stand::new(|_| {}).await;
    stand.add(VIEWER, "ben", VIEWER).await.unwrap();
    let ben = stand.who("ben", None).upstream_id.unwrap();
    let both = |first: &str, twin: &str| {
        let mut principal = stand.who(first, None);
        principal.twins = vec![twin.to_owned()];
        Operation::DeactivateUser { principal }
    };
    let cat = stand.who("cat", None).upstream_id.unwrap();
    stand.add(ADMIN, "cat", ADMIN).await.unwrap();
    stand.upstream.apply(&both("cat", &ben)).await.unwrap();
    assert_eq!((stand.has("ben"), stand.has("cat")), (None, None));

    // Ann is an administrator, and nobody else but her other account is one.
    stand.add(ADMIN, "cat", ADMIN).await.unwrap();
    let partly = stand.upstream.apply(&both("ann", &cat)).await;
    assert!(
        matches!(partly, Err(UpstreamError::Partly { .. })),
        "{partly:?}"
    );
    let left = ["ann", "cat"].map(|name| stand.has(name));
    assert_eq!(left.iter().flatten().count(), 1, "{left:?}");
}

/// These roles of the one Snyk Group are Groups, in this order.
fn order(roles: &[&str]) -> Vec<snyk::settings::OneGroup> {
    let group = "10000000-0000-4000-8000-000000000001";
    let one = |role: &&str| format!("[[groups]]\ngroup = \"{group}\"\nrole = \"{role}\"\n");
    let text: String = roles.iter().map(one).collect();
    toml::from_str::<SnykSettings>(&text).unwrap().groups
}

/// Another connection, which knows nothing of what the first one sent.
fn as_another(stand: &Stand) -> Arc<dyn Upstream> {
    snyk::open(quick(&stand.simulator)).unwrap()
}

fn lag(stand: &Stand) {
    stand.simulator.faults(Faults {
        read_lag_ms: 60_000,
        ..Faults::default()
    });
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

/// Cat has a role in Example that is not offered.
fn with_an_auditor() -> Company {
    let mut company = company();
    company.groups.push(Team {
        name: "Example".into(),
        kind: "auditor".into(),
        members: [email("cat")].into(),
        ..Team::default()
    });
    company
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
    assert_eq!(covered, Ok(MemberOutcome::Seen));
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

fn two_groups() -> Company {
    let mut company = company();
    company.groups.push(Team {
        name: "Labs".into(),
        kind: VIEWER.into(),
        members: ["ann", "ben"].map(email).into(),
        ..Team::default()
    });
    company
}

#[actix_web::test]
async fn a_withdrawal_is_one_call_for_each_membership_that_is_known() {
    let stand = Stand::of(&two_groups(), |_| {}).await;
    stand.read().await;
    stand.withdraw("ben").await.unwrap();
    let called = stand.called();
    let deleted = called.iter().filter(|it| *it == "delete_membership");
    assert_eq!(deleted.count(), 2, "{called:?}");
    assert_eq!(stand.has("ben"), None);
    let users = stand.upstream.users().await.unwrap();
    assert!(users.iter().all(|user| user.account != email("ben")));
    // Whom nobody shows any more is linked by the id that is remembered.
    let id = stand.who("ben", None).upstream_id;
    let linked = stand.link("ben", id.as_deref()).await.unwrap();
    assert_eq!(linked.upstream_id, id);
}

#[actix_web::test]
async fn a_withdrawal_that_ends_in_the_middle_is_unclear() {
    let stand = Stand::of(&two_groups(), |_| {}).await;
    stand.read().await;
    stand.add(VIEWER, "ben", VIEWER).await.unwrap();
    stand.fails(Failure::ErrorBefore, "delete_membership");
    let unclear = stand.withdraw("ben").await;
    assert!(
        matches!(unclear, Err(UpstreamError::Unknown { .. })),
        "{unclear:?}"
    );
    stand.withdraw("ben").await.unwrap();
    assert_eq!(stand.has("ben"), None);
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
async fn who_is_deactivated_leaves_the_sso_connection_where_that_is_wanted() {
    let stand = Stand::new(|settings| settings.sso = snyk::settings::Sso::Remove).await;
    let before = stand.upstream.users().await.unwrap().len();
    stand.withdraw("ben").await.unwrap();
    let state = stand.simulator.state();
    assert!(!state.user(&email("ben")).unwrap().active);
    let after = stand.upstream.users().await.unwrap();
    assert_eq!(after.len(), before - 1);
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
