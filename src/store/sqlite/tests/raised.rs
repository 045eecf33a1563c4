//! What one connection had found of a user, and another one has given another group of
//! the family for, is fallen back to while that is the same membership.

use std::time::Duration;

use super::*;
use crate::{
    plan::{
        operation::Operation,
        state::{Fallback, Family, GroupKey, Holding},
    },
    store::{DONE, FoundGroup, GroupTurn, ImportMark, Site},
};

const HOUR: i64 = 3_600_000;

/// The first connection has found Ann among the viewers, the second one gives
/// administrators. By their places: groups, and what Ann is there.
struct Two {
    scene: Scene,
    c: [ConnectionKey; 2],
    groups: [(GroupKey, ResourceId); 2],
    ann: [UserWritten; 2],
}

const FINDS: usize = 0;
const GIVES: usize = 1;

impl Two {
    async fn new() -> Self {
        let mut scene = Scene::new().await;
        let c = [scene.c, scene.store.connection("globex").await.unwrap()];
        let site = || {
            Some(Site {
                name: "app 1".into(),
                accounts: false,
            })
        };
        let sites = c.map(|key| (key, site())).into();
        scene.store.settle_sites(sites).await.unwrap();
        let (mut groups, mut ann) = (Vec::new(), Vec::new());
        for (at, name, rank, found) in [(c[0], "viewer", 1, true), (c[1], "admin", 0, false)] {
            scene.c = at;
            let user = scene.user("ann").await;
            let store = &scene.store;
            store.begin_user_turn(user.key).await.unwrap().unwrap();
            let learned = UserLearned {
                observed: Some(present()),
                upstream_id: Some("a-1".into()),
                settled: true,
                ..UserLearned::default()
            };
            let end = store.end_user_turn(user.key, learned, 2_000);
            end.await.unwrap();
            ann.push(user);
            let member = (None, Some("ann@example.com".to_owned()));
            let group = FoundGroup {
                id: fresh_id(),
                row: group_row(name),
                read_only: None,
                family: Some(Family {
                    name: "roles".into(),
                    rank,
                }),
                members: found.then_some(member).into_iter().collect(),
            };
            let (id, mark) = (group.id, ImportMark(i64::MAX));
            let import = store.import(at, mark, Vec::new(), vec![group], None, actor());
            import.await.unwrap();
            let all = store.reconcilable(at, GroupKey(0), 9).await.unwrap();
            groups.push((all[0].group, id));
        }
        Self {
            scene,
            c,
            groups: groups.try_into().unwrap(),
            ann: ann.try_into().unwrap(),
        }
    }

    async fn ask(&self, which: usize, change: impl Fn(&[ResourceId]) -> GroupChange) {
        let (store, id) = (&self.scene.store, self.groups[which].1);
        let change = change(&[self.ann[which].resource.id]);
        let asked = store.change_group(self.c[which], id, always(), change, actor());
        asked.await.unwrap();
    }

    async fn turn(&self, which: usize) -> Option<GroupTurn> {
        let store = &self.scene.store;
        store
            .begin_group_turn(self.groups[which].0, 9)
            .await
            .unwrap()
    }

    /// An answer, by which Ann has another group now and had these before.
    async fn told(&self, turn: GroupTurn, has: Option<&str>, formerly: &[&str]) {
        let (key, user) = (self.groups[GIVES].0, self.ann[GIVES].key);
        let holding = has.map(|group| Holding {
            account: "a-1".into(),
            id: "m-1".into(),
            group: group.into(),
            age: Some(Duration::ZERO),
            formerly: formerly.iter().map(|&it| it.to_owned()).collect(),
        });
        let mut learned = GroupLearned {
            holdings: vec![(user, holding)],
            ..GroupLearned::default()
        };
        let group = turn.work.name.clone();
        let operation = if turn.work.adds.is_empty() {
            learned.absent.push(user);
            let members = turn.work.removes.clone();
            Operation::RemoveMembers { group, members }
        } else {
            learned.present.push(user);
            let members = turn.work.adds.clone();
            Operation::AddMembers { group, members }
        };
        learned.calls.push((operation, DONE.into(), 1.into()));
        let store = &self.scene.store;
        let end = store.end_group_turn(key, turn.seq, learned, 3_000);
        end.await.unwrap();
    }

    async fn raise(&self, formerly: &[&str]) {
        self.ask(GIVES, add).await;
        let turn = self.turn(GIVES).await.unwrap();
        self.told(turn, Some("admin"), formerly).await;
        assert!(!self.is_shown().await);
    }

    async fn let_go(&self, has: Option<&str>) {
        self.ask(GIVES, remove).await;
        let turn = self.turn(GIVES).await.unwrap();
        self.told(turn, has, &[]).await;
    }

    async fn is_shown(&self) -> bool {
        let store = &self.scene.store;
        let shown = store.members(self.c[FINDS], self.groups[FINDS].1).await;
        !shown.unwrap().unwrap().ids.is_empty()
    }

    /// What a removal would fall back to.
    async fn falls_back(&self) -> bool {
        self.ask(GIVES, remove).await;
        let (group, user) = (self.groups[GIVES].0, self.ann[GIVES].key);
        let counting = self.scene.store.counting(group, user, false).await;
        let fallback = counting.unwrap().unwrap().fallback;
        self.ask(GIVES, add).await;
        let viewer = Fallback {
            group: "viewer".into(),
            id: "m-1".into(),
        };
        assert!(fallback.is_none() || fallback == Some(viewer));
        fallback.is_some()
    }
}

#[tokio::test]
async fn what_was_found_is_fallen_back_to_and_found_again_as_often_as_it_is_raised() {
    let two = Two::new().await;
    assert!(two.is_shown().await);
    for _ in 0..2 {
        two.raise(&["viewer"]).await;
        assert!(two.falls_back().await);
        two.let_go(Some("viewer")).await;
        assert!(two.is_shown().await);
        assert!(two.turn(FINDS).await.is_none(), "nothing is to be said");
    }
    // What was taken away all the same is not found.
    two.raise(&["viewer"]).await;
    two.let_go(None).await;
    assert!(!two.is_shown().await);
    two.ask(GIVES, add).await;
    assert!(!two.falls_back().await);
}

#[tokio::test]
async fn of_a_membership_that_was_made_or_was_something_else_nothing_is_fallen_back_to() {
    for formerly in [&[][..], &["member"]] {
        let two = Two::new().await;
        two.raise(formerly).await;
        assert!(!two.falls_back().await);
    }
    // It had to be said again, so somebody has changed it since.
    let two = Two::new().await;
    two.raise(&["viewer"]).await;
    let store = &two.scene.store;
    let pairs = vec![two.ann[GIVES].key];
    store
        .note_missing(two.groups[GIVES].0, pairs)
        .await
        .unwrap();
    two.raise(&["viewer"]).await;
    assert!(!two.falls_back().await);
}

#[tokio::test]
async fn who_is_taken_out_or_ended_where_they_were_found_has_nothing_to_fall_back_to() {
    let nobody = |_: &[ResourceId]| replace(&[]);
    for change in [&remove as &dyn Fn(&[ResourceId]) -> GroupChange, &nobody] {
        let two = Two::new().await;
        two.raise(&["viewer"]).await;
        two.ask(FINDS, change).await;
        assert!(two.turn(FINDS).await.is_none(), "it is there no more");
        assert!(!two.falls_back().await);
    }
    for deleted in [false, true] {
        let mut two = Two::new().await;
        two.raise(&["viewer"]).await;
        two.scene.c = two.c[FINDS];
        let id = two.ann[FINDS].resource.id;
        let store = &two.scene.store;
        if deleted {
            let gone = store.delete_user(two.c[FINDS], id, always(), actor());
            gone.await.unwrap();
        } else {
            two.scene.deactivate(id, actor()).await.unwrap();
        }
        assert!(!two.falls_back().await);
    }
}

/// The call that falls back is on its way meanwhile.
#[tokio::test]
async fn what_is_given_after_it_was_taken_out_is_looked_at_and_taken_away() {
    for raised in [false, true] {
        let two = Two::new().await;
        two.raise(&["viewer"]).await;
        let turn = if raised {
            None
        } else {
            two.ask(GIVES, remove).await;
            two.turn(GIVES).await
        };
        two.ask(FINDS, remove).await;
        if let Some(turn) = turn {
            two.told(turn, Some("viewer"), &[]).await;
        }
        assert!(!two.is_shown().await);
        let store = &two.scene.store;
        let due = store.recheck_late(two.c[FINDS], (HOUR, HOUR), HOUR, 1);
        due.await.unwrap();
        let removes = two.turn(FINDS).await.map(|turn| turn.work.removes.len());
        assert_eq!(removes, (!raised).then_some(1));
    }
}
