//! Import: what is already in the application becomes visible as Users and
//! Groups, so that identity providers can match it by its id. Nothing is ever
//! bound to an existing row by name or e-mail, and nothing an identity
//! provider wrote is changed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Bridge, Failure, Session, clock, session::store_failed};
use crate::{
    plan::state::{Existence, ObservedAccount},
    store::{Actor, FoundGroup, FoundUser, GroupRow, Imported, UserRow, Watch},
    upstream::{RemoteGroup, RemoteProfile, RemoteUser, UpstreamError, in_background},
};

/// A failed import is tried again after this long.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

impl Bridge {
    /// Imports every connection now and then as often as it wants; the tasks
    /// live on the engine's runtime and end with it.
    pub fn import_regularly(self: &Arc<Self>) {
        for connection in &self.connections {
            let Some(session) = self.own_session(&connection.name, "import") else {
                continue;
            };
            if !connection.policy.import_at_start {
                continue;
            }
            let every = connection.policy.import_every;
            self.engine.spawn(async move {
                loop {
                    let read = session.import(&|_| {}).await;
                    let told = read.as_ref().map(|seen| *seen).map_err(ToString::to_string);
                    session.connection.note_import(told);
                    let pause = match read {
                        Ok(seen) => {
                            tracing::info!(?seen, connection = %session.connection.name, "imported");
                            every
                        }
                        Err(error) => {
                            tracing::warn!(%error, connection = %session.connection.name, "import failed");
                            Some(AFTER_FAILURE)
                        }
                    };
                    match pause {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return,
                    }
                }
            });
        }
    }
}

/// Where an import stands, for a progress line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub groups_read: usize,
    pub groups: usize,
    pub users: usize,
}

impl Session {
    /// Reads the whole application, then writes what is new in one go. A read
    /// that fails anywhere changes nothing. Its calls yield to all others.
    pub async fn import(
        &self,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Imported, Failure> {
        in_background(self.import_whole(progress)).await
    }

    async fn import_whole(
        &self,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Imported, Failure> {
        let upstream = &self.connection.upstream;
        let store = &self.bridge.store;
        // A read shows what was so some time ago, and takes its time itself:
        // what is written upstream from here on is younger than what it shows.
        let since = store.import_mark(clock::now() - self.lag()).await;
        let since = since.map_err(store_failed)?;
        let users = upstream.users().await.map_err(|e| self.unreadable(&e))?;
        let profiles = self.profiles().await?;
        let groups = upstream.groups().await.map_err(|e| self.unreadable(&e))?;
        let count = groups.len();
        let mut found = Vec::with_capacity(count);
        for (done, group) in groups.into_iter().enumerate() {
            progress(Progress {
                groups_read: done,
                groups: count,
                users: users.len(),
            });
            let members = upstream
                .members(&group.name)
                .await
                .map_err(|e| self.unreadable(&e))?;
            let members = members.into_iter().filter(|member| !member.covers);
            let members = members.map(|m| (m.upstream_id, m.account)).collect();
            found.push(self.found_group(&group, members));
        }
        progress(Progress {
            groups_read: count,
            groups: count,
            users: users.len(),
        });
        let listed = users;
        let users = listed
            .iter()
            .filter_map(|user| self.found_user(user, profiles.get(&user.account)))
            .collect();
        let actor = Actor {
            name: self.actor.clone(),
            at: clock::now(),
            watch: Watch::Off,
        };
        self.doubt_a_first_import(&found).await?;
        let mirror = upstream.capabilities().only_shows();
        let imported = store
            .import(self.connection.key, since, users, found, mirror, actor)
            .await;
        let imported = imported.map_err(store_failed)?;
        if upstream.has_families() {
            self.find_staged(&listed).await?;
            // Another order of a family is another question for its pairs.
            self.wake_open().await;
        }
        Ok(imported)
    }

    /// The profile records by account. A token that may not read them, or a
    /// tenant without them, is no reason to show nobody at all.
    async fn profiles(&self) -> Result<HashMap<String, RemoteProfile>, Failure> {
        let read = self.connection.upstream.profiles().await;
        match read {
            Ok(list) => Ok(list
                .into_iter()
                .map(|record| (record.account.clone(), record))
                .collect()),
            Err(error @ (UpstreamError::Later { .. } | UpstreamError::Unknown { .. })) => {
                Err(self.unreadable(&error))
            }
            Err(error) => {
                tracing::warn!(%error, connection = %self.connection.name, "imported without profile records");
                Ok(HashMap::new())
            }
        }
    }

    fn found_user(
        &self,
        remote: &RemoteUser,
        profile: Option<&RemoteProfile>,
    ) -> Option<FoundUser> {
        let upstream = &self.connection.upstream;
        let mut attributes = upstream.user_attributes(remote, profile);
        attributes.0.insert("active".into(), remote.active.into());
        let account = upstream.project(&attributes).ok()?.account;
        let observed = ObservedAccount {
            existence: if remote.active {
                Existence::Present
            } else {
                Existence::Absent
            },
            deactivated: !remote.active,
            // What is there is as wanted: importing asks for nothing.
            role: account.role.clone(),
            profile: Some(account.profile.clone()),
            record: profile.is_some(),
        };
        let row = UserRow {
            attributes,
            account_key: Some(remote.account.to_lowercase()),
            account,
        };
        Some(FoundUser {
            id: clock::new_id(),
            row,
            observed,
            upstream_id: remote.upstream_id.clone(),
        })
    }

    fn found_group(
        &self,
        remote: &RemoteGroup,
        members: Vec<(Option<String>, Option<String>)>,
    ) -> FoundGroup {
        let upstream = &self.connection.upstream;
        let mut attributes = upstream.group_attributes(remote);
        upstream.adorn_group(&mut attributes, &remote.name);
        FoundGroup {
            id: clock::new_id(),
            row: GroupRow {
                attributes,
                upstream_name: remote.name.clone(),
            },
            read_only: remote.read_only.clone(),
            family: remote.family.clone(),
            members,
        }
    }

    pub(super) fn unreadable(&self, error: &UpstreamError) -> Failure {
        tracing::warn!(%error, connection = %self.connection.name, "the application could not be read");
        Failure::Later {
            seconds: 60,
            detail: format!(
                "{} could not be read ({error}); nothing was changed",
                self.application()
            ),
        }
    }
}
