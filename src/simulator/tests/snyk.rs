//! Snyk's calls over a real wire: every one of its contract, its pages, its
//! refusals and its minute of silence, with the call log as the witness.

use super::*;
use crate::{
    simulator::Minute,
    upstream::snyk::{
        Settings as SnykSettings,
        api::{Api, Membership, Which},
        settings::TokenKind,
    },
};

mod adapter;

const ADMIN: &str = "group_admin";
const MEMBER: &str = "group_member";

struct Scene {
    simulator: Judged,
    snyk: Api,
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

/// Settings that hold no test up.
fn quick(simulator: &Judged) -> SnykSettings {
    SnykSettings {
        base_url: Some(format!("{}/rest", simulator.url())),
        token: TokenSource::Literal(TOKEN.to_owned().into()),
        requests_per_second: 10_000,
        requests_per_minute: 1_000_000,
        burst: 10_000,
        ..SnykSettings::default()
    }
}

impl Scene {
    async fn new(company: &Company, change: impl FnOnce(&mut SnykSettings)) -> Self {
        let simulator = Judged::start(Application::Snyk, company);
        let mut settings = quick(&simulator);
        change(&mut settings);
        let snyk = Api::open(&settings).unwrap();
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
        scene.snyk.create(&scene.group, &cat, &role).await.unwrap();
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
    let refused = Api::open(&wrong).unwrap().groups().await.unwrap_err();
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
async fn a_membership_is_made_once_and_for_users_that_are_there() {
    let scene = Scene::new(&company(), |_| {}).await;
    let member = scene.role(MEMBER).await;
    let cat = scene.user("cat").await;
    let made = scene.snyk.create(&scene.group, &cat, &member).await;
    assert_eq!(made.unwrap(), scene.of("cat").await.unwrap().id);
    let twice = scene.snyk.create(&scene.group, &cat, &member).await;
    assert!(
        matches!(twice, Err(UpstreamError::Exists { .. })),
        "{twice:?}"
    );
    let nobody = "20000000-0000-4000-8000-00000000ffff";
    let unknown = scene.snyk.create(&scene.group, nobody, &member).await;
    assert!(
        matches!(unknown, Err(UpstreamError::Missing { .. })),
        "{unknown:?}"
    );
}

#[actix_web::test]
async fn a_user_is_taken_out_of_the_sso_connection_once() {
    let scene = Scene::new(&company(), |_| {}).await;
    let sso = scene.snyk.sso_connections(&scene.group).await.unwrap()[0]
        .id
        .clone();
    let cat = scene.user("cat").await;
    for _ in 0..2 {
        let gone = scene.snyk.delete_sso_user(&scene.group, &sso, &cat).await;
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
