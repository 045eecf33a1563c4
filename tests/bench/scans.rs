//! Rows about what no index answers: what one such list costs, and what many
//! at once do to everybody else (reliability: S-48).
//!
//! The lists judge every user by a filter that none but the last comparison
//! lets through, and sort all of them. A list that is told to come again is
//! counted, not a failure: that is how the server bounds them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    bench::Bench,
    bodies::{self, Caller},
    load::{Traffic, Until},
    table::{Figures, Row, milliseconds},
    wire::Wire,
};

/// Lists that are asked for at the same time.
const LISTS: usize = 50;
/// Clients of the load beside them.
const CLIENTS: usize = 4;
/// Users that the writes take in and out of a group.
const MOVED: usize = 500;
/// Lists that are measured alone.
const ALONE: u64 = 5;
/// What a write may take beside the lists.
const WRITE: Duration = Duration::from_millis(500);

const LIST: &str = "/Users?filter=emails.value%20co%20%22nobody%22%20or%20phoneNumbers.value%20co%20%22nobody%22%20or%20profileUrl%20ew%20%22nobody%22%20or%20name.formatted%20co%20%22Family%22&sortBy=name.formatted&sortOrder=descending&count=10";

pub(super) async fn beside(bench: &mut Bench) -> Result<(), String> {
    let count = bench.sizes.scanned;
    let scan = format!("filter and sort {count} users, no index");
    let alone = "PATCH 1 member, no such lists";
    let get = format!("GET user beside {LISTS} such lists");
    let patch = format!("PATCH 1 member beside {LISTS} such lists");
    if !(bench.wants(&scan) | bench.wants(alone) | bench.wants(&get) | bench.wants(&patch)) {
        return Ok(());
    }
    let ids: Arc<[String]> = bench.world.users(count).await?.into();
    let group = bench.world.group("beside lists", &[]).await?;
    let group = format!("/Groups/{group}");
    let caller = bench.world.caller.clone();
    let reads = Arc::new(reads(caller.clone(), ids.clone()));
    let writes = Arc::new(writes(caller.clone(), group, ids));
    let list = caller.clone();
    let list = move |_: u64, out: &mut Vec<u8>| list.write(out, "GET", LIST, "");
    let until = Until::time(bench.sizes.round * 3);

    let one = bench
        .load(1, Until::requests(ALONE), Arc::new(list))
        .await?;
    bench.push(Row::new(scan).figures(one));
    let written = bench.load(CLIENTS, until, writes.clone()).await?;
    bench.push(Row::new(alone).figures(written));
    let lists = Lists::start(bench.world.address, &caller).await?;
    let read = bench.load(CLIENTS, until, reads).await?;
    let written = bench.load(CLIENTS, until, writes).await?;
    bench.push(bounded(get, read));
    bench.push(bounded(patch, written).note(lists.said()?));
    Ok(())
}

/// GET of one user after the other.
fn reads(caller: Caller, ids: Arc<[String]>) -> impl Traffic {
    move |number: u64, out: &mut Vec<u8>| {
        let id = &ids[place(number, ids.len())];
        caller.write(out, "GET", &format!("/Users/{id}"), "");
    }
}

/// `PATCHes` of one member each: some hundred join, and then they leave.
fn writes(caller: Caller, path: String, ids: Arc<[String]>) -> impl Traffic {
    move |number: u64, out: &mut Vec<u8>| {
        let number = place(number, 2 * MOVED);
        let id = &ids[number % MOVED..=number % MOVED];
        let body = if number < MOVED {
            bodies::add(id)
        } else {
            bodies::remove(id)
        };
        caller.write(out, "PATCH", &path, &body);
    }
}

fn place(number: u64, of: usize) -> usize {
    usize::try_from(number).unwrap_or_default() % of
}

fn bounded(name: String, figures: Figures) -> Row {
    let measured = format!("p99 {:.0} ms", milliseconds(figures.p99));
    Row::new(name)
        .figures(figures)
        .goal(measured, "<= 500 ms", figures.p99 <= WRITE)
}

/// The lists under way; they end with this.
struct Lists {
    _clients: JoinSet<()>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    refused: AtomicUsize,
    broken: AtomicUsize,
}

impl Lists {
    async fn start(address: SocketAddr, caller: &Caller) -> Result<Self, String> {
        let mut clients = JoinSet::new();
        let counts = Arc::new(Counts::default());
        for _ in 0..LISTS {
            let wire = Wire::open(address).await;
            let wire = wire.map_err(|error| format!("no connection to {address}: {error}"))?;
            let mut request = Vec::new();
            caller.write(&mut request, "GET", LIST, "");
            clients.spawn(ask(wire, request, counts.clone()));
        }
        Ok(Self {
            _clients: clients,
            counts,
        })
    }

    /// What became of them; fewer than there should be would be no load.
    fn said(&self) -> Result<String, String> {
        let count = |count: &AtomicUsize| count.load(Relaxed);
        let (answered, refused) = (count(&self.counts.answered), count(&self.counts.refused));
        match count(&self.counts.broken) {
            0 => Ok(format!(
                "meanwhile {answered} lists were answered and {refused} told to come again"
            )),
            broken => Err(format!("{broken} connections broke under the lists")),
        }
    }
}

/// One list after the other on one connection.
async fn ask(mut wire: Wire, request: Vec<u8>, counts: Arc<Counts>) {
    loop {
        let count = match wire.send(&request).await {
            Ok(200) => &counts.answered,
            Ok(_) => &counts.refused,
            Err(_) => break,
        };
        count.fetch_add(1, Relaxed);
    }
    counts.broken.fetch_add(1, Relaxed);
}
