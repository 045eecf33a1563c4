//! The look before a removal ([`brink`]), ahead of its time. Nothing can be
//! asked of the application within a transaction: which groups would be looked
//! at is found by a first rehearsal, they are read, and the next one knows what
//! they show.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    bridge::{
        converge::Pause,
        lane::brink::{self, Ending, Kept, Seen, Spared, Verdict},
    },
    plan::{guard::Guard, state::Principal},
    store::{GroupTurn, Lane, Pending, StoreError, UserTurn, Watched, trial::Trial},
    upstream::Upstream,
};

/// The most groups that are read for a plan.
const MOST: usize = 20;

/// A look at a group that would come before a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The application's name of the group.
    pub group: String,
    /// The guard rail that asks for it, in words.
    pub rail: String,
    /// How many must be left.
    pub least: usize,
    /// How many of those who are to stay it shows now; `None` where nothing can
    /// be seen.
    pub staying: Option<usize>,
    pub then: Then,
}

/// What comes of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Sent,
    Refused,
    /// Nothing can be told by it yet.
    Waits,
}

/// What looks at groups showed, by the application's names.
#[derive(Default)]
pub(super) struct Shown {
    groups: HashMap<String, Seen>,
}

impl Shown {
    /// Reads the groups that a rehearsal would have looked at; whether any was.
    pub(super) async fn read(&mut self, upstream: &dyn Upstream, groups: BTreeSet<String>) -> bool {
        let mut news = false;
        for group in groups {
            if self.groups.len() < MOST && !self.groups.contains_key(&group) {
                let seen = brink::look_at(upstream, &group).await;
                self.groups.insert(group, seen);
                news = true;
            }
        }
        news
    }
}

/// The looks of one rehearsal.
pub(super) struct Looks<'t> {
    trial: &'t dyn Trial,
    guard: Arc<Guard>,
    read_lag: Duration,
    shown: Arc<Shown>,
    /// Groups of which nothing is known.
    pub(super) unseen: BTreeSet<String>,
    told: Vec<Look>,
}

impl<'t> Looks<'t> {
    pub(super) fn new(
        trial: &'t dyn Trial,
        (guard, read_lag): (Arc<Guard>, Duration),
        shown: Arc<Shown>,
    ) -> Self {
        Self {
            trial,
            guard,
            read_lag,
            shown,
            unseen: BTreeSet::new(),
            told: Vec::new(),
        }
    }

    /// Those since this was asked last.
    pub(super) fn told(&mut self) -> Vec<Look> {
        std::mem::take(&mut self.told)
    }

    /// Those that come before one turn.
    pub(super) fn before(
        &mut self,
        turn: &Pending,
        upstream: &dyn Upstream,
    ) -> Result<Vec<Look>, StoreError> {
        match turn {
            Pending::Group(turn) => _ = self.spare(&mut turn.clone())?,
            Pending::User(turn) => _ = self.keep_user(turn, upstream)?,
            Pending::Waiting(_) | Pending::Staged(_) | Pending::Delayed(..) => {}
        }
        Ok(self.told())
    }

    /// See [`brink`].
    pub(super) fn spare(&mut self, turn: &mut GroupTurn) -> Result<Spared, StoreError> {
        let going = brink::going(turn, &self.guard);
        if going.is_empty() {
            return Ok(Spared::default());
        }
        let before = brink::before(self.read_lag);
        let actor = brink::actor(&self.guard);
        let lane = Lane::Group(turn.work.group);
        let watched = self.trial.watched(lane, going, before, actor)?.pop();
        let Some(watched) = watched else {
            return Ok(Spared::default());
        };
        let losing = brink::losing(turn, &watched);
        let adds = !turn.work.adds.is_empty();
        let (verdict, look) = self.look(&watched, &losing, adds);
        let reason = brink::reason(&watched.rail);
        let spared = Spared::of(turn, &watched, &verdict, &reason);
        self.tell(look, &verdict, spared.is_nothing());
        Ok(spared)
    }

    pub(super) fn keep_user(
        &mut self,
        turn: &UserTurn,
        upstream: &dyn Upstream,
    ) -> Result<Option<Kept>, StoreError> {
        let Some(ending) = Ending::of(turn, &self.guard, upstream, self.read_lag) else {
            return Ok(None);
        };
        let before = brink::before(self.read_lag);
        let actor = brink::actor(&self.guard);
        let lane = Lane::User(turn.work.principal.user);
        for watched in self.trial.watched(lane, Vec::new(), before, actor)? {
            let who = std::slice::from_ref(&turn.work.principal);
            let (verdict, look) = self.look(&watched, who, false);
            let reason = brink::reason(&watched.rail);
            let kept = brink::kept((turn, ending), &watched, &verdict, &reason);
            self.tell(look, &verdict, kept.is_none());
            if kept.is_some() {
                return Ok(kept);
            }
        }
        Ok(None)
    }

    fn look(&mut self, watched: &Watched, going: &[Principal], adding: bool) -> (Verdict, Look) {
        let unseen = Seen::Unclear(Pause::BackOff);
        let seen = self.shown.groups.get(&watched.name).unwrap_or_else(|| {
            self.unseen.insert(watched.name.clone());
            &unseen
        });
        let staying = match seen {
            Seen::Listed(listed) => Some(watched.stay.iter().filter(|it| listed.has(it)).count()),
            Seen::Gone => Some(0),
            Seen::Unclear(_) => None,
        };
        let look = Look {
            group: watched.name.clone(),
            rail: watched.rail.to_string(),
            least: watched.rail.least(),
            staying,
            then: Then::Sent,
        };
        (
            Verdict::of(watched, going, adding, (seen, self.read_lag)),
            look,
        )
    }

    fn tell(&mut self, look: Look, verdict: &Verdict, sent: bool) {
        let then = match verdict {
            _ if sent => Then::Sent,
            Verdict::TooFew => Then::Refused,
            _ => Then::Waits,
        };
        self.told.push(Look { then, ..look });
    }
}
