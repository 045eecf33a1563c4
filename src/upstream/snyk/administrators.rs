//! A Snyk Group keeps somebody who administers it: Snyk documents no rule of
//! its own against taking the last one away, and nobody could mend it then.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::OwnedMutexGuard;

use super::{
    Snyk,
    api::{Membership, Which},
    roles::is_same_name,
};
use crate::upstream::{
    UpstreamError,
    client::{Moment, Priority},
};

/// Somebody whose role was read longer ago is looked at again.
const LATELY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Administrators(Mutex<HashMap<String, Seen>>);

/// Of one Snyk Group.
#[derive(Debug, Default)]
struct Seen {
    /// Held while one of them is taken away, so that two at once are not the
    /// last two.
    leaving: Arc<tokio::sync::Mutex<()>>,
    users: Option<(Moment, HashSet<String>)>,
}

/// The right to take a role away, as long as it is kept; nothing is to be kept
/// for a role that does not administer.
pub(super) type Leave = Option<OwnedMutexGuard<()>>;

impl Administrators {
    fn groups(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaving(&self, group: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut groups = self.groups();
        Arc::clone(&groups.entry(group.to_owned()).or_default().leaving)
    }

    fn keep(&self, group: &str, seen: Option<(Moment, HashSet<String>)>) {
        self.groups().entry(group.to_owned()).or_default().users = seen;
    }

    fn lately(&self, group: &str, user: &str) -> Option<bool> {
        let groups = self.groups();
        let (when, users) = groups.get(group)?.users.as_ref()?;
        when.is_within(LATELY).then(|| users.contains(user))
    }
}

impl Snyk {
    /// Whether a role, by its id and its name where that is known, is the one
    /// that administers.
    pub(super) fn administers(&self, id: &str, name: Option<&str>) -> bool {
        let role = self.settings.administrator_role.trim();
        role == id || name.is_some_and(|name| is_same_name(name, role))
    }

    /// A call of ours has made somebody an administrator, or may have.
    pub(super) fn note_role(&self, group: &str, role: &str) {
        let name = self.families.name_of(group, role);
        if self.administers(role, name.as_deref()) {
            self.administrators.keep(group, None);
        }
    }

    /// Whether somebody administers a Snyk Group, as was read a moment ago.
    pub(super) async fn is_administrator(
        &self,
        group: &str,
        user: &str,
    ) -> Result<bool, UpstreamError> {
        if let Some(known) = self.administrators.lately(group, user) {
            return Ok(known);
        }
        let began = Moment::now();
        let users = self.read_administrators(group).await?;
        let is_one = users.contains(user);
        self.administrators.keep(group, Some((began, users)));
        Ok(is_one)
    }

    /// The right to take a role away from somebody who has it now.
    pub(super) async fn leave(
        &self,
        group: &str,
        now: &Membership,
    ) -> Result<Leave, UpstreamError> {
        if !self.administers(&now.role_id, Some(&now.role_name)) {
            return Ok(None);
        }
        self.leave_administration(group, &now.user_id).await
    }

    /// The same of somebody who administers.
    pub(super) async fn leave_administration(
        &self,
        group: &str,
        user: &str,
    ) -> Result<Leave, UpstreamError> {
        let held = self.administrators.leaving(group).lock_owned().await;
        let users = self.read_administrators(group).await?;
        // Whatever becomes of it, what was read is out of date then.
        self.administrators.keep(group, None);
        if users.iter().any(|other| other != user) {
            return Ok(Some(held));
        }
        Err(UpstreamError::Barred {
            reason: format!(
                "nobody else has the role {:?} in the Snyk Group {group}, and somebody must; give it to \
                 another user first",
                self.settings.administrator_role
            ),
        })
    }

    /// Memberships can be asked for by the name of a role alone, and in the
    /// spelling that Snyk has for it.
    async fn read_administrators(&self, group: &str) -> Result<HashSet<String>, UpstreamError> {
        let role = self.settings.administrator_role.trim();
        let mut name = self.families.spelled(group, role);
        if name.is_none() {
            let found = self.in_role(group, role).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            self.know_roles(group).await?;
            name = self.families.spelled(group, role);
        }
        match name {
            Some(name) => self.in_role(group, &name).await,
            None => Ok(HashSet::new()),
        }
    }

    async fn in_role(&self, group: &str, name: &str) -> Result<HashSet<String>, UpstreamError> {
        let which = Which::InRole(name);
        let found = self.look(group, which, Priority::Revocation).await?;
        Ok(found.into_iter().map(|it| it.user_id).collect())
    }
}
