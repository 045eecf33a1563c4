//! A refusal of who was there, and whose removal is not known to be done, does not tell
//! that they are out.
use super::*;

/// How a removal ends, before the same is asked for again.
#[derive(Debug, Clone, Copy)]
enum Removal {
    Unsent,
    /// A look has shown nobody there, and may lag behind.
    Doubted,
    Unanswered,
    /// The process died meanwhile.
    Cut,
    Done,
}

#[tokio::test]
async fn who_is_refused_before_their_removal_is_settled_is_taken_out_at_once() {
    use Removal::{Cut, Done, Doubted, Unanswered, Unsent};
    for (how, stays_in) in [
        (&[Doubted][..], true),
        (&[Unanswered], true),
        (&[Cut], true),
        (&[Doubted, Cut, Doubted], true),
        (&[Doubted, Unsent, Doubted], true),
        (&[Doubted, Done], false),
    ] {
        let (roles, users) = Roles::new(&[], &[]).await;
        let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
        roles.set(roles.viewer, ann, true).await;
        roles.confirm(roles.viewer).await;
        roles.set(roles.viewer, ann, false).await;
        for end in how {
            let turn = roles.turn(roles.viewer).await.unwrap();
            let remove = Operation::RemoveMembers {
                group: turn.work.name.clone(),
                members: turn.work.removes.clone(),
            };
            let mut learned = GroupLearned::default();
            match end {
                Doubted => {}
                Unsent => learned.unsent = vec![ann.key],
                Unanswered => learned.calls = vec![(remove, UNANSWERED.into(), 1.into())],
                Done => learned.absent = vec![ann.key],
                Cut => {
                    store.note_interrupted(c, 3_000).await.unwrap();
                    continue;
                }
            }
            roles.end(&turn, learned).await;
        }
        roles.set(roles.viewer, ann, true).await;
        let again = roles.turn(roles.viewer).await.unwrap();
        assert_eq!(again.work.adds[0].user, ann.key);
        roles.refuse(&again).await;
        assert_eq!(roles.is_open(roles.viewer, ann).await, stays_in, "{how:?}");
        if stays_in {
            let last = roles.turn(roles.viewer).await.unwrap();
            assert_eq!(last.work.removes[0].user, ann.key);
            let absent = GroupLearned {
                absent: vec![ann.key],
                ..GroupLearned::default()
            };
            roles.end(&last, absent).await;
            assert!(!roles.is_open(roles.viewer, ann).await);
        }
    }
}

/// What their account had before an end that is not sure may be there still.
#[tokio::test]
async fn so_is_who_is_refused_after_a_return_from_an_end_that_no_look_has_shown_for_certain() {
    for may_stand in [true, false] {
        for asked_again in [false, true] {
            let (roles, users) = Roles::new(&[], &[]).await;
            let (ann, scene) = (&users[0], &roles.scene);
            roles.set(roles.viewer, ann, true).await;
            roles.confirm(roles.viewer).await;
            if asked_again {
                roles.set(roles.viewer, ann, false).await;
            }
            scene.set_active(ann, "ann", false).await;
            for (active, existence) in [(false, Existence::Absent), (true, Existence::Present)] {
                scene.set_active(ann, "ann", active).await;
                assert!(
                    scene
                        .store
                        .begin_user_turn(ann.key)
                        .await
                        .unwrap()
                        .is_some()
                );
                let learned = UserLearned {
                    observed: Some(ObservedAccount {
                        existence,
                        deactivated: !active,
                        ..ObservedAccount::default()
                    }),
                    settled: active || !may_stand,
                    again: !active && may_stand,
                    recreated: active,
                    may_stand: active && may_stand,
                    ..UserLearned::default()
                };
                let end = scene.store.end_user_turn(ann.key, learned, 2_000);
                end.await.unwrap();
            }
            if asked_again {
                roles.set(roles.viewer, ann, true).await;
            }
            let turn = roles.turn(roles.viewer).await.unwrap();
            assert_eq!(turn.work.adds[0].user, ann.key);
            roles.refuse(&turn).await;
            assert_eq!(roles.is_open(roles.viewer, ann).await, may_stand);
            let removals = roles.turn(roles.viewer).await;
            let removals = removals.map_or_else(Vec::new, |turn| turn.work.removes);
            assert_eq!(removals.len(), usize::from(may_stand), "{asked_again}");
        }
    }
}

#[tokio::test]
async fn who_was_never_known_to_be_there_is_not_looked_for_after_a_refusal() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let ann = &users[0];
    roles.set(roles.viewer, ann, true).await;
    let turn = roles.turn(roles.viewer).await.unwrap();
    roles.refuse(&turn).await;
    assert!(!roles.is_open(roles.viewer, ann).await);
    assert!(roles.turn(roles.viewer).await.is_none());
}
