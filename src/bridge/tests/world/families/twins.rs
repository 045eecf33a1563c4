//! Other accounts with the address of a user who is linked to one: somebody in
//! the application gives them roles, and they go again. Nothing is given to them
//! from here, nothing is taken from them as long as the user is to have access,
//! and when it ends, theirs does: of those that were known with it, of others
//! with the next import.

use std::{collections::BTreeSet, sync::Mutex};

use super::{
    super::{CONNECTION, DAWN},
    FAMILIES, LATE, Millis, READ_LAG, ROLES, Roles, accounts,
    application::{account_of, address, twin_of},
    asked::Asked,
    below, chance, lock, now, pick,
};
use crate::{bridge::Bridge, plan::state::UserKey};

/// By then they have appeared.
const COME_BY: u64 = 12_000;
const STAY: u64 = 40_000;
/// One whose user has no account by then does not come.
const WAITS: Millis = 60_000;
/// For so long what was sent to end an access may still be under way after it was
/// given again.
const ENDING: Millis = 90_000;

#[derive(Debug, Clone)]
enum What {
    /// With roles, and to go again after so long.
    Comes(Vec<(&'static str, usize)>, Option<u64>),
    Goes,
}

#[derive(Debug, Default)]
pub(super) struct Twins {
    coming: Mutex<Vec<(Millis, String, What)>>,
    /// Users who were seen to be linked.
    linked: Mutex<BTreeSet<String>>,
    /// Accounts that were known when their user was deleted, and when that was.
    deleted: Mutex<Vec<(String, Millis)>>,
}

fn later(than: Millis, most: u64) -> Millis {
    than + Millis::try_from(below(most)).unwrap()
}

impl Twins {
    pub(super) fn drawn() -> Self {
        let one = |user: String| {
            let at = later(DAWN, COME_BY);
            let role = |family| (family, usize::try_from(below(ROLES.len() as u64)).unwrap());
            let mut roles = vec![role(*pick(&FAMILIES))];
            if chance(30) {
                roles.extend(FAMILIES.map(role));
            }
            let stays = chance(35).then(|| below(STAY));
            (at, user, What::Comes(roles, stays))
        };
        let with = accounts().into_iter().filter(|_| chance(50));
        let with: Vec<_> = with.collect();
        Self {
            coming: Mutex::new(with.into_iter().map(one).collect()),
            ..Self::default()
        }
    }

    pub(super) fn are_to_come(&self) -> bool {
        let coming = lock(&self.coming);
        coming.iter().any(|(at, ..)| at + WAITS > now())
    }

    pub(super) async fn happen(&self, app: &Roles, bridge: &Bridge) {
        if lock(&self.coming).is_empty() {
            return;
        }
        let key = bridge.find(Some(CONNECTION)).unwrap().key;
        let there = bridge.store.accounts(key, UserKey(0), 100).await.unwrap();
        let there = there.into_iter().map(|(_, _, account)| account);
        lock(&self.linked).extend(there);
        let linked = lock(&self.linked);
        let mut coming = lock(&self.coming);
        let mut left = Vec::new();
        for (at, user, what) in coming.drain(..) {
            match what {
                _ if at > now() => left.push((at, user, what)),
                What::Goes => app.vanish(&twin_of(&user)),
                What::Comes(..) if !linked.contains(&user) => {
                    if at + WAITS > now() {
                        left.push((at, user, what));
                    }
                }
                What::Comes(roles, stays) => {
                    let twin = twin_of(&user);
                    app.appear(&twin);
                    for (family, rank) in roles {
                        app.by_hand(&twin, family, rank);
                    }
                    let goes = stays.map(|most| (later(now(), most + 1), user, What::Goes));
                    left.extend(goes);
                }
            }
        }
        *coming = left;
    }

    pub(super) fn was_linked(&self, user: &str) -> bool {
        lock(&self.linked).contains(user)
    }

    /// A user's access was ended, or its end was asked for, of whom these accounts
    /// were known. Returns what is wrong.
    pub(super) fn ended(
        &self,
        app: &Roles,
        (user, known): (String, Vec<String>),
        deleted: bool,
        done: bool,
    ) -> Vec<String> {
        let known = known.iter().map(|id| account_of(id).to_owned());
        let twins: Vec<String> = known.filter(|it| *it != user).collect();
        if deleted {
            let twins = twins.into_iter().map(|twin| (twin, now()));
            lock(&self.deleted).extend(twins);
            return Vec::new();
        }
        let late = Millis::try_from((LATE + READ_LAG).as_millis()).unwrap();
        if !done || app.unclear(&user).is_some_and(|at| at + late > now()) {
            return Vec::new();
        }
        // A look may not have shown yet what somebody gave them.
        let lag = Millis::try_from(READ_LAG.as_millis()).unwrap();
        let log = app.log();
        let lately = |twin: &str| {
            log.iter()
                .any(|it| it.account == twin && it.at + lag > now())
        };
        let twins = twins.iter().filter(|twin| !lately(twin));
        twins.filter_map(|twin| left_to(app, twin)).collect()
    }

    /// What is wrong with accounts that are nobody's here; `out`: users who are
    /// shown and must have nothing.
    pub(super) fn verdict(&self, app: &Roles, asked: &Asked, out: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        let log = app.log();
        for change in &log {
            let user = address(&change.account);
            if change.by.is_none() || change.account == user {
                continue;
            }
            if change.rank.is_some() {
                found.push(format!("{} is given something: {change:?}", change.account));
            }
            let might_be_out = asked.active.get(user).is_some_and(|active| {
                // A creation that got no answer may have been one.
                let first = active.first(true).filter(|at| *at <= change.at);
                let from = first.unwrap_or(Millis::MIN);
                active.might(false, (from.max(change.at - ENDING), change.at))
            });
            if !might_be_out {
                found.push(format!("what is taken is nobody's: {change:?}"));
            }
        }
        found.extend(out.iter().filter_map(|user| left_to(app, &twin_of(user))));
        for (twin, at) in lock(&self.deleted).iter() {
            let anew = |it: &&super::application::Change| {
                it.account == *twin && it.by.is_none() && it.at > *at
            };
            if log.iter().find(anew).is_none() {
                found.extend(left_to(app, twin));
            }
        }
        found
    }
}

fn left_to(app: &Roles, twin: &str) -> Option<String> {
    let has = FAMILIES.map(|family| app.has(twin, family));
    let any = has.iter().any(Option::is_some);
    any.then(|| format!("{twin} is left {has:?} at {}", now()))
}
