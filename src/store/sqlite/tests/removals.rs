//! What a window counts: what was taken, once for each of whom it was taken,
//! and not what the application refused to give up.

use super::{
    guards::{at, rule},
    *,
};
use crate::plan::guard::Rule;

const MINUTE: i64 = 60_000;

#[tokio::test]
async fn a_leaver_whom_the_application_keeps_is_no_leaver() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 60).await;
    for n in 0..60 {
        let left = scene.deactivate(ids[0], at(n * 1_000)).await.unwrap();
        let (version, before) = (left.resource.meta.version, left.before);
        let restored = scene
            .store
            .restore_user(left.key, version, before, at(n * 1_000));
        restored.await.unwrap();
    }
    // There is room for fifty others, and for no more.
    for id in &ids[1..51] {
        assert_eq!(rule(scene.deactivate(*id, at(MINUTE)).await), None);
    }
    let more = scene.deactivate(ids[51], at(MINUTE)).await;
    assert_eq!(rule(more), Some(Rule::Removals));
}

#[tokio::test]
async fn a_member_whom_the_application_keeps_is_not_gone() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    let mut keys = Vec::new();
    for n in 0..40 {
        let member = scene.member(&format!("m{n}")).await;
        ids.push(member.resource.id);
        keys.push(member.key);
    }
    let group = scene.settled_group("dev", &ids).await;
    // Two go at first, for good, so that what is taken back is in between.
    let first = scene.change_as(&group, remove(&ids[38..]), at(0)).await;
    assert_eq!(rule(first), None);
    scene.confirm_group(&group).await;
    for n in 1..20 {
        let gone = scene.change_as(&group, remove(&ids[..2]), at(n * 1_000));
        assert_eq!(rule(gone.await), None, "{n}");
        let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
        let learned = GroupLearned {
            refused: vec![(keys[0], "owner".into()), (keys[1], "owner".into())],
            ..GroupLearned::default()
        };
        let (key, seq) = (group.key, turn.unwrap().seq);
        let end = scene.store.end_group_turn(key, seq, learned, n);
        end.await.unwrap();
    }
    let rest = scene.change_as(&group, remove(&ids[2..10]), at(MINUTE));
    assert_eq!(rule(rest.await), None, "eight and the two make ten");
    let more = scene.change_as(&group, remove(&ids[10..11]), at(MINUTE));
    assert_eq!(rule(more.await), Some(Rule::GroupRemovals));
    // What is left of the window ends with it.
    let later = scene.change_as(&group, remove(&ids[10..11]), at(61 * MINUTE));
    assert_eq!(rule(later.await), None);
}

#[tokio::test]
async fn a_clock_that_is_set_empties_no_window_and_a_waiting_group_goes_on_waiting() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 40).await;
    let group = scene.settled_group("dev", &ids).await;
    let other = scene.settled_group("ops", &ids).await;
    let gone = |of, from: usize, upto: usize, when| {
        scene.change_as(of, remove(&ids[from..upto]), at(when))
    };
    assert_eq!(rule(gone(&group, 0, 5, MINUTE).await), None);
    assert_eq!(rule(gone(&group, 5, 10, 2 * MINUTE).await), None);
    let (was, is) = (3 * MINUTE, 200 * MINUTE);
    scene.store.clock_set(scene.c, was, is).await.unwrap();
    let more = gone(&group, 10, 11, is + MINUTE).await;
    assert_eq!(rule(more), Some(Rule::GroupRemovals));
    // What was taken at the first minute has been an hour ago, the rest has not.
    let first = is + 58 * MINUTE + MINUTE / 2;
    assert_eq!(rule(gone(&group, 10, 15, first).await), None);
    let more = gone(&group, 15, 16, first).await;
    assert_eq!(rule(more), Some(Rule::GroupRemovals));
    // Put back, it ends no window and makes none that is longer than its time.
    let (was, is) = (first + MINUTE, 10 * MINUTE);
    scene.store.clock_set(scene.c, was, is).await.unwrap();
    let more = gone(&group, 15, 18, is + MINUTE).await;
    assert_eq!(rule(more), Some(Rule::GroupRemovals));
    assert_eq!(rule(gone(&group, 15, 18, is + 61 * MINUTE).await), None);
    assert_eq!(rule(gone(&other, 0, 10, is + 61 * MINUTE).await), None);
}

#[tokio::test]
async fn the_same_member_and_the_same_leaver_count_once_and_from_the_last_time() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 40).await;
    let group = scene.group("dev", &ids).await;
    let other = scene.group("ops", &ids).await;
    let gone = |of, n: usize, when| scene.change_as(of, remove(&ids[n..=n]), at(when));
    for n in 0..12 {
        assert_eq!(rule(gone(&group, 0, n * MINUTE).await), None, "{n}");
        scene.change(&group, add(&ids[..1])).await.unwrap();
    }
    for n in 1..10 {
        assert_eq!(rule(gone(&group, n, 12 * MINUTE).await), None, "{n}");
    }
    // Its last time was eleven minutes after its first: that one counts.
    let early = gone(&group, 10, 70 * MINUTE).await;
    assert_eq!(rule(early), Some(Rule::GroupRemovals));
    assert_eq!(rule(gone(&group, 10, 71 * MINUTE).await), None);
    // The same member of another group is another removal there.
    let others = scene.change_as(&other, remove(&ids[..11]), at(71 * MINUTE));
    assert_eq!(rule(others.await), Some(Rule::GroupRemovals));
}

#[tokio::test]
async fn who_goes_again_counts_once_whatever_went_before_and_since() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 40).await;
    let group = scene.group("dev", &ids).await;
    let gone = |from: usize, upto: usize| scene.change_as(&group, remove(&ids[from..upto]), at(0));
    for n in 0..3 {
        assert_eq!(rule(gone(n, n + 1).await), None);
    }
    scene.change(&group, add(&ids[1..2])).await.unwrap();
    assert_eq!(rule(gone(1, 2).await), None);
    assert_eq!(rule(gone(3, 10).await), None, "ten in all");
    assert_eq!(rule(gone(10, 11).await), Some(Rule::GroupRemovals));
}

#[tokio::test]
async fn those_without_access_do_not_keep_a_group_from_being_emptied() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 12).await;
    let group = scene.group("dev", &ids[..11]).await;
    assert_eq!(rule(scene.deactivate(ids[10], at(0)).await), None);
    let emptied = scene.change_as(&group, remove(&ids[..10]), at(0)).await;
    assert_eq!(rule(emptied), Some(Rule::EmptyFrom));
    // With one who has access it is only smaller.
    scene.change(&group, add(&ids[11..])).await.unwrap();
    let left = scene.change_as(&group, remove(&ids[..10]), at(0)).await;
    assert_eq!(rule(left), None);
}
