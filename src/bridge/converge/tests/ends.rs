//! Ends of accounts that are not done in one go: in part for now, not believed
//! yet, or begun before and refused then.
use super::*;
use crate::{
    bridge::converge::{STANDS, end_but, note_begun},
    plan::state::Family,
};

const LAG: Duration = Duration::from_secs(10);

fn given_lately() -> Told {
    let mut told = Told::nothing(None, READ_LAG);
    let family = Family {
        name: "acme".into(),
        rank: 1,
    };
    told.has(&family, Some(1));
    told
}

/// Whether everything else is gone now, after a call that ended so.
async fn parted(
    end: Result<Outcome, UpstreamError>,
    told: Option<&mut Told>,
) -> (bool, UserLearned) {
    let app = scripted(move |_| end.clone());
    let mut learned = UserLearned {
        settled: true,
        ..UserLearned::default()
    };
    let turn = user(false, Existence::Present, false);
    let keeps = ["admins".to_owned()];
    let done = end_but(&app, &turn, &keeps, &mut learned, told).await;
    let principal = Principal {
        keeps: keeps.to_vec(),
        ..principal(1)
    };
    let sent = app.sent.lock().unwrap().clone();
    assert_eq!(sent, [Operation::DeactivateUser { principal }]);
    assert!(!learned.settled && learned.calls.len() == 1);
    (done, learned)
}

#[tokio::test(start_paused = true)]
async fn who_keeps_a_group_for_now_loses_everything_else_once_and_the_end_stays_open() {
    assert!(parted(Ok(Outcome::default()), None).await.0);
    assert!(parted(Err(rejected()), None).await.0, "as far as it can be");
    let unclear = UpstreamError::Unknown {
        reason: "cut".into(),
    };
    let later = UpstreamError::Later {
        after: None,
        reason: "429".into(),
    };
    let denied = UpstreamError::Denied {
        reason: "403".into(),
    };
    for error in [unclear, later, denied] {
        assert!(!parted(Err(error), None).await.0);
    }
    // What was given right before may not have been seen by it.
    let mut told = given_lately();
    assert!(!parted(Ok(Outcome::default()), Some(&mut told)).await.0);
    assert!(!parted(Err(rejected()), Some(&mut told)).await.0);
    tokio::time::advance(LAG).await;
    assert!(parted(Ok(Outcome::default()), Some(&mut told)).await.0);
    let kept = Family {
        name: "acme".into(),
        rank: 1,
    };
    for wanted in [true, false] {
        assert_eq!(told.doubts(&kept, wanted), Some(LAG), "it may be kept");
    }
}

#[test]
fn an_end_that_is_refused_after_it_was_begun_says_so_once() {
    let mut learned = UserLearned {
        refused: Some("not the last one".into()),
        ..UserLearned::default()
    };
    note_begun(&mut learned);
    let told = format!("not the last one; {STANDS}");
    assert_eq!(learned.refused.as_ref(), Some(&told));
    assert!(learned.withdrawn);
    note_begun(&mut learned);
    assert_eq!(learned.refused, Some(told));
    let mut learned = UserLearned::default();
    note_begun(&mut learned);
    assert_eq!(learned, UserLearned::default(), "nothing was refused");
}

fn looked_for(active: bool) -> UserTurn {
    user(active, Existence::Absent, true)
}

#[tokio::test(start_paused = true)]
async fn who_must_have_nothing_and_is_not_shown_is_looked_for_once_more() {
    let mut app = scripted(all_done);
    app.families = true;
    let mut told = Told::nothing(None, READ_LAG);
    let (learned, pause) = user_turn(&app, looked_for(false), Some(&mut told)).await;
    assert!(learned.had_nothing && learned.again && !learned.settled);
    assert_eq!(pause, Pause::Within(LAG));
    tokio::time::advance(LAG / 2).await;
    // It is shown now: that look at least did not lag.
    let (unshown, mut shown) = (app, scripted(all_done));
    (shown.families, shown.user) = (true, shown_as("7"));
    let (learned, pause) = user_turn(&shown, looked_for(false), Some(&mut told)).await;
    assert!(learned.found && learned.settled && !learned.again);
    assert_eq!(pause, Pause::None);
    // So the next one that does not show it may lag as long as any.
    let (learned, pause) = user_turn(&unshown, looked_for(false), Some(&mut told)).await;
    assert!(learned.again && !learned.settled);
    assert_eq!(pause, Pause::Within(LAG));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_ended_who_is_to_be_made_and_is_not_shown() {
    let app = scripted(|_| {
        Err(UpstreamError::Later {
            after: None,
            reason: "429".into(),
        })
    });
    let mut told = Told::nothing(None, READ_LAG);
    let (learned, pause) = user_turn(&app, looked_for(true), Some(&mut told)).await;
    assert_eq!((app.calls(), pause), (1, Pause::BackOff));
    assert!(!learned.had_nothing && !learned.again);
}

#[tokio::test]
async fn of_several_accounts_with_the_address_none_is_ended_by_guess() {
    let mut app = scripted(all_done);
    app.families = true;
    app.user = Some(RemoteUser::default());
    let (learned, pause) = user_turn(&app, looked_for(false), None).await;
    assert_eq!((app.calls(), pause), (0, Pause::None));
    assert_eq!(learned.about.as_deref(), Some("u1@example.com"));
    assert!(learned.settled && !learned.found);
    let reason = learned.refused.unwrap();
    assert!(
        reason.starts_with("several accounts have this address in Test"),
        "{reason}"
    );
    // Once a reading has told which they are, all of them go.
    let mut turn = looked_for(false);
    turn.work.principal.twins = vec!["8".into()];
    let (learned, _) = user_turn(&app, turn, None).await;
    assert!(learned.found && learned.refused.is_none());
    // And where an address is of one account alone, it is that one.
    app.families = false;
    let (learned, _) = user_turn(&app, looked_for(false), None).await;
    assert!(learned.found && learned.refused.is_none());
}
