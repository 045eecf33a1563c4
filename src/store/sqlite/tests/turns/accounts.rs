//! Accounts that end, come back or are made anew, and their successors.

use super::*;
use crate::store::{DONE, Site};

impl Scene {
    /// The account of `ann` ends and is made anew.
    async fn make_anew(&self, ann: &UserWritten) {
        for active in [false, true] {
            self.set_active(ann, "ann", active).await;
            let turn = self.store.begin_user_turn(ann.key).await.unwrap().unwrap();
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
            let end = self.store.end_user_turn(ann.key, learned, 2_000);
            end.await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_answer_from_before_an_account_was_made_anew_is_not_believed() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    scene.make_anew(&ann).await;
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
async fn whose_account_was_ended_here_before_has_it_however_old_it_is() {
    let scene = Scene::new().await;
    let old = scene.member("ann").await;
    let again = async || {
        let new = scene.user("ann").await;
        let begin = async || scene.store.begin_user_turn(new.key).await.unwrap().unwrap();
        assert!(begin().await.since.is_some(), "nothing was asked for yet");
        let turn = begin().await;
        assert!(turn.unsure);
        (new, turn.since)
    };
    scene.delete(&old).await;
    let turn = scene.store.begin_user_turn(old.key).await.unwrap().unwrap();
    let end = Operation::DeactivateUser {
        principal: turn.work.principal.clone(),
    };
    let learned = UserLearned {
        observed: Some(ObservedAccount {
            existence: Existence::Absent,
            deactivated: true,
            ..turn.work.observed
        }),
        settled: true,
        calls: vec![(end, DONE.into(), 1.into())],
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(old.key, learned, 2_000);
    end.await.unwrap();
    let (new, since) = again().await;
    assert_eq!(since, None);
    // Also where whoever was made anew never had it.
    let refused = UserLearned {
        settled: true,
        refused: Some("no".into()),
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(new.key, refused, 2_000);
    end.await.unwrap();
    scene.delete(&new).await;
    if let Some(turn) = scene.store.begin_user_turn(new.key).await.unwrap() {
        let nothing = UserLearned {
            settled: true,
            observed: Some(turn.work.observed),
            ..UserLearned::default()
        };
        let end = scene.store.end_user_turn(new.key, nothing, 2_000);
        end.await.unwrap();
    }
    assert_eq!(again().await.1, None);
    // Nobody else's.
    let bob = scene.user("bob").await;
    scene.store.begin_user_turn(bob.key).await.unwrap();
    let turn = scene.store.begin_user_turn(bob.key).await.unwrap();
    assert!(turn.unwrap().since.is_some());
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
    let delete =
        scene
            .store
            .delete_group(scene.c, group.resource.id, always(), keep, None, actor());
    assert!(delete.await.unwrap().dirty);
    let turn = scene.begin(group.key).await;
    assert!(!turn.work.wanted && turn.work.removes.is_empty());
    // Also where the deletion does not come to its end.
    let woken = scene.end(&turn, GroupLearned::default()).await;
    assert_eq!(woken, [Lane::User(new.key)]);
}

#[tokio::test]
async fn whose_account_has_ended_does_not_wait_for_the_deletion_of_a_group() {
    let scene = Scene::new().await;
    let old = scene.member("ann").await;
    let group = scene.settled_group("dev", &[old.resource.id]).await;
    let keep = Box::new(|_: &_| Ok(None));
    let delete =
        scene
            .store
            .delete_group(scene.c, group.resource.id, always(), keep, None, actor());
    delete.await.unwrap();
    scene.delete(&old).await;
    let new = scene.user("ann").await;
    let told = scene.store.delayed(scene.c, 9).await.unwrap();
    assert_eq!(told, [(new.resource.id, Delay::Predecessor)]);
    assert_eq!(scene.confirm_user(old.key).await, [Lane::User(new.key)]);
    assert_eq!(scene.store.delayed(scene.c, 9).await.unwrap(), []);
    assert!(
        scene
            .store
            .begin_user_turn(new.key)
            .await
            .unwrap()
            .is_some()
    );
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
    scene.make_anew(&ann).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let learned = GroupLearned {
        present: vec![ann.key],
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    let turn = scene.begin(group.key).await;
    assert_eq!(turn.work.adds.len(), 1, "it is said again");
}

/// A simulated world, seed 16996.
#[tokio::test]
async fn a_removal_refused_before_an_account_was_made_anew_gives_back_who_is_put_there_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let ids = [ann.resource.id];
    let group = scene.settled_group("dev", &ids).await;
    scene.change(&group, remove(&ids)).await.unwrap();
    let turn = scene.begin(group.key).await;
    scene.make_anew(&ann).await;
    let woken = scene.end(&turn, refused(&ann)).await;
    assert_eq!(scene.members(&group).await, ids);
    assert_eq!(scene.store.refusals(scene.c, 9).await.unwrap().len(), 1);
    assert_eq!(woken, [Lane::Group(group.key)]);
    assert_eq!(scene.begin(group.key).await.work.adds.len(), 1);
}

#[tokio::test]
async fn an_addition_refused_before_an_account_was_made_anew_leaves_open_what_that_is_in() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    let turn = scene.begin(group.key).await;
    // By somebody there.
    let anew = UserLearned {
        observed: Some(present()),
        settled: true,
        recreated: true,
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(ann.key, anew, 2_000);
    end.await.unwrap();
    assert_eq!(scene.end(&turn, refused(&ann)).await, []);
    assert_eq!(scene.members(&group).await, []);
    assert!(scene.idle(group.key).await);
    let late = (100_000, 0);
    let look = scene.store.recheck_late(scene.c, late, 200_000, 0);
    assert_eq!(look.await.unwrap(), [Lane::Group(group.key)]);
    assert_eq!(scene.begin(group.key).await.work.removes.len(), 1);
}

fn refused(user: &UserWritten) -> GroupLearned {
    GroupLearned {
        refused: vec![(user.key, "no".into())],
        ..GroupLearned::default()
    }
}

/// What is still to be said to the account of before is not known of the one of now
/// (a simulated world, seed 13267).
#[tokio::test]
async fn who_was_to_go_before_the_account_was_made_anew_and_is_asked_for_again_is_put_there() {
    for shared in [false, true] {
        let mut scene = Scene::new().await;
        let own = scene.c;
        let first = scene.member("ann").await;
        let mut ann = first.clone();
        if shared {
            scene.c = scene.store.connection("globex").await.unwrap();
            let site = |accounts| Site {
                name: "app 1".into(),
                accounts,
            };
            let both = vec![(own, Some(site(true))), (scene.c, Some(site(false)))];
            scene.store.settle_sites(both).await.unwrap();
            ann = scene.member("ann").await;
        }
        let ids = [ann.resource.id];
        let group = scene.settled_group("dev", &ids).await;
        let other = std::mem::replace(&mut scene.c, own);
        scene.set_active(&first, "ann", false).await;
        scene.confirm_user(first.key).await;
        scene.c = other;
        scene.change(&group, remove(&ids)).await.unwrap();
        scene.c = own;
        scene.set_active(&first, "ann", true).await;
        let anew = UserLearned {
            observed: Some(present()),
            settled: true,
            recreated: true,
            ..UserLearned::default()
        };
        let turn = scene.store.begin_user_turn(first.key).await.unwrap();
        assert!(turn.is_some());
        let end = scene.store.end_user_turn(first.key, anew, 2_000);
        end.await.unwrap();
        scene.c = other;
        scene.change(&group, add(&ids)).await.unwrap();
        let turn = scene.begin(group.key).await;
        let adds: Vec<_> = turn.work.adds.iter().map(|p| p.user).collect();
        assert_eq!(adds, [ann.key]);
    }
}
