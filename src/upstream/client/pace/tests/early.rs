//! What takes access away while the application has asked for a pause: it is not
//! held up by what was said of other calls, and what was said of its own is kept.

use super::{super::*, Alone, StdMutex, limits::limits};

const SECOND: Duration = Duration::from_secs(1);
/// The longest that is kept.
const LONG_PAUSE: Duration = Duration::from_secs(900);
const READS: u64 = 1;

fn call(kind: u64, one: u64) -> What {
    What { kind, one }
}

async fn turn(pace: &Alone, priority: Priority, what: What) -> Result<Turn<'_>, Refusal> {
    pace.0.turn(&pace.1, priority, what).await
}

/// Of an application that has answered 503 to a call that only reads.
async fn busy() -> Arc<Alone> {
    busy_for(1).await
}

/// The same after several of them in a row.
async fn busy_for(times: u32) -> Arc<Alone> {
    let pace = Arc::new(Alone::new(&limits(10, None)));
    for _ in 0..times {
        sleep(LONG_PAUSE + 10 * SECOND).await;
        let read = turn(&pace, Priority::Background, call(READS, 1)).await;
        pace.busy(&read.unwrap(), call(READS, 1), Some(LONG_PAUSE));
    }
    pace
}

/// So many of each kind that try until they are taken, as lanes do; tells when each was
/// sent, and what `answer` made of it.
async fn removals(
    pace: &Arc<Alone>,
    (kinds, each): (u64, u64),
    answer: impl Fn(&Pace, &Turn<'_>, What) -> bool + Clone + Send + Sync + 'static,
) -> Arc<StdMutex<Vec<(u64, Instant)>>> {
    let sent = Arc::new(StdMutex::new(Vec::new()));
    for one in 0..kinds * each {
        let what = call(READS + 1 + one % kinds, one);
        let (pace, sent, answer) = (pace.clone(), sent.clone(), answer.clone());
        tokio::spawn(async move {
            loop {
                match turn(&pace, Priority::Revocation, what).await {
                    Ok(turn) => {
                        sent.lock().unwrap().push((what.kind, Instant::now()));
                        sleep(Duration::from_millis(100)).await;
                        if answer(&pace, &turn, what) {
                            return;
                        }
                    }
                    Err(refusal) => sleep(refusal.after).await,
                }
            }
        });
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_a_read_was_asked_for_holds_up_no_removal_that_is_taken() {
    for times in [1, 5] {
        taken_early(&busy_for(times).await).await;
    }
}

async fn taken_early(pace: &Arc<Alone>) {
    let start = Instant::now();
    let sent = removals(pace, (2, 30), |pace, turn, what| {
        pace.welcome(turn, what);
        true
    })
    .await;
    sleep(30 * SECOND).await;
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 60);
    assert!(sent[0].1 >= start + 5 * SECOND, "not at once");
    // Those of a kind go one after the other.
    for kind in [READS + 1, READS + 2] {
        let of_kind: Vec<_> = sent.iter().filter(|it| it.0 == kind).collect();
        let gaps = of_kind.windows(2).map(|two| two[1].1 - two[0].1);
        assert!(gaps.min() >= Some(Duration::from_millis(100)));
    }
    // And nothing else does, nor is it any shorter.
    for priority in [Priority::Ordinary, Priority::Retry, Priority::Overdue] {
        let refused = turn(pace, priority, call(7, 1)).await.unwrap_err();
        assert!(refused.after >= LONG_PAUSE - 31 * SECOND, "{priority:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_removals_are_asked_to_wait_as_well_one_of_each_kind_finds_out() {
    let pace = busy().await;
    let sent = removals(&pace, (3, 20), |pace, turn, what| {
        pace.busy(turn, what, Some(LONG_PAUSE));
        false
    })
    .await;
    sleep(LONG_PAUSE - SECOND).await;
    let kinds: Vec<u64> = sent.lock().unwrap().iter().map(|it| it.0).collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    // Each of those waits as long as it was asked to.
    sleep(30 * SECOND).await;
    let sent = sent.lock().unwrap();
    for kind in READS + 1..=READS + 3 {
        let mut of_kind = sent.iter().filter(|it| it.0 == kind).map(|it| it.1);
        let (first, second) = (of_kind.next().unwrap(), of_kind.next());
        assert!(second.is_none_or(|second| second >= first + LONG_PAUSE));
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_was_answered_so_itself_is_not_early_again() {
    let pace = Arc::new(Alone::new(&limits(10, None)));
    let what = call(READS + 1, 1);
    let first = turn(&pace, Priority::Revocation, what).await.unwrap();
    pace.busy(&first, what, Some(LONG_PAUSE));
    drop(first);
    let again = turn(&pace, Priority::Revocation, call(what.kind, 2)).await;
    assert!(again.unwrap_err().after > LONG_PAUSE - SECOND);
    // Of another kind it is not known.
    let other = turn(&pace, Priority::Revocation, call(what.kind + 1, 3)).await;
    assert!(other.unwrap_err().after <= 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn one_of_which_nothing_is_heard_holds_the_next_for_five_seconds() {
    let pace = busy().await;
    let sent = removals(&pace, (1, 5), |pace, _, what| {
        pace.unanswered(what);
        false
    })
    .await;
    sleep(60 * SECOND).await;
    let sent = sent.lock().unwrap();
    assert!((5..=11).contains(&sent.len()), "{}", sent.len());
    let gaps = sent.windows(2).map(|two| two[1].1 - two[0].1);
    assert!(gaps.min() >= Some(5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn after_a_429_nothing_is_early_whatever_was_busy_before_or_after() {
    for is_429_first in [true, false] {
        let pace = Alone::new(&limits(10, None));
        let what = call(READS, 1);
        let first = turn(&pace, Priority::Ordinary, what).await.unwrap();
        if is_429_first {
            pace.too_many(&first, Some(60 * SECOND));
            pace.busy(&first, what, Some(30 * SECOND));
        } else {
            pace.busy(&first, what, Some(60 * SECOND));
            pace.too_many(&first, Some(30 * SECOND));
        }
        drop(first);
        let early = turn(&pace, Priority::Revocation, call(2, 2)).await;
        assert!(early.unwrap_err().after > 59 * SECOND, "{is_429_first}");
    }
    // Also where it is the answer to one that was early.
    let pace = busy().await;
    sleep(5 * SECOND).await;
    let what = call(READS + 1, 1);
    let early = turn(&pace, Priority::Revocation, what).await.unwrap();
    pace.too_many(&early, Some(SECOND));
    drop(early);
    for kind in [what.kind, what.kind + 1] {
        let next = turn(&pace, Priority::Revocation, call(kind, 2)).await;
        assert!(next.unwrap_err().after > LONG_PAUSE - 7 * SECOND);
    }
}
