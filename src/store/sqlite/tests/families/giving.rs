//! What a call about one pair gives of another group: it is known though that one is
//! refused meanwhile, or the process dies.
use super::*;

impl Roles {
    /// A call about a pair of a group, handed out by now, is about to give another.
    async fn gives(&self, group: GroupKey, user: &UserWritten, other: &str) -> bool {
        let giving = self
            .scene
            .store
            .note_giving(group, user.key, other.to_owned());
        giving.await.unwrap()
    }

    pub(super) async fn refuse(&self, turn: &GroupTurn) {
        let refused = GroupLearned {
            refused: vec![(turn.work.adds[0].user, "no".into())],
            ..GroupLearned::default()
        };
        self.end(turn, refused).await;
    }

    /// The call about the only pair of a turn, which gave another group.
    async fn gave(&self, turn: &GroupTurn, other: &str, word: &str) {
        let mut member = turn.work.adds[0].clone();
        let user = member.user;
        member.counts = Some(other.to_owned());
        let add = Operation::AddMembers {
            group: turn.work.name.clone(),
            members: vec![member],
        };
        let is_done = word != UNANSWERED;
        let learned = GroupLearned {
            present: is_done.then_some(user).into_iter().collect(),
            calls: vec![(add, word.into(), 1.into())],
            ..GroupLearned::default()
        };
        self.end(turn, learned).await;
    }

    async fn both_asked(&self, user: &UserWritten) -> [GroupTurn; 2] {
        self.set(self.viewer, user, true).await;
        self.set(self.admin, user, true).await;
        [
            self.turn(self.viewer).await.unwrap(),
            self.turn(self.admin).await.unwrap(),
        ]
    }
}

#[tokio::test]
async fn who_is_refused_what_the_call_about_another_pair_gave_is_taken_out_at_once() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let [ann, bob] = &users[..] else { panic!() };
    for (user, is_answered) in [(ann, true), (bob, false)] {
        let [viewer, admin] = roles.both_asked(user).await;
        assert!(roles.gives(roles.viewer, user, "admin").await);
        if is_answered {
            roles.gave(&viewer, "admin", "done").await;
        }
        roles.refuse(&admin).await;
        assert!(roles.is_open(roles.admin, user).await, "{is_answered}");
        if !is_answered {
            roles.gave(&viewer, "admin", "done").await;
        }
        let turn = roles.turn(roles.admin).await.unwrap();
        assert_eq!(turn.work.removes[0].user, user.key);
        assert_eq!(
            roles.names(roles.admin, user, false).await,
            ["viewer", "viewer"]
        );
        let absent = GroupLearned {
            absent: vec![user.key],
            ..GroupLearned::default()
        };
        roles.end(&turn, absent).await;
        assert!(!roles.is_open(roles.admin, user).await);
        assert!(!roles.gives(roles.viewer, user, "admin").await, "nobody's");
    }
}

#[tokio::test]
async fn what_is_in_doubt_is_what_the_call_gives_and_not_what_it_was_about() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
    let [viewer, admin] = roles.both_asked(ann).await;
    roles.gives(roles.viewer, ann, "admin").await;
    roles.gave(&viewer, "admin", UNANSWERED).await;
    roles.refuse(&admin).await;
    roles.set(roles.viewer, ann, false).await;
    roles.confirm(roles.viewer).await;
    let lanes = store.recheck_late(c, (3_500, i64::MIN), HOUR, 10_000);
    assert_eq!(lanes.await.unwrap(), [Lane::Group(roles.admin)]);
    assert!(roles.is_open(roles.admin, ann).await);
    assert!(!roles.is_open(roles.viewer, ann).await);
}

#[tokio::test]
async fn what_a_call_gave_whose_process_died_is_in_doubt_though_its_own_end_is_done() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
    let [_, admin] = roles.both_asked(ann).await;
    roles.gives(roles.viewer, ann, "admin").await;
    roles.set(roles.admin, ann, false).await;
    roles.end(&admin, GroupLearned::default()).await;
    roles.confirm(roles.admin).await;
    assert!(!roles.is_open(roles.admin, ann).await);
    store.note_interrupted(c, 3_000).await.unwrap();
    let lanes = store.recheck_late(c, (3_500, i64::MIN), HOUR, 10_000);
    assert!(lanes.await.unwrap().contains(&Lane::Group(roles.admin)));
    assert!(roles.is_open(roles.admin, ann).await);
}

#[tokio::test]
async fn a_call_whose_process_died_may_have_given_what_it_was_to_give_and_nothing_else() {
    // What was said of the call, and whether it may have given the pair's own group.
    for (said, gives_own) in [
        (&["admin"][..], false),
        // That one was refused, so the own one was sent.
        (&["admin", "viewer"], true),
        (&[], true),
    ] {
        let (roles, users) = Roles::new(&[], &[]).await;
        let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
        roles.both_asked(ann).await;
        for other in said {
            assert!(roles.gives(roles.viewer, ann, other).await);
        }
        store.note_interrupted(c, 3_000).await.unwrap();
        roles.set(roles.viewer, ann, false).await;
        roles.confirm(roles.viewer).await;
        let lanes = store.recheck_late(c, (3_500, i64::MIN), HOUR, 10_000);
        lanes.await.unwrap();
        assert_eq!(
            roles.is_open(roles.viewer, ann).await,
            gives_own,
            "{said:?}"
        );
        assert!(roles.is_open(roles.admin, ann).await);
    }
}

#[tokio::test]
async fn what_an_answered_call_gave_says_nothing_of_a_later_one_whose_process_died() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, store, c) = (&users[0], &roles.scene.store, roles.scene.c);
    let [viewer, _] = roles.both_asked(ann).await;
    assert!(roles.gives(roles.viewer, ann, "admin").await);
    // What is given stays known, as the pair of that group is handed out.
    roles.gave(&viewer, "admin", "done").await;
    roles.set(roles.viewer, ann, false).await;
    roles.confirm(roles.viewer).await;
    roles.set(roles.viewer, ann, true).await;
    roles.turn(roles.viewer).await.unwrap();
    store.note_interrupted(c, 3_000).await.unwrap();
    roles.set(roles.viewer, ann, false).await;
    roles.confirm(roles.viewer).await;
    let lanes = store.recheck_late(c, (3_500, i64::MIN), HOUR, 10_000);
    lanes.await.unwrap();
    assert!(roles.is_open(roles.viewer, ann).await);
}
