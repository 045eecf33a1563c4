//! Whose an account is that import found: its id counts before its address.
use super::*;
use crate::store::{FoundUser, ImportMark, Imported};

/// The account of an id, by the address of a name.
fn account(id: &str, name: &str) -> FoundUser {
    FoundUser {
        upstream_id: Some(format!("up-{id}")),
        ..imports::found_user(name)
    }
}

impl Scene {
    async fn import_accounts(&self, found: Vec<FoundUser>) -> Imported {
        let (store, mark) = (&self.store, ImportMark(i64::MAX));
        let import = store.import(self.c, mark, found, Vec::new(), None, actor());
        import.await.unwrap()
    }

    /// Who has which address here, by age.
    async fn addresses(&self) -> Vec<(ResourceId, String)> {
        let accounts = self.store.accounts(self.c, UserKey(0), 100).await.unwrap();
        accounts.into_iter().map(|(_, id, key)| (id, key)).collect()
    }

    async fn attributes(&self, id: ResourceId) -> String {
        let read = self.store.resource(self.c, ResourceType::User, id).await;
        read.unwrap().unwrap().attributes
    }
}

#[tokio::test]
async fn an_account_with_another_address_is_the_same_user() {
    let scene = Scene::new().await;
    scene.import_accounts(vec![account("1", "maiden")]).await;
    let (user, _) = scene.addresses().await.remove(0);
    let seen = scene.import_accounts(vec![account("1", "wed")]).await;
    assert_eq!((seen.users_new, seen.unshown), (0, 0));
    assert_eq!(
        scene.addresses().await,
        [(user, "wed@example.com".to_owned())]
    );
    let shown = scene.attributes(user).await;
    assert!(shown.contains("wed@example.com") && !shown.contains("maiden@example.com"));
    let again = scene.import_accounts(vec![account("1", "wed")]).await;
    assert_eq!((again.users_new, again.unshown), (0, 0));
    assert_eq!(scene.attributes(user).await, shown);
}

#[tokio::test]
async fn what_an_identity_provider_wrote_stays_when_the_account_has_another_address() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await.resource;
    scene.import_accounts(vec![account("1", "ann")]).await;
    scene.import_accounts(vec![account("1", "wed")]).await;
    assert_eq!(
        scene.addresses().await,
        [(ann.id, "wed@example.com".to_owned())]
    );
    let read = scene.store.resource(scene.c, ResourceType::User, ann.id);
    assert_eq!(read.await.unwrap(), Some(ann));
}

#[tokio::test]
async fn who_has_an_address_by_now_is_not_taken_for_who_had_it() {
    for handed_over in [[("2", "ann"), ("1", "wed")], [("1", "wed"), ("2", "ann")]] {
        let scene = Scene::new().await;
        scene.import_accounts(vec![account("1", "ann")]).await;
        let (ann, _) = scene.addresses().await.remove(0);
        let found = handed_over.map(|(id, name)| account(id, name));
        // The other one is called as the first one is, who keeps that name.
        let mut found = found.to_vec();
        for user in &mut found {
            let id = user.upstream_id.clone().unwrap();
            user.row.attributes.0.insert("userName".into(), id.into());
        }
        let seen = scene.import_accounts(found).await;
        assert_eq!((seen.users_new, seen.unshown), (1, 0));
        let addresses = scene.addresses().await;
        assert_eq!(addresses[0], (ann, "wed@example.com".to_owned()));
        assert_eq!(addresses[1].1, "ann@example.com");
    }
}

#[tokio::test]
async fn addresses_that_were_swapped_bind_nobody_and_are_told() {
    let scene = Scene::new().await;
    let both = vec![account("1", "ann"), account("2", "bob")];
    scene.import_accounts(both).await;
    let before = scene.addresses().await;
    let swapped = vec![account("1", "bob"), account("2", "ann")];
    let seen = scene.import_accounts(swapped).await;
    assert_eq!((seen.users_new, seen.unshown), (0, 2));
    assert_eq!(scene.addresses().await, before);
}

#[tokio::test]
async fn an_account_is_of_one_user_also_if_another_was_made_for_its_new_address() {
    let scene = Scene::new().await;
    scene.import_accounts(vec![account("1", "maiden")]).await;
    let before = scene.addresses().await;
    let wed = scene.user("wed").await;
    let seen = scene.import_accounts(vec![account("1", "wed")]).await;
    assert_eq!((seen.users_new, seen.unshown), (0, 1), "it is told");
    assert_eq!(scene.addresses().await, before);
    let turn = scene.store.begin_user_turn(wed.key).await.unwrap().unwrap();
    assert_eq!(turn.work.principal.upstream_id, None);
}

#[tokio::test]
async fn an_account_that_was_made_anew_is_the_user_s_again() {
    let scene = Scene::new().await;
    scene.import_accounts(vec![account("1", "ann")]).await;
    let before = scene.addresses().await;
    let seen = scene.import_accounts(vec![account("2", "ann")]).await;
    assert_eq!((seen.users_new, seen.unshown), (0, 0));
    assert_eq!(scene.addresses().await, before);
    // So it is known by that id, wherever it goes.
    scene.import_accounts(vec![account("2", "wed")]).await;
    assert_eq!(
        scene.addresses().await,
        [(before[0].0, "wed@example.com".to_owned())]
    );
}

/// What a turn learned that found no account, or one.
fn looked(about: &str, id: Option<&str>) -> UserLearned {
    UserLearned {
        about: Some(format!("{about}@example.com")),
        observed: Some(match id {
            Some(_) => present(),
            None => ObservedAccount::default(),
        }),
        settled: true,
        staged: id.is_none(),
        upstream_id: id.map(|id| format!("up-{id}")),
        ..UserLearned::default()
    }
}

impl Scene {
    /// Somebody is known by another address now, if that may be.
    async fn correct(&self, user: &UserWritten, name: &str) -> Option<String> {
        let row = user_row(name);
        let decide = Box::new(move |_: &_| Ok(Some(row)));
        let (id, when) = (user.resource.id, always());
        let change = self.store.change_user(self.c, id, when, decide, actor());
        change.await.unwrap();
        self.store.account(user.key).await.unwrap()
    }

    async fn end_turn(&self, user: &UserWritten, learned: UserLearned) -> Vec<Lane> {
        let end = self.store.end_user_turn(user.key, learned, 1);
        end.await.unwrap()
    }
}

#[tokio::test]
async fn an_address_may_be_corrected_until_an_account_is_linked() {
    let scene = Scene::new().await;
    let typo = scene.user("typo").await;
    scene.store.begin_user_turn(typo.key).await.unwrap();
    scene.end_turn(&typo, looked("typo", None)).await;
    let now = scene.correct(&typo, "real").await;
    assert_eq!(now.as_deref(), Some("real@example.com"));
    let turn = scene
        .store
        .begin_user_turn(typo.key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(turn.work.principal.account, "real@example.com");
    scene.end_turn(&typo, looked("real", Some("1"))).await;
    let now = scene.correct(&typo, "third").await;
    assert_eq!(now.as_deref(), Some("real@example.com"), "it is linked");
}

#[tokio::test]
async fn what_was_found_by_an_address_that_was_corrected_meanwhile_is_not_linked() {
    let scene = Scene::new().await;
    let typo = scene.user("typo").await;
    scene.store.begin_user_turn(typo.key).await.unwrap();
    scene.correct(&typo, "real").await;
    let woken = scene.end_turn(&typo, looked("typo", Some("1"))).await;
    assert_eq!(
        woken,
        [Lane::User(typo.key)],
        "it is looked for by the other one"
    );
    let turn = scene
        .store
        .begin_user_turn(typo.key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(turn.work.principal.upstream_id, None);
    assert_eq!(turn.work.observed.existence, Existence::Absent);
    assert!(!turn.unsure);
}

#[tokio::test]
async fn an_account_is_bound_to_one_user() {
    let scene = Scene::new().await;
    scene.import_accounts(vec![account("1", "ann")]).await;
    let bob = scene.user("bob").await;
    let bound = async |id: &str| {
        let bound = scene.store.is_bound_elsewhere(bob.key, id.to_owned());
        bound.await.unwrap()
    };
    assert!(bound("up-1").await && !bound("up-2").await);
    scene.store.begin_user_turn(bob.key).await.unwrap();
    scene.end_turn(&bob, looked("bob", Some("2"))).await;
    assert!(!bound("up-2").await, "its own");
}

#[tokio::test]
async fn an_end_that_was_done_in_part_is_told_and_not_undone() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let mut off = user_row("ann");
    off.account.active = false;
    let decide = Box::new(move |_: &_| Ok(Some(off)));
    let (id, store) = (ann.resource.id, &scene.store);
    let change = store.change_user(scene.c, id, always(), decide, actor());
    let ended = change.await.unwrap();
    store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let learned = UserLearned {
        observed: Some(ObservedAccount {
            deactivated: true,
            ..ObservedAccount::default()
        }),
        again: true,
        refused: Some("organizations remain".into()),
        ..UserLearned::default()
    };
    scene.end_turn(&ann, learned).await;
    let version = ended.resource.meta.version;
    let restore = store.restore_user(ann.key, version, ended.before, actor());
    restore.await.unwrap();
    let told = store.refused_resources(scene.c, 9).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].id, told[0].reason.as_str()),
        (id, "organizations remain")
    );
    // Asked for again it is done again.
    let again = store.change_user(scene.c, id, always(), Box::new(|_| Ok(None)), actor());
    assert!(again.await.unwrap().dirty);
    let turn = store.begin_user_turn(ann.key).await.unwrap().unwrap();
    assert!(!turn.work.wanted.active && turn.unsure);
}
