//! Turns of a group that had been there and is made again.
use super::*;

fn lost(members: u8) -> GroupTurn {
    let mut turn = group(0..members, 0..0);
    (turn.work.observed, turn.work.made) = (Existence::Absent, true);
    turn
}

/// How many members each call names, and whether it makes the group.
fn sent(app: &Scripted) -> Vec<(bool, usize)> {
    let creates = |it: &Operation| matches!(it, Operation::CreateGroup { .. });
    let sent = app.sent.lock().unwrap();
    sent.iter()
        .map(|it| (creates(it), members_of(it).len()))
        .collect()
}

#[tokio::test]
async fn one_bad_member_keeps_nobody_else_out() {
    let app = refuses(|user| user == 37);
    let (learned, pause) = turn(&app, lost(64)).await;
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Present), Pause::None)
    );
    assert_eq!(learned.group_refused, None);
    assert_eq!(learned.present.len(), 63);
    let [(user, reason)] = &learned.refused[..] else {
        panic!("{:?}", learned.refused)
    };
    assert_eq!(*user, UserKey(37));
    assert!(reason.contains("refused to add the member"), "{reason}");
    let calls = sent(&app);
    assert_eq!(calls[..3], [(true, 64), (true, 0), (false, 32)]);
    assert!(calls.len() <= 2 + 2 * 6, "{calls:?}");
    // The only one.
    let app = refuses(|_| true);
    let (learned, _) = turn(&app, lost(1)).await;
    assert_eq!(sent(&app), [(true, 1), (true, 0), (false, 1)]);
    assert_eq!(learned.existence, Some(Existence::Present));
    assert_eq!((learned.refused.len(), learned.group_refused), (1, None));
}

#[tokio::test]
async fn they_are_added_in_batches_of_what_the_application_takes() {
    let mut app = refuses(|user| user == 2);
    for row in &mut app.can.rows {
        row.batch = match row.act {
            Act::CreateGroup => 4,
            Act::AddMembers => 1,
            _ => row.batch,
        };
    }
    let (learned, _) = turn(&app, lost(6)).await;
    let mut calls = vec![(true, 4), (true, 0)];
    calls.extend([(false, 1); 6]);
    assert_eq!(sent(&app), calls);
    assert_eq!(sorted(learned.present), [0, 1, 3, 4, 5]);
    assert_eq!(learned.refused.len(), 1);
}

#[tokio::test]
async fn what_is_refused_without_anybody_too_is_refused_as_a_whole() {
    let app = scripted(|_| Err(rejected()));
    let (learned, pause) = turn(&app, lost(8)).await;
    assert_eq!(sent(&app), [(true, 8), (true, 0)]);
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Absent), Pause::None)
    );
    assert!(learned.group_refused.is_some());
    assert_eq!(learned.refused.len(), 8);
}

#[tokio::test]
async fn a_first_creation_is_refused_as_a_whole_and_so_is_one_nobody_can_be_added_to() {
    let app = refuses(|user| user == 3);
    let mut first = lost(8);
    first.work.made = false;
    let (learned, _) = turn(&app, first).await;
    assert_eq!(sent(&app), [(true, 8)]);
    assert!(learned.group_refused.is_some());
    let mut app = refuses(|user| user == 3);
    app.can.rows.retain(|row| row.act != Act::AddMembers);
    let (learned, _) = turn(&app, lost(8)).await;
    assert_eq!(sent(&app), [(true, 8)]);
    assert_eq!(learned.refused.len(), 8);
}

#[tokio::test]
async fn an_unclear_end_on_the_way_leaves_what_was_not_sent_as_it_was() {
    let unclear = || UpstreamError::Unknown {
        reason: "cut".into(),
    };
    // Of the creation without anybody.
    let app = scripted(move |operation| match members_of(operation).len() {
        8 => Err(rejected()),
        _ => Err(unclear()),
    });
    let (learned, pause) = turn(&app, lost(8)).await;
    assert_eq!(sent(&app), [(true, 8), (true, 0)]);
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Unknown), Pause::BackOff)
    );
    assert_eq!(sorted(learned.unsent), (0..8).collect::<Vec<_>>());
    assert_eq!((learned.refused, learned.group_refused), (vec![], None));
    // Of the first half.
    let app = scripted(move |operation| match members_of(operation).len() {
        8 => Err(rejected()),
        0 => all_done(operation),
        _ => Err(unclear()),
    });
    let (learned, pause) = turn(&app, lost(8)).await;
    assert_eq!(sent(&app), [(true, 8), (true, 0), (false, 4)]);
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Present), Pause::BackOff)
    );
    assert_eq!(sorted(learned.unsent), [4, 5, 6, 7]);
}

#[tokio::test]
async fn of_a_group_that_is_not_wanted_any_more_nothing_more_is_made() {
    let app = refuses(|user| user == 3);
    let written = Written((0..8).map(UserKey).collect());
    let (learned, _) = group_turn(&app, lost(8), &written, &mut Doubts::new()).await;
    assert_eq!(sent(&app), [(true, 8)]);
    assert_eq!(learned.existence, Some(Existence::Absent));
    assert_eq!(sorted(learned.unsent), (0..8).collect::<Vec<_>>());
    assert_eq!((learned.refused, learned.group_refused), (vec![], None));
    // But of those alone who are.
    let written = Written(vec![UserKey(3), UserKey(5)]);
    let (learned, _) = group_turn(&app, lost(8), &written, &mut Doubts::new()).await;
    assert_eq!(learned.existence, Some(Existence::Present));
    assert_eq!(sorted(learned.unsent), [3, 5]);
    assert_eq!(sorted(learned.present), [0, 1, 2, 4, 6, 7]);
}
