//! One connection's share of the bridge: what is beyond it is told to come
//! again, what takes access away is not, and nobody else notices.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{World, group};

async fn burst(world: &World, method: &str, path: &str, count: usize) -> [usize; 2] {
    burst_of(world, method, path, None, count).await
}

/// As many requests as that at once; how many got each status.
async fn burst_of(
    world: &World,
    method: &str,
    path: &str,
    body: Option<&Value>,
    count: usize,
) -> [usize; 2] {
    let send = || world.send(method, path, body.cloned());
    let answers = futures_util::future::join_all((0..count).map(|_| send())).await;
    let mut told = [0, 0];
    for answer in answers {
        let refused = answer.status == 429;
        told[usize::from(refused)] += 1;
        if refused {
            let wait = answer.headers.get("retry-after").expect("Retry-After");
            let wait: u64 = wait.to_str().expect("text").parse().expect("whole seconds");
            assert!((1..=2).contains(&wait), "{wait}");
            assert_eq!(answer.body["status"], "429");
        }
    }
    told
}

/// Sends so many at once that there is no room for all of them, again where the machine
/// was too slow for that. However fast they come, no more are taken than were saved up in
/// a second and came while they were sent. How many were refused.
async fn spend(
    world: &World,
    (method, path, body): (&str, &str, Option<&Value>),
    count: usize,
    per_second: u32,
) -> usize {
    for _ in 0..20 {
        let began = Instant::now();
        let [taken, refused] = burst_of(world, method, path, body, count).await;
        let seconds = 1.0 + began.elapsed().as_secs_f64();
        let room = f64::from(per_second) * seconds + 1.0;
        let counted = u32::try_from(taken).map(f64::from).expect("a few");
        assert!(counted <= room, "{taken} of {count}, room for {room}");
        if refused > 0 {
            return refused;
        }
    }
    panic!("the budget was never spent");
}

#[tokio::test]
async fn beyond_the_budget_is_429_and_revocations_have_twice_as_much_for_themselves() {
    let world = World::with("request_budget = 25", &["--empty"]).await;
    let id = world.user("spent").await;
    let refused = spend(&world, ("GET", "/Users?count=0", None), 120, 25).await;
    // The budget is spent: a deletion passes all the same.
    let gone = world.send("DELETE", &format!("/Users/{id}"), None).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    // And comes to an end too.
    let more = spend(&world, ("DELETE", "/Users/nobody", None), 120, 50).await;
    let status = world.status().await;
    let requests = json!({ "budgetPerSecond": 25, "refused": refused + more });
    assert_eq!(status["connections"][0]["requests"], requests);
    let end = Instant::now() + Duration::from_secs(10);
    while world.get("/Users?count=0").await.status == 429 {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_reserve_is_for_every_way_to_take_access_away_and_for_no_other() {
    let world = World::with("request_budget = 25", &["--empty"]).await;
    let ids = world.users("reserve", 3).await;
    let crew = world.group("reserve", &ids).await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let gone = json!([{ "method": "DELETE", "path": format!("/Users/{}", ids[1]) }]);
    let ways = [
        (
            "PATCH",
            format!("/Users/{}", ids[0]),
            Some(message("PatchOp", off)),
        ),
        (
            "PUT",
            format!("/Groups/{crew}"),
            Some(group("reserve", &[])),
        ),
        (
            "POST",
            "/Bulk".to_owned(),
            Some(message("BulkRequest", gone)),
        ),
        ("DELETE", format!("/Users/{}", ids[2]), None),
    ];
    for _ in 0..3 {
        let revoke = ways.iter().map(|(method, path, body)| {
            let answer = world.send(method, path, body.clone());
            async move { (method, answer.await) }
        });
        let revoke = futures_util::future::join_all(revoke);
        // What is left of the budget is nothing by then.
        spend(&world, ("POST", "/Users/.search", None), 150, 25).await;
        let flood = burst(&world, "POST", "/Users/.search", 150);
        let (_, answers) = tokio::join!(flood, revoke);
        for (method, answer) in answers {
            assert_ne!(answer.status, 429, "{method}: {answer:?}");
        }
    }
    let nobody = std::collections::BTreeSet::new();
    world.until_upstream_has("reserve", &nobody).await;
}

fn message(name: &str, operations: Value) -> Value {
    let urn = format!("urn:ietf:params:scim:api:messages:2.0:{name}");
    json!({ "schemas": [urn], "Operations": operations })
}

#[tokio::test]
async fn no_flood_of_additions_uses_up_what_revocations_have() {
    let world = World::with("request_budget = 25\nsync_wait = \"1ms\"", &["--empty"]).await;
    let ids = world.users("flooded", 2).await;
    let crew = format!("/Groups/{}", world.group("flooded", &[]).await);
    let leaver = format!("/Users/{}", ids[1]);
    let members = json!([{ "op": "add", "path": "members", "value": [{ "value": ids[0] }] }]);
    let add = message("PatchOp", members);
    let off = message(
        "PatchOp",
        json!([{ "op": "replace", "path": "active", "value": false }]),
    );
    // Whatever is left of an earlier second counts too.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        let (_, [_, off], [_, gone]) = tokio::join!(
            spend(&world, ("PATCH", &crew, Some(&add)), 150, 25),
            burst_of(&world, "PATCH", &leaver, Some(&off), 20),
            burst(&world, "DELETE", "/Users/nobody", 30),
        );
        assert_eq!([off, gone], [0, 0], "of 20 and 30");
        // A second fills both budgets again.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn what_adds_beside_a_removal_is_let_in_and_the_next_ordinary_ones_pay() {
    let world = World::with("request_budget = 25\nsync_wait = \"1ms\"", &["--empty"]).await;
    let ids = world.users("mixed", 2).await;
    let crew = format!("/Groups/{}", world.group("mixed", &ids[..1]).await);
    let mixed = json!([
        { "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) },
        { "op": "add", "path": "members", "value": [{ "value": ids[1] }] },
    ]);
    let mixed = message("PatchOp", mixed);
    // On a machine that is slow all of it may be within the budget.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let told = burst_of(&world, "PATCH", &crew, Some(&mixed), 60).await;
        assert_eq!(told, [60, 0]);
        // Enough for everything, if nothing were owed.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let [_, refused] = burst(&world, "GET", "/Users?count=0", 20).await;
        if refused > 0 {
            return;
        }
    }
    panic!("additions beside a removal cost nothing");
}

#[tokio::test]
async fn what_one_connection_sends_too_much_is_not_refused_to_another() {
    let (mut world, mut other) = World::pair_with("request_budget = 25").await;
    spend(&world, ("GET", "/Users?count=0", None), 120, 25).await;
    world.turn_to(&mut other);
    let told = burst(&world, "GET", "/Users?count=0", 120).await;
    assert_eq!(told, [120, 0]);
}

#[tokio::test]
async fn what_comes_at_once_within_the_budget_is_all_taken_and_not_all_let_in_at_once() {
    let world = World::with("request_budget = 100", &["--empty"]).await;
    let began = Instant::now();
    let told = burst(&world, "GET", "/Users?count=0", 80).await;
    assert_eq!(told, [80, 0]);
    // All but 25 wait, each a hundredth of a second longer than the one before.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(540), "{took:?}");
}

#[tokio::test]
async fn a_budget_below_what_entra_demands_is_a_mistake_in_the_configuration() {
    let world = World::start().await;
    world.reconfigure(|text| text.replace("request_budget = 1000000", "request_budget = 24"));
    let (_, said, ok) = world.run(&["check"]);
    assert!(
        !ok && said.contains("request_budget") && said.contains("25"),
        "{said}"
    );
}

/// Begins to send a PATCH of a body of a mebibyte, and does not end.
async fn begin(world: &World, path: &str, body: &str) -> TcpStream {
    let host = world.base.strip_prefix("http://").expect("a scheme");
    let (host, base) = host.split_once('/').expect("a path");
    let head = format!(
        "PATCH /{base}{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n",
        world.token,
        1 << 20
    );
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let all = stream.write_all(body.as_bytes());
    // Nobody need take all of it.
    let _ = tokio::time::timeout(Duration::from_secs(2), all).await;
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_that_are_sent_slowly_cost_little_memory_and_hold_up_no_revocation() {
    let (mut world, mut other) = World::pair_with("request_budget = 25").await;
    let ids = world.users("slow", 3).await;
    let crew = format!("/Groups/{}", world.group("slow", &ids).await);
    let before = world.bridge_memory();
    // A name without end, or as good as.
    let name = "x".repeat(1_000_000);
    let body =
        format!("{{\"Operations\":[{{\"op\":\"add\",\"path\":\"displayName\",\"value\":\"{name}");
    let slow = (0..150).map(|_| begin(&world, &crew, &body));
    let slow = futures_util::future::join_all(slow).await;
    let grown = world.bridge_memory() - before;
    assert!(grown < 100, "{grown} MiB for {} bodies", slow.len());

    let path = format!("/Users/{}", ids[0]);
    world.send("DELETE", &path, None).await.expect(204);
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let path = format!("/Users/{}", ids[1]);
    world.patch(&path, off).await.expect(200);
    // A large one too.
    let nobody = (0..700).map(|n| json!({ "value": format!("nobody-of-this-name-{n}") }));
    let gone: Vec<_> = nobody
        .chain(ids.iter().map(|id| json!({ "value": id })))
        .collect();
    let gone = json!([{ "op": "remove", "path": "members", "value": gone }]);
    world.patch(&crew, gone).await.expect(204);
    let nobody = std::collections::BTreeSet::new();
    world.until_upstream_has("slow", &nobody).await;
    world.turn_to(&mut other);
    let mut large = crate::support::user("large");
    large["title"] = "x".repeat(500_000).into();
    let answer = world.post("/Users", large).await;
    assert!(
        answer.status.is_success() || answer.status == 400,
        "{answer:?}"
    );
    drop(slow);
}
