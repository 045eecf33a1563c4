//! The load: so many connections, each with one request in flight, bounded in
//! number and in time.
//!
//! It runs on the benchmark's own core. An answer that is no 2xx ends it: a
//! figure made of refusals would be none.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::timeout};

use super::wire::Wire;

/// What no load takes longer than.
const LONGEST: Duration = Duration::from_secs(150);

/// What is sent: the request with a number, and what to do with its answer.
pub(super) trait Traffic: Send + Sync + 'static {
    /// Appends the whole request with this number (from 0).
    fn request(&self, number: u64, out: &mut Vec<u8>);

    /// Looks at a good answer; by default nobody does.
    fn answered(&self, _number: u64, _body: &[u8]) {}
}

impl<F: Fn(u64, &mut Vec<u8>) + Send + Sync + 'static> Traffic for F {
    fn request(&self, number: u64, out: &mut Vec<u8>) {
        self(number, out);
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    pub(super) requests: u64,
    pub(super) time: Duration,
}

impl Until {
    pub(super) fn requests(requests: u64) -> Self {
        Self {
            requests,
            time: LONGEST,
        }
    }

    pub(super) fn time(time: Duration) -> Self {
        Self {
            requests: u64::MAX,
            time,
        }
    }
}

/// What a load saw.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) elapsed: Duration,
    /// Of every request, sorted.
    pub(super) latencies: Vec<Duration>,
}

impl Sample {
    pub(super) fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// `share` of the requests were answered within this time.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let place = self.latencies.len() * percent / 100;
        self.latencies
            .get(place.min(last))
            .copied()
            .unwrap_or_default()
    }
}

/// Sends until the number or the time is reached.
pub(super) async fn run(
    address: SocketAddr,
    connections: usize,
    until: Until,
    traffic: Arc<dyn Traffic>,
) -> Result<Sample, String> {
    let next = Arc::new(AtomicU64::new(0));
    let mut wires = Vec::new();
    for _ in 0..connections {
        let wire = Wire::open(address).await;
        wires.push(wire.map_err(|error| format!("no connection to {address}: {error}"))?);
    }
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for wire in wires {
        clients.spawn(client(wire, began, until, next.clone(), traffic.clone()));
    }
    let all = timeout(until.time + LONGEST, async {
        let mut latencies = Vec::new();
        while let Some(client) = clients.join_next().await {
            latencies.extend(client.map_err(|error| error.to_string())??);
        }
        Ok::<_, String>(latencies)
    });
    let mut latencies = all
        .await
        .map_err(|_| "the answers take too long".to_owned())??;
    let elapsed = began.elapsed();
    latencies.sort_unstable();
    Ok(Sample { elapsed, latencies })
}

async fn client(
    mut wire: Wire,
    began: Instant,
    until: Until,
    next: Arc<AtomicU64>,
    traffic: Arc<dyn Traffic>,
) -> Result<Vec<Duration>, String> {
    let mut latencies = Vec::new();
    let mut request = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        if number >= until.requests || sent.duration_since(began) >= until.time {
            return Ok(latencies);
        }
        request.clear();
        traffic.request(number, &mut request);
        let status = wire.send(&request).await;
        let status = status.map_err(|error| format!("request {number}: {error}"))?;
        if !(200..300).contains(&status) {
            let text = String::from_utf8_lossy(&wire.body).into_owned();
            return Err(format!("request {number} was answered {status}: {text}"));
        }
        latencies.push(sent.elapsed());
        traffic.answered(number, &wire.body);
    }
}
