//! One connection of a world of roles: what its clients ask for and are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use serde_json::json;

use super::{
    super::OWN_NAME,
    Kind, LATE, Millis, READ_LAG, ROLES, Roles, SYNC_WAIT, account,
    asked::{Act, Asked, Values},
    lock, named, now, parsed,
};
use crate::{
    bridge::{Bridge, Failure, Session},
    scim::resource::ResourceType,
    store::{Precondition, Store},
};

/// Why a user is refused whom the other connection asks for.
pub(super) const ELSEWHERE: &str = "asked for elsewhere";

pub(super) struct Side {
    kind: Kind,
    pub(super) connection: &'static str,
    pub(super) app: Arc<Roles>,
    pub(super) asked: Mutex<Asked>,
    /// When somebody was refused who is asked for elsewhere.
    refused: Mutex<Option<Millis>>,
    /// Ids by name, as clients know them.
    users: Mutex<BTreeMap<String, String>>,
    groups: Mutex<BTreeMap<String, String>>,
}

impl Side {
    pub(super) fn new(kind: Kind, connection: &'static str, app: Roles) -> Self {
        Self {
            kind,
            connection,
            app: Arc::new(app),
            asked: Mutex::default(),
            refused: Mutex::default(),
            users: Mutex::default(),
            groups: Mutex::default(),
        }
    }

    pub(super) async fn find_groups(&self, bridge: &Arc<Bridge>, store: &dyn Store) {
        let session = bridge.own_session(self.connection, "import").unwrap();
        loop {
            let found = self.named(store, ResourceType::Group, OWN_NAME).await;
            let all = found.len() == self.app.names().len();
            *lock(&self.groups) = found;
            if all {
                break;
            }
            let _ = session.import(false, &|_| {}).await;
        }
        let mut users = self.named(store, ResourceType::User, "userName").await;
        // Who was deleted and is found again is somebody else's.
        let asked = lock(&self.asked);
        users.retain(|user, _| !asked.exists.get(user).is_some_and(|it| it.is(false)));
        *lock(&self.users) = users;
    }

    async fn named(
        &self,
        store: &dyn Store,
        of: ResourceType,
        by: &str,
    ) -> BTreeMap<String, String> {
        named(store, self.connection, of, by).await
    }

    fn ids(&self, users: &BTreeSet<String>) -> Vec<String> {
        let known = lock(&self.users);
        users
            .iter()
            .filter_map(|user| known.get(user).cloned())
            .collect()
    }

    fn id(&self, user: &str) -> Option<String> {
        lock(&self.users).get(user).cloned()
    }

    /// The accounts that are known to have the address of a user who has access
    /// and is to be ended, with the user's name.
    pub(super) async fn twins_of(
        &self,
        session: &Session,
        act: &Act,
    ) -> Option<(String, Vec<String>)> {
        let (Act::Delete(user) | Act::Activate(user, false)) = act else {
            return None;
        };
        let is_active = |it: &Values| it.is(true);
        let active = lock(&self.asked).active.get(user).is_some_and(is_active);
        if self.kind != Kind::Twins || !active {
            return None;
        }
        let id = self.id(user)?;
        let store = &session.bridge.store;
        let key = store.connection(self.connection).await.unwrap();
        let all = store.twins(key, 100).await.unwrap().into_iter();
        let mut of = all.filter(|it| it.user.is_some_and(|it| it.to_string() == id));
        of.next().map(|it| (user.clone(), it.accounts))
    }

    /// `None`: there was nothing to be asked.
    pub(super) async fn ask(&self, session: &Session, act: &Act) -> Option<Result<bool, Failure>> {
        let any = Precondition::default();
        Some(match act {
            Act::Create(user) => self.create(session, user).await,
            Act::Delete(user) => {
                let id = self.id(user)?;
                let gone = session.delete_user(&id, any).await;
                if gone.is_ok() {
                    lock(&self.users).remove(user);
                }
                gone.map(|()| true)
            }
            Act::Activate(user, on) => {
                let id = self.id(user)?;
                let operations = json!([{ "op": "replace", "path": "active", "value": on }]);
                let (patch, raw) = parsed(&session.schemas(), ResourceType::User, &operations);
                let done = session.patch_user(&id, patch, any, raw.as_bytes()).await;
                done.map(|written| written.pending)
            }
            Act::Add(group, users) | Act::Remove(group, users) => {
                let values: Vec<_> = self
                    .ids(users)
                    .into_iter()
                    .map(|id| json!({ "value": id }))
                    .collect();
                if values.is_empty() {
                    return None;
                }
                let op = if matches!(act, Act::Add(..)) {
                    "add"
                } else {
                    "remove"
                };
                let operations = json!([{ "op": op, "path": "members", "value": values }]);
                let (patch, raw) = parsed(&session.schemas(), ResourceType::Group, &operations);
                let id = lock(&self.groups)[group].clone();
                let done = session.patch_group(&id, patch, any, raw.as_bytes()).await;
                done.map(|written| written.pending)
            }
        })
    }

    async fn create(&self, session: &Session, user: &str) -> Result<bool, Failure> {
        let made = session.create_user(account(user)).await;
        let taken = |it: &Failure| matches!(it, Failure::Problem(it) if it.status == 409);
        let failure = match made {
            Ok(written) => {
                let id = written.resource.id.to_string();
                lock(&self.users).insert(user.to_owned(), id);
                return Ok(written.pending);
            }
            Err(failure) => failure,
        };
        let is_known = lock(&self.users).contains_key(user);
        if !self.kind.finds() || is_known || !taken(&failure) {
            return Err(failure);
        }
        // An import was first: it is found by its name then.
        let store = &*session.bridge.store;
        let all = self.named(store, ResourceType::User, "userName").await;
        let id = all.get(user).cloned().ok_or(failure)?;
        lock(&self.users).insert(user.to_owned(), id);
        Ok(false)
    }

    /// Nothing is refused here for good, but a user that there is already, or who
    /// is asked for by another connection. Returns what is wrong with an answer.
    pub(super) fn learn(&self, act: &Act, asked: &Result<bool, Failure>) -> Option<String> {
        match asked {
            Ok(pending) => {
                lock(&self.asked).note(&self.within_reach(act), true);
                match act {
                    Act::Add(_, users) | Act::Remove(_, users) if *pending => {
                        users.iter().for_each(|user| self.is_pending(user));
                    }
                    Act::Add(..) | Act::Remove(..) => {}
                    Act::Create(_) if !*pending => {}
                    // What follows from it for pairs is not waited for.
                    Act::Create(user) | Act::Delete(user) | Act::Activate(user, _) => {
                        self.is_pending(user);
                    }
                }
                if *pending { None } else { self.found_done(act) }
            }
            Err(Failure::Problem(problem))
                if matches!(act, Act::Create(_)) && problem.status == 409 =>
            {
                None
            }
            Err(Failure::Problem(problem)) if problem.detail.contains(ELSEWHERE) => {
                *lock(&self.refused) = Some(now());
                None
            }
            Err(Failure::Problem(_)) if self.kind == Kind::Hands && matches!(act, Act::Add(..)) => {
                None
            }
            Err(failure) => Some(format!("{act:?} failed: {failure}")),
        }
    }

    /// Who was refused just now must be asked for by the other connection, or have
    /// been a moment ago.
    pub(super) fn was_right_to_refuse(&self, other: &Self, act: &Act) -> Option<String> {
        lock(&self.refused).take()?;
        let Act::Add(group, users) = act else {
            return Some(format!("refused as asked for elsewhere: {act:?}"));
        };
        let family = group.split_once('/').unwrap().0;
        let mut users = users.iter();
        let right = users.any(|user| other.asks_for(user, family, now()));
        (!right).then(|| format!("nobody asks for them elsewhere: {act:?}"))
    }

    /// Or did when a request began that ended then.
    pub(super) fn asks_for(&self, user: &str, family: &str, at: Millis) -> bool {
        let long = Millis::try_from((2 * SYNC_WAIT).as_millis()).unwrap();
        lock(&self.asked).might_have(user, family, (at - long, at))
    }

    fn is_pending(&self, user: &str) {
        lock(&self.asked).pending.insert(user.to_owned(), now());
    }

    /// With those users only of whom the client had an id.
    fn within_reach(&self, act: &Act) -> Act {
        let known = lock(&self.users);
        let within = |users: &BTreeSet<String>| {
            users
                .iter()
                .filter(|user| known.contains_key(*user))
                .cloned()
                .collect()
        };
        match act {
            Act::Add(group, users) => Act::Add(group.clone(), within(users)),
            Act::Remove(group, users) => Act::Remove(group.clone(), within(users)),
            other => other.clone(),
        }
    }

    /// What was confirmed is so, unless a call that was given up came after it.
    fn found_done(&self, act: &Act) -> Option<String> {
        let is_wrong = |user: &String, group: &String, wanted: bool| {
            let (family, role) = group.split_once('/').unwrap();
            let own = ROLES.iter().position(|it| *it == role).unwrap();
            let has = self.app.has(user, family);
            let late = Millis::try_from((LATE + READ_LAG).as_millis()).unwrap();
            let unclear = self.app.unclear(user).is_some_and(|at| at + late > now());
            let right = if wanted {
                has.is_some_and(|rank| rank <= own && self.app.owns(family, rank))
            } else {
                has != Some(own)
            };
            !right && !unclear
        };
        let (group, users, wanted) = match self.within_reach(act) {
            Act::Add(group, users) => (group, users, true),
            Act::Remove(group, users) => (group, users, false),
            _ => return None,
        };
        let asked = lock(&self.asked);
        let is_active = |user: &&String| asked.active.get(*user).is_some_and(|it| it.is(true));
        let is_calm = |user: &&String| {
            asked
                .pending
                .get(*user)
                .is_none_or(|at| at + 90_000 < now())
        };
        let wrong = users
            .iter()
            .filter(is_active)
            .filter(is_calm)
            .filter(|user| is_wrong(user, &group, wanted));
        let wrong: Vec<_> = wrong.collect();
        let told = || format!("told as done at {} and is not: {act:?} {wrong:?}", now());
        (!wrong.is_empty()).then(told)
    }
}
