//! Rows about writing: POST user, PUT of a big group with one member changed.

use std::sync::Arc;

use serde_json::Value;

use super::{
    bench::{Bench, READERS},
    bodies,
    load::Until,
    table::{Figures, Row},
};

/// Microseconds of processor time for a PUT.
const PUT_CPU: f64 = 10_000.0;

/// POST of new users, until there are as many as the reads need.
pub(super) async fn post(bench: &mut Bench) -> Result<(), String> {
    let name = "POST user, 16 clients";
    if !bench.wants(name) {
        return Ok(());
    }
    let (posts, rounds) = (bench.sizes.posts, bench.sizes.rounds);
    bench
        .world
        .users(bench.sizes.users.saturating_sub(posts * rounds))
        .await?;
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let makers = bench.world.next_users(posts);
        let until = Until::requests(posts as u64);
        measured.push(bench.load(READERS, until, makers.clone()).await?);
        bench.world.adopt(&makers)?;
    }
    bench.push(Row::new(name).figures(Figures::median(&measured)));
    Ok(())
}

/// PUT of a whole group in turns with and without its last member: each time
/// one upstream call that names one member.
pub(super) async fn put(bench: &mut Bench, group: &str) -> Result<(), String> {
    let size = bench.sizes.big_group;
    let name = format!("PUT group of {size} members, 1 changed");
    if !bench.wants(&name) {
        return Ok(());
    }
    let members = bench.world.users(size).await?.to_vec();
    let fewer = bodies::group("everyone", &members[..size - 1]);
    let all = bodies::group("everyone", &members);
    let caller = bench.world.caller.clone();
    let path = format!("/Groups/{group}");
    let traffic = Arc::new(move |number: u64, out: &mut Vec<u8>| {
        let body = if number.is_multiple_of(2) {
            &fewer
        } else {
            &all
        };
        caller.write(out, "PUT", &path, body);
    });
    let puts = bench.sizes.puts.next_multiple_of(2);
    let mut rounds = Vec::new();
    let mut calls = Vec::new();
    for round in 0..=bench.sizes.rounds {
        bench.world.forget_calls().await?;
        let until = Until::requests(puts as u64);
        let figures = bench.load(1, until, traffic.clone()).await?;
        calls.push(bench.world.calls().await?);
        if round > 0 {
            rounds.push(figures);
        }
    }
    let each = calls
        .iter()
        .all(|calls| calls.len() == puts && calls.iter().all(|call| members_named(call) == 1));
    let calls: Vec<Value> = calls.concat();
    let sent: usize = calls.iter().map(members_named).sum();
    let asked = puts * (bench.sizes.rounds + 1);
    let figures = Figures::median(&rounds);
    bench.push(
        Row::new(name)
            .figures(figures)
            .goal(
                format!("{:.2} ms CPU", figures.cpu / 1e3),
                "<= 10 ms",
                figures.cpu <= PUT_CPU,
            )
            .goal(
                format!(
                    "{asked} PUTs: {} upstream calls naming {sent} members",
                    calls.len()
                ),
                "one call naming one member for each",
                each,
            ),
    );
    Ok(())
}

/// How many members an upstream call names.
pub(super) fn members_named(call: &Value) -> usize {
    let body = call["body"].as_str().unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let lists = body.as_object().into_iter().flatten();
    lists
        .filter_map(|(_, value)| Some(value.as_array()?.len()))
        .sum()
}
