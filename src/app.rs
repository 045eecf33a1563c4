//! Wiring: from a configuration to a server that answers, and back down.
//!
//! Two runtimes: the front serves requests on its own threads, the engine
//! carries lanes, imports and upstream calls on two of its own, so that slow
//! applications never slow down answers. Nothing is decided here.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime,
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

use crate::{
    bridge::{
        Bridge, Setup,
        switch::{self, Switch},
        token::{TokenError, Tokens, secret},
    },
    config::{self, Config},
    console::{self, Access, OperatorToken, beside},
    http,
    store::{self, Health, Store, StoreError},
    upstream::{Ledger, Upstream, hydden, opsera, rest, snyk},
};

/// How long a stop waits for upstream calls after the front has stopped; what
/// is cut off then is open work for the next start.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How often the store is asked whether it still takes writes, and whether it
/// does again.
const PULSE: Duration = Duration::from_secs(5);
const SICK_PULSE: Duration = Duration::from_millis(500);

/// Why there is no server. The text holds the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the store {path} cannot be opened: {source}{}", remedy(source))]
    Store { path: PathBuf, source: StoreError },
    #[error("connection {connection}: {source}")]
    Tokens {
        connection: String,
        source: TokenError,
    },
    #[error("connection {connection}: the application cannot be set up: {reason}")]
    Upstream { connection: String, reason: String },
    #[error(
        "connection {connection}: sensitive_filters names {name:?}, which no schema has; /Schemas lists the attributes"
    )]
    NoAttribute { connection: String, name: String },
    #[error("{0}; stop what listens there, or choose another address in `listen`")]
    Listen(io::Error),
    #[error("the operator's side: {0}")]
    Operator(String),
    #[error("refusing to start: {0}")]
    Unguarded(String),
    #[error("the operating system gives no threads: {0}")]
    Engine(io::Error),
    #[error("the store failed at start: {0}")]
    Bridge(#[from] StoreError),
    #[error("{}", lines(.0))]
    Several(Vec<StartError>),
}

/// A store that somebody else holds says so itself.
fn remedy(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "",
        StoreError::Broken(_) => {
            "; its folder must exist and be writable for the user that runs drawbridge, and the file must be a store of drawbridge"
        }
    }
}

/// A file that could not be left where others are to find it.
fn unwritten(path: &Path, error: &io::Error) -> StartError {
    let path = path.display();
    StartError::Operator(format!(
        "cannot write {path}: {error}; its folder must be writable for the user that runs drawbridge"
    ))
}

fn lines(errors: &[StartError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

/// The runtime for lanes, imports and upstream calls. A runtime must not be
/// dropped by a thread that is itself a runtime's, so this one ends in the
/// background, whoever drops it.
#[derive(Debug)]
struct Engine(Option<runtime::Runtime>);

impl Engine {
    fn start() -> Result<Self, StartError> {
        let engine = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("engine")
            .enable_all()
            .build();
        engine
            .map(|engine| Self(Some(engine)))
            .map_err(StartError::Engine)
    }

    fn handle(&self) -> runtime::Handle {
        let own = self.0.as_ref().map(|engine| engine.handle().clone());
        own.unwrap_or_else(runtime::Handle::current)
    }

    /// Waits for what is under way, for a while.
    async fn stop(mut self) {
        if let Some(engine) = self.0.take() {
            let done = tokio::task::spawn_blocking(move || engine.shutdown_timeout(LAST_CALLS));
            let _ = done.await;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(engine) = self.0.take() {
            engine.shutdown_background();
        }
    }
}

/// Waits for what the store does not come back from.
async fn ruined(health: &mut watch::Receiver<Health>) -> StoreError {
    loop {
        if let Health::Ruined(error) = &*health.borrow_and_update() {
            return error.clone();
        }
        if health.changed().await.is_err() {
            return StoreError::Broken("its writer has stopped".into());
        }
    }
}

/// The runtime a command runs on.
pub fn command_runtime() -> Result<runtime::Runtime, StartError> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Engine)
}

pub fn open_store(path: &Path) -> Result<Arc<dyn Store>, StartError> {
    store::open(path).map_err(|source| StartError::Store {
        path: path.to_owned(),
        source,
    })
}

pub fn open_upstream(connection: &config::Connection) -> Result<Arc<dyn Upstream>, StartError> {
    let opened = match &connection.upstream {
        config::Upstream::Opsera(settings) => opsera::open((**settings).clone()),
        config::Upstream::Hydden(settings) => hydden::open(settings),
        config::Upstream::Rest(settings) => rest::open((**settings).clone()),
        config::Upstream::Snyk(settings) => snyk::open(snyk::Settings {
            connection: connection.name.clone(),
            ..(**settings).clone()
        }),
    };
    opened.map_err(|reason| StartError::Upstream {
        connection: connection.name.clone(),
        reason,
    })
}

/// A name in `sensitive_filters` that guards nothing is a mistake that nobody
/// would notice.
pub fn guards_something(
    connection: &config::Connection,
    upstream: &dyn Upstream,
) -> Result<(), StartError> {
    let schemas = upstream.schemas();
    let names = &connection.policy.sensitive_filters;
    let unknown = names.iter().find(|name| !schemas.has(name));
    unknown.map_or(Ok(()), |name| {
        Err(StartError::NoAttribute {
            connection: connection.name.clone(),
            name: name.clone(),
        })
    })
}

/// Everything a connection needs, from its configuration.
pub fn set_up(connection: &config::Connection) -> Result<Setup, StartError> {
    let tokens = Tokens::open(&connection.tokens).map_err(|source| StartError::Tokens {
        connection: connection.name.clone(),
        source,
    })?;
    let upstream = open_upstream(connection)?;
    guards_something(connection, &*upstream)?;
    Ok(Setup {
        name: connection.name.clone(),
        upstream,
        policy: connection.policy.clone(),
        tokens,
    })
}

/// The tokens of operators that stay.
pub fn operator_tokens(operator: &config::Operator) -> Result<Vec<OperatorToken>, StartError> {
    let anybody = operator.token.iter().map(|path| (None, path));
    let people = operator.tokens.iter();
    let people = people.map(|(name, path)| (Some(name.clone()), path));
    let (mut tokens, mut seen) = (Vec::new(), HashSet::new());
    for (name, path) in anybody.chain(people) {
        let fault = |error: &dyn std::fmt::Display| {
            StartError::Operator(format!("{}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
        let token = Tokens::fixed(text.trim()).map_err(|error| fault(&error))?;
        if !seen.insert(text.trim().to_owned()) {
            return Err(fault(
                &"another operator has the same token; give each a token of their own",
            ));
        }
        tokens.push(OperatorToken { name, token });
    }
    Ok(tokens)
}

/// Calls that the last process has sent count in the limits of this one. Without
/// the file that tells of them there is work to do all the same.
pub fn remember_calls(store: &Path, setups: &[Setup]) {
    match Ledger::open(&beside(store, "calls")) {
        Ok(ledger) => {
            for setup in setups {
                setup.upstream.remember(&ledger);
            }
        }
        Err(error) => {
            tracing::warn!(%error, store = %store.display(), "what was sent before cannot be read: the limits of a minute begin anew");
        }
    }
}

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    pub bridge: Arc<Bridge>,
    /// Where it listens, in the order of the settings.
    pub addresses: Vec<SocketAddr>,
    front: JoinHandle<io::Result<()>>,
    stop: Option<oneshot::Sender<()>>,
    engine: Engine,
    store: Arc<dyn Store>,
    operators: Option<Operators>,
}

/// Where the disk is full, commands find the server as soon as there is room.
async fn leave_later(access: Access, store: PathBuf) {
    loop {
        tokio::time::sleep(SICK_PULSE).await;
        if access.leave(&store).is_ok() {
            return;
        }
    }
}

/// The operator's side at work.
#[derive(Debug)]
struct Operators {
    stop: oneshot::Sender<()>,
    /// Leaves the access, where that could not be done at once.
    leaving: Option<JoinHandle<()>>,
    /// The store that the access lies beside.
    store: PathBuf,
}

/// Why a server is not running any more.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error("the front stopped: {0}")]
    Front(io::Error),
    #[error("the store takes no more writes: {0}")]
    Store(StoreError),
}

impl Running {
    /// Opens what the configuration names and starts to answer and to import.
    pub async fn of(config: &Config) -> Result<Self, StartError> {
        let (mut faults, mut setups) = (Vec::new(), Vec::new());
        for connection in &config.connections {
            match set_up(connection) {
                Ok(setup) => setups.push(setup),
                Err(fault) => faults.push(fault),
            }
        }
        let store = match open_store(&config.store) {
            Ok(store) if faults.is_empty() => store,
            Ok(_) => return Err(StartError::Several(faults)),
            Err(fault) => {
                faults.push(fault);
                return Err(StartError::Several(faults));
            }
        };
        remember_calls(&config.store, &setups);
        let switch = Switch::at(beside(&config.store, switch::FLAG));
        let running = Self::start(store, setups, config.front.clone(), switch).await;
        let mut running = running.map_err(|error| match error {
            StartError::Bridge(error) => StartError::Bridge(error.at(&config.store)),
            other => other,
        })?;
        running.serve_operators(config)?;
        running.bridge.import_regularly();
        running.bridge.reconcile_regularly();
        running.bridge.look_for_staged_regularly();
        Ok(running)
    }

    /// Starts to answer; imports nothing by itself.
    pub async fn start(
        store: Arc<dyn Store>,
        setups: Vec<Setup>,
        front: http::Settings,
        switch: Switch,
    ) -> Result<Self, StartError> {
        let engine = Engine::start()?;
        let bridge = Bridge::start(Arc::clone(&store), setups, engine.handle(), switch).await?;
        // Its requests are ours and belong in no log.
        http::self_test(Arc::clone(&bridge), &front)
            .with_subscriber(NoSubscriber::default())
            .await
            .map_err(StartError::Unguarded)?;
        // Readiness is right with the first answer; the store's health is what it comes to.
        let _ = store.pulse().await;
        let (server, addresses) =
            http::server(Arc::clone(&bridge), front).map_err(StartError::Listen)?;
        let (stop, stopped) = oneshot::channel();
        let handle = server.handle();
        tokio::spawn(async move {
            if stopped.await.is_ok() {
                handle.stop(true).await;
            }
        });
        Ok(Self {
            bridge,
            addresses,
            front: tokio::spawn(server),
            stop: Some(stop),
            engine,
            store,
            operators: None,
        })
    }

    /// Starts the operator's side and leaves its address and a new token
    /// beside the store.
    fn serve_operators(&mut self, config: &Config) -> Result<(), StartError> {
        let fault = |error: &dyn std::fmt::Display| StartError::Operator(error.to_string());
        let token = secret::generate().map_err(|error| fault(&error))?;
        let mut tokens = operator_tokens(&config.operator)?;
        tokens.push(OperatorToken {
            name: None,
            token: Tokens::fixed(&token).map_err(|error| fault(&error))?,
        });
        let settings = console::Settings {
            listen: config.operator.listen,
            tokens,
            public_url: config.front.public_url.clone(),
        };
        let (server, address) =
            console::server(Arc::clone(&self.bridge), settings).map_err(StartError::Listen)?;
        let access = Access {
            url: format!("http://{address}"),
            token,
        };
        let leaving = match access.leave(&config.store) {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let store = config.store.display();
                tracing::warn!(%error, %store, "commands do not find this server before there is room on the disk");
                Some(tokio::spawn(leave_later(access, config.store.clone())))
            }
            Err(error) => return Err(unwritten(&Access::file_of(&config.store), &error)),
        };
        let handle = server.handle();
        tokio::spawn(server);
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            if stopped.await.is_ok() {
                handle.stop(false).await;
            }
        });
        self.operators = Some(Operators {
            stop,
            leaving,
            store: config.store.clone(),
        });
        Ok(())
    }

    /// Waits until the server cannot go on. Cancel-safe.
    pub async fn ended(&mut self) -> Ended {
        let mut health = self.store.health();
        loop {
            let well = *health.borrow() == Health::Well;
            let pulse = if well { PULSE } else { SICK_PULSE };
            tokio::select! {
                end = &mut self.front => return Ended::Front(match end {
                    Ok(Ok(())) => io::Error::other("without being asked to"),
                    Ok(Err(error)) => error,
                    Err(error) => io::Error::other(error),
                }),
                error = ruined(&mut health) => return Ended::Store(error),
                () = tokio::time::sleep(pulse) => {
                    // The store's health is what it comes to.
                    let _ = self.store.pulse().await;
                }
            }
        }
    }

    /// Stops taking requests, finishes those under way, then lets go of the
    /// store. Work that is still open is in the store and goes on at the next
    /// start.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.bridge.close();
        if let Some(operators) = self.operators.take() {
            if let Some(leaving) = operators.leaving {
                leaving.abort();
                let _ = leaving.await;
            }
            Access::take_away(&operators.store);
            let _ = operators.stop.send(());
        }
        if !self.front.is_finished() {
            let _ = (&mut self.front).await;
        }
        self.engine.stop().await;
        self.bridge.note_age().await;
    }
}
