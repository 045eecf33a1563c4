//! Applications as real HTTP servers of their own: stateful, faithful to what is
//! documented, with switches for everything that goes wrong in practice and a
//! log of every call.
//!
//! Each is a `World` (see `stage`); everything else is the same for all.
//!
//! Tests, benchmarks and the demo put it behind the bridge. It is no part of
//! what is served to anybody: its control interface under `/_simulator` asks
//! for no credential, so it belongs on loopback.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver},
    },
    thread::JoinHandle,
    time::Instant,
};

use actix_web::{App, HttpServer, dev::ServerHandle, web};

mod company;
mod control;
mod faults;
mod hydden;
mod log;
mod opsera;
mod service;
mod snyk;
mod stage;
mod state;
#[cfg(test)]
mod tests;

pub use company::{Company, Employee, Team};
pub use faults::{Failure, Faults, Minute, RateLimit, Rule, Treatment};
pub use log::Call;
use stage::{Live, Stage};
pub use state::{GroupState, State, UserState};

/// The longest request body.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// Which application it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    Opsera,
    Hydden,
    Snyk,
}

impl Application {
    fn stage(self, company: &Company) -> Box<dyn Stage> {
        match self {
            Self::Opsera => Box::new(Live::<opsera::World>::new(company)),
            Self::Hydden => Box::new(Live::<hydden::World>::new(company)),
            Self::Snyk => Box::new(Live::<snyk::World>::new(company)),
        }
    }
}

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// What the server's workers and the owner see together.
#[derive(Debug)]
struct Shared {
    tokens: Vec<String>,
    started: Instant,
    live: Mutex<Box<dyn Stage>>,
    faults: Mutex<faults::Switchboard>,
    log: Mutex<log::Log>,
}

impl Shared {
    fn live(&self) -> MutexGuard<'_, Box<dyn Stage>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, faults::Switchboard> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, log::Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator {
    /// Starts on `listen` (port 0 for any free one) in a thread of its own and
    /// returns when it accepts connections. `token` may be several, with spaces
    /// between them.
    pub fn start(
        application: Application,
        listen: SocketAddr,
        token: impl Into<String>,
        company: &Company,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            tokens: token.into().split_whitespace().map(str::to_owned).collect(),
            started: Instant::now(),
            live: Mutex::new(application.stage(company)),
            faults: Mutex::default(),
            log: Mutex::default(),
        });
        let (tell, told) = mpsc::channel();
        let inside = shared.clone();
        let thread = std::thread::Builder::new()
            .name("simulator".into())
            .spawn(move || serve(listen, inside, &tell))?;
        let (address, server) = listening(&told)?;
        Ok(Self {
            address,
            shared,
            server,
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for a connection's configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call since the start or the last [`Self::forget_calls`], oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.log().calls()
    }

    pub fn forget_calls(&self) {
        self.shared.log().clear();
    }

    /// What is really there, whatever the switches show to callers.
    pub fn state(&self) -> State {
        let state = self.shared.live().state();
        serde_json::from_value(state).unwrap_or_default()
    }

    /// Replaces all switches.
    pub fn faults(&self, faults: Faults) {
        service::switch(&self.shared, faults);
    }

    /// Replaces everything that is there.
    pub fn seed(&self, company: &Company) {
        service::seed(&self.shared, company);
    }

    /// Ends it; calls in flight are cut off.
    pub async fn stop(mut self) {
        self.server.stop(false).await;
        if let Some(thread) = self.thread.take() {
            // The server has ended, so the thread is at its end too.
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // The command is on its way when this returns; nobody waits for it.
        drop(self.server.stop(false));
    }
}

type Told = std::io::Result<(SocketAddr, ServerHandle)>;

fn listening(told: &Receiver<Told>) -> Told {
    told.recv().unwrap_or_else(|_| {
        Err(std::io::Error::other(
            "the simulator ended while it started",
        ))
    })
}

fn serve(listen: SocketAddr, shared: Arc<Shared>, tell: &mpsc::Sender<Told>) {
    actix_web::rt::System::new().block_on(async move {
        let data = web::Data::from(shared);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(BODY_LIMIT))
                .service(control::scope())
                .default_service(web::to(service::answer))
        })
        .workers(1)
        .backlog(1_024)
        .shutdown_timeout(1)
        .disable_signals()
        .on_connect(service::remember_socket)
        .bind(listen);
        let server = match server {
            Ok(server) => server,
            Err(error) => {
                let _ = tell.send(Err(error));
                return;
            }
        };
        let address = server.addrs().first().copied().unwrap_or(listen);
        let server = server.run();
        let _ = tell.send(Ok((address, server.handle())));
        if let Err(error) = server.await {
            tracing::error!(%error, "the simulator ended");
        }
    });
}
