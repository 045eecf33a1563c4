//! Lanes, ahead of their time: the turns that follow from what was written in a
//! rehearsal, by the store's own statements and the engine's own code, against
//! an application that does all it is asked. Lanes that run beside each other
//! are taken to go in step, so of additions that wait for accounts it may be
//! that more, smaller calls are made.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use futures_util::FutureExt;

use super::{
    Foreseen,
    looks::{Looks, Shown},
};
use crate::{
    bridge::{
        Session, clock,
        converge::{self, Counts, Doubts, Pause, People, Since},
        lane,
        pretend::Pretend,
        refused,
    },
    plan::{
        capability::Capabilities,
        decide::{plan_group, plan_user},
        state::{GroupKey, UserKey},
    },
    scim::{
        error::Problem,
        resource::{ResourceId, ResourceType},
    },
    store::{Counting, GroupLearned, GroupTurn, Lane, StoreError, UserTurn, trial::Trial},
    upstream::Upstream,
};

/// The most turns that are looked at.
const MOST: usize = 1_000;

/// What the application cannot do of what a lane wants.
#[derive(Clone)]
pub(super) enum Refused {
    Whole(String),
    Members(Problem),
}

/// The lanes, ahead of their time.
pub(super) struct Ahead<'t> {
    pub(super) trial: &'t dyn Trial,
    upstream: Pretend,
    people: Option<People>,
    pub(super) foreseen: Vec<Foreseen>,
    refused: HashMap<Lane, Refused>,
    pub(super) looks: Looks<'t>,
    turns: usize,
    pub(super) cut: bool,
}

/// A turn that was handed out.
enum Taken {
    User(UserKey, Box<UserTurn>),
    Group(GroupKey, Box<GroupTurn>),
}

impl<'t> Ahead<'t> {
    pub(super) fn new(session: &Session, trial: &'t dyn Trial, shown: Arc<Shown>) -> Self {
        let upstream = Arc::clone(&session.connection.upstream);
        let policy = session.policy();
        let rails = (Arc::clone(&policy.guard), policy.read_lag);
        Self {
            trial,
            people: upstream
                .has_families()
                .then(|| People::new(false, policy.read_lag)),
            upstream: Pretend::new(upstream),
            foreseen: Vec::new(),
            refused: HashMap::new(),
            looks: Looks::new(trial, rails, shown),
            turns: 0,
            cut: false,
        }
    }

    pub(super) fn refused(&self, lane: Lane) -> Option<Refused> {
        self.refused.get(&lane).cloned()
    }

    /// Works lanes off, and those that are woken by it, until nothing is left
    /// that can be done.
    pub(super) fn run(&mut self, mut lanes: Vec<Lane>) -> Result<(), StoreError> {
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
        let (learned, pause) = match self.looks.keep_user(&turn, &self.upstream)? {
            Some(kept) => (kept.learned, kept.pause),
            None => converge::user_turn(&self.upstream, turn, told.as_deref_mut())
                .now_or_never()
                .ok_or_else(never)?,
        };
        let looks = self.looks.told();
        let unsure = self.upstream.looked();
        let mut operations: Vec<_> = learned.calls.iter().map(|(it, ..)| it.clone()).collect();
        if unsure && operations.is_empty() {
            operations = plan_user(&work, self.can()).operations;
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
            looks,
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

    fn group_turn(&mut self, key: GroupKey, mut turn: GroupTurn) -> Result<Vec<Lane>, StoreError> {
        let principals = turn.work.adds.iter().chain(&turn.work.removes);
        let ids: HashMap<UserKey, ResourceId> = principals.map(|it| (it.user, it.id)).collect();
        let spared = self.looks.spare(&mut turn)?;
        let looks = self.looks.told();
        let (work, seq) = (turn.work.clone(), turn.seq);
        let since = self.now(key, &turn)?;
        let (people, mut doubts) = (self.people.as_ref(), Doubts::new());
        let ended = lane::send(&self.upstream, people, turn, &since, &mut doubts).now_or_never();
        let (mut learned, pause) = ended.ok_or_else(never)?;
        let pause = spared.add_to(&mut learned, pause);
        let unsure = self.upstream.looked();
        let mut operations: Vec<_> = learned.calls.iter().map(|(it, ..)| it.clone()).collect();
        if unsure && operations.is_empty() {
            operations = plan_group(&work, self.can()).operations;
        }
        let id_of = |user: UserKey| ids.get(&user).copied();
        let all = work.adds.len() + work.removes.len();
        self.note_refused(key, (&learned, all), id_of);
        let whole = learned.group_refused.iter().map(|it| (None, it.clone()));
        let members = learned.refused.iter();
        let members = members.map(|(user, reason)| (id_of(*user), reason.clone()));
        self.foreseen.push(Foreseen {
            of: ResourceType::Group,
            id: work.id,
            operations,
            unsure,
            looks,
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
        (learned, all): (&GroupLearned, usize),
        id: impl Fn(UserKey) -> Option<ResourceId>,
    ) {
        let refused = match &learned.group_refused {
            Some(reason) => Refused::Whole(reason.clone()),
            None if learned.refused.is_empty() => return,
            None => Refused::Members(refused::foreseen(learned.refused.clone(), all, id)),
        };
        self.refused.insert(Lane::Group(key), refused);
    }

    fn can(&self) -> &Capabilities {
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

    async fn gives(&self, _: UserKey, _: &str) -> Result<bool, StoreError> {
        Ok(true)
    }
}
