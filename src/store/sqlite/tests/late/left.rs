//! What a late call has left of somebody in a group, where the application does not
//! let them go.
use super::*;

impl Scene {
    /// The application does not let somebody go who is to be removed.
    async fn keeps(&self, group: &GroupWritten, user: &UserWritten) {
        let turn = self.next(group).await;
        assert_eq!(keys(&turn.work.removes), [user.key]);
        let learned = GroupLearned {
            refused: vec![(user.key, "it stays".into())],
            ..GroupLearned::default()
        };
        let store = &self.store;
        let end = store.end_group_turn(group.key, turn.seq, learned, 4_000);
        end.await.unwrap();
    }

    /// Who is told to be refused, whether it was an addition, and why.
    async fn refused_pairs(&self) -> Vec<(ResourceId, bool, String)> {
        let all = self.store.refusals(self.c, 10).await.unwrap();
        let count = self.store.counts(self.c).await.unwrap().refused_memberships;
        assert_eq!(all.len() as u64, count);
        let told = all.into_iter().map(|it| (it.user, it.wanted, it.reason));
        told.collect()
    }
}

#[tokio::test]
async fn what_a_late_call_left_and_the_application_keeps_is_told_until_it_is_gone() {
    for asked in [false, true] {
        let scene = Scene::new().await;
        let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
        let group = scene.settled_group("dev", &[ann.resource.id]).await;
        scene.may_come_late(&group, &bob).await;
        scene.confirm_group(&group).await;
        assert_eq!(scene.recheck(LATER).await, [Lane::Group(group.key)]);
        scene.keeps(&group, &bob).await;
        assert_eq!(scene.refused_pairs().await, [], "once more, at once");
        scene.keeps(&group, &bob).await;
        let told = [(bob.resource.id, false, "it stays".to_owned())];
        assert_eq!(
            (scene.refused_pairs().await, scene.lanes().await),
            (told.to_vec(), vec![])
        );
        assert_eq!(scene.members(&group).await, [ann.resource.id]);

        let scene = scene.reopen().await;
        assert_eq!(scene.refused_pairs().await, told);
        if asked {
            let ids = [bob.resource.id];
            scene.change(&group, remove(&ids)).await.unwrap();
        } else {
            let again = scene.store.retry_ends(scene.c, actor()).await.unwrap();
            assert_eq!(again, [Lane::Group(group.key)]);
            scene.keeps(&group, &bob).await;
            assert_eq!(
                (scene.refused_pairs().await, scene.lanes().await),
                (told.to_vec(), vec![])
            );
            let again = scene.store.retry_ends(scene.c, actor()).await.unwrap();
            assert_eq!(again, [Lane::Group(group.key)]);
            assert_eq!(scene.refused_pairs().await, told, "until it is gone");
        }
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.removes), [bob.key]);
        let gone = GroupLearned {
            absent: vec![bob.key],
            ..GroupLearned::default()
        };
        let end = scene.store.end_group_turn(group.key, turn.seq, gone, 4_000);
        end.await.unwrap();
        assert_eq!(
            (scene.refused_pairs().await, scene.lanes().await),
            (vec![], vec![])
        );
        let idle = scene.store.retry_ends(scene.c, actor()).await;
        assert_eq!(idle, Ok(vec![]));
    }
}

/// An ordinary removal goes back when it is refused.
#[tokio::test]
async fn who_is_kept_in_a_group_though_asked_to_be_out_is_a_member_again_and_told() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.may_come_late(&group, &bob).await;
    scene.confirm_group(&group).await;
    scene.recheck(LATER).await;
    for _ in 0..2 {
        scene.keeps(&group, &bob).await;
    }
    let ids = [bob.resource.id];
    scene.change(&group, remove(&ids)).await.unwrap();
    scene.keeps(&group, &bob).await;
    let told = [(bob.resource.id, false, "it stays".to_owned())];
    assert_eq!(
        (scene.refused_pairs().await, scene.lanes().await),
        (told.to_vec(), vec![])
    );
    let members = scene.members(&group).await;
    assert_eq!(members.len(), 2);
    let again = scene.store.retry_ends(scene.c, actor()).await;
    assert_eq!(again, Ok(vec![]), "whoever asked was told");
}
