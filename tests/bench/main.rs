//! The benchmark: `cargo bench --bench speed [-- --quick] [--only REGEX]`.
//!
//! Starts the bridge with one worker, its simulator, and the floor (a static
//! actix-web server with the same token check), each a process of its own on a
//! core of its own, puts a load on them from another core, and prints what
//! each request costs, beside the goals. Only ratios of the same run can be
//! compared between machines. A missed goal is a figure, not a failure; the
//! exit status is 1 when something did not run.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{process::ExitCode, time::Instant};

use regex_lite::Regex;

mod backlog;
mod bench;
mod bodies;
mod crowd;
mod first;
mod floor;
mod footprint;
mod load;
mod noise;
mod patch;
mod process;
mod reads;
mod scans;
mod table;
mod wire;
mod world;
mod writes;

use bench::{Bench, Sizes};

struct Arguments {
    sizes: Sizes,
    only: Option<Regex>,
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let done = if given.iter().any(|argument| argument == floor::ARGUMENT) {
        floor::serve()
    } else {
        arguments(&given).and_then(|arguments| run(&arguments))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the benchmark could not run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(given: &[String]) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        sizes: Sizes::FULL,
        only: None,
    };
    let mut given = given.iter();
    while let Some(argument) = given.next() {
        match argument.as_str() {
            // Cargo adds it.
            "--bench" => {}
            "--quick" => arguments.sizes = Sizes::QUICK,
            "--only" => {
                let pattern = given.next().ok_or("--only needs a regular expression")?;
                let only = Regex::new(pattern).map_err(|error| error.to_string())?;
                arguments.only = Some(only);
            }
            other => {
                return Err(format!(
                    "{other:?} is unknown; there are --quick and --only REGEX (of row names)"
                ));
            }
        }
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let pinned = process::can_pin();
    if pinned {
        process::pin_myself()?;
    }
    println!("{}", circumstances(pinned));
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut bench = Bench::start(arguments.sizes, arguments.only.clone(), pinned)?;
        let measured = rows(&mut bench).await;
        println!("{}", bench.table.text());
        measured
    })?;
    println!("Took {} s.", began.elapsed().as_secs());
    Ok(())
}

async fn rows(bench: &mut Bench) -> Result<(), String> {
    footprint::start(bench, "empty store").await?;
    footprint::idle(bench).await;
    footprint::connections(bench).await?;
    writes::post(bench).await?;
    reads::users(bench).await?;
    reads::pages(bench).await?;
    let members = bench.world.users(bench.sizes.big_group).await?.to_vec();
    let group = bench.world.group("everyone", &members).await?;
    reads::group(bench, &group).await?;
    writes::put(bench, &group).await?;
    crowd::coalescing(bench).await?;
    footprint::loaded(bench).await;
    let holding = format!("{} users", bench.sizes.users);
    footprint::start(bench, &holding).await?;
    patch::members(bench).await?;
    footprint::last(bench);
    scans::beside(bench).await?;
    noise::beside(bench).await?;
    backlog::paced(bench).await?;
    first::syncs(bench).await?;
    Ok(())
}

/// What the reader must know to judge the figures.
fn circumstances(pinned: bool) -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| Some(line.split_once(':')?.1.trim()));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let place = if pinned {
        "measured servers on core 0, simulator and load on core 1"
    } else {
        "not pinned (taskset or a second core is missing): the figures are less steady"
    };
    format!(
        "{}; {place}; load average before the start {load} (the figures are true on a quiet machine only)\n",
        model.unwrap_or("unknown processor")
    )
}
