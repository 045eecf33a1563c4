//! Looking for one group or one account. A search may find nothing because it
//! lags behind or has a bad moment, and a list may be cut: so what a search does
//! not show is looked for in the list too, and what neither shows is gone only
//! when a later reading misses it as well. Which id a name has is read again
//! before a change, because members must not go into a group of another name.

use super::{
    Rest,
    answers::{ID, SPELLED},
    apart::{NAMELESS, UNREAD},
    calls::{barred, later},
    memory::Thing,
    operation::Name,
    paging::unclear,
    settings::KnownBy,
};
use crate::plan::state::Principal;
use crate::upstream::{RemoteGroup, RemoteUser, Upstream, UpstreamError, client::note_left};

/// So many members are looked for one by one.
const FEW: usize = 3;

/// Where an account is whose id is known.
pub(super) enum Whereabouts {
    /// Where it was, as far as can be seen.
    Known,
    /// At another address.
    At(RemoteUser),
    /// Nothing shows it, and another account has its address.
    Anothers,
}

/// Where a group is.
pub(super) enum Place {
    Here,
    /// Another one has its name by now.
    Elsewhere,
    Nowhere,
}

impl Rest {
    /// One group, as the search or the list shows it now.
    pub(super) async fn look_for_group(
        &self,
        name: &str,
    ) -> Result<Option<RemoteGroup>, UpstreamError> {
        let mut found = None;
        if self.settings.has(Name::FindGroup) {
            let hole = match self.settings.group.known_by {
                KnownBy::Id => "group.id",
                KnownBy::Email | KnownBy::Name => "group.name",
            };
            let rows = self.search(Name::FindGroup, &[(hole, name)]).await?;
            let list = self.marked(self.found_groups(&rows)?);
            found = list.into_iter().find(|group| group.name == name);
        }
        if found.is_none() {
            let mut list = self.groups().await?.into_iter();
            found = list.find(|group| group.name == name);
        }
        if found.is_some() {
            self.memory.looked_up(name);
        }
        Ok(found)
    }

    /// The same; `None` is believed only of readings that are apart.
    pub(super) async fn sure_group(
        &self,
        name: &str,
    ) -> Result<Option<RemoteGroup>, UpstreamError> {
        let found = self.look_for_group(name).await?;
        if found.is_none() && self.settings.group.fixed.is_empty() {
            if !self.memory.is_gone(Thing::Group(name.to_owned())) {
                return Err(UpstreamError::Missed {
                    reason: "a reading misses the group, and may lag behind".into(),
                });
            }
            self.memory.forget(name);
        }
        Ok(found)
    }

    /// Where a group is of which a call says that it is missing.
    pub(super) async fn where_is(
        &self,
        group: &str,
        id: Option<&str>,
    ) -> Result<Place, UpstreamError> {
        self.memory.doubt(group);
        Ok(match self.sure_group(group).await? {
            None => Place::Nowhere,
            Some(_) if self.memory.is_shared(&Thing::Group(group.to_owned())) => Place::Here,
            Some(found) if id.is_some() && found.fields.get(ID).map(String::as_str) != id => {
                Place::Elsewhere
            }
            Some(_) => Place::Here,
        })
    }

    /// The id of a group, where a call wants it and the bridge knows its name.
    pub(super) async fn id_for(
        &self,
        name: Name,
        group: &str,
    ) -> Result<Option<String>, UpstreamError> {
        let wanted = self.declared(name)?.holes().contains("group.id");
        self.is_told_apart(group, true).await?;
        if !wanted || self.settings.group.known_by == KnownBy::Id {
            return Ok(None);
        }
        if let Some(id) = self.settings.group.fixed.get(group) {
            return Ok(Some(id.clone()));
        }
        if let Some(id) = self.memory.id(group, name.writes()) {
            return Ok(Some(id));
        }
        let found = self.sure_group(group).await?;
        self.is_told_apart(group, false).await?;
        let found = found.ok_or_else(|| UpstreamError::Missing {
            reason: "there is no group of this name".into(),
        })?;
        let id = found.fields.get(ID).cloned();
        id.map(Some).ok_or_else(|| unclear("a group without an id"))
    }

    pub(super) fn remember<'a>(&self, groups: impl Iterator<Item = &'a RemoteGroup>) {
        for group in groups {
            let id = group.fields.get(ID).map(String::as_str);
            self.memory.shown(&group.name, id, group.member_count);
        }
    }

    /// Whether a list of members holds fewer than the group says that it has.
    pub(super) async fn is_cut_off(
        &self,
        group: &str,
        members: usize,
    ) -> Result<bool, UpstreamError> {
        let lacks = |said: Option<u64>| said.is_some_and(|said| said > members as u64);
        if !lacks(self.memory.members_of(group)) {
            return Ok(false);
        }
        // What it said may be older than the list.
        let now = self.look_for_group(group).await?;
        Ok(lacks(now.and_then(|group| group.member_count)))
    }

    /// Those that have an address, active or not, as the search shows them, or else
    /// the list.
    pub(super) async fn accounts(&self, account: &str) -> Result<Vec<RemoteUser>, UpstreamError> {
        let shape = &self.settings.user;
        let list = if self.settings.has(Name::FindUser) {
            let hole = match shape.known_by {
                KnownBy::Id => "user.id",
                KnownBy::Email | KnownBy::Name => "user.account",
            };
            let asked = self.memory.spelled(account);
            let rows = self.search(Name::FindUser, &[(hole, &asked)]).await?;
            self.found_users(&rows, !self.settings.has(Name::ListUsers))?
        } else {
            self.users().await?
        };
        let others = !list.is_empty();
        let meant = of_address(list, account);
        // A search may find whatever contains what was asked for; a path may not.
        if meant.is_empty() && others && self.finds_one() {
            const ANOTHER: &str = "another user than the one asked for was answered";
            note_left(format!("find_user: {ANOTHER}"));
            return Err(unclear(ANOTHER));
        }
        Ok(meant)
    }

    /// The same, looked for in the list too where the search shows nobody, or may show
    /// one of several.
    pub(super) async fn look_for_accounts(
        &self,
        account: &str,
    ) -> Result<Vec<RemoteUser>, UpstreamError> {
        let found = self.accounts(account).await?;
        let thing = Thing::Account(account.to_lowercase());
        let is_whole = match found.len() {
            0 => false,
            1 => !self.settings.has(Name::ListUsers) || !self.memory.is_shared(&thing),
            _ => true,
        };
        if is_whole || !self.settings.has(Name::FindUser) {
            return Ok(found);
        }
        Ok(of_address(self.users().await?, account))
    }

    /// One of them: that of an id, or the only one.
    pub(super) async fn look_for_account(
        &self,
        account: &str,
        id: Option<&str>,
    ) -> Result<Option<RemoteUser>, UpstreamError> {
        let found = Self::one_of(self.look_for_accounts(account).await?, id)?;
        match found {
            Some(found) if found.unreadable => Err(barred(UNREAD)),
            found => Ok(found),
        }
    }

    /// The same; `None` is believed only of readings that are apart.
    pub(super) async fn sure_account(
        &self,
        account: &str,
        id: Option<&str>,
    ) -> Result<Option<RemoteUser>, UpstreamError> {
        let found = self.look_for_account(account, id).await?;
        let gone = || self.memory.is_gone(Thing::Account(account.to_lowercase()));
        if found.is_none() && !gone() {
            return Err(later("a reading misses the account, and may lag behind"));
        }
        Ok(found)
    }

    /// Users as they were read, from here on in the lower case that the engine
    /// compares; how they are spelled is remembered.
    pub(super) fn known(&self, mut users: Vec<RemoteUser>) -> Vec<RemoteUser> {
        for user in users.iter_mut().filter(|user| !user.account.is_empty()) {
            self.memory.spells(&user.account);
            let account = user.account.to_lowercase();
            if let Some(id) = &user.upstream_id {
                self.shows_address(id, &account);
            }
            if account != user.account {
                let shown = std::mem::replace(&mut user.account, account);
                user.fields.insert(SPELLED.to_owned(), shown);
            }
        }
        users
    }

    /// Something that was read shows the account of an id with an address. Where
    /// accounts are known by their ids, that is none.
    pub(super) fn shows_address(&self, id: &str, account: &str) {
        if self.settings.user.known_by != KnownBy::Id {
            self.memory.has_address(id, account);
        }
    }

    /// Whether the account of an id has another address by now than the one that
    /// it is known by here: as it was shown last, and still is.
    pub(super) async fn has_another_address(
        &self,
        id: &str,
        account: &str,
    ) -> Result<bool, UpstreamError> {
        if !self.memory.has_another(id, account) {
            return Ok(false);
        }
        let found = self.look_for_account(account, Some(id)).await?;
        Ok(found.and_then(|it| it.upstream_id).as_deref() != Some(id))
    }

    /// The account of an id, whatever its address is by now, where a list shows it.
    pub(super) async fn account_of(&self, id: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        let all = self.users().await?;
        let has_id = |user: &RemoteUser| user.upstream_id.as_deref() == Some(id);
        Ok(all.into_iter().find(has_id))
    }

    /// Where the account of an id is by now, which may be elsewhere than at the address
    /// that it is known by here; that one may be somebody else's then. It is looked for
    /// by whatever shows accounts, unless something has just shown it.
    pub(super) async fn whereabouts(
        &self,
        id: &str,
        account: &str,
    ) -> Result<Whereabouts, UpstreamError> {
        let searches = self.settings.has(Name::FindUser);
        let known = self.memory.knows_where(id, account, !searches);
        if known || self.settings.user.known_by == KnownBy::Id {
            return Ok(Whereabouts::Known);
        }
        let mut all = None;
        let found = if searches {
            self.look_for_accounts(account).await
        } else {
            let listed = self.users().await;
            listed.map(|list| of_address(all.insert(list).clone(), account))
        };
        let found = match found {
            // It is the look that is refused, and nothing else: as without one.
            Err(UpstreamError::Rejected { .. } | UpstreamError::Barred { .. }) => {
                return Ok(Whereabouts::Known);
            }
            found => Self::one_of(found?, Some(id)),
        };
        let found = found?;
        if found
            .as_ref()
            .is_some_and(|it| it.upstream_id.as_deref().is_none_or(|it| it == id))
        {
            return Ok(Whereabouts::Known);
        }
        let has_id = |user: &RemoteUser| user.upstream_id.as_deref() == Some(id);
        let now = match all {
            Some(all) => all.into_iter().find(has_id),
            None => self.account_of(id).await?,
        };
        Ok(match (now, found) {
            (Some(now), _) if now.unreadable && now.account.is_empty() => {
                return Err(barred(NAMELESS));
            }
            (Some(now), _) if now.account != account.to_lowercase() => Whereabouts::At(now),
            (None, Some(_)) => Whereabouts::Anothers,
            _ => Whereabouts::Known,
        })
    }

    /// Before several are taken out of a group by their addresses, with which ones it
    /// shows its members: one look instead of one for each.
    pub(super) async fn look_at_addresses(
        &self,
        group: &str,
        members: &[Principal],
    ) -> Result<(), UpstreamError> {
        let (shape, all) = (&self.settings.member, !self.settings.has(Name::FindUser));
        let shows = shape.id.is_some() && shape.account.is_some();
        let is_open = |member: &&Principal| {
            let id = member.upstream_id.as_deref();
            id.is_some_and(|id| !self.memory.knows_where(id, &member.account, all))
        };
        let open = members.iter().filter(is_open).count();
        if shows && self.settings.user.known_by != KnownBy::Id && open > FEW {
            self.members(group).await?;
        }
        Ok(())
    }

    /// Whether the search for a user names it in its path, so that the answer
    /// is that one or none.
    fn finds_one(&self) -> bool {
        let search = self.settings.operation(Name::FindUser);
        let path = search.and_then(|operation| operation.path.as_ref());
        path.is_some_and(|path| !path.holes().is_empty())
    }
}

/// Those of them that are not understood, too: they are not gone.
fn of_address(mut list: Vec<RemoteUser>, account: &str) -> Vec<RemoteUser> {
    let account = account.to_lowercase();
    list.retain(|user| user.account == account);
    list
}
