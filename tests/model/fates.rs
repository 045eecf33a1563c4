//! Calls that are not answered with what was done: those that nothing is heard of
//! (`src/store/sqlite/group_turn/end.rs` and `late.rs`), those that are refused (`undone.rs`),
//! and what was under way when the process ended.

use super::{
    Rule,
    state::{Call, Observed, Sent, State, known},
};

impl State {
    /// No answer comes; the call was done, or never is, or lands later.
    pub(super) fn is_lost(&self, lands: bool, off: Option<Rule>) -> Option<State> {
        let mut next = *self;
        let turn = self.turn?;
        let call = turn.call?;
        if lands {
            next.left.lates = next.left.lates.checked_sub(1)?;
            next.late = Some(Some(call).filter(|call| !call.done)?);
        } else {
            next.left.losses = next.left.losses.checked_sub(1)?;
        }
        if off == Some(Rule::NeverAssume) {
            next.told(call, self.about(), off);
        }
        next.each(self.about(), |pair| pair.calls = 0);
        next.unsent(turn.todo, off);
        next.each(turn.todo, |pair| pair.sent = None);
        next.note_unanswered(call, off);
        next.end();
        Some(next)
    }

    /// `note_unanswered`: what may land although nothing was heard of it.
    fn note_unanswered(&mut self, call: Call, off: Option<Rule>) {
        self.each(call.named, |pair| pair.note(Sent::Towards(call.adds)));
        self.note_pairs();
        if call.whole {
            self.note_replacement(off);
        }
    }

    fn note_pairs(&mut self) {
        for pair in &mut self.pairs {
            if let Some(sent) = pair.sent.filter(|_| pair.observed == Observed::Unknown)
                && pair.is_open()
            {
                pair.note(Sent::Towards(sent));
            }
        }
    }

    /// `note_unnamed` and `note_newer`.
    fn note_replacement(&mut self, off: Option<Rule>) {
        for pair in &mut self.pairs {
            if pair.desired && pair.observed == Observed::Absent && off != Some(Rule::NoteUnnamed) {
                pair.note(Sent::Towards(false));
            }
            if off != Some(Rule::NoteNewer) {
                pair.after |= pair.newer;
            }
        }
        self.newer_doubt |= off != Some(Rule::NoteNewer);
    }

    /// The application refuses the call as a whole. Not what is only said once more:
    /// a second no is final, and whoever it keeps stays.
    pub(super) fn is_refused(&self, off: Option<Rule>) -> Option<State> {
        let mut next = *self;
        next.left.refusals = next.left.refusals.checked_sub(1)?;
        let about = self.about();
        if about & self.mask(|pair| pair.doubted) != 0 {
            return None;
        }
        let turn = next.turn.as_mut()?;
        let call = turn.call.take().filter(|call| !call.done)?;
        let alone = !call.whole && call.named.is_power_of_two();
        if !alone {
            // The same by smaller calls.
            turn.halved = !call.whole;
            turn.todo |= about & self.mask(|pair| pair.sent.is_some());
        }
        next.each(about, |pair| pair.calls = 0);
        if alone {
            next.undo(call, off);
        }
        next.go_on(off);
        Some(next)
    }

    /// `undone::undo`: back to what is there, unless it was asked for again.
    fn undo(&mut self, call: Call, off: Option<Rule>) {
        let (sent, whole_is_newer) = (call.adds, off == Some(Rule::RefusalIsNotNewer));
        self.each(call.named, |pair| {
            let unclear = pair.before == Some(Observed::Unknown);
            if unclear && off != Some(Rule::RefusalTellsNothing) {
                pair.note(Sent::Either);
            }
            let same = pair.desired == sent;
            if same && (!pair.newer || whole_is_newer) {
                pair.desired = !sent;
            }
            if same && !pair.newer {
                pair.asked = !sent;
            }
            pair.settle(known(!sent));
        });
    }

    /// It is told to come later: nothing was done, and the turn ends.
    pub(super) fn is_put_off(&self, off: Option<Rule>) -> Option<State> {
        let mut next = *self;
        next.left.refusals = next.left.refusals.checked_sub(1)?;
        let about = self.about();
        let turn = self.turn?;
        turn.call.filter(|call| !call.done)?;
        next.each(about, |pair| pair.calls = 0);
        next.unsent(about | turn.todo, off);
        next.end();
        Some(next)
    }

    /// `late::note_interrupted`, when the process begins again.
    pub(super) fn crashes(&self, lands: bool, off: Option<Rule>) -> Option<State> {
        let mut next = *self;
        next.left.crashes = next.left.crashes.checked_sub(1)?;
        if lands {
            next.left.lates = next.left.lates.checked_sub(1)?;
            next.late = Some(self.turn?.call.filter(|call| !call.done)?);
        }
        next.reading = None;
        next.old = None;
        next.each(u8::MAX, |pair| pair.calls = 0);
        let Some(turn) = self.turn else {
            return Some(next);
        };
        if off == Some(Rule::CrashIsUnknown) {
            next.each(u8::MAX, |pair| {
                if let Some(sent) = pair.sent.filter(|_| pair.observed == Observed::Unknown) {
                    pair.observed = known(!sent);
                }
            });
        } else {
            next.note_pairs();
            if turn.replaces && off != Some(Rule::MarkBeforeSending) {
                // Everybody that it may have named.
                for pair in &mut next.pairs {
                    if pair.desired || pair.is_open() {
                        pair.note(Sent::Towards(true));
                    }
                }
                next.note_replacement(off);
            }
        }
        next.end();
        Some(next)
    }
}
