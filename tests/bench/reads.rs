//! Rows about reading: a user by id, by `userName`, a page of users, a group
//! with its members.

use std::sync::Arc;

use super::{
    bench::{Bench, READERS},
    bodies,
    load::Until,
    table::{Figures, Row},
};

/// Steps through a list in an order that no cache foresees.
const STRIDE: usize = 7_919;
/// A reader of whole groups more would only wait.
const GROUP_READERS: usize = 4;
/// Users on a page, and readers of pages.
const PAGE: usize = 100;
const PAGE_READERS: usize = 4;
/// Groups of each user who is in any.
const GROUPS: usize = 5;

const FLOOR: &str = "floor: GET a fixed user of 1 KB";

/// GET and filter among many users, beside the floor.
pub(super) async fn users(bench: &mut Bench) -> Result<(), String> {
    let count = bench.sizes.users;
    let get = format!("GET user among {count} users");
    let filter = format!("filter by userName among {count} users");
    if !(bench.wants(&get) | bench.wants(&filter)) {
        return Ok(());
    }
    let until = Until::time(bench.sizes.round);
    let ids = bench.world.users(count).await?.to_vec();
    let caller = bench.world.caller.clone();
    let by_id = Arc::new(move |number: u64, out: &mut Vec<u8>| {
        let id = &ids[scattered(number, count)];
        caller.write(out, "GET", &format!("/Users/{id}"), "");
    });
    let caller = bench.world.caller.clone();
    let by_name = Arc::new(move |number: u64, out: &mut Vec<u8>| {
        let name = bodies::user_name(scattered(number, count));
        let path = format!("/Users?filter=userName%20eq%20%22{name}%22");
        caller.write(out, "GET", &path, "");
    });
    let (mut floors, mut gets, mut filters) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=bench.sizes.rounds {
        let floor = bench.floor.get(until).await?;
        let got = bench.load(READERS, until, by_id.clone()).await?;
        let filtered = bench.load(READERS, until, by_name.clone()).await?;
        if round > 0 {
            floors.push(floor);
            gets.push(got);
            filters.push(filtered);
        }
    }
    let floor = Figures::median(&floors);
    bench.push(Row::new(FLOOR).figures(floor));
    for (name, rounds) in [(get, gets), (filter, filters)] {
        let row = Row::new(name).beside(Figures::median(&rounds), floor);
        let ratio = row.floor_ratio();
        let measured = format!("{ratio:.2} of the floor's req/s");
        bench.push(row.goal(measured, ">= 0.33", ratio >= 1.0 / 3.0));
    }
    Ok(())
}

fn scattered(number: u64, count: usize) -> usize {
    usize::try_from(number)
        .unwrap_or_default()
        .wrapping_mul(STRIDE)
        % count
}

/// GET of a page of users, those who are in no group and those who are in some.
pub(super) async fn pages(bench: &mut Bench) -> Result<(), String> {
    let name = |groups: usize| format!("list of {PAGE} users, {groups} groups each");
    if !(bench.wants(&name(0)) | bench.wants(&name(GROUPS))) {
        return Ok(());
    }
    let users = bench.world.users(2 * PAGE).await?.to_vec();
    for number in 0..GROUPS {
        let name = format!("page {number}");
        bench.world.group(&name, &users[PAGE..]).await?;
    }
    let mut pages = Vec::new();
    for (groups, first) in [(0, 1), (GROUPS, PAGE + 1)] {
        let caller = bench.world.caller.clone();
        let path = format!("/Users?startIndex={first}&count={PAGE}");
        let page = move |_: u64, out: &mut Vec<u8>| caller.write(out, "GET", &path, "");
        pages.push((name(groups), Arc::new(page), Vec::new()));
    }
    for round in 0..=bench.sizes.rounds {
        for (_, page, rounds) in &mut pages {
            let until = Until::time(bench.sizes.round);
            let figures = bench.load(PAGE_READERS, until, page.clone()).await?;
            if round > 0 {
                rounds.push(figures);
            }
        }
    }
    for (name, _, rounds) in pages {
        bench.push(Row::new(name).figures(Figures::median(&rounds)));
    }
    Ok(())
}

/// GET of a big group with all its members.
pub(super) async fn group(bench: &mut Bench, group: &str) -> Result<(), String> {
    let name = format!("GET group with {} members", bench.sizes.big_group);
    if !bench.wants(&name) {
        return Ok(());
    }
    let whole = bench
        .world
        .send("GET", &format!("/Groups/{group}"), "")
        .await?;
    let members = whole["members"].as_array().map_or(0, Vec::len);
    let size = whole.to_string().len();
    let caller = bench.world.caller.clone();
    let path = format!("/Groups/{group}");
    let traffic = Arc::new(move |_: u64, out: &mut Vec<u8>| caller.write(out, "GET", &path, ""));
    let mut rounds = Vec::new();
    for round in 0..=bench.sizes.rounds {
        let until = Until::time(bench.sizes.round);
        let figures = bench.load(GROUP_READERS, until, traffic.clone()).await?;
        if round > 0 {
            rounds.push(figures);
        }
    }
    let figures = Figures::median(&rounds);
    let measured = format!("{:.0} req/s", figures.per_second);
    bench.push(
        Row::new(name)
            .figures(figures)
            .goal(measured, ">= 500 req/s", figures.per_second >= 500.0)
            .note(format!("{members} members in {} KB", size / 1_000)),
    );
    Ok(())
}
