//! A pair of a SCIM Group and a user, as a call or none: the user's role in the
//! Snyk Group is made the one that counts. Whoever is not known to be there is
//! added without a look; everything else could take away what somebody gave in
//! Snyk, so a look comes right before it, or an answer or a reading of everybody
//! was heard a moment ago (`as_told`).

use std::time::Duration;

use super::{
    Snyk,
    accounts::not_one,
    administrators::{Leave, Permit},
    api::{Membership, Which},
    families::{ids, name},
    now::{Given, Now},
    roles::{Standing, Step, is_listed, is_listed_behind, step_down, step_up},
};
use crate::{
    plan::state::Principal,
    upstream::{
        MemberOutcome::{self, Above, Applied, Seen, Waits},
        Outcome, UpstreamError,
        client::{Priority, note_left},
    },
};

/// So often it is looked at what was not as it was shown.
const LOOKS: usize = 2;
/// So often an addition is sent that is answered 404.
const FINDS: usize = 2;
/// Why it is given up.
const NOT_FOUND: &str = "Snyk answers that it does not find the user or the role, although it has \
    shown the user to the bridge, and the Snyk Group is there; ask again later";

/// What is no proof that a Snyk Group is gone.
pub(super) const NOT_SHOWN: &str = "the Snyk Group is not visible to the token";

/// One role in one Snyk Group, and the one that the user is to have there.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) group: &'a str,
    pub(super) own: &'a str,
    pub(super) counts: Option<&'a str>,
    pub(super) who: &'a Principal,
}

impl<'a> Pair<'a> {
    /// What another connection has found, which a call of ours has changed. Of a
    /// membership that was made since nothing was found.
    fn falls_back(&self, now: &Now) -> Option<&'a str> {
        let before = self.who.fallback.as_ref()?;
        let (group, role) = ids(&before.group)?;
        let same = now.all().all(|it| it.id == before.id);
        (same && group == self.group).then_some(role)
    }
}

impl Snyk {
    pub(super) async fn add(&self, name: &str, who: &Principal) -> Result<Outcome, UpstreamError> {
        let pair = self.pair(name, who).ok_or_else(not_configured)?;
        if !self.families.offers(pair.group, pair.own) {
            self.keep(pair).await?;
            return Ok(self.outcome(pair, Seen));
        }
        let end = self.raise(pair).await?;
        Ok(self.outcome(pair, end))
    }

    pub(super) async fn remove(
        &self,
        name: &str,
        who: &Principal,
    ) -> Result<Outcome, UpstreamError> {
        // Also of a role that was among the groups once: it can be given up.
        let pair = self.pair(name, who).ok_or_else(not_configured)?;
        let end = self.lower(pair).await?;
        Ok(self.outcome(pair, end))
    }

    fn outcome(&self, pair: Pair<'_>, end: MemberOutcome) -> Outcome {
        let holding = self.holding(pair.group, pair.who);
        Outcome {
            holding: holding.filter(|_| end == Applied),
            ..outcome(pair.who, end)
        }
    }

    /// Nobody is given what the configuration does not offer, whatever the engine
    /// believes.
    fn pair<'a>(&self, name: &'a str, who: &'a Principal) -> Option<Pair<'a>> {
        let (group, own) = ids(name)?;
        let counts = who.counts.as_deref().and_then(ids);
        let counts = counts.filter(|(of, role)| *of == group && self.families.offers(of, role));
        Some(Pair {
            group,
            own,
            counts: counts.map(|(_, role)| role),
            who,
        })
    }

    /// Who has a role that was among the groups once keeps it until somebody gives
    /// it up; nobody is given it any more.
    async fn keep(&self, pair: Pair<'_>) -> Result<(), UpstreamError> {
        let user = match &pair.who.upstream_id {
            Some(id) => Some(id.clone()),
            None => self.id_in(pair.group, &pair.who.account).await?,
        };
        let user = user.ok_or_else(not_configured)?;
        let now = self.now(pair.group, &user, Priority::Ordinary).await?;
        let has = now.all().all(|it| it.role_id == pair.own) && now.is.is_some();
        if has {
            return Ok(());
        }
        Err(match self.families.was_called(pair.group, pair.own) {
            Some(name) => self.made_anew_role(pair, &name).await,
            None => not_configured(),
        })
    }

    /// What an addition comes to that Snyk answers with 404. The Snyk Group may not be
    /// shown for a moment; else somebody whom a look has shown is not found.
    async fn raise(&self, pair: Pair<'_>) -> Result<MemberOutcome, UpstreamError> {
        for _ in 0..FINDS {
            match self.raise_linked(pair).await {
                Err(UpstreamError::Missing { reason }) => {
                    tracing::warn!(connection = %self.settings.connection, group = pair.group, %reason, "Snyk does not find what is to be added");
                    self.see_group(pair.group).await?;
                }
                done => return done,
            }
        }
        if self.families.may_be_remade(pair.group, pair.own) {
            self.read_all(pair.group).await.map_err(only_looked)?;
            if let Some(name) = self.families.was_called(pair.group, pair.own) {
                return Err(self.made_anew_role(pair, &name).await);
            }
        }
        Err(UpstreamError::Barred {
            reason: NOT_FOUND.into(),
        })
    }

    async fn see_group(&self, group: &str) -> Result<(), UpstreamError> {
        match self.api.group(group).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(later(NOT_SHOWN)),
            // Nothing was written by a look.
            Err(UpstreamError::Unknown { reason }) => Err(later(&reason)),
            Err(error) => Err(error),
        }
    }

    /// Who has the role, or one that stands before it and is not given up, keeps that;
    /// anybody else gets what counts.
    async fn raise_linked(&self, pair: Pair<'_>) -> Result<MemberOutcome, UpstreamError> {
        let linked = &pair.who.upstream_id;
        let user = match linked {
            Some(id) => id.clone(),
            None => self.link(&pair.who.account, None).await?,
        };
        let missing = match self.raise_user(pair, &user).await {
            Err(error @ (UpstreamError::Missing { .. } | UpstreamError::Rejected { .. }))
                if linked.is_some() =>
            {
                error
            }
            done => return done,
        };
        let mut now = self.made_anew(pair.who).await?;
        if now.is_none() {
            now = self.signed_in_anew(pair.who).await?;
        }
        match now {
            Some(user) => self.raise_user(pair, &user).await,
            None => Err(missing),
        }
    }

    async fn raise_user(&self, pair: Pair<'_>, user: &str) -> Result<MemberOutcome, UpstreamError> {
        if let Some(waits) = self.awaits_try(pair, user) {
            return Ok(waits);
        }
        let done = self.raise_once(pair, user).await;
        if matches!(done, Ok(Applied | Seen | Above(_))) {
            self.conflicts.settle(pair.group, user);
            self.unshown.settle(pair.group, user);
        }
        done
    }

    async fn raise_once(&self, pair: Pair<'_>, user: &str) -> Result<MemberOutcome, UpstreamError> {
        let counts = pair.counts.unwrap_or(pair.own);
        self.recall_holding(pair, user);
        if self.is_given(pair, user, true) {
            return Ok(Seen);
        }
        // Why it was not as a look, or what is known, has shown it.
        let mut exists = None;
        let mut missing = None;
        if self.memory.membership(pair.group, user).is_none() && !pair.who.has {
            match self.create(pair.group, user, counts).await {
                Err(UpstreamError::Exists { reason }) => exists = Some(reason),
                done => return done.map(|()| Applied),
            }
        }
        if let Some(done) = self.raise_as_told(pair, user).await {
            return done;
        }
        for _ in 0..LOOKS {
            let now = self.now(pair.group, user, Priority::Ordinary).await?;
            if let (None, Some(reason)) = (&now.is, &exists) {
                return self.conflict(pair, user, reason);
            }
            if self.families.place(pair.group, pair.own).is_none() {
                self.know_roles(pair.group).await?;
            }
            let standing = |now: &Membership| self.standing(pair, now);
            let step = now.step(|now| step_up(pair.own, counts, now, standing));
            let other = |it: &&Membership| ![pair.own, counts].contains(&it.role_id.as_str());
            if step == Ok(Step::Nothing)
                && let Some(above) = now.is.as_ref().filter(other)
            {
                return Ok(Above(name(pair.group, &above.role_id)));
            }
            match self.take(pair, user, &now, step, Priority::Ordinary).await {
                Err(UpstreamError::Exists { reason }) => exists = Some(reason),
                Err(UpstreamError::Missing { reason }) if now.is.is_some() => {
                    missing = Some(reason);
                }
                done => return done,
            }
        }
        let reason = missing.or(exists).unwrap_or_default();
        self.conflict(pair, user, &reason)
    }

    pub(super) fn standing(&self, pair: Pair<'_>, now: &Membership) -> Standing {
        let place = |role: &str| self.families.place(pair.group, role);
        let administers = self.administers(&now.role_id, Some(&now.role_name));
        if pair.who.given_up.contains(&name(pair.group, &now.role_id)) {
            return Standing::Behind;
        }
        match (place(&now.role_id), place(pair.own)) {
            (Some(now), Some(own)) if now < own => Standing::Before,
            // Nobody has the pair's role, so where it stands is not known yet.
            (Some(_), None) if administers => Standing::Before,
            (Some(_), _) if self.is_unlisted(pair, now) => Standing::Strange,
            (Some(_), _) => Standing::Behind,
            (None, _) if administers => Standing::Strange,
            (None, _) if self.is_listed_behind(pair, now) => Standing::Behind,
            (None, _) => Standing::Strange,
        }
    }

    /// Whether a role that was found stands behind the pair's for want of a place
    /// alone: what a role of somebody's own gives is not known.
    fn is_unlisted(&self, pair: Pair<'_>, now: &Membership) -> bool {
        let order = &self.settings.precedence;
        let own = self.families.name_of(pair.group, pair.own);
        let own_is = own.is_some_and(|own| is_listed(&own, order));
        self.families.configured().is_empty() && own_is && !is_listed(&now.role_name, order)
    }

    /// Whether a role that is no SCIM Group is known to be less than the pair's,
    /// as the one is that Snyk gives by default.
    fn is_listed_behind(&self, pair: Pair<'_>, now: &Membership) -> bool {
        let own = self.families.name_of(pair.group, pair.own);
        let unresolved = || self.families.unresolved(pair.group);
        let names = own.map_or_else(unresolved, |own| vec![own]);
        let order = &self.settings.precedence;
        let behind = |own: &String| is_listed_behind(&now.role_name, own, order);
        !names.is_empty() && names.iter().all(behind)
    }

    /// Who has the role gets what counts instead, or is in the Snyk Group no
    /// more; anybody else is left alone.
    async fn lower(&self, pair: Pair<'_>) -> Result<MemberOutcome, UpstreamError> {
        let user = match &pair.who.upstream_id {
            Some(id) => Some(id.clone()),
            None => {
                let found = self.id_in(pair.group, &pair.who.account).await;
                found.map_err(|error| self.stays_for(pair.group, error))?
            }
        };
        let Some(user) = user else {
            return Ok(self.not_shown(pair, &pair.who.account).unwrap_or(Seen));
        };
        self.conflicts.settle(pair.group, &user);
        if let Some(end) = self.lower_user(pair, &user).await? {
            return Ok(end);
        }
        match self.made_anew(pair.who).await? {
            Some(user) => Ok(self.lower_user(pair, &user).await?.unwrap_or(Seen)),
            None => Ok(Seen),
        }
    }

    /// `None`: the user is not in the Snyk Group, as far as looks can tell.
    async fn lower_user(
        &self,
        pair: Pair<'_>,
        user: &str,
    ) -> Result<Option<MemberOutcome>, UpstreamError> {
        self.recall_holding(pair, user);
        if self.is_given(pair, user, false) {
            return Ok(Some(Seen));
        }
        if let Some(waits) = self.awaits_look(pair, user) {
            return Ok(Some(waits));
        }
        if let Some(done) = self.lower_as_told(pair, user).await {
            return done.map(Some);
        }
        let mut missing = None;
        for _ in 0..LOOKS {
            let now = self.now(pair.group, user, Priority::Revocation).await;
            let now = now.map_err(|error| self.stays_for(pair.group, error))?;
            if now.is.is_none() {
                // What is not found either is another witness.
                let waits = || self.not_shown(pair, user);
                return Ok(missing.map_or_else(waits, |_| None));
            }
            self.unshown.settle(pair.group, user);
            // That is no reason to stay in what is taken away.
            let before = pair.falls_back(&now).filter(|_| missing.is_none());
            let counts = pair.counts.or(before);
            let step = now.step(|now| step_down(pair.own, counts, now));
            if step == Ok(Step::Nothing)
                && let Some(now) = &now.is
                && pair.counts != Some(&now.role_id)
                && self.is_another(pair, now)
            {
                return Err(self.made_anew_role(pair, &now.role_name).await);
            }
            match self
                .take(pair, user, &now, step, Priority::Revocation)
                .await
            {
                // Gone between the look and the call, or another one is in its
                // place.
                Err(UpstreamError::Missing { reason }) => missing = Some(reason),
                Err(UpstreamError::Rejected { reason } | UpstreamError::Exists { reason })
                    if pair.counts.is_none() && before.is_some() =>
                {
                    missing = Some(reason);
                }
                done => return done.map(Some),
            }
        }
        if let Some(reason) = missing {
            tracing::warn!(connection = %self.settings.connection, group = pair.group, %user, %reason, "Snyk does not find what it shows");
            note_left(format!(
                "of the Snyk Group {} Snyk shows a membership of the user, and {reason} \
                to its end; it is tried again",
                pair.group
            ));
        }
        Ok(Some(Waits(self.lags().read_lag)))
    }

    /// Whether the user has what was made anew in the place of the pair's role.
    fn is_another(&self, pair: Pair<'_>, now: &Membership) -> bool {
        let is = (now.role_id.as_str(), now.role_name.as_str());
        self.families.is_made_anew(pair.group, pair.own, is)
    }

    /// Takes a step, or says why it waits.
    pub(super) async fn take(
        &self,
        pair: Pair<'_>,
        user: &str,
        now: &Now,
        step: Result<Step, Duration>,
        priority: Priority,
    ) -> Result<MemberOutcome, UpstreamError> {
        let step = match step {
            Ok(step) => step,
            Err(wait) => return Ok(Waits(wait)),
        };
        let mut leave = match self.permit(pair.group, &step, now).await? {
            Permit::Given(leave) => leave,
            Permit::NotYet(wait) => return Ok(Waits(wait)),
            Permit::Never(reason) => return Err(UpstreamError::Barred { reason }),
        };
        leave.begins();
        let done = match step {
            Step::Nothing => return Ok(Seen),
            Step::Leave { role } => {
                // Perhaps what another connection has taken away before the start.
                return match self.administrators.unshown(self.lags().read_lag) {
                    Some(wait) => Ok(Waits(wait)),
                    None => Err(strange(&role)),
                };
            }
            Step::Create { role } => self.create(pair.group, user, &role).await,
            Step::Update { membership, role } => {
                let id = (pair.group, membership.as_str());
                self.update(id, now, &role, priority).await
            }
            Step::Delete { membership } => {
                let id = (pair.group, membership.as_str());
                self.delete(id, user).await
            }
        };
        leave.ends(&done);
        done.map(|()| Applied)
    }

    /// Whoever has a role keeps it unless somebody else administers.
    async fn permit(&self, group: &str, step: &Step, now: &Now) -> Result<Permit, UpstreamError> {
        let administers = |it: &&Membership| self.administers(&it.role_id, Some(&it.role_name));
        match (step, now.all().find(administers)) {
            (Step::Update { .. } | Step::Delete { .. }, Some(now)) => self.leave(group, now).await,
            _ => Ok(Permit::Given(Leave::default())),
        }
    }

    /// What a user has in a Snyk Group now.
    pub(super) async fn now(
        &self,
        group: &str,
        user: &str,
        priority: Priority,
    ) -> Result<Now, UpstreamError> {
        let mut shown = self.look(group, Which::OfUser(user), priority).await?;
        let (first, more) = (shown.pop(), shown);
        if !more.is_empty() {
            return Err(UpstreamError::Barred {
                reason: TWICE.into(),
            });
        }
        Ok(self.now_of(group, user, first))
    }

    pub(super) fn now_of(&self, group: &str, user: &str, shown: Option<Membership>) -> Now {
        let known = self.memory.membership(group, user);
        let role = known.as_ref().and_then(|it| it.given(self.lags().read_lag));
        let name = role.and_then(|(role, _)| self.families.name_of(group, role));
        let given = Given {
            user,
            role,
            role_name: name.unwrap_or_default(),
        };
        Now::of(shown, known.as_ref(), &given)
    }

    /// Who has an e-mail in one Snyk Group.
    async fn id_in(&self, group: &str, account: &str) -> Result<Option<String>, UpstreamError> {
        let which = Which::OfEmail(account);
        let found = self.look(group, which, Priority::Revocation).await?;
        let mut ids: Vec<String> = found.into_iter().map(|it| it.user_id).collect();
        ids.dedup();
        if ids.len() > 1 {
            return Err(not_one());
        }
        Ok(ids.pop())
    }

    /// A look, before which nothing was written: what is unclear of it is no
    /// doubt about anything. A Snyk Group that is not shown is not gone: the
    /// credential may have lost it. What calls of ours have ended is left out.
    pub(super) async fn look(
        &self,
        group: &str,
        which: Which<'_>,
        priority: Priority,
    ) -> Result<Vec<Membership>, UpstreamError> {
        let found = self.api.look_up(group, which, priority).await;
        let mut found = found.map_err(only_looked)?;
        self.families.learn(group, &found);
        if let (Which::OfUser(user), true) = (which, found.is_empty()) {
            self.memory.saw(group, user, None);
        }
        for it in &found {
            self.memory.saw(group, &it.user_id, Some(it));
        }
        let lag = self.lags().read_lag;
        found.retain(|it| !self.memory.has_ended(&it.id, lag));
        Ok(found)
    }

    async fn create(&self, group: &str, user: &str, role: &str) -> Result<(), UpstreamError> {
        let made = self.api.create(group, user, role).await;
        // It may have been made, or is said to have been there before.
        if let Err(UpstreamError::Unknown { .. } | UpstreamError::Exists { .. }) = made {
            self.unshown.may_be_there(group, user);
        }
        let id = made?;
        self.note_given(group, user, role);
        self.memory.done(group, user, (&id, role), "");
        Ok(())
    }

    async fn update(
        &self,
        (group, membership): (&str, &str),
        now: &Now,
        role: &str,
        priority: Priority,
    ) -> Result<(), UpstreamError> {
        let before = now.all().last();
        let (user, shown) = before.map_or(("", ""), |it| (&it.user_id, &it.role_id));
        let changed = self.api.set_role((group, membership), role, priority).await;
        match &changed {
            Ok(()) => {
                self.note_given(group, user, role);
                self.memory.done(group, user, (membership, role), shown);
            }
            Err(UpstreamError::Missing { .. }) => self.memory.forget(group, user),
            Err(UpstreamError::Unknown { .. }) => self.memory.doubt(group, user, membership),
            Err(_) => self.memory.saw(group, user, None),
        }
        changed
    }

    pub(super) async fn delete(
        &self,
        (group, membership): (&str, &str),
        user: &str,
    ) -> Result<(), UpstreamError> {
        let gone = self.api.delete(group, membership).await;
        match &gone {
            Ok(()) => {
                self.memory.ended(group, user, membership);
                self.unshown.settle(group, user);
                self.several.forget(group, user);
            }
            Err(UpstreamError::Missing { .. }) => self.memory.forget(group, user),
            Err(UpstreamError::Unknown { .. }) => self.memory.doubt(group, user, membership),
            Err(_) => self.memory.saw(group, user, None),
        }
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
}

/// Why somebody is still there.
pub(super) const ORGANIZATIONS_REMAIN: &str = "the user is in organizations below the Snyk Group, \
    and those memberships remain; take the user out of them in Snyk, or set cascade = true for \
    this connection, which takes these memberships away too";
/// Neither of them is changed: that may be the one that counts for nothing, or one
/// that somebody gave on purpose. Only who leaves loses both.
const TWICE: &str = "Snyk shows two memberships of the user in the Snyk Group, and it cannot be \
    told which one counts; take one of them away in Snyk";

fn not_configured() -> UpstreamError {
    UpstreamError::Barred {
        reason: "this Group is not among the groups of the connection's configuration".into(),
    }
}

/// Why somebody's role is not changed.
fn strange(role: &str) -> UpstreamError {
    UpstreamError::Barred {
        reason: format!(
            "the user has the role {role:?} in the Snyk Group, which is not known to be less, and it \
             is neither lowered nor replaced; take it away in Snyk, or give it a place in groups or \
             precedence"
        ),
    }
}

pub(super) fn outcome(who: &Principal, end: MemberOutcome) -> Outcome {
    Outcome {
        members: vec![(who.user, end)],
        ..Outcome::default()
    }
}

/// Nothing was written by it.
pub(super) fn only_looked(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Unknown { reason } => later(&reason),
        UpstreamError::Missing { .. } => later(NOT_SHOWN),
        other => other,
    }
}

pub(super) fn later(reason: &str) -> UpstreamError {
    UpstreamError::Later {
        after: None,
        reason: reason.to_owned(),
    }
}
