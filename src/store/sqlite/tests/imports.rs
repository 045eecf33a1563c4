//! Import: what is found becomes visible; nothing is bound, nothing overwritten.
use super::*;
use crate::plan::operation::Operation;
use crate::store::{FoundGroup, FoundUser, ImportMark, Imported, Start, StoredGroup};

pub(super) fn found_user(name: &str) -> FoundUser {
    FoundUser {
        id: fresh_id(),
        row: user_row(name),
        observed: ObservedAccount {
            profile: Some(std::collections::BTreeMap::new()),
            ..present()
        },
        upstream_id: Some(format!("up-{name}")),
    }
}

pub(super) fn found_group(name: &str, members: &[&str]) -> FoundGroup {
    let by_id = |name: &&str| (Some(format!("up-{name}")), None);
    FoundGroup {
        id: fresh_id(),
        row: group_row(name),
        read_only: None,
        family: None,
        members: members.iter().map(by_id).collect(),
    }
}

impl Scene {
    async fn import(&self, users: &[&str], groups: Vec<FoundGroup>) -> Imported {
        self.import_read_at(self.mark().await, users, groups).await
    }

    /// Now: everything written so far was seen by a read that begins.
    async fn mark(&self) -> ImportMark {
        self.store.import_mark(i64::MAX).await.unwrap()
    }

    async fn import_read_at(
        &self,
        mark: ImportMark,
        users: &[&str],
        groups: Vec<FoundGroup>,
    ) -> Imported {
        let users = users.iter().map(|name| found_user(name)).collect();
        let import = self
            .store
            .import(self.c, mark, users, groups, None, actor());
        import.await.unwrap()
    }

    async fn named(&self, of: ResourceType, n: usize) -> ResourceId {
        let select = lists::plain(of, "", Start::Offset(n as u64), 1);
        let listing = self.store.list(self.c, select).await.unwrap();
        lists::stored(&listing)[0].1.id
    }
}

#[tokio::test]
async fn what_is_found_becomes_visible_once_and_asks_for_nothing() {
    let scene = Scene::new().await;
    let names: Vec<String> = (0..1_200).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let groups = || {
        vec![
            found_group("dev", &names),
            found_group("ops", &["u1", "nobody"]),
        ]
    };
    let first = scene.import(&names, groups()).await;
    let all = Imported {
        users_seen: 1_200,
        users_new: 1_200,
        groups_seen: 2,
        groups_new: 2,
        members_new: 1_201,
        members_unknown: 1,
        ..Imported::default()
    };
    assert_eq!(first, all);
    assert_eq!(scene.lanes().await, []);
    let group = scene.named(ResourceType::Group, 0).await;
    let members = scene.store.members(scene.c, group).await.unwrap().unwrap();
    assert_eq!(members.ids.len(), 1_200);
    let again = scene.import(&names, groups()).await;
    let nothing_new = Imported {
        users_new: 0,
        groups_new: 0,
        members_new: 0,
        ..all
    };
    assert_eq!(again, nothing_new);
    let later = scene.store.members(scene.c, group).await.unwrap().unwrap();
    assert_eq!(later.version, members.version);
}

#[tokio::test]
async fn an_existing_row_only_learns() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let mut mine = user_row("zoe");
    mine.account_key = Some("other@example.com".into());
    let create = scene.store.create_user(scene.c, fresh_id(), mine, actor());
    create.await.unwrap();
    let seen = scene.import(&["ann", "zoe"], Vec::new()).await;
    assert_eq!(
        (seen.users_seen, seen.users_new, seen.unshown),
        (2, 0, 1),
        "a taken name is nobody's, and that is told"
    );
    let read = scene
        .store
        .resource(scene.c, ResourceType::User, ann.resource.id);
    assert_eq!(read.await.unwrap(), Some(ann.resource.clone()));
    let group = scene.group("dev", &[ann.resource.id]).await;
    let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
    let principal = turn.unwrap().work.adds.remove(0);
    assert_eq!(principal.upstream_id.as_deref(), Some("up-ann"));
}

#[tokio::test]
async fn an_account_that_a_pending_creation_asks_for_is_not_taken_on_for_it() {
    let scene = Scene::new().await;
    let ann = scene.user("ann").await;
    let mut off = user_row("bob");
    off.account.active = false;
    let bob = scene.store.create_user(scene.c, fresh_id(), off, actor());
    let bob = bob.await.unwrap();
    scene.import(&["ann", "bob"], Vec::new()).await;
    let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    assert_eq!(
        turn.work.observed.existence,
        Existence::Absent,
        "the creation is sent, and the application says whose it is"
    );
    assert_eq!(turn.work.principal.upstream_id, None);
    let turn = scene.store.begin_user_turn(bob.key).await.unwrap().unwrap();
    assert!(turn.unsure && turn.unjudged, "it is looked for first");
    assert_eq!(turn.work.observed.existence, Existence::Absent);
    assert_eq!(turn.work.principal.upstream_id, None);
}

#[tokio::test]
async fn a_removal_that_was_confirmed_while_the_application_was_read_stays_a_removal() {
    let scene = Scene::new().await;
    let listing = || vec![found_group("dev", &["ann", "bob"])];
    scene.import(&["ann", "bob"], listing()).await;
    let ann = scene.named(ResourceType::User, 0).await;
    let bob = scene.named(ResourceType::User, 1).await;
    let group = scene.named(ResourceType::Group, 0).await;
    let read = scene.mark().await;
    let change = scene
        .store
        .change_group(scene.c, group, always(), remove(&[ann]), actor());
    let key = change.await.unwrap().key;
    let turn = scene.store.begin_group_turn(key, 10).await.unwrap();
    let turn = turn.unwrap();
    let learned = GroupLearned {
        absent: turn.work.removes.iter().map(|p| p.user).collect(),
        ..GroupLearned::default()
    };
    let end = scene.store.end_group_turn(key, turn.seq, learned, 1_000);
    end.await.unwrap();
    let seen = scene.import_read_at(read, &["ann", "bob"], listing()).await;
    assert_eq!(seen.members_new, 0);
    let members = scene.store.members(scene.c, group).await.unwrap().unwrap();
    assert_eq!(members.ids.to_vec(), [bob]);
    // Who is shown from now on was given it back, or was never out of it.
    for _ in 0..2 {
        let seen = scene.import(&["ann", "bob"], listing()).await;
        assert_eq!((seen.members_new, seen.returned.memberships), (0, 1));
        let members = scene.store.members(scene.c, group).await.unwrap().unwrap();
        assert_eq!(members.ids.to_vec(), [bob]);
    }
}

#[tokio::test]
async fn a_group_that_was_deleted_while_the_application_was_read_is_not_found_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let listing = || vec![found_group("dev", &["ann"])];
    let read = scene.mark().await;
    scene.delete_group(&group, actor()).await.unwrap();
    let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
    let turn = turn.unwrap();
    let call = Operation::DeleteGroup {
        name: turn.work.name.clone(),
    };
    let learned = GroupLearned {
        existence: Some(Existence::Absent),
        calls: vec![(call, "done".into(), 1.into())],
        ..GroupLearned::default()
    };
    let end = scene.store.end_group_turn(group.key, turn.seq, learned, 9);
    end.await.unwrap();
    let seen = scene.import_read_at(read, &["ann"], listing()).await;
    assert_eq!((seen.groups_new, seen.returned.groups), (0, 0));
    // What is shown from now on is there, and that is told until it is asked for.
    for new in [1, 0] {
        let seen = scene.import(&["ann"], listing()).await;
        assert_eq!((seen.groups_new, seen.returned.groups), (new, 1));
    }
    let found = scene.named(ResourceType::Group, 0).await;
    let (store, bob) = (&scene.store, scene.member("bob").await);
    let add = store.change_group(scene.c, found, always(), add(&[bob.resource.id]), actor());
    add.await.unwrap();
    let seen = scene.import(&["ann"], listing()).await;
    assert_eq!(seen.returned.groups, 0);
}

/// Also one of which no answer told that it was made.
#[tokio::test]
async fn a_group_that_was_made_unheard_and_deleted_while_it_was_read_is_not_found() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.group("dev", &[ann.resource.id]).await;
    let store = &scene.store;
    let turn = store.begin_group_turn(group.key, 10).await.unwrap();
    let unheard = GroupLearned {
        existence: Some(Existence::Unknown),
        ..GroupLearned::default()
    };
    let end = store.end_group_turn(group.key, turn.unwrap().seq, unheard, 9);
    end.await.unwrap();
    let read = scene.mark().await;
    scene.delete_group(&group, actor()).await.unwrap();
    let turn = store.begin_group_turn(group.key, 10).await.unwrap();
    let turn = turn.unwrap();
    assert!(turn.guess.is_some());
    let call = Operation::DeleteGroup {
        name: turn.work.name.clone(),
    };
    let learned = GroupLearned {
        existence: Some(Existence::Absent),
        calls: vec![(call, "done".into(), 1.into())],
        ..GroupLearned::default()
    };
    let end = store.end_group_turn(group.key, turn.seq, learned, 9);
    end.await.unwrap();
    let listing = || vec![found_group("dev", &["ann"])];
    let seen = scene.import_read_at(read, &["ann"], listing()).await;
    assert_eq!(seen.groups_new, 0);
    let seen = scene.import(&["ann"], listing()).await;
    assert_eq!(seen.groups_new, 1);
}

#[tokio::test]
async fn an_account_that_was_given_up_while_the_application_was_read_is_not_found_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let read = scene.mark().await;
    let delete = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    delete.await.unwrap();
    scene.confirm_user(ann.key).await;
    let seen = scene.import_read_at(read, &["ann"], Vec::new()).await;
    assert_eq!(seen.users_new, 0);
}

#[tokio::test]
async fn an_account_that_we_deactivated_or_are_to_deactivate_is_not_found_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let delete = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    delete.await.unwrap();
    let seen = scene.import(&["ann"], Vec::new()).await;
    assert_eq!(seen.users_new, 0);
    assert_eq!(scene.lanes().await, [Lane::User(ann.key)]);
    scene.confirm_user(ann.key).await;
    assert_eq!(scene.import(&["ann"], Vec::new()).await.users_new, 1);
}

#[tokio::test]
async fn a_member_found_in_a_group_that_is_not_ours_is_shown_and_left_alone() {
    let scene = Scene::new().await;
    scene
        .import(&["ann", "bob"], vec![found_group("dev", &["ann"])])
        .await;
    let ann = scene.named(ResourceType::User, 0).await;
    let bob = scene.named(ResourceType::User, 1).await;
    let group = scene.named(ResourceType::Group, 0).await;
    let write = |change| {
        scene
            .store
            .change_group(scene.c, group, always(), change, actor())
    };
    let swap = change(vec![MemberChange::Add(texts(&[bob]))]);
    let written = write(swap).await.unwrap();
    assert_eq!(written.touched.len(), 1);
    let adopted = write(add(&[ann])).await.unwrap();
    assert!(
        !adopted.changed && adopted.touched.is_empty(),
        "she is there already"
    );
    // A removal under way is not taken for a member nobody asked for.
    let removed = write(remove(&[ann])).await.unwrap();
    assert!(removed.changed);
    let seen = scene
        .import(&["ann", "bob"], vec![found_group("dev", &["ann"])])
        .await;
    assert_eq!(seen.members_new, 0);
    let members = scene.store.members(scene.c, group).await.unwrap().unwrap();
    assert_eq!(members.ids.to_vec(), [bob]);
}

#[tokio::test]
async fn unmanaged_members_keep_a_replacement_from_being_one_call() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await.resource.id;
    let bob = scene.member("bob").await.resource.id;
    let group = scene.settled_group("dev", &[ann]).await;
    let seen = scene
        .import(&["cid"], vec![found_group("dev", &["ann", "cid", "x"])])
        .await;
    assert_eq!(
        (seen.groups_new, seen.members_new),
        (0, 0),
        "a group of ours"
    );
    assert_eq!(seen.members_unknown, 3, "ann was confirmed without an id");
    scene.change(&group, replace(&[bob])).await.unwrap();
    let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
    assert_eq!(turn.unwrap().work.full, None);
}

#[tokio::test]
async fn a_found_group_is_not_ours_and_says_why_it_must_not_be_written() {
    let scene = Scene::new().await;
    let mut synced = found_group("dev", &["ann"]);
    synced.read_only = Some("synced".into());
    scene.import(&["ann"], vec![synced]).await;
    let group = scene.named(ResourceType::Group, 0).await;
    let refuse = Box::new(|stored: &StoredGroup| {
        assert!(!stored.ours);
        assert_eq!(stored.read_only.as_deref(), Some("synced"));
        Err(crate::scim::error::Problem::new(403, "synced"))
    });
    let delete = scene
        .store
        .delete_group(scene.c, group, always(), refuse, None, actor());
    assert!(matches!(delete.await, Err(WriteError::Problem(_))));
    let ann = scene.named(ResourceType::User, 0).await;
    let delete = scene.store.delete_user(scene.c, ann, always(), actor());
    assert_eq!(
        delete.await.unwrap().groups,
        [],
        "its membership is not ours to end"
    );
    let members = scene.store.members(scene.c, group).await.unwrap().unwrap();
    assert_eq!(members.ids.len(), 0);
}
