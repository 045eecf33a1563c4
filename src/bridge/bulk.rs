//! Bulk requests (RFC 7644 section 3.7): the single requests' decisions, many
//! in one transaction, and one wait for the application's answers to all of them.
//!
//! Ids are minted first, so references need no second look. Each operation
//! stands or falls alone; one that refers to what failed fails with it. A
//! deletion of a User is written in two steps, as in a single request, so a
//! transaction ends where something else comes after one; and also between the
//! deletion of a Group and the making of another, which may be of its name. What
//! the application
//! refuses is known only after the commit: it is told with its operation, and
//! `failOnErrors` counts it before the next transaction.

use std::collections::HashMap;

use tokio::time::Instant;

use super::{
    Failure, Session, Stopped, Written, clock,
    doomed::deletes_group,
    held::Asked,
    session::{Deadline, store_failed},
    users::not_deleted,
};
use crate::{
    plan::guard::Moved,
    scim::{
        bulk::{self, Act, BulkRequest, Operation, Verb},
        dropped::Taken,
        error::Problem,
        patch,
        resource::{
            ResourceId,
            ResourceType::{self, Group, User},
            group_from_json, user_from_json,
        },
    },
    store::{
        GroupWritten, HoldId, Lane, Others, Precondition, UserWritten, WriteError,
        bulk::{Outcome, Unit, Write, Wrote},
    },
};

mod addresses;
mod answers;
mod linked;
mod rehearsal;

pub use rehearsal::{Foreseen, Look, Rehearsed, Then};

/// An operation and what became of it; nothing is told of a deletion but that
/// it was done.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkAnswer {
    pub operation: Operation,
    pub outcome: Result<Option<Written>, Failure>,
    /// Attributes that were left out because no schema defines them.
    pub dropped: usize,
}

impl Session {
    /// Does what a request asks, in an order in which references hold. `when`
    /// is the precondition of each operation, or why it is none. Operations
    /// that `failOnErrors` kept from being tried are not among the answers.
    pub async fn bulk(
        &self,
        request: BulkRequest,
        when: Vec<Result<Precondition, Problem>>,
    ) -> Result<Vec<BulkAnswer>, Failure> {
        let session = self.clone();
        self.whole(async move { Ok(session.bulk_whole(request, when, None).await) })
            .await
    }

    /// Does a held request, as the only operation; it waits no more when it
    /// is done.
    pub(super) async fn again(
        &self,
        act: Act,
        when: Precondition,
        closes: HoldId,
    ) -> Result<Option<Written>, Failure> {
        let session = self.clone();
        let request = BulkRequest::of(act);
        self.whole(async move {
            let when = vec![Ok(when)];
            let answers = session.bulk_whole(request, when, Some(closes)).await;
            let answer = answers.into_iter().next();
            answer.map_or(Err(Failure::Internal), |answer| answer.outcome)
        })
        .await
    }

    async fn bulk_whole(
        &self,
        mut request: BulkRequest,
        when: Vec<When>,
        closes: Option<HoldId>,
    ) -> Vec<BulkAnswer> {
        request.resolve(&self.schemas(), || clock::new_id().to_string());
        let (mut work, parts) = Work::begin(self, request, when, closes);
        let end = self.deadline();
        for (left, part) in (1..=parts.len()).rev().zip(parts) {
            if work.errors() >= work.most_errors {
                break;
            }
            work.until = share(end, left);
            work.part(part).await;
        }
        work.answers()
    }
}

/// When the first of some waits ends that all have to end in time: none takes
/// away what the others need, and what it leaves is theirs.
fn share(end: Deadline, waits: usize) -> Deadline {
    let now = Instant::now();
    let waits = u32::try_from(waits.max(1)).unwrap_or(u32::MAX);
    now + end.saturating_duration_since(now) / waits
}

/// A request under way; everything is by the operations' places.
struct Work<'s> {
    session: &'s Session,
    operations: Vec<Operation>,
    when: Vec<When>,
    outcomes: Vec<Option<Result<Option<Written>, Failure>>>,
    /// Whether what the operation is about was there after it.
    made: Vec<bool>,
    dropped: Vec<usize>,
    /// What an operation that can take something away said, until it is known
    /// that it may.
    bodies: Vec<String>,
    /// Operations of this part that the guard rails did not let pass.
    stopped: Vec<(usize, Stopped)>,
    /// Operations of which it cannot be told now whether the account has the new
    /// address by now.
    unread: HashMap<usize, Failure>,
    /// Operations of which it cannot be told now whom they would have to take out.
    unknown: HashMap<usize, Failure>,
    /// Who is in Groups that are to be deleted besides their members.
    others: HashMap<usize, Others>,
    /// The held request that this is.
    closes: Option<HoldId>,
    most_errors: usize,
    /// The end of the one wait for all answers to a part.
    until: Deadline,
}

/// The precondition of an operation, or why it is none.
pub(super) type When = Result<Precondition, Problem>;
type Units = Vec<Vec<usize>>;
/// What was written, by the operations' places.
type WrittenAt = (Vec<(usize, UserWritten)>, Vec<(usize, GroupWritten)>);

impl<'s> Work<'s> {
    /// A request whose references are resolved, and its parts.
    fn begin(
        session: &'s Session,
        request: BulkRequest,
        when: Vec<When>,
        closes: Option<HoldId>,
    ) -> (Self, Vec<Units>) {
        let units = bulk::units(&request.operations);
        let work = Self {
            session,
            outcomes: request.operations.iter().map(|_| None).collect(),
            made: vec![false; request.operations.len()],
            bodies: vec![String::new(); request.operations.len()],
            stopped: Vec::new(),
            unread: HashMap::new(),
            unknown: HashMap::new(),
            others: HashMap::new(),
            closes,
            dropped: vec![0; request.operations.len()],
            when,
            most_errors: request.fail_on_errors.unwrap_or(usize::MAX),
            operations: request.operations,
            until: session.deadline(),
        };
        let parts = work.parts(units);
        (work, parts)
    }

    fn answers(self) -> Vec<BulkAnswer> {
        let told = self.outcomes.into_iter().zip(self.dropped);
        let answers = self.operations.into_iter().zip(told);
        answers
            .filter_map(|(operation, (outcome, dropped))| {
                Some(BulkAnswer {
                    operation,
                    outcome: outcome?,
                    dropped,
                })
            })
            .collect()
    }
}

impl Work<'_> {
    /// Cuts the units where something follows the deletion of a User, and where a
    /// Group is made after another one is deleted: whether that is refused, so that
    /// its name is not going to be free, is known only then.
    fn parts(&self, units: Units) -> Vec<Units> {
        let mut parts: Vec<Units> = Vec::new();
        let (mut after_deletion, mut frees) = (true, false);
        for unit in units {
            let is = |verb, of| unit.iter().any(|place| self.is(*place, verb, of));
            let deletes = is(Verb::Delete, User);
            let waits = frees && is(Verb::Create, Group);
            let deletes_group = is(Verb::Delete, Group);
            match parts.last_mut() {
                Some(part) if (deletes || !after_deletion) && !waits => part.push(unit),
                _ => {
                    parts.push(vec![unit]);
                    frees = false;
                }
            }
            after_deletion = deletes;
            frees |= deletes_group;
        }
        parts
    }

    fn deletes_user(&self, place: usize) -> bool {
        self.is(place, Verb::Delete, User)
    }

    /// The application's refusal of the only or first step of an operation on a
    /// User, said of what was asked.
    fn as_asked(&self, place: usize, refused: Problem) -> Problem {
        if self.deletes_user(place) {
            not_deleted(refused)
        } else {
            refused
        }
    }

    fn is(&self, place: usize, verb: Verb, of: ResourceType) -> bool {
        let act = self.operations.get(place).map(|o| &o.act);
        matches!(act, Some(Ok(act)) if act.verb == verb && act.of == of)
    }

    fn errors(&self) -> usize {
        let failed = |outcome: &&Option<_>| matches!(outcome, Some(Err(_)));
        self.outcomes.iter().filter(failed).count()
    }

    fn note_made(&mut self, place: usize, made: bool) {
        if let Some(slot) = self.made.get_mut(place) {
            *slot = made;
        }
    }

    /// What this operation refers to and is not there.
    fn missing_need(&self, place: usize) -> Option<usize> {
        let needs = self.operations.get(place).map(|o| &o.needs)?;
        let missing = |need: &usize| self.made.get(*need) != Some(&true);
        needs.iter().copied().find(missing)
    }

    fn settle(&mut self, place: usize, outcome: Result<Option<Written>, Failure>) {
        if let Some(slot) = self.outcomes.get_mut(place) {
            *slot = Some(outcome);
        }
    }

    async fn look_into_doomed(&mut self, part: &Units) {
        let until = self.session.half(self.until);
        for place in part.iter().flatten() {
            if let Some(act) = self.operations.get(*place).and_then(deletes_group)
                && let Some(others) = self.session.others_in(&act.id, until).await
            {
                self.others.insert(*place, others);
            }
        }
    }

    /// One transaction, then the answers of the application.
    async fn part(&mut self, part: Units) {
        self.follow_accounts(&part).await;
        self.look_into_doomed(&part).await;
        self.know_members(&part).await;
        let units = self.units(&part);
        let left = self.most_errors.saturating_sub(self.errors());
        let outcomes = match self.session.write_all(units, left).await {
            Ok(outcomes) => outcomes,
            Err(failure) => {
                for place in part.into_iter().flatten() {
                    self.settle(place, Err(failure.clone()));
                }
                return;
            }
        };
        let (users, groups) = self.take_in(&part, outcomes);
        self.tell_stopped().await;
        self.await_answers(users, groups).await;
        self.bury(part).await;
    }

    /// What became of the units of a part; what the guard rails stopped is yet
    /// to be told.
    fn take_in(&mut self, part: &Units, outcomes: Vec<Outcome>) -> WrittenAt {
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for (unit, outcome) in part.iter().zip(outcomes) {
            match outcome {
                Outcome::Done(wrote) => {
                    for (place, wrote) in unit.iter().zip(wrote) {
                        self.note_made(*place, true);
                        match wrote {
                            Wrote::User(written) => users.push((*place, written)),
                            Wrote::Group(written) => groups.push((*place, written)),
                        }
                    }
                }
                Outcome::Refused(at, error) => self.refused(unit, at, error),
                Outcome::Unmet(need) => {
                    let need = part.get(need).and_then(|unit| unit.first());
                    for place in unit {
                        self.settle(*place, Err(self.unmet(need.copied())));
                    }
                }
                Outcome::Left => {}
            }
        }
        (users, groups)
    }

    /// The writes of a part. What needs something that an earlier part did not
    /// bring is refused at once.
    fn units(&mut self, part: &Units) -> Vec<Unit> {
        let mut unit_of = HashMap::new();
        for (number, unit) in part.iter().enumerate() {
            unit_of.extend(unit.iter().map(|place| (*place, number)));
        }
        let mut units = Vec::with_capacity(part.len());
        for (number, unit) in part.iter().enumerate() {
            let mut needs = Vec::new();
            let mut writes = Vec::with_capacity(unit.len());
            for place in unit {
                let needed = self.operations.get(*place).map(|o| o.needs.clone());
                let mut missing = None;
                for need in needed.unwrap_or_default() {
                    match unit_of.get(&need) {
                        Some(inside) if *inside == number => {}
                        Some(inside) => needs.push(*inside),
                        None if self.made.get(need) == Some(&true) => {}
                        None => missing = Some(need),
                    }
                }
                writes.push(match missing {
                    Some(need) => Write::Refused(depends_on(self.name(need)).into()),
                    None if self.unknown.contains_key(place) => Write::Refused(WriteError::Missing),
                    None => self.write(*place).unwrap_or_else(Write::Refused),
                });
            }
            // The deletion of a User is done with its second step.
            let ends = !unit.iter().any(|place| self.deletes_user(*place));
            units.push(Unit {
                writes,
                needs,
                closes: self.closes.filter(|_| ends),
            });
        }
        units
    }

    /// One operation as a write, decided as the single request would be.
    fn write(&mut self, place: usize) -> Result<Write, WriteError> {
        let session = self.session;
        let when = self.when_of(place);
        let Some(operation) = self.operations.get_mut(place) else {
            return Err(WriteError::Missing);
        };
        let act = operation.act.as_mut().map_err(|problem| problem.clone())?;
        let when = when?;
        let text = match act.verb {
            Verb::Delete => String::new(),
            _ => std::mem::take(&mut act.data).to_string(),
        };
        let (body, schemas, limits) =
            (text.as_bytes(), session.schemas(), &session.policy().limits);
        let id = ResourceId::exact(&act.id).ok_or(WriteError::Missing)?;
        let mut dropped = 0;
        let write = match (act.verb, act.of) {
            (Verb::Create, User) => {
                let row = session.new_user(
                    session.taken(user_from_json(body, &schemas, limits)?, &mut dropped),
                )?;
                Write::CreateUser { id, row }
            }
            (Verb::Replace, User) => {
                let decide = session.replacing_user(
                    session.taken(user_from_json(body, &schemas, limits)?, &mut dropped),
                );
                Write::Put(Box::new(Write::ChangeUser { id, when, decide }))
            }
            (Verb::Patch, User) => {
                let decide = session.patching_user(
                    session.taken(patch::parse(body, User, &schemas, limits)?, &mut dropped),
                );
                Write::ChangeUser { id, when, decide }
            }
            (Verb::Delete, User) => {
                let decide = session.leaving_user();
                let closes = self.closes;
                Write::BeginDeletion {
                    id,
                    when,
                    decide,
                    closes,
                }
            }
            (Verb::Create, Group) => {
                let new = session.new_group(
                    session.taken(group_from_json(body, &schemas, limits)?, &mut dropped),
                )?;
                let (row, members) = new;
                let skip_unknown = session.skips_unknown;
                Write::CreateGroup {
                    id,
                    row,
                    members,
                    skip_unknown,
                }
            }
            (Verb::Replace, Group) => {
                let change = session.replacing_group(
                    session.taken(group_from_json(body, &schemas, limits)?, &mut dropped),
                );
                Write::Put(Box::new(Write::ChangeGroup { id, when, change }))
            }
            (Verb::Patch, Group) => {
                let patch =
                    session.taken(patch::parse(body, Group, &schemas, limits)?, &mut dropped);
                let change = session.patching_group(patch);
                Write::ChangeGroup { id, when, change }
            }
            (Verb::Delete, Group) => {
                let decide = session.deleting_group();
                Write::DeleteGroup {
                    id,
                    when,
                    decide,
                    others: self.others.get(&place).copied(),
                }
            }
        };
        if let Some(slot) = self.dropped.get_mut(place) {
            *slot = dropped;
        }
        if let Some(slot) = self.bodies.get_mut(place) {
            *slot = text;
        }
        Ok(write)
    }

    /// A unit whose write at a place in it was refused: the others of a circle
    /// fall with that one.
    fn refused(&mut self, unit: &[usize], at: usize, error: WriteError) {
        let culprit = unit.get(at).copied().unwrap_or_default();
        let (of, id) = self.aim(culprit);
        let nests = matches!(error, WriteError::UnknownMembers(_)) && self.nests(culprit);
        let why = self.unless_unread(culprit, self.session.write_failed(error, of, &id));
        let mut why = self.unless_unknown(culprit, why);
        if let Failure::Stopped(stopped) = &why {
            self.stopped.push((culprit, (**stopped).clone()));
        }
        if let (true, Failure::Problem(problem)) = (nests, &mut why) {
            problem.detail.push_str(NO_NESTING);
        }
        for place in unit {
            let failure = if *place == culprit {
                why.clone()
            } else {
                self.unmet(Some(culprit))
            };
            self.settle(*place, Err(failure));
        }
    }

    /// Whether a Group refers to another one that this request creates.
    fn nests(&self, place: usize) -> bool {
        let of = |place: usize| self.aim(place).0;
        let needs = self.operations.get(place).map(|o| o.needs.as_slice());
        let mut others = needs.unwrap_or_default().iter();
        of(place) == Group && others.any(|need| *need != place && of(*need) == Group)
    }

    fn aim(&self, place: usize) -> (ResourceType, String) {
        match self.operations.get(place).map(|o| &o.act) {
            Some(Ok(act)) => (act.of, act.id.clone()),
            _ => (User, String::new()),
        }
    }

    fn unmet(&self, need: Option<usize>) -> Failure {
        Failure::Problem(depends_on(need.map_or("", |need| self.name(need))))
    }

    fn name(&self, place: usize) -> &str {
        let operation = self.operations.get(place);
        operation
            .and_then(|o| o.bulk_id.as_deref())
            .unwrap_or_default()
    }

    pub(super) fn when_of(&self, place: usize) -> When {
        let when = self.when.get(place).cloned();
        when.unwrap_or_else(|| Ok(Precondition::default()))
    }

    /// Whether a later operation of the same transaction wrote the same resource.
    fn is_written_after(&self, place: usize) -> bool {
        let aim = self.aim(place);
        let after = place.saturating_add(1)..self.operations.len();
        after
            .into_iter()
            .any(|later| self.made.get(later) == Some(&true) && self.aim(later) == aim)
    }

    /// What is held is an operation of its own, whatever came with it.
    async fn tell_stopped(&mut self) {
        for (place, mut stopped) in std::mem::take(&mut self.stopped) {
            if let Stopped::Over(excess) = &mut stopped
                && self.is_written_after(place)
            {
                // Whether that asks for otherwise is not known, so it is shown once more.
                excess.moved = Moved::default();
            }
            let verb = self.operations.get(place).map(|o| &o.act);
            let Some(verb) = verb.and_then(|act| Some(act.as_ref().ok()?.verb)) else {
                continue;
            };
            let (of, id) = self.aim(place);
            let body = self.bodies.get_mut(place).map(std::mem::take);
            let when = self.when_of(place).unwrap_or_default();
            let body = body.unwrap_or_default();
            let asked = Asked::new(verb, of, &id, (body.as_bytes(), &when));
            let told = self.session.stopped(&asked, stopped).await;
            self.settle(place, Err(told));
        }
    }
}

impl Session {
    fn taken<T>(&self, body: Taken<T>, dropped: &mut usize) -> T {
        *dropped = body.dropped.count();
        if *dropped > 0 {
            self.note_dropped(&body.dropped);
        }
        body.taken
    }

    async fn write_all(
        &self,
        units: Vec<Unit>,
        most_errors: usize,
    ) -> Result<Vec<Outcome>, Failure> {
        let store = &self.bridge.store;
        let written = store.write_all(self.connection.key, units, most_errors, self.actor());
        written.await.map_err(store_failed)
    }
}

/// Why the circle of section 3.7.1's example cannot be made.
const NO_NESTING: &str = ". A Group cannot be a member of a Group here: only Users are members, \
    so Groups cannot refer to each other, in a circle or otherwise";

/// RFC 7644 section 3.7.1: a reference that cannot be resolved is a conflict.
fn depends_on(name: &str) -> Problem {
    Problem::new(
        409,
        format!(
            "this operation refers to the bulkId {:?}, which was not created; see the answer to \
             that operation",
            name.chars().take(64).collect::<String>()
        ),
    )
}
