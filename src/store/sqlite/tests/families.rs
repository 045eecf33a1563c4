//! Families: what a pair comes to, what must not be forgotten of one, and users
//! whose account has to appear first.
use super::*;
use crate::{
    plan::{
        operation::Operation,
        state::{Family, GroupKey, Principal},
    },
    store::{Counting, FoundGroup, GroupTurn, ImportMark, Pending, Standing, Start, UNANSWERED},
};

mod giving;
mod higher;
mod holdings;
mod refused;
mod remade;

const HOUR: i64 = 3_600_000;

fn found(name: &str, rank: u32, members: &[&str]) -> FoundGroup {
    let member = |name: &&str| (None, Some(format!("{name}@example.com")));
    FoundGroup {
        id: fresh_id(),
        row: group_row(name),
        read_only: None,
        family: Some(Family {
            name: "acme".into(),
            rank,
        }),
        members: members.iter().map(member).collect(),
    }
}

struct Roles {
    scene: Scene,
    admin: GroupKey,
    viewer: GroupKey,
}

impl Roles {
    /// Two roles, of which some users have one already.
    async fn new(admins: &[&str], viewers: &[&str]) -> (Self, Vec<UserWritten>) {
        let scene = Scene::new().await;
        let mut users = Vec::new();
        for name in ["ann", "bob"] {
            users.push(scene.member(name).await);
        }
        let found = vec![found("admin", 0, admins), found("viewer", 1, viewers)];
        let mark = ImportMark(i64::MAX);
        let import = scene
            .store
            .import(scene.c, mark, Vec::new(), found, None, actor());
        import.await.unwrap();
        let groups = scene.store.reconcilable(scene.c, GroupKey(0), 9).await;
        let groups = groups.unwrap();
        let roles = Self {
            scene,
            admin: groups[0].group,
            viewer: groups[1].group,
        };
        (roles, users)
    }

    async fn set(&self, group: GroupKey, user: &UserWritten, on: bool) -> GroupWritten {
        let groups = self.scene.store.reconcilable(self.scene.c, GroupKey(0), 9);
        let groups = groups.await.unwrap();
        let id = groups.iter().find(|it| it.group == group).unwrap().id;
        let user = [user.resource.id];
        let change = if on { add(&user) } else { remove(&user) };
        let (store, c) = (&self.scene.store, self.scene.c);
        let change = store.change_group(c, id, always(), change, actor());
        change.await.unwrap()
    }

    async fn counts(&self, group: GroupKey, user: &UserWritten, wanted: bool) -> Option<Counting> {
        let counting = self.scene.store.counting(group, user.key, wanted);
        counting.await.unwrap()
    }

    /// What counts, and what would without anything higher.
    async fn names(&self, group: GroupKey, user: &UserWritten, wanted: bool) -> [String; 2] {
        let counting = self.counts(group, user, wanted).await.unwrap();
        [counting.counts, counting.at_most].map(|it| it.map_or_else(String::new, |it| it.name))
    }

    async fn turn(&self, group: GroupKey) -> Option<GroupTurn> {
        self.scene.store.begin_group_turn(group, 9).await.unwrap()
    }

    async fn end(&self, turn: &GroupTurn, learned: GroupLearned) {
        let (key, seq) = (turn.work.group, turn.seq);
        let end = self.scene.store.end_group_turn(key, seq, learned, 3_000);
        end.await.unwrap();
    }

    /// Sends what is to be added, and hears nothing.
    async fn add_unheard(&self, group: GroupKey) {
        let turn = self.turn(group).await.expect("the lane has work");
        let add = Operation::AddMembers {
            group: turn.work.name.clone(),
            members: turn.work.adds.clone(),
        };
        let unheard = GroupLearned {
            calls: vec![(add, UNANSWERED.into(), 1.into())],
            ..GroupLearned::default()
        };
        self.end(&turn, unheard).await;
    }

    async fn confirm(&self, group: GroupKey) {
        let turn = self.turn(group).await.expect("the lane has work");
        let keys = |of: &[Principal]| of.iter().map(|it| it.user).collect();
        let learned = GroupLearned {
            present: keys(&turn.work.adds),
            absent: keys(&turn.work.removes),
            ..GroupLearned::default()
        };
        self.end(&turn, learned).await;
    }

    async fn is_open(&self, group: GroupKey, user: &UserWritten) -> bool {
        let open = self.scene.store.open_pairs(group, vec![user.key]);
        !open.await.unwrap().is_empty()
    }
}

#[tokio::test]
async fn the_first_group_that_is_asked_for_counts_whichever_pair_it_is_about() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, viewer, admin) = (&users[0], roles.viewer, roles.admin);
    roles.set(viewer, ann, true).await;
    assert_eq!(roles.names(viewer, ann, true).await, ["viewer", "viewer"]);
    roles.set(admin, ann, true).await;
    assert_eq!(roles.names(viewer, ann, true).await, ["admin", "viewer"]);
    assert_eq!(roles.names(admin, ann, true).await, ["admin", "admin"]);
    roles.confirm(admin).await;
    roles.confirm(viewer).await;
    roles.set(admin, ann, false).await;
    assert_eq!(roles.counts(admin, ann, true).await, None, "not wanted now");
    assert_eq!(roles.names(admin, ann, false).await, ["viewer", "viewer"]);
    roles.set(viewer, ann, false).await;
    assert_eq!(roles.names(admin, ann, false).await, ["", ""]);
    let turn = roles.turn(admin).await.unwrap();
    let family = turn.family.expect("a family");
    assert_eq!((family.name.as_str(), family.rank), ("acme", 0));
    assert!(turn.work.full.is_none());
}

#[tokio::test]
async fn who_was_only_found_higher_is_not_raised_to_it_and_who_was_found_lower_falls_back() {
    let (roles, users) = Roles::new(&["ann"], &["bob"]).await;
    let (ann, bob) = (&users[0], &users[1]);
    roles.set(roles.viewer, ann, true).await;
    let names = roles.names(roles.viewer, ann, true).await;
    assert_eq!(names, ["viewer", "viewer"], "it may be out of date");
    roles.set(roles.admin, bob, true).await;
    roles.confirm(roles.admin).await;
    roles.set(roles.admin, bob, false).await;
    let names = roles.names(roles.admin, bob, false).await;
    assert_eq!(names, ["viewer", "viewer"], "that it was before");
}

#[tokio::test]
async fn nothing_is_given_to_an_inactive_user_and_nothing_kept() {
    let (roles, users) = Roles::new(&[], &["ann"]).await;
    let (ann, id) = (&users[0], users[0].resource.id);
    roles.set(roles.admin, ann, true).await;
    let mut row = user_row("ann");
    row.account.active = false;
    let decide = Box::new(|_: &_| Ok(Some(row)));
    let (store, c) = (&roles.scene.store, roles.scene.c);
    let change = store.change_user(c, id, always(), decide, actor());
    change.await.unwrap();
    assert_eq!(roles.counts(roles.admin, ann, true).await, None);
    roles.set(roles.viewer, ann, false).await;
    assert_eq!(roles.names(roles.viewer, ann, false).await, ["", ""]);
}

#[tokio::test]
async fn a_pair_of_which_nothing_was_sent_is_taken_away_and_not_forgotten() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, admin) = (&users[0], roles.admin);
    roles.set(admin, ann, true).await;
    let written = roles.set(admin, ann, false).await;
    assert_eq!(written.touched, [ann.key]);
    let turn = roles.turn(admin).await.unwrap();
    assert_eq!(turn.work.removes[0].user, ann.key);
    // Also when a turn that had it did not send it.
    roles.set(admin, ann, true).await;
    let unsent = GroupLearned {
        unsent: vec![ann.key],
        ..GroupLearned::default()
    };
    roles.end(&turn, unsent.clone()).await;
    let turn = roles.turn(admin).await.unwrap();
    assert_eq!(turn.work.adds.len(), 1);
    roles.set(admin, ann, false).await;
    roles.end(&turn, unsent).await;
    assert!(roles.is_open(admin, ann).await);
    roles.confirm(admin).await;
    assert!(!roles.is_open(admin, ann).await);
    let late = roles.scene.user("late").await;
    roles.set(admin, &late, true).await;
    roles.set(admin, &late, false).await;
    assert!(!roles.is_open(admin, &late).await, "it has no account");
}

#[tokio::test]
async fn a_late_call_may_have_changed_all_that_the_user_has_of_the_family() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
    roles.set(roles.viewer, ann, true).await;
    roles.add_unheard(roles.viewer).await;
    roles.set(roles.admin, ann, true).await;
    roles.confirm(roles.viewer).await;
    roles.confirm(roles.admin).await;
    for look in 1..=2 {
        // 3,000 is when it was sent; the first look is not the last.
        let before = if look == 1 { 3_500 } else { 13_500 };
        let lanes = store
            .recheck_late(c, (before, i64::MIN), HOUR, 10_000)
            .await
            .unwrap();
        assert_eq!(lanes.len(), 2, "look {look}: {lanes:?}");
        let turn = roles.turn(roles.viewer).await.unwrap();
        assert_eq!(turn.work.adds.len(), 1);
        roles.confirm(roles.admin).await;
        let there = GroupLearned {
            present: vec![ann.key],
            ..GroupLearned::default()
        };
        roles.end(&turn, there).await;
        assert_eq!(roles.scene.lanes().await, []);
    }
    let more = store
        .recheck_late(c, (HOUR, i64::MIN), HOUR, 10_000)
        .await
        .unwrap();
    assert_eq!(more, []);
}

#[tokio::test]
async fn what_may_have_landed_late_is_not_taken_for_a_member_that_was_there() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
    roles.set(roles.admin, ann, true).await;
    roles.add_unheard(roles.admin).await;
    roles.set(roles.admin, ann, false).await;
    roles.confirm(roles.admin).await;
    let import = async |shown: &[&str]| {
        let found = vec![found("admin", 0, shown), found("viewer", 1, &[])];
        let mark = store.import_mark(i64::MAX).await.unwrap();
        let import = store.import(c, mark, Vec::new(), found, None, actor());
        let seen = import.await.unwrap();
        (seen.members_new, seen.returned.memberships)
    };
    assert_eq!(import(&["ann", "bob"]).await, (1, 0), "bob alone");
    for before in [3_500, HOUR] {
        store
            .recheck_late(c, (before, i64::MIN), HOUR, 10_000)
            .await
            .unwrap();
        assert!(roles.is_open(roles.admin, ann).await);
        assert!(!roles.is_open(roles.viewer, ann).await, "no call gave that");
        roles.confirm(roles.admin).await;
    }
    let back = import(&["ann", "bob"]).await;
    assert_eq!(back, (0, 1), "now it is there though it was taken away");
}

#[tokio::test]
async fn a_clear_refusal_leaves_nothing_in_doubt() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
    for is_sent in [true, false] {
        roles.set(roles.viewer, ann, true).await;
        let turn = roles.turn(roles.viewer).await.unwrap();
        let add = Operation::AddMembers {
            group: turn.work.name.clone(),
            members: turn.work.adds.clone(),
        };
        let call = is_sent.then(|| (add, "rejected".to_owned(), 1.into()));
        let refused = GroupLearned {
            refused: vec![(ann.key, "no".into())],
            calls: call.into_iter().collect(),
            ..GroupLearned::default()
        };
        roles.end(&turn, refused).await;
        assert_eq!(store.counts(c).await.unwrap().unsettled.memberships, 0);
        let lanes = store.recheck_late(c, (HOUR, i64::MIN), HOUR, 10_000).await;
        assert_eq!(lanes.unwrap(), [], "{is_sent}");
        assert!(!roles.is_open(roles.viewer, ann).await);
    }
}

#[tokio::test]
async fn what_no_call_can_have_given_is_not_taken_away_and_shown_by_an_import() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
    roles.set(roles.viewer, ann, true).await;
    roles.add_unheard(roles.viewer).await;
    roles.set(roles.viewer, ann, false).await;
    roles.confirm(roles.viewer).await;
    let found = vec![found("admin", 0, &["ann"]), found("viewer", 1, &[])];
    let mark = store.import_mark(i64::MAX).await.unwrap();
    let import = store.import(c, mark, Vec::new(), found, None, actor());
    assert_eq!(import.await.unwrap().members_new, 1);
    for before in [3_500, HOUR] {
        let lanes = store.recheck_late(c, (before, i64::MIN), HOUR, 10_000);
        assert_eq!(lanes.await.unwrap(), [Lane::Group(roles.viewer)]);
        assert!(!roles.is_open(roles.admin, ann).await);
        roles.confirm(roles.viewer).await;
    }
}

#[tokio::test]
async fn what_lands_late_on_who_has_left_is_the_accounts_end_again() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
    roles.set(roles.viewer, ann, true).await;
    roles.add_unheard(roles.viewer).await;
    let delete = store.delete_user(c, ann.resource.id, always(), actor());
    delete.await.unwrap();
    roles.scene.confirm_user(ann.key).await;
    let lanes = store
        .recheck_late(c, (3_500, i64::MIN), HOUR, 10_000)
        .await
        .unwrap();
    assert_eq!(lanes, [Lane::User(ann.key)]);
    let turn = store.begin_user_turn(ann.key).await.unwrap().unwrap();
    assert!(turn.unsure && !turn.work.wanted.active);
}

#[tokio::test]
async fn what_was_doubted_again_during_a_turn_stays_open_whatever_the_turn_learned() {
    let (roles, users) = Roles::new(&[], &["ann"]).await;
    let (ann, bob) = (&users[0], &users[1]);
    let (store, c) = (&roles.scene.store, roles.scene.c);
    roles.set(roles.viewer, bob, true).await;
    roles.add_unheard(roles.viewer).await;
    roles.set(roles.viewer, ann, false).await;
    let turn = roles.turn(roles.viewer).await.unwrap();
    assert_eq!((turn.work.adds.len(), turn.work.removes.len()), (1, 1));
    store
        .recheck_late(c, (3_500, i64::MIN), HOUR, 10_000)
        .await
        .unwrap();
    let learned = GroupLearned {
        present: vec![bob.key],
        absent: vec![ann.key],
        ..GroupLearned::default()
    };
    roles.end(&turn, learned).await;
    assert!(roles.is_open(roles.viewer, bob).await);
    assert!(!roles.is_open(roles.viewer, ann).await);
}

#[tokio::test]
async fn another_order_of_a_family_is_another_question_for_its_pairs() {
    let (roles, users) = Roles::new(&["ann"], &[]).await;
    roles.set(roles.viewer, &users[0], true).await;
    roles.confirm(roles.viewer).await;
    let other = vec![found("viewer", 0, &[]), found("admin", 1, &[])];
    let (store, c) = (&roles.scene.store, roles.scene.c);
    let import = store.import(c, ImportMark(0), Vec::new(), other, None, actor());
    import.await.unwrap();
    assert!(roles.is_open(roles.viewer, &users[0]).await);
    assert!(!roles.is_open(roles.admin, &users[0]).await, "only found");
}

#[tokio::test]
async fn so_it_is_of_a_group_that_keeps_its_place_while_others_pass_it() {
    let (roles, users) = Roles::new(&["ann"], &[]).await;
    roles.set(roles.viewer, &users[0], true).await;
    roles.confirm(roles.viewer).await;
    let passed = || {
        let first = found("member", 0, &[]);
        vec![found("viewer", 1, &[]), found("admin", 2, &["ann"]), first]
    };
    let (store, c) = (&roles.scene.store, roles.scene.c);
    let import = store.import(c, ImportMark(0), Vec::new(), passed(), None, actor());
    import.await.unwrap();
    assert!(roles.is_open(roles.viewer, &users[0]).await);
    roles.confirm(roles.viewer).await;
    let import = store.import(c, ImportMark(0), Vec::new(), passed(), None, actor());
    import.await.unwrap();
    assert!(!roles.is_open(roles.viewer, &users[0]).await, "once");
}

#[tokio::test]
async fn a_staged_user_waits_until_its_account_appears_or_it_is_written() {
    let (roles, _) = Roles::new(&[], &[]).await;
    let (scene, store, c) = (&roles.scene, &roles.scene.store, roles.scene.c);
    let eve = scene.user("eve").await;
    let stage = async || {
        let turn = store.begin_user_turn(eve.key).await.unwrap().unwrap();
        let learned = UserLearned {
            observed: Some(turn.work.observed),
            settled: true,
            staged: true,
            ..UserLearned::default()
        };
        store.end_user_turn(eve.key, learned, 1).await.unwrap();
    };
    stage().await;
    assert_eq!(scene.lanes().await, []);
    let counts = store.counts(c).await.unwrap();
    assert_eq!((counts.staged_users, counts.pending_users), (1, 0));
    let written = roles.set(roles.admin, &eve, true).await;
    assert!(written.staged && written.touched.is_empty());
    assert!(roles.turn(roles.admin).await.is_none());
    let pending = store.pending(c, None, 9).await.unwrap();
    assert_eq!(pending[0], Pending::Staged(eve.resource.id));
    let staged = store.staged_among(vec![eve.key]).await.unwrap();
    assert_eq!(staged, [eve.key]);

    let other = vec!["bob@example.com".to_owned()];
    assert_eq!(store.unstage(c, other, actor()).await.unwrap(), []);
    let shown = vec!["eve@example.com".to_owned()];
    let lanes = store.unstage(c, shown, actor()).await.unwrap();
    assert_eq!(lanes, [Lane::User(eve.key)]);
    stage().await;
    let decide = Box::new(|_: &_| Ok(None));
    let again = store.change_user(c, eve.resource.id, always(), decide, actor());
    assert!(again.await.unwrap().dirty);
    scene.confirm_user(eve.key).await;
    assert_eq!(store.staged(c).await.unwrap(), 0);
    assert!(roles.turn(roles.admin).await.is_some());
}

#[tokio::test]
async fn before_the_application_was_seen_a_role_is_taken_from_nobody_but_who_leaves() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, admin, store, c) = (&users[0], roles.admin, &roles.scene.store, roles.scene.c);
    roles.set(admin, ann, true).await;
    roles.confirm(admin).await;
    let start = || store.settle_in(c, "one".to_owned(), None, true, actor());
    assert_eq!(start().await, Ok(None));
    roles.set(admin, ann, false).await;
    assert_eq!(roles.turn(admin).await, None);
    assert_eq!(roles.counts(admin, ann, false).await, None);
    let left = roles.scene.deactivate(ann.resource.id, actor()).await;
    left.unwrap();
    assert!(roles.counts(admin, ann, false).await.is_some());
    assert_eq!(roles.turn(admin).await.unwrap().work.removes.len(), 1);
}

#[tokio::test]
async fn what_is_found_of_somebody_who_is_asked_for_otherwise_is_no_wish() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let [ann, bob] = &users[..] else { panic!() };
    roles.set(roles.admin, ann, true).await;
    roles.confirm(roles.admin).await;
    // Lowered by hand; and somebody of whom nobody said anything.
    let shown = vec![found("admin", 0, &[]), found("viewer", 1, &["ann", "bob"])];
    let (store, c) = (&roles.scene.store, roles.scene.c);
    let mark = ImportMark(i64::MAX);
    let import = store.import(c, mark, Vec::new(), shown, None, actor());
    assert_eq!(import.await.unwrap().members_new, 1);
    let pairs = store.pairs(roles.viewer).await.unwrap();
    let members: Vec<_> = pairs.iter().map(|pair| pair.principal.user).collect();
    assert_eq!(members, [bob.key]);
    // So nothing is left to fall back to.
    roles.set(roles.admin, ann, false).await;
    assert_eq!(
        roles.counts(roles.admin, ann, false).await,
        Some(Counting::default())
    );
}

#[tokio::test]
async fn groups_of_two_families_that_are_called_the_same_are_shown_apart() {
    let (roles, _) = Roles::new(&[], &[]).await;
    let mut other = found("viewer", 0, &["bob"]);
    other.row.upstream_name = "labs/viewer".into();
    let (store, c) = (&roles.scene.store, roles.scene.c);
    let mark = ImportMark(i64::MAX);
    let import = store.import(c, mark, Vec::new(), vec![other], None, actor());
    let seen = import.await.unwrap();
    assert_eq!((seen.groups_new, seen.members_new, seen.unshown), (1, 1, 0));
    let select = lists::plain(ResourceType::Group, "", Start::Offset(0), 9);
    let names = lists::names(&store.list(c, select).await.unwrap());
    assert_eq!(names, ["admin", "viewer", "viewer (labs/viewer)"]);
}

fn standing(name: &str, rank: Option<u32>) -> Standing {
    Standing {
        name: name.into(),
        offered: rank.is_some(),
        family: rank.map(|rank| Family {
            name: "acme".into(),
            rank,
        }),
    }
}

#[tokio::test]
async fn whoever_is_asked_for_in_a_group_that_is_offered_again_is_open_and_who_was_found_is_not() {
    let (roles, users) = Roles::new(&[], &["bob"]).await;
    let (ann, bob) = (&users[0], &users[1]);
    let (store, c) = (&roles.scene.store, roles.scene.c);
    for group in [roles.viewer, roles.admin] {
        roles.set(group, ann, true).await;
        roles.confirm(group).await;
    }
    let all = || vec![standing("viewer", Some(0)), standing("admin", Some(1))];
    assert_eq!(store.note_offered(c, all()).await.unwrap(), 0);
    assert!(!roles.is_open(roles.viewer, ann).await);
    // The other one has the first place meanwhile.
    let left = vec![standing("viewer", None), standing("admin", Some(0))];
    assert_eq!(store.note_offered(c, left).await.unwrap(), 0);
    assert!(!roles.is_open(roles.viewer, ann).await, "it is left out");

    assert_eq!(store.note_offered(c, all()).await.unwrap(), 1);
    assert!(roles.is_open(roles.viewer, ann).await);
    assert!(!roles.is_open(roles.viewer, bob).await, "only found");
    let names = roles.names(roles.admin, ann, true).await;
    assert_eq!(names, ["viewer", "admin"], "in the order of now");
    roles.confirm(roles.viewer).await;
    assert_eq!(store.note_offered(c, all()).await.unwrap(), 0);
    assert!(!roles.is_open(roles.viewer, ann).await, "once");
}

#[tokio::test]
async fn who_leaves_is_to_leave_every_family_that_shows_them() {
    let (roles, users) = Roles::new(&[], &["bob"]).await;
    let (ann, bob) = (&users[0], &users[1]);
    let (store, c) = (&roles.scene.store, roles.scene.c);
    roles.set(roles.admin, ann, true).await;
    roles.confirm(roles.admin).await;
    for (user, name) in [(ann, "ann"), (bob, "bob")] {
        roles.scene.set_active(user, name, false).await;
    }
    let families = async |user: &UserWritten| {
        let turn = store.begin_user_turn(user.key).await.unwrap().unwrap();
        turn.work.principal.families
    };
    assert_eq!(families(ann).await, ["acme"]);
    let left = vec![standing("viewer", None), standing("admin", Some(0))];
    store.note_offered(c, left).await.unwrap();
    assert_eq!(families(bob).await, ["acme"], "was only found");
    let none = vec![standing("viewer", None), standing("admin", None)];
    store.note_offered(c, none).await.unwrap();
    assert_eq!(families(ann).await, ["acme"]);
}
