//! Import: what is already in the application becomes visible as Users and
//! Groups, so that identity providers can match it by its id. Nothing is ever
//! bound to an existing row by name or e-mail, and nothing an identity
//! provider wrote is changed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{Bridge, Failure, Session, clock, reconcile::first, session::store_failed};
use crate::{
    plan::{
        drift,
        state::{Existence, ObservedAccount},
    },
    store::{self, Actor, FoundGroup, FoundUser, GroupRow, Imported, UserRow, Watch, WithUnknown},
    upstream::{
        RemoteGroup, RemoteMember, RemoteProfile, RemoteUser, UpstreamError, in_background,
        looking_ahead,
    },
};
use aside::sooner;
use gone::Reading;

mod aside;
mod gone;
mod left_aside;
mod left_over;
mod twins;

pub use aside::UnreadGroup;
pub use left_aside::{LeftAside, left_aside, words};

/// So many accounts in one transaction.
const PORTION: usize = 500;
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
                // Imports in a row that left a group aside that may be read soon.
                let mut aside = 0;
                loop {
                    // Removals wait for it, so it comes first, before what is added.
                    let look = looking_ahead(session.look_first()).await;
                    let unseen = look.is_err();
                    let read = match look {
                        Ok(()) => session.import(false, &|_| {}).await,
                        Err(error) => Err(error),
                    };
                    let told = read.as_ref().map(|seen| *seen).map_err(ToString::to_string);
                    session.connection.note_import(told);
                    let pause = match read {
                        Ok(seen) => {
                            tracing::info!(?seen, connection = %session.connection.name, "imported");
                            if seen.back > 0 {
                                session.wake_open().await;
                            }
                            let passes = session.connection.unread_passes();
                            aside = if passes { aside + 1 } else { 0 };
                            sooner(until_next(every, &seen), aside)
                        }
                        Err(error) => {
                            tracing::warn!(%error, connection = %session.connection.name, "import failed");
                            Some(if unseen { first::AGAIN } else { AFTER_FAILURE })
                        }
                    };
                    match pause {
                        Some(pause) => session.wait(pause).await,
                        None => return,
                    }
                }
            });
        }
    }
}

impl Session {
    /// Until the next import. While removals wait for the first look, that is tried
    /// again meanwhile: what was confirmed by now it can compare, where a failed
    /// import left it nothing.
    async fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while self.is_unseen().await && Instant::now() + first::AGAIN < until {
            tokio::time::sleep(first::AGAIN).await;
            if let Err(error) = looking_ahead(self.look_first()).await {
                tracing::warn!(%error, connection = %self.connection.name, "the first look failed");
            }
        }
        tokio::time::sleep_until(until).await;
    }

    async fn is_unseen(&self) -> bool {
        let unseen = self.bridge.store.is_unseen(self.connection.key).await;
        unseen.unwrap_or(false)
    }
}

/// Sooner than usual where readings must agree before they are believed.
fn until_next(every: Option<Duration>, seen: &Imported) -> Option<Duration> {
    let apart = Duration::from_millis(drift::APART.unsigned_abs());
    let waits = seen.doubted > 0;
    waits
        .then(|| every.map_or(apart, |every| every.min(apart)))
        .or(every)
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
    /// that fails anywhere changes nothing. Its calls yield to all others. With
    /// `shrunk` lists are believed that lost too much to be believed at once.
    pub async fn import(
        &self,
        shrunk: bool,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Imported, Failure> {
        in_background(self.import_whole(shrunk, progress)).await
    }

    async fn import_whole(
        &self,
        shrunk: bool,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Imported, Failure> {
        let upstream = &self.connection.upstream;
        let store = &self.bridge.store;
        // A read shows what was so some time ago, and takes its time itself:
        // what is written upstream from here on is younger than what it shows.
        let shown = clock::now() - self.lag();
        let since = store.import_mark(shown).await;
        let since = since.map_err(store_failed)?;
        let began = self.begin_reading().await?;
        let mut reading = self.read_whole(progress).await?;
        self.go_on_as_remade().await?;
        let all: Vec<_> = reading.listed().collect();
        self.learn_keys(&reading.users, &all).await?;
        let mut left = Vec::new();
        if upstream.has_families() {
            self.leave_out_idle(&mut reading).await?;
        }
        let mut twins = twins::of(&reading);
        if upstream.has_families() {
            left = self.left_over(&reading).await?;
        }
        let profiles = self.profiles().await?;
        self.doubt_what_is_shown(&reading.users, &reading.groups)
            .await?;
        let (gone, doubted) = if upstream.capabilities().only_shows() {
            let (gone, doubted) = self.gone(&reading, shrunk).await?;
            (Some(gone), doubted)
        } else {
            (None, 0)
        };
        if upstream.has_families() {
            self.note_twins(&reading, &twins, &left).await?;
            // The linked one goes on by its id, shown or not.
            let known = left.iter().filter(|it| it.known);
            twins.extend(known.map(|it| it.shown.clone()));
        } else {
            self.note_shared(&reading, &twins).await?;
        }
        let listed = reading.groups.iter().map(|(group, _)| group);
        let left_aside = left_aside::of(upstream.as_ref(), &reading.users, listed, &twins);
        twins::disown(&mut reading, &twins);
        let titles = self.titles(&reading);
        let (left_out, unread) = (reading.left_out(), reading.unread.len() as u64);
        let whole = reading.whole;
        let several = reading.several();
        let names = reading.groups.iter().map(|(group, _)| group.name.clone());
        let names: Vec<String> = names.collect();
        let listed = reading.users;
        let users = listed.iter().filter(|user| !user.unreadable);
        let users = users.filter_map(|user| self.found_user(user, profiles.get(&user.account)));
        let users = users.collect();
        let groups = reading.groups.into_iter();
        let groups = groups.filter(|(group, _)| !group.unreadable);
        let found: Vec<_> = groups.map(|(it, of)| self.found_group(&it, of)).collect();
        let actor = Actor {
            name: self.actor.clone(),
            at: clock::now(),
            watch: Watch::Off,
            put: false,
        };
        self.doubt_a_first_import(&found).await?;
        if unread == 0 {
            let listed = |name: &str| names.iter().any(|it| it == name);
            self.forget_left_alone(listed, since).await?;
            let gone = store.forget_beside(self.connection.key, since, names, actor.clone());
            gone.await.map_err(store_failed)?;
        }
        if let Some(titles) = titles {
            let follow = store.follow_titles(self.connection.key, titles, actor.clone());
            follow.await.map_err(store_failed)?;
        }
        let linked = store.anyone_linked(self.connection.key).await;
        let linked = linked.map_err(store_failed)?.then(|| found.clone());
        let seen = store.import(self.connection.key, since, users, found, gone, actor);
        let seen = seen.await.map_err(store_failed)?;
        if let Some(found) = linked {
            let reading = store::Reading { whole, ..began };
            let lanes = store.learn_linked(
                self.connection.key,
                reading,
                (found, Arc::default()),
                self.actor(),
            );
            let lanes = lanes.await.map_err(store_failed)?;
            self.connection.lanes.kick_all(lanes);
        }
        if seen.unshown + left_out + unread == 0 && twins.is_empty() {
            self.connection.lanes.note_listed(shown, clock::now());
        }
        self.note_seen().await?;
        self.seek_unknown(&listed).await?;
        if upstream.has_families() {
            self.find_staged(&listed).await?;
            self.end_left_over(&left).await?;
            // Another order of a family is another question for its pairs.
            self.wake_open().await;
        }
        self.end_found().await?;
        self.connection.left_aside.send_replace(left_aside);
        Ok(self.told(Imported {
            doubted,
            unread,
            several,
            unshown: seen.unshown + twins.len() as u64 + left_out + seen.members_unknown,
            ..seen
        }))
    }

    /// What groups are called there, where that is only shown.
    fn titles(&self, reading: &Reading) -> Option<Vec<(String, String)>> {
        let upstream = &self.connection.upstream;
        let listed = reading.listed().filter(|group| !group.unreadable);
        let titled = listed.map(|group| (group.name.clone(), upstream.shown_as(group)));
        upstream.only_shows_titles().then(|| titled.collect())
    }

    /// Of users who must have nothing accounts may have been found. Where groups are
    /// of families, that is what is left over.
    async fn seek_unknown(&self, listed: &[RemoteUser]) -> Result<(), Failure> {
        let upstream = &self.connection.upstream;
        if upstream.has_families() || upstream.capabilities().only_shows() {
            return Ok(());
        }
        let (store, c) = (&self.bridge.store, self.connection.key);
        for portion in listed.chunks(PORTION) {
            let active = portion.iter().filter(|user| user.active);
            let accounts = active.map(|user| user.account.to_lowercase()).collect();
            let lanes = store.seek_among(c, accounts).await.map_err(store_failed)?;
            self.connection.lanes.kick_all(lanes);
        }
        Ok(())
    }

    async fn read_whole(
        &self,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reading, Failure> {
        let upstream = &self.connection.upstream;
        let users = upstream.users().await.map_err(|e| self.unreadable(&e))?;
        let groups = upstream.groups().await.map_err(|e| self.unreadable(&e))?;
        let at = |groups_read| Progress {
            groups_read,
            groups: groups.len(),
            users: users.len(),
        };
        let read = self
            .read_groups(&groups, &|done| progress(at(done)))
            .await?;
        let met: HashSet<&str> = read.iter().map(|(group, _)| group.name.as_str()).collect();
        let is_met = |it: &RemoteGroup| met.contains(it.name.as_str());
        let whole = groups
            .iter()
            .all(|it| it.read_only.is_some() || !it.unreadable && is_met(it));
        let unread = groups.iter().filter(|it| !is_met(it));
        Ok(Reading {
            users,
            unread: unread.cloned().collect(),
            groups: read,
            whole,
        })
    }

    /// Says what an identity provider cannot see of what is there, and what it has
    /// taken away.
    fn told(&self, seen: Imported) -> Imported {
        if !seen.returned.is_nothing() {
            tracing::warn!(
                connection = %self.connection.name, returned = ?seen.returned,
                "what was taken away or deleted here is there, given back by somebody or never \
                 gone; see drawbridge reconcile"
            );
        }
        let unshown = seen.unshown.saturating_sub(seen.members_unknown);
        if unshown > 0 {
            tracing::warn!(
                connection = %self.connection.name, unshown,
                "users or groups of the application are not shown, because others have names that \
                 SCIM does not tell from theirs, or the same address, or because they cannot be read \
                 or their ids not told apart (they stay as they are); correct them there, and with \
                 log.level = \"debug\" an import names them"
            );
        }
        seen
    }

    /// What the last import left aside, some of it.
    pub fn left_aside(&self) -> Vec<LeftAside> {
        self.connection.left_aside.borrow().clone()
    }

    /// See [`crate::store::Store::with_unknown`].
    pub async fn with_unknown(&self, most: usize) -> Result<Vec<WithUnknown>, Failure> {
        let of = self.connection.key;
        let found = self.bridge.store.with_unknown(of, most).await;
        found.map_err(store_failed)
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
            ..ObservedAccount::default()
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

    pub(super) fn found_group(
        &self,
        remote: &RemoteGroup,
        members: Vec<RemoteMember>,
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
            members: members
                .into_iter()
                .filter(|member| !member.covers && !member.unclear)
                .map(|member| (member.upstream_id, member.account))
                .collect(),
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
