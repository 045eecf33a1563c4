//! Group commit: shared transactions, separate fates.
use std::{sync::mpsc, time::Duration};

use rusqlite::Connection;

use super::*;
use crate::store::{
    StoreError,
    sqlite::{
        fault::{Fault, Result},
        file, migrate,
        writer::Writer,
    },
};

struct Desk {
    folder: TempDir,
    writer: Arc<Writer>,
}

fn desk() -> Desk {
    let folder = tempfile::tempdir().unwrap();
    let held = file::hold(&folder.path().join("d.db")).unwrap();
    let db = file::open_plain(&held.path).unwrap();
    file::make_durable(&db).unwrap();
    migrate::migrate(&db, migrate::STEPS).unwrap();
    let writer = Arc::new(Writer::start(db, held).unwrap());
    Desk { folder, writer }
}

impl Desk {
    fn reader(&self) -> Connection {
        file::open_reader(&self.folder.path().join("d.db")).unwrap()
    }
}

fn insert(db: &Connection, name: &str) -> Result<()> {
    db.execute("INSERT INTO connections (name) VALUES (?1)", [name])?;
    Ok(())
}

fn count(db: &Connection) -> i64 {
    db.query_row("SELECT count(*) FROM connections", [], |row| row.get(0))
        .unwrap()
}

/// A job that holds the writer until it is told to go on; it has begun.
async fn hold(desk: &Desk) -> (tokio::task::JoinHandle<()>, mpsc::Sender<()>) {
    let (open, gate) = mpsc::channel::<()>();
    let (begun, begin) = tokio::sync::oneshot::channel();
    let writer = Arc::clone(&desk.writer);
    let first = tokio::spawn(async move {
        let held = writer.write(move |_| {
            let _ = begun.send(());
            let _ = gate.recv_timeout(Duration::from_secs(20));
            Ok(())
        });
        held.await.unwrap();
    });
    begin.await.unwrap();
    (first, open)
}

/// Holds the writer, lets `n` jobs wait behind it, then lets them go.
async fn together<T: Send + 'static>(
    desk: &Desk,
    n: usize,
    job: impl Fn(usize, &Connection) -> Result<T> + Clone + Send + 'static,
) -> Vec<Result<T>> {
    let (first, open) = hold(desk).await;
    let jobs: Vec<_> = (0..n)
        .map(|i| {
            let (writer, job) = (Arc::clone(&desk.writer), job.clone());
            tokio::spawn(async move { writer.write(move |db| job(i, db)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    open.send(()).unwrap();
    first.await.unwrap();
    let mut results = Vec::new();
    for job in jobs {
        results.push(job.await.unwrap());
    }
    results
}

#[tokio::test]
async fn waiting_jobs_share_one_commit() {
    let desk = desk();
    let path = desk.folder.path().join("d.db");
    let seen = together(&desk, 50, move |i, db| {
        insert(db, &i.to_string())?;
        let committed = count(&file::open_reader(&path)?);
        Ok((count(db), committed))
    });
    let seen: Vec<_> = seen.await.into_iter().map(|r| r.unwrap()).collect();
    let last = seen.iter().max().unwrap();
    assert_eq!(*last, (50, 0), "the last of 50 saw none of them committed");
    assert_eq!(count(&desk.reader()), 50, "and then all were");
}

#[tokio::test]
async fn a_refused_or_panicking_job_takes_nothing_else_with_it() {
    let desk = desk();
    let results = together(&desk, 30, |i, db| {
        insert(db, &i.to_string())?;
        assert!(i % 3 != 1, "a bug");
        if i % 3 == 2 {
            return Err(WriteError::Missing.into());
        }
        Ok(i)
    });
    for (i, result) in results.await.into_iter().enumerate() {
        match (i % 3, result) {
            (0, Ok(n)) => assert_eq!(n, i),
            (1, Err(fault)) => {
                let error = StoreError::from(fault);
                assert_eq!(error, StoreError::Broken("panic: a bug".into()));
            }
            (2, Err(Fault::Refused(WriteError::Missing))) => {}
            (_, other) => panic!("{i}: {other:?}"),
        }
    }
    assert_eq!(count(&desk.reader()), 10);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_its_job() {
    let desk = desk();
    let (first, open) = hold(&desk).await;
    let other = Arc::clone(&desk.writer);
    let gone = tokio::spawn(async move { other.write(|db| insert(db, "kept")).await });
    tokio::task::yield_now().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    open.send(()).unwrap();
    first.await.unwrap();
    desk.writer.write(|_| Ok(())).await.unwrap();
    assert_eq!(count(&desk.reader()), 1);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_passes() {
    let desk = desk();
    let limit = |pages: i64| {
        desk.writer.write(move |db| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            Ok(db.query_row(&sql, [], |_| Ok(()))?)
        })
    };
    limit(1).await.unwrap();
    let big = "x".repeat(200_000);
    let name = big.clone();
    let full = desk.writer.write(move |db| insert(db, &name)).await;
    let error = StoreError::from(full.unwrap_err());
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert_eq!(count(&desk.reader()), 0);
    limit(1_000_000).await.unwrap();
    desk.writer.write(move |db| insert(db, &big)).await.unwrap();
    assert_eq!(count(&desk.reader()), 1);
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged_any_more() {
    let desk = desk();
    let failed = desk.writer.write(|db| {
        insert(db, "lost")?;
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Err::<(), _>(rusqlite::Error::SqliteFailure(error, None).into())
    });
    let error = StoreError::from(failed.await.unwrap_err());
    assert!(matches!(error, StoreError::Broken(_)), "{error}");
    let next = desk.writer.write(|db| insert(db, "next")).await;
    let error = StoreError::from(next.unwrap_err());
    assert!(matches!(error, StoreError::Broken(_)), "{error}");
    assert_eq!(count(&desk.reader()), 0);
}
