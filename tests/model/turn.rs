//! A turn of the group's lane, call by call: `src/store/sqlite/group_turn.rs`
//! and `src/bridge/converge/groups.rs` in small.

use super::{
    Rule,
    state::{Call, Observed, PAIRS, Pair, State, Turn, Wrong, has, known},
};

/// More calls for one pair than any one cause explains.
const RESTLESS: u8 = 2;

impl State {
    pub(super) fn open(&self) -> u8 {
        self.mask(|pair| pair.is_open() && (pair.nameable || !pair.desired))
    }

    /// The whole set, if nobody is in it who cannot be named.
    pub(super) fn full(&self, off: Option<Rule>) -> Option<u8> {
        let unnamed = |it: &Pair| it.desired && !it.nameable;
        let counts = off != Some(Rule::NobodyUnnamed);
        let may_be = |it: &Pair| it.observed != Observed::Absent || it.doubt.is_some();
        let kept = self.mask(|it| unnamed(it) && may_be(it));
        (self.whole && !(counts && kept != 0)).then(|| self.mask(|it| it.desired && it.nameable))
    }

    /// `group_turn::begin`, up to the first call.
    pub(super) fn begin(&self, replaces: bool, off: Option<Rule>) -> Option<State> {
        let open = self.open();
        let full = if replaces {
            Some(self.full(off)?)
        } else {
            None
        };
        let mut next = *self;
        next.each(u8::MAX, |pair| pair.newer = false);
        next.old = self.turn;
        let marks = off != Some(Rule::MarkBeforeSending);
        let adds = open & self.mask(|pair| pair.desired);
        next.each(open, |pair| {
            if marks {
                pair.before = Some(pair.observed);
                pair.sent = Some(pair.desired);
                pair.reread &= pair.observed == Observed::Unknown;
                pair.observed = Observed::Unknown;
            }
        });
        let mut turn = Turn {
            call: None,
            todo: open,
            adds,
            // Those of one write, which only a replacement is.
            replaced: if self.whole { open & !adds } else { 0 },
            unlisted: 0,
            replaces,
            halved: false,
        };
        // A look shows whom a replacement would take out unasked.
        let alone = !self.stranger || off == Some(Rule::NobodyUnasked);
        if let Some(full) = full.filter(|_| alone) {
            turn.todo = 0;
            let call = Call {
                named: if off == Some(Rule::WholeSet) {
                    full & open
                } else {
                    full
                },
                adds: true,
                whole: true,
                done: false,
                skipped: 0,
            };
            next.dispatch(turn, call, open);
            Some(next)
        } else {
            next.turn = Some(turn);
            next.go_on(off);
            Some(next)
        }
    }

    /// A call leaves; what it does wrong is seen here.
    fn dispatch(&mut self, mut turn: Turn, call: Call, about: u8) {
        for at in 0..PAIRS {
            let pair = &mut self.pairs[at];
            match call.makes(at) {
                Some(false) if pair.desired && pair.there => self.wrong = Some(Wrong::Gap),
                Some(true) if !pair.desired => self.wrong = Some(Wrong::Outdated),
                _ => {}
            }
            if has(about, at) {
                pair.calls += 1;
                if pair.calls > RESTLESS {
                    self.wrong = Some(Wrong::Restless);
                }
            }
        }
        let stay = self.mask(|it| it.there) & !call.named;
        if call.named & turn.replaced != 0 && turn.todo & turn.adds != 0 && stay == 0 {
            self.wrong = Some(Wrong::Emptied);
        }
        if call.whole && self.stranger {
            self.wrong = Some(Wrong::Touched);
        }
        turn.call = Some(call);
        self.turn = Some(turn);
    }

    /// Sends the next call of a turn that has none on its way, or ends it.
    pub(super) fn go_on(&mut self, off: Option<Rule>) {
        let Some(mut turn) = self.turn.filter(|turn| turn.call.is_none()) else {
            return;
        };
        // What was asked for otherwise meanwhile is not sent (`still_wanted`).
        if off != Some(Rule::SendWhatIsWanted) {
            let written = turn.todo & self.mask(|pair| pair.newer);
            self.unsent(written, off);
            turn.todo &= !written;
        }
        let alone = turn.todo & !turn.adds & !turn.replaced;
        let adds = turn.todo & turn.adds;
        let order = if off == Some(Rule::AddsFirst) {
            [alone, turn.todo & turn.replaced, adds]
        } else {
            [alone, adds, turn.todo & turn.replaced]
        };
        if let Some(mut named) = order.into_iter().find(|named| *named != 0) {
            if turn.halved || self.left.batch == 1 {
                named &= named.wrapping_neg();
            }
            turn.todo &= !named;
            let call = Call {
                named,
                adds: named & turn.adds != 0,
                whole: false,
                done: false,
                skipped: 0,
            };
            self.dispatch(turn, call, named);
            return;
        }
        self.turn = Some(turn);
        if turn.unlisted == 0 {
            self.end();
        }
    }

    /// The turn is over, and its marks with it.
    pub(super) fn end(&mut self) {
        self.turn = None;
        self.each(u8::MAX, |pair| {
            pair.before = None;
            pair.sent = None;
            pair.newer = false;
        });
        self.whole &= self.pairs.iter().any(Pair::is_open);
        self.overtake();
    }

    pub(super) fn unsent(&mut self, which: u8, off: Option<Rule>) {
        self.each(which, |pair| {
            if let (Some(before), Some(sent)) = (pair.before, pair.sent) {
                let believed = off == Some(Rule::UnsentIsAsBefore);
                pair.observed = if believed { known(!sent) } else { before };
            }
        });
    }

    /// What a call may lead to while it is on its way and before it is answered.
    pub(super) fn is_carried_out(&self, skipped: u8) -> Option<State> {
        let mut next = *self;
        let turn = next.turn.as_mut()?;
        let call = turn.call.as_mut().filter(|call| !call.done)?;
        if skipped & !call.named != 0 {
            return None;
        }
        call.done = true;
        call.skipped = skipped;
        let call = *call;
        if skipped != 0 {
            next.left.losses = next.left.losses.checked_sub(1)?;
        }
        next.land(call);
        Some(next)
    }

    /// Whom the call under way is about: whom it names, and of a replacement
    /// all that was handed out.
    pub(super) fn about(&self) -> u8 {
        let Some((turn, call)) = self.turn.and_then(|turn| Some((turn, turn.call?))) else {
            return 0;
        };
        if call.whole {
            call.named | self.mask(|pair| pair.sent == Some(false)) & !turn.todo
        } else {
            call.named
        }
    }

    /// It is answered, and the answer lists what was done, or nobody.
    pub(super) fn answers(&self, lists: bool, off: Option<Rule>) -> Option<State> {
        let mut next = *self;
        let about = self.about();
        let turn = next.turn.as_mut()?;
        let call = turn.call.filter(|call| call.done)?;
        turn.call = None;
        let left_out = if off == Some(Rule::ItemByItem) {
            0
        } else {
            call.skipped
        };
        let listed = if lists { about & !left_out } else { 0 };
        let handed_out = turn.adds | self.mask(|pair| pair.sent.is_some());
        turn.unlisted |= about & !listed & handed_out;
        if !lists {
            next.left.losses = next.left.losses.checked_sub(1)?;
        }
        next.told(call, listed, off);
        let unheard = about & !listed;
        next.each(unheard, |pair| {
            pair.calls = 0;
            // Was believed to be there, and is left out of a replacement's list.
            if pair.sent.is_none() && pair.observed == Observed::Present {
                pair.observed = Observed::Unknown;
            }
        });
        next.go_on(off);
        Some(next)
    }

    /// `settle_pairs`.
    pub(super) fn told(&mut self, call: Call, listed: u8, off: Option<Rule>) {
        for at in (0..PAIRS).filter(|at| has(listed, *at)) {
            let Some(sent) = call.makes(at) else {
                continue;
            };
            let pair = &mut self.pairs[at];
            let told = if off == Some(Rule::OlderIsNotNewer) {
                pair.desired
            } else {
                sent
            };
            // One that was not handed out is as it was.
            if !told || pair.sent.is_some() || off == Some(Rule::MarkBeforeSending) {
                pair.settle(known(told));
            }
        }
    }

    /// A turn that a newer one overtook is answered as if nothing had happened.
    pub(super) fn old_answers(&self, off: Option<Rule>) -> Option<State> {
        let mut next = *self;
        let call = next.old.take()?.call.filter(|call| call.done)?;
        next.told(call, call.named & !call.skipped, off);
        Some(next)
    }

    pub(super) fn old_is_carried_out(&self) -> Option<State> {
        let mut next = *self;
        let call = next.old.as_mut()?.call.as_mut().filter(|call| !call.done)?;
        call.done = true;
        let call = *call;
        next.land(call);
        Some(next)
    }

    /// Whoever no answer told of is read once; `old` are shown as they were.
    pub(super) fn is_read(&self, old: u8, off: Option<Rule>) -> Option<State> {
        let mut next = *self;
        let turn = self.turn.filter(|turn| turn.call.is_none())?;
        if turn.unlisted == 0 || old & !(turn.unlisted & self.mask(|it| it.shown != it.there)) != 0
        {
            return None;
        }
        for at in (0..PAIRS).filter(|at| has(turn.unlisted, *at)) {
            let pair = &mut next.pairs[at];
            let seen = if has(old, at) { pair.shown } else { pair.there };
            if seen == has(turn.adds, at) {
                if off != Some(Rule::EarlyReadIsNoProof) {
                    pair.note_read();
                }
                pair.settle(known(seen));
            } else {
                pair.calls = 0;
            }
        }
        next.end();
        Some(next)
    }
}
