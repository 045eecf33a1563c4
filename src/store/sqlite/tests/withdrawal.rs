//! Access withdrawn where the account cannot be ended: every membership is taken
//! away and stays desired.
use super::*;
use crate::{
    plan::operation::Operation,
    store::{UNANSWERED, UserTurn, Withdrawn},
};

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
async fn a_refused_removal_is_a_refused_end_that_is_kept_and_tried_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    let left = scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    let turn = scene.begin(dev.key).await;
    let learned = GroupLearned {
        refused: vec![(ann.key, "no".into())],
        ..GroupLearned::default()
    };
    let woken = scene.end(&turn, learned.clone()).await;
    assert_eq!(woken, [Lane::User(ann.key)]);
    assert_eq!(
        scene.how_it_ended(ann.key).await,
        Withdrawn::Refused("no".into())
    );
    assert!(scene.idle(dev.key).await);
    let told = scene.store.refused_resources(scene.c, 10).await.unwrap();
    assert_eq!(
        (told.len(), told[0].id, told[0].reason.as_str()),
        (1, ann.resource.id, "no")
    );
    // It is not taken back, for what was done is done.
    let version = left.resource.meta.version;
    let undo = scene
        .store
        .restore_user(ann.key, version, left.before, actor());
    undo.await.unwrap();
    assert_eq!(scene.store.counts(scene.c).await.unwrap().refused_users, 1);
    let again = scene.store.retry_ends(scene.c, actor()).await.unwrap();
    assert_eq!(again, [Lane::User(ann.key)]);
    assert_eq!(scene.withdraw(ann.key).await, [Lane::Group(dev.key)]);
    let turn = scene.begin(dev.key).await;
    scene.end(&turn, absent(ann.key)).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert_eq!(scene.store.refusals(scene.c, 10).await.unwrap(), []);
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
async fn what_was_refused_of_who_is_deleted_ends_with_its_group() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    let deleted = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    deleted.await.unwrap();
    scene.withdraw(ann.key).await;
    let again = scene.user("ann").await;
    let turn = scene.begin(dev.key).await;
    scene.end(&turn, refuse(ann.key)).await;
    scene.how_it_ended(ann.key).await;
    assert!(scene.waits(again.key).await);
    scene.delete_group(&dev, actor()).await.unwrap();
    assert!(
        scene
            .confirm_group(&dev)
            .await
            .contains(&Lane::User(ann.key))
    );
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert!(!scene.waits(again.key).await);
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
        .delete_group(scene.c, ops.resource.id, always(), any, actor());
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
async fn a_removal_that_was_refused_is_told_on_though_the_withdrawal_ends_it() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    scene
        .change(&dev, remove(&[ann.resource.id]))
        .await
        .unwrap();
    let turn = scene.begin(dev.key).await;
    let refused = GroupLearned {
        refused: vec![(ann.key, "no".into())],
        ..GroupLearned::default()
    };
    scene.end(&turn, refused).await;
    assert_eq!(scene.members(&dev).await, [ann.resource.id]);
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    let turn = scene.begin(dev.key).await;
    scene.end(&turn, absent(ann.key)).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    let told = scene.store.refusals(scene.c, 10).await.unwrap();
    assert_eq!((told.len(), told[0].wanted), (1, false));
}

#[tokio::test]
async fn a_removal_that_is_refused_of_who_is_withdrawn_meanwhile_gives_nothing_back() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    scene
        .change(&dev, remove(&[ann.resource.id]))
        .await
        .unwrap();
    let turn = scene.begin(dev.key).await;
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    let refused = GroupLearned {
        refused: vec![(ann.key, "no".into())],
        ..GroupLearned::default()
    };
    scene.end(&turn, refused).await;
    assert_eq!(scene.members(&dev).await, []);
    assert!(
        scene.idle(dev.key).await,
        "it is told, and not sent for ever"
    );
    assert_eq!(
        scene.how_it_ended(ann.key).await,
        Withdrawn::Refused("no".into())
    );
    scene.set_active(&ann, "ann", true).await;
    let turn = scene.begin(dev.key).await;
    assert_eq!((turn.work.adds.len(), turn.work.removes.len()), (0, 1));
}

#[tokio::test]
async fn while_the_end_of_an_account_waits_memberships_go_and_come_back_with_the_account() {
    let scene = Scene::new().await;
    let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
    let both = [ann.resource.id, ben.resource.id];
    let dev = scene.settled_group("dev", &both).await;
    let ops = scene.settled_group("ops", &both).await;
    scene.set_active(&ann, "ann", false).await;
    let (turn, woken) = scene.wait_for_end(ann.key).await;
    assert!(!turn.begun);
    for group in [&dev, &ops] {
        assert!(woken.contains(&Lane::Group(group.key)));
    }
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.removes), [ann.key]);
    scene.end(&turn, absent(ann.key)).await;
    // Its end is tried on, and what is under way is not begun anew.
    let (turn, woken) = scene.wait_for_end(ann.key).await;
    assert!(turn.begun && turn.withdrawn.is_none() && woken.is_empty());
    let scene = scene.reopen().await;
    let turn = scene.begin(ops.key).await;
    assert_eq!(names(&turn.work.removes), [ann.key]);
    assert_eq!(scene.pending().await, 2, "herself, and ops");
    // With her account she is out of everything.
    scene.end_account(ann.key).await;
    let unsent = GroupLearned {
        unsent: vec![ann.key],
        ..GroupLearned::default()
    };
    scene.end(&turn, unsent).await;
    assert!(scene.idle(ops.key).await && scene.idle(dev.key).await);
    assert_eq!(scene.pending().await, 0);

    let back = scene.set_active(&ann, "ann", true).await;
    assert!(back.dirty && back.groups.contains(&dev.key));
    let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let learned = UserLearned {
        observed: Some(ObservedAccount {
            existence: Existence::Present,
            deactivated: false,
            ..turn.work.observed
        }),
        settled: true,
        recreated: true,
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(ann.key, learned, 2_000);
    end.await.unwrap();
    for group in [&dev, &ops] {
        assert_eq!(names(&scene.begin(group.key).await.work.adds), [ann.key]);
    }
}

#[tokio::test]
async fn what_is_refused_while_an_account_waits_is_told_tried_again_and_ends_with_it() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    let left = scene.set_active(&ann, "ann", false).await;
    scene.wait_for_end(ann.key).await;
    for _ in 0..2 {
        let turn = scene.begin(dev.key).await;
        scene.end(&turn, refuse(ann.key)).await;
        assert!(scene.idle(dev.key).await);
        let told = scene.store.refusals(scene.c, 10).await.unwrap();
        assert_eq!((told.len(), told[0].user), (1, ann.resource.id));
        scene.wait_for_end(ann.key).await;
        assert!(scene.idle(dev.key).await, "not again for that alone");
        scene.set_active(&ann, "ann", false).await;
        let (_, woken) = scene.wait_for_end(ann.key).await;
        assert_eq!(woken, [Lane::Group(dev.key)]);
    }
    // Its end is refused: what was taken away is not given back for that.
    let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let learned = UserLearned {
        observed: Some(turn.work.observed),
        settled: true,
        withdrawn: true,
        refused: Some("never".into()),
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(ann.key, learned, 2_000);
    end.await.unwrap();
    let version = left.resource.meta.version;
    let undo = scene
        .store
        .restore_user(ann.key, version, left.before, actor());
    undo.await.unwrap();
    assert_eq!(scene.store.counts(scene.c).await.unwrap().refused_users, 1);
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.removes), [ann.key], "and goes on");
    scene.end(&turn, refuse(ann.key)).await;
    scene.store.retry_ends(scene.c, actor()).await.unwrap();
    scene.end_account(ann.key).await;
    assert_eq!(scene.store.refusals(scene.c, 10).await.unwrap(), []);
    assert_eq!(scene.pending().await, 0);
}

#[tokio::test]
async fn who_is_deleted_while_the_account_waits_is_forgotten_with_the_account() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.set_active(&ann, "ann", false).await;
    scene.wait_for_end(ann.key).await;
    let deleted = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    assert_eq!(deleted.await.unwrap().groups, [dev.key]);
    scene.wait_for_end(ann.key).await;
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.removes), [ann.key]);
    scene.end(&turn, absent(ann.key)).await;
    let again = scene.user("ann").await;
    assert_eq!(scene.end_account(ann.key).await, [Lane::User(again.key)]);
}

#[tokio::test]
async fn who_leaves_is_taken_out_of_a_group_whose_deletion_was_refused() {
    let scene = Scene::new().await;
    let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
    let both = [ann.resource.id, ben.resource.id];
    let dev = scene.settled_group("dev", &both).await;
    scene.delete_group(&dev, actor()).await.unwrap();
    let turn = scene.begin(dev.key).await;
    assert!(!turn.work.kept && turn.work.removes.is_empty());
    let learned = GroupLearned {
        group_refused: Some("never".into()),
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    assert!(scene.idle(dev.key).await);
    scene.set_active(&ann, "ann", false).await;
    assert_eq!(scene.withdraw(ann.key).await, [Lane::Group(dev.key)]);
    assert!(scene.waits(ann.key).await);
    let scene = scene.reopen().await;
    let open = scene.store.open_lanes(scene.c).await.unwrap();
    assert!(open.contains(&Lane::Group(dev.key)));
    let turn = scene.begin(dev.key).await;
    assert!(turn.work.kept && !turn.work.wanted);
    assert_eq!(names(&turn.work.removes), [ann.key]);
    let woken = scene.end(&turn, refuse(ann.key)).await;
    assert_eq!(woken, [Lane::User(ann.key)]);
    assert_eq!(
        scene.how_it_ended(ann.key).await,
        Withdrawn::Refused("no".into())
    );
    assert!(scene.idle(dev.key).await);
    let told = scene.store.refusals(scene.c, 10).await.unwrap();
    assert_eq!((told.len(), told[0].group), (1, dev.resource.id));

    // Whoever deletes the user has it tried again, and it is not forgotten before.
    let deleted = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    deleted.await.unwrap();
    assert_eq!(scene.withdraw(ann.key).await, [Lane::Group(dev.key)]);
    let again = scene.user("ann").await;
    let turn = scene.begin(dev.key).await;
    assert!(scene.waits(again.key).await);
    scene.end(&turn, absent(ann.key)).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert!(!scene.waits(again.key).await);
}

#[tokio::test]
async fn who_leaves_is_taken_out_of_a_group_whose_deletion_got_no_answer() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.delete_group(&dev, actor()).await.unwrap();
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    let turn = scene.begin(dev.key).await;
    assert!(!turn.work.kept && !turn.work.wanted);
    assert_eq!(names(&turn.work.removes), [ann.key]);
    let woken = scene.end(&turn, absent(ann.key)).await;
    assert_eq!(woken, [Lane::User(ann.key)]);
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    let turn = scene.begin(dev.key).await;
    assert!(turn.work.removes.is_empty(), "it is deleted still");
}

#[tokio::test]
async fn a_successor_has_the_account_that_stayed_and_nobody_has_one_that_was_ended() {
    let scene = Scene::new().await;
    let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
    for (user, name, stays) in [(&ann, "ann", true), (&ben, "ben", false)] {
        scene.set_active(user, name, false).await;
        if stays {
            scene.withdraw(user.key).await;
            scene.how_it_ended(user.key).await;
        } else {
            scene.end_account(user.key).await;
        }
        let deleted = scene
            .store
            .delete_user(scene.c, user.resource.id, always(), actor());
        deleted.await.unwrap();
        let again = scene.user(name).await;
        let turn = scene.store.begin_user_turn(again.key).await;
        let turn = turn.unwrap().unwrap();
        let known = turn.work.observed.existence == Existence::Unknown;
        assert_eq!((turn.unsure, known), (stays, stays), "{name}");
    }
}

#[tokio::test]
async fn a_successor_that_waited_has_the_account_that_stayed() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    let deleted = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    deleted.await.unwrap();
    let again = scene.user("ann").await;
    scene.change(&dev, add(&[again.resource.id])).await.unwrap();
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.removes), [ann.key]);
    assert!(
        turn.work.adds.is_empty(),
        "not before its predecessor is out"
    );
    scene.end(&turn, absent(ann.key)).await;
    scene.how_it_ended(ann.key).await;
    let turn = scene.store.begin_user_turn(again.key).await;
    let turn = turn.unwrap().unwrap();
    assert_eq!(turn.work.observed.existence, Existence::Unknown);
    assert!(turn.unsure);
}

#[tokio::test]
async fn what_may_still_land_on_an_account_that_stays_is_put_right_of_its_successor() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[]).await;
    scene.change(&dev, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(dev.key).await;
    let call = Operation::AddMembers {
        group: "dev".into(),
        members: turn.work.adds.clone(),
    };
    let learned = GroupLearned {
        absent: vec![ann.key],
        calls: vec![(call, UNANSWERED.into(), 1.into())],
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    scene.how_it_ended(ann.key).await;
    let deleted = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    deleted.await.unwrap();
    let again = scene.user("ann").await;
    let turn = scene.store.begin_user_turn(again.key).await;
    assert!(turn.unwrap().unwrap().unsure, "it does not wait for that");
    let learned = UserLearned {
        observed: Some(ObservedAccount {
            existence: Existence::Present,
            ..ObservedAccount::default()
        }),
        settled: true,
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(again.key, learned, 2_000);
    end.await.unwrap();
    let recheck = scene
        .store
        .recheck_late(scene.c, (10_000, i64::MIN), 20_000, 0);
    assert_eq!(recheck.await.unwrap(), [Lane::Group(dev.key)]);
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.removes), [again.key]);
    scene.end(&turn, absent(again.key)).await;
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

/// A removal that was refused and is tried once more has one state at a time.
#[tokio::test]
async fn what_is_tried_once_more_with_the_end_of_a_user_is_pending_and_not_refused() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    let states = async || {
        let counts = scene.store.counts(scene.c).await.unwrap();
        let told = scene.store.refusals(scene.c, 9).await.unwrap().len() as u64;
        assert_eq!(told, counts.refused_memberships);
        (counts.pending_memberships, told)
    };
    let refuse = async || {
        let turn = scene.begin(dev.key).await;
        assert_eq!(names(&turn.work.removes), [ann.key]);
        let refused = GroupLearned {
            refused: vec![(ann.key, "not now".into())],
            ..GroupLearned::default()
        };
        scene.end(&turn, refused).await;
    };
    scene
        .change(&dev, remove(&[ann.resource.id]))
        .await
        .unwrap();
    assert_eq!(states().await, (1, 0));
    refuse().await;
    assert_eq!(states().await, (0, 1), "put back, and told");
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    assert_eq!(states().await, (1, 0), "on its way out once more");
    refuse().await;
    assert_eq!(states().await, (0, 1));
    scene.how_it_ended(ann.key).await;
    assert_eq!(states().await, (0, 1));
    // Whoever asks for it again has it tried again.
    scene.change(&dev, add(&[ann.resource.id])).await.unwrap();
    assert_eq!(states().await, (1, 0));
    let turn = scene.begin(dev.key).await;
    scene.end(&turn, absent(ann.key)).await;
    scene.set_active(&ann, "ann", true).await;
    let turn = scene.begin(dev.key).await;
    let back = GroupLearned {
        present: vec![ann.key],
        ..GroupLearned::default()
    };
    scene.end(&turn, back).await;
    assert_eq!(states().await, (0, 1), "it was never taken out for good");
}
