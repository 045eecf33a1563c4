//! What a reconciliation may write here: never for who has no access, never
//! past the guard rails, and never of what is protected (reliability: I-15,
//! I-24, H-15).
use super::*;
use crate::{
    plan::drift::{GroupDrift, of_group},
    store::{ImportMark, Repaired},
};

impl Scene {
    async fn now(&self) -> ImportMark {
        self.store.import_mark(i64::MAX).await.unwrap()
    }

    async fn settle(&self, group: &GroupWritten, drift: GroupDrift, accept: bool) -> Repaired {
        let since = self.now().await;
        let settle = self
            .store
            .settle_drift(group.key, since, drift, accept, actor());
        settle.await.unwrap()
    }
}

fn missing(users: &[&UserWritten]) -> GroupDrift {
    GroupDrift {
        missing: users.iter().map(|user| user.key).collect(),
        ..GroupDrift::default()
    }
}

#[tokio::test]
async fn what_an_inactive_user_is_a_member_of_is_kept_whatever_the_application_shows() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let both = [ann.resource.id, bob.resource.id];
    let group = scene.settled_group("dev", &both).await;
    scene.deactivate(ann.resource.id, actor()).await.unwrap();
    scene.confirm_user(ann.key).await;
    let pairs = scene.store.pairs(group.key).await.unwrap();
    let drift = of_group(&pairs, &[]);
    assert_eq!((drift.missing.clone(), drift.there), (vec![bob.key], 1));
    // Deactivated between the reading and the writing.
    for accept in [false, true] {
        let done = scene.settle(&group, missing(&[&ann]), accept).await;
        assert_eq!(done, Repaired::default());
    }
    assert_eq!(scene.members(&group).await, both);
    let done = scene.settle(&group, missing(&[&bob]), false).await;
    assert_eq!(done.wanted_again, 1);
}
