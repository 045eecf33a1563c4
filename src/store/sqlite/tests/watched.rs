//! What a look at the application has to show before somebody is taken out of a
//! group, or loses access: of which groups, who is to stay, and who of those
//! who go can be told that they stay (reliability: I-24, G-3, G-5).

use super::{guards::at, late::LATER, protected::protecting, *};
use crate::{
    plan::{
        guard::{Over, Protection, Rule},
        operation::Operation,
        state::GroupKey,
    },
    store::{Rail, UNANSWERED, Watched},
};

impl Scene {
    /// Users whose accounts are there.
    async fn people(&self, count: usize) -> (Vec<ResourceId>, Vec<UserKey>) {
        let mut all = (Vec::new(), Vec::new());
        for n in 0..count {
            let user = self.member(&format!("m{n}")).await;
            all.0.push(user.resource.id);
            all.1.push(user.key);
        }
        all
    }

    /// What is to be looked at, where all that was sent is shown by now.
    async fn look(&self, lane: Lane, going: &[UserKey], by: Actor) -> Vec<Watched> {
        let shown = 3_000;
        let look = self.store.watched(lane, going.to_vec(), shown, by);
        look.await.unwrap()
    }

    async fn activate(&self, id: ResourceId) {
        let decide = |stored: &crate::store::StoredUser| {
            let mut row = stored.row.clone();
            row.account.active = true;
            Ok(Some(row))
        };
        let done = self
            .store
            .change_user(self.c, id, always(), Box::new(decide), actor());
        done.await.unwrap();
    }

    async fn look_at(&self, group: GroupKey, going: &[UserKey], by: Actor) -> Option<Watched> {
        self.look(Lane::Group(group), going, by).await.pop()
    }
}

fn staying(watched: &Watched) -> Vec<UserKey> {
    let mut stay: Vec<UserKey> = watched.stay.iter().map(|it| it.user).collect();
    stay.sort_unstable();
    stay
}

#[tokio::test]
async fn of_a_protected_group_those_are_looked_for_who_are_known_to_be_there() {
    let scene = Scene::new().await;
    let (ids, keys) = scene.people(5).await;
    let adm = scene.settled_group("Adm", &ids[..4]).await;
    // One is not there yet, one has lost access, and nobody has the last account.
    let nobody = scene.user("accountless").await;
    let new = [ids[4], nobody.resource.id];
    scene.change(&adm, add(&new)).await.unwrap();
    scene.deactivate(ids[3], actor()).await.unwrap();
    scene.change(&adm, remove(&ids[..1])).await.unwrap();
    let by = || protecting(&[], &[], &[("ADM", 2)]);
    let going = [keys[0], keys[3], nobody.key];
    let watched = scene.look_at(adm.key, &going, by()).await.unwrap();
    assert_eq!(staying(&watched), keys[1..3]);
    assert_eq!((watched.connection, watched.group), (scene.c, adm.key));
    assert_eq!(watched.name, "adm");
    assert_eq!(
        (watched.going, watched.leaving),
        (vec![keys[0]], vec![keys[3]])
    );
    let least = Rail::Least(Protection::Least(adm.resource.id, 2), 2);
    assert_eq!((watched.rail, watched.rail.least()), (least, 2));
    // Who leaves altogether is looked after alone, too; who has no account is not.
    let leaver = scene.look_at(adm.key, &keys[3..4], by()).await.unwrap();
    assert_eq!((leaver.going, leaver.leaving), (vec![], vec![keys[3]]));
    assert_eq!(scene.look_at(adm.key, &[nobody.key], by()).await, None);
    assert_eq!(scene.look_at(adm.key, &[], by()).await, None);
}

fn hoped(watched: &Watched) -> Vec<UserKey> {
    watched.hoped.iter().map(|it| it.user).collect()
}

#[tokio::test]
async fn who_is_only_looked_at_again_counts_as_before_until_it_is_known() {
    let scene = Scene::new().await;
    let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
    let adm = scene.settled_group("adm", &[ann.resource.id]).await;
    let by = || protecting(&[], &["adm"], &[]);
    let out = |user: &UserWritten| remove(&[user.resource.id]);
    // Who was never there does not count.
    scene.change(&adm, add(&[ben.resource.id])).await.unwrap();
    let turn = scene.next(&adm).await;
    let early = scene.change_as(&adm, out(&ann), by()).await;
    assert!(matches!(early, Err(WriteError::Protected(_))), "{early:?}");
    let look = scene.look(Lane::User(ann.key), &[], by()).await;
    assert_eq!(
        (staying(&look[0]), hoped(&look[0])),
        (vec![], vec![ben.key])
    );
    assert!(look[0].unsure);
    scene.is_read_in(&adm, turn.seq, ben.key).await;
    assert_eq!(scene.recheck(LATER).await, [Lane::Group(adm.key)]);

    scene.change_as(&adm, out(&ann), by()).await.unwrap();
    for handed_out in [false, true] {
        if handed_out {
            scene.next(&adm).await;
        }
        let look = scene.look_at(adm.key, &[ann.key], by()).await.unwrap();
        assert_eq!((staying(&look), hoped(&look)), (vec![ben.key], vec![]));
        assert!(look.unsure, "{handed_out}");
    }
    // It was not so.
    let turn = scene.next(&adm).await;
    let learned = GroupLearned {
        absent: vec![ben.key],
        ..GroupLearned::default()
    };
    let end = scene
        .store
        .end_group_turn(adm.key, turn.seq, learned, 2_000);
    end.await.unwrap();
    let look = scene.look_at(adm.key, &[ann.key], by()).await.unwrap();
    assert_eq!((staying(&look), hoped(&look)), (vec![], vec![ben.key]));
    assert!(!look.unsure);
    scene.change(&adm, add(&[ann.resource.id])).await.unwrap();
    let done = scene.change_as(&adm, out(&ann), by()).await;
    assert!(matches!(done, Err(WriteError::Protected(_))), "{done:?}");
}

#[tokio::test]
async fn nothing_is_hoped_of_whom_the_last_call_took_out() {
    for known in [false, true] {
        let scene = Scene::new().await;
        let ann = scene.member("ann").await;
        let adm = scene.settled_group("adm", &[ann.resource.id]).await;
        let by = || protecting(&[], &["adm"], &[]);
        let mut others = Vec::new();
        for name in ["ben", "cat"] {
            let other = scene.member(name).await;
            let ids = [other.resource.id];
            if known {
                scene.is_looked_at_again(&adm, &other).await;
            } else {
                scene.change(&adm, add(&ids)).await.unwrap();
            }
            if !known || name == "ben" {
                scene.confirm_group(&adm).await;
            }
            others.push(other);
        }
        for other in &others {
            let ids = [other.resource.id];
            scene.change(&adm, remove(&ids)).await.unwrap();
        }
        scene.next(&adm).await;
        for other in &others {
            let ids = [other.resource.id];
            scene.change(&adm, add(&ids)).await.unwrap();
        }
        let look = scene.look(Lane::User(ann.key), &[], by()).await;
        assert_eq!((staying(&look[0]), hoped(&look[0])), (vec![], vec![]));
        assert!(look[0].unsure, "{known}");
        let off = scene.deactivate(ann.resource.id, by()).await;
        assert!(matches!(off, Err(WriteError::Protected(_))), "{known}");
    }
}

#[tokio::test]
async fn whose_account_is_only_looked_at_again_counts_as_before_and_whose_end_is_sent_does_not() {
    let scene = Scene::new().await;
    let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
    let ids = [ann.resource.id, ben.resource.id];
    scene.settled_group("adm", &ids).await;
    let by = || protecting(&[], &["adm"], &[]);
    let look = async || scene.look(Lane::User(ann.key), &[], by()).await.remove(0);
    // A call that was to end it may land yet.
    scene.deactivate(ids[1], actor()).await.unwrap();
    let turn = scene.store.begin_user_turn(ben.key).await.unwrap().unwrap();
    scene.activate(ids[1]).await;
    let seen = look().await;
    assert_eq!((staying(&seen), hoped(&seen)), (vec![], vec![]));
    assert!(seen.unsure);
    let off = scene.deactivate(ids[0], by()).await;
    assert!(matches!(off, Err(WriteError::Protected(_))), "{off:?}");
    let principal = turn.work.principal.clone();
    let learned = UserLearned {
        calls: vec![(
            Operation::DeactivateUser { principal },
            UNANSWERED.into(),
            1.into(),
        )],
        ..UserLearned::default()
    };
    let end = scene.store.end_user_turn(ben.key, learned, 2_000);
    end.await.unwrap();
    scene.confirm_user(ben.key).await;
    assert!(!look().await.unsure);
    assert_eq!(scene.recheck(LATER).await, [Lane::User(ben.key)]);
    for _ in 0..2 {
        let seen = look().await;
        assert_eq!((staying(&seen), seen.unsure), (vec![ben.key], true));
        scene.store.begin_user_turn(ben.key).await.unwrap();
    }
    scene.deactivate(ids[0], by()).await.unwrap();
    // Its end is sent anew.
    scene.deactivate(ids[1], actor()).await.unwrap();
    scene.store.begin_user_turn(ben.key).await.unwrap();
    scene.activate(ids[1]).await;
    assert_eq!(staying(&look().await), []);
}

#[tokio::test]
async fn a_group_that_no_rail_watches_is_not_looked_at() {
    let scene = Scene::new().await;
    let (ids, keys) = scene.people(3).await;
    let dev = scene.settled_group("dev", &ids).await;
    let adm = scene.settled_group("adm", &ids).await;
    for by in [
        actor(),
        protecting(&["m1"], &[], &[]),
        protecting(&[], &["adm"], &[]),
        at(0),
    ] {
        assert_eq!(scene.look_at(dev.key, &keys[..1], by).await, None);
    }
    for by in [actor(), protecting(&["m1"], &[], &[]), at(0)] {
        let lane = Lane::User(keys[0]);
        assert_eq!(scene.look(lane, &[], by).await, []);
    }
    scene.delete_group(&adm, actor()).await.unwrap();
    let by = protecting(&[], &["adm"], &[]);
    assert_eq!(scene.look_at(adm.key, &keys[..1], by.clone()).await, None);
    assert_eq!(scene.look(Lane::User(keys[0]), &[], by).await, []);
}

#[tokio::test]
async fn who_loses_access_is_looked_for_in_each_protected_group_that_has_him() {
    let scene = Scene::new().await;
    let (ids, keys) = scene.people(4).await;
    let adm = scene.settled_group("adm", &ids[..3]).await;
    let ops = scene.settled_group("ops", &ids[..1]).await;
    scene.settled_group("dev", &ids).await;
    scene.settled_group("root", &ids[1..]).await;
    scene.deactivate(ids[0], actor()).await.unwrap();
    let by = protecting(&[], &["adm", "ops", "root"], &[]);
    let looks = scene.look(Lane::User(keys[0]), &[], by).await;
    let of = |group: &GroupWritten| looks.iter().find(|it| it.group == group.key).unwrap();
    assert_eq!(looks.len(), 2);
    assert_eq!(staying(of(&adm)), keys[1..3]);
    // Nobody is to stay, and that is told.
    assert_eq!(staying(of(&ops)), []);
    for look in &looks {
        assert_eq!((&look.going, &look.leaving), (&vec![], &vec![]));
        assert_eq!(look.rail.least(), 1);
    }
    // Who still is to stay does not, as it is the end of this access.
    let by = protecting(&[], &["adm"], &[]);
    let looks = scene.look(Lane::User(keys[1]), &[], by).await;
    assert_eq!(staying(&looks[0]), keys[2..3]);
}

#[tokio::test]
async fn the_last_of_a_group_of_many_are_looked_for() {
    let scene = Scene::new().await;
    let (ids, keys) = scene.people(12).await;
    let left = |size: usize, left: usize| {
        let (scene, ids, keys) = (&scene, &ids, &keys);
        async move {
            let name = format!("g{size}to{left}");
            let group = scene.settled_group(&name, &ids[..size]).await;
            scene
                .change(&group, remove(&ids[left..size]))
                .await
                .unwrap();
            scene.look_at(group.key, &keys[left..size], at(0)).await
        }
    };
    let watched = left(10, 4).await.unwrap();
    assert_eq!(staying(&watched), keys[..4]);
    assert_eq!(watched.going, keys[4..10]);
    let over = Over {
        rule: Rule::EmptyFrom,
        taking: 6,
        taken: 0,
        size: 10,
        most: 0,
        within_seconds: 3_600,
    };
    assert_eq!(
        (watched.rail, watched.rail.least()),
        (Rail::Emptied(over), 1)
    );
    // It keeps half, was of few, or nobody was to stay.
    assert_eq!(left(10, 5).await, None);
    assert_eq!(left(9, 1).await, None);
    assert_eq!(left(11, 0).await, None);
    // Without the limits none of them counts.
    let group = scene.settled_group("dev", &ids).await;
    scene.change(&group, remove(&ids[1..])).await.unwrap();
    let off = protecting(&["m1"], &["adm"], &[]);
    assert_eq!(scene.look_at(group.key, &keys[1..], off).await, None);
    assert!(scene.look_at(group.key, &keys[1..], at(0)).await.is_some());
}

#[tokio::test]
async fn what_went_within_the_hour_belongs_to_the_size_of_a_group() {
    let scene = Scene::new().await;
    let (ids, keys) = scene.people(12).await;
    let group = scene.settled_group("dev", &ids).await;
    let first = scene.change_as(&group, remove(&ids[9..]), at(0)).await;
    first.unwrap();
    scene.confirm_group(&group).await;
    scene.change(&group, remove(&ids[2..9])).await.unwrap();
    let watched = scene.look_at(group.key, &keys[2..9], at(0)).await.unwrap();
    let Rail::Emptied(over) = watched.rail else {
        panic!("{:?}", watched.rail)
    };
    assert_eq!((over.taking, over.taken, over.size), (7, 3, 12));
    let hour = 3_600_000;
    assert_eq!(scene.look_at(group.key, &keys[2..9], at(hour)).await, None);
}

#[tokio::test]
async fn who_leaves_altogether_goes_from_a_group_of_many_unseen() {
    let scene = Scene::new().await;
    let (ids, keys) = scene.people(12).await;
    let group = scene.settled_group("dev", &ids).await;
    for id in &ids[2..] {
        scene.deactivate(*id, actor()).await.unwrap();
    }
    scene.change(&group, remove(&ids[1..])).await.unwrap();
    let watched = scene.look_at(group.key, &keys[1..], at(0)).await.unwrap();
    assert_eq!(watched.going, keys[1..2]);
    assert_eq!(watched.leaving, []);
    assert_eq!(scene.look_at(group.key, &keys[2..], at(0)).await, None);
}

#[tokio::test]
async fn what_was_sent_lately_may_not_be_shown_yet() {
    let scene = Scene::new().await;
    let (ids, keys) = scene.people(2).await;
    // It was confirmed at 2,000.
    let group = scene.settled_group("adm", &ids).await;
    scene.user("later").await;
    for (before, lately) in [(1_000, true), (3_000, false)] {
        let by = protecting(&[], &["adm"], &[]);
        let look = scene
            .store
            .watched(Lane::Group(group.key), vec![keys[0]], before, by);
        let look = look.await.unwrap().pop().unwrap();
        assert_eq!(look.lately, lately, "{before}");
    }
}

#[tokio::test]
async fn a_group_is_near_its_least_until_twice_as_many_and_more_are_believed_to_stay() {
    let scene = Scene::new().await;
    let (ids, keys) = scene.people(6).await;
    let adm = scene.settled_group("adm", &ids).await;
    let by = |least| protecting(&[], &[], &[("adm", least)]);
    scene.change(&adm, remove(&ids[..1])).await.unwrap();
    for (least, near) in [(2, false), (3, true), (u64::MAX, true)] {
        let watched = scene.look_at(adm.key, &keys[..1], by(least)).await.unwrap();
        assert_eq!(watched.is_near(), near, "{least}");
    }
    scene.change(&adm, remove(&ids[1..2])).await.unwrap();
    let watched = scene.look_at(adm.key, &keys[..2], by(2)).await.unwrap();
    assert!(watched.is_near(), "it is just twice as many");
}

#[tokio::test]
async fn who_may_be_in_a_group_by_a_call_without_an_answer_is_looked_for_in_it() {
    let scene = Scene::new().await;
    let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
    let adm = scene.settled_group("adm", &[ben.resource.id]).await;
    let doubted = async |user: &UserWritten| {
        let by = protecting(&[], &["adm"], &[]);
        let look = scene.look(Lane::User(user.key), &[], by).await;
        let all: Vec<bool> = look.iter().map(|it| it.doubted).collect();
        all
    };
    scene.change(&adm, add(&[ann.resource.id])).await.unwrap();
    let call = |turn: &crate::store::GroupTurn| Operation::AddMembers {
        group: turn.work.name.clone(),
        members: turn.work.adds.clone(),
    };
    scene.unanswered(&adm, call).await;
    let turn = scene.next(&adm).await;
    let refused = GroupLearned {
        refused: vec![(ann.key, "no".into())],
        ..GroupLearned::default()
    };
    let store = &scene.store;
    let end = store.end_group_turn(adm.key, turn.seq, refused, 3_000);
    end.await.unwrap();
    assert_eq!(scene.members(&adm).await, [ben.resource.id]);
    assert_eq!(doubted(&ann).await, [true], "nobody remembers them in it");
    assert_eq!(doubted(&ben).await, [false]);
    // Nor is it known when that is taken away again.
    assert_eq!(scene.recheck(LATER).await, [Lane::Group(adm.key)]);
    assert_eq!(doubted(&ann).await, [true]);
    scene.confirm_group(&adm).await;
    assert_eq!(doubted(&ann).await, Vec::<bool>::new());
}
