//! Group commit: one thread owns the writing connection, takes every waiting
//! job into one transaction, and answers only after its fsync. Of several, each has
//! a savepoint of its own, so a refused one takes nothing else with it. There is
//! no artificial delay: a lone job is committed alone.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, config::DbConfig};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::store::{Health, StoreError};

use super::{
    fault::{Fault, Result},
    file::Held,
    health::{self, Told},
};

/// The most jobs in one transaction.
const BATCH: usize = 256;
/// Jobs that may wait before callers do.
const WAITING: usize = 1_024;
/// A disk that has not answered for so long is not well.
const LONGEST_BEAT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Writer {
    // `None` only while being dropped.
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    told: Told,
}

impl Writer {
    /// The thread keeps the file held until the last job is done.
    pub(super) fn start(db: Connection, held: Held) -> std::result::Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(WAITING);
        let told = Told::of(held.path.clone());
        let tell = told.clone();
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                work(&db, jobs, &tell);
                drop(db);
                drop(held);
            })
            .map_err(|error| StoreError::Broken(format!("cannot start the writer: {error}")))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            told,
        })
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.told.hear()
    }

    /// Goes to the disk and back.
    pub(super) async fn pulse(&self) -> Result<()> {
        let Ok(beat) = timeout(LONGEST_BEAT, self.write(health::beat)).await else {
            let error = StoreError::Unavailable("the disk does not answer".into());
            self.told.refusing(&error);
            return Err(error.into());
        };
        beat.inspect(|()| self.told.well())
    }

    /// Runs `act` in the next transaction. Once this future was polled to the
    /// point of waiting for the answer, dropping it does not stop the job.
    pub(super) async fn write<T, F>(&self, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.run(act, true).await
    }

    /// The same, but whatever `act` writes is taken back.
    pub(super) async fn try_out<T, F>(&self, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.run(act, false).await
    }

    async fn run<T, F>(&self, act: F, keeps: bool) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let stopped = || Fault::broken("the writer has stopped");
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Task {
            act: Some(act),
            done: None,
            keeps,
            reply,
        });
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(job).await.map_err(|_| stopped())?;
        #[cfg(test)]
        let answer = simulated::heed(answer).await;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A job may own the last handle of the store; a thread cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// What a job left behind in its savepoint.
enum Left {
    Change,
    Nothing,
    /// The file can no longer be trusted.
    Ruin(StoreError),
}

trait Job: Send {
    fn run(&mut self, db: &Connection) -> Left;
    /// Tells the caller; `Err` overrides what the job itself had come to.
    fn answer(self: Box<Self>, committed: std::result::Result<(), StoreError>);
}

struct Task<T, F> {
    act: Option<F>,
    done: Option<Result<T>>,
    /// Otherwise nothing of it is.
    keeps: bool,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T> + Send,
{
    fn run(&mut self, db: &Connection) -> Left {
        let Some(act) = self.act.take() else {
            return Left::Nothing;
        };
        let done = catch_unwind(AssertUnwindSafe(|| act(db)))
            .unwrap_or_else(|panic| Err(Fault::broken(format!("panic: {}", text_of(&*panic)))));
        let left = match &done {
            Ok(_) if self.keeps => Left::Change,
            Err(fault @ Fault::Sqlite(error)) if fault.loses_trust() => {
                Left::Ruin(super::fault::store_error(error))
            }
            Ok(_) | Err(_) => Left::Nothing,
        };
        self.done = Some(done);
        left
    }

    fn answer(self: Box<Self>, committed: std::result::Result<(), StoreError>) {
        let answer = match committed {
            Err(error) => Err(error.into()),
            Ok(()) => self
                .done
                .unwrap_or_else(|| Err(Fault::broken("the job did not run"))),
        };
        // The caller may have gone; the change stays.
        let _ = self.reply.send(answer);
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &'static str {
    // Only fixed texts: a formatted one may carry personal data.
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(no fixed text)")
}

/// Why a whole batch failed.
struct Stop {
    error: StoreError,
    for_good: bool,
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        let fault = Fault::Sqlite(error);
        Self {
            for_good: fault.loses_trust(),
            error: fault.into(),
        }
    }
}

fn work(db: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>, told: &Told) {
    let mut refusing: Option<StoreError> = None;
    let mut batch: Vec<Box<dyn Job>> = Vec::new();
    while let Some(first) = jobs.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH {
            let Ok(next) = jobs.try_recv() else { break };
            batch.push(next);
        }
        point!("commit.taken");
        let before = db.total_changes();
        let committed = match &refusing {
            Some(error) => Err(error.clone()),
            None => commit(db, &mut batch).map_err(|stop| {
                if !db.is_autocommit() {
                    // Nothing was acknowledged; a failure here shows at the next BEGIN.
                    let _ = db.execute_batch("ROLLBACK");
                }
                if stop.for_good {
                    told.ruined(&stop.error);
                    refusing = Some(stop.error.clone());
                    // Nothing more is written, not even in parting.
                    let _ = db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
                } else {
                    told.refusing(&stop.error);
                }
                stop.error
            }),
        };
        if committed.is_ok() && db.total_changes() > before {
            told.well();
        }
        point!("commit.done");
        for job in batch.drain(..) {
            job.answer(committed.clone());
            point!("commit.one-answered");
        }
    }
}

fn commit(db: &Connection, batch: &mut [Box<dyn Job>]) -> std::result::Result<(), Stop> {
    let run = |sql: &str| db.prepare_cached(sql)?.execute([]);
    // A lone job has the transaction to itself; a savepoint would only copy
    // every page that it changes.
    let lone = batch.len() == 1;
    run("BEGIN IMMEDIATE")?;
    point!("commit.begun");
    for job in batch {
        if !lone {
            run("SAVEPOINT job")?;
        }
        let left = job.run(db);
        point!("commit.one-run");
        if let Left::Ruin(error) = left {
            return Err(Stop {
                error,
                for_good: true,
            });
        }
        if db.is_autocommit() {
            // Some errors, a full disk among them, end the whole transaction.
            return Err(Stop {
                error: StoreError::Unavailable("the transaction was rolled back".into()),
                for_good: false,
            });
        }
        let nothing = matches!(left, Left::Nothing);
        if lone {
            run(if nothing { "ROLLBACK" } else { "COMMIT" })?;
            return Ok(());
        }
        if nothing {
            run("ROLLBACK TO job")?;
        }
        run("RELEASE job")?;
    }
    run("COMMIT")?;
    Ok(())
}

/// A clock that stands still must not run on while the thread works, and what
/// is done is to follow from the seed alone: so the answer is waited for on the
/// spot, and comes after a drawn time.
#[cfg(test)]
pub(crate) mod simulated {
    #![allow(clippy::unwrap_used)]
    use std::{cell::Cell, path::Path, time::Duration};

    use rusqlite::Connection;
    use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};

    thread_local! {
        static PACE: Cell<Option<fn() -> Duration>> = const { Cell::new(None) };
    }

    /// Every write of this thread takes as long as `pace` says.
    pub(crate) fn pace(pace: Option<fn() -> Duration>) {
        PACE.set(pace);
    }

    pub(crate) fn is_on() -> bool {
        PACE.get().is_some()
    }

    /// Whoever was put into a group is taken to be out of it again, at once and
    /// without a word.
    pub(crate) fn forget_additions(file: &Path) {
        let db = Connection::open(file).unwrap();
        let forgets = "CREATE TRIGGER forgets AFTER UPDATE OF observed ON memberships
             WHEN new.observed = 1 AND new.desired = 1 BEGIN
                 UPDATE memberships SET observed = 0
                 WHERE group_key = new.group_key AND user_key = new.user_key;
             END";
        db.execute_batch(forgets).unwrap();
    }

    /// Who may have been given which group, for all that a process knew that is gone:
    /// pairs that it had taken in hand, whether or not it came to send them, and those of
    /// an account that was made anew while calls about others of the group were on their way.
    pub(crate) fn in_hand(file: &Path) -> Vec<(String, String)> {
        let db = Connection::open(file).unwrap();
        let mut select = db
            .prepare(
                "SELECT g.upstream_name, u.account_key FROM (
                     SELECT group_key, user_key FROM memberships WHERE sent = 1
                     UNION SELECT m.group_key, m.user_key FROM memberships m
                         JOIN intents i ON i.lane = 'group' AND i.key = m.group_key
                     WHERE m.observed = 2 AND m.sent IS NULL
                     UNION SELECT gives, user_key FROM giving) pair
                 JOIN groups g ON g.key = pair.group_key
                 JOIN users u ON u.key = pair.user_key
                 WHERE u.account_key IS NOT NULL",
            )
            .unwrap();
        let pairs = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        pairs.unwrap().collect::<Result<_, _>>().unwrap()
    }

    pub(super) async fn heed<T>(mut answer: Receiver<T>) -> Receiver<T> {
        let Some(pace) = PACE.get() else {
            return answer;
        };
        let (reply, again) = oneshot::channel();
        loop {
            match answer.try_recv() {
                Ok(done) => {
                    let _ = reply.send(done);
                    break;
                }
                Err(TryRecvError::Empty) => std::thread::yield_now(),
                Err(TryRecvError::Closed) => break,
            }
        }
        tokio::time::sleep(pace()).await;
        again
    }
}
