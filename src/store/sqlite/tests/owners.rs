//! Who manages what several connections lead to.

use super::*;
use crate::{
    plan::state::{Family, GroupKey},
    scim::error::Problem,
    store::{Elsewhere, FoundGroup, NewKey, Site, Why},
};

mod let_go;

fn site(accounts: bool) -> Option<Site> {
    Some(Site {
        name: "app 1".into(),
        accounts,
    })
}

async fn pair(accounts: bool) -> (Scene, ConnectionKey) {
    let scene = Scene::new().await;
    let other = scene.store.connection("globex").await.unwrap();
    let sites = vec![(scene.c, site(accounts)), (other, site(accounts))];
    scene.store.settle_sites(sites).await.unwrap();
    (scene, other)
}

fn group_row(name: &str) -> GroupRow {
    GroupRow {
        attributes: serde_json::from_value(json!({ "displayName": name })).unwrap(),
        upstream_name: name.into(),
    }
}

async fn make(scene: &Scene, c: ConnectionKey, name: &str) -> Result<GroupWritten, WriteError> {
    let store = &scene.store;
    store
        .create_group(c, fresh_id(), group_row(name), Vec::new(), false, actor())
        .await
}

fn is_elsewhere<T: std::fmt::Debug>(done: Result<T, WriteError>) -> bool {
    match done {
        Err(WriteError::Problem(Problem {
            status: 403,
            detail,
            ..
        })) => detail.contains("managed elsewhere in this bridge"),
        _ => false,
    }
}

async fn found(scene: &Scene, c: ConnectionKey, name: &str) -> ResourceId {
    found_in(scene, c, name, None).await
}

async fn found_in(
    scene: &Scene,
    c: ConnectionKey,
    name: &str,
    family: Option<Family>,
) -> ResourceId {
    let id = fresh_id();
    let found = FoundGroup {
        id,
        row: group_row(name),
        read_only: None,
        members: Vec::new(),
        family,
    };
    let mark = scene.store.import_mark(i64::MAX).await.unwrap();
    let import = scene
        .store
        .import(c, mark, Vec::new(), vec![found], None, actor());
    assert_eq!(import.await.unwrap().groups_new, 1);
    id
}

async fn add(scene: &Scene, c: ConnectionKey, group: ResourceId, member: &str) -> bool {
    let change = GroupChange {
        decide: Box::new(|_| Ok(None)),
        members: vec![MemberChange::Add(vec![member.to_owned()])],
        skip_unknown: false,
        closed: None,
    };
    let when = Precondition::default();
    let done = scene.store.change_group(c, group, when, change, actor());
    is_elsewhere(done.await)
}

async fn member(scene: &Scene, c: ConnectionKey, name: &str) -> String {
    let id = fresh_id();
    let row = user_row(name);
    scene.store.create_user(c, id, row, actor()).await.unwrap();
    id.to_string()
}

#[tokio::test]
async fn what_is_found_by_both_is_managed_by_the_first_that_changes_it() {
    let (scene, other) = pair(true).await;
    let here = found(&scene, scene.c, "team").await;
    let there = found(&scene, other, "team").await;
    let b = member(&scene, other, "b").await;
    let a = member(&scene, scene.c, "a").await;
    assert!(!add(&scene, other, there, &b).await);
    assert!(add(&scene, scene.c, here, &a).await);
    let list = scene.store.managed_elsewhere(scene.c, 10).await.unwrap();
    let expected = Elsewhere {
        of: ResourceType::Group,
        id: here,
        by: "globex".into(),
    };
    assert_eq!(list, [expected]);
    let none = scene.store.managed_elsewhere(other, 10).await.unwrap();
    assert_eq!(none, []);
}

#[tokio::test]
async fn an_account_is_managed_by_one_where_accounts_are_managed_at_all() {
    for accounts in [true, false] {
        let (scene, other) = pair(accounts).await;
        member(&scene, scene.c, "a").await;
        let row = user_row("a");
        let again = scene.store.create_user(other, fresh_id(), row, actor());
        assert_eq!(is_elsewhere(again.await), accounts);
    }
}

#[tokio::test]
async fn a_group_that_is_gone_and_a_connection_that_is_gone_let_go() {
    let (scene, other) = pair(true).await;
    let team = make(&scene, scene.c, "team").await.unwrap();
    make(&scene, scene.c, "more").await.unwrap();
    assert!(is_elsewhere(make(&scene, other, "team").await));
    let (id, when) = (team.resource.id, Precondition::default());
    let keep = Box::new(|_: &crate::store::StoredGroup| Ok(None));
    let gone = scene
        .store
        .delete_group(scene.c, id, when, keep, None, actor());
    gone.await.unwrap();
    make(&scene, other, "team").await.unwrap();
    assert!(is_elsewhere(make(&scene, scene.c, "team").await));
    assert!(is_elsewhere(make(&scene, other, "more").await));
    // The first connection is in the configuration no more, and a third is.
    let third = scene.store.connection("third").await.unwrap();
    let sites = vec![(other, site(true)), (third, site(true))];
    scene.store.settle_sites(sites).await.unwrap();
    make(&scene, third, "more").await.unwrap();
    assert!(is_elsewhere(make(&scene, third, "team").await));
    // Nobody shares anything any more.
    let sites = vec![(other, None), (third, None)];
    scene.store.settle_sites(sites).await.unwrap();
    make(&scene, third, "team").await.unwrap();
}

#[tokio::test]
async fn of_what_two_managed_before_the_older_keeps_it() {
    let scene = Scene::new().await;
    let other = scene.store.connection("globex").await.unwrap();
    make(&scene, other, "team").await.unwrap();
    let later = make(&scene, scene.c, "team").await.unwrap();
    let sites = vec![(scene.c, site(true)), (other, site(true))];
    scene.store.settle_sites(sites).await.unwrap();
    let a = member(&scene, scene.c, "a").await;
    assert!(add(&scene, scene.c, later.resource.id, &a).await);
}

#[tokio::test]
async fn whom_a_connection_has_put_into_a_group_it_may_take_out_whoever_manages_it_now() {
    let scene = Scene::new().await;
    let other = scene.store.connection("globex").await.unwrap();
    make(&scene, scene.c, "team").await.unwrap();
    let team = make(&scene, other, "team").await.unwrap().resource.id;
    let b = member(&scene, other, "b").await;
    assert!(!add(&scene, other, team, &b).await);
    let sites = vec![(scene.c, site(true)), (other, site(true))];
    scene.store.settle_sites(sites).await.unwrap();
    let c = member(&scene, other, "c").await;
    assert!(add(&scene, other, team, &c).await);
    let gone = change(vec![MemberChange::Remove(vec![b.clone()])]);
    let written = scene
        .store
        .change_group(other, team, always(), gone, actor())
        .await;
    assert!(written.unwrap().changed);
    assert!(add(&scene, other, team, &b).await);
}

#[tokio::test]
async fn the_end_of_a_user_spares_what_another_connection_gave() {
    let (scene, other) = pair(false).await;
    let family = |rank| {
        Some(Family {
            name: "team".into(),
            rank,
        })
    };
    let theirs = found_in(&scene, other, "team/member", family(1)).await;
    let here = found_in(&scene, scene.c, "team/viewer", family(0)).await;
    let b = member(&scene, other, "b").await;
    assert!(!add(&scene, other, theirs, &b).await);
    for asked in [false, true] {
        let who = scene.member(if asked { "asked" } else { "never" }).await;
        if asked {
            // As before the two were known to share.
            let alone = vec![(scene.c, None), (other, None)];
            scene.store.settle_sites(alone).await.unwrap();
            assert!(!add(&scene, scene.c, here, &who.resource.id.to_string()).await);
            let sites = vec![(other, site(false)), (scene.c, site(false))];
            scene.store.settle_sites(sites).await.unwrap();
        }
        let name = if asked { "asked" } else { "never" };
        scene.set_active(&who, name, false).await;
        let turn = scene.store.begin_user_turn(who.key).await.unwrap().unwrap();
        let spared: &[&str] = if asked { &[] } else { &["team/member"] };
        assert_eq!(turn.work.principal.elsewhere, spared);
    }
}

#[tokio::test]
async fn what_changes_nothing_in_the_application_claims_nothing() {
    let (scene, other) = pair(true).await;
    let here = found(&scene, scene.c, "team").await;
    let there = found(&scene, other, "team").await;
    let (a, b) = (
        member(&scene, scene.c, "a").await,
        member(&scene, other, "b").await,
    );
    let noted = GroupChange {
        decide: Box::new(|stored| {
            let mut next = stored.row.clone();
            next.attributes.0.insert("externalId".into(), "x".into());
            Ok(Some(next))
        }),
        ..change(Vec::new())
    };
    let nobody = change(vec![MemberChange::Remove(vec![b.clone()])]);
    let unknown = change(vec![MemberChange::Add(vec![fresh_id().to_string()])]);
    for nothing in [
        noted,
        nobody,
        unknown,
        change(vec![MemberChange::RemoveAll]),
    ] {
        let store = &scene.store;
        _ = store
            .change_group(other, there, always(), nothing, actor())
            .await;
    }
    assert!(!add(&scene, scene.c, here, &a).await);
    assert!(add(&scene, other, there, &b).await);
}

/// An import shows a@example.com in the group "team"; how many are new in it.
async fn shown_in_team(scene: &Scene, c: ConnectionKey) -> u64 {
    let found = FoundGroup {
        id: fresh_id(),
        row: group_row("team"),
        read_only: None,
        members: vec![(None, Some("a@example.com".into()))],
        family: None,
    };
    let store = &scene.store;
    let mark = store.import_mark(i64::MAX).await.unwrap();
    let import = store.import(c, mark, Vec::new(), vec![found], None, actor());
    import.await.unwrap().members_new
}

#[tokio::test]
async fn whoever_asks_for_who_was_found_in_a_group_manages_it() {
    let (scene, other) = pair(false).await;
    let here = found(&scene, scene.c, "team").await;
    let a = scene.member("a").await;
    scene
        .store
        .settle_sites(vec![(scene.c, None), (other, None)])
        .await
        .unwrap();
    assert_eq!(shown_in_team(&scene, scene.c).await, 1);
    scene
        .store
        .settle_sites(vec![(scene.c, site(false)), (other, site(false))])
        .await
        .unwrap();
    let there = found(&scene, other, "team").await;
    assert!(!add(&scene, scene.c, here, &a.resource.id.to_string()).await);
    let b = member(&scene, other, "b").await;
    assert!(add(&scene, other, there, &b).await);
}

#[tokio::test]
async fn who_deleted_a_group_makes_it_again_while_another_one_still_shows_it() {
    let (scene, other) = pair(true).await;
    let team = make(&scene, scene.c, "team").await.unwrap();
    scene.confirm_group(&team).await;
    let shown = found(&scene, other, "team").await;
    let (id, keep) = (
        team.resource.id,
        Box::new(|_: &crate::store::StoredGroup| Ok(None)),
    );
    let gone = scene
        .store
        .delete_group(scene.c, id, always(), keep, None, actor());
    gone.await.unwrap();
    scene.confirm_group(&team).await;
    // What it shows is not there, so nobody was ever seen in it.
    let b = member(&scene, other, "b").await;
    assert!(!add(&scene, other, shown, &b).await);
    make(&scene, scene.c, "team").await.unwrap();
    assert!(add(&scene, other, shown, &member(&scene, other, "c").await).await);
}

#[tokio::test]
async fn the_end_of_a_user_leaves_what_was_only_found_in_another_ones_group() {
    let (mut scene, other) = pair(false).await;
    let a = scene.member("a").await;
    let team = make(&scene, scene.c, "team").await.unwrap();
    assert!(
        !add(
            &scene,
            scene.c,
            team.resource.id,
            &a.resource.id.to_string()
        )
        .await
    );
    scene.confirm_group(&team).await;
    scene.c = other;
    let here = scene.member("a").await;
    let own = scene.settled_group("own", &[here.resource.id]).await;
    assert_eq!(shown_in_team(&scene, other).await, 1);
    let gone = scene
        .store
        .delete_user(other, here.resource.id, always(), actor());
    assert_eq!(gone.await.unwrap().groups, [own.key]);
}

#[tokio::test]
async fn what_a_connection_looks_after_stays_its_own_under_a_new_name() {
    let (scene, other) = pair(true).await;
    let one = make(&scene, scene.c, "1").await.unwrap();
    scene.confirm_group(&one).await;
    let two = make(&scene, scene.c, "2").await.unwrap();
    scene.confirm_group(&two).await;
    let ann = member(&scene, other, "ann").await;
    let (by_name, by_id) = ("app, by name", "app, by id");
    for c in [scene.c, other] {
        let settle = |name: &str, doubt| {
            let store = &scene.store;
            store.settle_in(c, name.to_owned(), doubt, true, actor())
        };
        settle(by_name, None).await.unwrap();
        settle(by_id, Some(Why::OtherKeys)).await.unwrap();
    }
    let learn = async |c, keys| {
        let learn = scene.store.learn_keys(c, by_id.into(), keys, actor());
        learn.await.unwrap();
        scene.store.end_recovery(c, actor()).await.unwrap();
    };
    // The other one is first.
    learn(other, Vec::new()).await;
    let ten = found(&scene, other, "10").await;
    assert!(
        add(&scene, other, ten, &ann).await,
        "it is open whose it is"
    );
    let keys = vec![
        NewKey::Group(one.key, Some("2".into())),
        NewKey::Group(two.key, Some("10".into())),
    ];
    learn(scene.c, keys).await;
    assert!(add(&scene, other, ten, &ann).await);
    let swapped = found(&scene, other, "2").await;
    assert!(add(&scene, other, swapped, &ann).await);
    let free = found(&scene, other, "1").await;
    assert!(!add(&scene, other, free, &ann).await);
}
