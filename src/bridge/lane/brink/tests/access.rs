//! The look before an account is ended: who is the last one of a protected group
//! keeps it, and only near the least of one does it wait for what is not seen.
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{bridge::lane::waiters::State, plan::capability::Act, store::Withdrawn};

impl Scene {
    async fn end_of(&self, n: usize) -> UserTurn {
        self.deactivate(n).await;
        let turn = self.store().begin_user_turn(self.users[n].key);
        turn.await.unwrap().unwrap()
    }

    async fn kept(&self, turn: &UserTurn) -> Option<Kept> {
        self.lanes.keep_user(turn).await.unwrap()
    }

    /// Nothing is sent, and it is looked again, because of this.
    fn waiting(&self, turn: &UserTurn, pause: Pause, why: &str) -> Kept {
        let id = self.group.resource.id;
        let reason =
            format!("at least 1 must stay in the Group {id}, and {why}; it is looked at again");
        Kept {
            learned: as_it_was(turn),
            pause,
            waits: Some(Waits {
                users: vec![turn.work.principal.user],
                group: Some(id),
                wanted: false,
                reason,
            }),
            keeps: Vec::new(),
        }
    }
}

/// What is known of the user stays as it is.
fn as_it_was(turn: &UserTurn) -> UserLearned {
    UserLearned {
        about: Some(turn.work.principal.account.clone()),
        observed: Some(turn.work.observed.clone()),
        settled: !turn.unsure,
        ..UserLearned::default()
    }
}

#[tokio::test]
async fn who_is_the_last_one_shown_in_a_protected_group_keeps_access_and_it_is_told() {
    let scene = scene(protecting(1), scripted(all_done), 2).await;
    let mut turn = scene.end_of(0).await;
    for unsure in [false, true] {
        turn.unsure = unsure;
        scene.shows(&[0]);
        let Kept {
            learned,
            pause,
            waits,
            ..
        } = scene.kept(&turn).await.unwrap();
        assert_eq!((pause, waits), (Pause::None, None));
        let reason = learned.refused.clone().unwrap();
        assert!(
            reason.contains("would keep fewer than 1 active"),
            "{reason}"
        );
        let expected = UserLearned {
            refused: Some(reason),
            again: unsure,
            ..as_it_was(&turn)
        };
        assert_eq!(learned, expected);
    }
    assert_eq!(scene.noted().await, [Some(scene.group.resource.id); 2]);
    scene.shows(&[0, 1]);
    assert_eq!(scene.kept(&turn).await, None, "somebody else is there");
}

#[tokio::test]
async fn while_it_is_found_out_who_else_is_there_nobody_is_told_to_be_the_last() {
    let scene = scene(protecting(1), scripted(all_done), 2).await;
    // A removal of the other is under way, who is asked for again.
    scene.removal(1..2).await;
    let again = MemberChange::Add(texts(&scene.users[1..]));
    scene.change(again).await;
    let turn = scene.end_of(0).await;
    for shown in [&[0, 1][..], &[0]] {
        scene.shows(shown);
        let expected = scene.waiting(&turn, Pause::BackOff, UNSURE);
        assert_eq!(scene.kept(&turn).await, Some(expected), "{shown:?}");
    }
    scene.arrive(long_ago().at).await;
    scene.shows(&[0, 1]);
    assert_eq!(scene.kept(&turn).await, None);
    scene.shows(&[0]);
    let kept = scene.kept(&turn).await.unwrap();
    assert!(kept.learned.refused.is_some(), "by now it is known");
}

#[tokio::test]
async fn who_loses_access_waits_for_a_look_only_near_the_least_of_a_group() {
    for (members, waits) in [(3, true), (4, false)] {
        let mut app = scripted(all_done);
        app.blind = true;
        let scene = scene(protecting(1), app, members).await;
        let turn = scene.end_of(0).await;
        let wait = Pause::For(Duration::from_secs(3));
        let expected = waits.then(|| scene.waiting(&turn, wait, UNREAD));
        assert_eq!(scene.kept(&turn).await, expected, "{members}");
    }
}

#[tokio::test]
async fn who_is_not_in_a_protected_group_that_shows_only_others_loses_access() {
    let scene = scene(protecting(1), scripted(all_done), 3).await;
    let turn = scene.end_of(0).await;
    scene.shows(&[]);
    let expected = scene.waiting(&turn, Pause::BackOff, "nobody is shown");
    assert_eq!(
        scene.kept(&turn).await,
        Some(expected),
        "an empty list may be a lie"
    );
    scene.shows(&[9]);
    assert_eq!(scene.kept(&turn).await, None);
}

#[tokio::test]
async fn only_the_end_of_an_account_that_is_there_is_looked_after() {
    for (guard, looks) in [(protecting(1), true), (Guard::default(), false)] {
        let mut app = scripted(all_done);
        app.blind = true;
        let scene = scene(guard, app, 2).await;
        let turn = scene.end_of(0).await;
        assert_eq!(scene.kept(&turn).await.is_some(), looks);
        let (mut active, mut absent) = (turn.clone(), turn);
        active.work.wanted.active = true;
        absent.work.observed.existence = Existence::Absent;
        for turn in [active, absent] {
            assert_eq!(scene.kept(&turn).await, None);
        }
    }
}

#[tokio::test]
async fn who_waits_longer_than_a_look_can_lag_loses_everything_else_meanwhile() {
    let mut app = scripted(all_done);
    app.blind = true;
    let scene = scene(protecting(1), app, 3).await;
    let mut turn = scene.end_of(0).await;
    let lag = Millis::try_from(LAG.as_millis()).unwrap();
    for (asked, meanwhile) in [
        (clock::now(), false),
        (clock::now() - lag, true),
        (clock::now() + 2 * lag, true),
    ] {
        turn.asked = asked;
        let kept = scene.kept(&turn).await.unwrap();
        assert_eq!(kept.learned.meanwhile, meanwhile, "{asked}");
    }
    turn.work.deleted = true;
    let kept = scene.kept(&turn).await.unwrap();
    assert!(!kept.learned.meanwhile, "it is done already");
}

#[tokio::test]
async fn where_no_account_can_be_ended_who_waits_so_long_waits_no_more() {
    let mut app = scripted(all_done);
    app.blind = true;
    app.can.rows.retain(|row| row.act != Act::DeactivateUser);
    let scene = scene(protecting(1), app, 3).await;
    let mut turn = scene.end_of(0).await;
    assert!(scene.kept(&turn).await.is_some());
    turn.withdrawn = Some(Withdrawn::Whole);
    assert_eq!(scene.kept(&turn).await, None, "it is only told");
    turn.withdrawn = None;
    turn.asked = 0;
    assert_eq!(scene.kept(&turn).await, None);
}

/// Two groups that need somebody, of alternatives, with all of the users.
async fn two_groups(mut app: Scripted) -> Scene {
    app.families = true;
    let protected = Protected::named(&[], &[], [("adm", 1), ("ops", 1)]);
    let guard = Guard {
        protected,
        ..Guard::off()
    };
    let mut scene = scene(guard, app, 3).await;
    let row = GroupRow {
        attributes: serde_json::from_value(json!({ "displayName": "ops" })).unwrap(),
        upstream_name: "ops".into(),
    };
    let (id, members) = (clock::new_id(), texts(&scene.users));
    let made = scene.store();
    let made = made.create_group(scene.c, id, row, members, false, long_ago());
    let made = made.await.unwrap();
    let first = std::mem::replace(&mut scene.group, made);
    scene.arrive(long_ago().at).await;
    scene.group = first;
    scene
}

#[tokio::test]
async fn who_keeps_groups_that_cannot_be_read_loses_everything_else_once() {
    let ends = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ends);
    let mut app = scripted(move |operation| {
        count.fetch_add(1, Ordering::Relaxed);
        all_done(operation)
    });
    app.blind = true;
    let scene = two_groups(app).await;
    let mut turn = scene.end_of(0).await;
    turn.asked = clock::now();
    let kept = scene.kept(&turn).await.unwrap();
    assert_eq!(kept.keeps, [""; 0], "a look may lag as long");
    turn.asked = 0;
    let mut kept = scene.kept(&turn).await.unwrap();
    kept.keeps.sort_unstable();
    assert_eq!(kept.keeps, ["adm", "ops"]);
    assert!(!kept.learned.meanwhile && kept.learned.refused.is_none());
    let lane = Lane::User(turn.work.principal.user);
    scene.lanes.lock().insert(lane, State::new());
    // Once for each time that it is asked for.
    for (version, calls) in [(1, 1), (1, 1), (2, 2), (2, 2)] {
        turn.version = version;
        scene.lanes.part(&turn, &mut kept, None).await;
        assert_eq!(ends.load(Ordering::Relaxed), calls, "{version}");
    }
    assert_eq!(kept.learned.calls.len(), 2);
    kept.keeps.clear();
    turn.version = 3;
    scene.lanes.part(&turn, &mut kept, None).await;
    assert_eq!(ends.load(Ordering::Relaxed), 2, "nothing is kept");
}

#[tokio::test]
async fn who_is_the_last_one_of_one_group_keeps_all_whatever_another_one_shows() {
    let scene = two_groups(scripted(all_done)).await;
    let mut turn = scene.end_of(0).await;
    turn.asked = 0;
    scene.shows(&[0]);
    let kept = scene.kept(&turn).await.unwrap();
    assert!(kept.learned.refused.is_some());
    assert_eq!((kept.keeps, kept.pause), (vec![], Pause::None));
}

#[tokio::test]
async fn who_may_only_be_in_a_group_by_a_lost_answer_keeps_access_if_a_look_shows_them() {
    let scene = scene(protecting(1), scripted(all_done), 2).await;
    let turn = scene.end_of(0).await;
    let lane = Lane::User(scene.users[0].key);
    let mut all = scene.lanes.watched(lane, Vec::new()).await.unwrap();
    let mut watched = all.pop().unwrap();
    let who = std::slice::from_ref(&turn.work.principal);
    let look = async |watched: &Watched, shown: &[usize]| {
        scene.shows(shown);
        scene.lanes.look(watched, who, false).await
    };
    assert!(!watched.doubted);
    let unclear = |verdict| matches!(verdict, Verdict::Unclear(..));
    assert!(unclear(look(&watched, &[]).await));
    watched.doubted = true;
    assert!(matches!(look(&watched, &[]).await, Verdict::Enough));
    assert!(matches!(look(&watched, &[0]).await, Verdict::TooFew));
    watched.lately = true;
    assert!(unclear(look(&watched, &[]).await), "it may be shown later");
}
