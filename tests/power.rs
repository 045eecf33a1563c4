//! Power cuts: everything a bridge did to its store's files while a client
//! wrote is recorded, and the files are built again as they would be had the
//! power gone at some moment: all that was synced, and of what was not synced
//! all, nothing, or any part, torn at sectors and in any order. Each such store
//! must open and be sound and hold exactly what was acknowledged by then, or
//! that and the one request that was under way (reliability: F-17, I-04, T-06).
//!
//! Sixty images in the ordinary test run. The long form is
//! `DRAWBRIDGE_IMAGES=500 cargo test --workspace --test main power -- --nocapture`.

use std::{collections::BTreeSet, path::Path};

use drawbridge::{scim::resource::ResourceId, store};
use serde_json::json;

use crate::{
    crash::dice::Dice,
    disk::shim::Disk,
    support::{World, values},
};
use tape::{Left, Tape};

mod tape;

const USERS: usize = 12;
/// Enough for the log to be carried into the database several times.
const REQUESTS: usize = 150;

type Members = BTreeSet<String>;

/// What was recorded, and what the group's members were after each
/// acknowledgement, before the first of them too.
struct Story {
    group: ResourceId,
    tape: Tape,
    states: Vec<Members>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_moment_leaves_just_what_was_acknowledged() {
    let images = std::env::var("DRAWBRIDGE_IMAGES").ok();
    let images: usize = images.map_or(60, |text| text.parse().expect("a number of images"));
    let seed = Dice::seed();
    let mut dice = Dice::new(seed);
    let story = record(&mut dice).await;
    println!("seed {seed}, {}", story.tape);
    assert!(
        story.tape.carried(),
        "nothing was carried into the database"
    );
    assert_eq!(story.tape.acknowledged(), REQUESTS);

    let mut wrong = Vec::new();
    for number in 0..images {
        let moment = story.tape.moment(&mut dice);
        let left = [Left::All, Left::Nothing, Left::Part, Left::Part][number % 4];
        wrong.extend(story.judge(&story.tape, moment, left, &mut dice).await);
    }
    println!("{images} images, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");

    // Without the syncs of the log, acknowledgements must be seen to be lost.
    let careless = story.tape.without_syncs_of_the_log();
    let mut seen = 0;
    for _ in 0..20 {
        let moment = careless.moment(&mut dice);
        let wrong = story.judge(&careless, moment, Left::Nothing, &mut dice);
        seen += usize::from(wrong.await.is_some());
    }
    println!("20 images of a store that does not sync its log, {seen} seen to be wrong");
    assert!(seen > 10, "only {seen}");
}

/// Lets a client change several members at a time, one request after the other.
async fn record(dice: &mut Dice) -> Story {
    let mut world = World::with("sync_wait = \"50ms\"", &["--empty"]).await;
    let users = world.users("u", USERS).await;
    let id = world.group("Developers", &users[..6]).await;
    let path = format!("/Groups/{id}");
    world.stop_bridge();
    let first = world.copy_store();
    let disk = Disk::under_stopped(&mut world);
    let mut states: Vec<Members> = vec![users[..6].iter().cloned().collect()];
    for _ in 0..REQUESTS {
        let mut order = users.clone();
        dice.shuffle(&mut order);
        let (come, rest) = order.split_at(1 + dice.below(4));
        let go = &rest[..=dice.below(4)];
        let operations = json!([
            { "op": "add", "path": "members", "value": values(come) },
            { "op": "remove", "path": "members", "value": values(go) },
        ]);
        world.patch(&path, operations).await.expect(204);
        let mut members = states.last().unwrap().clone();
        members.extend(come.iter().cloned());
        members.retain(|member| !go.contains(member));
        states.push(members);
    }
    world.kill_bridge();
    Story {
        group: ResourceId::exact(&id).unwrap(),
        tape: Tape::read(&disk.tape(), first),
        states,
    }
}

impl Story {
    /// What is wrong with the store after a power cut at that moment.
    async fn judge(
        &self,
        tape: &Tape,
        moment: usize,
        left: Left,
        dice: &mut Dice,
    ) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridge.db");
        tape.image(moment, left, dice).put(&path);
        let told = tape.acknowledged_before(moment);
        let may_be = &self.states[told..self.states.len().min(told + 2)];
        let fault = match recovered(&path, self.group).await {
            Ok(members) if may_be.contains(&members) => return None,
            Ok(members) => format!("{members:?} instead of {may_be:?}"),
            Err(fault) => fault,
        };
        Some(format!(
            "{told} acknowledged, record {moment}, {left:?} left: {fault}"
        ))
    }
}

/// The group's members in a store that is opened again and is sound.
async fn recovered(path: &Path, group: ResourceId) -> Result<Members, String> {
    let text = |error: store::StoreError| error.to_string();
    let store = store::open(path).map_err(text)?;
    let connection = store.connection("acme").await.map_err(text)?;
    let members = store.members(connection, group).await.map_err(text)?;
    let members = members.ok_or("the group is gone")?;
    drop(store);
    let db = rusqlite::Connection::open(path).map_err(|error| error.to_string())?;
    let sound: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| error.to_string())?;
    if sound != "ok" {
        return Err(sound);
    }
    Ok(members.ids.iter().map(ToString::to_string).collect())
}
