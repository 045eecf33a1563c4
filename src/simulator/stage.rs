//! What every simulated application has in common: a world that answers, an
//! older one for reads while read lag is on, and one way to run a call.
//!
//! An application is a [`World`]: pure decisions on a state, and changes that
//! are values, so that the older world can make them later.

use std::{
    collections::VecDeque,
    fmt::Debug,
    time::{Duration, Instant},
};

use actix_web::http::{Method, header::HeaderMap};
use jiff::Timestamp;
use serde_json::Value;

use super::{Company, Faults};

/// A request, understood.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    pub(super) operation: &'static str,
    /// Which of the credentials that are accepted came with it.
    pub(super) key: usize,
    /// What the path names, in order.
    pub(super) targets: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) content_type: String,
    pub(super) body: Value,
}

impl Incoming {
    pub(super) fn asked(&self, key: &str) -> Option<&str> {
        let found = self.query.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// One of the things the path names.
    pub(super) fn target(&self, place: usize) -> &str {
        self.targets.get(place).map_or("", String::as_str)
    }
}

/// What a request is answered and what it changes.
#[derive(Debug)]
pub(super) struct Decision<C> {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) changes: Vec<C>,
}

/// The operation that a request means, and what it is about.
pub(super) type Routed = (&'static str, Vec<String>);

pub(super) trait World: Clone + Debug + Send + Sized + 'static {
    type Change: Clone + Debug + Send;

    fn new(company: &Company, now: &str) -> Self;
    fn route(method: &Method, path: &str) -> Option<Routed>;
    fn writes(operation: &str) -> bool;
    /// The media type of an operation's answers.
    fn media(_operation: &str) -> &'static str {
        "application/json"
    }
    fn admits(headers: &HeaderMap, token: &str) -> bool;
    /// Decides everything that is routed; the rest is a refusal.
    fn decide(&self, call: &Incoming, faults: &Faults, now: &str) -> Decision<Self::Change>;
    fn commit(&mut self, changes: Vec<Self::Change>);
    fn state(&self) -> Value;
    /// The body of an error.
    fn refusal(status: u16, message: &str) -> Value;
    /// A 200 of other types than documented.
    fn nonsense() -> Value;
    /// A header that every answer carries.
    fn stamp(_sequence: u64) -> Option<(&'static str, String)> {
        None
    }
}

/// A world at work, whichever it is.
pub(super) trait Stage: Debug + Send {
    fn route(&self, method: &Method, path: &str) -> Option<Routed>;
    fn writes(&self, operation: &str) -> bool;
    fn admits(&self, headers: &HeaderMap, token: &str) -> bool;
    /// Decides the call and makes its changes.
    fn perform(&mut self, call: &Incoming, faults: &Faults) -> (u16, Value);
    fn state(&self) -> Value;
    fn refusal(&self, status: u16, message: &str) -> Value;
    fn nonsense(&self) -> Value;
    fn media(&self, operation: &str) -> &'static str;
    fn stamp(&self, sequence: u64) -> Option<(&'static str, String)>;
    fn lag(&mut self, lag: Duration);
    /// Starts again with a company.
    fn seed(&mut self, company: &Company);
}

/// The world, and an older one for reads while read lag is on.
#[derive(Debug)]
pub(super) struct Live<W: World> {
    world: W,
    lag: Duration,
    older: Option<W>,
    waiting: VecDeque<(Instant, Vec<W::Change>)>,
}

impl<W: World> Live<W> {
    pub(super) fn new(company: &Company) -> Self {
        Self {
            world: W::new(company, &now()),
            lag: Duration::ZERO,
            older: None,
            waiting: VecDeque::new(),
        }
    }

    fn commit(&mut self, changes: Vec<W::Change>) {
        if self.older.is_some() {
            let due = Instant::now() + self.lag;
            self.waiting.push_back((due, changes.clone()));
        }
        self.world.commit(changes);
    }

    /// What reads see.
    fn seen(&mut self) -> &W {
        let Some(older) = &mut self.older else {
            return &self.world;
        };
        let now = Instant::now();
        while self.waiting.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, changes)) = self.waiting.pop_front() {
                older.commit(changes);
            }
        }
        older
    }
}

impl<W: World> Stage for Live<W> {
    fn route(&self, method: &Method, path: &str) -> Option<Routed> {
        W::route(method, path)
    }

    fn writes(&self, operation: &str) -> bool {
        W::writes(operation)
    }

    fn admits(&self, headers: &HeaderMap, token: &str) -> bool {
        W::admits(headers, token)
    }

    fn perform(&mut self, call: &Incoming, faults: &Faults) -> (u16, Value) {
        if !W::writes(call.operation) {
            let decision = self.seen().decide(call, faults, &now());
            return (decision.status, decision.body);
        }
        let decision = self.world.decide(call, faults, &now());
        self.commit(decision.changes);
        (decision.status, decision.body)
    }

    fn state(&self) -> Value {
        self.world.state()
    }

    fn refusal(&self, status: u16, message: &str) -> Value {
        W::refusal(status, message)
    }

    fn nonsense(&self) -> Value {
        W::nonsense()
    }

    fn media(&self, operation: &str) -> &'static str {
        W::media(operation)
    }

    fn stamp(&self, sequence: u64) -> Option<(&'static str, String)> {
        W::stamp(sequence)
    }

    fn lag(&mut self, lag: Duration) {
        if lag.is_zero() {
            self.older = None;
            self.waiting.clear();
        } else if self.older.is_none() {
            self.older = Some(self.world.clone());
        }
        self.lag = lag;
    }

    fn seed(&mut self, company: &Company) {
        let lag = self.lag;
        *self = Self::new(company);
        self.lag(lag);
    }
}

fn now() -> String {
    Timestamp::now().to_string()
}
