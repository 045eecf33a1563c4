//! What becomes of each member of a turn, by answers and looks.

use super::{scripted::is_left, *};

#[tokio::test]
async fn one_add_and_one_remove_call_settle_everything() {
    let app = scripted(all_done);
    let (learned, pause) = turn(&app, group(0..5, 10..13)).await;
    assert_eq!((app.calls(), pause), (2, Pause::None));
    assert_eq!((learned.present.len(), learned.absent.len()), (5, 3));
}

#[tokio::test]
async fn one_bad_member_never_blocks_ninety_nine_good_ones() {
    let bad = UserKey(37);
    let app = scripted(move |operation| {
        if members_of(operation).contains(&bad) {
            Err(rejected())
        } else {
            all_done(operation)
        }
    });
    let (learned, _) = turn(&app, group(0..100, 0..0)).await;
    assert_eq!(learned.present.len(), 99);
    assert_eq!(
        learned
            .refused
            .iter()
            .map(|(user, _)| *user)
            .collect::<Vec<_>>(),
        [bad]
    );
    assert!(app.calls() <= 2 * 7 + 1, "{} calls", app.calls());
}

#[tokio::test]
async fn nobody_s_removal_waits_until_bad_members_are_found() {
    let app = refuses(|user| user < 100 && user % 4 == 0);
    let (learned, _) = turn(&app, group(0..64, 100..101)).await;
    assert_eq!((learned.present.len(), learned.refused.len()), (48, 16));
    let second = app.sent.lock().unwrap()[1].clone();
    assert!(
        matches!(second, Operation::RemoveMembers { .. }),
        "{second:?}"
    );
}

/// Something else is asked for all the time.
struct Busy;

#[async_trait]
impl Since for Busy {
    async fn written(&self, _: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }

    fn is_overtaken(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn finding_bad_members_gives_way_to_what_else_is_asked_for_and_gets_on() {
    let app = refuses(|user| user % 4 == 0);
    let mut left = group(0..128, 0..0);
    let (mut added, mut refused) = (0, 0);
    for _ in 0..20 {
        let before = app.calls();
        let (learned, pause) = group_turn(&app, left.clone(), &Busy, &mut Doubts::new()).await;
        assert_eq!(pause, Pause::None);
        assert!(app.calls() - before <= 32);
        added += learned.present.len();
        refused += learned.refused.len();
        let unsent: Vec<UserKey> = learned.unsent;
        left.work
            .adds
            .retain(|member| unsent.contains(&member.user));
    }
    assert_eq!((added, refused, left.work.adds.len()), (96, 32, 0));
}

/// Somebody is to be taken out of the group after so many looks for that; and how
/// many calls are many.
struct Removing(AtomicUsize, usize);

#[async_trait]
impl Since for Removing {
    async fn written(&self, _: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }

    async fn takes(&self) -> bool {
        !is_left(&self.0)
    }

    fn long(&self) -> usize {
        self.1
    }
}

const NEVER: usize = usize::MAX;

/// One turn after the other, each with what the one before it left.
async fn turns(app: &Scripted, mut left: GroupTurn, since: &Removing) -> Vec<(usize, usize)> {
    let mut turns = Vec::new();
    while !left.work.adds.is_empty() || !left.work.removes.is_empty() {
        let before = app.calls();
        let (learned, pause) = group_turn(app, left.clone(), since, &mut Doubts::new()).await;
        assert_eq!(pause, Pause::None);
        let done = learned.present.len() + learned.absent.len() + learned.refused.len();
        let all = left.work.adds.len() + left.work.removes.len();
        assert_eq!(done + learned.unsent.len(), all, "nobody is unknown");
        assert!(done > 0, "it gets on");
        turns.push((app.calls() - before, done));
        let is_left = |member: &Principal| learned.unsent.contains(&member.user);
        left.work.adds.retain(is_left);
        left.work.removes.retain(is_left);
    }
    turns
}

#[tokio::test]
async fn additions_give_way_to_a_removal_that_is_asked_for_meanwhile() {
    let mut app = scripted(all_done);
    app.takes_at_once(Act::AddMembers, 1);
    let after_two = Removing(AtomicUsize::new(2), NEVER);
    let turns_of = turns(&app, group(0..9, 0..0), &after_two).await;
    assert_eq!(
        turns_of,
        [(3, 3), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1)]
    );
    let never = Removing(AtomicUsize::new(NEVER), NEVER);
    assert_eq!(turns(&app, group(0..9, 0..0), &never).await, [(9, 9)]);
}

#[tokio::test]
async fn who_is_replaced_goes_after_whoever_replaces_him_also_when_turns_give_way() {
    let mut app = scripted(all_done);
    app.takes_at_once(Act::AddMembers, 2);
    let always = Removing(AtomicUsize::new(0), NEVER);
    let turns_of = turns(&app, group(0..6, 9..10), &always).await;
    assert_eq!(turns_of, [(1, 2), (1, 2), (2, 3)]);
    let last = app.sent.lock().unwrap().pop();
    assert!(matches!(last, Some(Operation::RemoveMembers { .. })));
}

#[tokio::test]
async fn additions_that_give_way_get_on_however_often_the_first_of_them_are_refused() {
    let mut app = refuses(|user| user == 1);
    app.takes_at_once(Act::AddMembers, 4);
    let always = Removing(AtomicUsize::new(0), NEVER);
    let turns_of = turns(&app, group(0..16, 0..0), &always).await;
    // The last turn has nothing left to give way with, and finds the bad one.
    assert_eq!(turns_of, [(2, 4), (2, 4), (6, 8)]);
}

#[tokio::test]
async fn what_many_calls_have_done_is_recorded_before_the_others_are_sent() {
    let after_four = || Removing(AtomicUsize::new(NEVER), 4);
    let mut app = scripted(all_done);
    app.takes_at_once(Act::AddMembers, 1);
    let turns_of = turns(&app, group(0..10, 0..0), &after_four()).await;
    assert_eq!(turns_of, [(4, 4), (4, 4), (2, 2)]);
    // Each end would be a reading more.
    let mut app = scripted(|_| Ok(Outcome::default()));
    app.takes_at_once(Act::AddMembers, 1);
    let members = (0..10).map(|n| RemoteMember {
        account: Some(principal(n).account),
        ..RemoteMember::default()
    });
    app.members.lock().unwrap().push_back(members.collect());
    let turns_of = turns(&app, group(0..10, 0..0), &after_four()).await;
    assert_eq!(turns_of, [(10, 10)]);
    // After many more one reading is little beside them.
    let everybody = || {
        let member = |n| RemoteMember {
            account: Some(principal(n).account),
            ..RemoteMember::default()
        };
        (0..20).map(member).collect()
    };
    let readings = VecDeque::from([everybody(), everybody()]);
    *app.members.lock().unwrap() = readings;
    let turns_of = turns(&app, group(0..20, 0..0), &after_four()).await;
    assert_eq!(turns_of, [(16, 16), (4, 4)]);
}

#[tokio::test]
async fn an_unclear_end_leaves_its_members_unknown_and_returns_what_was_not_sent() {
    let app = scripted(|operation| match operation {
        Operation::RemoveMembers { .. } => Err(UpstreamError::Unknown {
            reason: "cut".into(),
        }),
        _ => all_done(operation),
    });
    let mut work = group(0..3, 10..12);
    work.work.alone = 2;
    let (learned, pause) = turn(&app, work).await;
    assert_eq!(pause, Pause::BackOff);
    assert!(learned.present.is_empty() && learned.absent.is_empty());
    assert_eq!(sorted(learned.unsent), [0, 1, 2]);
}

#[tokio::test]
async fn not_now_returns_everything_unsent_and_waits_as_long_as_asked() {
    let wait = Duration::from_secs(7);
    let app = scripted(move |_| {
        Err(UpstreamError::Later {
            after: Some(wait),
            reason: "429".into(),
        })
    });
    let (learned, pause) = turn(&app, group(0..3, 10..12)).await;
    assert_eq!(pause, Pause::For(wait));
    assert_eq!(sorted(learned.unsent), [0, 1, 2, 10, 11]);
    assert_eq!(app.calls(), 2, "each way is tried");
}

#[tokio::test]
async fn a_removal_that_cannot_be_done_now_leaves_the_others_to_the_next_turn() {
    for error in [
        UpstreamError::Unknown {
            reason: "cut".into(),
        },
        UpstreamError::Later {
            after: None,
            reason: "503".into(),
        },
    ] {
        let was_sent = matches!(error, UpstreamError::Unknown { .. });
        let mut app = scripted(move |_| Err(error.clone()));
        app.removes_singly();
        let mut work = group(0..0, 10..14);
        work.work.alone = 4;
        let (learned, pause) = turn(&app, work).await;
        assert_eq!((app.calls(), pause), (1, Pause::BackOff));
        let unsent = if was_sent { 11..14 } else { 10..14 };
        assert_eq!(sorted(learned.unsent), unsent.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn unlisted_members_are_settled_by_one_read() {
    let app = scripted(|operation| {
        let outcome = |user| {
            (
                user,
                if user == UserKey(1) {
                    MemberOutcome::Unknown
                } else {
                    MemberOutcome::Applied
                },
            )
        };
        Ok(Outcome {
            members: members_of(operation).into_iter().map(outcome).collect(),
            ..Outcome::default()
        })
    });
    let listed = RemoteMember {
        account: Some("U1@example.com".into()),
        ..RemoteMember::default()
    };
    app.members.lock().unwrap().push_back(vec![listed]);
    let (learned, pause) = turn(&app, group(0..3, 0..0)).await;
    assert_eq!(
        (sorted(learned.present), pause),
        (vec![0, 1, 2], Pause::None)
    );
}

#[tokio::test]
async fn looks_that_may_lag_contradict_nobody_of_whom_the_application_said_nothing() {
    let app = scripted(|operation| {
        let outcome = |user| (user, MemberOutcome::Unknown);
        Ok(Outcome {
            members: members_of(operation).into_iter().map(outcome).collect(),
            ..Outcome::default()
        })
    });
    let mut doubts = Doubts::new();
    for _ in 0..5 {
        let work = group(0..1, 0..0);
        let (learned, pause) = group_turn(&app, work, &Written::default(), &mut doubts).await;
        assert!(learned.refused.is_empty() && learned.present.is_empty());
        assert!(pause != Pause::None);
    }
    assert_eq!(app.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_gives_way_to_a_removal_leaves_its_look_to_the_next_one() {
    let everybody = || {
        let member = |n| RemoteMember {
            account: Some(principal(n).account),
            ..RemoteMember::default()
        };
        (0..9).map(member).collect::<Vec<_>>()
    };
    let after_two = || Removing(AtomicUsize::new(2), NEVER);
    for (late, is_read) in [(Duration::ZERO, false), (READ_LAG / 2, true)] {
        // Its answers say nothing of anybody.
        let mut app = scripted(|_| Ok(Outcome::default()));
        app.takes_at_once(Act::AddMembers, 1);
        *app.members.lock().unwrap() = [everybody(), everybody()].into();
        let readings = |app: &Scripted| 2 - app.members.lock().unwrap().len();
        let mut doubts = Doubts::new();
        let asked = group(0..9, 0..0);
        let (first, pause) = group_turn(&app, asked, &after_two(), &mut doubts).await;
        assert_eq!((app.calls(), readings(&app), pause), (3, 0, Pause::None));
        assert_eq!((first.unsent.len(), first.present.len()), (6, 0));
        // Another one is to be taken out. Who waits for a look has it in time.
        tokio::time::advance(late).await;
        let mut asked = group(0..9, 20..21);
        asked.work.alone = 1;
        let (second, pause) = group_turn(&app, asked, &after_two(), &mut doubts).await;
        let read = usize::from(is_read);
        assert_eq!((readings(&app), pause), (read, Pause::None));
        let mut asked = group(0..9, 20..21);
        let is_open = |it: &Principal| {
            let mut done = second.present.iter().chain(&second.absent);
            !done.any(|user| *user == it.user)
        };
        asked.work.adds.retain(is_open);
        asked.work.removes.retain(is_open);
        let (third, pause) = group_turn(&app, asked, &Written::default(), &mut doubts).await;
        assert_eq!((readings(&app), pause), (read + 1, Pause::None));
        assert_eq!(app.calls(), 10, "nobody is sent twice");
        let present = second.present.len() + third.present.len();
        assert_eq!((present, second.absent.len() + third.absent.len()), (9, 1));
    }
}

/// Takes everything on, and does it some time.
fn taking_on() -> Scripted {
    scripted(|operation| {
        let outcome = |user| (user, MemberOutcome::Open);
        Ok(Outcome {
            members: members_of(operation).into_iter().map(outcome).collect(),
            ..Outcome::default()
        })
    })
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_on_is_looked_for_and_neither_believed_nor_refused() {
    let app = taking_on();
    let mut doubts = Doubts::new();
    let mut sent = Vec::new();
    for _ in 0..12 {
        let work = group(0..1, 0..0);
        let (learned, pause) = group_turn(&app, work, &Written::default(), &mut doubts).await;
        assert!(learned.refused.is_empty() && learned.present.is_empty());
        assert_eq!(pause, Pause::BackOff);
        // It may land after what is asked for next.
        assert!(learned.calls.iter().all(|call| call.1 == UNANSWERED));
        sent.push(app.calls());
        tokio::time::advance(READ_LAG / 4).await;
    }
    assert_eq!(sent, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
    let shown = RemoteMember {
        account: Some(principal(0).account),
        ..RemoteMember::default()
    };
    app.members.lock().unwrap().push_back(vec![shown]);
    let (learned, pause) =
        group_turn(&app, group(0..1, 0..0), &Written::default(), &mut doubts).await;
    assert_eq!((sorted(learned.present), pause), (vec![0], Pause::None));
    assert_eq!(learned.read, [UserKey(0)]);
}

#[tokio::test]
async fn what_was_taken_on_and_is_shown_at_once_was_answered() {
    let app = taking_on();
    let (learned, pause) = turn(&app, group(0..0, 10..12)).await;
    assert_eq!((sorted(learned.absent), pause), (vec![10, 11], Pause::None));
    assert!(learned.calls.iter().all(|call| call.1 == DONE));
}

#[tokio::test]
async fn one_look_that_contradicts_is_not_believed_but_two_are() {
    let app = scripted(|operation| {
        let outcome = |user| (user, MemberOutcome::LeftOut);
        Ok(Outcome {
            members: members_of(operation).into_iter().map(outcome).collect(),
            ..Outcome::default()
        })
    });
    let mut doubts = Doubts::new();
    let (first, pause) =
        group_turn(&app, group(0..1, 0..0), &Written::default(), &mut doubts).await;
    assert!(first.refused.is_empty() && first.present.is_empty());
    assert_eq!(pause, Pause::BackOff);
    let (second, pause) =
        group_turn(&app, group(0..1, 0..0), &Written::default(), &mut doubts).await;
    assert_eq!((second.refused.len(), pause), (1, Pause::None));
}

#[tokio::test]
async fn a_refused_replacement_falls_back_to_the_difference() {
    let mut app = scripted(|operation| match operation {
        Operation::ReplaceMembers { .. } => Err(rejected()),
        _ => all_done(operation),
    });
    app.removes_singly();
    let mut work = group(0..2, 10..12);
    work.work.full = Some(work.work.adds.clone());
    let (learned, _) = turn(&app, work).await;
    assert_eq!(
        (app.calls(), learned.present.len(), learned.absent.len()),
        (4, 2, 2)
    );
}

#[tokio::test]
async fn a_replacement_that_would_take_out_somebody_nobody_asked_for_is_not_sent() {
    let named = |account: &str| RemoteMember {
        account: Some(account.into()),
        ..RemoteMember::default()
    };
    for (there, calls) in [("U10@example.com", 1), ("by.hand@example.com", 3)] {
        let mut app = scripted(all_done);
        app.removes_singly();
        app.members.lock().unwrap().push_back(vec![named(there)]);
        let mut work = group(0..2, 10..12);
        work.work.full = Some(work.work.adds.clone());
        let (learned, pause) = turn(&app, work).await;
        assert_eq!((app.calls(), pause), (calls, Pause::None), "{there}");
        assert_eq!((learned.present.len(), learned.absent.len()), (2, 2));
    }
}

#[tokio::test]
async fn an_addition_that_fails_holds_up_no_removal() {
    let fails = |error: fn() -> UpstreamError| {
        scripted(move |operation| match operation {
            Operation::AddMembers { .. } => Err(error()),
            _ => all_done(operation),
        })
    };
    let unclear: fn() -> UpstreamError = || UpstreamError::Unknown {
        reason: "500".into(),
    };
    let denied: fn() -> UpstreamError = || UpstreamError::Denied {
        reason: "403".into(),
    };
    for (error, pause) in [(unclear, Pause::BackOff), (denied, Pause::UntilAccepted)] {
        let (learned, seen) = turn(&fails(error), group(0..3, 10..12)).await;
        assert_eq!((sorted(learned.absent), seen), (vec![10, 11], pause));
        assert!(learned.present.is_empty());
    }
}

#[tokio::test]
async fn a_removal_is_not_done_because_something_else_was_missing() {
    let mut app = scripted(|_| {
        Err(UpstreamError::Missing {
            reason: "404".into(),
        })
    });
    app.group = Some(RemoteGroup::default());
    let there = RemoteMember {
        account: Some("u10@example.com".into()),
        ..RemoteMember::default()
    };
    app.members.lock().unwrap().push_back(vec![there]);
    let (learned, pause) = turn(&app, group(0..0, 10..12)).await;
    assert_eq!((sorted(learned.absent), pause), (vec![11], Pause::BackOff));
    assert!(learned.refused.is_empty());
}

#[tokio::test]
async fn whom_a_replacement_left_out_is_told_also_if_nothing_was_to_change_for_them() {
    let mut app = scripted(|operation| {
        let mut outcome = all_done(operation)?;
        for (user, end) in &mut outcome.members {
            if *user == UserKey(5) {
                *end = MemberOutcome::LeftOut;
            }
        }
        Ok(outcome)
    });
    app.removes_singly();
    let mut work = group(0..2, 10..12);
    let mut full = work.work.adds.clone();
    full.extend([principal(5), principal(6)]);
    work.work.full = Some(full);
    let (learned, _) = turn(&app, work).await;
    assert_eq!(sorted(learned.left_out), [5]);
    assert_eq!(sorted(learned.present), [0, 1]);
}

#[tokio::test]
async fn what_was_asked_for_otherwise_during_a_turn_is_not_sent_by_it() {
    let app = scripted(all_done);
    let written = Written(vec![UserKey(0), UserKey(11)]);
    let (learned, pause) =
        group_turn(&app, group(0..2, 10..13), &written, &mut Doubts::new()).await;
    assert_eq!(pause, Pause::None);
    assert_eq!(sorted(learned.present), [0, 1], "the first call is as new");
    assert_eq!(sorted(learned.absent), [10, 12]);
    assert_eq!(sorted(learned.unsent), [11]);
    let written = Written((10..13).map(UserKey).collect());
    let (learned, _) = group_turn(&app, group(0..2, 10..13), &written, &mut Doubts::new()).await;
    assert_eq!(sorted(learned.unsent), [10, 11, 12]);
    assert_eq!(app.calls(), 3, "nothing is left of the second call");
}
