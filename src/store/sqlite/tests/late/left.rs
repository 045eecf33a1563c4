//! What a late call has left of somebody in a group, where the application does not
//! let them go.
use super::*;
use crate::store::ImportMark;

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

    /// It lets them go.
    async fn lets_go(&self, group: &GroupWritten, user: &UserWritten) {
        let turn = self.next(group).await;
        assert_eq!(keys(&turn.work.removes), [user.key]);
        let gone = GroupLearned {
            absent: vec![user.key],
            ..GroupLearned::default()
        };
        let end = self.store.end_group_turn(group.key, turn.seq, gone, 4_000);
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
        scene.lets_go(&group, &bob).await;
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

impl Scene {
    /// Deleted, and ended there.
    async fn is_gone(&self, user: &UserWritten) {
        let (id, key) = (user.resource.id, user.key);
        let delete = self.store.delete_user(self.c, id, always(), actor());
        delete.await.unwrap();
        self.confirm_user(key).await;
    }

    /// Nobody else is told, and once the account is made whoever has it by now is
    /// taken out, twice at once, and told.
    async fn is_left_to(&self, group: &GroupWritten, next: &UserWritten) {
        let lanes = self.confirm_user(next.key).await;
        assert!(lanes.contains(&Lane::Group(group.key)), "{lanes:?}");
        self.keeps(group, next).await;
        self.keeps(group, next).await;
        let told = [(next.resource.id, false, "it stays".to_owned())];
        assert_eq!(self.refused_pairs().await, told);
        assert_eq!(self.lanes().await, []);
        let again = self.store.retry_ends(self.c, actor()).await.unwrap();
        assert_eq!(again, [Lane::Group(group.key)]);
        self.lets_go(group, next).await;
        assert_eq!(self.refused_pairs().await, []);
    }
}

#[tokio::test]
async fn what_was_left_of_a_deleted_user_is_taken_from_whoever_has_the_account_next() {
    for waits in [false, true] {
        let scene = Scene::new().await;
        let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
        let group = scene.settled_group("dev", &[ann.resource.id]).await;
        scene.may_come_late(&group, &bob).await;
        scene.confirm_group(&group).await;
        scene.is_gone(&bob).await;
        let mut next = None;
        if waits {
            next = Some(scene.user("bob").await);
        }
        assert_eq!(scene.recheck(LATER).await, [Lane::Group(group.key)]);
        scene.keeps(&group, &bob).await;
        if next.is_none() {
            assert_eq!(scene.refused_pairs().await, [], "has no access by it");
        }
        let scene = scene.reopen().await;
        let next = match next {
            Some(next) => next,
            None => {
                // What an import shows of it is what was.
                let mark = ImportMark(i64::MAX);
                let import = scene
                    .store
                    .import(scene.c, mark, vec![], vec![], None, actor());
                import.await.unwrap();
                scene.user("bob").await
            }
        };
        scene.is_left_to(&group, &next).await;
        assert_eq!(scene.members(&group).await, [ann.resource.id]);
    }
}

#[tokio::test]
async fn and_so_is_what_was_told_of_them_before_they_were_deleted() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.may_come_late(&group, &bob).await;
    scene.confirm_group(&group).await;
    scene.recheck(LATER).await;
    for _ in 0..2 {
        scene.keeps(&group, &bob).await;
    }
    scene.is_gone(&bob).await;
    assert_eq!(scene.refused_pairs().await, []);
    let next = scene.user("bob").await;
    scene.is_left_to(&group, &next).await;
}

/// Whoever was here before, and has their account by another name.
#[tokio::test]
async fn and_from_who_is_renamed_to_have_that_account() {
    for asked in [false, true] {
        let scene = Scene::new().await;
        let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
        let group = scene.settled_group("dev", &[ann.resource.id]).await;
        scene.may_come_late(&group, &bob).await;
        scene.confirm_group(&group).await;
        let carol = scene.user("carol").await;
        scene.is_gone(&bob).await;
        scene.recheck(LATER).await;
        scene.keeps(&group, &bob).await;
        let ids = [carol.resource.id];
        let decide = Box::new(|_: &_| Ok(Some(user_row("bob"))));
        let (store, c) = (&scene.store, scene.c);
        let renamed = store.change_user(c, ids[0], always(), decide, actor());
        renamed.await.unwrap();
        assert_eq!(scene.refused_pairs().await, []);
        if !asked {
            scene.is_left_to(&group, &carol).await;
            assert_eq!(scene.members(&group).await, [ann.resource.id]);
            continue;
        }
        scene.change(&group, add(&ids)).await.unwrap();
        scene.confirm_user(carol.key).await;
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.adds), [carol.key]);
        assert_eq!(keys(&turn.work.removes), []);
    }
}

/// Whoever is asked for in the group is to be in it, and stays.
#[tokio::test]
async fn but_not_from_whoever_is_asked_for_there() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.may_come_late(&group, &bob).await;
    scene.confirm_group(&group).await;
    scene.is_gone(&bob).await;
    scene.recheck(LATER).await;
    scene.keeps(&group, &bob).await;
    let next = scene.user("bob").await;
    scene
        .change(&group, add(&[next.resource.id]))
        .await
        .unwrap();
    assert_eq!(scene.refused_pairs().await, []);
    scene.confirm_user(next.key).await;
    let turn = scene.next(&group).await;
    assert_eq!(keys(&turn.work.adds), [next.key]);
    assert_eq!(keys(&turn.work.removes), []);
}

/// Of a removal no answer came, or only a read told that it is done, which may lag
/// behind; then the same is asked for again, and refused.
#[tokio::test]
async fn who_is_refused_before_their_removal_is_sure_is_taken_out_once_more() {
    for only_read in [false, true] {
        let scene = Scene::new().await;
        let ann = scene.member("ann").await;
        let anns = [ann.resource.id];
        let group = scene.settled_group("dev", &anns).await;
        scene.change(&group, remove(&anns)).await.unwrap();
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.removes), [ann.key]);
        let users = || only_read.then_some(ann.key).into_iter().collect();
        let unsure = GroupLearned {
            absent: users(),
            read: users(),
            ..GroupLearned::default()
        };
        let end = |turn: GroupTurn, learned| {
            let store = &scene.store;
            store.end_group_turn(group.key, turn.seq, learned, 3_000)
        };
        end(turn, unsure).await.unwrap();
        scene.change(&group, add(&anns)).await.unwrap();
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.adds), [ann.key]);
        let refused = GroupLearned {
            refused: vec![(ann.key, "no".into())],
            ..GroupLearned::default()
        };
        end(turn, refused).await.unwrap();
        assert_eq!(scene.members(&group).await, []);
        assert_eq!(scene.recheck(LATER).await, [Lane::Group(group.key)]);
        let turn = scene.next(&group).await;
        assert_eq!(keys(&turn.work.removes), [ann.key], "{only_read}");
    }
}
