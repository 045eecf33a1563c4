//! Turns of a group that is not there any more.
use super::*;

fn missing(_: &Operation) -> Result<Outcome, UpstreamError> {
    Err(UpstreamError::Missing {
        reason: "404".into(),
    })
}

/// Something was done that a look may not show yet.
struct Lately;

#[async_trait]
impl Since for Lately {
    async fn written(&self, _: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }

    fn done_lately(&self) -> bool {
        true
    }
}

/// Nothing was settled by it, neither of the group nor of anybody.
fn open_still((learned, pause): (GroupLearned, Pause), expected: Pause) {
    assert_eq!(pause, expected);
    assert_eq!((learned.existence, learned.gone), (None, None));
    assert_eq!((learned.present, learned.absent), (vec![], vec![]));
    assert_eq!(learned.refused, []);
}

#[tokio::test]
async fn a_removal_finds_it_out_and_whoever_it_named_is_out() {
    let app = scripted(missing);
    let (learned, pause) = turn(&app, group(0..0, 10..13)).await;
    assert_eq!((app.calls(), pause), (1, Pause::None));
    assert_eq!(sorted(learned.absent), [10, 11, 12]);
    assert_eq!(learned.existence, Some(Existence::Absent));
    let gone = learned.gone.unwrap();
    assert!(gone.contains("does not have the group \"dev\""), "{gone}");
    assert_eq!((learned.refused, learned.group_refused), (vec![], None));
}

/// As who leaves it has found.
#[tokio::test]
async fn so_is_one_that_was_to_be_deleted_and_stayed_by_whatever_name_it_has() {
    let given = Given {
        known: true,
        ..Given::default()
    };
    for naming in [Naming::Rule, Naming::Given(given)] {
        let app = scripted(missing);
        let mut of = group(0..0, 10..11);
        (of.work.wanted, of.work.kept, of.work.naming) = (false, true, naming);
        let (learned, pause) = turn(&app, of).await;
        assert_eq!((sorted(learned.absent), pause), (vec![10], Pause::None));
        assert_eq!(learned.existence, Some(Existence::Absent));
        assert!(learned.gone.is_some() && learned.group_refused.is_none());
    }
}

#[tokio::test]
async fn what_was_made_a_moment_ago_is_not_gone_because_no_look_shows_it() {
    let app = scripted(missing);
    for work in [group(0..0, 10..12), group(0..2, 0..0)] {
        let told = group_turn(&app, work, &Lately, &mut Doubts::new()).await;
        open_still(told, Pause::Look);
    }
    // A call of this turn as well.
    let app = scripted(|operation| match operation {
        Operation::AddMembers { .. } => all_done(operation),
        _ => missing(operation),
    });
    let (learned, pause) = turn(&app, group(0..1, 10..11)).await;
    assert_eq!((sorted(learned.present), pause), (vec![0], Pause::Look));
    assert_eq!((learned.absent, learned.gone), (vec![], None));
}

/// What is asked for until it is known to be gone is not as it was either.
#[tokio::test]
async fn where_a_look_may_lag_behind_nobody_is_known_to_be_in_it_or_not() {
    let app = scripted(|_| {
        Err(UpstreamError::Missed {
            reason: "a reading misses it".into(),
        })
    });
    for work in [group(0..0, 10..12), group(0..2, 0..0)] {
        let (learned, pause) = turn(&app, work).await;
        assert_eq!(learned.unsent, []);
        open_still((learned, pause), Pause::Look);
    }
}

#[tokio::test]
async fn one_whose_members_are_not_found_is_looked_for() {
    let mut app = scripted(|operation| {
        let mut outcome = all_done(operation)?;
        outcome.members[0].1 = MemberOutcome::LeftOut;
        Ok(outcome)
    });
    app.unlisted = true;
    // Nothing is sent of somebody whose last call may not be shown yet.
    let mut doubts = Doubts::new();
    let only_looks = || group(0..0, 10..11);
    for _ in 0..2 {
        doubts.contradicted((UserKey(10), false), (true, false), Duration::from_secs(10));
    }
    let (learned, pause) = group_turn(&app, only_looks(), &Written::default(), &mut doubts).await;
    assert_eq!((app.calls(), pause), (0, Pause::None));
    assert_eq!(sorted(learned.absent), [10]);
    assert!(learned.gone.is_some());
    // What a late deletion of ours has taken is made again.
    let mut doubted = only_looks();
    doubted.doubted = true;
    let (learned, pause) = group_turn(&app, doubted, &Written::default(), &mut doubts).await;
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Unknown), Pause::Look)
    );
    assert_eq!((learned.absent, learned.gone), (vec![], None));
    assert_eq!(
        learned.unsent,
        [],
        "what was sent before is as open as it was"
    );
    // It is there, and its list is not.
    app.group = Some(RemoteGroup::default());
    let looked = group_turn(&app, only_looks(), &Written::default(), &mut doubts).await;
    open_still(looked, Pause::BackOff);
}

#[tokio::test]
async fn a_removal_from_what_a_late_deletion_took_away_looks_again() {
    let app = scripted(missing);
    let mut work = group(0..0, 10..12);
    work.doubted = true;
    let (learned, pause) = turn(&app, work).await;
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Unknown), Pause::Look)
    );
    assert_eq!(sorted(learned.unsent), [10, 11]);
    assert_eq!((learned.absent, learned.gone), (vec![], None));
}

/// A look may lag behind what was done before it was made anew (a simulated world,
/// seed 12097).
#[tokio::test]
async fn what_this_turn_has_made_and_no_look_shows_was_made_by_it() {
    let made = |operation: &Operation| match operation {
        Operation::CreateGroup { .. } => {
            let mut outcome = all_done(operation)?;
            for (_, end) in outcome.members.iter_mut().skip(1) {
                *end = MemberOutcome::LeftOut;
            }
            Ok(outcome)
        }
        _ => missing(operation),
    };
    for unlisted in [true, false] {
        let mut app = scripted(made);
        app.unlisted = unlisted;
        if !unlisted {
            // The second of them is added by a call of its own.
            for row in &mut app.can.rows {
                row.batch = 1;
            }
        }
        let mut work = group(0..2, 0..0);
        (work.doubted, work.work.observed) = (true, Existence::Absent);
        let (learned, pause) = turn(&app, work).await;
        assert_eq!(
            (learned.existence, pause),
            (Some(Existence::Unknown), Pause::Look)
        );
        assert_eq!(
            (sorted(learned.present), learned.refused),
            (vec![0], vec![])
        );
        assert!(learned.made);
    }
}
