//! What a request would do now, found by doing it in a transaction that is
//! taken back: the same decisions and statements, then the turns of the lanes
//! that it wakes, by the engine's own code against an application that does all
//! it is asked (reliability: G-10). Nothing is written here and nothing sent.
//!
//! Lanes that run beside each other are taken to go in step, so of additions
//! that wait for accounts it may be that more, smaller calls are made.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::{Units, When, Work};
use crate::{
    bridge::{
        BulkAnswer, Failure, Session, Written, clock,
        converge::{self, Counts, Doubts, Pause, People, Since},
        groups::group_refused,
        lane,
        pretend::Pretend,
        refused,
        session::store_failed,
        users::user_refused,
    },
    plan::{
        decide::{plan_group, plan_user},
        guard::Rehearsal,
        operation::Operation,
        state::{GroupKey, UserKey},
    },
    scim::{
        bulk::BulkRequest,
        error::Problem,
        resource::{ResourceId, ResourceType},
    },
    store::{
        Counting, GroupLearned, GroupTurn, Lane, Precondition, StoreError, UserTurn, UserWritten,
        trial::Trial,
    },
};

/// The most turns that are looked at.
const MOST: usize = 1_000;

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
                Some(Refused::Whole(reason)) => Err(group_refused(&reason)),
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

/// What the application cannot do of what a lane wants.
#[derive(Clone)]
enum Refused {
    Whole(String),
    Members(Problem),
}

/// The lanes, ahead of their time.
struct Ahead<'t> {
    trial: &'t dyn Trial,
    upstream: Pretend,
    people: Option<People>,
    foreseen: Vec<Foreseen>,
    refused: HashMap<Lane, Refused>,
    turns: usize,
    cut: bool,
}

/// A turn that was handed out.
enum Taken {
    User(UserKey, Box<UserTurn>),
    Group(GroupKey, Box<GroupTurn>),
}

impl<'t> Ahead<'t> {
    fn new(session: &Session, trial: &'t dyn Trial) -> Self {
        let upstream = Arc::clone(&session.connection.upstream);
        Self {
            trial,
            people: upstream.has_families().then(|| People::new(false)),
            upstream: Pretend::new(upstream),
            foreseen: Vec::new(),
            refused: HashMap::new(),
            turns: 0,
            cut: false,
        }
    }

    fn refused(&self, lane: Lane) -> Option<Refused> {
        self.refused.get(&lane).cloned()
    }

    /// Works lanes off, and those that are woken by it, until nothing is left
    /// that can be done.
    fn run(&mut self, mut lanes: Vec<Lane>) -> Result<(), StoreError> {
        while !lanes.is_empty() {
            let mut seen = HashSet::new();
            lanes.retain(|lane| seen.insert(*lane));
            let mut taken = Vec::new();
            for lane in std::mem::take(&mut lanes) {
                if self.turns >= MOST {
                    self.cut = true;
                    return Ok(());
                }
                self.turns += 1;
                taken.extend(self.begin(lane)?);
            }
            for turn in taken {
                lanes.extend(match turn {
                    Taken::User(key, turn) => self.user_turn(key, *turn)?,
                    Taken::Group(key, turn) => self.group_turn(key, *turn)?,
                });
            }
        }
        Ok(())
    }

    fn begin(&self, lane: Lane) -> Result<Option<Taken>, StoreError> {
        Ok(match lane {
            Lane::User(key) => {
                let turn = self.trial.begin_user_turn(key)?;
                turn.map(|turn| Taken::User(key, Box::new(turn)))
            }
            Lane::Group(key) => {
                let limit = lane::turn_limit(self.people.is_some());
                let turn = self.trial.begin_group_turn(key, limit)?;
                turn.map(|turn| Taken::Group(key, Box::new(turn)))
            }
        })
    }

    fn user_turn(&mut self, key: UserKey, turn: UserTurn) -> Result<Vec<Lane>, StoreError> {
        let work = turn.work.clone();
        let account = &work.principal.account;
        let people = self.people.as_ref();
        let mut told = people.and_then(|people| people.alone(account).now_or_never());
        let ended = converge::user_turn(&self.upstream, turn, told.as_deref_mut()).now_or_never();
        let (learned, pause) = ended.ok_or_else(never)?;
        let unsure = self.upstream.looked();
        let mut operations: Vec<_> = learned.calls.iter().map(|(it, ..)| it.clone()).collect();
        if unsure && operations.is_empty() {
            operations = plan_user(&work, self.upstream_can()).operations;
        }
        if let Some(reason) = &learned.refused {
            let refused = Refused::Whole(reason.clone());
            self.refused.insert(Lane::User(key), refused);
        }
        self.foreseen.push(Foreseen {
            of: ResourceType::User,
            id: work.principal.id,
            operations,
            unsure,
            refused: learned
                .refused
                .iter()
                .map(|it| (None, it.clone()))
                .collect(),
        });
        let mut woken = self.trial.end_user_turn(key, learned, clock::now())?;
        woken.extend((pause == Pause::None).then_some(Lane::User(key)));
        Ok(woken)
    }

    fn group_turn(&mut self, key: GroupKey, turn: GroupTurn) -> Result<Vec<Lane>, StoreError> {
        let (work, seq) = (turn.work.clone(), turn.seq);
        let since = self.now(key, &turn)?;
        let (people, mut doubts) = (self.people.as_ref(), Doubts::new());
        let ended = lane::send(&self.upstream, people, turn, &since, &mut doubts).now_or_never();
        let (learned, pause) = ended.ok_or_else(never)?;
        let unsure = self.upstream.looked();
        let mut operations: Vec<_> = learned.calls.iter().map(|(it, ..)| it.clone()).collect();
        if unsure && operations.is_empty() {
            operations = plan_group(&work, self.upstream_can()).operations;
        }
        let principals = work.adds.iter().chain(&work.removes);
        let ids: HashMap<UserKey, ResourceId> = principals.map(|it| (it.user, it.id)).collect();
        let id_of = |user: UserKey| ids.get(&user).copied();
        self.note_refused(key, &learned, id_of);
        let whole = learned.group_refused.iter().map(|it| (None, it.clone()));
        let members = learned.refused.iter();
        let members = members.map(|(user, reason)| (id_of(*user), reason.clone()));
        self.foreseen.push(Foreseen {
            of: ResourceType::Group,
            id: work.id,
            operations,
            unsure,
            refused: whole.chain(members).collect(),
        });
        let mut woken = self
            .trial
            .end_group_turn(key, seq, &learned, clock::now())?;
        woken.extend((pause == Pause::None).then_some(Lane::Group(key)));
        Ok(woken)
    }

    fn note_refused(
        &mut self,
        key: GroupKey,
        learned: &GroupLearned,
        id: impl Fn(UserKey) -> Option<ResourceId>,
    ) {
        let refused = match &learned.group_refused {
            Some(reason) => Refused::Whole(reason.clone()),
            None if learned.refused.is_empty() => return,
            None => Refused::Members(refused::foreseen(learned.refused.clone(), id)),
        };
        self.refused.insert(Lane::Group(key), refused);
    }

    fn upstream_can(&self) -> &crate::plan::capability::Capabilities {
        use crate::upstream::Upstream;
        self.upstream.capabilities()
    }

    /// What the turn's pairs come to, which nobody changes meanwhile.
    fn now(&self, key: GroupKey, turn: &GroupTurn) -> Result<Now, StoreError> {
        let mut now = Now::default();
        if turn.family.is_none() {
            return Ok(now);
        }
        let adds = turn.work.adds.iter().map(|it| (it.user, true));
        let removes = turn.work.removes.iter().map(|it| (it.user, false));
        for (user, wanted) in adds.chain(removes) {
            if let Some(counting) = self.trial.counting(key, user, wanted)? {
                now.0.insert((user, wanted), counting);
            }
        }
        Ok(now)
    }
}

/// The application that pretends answers at once.
fn never() -> StoreError {
    StoreError::Broken("a rehearsed turn waits for something".into())
}

/// A moment in which nothing else happens.
#[derive(Default)]
struct Now(HashMap<(UserKey, bool), Counting>);

#[async_trait]
impl Since for Now {
    async fn written(&self, _: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }
}

#[async_trait]
impl Counts for Now {
    async fn counting(&self, user: UserKey, wanted: bool) -> Result<Option<Counting>, StoreError> {
        Ok(self.0.get(&(user, wanted)).cloned())
    }
}
