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
    bridge::{converge, refused::KEPT},
    plan::{
        guard::Guard,
        state::{Existence, GroupWork, Principal, UserKey},
    },
    store::{
        Actor, GroupLearned, GroupTurn, Lane, Millis, Rail, StoreError, UserLearned, UserTurn,
        Watch, Watched,
    },
    upstream::UpstreamError,
};

/// What became of the removals of a group's turn before it began.
#[derive(Default)]
pub(super) struct Spared {
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

    /// Goes with what the turn learned of the others.
    pub(super) fn add_to(self, learned: &mut GroupLearned, pause: Pause) -> Pause {
        learned.refused.extend(self.refused);
        learned.unsent.extend(self.unsent);
        match self.pause {
            Some(wait) if pause == Pause::None => wait,
            _ => pause,
        }
    }
}

/// What a look says of a removal.
enum Verdict {
    Enough,
    TooFew,
    /// Others are in it, and nobody of those who were known: who left here takes
    /// nothing from it.
    Others,
    Unclear(Pause, &'static str),
}

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
pub(super) struct Kept {
    pub(super) learned: UserLearned,
    pub(super) pause: Pause,
    /// Why it waits, if it does.
    pub(super) waits: Option<Waits>,
}

/// Most time in which an end waits for a look that may lag before everything
/// else is taken away; less where a look lags less.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

impl Lanes {
    /// Takes those out of a group's turn who must not go, or not yet.
    pub(super) async fn spare(&self, turn: &mut GroupTurn) -> Result<Spared, StoreError> {
        let work = &turn.work;
        let there = work.wanted && work.observed != Existence::Absent;
        if !there || self.watches_nothing_of(work) {
            return Ok(Spared::default());
        }
        let going: Vec<UserKey> = work.removes.iter().map(|it| it.user).collect();
        let lane = Lane::Group(work.group);
        let Some(watched) = self.watched(lane, going).await?.pop() else {
            return Ok(Spared::default());
        };
        let of_those = |users: &[UserKey]| {
            let mut them = work.removes.clone();
            them.retain(|it| users.contains(&it.user));
            them
        };
        let all = of_those(&[&watched.going[..], &watched.leaving].concat());
        let adds = !work.adds.is_empty();
        let verdict = self.look(&watched, &all, adds).await;
        let spared = match verdict {
            Verdict::Enough => return Ok(Spared::default()),
            Verdict::TooFew => {
                let reason = self.keep(&watched, lane).await?;
                let told = watched.going.iter().chain(&watched.withdrawn);
                let refused = told.map(|user| (*user, reason.clone())).collect();
                let mut unsent = watched.leaving.clone();
                unsent.retain(|user| !watched.withdrawn.contains(user));
                Spared {
                    refused,
                    pause: (!unsent.is_empty()).then_some(Pause::BackOff),
                    waits: waits(&watched, &verdict, &unsent),
                    unsent,
                }
            }
            Verdict::Others | Verdict::Unclear(..) => {
                let mut unsent = watched.going.clone();
                if watched.is_near() && !matches!(verdict, Verdict::Others) {
                    unsent.extend(&watched.leaving);
                }
                Spared {
                    pause: verdict.pause().filter(|_| !unsent.is_empty()),
                    waits: waits(&watched, &verdict, &unsent),
                    unsent,
                    refused: Vec::new(),
                }
            }
        };
        let spares = spared.refused.iter().map(|(user, _)| *user);
        let spares: HashSet<UserKey> = spares.chain(spared.unsent.iter().copied()).collect();
        leave_out(turn, &spares);
        Ok(spared)
    }

    /// The store would say the same.
    fn watches_nothing_of(&self, work: &GroupWork) -> bool {
        work.removes.is_empty() || self.0.guard.is_idle()
    }

    /// What is learned of the end of an account instead of sending it, where a
    /// group would keep too few.
    pub(super) async fn keep_user(&self, turn: &UserTurn) -> Result<Option<Kept>, StoreError> {
        let work = &turn.work;
        let ends = !work.wanted.active && work.observed.existence != Existence::Absent;
        // Where the memberships were to go instead, they have: it is only told.
        let ends = ends && (turn.withdrawn.is_none() || !self.withdraws());
        if !ends || !self.0.guard.protected.has_groups() {
            return Ok(None);
        }
        let lane = Lane::User(work.principal.user);
        let mut learned = UserLearned {
            about: Some(work.principal.account.clone()),
            observed: Some(work.observed.clone()),
            settled: !turn.unsure,
            ..UserLearned::default()
        };
        for watched in self.watched(lane, Vec::new()).await? {
            let who = std::slice::from_ref(&work.principal);
            let verdict = self.look(&watched, who, false).await;
            match verdict {
                Verdict::Enough | Verdict::Others => {}
                // Access that should be gone goes, as long as nothing says that
                // the group comes near its least.
                Verdict::Unclear(..) if !watched.is_near() => {}
                // No account ends by it, and each group is looked at by itself.
                Verdict::Unclear(..) if self.is_late(turn) && self.withdraws() => {}
                Verdict::Unclear(pause, _) => {
                    // Of alternatives the end of an account is the end of each.
                    let single = self.0.people.is_some();
                    learned.meanwhile = self.is_late(turn) && !work.deleted && !single;
                    let user = work.principal.user;
                    return Ok(Some(Kept {
                        learned,
                        pause,
                        waits: waits(&watched, &verdict, &[user]),
                    }));
                }
                Verdict::TooFew => {
                    learned.refused = Some(self.keep(&watched, lane).await?);
                    learned.again = turn.unsure;
                    return Ok(Some(Kept {
                        learned,
                        pause: Pause::None,
                        waits: None,
                    }));
                }
            }
        }
        Ok(None)
    }

    fn withdraws(&self) -> bool {
        self.0.upstream.capabilities().withdraws()
    }

    /// Whether an end was asked for so long ago that it is no look alone that lags
    /// behind; also after the clock was put back.
    fn is_late(&self, turn: &UserTurn) -> bool {
        let wait = self.0.read_lag.min(LONGEST_WAIT);
        let since = u64::try_from(clock::now().saturating_sub(turn.asked));
        since.map_or(true, |since| Duration::from_millis(since) >= wait)
    }

    async fn watched(&self, lane: Lane, going: Vec<UserKey>) -> Result<Vec<Watched>, StoreError> {
        let lag = Millis::try_from(self.0.read_lag.as_millis()).unwrap_or(Millis::MAX);
        let before = clock::now().saturating_sub(lag);
        let actor = actor(&self.0.guard);
        self.0.store.watched(lane, going, before, actor).await
    }

    /// One reading of the group. Who goes is not shown by one that lags, or that
    /// is of something else.
    async fn look(&self, watched: &Watched, going: &[Principal], adding: bool) -> Verdict {
        let upstream = &self.0.upstream;
        let listed = match upstream.members(&watched.name).await {
            Ok(listed) => converge::Identities::of_members(&listed),
            Err(UpstreamError::Missing { .. }) => {
                return match upstream.group(&watched.name).await {
                    // The turn finds that out, too, and removes nobody.
                    Ok(None) => Verdict::Enough,
                    _ => Verdict::Unclear(Pause::BackOff, UNREAD),
                };
            }
            Err(error) => return Verdict::Unclear(converge::pause_after(&error), UNREAD),
        };
        let staying = watched.stay.iter().filter(|it| listed.has(it));
        if staying.count() >= watched.rail.least() {
            return Verdict::Enough;
        }
        if watched.lately || adding {
            return Verdict::Unclear(Pause::Within(self.until_shown()), LATELY);
        }
        if going.iter().any(|it| listed.has(it)) {
            return Verdict::TooFew;
        }
        if listed.is_empty() {
            return Verdict::Unclear(Pause::BackOff, "nobody is shown");
        }
        Verdict::Others
    }

    fn until_shown(&self) -> Duration {
        (self.0.read_lag / 2).clamp(LEAST_GAP * 2, BACK_OFF.1)
    }

    /// Writes down that somebody tried what nobody may; in words.
    async fn keep(&self, watched: &Watched, lane: Lane) -> Result<String, StoreError> {
        let rail = watched.rail;
        tracing::warn!(connection = %self.0.connection, ?lane, "stopped: {rail}{KEPT}");
        if let Rail::Least(protection, _) = rail {
            let store = &self.0.store;
            let by = actor(&self.0.guard);
            store
                .note_protected(watched.connection, protection, by)
                .await?;
        }
        Ok(format!("{rail}{KEPT}"))
    }
}

const UNREAD: &str = "its members cannot be read now";
const LATELY: &str = "what was sent lately may not be shown yet";

/// What the status says of those who are not sent for a verdict.
fn waits(watched: &Watched, verdict: &Verdict, users: &[UserKey]) -> Option<Waits> {
    let (id, least, why) = (watched.id, watched.rail.least(), verdict.why());
    (!users.is_empty()).then(|| Waits {
        users: users.to_vec(),
        group: id,
        reason: format!(
            "at least {least} must stay in the Group {id}, and {why}; it is looked at again"
        ),
    })
}

fn actor(guard: &Arc<Guard>) -> Actor {
    Actor {
        name: "bridge".into(),
        at: clock::now(),
        watch: Watch::On(Arc::clone(guard)),
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
mod tests;
