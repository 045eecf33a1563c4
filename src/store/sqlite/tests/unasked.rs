//! What was only found of who leaves goes with the rest, and comes back with it.
use super::*;
use crate::{
    plan::state::GroupKey,
    store::{FoundGroup, GroupTurn, ImportMark, Site, Withdrawn},
};

impl Scene {
    /// A group that is found with these members.
    async fn finds(
        &self,
        c: ConnectionKey,
        name: &str,
        members: &[&str],
        read_only: Option<&str>,
    ) -> (GroupKey, ResourceId) {
        let address = |name: &&str| (None, Some(format!("{name}@example.com")));
        let group = FoundGroup {
            id: fresh_id(),
            row: group_row(name),
            read_only: read_only.map(str::to_owned),
            family: None,
            members: members.iter().map(address).collect(),
        };
        let id = group.id;
        let mark = ImportMark(i64::MAX);
        let import = self
            .store
            .import(c, mark, Vec::new(), vec![group], None, actor());
        assert_eq!(import.await.unwrap().members_new, members.len() as u64);
        let writable = self.store.reconcilable(c, GroupKey(0), 99).await.unwrap();
        let key = writable.iter().find(|it| it.id == id).map(|it| it.group);
        (key.unwrap_or(GroupKey(0)), id)
    }

    async fn count(&self, group: ResourceId) -> usize {
        let members = self.store.members(self.c, group).await.unwrap();
        members.unwrap().ids.len()
    }

    /// Of whom a turn of the group has only this to do; the look before it shows
    /// all of them.
    async fn takes_out(&self, group: GroupKey, user: UserKey) -> Vec<Lane> {
        let turn = self.begin(group).await;
        self.sees(Lane::Group(group)).await;
        self.is_out(turn, user).await
    }

    async fn sees(&self, lane: Lane) -> usize {
        let unseen = self.store.unseen(lane).await.unwrap();
        let looked = unseen.iter().map(|it| (it.group, it.who.user, true));
        self.store.note_looks(looked.collect()).await.unwrap();
        unseen.len()
    }

    async fn is_out(&self, turn: GroupTurn, user: UserKey) -> Vec<Lane> {
        let removes: Vec<UserKey> = turn.work.removes.iter().map(|it| it.user).collect();
        assert_eq!((&removes[..], turn.work.alone), (&[user][..], 1));
        assert!(turn.work.adds.is_empty() && turn.work.full.is_none());
        let learned = GroupLearned {
            absent: vec![user],
            ..GroupLearned::default()
        };
        self.end(&turn, learned).await
    }
}

#[tokio::test]
async fn what_was_only_found_goes_with_the_access_and_comes_back_with_it() {
    let scene = Scene::new().await;
    let (ann, _) = (scene.member("ann").await, scene.member("ben").await);
    let asked = scene.settled_group("asked", &[ann.resource.id]).await;
    let (dev, id) = scene.finds(scene.c, "dev", &["ann", "ben"], None).await;
    let kept = scene.finds(scene.c, "kept", &["ann"], Some("a rule fills it"));
    let (_, kept) = kept.await;
    scene.set_active(&ann, "ann", false).await;
    let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    assert_eq!(
        turn.work.memberships,
        ["asked", "dev"],
        "as a plan tells it"
    );
    let scene = scene.reopen().await;
    let woken = scene.withdraw(ann.key).await;
    assert_eq!(woken.len(), 2, "{woken:?}");
    assert!(scene.waits(ann.key).await);
    assert!(scene.takes_out(asked.key, ann.key).await.is_empty());
    let woken = scene.takes_out(dev, ann.key).await;
    assert_eq!(woken, [Lane::User(ann.key)]);
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert!(!scene.store.is_open(ann.key).await.unwrap());
    assert_eq!((scene.count(id).await, scene.count(kept).await), (2, 1));
    let found = scene.store.found_of_leavers(scene.c);
    assert_eq!(
        found.await.unwrap(),
        [],
        "a group that is not written keeps her"
    );

    let back = scene.set_active(&ann, "ann", true).await;
    assert_eq!(back.groups, [asked.key, dev]);
    let turn = scene.begin(dev).await;
    let adds: Vec<UserKey> = turn.work.adds.iter().map(|it| it.user).collect();
    assert_eq!((adds, turn.work.removes.len()), (vec![ann.key], 0));
}

#[tokio::test]
async fn what_is_found_of_who_has_left_is_ended_with_the_import_or_when_it_is_asked_again() {
    let scene = Scene::new().await;
    let mut found = Vec::new();
    for name in ["ann", "ben"] {
        let user = scene.member(name).await;
        scene.set_active(&user, name, false).await;
        assert_eq!(scene.withdraw(user.key).await, []);
        assert_eq!(scene.how_it_ended(user.key).await, Withdrawn::Whole);
        found.push(user);
    }
    let [ann, ben] = &found[..] else { panic!() };
    let (dev, _) = scene.finds(scene.c, "dev", &["ann"], None).await;
    let (ops, _) = scene.finds(scene.c, "ops", &["ben"], None).await;
    let told = scene.store.found_of_leavers(scene.c).await.unwrap();
    assert_eq!(told, [ann.key, ben.key]);

    let ended = scene.store.end_again(vec![ann.key], false, actor());
    let ended = ended.await.unwrap();
    assert_eq!(ended.ended_again, 1);
    assert!(ended.lanes.contains(&Lane::Group(dev)), "{ended:?}");
    assert!(scene.waits(ann.key).await, "it is pending");
    scene.takes_out(dev, ann.key).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);

    assert!(scene.set_active(ben, "ben", false).await.dirty);
    assert_eq!(scene.withdraw(ben.key).await, [Lane::Group(ops)]);
    scene.takes_out(ops, ben.key).await;
    assert_eq!(scene.how_it_ended(ben.key).await, Withdrawn::Whole);
    assert!(!scene.set_active(ben, "ben", false).await.dirty);
    assert_eq!(scene.store.found_of_leavers(scene.c).await.unwrap(), []);
    for (user, name, group) in [(ann, "ann", dev), (ben, "ben", ops)] {
        assert_eq!(scene.set_active(user, name, true).await.groups, [group]);
    }
}

#[tokio::test]
async fn what_another_connection_manages_stays() {
    let scene = Scene::new().await;
    let other = scene.store.connection("globex").await.unwrap();
    let site = Site {
        name: "app 1".into(),
        accounts: false,
    };
    let sites = [scene.c, other].map(|c| (c, Some(site.clone())));
    scene.store.settle_sites(sites.into()).await.unwrap();
    let ann = scene.member("ann").await;
    let (team, _) = scene.finds(scene.c, "team", &["ann"], None).await;
    let (mine, _) = scene.finds(scene.c, "mine", &["ann"], None).await;
    let (_, theirs) = scene.finds(other, "team", &[], None).await;
    let row = user_row("ann");
    let same = scene.store.create_user(other, fresh_id(), row, actor());
    let asks = add(&[same.await.unwrap().resource.id]);
    let asked = scene
        .store
        .change_group(other, theirs, always(), asks, actor());
    asked.await.unwrap();

    scene.set_active(&ann, "ann", false).await;
    let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    assert_eq!(turn.work.memberships, ["mine"]);
    let scene = scene.reopen().await;
    assert_eq!(scene.withdraw(ann.key).await, [Lane::Group(mine)]);
    scene.takes_out(mine, ann.key).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert!(scene.idle(team).await);
    assert_eq!(scene.store.found_of_leavers(scene.c).await.unwrap(), []);
    // What was taken away is this connection's now, to be given back.
    let (_, again) = scene.finds(other, "mine", &[], None).await;
    let ben = scene
        .store
        .create_user(other, fresh_id(), user_row("ben"), actor());
    let asks = add(&[ben.await.unwrap().resource.id]);
    let asked = scene
        .store
        .change_group(other, again, always(), asks, actor());
    assert!(matches!(asked.await, Err(WriteError::Problem(it)) if it.status == 403));
}

#[tokio::test]
async fn what_a_look_has_shown_to_be_gone_is_not_given_back_and_what_none_has_shown_is() {
    let scene = Scene::new().await;
    let (ann, _) = (scene.member("ann").await, scene.member("ben").await);
    let asked = scene.settled_group("asked", &[ann.resource.id]).await;
    let (dev, id) = scene.finds(scene.c, "dev", &["ann", "ben"], None).await;
    let (ops, seen) = scene.finds(scene.c, "ops", &["ann"], None).await;
    let (far, unread) = scene.finds(scene.c, "far", &["ann"], None).await;
    scene.set_active(&ann, "ann", false).await;
    assert_eq!(scene.withdraw(ann.key).await.len(), 4);
    let turn = scene.begin(asked.key).await;
    let unseen = scene.store.unseen(Lane::Group(asked.key)).await.unwrap();
    assert_eq!(unseen, [], "it was asked for");
    scene.is_out(turn, ann.key).await;
    let turn = scene.begin(dev).await;
    assert_eq!(scene.store.unseen(Lane::Group(dev)).await.unwrap().len(), 1);
    scene
        .store
        .note_looks(vec![(dev, ann.key, false)])
        .await
        .unwrap();
    scene.is_out(turn, ann.key).await;
    scene.takes_out(ops, ann.key).await;
    let turn = scene.begin(far).await;
    scene.is_out(turn, ann.key).await;
    assert_eq!(scene.how_it_ended(ann.key).await, Withdrawn::Whole);
    assert_eq!((scene.count(id).await, scene.count(seen).await), (2, 1));
    let back = scene.set_active(&ann, "ann", true).await;
    assert_eq!(back.groups, [asked.key, ops, far]);
    assert!(scene.idle(dev).await);
    assert_eq!((scene.count(id).await, scene.count(seen).await), (1, 1));
    assert_eq!(scene.count(unread).await, 1);
}

#[tokio::test]
async fn what_was_not_taken_away_yet_is_only_found_again() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let (dev, id) = scene.finds(scene.c, "dev", &["ann"], None).await;
    scene.set_active(&ann, "ann", false).await;
    assert_eq!(scene.withdraw(ann.key).await, [Lane::Group(dev)]);
    scene.set_active(&ann, "ann", true).await;
    assert!(scene.idle(dev).await, "nothing was sent");
    assert_eq!(scene.count(id).await, 1);
    // And the next end looks again.
    scene.set_active(&ann, "ann", false).await;
    assert_eq!(scene.sees(Lane::User(ann.key)).await, 1);
}
