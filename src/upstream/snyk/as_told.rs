//! What a reading of everybody in the Snyk Group showed, or an answer to a call of
//! ours told, a moment ago: a role is changed or taken away by it in one call,
//! instead of a look and a call. That nothing is to be done is concluded only from an
//! answer that a look may not show yet, and nothing at all where the role administers, where something else was
//! heard since, or where it is older than `roles_known_for`: within that time
//! somebody in Snyk may have given more, which would be taken away again. Only from
//! nobody who administers: a look at those who do comes first, one for all whose
//! role changes within a few seconds. Where many are raised and the reading is too
//! old, it is read again as soon as that is no dearer than the looks were.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{
    Snyk,
    api::Membership,
    families::{ids, name},
    membership::Pair,
    memory::RECENT,
    now::Now,
    roles::{Step, step_down, step_up},
};
use crate::{
    plan::state::{Holding, Principal},
    upstream::{
        MemberOutcome, UpstreamError,
        client::{Moment, Priority},
    },
};

/// Who administers, by the ids of Snyk Groups, and since when that is known.
pub(super) type Administered = HashMap<String, (Moment, HashSet<String>)>;

/// For so long one look at those who administer serves.
const LOOK_SERVES: Duration = Duration::from_secs(5);

impl Snyk {
    /// `None`: a look is needed.
    pub(super) async fn raise_as_told(
        &self,
        pair: Pair<'_>,
        user: &str,
    ) -> Option<Result<MemberOutcome, UpstreamError>> {
        if self.settings.roles_known_for.0.is_zero() {
            return None;
        }
        self.families.place(pair.group, pair.own)?;
        let now = match self.as_told(pair.group, user) {
            Some(now) => now,
            None => self.as_read_anew(pair.group, user).await?,
        };
        let counts = pair.counts.unwrap_or(pair.own);
        let standing = |now: &Membership| self.standing(pair, now);
        let step = step_up(pair.own, counts, now.is.as_ref(), standing);
        let of = (now, step, Priority::Ordinary);
        self.take_as_told(pair, user, of).await
    }

    /// The same of a role that is taken away.
    pub(super) async fn lower_as_told(
        &self,
        pair: Pair<'_>,
        user: &str,
    ) -> Option<Result<MemberOutcome, UpstreamError>> {
        let now = self.as_told(pair.group, user)?;
        let step = step_down(pair.own, pair.counts, now.is.as_ref());
        let of = (now, step, Priority::Revocation);
        self.take_as_told(pair, user, of).await
    }

    /// Whether a pair is as wanted by what the answer to a call about another one told
    /// so lately that a look may not show it yet.
    pub(super) fn is_given(&self, pair: Pair<'_>, user: &str, wanted: bool) -> bool {
        let known = self.memory.membership(pair.group, user);
        let Some(known) = known.filter(|known| !self.memory.is_outdated(known)) else {
            return false;
        };
        let given = known.given(self.lags().read_lag);
        let role = given.and(known.told()).unwrap_or_default();
        let Some(role_name) = self.families.name_of(pair.group, role) else {
            return false;
        };
        let now = Membership {
            role_id: role.to_owned(),
            role_name,
            ..Membership::default()
        };
        let counts = pair.counts.unwrap_or(pair.own);
        let step = if !wanted {
            step_down(pair.own, pair.counts, Some(&now))
        } else if self.families.place(pair.group, pair.own).is_some() {
            step_up(pair.own, counts, Some(&now), |now| self.standing(pair, now))
        } else {
            return false;
        };
        step == Step::Nothing
    }

    async fn take_as_told(
        &self,
        pair: Pair<'_>,
        user: &str,
        (now, step, priority): (Now, Step, Priority),
    ) -> Option<Result<MemberOutcome, UpstreamError>> {
        // Nobody leaves without a look of their own.
        if !matches!(step, Step::Update { .. }) {
            return None;
        }
        // Who administers is lowered by no role that does.
        let raised = |role: &str| {
            let name = self.families.name_of(pair.group, role);
            self.administers(role, name.as_deref())
        };
        let stays = matches!(&step, Step::Update { role, .. } if raised(role));
        if !stays && !self.is_none_of_the_last(pair.group, user).await {
            return None;
        }
        match self.take(pair, user, &now, Ok(step), priority).await {
            // It is not as it was told.
            Err(
                UpstreamError::Missing { .. }
                | UpstreamError::Exists { .. }
                | UpstreamError::Rejected { .. },
            ) => None,
            done => Some(done),
        }
    }

    /// Whether others administer the Snyk Group for certain, and this user does not
    /// (reliability: I-24): somebody in Snyk may have changed who does.
    async fn is_none_of_the_last(&self, group: &str, user: &str) -> bool {
        let mut looks = self.administered.lock().await;
        looks.retain(|_, (since, _)| since.is_within(LOOK_SERVES));
        if !looks.contains_key(group) {
            let since = Moment::now();
            match self.read_administrators(group).await {
                Ok(shown) => _ = looks.insert(group.to_owned(), (since, shown)),
                Err(error) => {
                    tracing::warn!(connection = %self.settings.connection, %group, %error, "those who administer a Snyk Group could not be read");
                    return false;
                }
            }
        }
        let of = self.administrators.of(group);
        looks.get(group).is_some_and(|(_, shown)| {
            let certain = || self.several.others(group, shown.clone());
            !shown.contains(user) && of.somebody_stays(&certain(), user)
        })
    }

    /// What a user has in a Snyk Group, without a look.
    fn as_told(&self, group: &str, user: &str) -> Option<Now> {
        // What others have done is kept no longer.
        let span = self.settings.roles_known_for.0.min(RECENT);
        let known = self.memory.membership(group, user)?;
        let role = known.told_within(span).filter(|_| !span.is_zero())?;
        let role_name = self.families.name_of(group, role)?;
        let is_gone = self.memory.has_ended(&known.id, RECENT);
        if is_gone || self.memory.is_outdated(&known) || self.administers(role, Some(&role_name)) {
            return None;
        }
        Some(Now::shown(Membership {
            id: known.id.clone(),
            user_id: user.to_owned(),
            role_id: role.to_owned(),
            role_name,
            ..Membership::default()
        }))
    }

    /// The same of another reading, where the one that is known is only too old,
    /// and that is no dearer than looks.
    async fn as_read_anew(&self, group: &str, user: &str) -> Option<Now> {
        let known = self.memory.membership(group, user)?;
        let span = self.settings.roles_known_for.0;
        if known.read().is_none() || known.told_within(span).is_some() {
            return None;
        }
        let _one = self.reading.lock().await;
        if let Some(now) = self.as_told(group, user) {
            return Some(now);
        }
        let page = usize::try_from(self.settings.page_size).unwrap_or(1);
        if self.memory.is_worth_reading(group, page)
            && let Err(error) = self.read_all(group).await
        {
            tracing::warn!(connection = %self.settings.connection, %group, %error, "a Snyk Group could not be read; its users are looked at one by one");
        }
        self.as_told(group, user)
    }

    /// What the store knows of a user since a process before this one.
    pub(super) fn recall_holding(&self, pair: Pair<'_>, user: &str) {
        let holding = pair.who.holding.as_ref();
        let Some(holding) = holding.filter(|it| it.account == user) else {
            return;
        };
        if let Some((group, role)) = ids(&holding.group).filter(|(of, _)| *of == pair.group) {
            let role = holding.age.map(|age| (role, age));
            self.memory.recall(group, user, (&holding.id, role));
        }
    }

    /// What the last answer about a user told, for the store.
    pub(super) fn holding(&self, group: &str, who: &Principal) -> Option<Holding> {
        let user = who.upstream_id.as_ref()?;
        let known = self.memory.membership(group, user)?;
        let role = known.told()?;
        Some(Holding {
            account: user.clone(),
            group: name(group, role),
            age: Some(known.age()),
            formerly: known.formerly().map(|it| name(group, it)).collect(),
            id: known.id,
        })
    }
}
