//! Calls that wait for the limit: what they are to give may be taken back before they
//! are sent, and a removal of the same lane goes first. A lane whose turn is ended by
//! that keeps its place, and its additions give way to removals so many times in a row
//! only: however many of these come, they get on.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;

use super::Lanes;
use crate::{
    plan::state::{Account, GroupKey, UserKey},
    store::{Alternative, Lane, Seat, StoreError},
    upstream::Wanted,
};

/// How often in a row.
const GIVES_WAY: u32 = 3;

/// What a turn of a user is to give: its account, with a role.
pub(super) struct UserWanted {
    pub(super) lanes: Lanes,
    pub(super) key: UserKey,
    pub(super) version: u64,
    pub(super) wanted: Account,
    pub(super) account: String,
    /// How often the lane was woken before that was handed out.
    pub(super) kicks: u64,
}

/// What a call of a group's turn is to give.
pub(super) struct PairsWanted {
    pub(super) lanes: Lanes,
    pub(super) key: GroupKey,
    pub(super) seq: u64,
    pub(super) gives: Gives,
    pub(super) kicks: u64,
    /// Until some addition of the turn has given way; `None` where none is to.
    pub(super) gave_way: Option<Arc<AtomicBool>>,
}

pub(super) enum Gives {
    /// The group with these members.
    Members(Vec<UserKey>),
    /// This one of a family's groups, by the application's name.
    One(UserKey, Option<String>),
}

/// Of whom that cannot be told nothing is sent.
fn told(wanted: Result<bool, StoreError>) -> bool {
    wanted.unwrap_or_else(|error| {
        tracing::error!(%error, "a lane cannot use the store");
        false
    })
}

#[async_trait]
impl Wanted for UserWanted {
    async fn is_wanted(&self) -> bool {
        let store = &self.lanes.0.store;
        let (wanted, account) = (self.wanted.clone(), self.account.clone());
        told(
            store
                .has_still(self.key, self.version, wanted, account)
                .await,
        )
    }

    async fn is_over(&self) {
        let mut kicks = self.kicks;
        loop {
            kicks = self.lanes.woken(Lane::User(self.key), kicks).await;
            if !self.is_wanted().await {
                return;
            }
        }
    }
}

impl PairsWanted {
    async fn gives_way(&self) -> bool {
        let Some(gave_way) = &self.gave_way else {
            return false;
        };
        let lane = Lane::Group(self.key);
        let gets_on = |times| times >= GIVES_WAY && !gave_way.load(Ordering::Relaxed);
        if self.lanes.with(lane, |state| gets_on(state.gave_way)) != Some(false) {
            return false;
        }
        if !told(self.lanes.0.store.has_new_removal(self.key).await) {
            return false;
        }
        if !gave_way.swap(true, Ordering::Relaxed) {
            self.lanes.with(lane, |state| state.gave_way += 1);
        }
        true
    }
}

#[async_trait]
impl Wanted for PairsWanted {
    async fn is_wanted(&self) -> bool {
        let lanes = &self.lanes.0;
        match &self.gives {
            Gives::Members(users) => {
                let users = users.clone();
                told(lanes.store.gives_still(self.key, self.seq, users).await)
            }
            Gives::One(user, name) => {
                let counting = lanes.store.counting(self.key, *user, true).await;
                told(counting.map(|counting| {
                    let counting = counting.filter(|it| it.seat == Seat::Free);
                    counting.is_some_and(|it| {
                        let it = it.offered(|name| lanes.upstream.offers(name));
                        let is = |it: &Option<Alternative>| {
                            it.as_ref().map(|it| &it.name) == name.as_ref()
                        };
                        is(&it.counts) || is(&it.at_most)
                    })
                }))
            }
        }
    }

    async fn is_over(&self) {
        let mut kicks = self.kicks;
        loop {
            kicks = self.lanes.woken(Lane::Group(self.key), kicks).await;
            if !self.is_wanted().await || self.gives_way().await {
                return;
            }
        }
    }
}

impl Lanes {
    /// Until a lane was woken more often than so; how often by then.
    async fn woken(&self, lane: Lane, kicks: u64) -> u64 {
        let Some(stirred) = self.with(lane, |state| Arc::clone(&state.stirred)) else {
            return pending().await;
        };
        loop {
            // Made before looking, so that nothing goes unnoticed.
            let woken = stirred.notified();
            let now = self.kicks(lane);
            if now != kicks {
                return now;
            }
            woken.await;
        }
    }
}
