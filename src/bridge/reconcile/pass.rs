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
        drift::{self, GroupDrift, Pair, Shown, Shrunk},
        state::{Existence, GroupKey, Principal, UserKey},
    },
    scim::resource::ResourceId,
    store::{
        Actor, Again, Drifted, DriftedGroup, Holdings, ImportMark, Reconcilable, Repaired, Settle,
    },
    upstream::{RemoteMember, RemoteUser, UpstreamError},
};

mod titles;
mod unread;

/// Groups, or accounts, asked of the store at a time.
const PAGE: usize = 500;
/// How many groups are done before it is written down how far it came.
const CHECKPOINT: u64 = 20;
const TOO_SHORT: &str = "more than half of it is gone at once, which is rather a bad reading than a change; it is believed when three reconciliations, ten minutes apart, agree, or with `drawbridge reconcile --apply --shrunk`";

/// What a reading is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To know whether it may be repaired; nothing is kept of it.
    Look,
    Tell,
    /// Repairs or accepts; with true also in groups that lost more than half.
    Repair(bool),
}

const TOO_MUCH: &str = "too many memberships would end at once by this, which is rather a bad reading than a change; it is believed when three reconciliations, ten minutes apart, agree, or with `drawbridge reconcile --apply --shrunk`";
const GONE: &str =
    "the group is not there any more; it is never made again without being asked for";
/// Of a family, as a credential may have lost it.
const NOT_SHOWN: &str = "the application does not show the group, which proves nothing of it; who is in it stays as is known";
const OVERTAKEN: &str = "it was written while this went on; a later reconciliation puts it right";
const PROTECTED: &str = "some of it is protected here and does not end because it is gone there; `drawbridge reconcile --apply --shrunk` accepts it";

/// What is remembered of a group, how it differs, and who is there unasked.
type Compared = (Vec<Pair>, GroupDrift, Unasked);

/// Whose account is gone, whose is back, and which are there of who was deleted.
type Accounts = (HashSet<UserKey>, HashMap<UserKey, ResourceId>, Vec<Again>);

struct Pass<'a> {
    session: &'a Session,
    purpose: Purpose,
    /// What is written upstream after this was not seen by the first reading.
    since: ImportMark,
    found: Drifted,
    /// Of all groups.
    members: u64,
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
        let counts = store.counts(self.connection.key).await;
        let applied = matches!(purpose, Purpose::Repair(_));
        let mut pass = Pass {
            session: self,
            purpose,
            since: since.map_err(store_failed)?,
            members: counts.map_err(store_failed)?.memberships,
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

    /// Accounts that are gone are told; those that are back are ended again, if
    /// they are neither protected nor too many.
    async fn accounts(&mut self) -> Result<(), Failure> {
        let (mut missing, mut back, mut again) = self.compare_accounts().await?;
        if !missing.is_empty() || !back.is_empty() || !again.is_empty() {
            self.until_a_read_cannot_lag().await;
            let (missing_still, back_still, again_still) = self.compare_accounts().await?;
            missing.retain(|user| missing_still.contains(user));
            back.retain(|user, _| back_still.contains_key(user));
            again.retain(|one| again_still.contains(one));
        }
        self.found.users_returned = again.len() as u64;
        again.truncate(Drifted::SHOWN);
        self.found.users_again = again;
        self.found.accounts_missing = missing.len() as u64;
        self.found.accounts_back = 0;
        (self.found.accounts_held, self.found.accounts_protected) = (0, 0);
        self.found.back.clear();
        self.end_again(back).await
    }

    /// Access that was ended here and is there again, as an account or, where none
    /// can be ended, as memberships.
    async fn end_again(&mut self, back: HashMap<UserKey, ResourceId>) -> Result<(), Failure> {
        self.found.accounts_back += back.len() as u64;
        let ids = back.values().map(ToString::to_string);
        self.found.back.extend(ids);
        self.found.back.truncate(Drifted::SHOWN);
        if !self.repairs() {
            self.found.accounts_held += back.len() as u64;
        } else if !back.is_empty() {
            let users = back.into_keys().collect();
            let believed = self.purpose == Purpose::Repair(true);
            let store = &self.session.bridge.store;
            let repaired = store.end_again(users, believed, self.actor()).await;
            let repaired = repaired.map_err(store_failed)?;
            self.found.accounts_held += repaired.held as u64;
            self.found.accounts_protected += repaired.protected as u64;
            if repaired.held > 0 {
                tracing::warn!(
                    connection = %self.session.connection.name, held = repaired.held,
                    "accounts that were ended are back, too many to be ended again without an operator"
                );
            }
            self.wake(repaired);
        }
        Ok(())
    }

    async fn compare_accounts(&mut self) -> Result<Accounts, Failure> {
        let (store, c) = (&self.session.bridge.store, self.session.connection.key);
        if !self.session.connection.upstream.lists_users() {
            return Ok(Accounts::default());
        }
        let listed = self.session.connection.upstream.users().await;
        let listed = listed.map_err(|error| self.unreadable(&error))?;
        self.session.find_staged(&listed).await?;
        if self.repairs() {
            self.learn_ids(&listed).await?;
        }
        let again = self.session.users_again(&listed, self.since).await?;
        // Who is there without any membership was not given anything back.
        let active = listed.into_iter().filter(|user| user.active && !user.idle);
        let mut there: HashMap<String, Holdings> = HashMap::new();
        for user in active {
            let has = there.entry(user.account.to_lowercase()).or_default();
            has.extend(user.has);
        }
        let by_members = self.session.connection.upstream.has_families();
        let mut missing = HashSet::new();
        let mut after = UserKey(0);
        self.found.accounts = 0;
        loop {
            let page = store.accounts(c, after, PAGE).await.map_err(store_failed)?;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            self.found.accounts += page.len() as u64;
            if by_members {
                // What is there of it are its memberships.
                continue;
            }
            let gone = page
                .into_iter()
                .filter(|(_, _, key)| !there.contains_key(key));
            missing.extend(gone.map(|(user, ..)| user));
        }
        if self.only_shown() {
            // Whoever is back there is back here with the next import.
            return Ok((missing, HashMap::new(), again));
        }
        let accounts = there.into_iter().collect();
        let back = store.ended(c, accounts).await.map_err(store_failed)?;
        Ok((missing, back.into_iter().collect(), again))
    }

    /// What is to be ended must not be asked for by an id of before.
    async fn learn_ids(&self, listed: &[RemoteUser]) -> Result<(), Failure> {
        let active = listed.iter().filter(|user| user.active);
        let shown = active
            .filter_map(|user| Some((user.account.to_lowercase(), user.upstream_id.clone()?)));
        // Of an address that several have none is the one.
        let mut ids: HashMap<String, HashSet<String>> = HashMap::new();
        for (account, id) in shown {
            ids.entry(account).or_default().insert(id);
        }
        ids.retain(|_, ids| ids.len() == 1);
        let shown = ids.into_iter();
        let shown =
            shown.flat_map(|(account, ids)| ids.into_iter().map(move |id| (account.clone(), id)));
        let (store, c) = (&self.session.bridge.store, self.session.connection.key);
        let learned = store.learn_ids(c, shown.collect(), self.actor()).await;
        learned.map_err(store_failed)
    }

    async fn groups(&mut self) -> Result<(), Failure> {
        let (store, connection) = (&self.session.bridge.store, &self.session.connection);
        let titles = self.titles().await?;
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
                return self.look_again(aside).await;
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
            return Ok(None);
        }
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
        let (pairs, again, unasked) = match self.compare(group).await? {
            Ok(compared) => compared,
            Err(error) => return Ok(Some(error)),
        };
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
        self.repair(group, &pairs, (drift, unasked)).await?;
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
    ) -> Result<(), Failure> {
        self.found.missing += drift.missing.len() as u64;
        self.found.gone += drift.gone.len() as u64;
        let (settled, mut held) = self.believed(group.group, &drift);
        let mut left = drift.len() - settled.len();
        if !self.repairs() {
            left = drift.len();
        } else if !settled.is_empty() {
            let (of, repaired) = (settled.len(), self.settle(group, settled).await?);
            if repaired.overtaken {
                (left, held) = (left + of, Some(OVERTAKEN));
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

    /// Those that are known to be gone are told as long as they are; what is
    /// shown again is looked after by its own lane.
    async fn gone_groups(&mut self, names: &HashSet<String>) -> Result<(), Failure> {
        let store = &self.session.bridge.store;
        let mut after = GroupKey(0);
        // Told once, where this goes on from a checkpoint.
        let begins = self.found.after == 0;
        loop {
            let page = store.gone_groups(self.session.connection.key, after, PAGE);
            let page = page.await.map_err(store_failed)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.group;
            for group in page {
                let listed = names.contains(&group.name);
                if !listed && begins && self.is_left_out(&group) {
                    self.left_out(&group).await?;
                } else if !listed && begins {
                    // What is known raises no doubt of the whole application.
                    let counts = self.purpose != Purpose::Look;
                    self.gone(&group, |_| counts, GONE).await?;
                } else if listed && self.repairs() {
                    let found = store.find_group(group.group, self.actor()).await;
                    self.wake(found.map_err(store_failed)?);
                }
            }
        }
    }

    /// Tells of it, and of how many are not there because of that.
    async fn gone(
        &mut self,
        group: &Reconcilable,
        there: impl Fn(&Pair) -> bool,
        why: &'static str,
    ) -> Result<(), Failure> {
        let pairs = self.session.bridge.store.pairs(group.group).await;
        let pairs = pairs.map_err(store_failed)?;
        let counts = |pair: &&Pair| pair.desired && !pair.sleeps() && there(pair);
        let there = pairs.iter().filter(counts).count() as u64;
        self.found.compared += there;
        self.found.groups_missing += 1;
        self.found.without_group += there;
        let nothing = (&GroupDrift::default(), Unasked::default());
        self.tell(group, &[], nothing, Some(why));
        Ok(())
    }

    fn is_left_out(&self, group: &Reconcilable) -> bool {
        !self.session.connection.upstream.offers(&group.name)
    }

    /// What the configuration names no more is not read, and nobody is given it: a
    /// choice, and none of the application's.
    async fn left_out(&mut self, group: &Reconcilable) -> Result<(), Failure> {
        let pairs = self.session.bridge.store.pairs(group.group).await;
        let pairs = pairs.map_err(store_failed)?;
        let asked = |pair: &&Pair| pair.desired && pair.managed && !pair.sleeps();
        let asked = pairs.iter().filter(asked).count() as u64;
        self.found.groups_left_out += 1;
        self.found.asked_in_left_out += asked;
        self.found.tell(DriftedGroup {
            group: group.id.to_string(),
            name: group.name.clone(),
            shown_as: group.shown_as.clone(),
            left_out: Some(asked),
            ..DriftedGroup::default()
        });
        Ok(())
    }

    /// Two readings of one list may be cut off in one way, so that whom a look
    /// at the user itself shows is not gone.
    async fn ask_about(
        &self,
        group: &Reconcilable,
        pairs: &[Pair],
        gone: &mut Vec<UserKey>,
    ) -> Result<Option<UpstreamError>, Failure> {
        let upstream = &self.session.connection.upstream;
        let principals = pairs.iter().map(|pair| &pair.principal);
        let who: HashMap<UserKey, &Principal> = principals.map(|it| (it.user, it)).collect();
        let mut still = Vec::with_capacity(gone.len());
        for user in gone.drain(..) {
            let has = match who.get(&user) {
                Some(principal) => upstream.has(&group.name, principal).await,
                None => Ok(None),
            };
            match has {
                Ok(Some(true)) => {}
                Ok(_) => still.push(user),
                Err(error) => return Ok(Some(self.of_one_group(error).await?)),
            }
        }
        *gone = still;
        Ok(None)
    }

    /// What of it may be believed, and why not the rest; counts this reading. A
    /// membership that ends here because of a reading is believed least: in a
    /// group of which nothing is left, and where it is too much of all of them.
    fn believed(
        &mut self,
        group: GroupKey,
        drift: &GroupDrift,
    ) -> (GroupDrift, Option<&'static str>) {
        let accepts = self.session.connection.policy.drift == DriftPolicy::Accept;
        let ends = drift.gone.len() + if accepts { drift.missing.len() } else { 0 };
        let in_all = self.found.ended_here + ends as u64;
        let too_much = ends > 0 && (drift.emptied || drift::is_doubtful(in_all, self.members));
        let agreed = !(drift.shrunk || too_much) || self.is_agreed(group, drift);
        if agreed {
            self.found.ended_here = in_all;
            (drift.clone(), None)
        } else if drift.shrunk || accepts {
            let why = if drift.shrunk { TOO_SHORT } else { TOO_MUCH };
            (GroupDrift::default(), Some(why))
        } else {
            // To be put there again: nothing ends by it.
            let missing = drift.missing.clone();
            let missing = GroupDrift {
                missing,
                ..GroupDrift::default()
            };
            (missing, Some(TOO_MUCH))
        }
    }

    /// Whether enough readings showed the same, or an operator says so.
    fn is_agreed(&mut self, group: GroupKey, drift: &GroupDrift) -> bool {
        let (now, shrunk) = (clock::now(), &mut self.found.shrunk);
        let before = shrunk.iter_mut().find(|it| it.of() == group);
        let agreeing = if let Some(before) = before {
            before.again(drift.digest(), now);
            before.is_believed()
        } else {
            shrunk.push(Shrunk::first(group, drift.digest(), now));
            false
        };
        agreeing || self.purpose == Purpose::Repair(true)
    }

    /// Does what the connection's `drift` says.
    async fn settle(&self, group: &Reconcilable, drift: GroupDrift) -> Result<Repaired, Failure> {
        let how = Settle {
            accept: self.session.connection.policy.drift == DriftPolicy::Accept,
            believed: self.purpose == Purpose::Repair(true),
        };
        let store = &self.session.bridge.store;
        let repaired = store
            .settle_drift(group.group, self.since, drift, how, self.actor())
            .await;
        repaired.map_err(store_failed)
    }

    /// Who is missing and is left so is put there again when they are asked for once more.
    async fn note_missing(
        &self,
        group: &Reconcilable,
        pairs: &[Pair],
        drift: &GroupDrift,
    ) -> Result<(), Failure> {
        let missing: HashSet<UserKey> = drift.missing.iter().chain(&drift.gone).copied().collect();
        let known = pairs.iter().filter(|pair| pair.missed);
        let known: HashSet<UserKey> = known.map(|pair| pair.principal.user).collect();
        if missing == known {
            return Ok(());
        }
        let (store, missing) = (&self.session.bridge.store, missing.into_iter().collect());
        let noted = store.note_missing(group.group, missing).await;
        noted.map_err(store_failed)
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
