//! What can go wrong inside a transaction, kept apart until the answer is
//! made, because the writer must tell a refusal from a file it can no longer
//! trust.

use rusqlite::ErrorCode;

use crate::{
    scim::error::Problem,
    store::{ListError, StoreError, WriteError},
};

pub(super) type Result<T> = std::result::Result<T, Fault>;

#[derive(Debug)]
pub(super) enum Fault {
    Refused(WriteError),
    Sqlite(rusqlite::Error),
    /// Too many wait for the same places.
    Crowded,
}

/// Allocating, growing the shared-memory index or writing before anything was
/// promised (a file system that is now read-only, a quota) may fail without
/// anything being wrong with what is on disk. Syncing may not.
const PASSING: [i32; 3] = [
    rusqlite::ffi::SQLITE_IOERR_NOMEM,
    rusqlite::ffi::SQLITE_IOERR_SHMSIZE,
    rusqlite::ffi::SQLITE_IOERR_WRITE,
];

impl Fault {
    pub(super) fn broken(what: impl Into<String>) -> Self {
        StoreError::Broken(what.into()).into()
    }

    /// After such an error nothing may be acknowledged any more: a failed
    /// fsync that is tried again can succeed without the data being on disk.
    pub(super) fn loses_trust(&self) -> bool {
        let Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) = self else {
            return false;
        };
        match error.code {
            ErrorCode::SystemIoFailure => !PASSING.contains(&error.extended_code),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            _ => false,
        }
    }

    /// The columns of the unique index that refused a row, as the database names them.
    pub(super) fn violated(&self) -> Option<&str> {
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, Some(message)))
                if error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE =>
            {
                Some(message)
            }
            _ => None,
        }
    }
}

/// What to do about a full disk, wherever it shows.
pub(super) const FULL: &str = "the disk is full; make room on it";

/// The answer of the store to a failure of the database.
pub(super) fn store_error(error: &rusqlite::Error) -> StoreError {
    if let rusqlite::Error::SqliteFailure(e, _) = error {
        match e.extended_code {
            rusqlite::ffi::SQLITE_FULL => {
                return StoreError::Unavailable(format!("{FULL} ({error})"));
            }
            // It does not say why; a disk without room is the usual cause.
            rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                let text = format!("the disk takes nothing more; make room on it ({error})");
                return StoreError::Unavailable(text);
            }
            _ => {}
        }
    }
    let passing = match error {
        rusqlite::Error::SqliteFailure(e, _) => {
            matches!(
                e.code,
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory
            ) || PASSING.contains(&e.extended_code)
        }
        _ => false,
    };
    if passing {
        StoreError::Unavailable(error.to_string())
    } else {
        StoreError::Broken(error.to_string())
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        Self::Refused(error)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.into())
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        // Where, never what: the text may hold personal data.
        Self::broken(format!(
            "stored text is no valid JSON at line {} column {}",
            error.line(),
            error.column()
        ))
    }
}

impl From<Fault> for WriteError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            Fault::Sqlite(error) => store_error(&error).into(),
            Fault::Crowded => crowded().into(),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(WriteError::Store(error)) => error,
            Fault::Refused(error) => Self::Broken(format!("unexpected refusal: {error}")),
            Fault::Sqlite(error) => store_error(&error),
            Fault::Crowded => crowded(),
        }
    }
}

impl From<Fault> for ListError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(WriteError::Problem(problem)) => Self::Problem(problem),
            Fault::Crowded => Self::Crowded,
            fault => Self::Store(fault.into()),
        }
    }
}

fn crowded() -> StoreError {
    StoreError::Unavailable("too many reads wait".into())
}
