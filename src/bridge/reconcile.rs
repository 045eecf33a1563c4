//! Reconciliation: the application is read and compared with what was last
//! observed there, group by group; what changed behind the bridge's back is
//! told and, where the connection wants it, repaired.
//!
//! A bad read never causes a write (reliability: I-22): an error ends the whole
//! reading, a group that shrank by more than half is only told (G-8), and what
//! differs is read a second time, later than a read can lag, before it counts
//! (H-12). A group or an account that is gone is told and never made again. In
//! recovery everything is only told: nobody is given back what an old database
//! remembers (I-03, I-25).

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{Bridge, Connection, Failure, Operator, Session, clock, session::store_failed};
use crate::{
    plan::{
        drift::{self, GroupDrift, Pair, Shown},
        state::{GroupKey, UserKey},
    },
    store::{Actor, Drifted, DriftedGroup, ImportMark, Millis, Reconcilable, Repaired},
    upstream::{RemoteMember, UpstreamError, in_background},
};

/// What becomes of a membership that is gone from the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftPolicy {
    /// It is put there again.
    Repair,
    /// It is no membership any more.
    Accept,
}

/// Groups, or accounts, asked of the store at a time.
const PAGE: usize = 500;
/// A reconciliation that failed is tried again after this long.
const AFTER_FAILURE: Duration = Duration::from_secs(300);
/// How many groups are done before it is written down how far it came.
const CHECKPOINT: u64 = 20;

/// Where a reconciliation stands, for a progress bar.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reconciling {
    pub running: bool,
    pub groups_read: u64,
    pub groups: u64,
    /// Of the last one that ended, or why it did not.
    pub result: Option<Result<Drifted, String>>,
}

impl Bridge {
    /// Reconciles every connection as often as it wants; the tasks live on
    /// the engine's runtime and end with it.
    pub fn reconcile_regularly(self: &Arc<Self>) {
        for connection in &self.connections {
            let Some(every) = connection.policy.reconcile_every else {
                continue;
            };
            let Some(session) = self.own_session(&connection.name, "reconcile") else {
                continue;
            };
            self.engine.spawn(async move {
                loop {
                    let pause = match session.due(every).await {
                        Some(wait) => wait,
                        None => match session.reconcile(true).await {
                            Ok(_) => every,
                            Err(_) => AFTER_FAILURE,
                        },
                    };
                    tokio::time::sleep(pause).await;
                }
            });
        }
    }
}

impl Operator {
    /// Begins a reconciliation; false when one is under way already.
    pub fn begin_reconcile(&self, connection: &str, apply: bool) -> Option<bool> {
        let session = self.bridge.own_session(connection, &self.name)?;
        // Claimed here, so that whoever asks at once sees it running.
        if !session.connection.claim() {
            return Some(false);
        }
        self.bridge.engine.spawn(async move {
            // The result is kept where it is asked for.
            let _ = session.reconcile_claimed(apply).await;
        });
        Some(true)
    }

    pub fn reconciling(&self, connection: &str) -> Option<Reconciling> {
        let connection = self.bridge.find(Some(connection))?;
        Some(connection.reconciling())
    }
}

impl Connection {
    pub(super) fn reconciling(&self) -> Reconciling {
        let now = self.reconciling.lock();
        now.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The right to reconcile; one at a time.
    fn claim(&self) -> bool {
        let mut free = false;
        self.note(|now| free = !std::mem::replace(&mut now.running, true));
        free
    }

    fn note(&self, change: impl FnOnce(&mut Reconciling)) {
        let now = self.reconciling.lock();
        change(&mut now.unwrap_or_else(PoisonError::into_inner));
    }
}

/// One reading under way.
struct Pass<'a> {
    session: &'a Session,
    apply: bool,
    /// The connection is in recovery.
    mistrusted: bool,
    /// What is written upstream after this was not seen by the first reading.
    since: ImportMark,
    found: Drifted,
}

impl Session {
    /// How long the last reconciliation leaves, if it was not long ago.
    async fn due(&self, every: Duration) -> Option<Duration> {
        let last = self.bridge.store.drifted(self.connection.key).await;
        // One that only told is none of those.
        let ended = last.ok().flatten().filter(|last| last.applied)?.ended?;
        let every = Millis::try_from(every.as_millis()).ok()?;
        let wait = ended + every - clock::now();
        // A clock that was put back must not put it off for ever.
        let wait = u64::try_from(wait.min(every)).ok()?;
        (wait > 0).then(|| Duration::from_millis(wait))
    }

    /// Reads and compares everything; with `apply` it repairs or accepts, as
    /// the connection wants it, what two readings agree on. One at a time.
    pub async fn reconcile(&self, apply: bool) -> Result<Drifted, Failure> {
        if !self.connection.claim() {
            return Err(Failure::Later {
                seconds: super::session::COME_AGAIN,
                detail: "a reconciliation is under way already".into(),
            });
        }
        self.reconcile_claimed(apply).await
    }

    async fn reconcile_claimed(&self, apply: bool) -> Result<Drifted, Failure> {
        let result = in_background(self.reconcile_whole(apply)).await;
        let told = result
            .as_ref()
            .map(Clone::clone)
            .map_err(ToString::to_string);
        match &told {
            Ok(found) => tracing::info!(
                connection = %self.connection.name, missing = found.missing, gone = found.gone,
                unasked = found.unasked, accounts_missing = found.accounts_missing,
                accounts_back = found.accounts_back, applied = found.applied, "reconciled"
            ),
            Err(error) => tracing::warn!(
                connection = %self.connection.name, %error, "the reconciliation failed"
            ),
        }
        self.connection.note(|now| {
            now.running = false;
            now.result = Some(told);
        });
        result
    }

    async fn reconcile_whole(&self, apply: bool) -> Result<Drifted, Failure> {
        let store = &self.bridge.store;
        let before = store.drifted(self.connection.key).await;
        let before = before.map_err(store_failed)?.unwrap_or_default();
        let recovery = store.recovery(self.connection.key).await;
        let mistrusted = recovery.map_err(store_failed)?.is_some();
        // What an old database remembers may have been taken away since.
        let apply = apply && !mistrusted;
        let goes_on = before.ended.is_none() && before.after > 0 && before.applied == apply;
        let since = store.import_mark(clock::now() - self.lag()).await;
        let mut pass = Pass {
            session: self,
            apply,
            mistrusted,
            since: since.map_err(store_failed)?,
            found: if goes_on {
                before
            } else {
                Drifted {
                    started: clock::now(),
                    applied: apply,
                    ..Drifted::default()
                }
            },
        };
        pass.accounts().await?;
        pass.groups().await?;
        pass.found.ended = Some(clock::now());
        pass.keep().await?;
        Ok(pass.found)
    }

    /// How far a read may lag behind the writes before it.
    pub(super) fn lag(&self) -> Millis {
        let lag = self.connection.policy.read_lag.as_millis();
        Millis::try_from(lag).unwrap_or(Millis::MAX)
    }
}

impl Pass<'_> {
    /// Accounts that are gone are told; those that are back are ended again.
    async fn accounts(&mut self) -> Result<(), Failure> {
        let (mut missing, mut back) = self.compare_accounts().await?;
        if !missing.is_empty() || !back.is_empty() {
            self.until_a_read_cannot_lag().await;
            let (missing_still, back_still) = self.compare_accounts().await?;
            missing.retain(|user| missing_still.contains(user));
            back.retain(|user| back_still.contains(user));
        }
        (self.found.accounts_missing, self.found.accounts_back) =
            (missing.len() as u64, back.len() as u64);
        if self.apply && !back.is_empty() {
            let users = back.into_iter().collect();
            let store = &self.session.bridge.store;
            let repaired = store.end_again(users, self.actor()).await;
            self.wake(repaired.map_err(store_failed)?);
        }
        Ok(())
    }

    async fn compare_accounts(&self) -> Result<(HashSet<UserKey>, HashSet<UserKey>), Failure> {
        let (store, c) = (&self.session.bridge.store, self.session.connection.key);
        let listed = self.session.connection.upstream.users().await;
        let listed = listed.map_err(|error| self.unreadable(&error))?;
        let active = listed.into_iter().filter(|user| user.active);
        let there: HashSet<String> = active.map(|user| user.account.to_lowercase()).collect();
        let mut missing = HashSet::new();
        let mut after = UserKey(0);
        loop {
            let page = store.accounts(c, after, PAGE).await.map_err(store_failed)?;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            let gone = page.into_iter().filter(|(_, _, key)| !there.contains(key));
            missing.extend(gone.map(|(user, ..)| user));
        }
        let accounts = there.into_iter().collect();
        let back = store.ended(c, accounts).await.map_err(store_failed)?;
        Ok((missing, back.into_iter().map(|(user, _)| user).collect()))
    }

    async fn groups(&mut self) -> Result<(), Failure> {
        let (store, connection) = (&self.session.bridge.store, &self.session.connection);
        let listed = connection.upstream.groups().await;
        let listed = listed.map_err(|error| self.unreadable(&error))?;
        let names: HashSet<String> = listed.into_iter().map(|group| group.name).collect();
        connection.note(|now| {
            (now.groups, now.groups_read) = (names.len() as u64, self.found.groups);
        });
        loop {
            let after = GroupKey(self.found.after);
            let page = store.reconcilable(connection.key, after, PAGE).await;
            let page = page.map_err(store_failed)?;
            if page.is_empty() {
                return Ok(());
            }
            for group in page {
                self.group(&group, names.contains(&group.name)).await?;
                self.found.after = group.group.0;
                self.found.groups += 1;
                let read = self.found.groups;
                connection.note(|now| now.groups_read = read);
                if read.is_multiple_of(CHECKPOINT) {
                    self.keep().await?;
                }
            }
        }
    }

    async fn group(&mut self, group: &Reconcilable, listed: bool) -> Result<(), Failure> {
        if !listed {
            self.tell(group, &[], &GroupDrift::default(), Some("the group is not there any more; it is never made again without being asked for"));
            return Ok(());
        }
        let Some((_, drift)) = self.compare(group).await? else {
            return Ok(());
        };
        if drift.is_empty() {
            self.found.unasked += drift.unasked as u64;
            return Ok(());
        }
        self.until_a_read_cannot_lag().await;
        let Some((pairs, again)) = self.compare(group).await? else {
            return Ok(());
        };
        let drift = drift.confirmed_by(&again);
        self.found.unasked += drift.unasked as u64;
        if drift.is_empty() {
            return Ok(());
        }
        self.found.missing += drift.missing.len() as u64;
        self.found.gone += drift.gone.len() as u64;
        let held = match (self.mistrusted, drift.shrunk) {
            (true, _) => Some(
                "the connection is in recovery, so nothing is put right; see `drawbridge help recovery`",
            ),
            (false, true) => Some(
                "more than half of it is gone at once, which is rather a bad reading than a change; nothing is done about it",
            ),
            (false, false) if self.apply && self.settle(group, drift.clone()).await? => {
                Some("it was written while this went on; a later reconciliation puts it right")
            }
            (false, false) => None,
        };
        self.tell(group, &pairs, &drift, held);
        Ok(())
    }

    /// Does what the connection's `drift` says. Whether it was too late for that.
    async fn settle(&self, group: &Reconcilable, drift: GroupDrift) -> Result<bool, Failure> {
        let accept = self.session.connection.policy.drift == DriftPolicy::Accept;
        let store = &self.session.bridge.store;
        let repaired = store
            .settle_drift(group.group, self.since, drift, accept, self.actor())
            .await;
        let repaired = repaired.map_err(store_failed)?;
        let overtaken = repaired.overtaken;
        self.wake(repaired);
        Ok(overtaken)
    }

    /// `None` when the group is gone by now, which the next pass will tell.
    async fn compare(
        &self,
        group: &Reconcilable,
    ) -> Result<Option<(Vec<Pair>, GroupDrift)>, Failure> {
        let connection = &self.session.connection;
        connection.lanes.when_quiet().await;
        let shown = match connection.upstream.members(&group.name).await {
            Ok(members) => members,
            Err(UpstreamError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(self.unreadable(&error)),
        };
        // Asked after the reading: what changed meanwhile is not settled.
        let pairs = self.session.bridge.store.pairs(group.group).await;
        let pairs = pairs.map_err(store_failed)?;
        let shown: Vec<Shown> = shown.into_iter().map(shown_of).collect();
        let drift = drift::of_group(&pairs, &shown);
        Ok(Some((pairs, drift)))
    }

    fn tell(
        &mut self,
        group: &Reconcilable,
        pairs: &[Pair],
        drift: &GroupDrift,
        held: Option<&str>,
    ) {
        if self.found.details.len() >= Drifted::SHOWN {
            return;
        }
        let ids = |users: &[UserKey]| {
            let users: HashSet<_> = users.iter().collect();
            let named = pairs
                .iter()
                .filter(|pair| users.contains(&pair.principal.user));
            let ids = named.map(|pair| pair.principal.id.to_string());
            ids.take(Drifted::SHOWN).collect()
        };
        self.found.details.push(DriftedGroup {
            group: group.id.to_string(),
            name: group.name.clone(),
            missing: ids(&drift.missing),
            gone: ids(&drift.gone),
            unasked: drift.unasked as u64,
            held: held.map(str::to_owned),
        });
    }

    /// Two readings this far apart cannot both be out of date in one way.
    async fn until_a_read_cannot_lag(&self) {
        tokio::time::sleep(self.session.connection.policy.read_lag).await;
    }

    fn wake(&self, repaired: Repaired) {
        for lane in repaired.lanes {
            self.session.connection.lanes.kick(lane);
        }
    }

    async fn keep(&self) -> Result<(), Failure> {
        let store = &self.session.bridge.store;
        let kept = store.keep_drifted(self.session.connection.key, self.found.clone());
        kept.await.map_err(store_failed)
    }

    fn actor(&self) -> Actor {
        self.session.actor()
    }

    fn unreadable(&self, error: &UpstreamError) -> Failure {
        self.session.unreadable(error)
    }
}

fn shown_of(member: RemoteMember) -> Shown {
    Shown {
        upstream_id: member.upstream_id,
        account: member.account,
    }
}
