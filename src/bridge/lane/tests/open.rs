//! Which turns are open at once, and what does not wait for that.

use super::*;
use crate::{
    bridge::lane::brink::tests::{Scene, long_ago, scene, texts},
    plan::state::Account,
    scim::patch::MemberChange,
};

/// All the places of the users or of the groups.
async fn fill(scene: &Scene, lane: fn(i64) -> Lane) -> Vec<Option<Place>> {
    let mut places = Vec::new();
    for n in 0..32 {
        places.push(scene.lanes.place(lane(1_000 + n)).await);
    }
    places
}

/// Whether a lane gets its turn now, with a place or without; `None`: it waits.
async fn goes(scene: &Scene, lane: Lane) -> Option<bool> {
    let place = scene.lanes.place(lane);
    let soon = tokio::time::timeout(millis(100), place);
    soon.await.ok().map(|place| place.is_some())
}

/// A user and a group for whom there is something to be done, and nothing to be taken
/// away.
async fn asked(scene: &Scene) -> [Lane; 2] {
    let lanes = [
        Lane::User(scene.keys(0..1)[0]),
        Lane::Group(scene.group.key),
    ];
    lanes.iter().for_each(|lane| begins(scene, *lane));
    let role = |account: &mut Account| account.role = Some("Users".into());
    scene.write(0, role).await;
    let members = || texts(&scene.users[1..2]);
    scene.change(MemberChange::Remove(members())).await;
    scene.arrive(long_ago().at).await;
    scene.change(MemberChange::Add(members())).await;
    lanes
}

/// Somebody works on it.
fn begins(scene: &Scene, lane: Lane) {
    let state = State {
        running: true,
        ..State::new()
    };
    scene.lanes.lock().insert(lane, state);
}

#[tokio::test]
async fn ordinary_turns_wait_for_a_place_and_what_takes_access_away_does_not() {
    let scene = scene(Guard::off(), scripted(all_done), 3).await;
    let [user, group] = asked(&scene).await;
    let users = fill(&scene, |n| Lane::User(UserKey(n))).await;
    assert_eq!(goes(&scene, user).await, None);
    assert_eq!(goes(&scene, group).await, Some(true), "those are apart");
    let groups = fill(&scene, |n| Lane::Group(GroupKey(n)));
    let mut groups = groups.await;
    assert_eq!(goes(&scene, group).await, None);
    groups.pop();
    assert_eq!(goes(&scene, group).await, Some(true));
    let _last = scene.lanes.place(group).await;

    // Asked for while it waits.
    let waits = scene.lanes.place(user);
    let asks = async {
        tokio::time::sleep(millis(50)).await;
        scene.deactivate(0).await;
        scene.lanes.kick(user);
    };
    let both = async { tokio::join!(waits, asks) };
    let both = tokio::time::timeout(Duration::from_secs(60), both);
    assert!(both.await.unwrap().0.is_none());
    assert_eq!(goes(&scene, user).await, Some(false));
    scene
        .change(MemberChange::Remove(texts(&scene.users[2..3])))
        .await;
    assert_eq!(goes(&scene, group).await, Some(false));
    // Nor does who is to do nothing.
    scene.arrive(long_ago().at).await;
    assert_eq!(goes(&scene, group).await, Some(false));
    drop((users, groups));
}

#[tokio::test]
async fn a_group_that_has_sent_something_leaves_its_place_to_the_next() {
    let scene = scene(Guard::off(), scripted(all_done), 2).await;
    let [_, lane] = asked(&scene).await;
    let mut places = fill(&scene, |n| Lane::Group(GroupKey(n))).await;
    let since = SinceSeq::of(
        &scene.lanes,
        (scene.group.key, 1),
        0,
        places.pop().flatten(),
    );
    assert_eq!(goes(&scene, lane).await, None);
    Counts::sent(&since, true);
    assert_eq!(goes(&scene, lane).await, Some(true));
}

#[tokio::test]
async fn a_pause_that_others_were_asked_for_is_over_for_who_is_to_lose_access() {
    for pause in [Pause::For(Duration::from_secs(900)), Pause::UntilAccepted] {
        let mut app = scripted(all_done);
        app.refused = AtomicUsize::new(1_000);
        let scene = scene(Guard::off(), app, 2).await;
        let lane = Lane::Group(scene.group.key);
        begins(&scene, lane);
        let is_over = async |within: Duration| {
            scene.lanes.kick(lane);
            let rest = scene.lanes.pause(lane, pause, 1);
            tokio::time::timeout(within, rest).await.is_ok()
        };
        assert!(!is_over(Duration::from_secs(2)).await, "{pause:?}");
        let out = MemberChange::Remove(texts(&scene.users[1..2]));
        scene.change(out).await;
        assert!(is_over(Duration::from_secs(10)).await, "{pause:?}");
    }
}
