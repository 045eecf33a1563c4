//! An account that one of two connections has ended, and in which the other one asks for
//! it: shown as it is, told, and there again with the account.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Pair, SOON};
use crate::support::{Application, World, address, eventually};

fn active(value: bool) -> Value {
    json!([{ "op": "replace", "path": "active", "value": value }])
}

async fn shows(world: &World, user: &str) -> Value {
    world.get(&format!("/Users/{user}")).await.expect(200).body["active"].clone()
}

/// What is told of the second connection.
async fn told(world: &World) -> Value {
    world.status().await["connections"][1].clone()
}

async fn has(world: &World, group: &str, names: &[&str]) -> bool {
    let all: BTreeSet<String> = names.iter().map(|name| address(name)).collect();
    world.upstream_members(group).await == Some(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_other_one_has_ended_is_shown_so_and_told_until_it_is_back() {
    let pair = Pair::of(Application::Opsera, SOON).await;
    let (mut world, mut other, a, same) = (pair.world, pair.other, pair.a, pair.same);
    let path = format!("/Users/{same}");
    world.group("theirs", std::slice::from_ref(&same)).await;
    assert!(has(&world, "theirs", &["a"]).await);
    let open = |status: &Value| {
        let of = ["users", "memberships"].map(|of| &status["asAsked"][of]);
        of.map(|it| it["all"].as_u64().unwrap() - it["done"].as_u64().unwrap())
    };
    assert_eq!(open(&told(&world).await), [0, 0]);
    world.turn_to(&mut other);
    let first = format!("/Users/{a}");
    world.patch(&first, active(false)).await.expect(200);
    world.turn_to(&mut other);
    eventually("it is shown", async || shows(&world, &same).await == false).await;
    let status = told(&world).await;
    let waiting = status["waiting"].as_array().unwrap();
    assert_eq!(waiting.len(), 1, "{status:#}");
    assert_eq!(waiting[0]["user"], same.as_str());
    assert_eq!(open(&status), [1, 1], "{status:#}");
    assert!(!world.run(&["status"]).2);
    // It is the other one's, also to be made anew; and it is not given anything.
    for change in [active(true), active(false)] {
        let said = world
            .patch(&path, change)
            .await
            .expect(403)
            .body
            .to_string();
        assert!(said.contains("managed elsewhere"), "{said}");
    }
    world.group("more", std::slice::from_ref(&same)).await;
    assert!(has(&world, "more", &[]).await);
    let (said, ..) = world.run(&["reconcile", "--connection", "globex"]);
    let nothing_gone = said.contains("0 that were only found are gone");
    assert!(
        nothing_gone && said.contains("0 accounts are gone"),
        "{said}"
    );

    world.turn_to(&mut other);
    world.patch(&first, active(true)).await.expect(200);
    world.turn_to(&mut other);
    for group in ["theirs", "more", "team"] {
        eventually(group, async || has(&world, group, &["a"]).await).await;
    }
    assert_eq!(shows(&world, &same).await, true);
    eventually("all is as asked", async || {
        told(&world).await["waiting"] == json!([])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_other_one_has_deleted_is_made_anew_for_whoever_asks() {
    let pair = Pair::of(Application::Opsera, SOON).await;
    let (mut world, mut other, a, same) = (pair.world, pair.other, pair.a, pair.same);
    world.group("theirs", std::slice::from_ref(&same)).await;
    world.turn_to(&mut other);
    let first = format!("/Users/{a}");
    world.send("DELETE", &first, None).await.expect(204);
    world.turn_to(&mut other);
    eventually("it is shown", async || shows(&world, &same).await == false).await;
    let path = format!("/Users/{same}");
    eventually("the other one has let go of it", async || {
        world.patch(&path, active(true)).await.status.as_u16() == 200
    })
    .await;
    eventually("it is there", async || has(&world, "theirs", &["a"]).await).await;
    assert_eq!(shows(&world, &same).await, true);
    assert_eq!(told(&world).await["waiting"], json!([]));
}
