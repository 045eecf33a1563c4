//! How a call is done, and in which way it is not, or otherwise than is told.

use std::{collections::BTreeSet, time::Duration};

use super::{
    super::{below, chance, now},
    Application, Lie, Stock, lost, not_now, refused,
    state::{World, is_account, members_of, perform},
};
use crate::{
    plan::{operation::Operation, state::Principal},
    upstream::{MemberOutcome, Millis, Outcome, UpstreamError},
};

impl Application {
    /// Only calls about members are refused for no reason, and removals once:
    /// what is refused again is given up.
    pub(super) fn refuses(&self, operation: &Operation) -> bool {
        let members = members_of(operation);
        let mut world = self.lock();
        let Operation::RemoveMembers { group, .. } = operation else {
            return !members.is_empty();
        };
        let pairs = members.into_iter().map(|it| (group.clone(), it.account));
        let fresh = pairs.filter(|pair| world.refused.insert(pair.clone()));
        fresh.count() > 0
    }

    pub(super) fn lands_later(&self, operation: Operation) {
        let most = self.nature.late_by.unsigned_abs();
        let by = match self.lie {
            Lie::TooLate => most * 4,
            _ => below(most * 9 / 10),
        };
        let at = now() + Millis::try_from(by).unwrap();
        self.lock().coming.push((at, operation));
    }

    /// Whom an application that does the rest leaves out.
    fn cannot(&self, world: &World, operation: &Operation, member: &Principal) -> bool {
        let bad = |group: &String| {
            let pair = (group.clone(), member.account.clone());
            world.faults > 0 && self.nature.refused.contains(&pair)
        };
        match operation {
            Operation::AddMembers { group, .. } | Operation::ReplaceMembers { group, .. } => {
                bad(group) || !world.stock.is_active(&member.account)
            }
            Operation::CreateGroup { .. } => !world.stock.is_active(&member.account),
            _ => false,
        }
    }

    /// Does it, or says why not; `partly` leaves some of it undone or untold.
    pub(super) fn act(
        &self,
        operation: &Operation,
        partly: bool,
    ) -> Result<Outcome, UpstreamError> {
        let mut world = self.lock();
        world.settle();
        let members = members_of(operation);
        let (out, mut done): (Vec<_>, Vec<_>) = members
            .iter()
            .cloned()
            .partition(|member| self.cannot(&world, operation, member));
        let whole = matches!(operation, Operation::CreateGroup { .. }) || self.nature.strict;
        if !out.is_empty() && whole {
            return Err(refused());
        }
        let mut told = done.clone();
        if partly && !matches!(operation, Operation::CreateGroup { .. }) {
            done.retain(|_| chance(60));
            told.retain(|member| done.contains(member) && chance(60));
        }
        let mut scratch = world.stock.clone();
        match perform(&mut scratch, operation, &done, self.nature.forgets) {
            Err(UpstreamError::Exists { .. }) if self.nature.keeps && is_account(operation) => {}
            other => other?,
        }
        self.lie_about(&mut world, operation, &done);
        let outcome = |member: &Principal| {
            let applied = told.contains(member);
            let outcome = if applied {
                MemberOutcome::Applied
            } else {
                MemberOutcome::LeftOut
            };
            (member.user, outcome)
        };
        Ok(Outcome {
            members: members.iter().map(outcome).collect(),
            ..Outcome::default()
        })
    }

    /// Does it, unless this is one that lies.
    fn lie_about(&self, world: &mut World, operation: &Operation, done: &[Principal]) {
        let forgets = self.nature.forgets;
        let untrue = match (self.lie, operation) {
            (Lie::AddsNothing, Operation::AddMembers { .. })
            | (Lie::RemovesNothing, Operation::RemoveMembers { .. })
            | (Lie::DeactivatesNothing, Operation::DeactivateUser { .. })
            | (Lie::CreatesNothing, Operation::CreateUser { .. })
            | (Lie::DeletesNothing, Operation::DeleteGroup { .. }) => true,
            (Lie::ClearsFirst, Operation::AddMembers { group, .. }) => {
                let before = world.stock.groups.get(group).cloned().unwrap_or_default();
                world.change(
                    now(),
                    |_, _| false,
                    |stock| {
                        stock.groups.insert(group.clone(), BTreeSet::new());
                    },
                );
                world.change(
                    now(),
                    |_, _| false,
                    |stock| {
                        stock.groups.insert(group.clone(), before);
                    },
                );
                false
            }
            _ => false,
        };
        if untrue && chance(30) {
            return;
        }
        // Who is named and goes all the same is left out of a replacement that
        // was done in part.
        let named = members_of(operation);
        let replaces = matches!(operation, Operation::ReplaceMembers { .. });
        let aside = |account: &str, present: bool| {
            replaces && !present && named.iter().any(|it| it.account == account)
        };
        world.change(now(), aside, |stock| {
            let _ = perform(stock, operation, done, forgets);
        });
        if let (Lie::Haunts, Operation::RemoveMembers { group, members }) = (self.lie, operation) {
            let back = Operation::AddMembers {
                group: group.clone(),
                members: members.clone(),
            };
            world.coming.push((now() + 4_000, back));
        }
    }

    pub(super) async fn look(&self) -> Result<Stock, UpstreamError> {
        tokio::time::sleep(Duration::from_millis(1 + below(30))).await;
        let faults = self.lock().faults;
        if chance(faults / 2) {
            return Err(if chance(50) { not_now() } else { lost() });
        }
        let lag = Millis::try_from(below(self.nature.lag + 1)).unwrap();
        Ok(self.lock().seen(lag))
    }

    pub(super) async fn takes_its_time(&self) {
        let slow = self.lock().faults > 0 && chance(5);
        let most = if slow { 8_000 } else { 60 };
        tokio::time::sleep(Duration::from_millis(1 + below(most))).await;
    }
}
