//! A role that was made anew: its Group goes on as the new one.
use super::*;
use crate::store::{Successor, WentOn};

impl Roles {
    async fn go_on(&self, from: &str, to: &str) -> WentOn {
        let shown = to.to_owned();
        let as_this = Successor {
            from: from.into(),
            to: to.into(),
            family: Some(Family {
                name: "acme".into(),
                rank: 1,
            }),
            adorn: Box::new(move |it| {
                it.0.insert("role".into(), shown.into());
            }),
        };
        let (store, c) = (&self.scene.store, self.scene.c);
        store.go_on_as(c, as_this, actor()).await.unwrap()
    }

    async fn find(&self, name: &str, members: &[&str]) {
        let (store, c) = (&self.scene.store, self.scene.c);
        let found = vec![found(name, 1, members)];
        let mark = ImportMark(i64::MAX);
        let import = store.import(c, mark, Vec::new(), found, None, actor());
        import.await.unwrap();
    }

    /// The application's names of the Groups that are there.
    async fn groups(&self) -> Vec<(String, ResourceId)> {
        let groups = self.scene.store.reconcilable(self.scene.c, GroupKey(0), 9);
        let groups = groups.await.unwrap().into_iter();
        groups.map(|it| (it.name, it.id)).collect()
    }

    async fn id_of(&self, name: &str) -> ResourceId {
        let groups = self.groups().await;
        groups.into_iter().find(|it| it.0 == name).unwrap().1
    }
}

#[tokio::test]
async fn it_keeps_its_id_and_key_and_whoever_is_asked_for_in_it_is_open_under_the_new_name() {
    let (roles, users) = Roles::new(&[], &["bob"]).await;
    let (ann, bob) = (&users[0], &users[1]);
    roles.set(roles.viewer, ann, true).await;
    let turn = roles.turn(roles.viewer).await.unwrap();
    let held = crate::plan::state::Holding {
        account: "account".into(),
        id: "m1".into(),
        group: "viewer".into(),
        age: None,
        formerly: Vec::new(),
    };
    let learned = GroupLearned {
        present: vec![ann.key],
        holdings: vec![(ann.key, Some(held))],
        ..GroupLearned::default()
    };
    roles.end(&turn, learned).await;
    let id = roles.id_of("viewer").await;

    assert_eq!(roles.go_on("nothing", "viewer2").await, WentOn::Nothing);
    let lane = Lane::Group(roles.viewer);
    assert_eq!(
        roles.go_on("viewer", "viewer2").await,
        WentOn::Done(id, lane)
    );
    assert_eq!(roles.id_of("viewer2").await, id);
    let (store, c) = (&roles.scene.store, roles.scene.c);
    let shown = store.resource(c, ResourceType::Group, id).await.unwrap();
    assert!(shown.unwrap().attributes.contains("\"role\":\"viewer2\""));
    assert!(roles.is_open(roles.viewer, ann).await);
    assert!(!roles.is_open(roles.viewer, bob).await, "only found");
    let turn = roles.turn(roles.viewer).await.unwrap();
    assert_eq!(turn.work.name, "viewer2");
    let counting = roles.counts(roles.viewer, ann, true).await.unwrap();
    let holding = counting.holding.unwrap();
    assert_eq!(
        (holding.id.as_str(), holding.group.as_str()),
        ("m1", "viewer2")
    );
    assert_eq!(
        counting.told, None,
        "that it gives the new role nobody has said"
    );
    // Who is taken out of it is taken out of the new one.
    roles.confirm_pair(&turn, ann).await;
    roles.set(roles.viewer, ann, false).await;
    let turn = roles.turn(roles.viewer).await.unwrap();
    assert_eq!(turn.work.name, "viewer2");
    assert_eq!(turn.work.removes[0].user, ann.key);
    // The next import finds it by its new name, and told it is once.
    roles.find("viewer2", &["bob"]).await;
    assert_eq!(roles.groups().await.len(), 2);
    let audit = store.audit(0, 99).await.unwrap();
    let told = audit.iter().filter(|it| it.action == "group_made_anew");
    let told: Vec<_> = told.map(|it| (it.resource, it.detail.clone())).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, Some(id));
    assert!(told[0].1.to_string().contains("viewer2"), "{told:?}");
}

impl Roles {
    async fn confirm_pair(&self, turn: &GroupTurn, user: &UserWritten) {
        let learned = GroupLearned {
            present: vec![user.key],
            ..GroupLearned::default()
        };
        self.end(turn, learned).await;
    }
}

/// What was sent by the name of the one before says nothing of the new one.
#[tokio::test]
async fn an_answer_from_before_it_is_not_believed() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let ann = &users[0];
    roles.set(roles.viewer, ann, true).await;
    roles.confirm(roles.viewer).await;
    roles.set(roles.viewer, ann, false).await;
    let turn = roles.turn(roles.viewer).await.unwrap();
    roles.go_on("viewer", "viewer2").await;
    let learned = GroupLearned {
        absent: vec![ann.key],
        ..GroupLearned::default()
    };
    roles.end(&turn, learned).await;
    let turn = roles.turn(roles.viewer).await.expect("it is not done");
    assert_eq!(turn.work.removes[0].user, ann.key);
}

#[tokio::test]
async fn one_that_was_only_found_ends_for_it_and_leaves_it_its_members() {
    let (roles, users) = Roles::new(&[], &["bob"]).await;
    let (ann, bob) = (&users[0], &users[1]);
    roles.find("viewer2", &["ann", "bob"]).await;
    let id = roles.id_of("viewer").await;
    assert!(matches!(roles.go_on("viewer", "viewer2").await, WentOn::Done(is, _) if is == id));
    assert_eq!(roles.groups().await.len(), 2);
    assert_eq!(roles.id_of("viewer2").await, id);
    let pairs = roles.scene.store.pairs(roles.viewer).await.unwrap();
    let mut members: Vec<_> = pairs.iter().map(|it| it.principal.user).collect();
    members.sort_by_key(|it| it.0);
    assert_eq!(members, [ann.key, bob.key]);
    // Whoever is deleted leaves it, as what was found is known.
    roles.find("viewer2", &["ann", "bob"]).await;
    assert_eq!(roles.groups().await.len(), 2);
}

#[tokio::test]
async fn one_in_which_somebody_was_asked_for_stays_beside_it() {
    let (roles, users) = Roles::new(&[], &["bob"]).await;
    roles.find("viewer2", &[]).await;
    let before = roles.groups().await;
    let groups = roles
        .scene
        .store
        .reconcilable(roles.scene.c, GroupKey(0), 9);
    let groups = groups.await.unwrap();
    let new = groups.iter().find(|it| it.name == "viewer2").unwrap().group;
    roles.set(new, &users[0], true).await;
    let WentOn::Stays(why) = roles.go_on("viewer", "viewer2").await else {
        panic!("two were made one")
    };
    assert!(why.contains("was asked for here"), "{why}");
    assert_eq!(roles.groups().await, before);
    // Nobody any more.
    roles.confirm(new).await;
    roles.set(new, &users[0], false).await;
    roles.confirm(new).await;
    assert!(matches!(
        roles.go_on("viewer", "viewer2").await,
        WentOn::Done(..)
    ));
}
