//! What a reconciliation may write here: never for who has no access, never
//! past the guard rails, and never of what is protected (reliability: I-15,
//! I-24, H-15).
use std::time::Duration;

use super::{
    guards::{rule, watched},
    *,
};
use crate::{
    plan::{
        drift::{GroupDrift, of_group},
        guard::{Guard, Limit, Protected, Rule},
    },
    store::{Drifted, ImportMark, Repaired},
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

/// Users whose accounts were ended, as far as is known.
async fn ended(scene: &Scene, count: usize) -> Vec<UserWritten> {
    let mut users = Vec::new();
    for n in 0..count {
        let user = scene.member(&format!("m{n}")).await;
        scene.deactivate(user.resource.id, actor()).await.unwrap();
        scene.confirm_user(user.key).await;
        users.push(user);
    }
    users
}

fn guarded(at: i64) -> Actor {
    let limit = Limit {
        more_than: 5,
        percent: 1,
        within: Duration::from_secs(3_600),
    };
    let guard = Guard {
        removals: limit,
        protected: Protected::named(&["m0".to_owned()], &[], []),
        ..Guard::default()
    };
    watched(guard, at)
}

#[tokio::test]
async fn accounts_that_are_back_are_ended_again_within_the_limit_and_protected_ones_never() {
    let scene = Scene::new().await;
    let users = ended(&scene, 8).await;
    let keys: Vec<UserKey> = users.iter().map(|user| user.key).collect();
    let end = |keys: &[UserKey], believed, at| {
        scene.store.end_again(keys.to_vec(), believed, guarded(at))
    };
    let all = end(&keys, false, 0).await.unwrap();
    assert_eq!((all.ended_again, all.held, all.protected), (0, 7, 1));
    assert_eq!(scene.lanes().await, [], "nothing is sent");

    let few = end(&keys[..4], false, 0).await.unwrap();
    assert_eq!((few.ended_again, few.held, few.protected), (3, 0, 1));
    assert_eq!(scene.lanes().await, few.lanes);
    let more = end(&keys[4..], false, 1_000).await.unwrap();
    assert_eq!((more.ended_again, more.held), (0, 4), "the window is full");
    let believed = end(&keys[4..], true, 1_000).await.unwrap();
    assert_eq!((believed.ended_again, believed.held), (4, 0));
    let protected = end(&keys[..1], true, 1_000).await.unwrap();
    assert_eq!((protected.ended_again, protected.protected), (0, 1));
    // They count for whoever leaves after them.
    let ann = scene.member("ann").await;
    let left = scene.deactivate(ann.resource.id, guarded(2_000)).await;
    assert_eq!(rule(left), Some(Rule::Removals));
}

#[test]
fn accounts_that_are_back_are_doubted_as_such_that_are_gone() {
    let of = |accounts_missing, accounts_back| Drifted {
        accounts: 40,
        accounts_missing,
        accounts_back,
        ..Drifted::default()
    };
    assert!(!of(0, 10).is_doubtful() && of(0, 11).is_doubtful());
    assert!(of(6, 5).is_doubtful() && !of(5, 5).is_doubtful());
}
