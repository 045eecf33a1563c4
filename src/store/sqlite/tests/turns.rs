//! Lanes: what is handed out, what is learned, what survives a crash.
use super::*;
use crate::{
    plan::{operation::Operation, state::GroupKey},
    store::{GroupTurn, UNANSWERED},
};

impl Scene {
    pub(super) async fn begin(&self, key: GroupKey) -> GroupTurn {
        let turn = self.store.begin_group_turn(key, 1_000).await.unwrap();
        turn.expect("the lane has work")
    }

    pub(super) async fn idle(&self, key: GroupKey) -> bool {
        let turn = self.store.begin_group_turn(key, 1_000).await.unwrap();
        turn.is_none()
    }

    pub(super) async fn end(&self, turn: &GroupTurn, learned: GroupLearned) -> Vec<Lane> {
        let end = self
            .store
            .end_group_turn(turn.work.group, turn.seq, learned, 3_000);
        end.await.unwrap()
    }

    /// Adds the only one who waits for it, hears nothing and reads that it did
    /// not come to be.
    async fn add_unheard(&self, key: GroupKey, at: i64) {
        let turn = self.begin(key).await;
        let users: Vec<_> = turn.work.adds.iter().map(|p| p.user).collect();
        assert_eq!(users.len(), 1);
        let add = Operation::AddMembers {
            group: turn.work.name.clone(),
            members: turn.work.adds.clone(),
        };
        let learned = GroupLearned {
            absent: users.clone(),
            read: users,
            calls: vec![(add, UNANSWERED.into(), 1.into())],
            ..GroupLearned::default()
        };
        let end = self.store.end_group_turn(key, turn.seq, learned, at);
        end.await.unwrap();
    }

    async fn delete(&self, user: &UserWritten) -> UserWritten {
        let id = user.resource.id;
        let delete = self.store.delete_user(self.c, id, always(), actor());
        delete.await.unwrap()
    }

    pub(super) async fn set_active(
        &self,
        user: &UserWritten,
        name: &str,
        active: bool,
    ) -> UserWritten {
        let mut row = user_row(name);
        row.account.active = active;
        row.attributes.0.insert("active".into(), active.into());
        let decide = Box::new(|_: &_| Ok(Some(row)));
        let id = user.resource.id;
        let change = self
            .store
            .change_user(self.c, id, always(), decide, actor());
        change.await.unwrap()
    }
}

#[tokio::test]
async fn a_new_group_is_handed_out_with_its_members_and_then_idle() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let late = scene.user("late").await;
    let group = scene
        .group("dev", &[ann.resource.id, late.resource.id])
        .await;
    assert!(group.dirty);
    assert_eq!(group.touched, [ann.key, late.key]);
    let turn = scene.begin(group.key).await;
    assert!(turn.work.wanted && !turn.more);
    assert_eq!(turn.work.observed, Existence::Absent);
    assert_eq!(turn.work.name, "dev");
    let adds: Vec<_> = turn.work.adds.iter().map(|p| p.user).collect();
    assert_eq!(adds, [ann.key], "the other's account is not there yet");
    let learned = GroupLearned {
        existence: Some(Existence::Present),
        present: adds,
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, []);
    assert!(scene.idle(group.key).await);
    let woken = scene.confirm_user(late.key).await;
    assert_eq!(woken, [Lane::Group(group.key)], "its account came");
    scene.confirm_group(&group).await;
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn an_answer_from_before_an_account_was_made_anew_is_not_believed() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    for active in [false, true] {
        scene.set_active(&ann, "ann", active).await;
        let begun = scene.store.begin_user_turn(ann.key).await.unwrap();
        assert!(begun.is_some());
        let learned = UserLearned {
            observed: Some(ObservedAccount {
                existence: if active {
                    Existence::Present
                } else {
                    Existence::Absent
                },
                deactivated: !active,
                ..ObservedAccount::default()
            }),
            settled: true,
            recreated: active,
            ..UserLearned::default()
        };
        let end = scene.store.end_user_turn(ann.key, learned, 2_000);
        end.await.unwrap();
    }
    let learned = GroupLearned {
        present: vec![ann.key],
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    let turn = scene.begin(group.key).await;
    let adds: Vec<_> = turn.work.adds.iter().map(|p| p.user).collect();
    assert_eq!(adds, [ann.key], "it may have been done for the one before");
    scene.confirm_group(&group).await;
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn a_member_whom_a_replacement_left_out_is_put_there_again() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.change(&group, add(&[bob.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    let learned = GroupLearned {
        present: vec![bob.key],
        left_out: vec![ann.key],
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, [Lane::Group(group.key)]);
    let turn = scene.begin(group.key).await;
    let adds: Vec<_> = turn.work.adds.iter().map(|p| p.user).collect();
    assert_eq!(adds, [ann.key]);
    scene.confirm_group(&group).await;
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn a_crash_in_flight_leaves_the_work_open_and_unknown() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let bob = scene.user("bob").await;
    let group = scene.group("dev", &[ann.resource.id]).await;
    scene.begin(group.key).await;
    let turn = scene.store.begin_user_turn(bob.key).await.unwrap();
    assert!(!turn.unwrap().unsure);

    let scene = scene.reopen().await;
    let open = [Lane::User(bob.key), Lane::Group(group.key)];
    assert_eq!(scene.lanes().await, open);
    let turn = scene.store.begin_user_turn(bob.key).await.unwrap();
    assert!(turn.unwrap().unsure, "the end of the call is not known");
    let turn = scene.begin(group.key).await;
    assert_eq!(turn.work.observed, Existence::Unknown);
    assert_eq!(turn.work.adds.len(), 1);
    scene.confirm_user(bob.key).await;
    scene.confirm_group(&group).await;
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn a_member_removed_while_its_add_is_in_flight_is_removed_afterwards() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    let removed = scene
        .change(&group, remove(&[ann.resource.id]))
        .await
        .unwrap();
    assert_eq!(removed.touched, [ann.key], "the add may land any moment");
    assert!(removed.seq > turn.seq);
    let learned = GroupLearned {
        present: vec![ann.key],
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, [Lane::Group(group.key)]);
    let turn = scene.begin(group.key).await;
    assert_eq!((turn.work.adds.len(), turn.work.removes.len()), (0, 1));
}

#[tokio::test]
async fn pairs_written_since_a_turn_was_handed_out_are_told() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let cat = scene.member("cat").await;
    let all = [&ann, &bob, &cat].map(|user| user.resource.id);
    let group = scene.group("dev", &all).await;
    let turn = scene.begin(group.key).await;
    let written = || {
        let users = vec![ann.key, bob.key, cat.key];
        scene.store.written_since(group.key, turn.seq, users)
    };
    assert_eq!(written().await.unwrap(), []);
    let out = remove(&[bob.resource.id]);
    scene.change(&group, out).await.unwrap();
    assert_eq!(written().await.unwrap(), [bob.key]);
    scene.set_active(&cat, "cat", false).await;
    assert_eq!(written().await.unwrap(), [bob.key, cat.key]);
    let keep = Box::new(|_: &_| Ok(None));
    let id = group.resource.id;
    let delete = scene
        .store
        .delete_group(scene.c, id, always(), keep, actor());
    delete.await.unwrap();
    assert_eq!(written().await.unwrap(), [ann.key, bob.key, cat.key]);
}

#[tokio::test]
async fn what_was_not_sent_is_as_before() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let bob = scene.member("bob").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let swap = change(vec![
        MemberChange::Add(texts(&[bob.resource.id])),
        MemberChange::Remove(texts(&[ann.resource.id])),
    ]);
    scene.change(&group, swap).await.unwrap();
    let turn = scene.begin(group.key).await;
    let learned = GroupLearned {
        unsent: vec![ann.key, bob.key],
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, [], "it is no new work");
    let undo = change(vec![
        MemberChange::Remove(texts(&[bob.resource.id])),
        MemberChange::Add(texts(&[ann.resource.id])),
    ]);
    let undone = scene.change(&group, undo).await.unwrap();
    assert_eq!(undone.touched, [], "nothing ever left the house");
    assert!(scene.idle(group.key).await);
}

#[tokio::test]
async fn an_ambiguous_end_keeps_the_pair_open() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    scene.end(&turn, GroupLearned::default()).await;
    let turn = scene.begin(group.key).await;
    assert_eq!(turn.work.adds.len(), 1);
    scene.end(&turn, GroupLearned::default()).await;
    let removed = scene
        .change(&group, remove(&[ann.resource.id]))
        .await
        .unwrap();
    assert_eq!(removed.touched, [ann.key], "it may be there");
}

#[tokio::test]
async fn refused_pairs_go_back_to_what_is_there() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let bob = scene.member("bob").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let swap = change(vec![
        MemberChange::Add(texts(&[bob.resource.id])),
        MemberChange::Remove(texts(&[ann.resource.id])),
    ]);
    let written = scene.change(&group, swap).await.unwrap();
    let turn = scene.begin(group.key).await;
    let learned = GroupLearned {
        refused: vec![(ann.key, "owner".into()), (bob.key, "no seat".into())],
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, []);
    assert_eq!(scene.members(&group).await, [ann.resource.id]);
    assert!(scene.idle(group.key).await);
    let members = scene.store.members(scene.c, group.resource.id).await;
    assert_eq!(
        members.unwrap().unwrap().version,
        written.resource.meta.version + 1
    );
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!((counts.memberships, counts.pending_memberships), (1, 0));
}

#[tokio::test]
async fn a_member_of_a_new_group_that_is_refused_goes_back_too() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.group("dev", &[ann.resource.id]).await;
    let turn = scene.begin(group.key).await;
    let learned = GroupLearned {
        existence: Some(Existence::Present),
        refused: vec![(ann.key, "no seat".into())],
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, []);
    assert_eq!(scene.members(&group).await, []);
    assert!(scene.idle(group.key).await);
}

#[tokio::test]
async fn a_refusal_does_not_undo_what_was_asked_since() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    scene
        .change(&group, remove(&[ann.resource.id]))
        .await
        .unwrap();
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let learned = GroupLearned {
        refused: vec![(ann.key, "not yet".into())],
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, [Lane::Group(group.key)]);
    assert_eq!(scene.members(&group).await, [ann.resource.id]);
    assert_eq!(scene.begin(group.key).await.work.adds.len(), 1);
}

#[tokio::test]
async fn nor_what_was_asked_for_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    let again = scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    assert_eq!((again.changed, again.touched), (false, vec![ann.key]));
    let refuse = || GroupLearned {
        refused: vec![(ann.key, "no".into())],
        ..GroupLearned::default()
    };
    scene.end(&turn, refuse()).await;
    assert_eq!(scene.members(&group).await, [ann.resource.id]);
    let turn = scene.begin(group.key).await;
    assert_eq!(
        turn.seq, again.seq,
        "whoever asked again waits for this one"
    );
    scene.end(&turn, refuse()).await;
    assert_eq!(scene.members(&group).await, []);
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn a_group_refused_at_its_creation_is_withdrawn() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.group("dev", &[ann.resource.id]).await;
    let turn = scene.begin(group.key).await;
    let learned = GroupLearned {
        existence: Some(Existence::Absent),
        refused: vec![(ann.key, "no".into())],
        group_refused: Some("reserved name".into()),
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, []);
    let read = scene
        .store
        .resource(scene.c, ResourceType::Group, group.resource.id);
    assert_eq!(read.await.unwrap(), None);
    assert_eq!(scene.lanes().await, []);
    scene.group("dev", &[ann.resource.id]).await;
}

#[tokio::test]
async fn a_group_refused_when_it_is_made_again_is_tried_without_those_who_were_named() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.user("bob").await);
    let both = [ann.resource.id, bob.resource.id];
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&both)).await.unwrap();
    let refused = |refused| GroupLearned {
        existence: Some(Existence::Absent),
        refused,
        group_refused: Some("no".into()),
        ..GroupLearned::default()
    };
    let turn = scene.begin(group.key).await;
    assert_eq!(turn.work.adds.len(), 1, "bob has no account yet");
    let learned = refused(vec![(ann.key, "no".into())]);
    assert!(
        scene
            .end(&turn, learned)
            .await
            .contains(&Lane::Group(group.key))
    );
    assert_eq!(scene.members(&group).await, [bob.resource.id]);
    let turn = scene.begin(group.key).await;
    assert_eq!(
        (turn.work.observed, turn.work.adds.len()),
        (Existence::Absent, 0)
    );
    scene.end(&turn, refused(Vec::new())).await;
    assert!(scene.idle(group.key).await, "once");
}

#[tokio::test]
async fn a_group_missing_upstream_waits_for_its_next_write() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    let learned = GroupLearned {
        unsent: vec![ann.key],
        group_refused: Some("missing".into()),
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    assert!(scene.idle(group.key).await);
    assert_eq!(scene.lanes().await, []);
    let again = scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    assert_eq!((again.changed, again.touched), (false, vec![ann.key]));
    assert_eq!(scene.begin(group.key).await.work.adds.len(), 1);
}

#[tokio::test]
async fn a_group_lost_upstream_is_made_again_with_all_its_members() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let bob = scene.member("bob").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.change(&group, add(&[bob.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    let learned = GroupLearned {
        existence: Some(Existence::Absent),
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    let turn = scene.begin(group.key).await;
    assert_eq!(
        (turn.work.observed, turn.work.adds.len()),
        (Existence::Absent, 2)
    );
}

#[tokio::test]
async fn a_turn_is_bounded_and_says_that_there_is_more() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(scene.member(&format!("u{n}")).await.resource.id);
    }
    let group = scene.group("dev", &ids).await;
    let mut seen = Vec::new();
    for (size, more) in [(2, true), (2, true), (1, false)] {
        let turn = scene.store.begin_group_turn(group.key, 2).await;
        let turn = turn.unwrap().unwrap();
        assert_eq!((turn.work.adds.len(), turn.more), (size, more));
        let learned = GroupLearned {
            existence: Some(Existence::Present),
            present: turn.work.adds.iter().map(|p| p.user).collect(),
            ..GroupLearned::default()
        };
        seen.extend(learned.present.iter().copied());
        let lanes = scene.end(&turn, learned).await;
        assert_eq!(lanes.is_empty(), !more);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    assert!(scene.idle(group.key).await);
}

#[tokio::test]
async fn a_deactivated_member_is_not_added_but_is_removed() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let bob = scene.member("bob").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let off = scene.set_active(&ann, "ann", false).await;
    assert!(
        off.dirty && off.groups.is_empty(),
        "one call, whatever the groups"
    );
    scene.confirm_user(ann.key).await;
    assert_eq!(scene.lanes().await, []);
    let other = scene.settled_group("ops", &[bob.resource.id]).await;
    scene.change(&other, add(&[ann.resource.id])).await.unwrap();
    scene
        .change(&group, remove(&[ann.resource.id]))
        .await
        .unwrap();
    assert!(scene.idle(other.key).await);
    assert_eq!(scene.begin(group.key).await.work.removes.len(), 1);
    scene.set_active(&ann, "ann", true).await;
    let woken = scene.confirm_user(ann.key).await;
    assert!(woken.contains(&Lane::Group(other.key)));
    assert_eq!(scene.begin(other.key).await.work.adds.len(), 1);
}

#[tokio::test]
async fn an_add_refused_because_of_a_deactivation_is_kept_for_the_activation() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    scene.set_active(&ann, "ann", false).await;
    let learned = GroupLearned {
        refused: vec![(ann.key, "inactive".into())],
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, []);
    assert_eq!(scene.members(&group).await, [ann.resource.id]);
    scene.confirm_user(ann.key).await;
    assert!(scene.idle(group.key).await);
    scene.set_active(&ann, "ann", true).await;
    let woken = scene.confirm_user(ann.key).await;
    assert_eq!(woken, [Lane::Group(group.key)]);
    assert_eq!(scene.begin(group.key).await.work.adds.len(), 1);
}

#[tokio::test]
async fn an_account_made_anew_gets_its_memberships_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.set_active(&ann, "ann", false).await;
    scene.confirm_user(ann.key).await;
    scene.set_active(&ann, "ann", true).await;
    let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    assert!(turn.work.observed.deactivated);
    let learned = UserLearned {
        observed: Some(ObservedAccount {
            profile: Some(turn.work.wanted.profile),
            ..present()
        }),
        settled: true,
        recreated: true,
        ..UserLearned::default()
    };
    let woken = scene.store.end_user_turn(ann.key, learned, 1).await;
    assert_eq!(woken.unwrap(), [Lane::Group(group.key)]);
    assert_eq!(scene.begin(group.key).await.work.adds.len(), 1);
}

#[tokio::test]
async fn a_refused_user_is_tried_again_only_when_it_is_asked_for_again() {
    let scene = Scene::new().await;
    let ann = scene.user("ann").await;
    scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let learned = UserLearned {
        settled: true,
        refused: Some("no seats".into()),
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(ann.key, learned.clone(), 1);
    assert_eq!(end.await.unwrap(), []);
    assert_eq!(scene.lanes().await, []);
    let again = scene
        .store
        .change_user(
            scene.c,
            ann.resource.id,
            always(),
            Box::new(|_| Ok(None)),
            actor(),
        )
        .await
        .unwrap();
    assert!(!again.changed && again.dirty);
    scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let mut row = user_row("ann");
    row.attributes.0.insert("title".into(), "Dr".into());
    let decide = Box::new(|_: &_| Ok(Some(row)));
    let write = scene
        .store
        .change_user(scene.c, ann.resource.id, always(), decide, actor());
    write.await.unwrap();
    let end = scene.store.end_user_turn(ann.key, learned, 1);
    let woken = end.await.unwrap();
    assert_eq!(
        woken,
        [Lane::User(ann.key)],
        "the newer write was not refused"
    );
}

#[tokio::test]
async fn a_successor_waits_until_its_predecessor_is_worked_off() {
    let scene = Scene::new().await;
    let old = scene.member("ann").await;
    let group = scene.settled_group("dev", &[old.resource.id]).await;
    let gone = scene.delete(&old).await;
    assert_eq!(gone.groups, [group.key]);
    let new = scene.user("ann").await;
    let begin = |key| scene.store.begin_user_turn(key);
    assert_eq!(
        begin(new.key).await.unwrap(),
        None,
        "the account is still the old one's"
    );
    let turn = begin(old.key).await.unwrap().unwrap();
    assert!(turn.work.deleted && !turn.work.wanted.active);
    assert_eq!(
        scene.confirm_user(old.key).await,
        [],
        "its membership is still there"
    );
    assert_eq!(begin(new.key).await.unwrap(), None);
    let woken = scene.confirm_group(&group).await;
    assert_eq!(woken, [Lane::User(new.key)]);
    assert!(begin(new.key).await.unwrap().is_some());
    assert_eq!(scene.members(&group).await, [], "and inherits nothing");
}

#[tokio::test]
async fn a_predecessor_may_end_with_its_account_last() {
    let scene = Scene::new().await;
    let old = scene.member("ann").await;
    let group = scene.settled_group("dev", &[old.resource.id]).await;
    scene.delete(&old).await;
    let new = scene.user("ann").await;
    assert_eq!(scene.confirm_group(&group).await, []);
    assert_eq!(scene.confirm_user(old.key).await, [Lane::User(new.key)]);
    let scene = scene.reopen().await;
    assert_eq!(scene.lanes().await, [Lane::User(new.key)]);
}

#[tokio::test]
async fn the_end_of_a_deleted_group_lets_a_successor_go_on() {
    let scene = Scene::new().await;
    let old = scene.member("ann").await;
    let group = scene.settled_group("dev", &[old.resource.id]).await;
    scene.delete(&old).await;
    let new = scene.user("ann").await;
    scene.confirm_user(old.key).await;
    let keep = Box::new(|_: &_| Ok(None));
    let delete = scene
        .store
        .delete_group(scene.c, group.resource.id, always(), keep, actor());
    assert!(delete.await.unwrap().dirty);
    let turn = scene.begin(group.key).await;
    assert!(!turn.work.wanted && turn.work.removes.is_empty());
    let learned = GroupLearned {
        existence: Some(Existence::Absent),
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, [Lane::User(new.key)]);
}

#[tokio::test]
async fn a_refused_removal_of_a_deleted_user_is_given_up() {
    let scene = Scene::new().await;
    let old = scene.member("ann").await;
    let group = scene.settled_group("dev", &[old.resource.id]).await;
    scene.delete(&old).await;
    scene.confirm_user(old.key).await;
    let turn = scene.begin(group.key).await;
    let learned = GroupLearned {
        refused: vec![(old.key, "owner".into())],
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    assert_eq!(scene.members(&group).await, []);
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn a_group_deleted_while_it_is_made_is_unmade() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.group("dev", &[ann.resource.id]).await;
    let turn = scene.begin(group.key).await;
    let keep = Box::new(|_: &_| Ok(None));
    let delete = scene
        .store
        .delete_group(scene.c, group.resource.id, always(), keep, actor());
    assert!(delete.await.unwrap().dirty, "it may be there");
    let learned = GroupLearned {
        existence: Some(Existence::Present),
        present: vec![ann.key],
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned).await, [Lane::Group(group.key)]);
    scene.confirm_group(&group).await;
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn a_changed_role_or_profile_is_work_and_the_rest_is_not() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let write = |edit: fn(&mut UserRow)| {
        let decide = Box::new(move |stored: &crate::store::StoredUser| {
            let mut row = stored.row.clone();
            edit(&mut row);
            Ok(Some(row))
        });
        let id = ann.resource.id;
        scene
            .store
            .change_user(scene.c, id, always(), decide, actor())
    };
    let local = write(|row| {
        row.attributes.0.insert("title".into(), "Dr".into());
    });
    assert!(!local.await.unwrap().dirty);
    let profile = write(|row| {
        row.account.profile.insert("team".into(), "A".into());
    });
    assert!(profile.await.unwrap().dirty);
    scene.confirm_user(ann.key).await;
    let cleared = write(|row| row.account.profile.clear());
    assert!(cleared.await.unwrap().dirty);
    scene.confirm_user(ann.key).await;
    let role = write(|row| row.account.role = Some("admin".into()));
    assert!(role.await.unwrap().dirty);
    scene.confirm_user(ann.key).await;
    let none = write(|row| row.account.role = None);
    assert!(!none.await.unwrap().dirty, "no role is no wish");
}

#[tokio::test]
async fn who_was_on_the_way_out_when_the_account_was_made_anew_is_no_member_by_a_call_of_before() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    let out = scene.change(&group, remove(&[ann.resource.id])).await;
    out.unwrap();
    for active in [false, true] {
        scene.set_active(&ann, "ann", active).await;
        let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
        let existence = if active {
            Existence::Present
        } else {
            Existence::Absent
        };
        let learned = UserLearned {
            observed: Some(ObservedAccount {
                existence,
                deactivated: !active,
                ..turn.work.observed
            }),
            settled: true,
            recreated: active,
            ..UserLearned::default()
        };
        let end = scene.store.end_user_turn(ann.key, learned, 2_000);
        end.await.unwrap();
    }
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let learned = GroupLearned {
        present: vec![ann.key],
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    let turn = scene.begin(group.key).await;
    assert_eq!(turn.work.adds.len(), 1, "it is said again");
}

#[tokio::test]
async fn a_call_unheard_between_two_looks_is_looked_after_from_its_own_time_on() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    let lane = [Lane::Group(group.key)];
    let look = |before| {
        scene
            .store
            .recheck_late(scene.c, (before, i64::MIN), 90_000, 10_000)
    };
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    scene.add_unheard(group.key, 3_000).await;
    assert_eq!(look(4_000).await.unwrap(), lane, "the first look");
    scene.add_unheard(group.key, 5_000).await;
    let gone = scene.change(&group, remove(&[ann.resource.id])).await;
    gone.unwrap();
    assert_eq!(look(20_000).await.unwrap(), lane, "it may land after all");
    let turn = scene.begin(group.key).await;
    assert_eq!(turn.work.removes.len(), 1);
}
