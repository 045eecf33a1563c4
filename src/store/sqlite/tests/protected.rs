//! What nobody takes away, whoever approves (reliability: G-5): by no path, in
//! no spelling, and not by putting somebody in its place who never arrives.

use std::sync::Arc;

use super::{
    guards::{at, watched},
    *,
};
use crate::{
    plan::guard::{Guard, Protected, Protection, Roles},
    store::{RefusedAct, UserTurn, Watch},
};

mod ends;

impl Scene {
    /// Users whose accounts are there.
    async fn accounts(&self, prefix: &str, count: usize) -> Vec<ResourceId> {
        let mut ids = Vec::new();
        for n in 0..count {
            ids.push(self.member(&format!("{prefix}{n}")).await.resource.id);
        }
        ids
    }

    pub(super) async fn delete_group(
        &self,
        group: &GroupWritten,
        by: Actor,
    ) -> Result<GroupWritten, WriteError> {
        let decide = Box::new(|_: &crate::store::StoredGroup| Ok(None));
        let id = group.resource.id;
        self.store
            .delete_group(self.c, id, always(), decide, None, by)
            .await
    }
}

impl Scene {
    async fn noted(&self) -> usize {
        let rows = self.store.audit(0, 1_000).await.unwrap();
        let noted = rows.iter().filter(|row| row.action == "refuse_protected");
        noted.count()
    }
}

/// Only what is protected is looked at.
pub(super) fn protecting(users: &[&str], groups: &[&str], least: &[(&str, u64)]) -> Actor {
    let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let protected = Protected::named(&names(users), &names(groups), least.iter().copied());
    watched(
        Guard {
            protected,
            ..Guard::off()
        },
        0,
    )
}

fn protection<T: std::fmt::Debug>(done: Result<T, WriteError>) -> Protection {
    match done {
        Err(WriteError::Protected(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_protected_is_not_taken_away_by_any_path() {
    let scene = Scene::new().await;
    let ids = scene.accounts("m", 4).await;
    let group = scene.settled_group("Admins", &ids[..3]).await;
    let other = scene.settled_group("dev", &ids).await;
    let guard = Guard {
        protected: Protected {
            users: ["m0@example.com".to_owned()].into(),
            groups: ["admins".to_owned()].into(),
            least_members: [("admins".to_owned(), 2)].into(),
        },
        ..Guard::off()
    };
    let approved = Actor {
        watch: Watch::Approved(Arc::new(guard.clone()), crate::store::HoldId(id(100))),
        ..actor()
    };
    for by in [watched(guard, 0), approved] {
        let stopped = |done: Result<GroupWritten, WriteError>| match done {
            Err(WriteError::Protected(what)) => what,
            other => panic!("{other:?}"),
        };
        let user = Protection::User(ids[0]);
        let least = Protection::Least(group.resource.id, 2);
        for gone in [remove(&ids[..1]), replace(&ids[1..])] {
            assert_eq!(
                stopped(scene.change_as(&other, gone, by.clone()).await),
                user
            );
        }
        let two = scene.change_as(&group, remove(&ids[1..3]), by.clone());
        assert_eq!(stopped(two.await), least);
        let decide = Box::new(|_: &crate::store::StoredGroup| Ok(None));
        let id = group.resource.id;
        let deleted = scene
            .store
            .delete_group(scene.c, id, always(), decide, None, by.clone());
        assert_eq!(stopped(deleted.await), Protection::Group(id));
        for left in [
            scene.deactivate(ids[0], by.clone()).await,
            scene
                .store
                .delete_user(scene.c, ids[0], always(), by.clone())
                .await,
        ] {
            assert_eq!(left, Err(WriteError::Protected(user)));
        }
    }
    // The third may go, the second of the two that are left may not, also when
    // it leaves the application.
    let by = watched(
        Guard {
            protected: Protected {
                least_members: [("admins".to_owned(), 2)].into(),
                ..Protected::default()
            },
            ..Guard::off()
        },
        0,
    );
    assert!(scene.deactivate(ids[2], by.clone()).await.is_ok());
    let least = Protection::Least(group.resource.id, 2);
    let left = scene.deactivate(ids[1], by.clone()).await;
    assert_eq!(left, Err(WriteError::Protected(least)));
    let gone = scene.store.delete_user(scene.c, ids[1], always(), by);
    assert_eq!(gone.await, Err(WriteError::Protected(least)));
}

#[tokio::test]
async fn a_group_that_a_protected_user_is_in_is_not_deleted() {
    let scene = Scene::new().await;
    let ids = scene.accounts("m", 2).await;
    let with = scene.settled_group("with", &ids).await;
    let without = scene.settled_group("without", &ids[..1]).await;
    let by = protecting(&["M1@example.com"], &[], &[]);
    let refused = scene.delete_group(&with, by.clone()).await;
    assert_eq!(protection(refused), Protection::User(ids[1]));
    assert_eq!(scene.members(&with).await.len(), 2);
    scene.delete_group(&without, by).await.unwrap();
}

#[tokio::test]
async fn who_is_not_known_to_be_there_takes_nobodys_place() {
    let scene = Scene::new().await;
    let ids = scene.accounts("m", 3).await;
    let nobody = scene.user("accountless").await.resource.id;
    let group = scene.settled_group("admins", &ids[..2]).await;
    let by = protecting(&[], &["dev"], &[("admins", 2)]);
    let least = Protection::Least(group.resource.id, 2);
    // Without an account, and with one but not in the group yet.
    for new in [nobody, ids[2]] {
        let swap = replace(&[ids[0], new]);
        let refused = scene.change_as(&group, swap, by.clone()).await;
        assert_eq!(protection(refused), least);
        let left = scene.change_as(&group, add(&[new]), by.clone()).await;
        left.unwrap();
        let refused = scene.change_as(&group, remove(&ids[1..2]), by.clone());
        assert_eq!(protection(refused.await), least);
        let refused = scene.deactivate(ids[1], by.clone()).await;
        assert_eq!(protection(refused), least);
    }
    // In flight is not there either; once it arrived, it counts.
    let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
    let refused = scene.change_as(&group, remove(&ids[1..2]), by.clone());
    assert_eq!(protection(refused.await), least);
    let turn = turn.unwrap();
    let learned = GroupLearned {
        present: turn.work.adds.iter().map(|p| p.user).collect(),
        ..GroupLearned::default()
    };
    let end = scene.store.end_group_turn(group.key, turn.seq, learned, 1);
    end.await.unwrap();
    scene
        .change_as(&group, remove(&ids[1..2]), by)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_name_is_protected_in_every_spelling_that_is_the_same_user_name() {
    let scene = Scene::new().await;
    let user = scene.member("jose\u{301}").await.resource.id;
    let group = scene.settled_group("E\u{301}quipe", &[user]).await;
    let by = protecting(&["jos\u{e9}@example.com"], &[], &[]);
    let refused = scene.change_as(&group, remove(&[user]), by).await;
    assert_eq!(protection(refused), Protection::User(user));
    let by = protecting(&[], &["\u{e9}quipe"], &[]);
    let refused = scene.delete_group(&group, by).await;
    assert_eq!(protection(refused), Protection::Group(group.resource.id));
}

#[tokio::test]
async fn a_list_of_unknown_members_empties_no_group() {
    let scene = Scene::new().await;
    let ids = scene.accounts("m", 2).await;
    let group = scene.settled_group("dev", &ids).await;
    let unknown = texts(&[id(404), id(405)]);
    let lenient = |names: Vec<String>| GroupChange {
        skip_unknown: true,
        ..change(vec![MemberChange::Replace(names)])
    };
    let refused = scene.change_as(&group, lenient(unknown.clone()), at(0));
    let refused = refused.await;
    assert_eq!(refused, Err(WriteError::UnknownMembers(unknown.clone())));
    assert_eq!(scene.members(&group).await, ids);
    // One who is known is enough, and so is a list that is empty on purpose.
    let one = [texts(&ids[..1]), unknown.clone()].concat();
    let kept = scene.change_as(&group, lenient(one), at(0)).await.unwrap();
    assert_eq!(kept.skipped, unknown);
    assert_eq!(scene.members(&group).await, ids[..1]);
    let emptied = scene.change_as(&group, lenient(Vec::new()), at(0));
    emptied.await.unwrap();
    // Where nobody is, nobody is lost.
    let first = scene.change_as(&group, lenient(unknown), at(0)).await;
    assert!(!first.unwrap().changed);
}

#[tokio::test]
async fn what_was_accepted_before_it_was_protected_is_told_and_not_sent() {
    let scene = Scene::new().await;
    let ids = scene.accounts("m", 6).await;
    let dev = scene.settled_group("dev", &ids).await;
    let admins = scene.settled_group("Admins", &ids[4..]).await;
    let old = scene.settled_group("old", &ids[..1]).await;
    scene.change(&dev, remove(&ids[..2])).await.unwrap();
    scene.change(&admins, remove(&ids[4..])).await.unwrap();
    for id in &ids[1..3] {
        scene.deactivate(*id, actor()).await.unwrap();
    }
    scene.delete_group(&old, actor()).await.unwrap();
    let pending = scene.lanes().await;
    assert_eq!(pending.len(), 5);

    let scene = scene.reopen().await;
    let nobody = protecting(&["nobody"], &["none"], &[]);
    assert_eq!(scene.store.uphold(scene.c, nobody).await, Ok(0));
    assert_eq!(scene.noted().await, 0);
    let by = || protecting(&["m0", "m1@example.com"], &["admins"], &[]);
    // One user, a membership each, a group with a protected member, and both
    // of a group that would have nobody.
    assert_eq!(scene.store.uphold(scene.c, by()).await, Ok(6));
    assert_eq!(scene.noted().await, 1);
    let told = scene.store.refused_resources(scene.c, 10).await.unwrap();
    let told: Vec<ResourceId> = told.iter().map(|it| it.id).collect();
    assert_eq!(told, [old.resource.id, ids[1]]);
    let memberships = scene.store.refusals(scene.c, 10).await.unwrap();
    let mut whom: Vec<ResourceId> = memberships.iter().map(|it| it.user).collect();
    whom.sort_unstable();
    assert_eq!(whom, [ids[0], ids[1], ids[4], ids[5]]);
    let users: Vec<Lane> = scene
        .lanes()
        .await
        .into_iter()
        .filter(|it| matches!(it, Lane::User(_)))
        .collect();
    assert_eq!(users.len(), 1, "the other leaves");
    for group in [&dev, &admins, &old] {
        let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
        assert_eq!(turn, None);
    }
    assert_eq!(scene.members(&dev).await, ids[2..], "as it was asked for");
    // Neither a reconciliation nor asking again sends it, and who asks is told.
    assert_eq!(scene.store.retry_ends(scene.c, actor()).await, Ok(vec![]));
    let again = scene.deactivate(ids[1], by()).await.unwrap_err();
    assert!(matches!(again, WriteError::Problem(it) if it.status == 403));
    assert_eq!(scene.store.uphold(scene.c, by()).await, Ok(6), "once each");

    let none = protecting(&[], &[], &[]);
    assert_eq!(scene.store.uphold(scene.c, none).await, Ok(0));
    assert_eq!(scene.lanes().await, pending);
    assert_eq!(scene.store.refusals(scene.c, 10).await, Ok(vec![]));
    let turn = scene.store.begin_group_turn(dev.key, 10).await.unwrap();
    assert_eq!(turn.unwrap().work.removes.len(), 2);
}

#[tokio::test]
async fn who_was_about_to_lose_access_keeps_it_where_too_few_would_be_left() {
    let scene = Scene::new().await;
    let ids = scene.accounts("m", 4).await;
    scene.settled_group("Admins", &ids[..3]).await;
    for id in &ids[2..] {
        scene.deactivate(*id, actor()).await.unwrap();
    }
    let by = |least| protecting(&[], &[], &[("admins", least)]);
    assert_eq!(scene.store.uphold(scene.c, by(2)).await, Ok(0));
    assert_eq!(scene.store.uphold(scene.c, by(3)).await, Ok(1));
    let told = scene.store.refused_resources(scene.c, 10).await.unwrap();
    let told: Vec<ResourceId> = told.iter().map(|it| it.id).collect();
    assert_eq!(told, ids[2..3]);
    assert_eq!(
        scene.lanes().await.len(),
        1,
        "who is in no such group leaves"
    );
    assert_eq!(scene.store.uphold(scene.c, by(3)).await, Ok(1), "as before");
    assert_eq!(scene.store.uphold(scene.c, by(2)).await, Ok(0));
    assert_eq!(scene.lanes().await.len(), 2);
}

/// Who was to stay is not there, as is found before the removal is sent.
async fn lost(scene: &Scene, group: &GroupWritten, user: UserKey) {
    let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
    let turn = turn.unwrap();
    let learned = GroupLearned {
        absent: vec![user],
        unsent: turn.work.removes.iter().map(|it| it.user).collect(),
        ..GroupLearned::default()
    };
    let store = &scene.store;
    let end = store.end_group_turn(group.key, turn.seq, learned, 2_000);
    end.await.unwrap();
}

#[tokio::test]
async fn what_was_judged_by_the_same_rule_when_it_was_accepted_is_not_given_up_at_a_start() {
    for judged in [true, false] {
        let scene = Scene::new().await;
        let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
        let ids = [ann.resource.id, ben.resource.id];
        let adm = scene.settled_group("adm", &ids).await;
        let by = |least| protecting(&[], &[], &[("adm", least)]);
        if judged {
            assert_eq!(scene.store.uphold(scene.c, by(1)).await, Ok(0));
        }
        let out = scene.change_as(&adm, remove(&ids[..1]), by(1)).await;
        out.unwrap();
        lost(&scene, &adm, ben.key).await;
        let scene = scene.reopen().await;
        let kept = scene.store.uphold(scene.c, by(1)).await;
        assert_eq!(kept, Ok(u64::from(!judged)));
        // By a stricter one it was not judged, and what was kept is kept.
        for _ in 0..2 {
            assert_eq!(scene.store.uphold(scene.c, by(2)).await, Ok(1), "{judged}");
        }
        let turn = scene.store.begin_group_turn(adm.key, 10).await.unwrap();
        assert_eq!(turn.unwrap().work.removes.len(), 0);
    }
}

#[tokio::test]
async fn who_may_be_there_counts_at_a_start() {
    let scene = Scene::new().await;
    let ids = scene.accounts("m", 2).await;
    let adm = scene.settled_group("adm", &ids[..1]).await;
    scene.change(&adm, add(&ids[1..])).await.unwrap();
    scene.store.begin_group_turn(adm.key, 10).await.unwrap();
    scene.change(&adm, remove(&ids[..1])).await.unwrap();
    let scene = scene.reopen().await;
    let by = |least| protecting(&[], &[], &[("adm", least)]);
    assert_eq!(scene.store.uphold(scene.c, by(1)).await, Ok(0));
    assert_eq!(scene.store.uphold(scene.c, by(2)).await, Ok(1));
}

/// Three of four were to go from a group that came to be protected then: one by a
/// request, one by the end of the account, one with the User.
async fn kept_in_one(scene: &Scene) -> (GroupWritten, Vec<ResourceId>) {
    let ids = scene.accounts("m", 4).await;
    let adm = scene.settled_group("adm", &ids[..3]).await;
    scene.change(&adm, remove(&ids[..1])).await.unwrap();
    scene.deactivate(ids[1], actor()).await.unwrap();
    let deleted = scene.store.delete_user(scene.c, ids[2], always(), actor());
    deleted.await.unwrap();
    let by = protecting(&[], &[], &[("adm", 1)]);
    assert_eq!(scene.store.uphold(scene.c, by).await, Ok(3));
    (adm, ids)
}

#[tokio::test]
async fn what_is_kept_is_judged_anew_when_it_is_asked_for_again() {
    let scene = Scene::new().await;
    let (adm, ids) = kept_in_one(&scene).await;
    let by = || protecting(&[], &[], &[("adm", 1)]);
    let whom = async || -> Vec<ResourceId> {
        let told = scene.store.refusals(scene.c, 10).await.unwrap();
        assert!(told.iter().all(|it| it.reason.contains("ask again when")));
        told.iter().map(|it| it.user).collect()
    };
    assert_eq!(whom().await.len(), 2);
    let least = |done: Result<GroupWritten, WriteError>| {
        matches!(done, Err(WriteError::Protected(Protection::Least(..))))
    };
    let out = || remove(&ids[..1]);
    assert!(least(scene.change_as(&adm, out(), by()).await));
    let off = scene.deactivate(ids[1], by()).await.unwrap_err();
    assert!(matches!(off, WriteError::Protected(Protection::Least(..))));
    assert_eq!(scene.store.retry_ends(scene.c, by()).await, Ok(vec![]));
    // A whole list that leaves them out brings who is to stay, and is taken.
    let whole = scene.change_as(&adm, replace(&ids[3..]), by()).await;
    assert!(whole.unwrap().changed);
    assert_eq!(whom().await.len(), 2);
    let turn = scene.store.begin_group_turn(adm.key, 10).await.unwrap();
    let turn = turn.unwrap();
    assert!(
        turn.work.removes.iter().all(|it| it.id == ids[1]),
        "{turn:?}"
    );
    let learned = GroupLearned {
        present: turn.work.adds.iter().map(|it| it.user).collect(),
        unsent: turn.work.removes.iter().map(|it| it.user).collect(),
        ..GroupLearned::default()
    };
    let end = scene
        .store
        .end_group_turn(adm.key, turn.seq, learned, 2_000);
    end.await.unwrap();
    // Somebody is there now.
    let done = scene.change_as(&adm, out(), by()).await.unwrap();
    assert_eq!(done.touched.len(), 1);
    let lanes = scene.store.retry_ends(scene.c, by()).await.unwrap();
    assert!(lanes.contains(&Lane::Group(adm.key)));
    assert_eq!(whom().await, []);
    assert!(scene.deactivate(ids[1], by()).await.unwrap().dirty);
    let turn = scene.store.begin_group_turn(adm.key, 10).await.unwrap();
    let mut gone: Vec<ResourceId> = turn.unwrap().work.removes.iter().map(|it| it.id).collect();
    gone.sort_unstable();
    assert_eq!(gone, ids[..3]);
    // It stays so at the next start, as it was judged.
    assert_eq!(scene.store.uphold(scene.c, by()).await, Ok(0));
}

/// `boss` stands before `user`, and that before `guest`.
fn keeping(users: &[&str]) -> Actor {
    let order: [(&str, &[&str]); 2] = [("boss", &["user", "guest"]), ("user", &["guest"])];
    let names: Vec<String> = users.iter().map(|name| (*name).to_owned()).collect();
    let guard = Guard {
        protected: Protected::named(&names, &[], []),
        roles: Roles::new(Some("user"), &order),
        ..Guard::off()
    };
    watched(guard, 0)
}

#[tokio::test]
async fn a_role_that_was_lowered_before_its_user_was_protected_stays() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("m0").await, scene.member("m1").await);
    let (id, other) = (ann.resource.id, bob.resource.id);
    scene.give(id, "boss", None).await;
    scene.confirm_user(ann.key).await;
    scene.give(id, "user", None).await;
    // A call that was not answered, and after that no role is known.
    let turn = scene.take(ann.key).await;
    let mut learned = UserLearned {
        observed: Some(turn.work.observed.clone()),
        ..UserLearned::default()
    };
    learned.observed.as_mut().unwrap().forget_fields();
    let end = scene.store.end_user_turn(ann.key, learned, 3_000);
    end.await.unwrap();
    // Who is to have more goes on.
    scene.give(other, "boss", None).await;
    let scene = scene.reopen().await;
    let by = || keeping(&["m0", "m1"]);
    assert_eq!(scene.store.uphold(scene.c, keeping(&["m2"])).await, Ok(0));
    assert_eq!(scene.store.uphold(scene.c, by()).await, Ok(1));
    let told = scene.store.refused_resources(scene.c, 10).await.unwrap();
    let told: Vec<_> = told.iter().map(|it| (it.id, it.asked)).collect();
    assert_eq!(told, [(id, RefusedAct::Change)]);
    assert_eq!(scene.lanes().await, [Lane::User(bob.key)]);

    // Asking again does not send it, nor does another change with it.
    let again = scene.give_as(id, "user", None, by()).await.unwrap_err();
    assert!(matches!(again, WriteError::Problem(it) if it.status == 403));
    scene.give_as(id, "user", Some("red"), by()).await.unwrap();
    let more = scene.give_as(id, "guest", None, by()).await;
    assert_eq!(protection(more), Protection::Role(id));
    // That change is sent without the role, also after an end of the process.
    let both = [Lane::User(ann.key), Lane::User(bob.key)];
    assert_eq!(scene.lanes().await, both);
    let scene = scene.reopen().await;
    assert_eq!(scene.store.uphold(scene.c, by()).await, Ok(1));
    assert_eq!(scene.lanes().await, both);
    let turn = scene.take(ann.key).await;
    let wanted = &turn.work.wanted;
    assert_eq!((wanted.active, &wanted.role), (true, &None));
    assert!(
        !turn.work.observed.may_have_role,
        "nor is a plain one given"
    );
    assert_eq!(wanted.profile["team"], "red");
    scene.sends(ann.key, &turn, None).await;
    assert_eq!(scene.lanes().await, [Lane::User(bob.key)]);
    assert_eq!(scene.kept().await, [id], "it is told still");
    let dev = scene.settled_group("dev", &[id]).await;
    assert_eq!(
        scene.members(&dev).await,
        [id],
        "and takes nothing else away"
    );

    assert_eq!(scene.store.uphold(scene.c, keeping(&[])).await, Ok(0));
    let wanted = scene.take(ann.key).await.work.wanted;
    assert_eq!(wanted.role.as_deref(), Some("user"));
}

impl Scene {
    /// The profile of such a turn arrives, or is refused.
    async fn sends(&self, key: UserKey, turn: &UserTurn, refused: Option<&str>) {
        let mut observed = turn.work.observed.clone();
        if refused.is_none() {
            observed.profile = Some(turn.work.wanted.profile.clone());
        }
        let learned = UserLearned {
            observed: Some(observed),
            settled: true,
            refused: refused.map(str::to_owned),
            ..UserLearned::default()
        };
        let end = self.store.end_user_turn(key, learned, 4_000);
        end.await.unwrap();
    }

    /// Who is told as refused because of a protection.
    async fn kept(&self) -> Vec<ResourceId> {
        let told = self.store.refused_resources(self.c, 10).await.unwrap();
        let told = told.iter();
        let kept = told.filter(|it| it.reason.starts_with("it is protected here"));
        kept.map(|it| it.id).collect()
    }
}

#[tokio::test]
async fn who_is_kept_from_an_end_is_sent_what_else_is_asked_for() {
    let scene = Scene::new().await;
    let ann = scene.member("m0").await;
    let id = ann.resource.id;
    scene.give(id, "boss", Some("blue")).await;
    scene.confirm_user(ann.key).await;
    let dev = scene.settled_group("dev", &[id]).await;
    scene.deactivate(id, actor()).await.unwrap();
    let by = || keeping(&["m0"]);
    assert_eq!(scene.store.uphold(scene.c, by()).await, Ok(1));
    assert_eq!(scene.lanes().await, []);
    scene.give_as(id, "boss", Some("red"), by()).await.unwrap();
    assert_eq!(scene.lanes().await, [Lane::User(ann.key)]);
    // No end is on its way by that.
    assert_eq!(scene.store.oldest_revocation(scene.c).await, Ok(None));
    let turn = scene.take(ann.key).await;
    let wanted = &turn.work.wanted;
    assert!(wanted.active && !turn.unsure, "nothing is ended or made");
    assert_eq!(wanted.role, turn.work.observed.role);
    assert_eq!(wanted.profile["team"], "red");
    // What the application refuses of it is not sent again, and lets nobody go.
    scene.sends(ann.key, &turn, Some("no such team")).await;
    assert_eq!(
        (scene.lanes().await, scene.kept().await),
        (vec![], vec![id])
    );
    scene
        .give_as(id, "boss", Some("green"), by())
        .await
        .unwrap();
    let turn = scene.take(ann.key).await;
    scene.sends(ann.key, &turn, None).await;
    assert_eq!(
        (scene.lanes().await, scene.kept().await),
        (vec![], vec![id])
    );
    assert_eq!(scene.members(&dev).await, [id]);
    // When the protection ends the end is what was asked for.
    assert_eq!(scene.store.uphold(scene.c, keeping(&[])).await, Ok(0));
    assert!(!scene.take(ann.key).await.work.wanted.active);
}

#[tokio::test]
async fn who_is_to_have_the_role_before_again_is_kept_from_nothing() {
    let scene = Scene::new().await;
    let ann = scene.member("m0").await;
    let id = ann.resource.id;
    scene.give(id, "boss", None).await;
    scene.confirm_user(ann.key).await;
    scene.give(id, "guest", None).await;
    let by = || keeping(&["m0"]);
    assert_eq!(scene.store.uphold(scene.c, by()).await, Ok(1));
    let less = scene.give_as(id, "user", None, by()).await;
    assert_eq!(protection(less), Protection::Role(id), "it is a boss still");
    scene.give_as(id, "boss", Some("red"), by()).await.unwrap();
    let turn = scene.take(ann.key).await;
    assert_eq!(turn.work.observed.role.as_deref(), Some("boss"));
    assert_eq!(turn.work.wanted.profile["team"], "red");
}
