//! What a reconciliation may write here: never for who has no access, never
//! past the guard rails, and never of what is protected (reliability: I-15,
//! I-24, H-15).
use std::time::Duration;

use super::{
    guards::{rule, watched},
    late::{LATER, keys},
    *,
};
use crate::{
    plan::{
        drift::{GroupDrift, of_group, untouched},
        guard::{Guard, Limit, Protected, Rule},
        operation::Operation,
    },
    store::{Drifted, GroupTurn, ImportMark, Repaired, Settle},
};

impl Scene {
    async fn now(&self) -> ImportMark {
        self.store.import_mark(i64::MAX).await.unwrap()
    }

    async fn settle(&self, group: &GroupWritten, drift: GroupDrift, accept: bool) -> Repaired {
        let how = Settle {
            accept,
            ..Settle::default()
        };
        self.settle_as(group, drift, how, actor()).await
    }

    async fn settle_as(
        &self,
        group: &GroupWritten,
        drift: GroupDrift,
        how: Settle,
        by: Actor,
    ) -> Repaired {
        let since = self.now().await;
        let settle = self.store.settle_drift(group.key, since, drift, how, by);
        settle.await.unwrap()
    }
}

fn missing(users: &[&UserWritten]) -> GroupDrift {
    GroupDrift {
        missing: users.iter().map(|user| user.key).collect(),
        ..GroupDrift::default()
    }
}

#[tokio::test]
async fn what_an_inactive_user_is_a_member_of_is_kept_whatever_the_application_shows() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let both = [ann.resource.id, bob.resource.id];
    let group = scene.settled_group("dev", &both).await;
    scene.deactivate(ann.resource.id, actor()).await.unwrap();
    scene.confirm_user(ann.key).await;
    let pairs = scene.store.pairs(group.key).await.unwrap();
    let drift = of_group(&pairs, &[]);
    assert_eq!((drift.missing.clone(), drift.there), (vec![bob.key], 1));
    // Deactivated between the reading and the writing.
    for accept in [false, true] {
        let done = scene.settle(&group, missing(&[&ann]), accept).await;
        assert_eq!(done, Repaired::default());
    }
    assert_eq!(scene.members(&group).await, both);
    let done = scene.settle(&group, missing(&[&bob]), false).await;
    assert_eq!(done.wanted_again, 1);
}

/// Of a group that is written all the time, too.
#[tokio::test]
async fn who_nothing_was_asked_of_is_put_there_again_in_a_group_that_was_written_meanwhile() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let both = [ann.resource.id, bob.resource.id];
    let group = scene.settled_group("dev", &both).await;
    let before = scene.store.pairs(group.key).await.unwrap();
    for change in [remove(&both[1..]), add(&both[1..])] {
        scene.change(&group, change).await.unwrap();
        scene.confirm_group(&group).await;
    }
    let after = scene.store.pairs(group.key).await.unwrap();
    assert_eq!(untouched(&before, &after), [ann.key].into());
    assert_eq!(untouched(&after, &after), [ann.key, bob.key].into());

    let settle = async |drift: &GroupDrift, how| {
        let (store, since) = (&scene.store, ImportMark(0));
        let done = store.settle_drift(group.key, since, drift.clone(), how, actor());
        done.await.unwrap()
    };
    let as_settled = Settle {
        untouched: true,
        ..Settle::default()
    };
    let none = Repaired {
        overtaken: true,
        ..Repaired::default()
    };
    assert_eq!(settle(&missing(&[&ann]), Settle::default()).await, none);
    // Nobody ceases to be a member by such a reading.
    let accept = Settle {
        accept: true,
        ..as_settled
    };
    assert_eq!(settle(&missing(&[&ann]), accept).await, none);
    let gone = GroupDrift {
        gone: vec![ann.key],
        ..GroupDrift::default()
    };
    assert_eq!(settle(&gone, as_settled).await, none);
    assert_eq!(scene.members(&group).await, both);
    let done = settle(&missing(&[&ann]), as_settled).await;
    assert_eq!((done.wanted_again, done.overtaken), (1, false));
    assert_eq!(done.lanes, [Lane::Group(group.key)]);
}

/// Between the reading and the request somebody may have put them there again.
#[tokio::test]
async fn who_was_not_shown_is_taken_out_all_the_same_when_that_is_asked_for() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let anns = [ann.resource.id];
    let group = scene.settled_group("dev", &anns).await;
    let done = scene.settle(&group, missing(&[&ann]), false).await;
    assert_eq!(done.wanted_again, 1);
    scene.change(&group, remove(&anns)).await.unwrap();
    let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
    let removes = turn.expect("the lane has work").work.removes;
    let removes: Vec<UserKey> = removes.iter().map(|it| it.user).collect();
    assert_eq!(removes, [ann.key]);
}

/// A list that is wrong for long, of an application that refuses who is there already.
#[tokio::test]
async fn who_is_missed_by_a_reading_and_refused_stays_asked_for_and_is_told() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let both = [ann.resource.id, bob.resource.id];
    let group = scene.settled_group("dev", &both).await;
    let told = async || {
        let counts = scene.store.counts(scene.c).await.unwrap();
        let open = counts.pending_memberships + counts.unsettled.memberships;
        (counts.refused_memberships, open)
    };
    let refuse = async |user: &UserWritten| {
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.adds), [user.key]);
        let refused = GroupLearned {
            refused: vec![(user.key, "is a member already".into())],
            contradicted: vec![user.key],
            ..GroupLearned::default()
        };
        let end = scene
            .store
            .end_group_turn(group.key, turn.seq, refused, 2_000);
        end.await.unwrap();
    };
    for _ in 0..2 {
        let done = scene.settle(&group, missing(&[&ann]), false).await;
        assert_eq!(done.wanted_again, 1);
        refuse(&ann).await;
        let noted = scene.store.note_missing(group.key, vec![ann.key]).await;
        noted.unwrap();
        assert_eq!(scene.members(&group).await, both);
        assert_eq!(told().await, (1, 0));
        assert_eq!(scene.recheck(LATER).await, []);
    }
    // The next reading shows them.
    scene.store.note_missing(group.key, vec![]).await.unwrap();
    assert_eq!(told().await, (0, 0));

    // What is asked for once more is answered for: it is out if it is refused.
    scene.settle(&group, missing(&[&bob]), false).await;
    scene.change(&group, add(&both[1..])).await.unwrap();
    refuse(&bob).await;
    assert_eq!(scene.members(&group).await, both[..1]);
}

#[tokio::test]
async fn who_is_told_as_missing_is_put_there_again_also_where_a_removal_is_taken_back() {
    for handed_out in [false, true] {
        let scene = Scene::new().await;
        let ann = scene.member("ann").await;
        let anns = [ann.resource.id];
        let group = scene.settled_group("dev", &anns).await;
        let noted = scene.store.note_missing(group.key, vec![ann.key]);
        noted.await.unwrap();
        scene.change(&group, remove(&anns)).await.unwrap();
        scene.taken_back(&group, &ann, handed_out).await;
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.adds), [ann.key], "{handed_out}");
    }
}

/// It may land after the answer to what put them there again.
#[tokio::test]
async fn who_is_looked_for_because_of_a_late_removal_and_refused_stays_asked_for() {
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
    scene.recheck(LATER).await;
    let turn = scene.next(&group).await;
    assert_eq!(keys(&turn.work.adds), [ann.key]);
    let refused = GroupLearned {
        refused: vec![(ann.key, "is a member already".into())],
        contradicted: vec![ann.key],
        ..GroupLearned::default()
    };
    let end = scene
        .store
        .end_group_turn(group.key, turn.seq, refused, 4_000);
    end.await.unwrap();
    assert_eq!(scene.members(&group).await, anns);
    assert_eq!(scene.recheck(LATER).await, []);
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!(counts.refused_memberships, 1);
}

/// Users whose accounts were ended, as far as is known.
async fn ended(scene: &Scene, count: usize) -> Vec<UserWritten> {
    let mut users = Vec::new();
    for n in 0..count {
        let user = scene.member(&format!("m{n}")).await;
        scene.deactivate(user.resource.id, actor()).await.unwrap();
        scene.confirm_user(user.key).await;
        users.push(user);
    }
    users
}

fn guarded(at: i64) -> Actor {
    let limit = Limit {
        more_than: 5,
        percent: 1,
        within: Duration::from_secs(3_600),
    };
    let guard = Guard {
        removals: limit,
        protected: Protected::named(&["m0".to_owned()], &[], []),
        ..Guard::default()
    };
    watched(guard, at)
}

#[tokio::test]
async fn accounts_that_are_back_are_ended_again_within_the_limit_and_protected_ones_never() {
    let scene = Scene::new().await;
    let users = ended(&scene, 8).await;
    let keys: Vec<UserKey> = users.iter().map(|user| user.key).collect();
    let end = |keys: &[UserKey], believed, at| {
        scene.store.end_again(keys.to_vec(), believed, guarded(at))
    };
    let all = end(&keys, false, 0).await.unwrap();
    assert_eq!((all.ended_again, all.held, all.protected), (0, 7, 1));
    assert_eq!(scene.lanes().await, [], "nothing is sent");

    let few = end(&keys[..4], false, 0).await.unwrap();
    assert_eq!((few.ended_again, few.held, few.protected), (3, 0, 1));
    assert_eq!(scene.lanes().await, few.lanes);
    let more = end(&keys[4..], false, 1_000).await.unwrap();
    assert_eq!((more.ended_again, more.held), (0, 4), "the window is full");
    let believed = end(&keys[4..], true, 1_000).await.unwrap();
    assert_eq!((believed.ended_again, believed.held), (4, 0));
    let protected = end(&keys[..1], true, 1_000).await.unwrap();
    assert_eq!((protected.ended_again, protected.protected), (0, 1));
    // They count for whoever leaves after them.
    let ann = scene.member("ann").await;
    let left = scene.deactivate(ann.resource.id, guarded(2_000)).await;
    assert_eq!(rule(left), Some(Rule::Removals));
}

#[test]
fn accounts_that_are_back_are_doubted_as_such_that_are_gone() {
    let of = |accounts_missing, accounts_back| Drifted {
        accounts: 40,
        accounts_missing,
        accounts_back,
        ..Drifted::default()
    };
    assert!(!of(0, 10).is_doubtful() && of(0, 11).is_doubtful());
    assert!(of(6, 5).is_doubtful() && !of(5, 5).is_doubtful());
}

#[tokio::test]
async fn a_membership_of_who_or_what_is_protected_does_not_end_by_a_reading() {
    let scene = Scene::new().await;
    let (m0, ann) = (scene.member("m0").await, scene.member("ann").await);
    let both = [m0.resource.id, ann.resource.id];
    let dev = scene.settled_group("dev", &both).await;
    let admins = scene.settled_group("Admins", &both).await;
    let guard = Guard {
        protected: Protected::named(&["M0".to_owned()], &["admins".to_owned()], []),
        ..Guard::off()
    };
    let by = || watched(guard.clone(), 0);
    let (mut how, gone) = (Settle::default(), missing(&[&m0, &ann]));
    how.accept = true;
    let done = scene.settle_as(&admins, gone.clone(), how, by()).await;
    assert_eq!((done.accepted, done.protected), (0, 2));
    let done = scene.settle_as(&dev, gone.clone(), how, by()).await;
    assert_eq!((done.accepted, done.protected), (1, 1));
    assert_eq!(scene.members(&dev).await, [m0.resource.id]);
    assert_eq!(scene.members(&admins).await, both);
    // To be put there again takes nothing away; an operator may believe it.
    let repair = Settle::default();
    let done = scene.settle_as(&admins, gone.clone(), repair, by()).await;
    assert_eq!((done.wanted_again, done.protected), (2, 0));
    how.believed = true;
    let done = scene.settle_as(&dev, gone, how, by()).await;
    assert_eq!((done.accepted, done.protected), (1, 0));
}

#[tokio::test]
async fn an_account_that_was_made_anew_is_known_by_its_new_id() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let id = |id: &str| UserLearned {
        observed: Some(present()),
        settled: true,
        upstream_id: Some(id.into()),
        ..UserLearned::default()
    };
    let learn = |id: &str| {
        let shown = vec![("ann@example.com".to_owned(), id.to_owned())];
        scene.store.learn_ids(scene.c, shown, actor())
    };
    let leaves = || async {
        scene.deactivate(ann.resource.id, actor()).await.unwrap();
        let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
        turn.work.principal.upstream_id
    };
    learn("never asked for").await.unwrap();
    assert_eq!(leaves().await, None, "known by its e-mail");
    let learned = id("old");
    let end = scene.store.end_user_turn(ann.key, learned, 2_000);
    end.await.unwrap();
    learn("new").await.unwrap();
    assert_eq!(leaves().await.as_deref(), Some("new"));
}

#[tokio::test]
async fn whose_account_is_told_as_missing_has_it_looked_for_when_asked_for_and_nobody_else() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let note = async |missing: &[UserKey]| {
        let missing: std::collections::HashSet<UserKey> = missing.iter().copied().collect();
        let found = Drifted {
            accounts_missing: missing.len() as u64,
            accounts_noted: missing.len() as u64,
            ..Drifted::default()
        };
        let noted = scene.store.note_missed(scene.c, missing).await;
        noted.unwrap();
        scene.store.keep_drifted(scene.c, found).await.unwrap();
    };
    let left = async || {
        let kept = scene.store.drifted(scene.c).await.unwrap();
        kept.unwrap().accounts_missing
    };
    for (user, name) in [(&ann, "ann"), (&bob, "bob")] {
        scene.set_active(user, name, true).await;
    }
    note(&[ann.key, bob.key]).await;
    note(&[ann.key]).await;
    assert_eq!((left().await, scene.lanes().await), (1, vec![]));
    assert!(!scene.set_active(&bob, "bob", true).await.dirty, "is there");
    let asked = scene.set_active(&ann, "ann", true).await;
    assert!(asked.dirty && !asked.changed);
    assert_eq!(scene.lanes().await, [Lane::User(ann.key)]);
    assert_eq!(left().await, 0, "told no more");
    let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    assert!(turn.unsure && !turn.work.observed.missed);
    scene.confirm_user(ann.key).await;
    assert!(!scene.set_active(&ann, "ann", true).await.dirty, "once");
    // Who leaves is ended as anybody else.
    note(&[bob.key]).await;
    scene.set_active(&bob, "bob", false).await;
    let turn = scene.store.begin_user_turn(bob.key).await.unwrap().unwrap();
    assert!(!turn.unsure && !turn.work.wanted.active);
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn who_is_noted_as_missing_is_open_again_when_asked_for_and_nobody_else() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let both = [ann.resource.id, bob.resource.id];
    let dev = scene.settled_group("dev", &both).await;
    let note = async |missing: &[UserKey]| {
        let noted = scene.store.note_missing(dev.key, missing.to_vec());
        noted.await.unwrap();
        let pairs = scene.store.pairs(dev.key).await.unwrap();
        pairs.iter().filter(|pair| pair.missed).count()
    };
    for ask in [add, replace] {
        assert_eq!(note(&[ann.key, bob.key]).await, 2);
        assert_eq!(note(&[]).await, 0, "they are there again");
        let asked = scene.change(&dev, ask(&both)).await.unwrap();
        assert!(asked.touched.is_empty() && !asked.changed);
        assert_eq!(note(&[ann.key]).await, 1);
        let asked = scene.change(&dev, ask(&both)).await.unwrap();
        assert_eq!((asked.touched, asked.changed), (vec![ann.key], false));
        let turn = scene.store.begin_group_turn(dev.key, 9).await.unwrap();
        let turn = turn.unwrap();
        let added: Vec<_> = turn.work.adds.iter().map(|it| it.user).collect();
        assert_eq!(added, [ann.key]);
        let learned = GroupLearned {
            present: added,
            ..GroupLearned::default()
        };
        let end = scene
            .store
            .end_group_turn(dev.key, turn.seq, learned, 2_000);
        end.await.unwrap();
    }
    assert_eq!(note(&[]).await, 0);
    // Taken out is taken out, whatever was told.
    assert_eq!(note(&[ann.key]).await, 1);
    scene.change(&dev, remove(&both[..1])).await.unwrap();
    let turn = scene.store.begin_group_turn(dev.key, 9).await.unwrap();
    assert_eq!(turn.unwrap().work.removes.len(), 1);
}

#[tokio::test]
async fn a_group_that_was_told_as_gone_is_told_no_more_once_it_is_done_with_here() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let both = [ann.resource.id, bob.resource.id];
    let (dev, ops) = (
        scene.settled_group("dev", &both).await,
        scene.settled_group("ops", &both).await,
    );
    let text = |id: ResourceId| id.to_string();
    let told = Drifted {
        ended: Some(1),
        groups_missing: 2,
        groups_gone: vec![(text(dev.resource.id), 2), (text(ops.resource.id), 1)],
        without_group: 3,
        ..Drifted::default()
    };
    scene.store.keep_drifted(scene.c, told).await.unwrap();
    let left = async || {
        let drifted = scene.store.drifted(scene.c).await.unwrap();
        let left = drifted.unwrap().left();
        (left.groups, left.memberships)
    };
    assert_eq!(left().await, (2, 3));
    let deleted = scene.delete_group(&dev, actor()).await.unwrap();
    assert_eq!(left().await, (2, 3), "it is not done yet");
    scene.confirm_group(&deleted).await;
    assert_eq!(left().await, (1, 1));
    // What else is done with them changes nothing.
    scene.change(&ops, remove(&both[1..])).await.unwrap();
    let turn = scene.store.begin_group_turn(ops.key, 9).await.unwrap();
    let learned = GroupLearned {
        absent: vec![bob.key],
        ..GroupLearned::default()
    };
    let seq = turn.unwrap().seq;
    let end = scene.store.end_group_turn(ops.key, seq, learned, 2_000);
    end.await.unwrap();
    assert_eq!(left().await, (1, 1));
}
