//! Rows about writing: POST user, PATCH of one member at several group sizes,
//! PUT of a big group with one member changed.

use std::sync::Arc;

use serde_json::Value;

use super::{
    bench::{Bench, READERS},
    bodies,
    load::Until,
    table::{Figures, Row, milliseconds},
};

/// A later median may be so much above the empty group's.
const FLAT: f64 = 1.3;
/// Microseconds of processor time for a PATCH, and for a PUT.
const PATCH_CPU: f64 = 300.0;
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

/// PATCH of one new member, one client, at each group size; every round starts
/// at exactly that size.
pub(super) async fn patch(bench: &mut Bench) -> Result<(), String> {
    let name = |size: &usize| format!("PATCH add 1 member, group of {size}");
    let mut sizes = bench.sizes.groups.to_vec();
    sizes.retain(|size| bench.wants(&name(size)));
    if sizes.is_empty() {
        return Ok(());
    }
    // The empty group is what the others are compared with.
    if sizes[0] != 0 {
        sizes.insert(0, 0);
    }
    let patches = bench.sizes.patches;
    let largest = sizes.iter().max().copied().unwrap_or(0);
    let users = bench.world.users(largest + patches).await?.to_vec();
    let (crowd, newcomers) = users.split_at(largest);
    let newcomers: Arc<[String]> = newcomers.into();
    let mut groups = Vec::new();
    for size in sizes {
        let id = bench
            .world
            .group(&format!("size-{size}"), &crowd[..size])
            .await?;
        groups.push((size, id, Vec::new()));
    }
    let mut floors = Vec::new();
    for round in 0..=bench.sizes.rounds {
        for (_, group, rounds) in &mut groups {
            let figures = one_by_one(bench, group, newcomers.clone()).await?;
            if round > 0 {
                rounds.push(figures);
            }
        }
        let until = Until::time(bench.sizes.round / 4);
        let floor = bench
            .floor
            .patch(until, bodies::add(&newcomers[..1]))
            .await?;
        floors.push(floor);
    }
    let floor = Row::new("floor: PATCH parsed and dropped, 16 clients");
    bench.push(floor.figures(Figures::median(&floors)));
    let mut empty = None;
    for (size, _, rounds) in &groups {
        let figures = Figures::median(rounds);
        let base = *empty.get_or_insert(figures);
        let cpu = format!("{:.0} us CPU", figures.cpu);
        let mut row =
            Row::new(name(size))
                .figures(figures)
                .goal(cpu, "<= 300 us", figures.cpu <= PATCH_CPU);
        if *size > 0 {
            let time = milliseconds(figures.p50) / milliseconds(base.p50);
            let cpu = figures.cpu / base.cpu;
            let measured =
                format!("{time:.2} of the empty group's median time, {cpu:.2} of its CPU");
            row = row.goal(measured, "<= 1.3 both", time <= FLAT && cpu <= FLAT);
        }
        bench.push(row);
    }
    Ok(())
}

/// Adds the newcomers one PATCH each, then takes them all out again, unmeasured.
async fn one_by_one(
    bench: &Bench,
    group: &str,
    newcomers: Arc<[String]>,
) -> Result<Figures, String> {
    let path = format!("/Groups/{group}");
    let caller = bench.world.caller.clone();
    let (to, all) = (path.clone(), newcomers.clone());
    let traffic = move |number: u64, out: &mut Vec<u8>| {
        let place = usize::try_from(number).unwrap_or_default() % all.len();
        caller.write(out, "PATCH", &to, &bodies::add(&all[place..=place]));
    };
    let until = Until::requests(newcomers.len() as u64);
    let figures = bench.load(1, until, Arc::new(traffic)).await?;
    bench
        .world
        .send("PATCH", &path, &bodies::remove(&newcomers))
        .await?;
    Ok(figures)
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
