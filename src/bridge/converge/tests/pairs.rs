//! What a call about one user and a group of a family carries, what its answer
//! tells, and what is done when it fails.
use super::{
    roles::{Asked, asked, outcome, role, told, unclear, viewers},
    *,
};
use crate::{
    bridge::converge::{People, Told},
    plan::state::Holding,
};

fn seat(group: &str) -> Holding {
    Holding {
        account: "7".into(),
        id: format!("seat in {group}"),
        group: group.into(),
        age: None,
        formerly: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_carries_what_is_known_of_the_user_and_its_answer_is_kept_with_its_age() {
    let mut app = scripted(|operation| {
        Ok(Outcome {
            holding: Some(seat("viewer")),
            ..all_done(operation)?
        })
    });
    app.withheld = vec!["editor".into()];
    let mut asked = asked(role("editor", 0), role("viewer", 1));
    asked.counting.has = true;
    asked.counting.holding = Some(seat("admin"));
    let (learned, _) = told(
        &app,
        group(1..2, 0..0),
        &asked,
        &People::new(false, READ_LAG),
    )
    .await;
    let member = Principal {
        counts: Some("viewer".into()),
        given_up: vec!["editor".into()],
        has: true,
        holding: Some(seat("admin")),
        ..principal(1)
    };
    let add = Operation::AddMembers {
        group: "dev".into(),
        members: vec![member],
    };
    assert_eq!(*app.sent.lock().unwrap(), [add]);
    let now = Holding {
        age: Some(Duration::ZERO),
        ..seat("viewer")
    };
    assert_eq!(learned.holdings, [(UserKey(1), Some(now))]);
    // Of what a look showed, or what was refused, nothing new is known.
    let seen = scripted(|operation| outcome(operation, MemberOutcome::Seen));
    let (learned, _) = told(
        &seen,
        group(1..2, 0..0),
        &asked,
        &People::new(false, READ_LAG),
    )
    .await;
    assert_eq!(
        (sorted(learned.present), learned.holdings),
        (vec![1], vec![])
    );
}

#[tokio::test]
async fn where_nothing_is_taken_any_more_nobody_else_is_tried() {
    let mut app = scripted(|_| {
        Err(UpstreamError::Denied {
            reason: "401".into(),
        })
    });
    app.refused = AtomicUsize::new(1_000);
    let people = People::new(false, READ_LAG);
    let (learned, pause) = told(&app, group(0..30, 0..0), &Asked::default(), &people).await;
    assert_eq!((learned.unsent.len(), pause), (30, Pause::UntilAccepted));
    assert!(app.calls() <= 10, "{}", app.calls());
}

#[tokio::test]
async fn who_is_not_known_has_nothing_to_lose_unless_that_look_may_lag() {
    let app = scripted(|_| {
        Err(UpstreamError::Missing {
            reason: "404".into(),
        })
    });
    let people = People::new(false, READ_LAG);
    let removal = || group(0..0, 1..2);
    let (learned, pause) = told(&app, removal(), &Asked::default(), &people).await;
    assert_eq!((sorted(learned.absent), pause), (vec![1], Pause::None));
    assert_eq!((learned.refused, app.calls()), (vec![], 1));
    let mut lately: tokio::sync::OwnedMutexGuard<Told> = people.alone("u1@example.com").await;
    lately.has(&viewers(), Some(1));
    drop(lately);
    let (learned, pause) = told(&app, removal(), &Asked::default(), &people).await;
    assert_eq!((learned.absent, learned.refused), (vec![], vec![]));
    assert!(matches!(pause, Pause::Within(_)), "{pause:?}");
}

#[tokio::test]
async fn a_pair_is_judged_by_a_refusal_alone() {
    let later = || UpstreamError::Later {
        after: None,
        reason: "429".into(),
    };
    for (error, pause) in [
        (unclear(), Pause::BackOff),
        (later(), Pause::BackOff),
        (
            UpstreamError::Denied {
                reason: "403".into(),
            },
            Pause::Within(Duration::from_secs(10)),
        ),
    ] {
        let app = scripted(move |_| Err(error.clone()));
        let mut higher = asked(role("admin", 0), role("viewer", 1));
        higher.counting.kept = true;
        let (learned, end) = told(
            &app,
            group(0..1, 0..0),
            &higher,
            &People::new(false, READ_LAG),
        )
        .await;
        assert_eq!((app.calls(), end), (1, pause), "it is not sent otherwise");
        assert_eq!((learned.present, learned.refused), (vec![], vec![]));
    }
    // But by that, what is kept for later is as it should be.
    let app = scripted(|_| Err(rejected()));
    let mut kept = asked(role("viewer", 1), role("viewer", 1));
    kept.counting.kept = true;
    let (learned, _) = told(
        &app,
        group(0..1, 0..0),
        &kept,
        &People::new(false, READ_LAG),
    )
    .await;
    assert_eq!(
        (sorted(learned.present), learned.refused),
        (vec![0], vec![])
    );
}
