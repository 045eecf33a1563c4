//! Groups that the application knows by ids that it gives.
use super::*;

fn called(names: &[&str]) -> Scripted {
    let mut app = scripted(|operation| match operation {
        Operation::CreateGroup { .. } => Ok(Outcome {
            upstream_id: Some("g9".into()),
            ..Outcome::default()
        }),
        _ => Ok(Outcome::default()),
    });
    let group = |name: &&str| RemoteGroup {
        name: (*name).into(),
        ..RemoteGroup::default()
    };
    app.called = names.iter().map(group).collect();
    app.can.rows.push(Capability {
        act: Act::RenameGroup,
        by: Identifier::Id,
        ..app.can.rows[0].clone()
    });
    app
}

fn nameless(observed: Existence) -> GroupTurn {
    let mut turn = group(0..0, 0..0);
    turn.work.observed = observed;
    turn.work.name = "?".into();
    turn.work.naming = Naming::Given(Given {
        title: "Crew".into(),
        made_as: Some("Crew".into()),
        ..Given::default()
    });
    turn
}

fn change(turn: &mut GroupTurn, change: impl FnOnce(&mut Given)) {
    if let Naming::Given(given) = &mut turn.work.naming {
        change(given);
    }
}

fn sent(app: &Scripted) -> Vec<Operation> {
    app.sent.lock().unwrap().clone()
}

#[tokio::test]
async fn the_answer_to_a_creation_tells_the_id() {
    let app = called(&["not looked for"]);
    let (learned, pause) = turn(&app, nameless(Existence::Absent)).await;
    let create = Operation::CreateGroup {
        name: "Crew".into(),
        members: Vec::new(),
    };
    assert_eq!((sent(&app), pause), (vec![create], Pause::None));
    let learned = (learned.name, learned.titled, learned.existence);
    let told = (
        Some("g9".into()),
        Some("Crew".into()),
        Some(Existence::Present),
    );
    assert_eq!(learned, told);
}

#[tokio::test]
async fn an_answer_without_an_id_is_none() {
    let app = scripted(|_| Ok(Outcome::default()));
    let (learned, pause) = turn(&app, nameless(Existence::Absent)).await;
    assert_eq!((learned.name, learned.existence), (None, None));
    assert_eq!(
        (learned.calls[0].1.as_str(), pause),
        (UNANSWERED, Pause::BackOff)
    );
}

#[tokio::test]
async fn what_an_unanswered_creation_made_is_found_and_nothing_is_sent() {
    let app = called(&["g7"]);
    let (learned, pause) = turn(&app, nameless(Existence::Unknown)).await;
    assert_eq!((sent(&app), pause), (vec![], Pause::None));
    assert_eq!(learned.name.as_deref(), Some("g7"));
    assert_eq!(learned.existence, Some(Existence::Present));
}

#[tokio::test]
async fn it_is_looked_for_by_what_it_was_called_then_and_called_as_it_is_now() {
    let app = called(&["g7"]);
    let mut work = nameless(Existence::Unknown);
    change(&mut work, |given| given.title = "New Crew".into());
    let (learned, _) = turn(&app, work).await;
    let rename = Operation::RenameGroup {
        name: "g7".into(),
        title: "New Crew".into(),
    };
    assert_eq!(sent(&app), [rename]);
    assert_eq!(
        (learned.titled.as_deref(), learned.title_open),
        (Some("New Crew"), false)
    );
}

#[tokio::test]
async fn one_that_is_not_wanted_any_more_is_found_and_deleted() {
    let app = called(&["g7"]);
    let mut work = nameless(Existence::Unknown);
    work.work.wanted = false;
    let (learned, _) = turn(&app, work).await;
    assert_eq!(sent(&app), [Operation::DeleteGroup { name: "g7".into() }]);
    assert_eq!(learned.existence, Some(Existence::Absent));
}

#[tokio::test]
async fn what_is_not_found_is_waited_for_and_made_only_when_it_cannot_land_any_more() {
    let app = called(&[]);
    let mut work = nameless(Existence::Unknown);
    work.doubted = true;
    let (learned, pause) = turn(&app, work).await;
    assert_eq!((learned.existence, pause), (None, Pause::BackOff));
    let (learned, pause) = turn(&app, nameless(Existence::Unknown)).await;
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Absent), Pause::None)
    );
    assert_eq!(
        sent(&app),
        [],
        "the next turn notes what it sends, and sends it"
    );
}

#[tokio::test]
async fn of_two_that_it_may_be_none_is_taken_over() {
    let app = called(&["g7", "g8"]);
    let (learned, _) = turn(&app, nameless(Existence::Unknown)).await;
    assert!(learned.group_refused.is_some() && learned.name.is_none());
    let mut work = nameless(Existence::Unknown);
    work.work.wanted = false;
    let (learned, _) = turn(&app, work).await;
    assert_eq!(learned.existence, Some(Existence::Absent));
    assert_eq!(sent(&app), []);
}

fn renamed() -> GroupTurn {
    let mut work = nameless(Existence::Present);
    work.work.made = true;
    change(&mut work, |given| {
        (given.known, given.renamed) = (true, true)
    });
    work
}

#[tokio::test]
async fn a_rename_that_was_not_answered_stays_open() {
    let app = scripted(|_| {
        Err(UpstreamError::Unknown {
            reason: "cut".into(),
        })
    });
    let mut app = app;
    app.can.rows.push(Capability {
        act: Act::RenameGroup,
        ..app.can.rows[0].clone()
    });
    let (learned, pause) = turn(&app, renamed()).await;
    assert_eq!((learned.titled, learned.title_open), (None, true));
    assert_eq!(pause, Pause::BackOff);
}

#[tokio::test]
async fn a_rename_of_what_is_gone_says_so_and_makes_nothing() {
    let mut app = scripted(|_| {
        Err(UpstreamError::Missing {
            reason: "404".into(),
        })
    });
    app.can.rows.push(Capability {
        act: Act::RenameGroup,
        ..app.can.rows[0].clone()
    });
    let (learned, pause) = turn(&app, renamed()).await;
    let refused = learned.group_refused.unwrap();
    assert!(refused.contains("does not know it any more"), "{refused}");
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Absent), Pause::None)
    );
    let mut unsure = renamed();
    unsure.work.observed = Existence::Unknown;
    let (learned, _) = turn(&app, unsure).await;
    assert!(learned.group_refused.is_some());
    assert_eq!(app.calls(), 1, "it was looked for, and is not there");
}
