//! A disk that is full, that may only be read or that fails, a store that was
//! damaged, and a second process that wants it: nothing is acknowledged that is
//! not kept, what can be read is read, and readiness tells (reliability: F-18
//! to F-20, I-31, T-10).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Reply, World, address, group, user, values};
use shim::{Disk, EIO, ENOSPC, EROFS};

pub mod shim;

/// Within which readiness must follow the disk, and a process end that must.
const SOON: Duration = Duration::from_secs(10);

fn member(op: &str, id: &String) -> Value {
    json!([{ "op": op, "path": "members", "value": values(std::slice::from_ref(id)) }])
}

fn cannot_be_kept(reply: &Reply) {
    assert_eq!(reply.status, 503, "{reply:?}");
    let after = reply.headers.get("retry-after").expect("Retry-After");
    assert!(after.to_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(reply.body["status"], "503");
}

async fn until_ready_is(world: &World, wanted: bool) {
    let end = Instant::now() + SOON;
    while world.is_ready().await != wanted {
        assert!(Instant::now() < end, "readiness is not {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_disk_that_takes_no_writes_all_can_be_read_and_nothing_is_acknowledged() {
    let mut world = World::start().await;
    let disk = Disk::under(&mut world);
    let users = world.users("u", 3).await;
    let id = world.group("Developers", &users[..1]).await;
    let path = format!("/Groups/{id}");
    for error in [ENOSPC, EROFS, EIO] {
        assert!(world.is_ready().await);
        disk.fails_to_write(error);
        world.forget_calls().await;
        for (method, path, body) in [
            ("POST", "/Users".to_owned(), Some(user("new"))),
            ("POST", "/Groups".to_owned(), Some(group("New", &users))),
            ("PUT", path.clone(), Some(group("Developers", &users))),
            ("DELETE", path.clone(), None),
            ("DELETE", format!("/Users/{}", users[0]), None),
        ] {
            cannot_be_kept(&world.send(method, &path, body).await);
        }
        cannot_be_kept(&world.patch(&path, member("add", &users[1])).await);
        assert!(!world.is_ready().await);
        assert_eq!(world.status().await["ready"], false);
        assert_eq!(
            world.members(&id).await,
            users[..1].iter().cloned().collect()
        );
        assert_eq!(
            world.get("/Users").await.expect(200).body["totalResults"],
            3
        );
        assert_eq!(world.calls().await, Vec::<Value>::new());
        disk.is_well();
        until_ready_is(&world, true).await;
        assert_eq!(world.status().await["ready"], true);
    }
    world
        .patch(&path, member("add", &users[1]))
        .await
        .expect(204);
    world
        .until_upstream_has("developers", &[address("u0"), address("u1")].into())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_disk_when_nobody_writes() {
    let mut world = World::start().await;
    let disk = Disk::under(&mut world);
    assert!(world.is_ready().await);
    disk.fails_to_write(ENOSPC);
    until_ready_is(&world, false).await;
    disk.is_well();
    until_ready_is(&world, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_now_and_then_keeps_just_what_was_acknowledged() {
    let mut world = World::start().await;
    let disk = Disk::under(&mut world);
    let users = world.users("u", 16).await;
    let id = world.group("Developers", &[]).await;
    let path = format!("/Groups/{id}");
    let mut kept = BTreeSet::new();
    for (number, user) in users.iter().enumerate() {
        if number % 2 == 0 {
            disk.fails_to_write(ENOSPC);
            cannot_be_kept(&world.patch(&path, member("add", user)).await);
            disk.is_well();
        } else {
            world.patch(&path, member("add", user)).await.expect(204);
            kept.insert(user.clone());
        }
        assert_eq!(world.members(&id).await, kept);
    }
    world.kill_and_restart();
    assert_eq!(world.members(&id).await, kept);
    let kept = (1..16).step_by(2).map(|n| address(&format!("u{n}")));
    world
        .until_upstream_has("developers", &kept.collect())
        .await;
    let said = world.command(&["audit", "verify"]);
    assert!(said.0, "{}", said.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_answered_to_a_full_disk_is_not_forgotten() {
    let mut world = World::with("sync_wait = \"200ms\"", &["--empty"]).await;
    let disk = Disk::under(&mut world);
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users[..1]).await;
    world.faults(json!({ "latency_ms": 1000 })).await;
    world.forget_calls().await;
    let path = format!("/Groups/{id}");
    world
        .patch(&path, member("add", &users[1]))
        .await
        .expect(204);
    disk.fails_to_write(ENOSPC);
    let both = [address("u0"), address("u1")].into();
    world.until_upstream_has("developers", &both).await;
    until_ready_is(&world, false).await;
    disk.is_well();
    let end = Instant::now() + SOON;
    while world.status().await["connections"][0]["pending"]
        != json!({ "users": 0, "groups": 0, "memberships": 0 })
    {
        assert!(Instant::now() < end, "{:#}", world.status().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let calls = world.calls().await;
    let additions = calls.iter().filter(|it| it["operation"] == "add_members");
    assert_eq!(additions.count(), 1, "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_nothing_is_acknowledged_and_the_process_ends() {
    let mut world = World::start().await;
    let disk = Disk::under(&mut world);
    let users = world.users("u", 3).await;
    let id = world.group("Developers", &users[..1]).await;
    disk.fails_to_sync(EIO);
    let add = member("add", &users[1]);
    let body =
        json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": add });
    let path = format!("/Groups/{id}");
    let answers = (0..4).map(|_| world.try_send("PATCH", &path, Some(body.clone())));
    for answer in futures_util::future::join_all(answers).await {
        assert!(
            answer.is_err() || answer.as_ref().unwrap().status == 500,
            "{answer:?}"
        );
    }
    let end = Instant::now() + SOON;
    let code = loop {
        if let Some(code) = world.bridge_exited() {
            break code;
        }
        assert!(Instant::now() < end, "it goes on: {}", world.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(code, Some(1));
    assert!(world.log().contains("cannot be trusted"), "{}", world.log());
    world.start_bridge();
    let members = world.members(&id).await;
    assert!(members.contains(&users[0]) && !members.contains(&users[2]));
    world.patch(&path, add).await.expect(204);
    world
        .until_upstream_has("developers", &[address("u0"), address("u1")].into())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_one_store_is_refused_and_the_first_goes_on() {
    let world = World::start().await;
    let began = Instant::now();
    let (_, said, ok) = world.run(&["serve"]);
    assert!(!ok && said.contains("in use by another process"), "{said}");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    world.user("after").await;
}

/// A pause as of a virtual machine that is frozen (H-09): longer than a call may
/// take, with a call under way and a removal still to come.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stands_still_keeps_its_store_and_goes_on_where_it_was() {
    let world = World::with("sync_wait = \"10ms\"\nlate_writes = \"2s\"", &["--empty"]).await;
    let users = world.users("u", 3).await;
    let group = world.group("Developers", &users[..1]).await;
    let path = format!("/Groups/{group}");
    let late = json!({ "operation": "add_members", "next": 1, "failure": { "late": { "after_ms": 1500 } } });
    world.faults(json!({ "rules": [late] })).await;
    for (op, user) in [("add", 1), ("add", 2), ("remove", 0)] {
        let change = member(op, &users[user]);
        world.patch(&path, change).await.expect(204);
    }
    world.signal_bridge("-STOP");
    let (_, said, ok) = world.run(&["serve"]);
    assert!(!ok && said.contains("in use by another process"), "{said}");
    let landed = async || world.upstream_members("developers").await.unwrap();
    while !landed().await.contains(&address("u1")) {}
    world.signal_bridge("-CONT");
    world
        .until_upstream_has("developers", &[address("u1"), address("u2")].into())
        .await;
    assert_eq!(
        world.members(&group).await,
        users[1..].iter().cloned().collect()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_refused_by_name_and_left_as_it_is() {
    let mut world = World::start().await;
    world.users("u", 20).await;
    world.stop_bridge();
    let sound = world.copy_store();
    let half = sound[..sound.len() / 2].to_vec();
    let mut headless = sound.clone();
    headless[..4096].fill(0x78);
    let mut unrooted = sound.clone();
    unrooted[100..4096].fill(0);
    for (how, bytes) in [
        ("half of it", half),
        ("no header", headless),
        ("no schema", unrooted),
    ] {
        world.put_store(Some(&bytes));
        let (_, said, ok) = world.run(&["serve"]);
        assert!(!ok && said.contains("bridge.db"), "{how}: {said}");
        let after = std::fs::read(world.store()).unwrap();
        assert!(after == bytes, "{how}: the file was changed");
    }
    world.put_store(Some(&sound));
    world.start_bridge();
    assert_eq!(
        world.get("/Users").await.expect(200).body["totalResults"],
        20
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_says_that_it_is_full_and_where_and_nothing_of_panics() {
    let mut world = World::start().await;
    let disk = Disk::under(&mut world);
    world.user("kept").await;
    world.stop_bridge();
    disk.is_full();
    let environment = disk.environment();
    let on_disk: Vec<_> = environment.iter().map(|(k, v)| (*k, v.to_str())).collect();
    let (_, said, ok) = world.run_as(&on_disk, &["serve"]);
    assert!(!ok, "{said}");
    for words in ["the disk", "make room on it", "bridge.db"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    disk.is_well();
    world.start_bridge();
    assert_eq!(
        world.get("/Users").await.expect(200).body["totalResults"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_it_starts_after_a_kill_reads_and_recovers_by_itself() {
    let mut world = World::start().await;
    let disk = Disk::under(&mut world);
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users[..1]).await;
    let path = format!("/Groups/{id}");
    world.kill_bridge();
    disk.is_full_but_for_the_index();
    disk.start(&mut world);
    assert!(!world.is_ready().await, "with the first answer");
    assert_eq!(
        world.members(&id).await,
        users[..1].iter().cloned().collect()
    );
    world.forget_calls().await;
    cannot_be_kept(&world.patch(&path, member("add", &users[1])).await);
    cannot_be_kept(&world.send("DELETE", &path, None).await);
    assert_eq!(world.calls().await, Vec::<Value>::new());
    assert!(world.log().contains("make room on it"), "{}", world.log());
    disk.is_well();
    until_ready_is(&world, true).await;
    world
        .patch(&path, member("add", &users[1]))
        .await
        .expect(204);
    let both = [address("u0"), address("u1")].into();
    world.until_upstream_has("developers", &both).await;
    let end = Instant::now() + SOON;
    while !world.command(&["status"]).0 {
        assert!(Instant::now() < end, "{:?}", world.command(&["status"]));
    }
    let said = world.command(&["audit", "verify"]);
    assert!(said.0, "{}", said.1);
}
