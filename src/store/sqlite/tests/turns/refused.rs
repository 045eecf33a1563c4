//! What the application refuses or lacks: pairs, groups, users.

use super::*;

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
async fn a_group_refused_at_its_creation_stays_until_that_is_the_answer() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.group("dev", &[ann.resource.id]).await;
    let turn = scene.begin(group.key).await;
    let learned = GroupLearned {
        existence: Some(Existence::Absent),
        unsent: vec![ann.key],
        group_refused: Some("reserved name".into()),
        ..GroupLearned::default()
    };
    assert_eq!(scene.end(&turn, learned.clone()).await, []);
    assert_eq!(scene.members(&group).await, [ann.resource.id]);
    assert_eq!(scene.lanes().await, []);
    let told = scene.store.refused_resources(scene.c, 9).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].asked, &*told[0].reason),
        (RefusedAct::Create, "reserved name")
    );
    // Whoever asks for somebody in it asks for it; who takes somebody out does not.
    let next = scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    assert!(next.dirty && !next.changed);
    let turn = scene.begin(group.key).await;
    assert_eq!(turn.work.adds.len(), 1);
    scene.end(&turn, learned).await;
    let left = scene.change(&group, remove(&[ann.resource.id])).await;
    assert!(!left.unwrap().dirty && scene.lanes().await.is_empty());
    // It is not the answer to the first request any more.
    let withdraw = |of: &GroupWritten| scene.store.withdraw_group(of.key, of.seq, actor());
    assert_eq!(withdraw(&group).await.unwrap(), []);
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!((counts.groups, counts.refused_groups), (1, 1));
    let keep = Box::new(|_: &_| Ok(None));
    let id = group.resource.id;
    let deleted = scene
        .store
        .delete_group(scene.c, id, always(), keep, None, actor());
    assert!(!deleted.await.unwrap().dirty);
    let group = scene.group("dev", &[ann.resource.id]).await;
    let turn = scene.begin(group.key).await;
    assert_eq!(turn.before.len(), 1, "the other one may be shown yet");
    let learned = GroupLearned {
        unsent: vec![ann.key],
        group_refused: Some("reserved name".into()),
        ..GroupLearned::default()
    };
    scene.end(&turn, learned).await;
    withdraw(&group).await.unwrap();
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!((counts.groups, counts.refused_groups), (0, 0));
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
async fn who_was_named_in_a_creation_and_left_keeps_its_refusal_from_nothing() {
    let scene = Scene::new().await;
    let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
    let ids = [ann.resource.id, ben.resource.id];
    let refused = || GroupLearned {
        existence: Some(Existence::Absent),
        unsent: vec![ann.key, ben.key],
        group_refused: Some("reserved name".into()),
        ..GroupLearned::default()
    };
    let group = scene.group("dev", &ids).await;
    let turn = scene.begin(group.key).await;
    scene.delete(&ann).await;
    // It may have been refused for who is gone, so that it is tried without.
    scene.end(&turn, refused()).await;
    let turn = scene.begin(group.key).await;
    assert_eq!(turn.work.adds.len(), 1);
    scene.end(&turn, refused()).await;
    let withdraw = |of: &GroupWritten| scene.store.withdraw_group(of.key, of.seq, actor());
    withdraw(&group).await.unwrap();
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!((counts.groups, counts.refused_groups), (0, 0));
    // Not where somebody else has asked for something in it.
    let group = scene.group("dev", &ids[1..]).await;
    let turn = scene.begin(group.key).await;
    scene.change(&group, remove(&ids[1..])).await.unwrap();
    scene.end(&turn, refused()).await;
    let turn = scene.begin(group.key).await;
    scene.end(&turn, refused()).await;
    withdraw(&group).await.unwrap();
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!((counts.groups, counts.refused_groups), (1, 1));
}

#[tokio::test]
async fn a_refused_group_keeps_its_name_there_while_a_call_can_still_make_it() {
    for open in [true, false] {
        let scene = Scene::new().await;
        let ann = scene.member("ann").await;
        let group = scene.group("dev", &[ann.resource.id]).await;
        let turn = scene.begin(group.key).await;
        let create = Operation::CreateGroup {
            name: "dev".into(),
            members: Vec::new(),
        };
        let unheard = (create, UNANSWERED.into(), 1.into());
        let learned = GroupLearned {
            existence: Some(Existence::Absent),
            unsent: vec![ann.key],
            group_refused: Some("reserved name".into()),
            calls: open.then_some(unheard).into_iter().collect(),
            ..GroupLearned::default()
        };
        scene.end(&turn, learned).await;
        let rename = GroupChange {
            decide: Box::new(move |stored| {
                assert_eq!(stored.unmade, !open);
                let mut next = group_row("ops");
                if !stored.unmade {
                    next.upstream_name.clone_from(&stored.row.upstream_name);
                }
                Ok(Some(next))
            }),
            ..change(Vec::new())
        };
        assert!(scene.change(&group, rename).await.unwrap().dirty);
        let work = scene.begin(group.key).await.work;
        assert_eq!(work.name, if open { "dev" } else { "ops" });
    }
}
