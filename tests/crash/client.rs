//! One identity provider's worker: sends random changes of its own users and
//! groups, one after the other, through every restart, and writes down what
//! it was told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{Method, header::ETAG};
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};

use super::{
    dice::Dice,
    history::{End, Key, State, Step},
};
use crate::support;

/// Longer than any restart: then something else went wrong.
const RESTART: Duration = Duration::from_secs(10);
/// Longer than any answer takes.
const ANSWER: Duration = Duration::from_secs(30);

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
    pub dice: Dice,
    /// Nobody else writes these.
    pub users: Vec<Named>,
    pub own: Named,
    /// Groups everybody writes, each for its own users.
    pub shared: Vec<Named>,
}

/// What a client did, and what it found wrong on the way.
pub struct Story {
    pub first: State,
    pub steps: Vec<Step>,
    /// Names of users it asked for.
    pub asked_for: Vec<String>,
    pub odd: Vec<String>,
}

/// A request and the bits it sets.
struct Change {
    method: Method,
    path: String,
    body: Value,
    writes: Vec<(Key, bool)>,
}

impl Client {
    pub async fn work(mut self) -> Story {
        let mut story = Story {
            first: self.first(),
            steps: Vec::new(),
            asked_for: Vec::new(),
            odd: Vec::new(),
        };
        while !self.stop.load(Ordering::Relaxed) {
            let change = self.choose(&mut story);
            let end = self.send(&change, &mut story.odd).await;
            story.steps.push(Step {
                writes: change.writes,
                end,
            });
        }
        story
    }

    /// Everything this client may write, as it is at first.
    fn first(&self) -> State {
        let groups = || self.shared.iter().chain([&self.own]);
        let pairs = self
            .users
            .iter()
            .flat_map(|user| groups().map(|group| (member(group, user), false)));
        let active = self
            .users
            .iter()
            .map(|user| (Key::Active(user.name.clone()), true));
        pairs.chain(active).collect()
    }

    fn choose(&mut self, story: &mut Story) -> Change {
        match self.dice.below(100) {
            0..50 => {
                let place = self.dice.below(self.shared.len());
                self.one_member(&self.shared[place].clone())
            }
            50..65 => self.one_member(&self.own.clone()),
            65..75 => self.some_members(),
            75..85 => self.all_members(),
            85..93 => self.activity(),
            _ => self.new_user(story),
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
    fn new_user(&mut self, story: &mut Story) -> Change {
        let again = story
            .steps
            .iter()
            .rev()
            .find_map(|step| match step.writes.first() {
                Some((Key::Exists(name), _)) => Some((name.clone(), step.end == End::Open)),
                _ => None,
            });
        let name = if let Some((name, true)) = again {
            name
        } else {
            let name = format!("new{}x{}", self.number, story.asked_for.len());
            story.asked_for.push(name.clone());
            name
        };
        Change {
            method: Method::POST,
            path: "/Users".into(),
            body: support::user(&name),
            writes: vec![(Key::Exists(name), true)],
        }
    }

    async fn send(&mut self, change: &Change, odd: &mut Vec<String>) -> End {
        let base = self.base.borrow_and_update().clone();
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
            // Killed, most likely: wait for the next one.
            let _ = timeout(RESTART, self.base.changed()).await;
            return End::Open;
        };
        let status = answer.status();
        let version = answer.headers().get(ETAG).and_then(|value| {
            let digits = value
                .to_str()
                .ok()?
                .trim_start_matches("W/")
                .trim_matches('"');
            Some((change.path.clone(), digits.parse().ok()?))
        });
        // It was there already: the request before it had happened.
        let there = status == 409 && change.method == Method::POST;
        if status.is_success() || there {
            // A new user's version says nothing about the address it was sent to.
            let version = version.filter(|_| change.method != Method::POST);
            return End::Acknowledged(version);
        }
        if status.is_client_error() {
            let text = answer.text().await.unwrap_or_default();
            odd.push(format!(
                "{} {} was refused: {text}",
                change.method, change.path
            ));
        }
        End::Open
    }
}

fn member(group: &Named, user: &Named) -> Key {
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
