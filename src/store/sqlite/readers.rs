//! Reading connections. Point reads run where they are asked, because a hop
//! to another thread costs more than they do. What takes longer but is bounded
//! (a group's members, a plain page) waits for one of a few places on a
//! blocking thread, and what may look at everything for one of fewer places of
//! its own (see [`super::scans`]), so that costly lists only ever wait for each
//! other.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::Connection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinError,
};

use crate::store::StoreError;

use super::{
    fault::{Fault, Result},
    file,
    scans::Scans,
};

/// Idle connections that are kept; each holds up to 2 MiB of pages.
const IDLE: usize = 4;
/// Bounded reads at the same time.
const READS: usize = 3;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    reads: Arc<Semaphore>,
    scans: Arc<Scans>,
}

/// Says to a scan that nobody waits for its answer any more: the client has
/// gone, or the request has timed out.
#[derive(Debug, Clone, Default)]
pub(super) struct Halt(Arc<AtomicBool>);

impl Halt {
    pub(super) fn is_called(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Calls the halt when what waits for the answer is dropped.
struct Caller(Halt);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::new(Vec::with_capacity(IDLE)),
            reads: Arc::new(Semaphore::new(READS)),
            scans: Arc::new(Scans::new()),
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
        // One that is still inside a transaction would see the past for ever.
        if idle.len() < IDLE && db.is_autocommit() {
            idle.push(db);
        }
        result
    }

    /// Reads what is bounded, on a thread that may take its time.
    pub(super) async fn read_apart<T, F>(self: &Arc<Self>, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let place = place(&self.reads).await?;
        self.on_thread(place, act).await
    }

    /// Reads what may be everything there is of a connection. `act` looks at the halt
    /// now and then; it is called when the returned future is dropped.
    pub(super) async fn scan<T, F>(self: &Arc<Self>, connection: i64, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Halt) -> Result<T> + Send + 'static,
    {
        let seat = self.scans.seat(connection).await?;
        let caller = Caller(Halt::default());
        let halt = caller.0.clone();
        self.on_thread(seat, move |db| act(db, &halt)).await
    }

    /// Gives the place back when the thread is done, not when nobody waits.
    async fn on_thread<T, F, P>(self: &Arc<Self>, place: P, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        P: Send + 'static,
    {
        #[cfg(test)]
        if super::simulated::is_on() {
            return self.read(act);
        }
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let result = readers.read(act);
            drop(place);
            result
        })
        .await
        .unwrap_or_else(|error| Err(cut_off(&error)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read that came to no end. The program's end is one, and no fault.
fn cut_off(error: &JoinError) -> Fault {
    if error.is_cancelled() {
        return StoreError::Unavailable("the program is ending".into()).into();
    }
    Fault::broken("a read panicked")
}

async fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let place = Arc::clone(places).acquire_owned().await;
    place.map_err(|_| Fault::broken("the readers are closed"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use tokio::runtime::Runtime;

    use super::*;

    /// In the words of the log.
    async fn fails(act: impl FnOnce() + Send + 'static) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.db");
        Connection::open(&path).unwrap();
        let readers = Arc::new(Readers::new(path));
        let read = readers.read_apart(move |_| {
            act();
            Ok(())
        });
        StoreError::from(read.await.unwrap_err()).to_string()
    }

    #[tokio::test]
    async fn a_read_that_the_programs_end_cuts_off_has_not_panicked() {
        let ended = std::thread::spawn(|| {
            let runtime = Runtime::new().unwrap();
            let handle = runtime.handle().clone();
            runtime.shutdown_background();
            handle
        });
        let ended = ended.join().unwrap();
        let _inside = ended.enter();
        let said = fails(|| {}).await;
        assert!(said.contains("the program is ending"), "{said}");
    }

    #[tokio::test]
    async fn one_that_panicked_is_told_as_that() {
        let said = fails(|| panic!("on purpose")).await;
        assert!(said.contains("a read panicked"), "{said}");
    }
}
