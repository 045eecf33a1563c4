//! A reading of the whole group, to find what somebody else has changed: as
//! `src/bridge/reconcile/pass.rs` and `src/store/sqlite/reconcile.rs` do it. A bad
//! reading, cut short or empty, never causes a write (reliability: I-22).

use super::{
    Rule,
    state::{Observed, PAIRS, Pair, Reading, State, Wrong, has},
};

impl State {
    /// Somebody has taken out what was given, and nothing here knows of it.
    pub(super) fn is_drifted(&self) -> bool {
        let gone = |it: &Pair| it.desired && it.observed == Observed::Present && !it.there;
        self.pairs.iter().any(gone)
    }

    /// Whom a reading does not show, of those that are believed to be there.
    fn missing(&self, shows: impl Fn(usize) -> bool) -> u8 {
        let believed = self.mask(|it| it.desired && it.observed == Observed::Present);
        (0..PAIRS)
            .filter(|at| has(believed, *at) && !shows(*at))
            .fold(0, |mask, at| mask | 1 << at)
    }

    /// The first reading; `old` are shown as they were.
    pub(super) fn reads_first(&self, old: u8, lies: bool, off: Option<Rule>) -> Option<State> {
        if self.reading.is_some() || old & !self.mask(|it| it.shown != it.there) != 0 {
            return None;
        }
        let mut next = *self;
        if lies {
            next.left.lies = next.left.lies.checked_sub(1)?;
        }
        let missing = self.missing(|at| !lies && self.seen(at, old));
        if missing == 0 {
            return None;
        }
        let there = self.mask(|it| it.there);
        next.reading = Some(Reading {
            missing,
            confirmed: off == Some(Rule::ReadingsAgree),
            bad: missing & there != 0,
            overtaken: false,
        });
        Some(next)
    }

    fn seen(&self, at: usize, old: u8) -> bool {
        let pair = &self.pairs[at];
        if has(old, at) { pair.shown } else { pair.there }
    }

    /// The second, which a read can lag behind no more.
    pub(super) fn reads_again(&self, old: u8, lies: bool, off: Option<Rule>) -> Option<State> {
        let mut next = *self;
        let reading = next.reading.as_mut().filter(|it| !it.confirmed)?;
        let early = off == Some(Rule::ReadsFarApart);
        if self.lags() && !early || old & !self.mask(|it| it.shown != it.there) != 0 {
            return None;
        }
        if lies {
            if reading.bad {
                return None;
            }
            next.left.lies = next.left.lies.checked_sub(1)?;
        }
        reading.missing &= self.missing(|at| !lies && self.seen(at, old));
        reading.bad &= reading.missing & self.mask(|it| it.there) != 0;
        reading.confirmed = true;
        if reading.missing == 0 {
            next.reading = None;
        }
        Some(next)
    }

    /// What both show is believed, if nothing was sent since.
    pub(super) fn believes(&self, off: Option<Rule>) -> Option<State> {
        let mut next = *self;
        let reading = next.reading.take().filter(|it| it.confirmed)?;
        if reading.overtaken && off != Some(Rule::OvertakenReadingIsNone) {
            return Some(next);
        }
        let mut misled = false;
        next.each(reading.missing, |pair| {
            if pair.desired && pair.observed == Observed::Present {
                misled |= (reading.bad || reading.overtaken) && pair.there;
                // It may be back already.
                pair.observed = if off == Some(Rule::FoundIsUnclear) {
                    Observed::Absent
                } else {
                    Observed::Unknown
                };
                pair.calls = 0;
            }
        });
        next.wrong = misled.then_some(Wrong::Misled);
        Some(next)
    }
}
