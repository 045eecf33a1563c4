//! The addresses of users in a bulk request: as in a single request, one that the
//! account has in the application by now is taken (see
//! [`address`](super::super::address)). Nothing may be asked of the application
//! within a transaction, so it is asked before, of the operations that would be
//! refused as the users are now.

use super::{Units, Work};
use crate::{
    bridge::{Failure, address},
    scim::{
        bulk::{Act, Verb},
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
            let Some(Ok(act)) = self.operations.get(*place).map(|it| &it.act) else {
                continue;
            };
            if act.of != User || !matches!(act.verb, Verb::Replace | Verb::Patch) {
                continue;
            }
            if unread.is_none() {
                let change = |stored: &StoredUser| self.changed(act, stored);
                unread = self.session.follow(&act.id, change).await.err();
            }
            // Who cannot be asked of one is not asked of all the others.
            if let Some(failure) = &unread {
                self.unread.insert(*place, failure.clone());
            }
        }
    }

    /// What an operation makes of a user.
    fn changed(&self, act: &Act, stored: &StoredUser) -> Result<Attributes, Problem> {
        let (session, text) = (self.session, act.data.to_string());
        let (schemas, limits) = (session.schemas(), &session.policy().limits);
        if act.verb == Verb::Replace {
            let user = user_from_json(text.as_bytes(), &schemas, limits)?;
            return session.replaced(stored, user.taken);
        }
        let patch = patch::parse(text.as_bytes(), User, &schemas, limits)?;
        session.patched(stored, &patch.taken)
    }

    /// Why an operation was refused, or that it may be tried again.
    pub(super) fn unless_unread(&mut self, place: usize, why: Failure) -> Failure {
        let unread = self.unread.remove(&place);
        unread.filter(|_| address::is_refusal(&why)).unwrap_or(why)
    }
}
