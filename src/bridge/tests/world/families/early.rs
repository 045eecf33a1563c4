//! Users who must have nothing before their account is known: made inactive, or
//! staged and then deactivated or deleted, while accounts with their addresses
//! appear and are given something by the application itself. Whenever that is,
//! nothing is left to them; and who was told that it is done found it done.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{
    super::{CONNECTION, DAWN, account, names, parsed},
    FAMILIES, LATE, Millis, READ_LAG, ROLES, Roles, below, lock, now, pick,
};
use crate::{
    bridge::{Bridge, Failure, Session},
    scim::resource::ResourceType,
    store::{Precondition, Store},
};

/// By then they have appeared.
const APPEAR_BY: u64 = 60_000;
const MANY: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Make(bool),
    Leave,
    Delete,
}

/// In the order of being popped.
fn steps() -> Vec<Step> {
    use Step::{Delete, Leave, Make};
    let lives: [&[Step]; 6] = [
        &[Make(false)],
        &[Leave, Make(true)],
        &[Delete, Make(true)],
        &[Delete, Make(false)],
        &[Delete, Leave, Make(true)],
        &[Leave, Leave, Make(true)],
    ];
    pick(&lives).to_vec()
}

#[derive(Debug)]
struct One {
    name: String,
    appears: Millis,
    role: (&'static str, usize),
    left: Mutex<Vec<Step>>,
}

#[derive(Debug, Default)]
pub(super) struct Early(Vec<One>);

fn taken(failure: &Failure, status: u16) -> bool {
    matches!(failure, Failure::Problem(it) if it.status == status)
}

fn millis(of: std::time::Duration) -> Millis {
    Millis::try_from(of.as_millis()).unwrap()
}

impl One {
    fn drawn(name: String) -> Self {
        Self {
            name,
            appears: DAWN + Millis::try_from(below(APPEAR_BY)).unwrap(),
            role: (
                *pick(&FAMILIES),
                usize::try_from(below(ROLES.len() as u64)).unwrap(),
            ),
            left: Mutex::new(steps()),
        }
    }

    async fn id(&self, store: &dyn Store) -> Option<String> {
        let all = super::named(store, CONNECTION, ResourceType::User, "userName").await;
        all.get(&self.name).cloned()
    }

    async fn ask(&self, session: &Session, store: &dyn Store, step: Step) -> Result<bool, Failure> {
        let any = Precondition::default();
        let id = self.id(store).await;
        match (step, id) {
            (Step::Make(active), None) => {
                let mut user = account(&self.name);
                user.0.insert("active".into(), active.into());
                session.create_user(user).await.map(|it| it.pending)
            }
            // It was found, or made by a request that nobody heard the end of.
            (Step::Make(true), Some(_)) | (_, None) => Ok(true),
            (Step::Make(false) | Step::Leave, Some(id)) => {
                let operations = json!([{ "op": "replace", "path": "active", "value": false }]);
                let (patch, raw) = parsed(&session.schemas(), ResourceType::User, &operations);
                let done = session.patch_user(&id, patch, any, raw.as_bytes()).await;
                done.map(|it| it.pending)
            }
            (Step::Delete, Some(id)) => session.delete_user(&id, any).await.map(|()| true),
        }
    }

    /// Works off what is left to ask for. Returns what is wrong.
    async fn live(&self, app: &Roles, session: &Session, store: &dyn Store) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let Some(step) = lock(&self.left).last().copied() else {
                return found;
            };
            tokio::time::sleep(std::time::Duration::from_millis(below(20_000))).await;
            let began = now();
            let asked = self.ask(session, store, step).await;
            if super::is_told() {
                println!("{} {} {step:?}: {asked:?}", now(), self.name);
            }
            let pending = match asked {
                Ok(pending) => pending,
                Err(failure) if taken(&failure, 404) || taken(&failure, 409) => continue,
                Err(failure) => {
                    found.push(format!("{} {step:?} failed: {failure}", self.name));
                    return found;
                }
            };
            lock(&self.left).pop();
            let lately = app.unclear(&self.name);
            let sure = lately.is_none_or(|at| at + millis(LATE + READ_LAG) <= now());
            let shown = self.appears + 1_000 + millis(READ_LAG) <= began;
            if !pending && sure && shown && step != Step::Make(true) {
                found.extend(self.left_over(app));
            }
        }
    }

    fn left_over(&self, app: &Roles) -> Option<String> {
        let has = FAMILIES.map(|family| app.has(&self.name, family));
        let any = has.iter().any(Option::is_some);
        any.then(|| format!("{} is left {has:?} at {}", self.name, now()))
    }
}

impl Early {
    pub(super) fn drawn() -> Self {
        Self(names("early", MANY).into_iter().map(One::drawn).collect())
    }

    pub(super) fn are_to_come(&self) -> bool {
        self.0.iter().any(|it| it.appears > now())
    }

    /// Those whose time has come.
    pub(super) fn happen(&self, app: &Roles) {
        for one in self.0.iter().filter(|it| it.appears <= now()) {
            if app.appear(&one.name) {
                app.by_hand(&one.name, one.role.0, one.role.1);
            }
        }
    }

    pub(super) async fn live(&self, app: &Roles, bridge: &Arc<Bridge>) -> Vec<String> {
        let session = bridge.own_session(CONNECTION, "client").unwrap();
        let store = &*bridge.store;
        let all = self.0.iter().map(|one| one.live(app, &session, store));
        let found = futures_util::future::join_all(all).await;
        found.into_iter().flatten().collect()
    }

    pub(super) fn verdict(&self, app: &Roles) -> Vec<String> {
        self.0.iter().filter_map(|it| it.left_over(app)).collect()
    }
}
