//! A wall clock that is put on and back, by an hour and by a day, changes no
//! result: order comes from the store, and what waits for a time waits by a
//! clock that nobody sets (reliability: F-26, I-30, H-11).

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{World, address, load, values};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The bridge's wall clock.
struct Clock {
    folder: TempDir,
}

impl Clock {
    /// Of a bridge that is started anew.
    fn of(world: &mut World) -> Self {
        world.stop_bridge();
        let clock = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let library = clock.path("shim.so");
        load(&library, "tests/clock/shim.c");
        clock.is_off_by(0);
        world.start_bridge_with(&[("LD_PRELOAD", &library), ("CLOCK_SET", &clock.path("set"))]);
        clock
    }

    /// Whole at every moment.
    fn is_off_by(&self, seconds: i64) {
        std::fs::write(self.path("fresh"), seconds.to_string()).unwrap();
        std::fs::rename(self.path("fresh"), self.path("set")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn member(op: &str, id: &String) -> Value {
    json!([{ "op": op, "path": "members", "value": values(std::slice::from_ref(id)) }])
}

/// The day on which a resource says that it was changed, as the bridge sees it.
async fn modified(world: &World, path: &str) -> String {
    let body = world.get(path).await.expect(200).body;
    body["meta"]["lastModified"].as_str().unwrap()[..13].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_end_as_asked_for_whatever_the_clock_says() {
    let mut world = World::start().await;
    let clock = Clock::of(&mut world);
    let users = world.users("u", 3).await;
    let id = world.group("Developers", &users[..1]).await;
    let path = format!("/Groups/{id}");
    let (first, both) = (
        [address("u0")].into(),
        [address("u0"), address("u1")].into(),
    );
    let mut seen = Vec::new();
    for off in [HOUR, -HOUR, DAY, -DAY, 0] {
        clock.is_off_by(off);
        let version = world.get(&path).await.version().unwrap();
        world
            .patch(&path, member("add", &users[1]))
            .await
            .expect(204);
        world.until_upstream_has("developers", &both).await;
        world
            .patch(&path, member("remove", &users[1]))
            .await
            .expect(204);
        world.until_upstream_has("developers", &first).await;
        let now = world.get(&path).await.expect(200);
        assert_eq!(now.version(), Some(version + 2));
        seen.push(modified(&world, &path).await);
        // A page after a page, whatever happened to the time in between.
        let page = world.get("/Users?cursor&count=2").await.expect(200);
        let next = page.body["nextCursor"].as_str().unwrap().to_owned();
        let rest = world.get(&format!("/Users?cursor={next}&count=2")).await;
        assert_eq!(
            rest.expect(200).body["Resources"].as_array().unwrap().len(),
            1
        );
    }
    seen.dedup();
    assert_eq!(seen.len(), 5, "the clock was set: {seen:?}");
    let said = world.command(&["audit", "verify"]);
    assert!(said.0, "{}", said.1);
}

/// An add that nobody answers lands after its removal, seconds later, and the
/// clock is set in between. It is found out when the time for that has passed:
/// neither before, when it had not landed yet, nor a day later.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_lands_late_is_undone_though_the_clock_was_set_meanwhile() {
    for off in [DAY, -DAY] {
        let settings = "sync_wait = \"1s\"\nlate_writes = \"9s\"";
        let mut world = World::with(settings, &["--empty"]).await;
        let clock = Clock::of(&mut world);
        let users = world.users("u", 2).await;
        let id = world.group("Developers", &users[..1]).await;
        let path = format!("/Groups/{id}");
        let late = json!({ "late": { "after_ms": 7_000 } });
        world
            .faults(
                json!({ "rules": [{ "failure": late, "operation": "add_members", "next": 1 }] }),
            )
            .await;
        world
            .patch(&path, member("add", &users[1]))
            .await
            .expect(204);
        world
            .patch(&path, member("remove", &users[1]))
            .await
            .expect(204);
        clock.is_off_by(off);
        let one = [address("u0")].into();
        world
            .until_upstream_has("developers", &[address("u0"), address("u1")].into())
            .await;
        world.until_upstream_has("developers", &one).await;
        assert_eq!(
            world.members(&id).await,
            users[..1].iter().cloned().collect()
        );
    }
}
