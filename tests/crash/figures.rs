//! What a siege comes to in numbers: kills, what was asked and acknowledged,
//! what was lost, and how soon the bridge was there again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    READY,
    history::{Ledger, Lie},
};

pub struct Figures {
    began: Instant,
    took: Duration,
    /// How many requests were not answered yet, kill by kill.
    under_way: Vec<usize>,
    /// From each kill to the first answer after it.
    pub restarts: Vec<Duration>,
    acknowledged: usize,
}

impl Figures {
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
            took: Duration::ZERO,
            under_way: Vec::new(),
            restarts: Vec::new(),
            acknowledged: 0,
        }
    }

    pub fn killed(&mut self, under_way: usize) {
        self.under_way.push(under_way);
    }

    /// The last request is answered.
    pub fn ended(&mut self) {
        self.took = self.began.elapsed();
    }

    pub fn speak(&mut self, ledgers: &[&Ledger], lies: &[Lie], calls: &[Value]) {
        let sum = |of: fn(&Ledger) -> usize| ledgers.iter().map(|it| of(it)).sum::<usize>();
        self.acknowledged = sum(|it| it.acknowledged);
        let (open, looks) = (sum(|it| it.open), sum(|it| it.looks));
        let sent = self.acknowledged + open;
        self.under_way.sort_unstable();
        self.restarts.sort_unstable();
        println!(
            "{} kills in {:.0} s, {} of them with requests under way (median {}); {sent} writes sent, {:.0}/s",
            self.under_way.len(),
            self.took.as_secs_f64(),
            self.under_way.iter().filter(|it| **it > 0).count(),
            part(&self.under_way, 50),
            f64::from(u32::try_from(sent).unwrap()) / self.took.as_secs_f64(),
        );
        let told = |kind: fn(&Lie) -> bool| lies.iter().filter(|it| kind(it)).count();
        println!(
            "{} acknowledged, {open} without an answer; in {looks} looks {} acknowledged lost, {} half-applied, \
             {} versions gone back, {} otherwise wrong",
            self.acknowledged,
            told(|it| matches!(it, Lie::Lost(_))),
            told(|it| matches!(it, Lie::Half(_))),
            told(|it| matches!(it, Lie::Back(_))),
            told(|it| matches!(it, Lie::Odd(_))),
        );
        println!(
            "from the kill to the next answer: median {:?}, p99 {:?}, slowest {:?}",
            part(&self.restarts, 50),
            part(&self.restarts, 99),
            part(&self.restarts, 100),
        );
        speak_of_calls(calls);
    }

    /// That it was a siege at all, and that the bridge was soon there again.
    pub fn judge(&self) {
        let kills = self.under_way.len();
        assert!(self.acknowledged > kills, "hardly anything was written");
        // The short form shares its machine with other tests; times are for the
        // long one to judge.
        let measured = std::env::var_os("DRAWBRIDGE_KILLS").is_some();
        let slowest = part(&self.restarts, 100);
        assert!(!measured || slowest <= READY, "a restart took {slowest:?}");
    }
}

fn part<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

fn speak_of_calls(calls: &[Value]) {
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        let outcome = call["outcome"].as_str().expect("an outcome");
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{} calls to the application: {outcomes:?}", calls.len());
}

/// The last calls that named the user of a gap, or did not name anybody.
pub fn trail(calls: &[Value], gap: &str) {
    println!("{gap}:");
    let user = gap.split([' ', ':']).next().unwrap_or_default();
    let named = format!("{user}@");
    let speaks = |call: &&Value| call["body"].as_str().is_some_and(|it| it.contains(&named));
    let of: Vec<&Value> = calls.iter().filter(speaks).collect();
    for call in &of[of.len().saturating_sub(15)..] {
        let (path, body) = (
            call["path"].as_str().unwrap(),
            call["body"].as_str().unwrap(),
        );
        let body: String = body.chars().take(200).collect();
        println!(
            "  {} {path} {} at {} ms: {} {} {body}",
            call["operation"],
            call["sequence"],
            call["started_ms"],
            call["outcome"],
            call["status"]
        );
    }
}
