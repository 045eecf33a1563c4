//! The operator's side: who is let in, what is told, and the kill switch.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{self, World, values};

async fn ask(world: &World, path: &str, token: Option<&str>) -> (u16, String) {
    let (url, _) = world.operator();
    let mut request = world.client.get(format!("{url}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.text().await.expect("a body"))
}

/// Waits until the bridge itself says so.
async fn until(world: &World, what: &str, is_so: impl Fn(&Value) -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let status = world.status().await;
        if is_so(&status["connections"][0]) {
            return;
        }
        assert!(Instant::now() < end, "not {what}: {status:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn only_the_operators_token_opens_the_operators_side() {
    let world = World::start().await;
    let (_, token) = world.operator();
    for path in ["/status", "/metrics", "/", "/held", "/%73tatus", "/Users"] {
        for wrong in [None, Some(""), Some("guess"), Some(world.token.as_str())] {
            assert_eq!(ask(&world, path, wrong).await.0, 401, "{path} {wrong:?}");
        }
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(&world, path, None).await.0, 200, "{path}");
    }
    assert_eq!(ask(&world, "/status", Some(&token)).await.0, 200);
    assert_eq!(ask(&world, "/nothing", Some(&token)).await.0, 404);
    // And it opens nothing of the identity provider's.
    let users = format!("{}/Users", world.base);
    let answer = world.client.get(users).bearer_auth(&token).send().await;
    assert_eq!(answer.expect("an answer").status(), 401);
    // A new start makes a new one.
    let mut world = world;
    world.kill_and_restart();
    assert_ne!(world.operator().1, token);
    assert_eq!(ask(&world, "/status", Some(&token)).await.0, 401);
}

#[tokio::test]
async fn a_server_that_is_stuck_keeps_no_command_waiting_for_long() {
    let world = World::start().await;
    world.signal_bridge("-STOP");
    let began = Instant::now();
    let told: Vec<(bool, String)> = std::thread::scope(|scope| {
        let commands: [&[&str]; 5] = [
            &["status"],
            &["held", "list"],
            &["plan", "--connection", "acme"],
            &["recovery", "end", "--connection", "acme"],
            &["reconcile"],
        ];
        let world = &world;
        let asked = commands.map(|command| scope.spawn(move || world.command(command)));
        asked.map(|it| it.join().expect("a command")).into()
    });
    let took = began.elapsed();
    world.signal_bridge("-CONT");
    for (number, (ok, said)) in told.iter().enumerate() {
        assert!(!ok && said.contains("the server does not answer"), "{said}");
        // What changes something may be done when the server goes on.
        assert_eq!(said.contains("may be done yet"), number >= 3, "{said}");
    }
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(
        world
            .command(&["recovery", "end", "--connection", "acme"])
            .0
    );
}

#[tokio::test]
async fn readiness_is_told_without_a_token_and_without_data() {
    let world = World::start().await;
    let root = world.base.trim_end_matches("/acme/scim/v2").to_owned();
    for path in ["/livez", "/readyz"] {
        let answer = world.client.get(format!("{root}{path}")).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.text().await.expect("a body").len() < 64);
    }
}

#[tokio::test]
async fn the_status_and_the_metrics_tell_the_same_numbers_and_no_names_of_people() {
    let world = World::start().await;
    let users = world.users("counted", 3).await;
    world.group("counted-group", &users).await;
    let status = world.status().await;
    let connection = &status["connections"][0];
    assert_eq!(connection["users"], 3, "{status:#}");
    assert_eq!(connection["memberships"], 3);
    assert_eq!(
        connection["pending"],
        json!({ "users": 0, "groups": 0, "memberships": 0 })
    );
    assert!(
        connection["application"]["calls"]
            .as_u64()
            .expect("a number")
            >= 4
    );
    let (_, token) = world.operator();
    let (code, metrics) = ask(&world, "/metrics", Some(&token)).await;
    assert_eq!(code, 200);
    for line in [
        "drawbridge_ready 1",
        "drawbridge_users{connection=\"acme\"} 3",
        "drawbridge_memberships{connection=\"acme\"} 3",
        "drawbridge_pending_memberships{connection=\"acme\"} 0",
        "drawbridge_waiting{connection=\"acme\"} 0",
        "drawbridge_managed_elsewhere{connection=\"acme\"} 0",
        "drawbridge_application_limit_per_minute{connection=\"acme\"} 0",
        "drawbridge_application_silent_seconds{connection=\"acme\"} 0",
        "drawbridge_request_budget_per_second{connection=\"acme\"} 1000000",
        "drawbridge_requests_refused_total{connection=\"acme\"} 0",
    ] {
        assert!(
            metrics.lines().any(|l| l == line),
            "{line} is not in\n{metrics}"
        );
    }
    for text in [status.to_string(), metrics] {
        assert!(!text.contains("counted"), "{text}");
    }
    let (said, _, well) = world.run(&["status"]);
    assert!(
        well && said.contains("3 users, 1 groups, 3 memberships"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_without_an_answer_may_still_undo_is_told_until_it_cannot() {
    let lags = "sync_wait = \"1s\"\nread_lag = \"100ms\"\nlate_writes = \"6s\"";
    let world = World::with(lags, &["--empty"]).await;
    let users = world.users("u", 2).await;
    let path = format!("/Groups/{}", world.group("crew", &users[..1]).await);
    let none = json!({ "users": 0, "groups": 0, "memberships": 0 });
    until(&world, "all settled", |c| c["unsettled"] == none).await;
    let late = json!({ "late": { "after_ms": 3000 } });
    let late = json!({ "rules": [{ "failure": late, "operation": "add_members", "next": 1 }] });
    world.faults(late).await;
    let change =
        |op: &str| json!([{ "op": op, "path": "members", "value": [{ "value": users[1] }] }]);
    world.patch(&path, change("add")).await.expect(204);
    world.patch(&path, change("remove")).await.expect(204);

    let one = json!({ "users": 0, "groups": 0, "memberships": 1 });
    until(&world, "removed, and not settled", |c| {
        c["pending"] == none && c["unsettled"] == one
    })
    .await;
    let (said, _, well) = world.run(&["status"]);
    assert!(well && said.contains("unsettled: 1 memberships"), "{said}");
    assert!(world.is_ready().await);
    let (_, token) = world.operator();
    let line = "drawbridge_unsettled_memberships{connection=\"acme\"} 1";
    let metrics = ask(&world, "/metrics", Some(&token)).await.1;
    assert!(metrics.lines().any(|l| l == line), "{metrics}");

    let both = [support::address("u0"), support::address("u1")].into();
    world.until_upstream_has("crew", &both).await;
    until(&world, "all settled", |c| {
        c["pending"] == none && c["unsettled"] == none
    })
    .await;
    assert_eq!(
        world.upstream_members("crew").await,
        Some([support::address("u0")].into()),
        "who sees that nothing is unsettled may believe"
    );
    let (said, _, well) = world.run(&["status"]);
    assert!(well && !said.contains("unsettled"), "{said}");
}

#[tokio::test]
async fn the_kill_switch_stops_writes_at_once_keeps_requests_and_outlives_a_restart() {
    let mut world = World::start().await;
    let users = world.users("u", 3).await;
    let group = world.group("switched", &users[..1]).await;
    let (_, said, ok) = world.run(&["pause", "--reason", "audit"]);
    assert!(ok && said.contains("stopped"), "{said}");
    until(&world, "paused", |c| c["paused"] == true).await;

    world.forget_calls().await;
    let before = Instant::now();
    let add = json!([{ "op": "add", "path": "members", "value": values(&users[1..]) }]);
    let answer = world.patch(&format!("/Groups/{group}"), add).await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert!(
        before.elapsed() < Duration::from_secs(4),
        "an answer need not wait"
    );
    world
        .patch(
            &format!("/Users/{}", users[0]),
            json!([{ "op": "replace", "path": "active", "value": false }]),
        )
        .await;
    until(&world, "pending", |c| c["pending"]["memberships"] != 0).await;
    let (said, _, well) = world.run(&["status"]);
    assert!(!well && said.contains("paused"), "{said}");

    world.kill_and_restart();
    until(&world, "paused again", |c| c["paused"] == true).await;
    assert_eq!(world.calls().await, Vec::<Value>::new(), "nothing was sent");

    let (_, _, ok) = world.run(&["resume"]);
    assert!(ok);
    until(&world, "done", |c| {
        c["paused"] == false && c["pending"]["memberships"] == 0 && c["pending"]["users"] == 0
    })
    .await;
    // A deactivated account stays where it was; its access is gone as a whole.
    let expected = ["u0", "u1", "u2"].map(support::address);
    world.until_upstream_has("switched", &expected.into()).await;
}

#[tokio::test]
async fn what_waits_for_its_turn_when_the_switch_is_turned_is_not_sent() {
    // Eight calls at once, a fifth of a second each: most of them have to wait.
    let world = World::with("sync_wait = \"100ms\"", &["--empty"]).await;
    world.faults(json!({ "latency_ms": 200 })).await;
    let names: Vec<String> = (0..60).map(|n| format!("queued-{n}")).collect();
    let requests = names.iter().map(|name| world.group(name, &[]));
    futures_util::future::join_all(requests).await;
    let (_, _, ok) = world.run(&["pause", "--connection", "acme"]);
    assert!(ok);
    until(&world, "paused", |c| c["paused"] == true).await;
    // What was under way has ended when nothing new comes for two latencies.
    let mut seen = world.calls().await.len();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = world.calls().await.len();
        if now == seen {
            break;
        }
        seen = now;
    }
    assert!(seen < names.len(), "{seen} calls");
    let (_, said, ok) = world.run(&["resume", "--connection", "acme"]);
    assert!(ok, "{said}");
    until(&world, "done", |c| c["pending"]["groups"] == 0).await;
}

#[tokio::test]
async fn a_command_without_a_server_says_so() {
    let world = World::start().await;
    let (_, said, ok) = world.run(&["pause", "--connection", "nobody"]);
    assert!(!ok && said.contains("no connection"), "{said}");
}

/// Who did a thing, as the audit has it.
fn actors(world: &World, action: &str) -> Vec<String> {
    let (said, wrong, ok) = world.run(&["audit", "export"]);
    assert!(ok, "{wrong}");
    let told = said.lines().filter(|line| line.contains(action));
    told.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_audit_names_whose_token_it_was_and_who_turned_the_switch() {
    let mut world = World::with("guard = { enabled = true }", &["--empty"]).await;
    let annas = "anna-has-a-token-of-her-own-0123456789";
    let shared = "a-token-that-everybody-has-0123456789";
    world.file("anna.token", annas);
    world.file("shared.token", shared);
    world.reconfigure(|text| {
        let tokens = "[operator]\ntoken = { file = \"shared.token\" }\n\
                      tokens = { anna = { file = \"anna.token\" } }\n[store]";
        text.replacen("[store]", tokens, 1)
    });
    world.stop_bridge();
    world.start_bridge();
    let users = world.users("n", 12).await;
    let (url, own) = world.operator();
    let mut named = Vec::new();
    // The name of a token counts, whatever else is said; and what is only said is
    // told so, whoever has a token of that name.
    for (token, said, who) in [
        (annas, "berta", "operator anna"),
        (shared, "anna", "operator (says anna)"),
        (shared, "", "operator"),
        (own.as_str(), "berta", "operator (says berta)"),
    ] {
        let group = world.group(&format!("g{}", named.len()), &users).await;
        let path = format!("/Groups/{group}");
        world.send("DELETE", &path, None).await.expect(403);
        let held = world.operate("GET", "/held").await.1;
        let id = held["held"][0]["id"].as_str().expect("an id").to_owned();
        let reject = world.client.post(format!("{url}/held/{id}/reject"));
        let reject = reject
            .bearer_auth(token)
            .header("drawbridge-operator", said);
        assert_eq!(reject.send().await.expect("an answer").status(), 200);
        named.push(who);
        let all = world.operate("GET", "/held?all=true").await.1;
        let all = all["held"].as_array().expect("a list");
        let decided = all.iter().find(|it| it["id"] == id.as_str());
        assert_eq!(decided.expect("it is kept")["decidedBy"], who);
    }
    let rejected = actors(&world, "reject_hold");
    assert_eq!(rejected.len(), named.len(), "{rejected:#?}");
    for (line, who) in rejected.iter().zip(&named) {
        assert!(line.contains(&format!("\"{who}\"")), "{who}: {line}");
    }
    assert!(world.run(&["pause", "--connection", "acme"]).2);
    until(&world, "paused", |c| c["paused"] == true).await;
    assert!(world.run(&["resume", "--connection", "acme"]).2);
    until(&world, "resumed", |c| c["paused"] == false).await;
    for action in ["\"pause\"", "\"resume\""] {
        let end = Instant::now() + Duration::from_secs(10);
        while actors(&world, action).is_empty() {
            assert!(Instant::now() < end, "{action}");
        }
        let turned = actors(&world, action);
        assert!(
            turned[0].contains("\"operator (says tester)\""),
            "{turned:#?}"
        );
    }
}

#[tokio::test]
async fn who_stops_the_writes_and_has_no_name_is_told_by_the_number_of_the_account() {
    let world = World::start().await;
    let mut names = vec![
        ("SUDO_USER", Some("")),
        ("USER", Some(" ")),
        ("LOGNAME", None),
    ];
    let uid = {
        use std::os::unix::fs::MetadataExt;
        let file = world.file("mine", "");
        std::fs::metadata(file).expect("a file").uid()
    };
    for expected in [format!("uid-{uid}"), "lena".to_owned()] {
        world.run_as(&names, &["pause", "--connection", "acme"]);
        until(&world, "paused", |c| c["paused"] == true).await;
        world.run_as(&names, &["resume", "--connection", "acme"]);
        until(&world, "resumed", |c| c["paused"] == false).await;
        let told = format!("\"operator (says {expected})\"");
        for action in ["\"pause\"", "\"resume\""] {
            let end = Instant::now() + Duration::from_secs(10);
            while !actors(&world, action)
                .iter()
                .any(|line| line.contains(&told))
            {
                assert!(Instant::now() < end, "{:#?}", actors(&world, action));
            }
        }
        names[2].1 = Some("lena");
    }
}

#[tokio::test]
async fn who_let_the_writes_go_on_is_recorded_though_they_are_stopped_again_at_once() {
    let world = World::start().await;
    let by = |name: &str, command: &[&str]| {
        let (said, wrong, ok) = world.run_as(&[("USER", Some(name)), ("SUDO_USER", None)], command);
        assert!(ok, "{said}{wrong}");
    };
    by("anna", &["pause"]);
    until(&world, "paused", |c| c["paused"] == true).await;
    for again in 0..4 {
        by(&format!("bob{again}"), &["resume"]);
        by(&format!("carol{again}"), &["pause", "--connection", "acme"]);
    }
    let who = |action: &str| {
        let told = actors(&world, action).into_iter().map(|line| {
            let at = line.find("(says ").expect("a name") + 6;
            line[at..].split(')').next().expect("an end").to_owned()
        });
        told.collect::<Vec<_>>()
    };
    let end = Instant::now() + Duration::from_secs(10);
    while who("\"pause\"").len() < 5 {
        assert!(Instant::now() < end, "{:?}", who("\"pause\""));
    }
    assert_eq!(who("\"resume\""), ["bob0", "bob1", "bob2", "bob3"]);
    let stopped = ["anna", "carol0", "carol1", "carol2", "carol3"];
    assert_eq!(who("\"pause\""), stopped);
}
