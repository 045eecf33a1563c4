//! How a bridge ends and begins again on the same files.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::{
    World,
    process::{Process, SERVE, program, start_bridge, start_simulator},
};

impl World {
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

    /// Ends the bridge without a word of warning.
    pub fn kill_bridge(&mut self) {
        self.bridge.kill();
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
}
