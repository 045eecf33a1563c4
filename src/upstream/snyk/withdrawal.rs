//! The end of a user: out of every Snyk Group of the connection, and where that
//! is wanted out of the SSO connections. Whether somebody is the last
//! administrator anywhere is known before the first call that takes something
//! away; once one did, nothing is told to be undone.

use super::{Snyk, administrators::Leave, api::Membership, membership::later, settings::Sso};
use crate::{
    plan::state::Principal,
    upstream::{Outcome, UpstreamError, client::Priority},
};

/// A membership that is to go.
struct Doomed {
    group: String,
    membership: String,
    user: String,
    /// As a look has shown it; `None` if it was known before.
    now: Option<Membership>,
}

impl Snyk {
    pub(super) async fn withdraw(&self, who: &Principal) -> Result<Outcome, UpstreamError> {
        let groups = self.group_ids().await?;
        let mut doomed = Vec::new();
        for group in &groups {
            doomed.extend(self.doomed(group, who).await?);
        }
        let mut leaves = Vec::with_capacity(doomed.len());
        for one in &doomed {
            leaves.extend(self.may_go(one).await?);
        }
        let mut begun = false;
        for one in &doomed {
            match self.end(one, who).await {
                Ok(()) => begun = true,
                Err(error) if begun => return Err(half_done(error)),
                Err(error) => return Err(error),
            }
        }
        let user = who.upstream_id.as_deref();
        let user = user.or(doomed.first().map(|one| one.user.as_str()));
        if let (Sso::Remove, Some(user)) = (self.settings.sso, user) {
            self.leave_sso(&groups, user).await.map_err(half_done)?;
        }
        Ok(Outcome::default())
    }

    /// The membership in one Snyk Group, if there is one. A known one needs no
    /// look, which might not show it yet.
    async fn doomed(&self, group: &str, who: &Principal) -> Result<Option<Doomed>, UpstreamError> {
        if let Some(user) = &who.upstream_id
            && let Some(known) = self.memory.membership(group, user)
        {
            return Ok(Some(Doomed {
                group: group.to_owned(),
                membership: known.id,
                user: user.clone(),
                now: None,
            }));
        }
        let found = self.find(group, who, Priority::Revocation).await?;
        Ok(found.map(|now| Doomed {
            group: group.to_owned(),
            membership: now.id.clone(),
            user: now.user_id.clone(),
            now: Some(now),
        }))
    }

    async fn may_go(&self, one: &Doomed) -> Result<Leave, UpstreamError> {
        match &one.now {
            Some(now) => self.leave(&one.group, now).await,
            None if self.is_administrator(&one.group, &one.user).await? => {
                self.leave_administration(&one.group, &one.user).await
            }
            None => Ok(None),
        }
    }

    /// Ends one membership; a second look if it is not there under its id.
    async fn end(&self, one: &Doomed, who: &Principal) -> Result<(), UpstreamError> {
        let id = (one.group.as_str(), one.membership.as_str());
        match self.delete(id, &one.user).await {
            Err(UpstreamError::Missing { .. }) => {}
            done => return done,
        }
        let Some(now) = self.find(&one.group, who, Priority::Revocation).await? else {
            return Ok(());
        };
        let id = (one.group.as_str(), now.id.as_str());
        match self.delete(id, &now.user_id).await {
            Err(UpstreamError::Missing { .. }) => {
                Err(later("the membership changes while it is looked at"))
            }
            done => done,
        }
    }

    async fn leave_sso(&self, groups: &[String], user: &str) -> Result<(), UpstreamError> {
        for group in groups {
            for sso in self.api.sso_connections(group).await? {
                self.api.delete_sso_user(group, &sso.id, user).await?;
            }
        }
        *self.sso_users.lock().await = None;
        Ok(())
    }
}

/// Something was taken away already, so it is open what the whole came to.
fn half_done(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Later { reason, .. } | UpstreamError::Denied { reason } => {
            UpstreamError::Unknown { reason }
        }
        other => other,
    }
}
