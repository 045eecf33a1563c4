//! The same load, with the end at named points of the paths of a write and of
//! a turn (src/point.rs, debug builds only). Every point in the source takes
//! part, but for one with a scene of its own, so that none is there for nothing.
//!
//! A handful, by chance, in the ordinary test run; `DRAWBRIDGE_KILLS` in the
//! long form.

use std::{
    fs,
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tokio::task::block_in_place;

use super::{PATIENCE, Siege, kills};

/// What this load never comes to: a role that was made anew, see `snyk::configured`.
const ELSEWHERE: &str = "group.went-on";
/// The process ends at up to so many passes of a point.
const PASSES: usize = 24;
const SIGABRT: i32 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_ends_at_named_points() {
    let mut points = Vec::new();
    named(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut points,
    );
    assert!(points.iter().any(|name| name == ELSEWHERE));
    points.retain(|name| name != ELSEWHERE);
    points.sort();
    assert!(points.len() >= 25, "{points:?}");
    let mut siege = Siege::begin().await;
    siege.dice.shuffle(&mut points);
    for name in points.iter().cycle().take(kills()) {
        let passes = if name.starts_with("start.") {
            1
        } else {
            PASSES
        };
        let pass = 1 + siege.dice.below(passes);
        siege.end_at(&format!("{name}:{pass}")).await;
    }
    println!(
        "{} points, of them {} tried",
        points.len(),
        points.len().min(kills())
    );
    siege.kill().await;
    siege.end().await;
}

impl Siege {
    /// Starts the bridge again, and waits until it ends at the point.
    async fn end_at(&mut self, point: &str) {
        let began = Instant::now();
        self.figures.killed(self.under_way.load(Ordering::Relaxed));
        if !block_in_place(|| self.world.kill_and_restart_until(point)) {
            // Before it listened: its start works off what was left open.
            return;
        }
        let answer = self
            .world
            .try_send("GET", "/ServiceProviderConfig", None)
            .await;
        if answer.is_ok() {
            self.resume(began);
        }
        let end = Instant::now() + PATIENCE;
        let signal = loop {
            if let Some(signal) = self.world.bridge_ended() {
                break signal;
            }
            assert!(Instant::now() < end, "the bridge did not end at {point}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(signal, SIGABRT, "{point}");
    }
}

/// Every point in the sources; what several kinds of turn pass has one name.
fn named(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for rest in text.split("point!(\"").skip(1) {
                let name = rest.split('"').next().unwrap().to_owned();
                if !found.contains(&name) {
                    found.push(name);
                }
            }
        }
    }
}
