//! Removals that are refused of who is to have nothing.

use super::{super::guards::at, *};
use crate::store::KEPT;

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

/// It may have been needless.
#[tokio::test]
async fn who_returns_is_asked_for_where_the_removal_was_refused_and_that_is_told_no_more() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    let turn = scene.begin(dev.key).await;
    scene.end(&turn, refuse(ann.key)).await;
    scene.how_it_ended(ann.key).await;
    assert_eq!(scene.store.refusals(scene.c, 10).await.unwrap().len(), 1);
    scene.set_active(&ann, "ann", true).await;
    assert_eq!(scene.store.refusals(scene.c, 10).await.unwrap(), []);
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.adds), [ann.key]);
}

#[tokio::test]
async fn a_refused_removal_is_a_new_attempt_when_its_inactive_user_is_asked_for() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.set_active(&ann, "ann", false).await;
    scene.withdraw(ann.key).await;
    let before = scene.begin(dev.key).await;
    scene.end(&before, refuse(ann.key)).await;
    scene.how_it_ended(ann.key).await;
    let asked = scene.change(&dev, add(&[ann.resource.id])).await.unwrap();
    assert_eq!((asked.changed, &*asked.touched), (false, &[ann.key][..]));
    assert!(asked.seq > before.seq, "not answered with the last attempt");
    let turn = scene.begin(dev.key).await;
    assert_eq!(names(&turn.work.removes), [ann.key]);
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

/// Ann is deleted, and a guard rail keeps her in a group: her end, or her removal
/// alone. She is asked for anew, and Bob in that group.
async fn kept_by_a_rail(end: bool) -> (Scene, GroupWritten, [UserWritten; 3]) {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let dev = scene.settled_group("dev", &[ann.resource.id]).await;
    let deleted = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    deleted.await.unwrap();
    let reason = format!("too few{KEPT}");
    if end {
        let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
        let learned = UserLearned {
            observed: Some(turn.work.observed),
            settled: true,
            refused: Some(reason),
            ..UserLearned::default()
        };
        let end = scene.store.end_user_turn(ann.key, learned, 2_000);
        end.await.unwrap();
    } else {
        scene.withdraw(ann.key).await;
        let turn = scene.begin(dev.key).await;
        let learned = GroupLearned {
            refused: vec![(ann.key, reason)],
            ..GroupLearned::default()
        };
        scene.end(&turn, learned).await;
        scene.how_it_ended(ann.key).await;
    }
    let again = scene.user("ann").await;
    assert!(scene.waits(again.key).await);
    (scene, dev, [ann, bob, again])
}

#[tokio::test]
async fn what_a_guard_rail_kept_of_who_is_deleted_is_over_when_the_removal_was_done() {
    let (scene, dev, [ann, _, again]) = kept_by_a_rail(true).await;
    let turn = scene.begin(dev.key).await;
    let woken = scene.end(&turn, absent(ann.key)).await;
    assert!(woken.contains(&Lane::User(ann.key)), "{woken:?}");
    assert_eq!(scene.store.counts(scene.c).await.unwrap().refused_users, 0);
    scene.withdraw(ann.key).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert!(!scene.waits(again.key).await);
}

#[tokio::test]
async fn what_a_guard_rail_kept_of_who_is_deleted_is_tried_again_when_somebody_arrives() {
    for end in [true, false] {
        let (scene, dev, [ann, bob, again]) = kept_by_a_rail(end).await;
        scene.change(&dev, add(&[bob.resource.id])).await.unwrap();
        let turn = scene.begin(dev.key).await;
        let arrived = GroupLearned {
            present: vec![bob.key],
            ..GroupLearned::default()
        };
        let woken = scene.end(&turn, arrived).await;
        assert!(woken.contains(&Lane::User(ann.key)), "{end} {woken:?}");
        if end {
            scene.withdraw(ann.key).await;
        }
        let turn = scene.begin(dev.key).await;
        assert_eq!(names(&turn.work.removes), [ann.key]);
        scene.end(&turn, absent(ann.key)).await;
        assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
        assert_eq!(scene.store.refusals(scene.c, 10).await.unwrap(), []);
        assert!(!scene.waits(again.key).await);
    }
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
    scene.deactivate(ann.resource.id, at(5_000)).await.unwrap();
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
