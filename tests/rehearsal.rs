//! `plan --request`: every request that an identity provider may send is told
//! before it is made, changes nothing, and is then made just so.

use serde_json::{Value, json};

use crate::support::{World, address, group, user, values};

/// What a request would do, as the command tells it.
fn plan(world: &World, request: &Value) -> Value {
    let file = world.file("request.json", &request.to_string());
    let arguments = ["plan", "--connection", "acme", "--request", file.as_str()];
    let (said, wrong, ok) = world.run(&arguments);
    assert!(ok, "{request}: {wrong}");
    serde_json::from_str(&said).expect("JSON")
}

/// A call: what it does, to what, and with how many members.
type Call = (String, String, usize);

fn planned(told: &Value) -> Vec<Call> {
    let lanes = told["calls"].as_array().expect("calls");
    let operations = lanes
        .iter()
        .flat_map(|lane| lane["operations"].as_array().expect("operations"));
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    operations
        .map(|operation| {
            let name = text(&operation["operation"]);
            let of = match &*name {
                "add_members" | "remove_members" | "replace_members" => &operation["group"],
                "create_group" | "delete_group" => &operation["name"],
                _ => &Value::Null,
            };
            let members = operation["members"].as_array().map_or(0, Vec::len);
            (name, text(of), members)
        })
        .collect()
}

/// The writes among the calls that the application received.
fn made(calls: &[Value]) -> Vec<Call> {
    let writes = calls.iter().filter(|call| call["method"] != "GET");
    writes
        .map(|call| {
            let path = call["path"].as_str().expect("a path");
            let segments: Vec<&str> = path.trim_start_matches("/api/v2/").split('/').collect();
            let method = call["method"].as_str().expect("a method");
            let (name, of) = match (method, &segments[..]) {
                ("POST", ["usermanagement", "user"]) => ("create_user", ""),
                ("DELETE", ["usermanagement", "user", _]) => ("deactivate_user", ""),
                (_, ["usermanagement", "user", _, "siterole"]) => ("set_role", ""),
                (_, ["data", "people", ..]) => ("upsert_profile", ""),
                ("POST", ["groupmanagement", "group"]) => ("create_group", ""),
                ("DELETE", ["groupmanagement", "group", name]) => ("delete_group", *name),
                ("POST", ["groupmanagement", "group", name, "members"]) => ("add_members", *name),
                ("DELETE", ["groupmanagement", "group", name, "members"]) => {
                    ("remove_members", *name)
                }
                ("PUT", ["groupmanagement", "group", name, "members"]) => {
                    ("replace_members", *name)
                }
                other => panic!("{other:?}"),
            };
            let body: Value =
                serde_json::from_str(call["body"].as_str().expect("a body")).unwrap_or_default();
            let of = match name {
                "create_group" => body["name"].as_str().expect("a name"),
                _ => of,
            };
            let lists = ["members", "groupMemberUserIds", "groupMemberEmailAddresses"];
            let lists = lists.iter().filter_map(|key| body[key].as_array());
            (name.to_owned(), of.to_owned(), lists.map(Vec::len).sum())
        })
        .collect()
}

/// Everything that a plan must leave as it is.
async fn all(world: &World) -> (String, Value, Value, Vec<Value>) {
    let (audit, wrong, ok) = world.run(&["audit", "export"]);
    assert!(ok, "{wrong}");
    let users = world.get("/Users?count=100").await.expect(200).body;
    let groups = world.get("/Groups?count=100").await.expect(200).body;
    (audit, users, groups, world.calls().await)
}

/// Plans a request, sees that nothing came of it, makes it, and sees what did.
async fn planned_and_made(world: &World, method: &str, path: &str, body: Value) -> Value {
    world.forget_calls().await;
    let before = all(world).await;
    let told = plan(
        world,
        &json!({ "method": method, "path": path, "body": body }),
    );
    assert_eq!(all(world).await, before, "a plan does nothing");
    let sent = (!body.is_null()).then_some(body);
    let below = path.split("/scim/v2").last().expect("a path");
    let answer = world.send(method, below, sent).await;
    assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut calls = world.calls().await;
    let expected = planned(&told);
    // The second step of a deletion is waited for by nobody.
    while in_one(made(&calls)) != in_one(expected.clone()) || is_open(world).await {
        assert!(
            std::time::Instant::now() < end,
            "{method} {path}: {expected:?} {:?} {told:#}",
            made(&calls)
        );
        calls = world.calls().await;
    }
    if !path.ends_with("/Bulk") {
        assert_eq!(made(&calls), expected, "{method} {path}");
    }
    answer.body
}

async fn is_open(world: &World) -> bool {
    let counts = &world.status().await["connections"][0]["pending"];
    let numbers = counts.as_object().expect("counts").values();
    numbers.into_iter().any(|it| it.as_u64() != Some(0))
}

/// Whoever joins a group in one call or several.
fn in_one(calls: Vec<Call>) -> Vec<Call> {
    let mut all: Vec<Call> = Vec::new();
    let mut joins = std::collections::BTreeMap::new();
    for (name, of, members) in calls {
        if ["create_group", "add_members"].contains(&&*name) {
            *joins.entry(of.clone()).or_insert(0) += members;
        }
        if name != "add_members" {
            all.push((name, of, 0));
        }
    }
    all.sort();
    all.extend(
        joins
            .into_iter()
            .map(|(of, members)| ("joins".into(), of, members)),
    );
    all
}

#[tokio::test]
async fn whatever_an_identity_provider_sends_is_told_and_then_made_just_so() {
    let world = World::start().await;
    let made = planned_and_made(&world, "POST", "/Users", user("a")).await;
    let a = made["id"].as_str().expect("an id").to_owned();
    let others = world.users("o", 6).await;
    let team = group("team", &[a.clone(), others[0].clone()]);
    let made = planned_and_made(&world, "POST", "/scim/v2/Groups", team).await;
    let team = made["id"].as_str().expect("an id").to_owned();
    let recorded = format!("https://bridge.example/acme/scim/v2/Groups/{team}?attributes=id");
    let below = format!("/Groups/{team}");
    let change = |operations: Value| json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations });
    let swap = json!([
        { "op": "remove", "path": format!("members[value eq \"{a}\"]") },
        { "op": "add", "path": "members", "value": values(&others[1..3]) },
    ]);
    planned_and_made(&world, "PATCH", &recorded, change(swap.clone())).await;
    // What is so already is no call.
    planned_and_made(&world, "PATCH", &below, change(swap)).await;
    planned_and_made(&world, "PUT", &below, group("team", &others[2..5])).await;
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Team 1" }]);
    planned_and_made(&world, "PATCH", &below, change(rename)).await;
    let mut body = user("a");
    body["title"] = "Chief".into();
    body["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] =
        json!({ "department": "D" });
    planned_and_made(&world, "PUT", &format!("/Users/{a}"), body).await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let on = json!([{ "op": "replace", "path": "active", "value": true }]);
    let member = format!("/Users/{}", others[2]);
    planned_and_made(&world, "PATCH", &member, change(off)).await;
    planned_and_made(&world, "PATCH", &member, change(on)).await;
    planned_and_made(&world, "DELETE", &member, Value::Null).await;
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            { "method": "POST", "path": "/Groups", "bulkId": "g", "data": group("made", &["bulkId:u".into(), others[0].clone()]) },
            { "method": "POST", "path": "/Users", "bulkId": "u", "data": user("fresh") },
            { "method": "PATCH", "path": below, "data": change(json!([{ "op": "remove", "path": "members" }])) },
            { "method": "DELETE", "path": format!("/Users/{}", others[5]) },
        ],
    });
    planned_and_made(&world, "POST", "/scim/v2/Bulk", bulk).await;
    planned_and_made(&world, "DELETE", &below, Value::Null).await;
}

#[tokio::test]
async fn what_would_be_refused_held_or_not_understood_is_told_with_its_reason() {
    let world = World::with("guard = { enabled = true }", &["--empty"]).await;
    let users = world.users("h", 12).await;
    let team = world.group("held", &users).await;
    let of = |told: &Value| {
        let answer = &told["answers"][0];
        let word = answer["answer"].as_str().unwrap_or_default().to_owned();
        (word, answer["status"].as_u64().unwrap_or_default())
    };
    let below = format!("/Groups/{team}");
    let nobody = "/Groups/01900000-0000-7000-8000-000000000000";
    let empties = json!({ "Operations": [{ "op": "remove", "path": "members" }] });
    let unknown =
        json!({ "Operations": [{ "op": "add", "path": "members", "value": [{ "value": "x" }] }] });
    let nonsense = json!({ "Operations": [{ "op": "jump" }] });
    for (method, path, body, word, status) in [
        ("PATCH", below.as_str(), empties.clone(), "held", 403),
        ("PATCH", &below, unknown, "refused", 400),
        ("PATCH", &below, nonsense, "not understood", 400),
        ("PATCH", &below, json!("{"), "", 0),
        ("DELETE", nobody, Value::Null, "refused", 404),
        ("POST", "/Users", user("h0"), "refused", 409),
        ("POST", "/Planets", json!({}), "not understood", 404),
        ("POST", &below, json!({}), "not understood", 405),
        ("TRACE", &below, json!({}), "not understood", 400),
        ("TRACE", &below, Value::Null, "not understood", 400),
    ] {
        let request = json!({ "method": method, "path": path, "body": body });
        if word.is_empty() {
            let file = world.file("bad.json", &request.to_string());
            let run = world.run(&["plan", "--connection", "acme", "--request", &file]);
            assert!(!run.2 && run.1.contains("JSON"), "{run:?}");
            continue;
        }
        let told = plan(&world, &request);
        assert_eq!(of(&told), (word.to_owned(), status), "{told:#}");
        assert_eq!(told["calls"], json!([]), "{told:#}");
    }
    // Of several only what passes; and nothing was kept of what would be held.
    let told = plan(
        &world,
        &json!({ "method": "POST", "path": "/Bulk", "body": { "Operations": [
            { "method": "PATCH", "path": below, "data": empties },
            { "method": "POST", "path": "/Users", "bulkId": "n", "data": user("new") },
        ] } }),
    );
    assert_eq!(told["answers"][0]["answer"], "held", "{told:#}");
    assert_eq!(told["answers"][1]["answer"], "done", "{told:#}");
    let [(name, ..)] = &planned(&told)[..] else {
        panic!("{told:#}");
    };
    assert_eq!(name, "create_user");
    assert!(world.run(&["held", "list"]).0.contains("nothing waits"));
    let read = plan(
        &world,
        &json!({ "method": "GET", "path": "/Users?count=1" }),
    );
    assert_eq!(read["reads"], true);
    for elsewhere in ["/other/scim/v2", "https://scim.example.com/other/scim/v2"] {
        let asked = json!({ "method": "DELETE", "path": format!("{elsewhere}{below}") });
        let file = world.file("elsewhere.json", &asked.to_string());
        let (_, wrong, ok) = world.run(&["plan", "--connection", "acme", "--request", &file]);
        assert!(!ok && wrong.contains("below the base URL"), "{wrong}");
    }
    // A held request tells what would be sent for it, too.
    world
        .send("PATCH", &below, Some(json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{ "op": "remove", "path": "members" }] })))
        .await
        .expect(403);
    let held = world.operate("GET", "/held").await.1;
    let id = held["held"][0]["id"].as_str().expect("an id");
    let told = world.operate("GET", &format!("/held/{id}/plan")).await.1;
    let expected = ("remove_members".to_owned(), "held".to_owned(), 12);
    assert_eq!(planned(&told), [expected], "{told:#}");
    let account = &told["calls"][0]["operations"][0]["members"][0]["account"];
    assert!(
        account
            .as_str()
            .is_some_and(|it| it.ends_with("@example.com")),
        "{}",
        address("h0")
    );
}

#[tokio::test]
async fn a_plan_of_a_group_tells_its_deletion_and_knows_what_there_is_not() {
    let world = World::start().await;
    let users = world.users("d", 2).await;
    let team = world.group("going", &users).await;
    world.run(&["pause"]);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while world.status().await["everythingPaused"] != true {
        assert!(std::time::Instant::now() < end);
    }
    world
        .send("DELETE", &format!("/Groups/{team}"), None)
        .await
        .expect(204);
    let (said, wrong, _) = world.run(&["plan", "--connection", "acme", "--group", &team]);
    let told: Value = serde_json::from_str(&said).expect(&wrong);
    assert_eq!(
        told["pending"][0]["operations"][0]["operation"],
        "delete_group"
    );
    let nobody = "01900000-0000-7000-8000-000000000000";
    let (_, wrong, ok) = world.run(&["plan", "--connection", "acme", "--group", nobody]);
    assert!(!ok && wrong.contains("no Group"), "{wrong}");
}

/// What a command says that cannot do it.
fn refused(world: &World, request: &Value) -> String {
    let file = world.file("refused.json", &request.to_string());
    let (_, wrong, ok) = world.run(&["plan", "--connection", "acme", "--request", &file]);
    assert!(!ok, "{request}");
    wrong
}

#[tokio::test]
async fn a_file_that_says_too_little_is_told_what_a_request_is() {
    let world = World::start().await;
    for (request, lacks) in [
        (json!({ "method": "PATCH" }), "`path`"),
        (json!({ "path": "/Users/1" }), "`method`"),
        (json!({ "method": "DELETE", "path": 7 }), "a string"),
        (
            json!({ "method": "DELETE", "path": "/Users/1", "boddy": 1 }),
            "`boddy`",
        ),
    ] {
        let wrong = refused(&world, &request);
        let smallest = r#"{"method": "DELETE", "path": "/Users/ID"}"#;
        assert!(wrong.contains(lacks) && wrong.contains(smallest), "{wrong}");
    }
    let bare = json!({ "method": "PATCH", "path": "/Users/1" });
    let wrong = refused(&world, &bare);
    assert!(wrong.contains("a PATCH has a body"), "{wrong}");
}

#[tokio::test]
async fn a_file_is_read_as_a_server_reads_a_request() {
    let world = World::start().await;
    let run = |text: &str| {
        let file = world.file("strict.json", text);
        world.run(&["plan", "--connection", "acme", "--request", &file])
    };
    for (text, why) in [
        (
            r#"{"method":"DELETE","path":"/Users/1","path":"/Users/2"}"#,
            "path",
        ),
        (
            r#"{"method":"PUT","path":"/Users/1","body":{"active":true,"active":false}}"#,
            "active",
        ),
        (
            r#"{"connection":"globex","method":"DELETE","path":"/Users/1"}"#,
            "is of the connection \"globex\", and not of \"acme\"",
        ),
        (
            r#"{"connection":7,"method":"DELETE","path":"/Users/1"}"#,
            "connection 7",
        ),
        ("[]", "is no JSON object"),
    ] {
        let (_, wrong, ok) = run(text);
        let wrong = wrong.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!ok && wrong.contains(why), "{text}: {wrong}");
    }
    let (said, wrong, ok) = run(r#"{"connection":"acme","method":"DELETE","path":"/Users/1"}"#);
    assert!(ok && said.contains("404"), "{said} {wrong}");
}

#[tokio::test]
async fn a_search_is_told_as_the_server_answers_it_and_a_host_that_nobody_knows_is_named() {
    let world = World::start().await;
    for path in [
        "/Users/.search",
        "/.search",
        "/Roles/.search",
        "/Planets/.search",
    ] {
        for method in ["POST", "GET", "PUT", "DELETE"] {
            let request = json!({ "method": method, "path": path, "body": {} });
            let real = world.send(method, path, None).await.status.as_u16();
            if method == "POST" && real != 404 {
                assert_eq!(plan(&world, &request)["reads"], true, "{path}");
                continue;
            }
            let file = world.file("search.json", &request.to_string());
            let run = world.run(&["plan", "--connection", "acme", "--request", &file]);
            let wrong = refused(&world, &request);
            let why = if real == 405 {
                "only POST"
            } else {
                "nothing to search"
            };
            assert!([404, 405].contains(&real), "{method} {path}: {real}");
            assert!(wrong.contains(why), "{method} {path}: {real}, {run:?}");
        }
    }
    let a = world.user("a").await;
    let of = |host: &str| {
        let path = format!("{host}/acme/scim/v2/Users/{a}");
        plan(&world, &json!({ "method": "DELETE", "path": path }))
    };
    let told = of("https://scim.example.com");
    let said = told["notKnown"].as_str().unwrap_or_default();
    assert!(
        said.contains("\"scim.example.com\"") && said.contains("public_url"),
        "{told:#}"
    );
    for here in ["http://localhost:80", "http://[::1]:80", "http://[::1]", ""] {
        let told = of(here);
        assert_eq!(told["answers"][0]["answer"], "done", "{here}: {told:#}");
        assert_eq!(told["notKnown"], Value::Null, "{here}");
    }
}

#[tokio::test]
async fn a_plan_of_what_is_pending_tells_where_a_look_comes_first() {
    let watched = "guard = { enabled = false, protected_groups = [\"adm\"] }";
    let world = World::with(watched, &["--empty"]).await;
    let users = world.users("w", 3).await;
    let adm = world.group("adm", &users).await;
    world.run(&["pause"]);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while world.status().await["everythingPaused"] != true {
        assert!(std::time::Instant::now() < end);
    }
    let out = json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", users[0]) }]);
    world.patch(&format!("/Groups/{adm}"), out).await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    world.patch(&format!("/Users/{}", users[1]), off).await;
    world.user("new").await;
    let (said, wrong, _) = world.run(&["plan", "--connection", "acme"]);
    let told: Value = serde_json::from_str(&said).expect(&wrong);
    let looks = |id: &str| {
        let mut all = told["pending"].as_array().unwrap().iter();
        let one = all.find(|it| it["id"] == id);
        one.unwrap_or_else(|| panic!("{told:#}"))["looksFirst"].clone()
    };
    for id in [&adm, &users[1]] {
        let look = &looks(id)[0];
        assert_eq!(look["group"], "adm", "{told:#}");
        assert_eq!(look["least"], 1, "{told:#}");
        assert_eq!(look["then"], "sent", "{told:#}");
    }
    let all = told["pending"].as_array().unwrap();
    let others = all.iter().filter(|it| it["looksFirst"] == json!([]));
    assert_eq!((all.len(), others.count()), (3, 1), "{told:#}");
}

#[tokio::test]
async fn a_precondition_of_a_planned_request_counts_as_that_of_a_real_one() {
    let world = World::start().await;
    let (a, b) = (world.user("a").await, world.user("b").await);
    let path = format!("/Users/{a}");
    let stale = world.get(&path).await.version().unwrap();
    let title = json!([{ "op": "replace", "path": "title", "value": "Lead" }]);
    let now = world
        .patch(&path, title)
        .await
        .expect(200)
        .version()
        .unwrap();
    let schemas = json!(["urn:ietf:params:scim:api:messages:2.0:PatchOp"]);
    let off = json!({ "schemas": schemas,
        "Operations": [{ "op": "replace", "path": "active", "value": false }] });
    let of = |headers: Value| {
        let request = json!({ "method": "PATCH", "path": path, "body": off, "headers": headers });
        let told = plan(&world, &request);
        let answer = &told["answers"][0];
        let word = answer["answer"].as_str().unwrap().to_owned();
        (word, answer["status"].as_u64(), planned(&told).len())
    };
    let tag = |version: u64| format!("W/\"{version}\"");
    let done = ("done".to_owned(), None, 1);
    let refused = |status| ("refused".to_owned(), Some(status), 0);
    assert_eq!(of(json!({ "If-Match": tag(now) })), done);
    assert_eq!(of(json!({ "if-match": [tag(stale), tag(now)] })), done);
    assert_eq!(of(json!({ "If-Match": "*", "accept": "*/*" })), done);
    assert_eq!(of(json!({ "IF-MATCH": tag(stale) })), refused(412));
    assert_eq!(of(json!({ "If-None-Match": tag(now) })), refused(412));
    let request = json!({ "method": "PATCH", "path": path, "body": off,
        "headers": { "If-None-Match": tag(now) } });
    let told = plan(&world, &request)["answers"][0]["detail"].to_string();
    assert!(told.contains("which If-Match, If-None-Match"), "{told}");
    assert_eq!(of(json!({ "If-None-Match": tag(stale) })), done);
    assert_eq!(of(json!({ "If-Match": "7" })), refused(400));
    assert_eq!(of(json!({ "If-Match": 7 })), refused(400));
    let told = plan(
        &world,
        &json!({ "method": "POST", "path": "/Bulk", "body": { "Operations": [
            { "method": "PATCH", "path": path, "version": tag(stale), "data": off },
            { "method": "DELETE", "path": format!("/Users/{b}"), "version": tag(1) },
        ] } }),
    );
    assert_eq!(told["answers"][0]["status"], 412, "{told:#}");
    assert_eq!(told["answers"][1]["answer"], "done", "{told:#}");
    assert_eq!(world.get(&path).await.expect(200).body["active"], true);
}
