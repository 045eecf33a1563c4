//! The database file: made with mode 0600, held by one process, opened with
//! the settings that durability rests on (WAL, `synchronous=FULL`).

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::store::StoreError;

use super::fault::{FULL, Result, store_error};

/// The file and the right to use it; dropping it lets another process in.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) path: PathBuf,
    _lock: File,
}

/// How often and how long after each other a held lock is tried again.
const LOOKS: u32 = 20;
const LOOK: Duration = Duration::from_millis(25);
/// How many compiled statements a connection keeps.
const STATEMENTS: usize = 96;

/// Creates the file if need be and takes it for this process.
pub(super) fn hold(path: &Path) -> std::result::Result<Held, StoreError> {
    let name = path.display();
    let fault = |what: &str, error: &std::io::Error| match error.kind() {
        ErrorKind::StorageFull => {
            StoreError::Unavailable(format!("cannot {what} {name}: {FULL} ({error})"))
        }
        _ => StoreError::Broken(format!("cannot {what} {name}: {error}")),
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if let Err(error) = private(path) {
        return Err(fault("open or create", &error));
    }
    // Two spellings of one file must meet at one lock.
    let path = path
        .canonicalize()
        .map_err(|error| fault("resolve", &error))?;
    let linked = path.metadata().map_err(|error| fault("look at", &error))?;
    if linked.nlink() > 1 {
        return Err(StoreError::Broken(format!(
            "{name} has {} names (hard links): a process under each of them would ruin the \
             database; remove the others, `find -samefile` shows them",
            linked.nlink()
        )));
    }
    let mut beside = path.clone().into_os_string();
    beside.push(".lock");
    let lock = private(Path::new(&beside)).map_err(|error| fault("lock", &error))?;
    match patiently(&lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Unavailable(format!(
                "{name} is in use by another process; stop it, or name another file"
            )));
        }
        Err(TryLockError::Error(error)) => return Err(fault("lock", &error)),
    }
    // The new names must survive a power cut as much as what is in the files.
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| fault("sync the folder of", &error))?;
    Ok(Held { path, _lock: lock })
}

/// Between its fork and its exec, a program that this process starts holds a
/// copy of every lock; that is over in a moment.
fn patiently(lock: &File) -> std::result::Result<(), TryLockError> {
    let mut looks = 0;
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if looks < LOOKS => looks += 1,
            result => return result,
        }
        std::thread::sleep(LOOK);
    }
}

fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The one connection that writes. Nothing is changed in the file yet.
pub(super) fn open_plain(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    #[cfg(debug_assertions)]
    let db = super::noted::noted(db)?;
    #[cfg(test)]
    let db = super::tests::work::noted(db, path)?;
    settle(&db)?;
    Ok(db)
}

/// Makes the writing connection durable.
pub(super) fn make_durable(db: &Connection) -> std::result::Result<(), StoreError> {
    let failed = |error: rusqlite::Error| store_error(&error);
    let mode: String = db
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(failed)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(StoreError::Broken(format!(
            "the file system does not allow write-ahead logging (journal mode is {mode}); use a local disk"
        )));
    }
    db.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 1000;
         PRAGMA journal_size_limit = 16777216;",
    )
    .map_err(failed)
}

/// A connection that cannot write.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    #[cfg(debug_assertions)]
    let db = super::noted::noted(db)?;
    #[cfg(test)]
    let db = super::tests::work::noted(db, path)?;
    settle(&db)?;
    db.execute_batch("PRAGMA query_only = ON;")?;
    Ok(db)
}

fn settle(db: &Connection) -> Result<()> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise a statement whose plan could depend on a bound value (a LIMIT
    // does) is compiled anew at every use, which costs more than running it.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -2048;",
    )?;
    Ok(())
}
