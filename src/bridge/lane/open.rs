//! Turns that were handed out and have sent nothing yet: what is in flight is written
//! down before it is sent, so all of these are in doubt after a kill and are looked at
//! one by one. There are as many as keep the application busy; the other lanes wait for
//! one of these places. What takes access away waits for none.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Lanes;
use crate::store::Lane;

/// So many at least, of users and of groups; of each twice as many as the application
/// takes calls at once.
const LEAST: usize = 32;

pub(super) type Place = OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) struct Open {
    users: Arc<Semaphore>,
    /// Apart, as a group's turn may wait for one of a user.
    groups: Arc<Semaphore>,
}

impl Open {
    /// With an application that takes so many calls at once.
    pub(super) fn of(calls: u32) -> Self {
        let most = LEAST.max(2 * calls as usize);
        let places = || Arc::new(Semaphore::new(most));
        Self {
            users: places(),
            groups: places(),
        }
    }
}

impl Lanes {
    /// Waits until a lane may have its turn; without a place where it takes access away,
    /// or does nothing.
    pub(super) async fn place(&self, lane: Lane) -> Option<Place> {
        let places = match lane {
            Lane::User(_) => &self.0.open.users,
            Lane::Group(_) => &self.0.open.groups,
        };
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Some(place);
        }
        let notify = self.with(lane, |state| Arc::clone(&state.notify))?;
        let place = Arc::clone(places).acquire_owned();
        tokio::pin!(place);
        while self.next_takes(lane).await == Some(false) {
            tokio::select! {
                biased;
                place = &mut place => return place.ok(),
                () = notify.notified() => {}
            }
        }
        None
    }

    /// Whether access is to be taken away by it, if it is to do anything.
    pub(super) async fn next_takes(&self, lane: Lane) -> Option<bool> {
        let takes = self.0.store.next_takes(lane).await;
        takes.unwrap_or_else(|error| {
            tracing::error!(%error, "a lane cannot use the store");
            None
        })
    }
}
