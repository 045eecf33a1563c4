//! What is looked at before it is taken away, and how often.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::Ordering;

use serde_json::json;

use super::{
    brink::tests::{Scene, account, long_ago, scene},
    *,
};
use crate::{
    bridge::{
        clock,
        converge::{
            Pause,
            tests::{all_done, scripted},
        },
        lane::waiters::State,
    },
    plan::guard::Guard,
    store::{FoundGroup, GroupRow, ImportMark},
};

const LANE: Lane = Lane::User(UserKey(1));

#[tokio::test(start_paused = true)]
async fn a_lane_whose_look_has_failed_does_not_look_for_a_minute() {
    let failed = Failed::default();
    assert!(!failed.has(LANE));
    failed.note(LANE);
    assert!(!failed.has(Lane::User(UserKey(2))), "that is another one");
    tokio::time::advance(NOT_AGAIN.saturating_sub(Duration::from_millis(1))).await;
    assert!(failed.has(LANE));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!failed.has(LANE));
}

/// Somebody who leaves and was only found in these groups.
async fn leaver_in(groups: &[&str]) -> (Scene, Lane) {
    let scene = scene(Guard::off(), scripted(all_done), 1).await;
    let found = |name: &&str| FoundGroup {
        id: clock::new_id(),
        row: GroupRow {
            attributes: serde_json::from_value(json!({ "displayName": name })).unwrap(),
            upstream_name: (*name).into(),
        },
        read_only: None,
        family: None,
        members: vec![(None, Some(account(0)))],
    };
    let groups: Vec<_> = groups.iter().map(found).collect();
    let (mark, count) = (ImportMark(i64::MAX), groups.len() as u64);
    let import = scene.store();
    let import = import.import(scene.c, mark, Vec::new(), groups, None, long_ago());
    assert_eq!(import.await.unwrap().members_new, count);
    scene.deactivate(0).await;
    let lane = Lane::User(scene.users[0].key);
    (scene, lane)
}

/// Of how many groups nobody has looked, after a look.
async fn left(scene: &Scene, lane: Lane) -> usize {
    scene.lanes.see_found(lane).await.unwrap();
    scene.store().unseen(lane).await.unwrap().len()
}

fn unread(scene: &Scene) -> usize {
    scene.app.members.lock().unwrap().len()
}

#[tokio::test]
async fn each_group_is_looked_at_and_who_is_shown_is_believed_of_one_look() {
    let (scene, lane) = leaver_in(&["dev", "ops"]).await;
    for _ in 0..3 {
        scene.shows(&[0]);
    }
    assert_eq!(scene.store().unseen(lane).await.unwrap().len(), 2);
    assert_eq!(left(&scene, lane).await, 0);
    assert_eq!(unread(&scene), 1);
    assert!(!scene.lanes.0.failed.has(lane));
}

#[tokio::test]
async fn that_somebody_is_not_there_is_believed_of_two_looks() {
    let (scene, lane) = leaver_in(&["dev"]).await;
    for _ in 0..3 {
        scene.shows(&[7]);
    }
    assert_eq!(left(&scene, lane).await, 0);
    assert_eq!(unread(&scene), 1);
}

#[tokio::test]
async fn a_look_that_failed_is_not_repeated_and_what_another_one_showed_is_kept() {
    let (scene, lane) = leaver_in(&["dev", "ops"]).await;
    scene.app.failing.store(1, Ordering::Relaxed);
    scene.shows(&[0]);
    assert_eq!(left(&scene, lane).await, 1);
    assert!(scene.lanes.0.failed.has(lane));
    scene.shows(&[0]);
    assert_eq!(left(&scene, lane).await, 1, "it is not looked again");
    assert_eq!(unread(&scene), 1);
}

#[tokio::test]
async fn the_end_of_an_account_looks_first_at_what_was_only_found() {
    let (scene, lane) = leaver_in(&["dev"]).await;
    scene.lanes.lock().insert(lane, State::new());
    for _ in 0..2 {
        scene.shows(&[0]);
    }
    let pause = scene.lanes.user_turn(scene.users[0].key).await;
    assert_eq!(pause, Ok(Some(Pause::None)));
    assert_eq!(unread(&scene), 1);
    assert_eq!(scene.lanes.with(lane, |state| state.takes), Some(true));
}
