//! One bridge, one simulated application, both real processes on port 0.
//!
//! Dropping a [`World`] ends its processes by their ids. The application's
//! call log and state are read over its own control address, so a test sees
//! exactly what was sent upstream and what is there now.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

mod bodies;
mod configured;
mod files;
mod front;
mod lives;
mod operator;
mod process;
mod upstream;

pub use bodies::{Reply, address, group, user, values};
pub use configured::Application;
use configured::{NO_PACE, another, configuration};
use process::{Process, make_token, start_bridge, start_simulator};

/// The longest any answer may take, so that no test waits for ever.
const ANSWER: Duration = Duration::from_secs(120);

const UPSTREAM_TOKEN: &str = "upstream-token-for-tests-0123456789abcdef";

/// Another credential for the same application.
const OTHER_TOKEN: &str = "another-upstream-token-for-tests-fedcba98765";

/// A bridge and its application.
pub struct World {
    pub client: Client,
    /// To the application, by hand.
    hand: Client,
    pub base: String,
    pub token: String,
    upstream: String,
    bridge: Process,
    simulator: Process,
    dir: TempDir,
}

/// Another connection of the same bridge.
pub struct Tenant {
    base: String,
    token: String,
    /// An application of its own, where it has one, and where that lies.
    _application: Option<(Process, TempDir)>,
}

#[expect(
    clippy::unused_async,
    reason = "whatever starts a world is awaited, whether it waits by now or not"
)]
impl World {
    /// An empty application and a bridge with no guard between it and a test.
    pub async fn start() -> Self {
        Self::with("", &["--empty"]).await
    }

    /// `connection` is added to the connection's configuration, `simulator`
    /// to the simulator's command line.
    pub async fn with(connection: &str, simulator: &[&str]) -> Self {
        let (world, _) = Self::configured(simulator, &["acme"], |upstream| {
            configuration(upstream, connection)
        });
        world
    }

    /// The same with the application's pace and patience as given, instead of
    /// none at all.
    pub async fn behind(connection: &str, application: &str) -> Self {
        let (world, _) = Self::configured(&["--empty"], &["acme"], |upstream| {
            configuration(upstream, connection).replace(NO_PACE, application)
        });
        world
    }

    /// With something between the bridge and the application: it is told the
    /// application's address and gives the one to use, and lines beside it.
    pub fn through(between: impl Fn(&str) -> (String, String)) -> Self {
        let (world, _) = Self::configured(&["--empty"], &["acme"], |upstream| {
            let (address, lines) = between(upstream);
            let settings = configuration(&address, "sync_wait = \"300ms\"");
            settings.replace(NO_PACE, &format!("{NO_PACE}\n{lines}"))
        });
        world
    }

    /// The same in front of another application.
    pub async fn of(application: Application, connection: &str) -> Self {
        Self::of_own(application, connection, "").await
    }

    /// With lines that only its kind knows.
    pub async fn of_own(application: Application, connection: &str, own: &str) -> Self {
        let text =
            |upstream: &str| application.adapt(&configuration(upstream, connection), upstream, own);
        let (world, _) = Self::behind_kind(application.kind(), &["--empty"], &["acme"], text);
        world
    }

    /// A bridge with two connections, `acme` and the one given back.
    pub async fn pair() -> (Self, Tenant) {
        Self::pair_with("").await
    }

    /// With lines of the first connection's own.
    pub async fn pair_with(connection: &str) -> (Self, Tenant) {
        let both = |upstream: &str| configuration(upstream, connection) + &another(upstream, "");
        let (world, tokens) = Self::configured(&["--empty"], &["acme", "globex"], both);
        let other = Tenant {
            base: world.base.replace("/acme/", "/globex/"),
            token: tokens[1].clone(),
            _application: None,
        };
        (world, other)
    }

    /// A bridge with two connections of which the second has a credential and an
    /// address of its own; `own` are lines of both that only their kind knows.
    pub async fn pair_apart(
        application: Application,
        connection: &str,
        own: &str,
    ) -> (Self, Tenant) {
        let place = "base_url = ";
        let both = |upstream: &str| {
            let own = |text: &str| text.replacen(place, &format!("{own}\n{place}"), 1);
            let second = another(upstream, connection);
            let second = own(&application.adapt(&second, upstream, ""));
            let first = application.adapt(&configuration(upstream, connection), upstream, "");
            let second = second.replace("opsera.token", "other.token");
            own(&first) + &second.replace("//127.0.0.1:", "//localhost:")
        };
        let names = ["acme", "globex"];
        let (world, tokens) = Self::behind_kind(application.kind(), &["--empty"], &names, both);
        let mut other = Tenant {
            base: String::new(),
            token: tokens[1].clone(),
            _application: None,
        };
        world.meet(&mut other);
        (world, other)
    }

    /// Two connections in front of one application, of which they have read this
    /// company; `own` are lines of each that only its kind knows.
    pub async fn pair_of(
        application: Application,
        connection: &str,
        own: [&str; 2],
        company: Value,
    ) -> (Self, Tenant) {
        let both = |upstream: &str| {
            let second = another(upstream, connection);
            application.adapt(&configuration(upstream, connection), upstream, own[0])
                + &application.adapt(&second, upstream, own[1])
        };
        let names = ["acme", "globex"];
        let (mut world, tokens) = Self::behind_kind(application.kind(), &["--empty"], &names, both);
        world.seed(company).await;
        world.import();
        world.forget_calls().await;
        let mut other = Tenant {
            base: String::new(),
            token: tokens[1].clone(),
            _application: None,
        };
        world.meet(&mut other);
        (world, other)
    }

    /// Where the other connection is after a restart.
    pub fn meet(&self, tenant: &mut Tenant) {
        tenant.base = self.base.replace("/acme/", "/globex/");
    }

    /// A bridge with two connections to two applications: `acme`, and one given
    /// back that reads another application, with its example, at start.
    pub async fn beside(application: Application) -> (Self, Tenant) {
        let kind = application.kind();
        let place = tempfile::tempdir().expect("a folder");
        let second = start_simulator(&place, kind, &[]);
        let both = |upstream: &str| {
            let other = application
                .adapt(&another(&second.address(), ""), &second.address(), "")
                .replace("import = \"never\"", "import = \"start\"");
            configuration(upstream, "") + &other
        };
        let (world, tokens) = Self::configured(&["--empty"], &["acme", "globex"], both);
        let other = Tenant {
            base: world.base.replace("/acme/", "/globex/"),
            token: tokens[1].clone(),
            _application: Some((second, place)),
        };
        (world, other)
    }

    /// What is sent from now on is sent to that connection; the one before is
    /// left in its place.
    pub fn turn_to(&mut self, tenant: &mut Tenant) {
        std::mem::swap(&mut self.base, &mut tenant.base);
        std::mem::swap(&mut self.token, &mut tenant.token);
    }

    fn configured(
        simulator: &[&str],
        connections: &[&str],
        configuration: impl Fn(&str) -> String,
    ) -> (Self, Vec<String>) {
        Self::behind_kind("opsera", simulator, connections, configuration)
    }

    /// With a token for each connection, which must be there before the bridge.
    fn behind_kind(
        kind: &str,
        simulator: &[&str],
        connections: &[&str],
        configuration: impl Fn(&str) -> String,
    ) -> (Self, Vec<String>) {
        let dir = tempfile::tempdir().expect("a folder");
        let simulator = start_simulator(&dir, kind, simulator);
        let upstream = simulator.address();
        write_private(&dir.path().join("opsera.token"), UPSTREAM_TOKEN);
        write_private(&dir.path().join("other.token"), OTHER_TOKEN);
        std::fs::write(dir.path().join("drawbridge.toml"), configuration(&upstream))
            .expect("written");
        let tokens: Vec<String> = connections
            .iter()
            .map(|connection| make_token(&dir, connection))
            .collect();
        let bridge = start_bridge(&dir);
        let client = Client::builder().timeout(ANSWER);
        // While a command runs, nobody here sees that an idle connection was closed.
        let by_hand = Client::builder().timeout(ANSWER).pool_max_idle_per_host(0);
        let world = Self {
            client: client.build().expect("a client"),
            hand: by_hand.build().expect("a client"),
            base: format!("{}/acme/scim/v2", bridge.address()),
            token: tokens[0].clone(),
            upstream,
            bridge,
            simulator,
            dir,
        };
        (world, tokens)
    }
}

/// Waits until something holds, and says what never did.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(40);
    while !holds().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn write_private(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("private");
}

/// Builds what is loaded before the program, with the compiler that the store's
/// C code needs anyway.
pub fn load(library: &std::path::Path, source: &str) {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let built = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([library, &source])
        .arg("-ldl")
        .status();
    assert!(built.expect("a C compiler").success());
}
