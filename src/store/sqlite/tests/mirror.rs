//! An application that is only shown: what is here follows what is there, and
//! what comes back is what it was.
use serde_json::Value;

use super::imports::{found_group, found_user};
use super::*;
use crate::{
    plan::{
        listing::{Doubts, List, Lost},
        state::GroupKey,
    },
    store::{FoundGroup, FoundUser, Gone, ImportMark, Imported, Reconcilable},
};

impl Scene {
    async fn mirror(&self, users: &[&str], groups: Vec<FoundGroup>, gone: Vec<Gone>) -> Imported {
        let users = users.iter().map(|name| found_user(name)).collect();
        self.follow(users, groups, gone).await
    }

    async fn follow(
        &self,
        users: Vec<FoundUser>,
        groups: Vec<FoundGroup>,
        gone: Vec<Gone>,
    ) -> Imported {
        let mark: ImportMark = self.store.import_mark(i64::MAX).await.unwrap();
        let import = self
            .store
            .import(self.c, mark, users, groups, Some(gone), actor());
        import.await.unwrap()
    }

    /// What import has found, by the application's name.
    pub(super) async fn row_of(&self, name: &str) -> Reconcilable {
        let all = self.store.shown_groups(self.c, GroupKey(0), 100).await;
        let mut all = all.unwrap().into_iter().map(|(group, _)| group);
        all.find(|group| group.name == name).unwrap()
    }

    pub(super) async fn shown(&self, of: ResourceType, id: ResourceId) -> Option<(Value, u64)> {
        let found = self.store.resource(self.c, of, id).await.unwrap()?;
        let attributes = serde_json::from_str(&found.attributes).unwrap();
        Some((attributes, found.meta.version))
    }

    pub(super) async fn give_external_id(&self, group: ResourceId, external_id: &str) {
        let own = external_id.to_owned();
        let change = GroupChange {
            decide: Box::new(move |stored| {
                let mut row = stored.row.clone();
                row.attributes.0.insert("externalId".into(), own.into());
                Ok(Some(row))
            }),
            members: Vec::new(),
            skip_unknown: false,
            closed: None,
        };
        let store = &self.store;
        let changed = store.change_group(self.c, group, always(), change, actor());
        assert!(changed.await.unwrap().changed);
    }

    async fn member_count(&self, group: ResourceId) -> usize {
        let members = self.store.members(self.c, group).await.unwrap();
        members.unwrap().ids.len()
    }
}

fn gone(list: List, keys: impl IntoIterator<Item = i64>) -> Gone {
    Gone {
        list,
        keys: keys.into_iter().collect(),
    }
}

pub(super) fn called(id: &str, name: &str) -> FoundGroup {
    let mut group = found_group(name, &[]);
    group.row.upstream_name = id.into();
    group
}

#[tokio::test]
async fn a_group_that_comes_back_is_the_one_that_it_was() {
    let scene = Scene::new().await;
    let listing = || vec![found_group("dev", &["ann", "bob"])];
    scene.mirror(&["ann", "bob"], listing(), vec![]).await;
    let dev = scene.row_of("dev").await;
    scene.give_external_id(dev.id, "42").await;
    let (before, version) = scene.shown(ResourceType::Group, dev.id).await.unwrap();
    let lost = vec![gone(List::Groups, [dev.group.0])];
    scene.mirror(&["ann", "bob"], vec![], lost).await;
    assert_eq!(scene.shown(ResourceType::Group, dev.id).await, None);

    let seen = scene.mirror(&["ann", "bob"], listing(), vec![]).await;
    assert_eq!((seen.groups_new, seen.members_new), (0, 2));
    let (after, later) = scene.shown(ResourceType::Group, dev.id).await.unwrap();
    assert_eq!(after, before, "externalId and all");
    assert!(later > version + 1, "no version comes back");
    assert_eq!(scene.member_count(dev.id).await, 2);
    assert_eq!(scene.row_of("dev").await, dev);
}

#[tokio::test]
async fn an_external_id_that_somebody_else_was_given_meanwhile_is_theirs() {
    let scene = Scene::new().await;
    let (dev, ops) = (|| found_group("dev", &[]), || found_group("ops", &[]));
    scene.mirror(&[], vec![dev(), ops()], vec![]).await;
    let (one, two) = (scene.row_of("dev").await, scene.row_of("ops").await);
    scene.give_external_id(one.id, "42").await;
    let lost = vec![gone(List::Groups, [one.group.0])];
    scene.mirror(&[], vec![ops()], lost).await;
    scene.give_external_id(two.id, "42").await;
    scene.mirror(&[], vec![dev(), ops()], vec![]).await;
    let (back, _) = scene.shown(ResourceType::Group, one.id).await.unwrap();
    assert_eq!(back, json!({ "displayName": "dev" }));
    let (theirs, _) = scene.shown(ResourceType::Group, two.id).await.unwrap();
    assert_eq!(theirs["externalId"], "42");
}

#[tokio::test]
async fn only_what_is_named_is_gone_and_what_is_not_ours_to_forget_is_kept() {
    let scene = Scene::new().await;
    let listing = vec![found_group("dev", &["ann", "bob", "cid"])];
    scene.mirror(&["ann", "bob", "cid"], listing, vec![]).await;
    let dev = scene.row_of("dev").await;
    let pairs = scene.store.pairs(dev.group).await.unwrap();
    let ann = &pairs[0].principal;
    // Nothing of it is listed, and only what is named is gone.
    let lost = vec![
        gone(List::Members(dev.group), [ann.user.0, 99]),
        gone(List::Accounts, [ann.user.0, 99]),
        gone(List::Groups, [99]),
    ];
    scene.mirror(&[], vec![], lost).await;
    assert_eq!(scene.member_count(dev.id).await, 2);
    let (shown, version) = scene.shown(ResourceType::User, ann.id).await.unwrap();
    assert_eq!((&shown["active"], version), (&json!(false), 2));
    let bob = &pairs[1].principal;
    let (_, version) = scene.shown(ResourceType::User, bob.id).await.unwrap();
    assert_eq!(version, 1);
    // Said again, it is no news.
    let again = vec![gone(List::Accounts, [ann.user.0])];
    scene.mirror(&[], vec![], again).await;
    let (_, version) = scene.shown(ResourceType::User, ann.id).await.unwrap();
    assert_eq!(version, 2);
    let made = scene.settled_group("made", &[]).await;
    let ours = vec![gone(List::Groups, [made.key.0])];
    scene.mirror(&[], vec![], ours).await;
    let kept = scene.shown(ResourceType::Group, made.resource.id).await;
    assert!(kept.is_some(), "a group that was made from here");
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn names_that_compare_equal_are_shown_apart_and_do_not_stay_so() {
    let scene = Scene::new().await;
    let twins = || vec![called("g1", "Crew"), called("g2", "ＣＲＥＷ")];
    let seen = scene.mirror(&[], twins(), vec![]).await;
    assert_eq!((seen.groups_new, seen.unshown), (2, 0));
    let (one, two) = (scene.row_of("g1").await, scene.row_of("g2").await);
    let (shown, version) = scene.shown(ResourceType::Group, two.id).await.unwrap();
    assert_eq!(shown["displayName"], "ＣＲＥＷ (g2)");
    scene.mirror(&[], twins(), vec![]).await;
    let again = scene.shown(ResourceType::Group, two.id).await;
    assert_eq!(again, Some((shown, version)), "nothing is news");

    // Two that change names with each other, which takes two steps.
    let swapped = || vec![called("g1", "B"), called("g2", "A")];
    let before = vec![called("g1", "A"), called("g2", "B")];
    scene.mirror(&[], before, vec![]).await;
    scene.mirror(&[], swapped(), vec![]).await;
    scene.mirror(&[], swapped(), vec![]).await;
    for (group, name) in [(&one, "B"), (&two, "A")] {
        let (shown, _) = scene.shown(ResourceType::Group, group.id).await.unwrap();
        assert_eq!(shown["displayName"], name);
    }
}

#[tokio::test]
async fn users_whose_names_compare_equal_are_shown_apart() {
    let scene = Scene::new().await;
    let mut twin = found_user("other");
    twin.row.attributes = serde_json::from_value(json!({ "userName": "ＡＮＮ" })).unwrap();
    let users = vec![found_user("ann"), twin.clone()];
    let seen = scene.follow(users, vec![], vec![]).await;
    assert_eq!((seen.users_new, seen.unshown), (2, 0));
    let accounts = scene.store.accounts(scene.c, UserKey(0), 10).await.unwrap();
    let (shown, _) = scene
        .shown(ResourceType::User, accounts[1].1)
        .await
        .unwrap();
    assert_eq!(shown["userName"], "ＡＮＮ (up-other)");
    // Alone, it has its name to itself.
    let lost = vec![];
    let mut renamed = found_user("ann");
    renamed.row.attributes = serde_json::from_value(json!({ "userName": "bea" })).unwrap();
    scene.follow(vec![renamed, twin], vec![], lost).await;
    let (shown, _) = scene
        .shown(ResourceType::User, accounts[1].1)
        .await
        .unwrap();
    assert_eq!(shown["userName"], "ＡＮＮ");
}

#[tokio::test]
async fn a_list_that_is_not_believed_is_remembered_over_a_restart() {
    let scene = Scene::new().await;
    assert!(scene.store.doubts(scene.c).await.unwrap().is_empty());
    let mut doubts = Doubts::default();
    let lost = Lost {
        gone: (0..20).collect(),
        there: 20,
    };
    assert!(!doubts.believe(List::Members(GroupKey(7)), &lost, 5));
    let keep = scene.store.keep_doubts(scene.c, doubts.clone());
    keep.await.unwrap();
    let scene = scene.reopen().await;
    assert_eq!(scene.store.doubts(scene.c).await.unwrap(), doubts);
    let forget = scene.store.keep_doubts(scene.c, Doubts::default());
    forget.await.unwrap();
    assert!(scene.store.doubts(scene.c).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_account_that_is_listed_under_another_address_is_not_gone() {
    let scene = Scene::new().await;
    scene.mirror(&["ann"], vec![], vec![]).await;
    let accounts = scene.store.accounts(scene.c, UserKey(0), 9).await.unwrap();
    let (key, id, _) = accounts[0].clone();
    let wed = FoundUser {
        upstream_id: Some("up-ann".into()),
        ..found_user("wed")
    };
    let lost = vec![gone(List::Accounts, [key.0])];
    let seen = scene.follow(vec![wed], vec![], lost).await;
    assert_eq!((seen.users_new, seen.unshown), (0, 0));
    let (shown, _) = scene.shown(ResourceType::User, id).await.unwrap();
    assert_eq!(shown["userName"], "wed");
    assert_ne!(shown["active"], json!(false));
}
