//! What begins recovery, what it withholds, and how files that came back are seen.

use super::*;

#[tokio::test]
async fn recovery_withholds_what_was_about_to_go_and_nothing_else() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(scene.member(name).await.resource.id);
    }
    let group = scene.settled_group("dev", &ids).await;
    let other = scene.settled_group("old", &ids).await;
    scene.change(&group, remove(&ids[..1])).await.unwrap();
    let decide = Box::new(|_: &crate::store::StoredGroup| Ok(None));
    let deleted =
        scene
            .store
            .delete_group(scene.c, other.resource.id, always(), decide, None, actor());
    deleted.await.unwrap();
    let settle = |address: &str, doubt| {
        let settled = scene
            .store
            .settle_in(scene.c, address.to_owned(), doubt, true, at(5_000));
        async move { settled.await.unwrap().map(|it| it.why) }
    };
    for same in ["one", "one", "one, users by id", "one, users by id"] {
        assert_eq!(settle(same, None).await, None);
    }
    let another = "one, users by email";
    assert_eq!(settle(another, None).await, Some(Why::AnotherApplication));
    // It has begun, and its reason stays what it was.
    let doubt = Some(Why::OlderDatabase);
    assert_eq!(settle("two", doubt).await, Some(Why::AnotherApplication));
    let turn = |key| scene.store.begin_group_turn(key, 100);
    assert_eq!(turn(group.key).await, Ok(None));
    assert_eq!(turn(other.key).await, Ok(None));
    let one = scene.change_as(&group, remove(&ids[1..2]), at(6_000)).await;
    assert_eq!(rule(one), Some(Rule::Recovery));
    // Somebody who leaves now leaves.
    let gone = scene
        .store
        .delete_user(scene.c, ids[2], always(), at(6_000));
    gone.await.unwrap();
    let leaving = turn(group.key).await.unwrap().unwrap().work;
    let named: Vec<_> = leaving.removes.iter().map(|one| one.id).collect();
    assert_eq!(named, ids[2..]);
    let lanes = scene.store.end_recovery(scene.c, at(7_000)).await.unwrap();
    let lanes = lanes.unwrap();
    assert!(lanes.contains(&Lane::Group(group.key)) && lanes.contains(&Lane::Group(other.key)));
    let work = turn(group.key).await.unwrap().unwrap().work;
    assert!(work.removes.iter().any(|one| one.id == ids[0]));
    assert!(turn(other.key).await.unwrap().is_some());
    assert_eq!(scene.store.end_recovery(scene.c, at(8_000)).await, Ok(None));
}

#[tokio::test]
async fn before_the_application_was_seen_only_who_leaves_is_taken_out() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(scene.member(name).await.resource.id);
    }
    let group = scene.settled_group("dev", &ids).await;
    let other = scene.settled_group("old", &ids).await;
    let start = |looks| {
        let name = "one".to_owned();
        scene.store.settle_in(scene.c, name, None, looks, at(5_000))
    };
    assert_eq!(start(true).await, Ok(None));
    let decide = Box::new(|_: &crate::store::StoredGroup| Ok(None));
    let deleted =
        scene
            .store
            .delete_group(scene.c, other.resource.id, always(), decide, None, actor());
    deleted.await.unwrap();
    scene.change(&group, remove(&ids[..1])).await.unwrap();
    let gone = scene
        .store
        .delete_user(scene.c, ids[2], always(), at(6_000));
    gone.await.unwrap();
    let turn = |key| scene.store.begin_group_turn(key, 100);
    assert_eq!(turn(other.key).await, Ok(None));
    let leaving = turn(group.key).await.unwrap().unwrap();
    let named: Vec<_> = leaving.work.removes.iter().map(|one| one.id).collect();
    assert_eq!(named, ids[2..]);
    assert_eq!(scene.store.is_unseen(scene.c).await, Ok(true));

    let lanes = scene.store.note_seen(scene.c).await.unwrap();
    assert!(lanes.contains(&Lane::Group(group.key)) && lanes.contains(&Lane::Group(other.key)));
    assert_eq!(scene.store.is_unseen(scene.c).await, Ok(false));
    let work = turn(group.key).await.unwrap().unwrap().work;
    assert!(work.removes.iter().any(|one| one.id == ids[0]));
    assert_eq!(scene.store.note_seen(scene.c).await, Ok(Vec::new()));
    // A start that does not look waits for none; recovery waits for an operator.
    assert_eq!(start(false).await, Ok(None));
    assert_eq!(scene.store.is_unseen(scene.c).await, Ok(false));
    start(true).await.unwrap();
    assert_eq!(scene.store.end_recovery(scene.c, at(7_000)).await, Ok(None));
    assert_eq!(scene.store.is_unseen(scene.c).await, Ok(true));
    let began = scene
        .store
        .begin_recovery(scene.c, Why::TooMuchDrift, at(8_000));
    assert_eq!(began.await, Ok(true));
    assert_eq!(scene.store.is_unseen(scene.c).await, Ok(false));
}

#[tokio::test]
async fn a_first_import_of_members_begins_recovery_and_a_later_one_does_not() {
    let scene = Scene::new().await;
    let begins = |members| scene.store.begin_first_import(scene.c, members, at(0));
    assert_eq!(begins(0).await, Ok(false));
    assert_eq!(begins(1).await, Ok(true));
    scene.store.end_recovery(scene.c, at(0)).await.unwrap();
    let mark = scene.store.import_mark(0).await.unwrap();
    let import = scene
        .store
        .import(scene.c, mark, Vec::new(), Vec::new(), None, actor());
    import.await.unwrap();
    assert_eq!(begins(1).await, Ok(false));
}

#[tokio::test]
async fn an_older_copy_another_database_and_a_lost_note_are_seen() {
    let scene = Scene::new().await;
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));
    scene.user("ann").await;
    scene.store.note_age(0).await.unwrap();
    let scene = scene.reopen().await;
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));
    let db = scene.folder.path().join("d.db");
    let note = scene.folder.path().join("d.db.mark");
    let noted = std::fs::read_to_string(&note).unwrap();
    let ahead = noted.replace("\"audit\":1", "\"audit\":2");
    assert_ne!(noted, ahead);
    std::fs::write(&note, ahead).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Older));
    let elsewhere = noted.replace("\"chain\":\"", "\"chain\":\"00");
    assert_ne!(noted, elsewhere);
    std::fs::write(&note, elsewhere).unwrap();
    assert_eq!(
        scene.store.age(id(1), 0).await,
        Ok(Age::Older),
        "gone on elsewhere"
    );
    let plain = format!("{},\"audit\":1}}", noted.split_once(",\"audit").unwrap().0);
    std::fs::write(&note, plain).unwrap();
    assert_eq!(
        scene.store.age(id(1), 0).await,
        Ok(Age::AsItWas),
        "an older note"
    );
    let ahead = noted.replace("\"audit\":1", "\"audit\":2");
    std::fs::write(&note, ahead).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Older));
    // Seen until it is noted anew, and recorded.
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Older));
    let lost = async || scene.store.tell_cut(vec![scene.c], actor()).await;
    assert_eq!(lost().await, Ok(Some(2)));
    let rows = scene.store.audit(0, 10).await.unwrap();
    let last = rows.last().unwrap();
    assert_eq!(last.action, crate::store::audit::CUT);
    assert_eq!(last.detail, r#"{"noted":2,"last":1}"#);
    scene.store.note_age(0).await.unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));
    assert_eq!(lost().await, Ok(None));
    std::fs::remove_file(&note).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Unknown));
    std::fs::write(&note, &noted).unwrap();
    let Scene { folder, store, .. } = scene;
    drop(store);
    std::fs::remove_file(db).unwrap();
    let _ = std::fs::remove_file(folder.path().join("d.db-wal"));
    let store = crate::store::open(&folder.path().join("d.db")).unwrap();
    assert_eq!(store.age(id(2), 0).await, Ok(Age::Another));
}

/// Neither a name, nor who may read it, nor how often it was written makes a copy.
#[tokio::test]
async fn a_note_that_was_copied_is_seen_and_one_that_was_moved_is_not() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let scene = Scene::new().await;
    let note = scene.folder.path().join("d.db.mark");
    let aside = scene.folder.path().join("aside");
    scene.store.age(id(1), 0).await.unwrap();
    for name in ["ann", "bob"] {
        scene.user(name).await;
        scene.store.note_age(0).await.unwrap();
    }
    fs::rename(&note, &aside).unwrap();
    fs::rename(&aside, &note).unwrap();
    fs::set_permissions(&note, fs::Permissions::from_mode(0o640)).unwrap();
    let scene = scene.reopen().await;
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));

    fs::copy(&note, &aside).unwrap();
    fs::rename(&aside, &note).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Copied));
    // Seen until it is noted anew.
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Copied));
    scene.store.note_age(0).await.unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));

    // An older note's text in the file of a later one.
    let earlier = fs::read(&note).unwrap();
    scene.user("eve").await;
    scene.store.note_age(0).await.unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));
    fs::write(&note, earlier).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Copied));
}

#[tokio::test]
async fn many_removals_that_wait_since_long_ago_are_doubted_and_a_few_are_not() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for n in 0..12 {
        ids.push(scene.member(&format!("m{n}")).await.resource.id);
    }
    let group = scene.settled_group("dev", &ids).await;
    let age = |now| scene.store.age(id(1), now);
    assert_eq!(age(0).await, Ok(Age::AsItWas));
    scene.store.note_age(1_000).await.unwrap();
    assert_eq!(age(HOUR).await, Ok(Age::AsItWas));
    assert_eq!(age(2 * HOUR).await, Ok(Age::LongStopped));
    // A bridge that runs is told by its note, though nothing has changed.
    scene.store.note_age(2 * HOUR).await.unwrap();
    assert_eq!(age(2 * HOUR).await, Ok(Age::AsItWas));
    // A clock that was put back says nothing.
    assert_eq!(age(HOUR).await, Ok(Age::AsItWas));

    let start = async || {
        let doubt = Some(Why::LongStopped);
        let settled = scene
            .store
            .settle_in(scene.c, "one".to_owned(), doubt, false, at(5_000));
        settled.await.unwrap().map(|it| it.why)
    };
    assert_eq!(start().await, None);
    scene.change(&group, remove(&ids[..10])).await.unwrap();
    assert_eq!(start().await, None);
    scene.change(&group, remove(&ids[10..11])).await.unwrap();
    assert_eq!(start().await, Some(Why::LongStopped));
    let turn = scene.store.begin_group_turn(group.key, 100);
    assert_eq!(turn.await, Ok(None));
}
