//! What the clients of a world ask for, and what they know by the answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use serde_json::{Value, json};

use super::{
    SYNC_WAIT, World, account, below,
    history::{self, Act, End},
    lock, now, object,
    operators::Operators,
    parsed,
};
use crate::{
    bridge::{Failure, Session, Written},
    scim::resource::{Attributes, GroupBody, ResourceType},
    store::Precondition,
    upstream::Millis,
};

impl World {
    /// The request with those members only that a client has ids of.
    pub(super) fn within_reach(&self, act: Act) -> Act {
        let users = lock(&self.users);
        let known = |set: BTreeSet<String>| {
            let known = set.into_iter().filter(|name| users.contains_key(name));
            known.collect::<BTreeSet<_>>()
        };
        match act {
            Act::CreateGroup(group, set) => Act::CreateGroup(group, known(set)),
            Act::Add(group, set) => Act::Add(group, known(set)),
            Act::Remove(group, set) => Act::Remove(group, known(set)),
            Act::Replace(group, set) => Act::Replace(group, known(set)),
            Act::Put(group, set) => Act::Put(group, known(set)),
            other => other,
        }
    }

    fn ids(&self, set: &BTreeSet<String>) -> Vec<String> {
        let users = lock(&self.users);
        set.iter()
            .filter_map(|name| users.get(name).cloned())
            .collect()
    }

    pub(super) async fn ask(&self, session: &Session, act: &Act) -> End {
        let since = now();
        let id = match act.group() {
            Some(group) => lock(&self.groups).get(group).cloned(),
            None => match act {
                Act::PutUser(user)
                | Act::Activate(user, _)
                | Act::DeleteUser(user)
                | Act::Role(user, _)
                | Act::Title(user, _) => lock(&self.users).get(user).cloned(),
                _ => None,
            },
        };
        let answer = match (act, id) {
            (Act::CreateUser(user), _) => {
                let made = session.create_user(account(user)).await;
                self.learn(&self.users, user, &made);
                made
            }
            (Act::CreateGroup(group, members), _) => {
                let made = session
                    .create_group(body(group, Some(self.ids(members))))
                    .await;
                self.learn(&self.groups, group, &made);
                made
            }
            (_, None) => return End::Needless,
            (Act::DeleteUser(user), Some(id)) => {
                let gone = session.delete_user(&id, Precondition::default()).await;
                return self.forget(&self.users, user, gone, since);
            }
            (Act::DeleteGroup(group), Some(id)) => {
                let gone = session.delete_group(&id, Precondition::default()).await;
                return self.forget(&self.groups, group, gone, since);
            }
            (act, Some(id)) => self.change(session, act, &id).await,
        };
        match answer {
            Ok(written) => done(&written),
            Err(failure) => {
                let users = lock(&self.users);
                let known: Vec<_> = users
                    .iter()
                    .map(|(n, id)| (n.clone(), id.clone()))
                    .collect();
                history::refused(&failure, &known)
            }
        }
    }

    async fn change(&self, session: &Session, act: &Act, id: &str) -> Result<Written, Failure> {
        let any = Precondition::default();
        let members = |op: &str, set| {
            let values: Vec<Value> = self
                .ids(set)
                .iter()
                .map(|id| json!({ "value": id }))
                .collect();
            json!([{ "op": op, "path": "members", "value": values }])
        };
        let operations = match act {
            Act::PutUser(user) => {
                let raw = json!({ "userName": user }).to_string();
                let user = account(user);
                return session.replace_user(id, user, any, raw.as_bytes()).await;
            }
            Act::Put(group, set) => {
                let ids = self.ids(set);
                let values: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
                let raw = json!({ "displayName": group, "members": values }).to_string();
                let body = body(group, Some(ids));
                return session.replace_group(id, body, any, raw.as_bytes()).await;
            }
            Act::Activate(..) | Act::Role(..) | Act::Title(..) => {
                let operation = match act {
                    Act::Activate(_, on) => json!({ "path": "active", "value": on }),
                    Act::Role(_, role) => json!({ "path": "userType", "value": role }),
                    Act::Title(_, Some(title)) => json!({ "path": "title", "value": title }),
                    _ => json!({ "op": "remove", "path": "title" }),
                };
                let mut operation = object(operation);
                operation.entry("op").or_insert("replace".into());
                let operations = json!([operation]);
                let (patch, raw) = parsed(&session.schemas(), ResourceType::User, &operations);
                return session.patch_user(id, patch, any, raw.as_bytes()).await;
            }
            Act::Add(_, set) => members("add", set),
            Act::Remove(_, set) => members("remove", set),
            Act::Replace(_, set) => members("replace", set),
            Act::Rename(group) => {
                let number = below(1_000);
                let name = match &self.operators {
                    // Where writes are stopped it may be made by that name.
                    Some(_) if number < 500 => group.to_uppercase(),
                    Some(_) => group.clone(),
                    None if self.is_made(group) => format!("name {number}"),
                    // Should its creation be refused, the next try has the new name,
                    // which is another group to whoever judges.
                    None => group.clone(),
                };
                json!([{ "op": "replace", "path": "displayName", "value": name }])
            }
            other => panic!("{other:?} is no change"),
        };
        let (patch, raw) = parsed(&session.schemas(), ResourceType::Group, &operations);
        session.patch_group(id, patch, any, raw.as_bytes()).await
    }

    /// Whether a client knows that a group was made as it asked for.
    fn is_made(&self, group: &String) -> bool {
        let history = lock(&self.history);
        let asked = history.iter().rfind(|entry| {
            let creates = matches!(&entry.act, Act::CreateGroup(name, _) if name == group);
            creates && !matches!(entry.ended, End::Refused | End::Needless)
        });
        asked.is_some_and(|it| matches!(it.ended, End::Done { pending: false, .. }))
    }

    fn learn(
        &self,
        known: &Mutex<BTreeMap<String, String>>,
        name: &str,
        made: &Result<Written, Failure>,
    ) {
        if let Ok(written) = made {
            let id = written.resource.id.to_string();
            if let Some(operators) = &self.operators {
                operators.know(&id, name);
            }
            lock(known).insert(name.to_owned(), id);
        }
    }

    fn forget(
        &self,
        known: &Mutex<BTreeMap<String, String>>,
        name: &str,
        gone: Result<(), Failure>,
        since: Millis,
    ) -> End {
        if let Err(failure) = gone {
            return history::refused(&failure, &[]);
        }
        lock(known).remove(name);
        let waited = now() - since >= Millis::try_from(SYNC_WAIT.as_millis()).unwrap();
        let stopped = |it: &Operators| it.is_stopped_within(since, now());
        End::Done {
            version: None,
            // A deletion does not say it; it was waited for this long, or not at all
            // where all writes were stopped.
            pending: waited || self.operators.as_ref().is_some_and(stopped),
        }
    }
}

pub(super) fn done(written: &Written) -> End {
    let resource = &written.resource;
    End::Done {
        version: written
            .changed
            .then(|| (resource.id.to_string(), resource.meta.version)),
        pending: written.pending,
    }
}

fn body(name: &str, members: Option<Vec<String>>) -> GroupBody {
    GroupBody {
        attributes: Attributes(object(json!({ "displayName": name }))),
        members,
    }
}
