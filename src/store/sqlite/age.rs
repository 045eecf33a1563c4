//! Whether this is the database that was here last, and as far on as it was
//! (reliability: I-25, H-10). Beside the file stands which database it is and
//! the number and the digest of its last audit row; a copy of yesterday, one that
//! has gone on elsewhere, or another database in its place does not match, and
//! neither does an audit whose end was cut off.
//!
//! Yesterday's note beside yesterday's database does match. So the note also says
//! when its own file came to be, which the file system tells of every file and lets
//! nobody set: what was copied or restored is another file. Renaming the folder
//! or giving it to another user changes nothing, and neither does a crash, as the
//! moment is written into the very file of which it is told.
//!
//! Whoever puts a whole file system back to yesterday puts this back as well. What
//! is left then is the time: a bridge that runs writes the note now and then.
//!
//! The note is behind by what was written since it was last taken, never ahead.
//! Whoever can write both the database and the note can make them match.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    plan::state::ConnectionKey,
    scim::resource::ResourceId,
    store::{
        Actor, Age, Millis, StoreError,
        audit::{CUT, hex},
    },
};

use super::{
    audit,
    fault::{FULL, Fault, Result},
    row::id_at,
};

/// How old a note may become while the bridge runs.
const FRESH: u64 = 600_000;
/// A bridge whose note is older than this has not run for long.
const LONG: Millis = 3_600_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    store: ResourceId,
    audit: i64,
    /// Hexadecimal; older programs noted none.
    #[serde(default)]
    chain: Option<String>,
    /// Of the file that it was written into; older programs noted none, and not
    /// every file system tells it.
    #[serde(default)]
    born: Option<u64>,
    #[serde(default)]
    at: Option<Millis>,
}

/// A note, and the file that it stands in now.
struct Beside {
    note: Note,
    born: Option<u64>,
}

impl Beside {
    fn is_copied(&self) -> bool {
        self.note.born.is_some() && self.note.born != self.born
    }

    fn is_old(&self, now: Millis) -> bool {
        let at = self.note.at;
        at.is_some_and(|at| now.saturating_sub(at) > LONG)
    }
}

/// In nanoseconds.
fn born(file: &File) -> Option<u64> {
    let created = file.metadata().ok()?.created().ok()?;
    let since = created.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// The head of the audit as it was last noted beside the file.
pub(super) fn noted(path: &Path) -> Result<Option<(i64, String)>> {
    let note = read(path)?.map(|beside| beside.note);
    let note = note.filter(|note| note.audit > 0);
    Ok(note.and_then(|note| Some((note.audit, note.chain?))))
}

fn place(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn read(path: &Path) -> Result<Option<Beside>> {
    let look = || {
        let mut file = File::open(place(path, ".mark"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, io::Error>((bytes, born(&file)))
    };
    match look() {
        Ok((bytes, born)) => {
            let note = serde_json::from_slice(&bytes).ok();
            Ok(note.map(|note| Beside { note, born }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, &error)),
    }
}

/// On disk when this returns.
fn write(path: &Path, mut note: Note) -> Result<()> {
    let (fresh, lasting) = (place(path, ".mark.new"), place(path, ".mark"));
    let mut put = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        note.born = born(&file);
        file.write_all(&serde_json::to_vec(&note)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &lasting)?;
        // The path is a whole one, so it has a folder.
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    put().map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Fault {
    let path = place(path, ".mark");
    let text = match error.kind() {
        io::ErrorKind::StorageFull => format!("{}: {FULL} ({error})", path.display()),
        _ => format!("{}: {error}", path.display()),
    };
    StoreError::Unavailable(text).into()
}

/// Compares, and gives a database its id that has none. The note stays as it
/// is, so that a difference is seen again if this start comes to nothing.
pub(super) fn settle(db: &Connection, path: &Path, fresh: ResourceId, now: Millis) -> Result<Age> {
    let stored: Option<ResourceId> = db
        .prepare_cached("SELECT id FROM identity")?
        .query_row([], |row| id_at(row, 0))
        .optional()?;
    let beside = read(path)?;
    if beside.as_ref().is_some_and(|beside| beside.born.is_none()) {
        tracing::warn!(
            "this file system does not tell when a file was made, so a database that is restored \
             together with {} is not known for one: leave that file out",
            place(path, ".mark").display()
        );
    }
    let (id, age) = match (stored, beside) {
        (None, None) => {
            let note = Note {
                store: fresh,
                audit: 0,
                chain: None,
                born: None,
                at: Some(now),
            };
            write(path, note)?;
            (fresh, Age::AsItWas)
        }
        // The first start ended between the note and the database.
        (None, Some(Beside { note, .. })) if note.audit == 0 => (note.store, Age::AsItWas),
        (None, Some(_)) => (fresh, Age::Another),
        (Some(id), None) => (id, Age::Unknown),
        (Some(id), Some(beside)) if beside.note.store != id => (id, Age::Another),
        (Some(id), Some(beside)) if !has(db, &beside.note)? => (id, Age::Older),
        (Some(id), Some(beside)) if beside.is_copied() => (id, Age::Copied),
        (Some(id), Some(beside)) if beside.is_old(now) => (id, Age::LongStopped),
        (Some(id), Some(_)) => (id, Age::AsItWas),
    };
    if stored.is_none() {
        db.prepare_cached("INSERT INTO identity (one, id) VALUES (1, ?1)")?
            .execute([id.as_bytes()])?;
    }
    Ok(age)
}

/// Whether what was noted is in the audit.
fn has(db: &Connection, note: &Note) -> Result<bool> {
    if note.audit > audit::latest(db)? {
        return Ok(false);
    }
    let there = audit::chain_at(db, note.audit)?;
    Ok(note.chain.is_none() || note.chain == there)
}

/// See [`crate::store::Store::tell_cut`]. The next note matches again, so that only the
/// record tells of it then.
pub(super) fn tell_cut(
    db: &Connection,
    path: &Path,
    of: &[ConnectionKey],
    actor: &Actor,
) -> Result<Option<i64>> {
    let id: Option<ResourceId> = db
        .prepare_cached("SELECT id FROM identity")?
        .query_row([], |row| id_at(row, 0))
        .optional()?;
    let note = read(path)?.map(|beside| beside.note);
    let Some(note) = note.filter(|note| Some(note.store) == id) else {
        return Ok(None);
    };
    if has(db, &note)? {
        return Ok(None);
    }
    let (last, _) = audit::head(db)?;
    let detail = json!({ "noted": note.audit, "last": last });
    for connection in of {
        audit::record(db, connection.0, actor, CUT, None, &detail)?;
    }
    Ok(Some(note.audit))
}

/// Notes how far the database has come, if that is news or the note is a
/// copy, and that the bridge runs.
pub(super) fn note(db: &Connection, path: &Path, now: Millis) -> Result<()> {
    let id: Option<ResourceId> = db
        .prepare_cached("SELECT id FROM identity")?
        .query_row([], |row| id_at(row, 0))
        .optional()?;
    let Some(store) = id else {
        return Ok(());
    };
    let (audit, chain) = audit::head(db)?;
    let chain = chain.map(|chain| hex(&chain));
    let before = read(path)?;
    let note = Note {
        store,
        audit,
        chain,
        born: before.as_ref().and_then(|before| before.born),
        at: before.as_ref().and_then(|before| before.note.at),
    };
    let fresh = note.at.is_some_and(|at| now.abs_diff(at) < FRESH);
    if !fresh || before.is_none_or(|before| before.note != note) {
        let at = Some(now);
        write(path, Note { at, ..note })?;
    }
    Ok(())
}
