//! A reading that fails is told by the status, with its reason and an exit status,
//! by the metrics and by `check`, however well the application answers otherwise.

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually};

/// Without the ends of lines, which depend on the screen.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `status` prints, and whether its exit status was 0.
fn told(world: &World) -> (String, bool) {
    let (said, _, well) = world.run(&["status"]);
    (flat(&said), well)
}

async fn connection(world: &World) -> Value {
    world.status().await["connections"][0].clone()
}

async fn metric(world: &World, name: &str) -> u64 {
    let (url, token) = world.operator();
    let metrics = world.client.get(format!("{url}/metrics"));
    let metrics = metrics.bearer_auth(token).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let start = format!("drawbridge_{name}{{connection=\"acme\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.expect(name).parse().unwrap()
}

/// The application's answer to this is not what it should be.
fn fails(operation: &str, failure: Value) -> Value {
    json!({ "rules": [{ "operation": operation, "failure": failure }] })
}

fn crew() -> Value {
    let names = [address("ann"), address("ben")];
    let users = names.iter().map(|name| json!({ "email": name }));
    let groups = [json!({ "name": "Crew", "members": names })];
    json!({ "users": users.collect::<Vec<_>>(), "groups": groups })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_fails_is_told_until_one_does_not() {
    let mut world = World::of(Application::Hydden, "import = \"start\"").await;
    world.stop_bridge();
    world.seed(crew()).await;
    world
        .faults(fails("list_accounts", "wrong_types".into()))
        .await;
    world.start_bridge();
    eventually("the import has failed", async || {
        connection(&world).await["lastImport"]["error"].is_string()
    })
    .await;
    let (said, well) = told(&world);
    assert!(!well && said.contains("cannot be read"), "{said}");
    assert!(said.contains("the last import failed, at 2"), "{said}");
    assert!(
        said.contains("there is none since the start that did not: "),
        "{said}"
    );
    let reason = "no page of a list";
    assert!(said.contains(reason), "{said}");
    assert_eq!(metric(&world, "import_failed").await, 1);
    assert_eq!(metric(&world, "last_import_time_seconds").await, 0);
    let (checked, _, fine) = world.run(&["check"]);
    let checked = flat(&checked);
    assert!(!fine && checked.contains(reason), "{checked}");

    world.stop_bridge();
    world.faults(json!({})).await;
    world.start_bridge();
    eventually("it is imported", async || {
        connection(&world).await["lastImport"]["lastGood"].is_string()
    })
    .await;
    let (said, well) = told(&world);
    assert!(well, "{said}");
    assert_eq!(metric(&world, "import_failed").await, 0);
    assert!(metric(&world, "last_import_time_seconds").await > 0);
    let (checked, _, fine) = world.run(&["check"]);
    let checked = flat(&checked);
    let read = "an import can read it: 2 users, 1 groups";
    assert!(fine && checked.contains(read), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_nothing_was_read_yet_is_told_until_a_first_import_has_ended() {
    for application in [Application::Hydden, Application::Opsera] {
        let list = match application {
            Application::Hydden => "list_accounts",
            _ => "list_users",
        };
        let mut world = World::of(application, "").await;
        assert_eq!(connection(&world).await["neverRead"], false, "nor ever is");
        world.stop_bridge();
        world.reconfigure(|text| text.replace("import = \"never\"", "import = \"start\""));
        world.seed(crew()).await;
        world.faults(fails(list, "silent".into())).await;
        world.start_bridge();
        let state = connection(&world).await;
        assert_eq!(state["lastImport"], Value::Null, "{state:#}");
        assert_eq!(state["neverRead"], true, "{state:#}");
        assert_eq!(metric(&world, "never_read").await, 1);
        let (said, well) = told(&world);
        assert!(!well && said.contains("is not known here yet"), "{said}");

        world.stop_bridge();
        world.faults(json!({})).await;
        world.start_bridge();
        eventually("it is imported", async || {
            connection(&world).await["neverRead"] == false
        })
        .await;
        let (said, well) = told(&world);
        assert!(well, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciliation_that_fails_is_told_with_the_last_one_that_did_not() {
    let world = World::with("read_lag = \"100ms\"", &["--empty"]).await;
    let users = world.users("m", 2).await;
    world.group("crew", &users).await;
    assert!(world.run(&["reconcile"]).2);
    let (said, well) = told(&world);
    assert!(well, "{said}");
    let good = connection(&world).await["reconciliation"]["lastGood"].clone();
    assert!(good.is_string(), "{good}");

    world
        .faults(fails("get_members", "error_before".into()))
        .await;
    assert!(!world.run(&["reconcile"]).2);
    let (said, well) = told(&world);
    let last = format!(
        "the last one that did not was at {}",
        good.as_str().unwrap()
    );
    assert!(!well && said.contains(&last), "{said}");
    let state = connection(&world).await;
    assert_eq!(state["reconciliation"]["lastGood"], good, "{state:#}");
    assert_eq!(state["application"]["state"], "cannot be read", "{state:#}");
    assert_eq!(metric(&world, "reconciliation_failed").await, 1);
    assert_eq!(metric(&world, "application_well").await, 1);

    world.faults(json!({})).await;
    assert!(world.run(&["reconcile"]).2);
    let (said, well) = told(&world);
    assert!(well, "{said}");
    assert_eq!(metric(&world, "reconciliation_failed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_members_cannot_be_read_is_told() {
    let mut world = World::with("import = \"start\"", &["--empty"]).await;
    world.stop_bridge();
    world.seed(crew()).await;
    let refusal = json!({ "status": { "status": 400 } });
    world.faults(fails("get_members", refusal)).await;
    world.start_bridge();
    eventually("it is imported", async || {
        connection(&world).await["lastImport"]["lastGood"].is_string()
    })
    .await;
    let (said, well) = told(&world);
    let line = "at the last import: 1 groups are here as they were";
    assert!(!well && said.contains(line), "{said}");
    assert_eq!(metric(&world, "import_unread").await, 1);
}

fn crews() -> Value {
    let names = [address("ann"), address("ben")];
    let users = names.iter().map(|name| json!({ "email": name }));
    let groups = ["alpha", "beta", "gamma"].map(|it| json!({ "name": it, "members": names }));
    json!({ "users": users.collect::<Vec<_>>(), "groups": groups })
}

/// The number of members of each Group, by its name.
async fn shown(world: &World) -> Vec<(String, usize)> {
    let groups = world.get("/Groups").await.expect(200).body;
    let groups = groups["Resources"].as_array().cloned().unwrap_or_default();
    let shown = groups.iter().map(|group| {
        let name = group["displayName"].as_str().expect("a name").to_owned();
        let members = group["members"].as_array();
        (name, members.map_or(0, Vec::len))
    });
    let mut shown: Vec<_> = shown.collect();
    shown.sort();
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_cannot_be_read_for_a_while_keeps_no_other_from_being_imported() {
    for failure in [
        json!({ "status": { "status": 503 } }),
        json!({ "status": { "status": 503, "retry_after": "1" } }),
        json!({ "status": { "status": 500 } }),
        json!("error_before"),
    ] {
        let settings = "import = \"start\"\nread_lag = \"100ms\"";
        let mut world = World::with(settings, &["--empty"]).await;
        let imported = async |world: &World| {
            eventually("it is imported", async || {
                connection(world).await["lastImport"]["lastGood"].is_string()
            })
            .await;
        };
        let rule = json!({ "operation": "get_members", "target": "beta", "failure": failure });
        let all = |n| {
            ["alpha", "beta", "gamma"]
                .map(|name| (name.to_owned(), n))
                .to_vec()
        };
        world.stop_bridge();
        world.seed(crews()).await;
        world.faults(json!({ "rules": [rule.clone()] })).await;
        world.start_bridge();
        imported(&world).await;
        let mut others = all(2);
        others.remove(1);
        assert_eq!(shown(&world).await, others, "{failure}");
        let last = connection(&world).await["lastImport"].clone();
        assert_eq!(last["unread"], 1, "{last:#}");
        assert_eq!(last["unreadGroups"][0]["name"], "beta", "{last:#}");
        let (said, well) = told(&world);
        let line = "1 groups are here as they were, because their members cannot be read beta:";
        assert!(!well && said.contains(line), "{said}");
        world.stop_bridge();
        let (said, wrong, ok) = world.run(&["import"]);
        assert!(ok && said.contains("beta: "), "{said}{wrong}");

        world.faults(json!({})).await;
        world.start_bridge();
        imported(&world).await;
        assert_eq!(shown(&world).await, all(2), "{failure}");
        let last = connection(&world).await["lastImport"].clone();
        assert_eq!(last["unreadGroups"], json!([]), "{last:#}");

        // What is known of it is kept, and is not taken for nobody being in it.
        world.stop_bridge();
        world.faults(json!({ "rules": [rule] })).await;
        world.forget_calls().await;
        world.start_bridge();
        imported(&world).await;
        assert_eq!(shown(&world).await, all(2), "{failure}");
        assert_eq!(connection(&world).await["lastImport"]["unread"], 1);
        let calls = world.calls().await;
        assert!(
            calls.iter().all(|call| call["method"] == "GET"),
            "{calls:#?}"
        );
    }
}
