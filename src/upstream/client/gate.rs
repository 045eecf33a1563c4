//! What the application refused this credential: nothing of it is sent again
//! with the same one, save one try now and then (reliability: F-07).
//!
//! A 401 is about the credential and stops every call. A 403 may be about one
//! thing alone or about a right: calls of its kind go on until several in a row
//! are refused, and then all of its kind wait, so that a right that is missing
//! for one thing does not keep access from being taken away by another. What
//! is refused while others of its kind are taken is refused for itself.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Method, header::HeaderValue};

use crate::upstream::UpstreamError;

/// The pause between two tries.
const PROBE: Duration = Duration::from_secs(30);
/// So many different calls of a kind, refused with none taken in between, show
/// that it is the right that is missing.
const SEVERAL: usize = 3;
/// Calls of a kind that are remembered as refused.
const REMEMBERED: usize = 64;

/// What a call is about: its kind (method and template of the path), and which
/// one of its kind it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) method: &'a Method,
    pub(super) template: &'a str,
    pub(super) one: u64,
}

impl<'a> About<'a> {
    /// Told from others by where it goes and what it says.
    pub(super) fn new(
        method: &'a Method,
        template: &'a str,
        url: &str,
        body: Option<&[u8]>,
    ) -> Self {
        let mut one = DefaultHasher::new();
        (url, body).hash(&mut one);
        Self {
            method,
            template,
            one: one.finish(),
        }
    }

    fn kind(&self) -> (Method, String) {
        (self.method.clone(), self.template.to_owned())
    }
}

#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Closed>);

#[derive(Debug, Default)]
struct Closed {
    /// The credential itself was refused.
    whole: Option<Refused>,
    kinds: HashMap<(Method, String), Kind>,
}

#[derive(Debug)]
struct Refused {
    /// Marked sensitive, so never shown.
    credential: HeaderValue,
    reason: String,
    tried: Instant,
}

#[derive(Debug)]
struct Kind {
    refused: Refused,
    /// Which one was tried last.
    last: u64,
    ones: Vec<One>,
}

/// One call that was refused.
#[derive(Debug)]
struct One {
    one: u64,
    tried: Instant,
    /// Another one of its kind was taken since.
    alone: bool,
}

impl Kind {
    fn is_closed(&self) -> bool {
        self.in_doubt().count() >= SEVERAL
    }

    fn in_doubt(&self) -> impl Iterator<Item = &One> {
        self.ones.iter().filter(|it| !it.alone)
    }

    /// Whether a call may go; it is tried then. With the kind closed another
    /// one than last time goes first, as that one may be refused for itself.
    fn tries(&mut self, one: u64) -> bool {
        if self.is_closed() {
            let pause = if one == self.last { PROBE * 2 } else { PROBE };
            let goes = self.refused.tried.elapsed() >= pause;
            if goes {
                self.refused.tried = Instant::now();
                self.last = one;
            }
            return goes;
        }
        let known = self.ones.iter_mut().find(|it| it.one == one && !it.alone);
        known.is_none_or(|it| {
            let goes = it.tried.elapsed() >= PROBE;
            if goes {
                it.tried = Instant::now();
            }
            goes
        })
    }
}

impl Refused {
    fn denied(&self) -> UpstreamError {
        UpstreamError::Denied {
            reason: self.reason.clone(),
        }
    }
}

impl Gate {
    /// Refuses what was refused before; lets one call in a while through.
    pub(super) fn pass(
        &self,
        about: About<'_>,
        credential: &HeaderValue,
    ) -> Result<(), UpstreamError> {
        let mut closed = self.lock();
        let Closed { whole, kinds } = &mut *closed;
        whole.take_if(|it| it.credential != credential);
        kinds.retain(|_, it| it.refused.credential == credential);
        if let Some(whole) = whole {
            if whole.tried.elapsed() < PROBE {
                return Err(whole.denied());
            }
            whole.tried = Instant::now();
        }
        if kinds.is_empty() {
            return Ok(());
        }
        let Some(kind) = kinds.get_mut(&about.kind()) else {
            return Ok(());
        };
        if kind.tries(about.one) {
            Ok(())
        } else {
            Err(kind.refused.denied())
        }
    }

    /// What came of a call that passed; true when the call is refused for
    /// itself, while others of its kind are taken. The one alarm is given here.
    pub(super) fn note(
        &self,
        about: About<'_>,
        credential: &HeaderValue,
        status: u16,
        reason: &str,
    ) -> bool {
        let mut closed = self.lock();
        let refused = Refused {
            credential: credential.clone(),
            reason: reason.to_owned(),
            tried: Instant::now(),
        };
        match status {
            401 => {
                let before = closed.whole.replace(refused);
                if before.is_none_or(|before| before.credential != credential) {
                    tracing::error!(%reason, "the application refuses our credential: nothing is sent until it is mended");
                }
                false
            }
            403 => closed.refuse(about, refused),
            _ => {
                closed.take(about);
                false
            }
        }
    }

    /// Whether this very credential is refused everything.
    pub(super) fn refuses_all(&self, credential: &HeaderValue) -> bool {
        let closed = self.lock();
        let whole = closed.whole.as_ref();
        whole.is_some_and(|it| it.credential == credential)
    }

    /// Whether this very credential is refused anything that others of its
    /// kind are not known to be granted.
    pub(super) fn refuses(&self, credential: &HeaderValue) -> bool {
        if self.refuses_all(credential) {
            return true;
        }
        let closed = self.lock();
        closed
            .kinds
            .values()
            .any(|kind| kind.refused.credential == credential && kind.in_doubt().next().is_some())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Closed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Closed {
    /// A 403; true when it is known to be about this one alone.
    fn refuse(&mut self, about: About<'_>, refused: Refused) -> bool {
        let (method, path) = (about.method, about.template);
        let reason = refused.reason.clone();
        let now = refused.tried;
        let kind = self.kinds.entry(about.kind());
        let kind = kind.or_insert_with(|| Kind {
            refused,
            last: about.one,
            ones: Vec::new(),
        });
        let was_closed = kind.is_closed();
        match kind.ones.iter_mut().find(|it| it.one == about.one) {
            Some(known) if known.alone => return true,
            Some(known) => known.tried = now,
            None => {
                if kind.ones.len() >= REMEMBERED {
                    kind.ones.remove(0);
                }
                kind.ones.push(One {
                    one: about.one,
                    tried: now,
                    alone: false,
                });
                tracing::warn!(%reason, %method, path, "the application refuses our credential a call; others of its kind go on");
            }
        }
        if kind.is_closed() && !was_closed {
            kind.refused.tried = now;
            kind.last = about.one;
            tracing::error!(
                %reason, %method, path,
                "the application refuses our credential: no such call is sent until it is mended"
            );
        }
        false
    }

    /// It was taken, so the credential is good, and so is the right.
    fn take(&mut self, about: About<'_>) {
        let (method, path) = (about.method, about.template);
        if self.whole.take().is_some() {
            tracing::info!(%method, path, "the application takes our credential again");
        }
        if self.kinds.is_empty() {
            return;
        }
        if let Some(kind) = self.kinds.get_mut(&about.kind()) {
            if kind.is_closed() {
                tracing::info!(%method, path, "the application takes such calls again");
            }
            kind.ones.retain(|it| it.one != about.one);
            for other in &mut kind.ones {
                other.alone = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn about(method: &'static Method, one: u64) -> About<'static> {
        About {
            method,
            template: "/members",
            one,
        }
    }

    fn add(one: u64) -> About<'static> {
        about(&Method::POST, one)
    }

    fn remove(one: u64) -> About<'static> {
        about(&Method::DELETE, one)
    }

    /// Lets time go by for everything that was tried.
    fn later(gate: &Gate, time: Duration) {
        let mut closed = gate.lock();
        let Closed { whole, kinds } = &mut *closed;
        for it in whole
            .iter_mut()
            .chain(kinds.values_mut().map(|it| &mut it.refused))
        {
            it.tried -= time;
        }
        for one in kinds.values_mut().flat_map(|it| &mut it.ones) {
            one.tried -= time;
        }
    }

    #[test]
    fn a_refused_credential_waits_and_another_goes_at_once() {
        let gate = Gate::default();
        let (old, new) = (HeaderValue::from_static("a"), HeaderValue::from_static("b"));
        gate.note(remove(1), &old, 401, "expired");
        assert!(gate.pass(add(1), &old).is_err() && gate.pass(remove(1), &old).is_err());
        assert!(gate.refuses(&old) && !gate.refuses(&new));
        assert!(gate.pass(add(1), &new).is_ok() && gate.pass(remove(1), &new).is_ok());

        gate.note(add(1), &new, 401, "expired");
        later(&gate, PROBE);
        assert!(gate.pass(add(1), &new).is_ok(), "one try");
        assert!(gate.pass(add(2), &new).is_err(), "and one only");
        gate.note(add(1), &new, 200, "");
        assert!(gate.pass(add(2), &new).is_ok() && !gate.refuses(&new));
    }

    #[test]
    fn one_thing_that_is_forbidden_keeps_nothing_else_from_being_done() {
        let gate = Gate::default();
        let ours = HeaderValue::from_static("a");
        assert!(!gate.note(remove(1), &ours, 403, "no right"));
        assert!(gate.pass(remove(1), &ours).is_err(), "it waits");
        assert!(gate.pass(remove(2), &ours).is_ok(), "another one does not");
        assert!(gate.refuses(&ours));
        gate.note(remove(2), &ours, 204, "");
        // So the right is there, and it is refused for itself.
        assert!(!gate.refuses(&ours) && gate.pass(remove(1), &ours).is_ok());
        assert!(gate.note(remove(1), &ours, 403, "no right"));
        assert!(gate.pass(remove(3), &ours).is_ok());
    }

    #[test]
    fn several_that_are_forbidden_stop_their_kind_and_take_turns_to_try() {
        let gate = Gate::default();
        let ours = HeaderValue::from_static("a");
        for one in 1..=3 {
            assert!(gate.pass(remove(one), &ours).is_ok());
            assert!(!gate.note(remove(one), &ours, 403, "no right"));
        }
        assert!(gate.pass(remove(4), &ours).is_err());
        assert!(gate.pass(add(1), &ours).is_ok(), "another kind goes on");
        later(&gate, PROBE);
        assert!(gate.pass(remove(3), &ours).is_err(), "it was the last");
        assert!(gate.pass(remove(4), &ours).is_ok(), "one try");
        assert!(gate.pass(remove(5), &ours).is_err(), "and one only");
        gate.note(remove(4), &ours, 204, "");
        assert!(gate.pass(remove(5), &ours).is_ok());
        for one in 1..=3 {
            assert!(gate.note(remove(one), &ours, 403, "no right"), "for itself");
        }
        assert!(!gate.refuses(&ours));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let gate = Gate::default();
        let ours = HeaderValue::from_static("a");
        for one in 0..1_000 {
            gate.note(add(one), &ours, 403, "no right");
        }
        assert_eq!(
            gate.lock().kinds.values().next().unwrap().ones.len(),
            REMEMBERED
        );
    }
}
