//! Groups that had been there and are not: made again where a deletion of ours
//! came late, whoever of their members is refused there by then; told where
//! somebody has deleted them, and made again when they are asked for
//! (reliability: H-15, F-09).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually, values};

/// A group of four that a deletion of before its creation has taken away, where
/// the second of them is refused by now; its id and theirs.
async fn bereft() -> (World, String, Vec<String>) {
    let rules = "sync_wait = \"1s\"\nlate_writes = \"5s\"\nread_lag = \"200ms\"";
    let world = World::with(rules, &["--empty"]).await;
    let users = world.users("u", 4).await;
    let path = format!("/Groups/{}", world.group("Phoenix", &users).await);
    let late = json!({ "late": { "after_ms": 1500 } });
    let rule = json!({ "failure": late, "operation": "delete_group", "next": 1 });
    world.faults(json!({ "rules": [rule] })).await;
    world.send("DELETE", &path, None).await.expect(204);
    let id = world.group("Phoenix", &users).await;
    world
        .faults(json!({ "refuse_members": [address("u1")] }))
        .await;
    eventually("the deletion lands", async || {
        world.upstream_members("phoenix").await.is_none()
    })
    .await;
    (world, id, users)
}

fn others() -> BTreeSet<String> {
    [address("u0"), address("u2"), address("u3")].into()
}

/// Everybody but the refused one is in, on both sides, and that one is told.
async fn only_one_is_refused(world: &World, id: &str, users: &[String]) {
    world.until_upstream_has("phoenix", &others()).await;
    eventually("only one is refused", async || {
        let status = world.status().await;
        let connection = &status["connections"][0];
        let refused = connection["refusedMemberships"].as_array().unwrap();
        refused.len() == 1
            && refused[0]["user"] == json!(users[1])
            && refused[0]["asked"] == "add"
            && connection["refused"]["groups"] == 0
            && connection["pending"]["memberships"] == 0
    })
    .await;
    let mut left: BTreeSet<String> = users.iter().cloned().collect();
    left.remove(&users[1]);
    assert_eq!(world.members(id).await, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_refused_keeps_nobody_out_of_a_group_that_is_made_again() {
    let (world, id, users) = bereft().await;
    world.forget_calls().await;
    only_one_is_refused(&world, &id, &users).await;
    let calls = world.calls().await;
    let writes = |what: &str| calls.iter().filter(|it| it["operation"] == what).count();
    assert_eq!(writes("create_group"), 2, "{calls:#?}");
    assert_eq!(writes("add_members"), 4, "{calls:#?}");
}

/// Between the creation of the group and the addition of its members.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_on_the_way_leaves_nobody_out() {
    let (mut world, id, users) = bereft().await;
    assert!(world.kill_and_restart_until("turn.one-sent:2"));
    let end = Instant::now() + Duration::from_secs(20);
    while world.bridge_ended().is_none() {
        assert!(Instant::now() < end, "it never came to it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        world.upstream_members("phoenix").await,
        Some(BTreeSet::new())
    );
    world.start_bridge();
    only_one_is_refused(&world, &id, &users).await;
}

/// A group of four that an administrator has deleted; its address and theirs.
async fn deleted() -> (World, String, Vec<String>) {
    let world = World::with("read_lag = \"100ms\"", &["--empty"]).await;
    let users = world.users("u", 4).await;
    let path = format!("/Groups/{}", world.group("Crew", &users[..3]).await);
    delete_there(&world).await;
    world.forget_calls().await;
    (world, path, users)
}

async fn delete_there(world: &World) {
    let path = "/api/v2/groupmanagement/group/crew";
    world.as_administrator("DELETE", path, Value::Null).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
}

fn members(op: &str, of: &[String]) -> Value {
    json!([{ "op": op, "path": "members", "value": values(of) }])
}

async fn writes(world: &World) -> usize {
    let calls = world.calls().await;
    calls.iter().filter(|call| call["method"] != "GET").count()
}

/// The group is refused, nothing is pending, and the reason says what is so.
async fn is_told(world: &World) {
    let status = world.status().await;
    let connection = &status["connections"][0];
    assert_eq!(connection["refused"]["groups"], 1, "{status:#}");
    assert_eq!(connection["pending"]["groups"], 0, "{status:#}");
    assert_eq!(connection["pending"]["memberships"], 0, "{status:#}");
    let as_asked = &connection["asAsked"]["memberships"];
    assert_eq!(as_asked["done"], 0, "{status:#}");
    assert_ne!(as_asked["all"], 0, "{status:#}");
    let refused = &connection["refusedResources"][0];
    let reason = refused["reason"].as_str().unwrap();
    assert_eq!(refused["resourceType"], "Group");
    assert!(reason.contains("any more"), "{reason}");
}

fn accounts(of: &[usize]) -> BTreeSet<String> {
    of.iter().map(|n| address(&format!("u{n}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_finds_a_group_gone_tells_it_and_makes_nothing() {
    let (world, path, users) = deleted().await;
    world
        .patch(&path, members("remove", &users[..1]))
        .await
        .expect(204);
    is_told(&world).await;
    let (audit, _, _) = world.run(&["audit", "export"]);
    assert!(audit.contains("\"outcome\":\"missing\""), "{audit}");
    let asked = writes(&world).await;
    world
        .patch(&path, members("remove", &users[1..2]))
        .await
        .expect(204);
    assert_eq!(
        writes(&world).await,
        asked,
        "nobody is left to be taken out"
    );
    let left = world.members(path.trim_start_matches("/Groups/")).await;
    assert_eq!(left, [users[2].clone()].into());
    for more in [&[][..], &["--apply"], &["--apply", "--shrunk"]] {
        let (said, wrong, ok) = world.run(&[&["reconcile"], more].concat());
        let said = said + &wrong;
        assert!(!ok && said.contains("not there any more"), "{said}");
    }
    is_told(&world).await;
    assert_eq!(world.upstream_members("crew").await, None);
    // Asked for again, it is made with all of its members.
    world
        .patch(&path, members("add", &users[3..]))
        .await
        .expect(204);
    assert_eq!(
        world.upstream_members("crew").await,
        Some(accounts(&[2, 3]))
    );
    let status = world.status().await;
    assert_eq!(
        status["connections"][0]["refused"]["groups"], 0,
        "{status:#}"
    );
    let (said, wrong, ok) = world.run(&["reconcile", "--apply"]);
    assert!(ok, "{said}{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_that_finds_it_gone_is_refused_and_the_next_one_makes_it() {
    let (world, path, users) = deleted().await;
    let refused = world
        .patch(&path, members("add", &users[3..]))
        .await
        .expect(400);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("does not have the group \"crew\" any more"),
        "{detail}"
    );
    is_told(&world).await;
    assert_eq!(world.upstream_members("crew").await, None);
    world
        .patch(&path, members("add", &users[3..]))
        .await
        .expect(204);
    assert_eq!(
        world.upstream_members("crew").await,
        Some(accounts(&[0, 1, 2, 3]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciliation_tells_what_is_gone_and_sees_it_come_back() {
    let (world, path, users) = deleted().await;
    world
        .patch(&path, members("remove", &users[..1]))
        .await
        .expect(204);
    let reconciles = |more: &[&str]| {
        let (said, wrong, _) = world.run(&[&["reconcile"], more].concat());
        format!("{said}{wrong}")
    };
    assert!(reconciles(&["--apply"]).contains("not there any more"));
    is_told(&world).await;
    let left = &world.status().await["connections"][0]["lastReconciliation"]["left"];
    let expected = json!({ "accounts": 0, "groups": 1, "memberships": 2 });
    assert_eq!(left, &expected);
    // Somebody makes one of its name.
    let body = json!({ "name": "crew" });
    let group = "/api/v2/groupmanagement/group";
    world.as_administrator("POST", group, body).await;
    let only_tells = reconciles(&[]);
    assert!(!only_tells.contains("any more"), "{only_tells}");
    assert_eq!(world.upstream_members("crew").await, Some(accounts(&[])));
    reconciles(&["--apply"]);
    world.until_upstream_has("crew", &accounts(&[1, 2])).await;
    let status = world.status().await;
    assert_eq!(status["connections"][0]["refused"]["groups"], 0);
}

/// It is there, and neither a call nor a look knows it yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_made_a_moment_ago_is_not_gone() {
    let rules = "read_lag = \"3s\"\nsync_wait = \"300ms\"";
    let world = World::with(rules, &["--empty"]).await;
    let users = world.users("u", 3).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let path = format!("/Groups/{}", world.group("Crew", &users).await);
    let unknown = json!({ "status": { "status": 404 } });
    let rule = json!({ "failure": unknown, "operation": "remove_members", "next": 1 });
    world
        .faults(json!({ "rules": [rule], "read_lag_ms": 1_500 }))
        .await;
    world
        .patch(&path, members("remove", &users[..1]))
        .await
        .expect(204);
    world.until_upstream_has("crew", &accounts(&[1, 2])).await;
    let status = world.status().await;
    assert_eq!(
        status["connections"][0]["refused"]["groups"], 0,
        "{status:#}"
    );
}

/// By an application of which single looks are not believed: in the time until
/// that is known nothing goes back to what was so before the group was gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_and_taken_back_before_it_is_known_to_be_gone_is_told() {
    for ops in [["remove", "add"], ["add", "remove"]] {
        let rules = "read_lag = \"2s\"\nsync_wait = \"300ms\"";
        let world = World::of(Application::Declared, rules).await;
        let users = world.users("u", 3).await;
        let path = format!("/Groups/{}", world.group("crew", &users[..2]).await);
        let there = "/api/v2/groupmanagement/group/crew";
        world.as_administrator("DELETE", there, Value::Null).await;
        world.forget_calls().await;
        let who = if ops[0] == "add" { 2..3 } else { 1..2 };
        for op in ops {
            let change = members(op, &users[who.clone()]);
            world.patch(&path, change).await.expect(204);
            eventually("it is tried", async || writes(&world).await > 0).await;
        }
        let told = async || {
            let status = world.status().await;
            status["connections"][0]["refused"]["groups"] == 1
        };
        eventually(&format!("{ops:?} is told"), told).await;
        is_told(&world).await;
        assert_eq!(world.upstream_members("crew").await, None);
        // Asked for again, it is made.
        world.patch(&path, members("add", &users[1..2])).await;
        world.until_upstream_has("crew", &accounts(&[0, 1])).await;
    }
}

/// Its routes said for a while that a group is not there, and it is: who was taken
/// out of it meanwhile is in it still, by nobody's doing there.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_to_go_while_it_seemed_to_be_gone_is_taken_out_when_it_is_found() {
    for found_by in ["reconciliation", "import", "addition"] {
        let mut world = World::with("read_lag = \"500ms\"", &["--empty"]).await;
        let users = world.users("u", 4).await;
        let path = format!("/Groups/{}", world.group("Crew", &users[..3]).await);
        tokio::time::sleep(Duration::from_millis(600)).await;
        let lies = ["get_group", "get_members", "remove_members"].map(|operation| {
            json!({ "failure": { "status": { "status": 404 } }, "operation": operation })
        });
        world.faults(json!({ "rules": lies })).await;
        for one in &users[..2] {
            let out = members("remove", std::slice::from_ref(one));
            world.patch(&path, out).await.expect(204);
        }
        is_told(&world).await;
        world.faults(json!({ "rules": [] })).await;
        let mut left = accounts(&[2]);
        match found_by {
            "reconciliation" => {
                tokio::time::sleep(Duration::from_millis(600)).await;
                let (said, wrong, _) = world.run(&["reconcile", "--apply"]);
                assert!(!said.contains("given back"), "{said}{wrong}");
            }
            "import" => {
                tokio::time::sleep(Duration::from_millis(600)).await;
                tokio::task::block_in_place(|| world.import());
            }
            _ => {
                left = accounts(&[2, 3]);
                world.patch(&path, members("add", &users[3..])).await;
            }
        }
        world.until_upstream_has("crew", &left).await;
        eventually("all is as asked", async || {
            let status = world.status().await;
            let connection = &status["connections"][0];
            let as_asked = &connection["asAsked"]["memberships"];
            connection["refused"]["groups"] == 0 && as_asked["done"] == as_asked["all"]
        })
        .await;
        let (said, wrong, ok) = world.run(&["reconcile"]);
        assert!(ok && !said.contains("given back"), "{said}{wrong}");
    }
}
