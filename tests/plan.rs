//! What would happen now, told without doing it, and then done just so.

use serde_json::{Value, json};

use crate::support::{World, group, user, values};

fn plan(world: &World, more: &[&str]) -> (Value, String) {
    let (said, wrong, ok) = world.run(&[&["plan"], more].concat());
    let plan = if ok {
        serde_json::from_str(&said).expect("JSON")
    } else {
        Value::Null
    };
    (plan, wrong)
}

#[tokio::test]
async fn the_next_calls_are_told_and_then_made() {
    let world = World::start().await;
    let users = world.users("p", 3).await;
    let group = world.group("planned", &users[..2]).await;
    let (nothing, _) = plan(&world, &["--connection", "acme"]);
    assert_eq!(nothing["pending"], json!([]));

    world.run(&["pause"]);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while world.status().await["everythingPaused"] != true {
        assert!(std::time::Instant::now() < end);
    }
    let change = json!([
        { "op": "add", "path": "members", "value": values(&users[2..]) },
        { "op": "remove", "path": format!("members[value eq \"{}\"]", users[0]) },
    ]);
    world.patch(&format!("/Groups/{group}"), change).await;
    world.forget_calls().await;
    let (told, wrong) = plan(&world, &["--connection", "acme"]);
    let [lane] = &told["pending"].as_array().expect(&wrong)[..] else {
        panic!("{told:#}");
    };
    assert_eq!(lane["resourceType"], "Group");
    let names = |of: &Value| -> Vec<(String, String)> {
        let all = of["operations"].as_array().expect("operations");
        let one = |o: &Value| {
            let who = o["members"][0]["id"].as_str().expect("an id");
            (
                o["operation"].as_str().expect("a name").to_owned(),
                who.to_owned(),
            )
        };
        all.iter().map(one).collect()
    };
    let expected = [
        ("add_members".to_owned(), users[2].clone()),
        ("remove_members".to_owned(), users[0].clone()),
    ];
    assert_eq!(names(lane), expected);
    let (of_group, _) = plan(&world, &["--connection", "acme", "--group", &group]);
    assert_eq!(of_group, told);
    assert_eq!(world.calls().await, Vec::<Value>::new(), "nothing is done");

    world.run(&["resume"]);
    let left = [crate::support::address("p1"), crate::support::address("p2")];
    world.until_upstream_has("planned", &left.into()).await;
    let calls = world.calls().await;
    let methods: Vec<_> = calls
        .iter()
        .map(|c| c["method"].as_str().expect("a method"))
        .collect();
    assert_eq!(methods, ["POST", "DELETE"], "{calls:#?}");
}

#[tokio::test]
async fn what_waits_for_something_else_is_told_with_what_it_waits_for() {
    let world = World::start().await;
    let users = world.users("p", 2).await;
    let id = world.group("planned", &users).await;
    world.run(&["pause"]);
    world
        .send("DELETE", &format!("/Groups/{id}"), None)
        .await
        .expect(204);
    let same = world.group("planned", &users[1..]).await;
    world
        .send("DELETE", &format!("/Users/{}", users[0]), None)
        .await
        .expect(204);
    let anew = world.user("p0").await;
    let (told, wrong) = plan(&world, &["--connection", "acme"]);
    let all = told["pending"].as_array().expect(&wrong);
    for (id, what) in [
        (anew, "same account was deleted"),
        (same.clone(), "same displayName"),
    ] {
        let lane = all.iter().find(|lane| lane["id"] == id.as_str());
        let lane = lane.unwrap_or_else(|| panic!("{told:#}"));
        let why = lane["waitsFor"].as_str().expect("a reason");
        assert!(why.contains(what), "{why}");
        assert_eq!(lane["operations"], json!([]));
    }
    let (told, _) = plan(&world, &["--connection", "acme", "--group", &same]);
    assert_eq!(told["pending"][0]["id"], same.as_str(), "{told:#}");
    world.run(&["resume"]);
    let left = [crate::support::address("p1")];
    world.until_upstream_has("planned", &left.into()).await;
}

/// A whole group or user, which takes away what it leaves out.
async fn put_is_rehearsed(world: &World, id: &str, users: &[String]) {
    let rehearse = |path: String, body: Value| {
        let request = json!({ "method": "PUT", "path": path, "body": body });
        let file = world.file("put.json", &request.to_string());
        plan(world, &["--connection", "acme", "--request", &file]).0
    };
    let of_group = |members: &[String]| {
        let body = group("filed", members);
        rehearse(format!("/Groups/{id}"), body)
    };
    let told = of_group(&users[..1]);
    assert_eq!(told["plan"]["removed"], 11, "{told:#}");
    assert!(told["rule"].is_string(), "a guard rail: {told:#}");
    let told = of_group(&users[1..]);
    assert_eq!(told["plan"]["removed"], 1, "{told:#}");
    assert_eq!(told["rule"], Value::Null, "{told:#}");
    let told = of_group(users);
    assert_eq!(told["plan"]["removed"], 0, "{told:#}");
    for (active, takes) in [(false, "the access"), (true, "nothing")] {
        let mut body = user("f0");
        body["active"] = active.into();
        let told = rehearse(format!("/Users/{}", users[0]), body);
        let said = told["takesAway"].as_str().expect("words");
        assert!(said.starts_with(takes), "{told:#}");
    }
    assert_eq!(world.members(id).await.len(), users.len());
}

#[tokio::test]
async fn a_request_in_a_file_is_judged_and_not_done() {
    let world = World::with("guard = { enabled = true }", &["--empty"]).await;
    let users = world.users("f", 12).await;
    let group = world.group("filed", &users).await;
    let file = world.file(
        "request.json",
        &json!({
            "method": "PATCH", "path": format!("/Groups/{group}"),
            "body": { "Operations": [{ "op": "remove", "path": "members" }] },
        })
        .to_string(),
    );
    let arguments = ["--connection", "acme", "--request", file.as_str()];
    let (told, wrong) = plan(&world, &arguments);
    assert_eq!(told["plan"]["removed"], 12, "{told:#} {wrong}");
    assert!(
        told["rule"].is_string(),
        "a guard rail would stop it: {told:#}"
    );
    assert_eq!(world.members(&group).await.len(), 12);
    // So can what changes a user: with its access it would take something away.
    for (active, takes) in [(false, "the access"), (true, "nothing")] {
        let value = json!([{ "op": "replace", "path": "active", "value": active }]);
        let request = json!({
            "method": "PATCH", "path": format!("/Users/{}", users[0]),
            "body": { "Operations": value },
        });
        let file = world.file("user.json", &request.to_string());
        let (told, wrong) = plan(&world, &["--connection", "acme", "--request", &file]);
        let said = told["takesAway"].as_str().expect(&wrong);
        assert!(said.starts_with(takes), "{told:#}");
    }
    put_is_rehearsed(&world, &group, &users).await;
    let kept = world.get(&format!("/Users/{}", users[0])).await.expect(200);
    assert_eq!(kept.body["active"], true);
    let file = world.file("bad.json", "{");
    let (_, wrong) = plan(&world, &["--connection", "acme", "--request", &file]);
    assert!(wrong.contains("no JSON"), "{wrong}");
    let (_, wrong) = plan(&world, &["--connection", "nobody"]);
    assert!(wrong.contains("no connection"), "{wrong}");
}

#[tokio::test]
async fn who_waits_for_an_account_is_told_after_it_and_then_added() {
    let world = World::start().await;
    let users = world.users("p", 2).await;
    let group = world.group("planned", &users[..1]).await;
    world.run(&["pause"]);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while world.status().await["everythingPaused"] != true {
        assert!(std::time::Instant::now() < end);
    }
    let new = world.user("new").await;
    let add = |id: &String| json!([{ "op": "add", "path": "members", "value": values(std::slice::from_ref(id)) }]);
    let path = format!("/Groups/{group}");
    world.patch(&path, add(&new)).await;
    let of_group = |told: &Value| {
        let all = told["pending"].as_array().expect("a list");
        let all = all.iter().filter(|it| it["id"] == json!(group));
        let one = |it: &Value| {
            let operation = &it["operations"][0];
            let who = operation["members"][0]["id"].as_str().expect("an id");
            assert_eq!(operation["operation"], "add_members", "{it:#}");
            (who.to_owned(), it["waitsFor"].clone())
        };
        all.map(one).collect::<Vec<_>>()
    };
    let waits = (new.clone(), json!("accounts"));
    let (told, wrong) = plan(&world, &["--connection", "acme"]);
    let creates = &told["pending"][0]["operations"][0]["operation"];
    assert_eq!(creates, "create_user", "{told:#} {wrong}");
    assert_eq!(of_group(&told), std::slice::from_ref(&waits), "{told:#}");
    let (told, _) = plan(&world, &["--connection", "acme", "--group", &group]);
    assert_eq!(of_group(&told), std::slice::from_ref(&waits), "{told:#}");
    // Who has an account waits for nobody.
    world.patch(&path, add(&users[1])).await;
    let (told, _) = plan(&world, &["--connection", "acme", "--group", &group]);
    assert_eq!(
        of_group(&told),
        [(users[1].clone(), Value::Null), waits],
        "{told:#}"
    );

    world.run(&["resume"]);
    let all = ["p0", "p1", "new"].map(crate::support::address);
    world.until_upstream_has("planned", &all.into()).await;
    let (told, _) = plan(&world, &["--connection", "acme"]);
    assert_eq!(told["pending"], json!([]));
}
