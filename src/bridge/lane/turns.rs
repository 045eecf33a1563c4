//! The turns of a lane: what the store hands out is sent, and what was learned of
//! it is kept and told.

use std::{collections::HashSet, sync::Arc};

use tokio::time::Instant;

use super::{
    BOUND, Lanes, SINGLE_LIMIT, STORE_PAUSE, TURN_LIMIT,
    brink::{self, Kept},
    open::Place,
    waiters::{Refusal, Settled, Summary, Waiter, Waits},
    wanted::UserWanted,
};
use crate::{
    bridge::{
        clock,
        converge::{self, Counts, Doubts, Pause, People, Since},
        remade,
    },
    plan::{
        operation::Operation,
        state::{ConnectionKey, Existence, GroupKey, Naming, UserKey},
    },
    scim::resource::ResourceId,
    store::{Another, GroupLearned, GroupTurn, Lane, StoreError, UserLearned},
    upstream::{Upstream, ahead, if_wanted},
};

mod since;

pub(super) use since::SinceSeq;

impl Lanes {
    pub(super) async fn user_turn(&self, key: UserKey) -> Result<Option<Pause>, StoreError> {
        let mut told = match &self.0.people {
            Some(people) => match self.0.store.account(key).await? {
                Some(account) => Some(people.alone(&account).await),
                None => return Ok(None),
            },
            None => None,
        };
        let kicks = self.kicks(Lane::User(key));
        let Some(mut turn) = self.0.store.begin_user_turn(key).await? else {
            self.with(Lane::User(key), |state| state.waits = None);
            if self.0.upstream.capabilities().withdraws()
                && self.0.store.is_leaver_unread(key).await?
            {
                self.0.unread.notify_one();
            }
            return Ok(None);
        };
        point!("user-turn.taken");
        // Of somebody else with the address the account may have been shown.
        let fresh = turn.since.filter(|_| turn.formerly.is_none());
        turn.listed = fresh.and_then(|since| self.listed(since));
        // Whoever comes late is told of this attempt, and not of the one before.
        let takes = !turn.work.wanted.active;
        let rounds = self.with(Lane::User(key), |state| {
            state.refusals.clear();
            state.takes = takes;
            state.begins(turn.round())
        });
        let (version, begun, unjudged) = (turn.version, turn.begun, turn.unjudged);
        let upstream = self.0.upstream.as_ref();
        let before = turn.work.observed.clone();
        let was_there = before.existence == Existence::Present;
        let ends = takes && before.existence != Existence::Absent;
        let looks = ends && self.0.returns && !upstream.capabilities().withdraws();
        let work = async {
            let kept = self.keep_user(&turn).await?;
            if looks && kept.as_ref().is_none_or(|it| !it.keeps.is_empty()) {
                self.see_found(Lane::User(key)).await?;
            }
            if let Some(mut kept) = kept {
                self.part(&turn, &mut kept, told.as_deref_mut()).await;
                return Ok::<_, StoreError>(kept);
            }
            let wanted = UserWanted {
                lanes: self.clone(),
                key,
                version,
                wanted: turn.work.wanted.clone(),
                account: turn.work.principal.account.clone(),
                kicks,
            };
            let turn = converge::user_turn(upstream, turn, told.as_deref_mut());
            let (learned, pause) = if takes {
                turn.await
            } else {
                let ((learned, pause), recalled) = if_wanted(Arc::new(wanted), turn).await;
                (learned, if recalled { Pause::None } else { pause })
            };
            Ok(Kept {
                learned,
                pause,
                waits: None,
                keeps: Vec::new(),
            })
        };
        let Kept {
            mut learned,
            pause,
            waits,
            ..
        } = first_if(takes, Box::pin(work)).await?;
        point!("user-turn.worked");
        if let Some(id) = &learned.upstream_id
            && self.0.store.is_bound_elsewhere(key, id.clone()).await?
        {
            // Of who must have nothing nothing is there then.
            learned = UserLearned {
                about: learned.about,
                observed: Some(before),
                settled: true,
                refused: (!learned.found).then(|| BOUND.to_owned()),
                calls: learned.calls,
                ..UserLearned::default()
            };
        }
        if learned.found && unjudged {
            let actor = brink::actor(&self.0.guard);
            if let Some(reason) = self.0.store.may_end(key, actor).await? {
                learned = UserLearned {
                    about: learned.about,
                    again: true,
                    refused: Some(reason),
                    ..UserLearned::default()
                };
            }
        }
        if begun {
            converge::note_begun(&mut learned);
        }
        // What was not sent is settled, too, and yet to be done.
        let goes_on = learned.withdraws || learned.found;
        let ended = learned.again || learned.settled && !goes_on && pause == Pause::None;
        let refused = learned.refused.clone();
        let record = || {
            let store = &self.0.store;
            store.end_user_turn(key, learned.clone(), clock::now())
        };
        let woken = recorded(record).await?;
        point!("user-turn.ended");
        if takes && ended {
            self.0.places.freed();
        }
        let failed = self.0.well.note(&learned.calls);
        let progress = converge::did_something(&learned.calls);
        let mut left = learned.calls.iter().rev();
        let left = left.find_map(|(_, _, took)| took.left.clone());
        let left = left.or(learned.left.clone());
        let waits = waits.or(left.map(|reason| Waits {
            users: vec![key],
            group: None,
            wanted: false,
            reason,
        }));
        self.with(Lane::User(key), |state| {
            state.waits = waits;
            (state.failed, state.progress) = (failed, progress);
            if !ended {
                return;
            }
            state.seen = state.seen.max(version);
            if let Some(reason) = &refused {
                state.remember(Refusal {
                    seq: version,
                    user: None,
                    reason: reason.clone(),
                });
            }
            state.answer(
                |w| w.seq <= version,
                |_| match &refused {
                    None => Some(Settled::Done),
                    Some(reason) => Some(Settled::Refused {
                        whole: Some(reason.clone()),
                        members: Vec::new(),
                    }),
                },
            );
        });
        self.kick_but(woken, Lane::User(key), rounds);
        let observed = learned.observed.as_ref();
        let is_there = observed.is_some_and(|it| it.existence == Existence::Present);
        if learned.recreated || is_there && !was_there {
            self.wake_others(self.0.store.asked_elsewhere(key).await?);
        }
        Ok(Some(pause))
    }

    pub(super) async fn group_turn(
        &self,
        key: GroupKey,
        doubts: &mut Doubts,
        place: Option<Place>,
    ) -> Result<Option<Pause>, StoreError> {
        let limit = turn_limit(self.0.people.is_some());
        let kicks = self.kicks(Lane::Group(key));
        self.go_on_as_remade(Lane::Group(key)).await?;
        let Some(mut turn) = self.0.store.begin_group_turn(key, limit).await? else {
            self.with(Lane::Group(key), |state| state.waits = None);
            return Ok(None);
        };
        point!("turn.taken");
        self.protect(&mut turn);
        let takes = !turn.work.wanted || !turn.work.removes.is_empty();
        let rounds = self.with(Lane::Group(key), |state| {
            state.takes = takes;
            state.begins(turn.round())
        });
        // Who is put there at the same time would be first with it.
        let first = takes && turn.work.adds.is_empty();
        let mut spared = first_if(takes, self.spare(&mut turn)).await?;
        let waits = spared.waits();
        if takes {
            first_if(takes, self.see_found(Lane::Group(key))).await?;
        }
        let seq = turn.seq;
        let target = if turn.work.wanted {
            Existence::Present
        } else {
            Existence::Absent
        };
        let was_there = turn.work.observed;
        let id = turn.work.id;
        let since = SinceSeq::of(self, (key, seq), kicks, place);
        let (upstream, people) = (self.0.upstream.as_ref(), self.0.people.as_ref());
        let work = send(upstream, people, turn, &since, doubts);
        let (mut learned, pause) = first_if(first, Box::pin(work)).await;
        let pause = spared.add_to(&mut learned, pause);
        let place = since.leave_place();
        let now = Instant::now();
        let failed = self.0.well.note(&learned.calls);
        let repeats = self.with(Lane::Group(key), |state| {
            state.failed = failed;
            // A call of which nobody can see what it did is none that got on.
            let is_seen = learned.unread.is_none()
                || !learned.present.is_empty()
                || !learned.absent.is_empty();
            state.progress = converge::did_something(&learned.calls) && is_seen;
            if learned.calls.iter().any(converge::was_done) {
                state.done = Some(now);
            }
            if pause == Pause::None {
                state.place = place;
            }
            state.repeats(&learned)
        });
        learned.repeats = repeats.unwrap_or_default();
        point!("turn.worked");
        let placed = learned.existence.unwrap_or(was_there) == target;
        let mut summary = Summary::of(&learned, placed && !learned.title_open);
        let record = || {
            let store = &self.0.store;
            store.end_group_turn(key, seq, learned.clone(), clock::now())
        };
        let woken = recorded(record).await?;
        point!("turn.ended");
        if !learned.absent.is_empty() {
            self.0.places.freed();
        }
        if woken.contains(&Lane::Group(key)) && !placed && target == Existence::Present {
            // As it would be made now it is tried at once, and that is the answer.
            summary.group_refused = None;
        }
        let waits = waits.or_else(|| stay(&learned, id));
        let waits = waits
            .or_else(|| since.unread(id))
            .or_else(|| unread(&learned, id));
        self.with(Lane::Group(key), |state| {
            state.waits = waits;
            summary.tell(state, seq);
        });
        point!("turn.told");
        self.kick_but(woken, Lane::Group(key), rounds);
        let exchanges = self.0.people.is_some() && !learned.present.is_empty();
        let takes = target == Existence::Absent || !learned.absent.is_empty();
        if exchanges || takes || replaces(&learned) {
            // What was taken away may be asked for there.
            self.wake_others(self.0.store.open_elsewhere(key).await?);
        }
        Ok(Some(pause))
    }

    /// What is protected is nobody's guess. Of a group that is deleted only the
    /// application's name is left, and an operator writes the other one, perhaps.
    fn protect(&self, turn: &mut GroupTurn) {
        let (protected, upstream) = (&self.0.guard.protected, &self.0.upstream);
        let Some(guess) = turn.guess.as_mut().filter(|_| protected.has_groups()) else {
            return;
        };
        let work = &turn.work;
        let (name, id) = (work.name.as_str(), work.id.to_string());
        let title = match &work.naming {
            Naming::Given(given) => given.made_as.as_deref().unwrap_or(&given.title),
            Naming::Rule => name,
        };
        let is_called = |it: &str| upstream.group_name(it).is_ok_and(|it| it == name);
        if protected.least([name, title, &id]).is_some() || protected.group_names().any(is_called) {
            guess.anothers = Some(Another::Protected);
        }
    }

    /// Before a turn by a name that means nothing any more.
    async fn go_on_as_remade(&self, own: Lane) -> Result<(), StoreError> {
        if self.0.people.is_none() {
            return Ok(());
        }
        let (of, inner) = ((self.0.connection.as_str(), self.0.key), &self.0);
        let store = &*inner.store;
        let by = (&*inner.guard, remade::ENGINE);
        let mut lanes = remade::go_on(store, &inner.upstream, of, by).await?;
        lanes.retain(|lane| *lane != own);
        self.kick_all(lanes);
        Ok(())
    }

    pub(super) fn kicks(&self, lane: Lane) -> u64 {
        self.with(lane, |state| state.kicks).unwrap_or_default()
    }

    /// Of other connections at the tenant.
    fn wake_others(&self, lanes: Vec<(ConnectionKey, Lane)>) {
        let Some(others) = self.0.others.get() else {
            return;
        };
        for lane in lanes {
            // At the end nobody is left to be woken.
            let _ = others.send(lane);
        }
    }

    /// A turn that left everything as it was wakes its own lane not once more. What one
    /// that had something else to do than before leaves to others is news to them.
    pub(super) fn kick_but(&self, mut woken: Vec<Lane>, own: Lane, rounds: Option<u32>) {
        if rounds.is_some_and(|rounds| rounds > 0) {
            woken.retain(|lane| *lane != own);
            return self.kick_all(woken);
        }
        for lane in woken {
            self.kick_so(lane, |state| {
                if lane != own {
                    state.is_nudged();
                }
            });
        }
    }

    pub(in crate::bridge) fn kick_all(&self, lanes: Vec<Lane>) {
        for lane in lanes {
            self.kick(lane);
        }
    }

    /// Nothing is left that can be sent: whoever waits for pairs that are not
    /// open any more is done, and so is who waits for a change of a user that a
    /// later one took back unsent. Pairs that wait for an account stay open.
    pub(super) async fn answer_settled(&self, lane: Lane) {
        let waiting = self.with(lane, |state| {
            state.waiters.retain(|w| !w.answer.is_closed());
            let pairs: HashSet<UserKey> = state
                .waiters
                .iter()
                .flat_map(|w| w.pairs.iter().copied())
                .collect();
            (!state.waiters.is_empty()).then_some(pairs)
        });
        let Some(Some(pairs)) = waiting else { return };
        let overtaken = match lane {
            Lane::User(key) => match self.0.store.is_open(key).await {
                Ok(open) => !open,
                Err(error) => return tracing::error!(%error, "a lane cannot use the store"),
            },
            Lane::Group(_) => false,
        };
        let open: HashSet<UserKey> = match lane {
            Lane::Group(key) if !pairs.is_empty() => {
                match self
                    .0
                    .store
                    .open_pairs(key, pairs.into_iter().collect())
                    .await
                {
                    Ok(open) => open.into_iter().collect(),
                    Err(error) => return tracing::error!(%error, "a lane cannot use the store"),
                }
            }
            _ => HashSet::new(),
        };
        let staged = match self.staged_among(&open).await {
            Ok(staged) => staged,
            Err(error) => return tracing::error!(%error, "a lane cannot use the store"),
        };
        self.with(lane, |state| {
            if state.kicked {
                return; // A newer change may be among the waiters: look again first.
            }
            let seen = state.seen;
            let ended = |w: &Waiter| !w.whole || overtaken || w.seq <= seen;
            state.answer(
                |w| w.pairs.is_disjoint(&open) && ended(w),
                |_| Some(Settled::Done),
            );
            let waits = |user: &UserKey| staged.contains(user) || !open.contains(user);
            state.answer(
                |w| w.pairs.iter().all(waits) && ended(w),
                |_| Some(Settled::Open),
            );
        });
    }

    /// Whose account is not there yet, and only appears by itself.
    async fn staged_among(&self, open: &HashSet<UserKey>) -> Result<HashSet<UserKey>, StoreError> {
        if self.0.people.is_none() || open.is_empty() {
            return Ok(HashSet::new());
        }
        let open = open.iter().copied().collect();
        Ok(self.0.store.staged_among(open).await?.into_iter().collect())
    }
}

/// Who is not taken out of a group for now, as the application says of it; else who
/// is not put into it.
fn stay(learned: &GroupLearned, group: ResourceId) -> Option<Waits> {
    waits(learned, group, false).or_else(|| waits(learned, group, true))
}

fn unread(learned: &GroupLearned, group: ResourceId) -> Option<Waits> {
    learned.unread.as_ref().map(|unread| Waits {
        users: unread.users.clone(),
        group: Some(group),
        wanted: unread.wanted,
        reason: unread.reason.clone(),
    })
}

fn waits(learned: &GroupLearned, group: ResourceId, wanted: bool) -> Option<Waits> {
    let mut users = Vec::new();
    let mut why = None;
    for (operation, _, took) in &learned.calls {
        let members = match operation {
            Operation::RemoveMembers { members, .. } if !wanted => members,
            Operation::AddMembers { members, .. } if wanted => members,
            _ => continue,
        };
        if let Some(left) = &took.left {
            users.extend(members.iter().map(|member| member.user));
            why = why.or(Some(left));
        }
    }
    why.map(|reason| Waits {
        users,
        group: Some(group),
        wanted,
        reason: reason.clone(),
    })
}

/// Most pairs in one turn; `single`: each is a call.
pub(in crate::bridge) fn turn_limit(single: bool) -> usize {
    if single { SINGLE_LIMIT } else { TURN_LIMIT }
}

/// Whatever is asked of the application within goes where removals go, if it is
/// to take access away.
async fn first_if<F: Future>(takes: bool, work: F) -> F::Output {
    if takes { ahead(work).await } else { work.await }
}

/// What the application said, an unclear end above all, must not be forgotten
/// because the disk is full for a while: the lane waits until it is kept.
pub(super) async fn recorded<T, F>(record: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match record().await {
            Err(StoreError::Unavailable(why)) => {
                tracing::error!(why, "what the application answered cannot be recorded yet");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            end => return end,
        }
    }
}

/// Works a group turn off, in the way of its group.
pub(in crate::bridge) async fn send(
    upstream: &dyn Upstream,
    people: Option<&People>,
    mut turn: GroupTurn,
    since: &(impl Since + Counts),
    doubts: &mut Doubts,
) -> (GroupLearned, Pause) {
    let is_there = turn.work.wanted && turn.work.observed == Existence::Present;
    match (turn.family.take().filter(|_| is_there), people) {
        (Some(family), Some(people)) => {
            converge::family_turn(upstream, turn, &family, since, people).await
        }
        _ => converge::group_turn(upstream, turn, since, doubts).await,
    }
}

fn replaces(learned: &GroupLearned) -> bool {
    let mut calls = learned.calls.iter();
    calls.any(|call| matches!(call.0, Operation::ReplaceMembers { .. }))
}
