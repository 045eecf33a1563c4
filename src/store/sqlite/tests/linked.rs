//! Who is linked to an account that was there already, in a group that was read because
//! a request takes them out of it.
use super::{late::keys, *};
use crate::store::{FoundGroup, ImportMark, Reading, TakenOut};

impl Scene {
    /// A user of whom it is not known in which groups the account is.
    async fn linked(&self, name: &str) -> UserWritten {
        let user = self.user(name).await;
        self.store.begin_user_turn(user.key).await.unwrap().unwrap();
        let learned = UserLearned {
            observed: Some(present()),
            settled: true,
            linked: true,
            ..UserLearned::default()
        };
        let end = self.store.end_user_turn(user.key, learned, 2_000);
        end.await.unwrap();
        user
    }

    /// The group is read for a request that empties it: it shows what was so when the
    /// history stood at `since`, or later.
    async fn is_read_as(&self, group: &str, names: &[&str], since: ImportMark) {
        let reading = Reading {
            began: self.store.import_mark(i64::MAX).await.unwrap(),
            since,
            whole: false,
        };
        let address = |name: &&str| (None, Some(format!("{name}@example.com")));
        let found = FoundGroup {
            id: fresh_id(),
            row: group_row(group),
            read_only: None,
            family: None,
            members: names.iter().map(address).collect(),
        };
        let mut taken = TakenOut::default();
        taken.remove_all();
        let read = (vec![found], Arc::new(taken));
        let learn = self.store.learn_linked(self.c, reading, read, actor());
        learn.await.unwrap();
    }

    /// Who is to go is asked for again before that is sent.
    pub(super) async fn taken_back(
        &self,
        group: &GroupWritten,
        user: &UserWritten,
        handed_out: bool,
    ) {
        let ids = [user.resource.id];
        if !handed_out {
            self.change(group, add(&ids)).await.unwrap();
            return;
        }
        let turn = self.next(group).await;
        assert_eq!(keys(&turn.work.removes), [user.key]);
        self.change(group, add(&ids)).await.unwrap();
        let learned = GroupLearned {
            unsent: vec![user.key],
            ..GroupLearned::default()
        };
        let end = self
            .store
            .end_group_turn(group.key, turn.seq, learned, 3_000);
        end.await.unwrap();
    }
}

/// Ann is linked, and Bob is in a group that was just written; reading it shows her, too.
async fn shown(since: ImportMark) -> (Scene, [UserWritten; 2], GroupWritten) {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.linked("ann").await, scene.member("bob").await);
    let group = scene.settled_group("dev", &[bob.resource.id]).await;
    scene.is_read_as("dev", &["ann", "bob"], since).await;
    let both = [ann.resource.id, bob.resource.id];
    assert_eq!(scene.members(&group).await, both);
    (scene, [ann, bob], group)
}

/// It may show who was in a group of the same name before this one.
#[tokio::test]
async fn whom_an_outdated_reading_shows_is_taken_out_and_not_believed_to_be_there() {
    for handed_out in [false, true] {
        let (scene, [ann, bob], group) = shown(ImportMark(0)).await;
        let kept = replace(&[bob.resource.id]);
        scene.change(&group, kept).await.unwrap();
        scene.taken_back(&group, &ann, handed_out).await;
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.adds), [ann.key], "{handed_out}");
    }
    // What was to take her out never came.
    let (scene, [ann, _], group) = shown(ImportMark(0)).await;
    scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    assert_eq!(keys(&scene.next(&group).await.work.adds), [ann.key]);

    let (scene, [ann, bob], group) = shown(ImportMark(0)).await;
    let kept = replace(&[bob.resource.id]);
    scene.change(&group, kept).await.unwrap();
    assert_eq!(keys(&scene.next(&group).await.work.removes), [ann.key]);
}

#[tokio::test]
async fn whom_a_reading_shows_that_began_after_all_that_was_sent_is_there() {
    for handed_out in [false, true] {
        let (scene, [ann, bob], group) = shown(ImportMark(i64::MAX)).await;
        let kept = replace(&[bob.resource.id]);
        scene.change(&group, kept).await.unwrap();
        scene.taken_back(&group, &ann, handed_out).await;
        assert_eq!(scene.lanes().await, [], "{handed_out}");
    }
}
