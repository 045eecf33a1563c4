//! One reading of a whole application, compared with what was last observed
//! there, account by account and group by group, and what is done about it.
//!
//! A bad read never causes a write (reliability: I-22): an error ends the whole
//! reading, or leaves the one group aside that it is about; a group that shrank by more than half is only told until three
//! readings agree or an operator believes it (G-8), and so is what would end too
//! many memberships here; what differs is read a second time, later than a read
//! can lag, before it counts (H-12). A group or an account that is gone is told
//! and never made again.

use std::collections::{HashMap, HashSet};

use super::super::{Failure, Session, clock, reads::Reads, session::store_failed};
use super::{DriftPolicy, given::Unasked};
use crate::{
    plan::{
        drift::{self, GroupDrift, Pair, Shown},
        state::{Existence, GroupKey, UserKey},
    },
    scim::resource::ResourceId,
    store::{Actor, Drifted, DriftedGroup, ImportMark, Reconcilable, Repaired},
    upstream::{RemoteMember, UpstreamError},
};

mod accounts;
mod believed;
mod gone;
mod titles;
mod unread;

/// Groups, or accounts, asked of the store at a time.
const PAGE: usize = 500;
/// How many groups are done before it is written down how far it came.
const CHECKPOINT: u64 = 20;

/// What a reading is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To know whether it may be repaired; nothing is kept of it.
    Look,
    Tell,
    /// Repairs or accepts; with true also in groups that lost more than half.
    Repair(bool),
}

const GONE: &str =
    "the group is not there any more; it is never made again without being asked for";
/// Of a family, as a credential may have lost it.
const NOT_SHOWN: &str = "the application does not show the group, which proves nothing of it; who is in it stays as is known";
const OVERTAKEN: &str = "it was written while this went on, or less than read_lag before; a later reconciliation puts it right, the next one by itself ten minutes later";
const NO_ACCOUNT: &str = "whose account is gone is not put into it before the User is asked for again, which makes the account anew with its memberships";
const PROTECTED: &str = "some of it is protected here and does not end because it is gone there; `drawbridge reconcile --apply --shrunk` accepts it";

/// What is remembered of a group, how it differs, and who is there unasked.
type Compared = (Vec<Pair>, GroupDrift, Unasked);

struct Pass<'a> {
    session: &'a Session,
    purpose: Purpose,
    /// What is written upstream after this was not seen by the first reading.
    since: ImportMark,
    found: Drifted,
    /// The same for the group that is being read.
    since_group: ImportMark,
    /// Of all groups.
    members: u64,
    users: u64,
    /// Whose accounts are not there any more.
    without_account: HashSet<UserKey>,
    /// Groups that are not listed any more.
    unlisted: Vec<Reconcilable>,
    /// Who is in a group again whose access was ended by taking memberships away.
    back: HashMap<UserKey, ResourceId>,
    reads: Reads,
    /// Why the last group that could not be read could not.
    failed: Option<UpstreamError>,
}

impl Session {
    pub(super) async fn read_all(&self, purpose: Purpose) -> Result<Drifted, Failure> {
        let store = &self.bridge.store;
        let before = store.drifted(self.connection.key).await;
        let before = before.map_err(store_failed)?.unwrap_or_default();
        let since = store.import_mark(clock::now() - self.lag()).await;
        let since = since.map_err(store_failed)?;
        let counts = store.counts(self.connection.key).await;
        let counts = counts.map_err(store_failed)?;
        let applied = matches!(purpose, Purpose::Repair(_));
        let mut pass = Pass {
            session: self,
            purpose,
            since,
            since_group: since,
            members: counts.memberships,
            users: counts.users,
            without_account: HashSet::new(),
            unlisted: Vec::new(),
            back: HashMap::new(),
            reads: Reads::after(applied && before.applied && before.goes_on()),
            failed: None,
            // What is told is of now, and a look that an earlier process began
            // says nothing of how it stands after its end.
            found: if applied && before.applied && before.goes_on() {
                before
            } else {
                Drifted {
                    started: clock::now(),
                    applied,
                    shrunk: before.shrunk,
                    ..Drifted::default()
                }
            },
        };
        pass.accounts().await?;
        pass.groups().await?;
        let back = std::mem::take(&mut pass.back);
        pass.end_again(back).await?;
        self.warn_of_given_back(&pass.found);
        let found = &mut pass.found;
        found.shrunk.retain(|it| it.was_seen_since(found.started));
        found.ended = Some(clock::now());
        if purpose != Purpose::Look {
            pass.keep().await?;
        }
        Ok(pass.found)
    }
}

impl Pass<'_> {
    fn repairs(&self) -> bool {
        matches!(self.purpose, Purpose::Repair(_))
    }

    async fn groups(&mut self) -> Result<(), Failure> {
        let (store, connection) = (&self.session.bridge.store, &self.session.connection);
        let titles = self.titles().await?;
        if self.repairs() {
            self.session.go_on_as_remade().await?;
        }
        let names = titles.keys().cloned().collect();
        self.tell_groups_again(&names).await?;
        let listed = |name: &str| names.contains(name);
        self.session.forget_left_alone(listed, self.since).await?;
        self.gone_groups(&names).await?;
        // The application may list groups that are none of this connection's.
        let all = self.found.groups + self.groups_left().await?;
        connection.note(|now| (now.groups, now.groups_read) = (all, self.found.groups));
        let mut aside = Vec::new();
        loop {
            let after = GroupKey(self.found.after);
            let page = store.reconcilable(connection.key, after, PAGE).await;
            let page = page.map_err(store_failed)?;
            if page.is_empty() {
                self.look_again(aside).await?;
                return self.lose_unlisted().await;
            }
            for group in page {
                let listed = names.contains(&group.name);
                let unread = self.group(&group, listed).await?;
                self.compare_title(&group, &titles).await?;
                self.found.after = group.group.0;
                self.found.groups += 1;
                if unread.is_some() {
                    self.reads.failed();
                }
                aside.extend(unread.map(|_| group));
                let read = self.found.groups;
                connection.note(|now| now.groups_read = read);
                if read.is_multiple_of(CHECKPOINT) {
                    self.look_again(std::mem::take(&mut aside)).await?;
                    if self.repairs() {
                        self.keep().await?;
                    }
                }
            }
        }
    }

    async fn groups_left(&self) -> Result<u64, Failure> {
        let (store, c) = (&self.session.bridge.store, self.session.connection.key);
        let mut after = GroupKey(self.found.after);
        let mut count = 0;
        loop {
            let page = store.reconcilable(c, after, PAGE).await;
            let page = page.map_err(store_failed)?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            after = last.group;
            count += page.len() as u64;
        }
    }

    /// Why its members cannot be read, if so; then nothing of it was done.
    async fn group(
        &mut self,
        group: &Reconcilable,
        listed: bool,
    ) -> Result<Option<UpstreamError>, Failure> {
        if !listed && self.is_left_out(group) {
            self.left_out(group).await?;
            return Ok(None);
        }
        if !listed {
            let present = |pair: &Pair| pair.observed == Existence::Present;
            let families = self.session.connection.upstream.has_families();
            let why = if families { NOT_SHOWN } else { GONE };
            self.gone(group, present, why).await?;
            if !families {
                self.unlisted.push(group.clone());
            }
            return Ok(None);
        }
        let (store, lag) = (&self.session.bridge.store, self.session.lag());
        let since = store.import_mark(clock::now() - lag).await;
        self.since_group = since.map_err(store_failed)?;
        let (pairs, drift, unasked) = match self.compare(group).await? {
            Ok(compared) => compared,
            Err(error) => return Ok(Some(error)),
        };
        if drift.is_empty() {
            self.note_missing(group, &pairs, &drift).await?;
            self.count(&drift, &unasked);
            if !drift.unasked.is_empty() {
                self.tell(group, &pairs, (&drift, unasked), None);
            }
            return Ok(None);
        }
        self.until_a_read_cannot_lag().await;
        let before = pairs;
        let (pairs, again, unasked) = match self.compare(group).await? {
            Ok(compared) => compared,
            Err(error) => return Ok(Some(error)),
        };
        let untouched = drift::untouched(&before, &pairs);
        let mut drift = drift.confirmed_by(&again);
        if let Some(error) = self.ask_about(group, &pairs, &mut drift.gone).await? {
            return Ok(Some(error));
        }
        if self.session.connection.policy.drift == DriftPolicy::Accept
            && let Some(error) = self.ask_about(group, &pairs, &mut drift.missing).await?
        {
            return Ok(Some(error));
        }
        let back: HashSet<_> = drift.back.drain(..).collect();
        let who = pairs.iter().map(|pair| &pair.principal);
        let who = who.filter(|principal| back.contains(&principal.user));
        self.back
            .extend(who.map(|principal| (principal.user, principal.id)));
        self.count(&drift, &unasked);
        if drift.is_empty() {
            self.note_missing(group, &pairs, &drift).await?;
            if !drift.unasked.is_empty() {
                self.tell(group, &pairs, (&drift, unasked), None);
            }
            return Ok(None);
        }
        self.repair(group, &pairs, (drift, unasked), &untouched)
            .await?;
        Ok(None)
    }

    fn count(&mut self, drift: &GroupDrift, unasked: &Unasked) {
        self.found.unasked += drift.unasked.len() as u64;
        self.found.given_back += unasked.taken_away();
        self.found.compared += drift.there as u64;
    }

    /// Does what is to be done about what two readings agree on, and tells it.
    async fn repair(
        &mut self,
        group: &Reconcilable,
        pairs: &[Pair],
        (drift, unasked): (GroupDrift, Unasked),
        untouched: &HashSet<UserKey>,
    ) -> Result<(), Failure> {
        self.found.missing += drift.missing.len() as u64;
        self.found.gone += drift.gone.len() as u64;
        let (mut settled, mut held) = self.believed(group.group, &drift);
        if self.session.connection.policy.drift == DriftPolicy::Repair {
            let all = settled.missing.len();
            let has_account = |user: &UserKey| !self.without_account.contains(user);
            settled.missing.retain(has_account);
            held = held.or((settled.missing.len() < all).then_some(NO_ACCOUNT));
        }
        let mut left = drift.len() - settled.len();
        if !self.repairs() {
            left = drift.len();
        } else if !settled.is_empty() {
            let (of, mut missing) = (settled.len(), settled.missing.clone());
            let mut repaired = self.settle(group, settled).await?;
            if repaired.overtaken {
                missing.retain(|user| untouched.contains(user));
                if self.session.connection.policy.drift == DriftPolicy::Repair
                    && !missing.is_empty()
                {
                    repaired = self.settle_untouched(group, missing).await?;
                }
                let open = of.saturating_sub(repaired.wanted_again);
                if open > 0 {
                    (left, held) = (left + open, Some(OVERTAKEN));
                    self.found.overtaken += 1;
                }
            } else if repaired.protected > 0 {
                (left, held) = (left + repaired.protected, Some(PROTECTED));
            }
            self.wake(repaired);
        }
        self.note_missing(group, pairs, &drift).await?;
        self.found.left += left as u64;
        self.tell(group, pairs, (&drift, unasked), held);
        Ok(())
    }

    async fn group_names(&self) -> Result<HashSet<String>, Failure> {
        Ok(self.titles().await?.into_keys().collect())
    }

    /// Such that were deleted here and are there.
    async fn tell_groups_again(&mut self, names: &HashSet<String>) -> Result<(), Failure> {
        let mut again = self.session.groups_again(names, self.since).await?;
        if !again.is_empty() {
            self.until_a_read_cannot_lag().await;
            let names = self.group_names().await?;
            again.retain(|one| names.contains(&one.name));
        }
        self.found.groups_returned = again.len() as u64;
        again.truncate(Drifted::SHOWN);
        self.found.groups_again = again;
        Ok(())
    }

    /// With those of the members nobody asked for who are users here; or why this
    /// group cannot be read.
    async fn compare(
        &mut self,
        group: &Reconcilable,
    ) -> Result<Result<Compared, UpstreamError>, Failure> {
        let connection = &self.session.connection;
        connection.lanes.when_quiet().await;
        let shown = match connection.upstream.members(&group.name).await {
            Ok(members) => members,
            Err(error) => return Ok(Err(self.of_one_group(error).await?)),
        };
        self.reads.read();
        // Asked after the reading: what changed meanwhile is not settled.
        let pairs = self.session.bridge.store.pairs(group.group).await;
        let pairs = pairs.map_err(store_failed)?;
        let shown: Vec<Shown> = shown
            .into_iter()
            .map(|it| shown_of(it, connection.upstream.has_families()))
            .collect();
        let mut drift = drift::of_group(&pairs, &shown);
        let unasked = self
            .session
            .unasked(group.group, &mut drift.unasked, &shown);
        let unasked = unasked.await?;
        Ok(Ok((pairs, drift, unasked)))
    }

    fn tell(
        &mut self,
        group: &Reconcilable,
        pairs: &[Pair],
        (drift, unasked): (&GroupDrift, Unasked),
        held: Option<&str>,
    ) {
        let ids = |users: &[UserKey]| {
            let users: HashSet<_> = users.iter().collect();
            let named = pairs
                .iter()
                .filter(|pair| users.contains(&pair.principal.user));
            let ids = named.map(|pair| pair.principal.id.to_string());
            ids.take(Drifted::SHOWN).collect()
        };
        let mut told = DriftedGroup {
            group: group.id.to_string(),
            name: group.name.clone(),
            shown_as: group.shown_as.clone(),
            missing: ids(&drift.missing),
            gone: ids(&drift.gone),
            unasked: drift.unasked.len() as u64,
            held: held.map(str::to_owned),
            ..DriftedGroup::default()
        };
        unasked.tell(&mut told);
        self.found.tell(told);
    }

    /// Two readings this far apart cannot both be out of date in one way.
    async fn until_a_read_cannot_lag(&self) {
        tokio::time::sleep(self.session.connection.policy.read_lag).await;
    }

    fn wake(&self, repaired: Repaired) {
        for lane in repaired.lanes {
            self.session.connection.lanes.ask(lane);
        }
    }

    async fn keep(&self) -> Result<(), Failure> {
        let store = &self.session.bridge.store;
        let kept = store.keep_drifted(self.session.connection.key, self.found.clone());
        kept.await.map_err(store_failed)
    }

    fn only_shown(&self) -> bool {
        let upstream = &self.session.connection.upstream;
        upstream.capabilities().only_shows()
    }

    fn actor(&self) -> Actor {
        self.session.actor()
    }

    fn unreadable(&self, error: &UpstreamError) -> Failure {
        self.session.unreadable(error)
    }
}

/// `by_id`: see [`Shown::by_id`].
pub(super) fn shown_of(member: RemoteMember, by_id: bool) -> Shown {
    Shown {
        by_id,
        upstream_id: member.upstream_id,
        account: member.account,
        // As good as there, and nothing new of it is believed.
        covers: member.covers || member.unclear,
    }
}
