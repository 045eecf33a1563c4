//! Things that fail by themselves, again and again, at an application that is
//! well otherwise, and one that is down: what share of the calls they take, how
//! long new work waits, and what stops.

use super::{super::*, Alone, FAULTS, StdMutex, limits::limits};

const SECOND: Duration = Duration::from_secs(1);
const LOOKS: u64 = 1;
const MAKES: u64 = 2;
const ENDS: u64 = 3;

fn call(kind: u64, one: u64) -> What {
    What { kind, one }
}

/// One call at an application that answers such calls well, or with a fault.
async fn send(pace: &Alone, priority: Priority, what: What, is_well: bool) -> Result<(), Refusal> {
    let turn = pace.0.turn(&pace.1, priority, what).await?;
    sleep(Duration::from_millis(20)).await;
    if is_well {
        pace.welcome(&turn, what);
    } else {
        pace.trouble(what);
    }
    Ok(())
}

/// Tries for ever with hardly a rest, after a look if it has one; counts what it
/// sends.
async fn broken(pace: Arc<Alone>, what: What, looks: bool, sent: Arc<StdMutex<usize>>) {
    for tries in 0_u32.. {
        let priority = match (tries, what.kind) {
            (0..2, MAKES) => Priority::Ordinary,
            (0..5, ENDS) => Priority::Revocation,
            (_, ENDS) => Priority::Overdue,
            _ => Priority::Retry,
        };
        let look = call(LOOKS, what.one + 1_000);
        for (what, is_well) in [(look, true), (what, false)] {
            if what == look && (!looks || tries == 0) {
                continue;
            }
            match send(&pace, priority, what, is_well).await {
                Ok(()) => *sent.lock().unwrap() += 1,
                Err(refusal) => sleep(refusal.after).await,
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Sends until it is sent; how long that took.
async fn waits(pace: &Alone, priority: Priority, what: What) -> Duration {
    let start = Instant::now();
    while let Err(refusal) = send(pace, priority, what, true).await {
        sleep(refusal.after).await;
    }
    start.elapsed()
}

fn sixty(pace: &Arc<Alone>, kind: u64, looks: bool) -> Arc<StdMutex<usize>> {
    let sent = Arc::default();
    for one in 0..60 {
        let broken = broken(pace.clone(), call(kind, one), looks, Arc::clone(&sent));
        tokio::spawn(broken);
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn sixty_that_fail_by_themselves_leave_the_limit_to_new_work() {
    for (kind, looks) in [(MAKES, true), (ENDS, false)] {
        let pace = Arc::new(Alone::new(&limits(10, None)));
        sixty(&pace, kind, looks);
        sleep(60 * SECOND).await;
        for number in 0..40 {
            for (priority, kind) in [(Priority::Ordinary, MAKES), (Priority::Revocation, ENDS)] {
                let took = waits(&pace, priority, call(kind, 5_000 + number)).await;
                assert!(took <= SECOND, "{priority:?}: {took:?}");
            }
            assert!(!pace.silences().0, "nothing is taken to be down");
            sleep(2 * SECOND).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_fail_by_themselves_have_a_tenth_while_other_work_waits() {
    let pace = Arc::new(Alone::new(&limits(10, None)));
    let sent = sixty(&pace, MAKES, true);
    sleep(60 * SECOND).await;
    let work = |one: u64| {
        let pace = pace.clone();
        async move {
            for _ in 0..100 {
                waits(&pace, Priority::Ordinary, call(MAKES, 5_000 + one)).await;
            }
        }
    };
    let before = *sent.lock().unwrap();
    let start = Instant::now();
    futures_util::future::join_all((0..8_u64).map(work)).await;
    let failing = *sent.lock().unwrap() - before;
    let share = failing * 100 / (failing + 800);
    assert!((5..=10).contains(&share), "{failing} of {}", failing + 800);
    assert!(start.elapsed() <= 92 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_ends_somebody_is_tried_before_those_whose_ends_fail_by_themselves() {
    let pace = Arc::new(Alone::new(&limits(10, None)));
    // New ones all of them, so that kind of call is stopped, and no other.
    sixty(&pace, ENDS, false);
    sleep(10 * SECOND).await;
    assert!(pace.silences().0);
    let recoveries = pace.recoveries();
    let took = waits(&pace, Priority::Ordinary, call(LOOKS, 9_000)).await;
    assert!(took <= SECOND, "{took:?}");
    assert!(
        !recoveries.has_changed().unwrap(),
        "it was there all the time"
    );
    let pace = Arc::new(Alone::new(&limits(10, None)));
    sixty(&pace, ENDS, false);
    sleep(10 * SECOND).await;
    let took = waits(&pace, Priority::Revocation, call(ENDS, 9_000)).await;
    assert!(took <= 7 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_is_down_is_asked_some_ten_times_and_then_now_and_then() {
    let pace = Arc::new(Alone::new(&limits(10, None)));
    waits(&pace, Priority::Ordinary, call(MAKES, 9_000)).await;
    let sent = Arc::new(StdMutex::new(0));
    for one in 0..60 {
        let (pace, sent) = (pace.clone(), sent.clone());
        tokio::spawn(async move {
            // First what is to be done, and then a look.
            for what in [call(MAKES, one), call(LOOKS, one + 1_000)].iter().cycle() {
                match send(&pace, Priority::Ordinary, *what, false).await {
                    Ok(()) => *sent.lock().unwrap() += 1,
                    Err(refusal) => sleep(refusal.after).await,
                }
            }
        });
    }
    sleep(4 * SECOND).await;
    let first = *sent.lock().unwrap();
    // A look shows that it is not that kind alone, and what was on its way when
    // the tenth was answered is sent, too.
    assert!((11..=16).contains(&first), "{first}");
    sleep(60 * SECOND).await;
    let probes = *sent.lock().unwrap() - first;
    assert!((5..=12).contains(&probes), "{probes} in a minute");
}

#[tokio::test(start_paused = true)]
async fn kinds_that_fail_leave_the_next_try_to_one_that_has_not() {
    let pace = Arc::new(Alone::new(&limits(10, None)));
    sixty(&pace, MAKES, false);
    sixty(&pace, ENDS, false);
    sleep(60 * SECOND).await;
    assert!(pace.is_all_down());
    for number in 0..20 {
        let start = Instant::now();
        let what = call(LOOKS, 9_000 + number);
        // Whoever was refused comes later than it was told.
        while let Err(refusal) = send(&pace, Priority::Ordinary, what, true).await {
            sleep(refusal.after + Duration::from_millis(100 * number)).await;
        }
        assert!(start.elapsed() <= 8 * SECOND, "{:?}", start.elapsed());
        // Those of its kind go on, and the others are found out again.
        let took = waits(&pace, Priority::Ordinary, call(LOOKS, 9_500 + number)).await;
        assert!(took <= SECOND, "{took:?}");
        sleep(20 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_that_come_one_after_the_other_while_all_is_down_are_one_call_in_five_seconds() {
    let pace = Arc::new(Alone::new(&limits(10, None)));
    (0..FAULTS).for_each(|one| pace.trouble(call(u64::from(one % 2), u64::from(one))));
    let sent = Arc::new(StdMutex::new(Vec::new()));
    for kind in 0..30 {
        let (pace, sent) = (pace.clone(), sent.clone());
        tokio::spawn(async move {
            loop {
                match pace
                    .0
                    .turn(&pace.1, Priority::Revocation, call(kind, 50))
                    .await
                {
                    Ok(_turn) => {
                        sent.lock().unwrap().push(Instant::now());
                        pace.trouble(call(kind, 50));
                    }
                    Err(refusal) => sleep(refusal.after).await,
                }
            }
        });
    }
    sleep(300 * SECOND).await;
    let sent = sent.lock().unwrap();
    assert!(sent.len() >= 40, "{}", sent.len());
    let gaps = sent.windows(2).map(|two| two[1] - two[0]);
    assert!(gaps.min() >= Some(5 * SECOND), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_waited_for_and_does_not_come_again_holds_the_others_for_a_while_only() {
    let pace = Alone::new(&limits(10, None));
    (0..FAULTS).for_each(|one| pace.trouble(call(u64::from(one % 2), u64::from(one))));
    let well = call(LOOKS + 8, 1);
    assert!(
        pace.0
            .turn(&pace.1, Priority::Ordinary, well)
            .await
            .is_err()
    );
    let took = async |priority| waits(&pace, priority, call(1, 70)).await;
    let (gives, takes) = tokio::join!(took(Priority::Ordinary), took(Priority::Overdue));
    assert!(
        takes <= 12 * SECOND,
        "not much longer than one try: {takes:?}"
    );
    assert!(gives >= takes, "{gives:?}");
    // And what only gives waits for all of it.
    (0..FAULTS).for_each(|one| pace.trouble(call(u64::from(one % 2), 20 + u64::from(one))));
    let again = pace.0.turn(&pace.1, Priority::Ordinary, well);
    assert!(again.await.is_err());
    let gives = took(Priority::Ordinary).await;
    assert!((15 * SECOND..=22 * SECOND).contains(&gives), "{gives:?}");
}

/// So many calls at once, of which those that hang are answered by nobody.
fn few_slots(concurrency: u32) -> Arc<Alone> {
    Arc::new(Alone::new(&Limits {
        concurrency,
        ..limits(20, None)
    }))
}

/// Tries again and again, and nobody answers.
async fn hangs(pace: Arc<Alone>, priority: Priority, what: What) {
    loop {
        match pace.0.turn(&pace.1, priority, what).await {
            Ok(turn) => {
                sleep(10 * SECOND).await;
                pace.unanswered(what);
                drop(turn);
            }
            Err(refusal) => sleep(refusal.after).await,
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn additions_that_hang_keep_no_removal_waiting_however_often_it_failed() {
    for concurrency in [2, 3, 4, 8] {
        let pace = few_slots(concurrency);
        for one in 0..12 {
            tokio::spawn(hangs(pace.clone(), Priority::Ordinary, call(MAKES, one)));
        }
        for number in 0..10 {
            sleep(7 * SECOND).await;
            for (priority, one) in [(Priority::Revocation, 100), (Priority::Overdue, 200)] {
                let took = waits(&pace, priority, call(ENDS, one + number)).await;
                assert!(took <= SECOND, "{concurrency} {priority:?}: {took:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_hung_before_leave_slots_to_those_that_did_not() {
    for concurrency in [3, 4, 8] {
        let pace = few_slots(concurrency);
        let kinds = [
            (Priority::Ordinary, MAKES),
            (Priority::Revocation, ENDS),
            (Priority::Background, LOOKS),
        ];
        for (priority, kind) in kinds {
            for one in 0..3 {
                pace.unanswered(call(kind, one));
                tokio::spawn(hangs(pace.clone(), priority, call(kind, one)));
            }
        }
        let others = if concurrency > 3 {
            &kinds[..]
        } else {
            &kinds[1..2]
        };
        for number in 0..20 {
            sleep(3 * SECOND).await;
            for (priority, kind) in others {
                let took = waits(&pace, *priority, call(*kind, 100 + number)).await;
                assert!(took <= SECOND, "{concurrency} {priority:?}: {took:?}");
            }
        }
    }
}
