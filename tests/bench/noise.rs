//! The row about fairness: one connection sends ten times what it may, another
//! one goes on at a steady rate. What does the other one notice (reliability:
//! F-31)?
//!
//! Both send their requests when they are due, whatever the answers take, and
//! an answer's time counts from then on.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

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
/// Clients of the steady one, and of the noisy one: more than can wait for
/// their turn, or it would only ever send what it may. No divisors of what the
/// requests repeat after.
const CLIENTS: u32 = 17;
const NOISY_CLIENTS: u32 = 2 * NOISY_BUDGET + 1;
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
            .push(run(address, (STEADY, CLIENTS), span, steady.clone()).await?);
        for (rate, beside) in [(NOISY_BUDGET, &mut seen.within), (NOISE, &mut seen.above)] {
            let noisy = apart(address, rate, span, noise.clone());
            let answers = run(address, (STEADY, CLIENTS), span, steady.clone()).await?;
            let noisy = noisy.join().map_err(|_| "the noise panicked")??;
            beside.push((answers, noisy));
        }
    }
    bench.push(seen.row(name));
    Ok(())
}

/// The noise, in a thread of its own: what it costs to send must not be taken
/// for what the bridge does.
fn apart(
    address: SocketAddr,
    rate: u32,
    span: Duration,
    traffic: Arc<impl Traffic>,
) -> JoinHandle<Result<Answers, String>> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(run(address, (rate, NOISY_CLIENTS), span, traffic))
    })
}

/// The rounds, in turns: the steady one alone, and with what the other one
/// heard, as long as that keeps to its budget and when it does not.
#[derive(Default)]
struct Seen {
    alone: Vec<Answers>,
    within: Vec<(Answers, Answers)>,
    above: Vec<(Answers, Answers)>,
}

impl Seen {
    fn row(&self, name: String) -> Row {
        let alone: Vec<&Answers> = self.alone.iter().collect();
        let [within, above] = [&self.within, &self.above]
            .map(|rounds| rounds.iter().map(|(steady, _)| steady).collect::<Vec<_>>());
        let told = |rounds: &[&Answers]| {
            let [half, most] = [50, 99].map(|percent| milliseconds(middle(rounds, percent)));
            format!("p50 {half:.2} and p99 {most:.2} ms")
        };
        let [before, between, after] =
            [&alone, &within, &above].map(|it| middle(it, 99).as_secs_f64());
        let failed: usize = [&alone, &within, &above]
            .into_iter()
            .flatten()
            .map(|it| it.with(|status| status >= 300))
            .sum();
        let noise = |is_meant: fn(u16) -> bool| -> usize {
            self.above
                .iter()
                .map(|(_, noisy)| noisy.with(is_meant))
                .sum()
        };
        Row::new(name)
            .note(format!(
                "{}; beside {NOISY_BUDGET} req/s, which the other one may send, {}; alone {}",
                told(&above),
                told(&within),
                told(&alone)
            ))
            .goal(
                format!("p99 {:.0} ms", after * 1000.0),
                "<= 250 ms",
                after <= P99.as_secs_f64(),
            )
            .goal(
                format!("{:.2} times the p99 alone", after / before),
                "<= 1.2",
                after <= MORE * before,
            )
            .note(format!(
                "{:.2} times beside {NOISY_BUDGET} req/s",
                between / before
            ))
            .goal(format!("{failed} requests failed"), "0", failed == 0)
            .note(format!(
                "meanwhile {} of the other one's {} requests were told to come again",
                noise(|status| status == 429),
                noise(|_| true)
            ))
    }
}

fn middle(rounds: &[&Answers], percent: usize) -> Duration {
    let each = rounds.iter().map(|it| it.at(percent).as_secs_f64());
    Duration::from_secs_f64(median(each.collect()))
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

/// Looks users up, and creates another one with every fourth request.
fn noise(caller: Caller) -> impl Traffic {
    let made = AtomicUsize::new(1_000_000);
    move |number: u64, out: &mut Vec<u8>| {
        if number.is_multiple_of(4) {
            let number = made.fetch_add(1, Ordering::Relaxed);
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
    (rate, count): (u32, u32),
    span: Duration,
    traffic: Arc<impl Traffic>,
) -> Result<Answers, String> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for first in 0..count {
        let traffic = traffic.clone();
        clients.spawn(client(address, began, (first, count, rate), span, traffic));
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
    (first, count, rate): (u32, u32, u32),
    span: Duration,
    traffic: Arc<impl Traffic>,
) -> Result<Vec<(u16, Duration)>, String> {
    let failed = |error| format!("{address}: {error}");
    let mut wire = Wire::open(address).await.map_err(failed)?;
    let mut answers = Vec::new();
    let mut request = Vec::new();
    for number in (first..).step_by(count as usize) {
        let due = began + Duration::from_secs(1) * number / rate;
        if due.duration_since(began) >= span || began.elapsed() >= span + span / 4 {
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
