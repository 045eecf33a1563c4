//! Groups that the application has no more: what they are until somebody is
//! asked for in them, and what asks for them (reliability: H-15, F-09).
use super::*;
use crate::{
    plan::{
        operation::Operation,
        state::{GroupKey, Principal},
    },
    store::{FoundGroup, ImportMark, Why},
};

struct Gone {
    scene: Scene,
    users: Vec<UserWritten>,
    group: GroupWritten,
}

impl Gone {
    /// A turn that was to take out the first of three has found it out.
    async fn by_a_turn() -> Self {
        let it = Self::settled().await;
        it.members(MemberChange::Remove, &[0]).await;
        let turn = it.scene.store.begin_group_turn(it.group.key, 9).await;
        let turn = turn.unwrap().unwrap();
        let learned = GroupLearned {
            existence: Some(Existence::Absent),
            absent: vec![it.users[0].key],
            gone: Some("it is gone".into()),
            ..GroupLearned::default()
        };
        let store = &it.scene.store;
        let end = store.end_group_turn(it.group.key, turn.seq, learned, 9);
        assert_eq!(end.await.unwrap(), []);
        it
    }

    async fn settled() -> Self {
        let scene = Scene::new().await;
        let mut users = Vec::new();
        for name in ["ann", "bob", "cid"] {
            users.push(scene.member(name).await);
        }
        let ids: Vec<ResourceId> = users.iter().map(|user| user.resource.id).collect();
        let group = scene.settled_group("dev", &ids).await;
        Self {
            scene,
            users,
            group,
        }
    }

    async fn members(&self, wrap: fn(Vec<String>) -> MemberChange, of: &[usize]) -> GroupWritten {
        let ids: Vec<ResourceId> = of.iter().map(|n| self.users[*n].resource.id).collect();
        let written = self
            .scene
            .change(&self.group, change(vec![wrap(texts(&ids))]));
        written.await.unwrap()
    }

    /// Whether it stands in the status as refused and not as pending, and who is
    /// shown in it.
    async fn rests_with(&self, of: &[usize]) {
        let ids: Vec<ResourceId> = of.iter().map(|n| self.users[*n].resource.id).collect();
        assert_eq!(self.scene.members(&self.group).await, ids);
        assert_eq!(self.scene.lanes().await, []);
        let counts = self.scene.store.counts(self.scene.c).await.unwrap();
        assert_eq!((counts.refused_groups, counts.pending_groups), (1, 0));
        let open = (counts.pending_memberships, counts.stopped_memberships);
        assert_eq!(open, (0, of.len() as u64), "told with the group");
        assert_eq!(self.gone().await, 1);
    }

    async fn gone(&self) -> usize {
        let gone = self.scene.store.gone_groups(self.scene.c, GroupKey(0), 9);
        gone.await.unwrap().len()
    }

    fn keys(&self, of: &[Principal]) -> Vec<usize> {
        let place = |it: &Principal| self.users.iter().position(|user| user.key == it.user);
        let mut places: Vec<usize> = of.iter().filter_map(place).collect();
        places.sort_unstable();
        places
    }

    /// What a turn of it learned.
    async fn learns(&self, learned: GroupLearned) {
        let store = &self.scene.store;
        let turn = store.begin_group_turn(self.group.key, 9).await.unwrap();
        let end = store.end_group_turn(self.group.key, turn.unwrap().seq, learned, 9);
        end.await.unwrap();
    }

    /// Of one that is there after all, who is put there and who is taken out.
    async fn says(&self, adds: &[usize], removes: &[usize]) {
        let turn = self.scene.store.begin_group_turn(self.group.key, 9).await;
        let work = turn.unwrap().expect("work").work;
        assert_eq!(self.keys(&work.adds), adds);
        assert_eq!(self.keys(&work.removes), removes);
    }

    /// It is made again, with these.
    async fn is_made_with(&self, of: &[usize]) {
        let turn = self.scene.store.begin_group_turn(self.group.key, 9).await;
        let work = turn.unwrap().expect("work").work;
        assert!(work.made);
        assert_eq!(work.observed, Existence::Absent);
        let mut adds: Vec<UserKey> = work.adds.iter().map(|it| it.user).collect();
        adds.sort_unstable();
        let of: Vec<UserKey> = of.iter().map(|n| self.users[*n].key).collect();
        assert_eq!((adds, work.removes.len()), (of, 0));
    }
}

#[tokio::test]
async fn what_a_turn_found_out_is_told_and_nothing_is_sent_before_somebody_is_asked_for() {
    let it = Gone::by_a_turn().await;
    it.rests_with(&[1, 2]).await;
    // Whoever is taken out is out, and does not ask for the others.
    let out = it.members(MemberChange::Remove, &[1]).await;
    assert!(out.changed && !out.dirty && out.touched.is_empty());
    it.rests_with(&[2]).await;
    let again = it.members(MemberChange::Remove, &[1]).await;
    assert!(!again.changed && !again.dirty);
    it.rests_with(&[2]).await;
    // Nor does what is not about members.
    it.scene
        .give_external_id(it.group.resource.id, "of the directory")
        .await;
    it.rests_with(&[2]).await;
    let written = it.members(MemberChange::Add, &[0]).await;
    assert!(written.dirty);
    it.is_made_with(&[0, 2]).await;
}

#[tokio::test]
async fn who_is_in_it_already_is_asked_for_as_well() {
    for wrap in [MemberChange::Add, MemberChange::Replace] {
        let it = Gone::by_a_turn().await;
        assert!(it.members(wrap, &[1, 2]).await.dirty);
        it.is_made_with(&[1, 2]).await;
    }
}

/// Whatever has found it gone.
#[tokio::test]
async fn another_name_asks_for_it_and_so_does_a_put_of_anything_else() {
    for by_reconciliation in [false, true] {
        for (attribute, put) in [("displayName", false), ("externalId", true)] {
            let it = if by_reconciliation {
                let it = Gone::settled().await;
                let store = &it.scene.store;
                let since = store.import_mark(i64::MAX).await.unwrap();
                let lost = store.lose_group(it.group.key, since, "it is gone".into(), actor());
                assert_eq!(lost.await.unwrap(), []);
                it
            } else {
                Gone::by_a_turn().await
            };
            let of: &[usize] = if by_reconciliation {
                &[0, 1, 2]
            } else {
                &[1, 2]
            };
            it.rests_with(of).await;
            let change = GroupChange {
                decide: Box::new(move |stored| {
                    let mut row = stored.row.clone();
                    let value = "another".to_owned();
                    row.attributes.0.insert(attribute.into(), value.into());
                    Ok(Some(row))
                }),
                members: Vec::new(),
                skip_unknown: false,
                closed: None,
            };
            let by = Actor { put, ..actor() };
            let (store, id) = (&it.scene.store, it.group.resource.id);
            let written = store.change_group(it.scene.c, id, always(), change, by);
            assert!(written.await.unwrap().dirty, "{attribute}");
            it.is_made_with(of).await;
        }
    }
}

#[tokio::test]
async fn who_leaves_does_not_ask_for_it_and_does_not_wait_for_it() {
    let it = Gone::by_a_turn().await;
    let (scene, bob) = (&it.scene, &it.users[1]);
    let gone = scene
        .store
        .delete_user(scene.c, bob.resource.id, always(), actor());
    assert_eq!(gone.await.unwrap().groups, []);
    scene.confirm_user(bob.key).await;
    it.rests_with(&[2]).await;
}

#[tokio::test]
async fn what_was_asked_for_during_the_turn_finds_it_out_by_itself() {
    let it = Gone::settled().await;
    it.members(MemberChange::Remove, &[0]).await;
    let store = &it.scene.store;
    let turn = store.begin_group_turn(it.group.key, 9).await.unwrap();
    it.members(MemberChange::Remove, &[1]).await;
    let learned = GroupLearned {
        existence: Some(Existence::Absent),
        absent: vec![it.users[0].key],
        gone: Some("it is gone".into()),
        ..GroupLearned::default()
    };
    let end = store.end_group_turn(it.group.key, turn.unwrap().seq, learned, 9);
    assert_eq!(end.await.unwrap(), [Lane::Group(it.group.key)]);
    assert_eq!(it.gone().await, 0);
    // Whoever was to go because of it, too.
    let work = store.begin_group_turn(it.group.key, 9).await.unwrap();
    let work = work.unwrap().work;
    assert_eq!(work.observed, Existence::Present);
    assert_eq!(it.keys(&work.removes), [0, 1]);
}

#[tokio::test]
async fn one_that_a_reconciliation_does_not_show_is_gone_as_one_that_a_turn_found_gone() {
    let it = Gone::settled().await;
    let store = &it.scene.store;
    let since = store.import_mark(i64::MAX).await.unwrap();
    let lose = async |since| {
        let lost = store.lose_group(it.group.key, since, "it is gone".into(), actor());
        lost.await.unwrap()
    };
    assert_eq!(lose(ImportMark(0)).await, [], "written since");
    assert_eq!(it.gone().await, 0);
    it.members(MemberChange::Remove, &[0]).await;
    assert_eq!(lose(since).await, [], "its turn finds that out");
    assert_eq!(it.gone().await, 0);
    // Before it was sent, so that nothing is open.
    it.members(MemberChange::Add, &[0]).await;
    let since = store.import_mark(i64::MAX).await.unwrap();
    assert_eq!(lose(since).await, []);
    it.rests_with(&[0, 1, 2]).await;
    assert!(it.members(MemberChange::Add, &[1]).await.dirty);
    it.is_made_with(&[0, 1, 2]).await;
}

#[tokio::test]
async fn one_that_was_only_found_is_not_gone_because_a_reconciliation_does_not_show_it() {
    let scene = Scene::new().await;
    scene.member("ann").await;
    let (store, c) = (&scene.store, scene.c);
    let mark = async || store.import_mark(i64::MAX).await.unwrap();
    let found = vec![imports::found_group("dev", &["ann"])];
    let import = store.import(c, mark().await, Vec::new(), found, None, actor());
    assert_eq!(import.await.unwrap().groups_new, 1);
    let listed = store.reconcilable(c, GroupKey(0), 9).await.unwrap();
    let lost = store.lose_group(listed[0].group, mark().await, "it is gone".into(), actor());
    assert_eq!(lost.await.unwrap(), []);
    assert_eq!(store.gone_groups(c, GroupKey(0), 9).await.unwrap().len(), 0);
}

/// Who is not to have access by now would stay in it until the import after.
#[tokio::test]
async fn whoever_was_found_in_one_that_is_shown_again_is_found_by_that_import() {
    let scene = Scene::new().await;
    let (ann, bob) = (scene.member("ann").await, scene.member("bob").await);
    let (store, c) = (&scene.store, scene.c);
    let import = async || {
        let mark = store.import_mark(i64::MAX).await.unwrap();
        let found = vec![imports::found_group("dev", &["ann", "bob"])];
        let users = ["ann", "bob"].map(imports::found_user);
        let import = store.import(c, mark, users.into(), found, None, actor());
        import.await.unwrap()
    };
    assert_eq!(import().await.members_new, 2);
    let listed = store.reconcilable(c, GroupKey(0), 9).await.unwrap();
    let (key, id) = (listed[0].group, listed[0].id);
    // A removal finds out that it is gone.
    let ids = texts(&[ann.resource.id]);
    let removal = change(vec![MemberChange::Remove(ids)]);
    let removed = store.change_group(c, id, always(), removal, actor());
    assert_eq!(removed.await.unwrap().touched.len(), 1);
    let turn = store.begin_group_turn(key, 9).await.unwrap().unwrap();
    let learned = GroupLearned {
        existence: Some(Existence::Absent),
        absent: vec![ann.key],
        gone: Some("it is gone".into()),
        ..GroupLearned::default()
    };
    let end = store.end_group_turn(key, turn.seq, learned, 9);
    assert_eq!(end.await.unwrap(), []);

    let back = import().await;
    assert_eq!(
        (back.back, back.members_new),
        (1, 1),
        "whoever is not taken out"
    );
    let is = async |user: &UserWritten| {
        let pairs = store.pairs(key).await.unwrap();
        let pair = pairs.iter().find(|it| it.principal.user == user.key);
        pair.map(|it| it.desired)
    };
    assert_eq!((is(&ann).await, is(&bob).await), (Some(false), Some(true)));
}

#[tokio::test]
async fn one_that_is_shown_again_is_looked_after_once() {
    let it = Gone::by_a_turn().await;
    let store = &it.scene.store;
    let back = store.find_group(it.group.key, actor()).await.unwrap();
    assert_eq!(back.lanes, [Lane::Group(it.group.key)]);
    let turn = store.begin_group_turn(it.group.key, 9).await.unwrap();
    let work = turn.unwrap().work;
    assert_eq!((work.observed, work.adds.len()), (Existence::Unknown, 2));
    let again = store.find_group(it.group.key, actor()).await.unwrap();
    assert_eq!(again.lanes, []);
}

#[tokio::test]
async fn whoever_was_to_go_from_one_that_is_there_after_all_is_taken_out() {
    let it = Gone::by_a_turn().await;
    it.members(MemberChange::Remove, &[1]).await;
    let store = &it.scene.store;
    store.find_group(it.group.key, actor()).await.unwrap();
    it.says(&[2], &[0, 1]).await;
    assert_eq!(it.scene.members(&it.group).await, [it.users[2].resource.id]);
    // It is said once.
    let learned = GroupLearned {
        existence: Some(Existence::Present),
        absent: vec![it.users[0].key, it.users[1].key],
        present: vec![it.users[2].key],
        ..GroupLearned::default()
    };
    let end = store.end_group_turn(it.group.key, 99, learned, 9);
    assert_eq!(end.await.unwrap(), []);
    assert_eq!(store.begin_group_turn(it.group.key, 9).await, Ok(None));
}

#[tokio::test]
async fn nor_does_who_finds_it_there_by_making_it_again_leave_them_in_it() {
    let it = Gone::by_a_turn().await;
    it.members(MemberChange::Remove, &[1]).await;
    // Not whoever is asked for again.
    it.members(MemberChange::Add, &[1, 2]).await;
    let exists = GroupLearned {
        existence: Some(Existence::Unknown),
        unsent: vec![it.users[1].key, it.users[2].key],
        ..GroupLearned::default()
    };
    it.learns(exists).await;
    it.says(&[1, 2], &[0]).await;
}

#[tokio::test]
async fn nobody_is_taken_out_of_one_that_was_made_again() {
    let it = Gone::by_a_turn().await;
    it.members(MemberChange::Add, &[2]).await;
    let made = Operation::CreateGroup {
        name: "dev".into(),
        members: Vec::new(),
    };
    it.learns(GroupLearned {
        existence: Some(Existence::Present),
        calls: vec![(made, "done".into(), 1.into())],
        ..GroupLearned::default()
    })
    .await;
    it.says(&[1, 2], &[]).await;
}

#[tokio::test]
async fn what_was_noted_before_a_recovery_waits_for_its_end() {
    let it = Gone::by_a_turn().await;
    let (store, c) = (&it.scene.store, it.scene.c);
    let by = Actor { at: 10, ..actor() };
    let begin = store.begin_recovery(c, Why::OlderDatabase, by);
    assert_eq!(begin.await, Ok(true));
    store.find_group(it.group.key, actor()).await.unwrap();
    it.says(&[1, 2], &[]).await;
    store.end_recovery(c, actor()).await.unwrap();
    it.says(&[1, 2], &[0]).await;
}

/// Ann and Bob were found in it, and Cid is asked for.
#[tokio::test]
async fn who_was_only_found_in_it_is_none_of_its_members_when_it_is_made_again() {
    for again in [false, true] {
        let scene = Scene::new().await;
        let mut users = Vec::new();
        for name in ["ann", "bob", "cid"] {
            users.push(scene.member(name).await);
        }
        let with_both = || FoundGroup {
            id: fresh_id(),
            row: group_row("dev"),
            read_only: None,
            family: None,
            members: ["ann", "bob"]
                .map(|name| (None, Some(format!("{name}@example.com"))))
                .into(),
        };
        let found = with_both();
        let (store, id, mark) = (&scene.store, found.id, ImportMark(i64::MAX));
        let import = store.import(scene.c, mark, Vec::new(), vec![found], None, actor());
        import.await.unwrap();
        let key = store.reconcilable(scene.c, GroupKey(0), 9).await.unwrap()[0].group;
        let asks =
            || store.change_group(scene.c, id, always(), add(&[users[2].resource.id]), actor());
        asks().await.unwrap();
        let turn = store.begin_group_turn(key, 9).await.unwrap().unwrap();
        let learned = GroupLearned {
            existence: Some(Existence::Absent),
            refused: vec![(users[2].key, "it is gone".into())],
            gone: Some("it is gone".into()),
            ..GroupLearned::default()
        };
        store
            .end_group_turn(key, turn.seq, learned, 9)
            .await
            .unwrap();
        let shown = || async { store.members(scene.c, id).await.unwrap().unwrap().ids.len() };
        assert_eq!(shown().await, 2, "as long as nothing is asked for in it");
        if again {
            store.find_group(key, actor()).await.unwrap();
            let turn = store.begin_group_turn(key, 9).await.unwrap().unwrap();
            assert_eq!((turn.work.adds, turn.work.removes), (vec![], vec![]));
            assert_eq!(shown().await, 0);
            // It is there after all, and so are they, as the next import shows.
            let learned = GroupLearned {
                existence: Some(Existence::Present),
                ..GroupLearned::default()
            };
            let end = store.end_group_turn(key, turn.seq, learned, 9);
            end.await.unwrap();
            let import = store.import(scene.c, mark, Vec::new(), vec![with_both()], None, actor());
            assert_eq!(import.await.unwrap().members_new, 2);
        } else {
            asks().await.unwrap();
            let work = store.begin_group_turn(key, 9).await.unwrap().unwrap().work;
            let adds: Vec<UserKey> = work.adds.iter().map(|it| it.user).collect();
            assert_eq!(
                (work.observed, adds),
                (Existence::Absent, vec![users[2].key])
            );
        }
        assert_eq!(shown().await, if again { 2 } else { 1 });
    }
}

/// Nor does a deletion that comes before the end of a look believe that look.
#[tokio::test]
async fn one_that_is_deleted_is_deleted_there_too_whatever_was_believed_of_it() {
    for looks in [false, true] {
        let it = Gone::by_a_turn().await;
        let (store, lane) = (&it.scene.store, Lane::Group(it.group.key));
        let seq = if looks {
            store.find_group(it.group.key, actor()).await.unwrap();
            let turn = store.begin_group_turn(it.group.key, 9).await.unwrap();
            Some(turn.unwrap().seq)
        } else {
            None
        };
        let gone = it.scene.delete_group(&it.group, actor()).await.unwrap();
        assert!(gone.dirty);
        if let Some(seq) = seq {
            let learned = GroupLearned {
                existence: Some(Existence::Absent),
                unsent: it.users[1..].iter().map(|user| user.key).collect(),
                ..GroupLearned::default()
            };
            let end = store.end_group_turn(it.group.key, seq, learned, 9);
            assert_eq!(end.await.unwrap(), [lane]);
        }
        let turn = store.begin_group_turn(it.group.key, 9).await.unwrap();
        let turn = turn.expect("work");
        assert!(!turn.work.wanted && !turn.work.kept);
        assert_eq!(turn.work.observed, Existence::Unknown);
        let name = turn.work.name.clone();
        let call = Operation::DeleteGroup { name };
        let learned = GroupLearned {
            existence: Some(Existence::Absent),
            calls: vec![(call, "missing".into(), 1.into())],
            ..GroupLearned::default()
        };
        let end = store.end_group_turn(it.group.key, turn.seq, learned, 9);
        assert_eq!(end.await.unwrap(), []);
        assert_eq!(it.scene.lanes().await, []);
    }
}

impl Gone {
    /// Deleted here, and the first of three is not to have access since.
    async fn is_deleted(&self) {
        let keep = Box::new(|_: &_| Ok(None));
        let (store, id) = (&self.scene.store, self.group.resource.id);
        let delete = store.delete_group(self.scene.c, id, always(), keep, None, actor());
        delete.await.unwrap();
    }

    async fn is_refused(&self) {
        self.learns(GroupLearned {
            group_refused: Some("no".into()),
            ..GroupLearned::default()
        })
        .await;
    }

    /// The first has left, and that says that the group is gone. Returns what is
    /// woken.
    async fn leaver_finds_it_gone(&self) -> Vec<Lane> {
        let (store, ann) = (&self.scene.store, &self.users[0]);
        self.scene
            .deactivate(ann.resource.id, actor())
            .await
            .unwrap();
        let turn = store.begin_user_turn(ann.key).await.unwrap().unwrap();
        let learned = UserLearned {
            observed: Some(turn.work.observed),
            settled: true,
            withdraws: true,
            ..UserLearned::default()
        };
        store.end_user_turn(ann.key, learned, 9).await.unwrap();
        let turn = store.begin_group_turn(self.group.key, 9).await.unwrap();
        let turn = turn.expect("who leaves is taken out");
        assert!(turn.work.kept && !turn.work.wanted);
        assert_eq!(self.keys(&turn.work.removes), [0]);
        let learned = GroupLearned {
            existence: Some(Existence::Absent),
            absent: vec![ann.key],
            gone: Some("it is gone".into()),
            ..GroupLearned::default()
        };
        let end = store.end_group_turn(self.group.key, turn.seq, learned, 9);
        end.await.unwrap()
    }

    async fn has_no_turn(&self) {
        let turn = self.scene.store.begin_group_turn(self.group.key, 9).await;
        assert_eq!(turn.unwrap(), None);
    }
}

#[tokio::test]
async fn one_that_could_not_be_deleted_and_is_gone_all_the_same_is_deleted() {
    let it = Gone::settled().await;
    it.is_deleted().await;
    it.is_refused().await;
    let woken = it.leaver_finds_it_gone().await;
    assert!(!woken.contains(&Lane::Group(it.group.key)), "{woken:?}");
    it.has_no_turn().await;
    let counts = it.scene.store.counts(it.scene.c).await.unwrap();
    assert_eq!((counts.refused_groups, counts.pending_groups), (0, 0));
    // Nobody waits for it any more: neither who has left nor who has its name next.
    let ann = it.scene.store.begin_user_turn(it.users[0].key).await;
    assert!(ann.unwrap().unwrap().withdrawn.is_some());
    let next = it.scene.group("dev", &[]).await;
    let turn = it.scene.store.begin_group_turn(next.key, 9).await;
    assert!(turn.unwrap().is_some());
}

#[tokio::test]
async fn one_whose_deletion_is_withheld_is_not_taken_for_gone_and_asks_once() {
    let it = Gone::settled().await;
    let store = &it.scene.store;
    it.is_deleted().await;
    let begin = store.begin_recovery(it.scene.c, Why::OlderDatabase, actor());
    assert_eq!(begin.await, Ok(true));
    let woken = it.leaver_finds_it_gone().await;
    assert!(!woken.contains(&Lane::Group(it.group.key)), "{woken:?}");
    it.has_no_turn().await;
    store.end_recovery(it.scene.c, actor()).await.unwrap();
    // It may be there after all, and then she is in it.
    it.is_refused().await;
    it.says(&[], &[0]).await;
}
