//! The files of a bridge: its store, its configuration, its application's token.

use std::{
    process::Command,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{UPSTREAM_TOKEN, World, write_private};

impl World {
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
}
