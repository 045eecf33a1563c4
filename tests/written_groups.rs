//! Hydden.Control with `write_groups = true`: groups are made, renamed and
//! deleted as records, under ids that the application gives, and their members
//! stay what is shown. No lost answer makes a group twice, and nothing that
//! somebody else has made is taken over.

use serde_json::{Value, json};

use crate::{
    hydden::{find, ids, read_again},
    support::{Application, World, eventually, group},
};

async fn written(late_writes: &str) -> World {
    let settings = format!(
        "import = \"never\"\nread_lag = \"50ms\"\nsync_wait = \"2s\"\nlate_writes = \"{late_writes}\""
    );
    let mut world = World::of(Application::Hydden, &settings).await;
    world
        .seed(json!({
            "users": [{ "email": "ann@example.com" }],
            "groups": [{ "name": "Crew", "members": ["ann@example.com"] }],
        }))
        .await;
    world.stop_bridge();
    world.reconfigure(|text| {
        text.replace(
            "kind = \"hydden\"",
            "kind = \"hydden\"\nwrite_groups = true\ntimeout = \"3s\"",
        )
    });
    world.start_bridge();
    read_again(&mut world);
    world
}

/// The application's groups as (id, name), in order.
async fn there(world: &World) -> Vec<(String, String)> {
    let state = world.state().await;
    let groups = state["groups"].as_array().unwrap().clone();
    let text = |group: &Value, key: &str| group[key].as_str().unwrap_or_default().to_owned();
    let groups = groups.iter().map(|it| (text(it, "id"), text(it, "name")));
    groups.collect()
}

fn pair(id: &str, name: &str) -> (String, String) {
    (id.to_owned(), name.to_owned())
}

fn crew() -> (String, String) {
    pair("grp-1", "Crew")
}

async fn until_there(world: &World, expected: &[(String, String)]) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let now = there(world).await;
        let status = world.status().await;
        let pending = status["connections"][0]["pending"]["groups"].as_u64();
        if now == expected && pending == Some(0) {
            return;
        }
        assert!(std::time::Instant::now() < end, "{now:?} {status}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn once(failure: Value, operation: &str) -> Value {
    json!({ "rules": [{ "failure": failure, "operation": operation, "next": 1 }] })
}

async fn rename(world: &World, path: &str, name: &str) -> crate::support::Reply {
    let rename = json!([{ "op": "replace", "path": "displayName", "value": name }]);
    world.patch(path, rename).await
}

#[tokio::test]
async fn a_group_is_made_renamed_and_deleted_and_nobody_is_put_into_it() {
    let mut world = written("2m").await;
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    assert_eq!(there(&world).await, [crew(), pair("grp-3", "New")]);
    rename(&world, &path, "Newer").await.expect(204);
    assert_eq!(there(&world).await, [crew(), pair("grp-3", "Newer")]);
    // The members that it comes to have are shown, and what it is called there.
    world.put(&path, group("Newest", &[])).await.expect(200);
    read_again(&mut world);
    let shown = world.get(&path).await.expect(200).body;
    let own = "urn:ietf:params:scim:schemas:extension:hydden:2.0:Group";
    assert_eq!(
        (&shown["displayName"], &shown[own]["group"]),
        (&json!("Newest"), &json!("grp-3"))
    );

    let ann = find(&world, "Users", "userName eq \"ann@example.com\"").await;
    let ann = ann["id"].as_str().unwrap().to_owned();
    let with_her = std::slice::from_ref(&ann);
    let ((), calls) = world
        .calls_of(async {
            for answer in [
                world.post("/Groups", group("Other", with_her)).await,
                world.put(&path, group("Newest", with_her)).await,
                world
                    .patch(
                        &path,
                        json!([{ "op": "add", "path": "members", "value": [{ "value": ann }] }]),
                    )
                    .await,
            ] {
                let body = answer.expect(400).body;
                assert_eq!(body["scimType"], "mutability", "{body}");
                let detail = body["detail"].as_str().unwrap();
                assert!(detail.contains("documents no way to add"), "{detail}");
            }
        })
        .await;
    assert_eq!(calls, Vec::<Value>::new());
    world.send("DELETE", &path, None).await.expect(204);
    assert_eq!(there(&world).await, [crew()]);
    world.get(&path).await.expect(404);
}

#[tokio::test]
async fn what_was_found_there_is_neither_renamed_nor_deleted_from_here() {
    let world = written("2m").await;
    let found = find(&world, "Groups", "displayName eq \"Crew\"").await;
    let path = format!("/Groups/{}", found["id"].as_str().unwrap());
    let ((), calls) = world
        .calls_of(async {
            for answer in [
                rename(&world, &path, "Other").await.expect(400),
                world.send("DELETE", &path, None).await.expect(403),
            ] {
                let detail = answer.body["detail"].as_str().unwrap().to_owned();
                assert!(
                    detail.contains("was found in Hydden.Control by import"),
                    "{detail}"
                );
            }
            world.post("/Groups", group("CREW", &[])).await.expect(409);
            world
                .put(&path, group("Crew", &ids(&found)))
                .await
                .expect(200);
        })
        .await;
    assert_eq!(calls, Vec::<Value>::new());
}

#[tokio::test]
async fn a_group_whose_creation_was_not_answered_is_found_again_and_not_made_twice() {
    for failure in ["reset_after", "error_after", "truncated", "web_page"] {
        let world = written("2m").await;
        // Called so by somebody else, and nobody here has heard of it.
        let other = json!({ "name": "New one" });
        world
            .as_administrator("POST", "/api/v1/groups", other)
            .await;
        world.faults(once(json!(failure), "create_group")).await;
        let made = world.post("/Groups", group("New", &[])).await.expect(201);
        let expected = [crew(), pair("grp-3", "New one"), pair("grp-4", "New")];
        until_there(&world, &expected).await;
        let path = format!("/Groups/{}", made.id());
        rename(&world, &path, "Newer").await.expect(204);
        world.send("DELETE", &path, None).await.expect(204);
        until_there(&world, &expected[..2]).await;
    }
}

#[tokio::test]
async fn a_creation_that_was_not_done_is_sent_again_when_it_cannot_land_any_more() {
    let world = written("3s").await;
    world
        .faults(once(json!("reset_before"), "create_group"))
        .await;
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    assert_eq!(made.headers["drawbridge-pending"], "true");
    // Called otherwise before it is there.
    let path = format!("/Groups/{}", made.id());
    rename(&world, &path, "Newer").await.expect(204);
    until_there(&world, &[crew(), pair("grp-3", "Newer")]).await;
}

#[tokio::test]
async fn a_group_that_is_deleted_before_its_creation_was_answered_does_not_stay() {
    let world = written("2m").await;
    world
        .faults(once(json!("silent_after"), "create_group"))
        .await;
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    world.send("DELETE", &path, None).await.expect(204);
    until_there(&world, &[crew()]).await;
}

/// Somebody else made it shortly before, and the creation was not done.
#[tokio::test]
async fn an_empty_group_that_was_made_before_it_was_asked_for_is_used_and_not_deleted() {
    let world = written("2m").await;
    let theirs = json!({ "name": "New" });
    world
        .as_administrator("POST", "/api/v1/groups", theirs)
        .await;
    // So that their age differs, also in whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    world
        .faults(once(json!("reset_before"), "create_group"))
        .await;
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    rename(&world, &path, "Newer").await.expect(204);
    let expected = [crew(), pair("grp-3", "Newer")];
    until_there(&world, &expected).await;
    world.send("DELETE", &path, None).await.expect(204);
    let left_alone = async || world.status().await["connections"][0]["leftAlone"].clone();
    eventually("it is told", async || {
        left_alone().await[0]["name"] == "Newer"
    })
    .await;
    assert_eq!(there(&world).await, expected);
}

#[tokio::test]
async fn a_creation_that_a_crash_left_open_is_found_again() {
    let mut world = written("2m").await;
    world
        .faults(once(json!("silent_after"), "create_group"))
        .await;
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    world.kill_and_restart();
    until_there(&world, &[crew(), pair("grp-3", "New")]).await;
    let path = format!("/Groups/{}", made.id());
    assert_eq!(
        world.get(&path).await.expect(200).body["displayName"],
        "New"
    );
    rename(&world, &path, "Newer").await.expect(204);
    until_there(&world, &[crew(), pair("grp-3", "Newer")]).await;
}

#[tokio::test]
async fn what_the_application_refuses_is_refused_and_is_as_before() {
    let world = written("2m").await;
    let conflict = json!({ "status": { "status": 409 } });
    world.faults(once(conflict.clone(), "create_group")).await;
    let refused = world.post("/Groups", group("New", &[])).await.expect(409);
    assert_eq!(refused.body["scimType"], "uniqueness");
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    for status in [409, 400] {
        let no = json!({ "status": { "status": status } });
        world.faults(once(no, "update_group")).await;
        rename(&world, &path, "Other").await.expect(status);
        assert_eq!(
            world.get(&path).await.expect(200).body["displayName"],
            "New"
        );
    }
    rename(&world, &path, "Other").await.expect(204);
    world
        .faults(once(json!("reset_after"), "update_group"))
        .await;
    rename(&world, &path, "Third").await.expect(204);
    until_there(&world, &[crew(), pair("grp-3", "Third")]).await;
    world
        .faults(once(json!("reset_after"), "delete_group"))
        .await;
    world.send("DELETE", &path, None).await.expect(204);
    until_there(&world, &[crew()]).await;
}

/// A success says so, and the group keeps its name.
#[tokio::test]
async fn a_name_that_is_not_taken_is_said_again_more_and_more_seldom_and_told() {
    let world = written("1s").await;
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    let nothing = json!({ "status": { "status": 204 } });
    let rule = json!({ "failure": nothing, "operation": "update_group" });
    world.faults(json!({ "rules": [rule] })).await;
    let ((), calls) = world
        .calls_of(async {
            let told = rename(&world, &path, "Newer").await.expect(204);
            assert_eq!(told.headers["drawbridge-pending"], "true");
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        })
        .await;
    let puts = calls.iter().filter(|it| it["method"] == "PUT").count();
    assert!((2..=4).contains(&puts), "{puts} of {calls:#?}");
    let status = world.status().await;
    let connection = &status["connections"][0];
    assert_eq!(connection["pending"]["groups"], 1, "{connection:#}");
    let failing = &connection["failing"][0];
    assert_eq!(failing["id"], made.id(), "{connection:#}");
    let reason = failing["reason"].as_str().unwrap();
    assert!(reason.contains("no look shows it"), "{reason}");
    world.faults(json!({ "rules": [] })).await;
    until_there(&world, &[crew(), pair("grp-3", "Newer")]).await;
}

#[tokio::test]
async fn a_group_that_somebody_deleted_there_is_not_made_again_before_it_is_asked_for() {
    let world = written("2m").await;
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    world
        .as_administrator("DELETE", "/api/v1/groups/grp-3", Value::Null)
        .await;
    let told = rename(&world, &path, "Newer").await.expect(400);
    let detail = told.body["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("does not know it any more"), "{detail}");
    assert_eq!(there(&world).await, [crew()]);
    rename(&world, &path, "Newest").await.expect(204);
    until_there(&world, &[crew(), pair("grp-4", "Newest")]).await;
}

#[tokio::test]
async fn the_table_and_the_schemas_say_what_is_written() {
    let world = written("2m").await;
    let (said, _, _) = world.run(&["check"]);
    for row in [
        "yes  create a group",
        "yes  rename a group",
        "yes  delete a group",
    ] {
        let words: Vec<&str> = row.split("  ").collect();
        let line = said.lines().find(|line| line.contains(words[1]));
        assert!(
            line.is_some_and(|line| line.contains(words[0])),
            "{row}: {said}"
        );
    }
    let urn = "urn:ietf:params:scim:schemas:core:2.0:Group";
    let schema = world.get(&format!("/Schemas/{urn}")).await.expect(200).body;
    let attributes = schema["attributes"].as_array().unwrap().clone();
    let mutability = |name: &str| {
        let found = attributes.iter().find(|it| it["name"] == name);
        found.map(|it| it["mutability"].clone())
    };
    assert_eq!(mutability("displayName"), Some(json!("readWrite")));
    assert_eq!(mutability("members"), Some(json!("readOnly")));
}

#[tokio::test]
async fn a_name_that_somebody_gave_there_is_told_and_the_one_that_is_said_here_given_again() {
    let world = written("2m").await;
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    // Two that are called the same are told apart where they are listed, and are no news.
    world.post("/Groups", group("Crews", &[])).await.expect(201);
    let put = |id: &str, name: &str| {
        let at = format!("/api/v1/groups/{id}");
        (at, json!({ "name": name }))
    };
    for (at, name) in [put("grp-3", "By hand"), put("grp-1", "Crews")] {
        world.as_administrator("PUT", &at, name).await;
    }
    let (said, wrong, _) = world.run(&["reconcile"]);
    let told = said.matches("another name in the application").count();
    assert_eq!(told, 1, "{said}{wrong}");
    assert!(said.contains(made.id().as_str()), "{said}");
    let by_hand = pair("grp-3", "By hand");
    let (crews, mine) = (pair("grp-1", "Crews"), pair("grp-4", "Crews"));
    assert_eq!(there(&world).await, [crews.clone(), by_hand, mine.clone()]);

    let (said, wrong, _) = world.run(&["reconcile", "--apply"]);
    assert!(!said.contains("another name"), "{said}{wrong}");
    let again = [crews, pair("grp-3", "New"), mine];
    until_there(&world, &again).await;
    assert_eq!(
        world.get(&path).await.expect(200).body["displayName"],
        "New"
    );
    let (_, calls) = world
        .calls_of(async { world.run(&["reconcile", "--apply"]) })
        .await;
    assert!(calls.iter().all(|it| it["method"] == "GET"), "{calls:?}");
}

/// It has the name of a group that somebody else has made since the last import, and
/// whose members are in it through another one.
#[tokio::test]
async fn a_group_whose_members_are_in_it_through_others_is_not_taken_over_nor_deleted() {
    let world = written("2s").await;
    world
        .seed(json!({
            "users": [{ "email": "ann@example.com" }],
            "groups": [
                { "name": "Crew", "members": ["ann@example.com"] },
                { "name": "New", "members": [], "nested": ["Crew"] },
            ],
        }))
        .await;
    let before = there(&world).await;
    world
        .faults(once(json!({ "status": { "status": 502 } }), "create_group"))
        .await;
    let made = world.post("/Groups", group("New", &[])).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    world.send("DELETE", &path, None).await.expect(204);
    until_there(&world, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_connection_has_made_is_neither_taken_over_nor_deleted() {
    let settings = "import = \"never\"\nread_lag = \"50ms\"\nlate_writes = \"2s\"";
    let company = json!({ "users": [{ "email": "ann@example.com" }] });
    let own = ["write_groups = true"; 2];
    let (mut world, mut other) = World::pair_of(Application::Hydden, settings, own, company).await;
    world.turn_to(&mut other);
    world.post("/Groups", group("New", &[])).await.expect(201);
    let before = there(&world).await;
    world.turn_to(&mut other);
    world
        .faults(once(json!({ "status": { "status": 502 } }), "create_group"))
        .await;
    let refused = world.post("/Groups", group("New", &[])).await.expect(409);
    let told = refused.body["detail"].as_str().unwrap().to_owned();
    assert!(told.contains("another connection of this bridge"), "{told}");
    assert_eq!(there(&world).await, before);
}
