//! Snyk over a real wire: every call of its contract, its pages, its refusals
//! and its minute of silence, with the call log as the witness.

use super::*;
use crate::{
    simulator::Minute,
    upstream::snyk::{
        Membership, Settings as SnykSettings, Snyk, Which,
        roles::{Step, step},
        settings::TokenKind,
    },
};

const ADMIN: &str = "group_admin";
const MEMBER: &str = "group_member";

struct Scene {
    simulator: Simulator,
    snyk: Snyk,
    /// The id of the one group.
    group: String,
}

/// Ann administers, Ben is a member, Dan is one too and in an organization, Cat
/// has signed in and is in no group.
fn company() -> Company {
    let user = |name: &str| Employee {
        email: email(name),
        first_name: name.into(),
        owner: name == "dan",
        ..Employee::default()
    };
    let team = |kind: &str, members: &[&str]| Team {
        name: "Example".into(),
        kind: kind.into(),
        members: members.iter().map(|name| email(name)).collect(),
        ..Team::default()
    };
    Company {
        users: ["ann", "ben", "cat", "dan"].map(user).to_vec(),
        groups: vec![team(ADMIN, &["ann"]), team(MEMBER, &["ann", "ben", "dan"])],
    }
}

impl Scene {
    async fn new(company: &Company, change: impl FnOnce(&mut SnykSettings)) -> Self {
        let simulator = Simulator::start(Application::Snyk, anywhere(), TOKEN, company).unwrap();
        let mut settings = SnykSettings {
            base_url: Some(format!("{}/rest", simulator.url())),
            token: TokenSource::Literal(TOKEN.to_owned().into()),
            requests_per_second: 10_000,
            requests_per_minute: 1_000_000,
            burst: 10_000,
            ..SnykSettings::default()
        };
        change(&mut settings);
        let snyk = Snyk::open(settings).unwrap();
        let group = snyk.groups().await.unwrap()[0].id.clone();
        Self {
            simulator,
            snyk,
            group,
        }
    }

    async fn all(&self) -> Vec<Membership> {
        let all = self.snyk.memberships(&self.group, Which::All).await;
        all.unwrap()
    }

    async fn of(&self, name: &str) -> Option<Membership> {
        let email = email(name);
        let found = self.snyk.memberships(&self.group, Which::OfEmail(&email));
        found.await.unwrap().pop()
    }

    /// The id of a role that somebody has.
    async fn role(&self, name: &str) -> String {
        let found = self.snyk.memberships(&self.group, Which::InRole(name));
        found.await.unwrap()[0].role_id.clone()
    }

    async fn user(&self, name: &str) -> String {
        let sso = self.snyk.sso_connections(&self.group).await.unwrap();
        let users = self.snyk.sso_users(&self.group, &sso[0].id).await.unwrap();
        let mut users = users.into_iter();
        users.find(|user| user.email == email(name)).unwrap().id
    }
}

#[actix_web::test]
async fn groups_and_memberships_are_read_by_every_filter() {
    let scene = Scene::new(&company(), |_| {}).await;
    let group = scene.snyk.group(&scene.group).await.unwrap().unwrap();
    assert_eq!(group.name, "Example");
    let nobody = scene
        .snyk
        .group("00000000-0000-4000-8000-000000000000")
        .await;
    assert_eq!(nobody.unwrap(), None);

    let all = scene.all().await;
    let told: Vec<_> = all
        .iter()
        .map(|m| (m.email.as_str(), m.role_name.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("ann@example.com", ADMIN),
            ("ben@example.com", MEMBER),
            ("dan@example.com", MEMBER)
        ]
    );
    let ben = &all[1];
    for which in [
        Which::OfEmail("Ben@Example.com"),
        Which::OfUser(&ben.user_id),
        Which::OfUsername(&ben.username),
    ] {
        let found = scene.snyk.memberships(&scene.group, which).await.unwrap();
        assert_eq!(found, std::slice::from_ref(ben), "{which:?}");
    }
    assert_eq!(scene.of("cat").await, None);
}

#[actix_web::test]
async fn every_call_carries_the_version_and_either_credential_is_accepted() {
    for kind in [TokenKind::Token, TokenKind::Bearer] {
        let scene = Scene::new(&company(), |settings| settings.token_kind = kind).await;
        scene.all().await;
        let role = scene.role(MEMBER).await;
        let cat = scene.user("cat").await;
        scene.snyk.add(&scene.group, &cat, &role).await.unwrap();
        for call in scene.simulator.calls() {
            assert!(call.query.contains("version=2025-11-05"), "{call:?}");
            assert!(matches!(call.status, Some(200 | 201)), "{call:?}");
        }
    }
    let scene = Scene::new(&company(), |_| {}).await;
    let wrong = SnykSettings {
        base_url: Some(format!("{}/rest", scene.simulator.url())),
        token: TokenSource::Literal("another-key".to_owned().into()),
        ..SnykSettings::default()
    };
    let refused = Snyk::open(wrong).unwrap().groups().await.unwrap_err();
    let UpstreamError::Denied { reason } = &refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("snyk-request-id"), "{reason}");
}

#[actix_web::test]
async fn pages_are_followed_in_all_spellings_of_their_links() {
    let emails: Vec<String> = (0..95).map(|n| email(&format!("u{n}"))).collect();
    let user = |email: &String| Employee {
        email: email.clone(),
        ..Employee::default()
    };
    let company = Company {
        users: emails.iter().map(user).collect(),
        groups: vec![Team {
            name: "Example".into(),
            members: emails.clone(),
            ..Team::default()
        }],
    };
    let scene = Scene::new(&company, |settings| settings.page_size = 10).await;
    scene.simulator.forget_calls();
    let all = scene.all().await;
    let found: Vec<_> = all.into_iter().map(|membership| membership.email).collect();
    assert_eq!(found, emails);
    assert_eq!(scene.simulator.calls().len(), 10);
}

#[actix_web::test]
async fn who_is_in_already_has_the_role_changed_and_only_if_it_differs() {
    let scene = Scene::new(&company(), |_| {}).await;
    let (admin, member) = (scene.role(ADMIN).await, scene.role(MEMBER).await);
    let ben = scene.of("ben").await.unwrap();

    scene.simulator.forget_calls();
    scene
        .snyk
        .add(&scene.group, &ben.user_id, &member)
        .await
        .unwrap();
    assert_eq!(
        operations(&scene),
        ["create_membership", "list_memberships"]
    );
    scene.simulator.forget_calls();
    scene
        .snyk
        .add(&scene.group, &ben.user_id, &admin)
        .await
        .unwrap();
    assert_eq!(
        operations(&scene),
        ["create_membership", "list_memberships", "update_membership"]
    );
    assert_eq!(scene.of("ben").await.unwrap().role_name, ADMIN);
    let nobody = "20000000-0000-4000-8000-00000000ffff";
    let unknown = scene.snyk.add(&scene.group, nobody, &member).await;
    assert!(
        matches!(unknown, Err(UpstreamError::Missing { .. })),
        "{unknown:?}"
    );
}

fn operations(scene: &Scene) -> Vec<String> {
    let calls = scene.simulator.calls().into_iter();
    calls.map(|call| call.operation).collect()
}

#[actix_web::test]
async fn whoever_is_in_an_organization_is_removed_only_with_cascade() {
    let scene = Scene::new(&company(), |_| {}).await;
    let (ben, dan) = (
        scene.of("ben").await.unwrap(),
        scene.of("dan").await.unwrap(),
    );
    scene.snyk.remove(&scene.group, &ben.id).await.unwrap();
    scene.snyk.remove(&scene.group, &ben.id).await.unwrap();
    let refused = scene.snyk.remove(&scene.group, &dan.id).await.unwrap_err();
    let UpstreamError::Rejected { reason } = &refused else {
        panic!("{refused:?}");
    };
    assert!(
        reason.contains("organization") && reason.contains("cascade = true"),
        "{reason}"
    );
    assert!(scene.of("dan").await.is_some());

    let scene = Scene::new(&company(), |settings| settings.cascade = true).await;
    let dan = scene.of("dan").await.unwrap();
    scene.snyk.remove(&scene.group, &dan.id).await.unwrap();
    assert_eq!(scene.of("dan").await, None);
}

#[actix_web::test]
async fn one_call_leads_from_each_state_of_a_user_to_the_wanted_one() {
    let scene = Scene::new(&company(), |_| {}).await;
    let (admin, member) = (scene.role(ADMIN).await, scene.role(MEMBER).await);
    let precedence = [admin.clone(), member.clone()];
    let cat = scene.user("cat").await;
    for asked in [
        &[member.as_str()][..],
        &[&member, &admin],
        &[&admin],
        &[&member],
        &[],
    ] {
        let now = scene.of("cat").await;
        scene.simulator.forget_calls();
        let next = step(asked, &precedence, now.as_ref());
        match &next {
            Step::Nothing => {}
            Step::Create { role } => scene.snyk.add(&scene.group, &cat, role).await.unwrap(),
            Step::Update { membership, role } => {
                scene
                    .snyk
                    .set_role(&scene.group, membership, role)
                    .await
                    .unwrap();
            }
            Step::Delete { membership } => {
                scene.snyk.remove(&scene.group, membership).await.unwrap();
            }
        }
        let calls = scene.simulator.calls().len();
        assert_eq!(calls, usize::from(next != Step::Nothing), "{next:?}");
        let role = scene.of("cat").await.map(|now| now.role_id);
        let wanted = asked.iter().find(|role| **role == admin).or(asked.first());
        assert_eq!(role.as_deref(), wanted.copied());
    }
}

#[actix_web::test]
async fn a_user_is_taken_out_of_the_sso_connection_once() {
    let scene = Scene::new(&company(), |_| {}).await;
    let sso = scene.snyk.sso_connections(&scene.group).await.unwrap()[0]
        .id
        .clone();
    let cat = scene.user("cat").await;
    for _ in 0..2 {
        let gone = scene.snyk.remove_sso_user(&scene.group, &sso, &cat).await;
        gone.unwrap();
    }
    let left = scene.snyk.sso_users(&scene.group, &sso).await.unwrap();
    assert_eq!(left.len(), 3);
    assert!(left.iter().all(|user| user.active && user.id != cat));
}

#[actix_web::test]
async fn too_many_calls_are_refused_until_there_was_silence() {
    let scene = Scene::new(&company(), |_| {}).await;
    scene.simulator.faults(Faults {
        minute: Some(Minute {
            calls: 3,
            length_ms: 60_000,
            silence: true,
        }),
        ..Faults::default()
    });
    for _ in 0..3 {
        scene.snyk.groups().await.unwrap();
    }
    let refused = scene.snyk.groups().await.unwrap_err();
    let UpstreamError::Later { after, .. } = refused else {
        panic!("{refused:?}");
    };
    let after = after.unwrap();
    assert!(after >= std::time::Duration::from_secs(55), "{after:?}");
    assert!(scene.snyk.condition().silent_for.is_some());
    let sent = scene.simulator.calls().len();
    assert!(scene.snyk.groups().await.is_err());
    assert_eq!(
        scene.simulator.calls().len(),
        sent,
        "nothing is sent into the silence"
    );
}
