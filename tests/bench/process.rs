//! A server as a process of its own, on a core of its own, and what the kernel
//! says about it: processor time and memory.
//!
//! Pinning is done by util-linux's `taskset`; without it, or with one core,
//! the servers run where the scheduler puts them, and the table says so.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const START: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_micros(200);

/// Where the measured server runs, and where everything else does.
pub(super) const SERVER_CORE: &str = "0";
pub(super) const OTHER_CORE: &str = "1";

/// Whether processes are pinned: two cores and `taskset`.
pub(super) fn can_pin() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores >= 2
        && Command::new("taskset")
            .args(["-c", OTHER_CORE, "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// Moves the benchmark itself; called before it has threads.
pub(super) fn pin_myself() -> Result<(), String> {
    let me = std::process::id().to_string();
    let done = Command::new("taskset")
        .args(["-cp", OTHER_CORE, &me])
        .stdout(Stdio::null())
        .status();
    match done {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("taskset -cp {OTHER_CORE} {me}: {other:?}")),
    }
}

/// A running server; ends with its handle.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

/// How a server is started.
pub(super) struct Start<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [&'a str],
    pub(super) environment: &'a [(&'a str, &'a str)],
    /// `None` leaves it to the scheduler.
    pub(super) core: Option<&'a str>,
    pub(super) folder: &'a Path,
    /// The file in `folder` for everything it prints.
    pub(super) log: &'a str,
    /// Part of the line that says it is ready.
    pub(super) ready: &'a str,
}

impl Start<'_> {
    /// Starts it and waits for the line; the first address in that line.
    pub(super) fn run(&self) -> Result<(Process, String), String> {
        let log = self.folder.join(self.log);
        let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let errors = file.try_clone().map_err(|error| error.to_string())?;
        let mut command = match self.core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", core]).arg(self.program);
                command
            }
            None => Command::new(self.program),
        };
        let child = command
            .args(self.arguments)
            .envs(self.environment.iter().copied())
            .env("NO_COLOR", "1")
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        let mut process = Process { child, log };
        let address = process.address(self.ready)?;
        Ok((process, address))
    }
}

impl Process {
    fn address(&mut self, ready: &str) -> Result<String, String> {
        let end = Instant::now() + START;
        loop {
            let said = self.said();
            let whole = said.rfind('\n').map_or("", |end| &said[..end]);
            let line = whole.lines().find(|line| line.contains(ready));
            if let Some(address) = line.and_then(address_in) {
                return Ok(address);
            }
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > end {
                return Err(format!("a server did not start; it said: {said}"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Everything it printed so far.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }

    /// The processor time used so far, by thread.
    pub(super) fn cpu(&self) -> Cpu {
        let mut threads = HashMap::new();
        for thread in fs::read_dir(self.file("task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let first = text.split(' ').next().and_then(|text| text.parse().ok());
            threads.insert(thread.file_name(), first.unwrap_or(0));
        }
        Cpu(threads)
    }

    /// Memory in use now and at most, in bytes.
    pub(super) fn memory(&self) -> Memory {
        let text = fs::read_to_string(self.file("status")).unwrap_or_default();
        let find = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            kib.unwrap_or(0_u64) * 1024
        };
        Memory {
            now: find("VmRSS:"),
            peak: find("VmHWM:"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) now: u64,
    pub(super) peak: u64,
}

/// Nanoseconds on a processor, by thread. Exact, where `/proc/PID/stat` counts
/// in ticks of 10 ms; a thread that ends in between loses its last stretch.
#[derive(Debug, Clone)]
pub(super) struct Cpu(HashMap<std::ffi::OsString, u64>);

impl Cpu {
    pub(super) fn since(&self, before: &Self) -> Duration {
        let used = self.0.iter().map(|(thread, now)| {
            let then = before.0.get(thread).copied().unwrap_or(0);
            now.saturating_sub(then)
        });
        Duration::from_nanos(used.sum())
    }
}

fn address_in(line: &str) -> Option<String> {
    let rest = line.split_once("http://")?.1;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:".contains(c)));
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}
