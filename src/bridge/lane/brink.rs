//! The look before a group that the guard watches loses somebody: what is
//! remembered of it is as old as the last reading, and the others may have been
//! taken out by hand (reliability: I-24, G-3, G-5). If the application shows too
//! few who stay, the removal is refused as the guard refuses it; if it cannot be
//! seen, or a look may lag behind, it waits and is not sent, and the status says
//! for whom and why. Who waits so for the end of an account is taken out of
//! everything else meanwhile. What no rail watches costs no look.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{BACK_OFF, LEAST_GAP, Lanes, Pause, Waits, clock};
use crate::{
    bridge::converge::{self, Identities, Told},
    plan::{
        guard::Guard,
        state::{Existence, Principal, UserKey},
    },
    store::{
        Actor, GroupLearned, GroupTurn, KEPT, Lane, Millis, Rail, StoreError, UserLearned,
        UserTurn, Watch, Watched,
    },
    upstream::{Upstream, UpstreamError},
};

/// What became of the removals of a group's turn before it began.
#[derive(Default)]
pub(in crate::bridge) struct Spared {
    refused: Vec<(UserKey, String)>,
    unsent: Vec<UserKey>,
    pause: Option<Pause>,
    /// Why those who are not sent are not.
    waits: Option<Waits>,
}

impl Spared {
    pub(super) fn waits(&mut self) -> Option<Waits> {
        self.waits.take()
    }

    /// Takes those out of a turn who must not go, or not yet. `reason`: why, where
    /// too few would stay.
    pub(in crate::bridge) fn of(
        turn: &mut GroupTurn,
        watched: &Watched,
        verdict: &Verdict,
        reason: &str,
    ) -> Self {
        let mut spared = Self::default();
        match verdict {
            Verdict::Enough => return spared,
            Verdict::TooFew => {
                let told = watched.going.iter().chain(&watched.withdrawn);
                let refused = told.map(|user| (*user, reason.to_owned()));
                spared.refused.extend(refused);
                let left = watched.leaving.iter();
                let left = left.filter(|user| !watched.withdrawn.contains(user));
                spared.unsent.extend(left);
                spared.pause = Some(Pause::BackOff);
            }
            Verdict::Others | Verdict::Unclear(..) => {
                let near = watched.is_near() && !matches!(verdict, Verdict::Others);
                spared.unsent.extend(&watched.going);
                if near {
                    spared.unsent.extend(&watched.leaving);
                }
                spared.pause = verdict.pause();
            }
        }
        if spared.unsent.is_empty() {
            spared.pause = None;
        }
        spared.waits = waits(watched, verdict, &spared.unsent);
        let spares = spared.refused.iter().map(|(user, _)| *user);
        let spares: HashSet<UserKey> = spares.chain(spared.unsent.iter().copied()).collect();
        leave_out(turn, &spares);
        spared
    }

    /// Whether the whole turn goes on.
    pub(in crate::bridge) fn is_nothing(&self) -> bool {
        self.refused.is_empty() && self.unsent.is_empty()
    }

    /// Goes with what the turn learned of the others.
    pub(in crate::bridge) fn add_to(self, learned: &mut GroupLearned, pause: Pause) -> Pause {
        learned.refused.extend(self.refused);
        learned.unsent.extend(self.unsent);
        match self.pause {
            Some(wait) if pause == Pause::None => wait,
            _ => pause,
        }
    }
}

/// What a look says of a removal.
pub(in crate::bridge) enum Verdict {
    Enough,
    TooFew,
    /// Others are in it, and nobody of those who were known: who left here takes
    /// nothing from it.
    Others,
    Unclear(Pause, &'static str),
}

const UNREAD: &str = "its members cannot be read now";
const LATELY: &str = "what was sent lately may not be shown yet";
const UNSURE: &str = "whether others of them are there is being found out";

impl Verdict {
    /// How long a removal waits that is not sent for it.
    fn pause(&self) -> Option<Pause> {
        match self {
            Self::Enough | Self::TooFew => None,
            Self::Others => Some(Pause::BackOff),
            Self::Unclear(wait, _) => Some(*wait),
        }
    }

    /// Why it waits.
    fn why(&self) -> &'static str {
        match self {
            Self::Enough | Self::TooFew => "too few of them are shown in the application",
            Self::Others => "only others than those who are known here are shown",
            Self::Unclear(_, why) => why,
        }
    }
}

/// What is learned of the end of an account instead of sending it.
#[derive(Debug, PartialEq)]
pub(in crate::bridge) struct Kept {
    pub(in crate::bridge) learned: UserLearned,
    pub(in crate::bridge) pause: Pause,
    /// Why it waits, if it does.
    pub(super) waits: Option<Waits>,
    /// The groups for which it waits, where everything else goes.
    pub(super) keeps: Vec<String>,
}

/// Most time in which an end waits for a look that may lag before everything
/// else is taken away; less where a look lags less.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// What a look at a group showed.
pub(in crate::bridge) enum Seen {
    Listed(Identities),
    /// There is no such group: the turn finds that out, too, and removes nobody.
    Gone,
    Unclear(Pause),
}

/// One reading of a group.
pub(in crate::bridge) async fn look_at(upstream: &dyn Upstream, group: &str) -> Seen {
    match upstream.members(group).await {
        Ok(listed) => Seen::Listed(Identities::of_members(&listed)),
        Err(UpstreamError::Missing { .. }) => match upstream.group(group).await {
            Ok(None) => Seen::Gone,
            _ => Seen::Unclear(Pause::BackOff),
        },
        Err(error) => Seen::Unclear(converge::pause_after(&error)),
    }
}

impl Verdict {
    /// Who goes is not shown by a look that lags, or that is of something else.
    pub(in crate::bridge) fn of(
        watched: &Watched,
        going: &[Principal],
        adding: bool,
        (seen, read_lag): (&Seen, Duration),
    ) -> Self {
        let listed = match seen {
            Seen::Listed(listed) => listed,
            Seen::Gone => return Self::Enough,
            Seen::Unclear(wait) => return Self::Unclear(*wait, UNREAD),
        };
        let listed_of = |them: &[Principal]| them.iter().filter(|it| listed.has(it)).count();
        let (least, known) = (watched.rail.least(), listed_of(&watched.stay));
        // Who is to stay and is not known to be there may be shown from before a
        // removal of ours.
        if known >= least || !watched.lately && known + listed_of(&watched.hoped) >= least {
            return Self::Enough;
        }
        if watched.lately || adding {
            return Self::Unclear(Pause::Within(until_shown(read_lag)), LATELY);
        }
        if going.iter().any(|it| listed.has(it)) {
            return if watched.unsure {
                Self::Unclear(Pause::BackOff, UNSURE)
            } else {
                Self::TooFew
            };
        }
        if watched.doubted {
            return Self::Enough;
        }
        if listed.is_empty() {
            return Self::Unclear(Pause::BackOff, "nobody is shown");
        }
        Self::Others
    }
}

fn until_shown(read_lag: Duration) -> Duration {
    (read_lag / 2).clamp(LEAST_GAP * 2, BACK_OFF.1)
}

/// Those of a group's turn whom the guard may watch; nobody where it cannot.
pub(in crate::bridge) fn going(turn: &GroupTurn, guard: &Guard) -> Vec<UserKey> {
    let work = &turn.work;
    let there = work.wanted && work.observed != Existence::Absent;
    if !there || guard.is_idle() {
        return Vec::new();
    }
    work.removes.iter().map(|it| it.user).collect()
}

/// Those of a group's turn who lose something by it.
pub(in crate::bridge) fn losing(turn: &GroupTurn, watched: &Watched) -> Vec<Principal> {
    let mut them = turn.work.removes.clone();
    them.retain(|it| watched.going.contains(&it.user) || watched.leaving.contains(&it.user));
    them
}

/// The end of an account, as its application and its age have it.
#[derive(Debug, Clone, Copy)]
pub(in crate::bridge) struct Ending {
    /// It is the end of every membership instead.
    withdraws: bool,
    /// Of alternatives the end of an account is the end of each.
    single: bool,
    /// It was asked for so long ago that it is no look alone that lags behind.
    late: bool,
}

impl Ending {
    /// `None` where the turn ends nothing that groups may need.
    pub(in crate::bridge) fn of(
        turn: &UserTurn,
        guard: &Guard,
        upstream: &dyn Upstream,
        read_lag: Duration,
    ) -> Option<Self> {
        let work = &turn.work;
        let withdraws = upstream.capabilities().withdraws();
        let ends = !work.wanted.active && work.observed.existence != Existence::Absent;
        // Where the memberships were to go instead, they have: it is only told.
        let ends = ends && (turn.withdrawn.is_none() || !withdraws);
        // Also after the clock was put back.
        let since = u64::try_from(clock::now().saturating_sub(turn.asked));
        let wait = read_lag.min(LONGEST_WAIT);
        let late = since.map_or(true, |since| Duration::from_millis(since) >= wait);
        (ends && guard.protected.has_groups()).then(|| Self {
            withdraws,
            single: upstream.has_families(),
            late,
        })
    }
}

/// What is learned of the end of an account instead of sending it, where a group
/// would keep too few or that is not clear; `None` where it may be sent.
pub(in crate::bridge) fn kept(
    (turn, ending): (&UserTurn, Ending),
    watched: &Watched,
    verdict: &Verdict,
    reason: &str,
) -> Option<Kept> {
    let work = &turn.work;
    let mut learned = UserLearned {
        about: Some(work.principal.account.clone()),
        observed: Some(work.observed.clone()),
        settled: !turn.unsure,
        ..UserLearned::default()
    };
    match verdict {
        Verdict::Enough | Verdict::Others => None,
        // Access that should be gone goes, as long as nothing says that the group
        // comes near its least.
        Verdict::Unclear(..) if !watched.is_near() => None,
        // No account ends by it, and each group is looked at by itself.
        Verdict::Unclear(..) if ending.late && ending.withdraws => None,
        Verdict::Unclear(pause, _) => {
            learned.meanwhile = ending.late && !work.deleted && !ending.single;
            let parts = ending.late && ending.single;
            Some(Kept {
                learned,
                pause: *pause,
                waits: waits(watched, verdict, &[work.principal.user]),
                keeps: parts.then(|| watched.name.clone()).into_iter().collect(),
            })
        }
        Verdict::TooFew => {
            learned.refused = Some(reason.to_owned());
            learned.again = turn.unsure;
            Some(Kept {
                learned,
                pause: Pause::None,
                waits: None,
                keeps: Vec::new(),
            })
        }
    }
}

/// What the status says of those who are not sent for a verdict.
fn waits(watched: &Watched, verdict: &Verdict, users: &[UserKey]) -> Option<Waits> {
    let (id, least, why) = (watched.id, watched.rail.least(), verdict.why());
    (!users.is_empty()).then(|| Waits {
        users: users.to_vec(),
        group: Some(id),
        wanted: false,
        reason: format!(
            "at least {least} must stay in the Group {id}, and {why}; it is looked at again"
        ),
    })
}

/// Why somebody stays.
pub(in crate::bridge) fn reason(rail: &Rail) -> String {
    format!("{rail}{KEPT}")
}

impl Lanes {
    /// Takes those out of a group's turn who must not go, or not yet.
    pub(super) async fn spare(&self, turn: &mut GroupTurn) -> Result<Spared, StoreError> {
        let going = going(turn, &self.0.guard);
        if going.is_empty() {
            return Ok(Spared::default());
        }
        let lane = Lane::Group(turn.work.group);
        let Some(watched) = self.watched(lane, going).await?.pop() else {
            return Ok(Spared::default());
        };
        let losing = losing(turn, &watched);
        let adds = !turn.work.adds.is_empty();
        let verdict = self.look(&watched, &losing, adds).await;
        let reason = self.keep(&watched, &verdict, lane).await?;
        Ok(Spared::of(turn, &watched, &verdict, &reason))
    }

    /// What is learned of the end of an account instead of sending it, where a
    /// group would keep too few.
    pub(super) async fn keep_user(&self, turn: &UserTurn) -> Result<Option<Kept>, StoreError> {
        let lanes = &self.0;
        let ending = Ending::of(turn, &lanes.guard, &*lanes.upstream, lanes.read_lag);
        let Some(ending) = ending else {
            return Ok(None);
        };
        let lane = Lane::User(turn.work.principal.user);
        let mut waits: Option<Kept> = None;
        for watched in self.watched(lane, Vec::new()).await? {
            let who = std::slice::from_ref(&turn.work.principal);
            let verdict = self.look(&watched, who, false).await;
            let reason = self.keep(&watched, &verdict, lane).await?;
            match kept((turn, ending), &watched, &verdict, &reason) {
                None => {}
                Some(kept) if kept.keeps.is_empty() => return Ok(Some(kept)),
                Some(kept) => match &mut waits {
                    Some(waits) => waits.keeps.extend(kept.keeps),
                    None => waits = Some(kept),
                },
            }
        }
        Ok(waits)
    }

    /// Everything else goes, once for each time that the end is asked for.
    pub(super) async fn part(&self, turn: &UserTurn, kept: &mut Kept, told: Option<&mut Told>) {
        let lane = Lane::User(turn.work.principal.user);
        let parted = self.with(lane, |state| state.parted == Some(turn.version));
        if kept.keeps.is_empty() || parted == Some(true) {
            return;
        }
        let (upstream, keeps) = (&*self.0.upstream, &kept.keeps);
        if converge::end_but(upstream, turn, keeps, &mut kept.learned, told).await {
            self.with(lane, |state| state.parted = Some(turn.version));
        }
    }

    async fn watched(&self, lane: Lane, going: Vec<UserKey>) -> Result<Vec<Watched>, StoreError> {
        let before = before(self.0.read_lag);
        let actor = actor(&self.0.guard);
        self.0.store.watched(lane, going, before, actor).await
    }

    async fn look(&self, watched: &Watched, going: &[Principal], adding: bool) -> Verdict {
        let seen = look_at(&*self.0.upstream, &watched.name).await;
        Verdict::of(watched, going, adding, (&seen, self.0.read_lag))
    }

    /// Writes down that somebody tried what nobody may; in words.
    async fn keep(
        &self,
        watched: &Watched,
        verdict: &Verdict,
        lane: Lane,
    ) -> Result<String, StoreError> {
        let reason = reason(&watched.rail);
        if !matches!(verdict, Verdict::TooFew) {
            return Ok(reason);
        }
        tracing::warn!(connection = %self.0.connection, ?lane, "stopped: {reason}");
        if let Rail::Least(protection, _) = watched.rail {
            let store = &self.0.store;
            let by = actor(&self.0.guard);
            store
                .note_protected(watched.connection, protection, by)
                .await?;
        }
        Ok(reason)
    }
}

/// What was sent after that may not be shown yet.
pub(in crate::bridge) fn before(read_lag: Duration) -> Millis {
    let lag = Millis::try_from(read_lag.as_millis()).unwrap_or(Millis::MAX);
    clock::now().saturating_sub(lag)
}

pub(in crate::bridge) fn actor(guard: &Arc<Guard>) -> Actor {
    Actor {
        name: "bridge".into(),
        at: clock::now(),
        watch: Watch::On(Arc::clone(guard)),
        put: false,
    }
}

/// The others go as they would have gone.
fn leave_out(turn: &mut GroupTurn, spares: &HashSet<UserKey>) {
    let work = &mut turn.work;
    let stays = |it: &Principal| !spares.contains(&it.user);
    work.alone = work
        .removes
        .iter()
        .take(work.alone)
        .filter(|it| stays(it))
        .count();
    work.removes.retain(stays);
    work.full = None;
}

#[cfg(test)]
pub(super) mod tests;
