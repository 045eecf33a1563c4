//! The bridge under measurement and the simulated application behind it, both
//! the real program, with a store in a temporary folder.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    bodies::{self, Caller},
    load::{self, Traffic, Until},
    process::{OTHER_CORE, Process, SERVER_CORE, Start},
    wire::Wire,
};

pub(super) const UPSTREAM_TOKEN: &str = "upstream-token-for-benchmarks-0123456789";
/// Members in one PATCH where a group is filled.
const BATCH: usize = 1_000;
/// Connections that create users.
const CREATORS: usize = 64;

/// Requests a second that the other connection may send.
pub(super) const NOISY_BUDGET: u32 = 125;

pub(super) struct World {
    pub(super) bridge: Process,
    pub(super) caller: Caller,
    pub(super) address: SocketAddr,
    upstream: SocketAddr,
    noisy_token: String,
    pinned: bool,
    starts: usize,
    users: Vec<String>,
    _simulator: Process,
    folder: TempDir,
}

pub(super) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_drawbridge"))
}

impl World {
    pub(super) fn start(pinned: bool) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let simulate = [
            "simulate",
            "opsera",
            "--listen",
            "127.0.0.1:0",
            "--token",
            UPSTREAM_TOKEN,
            "--empty",
        ];
        let (simulator, upstream) = Start {
            program: program(),
            arguments: &simulate,
            environment: &[],
            core: pinned.then_some(OTHER_CORE),
            folder: folder.path(),
            log: "simulator.log",
            ready: "http://",
        }
        .run()?;
        write(
            &folder.path().join("drawbridge.toml"),
            &configuration(&upstream, None),
        )?;
        write(&folder.path().join("opsera.token"), UPSTREAM_TOKEN)?;
        let token = make_token(folder.path(), "acme")?;
        let noisy_token = make_token(folder.path(), "noisy")?;
        let (bridge, host) = serve(folder.path(), pinned, 0)?;
        Ok(Self {
            bridge,
            address: socket(&host)?,
            caller: Caller {
                host,
                base: "/acme/scim/v2".into(),
                token,
            },
            upstream: socket(&upstream)?,
            pinned,
            noisy_token,
            starts: 1,
            users: Vec::new(),
            _simulator: simulator,
            folder,
        })
    }

    /// Ends the bridge without a word and starts it on the same files; the
    /// time from the start of the process to the first answer.
    pub(super) async fn restart(&mut self) -> Result<Duration, String> {
        self.bridge.kill();
        let began = Instant::now();
        let (bridge, host) = serve(self.folder.path(), self.pinned, self.starts)?;
        self.starts += 1;
        self.bridge = bridge;
        self.address = socket(&host)?;
        self.caller.host = host;
        self.send("GET", "/ServiceProviderConfig", "").await?;
        Ok(began.elapsed())
    }

    /// One request whose answer must be a good one.
    pub(super) async fn send(&self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let mut request = Vec::new();
        self.caller.write(&mut request, method, path, body);
        exchange(self.address, &request).await
    }

    // ------------------------------------------------------ the application

    async fn control(&self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let mut request = Vec::new();
        let caller = Caller {
            host: self.upstream.to_string(),
            base: "/_simulator".into(),
            token: String::new(),
        };
        caller.write(&mut request, method, path, body);
        // It takes JSON by its plain name only.
        let text = String::from_utf8_lossy(&request).replace(
            "content-type: application/scim+json",
            "content-type: application/json",
        );
        exchange(self.upstream, text.as_bytes()).await
    }

    /// The calls that arrived since the log was emptied.
    pub(super) async fn calls(&self) -> Result<Vec<Value>, String> {
        let log = self.control("GET", "/calls", "").await?;
        let list = log.as_array().cloned();
        list.ok_or_else(|| "the call log is no list".into())
    }

    pub(super) async fn forget_calls(&self) -> Result<(), String> {
        self.control("DELETE", "/calls", "").await.map(drop)
    }

    /// What every call takes from now on.
    pub(super) async fn latency(&self, milliseconds: u64) -> Result<(), String> {
        let faults = json!({ "latency_ms": milliseconds });
        self.faults(&faults).await
    }

    pub(super) async fn faults(&self, faults: &Value) -> Result<(), String> {
        self.control("PUT", "/faults", &faults.to_string())
            .await
            .map(drop)
    }

    /// What the bridge knows of the application's limit, from its next start
    /// on; `None` is no limit to speak of.
    pub(super) fn know_limit(&self, per_second: Option<u32>) -> Result<(), String> {
        let text = configuration(&self.upstream.to_string(), per_second);
        write(&self.folder.path().join("drawbridge.toml"), &text)
    }

    /// Requests of the other connection, which has the usual budget.
    pub(super) fn noisy(&self) -> Caller {
        Caller {
            host: self.caller.host.clone(),
            base: "/noisy/scim/v2".into(),
            token: self.noisy_token.clone(),
        }
    }

    // ------------------------------------------------------ users and groups

    /// The ids of the first `count` users, made when they are not there yet.
    pub(super) async fn users(&mut self, count: usize) -> Result<&[String], String> {
        let have = self.users.len();
        if have < count {
            let makers = UserMaker::new(self.caller.clone(), have, count - have);
            let until = Until::requests((count - have) as u64);
            load::run(self.address, CREATORS, until, makers.clone()).await?;
            self.adopt(&makers)?;
        }
        Ok(&self.users[..count])
    }

    /// The traffic that makes the next `count` users.
    pub(super) fn next_users(&self, count: usize) -> Arc<UserMaker> {
        UserMaker::new(self.caller.clone(), self.users.len(), count)
    }

    /// Takes over the ids of users that were made.
    pub(super) fn adopt(&mut self, made: &UserMaker) -> Result<(), String> {
        self.users.extend(made.ids()?);
        Ok(())
    }

    /// A new group with these members; its id.
    pub(super) async fn group(&self, name: &str, members: &[String]) -> Result<String, String> {
        let made = self
            .send("POST", "/Groups", &bodies::group(name, &[]))
            .await?;
        let id = made["id"]
            .as_str()
            .ok_or("a group without an id")?
            .to_owned();
        for batch in members.chunks(BATCH) {
            self.send("PATCH", &format!("/Groups/{id}"), &bodies::add(batch))
                .await?;
        }
        Ok(id)
    }
}

/// Creates users and keeps their ids in order.
pub(super) struct UserMaker {
    caller: Caller,
    first: usize,
    ids: Mutex<Vec<Option<String>>>,
}

impl UserMaker {
    /// Of users with numbers from `first`.
    pub(super) fn new(caller: Caller, first: usize, count: usize) -> Arc<Self> {
        let ids = Mutex::new(vec![None; count]);
        Arc::new(Self { caller, first, ids })
    }

    /// The ids of those who were made, all of them.
    pub(super) fn ids(&self) -> Result<Vec<String>, String> {
        let ids = self.ids.lock().map_err(|error| error.to_string())?;
        let made: Option<Vec<String>> = ids.iter().cloned().collect();
        made.ok_or_else(|| "a user was created without an id".into())
    }
}

impl Traffic for UserMaker {
    fn request(&self, number: u64, out: &mut Vec<u8>) {
        let number = self.first + usize::try_from(number).unwrap_or_default();
        let body = bodies::user(number).to_string();
        self.caller.write(out, "POST", "/Users", &body);
    }

    fn answered(&self, number: u64, body: &[u8]) {
        let id = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|user| Some(user["id"].as_str()?.to_owned()));
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        if let Ok(mut ids) = self.ids.lock()
            && let Some(slot) = ids.get_mut(place)
        {
            *slot = id;
        }
    }
}

pub(super) async fn exchange(address: SocketAddr, request: &[u8]) -> Result<Value, String> {
    let wire = Wire::open(address).await;
    let mut wire = wire.map_err(|error| format!("no connection to {address}: {error}"))?;
    let status = wire.send(request).await;
    let status = status.map_err(|error| format!("{address}: {error}"))?;
    if !(200..300).contains(&status) {
        let head: Vec<u8> = request.iter().copied().take(80).collect();
        return Err(format!(
            "{:?} was answered {status}: {}",
            String::from_utf8_lossy(&head),
            String::from_utf8_lossy(&wire.body)
        ));
    }
    Ok(serde_json::from_slice(&wire.body).unwrap_or(Value::Null))
}

pub(super) fn serve(
    folder: &Path,
    pinned: bool,
    number: usize,
) -> Result<(Process, String), String> {
    Start {
        program: program(),
        arguments: &["serve", "--config", "drawbridge.toml"],
        environment: &[],
        core: pinned.then_some(SERVER_CORE),
        folder,
        log: &format!("bridge-{number}.log"),
        ready: "/scim/v2",
    }
    .run()
}

/// Two connections, one of them with a budget. Without a limit, pacing is set
/// so high that it never holds anything back; everything else is as in
/// production.
fn configuration(upstream: &str, per_second: Option<u32>) -> String {
    let pace = match per_second {
        None => "requests_per_second = 100000\nburst = 100000".to_owned(),
        Some(limit) => format!("requests_per_second = {limit}\nburst = 10\nconcurrency = 32"),
    };
    let connection = |name: &str, budget: u32| {
        format!(
            r#"
[[connection]]
name = "{name}"
tokens = {{ file = "{name}.tokens" }}
import = "never"
guard = {{ enabled = false }}
request_budget = {budget}

[connection.upstream]
kind = "opsera"
base_url = "http://{upstream}"
token = {{ file = "opsera.token" }}
{pace}
"#
        )
    };
    let connections = connection("acme", 1_000_000) + &connection("noisy", NOISY_BUDGET);
    format!(
        r#"listen = "127.0.0.1:0"

[store]
url = "sqlite://bridge.db"

[http]
workers = 1
{connections}"#
    )
}

/// A server with so many connections, of both kinds in turns, to nobody.
pub(super) fn idle(connections: usize) -> Result<(TempDir, Process), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let one = |n: usize| {
        let kind = if n.is_multiple_of(2) {
            "opsera"
        } else {
            "hydden"
        };
        format!(
            r#"
[[connection]]
name = "idle{n}"
tokens = {{ file = "idle{n}.tokens" }}
import = "never"

[connection.upstream]
kind = "{kind}"
base_url = "https://127.0.0.1:9"
token = {{ file = "upstream.token" }}
"#
        )
    };
    let connections: Vec<String> = (0..connections).map(one).collect();
    let head = "listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite://bridge.db\"\n";
    let text = format!("{head}[http]\nworkers = 1\n{}", connections.concat());
    write(&folder.path().join("drawbridge.toml"), &text)?;
    write(&folder.path().join("upstream.token"), UPSTREAM_TOKEN)?;
    for n in 0..connections.len() {
        make_token(folder.path(), &format!("idle{n}"))?;
    }
    let (server, _) = serve(folder.path(), false, 0)?;
    Ok((folder, server))
}

pub(super) fn make_token(folder: &Path, connection: &str) -> Result<String, String> {
    let output = Command::new(program())
        .args(["token", "create", connection, "--config", "drawbridge.toml"])
        .current_dir(folder)
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = said.split_whitespace();
    let token = words.find(|word| word.starts_with("dbr_"));
    token.map(str::to_owned).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("no token was created: {said} {errors}")
    })
}

pub(super) fn write(path: &PathBuf, text: &str) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::write(path, text)
        .and_then(|()| std::fs::set_permissions(path, private))
        .map_err(|error| format!("{}: {error}", path.display()))
}

pub(super) fn socket(host: &str) -> Result<SocketAddr, String> {
    host.parse().map_err(|error| format!("{host}: {error}"))
}
