//! One of two connections has only found a lesser role, and the other one raises the
//! user and takes its own role away again: the found one is there once more, unless
//! somebody has taken it away meanwhile.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::roles::{ADMIN, SOON, VIEWER, example, is, is_clean, just, two_of_all};
use crate::{
    snyk::{activate, add, company, id_of_user, operations, remove, role},
    support::{Application, Tenant, World, address, eventually, values},
};

const FOUND: [&str; 9] = ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"];

/// `acme` gives viewers, of whom it has found some, and the other one, whose turn it
/// is, administrators.
async fn two() -> (World, Tenant) {
    let mut company = company();
    let found = FOUND.map(|name| Value::from(address(name)));
    let users = company["users"].as_array_mut().unwrap();
    users.extend(found.iter().map(|email| json!({ "email": email })));
    let viewers = company["groups"][1]["members"].as_array_mut().unwrap();
    viewers.extend(found);
    let own = [just(VIEWER), just(ADMIN)];
    let pair = World::pair_of(Application::Snyk, SOON, [&own[0], &own[1]], company);
    let (mut world, mut other) = pair.await;
    world.turn_to(&mut other);
    (world, other)
}

async fn raise(world: &World, name: &str) {
    let (admins, user) = (role(world, ADMIN).await, id_of_user(world, name).await);
    add(world, &admins, &user).await.expect(204);
    assert_eq!(example(world, name).await, is(ADMIN), "{name}");
}

async fn let_go(world: &World, name: &str) -> BTreeSet<String> {
    let (admins, user) = (role(world, ADMIN).await, id_of_user(world, name).await);
    remove(world, &admins, &user).await.expect(204);
    is_clean(world).await;
    example(world, name).await
}

async fn shows(world: &World, name: &str) -> bool {
    let (viewers, user) = (role(world, VIEWER).await, id_of_user(world, name).await);
    let shown = world.members(viewers.trim_start_matches("/Groups/")).await;
    shown.contains(&user)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_found_by_one_is_so_again_when_the_other_one_has_raised_and_let_go() {
    let (mut world, mut other) = two().await;
    for _ in 0..2 {
        raise(&world, "vic").await;
        world.turn_to(&mut other);
        assert!(!shows(&world, "vic").await, "another role is there");
        // Also where nothing is remembered but what is stored.
        world.kill_and_restart();
        world.meet(&mut other);
        world.turn_to(&mut other);
        world.forget_calls().await;
        assert_eq!(let_go(&world, "vic").await, is(VIEWER));
        let calls = world.calls().await;
        assert!(!operations(&calls).contains(&"delete_membership"));
        world.turn_to(&mut other);
        assert!(shows(&world, "vic").await, "and shown without an import");
        world.turn_to(&mut other);
    }
    // Who is found is taken out as ever.
    world.turn_to(&mut other);
    let (viewers, vic) = (role(&world, VIEWER).await, id_of_user(&world, "vic").await);
    remove(&world, &viewers, &vic).await.expect(204);
    is_clean(&world).await;
    assert!(example(&world, "vic").await.is_empty());
}

/// Both give every role; the lesser one is managed by the other connection, which asks
/// for somebody else there.
#[tokio::test]
async fn so_it_is_where_the_lesser_role_is_managed_by_the_one_that_found_it() {
    let (mut world, mut other) = two_of_all(SOON).await;
    let (viewers, ann) = (role(&world, VIEWER).await, id_of_user(&world, "ann").await);
    add(&world, &viewers, &ann).await.expect(204);
    world.turn_to(&mut other);
    raise(&world, "vic").await;
    assert_eq!(let_go(&world, "vic").await, is(VIEWER));
    world.turn_to(&mut other);
    assert!(shows(&world, "vic").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_away_meanwhile_is_not_fallen_back_to() {
    let (mut world, mut other) = two().await;
    for name in FOUND {
        raise(&world, name).await;
    }
    world.turn_to(&mut other);
    let viewers = role(&world, VIEWER).await;
    let ids = FOUND.map(async |name| id_of_user(&world, name).await);
    let ids = futures_util::future::join_all(ids).await;
    // By the identity provider of the one that found them, in each of its ways.
    remove(&world, &viewers, &ids[0]).await.expect(204);
    let one = json!([{ "op": "remove", "path": "members", "value": values(&ids[1..2]) }]);
    world.patch(&viewers, one).await.expect(204);
    activate(&world, &ids[2], false).await.expect(200);
    let path = format!("/Users/{}", ids[3]);
    world.send("DELETE", &path, None).await.expect(204);
    // In Snyk, where somebody gave the higher role anew.
    by_hand(&world, FOUND[4], By::Making).await;
    // Or lowered the one that is there, and it was given once more from here.
    by_hand(&world, FOUND[8], By::Lowering).await;
    // It ends with who is to have nothing by the one that raised.
    world.turn_to(&mut other);
    eventually("it is given once more", async || {
        world.run(&["reconcile", "--apply", "--connection", "globex"]);
        example(&world, FOUND[8]).await == is(ADMIN)
    })
    .await;
    is_clean(&world).await;
    let fifth = id_of_user(&world, FOUND[5]).await;
    activate(&world, &fifth, false).await.expect(200);
    for name in FOUND[..5].iter().chain(&FOUND[8..]) {
        assert_eq!(let_go(&world, name).await, BTreeSet::new(), "{name}");
    }
    assert!(example(&world, FOUND[5]).await.is_empty());
    assert_eq!(let_go(&world, FOUND[6]).await, is(VIEWER), "of nobody else");
    // A list of all that are in it leaves out the rest.
    world.turn_to(&mut other);
    let vic = id_of_user(&world, "vic").await;
    let all = json!([{ "op": "replace", "path": "members", "value": values(&[vic]) }]);
    world.patch(&viewers, all).await.expect(204);
    world.turn_to(&mut other);
    assert_eq!(let_go(&world, FOUND[7]).await, BTreeSet::new());
    assert!(example(&world, FOUND[6]).await.is_empty());
    assert_eq!(example(&world, "vic").await, is(VIEWER));
}

enum By {
    Making,
    Lowering,
}

/// Somebody in Snyk makes the membership of an administrator of Example anew, or makes
/// it that of a member.
async fn by_hand(world: &World, name: &str, by: By) {
    let path = "/rest/groups/10000000-0000-4000-8000-000000000001/memberships";
    let version = "version=2025-11-05";
    let list = format!("{path}?{version}&limit=100");
    let shown = world.as_administrator("GET", &list, Value::Null).await;
    let mut all = shown["data"].as_array().unwrap().iter();
    let email = json!(address(name));
    let of = |it: &&Value| it["relationships"]["user"]["data"]["attributes"]["email"] == email;
    let its = all.find(of).unwrap();
    let one = |of: &str, id: &Value| json!({ "data": { "type": of, "id": id } });
    let id = |of: &str| &its["relationships"][of]["data"]["id"];
    let own = format!("{path}/{}?{version}", its["id"].as_str().unwrap());
    match by {
        By::Making => {
            let body = json!({ "data": { "type": "group_membership", "relationships": {
                "group": one("group", &json!(path.split('/').nth(3))),
                "user": one("user", id("user")),
                "role": one("group_role", id("role")),
            } } });
            world.as_administrator("DELETE", &own, Value::Null).await;
            let all = format!("{path}?{version}");
            world.as_administrator("POST", &all, body).await;
        }
        By::Lowering => {
            let member = json!(format!("30000000-0000-4000-8000-{:012x}", 3));
            let body = json!({ "data": { "type": "group_membership", "id": its["id"],
                "relationships": { "role": one("group_role", &member) } } });
            world.as_administrator("PATCH", &own, body).await;
        }
    }
}

/// The call that falls back is not answered, and its role is taken away meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_falls_back_without_an_answer_is_shown_or_taken_away() {
    for taken in [false, true] {
        let (mut world, mut other) = two().await;
        raise(&world, "vic").await;
        let admins = role(&world, ADMIN).await;
        let theirs = id_of_user(&world, "vic").await;
        let late = json!({ "late": { "after_ms": 700 } });
        let rule = json!({ "failure": late, "operation": "update_membership", "next": 1 });
        world.faults(json!({ "rules": [rule] })).await;
        let removal =
            json!([{ "op": "remove", "path": format!("members[value eq \"{theirs}\"]") }]);
        if taken {
            // At once, while the call is on its way.
            let viewers = {
                world.turn_to(&mut other);
                let path = role(&world, VIEWER).await;
                world.turn_to(&mut other);
                path
            };
            world.turn_to(&mut other);
            let vic = id_of_user(&world, "vic").await;
            world.turn_to(&mut other);
            let gone = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{ "op": "remove", "path": format!("members[value eq \"{vic}\"]") }],
            });
            let (first, second) = tokio::join!(world.patch(&admins, removal), async {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                world
                    .try_send_as(&other, "PATCH", &viewers, Some(gone))
                    .await
            });
            first.expect(204);
            second.unwrap().expect(204);
        } else {
            world.patch(&admins, removal).await.expect(204);
        }
        is_clean(&world).await;
        let left = if taken { BTreeSet::new() } else { is(VIEWER) };
        eventually("everything has landed", async || {
            let status = world.status().await;
            let all = status["connections"].as_array().unwrap().clone();
            let settled = |it: &Value| it["unsettled"]["memberships"] == 0;
            all.iter().all(settled) && example(&world, "vic").await == left
        })
        .await;
        world.turn_to(&mut other);
        assert_eq!(shows(&world, "vic").await, !taken);
    }
}
