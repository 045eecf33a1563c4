//! The end of a user: out of every Snyk Group of the connection, with every
//! account that has the user's address, and where that is wanted out of the SSO
//! connections. Where somebody is the last administrator that one membership
//! stays and is told of, and everything else goes; once something did, nothing is
//! told to be undone. What waits for a look at a group keeps that alone.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Snyk,
    accounts::not_one,
    administrators::{Leave, Permit},
    api::{Membership, Which},
    families::{ids, name},
    membership::{later, outcome},
    settings::Sso,
};
use crate::{
    plan::state::Principal,
    upstream::{
        MemberOutcome, Outcome, UpstreamError,
        client::{Priority, note_ended},
    },
};

/// So often it is looked for what was not there any more as it was shown.
const ROUNDS: usize = 2;

/// What is to go of one Snyk Group: one membership, unless Snyk shows more.
struct Doomed {
    group: String,
    memberships: Vec<Membership>,
}

impl Snyk {
    pub(super) async fn withdraw(&self, who: &Principal) -> Result<Outcome, UpstreamError> {
        let mut groups = self.group_ids().await?;
        groups.retain(|group| !who.elsewhere.contains(group) && !has_any(&who.keeps, group));
        // In one order for all, as there may be one to be held in each.
        groups.sort_unstable();
        let mut users: BTreeSet<String> = who.upstream_id.clone().into_iter().collect();
        let mut end = End::default();
        // Who was never linked has only the accounts that are known.
        if who.upstream_id.is_some() || who.twins.is_empty() {
            self.leave_all(&groups, who, &mut users, &mut end).await?;
        }
        // Once the others are out, they are none who administers.
        for twin in &who.twins {
            let twin = Principal {
                upstream_id: Some(twin.clone()),
                ..who.clone()
            };
            self.leave_all(&groups, &twin, &mut users, &mut end).await?;
        }
        if end.waits.is_some() {
            return Err(end.broken_off(UpstreamError::Later {
                after: end.waits,
                reason: "what was sent before the start may count still".into(),
            }));
        }
        let found = end.found;
        let left = end.left()?;
        if self.settings.sso == Sso::Remove && who.keeps.is_empty() {
            groups.retain(|group| !shares(who, group));
            for user in &users {
                self.leave_sso(&groups, user).await.map_err(half_done)?;
            }
        }
        match left {
            None if found => Ok(Outcome::default()),
            None => Ok(outcome(who, MemberOutcome::Seen)),
            Some(reason) => Err(UpstreamError::Partly { reason }),
        }
    }

    /// One account, out of everything that there is.
    async fn leave_all(
        &self,
        groups: &[String],
        who: &Principal,
        users: &mut BTreeSet<String>,
        end: &mut End,
    ) -> Result<(), UpstreamError> {
        let (refused, waits) = (end.refused.take(), end.waits.take());
        for _ in 0..ROUNDS {
            let complete = self.round(groups, who, users, end).await;
            if complete.map_err(|error| end.broken_off(error))? {
                end.refused = refused.or(end.refused.take());
                end.waits = waits.max(end.waits);
                return Ok(());
            }
        }
        let error = later("the memberships change while they are looked at");
        Err(end.broken_off(error))
    }

    /// Ends everything that there is; false if some of it was not there under
    /// its id, so that another may be in its place.
    async fn round(
        &self,
        groups: &[String],
        who: &Principal,
        users: &mut BTreeSet<String>,
        end: &mut End,
    ) -> Result<bool, UpstreamError> {
        let doomed = self.doomed(groups, who).await?;
        end.found |= !doomed.is_empty();
        let leaves = self.may_go(&doomed).await?;
        let mut complete = true;
        (end.refused, end.waits) = (None, None);
        for (one, permit) in doomed.iter().zip(leaves) {
            let mut leave = match permit {
                Permit::Given(leave) => leave,
                // The others go all the same.
                Permit::NotYet(wait) => {
                    end.waits = end.waits.max(Some(wait));
                    continue;
                }
                Permit::Never(reason) => {
                    let error = UpstreamError::Barred { reason };
                    _ = end.refused.get_or_insert(error);
                    continue;
                }
            };
            for membership in &one.memberships {
                let id = (one.group.as_str(), membership.id.as_str());
                let role = Some(membership.role_name.as_str());
                let mut leave = if self.administers(&membership.role_id, role) {
                    std::mem::take(&mut leave)
                } else {
                    Leave::default()
                };
                leave.begins();
                let gone = self.delete(id, &membership.user_id).await;
                leave.ends(&gone);
                match gone {
                    Ok(()) => {
                        end.begun = true;
                        note_ended(&membership.user_id, name(&one.group, &membership.role_id));
                    }
                    Err(UpstreamError::Missing { .. }) => complete = false,
                    Err(
                        error @ (UpstreamError::Barred { .. } | UpstreamError::Rejected { .. }),
                    ) => _ = end.refused.get_or_insert(error),
                    Err(error) => return Err(error),
                }
                users.insert(membership.user_id.clone());
            }
        }
        Ok(complete)
    }

    /// What there is of the account that was linked; if there is nothing, of the
    /// one that has its address now.
    async fn doomed(
        &self,
        groups: &[String],
        who: &Principal,
    ) -> Result<Vec<Doomed>, UpstreamError> {
        if let Some(user) = &who.upstream_id {
            let doomed = self.doomed_by(groups, Which::OfUser(user), who).await?;
            // Where some of it is kept, it is there still.
            if !doomed.is_empty() || !who.keeps.is_empty() {
                return Ok(doomed);
            }
            return match self.made_anew(who).await? {
                Some(user) => self.doomed_by(groups, Which::OfUser(&user), who).await,
                None => Ok(Vec::new()),
            };
        }
        let which = Which::OfEmail(&who.account);
        let doomed = self.doomed_by(groups, which, who).await?;
        let of_all = doomed.iter().flat_map(|one| &one.memberships);
        let users: BTreeSet<&str> = of_all.map(|it| it.user_id.as_str()).collect();
        if users.len() > 1 {
            return Err(not_one());
        }
        Ok(doomed)
    }

    async fn doomed_by(
        &self,
        groups: &[String],
        which: Which<'_>,
        who: &Principal,
    ) -> Result<Vec<Doomed>, UpstreamError> {
        let mut doomed = Vec::new();
        for group in groups {
            let mut memberships = self.memberships_of(group, which).await?;
            memberships.retain(|it| !who.elsewhere.contains(&name(group, &it.role_id)));
            if !memberships.is_empty() {
                doomed.push(Doomed {
                    group: group.clone(),
                    memberships,
                });
            }
        }
        Ok(doomed)
    }

    /// What a look shows, also of who was told of a moment ago: an end is of all
    /// that is there, and of the last who administers it is none.
    async fn memberships_of(
        &self,
        group: &str,
        which: Which<'_>,
    ) -> Result<Vec<Membership>, UpstreamError> {
        let lately = match which {
            Which::OfUser(user) => self.lately.take(group, user),
            _ => None,
        };
        let mut memberships = match lately {
            Some(shown) => self.still_there(shown),
            None => self.look(group, which, Priority::Revocation).await?,
        };
        if let Which::OfUser(user) = which
            && memberships.len() < 2
        {
            // With what a look might not show yet.
            let now = self.now_of(group, user, memberships.pop());
            memberships = now.is.into_iter().collect();
        }
        Ok(memberships)
    }

    /// What a look right before has shown, but for what calls of ours ended since.
    fn still_there(&self, mut shown: Vec<Membership>) -> Vec<Membership> {
        let lag = self.lags().read_lag;
        shown.retain(|it| !self.memory.has_ended(&it.id, lag));
        shown
    }

    /// The right to end each.
    async fn may_go(&self, doomed: &[Doomed]) -> Result<Vec<Permit>, UpstreamError> {
        let mut leaves = Vec::with_capacity(doomed.len());
        for one in doomed {
            let administers = |it: &&Membership| self.administers(&it.role_id, Some(&it.role_name));
            leaves.push(match one.memberships.iter().find(administers) {
                None => Permit::Given(Leave::default()),
                Some(now) => match self.leave(&one.group, now).await {
                    Err(UpstreamError::Barred { reason }) => Permit::Never(reason),
                    permit => permit?,
                },
            });
        }
        Ok(leaves)
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

/// Whether another connection has a part in a Snyk Group, so that signing in
/// there is not this one's to end.
fn shares(who: &Principal, group: &str) -> bool {
    has_any(&who.elsewhere, group)
}

/// Whether some of these roles are of a Snyk Group.
fn has_any(roles: &[String], group: &str) -> bool {
    let of = |name: &String| ids(name).is_some_and(|(of, _)| of == group);
    roles.iter().any(of)
}

/// How far the end of all memberships has come. What is refused of one does not
/// keep the others.
#[derive(Default)]
struct End {
    /// A look has shown something.
    found: bool,
    begun: bool,
    refused: Option<UpstreamError>,
    /// For so long it cannot be known whether somebody else administers.
    waits: Option<Duration>,
}

impl End {
    fn broken_off(&self, error: UpstreamError) -> UpstreamError {
        if self.begun { half_done(error) } else { error }
    }

    /// Why something stays, where others have gone; an error if none has.
    fn left(self) -> Result<Option<String>, UpstreamError> {
        match self.refused {
            None => Ok(None),
            Some(error) if !self.begun => Err(error),
            Some(UpstreamError::Barred { reason }) => Ok(Some(reason)),
            Some(error) => {
                tracing::warn!(%error, "a membership stays");
                let reason = "it refused to end one of the memberships; its own words are in the \
                              bridge's log";
                Ok(Some(reason.to_owned()))
            }
        }
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
