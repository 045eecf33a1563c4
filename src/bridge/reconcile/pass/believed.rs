//! What of a reading is believed, and what is done about that (G-8).

use std::collections::{HashMap, HashSet};

use super::{DriftPolicy, Failure, GroupDrift, Pass, Purpose, Reconcilable, clock, store_failed};
use crate::{
    plan::{
        drift::{self, Pair, Shrunk},
        state::{GroupKey, Principal, UserKey},
    },
    store::{Repaired, Settle},
    upstream::UpstreamError,
};

const TOO_SHORT: &str = "more than half of it is gone at once, which is rather a bad reading than a change; it is believed when three reconciliations, ten minutes apart, agree, or with `drawbridge reconcile --apply --shrunk`";
const TOO_MUCH: &str = "too many memberships would end at once by this, which is rather a bad reading than a change; it is believed when three reconciliations, ten minutes apart, agree, or with `drawbridge reconcile --apply --shrunk`";

impl Pass<'_> {
    /// Two readings of one list may be cut off in one way, so that whom a look
    /// at the user itself shows is not gone.
    pub(super) async fn ask_about(
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
    pub(super) fn believed(
        &mut self,
        group: GroupKey,
        drift: &GroupDrift,
    ) -> (GroupDrift, Option<&'static str>) {
        let accepts = self.session.connection.policy.drift == DriftPolicy::Accept;
        let ends = drift.gone.len() + if accepts { drift.missing.len() } else { 0 };
        let in_all = self.found.ended_here + ends as u64;
        let stopped = accepts && self.stops(ends as u64, drift.there as u64, in_all);
        let doubtful = drift.emptied || drift::is_doubtful(in_all, self.members);
        let too_much = ends > 0 && (doubtful || stopped);
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

    /// Whether the guard rails would stop it as a request, of so many in a group.
    fn stops(&self, ends: u64, of: u64, in_all: u64) -> bool {
        let guard = &self.session.connection.policy.guard;
        guard.enabled
            && (ends > guard.group_removals.most(of) || in_all > guard.removals.most(self.users))
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
    pub(super) async fn settle(
        &self,
        group: &Reconcilable,
        drift: GroupDrift,
    ) -> Result<Repaired, Failure> {
        let how = Settle {
            accept: self.session.connection.policy.drift == DriftPolicy::Accept,
            believed: self.purpose == Purpose::Repair(true),
            untouched: false,
        };
        self.settle_as(group, drift, how).await
    }

    /// The same of a group that was written meanwhile, or less than a lag before: whoever
    /// nothing was asked of since the first reading is put there again all the same, as
    /// otherwise a group that is written all the time would never be put right.
    pub(super) async fn settle_untouched(
        &self,
        group: &Reconcilable,
        missing: Vec<UserKey>,
    ) -> Result<Repaired, Failure> {
        let drift = GroupDrift {
            missing,
            ..GroupDrift::default()
        };
        let how = Settle {
            untouched: true,
            ..Settle::default()
        };
        self.settle_as(group, drift, how).await
    }

    async fn settle_as(
        &self,
        group: &Reconcilable,
        drift: GroupDrift,
        how: Settle,
    ) -> Result<Repaired, Failure> {
        let store = &self.session.bridge.store;
        let repaired = store
            .settle_drift(group.group, self.since_group, drift, how, self.actor())
            .await;
        repaired.map_err(store_failed)
    }

    /// Who is missing and is left so is put there again when they are asked for once more.
    pub(super) async fn note_missing(
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
}
