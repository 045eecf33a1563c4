//! An approval is of what was shown: whoever was not, or was asked for otherwise since,
//! is shown first.

use serde_json::{Value, json};

use super::deciding::hold_of;
use crate::support::{World, group, values};

async fn act(world: &World, hold: &str, act: &str) -> (u16, Value) {
    let method = if act.is_empty() || act == "/plan" {
        "GET"
    } else {
        "POST"
    };
    let (code, told) = world.operate(method, &format!("/held/{hold}{act}")).await;
    (code, told)
}

/// It is refused and shown anew, the plan says so before, and then it is done.
async fn is_shown_anew(world: &World, hold: &str, word: &str) {
    let (code, plan) = act(world, hold, "/plan").await;
    let answer = &plan["answers"][0];
    assert_eq!((code, &answer["answer"]), (200, &json!("held")), "{plan}");
    assert!(answer["detail"].to_string().contains(word), "{plan}");
    assert_eq!(plan["calls"], json!([]), "{plan}");
    let (_, before) = act(world, hold, "").await;
    assert_eq!(before["changedAt"], Value::Null);
    let (said, ok) = told(world, &["held", "approve", hold]);
    assert!(!ok && said.contains(word), "{said}");
    assert!(said.contains("shown anew"), "{said}");
    let (_, shown) = act(world, hold, "").await;
    assert_eq!(shown["state"], "open", "{shown}");
    assert!(shown["changedAt"].is_string(), "{shown}");
    assert_eq!(shown["plan"], plan["plan"]);
    let (listed, _) = told(world, &["held", "list"]);
    assert!(listed.contains("changed since it was held"), "{listed}");
}

fn told(world: &World, arguments: &[&str]) -> (String, bool) {
    let (said, wrong, ok) = world.run(arguments);
    (said + &wrong, ok)
}

/// Behind guard rails: the members of a group, and its id.
async fn dev_of_thirty() -> (World, Vec<String>, String) {
    let world = World::with("guard = {}", &["--empty"]).await;
    let ids = world.users("m", 30).await;
    let id = world.group("dev", &ids).await;
    (world, ids, id)
}

async fn approved(world: &World, hold: &str) {
    let (code, told) = act(world, hold, "/approve").await;
    assert_eq!(code, 200, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_after_a_put_or_a_patch_was_held_is_not_taken_away_unseen() {
    let world = World::with("guard = {}", &["--empty"]).await;
    let ids = world.users("m", 30).await;
    let new = world.users("n", 3).await;
    let all = json!([{ "op": "remove", "path": "members" }]);
    for (name, replaces) in [("put", true), ("patch", false)] {
        let id = world.group(name, &ids).await;
        let path = format!("/Groups/{id}");
        let refused = if replaces {
            world.put(&path, group(name, &ids[..18])).await
        } else {
            world.patch(&path, all.clone()).await
        };
        let hold = hold_of(&refused.expect(403).body);
        let add = json!([{ "op": "add", "path": "members", "value": values(&new) }]);
        world.patch(&path, add).await.expect(204);
        is_shown_anew(&world, &hold, "takes away 3 who were not among those shown").await;
        assert_eq!(world.members(&id).await.len(), 33);
        approved(&world, &hold).await;
        let left = if replaces { 18 } else { 0 };
        assert_eq!(world.members(&id).await.len(), left);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_made_anew_or_asked_for_again_counts_as_another() {
    let rules = "guard = {}\nunknown_members = \"skip\"";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 30).await;
    let id = world.group("dev", &ids).await;
    let path = format!("/Groups/{id}");
    let keeps = group("dev", &ids[..18]);
    let hold = hold_of(&world.put(&path, keeps.clone()).await.expect(403).body);
    world
        .send("DELETE", &format!("/Users/{}", ids[20]), None)
        .await
        .expect(204);
    let again = world.user("m20").await;
    // She is in it, and that is said again.
    let named = [again, ids[25].clone()];
    let add = json!([{ "op": "add", "path": "members", "value": values(&named) }]);
    world.patch(&path, add).await.expect(204);
    is_shown_anew(&world, &hold, "takes away 2 who were not among those shown").await;
    approved(&world, &hold).await;
    assert_eq!(world.members(&id).await.len(), 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_than_were_shown_go_at_once() {
    let (world, ids, id) = dev_of_thirty().await;
    let path = format!("/Groups/{id}");
    let keeps = group("dev", &ids[..18]);
    let refused = world.put(&path, keeps).await;
    let hold = hold_of(&refused.expect(403).body);
    for gone in &ids[25..27] {
        world
            .send("DELETE", &format!("/Users/{gone}"), None)
            .await
            .expect(204);
    }
    approved(&world, &hold).await;
    assert_eq!(world.members(&id).await.len(), 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_taken_out_since_is_not_put_back_unseen() {
    let rules = "guard = { group_removals = { more_than = 3, percent = 0, within = \"1s\" } }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 12).await;
    let id = world.group("dev", &ids).await;
    let path = format!("/Groups/{id}");
    let keeps = group("dev", &ids[..6]);
    let hold = hold_of(&world.put(&path, keeps).await.expect(403).body);
    // What follows waits with it for as long as the window.
    let one = json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) }]);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while world.patch(&path, one.clone()).await.status != 204 {
        assert!(std::time::Instant::now() < end, "it waits on");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    is_shown_anew(&world, &hold, "adds 1 who were not among those shown").await;
    assert!(!world.members(&id).await.contains(&ids[0]));
    let (code, told) = act(&world, &hold, "/reject").await;
    assert_eq!(code, 200, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_one_version_is_not_done_to_another() {
    let (world, ids, id) = dev_of_thirty().await;
    let path = format!("/Groups/{id}");
    let of = |version: &Value| {
        json!({ "Operations": [{ "method": "PUT", "path": path, "version": version,
            "data": group("dev", &ids[..18]) }] })
    };
    let version = world.get(&path).await.body["meta"]["version"].clone();
    let told = world.post("/Bulk", of(&version)).await.expect(200);
    let hold = hold_of(&told.body["Operations"][0]["response"]);
    let title = json!([{ "op": "replace", "path": "externalId", "value": "other" }]);
    world.patch(&path, title).await.expect(204);
    for (method, asked) in [("GET", "plan"), ("POST", "approve")] {
        let (code, told) = world
            .operate(method, &format!("/held/{hold}/{asked}"))
            .await;
        assert_eq!(code, 412, "{told}");
        let told = told["error"].as_str().unwrap().to_owned();
        assert!(told.contains(version.as_str().unwrap()), "{told}");
        assert!(told.contains("held reject"), "{told}");
    }
    assert_eq!(world.members(&id).await.len(), 30);
    // Asked for anew, it is for the version of now.
    let version = world.get(&path).await.body["meta"]["version"].clone();
    world.post("/Bulk", of(&version)).await.expect(200);
    is_shown_anew(&world, &hold, "changed since: externalId").await;
    approved(&world, &hold).await;
    assert_eq!(world.members(&id).await.len(), 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_to_be_active_after_all_is_not_ended_unseen() {
    let rules = "guard = { removals = { more_than = 1, percent = 0 } }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 4).await;
    let active = |to: bool| json!([{ "op": "replace", "path": "active", "value": to }]);
    let path = |n: usize| format!("/Users/{}", ids[n]);
    world.patch(&path(0), active(false)).await.expect(200);
    let ended = world.patch(&path(1), active(false)).await.expect(403);
    let deleted = world.send("DELETE", &path(2), None).await.expect(403);
    for (n, refused) in [(1, ended), (2, deleted)] {
        let hold = hold_of(&refused.body);
        world.patch(&path(n), active(true)).await.expect(200);
        is_shown_anew(&world, &hold, "was written again after it was held").await;
        let shown = world.get(&path(n)).await.expect(200);
        assert_eq!(shown.body["active"], true);
        approved(&world, &hold).await;
    }
    assert_eq!(world.get(&path(1)).await.body["active"], false);
    world.get(&path(2)).await.expect(404);
    // And so within one request.
    let of = |to: bool| json!({ "method": "PATCH", "path": path(3), "data": { "Operations": active(to) } });
    let both = json!({ "Operations": [of(false), of(true)] });
    let told = world.post("/Bulk", both).await.expect(200);
    let hold = hold_of(&told.body["Operations"][0]["response"]);
    is_shown_anew(&world, &hold, "was written again after it was held").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_is_called_since_is_not_undone_unseen() {
    let (world, ids, id) = dev_of_thirty().await;
    let path = format!("/Groups/{id}");
    let title = |to: &str| json!([{ "op": "replace", "path": "externalId", "value": to }]);
    world.patch(&path, title("first")).await.expect(204);
    let mut keeps = group("dev", &ids[..18]);
    keeps["externalId"] = "asked".into();
    let hold = hold_of(&world.put(&path, keeps.clone()).await.expect(403).body);
    let (_, shown) = act(&world, &hold, "").await;
    assert_eq!(shown["plan"]["sets"], json!(["externalId"]), "{shown}");
    // It is changed as it was shown, from another value.
    world.patch(&path, title("second")).await.expect(204);
    let renames = json!([{ "op": "replace", "path": "displayName", "value": "core" }]);
    world.patch(&path, renames).await.expect(204);
    is_shown_anew(&world, &hold, "changed since: displayName, externalId").await;
    let now = world.get(&path).await.body;
    assert_eq!(
        (&now["displayName"], &now["externalId"]),
        (&json!("core"), &json!("second"))
    );
    assert_eq!(world.members(&id).await.len(), 30);
    approved(&world, &hold).await;
    let now = world.get(&path).await.body;
    assert_eq!(
        (&now["displayName"], &now["externalId"]),
        (&json!("dev"), &json!("asked"))
    );
    assert_eq!(world.members(&id).await.len(), 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_names_are_left_of_is_not_undone_unseen_either() {
    let (world, ids, id) = dev_of_thirty().await;
    let path = format!("/Groups/{id}");
    let keeps = group("dev", &ids[..18]);
    let hold = hold_of(&world.put(&path, keeps).await.expect(403).body);
    let gone = json!([{ "op": "remove", "path": "members", "value": values(&ids[18..]) }]);
    let other = hold_of(&world.patch(&path, gone).await.expect(403).body);
    approved(&world, &other).await;
    let renames = json!([{ "op": "replace", "path": "displayName", "value": "core" }]);
    world.patch(&path, renames).await.expect(204);
    // Nobody goes by it any more.
    is_shown_anew(&world, &hold, "was changed since: displayName").await;
    assert_eq!(world.get(&path).await.body["displayName"], "core");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_user_is_called_since_is_not_undone_unseen() {
    let rules = "guard = { removals = { more_than = 1, percent = 0 } }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 2).await;
    let path = |n: usize| format!("/Users/{}", ids[n]);
    let ends = json!([{ "op": "replace", "path": "active", "value": false }]);
    world.patch(&path(0), ends.clone()).await.expect(200);
    let mut row = world.get(&path(1)).await.body;
    row["active"] = false.into();
    let hold = hold_of(&world.put(&path(1), row).await.expect(403).body);
    let other = hold_of(&world.patch(&path(1), ends).await.expect(403).body);
    approved(&world, &other).await;
    let named = json!([{ "op": "replace", "path": "title", "value": "Lead" }]);
    world.patch(&path(1), named).await.expect(200);
    is_shown_anew(&world, &hold, "was changed since: title").await;
    assert_eq!(world.get(&path(1)).await.body["title"], "Lead");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_a_user_came_into_since_is_not_left_unseen() {
    let rules = "guard = { removals = { more_than = 1, percent = 0 } }";
    let world = World::with(rules, &["--empty"]).await;
    let ids = world.users("m", 3).await;
    let first = world.group("first", &ids).await;
    let second = world.group("second", &ids[..1]).await;
    let path = |n: usize| format!("/Users/{}", ids[n]);
    let ends = json!([{ "op": "replace", "path": "active", "value": false }]);
    world.patch(&path(0), ends.clone()).await.expect(200);
    let deleted = world.send("DELETE", &path(1), None).await.expect(403);
    let ended = world.patch(&path(2), ends).await.expect(403);
    for (n, refused) in [(1, deleted), (2, ended)] {
        let hold = hold_of(&refused.body);
        let (_, shown) = act(&world, &hold, "").await;
        assert_eq!(shown["plan"]["removes"], json!([first]), "{shown}");
        let add = json!([{ "op": "add", "path": "members", "value": values(&ids[n..=n]) }]);
        world
            .patch(&format!("/Groups/{second}"), add)
            .await
            .expect(204);
        is_shown_anew(&world, &hold, "in 1 Groups that were not among those shown").await;
        let (_, shown) = act(&world, &hold, "").await;
        assert_eq!(shown["plan"]["removes"], json!([first, second]), "{shown}");
        assert!(world.members(&second).await.contains(&ids[n]));
        approved(&world, &hold).await;
    }
    world.get(&path(1)).await.expect(404);
    assert_eq!(world.get(&path(2)).await.body["active"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_deleted_since_is_left_out_and_told() {
    let world = World::with("guard = {}", &["--empty"]).await;
    let ids = world.users("m", 31).await;
    let id = world.group("dev", &ids[..30]).await;
    let path = format!("/Groups/{id}");
    let mut keeps = ids[..18].to_vec();
    keeps.push(ids[30].clone());
    let held = world.put(&path, group("dev", &keeps)).await.expect(403);
    let hold = hold_of(&held.body);
    for gone in [&ids[0], &ids[30]] {
        let path = format!("/Users/{gone}");
        world.send("DELETE", &path, None).await.expect(204);
    }
    let left_out = json!([ids[0], ids[30]]);
    let (code, plan) = act(&world, &hold, "/plan").await;
    assert_eq!(
        (code, &plan["answers"][0]["skipped"]),
        (200, &left_out),
        "{plan}"
    );
    let (said, ok) = told(&world, &["held", "approve", &hold]);
    assert!(ok && said.contains("left out"), "{said}");
    assert!(said.contains(&ids[0]) && said.contains(&ids[30]), "{said}");
    let stay: std::collections::BTreeSet<_> = ids[1..18].iter().cloned().collect();
    assert_eq!(world.members(&id).await, stay);
    // Of whoever sends one nobody is left out unasked.
    world.put(&path, group("dev", &keeps)).await.expect(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_any_more_says_how_it_ends() {
    let world = World::with("guard = {}", &["--empty"]).await;
    let ids = world.users("m", 31).await;
    let id = world.group("dev", &ids[..30]).await;
    let path = format!("/Groups/{id}");
    let only = group("dev", &ids[30..]);
    let hold = hold_of(&world.put(&path, only).await.expect(403).body);
    let gone = format!("/Users/{}", ids[30]);
    world.send("DELETE", &gone, None).await.expect(204);
    // Nobody of those who were to stay is left.
    for asked in ["/plan", "/approve"] {
        let (code, told) = act(&world, &hold, asked).await;
        let told = told["error"].to_string();
        assert!(code == 400 && told.contains(&ids[30]), "{code} {told}");
        assert!(told.contains(&format!("held reject {hold}")), "{told}");
    }
    assert_eq!(world.members(&id).await.len(), 30);
    let (code, told) = act(&world, &hold, "/reject").await;
    assert_eq!(code, 200, "{told}");
}
