//! Groups that the application knows by ids that it gives.
use super::imports::found_group;
use super::*;
use crate::{
    plan::{
        operation::Operation,
        state::{Given, GroupKey, Naming},
    },
    store::{GroupTurn, ImportMark, UNANSWERED},
};

impl Scene {
    async fn nameless(&self, name: &str) -> GroupWritten {
        let row = GroupRow {
            upstream_name: String::new(),
            ..group_row(name)
        };
        let create = self
            .store
            .create_group(self.c, fresh_id(), row, Vec::new(), false, actor());
        create.await.unwrap()
    }

    async fn turn_of(&self, key: GroupKey) -> GroupTurn {
        self.store.begin_group_turn(key, 10).await.unwrap().unwrap()
    }

    async fn learn(&self, key: GroupKey, turn: &GroupTurn, learned: GroupLearned) -> Vec<Lane> {
        let end = self.store.end_group_turn(key, turn.seq, learned, 2_000);
        end.await.unwrap()
    }

    async fn made(&self, name: &str, id: &str) -> GroupWritten {
        let group = self.nameless(name).await;
        let turn = self.turn_of(group.key).await;
        self.learn(group.key, &turn, created(name, id)).await;
        group
    }

    async fn rename(&self, group: &GroupWritten, name: &str) -> GroupWritten {
        let name = name.to_owned();
        let change = GroupChange {
            decide: Box::new(move |stored| {
                let mut row = stored.row.clone();
                row.attributes.0.insert("displayName".into(), name.into());
                Ok(Some(row))
            }),
            members: Vec::new(),
            skip_unknown: false,
            closed: None,
        };
        let (store, id) = (&self.store, group.resource.id);
        let written = store.change_group(self.c, id, always(), change, actor());
        written.await.unwrap()
    }

    async fn called(&self, group: &GroupWritten) -> String {
        let read = self
            .store
            .resource(self.c, ResourceType::Group, group.resource.id);
        let read = read.await.unwrap().unwrap();
        let attributes: Attributes = serde_json::from_str(&read.attributes).unwrap();
        attributes.text("displayName").unwrap().to_owned()
    }

    async fn follow_groups(&self, names: &[&str]) -> u64 {
        let mark: ImportMark = self.store.import_mark(i64::MAX).await.unwrap();
        let found = names.iter().map(|name| found_group(name, &[]));
        let found = found.map(|mut group| {
            group.row.upstream_name = "g9".into();
            group
        });
        let (none, mirror) = (Vec::new(), Some(Vec::new()));
        let import = self
            .store
            .import(self.c, mark, none, found.collect(), mirror, actor());
        import.await.unwrap().groups_new
    }
}

fn created(title: &str, id: &str) -> GroupLearned {
    GroupLearned {
        existence: Some(Existence::Present),
        name: Some(id.into()),
        titled: Some(title.into()),
        ..GroupLearned::default()
    }
}

fn given(turn: &GroupTurn) -> Given {
    match &turn.work.naming {
        Naming::Given(given) => given.clone(),
        Naming::Rule => panic!("named by a rule"),
    }
}

#[tokio::test]
async fn the_id_is_learned_and_until_then_it_is_known_what_to_look_for() {
    let scene = Scene::new().await;
    let group = scene.nameless("Crew").await;
    assert!(group.dirty);
    let turn = scene.turn_of(group.key).await;
    let known = given(&turn);
    assert_eq!(
        (known.made_as.as_deref(), known.known),
        (Some("Crew"), false)
    );
    // Renamed while the call is under way, and nothing is heard of the call.
    scene.rename(&group, "New Crew").await;
    scene.learn(group.key, &turn, GroupLearned::default()).await;
    let scene = scene.reopen().await;
    let turn = scene.turn_of(group.key).await;
    let known = given(&turn);
    assert_eq!(
        (known.made_as.as_deref(), known.title.as_str()),
        (Some("Crew"), "New Crew")
    );
    assert_eq!(turn.work.observed, Existence::Unknown);
    scene.learn(group.key, &turn, created("Crew", "g9")).await;
    let turn = scene.turn_of(group.key).await;
    let known = given(&turn);
    assert!(
        known.known && known.renamed,
        "and now it is to be renamed: {known:?}"
    );
    assert_eq!(
        (turn.work.name.as_str(), turn.work.observed),
        ("g9", Existence::Present)
    );
    let renamed = GroupLearned {
        titled: Some("New Crew".into()),
        ..GroupLearned::default()
    };
    scene.learn(group.key, &turn, renamed).await;
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn a_rename_is_open_over_a_restart_until_it_is_confirmed() {
    let scene = Scene::new().await;
    let group = scene.made("Crew", "g9").await;
    assert_eq!(scene.lanes().await, []);
    let before = group.seq;
    let written = scene.rename(&group, "Newer").await;
    assert!(written.dirty && written.seq > before);
    assert_eq!(scene.store.counts(scene.c).await.unwrap().pending_groups, 1);
    let scene = scene.reopen().await;
    assert_eq!(scene.lanes().await, [Lane::Group(group.key)]);
    let turn = scene.turn_of(group.key).await;
    assert_eq!(turn.work.observed, Existence::Present, "nothing is doubted");
    let call = Operation::RenameGroup {
        name: "g9".into(),
        title: "Newer".into(),
    };
    let unanswered = GroupLearned {
        title_open: true,
        calls: vec![(call, UNANSWERED.into(), 5.into())],
        ..GroupLearned::default()
    };
    scene.learn(group.key, &turn, unanswered).await;
    assert_eq!(scene.lanes().await, [Lane::Group(group.key)]);
    // It is said again in its own time, and not whenever it may have landed.
    let early = scene
        .store
        .recheck_late(scene.c, (0, 5_000), 5_000, 10)
        .await;
    assert_eq!(early.unwrap(), []);
    let turn = scene.turn_of(group.key).await;
    assert_eq!(turn.work.observed, Existence::Present);
    let done = GroupLearned {
        titled: Some("Newer".into()),
        ..GroupLearned::default()
    };
    scene.learn(group.key, &turn, done).await;
    assert_eq!(scene.lanes().await, []);
    // The call that was not answered may land yet, so it is looked what it is called.
    let looked = scene
        .store
        .recheck_late(scene.c, (100_000, i64::MIN), 100_000, 10_000)
        .await;
    assert_eq!(looked.unwrap(), [Lane::Group(group.key)]);
    let turn = scene.turn_of(group.key).await;
    assert_eq!(turn.work.observed, Existence::Unknown);
}

#[tokio::test]
async fn a_refused_rename_is_taken_back_unless_somebody_else_has_the_name() {
    let scene = Scene::new().await;
    let group = scene.made("Crew", "g9").await;
    let refused = || GroupLearned {
        title_open: true,
        group_refused: Some("no".into()),
        ..GroupLearned::default()
    };
    scene.rename(&group, "Newer").await;
    let turn = scene.turn_of(group.key).await;
    scene.learn(group.key, &turn, refused()).await;
    assert_eq!(scene.called(&group).await, "Crew");
    assert_eq!(scene.lanes().await, []);
    assert_eq!(scene.store.counts(scene.c).await.unwrap().refused_groups, 0);

    scene.rename(&group, "Newest").await;
    let turn = scene.turn_of(group.key).await;
    scene.made("Crew", "g10").await;
    scene.learn(group.key, &turn, refused()).await;
    assert_eq!(scene.called(&group).await, "Newest");
    assert_eq!(scene.store.counts(scene.c).await.unwrap().refused_groups, 1);
}

#[tokio::test]
async fn two_groups_are_never_bound_to_one_id() {
    let scene = Scene::new().await;
    let crew = scene.made("Crew", "g9").await;
    let other = scene.nameless("Other").await;
    let turn = scene.turn_of(other.key).await;
    let is = |id: &str| scene.store.is_anothers(other.key, id.to_owned());
    assert!(is("g9").await.unwrap() && !is("g10").await.unwrap());
    let open = scene.learn(other.key, &turn, created("Other", "g9")).await;
    assert_eq!(open, [Lane::Group(other.key)], "it is looked for");
    let turn = scene.turn_of(other.key).await;
    assert_eq!(turn.work.observed, Existence::Unknown);
    let looked_for = given(&turn);
    assert_eq!(
        (looked_for.made_as.as_deref(), looked_for.known),
        (Some("Other"), false)
    );
    scene.learn(other.key, &turn, created("Other", "g10")).await;
    for (key, id) in [(other.key, "g9"), (crew.key, "g10")] {
        let bound = scene.store.is_anothers(key, id.to_owned()).await;
        assert!(bound.unwrap(), "{id}");
    }
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn import_does_not_show_twice_what_is_being_made_here() {
    let scene = Scene::new().await;
    let group = scene.nameless("Crew").await;
    let turn = scene.turn_of(group.key).await;
    assert_eq!(scene.follow_groups(&["Crew"]).await, 0);
    // Under another name it cannot be told, so it is this one as soon as that is.
    assert_eq!(scene.follow_groups(&["Crew of old"]).await, 1);
    scene.learn(group.key, &turn, created("Crew", "g9")).await;
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!(counts.groups, 1);
    let names = vec!["g9".into(), "g10".into()];
    let left = scene.store.without_row(group.key, names).await.unwrap();
    assert_eq!(left, ["g10"]);
}

#[tokio::test]
async fn one_that_is_gone_there_is_made_again_under_another_id_when_it_is_asked_for() {
    let scene = Scene::new().await;
    let group = scene.made("Crew", "g9").await;
    scene.rename(&group, "Newer").await;
    let turn = scene.turn_of(group.key).await;
    let vanished = GroupLearned {
        existence: Some(Existence::Absent),
        title_open: true,
        group_refused: Some("gone".into()),
        ..GroupLearned::default()
    };
    scene.learn(group.key, &turn, vanished).await;
    assert_eq!(scene.lanes().await, [], "nobody asked for it since");
    scene.rename(&group, "Newest").await;
    let turn = scene.turn_of(group.key).await;
    let known = given(&turn);
    assert_eq!(
        (known.known, turn.work.observed),
        (false, Existence::Absent)
    );
    scene
        .learn(group.key, &turn, created("Newest", "g11"))
        .await;
    assert_eq!(scene.lanes().await, []);
}
