//! Membership from the user's side.
use super::*;

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
    let deleted = scene
        .store
        .delete_group(scene.c, gone.resource.id, always(), decide, actor());
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
