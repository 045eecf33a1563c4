//! What the application refused this credential: nothing of it is sent again
//! with the same one, save one try now and then (reliability: F-07).
//!
//! A 401 is about the credential and stops every call. A 403 may be about one
//! thing alone or about a right: calls of its kind go on until several in a row
//! are refused. Then those that were refused wait, one try now and then for all
//! of them, and those that were never tried go one after the other, so that
//! what is forbidden for some does not keep access from being taken away by
//! another (reliability: I-14, I-17). What is refused while others of its kind
//! are taken is refused for itself.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Method, header::HeaderValue};

use super::pace::What;
use crate::upstream::UpstreamError;

/// The pause between two tries.
const PROBE: Duration = Duration::from_secs(30);
/// So many different calls of a kind, refused with none taken in between, show
/// that it is the right that is missing.
const SEVERAL: usize = 3;
/// Between two calls of such a kind that were never tried.
const APART: Duration = Duration::from_millis(250);
/// Calls of a kind that are remembered as refused, or as waiting to be tried.
const REMEMBERED: usize = 2_048;

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
        (method, url, body).hash(&mut one);
        Self {
            method,
            template,
            one: one.finish(),
        }
    }

    /// The same for whoever counts faults.
    pub(super) fn what(&self) -> What {
        let mut kind = DefaultHasher::new();
        (self.method, self.template).hash(&mut kind);
        What {
            kind: kind.finish(),
            one: self.one,
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
    /// With the kind closed, which of those that were never tried goes when.
    queue: HashMap<u64, Instant>,
    next: Instant,
}

/// One call that was refused.
#[derive(Debug)]
struct One {
    call: u64,
    tried: Instant,
    /// Another one of its kind was taken since.
    alone: bool,
}

/// Whether a call may go now.
enum Goes {
    Now,
    /// It was refused lately.
    Refused,
    /// It has its turn then.
    After(Duration),
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
    fn tries(&mut self, one: u64) -> Goes {
        let closed = self.is_closed();
        let last = self.last == one;
        let known = self.ones.iter_mut().find(|it| it.call == one);
        let tried = match known {
            None if closed => return self.has_turn(one),
            Some(it) if it.alone && closed => return self.has_turn(one),
            None => return Goes::Now,
            Some(it) if it.alone => return Goes::Now,
            Some(_) if closed => &mut self.refused.tried,
            Some(it) => &mut it.tried,
        };
        let pause = if closed && last { PROBE * 2 } else { PROBE };
        if tried.elapsed() < pause {
            return Goes::Refused;
        }
        *tried = Instant::now();
        if closed {
            self.last = one;
        }
        Goes::Now
    }

    /// One after the other, in the order in which they came.
    fn has_turn(&mut self, one: u64) -> Goes {
        let now = Instant::now();
        if let Some(turn) = self.queue.get(&one).copied() {
            if turn > now {
                return Goes::After(turn - now);
            }
            self.queue.remove(&one);
            return Goes::Now;
        }
        if self.queue.len() >= REMEMBERED {
            // Some of them are not asked for any more.
            self.queue.retain(|_, turn| *turn > now);
        }
        if self.queue.len() >= REMEMBERED {
            return Goes::Refused;
        }
        let turn = self.next.max(now);
        self.next = turn + APART;
        if turn == now {
            return Goes::Now;
        }
        self.queue.insert(one, turn);
        Goes::After(turn - now)
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
        match kind.tries(about.one) {
            Goes::Now => Ok(()),
            Goes::Refused => Err(kind.refused.denied()),
            Goes::After(wait) => Err(UpstreamError::Later {
                after: Some(wait),
                reason: "several calls of its kind were refused, so they are tried one by one"
                    .into(),
            }),
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
            queue: HashMap::new(),
            next: now,
        });
        let was_closed = kind.is_closed();
        match kind.ones.iter_mut().find(|it| it.call == about.one) {
            Some(known) if known.alone => return true,
            Some(known) => known.tried = now,
            None => {
                if kind.ones.len() >= REMEMBERED {
                    kind.ones.remove(0);
                }
                kind.ones.push(One {
                    call: about.one,
                    tried: now,
                    alone: false,
                });
                // After that, one alarm is for all.
                if !kind.is_closed() {
                    tracing::warn!(%reason, %method, path, "the application refuses our credential a call; others of its kind go on");
                }
            }
        }
        if kind.is_closed() && !was_closed {
            kind.refused.tried = now;
            kind.last = about.one;
            tracing::error!(
                %reason, %method, path,
                "the application refuses our credential: such calls are only tried until it is mended"
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
            kind.ones.retain(|it| it.call != about.one);
            kind.queue.clear();
            for other in &mut kind.ones {
                other.alone = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
