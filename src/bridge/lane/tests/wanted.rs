//! What a turn is to give and waits for the limit with, and what is asked for meanwhile.

use super::*;
use crate::{
    bridge::{
        converge::Doubts,
        lane::brink::tests::{Scene, account, long_ago, scene, texts},
    },
    plan::{operation::Operation, state::Account},
    scim::{patch::MemberChange, resource::Attributes},
    store::{Precondition, UserRow},
};

/// For as long as nobody would wait.
const LONG: Duration = Duration::from_secs(60);

/// A group of seven into which the fourth of eight is to be put, and that waits.
async fn waiting(wait: Duration) -> Scene {
    let mut app = scripted(all_done);
    app.waits = wait;
    let scene = scene(Guard::off(), app, 8).await;
    let last = || texts(&scene.users[3..4]);
    scene.change(MemberChange::Remove(last())).await;
    scene.arrive(long_ago().at).await;
    scene.change(MemberChange::Add(last())).await;
    let state = State {
        running: true,
        ..State::new()
    };
    scene.lanes.lock().insert(lane(&scene), state);
    scene
}

fn lane(scene: &Scene) -> Lane {
    Lane::Group(scene.group.key)
}

/// A turn of the group in which something else is asked for; `None` if it waits on.
async fn turn(scene: &Scene, meanwhile: impl Future<Output = ()>) -> Option<Pause> {
    let mut doubts = Doubts::new();
    let turn = scene.lanes.group_turn(scene.group.key, &mut doubts, None);
    let asks = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        meanwhile.await;
        scene.lanes.ask(lane(scene));
    };
    let both = async { tokio::join!(turn, asks).0 };
    let end = tokio::time::timeout(Duration::from_secs(2), both).await;
    end.ok().map(|end| end.unwrap().unwrap())
}

fn sent(scene: &Scene) -> Vec<Operation> {
    scene.app.sent.lock().unwrap().clone()
}

/// Whom the next turn would put in, and take out.
async fn next(scene: &Scene) -> Option<(Vec<UserKey>, Vec<UserKey>)> {
    let turn = scene.store().begin_group_turn(scene.group.key, 100).await;
    let work = turn.unwrap()?.work;
    let keys = |of: Vec<crate::plan::state::Principal>| of.iter().map(|it| it.user).collect();
    Some((keys(work.adds), keys(work.removes)))
}

#[tokio::test]
async fn an_addition_that_waits_is_not_sent_when_it_is_taken_back() {
    let scene = waiting(LONG).await;
    let back = scene.change(MemberChange::Remove(texts(&scene.users[3..4])));
    assert_eq!(turn(&scene, back).await, Some(Pause::None));
    assert_eq!((sent(&scene), next(&scene).await), (vec![], None));

    // Nor when the user is to have nothing; it is kept for when that is otherwise.
    let scene = waiting(LONG).await;
    assert_eq!(turn(&scene, scene.deactivate(3)).await, Some(Pause::None));
    assert_eq!((sent(&scene), next(&scene).await), (vec![], None));
    scene.write(3, |account| account.active = true).await;
    assert_eq!(next(&scene).await, Some((scene.keys(3..4), vec![])));
}

#[tokio::test]
async fn a_removal_does_not_wait_for_an_addition_that_does_and_more_additions_do() {
    let scene = waiting(LONG).await;
    let more = scene.change(MemberChange::Add(texts(&scene.users[..2])));
    assert_eq!(turn(&scene, more).await, None, "it keeps its turn");

    let scene = waiting(LONG).await;
    let out = scene.change(MemberChange::Remove(texts(&scene.users[..1])));
    assert_eq!(turn(&scene, out).await, Some(Pause::None));
    assert_eq!(sent(&scene), []);
    assert_eq!(
        next(&scene).await,
        Some((scene.keys(3..4), scene.keys(0..1)))
    );
    // No failure of it, and a place is kept for it.
    let failed = |state: &mut State| (state.failed.len(), state.gave_way);
    assert_eq!(scene.lanes.with(lane(&scene), failed), Some((0, 1)));
}

#[tokio::test]
async fn however_often_somebody_is_to_go_an_addition_gets_on() {
    let scene = waiting(Duration::from_millis(600)).await;
    let added = |it: &Operation| matches!(it, Operation::AddMembers { .. });
    let mut turns = 0;
    while !sent(&scene).iter().any(added) {
        turns += 1;
        assert!(turns < 5, "{:?}", sent(&scene));
        let who = texts(&scene.users[3 + turns..=3 + turns]);
        let out = scene.change(MemberChange::Remove(who));
        assert_eq!(turn(&scene, out).await, Some(Pause::None));
    }
    assert!(turns > 2, "{turns}");
    let gave_way = scene.lanes.with(lane(&scene), |state| state.gave_way);
    assert_eq!(gave_way, Some(0));
}

#[tokio::test]
async fn an_account_that_waits_to_be_made_is_not_made_for_who_is_to_have_none() {
    let mut app = scripted(all_done);
    app.waits = LONG;
    let scene = scene(Guard::off(), app, 1).await;
    let row = UserRow {
        attributes: Attributes::default(),
        account_key: Some(account(9)),
        account: Account {
            active: true,
            ..Account::default()
        },
    };
    let (c, id) = (scene.c, clock::new_id());
    let made = scene
        .store()
        .create_user(c, id, row, long_ago())
        .await
        .unwrap();
    let lane = Lane::User(made.key);
    scene.lanes.lock().insert(
        lane,
        State {
            running: true,
            ..State::new()
        },
    );
    let asks = async |active: bool| {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let title = move |stored: &store::StoredUser| {
            let mut row = stored.row.clone();
            row.attributes.0.insert("title".into(), "T".into());
            row.account.active = active;
            Ok(Some(row))
        };
        let always = Precondition::default();
        let change = scene
            .store()
            .change_user(c, id, always, Box::new(title), long_ago());
        change.await.unwrap();
        scene.lanes.ask(lane);
    };
    let turn = async |active: bool| {
        let both = async { tokio::join!(scene.lanes.user_turn(made.key), asks(active)).0 };
        let end = tokio::time::timeout(Duration::from_secs(2), both).await;
        end.ok().map(|end| end.unwrap().unwrap())
    };
    assert_eq!(turn(true).await, None, "what it is for is the same");
    assert_eq!(turn(false).await, Some(Pause::None));
    assert_eq!(sent(&scene), []);
}
