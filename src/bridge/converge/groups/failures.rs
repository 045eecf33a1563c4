//! What a call of a group's turn that failed means: for the group, for its members,
//! and for what was to follow.

use super::{
    super::{Pause, pause_after, refusal, remade::makes_nobodys},
    Next, Turn, members_of,
};
use crate::{
    plan::{
        operation::Operation,
        state::{Existence, Principal},
    },
    upstream::UpstreamError,
};

impl Turn<'_> {
    /// That something about members is missing, or is so already, is believed
    /// of the group alone, and only when a look does not find it either: a
    /// route that is down for a minute says the same. Whose removal that was is
    /// settled by reading the members.
    pub(super) async fn about_the_group(
        &mut self,
        operation: &Operation,
        error: UpstreamError,
    ) -> Result<Option<UpstreamError>, UpstreamError> {
        let removal = matches!(operation, Operation::RemoveMembers { .. });
        let addition = matches!(operation, Operation::AddMembers { .. });
        match error {
            UpstreamError::Exists { .. } if addition => Ok(None),
            UpstreamError::Missing { reason } if removal || addition => {
                if !self.is_shown {
                    self.is_shown = self.upstream.group(&self.work.name).await?.is_some();
                }
                match self.is_shown {
                    false => Ok(Some(UpstreamError::Missing { reason })),
                    true if removal => Ok(None),
                    true => Ok(Some(UpstreamError::Rejected { reason })),
                }
            }
            other => Ok(Some(other)),
        }
    }

    pub(super) fn failure(
        &mut self,
        operation: Operation,
        error: &UpstreamError,
        stack: &mut Vec<Operation>,
    ) -> Next {
        match error {
            UpstreamError::Later { .. } | UpstreamError::Denied { .. } => {
                if matches!(operation, Operation::CreateGroup { .. }) {
                    self.learned.existence = Some(Existence::Absent);
                    self.return_unsent();
                }
                self.unsent(members_of(&operation));
                return Next::Stop(pause_after(error));
            }
            // Who is in it is as open as whether it is there: what is asked for
            // until that is known has to be said, too.
            UpstreamError::Missed { .. } => return Next::Stop(pause_after(error)),
            UpstreamError::Unknown { .. } => {
                if makes_nobodys(&operation) && self.learned.existence.is_some() {
                    self.learned.existence = Some(Existence::Unknown);
                }
                return Next::Stop(pause_after(error));
            }
            _ => {}
        }
        if let Some(instead) = self.without_anybody(&operation, error) {
            stack.extend(instead);
            return Next::GoOn;
        }
        match operation {
            Operation::CreateGroup { .. }
                if matches!(error, UpstreamError::Exists { .. })
                    && ((self.work.made && !self.is_given())
                        || self.doubted
                        || self.remains
                        || self.since.shown_for(&self.before).is_some()) =>
            {
                // Ours, and the read that did not show it lags behind; or one that
                // was deleted here, of which that is not seen everywhere yet; or what
                // was left alone, and may be ours by who is in it now.
                self.look_again()
            }
            Operation::CreateGroup { .. } => {
                self.refuse_creation(error);
                Next::Stop(Pause::None)
            }
            Operation::DeleteGroup { .. } => {
                if matches!(error, UpstreamError::Missing { .. }) {
                    self.learned.existence = Some(Existence::Absent);
                } else {
                    let reason = refusal(self.upstream.capabilities(), "delete the group", error);
                    self.learned.group_refused = Some(reason);
                }
                Next::GoOn
            }
            Operation::RenameGroup { .. } => {
                if matches!(error, UpstreamError::Missing { .. }) {
                    return Next::Stop(self.vanished("rename the group"));
                }
                let reason = refusal(self.upstream.capabilities(), "rename the group", error);
                self.learned.group_refused = Some(reason);
                Next::GoOn
            }
            Operation::ReplaceMembers { .. } => {
                // The small way round: the same difference without the big call.
                stack.extend(self.difference());
                Next::GoOn
            }
            Operation::AddMembers { .. } | Operation::RemoveMembers { .. }
                if matches!(error, UpstreamError::Missing { .. }) =>
            {
                self.take_for_gone()
            }
            Operation::AddMembers { group, members } => {
                self.members_failed(&group, members, true, error, stack);
                Next::GoOn
            }
            Operation::RemoveMembers { group, members } => {
                self.members_failed(&group, members, false, error, stack);
                Next::GoOn
            }
            _ => Next::GoOn,
        }
    }

    /// Nobody else is a member of a group that was just made, or is not there.
    pub(super) fn nobody_else(&mut self) {
        for gone in std::mem::take(&mut self.work.removes) {
            self.absent(gone.user);
        }
    }

    pub(super) fn members_failed(
        &mut self,
        group: &str,
        mut members: Vec<Principal>,
        add: bool,
        error: &UpstreamError,
        stack: &mut Vec<Operation>,
    ) {
        let make = |members| {
            let group = group.to_owned();
            if add {
                Operation::AddMembers { group, members }
            } else {
                Operation::RemoveMembers { group, members }
            }
        };
        if members.len() > 1 {
            let second = members.split_off(members.len().div_ceil(2));
            stack.push(make(second));
            stack.push(make(members));
            return;
        }
        let act = if add {
            "add the member"
        } else {
            "remove the member"
        };
        let reason = refusal(self.upstream.capabilities(), act, error);
        for member in members {
            if matches!(error, UpstreamError::Barred { .. }) {
                self.refused(member.user, reason.clone());
            } else {
                self.hold_refusal(member.user, reason.clone());
            }
        }
    }
}
