//! Turns of a group: what a look is taken for, what is refused with it, and
//! when a contradiction is believed.
use super::*;

pub(super) fn sent(app: &Scripted) -> Vec<Operation> {
    app.sent.lock().unwrap().clone()
}

/// A group that is there, perhaps with members.
pub(super) fn there(members: &[u8]) -> RemoteGroup {
    RemoteGroup {
        name: "dev".into(),
        member_count: u64::try_from(members.len()).ok(),
        ..RemoteGroup::default()
    }
}

pub(super) fn listed(members: &[u8]) -> Vec<RemoteMember> {
    let member = |n: &u8| RemoteMember {
        account: Some(principal(*n).account),
        ..RemoteMember::default()
    };
    members.iter().map(member).collect()
}

/// Done, without a word of anybody.
pub(super) fn unlisting() -> Scripted {
    scripted(|operation| {
        let outcome = |user| (user, MemberOutcome::Unknown);
        Ok(Outcome {
            members: members_of(operation).into_iter().map(outcome).collect(),
            ..Outcome::default()
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_a_look_contradicts_is_given_up_when_it_can_lag_no_more() {
    let app = unlisting();
    let mut doubts = Doubts::new();
    let mut looks = async |after: u64| {
        tokio::time::advance(Duration::from_secs(after)).await;
        let stays = listed(&[10]);
        app.members.lock().unwrap().push_back(stays);
        group_turn(&app, group(0..0, 10..11), &Written::default(), &mut doubts).await
    };
    // Sent when it was asked for, and once more when no look can lag behind that.
    for (after, calls) in [(0, 1), (3, 1), (6, 1), (1, 2), (3, 2), (6, 2)] {
        let (learned, pause) = looks(after).await;
        assert!(pause != Pause::None);
        assert_eq!(app.calls(), calls, "{after}");
        let settled = [&learned.absent, &learned.read, &learned.contradicted];
        assert!(settled.iter().all(|users| users.is_empty()) && learned.refused.is_empty());
    }
    let (learned, pause) = looks(1).await;
    assert_eq!((app.calls(), pause), (2, Pause::None));
    let told = "Test did not remove the member".to_owned();
    assert_eq!(learned.refused, [(UserKey(10), told)]);
    assert_eq!(learned.contradicted, [UserKey(10)]);
    // It is forgotten with that.
    let (learned, pause) = looks(0).await;
    assert_eq!((learned.refused.len(), pause), (0, Pause::BackOff));
}

#[tokio::test(start_paused = true)]
async fn while_looks_lag_an_addition_is_sent_once_and_what_is_asked_otherwise_at_once() {
    let app = unlisting();
    let mut doubts = Doubts::new();
    let mut looks = async |shown: &[u8], work: GroupTurn| {
        tokio::time::advance(Duration::from_secs(1)).await;
        app.members.lock().unwrap().push_back(listed(shown));
        let (learned, pause) = group_turn(&app, work, &Written::default(), &mut doubts).await;
        (
            sorted(learned.present),
            sorted(learned.absent),
            pause,
            app.calls(),
        )
    };
    for _ in 0..3 {
        let (present, _, pause, calls) = looks(&[], group(0..1, 0..0)).await;
        assert_eq!((present, pause, calls), (vec![], Pause::BackOff, 1));
    }
    let (.., pause, calls) = looks(&[], group(0..1, 0..0)).await;
    assert_eq!((pause, calls), (Pause::Within(Duration::from_secs(7)), 1));
    // Another one does not wait for it.
    let (present, _, _, calls) = looks(&[1], group(0..2, 0..0)).await;
    assert_eq!((present, calls), (vec![1], 2));
    // Taken back, and asked for again.
    let (_, absent, _, calls) = looks(&[], group(0..0, 0..1)).await;
    assert_eq!((absent, calls), (vec![0], 3));
    let (_, _, pause, calls) = looks(&[], group(0..1, 0..0)).await;
    assert_eq!((pause, calls), (Pause::BackOff, 4));
    let (present, _, pause, calls) = looks(&[0], group(0..1, 0..0)).await;
    assert_eq!((present, pause, calls), (vec![0], Pause::None, 4));
}

#[tokio::test]
async fn nobody_is_gone_who_is_a_member_by_another_id_than_the_known_one() {
    let member = |id: &str, account: Option<&str>| RemoteMember {
        upstream_id: Some(id.into()),
        account: account.map(str::to_owned),
        ..RemoteMember::default()
    };
    let address = principal(10).account;
    // A list of ids alone, and one that tells the addresses beside them.
    for listed in [member("new", None), member("new", Some(&address))] {
        let looks = listed.account.is_none();
        let mut app = unlisting();
        app.user = looks.then(|| RemoteUser {
            account: address.clone(),
            upstream_id: Some("new".into()),
            active: true,
            ..RemoteUser::default()
        });
        let look = async |app: &Scripted, known: &str| {
            app.members.lock().unwrap().push_back(vec![listed.clone()]);
            let mut work = group(0..0, 10..11);
            work.work.removes[0].upstream_id = Some(known.into());
            turn(app, work).await
        };
        let (learned, pause) = look(&app, "old").await;
        assert_eq!(learned.ids, [(UserKey(10), "new".to_owned())]);
        assert_eq!(pause, Pause::BackOff);
        assert!(learned.absent.is_empty() && learned.refused.is_empty());
        let (learned, _) = look(&app, "new").await;
        assert!(learned.ids.is_empty() && learned.absent.is_empty());
    }
    // That is somebody else's, and nobody has the address.
    let app = unlisting();
    app.members
        .lock()
        .unwrap()
        .push_back(vec![member("other", None)]);
    let mut work = group(0..0, 10..11);
    work.work.removes[0].upstream_id = Some("old".into());
    let (learned, pause) = turn(&app, work).await;
    assert_eq!((sorted(learned.absent), pause), (vec![10], Pause::None));
    // Nor is anybody gone while it cannot be looked.
    assert!(learned.ids.is_empty());
}

#[tokio::test]
async fn what_only_a_look_has_shown_is_marked_so() {
    let app = unlisting();
    app.members.lock().unwrap().push_back(listed(&[0]));
    let (learned, pause) = turn(&app, group(0..1, 10..11)).await;
    assert_eq!(pause, Pause::None);
    assert_eq!(
        (sorted(learned.present), sorted(learned.absent)),
        (vec![0], vec![10])
    );
    assert_eq!(sorted(learned.read), [0, 10]);
    assert!(learned.contradicted.is_empty());
    let (learned, _) = turn(&scripted(all_done), group(0..1, 10..11)).await;
    assert!(learned.read.is_empty(), "both were told");
}

#[tokio::test]
async fn a_member_is_found_in_a_list_by_its_id_as_well() {
    let app = unlisting();
    let by_id = RemoteMember {
        upstream_id: Some("7".into()),
        ..RemoteMember::default()
    };
    app.members.lock().unwrap().push_back(vec![by_id]);
    let mut work = group(0..2, 0..0);
    work.work.adds[0].upstream_id = Some("7".into());
    work.work.adds[1].upstream_id = Some("8".into());
    let (learned, pause) = turn(&app, work).await;
    assert_eq!((sorted(learned.present), pause), (vec![0], Pause::BackOff));
}

#[tokio::test]
async fn a_member_who_is_there_already_is_added_and_one_in_the_way_stays() {
    let app = scripted(|_| {
        Err(UpstreamError::Exists {
            reason: "409".into(),
        })
    });
    app.members.lock().unwrap().push_back(listed(&[0, 10]));
    let (learned, pause) = turn(&app, group(0..1, 10..11)).await;
    assert_eq!((sorted(learned.present), pause), (vec![0], Pause::None));
    let [(user, reason)] = &learned.refused[..] else {
        panic!("{:?}", learned.refused)
    };
    assert_eq!(*user, UserKey(10));
    assert!(reason.contains("refused to remove the member"), "{reason}");
}

#[tokio::test]
async fn a_member_alone_is_refused_by_what_was_to_be_done_with_it() {
    let app = refuses(|_| true);
    app.members.lock().unwrap().push_back(listed(&[10, 11]));
    let (learned, _) = turn(&app, group(0..2, 10..12)).await;
    assert!(learned.present.is_empty() && learned.absent.is_empty());
    assert_eq!(learned.refused.len(), 4);
    for (user, reason) in &learned.refused {
        let act = if user.0 < 10 { "add" } else { "remove" };
        assert!(reason.contains(&format!("refused to {act} the member")));
    }
    let app = scripted(|_| {
        Err(UpstreamError::Missing {
            reason: "404".into(),
        })
    });
    let (learned, _) = turn(&app, group(0..3, 0..0)).await;
    assert_eq!(app.calls(), 1, "there is nothing to halve");
    let told = "Test does not have the group \"dev\" any more";
    assert!(learned.refused.iter().all(|(_, reason)| reason == told));
    assert_eq!(learned.refused.len(), 3);
}

#[tokio::test]
async fn who_is_not_known_is_refused_by_a_group_that_is_there() {
    let mut app = scripted(|_| {
        Err(UpstreamError::Missing {
            reason: "404".into(),
        })
    });
    app.group = Some(there(&[]));
    let (learned, pause) = turn(&app, group(0..1, 0..0)).await;
    assert_eq!((learned.existence, pause), (None, Pause::None));
    let [(UserKey(0), reason)] = &learned.refused[..] else {
        panic!("{:?}", learned.refused)
    };
    assert!(reason.contains("refused to add the member"), "{reason}");
}

#[tokio::test]
async fn a_replacement_that_says_nothing_of_somebody_removes_nobody_for_sure() {
    let app = scripted(|operation| {
        let mut outcome = all_done(operation)?;
        outcome.members[0].1 = MemberOutcome::Unknown;
        Ok(outcome)
    });
    app.members.lock().unwrap().push_back(listed(&[0, 1, 10]));
    let mut work = group(0..2, 10..12);
    work.work.full = Some(work.work.adds.clone());
    let (learned, pause) = turn(&app, work.clone()).await;
    assert_eq!(sorted(learned.present), [0, 1]);
    assert_eq!((sorted(learned.absent), pause), (vec![11], Pause::BackOff));
    let (learned, pause) = turn(&scripted(all_done), work).await;
    assert_eq!(sorted(learned.absent), [10, 11]);
    assert_eq!((sorted(learned.present), pause), (vec![0, 1], Pause::None));
}

#[tokio::test]
async fn what_is_left_of_a_turn_that_stops_goes_back_unsent_half_by_half() {
    let app = scripted(|operation| match members_of(operation).len() {
        4 => Err(rejected()),
        _ => Err(UpstreamError::Later {
            after: None,
            reason: "429".into(),
        }),
    });
    let (learned, pause) = turn(&app, group(0..4, 0..0)).await;
    assert_eq!((app.calls(), pause), (2, Pause::BackOff));
    assert_eq!(sorted(learned.unsent), [0, 1, 2, 3]);
}

/// Fails as a store does that is gone.
struct Forgetful;

#[async_trait]
impl Since for Forgetful {
    async fn written(&self, _: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    async fn without_row(&self, _: Vec<String>) -> Result<Vec<String>, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }
}

#[tokio::test]
async fn of_whom_it_cannot_be_told_what_is_wanted_nothing_more_is_sent() {
    let app = scripted(all_done);
    let (learned, _) = group_turn(&app, group(0..2, 10..12), &Forgetful, &mut Doubts::new()).await;
    assert_eq!((app.calls(), sorted(learned.present)), (1, vec![0, 1]));
    assert_eq!(sorted(learned.unsent), [10, 11]);
}

#[tokio::test]
async fn who_is_refused_by_an_id_of_before_is_added_by_the_one_of_now() {
    for (now, added) in [("new", true), ("old", false)] {
        let by_old = |member: &Principal| member.upstream_id.as_deref() == Some("old");
        let mut app = scripted(move |operation| match operation {
            Operation::AddMembers { members, .. } if members.iter().any(by_old) => Err(rejected()),
            _ => all_done(operation),
        });
        app.group = Some(there(&[]));
        app.user = Some(RemoteUser {
            upstream_id: Some(now.into()),
            ..RemoteUser::default()
        });
        let mut work = group(0..3, 0..0);
        work.work.adds[1].upstream_id = Some("old".into());
        let (learned, pause) = turn(&app, work).await;
        assert_eq!(pause, Pause::None);
        let renewed: &[_] = if added {
            &[(UserKey(1), "new".to_owned())]
        } else {
            &[]
        };
        assert_eq!(
            (learned.ids.as_slice(), learned.refused.len()),
            (renewed, usize::from(!added))
        );
        assert_eq!(learned.present.len(), if added { 3 } else { 2 });
    }
}

#[tokio::test]
async fn who_leaves_is_taken_out_of_a_deleted_group_unless_that_is_gone() {
    let unknown = || UpstreamError::Unknown {
        reason: "silence".into(),
    };
    let is_end = |it: &Operation| matches!(it, Operation::DeleteGroup { .. });
    let deleted = |kept| {
        let mut turn = group(0..0, 1..2);
        (turn.work.wanted, turn.work.kept) = (false, kept);
        turn
    };
    let app = scripted(all_done);
    let (learned, pause) = turn(&app, deleted(false)).await;
    assert_eq!(
        (app.calls(), pause),
        (1, Pause::None),
        "there is no such group"
    );
    assert_eq!(learned.existence, Some(Existence::Absent));

    for (answer, end) in [(unknown(), Pause::BackOff), (rejected(), Pause::None)] {
        let refused = answer != unknown();
        let app = scripted(move |it| {
            if is_end(it) {
                Err(answer.clone())
            } else {
                all_done(it)
            }
        });
        let (learned, pause) = turn(&app, deleted(false)).await;
        assert_eq!((app.calls(), pause), (2, end));
        assert_eq!(sorted(learned.absent), [1]);
        assert_eq!(learned.group_refused.is_some(), refused);
        let (learned, pause) = turn(&app, deleted(true)).await;
        assert_eq!(
            (app.calls(), pause),
            (3, Pause::None),
            "the group is left alone"
        );
        assert_eq!(sorted(learned.absent), [1]);
    }
}
