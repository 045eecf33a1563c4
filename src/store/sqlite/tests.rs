//! The embedded store by its contract.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    plan::state::{Account, ConnectionKey, Existence, ObservedAccount, UserKey},
    scim::{
        patch::MemberChange,
        resource::{Attributes, ResourceId, ResourceType},
    },
    store::{
        Actor, GroupChange, GroupLearned, GroupRow, GroupWritten, Lane, Precondition, Store,
        UserLearned, UserRow, UserWritten, Watch, WriteError,
    },
};

mod agreement;
mod audited;
mod called;
mod deltas;
mod drift;
mod families;
mod fields;
mod file;
mod found;
mod given_back;
mod gone;
mod guards;
mod imports;
mod judged;
mod late;
mod linked;
mod lists;
mod memberships;
mod mirror;
mod naming;
mod outdated;
mod owners;
mod protected;
mod raised;
mod refused;
mod removals;
mod replacing;
mod resources;
mod seats;
mod sharing;
mod tokens;
mod trial;
mod turns;
mod unasked;
mod watched;
mod withdrawal;
mod words;
pub(super) mod work;
mod writing;

/// A store in a folder of its own, with one connection.
struct Scene {
    folder: TempDir,
    store: Arc<dyn Store>,
    c: ConnectionKey,
}

fn id(n: u64) -> ResourceId {
    ResourceId::new(Uuid::from_u64_pair(
        0x0190_0000_0000_7000,
        0x8000_0000_0000_0000 | n,
    ))
}

fn fresh_id() -> ResourceId {
    static NEXT: AtomicU64 = AtomicU64::new(1_000_000);
    id(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn actor() -> Actor {
    Actor {
        name: "test".into(),
        at: 1_000,
        watch: Watch::Off,
        put: false,
    }
}

fn user_row(name: &str) -> UserRow {
    let attributes = json!({
        "userName": name,
        "emails": [{ "value": format!("{name}@example.com") }],
    });
    UserRow {
        attributes: serde_json::from_value(attributes).unwrap(),
        account_key: Some(format!("{name}@example.com")),
        account: Account {
            active: true,
            ..Account::default()
        },
    }
}

fn group_row(name: &str) -> GroupRow {
    GroupRow {
        attributes: serde_json::from_value(json!({ "displayName": name })).unwrap(),
        upstream_name: name.to_lowercase(),
    }
}

fn texts(ids: &[ResourceId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn present() -> ObservedAccount {
    ObservedAccount {
        existence: Existence::Present,
        ..ObservedAccount::default()
    }
}

fn change(members: Vec<MemberChange>) -> GroupChange {
    GroupChange {
        decide: Box::new(|_| Ok(None)),
        members,
        skip_unknown: false,
        closed: None,
    }
}

fn add(ids: &[ResourceId]) -> GroupChange {
    change(vec![MemberChange::Add(texts(ids))])
}

fn remove(ids: &[ResourceId]) -> GroupChange {
    change(vec![MemberChange::Remove(texts(ids))])
}

fn replace(ids: &[ResourceId]) -> GroupChange {
    change(vec![MemberChange::Replace(texts(ids))])
}

fn always() -> Precondition {
    Precondition::default()
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = super::open(&folder.path().join("d.db")).unwrap();
        let c = store.connection("acme").await.unwrap();
        Self { folder, store, c }
    }

    /// As after a crash: what was acknowledged is there, nothing was ended.
    async fn reopen(self) -> Self {
        let Self { folder, store, .. } = self;
        drop(store);
        let store = super::open(&folder.path().join("d.db")).unwrap();
        let c = store.connection("acme").await.unwrap();
        Self { folder, store, c }
    }

    async fn user(&self, name: &str) -> UserWritten {
        self.try_user(name).await.unwrap()
    }

    async fn try_user(&self, name: &str) -> Result<UserWritten, WriteError> {
        self.store
            .create_user(self.c, fresh_id(), user_row(name), actor())
            .await
    }

    /// A user whose account is there.
    async fn member(&self, name: &str) -> UserWritten {
        let user = self.user(name).await;
        self.confirm_user(user.key).await;
        user
    }

    async fn confirm_user(&self, key: UserKey) -> Vec<Lane> {
        let turn = self.store.begin_user_turn(key).await.unwrap().unwrap();
        let active = turn.work.wanted.active;
        let observed = ObservedAccount {
            existence: if active {
                Existence::Present
            } else {
                Existence::Absent
            },
            deactivated: !active,
            role: turn.work.wanted.role.clone(),
            profile: Some(turn.work.wanted.profile.clone()),
            ..ObservedAccount::default()
        };
        let learned = UserLearned {
            observed: Some(observed),
            settled: true,
            ..UserLearned::default()
        };
        self.store.end_user_turn(key, learned, 2_000).await.unwrap()
    }

    async fn group(&self, name: &str, members: &[ResourceId]) -> GroupWritten {
        self.store
            .create_group(
                self.c,
                fresh_id(),
                group_row(name),
                texts(members),
                false,
                actor(),
            )
            .await
            .unwrap()
    }

    /// Works a group off; everything is confirmed.
    async fn confirm_group(&self, group: &GroupWritten) -> Vec<Lane> {
        let turn = self.store.begin_group_turn(group.key, 1_000).await.unwrap();
        let turn = turn.unwrap();
        let learned = GroupLearned {
            existence: Some(if turn.work.wanted {
                Existence::Present
            } else {
                Existence::Absent
            }),
            present: turn.work.adds.iter().map(|p| p.user).collect(),
            absent: turn.work.removes.iter().map(|p| p.user).collect(),
            ..GroupLearned::default()
        };
        let end = self
            .store
            .end_group_turn(group.key, turn.seq, learned, 2_000);
        end.await.unwrap()
    }

    /// A converged group.
    async fn settled_group(&self, name: &str, members: &[ResourceId]) -> GroupWritten {
        let group = self.group(name, members).await;
        self.confirm_group(&group).await;
        group
    }

    async fn change(
        &self,
        group: &GroupWritten,
        change: GroupChange,
    ) -> Result<GroupWritten, WriteError> {
        self.store
            .change_group(self.c, group.resource.id, always(), change, actor())
            .await
    }

    async fn members(&self, group: &GroupWritten) -> Vec<ResourceId> {
        let members = self.store.members(self.c, group.resource.id).await.unwrap();
        let mut ids = members.unwrap().ids.to_vec();
        ids.sort_unstable();
        ids
    }

    async fn lanes(&self) -> Vec<Lane> {
        self.store.open_lanes(self.c).await.unwrap()
    }
}
