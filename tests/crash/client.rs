//! One identity provider's worker: sends random changes of its own users and
//! groups, one after the other, at a steady rate and through every restart,
//! and writes down what it was told. After each restart it looks at what it
//! alone writes before it writes again ([`super::look`]).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{Method, header::ETAG};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, interval_at, timeout},
};

use super::{
    dice::Dice,
    history::{End, Key, Ledger, Step},
};
use crate::support;

/// Longer than any restart: then something else went wrong.
const RESTART: Duration = Duration::from_secs(10);
/// Longer than any answer takes.
pub const ANSWER: Duration = Duration::from_secs(30);

/// A user or group: its name and its id.
#[derive(Debug, Clone)]
pub struct Named {
    pub name: String,
    pub id: String,
}

pub struct Client {
    pub number: usize,
    pub http: reqwest::Client,
    pub token: String,
    /// The base URL; a new one after every restart.
    pub base: watch::Receiver<String>,
    pub stop: Arc<AtomicBool>,
    /// Requests of all clients that are not answered yet.
    pub under_way: Arc<AtomicUsize>,
    pub dice: Dice,
    /// One request each.
    pub every: Duration,
    /// Nobody else writes these.
    pub users: Vec<Named>,
    pub own: Named,
    /// Groups everybody writes, each for its own users.
    pub shared: Vec<Named>,
    /// The names of all clients' users, by their ids.
    pub names: Arc<BTreeMap<String, String>>,
    pub ledger: Ledger,
    /// New users it asked for.
    pub asked_for: Vec<String>,
}

/// A request and the bits it sets.
struct Change {
    method: Method,
    path: String,
    body: Value,
    writes: Vec<(Key, bool)>,
}

impl Client {
    /// Writes until it is told to stop.
    pub async fn work(mut self) -> Self {
        self.begin();
        let first = self
            .dice
            .below(usize::try_from(self.every.as_millis()).unwrap());
        let first = Duration::from_millis(u64::try_from(first).unwrap());
        let mut pace = interval_at(Instant::now() + first, self.every);
        while !self.stop.load(Ordering::Relaxed) {
            pace.tick().await;
            if self.base.has_changed().unwrap_or(false) && !self.look().await {
                continue;
            }
            let change = self.choose();
            self.under_way.fetch_add(1, Ordering::Relaxed);
            let end = self.send(&change).await;
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            self.ledger.note(Step {
                writes: change.writes,
                end,
            });
        }
        self
    }

    /// Everything this client may write, as it is at first.
    fn begin(&mut self) {
        self.base.mark_unchanged();
        let groups = || self.shared.iter().chain([&self.own]);
        let pairs = self
            .users
            .iter()
            .flat_map(|user| groups().map(|group| (member(group, user), false)));
        let active = self
            .users
            .iter()
            .map(|user| (Key::Active(user.name.clone()), true));
        self.ledger.seen = pairs.chain(active).collect();
    }

    fn choose(&mut self) -> Change {
        match self.dice.below(100) {
            0..50 => {
                let place = self.dice.below(self.shared.len());
                self.one_member(&self.shared[place].clone())
            }
            50..65 => self.one_member(&self.own.clone()),
            65..75 => self.some_members(),
            75..85 => self.all_members(),
            85..93 => self.activity(),
            _ => self.new_user(),
        }
    }

    /// PATCH: one member comes or goes.
    fn one_member(&mut self, group: &Named) -> Change {
        let user = self.users[self.dice.below(self.users.len())].clone();
        let comes = self.dice.below(2) == 0;
        let operation = if comes {
            json!({ "op": "add", "path": "members", "value": [{ "value": user.id }] })
        } else if self.dice.below(2) == 0 {
            json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", user.id) })
        } else {
            json!({ "op": "remove", "path": "members", "value": [{ "value": user.id }] })
        };
        patch(
            group,
            &json!([operation]),
            vec![(member(group, &user), comes)],
        )
    }

    /// PATCH: some come and others go, in one request.
    fn some_members(&mut self) -> Change {
        let mut users = self.users.clone();
        self.dice.shuffle(&mut users);
        let (come, rest) = users.split_at(1 + self.dice.below(3));
        let go = &rest[..=self.dice.below(3)];
        let operations = json!([
            { "op": "add", "path": "members", "value": values(come) },
            { "op": "remove", "path": "members", "value": values(go) },
        ]);
        let group = &self.own;
        let comes = come.iter().map(|user| (member(group, user), true));
        let goes = go.iter().map(|user| (member(group, user), false));
        patch(group, &operations, comes.chain(goes).collect())
    }

    /// PUT: exactly these members.
    fn all_members(&mut self) -> Change {
        let mut users = self.users.clone();
        self.dice.shuffle(&mut users);
        let (inside, outside) = users.split_at(self.dice.below(users.len() + 1));
        let ids: Vec<String> = inside.iter().map(|user| user.id.clone()).collect();
        let inside = inside.iter().map(|user| (member(&self.own, user), true));
        let outside = outside.iter().map(|user| (member(&self.own, user), false));
        Change {
            method: Method::PUT,
            path: format!("/Groups/{}", self.own.id),
            body: support::group(&self.own.name, &ids),
            writes: inside.chain(outside).collect(),
        }
    }

    /// PATCH: a user is deactivated, or active again.
    fn activity(&mut self) -> Change {
        let user = &self.users[self.dice.below(self.users.len())];
        let active = self.dice.below(2) == 0;
        Change {
            method: Method::PATCH,
            path: format!("/Users/{}", user.id),
            body: operations(&json!([{ "op": "replace", "value": { "active": active } }])),
            writes: vec![(Key::Active(user.name.clone()), active)],
        }
    }

    /// POST: a new user, or again the one whose creation was not answered.
    fn new_user(&mut self) -> Change {
        let created = |step: &Step| match step.writes.first() {
            Some((Key::Exists(name), _)) => Some((name.clone(), step.end == End::Open)),
            _ => None,
        };
        let last = self.ledger.steps.iter().rev().find_map(created);
        let name = if let Some((name, true)) = last {
            name
        } else {
            let name = format!("new{}x{}", self.number, self.asked_for.len());
            self.asked_for.push(name.clone());
            self.ledger.seen.insert(Key::Exists(name.clone()), false);
            name
        };
        Change {
            method: Method::POST,
            path: "/Users".into(),
            body: support::user(&name),
            writes: vec![(Key::Exists(name), true)],
        }
    }

    async fn send(&mut self, change: &Change) -> End {
        let base = self.base.borrow().clone();
        let answer = self
            .http
            .request(change.method.clone(), format!("{base}{}", change.path))
            .bearer_auth(&self.token)
            .header("content-type", "application/scim+json")
            .body(change.body.to_string())
            .timeout(ANSWER)
            .send()
            .await;
        let Ok(answer) = answer else {
            self.wait().await;
            return End::Open;
        };
        let status = answer.status();
        let version = version(&answer).map(|version| (change.path.clone(), version));
        // It was there already: the request before it had happened.
        let there = status == 409 && change.method == Method::POST;
        if status.is_success() || there {
            // A new user's version says nothing about the address it was sent to.
            let version = version.filter(|_| change.method != Method::POST);
            return End::Acknowledged(version);
        }
        if status.is_client_error() {
            let text = answer.text().await.unwrap_or_default();
            let (method, path) = (&change.method, &change.path);
            self.ledger
                .odd(format!("{method} {path} was refused: {text}"));
        }
        End::Open
    }

    /// Killed, most likely: waits for the next one.
    pub async fn wait(&mut self) {
        let mut base = self.base.clone();
        let _ = timeout(RESTART, base.changed()).await;
    }
}

/// What stands in the entity tag.
pub fn version(answer: &reqwest::Response) -> Option<u64> {
    let tag = answer.headers().get(ETAG)?.to_str().ok()?;
    tag.trim_start_matches("W/").trim_matches('"').parse().ok()
}

pub fn member(group: &Named, user: &Named) -> Key {
    Key::Member {
        group: group.name.clone(),
        user: user.name.clone(),
    }
}

fn patch(group: &Named, list: &Value, writes: Vec<(Key, bool)>) -> Change {
    Change {
        method: Method::PATCH,
        path: format!("/Groups/{}", group.id),
        body: operations(list),
        writes,
    }
}

fn operations(list: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": list })
}

fn values(users: &[Named]) -> Value {
    users
        .iter()
        .map(|user| json!({ "value": user.id }))
        .collect()
}
