//! Lanes that fail again and again: when they go behind others, and for how long.

use super::{
    super::retries::{Failing, Streak},
    *,
};
use crate::{
    plan::operation::Operation,
    store::Took,
    upstream::{DONE, Heard},
};

fn call(word: &str) -> (Operation, String, Took) {
    let name = "dev".to_owned();
    let took = Took {
        millis: 1,
        requests: None,
        ..Took::default()
    };
    (Operation::DeleteGroup { name }, word.to_owned(), took)
}

/// A lane after so many turns that failed.
fn failed(lanes: &Lanes, takes: bool, tries: u32) -> Streak {
    failed_so(lanes, takes, tries, false)
}

fn failed_so(lanes: &Lanes, takes: bool, tries: u32, unanswered: bool) -> Streak {
    let kinds = lanes.0.well.note(&[call("unknown")]);
    lanes.with(LANE, |state| {
        (state.takes, state.failed, state.progress) = (takes, kinds, false);
    });
    let mut streak = Streak::default();
    for _ in 0..tries {
        let heard = Heard {
            fault: None,
            unanswered,
        };
        lanes.count(LANE, &mut streak, &Ok(Some(Pause::BackOff)), heard);
    }
    streak
}

/// Whether it goes behind the others.
async fn is_behind(lanes: &Lanes, streak: &Streak) -> bool {
    lanes.behind(LANE, streak).await.is_some()
}

#[tokio::test(start_paused = true)]
async fn who_fails_twice_goes_behind_others_and_who_takes_access_away_later_and_alone() {
    let (lanes, _folder) = lanes(scripted(all_done));
    for (takes, tries, others_done, behind) in [
        (false, 0, true, false),
        (false, 1, true, false),
        (false, 2, false, true),
        (true, 4, true, false),
        (true, 5, true, true),
        (true, 7, false, false),
        (true, 8, false, true),
    ] {
        let mut streak = failed(&lanes, takes, tries);
        tokio::time::advance(millis(1)).await;
        if others_done {
            lanes.0.well.note(&[call(DONE)]);
        }
        assert_eq!(is_behind(&lanes, &streak).await, behind, "{takes} {tries}");
        // What is new is tried like any other.
        lanes.kick(LANE);
        assert!(!is_behind(&lanes, &streak).await);
        lanes.with(LANE, |state| state.kicked = false);
        assert_eq!(is_behind(&lanes, &streak).await, behind);
        // The application was away, and may have been the reason.
        streak.is_forgiven();
        assert!(!is_behind(&lanes, &streak).await);
    }
}

#[tokio::test(start_paused = true)]
async fn of_those_behind_two_go_at_once_and_new_work_waits_for_none() {
    let (lanes, _folder) = lanes(scripted(all_done));
    let streak = failed(&lanes, false, 2);
    let first = lanes.behind(LANE, &streak).await.unwrap();
    let second = lanes.behind(LANE, &streak).await.unwrap();
    let minute = Duration::from_secs(60);
    let third = async || {
        let behind = tokio::time::timeout(minute, lanes.behind(LANE, &streak));
        behind.await.ok().map(|place| place.is_some())
    };
    // Told once before, which is no news.
    lanes.with(LANE, |state| state.notify.notify_one());
    assert_eq!(third().await, None, "it waits");
    let asked = async {
        tokio::time::sleep(millis(50)).await;
        lanes.kick(LANE);
    };
    let start = Instant::now();
    assert_eq!(tokio::join!(third(), asked).0, Some(false));
    about(start.elapsed(), millis(50));
    lanes.with(LANE, |state| state.kicked = false);
    drop(first);
    assert_eq!(third().await, Some(true));
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn what_takes_access_away_waits_for_no_addition_that_hangs() {
    let (lanes, _folder) = lanes(scripted(all_done));
    let gives = failed(&lanes, false, 2);
    let hang = [
        lanes.behind(LANE, &gives).await,
        lanes.behind(LANE, &gives).await,
    ];
    assert!(hang.iter().all(Option::is_some));
    let takes = failed(&lanes, true, 8);
    let minute = Duration::from_secs(60);
    let removal = tokio::time::timeout(minute, lanes.behind(LANE, &takes));
    assert!(removal.await.is_ok_and(|place| place.is_some()));
}

#[tokio::test(start_paused = true)]
async fn who_is_answered_waits_for_none_whose_calls_hang() {
    let (lanes, _folder) = lanes(scripted(all_done));
    for (takes, tries) in [(false, 2), (true, 8)] {
        let hangs = failed_so(&lanes, takes, tries, true);
        let first = lanes.behind(LANE, &hangs).await;
        let second = lanes.behind(LANE, &hangs).await;
        assert!(first.is_some() && second.is_some());
        let minute = Duration::from_secs(60);
        let third = tokio::time::timeout(minute, lanes.behind(LANE, &hangs));
        assert!(third.await.is_err(), "those wait for each other");
        let answered = failed(&lanes, takes, tries);
        let other = tokio::time::timeout(minute, lanes.behind(LANE, &answered));
        assert!(other.await.is_ok_and(|place| place.is_some()), "{takes}");
    }
}

#[tokio::test]
async fn what_fails_in_a_row_is_counted_and_told_with_its_reason() {
    let (lanes, _folder) = lanes(scripted(all_done));
    let mut streak = Streak::default();
    let mut turn = |pause: Option<Pause>, progress: bool, fault: Option<&str>| {
        lanes.with(LANE, |state| state.progress = progress);
        let heard = Heard {
            fault: fault.map(str::to_owned),
            ..Heard::default()
        };
        lanes.count(LANE, &mut streak, &Ok(pause), heard);
        (streak.tries, lanes.failing())
    };
    let told = |tries, reason: &str| {
        let reason = Some(reason.to_owned());
        (
            tries,
            vec![Failing {
                lane: LANE,
                tries,
                reason,
            }],
        )
    };
    let fails = Some(Pause::BackOff);
    assert_eq!(turn(fails, false, Some("answered 500")), (1, vec![]));
    // It was not sent, which is no try.
    assert_eq!(turn(Some(Pause::For(millis(1))), false, None), (1, vec![]));
    assert_eq!(turn(fails, false, None), (2, vec![]));
    assert_eq!(turn(fails, false, None), told(3, "answered 500"));
    assert_eq!(turn(fails, false, Some("502")), told(4, "502"));
    assert_eq!(turn(Some(Pause::Look), false, None), told(4, "502"));
    // Some of it was done.
    assert_eq!(turn(fails, true, Some("500")), (1, vec![]));
    for ended in [None, Some(Pause::None), Some(Pause::Within(millis(1)))] {
        (0..3).for_each(|_| drop(turn(fails, false, None)));
        assert_eq!(turn(ended, false, None), (0, vec![]));
    }
}
