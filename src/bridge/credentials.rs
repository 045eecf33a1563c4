//! What is seen of the credentials beside requests: that the application's own
//! can still be read, and which tokens of identity providers came and went. The
//! commands that make and revoke tokens work beside a server that holds the
//! store, so it is the server that records what they did; by id, and a little
//! later. Nothing secret is read here.

use std::collections::HashMap;

use super::{Bridge, clock, token::Listed};
use crate::{
    plan::state::ConnectionKey,
    store::{Actor, Millis, SeenToken, StoreError, TokenState, Watch},
};

/// What was recorded last, by connection.
#[derive(Debug, Default)]
pub(super) struct Noted(HashMap<ConnectionKey, Vec<SeenToken>>);

impl Bridge {
    pub(super) async fn look_at_credentials(&self, noted: &mut Noted) -> Result<(), StoreError> {
        for connection in &self.connections {
            // To look is to say in the log what has changed.
            let _ = connection.upstream.condition();
            let now = clock::now();
            // What is wrong with the file is told where it is used.
            let Some(Ok(listed)) = connection.tokens.listed() else {
                continue;
            };
            let seen: Vec<_> = listed.iter().map(|token| seen(token, now)).collect();
            if noted.0.get(&connection.key) == Some(&seen) {
                continue;
            }
            // The file does not say who it was.
            let actor = Actor {
                name: "operator".into(),
                at: now,
                watch: Watch::Off,
                put: false,
            };
            let record = self.store.note_tokens(connection.key, seen.clone(), actor);
            record.await?;
            noted.0.insert(connection.key, seen);
        }
        Ok(())
    }
}

fn seen(token: &Listed, now: Millis) -> SeenToken {
    SeenToken {
        id: token.id.clone(),
        created: token.created,
        expires: token.expires,
        state: match token.revoked {
            Some(_) => TokenState::Revoked,
            None if token.live(now) => TokenState::Live,
            None => TokenState::Expired,
        },
    }
}
