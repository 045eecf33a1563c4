//! The program and the simulator as processes that end with their handles.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{OTHER_TOKEN, UPSTREAM_TOKEN};
use crate::witness;

/// The longest a process may take to say its address.
const START: Duration = Duration::from_secs(20);

/// The program under test: another build of it where `DRAWBRIDGE_PROGRAM`
/// names one, so that long runs can try what is shipped.
pub(super) fn program() -> std::path::PathBuf {
    let given = std::env::var_os("DRAWBRIDGE_PROGRAM").map(std::path::PathBuf::from);
    let given = given.map(|path| path.canonicalize().expect("DRAWBRIDGE_PROGRAM is a file"));
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_drawbridge").into())
}

/// A started process that ends with its handle.
pub(super) struct Process {
    pub(super) child: Child,
    /// What it printed before and including the line waited for.
    pub(super) said: Vec<String>,
    /// What it simulates, if it does.
    pub(super) simulates: Option<String>,
}

impl Process {
    /// Starts the program and waits for a line that contains `until`.
    pub(super) fn start(arguments: &[&str], dir: &std::path::Path, until: &str) -> Self {
        Self::try_start(Command::new(program()), arguments, dir, until)
            .unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// The same with `command` as the program, which may end before it says
    /// anything.
    pub(super) fn try_start(
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

    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What was sent to it, or answered, against its documents.
    pub(super) fn complaints(&self) -> Vec<String> {
        let kind = self.simulates.iter();
        kind.flat_map(|kind| witness::complaints(kind, &self.address()))
            .collect()
    }

    /// The first `http://host:port` in what it printed on the awaited line.
    pub(super) fn address(&self) -> String {
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

pub(super) fn start_simulator(dir: &TempDir, kind: &str, more: &[&str]) -> Process {
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

pub(super) const SERVE: [&str; 3] = ["serve", "--config", "drawbridge.toml"];

pub(super) fn start_bridge(dir: &TempDir) -> Process {
    Process::start(&SERVE, dir.path(), "/scim/v2")
}

pub(super) fn make_token(dir: &TempDir, connection: &str) -> String {
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
