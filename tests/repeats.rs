//! The same request many times at once, and again hours later: one resource,
//! one effect upstream, and what is asked for last counts, whoever asked it
//! before (reliability: F-28, F-29, I-09, I-10).

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    audit::{events, of_class},
    support::{World, address, group, user, values},
};

const MANY: usize = 100;

fn member(op: &str, id: &String) -> Value {
    json!([{ "op": op, "path": "members", "value": values(std::slice::from_ref(id)) }])
}

/// How often each status was answered to the same request, sent many times at once.
async fn at_once(
    world: &World,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> BTreeMap<u16, usize> {
    let one = || world.send(method, path, body.clone());
    let mut seen = BTreeMap::new();
    for answer in join_all((0..MANY).map(|_| one())).await {
        *seen.entry(answer.status.as_u16()).or_default() += 1;
        if answer.status == 409 {
            assert_eq!(answer.body["scimType"], "uniqueness", "{answer:?}");
        }
    }
    seen
}

fn named(calls: &[Value], method: &str, end: &str) -> usize {
    let fits = |call: &&Value| {
        call["method"] == method
            && call["path"]
                .as_str()
                .unwrap()
                .trim_end_matches('/')
                .ends_with(end)
    };
    calls.iter().filter(fits).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_same_creations_make_one_user_and_one_group() {
    let world = World::start().await;
    let first = BTreeMap::from([(201, 1), (409, MANY - 1)]);
    for (path, body) in [
        ("/Users", user("ann")),
        ("/Groups", group("Developers", &[])),
    ] {
        let (seen, calls) = world
            .calls_of(at_once(&world, "POST", path, Some(body)))
            .await;
        assert_eq!(seen, first, "{path}");
        let writes = calls.iter().filter(|call| call["method"] != "GET");
        assert_eq!(writes.count(), 1, "{calls:#?}");
        assert_eq!(world.get(path).await.expect(200).body["totalResults"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_same_changes_are_one_effect_and_at_most_one_call() {
    let world = World::start().await;
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users[..1]).await;
    let path = format!("/Groups/{id}");
    let operations = |op: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": member(op, &users[1]),
        })
    };
    let both = [address("u0"), address("u1")].into();
    for (method, body, end, members) in [
        ("PATCH", operations("add"), ("POST", "/members"), &both),
        (
            "PATCH",
            operations("remove"),
            ("DELETE", "/members"),
            &[address("u0")].into(),
        ),
        (
            "PUT",
            group("Developers", &users),
            ("POST", "/members"),
            &both,
        ),
    ] {
        let before = world.get(&path).await.version().unwrap();
        let (seen, calls) = world
            .calls_of(at_once(&world, method, &path, Some(body)))
            .await;
        let good: usize = seen
            .iter()
            .filter(|(status, _)| **status < 300)
            .map(|it| it.1)
            .sum();
        assert_eq!(good, MANY, "{method}: {seen:?}");
        assert_eq!(world.get(&path).await.version(), Some(before + 1));
        assert_eq!(calls.len(), named(&calls, end.0, end.1), "{calls:#?}");
        assert_eq!(calls.len(), 1, "{calls:#?}");
        world.until_upstream_has("developers", members).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_same_deletions_delete_once() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let id = world.group("Developers", std::slice::from_ref(&ann)).await;
    for path in [format!("/Groups/{id}"), format!("/Users/{ann}")] {
        let (seen, calls) = world.calls_of(at_once(&world, "DELETE", &path, None)).await;
        assert_eq!(seen, BTreeMap::from([(204, 1), (404, MANY - 1)]), "{path}");
        let writes = calls.iter().filter(|call| call["method"] != "GET");
        assert_eq!(writes.count(), 1, "{calls:#?}");
    }
}

/// A connector that repeats what it sent long ago makes a new request: nobody
/// can tell it from one that is meant. It counts, it is one effect, and the
/// audit shows who asked for it and when.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_request_delivered_again_is_a_new_one_and_is_audited() {
    let world = World::start().await;
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users[..1]).await;
    let path = format!("/Groups/{id}");
    let (one, both) = (
        [address("u0")].into(),
        [address("u0"), address("u1")].into(),
    );
    world
        .patch(&path, member("add", &users[1]))
        .await
        .expect(204);
    world
        .patch(&path, member("remove", &users[1]))
        .await
        .expect(204);
    world.until_upstream_has("developers", &one).await;
    world.post("/Users", user("u1")).await.expect(409);
    world
        .patch(&path, member("add", &users[1]))
        .await
        .expect(204);
    world.until_upstream_has("developers", &both).await;
    world
        .patch(&path, member("remove", &users[1]))
        .await
        .expect(204);
    world
        .patch(&path, member("remove", &users[1]))
        .await
        .expect(204);
    world.until_upstream_has("developers", &one).await;
    world.send("DELETE", &path, None).await.expect(204);
    world
        .patch(&path, member("add", &users[1]))
        .await
        .expect(404);
    world.send("DELETE", &path, None).await.expect(404);
    assert_eq!(world.upstream_members("developers").await, None);

    let events = events(&world, &[]);
    let times = |activity| {
        let all = of_class(&events, "Group Management", activity);
        all.iter()
            .filter(|event| event["group"]["uid"] == id.as_str())
            .count()
    };
    // The first is the one it was made with; what changed nothing is no change.
    assert_eq!(
        (times("Add User"), times("Remove User"), times("Delete")),
        (3, 2, 1)
    );
}
