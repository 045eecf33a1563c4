//! Of whom it is kept what they were told.
use super::*;
use crate::plan::state::Family;
use futures_util::FutureExt;

#[tokio::test]
async fn nobody_is_forgotten_before_there_are_many_nor_while_somebody_needs_it() {
    let people = People::new(false, READ_LAG);
    let in_use = people.alone("in use").await;
    people.alone("told lately").await.unclear();
    for n in 0..1_022 {
        drop(people.alone(&n.to_string()).await);
    }
    assert_eq!(people.remembered(), 1_024);
    drop(people.alone("one more").await);
    assert_eq!(people.remembered(), 3);
    assert!(people.alone("in use").now_or_never().is_none(), "one waits");
    drop(in_use);
    assert!(people.alone("in use").now_or_never().is_some());
    let told = people.alone("told lately").await;
    assert!(told.gave_lately().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_found_nothing_is_remembered_for_a_minute_until_it_is_done_once_more() {
    let lag = Duration::from_secs(10);
    for (after, remembered) in [(59, true), (60, false)] {
        let people = People::new(false, READ_LAG);
        let found_nothing = async || people.alone("ann").await.may_have_missed(true);
        assert_eq!(found_nothing().await, Some(lag));
        tokio::time::advance(Duration::from_secs(after)).await;
        for n in 0..1_024 {
            drop(people.alone(&n.to_string()).await);
        }
        // That one is the second, or else the first again.
        let wait = (!remembered).then_some(lag);
        assert_eq!(found_nothing().await, wait, "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_is_believed_after_so_long_as_the_connection_says_that_it_may_lag() {
    let family = Family {
        name: "roles".into(),
        rank: 1,
    };
    for lag in [Duration::from_millis(300), Duration::from_secs(30)] {
        let people = People::new(false, lag);
        people.alone("ann").await.unclear();
        for (wait, left) in [
            (Duration::ZERO, Some(lag)),
            (
                lag.saturating_sub(Duration::from_millis(1)),
                Some(Duration::from_millis(1)),
            ),
            (Duration::from_millis(1), None),
        ] {
            tokio::time::advance(wait).await;
            let told = people.alone("ann").await;
            assert_eq!(told.doubts(&family, true), left, "{lag:?}");
            assert_eq!(told.gave_lately(), left, "{lag:?}");
        }
    }
}
