//! Pairs of which the answer to a call said nothing, and which a look shows as
//! they were before. A look may lag behind, so such a call is made once more when
//! it can lag no longer, and what looks show is believed when they cannot lag
//! behind that one either (reliability: H-12). Meanwhile it is only looked. Kept
//! in memory: who forgets it sends once more.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::Pause;
use crate::plan::state::{Principal, UserKey};

/// So many looks come soon, as most lags are short.
const SOON: u8 = 4;
/// What is left of a lag is waited for so long at least.
const LEAST: Duration = Duration::from_millis(250);

/// A name is said again after so long, then after twice as long, and so on.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(900);

#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// Which way it was sent.
    add: bool,
    looks: u8,
    /// Calls that the application did not say no to, and the last of them.
    sends: u8,
    sent: Instant,
    since: Instant,
    /// The application's own list left it out, so it need not be waited for.
    told: bool,
    /// It took a call on, and may be doing it still.
    open: bool,
}

/// Those of one lane, and of what its group is called; and since when looks at it count
/// somebody and list nobody.
#[derive(Debug, Default)]
pub(in crate::bridge) struct Doubts(
    HashMap<UserKey, Doubt>,
    Option<Title>,
    pub(super) Option<Instant>,
);

/// What a group was to be called by calls of which it is not known what they did.
#[derive(Debug)]
struct Title {
    title: String,
    sends: u32,
    sent: Instant,
}

impl Doubts {
    pub(in crate::bridge) fn new() -> Self {
        Self::default()
    }

    /// Forgets who is not open any more, or to go the other way.
    pub(super) fn keep(&mut self, open: &HashMap<UserKey, (Principal, bool)>) {
        let same = |user: &UserKey, add: bool| open.get(user).is_some_and(|(_, now)| *now == add);
        self.0.retain(|user, doubt| same(user, doubt.add));
    }

    /// Leaves those who were sent since `began` to the look of a later turn, unless that
    /// may come so late that they would be sent again; whether it does.
    pub(super) fn put_off(
        &mut self,
        open: &HashMap<UserKey, (Principal, bool)>,
        began: Instant,
        lag: Duration,
    ) -> bool {
        let waits = |it: &Doubt| it.sends == 1 && !it.told && it.sent.elapsed() < lag / 2;
        let known = open.keys().filter_map(|user| self.0.get(user));
        if began.elapsed() >= lag / 2 || !known.into_iter().all(waits) {
            return false;
        }
        for (user, (_, add)) in open {
            self.0.entry(*user).or_insert(Doubt {
                add: *add,
                looks: 0,
                sends: 1,
                sent: began,
                since: began,
                told: false,
                open: false,
            });
        }
        true
    }

    /// Whatever looks show, it is not believed that it is not done: a call was taken on.
    pub(super) fn leave_open(&mut self, user: UserKey) {
        if let Some(doubt) = self.0.get_mut(&user) {
            doubt.open = true;
        }
    }

    pub(super) fn forget(&mut self, user: UserKey) {
        self.0.remove(&user);
    }

    /// A call was to give the group this name, and was done or not, as far as is known.
    pub(super) fn titled(&mut self, title: &str, done: bool) {
        let before = self.1.take().filter(|it| it.title == title);
        self.1 = (!done).then(|| Title {
            title: title.to_owned(),
            sends: before.map_or(1, |it| it.sends.saturating_add(1)),
            sent: Instant::now(),
        });
    }

    /// Whether it is only looked what the group is called, as that was said lately:
    /// the less it helps, the longer.
    pub(super) fn only_looks_at(&self, title: &str, lag: Duration) -> bool {
        self.1.as_ref().is_some_and(|it| {
            let wait = FIRST.saturating_mul(2_u32.saturating_pow(it.sends.min(16) - 1));
            it.title == title && it.sent.elapsed() < wait.clamp(lag, LONGEST.max(lag))
        })
    }

    /// Whether it is only looked what became of the last call.
    pub(super) fn only_looks(&self, user: UserKey, lag: Duration) -> bool {
        let waits = |it: &Doubt| {
            let lately = it.sends >= 1 && it.sent.elapsed() < lag;
            !it.told && (lately || it.sends >= 2 && !it.open)
        };
        self.0.get(&user).is_some_and(waits)
    }

    /// A look shows the contrary of what was asked for: when to look again, or
    /// `None` when it is believed. `sent`: a call was made since the look before,
    /// and it was not said that it is not done;
    /// `told`: its answer left the member out.
    pub(super) fn contradicted(
        &mut self,
        (user, add): (UserKey, bool),
        (sent, told): (bool, bool),
        lag: Duration,
    ) -> Option<Pause> {
        let doubt = self.0.entry(user).or_insert_with(|| Doubt {
            add,
            looks: 0,
            sends: 0,
            sent: Instant::now(),
            since: Instant::now(),
            told,
            open: false,
        });
        doubt.looks = doubt.looks.saturating_add(1);
        if sent {
            doubt.sends = doubt.sends.saturating_add(1);
            (doubt.sent, doubt.told) = (Instant::now(), told);
        }
        let left = lag.saturating_sub(doubt.sent.elapsed());
        let believed = match doubt.sends {
            _ if doubt.open => false,
            _ if doubt.told => doubt.looks >= 2,
            // It said no to every one of them, and goes on being asked.
            0 => doubt.looks >= 2 && doubt.since.elapsed() >= lag,
            sends => sends >= 2 && left.is_zero(),
        };
        match (believed, doubt.looks) {
            (true, _) => None,
            (_, ..SOON) => Some(Pause::BackOff),
            _ if doubt.sends == 0 || doubt.open => Some(Pause::BackOff),
            _ => Some(Pause::Within(left.max(LEAST))),
        }
    }
}
