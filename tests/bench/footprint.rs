//! Rows about the process itself: how soon it answers, how much memory it has.

use std::time::Duration;

use super::{
    bench::Bench,
    process::Memory,
    table::{Row, median, milliseconds},
    world,
};

/// How long a server is left alone before its memory is read.
const REST: Duration = Duration::from_secs(1);
const START_MS: f64 = 100.0;
const IDLE: u64 = 60 << 20;
const PEAK: u64 = 100 << 20;
/// Connections that nobody uses, beside one, and what each may cost.
const MORE: usize = 50;
const EACH: u64 = 1 << 20;

/// Several starts after a hard end, on what the store then holds.
pub(super) async fn start(bench: &mut Bench, holding: &str) -> Result<(), String> {
    let name = format!("start to first answer, {holding}");
    if !bench.wants(&name) {
        return Ok(());
    }
    let mut times = Vec::new();
    for _ in 0..bench.sizes.starts {
        times.push(milliseconds(bench.world.restart().await?));
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let middle = median(times);
    let measured = format!(
        "{middle:.0} ms, the slowest of {} {slowest:.0} ms",
        bench.sizes.starts
    );
    bench.push(Row::new(name).goal(measured, "<= 100 ms", middle <= START_MS));
    Ok(())
}

/// Memory before anything was asked.
pub(super) async fn idle(bench: &mut Bench) {
    let name = "memory idle, empty store";
    if bench.wants(name) {
        tokio::time::sleep(REST).await;
        let memory = bench.world.bridge.memory();
        bench.push(Row::new(name).note(format!("{:.1} MB", mega(memory.now))));
    }
}

/// What a connection costs that nobody uses: the difference that so many more
/// make, with what each needs for TLS.
pub(super) async fn connections(bench: &mut Bench) -> Result<(), String> {
    let name = "memory of an idle connection";
    if !bench.wants(name) {
        return Ok(());
    }
    let mut held = Vec::new();
    for count in [1, 1 + MORE] {
        let (_folder, server) = world::idle(count)?;
        tokio::time::sleep(REST).await;
        held.push(server.memory().now);
    }
    let each = held[1].saturating_sub(held[0]) / MORE as u64;
    let measured = format!("{MORE} beside one: {} KiB each", each >> 10);
    bench.push(Row::new(name).goal(measured, "< 1 MiB", each < EACH));
    Ok(())
}

/// Memory after the loads on many users and a big group.
pub(super) async fn loaded(bench: &mut Bench) {
    let (users, members) = (bench.sizes.users, bench.sizes.big_group);
    let name = format!("memory with {users} users, group of {members}");
    if bench.wants(&name) {
        tokio::time::sleep(REST).await;
        let Memory { now, peak } = bench.world.bridge.memory();
        bench.push(
            Row::new(name)
                .goal(
                    format!("after the loads above {:.1} MB", mega(now)),
                    "<= 60 MB",
                    now <= IDLE,
                )
                .goal(
                    format!("peak {:.1} MB", mega(peak)),
                    "<= 100 MB",
                    peak <= PEAK,
                ),
        );
    }
}

/// Memory at the end, for information.
pub(super) fn last(bench: &mut Bench) {
    let largest = bench.sizes.groups.iter().max().copied().unwrap_or(0);
    let name = format!("memory with {largest} users, group of {largest}");
    if bench.wants(&name) {
        let Memory { now, peak } = bench.world.bridge.memory();
        let text = format!("{:.1} MB, peak {:.1} MB", mega(now), mega(peak));
        bench.push(Row::new(name).note(text));
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes below 2^52")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
