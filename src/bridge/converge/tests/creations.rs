//! Creations and deletions of groups: what a look is taken for, and what is refused
//! with one.

use super::{
    groups::{listed, sent, there, unlisting},
    *,
};

/// A group of which it is not known whether it was made.
fn perhaps_made() -> GroupTurn {
    let mut turn = group(0..2, 10..11);
    turn.work.observed = Existence::Unknown;
    turn
}

fn shows(found: RemoteGroup, members: &[u8]) -> Scripted {
    let mut app = scripted(all_done);
    app.group = Some(found);
    app.members.lock().unwrap().push_back(listed(members));
    app
}

/// The turn took it for what an unanswered creation of ours has made.
async fn is_ours(found: RemoteGroup, members: &[u8]) -> bool {
    let app = shows(found, members);
    let (learned, pause) = turn(&app, perhaps_made()).await;
    assert_eq!(pause, Pause::None);
    let Some(refused) = learned.group_refused else {
        assert_eq!(learned.existence, Some(Existence::Present));
        assert_eq!(sorted(learned.present), [0, 1]);
        return true;
    };
    assert!(refused.contains("create the group"), "{refused}");
    assert_eq!(learned.existence, Some(Existence::Absent));
    assert_eq!((app.calls(), sorted(learned.absent)), (0, vec![10]));
    assert_eq!(sorted(learned.unsent), [0, 1], "they stay asked for");
    assert_eq!(learned.refused, []);
    false
}

#[tokio::test]
async fn a_group_that_only_others_are_in_is_not_what_was_made() {
    assert!(!is_ours(there(&[77]), &[77]).await);
    assert!(!is_ours(there(&[77, 1]), &[77, 1]).await, "and another");
    assert!(is_ours(there(&[1]), &[1]).await, "one asked for");
    assert!(is_ours(there(&[10]), &[10]).await, "and taken back since");
    assert!(is_ours(there(&[]), &[77]).await, "it was not read");
    let uncounted = || RemoteGroup {
        member_count: None,
        ..there(&[])
    };
    assert!(!is_ours(uncounted(), &[77]).await);
    assert!(is_ours(uncounted(), &[]).await);
    let synced = RemoteGroup {
        read_only: Some("another directory keeps it".into()),
        ..there(&[])
    };
    assert!(!is_ours(synced, &[]).await);
}

/// Whom it counts and does not list may have left in between, as one of the two reads
/// lags behind; later they are in it through other groups.
#[tokio::test(start_paused = true)]
async fn a_group_that_counts_whom_it_does_not_list_is_looked_at_again_before_it_is_anothers() {
    for waits_for in [READ_LAG / 2, READ_LAG] {
        let mut doubts = Doubts::new();
        let app = shows(there(&[77]), &[]);
        let told = group_turn(&app, perhaps_made(), &Written::default(), &mut doubts).await;
        believes_nothing(told, Pause::Look);
        tokio::time::advance(waits_for).await;
        if waits_for < READ_LAG {
            let app = shows(there(&[]), &[]);
            let (learned, _) =
                group_turn(&app, perhaps_made(), &Written::default(), &mut doubts).await;
            assert_eq!((learned.foreign, learned.group_refused), (None, None));
            assert_eq!(learned.existence, Some(Existence::Present));
            continue;
        }
        let app = shows(there(&[77]), &[]);
        let (learned, pause) =
            group_turn(&app, perhaps_made(), &Written::default(), &mut doubts).await;
        assert_eq!((app.calls(), pause), (0, Pause::None));
        assert!(learned.foreign.is_some() && learned.group_refused.is_some());
    }
    // Nor does it speak against ours when it is to be deleted.
    let app = shows(there(&[77]), &[]);
    let mut work = perhaps_made();
    (work.work.wanted, work.guess) = (false, Some(Guess::default()));
    believes_nothing(turn(&app, work).await, Pause::Look);
}

/// Another group of the name was deleted here a moment ago.
struct Renewed;

#[async_trait]
impl Since for Renewed {
    async fn written(&self, _: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }

    fn shown_for(&self, before: &[GroupKey]) -> Option<Duration> {
        (before == [GroupKey(9)]).then_some(LEFT)
    }
}

const LEFT: Duration = Duration::from_secs(7);

/// Nothing was believed of it, and nothing sent.
fn believes_nothing((learned, pause): (GroupLearned, Pause), expected: Pause) {
    assert_eq!((learned.group_refused, learned.existence), (None, None));
    assert_eq!((learned.refused, pause), (vec![], expected));
    assert_eq!(sorted(learned.unsent), [0, 1, 10]);
    assert!(learned.calls.is_empty());
}

#[tokio::test]
async fn what_may_be_the_one_that_was_deleted_here_is_neither_ours_nor_anothers() {
    for members in [77, 1] {
        let app = shows(there(&[members]), &[members]);
        let mut work = perhaps_made();
        work.before = vec![GroupKey(9)];
        let told = group_turn(&app, work, &Renewed, &mut Doubts::new()).await;
        believes_nothing(told, Pause::Within(LEFT));
    }
    // A call about that one may have made it anew.
    let app = shows(there(&[77]), &[77]);
    let mut work = perhaps_made();
    work.mistakable = true;
    believes_nothing(turn(&app, work).await, Pause::Look);
    // Nor is what the application says of it a refusal.
    let exists = |_: &Operation| {
        Err(UpstreamError::Exists {
            reason: "409".into(),
        })
    };
    for (before, is_refused) in [(vec![GroupKey(9)], false), (vec![], true)] {
        let app = scripted(exists);
        let mut work = group(0..2, 0..0);
        work.work.observed = Existence::Absent;
        work.before = before;
        let (learned, pause) = group_turn(&app, work, &Renewed, &mut Doubts::new()).await;
        assert_eq!(learned.group_refused.is_some(), is_refused);
        assert_eq!(pause == Pause::Look, !is_refused);
        assert_eq!(sorted(learned.unsent), [0, 1]);
    }
}

/// Nothing is open of who is inactive by now, and the group is ours all the same.
#[tokio::test]
async fn a_group_with_somebody_whom_the_creation_may_have_named_is_what_was_made() {
    for work in [0..2, 0..0] {
        let app = shows(there(&[77]), &[77]);
        let mut turn_of = group(work, 0..0);
        turn_of.work.observed = Existence::Unknown;
        turn_of.named = vec![principal(76), principal(77)];
        let (learned, pause) = turn(&app, turn_of).await;
        assert_eq!((learned.group_refused, pause), (None, Pause::None));
        assert_eq!(learned.existence, Some(Existence::Present));
    }
}

#[tokio::test]
async fn a_group_that_was_confirmed_once_is_ours_whoever_is_in_it() {
    let app = shows(there(&[77]), &[77]);
    let mut work = perhaps_made();
    work.work.made = true;
    let (learned, _) = turn(&app, work).await;
    assert_eq!(learned.existence, Some(Existence::Present));
    assert_eq!((learned.group_refused, app.calls()), (None, 2));
}

#[tokio::test]
async fn one_that_a_look_does_not_show_is_made_and_one_of_ours_by_the_next_turn() {
    let app = scripted(all_done);
    let (learned, _) = turn(&app, perhaps_made()).await;
    assert!(matches!(&sent(&app)[..], [Operation::CreateGroup { .. }]));
    assert_eq!(learned.existence, Some(Existence::Present));
    assert_eq!(
        (sorted(learned.present), sorted(learned.absent)),
        (vec![0, 1], vec![10])
    );
    let app = scripted(all_done);
    let mut work = perhaps_made();
    work.work.made = true;
    let (learned, pause) = turn(&app, work).await;
    assert_eq!((app.calls(), pause), (0, Pause::None));
    assert_eq!(learned.existence, Some(Existence::Absent));
    assert_eq!(sorted(learned.unsent), [0, 1, 10]);
}

#[tokio::test]
async fn nothing_is_sent_while_it_cannot_be_looked() {
    let wait = Pause::For(Duration::from_secs(3));
    let mut app = scripted(all_done);
    app.blind = true;
    let (learned, pause) = turn(&app, perhaps_made()).await;
    assert_eq!((app.calls(), pause, learned.existence), (0, wait, None));
    assert_eq!(sorted(learned.unsent), [0, 1, 10]);
    // Nor is it settled what a call has left open.
    let app = Scripted {
        blind: true,
        ..unlisting()
    };
    let (learned, pause) = turn(&app, group(0..2, 0..0)).await;
    assert_eq!((app.calls(), pause), (1, wait));
    assert!(learned.present.is_empty() && learned.unsent.is_empty());
    // What is to be deleted needs no look.
    let mut app = scripted(all_done);
    app.blind = true;
    let mut work = group(0..0, 0..0);
    work.work.wanted = false;
    work.work.observed = Existence::Unknown;
    let (learned, _) = turn(&app, work).await;
    assert_eq!(
        (app.calls(), learned.existence),
        (1, Some(Existence::Absent))
    );
}

#[tokio::test]
async fn a_deletion_is_done_when_nothing_is_there_and_else_may_be_refused() {
    let deleted_of = async |found: Option<RemoteGroup>, error: UpstreamError| {
        let mut app = scripted(move |_| Err(error.clone()));
        app.group = found;
        let mut work = group(0..0, 0..0);
        work.work.wanted = false;
        let (learned, pause) = turn(&app, work).await;
        assert_eq!(pause, Pause::None);
        (learned.existence, learned.group_refused)
    };
    let missing = || UpstreamError::Missing {
        reason: "404".into(),
    };
    let done = (Some(Existence::Absent), None);
    assert_eq!(deleted_of(None, missing()).await, done);
    // A look may lag behind that.
    assert_eq!(deleted_of(Some(there(&[])), missing()).await, done);
    let (existence, refused) = deleted_of(None, rejected()).await;
    assert_eq!(existence, None);
    assert!(refused.unwrap().contains("refused to delete the group"));
}

#[tokio::test]
async fn a_creation_that_was_not_sent_or_not_answered_is_tried_again() {
    let created = async |error: UpstreamError| {
        let app = scripted(move |_| Err(error.clone()));
        let mut work = group(0..2, 10..11);
        work.work.observed = Existence::Absent;
        let (learned, _) = turn(&app, work).await;
        assert_eq!(learned.group_refused, None);
        assert!(learned.refused.is_empty() && app.calls() == 1);
        (learned.existence, sorted(learned.unsent))
    };
    let denied = UpstreamError::Denied {
        reason: "401".into(),
    };
    let cut = UpstreamError::Unknown {
        reason: "cut".into(),
    };
    let unsent = (Some(Existence::Absent), vec![0, 1, 10]);
    assert_eq!(created(denied).await, unsent);
    assert_eq!(created(cut).await, (None, vec![]));
}

#[tokio::test]
async fn what_cannot_be_done_refuses_the_group_only_where_there_is_none() {
    let without = async |act: Act, change: fn(&mut GroupWork)| {
        let mut app = scripted(all_done);
        for row in &mut app.can.rows {
            row.able = row.act != act;
            row.note = "not here".into();
        }
        let mut work = group(0..2, 0..0);
        change(&mut work.work);
        let (learned, pause) = turn(&app, work).await;
        assert_eq!((app.calls(), pause), (0, Pause::None));
        for (_, reason) in &learned.refused {
            assert_eq!(reason, "not here");
        }
        (
            learned.existence,
            learned.group_refused,
            learned.refused.len(),
        )
    };
    let no = || Some("not here".to_owned());
    let members = without(Act::AddMembers, |_| {}).await;
    assert_eq!(members, (None, None, 2), "the group stays as it is");
    let deletion = without(Act::DeleteGroup, |work| {
        work.wanted = false;
        work.adds.clear();
    })
    .await;
    assert_eq!(deletion, (Some(Existence::Present), no(), 0));
    let mut app = scripted(all_done);
    app.can.rows.clear();
    let mut work = group(0..2, 10..11);
    work.work.observed = Existence::Absent;
    let (learned, _) = turn(&app, work).await;
    assert_eq!(learned.existence, Some(Existence::Absent));
    assert!(learned.group_refused.is_some() && learned.refused.is_empty());
    assert_eq!(
        sorted(learned.unsent),
        [0, 1],
        "it is the group that is refused"
    );
    assert_eq!((sorted(learned.absent), app.calls()), (vec![10], 0));
}
