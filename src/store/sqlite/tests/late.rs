//! What a call that got no answer may do yet, and what is said again because
//! of it (reliability: H-05). Whole lives of such calls are the simulated
//! worlds' matter (`bridge::tests::world`); here is what they once found.
use super::*;
use crate::{
    plan::{operation::Operation, state::Principal},
    store::{Delay, GroupTurn, Pending, UNANSWERED, Unsettled, Why},
};

mod left;

/// Long after everything that is noted here, and all reads of it.
pub(super) const LATER: i64 = 60_000;

impl Scene {
    /// Added by a call of which no answer came, and asked to be removed since.
    async fn may_come_late(&self, group: &GroupWritten, user: &UserWritten) {
        let ids = [user.resource.id];
        self.change(group, add(&ids)).await.unwrap();
        self.unanswered(group, addition).await;
        self.change(group, remove(&ids)).await.unwrap();
    }

    /// The answer comes, and the doubt that waited for it ends.
    async fn answered(&self, group: &GroupWritten, turn: &GroupTurn, learned: GroupLearned) {
        let end = self
            .store
            .end_group_turn(group.key, turn.seq, learned, 4_000);
        end.await.unwrap();
        assert_eq!(self.recheck(LATER).await, [Lane::Group(group.key)]);
    }

    /// A turn of which one call got no answer.
    pub(super) async fn unanswered(
        &self,
        group: &GroupWritten,
        call: impl FnOnce(&GroupTurn) -> Operation,
    ) -> GroupTurn {
        let begin = self.store.begin_group_turn(group.key, 1_000);
        let turn = begin.await.unwrap().unwrap();
        let learned = GroupLearned {
            calls: vec![(call(&turn), UNANSWERED.into(), 1.into())],
            ..GroupLearned::default()
        };
        let end = self
            .store
            .end_group_turn(group.key, turn.seq, learned, 3_000);
        end.await.unwrap();
        turn
    }

    /// Is added, and then only looked at again, as only a read told of it.
    pub(super) async fn is_looked_at_again(&self, group: &GroupWritten, user: &UserWritten) {
        let ids = [user.resource.id];
        self.change(group, add(&ids)).await.unwrap();
        self.is_read(group, user.key).await;
        assert_eq!(self.recheck(LATER).await, [Lane::Group(group.key)]);
    }

    pub(super) async fn recheck(&self, before: i64) -> Vec<Lane> {
        let recheck = self
            .store
            .recheck_late(self.c, (before, i64::MIN), LATER, 10_000);
        recheck.await.unwrap()
    }

    /// A turn that was to add a member and was told nothing of it.
    async fn is_read(&self, group: &GroupWritten, user: UserKey) {
        let turn = self.next(group).await;
        assert_eq!(keys(&turn.work.adds), [user]);
        self.is_read_in(group, turn.seq, user).await;
    }

    /// The same of the turn that is open.
    pub(super) async fn is_read_in(&self, group: &GroupWritten, seq: u64, user: UserKey) {
        let learned = GroupLearned {
            present: vec![user],
            read: vec![user],
            ..GroupLearned::default()
        };
        let store = &self.store;
        let end = store.end_group_turn(group.key, seq, learned, 3_000);
        end.await.unwrap();
    }

    pub(super) async fn next(&self, group: &GroupWritten) -> GroupTurn {
        let begin = self.store.begin_group_turn(group.key, 1_000);
        begin.await.unwrap().expect("the lane has work")
    }
}

pub(super) fn keys(members: &[Principal]) -> Vec<UserKey> {
    members.iter().map(|member| member.user).collect()
}

fn replacement(turn: &GroupTurn) -> Operation {
    Operation::ReplaceMembers {
        group: turn.work.name.clone(),
        members: turn.work.full.clone().expect("a replacement"),
    }
}

/// A replacement by two, of whom one has no account yet. Returns that one.
async fn replaced(scene: &Scene) -> (GroupWritten, UserWritten) {
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let new = scene.user("new").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let both = replace(&[bob.resource.id, new.resource.id]);
    (scene.change(&group, both).await.unwrap(), new)
}

#[tokio::test]
async fn who_had_no_account_when_a_replacement_was_sent_is_said_again_when_it_may_have_landed() {
    let scene = Scene::new().await;
    let (group, new) = replaced(&scene).await;
    scene.unanswered(&group, replacement).await;
    scene.confirm_group(&group).await;
    scene.confirm_user(new.key).await;
    scene.confirm_group(&group).await;
    assert_eq!(scene.lanes().await, []);
    assert_eq!(scene.recheck(LATER).await, [Lane::Group(group.key)]);
    assert_eq!(keys(&scene.next(&group).await.work.adds), [new.key]);
}

#[tokio::test]
async fn and_so_is_who_had_none_when_the_process_ended_during_a_replacement() {
    let scene = Scene::new().await;
    let (group, new) = replaced(&scene).await;
    assert!(scene.next(&group).await.work.full.is_some());
    let scene = scene.reopen().await;
    scene.store.note_interrupted(scene.c, 3_000).await.unwrap();
    scene.confirm_group(&group).await;
    scene.confirm_user(new.key).await;
    scene.confirm_group(&group).await;
    assert_eq!(scene.recheck(LATER).await, [Lane::Group(group.key)]);
    let adds = keys(&scene.next(&group).await.work.adds);
    assert!(adds.contains(&new.key), "{adds:?}");
}

#[tokio::test]
async fn what_was_under_way_when_the_process_ended_is_recorded_once() {
    let scene = Scene::new().await;
    let (group, new) = replaced(&scene).await;
    let whole = scene.next(&group).await.work.full.unwrap().len();
    let turn = scene.store.begin_user_turn(new.key).await.unwrap();
    assert!(turn.is_some());
    let mut scene = scene.reopen().await;
    let other = scene.store.connection("globex").await.unwrap();
    for _ in 0..2 {
        scene.store.note_interrupted(scene.c, 3_000).await.unwrap();
        assert!(scene.store.has_unanswered(scene.c, i64::MIN).await.unwrap());
        assert!(!scene.store.has_unanswered(other, i64::MIN).await.unwrap());
        let rows = scene.store.audit(0, 1_000).await.unwrap();
        let cut = rows.iter().filter(|row| row.detail.contains("interrupted"));
        let cut: Vec<_> = cut.map(|row| (row.action.as_str(), row.resource)).collect();
        let (group, new) = (group.resource.id, new.resource.id);
        assert_eq!(cut, [("group_turn", Some(group)), ("user_turn", Some(new))]);
        let details = rows.iter().map(|row| &row.detail);
        let details: Vec<_> = details.filter(|it| it.contains("interrupted")).collect();
        let cut = |detail: &str| {
            serde_json::from_str::<serde_json::Value>(detail).unwrap()["calls"].clone()
        };
        let replaces =
            json!({ "operation": "replace_members", "outcome": "interrupted", "count": whole });
        let creates = json!({ "operation": "create_user", "outcome": "interrupted" });
        assert_eq!(cut(details[0]), json!([replaces]));
        assert_eq!(cut(details[1]), json!([creates]));
        scene = scene.reopen().await;
    }
}

#[tokio::test]
async fn nobody_waits_for_a_deleted_user_who_never_had_an_account() {
    let scene = Scene::new().await;
    let (group, new) = replaced(&scene).await;
    scene.next(&group).await;
    let scene = scene.reopen().await;
    let noted = scene.store.note_interrupted(scene.c, 3_000);
    noted.await.unwrap();
    scene.confirm_group(&group).await;
    let id = new.resource.id;
    let delete = scene.store.delete_user(scene.c, id, always(), actor());
    delete.await.unwrap();
    let successor = scene.user("new").await;
    assert!(
        scene
            .recheck(LATER)
            .await
            .contains(&Lane::User(successor.key))
    );
    let turn = scene.store.begin_user_turn(successor.key).await.unwrap();
    assert!(turn.is_some());
}

#[tokio::test]
async fn a_successor_of_a_group_is_looked_at_and_in_the_end_its_members_are_said_again() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let old = scene.settled_group("dev", &[ann.resource.id]).await;
    let keep = Box::new(|_: &_| Ok(None));
    let delete = scene
        .store
        .delete_group(scene.c, old.resource.id, always(), keep, None, actor());
    delete.await.unwrap();
    let deletion = |turn: &GroupTurn| Operation::DeleteGroup {
        name: turn.work.name.clone(),
    };
    scene.unanswered(&old, deletion).await;
    scene.confirm_group(&old).await;
    let new = scene.settled_group("dev", &[bob.resource.id]).await;
    assert_eq!(scene.recheck(3_001).await, [Lane::Group(new.key)]);
    let look = scene.next(&new).await;
    assert_eq!(look.work.observed, Existence::Unknown);
    assert!(look.doubted && look.work.adds.is_empty());
    let there = GroupLearned {
        existence: Some(Existence::Present),
        ..GroupLearned::default()
    };
    let end = scene.store.end_group_turn(new.key, look.seq, there, 4_000);
    end.await.unwrap();
    // The late deletion may have landed, and a late creation after it.
    assert_eq!(scene.recheck(LATER).await, [Lane::Group(new.key)]);
    let last = scene.next(&new).await;
    assert_eq!(keys(&last.work.adds), [bob.key]);
    assert!(!last.doubted);
}

#[tokio::test]
async fn who_may_have_been_added_late_is_taken_out_again_but_not_in_recovery() {
    for doubt in [false, true] {
        let scene = Scene::new().await;
        let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
        let group = scene.settled_group("dev", &[ann.resource.id]).await;
        scene.may_come_late(&group, &bob).await;
        scene.confirm_group(&group).await;
        if doubt {
            let by = Actor {
                at: 4_000,
                ..actor()
            };
            let begin = scene.store.begin_recovery(scene.c, Why::OlderDatabase, by);
            assert_eq!(begin.await, Ok(true));
        }
        assert_eq!(scene.recheck(LATER).await, [Lane::Group(group.key)]);
        if doubt {
            let turn = scene.store.begin_group_turn(group.key, 10).await;
            assert_eq!(turn, Ok(None));
            // Also beside what is sent.
            let carl = scene.member("carl").await;
            scene
                .change(&group, add(&[carl.resource.id]))
                .await
                .unwrap();
            let pending = scene.store.pending(scene.c, None, 10).await.unwrap();
            assert!(
                matches!(
                    &pending[..],
                    [
                        Pending::Group(_),
                        Pending::Delayed(_, id, Delay::Recovery)
                    ] if *id == group.resource.id
                ),
                "{pending:?}"
            );
            scene.store.end_recovery(scene.c, actor()).await.unwrap();
        }
        assert_eq!(keys(&scene.next(&group).await.work.removes), [bob.key]);
    }
}

fn addition(turn: &GroupTurn) -> Operation {
    Operation::AddMembers {
        group: turn.work.name.clone(),
        members: turn.work.adds.clone(),
    }
}

fn removal(turn: &GroupTurn) -> Operation {
    Operation::RemoveMembers {
        group: turn.work.name.clone(),
        members: turn.work.removes.clone(),
    }
}

/// It may have been done before the late one, and its answer says nothing of that.
#[tokio::test]
async fn a_doubt_does_not_end_while_a_call_about_it_is_on_its_way() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.may_come_late(&group, &bob).await;
    let removal = scene.next(&group).await;
    assert_eq!(keys(&removal.work.removes), [bob.key]);
    assert_eq!(scene.recheck(LATER).await, []);
    let gone = GroupLearned {
        absent: vec![bob.key],
        ..GroupLearned::default()
    };
    scene.answered(&group, &removal, gone).await;
    assert_eq!(keys(&scene.next(&group).await.work.removes), [bob.key]);
}

/// A replacement takes out whoever it does not name, also who was out before.
#[tokio::test]
async fn nor_does_that_about_whom_a_replacement_on_its_way_leaves_out() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let carl = scene.member("carl").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.may_come_late(&group, &bob).await;
    scene.confirm_group(&group).await;
    let carls = replace(&[carl.resource.id]);
    scene.change(&group, carls).await.unwrap();
    let turn = scene.next(&group).await;
    assert!(turn.work.full.is_some() && keys(&turn.work.removes) == [ann.key]);
    assert_eq!(scene.recheck(LATER).await, []);
    let replaced = GroupLearned {
        present: vec![carl.key],
        absent: vec![ann.key],
        ..GroupLearned::default()
    };
    scene.answered(&group, &turn, replaced).await;
    assert_eq!(keys(&scene.next(&group).await.work.removes), [bob.key]);
}

#[tokio::test]
async fn nor_does_that_about_who_came_after_a_replacement() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let carl = scene.member("carl").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let bobs = replace(&[bob.resource.id]);
    scene.change(&group, bobs).await.unwrap();
    scene.unanswered(&group, replacement).await;
    scene.confirm_group(&group).await;
    let carls = add(&[carl.resource.id]);
    scene.change(&group, carls).await.unwrap();
    let turn = scene.next(&group).await;
    assert_eq!(keys(&turn.work.adds), [carl.key]);
    assert_eq!(scene.recheck(LATER).await, []);
    let there = GroupLearned {
        present: vec![carl.key],
        ..GroupLearned::default()
    };
    scene.answered(&group, &turn, there).await;
    assert_eq!(keys(&scene.next(&group).await.work.adds), [carl.key]);
}

/// It would take out again who may have come late and cannot be named.
#[tokio::test]
async fn no_group_is_replaced_as_a_whole_around_who_may_be_in_it_and_cannot_be_named() {
    for doubted in [false, true] {
        let scene = Scene::new().await;
        let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
        let carl = scene.member("carl").await;
        let group = scene.settled_group("dev", &[ann.resource.id]).await;
        if doubted {
            scene.may_come_late(&group, &bob).await;
            scene.confirm_group(&group).await;
        }
        scene.set_active(&bob, "bob", false).await;
        let both = replace(&[bob.resource.id, carl.resource.id]);
        scene.change(&group, both).await.unwrap();
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.adds), [carl.key]);
        assert_eq!(turn.work.full.is_none(), doubted);
    }
}

/// A removal that may have landed late, and another one that is refused after that
/// and gives back who is not there any more.
#[tokio::test]
async fn what_is_still_to_be_said_when_a_doubt_ends_is_unclear_if_it_is_refused() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let anns = [ann.resource.id];
    let group = scene.settled_group("dev", &anns).await;
    scene.change(&group, remove(&anns)).await.unwrap();
    let removal = |turn: &GroupTurn| Operation::RemoveMembers {
        group: turn.work.name.clone(),
        members: turn.work.removes.clone(),
    };
    scene.unanswered(&group, removal).await;
    scene.change(&group, add(&anns)).await.unwrap();
    scene.confirm_group(&group).await;
    scene.change(&group, remove(&anns)).await.unwrap();
    scene.recheck(LATER).await;
    let turn = scene.next(&group).await;
    assert_eq!(keys(&turn.work.removes), [ann.key]);
    let refused = GroupLearned {
        refused: vec![(ann.key, "no".into())],
        ..GroupLearned::default()
    };
    let end = scene
        .store
        .end_group_turn(group.key, turn.seq, refused, 4_000);
    end.await.unwrap();
    assert_eq!(scene.members(&group).await, anns);
    assert_eq!(scene.recheck(LATER).await, [Lane::Group(group.key)]);
    assert_eq!(keys(&scene.next(&group).await.work.adds), [ann.key]);
}

#[tokio::test]
async fn who_left_and_was_only_read_to_be_gone_is_said_again_once_and_not_for_ever() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let out = scene.change(&group, remove(&[ann.resource.id])).await;
    out.unwrap();
    for woken in [vec![Lane::Group(group.key)], Vec::new()] {
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.removes), [ann.key]);
        let learned = GroupLearned {
            absent: vec![ann.key],
            read: vec![ann.key],
            ..GroupLearned::default()
        };
        let store = &scene.store;
        let end = store.end_group_turn(group.key, turn.seq, learned, 3_000);
        end.await.unwrap();
        assert_eq!(scene.recheck(LATER).await, woken);
    }
}

/// An account that is made anew ends what is known of the calls about it, and not
/// what is on its way (a simulated world, seed 675).
#[tokio::test]
async fn what_was_on_its_way_when_the_account_was_made_anew_and_the_process_ended_may_land() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    let ids = [ann.resource.id];
    scene.change(&group, add(&ids)).await.unwrap();
    scene.next(&group).await;
    scene.change(&group, remove(&ids)).await.unwrap();
    let anew = UserLearned {
        observed: Some(present()),
        settled: true,
        recreated: true,
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(ann.key, anew, 2_000);
    end.await.unwrap();
    scene.store.note_interrupted(scene.c, 3_000).await.unwrap();
    scene.confirm_group(&group).await;
    assert_eq!(scene.recheck(LATER).await, [Lane::Group(group.key)]);
    assert_eq!(keys(&scene.next(&group).await.work.removes), [ann.key]);
}

/// What landed at once does not stay until nothing can land any more, and what is
/// said because of that is not in doubt for longer.
#[tokio::test]
async fn what_may_have_landed_is_said_once_more_before_it_can_land_no_more() {
    for stays in [true, false] {
        let scene = Scene::new().await;
        let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
        let ids = [ann.resource.id, bob.resource.id];
        let group = scene.settled_group("dev", &ids).await;
        let lane = Lane::Group(group.key);
        let (out, back) = (remove(&ids[..1]), add(&ids[..1]));
        scene.change(&group, out).await.unwrap();
        scene.unanswered(&group, removal).await;
        scene.change(&group, back).await.unwrap();
        if !stays {
            scene.unanswered(&group, addition).await;
            scene.change(&group, remove(&ids[..1])).await.unwrap();
        }
        scene.confirm_group(&group).await;
        let look = async |before, early| {
            let due = (before, early);
            let look = scene.store.recheck_late(scene.c, due, LATER, 10_000);
            look.await.unwrap()
        };
        assert_eq!(look(0, 2_999).await, []);
        assert_eq!(look(0, 3_000).await, [lane]);
        let turn = scene.next(&group).await;
        let said = if stays {
            &turn.work.adds
        } else {
            &turn.work.removes
        };
        assert_eq!(keys(said), [ann.key]);
        // Only a look tells that it is so.
        let mut learned = GroupLearned {
            read: vec![ann.key],
            ..GroupLearned::default()
        };
        if stays {
            learned.present.push(ann.key);
        } else {
            learned.absent.push(ann.key);
        }
        let store = &scene.store;
        let end = store.end_group_turn(group.key, turn.seq, learned, 20_000);
        end.await.unwrap();
        assert_eq!(look(2_999, 30_000).await, [], "it is done once");
        assert_eq!(
            look(3_000, 30_000).await,
            [lane],
            "and at the end as before"
        );
    }
}

/// An addition that the application does not tell of, as it is so already.
#[tokio::test]
async fn who_was_only_read_to_be_a_member_is_said_again_once_and_not_for_ever() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    let lane = Lane::Group(group.key);
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    scene.is_read(&group, ann.key).await;
    assert_eq!(scene.recheck(LATER).await, [lane]);
    scene.is_read(&group, ann.key).await;
    assert_eq!(scene.recheck(LATER).await, [], "a doubt ends");
    // What is asked for anew may be doubted anew.
    let out = scene.change(&group, remove(&[ann.resource.id])).await;
    out.unwrap();
    scene.confirm_group(&group).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    scene.is_read(&group, ann.key).await;
    assert_eq!(scene.recheck(LATER).await, [lane]);
    scene.is_read(&group, ann.key).await;
    assert_eq!(scene.recheck(LATER).await, []);
}

#[tokio::test]
async fn a_group_whose_creation_was_refused_is_looked_at_again_where_one_of_before_may_land() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let (store, lane) = (&scene.store, [Lane::Group(group.key)]);
    let refused = GroupLearned {
        existence: Some(Existence::Absent),
        group_refused: Some("no".into()),
        ..GroupLearned::default()
    };
    let out = scene.change(&group, remove(&[ann.resource.id])).await;
    out.unwrap();
    // A creation that got no answer, and one after it that was refused.
    let turn = scene.next(&group).await;
    let creation = Operation::CreateGroup {
        name: turn.work.name.clone(),
        members: Vec::new(),
    };
    let learned = GroupLearned {
        calls: vec![(creation, UNANSWERED.into(), 1.into())],
        ..refused
    };
    let end = store.end_group_turn(group.key, turn.seq, learned, 3_000);
    end.await.unwrap();
    assert_eq!(store.begin_group_turn(group.key, 10).await, Ok(None));
    assert_eq!(scene.recheck(LATER).await, lane);
    let turn = scene.next(&group).await;
    assert!(turn.work.wanted);
    assert_eq!(turn.work.observed, Existence::Unknown);
}

#[tokio::test]
async fn what_waits_for_a_time_waits_as_long_when_the_clock_is_set() {
    const DAY: i64 = 86_400_000;
    let scene = Scene::new().await;
    let (group, new) = replaced(&scene).await;
    // Noted at 3,000.
    scene.unanswered(&group, replacement).await;
    scene.confirm_group(&group).await;
    scene.confirm_user(new.key).await;
    scene.confirm_group(&group).await;
    let moved = |was, is| scene.store.clock_set(scene.c, was, is);
    let look = |before, now| {
        scene
            .store
            .recheck_late(scene.c, (before, i64::MIN), now, 10_000)
    };
    moved(4_000, 4_000 + DAY).await.unwrap();
    assert_eq!(look(DAY + 2_999, DAY + 5_000).await.unwrap(), []);
    moved(DAY + 5_000, 5_000).await.unwrap();
    assert_eq!(look(2_999, 6_000).await.unwrap(), []);
    // What was noted after it was put on is not moved.
    moved(2_000, 2_000 + DAY).await.unwrap();
    assert_eq!(look(3_001, 7_000).await.unwrap(), [Lane::Group(group.key)]);
}

#[tokio::test]
async fn what_a_connection_left_unanswered_is_known_when_it_is_configured_no_more() {
    let scene = Scene::new().await;
    let (group, _) = replaced(&scene).await;
    scene.next(&group).await;
    let scene = scene.reopen().await;
    let store = &scene.store;
    let other = store.connection("globex").await.unwrap();
    let departed = store.connections_but(vec![other]).await.unwrap();
    assert_eq!(departed, [scene.c]);
    assert!(!store.has_unanswered(scene.c, 3_000).await.unwrap());
    store.note_interrupted(scene.c, 3_000).await.unwrap();
    assert!(store.has_unanswered(scene.c, 3_000).await.unwrap());
    assert!(!store.has_unanswered(scene.c, 3_001).await.unwrap(), "old");
}

#[tokio::test]
async fn what_may_still_change_by_itself_is_counted_until_it_cannot() {
    let scene = Scene::new().await;
    let unsettled = async |of| scene.store.counts(of).await.unwrap().unsettled;
    let (group, _) = replaced(&scene).await;
    assert_eq!(unsettled(scene.c).await, Unsettled::default());
    scene.unanswered(&group, replacement).await;
    let now = unsettled(scene.c).await;
    assert_eq!((now.users, now.groups), (0, 1));
    assert!(now.memberships > 0);
    let other = scene.store.connection("other").await.unwrap();
    assert_eq!(unsettled(other).await, Unsettled::default());
    scene.recheck(LATER).await;
    assert_eq!(unsettled(scene.c).await, Unsettled::default());
}
