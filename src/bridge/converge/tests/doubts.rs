//! When a look that shows the contrary of what was asked for is believed, and
//! when it is looked again.
use super::*;

const LAG: Duration = Duration::from_secs(10);
const ANN: UserKey = UserKey(1);

#[tokio::test(start_paused = true)]
async fn who_was_said_no_to_is_looked_at_until_that_can_lag_no_longer() {
    let mut doubts = Doubts::new();
    let mut look = || doubts.contradicted((ANN, false), (false, false), LAG);
    for _ in 0..6 {
        assert_eq!(look(), Some(Pause::BackOff));
    }
    tokio::time::advance(LAG.saturating_sub(Duration::from_millis(1))).await;
    assert_eq!(look(), Some(Pause::BackOff));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(look(), None);
}

#[tokio::test(start_paused = true)]
async fn a_single_look_is_believed_of_nobody_however_little_it_lags() {
    let mut doubts = Doubts::new();
    let mut look = || doubts.contradicted((ANN, false), (false, false), Duration::ZERO);
    assert_eq!(look(), Some(Pause::BackOff));
    assert_eq!(look(), None);
}

/// What they are told of nobody.
fn silent() -> Scripted {
    scripted(|_| Ok(Outcome::default()))
}

#[tokio::test(start_paused = true)]
async fn of_several_looks_that_are_due_the_first_one_is_waited_for() {
    let app = silent();
    let mut doubts = Doubts::new();
    let mut looks = async |of: std::ops::Range<u8>| {
        let (_, pause) = group_turn(&app, group(of, 0..0), &Written::default(), &mut doubts).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        pause
    };
    assert_eq!(looks(0..1).await, Pause::BackOff);
    for _ in 0..3 {
        assert_eq!(looks(0..2).await, Pause::BackOff, "most lags are short");
    }
    // One was sent four seconds ago, the other one three.
    assert_eq!(looks(0..2).await, Pause::Within(Duration::from_secs(6)));
    assert_eq!(app.calls(), 2);
}

#[tokio::test]
async fn whoever_is_only_looked_at_is_sent_again_with_a_group_that_is_made() {
    let only_looked = || {
        let mut doubts = Doubts::new();
        for _ in 0..2 {
            doubts.contradicted((UserKey(0), true), (true, false), LAG);
        }
        doubts
    };
    let app = silent();
    let there = group(0..2, 0..0);
    group_turn(&app, there, &Written::default(), &mut only_looked()).await;
    let named = |app: &Scripted| members_of(&app.sent.lock().unwrap()[0]);
    assert_eq!(named(&app), [UserKey(1)]);
    // Whether it is there is not known; a look shows that it is not.
    let app = scripted(all_done);
    let mut perhaps = group(0..2, 0..0);
    perhaps.work.observed = Existence::Unknown;
    let (learned, pause) = group_turn(&app, perhaps, &Written::default(), &mut only_looked()).await;
    assert_eq!(named(&app), [UserKey(0), UserKey(1)]);
    assert_eq!((sorted(learned.present), pause), (vec![0, 1], Pause::None));
}
