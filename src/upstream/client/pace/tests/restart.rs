//! A process that ends with a backlog and one that takes over at once, against
//! an application that counts on: nothing that the second one sends is too much.

#![allow(clippy::print_stdout)]

use std::{path::Path, sync::Arc, time::SystemTime};

use super::{
    super::{ledger::Ledger, *},
    Alone,
    limits::{Application, limits},
    what,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

thread_local! {
    static START: Instant = Instant::now();
}

/// The clock on the wall goes with the one that stands still between events.
fn wall() -> SystemTime {
    let since = START.with(|start| Instant::now() - *start);
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + since
}

fn begun(limits: &Limits, ledger: Option<&Path>) -> Alone {
    let pace = Alone::new(limits);
    if let Some(path) = ledger {
        let ledger = Ledger::open_at(path, wall).unwrap();
        pace.remember(&ledger, "https://a.example", b"secret");
    }
    pace
}

/// Always has one more call to make. What was sent arrives, whatever becomes
/// of who sent it.
async fn busy(pace: Arc<Alone>, application: Arc<Application>) {
    loop {
        match pace.turn(Priority::Revocation).await {
            Err(refusal) => sleep(refusal.after).await,
            Ok(turn) => {
                let there = application.clone();
                let arrives = tokio::spawn(async move {
                    sleep(there.way()).await;
                    there.takes()
                });
                let taken = arrives.await.unwrap();
                sleep(application.way()).await;
                if taken {
                    pace.welcome(&turn, what(1));
                } else {
                    pace.too_many(&turn, None);
                }
            }
        }
    }
}

/// One process from start to kill.
async fn live(
    limits: &Limits,
    ledger: Option<&Path>,
    application: &Arc<Application>,
    life: Duration,
) {
    let pace = Arc::new(begun(limits, ledger));
    let busy = || tokio::spawn(busy(pace.clone(), application.clone()));
    let tasks: Vec<_> = (0..24).map(|_| busy()).collect();
    sleep(life).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Calls taken and refused in two minutes of short lives.
async fn lives(limits: &Limits, is_noted: bool) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls");
    let mut known = vec![(SECOND, limits.per_second as usize)];
    known.extend(limits.per_minute.map(|most| (MINUTE, most as usize)));
    let application = Application::new(&known, None);
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < 2 * MINUTE {
        number += 1;
        let life = Duration::from_millis(3_000 + number * 7_919 % 20_000);
        live(limits, is_noted.then_some(&*path), &application, life).await;
        sleep(Duration::from_millis(number * 37 % 700)).await;
    }
    application.counted(start)
}

#[tokio::test(start_paused = true)]
async fn a_restart_sends_nothing_beyond_the_limits_of_second_and_minute() {
    for (per_second, per_minute) in [
        (10, Some(60)),
        (27, Some(1_620)),
        (50, Some(600)),
        (100, None),
    ] {
        let limits = limits(per_second, per_minute);
        let (taken, refused) = lives(&limits, true).await;
        let allowed = 2 * per_minute.unwrap_or(u32::MAX).min(60 * per_second) as usize;
        println!(
            "{per_second}/s, {per_minute:?}/min: {taken} of {allowed} taken, {refused} refused"
        );
        assert_eq!(refused, 0, "{per_second}/s, {per_minute:?}/min");
        assert!(taken * 100 >= allowed * 70, "{taken} of {allowed}");
    }
    let (_, refused) = lives(&limits(10, Some(60)), false).await;
    println!("10/s, 60/min without the file: {refused} refused");
    assert!(refused > 0, "else this shows nothing");
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_was_asked_for_outlasts_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls");
    let limits = Limits {
        penalty: Some(MINUTE),
        ..limits(27, Some(1_620))
    };
    let pace = begun(&limits, Some(&path));
    let turn = pace.turn(Priority::Revocation).await.unwrap();
    pace.too_many(&turn, None);
    drop(turn);
    drop(pace);
    sleep(10 * SECOND).await;
    let pace = begun(&limits, Some(&path));
    let refusal = pace.turn(Priority::Revocation).await.unwrap_err();
    assert_eq!(refusal.after, 50 * SECOND);
    sleep(refusal.after).await;
    assert!(pace.turn(Priority::Revocation).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn removals_find_out_after_a_restart_too_whether_a_pause_of_others_is_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("calls");
    for (whole, first) in [(false, 5 * SECOND), (true, MINUTE)] {
        let pace = begun(&limits(10, None), Some(&ledger));
        let turn = pace.turn(Priority::Background).await.unwrap();
        if whole {
            pace.too_many(&turn, Some(MINUTE));
        } else {
            pace.busy(&turn, what(1), Some(MINUTE));
        }
        drop(turn);
        drop(pace);
        let pace = begun(&limits(10, None), Some(&ledger));
        let start = Instant::now();
        let ordinary = pace.turn(Priority::Ordinary).await.unwrap_err();
        assert!(ordinary.after > MINUTE - SECOND);
        while let Err(refusal) = pace.turn(Priority::Revocation).await {
            sleep(refusal.after).await;
        }
        let took = start.elapsed();
        assert!(
            (first - SECOND / 10..first + SECOND).contains(&took),
            "{took:?}"
        );
        sleep(2 * MINUTE).await;
    }
}
