//! Refusals of members, which some applications answer to what they do.

use super::*;

fn member(account: &str, id: Option<&str>) -> RemoteMember {
    RemoteMember {
        account: Some(account.to_owned()).filter(|it| !it.is_empty()),
        upstream_id: id.map(str::to_owned),
        ..RemoteMember::default()
    }
}

fn shows(app: &Scripted, users: &[u8]) {
    let shown = users
        .iter()
        .map(|n| member(&principal(*n).account, None))
        .collect();
    app.members.lock().unwrap().push_back(shown);
}

fn looks_left(app: &Scripted) -> usize {
    app.members.lock().unwrap().len()
}

fn users_refused(learned: &GroupLearned) -> Vec<i64> {
    sorted(learned.refused.iter().map(|(user, _)| *user).collect())
}

fn missing() -> UpstreamError {
    UpstreamError::Missing {
        reason: "404".into(),
    }
}

#[tokio::test]
async fn one_look_at_all_who_were_refused_shows_whom_it_was_done_for_all_the_same() {
    for error in [rejected, missing] {
        let mut app = scripted(move |_| Err(error()));
        app.group = Some(RemoteGroup::default());
        shows(&app, &[0, 2, 9]);
        shows(&app, &[]);
        let (learned, pause) = turn(&app, group(0..4, 0..0)).await;
        assert_eq!(sorted(learned.present.clone()), [0, 2]);
        // What a look shows may be of before, so it is said once more.
        assert_eq!(sorted(learned.read.clone()), [0, 2]);
        assert_eq!((users_refused(&learned), pause), (vec![1, 3], Pause::None));
        assert_eq!((app.calls(), looks_left(&app)), (7, 1));
    }
}

#[tokio::test]
async fn nobody_is_looked_for_where_nobody_was_refused_or_nothing_was_sent() {
    let barred = || UpstreamError::Barred {
        reason: "a rule".into(),
    };
    let apps = [scripted(all_done), scripted(move |_| Err(barred()))];
    for (app, refused) in apps.iter().zip([vec![], vec![0, 10]]) {
        shows(app, &[]);
        let (learned, pause) = turn(app, group(0..1, 10..11)).await;
        assert_eq!((users_refused(&learned), pause), (refused, Pause::None));
        assert_eq!(looks_left(app), 1);
    }
}

#[tokio::test]
async fn a_refused_removal_of_whom_a_look_does_not_show_was_done() {
    let app = scripted(|_| Err(rejected()));
    shows(&app, &[11]);
    let (learned, pause) = turn(&app, group(0..0, 10..12)).await;
    assert_eq!(
        (sorted(learned.absent.clone()), pause),
        (vec![10], Pause::None)
    );
    assert_eq!(users_refused(&learned), [11]);
}

#[tokio::test]
async fn whose_removal_was_refused_is_not_gone_because_the_account_has_another_id() {
    let mut app = scripted(|_| Err(rejected()));
    app.user = Some(RemoteUser {
        upstream_id: Some("new".into()),
        ..RemoteUser::default()
    });
    app.members
        .lock()
        .unwrap()
        .push_back(vec![member("", Some("new"))]);
    let mut work = group(0..0, 10..11);
    work.work.removes[0].upstream_id = Some("old".into());
    let (learned, pause) = turn(&app, work).await;
    assert_eq!((learned.absent, learned.refused), (vec![], vec![]));
    assert_eq!(learned.ids, [(UserKey(10), "new".to_owned())]);
    assert_eq!(pause, Pause::BackOff);
}

#[tokio::test]
async fn who_cannot_be_looked_for_is_neither_refused_nor_believed_to_be_there() {
    let app = scripted(|_| Err(rejected()));
    app.failing.store(1, Ordering::Relaxed);
    let (learned, pause) = turn(&app, group(0..1, 0..0)).await;
    assert_eq!((learned.refused, learned.present), (vec![], vec![]));
    assert_eq!((learned.unsent, pause), (vec![], Pause::BackOff));
}

#[tokio::test]
async fn who_was_refused_is_told_though_nobody_answered_for_others() {
    let app = scripted(|operation| match members_of(operation).as_slice() {
        [one] if one.0 == 1 => Err(UpstreamError::Unknown {
            reason: "cut".into(),
        }),
        _ => Err(rejected()),
    });
    shows(&app, &[]);
    let (learned, pause) = turn(&app, group(0..2, 0..0)).await;
    assert_eq!((users_refused(&learned), pause), (vec![0], Pause::BackOff));
    // The other one may be done later than any look.
    assert_eq!((learned.present, learned.unsent), (vec![], vec![]));
}

#[tokio::test]
async fn who_was_refused_in_a_group_that_is_not_there_any_more_is_told() {
    let mut app = scripted(|_| Err(rejected()));
    app.unlisted = true;
    let (learned, pause) = turn(&app, group(0..1, 10..11)).await;
    assert_eq!((users_refused(&learned), pause), (vec![0], Pause::None));
    assert_eq!(sorted(learned.absent), [10]);
    assert!(learned.gone.is_some());
}

#[tokio::test]
async fn of_whom_no_answer_says_anything_and_no_look_does_it_is_told_why_they_wait() {
    let app = scripted(|_| Ok(Outcome::default()));
    for (adds, removes, users, wanted) in [
        (0..1, 1..3, vec![1, 2], false),
        (0..2, 0..0, vec![0, 1], true),
    ] {
        app.failing.store(1, Ordering::Relaxed);
        let turn = group(adds, removes);
        let (learned, pause) =
            group_turn(&app, turn, &Written::default(), &mut Doubts::new()).await;
        assert_eq!(pause, Pause::BackOff);
        let unread = learned.unread.unwrap();
        assert_eq!((sorted(unread.users), unread.wanted), (users, wanted));
        assert!(unread.reason.contains("500"), "{}", unread.reason);
    }
    let (learned, _) = group_turn(
        &app,
        group(0..1, 0..0),
        &Written::default(),
        &mut Doubts::new(),
    )
    .await;
    assert_eq!(learned.unread, None, "it could be read");
}
