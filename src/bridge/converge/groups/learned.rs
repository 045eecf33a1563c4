//! What a turn of a group has learned of its pairs, and what of them is still open.

use std::collections::HashSet;

use super::{
    super::{Pause, refusal},
    Next, Turn, members_of,
};
use crate::{
    plan::{
        operation::{Operation, Plan},
        state::{Existence, Principal, UserKey},
    },
    store::UNANSWERED,
    upstream::{MemberOutcome, UpstreamError},
};

impl Turn<'_> {
    pub(super) fn note_success(
        &mut self,
        operation: &Operation,
        outcomes: &[(UserKey, MemberOutcome)],
    ) {
        match operation {
            Operation::CreateGroup { members, .. } => {
                self.learned.existence = Some(Existence::Present);
                // Who was not taken with it, or perhaps not, is left to a reading.
                let open = outcomes
                    .iter()
                    .filter(|(_, end)| *end != MemberOutcome::Applied);
                let open: HashSet<UserKey> = open.map(|(user, _)| *user).collect();
                for member in members.iter().filter(|it| !open.contains(&it.user)) {
                    self.present(member.user);
                }
                self.nobody_else();
            }
            Operation::DeleteGroup { .. } => self.learned.existence = Some(Existence::Absent),
            Operation::ReplaceMembers { .. } => {
                let kept = outcomes
                    .iter()
                    .filter(|(user, _)| !self.open.contains_key(user));
                let left_out = kept.filter(|(_, end)| *end != MemberOutcome::Applied);
                self.learned.left_out = left_out.map(|(user, _)| *user).collect();
                self.note_outcomes(outcomes);
                // An answer that leaves somebody out says nothing of who is
                // gone either: both are read then.
                if self.still_open(true).is_empty() {
                    for gone in self.work.removes.clone() {
                        self.absent(gone.user);
                    }
                }
            }
            _ => self.note_outcomes(outcomes),
        }
    }

    pub(super) fn note_outcomes(&mut self, outcomes: &[(UserKey, MemberOutcome)]) {
        for (user, outcome) in outcomes {
            if *outcome == MemberOutcome::LeftOut {
                self.left_out.insert(*user);
            }
            if *outcome == MemberOutcome::Open {
                self.taken_on.insert(*user);
            }
            if *outcome == MemberOutcome::Applied {
                match self.open.get(user).map(|(_, add)| *add) {
                    Some(true) => self.present(*user),
                    Some(false) => self.absent(*user),
                    None => {}
                }
            }
        }
    }

    /// A call that was taken on may land later than what is asked for next, as one that
    /// was not answered, unless a reading has shown that it is done (reliability: H-05).
    pub(super) fn note_taken_on(&mut self) {
        let (open, taken_on) = (&self.open, &self.taken_on);
        let waits = |user: &UserKey| taken_on.contains(user) && open.contains_key(user);
        let some = taken_on.iter().any(waits);
        for (operation, word, _) in &mut self.learned.calls {
            let replaces = matches!(operation, Operation::ReplaceMembers { .. });
            if replaces && some || members_of(operation).iter().any(waits) {
                UNANSWERED.clone_into(word);
            }
        }
    }

    /// The next turn reads whether the group is there, and makes it if not.
    pub(in crate::bridge::converge) fn look_again(&mut self) -> Next {
        self.doubt();
        self.return_unsent();
        Next::Stop(Pause::Look)
    }

    /// Whether it is there still is not known.
    pub(in crate::bridge::converge) fn doubt(&mut self) {
        self.learned.made |= self.learned.existence == Some(Existence::Present);
        self.learned.existence = Some(Existence::Unknown);
    }

    pub(in crate::bridge::converge) fn refuse_creation(&mut self, error: &UpstreamError) {
        self.refuse_to_make(refusal(
            self.upstream.capabilities(),
            "create the group",
            error,
        ));
    }

    pub(in crate::bridge::converge) fn refuse_to_make(&mut self, reason: String) {
        self.learned.existence = Some(Existence::Absent);
        self.learned.group_refused = Some(reason.clone());
        self.nobody_else();
        self.refuse_members(&reason);
    }

    /// Who is asked for in a group that never was stays asked for: it is the group
    /// that was refused, and whoever has it tried again has them tried, too.
    pub(super) fn refuse_members(&mut self, reason: &str) {
        if self.work.wanted && !self.work.made {
            self.return_unsent();
        } else {
            self.refuse_open(reason);
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        self.learned.existence == Some(Existence::Absent)
    }

    pub(super) fn still_open(&self, add: bool) -> Vec<Principal> {
        let side = if add {
            &self.work.adds
        } else {
            &self.work.removes
        };
        side.iter()
            .filter(|p| self.open.contains_key(&p.user))
            .cloned()
            .collect()
    }

    pub(super) fn refuse_all(&mut self, plan: &Plan) {
        let reason = plan
            .losses
            .first()
            .map_or_else(String::new, |loss| loss.reason.clone());
        if self.work.observed == Existence::Absent || !self.work.wanted {
            self.learned.existence = Some(self.work.observed);
            self.learned.group_refused = Some(reason.clone());
            self.nobody_else();
            self.refuse_members(&reason);
        }
        self.refuse_open(&reason);
    }

    pub(super) fn refuse_open(&mut self, reason: &str) {
        let users: Vec<_> = self.open.keys().copied().collect();
        for user in users {
            self.refused(user, reason.to_owned());
        }
    }

    pub(in crate::bridge::converge) fn return_unsent(&mut self) {
        let users: Vec<_> = self.open.keys().copied().collect();
        self.unsent(&users);
    }

    pub(super) fn present(&mut self, user: UserKey) {
        if self.open.remove(&user).is_some() {
            self.learned.present.push(user);
        }
    }

    pub(in crate::bridge::converge) fn absent(&mut self, user: UserKey) {
        if self.open.remove(&user).is_some() {
            self.learned.absent.push(user);
        }
    }

    pub(in crate::bridge::converge) fn refused(&mut self, user: UserKey, reason: String) {
        if self.open.remove(&user).is_some() {
            self.learned.refused.push((user, reason));
        }
    }

    pub(super) fn unsent(&mut self, users: impl AsRef<[UserKey]>) {
        for user in users.as_ref() {
            if self.open.remove(user).is_some() {
                self.learned.unsent.push(*user);
            }
        }
    }
}
