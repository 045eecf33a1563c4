//! Rows of a list that cannot be told apart, or show nothing by which they are known.
//! They keep nobody from the others: they are left aside, counted and told. None of them
//! is ever written to by what it shares with another one. Where a whole list is so, it is
//! the list that is not understood.

use std::collections::HashSet;

use serde_json::Value;

use super::{Rest, answers, calls::barred, memory::Thing, paging::unclear};
use crate::upstream::{RemoteGroup, RemoteUser, Upstream, UpstreamError, client::note_left};

/// Why nothing is done to an account.
const SEVERAL_ACCOUNTS: &str = "several accounts have this address there, and which of them is \
    meant cannot be told; give each an address of its own there";
const SEVERAL_GROUPS: &str = "several groups have this name there, and which of them is meant \
    cannot be told; give each a name of its own there";
/// It says something of whether it is active that is not understood.
pub(super) const UNREAD: &str = "the account is there, and what it says of whether it is active is \
    not understood: compare user.active and user.active_values with what is there";
pub(super) const NAMELESS: &str = "the account is there, and shows nothing that it is known by";
const NOBODY_KNOWN: &str = "a user without what it is known by, and no other one in the answer: \
    compare user.account, user.id and user.only with the API's reference";

impl Rest {
    /// What a list shows of all accounts.
    pub(super) fn all_users(&self, rows: &[Value]) -> Result<Vec<RemoteUser>, UpstreamError> {
        let users = answers::users(rows, &self.settings.user)?;
        if let Some(error) = answers::nobody_says(rows, &self.settings.user) {
            return Err(error);
        }
        if !rows.is_empty() && users.iter().all(|user| user.unreadable) {
            return Err(unclear(NOBODY_KNOWN));
        }
        let shared = answers::shared_addresses(&users).into_iter();
        let is_account = |thing: &Thing| matches!(thing, Thing::Account(_));
        self.memory
            .are_shared(shared.map(Thing::Account).collect(), is_account);
        let nameless = users.iter().filter(|user| user.unreadable);
        let nameless: HashSet<String> = nameless.filter_map(|it| it.upstream_id.clone()).collect();
        self.memory.are_nameless(nameless);
        Ok(self.known(users))
    }

    /// What a search shows. Where there is no list that could tell more, one of which
    /// nothing is understood is no answer.
    pub(super) fn found_users(
        &self,
        rows: &[Value],
        is_all: bool,
    ) -> Result<Vec<RemoteUser>, UpstreamError> {
        let users = answers::users(rows, &self.settings.user);
        let users = users.inspect_err(|error| note_left(format!("find_user: {error}")))?;
        if let Some(error) = answers::nobody_says(rows, &self.settings.user) {
            note_left(format!("find_user: {error}"));
            if is_all {
                return Err(error);
            }
        }
        if is_all && !users.is_empty() && users.iter().all(|user| user.unreadable) {
            note_left(format!("find_user: {NOBODY_KNOWN}"));
            return Err(unclear(NOBODY_KNOWN));
        }
        for account in answers::shared_addresses(&users) {
            self.memory.is_shared_by_now(Thing::Account(account));
        }
        Ok(self.known(users))
    }

    /// What a list shows of all groups.
    pub(super) fn all_groups(&self, rows: &[Value]) -> Result<Vec<RemoteGroup>, UpstreamError> {
        let groups = answers::groups(rows, &self.settings.group)?;
        if !groups.all.is_empty() && groups.all.iter().all(|group| group.unreadable) {
            return Err(unclear(
                "a group without what it is known by, and no other one in the answer",
            ));
        }
        let shared = groups.shared.iter().cloned();
        let is_group = |thing: &Thing| matches!(thing, Thing::Group(_));
        self.memory
            .are_shared(shared.map(Thing::Group).collect(), is_group);
        Ok(self.remembered(groups))
    }

    /// What a search shows.
    pub(super) fn found_groups(&self, rows: &[Value]) -> Result<Vec<RemoteGroup>, UpstreamError> {
        let groups = answers::groups(rows, &self.settings.group)?;
        for name in &groups.shared {
            self.memory.is_shared_by_now(Thing::Group(name.clone()));
        }
        Ok(self.remembered(groups))
    }

    fn remembered(&self, groups: answers::Groups) -> Vec<RemoteGroup> {
        let answers::Groups { all, shared } = groups;
        let known = |group: &&RemoteGroup| !group.unreadable && !shared.contains(&group.name);
        self.remember(all.iter().filter(known));
        // The id would be that of one of them.
        shared
            .iter()
            .for_each(|name| self.memory.shown(name, None, None));
        all
    }

    /// Of those that have an address, the one of an id, or the only one.
    pub(super) fn one_of(
        mut found: Vec<RemoteUser>,
        id: Option<&str>,
    ) -> Result<Option<RemoteUser>, UpstreamError> {
        if found.len() > 1 {
            found.retain(|user| id.is_some() && user.upstream_id.as_deref() == id);
            if found.is_empty() {
                return Err(barred(SEVERAL_ACCOUNTS));
            }
        }
        Ok(found.pop())
    }

    /// What is known of several together: that somebody is there.
    pub(super) fn merged(mut found: Vec<RemoteUser>) -> Result<Option<RemoteUser>, UpstreamError> {
        if found.iter().any(|user| user.unreadable) {
            return Err(barred(UNREAD));
        }
        if found.len() < 2 {
            return Ok(found.pop());
        }
        let active = found.iter().any(|user| user.active);
        let first = found.swap_remove(0);
        Ok(Some(RemoteUser {
            account: first.account,
            active,
            ..RemoteUser::default()
        }))
    }

    /// Whoever is told by an address alone must be the only one who has it. What was
    /// shared is looked at again.
    pub(super) async fn is_alone(&self, account: &str) -> Result<(), UpstreamError> {
        let thing = Thing::Account(account.to_lowercase());
        if self.memory.is_shared(&thing) {
            self.look_for_account(account, None).await?;
        }
        Ok(())
    }

    /// The same of a group and its name; `anew`: it is looked at again.
    pub(super) async fn is_told_apart(&self, group: &str, anew: bool) -> Result<(), UpstreamError> {
        let thing = Thing::Group(group.to_owned());
        if anew && self.memory.is_shared(&thing) {
            self.groups().await?;
        }
        if self.memory.is_shared(&thing) {
            return Err(barred(SEVERAL_GROUPS));
        }
        Ok(())
    }
}
