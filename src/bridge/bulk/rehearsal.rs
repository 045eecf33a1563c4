//! What a request would do now, found by doing it in a transaction that is
//! taken back: the same decisions and statements, then the turns of the lanes
//! that it wakes ([`ahead`]) (reliability: G-10). Nothing is written here and
//! nothing sent.

use tokio::sync::oneshot;

use super::{Units, When, Work};
use crate::{
    bridge::{
        BulkAnswer, Failure, Session, Written, clock, groups::group_refused, session::store_failed,
        users::user_refused,
    },
    plan::{guard::Rehearsal, operation::Operation},
    scim::{
        bulk::BulkRequest,
        error::Problem,
        resource::{ResourceId, ResourceType},
    },
    store::{Lane, Precondition, StoreError, UserWritten, trial::Trial},
};

mod ahead;

use ahead::{Ahead, Refused};

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
}

/// One turn of a lane.
#[derive(Debug)]
pub struct Foreseen {
    pub of: ResourceType,
    pub id: ResourceId,
    pub operations: Vec<Operation>,
    /// The application is looked at first, and it may turn out otherwise.
    pub unsure: bool,
    /// What cannot be done there, of the resource itself or of a member.
    pub refused: Vec<(Option<ResourceId>, String)>,
}

impl Session {
    /// What a request would do. Its session's own watch is what judges it.
    pub(in crate::bridge) async fn rehearse(
        &self,
        mut request: BulkRequest,
    ) -> Result<Rehearsed, Failure> {
        request.resolve(&self.schemas(), || clock::new_id().to_string());
        let versions = request.operations.iter().map(|it| it.version.as_ref());
        let when = versions.map(|version| match version {
            None => Ok(Precondition::default()),
            Some(_) => Err(no_precondition()),
        });
        let when = when.collect();
        let session = self.clone();
        let (tell, told) = oneshot::channel();
        let script = move |trial: &dyn Trial| {
            // Who asked may have gone.
            let _ = tell.send(foresee(&session, trial, request, when)?);
            Ok(())
        };
        let (store, key) = (&self.bridge.store, self.connection.key);
        let done = store.rehearse(key, Box::new(script), self.actor()).await;
        done.map_err(store_failed)?;
        told.await.map_err(|_| Failure::Internal)
    }
}

/// A version is only good for what it was read of.
pub(in crate::bridge) fn no_precondition() -> Problem {
    Problem::new(
        400,
        "a plan is of what is there now, whatever version that has; leave If-Match, If-None-Match \
         and version out",
    )
}

fn foresee(
    session: &Session,
    trial: &dyn Trial,
    request: BulkRequest,
    when: Vec<When>,
) -> Result<Rehearsed, StoreError> {
    let (mut work, parts) = Work::begin(session, request, when, None);
    let mut ahead = Ahead::new(session, trial);
    for part in parts {
        if work.errors() >= work.most_errors {
            break;
        }
        work.rehearse_part(part, &mut ahead)?;
    }
    let paused = session.bridge.switch.paused();
    Ok(Rehearsed {
        operations: work.answers(),
        calls: ahead.foreseen,
        cut: ahead.cut,
        effect: None,
        paused: paused.stops(&session.connection.name),
    })
}

impl Work<'_> {
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
                Some(Refused::Whole(reason)) => Err(user_refused(&reason)),
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
