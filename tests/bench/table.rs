//! What was measured, and how it is shown: a line of figures for each row and
//! below it each goal with what was measured, `ok` or `SHORT`.

use std::{fmt::Write, time::Duration};

use super::{
    load::{self, Sample, Traffic, Until},
    process::Process,
};

/// The figures of one load, or the medians of several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) per_second: f64,
    /// Microseconds of the measured process for each request.
    pub(super) cpu: f64,
    pub p50: Duration,
    pub p99: Duration,
}

/// Puts a load on a server and measures both.
pub(super) async fn measure(
    server: &Process,
    address: std::net::SocketAddr,
    connections: usize,
    until: Until,
    traffic: std::sync::Arc<dyn Traffic>,
) -> Result<Figures, String> {
    let before = server.cpu();
    let sample = load::run(address, connections, until, traffic).await?;
    Ok(Figures::of(&sample, server.cpu().since(&before)))
}

impl Figures {
    fn of(sample: &Sample, cpu: Duration) -> Self {
        let requests = number(sample.requests().max(1));
        Self {
            per_second: requests / sample.elapsed.as_secs_f64(),
            cpu: cpu.as_secs_f64() * 1e6 / requests,
            p50: sample.percentile(50),
            p99: sample.percentile(99),
        }
    }

    /// Each figure's median over the rounds.
    pub(super) fn median(rounds: &[Self]) -> Self {
        let middle = |of: fn(&Self) -> f64| median(rounds.iter().map(of).collect());
        let time = |of: fn(&Self) -> f64| Duration::from_secs_f64(middle(of));
        Self {
            per_second: middle(|round| round.per_second),
            cpu: middle(|round| round.cpu),
            p50: time(|round| round.p50.as_secs_f64()),
            p99: time(|round| round.p99.as_secs_f64()),
        }
    }
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// Counts here are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^52")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}

#[derive(Debug)]
pub(super) struct Row {
    name: String,
    figures: Option<Figures>,
    of_floor: Option<f64>,
    verdicts: Vec<String>,
    short: usize,
}

impl Row {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            figures: None,
            of_floor: None,
            verdicts: Vec::new(),
            short: 0,
        }
    }

    pub(super) fn figures(mut self, figures: Figures) -> Self {
        self.figures = Some(figures);
        self
    }

    /// Figures with their ratio to the floor of the same run.
    pub(super) fn beside(self, figures: Figures, floor: Figures) -> Self {
        let mut row = self.figures(figures);
        row.of_floor = Some(figures.per_second / floor.per_second);
        row
    }

    pub(super) fn floor_ratio(&self) -> f64 {
        self.of_floor.unwrap_or_default()
    }

    pub(super) fn goal(mut self, measured: impl Into<String>, goal: &str, met: bool) -> Self {
        let verdict = if met { "ok" } else { "SHORT" };
        self.short += usize::from(!met);
        self.verdicts
            .push(format!("{}; goal {goal}: {verdict}", measured.into()));
        self
    }

    /// A figure without a goal.
    pub(super) fn note(mut self, measured: impl Into<String>) -> Self {
        self.verdicts.push(measured.into());
        self
    }
}

#[derive(Debug, Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    pub(super) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{:<44} {:>9} {:>9} {:>10} {:>9} {:>9}",
            "", "req/s", "of floor", "CPU us/req", "p50 ms", "p99 ms"
        );
        for row in &self.0 {
            let _ = write!(out, "{:<44}", row.name);
            if let Some(figures) = row.figures {
                let floor = row.of_floor.map_or(String::new(), |it| format!("{it:.2}"));
                let _ = write!(
                    out,
                    " {:>9.0} {:>9} {:>10.1} {:>9.2} {:>9.2}",
                    figures.per_second,
                    floor,
                    figures.cpu,
                    milliseconds(figures.p50),
                    milliseconds(figures.p99)
                );
            }
            out.push('\n');
            for verdict in &row.verdicts {
                let _ = writeln!(out, "    {verdict}");
            }
        }
        let short: usize = self.0.iter().map(|row| row.short).sum();
        let _ = match short {
            0 => writeln!(out, "\nEvery goal was met."),
            _ => writeln!(out, "\nGoals not met: {short}."),
        };
        out
    }
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
