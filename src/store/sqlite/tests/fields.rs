//! What an account has beside its access, as a role and a profile, after calls of
//! which no answer came (reliability: H-05).
use std::collections::BTreeMap;

use super::{late::LATER, *};
use crate::{
    plan::{capability::Capabilities, decide::plan_user, operation::Operation},
    store::{UNANSWERED, UserTurn},
};

/// Everything is possible, and nothing comes in batches.
fn able() -> Capabilities {
    use crate::plan::capability::{Act, Capability, Certainty, Identifier};
    let row = |act| Capability {
        act,
        able: true,
        batch: 1,
        by: Identifier::Email,
        certainty: Certainty::Documented,
        note: "".into(),
    };
    Capabilities {
        application: "Test".into(),
        rows: Act::ALL.map(row).into(),
    }
}

fn operations(turn: &UserTurn) -> Vec<Operation> {
    plan_user(&turn.work, &able()).operations
}

/// What is sent of the role, and of the team.
fn says(turn: &UserTurn) -> (Option<String>, Option<String>) {
    let (mut role, mut team) = (None, None);
    for operation in operations(turn) {
        match operation {
            Operation::SetRole { role: set, .. } => role = Some(set),
            Operation::UpsertProfile { fields, .. } => team = fields.get("team").cloned(),
            other => panic!("{other:?}"),
        }
    }
    (role, team)
}

fn said(role: &str, team: Option<&str>) -> (Option<String>, Option<String>) {
    (Some(role.to_owned()), team.map(str::to_owned))
}

impl Scene {
    pub(super) async fn give(&self, id: ResourceId, role: &str, team: Option<&str>) -> UserWritten {
        self.give_as(id, role, team, actor()).await.unwrap()
    }

    pub(super) async fn give_as(
        &self,
        id: ResourceId,
        role: &str,
        team: Option<&str>,
        by: Actor,
    ) -> Result<UserWritten, WriteError> {
        let role = Some(role.to_owned());
        let team = team.map(|team| ("team".to_owned(), team.to_owned()));
        let profile: BTreeMap<_, _> = team.into_iter().collect();
        let decide = Box::new(move |stored: &crate::store::StoredUser| {
            let mut row = stored.row.clone();
            (row.account.role, row.account.profile) = (role, profile);
            Ok(Some(row))
        });
        let change = self.store.change_user(self.c, id, always(), decide, by);
        change.await
    }

    pub(super) async fn take(&self, key: UserKey) -> UserTurn {
        let turn = self.store.begin_user_turn(key).await.unwrap();
        turn.expect("the lane has work")
    }

    /// The turn that is out ends, and no call of it was answered.
    pub(super) async fn hears_nothing(&self, key: UserKey, turn: &UserTurn) {
        let call = |it| (it, UNANSWERED.to_owned(), 1.into());
        let learned = UserLearned {
            observed: Some(turn.work.observed.clone()),
            calls: operations(turn).into_iter().map(call).collect(),
            ..UserLearned::default()
        };
        let end = self.store.end_user_turn(key, learned, 3_000);
        end.await.unwrap();
    }

    async fn unsettled(&self) -> u64 {
        let counts = self.store.counts(self.c).await.unwrap();
        counts.unsettled.users
    }
}

#[tokio::test]
async fn a_role_is_said_once_more_when_a_call_about_it_of_which_no_answer_came_may_have_landed() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let id = ann.resource.id;
    scene.give(id, "boss", None).await;
    let turn = scene.take(ann.key).await;
    assert_eq!(says(&turn), said("boss", None));
    scene.hears_nothing(ann.key, &turn).await;
    assert_eq!(scene.unsettled().await, 1);
    scene.give(id, "user", None).await;
    scene.confirm_user(ann.key).await;
    assert_eq!(scene.lanes().await, []);
    // Half of the time has passed; all of it; and once more.
    let early = scene.store.recheck_late(scene.c, (0, 3_500), 4_000, 10);
    assert_eq!(early.await, Ok(vec![Lane::User(ann.key)]));
    for before in [3_005, LATER] {
        let turn = scene.take(ann.key).await;
        assert_eq!(says(&turn), said("user", None));
        // The answer may be older than what it says of.
        let recheck = scene.store.recheck_late(scene.c, (before, 0), LATER, 10);
        assert_eq!(recheck.await, Ok(vec![]));
        let learned = UserLearned {
            observed: Some(ObservedAccount {
                role: Some("user".into()),
                ..present()
            }),
            settled: true,
            ..UserLearned::default()
        };
        let end = scene.store.end_user_turn(ann.key, learned, 5_000);
        end.await.unwrap();
        let recheck = scene.store.recheck_late(scene.c, (before, 0), LATER, 10);
        assert_eq!(recheck.await, Ok(vec![Lane::User(ann.key)]));
    }
    assert_eq!(scene.unsettled().await, 0);
    assert_eq!(says(&scene.take(ann.key).await), said("user", None));
}

#[tokio::test]
async fn so_it_is_after_a_process_that_ended_meanwhile() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let id = ann.resource.id;
    scene.give(id, "boss", Some("red")).await;
    scene.take(ann.key).await;
    let scene = scene.reopen().await;
    scene.store.note_interrupted(scene.c, 3_000).await.unwrap();
    assert_eq!(scene.unsettled().await, 1);
    scene.give(id, "user", None).await;
    scene.confirm_user(ann.key).await;
    assert_eq!(scene.recheck(LATER).await, [Lane::User(ann.key)]);
    // It looks first, and that shows neither.
    let turn = scene.take(ann.key).await;
    assert!(turn.unsure);
    let mut work = turn.work.clone();
    work.observed.forget_fields();
    assert_eq!(says(&UserTurn { work, ..turn }), said("user", Some("")));
}

#[tokio::test]
async fn a_field_that_is_taken_away_is_cleared_whatever_is_known_of_it() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let id = ann.resource.id;
    scene.give(id, "boss", Some("red")).await;
    let turn = scene.take(ann.key).await;
    assert_eq!(says(&turn), said("boss", Some("red")));
    scene.hears_nothing(ann.key, &turn).await;
    scene.give(id, "boss", None).await;
    // A look shows neither.
    let turn = scene.take(ann.key).await;
    let mut work = turn.work.clone();
    work.observed.forget_fields();
    assert_eq!(says(&UserTurn { work, ..turn }), said("boss", Some("")));
}

#[tokio::test]
async fn a_call_about_a_role_says_nothing_of_access() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let id = ann.resource.id;
    scene.give(id, "boss", None).await;
    let turn = scene.take(ann.key).await;
    scene.hears_nothing(ann.key, &turn).await;
    scene.deactivate(id, actor()).await.unwrap();
    scene.confirm_user(ann.key).await;
    assert_eq!(scene.recheck(LATER).await, [], "who has left has no role");
    assert_eq!((scene.unsettled().await, scene.lanes().await), (0, vec![]));
}

#[tokio::test]
async fn who_is_made_anew_waits_for_no_role_that_may_come_late_and_has_it_put_right() {
    for deleted_first in [true, false] {
        let scene = Scene::new().await;
        let ann = scene.member("ann").await;
        let id = ann.resource.id;
        scene.give(id, "boss", Some("red")).await;
        let turn = scene.take(ann.key).await;
        scene.hears_nothing(ann.key, &turn).await;
        let delete = scene.store.delete_user(scene.c, id, always(), actor());
        delete.await.unwrap();
        let ends = async || scene.confirm_user(ann.key).await;
        let anew = if deleted_first {
            ends().await;
            scene.user("ann").await
        } else {
            let anew = scene.user("ann").await;
            assert_eq!(ends().await, [Lane::User(anew.key)]);
            anew
        };
        scene.confirm_user(anew.key).await;
        assert_eq!(scene.unsettled().await, 1);
        assert_eq!(scene.recheck(LATER).await, [Lane::User(anew.key)]);
        let turn = scene.take(anew.key).await;
        // The role is the plain one, which only the application's side knows.
        assert!(turn.work.observed.lacks_plain_role());
        assert_eq!(says(&turn), (None, Some(String::new())));
        let learned = UserLearned {
            observed: Some(ObservedAccount {
                role: Some("plain".into()),
                profile: Some(BTreeMap::new()),
                ..turn.work.observed
            }),
            settled: true,
            ..UserLearned::default()
        };
        let end = scene.store.end_user_turn(anew.key, learned, LATER);
        end.await.unwrap();
        assert_eq!(scene.lanes().await, []);
    }
}
