//! Reading connections. Point reads run where they are asked, because a hop
//! to another thread costs more than they do; whatever may scan waits for one
//! of a few places and runs on a blocking thread.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{
    fault::{Fault, Result},
    file,
};

/// Idle connections that are kept; each holds up to 2 MiB of pages.
const IDLE: usize = 4;
/// Scans at the same time.
const SCANS: usize = 3;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    scans: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::new(Vec::with_capacity(IDLE)),
            scans: Arc::new(Semaphore::new(SCANS)),
        }
    }

    /// Reads here and now.
    pub(super) fn read<T>(&self, act: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.lock().pop();
        let db = match idle {
            Some(db) => db,
            None => file::open_reader(&self.path)?,
        };
        let result = act(&db);
        let mut idle = self.lock();
        if idle.len() < IDLE {
            idle.push(db);
        }
        result
    }

    /// Reads on a thread that may take its time.
    pub(super) async fn scan<T, F>(self: &Arc<Self>, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let place = Arc::clone(&self.scans).acquire_owned().await;
        let place = place.map_err(|_| Fault::broken("the readers are closed"))?;
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let result = readers.read(act);
            drop(place);
            result
        })
        .await
        .unwrap_or_else(|_| Err(Fault::broken("a read panicked")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
