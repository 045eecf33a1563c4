//! What follows the commit of a part: the application's answers to all of it, and
//! the second step of the deletions that it took.

use std::collections::HashMap;

use futures_util::future::join_all;

use super::{Failure, Lane, Units, User, Verb, Work, Written};
use crate::{
    plan::state::{GroupKey, UserKey},
    scim::{error::Problem, resource::ResourceId},
    store::{
        GroupWritten, UserRow, UserWritten,
        bulk::{Outcome, Unit, Write, Wrote},
    },
};

impl Work<'_> {
    /// Wakes every lane once and waits for all of them at the same time; users
    /// first, because groups wait for them.
    pub(super) async fn await_answers(
        &mut self,
        users: Vec<(usize, UserWritten)>,
        groups: Vec<(usize, GroupWritten)>,
    ) {
        let (session, until) = (self.session, self.until);
        let users: Vec<_> = users
            .into_iter()
            .map(|(place, written)| (place, session.wait_for_user(&written), written))
            .collect();
        let groups: Vec<_> = groups
            .into_iter()
            .map(|(place, written)| (place, session.wait_for_group(&written), written))
            .collect();
        let answers = users
            .into_iter()
            .map(|(place, waiting, written)| async move {
                let answer = session.user_answer(waiting, until).await;
                (place, written, answer)
            });
        let mut chains: Vec<Chain> = Vec::new();
        let mut by_key = HashMap::new();
        let mut left = Vec::new();
        for (place, written, answer) in join_all(answers).await {
            let number = *by_key.entry(written.key).or_insert(chains.len());
            if number == chains.len() {
                chains.push(Chain::default());
            }
            if let Some(chain) = chains.get_mut(number) {
                chain.note(&written, answer.is_err());
            }
            let outcome = match answer {
                Ok(pending) => session.user_settled(written, pending).map(Some),
                Err(problem) => {
                    left.extend(written.groups);
                    self.note_made(place, !self.creates(place));
                    Err(Failure::Problem(self.as_asked(place, problem)))
                }
            };
            self.settle(place, outcome);
        }
        for chain in chains {
            if let Some((key, version, before)) = chain.undo {
                session.take_back(key, version, before).await;
            }
        }
        session.ask_groups(&left);
        // A member that was just taken back is waited for by nobody.
        for (place, _, written) in &groups {
            if self.missing_need(*place).is_some() {
                session.connection().lanes.kick(Lane::Group(written.key));
            }
        }
        // What is asked for of one Group is refused together.
        let mut last: HashMap<GroupKey, u64> = HashMap::new();
        for (_, _, written) in &groups {
            let seq = last.entry(written.key).or_default();
            *seq = written.seq.max(*seq);
        }
        let answers = groups
            .into_iter()
            .map(|(place, waiting, mut written)| {
                written.seq = last.get(&written.key).copied().unwrap_or(written.seq);
                (place, waiting, written)
            })
            .map(|(place, waiting, written)| async move {
                (place, session.group_settled(written, waiting, until).await)
            });
        for (place, answer) in join_all(answers).await {
            if answer.is_err() && self.creates(place) {
                // Refused as a whole, or only some of its members were.
                let (of, id) = self.aim(place);
                let there = session.read(of, &id).await.is_ok();
                self.note_made(place, there);
            }
            self.settle(place, answer.map(Some));
        }
        self.tell_broken_references();
    }

    fn creates(&self, place: usize) -> bool {
        let act = self.operations.get(place).map(|o| &o.act);
        matches!(act, Some(Ok(act)) if act.verb == Verb::Create)
    }

    /// What was written with a reference to something that the application
    /// then refused was done but for that, and must not be told as done.
    fn tell_broken_references(&mut self) {
        for place in 0..self.operations.len() {
            let done = matches!(self.outcomes.get(place), Some(Some(Ok(_))));
            if let (true, Some(need)) = (done, self.missing_need(place)) {
                let detail = format!(
                    "the application refused what the bulkId {:?} stands for; everything else of \
                     this operation was done",
                    self.name(need)
                );
                self.settle(place, Err(Failure::Problem(Problem::new(409, detail))));
            }
        }
    }

    /// The second step of the deletions, for those whose account is gone.
    pub(super) async fn bury(&mut self, part: Units) {
        self.forget_undone(&part).await;
        let gone = self.gone(part.clone());
        if gone.is_empty() {
            return;
        }
        let units = self.burials(&gone);
        let outcomes = self.session.write_all(units, usize::MAX).await;
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(failure) => vec![Err(failure); gone.len()],
        };
        for (gone, outcome) in gone.into_iter().zip(outcomes) {
            for written in self.buried(gone, outcome) {
                self.session.wake_after_deletion(&written);
            }
        }
        self.forget_undone(&part).await;
        self.tell_stopped().await;
    }

    /// The Users of a part whose deletion goes on.
    pub(super) fn gone(&self, part: Units) -> Vec<(usize, ResourceId)> {
        part.into_iter()
            .flatten()
            .filter(|place| self.deletes_user(*place))
            .filter_map(|place| match self.outcomes.get(place) {
                Some(Some(Ok(Some(written)))) => Some((place, written.resource.id)),
                _ => None,
            })
            .collect()
    }

    /// Of those whose first step is answered with an error there is no second one.
    async fn forget_undone(&self, part: &Units) {
        let places = part.iter().flatten();
        let undone = places.filter(|place| {
            let done = matches!(self.outcomes.get(**place), Some(Some(Ok(_))));
            self.deletes_user(**place) && !done
        });
        let ids = undone.filter_map(|place| {
            let act = self.operations.get(*place)?.act.as_ref().ok()?;
            ResourceId::exact(&act.id)
        });
        let ids: Vec<ResourceId> = ids.collect();
        if !ids.is_empty() {
            self.session.forget_deletions(ids).await;
        }
    }

    pub(super) fn burials(&self, gone: &[(usize, ResourceId)]) -> Vec<Unit> {
        gone.iter()
            .map(|(place, id)| Unit {
                needs: Vec::new(),
                writes: vec![Write::EndDeletion {
                    id: *id,
                    named: self
                        .when_of(*place)
                        .is_ok_and(|when| when.if_match.is_some()),
                }],
                closes: self.closes,
            })
            .collect()
    }

    /// What became of one of them; returns whose lanes have work now.
    pub(super) fn buried(
        &mut self,
        (place, id): (usize, ResourceId),
        outcome: Result<Outcome, Failure>,
    ) -> Vec<UserWritten> {
        let mut wakes = Vec::new();
        let outcome = match outcome {
            Ok(Outcome::Done(wrote)) => {
                wakes.extend(wrote.into_iter().filter_map(|wrote| match wrote {
                    Wrote::User(written) => Some(written),
                    Wrote::Group(_) => None,
                }));
                Ok(self.ended(place))
            }
            Ok(Outcome::Refused(_, error)) => {
                let failure = self.session.write_failed(error, User, &id.to_string());
                if let Failure::Stopped(stopped) = &failure {
                    self.stopped.push((place, (**stopped).clone()));
                }
                Err(failure)
            }
            Ok(_) => Err(Failure::Internal),
            Err(failure) => Err(failure),
        };
        self.settle(place, outcome);
        wakes
    }

    /// A deletion that is done changed something; whether its first step is
    /// confirmed, that knows.
    fn ended(&mut self, place: usize) -> Option<Written> {
        match self.outcomes.get_mut(place).and_then(Option::take) {
            Some(Ok(Some(first))) => Some(Written {
                changed: true,
                ..first
            }),
            _ => None,
        }
    }
}

/// The writes of one user, in order: which of the last ones were refused, and
/// what undoes all of these at once.
#[derive(Default)]
struct Chain {
    undo: Option<(UserKey, u64, Option<UserRow>)>,
}

impl Chain {
    fn note(&mut self, written: &UserWritten, refused: bool) {
        let version = written.resource.meta.version;
        self.undo = match (refused, self.undo.take()) {
            (false, _) => None,
            (true, None) if !written.changed => None,
            (true, None) => Some((written.key, version, written.before.clone())),
            (true, Some((key, _, before))) => Some((key, version, before)),
        };
    }
}
