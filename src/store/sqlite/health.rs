//! Whether writes reach the disk, told by the writes themselves: what was
//! committed shows that they do, what failed that they do not, and a pulse
//! asks when there is nothing to write (reliability: F-18, F-19).

use std::{mem::discriminant, path::PathBuf};

use rusqlite::Connection;
use tokio::sync::watch;

use crate::store::{Health, StoreError};

use super::fault::Result;

/// Told by the writer, heard by everybody; the log also hears of which file.
#[derive(Debug, Clone)]
pub(super) struct Told {
    health: watch::Sender<Health>,
    store: PathBuf,
}

impl Told {
    pub(super) fn of(store: PathBuf) -> Self {
        Self {
            health: watch::Sender::new(Health::Well),
            store,
        }
    }

    pub(super) fn hear(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(super) fn well(&self) {
        if self.turn(Health::Well) {
            tracing::info!("the store takes writes again");
        }
    }

    pub(super) fn refusing(&self, error: &StoreError) {
        if self.turn(Health::Refusing(error.clone())) {
            tracing::error!(%error, store = %self.store.display(), "the store takes no writes");
        }
    }

    pub(super) fn ruined(&self, error: &StoreError) {
        if self.turn(Health::Ruined(error.clone())) {
            let store = self.store.display();
            tracing::error!(%error, %store, "the store stops: its file cannot be trusted");
        }
    }

    /// False when that is no news; what is ruined stays so.
    fn turn(&self, now: Health) -> bool {
        self.health.send_if_modified(|before| {
            let stays = matches!(before, Health::Ruined(_));
            let news = !stays && discriminant(before) != discriminant(&now);
            if news {
                *before = now;
            }
            news
        })
    }
}

/// Makes the next commit write, though nothing is different after it: setting
/// the number of the format writes the first page whatever it was before.
pub(super) fn beat(db: &Connection) -> Result<()> {
    let format: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(db.pragma_update(None, "user_version", format)?)
}
