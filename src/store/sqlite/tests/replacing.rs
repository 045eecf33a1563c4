//! A replacement of all members takes out whoever it does not name, so there is
//! none where somebody is kept whom nobody asks for any more (reliability: I-24,
//! G-5, G-7).

use super::{guards::at, protected::protecting, *};
use crate::store::{GroupTurn, Why};

impl Scene {
    async fn members_of(&self, name: &str) -> (GroupWritten, Vec<ResourceId>) {
        let mut ids = Vec::new();
        for n in 0..6 {
            ids.push(self.member(&format!("m{n}")).await.resource.id);
        }
        (self.settled_group(name, &ids[..4]).await, ids)
    }

    async fn handed_out(&self, group: &GroupWritten) -> GroupTurn {
        let turn = self.store.begin_group_turn(group.key, 100).await.unwrap();
        turn.unwrap()
    }
}

#[tokio::test]
async fn in_recovery_no_group_is_replaced_as_a_whole() {
    let scene = Scene::new().await;
    let (group, ids) = scene.members_of("dev").await;
    let begin = scene
        .store
        .begin_recovery(scene.c, Why::OlderDatabase, at(0));
    assert_eq!(begin.await, Ok(true));
    for id in &ids[..2] {
        scene.deactivate(*id, at(0)).await.unwrap();
    }
    let next = scene.change_as(&group, replace(&ids[2..]), at(0)).await;
    next.unwrap();
    let work = scene.handed_out(&group).await.work;
    assert_eq!((work.adds.len(), work.removes.len()), (2, 2));
    assert_eq!(work.full, None);
    scene.store.end_recovery(scene.c, at(0)).await.unwrap();
    assert!(scene.handed_out(&group).await.work.full.is_some());
}

#[tokio::test]
async fn a_group_in_which_somebody_protected_is_kept_is_not_replaced_as_a_whole() {
    let scene = Scene::new().await;
    let (group, ids) = scene.members_of("dev").await;
    scene.change(&group, replace(&ids[2..])).await.unwrap();
    let keep = scene
        .store
        .uphold(scene.c, protecting(&["m0@example.com"], &[], &[]));
    assert_eq!(keep.await, Ok(1));
    let work = scene.handed_out(&group).await.work;
    assert_eq!((work.adds.len(), work.removes.len()), (2, 1));
    assert_eq!(work.full, None);
}
