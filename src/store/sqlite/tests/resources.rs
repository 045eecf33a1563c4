//! Users and groups as resources: create, read, change, delete, uniqueness.
use super::*;

fn with_active(active: bool) -> UserRow {
    let mut row = user_row("ann");
    row.account.active = active;
    row.attributes.0.insert("active".into(), active.into());
    row
}

#[tokio::test]
async fn a_created_user_is_read_back_as_it_was_written() {
    let scene = Scene::new().await;
    let user = scene.user("ann").await;
    assert!(user.changed && user.dirty && user.before.is_none());
    let read = scene
        .store
        .resource(scene.c, ResourceType::User, user.resource.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read, user.resource);
    assert_eq!(read.meta.version, 1);
    let attributes: Attributes = serde_json::from_str(&read.attributes).unwrap();
    assert_eq!(attributes, user_row("ann").attributes);
}

#[tokio::test]
async fn another_connection_sees_nothing_of_it() {
    let scene = Scene::new().await;
    let user = scene.user("ann").await;
    let other = scene.store.connection("other").await.unwrap();
    assert_ne!(other, scene.c);
    let read = scene
        .store
        .resource(other, ResourceType::User, user.resource.id);
    assert_eq!(read.await.unwrap(), None);
    let create = scene
        .store
        .create_user(other, fresh_id(), user_row("ann"), actor());
    create.await.unwrap();
    let group = scene
        .store
        .create_group(
            other,
            fresh_id(),
            group_row("dev"),
            texts(&[user.resource.id]),
            false,
            actor(),
        )
        .await;
    assert_eq!(
        group.unwrap_err(),
        WriteError::UnknownMembers(texts(&[user.resource.id]))
    );
}

#[tokio::test]
async fn taken_values_are_named_by_attribute() {
    let scene = Scene::new().await;
    let mut first = user_row("ann");
    first.attributes.0.insert("externalId".into(), "x1".into());
    let create = |row: UserRow| scene.store.create_user(scene.c, fresh_id(), row, actor());
    create(first).await.unwrap();
    let taken = |attribute, value: &str| WriteError::Taken {
        attribute,
        value: value.to_owned(),
        holder: (attribute == "upstreamName").then(|| "Dev".to_owned()),
    };
    let mut same_name = user_row("ANN");
    same_name.account_key = None;
    assert_eq!(
        create(same_name).await.unwrap_err(),
        taken("userName", "ANN")
    );
    let mut same_external = user_row("bob");
    same_external
        .attributes
        .0
        .insert("externalId".into(), "x1".into());
    assert_eq!(
        create(same_external).await.unwrap_err(),
        taken("externalId", "x1")
    );
    let mut same_account = user_row("bob");
    same_account.account_key = Some("ann@example.com".into());
    assert_eq!(
        create(same_account).await.unwrap_err(),
        taken("account", "ann@example.com")
    );

    assert_eq!(
        create(user_row("ann")).await.unwrap_err(),
        taken("userName", "ann"),
        "the plainest of several reasons"
    );

    scene.group("Dev", &[]).await;
    let create = |row: GroupRow| {
        scene
            .store
            .create_group(scene.c, fresh_id(), row, Vec::new(), false, actor())
    };
    assert_eq!(
        create(group_row("dev")).await.unwrap_err(),
        taken("displayName", "dev")
    );
    let mut same_slug = group_row("Dev!");
    same_slug.upstream_name = "dev".into();
    assert_eq!(
        create(same_slug).await.unwrap_err(),
        taken("upstreamName", "dev")
    );
}

#[tokio::test]
async fn a_race_for_one_name_has_one_winner() {
    let scene = Scene::new().await;
    let tries: Vec<_> = (0..100)
        .map(|_| {
            let (store, c) = (Arc::clone(&scene.store), scene.c);
            tokio::spawn(async move {
                store
                    .create_user(c, fresh_id(), user_row("ann"), actor())
                    .await
            })
        })
        .collect();
    let mut won = 0;
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(_) => won += 1,
            Err(WriteError::Taken { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_change_is_decided_on_the_stored_state_and_makes_a_version() {
    let scene = Scene::new().await;
    let user = scene.member("ann").await;
    let update = |row: UserRow| {
        scene.store.change_user(
            scene.c,
            user.resource.id,
            always(),
            Box::new(move |stored| {
                assert_eq!(stored.row.attributes.text("userName"), Some("ann"));
                Ok(Some(row))
            }),
            actor(),
        )
    };
    let mut row = user_row("ann");
    row.attributes.0.insert("title".into(), "Dr".into());
    row.account_key = Some("other@example.com".into());
    let changed = update(row.clone()).await.unwrap();
    assert!(changed.changed);
    assert_eq!(changed.resource.meta.version, 2);
    assert_eq!(changed.before.unwrap(), user_row("ann"));
    let again = update(row).await.unwrap();
    assert!(!again.changed, "the same row again is no change");
    assert_eq!(again.resource.meta.version, 2);
    let key = again.before.unwrap().account_key;
    assert_eq!(key.as_deref(), Some("ann@example.com"), "the key stays");
}

#[tokio::test]
async fn a_stale_precondition_changes_nothing() {
    let scene = Scene::new().await;
    let user = scene.user("ann").await;
    let with = |when: Precondition| {
        let id = user.resource.id;
        scene.store.change_user(
            scene.c,
            id,
            when,
            Box::new(|_| Ok(Some(with_active(false)))),
            actor(),
        )
    };
    let stale = Precondition {
        if_match: Some(vec![7]),
        if_none_match: None,
    };
    assert_eq!(with(stale).await.unwrap_err(), WriteError::Stale(1));
    let any = Precondition {
        if_match: None,
        if_none_match: Some(Vec::new()),
    };
    assert_eq!(with(any).await.unwrap_err(), WriteError::Stale(1));
    let right = Precondition {
        if_match: Some(vec![7, 1]),
        if_none_match: Some(vec![2]),
    };
    assert_eq!(with(right).await.unwrap().resource.meta.version, 2);
}

#[tokio::test]
async fn one_of_two_with_the_same_if_match_wins() {
    let scene = Scene::new().await;
    let user = scene.user("ann").await;
    let with = |title: &'static str| {
        let when = Precondition {
            if_match: Some(vec![1]),
            if_none_match: None,
        };
        let decide = Box::new(move |_: &_| {
            let mut row = user_row("ann");
            row.attributes.0.insert("title".into(), title.into());
            Ok(Some(row))
        });
        scene
            .store
            .change_user(scene.c, user.resource.id, when, decide, actor())
    };
    let (a, b) = tokio::join!(with("a"), with("b"));
    assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1);
}

#[tokio::test]
async fn a_deleted_user_frees_its_name_and_leaves_its_groups() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let bob = scene.member("bob").await;
    let ids = [ann.resource.id, bob.resource.id];
    let group = scene.settled_group("dev", &ids).await;
    let staged = scene.group("new", &ids).await;
    let gone = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor())
        .await
        .unwrap();
    assert!(gone.dirty);
    assert_eq!(gone.groups, [group.key], "the other group never had her");
    assert_eq!(scene.members(&group).await, [bob.resource.id]);
    assert_eq!(scene.members(&staged).await, [bob.resource.id]);
    let read = scene
        .store
        .resource(scene.c, ResourceType::User, ann.resource.id);
    assert_eq!(read.await.unwrap(), None);
    let version = scene
        .store
        .members(scene.c, group.resource.id)
        .await
        .unwrap();
    assert_eq!(version.unwrap().version, 2);
    scene.user("ann").await;
    let again = scene
        .store
        .delete_user(scene.c, ann.resource.id, always(), actor());
    assert_eq!(again.await.unwrap_err(), WriteError::Missing);
}

#[tokio::test]
async fn a_refused_create_is_taken_back_whole() {
    let scene = Scene::new().await;
    let ann = scene.user("ann").await;
    let group = scene.group("dev", &[ann.resource.id]).await;
    scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let refused = UserLearned {
        settled: true,
        refused: Some("no seats".into()),
        ..UserLearned::default()
    };
    scene
        .store
        .end_user_turn(ann.key, refused, 1)
        .await
        .unwrap();
    assert_eq!(scene.store.begin_user_turn(ann.key).await.unwrap(), None);
    let restore = scene.store.restore_user(ann.key, 1, None, actor());
    restore.await.unwrap();
    assert_eq!(scene.members(&group).await, []);
    let again = scene.user("ann").await;
    assert!(
        scene
            .store
            .begin_user_turn(again.key)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_refused_change_goes_back_to_before_with_a_new_version() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let decide = Box::new(|_: &_| Ok(Some(with_active(false))));
    let changed = scene
        .store
        .change_user(scene.c, ann.resource.id, always(), decide, actor())
        .await
        .unwrap();
    assert!(changed.dirty);
    let late = scene
        .store
        .restore_user(ann.key, 1, changed.before.clone(), actor());
    late.await.unwrap();
    let read = |id| scene.store.resource(scene.c, ResourceType::User, id);
    let now = read(ann.resource.id).await.unwrap().unwrap();
    assert_eq!(now.meta.version, 2, "an older write takes nothing back");
    let restore = scene
        .store
        .restore_user(ann.key, 2, changed.before, actor());
    restore.await.unwrap();
    let now = read(ann.resource.id).await.unwrap().unwrap();
    assert_eq!(now.meta.version, 3);
    assert_eq!(now.attributes, ann.resource.attributes);
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn a_group_of_the_name_of_one_that_is_being_deleted_waits_until_that_is_gone() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    let keep = Box::new(|_: &_| Ok(None));
    let gone = scene
        .store
        .delete_group(scene.c, group.resource.id, always(), keep, None, actor())
        .await
        .unwrap();
    assert!(gone.dirty);
    let next = scene.group("dev", &[ann.resource.id]).await;
    let begin = || scene.store.begin_group_turn(next.key, 10);
    assert_eq!(begin().await.unwrap(), None);
    let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
    let learned = GroupLearned {
        existence: Some(Existence::Absent),
        ..GroupLearned::default()
    };
    let woken = scene
        .store
        .end_group_turn(group.key, turn.unwrap().seq, learned, 7)
        .await
        .unwrap();
    assert_eq!(woken, [Lane::Group(next.key)]);
    let turn = begin().await.unwrap().unwrap();
    assert_eq!(turn.work.adds.len(), 1);
}

#[tokio::test]
async fn a_group_that_never_was_is_deleted_without_work() {
    let scene = Scene::new().await;
    let group = scene.group("dev", &[]).await;
    let keep = Box::new(|_: &_| Ok(None));
    let gone = scene
        .store
        .delete_group(scene.c, group.resource.id, always(), keep, None, actor())
        .await
        .unwrap();
    assert!(!gone.dirty);
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn every_change_has_one_audit_row_without_personal_data() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene
        .change(&group, remove(&[ann.resource.id]))
        .await
        .unwrap();
    scene
        .change(&group, remove(&[ann.resource.id]))
        .await
        .unwrap();
    let db = rusqlite::Connection::open(scene.folder.path().join("d.db")).unwrap();
    let mut rows = db
        .prepare("SELECT action, detail FROM audit ORDER BY number")
        .unwrap();
    let rows: Vec<(String, String)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let actions: Vec<_> = rows.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "create_user",
            "user_turn",
            "create_group",
            "group_turn",
            "change_group"
        ]
    );
    assert!(rows.iter().all(|(_, detail)| !detail.contains("ann")));
}
