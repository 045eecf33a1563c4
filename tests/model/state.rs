//! What the bridge has on its disk and in its memory of one group and its
//! pairs, and how the application stands.

use super::{Bounds, Rule};

pub(super) const PAIRS: usize = 2;

/// What the bridge believes of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Observed {
    Absent,
    Present,
    Unknown,
}

pub(super) fn known(present: bool) -> Observed {
    if present {
        Observed::Present
    } else {
        Observed::Absent
    }
}

/// Which way a call went that may still land, or whether only a read told: as
/// in `src/store/sqlite/late.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sent {
    Towards(bool),
    Either,
    Read,
}

/// A row of `memberships` with its row of `doubts`, and the membership itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) desired: bool,
    pub(super) observed: Observed,
    pub(super) before: Option<Observed>,
    pub(super) sent: Option<bool>,
    /// Written since the turn under way was handed out.
    pub(super) newer: bool,
    /// Written since a replacement was handed out that may still land.
    pub(super) after: bool,
    pub(super) doubt: Option<Sent>,
    pub(super) reread: bool,
    /// Its removal is only said once more; nobody is told if it is refused.
    pub(super) doubted: bool,
    /// Its account can be named in a call.
    pub(super) nameable: bool,
    /// What was asked for last and not refused, whatever the bridge keeps of it.
    pub(super) asked: bool,
    pub(super) there: bool,
    /// What a read may still show.
    pub(super) shown: bool,
    /// Calls since something happened that called for one.
    pub(super) calls: u8,
}

impl Pair {
    pub(super) fn new(member: bool) -> Self {
        Self {
            desired: member,
            observed: known(member),
            before: None,
            sent: None,
            newer: false,
            after: false,
            doubt: None,
            reread: false,
            doubted: false,
            nameable: true,
            asked: member,
            there: member,
            shown: member,
            calls: 0,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.observed != known(self.desired)
    }

    pub(super) fn note(&mut self, sent: Sent) {
        self.doubt = Some(match self.doubt {
            Some(before) if before != sent => Sent::Either,
            _ => sent,
        });
    }

    pub(super) fn note_read(&mut self) {
        if !self.reread && (self.desired || !self.doubted) {
            self.note(Sent::Read);
        }
    }

    /// A call's effect; what a read may show stays.
    pub(super) fn becomes(&mut self, present: bool) {
        self.there = present;
    }

    /// Ends a mark.
    pub(super) fn settle(&mut self, observed: Observed) {
        self.observed = observed;
        self.before = None;
        self.sent = None;
        self.reread = false;
        if !self.desired && observed == Observed::Absent {
            self.doubted = false;
        }
    }
}

/// A call on its way: whom it names, and which of them it makes members. A
/// replacement takes out everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) named: u8,
    pub(super) adds: bool,
    pub(super) whole: bool,
    /// Carried out already, but for the `skipped`.
    pub(super) done: bool,
    pub(super) skipped: u8,
}

impl Call {
    /// What the call makes of a pair, if anything.
    pub(super) fn makes(self, pair: usize) -> Option<bool> {
        let named = has(self.named, pair);
        (named || self.whole).then_some(named && self.adds)
    }
}

/// A turn of the group's lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Turn {
    pub(super) call: Option<Call>,
    /// Handed out, and not sent yet.
    pub(super) todo: u8,
    /// Handed out to be made members.
    pub(super) adds: u8,
    /// Removals that make room for somebody, and come after.
    pub(super) replaced: u8,
    /// No answer told of them: they are read at the end.
    pub(super) unlisted: u8,
    /// It began as a replacement.
    pub(super) replaces: bool,
    /// A batch was refused: each is sent alone.
    pub(super) halved: bool,
}

/// A reading of the whole group, to find what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    pub(super) missing: u8,
    pub(super) confirmed: bool,
    /// It showed what was not so.
    pub(super) bad: bool,
    /// Something was written or sent since it began.
    pub(super) overtaken: bool,
}

/// What must never be, seen as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Wrong {
    /// A call takes out who is wanted, and was when it was sent.
    Gap,
    /// Nobody is left in a group whose members are replaced.
    Emptied,
    /// A call gives what was taken back before it was sent.
    Outdated,
    /// A replacement takes out who never was asked for.
    Touched,
    /// A bad reading is believed.
    Misled,
    Restless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) pairs: [Pair; PAIRS],
    /// The last write gave the whole set, and it is not there yet.
    pub(super) whole: bool,
    /// A replacement may land and take out who came after it.
    pub(super) newer_doubt: bool,
    /// The newest turn, and one before it whose answer is still to come.
    pub(super) turn: Option<Turn>,
    pub(super) old: Option<Turn>,
    pub(super) late: Option<Call>,
    pub(super) reading: Option<Reading>,
    /// Somebody put a stranger into the group.
    pub(super) stranger: bool,
    pub(super) wrong: Option<Wrong>,
    /// What may still happen.
    pub(super) left: Bounds,
}

pub(super) fn has(mask: u8, pair: usize) -> bool {
    mask & (1 << pair) != 0
}

impl State {
    pub(super) fn new(members: bool, left: Bounds) -> Self {
        let mut pairs = [Pair::new(false); PAIRS];
        for pair in pairs.iter_mut().take(left.pairs.into()) {
            *pair = Pair::new(members);
        }
        Self {
            pairs,
            whole: false,
            newer_doubt: false,
            turn: None,
            old: None,
            late: None,
            reading: None,
            stranger: false,
            wrong: None,
            left,
        }
    }

    pub(super) fn mask(&self, which: impl Fn(&Pair) -> bool) -> u8 {
        let pairs = self.pairs.iter().enumerate();
        let picked = pairs.filter(|(_, pair)| which(pair));
        picked.fold(0, |mask, (at, _)| mask | 1 << at)
    }

    pub(super) fn each(&mut self, mask: u8, mut change: impl FnMut(&mut Pair)) {
        let pairs = self.pairs.iter_mut().enumerate();
        for (_, pair) in pairs.filter(|(at, _)| has(mask, *at)) {
            change(pair);
        }
    }

    pub(super) fn lags(&self) -> bool {
        self.pairs.iter().any(|pair| pair.shown != pair.there)
    }

    /// A call takes effect.
    pub(super) fn land(&mut self, call: Call) {
        for at in 0..PAIRS {
            if let Some(present) = call.makes(at).filter(|_| !has(call.skipped, at)) {
                self.pairs[at].becomes(present);
            }
        }
        self.stranger &= !call.whole;
    }

    pub(super) fn overtake(&mut self) {
        if let Some(reading) = &mut self.reading {
            reading.overtaken = true;
        }
    }

    /// What is asked for by a request: the pairs of `named` are to be as in `set`.
    pub(super) fn ask(&mut self, named: u8, set: u8, whole: bool, off: Option<Rule>) {
        self.left.requests -= 1;
        let since = self.newer_doubt;
        for at in 0..PAIRS {
            let wanted = has(set, at);
            let pair = &mut self.pairs[at];
            if !has(named, at) || pair.desired == wanted {
                continue;
            }
            pair.desired = wanted;
            pair.asked = wanted;
            pair.doubted = false;
            pair.reread &= off == Some(Rule::AskedIsReadAnew);
            pair.newer = self.turn.is_some();
            pair.after |= since;
            pair.calls = 0;
        }
        self.whole = whole || self.whole && self.pairs.iter().any(Pair::is_open);
    }

    /// `late::recheck`: nothing that was noted can land any more.
    pub(super) fn recheck(&mut self, at: usize, off: Option<Rule>) {
        let pair = &mut self.pairs[at];
        let Some(sent) = pair.doubt.take() else {
            return;
        };
        let same = sent == Sent::Towards(pair.desired);
        // What is still to be said may be refused, and then go back to what is there.
        let open = pair.is_open() && off != Some(Rule::OpenIsUnclear);
        if off == Some(Rule::RecheckLate) || same && !open {
            return;
        }
        pair.doubted |= !pair.desired && pair.observed == Observed::Absent;
        pair.observed = Observed::Unknown;
        pair.reread = sent == Sent::Read;
        pair.calls = 0;
    }

    /// The same of a replacement (`late::reopen_newer`).
    pub(super) fn recheck_newer(&mut self, off: Option<Rule>) {
        self.newer_doubt = false;
        for pair in &mut self.pairs {
            let unclear = pair.desired || off != Some(Rule::OpenIsUnclear);
            if pair.after && unclear && pair.observed == Observed::Present {
                pair.observed = Observed::Unknown;
                pair.calls = 0;
            }
            pair.after = false;
        }
    }
}
