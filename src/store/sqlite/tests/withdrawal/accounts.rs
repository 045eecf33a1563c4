//! Where there is an account to end, too: what waits with it, what ends with it.

use super::*;

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
