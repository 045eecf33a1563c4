//! Places of users among groups that are alternatives, of all connections of the
//! process: whoever waits for one that another connection has looks again as soon
//! as one may be free. That is not kept and not needed: the back-off looks too.

use std::sync::Arc;

use tokio::sync::watch;

use super::{LEAST_GAP, Pause};

/// Shared by all of them.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct Places(Arc<watch::Sender<()>>);

impl Places {
    /// Somebody has lost something here.
    pub(super) fn freed(&self) {
        self.0.send_replace(());
    }

    pub(super) fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }
}

/// What one lane has heard of it.
#[derive(Debug)]
pub(super) struct Watch(watch::Receiver<()>);

impl Watch {
    /// What is freed from here on is not missed.
    pub(super) fn begin(&mut self) {
        self.0.mark_unchanged();
    }

    /// When one may be free that is waited for; never where none is.
    pub(super) async fn free(&mut self, pause: Pause) {
        tokio::time::sleep(LEAST_GAP).await;
        if pause != Pause::HandedOver || self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
