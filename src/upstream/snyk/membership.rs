//! A pair of a SCIM Group and a user, as a call or none: the user's role in the
//! Snyk Group is made the one that counts. Each is one write; a look comes
//! before it only where the write could take away what nobody asked for.

use std::time::Duration;

use super::{
    Snyk,
    accounts::not_one,
    administrators::Leave,
    api::{Membership, Which},
    families::ids,
    memory::{FRESH, Known, RECENT},
    roles::{Step, step_down, step_up},
};
use crate::{
    plan::state::Principal,
    upstream::{
        MemberOutcome::{self, Applied, Seen},
        Outcome, UpstreamError,
        client::Priority,
    },
};

/// One role in one Snyk Group, and the one that the user is to have there.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    group: &'a str,
    own: &'a str,
    counts: Option<&'a str>,
    who: &'a Principal,
}

impl Snyk {
    pub(super) async fn add(&self, name: &str, who: &Principal) -> Result<Outcome, UpstreamError> {
        let pair = self.pair(name, who)?;
        self.raise(pair).await.map(|end| outcome(who, end))
    }

    pub(super) async fn remove(
        &self,
        name: &str,
        who: &Principal,
    ) -> Result<Outcome, UpstreamError> {
        let pair = self.pair(name, who)?;
        self.lower(pair).await.map(|end| outcome(who, end))
    }

    /// Nothing is written of what the configuration does not offer, whatever the
    /// engine believes.
    fn pair<'a>(&self, name: &'a str, who: &'a Principal) -> Result<Pair<'a>, UpstreamError> {
        let offered = ids(name).filter(|(group, role)| self.families.offers(group, role));
        let (group, own) = offered.ok_or_else(|| UpstreamError::Barred {
            reason: "this Group is not among the groups of the connection's configuration".into(),
        })?;
        let counts = who.counts.as_deref().and_then(ids);
        Ok(Pair {
            group,
            own,
            counts: counts.filter(|(of, _)| *of == group).map(|(_, role)| role),
            who,
        })
    }

    /// Who has the role, or one that stands before it, keeps that; anybody else
    /// gets what counts. Nobody is looked up who most likely is no member yet.
    async fn raise(&self, pair: Pair<'_>) -> Result<MemberOutcome, UpstreamError> {
        let counts = pair.counts.unwrap_or(pair.own);
        let user = self.id_of(pair).await?;
        match self.memory.membership(pair.group, &user) {
            Some(known) if self.is_below(pair, counts, &user, &known).await? => {
                let id = (pair.group, known.id.as_str());
                match self.update(id, &user, counts, Priority::Ordinary).await {
                    // It is not there any more under that id.
                    Err(UpstreamError::Missing { .. }) => {}
                    done => return done.map(|()| Applied),
                }
            }
            Some(_) => return self.raise_after_a_look(pair, counts).await,
            None => {}
        }
        match self.create(pair.group, &user, counts).await {
            Err(UpstreamError::Exists { .. }) => self.raise_after_a_look(pair, counts).await,
            done => done.map(|()| Applied),
        }
    }

    /// Whether a membership was lately seen with a role that stands behind the
    /// pair's, so that changing it takes nothing away.
    async fn is_below(
        &self,
        pair: Pair<'_>,
        counts: &str,
        user: &str,
        known: &Known,
    ) -> Result<bool, UpstreamError> {
        let place = |role: &str| self.families.place(pair.group, role);
        let Some(own) = place(pair.own) else {
            return Ok(false);
        };
        let relied = self.relied(pair.group, own);
        let now = known.role_within(relied).filter(|role| *role != counts);
        let Some(now) = now.and_then(place) else {
            return Ok(false);
        };
        // Before the first one stands nothing that could be taken away.
        Ok(now > own && (own == 0 || !self.is_administrator(pair.group, user).await?))
    }

    /// How long it is relied on that nobody was given, by hand, a role before
    /// one at a place. Whether somebody administers is asked in any case.
    fn relied(&self, group: &str, own: usize) -> Duration {
        let administers = |id: &str, name: &str| self.administers(id, Some(name));
        if self.families.all_before(group, own, administers) {
            RECENT
        } else {
            FRESH
        }
    }

    async fn raise_after_a_look(
        &self,
        pair: Pair<'_>,
        counts: &str,
    ) -> Result<MemberOutcome, UpstreamError> {
        let now = self.find(pair.group, pair.who, Priority::Ordinary).await?;
        if self.families.place(pair.group, pair.own).is_none() {
            self.know_roles(pair.group).await?;
        }
        let stands_before = |now: &Membership| self.stands_before(pair, now);
        let step = step_up(pair.own, counts, now.as_ref(), stands_before);
        let user = match &now {
            Some(now) => now.user_id.clone(),
            None => self.id_of(pair).await?,
        };
        let _leave = self.permit(pair.group, &step, now.as_ref()).await?;
        let done = match step {
            Step::Nothing | Step::Delete { .. } => return Ok(Seen),
            Step::Create { role } => self.create(pair.group, &user, &role).await,
            Step::Update { membership, role } => {
                let id = (pair.group, membership.as_str());
                self.update(id, &user, &role, Priority::Ordinary).await
            }
        };
        match done {
            Ok(()) => Ok(Applied),
            // Nothing was done, and another look will tell.
            Err(UpstreamError::Exists { .. }) => Err(later("the membership is not shown yet")),
            Err(UpstreamError::Missing { .. }) if now.is_some() => {
                Err(later("the membership changes while it is looked at"))
            }
            Err(error) => Err(error),
        }
    }

    fn stands_before(&self, pair: Pair<'_>, now: &Membership) -> bool {
        let place = |role: &str| self.families.place(pair.group, role);
        match (place(&now.role_id), place(pair.own)) {
            (Some(now), Some(own)) => now < own,
            (None, Some(_)) => false,
            // Nobody has the pair's role, so where it stands is not known yet.
            (_, None) => self.administers(&now.role_id, Some(&now.role_name)),
        }
    }

    /// Who has the role gets what counts instead, or is in the Snyk Group no
    /// more; anybody else is left alone.
    async fn lower(&self, pair: Pair<'_>) -> Result<MemberOutcome, UpstreamError> {
        if let Some(now) = self.just_given(pair) {
            match self.lower_from(pair, &now).await {
                Err(UpstreamError::Missing { .. }) => {}
                done => return done,
            }
        }
        let Some(now) = self
            .find(pair.group, pair.who, Priority::Revocation)
            .await?
        else {
            return Ok(Seen);
        };
        match self.lower_from(pair, &now).await {
            Err(UpstreamError::Missing { .. }) => {}
            done => return done,
        }
        // Gone between the look and the call, or another one is in its place.
        let again = self
            .find(pair.group, pair.who, Priority::Revocation)
            .await?;
        match again.filter(|now| now.role_id == pair.own) {
            None => Ok(Seen),
            Some(_) => Err(later("the membership changes while it is looked at")),
        }
    }

    /// The membership that a call of ours has just made with the pair's role: a
    /// look might not show it yet.
    fn just_given(&self, pair: Pair<'_>) -> Option<Membership> {
        let user = pair.who.upstream_id.as_deref()?;
        let known = self.memory.membership(pair.group, user)?;
        known.is_fresh(pair.own).then(|| Membership {
            id: known.id,
            role_id: pair.own.to_owned(),
            role_name: self
                .families
                .name_of(pair.group, pair.own)
                .unwrap_or_default(),
            user_id: user.to_owned(),
            ..Membership::default()
        })
    }

    async fn lower_from(
        &self,
        pair: Pair<'_>,
        now: &Membership,
    ) -> Result<MemberOutcome, UpstreamError> {
        let step = step_down(pair.own, pair.counts, Some(now));
        let _leave = self.permit(pair.group, &step, Some(now)).await?;
        match step {
            Step::Nothing | Step::Create { .. } => return Ok(Seen),
            Step::Update { membership, role } => {
                let id = (pair.group, membership.as_str());
                let priority = Priority::Revocation;
                self.update(id, &now.user_id, &role, priority).await?;
            }
            Step::Delete { membership } => {
                let id = (pair.group, membership.as_str());
                self.delete(id, &now.user_id).await?;
            }
        }
        Ok(Applied)
    }

    /// Whoever has a role keeps it unless somebody else administers.
    async fn permit(
        &self,
        group: &str,
        step: &Step,
        now: Option<&Membership>,
    ) -> Result<Leave, UpstreamError> {
        match (step, now) {
            (Step::Update { .. } | Step::Delete { .. }, Some(now)) => self.leave(group, now).await,
            _ => Ok(None),
        }
    }

    /// The user's id, which every new membership needs.
    async fn id_of(&self, pair: Pair<'_>) -> Result<String, UpstreamError> {
        match &pair.who.upstream_id {
            Some(id) => Ok(id.clone()),
            None => self.link(&pair.who.account, None).await,
        }
    }

    /// The membership of a user now.
    pub(super) async fn find(
        &self,
        group: &str,
        who: &Principal,
        priority: Priority,
    ) -> Result<Option<Membership>, UpstreamError> {
        let which = match &who.upstream_id {
            Some(id) => Which::OfUser(id),
            None => Which::OfEmail(&who.account),
        };
        let mut found = self.look(group, which, priority).await?;
        if found.len() > 1 {
            return Err(not_one());
        }
        Ok(found.pop())
    }

    /// A look, before which nothing was written: what is unclear of it is no
    /// doubt about anything. A Snyk Group that is not shown is not gone: the
    /// credential may have lost it.
    pub(super) async fn look(
        &self,
        group: &str,
        which: Which<'_>,
        priority: Priority,
    ) -> Result<Vec<Membership>, UpstreamError> {
        let found = self.api.look_up(group, which, priority).await;
        let found = found.map_err(|error| match error {
            UpstreamError::Unknown { reason } => later(&reason),
            UpstreamError::Missing { .. } => later("the Snyk Group is not visible to the token"),
            other => other,
        })?;
        self.families.learn(group, &found);
        Ok(found)
    }

    async fn create(&self, group: &str, user: &str, role: &str) -> Result<(), UpstreamError> {
        let made = self.api.create(group, user, role).await;
        // Also if the answer was lost: it may have been done.
        self.note_role(group, role);
        self.memory.done(group, user, &made?, role);
        Ok(())
    }

    async fn update(
        &self,
        (group, membership): (&str, &str),
        user: &str,
        role: &str,
        priority: Priority,
    ) -> Result<(), UpstreamError> {
        let changed = self.api.set_role((group, membership), role, priority).await;
        self.note_role(group, role);
        self.note(&changed, (group, membership), user, Some(role));
        changed
    }

    pub(super) async fn delete(
        &self,
        (group, membership): (&str, &str),
        user: &str,
    ) -> Result<(), UpstreamError> {
        let gone = self.api.delete(group, membership).await;
        self.note(&gone, (group, membership), user, None);
        gone.map_err(|error| match error {
            UpstreamError::Exists { reason } if self.settings.cascade => {
                UpstreamError::Rejected { reason }
            }
            UpstreamError::Exists { .. } => UpstreamError::Barred {
                reason: ORGANIZATIONS_REMAIN.into(),
            },
            other => other,
        })
    }

    fn note(
        &self,
        end: &Result<(), UpstreamError>,
        (group, membership): (&str, &str),
        user: &str,
        role: Option<&str>,
    ) {
        match (end, role) {
            (Ok(()), Some(role)) => self.memory.done(group, user, membership, role),
            (Ok(()), None) | (Err(UpstreamError::Missing { .. }), _) => {
                self.memory.forget(group, user);
            }
            (Err(UpstreamError::Unknown { .. }), _) => self.memory.doubt(group, user, membership),
            (Err(_), _) => {}
        }
    }
}

/// Why somebody is still there.
pub(super) const ORGANIZATIONS_REMAIN: &str = "the user is in organizations below the Snyk Group, \
    and those memberships remain; take the user out of them in Snyk, or set cascade = true for \
    this connection, which takes these memberships away too";

fn outcome(who: &Principal, end: MemberOutcome) -> Outcome {
    Outcome {
        members: vec![(who.user, end)],
        ..Outcome::default()
    }
}

pub(super) fn later(reason: &str) -> UpstreamError {
    UpstreamError::Later {
        after: None,
        reason: reason.to_owned(),
    }
}
