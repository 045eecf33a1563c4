//! What a lane remembers, whom it answers, and how long it waits; what its
//! turns do is shown by simulated worlds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use super::{
    places::Watch,
    turns::{SinceSeq, recorded},
    waiters::{Refusal, Summary},
    *,
};
use crate::{
    bridge::converge::{
        Counts, Since,
        tests::{Scripted, all_done, scripted},
    },
    plan::state::GroupKey,
    store::{self, GroupLearned, StoreError},
};

mod open;
mod retries;
mod wanted;
mod whole;

const LANE: Lane = Lane::Group(GroupKey(1));

fn waiter(seq: u64, pairs: &[i64], whole: bool) -> (Waiter, oneshot::Receiver<Settled>) {
    let (answer, receiver) = oneshot::channel();
    let pairs = pairs.iter().copied().map(UserKey).collect();
    let waiter = Waiter {
        seq,
        pairs,
        whole,
        answer,
    };
    (waiter, receiver)
}

fn refusal(seq: u64, user: Option<i64>) -> Refusal {
    Refusal {
        seq,
        user: user.map(UserKey),
        reason: format!("no {seq}"),
    }
}

fn refused(whole: Option<&str>, members: &[(i64, &str)]) -> Option<Settled> {
    let member = |(user, reason): &(i64, &str)| (UserKey(*user), (*reason).to_owned());
    Some(Settled::Refused {
        whole: whole.map(str::to_owned),
        members: members.iter().map(member).collect(),
    })
}

#[tokio::test]
async fn who_asks_after_the_turn_is_told_of_what_it_refused() {
    let mut state = State::new();
    state.remember(refusal(5, None));
    state.remember(refusal(7, Some(1)));
    let asks = |seq, pairs: &[i64], whole| state.earlier_refusal(&waiter(seq, pairs, whole).0);
    assert_eq!(asks(5, &[], true), refused(Some("no 5"), &[]));
    assert_eq!(asks(5, &[1], true), refused(Some("no 5"), &[(1, "no 7")]));
    assert_eq!(asks(7, &[1, 2], true), refused(None, &[(1, "no 7")]));
    assert_eq!(asks(5, &[2], false), None, "it is about others");
    assert_eq!(asks(6, &[], true), None, "it was asked for later");
    assert_eq!(asks(8, &[1], true), None);
}

#[tokio::test]
async fn a_lane_remembers_its_last_thousand_refusals() {
    let mut state = State::new();
    for seq in 0..1_003 {
        state.remember(refusal(seq, None));
    }
    let first = state.refusals.first().map(|refusal| refusal.seq);
    assert_eq!((state.refusals.len(), first), (1_000, Some(3)));
}

fn learned() -> GroupLearned {
    GroupLearned {
        present: vec![UserKey(1)],
        absent: vec![UserKey(2)],
        refused: vec![(UserKey(3), "no".into())],
        ..GroupLearned::default()
    }
}

#[tokio::test]
async fn a_request_is_done_when_all_of_its_pairs_are_and_the_group_if_it_named_it() {
    let open = Summary::of(&learned(), false);
    let whole = Summary::of(&learned(), true);
    let done = Some(Settled::Done);
    assert_eq!(open.answer(&mut waiter(1, &[1, 2], false).0), done);
    let (mut named, _receiver) = waiter(1, &[1], true);
    assert_eq!(open.answer(&mut named), None);
    assert_eq!(whole.answer(&mut named), done);
    let (mut more, _receiver) = waiter(1, &[1, 4], false);
    assert_eq!(whole.answer(&mut more), None);
    assert_eq!(more.pairs, [UserKey(4)].into());
    let some = whole.answer(&mut waiter(1, &[1, 3, 4], true).0);
    assert_eq!(some, refused(None, &[(3, "no")]));
    let gone = GroupLearned {
        group_refused: Some("none".into()),
        ..learned()
    };
    let gone = Summary::of(&gone, false).answer(&mut waiter(1, &[3], false).0);
    assert_eq!(gone, refused(Some("none"), &[]));
}

#[tokio::test]
async fn a_turn_answers_who_asked_before_it_and_leaves_word_for_the_late() {
    let mut state = State::new();
    let (before, mut answered) = waiter(4, &[1], false);
    let (after, mut waits) = waiter(6, &[1], false);
    state.waiters.extend([before, after]);
    Summary::of(&learned(), false).tell(&mut state, 5);
    assert_eq!(answered.try_recv(), Ok(Settled::Done));
    assert!(waits.try_recv().is_err() && state.waiters.len() == 1);
    assert_eq!((state.crowd, state.seen), (1, 0));
    let late = state.earlier_refusal(&waiter(5, &[3], false).0);
    assert_eq!(late, refused(None, &[(3, "no")]));
    Summary::of(&GroupLearned::default(), true).tell(&mut state, 5);
    Summary::of(&GroupLearned::default(), true).tell(&mut state, 3);
    assert_eq!(state.seen, 5);
    let gone = GroupLearned {
        group_refused: Some("none".into()),
        ..GroupLearned::default()
    };
    Summary::of(&gone, false).tell(&mut state, 8);
    assert_eq!(waits.try_recv().ok(), refused(Some("none"), &[]));
    assert_eq!(state.seen, 8, "that is settled, too");
    let late = state.earlier_refusal(&waiter(8, &[], true).0);
    assert_eq!(late, refused(Some("none"), &[]));
}

fn many(count: i64) -> HashMap<Lane, State> {
    let lane = |n| (Lane::User(UserKey(n)), State::new());
    (0..count).map(lane).collect()
}

#[tokio::test(start_paused = true)]
async fn of_many_lanes_those_are_forgotten_that_are_idle_for_long() {
    let left_after = |lag, mut lanes: HashMap<Lane, State>| {
        forget_idle(&mut lanes, lag);
        lanes.len()
    };
    let left = |lanes| left_after(Duration::ZERO, lanes);
    let (few, odd, mut all, mut young) = (many(256), many(321), many(320), many(320));
    let not_shown = many(320);
    let state = |n| Lane::User(UserKey(n));
    all.get_mut(&state(0)).unwrap().running = true;
    let (waiting, _receiver) = waiter(1, &[], true);
    all.get_mut(&state(1)).unwrap().waiters.push(waiting);
    tokio::time::advance(KEEP_IDLE).await;
    for state in young.values_mut() {
        state.idle_since = Instant::now();
    }
    assert_eq!(left(all), 2);
    assert_eq!((left(few), left(odd), left(young)), (256, 321, 320));
    assert_eq!(left_after(KEEP_IDLE * 2, not_shown), 320);
}

/// Lanes of one that somebody works on already.
fn lanes(app: Scripted) -> (Lanes, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(&folder.path().join("lanes.db")).unwrap();
    let engine = tokio::runtime::Handle::current();
    let (name, lag) = ("acme".to_owned(), Duration::from_secs(10));
    let app = Arc::new(app);
    let lanes = Lanes::new(
        (name, ConnectionKey(1)),
        Switch::none(),
        store,
        app,
        engine,
        false,
        (lag, Arc::new(Guard::off()), Places::default(), true),
    );
    let state = State {
        running: true,
        ..State::new()
    };
    lanes.lock().insert(LANE, state);
    (lanes, folder)
}

#[tokio::test]
async fn a_request_wakes_its_lane_and_whoever_is_gone_is_not_waited_for() {
    let (lanes, _folder) = lanes(scripted(all_done));
    let since = SinceSeq::of(&lanes, (GroupKey(1), 1), 0, None);
    assert!(!since.is_overtaken());
    drop(lanes.wait(LANE, 1, vec![UserKey(1)], false));
    assert!(since.is_overtaken());
    let _receiver = lanes.wait(LANE, 2, vec![UserKey(1)], false);
    let count = |state: &mut State| (state.waiters.len(), state.arrivals);
    assert_eq!(lanes.with(LANE, count), Some((1, 2)));
    // It has work to do, then, and does not rest.
    assert!(!lanes.rest(LANE));
    lanes.with(LANE, |state| state.kicked = false);
    assert!(lanes.rest(LANE) && lanes.with(LANE, |state| state.running) == Some(false));
    assert!(lanes.rest(Lane::Group(GroupKey(2))), "nobody knows it");
}

/// How long something takes, by a clock that stands still meanwhile.
async fn takes(work: impl Future<Output = ()>) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

const fn millis(of: u64) -> Duration {
    Duration::from_millis(of)
}

/// Timers are of whole milliseconds, and never early.
#[track_caller]
fn about(took: Duration, expected: Duration) {
    let late = took.checked_sub(expected);
    assert!(late.is_some_and(|late| late <= millis(2)), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn background_work_waits_for_requests_and_not_for_ever() {
    let (lanes, _folder) = lanes(scripted(all_done));
    about(takes(lanes.when_quiet()).await, Duration::ZERO);
    let receiver = lanes.wait(LANE, 1, vec![UserKey(1)], false);
    about(takes(lanes.when_quiet()).await, Duration::from_secs(2));
    drop(receiver);
    lanes.with(LANE, |state| state.waiters.clear());
    about(takes(lanes.when_quiet()).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_lane_waits_as_long_as_it_was_asked_to_and_a_quarter_of_an_hour_at_most() {
    let (lanes, _folder) = lanes(scripted(all_done));
    for (pause, expected) in [
        (Pause::None, 0),
        (Pause::For(millis(7_000)), 7_000),
        (Pause::For(millis(10_000_000)), 900_000),
    ] {
        about(takes(lanes.pause(LANE, pause, 3)).await, millis(expected));
    }
    let unknown = Lane::Group(GroupKey(2));
    let pause = lanes.pause(unknown, Pause::For(millis(9)), 1);
    about(takes(pause).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_more_often_nobody_answered_the_further_lanes_spread() {
    let mut app = scripted(all_done);
    app.away = true;
    let (lanes, _folder) = lanes(app);
    for (attempts, most) in [(1, 5_000), (4, 20_000), (100, 30_000)] {
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let took = takes(lanes.pause(LANE, Pause::For(millis(1_000)), attempts)).await;
            assert!(
                (millis(1_000)..=millis(most + 1_002)).contains(&took),
                "{took:?}"
            );
            longest = longest.max(took);
        }
        assert!(longest > millis(most / 2), "{longest:?}");
    }
    // What takes access away tries soon again, a dozen times.
    lanes.with(LANE, |state| state.takes = true);
    for (attempts, soon) in [(1, true), (12, true), (13, false)] {
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let pause = lanes.pause(LANE, Pause::For(millis(1_000)), attempts);
            longest = longest.max(takes(pause).await);
        }
        assert_eq!(longest <= millis(1_402), soon, "{attempts}: {longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_looks_again_as_soon_as_one_may_be_free() {
    let is_heard = async |watch: &mut Watch, pause| {
        let free = tokio::time::timeout(Duration::from_secs(60), watch.free(pause));
        free.await.is_ok()
    };
    let places = Places::default();
    let mut watch = places.watch();
    places.freed();
    watch.begin();
    assert!(!is_heard(&mut watch, Pause::HandedOver).await, "before it");
    places.freed();
    assert!(
        !is_heard(&mut watch, Pause::BackOff).await,
        "waits for none"
    );
    about(takes(watch.free(Pause::HandedOver)).await, LEAST_GAP);
    drop(places);
    assert!(!is_heard(&mut watch, Pause::HandedOver).await);
}

#[tokio::test]
async fn it_is_told_for_whom_a_lane_waits_and_whether_that_is_the_end_of_access() {
    let (lanes, _folder) = lanes(scripted(all_done));
    assert_eq!(lanes.waits(), []);
    let waits = |user| Waits {
        users: vec![UserKey(user)],
        group: Some(clock::new_id()),
        wanted: false,
        reason: "nobody is shown".into(),
    };
    let (going, ending) = (waits(1), waits(2));
    lanes.with(LANE, |state| state.waits = Some(going.clone()));
    let user = State {
        waits: Some(ending.clone()),
        ..State::new()
    };
    lanes.lock().insert(Lane::User(UserKey(2)), user);
    let mut told = lanes.waits();
    told.sort_unstable_by_key(|(lane, _)| *lane == Lane::User(UserKey(2)));
    assert_eq!(told, [(LANE, going), (Lane::User(UserKey(2)), ending)]);
}

#[tokio::test(start_paused = true)]
async fn another_credential_is_seen_within_a_second_and_else_tried_after_half_a_minute() {
    for (refused, expected) in [(0, 1_000), (4, 5_000), (1_000, 30_000)] {
        let mut app = scripted(all_done);
        app.refused = AtomicUsize::new(refused);
        let (lanes, _folder) = lanes(app);
        let took = takes(lanes.pause(LANE, Pause::UntilAccepted, 1)).await;
        about(took, millis(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_back_off_doubles_and_what_is_new_ends_it_soon() {
    let (lanes, _folder) = lanes(scripted(all_done));
    let within = Pause::Within(millis(800));
    about(takes(lanes.pause(LANE, within, 1)).await, millis(800));
    for (attempts, most) in [(0, 250), (3, 2_000), (40, 900_000)] {
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            let took = takes(lanes.pause(LANE, Pause::BackOff, attempts)).await;
            assert!((LEAST_GAP..=millis(most + 2)).contains(&took), "{took:?}");
            longest = longest.max(took);
        }
        assert!(longest > millis(most / 2), "{longest:?}");
    }
    for (attempts, wait) in [(1, 1_000), (4, 8_000), (40, 60_000)] {
        let handed = lanes.pause(LANE, Pause::HandedOver, attempts);
        about(takes(handed).await, millis(wait));
    }
    for pause in [within, Pause::BackOff, Pause::HandedOver] {
        lanes.kick(LANE);
        about(takes(lanes.pause(LANE, pause, 40)).await, LEAST_GAP);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_back_off_ends_when_others_of_the_kind_are_done() {
    use crate::{plan::operation::Operation, store::Took, upstream::DONE};
    let call = |create: bool, word: &str| {
        let name = "dev".to_owned();
        let members = Vec::new();
        let operation = if create {
            Operation::CreateGroup { name, members }
        } else {
            Operation::DeleteGroup { name }
        };
        (operation, word.to_owned(), Took::from(1))
    };
    let (lanes, _folder) = lanes(scripted(all_done));
    let failed = lanes
        .0
        .well
        .note(&[call(false, "unknown"), call(true, DONE)]);
    assert_eq!(failed.len(), 1);
    lanes.lock().entry(LANE).or_insert_with(State::new).failed = failed;
    for (create, woken, shortened) in [
        (false, false, true),
        (true, false, false),
        (false, true, false),
    ] {
        // The longest of many, as each is drawn.
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            lanes.with(LANE, |state| state.woken = woken);
            let others = async {
                tokio::time::sleep(millis(3_000)).await;
                lanes.0.well.note(&[call(create, DONE)]);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                took = takes(lanes.pause(LANE, Pause::BackOff, 40)) => longest = longest.max(took),
                () = others => {}
            }
        }
        assert_eq!(longest <= millis(20_000), shortened, "{longest:?}");
    }
    let looks = [(1, 250), (2, 500), (40, 5_000)];
    for (attempts, wait) in looks {
        about(
            takes(lanes.pause(LANE, Pause::Look, attempts)).await,
            millis(wait),
        );
    }
}

#[test]
fn a_turn_repeats_the_one_before_where_both_only_left_the_same_users_unsent() {
    let mut state = State::new();
    let unsent = |users: &[i64]| GroupLearned {
        unsent: users.iter().copied().map(UserKey).collect(),
        ..GroupLearned::default()
    };
    let refused = GroupLearned {
        refused: vec![(UserKey(1), "no".into())],
        ..unsent(&[2])
    };
    let turns = [
        (unsent(&[1, 2]), false),
        (unsent(&[2, 1]), true),
        (unsent(&[2]), false),
        (unsent(&[2]), true),
        (refused, false),
        (unsent(&[2]), false),
        (unsent(&[]), false),
        (unsent(&[]), false),
    ];
    for (place, (learned, repeats)) in turns.iter().enumerate() {
        assert_eq!(state.repeats(learned), *repeats, "turn {place}");
    }
}

/// How long a lane waits for a crowd, of which so many come at once.
async fn lingers(crowd: usize, arrivals: usize, turn: Duration, more: usize) -> Duration {
    let (lanes, _folder) = lanes(scripted(all_done));
    lanes.with(LANE, |state| {
        (state.crowd, state.arrivals) = (crowd, arrivals);
    });
    let come = async {
        tokio::time::sleep(millis(1)).await;
        for _ in 0..more {
            drop(lanes.wait(LANE, 1, vec![UserKey(1)], false));
        }
        std::future::pending::<()>().await;
    };
    takes(async {
        tokio::select! {
            () = lanes.linger(LANE, turn) => {}
            () = come => {}
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_busy_lane_waits_a_moment_for_the_crowd_that_it_answered() {
    let long = Duration::from_secs(9);
    about(lingers(0, 0, long, 0).await, Duration::ZERO);
    about(lingers(1, 0, long, 0).await, Duration::ZERO);
    about(lingers(2, 0, long, 0).await, LONGEST_LINGER);
    about(lingers(2, 0, millis(40), 0).await, millis(10));
    about(lingers(3, 2, long, 2).await, LONGEST_LINGER);
    about(lingers(3, 2, long, 3).await, millis(1));
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_is_kept_as_soon_as_the_disk_takes_it() {
    let tries = AtomicUsize::new(0);
    let record = || async {
        match tries.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(StoreError::Unavailable("full".into())),
            more => Ok(more),
        }
    };
    let kept = async { assert_eq!(recorded(record).await, Ok(2)) };
    about(takes(kept).await, Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_lane_hears_when_the_application_has_come_back() {
    let is_heard = async |recoveries: Option<&mut watch::Receiver<u64>>| {
        let heard = tokio::time::timeout(Duration::from_secs(60), recovery(recoveries));
        heard.await.is_ok()
    };
    let (sender, mut receiver) = watch::channel(0);
    assert!(!is_heard(None).await);
    assert!(!is_heard(Some(&mut receiver)).await);
    sender.send_replace(1);
    assert!(is_heard(Some(&mut receiver)).await);
    drop(sender);
    assert!(
        !is_heard(Some(&mut receiver)).await,
        "that is no word of it"
    );
}
