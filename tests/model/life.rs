//! What may happen next, and what must never be.

use stateright::{Model, Property};

use super::{
    Bounds, Rule,
    state::{Pair, State, Wrong, known},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    // By themselves.
    Begin { replaces: bool },
    CarryOut { skipped: u8 },
    Answer { lists: bool },
    Lose { lands: bool },
    Refuse,
    PutOff,
    Read { old: u8 },
    Land,
    CatchUp,
    Recheck(usize),
    RecheckNewer,
    NameAgain(usize),
    ReadFirst { old: u8, lies: bool },
    ReadAgain { old: u8, lies: bool },
    Believe,
    OldCarriedOut,
    OldAnswers,
    // What happens to them.
    Ask { named: u8, set: u8, whole: bool },
    Crash { lands: bool },
    Unname(usize),
    TakeOut(usize),
    PutIn,
}

/// What may happen, and which rule is not kept.
pub(super) struct Life {
    pub(super) bounds: Bounds,
    pub(super) off: Option<Rule>,
}

const SETS: [u8; 4] = [0, 1, 2, 3];
const BOTH: [bool; 2] = [false, true];

impl Life {
    fn may_begin(&self, state: &State) -> bool {
        let overtakes = self.off == Some(Rule::OneTurnAtATime)
            && state.old.is_none()
            && state.turn.is_some_and(|turn| turn.call.is_some());
        (state.turn.is_none() || overtakes) && state.open() != 0 && !self.waits(state)
    }

    fn waits(&self, state: &State) -> bool {
        self.off == Some(Rule::RemoveAtOnce)
            && state
                .pairs
                .iter()
                .any(|it| it.is_open() && !it.desired && it.doubt.is_some())
    }

    /// What bridge and application do by themselves.
    fn steps(&self, state: &State, actions: &mut Vec<Action>) {
        if self.may_begin(state) {
            actions.push(Action::Begin { replaces: false });
            if state.whole {
                actions.push(Action::Begin { replaces: true });
            }
        }
        if let Some(turn) = state.turn {
            if turn.call.is_some() {
                actions.extend(SETS.map(|skipped| Action::CarryOut { skipped }));
                actions.extend(BOTH.map(|lists| Action::Answer { lists }));
                actions.extend(BOTH.map(|lands| Action::Lose { lands }));
                actions.extend([Action::Refuse, Action::PutOff]);
            } else {
                actions.extend(SETS.map(|old| Action::Read { old }));
            }
        }
        if state.old.is_some() {
            actions.extend([Action::OldCarriedOut, Action::OldAnswers]);
        }
        if state.late.is_some() {
            actions.push(Action::Land);
        }
        let lags = state.lags();
        if lags {
            actions.push(Action::CatchUp);
        }
        // By then nothing can land any more, and no read lags.
        if state.late.is_none() && !lags {
            let pairs = state.pairs.iter().enumerate();
            let waits = self.off != Some(Rule::RecheckAfterAnswer);
            let whole = state.turn.is_some_and(|turn| turn.replaces);
            let is_out = |it: &Pair| waits && (whole || it.sent.is_some());
            let doubted = pairs.filter(|(_, it)| it.doubt.is_some() && !is_out(it));
            actions.extend(doubted.map(|(at, _)| Action::Recheck(at)));
            let newer_out = |it: &Pair| waits && it.after && it.sent.is_some();
            if state.newer_doubt && !state.pairs.iter().any(newer_out) && !(waits && whole) {
                actions.push(Action::RecheckNewer);
            }
        }
        let unnamed = state
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, it)| !it.nameable);
        actions.extend(unnamed.map(|(at, _)| Action::NameAgain(at)));
        self.readings(state, actions);
    }

    fn readings(&self, state: &State, actions: &mut Vec<Action>) {
        match state.reading {
            Some(reading) if reading.confirmed => actions.push(Action::Believe),
            Some(_) => {
                for lies in BOTH {
                    actions.extend(SETS.map(|old| Action::ReadAgain { old, lies }));
                }
            }
            // One comes now and then.
            None if self.bounds.readings > 0 && state.is_drifted() => {
                actions.extend(SETS.map(|old| Action::ReadFirst { old, lies: false }));
            }
            None => {}
        }
    }

    /// What happens to them.
    fn events(state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        let all = (1 << left.pairs) - 1;
        if left.requests > 0 {
            for at in 0..left.pairs {
                let (named, whole) = (1 << at, false);
                actions.extend([0, named].map(|set| Action::Ask { named, set, whole }));
            }
            if left.pairs > 1 {
                let sets = SETS.into_iter().filter(|set| set & !all == 0);
                let (named, whole) = (all, true);
                actions.extend(sets.map(|set| Action::Ask { named, set, whole }));
            }
        }
        if left.crashes > 0 {
            actions.extend(BOTH.map(|lands| Action::Crash { lands }));
        }
        for at in 0..usize::from(left.pairs) {
            if left.unnamed > 0 && state.pairs[at].nameable {
                actions.push(Action::Unname(at));
            }
            if left.hands > 0 && state.pairs[at].there {
                actions.push(Action::TakeOut(at));
            }
        }
        if left.strangers > 0 {
            actions.push(Action::PutIn);
        }
        if left.readings > 0 && state.reading.is_none() {
            for lies in BOTH {
                actions.extend(SETS.map(|old| Action::ReadFirst { old, lies }));
            }
        }
    }

    fn rests(&self, state: &State) -> bool {
        let mut steps = Vec::new();
        self.steps(state, &mut steps);
        steps
            .iter()
            .all(|step| self.next_state(state, *step).is_none())
    }
}

impl Model for Life {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        BOTH.map(|members| State::new(members, self.bounds)).into()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.wrong.is_none() {
            self.steps(state, actions);
            Self::events(state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        let off = self.off;
        match action {
            Action::Begin { replaces } => return state.begin(replaces, off),
            Action::CarryOut { skipped } => return state.is_carried_out(skipped),
            Action::Answer { lists } => return state.answers(lists, off),
            Action::Lose { lands } => return state.is_lost(lands, off),
            Action::Refuse => return state.is_refused(off),
            Action::PutOff => return state.is_put_off(off),
            Action::Read { old } => return state.is_read(old, off),
            Action::OldCarriedOut => return state.old_is_carried_out(),
            Action::OldAnswers => return state.old_answers(off),
            Action::ReadFirst { old, lies } => {
                let mut next = state.reads_first(old, lies, off)?;
                next.left.readings = next.left.readings.saturating_sub(1);
                return Some(next);
            }
            Action::ReadAgain { old, lies } => return state.reads_again(old, lies, off),
            Action::Believe => return state.believes(off),
            Action::Crash { lands } => return state.crashes(lands, off),
            Action::Land => {
                let call = next.late.take()?;
                next.each(u8::MAX, |pair| pair.calls = 0);
                next.land(call);
            }
            Action::CatchUp => next.each(u8::MAX, |pair| pair.shown = pair.there),
            Action::Recheck(at) => next.recheck(at, off),
            Action::RecheckNewer => next.recheck_newer(off),
            Action::NameAgain(at) => next.pairs[at].nameable = true,
            Action::Ask { named, set, whole } => next.ask(named, set, whole, off),
            Action::Unname(at) => {
                next.left.unnamed -= 1;
                next.pairs[at].nameable = false;
            }
            Action::TakeOut(at) => {
                next.left.hands -= 1;
                next.pairs[at].there = false;
            }
            Action::PutIn => {
                next.left.strangers -= 1;
                next.stranger = true;
            }
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("lost", |life: &Life, state: &State| {
                !state.pairs.iter().any(|it| it.asked && !it.there) || !life.rests(state)
            }),
            Property::always("phantom", |life: &Life, state: &State| {
                !state.pairs.iter().any(|it| !it.asked && it.there) || !life.rests(state)
            }),
            Property::always("believed wrongly", |life: &Life, state: &State| {
                let wrong = |it: &Pair| {
                    it.is_open() || it.observed != known(it.there) || it.desired != it.asked
                };
                !state.pairs.iter().any(wrong) || !life.rests(state)
            }),
            Property::always("a removal waits", |life: &Life, state: &State| {
                let removal = |it: &Pair| it.is_open() && !it.desired;
                state.turn.is_some() || !state.pairs.iter().any(removal) || life.may_begin(state)
            }),
            Property::always("gap", |_, state: &State| state.wrong != Some(Wrong::Gap)),
            Property::always("emptied", |_, state: &State| {
                state.wrong != Some(Wrong::Emptied)
            }),
            Property::always("outdated", |_, state: &State| {
                state.wrong != Some(Wrong::Outdated)
            }),
            Property::always("touched", |_, state: &State| {
                state.wrong != Some(Wrong::Touched)
            }),
            Property::always("misled", |_, state: &State| {
                state.wrong != Some(Wrong::Misled)
            }),
            Property::always("restless", |_, state: &State| {
                state.wrong != Some(Wrong::Restless)
            }),
        ]
    }
}
