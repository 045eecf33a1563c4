//! Every life that a pair can have (reliability: T-03): one membership, three
//! requests, one crash, one call that lands late, reads that lag by one change.
//! The rules are those of `store` and `bridge` in small: desired and observed,
//! marked before sending, unknown until confirmed, doubted until a late call
//! can land no more. All states are visited; each rule is shown to be needed by
//! what goes wrong without it. Groups, accounts and batches are left out.

use std::collections::{HashMap, VecDeque};

/// What the bridge believes of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Observed {
    Absent,
    Present,
    Unknown,
}

fn known(present: bool) -> Observed {
    if present {
        Observed::Present
    } else {
        Observed::Absent
    }
}

/// Which way a call went that may still land, or whether only a read told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Doubt {
    Sent(bool),
    Either,
}

/// A call on its way, and whether it was carried out already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Call {
    present: bool,
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    // On the bridge's disk.
    desired: bool,
    observed: Observed,
    doubt: Option<Doubt>,
    /// What is being sent.
    intent: Option<bool>,
    // In its memory.
    call: Option<Call>,
    /// A read is needed after a call that went this way.
    unlisted: Option<bool>,
    // The application.
    there: bool,
    /// What a read may still show.
    shown: bool,
    late: Option<bool>,
    // What may still happen.
    requests: u8,
    crashes: u8,
    lates: u8,
    losses: u8,
    /// Calls since something happened that called for one.
    calls: u8,
}

const BEGIN: State = State {
    desired: false,
    observed: Observed::Absent,
    doubt: None,
    intent: None,
    call: None,
    unlisted: None,
    there: false,
    shown: false,
    late: None,
    requests: 3,
    crashes: 1,
    lates: 1,
    losses: 2,
    calls: 0,
};

/// The rules, each of which can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// What is sent is marked on disk before.
    MarkBeforeSending,
    /// An answer tells of what was sent, not of what is wanted meanwhile.
    OlderIsNotNewer,
    RecheckLate,
    NeverAssume,
    /// What was in flight in a crash is unknown, and may land.
    CrashIsUnknown,
    /// What an early read shows is said once more.
    EarlyReadIsNoProof,
    RemoveAtOnce,
}

use Rule::{
    CrashIsUnknown, EarlyReadIsNoProof, MarkBeforeSending, NeverAssume, OlderIsNotNewer,
    RecheckLate, RemoveAtOnce,
};

impl State {
    /// What bridge and application do by themselves.
    fn steps(self, off: Option<Rule>) -> Vec<State> {
        let mut next = Vec::new();
        if self.may_send(off) {
            next.push(self.sends(off));
        }
        if let Some(call) = self.call {
            next.extend(self.goes_on(call, off));
        }
        if let Some(present) = self.unlisted {
            next.extend([self.there, self.shown].map(|seen| self.reads(present, seen, off)));
        }
        if let Some(present) = self.late {
            next.push(State {
                late: None,
                calls: 0,
                ..self.becomes(present)
            });
        }
        if self.shown != self.there {
            next.push(State {
                shown: self.there,
                ..self
            });
        }
        // By then nothing can land any more, and no read lags.
        if let (Some(doubt), None, None, true) =
            (self.doubt, self.call, self.late, self.shown == self.there)
        {
            let mut after = State {
                doubt: None,
                ..self
            };
            if off != Some(RecheckLate) && doubt != Doubt::Sent(self.desired) {
                after.observed = Observed::Unknown;
                after.calls = 0;
            }
            next.push(after);
        }
        next
    }

    /// What happens to them.
    fn events(self, off: Option<Rule>) -> Vec<State> {
        let mut next = Vec::new();
        if self.requests > 0 {
            next.push(State {
                desired: !self.desired,
                requests: self.requests - 1,
                calls: 0,
                ..self
            });
        }
        if self.crashes > 0 {
            next.push(self.crashes(false, off));
            if self.lates > 0 && self.call.is_some_and(|call| !call.done) {
                next.push(self.crashes(true, off));
            }
        }
        next
    }

    fn is_open(self) -> bool {
        self.observed != known(self.desired)
    }

    fn may_send(self, off: Option<Rule>) -> bool {
        let waits = off == Some(RemoveAtOnce) && !self.desired && self.doubt.is_some();
        self.is_open() && self.call.is_none() && self.unlisted.is_none() && !waits
    }

    fn sends(self, off: Option<Rule>) -> State {
        let marks = off != Some(MarkBeforeSending);
        State {
            observed: if marks {
                Observed::Unknown
            } else {
                self.observed
            },
            intent: marks.then_some(self.desired),
            call: Some(Call {
                present: self.desired,
                done: false,
            }),
            calls: self.calls + 1,
            ..self
        }
    }

    fn becomes(self, present: bool) -> State {
        State {
            there: present,
            ..self
        }
    }

    fn goes_on(self, call: Call, off: Option<Rule>) -> Vec<State> {
        let mut next = Vec::new();
        let over = State {
            call: None,
            intent: None,
            ..self
        };
        if call.done {
            let told = if off == Some(OlderIsNotNewer) {
                self.desired
            } else {
                call.present
            };
            next.push(State {
                observed: known(told),
                ..over
            });
        } else {
            let done = Call { done: true, ..call };
            next.push(State {
                call: Some(done),
                ..self.becomes(call.present)
            });
        }
        let assumed = if off == Some(NeverAssume) {
            known(call.present)
        } else {
            Observed::Unknown
        };
        let unanswered = State {
            observed: assumed,
            doubt: Some(match self.doubt {
                Some(before) if before != Doubt::Sent(call.present) => Doubt::Either,
                _ => Doubt::Sent(call.present),
            }),
            calls: 0,
            ..over
        };
        if self.losses > 0 {
            let losses = self.losses - 1;
            next.push(State {
                losses,
                ..unanswered
            });
            next.push(State {
                losses,
                unlisted: Some(call.present),
                calls: 0,
                ..over
            });
        }
        if self.lates > 0 && !call.done {
            next.push(State {
                late: Some(call.present),
                lates: self.lates - 1,
                ..unanswered
            });
        }
        next
    }

    fn reads(self, present: bool, seen: bool, off: Option<Rule>) -> State {
        let after = State {
            unlisted: None,
            ..self
        };
        if seen != present {
            return State {
                observed: Observed::Unknown,
                calls: 0,
                ..after
            };
        }
        let early = (off != Some(EarlyReadIsNoProof)).then_some(Doubt::Either);
        let doubt = early.or(self.doubt);
        State {
            observed: known(seen),
            doubt,
            ..after
        }
    }

    fn crashes(self, lands: bool, off: Option<Rule>) -> State {
        let mut after = State {
            crashes: self.crashes - 1,
            call: None,
            unlisted: None,
            intent: None,
            calls: 0,
            ..self
        };
        if lands {
            after.late = self.call.map(|call| call.present);
            after.lates -= 1;
        }
        if let Some(present) = self.intent {
            if off == Some(CrashIsUnknown) {
                after.observed = known(!present);
            } else {
                after.doubt = Some(match self.doubt {
                    Some(before) if before != Doubt::Sent(present) => Doubt::Either,
                    _ => Doubt::Sent(present),
                });
            }
        }
        after
    }

    /// What must never be, given what can happen next.
    fn wrong(self, steps: &[State], off: Option<Rule>) -> Option<&'static str> {
        if steps.is_empty() && self.there != self.desired {
            return Some(if self.desired { "lost" } else { "phantom" });
        }
        let idle = self.call.is_none() && self.unlisted.is_none();
        if idle && !self.desired && self.is_open() && !self.may_send(off) {
            return Some("a removal waits");
        }
        (self.calls > 2).then_some("restless")
    }
}

/// Visits every state; how many there are, or the way to one that is wrong.
fn explore(off: Option<Rule>) -> Result<usize, (&'static str, Vec<State>)> {
    let mut from: HashMap<State, Option<State>> = HashMap::from([(BEGIN, None)]);
    let mut open = VecDeque::from([BEGIN]);
    while let Some(state) = open.pop_front() {
        let steps = state.steps(off);
        if let Some(what) = state.wrong(&steps, off) {
            let back = |state: &State| from[state];
            return Err((what, std::iter::successors(Some(state), back).collect()));
        }
        for next in steps.into_iter().chain(state.events(off)) {
            from.entry(next).or_insert_with(|| {
                open.push_back(next);
                Some(state)
            });
        }
    }
    Ok(from.len())
}

#[test]
fn no_life_of_a_pair_ends_wrong() {
    let states = explore(None).unwrap_or_else(|(what, way)| panic!("{what}: {way:#?}"));
    println!("{states} states");
    assert!(states > 1_000);
}

#[test]
fn every_rule_is_needed() {
    for (rule, what) in [
        (MarkBeforeSending, ["lost", "phantom"]),
        (OlderIsNotNewer, ["lost", "phantom"]),
        (RecheckLate, ["lost", "phantom"]),
        (NeverAssume, ["lost", "phantom"]),
        (CrashIsUnknown, ["lost", "phantom"]),
        (EarlyReadIsNoProof, ["lost", "phantom"]),
        (RemoveAtOnce, ["a removal waits"; 2]),
    ] {
        let (found, way) = explore(Some(rule)).expect_err("a counterexample");
        println!("without {rule:?}: {found} after {} steps", way.len() - 1);
        assert!(what.contains(&found), "{rule:?}: {found}");
    }
}
