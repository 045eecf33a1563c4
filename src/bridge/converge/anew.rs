//! Accounts that somebody has made anew by hand: the same address, another id.
//! The application knows nobody by the id of before, so a removal by it takes
//! nobody out, and a list of ids does not show that. So nobody is believed to be
//! gone before it was looked what the address is called now (reliability: F-08),
//! and who is refused by that id is added by the one of now.

use super::{Doubts, Pause, groups::Turn, identities::Identities};
use crate::{
    plan::{
        operation::Operation,
        state::{Principal, UserKey},
    },
    upstream::{RemoteMember, UpstreamError},
};

/// The most accounts that one turn looks after; the others are not believed
/// either.
const MOST: usize = 32;

impl Turn<'_> {
    /// Leaves those open who are to be removed and are members by another id,
    /// which is learned; the next turn removes them by that.
    pub(super) async fn find_anew(
        &mut self,
        listed: &[RemoteMember],
        doubts: &mut Doubts,
    ) -> Result<Pause, UpstreamError> {
        let by_id = Identities::of_members(listed);
        let gone = |it: &&Principal| it.upstream_id.as_ref().is_some_and(|id| !by_id.has_id(id));
        let removals = self.removals();
        let (mut looks, mut pause) = (0, Pause::None);
        for principal in removals.iter().filter(gone) {
            let shown = shown_as(listed, principal);
            let id = if shown.is_some() {
                shown
            } else if listed.iter().all(|it| it.account.is_some()) {
                None
            } else if looks == MOST {
                self.open.remove(&principal.user);
                pause = Pause::BackOff;
                continue;
            } else {
                looks += 1;
                let id = self.id_now(principal).await?;
                id.filter(|id| by_id.has_id(id))
            };
            let Some(id) = id else { continue };
            tracing::warn!(user = %principal.id, "an account was made anew with another id and is removed as that");
            self.learned.ids.push((principal.user, id));
            self.open.remove(&principal.user);
            doubts.forget(principal.user);
            pause = Pause::BackOff;
        }
        Ok(pause)
    }

    /// The addition once more of one user who was refused by an id of before.
    /// What groups of families come to is known by the application's own code.
    pub(super) async fn by_its_id_now(
        &mut self,
        operation: &Operation,
        error: &UpstreamError,
    ) -> Result<Option<Operation>, UpstreamError> {
        let (Operation::AddMembers { group, members }, UpstreamError::Rejected { .. }) =
            (operation, error)
        else {
            return Ok(None);
        };
        let ([member], false) = (members.as_slice(), self.upstream.has_families()) else {
            return Ok(None);
        };
        let looked = self.learned.ids.len() >= MOST || !self.upstream.finds_users();
        let Some(known) = member.upstream_id.as_ref().filter(|_| !looked) else {
            return Ok(None);
        };
        let Some(id) = self.id_now(member).await?.filter(|id| id != known) else {
            return Ok(None);
        };
        tracing::warn!(user = %member.id, "an account was made anew with another id and is added as that");
        self.learned.ids.push((member.user, id.clone()));
        let member = Principal {
            upstream_id: Some(id),
            ..member.clone()
        };
        Ok(Some(Operation::AddMembers {
            group: group.clone(),
            members: vec![member],
        }))
    }

    /// Those that nothing final is known of.
    fn removals(&self) -> Vec<Principal> {
        let removals = self.open.values().filter(|(_, add)| !add);
        let mut removals: Vec<Principal> = removals.map(|(it, _)| it.clone()).collect();
        removals.sort_unstable_by_key(|it: &Principal| -> UserKey { it.user });
        removals
    }

    async fn id_now(&self, principal: &Principal) -> Result<Option<String>, UpstreamError> {
        let found = self.upstream.user(&principal.account).await?;
        Ok(found.and_then(|it| it.upstream_id))
    }
}

/// The id beside the account's address in a list.
fn shown_as(listed: &[RemoteMember], principal: &Principal) -> Option<String> {
    let account = principal.account.to_lowercase();
    let same = |it: &&RemoteMember| it.account.as_ref().is_some_and(|it| *it == account);
    listed.iter().find(same)?.upstream_id.clone()
}
