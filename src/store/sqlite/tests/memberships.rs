//! Membership from the user's side.
use super::*;
use crate::store::{Select, Start};

impl Scene {
    async fn groups_of(&self, users: &[&UserWritten], most: usize) -> Vec<Vec<String>> {
        let ids = users.iter().map(|user| user.resource.id).collect();
        let groups = self.store.groups_of(self.c, ids, most).await.unwrap();
        let names = groups.into_iter().map(|groups| {
            let names = groups.into_iter().map(|group| group.display);
            names.collect()
        });
        names.collect()
    }
}

#[tokio::test]
async fn groups_are_those_wanted_now_oldest_first() {
    let scene = Scene::new().await;
    let (a, b) = (scene.user("a").await, scene.user("b").await);
    let ids = [a.resource.id, b.resource.id];
    let late = scene.group("Z", &ids).await;
    scene.group("A", &ids[..1]).await;
    let gone = scene.group("Gone", &ids).await;
    assert_eq!(
        scene.groups_of(&[&a, &b], 100).await,
        [vec!["Z", "A", "Gone"], vec!["Z", "Gone"]]
    );
    let decide = Box::new(|_: &_| Ok(None));
    let deleted =
        scene
            .store
            .delete_group(scene.c, gone.resource.id, always(), decide, None, actor());
    deleted.await.unwrap();
    scene.change(&late, remove(&ids[1..])).await.unwrap();
    assert_eq!(scene.groups_of(&[&a], 100).await, [vec!["Z", "A"]]);
    assert_eq!(scene.groups_of(&[&b], 100).await, [Vec::<&str>::new()]);
    let other = scene.store.connection("other").await.unwrap();
    let seen = scene.store.groups_of(other, vec![ids[0]], 100).await;
    assert_eq!(seen.unwrap(), [vec![]]);
}

#[tokio::test]
async fn as_many_users_are_told_as_their_groups_allow() {
    let scene = Scene::new().await;
    let users = [
        scene.user("a").await,
        scene.user("b").await,
        scene.user("c").await,
    ];
    let ids: Vec<ResourceId> = users.iter().map(|user| user.resource.id).collect();
    for n in 0..70 {
        scene.group(&format!("G{n}"), &ids).await;
    }
    let [a, b, c] = &users;
    for (most, told) in [(1, 1), (70, 1), (71, 2), (141, 3), (1_000, 3)] {
        let groups = scene.groups_of(&[a, b, c], most).await;
        assert_eq!(groups.len(), told, "{most}");
        assert!(groups.iter().all(|groups| groups.len() == 70));
    }
    assert_eq!(scene.groups_of(&[c], 1).await[0].len(), 70);
}

#[tokio::test]
async fn a_page_has_the_groups_of_its_users_in_its_own_order() {
    let scene = Scene::new().await;
    let mut users = Vec::new();
    for name in ["e", "b", "d", "a", "c"] {
        users.push(scene.user(name).await.resource.id);
    }
    let [e, b, d, a, _] = users[..] else { panic!() };
    scene.group("Early", &[e, d]).await;
    scene.group("Late", &[a, d, b]).await;
    let by_name = [
        ("a", "Late"),
        ("b", "Late"),
        ("c", ""),
        ("d", "Early Late"),
        ("e", "Early"),
    ];
    let by_age = ["e", "b", "d", "a", "c"]
        .map(|name| by_name.into_iter().find(|(n, _)| *n == name).unwrap());
    for (filter, sort, expected) in [
        ("", "", &by_age[..]),
        ("userName pr", "", &by_age),
        ("userName eq \"d\"", "", &by_name[3..4]),
        (
            "userName eq \"d\" or userName eq \"e\"",
            "",
            &[by_age[0], by_age[2]],
        ),
        ("", "sortBy=userName", &by_name),
        ("userName gt \"b\"", "sortBy=userName", &by_name[2..]),
    ] {
        let types = [ResourceType::User, ResourceType::Group];
        let filters = if filter.is_empty() {
            &types[..1]
        } else {
            &types
        };
        for types in [&types[..1], filters] {
            let select = lists::sorted(types, filter, sort, Start::Offset(0), 100);
            let select = Select {
                groups: 100,
                ..select
            };
            let listing = scene.store.list(scene.c, select).await.unwrap();
            let seen = lists::names(&listing)
                .into_iter()
                .zip(listing.groups.iter().map(|groups| {
                    let names: Vec<&str> = groups.iter().map(|group| &*group.display).collect();
                    names.join(" ")
                }));
            let expected = expected
                .iter()
                .map(|(user, groups)| ((*user).to_owned(), (*groups).to_owned()));
            assert!(seen.eq(expected), "{filter} {sort}: {listing:?}");
        }
    }
    let plain = lists::plain(ResourceType::User, "", Start::Offset(0), 100);
    assert!(
        scene
            .store
            .list(scene.c, plain)
            .await
            .unwrap()
            .groups
            .is_empty()
    );
}

#[tokio::test]
async fn a_page_is_told_with_as_many_groups_as_are_asked_for() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(scene.user(&format!("u{n}")).await.resource.id);
    }
    for n in 0..3 {
        scene.group(&format!("G{n}"), &ids[1..]).await;
    }
    for (groups, told) in [(1, 2), (3, 2), (4, 3), (7, 4), (100, 4)] {
        let select = lists::plain(ResourceType::User, "", Start::Offset(0), 100);
        let select = Select { groups, ..select };
        let listing = scene.store.list(scene.c, select).await.unwrap();
        let lengths: Vec<usize> = listing.groups.iter().map(Vec::len).collect();
        assert_eq!(lengths, [0, 3, 3, 3][..told], "{groups}");
        assert_eq!(listing.items.len(), 4);
    }
}

#[tokio::test]
async fn a_user_is_read_with_all_its_groups_however_many() {
    let scene = Scene::new().await;
    let (alone, few, many) = (
        scene.user("a").await,
        scene.user("f").await,
        scene.user("m").await,
    );
    let [alone, few, many] = [alone, few, many].map(|user| user.resource);
    let mut gone = None;
    for n in 0..70 {
        let members = [many.id, few.id];
        let members = if n < 2 { &members[..] } else { &members[..1] };
        gone = Some(scene.group(&format!("G{n}"), members).await);
    }
    let decide = Box::new(|_: &_| Ok(None));
    let gone = gone.unwrap().resource.id;
    let deleted = scene
        .store
        .delete_group(scene.c, gone, always(), decide, None, actor());
    deleted.await.unwrap();
    for (user, count) in [(&alone, 0), (&few, 2), (&many, 69)] {
        let (read, groups) = scene.store.user(scene.c, user.id).await.unwrap().unwrap();
        assert_eq!(&read, user);
        let expected: Vec<String> = (0..count).map(|n| format!("G{n}")).collect();
        let names: Vec<&str> = groups.iter().map(|group| &*group.display).collect();
        assert_eq!(names, expected);
    }
    let other = scene.store.connection("other").await.unwrap();
    assert_eq!(scene.store.user(other, few.id).await.unwrap(), None);
    let deleted = scene.store.delete_user(scene.c, few.id, always(), actor());
    deleted.await.unwrap();
    assert_eq!(scene.store.user(scene.c, few.id).await.unwrap(), None);
    assert_eq!(scene.store.user(scene.c, fresh_id()).await.unwrap(), None);
}
