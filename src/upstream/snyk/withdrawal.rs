//! The end of a user: out of every Snyk Group of the connection, with every
//! account that has the user's address, and where that is wanted out of the SSO
//! connections; also out of one that the configuration names no more, where the
//! user has something or is shown to. Each Snyk Group is left by itself: what one
//! refuses, or cannot be read of it, keeps nobody in the others, is told by name,
//! and once something went nothing is told to be undone. Where somebody is the last
//! administrator that one membership stays, and the right to sign in. What waits for a look at a group keeps
//! that alone.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};

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

mod end;

use end::{End, unread};
pub(super) use end::{remedy, why};

/// So often it is looked for what was not there any more as it was shown.
const ROUNDS: usize = 2;
/// So many Snyk Groups are left at once, so that one that does not answer delays
/// none of the others.
const AT_ONCE: usize = 8;

/// What was shown of a user, by the ids of the Snyk Groups.
type Shown = BTreeMap<String, Vec<Membership>>;

impl Snyk {
    pub(super) async fn withdraw(&self, who: &Principal) -> Result<Outcome, UpstreamError> {
        let mut own = self.group_ids().await?;
        own.retain(|group| goes(who, group));
        let mut groups = own.clone();
        let shown = who.families.iter().filter(|group| goes(who, group));
        groups.extend(shown.filter(|group| !own.contains(group)).cloned());
        groups.sort_unstable();
        let mut end = End::default();
        end.users.extend(who.upstream_id.clone());
        // Who was never linked has only the accounts that are known.
        if who.upstream_id.is_some() || who.twins.is_empty() {
            self.leave_all(&groups, who, &mut end).await?;
        }
        // Once the others are out, they are none who administers.
        for twin in &who.twins {
            let twin = Principal {
                upstream_id: Some(twin.clone()),
                ..who.clone()
            };
            self.leave_all(&groups, &twin, &mut end).await?;
        }
        if let Some(error) = self.unended(&mut end) {
            return Err(end.broken_off(error));
        }
        if end.waits.is_some() {
            return Err(end.broken_off(UpstreamError::Later {
                after: end.waits,
                reason: "what was sent before the start may count still".into(),
            }));
        }
        let found = end.found;
        let is_whole = end.refused.is_none() || end.begun;
        if self.settings.sso == Sso::Remove && who.keeps.is_empty() && is_whole {
            own.retain(|group| !shares(who, group));
            self.leave_all_sso(&own, &mut end).await;
        }
        if let Some(error) = self.unended(&mut end) {
            return Err(end.broken_off(error));
        }
        match end.left()? {
            None if found => Ok(Outcome::default()),
            None => Ok(outcome(who, MemberOutcome::Seen)),
            Some(reason) => Err(UpstreamError::Partly { reason }),
        }
    }

    /// One account, out of everything that there is: the one that was linked; if
    /// there is nothing of it, the one that has its address now.
    async fn leave_all(
        &self,
        groups: &[String],
        who: &Principal,
        end: &mut End,
    ) -> Result<(), UpstreamError> {
        let Some(linked) = &who.upstream_id else {
            return self.leave_by_address(groups, who, end).await;
        };
        let of_linked = self.leave_each(groups, linked, who, Shown::new()).await;
        // Where some of it is kept, or cannot be read, it is there still.
        let is_there = of_linked.found || !who.keeps.is_empty() || !of_linked.failed.is_empty();
        end.add(of_linked);
        if is_there {
            return Ok(());
        }
        let anew = self.made_anew(who).await;
        if let Some(user) = anew.map_err(|error| end.broken_off(error))? {
            end.add(self.leave_each(groups, &user, who, Shown::new()).await);
        }
        Ok(())
    }

    /// Who was never linked is who has the address, if that is one.
    async fn leave_by_address(
        &self,
        groups: &[String],
        who: &Principal,
        end: &mut End,
    ) -> Result<(), UpstreamError> {
        let which = Which::OfEmail(&who.account);
        let looks = groups.iter().map(|it| self.memberships_of(it, which, who));
        let looks: Vec<_> = looks.collect();
        let looks = stream::iter(looks).buffered(AT_ONCE).collect::<Vec<_>>();
        let mut shown = Shown::new();
        for (group, look) in groups.iter().zip(looks.await) {
            match look {
                Ok(memberships) if memberships.is_empty() => {}
                Ok(memberships) => _ = shown.insert(group.clone(), memberships),
                Err(error) => end.fails(group, error),
            }
        }
        let users = shown.values().flatten().map(|it| it.user_id.clone());
        let mut users: BTreeSet<String> = users.collect();
        let Some(user) = users.pop_first() else {
            return Ok(());
        };
        if !users.is_empty() {
            return Err(end.broken_off(not_one()));
        }
        let groups: Vec<String> = shown.keys().cloned().collect();
        end.add(self.leave_each(&groups, &user, who, shown).await);
        Ok(())
    }

    /// One account, out of each by itself.
    async fn leave_each(
        &self,
        groups: &[String],
        user: &str,
        who: &Principal,
        mut shown: Shown,
    ) -> End {
        let ends = groups
            .iter()
            .map(|it| self.leave_one(it, user, who, shown.remove(it)));
        let ends: Vec<_> = ends.collect();
        let mut ends = stream::iter(ends).buffer_unordered(AT_ONCE);
        let mut end = End::default();
        while let Some(one) = ends.next().await {
            end.add(one);
        }
        end
    }

    /// `shown`: what a look has shown just now.
    async fn leave_one(
        &self,
        group: &str,
        user: &str,
        who: &Principal,
        mut shown: Option<Vec<Membership>>,
    ) -> End {
        let mut end = End::default();
        for _ in 0..ROUNDS {
            let looked = match shown.take() {
                Some(shown) => Ok(shown),
                None => self.memberships_of(group, Which::OfUser(user), who).await,
            };
            let ended = match looked {
                // What another connection has there is not among what is looked for.
                Ok(memberships) if memberships.is_empty() && !shares(who, group) => {
                    // One look may have missed it.
                    end.waits = end.waits.max(self.missed(group, user, false));
                    return end;
                }
                Ok(memberships) => self.end_each(group, &memberships, &mut end).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(true) => return end,
                Ok(false) => {}
                Err(error) => {
                    end.fails(group, error);
                    return end;
                }
            }
        }
        let error = later("the memberships change while they are looked at");
        end.fails(group, error);
        end
    }

    /// Ends what there is in one Snyk Group: one membership, unless Snyk shows more.
    /// False if some of it was not there under its id, so that another may be in its
    /// place.
    async fn end_each(
        &self,
        group: &str,
        memberships: &[Membership],
        end: &mut End,
    ) -> Result<bool, UpstreamError> {
        end.found |= !memberships.is_empty();
        (end.refused, end.waits) = (None, None);
        end.stay.clear();
        let mut leave = match self.may_go(group, memberships).await? {
            Permit::Given(leave) => leave,
            Permit::NotYet(wait) => {
                end.waits = Some(wait);
                return Ok(true);
            }
            Permit::Never(reason) => {
                end.stay
                    .extend(memberships.iter().map(|it| it.user_id.clone()));
                let stays = match self.settings.sso {
                    Sso::Remove => "; the user stays in the SSO connections, to sign in for that",
                    Sso::Ignore | Sso::Link => "",
                };
                let reason = format!("{reason}{stays}");
                end.refused = Some(UpstreamError::Barred { reason });
                return Ok(true);
            }
        };
        let mut complete = true;
        for membership in memberships {
            let id = (group, membership.id.as_str());
            let role = Some(membership.role_name.as_str());
            let mut leave = if self.administers(&membership.role_id, role) {
                std::mem::take(&mut leave)
            } else {
                Leave::default()
            };
            leave.begins();
            let gone = self.delete(id, &membership.user_id).await;
            leave.ends(&gone);
            end.users.insert(membership.user_id.clone());
            match gone {
                Ok(()) => {
                    end.begun = true;
                    note_ended(&membership.user_id, name(group, &membership.role_id));
                }
                Err(UpstreamError::Missing { .. }) => complete = false,
                Err(error @ (UpstreamError::Barred { .. } | UpstreamError::Rejected { .. })) => {
                    _ = end.refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(complete)
    }

    /// What a look shows, also of who was told of a moment ago: an end is of all
    /// that is there, and of the last who administers it is none.
    async fn memberships_of(
        &self,
        group: &str,
        which: Which<'_>,
        who: &Principal,
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
        memberships.retain(|it| !who.elsewhere.contains(&name(group, &it.role_id)));
        Ok(memberships)
    }

    /// What a look right before has shown, but for what calls of ours ended since.
    fn still_there(&self, mut shown: Vec<Membership>) -> Vec<Membership> {
        let lag = self.lags().read_lag;
        shown.retain(|it| !self.memory.has_ended(&it.id, lag));
        shown
    }

    async fn may_go(&self, group: &str, all: &[Membership]) -> Result<Permit, UpstreamError> {
        let administers = |it: &&Membership| self.administers(&it.role_id, Some(&it.role_name));
        match all.iter().find(administers) {
            None => Ok(Permit::Given(Leave::default())),
            Some(now) => match self.leave(group, now).await {
                Err(UpstreamError::Barred { reason }) => Ok(Permit::Never(reason)),
                permit => permit,
            },
        }
    }

    /// Out of the SSO connections of each Snyk Group, but for whoever stays as the last
    /// who administers one, and could not sign in to do so.
    async fn leave_all_sso(&self, groups: &[String], end: &mut End) {
        let users: Vec<String> = end.users.difference(&end.stay).cloned().collect();
        let ends = groups.iter().map(|group| self.leave_sso(group, &users));
        let ends: Vec<_> = ends.collect();
        let mut ends = stream::iter(ends).buffer_unordered(AT_ONCE);
        while let Some(one) = ends.next().await {
            end.add(one);
        }
        *self.sso_users.lock().await = None;
    }

    async fn leave_sso(&self, group: &str, users: &[String]) -> End {
        let mut end = End::default();
        if users.is_empty() {
            return end;
        }
        let connections = match self.api.sso_connections(group).await {
            Ok(connections) => connections,
            Err(error) => {
                end.fails_sso(group, unread(error));
                return end;
            }
        };
        for sso in &connections {
            for user in users {
                match self.api.delete_sso_user(group, &sso.id, user).await {
                    Ok(true) => end.begun = true,
                    Ok(false) => {}
                    Err(
                        error @ (UpstreamError::Later { .. }
                        | UpstreamError::Denied { .. }
                        | UpstreamError::Unknown { .. }),
                    ) => end.fails_sso(group, error),
                    Err(error) => {
                        tracing::warn!(connection = %self.settings.connection, %group, %error, "a user stays among the SSO users");
                        end.refused_sso.insert(group.to_owned());
                    }
                }
            }
        }
        end
    }
}

/// Whether a Snyk Group is this connection's to end the user in, now.
fn goes(who: &Principal, group: &String) -> bool {
    !who.elsewhere.contains(group) && !has_any(&who.keeps, group)
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
