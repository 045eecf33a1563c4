//! What takes access away before a pause is over that one call was asked for.
//!
//! A 503 tells of that call, and perhaps of its route alone. So a removal waits
//! a while and is tried then: one of each kind at a time, and for as long as these
//! are taken. One that is answered 503 too has its kind wait for what that asks for,
//! so of each kind one call in each pause is in vain at most. A 429 is about
//! the credential: nothing is sent before its time, whatever it is.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{Priority, faults::What, silence::PROBE};

#[derive(Debug, Default)]
pub(super) struct Early {
    /// Nothing goes before that.
    first: Option<Instant>,
    /// By the kind of call.
    tried: HashMap<u64, Tried>,
}

#[derive(Debug)]
enum Tried {
    /// One is under way; the next goes then if nothing is heard of it.
    UnderWay(Instant),
    /// It was to wait as well.
    Refused(Instant),
}

impl Early {
    /// When a removal of that kind may go, or it is to be looked again: whoever waits for
    /// one that is under way is next as soon as that is taken.
    pub(super) fn turn(&self, what: What, now: Instant) -> Instant {
        let tried = match self.tried.get(&what.kind) {
            None => now,
            Some(Tried::UnderWay(end)) => (*end).min(now + Priority::Revocation.patience()),
            Some(Tried::Refused(until)) => *until,
        };
        self.first.map_or(tried, |first| tried.max(first))
    }

    /// One goes.
    pub(super) fn goes(&mut self, what: What, now: Instant) {
        let next = Tried::UnderWay(now + PROBE);
        self.tried.insert(what.kind, next);
    }

    /// It was taken.
    pub(super) fn welcome(&mut self, what: What) {
        self.tried.remove(&what.kind);
    }

    /// Another pause begins.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// A call was answered that it is to wait for so long.
    pub(super) fn busy(&mut self, what: What, (takes, pause): (bool, Duration), now: Instant) {
        self.none_before(Some(now + pause.min(PROBE)));
        if takes {
            let refused = Tried::Refused(now + pause);
            self.tried.insert(what.kind, refused);
        }
    }

    /// Nothing goes before then.
    pub(super) fn none_before(&mut self, first: Option<Instant>) {
        self.first = self.first.max(first);
    }
}
