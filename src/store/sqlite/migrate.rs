//! Migrations: numbered by `user_version`, each one transaction together with
//! its number, so that a crash at any statement leaves the file at a whole
//! number. Never undone: an older program refuses a newer file.

use rusqlite::Connection;

use crate::store::StoreError;

use super::fault::{Result, store_error};

/// In order; a released one is never edited.
pub(super) const STEPS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_audit_chain.sql"),
    include_str!("../migrations/0003_guard.sql"),
    include_str!("../migrations/0004_reconcile.sql"),
    include_str!("../migrations/0005_families.sql"),
    include_str!("../migrations/0006_mirror.sql"),
    include_str!("../migrations/0007_given_ids.sql"),
    include_str!("../migrations/0008_taken.sql"),
    include_str!("../migrations/0009_unseen.sql"),
    include_str!("../migrations/0010_tokens.sql"),
    include_str!("../migrations/0011_owners.sql"),
    include_str!("../migrations/0012_by_id.sql"),
    include_str!("../migrations/0013_withdrawn.sql"),
    include_str!("../migrations/0014_offered.sql"),
    include_str!("../migrations/0015_seats.sql"),
    include_str!("../migrations/0016_twins.sql"),
    include_str!("../migrations/0017_stays.sql"),
    include_str!("../migrations/0018_gone.sql"),
    include_str!("../migrations/0019_named_again.sql"),
    include_str!("../migrations/0020_departed.sql"),
    include_str!("../migrations/0021_found.sql"),
    include_str!("../migrations/0022_early.sql"),
    include_str!("../migrations/0023_holdings.sql"),
    include_str!("../migrations/0024_left_out.sql"),
    include_str!("../migrations/0025_ended.sql"),
    include_str!("../migrations/0026_stood.sql"),
    include_str!("../migrations/0027_before.sql"),
    include_str!("../migrations/0028_asked.sql"),
    include_str!("../migrations/0029_returned.sql"),
    include_str!("../migrations/0030_giving.sql"),
    include_str!("../migrations/0031_formers.sql"),
    include_str!("../migrations/0032_said.sql"),
    include_str!("../migrations/0033_perhaps_ours.sql"),
    include_str!("../migrations/0034_left_alone.sql"),
    include_str!("../migrations/0035_missing.sql"),
    include_str!("../migrations/0036_deletions.sql"),
    include_str!("../migrations/0037_shown.sql"),
    include_str!("../migrations/0038_said_otherwise.sql"),
    include_str!("../migrations/0039_raised.sql"),
    include_str!("../migrations/0040_as_shown.sql"),
    include_str!("../migrations/0041_ended_elsewhere.sql"),
    include_str!("../migrations/0042_linked.sql"),
    include_str!("../migrations/0043_left_at.sql"),
    include_str!("../migrations/0044_addressed.sql"),
];

/// Marks the file as ours ("drwb").
const APPLICATION: i32 = 0x6472_7762;

/// Refuses a file that is not ours or is newer than this program, without
/// changing anything in it.
pub(super) fn inspect(db: &Connection) -> std::result::Result<(), StoreError> {
    let (version, application, tables) = state(db).map_err(|error| store_error(&error))?;
    if application != APPLICATION && (version != 0 || tables != 0) {
        return Err(StoreError::Broken(
            "the file is a database of another program; name another file".into(),
        ));
    }
    if version > STEPS.len() {
        return Err(StoreError::Broken(format!(
            "the file has format {version}, this program knows up to {}; start the newer program",
            STEPS.len()
        )));
    }
    Ok(())
}

/// Brings the file to the newest format.
pub(super) fn migrate(db: &Connection, steps: &[&str]) -> Result<()> {
    let (version, ..) = state(db)?;
    for (number, step) in steps.iter().enumerate().skip(version) {
        let number = number + 1;
        db.execute_batch(&script(step, number)).inspect_err(|_| {
            // The error says more than a failing roll-back would.
            let _ = db.execute_batch("ROLLBACK");
        })?;
    }
    Ok(())
}

pub(super) fn script(step: &str, number: usize) -> String {
    format!(
        "BEGIN IMMEDIATE;
         {step}
         PRAGMA application_id = {APPLICATION};
         PRAGMA user_version = {number};
         COMMIT;"
    )
}

fn state(db: &Connection) -> rusqlite::Result<(usize, i32, i64)> {
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((
        usize::try_from(version).unwrap_or(usize::MAX),
        application,
        tables,
    ))
}
