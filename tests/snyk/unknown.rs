//! Who must have nothing before any account of theirs was known: it is looked for
//! when that is asked, and whenever a reading shows one.

use super::*;

/// The company, and somebody who has signed in and is a member of Example.
fn signed_in(names: &[&str]) -> Value {
    let mut company = company();
    let account = |name: &&str| json!({ "email": address(name) });
    let users = company["users"].as_array_mut().unwrap();
    users.extend(names.iter().map(account));
    let members = company["groups"][2]["members"].as_array_mut().unwrap();
    members.extend(names.iter().map(|name| address(name).into()));
    company
}

const SLOW: &str = "read_lag = \"1s\"";
const SELDOM: &str = "look_for_staged = \"10m\"";

async fn is_out(world: &World, name: &str) {
    eventually("nothing is left, and nothing is open", async || {
        roles(world, name).await.is_empty() && world.run(&["status"]).2
    })
    .await;
}

#[tokio::test]
async fn who_signs_in_and_leaves_before_any_import_is_out_at_once() {
    let mut world = snyk_with(SLOW, SELDOM).await;
    let (off, gone) = (world.user("off").await, world.user("gone").await);
    let viewer = role(&world, VIEWER).await;
    add(&world, &viewer, &off).await.expect(204);
    world.seed(signed_in(&["off", "gone"])).await;
    assert_eq!(roles(&world, "off").await, just(MEMBER));
    activate(&world, &off, false).await.expect(200);
    assert!(roles(&world, "off").await.is_empty());
    let path = format!("/Users/{gone}");
    world.send("DELETE", &path, None).await.expect(204);
    is_out(&world, "gone").await;
    world.import();
    let named = format!("/Users?filter=userName%20eq%20%22{}%22", address("gone"));
    assert_eq!(world.get(&named).await.expect(200).body["totalResults"], 0);
    // With the account comes what is asked for.
    activate(&world, &off, true).await.expect(200);
    eventually("it is back", async || {
        roles(&world, "off").await == just(VIEWER)
    })
    .await;
}

#[tokio::test]
async fn who_must_have_nothing_and_signs_in_then_is_out_when_it_is_asked_for_again() {
    let world = snyk_with(SLOW, SELDOM).await;
    let mut inactive = user("new");
    inactive["active"] = false.into();
    let (made, calls) = world.calls_of(world.post("/Users", inactive)).await;
    let id = made.expect(201).id();
    let one_look = ["list_groups", "list_memberships", "list_memberships"];
    let sent = calls.iter().map(|call| call["operation"].as_str().unwrap());
    assert_eq!(sent.collect::<Vec<_>>(), one_look, "in each Snyk Group");
    world.seed(signed_in(&["new"])).await;
    activate(&world, &id, false).await.expect(200);
    assert!(roles(&world, "new").await.is_empty());
}

// Commands block their thread for longer than connections are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconciliation_takes_out_who_left_before_their_account_appeared() {
    let mut world = snyk_with(SLOW, SELDOM).await;
    let (off, gone) = (world.user("off").await, world.user("gone").await);
    activate(&world, &off, false).await.expect(200);
    let path = format!("/Users/{gone}");
    world.send("DELETE", &path, None).await.expect(204);
    world.seed(signed_in(&["off", "gone"])).await;
    let (said, wrong, _) = world.run(&["reconcile"]);
    assert!(said.contains('2'), "{said}{wrong}");
    assert_eq!(roles(&world, "off").await, just(MEMBER));
    world.run(&["reconcile", "--apply"]);
    is_out(&world, "off").await;
    is_out(&world, "gone").await;
    world.kill_and_restart();
    is_out(&world, "off").await;
}

#[tokio::test]
async fn who_was_refused_and_signs_in_later_is_nobody_who_was_deleted() {
    let mut world = snyk_with(SLOW, "unknown_users = \"refuse\"").await;
    world.post("/Users", user("new")).await.expect(400);
    // Of who is to be inactive nothing is asked for.
    let mut inactive = user("off");
    inactive["active"] = false.into();
    world.post("/Users", inactive).await.expect(201);
    world.seed(signed_in(&["new", "off"])).await;
    world.import();
    is_out(&world, "off").await;
    assert_eq!(roles(&world, "new").await, just(MEMBER));
    let new = id_of_user(&world, "new").await;
    let shown = world.get(&format!("/Users/{new}")).await.expect(200).body;
    assert_eq!(shown["active"], true);
}

#[tokio::test]
async fn what_was_on_its_way_for_who_left_is_pending_only_as_long_as_it_can_land() {
    let rules = "sync_wait = \"300ms\"\nread_lag = \"200ms\"\nlate_writes = \"2s\"";
    let world = snyk_with(rules, LINK).await;
    let ann = id_of_user(&world, "ann").await;
    let viewer = role(&world, VIEWER).await;
    let rule = json!({ "operation": "create_membership", "failure": "reset_after", "next": 1 });
    world.faults(json!({ "rules": [rule] })).await;
    add(&world, &viewer, &ann).await.expect(204);
    activate(&world, &ann, false).await.expect(200);
    eventually("nothing is pending", async || {
        let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
        world.status().await["connections"][0]["pending"] == nothing
    })
    .await;
    is_out(&world, "ann").await;
    activate(&world, &ann, true).await.expect(200);
    eventually("it is back", async || {
        roles(&world, "ann").await == just(VIEWER)
    })
    .await;
}

/// Two accounts with one address, of which each has something.
async fn two_sign_in(world: &World, name: &str) {
    let mut company = signed_in(&[name]);
    let users = company["users"].as_array_mut().unwrap();
    let first = format!("20000000-0000-4000-8000-{:012x}", users.len());
    users.push(json!({ "email": address(name) }));
    world.seed(company).await;
    let one = |kind: &str, id: &str| json!({ "data": { "type": kind, "id": id } });
    let group = "10000000-0000-4000-8000-000000000001";
    let membership = json!({ "data": { "type": "group_membership", "relationships": {
        "group": one("group", group),
        "user": one("user", &first),
        "role": one("group_role", "30000000-0000-4000-8000-000000000003"),
    } } });
    let path = format!("/rest/groups/{group}/memberships?version=2025-11-05");
    world.as_administrator("POST", &path, membership).await;
}

#[tokio::test]
async fn of_two_accounts_that_no_import_has_shown_it_is_told_and_both_are_out_after_one() {
    for inactive in [false, true] {
        let mut world = snyk_with(SLOW, SELDOM).await;
        let new = world.user("new").await;
        if inactive {
            activate(&world, &new, false).await.expect(200);
        }
        two_sign_in(&world, "new").await;
        let refused = activate(&world, &new, false).await;
        reason(refused, 400, "several accounts");
        eventually("it is told", async || !world.run(&["status"]).2).await;
        world.import();
        if !inactive {
            activate(&world, &new, false).await.expect(200);
        }
        is_out(&world, "new").await;
    }
}
