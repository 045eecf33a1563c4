//! Lanes with a store that knows users and a group.
use serde_json::json;

use super::*;
use crate::{
    bridge::lane::brink::tests::{Scene, account, long_ago, scene, texts},
    plan::{operation::Operation, state::Account},
    scim::patch::MemberChange,
    store::{GroupRow, Site, UNANSWERED, UserRow},
};

/// By how much a look may lag behind in such a scene.
const LAG: Duration = Duration::from_secs(10);

fn since(scene: &Scene, seq: u64) -> SinceSeq<'_> {
    SinceSeq::of(&scene.lanes, (scene.group.key, seq), 0, None)
}

#[tokio::test]
async fn a_turn_hears_who_was_asked_for_since_it_began_and_which_names_are_nobody_s() {
    let scene = scene(Guard::off(), scripted(all_done), 3).await;
    let turn = scene.removal(0..2).await;
    let all = scene.keys(0..2);
    let asked = since(&scene, turn.seq);
    assert_eq!(asked.written(all.clone()).await, Ok(vec![]));
    let back = texts(&scene.users[1..2]);
    scene.change(MemberChange::Add(back)).await;
    assert_eq!(asked.written(all).await, Ok(scene.keys(1..2)));
    let names = vec!["adm".to_owned(), "free".to_owned()];
    assert_eq!(asked.without_row(names).await, Ok(vec!["free".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_was_done_lately_or_before_this_process_may_not_be_shown_yet() {
    let scene = scene(Guard::off(), scripted(all_done), 1).await;
    let lately = since(&scene, 1);
    assert_eq!(lately.read_lag(), LAG);
    let passes = async || {
        tokio::time::advance(LAG.saturating_sub(millis(1))).await;
        assert!(lately.done_lately());
        tokio::time::advance(millis(1)).await;
        assert!(!lately.done_lately());
    };
    passes().await;
    let done = State {
        done: Some(Instant::now()),
        ..State::new()
    };
    scene
        .lanes
        .lock()
        .insert(Lane::Group(scene.group.key), done);
    passes().await;
}

fn user_row(n: usize) -> UserRow {
    let attributes = json!({ "userName": account(n) });
    UserRow {
        attributes: serde_json::from_value(attributes).unwrap(),
        account_key: Some(account(n)),
        account: Account {
            active: true,
            ..Account::default()
        },
    }
}

#[tokio::test]
async fn an_account_that_was_made_wakes_who_puts_it_into_a_group_at_the_same_tenant() {
    let scene = scene(Guard::off(), scripted(all_done), 1).await;
    let (store, id) = (scene.store(), clock::new_id);
    let other = store.connection("globex").await.unwrap();
    let ann = store.create_user(scene.c, id(), user_row(7), long_ago());
    let ann = ann.await.unwrap();
    let theirs = store.create_user(other, id(), user_row(7), long_ago());
    let theirs = theirs.await.unwrap();
    let row = GroupRow {
        attributes: serde_json::from_value(json!({ "displayName": "crew" })).unwrap(),
        upstream_name: "crew".into(),
    };
    let members = texts(&[theirs]);
    let crew = store.create_group(other, id(), row, members, false, long_ago());
    let crew = crew.await.unwrap();
    let site = Some(Site {
        name: "app".into(),
        accounts: true,
    });
    let sites = vec![(scene.c, site.clone()), (other, site)];
    store.settle_sites(sites).await.unwrap();
    let (others, mut woken) = mpsc::unbounded_channel();
    scene.lanes.know_others(others);
    let pause = scene.lanes.user_turn(ann.key).await;
    assert_eq!(pause, Ok(Some(Pause::None)));
    assert_eq!(woken.try_recv(), Ok((other, Lane::Group(crew.key))));
    assert!(woken.try_recv().is_err());
}

/// By a clock that goes as the runtime's does.
#[tokio::test(start_paused = true)]
async fn what_a_late_call_may_have_changed_is_said_again_after_half_of_its_time() {
    clock::simulated::begin(1_800_000_000_000);
    store::simulated::pace(Some(|| Duration::ZERO));
    let scene = scene(Guard::off(), scripted(all_done), 2).await;
    scene.removal(0..1).await;
    scene.arrive(clock::now()).await;
    scene
        .change(MemberChange::Add(texts(&scene.users[0..1])))
        .await;
    let turn = scene.turn().await;
    let add = Operation::AddMembers {
        group: "adm".into(),
        members: turn.work.adds.clone(),
    };
    let unanswered = GroupLearned {
        calls: vec![(add, UNANSWERED.into(), 1.into())],
        ..GroupLearned::default()
    };
    let end = scene.store();
    let end = end.end_group_turn(scene.group.key, turn.seq, unanswered, clock::now());
    end.await.unwrap();
    scene.removal(0..1).await;
    scene.arrive(clock::now()).await;
    scene.lanes.recheck_late(scene.c, Duration::from_secs(4));
    let is_woken = || {
        let lanes = scene.lanes.lock();
        lanes.contains_key(&Lane::Group(scene.group.key))
    };
    tokio::time::sleep(millis(1_900)).await;
    assert!(!is_woken());
    tokio::time::sleep(millis(1_000)).await;
    assert!(is_woken());
    store::simulated::pace(None);
    clock::simulated::end();
}

/// By a store that loses what it is told, so that every turn has the same to do.
#[tokio::test]
async fn a_lane_whose_turns_change_nothing_does_not_go_round_at_full_pace() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let app = scripted(move |operation| {
        counted.fetch_add(1, Ordering::Relaxed);
        all_done(operation)
    });
    let scene = scene(Guard::off(), app, 2).await;
    scene.removal(0..1).await;
    scene.arrive(clock::now()).await;
    store::simulated::forget_additions(&scene.file());
    let back = texts(&scene.users[0..1]);
    scene.change(MemberChange::Add(back)).await;
    let calls = || sent.load(Ordering::Relaxed);
    let lane = Lane::Group(scene.group.key);
    scene.lanes.kick(lane);
    tokio::time::sleep(millis(1_200)).await;
    let before = calls();
    assert!((2..8).contains(&before), "{before}");
    // Who asks waits for none of that.
    let _answer = scene.lanes.wait(lane, 1, vec![], false);
    tokio::time::sleep(millis(250)).await;
    assert!(calls() > before);
}

/// How long a lane rests that went round so often, with something done meanwhile.
async fn rests(lanes: &Lanes, lane: Lane, meanwhile: impl FnOnce()) -> Duration {
    lanes.with(lane, |state| {
        (state.kicked, state.asked, state.arrivals) = (false, false, 0);
    });
    let rest = async {
        let began = Instant::now();
        lanes.rest_from_rounds(lane, 8).await;
        began.elapsed()
    };
    let act = async {
        tokio::time::sleep(millis(500)).await;
        meanwhile();
    };
    tokio::join!(rest, act).0
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_now_waits_for_no_rest_and_lanes_that_wake_each_other_do() {
    let (lanes, _folder) = lanes(scripted(all_done));
    let user = Lane::User(UserKey(1));
    let rests = async |meanwhile: &dyn Fn()| rests(&lanes, LANE, meanwhile).await;
    let at_once = millis(510);
    let five = Duration::from_secs(5);
    assert!(rests(&|| lanes.kick(LANE)).await >= five);
    assert!(rests(&|| lanes.ask(LANE)).await <= at_once);
    // So is what the new turn of another lane leaves to it, and not of one that goes
    // round as well, nor again and again.
    let left = |rounds| lanes.kick_but(vec![LANE], user, Some(rounds));
    assert!(rests(&|| left(3)).await >= five);
    assert!(rests(&|| left(0)).await <= at_once);
    assert!(rests(&|| left(0)).await >= five);
    assert!(
        rests(&|| left(0)).await <= at_once,
        "after a while it may be"
    );
    let own = |rounds| lanes.kick_but(vec![LANE], LANE, Some(rounds));
    assert!(rests(&|| own(0)).await >= five);
}
