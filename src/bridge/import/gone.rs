//! What an application that is only shown here does not show any more, and
//! whether that is believed: see [`crate::plan::listing`].
//!
//! A list on which something is missing is read a second time, later than a
//! read can lag, and what both readings miss is gone; unless it is too much of
//! the list, which takes several imports, or an operator's word. Nothing is
//! written here.

use std::collections::{HashMap, HashSet};

use super::super::{Failure, Session, clock, session::store_failed};
use crate::{
    plan::{
        drift::{self, Shown},
        listing::{List, Lost},
        state::{GroupKey, UserKey},
    },
    store::{Gone, Reconcilable},
    upstream::{RemoteGroup, RemoteMember, RemoteUser, UpstreamError},
};

/// Groups, or accounts, asked of the store at a time.
const PAGE: usize = 500;

/// One reading of the whole application.
pub(super) struct Reading {
    pub(super) users: Vec<RemoteUser>,
    pub(super) groups: Vec<(RemoteGroup, Vec<RemoteMember>)>,
    /// Groups that are there and whose members could not be read.
    pub(super) unread: Vec<RemoteGroup>,
    /// Those of all that can be written could be.
    pub(super) whole: bool,
}

impl Reading {
    /// Every group that is there.
    pub(super) fn listed(&self) -> impl Iterator<Item = &RemoteGroup> {
        self.groups
            .iter()
            .map(|(group, _)| group)
            .chain(&self.unread)
    }

    /// How many are there and could not be read.
    pub(super) fn left_out(&self) -> u64 {
        let users = self.users.iter().filter(|user| user.unreadable).count();
        let groups = self.groups.iter().filter(|(group, _)| group.unreadable);
        (users + groups.count()) as u64
    }

    /// How many have several groups of a family, so that their memberships there
    /// are here as they were.
    pub(super) fn several(&self) -> u64 {
        let mut met = HashSet::new();
        for (group, members) in &self.groups {
            let family = group.family.as_ref().map(|family| &family.name);
            let unclear = members.iter().filter(|member| member.unclear);
            met.extend(unclear.map(|it| (family, &it.upstream_id, &it.account)));
        }
        met.len() as u64
    }
}

/// What is here of the application's groups, by its names for them, and whether
/// import has found it.
type Known = HashMap<String, (GroupKey, bool)>;

impl Session {
    /// What is to be forgotten of what import has shown so far, and how much
    /// more is not there and not believed to be gone. With `shrunk` an operator
    /// believes it.
    pub(super) async fn gone(
        &self,
        reading: &Reading,
        shrunk: bool,
    ) -> Result<(Vec<Gone>, u64), Failure> {
        let (store, key) = (&self.bridge.store, self.connection.key);
        let known = self.known_groups().await?;
        let lost = self.lost(reading, &known).await?;
        let lost = self.still_lost(lost, &known).await?;
        let mut doubts = store.doubts(key).await.map_err(store_failed)?;
        let (now, before) = (clock::now(), doubts.clone());
        let (mut gone, mut doubted) = (Vec::new(), 0);
        for (list, lost) in lost {
            if doubts.believe(list, &lost, now) || shrunk {
                let keys = lost.gone;
                gone.push(Gone { list, keys });
            } else {
                self.tell_doubt(list, &lost);
                doubted += lost.gone.len() as u64;
            }
        }
        doubts.keep_since(now);
        if doubts != before {
            store.keep_doubts(key, doubts).await.map_err(store_failed)?;
        }
        Ok((gone, doubted))
    }

    fn tell_doubt(&self, list: List, lost: &Lost) {
        tracing::warn!(
            connection = %self.connection.name,
            ?list,
            gone = lost.gone.len(),
            of = lost.there,
            "so much of a list is not there at once that it is rather cut off; it is believed when \
             three imports, ten minutes apart, agree, or with `drawbridge import --shrunk`"
        );
    }

    async fn known_groups(&self) -> Result<Known, Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        let mut known = Known::new();
        let mut after = GroupKey(0);
        loop {
            let page = store.shown_groups(c, after, PAGE).await;
            let page: Vec<(Reconcilable, bool)> = page.map_err(store_failed)?;
            let Some((last, _)) = page.last() else {
                return Ok(known);
            };
            after = last.group;
            let groups = page.into_iter();
            known.extend(groups.map(|(group, found)| (group.name, (group.group, found))));
        }
    }

    /// Every list on which something is missing.
    async fn lost(&self, reading: &Reading, known: &Known) -> Result<Vec<(List, Lost)>, Failure> {
        let mut lost = vec![
            (List::Accounts, self.lost_accounts(&reading.users).await?),
            (List::Groups, lost_groups(known, reading.listed())),
        ];
        let read = reading.groups.iter().filter(|(group, _)| !group.unreadable);
        for (group, members) in read {
            if let Some((key, _)) = known.get(&group.name) {
                let of_group = self.lost_members(*key, members).await?;
                lost.push((List::Members(*key), of_group));
            }
        }
        lost.retain(|(_, lost)| !lost.gone.is_empty());
        Ok(lost)
    }

    /// What a second reading misses too.
    async fn still_lost(
        &self,
        lost: Vec<(List, Lost)>,
        known: &Known,
    ) -> Result<Vec<(List, Lost)>, Failure> {
        if lost.is_empty() {
            return Ok(lost);
        }
        // Two readings this far apart cannot both be out of date in one way.
        tokio::time::sleep(self.policy().read_lag).await;
        let names: HashMap<GroupKey, &String> =
            known.iter().map(|(name, (key, _))| (*key, name)).collect();
        let mut still = Vec::new();
        for (list, lost) in lost {
            let again = self.read_again(list, known, &names).await?;
            let lost = lost.confirmed_by(&again);
            still.extend((!lost.gone.is_empty()).then_some((list, lost)));
        }
        Ok(still)
    }

    async fn read_again(
        &self,
        list: List,
        known: &Known,
        names: &HashMap<GroupKey, &String>,
    ) -> Result<Lost, Failure> {
        let upstream = &self.connection.upstream;
        match list {
            List::Accounts => {
                let users = upstream.users().await.map_err(|e| self.unreadable(&e))?;
                self.lost_accounts(&users).await
            }
            List::Groups => {
                let groups = upstream.groups().await.map_err(|e| self.unreadable(&e))?;
                Ok(lost_groups(known, groups.iter()))
            }
            List::Members(group) => {
                let Some(name) = names.get(&group) else {
                    return Ok(Lost::default());
                };
                match upstream.members(name).await {
                    Ok(members) => self.lost_members(group, &members).await,
                    // The group is gone by now, which the next import will see.
                    Err(UpstreamError::Missing { .. }) => Ok(Lost::default()),
                    Err(error) => Err(self.unreadable(&error)),
                }
            }
        }
    }

    async fn lost_accounts(&self, listed: &[RemoteUser]) -> Result<Lost, Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        let listed: HashSet<String> = listed.iter().map(|u| u.account.to_lowercase()).collect();
        let mut lost = Lost::default();
        let mut after = UserKey(0);
        loop {
            let page = store.accounts(c, after, PAGE).await.map_err(store_failed)?;
            let Some((last, ..)) = page.last() else {
                return Ok(lost);
            };
            after = *last;
            lost.there += page.len();
            let gone = page.into_iter().filter(|(_, _, key)| !listed.contains(key));
            lost.gone.extend(gone.map(|(user, ..)| user.0));
        }
    }

    async fn lost_members(
        &self,
        group: GroupKey,
        listed: &[RemoteMember],
    ) -> Result<Lost, Failure> {
        let pairs = self.bridge.store.pairs(group).await.map_err(store_failed)?;
        let listed = listed.iter().map(|member| Shown {
            upstream_id: member.upstream_id.clone(),
            account: member.account.clone(),
            covers: member.covers || member.unclear,
            by_id: false,
        });
        let listed: Vec<Shown> = listed.collect();
        Ok(drift::of_group(&pairs, &listed).into())
    }
}

fn lost_groups<'a>(known: &Known, listed: impl Iterator<Item = &'a RemoteGroup>) -> Lost {
    let listed: HashSet<&String> = listed.map(|group| &group.name).collect();
    // What was made from here is missed by nobody but the reconciliation.
    let found = known.iter().filter(|(_, (_, found))| *found);
    let gone = found.clone().filter(|(name, _)| !listed.contains(name));
    Lost {
        gone: gone.map(|(_, (key, _))| key.0).collect(),
        there: found.count(),
    }
}
