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
