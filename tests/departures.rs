//! Who leaves in the middle: clients that end their connection inside a request
//! or before its answer, and a bridge that is told to stop (reliability: F-27,
//! I-05, I-33, T-35).
//!
//! Sixty clients in the ordinary test run; `DRAWBRIDGE_DEPARTURES` sets how many.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    crash::dice::Dice,
    support::{World, address, values},
};

fn addition(ids: &[String]) -> Value {
    json!([{ "op": "add", "path": "members", "value": values(ids) }])
}

/// The bytes of a PATCH that adds these.
fn request(world: &World, path: &str, ids: &[String]) -> (String, Vec<u8>) {
    let rest = world.base.strip_prefix("http://").unwrap();
    let (host, base) = rest.split_once('/').unwrap();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": addition(ids),
    });
    let body = body.to_string();
    let head = format!(
        "PATCH /{base}{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n",
        world.token,
        body.len()
    );
    (host.to_owned(), (head + &body).into_bytes())
}

/// Sends so many of the bytes, waits, and is gone, with a reset or without.
async fn leave(host: &str, bytes: &[u8], wait: Duration, reset: bool) {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(wait).await;
    if reset {
        stream.set_zero_linger().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_leaves_all_of_its_request_or_nothing() {
    let clients = std::env::var("DRAWBRIDGE_DEPARTURES").ok();
    let clients: usize = clients.map_or(60, |text| text.parse().expect("a number of clients"));
    let seed = Dice::seed();
    let mut dice = Dice::new(seed);
    let world = World::with("sync_wait = \"300ms\"", &["--empty"]).await;
    world.faults(json!({ "latency_ms": 20 })).await;
    let users = world.users("u", 2 * clients).await;
    let id = world.group("Developers", &[]).await;
    let path = format!("/Groups/{id}");
    let mut never = BTreeSet::new();
    let mut leaving = Vec::new();
    for (number, pair) in users.chunks(2).enumerate() {
        let (host, mut bytes) = request(&world, &path, pair);
        if number % 3 == 0 {
            bytes.truncate(dice.below(bytes.len()));
            never.extend(pair.iter().cloned());
        }
        let wait = Duration::from_micros(u64::try_from(dice.below(40_000)).unwrap());
        let reset = dice.below(2) == 0;
        leaving.push(async move { leave(&host, &bytes, wait, reset).await });
    }
    futures_util::future::join_all(leaving).await;

    // The write of one that has left may still be on its way; what comes after
    // it in the same lane says that it is over.
    let witness = world.user("witness").await;
    world
        .patch(&path, addition(std::slice::from_ref(&witness)))
        .await
        .expect(204);
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let before = world.members(&id).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        if world.members(&id).await == before {
            break;
        }
        assert!(Instant::now() < end, "it never rests");
    }
    let members = world.members(&id).await;
    for pair in users.chunks(2) {
        let there = pair.iter().filter(|id| members.contains(*id)).count();
        assert_ne!(there, 1, "seed {seed}: half of a request");
    }
    assert!(
        members.is_disjoint(&never),
        "seed {seed}: of a part of a request"
    );
    let came = members.len() / 2;
    assert!(came > clients / 3, "seed {seed}: only {came} came through");
    let is_in = |place: &usize| members.contains(&users[*place]);
    let mut wanted: BTreeSet<String> = (0..users.len())
        .filter(is_in)
        .map(|place| address(&format!("u{place}")))
        .collect();
    wanted.insert(address("witness"));
    world.until_upstream_has("developers", &wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_told_to_stop_answers_who_asked_and_loses_nothing() {
    let mut world = World::start().await;
    let users = world.users("u", 8).await;
    let id = world.group("Developers", &[]).await;
    let path = format!("/Groups/{id}");
    world.faults(json!({ "latency_ms": 600 })).await;
    let before = Arc::new(tokio::sync::Barrier::new(9));
    let (base, token, client) = (
        world.base.clone(),
        world.token.clone(),
        world.client.clone(),
    );
    let asking: Vec<_> = users
        .iter()
        .map(|user| {
            let body = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": addition(std::slice::from_ref(user)),
            });
            let request = client.patch(format!("{base}{path}")).bearer_auth(&token);
            let request = request.header("content-type", "application/scim+json");
            let request = request.body(body.to_string());
            let before = Arc::clone(&before);
            tokio::spawn(async move {
                before.wait().await;
                request.send().await.expect("an answer").status().as_u16()
            })
        })
        .collect();
    before.wait().await;
    // Under way, and none of them answered: each waits for the application.
    let end = Instant::now() + Duration::from_secs(5);
    while world.members(&id).await.len() < users.len() {
        assert!(Instant::now() < end, "they are not under way");
    }
    tokio::task::block_in_place(|| world.stops_in_time());
    for asked in asking {
        assert_eq!(asked.await.unwrap(), 204);
    }
    assert!(
        world.try_send("GET", "/Users", None).await.is_err(),
        "it still answers"
    );
    world.start_bridge();
    assert_eq!(world.members(&id).await, users.iter().cloned().collect());
    let all = (0..8).map(|n| address(&format!("u{n}"))).collect();
    world.until_upstream_has("developers", &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_an_application_that_does_not_answer() {
    let mut world = World::with("sync_wait = \"200ms\"", &["--empty"]).await;
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users[..1]).await;
    let silence = json!({ "rules": [{ "failure": "silent", "writes": true }] });
    world.faults(silence).await;
    world
        .patch(&format!("/Groups/{id}"), addition(&users[1..]))
        .await
        .expect(204);
    tokio::task::block_in_place(|| world.stops_in_time());
    world.faults(json!({})).await;
    world.start_bridge();
    let both = [address("u0"), address("u1")].into();
    world.until_upstream_has("developers", &both).await;
}

/// Answered that it is not confirmed, a deletion is none that a start goes on with.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_answered_503_is_not_done_at_a_later_start() {
    for bulk in [false, true] {
        let settings = "sync_wait = \"300ms\"\nack = \"confirmed\"\nlate_writes = \"1s\"";
        let mut world = World::with(settings, &["--empty"]).await;
        let users = world.users("u", 2).await;
        let id = world.group("Developers", &users).await;
        let asked = user_is_leaving(&world, &users[0], bulk, None).await;
        let answer = asked.await.unwrap().expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.expect("an object");
        let of_one = body["Operations"][0]["status"].as_str();
        assert_eq!(of_one.unwrap_or(&status.to_string()), "503", "{body}");
        world.kill_bridge();
        world.faults(json!({})).await;
        world.start_bridge();
        let user = world.get(&format!("/Users/{}", users[0])).await.expect(200);
        assert_eq!(user.body["active"], false);
        assert_eq!(world.members(&id).await.len(), 2);
        world.overlook().await;
    }
}

async fn until_shown(world: &World, path: &str, (name, value): (&str, &Value)) {
    let end = Instant::now() + Duration::from_secs(5);
    while world.get(path).await.expect(200).body[name] != *value {
        assert!(Instant::now() < end, "{name} is not written");
    }
}

/// The DELETE of a User, alone or in a bulk request, is under way: access is taken away
/// here, and the application does not answer.
async fn user_is_leaving(world: &World, id: &str, bulk: bool, version: Option<&str>) -> Asked {
    let silence = json!({ "rules": [{ "failure": "silent", "writes": true }] });
    world.faults(silence).await;
    let path = format!("/Users/{id}");
    let (base, client) = (&world.base, &world.client);
    let request = if bulk {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{ "method": "DELETE", "path": path, "version": version }],
        });
        let request = client.post(format!("{base}/Bulk")).body(body.to_string());
        request.header("content-type", "application/scim+json")
    } else {
        client.delete(format!("{base}{path}"))
    };
    let request = match version {
        Some(tag) if !bulk => request.header("if-match", tag),
        _ => request,
    };
    let asked = tokio::spawn(request.bearer_auth(&world.token).send());
    until_shown(world, &path, ("active", &json!(false))).await;
    asked
}

type Asked = tokio::task::JoinHandle<reqwest::Result<reqwest::Response>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_a_user_that_a_kill_cuts_short_is_done_or_not_begun() {
    for bulk in [false, true] {
        let mut world = World::with("sync_wait = \"20s\"", &["--empty"]).await;
        let users = world.users("u", 2).await;
        let id = world.group("Developers", &users).await;
        let asked = user_is_leaving(&world, &users[0], bulk, None).await;
        world.kill_bridge();
        assert!(asked.await.unwrap().is_err(), "it was answered");
        world.faults(json!({})).await;
        world.start_bridge();
        world.get(&format!("/Users/{}", users[0])).await.expect(404);
        assert_eq!(world.members(&id).await, [users[1].clone()].into());
        world
            .until_upstream_has("developers", &[address("u1")].into())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_written_while_a_deletion_waits_is_not_deleted_over_it() {
    let mut world = World::with("sync_wait = \"20s\"", &["--empty"]).await;
    let users = world.users("u", 2).await;
    let path = format!("/Users/{}", users[0]);
    let activated = json!([{ "op": "replace", "path": "active", "value": true }]);
    let asked = user_is_leaving(&world, &users[0], false, None).await;
    // The application stays silent, so this one waits as well.
    let (base, client) = (&world.base, &world.client);
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": activated,
    });
    let request = client.patch(format!("{base}{path}")).body(body.to_string());
    let request = request.header("content-type", "application/scim+json");
    let written = tokio::spawn(request.bearer_auth(&world.token).send());
    until_shown(&world, &path, ("active", &json!(true))).await;
    world.kill_bridge();
    assert!(asked.await.unwrap().is_err() && written.await.unwrap().is_err());
    world.faults(json!({})).await;
    world.start_bridge();
    assert_eq!(world.get(&path).await.expect(200).body["active"], true);
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_one_version_deletes_nobody_who_was_given_access_again_meanwhile() {
    let nick = ("nickName", json!("Ann"), 204);
    for (bulk, (name, value, answer)) in [
        (false, nick.clone()),
        (false, ("active", json!(true), 412)),
        (true, nick),
        (true, ("active", json!(true), 412)),
    ] {
        let world = World::with("sync_wait = \"20s\"", &["--empty"]).await;
        let users = world.users("u", 1).await;
        let path = format!("/Users/{}", users[0]);
        let user = world.get(&path).await.expect(200).body;
        let version = user["meta"]["version"].as_str().expect("a version");
        let asked = user_is_leaving(&world, &users[0], bulk, Some(version)).await;
        let change = json!([{ "op": "replace", "path": name, "value": value }]);
        let answered = async {
            until_shown(&world, &path, (name, &value)).await;
            world.faults(json!({})).await;
            let answer = asked.await.unwrap().expect("an answer");
            let status = answer.status().as_u16();
            let body: Value = answer.json().await.unwrap_or_default();
            let of_one = body["Operations"][0]["status"].as_str();
            of_one.map_or(status, |it| it.parse().expect("a status"))
        };
        let (later, answered) = tokio::join!(world.patch(&path, change), answered);
        later.expect(200);
        assert_eq!(answered, answer, "{name}");
        world
            .get(&path)
            .await
            .expect(if answer == 204 { 404 } else { 200 });
        world.overlook().await;
    }
}
