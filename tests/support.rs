//! One bridge, one simulated application, both real processes on port 0.
//!
//! Dropping a [`World`] ends its processes by their ids. The application's
//! call log and state are read over its own control address, so a test sees
//! exactly what was sent upstream and what is there now.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::witness;

/// The longest a process may take to say its address.
const START: Duration = Duration::from_secs(20);
/// The longest any answer may take, so that no test waits for ever.
const ANSWER: Duration = Duration::from_secs(120);
/// The longest convergence may take where a test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

const UPSTREAM_TOKEN: &str = "upstream-token-for-tests-0123456789abcdef";
/// Another credential for the same application.
const OTHER_TOKEN: &str = "another-upstream-token-for-tests-fedcba98765";

/// The program under test: another build of it where `DRAWBRIDGE_PROGRAM`
/// names one, so that long runs can try what is shipped.
fn program() -> std::path::PathBuf {
    let given = std::env::var_os("DRAWBRIDGE_PROGRAM").map(std::path::PathBuf::from);
    let given = given.map(|path| path.canonicalize().expect("DRAWBRIDGE_PROGRAM is a file"));
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_drawbridge").into())
}

/// A started process that ends with its handle.
struct Process {
    child: Child,
    /// What it printed before and including the line waited for.
    said: Vec<String>,
    /// What it simulates, if it does.
    simulates: Option<String>,
}

impl Process {
    /// Starts the program and waits for a line that contains `until`.
    fn start(arguments: &[&str], dir: &std::path::Path, until: &str) -> Self {
        Self::try_start(Command::new(program()), arguments, dir, until)
            .unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// The same with `command` as the program, which may end before it says
    /// anything.
    fn try_start(
        mut command: Command,
        arguments: &[&str],
        dir: &std::path::Path,
        until: &str,
    ) -> Result<Self, String> {
        let mut child = command
            .args(arguments)
            .current_dir(dir)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file(dir, arguments))
            .spawn()
            .expect("the program starts");
        let output = child.stdout.take().expect("a pipe");
        let (sender, lines) = std::sync::mpsc::channel();
        // Reads to the end, so that the program never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut said = Vec::new();
        let end = Instant::now() + START;
        while !said
            .last()
            .is_some_and(|line: &String| line.contains(until))
        {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => said.push(line),
                Err(error) => {
                    let _ = child.kill();
                    let ended = child.wait();
                    return Err(format!(
                        "{arguments:?} did not say {until:?} ({error}, {ended:?}); it said {said:#?}"
                    ));
                }
            }
        }
        Ok(Self {
            child,
            said,
            simulates: None,
        })
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What was sent to it, or answered, against its documents.
    fn complaints(&self) -> Vec<String> {
        let kind = self.simulates.iter();
        kind.flat_map(|kind| witness::complaints(kind, &self.address()))
            .collect()
    }

    /// The first `http://host:port` in what it printed on the awaited line.
    fn address(&self) -> String {
        let line = self.said.last().expect("a line");
        let start = line.find("http://").expect("an address");
        let rest = &line[start + "http://".len()..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:-[]".contains(c)));
        format!("http://{}", &rest[..end.unwrap_or(rest.len())])
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let wrong = if std::thread::panicking() {
            Vec::new()
        } else {
            self.complaints()
        };
        self.kill();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

fn log_file(dir: &std::path::Path, arguments: &[&str]) -> std::fs::File {
    let name = format!("{}.log", arguments.first().copied().unwrap_or("program"));
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join(name))
        .expect("a log file")
}

/// A bridge and its application.
pub struct World {
    pub client: Client,
    pub base: String,
    pub token: String,
    upstream: String,
    bridge: Process,
    simulator: Process,
    dir: TempDir,
}

/// Which application is behind it.
#[derive(Clone, Copy, PartialEq)]
pub enum Application {
    Opsera,
    Hydden,
    /// Opsera as a declaration, its members told by e-mail address.
    Declared,
    /// The same with its members told by id, one in a call.
    DeclaredById,
    /// The same without a call to deactivate a user.
    DeclaredForEver,
    /// Hydden.Control as a declaration.
    DeclaredInventory,
    Snyk,
}

impl Application {
    /// The kind of the simulator.
    fn kind(self) -> &'static str {
        match self {
            Self::Opsera | Self::Declared | Self::DeclaredById | Self::DeclaredForEver => "opsera",
            Self::Hydden | Self::DeclaredInventory => "hydden",
            Self::Snyk => "snyk",
        }
    }

    /// A configuration written for Opsera at this address, for this one; `own`
    /// are lines that only its kind knows.
    fn adapt(self, configuration: &str, upstream: &str, own: &str) -> String {
        if let Some(declared) = self.declaration(upstream) {
            return configuration.replace(&application(upstream), &declared);
        }
        let kind = self.kind();
        let text = configuration.replace("\"opsera\"", &format!("{kind:?}"));
        let place = format!("kind = {kind:?}\n");
        let text = text.replace(&place, &format!("{place}{own}\n"));
        match self {
            Self::Snyk => text.replace(
                &format!("base_url = \"{upstream}\"\n"),
                &format!("base_url = \"{upstream}/rest\"\nrequests_per_minute = 1000000\n"),
            ),
            _ => text,
        }
    }

    /// `[connection.upstream]` where it is a declaration.
    fn declaration(self, upstream: &str) -> Option<String> {
        let opsera = include_str!("data/opsera-as-rest.toml");
        let text = match self {
            Self::Opsera | Self::Hydden | Self::Snyk => return None,
            Self::Declared => opsera.to_owned(),
            Self::DeclaredById => opsera
                .replace("{member.account}", "{member.id}")
                .replace(
                    "/user/{user.account}\"\n\n[connection.upstream.operations.list_groups",
                    "/user/{user.id}\"\n\n[connection.upstream.operations.list_groups",
                )
                .replace("groupMemberEmailAddresses", "groupMemberUserIds")
                .replace("batch = 1000\n", "batch = 1\n"),
            Self::DeclaredForEver => {
                let (before, rest) = opsera
                    .split_once("[connection.upstream.operations.deactivate_user]")
                    .expect("a call to deactivate a user");
                let (_, after) = rest.split_once("\n\n").expect("a call after it");
                let (after, _) = after
                    .split_once("[connection.upstream.notes]")
                    .expect("notes");
                format!("{before}{after}")
            }
            Self::DeclaredInventory => include_str!("data/hydden-as-rest.toml").to_owned(),
        };
        let line = |line: &str| match line.split(' ').next() {
            Some("base_url") => format!("base_url = {upstream:?}\n{NO_PACE}\n"),
            Some("token") => "token = { file = \"opsera.token\" }\n".to_owned(),
            _ => format!("{line}\n"),
        };
        Some(text.lines().map(line).collect())
    }
}

/// Another connection of the same bridge.
pub struct Tenant {
    base: String,
    token: String,
    /// An application of its own, where it has one, and where that lies.
    _application: Option<(Process, TempDir)>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Reply {
    /// The version in the entity tag.
    pub fn version(&self) -> Option<u64> {
        let tag = self.headers.get("etag")?.to_str().ok()?;
        tag.trim_start_matches("W/").trim_matches('"').parse().ok()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:#?}");
        self
    }

    pub fn id(&self) -> String {
        self.body["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id in {self:?}"))
            .to_owned()
    }
}

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
        let world = Self {
            client: client.build().expect("a client"),
            base: format!("{}/acme/scim/v2", bridge.address()),
            token: tokens[0].clone(),
            upstream,
            bridge,
            simulator,
            dir,
        };
        (world, tokens)
    }

    /// Puts another credential for the application where the bridge reads it, as if
    /// that were some seconds ago: what was written just now may be half of it.
    pub fn upstream_token(&self, token: &str) {
        let path = self.dir.path().join("opsera.token");
        write_private(&path, token);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(5))
            .unwrap();
    }

    /// The right one again.
    pub fn restore_upstream_token(&self) {
        self.upstream_token(UPSTREAM_TOKEN);
    }

    /// Ends the bridge without a word of warning and starts it again on the
    /// same files.
    pub fn kill_and_restart(&mut self) {
        self.bridge.kill();
        self.bridge = start_bridge(&self.dir);
        self.base = format!("{}/acme/scim/v2", self.bridge.address());
    }

    /// The same with a point at which the new one ends by itself; false when
    /// it came to it before it listened.
    pub fn kill_and_restart_until(&mut self, point: &str) -> bool {
        self.bridge.kill();
        // Only a debug build has points.
        let mut command = Command::new(env!("CARGO_BIN_EXE_drawbridge"));
        command.env("DRAWBRIDGE_END_AT", point);
        let started = Process::try_start(command, &SERVE, self.dir.path(), "/scim/v2");
        let Ok(bridge) = started else {
            return false;
        };
        self.bridge = bridge;
        self.base = format!("{}/acme/scim/v2", self.bridge.address());
        true
    }

    /// The signal that ended the bridge, when it has ended.
    pub fn bridge_ended(&mut self) -> Option<i32> {
        let status = self.bridge.child.try_wait().expect("a child")?;
        std::os::unix::process::ExitStatusExt::signal(&status)
    }

    /// Sends the bridge a signal: `-STOP`, `-CONT`, `-TERM`.
    pub fn signal_bridge(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.bridge.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Ends the bridge as an administrator would, and waits for it; its exit code.
    pub fn stop_bridge(&mut self) -> Option<i32> {
        self.signal_bridge("-TERM");
        self.bridge.child.wait().expect("a child").code()
    }

    /// Asks the bridge to end, which it has to do well and within its 30 s.
    pub fn stops_in_time(&mut self) {
        let began = Instant::now();
        assert_eq!(self.stop_bridge(), Some(0));
        let took = began.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}");
    }

    /// Lets the bridge read its application anew, between two lives.
    pub fn import(&mut self) {
        self.stop_bridge();
        let (said, wrong, ok) = self.run(&["import"]);
        assert!(ok, "{said} {wrong}");
        self.start_bridge();
    }

    /// Starts the bridge again after it was stopped.
    pub fn start_bridge(&mut self) {
        self.bridge = start_bridge(&self.dir);
        self.base = format!("{}/acme/scim/v2", self.bridge.address());
    }

    /// The same with files named in its environment.
    pub fn start_bridge_with(&mut self, environment: &[(&str, &std::path::Path)]) {
        let mut command = Command::new(program());
        command.envs(environment.iter().copied());
        let bridge = Process::try_start(command, &SERVE, self.dir.path(), "/scim/v2");
        self.bridge = bridge.unwrap_or_else(|wrong| panic!("{wrong}"));
        self.base = format!("{}/acme/scim/v2", self.bridge.address());
    }

    /// The exit code of a bridge that has ended, `None` for one that a signal ended.
    pub fn bridge_exited(&mut self) -> Option<Option<i32>> {
        let status = self.bridge.child.try_wait().expect("a child")?;
        Some(status.code())
    }

    /// The most memory that the bridge has held so far, in MiB.
    pub fn bridge_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.bridge.child.id());
        let status = std::fs::read_to_string(path).expect("a process");
        let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
        let kib = line.expect("a number").trim_end_matches("kB").trim();
        kib.parse::<u64>().expect("a number") / 1024
    }

    /// What `/readyz` tells.
    pub async fn is_ready(&self) -> bool {
        let url = format!("{}/readyz", self.bridge.address());
        let answer = self.client.get(url).send().await.expect("an answer");
        let status = answer.status().as_u16();
        assert!(status == 200 || status == 503, "{status}");
        status == 200
    }

    /// The store of a bridge that does not run, to be put back one day.
    pub fn copy_store(&self) -> Vec<u8> {
        let db = rusqlite::Connection::open(self.store()).expect("a store");
        // So that all of it is in the one file.
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .expect("tidied up");
        drop(db);
        std::fs::read(self.store()).expect("a store")
    }

    /// Puts a copy in the place of the store; nothing where there is none.
    pub fn put_store(&self, copy: Option<&[u8]>) {
        for end in ["", "-wal", "-shm"] {
            let mut path = self.store().into_os_string();
            path.push(end);
            let _ = std::fs::remove_file(path);
        }
        if let Some(copy) = copy {
            std::fs::write(self.store(), copy).expect("written");
        }
    }

    /// Runs a line of shell in the bridge's folder.
    pub fn shell(&self, line: &str) {
        let mut shell = Command::new("sh");
        let done = shell.args(["-ec", line]).current_dir(self.dir.path());
        assert!(done.status().expect("a shell").success(), "{line}");
    }

    /// Makes what the bridge noted beside its store older, in the file that it is in.
    pub fn age_note(&self, by: Duration) {
        let path = self.dir.path().join("bridge.db.mark");
        let text = std::fs::read(&path).expect("a note");
        let mut note: Value = serde_json::from_slice(&text).expect("JSON");
        let at = note["at"].as_u64().expect("a time");
        note["at"] = json!(at - u64::try_from(by.as_millis()).expect("not so long"));
        std::fs::write(path, note.to_string()).expect("written");
    }

    /// Takes away what the bridge noted beside its store.
    pub fn lose_note(&self) {
        std::fs::remove_file(self.dir.path().join("bridge.db.mark")).expect("a note");
    }

    pub fn store(&self) -> std::path::PathBuf {
        self.dir.path().join("bridge.db")
    }

    /// Writes a file beside the configuration; its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    }

    /// Changes the configuration, from the next start on.
    pub fn reconfigure(&self, change: impl Fn(&str) -> String) {
        let file = self.dir.path().join("drawbridge.toml");
        let text = std::fs::read_to_string(&file).expect("a configuration");
        std::fs::write(file, change(&text)).expect("written");
    }

    /// Another application at another address, from the next start on.
    pub fn another_application(&mut self, arguments: &[&str]) {
        self.simulator = start_simulator(&self.dir, "opsera", arguments);
        let file = self.dir.path().join("drawbridge.toml");
        let text = std::fs::read_to_string(&file).expect("a configuration");
        let text = text.replace(&self.upstream, &self.simulator.address());
        std::fs::write(file, text).expect("written");
        self.upstream = self.simulator.address();
    }

    /// Runs a command of the program beside the bridge; what it said.
    pub fn command(&self, arguments: &[&str]) -> (bool, String) {
        let (said, wrong, ok) = self.run(arguments);
        (ok, said + &wrong)
    }

    /// Asks the operator's side.
    pub async fn operate(&self, method: &str, path: &str) -> (u16, Value) {
        let (url, token) = self.operator();
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("{url}{path}"));
        let request = request
            .bearer_auth(token)
            .header("connection", "close")
            .header("drawbridge-operator", "tester");
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Fills the application with what a company has.
    pub async fn seed(&self, company: Value) {
        self.control(Method::POST, "seed", Some(company)).await;
    }

    /// Ends the bridge without a word of warning.
    pub fn kill_bridge(&mut self) {
        self.bridge.kill();
    }

    /// Changes the store behind the back of a bridge that does not run.
    pub fn tamper(&self, sql: &str) {
        let db = rusqlite::Connection::open(self.dir.path().join("bridge.db")).expect("a store");
        db.execute_batch(sql).expect("changed");
    }

    /// What the database itself says of its file, of a bridge that does not run.
    pub fn integrity(&self) -> String {
        let db = rusqlite::Connection::open(self.store()).expect("a store");
        db.query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("an answer")
    }

    /// The store's log of the transactions since it was last tidied up.
    pub fn write_ahead_log(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join("bridge.db-wal")).expect("a log")
    }

    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.try_send(method, path, body).await.expect("an answer")
    }

    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Reply> {
        self.try_send_to((&self.base, &self.token), method, path, body)
            .await
    }

    /// The same through another connection.
    pub async fn try_send_as(
        &self,
        tenant: &Tenant,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Reply> {
        self.try_send_to((&tenant.base, &tenant.token), method, path, body)
            .await
    }

    async fn try_send_to(
        &self,
        (base, token): (&str, &str),
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Reply> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .client
            .request(method, format!("{base}{path}"))
            .bearer_auth(token)
            .header("content-type", "application/scim+json");
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send("PUT", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, operations: Value) -> Reply {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations,
        });
        self.send("PATCH", path, Some(body)).await
    }

    /// Creates a user and returns its id.
    pub async fn user(&self, name: &str) -> String {
        self.post("/Users", user(name)).await.expect(201).id()
    }

    /// Creates users `prefix0@..`, `prefix1@..` and returns their ids.
    pub async fn users(&self, prefix: &str, count: usize) -> Vec<String> {
        let mut ids = Vec::with_capacity(count);
        for start in (0..count).step_by(16) {
            let chunk = (start..count.min(start + 16))
                .map(|i| async move { self.user(&format!("{prefix}{i}")).await });
            ids.extend(futures_util::future::join_all(chunk).await);
        }
        ids
    }

    /// Creates a group with members and returns its id.
    pub async fn group(&self, name: &str, members: &[String]) -> String {
        self.post("/Groups", group(name, members))
            .await
            .expect(201)
            .id()
    }

    /// The ids a group shows.
    pub async fn members(&self, group: &str) -> BTreeSet<String> {
        let reply = self.get(&format!("/Groups/{group}")).await.expect(200);
        let list = reply.body["members"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        list.iter()
            .map(|m| m["value"].as_str().expect("a value").to_owned())
            .collect()
    }

    /// Whether a text stands in any file that the bridge or the application
    /// wrote.
    pub fn files_contain(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.dir.path()).expect("a folder");
        let mut bytes = files.map(|file| std::fs::read(file.expect("a file").path()));
        bytes.any(|bytes| {
            let bytes = bytes.expect("readable");
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
    }

    // ------------------------------------------------- the operator

    /// Runs a command of drawbridge beside the bridge; what it printed on
    /// standard output and standard error, and whether its exit status was 0.
    pub fn run(&self, arguments: &[&str]) -> (String, String, bool) {
        self.run_as(&[("USER", Some("tester")), ("SUDO_USER", None)], arguments)
    }

    /// The same for somebody whom the environment names so, or not.
    pub fn run_as(
        &self,
        names: &[(&str, Option<&str>)],
        arguments: &[&str],
    ) -> (String, String, bool) {
        let mut command = Command::new(program());
        for (key, name) in names {
            match name {
                Some(name) => command.env(key, name),
                None => command.env_remove(key),
            };
        }
        let output = command
            .args(arguments)
            .args(["--config", "drawbridge.toml"])
            .current_dir(self.dir.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ok = output.status.success();
        (text(&output.stdout), text(&output.stderr), ok)
    }

    /// Where the operator's side listens, and its token.
    pub fn operator(&self) -> (String, String) {
        let file = std::fs::read(self.dir.path().join("bridge.db.operator")).expect("a file");
        let access: Value = serde_json::from_slice(&file).expect("JSON");
        let text = |key: &str| access[key].as_str().expect("a text").to_owned();
        (text("url"), text("token"))
    }

    /// The bridge's own account of itself.
    pub async fn status(&self) -> Value {
        let (url, token) = self.operator();
        let request = self.client.get(format!("{url}/status")).bearer_auth(token);
        // Asked now and then: a connection that is kept may end just as it is used.
        let request = request.header("connection", "close");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
    }

    // ------------------------------------------------- the application

    async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self
            .client
            .request(method, format!("{}/_simulator/{path}", self.upstream));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the simulator answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or(Value::Null)
    }

    /// Does something in the application itself, behind the bridge's back.
    pub async fn as_administrator(&self, method: &str, path: &str, body: Value) -> Value {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.upstream));
        if path.starts_with("/rest/") {
            // Snyk takes nothing else.
            request = request.header("content-type", "application/vnd.api+json");
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.bearer_auth(UPSTREAM_TOKEN).send().await;
        let answer = answer.expect("the simulator answers");
        let status = answer.status();
        let said = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {status} {said}");
        serde_json::from_str(&said).unwrap_or(Value::Null)
    }

    /// Every call since the log was emptied, oldest first.
    pub async fn calls(&self) -> Vec<Value> {
        let mut calls: Vec<Value> = Vec::new();
        loop {
            let last = calls
                .last()
                .map_or(0, |call| call["sequence"].as_u64().unwrap());
            let page = format!("calls?since={last}");
            let page = self.control(Method::GET, &page, None).await;
            match page.as_array() {
                Some(page) if page.is_empty() => return calls,
                Some(page) => calls.extend(page.iter().cloned()),
                None => panic!("no call log in {page}"),
            }
        }
    }

    /// Empties the log, which must be as the application documents.
    pub async fn forget_calls(&self) {
        let wrong = self.complaints();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        self.overlook().await;
    }

    /// What of the log is not as documented.
    pub fn complaints(&self) -> Vec<String> {
        self.simulator.complaints()
    }

    /// Empties the log of calls that were wrong on purpose.
    pub async fn overlook(&self) {
        self.control(Method::DELETE, "calls", None).await;
    }

    /// The application's address.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The calls that `act` caused.
    pub async fn calls_of<T>(&self, act: impl Future<Output = T>) -> (T, Vec<Value>) {
        self.forget_calls().await;
        let done = act.await;
        (done, self.calls().await)
    }

    pub async fn faults(&self, faults: Value) {
        self.control(Method::PUT, "faults", Some(faults)).await;
    }

    /// What the bridge has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("serve.log")).expect("a log file")
    }

    pub async fn state(&self) -> Value {
        self.control(Method::GET, "state", None).await
    }

    /// The e-mails in an upstream group, `None` when there is no such group.
    pub async fn upstream_members(&self, name: &str) -> Option<BTreeSet<String>> {
        let state = self.state().await;
        let groups = state["groups"].as_array().expect("groups").clone();
        let group = groups.into_iter().find(|g| g["name"] == name)?;
        let members = group["members"].as_array().expect("members").clone();
        Some(
            members
                .iter()
                .map(|m| m.as_str().expect("an e-mail").to_owned())
                .collect(),
        )
    }

    /// Waits until an upstream group has exactly these members.
    pub async fn until_upstream_has(&self, name: &str, expected: &BTreeSet<String>) {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.upstream_members(name).await.unwrap_or_default();
            if now == *expected {
                return;
            }
            let missing: Vec<_> = expected.difference(&now).take(5).collect();
            let extra: Vec<_> = now.difference(expected).take(5).collect();
            assert!(
                Instant::now() < end,
                "{name}: missing {missing:?}, too many {extra:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
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

/// The body of a user whose userName is its address.
pub fn user(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": address(name),
        "name": { "givenName": "Given", "familyName": "Family" },
        "emails": [{ "value": address(name), "type": "work", "primary": true }],
        "active": true,
    })
}

pub fn address(name: &str) -> String {
    format!("{name}@example.com")
}

pub fn group(name: &str, members: &[String]) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": name,
        "members": values(members),
    })
}

/// `[{"value": id}, ..]`
pub fn values(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}

/// What most tests want, unless a test says otherwise.
const DEFAULTS: [&str; 6] = [
    "request_budget = 1000000",
    "reactivate = \"recreate\"",
    "users_without_email = \"stage\"",
    "import = \"never\"",
    "reconcile = \"never\"",
    "guard = { enabled = false }",
];

fn configuration(upstream: &str, connection: &str) -> String {
    format!(
        r#"listen = "127.0.0.1:0"

[store]
url = "sqlite://bridge.db"
{}"#,
        one_connection("acme", upstream, connection)
    )
}

/// A second connection, to the same application.
fn another(upstream: &str, connection: &str) -> String {
    one_connection("globex", upstream, connection)
}

fn one_connection(name: &str, upstream: &str, connection: &str) -> String {
    let said = |line: &&str| {
        line.split_once(' ')
            .is_none_or(|(key, _)| !connection.contains(key))
    };
    let defaults: String = DEFAULTS
        .iter()
        .filter(|line| said(line))
        .map(|line| format!("{line}\n"))
        .collect();
    format!(
        r#"
[[connection]]
name = "{name}"
tokens = {{ file = "{name}.tokens" }}
{defaults}{connection}
{}"#,
        application(upstream)
    )
}

/// No test waits for a pace that it is not about.
const NO_PACE: &str = "requests_per_second = 100000\nburst = 1000";

fn application(upstream: &str) -> String {
    format!(
        r#"
[connection.upstream]
kind = "opsera"
base_url = "{upstream}"
token = {{ file = "opsera.token" }}
{NO_PACE}
"#
    )
}

fn start_simulator(dir: &TempDir, kind: &str, more: &[&str]) -> Process {
    let tokens = format!("{UPSTREAM_TOKEN} {OTHER_TOKEN}");
    let mut arguments = vec![
        "simulate",
        kind,
        "--listen",
        "127.0.0.1:0",
        "--token",
        tokens.as_str(),
    ];
    arguments.extend(more);
    let mut started = Process::start(&arguments, dir.path(), "http://");
    started.simulates = Some(kind.to_owned());
    started
}

const SERVE: [&str; 3] = ["serve", "--config", "drawbridge.toml"];

fn start_bridge(dir: &TempDir) -> Process {
    Process::start(&SERVE, dir.path(), "/scim/v2")
}

fn make_token(dir: &TempDir, connection: &str) -> String {
    let output = Command::new(program())
        .args(["token", "create", connection, "--config", "drawbridge.toml"])
        .current_dir(dir.path())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let token = said
        .split_whitespace()
        .find(|word| word.starts_with("dbr_"));
    token
        .unwrap_or_else(|| {
            panic!(
                "no token in {said:?} {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
        .to_owned()
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
