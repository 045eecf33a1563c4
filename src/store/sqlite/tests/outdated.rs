//! What a reading shows of users who were linked to accounts that were there already.
use std::sync::Arc;

use super::{imports::found_group, *};
use crate::store::{ImportMark, Reading, TakenOut};

impl Scene {
    /// A user whose account was there before.
    async fn with_account(&self, name: &str) -> UserWritten {
        let user = self.user(name).await;
        self.store.begin_user_turn(user.key).await.unwrap().unwrap();
        let learned = UserLearned {
            observed: Some(present()),
            upstream_id: Some(format!("up-{name}")),
            settled: true,
            linked: true,
            ..UserLearned::default()
        };
        let end = self.store.end_user_turn(user.key, learned, 2_000);
        end.await.unwrap();
        user
    }

    async fn as_of_now(&self) -> ImportMark {
        self.store.import_mark(i64::MAX).await.unwrap()
    }

    /// A look at the group `dev` for a request that empties it shows that one; what was
    /// done after `since` it may not show.
    async fn a_look_shows(&self, name: &str, since: ImportMark) {
        let reading = Reading {
            began: self.as_of_now().await,
            since,
            whole: false,
        };
        let mut taken = TakenOut::default();
        taken.remove_all();
        let found = vec![found_group("dev", &[name])];
        let learn = self
            .store
            .learn_linked(self.c, reading, (found, Arc::new(taken)), actor());
        learn.await.unwrap();
    }

    async fn is_unsure(&self) -> bool {
        self.store.anyone_linked(self.c).await.unwrap()
    }
}

#[tokio::test]
async fn a_look_from_before_a_removal_makes_nobody_a_member_who_was_refused_since() {
    let scene = Scene::new().await;
    let ann = scene.with_account("ann").await;
    let anns = [ann.resource.id];
    let dev = scene.settled_group("dev", &anns).await;
    let before = scene.as_of_now().await;
    scene.change(&dev, remove(&anns)).await.unwrap();
    scene.confirm_group(&dev).await;
    scene.change(&dev, add(&anns)).await.unwrap();
    let turn = scene.next(&dev).await;
    let refused = GroupLearned {
        refused: vec![(ann.key, "no".into())],
        ..GroupLearned::default()
    };
    let end = scene
        .store
        .end_group_turn(dev.key, turn.seq, refused, 3_000);
    end.await.unwrap();
    scene.a_look_shows("ann", before).await;
    assert_eq!(scene.members(&dev).await, []);
    assert!(scene.is_unsure().await, "nor is it known that they are out");
    // As of now somebody has put them there.
    scene.a_look_shows("ann", scene.as_of_now().await).await;
    assert_eq!(scene.members(&dev).await, anns);
}

#[tokio::test]
async fn a_look_from_before_the_end_of_another_of_the_name_makes_nobody_a_member() {
    let scene = Scene::new().await;
    let ann = scene.with_account("ann").await;
    let anns = [ann.resource.id];
    let first = scene.settled_group("dev", &anns).await;
    let before = scene.as_of_now().await;
    scene.delete_group(&first, actor()).await.unwrap();
    scene.confirm_group(&first).await;
    let dev = scene.settled_group("dev", &[]).await;
    scene.a_look_shows("ann", before).await;
    assert_eq!(scene.members(&dev).await, []);
    scene.a_look_shows("ann", scene.as_of_now().await).await;
    assert_eq!(scene.members(&dev).await, anns);
}

/// Whom somebody put into a group by hand is taken out by the request, so that its
/// removal is sent, however lately the group was written.
#[tokio::test]
async fn a_look_at_a_group_that_was_written_lately_tells_of_who_came_by_hand() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.with_account("ann").await, scene.member("bob").await);
    let before = scene.as_of_now().await;
    let dev = scene.settled_group("dev", &[bob.resource.id]).await;
    scene.a_look_shows("ann", before).await;
    let mut both = [ann.resource.id, bob.resource.id];
    both.sort_unstable();
    assert_eq!(scene.members(&dev).await, both);
}
