//! What the application refused this credential: nothing of it is sent again
//! with the same one, save one try now and then (reliability: F-07).
//!
//! A 401 is about the credential and stops every call. A 403 is about a right
//! and stops the calls of its kind alone, so that a right that is missing for
//! one thing does not keep access from being taken away by another.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Method, header::HeaderValue};

use crate::upstream::UpstreamError;

/// The pause between two tries.
const PROBE: Duration = Duration::from_secs(30);

/// A kind of call; `None` is every one.
type Kind = Option<(Method, String)>;

#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<HashMap<Kind, Refused>>);

#[derive(Debug)]
struct Refused {
    /// Marked sensitive, so never shown.
    credential: HeaderValue,
    reason: String,
    tried: Instant,
}

impl Gate {
    /// Refuses what was refused before; lets one call in a while through.
    pub(super) fn pass(
        &self,
        (method, template): (&Method, &str),
        credential: &HeaderValue,
    ) -> Result<(), UpstreamError> {
        let mut closed = self.lock();
        if closed.is_empty() {
            return Ok(());
        }
        closed.retain(|_, refused| refused.credential == credential);
        for kind in [None, Some((method.clone(), template.to_owned()))] {
            let Some(refused) = closed.get_mut(&kind) else {
                continue;
            };
            if refused.tried.elapsed() < PROBE {
                return Err(UpstreamError::Denied {
                    reason: refused.reason.clone(),
                });
            }
            refused.tried = Instant::now();
        }
        Ok(())
    }

    /// What came of a call that passed. The one alarm is given here.
    pub(super) fn note(
        &self,
        (method, template): (&Method, &str),
        credential: &HeaderValue,
        status: u16,
        reason: &str,
    ) {
        let own = Some((method.clone(), template.to_owned()));
        let mut closed = self.lock();
        let kind = match status {
            401 => None,
            403 => own,
            _ => {
                if !closed.is_empty() {
                    let open = [closed.remove(&None), closed.remove(&own)];
                    if open.iter().any(Option::is_some) {
                        tracing::info!(%method, path = template, "the application takes our credential again");
                    }
                }
                return;
            }
        };
        let refused = Refused {
            credential: credential.clone(),
            reason: reason.to_owned(),
            tried: Instant::now(),
        };
        let before = closed.insert(kind, refused);
        if before.is_none_or(|before| before.credential != credential) {
            tracing::error!(
                %reason, %method, path = template,
                "the application refuses our credential: {} until it is mended",
                if status == 401 { "nothing is sent" } else { "no such call is sent" },
            );
        }
    }

    /// Whether this very credential is refused anything.
    pub(super) fn refuses(&self, credential: &HeaderValue) -> bool {
        let closed = self.lock();
        closed
            .values()
            .any(|refused| refused.credential == credential)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Kind, Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refused_credential_waits_and_another_goes_at_once() {
        let gate = Gate::default();
        let (old, new) = (HeaderValue::from_static("a"), HeaderValue::from_static("b"));
        let add = (&Method::POST, "/members");
        let remove = (&Method::DELETE, "/members");
        assert!(gate.pass(add, &old).is_ok());
        gate.note(add, &old, 403, "no right");
        assert!(gate.pass(add, &old).is_err(), "its kind waits");
        assert!(gate.pass(remove, &old).is_ok(), "another kind does not");
        gate.note(remove, &old, 401, "expired");
        assert!(gate.pass(remove, &old).is_err());
        assert!(gate.refuses(&old) && !gate.refuses(&new));
        assert!(gate.pass(add, &new).is_ok() && gate.pass(remove, &new).is_ok());

        gate.note(add, &new, 401, "expired");
        gate.lock().get_mut(&None).unwrap().tried -= PROBE;
        assert!(gate.pass(add, &new).is_ok(), "one try");
        assert!(gate.pass(add, &new).is_err(), "and one only");
        gate.note(add, &new, 200, "");
        assert!(gate.pass(add, &new).is_ok());
    }
}
