//! Rows about the commonest write: PATCH of one member, at several group sizes.
//!
//! With one client every PATCH has its own commits and its own upstream call;
//! with sixteen, those that wait share them. Sizes and clients take turns
//! within a round, so that a busy moment of the machine strikes all alike, and
//! every load starts at exactly the group's size.

use std::sync::Arc;

use super::{
    bench::{Bench, READERS},
    bodies,
    load::Until,
    table::{Figures, Row, milliseconds},
};

/// A later median may be so much above the empty group's.
const FLAT: f64 = 1.3;
/// Microseconds of processor time for a PATCH.
const CPU: f64 = 300.0;
const CLIENTS: [usize; 2] = [1, READERS];

/// One size with one number of clients.
struct Load {
    size: usize,
    group: String,
    clients: usize,
    rounds: Vec<Figures>,
}

impl Load {
    fn name(&self) -> String {
        name(self.size, self.clients)
    }
}

fn name(size: usize, clients: usize) -> String {
    let plural = if clients == 1 { "" } else { "s" };
    format!("PATCH add 1, group of {size}, {clients} client{plural}")
}

pub(super) async fn members(bench: &mut Bench) -> Result<(), String> {
    let all = bench.sizes.groups.iter();
    let mut sizes: Vec<usize> = all
        .copied()
        .filter(|size| CLIENTS.iter().any(|it| bench.wants(&name(*size, *it))))
        .collect();
    let Some(largest) = sizes.last().copied() else {
        return Ok(());
    };
    // The empty group is what the others are compared with.
    if sizes.first() != Some(&0) {
        sizes.insert(0, 0);
    }
    let patches = bench.sizes.patches;
    let users = bench.world.users(largest + patches).await?.to_vec();
    let (crowd, newcomers) = users.split_at(largest);
    let newcomers: Arc<[String]> = newcomers.into();
    let mut loads = Vec::new();
    for size in sizes {
        let name = format!("size-{size}");
        let group = bench.world.group(&name, &crowd[..size]).await?;
        loads.extend(CLIENTS.map(|clients| Load {
            size,
            group: group.clone(),
            clients,
            rounds: Vec::new(),
        }));
    }
    let mut floors = Vec::new();
    for round in 0..=bench.sizes.rounds {
        for load in &mut loads {
            let figures = add_all(bench, &load.group, load.clients, newcomers.clone()).await?;
            if round > 0 {
                load.rounds.push(figures);
            }
        }
        let until = Until::time(bench.sizes.round / 4);
        let body = bodies::add(&newcomers[..1]);
        floors.push(bench.floor.patch(until, body).await?);
    }
    let floor = Row::new("floor: PATCH parsed and dropped, 16 clients");
    bench.push(floor.figures(Figures::median(&floors)));
    for clients in CLIENTS {
        let mut empty = None;
        for load in loads.iter().filter(|load| load.clients == clients) {
            let figures = Figures::median(&load.rounds);
            let base = *empty.get_or_insert(figures);
            bench.push(row(load, figures, base));
        }
    }
    Ok(())
}

fn row(load: &Load, figures: Figures, empty: Figures) -> Row {
    let measured = format!("{:.0} us CPU", figures.cpu);
    let row = Row::new(load.name()).figures(figures);
    let row = row.goal(measured, "<= 300 us", figures.cpu <= CPU);
    if load.size == 0 {
        return row;
    }
    let time = milliseconds(figures.p50) / milliseconds(empty.p50);
    let cpu = figures.cpu / empty.cpu;
    let measured = format!("{time:.2} of the empty group's median time, {cpu:.2} of its CPU");
    row.goal(measured, "<= 1.3 both", time <= FLAT && cpu <= FLAT)
}

/// Adds the newcomers one PATCH each, then takes them all out again, unmeasured.
async fn add_all(
    bench: &Bench,
    group: &str,
    clients: usize,
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
    let figures = bench.load(clients, until, Arc::new(traffic)).await?;
    let remove = bodies::remove(&newcomers);
    bench.world.send("PATCH", &path, &remove).await?;
    Ok(figures)
}
