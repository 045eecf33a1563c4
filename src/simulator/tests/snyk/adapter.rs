//! Snyk behind the contract, over a real wire: what a pair of a SCIM Group and
//! a user comes to, call by call.

use std::time::Duration;

use super::*;
use crate::{
    plan::capability::Act,
    simulator::{Failure, Rule},
    upstream::snyk,
};

mod administrators;
mod looks;
mod refusals;

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
    let above = || MemberOutcome::Above(stand.role(ADMIN));
    for (counts, end) in [(ADMIN, MemberOutcome::Seen), (VIEWER, above())] {
        let covered = stand.add(VIEWER, "cat", counts).await;
        assert_eq!(covered, Ok(end));
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
        Ok(MemberOutcome::Above(stand.role(ADMIN)))
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
async fn who_is_deactivated_leaves_the_sso_connection_where_that_is_wanted() {
    let stand = Stand::new(|settings| settings.sso = snyk::settings::Sso::Remove).await;
    let before = stand.upstream.users().await.unwrap().len();
    stand.withdraw("ben").await.unwrap();
    let state = stand.simulator.state();
    assert!(!state.user(&email("ben")).unwrap().active);
    let after = stand.upstream.users().await.unwrap();
    assert_eq!(after.len(), before - 1);
}
