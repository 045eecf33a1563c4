//! One turn of a group: the pairs that differ, in as few calls as the application
//! has for them. What it refuses as a whole is halved until the bad member
//! stands alone; whom it did not list is settled by reading.

use std::{
    collections::{HashMap, HashSet},
    iter,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    Doubts, Pause, identities::Identities, if_asked, pause_after, remade::makes_nobodys, tell,
    took, was_done, word,
};
use crate::{
    plan::{
        decide::plan_group,
        operation::Operation,
        state::{Existence, GroupKey, GroupWork, Principal, UserKey},
    },
    scim::resource::ResourceId,
    store::{GroupLearned, GroupTurn, Guess, Millis, StoreError, UNANSWERED},
    upstream::{RemoteMember, Upstream, UpstreamError, Wanted, noting},
};

mod failures;
mod foreign;
mod learned;
mod settled;

pub(super) use foreign::{OTHERS, UNPROVEN};

/// Where the connection says nothing else. A removal is not given up before a
/// read can lag no more (reliability: H-12), as giving it up wrongly would leave
/// somebody with access; nor is an addition of which the application's own list
/// said nothing.
pub(in crate::bridge) const READ_LAG: Duration = Duration::from_secs(10);

/// A turn that isolates bad members makes so many calls before it gives way to
/// what else was asked for: more than finding one takes.
const OWN_TIME: usize = 32;

/// How many times as long a turn is that ends with a reading, so that what its calls
/// did is seen.
const WORTH_A_LOOK: usize = 4;

/// What became of a turn's pairs since it was handed out. A turn may take as
/// many calls as it has batches, and what nobody wants any more is not sent
/// (reliability: H-02).
#[async_trait]
pub(in crate::bridge) trait Since: Send + Sync {
    /// Those of the pairs that were written again.
    async fn written(&self, users: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError>;

    /// Those of the application's names for groups that nothing here has or had.
    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError>;

    /// Whether the application's id for a new group is one that another has here.
    async fn is_anothers(&self, _id: &str) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Whether something else was asked for of the group meanwhile.
    fn is_overtaken(&self) -> bool {
        false
    }

    /// Whether somebody is to be taken out of it whom the turn does not have.
    async fn takes(&self) -> bool {
        false
    }

    /// After how many calls the rest of its additions is left to the next turn.
    fn long(&self) -> usize {
        usize::MAX
    }

    /// It was sent.
    fn sent(&self, _operation: &Operation) {}

    /// What it is to give, of which it is asked right before it is sent whether that is
    /// wanted still.
    fn wanted(&self, _operation: &Operation) -> Option<Arc<dyn Wanted>> {
        None
    }

    /// Whether something was done, or may have been, that a look may not show yet
    /// (reliability: H-12).
    fn done_lately(&self) -> bool {
        false
    }

    /// For how long what these groups left may be shown yet, if at all: nothing that
    /// a look shows before that tells of another one of their name (reliability: H-12).
    fn shown_for(&self, _before: &[GroupKey]) -> Option<Duration> {
        None
    }

    /// It could not be looked who is in the group, so it is not deleted yet.
    fn cannot_look(&self) {}

    /// Whether it is looked who is in the group before it is deleted there.
    fn looks_into(&self) -> bool {
        false
    }

    /// Why it stays, by who is in it.
    async fn keeps(
        &self,
        _id: ResourceId,
        _listed: Vec<RemoteMember>,
    ) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// When an import began that was over by then and would have shown what was there.
    fn listed(&self, _by: Millis) -> Option<Millis> {
        None
    }

    /// Those of the application's names for groups that another connection at the same
    /// tenant has for what was made by it.
    async fn made_elsewhere(&self, _names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// How far what the application shows may lag behind (reliability: H-12).
    fn read_lag(&self) -> Duration {
        READ_LAG
    }
}

/// Works one group turn off.
pub(in crate::bridge) async fn group_turn(
    upstream: &dyn Upstream,
    turn: GroupTurn,
    since: &dyn Since,
    doubts: &mut Doubts,
) -> (GroupLearned, Pause) {
    let mut turn = Turn {
        upstream,
        since,
        doubted: turn.doubted,
        named: turn.named,
        before: turn.before,
        mistakable: turn.mistakable,
        guess: turn.guess,
        remains: turn.remains,
        shown_absent: turn.shown_absent,
        learned: GroupLearned::default(),
        open: open(&turn.work),
        left_out: HashSet::new(),
        only_looked: HashSet::new(),
        not_counted: HashSet::new(),
        refusals: HashMap::new(),
        is_shown: false,
        taken_on: HashSet::new(),
        unlisted: doubts.2,
        looks_at_title: false,
        gave_way: false,
        began: Instant::now(),
        work: turn.work,
    };
    doubts.keep(&turn.open);
    turn.only_look(doubts);
    turn.looks_at_title = turn
        .open_title()
        .is_some_and(|title| doubts.only_looks_at(title, since.read_lag()));
    let pause = turn.run().await;
    doubts.2 = turn.unlisted;
    for (operation, word, _) in &turn.learned.calls {
        if let Operation::RenameGroup { title, .. } = operation {
            doubts.titled(title, word != UNANSWERED);
        }
    }
    let pause = turn.settle_by_reading(pause, doubts).await;
    turn.note_taken_on();
    // What nothing was said about and was never sent goes back as it was.
    (turn.learned, pause)
}

/// Every pair of the turn and the direction wanted (true: present).
fn open(work: &GroupWork) -> HashMap<UserKey, (Principal, bool)> {
    let adds = work.adds.iter().map(|p| (p.user, (p.clone(), true)));
    let removes = work.removes.iter().map(|p| (p.user, (p.clone(), false)));
    adds.chain(removes).collect()
}

pub(super) struct Turn<'a> {
    pub(super) upstream: &'a dyn Upstream,
    pub(super) since: &'a dyn Since,
    pub(super) doubted: bool,
    named: Vec<Principal>,
    /// See [`GroupTurn::before`].
    before: Vec<GroupKey>,
    /// See [`GroupTurn::mistakable`].
    mistakable: bool,
    /// See [`GroupTurn::guess`].
    pub(super) guess: Option<Guess>,
    /// See [`GroupTurn::remains`]; not any more when a look has shown nothing.
    remains: bool,
    /// See [`GroupTurn::shown_absent`].
    pub(super) shown_absent: bool,
    pub(super) work: GroupWork,
    pub(super) learned: GroupLearned,
    /// Pairs nothing final was learned about yet.
    pub(super) open: HashMap<UserKey, (Principal, bool)>,
    /// Those whom the application's own list of what it did leaves out.
    left_out: HashSet<UserKey>,
    /// Those of whom nothing is sent, as a call was that no look shows yet.
    only_looked: HashSet<UserKey>,
    /// Those of whom a call was answered with a no: no look is going to show it.
    not_counted: HashSet<UserKey>,
    /// Those who were refused, and why; they are told after a look has shown that it was
    /// not done all the same.
    refusals: HashMap<UserKey, (Principal, bool, String)>,
    /// A call about its members said that something was missing, and a look showed it.
    is_shown: bool,
    /// Those whose call was taken on, and may be done later.
    taken_on: HashSet<UserKey>,
    /// Since when looks at it count somebody and list nobody.
    unlisted: Option<Instant>,
    /// Its name was said a moment ago, so it is only looked whether it has it.
    looks_at_title: bool,
    /// It ends for a removal that it does not have.
    gave_way: bool,
    began: Instant,
}

/// What to do after a call of a group turn.
pub(super) enum Next {
    GoOn,
    /// Stop here: the rest was not sent.
    Stop(Pause),
}

impl Turn<'_> {
    /// Sends nothing of those whose last call may only not be shown yet.
    fn only_look(&mut self, doubts: &Doubts) {
        let lag = self.since.read_lag();
        let waits = |user: &&UserKey| doubts.only_looks(**user, lag);
        let work = &mut self.work;
        if work.observed != Existence::Present || !work.wanted {
            return;
        }
        self.only_looked = self.open.keys().filter(waits).copied().collect();
        if self.only_looked.is_empty() {
            return;
        }
        let sent = |it: &Principal| !self.only_looked.contains(&it.user);
        work.alone = work
            .removes
            .iter()
            .take(work.alone)
            .filter(|it| sent(it))
            .count();
        work.first = work
            .adds
            .iter()
            .take(work.first)
            .filter(|it| sent(it))
            .count();
        work.adds.retain(sent);
        work.removes.retain(sent);
        work.full = None;
    }

    async fn run(&mut self) -> Pause {
        if let Some(pause) = self.find_given().await {
            return pause;
        }
        let ambiguous = self.work.observed == Existence::Unknown;
        if self.work.wanted
            && ambiguous
            && let Some(pause) = self.look_for_it().await
        {
            return pause;
        }
        if !self.work.wanted
            && !self.work.kept
            && let Some(pause) = self.look_for_guess().await
        {
            return pause;
        }
        if self.looks_at_title
            && self.work.observed == Existence::Present
            && let Some(pause) = self.look_at_title().await
        {
            return pause;
        }
        let plan = plan_group(&self.work, self.upstream.capabilities());
        tell(&plan);
        if plan.operations.is_empty() && !plan.losses.is_empty() {
            self.refuse_all(&plan);
            return Pause::None;
        }
        let renames = |it: &Operation| matches!(it, Operation::RenameGroup { .. });
        let looked = self.learned.title_open;
        self.learned.title_open |= plan.operations.iter().any(renames);
        match self.send_all(plan.operations).await {
            Pause::None if looked => Pause::BackOff,
            pause => pause,
        }
    }

    /// Finds out whether it is there; the end of the turn where nothing can be done
    /// after that.
    async fn look_for_it(&mut self) -> Option<Pause> {
        let left = self.since.shown_for(&self.before);
        if let Some(left) = left.filter(|_| !self.work.made && !self.is_given()) {
            // Whether or not it shows one, that tells nothing.
            return Some(self.nothing_sent(Pause::Within(left)));
        }
        match self.upstream.group(&self.work.name).await {
            Ok(Some(found)) if !self.work.made && !self.is_given() => self.recognize(found).await,
            Ok(Some(found)) => {
                self.is_there();
                self.compare_title(&found);
                None
            }
            Ok(None) if self.is_given() => Some(self.vanished("look after the group")),
            Ok(None) if self.work.made => {
                // Gone by a deletion of ours that came late. The next turn
                // makes it again, with all of its members.
                self.learned.existence = Some(Existence::Absent);
                Some(self.nothing_sent(Pause::None))
            }
            Ok(None) => {
                self.work.observed = Existence::Absent;
                self.remains = false;
                self.note_absent();
                None
            }
            Err(error) => Some(self.nothing_sent(pause_after(&error))),
        }
    }

    /// A look has shown nothing.
    pub(super) fn note_absent(&mut self) {
        self.learned.shown_absent = !self.shown_absent;
    }

    fn is_there(&mut self) {
        self.work.observed = Existence::Present;
        self.learned.existence = Some(Existence::Present);
    }

    /// Sends the operations; a batch that was refused whole is halved until the
    /// bad member stands alone, after everything else was sent and as long as
    /// nothing else is asked for: nobody's removal waits for that.
    async fn send_all(&mut self, operations: Vec<Operation>) -> Pause {
        let mut halves = Vec::new();
        let mut operations = operations.into_iter();
        while let Some(operation) = halves
            .pop_if(|it| makes_nobodys(it))
            .or_else(|| operations.next())
        {
            if !self.work.wanted && self.is_absent() {
                break;
            }
            if self
                .gives_way(&operation, operations.as_slice(), &halves)
                .await
            {
                self.leave(iter::once(operation).chain(operations).chain(halves));
                return Pause::None;
            }
            let gives = gives(&operation);
            if let Next::Stop(pause) = self.send(operation, &mut halves).await {
                return self.stop(gives, operations.chain(halves), pause).await;
            }
            point!("turn.one-sent");
        }
        while let Some(half) = halves.pop() {
            if self.learned.calls.len() >= OWN_TIME && self.since.is_overtaken() {
                halves.push(half);
                self.leave(halves);
                return Pause::None;
            }
            let gives = gives(&half);
            if let Next::Stop(pause) = self.send(half, &mut halves).await {
                return self.stop(gives, halves, pause).await;
            }
            point!("turn.one-sent");
        }
        Pause::None
    }

    /// The turn ends here, but what takes access away does not wait until what
    /// gives it can be done.
    async fn stop(
        &mut self,
        gives: bool,
        rest: impl IntoIterator<Item = Operation>,
        pause: Pause,
    ) -> Pause {
        let takes = |it: &Operation| gives && matches!(it, Operation::RemoveMembers { .. });
        let (removals, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(takes);
        self.leave(rest);
        let mut removals = removals.into_iter();
        let mut halves = Vec::new();
        for removal in removals.by_ref() {
            if let Next::Stop(_) = self.send(removal, &mut halves).await {
                break;
            }
            point!("turn.one-sent");
        }
        self.leave(removals.chain(halves));
        pause
    }

    /// Whether the rest is left to the next turn, which takes away first. Whatever
    /// else is asked for, some additions were done, or the same ones would be tried
    /// again and again. A turn ends for its length alone where nobody is open whom
    /// a reading at its end would have to settle, or after so many calls that one is
    /// little beside them.
    async fn gives_way(
        &mut self,
        next: &Operation,
        rest: &[Operation],
        halves: &[Operation],
    ) -> bool {
        let is_add = |it: &Operation| matches!(it, Operation::AddMembers { .. });
        let gave = |it: &Operation| is_add(it) || matches!(it, Operation::CreateGroup { .. });
        let learned = &self.learned;
        let mut calls = learned.calls.iter();
        let got_on = !learned.refused.is_empty()
            || !self.refusals.is_empty()
            || calls.any(|call| gave(&call.0) && was_done(call));
        if !is_add(next) || !got_on {
            return false;
        }
        let is_long = learned.calls.len() >= self.since.long();
        let is_very_long = learned.calls.len() >= self.since.long().saturating_mul(WORTH_A_LOOK);
        let left = || iter::once(next).chain(rest).map(|it| members_of(it).len());
        let is_unclear = || self.open.len() > left().sum::<usize>();
        if is_long && halves.is_empty() && (is_very_long || !is_unclear()) {
            return true;
        }
        self.gave_way = self.since.takes().await;
        self.gave_way
    }

    /// They go with the next turn.
    fn leave(&mut self, operations: impl IntoIterator<Item = Operation>) {
        for operation in operations {
            self.unsent(members_of(&operation));
        }
    }

    /// Sends one operation; what is left of it goes to `halves`.
    async fn send(&mut self, operation: Operation, halves: &mut Vec<Operation>) -> Next {
        if self.learned.gone.is_some() {
            return Next::GoOn;
        }
        let operation = match self.still_wanted(operation).await {
            Ok(operation) => operation,
            Err(instead) => {
                halves.extend(instead);
                return Next::GoOn;
            }
        };
        if let Some(instead) = self.kept(&operation).await {
            return instead;
        }
        let Some(operation) = self.nobody_unasked(operation).await else {
            halves.extend(self.difference());
            return Next::GoOn;
        };
        let started = Instant::now();
        let sent = noting(self.upstream.apply(&operation));
        let ((result, noted), recalled) = if_asked(self.since.wanted(&operation), sent).await;
        if let (true, Err(error @ UpstreamError::Later { .. })) = (recalled, &result) {
            if !noted.sent.is_empty() {
                let took = took(started, noted, &result);
                let call = (operation.clone(), word(&result), took);
                self.learned.calls.push(call);
            }
            self.failure(operation, error, halves);
            return Next::Stop(Pause::None);
        }
        self.since.sent(&operation);
        let result = self.named(&operation, result).await;
        let call = (
            operation.clone(),
            word(&result),
            took(started, noted, &result),
        );
        self.learned.calls.push(call);
        let named = members_of(&operation);
        match result {
            // It says of everybody whether they are in it.
            Ok(outcome) if outcome.open => {
                self.taken_on.extend(self.open.keys());
                Next::GoOn
            }
            Ok(outcome) => {
                self.note_title(&operation, outcome.upstream_id);
                self.note_success(&operation, &outcome.members);
                Next::GoOn
            }
            Err(error) => match self.about_the_group(&operation, error).await {
                Ok(Some(error)) => match self.by_its_id_now(&operation, &error).await {
                    Ok(Some(again)) => {
                        halves.push(again);
                        Next::GoOn
                    }
                    Ok(None) => self.failure(operation, &error, halves),
                    Err(error) => {
                        self.unsent(named);
                        Next::Stop(pause_after(&error))
                    }
                },
                Ok(None) => {
                    self.not_counted.extend(named);
                    Next::GoOn
                }
                Err(error) => Next::Stop(pause_after(&error)),
            },
        }
    }

    /// A replacement takes out whoever it does not name, and since the last
    /// reading somebody may have been put in by hand: who was never asked for
    /// is not touched (reliability: I-26). `None` where there is such a member,
    /// or it cannot be known: the same is done by additions and removals.
    async fn nobody_unasked(&self, operation: Operation) -> Option<Operation> {
        let Operation::ReplaceMembers { members, .. } = &operation else {
            return Some(operation);
        };
        let asked_for = Identities::of_principals(members.iter().chain(&self.work.removes));
        let listed = self.upstream.members(&self.work.name).await.ok()?;
        let alone = listed.iter().all(|member| asked_for.has_member(member));
        alone.then_some(operation)
    }

    /// The same as a replacement by small calls, the first of them last, as they
    /// are taken from the end.
    fn difference(&self) -> Vec<Operation> {
        let work = GroupWork {
            adds: self.still_open(true),
            removes: self.still_open(false),
            full: None,
            ..self.work.clone()
        };
        let mut operations = plan_group(&work, self.upstream.capabilities()).operations;
        // That was sent before the replacement.
        operations.retain(|it| !matches!(it, Operation::RenameGroup { .. }));
        operations.reverse();
        operations
    }

    /// The operation without those who were asked for otherwise since the turn
    /// was handed out, or what is sent instead; the next turn has them as they are
    /// wanted then.
    async fn still_wanted(&mut self, operation: Operation) -> Result<Operation, Vec<Operation>> {
        let replaces = matches!(operation, Operation::ReplaceMembers { .. });
        let mut users = if makes_nobodys(&operation) {
            self.still_open(true).iter().map(|it| it.user).collect()
        } else {
            members_of(&operation)
        };
        if replaces {
            users.extend(self.work.removes.iter().map(|it| it.user));
        }
        if self.learned.calls.is_empty() || users.is_empty() {
            return Ok(operation);
        }
        let written = match self.since.written(users.clone()).await {
            Ok(written) => written,
            Err(error) => {
                tracing::error!(%error, "a lane cannot use the store");
                users.clone()
            }
        };
        self.unsent(&written);
        if makes_nobodys(&operation) {
            // Where all of them were written again, the group may not be wanted.
            let left = (written.len() < users.len()).then_some(operation);
            return left.ok_or_else(Vec::new);
        }
        if replaces && !written.is_empty() {
            // It says of everybody whether they are in it.
            return Err(self.difference());
        }
        let written: HashSet<UserKey> = written.into_iter().collect();
        let wanted = |members: Vec<Principal>| {
            let left = members.into_iter().filter(|p| !written.contains(&p.user));
            Some(left.collect::<Vec<_>>()).filter(|left| !left.is_empty())
        };
        let left = match operation {
            Operation::AddMembers { group, members } => {
                wanted(members).map(|members| Operation::AddMembers { group, members })
            }
            Operation::RemoveMembers { group, members } => {
                wanted(members).map(|members| Operation::RemoveMembers { group, members })
            }
            // Creation with members is the first of a turn.
            other => Some(other),
        };
        left.ok_or_else(Vec::new)
    }
}

/// Whether nobody loses anything by a call, or without it a whole group stays.
fn gives(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::AddMembers { .. }
            | Operation::RenameGroup { .. }
            | Operation::DeleteGroup { .. }
    )
}

pub(super) fn members_of(operation: &Operation) -> Vec<UserKey> {
    match operation {
        Operation::CreateGroup { members, .. }
        | Operation::AddMembers { members, .. }
        | Operation::RemoveMembers { members, .. }
        | Operation::ReplaceMembers { members, .. } => members.iter().map(|p| p.user).collect(),
        _ => Vec::new(),
    }
}
