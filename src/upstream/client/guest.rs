//! Calls of a command beside a running server, which has the same credential and
//! counts what is sent with it: the command asks it for each call, and tells it of
//! each silence that the application asks for. The command's own pace is kept too.
//!
//! It says so once, around all that it asks of an application
//! (compare [`super::background`]).

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{Refusal, later};
use crate::upstream::{Tenant, UpstreamError};

/// What is counted there, if anything is.
#[async_trait]
pub trait Host: Send + Sync {
    /// Waits until a call may be sent at once; an error says why not soon.
    async fn turn(&self, budget: &Tenant) -> Result<(), PutOff>;

    /// The application asks for silence.
    async fn silence(&self, budget: &Tenant, pause: Duration);
}

/// Nothing is sent for so long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    pub after: Duration,
    pub reason: String,
}

struct Guest {
    host: Option<Arc<dyn Host>>,
    put_off: Mutex<Option<PutOff>>,
}

impl Guest {
    fn note(&self, put_off: PutOff) {
        let mut noted = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get_or_insert(put_off);
    }
}

tokio::task_local! {
    static GUEST: Arc<Guest>;
}

/// Whatever is asked of an application within, as long as it is in the same task;
/// also what was put off first of it, by the own pace or by the host.
pub async fn as_guest<F: Future>(
    host: Option<Arc<dyn Host>>,
    work: F,
) -> (F::Output, Option<PutOff>) {
    let guest = Arc::new(Guest {
        host,
        put_off: Mutex::default(),
    });
    let done = GUEST.scope(Arc::clone(&guest), work).await;
    let mut put_off = guest.put_off.lock().unwrap_or_else(PoisonError::into_inner);
    (done, put_off.take())
}

/// The own pace has put a call off.
pub(super) fn put_off(refusal: &Refusal) -> UpstreamError {
    let noted = PutOff {
        after: refusal.after,
        reason: refusal.reason.into(),
    };
    // Elsewhere nobody asks.
    let _ = GUEST.try_with(|guest| guest.note(noted));
    later(refusal)
}

/// The host's word; outside of such work there is none to be asked.
pub(super) async fn turn(budget: impl FnOnce() -> Option<Tenant>) -> Result<(), UpstreamError> {
    let Some((guest, host)) = hosted() else {
        return Ok(());
    };
    // Without a credential nothing is sent.
    let Some(budget) = budget() else {
        return Ok(());
    };
    host.turn(&budget).await.map_err(|put_off| {
        guest.note(put_off.clone());
        UpstreamError::Later {
            after: Some(put_off.after),
            reason: put_off.reason,
        }
    })
}

pub(super) async fn silence(budget: impl FnOnce() -> Option<Tenant>, pause: Duration) {
    if let Some((_, host)) = hosted()
        && let Some(budget) = budget()
    {
        host.silence(&budget, pause).await;
    }
}

fn hosted() -> Option<(Arc<Guest>, Arc<dyn Host>)> {
    let guest = GUEST.try_with(Arc::clone).ok()?;
    let host = guest.host.clone()?;
    Some((guest, host))
}
