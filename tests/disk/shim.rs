//! A bridge whose disk does as it is told: `shim.c`, built with the compiler
//! that the store's C code needs anyway and loaded before everything else.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::{World, load};

pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;

pub struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Under a bridge that is started anew.
    pub fn under(world: &mut World) -> Self {
        world.stop_bridge();
        Self::under_stopped(world)
    }

    /// The same for one that does not run.
    pub fn under_stopped(world: &mut World) -> Self {
        let disk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        load(&disk.path("shim.so"), "tests/disk/shim.c");
        disk.is_well();
        disk.start(world);
        disk
    }

    /// Starts the bridge on this disk.
    pub fn start(&self, world: &mut World) {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(k, v)| (*k, v.as_path())).collect();
        world.start_bridge_with(&environment);
    }

    /// What puts a program on this disk.
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", self.path("shim.so")),
            ("DISK_TROUBLE", self.path("trouble")),
            ("DISK_RECORD", self.tape()),
        ]
    }

    /// From now on every write to the store fails so.
    pub fn fails_to_write(&self, error: i32) {
        self.trouble(&format!("write {error}"));
    }

    /// From now on nothing more finds room, though files can still be made.
    pub fn is_full(&self) {
        self.trouble(&format!("fill {ENOSPC}"));
    }

    /// The same for all that has no room yet.
    pub fn is_full_but_for_the_index(&self) {
        self.trouble(&format!("rest {ENOSPC}"));
    }

    /// From now on every sync of the store fails so.
    pub fn fails_to_sync(&self, error: i32) {
        self.trouble(&format!("sync {error}"));
    }

    pub fn is_well(&self) {
        self.trouble("");
    }

    /// What was done to the store's files.
    pub fn tape(&self) -> PathBuf {
        self.path("tape")
    }

    /// Whole at every moment.
    fn trouble(&self, text: &str) {
        std::fs::write(self.path("fresh"), text).unwrap();
        std::fs::rename(self.path("fresh"), self.path("trouble")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
