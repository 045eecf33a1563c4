//! What a connection has deleted, and a call of its own may still reach: another one
//! has it when that is over.

use super::{super::add as more, *};
use crate::{
    plan::{operation::Operation, state::Principal},
    store::{Awaited, GroupTurn, UNANSWERED},
};

const LATER: i64 = 60_000;

fn is_awaited<T: std::fmt::Debug>(done: Result<T, WriteError>) -> bool {
    match done {
        Err(WriteError::Later(detail, _)) => detail.contains("nothing was changed"),
        _ => false,
    }
}

fn creation(principal: &Principal) -> Operation {
    Operation::CreateUser {
        account: principal.account.clone(),
        role: None,
        fields: std::collections::BTreeMap::new(),
        upstream_id: None,
    }
}

fn end(principal: &Principal) -> Operation {
    let principal = principal.clone();
    Operation::DeactivateUser { principal }
}

fn sites(all: [ConnectionKey; 2]) -> Vec<(ConnectionKey, Option<Site>)> {
    all.map(|c| (c, site(true))).to_vec()
}

impl Scene {
    /// A user's turn of which a call got no answer.
    async fn no_answer(&self, user: UserKey, call: impl FnOnce(&Principal) -> Operation) {
        let turn = self.store.begin_user_turn(user).await.unwrap().unwrap();
        let learned = UserLearned {
            calls: vec![(call(&turn.work.principal), UNANSWERED.into(), 1.into())],
            ..UserLearned::default()
        };
        let end = self.store.end_user_turn(user, learned, 3_000);
        end.await.unwrap();
    }

    /// The same of a group.
    async fn no_answer_of(&self, key: GroupKey, call: impl FnOnce(&GroupTurn) -> Operation) {
        let begin = self.store.begin_group_turn(key, 1_000);
        let turn = begin.await.unwrap().unwrap();
        let learned = GroupLearned {
            calls: vec![(call(&turn), UNANSWERED.into(), 1.into())],
            ..GroupLearned::default()
        };
        let end = self.store.end_group_turn(key, turn.seq, learned, 3_000);
        end.await.unwrap();
    }

    async fn is_deleted(&self, user: &UserWritten) {
        let id = user.resource.id;
        let gone = self.store.delete_user(self.c, id, always(), actor());
        gone.await.unwrap();
    }

    async fn has_gone(&self, group: &GroupWritten) {
        let keep = Box::new(|_: &crate::store::StoredGroup| Ok(None));
        let id = group.resource.id;
        let gone = self
            .store
            .delete_group(self.c, id, always(), keep, None, actor());
        gone.await.unwrap();
    }

    async fn can_land_no_more(&self) -> Vec<Lane> {
        let recheck = self
            .store
            .recheck_late(self.c, (LATER, i64::MIN), LATER, 10_000);
        recheck.await.unwrap()
    }

    async fn asks(&self, c: ConnectionKey, name: &str) -> Result<UserWritten, WriteError> {
        let row = user_row(name);
        self.store.create_user(c, fresh_id(), row, actor()).await
    }
}

#[tokio::test]
async fn a_deleted_account_is_the_others_when_an_unanswered_creation_was_looked_for() {
    let (scene, other) = pair(true).await;
    let user = scene.user("n").await;
    scene.no_answer(user.key, creation).await;
    scene.is_deleted(&user).await;
    assert!(is_awaited(scene.asks(other, "n").await));
    scene.confirm_user(user.key).await;
    assert!(is_awaited(scene.asks(other, "n").await));
    let scene = scene.reopen().await;
    scene
        .store
        .settle_sites(sites([scene.c, other]))
        .await
        .unwrap();
    assert!(is_awaited(scene.asks(other, "n").await));
    // It may have landed, and is ended once more first.
    assert_eq!(scene.can_land_no_more().await, [Lane::User(user.key)]);
    assert!(is_awaited(scene.asks(other, "n").await));
    scene.confirm_user(user.key).await;
    scene.asks(other, "n").await.unwrap();
    assert!(is_elsewhere(scene.asks(scene.c, "n").await));
}

#[tokio::test]
async fn and_when_an_unanswered_end_can_land_no_more() {
    let (scene, other) = pair(true).await;
    let user = scene.member("n").await;
    scene.is_deleted(&user).await;
    scene.no_answer(user.key, end).await;
    scene.confirm_user(user.key).await;
    assert!(is_awaited(scene.asks(other, "n").await));
    assert_eq!(scene.can_land_no_more().await, []);
    scene.asks(other, "n").await.unwrap();
}

#[tokio::test]
async fn who_found_the_account_has_it_no_sooner() {
    let (mut scene, other) = pair(true).await;
    scene
        .store
        .settle_sites(vec![(scene.c, None), (other, None)])
        .await
        .unwrap();
    let user = scene.member("n").await;
    let found = scene.asks(other, "n").await.unwrap();
    scene.confirm_user(found.key).await;
    scene
        .store
        .settle_sites(sites([scene.c, other]))
        .await
        .unwrap();
    scene.is_deleted(&user).await;
    scene.no_answer(user.key, end).await;
    scene.confirm_user(user.key).await;
    let here = std::mem::replace(&mut scene.c, other);
    let change = || {
        let mut row = user_row("n");
        row.account.role = Some("boss".into());
        let decide = Box::new(|_: &_| Ok(Some(row)));
        let id = found.resource.id;
        scene
            .store
            .change_user(other, id, always(), decide, actor())
    };
    assert!(is_awaited(change().await));
    let recheck = scene
        .store
        .recheck_late(here, (LATER, i64::MIN), LATER, 10_000);
    assert_eq!(recheck.await.unwrap(), []);
    change().await.unwrap();
}

#[tokio::test]
async fn a_deleted_group_is_the_others_when_nothing_can_land_in_it_any_more() {
    let deletion = |turn: &GroupTurn| Operation::DeleteGroup {
        name: turn.work.name.clone(),
    };
    let addition = |turn: &GroupTurn| Operation::AddMembers {
        group: turn.work.name.clone(),
        members: turn.work.adds.clone(),
    };
    for late_deletion in [true, false] {
        let (scene, other) = pair(true).await;
        let ann = scene.member("ann").await;
        let team = make(&scene, scene.c, "team").await.unwrap();
        scene.confirm_group(&team).await;
        let there = found(&scene, other, "team").await;
        if !late_deletion {
            scene.change(&team, more(&[ann.resource.id])).await.unwrap();
            scene.no_answer_of(team.key, addition).await;
        }
        scene.has_gone(&team).await;
        if late_deletion {
            scene.no_answer_of(team.key, deletion).await;
        }
        scene.confirm_group(&team).await;
        let b = scene.asks(other, "b").await.unwrap();
        let ask = || {
            let change = more(&[b.resource.id]);
            let store = &scene.store;
            store.change_group(other, there, always(), change, actor())
        };
        assert!(is_awaited(ask().await), "{late_deletion}");
        let left = scene.store.delete_group(
            other,
            there,
            always(),
            Box::new(|_: &crate::store::StoredGroup| Ok(None)),
            None,
            actor(),
        );
        assert!(is_awaited(left.await), "{late_deletion}");
        assert_eq!(scene.can_land_no_more().await, []);
        assert!(ask().await.unwrap().changed);
    }
}

#[tokio::test]
async fn and_so_is_its_name() {
    let (scene, other) = pair(true).await;
    let team = make(&scene, scene.c, "team").await.unwrap();
    scene.confirm_group(&team).await;
    scene.has_gone(&team).await;
    assert!(is_awaited(make(&scene, other, "team").await));
    scene
        .no_answer_of(team.key, |turn| Operation::DeleteGroup {
            name: turn.work.name.clone(),
        })
        .await;
    scene.confirm_group(&team).await;
    assert!(is_awaited(make(&scene, other, "team").await));
    assert_eq!(scene.can_land_no_more().await, []);
    make(&scene, other, "team").await.unwrap();
    assert!(is_elsewhere(make(&scene, scene.c, "team").await));
}

/// Each was alone there once, so the account is the other one's all the same.
#[tokio::test]
async fn what_another_one_has_by_now_is_neither_doubted_nor_ended() {
    for known in [false, true] {
        let (scene, other) = pair(true).await;
        let alone = || vec![(scene.c, None), (other, None)];
        scene.store.settle_sites(alone()).await.unwrap();
        let user = scene.user("n").await;
        scene.no_answer(user.key, creation).await;
        scene.is_deleted(&user).await;
        scene.confirm_user(user.key).await;
        let theirs = scene.asks(other, "n").await.unwrap();
        scene.confirm_user(theirs.key).await;
        let together = || scene.store.settle_sites(sites([other, scene.c]));
        if known {
            together().await.unwrap();
            assert_eq!(scene.can_land_no_more().await, []);
        } else {
            // Ended once more as long as nobody else is known to have it.
            assert_eq!(scene.can_land_no_more().await, [Lane::User(user.key)]);
            together().await.unwrap();
        }
        let turn = scene.store.begin_user_turn(user.key).await.unwrap();
        assert!(turn.is_none());
    }
}

/// Nothing else keeps what it had: what it has still is free as well.
#[tokio::test]
async fn who_is_not_configured_any_more_keeps_only_what_its_calls_may_reach_yet() {
    for alone in [true, false] {
        let (scene, other) = pair(true).await;
        let user = scene.member("n").await;
        scene.is_deleted(&user).await;
        scene.no_answer(user.key, end).await;
        scene.confirm_user(user.key).await;
        scene.member("calm").await;
        let team = make(&scene, scene.c, "team").await.unwrap();
        scene
            .no_answer_of(team.key, |turn| Operation::CreateGroup {
                name: turn.work.name.clone(),
                members: Vec::new(),
            })
            .await;
        let third = scene.store.connection("third").await.unwrap();
        let left = if alone {
            vec![(other, None)]
        } else {
            let site = |name: &str| Site {
                name: name.into(),
                accounts: true,
            };
            vec![(other, Some(site("app 2"))), (third, Some(site("app 2")))]
        };
        let settle = || scene.store.settle_sites(left.clone());
        for _ in 0..2 {
            settle().await.unwrap();
            scene.asks(other, "calm").await.unwrap_or_else(|error| {
                assert!(matches!(error, WriteError::Taken { .. }), "{error}");
                user.clone()
            });
            let waits = scene.asks(other, "n").await;
            let since = match &waits {
                Err(WriteError::Later(_, Awaited::Departed(since))) => Some(*since),
                _ => None,
            };
            assert_eq!(since, Some(3_000), "{waits:?}");
            assert!(is_awaited(waits));
            assert!(is_awaited(make(&scene, other, "team").await));
            let told = scene.store.managed_elsewhere(other, 9).await.unwrap();
            assert_eq!(told, []);
        }
        scene.can_land_no_more().await;
        scene.asks(other, "n").await.unwrap();
        make(&scene, other, "team").await.unwrap();
        settle().await.unwrap();
        // It comes back, and that is the other one's.
        let again = scene.store.settle_sites(sites([scene.c, other]));
        again.await.unwrap();
        assert!(is_elsewhere(scene.asks(scene.c, "n").await));
    }
}
