//! What there is, was, and will be when calls land that are under way, and what a call
//! makes of it.

use std::collections::BTreeSet;

use super::{super::now, Attempt, Change, PLAIN, Stock, exists, missing};
use crate::{
    plan::{operation::Operation, state::Principal},
    upstream::{Millis, UpstreamError},
};

pub(super) struct World {
    pub(super) stock: Stock,
    pub(super) past: Vec<(Millis, Stock)>,
    pub(super) coming: Vec<(Millis, Operation)>,
    /// On their way when the bridge died, with their numbers.
    pub(super) cut: Vec<(usize, Operation)>,
    pub(super) log: Vec<Change>,
    /// When a call that writes came in.
    pub(super) calls: Vec<Millis>,
    /// All that were to write, those too that did not come in.
    pub(super) attempts: Vec<Attempt>,
    /// When one last had an answer that left something open.
    pub(super) unclear: Millis,
    pub(super) faults: u64,
    /// What comes late comes of its own accord.
    pub(super) haunts: bool,
    /// Removals that were refused.
    pub(super) refused: BTreeSet<(String, String)>,
}

impl World {
    /// Changes the stock, and tells the log in what, and what of it was not
    /// what it was asked for now.
    pub(super) fn change(
        &mut self,
        at: Millis,
        aside: impl Fn(&str, bool) -> bool,
        change: impl FnOnce(&mut Stock),
    ) {
        let before = self.stock.clone();
        change(&mut self.stock);
        let left = |account: &str| before.is_active(account) && !self.stock.is_active(account);
        let mut told = Vec::new();
        let mut tell = |group: Option<&String>, account: &String, present| {
            told.push(Change {
                at,
                group: group.cloned(),
                account: account.clone(),
                present,
                aside: aside(account, present) || (group.is_some() && left(account)),
            });
        };
        let none = BTreeSet::new();
        let names: BTreeSet<_> = before
            .groups
            .keys()
            .chain(self.stock.groups.keys())
            .collect();
        for name in names {
            let was = before.groups.get(name).unwrap_or(&none);
            let is = self.stock.groups.get(name).unwrap_or(&none);
            was.difference(is).for_each(|a| tell(Some(name), a, false));
            is.difference(was).for_each(|a| tell(Some(name), a, true));
        }
        for (account, (active, _)) in &self.stock.accounts {
            if before.is_active(account) != *active {
                tell(None, account, *active);
            }
        }
        self.log.extend(told);
        if before != self.stock {
            self.past.push((at, before));
        }
    }

    /// What was to come by now has come.
    pub(super) fn settle(&mut self) {
        let now = now();
        let (due, coming) = std::mem::take(&mut self.coming)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.coming = coming;
        let mut due: Vec<_> = due;
        due.sort_by_key(|(at, _)| *at);
        for (at, operation) in due {
            let members = members_of(&operation);
            let haunts = self.haunts;
            self.change(
                at,
                |_, _| !haunts,
                |stock| {
                    let _ = perform(stock, &operation, &members, false);
                },
            );
        }
    }

    /// What a read shows that lags behind.
    pub(super) fn seen(&mut self, lag: Millis) -> Stock {
        self.settle();
        let then = now() - lag;
        let shown = self.past.iter().find(|(until, _)| *until > then);
        shown.map_or_else(|| self.stock.clone(), |(_, stock)| stock.clone())
    }
}

pub(super) fn members_of(operation: &Operation) -> Vec<Principal> {
    match operation {
        Operation::CreateGroup { members, .. }
        | Operation::AddMembers { members, .. }
        | Operation::RemoveMembers { members, .. }
        | Operation::ReplaceMembers { members, .. } => members.clone(),
        _ => Vec::new(),
    }
}

pub(super) fn is_account(operation: &Operation) -> bool {
    matches!(operation, Operation::CreateUser { .. })
}

/// Does what is asked with those of its members that are to be done.
pub(super) fn perform(
    stock: &mut Stock,
    operation: &Operation,
    members: &[Principal],
    forgets: bool,
) -> Result<(), UpstreamError> {
    let names = || members.iter().map(|member| member.account.clone());
    match operation {
        Operation::CreateUser {
            account,
            role,
            fields,
            ..
        } => {
            if stock.is_active(account) {
                return Err(exists());
            }
            let made = now();
            let held = stock
                .accounts
                .entry(account.clone())
                .or_insert((true, made));
            held.0 = true;
            let role = role.as_deref().unwrap_or(PLAIN).to_owned();
            let fields = (role, fields.get("title").cloned());
            stock.fields.insert(account.clone(), fields);
        }
        Operation::SetRole { principal, role } => {
            if !stock.is_active(&principal.account) {
                return Err(missing());
            }
            let held = stock.fields.get_mut(&principal.account);
            held.ok_or_else(missing)?.0.clone_from(role);
        }
        Operation::UpsertProfile {
            account, fields, ..
        } => {
            if !stock.is_active(account) {
                return Err(missing());
            }
            let held = stock.fields.get_mut(account).ok_or_else(missing)?;
            if let Some(title) = fields.get("title") {
                held.1 = Some(title.clone()).filter(|it| !it.is_empty());
            }
        }
        Operation::DeactivateUser { principal } => {
            if !stock.is_active(&principal.account) {
                return Err(missing());
            }
            if let Some(held) = stock.accounts.get_mut(&principal.account) {
                held.0 = false;
            }
            if forgets {
                for members in stock.groups.values_mut() {
                    members.remove(&principal.account);
                }
            }
        }
        Operation::CreateGroup { name, .. } => {
            if stock.groups.contains_key(name) {
                return Err(exists());
            }
            stock.groups.insert(name.clone(), names().collect());
        }
        Operation::DeleteGroup { name } => {
            stock.groups.remove(name).ok_or_else(missing)?;
        }
        Operation::AddMembers { group, .. } => {
            let held = stock.groups.get_mut(group).ok_or_else(missing)?;
            held.extend(names());
        }
        Operation::RemoveMembers { group, .. } => {
            let held = stock.groups.get_mut(group).ok_or_else(missing)?;
            names().for_each(|name| {
                held.remove(&name);
            });
        }
        Operation::ReplaceMembers { group, .. } => {
            let held = stock.groups.get_mut(group).ok_or_else(missing)?;
            *held = names().collect();
        }
        Operation::RenameGroup { .. } => {}
    }
    Ok(())
}
