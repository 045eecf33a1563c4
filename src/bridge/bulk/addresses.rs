//! The addresses of users in a bulk request: as in a single request, one that the
//! account has in the application by now is taken (see
//! [`address`](super::super::address)). Nothing may be asked of the application
//! within a transaction, so it is asked before, of the operations that would be
//! refused as the users are now.

use std::collections::HashMap;

use super::{Units, Work};
use crate::{
    bridge::{
        Failure, Session,
        address::{self, Moved},
    },
    scim::{
        bulk::{Act, Operation, Verb},
        error::Problem,
        patch,
        resource::{Attributes, ResourceType::User, user_from_json},
    },
    store::StoredUser,
};

impl Work<'_> {
    /// Has users follow their accounts to the addresses that a part gives them.
    pub(super) async fn follow_accounts(&mut self, part: &Units) {
        if !address::is_fixed(&*self.session.connection.upstream) {
            return;
        }
        let mut unread = None;
        for place in part.iter().flatten() {
            let session = self.session;
            let Some(act) = self.operations.get(*place).and_then(changes_user) else {
                continue;
            };
            if unread.is_none() {
                let change = |stored: &StoredUser| session.changed(act, stored);
                unread = session.follow(&act.id, change).await.err();
            }
            // Who cannot be asked of one is not asked of all the others.
            if let Some(failure) = &unread {
                self.unread.insert(*place, failure.clone());
            }
        }
    }

    /// Why an operation was refused, or that it may be tried again.
    pub(super) fn unless_unread(&mut self, place: usize, why: Failure) -> Failure {
        let unread = self.unread.remove(&place);
        unread.filter(|_| address::is_refusal(&why)).unwrap_or(why)
    }
}

/// Which users of a request would follow their accounts to another address, by
/// the operations' places, and of which that cannot be told now.
#[derive(Debug, Clone, Default)]
pub(super) struct Moves {
    pub(super) moved: HashMap<usize, Moved>,
    pub(super) unread: HashMap<usize, Failure>,
}

impl Session {
    /// As [`Work::follow_accounts`], of a whole request, and nobody follows.
    pub(super) async fn moves(&self, operations: &[Operation]) -> Moves {
        let mut moves = Moves::default();
        if !address::is_fixed(&*self.connection().upstream) {
            return moves;
        }
        let mut unread = None;
        for (place, operation) in operations.iter().enumerate() {
            let Some(act) = changes_user(operation) else {
                continue;
            };
            if unread.is_none() {
                let change = |stored: &StoredUser| self.changed(act, stored);
                match self.moved(&act.id, change).await {
                    Ok(moved) => moves.moved.extend(moved.map(|moved| (place, moved))),
                    Err(failure) => unread = Some(failure),
                }
            }
            let unread = unread.iter().map(|failure| (place, failure.clone()));
            moves.unread.extend(unread);
        }
        moves
    }

    /// What an operation makes of a user.
    fn changed(&self, act: &Act, stored: &StoredUser) -> Result<Attributes, Problem> {
        let text = act.data.to_string();
        let (schemas, limits) = (self.schemas(), &self.policy().limits);
        if act.verb == Verb::Replace {
            let user = user_from_json(text.as_bytes(), &schemas, limits)?;
            return self.replaced(stored, user.taken);
        }
        let patch = patch::parse(text.as_bytes(), User, &schemas, limits)?;
        self.patched(stored, &patch.taken)
    }
}

fn changes_user(operation: &Operation) -> Option<&Act> {
    let act = operation.act.as_ref().ok()?;
    let changes = act.of == User && matches!(act.verb, Verb::Replace | Verb::Patch);
    changes.then_some(act)
}
