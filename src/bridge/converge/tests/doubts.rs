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

/// Whole lists are cheaper, and each is taken on.
fn takes_lists_on() -> Scripted {
    let mut app = scripted(|_| {
        Ok(Outcome {
            open: true,
            ..Outcome::default()
        })
    });
    app.takes_at_once(Act::AddMembers, 1);
    app.takes_at_once(Act::RemoveMembers, 1);
    app
}

fn shown(of: std::ops::Range<u8>) -> Vec<RemoteMember> {
    let member = |n| RemoteMember {
        account: Some(principal(n).account),
        ..RemoteMember::default()
    };
    of.map(member).collect()
}

#[tokio::test(start_paused = true)]
async fn a_whole_list_that_is_always_only_taken_on_is_done_when_it_is_shown() {
    let app = takes_lists_on();
    let mut doubts = Doubts::new();
    let work = |adds, removes| {
        let mut work = group(adds, removes);
        work.work.full = Some((0..3).map(principal).collect());
        work
    };
    let mut turn = async |work, looks: &[std::ops::Range<u8>]| {
        let looks = looks.iter().cloned().map(shown);
        *app.members.lock().unwrap() = looks.collect();
        let turn = group_turn(&app, work, &Written::default(), &mut doubts).await;
        assert!(app.members.lock().unwrap().is_empty());
        turn
    };
    // Who is in it before it is sent, and after that.
    let (learned, pause) = turn(work(0..3, 3..6), &[3..6, 3..6]).await;
    assert_eq!((learned.present, learned.absent), (vec![], vec![]));
    assert_eq!(learned.calls[0].1, UNANSWERED, "it may be done late");
    assert_ne!(pause, Pause::None);
    assert_eq!(app.calls(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    let (learned, pause) = turn(work(0..3, 3..6), &[2..4]).await;
    assert_eq!(sorted(learned.present), [2], "it is being done");
    assert_eq!(sorted(learned.absent), [4, 5]);
    assert_ne!(pause, Pause::None);
    let (learned, pause) = turn(work(0..2, 3..4), &[0..3]).await;
    assert_eq!(sorted(learned.present), [0, 1]);
    assert_eq!((sorted(learned.absent), pause), (vec![3], Pause::None));
    assert_eq!((learned.refused, app.calls()), (vec![], 1));
    // One that is shown never is sent again when looks lag no more, and refuses nobody.
    for _ in 0..4 {
        tokio::time::advance(READ_LAG * 2).await;
        let (learned, _) = turn(work(0..3, 3..6), &[3..6, 3..6]).await;
        assert_eq!(learned.refused, vec![]);
    }
    assert!(app.calls() > 2, "{}", app.calls());
    // So is one that only takes somebody out.
    let empties = || {
        let mut work = group(0..0, 3..6);
        work.work.full = Some(Vec::new());
        work
    };
    for (after, absent) in [(3..6, vec![]), (0..0, vec![3, 4, 5])] {
        *app.members.lock().unwrap() = [shown(3..6), shown(after)].into();
        let (learned, _) =
            group_turn(&app, empties(), &Written::default(), &mut Doubts::new()).await;
        assert_eq!(sorted(learned.absent), absent);
    }
}
