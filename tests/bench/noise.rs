//! The row about fairness: one connection sends ten times what it may, another
//! one goes on at a steady rate. What does the other one notice (reliability:
//! F-31)?
//!
//! Both send their requests when they are due, whatever the answers take, and
//! an answer's time counts from then on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    bench::Bench,
    bodies::{self, Caller},
    load::Traffic,
    table::{Row, median, milliseconds},
    wire::Wire,
    world::NOISY_BUDGET,
};

/// Requests a second of the steady connection: four times what Entra demands.
const STEADY: u32 = 100;
/// And of the noisy one, which may send a tenth of that.
const NOISE: u32 = 10 * NOISY_BUDGET;
/// Clients of each; no divisor of what the requests repeat after.
const CLIENTS: u32 = 17;
const ROUNDS: usize = 3;
/// What the steady one's answers may take, and how much more than alone.
const P99: Duration = Duration::from_millis(250);
const MORE: f64 = 1.2;

pub(super) async fn beside(bench: &mut Bench) -> Result<(), String> {
    let name = format!("{STEADY} req/s beside {NOISE} of another connection");
    if !bench.wants(&name) {
        return Ok(());
    }
    let users: Arc<[String]> = bench.world.users(200).await?.into();
    let group = bench.world.group("beside noise", &[]).await?;
    let noise = Arc::new(noise(bench.world.noisy()));
    let steady = Arc::new(steady(bench.world.caller.clone(), group, users));
    let (address, span) = (bench.world.address, bench.sizes.round * 3);
    let mut seen = Seen::default();
    for _ in 0..ROUNDS {
        seen.alone
            .push(run(address, STEADY, span, steady.clone()).await?);
        let noisy = tokio::spawn(run(address, NOISE, span, noise.clone()));
        seen.beside
            .push(run(address, STEADY, span, steady.clone()).await?);
        seen.noise
            .push(noisy.await.map_err(|error| error.to_string())??);
    }
    bench.push(seen.row(name));
    Ok(())
}

/// The rounds, in turns.
#[derive(Default)]
struct Seen {
    alone: Vec<Answers>,
    beside: Vec<Answers>,
    noise: Vec<Answers>,
}

impl Seen {
    fn row(&self, name: String) -> Row {
        let middle = |rounds: &[Answers], percent: usize| {
            let each = rounds.iter().map(|it| it.at(percent).as_secs_f64());
            Duration::from_secs_f64(median(each.collect()))
        };
        let (before, after) = (middle(&self.alone, 99), middle(&self.beside, 99));
        let more = after.as_secs_f64() / before.as_secs_f64();
        let count = |rounds: &[Answers], is_meant: fn(u16) -> bool| -> usize {
            rounds.iter().map(|it| it.with(is_meant)).sum()
        };
        let failed = count(&self.beside, |it| it >= 300) + count(&self.alone, |it| it >= 300);
        let refused = count(&self.noise, |it| it == 429);
        Row::new(name)
            .note(format!(
                "p50 {:.2} ms and p99 {:.2} ms, {:.2} and {:.2} without the other one",
                milliseconds(middle(&self.beside, 50)),
                milliseconds(after),
                milliseconds(middle(&self.alone, 50)),
                milliseconds(before)
            ))
            .goal(
                format!("p99 {:.0} ms", milliseconds(after)),
                "<= 250 ms",
                after <= P99,
            )
            .goal(
                format!("{more:.2} times the p99 without"),
                "<= 1.2",
                more <= MORE,
            )
            .goal(format!("{failed} requests failed"), "0", failed == 0)
            .note(format!(
                "meanwhile {refused} of the other one's {} requests were told to come again",
                count(&self.noise, |_| true)
            ))
    }
}

/// Reads a user, and takes one into a group or out of it.
fn steady(caller: Caller, group: String, users: Arc<[String]>) -> impl Traffic {
    move |number: u64, out: &mut Vec<u8>| {
        let number = usize::try_from(number).unwrap_or_default();
        let one = number / 3 % users.len();
        let member = &users[one..=one];
        let path = format!("/Groups/{group}");
        match number % 3 {
            0 => caller.write(out, "GET", &format!("/Users/{}", users[one]), ""),
            1 => caller.write(out, "PATCH", &path, &bodies::add(member)),
            _ => caller.write(out, "PATCH", &path, &bodies::remove(member)),
        }
    }
}

/// Looks users up, and creates one with every fourth request.
fn noise(caller: Caller) -> impl Traffic {
    move |number: u64, out: &mut Vec<u8>| {
        if number.is_multiple_of(4) {
            let number = 1_000_000 + usize::try_from(number).unwrap_or_default();
            caller.write(out, "POST", "/Users", &bodies::user(number).to_string());
        } else {
            let path = format!("/Users?filter=userName%20eq%20%22nobody{number}%22");
            caller.write(out, "GET", &path, "");
        }
    }
}

/// What each request was answered, and how long after it was due.
struct Answers(Vec<(u16, Duration)>);

impl Answers {
    fn at(&self, percent: usize) -> Duration {
        let mut took: Vec<Duration> = self.0.iter().map(|(_, took)| *took).collect();
        took.sort_unstable();
        let place = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        took.get(place).copied().unwrap_or_default()
    }

    fn with(&self, is_meant: impl Fn(u16) -> bool) -> usize {
        self.0
            .iter()
            .filter(|(status, _)| is_meant(*status))
            .count()
    }
}

async fn run(
    address: SocketAddr,
    rate: u32,
    span: Duration,
    traffic: Arc<impl Traffic>,
) -> Result<Answers, String> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for first in 0..CLIENTS {
        let traffic = traffic.clone();
        clients.spawn(client(address, began, (first, rate), span, traffic));
    }
    let mut answers = Vec::new();
    while let Some(client) = clients.join_next().await {
        answers.extend(client.map_err(|error| error.to_string())??);
    }
    Ok(Answers(answers))
}

/// Every so many requests.
async fn client(
    address: SocketAddr,
    began: Instant,
    (first, rate): (u32, u32),
    span: Duration,
    traffic: Arc<impl Traffic>,
) -> Result<Vec<(u16, Duration)>, String> {
    let failed = |error| format!("{address}: {error}");
    let mut wire = Wire::open(address).await.map_err(failed)?;
    let mut answers = Vec::new();
    let mut request = Vec::new();
    for number in (first..).step_by(CLIENTS as usize) {
        let due = began + Duration::from_secs(1) * number / rate;
        if due.duration_since(began) >= span || began.elapsed() >= span * 2 {
            break;
        }
        sleep_until(due).await;
        // A body that is refused unread ends its connection.
        if wire.closed {
            wire = Wire::open(address).await.map_err(failed)?;
        }
        request.clear();
        traffic.request(u64::from(number), &mut request);
        let status = wire.send(&request).await.map_err(failed)?;
        answers.push((status, due.elapsed()));
    }
    Ok(answers)
}
