//! What each statement cost, for tests of the whole program that compare requests
//! by the work they cause, and by no clock: a debug build appends to the file that
//! `DRAWBRIDGE_WORK` names, for each statement that has ended, how many steps of
//! the database's machine it took and its text. In a release build nothing of
//! this is left.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    sync::OnceLock,
};

use rusqlite::{
    Connection, StatementStatus,
    trace::{TraceEvent, TraceEventCodes},
};

use super::fault::Result;

fn file() -> Option<&'static File> {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let open = || {
        let path = std::env::var_os("DRAWBRIDGE_WORK")?;
        OpenOptions::new().append(true).create(true).open(path).ok()
    };
    FILE.get_or_init(open).as_ref()
}

pub(super) fn noted(mut db: Connection) -> Result<Connection> {
    let Some(mut file) = file() else {
        return Ok(db);
    };
    // The counters of a statement that is kept go on from use to use.
    let mut before: HashMap<String, i32> = HashMap::new();
    let tell = move |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            let sql = statement.sql().into_owned();
            let words: Vec<&str> = sql.split_whitespace().collect();
            let text = words.join(" ");
            let now = statement.get_status(StatementStatus::VmStep);
            let then = before.insert(sql, now).filter(|then| *then <= now);
            let steps = now - then.unwrap_or_default();
            // Who reads it misses what is missing.
            _ = file.write_all(format!("{steps} {text}\n").as_bytes());
        }
    };
    db.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(tell))?;
    Ok(db)
}
