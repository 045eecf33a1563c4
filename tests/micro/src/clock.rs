//! Time per call: batches of some milliseconds after a warm-up, and of those
//! the median, which a busy machine moves least.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const BATCH: Duration = Duration::from_millis(4);
const BATCHES: usize = 75;

/// Measures and tells nanoseconds.
pub(crate) fn nanoseconds<T>(name: &str, call: impl FnMut() -> T) {
    tell(name, "ns", median(call));
}

/// Measures and tells microseconds.
pub(crate) fn microseconds<T>(name: &str, call: impl FnMut() -> T) {
    tell(name, "us", median(call) / 1_000.0);
}

pub(crate) fn tell(name: &str, unit: &str, value: f64) {
    println!("{name}\t{unit}\t{value:.3}");
}

fn median<T>(mut call: impl FnMut() -> T) -> f64 {
    let mut calls = 1_u32;
    while batch(calls, &mut call) < BATCH {
        calls = calls.saturating_mul(2);
    }
    let mut times: Vec<Duration> = (0..BATCHES).map(|_| batch(calls, &mut call)).collect();
    times.sort_unstable();
    times[BATCHES / 2].as_secs_f64() * 1e9 / f64::from(calls)
}

fn batch<T>(calls: u32, call: &mut impl FnMut() -> T) -> Duration {
    let began = Instant::now();
    for _ in 0..calls {
        black_box(call());
    }
    began.elapsed()
}
