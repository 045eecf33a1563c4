//! A user's place in a family that two connections lead to: one of them asks for
//! the user there at a time.

use super::*;
use crate::{
    plan::{
        operation::Operation,
        state::{Family, GroupKey},
    },
    store::{FoundGroup, ImportMark, Place, Seat, ShownAccount, Site, UNANSWERED},
};

/// Two roles of one team, each a group of another connection; Ann is known to
/// both.
struct Two {
    scene: Scene,
    both: [ConnectionKey; 2],
    groups: [(GroupKey, ResourceId); 2],
    ann: [UserWritten; 2],
}

fn sites(both: [ConnectionKey; 2], shared: bool) -> Vec<(ConnectionKey, Option<Site>)> {
    let site = shared.then(|| Site {
        name: "app 1".into(),
        accounts: false,
    });
    both.map(|key| (key, site.clone())).into()
}

impl Two {
    async fn new(shared: bool) -> Self {
        let mut scene = Scene::new().await;
        let both = [scene.c, scene.store.connection("globex").await.unwrap()];
        scene.store.settle_sites(sites(both, shared)).await.unwrap();
        let (mut groups, mut ann) = (Vec::new(), Vec::new());
        for (c, name) in both.iter().zip(["viewer", "member"]) {
            scene.c = *c;
            let found = FoundGroup {
                id: fresh_id(),
                row: group_row(name),
                read_only: None,
                family: Some(Family {
                    name: "team".into(),
                    rank: 0,
                }),
                members: Vec::new(),
            };
            let id = found.id;
            let import = scene.store.import(
                *c,
                ImportMark(i64::MAX),
                Vec::new(),
                vec![found],
                None,
                actor(),
            );
            import.await.unwrap();
            let all = scene.store.reconcilable(*c, GroupKey(0), 9).await.unwrap();
            groups.push((all[0].group, id));
            ann.push(scene.member("ann").await);
        }
        Self {
            scene,
            both,
            groups: groups.try_into().unwrap(),
            ann: ann.try_into().unwrap(),
        }
    }

    async fn ask(&self, which: usize, on: bool) {
        let user = [self.ann[which].resource.id];
        let change = if on { add(&user) } else { remove(&user) };
        let (store, group) = (&self.scene.store, self.groups[which].1);
        let asked = store.change_group(self.both[which], group, always(), change, actor());
        asked.await.unwrap();
    }

    async fn seat(&self, which: usize) -> Seat {
        let (group, user) = (self.groups[which].0, self.ann[which].key);
        let counting = self.scene.store.counting(group, user, true).await.unwrap();
        counting.unwrap().seat
    }

    /// One turn, which is answered.
    async fn told(&self, which: usize) {
        self.turn(which, true).await;
    }

    async fn turn(&self, which: usize, answered: bool) {
        let store = &self.scene.store;
        let (key, user) = (self.groups[which].0, self.ann[which].key);
        let turn = store.begin_group_turn(key, 9).await.unwrap().unwrap();
        let mut learned = GroupLearned::default();
        let removes = turn.work.removes.clone();
        if !answered {
            let group = turn.work.name.clone();
            let members = removes;
            let call = Operation::RemoveMembers { group, members };
            learned.calls.push((call, UNANSWERED.into(), 1.into()));
        } else if removes.is_empty() {
            learned.present.push(user);
        } else {
            learned.absent.push(user);
        }
        let end = store.end_group_turn(key, turn.seq, learned, 3_000);
        end.await.unwrap();
    }

    /// The end of the user is done.
    async fn ended(&self, which: usize) {
        let learned = UserLearned {
            observed: Some(ObservedAccount {
                existence: Existence::Absent,
                deactivated: true,
                ..ObservedAccount::default()
            }),
            settled: true,
            ..UserLearned::default()
        };
        let end = self
            .scene
            .store
            .end_user_turn(self.ann[which].key, learned, 3_000);
        end.await.unwrap();
    }

    async fn share(&self) {
        let sites = sites(self.both, true);
        self.scene.store.settle_sites(sites).await.unwrap();
    }

    /// Whether something is said once more when nothing can land any more.
    async fn is_said_again(&self, which: usize) -> bool {
        let store = &self.scene.store;
        let recheck =
            store.recheck_late(self.both[which], (10_000_000, i64::MIN), 20_000_000, 10_000);
        !recheck.await.unwrap().is_empty()
    }
}

#[tokio::test]
async fn the_first_that_asks_has_the_place_until_that_has_ended() {
    let two = Two::new(true).await;
    two.ask(0, true).await;
    two.ask(1, true).await;
    assert_eq!(
        (two.seat(0).await, two.seat(1).await),
        (Seat::Free, Seat::Taken)
    );
    two.told(0).await;
    assert_eq!(two.seat(1).await, Seat::Taken);
    two.ask(0, false).await;
    assert_eq!(two.seat(1).await, Seat::Leaving, "it is on its way");
    two.told(0).await;
    assert_eq!(two.seat(1).await, Seat::Free);
    two.told(1).await;
    two.ask(0, true).await;
    assert_eq!(two.seat(0).await, Seat::Taken);
    assert!(
        two.is_said_again(1).await,
        "a look may have shown what the first one had"
    );
}

#[tokio::test]
async fn who_has_the_place_is_told_by_name_until_it_is_free() {
    let two = Two::new(true).await;
    let places = async |which: usize| {
        let store = &two.scene.store;
        let all = store.places_elsewhere(two.both[which], 9).await.unwrap();
        let own =
            |it: &Place| (it.group, it.user) == (two.groups[which].1, two.ann[which].resource.id);
        assert!(all.iter().all(own), "{all:?}");
        all.into_iter()
            .map(|it| (it.by, it.seat))
            .collect::<Vec<_>>()
    };
    two.ask(0, true).await;
    two.ask(1, true).await;
    assert_eq!(places(0).await, []);
    assert_eq!(places(1).await, [("acme".to_owned(), Seat::Taken)]);
    two.told(0).await;
    two.ask(0, false).await;
    assert_eq!(places(1).await, [("acme".to_owned(), Seat::Leaving)]);
    two.told(0).await;
    assert_eq!(places(1).await, []);
}

#[tokio::test]
async fn a_turn_that_did_nothing_new_is_not_in_the_audit() {
    let two = Two::new(true).await;
    two.ask(0, true).await;
    two.ask(1, true).await;
    let store = &two.scene.store;
    let (key, user) = (two.groups[1].0, two.ann[1].key);
    let rows = async || store.audit(0, 1_000).await.unwrap().len();
    for (repeats, news) in [(false, 1), (true, 0), (true, 0)] {
        let turn = store.begin_group_turn(key, 9).await.unwrap().unwrap();
        let learned = GroupLearned {
            unsent: vec![user],
            repeats,
            ..GroupLearned::default()
        };
        assert!(learned.is_idle());
        let before = rows().await;
        let end = store.end_group_turn(key, turn.seq, learned, 3_000);
        end.await.unwrap();
        assert_eq!(rows().await - before, news);
    }
}

#[tokio::test]
async fn a_call_that_may_still_land_keeps_the_place() {
    let two = Two::new(true).await;
    two.ask(0, true).await;
    two.told(0).await;
    two.ask(0, false).await;
    two.turn(0, false).await;
    two.told(0).await;
    two.ask(1, true).await;
    assert_eq!(two.seat(1).await, Seat::Leaving, "it got no answer once");
    let again = two.is_said_again(0).await;
    assert!(!again, "what takes away gives nothing");
    assert_eq!(two.seat(1).await, Seat::Free);
}

#[tokio::test]
async fn an_end_that_is_not_done_keeps_the_place_when_nothing_lands_any_more() {
    let two = Two::new(true).await;
    two.ask(0, true).await;
    two.told(0).await;
    two.ask(0, false).await;
    two.turn(0, false).await;
    two.told(0).await;
    let (store, ann) = (&two.scene.store, &two.ann[0]);
    let gone = store.delete_user(two.both[0], ann.resource.id, always(), actor());
    gone.await.unwrap();
    store.begin_user_turn(ann.key).await.unwrap().unwrap();
    two.ended(0).await;
    two.ask(1, true).await;
    assert_eq!(two.seat(1).await, Seat::Leaving, "it may land");
    assert!(two.is_said_again(0).await);
    assert_eq!(two.seat(1).await, Seat::Leaving, "it may have landed");
    let turn = store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let spared = turn.work.principal.elsewhere;
    assert_eq!(
        spared,
        ["member"],
        "a role of the other one's, and no place"
    );
    assert_eq!(two.seat(1).await, Seat::Leaving, "it is being ended");
    two.ended(0).await;
    assert_eq!(two.seat(1).await, Seat::Free);
}

#[tokio::test]
async fn who_is_being_ended_by_another_connection_is_given_nothing_meanwhile() {
    let two = Two::new(true).await;
    let (store, ann) = (&two.scene.store, &two.ann[0]);
    let gone = store.delete_user(two.both[0], ann.resource.id, always(), actor());
    gone.await.unwrap();
    store.begin_user_turn(ann.key).await.unwrap().unwrap();
    two.ask(1, true).await;
    assert_eq!(two.seat(1).await, Seat::Leaving, "it is not spared");
    two.ended(0).await;
    assert_eq!(two.seat(1).await, Seat::Free);
}

#[tokio::test]
async fn a_place_that_becomes_free_during_a_turn_is_taken_before_anything_is_sent() {
    let two = Two::new(true).await;
    two.ask(0, true).await;
    two.told(0).await;
    two.ask(0, false).await;
    two.ask(1, true).await;
    let turn = two.scene.store.begin_group_turn(two.groups[1].0, 9).await;
    assert_eq!(turn.unwrap().unwrap().work.adds.len(), 1);
    assert_eq!(two.seat(1).await, Seat::Leaving);
    two.told(0).await;
    assert_eq!(two.seat(1).await, Seat::Free);
    two.ask(0, true).await;
    assert_eq!(two.seat(0).await, Seat::Taken, "that may be sent by now");
}

#[tokio::test]
async fn a_connection_that_is_alone_asks_nobody() {
    let two = Two::new(false).await;
    two.ask(0, true).await;
    two.ask(1, true).await;
    assert_eq!(
        (two.seat(0).await, two.seat(1).await),
        (Seat::Free, Seat::Free)
    );
}

#[tokio::test]
async fn of_two_that_asked_before_the_one_whose_group_is_there_has_the_place() {
    let two = Two::new(false).await;
    two.ask(0, true).await;
    two.ask(1, true).await;
    two.told(1).await;
    two.share().await;
    assert_eq!(two.seat(0).await, Seat::Taken);
    // What it has put there it may take out, and the other is told again.
    two.ask(1, false).await;
    two.told(1).await;
    assert_eq!(two.seat(0).await, Seat::Free);
}

#[tokio::test]
async fn the_end_of_a_user_spares_the_place_that_another_connection_has() {
    let mut two = Two::new(true).await;
    two.ask(0, true).await;
    two.told(0).await;
    two.scene.c = two.both[1];
    two.scene.set_active(&two.ann[1], "ann", false).await;
    let turn = two.scene.store.begin_user_turn(two.ann[1].key).await;
    let spared = turn.unwrap().unwrap().work.principal.elsewhere;
    assert_eq!(spared, ["team"]);
    two.ended(1).await;
    let has = |role: &str| vec![("team".to_owned(), role.to_owned())];
    let back = |which: usize, role: &str| {
        two.scene
            .store
            .ended(two.both[which], vec![("ann@example.com".into(), has(role))])
    };
    assert_eq!(
        back(1, "member").await.unwrap(),
        [],
        "the place is not its own"
    );
    // Once the other one has let go, what is there was given back, but for the
    // role that is the other one's to give.
    two.ask(0, false).await;
    two.told(0).await;
    assert_eq!(back(1, "member").await.unwrap().len(), 1);
    assert_eq!(back(1, "viewer").await.unwrap(), []);
    // So with another account that has her address.
    let left = async |role: &str| {
        let twin = ShownAccount {
            account: "ann@example.com".into(),
            upstream_id: "twin".into(),
            has: has(role),
            said_of: None,
        };
        let left = two.scene.store.left_over(two.both[1], vec![twin]).await;
        left.unwrap()[0].ours
    };
    assert!(left("member").await);
    assert!(!left("viewer").await);
}

#[tokio::test]
async fn a_restart_gives_the_place_to_nobody_else_who_asks_for_it() {
    let two = Two::new(true).await;
    two.ask(0, true).await;
    two.told(0).await;
    // The other one knows the account by its id, too.
    let learned = UserLearned {
        observed: Some(ObservedAccount {
            existence: Existence::Present,
            ..ObservedAccount::default()
        }),
        upstream_id: Some("id of ann".into()),
        settled: true,
        ..UserLearned::default()
    };
    let store = &two.scene.store;
    let linked = store.end_user_turn(two.ann[1].key, learned, 3_000);
    linked.await.unwrap();
    two.ask(1, true).await;
    two.share().await;
    assert_eq!(two.seat(1).await, Seat::Taken);
    let learned = UserLearned {
        upstream_id: Some("id of ann".into()),
        ..UserLearned::default()
    };
    let linked = store.end_user_turn(two.ann[0].key, learned, 3_000);
    linked.await.unwrap();
    assert_eq!(two.seat(0).await, Seat::Free, "it is its own");
}

#[tokio::test]
async fn what_another_connection_gave_is_nothing_to_fall_back_to() {
    let two = Two::new(true).await;
    two.ask(0, true).await;
    two.told(0).await;
    let shown = FoundGroup {
        id: fresh_id(),
        row: group_row("viewer"),
        read_only: None,
        family: Some(Family {
            name: "team".into(),
            rank: 1,
        }),
        members: vec![(None, Some("ann@example.com".into()))],
    };
    let mark = ImportMark(i64::MAX);
    let store = &two.scene.store;
    let import = store.import(two.both[1], mark, Vec::new(), vec![shown], None, actor());
    assert_eq!(import.await.unwrap().members_new, 1);
    two.ask(0, false).await;
    two.told(0).await;
    two.ask(1, true).await;
    two.told(1).await;
    two.ask(1, false).await;
    let (group, user) = (two.groups[1].0, two.ann[1].key);
    let counting = store.counting(group, user, false).await.unwrap().unwrap();
    assert_eq!(
        counting.counts, None,
        "it is shown still, and was taken away"
    );
}

#[tokio::test]
async fn who_was_only_found_and_is_asked_for_while_another_connection_ends_them_is_said_again() {
    for (ends, answered) in [(false, false), (true, true), (true, false)] {
        let two = Two::new(true).await;
        let store = &two.scene.store;
        let shown = FoundGroup {
            id: fresh_id(),
            row: group_row("member"),
            read_only: None,
            family: Some(Family {
                name: "team".into(),
                rank: 0,
            }),
            members: vec![(None, Some("ann@example.com".into()))],
        };
        let mark = ImportMark(i64::MAX);
        let import = store.import(two.both[1], mark, Vec::new(), vec![shown], None, actor());
        assert_eq!(import.await.unwrap().members_new, 1);
        let gone = store.delete_user(two.both[0], two.ann[0].resource.id, always(), actor());
        gone.await.unwrap();
        if ends {
            let turn = store.begin_user_turn(two.ann[0].key).await.unwrap();
            if !answered {
                let principal = turn.unwrap().work.principal;
                let call = Operation::DeactivateUser { principal };
                let learned = UserLearned {
                    calls: vec![(call, UNANSWERED.into(), 1.into())],
                    ..UserLearned::default()
                };
                let end = store.end_user_turn(two.ann[0].key, learned, 3_000);
                end.await.unwrap();
            }
        }
        two.ask(1, true).await;
        let turn = store.begin_group_turn(two.groups[1].0, 9).await.unwrap();
        let adds = turn.map_or(0, |turn| turn.work.adds.len());
        assert_eq!(adds, usize::from(ends), "else it is spared");
        if ends {
            assert_eq!(two.seat(1).await, Seat::Leaving);
            two.ended(0).await;
            let seat = if answered { Seat::Free } else { Seat::Leaving };
            assert_eq!(two.seat(1).await, seat, "a call may land yet");
        }
    }
}
