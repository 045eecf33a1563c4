//! Turns of a group that is one of a family: what is sent, what is believed.
use super::*;
use crate::{
    bridge::converge::{Counts, People, STANDS, Told, family_turn},
    plan::state::Family,
    store::{Alternative, Counting, Seat},
};

/// What counts for everybody; who is named was asked for otherwise since.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) counting: Counting,
    overtaken: Vec<UserKey>,
    /// Nobody is asked for in it any more.
    given_up: Option<String>,
    /// Somebody is to be taken out of the group.
    takes: bool,
}

#[async_trait]
impl Counts for Asked {
    async fn counting(&self, user: UserKey, _: bool) -> Result<Option<Counting>, StoreError> {
        let now = Some(self.counting.clone());
        Ok(now.filter(|_| !self.overtaken.contains(&user)))
    }

    async fn gives(&self, _: UserKey, group: &str) -> Result<bool, StoreError> {
        Ok(self.given_up.as_deref() != Some(group))
    }

    async fn takes(&self) -> bool {
        self.takes
    }
}

pub(super) fn role(name: &str, rank: u32) -> Option<Alternative> {
    Some(Alternative {
        name: name.into(),
        rank,
        asked: true,
    })
}

pub(super) fn asked(counts: Option<Alternative>, at_most: Option<Alternative>) -> Asked {
    let own = at_most.as_ref().map_or(0, |it| it.rank);
    Asked {
        counting: Counting::of(own, counts.into_iter().chain(at_most).collect()),
        ..Asked::default()
    }
}

pub(super) fn viewers() -> Family {
    Family {
        name: "acme".into(),
        rank: 1,
    }
}

pub(super) async fn told(
    app: &Scripted,
    work: GroupTurn,
    asked: &Asked,
    people: &People,
) -> (GroupLearned, Pause) {
    family_turn(app, work, &viewers(), asked, people).await
}

pub(super) fn outcome(
    operation: &Operation,
    outcome: MemberOutcome,
) -> Result<Outcome, UpstreamError> {
    let users = members_of(operation).into_iter();
    Ok(Outcome {
        members: users.map(|user| (user, outcome.clone())).collect(),
        ..Outcome::default()
    })
}

pub(super) fn unclear() -> UpstreamError {
    UpstreamError::Unknown {
        reason: "cut".into(),
    }
}

/// What the calls asked for: direction, whom, and what counts.
fn sent(app: &Scripted) -> Vec<(bool, i64, Option<String>)> {
    let sent = app.sent.lock().unwrap();
    let one = |operation: &Operation| match operation {
        Operation::AddMembers { members, .. } => {
            (true, members[0].user.0, members[0].counts.clone())
        }
        Operation::RemoveMembers { members, .. } => {
            (false, members[0].user.0, members[0].counts.clone())
        }
        other => panic!("{other:?} is no call about one pair"),
    };
    sent.iter().map(one).collect()
}

#[tokio::test]
async fn each_pair_is_a_call_with_what_counts_and_removals_go_first() {
    let app = scripted(all_done);
    let asked = asked(role("viewer", 1), role("viewer", 1));
    let (learned, pause) = told(
        &app,
        group(0..2, 7..9),
        &asked,
        &People::new(false, READ_LAG),
    )
    .await;
    assert_eq!(pause, Pause::None);
    assert_eq!(
        (sorted(learned.present), sorted(learned.absent)),
        (vec![0, 1], vec![7, 8])
    );
    let viewer = || Some("viewer".to_owned());
    let calls = [
        (false, 7, viewer()),
        (false, 8, viewer()),
        (true, 0, viewer()),
        (true, 1, viewer()),
    ];
    assert_eq!(sent(&app), calls);
    assert_eq!(learned.calls.len(), 4);
}

#[tokio::test]
async fn additions_to_a_role_give_way_to_a_removal_that_is_asked_for_meanwhile() {
    let app = scripted(all_done);
    let asked = Asked {
        takes: true,
        ..asked(role("viewer", 1), role("viewer", 1))
    };
    let people = People::new(false, READ_LAG);
    let (learned, pause) = told(&app, group(0..30, 100..102), &asked, &people).await;
    assert_eq!(pause, Pause::None);
    assert_eq!(sorted(learned.absent), [100, 101]);
    assert_eq!(sorted(learned.present), [0], "it gets on");
    assert_eq!(sorted(learned.unsent), (1..30).collect::<Vec<_>>());
    assert_eq!(app.calls(), 3);
}

#[tokio::test]
async fn who_was_asked_for_otherwise_since_is_not_sent() {
    let app = scripted(all_done);
    let asked = Asked {
        overtaken: vec![UserKey(1), UserKey(7)],
        ..Asked::default()
    };
    let (learned, _) = told(
        &app,
        group(0..3, 7..8),
        &asked,
        &People::new(false, READ_LAG),
    )
    .await;
    assert_eq!(sorted(learned.unsent), [1, 7]);
    assert_eq!(sorted(learned.present), [0, 2]);
}

#[tokio::test]
async fn what_counts_and_is_not_asked_for_any_more_is_not_sent() {
    let app = scripted(all_done);
    let asked = Asked {
        given_up: Some("admin".into()),
        ..asked(role("admin", 0), role("viewer", 1))
    };
    let (learned, pause) = told(
        &app,
        group(0..2, 7..8),
        &asked,
        &People::new(false, READ_LAG),
    )
    .await;
    assert_eq!(sorted(learned.unsent), [0, 1, 7]);
    assert_eq!(
        (app.calls(), pause),
        (0, Pause::Within(Duration::from_millis(500)))
    );
}

#[tokio::test]
async fn whom_another_connection_has_to_let_go_first_is_not_sent_and_is_asked_for_less_and_less() {
    let app = scripted(all_done);
    let mut asked = Asked::default();
    asked.counting.seat = Seat::Leaving;
    let (learned, pause) = told(
        &app,
        group(0..2, 7..7),
        &asked,
        &People::new(false, READ_LAG),
    )
    .await;
    assert!(learned.is_idle(), "{learned:?}");
    assert_eq!((app.calls(), pause), (0, Pause::HandedOver));
    assert_eq!(sorted(learned.unsent), [0, 1]);
}

#[tokio::test]
async fn who_is_to_be_out_is_looked_at_unless_another_connection_asks_for_them() {
    for (seat, calls) in [(Seat::Free, 1), (Seat::Leaving, 1), (Seat::Taken, 0)] {
        let app = scripted(all_done);
        let mut asked = Asked::default();
        asked.counting.seat = seat;
        let people = People::new(false, READ_LAG);
        let (learned, pause) = told(&app, group(0..0, 7..8), &asked, &people).await;
        assert_eq!((app.calls(), pause), (calls, Pause::None), "{seat:?}");
        assert_eq!(sorted(learned.absent), [7]);
    }
}

#[tokio::test]
async fn not_now_stops_the_turn_and_what_is_unclear_does_not() {
    let count = AtomicUsize::new(0);
    let app = scripted(
        move |operation| match count.fetch_add(1, Ordering::Relaxed) {
            3 => Err(unclear()),
            20 => Err(UpstreamError::Later {
                after: Some(Duration::from_secs(60)),
                reason: "429".into(),
            }),
            _ => all_done(operation),
        },
    );
    let (learned, pause) = told(
        &app,
        group(0..50, 0..0),
        &Asked::default(),
        &People::new(false, READ_LAG),
    )
    .await;
    assert_eq!(pause, Pause::For(Duration::from_secs(60)));
    assert_eq!((learned.present.len(), learned.unsent.len()), (19, 30));
    assert_eq!(app.calls(), 21);
}

#[tokio::test]
async fn what_holds_one_pair_up_holds_up_none_of_the_others() {
    let denied = || UpstreamError::Denied {
        reason: "answered 403".into(),
    };
    let app = scripted(move |operation| match members_of(operation)[..] {
        [UserKey(3)] => Err(denied()),
        [UserKey(4)] => outcome(operation, MemberOutcome::Waits(Duration::from_secs(90))),
        _ => all_done(operation),
    });
    let people = People::new(false, READ_LAG);
    let (learned, pause) = told(&app, group(0..9, 0..0), &Asked::default(), &people).await;
    assert_eq!(sorted(learned.unsent), [3, 4]);
    assert_eq!(learned.present.len(), 7);
    assert_eq!(pause, Pause::Within(Duration::from_secs(10)));
}

#[tokio::test]
async fn what_is_unclear_is_said_again_soon_while_the_rest_goes_well_and_else_backs_off() {
    let app = scripted(|operation| match members_of(operation)[..] {
        [UserKey(3)] => Err(unclear()),
        _ => all_done(operation),
    });
    let people = People::new(false, READ_LAG);
    let (learned, pause) = told(&app, group(0..9, 0..0), &Asked::default(), &people).await;
    assert!(matches!(pause, Pause::Within(_)), "{pause:?}");
    assert_eq!(learned.present.len(), 8);
    let known = [&learned.absent, &learned.unsent];
    assert!(known.iter().all(|users| users.is_empty()) && learned.refused.is_empty());
    let (_, pause) = told(&app, group(3..4, 0..0), &Asked::default(), &people).await;
    assert_eq!(pause, Pause::BackOff);
}

#[tokio::test]
async fn a_pair_is_judged_by_itself_when_the_group_before_it_is_refused() {
    let app = scripted(|operation| {
        let (Operation::AddMembers { members, .. } | Operation::RemoveMembers { members, .. }) =
            operation
        else {
            panic!("{operation:?}");
        };
        match members[0].counts.as_deref() {
            Some("admin") => Err(rejected()),
            _ => all_done(operation),
        }
    });
    let higher = asked(role("admin", 0), role("viewer", 1));
    let (learned, _) = told(
        &app,
        group(0..1, 0..0),
        &higher,
        &People::new(false, READ_LAG),
    )
    .await;
    assert_eq!((sorted(learned.present), app.calls()), (vec![0], 2));
    assert!(learned.refused.is_empty());
    let only = asked(role("admin", 0), role("admin", 0));
    let (learned, _) = told(
        &app,
        group(1..2, 0..0),
        &only,
        &People::new(false, READ_LAG),
    )
    .await;
    assert_eq!((learned.refused.len(), app.calls()), (1, 3));
}

#[tokio::test]
async fn a_rule_of_this_side_is_told_in_its_own_words() {
    let app = scripted(|_| {
        Err(UpstreamError::Barred {
            reason: "nobody else administers it".into(),
        })
    });
    let (learned, pause) = told(
        &app,
        group(0..0, 7..8),
        &Asked::default(),
        &People::new(false, READ_LAG),
    )
    .await;
    let reason = "cannot remove the member in Test: nobody else administers it";
    assert_eq!(learned.refused, [(UserKey(7), reason.to_owned())]);
    assert_eq!(pause, Pause::None);
}

#[tokio::test]
async fn what_is_forbidden_of_one_user_holds_up_no_other() {
    let app = scripted(|operation| match members_of(operation)[..] {
        [UserKey(3 | 7)] => Err(UpstreamError::Denied {
            reason: "403".into(),
        }),
        _ => all_done(operation),
    });
    let people = People::new(false, READ_LAG);
    let (learned, pause) = told(&app, group(0..20, 7..9), &Asked::default(), &people).await;
    assert_eq!(
        sorted(learned.unsent),
        [3, 7, 7],
        "asked for both ways here"
    );
    assert_eq!(
        (learned.present.len(), sorted(learned.absent)),
        (18, vec![8])
    );
    assert!(learned.refused.is_empty());
    assert!(matches!(pause, Pause::Within(_)), "{pause:?}");
}

#[tokio::test]
async fn members_of_a_group_that_is_not_shown_for_a_moment_are_not_given_up() {
    let missing = || UpstreamError::Missing {
        reason: "404".into(),
    };
    let app = scripted(move |_| Err(missing()));
    let people = People::new(false, READ_LAG);
    let (learned, pause) = told(&app, group(0..30, 0..0), &Asked::default(), &people).await;
    assert_eq!((learned.unsent.len(), learned.refused.len()), (30, 0));
    assert_eq!(pause, Pause::BackOff);
    assert!(app.calls() <= 10, "the others wait");

    let first = AtomicUsize::new(0);
    let mut back = scripted(
        move |operation| match first.fetch_add(1, Ordering::Relaxed) {
            0 => Err(missing()),
            _ => all_done(operation),
        },
    );
    back.group = Some(RemoteGroup::default());
    let (learned, _) = told(&back, group(0..1, 0..0), &Asked::default(), &people).await;
    assert_eq!((sorted(learned.present), back.calls()), (vec![0], 2));

    let mut unknown = scripted(move |_| Err(missing()));
    unknown.group = Some(RemoteGroup::default());
    let (learned, _) = told(&unknown, group(0..1, 0..0), &Asked::default(), &people).await;
    assert_eq!(
        (learned.refused.len(), unknown.calls()),
        (1, 2),
        "it is the user"
    );
}

#[tokio::test(start_paused = true)]
async fn a_look_is_believed_unless_it_may_lag_behind_what_was_told() {
    let app = scripted(|operation| match operation {
        Operation::AddMembers { .. } => outcome(operation, MemberOutcome::Seen),
        _ => all_done(operation),
    });
    let viewer = asked(role("viewer", 1), role("viewer", 1));
    let nobody = Asked::default();
    let people = People::new(false, READ_LAG);
    let add = || group(0..1, 0..0);
    let (learned, _) = told(&app, add(), &viewer, &people).await;
    assert_eq!(sorted(learned.present), [0], "nothing was sent lately");
    // Now it is confirmed that there is nothing: what is seen is older.
    told(&app, group(0..0, 0..1), &nobody, &people).await;
    let (learned, pause) = told(&app, add(), &viewer, &people).await;
    assert!(learned.present.is_empty() && learned.calls.len() == 1);
    let Pause::Within(wait) = pause else {
        panic!("{pause:?}")
    };
    tokio::time::advance(wait).await;
    let (learned, _) = told(&app, add(), &viewer, &people).await;
    assert_eq!(sorted(learned.present), [0], "it can lag no longer");
    // And that a removal left this one: what is seen is the same.
    told(&app, group(0..0, 0..1), &viewer, &people).await;
    let (learned, _) = told(&app, add(), &viewer, &people).await;
    assert_eq!(sorted(learned.present), [0]);
}

#[tokio::test(start_paused = true)]
async fn what_the_process_before_has_sent_is_not_known_for_a_while() {
    let app = scripted(|operation| outcome(operation, MemberOutcome::Seen));
    let viewer = asked(role("viewer", 1), role("viewer", 1));
    let people = People::new(true, READ_LAG);
    let (learned, _) = told(&app, group(0..1, 0..0), &viewer, &people).await;
    assert!(learned.present.is_empty());
    tokio::time::advance(Duration::from_secs(10)).await;
    let (learned, _) = told(&app, group(0..1, 0..0), &viewer, &people).await;
    assert_eq!(sorted(learned.present), [0]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_twice_at_once_and_no_more_than_ten_are() {
    let people = Arc::new(People::new(false, READ_LAG));
    let mine = people.alone("ann").await;
    let other = Arc::clone(&people);
    let waits = tokio::spawn(async move {
        other.alone("ann").await;
    });
    people.alone("bob").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waits.is_finished());
    drop(mine);
    waits.await.unwrap();
    for user in 0..3_000 {
        people.alone(&user.to_string()).await;
    }
    assert!(
        people.remembered() < 1_100,
        "who is told of no more is forgotten"
    );
}

#[tokio::test]
async fn an_account_that_has_to_appear_is_staged_and_not_refused() {
    let app = scripted(|_| {
        Err(UpstreamError::Staged {
            reason: "never signed in".into(),
        })
    });
    let (learned, pause) = user_turn(&app, user(true, Existence::Absent, false), None).await;
    assert!(learned.staged && learned.settled && learned.refused.is_none());
    assert_eq!(pause, Pause::None);
    assert_eq!(learned.observed.unwrap().existence, Existence::Absent);
}

#[tokio::test(start_paused = true)]
async fn an_end_soon_after_other_calls_is_done_and_done_once_more() {
    let app = scripted(all_done);
    let mut lately = Told::nothing(None, READ_LAG);
    lately.has(&viewers(), Some(1));
    let end = || user(false, Existence::Present, false);
    let (learned, pause) = user_turn(&app, end(), Some(&mut lately)).await;
    assert!(learned.again && !learned.settled);
    let Pause::Within(wait) = pause else {
        panic!("{pause:?}")
    };
    tokio::time::advance(wait).await;
    let (learned, pause) = user_turn(&app, end(), Some(&mut lately)).await;
    assert!(learned.settled && !learned.again);
    assert_eq!(pause, Pause::None);
    // What was just ended has nothing more, whatever a look shows.
    assert!(lately.doubts(&viewers(), true).is_some());
    assert!(lately.doubts(&viewers(), false).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_found_nothing_is_done_once_more_when_a_look_can_lag_no_longer() {
    let lag = Duration::from_secs(10);
    let nothing = |operation: &Operation| match operation {
        Operation::DeactivateUser { principal } => Ok(Outcome {
            members: vec![(principal.user, MemberOutcome::Seen)],
            ..Outcome::default()
        }),
        other => panic!("{other:?}"),
    };
    let (empty, app) = (scripted(nothing), scripted(all_done));
    let mut told = Told::nothing(None, READ_LAG);
    let end = || user(false, Existence::Present, false);
    for _ in 0..2 {
        let (learned, pause) = user_turn(&empty, end(), Some(&mut told)).await;
        assert!(learned.again && !learned.settled);
        assert_eq!(pause, Pause::Within(lag));
        // Looked at too early, it is to be looked at later all the same.
        tokio::time::advance(lag / 2).await;
        let (learned, pause) = user_turn(&empty, end(), Some(&mut told)).await;
        assert!(learned.again && !learned.settled);
        assert_eq!(pause, Pause::Within(lag / 2));
        tokio::time::advance(lag / 2).await;
        let (learned, pause) = user_turn(&empty, end(), Some(&mut told)).await;
        assert!(learned.settled && !learned.again);
        assert_eq!(pause, Pause::None);
    }
    // One that took something away saw what there was.
    user_turn(&empty, end(), Some(&mut told)).await;
    let (learned, pause) = user_turn(&app, end(), Some(&mut told)).await;
    assert!(learned.settled && !learned.again);
    assert_eq!(pause, Pause::None);
    let (learned, _) = user_turn(&empty, end(), Some(&mut told)).await;
    assert!(learned.again, "that one was another");
}

#[tokio::test]
async fn an_end_that_was_refused_or_broken_off_may_have_been_done_in_part() {
    let mut app = scripted(|_| Err(rejected()));
    app.user = Some(RemoteUser::default());
    let mut told = Told::nothing(None, READ_LAG);
    let end = || user(false, Existence::Present, false);
    let (learned, _) = user_turn(&app, end(), Some(&mut told)).await;
    assert!(learned.refused.is_some() && learned.recreated && learned.may_stand);
    let app = scripted(|_| {
        Err(UpstreamError::Later {
            after: None,
            reason: "429".into(),
        })
    });
    let (learned, _) = user_turn(&app, end(), Some(&mut told)).await;
    assert!(!learned.settled && !learned.recreated);
}

#[tokio::test]
async fn an_end_that_was_done_in_part_stands_and_says_so() {
    let app = scripted(|_| {
        Err(UpstreamError::Partly {
            reason: "organizations remain".into(),
        })
    });
    let mut told = Told::nothing(None, READ_LAG);
    let end = user(false, Existence::Present, false);
    let (learned, pause) = user_turn(&app, end, Some(&mut told)).await;
    assert!(learned.again && !learned.settled && !learned.recreated);
    let observed = learned.observed.unwrap();
    assert_eq!(observed.existence, Existence::Absent);
    assert!(observed.deactivated);
    let reason = learned.refused.unwrap();
    assert!(reason.contains("organizations remain") && reason.ends_with(STANDS));
    assert_eq!(pause, Pause::None);
}
