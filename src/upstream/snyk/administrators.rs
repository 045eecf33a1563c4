//! A Snyk Group keeps somebody who administers it: Snyk documents no rule of
//! its own against taking the last one away, and nobody could mend it then.
//!
//! One at a time is taken away, whatever the number of the connections of this
//! process to the Snyk Group and whatever their keys. Those of whom it was taken
//! away lately are none who stay, even if a list shows them: it lags, and a call
//! that nobody answered may take effect still.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::OwnedMutexGuard;

use super::{
    Snyk,
    api::{Membership, Which},
    memory::Common,
    roles::is_same_name,
};
use crate::upstream::{
    Lags, UpstreamError,
    client::{Moment, Priority, spelled_once},
};

/// Of the whole process, by where Snyk is.
static SHARED: Mutex<Vec<(String, Weak<Administrators>)>> = Mutex::new(Vec::new());

/// What the connections to one Snyk know together, by the id of the Snyk Group.
#[derive(Debug, Default)]
pub(super) struct Administrators {
    groups: Mutex<HashMap<String, Arc<OneGroup>>>,
    pub(super) common: Arc<Common>,
    /// What the process before this one has sent may count for so long.
    before: Mutex<Option<Until>>,
}

#[derive(Debug, Default)]
pub(super) struct OneGroup {
    /// Held while one of them is taken away, so that two at once are not the
    /// last two.
    leaving: Arc<tokio::sync::Mutex<()>>,
    /// By the ids of users.
    told: Mutex<HashMap<String, Told>>,
}

/// What calls of ours did to one user lately.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    /// The role was taken away, or may be.
    left: Option<Until>,
    /// It was given.
    gave: Option<Until>,
}

/// Something that counts for a while.
#[derive(Debug, Clone, Copy)]
struct Until(Moment, Duration);

impl Until {
    fn now(span: Duration) -> Self {
        Self(Moment::now(), span)
    }

    fn rest(self) -> Option<Duration> {
        self.0.rest(self.1)
    }

    fn later(one: Option<Self>, other: Self) -> Self {
        one.filter(|one| one.rest() > other.rest()).unwrap_or(other)
    }
}

impl Told {
    fn counts(self) -> bool {
        let counts = |it: Option<Until>| it.is_some_and(|it| it.rest().is_some());
        counts(self.left) || counts(self.gave)
    }
}

/// Whether somebody's role may be taken away.
#[derive(Debug)]
pub(super) enum Permit {
    Given(Leave),
    /// It cannot be known before so long.
    NotYet(Duration),
    /// Nobody else is left.
    Never(String),
}

/// The right to take a role away, as long as it is kept. When the call begins
/// and how it ended is to be said; if its end is not, it may have been done.
#[derive(Debug, Default)]
pub(super) struct Leave(Option<Leaving>);

#[derive(Debug)]
struct Leaving {
    group: Arc<OneGroup>,
    user: String,
    /// As it was before.
    left: Option<Until>,
    begun: bool,
    lags: Lags,
    _held: OwnedMutexGuard<()>,
}

/// What all connections to one Snyk share.
pub(super) fn shared(base: &str) -> Arc<Administrators> {
    let base = spelled_once(base);
    let mut all = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|(_, known)| known.strong_count() > 0);
    let known = all.iter().find(|(at, _)| *at == base);
    if let Some(known) = known.and_then(|(_, known)| known.upgrade()) {
        return known;
    }
    let new = Arc::new(Administrators::default());
    all.push((base, Arc::downgrade(&new)));
    new
}

impl Administrators {
    /// The process before this one may have taken somebody away. What it had an
    /// answer to is shown soon.
    pub(super) fn doubt(&self, lags: &Lags) {
        let span = if lags.unanswered {
            in_doubt(lags)
        } else {
            lags.read_lag
        };
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        *before = Some(Until::later(*before, Until::now(span)));
    }

    /// For how long a look may not show yet what the process before this one did.
    pub(super) fn unshown(&self, read_lag: Duration) -> Option<Duration> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.and_then(|it| it.0.rest(read_lag))
    }

    fn unsettled(&self) -> Option<Duration> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.and_then(Until::rest)
    }

    pub(super) fn of(&self, group: &str) -> Arc<OneGroup> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(groups.entry(group.to_owned()).or_default())
    }
}

impl OneGroup {
    fn told(&self) -> MutexGuard<'_, HashMap<String, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, user: &str, change: impl FnOnce(&mut Told)) {
        let mut told = self.told();
        told.retain(|_, one| one.counts());
        change(told.entry(user.to_owned()).or_default());
    }

    /// Whether anybody else is certainly there still.
    pub(super) fn somebody_stays(&self, shown: &HashSet<String>, user: &str) -> bool {
        let told = self.told();
        let counts = |it: Option<Until>| it.is_some_and(|it| it.rest().is_some());
        let stays = |other: &String| {
            let leaves = told.get(other).is_some_and(|one| counts(one.left));
            other != user && !leaves
        };
        let given = told.iter().filter(|(_, one)| counts(one.gave));
        shown.iter().any(stays) || given.map(|(other, _)| other).any(stays)
    }
}

impl Leave {
    /// From here on it may be done.
    pub(super) fn begins(&mut self) {
        if let Some(leaving) = &mut self.0 {
            leaving.begun = true;
            leaving.doubt();
        }
    }

    /// How the call ended that took the role away.
    pub(super) fn ends(mut self, end: &Result<(), UpstreamError>) {
        let Some(leaving) = self.0.take() else { return };
        let left = match end {
            Ok(()) | Err(UpstreamError::Missing { .. }) => {
                let now = Until::now(leaving.lags.read_lag);
                Some(Until::later(leaving.left, now))
            }
            Err(UpstreamError::Unknown { .. }) => return leaving.doubt(),
            // It was certainly not done.
            Err(_) => leaving.left,
        };
        leaving.group.note(&leaving.user, |told| told.left = left);
    }
}

impl Leaving {
    fn doubt(&self) {
        let left = Until::now(in_doubt(&self.lags));
        self.group.note(&self.user, |told| told.left = Some(left));
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(leaving) = self.0.as_ref().filter(|it| it.begun) {
            leaving.doubt();
        }
    }
}

/// Until a call that nobody answered cannot land any more, and that is shown.
fn in_doubt(lags: &Lags) -> Duration {
    lags.late_writes.saturating_add(lags.read_lag)
}

impl Snyk {
    /// Whether a role, by its id and its name where that is known, is the one
    /// that administers.
    pub(super) fn administers(&self, id: &str, name: Option<&str>) -> bool {
        let role = self.settings.administrator_role.trim();
        role == id || name.is_some_and(|name| is_same_name(name, role))
    }

    /// A call of ours has given somebody a role.
    pub(super) fn note_given(&self, group: &str, user: &str, role: &str) {
        let name = self.families.name_of(group, role);
        if self.administers(role, name.as_deref()) {
            let gave = Until::now(self.lags().read_lag);
            let group = self.administrators.of(group);
            group.note(user, |told| told.gave = Some(gave));
        }
    }

    /// The right to take a role away from somebody who has it now.
    pub(super) async fn leave(
        &self,
        group: &str,
        now: &Membership,
    ) -> Result<Permit, UpstreamError> {
        if !self.administers(&now.role_id, Some(&now.role_name)) {
            return Ok(Permit::Given(Leave::default()));
        }
        let of = self.administrators.of(group);
        let held = Arc::clone(&of.leaving).lock_owned().await;
        if let Some(wait) = self.administrators.unsettled() {
            return Ok(Permit::NotYet(wait));
        }
        let shown = self.read_administrators(group).await?;
        let shown = self.several.others(group, shown);
        if !of.somebody_stays(&shown, &now.user_id) {
            return Err(self.last_of(group));
        }
        let left = of.told().get(&now.user_id).and_then(|told| told.left);
        let leaving = Leaving {
            left,
            begun: false,
            user: now.user_id.clone(),
            lags: self.lags(),
            group: of,
            _held: held,
        };
        Ok(Permit::Given(Leave(Some(leaving))))
    }

    fn last_of(&self, group: &str) -> UpstreamError {
        UpstreamError::Barred {
            reason: format!(
                "nobody else has the role {:?} in the Snyk Group {group} for certain, and somebody \
                 must; give it to another user first",
                self.settings.administrator_role
            ),
        }
    }

    /// Memberships can be asked for by the name of a role alone, and in the
    /// spelling that Snyk has for it.
    pub(super) async fn read_administrators(
        &self,
        group: &str,
    ) -> Result<HashSet<String>, UpstreamError> {
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
