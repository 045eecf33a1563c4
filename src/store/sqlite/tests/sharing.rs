//! What one connection has taken away, or changed, of what another one asks for in
//! the same application.

use std::time::Duration;

use super::*;
use crate::{
    plan::{
        operation::Operation,
        state::{Family, GroupKey, Holding},
    },
    store::{DONE, DecideGroup, FoundGroup, GroupTurn, ImportMark, Site, Standing, UNANSWERED},
};

/// Ann is asked for by both, in groups of their own of a family or in the same one:
/// each was alone at the application once. She is there, in one of a family for the
/// other one alone, in the group that stands behind.
struct Both {
    scene: Scene,
    c: [ConnectionKey; 2],
    groups: [(GroupKey, ResourceId); 2],
    ann: [UserWritten; 2],
}

impl Both {
    async fn new(names: [&str; 2], family: Option<&str>, accounts: bool) -> Self {
        let mut scene = Scene::new().await;
        let c = [scene.c, scene.store.connection("globex").await.unwrap()];
        let (mut groups, mut ann) = (Vec::new(), Vec::new());
        for (at, name) in c.iter().zip(names) {
            scene.c = *at;
            let id = found(&scene, name, (family, groups.len())).await;
            let all = scene.store.reconcilable(*at, GroupKey(0), 9).await.unwrap();
            if family.is_some() && *at == c[0] {
                found(&scene, names[1], (family, 1)).await;
            }
            groups.push((all[0].group, id));
            let user = scene.member("ann").await;
            let ask = add(&[user.resource.id]);
            let asked = scene.store.change_group(*at, id, always(), ask, actor());
            asked.await.unwrap();
            if family.is_none() || *at == c[1] {
                let present = |_| GroupLearned {
                    present: vec![user.key],
                    ..GroupLearned::default()
                };
                turn(&scene, all[0].group, present).await;
            }
            ann.push(user);
        }
        let site = Some(Site {
            name: "app 1".into(),
            accounts,
        });
        let sites = c.map(|key| (key, site.clone()));
        scene.store.settle_sites(sites.into()).await.unwrap();
        Self {
            scene,
            c,
            groups: groups.try_into().unwrap(),
            ann: ann.try_into().unwrap(),
        }
    }

    /// Whether the other one has something to say of Ann, and is woken for it.
    async fn is_said_again(&self) -> bool {
        let store = &self.scene.store;
        let woken = store.open_elsewhere(self.groups[0].0).await.unwrap();
        let turn = store.begin_group_turn(self.groups[1].0, 9).await.unwrap();
        let adds = turn.map_or(0, |turn| turn.work.adds.len());
        let lane = (self.c[1], Lane::Group(self.groups[1].0));
        assert_eq!(woken, if adds > 0 { vec![lane] } else { Vec::new() });
        adds > 0
    }
}

async fn found(scene: &Scene, name: &str, (family, rank): (Option<&str>, usize)) -> ResourceId {
    let id = fresh_id();
    let found = FoundGroup {
        id,
        row: group_row(name),
        read_only: None,
        family: family.map(|family| Family {
            name: family.into(),
            rank: rank.try_into().unwrap(),
        }),
        members: Vec::new(),
    };
    let mark = ImportMark(i64::MAX);
    let import = scene
        .store
        .import(scene.c, mark, Vec::new(), vec![found], None, actor());
    import.await.unwrap();
    id
}

async fn turn(scene: &Scene, key: GroupKey, learned: impl FnOnce(GroupTurn) -> GroupLearned) {
    let turn = scene.store.begin_group_turn(key, 9).await.unwrap().unwrap();
    let (seq, learned) = (turn.seq, learned(turn));
    let end = scene.store.end_group_turn(key, seq, learned, 3_000);
    end.await.unwrap();
}

#[tokio::test]
async fn whom_one_takes_out_who_is_asked_for_by_the_other_is_said_again_there() {
    // With an account that is ended it is open again when that is made anew.
    for (taken, ends) in [(true, false), (false, false), (true, true)] {
        let both = Both::new(["team", "team"], None, ends).await;
        let (store, user) = (&both.scene.store, &both.ann[0]);
        if ends {
            let gone = store.delete_user(both.c[0], user.resource.id, always(), actor());
            gone.await.unwrap();
        } else {
            let out = remove(&[user.resource.id]);
            let asked = store.change_group(both.c[0], both.groups[0].1, always(), out, actor());
            asked.await.unwrap();
        }
        let told = |turn: GroupTurn| {
            let call = Operation::RemoveMembers {
                group: turn.work.name,
                members: turn.work.removes,
            };
            let word = if taken { DONE } else { UNANSWERED };
            GroupLearned {
                absent: taken.then_some(user.key).into_iter().collect(),
                calls: vec![(call, word.into(), 1.into())],
                ..GroupLearned::default()
            }
        };
        turn(&both.scene, both.groups[0].0, told).await;
        assert_eq!(both.is_said_again().await, taken && !ends);
    }
}

#[tokio::test]
async fn who_has_another_group_of_a_family_now_is_said_again_where_the_former_is_asked_for() {
    let (offered, told) = ([true, false], [Some("viewer"), Some("member"), None]);
    for (offered, told) in offered.into_iter().flat_map(|on| told.map(|to| (on, to))) {
        let both = Both::new(["viewer", "member"], Some("roles"), false).await;
        let standing = Standing {
            name: "viewer".into(),
            offered,
            family: None,
        };
        let noted = both.scene.store.note_offered(both.c[0], vec![standing]);
        noted.await.unwrap();
        let user = both.ann[0].key;
        let holding = |group: &str| Holding {
            account: "a-1".into(),
            id: "m-1".into(),
            group: group.into(),
            age: Some(Duration::ZERO),
            formerly: Vec::new(),
        };
        let learned = |_| GroupLearned {
            present: (told != Some("member"))
                .then_some(user)
                .into_iter()
                .collect(),
            holdings: told
                .map(|told| (user, Some(holding(told))))
                .into_iter()
                .collect(),
            ..GroupLearned::default()
        };
        turn(&both.scene, both.groups[0].0, learned).await;
        // What is kept while it is not offered is there for the pair alone.
        let again = told == Some("viewer") || told.is_none() && offered;
        assert_eq!(both.is_said_again().await, again, "{offered} {told:?}");
    }
}

/// Ann is one of the team of the one, and the other one has only found both; or it
/// asks for Bob there as well, of whom the first knows nothing.
async fn found_by_the_other(asks: bool) -> (Both, UserWritten) {
    let mut scene = Scene::new().await;
    let c = [scene.c, scene.store.connection("globex").await.unwrap()];
    let ann = scene.member("ann").await;
    let own = scene.settled_group("team", &[ann.resource.id]).await;
    scene.c = c[1];
    let same = scene.member("ann").await;
    let bob = scene.member("bob").await;
    let id = fresh_id();
    let group = FoundGroup {
        id,
        row: group_row("team"),
        read_only: None,
        family: None,
        members: vec![(None, Some("ann@example.com".into()))],
    };
    let mark = ImportMark(i64::MAX);
    let import = scene
        .store
        .import(c[1], mark, Vec::new(), vec![group], None, actor());
    import.await.unwrap();
    let all = scene.store.reconcilable(c[1], GroupKey(0), 9).await;
    let key = all.unwrap()[0].group;
    if asks {
        let ask = add(&[bob.resource.id]);
        let asked = scene.store.change_group(c[1], id, always(), ask, actor());
        asked.await.unwrap();
        let present = |_| GroupLearned {
            present: vec![bob.key],
            ..GroupLearned::default()
        };
        turn(&scene, key, present).await;
    }
    let site = Some(Site {
        name: "app 1".into(),
        accounts: false,
    });
    let sites = c.map(|key| (key, site.clone()));
    scene.store.settle_sites(sites.into()).await.unwrap();
    // Each was alone at the application once.
    let both = Both {
        scene,
        c,
        groups: [(own.key, own.resource.id), (key, id)],
        ann: [ann, same],
    };
    (both, bob)
}

impl Both {
    /// What the other one shows in its group, if it has it.
    async fn shown(&self) -> Option<usize> {
        let shown = self.scene.store.members(self.c[1], self.groups[1].1).await;
        shown.unwrap().map(|shown| shown.ids.len())
    }
}

#[tokio::test]
async fn a_group_that_was_only_found_is_shown_no_more_when_the_other_one_has_deleted_it() {
    for (asks, word) in [
        (false, DONE),
        (false, "missing"),
        (false, UNANSWERED),
        (true, DONE),
    ] {
        let (both, bob) = found_by_the_other(asks).await;
        let store = &both.scene.store;
        let decide: DecideGroup = Box::new(|_| Ok(None));
        let gone = store.delete_group(both.c[0], both.groups[0].1, always(), decide, None, actor());
        gone.await.unwrap();
        let told = |turn: GroupTurn| GroupLearned {
            existence: (word != UNANSWERED).then_some(Existence::Absent),
            calls: vec![(
                Operation::DeleteGroup {
                    name: turn.work.name,
                },
                word.into(),
                1.into(),
            )],
            ..GroupLearned::default()
        };
        turn(&both.scene, both.groups[0].0, told).await;
        let adds = store.begin_group_turn(both.groups[1].0, 9).await.unwrap();
        let adds = adds.map(|turn| turn.work.adds.iter().map(|it| it.user).collect::<Vec<_>>());
        let woken = store.open_elsewhere(both.groups[0].0).await.unwrap();
        let lane = (both.c[1], Lane::Group(both.groups[1].0));
        let (shown, said) = match (asks, word) {
            (true, _) => (Some(1), Some(vec![bob.key])),
            (_, UNANSWERED) => (Some(1), None),
            _ => (None, None),
        };
        assert_eq!((both.shown().await, &adds), (shown, &said), "{asks} {word}");
        assert_eq!(
            woken,
            if said.is_some() {
                vec![lane]
            } else {
                Vec::new()
            }
        );
    }
}

#[tokio::test]
async fn whom_a_replacement_leaves_out_the_other_one_shows_no_more_and_says_again_whom_it_asks_for()
{
    for (asks, word) in [(false, DONE), (true, DONE), (true, UNANSWERED)] {
        let (both, bob) = found_by_the_other(asks).await;
        let out = remove(&[both.ann[0].resource.id]);
        let store = &both.scene.store;
        let asked = store.change_group(both.c[0], both.groups[0].1, always(), out, actor());
        asked.await.unwrap();
        let done = word == DONE;
        let told = |turn: GroupTurn| GroupLearned {
            absent: done.then_some(both.ann[0].key).into_iter().collect(),
            calls: vec![(
                Operation::ReplaceMembers {
                    group: turn.work.name,
                    members: Vec::new(),
                },
                word.into(),
                1.into(),
            )],
            ..GroupLearned::default()
        };
        turn(&both.scene, both.groups[0].0, told).await;
        assert_eq!(
            both.shown().await,
            Some(usize::from(!done) + usize::from(asks))
        );
        let woken = store.open_elsewhere(both.groups[0].0).await.unwrap();
        let adds = store.begin_group_turn(both.groups[1].0, 9).await.unwrap();
        let adds = adds.map(|turn| turn.work.adds.iter().map(|it| it.user).collect::<Vec<_>>());
        assert_eq!(adds, (asks && done).then(|| vec![bob.key]));
        assert_eq!(woken.len(), usize::from(asks && done));
    }
}
