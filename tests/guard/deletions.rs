//! Who goes with a Group that is deleted: also those who were put into it by hand,
//! of whom nobody was told.

use serde_json::{Value, json};

use super::deciding::hold_of;
use crate::support::{World, address, eventually};

const GROUP: &str = "/api/v2/groupmanagement/group/dev/members";

/// Accounts that an administrator makes, and puts into the group.
async fn put_in(world: &World, names: &[String]) {
    for name in names {
        let account = json!({ "firstName": name, "lastName": "Hand", "email": address(name),
            "siteRole": "Users" });
        world
            .as_administrator("POST", "/api/v2/usermanagement/user", account)
            .await;
    }
    put_back(world, names).await;
}

async fn put_back(world: &World, names: &[String]) {
    let members: Vec<String> = names.iter().map(|name| address(name)).collect();
    let body = json!({ "members": members });
    world.as_administrator("POST", GROUP, body).await;
}

fn strangers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("hand{n}")).collect()
}

async fn size(world: &World) -> Option<usize> {
    world.upstream_members("dev").await.map(|them| them.len())
}

fn planned(world: &World, group: &str) -> Value {
    let request = json!({ "method": "DELETE", "path": format!("/Groups/{group}") });
    let file = world.file("delete.json", &request.to_string());
    let (said, wrong, _) = world.run(&["plan", "--connection", "acme", "--request", &file]);
    serde_json::from_str(&said).expect(&wrong)
}

async fn delete(world: &World, group: &str) -> crate::support::Reply {
    world
        .send("DELETE", &format!("/Groups/{group}"), None)
        .await
}

/// What the status says of the deletion.
async fn refusal(world: &World) -> Option<String> {
    let status = world.status().await;
    let refused = status["connections"][0]["refusedResources"][0].clone();
    (refused["asked"] == "delete").then(|| refused["reason"].as_str().unwrap().to_owned())
}

/// A deletion that is accepted while nobody can look, and what came meanwhile.
async fn deleted_unseen(world: &World, rules: Value, come: &[String]) -> String {
    let ids = world.users("m", 2).await;
    let group = world.group("dev", &ids).await;
    world.faults(rules).await;
    delete(world, &group).await.expect(204);
    put_in(world, come).await;
    world.forget_calls().await;
    world.faults(json!({})).await;
    group
}

fn blind() -> Value {
    json!({ "rules": [{ "failure": "truncated", "operation": "get_members" }] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_put_in_by_hand_counts_when_a_group_is_deleted() {
    let world = World::with("guard = {}", &["--empty"]).await;
    let ids = world.users("m", 2).await;
    let group = world.group("dev", &ids).await;
    put_in(&world, &strangers(0, 10)).await;
    world.forget_calls().await;
    let plan = planned(&world, &group);
    assert_eq!(
        (&plan["plan"]["removed"], &plan["rule"]),
        (&json!(12), &json!("empty_from")),
        "{plan:#}"
    );
    let refused = delete(&world, &group).await.expect(403);
    let detail = refused.body["detail"].as_str().unwrap();
    for words in [
        "all 12 members",
        "and its 12 members",
        "and 10 more",
        "empty_from",
    ] {
        assert!(detail.contains(words), "{words} in {detail}");
    }
    let operation = json!({ "method": "DELETE", "path": format!("/Groups/{group}") });
    let told = world
        .post("/Bulk", json!({ "Operations": [operation] }))
        .await
        .expect(200);
    assert_eq!(told.body["Operations"][0]["response"]["detail"], detail);
    let calls = world.calls().await;
    assert!(calls.iter().all(|it| it["method"] == "GET"), "{calls:#?}");
    world.get(&format!("/Groups/{group}")).await.expect(200);

    // What an operator has seen goes, and nobody who came since.
    let hold = hold_of(&refused.body);
    put_in(&world, &strangers(10, 13)).await;
    let approve = format!("/held/{hold}/approve");
    let (code, told) = world.operate("POST", &approve).await;
    assert_eq!(code, 403, "{told}");
    assert!(told.to_string().contains("all 15 members"), "{told}");
    assert_eq!(size(&world).await, Some(15));
    let (_, shown) = world.operate("GET", &format!("/held/{hold}")).await;
    assert_eq!(
        (&shown["state"], &shown["plan"]["removed"]),
        (&json!("open"), &json!(15))
    );
    let (code, told) = world.operate("POST", &approve).await;
    assert_eq!((code, size(&world).await), (200, None), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_with_somebody_protected_in_it_is_not_deleted_however_they_came() {
    let rules = format!(
        "guard = {{ enabled = false, protected_users = [\"{}\", \"{}\"] }}",
        address("boss"),
        address("hand0")
    );
    let world = World::with(&rules, &["--empty"]).await;
    let boss = world.user("boss").await;
    let ids = world.users("m", 2).await;
    let group = world.group("dev", &ids).await;
    put_back(&world, &["boss".to_owned()]).await;
    world.forget_calls().await;
    let refused = delete(&world, &group).await.expect(403);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(
        detail.contains(&boss) && detail.contains("protected_users"),
        "{detail}"
    );
    let body = json!({ "members": [address("boss")] });
    world.as_administrator("DELETE", GROUP, body).await;
    // Somebody of whom nothing is known here.
    put_in(&world, &strangers(0, 1)).await;
    let refused = delete(&world, &group).await.expect(403);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("whom the bridge's configuration protects"),
        "{detail}"
    );
    let body = json!({ "members": [address("hand0")] });
    world.as_administrator("DELETE", GROUP, body).await;
    delete(&world, &group).await.expect(204);
    assert_eq!(size(&world).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_guard_looks_and_few_who_were_put_in_go() {
    for (rules, looks) in [("guard = {}", 1), ("guard = { enabled = false }", 0)] {
        let world = World::with(rules, &["--empty"]).await;
        let ids = world.users("m", 2).await;
        let group = world.group("dev", &ids).await;
        put_in(&world, &strangers(0, 7)).await;
        world.forget_calls().await;
        let (done, calls) = world.calls_of(delete(&world, &group)).await;
        done.expect(204);
        let of = |method: &str| calls.iter().filter(|it| it["method"] == method).count();
        assert_eq!((of("GET"), of("DELETE")), (looks, 1), "{rules}: {calls:#?}");
        assert_eq!(size(&world).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_after_a_deletion_was_accepted_is_held_then() {
    let rules = "sync_wait = \"300ms\"\nguard = {}";
    let world = World::with(rules, &["--empty"]).await;
    let group = deleted_unseen(&world, blind(), &strangers(0, 12)).await;
    eventually("it is told", async || refusal(&world).await.is_some()).await;
    let reason = refusal(&world).await.unwrap();
    for words in [
        "all 14 members",
        "it is held as",
        "shown in the application now",
    ] {
        assert!(reason.contains(words), "{words} in {reason}");
    }
    assert_eq!(size(&world).await, Some(14));
    let (_, listed) = world.operate("GET", "/held").await;
    let hold = listed["held"][0].clone();
    assert_eq!(
        (
            &hold["plan"]["removed"],
            &hold["plan"]["id"],
            &hold["method"]
        ),
        (&json!(14), &json!(group), &json!("DELETE")),
        "{listed:#}"
    );
    let approve = format!("/held/{}/approve", hold["id"].as_str().unwrap());
    put_in(&world, &strangers(12, 13)).await;
    let (code, told) = world.operate("POST", &approve).await;
    assert!(code == 403 && told.to_string().contains("all 15"), "{told}");
    let (code, told) = world.operate("POST", &approve).await;
    assert_eq!((code, size(&world).await), (200, None), "{told}");
    assert_eq!(refusal(&world).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_protected_who_came_after_a_deletion_keeps_the_group() {
    let rules = format!(
        "sync_wait = \"300ms\"\nguard = {{ protected_users = [\"{}\"] }}",
        address("hand0")
    );
    let world = World::with(&rules, &["--empty"]).await;
    deleted_unseen(&world, blind(), &strangers(0, 1)).await;
    eventually("it is told", async || refusal(&world).await.is_some()).await;
    let reason = refusal(&world).await.unwrap();
    assert!(reason.contains("protected_users"), "{reason}");
    assert_eq!(size(&world).await, Some(3));
    // With them gone the next reconciliation that repairs has it deleted.
    let body = json!({ "members": [address("hand0")] });
    world.as_administrator("DELETE", GROUP, body).await;
    world.run(&["reconcile", "--apply"]);
    eventually("it is deleted", async || size(&world).await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_an_operator_rejected_is_not_held_again() {
    let rules = "sync_wait = \"300ms\"\nguard = {}";
    let world = World::with(rules, &["--empty"]).await;
    deleted_unseen(&world, blind(), &strangers(0, 12)).await;
    eventually("it is told", async || refusal(&world).await.is_some()).await;
    let (_, listed) = world.operate("GET", "/held").await;
    let id = listed["held"][0]["id"].as_str().unwrap().to_owned();
    let (code, told) = world.operate("POST", &format!("/held/{id}/reject")).await;
    assert_eq!(code, 200, "{told}");
    let reason = refusal(&world).await.unwrap();
    assert!(
        reason.contains("an operator has rejected") && !reason.contains("held"),
        "{reason}"
    );
    world.run(&["reconcile", "--apply"]);
    let rejected = async || {
        let reason = refusal(&world).await;
        reason.is_some_and(|it| it.contains("an operator has rejected"))
    };
    eventually("the next look is told", rejected).await;
    let (_, listed) = world.operate("GET", "/held").await;
    assert_eq!(listed["held"], json!([]));
    assert_eq!(size(&world).await, Some(14));
    // A few of them are a deletion like any other.
    let members: Vec<String> = strangers(3, 12).iter().map(|it| address(it)).collect();
    world
        .as_administrator("DELETE", GROUP, json!({ "members": members }))
        .await;
    world.run(&["reconcile", "--apply"]);
    eventually("it is deleted", async || size(&world).await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_group_that_left_count_no_more() {
    let rules = "guard = { removals = { more_than = 50, percent = 0 } }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 12).await;
    let group = world.group("dev", &ids).await;
    for id in &ids[..11] {
        world
            .send("DELETE", &format!("/Users/{id}"), None)
            .await
            .expect(204);
    }
    put_in(&world, &strangers(0, 2)).await;
    delete(&world, &group).await.expect(204);
    assert_eq!(size(&world).await, None);
}

/// Nothing is sent, so nobody asks what became of it: it says what it waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_waits_for_a_look_says_so() {
    for status in [400, 403] {
        let rules = "sync_wait = \"300ms\"\nguard = {}";
        let world = World::with(rules, &["--empty"]).await;
        let failure = json!({ "status": { "status": status } });
        let blind = json!({ "rules": [{ "failure": failure, "operation": "get_members" }] });
        let ids = world.users("m", 2).await;
        let group = world.group("dev", &ids).await;
        world.faults(blind).await;
        delete(&world, &group).await.expect(204);
        eventually("it is told", async || {
            let waits = world.status().await["connections"][0]["waiting"][0].clone();
            let reason = waits["reason"].as_str().unwrap_or_default();
            waits["group"] == json!(group) && reason.contains("looked at before it is deleted")
        })
        .await;
        let said = world.run(&["status"]).0;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let waits = format!("Group {group}, delete, waits: who is in it");
        assert!(said.contains(&waits), "{said}");
        assert!(!said.contains("what became of it"), "{said}");
        world.faults(json!({})).await;
        if status == 400 {
            eventually("it is deleted", async || size(&world).await.is_none()).await;
            // The answer to that is yet to be noted.
            eventually("nothing waits", async || {
                world.status().await["connections"][0]["waiting"] == json!([])
            })
            .await;
        }
        world.overlook().await;
    }
}
