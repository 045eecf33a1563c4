//! What was taken away from somebody is remembered of the account, whoever has it here
//! by now (reliability: H-15).
use rusqlite::Connection;

use super::*;
use crate::store::{FoundUser, ImportMark, Whose, sqlite::said};

impl Scene {
    async fn whose(&self, group: &GroupWritten, name: &str) -> Whose {
        let account = Some(format!("{name}@example.com"));
        let whose = self.store.whose(self.c, group.key, vec![(None, account)]);
        whose.await.unwrap()[0]
    }

    /// Deletes a user, and what there is of it is ended.
    async fn leaves(&self, user: &UserWritten, group: &GroupWritten, at: i64) {
        let when = Precondition::default();
        let by = Actor { at, ..actor() };
        let gone = self.store.delete_user(self.c, user.resource.id, when, by);
        gone.await.unwrap();
        if self.store.is_open(user.key).await.unwrap() {
            self.confirm_user(user.key).await;
        }
        if self.lanes().await.contains(&Lane::Group(group.key)) {
            self.confirm_group(group).await;
        }
    }
}

fn user_of(user: &UserWritten, removed: Option<i64>) -> Whose {
    let id = user.resource.id;
    Whose::User { id, removed }
}

#[tokio::test]
async fn what_ended_with_who_was_deleted_was_taken_away_from_whoever_is_made_anew() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let bob = scene.member("bob").await;
    let group = scene
        .settled_group("dev", &[ann.resource.id, bob.resource.id])
        .await;
    let other = scene.settled_group("ops", &[bob.resource.id]).await;
    assert_eq!(scene.whose(&group, "ann").await, user_of(&ann, None));
    assert_eq!(scene.whose(&group, "zoe").await, Whose::Nobodys);

    scene.leaves(&ann, &group, 2_000).await;
    assert!(matches!(
        scene.whose(&group, "ann").await,
        Whose::Deleted(_)
    ));
    let second = scene.member("ann").await;
    let told = user_of(&second, Some(2_000));
    assert_eq!(scene.whose(&group, "ann").await, told);
    assert_eq!(scene.whose(&other, "ann").await, user_of(&second, None));

    // And from whoever comes after that one, who was never in it.
    scene.leaves(&second, &group, 3_000).await;
    let third = scene.member("ann").await;
    let told = user_of(&third, Some(2_000));
    assert_eq!(scene.whose(&group, "ann").await, told);
    // Asked for since, it was not taken away; and what is taken away then is.
    let it = [third.resource.id];
    scene.change(&group, add(&it)).await.unwrap();
    assert_eq!(scene.whose(&group, "ann").await, user_of(&third, None));
    scene.change(&group, remove(&it)).await.unwrap();
    let told = user_of(&third, Some(actor().at));
    assert_eq!(scene.whose(&group, "ann").await, told);
}

impl Scene {
    /// An import shows the account of an address with this id; whose it is then.
    async fn shows(&self, name: &str, id: &str) -> ResourceId {
        let found = FoundUser {
            upstream_id: Some(id.into()),
            ..imports::found_user(name)
        };
        let (store, mark) = (&self.store, ImportMark(i64::MAX));
        let import = store.import(self.c, mark, vec![found], Vec::new(), None, actor());
        import.await.unwrap();
        let shown = vec![(Some(id.to_owned()), None)];
        store.users_shown(self.c, shown).await.unwrap()[0]
    }
}

#[tokio::test]
async fn nothing_was_taken_away_from_another_account_that_has_the_address_by_now() {
    for id in ["1", "2"] {
        let scene = Scene::new().await;
        let ann = scene.member("ann").await;
        assert_eq!(scene.shows("ann", "1").await, ann.resource.id);
        let group = scene.settled_group("dev", &[ann.resource.id]).await;
        scene.leaves(&ann, &group, 2_000).await;
        let member = (Some(id.to_owned()), Some("ann@example.com".to_owned()));
        let whose = async || {
            let whose = scene.store.whose(scene.c, group.key, vec![member.clone()]);
            whose.await.unwrap()[0]
        };
        let is_it = id == "1";
        let told = whose().await;
        assert_eq!(matches!(told, Whose::Deleted(_)), is_it, "{told:?}");
        let anew = scene.shows("ann", id).await;
        assert_ne!(anew, ann.resource.id);
        let removed = is_it.then_some(2_000);
        assert_eq!(whose().await, Whose::User { id: anew, removed });
    }
}

#[tokio::test]
async fn a_long_history_of_a_group_is_read_once_and_says_the_same() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let group = scene.settled_group("dev", &[]).await;
    let (of_ann, of_bob) = ([ann.resource.id], [bob.resource.id]);
    for _ in 0..said::FEW {
        scene.change(&group, add(&of_ann)).await.unwrap();
        scene.change(&group, remove(&of_ann)).await.unwrap();
    }
    let db = Connection::open(scene.folder.path().join("d.db")).unwrap();
    let read = || said::unkept(&db, group.key.0).unwrap();
    assert_eq!(read(), said::FEW, "and more");
    let at = Some(actor().at);
    assert_eq!(scene.whose(&group, "ann").await, user_of(&ann, at));
    assert_eq!(read(), 0, "nothing of it is read again");
    assert_eq!(scene.whose(&group, "ann").await, user_of(&ann, at));
    assert_eq!(scene.whose(&group, "bob").await, user_of(&bob, None));
    // What comes since is read beside what is kept.
    scene.change(&group, add(&of_ann)).await.unwrap();
    scene.change(&group, add(&of_bob)).await.unwrap();
    scene.change(&group, remove(&of_bob)).await.unwrap();
    assert_eq!(scene.whose(&group, "ann").await, user_of(&ann, None));
    assert_eq!(scene.whose(&group, "bob").await, user_of(&bob, at));
    assert_eq!(read(), 3);
}
