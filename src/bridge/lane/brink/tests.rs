//! The look before a removal, at an application that shows by script who is
//! there: who goes, who is told that he stays, and who waits for how long.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    bridge::{
        converge::tests::{Scripted, all_done, scripted},
        lane::Places,
        switch::Switch,
    },
    plan::{
        guard::Protected,
        state::{Account, ConnectionKey, ObservedAccount},
    },
    scim::{patch::MemberChange, resource::ResourceId},
    store::{self, GroupChange, GroupRow, GroupWritten, Precondition, Store, UserRow, UserWritten},
    upstream::{RemoteGroup, RemoteMember},
};

mod access;

/// By how much a look may lag behind.
const LAG: Duration = Duration::from_secs(10);
const FILE: &str = "brink.db";

/// A group `adm` whose members' accounts are there, as the store knows them.
pub(in crate::bridge::lane) struct Scene {
    pub(in crate::bridge::lane) lanes: Lanes,
    pub(in crate::bridge::lane) app: Arc<Scripted>,
    pub(in crate::bridge::lane) c: ConnectionKey,
    pub(in crate::bridge::lane) users: Vec<UserWritten>,
    pub(in crate::bridge::lane) group: GroupWritten,
    folder: TempDir,
}

fn by(at: Millis) -> Actor {
    Actor {
        name: "test".into(),
        at,
        watch: Watch::Off,
        put: false,
    }
}

/// What was sent then is shown by now.
pub(in crate::bridge::lane) fn long_ago() -> Actor {
    by(clock::now() - 60_000)
}

fn protecting(least: u64) -> Guard {
    Guard {
        protected: Protected::named(&[], &[], [("adm", least)]),
        ..Guard::off()
    }
}

pub(in crate::bridge::lane) fn account(n: usize) -> String {
    format!("m{n}@example.com")
}

async fn member(store: &dyn Store, c: ConnectionKey, n: usize) -> UserWritten {
    let attributes = json!({ "userName": account(n) });
    let row = UserRow {
        attributes: serde_json::from_value(attributes).unwrap(),
        account_key: Some(account(n)),
        account: Account {
            active: true,
            ..Account::default()
        },
    };
    let made = store.create_user(c, clock::new_id(), row, long_ago());
    let made = made.await.unwrap();
    store.begin_user_turn(made.key).await.unwrap();
    let learned = UserLearned {
        observed: Some(present()),
        settled: true,
        ..UserLearned::default()
    };
    let end = store.end_user_turn(made.key, learned, long_ago().at);
    end.await.unwrap();
    made
}

fn present() -> ObservedAccount {
    ObservedAccount {
        existence: Existence::Present,
        ..ObservedAccount::default()
    }
}

pub(in crate::bridge::lane) fn texts(users: &[UserWritten]) -> Vec<String> {
    let id = |user: &UserWritten| user.resource.id.to_string();
    users.iter().map(id).collect()
}

pub(in crate::bridge::lane) async fn scene(guard: Guard, app: Scripted, members: usize) -> Scene {
    scene_of(guard, app, members, LAG).await
}

async fn scene_of(guard: Guard, app: Scripted, members: usize, lag: Duration) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(&folder.path().join(FILE)).unwrap();
    let c = store.connection("acme").await.unwrap();
    let mut users = Vec::new();
    for n in 0..members {
        users.push(member(store.as_ref(), c, n).await);
    }
    let row = GroupRow {
        attributes: serde_json::from_value(json!({ "displayName": "adm" })).unwrap(),
        upstream_name: "adm".into(),
    };
    let made = store.create_group(c, clock::new_id(), row, texts(&users), false, long_ago());
    let group = made.await.unwrap();
    let app = Arc::new(app);
    let lanes = Lanes::new(
        ("acme".into(), c),
        Switch::none(),
        store,
        Arc::clone(&app) as Arc<dyn Upstream>,
        tokio::runtime::Handle::current(),
        false,
        (lag, Arc::new(guard), Places::default(), true),
    );
    let scene = Scene {
        lanes,
        app,
        c,
        users,
        group,
        folder,
    };
    scene.arrive(long_ago().at).await;
    scene
}

impl Scene {
    pub(in crate::bridge::lane) fn store(&self) -> &dyn Store {
        self.lanes.0.store.as_ref()
    }

    pub(in crate::bridge::lane) fn file(&self) -> std::path::PathBuf {
        self.folder.path().join(FILE)
    }

    pub(in crate::bridge::lane) fn keys(&self, of: std::ops::Range<usize>) -> Vec<UserKey> {
        self.users[of].iter().map(|user| user.key).collect()
    }

    pub(in crate::bridge::lane) async fn turn(&self) -> GroupTurn {
        let turn = self.store().begin_group_turn(self.group.key, 100);
        turn.await.unwrap().unwrap()
    }

    /// Everything that is open arrives.
    pub(in crate::bridge::lane) async fn arrive(&self, at: Millis) {
        let turn = self.turn().await;
        let learned = GroupLearned {
            existence: Some(Existence::Present),
            present: turn.work.adds.iter().map(|it| it.user).collect(),
            absent: turn.work.removes.iter().map(|it| it.user).collect(),
            ..GroupLearned::default()
        };
        let end = self.store();
        let end = end.end_group_turn(self.group.key, turn.seq, learned, at);
        end.await.unwrap();
    }

    pub(in crate::bridge::lane) async fn change(&self, members: MemberChange) {
        let change = GroupChange {
            decide: Box::new(|_| Ok(None)),
            members: vec![members],
            skip_unknown: false,
            closed: None,
        };
        let (id, always) = (self.group.resource.id, Precondition::default());
        let done = self
            .store()
            .change_group(self.c, id, always, change, by(clock::now()));
        done.await.unwrap();
    }

    /// The turn that takes these out.
    pub(in crate::bridge::lane) async fn removal(&self, of: std::ops::Range<usize>) -> GroupTurn {
        self.change(MemberChange::Remove(texts(&self.users[of])))
            .await;
        self.turn().await
    }

    pub(in crate::bridge::lane) async fn deactivate(&self, n: usize) {
        self.write(n, |account| account.active = false).await;
    }

    pub(in crate::bridge::lane) async fn write(
        &self,
        n: usize,
        change: impl Fn(&mut Account) + Send + Sync + 'static,
    ) {
        let decide = move |stored: &store::StoredUser| {
            let mut row = stored.row.clone();
            change(&mut row.account);
            Ok(Some(row))
        };
        let id = self.users[n].resource.id;
        let always = Precondition::default();
        let done = self
            .store()
            .change_user(self.c, id, always, Box::new(decide), by(clock::now()));
        done.await.unwrap();
    }

    /// What the next look shows.
    pub(in crate::bridge::lane) fn shows(&self, users: &[usize]) {
        let member = |n: &usize| RemoteMember {
            account: Some(account(*n)),
            ..RemoteMember::default()
        };
        let members = users.iter().map(member).collect();
        self.app.members.lock().unwrap().push_back(members);
    }

    /// Who goes in the turn, who is refused, who waits, and for how long.
    async fn spared(&self, turn: &mut GroupTurn) -> (Vec<UserKey>, Spared) {
        let spared = self.lanes.spare(turn).await.unwrap();
        let going = turn.work.removes.iter().map(|it| it.user);
        (going.collect(), spared)
    }

    /// What was written down that nobody may.
    async fn noted(&self) -> Vec<Option<ResourceId>> {
        let mut rows = self.store().audit(0, 1_000).await.unwrap();
        rows.retain(|row| row.action == "refuse_protected");
        rows.into_iter().map(|row| row.resource).collect()
    }
}

/// Nobody is, and nothing is waited for.
fn is_nothing(spared: &Spared) -> bool {
    spared.refused.is_empty() && spared.unsent.is_empty() && spared.pause.is_none()
}

#[tokio::test]
async fn where_as_many_as_have_to_stay_are_shown_the_others_go() {
    let scene = scene(protecting(2), scripted(all_done), 6).await;
    let mut turn = scene.removal(0..2).await;
    scene.shows(&[0, 1, 2, 3]);
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!(going, scene.keys(0..2));
    assert!(is_nothing(&spared) && spared.is_nothing());
    assert_eq!(scene.noted().await, []);
}

#[tokio::test]
async fn where_too_few_are_shown_who_goes_is_told_that_he_stays() {
    let scene = scene(protecting(2), scripted(all_done), 6).await;
    let mut turn = scene.removal(0..2).await;
    scene.shows(&[0, 2]);
    let (going, mut spared) = scene.spared(&mut turn).await;
    assert!(!spared.is_nothing());
    assert_eq!(spared.waits(), None);
    assert_eq!((going, spared.unsent), (vec![], vec![]));
    assert_eq!(spared.pause, None, "nothing is left to be done");
    let (whom, reasons): (Vec<_>, Vec<_>) = spared.refused.into_iter().unzip();
    assert_eq!(whom, scene.keys(0..2));
    for reason in reasons {
        assert!(
            reason.contains("would keep fewer than 2 active"),
            "{reason}"
        );
        assert!(reason.ends_with(KEPT), "{reason}");
    }
    assert_eq!(scene.noted().await, [Some(scene.group.resource.id)]);
}

#[tokio::test]
async fn who_left_here_is_not_told_and_waits_for_another_look() {
    let scene = scene(protecting(1), scripted(all_done), 4).await;
    scene.deactivate(1).await;
    let mut turn = scene.removal(0..2).await;
    scene.shows(&[1]);
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!(going, []);
    let refused: Vec<UserKey> = spared.refused.iter().map(|it| it.0).collect();
    assert_eq!(refused, scene.keys(0..1));
    assert_eq!(spared.unsent, scene.keys(1..2));
    assert_eq!(spared.pause, Some(Pause::BackOff));
    let waits = spared.waits.unwrap();
    assert_eq!(
        (waits.users, waits.group),
        (spared.unsent, Some(scene.group.resource.id))
    );
}

#[tokio::test]
async fn a_look_that_does_not_show_who_goes_either_is_no_word_of_the_others() {
    let scene = scene(protecting(1), scripted(all_done), 6).await;
    scene.deactivate(1).await;
    let mut turn = scene.removal(0..2).await;
    scene.shows(&[]);
    let (going, spared) = scene.spared(&mut turn).await;
    // Many are believed to stay, so who left here goes.
    assert_eq!(going, scene.keys(1..2));
    assert_eq!(spared.unsent, scene.keys(0..1));
    assert_eq!(spared.pause, Some(Pause::BackOff));
    assert!(spared.refused.is_empty());
    // Alone nothing has to wait.
    let mut turn = scene.removal(0..2).await;
    turn.work.removes.retain(|it| it.user == scene.users[1].key);
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!(going, scene.keys(1..2));
    assert!(is_nothing(&spared));
}

#[tokio::test]
async fn near_its_least_who_left_here_waits_too() {
    let scene = scene(protecting(1), scripted(all_done), 4).await;
    scene.deactivate(1).await;
    let mut turn = scene.removal(0..2).await;
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!((going, spared.unsent), (vec![], scene.keys(0..2)));
    assert_eq!(spared.pause, Some(Pause::BackOff));
}

#[tokio::test]
async fn who_left_here_takes_nothing_from_a_group_that_shows_only_others() {
    let scene = scene(protecting(1), scripted(all_done), 4).await;
    scene.deactivate(1).await;
    let mut turn = scene.removal(0..2).await;
    scene.shows(&[9]);
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!((going, spared.unsent), (scene.keys(1..2), scene.keys(0..1)));
    assert_eq!(spared.pause, Some(Pause::BackOff));
    assert!(spared.refused.is_empty());
}

#[tokio::test]
async fn what_was_sent_lately_is_waited_for_as_half_as_long_as_a_look_may_lag() {
    let scene = scene(protecting(1), scripted(all_done), 4).await;
    scene
        .change(MemberChange::Remove(texts(&scene.users[3..])))
        .await;
    scene.arrive(clock::now()).await;
    let mut turn = scene.removal(0..1).await;
    scene.shows(&[0]);
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!((going, spared.unsent), (vec![], scene.keys(0..1)));
    assert_eq!(spared.pause, Some(Pause::Within(LAG / 2)));
    assert!(spared.refused.is_empty());
    assert_eq!(scene.noted().await, []);
}

#[tokio::test]
async fn who_is_only_about_to_be_added_is_waited_for() {
    let lag = Duration::from_millis(100);
    let scene = scene_of(protecting(1), scripted(all_done), 4, lag).await;
    scene
        .change(MemberChange::Remove(texts(&scene.users[3..])))
        .await;
    scene.arrive(long_ago().at).await;
    scene
        .change(MemberChange::Add(texts(&scene.users[3..])))
        .await;
    let mut turn = scene.removal(0..1).await;
    assert_eq!(turn.work.adds.len(), 1);
    scene.shows(&[0]);
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!((going, spared.unsent), (vec![], scene.keys(0..1)));
    // And no more often than that.
    assert_eq!(spared.pause, Some(Pause::Within(LEAST_GAP * 2)));
    assert_eq!(turn.work.adds.len(), 1);
}

/// One of two goes, and the other was taken out then and is asked for again; both
/// are shown.
async fn one_is_asked_for_again(out: Millis) -> (Scene, GroupTurn) {
    let scene = scene(protecting(1), scripted(all_done), 2).await;
    scene
        .change(MemberChange::Remove(texts(&scene.users[1..])))
        .await;
    scene.arrive(out).await;
    scene
        .change(MemberChange::Add(texts(&scene.users[1..])))
        .await;
    let turn = scene.removal(0..1).await;
    scene.shows(&[0, 1]);
    (scene, turn)
}

#[tokio::test]
async fn who_is_to_stay_and_is_shown_counts_though_that_was_not_known() {
    let (scene, mut turn) = one_is_asked_for_again(long_ago().at).await;
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!(going, scene.keys(0..1));
    assert!(is_nothing(&spared));
}

/// They may be shown from before our own removal, and be refused then.
#[tokio::test]
async fn who_is_to_stay_and_is_shown_does_not_count_soon_after_something_was_sent() {
    let (scene, mut turn) = one_is_asked_for_again(clock::now()).await;
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!((going, spared.unsent), (vec![], scene.keys(0..1)));
    assert!(spared.refused.is_empty());
}

#[tokio::test]
async fn a_group_that_cannot_be_read_lets_nobody_go_until_it_can() {
    let mut app = scripted(all_done);
    app.blind = true;
    let scene = scene(protecting(1), app, 6).await;
    let mut turn = scene.removal(0..1).await;
    let (going, mut spared) = scene.spared(&mut turn).await;
    assert!(!spared.is_nothing());
    let waits = spared.waits().unwrap();
    assert_eq!(waits.users, scene.keys(0..1));
    assert!(waits.reason.contains(UNREAD), "{}", waits.reason);
    assert_eq!((going, spared.unsent), (vec![], scene.keys(0..1)));
    assert_eq!(spared.pause, Some(Pause::For(Duration::from_secs(3))));
}

#[tokio::test]
async fn a_list_that_is_missing_is_as_good_as_a_group_that_is() {
    for there in [false, true] {
        let mut app = scripted(all_done);
        app.unlisted = true;
        app.group = there.then(RemoteGroup::default);
        let scene = scene(protecting(1), app, 6).await;
        let mut turn = scene.removal(0..1).await;
        let (going, spared) = scene.spared(&mut turn).await;
        if there {
            assert_eq!((going, spared.unsent), (vec![], scene.keys(0..1)));
            assert_eq!(spared.pause, Some(Pause::BackOff));
        } else {
            assert_eq!(going, scene.keys(0..1));
            assert!(is_nothing(&spared));
        }
    }
}

#[tokio::test]
async fn there_is_no_look_where_nothing_is_taken_from_a_group_that_is_there() {
    let mut app = scripted(all_done);
    app.blind = true;
    let scene = scene(protecting(1), app, 6).await;
    let turn = scene.removal(0..1).await;
    let mut all = [turn.clone(), turn.clone(), turn];
    all[0].work.wanted = false;
    all[1].work.observed = Existence::Absent;
    all[2].work.removes.clear();
    for mut turn in all {
        let before = turn.clone();
        let (_, spared) = scene.spared(&mut turn).await;
        assert!(is_nothing(&spared) && turn == before);
    }
}

#[tokio::test]
async fn the_last_of_a_group_of_many_is_kept_and_that_is_no_attempt_at_what_is_protected() {
    let scene = scene(Guard::default(), scripted(all_done), 12).await;
    let mut turn = scene.removal(1..12).await;
    scene.shows(&[1, 2]);
    let (going, spared) = scene.spared(&mut turn).await;
    assert_eq!((going, spared.unsent), (vec![], vec![]));
    assert_eq!(spared.refused.len(), 11);
    let reason = &spared.refused[0].1;
    assert!(
        reason.contains("(empty_from)") && reason.ends_with(KEPT),
        "{reason}"
    );
    assert_eq!(scene.noted().await, []);
}

#[tokio::test]
async fn who_is_spared_is_in_no_part_of_the_turn() {
    let scene = scene(protecting(1), scripted(all_done), 6).await;
    let mut turn = scene.removal(0..4).await;
    (turn.work.alone, turn.work.full) = (2, Some(Vec::new()));
    let spares = HashSet::from_iter(scene.keys(1..3));
    leave_out(&mut turn, &spares);
    let left: Vec<UserKey> = turn.work.removes.iter().map(|it| it.user).collect();
    assert_eq!(left, [scene.users[0].key, scene.users[3].key]);
    assert_eq!((turn.work.alone, turn.work.full), (1, None));
}

#[tokio::test]
async fn what_was_spared_is_told_with_what_was_done_and_waits_only_if_that_does_not() {
    let spared = || Spared {
        refused: vec![(UserKey(1), "no".into())],
        unsent: vec![UserKey(2)],
        pause: Some(Pause::BackOff),
        waits: None,
    };
    let longer = Pause::For(Duration::from_secs(9));
    for (turn, expected) in [(Pause::None, Pause::BackOff), (longer, longer)] {
        let mut learned = GroupLearned {
            unsent: vec![UserKey(3)],
            ..GroupLearned::default()
        };
        assert_eq!(spared().add_to(&mut learned, turn), expected);
        assert_eq!(learned.unsent, [UserKey(3), UserKey(2)]);
        assert_eq!(learned.refused, [(UserKey(1), "no".into())]);
    }
    let nothing = Spared::default().add_to(&mut GroupLearned::default(), longer);
    assert_eq!(nothing, longer);
}
