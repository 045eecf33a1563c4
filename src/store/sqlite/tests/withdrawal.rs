//! Access withdrawn where the account cannot be ended: every membership is taken
//! away and stays desired.
use super::*;
use crate::{
    plan::operation::Operation,
    store::{UNANSWERED, UserTurn, Withdrawn},
};

mod accounts;
mod refused;

impl Scene {
    /// A turn of the user finds that the account cannot be ended.
    pub(super) async fn withdraw(&self, user: UserKey) -> Vec<Lane> {
        let turn = self.store.begin_user_turn(user).await.unwrap().unwrap();
        assert_eq!(turn.withdrawn, None);
        let learned = UserLearned {
            observed: Some(turn.work.observed),
            settled: true,
            withdraws: true,
            ..UserLearned::default()
        };
        self.store
            .end_user_turn(user, learned, 2_000)
            .await
            .unwrap()
    }

    /// A turn of the user that is told how it ended.
    pub(super) async fn how_it_ended(&self, user: UserKey) -> Withdrawn {
        let turn = self.store.begin_user_turn(user).await.unwrap().unwrap();
        let ended = turn.withdrawn.unwrap();
        let refused = match &ended {
            Withdrawn::Whole => None,
            Withdrawn::Refused(reason) => Some(reason.clone()),
        };
        let learned = UserLearned {
            observed: Some(turn.work.observed),
            settled: true,
            withdrawn: true,
            refused,
            ..UserLearned::default()
        };
        self.store
            .end_user_turn(user, learned, 2_000)
            .await
            .unwrap();
        ended
    }

    /// A turn of the user whose account can be ended, and not yet.
    async fn wait_for_end(&self, user: UserKey) -> (UserTurn, Vec<Lane>) {
        let turn = self.store.begin_user_turn(user).await.unwrap().unwrap();
        let learned = UserLearned {
            observed: Some(turn.work.observed.clone()),
            settled: true,
            meanwhile: true,
            ..UserLearned::default()
        };
        let woken = self.store.end_user_turn(user, learned, 2_000);
        (turn, woken.await.unwrap())
    }

    /// The account is ended.
    async fn end_account(&self, user: UserKey) -> Vec<Lane> {
        let turn = self.store.begin_user_turn(user).await.unwrap().unwrap();
        let principal = turn.work.principal.clone();
        let learned = UserLearned {
            observed: Some(ObservedAccount {
                existence: Existence::Absent,
                deactivated: true,
                ..turn.work.observed
            }),
            settled: true,
            calls: vec![(
                Operation::DeactivateUser { principal },
                "done".into(),
                1.into(),
            )],
            ..UserLearned::default()
        };
        let woken = self.store.end_user_turn(user, learned, 2_000);
        woken.await.unwrap()
    }

    async fn pending(&self) -> u64 {
        let counts = self.store.counts(self.c).await.unwrap();
        counts.pending_users + counts.pending_memberships
    }

    pub(super) async fn waits(&self, user: UserKey) -> bool {
        let turn = self.store.begin_user_turn(user).await.unwrap();
        turn.is_none() && self.store.is_open(user).await.unwrap()
    }
}

fn refuse(user: UserKey) -> GroupLearned {
    GroupLearned {
        refused: vec![(user, "no".into())],
        ..GroupLearned::default()
    }
}

fn names(of: &[crate::plan::state::Principal]) -> Vec<UserKey> {
    of.iter().map(|it| it.user).collect()
}

fn absent(user: UserKey) -> GroupLearned {
    GroupLearned {
        absent: vec![user],
        ..GroupLearned::default()
    }
}

#[tokio::test]
async fn memberships_go_stay_desired_and_come_back() {
    let scene = Scene::new().await;
    let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
    let both = [ann.resource.id, ben.resource.id];
    let dev = scene.settled_group("dev", &both).await;
    let ops = scene.settled_group("ops", &both).await;
    scene.set_active(&ann, "ann", false).await;
    assert!(scene.idle(dev.key).await, "nothing before its turn");
    let woken = scene.withdraw(ann.key).await;
    assert!(woken.contains(&Lane::Group(dev.key)) && woken.contains(&Lane::Group(ops.key)));
    assert!(scene.waits(ann.key).await);
    for (group, last) in [(&dev, false), (&ops, true)] {
        let turn = scene.begin(group.key).await;
        assert_eq!(
            (names(&turn.work.removes), turn.work.alone),
            (vec![ann.key], 1)
        );
        assert!(turn.work.adds.is_empty() && turn.work.full.is_none());
        let woken = scene.end(&turn, absent(ann.key)).await;
        assert_eq!(woken.contains(&Lane::User(ann.key)), last);
        assert_eq!(scene.members(group).await.len(), 2);
    }
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert!(!scene.store.is_open(ann.key).await.unwrap());
    assert!(scene.idle(dev.key).await);
    assert_eq!(
        scene
            .store
            .counts(scene.c)
            .await
            .unwrap()
            .pending_memberships,
        0
    );
    // Asked for meanwhile: kept, and nothing is sent.
    let lab = scene.settled_group("lab", &[ben.resource.id]).await;
    scene.change(&lab, add(&[ann.resource.id])).await.unwrap();
    assert!(scene.idle(lab.key).await);
    scene
        .change(&ops, remove(&[ann.resource.id]))
        .await
        .unwrap();
    assert!(scene.idle(ops.key).await);

    let scene = scene.reopen().await;
    let back = scene.set_active(&ann, "ann", true).await;
    assert!(!back.dirty);
    assert_eq!(back.groups.len(), 2, "{:?}", back.groups);
    for group in [&dev, &lab] {
        assert_eq!(names(&scene.begin(group.key).await.work.adds), [ann.key]);
    }
    assert!(scene.idle(ops.key).await);
}

#[tokio::test]
async fn an_add_in_flight_is_taken_away_and_a_removal_in_flight_is_put_back() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[]).await;
    scene.change(&dev, add(&[ann.resource.id])).await.unwrap();
    let adding = scene.begin(dev.key).await;
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    assert!(scene.waits(ann.key).await);
    let since = scene
        .store
        .written_since(dev.key, adding.seq, vec![ann.key]);
    assert_eq!(
        since.await.unwrap(),
        [ann.key],
        "later in that turn it is not sent"
    );
    let learned = GroupLearned {
        present: vec![ann.key],
        ..GroupLearned::default()
    };
    let woken = scene.end(&adding, learned).await;
    assert_eq!(woken, [Lane::Group(dev.key)]);
    let removing = scene.begin(dev.key).await;
    assert_eq!(names(&removing.work.removes), [ann.key]);
    scene.set_active(&ann, "ann", true).await;
    let since = scene
        .store
        .written_since(dev.key, removing.seq, vec![ann.key]);
    assert_eq!(since.await.unwrap(), [ann.key]);
    let woken = scene.end(&removing, absent(ann.key)).await;
    assert_eq!(woken, [Lane::Group(dev.key)]);
    assert_eq!(names(&scene.begin(dev.key).await.work.adds), [ann.key]);
}

#[tokio::test]
async fn what_may_land_late_is_judged_by_what_is_wanted_of_who_is_withdrawn() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[]).await;
    scene.change(&dev, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(dev.key).await;
    let add = Operation::AddMembers {
        group: "dev".into(),
        members: turn.work.adds.clone(),
    };
    let learned = GroupLearned {
        absent: vec![ann.key],
        calls: vec![(add, UNANSWERED.into(), 1.into())],
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert!(scene.idle(dev.key).await);
    let recheck = scene
        .store
        .recheck_late(scene.c, (10_000, i64::MIN), 20_000, 0);
    assert_eq!(recheck.await.unwrap(), [Lane::Group(dev.key)]);
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.removes), [ann.key]);
    scene.end(&turn, absent(ann.key)).await;
    assert!(scene.idle(dev.key).await);
}

#[tokio::test]
async fn a_removal_that_got_no_answer_and_was_confirmed_since_stays_confirmed() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    let turn = scene.begin(dev.key).await;
    let removal = Operation::RemoveMembers {
        group: "dev".into(),
        members: turn.work.removes.clone(),
    };
    let learned = GroupLearned {
        calls: vec![(removal, UNANSWERED.into(), 1.into())],
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.removes), [ann.key], "sent once more");
    scene.end(&turn, absent(ann.key)).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    for due in [(i64::MIN, 10_000), (10_000, i64::MIN)] {
        let recheck = scene.store.recheck_late(scene.c, due, 20_000, 0);
        assert_eq!(recheck.await.unwrap(), []);
        assert_eq!(scene.pending().await, 0, "nothing is open: {due:?}");
        assert!(scene.idle(dev.key).await);
    }
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!(counts.unsettled.memberships, 0, "the doubt is over");
}

#[tokio::test]
async fn a_deleted_user_is_forgotten_when_the_last_membership_has_gone_and_not_before() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.set_active(&ann, "ann", false).await;
    let deleted = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    assert!(deleted.await.unwrap().dirty);
    scene.withdraw(ann.key).await;
    let again = scene.user("ann").await;
    assert!(
        scene
            .store
            .begin_user_turn(again.key)
            .await
            .unwrap()
            .is_none()
    );
    let late = || {
        scene
            .store
            .recheck_late(scene.c, (10_000, i64::MIN), 20_000, 0)
    };
    // Nobody can delete her again, so it is tried once more of its own accord.
    for woken in [vec![Lane::Group(dev.key)], Vec::new()] {
        let turn = scene.begin(dev.key).await;
        assert_eq!(names(&turn.work.removes), [ann.key]);
        scene.end(&turn, refuse(ann.key)).await;
        assert_eq!(
            scene.how_it_ended(ann.key).await,
            Withdrawn::Refused("no".into())
        );
        assert!(scene.idle(dev.key).await);
        let told = scene.store.refused_resources(scene.c, 10).await.unwrap();
        assert_eq!(told[0].id, ann.resource.id);
        assert_eq!(late().await.unwrap(), woken);
    }
    scene.store.retry_ends(scene.c, actor()).await.unwrap();
    scene.withdraw(ann.key).await;
    let turn = scene.begin(dev.key).await;
    scene.end(&turn, absent(ann.key)).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    let turn = scene.store.begin_user_turn(again.key).await.unwrap();
    assert!(turn.is_some(), "its successor may begin");
}

#[tokio::test]
async fn access_has_ended_when_earlier_removals_and_deleted_groups_are_gone_too() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    let ops = scene.settled_group("ops", &[ann.resource.id]).await;
    scene
        .change(&dev, remove(&[ann.resource.id]))
        .await
        .unwrap();
    let any = Box::new(|_: &_| Ok(None));
    let delete = scene
        .store
        .delete_group(scene.c, ops.resource.id, always(), any, None, actor());
    delete.await.unwrap();
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    assert!(scene.waits(ann.key).await);
    // Asked for again before its removal was sent: it is sent all the same.
    let written = scene.change(&dev, add(&[ann.resource.id])).await.unwrap();
    assert_eq!(written.touched, [ann.key]);
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.removes), [ann.key]);
    assert_eq!(scene.end(&turn, absent(ann.key)).await, []);
    assert!(scene.waits(ann.key).await);
    let woken = scene.confirm_group(&ops).await;
    assert_eq!(woken, [Lane::User(ann.key)]);
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert!(scene.idle(dev.key).await);
}

#[tokio::test]
async fn what_an_inactive_user_is_asked_for_in_is_not_pending() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[]).await;
    scene.set_active(&ann, "ann", false).await;
    scene.end_account(ann.key).await;
    scene.change(&dev, add(&[ann.resource.id])).await.unwrap();
    assert!(scene.idle(dev.key).await);
    assert_eq!(scene.pending().await, 0);
}
