//! A group that had been there and is made again, with everybody who is asked
//! for in it. That is one call, and one bad member must not keep all others out:
//! where it is refused, the group is made without anybody, which tells whether
//! it was refused itself, and its members are added by halves until the bad one
//! stands alone. Of a group that never was the refusal is an answer to whoever
//! asks for it, and it is refused as a whole.

use super::groups::Turn;
use crate::{
    plan::{
        capability::Act,
        operation::Operation,
        state::{Existence, Principal},
    },
    upstream::UpstreamError,
};

impl Turn<'_> {
    /// What to send instead of a creation that was refused, the first of it
    /// last; `None` where it is refused for good.
    pub(super) fn without_anybody(
        &mut self,
        creation: &Operation,
        error: &UpstreamError,
    ) -> Option<Vec<Operation>> {
        let Operation::CreateGroup { name, members } = creation else {
            return None;
        };
        let is_there = matches!(error, UpstreamError::Exists { .. });
        let adds = self.upstream.capabilities().can(Act::AddMembers);
        // An id that the application gives is not known before the next turn.
        if !self.work.made || members.is_empty() || is_there || !adds || self.is_given() {
            return None;
        }
        tracing::warn!(group = %self.work.id, %error, "a group is made again without its members, who are added then");
        self.learned.existence = Some(Existence::Absent);
        let mut instead = self.halves(members.clone());
        instead.push(Operation::CreateGroup {
            name: name.clone(),
            members: Vec::new(),
        });
        Some(instead)
    }

    /// That all of them at once are refused is known already.
    fn halves(&self, mut members: Vec<Principal>) -> Vec<Operation> {
        let second = members.split_off(members.len().div_ceil(2));
        let batch = self.upstream.capabilities().batch(Act::AddMembers);
        let batches = members.chunks(batch).chain(second.chunks(batch));
        batches
            .rev()
            .map(|members| Operation::AddMembers {
                group: self.work.name.clone(),
                members: members.to_vec(),
            })
            .collect()
    }
}

/// Whether a call makes a group without anybody, which is done before whatever
/// else is open in it.
pub(super) fn makes_nobodys(operation: &Operation) -> bool {
    matches!(operation, Operation::CreateGroup { members, .. } if members.is_empty())
}
