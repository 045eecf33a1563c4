//! Ends that the application refuses after the answer was given: nobody can ask
//! for them again, so they are told, kept and tried again (reliability: I-01,
//! I-14).
use super::{
    guards::{at, rule},
    imports::found_user,
    *,
};
use crate::{
    plan::{guard::Rule, state::GroupKey},
    store::{Drifted, ImportMark, Imported, RefusedAct},
};

impl Scene {
    async fn refuse_user(&self, key: UserKey) {
        self.store.begin_user_turn(key).await.unwrap().unwrap();
        let learned = UserLearned {
            refused: Some("it owns pipelines".into()),
            settled: true,
            observed: Some(present()),
            ..UserLearned::default()
        };
        self.store.end_user_turn(key, learned, 2_000).await.unwrap();
    }

    async fn refuse_group(&self, key: GroupKey) {
        let turn = self.store.begin_group_turn(key, 10).await.unwrap().unwrap();
        let learned = GroupLearned {
            existence: Some(Existence::Present),
            group_refused: Some("it is in use".into()),
            ..GroupLearned::default()
        };
        let end = self.store.end_group_turn(key, turn.seq, learned, 2_000);
        end.await.unwrap();
    }

    async fn refused(&self) -> Vec<(ResourceType, ResourceId, RefusedAct, String)> {
        let all = self.store.refused_resources(self.c, 10).await.unwrap();
        let told = all
            .into_iter()
            .map(|it| (it.of, it.id, it.asked, it.reason));
        told.collect()
    }

    async fn import_one(&self, name: &str) -> Imported {
        let mark: ImportMark = self.store.import_mark(i64::MAX).await.unwrap();
        let found = vec![found_user(name)];
        let import = self
            .store
            .import(self.c, mark, found, Vec::new(), None, actor());
        import.await.unwrap()
    }

    async fn delete_user(&self, id: ResourceId) {
        let delete = self.store.delete_user(self.c, id, always(), actor());
        delete.await.unwrap();
    }
}

#[tokio::test]
async fn a_deleted_user_whose_end_is_refused_is_told_kept_and_tried_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let (key, id) = (ann.key, ann.resource.id);
    scene.delete_user(id).await;
    scene.refuse_user(key).await;

    let told = (
        ResourceType::User,
        id,
        RefusedAct::Delete,
        "it owns pipelines".to_owned(),
    );
    assert_eq!(scene.refused().await, std::slice::from_ref(&told));
    assert_eq!(scene.store.counts(scene.c).await.unwrap().refused_users, 1);
    assert_eq!(scene.lanes().await, [], "not sent again by itself");
    let seen = scene.import_one("ann").await;
    assert_eq!(seen.users_new, 0, "no new user out of whom was to go");

    let scene = scene.reopen().await;
    assert_eq!(scene.refused().await, [told]);
    let again = scene.store.retry_ends(scene.c, actor()).await.unwrap();
    assert_eq!(again, [Lane::User(key)]);
    assert_eq!(scene.refused().await, []);
    scene.confirm_user(key).await;
    assert_eq!(scene.store.counts(scene.c).await.unwrap().refused_users, 0);
    let idle = scene.store.retry_ends(scene.c, actor()).await.unwrap();
    assert_eq!((idle, scene.lanes().await), (vec![], vec![]));
    let seen = scene.import_one("ann").await;
    assert_eq!(seen.users_new, 1, "made anew by hand, later");
}

#[tokio::test]
async fn a_deleted_group_that_the_application_keeps_is_told_and_tried_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let keep = Box::new(|_: &_| Ok(None));
    let id = group.resource.id;
    let delete = scene
        .store
        .delete_group(scene.c, id, always(), keep, None, actor());
    delete.await.unwrap();
    scene.refuse_group(group.key).await;
    let reason = "it is in use".to_owned();
    let told = (ResourceType::Group, id, RefusedAct::Delete, reason);
    assert_eq!(scene.refused().await, [told]);
    assert_eq!(scene.store.counts(scene.c).await.unwrap().refused_groups, 1);
    let again = scene.store.retry_ends(scene.c, actor()).await.unwrap();
    assert_eq!(again, [Lane::Group(group.key)]);
}

#[tokio::test]
async fn a_refused_deactivation_is_told_with_its_reason_and_a_refused_creation_is_not_retried() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.user("bob").await);
    scene.deactivate(ann.resource.id, actor()).await.unwrap();
    scene.refuse_user(ann.key).await;
    scene.store.begin_user_turn(bob.key).await.unwrap().unwrap();
    let learned = UserLearned {
        refused: Some("no licence".into()),
        settled: true,
        ..UserLearned::default()
    };
    scene
        .store
        .end_user_turn(bob.key, learned, 2_000)
        .await
        .unwrap();
    let acts: Vec<_> = scene
        .refused()
        .await
        .into_iter()
        .map(|it| (it.1, it.2))
        .collect();
    let (ann_id, bob_id) = (ann.resource.id, bob.resource.id);
    assert_eq!(
        acts,
        [
            (ann_id, RefusedAct::Deactivate),
            (bob_id, RefusedAct::Create)
        ]
    );
    let again = scene.store.retry_ends(scene.c, actor()).await.unwrap();
    assert_eq!(again, [Lane::User(ann.key)]);
}

/// What was made by that address before is somebody else's.
#[tokio::test]
async fn an_account_by_another_address_is_asked_for_from_when_that_is_said() {
    let scene = Scene::new().await;
    let ann = scene.user("ann").await;
    scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let refused = UserLearned {
        refused: Some("no such domain".into()),
        settled: true,
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(ann.key, refused, 2_000);
    end.await.unwrap();
    let decide = |stored: &crate::store::StoredUser| {
        assert!(!stored.linked && !stored.asked_for);
        let mut row = stored.row.clone();
        row.account_key = Some("anna@example.com".into());
        Ok(Some(row))
    };
    let (id, by) = (ann.resource.id, at(60_000));
    let moved = scene
        .store
        .change_user(scene.c, id, always(), Box::new(decide), by);
    moved.await.unwrap();
    let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    assert_eq!(turn.work.principal.account, "anna@example.com");
    assert_eq!(turn.since, Some(60_000));
}

#[tokio::test]
async fn the_oldest_of_what_takes_access_away_is_told_and_nothing_else() {
    let scene = Scene::new().await;
    let oldest = || scene.store.oldest_revocation(scene.c);
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let add = change(vec![MemberChange::Add(texts(&[bob.resource.id]))]);
    scene.change(&group, add).await.unwrap();
    scene.user("carl").await;
    assert_eq!(oldest().await, Ok(None));
    let taken = remove(&[ann.resource.id]);
    scene.change_as(&group, taken, at(5_000)).await.unwrap();
    scene.deactivate(bob.resource.id, at(7_000)).await.unwrap();
    // A change of the group makes it no younger.
    let other = change(vec![MemberChange::Remove(texts(&[bob.resource.id]))]);
    scene.change_as(&group, other, at(9_000)).await.unwrap();
    assert_eq!(oldest().await, Ok(Some(5_000)));
    scene.confirm_group(&group).await;
    assert_eq!(oldest().await, Ok(Some(7_000)));
    // Nor one of the user.
    let decide = |stored: &crate::store::StoredUser| {
        let mut row = stored.row.clone();
        let name = serde_json::Value::from("Bob");
        row.attributes.0.insert("displayName".into(), name);
        Ok(Some(row))
    };
    let named = scene.store.change_user(
        scene.c,
        bob.resource.id,
        always(),
        Box::new(decide),
        at(60_000),
    );
    named.await.unwrap();
    assert_eq!(oldest().await, Ok(Some(7_000)));
    scene.confirm_user(bob.key).await;
    assert_eq!(oldest().await, Ok(None));
}

#[tokio::test]
async fn in_front_of_another_tenant_nobody_s_access_ends_before_an_operator_s_word() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    scene.deactivate(ann.resource.id, at(0)).await.unwrap();
    let hardly_any = Drifted {
        accounts: 30,
        accounts_missing: 16,
        ..Drifted::default()
    };
    let why = hardly_any.doubt();
    assert!(why.is_foreign());
    let began = scene.store.begin_recovery(scene.c, why, actor()).await;
    assert_eq!(began, Ok(true));
    assert_eq!(scene.lanes().await, [], "nobody is ended there");
    assert_eq!(scene.refused().await.len(), 1, "and that is told");
    let again = scene.deactivate(ann.resource.id, at(0)).await.unwrap_err();
    assert!(matches!(again, WriteError::Problem(it) if it.status == 403));
    assert_eq!(scene.lanes().await, []);
    let left = scene.deactivate(bob.resource.id, at(0)).await;
    assert_eq!(rule(left), Some(Rule::Foreign));
    let end = scene.store.end_recovery(scene.c, actor()).await.unwrap();
    assert_eq!(end, Some(vec![Lane::User(ann.key)]));
    let left = scene.deactivate(bob.resource.id, at(0)).await;
    assert_eq!(rule(left), None);
}

#[tokio::test]
async fn who_was_refused_in_a_group_and_is_not_to_be_in_it_is_told_no_more() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let ben = scene.member("ben").await.resource.id;
    let team = scene.settled_group("team", &[ben]).await;
    for leave in [
        remove(&[ann.resource.id]),
        replace(&[ben]),
        change(vec![MemberChange::RemoveAll]),
    ] {
        scene.change(&team, add(&[ann.resource.id])).await.unwrap();
        let turn = scene.store.begin_group_turn(team.key, 9).await.unwrap();
        let turn = turn.unwrap();
        let learned = GroupLearned {
            refused: vec![(ann.key, "nobody else has it".into())],
            absent: turn.work.removes.iter().map(|it| it.user).collect(),
            ..GroupLearned::default()
        };
        let end = scene
            .store
            .end_group_turn(team.key, turn.seq, learned, 2_000);
        end.await.unwrap();
        let told = async || scene.store.refusals(scene.c, 9).await.unwrap().len();
        assert_eq!(told().await, 1);
        scene.change(&team, leave).await.unwrap();
        assert_eq!(told().await, 0);
    }
}

#[tokio::test]
async fn who_was_refused_in_a_group_and_is_to_have_nothing_is_told_when_they_are_active_again() {
    for is_there in [false, true] {
        let scene = Scene::new().await;
        let ann = scene.member("ann").await;
        let team = scene.settled_group("team", &[]).await;
        scene.change(&team, add(&[ann.resource.id])).await.unwrap();
        let turn = scene.store.begin_group_turn(team.key, 9).await.unwrap();
        // What was contradicted may have been done.
        let learned = GroupLearned {
            refused: vec![(ann.key, "nobody knows which".into())],
            contradicted: is_there.then_some(ann.key).into_iter().collect(),
            ..GroupLearned::default()
        };
        let seq = turn.unwrap().seq;
        let end = scene.store.end_group_turn(team.key, seq, learned, 2_000);
        end.await.unwrap();
        let told = async || {
            let counts = scene.store.counts(scene.c).await.unwrap();
            let listed = scene.store.refusals(scene.c, 9).await.unwrap();
            let sleeping = listed.iter().filter(|it| it.sleeps).count();
            (listed.len(), sleeping, counts.refused_memberships)
        };
        assert_eq!(told().await, (1, 0, 1));
        for active in [false, true] {
            scene.set_active(&ann, "ann", active).await;
            let sleeps = !active && !is_there;
            let expected = (1, usize::from(sleeps), u64::from(!sleeps));
            assert_eq!(
                told().await,
                expected,
                "active: {active}, there: {is_there}"
            );
        }
    }
}
