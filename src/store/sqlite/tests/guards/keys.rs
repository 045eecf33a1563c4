//! Keys that may be of others: nothing is handed out by them, and they are learnt
//! anew together.

use super::*;
use crate::store::{Delay, Keyed, NewKey, Pending};

#[tokio::test]
async fn nothing_is_sent_by_a_key_of_which_it_is_open_whose_it_is() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let (one, two) = (scene.group("1", &[]).await, scene.group("2", &[]).await);
    for group in [&one, &two] {
        scene.confirm_group(group).await;
    }
    let settle = |name: &str, doubt| {
        let settled = scene
            .store
            .settle_in(scene.c, name.to_owned(), doubt, true, at(5_000));
        async move { settled.await.unwrap().map(|it| it.why) }
    };
    assert_eq!(settle("app, by name", None).await, None);
    let before = scene
        .store
        .begin_recovery(scene.c, Why::OlderDatabase, at(5_000));
    assert_eq!(before.await, Ok(true));
    let doubt = Some(Why::OtherKeys);
    assert_eq!(settle("app, by id", doubt).await, doubt);
    let former = scene.store.fingerprint(scene.c).await.unwrap();
    assert_eq!(
        former.as_deref(),
        Some("app, by name"),
        "until they are learnt"
    );

    scene.change(&one, add(&[ann.resource.id])).await.unwrap();
    scene.deactivate(ann.resource.id, at(6_000)).await.unwrap();
    scene.change(&two, add(&[ann.resource.id])).await.unwrap();
    let eve = scene.user("eve").await;
    for group in [&one, &two] {
        let turn = scene.store.begin_group_turn(group.key, 100).await;
        assert_eq!(turn, Ok(None));
        assert_eq!(
            scene.store.next_takes(Lane::Group(group.key)).await,
            Ok(None)
        );
    }
    for user in [&ann, &eve] {
        assert_eq!(scene.store.begin_user_turn(user.key).await, Ok(None));
        assert_eq!(scene.store.next_takes(Lane::User(user.key)).await, Ok(None));
    }
    let pending = scene.store.pending(scene.c, None, 100).await.unwrap();
    assert!(!pending.is_empty());
    for waits in pending {
        assert!(
            matches!(waits, Pending::Delayed(_, _, Delay::Keys)),
            "{waits:?}"
        );
    }

    let keyed = scene.store.keyed(scene.c).await.unwrap();
    let names = keyed.iter().filter_map(|it| match it {
        Keyed::Group { name, there, .. } => Some((name.as_str(), *there)),
        Keyed::User { .. } => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), [("1", true), ("2", true)]);
    let keys = vec![
        NewKey::Group(one.key, Some("2".into())),
        NewKey::Group(two.key, Some("1".into())),
        NewKey::User(ann.key, Some("7".into()), Some("7".into())),
    ];
    let learn = scene
        .store
        .learn_keys(scene.c, "app, by id".into(), keys, at(7_000));
    learn.await.unwrap();
    assert_eq!(
        settle("app, by id", None).await,
        doubt,
        "nobody has confirmed it"
    );
    assert_eq!(scene.store.begin_user_turn(ann.key).await, Ok(None));
    scene.store.end_recovery(scene.c, at(8_000)).await.unwrap();
    let turn = scene.store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let principal = turn.work.principal;
    assert_eq!(
        (&*principal.account, principal.upstream_id.as_deref()),
        ("7", Some("7"))
    );
    let back = scene.change(&two, add(&[eve.resource.id])).await.unwrap();
    scene.confirm_user(eve.key).await;
    let turn = scene.store.begin_group_turn(back.key, 100).await;
    assert_eq!(turn.unwrap().unwrap().work.name, "1");
}
