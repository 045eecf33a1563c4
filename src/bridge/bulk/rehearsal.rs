//! What a request would do now, found by doing it in a transaction that is
//! taken back: the same decisions and statements, then the turns of the lanes
//! that it wakes ([`ahead`]) (reliability: G-10). Nothing is written here and
//! nothing sent.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::sync::oneshot;

use super::{Units, When, Work, addresses::Moves};
use crate::{
    bridge::{
        BulkAnswer, Failure, Session, Written, address::Moved, clock, groups::group_refused,
        session::store_failed, users::user_refused,
    },
    plan::{guard::Rehearsal, operation::Operation},
    scim::{
        bulk::BulkRequest,
        resource::{ResourceId, ResourceType},
    },
    store::{
        Lane, Others, Pending, StoreError, UserWritten, Watch, WriteError, bulk::Outcome,
        trial::Trial,
    },
};

mod ahead;
mod looks;

use ahead::{Ahead, Refused};
pub use looks::{Look, Then};
use looks::{Looks, Shown};

/// What a request would do.
#[derive(Debug)]
pub struct Rehearsed {
    /// What each operation would be answered, if the application did all that it
    /// is asked.
    pub operations: Vec<BulkAnswer>,
    /// What would be sent, in order.
    pub calls: Vec<Foreseen>,
    /// There is more to be sent than was looked at.
    pub cut: bool,
    /// Of a single request that can take something away: what that is.
    pub effect: Option<Rehearsal>,
    /// The kill switch stops all writes of the connection.
    pub paused: bool,
    /// Users whose account has another address in the application by now, which
    /// they would follow.
    pub moved: Vec<ResourceId>,
}

/// One turn of a lane.
#[derive(Debug)]
pub struct Foreseen {
    pub of: ResourceType,
    pub id: ResourceId,
    pub operations: Vec<Operation>,
    /// The application is looked at first, and it may turn out otherwise.
    pub unsure: bool,
    /// Groups that are looked at first because of a guard rail, as they are now.
    pub looks: Vec<Look>,
    /// What cannot be done there, of the resource itself or of a member.
    pub refused: Vec<(Option<ResourceId>, String)>,
}

/// The most rehearsals of one request: each knows what the looks before it
/// showed, and may come further.
const ROUNDS: usize = 4;

impl Session {
    /// What a request would do. Its session's own watch is what judges it.
    pub(in crate::bridge) async fn rehearse(
        &self,
        mut request: BulkRequest,
        when: Vec<When>,
    ) -> Result<Rehearsed, Failure> {
        request.resolve(&self.schemas(), || clock::new_id().to_string());
        let moves = self.moves(&request.operations).await;
        let others = self.others_ahead(&request.operations).await;
        let mut shown = Shown::default();
        for round in 1.. {
            let asked = (request.clone(), when.clone(), moves.clone(), others.clone());
            let known = Arc::new(shown);
            let seen = Arc::clone(&known);
            let told = self.try_out(move |session, trial| foresee(session, trial, asked, seen));
            let (rehearsed, unseen) = told.await?;
            // Whatever was tried out has ended.
            shown = Arc::into_inner(known).unwrap_or_default();
            let upstream = &*self.connection.upstream;
            if round == ROUNDS || !shown.read(upstream, unseen).await {
                return Ok(rehearsed);
            }
        }
        Err(Failure::Internal)
    }

    /// What a single request would take away, as the guard judges it; `None` where
    /// that is nothing.
    pub(in crate::bridge) async fn takes_away(
        &self,
        request: BulkRequest,
        when: Vec<When>,
    ) -> Result<Option<Rehearsal>, Failure> {
        let moves = self.moves(&request.operations).await;
        let session = Self {
            watch: Watch::Rehearsed(Arc::clone(&self.connection.policy.guard)),
            ..self.clone()
        };
        let others = session.others_ahead(&request.operations).await;
        let judged = session.try_out(move |session, trial| {
            let (mut work, parts) = Work::begin(session, request, when, None);
            work.others = others;
            let Some(part) = parts.into_iter().next() else {
                return Ok(Ok(None));
            };
            work.follow_ahead(&part, &moves, trial)?;
            let units = work.units(&part);
            let outcome = trial.write_all(units, usize::MAX)?.into_iter().next();
            Ok(match outcome {
                Some(Outcome::Refused(_, WriteError::Rehearsed(plan))) => Ok(Some(*plan)),
                Some(Outcome::Refused(at, error)) => {
                    let (of, id) = work.aim(at);
                    let why = work.session.write_failed(error, of, &id);
                    Err(work.unless_unread(at, why))
                }
                _ => Ok(None),
            })
        });
        judged.await?
    }

    /// Where a look at a group comes before what is pending, turn by turn.
    pub(in crate::bridge) async fn looks_before(
        &self,
        pending: Vec<Pending>,
    ) -> Result<Vec<Vec<Look>>, Failure> {
        let pending = Arc::new(pending);
        let mut shown = Shown::default();
        loop {
            let known = Arc::new(shown);
            let (seen, turns) = (Arc::clone(&known), Arc::clone(&pending));
            let told = self.try_out(move |session, trial| {
                let (upstream, policy) = (&*session.connection.upstream, session.policy());
                let watch = (Arc::clone(&policy.guard), policy.read_lag);
                let mut looks = Looks::new(trial, watch, seen);
                let told = turns.iter().map(|turn| looks.before(turn, upstream));
                let told = told.collect::<Result<Vec<_>, _>>()?;
                Ok((told, looks.unseen))
            });
            let (told, unseen) = told.await?;
            shown = Arc::into_inner(known).unwrap_or_default();
            if !shown.read(&*self.connection.upstream, unseen).await {
                return Ok(told);
            }
        }
    }

    /// Runs a script in a transaction that is taken back.
    async fn try_out<T: Send + 'static>(
        &self,
        script: impl FnOnce(&Self, &dyn Trial) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let session = self.clone();
        let (tell, told) = oneshot::channel();
        let script = move |trial: &dyn Trial| {
            // Who asked may have gone.
            let _ = tell.send(script(&session, trial)?);
            Ok(())
        };
        let (store, key) = (&self.bridge.store, self.connection.key);
        let done = store.rehearse(key, Box::new(script), self.actor()).await;
        done.map_err(store_failed)?;
        told.await.map_err(|_| Failure::Internal)
    }
}

/// A request, and what was found out before.
type Asked = (BulkRequest, Vec<When>, Moves, HashMap<usize, Others>);

fn foresee(
    session: &Session,
    trial: &dyn Trial,
    (request, when, moves, others): Asked,
    shown: Arc<Shown>,
) -> Result<(Rehearsed, BTreeSet<String>), StoreError> {
    let (mut work, parts) = Work::begin(session, request, when, None);
    work.others = others;
    let mut ahead = Ahead::new(session, trial, shown);
    for part in parts {
        if work.errors() >= work.most_errors {
            break;
        }
        work.follow_ahead(&part, &moves, trial)?;
        work.rehearse_part(part, &mut ahead)?;
    }
    let paused = session.bridge.switch.paused();
    let rehearsed = Rehearsed {
        operations: work.answers(),
        calls: ahead.foreseen,
        cut: ahead.cut,
        effect: None,
        paused: paused.stops(&session.connection.name),
        moved: moves.moved.into_values().map(|it| it.user).collect(),
    };
    Ok((rehearsed, ahead.looks.unseen))
}

impl Work<'_> {
    /// As [`Self::follow_accounts`], by what was found out before.
    fn follow_ahead(
        &mut self,
        part: &Units,
        moves: &Moves,
        trial: &dyn Trial,
    ) -> Result<(), StoreError> {
        for place in part.iter().flatten() {
            if let Some(Moved { user, account, to }) = moves.moved.get(place).cloned() {
                trial.follow(user, account, to)?;
            }
            let unread = moves.unread.get(place).cloned();
            self.unread.extend(unread.map(|failure| (*place, failure)));
        }
        Ok(())
    }

    /// As [`Self::part`], without anybody to wait for.
    fn rehearse_part(&mut self, part: Units, ahead: &mut Ahead<'_>) -> Result<(), StoreError> {
        let units = self.units(&part);
        let left = self.most_errors.saturating_sub(self.errors());
        let outcomes = ahead.trial.write_all(units, left)?;
        let (users, groups) = self.take_in(&part, outcomes);
        // They are told as they are, and not kept.
        self.stopped.clear();
        let open = users.iter().filter(|(_, it)| it.dirty);
        let mut lanes: Vec<Lane> = open.map(|(_, it)| Lane::User(it.key)).collect();
        let open = groups
            .iter()
            .filter(|(_, it)| it.dirty || !it.touched.is_empty());
        lanes.extend(open.map(|(_, it)| Lane::Group(it.key)));
        ahead.run(lanes)?;
        let mut woken = Vec::new();
        for (place, written) in users {
            let outcome = match ahead.refused(Lane::User(written.key)) {
                Some(Refused::Whole(reason)) => Err(self.as_asked(place, user_refused(&reason))),
                _ => Ok(Some(of_user(&written))),
            };
            woken.extend(written.groups.into_iter().map(Lane::Group));
            self.settle(place, outcome.map_err(Failure::Problem));
        }
        ahead.run(woken)?;
        for (place, written) in groups {
            let outcome = match ahead.refused(Lane::Group(written.key)) {
                Some(Refused::Whole(reason)) => Err(group_refused(&reason, &written)),
                Some(Refused::Members(problem)) => Err(problem),
                None => Ok(Some(Written {
                    resource: written.resource,
                    changed: written.changed,
                    pending: written.staged,
                    skipped: written.skipped,
                })),
            };
            self.settle(place, outcome.map_err(Failure::Problem));
        }
        self.rehearse_burial(part, ahead)
    }

    /// As [`Self::bury`].
    fn rehearse_burial(&mut self, part: Units, ahead: &mut Ahead<'_>) -> Result<(), StoreError> {
        let gone = self.gone(part);
        let outcomes = ahead.trial.write_all(self.burials(&gone), usize::MAX)?;
        let mut woken = Vec::new();
        for (gone, outcome) in gone.into_iter().zip(outcomes) {
            for written in self.buried(gone, Ok(outcome)) {
                woken.extend(written.groups.into_iter().map(Lane::Group));
                woken.extend(written.dirty.then_some(Lane::User(written.key)));
            }
        }
        self.stopped.clear();
        ahead.run(woken)
    }
}

fn of_user(written: &UserWritten) -> Written {
    Written {
        resource: written.resource.clone(),
        changed: written.changed,
        pending: false,
        skipped: Vec::new(),
    }
}
