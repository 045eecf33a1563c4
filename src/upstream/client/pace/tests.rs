//! Turns: their order, their rate and their pauses.

#![allow(clippy::unwrap_used)]

use std::{
    ops::Deref,
    sync::{Arc, Mutex as StdMutex},
};

use super::{faults::FAULTS, silence::CIRCUIT, *};

mod broken;
mod early;
mod limits;
mod restart;

/// Calls of two kinds, in turns.
fn what(number: u32) -> What {
    What {
        kind: u64::from(number % 2),
        one: u64::from(number),
    }
}

/// A pace and the one connection that keeps to it.
struct Alone(Pace, Party);

impl Alone {
    fn new(limits: &Limits) -> Self {
        let pace = Pace::new(limits);
        let party = pace.join();
        Self(pace, party)
    }

    async fn turn(&self, priority: Priority) -> Result<Turn<'_>, Refusal> {
        self.0.turn(&self.1, priority, what(1)).await
    }
}

impl Deref for Alone {
    type Target = Pace;

    fn deref(&self) -> &Pace {
        &self.0
    }
}

fn paced(per_second: u32, burst: u32, concurrency: u32) -> Alone {
    Alone::new(&Limits {
        per_second,
        burst,
        concurrency,
        per_minute: None,
        penalty: None,
    })
}

#[tokio::test(start_paused = true)]
async fn calls_keep_to_the_rate() {
    let pace = paced(50, 1, 8);
    let start = Instant::now();
    for _ in 0..6 {
        drop(pace.turn(Priority::Ordinary).await.unwrap());
    }
    assert!(
        start.elapsed() >= Duration::from_millis(95),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_revocation_overtakes_everything_that_waits() {
    let pace = Arc::new(paced(20, 1, 4));
    drop(pace.turn(Priority::Ordinary).await.unwrap());
    let order = Arc::new(StdMutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for n in 0..5 {
        let (pace, order) = (pace.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            drop(pace.turn(Priority::Ordinary).await.unwrap());
            order.lock().unwrap().push(format!("ordinary {n}"));
        }));
        tokio::task::yield_now().await;
    }
    for n in 0..2 {
        let (pace, order) = (pace.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            drop(pace.turn(Priority::Revocation).await.unwrap());
            order.lock().unwrap().push(format!("revocation {n}"));
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let order = order.lock().unwrap();
    assert!(order[0].starts_with("revocation"), "{order:?}");
    assert!(order[1].starts_with("revocation"), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn one_slot_is_kept_for_revocations() {
    let pace = paced(1_000, 100, 3);
    let first = pace.turn(Priority::Ordinary).await.unwrap();
    let second = pace.turn(Priority::Ordinary).await.unwrap();
    let third = timeout(Duration::from_millis(50), pace.turn(Priority::Ordinary));
    assert!(
        third.await.is_err(),
        "two of three slots are for ordinary calls"
    );
    let urgent = timeout(Duration::from_secs(2), pace.turn(Priority::Revocation));
    assert!(urgent.await.unwrap().is_ok());
    drop((first, second));
}

#[tokio::test(start_paused = true)]
async fn a_long_pause_is_given_back_and_a_short_one_slept_through() {
    let pace = paced(1_000, 100, 8);
    let turn = pace.turn(Priority::Ordinary).await.unwrap();
    let pause = pace.too_many(&turn, Some(Duration::from_secs(30)));
    assert_eq!(pause, Duration::from_secs(30));
    pace.busy(&turn, what(1), Some(Duration::from_secs(2)));
    drop(turn);
    let urgent = pace.turn(Priority::Revocation).await.unwrap_err();
    let ordinary = pace.turn(Priority::Ordinary).await.unwrap_err();
    assert!(urgent.after > Duration::from_secs(29), "never early");
    assert!(ordinary.after > urgent.after, "removals first afterwards");

    let pace = paced(1_000, 100, 8);
    let start = Instant::now();
    let turn = pace.turn(Priority::Ordinary).await.unwrap();
    let pause = pace.too_many(&turn, Some(Duration::from_millis(600)));
    assert!(pace.turn(Priority::Revocation).await.is_ok());
    assert!(start.elapsed() >= pause);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_lets_one_probe_through() {
    let pace = paced(1_000, 100, 8);
    for _ in 0..CIRCUIT {
        pace.unreachable();
    }
    assert!(pace.turn(Priority::Revocation).await.is_err());
    // The time of the probe has come.
    pace.state().silence.unreachable = Some(Instant::now());
    let probe = pace.turn(Priority::Revocation).await.unwrap();
    assert!(pace.turn(Priority::Revocation).await.is_err());
    let recoveries = pace.recoveries();
    pace.welcome(&probe, what(1));
    assert!(recoveries.has_changed().unwrap());
    assert!(pace.turn(Priority::Ordinary).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn faults_alone_open_the_circuit_and_a_fault_now_and_then_does_not() {
    let pace = paced(1_000, 100, 8);
    let recoveries = pace.recoveries();
    for _ in 0..3 {
        for call in 1..FAULTS {
            pace.trouble(what(call));
        }
        let turn = pace.turn(Priority::Ordinary).await.unwrap();
        pace.welcome(&turn, what(1));
    }
    assert!(!recoveries.has_changed().unwrap());
    for call in 0..FAULTS {
        pace.trouble(what(100 + call));
    }
    assert!(pace.silences().0 && pace.turn(Priority::Revocation).await.is_err());
    pace.state().silence.unreachable = Some(Instant::now());
    let probe = pace.turn(Priority::Revocation).await.unwrap();
    // It is no better yet.
    pace.trouble(what(100));
    assert!(pace.turn(Priority::Revocation).await.is_err());
    pace.welcome(&probe, what(1));
    assert!(!pace.silences().0 && recoveries.has_changed().unwrap());
    assert!(pace.turn(Priority::Revocation).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_another_process_sends_counts_as_sent_here_and_as_late_as_any() {
    let pace = paced(10, 10, 4);
    let start = Instant::now();
    for _ in 0..5 {
        pace.lend(&pace.1).await.unwrap();
    }
    for _ in 0..5 {
        drop(pace.turn(Priority::Ordinary).await.unwrap());
    }
    assert!(start.elapsed() < Duration::from_millis(100));
    // The own ones were answered at once; five of them may go a second later, and
    // the others not before a second that those may have been on their way.
    for _ in 0..5 {
        drop(pace.turn(Priority::Revocation).await.unwrap());
    }
    assert!(start.elapsed() >= Duration::from_secs(1));
    pace.lend(&pace.1).await.unwrap();
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_another_process_was_asked_for_is_kept() {
    let pace = paced(10, 10, 4);
    pace.be_silent(Duration::from_secs(60));
    let refusal = pace.turn(Priority::Revocation).await.unwrap_err();
    assert_eq!(refusal.after, Duration::from_secs(60));
    assert_eq!(pace.lend(&pace.1).await.unwrap_err().reason, refusal.reason);
}
