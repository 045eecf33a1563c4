//! The row about coalescing: many clients change one member each at once, a
//! slow application, few calls.

use std::sync::Arc;

use super::{
    bench::Bench,
    bodies,
    load::Until,
    table::{Row, number},
    writes::members_named,
};

const CLIENTS: usize = 16;
/// What every upstream call takes.
const LATENCY_MS: u64 = 50;

pub(super) async fn coalescing(bench: &mut Bench) -> Result<(), String> {
    let patches = bench.sizes.crowd;
    let name = format!("{patches} PATCHes of 1 member, {CLIENTS} clients, {LATENCY_MS} ms");
    if !bench.wants(&name) {
        return Ok(());
    }
    let users: Arc<[String]> = bench.world.users(patches).await?.into();
    let group = bench.world.group("crowd", &[]).await?;
    let caller = bench.world.caller.clone();
    let path = format!("/Groups/{group}");
    let traffic = move |number: u64, out: &mut Vec<u8>| {
        let place = usize::try_from(number).unwrap_or_default() % users.len();
        caller.write(out, "PATCH", &path, &bodies::add(&users[place..=place]));
    };
    bench.world.forget_calls().await?;
    bench.world.latency(LATENCY_MS).await?;
    let until = Until::requests(patches as u64);
    let figures = bench.load(CLIENTS, until, Arc::new(traffic)).await;
    bench.world.latency(0).await?;
    let figures = figures?;
    let calls = bench.world.calls().await?;
    let named: usize = calls.iter().map(members_named).sum();
    if named != patches {
        return Err(format!("{patches} members were added, {named} were sent"));
    }
    let least = patches.div_ceil(CLIENTS);
    let measured = format!(
        "{} upstream calls, {:.1} PATCHes for each",
        calls.len(),
        number(patches) / number(calls.len().max(1))
    );
    let goal = format!("<= {least} calls, the least possible with {CLIENTS} requests open");
    bench.push(
        Row::new(name)
            .figures(figures)
            .goal(measured, &goal, calls.len() <= least),
    );
    Ok(())
}
