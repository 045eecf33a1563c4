//! The first look of a process: whether the application is the one that is known
//! here, by a few of the accounts and groups. Until it has shown that, nobody is
//! taken out of a group whose access goes on (reliability: G-7, I-25).
//!
//! A few calls are soon done, where reading everything can take an hour, and a
//! removal must not wait for that. They only raise the question: where more is
//! missing than should be, everything is looked at, and that begins recovery.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;

use super::{super::session::store_failed, Failure, Session, pass::Purpose, pass::shown_of};
use crate::{
    plan::{
        drift,
        state::{GroupKey, UserKey},
    },
    store::Reconcilable,
    upstream::UpstreamError,
};

/// How many accounts, and how many groups, are asked for.
const ACCOUNTS: usize = 20;
const GROUPS: usize = 10;
/// Accounts, or groups, asked of the store at a time.
const PAGE: usize = 500;
/// After so long what was read by then decides, as removals wait for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// A look that failed is tried again after this long.
pub(in super::super) const AGAIN: Duration = Duration::from_secs(5);

/// What was asked for, and how much of it was not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    of: u64,
    off: u64,
}

impl Seen {
    /// More than one in twenty, even of a few.
    fn is_odd(self) -> bool {
        self.off > self.of / 20
    }

    fn and(self, other: Self) -> Self {
        Self {
            of: self.of + other.of,
            off: self.off + other.off,
        }
    }
}

/// All that could be read: one group or account that never can be must not keep
/// the rest waiting. An error only if nothing could.
fn readable<E>(readings: Vec<Result<Seen, E>>) -> Result<Seen, E> {
    let (mut seen, mut any, mut failed) = (Seen::default(), false, None);
    for reading in readings {
        match reading {
            Ok(part) => (seen, any) = (seen.and(part), true),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if !any => Err(error),
        _ => Ok(seen),
    }
}

/// So many of a long row, evenly spread, without keeping the row.
struct Spread<T> {
    kept: Vec<T>,
    most: usize,
    passed: usize,
    stride: usize,
}

impl<T> Spread<T> {
    fn of(most: usize) -> Self {
        Self {
            kept: Vec::new(),
            most,
            passed: 0,
            stride: 1,
        }
    }

    fn add(&mut self, item: T) {
        let wanted = self.passed.is_multiple_of(self.stride);
        self.passed += 1;
        if !wanted {
            return;
        }
        if self.kept.len() < self.most {
            self.kept.push(item);
            return;
        }
        // Every other one is enough from here on, of those before too.
        let mut odd = false;
        self.kept.retain(|_| {
            odd = !odd;
            odd
        });
        self.stride *= 2;
        if (self.passed - 1).is_multiple_of(self.stride) {
            self.kept.push(item);
        }
    }
}

impl Session {
    /// Looks, unless that is not waited for. An error is a look to be tried
    /// again; what has nothing to compare waits for the import to end.
    pub(in super::super) async fn look_first(&self) -> Result<(), Failure> {
        let (store, key) = (&self.bridge.store, self.connection.key);
        if !store.is_unseen(key).await.map_err(store_failed)? {
            return Ok(());
        }
        let (accounts, members) = (self.some_accounts().await?, self.some_members().await?);
        if accounts.of + members.of == 0 {
            return Ok(());
        }
        let odd = accounts.is_odd() || members.is_odd();
        if odd {
            let found = self.read_all(Purpose::Look).await?;
            if found.is_doubtful() {
                return self.doubt(found.doubt()).await;
            }
        }
        self.note_seen().await
    }

    /// Removals go on: the application is the one that is known.
    pub(in super::super) async fn note_seen(&self) -> Result<(), Failure> {
        let seen = self.bridge.store.note_seen(self.connection.key).await;
        self.connection.lanes.kick_all(seen.map_err(store_failed)?);
        Ok(())
    }

    async fn some_accounts(&self) -> Result<Seen, Failure> {
        let upstream = &self.connection.upstream;
        let mut seen = Seen::default();
        if upstream.has_families() || !upstream.lists_users() {
            // What is there of somebody are the memberships.
            return Ok(seen);
        }
        let sample = self.sample_of_accounts().await?;
        let mut there = HashSet::new();
        if upstream.finds_users() {
            let mut readings = Vec::with_capacity(sample.len());
            let started = Instant::now();
            for account in &sample {
                if started.elapsed() > PATIENCE {
                    break;
                }
                let found = upstream.user(account).await;
                let one = found.map(|found| Seen {
                    of: 1,
                    off: u64::from(found.is_none()),
                });
                readings.push(one.map_err(|error| self.unreadable(&error)));
            }
            return readable(readings);
        }
        if !sample.is_empty() {
            let all = upstream.users().await;
            let active = all.map_err(|error| self.unreadable(&error))?.into_iter();
            let active = active.filter(|user| user.active);
            there.extend(active.map(|user| user.account.to_lowercase()));
        }
        seen.of = sample.len() as u64;
        let gone = sample.iter().filter(|account| !there.contains(*account));
        seen.off = gone.count() as u64;
        Ok(seen)
    }

    async fn some_members(&self) -> Result<Seen, Failure> {
        let mut readings = Vec::new();
        let started = Instant::now();
        let by_id = self.connection.upstream.has_families();
        for group in self.sample_of_groups().await? {
            if started.elapsed() > PATIENCE {
                break;
            }
            let shown = match self.connection.upstream.members(&group.name).await {
                Ok(members) => members.into_iter().map(|it| shown_of(it, by_id)).collect(),
                Err(UpstreamError::Missing { .. }) => Vec::new(),
                Err(error) => {
                    readings.push(Err(self.unreadable(&error)));
                    continue;
                }
            };
            // Asked after the reading, as what is sent meanwhile is not doubted.
            let pairs = self.bridge.store.pairs(group.group).await;
            let drift = drift::of_group(&pairs.map_err(store_failed)?, &shown);
            readings.push(Ok(Seen {
                of: drift.there as u64,
                off: drift.len() as u64,
            }));
        }
        readable(readings)
    }

    async fn sample_of_accounts(&self) -> Result<Vec<String>, Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        let (mut spread, mut after) = (Spread::of(ACCOUNTS), UserKey(0));
        loop {
            let page = store.accounts(c, after, PAGE).await.map_err(store_failed)?;
            let Some((last, ..)) = page.last() else {
                return Ok(spread.kept);
            };
            after = *last;
            page.into_iter()
                .for_each(|(_, _, account)| spread.add(account));
        }
    }

    async fn sample_of_groups(&self) -> Result<Vec<Reconcilable>, Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        let (mut spread, mut after) = (Spread::of(GROUPS), GroupKey(0));
        loop {
            let page = store.reconcilable(c, after, PAGE).await;
            let page = page.map_err(store_failed)?;
            let Some(last) = page.last() else {
                return Ok(spread.kept);
            };
            after = last.group;
            page.into_iter().for_each(|group| spread.add(group));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(of: usize) -> Vec<usize> {
        let mut spread = Spread::of(4);
        (0..of).for_each(|n| spread.add(n));
        spread.kept
    }

    #[test]
    fn a_few_of_many_are_from_all_over_and_all_of_a_few_are_taken() {
        assert_eq!(spread(0), [0; 0]);
        assert_eq!(spread(4), [0, 1, 2, 3]);
        assert_eq!(spread(5), [0, 2, 4]);
        assert_eq!(spread(8), [0, 2, 4, 6]);
        assert_eq!(spread(9), [0, 4, 8]);
        assert_eq!(spread(1_000), [0, 256, 512, 768]);
    }

    #[test]
    fn what_can_never_be_read_keeps_nobody_waiting() {
        let one = Seen { of: 5, off: 1 };
        let two = Seen { of: 10, off: 2 };
        assert_eq!(readable(vec![Ok(one), Err("500"), Ok(one)]), Ok(two));
        assert_eq!(readable(vec![Err("500"), Err("502")]), Err("502"));
        assert_eq!(readable::<&str>(Vec::new()), Ok(Seen::default()));
    }

    #[test]
    fn one_of_a_few_raises_the_question_and_one_of_many_does_not() {
        assert!(!Seen { of: 0, off: 0 }.is_odd() && Seen { of: 19, off: 1 }.is_odd());
        assert!(!Seen { of: 20, off: 1 }.is_odd() && Seen { of: 20, off: 2 }.is_odd());
    }
}
