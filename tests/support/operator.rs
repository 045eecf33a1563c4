//! What an administrator has: commands, the operator's side, the log.

use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::Value;

use super::{World, process::program};

impl World {
    /// Runs a command of the program beside the bridge; what it said.
    pub fn command(&self, arguments: &[&str]) -> (bool, String) {
        let (said, wrong, ok) = self.run(arguments);
        (ok, said + &wrong)
    }

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

    /// What `/readyz` tells.
    pub async fn is_ready(&self) -> bool {
        let url = format!("{}/readyz", self.bridge.address());
        let answer = self.client.get(url).send().await.expect("an answer");
        let status = answer.status().as_u16();
        assert!(status == 200 || status == 503, "{status}");
        status == 200
    }

    /// What the bridge has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("serve.log")).expect("a log file")
    }
}
