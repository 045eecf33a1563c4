//! One run: what is measured at which size, and what the rows share.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use regex_lite::Regex;
use tempfile::TempDir;

use super::{
    bodies::Caller,
    floor,
    load::Until,
    process::{Process, SERVER_CORE, Start},
    table::{Figures, Row, Table, measure},
    world::World,
};

/// Connections of a read load.
pub(super) const READERS: usize = 16;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) users: usize,
    pub(super) big_group: usize,
    /// Group sizes that a PATCH is measured at; the first is the empty one.
    pub(super) groups: &'static [usize],
    pub(super) rounds: usize,
    /// One round of reads.
    pub(super) round: Duration,
    /// Single-member changes in one round at each size.
    pub(super) patches: usize,
    pub(super) posts: usize,
    pub(super) puts: usize,
    pub(super) crowd: usize,
    pub(super) starts: usize,
    /// Users that a list without an index goes through.
    pub(super) scanned: usize,
    /// Users of a first sync.
    pub(super) synced: usize,
}

impl Sizes {
    pub(super) const FULL: Self = Self {
        users: 10_000,
        big_group: 10_000,
        groups: &[0, 1_000, 10_000, 100_000],
        rounds: 5,
        round: Duration::from_secs(2),
        patches: 320,
        posts: 1_000,
        puts: 10,
        crowd: 1_000,
        starts: 11,
        scanned: 100_000,
        synced: 5_000,
    };
    pub(super) const QUICK: Self = Self {
        groups: &[0, 1_000, 10_000],
        rounds: 3,
        round: Duration::from_millis(500),
        patches: 160,
        posts: 500,
        puts: 4,
        starts: 5,
        scanned: 10_000,
        synced: 500,
        ..Self::FULL
    };
}

pub(super) struct Bench {
    pub(super) sizes: Sizes,
    pub(super) world: World,
    pub(super) table: Table,
    pub(super) floor: Floor,
    only: Option<Regex>,
}

impl Bench {
    pub(super) fn start(sizes: Sizes, only: Option<Regex>, pinned: bool) -> Result<Self, String> {
        let world = World::start(pinned)?;
        let floor = Floor::start(&world.caller.token, pinned)?;
        Ok(Self {
            sizes,
            world,
            table: Table::default(),
            floor,
            only,
        })
    }

    /// Whether a row was asked for; says so when it takes a while.
    pub(super) fn wants(&self, name: &str) -> bool {
        let wants = self.only.as_ref().is_none_or(|only| only.is_match(name));
        if wants {
            eprintln!("measuring: {name}");
        }
        wants
    }

    /// Whether a row was asked for by its name: one that takes minutes.
    pub(super) fn wants_by_name(&self, name: &str) -> bool {
        self.only.is_some() && self.wants(name)
    }

    pub(super) fn push(&mut self, row: Row) {
        self.table.push(row);
    }

    /// A load on the bridge.
    pub(super) async fn load(
        &self,
        connections: usize,
        until: Until,
        traffic: Arc<dyn super::load::Traffic>,
    ) -> Result<Figures, String> {
        let World {
            bridge, address, ..
        } = &self.world;
        measure(bridge, *address, connections, until, traffic).await
    }
}

/// The floor's process.
pub(super) struct Floor {
    process: Process,
    address: SocketAddr,
    caller: Caller,
    _folder: TempDir,
}

impl Floor {
    fn start(token: &str, pinned: bool) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
        let (process, host) = Start {
            program: &program,
            arguments: &[floor::ARGUMENT],
            environment: &[(floor::TOKEN, token)],
            core: pinned.then_some(SERVER_CORE),
            folder: folder.path(),
            log: "floor.log",
            ready: "http://",
        }
        .run()?;
        Ok(Self {
            process,
            address: host.parse().map_err(|error| format!("{host}: {error}"))?,
            caller: Caller {
                host,
                base: String::new(),
                token: token.to_owned(),
            },
            _folder: folder,
        })
    }

    pub(super) async fn get(&self, until: Until) -> Result<Figures, String> {
        self.load(until, "GET", String::new()).await
    }

    pub(super) async fn patch(&self, until: Until, body: String) -> Result<Figures, String> {
        self.load(until, "PATCH", body).await
    }

    async fn load(
        &self,
        until: Until,
        method: &'static str,
        body: String,
    ) -> Result<Figures, String> {
        let caller = self.caller.clone();
        let traffic = move |_: u64, out: &mut Vec<u8>| caller.write(out, method, "/user", &body);
        let Self {
            process, address, ..
        } = self;
        measure(process, *address, READERS, until, Arc::new(traffic)).await
    }
}
