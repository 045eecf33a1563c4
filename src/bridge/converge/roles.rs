//! One turn of a group that is one of a family, as of the roles in one Snyk
//! Group: each open pair is a call of its own, several users at once.
//!
//! Whichever pair it is about, a call gives the user the group of the family
//! that counts when it is sent, so it does not matter in which order the lanes
//! of a family come to it. No turn believes what another turn did: whoever is
//! asked for differently by the time has an open pair in the lane of that
//! group, which comes after this call because nobody is told of twice at once.
//! A pair of which no answer came stays open and is said again, as that is a
//! look at one user, and not at the list.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{
    Pause,
    groups::READ_LAG,
    if_asked, pause_after,
    people::{People, Told},
    refusal, took, word,
};
use crate::{
    plan::{
        operation::Operation,
        state::{Family, Holding, Principal, UserKey},
    },
    store::{
        Alternative, Counting, GroupLearned, GroupTurn, Higher, Seat, StoreError, Took, UNANSWERED,
    },
    upstream::{MemberOutcome, Outcome, Upstream, UpstreamError, Wanted, noting},
};

mod higher;

/// So many users at once.
const AT_ONCE: usize = 10;
/// When what is unclear is said again while the rest goes well: that must not
/// wait for a back-off that grows.
const SHORT: Duration = Duration::from_millis(500);
/// Of the other connection nothing is told here.
const ASKED_ELSEWHERE: &str = "the user is asked for elsewhere in this bridge in one of the groups \
    that exclude each other, and can have one of them only; take the user out of that one first";

/// What a pair comes to at the moment it is sent.
#[async_trait]
pub(in crate::bridge) trait Counts: Send + Sync {
    /// See [`crate::store::Store::counting`].
    async fn counting(&self, user: UserKey, wanted: bool) -> Result<Option<Counting>, StoreError>;
    /// See [`crate::store::Store::note_giving`].
    async fn gives(&self, user: UserKey, group: &str) -> Result<bool, StoreError>;
    /// See [`crate::store::Store::higher`].
    async fn higher(&self, _user: UserKey, _has: &str) -> Result<Higher, StoreError> {
        Ok(Higher::Stays)
    }
    /// See [`crate::store::Store::higher_stays`].
    async fn higher_stays(&self, _user: UserKey, _has: &str) -> Result<(), StoreError> {
        Ok(())
    }
    /// Whether somebody is to be taken out of the group whom the turn does not have.
    async fn takes(&self) -> bool {
        false
    }
    /// An addition or a removal was sent.
    fn sent(&self, _gives: bool) {}
    /// What an addition is to give, of which it is asked right before it is sent whether
    /// that is wanted still.
    fn wanted(&self, _member: &Principal) -> Option<Arc<dyn Wanted>> {
        None
    }
}

/// Works one turn of such a group off.
pub(in crate::bridge) async fn family_turn(
    upstream: &dyn Upstream,
    turn: GroupTurn,
    family: &Family,
    counts: &dyn Counts,
    people: &People,
) -> (GroupLearned, Pause) {
    let each = Each {
        upstream,
        counts,
        people,
        group: turn.work.name,
        family,
        stopped: Mutex::default(),
        got_on: AtomicBool::new(false),
    };
    let removes = turn.work.removes.into_iter().map(|member| (member, false));
    let adds = turn.work.adds.into_iter().map(|member| (member, true));
    let pairs = stream::iter(removes.chain(adds));
    let mut ends = pairs
        .map(|(member, wanted)| each.work(member, wanted))
        .buffer_unordered(AT_ONCE);
    let mut learned = GroupLearned::default();
    let (mut again, mut handed) = (None, false);
    let mut holdings = Vec::new();
    while let Some(mut end) = ends.next().await {
        point!("turn.one-sent");
        holdings.extend(end.told.take().map(|told| (end.user, told)));
        handed |= matches!(end.is, Is::HandedOver);
        again = again.max(note(&mut learned, end));
    }
    drop(ends);
    let aged = |(user, (holding, at)): (UserKey, (Option<Holding>, Instant))| {
        let age = Some(at.elapsed());
        (user, holding.map(|holding| Holding { age, ..holding }))
    };
    learned.holdings = holdings.into_iter().map(aged).collect();
    let went_well = !learned.present.is_empty() || !learned.absent.is_empty();
    let pause = match (each.stopped(), again) {
        (Some(pause), _) => pause,
        (None, None) if handed => Pause::HandedOver,
        (None, None) => Pause::None,
        (None, Some(Duration::ZERO)) if !went_well => Pause::BackOff,
        (None, Some(wait)) => Pause::Within(wait.max(SHORT)),
    };
    (learned, pause)
}

/// What was sent, and how it ended.
type Call = (Operation, String, Took);

/// What became of one pair.
struct End {
    user: UserKey,
    is: Is,
    calls: Vec<Call>,
    /// What an answer told that the user has now, and when.
    told: Option<(Option<Holding>, Instant)>,
}

enum Is {
    AsWanted(bool),
    Unsent,
    /// The same, and it is to be asked again by then.
    Waits(Duration),
    /// The same, until another connection has given up the user's place.
    HandedOver,
    Refused(String),
    Open,
    /// It was only looked at, and the look may lag by so much.
    Doubted(Duration),
}

/// Takes it in; returns when it is to be said again, if it is.
fn note(learned: &mut GroupLearned, end: End) -> Option<Duration> {
    learned.calls.extend(end.calls);
    match end.is {
        Is::AsWanted(true) => learned.present.push(end.user),
        Is::AsWanted(false) => learned.absent.push(end.user),
        Is::Unsent | Is::HandedOver => learned.unsent.push(end.user),
        Is::Waits(wait) => {
            learned.unsent.push(end.user);
            // Others wait for the longest of these.
            return Some(wait.min(READ_LAG));
        }
        Is::Refused(reason) => learned.refused.push((end.user, reason)),
        Is::Open => return Some(Duration::ZERO),
        Is::Doubted(lag) => return Some(lag),
    }
    None
}

struct Each<'a> {
    upstream: &'a dyn Upstream,
    counts: &'a dyn Counts,
    people: &'a People,
    group: String,
    family: &'a Family,
    /// Nothing more is sent in this turn.
    stopped: Mutex<Option<Pause>>,
    /// Some addition came to an end.
    got_on: AtomicBool,
}

impl Each<'_> {
    fn stopped(&self) -> Option<Pause> {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, pause: Pause) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.get_or_insert(pause);
    }

    async fn work(&self, member: Principal, wanted: bool) -> End {
        let user = member.user;
        let mut told = self.people.alone(&member.account).await;
        let mut calls = Vec::new();
        let (is, told) = match self.counting(user, wanted).await {
            Some(counting) => {
                self.tell(member, wanted, counting, &mut told, &mut calls)
                    .await
            }
            None => (Is::Unsent, None),
        };
        if wanted && matches!(is, Is::AsWanted(_) | Is::Refused(_)) {
            self.got_on.store(true, Ordering::Relaxed);
        }
        End {
            user,
            is,
            calls,
            told,
        }
    }

    async fn tell(
        &self,
        member: Principal,
        wanted: bool,
        counting: Counting,
        told: &mut Told,
        calls: &mut Vec<Call>,
    ) -> (Is, Option<(Option<Holding>, Instant)>) {
        match (counting.seat, wanted) {
            // Whoever is about to leave it asks for nothing there.
            (Seat::Free, _) | (Seat::Leaving, false) => {}
            // What may have come of a call of ours is theirs by now.
            (Seat::Taken, false) => return (Is::AsWanted(false), None),
            (Seat::Leaving, true) => return (Is::HandedOver, None),
            (Seat::Taken, true) => return (Is::Refused(ASKED_ELSEWHERE.into()), None),
        }
        let member = Principal {
            given_up: counting.given_up.clone(),
            has: counting.has,
            holding: counting.holding.clone(),
            fallback: counting.fallback.clone(),
            ..member
        };
        let mut counts = counting.counts.as_ref();
        if let Some(unsent) = self.is_overtaken(member.user, counts, None).await {
            return (unsent, None);
        }
        let mut result = self.give(&member, (wanted, counts), told, calls).await;
        if counts != counting.at_most.as_ref() && result.as_ref().is_err_and(is_refusal) {
            // Perhaps it is the other group that is refused: that has a pair of
            // its own, and this one is to be judged by itself.
            let before = std::mem::replace(&mut counts, counting.at_most.as_ref());
            if let Some(unsent) = self.is_overtaken(member.user, counts, before).await {
                return (unsent, None);
            }
            result = self.give(&member, (wanted, counts), told, calls).await;
        }
        if wanted && counting.kept && result.as_ref().is_err_and(is_refusal) {
            // Asked for while the group was offered, and given when it is again.
            return (Is::AsWanted(true), None);
        }
        let holding = result.as_ref().ok().and_then(holding);
        (self.learn(wanted, counts, result, told), holding)
    }

    /// Whether the other additions are left to the next turn, which takes away first.
    async fn gives_way(&self) -> bool {
        self.got_on.load(Ordering::Relaxed) && self.counts.takes().await
    }

    /// What is to be sent; `None` when nothing is.
    async fn counting(&self, user: UserKey, wanted: bool) -> Option<Counting> {
        if self.stopped().is_some() || wanted && self.gives_way().await {
            return None;
        }
        match self.counts.counting(user, wanted).await {
            Ok(counting) => counting.map(|it| {
                it.without_found(|name| self.upstream.is_made_anew(&self.group, name))
                    .offered(|name| self.upstream.offers(name))
            }),
            Err(error) => {
                tracing::error!(%error, "a lane cannot use the store");
                self.stop(Pause::BackOff);
                None
            }
        }
    }

    /// What is about to be given is written down where that is another group than
    /// this one, or was to be `before`. How the pair ends where nobody is asked for in
    /// that any more.
    async fn is_overtaken(
        &self,
        user: UserKey,
        counts: Option<&Alternative>,
        before: Option<&Alternative>,
    ) -> Option<Is> {
        let other = |it: &&Alternative| it.name != self.group;
        let gives = match (counts.filter(other), before.filter(other)) {
            (Some(other), _) => &other.name,
            (None, Some(_)) => &self.group,
            (None, None) => return None,
        };
        match self.counts.gives(user, gives).await {
            Ok(true) => None,
            Ok(false) => Some(Is::Waits(SHORT)),
            Err(error) => {
                tracing::error!(%error, "a lane cannot use the store");
                self.stop(Pause::BackOff);
                Some(Is::Unsent)
            }
        }
    }

    /// Who is to be added and is not known, was not told of a group that is not
    /// shown for a moment: that is looked for, and the member is sent again.
    async fn send(
        &self,
        member: &Principal,
        wanted: bool,
        counts: Option<&Alternative>,
        calls: &mut Vec<Call>,
    ) -> Result<Outcome, UpstreamError> {
        let result = self.call(member, wanted, counts, calls).await;
        if !wanted || !is_missing(&result) {
            return result;
        }
        self.see_group().await?;
        let again = self.call(member, wanted, counts, calls).await;
        if is_missing(&again) {
            self.see_group().await?;
        }
        again
    }

    async fn see_group(&self) -> Result<(), UpstreamError> {
        let not_now = |reason: String| UpstreamError::Later {
            after: None,
            reason,
        };
        match self.upstream.group(&self.group).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(UpstreamError::Missing { .. }) => {
                tracing::warn!(group = %self.group, "the application does not show the group; its members wait");
                Err(not_now("the group is not shown".into()))
            }
            // Nothing was written by a look.
            Err(UpstreamError::Unknown { reason }) => Err(not_now(reason)),
            Err(error) => Err(error),
        }
    }

    async fn call(
        &self,
        member: &Principal,
        wanted: bool,
        counts: Option<&Alternative>,
        calls: &mut Vec<Call>,
    ) -> Result<Outcome, UpstreamError> {
        let group = self.group.clone();
        let member = Principal {
            counts: counts.map(|it| it.name.clone()),
            ..member.clone()
        };
        let asked = self.counts.wanted(&member).filter(|_| wanted);
        let members = vec![member];
        let operation = if wanted {
            Operation::AddMembers { group, members }
        } else {
            Operation::RemoveMembers { group, members }
        };
        let started = Instant::now();
        let sent = noting(self.upstream.apply(&operation));
        let ((result, noted), recalled) = if_asked(asked, sent).await;
        if recalled && matches!(result, Err(UpstreamError::Later { .. })) {
            self.stop(Pause::None);
            if !noted.sent.is_empty() {
                let took = took(started, noted, &result);
                calls.push((operation, word(&result), took));
            }
            return result;
        }
        self.counts.sent(wanted);
        let word = match &result {
            Ok(outcome) if is_open(outcome) => UNANSWERED.into(),
            result => word(result),
        };
        calls.push((operation, word, took(started, noted, &result)));
        result
    }

    fn learn(
        &self,
        wanted: bool,
        counts: Option<&Alternative>,
        result: Result<Outcome, UpstreamError>,
        told: &mut Told,
    ) -> Is {
        let outcome = match result {
            Ok(outcome) => outcome.members.into_iter().next(),
            Err(error) => return self.failure(wanted, &error, told),
        };
        match outcome.map(|(_, outcome)| outcome) {
            Some(MemberOutcome::Applied) => {
                told.has(self.family, counts.map(|it| it.rank));
                Is::AsWanted(wanted)
            }
            Some(MemberOutcome::Seen | MemberOutcome::Above(_)) => self.seen(wanted, told),
            Some(MemberOutcome::Waits(wait)) if wanted => Is::Waits(wait),
            // A look has shown something else than is known: who is asked for again
            // meanwhile is not there for certain.
            Some(MemberOutcome::Waits(wait)) => Is::Doubted(wait.min(READ_LAG)),
            // As `is_open` has it.
            Some(MemberOutcome::LeftOut | MemberOutcome::Unknown | MemberOutcome::Open) | None => {
                told.unclear();
                Is::Open
            }
        }
    }

    fn seen(&self, wanted: bool, told: &Told) -> Is {
        match told.doubts(self.family, wanted) {
            Some(lag) => Is::Doubted(lag),
            None => Is::AsWanted(wanted),
        }
    }

    fn failure(&self, wanted: bool, error: &UpstreamError, told: &mut Told) -> Is {
        match error {
            // A refusal of this one call is none of the others.
            UpstreamError::Denied { .. } if !self.upstream.is_refused_all() => Is::Waits(READ_LAG),
            UpstreamError::Later { .. } | UpstreamError::Denied { .. } => {
                self.stop(pause_after(error));
                Is::Unsent
            }
            UpstreamError::Unknown { .. } => {
                told.unclear();
                Is::Open
            }
            // It may be there by another id, which a look that lags did not show.
            UpstreamError::Missing { .. } if !wanted => self.seen(wanted, told),
            _ => {
                let act = if wanted {
                    "add the member"
                } else {
                    "remove the member"
                };
                Is::Refused(refusal(self.upstream.capabilities(), act, error))
            }
        }
    }
}

/// What an answer tells of what the user has; nothing where it tells nothing new.
fn holding(outcome: &Outcome) -> Option<(Option<Holding>, Instant)> {
    let (_, MemberOutcome::Applied) = outcome.members.first()? else {
        return None;
    };
    Some((outcome.holding.clone(), Instant::now()))
}

/// The answer does not tell of the member.
fn is_open(outcome: &Outcome) -> bool {
    matches!(
        outcome.members.first(),
        None | Some((_, MemberOutcome::LeftOut | MemberOutcome::Unknown))
    )
}

fn is_missing(result: &Result<Outcome, UpstreamError>) -> bool {
    matches!(result, Err(UpstreamError::Missing { .. }))
}

fn is_refusal(error: &UpstreamError) -> bool {
    !matches!(
        error,
        UpstreamError::Later { .. } | UpstreamError::Denied { .. } | UpstreamError::Unknown { .. }
    )
}
