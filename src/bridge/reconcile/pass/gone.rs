//! Groups that are not listed any more: those that are known to be gone, and those
//! that the configuration leaves out.

use std::collections::HashSet;

use super::{Failure, GONE, GroupDrift, PAGE, Pass, Purpose, Reconcilable, Unasked, store_failed};
use crate::{
    plan::{
        drift::{self, Pair},
        state::GroupKey,
    },
    store::{Drifted, DriftedGroup},
    upstream::UpstreamError,
};

impl Pass<'_> {
    /// Those that are known to be gone are told as long as they are; what is
    /// shown again is looked after by its own lane.
    pub(super) async fn gone_groups(&mut self, names: &HashSet<String>) -> Result<(), Failure> {
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
    pub(super) async fn gone(
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
        if self.found.groups_gone.len() < Drifted::SHOWN {
            self.found.groups_gone.push((group.id.to_string(), there));
        }
        let nothing = (&GroupDrift::default(), Unasked::default());
        self.tell(group, &[], nothing, Some(why));
        Ok(())
    }

    /// What a look later than a reading can lag does not show either is gone as what a
    /// call has found gone, and made again as that. Not many at once, which are rather
    /// a list that was cut off.
    pub(super) async fn lose_unlisted(&mut self) -> Result<(), Failure> {
        let unlisted = std::mem::take(&mut self.unlisted);
        let doubtful = drift::is_doubtful(unlisted.len() as u64, self.found.groups);
        if unlisted.is_empty() || !self.repairs() || self.only_shown() || doubtful {
            return Ok(());
        }
        let mut missed = self.not_found(unlisted).await;
        if missed.iter().any(|(_, is_sure)| !is_sure) {
            // An application may want looks of its own that are as far apart.
            let (unsure, sure): (Vec<_>, Vec<_>) =
                missed.into_iter().partition(|(_, is_sure)| !is_sure);
            let unsure = unsure.into_iter().map(|(group, _)| group).collect();
            missed = self.not_found(unsure).await;
            missed.extend(sure);
        }
        let upstream = &self.session.connection.upstream;
        let app = &upstream.capabilities().application;
        for (group, _) in missed.into_iter().filter(|(_, is_sure)| *is_sure) {
            let reason = format!(
                "{app} does not have the group {:?} any more; whoever asks for somebody in it has \
                 it made again, with all of its members",
                group.name
            );
            let store = &self.session.bridge.store;
            let lanes = store.lose_group(group.group, self.since, reason, self.actor());
            let lanes = lanes.await.map_err(store_failed)?;
            self.session.connection.lanes.kick_all(lanes);
        }
        Ok(())
    }

    /// Those that a look later than a reading can lag misses, and whether it is sure of
    /// that. What cannot be looked at now stays as it is told.
    async fn not_found(&self, groups: Vec<Reconcilable>) -> Vec<(Reconcilable, bool)> {
        self.until_a_read_cannot_lag().await;
        let upstream = &self.session.connection.upstream;
        let mut missed = Vec::new();
        for group in groups {
            match upstream.group(&group.name).await {
                Ok(None) => missed.push((group, true)),
                Err(UpstreamError::Missed { .. }) => missed.push((group, false)),
                Ok(Some(_)) | Err(_) => {}
            }
        }
        missed
    }

    pub(super) fn is_left_out(&self, group: &Reconcilable) -> bool {
        !self.session.connection.upstream.offers(&group.name)
    }

    /// What the configuration names no more is not read, and nobody is given it: a
    /// choice, and none of the application's.
    pub(super) async fn left_out(&mut self, group: &Reconcilable) -> Result<(), Failure> {
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
}
