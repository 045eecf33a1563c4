//! The turns of a lane: what the store hands out is sent, and what was learned of
//! it is kept and told.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    BOUND, LONG, Lanes, SINGLE_LIMIT, STORE_PAUSE, TURN_LIMIT,
    brink::{self, Kept},
    open::Place,
    waiters::{Refusal, Settled, Summary, Waiter, Waits},
    wanted::{Gives, PairsWanted, UserWanted},
};
use crate::{
    bridge::{
        clock,
        converge::{self, Counts, Doubts, Pause, People, Since},
    },
    plan::{
        operation::Operation,
        state::{ConnectionKey, Existence, GroupKey, Naming, Principal, UserKey},
    },
    scim::resource::ResourceId,
    store::{Another, Counting, GroupLearned, GroupTurn, Lane, Store, StoreError, UserLearned},
    upstream::{RemoteMember, Upstream, Wanted, ahead, if_wanted},
};

/// What became of the pairs of a group since they were handed out.
pub(super) struct SinceSeq<'a> {
    lanes: &'a Lanes,
    store: &'a dyn Store,
    key: GroupKey,
    seq: u64,
    /// It could not be looked who is in the group before it is deleted.
    unread: AtomicBool,
    /// How often the lane was woken before it was last looked what for.
    kicks: AtomicU64,
    /// Somebody is to be taken out whom this turn does not have.
    takes: AtomicBool,
    /// Until its first call was answered.
    place: Mutex<Option<Place>>,
    /// How often the lane was woken before the turn was handed out.
    began: u64,
    /// An addition of this turn has given way.
    gave_way: Arc<AtomicBool>,
}

impl<'a> SinceSeq<'a> {
    /// Of a turn that was handed out with that number, after its lane was woken so often.
    pub(super) fn of(
        lanes: &'a Lanes,
        (key, seq): (GroupKey, u64),
        kicks: u64,
        place: Option<Place>,
    ) -> Self {
        Self {
            lanes,
            store: lanes.0.store.as_ref(),
            key,
            seq,
            unread: AtomicBool::new(false),
            kicks: kicks.into(),
            takes: AtomicBool::new(false),
            place: Mutex::new(place),
            began: kicks,
            gave_way: Arc::default(),
        }
    }

    fn leave_place(&self) -> Option<Place> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.take()
    }

    fn asked(&self, gives: Gives, gives_way: bool) -> Arc<dyn Wanted> {
        Arc::new(PairsWanted {
            lanes: self.lanes.clone(),
            key: self.key,
            seq: self.seq,
            gives,
            kicks: self.began,
            gave_way: gives_way.then(|| Arc::clone(&self.gave_way)),
        })
    }

    /// Whatever was waited for before, an addition has got on.
    fn note_sent(&self, gives: bool) {
        drop(self.leave_place());
        if gives {
            self.lanes
                .with(Lane::Group(self.key), |state| state.gave_way = 0);
        }
    }

    /// Only what woke the lane can have asked for that, so the store is read once
    /// for each time it was woken, at most.
    async fn has_new_removal(&self) -> bool {
        if self.takes.load(Ordering::Relaxed) {
            return true;
        }
        let kicks = self.lanes.kicks(Lane::Group(self.key));
        if self.kicks.swap(kicks, Ordering::Relaxed) == kicks {
            return false;
        }
        match self.store.has_new_removal(self.key).await {
            Ok(true) => self.takes.store(true, Ordering::Relaxed),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "a lane cannot use the store"),
        }
        self.takes.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Since for SinceSeq<'_> {
    async fn written(&self, users: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        self.store.written_since(self.key, self.seq, users).await
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        self.store.without_row(self.key, names).await
    }

    async fn is_anothers(&self, id: &str) -> Result<bool, StoreError> {
        self.store.is_anothers(self.key, id.to_owned()).await
    }

    fn cannot_look(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    async fn made_elsewhere(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        self.store.made_elsewhere(self.key, names).await
    }

    fn looks_into(&self) -> bool {
        self.lanes.looks_into(self.key)
    }

    async fn keeps(
        &self,
        id: ResourceId,
        listed: Vec<RemoteMember>,
    ) -> Result<Option<String>, StoreError> {
        self.lanes.keeps((self.key, id), listed).await
    }

    fn read_lag(&self) -> Duration {
        self.lanes.0.read_lag
    }

    fn done_lately(&self) -> bool {
        let lanes = &self.lanes.0;
        let done = self.lanes.with(Lane::Group(self.key), |state| state.done);
        done.flatten().unwrap_or(lanes.began).elapsed() < lanes.read_lag
    }

    fn shown_for(&self, before: &[GroupKey]) -> Option<Duration> {
        let lanes = &self.lanes.0;
        let left = before.iter().filter_map(|key| {
            let done = self.lanes.with(Lane::Group(*key), |state| state.done);
            let done = done.flatten().unwrap_or(lanes.began);
            lanes.read_lag.checked_sub(done.elapsed())
        });
        left.max()
    }

    fn is_overtaken(&self) -> bool {
        let kicked = self.lanes.with(Lane::Group(self.key), |state| state.kicked);
        kicked == Some(true)
    }

    async fn takes(&self) -> bool {
        self.has_new_removal().await
    }

    fn long(&self) -> usize {
        LONG
    }

    fn sent(&self, operation: &Operation) {
        self.note_sent(matches!(operation, Operation::AddMembers { .. }));
    }

    fn wanted(&self, operation: &Operation) -> Option<Arc<dyn Wanted>> {
        let (members, gives_way) = match operation {
            Operation::CreateGroup { members, .. } | Operation::ReplaceMembers { members, .. } => {
                (members, false)
            }
            Operation::AddMembers { members, .. } => (members, true),
            _ => return None,
        };
        let users = members.iter().map(|it| it.user).collect();
        Some(self.asked(Gives::Members(users), gives_way))
    }
}

impl SinceSeq<'_> {
    fn unread(&self, group: ResourceId) -> Option<Waits> {
        self.unread.load(Ordering::Relaxed).then(|| Waits {
            users: Vec::new(),
            group: Some(group),
            wanted: false,
            reason: UNREAD.to_owned(),
        })
    }
}

/// Why a deletion waits.
const UNREAD: &str = "who is in it is looked at before it is deleted (guard), and the application \
    does not let its members be read now; it is tried again, and nothing is deleted before";

#[async_trait]
impl Counts for SinceSeq<'_> {
    async fn counting(&self, user: UserKey, wanted: bool) -> Result<Option<Counting>, StoreError> {
        let mut counting = self.store.counting(self.key, user, wanted).await?;
        if let Some(counting) = &mut counting
            && let Some(holding) = &mut counting.holding
        {
            // What was told after now was told by another clock.
            let age = counting.told.map(|told| clock::now().saturating_sub(told));
            holding.age = age
                .and_then(|age| u64::try_from(age).ok())
                .map(Duration::from_millis);
        }
        Ok(counting)
    }

    async fn gives(&self, user: UserKey, group: &str) -> Result<bool, StoreError> {
        self.store
            .note_giving(self.key, user, group.to_owned())
            .await
    }

    fn sent(&self, gives: bool) {
        self.note_sent(gives);
    }

    fn wanted(&self, member: &Principal) -> Option<Arc<dyn Wanted>> {
        Some(self.asked(Gives::One(member.user, member.counts.clone()), true))
    }

    async fn takes(&self) -> bool {
        self.has_new_removal().await
    }
}

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
        let Some(turn) = self.0.store.begin_user_turn(key).await? else {
            self.with(Lane::User(key), |state| state.waits = None);
            if self.0.upstream.capabilities().withdraws()
                && self.0.store.is_leaver_unread(key).await?
            {
                self.0.unread.notify_one();
            }
            return Ok(None);
        };
        point!("user-turn.taken");
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
            state.progress = converge::did_something(&learned.calls);
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
        let waits = waits.or_else(|| since.unread(id));
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
