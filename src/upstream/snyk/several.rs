//! Users whom Snyk shows with several memberships of one Snyk Group, which its
//! contract rules out: which of them counts cannot be told, so nothing is
//! concluded from any. Everybody else is read as ever.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::api::Membership;
use crate::upstream;

/// So many are told in the log at once.
const TOLD: usize = 10;

/// By the id of the Snyk Group, as it was last read; each with the user's id and
/// address.
#[derive(Debug, Default)]
pub(super) struct Several(Mutex<BTreeMap<String, BTreeMap<String, String>>>);

/// The ids of those who are on a list of one Snyk Group more than once.
pub(super) fn of(list: &[Membership]) -> HashSet<&str> {
    let mut met = HashSet::with_capacity(list.len());
    let ids = list.iter().map(|it| it.user_id.as_str());
    ids.filter(|id| !met.insert(*id)).collect()
}

impl Several {
    /// What a whole list of a Snyk Group shows.
    pub(super) fn read(&self, group: &str, list: &[Membership]) {
        let ids = of(list);
        let shown = list.iter().filter(|it| ids.contains(it.user_id.as_str()));
        let now: BTreeMap<String, String> = shown
            .map(|it| (it.user_id.clone(), it.email.clone()))
            .collect();
        let before = if now.is_empty() {
            self.lock().remove(group)
        } else {
            self.lock().insert(group.to_owned(), now.clone())
        };
        if !now.is_empty() && before.is_none_or(|before| before != now) {
            let ids: Vec<&String> = now.keys().take(TOLD).collect();
            tracing::warn!(
                %group, users = now.len(), accounts = ?ids,
                "Snyk shows users with more than one membership of one Snyk Group; what is known of \
                 theirs there stays as it is; {REMEDY}"
            );
        }
    }

    /// One of a user's memberships was ended by a call of ours, and perhaps all.
    pub(super) fn forget(&self, group: &str, user: &str) {
        if let Some(users) = self.lock().get_mut(group) {
            users.remove(user);
        }
    }

    pub(super) fn told(&self) -> Vec<upstream::Several> {
        let all = self.lock();
        let all = all
            .iter()
            .flat_map(|(group, users)| users.iter().map(move |user| (group, user)));
        all.map(|(group, (id, account))| upstream::Several {
            account: account.clone(),
            upstream_id: id.clone(),
            family: group.clone(),
        })
        .collect()
    }

    /// Those of some users of whom it can be told what they have.
    pub(super) fn others(&self, group: &str, mut users: HashSet<String>) -> HashSet<String> {
        if let Some(several) = self.lock().get(group) {
            users.retain(|user| !several.contains_key(user));
        }
        users
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) const REMEDY: &str = "leave each user one membership there, in Snyk";

/// A list without those of whom it cannot be told what they have.
pub(super) fn without(list: &[Membership]) -> impl Iterator<Item = &Membership> {
    let several = of(list);
    let one = move |it: &&Membership| !several.contains(it.user_id.as_str());
    list.iter().filter(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(id: &str, user: &str) -> Membership {
        Membership {
            id: id.into(),
            user_id: user.into(),
            email: format!("{user}@example.com"),
            ..Membership::default()
        }
    }

    #[test]
    fn who_is_shown_twice_is_told_until_the_list_shows_one_again() {
        let (a, b, c) = ("ann", "ben", "cat");
        let twice = [("1", a), ("2", b), ("3", a), ("4", c)].map(|(id, user)| membership(id, user));
        assert_eq!(of(&twice), HashSet::from([a]));
        let left: Vec<&str> = without(&twice).map(|it| it.user_id.as_str()).collect();
        assert_eq!(left, [b, c]);
        let several = Several::default();
        several.read("g", &twice);
        several.read("h", &twice[..2]);
        let one = upstream::Several {
            account: "ann@example.com".into(),
            upstream_id: a.into(),
            family: "g".into(),
        };
        assert_eq!(several.told(), [one]);
        let users = || HashSet::from([a.to_owned(), b.to_owned()]);
        assert_eq!(several.others("g", users()), HashSet::from([b.to_owned()]));
        assert_eq!(several.others("h", users()), users());
        several.read("g", &twice[1..]);
        assert_eq!(several.told(), []);
        several.read("g", &twice);
        several.forget("g", a);
        assert_eq!(several.told(), []);
    }
}
