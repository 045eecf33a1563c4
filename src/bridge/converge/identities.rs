//! People by both names that an application has for them: its own id, and the
//! account. Some lists show one, some the other, some both; either is enough.

use std::collections::HashSet;

use crate::{plan::state::Principal, upstream::RemoteMember};

#[derive(Default)]
pub(in crate::bridge) struct Identities {
    ids: HashSet<String>,
    accounts: HashSet<String>,
}

impl Identities {
    /// Those who are there for certain.
    pub(in crate::bridge) fn of_members(members: &[RemoteMember]) -> Self {
        let mut all = Self::default();
        for member in members.iter().filter(|it| !it.unclear) {
            all.ids.extend(member.upstream_id.clone());
            all.accounts
                .extend(member.account.as_ref().map(|it| it.to_lowercase()));
        }
        all
    }

    pub(super) fn of_principals<'a>(principals: impl Iterator<Item = &'a Principal>) -> Self {
        let mut all = Self::default();
        for principal in principals {
            all.ids.extend(principal.upstream_id.clone());
            all.accounts.insert(principal.account.to_lowercase());
        }
        all
    }

    pub(in crate::bridge) fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.accounts.is_empty()
    }

    pub(in crate::bridge) fn has(&self, principal: &Principal) -> bool {
        self.has_either(principal.upstream_id.as_deref(), Some(&principal.account))
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn has_member(&self, member: &RemoteMember) -> bool {
        self.has_either(member.upstream_id.as_deref(), member.account.as_deref())
    }

    fn has_either(&self, id: Option<&str>, account: Option<&str>) -> bool {
        id.is_some_and(|id| self.ids.contains(id))
            || account.is_some_and(|it| self.accounts.contains(&it.to_lowercase()))
    }
}
